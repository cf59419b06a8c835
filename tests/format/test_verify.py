from __future__ import annotations

from typing import Any

import pytest
from format_tools import CHUNK, ZEROS, Forge, begun, opened, pattern, written

from tokar.errors import CheckMismatchError, DigestMismatchError, FormatError, StorageError
from tokar.format.archive import Archive
from tokar.format.entry_reader import EntryReader
from tokar.format.index import Entry
from tokar.format.metadata import Head
from tokar.format.verify import VerifyReport, verify
from tokar.storage.bytesource import BytesSource

LARGE = pattern(80 * CHUNK)  # beyond the size from which a file is checked in parts
FILES = [
    (0x44, b"large", LARGE),
    (0x21, b"small", b"tokar\n" * 100),
    (0x21, b"empty", b""),
    (0x21, b"zeros", bytes(CHUNK + 1)),
]


def faults_of(data: bytes, *, content: bool = True, threads: int = 2) -> list[tuple[str | None, int | None]]:
    report = verify(opened(data), content=content, threads=threads)
    return [
        (fault.error.rule if isinstance(fault.error, FormatError) else None, fault.entry and fault.entry.number)
        for fault in report.faults
    ]


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("level", [None, 1])
def test_a_good_archive_has_no_fault(threads: int, level: int | None, *, content: bool) -> None:
    data = written(*FILES, level=level)
    report = verify(opened(data), content=content, threads=threads)
    report.demand()
    assert (report.entries, report.fault_count, report.content_decoded) == (4, 0, content)


@pytest.mark.parametrize("content", [False, True])
def test_every_byte_is_accounted_for(*, content: bool) -> None:
    data = written(*FILES)
    seen: list[int] = []
    report = verify(opened(data), content=content, threads=2, progress=seen.append)
    assert report.bytes_checked == sum(seen) == len(data)


def test_every_byte_is_accounted_for_with_records_everywhere() -> None:
    archive = (
        begun()
        .proc()
        .entry(name=b"1")
        .lower_case()
        .entry(name=b"2")
        .end()
        .page()
        .root()
        .lower_case(kind=b"sign")
        .finish()
    )
    report = verify(opened(archive), threads=1)
    assert report.bytes_checked == len(archive.data)


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("chunk", [0, 41, 79])
def test_damage_in_a_large_file_is_found_wherever_it_is(chunk: int, *, content: bool) -> None:
    data = bytearray(written(*FILES))
    archive = opened(bytes(data))
    data[archive.records(archive.entry(0)).data_positions[chunk] + 90] ^= 1
    assert faults_of(bytes(data), content=content) == [("REC-8", 0)]


def test_every_damaged_entry_is_named() -> None:
    archive = begun()
    for number in range(6):
        archive.entry(name=b"%d" % number)
    archive.finish()
    for number in (1, 3, 4):
        archive.flip(b"DATA", 82, number=number)
    assert faults_of(bytes(archive.data)) == [("REC-8", 1), ("REC-8", 3), ("REC-8", 4)]


def test_faults_come_in_the_order_of_the_archive() -> None:
    archive = begun().proc().entry(name=b"1").entry(name=b"2").lower_case().finish()
    archive.flip(b"note", 70).flip(b"DONE", 70, number=0)
    report = verify(opened(archive), threads=4)
    offsets = [fault.error.offset or 0 for fault in report.faults]
    assert offsets == sorted(offsets)
    assert len(offsets) == 2


def test_the_first_fault_is_raised_on_demand() -> None:
    report = verify(opened(begun().entry().finish().flip(b"DATA", 82)), threads=1)
    with pytest.raises(CheckMismatchError):
        report.demand()


def test_a_report_without_faults_raises_nothing() -> None:
    VerifyReport(content_decoded=False).demand()


@pytest.mark.parametrize("kind", [b"PROC", b"note"])
def test_records_outside_entries_are_checked(kind: bytes) -> None:
    archive = begun().proc().entry().lower_case().finish().flip(kind, 70)
    assert faults_of(bytes(archive.data)) == [("REC-8", None)]


def test_a_wrong_digest_is_found_only_with_content() -> None:
    data = bytes(begun().file().chunk().done(digest=bytes(32)).finish().data)
    assert faults_of(data, content=True) == [("DONE-5", 0)]
    assert faults_of(data, content=False) == []


def test_a_wrong_digest_of_a_large_file_is_found() -> None:
    archive = begun().file(chunk_log2=20)
    for _ in range(5):
        archive.chunk(pattern(1 << 20))
    with pytest.raises(DigestMismatchError):
        verify(opened(archive.done(digest=bytes(32)).finish()), content=True, threads=2).demand()


def test_a_large_file_of_zeros_in_the_largest_chunks_is_checked() -> None:
    archive = begun().file(chunk_log2=24).chunk(bytes(1 << 24), codec=ZEROS).chunk(bytes(5), codec=ZEROS).finish()
    verify(opened(archive), content=True, threads=1).demand()


def test_duplicates_are_found() -> None:
    assert faults_of(bytes(begun().entry(b"1").entry(b"2").finish().data)) == [("FILE-5", None)]


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("size", [6, 5 << 16, 80 << 16])
def test_a_damaged_file_record_is_found_though_nobody_needs_it(size: int, *, content: bool) -> None:
    data = bytearray(written((0x44, b"x.edb", pattern(size)), level=None))
    data[opened(bytes(data)).entry(0).file_position + 70] ^= 1
    assert faults_of(bytes(data), content=content) == [("REC-8", 0)]


def test_a_damaged_first_head_is_found_though_nobody_needs_it() -> None:
    assert faults_of(bytes(begun().entry().finish().flip(b"HEAD", 70).data)) == [("REC-8", None)]


def test_a_first_head_that_is_not_the_second_is_found() -> None:
    body = Head("2026-01-02T03:04:05.000007Z", "full", "ese", "tokar fixtures").build()
    assert faults_of(bytes(begun().entry().summ().copy(body).finish().data)) == [("HEAD-3", None)]


def test_an_index_that_cannot_be_read_ends_the_check() -> None:
    with pytest.raises(FormatError) as caught:
        verify(opened(begun().entry().finish().flip(b"INDX", 70)))
    assert caught.value.rule == "REC-8"


def test_no_more_than_a_thousand_faults_are_kept_and_all_are_counted() -> None:
    archive = begun()
    for number in range(1100):
        archive.entry(name=b"%d" % number)
    archive.finish()
    for start in archive.starts[b"DATA"]:
        archive.data[start + 82] ^= 1
    report = verify(opened(archive), threads=2)
    assert (len(report.faults), report.fault_count, report.entries) == (1000, 1100, 1100)


class Failing:
    """Storage that gives up somewhere."""

    def __init__(self, data: bytes, bad: range) -> None:
        self._source = BytesSource(data)
        self._bad = bad
        self.size = len(data)

    def read(self, offset: int, size: int) -> bytes:
        if offset < self._bad.stop and self._bad.start < offset + size:
            raise StorageError("cannot read: Input/output error", offset=offset)
        return self._source.read(offset, size)


def test_storage_that_fails_is_a_fault_of_the_entry() -> None:
    data = written(*FILES)
    archive = opened(data)
    at = archive.records(archive.entry(0)).data_positions[40]
    report = verify(Archive(Failing(data, range(at, at + 100))), content=True, threads=2)
    assert [(type(fault.error), fault.entry and fault.entry.number) for fault in report.faults] == [(StorageError, 0)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("records", False),
        ("records", True),
        ("demand_chunk", False),
        ("data_of", True),
        ("chunks", True),
        ("small", True),
    ],
)
def test_what_nobody_expected_is_never_taken_for_good(
    name: str, monkeypatch: pytest.MonkeyPatch, *, content: bool
) -> None:
    def fall_over(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    archive = opened(written((0x44, b"large", LARGE), (0x21, b"two chunks", pattern(CHUNK + 9))))
    monkeypatch.setattr(EntryReader, name, fall_over)
    with pytest.raises(ZeroDivisionError):
        verify(archive, content=content, threads=2)


def test_a_callback_that_fails_ends_the_check() -> None:
    def refuse(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        verify(opened(Forge().head().entry().finish()), threads=1, progress=refuse)


class Watched:
    """Keeps what a watcher gets of each entry, and which of them came to a good end."""

    def __init__(self) -> None:
        self.content: dict[int, bytearray] = {}
        self.done: list[int] = []

    def __call__(self, entry: Entry) -> Watched.One | None:
        return None if entry.name == "empty" else Watched.One(self, entry.number)

    class One:
        def __init__(self, all_of_them: Watched, number: int) -> None:
            self._all, self._number = all_of_them, number
            self._all.content[number] = bytearray()

        def __call__(self, content: memoryview) -> None:
            self._all.content[self._number] += content

        def finish(self) -> None:
            self._all.done.append(self._number)


@pytest.mark.parametrize("level", [None, 1])
def test_a_watcher_gets_all_content_of_what_it_wants_in_order(level: int | None) -> None:
    watched = Watched()
    verify(opened(written(*FILES, level=level)), content=True, threads=2, watch=watched).demand()
    assert watched.content == {number: content for number, (_, _, content) in enumerate(FILES) if content}
    assert sorted(watched.done) == [0, 1, 3]


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_watcher_of_a_damaged_entry_is_not_told_that_it_is_good(number: int) -> None:
    data = bytearray(written(*FILES))
    archive = opened(bytes(data))
    data[archive.records(archive.entry(number)).data_positions[-2] + 90] ^= 1
    watched = Watched()
    assert verify(opened(bytes(data)), content=True, threads=2, watch=watched).fault_count == 1
    assert sorted(watched.done) == sorted({0, 1, 3} - {number})


def test_nobody_watches_where_content_is_not_decoded() -> None:
    watched = Watched()
    verify(opened(written(*FILES)), threads=2, watch=watched).demand()
    assert not watched.content


def test_a_watcher_that_fails_ends_the_check() -> None:
    def refuse(_: Entry) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        verify(opened(written(*FILES)), content=True, threads=2, watch=refuse)
