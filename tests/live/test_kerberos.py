"""Kerberos against a KDC of MIT on loopback: a whole backup by a ticket, by Negotiate and by Kerberos alone.

`make peers` installs the packages; the KDC is that of the system (krb5-kdc). Elsewhere it is skipped.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from ca_parts import authority

from tokar.live.ca import CaServer
from tokar.rpc.auth import Credentials, Mechanism
from tokar.rpc.remote_object import ServerPlace
from tokar.rpc.wire_errors import LogonError
from tokar.server.contract import BackupKind
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

for package in ("gssapi", "krb5"):
    pytest.importorskip(package, reason=f"{package} is not installed: make peers")
SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
TOOLS = {name: shutil.which(name, path=SBIN) for name in ("krb5kdc", "kdb5_util", "kadmin.local", "kinit")}
if missing := [name for name, path in TOOLS.items() if path is None]:
    pytest.skip(f"there is no KDC of MIT: {', '.join(missing)}", allow_module_level=True)
REALM = "LAB.EXAMPLE"


def run(name: str, *arguments: str, said: str = "") -> None:
    command = [str(TOOLS[name]), *arguments]
    subprocess.run(command, input=said.encode(), capture_output=True, check=True, timeout=60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A realm with an account, a host, and its KDC at work; a ticket of the account is at hand."""
    folder, port = tmp_path_factory.mktemp("kdc"), free_port()
    (folder / "krb5.conf").write_text(
        f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n rdns = false\n"
        f" dns_canonicalize_hostname = false\n[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n"
        f"[domain_realm]\n localhost = {REALM}\n"
    )
    (folder / "kdc.conf").write_text(
        f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
        f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
        f"  acl_file = {folder}/acl\n }}\n"
    )
    (folder / "acl").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KRB5_CONFIG", str(folder / "krb5.conf"))
        patch.setenv("KRB5_KDC_PROFILE", str(folder / "kdc.conf"))
        patch.setenv("KRB5CCNAME", f"FILE:{folder}/ticket")
        patch.setenv("KRB5_KTNAME", f"FILE:{folder}/keytab")
        run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
        run("kadmin.local", "-q", f"addprinc -pw Secret-1 backup@{REALM}")
        run("kadmin.local", "-q", f"addprinc -randkey host/localhost@{REALM}")
        run("kadmin.local", "-q", f"ktadd -k {folder}/keytab host/localhost@{REALM}")
        with subprocess.Popen([str(TOOLS["krb5kdc"]), "-n"], stdout=-3, stderr=-3) as kdc:
            try:
                for _ in range(100):
                    with suppress(subprocess.CalledProcessError):
                        run("kinit", f"backup@{REALM}", said="Secret-1\n")
                        break
                yield folder
            finally:
                kdc.terminate()


def server_of(port: int, mechanism: Mechanism, user: str | None = None, password: str | None = None) -> CaServer:
    place = ServerPlace("localhost", port, Credentials(user, password, mechanism), seconds=10)
    return CaServer(place, "RootCA", truncates=True)


@pytest.mark.usefixtures("realm")
@pytest.mark.parametrize("mechanism", [Mechanism.KERBEROS, Mechanism.NEGOTIATE])
@pytest.mark.parametrize("by_password", [False, True])
def test_a_full_with_truncation_by_kerberos(tmp_path: Path, mechanism: Mechanism, by_password: bool) -> None:
    who = (f"backup@{REALM}", "Secret-1") if by_password else (None, None)
    with authority(tmp_path, keytab=True) as double:
        result = run_backup(
            server_of(double.port, mechanism, *who), tmp_path / "a.tokar", BackupKind.FULL, BackupOptions(threads=1)
        )
        assert result.truncation is Truncation.DONE
        assert double.log[0] == f"activated for backup@{REALM}"


@pytest.mark.usefixtures("realm")
def test_without_a_ticket_the_next_step_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/nothing")
    with authority(tmp_path, keytab=True) as double, pytest.raises(LogonError) as caught:
        server_of(double.port, Mechanism.KERBEROS).is_online()
    assert "kinit" in str(caught.value.hint)
