"""What a person meets first: addresses, and each refusal of a server with its next step."""

from __future__ import annotations

import io
import json
import pickle
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from ca_double import NO_REMOTE_BACKUP, CaDouble
from ca_parts import authority, server_of

from tokar import codes
from tokar.errors import InputError, MissingExtraError, ProcedureError, SourceError
from tokar.live import csra
from tokar.live.ca import CaAddress, CaServer, open_source
from tokar.live.csra import Call
from tokar.rpc import auth
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.remote_object import ServerPlace
from tokar.rpc.trace import Trace
from tokar.rpc.wire_errors import LogonError, UnreachableError
from tokar.server.contract import BackupContext, BackupType, NoAnswerError, Outcome, ServerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaDouble]:
    """One that all tests share which change nothing on it."""
    with authority(tmp_path_factory.mktemp("ca")) as double:
        yield double


@pytest.mark.parametrize(
    ("place", "host", "port", "name"),
    [
        ("//ca1", "ca1", 135, None),
        ("//ca1.lab.example/Root CA", "ca1.lab.example", 135, "Root CA"),
        ("//ca1:1135/Root%20CA", "ca1", 1135, "Root CA"),
        ("//[::1]:1135/X/Y", "::1", 1135, "X/Y"),
        ("//[::1]", "::1", 135, None),
        ("//CA1/", "ca1", 135, None),
    ],
)
def test_addresses(place: str, host: str, port: int, name: str | None) -> None:
    assert CaAddress.parse(place) == CaAddress(host, port, name)


@pytest.mark.parametrize("place", ["", "ca1", "//", "///X", "//ca1:x", "//ca1:0", "//ca1:65536", "//c\x1ba1", "//:135"])
def test_what_is_no_address_is_refused(place: str) -> None:
    with pytest.raises(InputError, match="not the address"):
        CaAddress.parse(place)


def test_an_address_with_a_password_is_refused_without_repeating_it() -> None:
    with pytest.raises(InputError, match="no account and no password") as caught:
        CaAddress.parse("//backup:Secret-1@ca1")
    assert "Secret-1" not in str(caught.value)
    assert "--user" in str(caught.value.hint)


def test_the_authority_is_asked_for_where_none_is_named(double: CaDouble) -> None:
    server = server_of(double, name=None)
    assert server.authority == "RootCA"
    assert server.is_online() is True


def test_a_server_that_does_not_say_its_name_asks_for_it(tmp_path: Path) -> None:
    with authority(tmp_path, tells_name=False) as double, pytest.raises(ServerError) as caught:
        server_of(double, name=None).is_online()
    assert "ca://HOST/AUTHORITY" in str(caught.value.hint)


@pytest.mark.parametrize("tells", [True, False])
@pytest.mark.parametrize("call", ["is_online", "prepare_backup"])
def test_a_wrong_authority_names_the_right_one_where_the_server_says_it(tmp_path: Path, tells: bool, call: str) -> None:
    with (
        authority(tmp_path, tells_name=tells) as double,
        pytest.raises(ServerError, match="has no authority 'Odd'") as caught,
    ):
        getattr(server_of(double, name="Odd"), call)(*([BackupType.FULL] if call == "prepare_backup" else []))
    assert ("'RootCA'" if tells else "certutil on the server") in str(caught.value.hint)
    assert not double.objects


@pytest.mark.parametrize("mechanism", [Mechanism.NTLM, Mechanism.NEGOTIATE])
@pytest.mark.parametrize(("user", "password"), [("LAB\\backup", "wrong"), ("LAB\\stranger", "Secret-1")])
def test_a_wrong_account_or_password_is_refused(
    double: CaDouble, mechanism: Mechanism, user: str, password: str
) -> None:
    server = server_of(double, mechanism=mechanism, user=user, password=password)
    before = double.resolver.refusals
    with pytest.raises(LogonError, match="does not accept this account") as caught:
        server.is_online()
    assert double.resolver.refusals == before + 1, "it is tried once, for accounts are locked after a few"
    assert "check the name and the password" in str(caught.value.hint)
    assert password not in repr(caught.value)


def denied(folder: Path, user: str = "LAB\\backup", password: str = "Secret-1", **settings: object) -> ServerError:
    with authority(folder, **settings) as double, pytest.raises(ServerError) as caught:
        server_of(double, user=user, password=password).prepare_backup(BackupType.FULL)
    assert caught.value.code == codes.ACCESS_DENIED
    assert not double.objects, "it is released"
    return caught.value


def test_remote_backup_that_is_off_gives_the_command_that_switches_it_on(tmp_path: Path) -> None:
    error = denied(tmp_path, flags=NO_REMOTE_BACKUP)
    assert "remote backup is switched off" in error.message
    assert "certutil -setreg CA\\InterfaceFlags -IF_NOREMOTEICERTADMINBACKUP" in str(error.hint)


def test_an_account_that_is_no_backup_operator_is_told_so(tmp_path: Path) -> None:
    error = denied(tmp_path, "LAB\\nobody", "Secret-2")
    assert "no backup operator" in error.message
    assert str(error.hint).startswith("add it to Backup Operators")


def test_where_the_server_does_not_say_why_both_reasons_are_named(tmp_path: Path) -> None:
    error = denied(tmp_path, flags=NO_REMOTE_BACKUP, tells_roles=False)
    assert "or this account is no backup operator" in error.message
    assert "-IF_NOREMOTEICERTADMINBACKUP" in str(error.hint)
    assert "Backup Operators" in str(error.hint)


def test_a_server_without_an_authority_says_so(tmp_path: Path) -> None:
    with authority(tmp_path, classes=()) as double, pytest.raises(ServerError) as caught:
        server_of(double).is_online()
    assert "AD CS is not installed" in caught.value.message
    assert "name the server" in str(caught.value.hint)


def test_another_version_of_dcom_is_refused(tmp_path: Path) -> None:
    with authority(tmp_path, version=(6, 0)) as double, pytest.raises(ServerError) as caught:
        server_of(double).is_online()
    assert "another version of DCOM" in caught.value.message
    assert caught.value.hint


def test_the_lower_one_of_two_versions_is_spoken(tmp_path: Path) -> None:
    with authority(tmp_path, version=(5, 6)) as double:
        assert server_of(double).is_online() is True


def test_nothing_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = CaServer(ServerPlace("127.0.0.1", port, Credentials("a", "b"), seconds=5), "X")
    with pytest.raises(UnreachableError, match="nothing listens there") as caught:
        server.is_online()
    assert "firewall" in str(caught.value.hint)


def test_a_host_that_nobody_knows() -> None:
    server = CaServer(ServerPlace("no-such-host.invalid", credentials=Credentials("a", "b"), seconds=5), "X")
    with pytest.raises(UnreachableError, match="is not known") as caught:
        server.is_online()
    assert "DNS" in str(caught.value.hint)


@pytest.mark.parametrize(
    "says", [b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\0" * 100, b"\5\0\x0c\3\x10\0\0\0\xff\xff\0\0\1\0\0\0"]
)
def test_a_port_that_is_none_of_windows_rpc(says: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(says)

        thread = threading.Thread(target=answer)
        thread.start()
        server = CaServer(ServerPlace("127.0.0.1", listening.getsockname()[1], Credentials("a", "b"), seconds=5), "X")
        with pytest.raises(NoAnswerError):
            server.is_online()
        thread.join()


def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = CaServer(ServerPlace("127.0.0.1", listening.getsockname()[1], Credentials("a", "b"), seconds=0.3), "X")
        before = time.monotonic()
        with pytest.raises(NoAnswerError, match="in time"):
            server.is_online()
        assert time.monotonic() - before < 5


def test_a_server_that_does_not_sign_headers_is_refused(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        double.resolver.header_signing = False
        with pytest.raises(LogonError, match="signs no headers"):
            server_of(double).is_online()


@pytest.mark.parametrize("mechanism", [Mechanism.NTLM, Mechanism.NEGOTIATE])
def test_a_challenge_for_weak_sealing_is_refused(tmp_path: Path, mechanism: Mechanism) -> None:
    def weaken(_number: int, data: bytes) -> bytes:
        at = data.find(b"NTLMSSP\0\2") + 20
        flags = int.from_bytes(data[at : at + 4], "little") & ~0x20000000
        return data[:at] + flags.to_bytes(4, "little") + data[at + 4 :] if at >= 20 else data

    with authority(tmp_path) as double:
        double.resolver.meddle = weaken
        with pytest.raises(LogonError, match="weak sealing"):
            server_of(double, mechanism=mechanism).is_online()


def test_many_ways_that_lead_nowhere_are_not_all_tried(tmp_path: Path) -> None:
    with authority(tmp_path, bindings=tuple(f"h{number}.invalid" for number in range(500))) as double:
        port = double.exporter.port
        double.exporter.stop()
        with pytest.raises(UnreachableError, match=f"port {port}"):
            server_of(double).is_online()


def test_bindings_that_cannot_be_reached_do_not_matter_where_the_named_host_can(tmp_path: Path) -> None:
    with authority(tmp_path, bindings=("10.255.255.1", "no-such-host.invalid")) as double:
        assert server_of(double).is_online() is True


def test_without_the_package_the_extra_is_named(double: CaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spnego", None)
    with pytest.raises(MissingExtraError) as caught:
        server_of(double).is_online()
    assert "[ca]" in str(caught.value.hint) or "pyspnego" in str(caught.value.hint)  # as it was installed


def test_without_an_account_and_without_kerberos_nobody_can_log_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "find_spec", lambda _name: None)
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(LogonError) as caught:
        auth.start(Credentials(), "ca1")
    assert "--user" in str(caught.value.hint)
    assert "kinit" in str(caught.value.hint)
    with pytest.raises(MissingExtraError) as missing:
        auth.start(Credentials("u@R", mechanism=Mechanism.KERBEROS), "ca1")
    assert "[kerberos]" in str(missing.value.hint)


def test_there_is_no_restore_on_the_wire(double: CaDouble) -> None:
    for refuse in (lambda: server_of(double).prepare_restore(), lambda: open_source("//ca1", restoring=True)):
        with pytest.raises(ProcedureError, match="no restore") as caught:
            refuse()
        assert "--certutil DIR" in str(caught.value.hint)
        assert "certadm:" in str(caught.value.hint)


def test_a_password_shows_in_no_text() -> None:
    who = Credentials("LAB\\backup", "Secret-1")
    place = ServerPlace("ca1", credentials=who)
    server = CaServer(place, "X")
    for shown in (repr(who), str(who), repr(place), repr(server), f"{who}", repr(vars(server))):
        assert "Secret-1" not in shown
    assert pickle.loads(pickle.dumps(who)) == who


def test_probe_says_what_was_found_and_begins_no_backup(double: CaDouble) -> None:
    double.log.clear()
    found = dict(server_of(double).probe())
    assert found["authority"] == "RootCA"
    assert found["account"] == "LAB\\backup"
    assert found["logon"] == "by ntlm, everything signed and sealed"
    assert (found["reads the database"], found["backup operator"]) == ("yes", "yes")
    assert "PREPARE" not in double.log
    assert not double.objects


def test_a_trace_has_no_names_no_password_and_no_content(double: CaDouble) -> None:
    file = io.StringIO()
    names = ["LAB", "backup", "RootCA"]
    server = server_of(double, trace=Trace(file, names, hidden=[Call.READ]))
    context = server.prepare_backup(BackupType.FULL)
    listed = context.database_names().entries[0]
    context.open(listed.raw_name)
    content = bytearray(4096)
    context.read(memoryview(content))
    context.close()
    context.end(Outcome.ABORT)
    text = file.getvalue()
    lines = [json.loads(line) for line in text.splitlines()]
    stubs = b"".join(bytes.fromhex(line.get("stub", "")) for line in lines)
    for name in ("LAB", "backup", "RootCA", "Lab CA", "CA1", "lab.example", "Secret-1"):
        assert name.lower().encode("utf-16-le") not in stubs.lower()
        assert name.lower().encode() not in stubs.lower()
        assert name not in text
    assert bytes(content)[:64].hex() not in text
    assert {"connect", "sent", "received", "call", "answer"} <= {line["event"] for line in lines}
    assert any("content_of_file" in line for line in lines)
    assert "CertLog".encode("utf-16-le") in stubs, "the rest is as it was"
    assert csra.ADMIN_CLASS in stubs


def test_a_trace_that_cannot_be_written_stops_nothing(double: CaDouble) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError(28, "no space left on device")

    assert server_of(double, trace=Trace(Full(), [])).is_online() is True


def test_an_object_without_pings_is_reclaimed(tmp_path: Path) -> None:
    with authority(tmp_path, ping_period=0.1) as double:
        context = server_of(double, ping_period=60.0).prepare_backup(BackupType.FULL)
        for _ in range(200):
            threading.Event().wait(0.05)
            if not double.objects:
                break
        with pytest.raises(ServerError) as caught:
            context.database_names()
        assert caught.value.code == 0x80010108
        assert "start over" in str(caught.value.hint)
        with pytest.raises(ServerError):
            context.end(Outcome.ABORT)


@pytest.mark.slow
def test_an_object_with_pings_lives(tmp_path: Path) -> None:
    with authority(tmp_path, ping_period=0.8) as double:
        context = server_of(double, ping_period=0.2).prepare_backup(BackupType.FULL)
        threading.Event().wait(3.0)  # longer than three periods
        assert double.log.count("ping") > 2
        assert context.database_names().entries
        context.end(Outcome.ABORT)


def test_pings_that_are_not_let_in_any_more_end_and_lock_no_account(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        context = server_of(double, ping_period=0.05).prepare_backup(BackupType.FULL)
        for _ in range(1000):
            threading.Event().wait(0.01)
            if "ping" in double.log:
                break
        double.forget_accounts()
        double.resolver.drop()
        for thread in threading.enumerate():
            if thread.name == "tokar-pings":
                thread.join(10)
                assert not thread.is_alive()
        assert double.resolver.refusals == 1
        assert context.database_names().entries
        context.end(Outcome.ABORT)


@pytest.mark.slow
def test_a_ping_that_fails_is_tried_again(tmp_path: Path) -> None:
    with authority(tmp_path, ping_period=0.8) as double:
        context = server_of(double, ping_period=0.2).prepare_backup(BackupType.FULL)
        for _ in range(6):
            threading.Event().wait(0.5)
            double.resolver.drop()
        assert context.database_names().entries
        context.end(Outcome.ABORT)


def test_no_thread_and_no_object_is_left(double: CaDouble) -> None:
    server = server_of(double)
    server.prepare_backup(BackupType.FULL).end(Outcome.SUCCESS)
    with pytest.raises(ServerError):
        server_of(double, user="LAB\\nobody", password="Secret-2").prepare_backup(BackupType.FULL)
    assert not [one for one in threading.enumerate() if one.name == "tokar-pings"]
    assert not double.objects


def read_all(context: BackupContext) -> None:
    left = context.open(context.database_names().entries[0].raw_name)
    while left:
        count = context.read(memoryview(bytearray(65536)))
        if not count:
            raise SourceError("it ended early")
        left -= count


@pytest.mark.parametrize(
    ("call", "claim", "said"),
    [
        (Call.DATABASE_NAMES, 0xFFFFFFFF, "does not fit"),
        (Call.OPEN, 1 << 63, "it ended early"),
        (Call.OPEN, 100, "100 were announced"),
        (Call.READ, 0x7FFFFFFF, "into a buffer"),
        (Call.READ, 65537, "into a buffer"),
    ],
)
def test_what_the_server_claims_decides_on_no_memory(tmp_path: Path, call: Call, claim: int, said: str) -> None:
    with authority(tmp_path, claim={call: claim}) as double:
        context = server_of(double).prepare_backup(BackupType.FULL)
        try:
            with pytest.raises(SourceError, match=said):
                read_all(context)
        finally:
            context.end(Outcome.ABORT)


def test_a_call_that_asks_is_told_in_words(double: CaDouble) -> None:
    with pytest.raises(ServerError, match=r"^asking whether the server runs failed with "):
        server_of(double, name="Odd").is_online()
