"""Faults of a set, as data: what is wrong, which files, which error the engine would give, what to do next.

The members of `FaultKind` stand in the order of causes: what comes first explains what comes later, so that a sorted
report begins with the root cause. What only follows from a fault is not a fault of its own; it is one of its
consequences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from tokar.codes import Code, of_engine
from tokar.ese.content_facts import LOG_CORRUPT, LOG_SIZE_DIFFERS, PageFaultKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokar.ese.content_facts import PageFault, PageReport
    from tokar.sets.facts import DatabaseFacts, LogFacts

_SHOWN: Final = 8
MOST_LISTED: Final = 1000
"""How many generations a fault lists; its message names all of them."""


class Severity(IntEnum):
    """How bad a fault is."""

    ERROR = 0  # recovery fails
    LOSS = 1  # recovery goes on only with a loss that somebody has accepted
    WARNING = 2  # recovery works; worth knowing before it begins


class Scope(StrEnum):
    """What a fault is about."""

    FILE = "file"  # one file, by itself
    SET = "set"  # how the files go together


class FaultKind(StrEnum):
    """What can be wrong with a set, root causes first."""

    DATABASE_UNREADABLE = "database-unreadable"
    STATE_UNUSABLE = "state-unusable"
    DATABASE_CUT = "database-cut"
    TRAILER_MISSING = "trailer-missing"
    TRAILER_DAMAGED = "trailer-damaged"
    TRAILER_FOREIGN = "trailer-foreign"
    MISSING_FULL = "missing-full"
    LOG_UNREADABLE = "log-unreadable"
    LOG_MISSING = "log-missing"
    LOG_FOREIGN = "log-foreign"
    LOG_FORKED = "log-forked"
    LOG_DIFFERS = "log-differs"
    LOG_OF_OTHER_BRANCH = "log-of-other-branch"
    LOG_NAME = "log-name"
    LOG_SIZE = "log-size"
    LOG_PAGE_SIZE = "log-page-size"
    LOG_DAMAGED = "log-damaged"
    LOG_TORN = "log-torn"
    LINK_BROKEN = "link-broken"
    LOG_ALTERED = "log-altered"
    PATCH_MISSING = "patch-missing"
    PAGES_DAMAGED = "pages-damaged"
    PAGES_MISPLACED = "pages-misplaced"
    COMMITTED_LOG_MISSING = "committed-log-missing"
    HEADER_COPY = "header-copy"
    PAGES_CORRECTABLE = "pages-correctable"
    DATABASE_NOT_HERE = "database-not-here"
    LOGS_AFTER_GAP = "logs-after-gap"
    STRAY_LOGS = "stray-logs"
    CHECKPOINT_DAMAGED = "checkpoint-damaged"
    CHECKPOINT_FOREIGN = "checkpoint-foreign"
    CHECKPOINT_NEWER = "checkpoint-newer"
    FLUSH_MAP_FOREIGN = "flush-map-foreign"
    PRIOR_DIFFERS = "prior-differs"
    SALVAGED = "salvaged"

    @property
    def scope(self) -> Scope:
        """Whether it is about one file by itself, or about how files go together."""
        return Scope.FILE if self in _FILE_KINDS else Scope.SET


_FILE_KINDS: Final = {
    FaultKind.DATABASE_UNREADABLE,
    FaultKind.STATE_UNUSABLE,
    FaultKind.DATABASE_CUT,
    FaultKind.TRAILER_MISSING,
    FaultKind.TRAILER_DAMAGED,
    FaultKind.TRAILER_FOREIGN,
    FaultKind.LOG_UNREADABLE,
    FaultKind.LOG_NAME,
    FaultKind.LOG_SIZE,
    FaultKind.LOG_DAMAGED,
    FaultKind.LOG_TORN,
    FaultKind.PAGES_DAMAGED,
    FaultKind.PAGES_MISPLACED,
    FaultKind.HEADER_COPY,
    FaultKind.PAGES_CORRECTABLE,
    FaultKind.CHECKPOINT_DAMAGED,
}
_ORDER: Final = {kind: place for place, kind in enumerate(FaultKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a set."""

    kind: FaultKind  # What
    message: str  # The same in one sentence, with names and numbers
    severity: Severity = Severity.ERROR  # How bad it is
    files: tuple[str, ...] = ()  # Names of the files concerned
    generations: tuple[int, ...] = ()  # Log generations concerned, at most `MOST_LISTED`
    code: int | None = None  # The error the engine gives; None where it gives none
    next_step: str = ""  # What to do
    databases: tuple[str, ...] = ()  # Names of the databases that suffer
    consequences: tuple[str, ...] = ()  # What follows from it and is therefore not reported by itself

    @property
    def engine(self) -> Code | None:
        """The error with its name."""
        return None if self.code is None else of_engine(self.code)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.name.lower(),
            "message": self.message,
            "files": list(self.files),
            "generations": list(self.generations),
            "engine": self.engine.to_json() if self.engine else None,
            "next_step": self.next_step,
            "databases": list(self.databases),
            "consequences": list(self.consequences),
        }


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults with the worst and its root cause first; the same fault of several databases becomes one."""
    merged: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        key = (fault.kind, fault.severity, fault.files, fault.generations, fault.code)
        before = merged.get(key)
        merged[key] = _joined(before, fault) if before else fault
    return tuple(sorted(merged.values(), key=_place))


def _joined(one: Fault, other: Fault) -> Fault:
    return replace(
        one,
        databases=tuple(dict.fromkeys((*one.databases, *other.databases))),
        consequences=tuple(dict.fromkeys((*one.consequences, *other.consequences))),
    )


def _place(fault: Fault) -> tuple[int, int, int, tuple[str, ...]]:
    return fault.severity, _ORDER[fault.kind], min(fault.generations, default=0), fault.files


def some(items: Iterable[str]) -> str:
    """Return a list in words, cut off where it grows long."""
    listed = list(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def ranges(generations: Iterable[int]) -> str:
    """Return generations in words: `0x5`, `0x5-0x7, 0x9`."""
    runs: list[list[int]] = []
    for generation in sorted(set(generations)):
        if runs and generation == runs[-1][1] + 1:
            runs[-1][1] = generation
        else:
            runs.append([generation, generation])
    return spans(range(low, high + 1) for low, high in runs)


def spans(runs: Iterable[range]) -> str:
    """Return runs of generations in words; however long a run is, it costs nothing."""
    return some(f"0x{run[0]:X}" if len(run) == 1 else f"0x{run[0]:X}-0x{run[-1]:X}" for run in runs)


def first_of(runs: Iterable[range]) -> tuple[int, ...]:
    """Return the first generations of runs, at most `MOST_LISTED`."""
    return tuple(islice(chain.from_iterable(runs), MOST_LISTED))


_COMMITTED_DAMAGED: Final = -586


def log_problem(
    kind: FaultKind,
    message: str,
    log: LogFacts,
    severity: Severity,
    *,
    code: int | None,
    step: str,
    before: LogFacts | None = None,
) -> Fault:
    """Return a fault of one log, or of it and the one before. Where only committed transactions are at stake the engine says so (-586)."""
    return Fault(
        kind=kind,
        message=message,
        severity=severity,
        files=(before.name, log.name) if before else (log.name,),
        generations=(log.generation,) if log.generation is not None else (),
        code=_COMMITTED_DAMAGED if severity is Severity.LOSS else code,
        next_step=step,
    )


def broken(before: LogFacts, log: LogFacts, severity: Severity, *, hard: bool) -> Fault:
    """Return the fault of a log that was not created right after the one before it."""
    message = f"{log.name} does not continue {before.name}: it was created after another log of that number"
    step = "look for the logs of one history: a restore in between starts another"
    return log_problem(
        FaultKind.LINK_BROKEN, message, log, severity, code=-556 if hard else -515, step=step, before=before
    )


def altered(before: LogFacts, log: LogFacts, severity: Severity) -> Fault:
    """Return the fault of a log whose content is not what the next log was written after."""
    message = f"{before.name} is not the log that {log.name} was written after: its content has changed or is cut"
    step = f"look for another copy of {before.name}"
    return log_problem(FaultKind.LOG_ALTERED, message, before, severity, code=-590, step=step)


def forked(used: LogFacts, found: Sequence[LogFacts], severity: Severity) -> Fault:
    """Return the fault of logs that share a generation and were created at different times."""
    others = [log.name for log in found if log is not used]
    return Fault(
        kind=FaultKind.LOG_FORKED,
        message=f"generation 0x{used.generation or 0:X} is there more than once: beside {used.name} there is "
        f"{some(others)}, created at another time",
        severity=severity,
        files=(used.name, *others),
        generations=(used.generation,) if used.generation is not None else (),
        code=None if severity is Severity.WARNING else -515,
        next_step="keep the logs of one history together and the others elsewhere",
    )


_ANOTHER_COPY = "take another copy of this file while its source is still there"
_TRAILERS: Final = {-534: FaultKind.TRAILER_MISSING, -535: FaultKind.TRAILER_DAMAGED, -552: FaultKind.TRAILER_FOREIGN}


def database_faults(facts: DatabaseFacts) -> Iterator[Fault]:
    """Yield what is wrong with a database by itself."""
    name = facts.name
    fault = partial(Fault, files=(name,), databases=(name,))
    if facts.header is None:
        if facts.damaged:
            yield fault(
                kind=FaultKind.DATABASE_UNREADABLE,
                message=f"{name} cannot be read: {facts.note}",
                code=-1018,
                next_step=_ANOTHER_COPY,
            )
        return
    yield from _size_faults(facts)
    if not all(facts.copies_valid) or not facts.copies_identical:
        which = "first" if not facts.copies_valid[0] else "second"
        what = "is damaged" if not all(facts.copies_valid) else "is older than the first"
        yield fault(
            kind=FaultKind.HEADER_COPY,
            message=f"the {which} header copy of {name} {what}; the engine uses the other one",
            severity=Severity.WARNING,
            next_step="nothing: the engine repairs it when it opens the database",
        )
    if facts.pages is not None and not facts.pages.not_verified:
        yield from _page_faults(facts.name, facts.pages)


def _size_faults(facts: DatabaseFacts) -> Iterator[Fault]:
    """A copy that is cut short has lost its trailer too, which then is no fault of its own."""
    assert facts.header is not None
    name, page_size = facts.name, facts.header.page_size
    lost = (facts.trailer_fault,) if facts.trailer_fault else ()
    if facts.size % page_size or facts.size < 2 * page_size:
        yield Fault(
            kind=FaultKind.DATABASE_CUT,
            message=f"{name} is cut short: {facts.size} bytes are not a whole number of pages of {page_size}",
            code=-561 if facts.is_backup_copy else -1206,
            next_step=_ANOTHER_COPY,
            files=(name,),
            databases=(name,),
            consequences=lost,
        )
    elif facts.trailer_fault:
        kind = _TRAILERS.get(facts.trailer_code or 0, FaultKind.TRAILER_DAMAGED)
        yield Fault(
            kind=kind,
            message=f"{name}: {facts.trailer_fault}",
            code=facts.trailer_code,
            next_step="take a new full backup, or another copy of this one: without its trailer no engine restores it",
            files=(name,),
            databases=(name,),
        )


def _page_faults(name: str, report: PageReport) -> Iterator[Fault]:
    fault = partial(Fault, files=(name,), databases=(name,))
    misplaced = [one for one in report.faults if one.kind in {PageFaultKind.MISPLACED, PageFaultKind.WRONG_NUMBER}]
    damaged = report.bad - len(misplaced)
    if damaged:
        bad = [one for one in report.faults if one.kind in {PageFaultKind.BAD, PageFaultKind.CHECKSUM_BIT}]
        yield fault(
            kind=FaultKind.PAGES_DAMAGED,
            message=f"{name} has {damaged} damaged {_pages(damaged)}: {_places(bad)}",
            code=-1018,
            next_step="do not overwrite older backups; look for an undamaged copy, and check the storage",
        )
    if misplaced:
        yield fault(
            kind=FaultKind.PAGES_MISPLACED,
            message=f"{name} has {len(misplaced)} {_pages(len(misplaced))} in the wrong place: {_places(misplaced)}",
            code=misplaced[0].code,
            next_step="do not overwrite older backups; look for an undamaged copy, and check the storage",
        )
    if report.correctable:
        flipped = [one for one in report.faults if one.kind is PageFaultKind.CORRECTABLE]
        yield fault(
            kind=FaultKind.PAGES_CORRECTABLE,
            message=f"{name} has {report.correctable} {_pages(report.correctable)} with one flipped bit: {_places(flipped)}",
            severity=Severity.WARNING,
            next_step="the engine corrects them while reading; check the storage",
        )


def _pages(count: int) -> str:
    return "page" if count == 1 else "pages"


def _places(faults: list[PageFault]) -> str:
    return some(
        f"page {one.page} at 0x{one.offset:x}" + (f" (it is page {one.belongs_to})" if one.belongs_to else "")
        for one in faults
    )


def log_fault(log: LogFacts, severity: Severity, *, hard: bool, last: bool) -> Fault | None:
    """Return what is wrong with a log by itself, as one fault with the rest as its consequences; None where nothing is.

    Args:
        log: The log.
        severity: How bad it is that this log has a fault.
        hard: Whether hard recovery plays it.
        last: Whether it is the last one that will be played: there soft recovery may go on without a torn end.
    """
    found = list(_log_faults(log, severity, hard=hard, last=last))
    if not found:
        return None
    first, *rest = found
    if severity is Severity.LOSS:
        first = replace(first, code=_COMMITTED_DAMAGED)
    return replace(first, consequences=tuple(one.message for one in rest))


def _log_faults(log: LogFacts, severity: Severity, *, hard: bool, last: bool) -> Iterator[Fault]:
    """Yield what is wrong with a log, the cause first."""
    generations = (log.generation,) if log.generation is not None else ()
    fault = partial(Fault, files=(log.name,), generations=generations, severity=severity, next_step=_ANOTHER_COPY)
    if log.damaged:
        yield fault(
            kind=FaultKind.LOG_UNREADABLE,
            message=f"{log.name} cannot be read: {log.note}",
            code=-573 if hard else LOG_CORRUPT,
        )
        return
    if log.signature is None:
        return
    if log.named_generation not in {None, log.generation}:
        yield fault(
            kind=FaultKind.LOG_NAME,
            message=f"{log.name} is generation 0x{log.generation:X} by its header: the engine will not find it",
            code=-513,
            next_step="give it the name of its generation back",
        )
    if log.size != log.expected_size:
        yield fault(
            kind=FaultKind.LOG_SIZE,
            message=f"{log.name} has {log.size} bytes, its header says {log.expected_size}",
            code=LOG_SIZE_DIFFERS,
        )
    content = log.content
    if content is None or content.not_verified or not content.bad:
        return
    if content.is_torn and content.bad == 1:
        # Without a shadow the last records cannot be read; soft recovery may patch the end of the last log and go on
        # without them.
        patched = last and not hard and severity is Severity.ERROR
        yield fault(
            kind=FaultKind.LOG_TORN,
            message=f"{log.name} ends in a torn write at 0x{content.faults[0].offset:x}",
            severity=Severity.LOSS if patched else severity,
            code=-570 if hard else LOG_CORRUPT,
        )
        return
    where = some(f"0x{one.offset:x}" for one in content.faults)
    yield fault(
        kind=FaultKind.LOG_DAMAGED,
        message=f"{log.name} has {content.bad} damaged {content.unit} at {where}",
        severity=severity,
        code=-573 if hard else LOG_CORRUPT,
    )
