"""Sets that take no part in what is restored, each with the reason: in the last line those that nothing is about."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tokar.sets.backup_set import BackupSet
from tokar.sets.chain import Chain
from tokar.sets.logs import stream_of
from tokar.sets.start import ChainStart


def idle_in(chain: Chain) -> tuple[str, ...]:
    """Return the sets that are nothing to the databases here, each with the reason."""
    streams = {run.stream for start in chain.starts for run in start.runs}
    servers = {chain.sets[start.number].server for start in chain.starts}
    found = []
    for one in chain.sets if streams else ():
        its = _streams(one)
        if its and not one.has_databases and not its.intersection(streams):
            found.append(f"{one.label} takes no part: {_foreign(one, streams, servers)}")
    return tuple(found)


def why_unused(chain: Chain, start: ChainStart, numbers: Collection[int]) -> Iterator[tuple[str, str]]:
    """Yield the sets that are not among those that a restore takes, each with the reason."""
    for at, one in enumerate(chain.sets):
        if at not in numbers:
            yield one.label, _why(one, chain.start_of(at), start, chain.sets[start.number])


def _why(one: BackupSet, own: ChainStart | None, start: ChainStart, first: BackupSet) -> str:
    if one.receipt is not None:
        return "its archive is not here"
    streams = {run.stream for run in start.runs}
    its = {run.stream for run in own.runs} if own is not None else _streams(one)
    if its and streams and not its.intersection(streams):
        return _foreign(one, streams, {first.server})
    if own is not None:
        return f"older than {first.label}" if own.floor < start.floor else f"the databases come from {first.label}"
    low = min((run.start for run in start.runs), default=0)
    is_older = one.generations is not None and one.generations[1] < low
    return f"older than {first.label}" if is_older else "no log is wanted from it"


def _streams(one: BackupSet) -> set[bytes]:
    return {stream for log in one.facts.logs if (stream := stream_of(log)) is not None}


def _foreign(one: BackupSet, streams: Collection[bytes], servers: Collection[str | None]) -> str:
    """Return of what else a set is than the databases."""
    if _streams(one).intersection(streams):
        return "no log is wanted from it"
    known = one.server is not None and None not in servers and one.server not in servers
    return f"of another server, {one.server}" if known else "of another log stream"
