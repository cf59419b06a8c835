"""While one file is written the next is proven, and whatever is wrong with it is met when it is come to."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from restore_helpers import Reader, entry, piece, plan_of, tree

from tokar.errors import IntegrityError, StorageError
from tokar.restore import ahead
from tokar.restore import stager as contents
from tokar.restore.place import place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry

PIECE = ahead._LEAST + 1
PATIENCE = 20  # seconds


def files_of(*sizes: int) -> list[Entry]:
    made = (entry(number, 0x21, f"edb{number:05x}.log", size=size) for number, size in enumerate(sizes))
    return [one._replace(chunk_log2=20) for one in made]


class Watched(Reader):
    """Says which entries were begun, and whether two threads were ever in it at once."""

    def __init__(self, wrong: int | None = None) -> None:
        super().__init__()
        self.begun = [threading.Event() for _ in range(10)]
        self.wrong = wrong
        self.busy = 0
        self.was_shared = False

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        self.busy += 1
        self.was_shared |= self.busy > 1
        self.begun[entry.number].set()
        if entry.number == self.wrong:
            raise IntegrityError(f"{entry.name} is wrong")
        content = self.expected(entry)
        for start in range(0, entry.size, 1 << 20):
            part = content[start : start + (1 << 20)]
            yield piece(len(part), part)
        self.busy -= 1


def test_the_next_file_is_proven_while_one_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, reader, original = files_of(PIECE, PIECE, PIECE), Watched(), contents._write
    written: list[bool] = []

    def write(descriptor: int, data: memoryview) -> None:
        written.append(reader.begun[min(len(written) + 1, 2)].wait(PATIENCE))
        original(descriptor, data)

    monkeypatch.setattr(contents, "_write", write)
    place(plan_of(files, into=str(tmp_path / "out")), reader)
    assert written == [True, True, True]
    assert tree(tmp_path / "out") == {f"edb{one.number:05x}.log": Reader.expected(one) for one in files}


@pytest.mark.parametrize(
    "sizes",
    [(PIECE, 0, PIECE, 10, PIECE, PIECE), (PIECE, (3 << 20) + 1, PIECE, PIECE, 2 << 20), (1 << 20, 1 << 20, 2 << 20)],
)
def test_one_thread_at_a_time_reads(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    files, reader = files_of(*sizes), Watched()
    place(plan_of(files, into=str(tmp_path / "out")), reader)
    assert not reader.was_shared
    assert tree(tmp_path / "out") == {f"edb{one.number:05x}.log": Reader.expected(one) for one in files}


@pytest.mark.parametrize("wrong", [0, 1, 2, 3])
def test_a_wrong_file_is_an_error_after_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: int
) -> None:
    written, original = [], contents._write

    def write(descriptor: int, data: memoryview) -> None:
        written.append(len(data))
        original(descriptor, data)

    monkeypatch.setattr(contents, "_write", write)
    with pytest.raises(IntegrityError, match=f"edb{wrong:05x}.log is wrong"):
        place(plan_of(files_of(PIECE, PIECE, PIECE, PIECE), into=str(tmp_path / "out")), Watched(wrong))
    assert written == [PIECE] * wrong
    assert list(tmp_path.iterdir()) == []
    assert not [one for one in threading.enumerate() if one.name.startswith("tokar-prove")]


def test_where_a_file_cannot_be_written_nobody_reads_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_descriptor: int, _data: memoryview) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(contents, "_write", write)
    with pytest.raises(StorageError, match="no space left"):
        place(plan_of(files_of(PIECE, PIECE, PIECE), into=str(tmp_path / "out")), Watched())
    assert list(tmp_path.iterdir()) == []
    assert not [one for one in threading.enumerate() if one.name.startswith("tokar-prove")]


@pytest.mark.parametrize("size", [ahead._LEAST, (1 << 20) + 1])
def test_nothing_is_read_ahead_of_small_files_and_of_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    seen: set[str] = set()
    original = contents._write

    def write(descriptor: int, data: memoryview) -> None:
        seen.update(one.name for one in threading.enumerate() if one.name.startswith("tokar-prove"))
        original(descriptor, data)

    monkeypatch.setattr(contents, "_write", write)
    place(plan_of(files_of(size, size), into=str(tmp_path / "out")), Watched())
    assert not seen
