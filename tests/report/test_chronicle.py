"""How sets came to be: the transcript, and what receipts say."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import full

import tokar
from tokar.report.chronicle import receipts_alone, story_of
from tokar.sets.receipt import Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from pathlib import Path

FILE = ("open", "read", "close")


def told(path: Path, calls: list[dict[str, Any]]) -> dict[str, Any]:
    head = SimpleNamespace(created="2026-01-02T03:04:05.678Z", kind="full", software="tokar 1")
    summary = SimpleNamespace(finished="2026-01-02T03:05:05Z", outcome="complete")
    return story_of(SimpleNamespace(head=head, summary=summary, path=path, calls=lambda: iter(calls)))  # type: ignore[arg-type]


def lines(story: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["what"], one["note"]) for one in story["events"]]


def test_a_story_begins_with_the_archive_and_ends_with_its_seal(tmp_path: Path) -> None:
    story = told(tmp_path / "a.tokar", [{"call": "prepare", "type": "full", "at": "2026-01-02T03:04:06Z"}])
    assert lines(story) == [("full set begun", "by tokar 1"), ("prepare", "type full"), ("sealed", "complete")]
    assert story["events"][0]["at"] == "2026-01-02 03:04:05"


def test_an_archive_whose_name_leaves_no_room_for_a_receipt_has_none(tmp_path: Path) -> None:
    assert told(tmp_path / f"{'a' * 249}.tokar", [])["notes"] == []


def test_files_that_are_read_are_one_line_however_many(tmp_path: Path) -> None:
    calls = [{"call": call, "size": 100} for _ in range(5000) for call in FILE]
    assert lines(told(tmp_path / "a", calls))[1:-1] == [("5,000 files read", "500,000 bytes")]


def test_lists_of_names_are_not_told(tmp_path: Path) -> None:
    calls: list[dict[str, Any]] = [
        {"call": "backup_logs", "count": 2},
        {"call": "backup_logs_entries", "entries": [{"name": "eA=="}]},
    ]
    assert lines(told(tmp_path / "a", calls))[1:-1] == [("backup logs", "count 2")]


def test_a_call_that_failed_says_how(tmp_path: Path) -> None:
    calls = [{"call": "read", "failed": "no more", "code": "0xC8000001"}]
    story = told(tmp_path / "a", calls)
    assert lines(story)[1] == ("read", "failed: no more (0xC8000001)")
    assert story["events"][1]["tone"] == "bad"


def test_many_calls_are_cut_in_the_middle(tmp_path: Path) -> None:
    story = told(tmp_path / "a", [{"call": f"call{number}"} for number in range(500)])
    assert len(story["events"]) == 41
    assert story["events"][20]["what"] == "462 more calls"
    assert story["events"][-1]["what"] == "sealed"


@pytest.mark.parametrize(
    ("truncation", "text", "tone"),
    [
        (Truncation.DONE, "the logs are truncated", ""),
        (Truncation.NOT_INTENDED, "the logs were not truncated", ""),
        (Truncation.TRUNCATING, "whether the logs were truncated is not known: it ended there", "open"),
    ],
)
def test_a_receipt_goes_on_with_the_story(truncation: Truncation, text: str, tone: str, tmp_path: Path) -> None:
    path = full(tmp_path).path
    calls = ({"call": "seal"}, {"call": "truncate_logs"})
    write_receipt(path, Receipt("sealed", truncation, {"id": "ab"}, calls=calls, notes=("a note",)))
    with tokar.open(path) as archive:
        story = story_of(archive)
    assert [one["what"] for one in story["events"]][-3:] == ["sealed", "truncate logs", text]
    assert story["events"][-1]["tone"] == tone
    assert story["notes"] == ["a note"]


def test_a_receipt_that_cannot_be_read_is_said_and_stops_nothing(tmp_path: Path) -> None:
    path = full(tmp_path).path
    path.with_name(f"{path.name}.receipt.json").write_text("{")
    with tokar.open(path) as archive:
        assert story_of(archive)["notes"][0].startswith("the receipt beside it cannot be read: this is no receipt")


def test_receipts_without_their_archives_are_told_of(tmp_path: Path) -> None:
    path = full(tmp_path).path
    for name, outcome in (("full", "sealed"), ("gone", "sealed"), ("failed", "failed")):
        write_receipt(tmp_path / f"{name}.tokar", Receipt(outcome, Truncation.NOT_LICENSED, {"id": "ab"}))
    (tmp_path / "bad.tokar.receipt.json").write_text("{")
    found = [*receipts_alone([tmp_path, path], [str(path)])]
    assert [one.partition(":")[0] for one in found] == [
        "bad.tokar.receipt.json cannot be read",
        "failed.tokar.receipt.json",
        "gone.tokar.receipt.json",
    ]
    assert "a backup that made no archive" in found[1]
    assert "its archive is not here" in found[2]
