"""Backups by procedure: the one place where a server, the procedure and an archive meet (spec/procedure.md).

::

    result = run_backup(server, Path("monday.tokar"), BackupKind.FULL)

In order: everything that can be refused is refused before Prepare; the procedure fills an archive under a temporary
name; the archive is sealed; for kinds that truncate it is opened again, read whole and held against the session; only
then may logs be truncated; End comes last, always; the receipt beside the archive tells what the archive itself cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from tokar import names
from tokar.as_json import fields_json
from tokar.collect.examine import ContentExaminer, Findings
from tokar.collect.follow import StoredFiles, chains_of
from tokar.errors import (
    ArchiveError,
    ExistingFileError,
    InputError,
    PartialError,
    ProcedureError,
    SetError,
    SourceError,
    StorageError,
)
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.format.bodies import FileList
from tokar.format.compression import Compression
from tokar.format.encryption import KeyMaker
from tokar.format.pipeline import WatchedStream
from tokar.format.records import TrailingRecord
from tokar.format.verify import verify
from tokar.format.writer import ArchiveWriter, Sealed, system_clock
from tokar.server.backup_result import BackupResult
from tokar.server.backup_steps import BackupProcedure
from tokar.server.content import ContentStream, ListedFile, ListKind
from tokar.server.contract import BackupKind, BackupType, NoAnswerError, Server, ServerError
from tokar.server.head import build_head
from tokar.server.licence import (
    Evidence,
    PriorSet,
    Stored,
    check_seal,
    damage_of,
    demand_one_stream,
    demand_server,
    fault_text,
)
from tokar.server.prior import prior_log_json
from tokar.server.states import BackupState
from tokar.server.transcript import Transcript
from tokar.sets import receipt
from tokar.sets.facts import SetFacts, is_foreign
from tokar.sets.judge import judge_set
from tokar.sets.outcome import LastLine, outcome_of
from tokar.sets.read import SetFile, SetReader
from tokar.sets.receipt import ArchiveTold, BackupTold, Receipt, Truncation, receipt_path, write_receipt
from tokar.sets.recorded import FactWriter
from tokar.storage import durable
from tokar.storage.bytesource import MediumSource, Reread
from tokar.storage.sink import FileSink
from tokar.trust.signatures import Signer

_FLUSH_ITEMS: Final = 256  # transcript items in a PROC record: the format allows 65,536 records outside entries
_MAX_LEFT_OUT: Final = 1000
_MAX_CALLS: Final = 1000  # calls after the seal are few; after a failure before it, the last part of the story
_NOT_TOLD: Final = "this interface cannot say that a backup failed: the server may believe in one that does not exist"
_HOW_ENDED: Final = {"failed": "failed", "unanswered": "was not answered"}
_LISTS: Final = {ListKind.DATABASE_NAMES: FileList.DATABASE_NAMES, ListKind.BACKUP_LOGS: FileList.BACKUP_LOGS}


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupOptions:
    """How a backup is made."""

    prior: PriorSet | None = None  # The set before a logs-only one; an incremental needs it
    or_full: bool = False  # Take a full where logs only is refused for one of the documented reasons
    # Return normally although the set has damaged pages or segments. It never licenses truncation.
    accept_damage: bool = False
    signer: Signer | None = None  # Signs the archive when it is sealed; every key is tried out before Prepare
    name: str | None = None  # A name for the set
    annotation: str | None = None  # A remark
    compression: Compression | None = None  # How content is stored
    archive_id: bytes | None = None  # 16 bytes; random by default
    recipients: KeyMaker | None = None  # For whom content is encrypted; None for an archive that anyone can read
    clock: Callable[[], datetime] = system_clock  # For all times
    threads: int | None = None  # Encoder and verifier threads; the number of processors by default
    progress: Callable[[ListedFile, int], None] | None = None  # Called with each file, and bytes as they are stored


class BackupPartialError(PartialError):
    """The archive is good and kept, and what should have followed did not succeed.

    Args:
        message: What did not.
        path: The archive.
        hint: What to do next.
    """


def run_backup(server: Server, out: Path, kind: BackupKind, options: BackupOptions | None = None) -> BackupResult:
    """Back a server up into a new archive.

    Args:
        server: What to back up. One that may hang belongs into a process of its own: see `tokar.server.deadline`.
        out: Where the archive appears, once it is sealed. Beside it appears its receipt.
        kind: What to take.
        options: How.

    Raises:
        ExistingFileError: `out` or its receipt is there already; Prepare was not called.
        ProcedureError: This kind is not possible, or the source lists nothing.
        SourceError: The server failed; no archive is left.
        StorageError: The archive cannot be written; none is left.
        SigningError: A key cannot sign: Prepare was not called, or the archive is kept under another name.
        SetError: The archive is kept and nothing was truncated: the set has damage or a gap, or does not go on from its
            prior.
        IntegrityError: What came back from the disk is not what was written; it lies aside under another name.
        BackupPartialError: The archive is good and kept; truncation, End or the last receipt failed.
    """
    return _Run(server, out, kind, options or BackupOptions()).run()


class _Run:
    """One backup. Its attributes are what the receipt and the result are made from."""

    def __init__(self, server: Server, out: Path, kind: BackupKind, options: BackupOptions) -> None:
        self._server = server
        self._out = out
        self._asked = kind
        self._options = options
        self._reader = SetReader(examine=True, profile=server.dialect.profile, by_procedure=True)
        self._facts = SetFacts()  # What the files say, once all of them are stored
        self._findings = Findings()
        self._damaged: tuple[str, ...] = ()
        self._left_out: list[str] = []
        self._outcome: LastLine | None = None
        self._notes: list[str] = []
        self._sealed: Sealed | None = None
        self._truncation = Truncation.NOT_INTENDED
        self._transcript = Transcript(lambda: canonical_json.to_time(options.clock()))
        self._procedure = BackupProcedure(server, kind, self._transcript)
        self._calls_in_archive = 0
        self._aside: Path | None = None
        self._reread: Reread | None = None
        self._stream_is_checked = False
        self._not_signed: ArchiveError | None = None

    def run(self) -> BackupResult:
        self._demand_possible()
        receipt.demand_free(self._out)
        # An existing archive is refused here, and so is a place where nothing can be written.
        sink = FileSink(self._out)
        try:
            if self._options.signer is not None:
                self._options.signer.try_out()
            with self._procedure:
                self._copy(sink)
                self._after_seal(sink)
        except BaseException as error:
            try:
                self._tell_of_failure(error)
            finally:
                sink.discard()
            raise
        return self._finish()

    def _demand_possible(self) -> None:
        """Refuse what must fail later, before Prepare is called."""
        kind, prior = self._asked, self._options.prior
        if kind.backup_type is BackupType.FULL and prior is not None:
            raise InputError(f"a {kind} backup follows no other", hint="leave out the prior set")
        if prior is not None:
            demand_server(prior, self._server.name)
        if not kind.truncates or not self._server.truncates:
            return
        if kind is BackupKind.INCREMENTAL and prior is None:
            raise ProcedureError(
                "an incremental deletes logs, so the set that it goes on from must be named",
                hint="--after PRIOR, or --chain DIR; or take a differential, which deletes nothing",
            )

    def _copy(self, sink: FileSink) -> None:
        """From Prepare to the seal."""
        procedure, options = self._procedure, self._options
        procedure.prepare(or_full=options.or_full)
        if procedure.kind.truncates:
            self._truncation = Truncation.NOT_LICENSED
        head = build_head(self._server, procedure, options)
        dynamic = procedure.dynamic_files()
        if dynamic is not None:
            self._left_out = [names.display(entry.raw_name, entry.encoding) for entry in dynamic.entries]
        writer = ArchiveWriter(
            sink,
            head,
            archive_id=options.archive_id,
            compression=replace(options.compression or Compression(), threads=options.threads),
            clock=options.clock,
            keys=options.recipients,
        )
        if (signer := options.signer) is not None:
            writer.after_root = lambda root: self._signatures(sink, signer, root)
        facts, stored = FactWriter(writer), StoredFiles(writer, sink.temporary)
        store = partial(self._store, writer, facts, stored)
        try:
            if procedure.kind.backup_type is BackupType.FULL:
                procedure.take_databases(store)
                self._flush_calls(writer)
            procedure.take_logs(store)
            self._flush_calls(writer)
            self._facts = stored.followed(self._reader.facts())
            facts.add_chains(chains_of(self._facts))
            self._sealed = writer.seal(**self._summary())
        except BaseException as error:
            writer.discard()
            if not isinstance(error, ExistingFileError):
                self._set_aside(sink, error)
            raise
        if self._not_signed is not None:
            self._sealed, self._aside = None, sink.path
            raise self._not_signed
        procedure.sealed()

    def _signatures(self, sink: FileSink, signer: Signer, root: bytes) -> list[TrailingRecord]:
        """Return the signatures over the root. Without them the archive is kept, whole, and gets another name."""
        try:
            return signer.records(root)
        except ArchiveError as error:
            self._not_signed = error
            sink.path = next(one for one in durable.names_aside(self._out, "unsigned") if not one.exists())
            made = names.typed(str(sink.path))
            error.hint = f"nothing was truncated; to sign it: tokar sign {made} --embed --key KEY"
            return []

    def _store(
        self, writer: ArchiveWriter, facts: FactWriter, stored: StoredFiles, file: ListedFile, stream: ContentStream
    ) -> None:
        profile, number = self._server.dialect.profile, writer.entry_count
        of_set = SetFile(name=file.name, size=file.announced_size, token=file.token, profile=profile, number=number)
        examiner = ContentExaminer(self._findings, of_set, self._reader)
        watchers: list[Callable[[memoryview], object]] = [examiner]
        if progress := self._options.progress:
            watchers.append(lambda content: progress(file, len(content)))
        try:
            added = writer.add(
                file.token,
                file.raw_name,
                WatchedStream(stream, *watchers),
                encoding=file.encoding,
                file_list=_LISTS[file.origin],
                announced_size=file.announced_size,
            )
        except InputError as error:  # nobody but the server gave it
            raise SourceError(f"the server lists what no archive can take: {error.message}", path=file.name) from error
        stored.add(added)
        if (seen := examiner.finish()) is not None:
            facts.add(added.number, seen)
        if file.origin is ListKind.BACKUP_LOGS and is_foreign(profile):
            self._reader.add_numbered(of_set, self._server.dialect.log_number(of_set.name))
        self._demand_stream()
        if file.origin is ListKind.DATABASE_NAMES or self._transcript.pending >= _FLUSH_ITEMS:
            self._flush_calls(writer)

    def _demand_stream(self) -> None:
        """Refuse another log stream than that of the prior set, which HEAD names, as soon as a log shows it."""
        prior = self._options.prior
        if prior is None or self._stream_is_checked or self._procedure.kind.backup_type is BackupType.FULL:
            return
        for log in self._reader.facts().logs[:1]:
            demand_one_stream((prior.log, log))
            self._stream_is_checked = True

    def _flush_calls(self, writer: ArchiveWriter) -> None:
        for part in self._transcript.take():
            writer.add_calls(part)
        self._calls_in_archive = len(self._transcript.calls)

    def _summary(self) -> dict[str, Any]:
        """Return the keys of SUMM (spec/format.md section 6.2)."""
        procedure = self._procedure
        truncation = "intended" if procedure.kind.truncates else "none"
        backup = {"asked": self._asked.value, "took": procedure.kind.value, "truncation": truncation}
        if procedure.refusal is not None:
            backup["refused"] = f"0x{procedure.refusal.code:08X}"
            self._notes.append(f"logs only was refused, a full was taken instead: {procedure.refusal.message}")
        verdict, facts = judge_set(self._facts), self._facts
        self._outcome = outcome_of(verdict, facts)
        self._damaged = tuple(fault_text(fault) for fault in damage_of(verdict))
        self._notes += [f"damaged: {text}" for text in self._damaged]
        summary: dict[str, Any] = {"backup": backup}
        if facts.generations is not None:
            summary["generations"] = dict(zip(("low", "high"), facts.generations, strict=True))
        if self._left_out:
            reason = "a dynamic file: the interface only names it, copy it by other means"
            summary["left_out"] = [{"name": name, "reason": reason} for name in self._left_out[:_MAX_LEFT_OUT]]
            summary["left_out_count"] = len(self._left_out)
        if self._notes:
            summary["notes"] = self._notes[:_MAX_LEFT_OUT]
        return summary

    def _after_seal(self, sink: FileSink) -> None:
        """From the seal to truncation."""
        procedure = self._procedure
        self._notes += durable.place_notes(self._out, (place for _, place in self._server.path_maps))
        evidence = self._look_again(sink) if procedure.kind.truncates else None
        self._demand_sound()
        if evidence is None or procedure.state is not BackupState.SEALED:
            return
        licence = check_seal(procedure, evidence)
        self._truncation = Truncation.TRUNCATING
        try:
            self._write_receipt()
        except BaseException:
            self._truncation = Truncation.NOT_LICENSED
            raise
        try:
            procedure.truncate_logs(licence)
        except ServerError as error:
            self._truncation = Truncation.FAILED
            hint = "nothing is lost: the logs are still there, and the next backup truncates them"
            raise self._partial(f"the logs were not truncated: {error.message}", hint) from error
        except BaseException as error:
            self._truncation = Truncation.UNKNOWN
            if not isinstance(error, NoAnswerError):
                raise
            hint = "look at the log directory; what was deleted is in the archive"
            raise self._partial(f"whether the logs were truncated is not known: {error.message}", hint) from error
        self._truncation = Truncation.DONE

    def _partial(self, what: str, hint: str | None = None) -> BackupPartialError:
        return BackupPartialError(f"the archive is good and kept, but {what}", path=self._out, hint=hint)

    def _demand_sound(self) -> None:
        """Judge damage. Accepting it keeps the archive; the server is told of no success, and nothing is truncated."""
        damaged = self._damaged
        if not damaged:
            return
        if not self._options.accept_damage:
            more = f", and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            raise SetError(
                f"the archive is kept, but the set has damage: {damaged[0]}{more}",
                path=self._out,
                hint="an older backup may be the better one, so keep it. To accept the damage: --accept-damage",
            )
        self._procedure.fail()
        if self._procedure.kind.truncates:
            self._notes.append("logs were not truncated: accepting damage does not license it")

    def _look_again(self, sink: FileSink) -> Evidence:
        """Open the sealed archive again and read all of it from the medium. Without proof it does not keep its name."""
        sealed = self._sealed
        assert sealed is not None
        try:
            with MediumSource(self._out) as source, Archive(source) as archive:
                self._reread = source.reread
                if sealed.key is not None:  # held in memory alone; nobody can look again after this run
                    archive.use_key(sealed.key)
                report = verify(archive, content=True, threads=self._options.threads)
                report.demand()
                if self._options.signer is not None:
                    self._options.signer.demand_in(archive)
                return Evidence(
                    capabilities=sink.capabilities,
                    archive_id=archive.id,
                    root=archive.root,
                    sealed_id=sealed.id,
                    sealed_root=sealed.root,
                    content_decoded=report.content_decoded and report.entries == archive.entry_count,
                    faults=tuple(fault.error for fault in report.faults),
                    entries=tuple(Stored(entry.token, entry.raw_name, entry.size) for entry in archive),
                    facts=self._facts,
                    prior=self._options.prior,
                    server=self._server.name or None,
                )
        except BaseException as error:
            if isinstance(error, ArchiveError):
                error.path = error.path or self._out
            self._sealed = None
            self._set_aside(sink, error)
            raise

    def _finish(self) -> BackupResult:
        """Tell how End went, and return what there is to return."""
        sealed, ending, procedure = self._sealed, self._procedure.ending, self._procedure
        assert sealed is not None
        assert ending is not None
        try:
            written = self._write_receipt()
        except StorageError as error:
            raise self._partial(f"its receipt could not be completed: {error.message}") from error
        except KeyboardInterrupt as error:  # there is nothing left to give up
            with suppress(StorageError):
                error.add_note(f"the backup is done, and its receipt is complete: {self._write_receipt().name}")
            raise
        if ending.result != "ok":
            what = f"the server's End {_HOW_ENDED[ending.result]}: {ending.detail}"
            hint = (
                "the server may not count this backup; see its event log, and take a full before the next incremental"
            )
            raise self._partial(what, hint)
        return BackupResult(
            path=self._out,
            receipt=written,
            sealed=sealed,
            asked=self._asked,
            took=procedure.kind,
            refusal=procedure.refusal.message if procedure.refusal else "",
            truncation=self._truncation,
            ending=ending,
            generations=self._reader.facts().generations,
            damaged=self._damaged,
            notes=tuple(self._notes),
            outcome=self._outcome,
        )

    def _tell_of_failure(self, error: BaseException) -> None:
        """Write the receipt after a failure, where there is something to tell.

        That is so where an archive is kept, and where the server may now believe in a backup that does not exist.
        """
        ending = self._procedure.ending
        if self._aside is not None:
            error.add_note(f"what was written lies aside as {self._aside.name}")
        if ending is None or (self._sealed is None and ending.told and ending.result == "ok"):
            return
        self._notes.append(f"failed: {error}" if str(error) else f"failed: {type(error).__name__}")
        try:
            written = self._write_receipt()
            if written != receipt_path(self._out):  # that one is another backup's
                error.add_note(f"its receipt is {written.name}")
        except StorageError as second:
            error.add_note(f"the receipt could not be written either: {second}")

    def _write_receipt(self) -> Path:
        return write_receipt(self._out, self._receipt())

    def _receipt(self) -> Receipt:
        sealed, ending, procedure = self._sealed, self._procedure.ending, self._procedure
        backup: BackupTold = {
            "asked": self._asked.value,
            "took": procedure.kind.value,
            "profile": self._server.dialect.profile,
        }
        if self._server.name:
            backup["server"] = self._server.name
        if self._server.seen_against:
            backup["seen_against"] = self._server.seen_against
        logs = [(log.generation, log) for log in self._reader.facts().logs if log.generation is not None]
        if logs:
            backup["generations"] = {"low": logs[0][0], "high": logs[-1][0]}
            backup["log"] = prior_log_json(logs[-1][1])
        archive: ArchiveTold = {}
        if sealed is not None:
            archive = {"name": self._out.name, "id": sealed.id.hex(), "root": sealed.root.hex(), "size": sealed.size}
            if self._reread is not None:
                archive["reread"] = self._reread.value
                archive["proven"] = "content"
        end: dict[str, Any] = {}
        notes = list(self._notes)
        if ending is not None:
            end = fields_json(ending, "outcome", "result", "told", *(["detail"] if ending.detail else []))
            if not ending.told:
                notes.append(_NOT_TOLD)
        return Receipt(
            outcome="sealed" if sealed is not None else "failed",
            truncation=self._truncation,
            archive=archive,
            backup=backup,
            end=end,
            notes=tuple(notes),
            calls=tuple(self._transcript.calls[self._calls_in_archive :][:_MAX_CALLS]),
        )

    def _set_aside(self, sink: FileSink, error: BaseException) -> None:
        """Take the final name from an archive that this run put there and cannot vouch for.

        It is renamed to a free name, not deleted, since it may hold the only copy of something. A file that somebody
        else put there is left alone. Where it cannot be renamed, the error says so first.
        """
        if not sink.has_its_name():
            return
        try:
            self._aside = durable.rename_aside(self._out)
        except StorageError as second:
            text = f"{self._out.name} was not proven and must not be used, and could not be renamed: {second.message}"
            if isinstance(error, ArchiveError):
                error.message = f"{text}; what was wrong first: {error.message}"
            else:
                error.add_note(text)
