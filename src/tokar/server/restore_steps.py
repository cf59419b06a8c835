"""The restore side, driven over a server: register, place (which the caller does), complete, in the dialect's order.

The rules, with their numbers in spec/procedure.md:

* RES-1 Prepare first, End last and always; the service must be stopped.
* RES-2 The full first; a logs-only set before it would be refused (hrNoFullRestore). Logs sets in the order of their
  highest generations, because the last Register says up to where logs are replayed. Where they begin does not matter:
  overlap is legal.
* RES-3 Exchange and AD: Register, then place. The CA and the engine: place, then Register. Per set.
* RES-4 Every Register is answered by one RegisterComplete, with the status of placing, also after a failure: a service
  that comes up on half a database is worse than one that refuses.
* RES-9 A chain is one restore: where it fails after a set that is complete, the next Register is still made, and
  completed as a failure, or the service would come up on half a chain.
* RES-5 Where the dialect takes no restore map with logs sets, none is passed (CertSrvRestoreRegisterW: NULL and 0).
* RES-6 Where the dialect has an expiry token, it is passed to Prepare as it was stored.
* RES-7 A Register that was not answered counts as done: its completion is tried with a failure.
* RES-8 A registration that a restore left behind when it died bars the next one, as it must while that one lives. It is
  completed only when that is asked for, before anything is registered, and as a failure.

Sources: Exchange Server SDK, "Restoring Directory or Information Store Data", HrRestoreRegisterComplete; Win32
documentation, "Restoring an Active Directory Server", "Restoring Certificate Services from Backup",
CertSrvRestoreRegisterW; MS Knowledge Base Q147121.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from tokar import codes
from tokar.as_json import fields_json
from tokar.errors import ProcedureError
from tokar.server.contract import BackupType, NameList, Registration, RestoreContext, Server, ServerError
from tokar.server.states import RESTORE, Machine, RestoreEvent, RestoreState
from tokar.server.transcript import Transcript

_ORDER: Final = "restore the full first, then the sets after it, by their logs: tokar chain shows the order"
_AFTER_REGISTER = {RestoreState.REGISTERED, RestoreState.REGISTERED_THEN_PLACED, RestoreState.PLACED_THEN_REGISTERED}


@dataclass(frozen=True, slots=True)
class SetToRestore:
    """One backup set, as the plan describes it to the procedure."""

    label: str  # What messages call it
    backup_type: BackupType  # Full or logs only
    registration: Registration  # What Register is told about it


class RestoreProcedure:
    """One restore, from Prepare to End. Use it as a context manager: leaving it ends the restore, whatever happened.

    Args:
        server: The server.
        transcript: Where every call is noted.
    """

    def __init__(self, server: Server, transcript: Transcript) -> None:
        self.restored: list[SetToRestore] = []  # Sets that were registered, placed and completed
        self.transcript = transcript  # Where every call is noted
        self.has_registered = False  # Whether a Register of this restore was accepted, or not answered
        self.keeps_down = False  # Whether, after a failure, the server was told of it, so that the service stays down
        self._coming: list[SetToRestore] = []  # Sets that are to come, the one at work first
        self._may_be_complete = False  # Whether the server was told that the set at work is complete
        self._server = server
        self._machine: Machine[RestoreState, RestoreEvent] = Machine(RESTORE, RestoreState.IDLE)
        self._context: RestoreContext | None = None

    @property
    def state(self) -> RestoreState:
        """Where the restore stands."""
        return self._machine.state

    def prepare(self, expiry_token: bytes | None = None) -> None:
        """Ask for a context.

        Args:
            expiry_token: As it was stored with the backup.

        Raises:
            ProcedureError: The service runs, or the expiry token is missing.
            ServerError: Prepare failed.
        """
        dialect = self._server.dialect
        if dialect.has_expiry_token and not expiry_token:
            raise ProcedureError(
                f"{dialect.title} restores only with the expiry token that came with the backup",
                hint="see the archive's HEAD",
            )
        if self._server.is_online():
            raise ProcedureError(
                "the service runs", hint="stop the service before restoring, and leave it stopped to the end"
            )
        event = RestoreEvent.PREPARE_REGISTER_FIRST if dialect.register_first else RestoreEvent.PREPARE_PLACE_FIRST
        with self._machine.step(event):
            self._context = self.transcript.call("restore_prepare", self._server.prepare_restore, expiry_token)

    def locations(self) -> NameList:
        """Return where everything lives now. The CA answers only while it runs, so use what was stored at backup there.

        Raises:
            ServerError: The server does not say.
        """
        with self._machine.step(RestoreEvent.GET_LOCATIONS):
            found: NameList = self.transcript.call("database_locations", self._live().database_locations)
            found.free()
        return found

    def take_over(self) -> None:
        """Complete, as a failure, what a restore that died left registered, if anything (RES-8).

        Raises:
            ProcedureError: A set was restored already.
            NoAnswerError: The server does not answer.
        """
        self._machine.demand(RestoreEvent.TAKE_OVER)
        if self.restored:
            raise ProcedureError("an earlier restore is taken over before anything is restored, not afterwards")
        complete = self._live().register_complete
        with contextlib.suppress(ServerError):  # nothing is registered
            self.transcript.call("register_complete", complete, codes.ERROR, facts={"status": f"0x{codes.ERROR:08X}"})
        self._machine.fire(RestoreEvent.TAKE_OVER)

    def expect(self, items: Sequence[SetToRestore]) -> None:
        """Say which sets are going to be restored, in order, so that a failure can be told to the server (RES-9)."""
        self._coming = list(items)

    def restore(self, item: SetToRestore, place: Callable[[SetToRestore], None]) -> None:
        """Register, place and complete one set, in the order of the dialect.

        Args:
            item: The set. The first must be a full.
            place: Puts its files where they belong.

        Raises:
            ProcedureError: The set cannot be next (RES-2), or has a restore map that the dialect does not take (RES-5).
            ServerError: A call failed.
        """
        self._demand_next(item)
        if item not in self._coming:
            self._coming = [item]
        try:
            if self._server.dialect.register_first:
                self._register(item)
                self._place(item, place)
            else:
                self._place(item, place)
                self._register(item)
            self._machine.demand(RestoreEvent.COMPLETE_SUCCESS)
            self._may_be_complete = True
            self.transcript.call(
                "register_complete", self._live().register_complete, codes.NONE, facts={"status": "0x00000000"}
            )
        except BaseException as error:
            self._fail(error)
            raise
        self.restored.append(item)
        self._coming.remove(item)
        self._may_be_complete = False
        self._machine.fire(RestoreEvent.COMPLETE_SUCCESS)

    def end(self) -> None:
        """End the restore. Never raises because of the server; a failure is in the transcript."""
        if self._context is None or self.state is RestoreState.ENDED:
            return
        with self._machine.step(RestoreEvent.END):
            self.transcript.quietly("restore_end", self._context.end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None and self._machine.allows(RestoreEvent.FAIL):
            self._fail(error)
        self.end()

    def _demand_next(self, item: SetToRestore) -> None:
        dialect = self._server.dialect
        if not self.restored and item.backup_type is not BackupType.FULL:
            raise ProcedureError(f"{item.label} holds logs only; a full comes first", hint=_ORDER)
        if self.restored and item.backup_type is BackupType.FULL:
            raise ProcedureError(f"{item.label} is a second full; a chain has one", hint=_ORDER)
        if self.restored and item.registration.generation_high < self.restored[-1].registration.generation_high:
            message = f"{item.label} ends before the set that was restored last; sets go in order"
            raise ProcedureError(message, hint=_ORDER)
        has_map = bool(item.registration.restore_map)
        if item.backup_type is BackupType.LOGS_ONLY and has_map and not dialect.map_with_logs_sets:
            raise ProcedureError(f"{dialect.title} takes no restore map with a logs-only set ({item.label})")
        if item.registration.generation_low > item.registration.generation_high:
            raise ProcedureError(f"{item.label} would be registered with its generations in a wrong order")

    def _register(self, item: SetToRestore) -> None:
        self._machine.demand(RestoreEvent.REGISTER)
        try:
            self.transcript.call("register", self._live().register, item.registration, facts=_facts_of(item))
        except ServerError as error:  # it said no: nothing is registered
            if error.code == codes.RESTORE_IN_PROGRESS and error.hint is None:
                error.hint = "another restore is under way, or one died; in that case take it over: --take-over"
            raise
        except BaseException:
            self._registered()  # RES-7
            raise
        self._registered()

    def _registered(self) -> None:
        self.has_registered = True
        self._machine.fire(RestoreEvent.REGISTER)

    def _place(self, item: SetToRestore, place: Callable[[SetToRestore], None]) -> None:
        with self._machine.step(RestoreEvent.PLACE):
            place(item)
            self.transcript.add("place", set=item.label)

    def _fail(self, error: BaseException) -> None:
        """Tell the server of a failure: by RegisterComplete where something is registered (RES-4), else by RES-9."""
        registered = self.state in _AFTER_REGISTER
        status = error.code if isinstance(error, ServerError) else codes.ERROR
        self._machine.fire(RestoreEvent.FAIL)
        if registered:
            self._complete_failure(status)
        if self.keeps_down or not (self.restored or self._may_be_complete):
            return
        for item in self._coming[self._may_be_complete :][:1]:
            register, facts = self._live().register, _facts_of(item)
            if isinstance(self.transcript.quietly("register", register, item.registration, **facts), ServerError):
                continue  # it said no; whatever else it is, the Register counts as done (RES-7)
            self._registered()
            self._complete_failure(status)

    def _complete_failure(self, status: int) -> None:
        complete = self._live().register_complete
        failed = self.transcript.quietly("register_complete", complete, status, status=f"0x{status:08X}")
        self.keeps_down = failed is None
        self._machine.fire(RestoreEvent.COMPLETE_FAILURE)

    def _live(self) -> RestoreContext:
        if self._context is None:
            raise ProcedureError("no restore has been prepared")
        return self._context


def _facts_of(item: SetToRestore) -> dict[str, Any]:
    """Return what the transcript says of a Register."""
    return {"set": item.label, **fields_json(item.registration, "generation_low", "generation_high")}
