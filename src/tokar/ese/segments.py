"""The content of a log of format 8: segments of 4096 bytes, each with a checksum, its own position, and its generation.

The log ends at the first segment that is empty, stale (left over from the file's former life as an older generation) or
a shadow (a second copy of the segment before it, which is only partly filled). A valid segment behind such an end means
that a write was lost.

Source: Microsoft, Extensible Storage Engine, logread.cxx and logwrite.cxx.
"""

from __future__ import annotations

from enum import Enum
from functools import reduce
from operator import xor
from typing import Final

from tokar.ese.blocksums import BlockSums, aligned_words
from tokar.ese.log import SEGMENT_SIZE, LogHeader
from tokar.ese.logreport import FAULT_LIMIT, LogFault, LogFaultKind, LogReport
from tokar.ese.numeric import np
from tokar.ese.pagefaults import flipped_bit

BATCH: Final = 256
"""Segments that are checked at a time: 1 MiB."""
MOST_SEGMENTS: Final = 65536
"""A position counts its sectors in 16 bits, so nothing beyond can belong to the log."""


class _Class(Enum):
    VALID = "valid"
    STALE = "stale"
    SHADOW = "shadow"
    EMPTY = "empty"
    BAD = "bad"


class SegmentChecker:
    """Checks the segments of one log while its bytes go by; for use by `tokar.ese.logcheck`."""

    def __init__(self, header: LogHeader) -> None:
        self._header = header
        self._sums = BlockSums(SEGMENT_SIZE, BATCH)
        self._partial = bytearray()
        self._checksums: list[int] = []
        self._differences: list[int] = []
        self._positions: list[int] = []
        self._empty: list[bool] = []

    def update(self, view: memoryview) -> None:
        """Take the next bytes of the log."""
        if self._partial:
            missing = SEGMENT_SIZE - len(self._partial)
            self._partial += view[:missing]
            view = view[missing:]
            if len(self._partial) < SEGMENT_SIZE:
                return
            self._take(memoryview(bytes(self._partial)))
            self._partial.clear()
        whole = len(view) - len(view) % SEGMENT_SIZE
        for start in range(0, whole, BATCH * SEGMENT_SIZE):
            self._take(view[start : min(start + BATCH * SEGMENT_SIZE, whole)])
        self._partial += view[whole:]

    def _take(self, view: memoryview) -> None:
        if len(self._checksums) >= MOST_SEGMENTS:
            return
        segments = aligned_words(view, SEGMENT_SIZE // 8)
        stored = segments[:, 0].copy()
        _, computed = self._sums.sums(segments, stored)
        # Nothing but zeros sums up to zero as well, but so could content: only the words themselves can tell.
        empty = np.bitwise_or.reduce(segments, axis=1) == 0
        self._checksums += stored.tolist()
        self._differences += (stored ^ computed).tolist()
        self._positions += segments[:, 1].tolist()
        self._empty += empty.tolist()

    def finish(self, size: int) -> LogReport:
        """Return what was found in a file of that many bytes."""
        first = self._header.header_sectors
        classes = [self._classify(number) for number in range(first, min(len(self._checksums), MOST_SEGMENTS))]
        end = max((index for index, kind in enumerate(classes) if kind is _Class.VALID), default=-1) + 1
        faults = [
            self._fault(first + index, kind) for index, kind in enumerate(classes[:end]) if kind is not _Class.VALID
        ]
        counted = [index for index, kind in enumerate(classes) if kind is _Class.VALID]
        rescued = classes[end : end + 2] == [_Class.BAD, _Class.SHADOW]
        if rescued:
            counted.append(end + 1)
        else:
            faults += self._torn(first, classes, end)
        return LogReport(
            unit="segments",
            valid=classes.count(_Class.VALID),
            shadow=classes.count(_Class.SHADOW),
            stale=classes.count(_Class.STALE),
            empty=classes.count(_Class.EMPTY),
            rescued=int(rescued),
            bad=len(faults),
            faults=tuple(faults[:FAULT_LIMIT]),
            segments_xor=reduce(xor, (self._checksums[first + index] for index in counted), 0),
            expected_size=self._header.file_size,
            size=size,
        )

    def _torn(self, first: int, classes: list[_Class], end: int) -> list[LogFault]:
        """Return the damaged segments right behind the last valid one. Behind any other end they are no part of the log."""
        faults = []
        while end < len(classes) and classes[end] is _Class.BAD:
            faults.append(self._fault(first + end, _Class.BAD, LogFaultKind.TORN))
            end += 1
        return faults

    def _classify(self, number: int) -> _Class:
        """Say what a segment is. A checksum is right for the number by which it differs from the one for number 0."""
        if self._empty[number]:
            return _Class.EMPTY
        position = self._positions[number]
        byte, sector, generation = position & 0xFFFF, position >> 16 & 0xFFFF, position >> 32
        if self._differences[number] != sector or byte or sector not in {number, number - 1}:
            return _Class.BAD
        if generation < self._header.generation:
            return _Class.STALE
        if generation > self._header.generation:
            return _Class.BAD
        return _Class.VALID if sector == number else _Class.SHADOW

    def _fault(self, number: int, kind: _Class, as_kind: LogFaultKind = LogFaultKind.BAD) -> LogFault:
        offset = number * SEGMENT_SIZE
        if kind is not _Class.BAD:
            return LogFault(LogFaultKind.LOST, offset, number)
        position = flipped_bit(self._differences[number] ^ number, SEGMENT_SIZE)
        return LogFault(as_kind, offset, number, () if position is None else (position,))
