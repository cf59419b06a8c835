"""What is wrong with a database or a log by itself, whatever lies beside it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tokar.ese.content_facts import LogReport, PageFault, PageFaultKind, PageReport
from tokar.ese.database import FORMAT_VERSION, NEWEST_REVISION, DatabaseHeader
from tokar.ese.pagerecords import LOWEST_SPECIAL_DBTIME
from tokar.sets.facts import ChainFacts, DatabaseFacts, LogFacts
from tokar.sets.faults import COMMITTED_DAMAGED, Fault, FaultKind, Rules, Severity
from tokar.sets.reach import reached_by
from tokar.words import count_text, noun, some

_SEGMENT_SIZE: Final = 4096
_TRAILERS: Final = {
    -534: Rules.TRAILER_MISSING,
    -535: Rules.TRAILER_DAMAGED,
    -552: Rules.TRAILER_FOREIGN,
}
_UNLINKED: Final = Rules.PAGES_UNLINKED.code
OWN_LOG_FAULTS: Final = {
    *(FaultKind.LOG_SIZE, FaultKind.LOG_BLANK, FaultKind.LOG_DAMAGED, FaultKind.LOG_TORN, FaultKind.LOG_SHORT),
    *(FaultKind.LOG_OF_OTHER_BRANCH, FaultKind.LOG_NAME),
}
"""Faults of a log itself, from which it only follows that the next one contradicts its content."""


def database_faults(facts: DatabaseFacts) -> Iterator[Fault]:
    """Yield what is wrong with a database by itself."""
    for fault in _database_faults(facts):
        yield replace(fault, files=(facts.name,), databases=(facts.name,))


def _database_faults(facts: DatabaseFacts) -> Iterator[Fault]:
    name = facts.name
    if facts.header is None:
        if facts.damaged and facts.recognised:
            yield Rules.DATABASE_UNREADABLE.fault(name, facts.note)
        return
    page_size = facts.header.page_size
    if facts.size % page_size or facts.size < 2 * page_size:
        # A copy that is cut short has lost its trailer too, which then is no fault of its own.
        cut = Rules.DATABASE_CUT.fault(name, facts.size, page_size, hard=facts.is_backup_copy)
        yield replace(cut, consequences=(facts.trailer_fault,) if facts.trailer_fault else ())
    elif facts.trailer_fault:
        yield _trailer_fault(facts)
    if facts.header.repair_count:
        times = count_text(facts.header.repair_count, "time")
        yield Rules.DATABASE_REPAIRED.fault(name, times, facts.header.repair_time.iso() or "an unknown day")
    if facts.header.version == FORMAT_VERSION and facts.header.revision > NEWEST_REVISION:
        yield Rules.DATABASE_NEWER.fault(name, facts.header.revision, NEWEST_REVISION)
    if not all(facts.copies_valid) or not facts.copies_identical:
        which = "first" if not facts.copies_valid[0] else "second"
        what = "is damaged" if not all(facts.copies_valid) else "is older than the first"
        yield Rules.HEADER_COPY.fault(which, name, what)
    if facts.pages is not None and not facts.pages.not_verified:
        yield from _after_moved(_page_faults(facts, facts.pages))
    if facts.chain is not None:
        yield from _chain_faults(facts, facts.chain)


def _chain_faults(facts: DatabaseFacts, chain: ChainFacts) -> Iterator[Fault]:
    if chain.unattached is not None:
        fault = Rules.NOT_ATTACHED.fault(facts.name, chain.unattached.text, hard=facts.is_backup_copy)
        yield fault if facts.is_backup_copy else replace(fault, code=chain.unattached.code)
    if chain.code is not None:
        severity = Severity.LOSS if chain.code == COMMITTED_DAMAGED else Severity.ERROR
        yield replace(Rules.LOG_RECORDS.fault(facts.name, chain.why_not, severity=severity), code=chain.code)
    if chain.off:
        yield _off_fault(facts.name, chain)


def _off_fault(name: str, chain: ChainFacts) -> Fault:
    more = f", and {chain.off_count - 1:,} more" if chain.off_count > 1 else ""
    fault = Rules.PAGES_OFF_CHAIN.fault(name, chain.off_count, noun(chain.off_count, "page"), f"{chain.off[0]}{more}")
    return replace(fault, code=chain.off[0].code)


def _after_moved(faults: Iterable[Fault]) -> list[Fault]:
    """Return faults of pages; what pages in the wrong place leave behind, or lead to from there, follows from that."""
    found = [*faults]
    moved = next((one for one in found if one.kind is FaultKind.PAGES_MISPLACED), None)
    if moved is None:
        return found
    rest = [one for one in found if one.blocks and (one.kind is FaultKind.DATABASE_BLANK or one.code == _UNLINKED)]
    told = replace(moved, consequences=tuple(one.message for one in rest))
    return [told if one is moved else one for one in found if all(one is not other for other in rest)]


def _page_faults(facts: DatabaseFacts, report: PageReport) -> Iterator[Fault]:
    name, last, reaches = facts.name, report.pages, report.reaches
    if report.blank:
        yield Rules.DATABASE_BLANK.fault(name, report.blank_pages)
    # The logs may say how a database grew that needs them, and what goes into its blank pages.
    grows = facts.is_backup_copy or not (facts.header and facts.header.is_clean)
    if reaches > last and not _lost_its_end(facts):
        yield (Rules.PAGES_BEYOND if grows else Rules.PAGES_MISSING).fault(name, last, reaches)
    if facts.header is not None and _is_ahead(facts.header, report, hard=facts.is_backup_copy):
        yield Rules.PAGES_AHEAD.fault(name, report.highest_dbtime, facts.header.dbtime)
    is_known = grows and facts.chain is not None and not facts.chain.why_not  # which of them the logs write
    lost = facts.chain.unwritten if is_known and facts.chain is not None else report.lost
    if lost and not (grows and report.blank):
        words = noun(len(lost), "page"), some(map(str, lost)), noun(len(lost), "is", "are")
        yield (Rules.PAGES_UNWRITTEN if grows and not is_known else Rules.PAGES_LOST).fault(name, *words)
    unlinked = facts.chain.unlinked if is_known and facts.chain is not None else report.unlinked
    if unlinked and not (grows and report.blank):
        rule = Rules.PAGES_UNSETTLED if grows and not is_known else Rules.PAGES_UNLINKED
        yield rule.fault(name, len(unlinked), noun(len(unlinked), "link"), some(f"{a} to {b}" for a, b in unlinked))
    misplaced = [one for one in report.faults if one.kind in {PageFaultKind.MISPLACED, PageFaultKind.WRONG_NUMBER}]
    damaged, moved, flipped = report.bad - len(misplaced), len(misplaced), report.correctable
    if damaged:
        bad = [one for one in report.faults if one.kind in {PageFaultKind.BAD, PageFaultKind.CHECKSUM_BIT}]
        behind = report.bad == len(report.faults) and report.owned and all(one.page > report.owned for one in bad)
        where = f", behind page {report.owned}, the last one in use" if behind else ""
        yield Rules.PAGES_DAMAGED.fault(name, damaged, noun(damaged, "page"), _places(bad) + where)
    if misplaced:
        fault = Rules.PAGES_MISPLACED.fault(name, moved, noun(moved, "page"), _places(misplaced))
        yield replace(fault, code=misplaced[0].code)
    if flipped:
        places = _places([one for one in report.faults if one.kind is PageFaultKind.CORRECTABLE])
        yield Rules.PAGES_CORRECTABLE.fault(name, flipped, noun(flipped, "page"), places)


def _trailer_fault(facts: DatabaseFacts) -> Fault:
    if facts.pages is not None and _lost_its_end(facts):
        cut = Rules.PAGES_MISSING.fault(facts.name, facts.pages.pages, facts.pages.reaches)
        return replace(cut, code=facts.trailer_code, consequences=(facts.trailer_fault,))
    rule = _TRAILERS.get(facts.trailer_code or 0, Rules.TRAILER_DAMAGED)
    return replace(rule.fault(facts.name, facts.trailer_fault), code=facts.trailer_code)


def _lost_its_end(facts: DatabaseFacts) -> bool:
    """Whether a copy has neither its trailer nor the pages before that: then it is cut, whatever came while it grew."""
    pages, is_gone = facts.pages, facts.trailer_code in {-534, -535}
    return is_gone and pages is not None and not pages.not_verified and pages.reaches > pages.pages


def _is_ahead(header: DatabaseHeader, report: PageReport, *, hard: bool) -> bool:
    """Whether pages are from after the shutdown; one without logs, repaired, or of an engine without it tells not."""
    tells = header.consistent_position.generation and not header.repair_count and (header.dbtime or report.owned)
    return bool(
        header.is_clean and tells and not hard and header.dbtime < report.highest_dbtime < LOWEST_SPECIAL_DBTIME
    )


def _places(faults: list[PageFault]) -> str:
    return some(
        f"page {one.page} at 0x{one.offset:x}" + (f" (it is page {one.belongs_to})" if one.belongs_to else "")
        for one in faults
    )


def log_fault(
    log: LogFacts, severity: Severity, *, hard: bool, last: bool, databases: Iterable[DatabaseFacts] = ()
) -> Fault | None:
    """Return what is wrong with a log by itself, as one fault with the rest as its consequences; None where nothing is.

    Args:
        log: The log.
        severity: How bad it is that this log has a fault.
        hard: Whether hard recovery plays it.
        last: Whether it is the last one that will be played: there soft recovery may go on without a torn end.
        databases: Those that it is played onto: it must reach what they say of it, whichever set they are in.
    """
    found = [*_log_faults(reached_by(log, databases), severity, hard=hard, last=last)]
    return replace(found[0], consequences=tuple(one.message for one in found[1:])) if found else None


def _log_faults(log: LogFacts, severity: Severity, *, hard: bool, last: bool) -> Iterator[Fault]:
    """Yield what is wrong with a log, the cause first."""
    if log.damaged:
        yield Rules.LOG_UNREADABLE.of_log(log, log.note, severity=severity, hard=hard)
        return
    if log.signature is None:
        return
    if log.named_generation not in {None, log.generation}:
        yield Rules.LOG_NAME.of_log(log, log.generation, severity=severity)
    if log.size != log.expected_size:
        yield Rules.LOG_SIZE.of_log(log, log.size, log.expected_size, severity=severity)
    content = log.content
    if content is None or content.not_verified:
        return
    if log.is_blank:
        yield Rules.LOG_BLANK.of_log(log, content.unit, severity=severity, hard=hard)
        return
    yield from _content_faults(log, content, severity, hard=hard, last=last)
    if content.end < log.reached:
        words = (content.end, log.reached, log.reached_by)
        yield Rules.LOG_SHORT.of_log(log, *words, severity=severity, hard=hard)


def _content_faults(
    log: LogFacts, content: LogReport, severity: Severity, *, hard: bool, last: bool
) -> Iterator[Fault]:
    if hard and content.rescued:
        offset = content.end - 2 * _SEGMENT_SIZE
        yield Rules.LOG_TORN.of_log(log, offset, severity=severity, hard=hard)
        return
    if not content.bad:
        return
    if content.is_torn and content.bad == 1:
        # Of the older format soft recovery ends the current log where the last whole write did, and goes on.
        patched = last and log.current and content.unit == "ranges" and content.end >= log.reached
        patched = patched and not hard and severity is Severity.ERROR
        torn = Rules.LOG_TORN.of_log(log, content.faults[0].offset, severity=severity, hard=hard)
        yield replace(torn, severity=Severity.LOSS) if patched else torn
        return
    where = some(f"0x{one.offset:x}" for one in content.faults)
    unit = noun(content.bad, content.unit.removesuffix("s"))
    yield Rules.LOG_DAMAGED.of_log(log, content.bad, unit, where, severity=severity, hard=hard)


def forked(used: LogFacts, found: Sequence[LogFacts], severity: Severity) -> Fault:
    """Return the fault of logs that share a generation and were created at different times."""
    others = [log.name for log in found if log is not used]
    generation = used.generation or 0
    words = (generation, used.name, some(others))
    numbers = (generation,) if generation else ()
    fault = Rules.LOG_FORKED.fault(*words, files=(used.name, *others), generations=numbers, severity=severity)
    return replace(fault, code=None) if severity is Severity.WARNING else fault
