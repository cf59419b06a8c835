"""An object on another machine, from its activation to its release (MS-DCOM).

::

    port 135, nobody       ServerAlive2: which version
    port 135, logged on    RemoteCreateInstance: the object, and the port of its process
    that port, logged on   its calls; at the end RemRelease
    port 135, logged on    a ping every two minutes, in a thread of its own, as long as it lives

Without pings a server reclaims an object after six minutes; proving a large archive takes longer.
"""

from __future__ import annotations

import threading
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

from tokar.errors import SourceError
from tokar.rpc.activation import ACTIVATOR, CREATE_INSTANCE, Activated, ActivationError, create_request, parse_created
from tokar.rpc.auth import Credentials
from tokar.rpc.connection import ACCESS_DENIED, Connection
from tokar.rpc.ndr import NdrReader, NdrWriter, com_guid, guid
from tokar.rpc.objref import TCP, VERSION, OrpcThis, ReleaseEntry, skip_that
from tokar.rpc.pdus import Syntax
from tokar.rpc.trace import Trace
from tokar.rpc.wire_errors import LogonError, RpcFaultError, UnreachableError, WireError

RESOLVER: Final = Syntax(guid("99fcfec4-5260-101b-bbcb-00aa0021347a"), 0)  # IObjectExporter
SIMPLE_PING: Final = 1
COMPLEX_PING: Final = 2
SERVER_ALIVE: Final = 5
REMOTE_UNKNOWN: Final = Syntax(com_guid(0x131), 0)  # IRemUnknown
RELEASE: Final = 5
PING_PERIOD: Final = 120.0  # seconds: what MS-DCOM has
_RETRY: Final = 6  # the part of a period after which a ping that failed is tried again
_ACTIVATION: Final = 1  # the flags of ORPCTHIS in an activation
_RPC_VERSION_MISMATCH: Final = 0x80010110
_MOST_WAYS: Final = 8
_PING_LIMIT: Final = 64
_SHORT: Final = 65536  # bytes of an answer that holds no list and no content
LET_IN: Final = (
    "the account must be let in by DCOM on the server: group 'Certificate Service DCOM Access', and remote activation "
    "and access in dcomcnfg"
)


@dataclass(frozen=True, slots=True)
class ServerPlace:
    """A server, and how it is asked."""

    host: str
    port: int = 135
    credentials: Credentials = field(default_factory=Credentials)
    seconds: float = 60.0  # How long it may take to connect, and everything but the calls of the object
    ping_period: float = PING_PERIOD
    trace: Trace | None = None

    def connect(self, port: int | None = None, *, host: str | None = None) -> Connection:
        """Connect to the resolver, or elsewhere."""
        return Connection(host or self.host, port or self.port, seconds=self.seconds, trace=self.trace)

    def resolver(self, interface: Syntax, *, logged_on: bool = True) -> Connection:
        """Return a connection to an interface on the port that all servers have."""
        connection = self.connect()
        try:
            connection.bind(interface, seconds=self.seconds, credentials=self.credentials if logged_on else None)
        except BaseException:
            connection.close()
            raise
        return connection


def server_version(place: ServerPlace) -> tuple[int, int]:
    """Return the version of DCOM to speak with a server: the lower one of ours and its own.

    Raises:
        SourceError: It cannot be reached, or is of another version altogether.
    """
    connection = place.resolver(RESOLVER, logged_on=False)
    try:
        answer = NdrReader(connection.request(RESOLVER, SERVER_ALIVE, b"", seconds=place.seconds))
        major, minor = answer.u16(), answer.u16()
    finally:
        connection.close()
    if major != VERSION[0]:
        raise ActivationError(_RPC_VERSION_MISMATCH)
    return major, min(minor, VERSION[1])


class RemoteObject:
    """An object. `close` releases it and ends what belongs to it, threads too.

    Args:
        place: The server.
        class_id: What to make.
        interface: What of it is called.

    Raises:
        ActivationError: The server does not make it.
        SourceError: The server cannot be reached, or does not let this account in.
    """

    def __init__(self, place: ServerPlace, class_id: bytes, interface: Syntax) -> None:
        self._place = place
        self._interface = interface
        self._version = server_version(place)
        self._made = self._activate(class_id)
        self._pings: _Pings | None = None
        self._connection = self._connect()
        if self._made.reference.wants_pings:
            self._pings = _Pings(place, self._made.reference.object)

    def call(self, operation: int, body: bytes, *, seconds: float, limit: int = _SHORT) -> NdrReader:
        """Make a call and return what reads its answer.

        Raises:
            RpcFaultError: The server answered with a fault.
            SourceError: There was no answer, or it is none.
        """
        self.send(operation, body, seconds=seconds, limit=limit)
        return self.fetch(seconds=seconds)

    def send(self, operation: int, body: bytes, *, seconds: float, limit: int = _SHORT) -> None:
        """Send a call whose answer `fetch` returns."""
        pointer = self._made.reference.interface_pointer
        stub = self._this().pack() + body
        self._connection.send(self._interface, operation, stub, seconds=seconds, target=pointer, limit=limit)

    def fetch(self, *, seconds: float) -> NdrReader:
        """Return what reads the answer to the call that was sent."""
        reader = NdrReader(self._connection.fetch(seconds=seconds))
        skip_that(reader)
        return reader

    def revive(self) -> None:
        """Connect anew where the connection takes no call: the object lives on for a while, and can be told of the end.

        Raises:
            SourceError: That is not possible.
        """
        if not self._connection.is_free:
            self._connection.close()
            self._connection = self._connect()

    def close(self) -> None:
        """Release the object, as far as it can be reached, and end pings and connections."""
        reference = self._made.reference
        entry = ReleaseEntry(interface_pointer=reference.interface_pointer, public=reference.references)
        body = NdrWriter().u16(1).u32(1).record(entry).done()
        try:
            with suppress(SourceError):
                seconds = self._place.seconds
                self._connection.bind(REMOTE_UNKNOWN, seconds=seconds)
                stub = self._this().pack() + body
                target = self._made.remote_unknown
                self._connection.request(REMOTE_UNKNOWN, RELEASE, stub, seconds=seconds, target=target)
        finally:
            self._connection.close()
            if self._pings is not None:
                self._pings.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _this(self, flags: int = 0) -> OrpcThis:
        return OrpcThis(minor=self._version[1], flags=flags, causality=uuid.uuid4().bytes_le)

    def _activate(self, class_id: bytes) -> Activated:
        place = self._place
        connection = place.resolver(ACTIVATOR)
        try:
            stub = self._this(_ACTIVATION).pack() + create_request(class_id, self._interface.identifier)
            answer = connection.request(ACTIVATOR, CREATE_INSTANCE, stub, seconds=place.seconds)
        except RpcFaultError as error:
            if error.status != ACCESS_DENIED:
                raise
            raise LogonError(
                f"{place.host} does not accept this account",
                hint=f"check the name and the password; if they are right: {LET_IN}",
            ) from error
        finally:
            connection.close()
        return parse_created(answer, self._interface.identifier)

    def _connect(self) -> Connection:
        """Connect to the process of the object: by the name that the user gave first, then as the server says."""
        place = self._place
        ways = [one for one in self._made.bindings if one.kind == TCP and one.port][:_MOST_WAYS]
        if not ways:
            raise WireError("the server names no way by TCP to what it made")
        hosts = [(place.host, ways[0].port), *((one.host, one.port) for one in ways)]
        failed: UnreachableError | None = None
        for host, port in dict.fromkeys(hosts):
            try:
                connection = place.connect(port, host=host)
            except UnreachableError as error:
                failed = failed or error
                continue
            try:
                connection.bind(self._interface, seconds=place.seconds, credentials=place.credentials)
            except BaseException:
                connection.close()
                raise
            return connection
        assert failed is not None
        raise failed


class _Pings:
    """Keeps an object alive, in a thread and on a connection of its own."""

    def __init__(self, place: ServerPlace, target: int) -> None:
        self._place = place
        self._object = target
        self._set = 0
        self._sequence = 0
        self._stop = threading.Event()
        self._connection: Connection | None = None
        self._thread = threading.Thread(target=self._run, daemon=True, name="tokar-pings")
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        connection = self._connection
        if connection is not None:
            connection.close()
        self._thread.join(self._place.seconds)

    def _run(self) -> None:
        period, wait = self._place.ping_period, 0.0
        while not self._stop.wait(wait):
            try:
                self._ping()
                wait = period
            except Exception as error:  # noqa: BLE001 - nobody would hear of it; the next call of the object fails
                self._drop()
                if _is_refusal(error):  # to try again and again would lock the account
                    break
                wait = period / _RETRY
        self._drop()

    def _ping(self) -> None:
        if self._connection is None:
            self._connection = self._place.resolver(RESOLVER)
        seconds = self._place.seconds
        if self._set:
            stub = NdrWriter().u64(self._set).done()
            answer = self._connection.request(RESOLVER, SIMPLE_PING, stub, seconds=seconds, limit=_PING_LIMIT)
            if NdrReader(answer).u32():
                self._set = 0  # the server has forgotten it: begin anew, at once
                raise WireError("the set of objects is not known any more")
            return
        self._sequence += 1
        body = NdrWriter().u64(0).u16(self._sequence).u16(1).u16(0).pointer(present=True).u32(1).u64(self._object)
        body.pointer(present=False)
        reader = NdrReader(
            self._connection.request(RESOLVER, COMPLEX_PING, body.done(), seconds=seconds, limit=_PING_LIMIT)
        )
        self._set = reader.u64()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_refusal(error: Exception) -> bool:
    """Return whether a server does not let somebody in; NTLM shows that at the first call only."""
    return isinstance(error, LogonError) or (isinstance(error, RpcFaultError) and error.status == ACCESS_DENIED)
