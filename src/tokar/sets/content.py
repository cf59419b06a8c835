"""Faults that one file has by itself: its header copies, its size, its pages, its segments, its name."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from tokar.ese.logreport import LOG_CORRUPT, LOG_SIZE_DIFFERS
from tokar.ese.pagereport import PageFaultKind
from tokar.sets.faults import Fault, FaultKind, Severity, some

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.ese.pagereport import PageFault, PageReport
    from tokar.sets.facts import DatabaseFacts, LogFacts

_ANOTHER_COPY = "take another copy of this file while its source is still there"
_COMMITTED_DAMAGED: Final = -586
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
