"""What lies beside the databases and logs of a set and does not fit: checkpoints, flush maps, patch files, databases that are not here.

None of it is placed by a restore of its own accord, so most of this is a warning: about what happens if somebody places
it by hand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.ese.filenames import parse_file_name
from tokar.sets.faults import Fault, FaultKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tokar.ese.values import Signature
    from tokar.sets.facts import CheckpointFacts, DatabaseFacts, LogFacts, PatchFacts, SetFacts
    from tokar.sets.need import Need

_LEAVE_OUT = "leave it out: without a checkpoint recovery begins at the lowest log"

Judged = tuple["DatabaseFacts", "Need", "Sequence[LogFacts]"]
"""A database, what it needs, and the logs that will be played onto it."""


def beside_faults(facts: SetFacts, judged: Iterable[Judged]) -> Iterator[Fault]:
    """Yield what does not fit beside the databases and logs of a set.

    Args:
        facts: The set.
        judged: Its databases.
    """
    listed = list(judged)
    yield from _databases_not_here(facts, listed)
    for checkpoint in facts.checkpoints:
        yield from _checkpoint_faults(checkpoint, facts, listed)
    known = {database.header.flush_map_signature for database in facts.databases if database.header is not None}
    for flush_map in facts.flush_maps:
        if flush_map.signature not in known and not facts.has_unreadable_database:
            yield Fault(
                kind=FaultKind.FLUSH_MAP_FOREIGN,
                message=f"{flush_map.name} is out of step with every database here",
                severity=Severity.WARNING,
                files=(flush_map.name,),
                next_step="leave it out: the engine makes a new one",
            )


def _databases_not_here(facts: SetFacts, judged: list[Judged]) -> Iterator[Fault]:
    """Logs name the databases they are about. One that is not here stops soft recovery, unless that is told to go on without it.

    Hard recovery plays logs onto the databases of its restore map alone, and a clean database needs no recovery. A
    database that only earlier logs name may have been detached since.
    """
    here = {database.header.signature for database in facts.databases if database.header is not None}
    gone: dict[Signature, tuple[str, Severity, tuple[str, ...]]] = {}
    for database, need, run in judged:
        for log in run:
            stops = need.low and not need.hard and log is run[-1]
            for attached in log.attached:
                if attached.signature not in here:
                    _, worst, users = gone.get(attached.signature, ("", Severity.WARNING, ()))
                    severity = Severity.LOSS if stops else worst
                    gone[attached.signature] = (attached.path, severity, (*users, database.name))
    for path, severity, users in gone.values():
        yield Fault(
            kind=FaultKind.DATABASE_NOT_HERE,
            message=f"the logs are also about a database that is not here: {path}",
            severity=severity,
            files=(path,),
            code=-1216,
            next_step="restore it as well, or let recovery go on without it: esentutl /r BASE /i",
            databases=tuple(dict.fromkeys(users)),
        )


def patch_faults(database: DatabaseFacts, need: Need, patches: Iterable[PatchFacts]) -> Iterator[Fault]:
    """Yield whether a copy lacks its patch file: before trailers a copy was nothing without the pages in it (Q158526)."""
    if not need.hard or database.header is None or database.header.file_type != 0:
        return
    stem = _stem(database.leaf)
    if stem not in {_stem(patch.leaf) for patch in patches if patch.size}:
        yield Fault(
            kind=FaultKind.PATCH_MISSING,
            message=f"{database.name} is a backup copy from before 2001, and its patch file {stem}.pat is missing or empty",
            files=(database.name,),
            code=-538,
            next_step="find the patch file of the same backup",
            databases=(database.name,),
        )


def _stem(leaf: str) -> str:
    return (parse_file_name(leaf).base or leaf.rpartition(".")[0] or leaf).lower()


def _checkpoint_faults(checkpoint: CheckpointFacts, facts: SetFacts, judged: list[Judged]) -> Iterator[Fault]:
    if checkpoint.signature is None:
        yield _checkpoint_fault(checkpoint, FaultKind.CHECKPOINT_DAMAGED, "cannot be read", -533)
        return
    streams = {log.signature for log in facts.logs}
    streams |= {database.header.log_signature for database in facts.databases if database.header is not None}
    if checkpoint.signature not in streams and any(stream is not None and stream.is_set for stream in streams):
        what = "belongs to another log stream than everything else here"
        yield _checkpoint_fault(checkpoint, FaultKind.CHECKPOINT_FOREIGN, what, -532)
        return
    for database, need, _ in judged:
        header = database.header
        if header is None or header.log_signature != checkpoint.signature:
            continue
        start = need.low or header.consistent_position.generation
        if start and checkpoint.position.generation > start:
            what = (
                f"stands at {checkpoint.position}, after generation 0x{start:X} from which {database.name} must be played: "
                "recovery would begin too late and damage the database"
            )
            yield _checkpoint_fault(checkpoint, FaultKind.CHECKPOINT_NEWER, what, None)
            return


def _checkpoint_fault(checkpoint: CheckpointFacts, kind: FaultKind, what: str, code: int | None) -> Fault:
    return Fault(
        kind=kind,
        message=f"the checkpoint {checkpoint.name} {what}",
        severity=Severity.WARNING,
        files=(checkpoint.name,),
        code=code,
        next_step=_LEAVE_OUT,
    )
