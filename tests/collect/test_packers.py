"""Several processes make the archive that one makes, and meet the errors that one meets."""

from __future__ import annotations

import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from encrypted import make_identity, recipients, ring
from small_sets import checkpoint, write

from tokar.collect import packers
from tokar.collect.collect import CollectRequest, collect, gather
from tokar.collect.examine import Findings
from tokar.collect.found import Rest
from tokar.errors import ArchiveError, InputError, SourceChangedError, StorageError
from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.compression import Compression
from tokar.format.small_run import Run
from tokar.format.verify import verify
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tokar.collect.collect import Collection
    from tokar.collect.found import OtherFile

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")
FILES = {
    f"{number % 3}/{number:03d}.bin": bytes([number]) * (number * 7 % 90) if number % 5 else bytes(number)
    for number in range(61)
}


def children() -> set[str]:
    """Return the processes that this one has: those of other tests too, and those that nobody waited for."""
    return {child for task in Path("/proc/self/task").glob("*/children") for child in task.read_text().split()}


@pytest.fixture(autouse=True)
def _no_copy_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest.fixture(autouse=True)
def _short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packers, "_MANY", 2)
    monkeypatch.setattr(packers, "_LONGEST", 4)


def folder(tmp_path: Path, files: Mapping[str, bytes] = FILES) -> Path:
    return write(tmp_path / "in", {**files})


def archived(collection: Collection, out: Path, processes: int, level: int | None = None) -> tuple[bytes, int]:
    """Return the archive, and the sum of the progress that was told."""
    steps: list[int] = []
    collect(
        collection,
        FileSink(out),
        compression=Compression(level),
        clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
        processes=processes,
        progress=steps.append,
        findings=Findings(),
    )
    return out.read_bytes(), sum(steps)


def gathered(*paths: Path) -> Collection:
    return gather(CollectRequest(paths=[str(path) for path in paths], take_all=True, archive_id=bytes(16)))


def demand_alike(collection: Collection, tmp_path: Path, level: int | None = None) -> None:
    alone, together = (archived(collection, tmp_path / str(count), count, level) for count in (1, 3))
    assert together == alone


def error_of(collection: Collection, out: Path, processes: int) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        archived(collection, out, processes)
    assert not list(out.parent.glob(f"*{out.name}*"))
    return caught.value


def demand_same_error(collection: Collection, tmp_path: Path) -> ArchiveError:
    alone, together = (error_of(collection, tmp_path / f"archive{count}", count) for count in (1, 3))
    assert (type(together), str(together), together.hint) == (type(alone), str(alone), alone.hint)
    return together


@pytest.mark.parametrize("level", [None, 1])
def test_several_processes_write_the_same_bytes(tmp_path: Path, level: int | None) -> None:
    demand_alike(gathered(folder(tmp_path)), tmp_path, level)


def test_what_several_processes_encrypt_is_opened_with_every_digest(tmp_path: Path) -> None:
    identity = make_identity(tmp_path)
    request = CollectRequest(paths=[str(folder(tmp_path))], take_all=True, recipients=recipients(identity))
    out = tmp_path / "a.tokar"
    collect(gather(request), FileSink(out), processes=3, findings=Findings())
    with Archive(out, ring(identity)) as archive:
        verify(archive, content=True).demand()
        assert {entry.name: archive.read(entry) for entry in archive.entries} == FILES


def test_what_is_not_for_a_copy_is_done_in_its_place(tmp_path: Path) -> None:
    odd = {"0/00x.bin": os.urandom(100_000), "1/00x.bin": checkpoint(), "2/00x.bin": b"", "2/00y.bin": bytes(70_000)}
    demand_alike(gathered(folder(tmp_path, {**FILES, **odd})), tmp_path)


def test_a_run_that_does_not_belong_on_the_page_is_added_file_by_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 7)
    demand_alike(gathered(folder(tmp_path)), tmp_path)


def test_a_list_or_a_run_without_room_is_added_file_by_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packers, "_LIST_ROOM", 210 + 4 * len(str(tmp_path)))
    monkeypatch.setattr(packers, "_ROOM", 2200)
    demand_alike(gathered(folder(tmp_path)), tmp_path)


def test_few_files_are_left_to_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packers, "_MANY", 100)
    monkeypatch.setattr(packers, "Packers", None)
    demand_alike(gathered(folder(tmp_path)), tmp_path)


def test_a_system_that_refuses_copies_gets_the_same_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError

    monkeypatch.setattr(os, "fork", refuse)
    demand_alike(gathered(folder(tmp_path)), tmp_path)


@pytest.mark.parametrize("run", [0, 3, 9])
@pytest.mark.parametrize("step", ["_read", "pack"])
def test_what_a_copy_leaves_that_dies_is_done_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int, step: str
) -> None:
    owner, name = (packers.Packers, "_read") if step == "_read" else (Run, "pack")
    work, counted = getattr(owner, name), [0]

    def deadly(*arguments: object) -> object:
        counted[0] += 1
        if counted[0] == run // 3 + 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return work(*arguments)

    monkeypatch.setattr(owner, name, deadly)
    demand_alike(gathered(folder(tmp_path)), tmp_path)


def to_link(path: Path) -> None:
    path.rename(path.parent.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent.parent / "elsewhere")


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def away(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [to_link, to_fifo, away])
def test_a_file_that_cannot_be_taken_is_the_same_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    collection = gathered(folder(tmp_path))
    listed = [*collection.gathered.rest.walk()]

    def walk(_: object) -> Iterator[OtherFile]:
        for one in listed:
            if one.name == "1/040.bin" and (path := tmp_path / "in" / one.name).is_file() and not path.is_symlink():
                change(path)
            yield one

    monkeypatch.setattr(Rest, "walk", walk)
    assert demand_same_error(collection, tmp_path).path == str(tmp_path / "in" / "1" / "040.bin")


def test_a_file_that_grows_while_a_copy_reads_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection, read, grown = gathered(folder(tmp_path)), os.read, tmp_path / "in" / "1" / "022.bin"

    def reading(descriptor: int, size: int) -> bytes:
        data = read(descriptor, size)
        if size == 22 * 7 % 90 + 1 and data == bytes([22]) * (size - 1):
            with grown.open("ab") as file:
                file.write(b"x")
        return data

    monkeypatch.setattr(os, "read", reading)
    assert isinstance(error_of(collection, tmp_path / "a", 3), SourceChangedError | StorageError)


def test_files_that_came_meanwhile_are_noticed(tmp_path: Path) -> None:
    collection = gathered(folder(tmp_path))
    (tmp_path / "in" / "1" / "new.bin").write_bytes(b"x")
    assert isinstance(demand_same_error(collection, tmp_path), SourceChangedError)


def test_two_files_that_would_be_one_entry_are_the_same_error(tmp_path: Path) -> None:
    write(tmp_path / "other", {"a": b"1", "1/022.bin": b"x"})
    error = demand_same_error(gathered(folder(tmp_path), tmp_path / "other"), tmp_path)
    assert isinstance(error, InputError)
    assert error.path == str(tmp_path / "other" / "1" / "022.bin")


def test_a_folder_that_cannot_be_listed_is_an_error_after_all_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection, scan = gathered(folder(tmp_path)), os.scandir

    def refusing(path: Path | str) -> object:
        if str(path).endswith("/2"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    assert isinstance(demand_same_error(collection, tmp_path), StorageError)


def test_a_disk_that_is_full_ends_the_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("cannot write: No space left on device")

    monkeypatch.setattr(FileSink, "write", refuse)
    demand_same_error(gathered(folder(tmp_path)), tmp_path)


def test_an_interrupt_ends_the_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(packers.Packers, "_finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        archived(gathered(folder(tmp_path)), tmp_path / "a", 3)
    assert not list(tmp_path.glob("*a*"))
