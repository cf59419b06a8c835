"""A certification authority on loopback: resolver, exporter and the calls of backup, in front of any server.

Run it by hand to try other clients on it (port 135 takes the rights for it)::

    python -m tests.support.ca_double LAB --host 127.0.0.1 --port 135
"""

from __future__ import annotations

import argparse
import itertools
import os
import struct
import sys
import tempfile
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from unittest import mock

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))

import spnego
from ntlm_acceptor import NtlmAcceptor
from rpc_double import FaultError, Incoming, RpcDouble
from spnego._ntlm_raw.crypto import ntowfv1

from tokar import codes
from tokar.errors import ArchiveError
from tokar.lab.server import open_source
from tokar.live import csra
from tokar.live.csra import Call
from tokar.rpc import activation, remote_object
from tokar.rpc.auth import Mechanism
from tokar.rpc.ndr import NO_GUID, NdrReader, NdrWriter, com_guid, type_1
from tokar.rpc.objref import (
    OrpcThis,
    StandardRef,
    custom_bytes,
    interface_bytes,
    parse_custom,
    take_interface,
)
from tokar.rpc.pdus import PRIVACY
from tokar.server.contract import BackupContext, BackupType, Outcome, Server, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterable

NO_REMOTE_BACKUP = 0x40
CLASS_NOT_REGISTERED, NO_INTERFACE, VERSION_MISMATCH, DISCONNECTED = 0x80040154, 0x80004002, 0x80010110, 0x80010108
BAD_STUB, NO_SUCH_CALL, RPC_ACCESS_DENIED = 1783, 0x1C010002, 5
IUNKNOWN = com_guid(0)
REMOTE_UNKNOWN_2 = com_guid(0x143)
PASSWORDS = {"backup": "Secret-1", "nobody": "Secret-2"}
LISTS = {
    Call.DATABASE_NAMES: "database_names",
    Call.BACKUP_LOGS: "backup_logs",
    Call.DYNAMIC_FILES: "dynamic_files",
    Call.LOCATIONS: "database_locations",
}


@dataclass
class Exported:
    """An object that a client holds."""

    number: int
    interface: bytes
    references: int
    seen: float
    context: BackupContext | None = None


@dataclass(kw_only=True)
class Settings:
    """How the double behaves."""

    authority: str = "RootCA"
    operators: tuple[str, ...] = ("backup",)
    flags: int = 0  # of its InterfaceFlags: NO_REMOTE_BACKUP
    ping_period: float = 120.0
    version: tuple[int, int] = (5, 7)
    tells_name: bool = True
    tells_roles: bool = True
    classes: tuple[bytes, ...] = (csra.ADMIN_CLASS, csra.REQUEST_CLASS)
    bindings: tuple[str, ...] = ()  # hosts that are shown, in place of the own one
    keytab: bool = False  # whether it takes Kerberos (KRB5_KTNAME)
    fail: dict[Call, int] = field(default_factory=dict)  # what a call answers in place of being made
    claim: dict[Call, int] = field(default_factory=dict)  # sizes and counts that it claims


class CaDouble:
    """The authority. Use it as a context manager.

    Args:
        server: What is backed up.
        settings: How it behaves.
        host: The address that it listens on.
        port: The port of its resolver; 0 is a free one.
        object_port: The port of its objects; 0 is a free one.
    """

    def __init__(
        self,
        server: Server,
        settings: Settings | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        object_port: int = 0,
    ) -> None:
        self.server = server
        self.settings = settings or Settings()
        self.log: list[str] = []
        self.faults: dict[Call, int] = {}  # what a call ends with after it was made
        self.objects: dict[bytes, Exported] = {}
        self._lock = threading.RLock()
        self._ids = itertools.count(0x1000)
        self._sets: dict[int, set[int]] = {}
        self._process = int.from_bytes(os.urandom(7), "little")
        self._unknown = uuid.uuid4().bytes_le
        self._users = {name: ntowfv1(password) for name, password in PASSWORDS.items()}
        self._folder = tempfile.TemporaryDirectory(prefix="tokar-ca-")
        accounts = Path(self._folder.name) / "accounts"
        accounts.write_text("".join(f"LAB:{name}:{password}\n" for name, password in PASSWORDS.items()))
        self._environment = mock.patch.dict(os.environ, {"NTLM_USER_FILE": str(accounts)})
        self._environment.start()  # where the acceptor of Negotiate looks for accounts
        calls = {
            csra.ADMIN.identifier: self._admin,
            csra.ADMIN_2.identifier: self._admin,
            csra.REQUEST.identifier: self._request,
            remote_object.REMOTE_UNKNOWN.identifier: self._release,
            REMOTE_UNKNOWN_2: self._release,
        }
        self.exporter = RpcDouble((host, object_port), calls, self._acceptor)
        resolver = {remote_object.RESOLVER.identifier: self._resolve, activation.ACTIVATOR.identifier: self._activate}
        self.resolver = RpcDouble((host, port), resolver, self._acceptor)
        self.host, self.port = host, self.resolver.port
        self._reclaimer = threading.Thread(target=self._reclaim, daemon=True)
        self._reclaimer.start()

    @property
    def calls(self) -> list[str]:
        """The log without pings, which come when they like."""
        return [one for one in self.log if "ping" not in one]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it."""
        self.exporter.stop()
        self.resolver.stop()
        self._reclaimer.join(10)
        self._environment.stop()
        self._folder.cleanup()

    def forget_accounts(self) -> None:
        """Let nobody log on by NTLM any more."""
        self._users.clear()

    def restart(self) -> None:
        """Forget all objects and cut all connections, as a service that starts anew."""
        with self._lock:
            self._drop(list(self.objects))
        self.exporter.drop()

    def _acceptor(self, mechanism: Mechanism) -> Any:
        if mechanism is Mechanism.NTLM:
            return NtlmAcceptor(self._users)
        wanted = spnego.ContextReq.default | spnego.ContextReq.dce_style
        if self.settings.keytab:
            protocol = mechanism.name.lower()
            return spnego.server(hostname="localhost", service="host", protocol=protocol, context_req=wanted)
        options = spnego.NegotiateOptions.use_negotiate
        return spnego.server(protocol="negotiate", options=options, context_req=wanted)

    def _reclaim(self) -> None:
        while not self.exporter.stopping.wait(self.settings.ping_period / 20):
            with self._lock:
                oldest = time.monotonic() - 3 * self.settings.ping_period
                self._drop([pointer for pointer, one in self.objects.items() if one.seen < oldest], "reclaimed")

    def _drop(self, pointers: Iterable[bytes], why: str = "dropped") -> None:
        for pointer in pointers:
            gone = self.objects.pop(pointer)
            self.log.append(why)
            if gone.context is not None:
                with suppress(ArchiveError):
                    gone.context.end(Outcome.ABORT)

    # --- the resolver

    def _resolve(self, call: Incoming) -> bytes:
        reader, writer = NdrReader(call.stub), NdrWriter()
        if call.operation == remote_object.SERVER_ALIVE:
            major, minor = self.settings.version
            writer.u16(major).u16(minor).pointer(present=True)
            return self._ways(writer, [self.host]).u32(0, 0).done()
        if call.operation == remote_object.SIMPLE_PING:
            self.log.append("ping")
            known = self._sets.get(reader.u64())
            self._touch(known or set())
            return writer.u32(0 if known is not None else 0x80070057).done()
        if call.operation == remote_object.COMPLEX_PING:
            number = reader.u64() or next(self._ids)
            reader.u16()
            added, removed = reader.u16(), reader.u16()
            found = self._sets.setdefault(number, set())
            if reader.align(4).u32():
                found |= {reader.u64() for _ in range(reader.count(8))}
            self._touch(found)
            self.log.append(f"complex-ping +{added} -{removed}")
            return writer.u64(number).u16(0).u32(0).done()
        raise FaultError(NO_SUCH_CALL)

    def _touch(self, numbers: set[int]) -> None:
        with self._lock:
            for one in self.objects.values():
                if one.number in numbers:
                    one.seen = time.monotonic()

    def _ways(self, writer: NdrWriter, addresses: list[str]) -> NdrWriter:
        """Put bindings, each a tower of TCP, and two ways of protection."""
        units = b"".join(struct.pack("<H", 7) + csra.units(f"{one}\0") for one in addresses) + b"\0\0"  # type: ignore[operator] # never None
        security = b"".join(struct.pack("<HHH", kind, 0xFFFF, 0) for kind in (10, 9)) + b"\0\0"
        count = (len(units) + len(security)) // 2
        return writer.u32(count).u16(count).u16(len(units) // 2).raw(units + security)

    def _activate(self, call: Incoming) -> bytes:
        if call.operation != activation.CREATE_INSTANCE:
            raise FaultError(NO_SUCH_CALL)
        if call.level < PRIVACY or call.user is None:
            raise FaultError(RPC_ACCESS_DENIED)
        writer = NdrWriter().u32(0, 0)
        try:
            version, class_id, interfaces = self._asked(call.stub)
        except (ArchiveError, KeyError):
            raise FaultError(BAD_STUB) from None
        refused = VERSION_MISMATCH if version[0] != 5 or version[1] > 7 else 0
        refused = refused or (0 if class_id in self.settings.classes else CLASS_NOT_REGISTERED)
        if refused:
            return writer.u32(0, refused).done()
        number = next(self._ids)
        found = [self._export(number, interface) for interface in interfaces]
        self.log.append(f"activated for {call.user}")
        return interface_bytes(writer, self._reply(interfaces, found)).u32(0).done()

    def _export(self, number: int, interface: bytes) -> StandardRef | None:
        if interface not in {csra.ADMIN.identifier, csra.ADMIN_2.identifier, csra.REQUEST.identifier, IUNKNOWN}:
            return None
        pointer = uuid.uuid4().bytes_le
        with self._lock:
            self.objects[pointer] = Exported(number, interface, 5, time.monotonic())
        return StandardRef(
            interface=interface, references=5, exporter=self._process, object=number, interface_pointer=pointer
        )

    @staticmethod
    def _asked(stub: bytes) -> tuple[tuple[int, int], bytes, list[bytes]]:
        """Return version, class and interfaces of a request."""
        reader = NdrReader(stub)
        this = reader.record(OrpcThis)
        assert not reader.u32()
        data = take_interface(reader)
        assert data is not None
        found = activation.parse_blob(parse_custom(data, activation.PROPERTIES_IN))[activation.INSTANTIATION]
        class_id = found.guid()
        found.take(12)
        count = found.u32()
        found.take(16)
        assert found.count(16) == count
        return (this.major, this.minor), class_id, [found.guid() for _ in range(count)]

    def _reply(self, interfaces: list[bytes], found: list[StandardRef | None]) -> bytes:
        count = len(interfaces)
        out = NdrWriter().u32(count)
        for _ in range(3):
            out.pointer(present=True)
        out.array(b"".join(interfaces), unit=16).u32(count)
        for one in found:
            out.u32(0 if one else NO_INTERFACE)
        out.u32(count)
        for one in found:
            out.pointer(present=one is not None)
        for one in found:
            if one is not None:
                data = self._ways(NdrWriter().raw(one.pack()), [self.host]).done()
                data = data[:64] + data[68:]  # here the array stands without its count
                out.u32(len(data)).array(data)
        hosts = self.settings.bindings or (self.host,)
        scm = NdrWriter().pointer(present=False).pointer(present=True).u64(self._process).pointer(present=True)
        scm.guid(self._unknown).u32(PRIVACY).u16(5).u16(7)
        self._ways(scm, [f"{host}[{self.exporter.port}]" for host in hosts])
        properties = [(activation.PROPERTIES_OUT, out), (activation.SCM_REPLY, scm)]
        blob = activation.blob_bytes([(name, type_1(writer.done())) for name, writer in properties])
        return custom_bytes(com_guid(0x1A3), activation.PROPERTIES_OUT, blob)

    # --- the exporter

    def _release(self, call: Incoming) -> bytes:
        reader, writer = NdrReader(call.stub), NdrWriter().u32(0, 0)
        reader.record(OrpcThis)
        if call.operation == remote_object.RELEASE:
            count = reader.u16()
            reader.count(24)
            for _ in range(count):
                pointer, public, _ = reader.guid(), reader.u32(), reader.u32()
                with self._lock:
                    if pointer in self.objects:
                        self.objects[pointer].references -= public
                        if self.objects[pointer].references <= 0:
                            self._drop([pointer], "released")
            return writer.u32(0).done()
        if call.operation == 3:
            return self._query(reader, writer)
        raise FaultError(NO_SUCH_CALL)

    def _query(self, reader: NdrReader, writer: NdrWriter) -> bytes:
        source, _, _ = reader.guid(), reader.u32(), reader.u16()
        interfaces = [reader.guid() for _ in range(reader.count(16))]
        known = self.objects.get(source)
        if known is None:
            return writer.u32(0, 0x80010114).done()
        writer.pointer(present=True).u32(len(interfaces))
        for interface in interfaces:
            made = self._export(known.number, interface)
            writer.align(8).u32(0 if made else NO_INTERFACE).align(8).u32(0, 5 if made else 0)
            writer.u64(self._process if made else 0).u64(known.number if made else 0)
            writer.guid(made.interface_pointer if made else NO_GUID)
        return writer.u32(0).done()

    def _object(self, call: Incoming) -> tuple[Exported, NdrReader]:
        known = self.objects.get(call.target)
        if known is None:
            raise FaultError(DISCONNECTED)
        if call.level < PRIVACY:
            raise FaultError(RPC_ACCESS_DENIED)
        known.seen = time.monotonic()
        reader = NdrReader(call.stub)
        this = reader.record(OrpcThis)
        if this.major != 5 or this.minor > self.settings.version[1]:
            raise FaultError(VERSION_MISMATCH)
        return known, reader

    def _request(self, call: Incoming) -> bytes:
        _, reader = self._object(call)
        if call.operation != csra.GET_CA_CERT or reader.u32() != csra.CA_NAME:
            raise FaultError(NO_SUCH_CALL)
        writer = NdrWriter().u32(0, 0)
        if not self.settings.tells_name:
            return writer.u32(0, 0, codes.ACCESS_DENIED).done()
        name = csra.units(self.settings.authority + "\0") or b""
        return writer.u32(len(name)).pointer(present=True).array(name).u32(0).done()

    def _admin(self, call: Incoming) -> bytes:
        with self._lock:
            known, reader = self._object(call)
            try:
                operation = Call(call.operation)
            except ValueError:
                raise FaultError(NO_SUCH_CALL) from None
            self.log.append(operation.name)
            if operation in self.faults:
                self._made(operation, known, reader, call.user or "")
                raise FaultError(self.faults[operation])
            if operation in self.settings.fail:
                return self._answer(operation, self.settings.fail[operation])
            try:
                return self._made(operation, known, reader, call.user or "")
            except ServerError as error:
                return self._answer(operation, error.code)
            except ArchiveError:
                return self._answer(operation, codes.UNEXPECTED)

    def _answer(self, operation: Call, result: int, value: Any = None) -> bytes:
        """Return the stub of an answer."""
        writer = NdrWriter().u32(0, 0)
        claim = self.settings.claim.get(operation)
        if operation in LISTS:
            units = value or b""
            writer.pointer(present=bool(units))
            if units:
                writer.u32(len(units) // 2 if claim is None else claim).raw(units)
            writer.u32(len(units) // 2)
        elif operation is Call.OPEN:
            writer.u64(value or 0 if claim is None else claim)
        elif operation is Call.READ:
            buffer, count = value or (b"", 0)
            writer.array(buffer).u32(count if claim is None else claim)
        elif operation in {Call.SERVER_STATE, Call.MY_ROLES}:
            writer.u32(value or 0)
        return writer.u32(result).done()

    def _made(self, operation: Call, known: Exported, reader: NdrReader, user: str) -> bytes:
        name = user.rpartition("\\")[2].partition("@")[0].partition("/")[0]
        is_operator, wrong = name in self.settings.operators, False
        if operation in {Call.PING, Call.SERVER_STATE, Call.MY_ROLES, Call.PREPARE}:
            wanted = (reader.unique_string() or b"").decode("utf-16-le").casefold()
            wrong = wanted != self.settings.authority.casefold()
        if operation is Call.MY_ROLES:
            if not self.settings.tells_roles:
                raise FaultError(NO_SUCH_CALL)
            return self._answer(operation, 0, 0x300 | (csra.OPERATOR if is_operator else 0))
        if operation in {Call.PING, Call.SERVER_STATE}:
            return self._answer(operation, codes.INVALID_PARAMETER if wrong else 0, 1)
        if not is_operator or self.settings.flags & NO_REMOTE_BACKUP:
            return self._answer(operation, codes.ACCESS_DENIED)
        if operation is Call.PREPARE:
            return self._answer(operation, codes.INVALID_PARAMETER if wrong else self._prepare(known, reader))
        return self._in_backup(operation, known, reader)

    def _prepare(self, known: Exported, reader: NdrReader) -> int:
        logs_only = reader.u32()
        assert (reader.u32(), reader.u16(), reader.u32(), reader.left) == (0, 0, 0, 0)
        if known.context is not None:
            return codes.UNEXPECTED
        known.context = self.server.prepare_backup(BackupType.LOGS_ONLY if logs_only else BackupType.FULL)
        return 0

    def _in_backup(self, operation: Call, known: Exported, reader: NdrReader) -> bytes:
        context = known.context
        if context is None:
            first = operation is Call.DATABASE_NAMES
            return self._answer(operation, codes.INVALID_BACKUP_SEQUENCE if first else codes.UNEXPECTED)
        if operation in LISTS:
            given = getattr(context, LISTS[operation])()
            given.free()
            return self._answer(operation, 0, given.data)
        if operation is Call.OPEN:
            return self._answer(operation, 0, context.open(reader.unique_string() or b""))
        if operation is Call.READ:
            size = reader.u32()
            if not 0 < size <= 1 << 20 or size % csra.PAGE:
                return self._answer(operation, codes.INVALID_PARAMETER)
            return self._answer(operation, 0, self._read(context, size))
        if operation is Call.CLOSE:
            context.close()
        elif operation is Call.TRUNCATE:
            context.truncate_logs()
        else:
            known.context = None
            context.end(Outcome.SUCCESS)
        return self._answer(operation, 0)

    @staticmethod
    def _read(context: BackupContext, size: int) -> tuple[bytes, int]:
        buffer = bytearray(size)
        count = context.read(memoryview(buffer))
        return bytes(buffer), count


def main() -> None:
    """Serve a simulated server until interrupted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("lab", help="the folder of a simulated server (tokar lab new DIR)")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=135)
    parser.add_argument("--object-port", type=int, default=0, help="the port of its objects (default: a free one)")
    parser.add_argument("--ping-period", type=float, default=120.0)
    options = parser.parse_args()
    settings = Settings(ping_period=options.ping_period)
    ports = {"port": options.port, "object_port": options.object_port}
    with CaDouble(open_source(options.lab), settings, host=options.host, **ports) as double:
        accounts = ", ".join(f"LAB\\{name} {password}" for name, password in PASSWORDS.items())
        sys.stdout.write(f"ca://{double.host}:{double.port}/{settings.authority}; accounts: {accounts}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
