from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from recovery_sets import DATABASE, archive, checkpoint, dirty, logs

import tokar
from tokar.ese.inspect import inspect_file
from tokar.format.verify import verify
from tokar.sets import seen
from tokar.sets.read import facts_of_archive
from tokar.sets.seen import SeenFiles

if TYPE_CHECKING:
    from pathlib import Path

FILES = {DATABASE: bytes(dirty(5, 7)), **logs(5, 8), "edb.chk": checkpoint(5), "edb00009.log": bytes(1 << 17)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return archive(tmp_path / "set.tokar", FILES).path


def test_what_is_seen_while_verifying_is_what_reading_says(path: Path) -> None:
    with tokar.open(path) as opened:
        files = SeenFiles(opened.head.profile)
        verify(opened, content=True, watch=files.watch).demand()
        found = {entry.name: files.take(entry.number) for entry in opened}
        said = {entry.name: inspect_file(opened.entry_source(entry), examine=True) for entry in opened}
    assert found.pop("edb00009.log") is None  # a reserve log or one that was never written: only another look can tell
    assert found == {name: one for name, one in said.items() if name in found}


def test_facts_are_the_same_whoever_read_the_files(path: Path) -> None:
    with tokar.open(path) as opened:
        files = SeenFiles(opened.head.profile)
        verify(opened, content=True, watch=files.watch)
        assert facts_of_archive(opened, examine=True, seen=files.take) == facts_of_archive(opened, examine=True)


def test_beyond_some_files_nothing_is_kept(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST_SEEN", 2)
    with tokar.open(path) as opened:
        files = SeenFiles(opened.head.profile)
        verify(opened, content=True, threads=1, watch=files.watch)
        assert sum(files.take(number) is not None for number in range(len(opened))) == 2


def test_of_much_at_once_the_rest_is_left_for_another_look(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seen, "_MOST_AT_ONCE", 1)
    with tokar.open(path) as opened:
        files, (first, second, *_) = SeenFiles(opened.head.profile), opened.entries
        watcher = files.watch(first)
        assert watcher is not None
        assert files.watch(second) is None
        watcher(memoryview(opened.read(first)))
        watcher.finish()
        assert files.watch(second) is not None


def test_of_a_damaged_file_nothing_is_kept(path: Path) -> None:
    with tokar.open(path) as opened:
        at = opened.records(opened.find(DATABASE)).data_positions[0] + 5000
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with tokar.open(path) as opened:
        files = SeenFiles(opened.head.profile)
        assert verify(opened, content=True, watch=files.watch).fault_count == 1
        assert files.take(opened.find(DATABASE).number) is None
