"""What must go together with a database and what must not: streaming and patch files, copies of it, other instances."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatch

from tokar.ese.attachment import is_escaped
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.identify import FileKind
from tokar.ese.values import Signature
from tokar.names import collision_key, is_plain, leaf_of, printable, typed
from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import DatabaseFacts, FileFacts, LogFacts, PatchFacts, SetFacts, StreamingFacts
from tokar.sets.faults import Fault, Rules, Scope, Severity
from tokar.sets.file_faults import database_faults
from tokar.sets.need import need_of
from tokar.tokens import SERVED
from tokar.words import noun, some


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


def no_copies(databases: Iterable[DatabaseFacts], *, beside: str = "") -> Iterator[Fault]:
    """Yield the databases that hard recovery refuses, for they are no copies from a backup.

    Args:
        databases: Those that it meets.
        beside: A copy from a backup among them, for which it comes; empty where it is what was asked for.
    """
    rule, more = (Rules.NO_COPY, (beside,)) if beside else (Rules.NO_COPIES, ())
    for one in databases:
        if one.header is not None and not one.is_backup_copy and not one.temporary:
            yield rule.fault(one.name, *more, files=(one.name,), databases=(one.name,))


def not_with_copies(runs: Sequence[DatabaseRun], logs: Sequence[LogFacts]) -> Iterator[Fault]:
    """Yield the databases that are no copies and lie beside copies, each with how the two kinds are restored."""
    copies = [run for run in runs if run.need.hard]
    for fault in no_copies((run.facts for run in runs), beside=copies[0].facts.name) if copies else ():
        own = [run for run in runs if run.facts.name in fault.databases]
        first, then = ("tokar restore ARCHIVE --into {} " + _by_name(part, logs) for part in (copies, own))
        yield replace(fault, next_step=f"{first.format('DIR')}, and then {then.format('ANOTHER_DIR')}")


def _by_name(runs: Iterable[DatabaseRun], logs: Sequence[LogFacts]) -> str:
    """Return how databases and the logs that are played onto them are asked for."""
    asked = [run.facts.name for run in runs]
    for run in runs:
        own = [log.name for log in run.run]
        bases = {log.leaf[: len(log.base)] for log in run.run}
        shapes = [f"{base}*.log" for base in bases if base]
        theirs = {log.name for log in logs for shape in shapes if fnmatch(log.leaf.lower(), shape.lower())}
        asked += shapes if theirs == {*own} and len(own) > 2 else own
    return " ".join(f"--only {typed(one)}" for one in dict.fromkeys(asked))


def current_faults(
    facts: SetFacts, ends: Iterable[tuple[DatabaseFacts, LogFacts, bool]], apart: Iterable[FileFacts]
) -> Iterator[Fault]:
    """Yield the logs with which a service does not begin: neither the current one is placed nor the next one.

    Whoever recovers by hand renames the highest log, and the steps after a restore say so (Q296787). No procedure hands
    out the current log: what came through it goes back through it, and hard recovery does without.

    Args:
        facts: The set.
        ends: The databases that soft recovery plays logs onto, each with the last of these, and whether it is sure that
            any is played.
        apart: The files that are left out.
    """
    if facts.profile not in SERVED:
        return
    begun = {id(log): (log.base, log.suffix) for log in facts.logs if log.current}
    for one in facts.next_logs:
        begun[id(one)] = (parse_file_name(one.leaf).base or "").lower(), one.leaf.rpartition(".")[2].lower()
    for file in apart if begun else ():
        begun.pop(id(file), None)
    last: dict[tuple[str, str], tuple[list[DatabaseFacts], LogFacts]] = {}
    sure = set[tuple[str, str]]()
    for database, log, is_sure in ends:
        before, highest = last.get((log.base, log.suffix), ([], log))
        last[log.base, log.suffix] = [*before, database], max(highest, log, key=lambda one: one.generation or 0)
        sure |= {(log.base, log.suffix)} if is_sure else set()
    for own, (databases, log) in last.items():
        if own not in begun.values():
            current = f"{log.leaf[: len(log.base)]}.{log.leaf.rpartition('.')[2]}"
            rule = Rules.NO_CURRENT_OF_PROCEDURE if facts.by_procedure else Rules.NO_CURRENT_LOG
            fault = rule.fault(current, files=(current,), databases=(one.name for one in databases))
            fault = fault if own in sure else fault.until_looked_at()
            way = "; or restore without logs what was shut down: --only" if all(map(_is_clean, databases)) else ""
            yield replace(fault, next_step=fault.next_step + way)


def last_places(logs: Iterable[LogFacts]) -> dict[Signature, str]:
    """Return where logs had databases when they last named them, as keys of paths: one place has one database."""
    found = sorted(logs, key=lambda log: log.generation or 0)
    return {one.signature: collision_key(one.path) for log in found for one in log.attached}


def where_of(sets: Iterable[tuple[str, SetFacts]]) -> dict[Signature, str]:
    """Return where the databases of sets are, by their signatures: each set with what messages call it."""
    return {
        one.header.signature: f"{one.name} of {label}"
        for label, facts in sets
        for one in facts.databases
        if one.header is not None and not one.temporary
    }


def together_faults(facts: SetFacts) -> Iterator[Fault]:
    """Yield what does not go together in one place: streaming files of nothing, files of one name."""
    headers = [one.header for one in facts.databases if one.header is not None]
    for one in facts.streaming:
        if one.header is not None and not any(one.belongs_to(header) for header in headers):
            stems = {database.stem for database in facts.databases}
            if one.stem not in stems and not facts.has_unreadable_database:
                yield Rules.STREAMING_ALONE.fault(one.name, files=(one.name,))
    for name, why in in_place_of_lacking(facts):
        yield Rules.DATABASE_UNREADABLE.fault(name, why, files=(name,))
    yield from [*_instances(facts)] or _of_one_name(facts.databases)


def in_place_of_databases(facts: SetFacts) -> Iterator[tuple[FileFacts, FileKind]]:
    """Yield the files that have the name of a database which logs name, of which nothing is here, and what they are.

    One that is here under another name, or in another set, is not lacking.
    """
    odd: list[tuple[FileFacts, FileKind]] = [(one, FileKind.CHECKPOINT) for one in facts.checkpoints if not one.damaged]
    odd += [(log, FileKind.LOG) for log in facts.logs if not log.base and not log.is_opaque]
    odd += [(one, FileKind.FLUSH_MAP) for one in facts.flush_maps if not one.damaged]
    odd += [(one, FileKind.STREAMING_FILE) for one in facts.streaming if one.header and not _is_stm(one)]
    odd += [(one, FileKind.TEMPORARY_DATABASE) for one in facts.databases if one.temporary]
    lacking = _lacking(facts) if odd else set()
    yield from ((one, kind) for one, kind in odd if one.leaf.lower() in lacking)


def in_place_of_lacking(facts: SetFacts) -> list[tuple[str, str]]:
    """Return the names of such files, of other sets too, each with what it is."""
    own = in_place_of_databases(facts)
    found = [(file.name, file.note if file.damaged else f"a {kind.words} by its header") for file, kind in own]
    lacking = _lacking(facts) if facts.in_place else set()
    return [*found, *((name, what) for name, what in facts.in_place if leaf_of(name).lower() in lacking)]


def in_place_elsewhere(facts: SetFacts, others: Iterable[SetFacts]) -> tuple[tuple[str, str], ...]:
    """Return what others have in the place of databases of which nothing is there, and logs of the same streams."""
    streams = {log.signature for log in facts.logs}
    found = (in_place_of_lacking(one) for one in others if not streams.isdisjoint(log.signature for log in one.logs))
    return tuple(dict.fromkeys(pair for pairs in found for pair in pairs))


def _lacking(facts: SetFacts) -> set[str]:
    """Return the names, without folders, of databases which logs name, and of which nothing is here."""
    known = facts.signatures | facts.elsewhere.keys()
    taken = {one.leaf.lower() for one in facts.databases if not one.temporary}
    attached = {(one.path, one.signature) for log in facts.logs for one in log.attached}
    taken |= {leaf_of(path).lower() for path, signature in attached if signature in known}
    return {leaf_of(path).lower() for path, _ in attached} - taken


def _is_stm(file: FileFacts) -> bool:
    return parse_file_name(file.leaf).role is NameRole.STREAMING_FILE


def _of_one_name(databases: Iterable[DatabaseFacts]) -> Iterator[Fault]:
    """Yield databases that one directory cannot hold; of copies of one only one is wanted anyway."""
    found: dict[str, dict[object, str]] = {}
    for one in databases:
        found.setdefault(collision_key(one.leaf), {}).setdefault(one.header and one.header.signature, one.name)
    for alike in found.values():
        if len(alike) > 1:
            yield Rules.SAME_NAME.fault(some(alike.values()), files=alike.values(), databases=alike.values())


def copy_faults(databases: Sequence[DatabaseFacts], apart: Mapping[int, str]) -> Iterator[Fault]:
    """Yield databases that are there more than once, each time with the latest one.

    Args:
        databases: The databases.
        apart: Those that are left out, by identity.
    """
    for alike in _copies(databases).values():
        if len(alike) > 1:
            names = [one.name for one in alike]
            latest = max(alike, key=_moment)
            which = f"{latest.name} is the latest" if len({*map(_moment, alike)}) > 1 else "of the same time"
            gone = [one.name for one in alike if id(one) in apart and not _is_sound(one)]
            which += f", and {some(gone)} {noun(len(gone), 'is', 'are')} damaged" if gone else ""
            yield Rules.DATABASE_TWICE.fault(some(names), which, files=names, databases=names)


def with_whole_copy(
    faults: Sequence[Fault], own: DatabaseFacts, databases: Iterable[DatabaseFacts], logs: Iterable[LogFacts]
) -> list[Fault]:
    """Return faults of a database; where a whole copy of it is here, that is one more way out of damage.

    Args:
        faults: What is wrong.
        own: The database.
        databases: All that are here.
        logs: The logs that are here: one that cannot be read is of the stream of those in its folder.
    """
    whole = [one for one in databases if one is not own and _are_one(own, one) and _is_sound(one)]
    if (
        whole
        and own.header is None
        and (beside := {log.signature for log in logs if log.folder == own.folder} - {None})
    ):
        whole = [one for one in whole if one.header is not None and one.header.log_signature in beside]
    if not whole:
        return [*faults]
    best = max(whole, key=_moment)
    when = " of an earlier time" * _is_earlier(best, own)
    way = f"; or restore {best.name}, a whole copy{when}, in its place with the logs (--only)"
    blocks = [
        one.severity is Severity.ERROR and one.kind.scope is Scope.FILE and own.name in one.files for one in faults
    ]
    return [replace(one, next_step=one.next_step + way * bad) for one, bad in zip(faults, blocks, strict=True)]


def _are_one(own: DatabaseFacts, other: DatabaseFacts) -> bool:
    """Return whether two files are of one database; one that cannot be read is known by its name alone."""
    if other.header is None or own.header is None:
        return other.header is not None and own.leaf.lower() == other.leaf.lower()
    return own.header.signature.is_set and own.header.signature == other.header.signature


def may_give_way(own: DatabaseFacts, databases: Iterable[DatabaseFacts]) -> bool:
    """Return whether another copy of a database may count in its place, for nobody looked which of them is whole.

    That is so of copies of one time that differ in what is judged before somebody looks at pages.
    """
    others = (one for one in databases if one is not own and own.header and one.header and _are_one(own, one))
    alike = (one for one in others if _moment(one) == _moment(own) and one.is_backup_copy == own.is_backup_copy)
    found = (one for one in alike if one.leaf.lower() == own.leaf.lower() or not (_is_clean(own) or own.is_backup_copy))
    known = own.header, own.size, own.trailer, own.trailer_fault
    unlike = (one for one in found if (one.header, one.size, one.trailer, one.trailer_fault) != known)
    return any(one.pages is None or own.pages is None for one in unlike)


def _is_earlier(one: DatabaseFacts, own: DatabaseFacts) -> bool:
    return own.header is not None and _moment(one) < _moment(own)


def _copies(databases: Iterable[DatabaseFacts]) -> dict[Signature, list[DatabaseFacts]]:
    found: dict[Signature, list[DatabaseFacts]] = {}
    for one in databases:
        if one.header is not None and one.header.signature.is_set and not one.temporary:
            found.setdefault(one.header.signature, []).append(one)
    return found


def _is_sound(database: DatabaseFacts) -> bool:
    return all(fault.severity is not Severity.ERROR for fault in database_faults(database))


def _fits(database: DatabaseFacts, logs: Iterable[LogFacts]) -> bool:
    """Return whether a database has pages of the size that its logs are for, or no log of it is here."""
    header = database.header
    sizes = {log.page_size for log in logs if header is not None and log.signature == header.log_signature}
    return not sizes or (header is not None and header.page_size in sizes)


def _moment(database: DatabaseFacts) -> tuple[int, int]:
    """Return what is higher in a later copy of a database."""
    header = database.header
    return (
        (0, 0) if header is None else (header.dbtime, max(header.committed_high, header.consistent_position.generation))
    )


def copies_left_out(facts: SetFacts) -> dict[int, str]:
    """Return the databases, by identity, of which another copy is the one that recovery finds, each with the reason.

    It finds one by its name: the copies have one name, or the logs name the database as one of them is called. Of those
    of one time a damaged one, or one of other pages than its logs are for, gives way to a whole one, one that was not
    shut down to one that was, and all to the one in the upper folder.
    """
    named = {(one.signature, leaf_of(one.path).lower()) for log in facts.logs for one in log.attached}
    found = {}
    for signature, alike in _copies(facts.databases).items():
        known = {id(one): (signature, one.leaf.lower()) in named for one in alike}
        sound = {id(one): _is_sound(one) and _fits(one, facts.logs) for one in alike}
        best = max(alike, key=lambda one: (_moment(one), sound[id(one)], _is_clean(one), known[id(one)], -_depth(one)))
        for one in alike:
            if one is best or (one.is_backup_copy and not best.is_backup_copy):
                continue  # each is recovered in a way of its own, and nothing says which is wanted
            is_named = known[id(best)] and not known[id(one)]
            gives_way = not sound[id(one)] and sound[id(best)] and _moment(one) == _moment(best)
            gives_way &= not (_is_clean(best) or best.is_backup_copy)  # those are placed under any name
            if not (is_named or gives_way or one.leaf.lower() == best.leaf.lower()):
                continue
            if _moment(one) < _moment(best):
                found[id(one)] = f"an older copy of {best.name}"
            elif not sound[id(one)] and sound[id(best)]:
                found[id(one)] = f"a damaged copy of {best.name}"
            elif _moment(one)[0] or one.comparable == best.comparable is not None:
                found[id(one)] = f"a copy of {best.name}, of the same time"
    return found | {id(one): why for one, why in _misnamed(facts, found, named)}


def unmet_copies(facts: SetFacts, apart: Container[int]) -> set[int]:
    """Return the copies that are left out, by identity, and that soft recovery does not mind where they lie.

    They are as the one that is kept, or it opens that by the name in the logs, and never them.

    Args:
        facts: What the files say.
        apart: The databases that are left out, by identity.
    """
    named = {(one.signature, leaf_of(one.path).lower()) for log in facts.logs for one in log.attached}
    found = set()
    for signature, alike in _copies(facts.databases).items():
        kept = [one for one in alike if id(one) not in apart and not one.is_backup_copy]
        is_named = any((signature, one.leaf.lower()) in named for one in kept)
        for one in alike if kept else ():
            is_same = any(one.comparable == other.comparable is not None for other in kept)
            if is_same or (is_named and (signature, one.leaf.lower()) not in named):
                found.add(id(one))
    return found


def _misnamed(
    facts: SetFacts, apart: Container[int], named: Iterable[tuple[Signature, str]]
) -> Iterator[tuple[DatabaseFacts, str]]:
    """Yield the databases whose name another one here has that recovery finds with its logs, each with the reason.

    Recovery finds neither them nor, by their names, the logs that they are for: they lie beside a set of another time,
    or of another server. One that is shut down is left out only where the other is the same database.
    """
    leaves = {one.leaf.lower(): one for one in facts.databases if id(one) not in apart}
    claimed = {signature for signature, leaf in named if leaf in leaves}
    ours = [one for one in leaves.values() if one.header is not None and one.header.signature in claimed]
    wrong = [(one, name) for one in ours if (name := name_in_logs(one, facts.logs)) and not one.temporary]
    if not wrong:
        return
    found: dict[Signature, set[int]] = {}
    for log in facts.logs:
        if log.signature is not None and log.has_engine_name:
            found.setdefault(log.signature, set()).add(log.generation or 0)
    for one, name in wrong:
        header, other, need = one.header, leaves.get(name.lower()), need_of(one)
        if header is None or need.hard or other is None or other.header is None or not _has_its_logs(other, found):
            continue
        if header.is_clean and other.header.signature != header.signature:
            continue
        wanted = need.generations or (header.consistent_position.generation,)
        if not any(generation in wanted for generation in found.get(header.log_signature, ())):
            yield one, f"the logs call it {printable(name)}, and recovery finds {other.name} under that name"


def _has_its_logs(database: DatabaseFacts, found: Mapping[Signature, Container[int]]) -> bool:
    """Return whether a database is whole, and was shut down, or the first and the last log that it needs are found."""
    header, need = database.header, need_of(database)
    if header is None or database.temporary or not _is_sound(database):
        return False
    logs = found.get(header.log_signature, ())
    return header.is_clean or bool(need.low and need.low in logs and need.high in logs)


def _is_clean(database: DatabaseFacts) -> bool:
    return database.header is not None and database.header.is_clean


def _depth(database: DatabaseFacts) -> int:
    return database.name.count("/")


def name_in_logs(database: DatabaseFacts, logs: Iterable[LogFacts]) -> str:
    """Return what logs call a database that has another name; empty where it has theirs, or none of them names it."""
    header = database.header
    attached = () if header is None else (one for log in logs for one in log.attached)
    named = {leaf_of(one.path).lower(): one.path for one in attached if header and one.signature == header.signature}
    own, path = database.leaf.lower(), [*named.values()][-1] if named else ""
    is_other = own not in named and leaf_of(path).isascii() and (is_plain(own) or not is_escaped(path))
    return leaf_of(path) if is_other else ""  # beyond ASCII the code pages are not known


def is_name_of_another(database: DatabaseFacts, logs: Iterable[LogFacts]) -> bool:
    """Return whether logs give the name of a database to another one."""
    own, header = database.leaf.lower(), database.header
    named = (one for log in logs for one in log.attached if leaf_of(one.path).lower() == own)
    return any(header is not None and one.signature != header.signature for one in named)


def without_copies(facts: SetFacts) -> SetFacts:
    """Return facts without the databases of which another copy here is the one that counts."""
    apart = copies_left_out(facts)
    return replace(facts, databases=tuple(one for one in facts.databases if id(one) not in apart)) if apart else facts


def _instances(facts: SetFacts) -> Iterator[Fault]:
    """Yield the base names that logs of two instances have, each with databases of its own."""
    owned = facts.owned_streams
    streams: dict[str, dict[object, set[str]]] = {}
    for log in facts.logs:
        if log.signature in owned and log.base:
            streams.setdefault(log.base, {}).setdefault(log.signature, set()).add(log.place[0] or ".")
    for base, found in streams.items():
        if len(found) > 1:
            folders = [some(sorted(one)) for one in found.values()]
            files = [log.name for log in facts.logs if log.base == base]
            yield Rules.INSTANCES.fault(len(found), printable(base), " and ".join(folders), files=files)
