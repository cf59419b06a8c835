"""A certification authority over the network (MS-CSRA over DCOM), behind the contract.

One backup is one object on the server: made by Prepare, pinged while it lives, released after End. Reads are in flight
while what came before is stored: the next one is sent as soon as one is answered, and never past the announced size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final, TextIO, TypeVar
from urllib.parse import unquote

from tokar import codes, names
from tokar.errors import InputError, LocationListError, ProcedureError, SourceError
from tokar.live import csra
from tokar.live.csra import Call
from tokar.rpc.activation import ActivationError
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.ndr import NdrReader
from tokar.rpc.pdus import Syntax
from tokar.rpc.remote_object import LET_IN, RemoteObject, ServerPlace, server_version
from tokar.rpc.trace import Trace
from tokar.rpc.wire_errors import LinkLostError, RpcFaultError, WireError
from tokar.server.contract import (
    DIALECTS,
    BackupContext,
    BackupType,
    EndOfFile,
    NameList,
    NoAnswerError,
    Outcome,
    RestoreContext,
    Server,
    ServerError,
    SourceKind,
)
from tokar.server.deadline import Deadlines
from tokar.words import install_text

T = TypeVar("T")

DIALECT: Final = replace(DIALECTS["certadm"], end_of_file=EndOfFile.ZERO)
PORT: Final = 135
SEEN_AGAINST: Final = "doubles"
"""What this source has been seen against, as receipts record it: not Windows yet."""
_OPERATOR: Final = "add it to Backup Operators on the server, and give it Read on the authority (certsrv.msc)"
_SWITCH: Final = (
    "on the server, as an administrator: certutil -setreg CA\\InterfaceFlags -IF_NOREMOTEICERTADMINBACKUP, then "
    "net stop certsvc, net start certsvc"
)
_NO_RESTORE: Final = (
    "tokar restore ARCHIVE --certutil DIR writes the folder that certutil -restoreDB DIR takes on the server; with "
    "tokar there, tokar restore ARCHIVE --server certadm: does all of it"
)


@dataclass(frozen=True, slots=True)
class CaAddress:
    """What `ca://HOST[:PORT][/AUTHORITY]` names."""

    host: str
    port: int = PORT
    authority: str | None = None  # None: the server is asked

    @classmethod
    def parse(cls, place: str) -> CaAddress:
        """Read what stands behind `ca:`.

        Raises:
            InputError: It is no address.
        """
        where, _, authority = place.removeprefix("//").partition("/")
        if "@" in where:  # and what stands before it is not repeated
            raise InputError("an address holds no account and no password", hint="--user names the account")
        host, colon, port = where.rpartition(":") if not where.endswith("]") else (where, "", "")
        host = (host if colon else where).strip("[]")
        number = int(port) if port.isascii() and port.isdigit() else 0
        if not place.startswith("//") or not host or (colon and not 0 < number < 1 << 16) or not host.isprintable():
            raise InputError(f"not the address of an authority: ca:{place}", hint="ca://HOST or ca://HOST/AUTHORITY")
        return cls(host.lower(), number if colon else PORT, unquote(authority) or None)


def _hint(code: int) -> str | None:
    """Return what to do about a result."""
    if codes.wrapped(code) == codes.ACCESS_DENIED:
        return f"{LET_IN}. And {_OPERATOR}"
    known = codes.find(code)
    return known.next_step if known else None


@contextmanager
def _answers(call: str) -> Iterator[None]:
    """Raise what goes wrong on the wire in the terms of the contract."""
    try:
        yield
    except RpcFaultError as error:
        code = codes.wrapped(error.status)
        decides = call == "truncate_logs" or code in codes.LOGS_ONLY_REFUSALS  # that it ran, or that a full stands in
        if decides and not error.did_not_run:  # it may have begun, or nobody signed this
            raise NoAnswerError(call, f"the server gave up in the middle, fault 0x{code:08X}") from error
        raise ServerError(code, call=call, hint=_hint(code)) from error
    except ActivationError as error:
        raise ServerError(error.code, call=call, hint=_hint(error.code)) from error
    except (LinkLostError, WireError) as error:
        raise NoAnswerError(call, error.message, hint=error.hint) from error


class CaServer(Server):
    """A certification authority.

    Args:
        place: The server, and who asks.
        authority: The name of the authority; None: the server is asked.
        deadlines: How long calls may take.
        truncates: Whether its logs may be truncated.
    """

    dialect = DIALECT
    seen_against = SEEN_AGAINST
    truncation_off = ("this source is experimental: it has not been seen against Windows", "--truncate, or --type copy")

    def __init__(
        self,
        place: ServerPlace,
        authority: str | None = None,
        *,
        deadlines: Deadlines | None = None,
        truncates: bool = False,
    ) -> None:
        self.name = place.host
        self.truncates = truncates
        self._place = place
        self._authority = authority
        self._deadlines = deadlines or Deadlines()

    @property
    def authority(self) -> str:
        """The name of the authority; the server is asked where none was given.

        Raises:
            SourceError: It does not say.
        """
        if self._authority is None:
            self._authority = self._ask_name()
        return self._authority

    def is_online(self) -> bool | None:
        """Return whether the service answers.

        Raises:
            SourceError: It cannot be reached, does not let this account in, or has no such authority.
        """
        self.state()
        return True

    def probe(self) -> Iterator[tuple[str, str]]:
        """Yield what can be found out without a backup.

        Raises:
            SourceError: A step failed.
        """
        place, who = self._place, self._place.credentials
        with _answers("probe"):
            major, minor = server_version(place)
        yield "reached", f"{place.host} port {place.port}, DCOM {major}.{minor}"
        yield "authority", self.authority
        yield "account", who.user or "whoever is logged on"
        reads = self.state()
        yield "logon", f"by {who.mechanism.name.lower()}, everything signed and sealed"
        yield "reads the database", "yes" if reads else f"no: {_OPERATOR}"
        roles = self.roles()
        unknown = "the server does not say"
        yield "locations", self._told_locations()
        yield "backup operator", unknown if roles is None else "yes" if roles & csra.OPERATOR else f"no: {_OPERATOR}"
        yield "seen against", self.seen_against

    def _told_locations(self) -> str:
        """Return where the databases and logs of the authority lie, where it says so without a backup."""
        with _answers("database_locations"), RemoteObject(self._place, csra.ADMIN_CLASS, csra.ADMIN) as session:
            answer = session.call(Call.LOCATIONS, b"", seconds=self._deadlines.call, limit=csra.LIST_LIMIT)
            data, result = csra.take_list(answer)
        if result:
            return "the server tells them in a backup only: --list"
        listed = NameList.from_bytes(data or None, wide=True).entries
        return ", ".join(dict.fromkeys(names.display(one.raw_name, one.encoding) for one in listed)) or "none"

    def state(self) -> int:
        """Return what GetServerState says: 1 where this account may read the database of the authority."""
        call, body = "is_online", csra.authority_body(self.authority)
        return self._ask(call, csra.ADMIN, Call.SERVER_STATE, body)

    def roles(self) -> int | None:
        """Return the roles of this account on the authority; None where the server does not say."""
        with suppress(SourceError):
            return self._ask("roles", csra.ADMIN_2, Call.MY_ROLES, csra.authority_body(self.authority))
        return None

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        """Begin a backup.

        Raises:
            ServerError: This type is not possible now, or this account may not.
            NoAnswerError: There was no answer.
            SourceError: The server cannot be reached, or does not let this account in.
        """
        call, body = "prepare_backup", csra.prepare_body(self.authority, backup_type)
        with _answers(call):
            session = RemoteObject(self._place, csra.ADMIN_CLASS, csra.ADMIN)
        begun = _CaBackup(session, backup_type, self._deadlines)
        try:
            with _answers(call):
                result = session.call(Call.PREPARE, body, seconds=self._deadlines.call).u32()
        except BaseException as error:
            if isinstance(error, ServerError) and error.code == codes.ACCESS_DENIED:  # to log on anew would not help
                session.close()
                raise
            with suppress(SourceError):  # it may have begun, or begin yet
                begun.end(Outcome.ABORT)
            raise
        try:
            self._demand(call, result)
        except BaseException:
            session.close()
            raise
        return begun

    def prepare_restore(self, expiry_token: bytes | None = None) -> RestoreContext:
        """Refuse: the protocol has no restore.

        Raises:
            ProcedureError: Always.
        """
        del expiry_token
        raise no_restore()

    def _ask(self, call: str, interface: Syntax, operation: Call, body: bytes) -> int:
        """Make a call that needs no backup, and return its number."""
        with _answers(call), RemoteObject(self._place, csra.ADMIN_CLASS, interface) as session:
            number, result = csra.take_number(session.call(operation, body, seconds=self._deadlines.call))
        self._demand(call, result)
        return number

    def _ask_name(self) -> str:
        call = "authority"
        with _answers(call), RemoteObject(self._place, csra.REQUEST_CLASS, csra.REQUEST) as session:
            answer = session.call(csra.GET_CA_CERT, csra.name_body(), seconds=self._deadlines.call)
            name, result = csra.take_name(answer)
        if result or not name:
            raise ServerError(
                result or codes.UNEXPECTED,
                call=call,
                detail="the server does not say what its authority is called",
                hint="name it: ca://HOST/AUTHORITY; certutil on the server lists it as Name",
            )
        return name

    def _demand(self, call: str, result: int) -> None:
        """Raise what a call without a backup failed with, and what can be done about it.

        Raises:
            ServerError: It did.
        """
        if not result:
            return
        if codes.wrapped(result) == codes.INVALID_PARAMETER:
            raise self._wrong_authority(call, result)
        if codes.wrapped(result) == codes.ACCESS_DENIED and call == "prepare_backup":
            raise self._not_allowed(call, result)
        raise ServerError(result, call=call, hint=_hint(result))

    def _wrong_authority(self, call: str, result: int) -> ServerError:
        has = "it does not say which it has: certutil on the server lists it as Name"
        with suppress(SourceError):
            has = f"it has {self._ask_name()!r}: ca://HOST/AUTHORITY"
        return ServerError(
            result, call=call, detail=f"{self._place.host} has no authority {self._authority!r}", hint=has
        )

    def _not_allowed(self, call: str, result: int) -> ServerError:
        """Return why a backup is denied: the remote one is switched off, or the account is none of an operator."""
        roles = self.roles()
        if roles is None:
            why = "remote backup is switched off there, as it is by default, or this account is no backup operator"
            return ServerError(result, call=call, detail=why, hint=f"{_SWITCH}. For the account: {_OPERATOR}")
        if roles & csra.OPERATOR:
            why = "remote backup is switched off there, as it is by default"
            return ServerError(result, call=call, detail=why, hint=_SWITCH)
        hint = f"{_OPERATOR}. Should it be refused even then: {_SWITCH}"
        return ServerError(result, call=call, detail="this account is no backup operator there", hint=hint)


class _CaBackup(BackupContext):
    """A backup: the object on the server."""

    def __init__(self, session: RemoteObject, backup_type: BackupType, deadlines: Deadlines) -> None:
        self.backup_type = backup_type
        self._session = session
        self._deadlines = deadlines
        self._is_over = False
        self._file: _OpenFile | None = None

    def database_locations(self) -> NameList:
        return self._list("database_locations", Call.LOCATIONS)

    def database_names(self) -> NameList:
        return self._list("database_names", Call.DATABASE_NAMES)

    def backup_logs(self) -> NameList:
        return self._list("backup_logs", Call.BACKUP_LOGS)

    def dynamic_files(self) -> NameList:
        return self._list("dynamic_files", Call.DYNAMIC_FILES, with_tokens=False)

    def open(self, raw_name: bytes) -> int:
        size: int = self._result("open", Call.OPEN, csra.take_size, csra.open_body(raw_name))
        self._file = _OpenFile(self._session, size, self._deadlines)
        return size

    def read(self, buffer: memoryview) -> int:
        self._demand_live("read")
        if self._file is None:  # the server says what is wrong about it
            self._result("read", Call.READ, csra.take_content, csra.read_body(csra.PAGE))
            raise SourceError("the server reads although no file is open")
        with _answers("read"):
            return self._file.read(buffer)

    def close(self) -> None:
        self._done("close", Call.CLOSE)
        self._file = None

    def truncate_logs(self) -> None:
        self._done("truncate_logs", Call.TRUNCATE)

    def end(self, outcome: Outcome) -> None:
        del outcome  # the interface has no abort
        self._demand_live("end")
        self._is_over = True
        try:
            with suppress(SourceError):
                self._settle()
            with _answers("end"):
                self._session.revive()
                result = self._session.call(Call.END, b"", seconds=self._deadlines.end).u32()
            if result:
                raise ServerError(result, call="end")
        finally:
            self._session.close()

    def _list(self, call: str, operation: Call, *, with_tokens: bool = True) -> NameList:
        data = self._result(call, operation, csra.take_list, limit=csra.LIST_LIMIT)
        try:
            return NameList.from_bytes(data or None, wide=True, with_tokens=with_tokens)
        except LocationListError as error:
            raise SourceError(f"{call} returned no list: {error}") from error

    def _done(self, call: str, operation: Call) -> None:
        """Make a call that answers with its result alone."""
        self._result(call, operation, lambda reader: (None, reader.u32()))

    def _result(
        self,
        call: str,
        operation: Call,
        take: Callable[[NdrReader], tuple[T, int]],
        body: bytes = b"",
        limit: int = 2 * csra.READ_SIZE,
    ) -> T:
        """Make a call, and return what `take` finds in its answer."""
        self._demand_live(call)
        with _answers(call):
            self._settle()
            answer = self._session.call(operation, body, seconds=self._deadlines.call, limit=limit)
            value, result = take(answer)
        if result:
            raise ServerError(result, call=call, hint=_hint(result))
        return value

    def _settle(self) -> None:
        """Fetch the answer that is in flight: there is one call at a time."""
        if self._file is not None:
            self._file.settle()

    def _demand_live(self, call: str) -> None:
        if self._is_over:
            raise ServerError(codes.INVALID_HANDLE, call=call, detail="the backup is over")


class _OpenFile:
    """Reads a file to its announced size, one read ahead of what is asked for."""

    def __init__(self, session: RemoteObject, size: int, deadlines: Deadlines) -> None:
        self._session = session
        self._seconds = deadlines.first_read
        self._later = deadlines.read
        self._left = size
        self._ready = memoryview(b"")
        self._asked = 0  # what the read in flight asks for; 0: there is none

    def read(self, buffer: memoryview) -> int:
        """Fill `buffer` from the front, as far as one answer goes; 0 at the end."""
        if not len(self._ready) and (self._left or self._asked):
            self._send()
            self._ready = memoryview(self._fetch())
            if len(self._ready):
                self._send()
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def settle(self) -> None:
        """Fetch the answer in flight and forget it."""
        if self._asked:
            self._fetch()

    def _send(self) -> None:
        """Send the next read, unless one is in flight or all was read."""
        if self._asked or not self._left:
            return
        size = min(csra.READ_SIZE, self._left + -self._left % csra.PAGE)
        body, limit = csra.read_body(size), csra.read_limit(size)
        self._session.send(Call.READ, body, seconds=self._seconds, limit=limit)
        self._asked = size

    def _fetch(self) -> bytes:
        asked, self._asked = self._asked, 0
        data, result = csra.take_content(self._session.fetch(seconds=self._seconds))
        self._seconds = self._later
        if result:
            raise ServerError(result, call="read", hint=_hint(result))
        if len(data) > min(asked, self._left):
            raise SourceError(f"a read returned {len(data)} bytes, {min(asked, self._left)} were announced")
        self._left -= len(data)
        return data


def no_restore() -> ProcedureError:
    """Return the refusal of a restore over the wire."""
    return ProcedureError(
        "an authority cannot be restored over the network: its protocol has no restore", hint=_NO_RESTORE
    )


def open_source(
    place: str,
    *,
    restoring: bool = False,
    deadlines: Deadlines | None = None,
    trace: TextIO | None = None,
    truncate: bool = False,
    **logon: str,
) -> CaServer:
    """Return the authority that `ca://HOST[/AUTHORITY]` names; nothing is sent yet.

    Args:
        place: What stands behind the scheme.
        restoring: Whether it is to be restored to.
        deadlines: How long calls may take.
        trace: Where a trace is written.
        truncate: Whether its logs may be truncated.
        logon: `user`, `password` and `auth`, as far as they are given.

    Raises:
        InputError: It is no address.
        ProcedureError: It is to be restored to.
    """
    address = CaAddress.parse(place)
    if restoring:
        raise no_restore()
    user, given = logon.get("user"), deadlines or Deadlines()
    mechanism = Mechanism[logon.get("auth", "negotiate").upper()]
    told = [name for name in (address.host, address.authority, *re.split(r"[\\@]", user or "")) if name]
    where = ServerPlace(
        address.host,
        address.port,
        Credentials(user, logon.get("password"), mechanism),
        min(given.start, given.call),
        trace=Trace(trace, told, [Call.READ], csra.names_in) if trace else None,
    )
    return CaServer(where, address.authority, deadlines=given, truncates=truncate)


def _hindrance() -> str | None:
    return None if find_spec("spnego") else f"the package pyspnego is missing: {install_text('ca')}"


SOURCE: Final = SourceKind(
    place="//HOST[/AUTHORITY]",
    title="a certification authority on the network (experimental)",
    needs="the package pyspnego, an account of a backup operator, and remote backup switched on there",
    open=open_source,
    hindrance=_hindrance,
    takes=frozenset({"user", "password-env", "password-fd", "auth", "trace", "truncate"}),
    keeps_deadlines=True,
)
