"""What all ESE headers share: log positions, log times, signatures, backup information, and the two copies."""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import total_ordering
from typing import Annotated, Final, Generic, Self, TypeVar

from tokar.ese.record import I32, U8, U16, U32, Record, raw

HeaderT = TypeVar("HeaderT")


@total_ordering
@dataclass(frozen=True, slots=True, kw_only=True)
class LogPosition(Record):
    """A place in the log stream (JET_LGPOS, 8 bytes). Prints as `(gen,sector,byte)` in hex and orders by age."""

    # fmt: off
    byte:       U16 = 0  # 0  offset inside the sector
    sector:     U16 = 0  # 2  sector number inside the log file
    generation: I32 = 0  # 4  number of the log file
    # fmt: on

    @property
    def is_set(self) -> bool:
        """False for the all-zero value, which means "none"."""
        return bool(self.generation or self.sector or self.byte)

    def __lt__(self, other: Self) -> bool:
        return (self.generation, self.sector, self.byte) < (other.generation, other.sector, other.byte)

    def __str__(self) -> str:
        return f"({self.generation:X},{self.sector:X},{self.byte:X})"


NO_POSITION: Final = LogPosition()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTime(Record):
    """A moment as logs record it (JET_LOGTIME, 8 bytes). Two are equal when all bytes are: that is how logs link."""

    # fmt: off
    second: U8 = 0  # 0  0-59
    minute: U8 = 0  # 1  0-59
    hour:   U8 = 0  # 2  0-23
    day:    U8 = 0  # 3  1-31
    month:  U8 = 0  # 4  1-12
    year:   U8 = 0  # 5  years since 1900
    low:    U8 = 0  # 6  bit 0: the time is UTC, else local; bits 1-7: the low bits of the milliseconds
    high:   U8 = 0  # 7  bit 0: reserved; bits 1-3: the high bits of the milliseconds
    # fmt: on

    @classmethod
    def from_datetime(cls, moment: datetime) -> Self:
        """Return a moment as log time: UTC when it carries a time zone, else local; microseconds are cut off.

        Raises:
            ValueError: The year is not within 1900-2155.
        """
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC)
        year = moment.year - 1900
        if not 0 <= year <= 255:
            raise ValueError(f"a log time cannot hold the year {moment.year}")
        millisecond = moment.microsecond // 1000
        return cls(
            **{name: getattr(moment, name) for name in ("second", "minute", "hour", "day", "month")},
            year=year,
            low=(millisecond & 0x7F) << 1 | (moment.tzinfo is not None),
            high=(millisecond >> 7) << 1,
        )

    @property
    def is_set(self) -> bool:
        """False when no date is recorded."""
        return any((self.second, self.minute, self.hour, self.day, self.month, self.year))

    @property
    def is_utc(self) -> bool:
        """True when the time is UTC; False when it is the local time of the machine that wrote it."""
        return bool(self.low & 1)

    @property
    def millisecond(self) -> int:
        """0-999 in sound files; always 0 before Windows 8."""
        return self.low >> 1 | (self.high >> 1 & 7) << 7

    def iso(self) -> str:
        """Return the moment as `2022-02-05 19:30:30.435Z`, without the Z where the time is local; empty where unset."""
        if not self.is_set:
            return ""
        text = f"{self.year + 1900:04}-{self.month:02}-{self.day:02} {self.hour:02}:{self.minute:02}:{self.second:02}"
        return f"{text}.{self.millisecond:03}{'Z' if self.is_utc else ''}"

    def __str__(self) -> str:
        """Print as esentutl does: month first, milliseconds, then UTC or LOC."""
        date = f"{self.month:02}/{self.day:02}/{self.year + 1900:04}"
        clock = f"{self.hour:02}:{self.minute:02}:{self.second:02}.{self.millisecond:03}"
        return f"{date} {clock} {'UTC' if self.is_utc else 'LOC'}"


NO_TIME: Final = LogTime()


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature(Record):
    """What makes a database or a log stream itself (JET_SIGNATURE, 28 bytes). Equal only when all 28 bytes are."""

    # fmt: off
    random:   U32     = 0        # 0   a random number
    created:  LogTime = NO_TIME  # 4   when it was made
    computer: Annotated[bytes, raw(16)] = bytes(16)  # 12  computer name, NUL padded; empty in every file seen
    # fmt: on

    @property
    def is_set(self) -> bool:
        """False for the all-zero signature: never belonged to a log stream."""
        return self != NO_SIGNATURE

    def __hash__(self) -> int:
        """Hash the random number, which tells it from others: whoever looks a stream up asks for every log."""
        return hash(self.random)

    def __str__(self) -> str:
        """Print as esentutl does."""
        moment = str(self.created).rsplit(" ", 1)[0]
        return f"Create time:{moment} Rand:{self.random} Computer:{text(self.computer)}"


NO_SIGNATURE: Final = Signature()


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupInfo(Record):
    """What a database header remembers of a backup (JET_BKINFO, 24 bytes)."""

    # fmt: off
    mark:            LogPosition = NO_POSITION  # 0   where the log stood when the backup began
    time:            LogTime     = NO_TIME      # 8   when that was
    generation_low:  U32         = 0            # 16  the first log that belongs to the backup
    generation_high: U32         = 0            # 20  the last one; 0 in a streaming copy that has not been restored
    # fmt: on

    @property
    def is_set(self) -> bool:
        """False when there was no such backup."""
        return self != NO_BACKUP


NO_BACKUP: Final = BackupInfo()


@dataclass(frozen=True, slots=True)
class Copies(Generic[HeaderT]):
    """A header that is kept twice in its file, and what became of the two copies."""

    header: HeaderT  # The header to believe
    used: int  # Which copy it is, 0 or 1
    valid: tuple[bool, bool]  # Whether the checksum of each copy is right
    identical: bool  # Whether the two hold the same bytes. Both valid and not identical: the second is stale


def text(data: bytes) -> str:
    """Return NUL-terminated text for display; what is not ASCII is escaped, for its code page is not known."""
    return data.split(b"\0", 1)[0].decode("ascii", "backslashreplace")
