"""What verifying content finds, and the list of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import database_file, log_file
from hypothesis import given
from hypothesis import strategies as st
from small_sets import checkpoint, reserve, streaming_file, temporary_database
from sweeps import examples

from tokar.collect.examine import ContentExaminer, Examined, Findings, may_be_ese
from tokar.ese.content_facts import ContentVerdict
from tokar.ese.database import MAGIC, DatabaseHeader
from tokar.ese.identify import FileKind
from tokar.ese.values import BackupInfo
from tokar.sets.read import SetFile

if TYPE_CHECKING:
    from collections.abc import Iterable

DATABASE, LOG, PATCH, UNKNOWN = 0x44, 0x21, 0x25, 0x0F


def look(
    data: bytes,
    token: int = DATABASE,
    *,
    name: str = "a.edb",
    step: int = 1 << 16,
    profile: str = "ese",
    findings: Findings | None = None,
) -> Findings:
    findings = Findings() if findings is None else findings
    examiner = ContentExaminer(findings, SetFile(name=name, size=len(data), token=token, profile=profile))
    for start in range(0, len(data), step):
        examiner(memoryview(data)[start : start + step])
    examiner.finish()
    return findings


def flipped(data: bytes, *bits: int) -> bytes:
    changed = bytearray(data)
    for bit in bits:
        changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def row(findings: Findings) -> dict[str, Any]:
    (only,) = findings.to_json()["entries"]
    return dict(only)


def test_good_files_are_counted() -> None:
    findings = look(log_file(5), LOG, name="edb00005.log", findings=look(database_file(5, 7)))
    value = findings.to_json()
    assert {key: value[key] for key in ("state", "files", "pages", "bad", "not_verified")} == {
        "state": "done",
        "files": 2,
        "pages": 5,
        "bad": 0,
        "not_verified": 0,
    }
    assert [one["name"] for one in value["entries"]] == ["a.edb", "edb00005.log"]
    assert findings.remarkable == []


def test_bad_pages_are_counted_and_placed() -> None:
    data = flipped(database_file(5, 7), 8 * (3 * 4096 + 100), 8 * (5 * 4096 + 100))
    found = row(look(data))
    assert (found["unit"], found["units"], found["bad"], found["offsets"]) == ("pages", 5, 2, [3 * 4096, 5 * 4096])
    assert found["problems"] == ["has 2 damaged pages (JET_errReadVerifyFailure, -1018)"]


def test_bad_pages_of_a_chunk_in_the_middle_are_placed() -> None:
    data = flipped(database_file(5, 7, pages=600), 8 * (500 * 4096 + 100))
    assert row(look(data, step=1 << 20))["offsets"] == [500 * 4096]


def test_many_bad_pages_are_counted_and_some_placed() -> None:
    data = bytearray(database_file(5, 7, pages=40))
    for page in range(2, 42):
        data[page * 4096 + 100] ^= 255
    found = row(look(bytes(data)))
    assert (found["bad"], len(found["offsets"])) == (40, 16)


def test_a_database_that_is_cut_short_says_so() -> None:
    assert "cut short" in row(look(database_file(5, 7)[:-100]))["problems"][0]


def test_a_log_of_another_size_than_its_header_says_is_a_problem() -> None:
    assert "-541" in row(look(log_file(5)[:-4096], LOG))["problems"][0]


def test_a_damaged_log_header_is_a_problem() -> None:
    found = row(look(flipped(log_file(5), 8 * 50), LOG))
    assert found["problems"][0].startswith("cannot be read as a log: the log header is damaged")
    assert "units" not in found


def test_a_damaged_second_header_copy_is_a_note() -> None:
    found = row(look(flipped(database_file(5, 7), 8 * (4096 + 60))))
    assert (found["note"], found["bad"]) == ("the second header copy is damaged", 0)


def test_a_damaged_first_header_copy_is_a_note() -> None:
    assert "the second was used" in row(look(flipped(database_file(5, 7), 8 * 60)))["note"]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (temporary_database(), "temporary database"),
        (streaming_file(), "streaming file"),
        (bytes(4) + MAGIC.to_bytes(4, "little") + (0x500).to_bytes(4, "little") + bytes(9000), "JET 500"),
        (bytes(24) + b"\x04\0\0\0\xe3\x03\0\0" + bytes(9000), "JET 500"),
        (b"x" * 9000, "not recognised as a database"),
        (reserve(), "not recognised as a database"),
        (b"", "not recognised as a database"),
    ],
    ids=["temporary", "streaming", "old database", "old log", "unknown", "reserve", "empty"],
)
def test_what_has_no_checksums_is_not_verified_and_never_bad(data: bytes, why: str) -> None:
    findings = look(data)
    found = row(findings)
    assert why in found["not_verified"]
    assert "problems" not in found
    assert (findings.bad, findings.not_verified, findings.to_json()["files"]) == (0, 1, 1)


def test_a_large_file_that_begins_with_zeros_is_no_reserve_log() -> None:
    found = row(look(bytes(1 << 17) + b"x", LOG))
    assert (found["kind"], found["not_verified"]) == (
        "unknown",
        "not recognised as a log: begins like a log that was never written",
    )


def test_a_log_with_the_header_of_a_checkpoint_is_called_one() -> None:
    assert row(look(checkpoint(), LOG))["not_verified"] == "not recognised as a log: a checkpoint by its header"


@pytest.mark.parametrize(("data", "token"), [(checkpoint(), UNKNOWN), (b"x" * 9000, UNKNOWN), (b"x" * 9000, PATCH)])
def test_what_is_neither_database_nor_log_is_not_counted(data: bytes, token: int) -> None:
    assert look(data, token).to_json() == Findings().to_json()


def test_a_database_with_the_token_for_unknown_files_is_verified() -> None:
    assert row(look(database_file(5, 7), UNKNOWN))["units"] == 5


def test_an_old_exchange_copy_needs_no_trailer() -> None:
    header = DatabaseHeader(raw_page_size=4096, revision=20, current_full=BackupInfo(generation_low=5))
    body = database_file(5, 7)[2 * 4096 :]
    assert "streaming copy in disorder" in row(look(header.build() * 2 + body))["problems"][0]
    assert "problems" not in row(look(replace(header, file_type=0).build() * 2 + body, 0x45, profile="edbbcli"))


def test_long_names_are_cut() -> None:
    assert row(look(database_file(5, 7), name="x" * 5000))["name"] == "x" * 1000


def examined(names: Iterable[str], *, bad: int = 0) -> Findings:
    findings = Findings()
    for name in names:
        problems = (f"has {bad} damaged pages",) if bad else ()
        verdict = ContentVerdict(unit="pages", units=10, bad=bad, problems=problems)
        findings.add(Examined(DATABASE, name, FileKind.DATABASE, verdict))
    return findings


def test_of_many_files_only_those_with_findings_are_listed() -> None:
    findings = examined(f"good{number}" for number in range(500))
    assert len(findings.to_json()["entries"]) == 500
    findings.add(Examined(DATABASE, "bad", FileKind.DATABASE, ContentVerdict(unit="pages", problems=("is bad",))))
    value = findings.to_json()
    assert ([one["name"] for one in value["entries"]], value["files"], value["pages"]) == (["bad"], 501, 5000)


def test_the_list_keeps_the_order_of_the_archive() -> None:
    findings = examined(["a"])
    findings.add(Examined(DATABASE, "b", FileKind.DATABASE, ContentVerdict(unit="pages", problems=("is bad",))))
    findings.add(Examined(DATABASE, "c", FileKind.DATABASE, ContentVerdict(unit="pages")))
    assert [one["name"] for one in findings.to_json()["entries"]] == ["a", "b", "c"]


def test_the_list_has_a_limit_and_the_counts_have_none() -> None:
    findings = examined((f"{number:04}" + "ü" * 900 for number in range(2000)), bad=3)
    value = findings.to_json()
    assert value["bad"] == 6000
    assert 50 < len(value["entries"]) < 100
    assert value["entries"][0]["name"].startswith("0000")


def test_a_small_unknown_file_costs_no_examiner() -> None:
    assert not may_be_ese(b"x" * 1024, UNKNOWN)
    assert not may_be_ese(bytes(range(256)) * 100, UNKNOWN)
    assert may_be_ese(b"x" * 1024, LOG)
    assert may_be_ese(log_file(5), UNKNOWN)


@examples(60)
@given(
    start=st.sampled_from([b"", database_file(5, 7), log_file(5), checkpoint(), temporary_database()]),
    change=st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 255)), max_size=8),
    cut=st.integers(0, 30_000),
    rest=st.binary(max_size=200),
    token=st.integers(0, 255),
    step=st.sampled_from([512, 4096, 5000, 1 << 20]),
)
def test_no_content_crashes_it(
    *, start: bytes, change: list[tuple[int, int]], cut: int, rest: bytes, token: int, step: int
) -> None:
    data = bytearray(start[:cut] + rest)
    for at, value in change:
        if at < len(data):
            data[at] = value
    look(bytes(data), token, step=step).to_json()


@pytest.mark.parametrize(("token", "profile"), [(PATCH, "ese"), (0x28, "edbbcli")])
def test_a_patch_file_with_pages_is_never_judged(token: int, profile: str) -> None:
    damaged = flipped(database_file(5, 7), 8 * (3 * 4096 + 100), 8 * (5 * 4096 + 100))
    assert look(damaged).to_json()["bad"]
    assert not look(damaged, token, name="PRIV.PAT", profile=profile).to_json().get("bad")
