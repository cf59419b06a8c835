from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from signed import make_archive, make_key, needs_ssh_keygen, public, run, signers

from tokar.errors import ExistingFileError, FormatError, InputError, SigningError, StorageError
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.verify import verify
from tokar.storage import durable
from tokar.storage.bytesource import FileSource
from tokar.trust.signatures import AllowedSigners, Signer, Where
from tokar.trust.signing import sign_archive

pytestmark = needs_ssh_keygen


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of alice and bob."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "alice")
    make_key(folder, "bob")
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive."""
    return make_archive(tmp_path / "a.tokar")


def named(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def demand_untouched(path: Path, before: bytes) -> None:
    assert path.read_bytes() == before
    assert named(path) == [path.name]


def test_ssh_keygen_alone_verifies_what_lies_beside(keys: Path, path: Path, tmp_path: Path) -> None:
    made = sign_archive(path, Signer([keys / "alice"]))
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    options = ["-f", allowed, "-I", "alice@x", "-n", "tokar", "-s", f"{path}.sig"]
    message = path.read_bytes()[-40:-8].hex().encode() + b"\n"
    assert run("-Y", "verify", *options, stdin=message).returncode == 0
    assert run("-Y", "verify", *options, stdin=bytes(32).hex().encode() + b"\n").returncode == 255
    assert (made.where, made.root.hex().encode() + b"\n") == (Where.DETACHED, message)


def test_a_signature_inside_leaves_the_root_and_the_content(keys: Path, path: Path, tmp_path: Path) -> None:
    with Archive(path) as archive:
        root = archive.root
    path.chmod(0o640)
    sign_archive(path, Signer([keys / "alice", keys / "bob"]), embed=True)
    allowed = AllowedSigners(signers(tmp_path, f"bob@x {public(keys / 'bob')}"))
    with Archive(path) as archive:
        verify(archive, content=True).demand()
        assert archive.root == root
        assert allowed.demand(archive).principal == "bob@x"
        assert len(archive.trailing) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_signing_twice_by_the_same_key_writes_nothing(embed: bool, keys: Path, path: Path) -> None:
    first = sign_archive(path, Signer([keys / "alice"]), embed=embed)
    before = {one: one.stat().st_ino for one in path.parent.iterdir()}
    second = sign_archive(path, Signer([keys / "alice", keys / "alice"]), embed=embed)
    assert (second.added, second.known) == ((), first.added)
    assert {one: one.stat().st_ino for one in path.parent.iterdir()} == before


def test_further_signers_are_added_to_those_that_are_there(keys: Path, path: Path) -> None:
    sign_archive(path, Signer([keys / "alice"]))
    path.chmod(0o644)
    made = sign_archive(path, Signer([keys / "bob", keys / "alice"]))
    assert len(made.added) == len(made.known) == 1
    beside = Path(f"{path}.sig")
    assert beside.read_text().count("BEGIN SSH SIGNATURE") == 2
    assert stat.S_IMODE(beside.stat().st_mode) == 0o644, "who may read the archive may read who signed it"


def test_signatures_of_an_older_archive_of_the_name_make_way(keys: Path, path: Path) -> None:
    sign_archive(path, Signer([keys / "alice"]))
    path.unlink()
    make_archive(path, b"other")
    made = sign_archive(path, Signer([keys / "alice"]))
    assert (len(made.added), made.dropped) == (1, 1)
    assert Path(f"{path}.sig").read_text() == made.added[0].armored


def test_a_file_that_is_no_signature_is_not_replaced(keys: Path, path: Path) -> None:
    Path(f"{path}.sig").write_text("-----BEGIN PGP SIGNATURE-----\n")
    with pytest.raises(ExistingFileError, match="something else"):
        sign_archive(path, Signer([keys / "alice"]))
    assert Path(f"{path}.sig").read_text() == "-----BEGIN PGP SIGNATURE-----\n"


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_a_damaged_archive_is_not_signed(embed: bool, keys: Path, path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(b"content", 500)] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        sign_archive(path, Signer([keys / "alice"]), embed=embed)
    assert caught.value.path is not None
    demand_untouched(path, bytes(data))


def test_what_is_no_archive_is_not_signed(keys: Path, path: Path) -> None:
    path.write_bytes(b"text")
    with pytest.raises(FormatError):
        sign_archive(path, Signer([keys / "alice"]))
    demand_untouched(path, b"text")


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_a_key_that_cannot_sign_writes_nothing(
    embed: bool, path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, before = make_key(tmp_path_factory.mktemp("gone"), "gone"), path.read_bytes()
    key.unlink()
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(SigningError):
        sign_archive(path, Signer([f"{key}.pub"]), embed=embed)
    demand_untouched(path, before)


@pytest.mark.parametrize("embed", [False, True], ids=["beside", "inside"])
def test_an_archive_that_somebody_else_changes_is_left_to_them(embed: bool, keys: Path, path: Path) -> None:
    before = path.read_bytes()
    with FileSource(path) as source:
        assert durable.lock(source.fileno())
        with pytest.raises(StorageError, match="somebody else"):
            sign_archive(path, Signer([keys / "alice"]), embed=embed)
    demand_untouched(path, before)


def test_an_archive_that_was_replaced_while_a_person_was_asked_is_left(
    keys: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = Signer.sign

    def replaced(self: Signer, root: bytes) -> Any:
        make_archive(path.with_name("new"), b"other").replace(path)
        return sign(self, root)

    monkeypatch.setattr(Signer, "sign", replaced)
    with pytest.raises(FormatError, match="another archive"):
        sign_archive(path, Signer([keys / "alice"]), embed=True)
    with Archive(path) as archive:
        assert archive.trailing == []


def test_there_is_room_for_sixteen_inside(keys: Path, path: Path) -> None:
    from tokar.format.after_root import append_records  # noqa: PLC0415

    with Archive(path) as archive:
        root = archive.root
    append_records(path, [TrailingRecord(b"note", b"")] * 16, root=root)
    before = path.read_bytes()
    with pytest.raises(FormatError, match="too many"):
        sign_archive(path, Signer([keys / "alice"]), embed=True)
    demand_untouched(path, before)


def test_no_more_than_are_read_again_are_written_beside(
    keys: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign_archive(path, Signer([keys / "alice"]))
    monkeypatch.setattr("tokar.format.records.MAX_TRAILING_RECORDS", 1)
    with pytest.raises(InputError, match="more than 1 signature"):
        sign_archive(path, Signer([keys / "bob"]))
