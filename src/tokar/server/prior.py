"""What a logs-only backup must know of the set before it, from its archive or from the receipt of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from tokar import names, tokens
from tokar.errors import ArchiveError, HeaderError, InputError
from tokar.ese.filenames import parse_file_name
from tokar.ese.values import NO_TIME, LogTime, Signature
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.server.contract import BackupKind
from tokar.server.licence import PriorSet, is_other_server
from tokar.sets.backup_set import FoundSets, find_sets
from tokar.sets.facts import LogFacts, is_foreign
from tokar.sets.joining import build_chain
from tokar.sets.read import facts_of_archive
from tokar.sets.receipt import RECEIPT_SUFFIX, LogTold, read_receipt
from tokar.sets.recorded import RecordedFacts

_OTHER: Final = "name the archive of the set before this one, or take a full backup"


def load_prior(path: Path) -> PriorSet:
    """Return what a logs-only backup must know of the set before it.

    Args:
        path: An archive, or the receipt of one.

    Raises:
        InputError: It has no logs to go on from, or is the receipt of a backup that failed.
        ArchiveError: It cannot be read.
    """
    if path.name.endswith(RECEIPT_SUFFIX):
        return _prior_from_receipt(path)
    with Archive(path) as archive:
        logs = [*_logs_of(archive)]
        known = archive.summary.extra.get("generations")
        if is_foreign(archive.head.profile) and known:
            return PriorSet(archive.id, archive.root, prior_log(int(known["high"])), archive.head.text("server"))
        if not logs:
            raise InputError("the set has no log to go on from", path=path, hint=_OTHER)
        _, last = max(logs, key=lambda pair: pair[0])
        recorded = RecordedFacts(archive) if archive.is_locked else None  # the server never holds its key
        (log,) = facts_of_archive(archive, entries=[last], recorded=recorded).logs
        return PriorSet(
            archive.id, archive.root, prior_log(log.generation, log.signature, log.created), archive.head.text("server")
        )


def prior_log(generation: int | None, signature: Signature | None = None, created: LogTime = NO_TIME) -> LogFacts:
    """Return what later sets must know of the highest log of a set: no more than its receipt keeps."""
    name = f"log 0x{generation or 0:X} of the prior set"
    return LogFacts(name=name, generation=generation, signature=signature, created=created)


def prior_log_json(log: LogFacts) -> LogTold:
    """Return the same as values for the receipt (spec/procedure.md section 6)."""
    assert log.generation is not None
    if log.signature is None:
        return {"generation": log.generation}
    return {
        "generation": log.generation,
        "stream": log.signature.pack().hex(),
        "created": log.created.pack().hex(),
    }


def _logs_of(archive: Archive) -> Iterator[tuple[int, Entry]]:
    """Yield the logs of an archive with the generations in their names, which the names of all backed-up logs have."""
    for entry in archive:
        generation = parse_file_name(entry.leaf or "").generation
        if tokens.role(entry.token) is tokens.Role.LOG and generation is not None:
            yield generation, entry


def _prior_from_receipt(path: Path) -> PriorSet:
    found = read_receipt(path)
    log = found.backup.get("log")
    if found.outcome != "sealed" or log is None:
        raise InputError("this receipt tells of no set with logs to go on from", path=path, hint=_OTHER)
    try:
        stream, created = log.get("stream"), log.get("created")
        last = prior_log(
            log["generation"],
            Signature.unpack(bytes.fromhex(stream)) if stream and created else None,
            LogTime.unpack(bytes.fromhex(created)) if stream and created else NO_TIME,
        )
        prior = PriorSet(
            bytes.fromhex(found.archive["id"]), bytes.fromhex(found.archive["root"]), last, found.backup.get("server")
        )
    except (KeyError, TypeError, ValueError, HeaderError) as error:
        raise InputError("this receipt lacks what a prior set is known by", path=path, hint=_OTHER) from error
    beside = path.with_name(path.name.removesuffix(RECEIPT_SUFFIX))
    if beside.is_file():
        with Archive(beside) as archive:
            if (archive.id, archive.root) != (prior.archive_id, prior.root):
                hint = f"name the archive: --after {names.printable(beside.name)}"
                raise InputError("this receipt is of another archive than the one beside it", path=path, hint=hint)
    return prior


def find_prior(
    folder: Path,
    kind: BackupKind,
    *,
    server: str | None = None,
    report: Callable[[ArchiveError], None] | None = None,
) -> PriorSet | None:
    """Return the set before a new one, found among the archives of a folder; None for kinds that begin a chain.

    For a differential that is the last full; for an incremental the set with the highest log.

    Args:
        folder: The folder.
        kind: The kind of the new set.
        server: The server of the new set: sets of others are passed over.
        report: Called with each archive and receipt that cannot be read, where the chain does not need it.

    Raises:
        InputError: The folder has no set to go on from.
        StorageError: The folder cannot be listed.
        ArchiveError: An archive cannot be read, and without it what is here cannot be restored.
    """
    if kind in (BackupKind.FULL, BackupKind.COPY):
        return None
    wanted = {"full"} if kind is BackupKind.DIFFERENTIAL else {"full", "logs"}
    try:
        found = find_sets([folder])
    except InputError:
        found = FoundSets((), ())
    usable = [one for one in found.sets if one.kind in wanted and one.generations and not one.receipt]
    others = {one.server for one in usable if is_other_server(one.server, server)}
    usable = [one for one in usable if one.server not in others]
    if not usable:
        error = InputError("no set to go on from", path=folder, hint="take a full backup into this folder first")
        if others:
            error.add_note(
                f"the sets there are of another server than {server}: {', '.join(sorted(filter(None, others)))}"
            )
        for problem in found.problems:
            error.add_note(f"also: cannot be read: {problem}")
        raise error
    last = max(usable, key=lambda one: ((one.generations or (0, 0))[1], one.created))
    if found.problems and not build_chain(found.sets).verdict_on(last).restorable:
        raise found.problems[0]
    if report is not None:
        for problem in found.problems:
            report(problem)
    return load_prior(Path(last.label))
