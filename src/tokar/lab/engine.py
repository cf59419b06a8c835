"""The simulated engines: how those behind three dialects differ, what they refuse, where times and chance come from.

`Era` is data, not code. What is simulated, and why this and nothing older:

* `edbbcli` writes the files of Exchange 2000 before Service Pack 2: pages with the old XOR, logs of format 7.3704.3
  without a file type, and **real patch files**. The log layout of Exchange 5.5 and before is not public, so no honest
  file of it could be written.
* `ntdsbcli` writes those of Windows Server 2003: pages of 8 KiB with the old XOR, logs of format 7.3704.6, a trailer
  page in place of the patch file.
* `certadm` writes those of Windows Server 2019: pages with XOR and ECC, logs of format 8.4000.5.16 in checksummed
  segments, linked by the accumulated segment checksum; ranges of required and of committed logs.

`EngineError` is what an engine refuses, with the number and the name that the real one gives for it. It hangs into the
tree of `tokar.errors` under SourceError: the server behind a backup or a restore cannot do what it was asked to. Times
and chance follow from a seed: the same calls give the same bytes.

Sources: Microsoft, Extensible Storage Engine, log.hxx and daedef.hxx; Microsoft, "Extensible Storage Engine Error
Codes"; Microsoft Knowledge Base Q158526, Q179654.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from tokar import codes
from tokar.errors import InputError, SourceError
from tokar.ese.values import LogTime


@dataclass(frozen=True, slots=True, kw_only=True)
class Era:
    """The traits of one engine."""

    profile: str  # The dialect it serves
    page_size: int  # Bytes in a database page
    revision: int  # Format revision in database headers; from 0xB on pages carry XOR and ECC
    log_format: tuple[int, int, int, int]  # Major, minor, update and minor update of the log format
    sector_size: int  # Bytes in a log sector (a segment in format 8)
    log_sectors: int  # Sectors in a log file: logs are small here, so that generations come and go quickly
    typed: bool = True  # Whether headers say what kind of file they head (since 7.3704.5)
    # Whether a page split is logged with everything it moves. Where not, backups need a patch file.
    full_splits: bool = True
    utc: bool = False  # Whether times are UTC with milliseconds, else local without
    # Whether headers know a range of committed logs beyond the required one (Windows Vista and later).
    committed: bool = False
    copy_apart: bool = False  # Whether a full backup without truncation is remembered as a copy, else as a full
    checks_dbtime: bool = True  # Whether redo notices a page that is older than the log expects (-566)
    deletes_after_gap: bool = False  # Whether recovery deletes the logs after a gap (Q179654), else it fails

    @property
    def header_sectors(self) -> int:
        """Sectors that the 4096 bytes of a log header take."""
        return 4096 // self.sector_size

    def file_type(self, number: int) -> int:
        """Return what a header of this era stores as its file type."""
        return number if self.typed else 0


_ERAS = (
    Era(
        profile="edbbcli",
        page_size=4096,
        revision=8,
        log_format=(7, 3704, 3, 0),
        sector_size=512,
        log_sectors=64,
        typed=False,
        full_splits=False,
        checks_dbtime=False,
        deletes_after_gap=True,
    ),
    Era(
        profile="ntdsbcli",
        page_size=8192,
        revision=9,
        log_format=(7, 3704, 6, 0),
        sector_size=512,
        log_sectors=80,
    ),
    Era(
        profile="certadm",
        page_size=4096,
        revision=0x14,
        log_format=(8, 4000, 5, 16),
        sector_size=4096,
        log_sectors=9,
        utc=True,
        committed=True,
        copy_apart=True,
    ),
)
ERAS: Final[Mapping[str, Era]] = MappingProxyType({era.profile: era for era in _ERAS})


def era_of(profile: str) -> Era:
    """Return the engine behind a dialect.

    Raises:
        InputError: There is no simulated server of that profile.
    """
    if profile not in ERAS:
        raise InputError(f"there is no simulated server of the profile {profile!r}", hint=f"one of {', '.join(ERAS)}")
    return ERAS[profile]


FILE_IN_USE: Final = -1032
"""What the engine answers where another process has its files."""


class EngineError(SourceError):
    """The simulated engine refused.

    Args:
        code: The JET number, negative.
        message: What is wrong, in one line.
        path: The file concerned.
        hint: What to do next; where it is None, what the system or the table of codes says.
    """

    def __init__(self, code: int, message: str, *, path: Path | str | None = None, hint: str | None = None) -> None:
        self.code = code
        known = codes.of_engine(code)
        self.name = known.name
        super().__init__(f"{message}: {self.name}, {code}", path=path, hint=hint)
        self.otherwise = known.next_step or self.otherwise


T = TypeVar("T")


class Clock:
    """A clock for one life of an engine, from its start to its stop: every answer is a second later than the last.

    Lives are a day apart, so two logs with the same number that were made in different lives never carry the same
    creation time: that is how a fork of the log stream is told.

    Args:
        seed: Of the lab; moves the first day by some seconds.
        life: How often the engine has been started.
        utc: Whether to give UTC with milliseconds, else local time without.
    """

    def __init__(self, seed: int, life: int, *, utc: bool) -> None:
        self._moment = datetime(2001, 1, 1, tzinfo=UTC) + timedelta(days=life, seconds=seed % 79_999)
        self._utc = utc

    def now(self) -> LogTime:
        """Return the next moment."""
        self._moment += timedelta(seconds=1, milliseconds=self._utc * 7)
        return LogTime.from_datetime(self._moment if self._utc else self._moment.replace(tzinfo=None))


class Chance:
    """Repeatable chance.

    Args:
        seed: Of the lab.
        life: How often the engine has been started: each life has its own chances.
    """

    def __init__(self, seed: int, life: int = 0) -> None:
        self._random = random.Random(f"{seed}/{life}")  # noqa: S311 - must be repeatable

    def happens(self, probability: float) -> bool:
        """Tell whether something of that probability happens this time."""
        return self._random.random() < probability

    def number(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return self._random.randint(low, high)

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of the choices."""
        return self._random.choice(choices)

    def some_bytes(self, size: int) -> bytes:
        """Return that many arbitrary bytes."""
        return self._random.randbytes(size)
