"""Whether one log continues another, and what is wrong where it does not.

Two logs link when the later one has the next generation, the same stream, and repeats the creation time of the earlier
one, byte for byte (a real clock has been seen to step back by three hours); where the content was examined and the
format has it, the accumulated segment checksum must fit as well. Of formats whose header is not known only the numbers
in the names can be compared.

Source: Microsoft, Extensible Storage Engine, logredo.cxx and logdump.cxx.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tokar.sets.facts import LogFacts
from tokar.sets.faults import Fault, Rules, Severity
from tokar.sets.file_faults import log_fault

_DIGITS: Final = {5, 8}
"""Digits in the name of a closed log."""


class LinkFault(StrEnum):
    """Why a log does not continue another, root cause first."""

    GENERATION = "generation"
    SIGNATURE = "signature"
    TIME = "time"
    SIZE = "size"
    CONTENT = "content"


class LinkProof(StrEnum):
    """What shows that a log continues another."""

    CONTENT = "content"  # the accumulated segment checksum: the earlier log is complete and unaltered
    TIMES = "times"  # signature and creation times


@dataclass(frozen=True, slots=True)
class Link:
    """How two logs go together."""

    fault: LinkFault | None  # Why the second does not continue the first; None when it does
    # What shows that it does; None where only the numbers do, because the format is not known.
    proof: LinkProof | None = None


BY_NUMBER: Final = Link(None, None)


@lru_cache(maxsize=64)
def link(earlier: LogFacts, later: LogFacts) -> Link:
    """Return how two logs of neighbouring generations go together."""
    if later.generation is None or earlier.generation is None or later.generation != earlier.generation + 1:
        return Link(LinkFault.GENERATION)
    if earlier.is_opaque or later.is_opaque:
        return BY_NUMBER
    if later.signature != earlier.signature:
        return Link(LinkFault.SIGNATURE)
    if later.previous_created != earlier.created:
        return Link(LinkFault.TIME)
    sizes = later.expected_size, earlier.expected_size  # a receipt keeps none
    return Link(LinkFault.SIZE) if all(sizes) and sizes[0] != sizes[1] else _link_content(earlier, later)


def _link_content(earlier: LogFacts, later: LogFacts) -> Link:
    """Compare the content of a log with what the next one says of it, where both are known."""
    content = earlier.content
    if content is not None and not content.not_verified and content.end < later.reaches:
        return Link(LinkFault.CONTENT)  # the rest was lost, or it is an earlier state
    if content is None or content.segments_xor is None or later.previous_segments_xor is None:
        return Link(None, LinkProof.TIMES)
    if later.previous_segments_xor != content.segments_xor:
        return Link(LinkFault.CONTENT)
    return Link(None, LinkProof.CONTENT)


def altered(before: LogFacts, log: LogFacts, severity: Severity = Severity.ERROR, *, hard: bool = False) -> Fault:
    """Return that a log is not what the next one was written after.

    A current log that had room left may be an earlier state: the closed one has another name, and is not here.
    """
    content = before.content
    full = content is not None and content.end + before.sector_size >= content.expected_size  # the last is a shadow
    if content is not None and content.end < log.reaches and not before.current:
        return Rules.LOG_SHORT.of_log(before, content.end, log.reaches, log.name, severity=severity, hard=hard)
    if not before.current or full:
        return Rules.LOG_ALTERED.of_log(before, log.name, severity=severity)
    words = before.generation, log.name, closed_name(before, log)
    return Rules.LOG_NOT_CLOSED.of_log(before, *words, severity=severity, hard=hard)


def closed_name(current: LogFacts, later: LogFacts) -> str:
    """Return the name that a current log gets when it is closed, with as many digits as a later one has."""
    stem, _, suffix = current.leaf.rpartition(".")
    digits = len(later.leaf.rpartition(".")[0]) - len(stem)
    return f"{stem}{current.generation or 0:0{digits if digits in _DIGITS else 5}X}.{suffix}"


def break_fault(before: LogFacts, log: LogFacts, *, hard: bool = False) -> Fault:
    """Return why the next log there is does not continue another: what is wrong with the earlier one comes first."""
    found = link(before, log).fault
    if found is LinkFault.CONTENT:
        return log_fault(before, Severity.ERROR, hard=hard, last=False) or altered(before, log, hard=hard)
    if found is LinkFault.SIZE:
        return Rules.LOG_SIZES.of_log(log, log.expected_size, before.name, before.expected_size, before=before)
    return Rules.LINK_BROKEN.of_log(log, before.name, before=before, hard=hard)
