"""Pages are followed through the logs when both are archived, and what that finds is kept."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from recovery_sets import write
from replay_pages import older, page_in, put_page
from replay_sets import after

from tokar.collect import follow
from tokar.errors import StorageError
from tokar.format.archive import Archive
from tokar.format.writer import ArchiveWriter
from tokar.replay.effects import changes_of
from tokar.sets.outcome import Word
from tokar.sets.recorded import RecordedFacts
from verbs import checked

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.facts import ChainFacts

pytestmark = [pytest.mark.samples, pytest.mark.usefixtures("samples")]
DATABASE = "SRUDB.dat"


def lying(folder: Path) -> Path:
    real = after()
    return write(folder, {path.name: path.read_bytes() for path in (real.database, *real.logs)})


def kept(folder: Path) -> ChainFacts | None:
    path = folder.with_suffix(".tokar")
    done("create", "-q", path, folder)
    with Archive(path) as archive:
        return RecordedFacts(archive).chain(archive.find(DATABASE).number)


def test_what_following_pages_found_is_kept_in_the_archive(tmp_path: Path) -> None:
    chain = kept(lying(tmp_path / "in"))
    assert chain is not None
    assert (chain.pages, chain.changes, chain.off, chain.off_count) == (54, 765, (), 0)


MAKERS = {"create": ("create", "-q"), "backup": ("backup", "-q", "--type", "copy")}


def made(folder: Path, maker: str) -> Path:
    """An archive of a folder, whatever the verb that makes it says of it."""
    verb, *options = MAKERS[maker]
    path = folder.with_suffix(".tokar")
    places = [str(path), str(folder)] if verb == "create" else [f"dir:{folder}", str(path)]
    tokar(verb, *options, *places)
    return path


@pytest.mark.parametrize("maker", MAKERS)
def test_a_lost_write_is_known_without_a_look_at_content(maker: str, tmp_path: Path) -> None:
    folder = lying(tmp_path / "in")
    page = [one.page for records in after().records() for _, record in records for one in changes_of(record)][-1]
    put_page(folder / DATABASE, page, older(page_in(folder / DATABASE, page), page))
    path = made(folder, maker)
    quick, full = checked(path), checked(path, "--content")
    assert quick.word == full.word == Word.NOT_RESTORABLE
    assert quick.causes == full.causes == [("pages-off-chain", -567)]


@pytest.mark.parametrize("maker", MAKERS)
def test_what_is_too_much_to_follow_is_not_proven_until_content_is_read(
    maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follow, "MOST_LOGS", 4096)
    path = made(lying(tmp_path / "in"), maker)
    quick = checked(path)
    assert (quick.word, quick.exit_code) == (Word.NOT_PROVEN, 0)
    assert quick.why == "SRUDB.dat: its pages were not followed through these logs (tokar check --content)"
    assert checked(path, "--content").word == Word.RESTORABLE


def test_what_cannot_be_read_back_is_not_followed_and_the_backup_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stored(*_: object) -> object:
        raise StorageError("cannot read")

    monkeypatch.setattr(ArchiveWriter, "stored", stored)
    folder = lying(tmp_path / "in")
    done("backup", "-q", "--type", "copy", f"dir:{folder}", tmp_path / "a.tokar")
    assert checked(tmp_path / "a.tokar").word == Word.NOT_PROVEN


@pytest.mark.parametrize("what", ["written", "gone", *(["a pipe"] if hasattr(os, "mkfifo") else [])])
def test_files_that_change_while_they_are_followed_prove_nothing(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lying(tmp_path / "in")
    real = follow.followed

    def followed(*args: object) -> object:
        found = real(*args)  # type: ignore[arg-type]
        path = folder / DATABASE
        data = path.read_bytes()
        path.unlink()
        if what == "written":
            path.write_bytes(data)
        elif what == "a pipe":
            os.mkfifo(path)
        return found

    monkeypatch.setattr(follow, "followed", followed)
    assert kept(folder) is None


def test_without_memory_to_follow_pages_the_archive_is_made_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def followed(*_: object) -> object:
        raise MemoryError

    monkeypatch.setattr(follow, "followed", followed)
    assert kept(lying(tmp_path / "in")) is None
