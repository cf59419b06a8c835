"""The nine steps of Q159838, driven over a server. It decides when, never where to: storing is the caller's.

The rules, with their numbers in spec/procedure.md:

* BAK-1 Prepare comes first and once; End comes last, once, and always.
* BAK-2 Database names are asked for in a full only.
* BAK-3 One file is open at a time; it is read to its announced size; a size of 0 is not read at all.
* BAK-4 Every database is read and closed, and the list of names freed, before the logs are asked for.
* BAK-5 The list of logs is asked for once.
* BAK-6 Every listed file is read before the seal.
* BAK-7 A backup of no files is a failure, and so is a full without a database.
* BAK-8 Truncation takes a licence of this very session (see `tokar.server.licence`), and each licence works once.
* BAK-9 After any failure or interrupt: close, free, End as an abort. Nothing else.
* BAK-10 Logs only refused by Prepare is an answer, not a failure; a full in its stead is taken only when asked for, and
  only on the four documented codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

from tokar import codes
from tokar.as_json import to_base64, to_count
from tokar.errors import ProcedureError
from tokar.namelist import ListedName
from tokar.server.content import ContentStream, ListedFile, ListKind
from tokar.server.contract import (
    BackupContext,
    BackupKind,
    BackupType,
    NameList,
    NoAnswerError,
    Outcome,
    Server,
    ServerError,
)
from tokar.server.licence import TruncationLicence
from tokar.server.states import BACKUP, BackupEvent, BackupState, Machine
from tokar.server.transcript import Transcript, describe_failure

_PREPARE = {BackupType.FULL: BackupEvent.PREPARE_FULL, BackupType.LOGS_ONLY: BackupEvent.PREPARE_LOGS}
_GET = {ListKind.DATABASE_NAMES: BackupEvent.GET_DATABASE_NAMES, ListKind.BACKUP_LOGS: BackupEvent.GET_BACKUP_LOGS}
_FREE = {ListKind.DATABASE_NAMES: BackupEvent.FREE_DATABASE_NAMES, ListKind.BACKUP_LOGS: BackupEvent.FREE_BACKUP_LOGS}
_CALLS = {ListKind.DATABASE_NAMES: "database_names", ListKind.BACKUP_LOGS: "backup_logs"}


class Store(Protocol):
    """Takes the content of a file; it must read the stream to its end."""

    def __call__(self, file: ListedFile, stream: ContentStream, /) -> None:
        """Store one file."""


class LogsOnlyRefusedError(ProcedureError):
    """Prepare refused a backup of logs only, for one of the documented reasons (BAK-10).

    Args:
        refusal: What Prepare answered.
    """

    def __init__(self, refusal: ServerError) -> None:
        self.code = refusal.code  # Its code
        known = codes.find(refusal.code)
        reason = known.meaning if known else "the server gives no reason"
        super().__init__(
            f"the server refuses a backup of logs only: {reason} ({codes.describe(refusal.code)})",
            hint="take a full: --type full, or let one stand in where logs only is refused: --or-full",
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How End went."""

    outcome: Outcome  # What was said, or would have been
    result: str  # `ok`, `failed` or `unanswered`
    # Whether the dialect passes an abort on. If not, after an abort the server may believe in a backup that does not
    # exist.
    told: bool
    detail: str = ""  # Why it failed; empty where it did not


class BackupProcedure:
    """One backup, from Prepare to End. Use it as a context manager: leaving it ends the backup, whatever happened.

    Args:
        server: The server.
        kind: What was asked for.
        transcript: Where every call is noted.
    """

    def __init__(self, server: Server, kind: BackupKind, transcript: Transcript) -> None:
        self.kind = kind  # What is being done: the fallback, once that was taken
        self.refusal: ServerError | None = None  # Why logs only was refused, where a full was taken instead
        self.listed: list[ListedFile] = []  # Every file that was listed, with its announced size, in order
        self.ending: Ending | None = None  # How End went, once it was called
        self._server = server
        self._transcript = transcript
        self._machine: Machine[BackupState, BackupEvent] = Machine(BACKUP, BackupState.IDLE)
        self._context: BackupContext | None = None
        self._held: dict[ListKind, NameList] = {}
        self._file_open = False

    @property
    def state(self) -> BackupState:
        """Where the backup stands."""
        return self._machine.state

    @property
    def source_truncates(self) -> bool:
        """Whether logs of this source may be truncated at all."""
        return self._server.truncates

    @property
    def expiry_token(self) -> bytes | None:
        """What the dialect demands at restore, if anything; known after Prepare."""
        return self._context.expiry_token if self._context else None

    def prepare(self, *, or_full: bool = False) -> None:
        """Step 1: ask for a context.

        Args:
            or_full: Take a full where logs only is refused for one of the four documented reasons (BAK-10).

        Raises:
            ProcedureError: The kind is not possible; the reason is in the message, in words and as a code.
            ServerError: Prepare failed for another reason.
        """
        self._demand_type()
        if self._server.is_online() is False:  # DsIsNTDSOnline, CertSrvIsServerOnline
            raise ProcedureError(
                "the service does not run", hint="a backup by procedure needs the service running; start it"
            )
        try:
            self._prepare(self.kind.backup_type)
        except ServerError as error:
            # Q159838 step 1: when logs only is refused, a full should be made; never a second try of logs only.
            if self.kind.backup_type is BackupType.FULL or error.code not in codes.LOGS_ONLY_REFUSALS:
                raise
            if not or_full:
                raise LogsOnlyRefusedError(error) from error
            self.refusal = error
            self.kind = self.kind.fallback
            self._prepare(self.kind.backup_type)

    def locations(self) -> NameList | None:
        """Return where everything lives on the server, or None where the dialect does not say so during a backup."""
        if not self._server.dialect.locations_in_backup:
            return None
        return self._configuration(BackupEvent.GET_LOCATIONS, "database_locations")

    def dynamic_files(self) -> NameList | None:
        """Return the names of files to copy by other means, or None where the dialect has none."""
        if not self._server.dialect.has_dynamic_files:
            return None
        return self._configuration(BackupEvent.GET_DYNAMIC_FILES, "dynamic_files")

    def take_databases(self, store: Store) -> None:
        """Steps 2 to 4: list the databases, store each, free the list.

        Raises:
            ProcedureError: The server lists no database (BAK-7).
            SourceError: A call failed, or the content is not what was announced.
        """
        self._take_list(ListKind.DATABASE_NAMES, store)

    def take_logs(self, store: Store) -> None:
        """Steps 5 to 7: list logs and patch files, store each, free the list.

        Raises:
            ProcedureError: Not one file was listed in the whole backup (BAK-7).
            SourceError: A call failed, or the content is not what was announced.
        """
        self._take_list(ListKind.BACKUP_LOGS, store)

    def sealed(self) -> None:
        """Note that the copy was sealed. From here on nothing is read any more.

        Raises:
            OutOfOrderError: Not every listed file was read.
        """
        self._machine.fire(BackupEvent.SEAL)
        self._transcript.add("seal")

    def truncate_logs(self, licence: TruncationLicence) -> None:
        """Step 8: delete the logs that the sealed copy covers.

        Args:
            licence: What the seal check gave for this session.

        Raises:
            ProcedureError: The licence is not for this session, or was used before.
            ServerError: The server refused; the copy is good all the same.
            NoAnswerError: Whether logs were deleted is not known; the copy is good all the same.
        """
        self._machine.demand(BackupEvent.TRUNCATE)
        licence.use(self)
        self._machine.fire(BackupEvent.TRUNCATE)
        try:
            self._transcript.call("truncate_logs", self._live().truncate_logs)
        except BaseException:
            self._machine.fire(BackupEvent.TRUNCATION_FAILED)
            raise
        self._machine.fire(BackupEvent.TRUNCATION_DONE)

    def fail(self) -> None:
        """Give the backup up. Does nothing where it is over, or has never begun, or is past its seal check."""
        if self._machine.allows(BackupEvent.FAIL):
            self._machine.fire(BackupEvent.FAIL)

    def end(self) -> Ending | None:
        """Step 9: clean up and end the backup; never raises because of the server.

        Returns:
            How it went; None where Prepare gave no context.
        """
        if self._context is None or self.ending is not None:
            return self.ending
        if not self._machine.allows(BackupEvent.END_SUCCESS):
            self.fail()
            self._clean_up()
        outcome = Outcome.ABORT if self.state is BackupState.FAILED else Outcome.SUCCESS
        told = outcome is Outcome.SUCCESS or self._server.dialect.has_abort
        self.ending = Ending(outcome, "unanswered", told, "it was interrupted")  # stands unless the next line returns
        try:
            self._transcript.call("end", self._context.end, outcome, facts={"outcome": outcome.value})
            self.ending = Ending(outcome, "ok", told)
        except NoAnswerError as error:
            self.ending = Ending(outcome, "unanswered", told, str(error))
        except Exception as error:  # noqa: BLE001 - whatever End does, the story goes on and must be told
            self.ending = Ending(outcome, "failed", told, str(error))
        finally:
            self._machine.fire(BackupEvent.END_ABORT if self.state is BackupState.FAILED else BackupEvent.END_SUCCESS)
        return self.ending

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            self.fail()
        ending = self.end()
        if error is not None and ending is not None and ending.result != "ok":
            error.add_note(f"End {'was not answered' if ending.result == 'unanswered' else 'failed'}: {ending.detail}")

    def _demand_type(self) -> None:
        dialect = self._server.dialect
        if self.kind.backup_type not in dialect.types:
            raise ProcedureError(
                f"{dialect.title} has no backup of logs only, so no {self.kind}", hint="take a full: --type full"
            )
        if self.kind.truncates and not self._server.truncates:
            why, hint = self._server.truncation_off
            raise ProcedureError(f"a {self.kind} backup truncates logs, and {why}", hint=hint)

    def _prepare(self, backup_type: BackupType) -> None:
        with self._machine.step(_PREPARE[backup_type]):
            prepare, facts = self._server.prepare_backup, {"type": backup_type.value}
            self._context = self._transcript.call("prepare", prepare, backup_type, facts=facts)

    def _configuration(self, event: BackupEvent, call: str) -> NameList:
        """Ask for a list that reads configuration only, and free it; its entries stay."""
        with self._machine.step(event):
            found: NameList = self._transcript.call(call, getattr(self._live(), call), note=False)
            self._transcript.add_list(call, found.entries)
            found.free()
        return found

    def _take_list(self, kind: ListKind, store: Store) -> None:
        call = _CALLS[kind]
        with self._machine.step(_GET[kind]):
            listed: NameList = self._transcript.call(call, getattr(self._live(), call), note=False)
            self._held[kind] = listed
        self._transcript.add_list(call, listed.entries)
        self._demand_files(kind, listed)
        for entry in listed.entries:
            self._take_file(kind, entry, store)
        with self._machine.step(_FREE[kind]):
            self._transcript.call("free", self._held.pop(kind).free, facts={"list": call})

    def _demand_files(self, kind: ListKind, listed: NameList) -> None:
        """Check what a list must have (BAK-7; Q261160: jobs of 0 bytes were reported as completed)."""
        if not listed.entries and (kind is ListKind.DATABASE_NAMES or not self.listed):
            what = "databases" if kind is ListKind.DATABASE_NAMES else "files"
            raise ProcedureError(
                f"the server lists no {what}: a backup of nothing is a failure",
                hint="see whether the databases are mounted, and whether the service runs",
            )
        if any(entry.token is None for entry in listed.entries):
            raise ProcedureError(f"the list of {kind} has a name without a token")
        keys = {(entry.token, entry.raw_name) for entry in listed.entries}
        if len(keys) != len(listed.entries):
            raise ProcedureError(f"the list of {kind} names a file twice")

    def _take_file(self, kind: ListKind, entry: ListedName, store: Store) -> None:
        """Steps 3 and 6: open, read to the announced size, close."""
        assert entry.token is not None
        self._machine.demand(BackupEvent.OPEN)
        name = to_base64(entry.raw_name)
        context = self._live()
        self._file_open = True  # also while Open is under way, since a call that was not answered may have opened it
        try:
            size = self._transcript.call("open", context.open, entry.raw_name, facts={"name": name}, note=False)
        except ServerError:
            self._file_open = False
            raise
        self._transcript.add("open", name=name, size=to_count(size))
        self._machine.fire(BackupEvent.OPEN)
        file = ListedFile(entry.token, entry.raw_name, entry.encoding, kind, size)
        stream = ContentStream(file, self._read, self._server.dialect)
        try:
            store(file, stream)
            stream.demand_whole()
        except BaseException as error:
            self._transcript.add("read", name=name, size=to_count(stream.size), **describe_failure(error))
            raise
        self._transcript.add("read", name=name, reads=stream.reads, size=to_count(stream.size))
        with self._machine.step(BackupEvent.CLOSE):
            self._transcript.call("close", context.close, facts={"name": name})
            self._file_open = False
        self.listed.append(file)

    def _read(self, buffer: memoryview) -> int:
        self._machine.fire(BackupEvent.READ)
        return self._live().read(buffer)

    def _clean_up(self) -> None:
        """Close and free what a failure left behind; what fails here has been told already (BAK-9)."""
        context = self._live()
        if self._file_open:
            self._machine.demand(BackupEvent.CLOSE)
            self._transcript.quietly("close", context.close)
            self._file_open = False
        for kind, held in list(self._held.items()):
            self._machine.demand(_FREE[kind])
            self._transcript.quietly("free", held.free)
            del self._held[kind]

    def _live(self) -> BackupContext:
        if self._context is None:
            raise ProcedureError("no backup has been prepared")
        return self._context
