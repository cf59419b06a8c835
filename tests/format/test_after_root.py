from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from disk_faults import WindowsMoves
from format_tools import from_the_front, opened, pattern, written

from tokar.errors import FormatError, IntegrityError, StorageError
from tokar.format import after_root
from tokar.format.after_root import append_records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.verify import verify
from tokar.storage import durable, sink
from tokar.storage.bytesource import FileSource
from tokar.storage.sink import temporary_files

WHOLE = written((0x21, b"1.log", pattern(100_000)), (0x44, b"2.edb", b"content"))
ROOT = opened(WHOLE).root
ONE, OTHER = TrailingRecord(b"sign", b"one"), TrailingRecord(b"keys", b"other")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive."""
    (tmp_path / "a.tokar").write_bytes(WHOLE)
    return tmp_path / "a.tokar"


def after(path: Path) -> list[TrailingRecord]:
    """What stands after ROOT, once all of it was proven."""
    with Archive(path) as archive:
        verify(archive, content=True).demand()
        assert archive.root == ROOT
        return archive.trailing


def demand_untouched(path: Path) -> None:
    assert path.read_bytes() == WHOLE
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_records_are_put_after_the_root_behind_those_that_are_there(path: Path) -> None:
    append_records(path, [ONE], root=ROOT)
    append_records(path, [OTHER, ONE], root=ROOT)
    assert after(path) == [ONE, OTHER, ONE]
    assert from_the_front(path.read_bytes()).answer == "sealed"
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_it_keeps_its_permissions_and_a_link_stays_a_link(path: Path) -> None:
    path.chmod(0o640)
    link = path.with_name("link")
    link.symlink_to(path)
    append_records(link, [ONE], root=ROOT)
    assert link.is_symlink()
    assert after(path) == [ONE]
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_where_content_cannot_be_shared_it_is_copied(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "_share_content", lambda *_: False)
    append_records(path, [ONE], root=ROOT)
    assert after(path) == [ONE]


def test_what_is_shared_is_cut_before_the_end(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def share(source: int, target: int) -> bool:
        os.pwrite(target, os.pread(source, 1 << 20, 0), 0)
        return True

    monkeypatch.setattr(sink, "_share_content", share)
    append_records(path, [TrailingRecord(b"sign", b"")], root=ROOT)
    assert after(path) == [TrailingRecord(b"sign", b"")]


def test_another_archive_is_refused(path: Path) -> None:
    with pytest.raises(IntegrityError, match="another archive"):
        append_records(path, [ONE], root=bytes(32))
    demand_untouched(path)


@pytest.mark.parametrize(
    ("added", "rule"),
    [([ONE] * 17, "LOW-1"), ([TrailingRecord(b"sign", bytes(65_537))], "REC-7")],
    ids=["too many", "too large"],
)
def test_what_may_not_stand_there_is_refused(path: Path, added: list[TrailingRecord], rule: str) -> None:
    with pytest.raises(FormatError) as caught:
        append_records(path, added, root=ROOT)
    assert (caught.value.rule, caught.value.path) == (rule, path)
    demand_untouched(path)


def test_one_more_than_sixteen_is_refused_also_one_at_a_time(path: Path) -> None:
    append_records(path, [ONE] * 16, root=ROOT)
    with pytest.raises(FormatError, match="too many"):
        append_records(path, [ONE], root=ROOT)
    assert after(path) == [ONE] * 16


def test_a_damaged_archive_is_not_rewritten(path: Path) -> None:
    data = bytearray(WHOLE)
    data[len(data) // 4] ^= 1
    path.write_bytes(data)
    with pytest.raises(FormatError, match="check"):
        append_records(path, [ONE], root=ROOT)
    assert path.read_bytes() == data


def test_a_copy_that_comes_back_otherwise_never_takes_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoiled(self: sink.FileSink, _: FileSource, size: int) -> None:
        self.write([WHOLE[:500], bytes(8), WHOLE[508:size]])

    monkeypatch.setattr(sink.FileSink, "take_over", spoiled)
    with pytest.raises(FormatError):
        append_records(path, [ONE], root=ROOT)
    demand_untouched(path)


def test_records_that_come_back_otherwise_never_take_the_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = after_root._tail

    monkeypatch.setattr(after_root, "_tail", lambda archive, _: other(archive, [OTHER]))
    with pytest.raises(IntegrityError, match="came back"):
        append_records(path, [ONE], root=ROOT)
    demand_untouched(path)


def test_an_archive_that_somebody_else_is_changing_is_left_to_them(path: Path) -> None:
    with FileSource(path) as source:
        assert durable.lock(source.fileno())
        with pytest.raises(StorageError, match="somebody else is changing"):
            append_records(path, [ONE], root=ROOT)
    demand_untouched(path)


def test_an_archive_that_was_replaced_meanwhile_is_not_replaced_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def replaced(self: sink.FileSink) -> None:
        new = path.with_name("new")
        new.write_bytes(b"another")
        new.replace(path)
        assert self.temporary.exists()

    monkeypatch.setattr(sink.FileSink, "sync", replaced)
    with pytest.raises(StorageError, match="in the meantime"):
        append_records(path, [ONE], root=ROOT)
    assert path.read_bytes() == b"another"
    assert temporary_files(path.parent) == []


def test_an_archive_that_vanished_meanwhile_is_not_made_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink.FileSink, "sync", lambda _: path.unlink())
    with pytest.raises(StorageError, match="find it again"):
        append_records(path, [ONE], root=ROOT)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("step", ["sync_descriptor", "replace"])
def test_a_disk_that_refuses_leaves_the_old_one(path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise StorageError("no")

    monkeypatch.setattr(durable, step, refuse)
    with pytest.raises(StorageError, match="no"):
        append_records(path, [ONE], root=ROOT)
    demand_untouched(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open"):
        append_records(tmp_path / "nothing", [ONE], root=ROOT)


def test_on_windows_the_new_archive_is_flushed_and_its_name_written_through(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = WindowsMoves(monkeypatch)
    append_records(path, [ONE], root=ROOT)
    assert after(path) == [ONE]
    assert moves.noted[-1] == (path.name, durable._WINDOWS_REPLACE | durable._WINDOWS_WRITE_THROUGH)
