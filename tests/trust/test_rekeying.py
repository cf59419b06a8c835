"""Adding recipients to an archive that exists."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pyrage
import pytest
from encrypted import CHUNK, make_archive, make_identity, recipients, ring

import tokar as library
from tokar.errors import FormatError, InputError, LockedError, StorageError
from tokar.format import records
from tokar.format.after_root import append_records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.trust.recipients import Recipients
from tokar.trust.rekeying import key_files, rekey

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"large.log": os.urandom(CHUNK + 5), "empty.log": b"", "text.log": b"the same words " * 900}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity(tmp_path_factory.mktemp("mine"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, identity: Path) -> Path:
    return make_archive(tmp_path_factory.mktemp("archives") / "a.tokar", FILES, identity)


def contents(path: Path, *identities: Path) -> dict[str, bytes]:
    with Archive(path, ring(*identities)) as opened:
        library.verify(opened, content=True).demand()
        return {entry.name: opened.read(entry) for entry in opened}


def test_who_is_added_opens_the_archive_and_the_root_stays(tmp_path: Path, identity: Path, stranger: Path) -> None:
    made = make_archive(tmp_path / "a.tokar", FILES, identity)
    with Archive(made) as before:
        root = before.root
    assert rekey(made, recipients(stranger), ring(identity)) == root
    with Archive(made) as after:
        assert after.root == root
        assert [one.where for one in key_files(after)] == ["recipients", "after root"]
    assert contents(made, stranger) == contents(made, identity) == FILES


def test_who_was_added_can_add_others(tmp_path: Path, identity: Path, stranger: Path) -> None:
    made, third = make_archive(tmp_path / "a.tokar", FILES, identity), make_identity(tmp_path, "third")
    rekey(made, recipients(stranger), ring(identity))
    rekey(made, recipients(third), ring(stranger))
    assert contents(made, third) == FILES


def test_who_cannot_open_an_archive_adds_nobody(archive: Path, stranger: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(LockedError):
        rekey(archive, recipients(stranger), ring(stranger))
    assert archive.read_bytes() == before


def test_nobody_is_added_to_an_archive_that_anyone_can_read(tmp_path: Path, identity: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese"):
        pass
    with pytest.raises(InputError, match="not encrypted"):
        rekey(tmp_path / "a.tokar", recipients(identity), ring(identity))


def test_there_is_room_for_sixteen_records_and_the_rest_is_refused(tmp_path: Path, identity: Path) -> None:
    made = make_archive(tmp_path / "a.tokar", {"a.log": b"x"}, identity)
    for _ in range(16):
        rekey(made, recipients(identity), ring(identity))
    before = made.read_bytes()
    with pytest.raises(FormatError, match="too many") as caught:
        rekey(made, recipients(identity), ring(identity))
    assert caught.value.rule == "LOW-1"
    assert made.read_bytes() == before
    assert list(tmp_path.iterdir()).count(made) == 1


def test_more_recipients_than_a_record_has_room_for_are_refused(
    archive: Path, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = archive.read_bytes()
    monkeypatch.setattr(records, "MAX_TRAILING_SIZE", 100)
    with pytest.raises(InputError, match="no room"):
        rekey(archive, recipients(identity), ring(identity))
    assert archive.read_bytes() == before


def test_records_that_hold_nothing_or_another_key_hinder_nobody(tmp_path: Path, identity: Path, stranger: Path) -> None:
    made = make_archive(tmp_path / "a.tokar", FILES, identity)
    with Archive(made) as opened:
        root = opened.root
    wrong = pyrage.encrypt(bytes(32), [pyrage.x25519.Recipient.from_str(Recipients.lines(f"{identity}.pub")[0])])
    short = pyrage.encrypt(b"K", [pyrage.x25519.Recipient.from_str(Recipients.lines(f"{identity}.pub")[0])])
    append_records(made, [TrailingRecord(records.KEYS, one) for one in (b"", b"?", wrong, short)], root=root)
    assert contents(made, identity) == FILES
    with pytest.raises(LockedError):
        contents(made, stranger)
    with Archive(made) as opened:
        assert [bool(one.fault) for one in key_files(opened)] == [False, True, True, False, False]


@pytest.mark.torture
@pytest.mark.parametrize("call", ["fsync", "rename", "replace", "write", "ftruncate"])
def test_a_failure_while_recipients_are_added_leaves_the_archive_whole(
    tmp_path: Path, identity: Path, stranger: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    made = make_archive(tmp_path / "a.tokar", FILES, identity)
    before, real, left = made.read_bytes(), getattr(os, call), [0]

    def fail(*arguments: object, **options: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(28, "No space left on device")
        return real(*arguments, **options)

    for count in range(12):
        left[0] = count
        monkeypatch.setattr(os, call, fail)
        try:
            rekey(made, recipients(stranger), ring(identity))
        except StorageError:
            assert made.read_bytes() == before
        else:
            break
        finally:
            monkeypatch.undo()
    assert contents(made, identity) == FILES


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.0, 0.02, 0.05, 0.1, 0.2, 0.4])
def test_a_kill_while_recipients_are_added_leaves_one_archive_whole(
    tmp_path: Path, identity: Path, stranger: Path, after: float
) -> None:
    made = make_archive(tmp_path / "a.tokar", FILES, identity)
    command = [sys.executable, "-m", "tokar", "rekey", "-q", str(made), "--recipients-file", f"{stranger}.pub"]
    with subprocess.Popen([*command, "--identity", str(identity)], stderr=subprocess.DEVNULL) as running:
        try:
            running.wait(0.15 + after)
        except subprocess.TimeoutExpired:
            running.kill()
    assert contents(made, identity) == FILES
    rekey(made, recipients(stranger), ring(identity))
    assert contents(made, stranger) == FILES
