from __future__ import annotations

from pathlib import Path

import pytest
from backup_files import fill
from signed import make_key, needs_ssh_keygen, public, signers

from tokar.errors import IntegrityError, SigningError, StorageError
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import SshSignature
from tokar.format.verify import verify
from tokar.server.contract import BackupKind, Outcome
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, receipt_path
from tokar.testing.scripted_server import ScriptedServer
from tokar.trust.signatures import AllowedSigners, Signer

pytestmark = needs_ssh_keygen
FULL = BackupKind.FULL


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key."""
    return make_key(tmp_path_factory.mktemp("keys"), "alice")


class Refusing(Signer):
    """Signs when it is tried out, and not at the seal."""

    def records(self, root: bytes) -> list[TrailingRecord]:
        raise SigningError(f"ssh-keygen did not sign {root.hex()[:4]}", hint="the agent is gone")


def test_a_backup_is_signed_before_it_has_its_name_and_then_truncates(key: Path, tmp_path: Path) -> None:
    out, seen = tmp_path / "a.tokar", []

    class Watching(Signer):
        def records(self, root: bytes) -> list[TrailingRecord]:
            seen.append(out.exists())
            return super().records(root)

    result = run_backup(fill(ScriptedServer()), out, FULL, BackupOptions(signer=Watching([key])))
    assert (result.truncation, seen) == (Truncation.DONE, [False])
    with Archive(out) as archive:
        verify(archive, content=True).demand()
        allowed = AllowedSigners(signers(tmp_path, f"alice@x {public(key)}"))
        assert allowed.demand(archive).root == result.sealed.root


def test_a_key_that_cannot_sign_is_found_before_prepare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    gone = make_key(tmp_path_factory.mktemp("gone"), "gone")
    gone.unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    server = fill(ScriptedServer())
    with pytest.raises(SigningError):
        run_backup(server, tmp_path / "a.tokar", FULL, BackupOptions(signer=Signer([f"{gone}.pub"])))
    assert server.history == []
    assert [*tmp_path.iterdir()] == []


def test_a_backup_that_cannot_be_signed_at_the_seal_is_kept_under_another_name_and_truncates_nothing(
    key: Path, tmp_path: Path
) -> None:
    out = tmp_path / "a.tokar"
    (tmp_path / "a.tokar.unsigned").write_bytes(b"of an earlier night")
    server = fill(ScriptedServer())
    with pytest.raises(SigningError) as caught:
        run_backup(server, out, FULL, BackupOptions(signer=Refusing([key])))
    assert not server.truncated
    assert Outcome.SUCCESS not in server.ended
    assert not out.exists()
    assert not receipt_path(out).exists()
    kept = tmp_path / "a.tokar.unsigned-2"
    assert f"tokar sign {kept} --embed --key KEY" in (caught.value.hint or "")
    assert any("a.tokar.unsigned-2" in note for note in caught.value.__notes__)
    with Archive(kept) as archive:
        verify(archive, content=True).demand()
        assert archive.trailing == []
    assert (tmp_path / "a.tokar.unsigned").read_bytes() == b"of an earlier night"


def test_signatures_that_came_back_otherwise_license_nothing(key: Path, tmp_path: Path) -> None:
    class Forgetful(Signer):
        def records(self, root: bytes) -> list[TrailingRecord]:
            super().records(root)
            return []

    server = fill(ScriptedServer())
    with pytest.raises(IntegrityError, match="not those that were made"):
        run_backup(server, tmp_path / "a.tokar", FULL, BackupOptions(signer=Forgetful([key])))
    assert not server.truncated
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.parametrize("kind", [BackupKind.COPY, BackupKind.FULL])
def test_an_interrupt_while_it_is_signed_leaves_nothing(kind: BackupKind, key: Path, tmp_path: Path) -> None:
    class Interrupted(Signer):
        def sign(self, root: bytes) -> list[SshSignature]:
            raise KeyboardInterrupt(root)

    server = fill(ScriptedServer())
    with pytest.raises(KeyboardInterrupt):
        run_backup(server, tmp_path / "a.tokar", kind, BackupOptions(signer=Interrupted([key])))
    assert not server.truncated
    assert not [one for one in tmp_path.iterdir() if one.name.endswith((".tokar", ".part"))]


def test_a_signature_that_cannot_be_kept_for_a_moment_does_not_cost_the_backup(
    key: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full(Signer):
        def records(self, root: bytes) -> list[TrailingRecord]:
            monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nothing"))
            return super().records(root)

    with pytest.raises(StorageError):
        run_backup(fill(ScriptedServer()), tmp_path / "a.tokar", FULL, BackupOptions(signer=Full([key])))
    with Archive(tmp_path / "a.tokar.unsigned") as archive:
        verify(archive, content=True).demand()
