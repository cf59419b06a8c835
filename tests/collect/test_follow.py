"""Pages are followed through the logs when both are archived, and what that finds is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done
from recovery_sets import write
from replay_sets import after

from tokar.collect import follow
from tokar.format.archive import Archive
from tokar.sets.recorded import RecordedFacts

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


def test_nothing_is_followed_where_there_are_too_many_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follow, "MOST_LOGS", 4096)
    assert kept(lying(tmp_path / "in")) is None


@pytest.mark.parametrize("what", ["written", "gone"])
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
