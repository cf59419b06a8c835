"""Who can open an archive, and who cannot."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from encrypted import CHUNK, make_archive, make_identity, ring
from signed import make_key, needs_ssh_keygen

import tokar as library
from tokar.errors import InputError, LockedError, StorageError
from tokar.format import records
from tokar.format.after_root import append_records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.storage.bytesource import BytesSource
from tokar.trust import recipients as trusted
from tokar.trust.recipients import Identities, Recipients

if TYPE_CHECKING:
    from pathlib import Path

FILES = {
    "large.log": os.urandom(CHUNK + 5) + bytes(CHUNK),
    "empty.log": b"",
    "zeros.log": bytes(700),
    "text.log": b"the same words " * 900,
}


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity(tmp_path_factory.mktemp("mine"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_identity(tmp_path_factory.mktemp("theirs"))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, identity: Path) -> Path:
    return make_archive(tmp_path_factory.mktemp("archives") / "a.tokar", FILES, identity)


class Counting(BytesSource):
    """Counts what is read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.asked: list[int] = []

    def read(self, offset: int, size: int) -> bytes:
        self.asked.append(size)
        return super().read(offset, size)


def contents(path: Path, *identities: Path) -> dict[str, bytes]:
    with Archive(path, ring(*identities)) as opened:
        library.verify(opened, content=True).demand()
        return {entry.name: opened.read(entry) for entry in opened}


@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_content_comes_back_to_who_has_the_identity(tmp_path: Path, identity: Path, compress: str) -> None:
    assert contents(make_archive(tmp_path / "a.tokar", FILES, identity, compress=compress), identity) == FILES


def test_ranges_are_read_alone_and_proven(archive: Path, identity: Path) -> None:
    with Archive(archive, ring(identity)) as opened:
        entry = opened.find("large.log")
        for start, stop in ((0, 1), (CHUNK - 1, CHUNK + 1), (CHUNK + 4, CHUNK + 6), (2 * CHUNK, 3 * CHUNK)):
            assert opened.read(entry, start, stop) == FILES["large.log"][start:stop]


def test_a_range_costs_its_chunks_and_no_others(archive: Path, identity: Path) -> None:
    source = Counting(archive.read_bytes())
    with Archive(source, ring(identity)) as opened:
        source.asked.clear()
        opened.read(opened.find("large.log"), 2 * CHUNK, 2 * CHUNK + 5)
        assert sum(source.asked) < CHUNK // 4  # the index, DONE, and a chunk of five zeros


def test_an_ssh_key_opens_what_is_for_it(tmp_path: Path) -> None:
    key = make_key(tmp_path, "id_ed25519")
    assert contents(make_archive(tmp_path / "a.tokar", FILES, key), key) == FILES


test_an_ssh_key_opens_what_is_for_it = needs_ssh_keygen(test_an_ssh_key_opens_what_is_for_it)


def test_each_of_several_recipients_opens_an_archive(tmp_path: Path, identity: Path, stranger: Path) -> None:
    made = make_archive(tmp_path / "a.tokar", FILES, identity, stranger)
    assert contents(made, identity) == contents(made, stranger) == FILES


@pytest.mark.usefixtures("easy_work")
def test_a_passphrase_opens_what_was_made_with_it(tmp_path: Path) -> None:
    asked: list[str] = []

    def ask() -> str:
        asked.append("")
        return "correct horse"

    with library.create(
        tmp_path / "a.tokar", profile="ese", recipients=Recipients(passphrase=lambda: "correct horse")
    ) as writer:
        writer.add(0x21, "a.log", io.BytesIO(b"content"))
    keyring = Identities(passphrase=ask)
    for _ in range(2):
        with Archive(tmp_path / "a.tokar", keyring) as opened:
            assert opened.read(opened.entry(0)) == b"content"
    assert len(asked) == 1
    with pytest.raises(LockedError):
        Archive(tmp_path / "a.tokar", Identities(passphrase=lambda: "battery staple"))


def test_nobody_is_asked_for_a_passphrase_that_opens_nothing(archive: Path, identity: Path) -> None:
    def ask() -> str:
        raise AssertionError

    Archive(archive, Identities([identity], passphrase=ask)).close()
    with pytest.raises(LockedError):
        Archive(archive, Identities(passphrase=ask))


def test_another_identity_is_refused_at_the_door(archive: Path, stranger: Path) -> None:
    with pytest.raises(LockedError, match="no identity that was given") as caught:
        Archive(archive, ring(stranger))
    assert caught.value.exit_code == 11
    assert str(caught.value.path) == str(archive)


def test_an_identity_does_not_hinder_an_archive_that_anyone_can_read(tmp_path: Path, identity: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add(0x21, "a.log", io.BytesIO(b"content"))
    with Archive(tmp_path / "a.tokar", ring(identity)) as opened:
        assert not opened.is_locked
        assert opened.read(opened.entry(0)) == b"content"


def test_the_key_of_another_archive_is_refused(archive: Path, tmp_path: Path, identity: Path) -> None:
    other = make_archive(tmp_path / "b.tokar", {"b.log": b"x"}, identity)
    with Archive(other, ring(identity)) as opened, Archive(archive) as mine:
        assert opened.key is not None
        with pytest.raises(LockedError, match="another key"):
            mine.use_key(opened.key)
        assert mine.is_locked


def test_a_writer_that_holds_no_key_adds_nothing_to_an_encrypted_archive(archive: Path, tmp_path: Path) -> None:
    with Archive(archive) as opened:
        writer = library.ArchiveWriter(library.FileSink(tmp_path / "b.tokar"), opened.head)
    with pytest.raises(InputError, match="its key is not here"):
        writer.add(0x21, "b.log", io.BytesIO(b"x"))
    writer.discard()


# --- recipients and identities that are none --------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "age1", "age1qqqq", "ssh-ed25519 AAAA", "ssh-dss AAAA me", "alice@example.com"])
def test_what_is_no_recipient_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a recipient") as caught:
        Recipients([text])
    assert "age1" in str(caught.value.hint)


def test_a_secret_that_is_given_as_a_recipient_is_not_repeated(identity: Path) -> None:
    secret = identity.read_text().splitlines()[-1]
    for text in (secret, secret.lower(), "-----BEGIN OPENSSH PRIVATE KEY-----"):
        with pytest.raises(InputError, match="keep it secret") as caught:
            Recipients([text])
        assert text[20:] not in str(caught.value)


def test_nobody_is_no_recipient(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipient"):
        Recipients()
    (tmp_path / "empty").write_text("# nobody\n\n")
    with pytest.raises(InputError, match="no recipient in the file"):
        Recipients.lines(tmp_path / "empty")


def test_more_recipients_than_an_archive_has_room_for_are_refused(identity: Path) -> None:
    (line,) = Recipients.lines(f"{identity}.pub")
    with pytest.raises(InputError, match="501 recipients are too many"):
        Recipients([line] * 501)


@pytest.mark.torture
def test_as_many_recipients_as_are_taken_have_room(tmp_path: Path, identity: Path) -> None:
    (line,) = Recipients.lines(f"{identity}.pub")
    with library.create(tmp_path / "a.tokar", profile="ese", recipients=Recipients([line] * 500)):
        pass
    Archive(tmp_path / "a.tokar", ring(identity)).close()


@pytest.mark.parametrize("data", [b"", b"# none\n", b"age1nothing\n", b"\xff\xfe", b"x" * ((1 << 20) + 1)])
def test_a_file_without_an_identity_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "identity").write_bytes(data)
    with pytest.raises(InputError) as caught:
        Identities([tmp_path / "identity"])
    assert str(tmp_path) in str(caught.value)


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Identities([tmp_path / "nothing"])


def test_files_as_windows_saves_them_are_read(tmp_path: Path, archive: Path, identity: Path) -> None:
    for name in ("identity", "identity.pub"):
        text = (identity.parent / name).read_text()
        (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert contents(archive, tmp_path / "identity") == FILES
    make_archive(tmp_path / "a.tokar", {}, tmp_path / "identity")
    (tmp_path / "wide").write_bytes(identity.read_text().encode("utf-16"))
    with pytest.raises(InputError, match="no text of recipients or identities") as caught:
        Identities([tmp_path / "wide"])
    assert caught.value.hint == "save it as UTF-8"


def test_a_secret_that_is_given_as_a_file_is_not_repeated(identity: Path) -> None:
    secret = identity.read_text().splitlines()[-1]
    for read in (Recipients.lines, lambda path: Identities([path])):
        with pytest.raises(InputError, match="not the name of a file: keep it secret") as caught:
            read(secret)
        assert secret[20:] not in str(caught.value)


def test_a_passphrase_that_takes_more_memory_than_there_is_opens_nothing_and_hinders_nobody(
    tmp_path: Path, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_archive(tmp_path / "a.tokar", {"a.log": b"x"}, identity)
    with Archive(made) as opened:
        root = opened.root
    slow = b"age-encryption.org/v1\n-> scrypt AAAA 22\n\n--- " + b"A" * 43 + b"\n"
    append_records(made, [TrailingRecord(records.KEYS, slow)], root=root)

    def short(_data: bytes, _words: str) -> bytes:
        raise MemoryError

    monkeypatch.setattr(trusted, "open_with_passphrase", short)
    with pytest.raises(LockedError, match="too little memory"):
        Archive(made, Identities(passphrase=lambda: "words"))
    Archive(made, Identities([identity], passphrase=lambda: "words")).close()


@needs_ssh_keygen
def test_an_ssh_key_behind_a_passphrase_is_refused_with_a_reason(tmp_path: Path) -> None:
    key = make_key(tmp_path, "locked", "words")
    with pytest.raises(InputError, match="must be decrypted first"):
        Identities([key])


def test_what_a_passphrase_is_tried_on_is_bounded(
    tmp_path: Path, identity: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make_archive(tmp_path / "a.tokar", {"a.log": b"x"}, identity)
    with Archive(made) as opened:
        root = opened.root
    slow = b"age-encryption.org/v1\n-> scrypt AAAA 22\n\n--- " + b"A" * 43 + b"\n"
    append_records(made, [TrailingRecord(records.KEYS, slow)] * 16, root=root)
    tried: list[bytes] = []
    monkeypatch.setattr(trusted, "open_with_passphrase", lambda data, _words: tried.append(data))
    with pytest.raises(LockedError):
        Archive(made, Identities(passphrase=lambda: "words"))
    assert len(tried) == 4


def test_a_file_that_is_not_there_is_named_for_what_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the identities: No such file") as caught:
        Identities([tmp_path / "nothing"])
    assert "age-keygen" in str(caught.value.hint)
    with pytest.raises(StorageError, match="cannot read the recipients: No such file") as caught:
        Recipients.lines(tmp_path / "nothing")
    assert caught.value.path == tmp_path / "nothing"
