"""Which logs a database needs, going by its own header and, for a copy made by a backup, by its trailer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from tokar.as_json import fields_json
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.values import NO_TIME, LogTime
from tokar.sets.facts import DatabaseFacts, LogFacts
from tokar.words import hex_text, range_text

_UNUSABLE: Final = {
    DatabaseState.JUST_CREATED: "its creation was never finished; recovery from the log that created it makes it anew",
    DatabaseState.BEING_CONVERTED: "an upgrade was in progress",
    DatabaseState.INCREMENTAL_RESEED_IN_PROGRESS: "an incremental reseed was in progress",
    DatabaseState.REVERT_IN_PROGRESS: "a revert was in progress",
}


_DATABASES: Final = {0, 1}
"""The file types of databases: before file types there was none."""
_FORGETS_BACKUPS: Final = 0xC
"""The revision of databases from which on that is known."""
_BACKUPS: Final = ("previous_full", "previous_incremental", "previous_copy", "previous_differential")


class Basis(StrEnum):
    """What the need rests on."""

    CLEAN = "clean"  # nothing is needed
    REQUIRED_RANGE = "required-range"  # the header of a database that was not shut down
    TRAILER = "trailer"  # the trailer of a streaming copy
    BACKUP_RANGE = "backup-range"  # the header of a backup copy whose range is filled in
    BACKUP_START = "backup-start"  # a backup copy of which only the lowest log is known
    UNUSABLE = "unusable"  # no log helps
    UNKNOWN = "unknown"  # the rules for such a file are not known


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """The logs a database needs."""

    basis: Basis  # What this rests on
    low: int = 0  # The first generation; 0 where none is needed
    high: int = 0  # The last one
    committed: int = 0  # The highest generation with transactions that were committed; at least `high`
    hard: bool = False  # Whether hard recovery plays them: the file is a copy from a streaming backup
    last_log: int = 0  # The generation whose creation time the header keeps, 0 where it keeps none
    last_log_created: LogTime = NO_TIME  # That time
    why: str = ""  # What is known of the case in words; for an unusable or unknown one the reason
    not_checked: str = ""  # What the judgement leaves open, in words; empty where nothing

    @property
    def generations(self) -> range:
        """The generations without which recovery fails."""
        return range(self.low, self.high + 1) if self.low else range(0)

    @property
    def only_committed(self) -> range:
        """The generations without which committed transactions are lost."""
        return range(self.high + 1, self.committed + 1) if self.low else range(0)

    def is_sure_of(self, log: LogFacts) -> bool:
        """Return whether recovery goes through a log of the run, or fails: the rest may end before one that is damaged.

        What rests on a log that is not needed, and that nobody examined, is a remark.
        """
        return log.content is not None or log.is_opaque or (log.generation or 0) in self.generations

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            **fields_json(self, "basis", "low", "high", "committed"),
            "recovery": "none" if self.basis is Basis.CLEAN else "hard" if self.hard else "soft",
            "why": self.why,
        }


def need_of(facts: DatabaseFacts) -> Need:
    """Return which logs a database needs."""
    header = facts.header
    if header is None:
        lacks = f": {facts.note}" if facts.note else ""
        why = facts.note if facts.recognised else f"not a database of a known format{lacks}"
        return Need(basis=Basis.UNUSABLE if facts.damaged and facts.recognised else Basis.UNKNOWN, why=why)
    if facts.temporary or header.state in _UNUSABLE:
        why = _UNUSABLE.get(header.state, "") if header.state else ""
        return Need(basis=Basis.UNUSABLE, why=f"state {header.state_name}: {why}")
    if why := _contradiction(header):
        return Need(basis=Basis.UNKNOWN, why=f"{header.state_name}, {why}, which cannot be")
    if header.is_clean:
        return Need(basis=Basis.CLEAN, why=header.state_name)
    if header.state not in {DatabaseState.DIRTY_SHUTDOWN, DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN}:
        return Need(basis=Basis.UNKNOWN, why=f"what a database in the {_state(header)} needs is not known")
    return _need_of_copy(facts, header) if facts.is_backup_copy else _need_of_dirty(header)


def _contradiction(header: DatabaseHeader) -> str:
    """Return what in a header no engine writes together; empty where nothing is. None of it stops recovery."""
    if header.attribute or header.file_type not in _DATABASES:
        return f"of attribute {header.attribute} and file type {header.file_type} by its header"
    low, high, committed = header.required_low, header.required_high, header.committed_high
    if header.is_clean and (low or high):
        return f"and logs are required by its header, {range_text(low, high)}"
    if 0 < committed < high:
        return f"and logs up to {hex_text(high)} are required by its header, and committed up to {hex_text(committed)}"
    last = max(high, committed, header.consistent_position.generation, header.detach_position.generation)
    # Attached to another log stream, engines from Vista on forget backups; a copy says elsewhere where it ends.
    if header.revision < _FORGETS_BACKUPS or header.current_full.generation_low or not last:
        return ""
    marks = max(getattr(header, name).mark.generation for name in _BACKUPS)
    return f"and a backup was begun in log {hex_text(marks)} by its header" if marks > last else ""


def _state(header: DatabaseHeader) -> str:
    return header.state_name if header.state is None else f"state {header.state_name}"


def _need_of_dirty(header: DatabaseHeader) -> Need:
    low, high = header.required_low, header.required_high
    if not 0 < low <= high:
        none = "but its header names no required logs (Exchange 5.5 keeps none there)"
        odd = f"and the required logs in its header, {low} to {high}, are no range"
        return Need(basis=Basis.UNKNOWN, why=f"{header.state_name}, {odd if low or high else none}")
    committed = max(high, header.committed_high)
    patched = header.state is DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN
    return Need(
        basis=Basis.REQUIRED_RANGE,
        low=low,
        high=high,
        committed=committed,
        last_log=committed if header.last_log_time.is_set else 0,
        last_log_created=header.last_log_time,
        why=f"state {header.state_name}",
        not_checked="in this state the lowest required log may lie below what is really needed" if patched else "",
    )


def _need_of_copy(facts: DatabaseFacts, header: DatabaseHeader) -> Need:
    """Return the range of the backup: from its lowest log to the one that was current when the copy ended."""
    low = header.current_full.generation_low
    if facts.trailer is not None:
        high = facts.trailer.backup.generation_high
        return _last_log(header, _copy_need(Basis.TRAILER, low, high, "streaming copy"))
    if header.current_full.generation_high:
        high = header.current_full.generation_high
        # Before trailers the header named the log that was current when the copy began; the patch file knows where it
        # ended.
        open_end = (
            "" if header.file_type else "the last log that is needed stands in the patch file, which is not interpreted"
        )
        return _last_log(header, _copy_need(Basis.BACKUP_RANGE, low, high, "a copy from a backup", open_end))
    high = max(low, header.required_high)
    open_end = "the last log that is needed is not known"
    return _copy_need(Basis.BACKUP_START, low, high, "streaming copy whose end is not recorded", open_end)


def _copy_need(basis: Basis, low: int, high: int, why: str, not_checked: str = "") -> Need:
    if not 0 < low <= high:
        return Need(
            basis=Basis.UNKNOWN, why=f"{why} with logs from {hex_text(low)} to {hex_text(high)}, which cannot be"
        )
    return Need(basis=basis, low=low, high=high, committed=high, hard=True, why=why, not_checked=not_checked)


def _last_log(header: DatabaseHeader, need: Need) -> Need:
    """Add the creation time that the header keeps of its highest log, where that log is in the range."""
    at = max(header.required_high, header.committed_high)
    if not header.last_log_time.is_set or at not in need.generations:
        return need
    return replace(need, last_log=at, last_log_created=header.last_log_time)
