"""Finding good records in bytes that may be damaged (spec/format.md SALV-1).

As long as one record follows the other this is a plain walk. After damage the bytes are searched for the next head: for
the tag, or for the letters of a kind where the tag is not known. Only the CRC-32 of a head is computed at each such
place, and the check only where the CRC-32 is right, so that accidents cost next to nothing.

Whose records to look for: the id comes from the preamble, or the tag from the records themselves. An archive may hold
other archives as content, so records of several tags may be in sight. Those that stand where they say that they belong
are those of the outermost archive, unless bytes were lost or inserted before all of them.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from blake3 import blake3

from tokar.errors import BadMagicError, FormatError, SourceChangedError, UnsupportedError
from tokar.format import bodies, records
from tokar.format.bodies import Preamble
from tokar.format.records import CHECKED_SIZE, HEAD_SIZE, MAGIC, RECORD_HEAD, Packer, RecordHead
from tokar.storage.bytesource import ByteSource, FileSource

_HEAD: Final = Packer(RECORD_HEAD)
_FIRST_WINDOW_SIZE: Final = 4 << 10
_WINDOW_SIZE: Final = 4 << 20
_PROGRESS_STEP: Final = 1 << 20
_TAG_AT: Final = 8
_POSITION_AT: Final = 16
_ZERO_AT: Final = 56
_CRC_AT: Final = 60
_MAX_UNKNOWN_SIZE: Final = records.MAX_DONE_SIZE  # the longest body of any kind that is known
_KINDS: Final = re.compile(rb"(?s)(?:HEAD|FILE|DATA|DONE|PROC|INDX|SUMM|ROOT|TAIL).{52}\0{4}")
# Bytes of bodies that may turn out to be wrong, beyond the size of the input, before wrong records are jumped over.
_SPARE_PATIENCE: Final = 64 << 20
_PREAMBLE_CRC: Final = slice(12, 16)
_PREAMBLE_ID: Final = slice(16, 32)
_MAX_TAGS: Final = 1 << 16
_END_SIZE: Final = bodies.DATA_PACKER.size


class FoundRecord(NamedTuple):
    """A record whose head keeps REC-1 to REC-4 and REC-7, and whose check is right."""

    head: RecordHead  # Its head; `position` is where the record says that it belongs
    tag: bytes  # Its tag
    at: int  # Where it was found, bytes from the start of the input
    body: memoryview  # Its body

    @property
    def end(self) -> int:
        """Where the next record begins in the input, if it follows directly."""
        return self.at + HEAD_SIZE + self.head.length


class InputWindow:
    """A part of the input in memory; the further it moves straight on, the more it reads at once."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._step = _FIRST_WINDOW_SIZE
        self.data = b""  # The bytes
        self.start = 0  # Where they stand in the input

    @property
    def end(self) -> int:
        """Where the bytes end in the input."""
        return self.start + len(self.data)

    def load(self, at: int, size: int) -> int:
        """Have `size` bytes at `at` in memory, as far as there are any; return where they stand in `data`."""
        offset = at - self.start
        if offset < 0 or offset + size > len(self.data):
            goes_on = 0 <= offset <= len(self.data)
            self._step = min(2 * self._step, _WINDOW_SIZE) if goes_on else _FIRST_WINDOW_SIZE
            self.data = self._source.read(at, max(size, self._step))
            self.start = at
            return 0
        return offset

    def after(self, size: int) -> int:
        """Return the first place where `size` bytes are not all in memory and the first is not in a hole, a zero."""
        at = self.end - size + 1
        return max(at, self._source.next_data(at)) if isinstance(self._source, FileSource) else at

    def view(self, at: int, size: int) -> memoryview:
        """Return `size` bytes at `at`, fewer only at the end of the input; valid for ever."""
        offset = self.load(at, size)
        return memoryview(self.data)[offset : offset + size]


class RecordFinder:
    """Iterates over the good records of an input, in the order in which they stand there.

    The work is bounded by a small multiple of the size of the input, whatever is in it. Heads that were made to look
    right cost the length that they claim; once they have cost more than the input has bytes, each of them is jumped
    over with all that it claims.

    Args:
        source: The input.
        tag: Only records with this tag are looked at; all if it is None.
        start: Where to begin.
        progress: Called with numbers of bytes as they are done.

    Raises (while iterating):
        UnsupportedError: A good record of a kind that is not known (only where a tag is given).
        StorageError: The input cannot be read.
    """

    def __init__(
        self, source: ByteSource, tag: bytes | None, *, start: int = 0, progress: Callable[[int], None] | None = None
    ) -> None:
        self._window = InputWindow(source)
        self._size = source.size
        self._tag = tag
        self._pattern = _KINDS if tag is None else re.compile(re.escape(tag))
        self._shift = 0 if tag is None else _TAG_AT  # where the pattern is in a head
        self._start = start
        self._progress = progress
        self._patience = source.size + _SPARE_PATIENCE

    def __iter__(self) -> Iterator[FoundRecord]:
        at = self._start
        reported = 0
        while at + HEAD_SIZE <= self._size:
            record, claimed = self._record_or_cost(at)
            if record is not None:
                yield record
                at = record.end
            else:
                self._patience -= claimed
                at = self._next_head(at + 1 if self._patience >= 0 else at + max(claimed, 1))
            if self._progress and at - reported >= _PROGRESS_STEP:
                self._progress(at - reported)
                reported = at
        if self._progress and reported < self._size:
            self._progress(self._size - reported)

    def record_at(self, at: int) -> FoundRecord | None:
        """Return the good record at a place, if there is one.

        Raises:
            UnsupportedError: Its kind is not known.
            StorageError: The input cannot be read.
        """
        return self._record_or_cost(at)[0] if at + HEAD_SIZE <= self._size else None

    def _record_or_cost(self, at: int) -> tuple[FoundRecord | None, int]:
        """Return the record at a place, or None and the bytes that were looked at in vain."""
        window = self._window
        offset = window.load(at, HEAD_SIZE)
        data = window.data
        tag = data[offset + _TAG_AT : offset + _POSITION_AT]
        if tag != self._tag and self._tag is not None:
            return None, 0
        checked_end = offset + CHECKED_SIZE
        position = int.from_bytes(data[offset + _POSITION_AT : checked_end], "little")
        unknown = None
        try:
            head = records.parse_head(data, tag, position, offset=offset, lengths=records.ANY_LENGTHS)
        except UnsupportedError as error:
            unknown = error
            head = self._unknown_head(data, offset)
        except FormatError:
            return None, 0
        fits = head.end <= records.MAX_ARCHIVE_SIZE and at + HEAD_SIZE + head.length <= self._size
        if position < bodies.PREAMBLE_SIZE or not fits:
            return None, 0
        body = window.view(at + HEAD_SIZE, head.length)
        hasher = blake3(body)
        hasher.update(data[offset:checked_end])
        if hasher.digest() != head.check:
            return None, HEAD_SIZE + head.length
        if unknown is not None:
            unknown.offset = at
            raise unknown
        return FoundRecord(head, tag, at, body), 0

    def _unknown_head(self, data: bytes, offset: int) -> RecordHead:
        """Return the head of a record of a kind that is not known, too long to be read where it is of no interest."""
        kind, length, _, position, check, *_ = _HEAD.unpack(data, offset)
        is_of_interest = self._tag is not None and length <= _MAX_UNKNOWN_SIZE
        return RecordHead(kind, length if is_of_interest else records.MAX_ARCHIVE_SIZE, position, check)

    def _next_head(self, start: int) -> int:
        """Return the first place from `start` on with something that looks like a head, or the size of the input."""
        window = self._window
        while start + HEAD_SIZE <= self._size:
            found = self._search(window.load(start, HEAD_SIZE))
            if found >= 0:
                return window.start + found
            if len(window.data) < HEAD_SIZE:
                break
            start = window.after(HEAD_SIZE)
        return self._size

    def _search(self, start: int) -> int:
        """Return where the first thing from `start` on that looks like a head is in the window, -1 if there is none."""
        data, shift = self._window.data, self._shift
        found = self._pattern.search(data, start + shift)
        while found is not None and (at := found.start() - shift) + HEAD_SIZE <= len(data):
            if _looks_like_head(data, at):
                return at
            found = self._pattern.search(data, found.start() + 1)
        return -1


class RecordReader:
    """Reads records again that were found before. For one thread.

    Args:
        source: The input.
        tag: The tag of the archive.
        encrypted: Whether its content is encrypted.
    """

    def __init__(self, source: ByteSource, tag: bytes, *, encrypted: bool = False) -> None:
        self.encrypted = encrypted  # Whether content is encrypted, and can only be copied
        self._source = source
        self._tag = tag
        self._finder = RecordFinder(source, tag)

    def record(self, at: int) -> FoundRecord:
        """Return the record at a place of the input.

        Raises:
            SourceChangedError: It is not there any more.
        """
        found = self._finder.record_at(at)
        if found is None:
            raise _changed(at)
        return found

    def walk(self, at: int, size: int) -> Iterator[FoundRecord]:
        """Yield the records in a range of the input that holds nothing else.

        Raises:
            SourceChangedError: They are not there any more.
        """
        end = at + size
        while at < end:
            found = self.record(at)
            yield found
            at = found.end

    def start(self, at: int, size: int) -> bytes:
        """Return the first bytes of the body of such a record, which is not checked."""
        return self._source.read(at + HEAD_SIZE, size)

    def ends(self, at: int, size: int) -> Iterator[tuple[RecordHead, int, bytes]]:
        """Yield of each record in such a range head, place, and the last 16 bytes of its body, which is not checked.

        Raises:
            SourceChangedError: They are not there any more.
        """
        stop, data = at + size, self._source.read(at, HEAD_SIZE)
        while at < stop:
            if len(data) < HEAD_SIZE or not _looks_like_head(data, 0):
                raise _changed(at)
            position = int.from_bytes(data[16:24], "little")
            head = records.parse_head(data, self._tag, position, lengths=records.ANY_LENGTHS)
            following = at + HEAD_SIZE + head.length
            end_size = min(_END_SIZE, head.length)
            data = self._source.read(following - end_size, end_size + HEAD_SIZE)
            if len(data) < end_size:
                raise _changed(at)
            yield head, at, data[:end_size]
            at, data = following, data[end_size:]


def _changed(at: int) -> SourceChangedError:
    return SourceChangedError("the damaged archive changed while it was read", offset=at)


def _looks_like_head(data: bytes, offset: int) -> bool:
    """Whether the reserved bytes are zero and the CRC-32 is right (REC-1 and REC-3)."""
    crc_at = offset + _CRC_AT
    if data[offset + _ZERO_AT : crc_at] != b"\0\0\0\0":
        return False
    return zlib.crc32(data[offset:crc_at]) == int.from_bytes(data[crc_at : crc_at + 4], "little")


class ArchiveIdentity(NamedTuple):
    """What is known of the archive before its records are read."""

    tag: bytes  # The tag of its records, 8 bytes
    id: bytes | None  # Its id, 16 bytes, if the preamble tells it
    preamble_is_good: bool  # Whether the first 32 bytes are the preamble, without a fault


def from_preamble(source: ByteSource) -> ArchiveIdentity | None:
    """Return what the first 32 bytes say, also where only their constant part is damaged.

    Raises:
        UnsupportedError: An archive of another version.
    """
    data = source.read(0, bodies.PREAMBLE_SIZE)
    if len(data) < bodies.PREAMBLE_SIZE:
        return None
    repaired = Preamble(data[_PREAMBLE_ID])
    crc_is_right = repaired.build()[_PREAMBLE_CRC] == data[_PREAMBLE_CRC]
    try:
        return ArchiveIdentity(Preamble.parse(data).tag, data[_PREAMBLE_ID], preamble_is_good=True)
    except UnsupportedError:
        if zlib.crc32(data[_PREAMBLE_ID], zlib.crc32(data[:12])) == int.from_bytes(data[_PREAMBLE_CRC], "little"):
            raise
    except FormatError:
        pass
    return ArchiveIdentity(repaired.tag, repaired.id, preamble_is_good=False) if crc_is_right else None


def from_records(source: ByteSource) -> ArchiveIdentity | None:
    """Return the tag that the records tell: from TAIL or HEAD where they stand, else that of most bytes."""
    finder = RecordFinder(source, None)
    for at, kind in ((source.size - bodies.TAIL_SIZE, records.TAIL), (bodies.PREAMBLE_SIZE, records.HEAD)):
        record = finder.record_at(at) if at >= bodies.PREAMBLE_SIZE else None
        if record is not None and (record.head.kind, record.head.position) == (kind, at):
            return ArchiveIdentity(record.tag, None, preamble_is_good=False)
    tag = _tag_of_most(finder, source.size)
    return None if tag is None else ArchiveIdentity(tag, None, preamble_is_good=False)


def preambles(source: ByteSource, start: int, stop: int) -> Iterator[tuple[int, Preamble]]:
    """Yield place and content of each good preamble in a range."""
    window = InputWindow(source)
    at, stop = start, min(stop, source.size)
    while at + bodies.PREAMBLE_SIZE <= stop:
        offset = window.load(at, bodies.PREAMBLE_SIZE)
        limit = max(stop - window.start, 0)
        found = window.data.find(MAGIC, offset, limit)
        while found >= 0:
            data = window.data[found : min(found + bodies.PREAMBLE_SIZE, limit)]
            if len(data) == bodies.PREAMBLE_SIZE and data == Preamble(data[_PREAMBLE_ID]).build():
                yield window.start + found, Preamble(data[_PREAMBLE_ID])
            found = window.data.find(MAGIC, found + 1, limit)
        at = window.after(bodies.PREAMBLE_SIZE)


def moved_preamble(source: ByteSource, tag: bytes, stop: int) -> bytes | None:
    """Return the id from a preamble of this tag that stands somewhere before `stop`."""
    return next((one.id for _, one in preambles(source, 0, stop) if one.tag == tag), None)


def nothing_found(source: ByteSource) -> FormatError:
    """Return the error for an input without a single good record."""
    data = source.read(0, bodies.PREAMBLE_SIZE)
    try:
        Preamble.parse(data)
    except (BadMagicError, UnsupportedError) as error:
        return error
    except FormatError:
        pass
    return FormatError("no record of the archive is left", rule="SALV-1", offset=0, hint="there is nothing to salvage")


def _tag_of_most(finder: RecordFinder, source_size: int) -> bytes | None:
    """Return the tag with most bytes in good records; bytes that stand where they belong come first."""
    weights: dict[bytes, list[int]] = {}
    for record in finder:
        size = HEAD_SIZE + record.head.length
        if len(weights) >= _MAX_TAGS and record.tag not in weights:
            continue
        weight = weights.setdefault(record.tag, [0, 0])
        weight[0] += size if record.at == record.head.position else 0
        weight[1] += size
        if weight[0] > source_size // 2:
            return record.tag
    return max(weights, key=lambda tag: (weights[tag], tag), default=None)
