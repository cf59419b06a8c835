"""One log in as many sets as have it: which of its copies are whole, and which of them disagree."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from enum import Enum

from tokar.ese.content_facts import LogReport
from tokar.ese.values import LogTime
from tokar.sets.by_generation import Copy
from tokar.sets.facts import LogFacts
from tokar.sets.faults import Severity
from tokar.sets.file_faults import log_fault


def is_whole(log: LogFacts) -> bool:
    """Return whether nothing is wrong with a log by itself, as far as somebody looked."""
    return log_fault(log, Severity.ERROR, hard=True, last=False) is None


def is_broken(log: LogFacts, *, hard: bool, last: bool) -> bool:
    """Return whether recovery does not get through a log without a loss; see `log_fault`."""
    fault = log_fault(log, Severity.ERROR, hard=hard, last=last)
    return fault is not None and fault.severity is Severity.ERROR


class Order(Enum):
    """How the content of a copy of a log is to that of another one."""

    SAME = "same"
    EARLIER = "earlier"
    """It is the beginning of the other: that was written on."""
    LATER = "later"
    APART = "apart"
    """Neither is the beginning of the other."""
    UNTOLD = "untold"
    """Nobody looked, or what was found does not tell."""


def order_of(log: LogFacts, other: LogFacts) -> Order:
    """Return how two copies of a log are to each other: the later state begins with all that is in the earlier one.

    Closed logs are not written on; of one that is not whole it is enough that it holds less. Whether one that was
    written on is the beginning of another was found out by comparing them (`compared`), or of logs that end in one
    segment by the marks of that; and so was whether all that is whole in a damaged one of format 7 is in the other.
    """
    found, its = log.content, other.content
    if found is None or its is None:
        return Order.UNTOLD
    if (told := _order_as_compared(log, other)) is not None:
        return told
    is_open = log.current or other.current
    are_closed = not is_open and is_whole(log) and is_whole(other)
    if found.extent != its.extent and not are_closed:
        holds_less = found.extent < its.extent
        order = _order_of_lengths(log, other) if holds_less else _order_of_lengths(other, log)
        return order if holds_less or order is not Order.EARLIER else Order.LATER
    if found.segments_xor is None:
        return _order_of_format_7(log, other)
    if found.segments_xor == its.segments_xor:
        return Order.SAME
    return Order.APART if are_closed else _order_inside(found, its)


def _order_of_format_7(log: LogFacts, other: LogFacts) -> Order:
    """Return how two logs that end in one place are to each other: only equal bytes are known to be equal content."""
    own, others = log.comparable, other.comparable
    if own and others:
        return Order.SAME if own == others else Order.APART
    return Order.APART if log.content != other.content else Order.UNTOLD


def _order_as_compared(log: LogFacts, other: LogFacts) -> Order | None:
    """Return how two copies of a log are to each other by what is in both; None where nobody compared them."""
    for less, more, order in ((log, other, Order.EARLIER), (other, log, Order.LATER)):
        if less.digest in more.parted_from:
            return Order.APART
        if less.digest in more.goes_on_from:
            return order
    return None


def _order_of_lengths(less: LogFacts, more: LogFacts) -> Order:
    """Return how a copy of a log is to one that holds more."""
    is_begun = less.content is not None and less.content.is_blank
    is_told = is_begun or not (less.current or more.current)
    return Order.EARLIER if is_told else Order.UNTOLD


def _order_inside(found: LogReport, its: LogReport) -> Order:
    """Return how two logs are to each other that end in one segment."""
    if not found.is_marked or not its.is_marked:
        return Order.UNTOLD
    if found.used == its.used or not found.begins_as(its):
        return Order.APART
    return Order.EARLIER if found.used < its.used else Order.LATER


@dataclass(frozen=True, slots=True)
class Version:
    """One log, in as many sets as have it."""

    stream: bytes  # The stream it belongs to; empty where the format does not say
    generation: int  # Its generation
    # Where it is: whole ones first, those that the engine finds, closed ones before one that was still being written.
    copies: tuple[Copy, ...]
    good: int = 0  # How many of them are whole, and what the next log goes on from, or of the last one hold most
    is_last: bool = False  # Whether no log goes on from it, which would tell which of them are right
    # When the next log was created that lies beside it, where that alone tells it from another log; else None.
    leads_to: LogTime | None = None

    @property
    def facts(self) -> LogFacts:
        """What it says of itself, in the first set that has it."""
        return self.copies[0].facts

    @property
    def sets(self) -> frozenset[int]:
        """The sets that have it."""
        return frozenset(copy.at for copy in self.copies)

    @property
    def whole(self) -> tuple[Copy, ...]:
        """Those of its copies that are whole; all of them where none is."""
        return self.copies[: self.good] or self.copies

    @property
    def is_found(self) -> bool:
        """Whether the engine finds a copy of it by its name."""
        return any(copy.facts.has_engine_name for copy in self.copies)

    def is_one_of(self, logs: Container[int]) -> bool:
        """Return whether a copy of it is one of some logs, which are given by identity."""
        return any(id(copy.facts) in logs for copy in self.copies)

    def has_whole(self, log: LogFacts) -> bool:
        """Return whether a log is one of its whole copies."""
        return any(copy.facts is log for copy in self.copies[: self.good])

    @property
    def differing(self) -> tuple[Copy, ...]:
        """Whole copies in other sets whose bytes differ from the first one's: of a log that is written they may."""
        first = self.copies[0]
        return tuple(
            copy
            for copy in self.whole[1:]
            if copy.at != first.at
            and differ(copy.facts, first.facts)
            and (first.facts.current or not copy.facts.current or self.is_last)
            and not (first.facts.current and order_of(first.facts, copy.facts) is Order.EARLIER)
        )

    @property
    def is_uncompared(self) -> bool:
        """Whether nobody looked yet which of the copies with unlike bytes are whole, or hold more."""
        first, *others = (copy.facts for copy in (self.copies[0], *self.differing))
        return not first.is_opaque and any(order_of(first, one) is Order.UNTOLD for one in others)


def differ(one: LogFacts, other: LogFacts) -> bool:
    """Return whether two copies are known to hold unlike bytes.

    Where content is encrypted, what was found in it tells, with a key as without: all that recovery reads is under the
    accumulated checksum. Logs of format 7 have none; theirs is compared where it was read.
    """
    found, its = one.content, other.content
    if found is None or its is None or not (one.is_keyed or other.is_keyed):
        return _digests_differ(one, other)
    is_other = found.without_marks != its.without_marks
    return is_other if is_other or found.segments_xor is not None else _digests_differ(one, other)


def _digests_differ(one: LogFacts, other: LogFacts) -> bool:
    return one.comparable != other.comparable and None not in (one.comparable, other.comparable)
