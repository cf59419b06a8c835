"""Facts from archives, folders and streams: the same whatever holds the files, and no content is an error."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loose_facts import facts_of_folder
from recovery_sets import (
    DATABASE,
    OTHER_STREAM,
    STREAM,
    TOKENS,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    moment,
    streaming,
    write,
)

import tokar
from tokar.errors import CheckMismatchError, StorageError
from tokar.ese.database import DatabaseHeader
from tokar.ese.flushmap import FlushMap
from tokar.ese.inspect import PassingFile
from tokar.sets import read
from tokar.sets.judge import judge_set
from tokar.sets.read import SetFile, SetReader, facts_of_archive
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.facts import FileFacts, SetFacts


def everything() -> dict[str, bytes]:
    return {
        DATABASE: bytes(streaming(5, 7)),
        **logs(5, 7),
        "main.pat": b"",
        "edb.chk": checkpoint(5),
        "main.jfm": FlushMap(signature=OTHER_STREAM).build() * 2,
        "notes.txt": b"nothing to do with it",
    }


def of_no_place(facts: SetFacts) -> SetFacts:
    """Return the facts that the same files give in a folder of their own: without numbers, digests and paths."""

    def bare(files: tuple[Any, ...]) -> tuple[Any, ...]:
        found = [replace(one, name=one.leaf, number=None, digest=None) for one in files]
        return tuple(sorted(found, key=lambda one: (one.name, one.size)))

    return replace(
        facts,
        source="",
        databases=bare(facts.databases),
        logs=bare(facts.logs),
        patches=bare(facts.patches),
        checkpoints=bare(facts.checkpoints),
        flush_maps=bare(facts.flush_maps),
    )


def passed_by(files: dict[str, bytes], *, step: int = 1 << 20) -> SetFacts:
    """Return the facts of files that go by in pieces."""
    reader = SetReader(examine=True)
    for name, data in files.items():
        token = TOKENS.get(name.rpartition(".")[2], 0x0F)
        file = SetFile(name=name, size=len(data), token=token, profile="ese")
        if reader.wants(file):
            passing = PassingFile(len(data))
            for start in range(0, len(data), step):
                piece = bytearray(data[start : start + step])
                passing(memoryview(piece))
                piece[:] = bytes(len(piece))  # whoever reads may use the buffer again
            reader.add(file, passing.finish())
    return reader.facts()


@pytest.mark.parametrize("examine", [False, True])
def test_an_archive_and_a_folder_give_the_same_facts(tmp_path: Path, examine: bool) -> None:
    made = archive(tmp_path / "set.tokar", everything())
    with tokar.open(made.path) as opened:
        stored = facts_of_archive(opened, examine=examine)
    loose = facts_of_folder(write(tmp_path / "in", everything()), examine=examine)
    assert of_no_place(stored) == of_no_place(loose)
    assert (stored.other_count, loose.other_count) == (1, 1)


def test_facts_of_an_archive_name_entries_and_digests(tmp_path: Path) -> None:
    made = archive(tmp_path / "set.tokar", everything())
    with tokar.open(made.path) as opened:
        facts = facts_of_archive(opened)
        digests = [entry.digest for entry in opened]
    assert facts.databases[0].digest == digests[0]
    assert [log.number for log in facts.logs] == [1, 2, 3]


def test_only_headers_are_read_unless_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = {DATABASE: bytes(database(pages=200))}
    seen: list[int] = []
    really = FileSource.read

    def read(self: FileSource, offset: int, size: int) -> bytes:
        data = really(self, offset, size)
        seen.append(len(data))
        return data

    monkeypatch.setattr(FileSource, "read", read)
    folder = write(tmp_path, large)
    facts_of_folder(folder)
    assert sum(seen) < 200_000
    facts_of_folder(folder, examine=True)
    assert sum(seen) > 800_000


def test_a_log_says_what_chains_need(tmp_path: Path) -> None:
    log = facts_of_folder(write(tmp_path, logs(5, 6))).logs[1]
    assert (log.generation, log.named_generation, log.base) == (6, 6, "edb")
    assert (log.signature, log.created, log.previous_created) == (STREAM, moment(6), moment(5))
    assert log.previous_segments_xor is not None


def test_progress_is_told_in_bytes(tmp_path: Path) -> None:
    done: list[int] = []
    folder = write(tmp_path / "in", everything())
    facts_of_folder(folder, progress=done.append)
    made = archive(tmp_path / "set.tokar", everything())
    total = sum(map(len, everything().values()))
    assert sum(done) == total
    with tokar.open(made.path) as opened:
        facts_of_archive(opened, progress=done.append)
    assert sum(done) == 2 * total


def test_names_decide_what_never_belongs_to_a_set(tmp_path: Path) -> None:
    stale = logs(5, 5)["edb00005.log"]
    files = {"edbtmp.log": stale, "edbres00001.jrs": bytes(8192), "edb00005.jsl": stale, "main.INTEG.RAW": b"text"}
    facts = facts_of_folder(write(tmp_path, files))
    assert (facts.logs, facts.other_count, [one.name for one in facts.next_logs]) == ((), 3, ["edbtmp.log"])


@pytest.mark.parametrize("name", ["edb00005.log", "main.edb", "main.dit", "edb.chk"])
def test_a_file_that_says_nothing_any_more_is_known_by_its_name(tmp_path: Path, name: str) -> None:
    facts = facts_of_folder(write(tmp_path, {name: b"\x55" * 20000}))
    found: list[FileFacts] = [*facts.logs, *facts.databases, *facts.checkpoints]
    assert len(found) == 1
    assert found[0].damaged
    assert found[0].note


def test_a_file_that_says_nothing_is_known_by_its_token(tmp_path: Path) -> None:
    files = {"x.bin": b"\x55" * 9000, "y.bin": b"\x55" * 9000, "z.bin": b"\x55" * 9000}
    made = archive(tmp_path / "set.tokar", files, tokens={"x.bin": 0x44, "y.bin": 0x21, "z.bin": 0x0F})
    with tokar.open(made.path) as opened:
        facts = facts_of_archive(opened)
    assert [one.name for one in facts.databases] == ["x.bin"]
    assert [one.name for one in facts.logs] == ["y.bin"]
    assert facts.other_count == 1


def test_links_are_not_followed(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", logs(5, 5))
    outside = write(tmp_path / "out", logs(6, 6))
    (folder / "edb00006.log").symlink_to(outside / "edb00006.log")
    (folder / "more").symlink_to(outside)
    assert [log.generation for log in facts_of_folder(folder).logs] == [5]


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read"):
        facts_of_folder(tmp_path / "none")


def test_a_damaged_archive_is_an_error_and_no_fact(tmp_path: Path) -> None:
    made = archive(tmp_path / "set.tokar", logs(5, 5))
    with tokar.open(made.path) as opened:
        at = opened.entry(0).file_position + 300
    made.path.write_bytes(flip(made.path.read_bytes(), at))
    with tokar.open(made.path) as opened, pytest.raises(CheckMismatchError):
        facts_of_archive(opened)


SHAPES = {
    "everything": everything(),
    "damaged content": {DATABASE: flip(streaming(5, 7), 3 * 4096 + 9), **logs(5, 7)},
    "first header copies gone": {DATABASE: bytes(4096) + bytes(streaming(5, 7)[4096:])},
    "large pages": {DATABASE: bytes(database(pages=3, raw_page_size=32768))},
    "large pages, first header copy gone": {DATABASE: flip(database(pages=3, raw_page_size=32768), 99)},
    "trailer missing": {DATABASE: bytes(streaming(5, 7)[:-4096]), **logs(5, 7)},
    "trailer cut": {DATABASE: bytes(streaming(5, 7)[:-100])},
    "headers alone": {DATABASE: bytes(dirty(5, 7)[:8192]), "edb00005.log": logs(5, 5)["edb00005.log"][:4096]},
    "half a header": {DATABASE: bytes(dirty(5, 7)[:3000]), "edb00005.log": logs(5, 5)["edb00005.log"][:3000]},
    "nothing": {DATABASE: b"", "edb00005.log": b"", "edb.chk": b"", "main.pat": b""},
    "rubbish": {DATABASE: b"\x55" * 90000, "edb00005.log": b"\x55" * 90000, "edb.chk": b"\x55" * 8192},
    "patch with content": {DATABASE: bytes(database()), "main.pat": bytes(dirty(5, 7))},
}


@pytest.mark.parametrize("step", [1000, 4096, 40000, 1 << 20])
@pytest.mark.parametrize("files", SHAPES.values(), ids=SHAPES)
def test_files_that_go_by_give_the_same_facts_as_their_archive(
    tmp_path: Path, files: dict[str, bytes], step: int
) -> None:
    made = archive(tmp_path / "set.tokar", files)
    with tokar.open(made.path) as opened:
        stored = facts_of_archive(opened, examine=True)
    assert of_no_place(passed_by(files, step=step)) == of_no_place(stored)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 32767), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 30000),
    step=st.integers(500, 40000),
)
def test_whatever_goes_by_gives_the_facts_of_the_whole_file(
    tmp_path: Path, edits: list[tuple[int, int]], cut: int, step: int
) -> None:
    data = bytearray(streaming(5, 7))
    for offset, value in edits:
        data[offset % len(data)] = value
    files = {DATABASE: bytes(data[: len(data) - cut])}
    loose = facts_of_folder(write(tmp_path, files), examine=True)
    assert of_no_place(passed_by(files, step=step)) == of_no_place(loose)


def test_a_log_of_zeros_that_goes_by_is_a_fault_all_the_same() -> None:
    (log,) = passed_by({"edb00005.log": bytes(1 << 17)}).logs
    assert log.damaged
    assert log.note in {
        "nothing but zeros",
        "begins like a log that was never written",
    }  # the start is all that was kept


@pytest.mark.parametrize("examine", [False, True])
def test_a_database_header_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, examine: bool) -> None:
    seen: list[int] = []
    really = DatabaseHeader.parse

    def parse(page: bytes) -> DatabaseHeader:
        seen.append(len(page))
        return really(page)

    monkeypatch.setattr(DatabaseHeader, "parse", parse)
    made = archive(tmp_path / "set.tokar", everything())
    with tokar.open(made.path) as opened:
        judge_set(facts_of_archive(opened, examine=examine))
    assert len(seen) == 1


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 800), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 30000),
    sealed=st.booleans(),
)
def test_whatever_a_header_says_there_is_a_verdict(
    tmp_path: Path, edits: list[tuple[int, int]], cut: int, sealed: bool
) -> None:
    """Also with a right checksum: then every field is believed, and none may lead to an exception or a long loop."""
    data = bytearray(streaming(5, 7))
    for offset, value in edits:
        data[4 + offset] = value
    if sealed:
        total = 0x89ABCDEF
        for at in range(4, 4096, 4):
            total ^= int.from_bytes(data[at : at + 4], "little")
        data[:4] = total.to_bytes(4, "little")
    files = {DATABASE: bytes(data[: len(data) - cut]), **logs(5, 7), "edb.chk": checkpoint(6)}
    found = judge_set(facts_of_folder(write(tmp_path, files), examine=True))
    assert found.to_json()["databases"]
    assert all(fault.message for fault in found.faults)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edits=st.lists(st.tuples(st.integers(4, 4095), st.integers(0, 255)), max_size=12), cut=st.integers(0, 24576))
def test_whatever_a_log_header_says_there_is_a_verdict(tmp_path: Path, edits: list[tuple[int, int]], cut: int) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
    data = bytearray(files["edb00006.log"])
    for offset, value in edits:
        data[offset] = value
    total = 0x89ABCDEF
    for at in range(4, 4096, 4):
        total ^= int.from_bytes(data[at : at + 4], "little")
    data[:4] = total.to_bytes(4, "little")
    files["edb00006.log"] = bytes(data[: len(data) - cut])
    found = judge_set(facts_of_folder(write(tmp_path, files), examine=True))
    assert found.to_json()["databases"]


def test_of_logs_that_do_not_go_on_from_each_other_the_last_ones_keep_their_marks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Marks take more room than all else that is kept of a log: thousands of logs with holes would fill the memory."""
    monkeypatch.setattr(read, "MOST_MARKED", 2)
    odd = {name: data for name, data in logs(5, 14).items() if int(name[3:8], 16) % 2}
    found = [one.content for one in passed_by(odd).logs]
    assert [bool(one and one.marks) for one in found] == [False, False, False, True, True]
    assert all(one and one.is_marked for one in found[-2:])


def test_a_log_keeps_no_marks_where_the_next_one_goes_on_from_it() -> None:
    assert [bool(one.content and one.content.marks) for one in passed_by(logs(5, 7)).logs] == [False, False, True]
