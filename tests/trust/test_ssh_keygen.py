from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fixtures.cases_signed import ALICE as SIGNATURE
from signed import make_key, needs_ssh_keygen

from tokar.errors import InputError, SigningError, StorageError
from tokar.format.sshsig import SshSignature, dearmored, parse_signature
from tokar.storage.sink import temporary_files
from tokar.trust import ssh_keygen

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = needs_ssh_keygen


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that PATH names, and nothing else: what is in it is taken for ssh-keygen."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, script: str) -> None:
    path = folder / "ssh-keygen"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{script}\n")
    path.chmod(0o755)


def test_it_is_never_taken_from_the_current_folder(
    tmp_path: Path, stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "sys.exit(0)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join(["", ".", "./bin", str(stand_in)]))
    with pytest.raises(SigningError, match="none in PATH"):
        ssh_keygen.find_program()
    put(stand_in, "sys.exit(0)")
    assert ssh_keygen.find_program() == str(stand_in / "ssh-keygen")


def test_what_cannot_be_run_is_no_program(stand_in: Path) -> None:
    (stand_in / "ssh-keygen").mkdir()
    with pytest.raises(SigningError, match="none in PATH"):
        ssh_keygen.find_program()


def test_a_program_that_is_none_is_a_typed_error(stand_in: Path, tmp_path: Path) -> None:
    (stand_in / "ssh-keygen").write_bytes(b"\0\0")
    (stand_in / "ssh-keygen").chmod(0o755)
    with pytest.raises(SigningError, match="cannot be run"):
        ssh_keygen.sign(b"", tmp_path)


@pytest.mark.parametrize("work", ["sign", "judge"])
def test_one_that_is_too_old_is_told_by_its_usage_text(stand_in: Path, work: str, tmp_path: Path) -> None:
    put(stand_in, "sys.stderr.write('illegal option -- Y'); sys.exit(1)")
    todo: dict[str, Callable[[], object]] = {
        "sign": lambda: ssh_keygen.sign(b"message", tmp_path),
        "judge": lambda: ssh_keygen.is_right(_signature(), b"message"),
    }
    with pytest.raises(SigningError, match="too old") as caught:
        todo[work]()
    assert caught.value.hint == "OpenSSH 8.1 or newer is needed: update it"


def _signature() -> SshSignature:
    return parse_signature(SIGNATURE)


def test_what_it_says_is_shown_and_never_believed(stand_in: Path, tmp_path: Path) -> None:
    put(stand_in, "sys.stderr.write('Gute Unterschrift\\n\\x1b[31mkein Schlüssel\\n\\n'); sys.exit(255)")
    with pytest.raises(SigningError) as caught:
        ssh_keygen.sign(b"message", tmp_path / "key")
    assert caught.value.message == "ssh-keygen did not sign: <U+001B>[31mkein Schlüssel"
    assert not ssh_keygen.is_right(_signature(), b"message")


def test_one_that_hangs_is_ended(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stand_in, "time.sleep(60)")
    monkeypatch.setattr(ssh_keygen, "_SIGN_SECONDS", 0.3)
    monkeypatch.setattr(ssh_keygen, "_PATIENCE", 0.1)
    said: list[str] = []
    with pytest.raises(SigningError, match="took longer"):
        ssh_keygen.sign(b"message", "key", said.append)
    assert said == ["waiting for ssh-keygen: it may want a passphrase, or a touch of a hardware token"]


def test_one_that_reads_nothing_is_no_broken_pipe(stand_in: Path) -> None:
    put(stand_in, "sys.exit(255)")
    with pytest.raises(SigningError, match="did not sign"):
        ssh_keygen.sign(bytes(1 << 20), "key")


def test_an_interrupt_ends_it_too(stand_in: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(stand_in, "time.sleep(60)")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ssh_keygen, "_communicate", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ssh_keygen.sign(b"message", "key")


def test_a_key_that_is_not_there_or_none_is_refused_before_anything(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("nothing", "pipe", "."):
        with pytest.raises(StorageError):
            ssh_keygen.demand_key(tmp_path / name)
    (tmp_path / "text").write_text("no key")
    with pytest.raises(SigningError, match="finds no key in it") as caught:
        ssh_keygen.demand_key(tmp_path / "text")
    assert caught.value.path == tmp_path / "text"


@pytest.mark.parametrize("name", ["key", "key.pub"])
def test_what_ssh_keygen_would_read_for_ever_it_is_not_given(name: str, tmp_path: Path, stand_in: Path) -> None:
    put(stand_in, "sys.exit(0)")
    (tmp_path / "key").write_text("a key")
    with (tmp_path / name).open("wb") as file:
        file.truncate(1 << 42)
    with pytest.raises(InputError, match="it has more than") as caught:
        ssh_keygen.demand_key(tmp_path / "key")
    assert str(caught.value.path) == str(tmp_path / name)
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(StorageError, match="it is a pipe"):
        ssh_keygen.demand_key(tmp_path / "key")


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="needs files that the system makes as they are read")
def test_what_may_be_gone_when_it_is_read_again_is_no_key() -> None:
    with pytest.raises(StorageError, match="a file is wanted"):
        ssh_keygen.demand_key("/proc/version")


def test_a_key_that_wants_a_passphrase_is_a_key_and_cannot_sign_without_a_person(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path, "locked", "passphrase")
    ssh_keygen.demand_key(key)
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    with pytest.raises(SigningError, match="did not sign"):
        ssh_keygen.sign(b"message", key)


def test_a_public_key_without_an_agent_cannot_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = make_key(tmp_path, "gone")
    key.unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(SigningError, match="did not sign") as caught:
        ssh_keygen.sign(b"message", f"{key}.pub")
    assert "ssh-add -L" in (caught.value.hint or "")


@pytest.mark.skipif(shutil.which("ssh-agent") is None, reason="needs ssh-agent")
def test_an_agent_signs_for_a_public_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, socket = make_key(tmp_path, "kept"), tmp_path / "agent"
    monkeypatch.setenv("SSH_AUTH_SOCK", str(socket))
    with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL) as agent:
        try:
            for _ in range(200):
                if subprocess.run(["ssh-add", "-q", key], capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.02)
            key.unlink()
            signature = parse_signature(next(dearmored(ssh_keygen.sign(b"message", f"{key}.pub"))))
        finally:
            agent.terminate()
    assert ssh_keygen.is_right(signature, b"message")
    with pytest.raises(SigningError, match="did not sign"):
        ssh_keygen.sign(b"message", f"{key}.pub")


def test_the_file_with_a_signature_is_private_and_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with ssh_keygen._signature_file(_signature()) as path:
        assert Path(path).stat().st_mode & 0o077 == 0
        assert temporary_files(tmp_path) == [Path(path).name], "clean finds it"
        assert [*dearmored(Path(path).read_bytes())] == [_signature().blob]
    assert [*tmp_path.iterdir()] == []


def test_a_signature_that_cannot_be_kept_is_a_typed_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing"))
    with pytest.raises(StorageError, match=r"cannot keep a signature|cannot write here"):
        ssh_keygen.is_right(_signature(), b"message")
