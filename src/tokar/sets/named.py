"""The databases that the logs of a run name: those that are not here, and those that recovery does not find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice, takewhile

from tokar.ese.values import Signature
from tokar.names import collision_key, leaf_of, printable
from tokar.sets.attaching import is_attached_at
from tokar.sets.beside import in_place_of_lacking, is_name_of_another, last_places, name_in_logs
from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import AttachedDatabase, LogFacts, SetFacts
from tokar.sets.faults import Fault, Rules, Severity


def sure_logs(run: DatabaseRun) -> list[LogFacts]:
    """Return the first logs of a run, as far as it is sure that recovery goes through them."""
    return [*takewhile(run.need.is_sure_of, run.run)]


def databases_not_here(facts: SetFacts, runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield the databases that logs name and that are not here: soft recovery stops unless told to go on without them.

    Hard recovery plays logs onto the databases of its restore map alone, and a clean database needs no recovery. A
    database that only earlier logs name may have been detached since.
    """
    here = facts.signatures
    gone: dict[Signature, tuple[str, Severity, tuple[str, ...]]] = {}
    sure: set[Signature] = set()
    for one in runs:
        for attached, stops, is_sure in _named_in(one):
            if attached.signature not in here:
                sure |= {attached.signature} if is_sure else set()
                _, worst, users = gone.get(attached.signature, ("", Severity.WARNING, ()))
                severity = Severity.LOSS if stops else worst
                gone[attached.signature] = (attached.path, severity, (*users, one.facts.name))
    no_good = {one.leaf.lower() for one in facts.databases if one.header is None and one.damaged and one.recognised}
    no_good |= {leaf_of(name).lower() for name, _ in in_place_of_lacking(facts)} if gone else set()
    known = last_places(facts.logs) if gone.keys() & facts.elsewhere.keys() else {}
    places = {place for signature, place in known.items() if signature in here}
    for signature, (path, severity, users) in gone.items():
        named = dict.fromkeys(users)
        place = facts.elsewhere.get(signature)
        if place is not None and collision_key(path) not in places:
            yield Rules.DATABASE_ELSEWHERE.fault(path, place, files=(path,), databases=named)
        elif place is not None or leaf_of(path).lower() not in no_good:  # of one that cannot be read it is said of it
            rule = Rules.DATABASE_NOT_HERE if place is None else Rules.DATABASE_REPLACED
            fault = rule.fault(path, place, files=(path,), severity=severity, databases=named)
            yield fault if signature in sure else fault.until_looked_at()


def _named_in(run: DatabaseRun) -> Iterator[tuple[AttachedDatabase, bool, bool]]:
    """Yield the databases that the logs of a run name, each with whether soft recovery stops where it is not here.

    And with whether that is sure: as far as nobody examined them, each of the last logs may be the end.
    """
    soft, logs = not run.need.hard, telling(run)
    stops = soft and is_told_by_header(run, logs)
    ends = islice(logs, min(max(len(sure_logs(run)), 1), len(logs)) - 1, None) if stops else ()
    sure = reduce(set.intersection, ({one.signature for one in log.attached} for log in ends)) if stops else set()
    for log in logs:
        yield from ((one, stops and log is logs[-1], one.signature in sure) for one in log.attached)
    yield from ((one, soft, True) for one in run.facts.attached_at(run.end) or ())


def is_told_by_header(run: DatabaseRun, logs: Sequence[LogFacts]) -> bool:
    """Return whether the header of the last log of a run says what is attached where it ends.

    Beside a database that was shut down it does where nobody can read the records, and something stands behind that.
    """
    counts = run.need.low or run.facts.is_unreadable_chain
    return bool(counts and logs and is_attached_at(run.facts, run.need, logs))


def telling(run: DatabaseRun) -> Sequence[LogFacts]:
    """Return the logs of a run up to the last one whose header tells what is attached.

    One that names no database although the database was attached before it was begun, and after, does not: it needs
    that log, or its transactions are committed up to it.
    """
    header, logs, end = run.facts.header, run.run, len(run.run)
    since = header.attach_position.generation if header is not None and header.attach_position.is_set else 0
    told = range(max(run.need.low, since + 1), run.need.committed + 1) if since and run.need.low else range(0)
    while end and not logs[end - 1].attached and not logs[end - 1].is_opaque and logs[end - 1].generation in told:
        end -= 1
    return logs[:end] if end else logs


def databases_renamed(runs: list[DatabaseRun]) -> Iterator[Fault]:
    """Yield the databases that recovery does not find, since the logs call them by another name.

    Hard recovery looks where its restore map says, and names alone tell what stands there.
    """
    for one in runs:
        own, name = (one.facts.name,), _missed_name(one, one.run)
        is_sure = bool(name and _missed_name(one, sure_logs(one)))
        if not one.run:
            name, is_sure = _name_missed_by_others(one, runs)
        if name:
            words, hard = (one.facts.name, printable(name)), one.need.hard
            fault = Rules.DATABASE_NAME.fault(*words, files=own, databases=own, hard=hard)
            yield fault if is_sure else fault.until_looked_at()


def _name_missed_by_others(run: DatabaseRun, runs: list[DatabaseRun]) -> tuple[str, bool]:
    """Return what logs that are played onto other databases call one that takes none, and whether that is sure.

    It is missed where they end with it attached, whatever its header says of its logs; not where a database of the
    same signature has the name.
    """
    header, found = run.facts.header, ("", False)
    if header is None or run.need.hard:
        return found
    same = [one for one in runs if one.facts.header is not None and one.facts.header.signature == header.signature]
    for other in runs:
        ends = [sure for one, stops, sure in _named_in(other) if stops and one.signature == header.signature]
        if ends and all(name_in_logs(one.facts, other.run) for one in same):
            found = (name_in_logs(run.facts, other.run), found[1] or any(ends))
    return found


def _missed_name(run: DatabaseRun, logs: Sequence[LogFacts]) -> str:
    """Return what logs call a database that is not found by recovery, where it goes through them; empty elsewhere."""
    if not logs or not (run.need.hard or is_attached_at(run.facts, run.need, logs)):
        return ""
    name = name_in_logs(run.facts, logs)
    return name if not run.need.hard or is_name_of_another(run.facts, logs) else ""
