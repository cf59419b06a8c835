"""A set with databases as the beginning of a restore: the logs of all sets that can be played onto it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from tokar.ese.values import LogTime, Signature
from tokar.names import collision_key, leaf_of
from tokar.sets.backup_set import BackupSet
from tokar.sets.beside import in_place_elsewhere, last_places, where_of, without_copies
from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts
from tokar.sets.fault_list import in_order
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.left_out import LeftOut
from tokar.sets.linked import links_to_databases
from tokar.sets.log_run import LogRun, follow, untold_beside
from tokar.sets.logs import LogTable, stream_key, stream_of
from tokar.sets.lost import lost_beside, without_beyond
from tokar.sets.need import Basis, need_of
from tokar.sets.reach import ends_before
from tokar.sets.version import Order, Version
from tokar.words import some

_GO_ON: Final = (
    "give {} the name that its number calls for, where it is whole: tokar restore --right-names does; or leave the "
    "sets with later logs out"
)
_NO_LOGS: Final = {Basis.UNUSABLE, Basis.UNKNOWN}


@dataclass(frozen=True, slots=True)
class ChainStart:
    """A set with databases."""

    number: int  # Its number in the chain
    runs: tuple[LogRun, ...]  # The logs that can be played onto its databases, one run for each log stream
    hard: bool  # Whether its databases are copies from a streaming backup
    facts: SetFacts  # What its files say, with those logs
    verdict: SetVerdict  # What becomes of its databases with them
    played: Mapping[bytes | None, LogFacts]  # The last log of each stream that is placed

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong with it."""
        return self.verdict.faults

    @property
    def blocking(self) -> tuple[Fault, ...]:
        """What keeps it from being restored."""
        return tuple(fault for fault in self.faults if fault.blocks)

    @property
    def end(self) -> int:
        """The highest generation it can be brought to; 0 without logs."""
        return max((run.end for run in self.runs), default=0)

    @property
    def floor(self) -> int:
        """The generation below which no restore of it may stop."""
        return max((run.floor for run in self.runs), default=0)

    @property
    def reach(self) -> int:
        """The generation that its databases come to: with the logs there are, or where they were shut down."""
        return max(self.end, self.floor)

    @property
    def left_out(self) -> dict[int, LeftOut]:
        """What is not placed, by the identity of its facts."""
        return {id(one.file): one for one in self.verdict.left_out}

    def reached(self, target: int | None = None) -> dict[bytes, int]:
        """Return the last generation of each of its streams, or the target where that comes before it."""
        return {run.stream: run.end if target is None else min(run.end, target) for run in self.runs}

    def playable(self, run: LogRun) -> range:
        """Return the generations of a run that recovery gets through: up to what it does not get past."""
        bad = [one for fault in self.blocking if not fault.is_loss for one in fault.generations]
        last = self.played.get(run.stream)
        end = min((last.generation or 0) if last else 0, run.end, *(one - 1 for one in bad))
        return range(run.logs[0].generation or 0, end + 1) if run.logs else range(0)

    def unplayed(self, stream: bytes, versions: Iterable[Version]) -> Fault | None:
        """Return why a log is not placed although it continues the others; None where there is none."""
        last = self.played.get(stream)
        beyond = [one for one in versions if last is None or one.generation > (last.generation or 0)]
        for version in self.beside(beyond):
            return self.gap_fault(version, last.name if last is not None else "no log")
        return None

    def beside(self, versions: Sequence[Version]) -> Iterator[Version]:
        """Yield those of some logs that are left out: where they are is why, whichever sets have them too."""
        apart, judged = (self.left_out, set(map(id, self.facts.logs))) if versions else ({}, set())
        for version in versions:
            copies = [id(copy.facts) for copy in version.copies if id(copy.facts) in judged]
            if copies and apart.keys() >= {*copies}:
                yield version

    def gap_fault(self, version: Version, last: str) -> Fault:
        """Return why a log that continues the others is not placed, `last` being the last one that is."""
        own = next((fault for fault in self.verdict.faults if version.facts.name in fault.files), None)
        fault = replace(own or Rules.LOGS_AFTER_GAP.of_logs([version.facts], last), severity=Severity.ERROR)
        return replace(fault, next_step=_GO_ON.format(last)) if fault.kind is FaultKind.LOGS_AFTER_GAP else fault

    def run_of(self, stream: bytes) -> LogRun | None:
        """Return its run in a stream."""
        return next((run for run in self.runs if run.stream == stream), None)


def up_to(start: ChainStart, target: int, without: frozenset[int] = frozenset()) -> ChainStart:
    """Return a start where a restore stops at a generation: what is attached there is missed, and nothing else.

    Args:
        start: The start.
        target: The generation.
        without: Logs, by identity, of another history than the one that is wanted.
    """
    start = replace(start, verdict=replace(start.verdict, faults=without_beyond(start.faults, target)))
    links = set(start.facts.links)

    def is_of_absent(fault: Fault) -> bool:
        if fault.kind is FaultKind.DATABASE_UNREADABLE:
            return not links.isdisjoint(fault.files)
        return fault.kind is FaultKind.DATABASE_NOT_HERE or (
            fault.kind is FaultKind.FILE_LOST and not fault.generations
        )

    if not all(map(is_of_absent, start.blocking)):
        return start
    logs = tuple(log for log in start.facts.logs if (log.generation or 0) <= target)
    facts = replace(start.facts, logs=logs)
    found = [fault for fault in judge_set(facts, without=without).faults if is_of_absent(fault)]
    here, said = facts.signatures, {one.files for one in found}
    last = (version.facts for run in start.runs if (version := run.at(target)) is not None)
    missed = {_leaf(one.path) for log in last for one in log.attached if one.signature not in here}
    kept = (one for one in start.blocking if one.files not in said and missed.intersection(map(_leaf, one.files)))
    rest = (one for one in start.faults if not is_of_absent(one))
    return replace(start, verdict=replace(start.verdict, faults=in_order([*rest, *found, *kept])))


def _leaf(path: str) -> str:
    return collision_key(leaf_of(path))


def are_of_several(starts: Sequence[ChainStart]) -> bool:
    """Return whether sets with databases are of more than one server or database, going by their log streams."""
    return len(groups_of(starts)) > 1


def groups_of(starts: Iterable[ChainStart]) -> list[list[ChainStart]]:
    """Return sets with databases, those together that share a log stream: of these a restore chooses by itself."""
    groups: list[list[ChainStart]] = []
    for start in starts:
        streams = {run.stream for run in start.runs}
        shared = [any(run.stream in streams for one in group for run in one.runs) for group in groups]
        own = [one for group, is_shared in zip(groups, shared, strict=True) if is_shared for one in group]
        groups = [group for group, is_shared in zip(groups, shared, strict=True) if not is_shared]
        groups.append([*own, start])
    return groups


def databases_in(backup_set: BackupSet) -> set[Signature | None]:
    """Return the signatures of the databases of a set; None for one that has none."""
    found = (one.header.signature if one.header else None for one in backup_set.facts.databases if not one.temporary)
    return {one if one is not None and one.is_set else None for one in found}


def lacks(sets: Sequence[BackupSet], one: int, others: Iterable[int]) -> bool:
    """Return whether a set has not every database of others of its server (`PAIR-13`).

    One that was made anew, as defragmentation does, has another signature and the same name, and its place in the logs.
    """

    @cache
    def places() -> dict[Signature, str]:
        return last_places(log for each in sets for log in each.facts.logs)

    def is_made_anew(old: DatabaseFacts, new: DatabaseFacts) -> bool:
        if collision_key(old.leaf) != collision_key(new.leaf):
            return False
        found = (places().get(each.header.signature) if each.header is not None else None for each in (old, new))
        return len(set(filter(None, found))) < 2

    own, databases = databases_in(sets[one]) - {None}, sets[one].facts.databases
    return any(
        (database.header is None or database.header.signature not in own)
        and not any(is_made_anew(database, each) for each in databases)
        for other in others
        for database in sets[other].facts.databases
        if not database.temporary
    )


def with_all(sets: Sequence[BackupSet], starts: Sequence[ChainStart], target: int | None = None) -> list[ChainStart]:
    """Return the sets that have the databases of all of them, and come as far as any, or to the target (`PAIR-13`)."""
    reach = max((start.reach for start in starts), default=0)
    far = [start for start in starts if target is not None or start.reach == reach]
    numbers = {start.number for start in starts}
    return [one for one in far if not lacks(sets, one.number, numbers)]


def choice_fault(sets: Sequence[BackupSet], starts: Sequence[ChainStart], target: int | None = None) -> Fault | None:
    """Return why a restore of all sets does not choose by itself with which databases it begins; None where it does."""
    found = [sets[start.number].label for start in starts]
    if are_of_several(starts):
        return Rules.SERVERS.fault(some(found), files=found)
    if not starts or with_all(sets, starts, target):
        return None
    starts = sorted(starts, key=lambda one: min((run.start for run in one.runs), default=0))
    found = [sets[start.number].label for start in starts]
    held = [
        f"{label} has {some(one.leaf for one in sets[start.number].facts.databases if not one.temporary)}"
        + (f" up to log 0x{start.reach:X}" if start.reach and target is None else "")
        for label, start in zip(found, starts, strict=True)
    ]
    return Rules.DATABASES_APART.fault(some(held), found[0], files=found)


def faults_alone(backup_set: BackupSet, starts: Sequence[ChainStart]) -> list[Fault]:
    """Return what is wrong with a set by itself; of logs of a stream that no database belongs to, that they are."""
    facts, strays = backup_set.facts, _strays(backup_set, starts)
    if not backup_set.has_databases:
        facts = replace(facts, elsewhere=where_of((one.facts.source, one.facts) for one in starts))
    if not strays:
        return [*_verdict_on(facts, backup_set).faults]
    known = {id(log) for log in strays}
    left = replace(facts, logs=tuple(log for log in facts.logs if id(log) not in known))
    return [*judge_set(left).faults, Rules.STRAY_LOGS.of_logs(strays)]


def _verdict_on(facts: SetFacts, backup_set: BackupSet, without: frozenset[int] = frozenset()) -> SetVerdict:
    """Return the verdict on the facts of a set with those that others add: that on the set where none do."""
    return backup_set.verdict if not without and facts == backup_set.facts else judge_set(facts, without=without)


def _strays(backup_set: BackupSet, starts: Sequence[ChainStart]) -> list[LogFacts]:
    """Return the logs of another server in a set of logs that goes on from databases: they are not needed."""
    if backup_set.has_databases or any(start.facts.has_unreadable_database for start in starts):
        return []
    streams = {run.stream for start in starts for run in start.runs}
    own = [log for log in backup_set.facts.logs if log.signature is not None]
    found = [log for log in own if stream_of(log) not in streams]
    return found if len(found) < len(own) else []


def make_start(
    sets: Sequence[BackupSet], logs: LogTable, number: int, without: frozenset[int] = frozenset()
) -> ChainStart:
    """Return a set with databases as the beginning of a restore.

    Args:
        sets: All sets.
        logs: Their logs.
        number: The number of the set.
        without: Logs, by identity, of another history than the one that is wanted.
    """
    backup_set = sets[number]
    streams: dict[bytes, list[DatabaseFacts]] = {}
    for database in _databases_of(backup_set.facts, sets):
        stream = _stream_of(database, logs)
        if stream is not None:
            streams.setdefault(stream, []).append(database)

    @cache
    def own() -> frozenset[int]:
        return frozenset(map(id, _verdict_on(backup_set.facts, backup_set, without).placed_logs()))

    runs = tuple(_run(logs, number, stream, databases, own) for stream, databases in streams.items())
    own.cache_clear()  # it takes much room, and the runs are known
    if backup_set.kind == "full":
        runs = tuple(_with_own_end(run, number) for run in runs)
    elsewhere = where_of((one.label, one.facts) for one in sets if one is not backup_set)
    facts = replace(_together(sets, number, runs, logs), elsewhere=elsewhere)
    others = [one.facts for one in sets if one is not backup_set]
    links = links_to_databases(facts, (one.facts for one in sets))
    facts = replace(facts, links=links, in_place=in_place_elsewhere(facts, others))
    hard = any(need_of(one).hard for one in without_copies(facts).databases)
    verdict = _verdict_on(facts, backup_set, without)
    return ChainStart(number, runs, hard, facts, verdict, {stream_of(log): log for log in verdict.placed_logs()})


def _databases_of(facts: SetFacts, sets: Iterable[BackupSet]) -> Sequence[DatabaseFacts]:
    """Return the databases of a set that recovery finds: logs of any set may name one of several copies (`PAIR-4`)."""
    signatures = [one.header.signature for one in facts.databases if one.header is not None]
    if len(signatures) == len({*signatures}):
        return facts.databases
    return without_copies(replace(facts, logs=tuple(log for one in sets for log in one.facts.logs))).databases


def _stream_of(database: DatabaseFacts, logs: LogTable) -> bytes | None:
    """Return the stream of a database; where only logs of unknown formats could be its own, theirs."""
    header = database.header
    if header is None or not header.log_signature.is_set or need_of(database).basis in _NO_LOGS:
        return None
    stream = header.log_signature.pack()
    if any(logs.of_stream(stream)):
        return stream
    unknown = logs.opaque_streams
    return unknown.pop() if len(unknown) == 1 else stream


def _run(
    logs: LogTable, number: int, stream: bytes, databases: Sequence[DatabaseFacts], own: Callable[[], frozenset[int]]
) -> LogRun:
    starts, floors = [], []
    dirty = any(need_of(database).low for database in databases)
    for database in databases:
        need = need_of(database)
        assert database.header is not None
        if need.low or not dirty:
            starts.append(need.low or database.header.consistent_position.generation)
        floors.append(need.committed or database.header.consistent_position.generation)
    start, floor = max(1, min(starts)), max(floors)  # a database that names no log goes on from the first there is
    hard = any(need_of(database).hard for database in databases)

    @cache
    def wanted() -> frozenset[int]:
        return own() | frozenset(_leading(logs, stream, start, databases))

    run = follow(logs, number, stream, start=start, floor=floor, hard=hard, wanted=wanted)
    first = run.at(start)
    if first is not None and ends_before(first.facts, databases) and not logs.versions(stream, start + 1):
        return replace(run, logs=(), start=start + 1)  # it is of an earlier time, and nothing goes on from here
    named = ((run.at(at), created) for at, created in filter(None, map(_last_named, databases)))
    proven = (one.generation for one, created in named if one is not None and one.facts.created == created)
    return replace(run, proven=max(proven, default=0))


def _last_named(database: DatabaseFacts) -> tuple[int, LogTime] | None:
    """Return the log that the header of a database names, by its generation and the time of its creation."""
    need, header = need_of(database), database.header
    if header is None or not header.last_log_time.is_set:
        return None
    return need.last_log or header.consistent_position.generation, header.last_log_time


def _leading(logs: LogTable, stream: bytes, start: int, databases: Iterable[DatabaseFacts]) -> Iterator[int]:
    """Yield the logs, by identity, that lead to those which the headers of databases name (`RUN-6`)."""
    for generation, created in filter(None, map(_last_named, databases)):
        line = [one for one in logs.versions(stream, generation) if one.facts.created == created]
        while line:
            yield from (id(copy.facts) for one in line for copy in one.copies)
            line = logs.preceding(line[0]) if line[0].generation > start else []


def _with_own_end(run: LogRun, number: int) -> LogRun:
    """Return the run of a full backup: all that it holds belongs to it, so no restore may stop before its last log."""
    own = [version.generation for version in run.versions if number in version.sets]
    return replace(run, floor=max([run.floor, *own]))


def _together(sets: Sequence[BackupSet], number: int, runs: Sequence[LogRun], logs: LogTable) -> SetFacts:
    """Return the facts of a set with the logs that other sets add to it."""
    facts = sets[number].facts
    added = [log for run in runs for log in (*_added(number, run, logs), *_in_their_place(sets, number, run, logs))]
    unlike = {id(log): log for run in runs for log in _unlike(run, logs)}
    own = [log for log in facts.logs if id(log) in unlike or not _gives_way(log, number, logs)]
    here = {*map(id, own), *map(id, added)}
    added += (log for one, log in unlike.items() if one not in here)
    lost = (*facts.lost, *lost_beside(sets, number, {run.stream for run in runs}))
    return replace(facts, logs=(*own, *added), lost=lost)


def _gives_way(log: LogFacts, number: int, logs: LogTable) -> bool:
    """Return whether a log of a set gives way to the same log in another set: all of it, whole, rightly named."""
    version = logs.version_of(log)
    if version is None or version.copies[0].at == number:
        return False
    first = version.facts
    is_named = logs.finds(log) or not logs.finds(first)
    return (log.current and not first.current) or not is_named or (version.good > 0 and not version.has_whole(log))


def reached_by(starts: Iterable[ChainStart]) -> dict[bytes, int]:
    """Return to which log each stream can be restored."""
    reached: dict[bytes, int] = {}
    for start in starts:
        reached |= {stream: max(end, reached.get(stream, 0)) for stream, end in start.reached().items()}
    return reached


def _added(number: int, run: LogRun, logs: LogTable) -> Iterator[LogFacts]:
    """Yield the logs of other sets that belong to the run, and those that would belong to it if it were not broken."""
    for version in run.versions:
        own = [copy.facts for copy in version.copies if copy.at == number]
        if not own or _gives_way(own[0], number, logs):
            yield version.facts
    for version in logs.of_stream(run.stream):
        if max(run.end + 1, run.start) <= version.generation <= run.floor and number not in version.sets:
            yield version.facts
    yield from (version.facts for version in untold_beside(logs, run) if number not in version.sets)
    later = logs.contradicting(run.logs[-1]) if run.logs and run.end >= run.floor else None
    its = logs.version_of(later) if later is not None else None
    if its is not None and number not in its.sets:
        yield its.facts  # it says that the last one is not what it was


def _unlike(run: LogRun, logs: LogTable) -> Iterator[LogFacts]:
    """Yield the other copies of logs of a run that may hold what these do not: those of one set are judged so too."""
    for version in run.versions:
        log = version.facts
        if log.signature is not None and len(version.copies) > 1:
            said = {id(copy.facts) for copy in version.differing}  # of sets together
            unlike = logs.unlike_copies(log.signature, log, any_history=version.generation >= run.proven)
            for other, order in unlike:
                if order is Order.UNTOLD or (order is Order.APART and id(other) not in said):
                    yield other


def _in_their_place(sets: Sequence[BackupSet], number: int, run: LogRun, logs: LogTable) -> Iterator[LogFacts]:
    """Yield what sets of nothing but logs hold in place of needed logs that are not here: damaged or foreign ones.

    Those of a server whose database is here are its own.
    """
    owned = {stream_key(stream) for one in sets for stream in one.facts.owned_streams} - {run.stream}
    others = (one for at, one in enumerate(sets) if at != number and not one.has_databases)
    for log in (log for one in others for log in one.facts.logs) if run.end < run.floor else ():
        numbers = {run.floor} if log.current else {log.generation, log.named_generation} - {None}
        gone = [one for one in numbers if one and run.start <= one <= run.floor and not logs.versions(run.stream, one)]
        if gone and stream_of(log) not in owned and (stream_of(log) != run.stream or log.generation is None):
            yield log
