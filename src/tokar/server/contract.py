"""The contract: one server, in the terms of the backup interfaces themselves.

Whatever can be backed up by procedure stands behind these classes: a native client library, the simulated server, a
quiescent directory. `tokar.testing.server_contract` is the contract as tests; every implementation runs them.

::

    Server -- prepare_backup(type) ---> BackupContext    names, logs, locations, dynamic files; open, read, close;
    truncate; end
           `- prepare_restore(token) -> RestoreContext   locations; register, register_complete; end

What an implementation must keep (the rules are numbered in spec/procedure.md):

* Calls are made from one thread, one at a time. A call that fails raises ServerError with the code, NoAnswerError, or
  another SourceError or StorageError where there is no code.
* One context at a time: a second Prepare before End is refused. One file is open at a time.
* Database names only in a full (-521, 0xC8000209). Backup logs only when no file is open; the list is made **once per
  session**, later calls return the same entries; after it no database may be opened.
* `open` takes a name without its token, from one of the lists, and returns the announced size in bytes.
* `read` fills a buffer from the front and returns how many bytes came. Short reads are normal. How the end of the file
  shows is the dialect's `end_of_file`.
* `truncate_logs` fails (-616) unless every listed file was read to its end. It exists only where `Server.truncates`.
* Every list is freed by the client; `end` with lists still held is a leak.
* `end` is the last call of a context and may be made in any state, also after a failure.

Sources: MS Knowledge Base Q159838; Exchange Server SDK, "Backing Up Directory or Information Store Data"; Win32
documentation, "Directory Backup Functions" and "Using the Certificate Services Backup and Restore Functions"; MS-CSRA
3.1.4.1; Extensible Storage Engine documentation, "Backup and Restore Functions".
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tokar import codes
from tokar.errors import SourceError
from tokar.namelist import ListedName, parse_names


class BackupType(StrEnum):
    """What Prepare is asked for. Differential, incremental and copy are no types: they differ in truncation alone."""

    FULL = "full"
    LOGS_ONLY = "logs"


class EndOfFile(StrEnum):
    """How `read` shows the end of a file."""

    HANDLE_EOF = "handle-eof"  # past the end it fails with ERROR_HANDLE_EOF; short reads are normal (Exchange, AD)
    SHORT_READ = "short-read"  # fewer bytes than asked for: this was the end (the CA's client library)
    ZERO = "zero"  # past the end it succeeds with 0 bytes (the CA over DCOM, the engine)


class Outcome(StrEnum):
    """What `end` says about the backup."""

    SUCCESS = "success"
    ABORT = "abort"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Facts about one family of interfaces, as data."""

    profile: str  # The token profile of its names, and the name of the dialect (see `tokar.tokens`)
    title: str  # What it belongs to
    source: str  # Where these facts come from
    end_of_file: EndOfFile  # How `read` shows the end
    wide: bool = True  # Whether lists are made of 16-bit units
    types: frozenset[BackupType] = frozenset(BackupType)  # The types that Prepare knows
    # Whether `end` can say that the backup failed. Where not, the server may believe in a backup that does not exist.
    has_abort: bool = False
    locations_in_backup: bool = True  # Whether the database locations may be asked for in a backup
    has_dynamic_files: bool = False  # Whether there is a list of dynamic files
    has_expiry_token: bool = False  # Whether Prepare returns a token that restore demands
    # Whether Register comes before the files are placed; where not, files are placed first, set by set.
    register_first: bool = False
    map_with_logs_sets: bool = True  # Whether Register of a logs-only set takes a restore map; where not, it takes none
    # Bytes to ask for in one read. 64 KiB everywhere: larger buffers hung servers (Q197500) and hid or invented damage
    # (Q237953, Q253216).
    read_size: int = 65536
    # How an engine other than ESE numbers its logs: a regular expression for the end of their names, with the number as
    # its one group. Nobody here knows what is in its files, so they are kept and proven, and not judged.
    log_numbers: str = ""

    def log_number(self, name: str) -> int | None:
        """Return the number of a log of another engine; None where it has none, and for a log of ESE."""
        found = re.search(f"(?:{self.log_numbers})$", name) if self.log_numbers else None
        return int(found[1]) if found else None


_DIALECTS: Final = (
    Dialect(
        profile="edbbcli",
        title="Exchange Server 4.0 to 5.5",
        source='Exchange Server SDK, "Backing Up" and "Restoring Directory or Information Store Data"; the end of '
        "a file is not documented, the client counts to the announced size",
        end_of_file=EndOfFile.HANDLE_EOF,
        wide=False,
        locations_in_backup=False,  # documented for restore only; and HrBackupEnd takes the context alone: no abort
        register_first=True,
    ),
    Dialect(
        profile="ntdsbcli",
        title="Active Directory",
        source='Win32 documentation, "Backing Up" and "Restoring an Active Directory Server", DsBackupRead, '
        "DsBackupPrepare",
        end_of_file=EndOfFile.HANDLE_EOF,  # DsBackupRead
        types=frozenset({BackupType.FULL}),  # Win32 documentation, DsBackupPrepare: only full works
        has_expiry_token=True,
        register_first=True,
    ),
    Dialect(
        profile="certadm",
        title="AD CS certification authority",
        source='Win32 documentation, "Using the Certificate Services Backup and Restore Functions", CertSrvBackupRead, '
        "CertSrvRestoreRegisterW; MS-CSRA 3.1.4.1",
        # Locations are given in a backup, and only then: at restore the service must be stopped. Copy, then register,
        # set by set (CertSrvRestoreRegisterW).
        end_of_file=EndOfFile.SHORT_READ,  # CertSrvBackupRead
        has_dynamic_files=True,
        map_with_logs_sets=False,  # NULL and 0 for an incremental
    ),
    Dialect(
        profile="ese",
        title="the engine itself, or a set on disk",
        source="Extensible Storage Engine documentation, JetReadFileInstance, JetEndExternalBackupInstance2, "
        "JetExternalRestore",  # this takes everything at once, when the files are there
        end_of_file=EndOfFile.ZERO,
        has_abort=True,  # JetEndExternalBackupInstance2, JET_bitBackupEndAbort
    ),
)
DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({dialect.profile: dialect for dialect in _DIALECTS})
"""The dialects by the name of their profile."""


# Calls in words, where a person meets them before any backup has begun.
_WORDS: Final = {"is_online": "asking whether the server runs", "roles": "asking for the roles of this account"}


class ServerError(SourceError):
    """A call failed, with a code of the interfaces.

    Args:
        code: The result in any spelling (see `tokar.codes`).
        call: The call that failed, such as `open`.
        detail: What else is known, at the end of the message.
        hint: What to do next.
    """

    def __init__(self, code: int, *, call: str, detail: str = "", hint: str | None = None) -> None:
        self.code = codes.canonical(code)  # The canonical code, unsigned, 32 bits
        self.call = call  # The call that failed
        self.detail = detail
        known = codes.find(self.code)
        self.name = known.name if known else None  # The name of the code, if it has one
        self.jet = codes.jet_number(self.code)  # The engine's number, if the code is the engine's
        meaning = f": {known.meaning}" if known else ""
        more = f" ({detail})" if detail else ""
        what = _WORDS.get(call, call)
        super().__init__(f"{what} failed with {codes.describe(self.code)}{meaning}{more}", hint=hint)
        self.otherwise = (known.next_step if known else "") or self.otherwise


class NoAnswerError(SourceError):
    """A call was not answered in time, or the process that made it is gone. What it did on the server is not known.

    Args:
        call: The call.
        reason: Why there is no answer, as the end of the message.
        hint: What to do next.
    """

    def __init__(self, call: str, reason: str, *, hint: str | None = None) -> None:
        self.call = call
        super().__init__(f"{_WORDS.get(call, call)} was not answered: {reason}", hint=hint)


class NameList:
    """A list as a call returned it, held until it is freed.

    Args:
        entries: Token and name of each file, in order.
        data: The bytes of the list as delivered; None for a null pointer, and for a source that has no such bytes.
        wide: Whether the bytes are 16-bit units.
        on_free: Told when the list is freed.
    """

    def __init__(
        self,
        entries: tuple[ListedName, ...],
        *,
        data: bytes | None = None,
        wide: bool = True,
        on_free: Callable[[], None] | None = None,
    ) -> None:
        self.entries = entries
        self.data = data
        self.wide = wide
        self.freed = False
        self._on_free = on_free

    @classmethod
    def from_bytes(cls, data: bytes | None, *, wide: bool, encoding: int = 0, with_tokens: bool = True) -> NameList:
        """Return the list in the bytes of a native call.

        Args:
            data: The bytes; None for an empty list.
            wide: Whether the units are 16 bits.
            encoding: The code page of the names of an A list.
            with_tokens: False for the list of dynamic files.

        Raises:
            LocationListError: The bytes are no list.
        """
        return cls(parse_names(data, wide=wide, encoding=encoding, with_tokens=with_tokens), data=data, wide=wide)

    def free(self) -> None:
        """Give the list back; its entries have been copied and stay.

        Raises:
            ServerError: It was freed before (hrInvalidParam; a native library would crash).
        """
        if self.freed:
            raise ServerError(codes.INVALID_PARAM, call="free", detail="the list was freed before")
        self.freed = True
        if self._on_free is not None:
            self._on_free()


class BackupContext(ABC):
    """What Prepare returned for a backup. Every method may raise ServerError, NoAnswerError, or another SourceError."""

    backup_type: BackupType
    """What Prepare was asked for."""
    expiry_token: bytes | None = None
    """Opaque bytes that restore demands, where the dialect has them."""

    @abstractmethod
    def database_locations(self) -> NameList:
        """Return where databases, logs and checkpoint live. Reads configuration only: allowed in any state."""

    @abstractmethod
    def database_names(self) -> NameList:
        """Return the databases to back up. Full only."""

    @abstractmethod
    def backup_logs(self) -> NameList:
        """Return the logs and patch files to back up. Fixed at the first call."""

    @abstractmethod
    def dynamic_files(self) -> NameList:
        """Return files to copy by other means; these have no token. Allowed in any state, where the dialect has it."""

    @abstractmethod
    def open(self, raw_name: bytes) -> int:
        """Open a listed file and return its size in bytes.

        Args:
            raw_name: The name as listed, without its token.
        """

    @abstractmethod
    def read(self, buffer: memoryview) -> int:
        """Read on into `buffer` and return how many bytes came: at most its length, and fewer as a matter of course."""

    @abstractmethod
    def close(self) -> None:
        """Close the open file."""

    @abstractmethod
    def truncate_logs(self) -> None:
        """Delete the logs that this backup covers and the server no longer needs. It may well leave some."""

    @abstractmethod
    def end(self, outcome: Outcome) -> None:
        """End the backup. Where the dialect has no abort, the outcome is not passed on."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What Register is told."""

    # Directory of the checkpoint; None: derived from the logs, where the dialect allows it.
    checkpoint_path: str | None
    log_path: str | None  # Directory of the logs
    # Old and new path of each database that is restored; None where none is passed, as for logs-only sets of the CA.
    restore_map: tuple[tuple[str, str], ...] | None
    backup_log_path: str | None  # Where the restored logs and patch files lie
    generation_low: int  # Lowest log of the set; of a full, the log that stands in for the checkpoint (Q200941)
    generation_high: int  # Highest log of the set


class RestoreContext(ABC):
    """What Prepare returned for a restore. Every method may raise ServerError, NoAnswerError, or a SourceError."""

    @abstractmethod
    def database_locations(self) -> NameList:
        """Return where databases, logs and checkpoint live now."""

    @abstractmethod
    def register(self, registration: Registration) -> None:
        """Leave instructions for the engine's next start. A second one fails until `register_complete`."""

    @abstractmethod
    def register_complete(self, status: int) -> None:
        """Say how placing the files went.

        Args:
            status: A result code; 0 is success. With any other the service refuses to start until a valid restore.
        """

    @abstractmethod
    def end(self) -> None:
        """End the restore."""


class Server(ABC):
    """A server that can be backed up and restored."""

    dialect: Dialect  # The facts of its interface
    name: str = ""  # The server, as recorded with the backup; empty if it has none
    annotation: str | None = None  # What of the server is backed up, where the dialect names it
    # Whether `truncate_logs` may ever be called. False for sets at rest, which nobody must delete from.
    truncates: bool = True
    # Why it does not truncate, where it does not, and what to do about it
    truncation_off: tuple[str, str] = ("nothing may be deleted from this source", "--type copy")
    seen_against: str = ""  # What it has been seen against, where that is not the real thing; receipts record it
    # Whether a call may never return, so that it belongs into a process of its own (see `tokar.server.deadline`).
    may_hang: bool = False
    # What the paths in its lists stand for on this machine, where that is not what they say: prefix there, path here.
    path_maps: tuple[tuple[str, str], ...] = ()
    # Where its databases are, as its configuration says, which asks no service; None where nobody can tell.
    database_places: tuple[str, ...] | None = None
    recovery_steps: tuple[str, ...] = ("start the service: its engine recovers what was registered",)  # After a restore

    def is_online(self) -> bool | None:
        """Tell whether the service runs, as a backup demands and a restore refuses. None where no call tells it."""
        return None

    def probe(self) -> Iterator[tuple[str, str]]:
        """Yield what can be found out without a backup: what it is and the answer, step by step.

        Raises:
            SourceError: A step failed.
        """
        online = self.is_online()
        yield "server", self.name or "without a name"
        yield "service", "no call tells whether it runs" if online is None else "runs" if online else "does not run"

    @abstractmethod
    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup.

        Raises:
            ServerError: This type is not possible now; `code` says why.
        """

    @abstractmethod
    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Begin a restore.

        Args:
            expiry_token: What Prepare returned with the backup. Without it, where the dialect has one, the context is
                good for `database_locations` alone.

        Raises:
            ServerError: A restore is not possible now.
        """


def _nothing() -> None:
    """Hinder nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceKind:
    """A kind of server that a person names as SCHEME:PLACE; what an entry point of the group `tokar.sources` gives."""

    place: str = "PLACE"  # What stands behind the colon, as help shows it: DIR, [HOST]
    title: str = ""  # What it is, in a few words
    needs: str = ""  # What it needs, beside tokar; empty for nothing
    # Opens one, called with the place and with `restoring`: whether it is to be restored to, so that its service must
    # not be started. Raises InputError where there is no such place.
    open: Callable[..., Server]
    hindrance: Callable[[], str | None] = _nothing  # Says why it cannot be used here; None where it can
    # What `open` takes besides, by the names of the options: user, password-env, password-fd, auth, trace, truncate.
    takes: frozenset[str] = frozenset()
    # Whether every call has a deadline of its own (`open` takes `deadlines`), so that it needs no process of its own.
    keeps_deadlines: bool = False


class BackupKind(StrEnum):
    """What the person asks for. To the server incremental and differential are one: only truncation differs."""

    FULL = "full"
    INCREMENTAL = "incremental"
    DIFFERENTIAL = "differential"
    COPY = "copy"

    @property
    def backup_type(self) -> BackupType:
        """What Prepare is called with."""
        return BackupType.FULL if self in {BackupKind.FULL, BackupKind.COPY} else BackupType.LOGS_ONLY

    @property
    def truncates(self) -> bool:
        """Whether the logs are to be truncated. Never for a differential or a copy (DsBackupTruncateLogs)."""
        return self in {BackupKind.FULL, BackupKind.INCREMENTAL}

    @property
    def fallback(self) -> BackupKind:
        """The full that stands in when logs only is refused; one that truncates only where that was asked for."""
        return BackupKind.FULL if self.truncates else BackupKind.COPY
