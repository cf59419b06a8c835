"""Records: their layouts, limits and heads (spec/format.md sections 3, 4 and 12).

Every fixed layout of the format is declared once, here: one struct for each table of the specification, with the same
fields, names and order. What follows a fixed part (a name, stored bytes, columns) is handled in `bodies` and `index`.
construct is slow per record, so the hot paths use a `Packer` that is derived from the declaration; a test holds the two
against each other on every fixture.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias
from zlib import crc32

from blake3 import blake3
from construct import Bytes, Const, Int8ul, Int16ul, Int32ul, Int64sl, Int64ul, Struct

from tokar.errors import CheckMismatchError, DigestMismatchError, FormatError, UnsupportedError
from tokar.storage.bytesource import Buffer

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_ENTRIES: Final = 1 << 24  # LIM-1
MAX_CHUNKS: Final = 1 << 20  # LIM-2, of one entry
MAX_OUTSIDE_RECORDS: Final = 1 << 16  # LIM-3, before ROOT
MAX_ARCHIVE_SIZE: Final = (1 << 63) - 1  # LIM-4

MIN_CHUNK_LOG2: Final = 16
MAX_CHUNK_LOG2: Final = 24
MAX_NAME_SIZE: Final = 65_535
MAX_DATA_SIZE: Final = 16 + (1 << MAX_CHUNK_LOG2)  # body of DATA, without encryption
MAX_SEALED_DATA_SIZE: Final = MAX_DATA_SIZE + 16  # and with it
MAX_DONE_SIZE: Final = 80 + 36 * MAX_CHUNKS  # body of DONE
MAX_JSON_SIZE: Final = MIB  # HEAD, PROC and SUMM
MAX_JSON_DEPTH: Final = 8  # JSON-7
MAX_EXTRA_SIZE: Final = MIB  # lower-case before SUMM
MAX_TRAILING_SIZE: Final = 64 * KIB  # lower-case after ROOT
MAX_TRAILING_RECORDS: Final = 16  # LOW-1

MAX_PAGE_ENTRIES: Final = 1 << 16
MAX_PAGE_NAMES: Final = 1 << 24  # bytes of all names of a page
PAGE_ENTRY_SIZE: Final = 119  # bytes of the columns for one entry, its name apart
MAX_PAGE_SIZE: Final = 8 + PAGE_ENTRY_SIZE * MAX_PAGE_ENTRIES + MAX_PAGE_NAMES  # body of INDX


MAGIC: Final = bytes.fromhex("89544b520d0a1a0a")
END_MAGIC: Final = MAGIC[::-1]
MAJOR: Final = 1

# fmt: off
PREAMBLE: Any = Struct(                  # section 3
    "magic"           / Bytes(8),        # 89 54 4B 52 0D 0A 1A 0A
    "major"           / Int16ul,         # 1
    "zero"            / Const(0, Int16ul),
    "crc"             / Int32ul,         # CRC-32 of bytes 0-11 and 16-31
    "id"              / Bytes(16),       # archive id
)

RECORD_HEAD: Any = Struct(               # section 4.1
    "kind"            / Bytes(4),        # four letters
    "length"          / Int32ul,         # bytes of the body
    "tag"             / Bytes(8),        # bytes 0-7 of the archive id
    "position"        / Int64ul,         # of this head
    "check"           / Bytes(32),       # BLAKE3(body || head bytes 0-23)
    "zero"            / Const(0, Int32ul),
    "crc"             / Int32ul,         # CRC-32 of head bytes 0-59
)

FILE_BODY: Any = Struct(                 # section 7; the name follows
    "entry"           / Int32ul,         # number of the entry
    "encoding"        / Int16ul,         # Windows code page of the name, 0 unknown
    "token"           / Int8ul,          # as delivered
    "list"            / Int8ul,          # where it was listed
    "announced_size"  / Int64ul,         # from OpenFile
    "modified"        / Int64sl,         # nanoseconds since 1970
    "flags"           / Int16ul,         # FLAG_*
    "chunk_log2"      / Int8ul,          # 16 to 24
    "zero"            / Const(0, Int8ul),
    "stream"          / Int32ul,         # zero without encryption
)

DATA_BODY: Any = Struct(                 # section 8; behind the stored bytes
    "entry"           / Int32ul,         # number of the entry
    "chunk"           / Int32ul,         # number of the chunk
    "content_size"    / Int32ul,         # bytes of content
    "codec"           / Int8ul,          # 0 stored, 1 zstd, 2 zeros
    "zero"            / Const(bytes(3)),
)

ASSOCIATED_DATA: Any = Struct(           # section 15; what an encrypted chunk is bound to, as in DATA
    "chunk"           / Int32ul,
    "content_size"    / Int32ul,
    "codec"           / Int8ul,
)

DONE_BODY: Any = Struct(                 # section 9; data_lengths and data_checks follow
    "entry"           / Int32ul,         # number of the entry
    "chunk_count"     / Int32ul,         # DATA records
    "content_size"    / Int64ul,         # bytes of content
    "digest"          / Bytes(32),       # BLAKE3 of the content
    "file_check"      / Bytes(32),       # check of FILE
)

INDX_BODY: Any = Struct(                 # section 10; the columns and the names follow
    "first"           / Int32ul,         # number of the first entry
    "count"           / Int32ul,         # entries in the page
)

INDX_COLUMNS: Any = Struct(              # section 10; one row of the columns, each of which stands by itself
    "size"            / Int64ul,         # bytes of content
    "file_position"   / Int64ul,         # of FILE
    "done_position"   / Int64ul,         # of DONE
    "announced_size"  / Int64ul,         # from FILE
    "modified"        / Int64sl,         # from FILE
    "digest"          / Bytes(32),       # from DONE
    "done_check"      / Bytes(32),       # check of DONE
    "name_end"        / Int32ul,         # where the name ends in the names
    "stream"          / Int32ul,         # from FILE
    "encoding"        / Int16ul,         # from FILE
    "flags"           / Int16ul,         # from FILE
    "token"           / Int8ul,          # from FILE
    "list"            / Int8ul,          # from FILE
    "chunk_log2"      / Int8ul,          # from FILE
)

ROOT_BODY: Any = Struct(                 # section 11.1; the rows follow
    "preamble"        / Bytes(32),       # bytes 0-31 of the archive
    "entry_count"     / Int32ul,
    "record_count"    / Int32ul,         # rows
)

ROOT_ROW: Any = Struct(                  # section 11.1
    "kind"            / Bytes(4),
    "length"          / Int32ul,         # bytes of the body
    "position"        / Int64ul,
    "check"           / Bytes(32),
)

TAIL_BODY: Any = Struct(                 # section 11.2
    "root_position"   / Int64ul,
    "root"            / Bytes(32),
    "end_magic"       / Bytes(8),
)
# fmt: on

FLAG_MODIFIED: Final = 1
FLAG_ANNOUNCED: Final = 2
FLAG_INCOMPLETE: Final = 4
ALL_FLAGS: Final = FLAG_MODIFIED | FLAG_ANNOUNCED | FLAG_INCOMPLETE


class Packer:
    """Packs and unpacks one layout with a precompiled `struct.Struct`.

    Constant fields of the declaration take part in both directions: `pack` fills them in, and `unpack` returns them in
    their place, so that the caller can report a wrong one at its rule.

    Args:
        layout: A construct `Struct` made only of fixed-width little-endian integers, `Bytes(n)` and `Const` of these.
        until: Leave out this field and all after it.

    Raises:
        TypeError: The layout has a field that has no fixed width.
    """

    def __init__(self, layout: Any, *, until: str | None = None) -> None:
        names = [field.name for field in layout.subcons]
        fields = layout.subcons[: names.index(until) if until else None]
        self.layout = layout
        self.fields: tuple[str, ...] = tuple(field.name for field in fields)
        self.codes: tuple[str, ...] = tuple(_code(field.subcon) for field in fields)  # As `struct` has them
        self._struct = struct.Struct("<" + "".join(self.codes))
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.pack_into = self._struct.pack_into
        self.iter_unpack = self._struct.iter_unpack

    def place(self, name: str) -> tuple[int, int]:
        """Return where a field stands, and its bytes."""
        at = self.fields.index(name)
        return struct.calcsize("<" + "".join(self.codes[:at])), struct.calcsize("<" + self.codes[at])

    def unpack(self, data: Buffer, offset: int = 0) -> tuple[Any, ...]:
        """Return the fields at `offset` in the order of the declaration."""
        return self._struct.unpack_from(data, offset)


def _code(field: Any) -> str:
    """Return the struct code of a construct field."""
    if hasattr(field, "fmtstr"):
        code: str = field.fmtstr
        if code[0] != "<":
            raise TypeError(f"not little-endian: {field}")
        return code[1:]
    if hasattr(field, "value") and hasattr(field, "subcon"):  # Const
        return _code(field.subcon)
    if hasattr(field, "length") and isinstance(field.length, int):  # Bytes
        return f"{field.length}s"
    raise TypeError(f"no fixed width: {field}")


def column_integers(data: Buffer, code: str) -> array[int]:
    """Return a column as an array; `code` is that of `Packer.codes`. The data must be whole items."""
    column: array[int] = array("I" if code == "L" else code)
    assert column.itemsize == struct.calcsize("<" + code)
    column.frombytes(data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def column_bytes(column: array[int]) -> bytes:
    """Return a column as little-endian bytes."""
    if sys.byteorder == "big":
        column = array(column.typecode, column)
        column.byteswap()
    return column.tobytes()


HEAD: Final = b"HEAD"
FILE: Final = b"FILE"
DATA: Final = b"DATA"
DONE: Final = b"DONE"
PROC: Final = b"PROC"
INDX: Final = b"INDX"
SUMM: Final = b"SUMM"
ROOT: Final = b"ROOT"
TAIL: Final = b"TAIL"
FACT: Final = b"fact"  # these three by spec/registry.md
SIGN: Final = b"sign"
KEYS: Final = b"keys"
ENTRY_KINDS: Final = frozenset({FILE, DATA, DONE})
NOT_IN_ROOT: Final = ENTRY_KINDS | {ROOT, TAIL}

_PACKER: Final = Packer(RECORD_HEAD)
HEAD_SIZE: Final = _PACKER.size
CHECKED_SIZE: Final = 24  # head bytes that the check covers, after the body
_CRC_AT: Final = 60
# Head bytes 0-23, which the check covers after the body, from kind, length, tag and position.
checked_part: Final = Packer(RECORD_HEAD, until="check").pack
Lengths: TypeAlias = Mapping[bytes, tuple[int, int]]
_UPPER: Final = frozenset(range(0x41, 0x5B))
_LOWER: Final = frozenset(range(0x61, 0x7B))

# Section 12: the least and the greatest length of a body, without encryption.
LENGTHS: Final[Lengths] = {
    HEAD: (0, MAX_JSON_SIZE),
    FILE: (33, 32 + MAX_NAME_SIZE),
    DATA: (16, MAX_DATA_SIZE),
    DONE: (80, MAX_DONE_SIZE),
    PROC: (0, MAX_JSON_SIZE),
    INDX: (128, MAX_PAGE_SIZE),
    SUMM: (0, MAX_JSON_SIZE),
    ROOT: (184, 40 + 48 * MAX_OUTSIDE_RECORDS),
    TAIL: (48, 48),
}
SEALED_LENGTHS: Final[Lengths] = {**LENGTHS, DATA: (32, MAX_SEALED_DATA_SIZE)}  # with encryption
ANY_LENGTHS: Final[Lengths] = {**LENGTHS, DATA: (16, MAX_SEALED_DATA_SIZE)}  # where nobody knows


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


class TrailingRecord(NamedTuple):
    """A lower-case record after ROOT. No root covers it (LOW-1)."""

    kind: bytes
    body: bytes


def finish_head(checked: bytes, check: bytes) -> bytes:
    """Return the 64 bytes of a head from its first 24 and the check."""
    head = checked + check + b"\0\0\0\0"
    return head + crc32(head).to_bytes(4, "little")


def build_head(kind: bytes, tag: bytes, position: int, body: bytes) -> tuple[bytes, bytes]:
    """Return the 64 bytes of the head for a body, and the check."""
    checked = checked_part(kind, len(body), tag, position)
    check = blake3(body + checked).digest()  # one call: most bodies are small
    head = checked + check + b"\0\0\0\0"  # as `finish_head`: this is called twice for each small file
    return head + crc32(head).to_bytes(4, "little"), check


def parse_head(data: Buffer, tag: bytes, position: int, *, offset: int = 0, lengths: Lengths = LENGTHS) -> RecordHead:
    """Read the head at `offset` of `data`, which stands at `position` of the archive.

    Args:
        data: The bytes.
        tag: Tag of the archive.
        position: Where the head stands.
        offset: Where it stands in `data`.
        lengths: What bodies may have.

    Raises:
        FormatError: REC-1 to REC-5 or REC-7, the first that is broken.
        UnsupportedError: REC-6, an upper-case kind that is not known.
    """
    kind, length, its_tag, its_position, check, zero, crc = _PACKER.unpack(data, offset)
    if crc != crc32(memoryview(data)[offset : offset + _CRC_AT]):
        raise FormatError("the CRC-32 of a record head is wrong", rule="REC-1", offset=position)
    bounds = lengths.get(kind)
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
    least, greatest = LENGTHS.get(kind, _EXTRA)
    if not least <= length <= greatest:
        raise _out_of_bounds(kind, length, position)


def demand_trailing(length: int, position: int, *, before: int) -> None:
    """Check that one more lower-case record may stand after ROOT. `before`: how many stand there already.

    Raises:
        FormatError: REC-7 or LOW-1.
    """
    if length > MAX_TRAILING_SIZE:
        raise FormatError(f"a body of {length} bytes after ROOT", rule="REC-7", offset=position)
    if before >= MAX_TRAILING_RECORDS:
        raise FormatError("too many records after ROOT", rule="LOW-1", offset=position)


def demand_after_root(head: RecordHead | None, position: int, *, before: int) -> RecordHead:
    """Return the head of a record that may stand after ROOT, before TAIL. `head`: None where there is no room for one.

    Raises:
        FormatError: SEQ-1, REC-7 or LOW-1.
    """
    if head is None or not head.is_extra:
        raise FormatError("only lower-case records may follow ROOT", rule="SEQ-1", offset=position)
    demand_trailing(head.length, position, before=before)
    return head


def _out_of_bounds(kind: bytes, length: int, position: int) -> FormatError:
    message = f"a body of {length} bytes is out of bounds for {kind.decode()}"
    return FormatError(message, rule="REC-7", offset=position)


_UNKNOWN: Final = (0, -1)
_EXTRA: Final = (0, MAX_EXTRA_SIZE)


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
    if len(data) >= 4 and data[:4] not in LENGTHS:
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


def demand_named_check(message: str, expected: bytes, actual: bytes, *, rule: str, offset: int) -> None:
    """Compare the check of a record with the one that another record names for it.

    Raises:
        CheckMismatchError: They differ.
    """
    if actual != expected:
        raise CheckMismatchError(message, expected=expected, actual=actual, rule=rule, offset=offset)


def demand_digest(expected: bytes, actual: bytes, *, offset: int) -> None:
    """Compare the digest of content with the one that DONE, at `offset`, has for it.

    Raises:
        DigestMismatchError: DONE-5.
    """
    if actual != expected:
        message = "the digest of the content is wrong"
        raise DigestMismatchError(message, expected=expected, actual=actual, rule="DONE-5", offset=offset)
