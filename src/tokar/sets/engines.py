"""Which engines can recover a set: from which version on, going by formats, and up to which, where that is known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tokar.sets.facts import DatabaseFacts, LogFacts

# Versions of the engine, the oldest first: what it came with, and the highest format that it writes.
# Source: Microsoft, Extensible Storage Engine, sysver.cxx and daedef.hxx; real files of each but for the first three.
_ENGINES: Final = (
    # revision of databases, update of logs of format 7, of format 8
    ("Exchange 5.5", 2, 0, 0),
    ("Windows 2000 or Exchange 2000", 8, 5, 0),
    ("Windows XP or Server 2003", 9, 10, 0),
    ("Exchange 2003 SP1", 0xB, 10, 0),
    ("Windows Vista or Server 2008", 0xC, 14, 0),
    ("Windows 7 or Server 2008 R2", 0x11, 17, 0),
    ("Windows 8 or Server 2012", 0x14, 99, 3),
    ("Windows 8.1 or Server 2012 R2", 0x14, 99, 4),
    ("Windows 10 or Server 2016", 0x14, 99, 5),
    ("Windows 10 2004", 110, 99, 60),
    ("Windows Server 2022 or Windows 11", 200, 99, 90),
)
_NEWER: Final = "an engine newer than that of Windows 11 21H2"
_SPLITS_CHANGED: Final = 11  # update of format 7 from which on today's engine reads the records of splits


def engines_text(databases: Iterable[DatabaseFacts], needed: Iterable[LogFacts]) -> str:
    """Return the range of engines that can recover databases with the logs that they need, in words.

    Args:
        databases: The databases.
        needed: The logs that recovery plays onto them.
    """
    logs = [tuple(map(int, log.format.split("."))) for log in needed if log.format]
    places = [_of_revision(one.header.revision) for one in databases if one.header is not None]
    if not places:
        return ""
    places += [_of_log(*one) for one in logs]
    oldest = max(places)
    lowest = _ENGINES[oldest][0] if oldest < len(_ENGINES) else _NEWER
    old = [one for one in logs if one[0] == 7 and one[2] < _SPLITS_CHANGED]
    if old:
        return (
            f"{lowest}; today's engine answers -514 to logs of format {'.'.join(map(str, max(old)))} that hold a split"
        )
    return f"{lowest}, or later; an upper end is not known"


def _of_revision(revision: int) -> int:
    """Return the place of the oldest engine that knows a revision of the database format."""
    return next((at for at, (_, known, _, _) in enumerate(_ENGINES) if revision <= known), len(_ENGINES))


def _of_log(major: int, minor: int, update: int, update_minor: int) -> int:
    """Return the place of the oldest engine that knows a format of logs."""
    del minor, update_minor
    if major == 7:
        return next((at for at, (_, _, known, _) in enumerate(_ENGINES) if update <= known), len(_ENGINES))
    if major == 8:
        return next((at for at, (_, _, _, known) in enumerate(_ENGINES) if known and update <= known), len(_ENGINES))
    return 0
