"""Records: a head of 64 bytes and a body (spec/format.md section 4)."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from tokar.errors import CheckMismatchError, FormatError, UnsupportedError
from tokar.format import limits
from tokar.format.layouts import RECORD_HEAD
from tokar.format.packing import Packer

if TYPE_CHECKING:
    from typing_extensions import Buffer

HEAD: Final = b"HEAD"
FILE: Final = b"FILE"
DATA: Final = b"DATA"
DONE: Final = b"DONE"
PROC: Final = b"PROC"
INDX: Final = b"INDX"
SUMM: Final = b"SUMM"
ROOT: Final = b"ROOT"
TAIL: Final = b"TAIL"
ENTRY_KINDS: Final = frozenset({FILE, DATA, DONE})

_PACKER: Final = Packer(RECORD_HEAD)
HEAD_SIZE: Final = _PACKER.size
CHECKED_SIZE: Final = 24  # head bytes that the check covers, after the body
_CRC_AT: Final = 60
# Head bytes 0-23, which the check covers after the body, from kind, length, tag and position.
checked_part: Final = Packer(RECORD_HEAD, until="check").pack
_UPPER: Final = frozenset(range(0x41, 0x5B))
_LOWER: Final = frozenset(range(0x61, 0x7B))

# Section 12: the least and the greatest length of a body.
_LENGTHS: Final = {
    HEAD: (0, limits.MAX_HEAD_SIZE),
    FILE: (33, 32 + limits.MAX_NAME_SIZE),
    DATA: (16, limits.MAX_DATA_SIZE),
    DONE: (80, limits.MAX_DONE_SIZE),
    PROC: (0, limits.MAX_JSON_SIZE),
    INDX: (105, limits.MAX_PAGE_SIZE),
    SUMM: (0, limits.MAX_JSON_SIZE),
    ROOT: (136, 40 + 48 * limits.MAX_OUTSIDE_RECORDS),
    TAIL: (56, 56),
}


class RecordHead(NamedTuple):
    """A record head that keeps REC-1 to REC-7."""

    kind: bytes  # Four letters
    length: int  # Bytes of the body
    position: int  # Bytes from the start of the archive
    check: bytes  # The stored check, 32 bytes

    @property
    def is_extra(self) -> bool:
        """Whether the kind is in lower case: checked, then ignored."""
        return self.kind[0] in _LOWER

    @property
    def body_position(self) -> int:
        """Where the body starts."""
        return self.position + HEAD_SIZE

    @property
    def end(self) -> int:
        """Where the next record starts."""
        return self.position + HEAD_SIZE + self.length


def finish_head(checked: bytes, check: bytes) -> bytes:
    """Return the 64 bytes of a head from its first 24 and the check."""
    head = checked + check + b"\0\0\0\0"
    return head + zlib.crc32(head).to_bytes(4, "little")


def build_head(kind: bytes, tag: bytes, position: int, body: Buffer) -> tuple[bytes, bytes]:
    """Return the 64 bytes of the head for a body, and the check."""
    checked = checked_part(kind, memoryview(body).nbytes, tag, position)
    hasher = blake3(body)
    hasher.update(checked)
    check = hasher.digest()
    return finish_head(checked, check), check


def parse_head(data: Buffer, tag: bytes, position: int, *, offset: int = 0) -> RecordHead:
    """Read the head at `offset` of `data`, which stands at `position` of the archive.

    Raises:
        FormatError: REC-1 to REC-5 or REC-7, the first that is broken.
        UnsupportedError: REC-6, an upper-case kind that is not known.
    """
    kind, length, its_tag, its_position, check, zero, crc = _PACKER.unpack(data, offset)
    if crc != zlib.crc32(memoryview(data)[offset : offset + _CRC_AT]):
        raise FormatError("the CRC-32 of a record head is wrong", rule="REC-1", offset=position)
    bounds = _LENGTHS.get(kind)
    if bounds is None:
        bounds = _check_kind(kind, position)
    if zero:
        raise FormatError("reserved bytes of a record head are not zero", rule="REC-3", offset=position)
    if its_tag != tag:
        raise FormatError("a record of another archive", rule="REC-4", offset=position)
    if its_position != position:
        raise FormatError(f"a record that belongs at {its_position}", rule="REC-5", offset=position)
    if bounds is _UNKNOWN:
        raise UnsupportedError(f"record kind {kind.decode()} is not known here", rule="REC-6", offset=position)
    if not bounds[0] <= length <= bounds[1]:
        raise _out_of_bounds(kind, length, position)
    return RecordHead(kind, length, position, check)


def demand_length(kind: bytes, length: int, position: int) -> None:
    """Check that a body that is to be written is within the limits for its kind.

    Raises:
        FormatError: REC-7.
    """
    least, greatest = _LENGTHS.get(kind, _EXTRA)
    if not least <= length <= greatest:
        raise _out_of_bounds(kind, length, position)


def _out_of_bounds(kind: bytes, length: int, position: int) -> FormatError:
    message = f"a body of {length} bytes is out of bounds for {kind.decode()}"
    return FormatError(message, rule="REC-7", offset=position)


_UNKNOWN: Final = (0, -1)
_EXTRA: Final = (0, limits.MAX_EXTRA_SIZE)


def _check_kind(kind: bytes, position: int) -> tuple[int, int]:
    """Return the bounds for a kind that is not in section 4.2."""
    letters = set(kind)
    if letters <= _LOWER:
        return _EXTRA
    if letters <= _UPPER:
        return _UNKNOWN
    raise FormatError(f"not a record kind: {kind.hex(' ')}", rule="REC-2", offset=position)


def check_partial_head(data: bytes, tag: bytes, position: int) -> None:
    """Judge what is there of a head that is cut (STATE-1).

    Raises:
        FormatError: REC-2, REC-4 or REC-5.
    """
    if len(data) >= 4 and data[:4] not in _LENGTHS:
        _check_kind(data[:4], position)
    if len(data) >= 16 and data[8:16] != tag:
        raise FormatError("a record of another archive", rule="REC-4", offset=position)
    if len(data) >= CHECKED_SIZE and int.from_bytes(data[16:24], "little") != position:
        raise FormatError("a record that belongs elsewhere", rule="REC-5", offset=position)


def demand_check(head: RecordHead, tag: bytes, body: Buffer) -> None:
    """Compare the stored check with the bytes.

    Raises:
        CheckMismatchError: REC-8.
    """
    hasher = blake3(body)
    hasher.update(checked_part(head.kind, head.length, tag, head.position))
    actual = hasher.digest()
    if actual != head.check:
        raise CheckMismatchError(
            f"the check of a {head.kind.decode()} record is wrong",
            expected=head.check,
            actual=actual,
            rule="REC-8",
            offset=head.position,
        )
