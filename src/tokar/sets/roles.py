"""What each log is to the databases of its set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, overload

from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.logs import stream_key


class LogRole(StrEnum):
    """What a log is to the databases of its set."""

    NEEDED = "needed"
    COMMITTED = "committed"  # holds committed transactions beyond the required range
    FORWARD = "forward"  # continues the run: play forward
    SUPERSEDED = "superseded"  # older than anything a database needs
    BEFORE_GAP = "before-gap"  # older, and no unbroken run leads from it to what is needed
    AFTER_GAP = "after-gap"  # the run does not reach it
    FOREIGN = "foreign"  # of another stream
    UNUSED = "unused"  # unreadable, or another log stands for its generation


_ROLES: Final = tuple(LogRole)


class LogRoles(Sequence[tuple[str, LogRole]]):
    """What each log is, by its name: a byte for each.

    Args:
        logs: The logs.
        roles: The role of each.
    """

    def __init__(self, logs: Sequence[LogFacts], roles: Iterable[LogRole]) -> None:
        self._logs = logs
        self._roles = bytes(map(_ROLES.index, roles))

    def __len__(self) -> int:
        return len(self._roles)

    @overload
    def __getitem__(self, at: int) -> tuple[str, LogRole]: ...

    @overload
    def __getitem__(self, at: slice) -> tuple[tuple[str, LogRole], ...]: ...

    def __getitem__(self, at: int | slice) -> tuple[str, LogRole] | tuple[tuple[str, LogRole], ...]:
        if isinstance(at, slice):
            return tuple(self[one] for one in range(*at.indices(len(self))))
        return self._logs[at].name, _ROLES[self._roles[at]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LogRoles) and [*self] == [*other]

    def __hash__(self) -> int:
        return hash(self._roles)

    def pairs(self) -> Iterator[tuple[LogFacts, LogRole]]:
        """Yield each log with what it is."""
        return zip(self._logs, map(_ROLES.__getitem__, self._roles), strict=True)


def roles_of(facts: SetFacts, runs: Sequence[DatabaseRun]) -> LogRoles:
    """Return what each log is."""
    streams: dict[bytes, list[DatabaseRun]] = {}
    for run in runs:
        if run.signature is not None:
            streams.setdefault(stream_key(run.signature), []).append(run)
    return LogRoles(facts.logs, (_role(log, facts, runs, streams) for log in facts.logs))


def _role(
    log: LogFacts, facts: SetFacts, runs: Sequence[DatabaseRun], streams: dict[bytes, list[DatabaseRun]]
) -> LogRole:
    own = streams.get(stream_key(log.signature), []) if log.signature is not None else []
    found = [
        _role_in(run, log.generation or 0)
        for run in (runs if log.is_opaque else own)
        if run.at(log.generation or 0) is log
    ]
    return min(found, key=_ROLES.index) if found else _other_role(log, facts, own)


def _role_in(run: DatabaseRun, generation: int) -> LogRole:
    """Return what a log is that a run goes through."""
    if generation in run.need.only_committed:
        return LogRole.COMMITTED
    if generation in run.need.generations:
        return LogRole.NEEDED
    return LogRole.SUPERSEDED if run.before and generation < (run.run[0].generation or 0) else LogRole.FORWARD


def _other_role(log: LogFacts, facts: SetFacts, runs: Sequence[DatabaseRun]) -> LogRole:
    """Return what a log is that no run goes through.

    Args:
        log: The log.
        facts: The set.
        runs: The runs of its stream.
    """
    if log.signature is None:
        return LogRole.UNUSED
    if not runs:
        return LogRole.FOREIGN if facts.databases else LogRole.FORWARD
    generation = log.generation or 0
    starts = [(one.placed[0].generation or 0) if one.run else one.start for one in runs]
    if generation < min(starts):
        return LogRole.BEFORE_GAP if all(one.is_settled for one in runs) else LogRole.SUPERSEDED
    beyond = any(one.missing for one in runs) or generation > max(one.end for one in runs)
    return LogRole.AFTER_GAP if beyond else LogRole.UNUSED
