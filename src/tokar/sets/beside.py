"""What must go together with a database and what must not: streaming and patch files, copies of it, other instances."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from tokar.ese.values import Signature
from tokar.names import leaf_of, printable
from tokar.sets.facts import DatabaseFacts, LogFacts, PatchFacts, SetFacts, StreamingFacts
from tokar.sets.faults import Fault, Rules
from tokar.words import some


def pair_faults(database: DatabaseFacts, facts: SetFacts) -> Iterator[Fault]:
    """Yield what is wrong with the files that a database is nothing without: its streaming file, its patch file."""
    own = (database.name,)
    found = (*_streaming_faults(database, facts.streaming), *_patch_faults(database, facts.patches))
    yield from (replace(fault, databases=own) for fault in found)


def _streaming_faults(database: DatabaseFacts, files: Iterable[StreamingFacts]) -> Iterator[Fault]:
    """Exchange 2000 and 2003 keep what mail protocols brought in a file of its own, which the header names (-540)."""
    header = database.header
    if header is None or not header.streaming_signature.is_set:
        return
    listed = list(files)
    if any(one.belongs_to(header) for one in listed):
        return
    beside = [one for one in listed if one.stem == database.stem]
    if not beside:
        yield Rules.STREAMING_MISSING.fault(database.name, f"{database.stem}.stm", files=(database.name,))
        return
    for one in beside:
        why = one.note if one.header is None else "its signature is another one"
        yield Rules.STREAMING_FOREIGN.fault(one.name, database.name, why, files=(one.name,))


def _patch_faults(database: DatabaseFacts, patches: Iterable[PatchFacts]) -> Iterator[Fault]:
    """A patch file that can be read must be of the same backup as the copy beside it (-552)."""
    header = database.header
    if header is None or database.trailer is None or not header.is_streaming_copy:
        return  # without a trailer of its own the fault of the patch file is that of the database
    for one in patches:
        if one.stem == database.stem and one.trailer is not None and (why := one.trailer.mismatch(header)):
            yield Rules.PATCH_FOREIGN.fault(one.name, database.name, why, files=(one.name,))


def where_of(sets: Iterable[tuple[str, SetFacts]]) -> dict[Signature, str]:
    """Return where the databases of sets are, by their signatures: each set with what messages call it."""
    return {
        one.header.signature: f"{one.name} of {label}"
        for label, facts in sets
        for one in facts.databases
        if one.header is not None
    }


def together_faults(facts: SetFacts) -> Iterator[Fault]:
    """Yield what does not go together in one place: streaming files of nothing, instances of one base name."""
    headers = [one.header for one in facts.databases if one.header is not None]
    for one in facts.streaming:
        if one.header is not None and not any(one.belongs_to(header) for header in headers):
            stems = {database.stem for database in facts.databases}
            if one.stem not in stems and not facts.has_unreadable_database:
                yield Rules.STREAMING_ALONE.fault(one.name, files=(one.name,))
    yield from _instances(facts)


def copy_faults(databases: Iterable[DatabaseFacts]) -> Iterator[Fault]:
    """Yield databases that are there more than once, each time with the latest one."""
    known: dict[bytes, list[DatabaseFacts]] = {}
    for one in databases:
        if one.header is not None and one.header.signature.is_set and not one.temporary:
            known.setdefault(one.header.signature.pack(), []).append(one)
    for alike in known.values():
        if len(alike) > 1:
            names = [one.name for one in alike]
            times = {one.name: one.header.dbtime for one in alike if one.header is not None}
            latest = max(times, key=lambda name: times[name])
            which = f"{latest} is the latest" if len(set(times.values())) > 1 else "of the same time"
            yield Rules.DATABASE_TWICE.fault(some(names), which, files=names, databases=names)


def older_copies(facts: SetFacts) -> dict[int, DatabaseFacts]:
    """Return the databases, by identity, of which a later copy is the one that recovery finds, each with that.

    It finds one by its name: the copies have one name, or the logs name the database as the later one is called.
    """
    named = {(one.signature, leaf_of(one.path).lower()) for log in facts.logs for one in log.attached}
    known: dict[Signature, list[DatabaseFacts]] = {}
    for one in facts.databases:
        if one.header is not None and one.header.signature.is_set and not one.temporary:
            known.setdefault(one.header.signature, []).append(one)
    found = {}
    for signature, alike in known.items():
        latest = max(alike, key=_dbtime)
        is_named = (signature, latest.leaf.lower()) in named
        for one in alike:
            is_other = is_named and (signature, one.leaf.lower()) not in named
            if one.is_backup_copy and not latest.is_backup_copy:
                continue  # each is recovered in a way of its own, and nothing says which is wanted
            if _dbtime(one) < _dbtime(latest) and (is_other or one.leaf.lower() == latest.leaf.lower()):
                found[id(one)] = latest
    return found


def _dbtime(database: DatabaseFacts) -> int:
    return database.header.dbtime if database.header is not None else 0


def name_in_logs(database: DatabaseFacts, logs: Iterable[LogFacts]) -> str:
    """Return what logs call a database that has another name; empty where it has theirs, or none of them names it."""
    header = database.header
    attached = () if header is None else (one for log in logs for one in log.attached)
    named = {leaf_of(one.path).lower(): one.path for one in attached if header and one.signature == header.signature}
    own, last = database.leaf.lower(), leaf_of([*named.values()][-1]) if named else ""
    return "" if own in named or not f"{own}{last}".isascii() else last  # what is in some code page is not compared


def without_older(facts: SetFacts) -> SetFacts:
    """Return facts without the databases of which a later copy is here."""
    older = older_copies(facts)
    return replace(facts, databases=tuple(one for one in facts.databases if id(one) not in older)) if older else facts


def _instances(facts: SetFacts) -> Iterator[Fault]:
    """Yield the base names that logs of two instances have, each with databases of its own."""
    owned = {one.header.log_signature for one in facts.databases if one.header is not None}
    streams: dict[str, dict[object, set[str]]] = {}
    for log in facts.logs:
        if log.signature in owned and log.base:
            folder = log.name[: -len(log.leaf)].rstrip("/\\") or "."
            streams.setdefault(log.base, {}).setdefault(log.signature, set()).add(folder)
    for base, found in streams.items():
        if len(found) > 1:
            folders = [some(sorted(one)) for one in found.values()]
            files = [log.name for log in facts.logs if log.base == base]
            yield Rules.INSTANCES.fault(len(found), printable(base), " and ".join(folders), files=files)
