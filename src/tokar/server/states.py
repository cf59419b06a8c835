"""Every transition of the two procedures: state, event, next state. What is not in a table is refused.

Only tables, and the machine that walks them, may live here. spec/procedure.md shows both tables; a test compares it
with this file.

Backup, after Q159838 and the rules on order that all interfaces share. What goes beyond them:

* *Full* and *logs only* are two states after Prepare, so that "database names in a full only" is a matter of the table.
* Freeing a list means that all of its files were read: steps 4 and 7 of Q159838 close steps 3 and 6. So the log list
  cannot be asked for while a database is open or unread. (Exchange would answer, and the backup could not be restored:
  Q256347.)
* The seal stands between the last log and truncation. Truncation is an event of its own state, since it may fail, or
  not answer, after a seal that is good.
* A failure leads to one state, whatever it was; from there only cleaning up and End, as an abort.
* Asking twice for a list is left out. It would give the same list once more.

Restore, after the SDK pages on restoring: two branches, since Exchange and AD register first and place the files then,
and the CA and the engine the other way round. A failure while something is registered must be passed to
RegisterComplete.

Sources: MS Knowledge Base Q159838, Q256347, Q200941; Exchange Server SDK, "Backing Up" and "Restoring Directory or
Information Store Data"; Win32 documentation, "Restoring Certificate Services from Backup"; Extensible Storage Engine
documentation, "JetBeginExternalBackupInstance".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from tokar.errors import ProcedureError


class BackupState(StrEnum):
    """Where a backup stands."""

    IDLE = "idle"
    PREPARED_FULL = "prepared-full"
    PREPARED_LOGS = "prepared-logs"
    DATABASES = "databases"
    DATABASE_OPEN = "database-open"
    DATABASES_DONE = "databases-done"
    LOGS = "logs"
    LOG_OPEN = "log-open"
    LOGS_DONE = "logs-done"
    SEALED = "sealed"
    TRUNCATING = "truncating"
    TRUNCATED = "truncated"
    NOT_TRUNCATED = "not-truncated"
    FAILED = "failed"
    ENDED = "ended"


class BackupEvent(StrEnum):
    """What can happen in a backup."""

    PREPARE_FULL = "prepare-full"
    PREPARE_LOGS = "prepare-logs"
    GET_LOCATIONS = "get-locations"
    GET_DYNAMIC_FILES = "get-dynamic-files"
    GET_DATABASE_NAMES = "get-database-names"
    OPEN = "open"
    READ = "read"
    CLOSE = "close"
    FREE_DATABASE_NAMES = "free-database-names"
    GET_BACKUP_LOGS = "get-backup-logs"
    FREE_BACKUP_LOGS = "free-backup-logs"
    SEAL = "seal"
    TRUNCATE = "truncate"
    TRUNCATION_DONE = "truncation-done"
    TRUNCATION_FAILED = "truncation-failed"
    FAIL = "fail"
    END_SUCCESS = "end-success"
    END_ABORT = "end-abort"


class RestoreState(StrEnum):
    """Where a restore stands."""

    IDLE = "idle"
    REGISTER_NEXT = "register-next"
    REGISTERED = "registered"
    REGISTERED_THEN_PLACED = "registered-then-placed"
    PLACE_NEXT = "place-next"
    PLACED = "placed"
    PLACED_THEN_REGISTERED = "placed-then-registered"
    FAILED_REGISTERED = "failed-registered"
    FAILED = "failed"
    ENDED = "ended"


class RestoreEvent(StrEnum):
    """What can happen in a restore."""

    PREPARE_REGISTER_FIRST = "prepare-register-first"
    PREPARE_PLACE_FIRST = "prepare-place-first"
    GET_LOCATIONS = "get-locations"
    TAKE_OVER = "take-over"
    REGISTER = "register"
    PLACE = "place"
    COMPLETE_SUCCESS = "complete-success"
    COMPLETE_FAILURE = "complete-failure"
    FAIL = "fail"
    END = "end"


def _backup_table() -> Mapping[tuple[BackupState, BackupEvent], BackupState]:
    s, e = BackupState, BackupEvent
    table = {
        # 1. Prepare, once, first (order rule 1)
        (s.IDLE, e.PREPARE_FULL): s.PREPARED_FULL,
        (s.IDLE, e.PREPARE_LOGS): s.PREPARED_LOGS,
        # 2. to 4.: databases, in a full only (order rules 2, 3, 4)
        (s.PREPARED_FULL, e.GET_DATABASE_NAMES): s.DATABASES,
        (s.DATABASES, e.OPEN): s.DATABASE_OPEN,
        (s.DATABASE_OPEN, e.READ): s.DATABASE_OPEN,
        (s.DATABASE_OPEN, e.CLOSE): s.DATABASES,
        (s.DATABASES, e.FREE_DATABASE_NAMES): s.DATABASES_DONE,
        # 5. to 7.: logs and patch files; after their list no database is opened (order rules 5, 6)
        (s.DATABASES_DONE, e.GET_BACKUP_LOGS): s.LOGS,
        (s.PREPARED_LOGS, e.GET_BACKUP_LOGS): s.LOGS,
        (s.LOGS, e.OPEN): s.LOG_OPEN,
        (s.LOG_OPEN, e.READ): s.LOG_OPEN,
        (s.LOG_OPEN, e.CLOSE): s.LOGS,
        (s.LOGS, e.FREE_BACKUP_LOGS): s.LOGS_DONE,
        # between 7. and 8.: the copy is made safe (order rules 7, 8)
        (s.LOGS_DONE, e.SEAL): s.SEALED,
        # 8. truncation, where the kind calls for it and a licence was given
        (s.SEALED, e.TRUNCATE): s.TRUNCATING,
        (s.TRUNCATING, e.TRUNCATION_DONE): s.TRUNCATED,
        (s.TRUNCATING, e.TRUNCATION_FAILED): s.NOT_TRUNCATED,
        # 9. End
        (s.SEALED, e.END_SUCCESS): s.ENDED,
        (s.TRUNCATED, e.END_SUCCESS): s.ENDED,
        (s.NOT_TRUNCATED, e.END_SUCCESS): s.ENDED,
        # after a failure the engine has most often dropped the backup: clean up, End, start over (order rules 9, 10)
        (s.FAILED, e.CLOSE): s.FAILED,
        (s.FAILED, e.FREE_DATABASE_NAMES): s.FAILED,
        (s.FAILED, e.FREE_BACKUP_LOGS): s.FAILED,
        (s.FAILED, e.END_ABORT): s.ENDED,
    }
    prepared = (
        s.PREPARED_FULL,
        s.PREPARED_LOGS,
        s.DATABASES,
        s.DATABASE_OPEN,
        s.DATABASES_DONE,
        s.LOGS,
        s.LOG_OPEN,
        s.LOGS_DONE,
        s.SEALED,
    )
    for state in prepared:
        table[state, e.FAIL] = s.FAILED
        # These read configuration only, and no source ties them to an order. Before the seal, so that the archive has
        # them.
        if state is not s.SEALED:
            table[state, e.GET_LOCATIONS] = state
            table[state, e.GET_DYNAMIC_FILES] = state
    return MappingProxyType(table)


def _restore_table() -> Mapping[tuple[RestoreState, RestoreEvent], RestoreState]:
    s, e = RestoreState, RestoreEvent
    table = {
        # Exchange and AD: Register, then place the files, then Complete; once more for every further set
        (s.IDLE, e.PREPARE_REGISTER_FIRST): s.REGISTER_NEXT,
        (s.REGISTER_NEXT, e.REGISTER): s.REGISTERED,
        (s.REGISTERED, e.PLACE): s.REGISTERED_THEN_PLACED,
        (s.REGISTERED_THEN_PLACED, e.COMPLETE_SUCCESS): s.REGISTER_NEXT,
        # the CA and the engine: place the files of one set, Register it, Complete; once more for every further set
        (s.IDLE, e.PREPARE_PLACE_FIRST): s.PLACE_NEXT,
        (s.PLACE_NEXT, e.PLACE): s.PLACED,
        (s.PLACED, e.REGISTER): s.PLACED_THEN_REGISTERED,
        (s.PLACED_THEN_REGISTERED, e.COMPLETE_SUCCESS): s.PLACE_NEXT,
        # a failure while registered is passed on: the service must not start on half a database
        (s.REGISTER_NEXT, e.FAIL): s.FAILED,
        (s.REGISTERED, e.FAIL): s.FAILED_REGISTERED,
        (s.REGISTERED_THEN_PLACED, e.FAIL): s.FAILED_REGISTERED,
        (s.PLACE_NEXT, e.FAIL): s.FAILED,
        (s.PLACED, e.FAIL): s.FAILED,
        (s.PLACED_THEN_REGISTERED, e.FAIL): s.FAILED_REGISTERED,
        (s.FAILED_REGISTERED, e.COMPLETE_FAILURE): s.FAILED,
        # after a set that is complete the next one is registered, only to be completed as a failure
        (s.FAILED, e.REGISTER): s.FAILED_REGISTERED,
        # End, also after a failure
        (s.REGISTER_NEXT, e.END): s.ENDED,
        (s.PLACE_NEXT, e.END): s.ENDED,
        (s.FAILED, e.END): s.ENDED,
        # where things are now; reads configuration only
        (s.REGISTER_NEXT, e.GET_LOCATIONS): s.REGISTER_NEXT,
        (s.PLACE_NEXT, e.GET_LOCATIONS): s.PLACE_NEXT,
        # what a restore that died left registered is completed, as a failure
        (s.REGISTER_NEXT, e.TAKE_OVER): s.REGISTER_NEXT,
        (s.PLACE_NEXT, e.TAKE_OVER): s.PLACE_NEXT,
    }
    return MappingProxyType(table)


BACKUP: Final = _backup_table()
RESTORE: Final = _restore_table()

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class OutOfOrderError(ProcedureError):
    """A step was tried in a state that does not allow it: a mistake of the caller, not of the server.

    Args:
        state: The state.
        event: What was tried.
    """

    def __init__(self, state: StrEnum, event: StrEnum) -> None:
        super().__init__(f"{event} is not allowed in the state {state}")
        self.state = state
        self.event = event


class Machine(Generic[State, Event]):
    """Walks a table.

    Args:
        table: All transitions.
        start: The state to begin in.
    """

    def __init__(self, table: Mapping[tuple[State, Event], State], start: State) -> None:
        self._table = table
        self.state = start  # The state now

    def allows(self, event: Event) -> bool:
        """Tell whether an event is allowed now."""
        return (self.state, event) in self._table

    def demand(self, event: Event) -> None:
        """Check that an event is allowed now, before the call behind it is made.

        Raises:
            OutOfOrderError: It is not.
        """
        if not self.allows(event):
            raise OutOfOrderError(self.state, event)

    def fire(self, event: Event) -> None:
        """Go to the next state.

        Raises:
            OutOfOrderError: The event is not allowed now.
        """
        self.demand(event)
        self.state = self._table[self.state, event]

    @contextmanager
    def step(self, event: Event) -> Iterator[None]:
        """Check that an event is allowed, and go to the next state once the block is through.

        Raises:
            OutOfOrderError: The event is not allowed now.
        """
        self.demand(event)
        yield
        self.fire(event)
