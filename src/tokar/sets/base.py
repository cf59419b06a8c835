"""A set with databases, as the beginning of a restore: which logs of all sets can be played onto it, and what becomes of it then."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tokar.sets.chainlogs import Run, first_version, follow
from tokar.sets.faults import Fault, FaultKind
from tokar.sets.judge import judge
from tokar.sets.need import Basis, need_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tokar.sets.backup_set import Member
    from tokar.sets.chainlogs import ChainLogs
    from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts
    from tokar.sets.verdict import SetVerdict

_NO_LOGS: Final = {Basis.UNUSABLE, Basis.UNKNOWN}
_SAID_BY_THE_CHAIN: Final = {FaultKind.LOGS_AFTER_GAP, FaultKind.STRAY_LOGS}


@dataclass(frozen=True, slots=True)
class Base:
    """A set with databases."""

    member: int  # Its number in the chain
    runs: tuple[Run, ...]  # The logs that can be played onto its databases, one run for each log stream
    hard: bool  # Whether its databases are copies from a streaming backup
    verdict: SetVerdict  # What becomes of its databases with those logs

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with it, apart from logs that the chain as a whole answers for."""
        return tuple(fault for fault in self.verdict.faults if fault.kind not in _SAID_BY_THE_CHAIN)

    @property
    def end(self) -> int:
        """The highest generation it can be brought to; 0 without logs."""
        return max((run.end for run in self.runs), default=0)

    @property
    def floor(self) -> int:
        """The generation below which no restore of it may stop."""
        return max((run.floor for run in self.runs), default=0)

    def run_of(self, stream: bytes) -> Run | None:
        """Return its run in a stream."""
        return next((run for run in self.runs if run.stream == stream), None)


def make_base(members: Sequence[Member], logs: ChainLogs, number: int) -> Base:
    """Return a set with databases as the beginning of a restore.

    Args:
        members: All sets.
        logs: Their logs.
        number: The number of the set.
    """
    member = members[number]
    streams: dict[bytes, list[DatabaseFacts]] = {}
    for database in member.facts.databases:
        stream = _stream_of(database, logs)
        if stream is not None:
            streams.setdefault(stream, []).append(database)
    runs = tuple(_run(members, logs, number, stream, databases) for stream, databases in streams.items())
    verdict = judge(_together(member.facts, number, runs, logs))
    return Base(number, runs, any(need_of(one).hard for one in member.facts.databases), verdict)


def _stream_of(database: DatabaseFacts, logs: ChainLogs) -> bytes | None:
    """Return the stream of a database; where only logs of unknown formats could be its own, theirs."""
    header = database.header
    if header is None or not header.log_signature.is_set or need_of(database).basis in _NO_LOGS:
        return None
    stream = header.log_signature.pack()
    if any(logs.of_stream(stream)):
        return stream
    unknown = {version.stream for version in logs.all() if version.facts.is_opaque}
    return unknown.pop() if len(unknown) == 1 else stream


def _run(
    members: Sequence[Member], logs: ChainLogs, number: int, stream: bytes, databases: Sequence[DatabaseFacts]
) -> Run:
    starts, floors = [], []
    for database in databases:
        need = need_of(database)
        assert database.header is not None
        starts.append(need.low or database.header.consistent_position.generation)
        floors.append(need.committed or database.header.consistent_position.generation)
    start, floor = min(starts), max(floors)
    run = follow(logs, number, stream, start=start, floor=floor, first=first_version(logs, number, stream, start))
    if members[number].kind != "full":
        return run
    # Everything that a full backup holds belongs to it: a restore may not stop before its last log.
    own = [version.generation for version in run.versions if number in version.members]
    return replace(run, floor=max([floor, *own]))


def _together(facts: SetFacts, number: int, runs: Sequence[Run], logs: ChainLogs) -> SetFacts:
    """Return the facts of a set with the logs that other sets add to it."""
    added = [log for run in runs for log in _added(number, run, logs)]
    return replace(facts, logs=(*facts.logs, *added))


def _added(number: int, run: Run, logs: ChainLogs) -> Iterator[LogFacts]:
    """Yield the logs of other sets that belong to the run, and those that would belong to it if it were not broken."""
    for version in run.versions:
        if number not in version.members:
            yield version.facts
    for version in logs.of_stream(run.stream):
        if max(run.end + 1, run.start) <= version.generation <= run.floor and number not in version.members:
            yield version.facts
