from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from format_tools import CHUNK, ZEROS, ZSTD, Forge, begun, from_the_front, pattern, rle_block, written, zstd_frame

from tokar.errors import FormatError, UnsealedError
from tokar.format import records
from tokar.format.records import RecordHead
from tokar.format.scanner import ChunkRead, EntryBegun, EntryEnded, Phase, RecordRead, Scan, Scanner

if TYPE_CHECKING:
    from collections.abc import Callable


def scan(archive: Forge, *, decode: bool = True) -> Scan:
    return Scan(io.BytesIO(archive.data), decode=decode)


def rule_of(archive: Forge) -> tuple[str | None, int | None]:
    outcome = from_the_front(bytes(archive.data))
    return outcome.rule, outcome.position


def test_a_walk_tells_of_every_record() -> None:
    archive = begun().proc().entry().finish()
    events = [type(event) for event in scan(archive)]
    assert events == [
        RecordRead,
        RecordRead,
        EntryBegun,
        ChunkRead,
        EntryEnded,
        *[RecordRead] * 5,
    ]


def test_a_walk_knows_afterwards_what_it_has_read() -> None:
    archive = begun().entry().finish()
    walk = scan(archive)
    for _ in walk:
        pass
    assert walk.scanner is not None
    assert walk.scanner.phase is Phase.SEALED
    assert walk.scanner.root == archive.root_digest
    assert walk.scanner.head is not None
    assert walk.scanner.summary is not None
    assert walk.position == len(archive.data)


def test_a_walk_knows_how_far_it_came() -> None:
    archive = begun().entry().finish().flip(b"DONE", 70)
    walk = scan(archive)
    with pytest.raises(FormatError):
        list(walk)
    assert walk.position == archive.fault_position


def test_content_is_handed_out_chunk_by_chunk() -> None:
    frame = zstd_frame(CHUNK, rle_block(b"z", CHUNK))
    archive = (
        begun()
        .file()
        .chunk(b"z" * CHUNK, codec=ZSTD, stored=frame)
        .chunk(bytes(CHUNK), codec=ZEROS)
        .chunk(b"end")
        .finish()
    )
    chunks = [
        (event.size, event.content and bytes(event.content)) for event in scan(archive) if isinstance(event, ChunkRead)
    ]
    assert chunks == [(CHUNK, b"z" * CHUNK), (CHUNK, None), (3, b"end")]


def test_without_decoding_there_is_no_content() -> None:
    archive = begun().file().chunk(b"end").finish()
    assert [event.content for event in scan(archive, decode=False) if isinstance(event, ChunkRead)] == [None]


def test_without_decoding_a_wrong_digest_is_not_seen() -> None:
    archive = begun().file().chunk().done(digest=bytes(32)).finish()
    assert len(list(scan(archive, decode=False))) == 9
    with pytest.raises(FormatError, match="digest"):
        list(scan(archive))


def test_what_came_before_a_fault_was_handed_out() -> None:
    archive = begun().entry(name=b"1").entry(name=b"2").finish().flip(b"DATA", 85, number=1)
    outcome = from_the_front(bytes(archive.data))
    assert [entry["name_hex"] for entry in outcome.entries] == [b"1".hex()]


def test_an_archive_that_ends_says_in_which_record() -> None:
    with pytest.raises(UnsealedError, match="inside a DATA record"):
        list(scan(begun().entry().finish().cut(b"DATA", 70)))


def test_nothing_is_admitted_after_the_end() -> None:
    walk = scan(begun().finish())
    for _ in walk:
        pass
    assert walk.scanner is not None
    with pytest.raises(FormatError) as caught:
        walk.scanner.admit(RecordHead(b"TAIL", 48, 5000, bytes(32)))
    assert (caught.value.rule, caught.value.offset) == ("SEQ-2", 5000)


@pytest.mark.parametrize(
    "kind", [b"HEAD", b"FILE", b"DATA", b"DONE", b"PROC", b"INDX", b"SUMM", b"ROOT", b"TAIL", b"note"]
)
def test_only_head_is_admitted_at_the_start(kind: bytes) -> None:
    scanner = Scanner(bytes(Forge().data), decode=False)
    head = RecordHead(kind, 100, 32, bytes(32))
    if kind == records.HEAD:
        scanner.admit(head)
    else:
        with pytest.raises(FormatError) as caught:
            scanner.admit(head)
        assert caught.value.rule == "SEQ-1"


def test_a_record_that_is_admitted_and_never_accepted_changes_nothing() -> None:
    scanner = Scanner(bytes(Forge().data), decode=False)
    scanner.admit(RecordHead(b"HEAD", 100, 32, bytes(32)))
    assert scanner.phase is Phase.START
    assert scanner.ledger.rows == []


# --- limits, with smaller ones ----------------------------------------------------------------------------------------


def test_one_entry_too_many_is_refused_by_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().entry(name=b"1").entry(name=b"2").fault().entry(name=b"3").finish()
    assert rule_of(archive) == (None, None)
    monkeypatch.setattr(records, "MAX_ENTRIES", 2)
    assert rule_of(archive) == ("LIM-1", archive.fault_position)


def test_as_many_entries_as_are_allowed_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_ENTRIES", 2)
    assert rule_of(begun().entry(name=b"1").entry(name=b"2").finish()) == (None, None)


def test_one_chunk_too_many_is_refused_by_its_head(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = (
        begun().file().chunk(bytes(CHUNK), codec=ZEROS).chunk(bytes(CHUNK), codec=ZEROS).fault().chunk(b"x").finish()
    )
    monkeypatch.setattr(records, "MAX_CHUNKS", 2)
    assert rule_of(archive) == ("LIM-2", archive.fault_position)


def test_as_many_chunks_as_are_allowed_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_CHUNKS", 2)
    assert rule_of(begun().file().chunk(bytes(CHUNK), codec=ZEROS).chunk(b"x").finish()) == (None, None)


@pytest.mark.parametrize("allowed", [2, 3, 4, 5])
def test_one_record_outside_entries_too_many_is_refused(allowed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().proc().entry().lower_case().finish()
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", allowed)
    assert rule_of(archive) == ("LIM-3", archive.rows[allowed].position)


def test_as_many_records_outside_entries_as_are_allowed_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_OUTSIDE_RECORDS", 6)
    assert rule_of(begun().proc().entry().lower_case().end().page().root().lower_case(kind=b"sign").finish()) == (
        None,
        None,
    )


def test_an_archive_beyond_the_greatest_size_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().entry().finish()
    monkeypatch.setattr(records, "MAX_ARCHIVE_SIZE", archive.starts[b"DONE"][0])
    assert rule_of(archive) == ("LIM-4", archive.starts[b"DONE"][0])


@pytest.mark.parametrize("spoil", [Forge.proc, Forge.lower_case, Forge.entry, Forge.page, Forge.summ])
def test_only_head_stands_after_summ(spoil: Callable[[Forge], Forge]) -> None:
    archive = begun().entry(name=b"1").summ().fault()
    assert rule_of(spoil(archive).copy().finish()) == ("SEQ-1", archive.fault_position)


@pytest.mark.parametrize("spoil", [Forge.proc, Forge.lower_case, Forge.entry, Forge.summ, Forge.copy])
def test_only_pages_and_root_stand_after_the_second_head(spoil: Callable[[Forge], Forge]) -> None:
    archive = begun().entry(name=b"1").end().fault()
    assert rule_of(spoil(archive).page().finish()) == ("SEQ-1", archive.fault_position)


def test_a_page_in_the_middle_is_refused() -> None:
    archive = begun().entry(name=b"1").fault().page().entry(name=b"2").finish()
    assert rule_of(archive) == ("SEQ-1", archive.fault_position)


def test_a_page_that_is_missing_is_reported_at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_PAGE_ENTRIES", 1)
    archive = begun().entry(name=b"1").entry(name=b"2").end().page(1).fault().root().finish()
    assert rule_of(archive) == ("INDX-3", archive.fault_position)


def test_a_page_of_nothing_more_is_refused() -> None:
    archive = begun().entry(name=b"1").end().page().fault()
    archive._indexed = 0
    assert rule_of(archive.page().finish()) == ("INDX-3", archive.fault_position)


def test_memory_follows_one_record_and_not_the_archive() -> None:
    data = written((0x44, b"large", pattern(40 * CHUNK)))
    largest = 0

    class Watched(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            nonlocal largest
            largest = max(largest, size or 0)
            return super().read(size)

    for _ in Scan(Watched(data), decode=True):
        pass
    assert largest == CHUNK + 16
