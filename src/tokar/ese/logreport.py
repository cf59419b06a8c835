"""What checking the content of a log found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

FAULT_LIMIT: Final = 1000
"""How many faults a report lists; all of them are counted."""
LOG_CORRUPT: Final = -501
LOG_SIZE_DIFFERS: Final = -541


class LogFaultKind(StrEnum):
    """What is wrong inside a log."""

    BAD = "bad"
    """Content and checksum do not fit, and the log goes on behind it."""
    LOST = "lost"
    """Zeros, or content of an older generation, where the log goes on behind it: a write never arrived."""
    TORN = "torn"
    """The log ends in content that does not fit its checksum: the last write was cut off, or its end is damaged."""


@dataclass(frozen=True, slots=True)
class LogFault:
    """One place in a log that is not as it should be."""

    kind: LogFaultKind  # What is wrong
    offset: int  # Bytes from the start of the file
    segment: int | None = None  # Number of the segment, in logs of format 8
    bits: tuple[int, ...] = ()  # The flipped bit, counted from the start of the segment, where it could be located

    @property
    def code(self) -> int:
        """The error the engine gives when it reads the log."""
        return LOG_CORRUPT


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What checking the content of a log found."""

    unit: str  # What carries the checksums: `segments` in format 8, `ranges` in format 7
    valid: int = 0  # Segments or ranges in order
    shadow: int = 0  # Shadow copies of a partly filled segment
    stale: int = 0  # Segments of an older generation in a recycled file: they mark the end of the log
    empty: int = 0  # Segments of zeros
    rescued: int = 0  # Damaged segments whose shadow copy is whole
    bad: int = 0  # All faults
    faults: tuple[LogFault, ...] = ()  # The first faults, at most `FAULT_LIMIT`
    # The accumulated segment checksum, which the next log must repeat; None in format 7.
    segments_xor: int | None = None
    expected_size: int  # The file size that the header calls for
    size: int  # The bytes that came
    not_verified: str = ""  # Why the content was not verified; empty when it was

    @property
    def size_differs(self) -> bool:
        """Whether the file has another size than its header says (-541)."""
        return self.size != self.expected_size

    @property
    def is_torn(self) -> bool:
        """Whether the log ends in a torn write."""
        return any(fault.kind is LogFaultKind.TORN for fault in self.faults)

    @property
    def is_good(self) -> bool:
        """Whether the content was verified, and all of it is in order."""
        return not (self.bad or self.size_differs or self.not_verified)
