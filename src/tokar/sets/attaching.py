"""What the logs that recovery goes through are to a database.

Whether they attach it in its state, as far as headers tell (SFT-15), and whether they end where they say (SFT-21).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import pairwise
from typing import Final

from tokar.ese.database import DatabaseState
from tokar.names import collision_key, leaf_of
from tokar.sets.facts import CheckpointFacts, DatabaseFacts, LogFacts
from tokar.sets.faults import Fault, Rules
from tokar.sets.need import Need

_HEADER: Final = 4096  # bytes of the header of a log


def attaching_faults(facts: DatabaseFacts, need: Need, logs: Sequence[LogFacts]) -> Iterator[Fault]:
    """Yield a log that was written while another database was attached, or that the logs end before it was attached.

    Behind the logs that it needs, another database in its place stops hard recovery, which has it in its restore map.

    Args:
        facts: The database.
        need: The logs it needs.
        logs: Those that recovery goes through.
    """
    header = facts.header
    if header is None or not need.low:
        return
    end = max([need.committed, *(log.generation or 0 for log in logs[-1:])])
    latest = max(header.attach_position, header.consistent_position)
    if latest.generation > end:
        what = "attached" if latest == header.attach_position else "shut down"
        text = f"it was {what} at {latest}, and they end with generation 0x{end:X}"
        yield Rules.NOT_ATTACHED.fault(facts.name, text, files=(facts.name,), hard=need.hard)
        return
    found = [log for at, log in enumerate(logs) if _is_of_another(facts, need, log, is_first=not at)]
    for log in [one for one in found if need.is_sure_of(one)][:1] or found[:1]:
        fault = Rules.LOG_OF_OTHER_DATABASE.of_log(log, facts.name, hard=need.hard)
        yield fault if need.is_sure_of(log) else fault.until_looked_at()
    if not found and need.hard and (taken := _taken_in(facts, logs)) is not None:
        log, since = taken
        fault = replace(Rules.LOG_OF_OTHER_DATABASE.of_log(log, facts.name, hard=True), generations=since)
        yield fault if need.is_sure_of(log) else fault.until_looked_at()


def _taken_in(facts: DatabaseFacts, logs: Sequence[LogFacts]) -> tuple[LogFacts, tuple[int, ...]] | None:
    """Return the first log that tells of another database in the place of one, where that is not attached again.

    And the generations in which it was put there: what the header of a log tells happened in the log before.
    """
    header = facts.header
    if header is None:
        return None
    own, since = header.signature, header.attach_position.generation
    places = {collision_key(one.path) for log in logs for one in log.attached if one.signature == own}
    told = [(log, 1, log.attached) for log in logs if (log.generation or 0) > since]
    if logs and (known := facts.attached_at(logs[-1].generation or 0)) is not None:
        told.append((logs[-1], 0, known))
    taken: tuple[LogFacts, tuple[int, ...]] | None = None
    for log, before, named in told:
        number = log.generation or 0
        if own in {one.signature for one in named}:
            taken = None
        elif taken is None and any(_is_its_place(facts, one.path, places) for one in named):
            taken = log, tuple(range(number - before, number + 1))
    return taken


def _is_its_place(facts: DatabaseFacts, path: str, places: AbstractSet[str]) -> bool:
    """Return whether logs that have a database in known places have it there; the last part tells where none is."""
    return collision_key(path) in places if places else collision_key(leaf_of(path)) == collision_key(facts.leaf)


def _is_of_another(facts: DatabaseFacts, need: Need, log: LogFacts, *, is_first: bool) -> bool:
    """Return whether another database was attached when a log was begun, or none where recovery begins."""
    header = facts.header
    if header is None or not header.attach_position.is_set or log.is_opaque:
        return False
    there = {one.signature for one in log.attached if one.attach_position == header.attach_position}
    if there and header.signature not in there:
        return True  # one record attaches one database
    is_exact = header.state is DatabaseState.DIRTY_SHUTDOWN
    named = there if is_exact else {one.signature for one in log.attached}
    is_meant = header.attach_position.generation < (log.generation or 0) <= need.high
    return is_meant and header.signature not in named and bool(log.attached or is_first)


def is_of_other_history(facts: DatabaseFacts, need: Need, log: LogFacts) -> bool:
    """Return whether a log says that a database, which is shut down, was attached or shut down elsewhere.

    Every log names the databases that were attached when it was begun: those after the attachment name that.
    """
    header = facts.header
    if header is None or need.low or header.attach_position > header.consistent_position:
        return False
    since = header.attach_position if header.attach_position.is_set else header.consistent_position
    if (log.generation or 0) <= since.generation:
        return False
    own = [one for one in log.attached if one.signature == header.signature]
    ends, begins = header.consistent_position, header.attach_position
    return any(one.consistent_position < ends and one.attach_position != begins for one in own)


def is_attached_at(facts: DatabaseFacts, need: Need, logs: Sequence[LogFacts]) -> bool:
    """Return whether databases are still attached where logs end: one that is shut down there takes all along."""
    header, last = facts.header, logs[-1]
    generation = last.generation or 0
    if need.low or header is None or generation > header.consistent_position.generation:
        return True
    if (known := facts.attached_at(generation)) is not None:
        return any(one.signature == header.signature for one in known)
    if last.content is None or not facts.is_unreadable_chain:
        return False  # whether it is played, and what came after the shutdown, is in it
    # What ends a run of the engine may reach into one more sector; a log that was closed later has other records there.
    behind = (header.consistent_position.sector + (2 if last.current else 1)) * last.sector_size
    return last.content.end > max(behind, last.reached)


def ends_before_shutdown(facts: DatabaseFacts, need: Need, last: LogFacts) -> bool:
    """Return whether the records of the last log end while a database is attached that was shut down later."""
    header, generation = facts.header, last.generation or 0
    if header is None or need.low or header.consistent_position.generation != generation:
        return False
    ends = header.consistent_position
    known = (one for one in facts.attached_at(generation) or () if one.signature == header.signature)
    return any(one.attach_position.is_set and one.attach_position < ends for one in known)


def open_end(
    facts: DatabaseFacts, need: Need, run: Sequence[LogFacts], checkpoints: Iterable[CheckpointFacts] = ()
) -> Iterator[str]:
    """Yield why nobody can tell whether more was in a log that a database needs.

    Of the current one, with which soft recovery ends, its records or the next copy of its last segment may tell, and a
    checkpoint that stands behind its end tells the opposite. Of a closed one the next log tells, where the format lets
    it repeat what was written.

    Args:
        facts: The database.
        need: The logs it needs.
        run: The logs that are played, in order.
        checkpoints: The checkpoints of the set.
    """
    for log, following in pairwise(run):
        if log.content is not None and log.content.may_go_on and following.previous_segments_xor is None:
            why = f"{following.name} is of a format that does not repeat what was in the log before"
            yield f"{log.name}: whether more was in it behind 0x{log.content.end:x}: {why}"
    last = run[-1]
    if ends_before_shutdown(facts, need, last):
        assert facts.header is not None
        end = f"it ends before {facts.name} was shut down at {facts.header.consistent_position}, and has it attached"
        yield f"{last.name}: {end}: recovery stops there (-1216); restore without it"
    if last.content is None or not last.current or not need.low or need.hard:
        return
    torn = facts.chain.torn if facts.chain is not None else ""
    behind = [one for one in checkpoints if _stands_behind(one, last)]
    if behind:
        why = f"the checkpoint {behind[0].name} stands at {behind[0].position}, and what is before it was written"
    elif facts.chain is None or not last.content.may_go_on:
        return  # what nobody looked at is said elsewhere
    elif not torn and facts.attached_at(last.generation or 0) is not None:
        return  # its records end there
    else:
        why = f"it ends in {torn}" if torn else "no second copy of its last segment follows"
    yield f"{last.name}: whether more was in it behind 0x{last.content.end:x}: {why}"


def _stands_behind(checkpoint: CheckpointFacts, log: LogFacts) -> bool:
    """Return whether a checkpoint stands behind the end of a log; one of a later time may, where files are mixed."""
    content, at = log.content, checkpoint.position
    if content is None or content.bad or content.not_verified or checkpoint.signature != log.signature:
        return False
    size = log.sector_size or 1
    end = -(-max(content.end, _HEADER) // size)  # the sector after the last one that was written
    return at.generation == log.generation and (at.sector, at.byte) > (end, 0)
