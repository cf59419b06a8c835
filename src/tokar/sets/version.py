"""One log in as many sets as have it: which of its copies are whole, and which of them disagree."""

from __future__ import annotations

from dataclasses import dataclass

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


def are_complete(log: LogFacts, other: LogFacts) -> bool:
    """Return whether neither of two copies of a log is an earlier state of the other: closed logs never are."""
    alike = log.content is not None and other.content is not None and log.content.valid == other.content.valid
    return alike or (not log.current and not other.current and is_whole(log) and is_whole(other))


def gives_way(log: LogFacts, other: LogFacts) -> bool:
    """Return whether a log is known to be an earlier state of another copy of it: that holds more."""
    if log.content is None or other.content is None or are_complete(log, other):
        return False
    return log.content.valid < other.content.valid


@dataclass(frozen=True, slots=True)
class Version:
    """One log, in as many sets as have it."""

    stream: bytes  # The stream it belongs to; empty where the format does not say
    generation: int  # Its generation
    # Where it is: whole ones first, those that the engine finds, closed ones before one that was still being written.
    copies: tuple[Copy, ...]
    good: int = 0  # How many of them are whole, and what the next log goes on from, or of the last one hold most
    is_last: bool = False  # Whether no log goes on from it, which would tell which of them are right

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
            and _differ(copy.facts, first.facts)
            and (first.facts.current or not copy.facts.current or self.is_last)
        )

    @property
    def is_uncompared(self) -> bool:
        """Whether nobody looked yet which of the copies with unlike bytes are whole."""
        logs = (copy.facts for copy in (self.copies[0], *self.differing))
        return any(log.content is None and not log.is_opaque for log in logs)


def _differ(one: LogFacts, other: LogFacts) -> bool:
    """Whether two copies are known to hold unlike bytes.

    Where content is encrypted, what was found in it tells, with a key as without: all that recovery reads is under the
    accumulated checksum. Logs of format 7 have none; theirs is compared where it was read.
    """
    found, its = one.content, other.content
    if found is None or its is None or not (one.is_keyed or other.is_keyed):
        return _digests_differ(one, other)
    return found != its if found != its or found.segments_xor is not None else _digests_differ(one, other)


def _digests_differ(one: LogFacts, other: LogFacts) -> bool:
    return one.comparable != other.comparable and None not in (one.comparable, other.comparable)
