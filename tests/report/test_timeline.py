"""The logs of sets on a line of generations: what the judge found, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, OTHER_STREAM, branch, dirty, full, increment, logs, name_of, part
from recovery_sets import archive, flip

from tokar.report.timeline import (
    MOST_SETS,
    Cell,
    Mark,
    Row,
    StreamLine,
    Tone,
    grouped,
    joined,
    short_labels,
    timeline_of,
)
from tokar.sets.backup_set import find_sets
from tokar.sets.joining import build_chain
from tokar.sets.receipt import Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from pathlib import Path


def streams(*paths: Path) -> tuple[StreamLine, ...]:
    return timeline_of(build_chain(find_sets(paths).sets))


def rows(stream: StreamLine, mark: Mark) -> list[tuple[str, tuple[tuple[int, int], ...], str]]:
    return [(row.label, row.runs, row.word) for row in stream.rows if row.mark is mark]


def test_sets_are_bars_and_what_a_database_needs_is_a_bracket(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "monday", part(8, 9))
    (stream,) = streams(tmp_path)
    assert (stream.base, stream.low, stream.high) == ("edb", 5, 9)
    assert rows(stream, Mark.SET) == [
        ("full.tokar", ((5, 7),), "not proven"),
        ("monday.tokar", ((8, 9),), "not proven"),
    ]
    assert rows(stream, Mark.NEED) == [(DATABASE, ((5, 7),), "present")]
    assert [row.depth for row in stream.rows] == [0, 1, 0]


def test_a_bracket_promises_no_more_than_the_last_line(tmp_path: Path) -> None:
    old = bytearray(4096)
    old[24:36] = (4).to_bytes(4, "little") + (995).to_bytes(4, "little") + bytes(4)
    unknown = {name_of(5): bytes(old), name_of(6): bytes(old)}
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 6)), **unknown})
    (need,) = (row for one in streams(tmp_path) for row in one.rows if row.mark is Mark.NEED)
    assert (need.word, need.tone) == ("not checked", Tone.OPEN), need.note
    assert need.note.startswith("not checked: ")


def test_a_hole_between_sets_is_marked(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "tuesday", part(10, 11))
    (stream,) = streams(tmp_path)
    (hole,) = (row for row in stream.rows if row.mark is Mark.MISSING)
    assert (hole.runs, hole.tone) == (((8, 9),), Tone.BAD)
    assert "0x8-0x9" in hole.note


def test_a_hole_that_is_longer_than_a_fault_lists_is_marked_to_its_end(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 5000)), **part(5, 5), **logs(5000, 5000)})
    (stream,) = streams(tmp_path)
    assert [row.runs for row in stream.rows if row.mark is Mark.MISSING] == [((6, 4999),)]


def test_needed_logs_that_another_stream_stands_for_are_missing(tmp_path: Path) -> None:
    foreign = logs(6, 6, stream=OTHER_STREAM)
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 5), **part(7, 7), **foreign})
    own, other = streams(tmp_path)
    assert [row.runs for row in own.rows if row.mark is Mark.MISSING] == [((6, 6),)]
    assert [(row.mark, row.runs) for row in other.rows[1:]] == [(Mark.STRAY, ((6, 6),))]
    assert [row.word for row in other.rows if row.mark is Mark.SET] == [""], "the verdict on a set is said once"


def test_the_stream_of_the_databases_comes_first_whatever_lies_before_it(tmp_path: Path) -> None:
    strays = {f"a{name}": data for name, data in logs(90, 91, stream=OTHER_STREAM).items()}
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **strays, **part(5, 5), **part(7, 7)})
    own, other = streams(tmp_path)
    assert (own.low, own.high, other.low) == (5, 7, 90)
    assert [row.runs for row in own.rows if row.mark is Mark.MISSING] == [((6, 6),)]
    assert rows(own, Mark.SET)[0][2] == "NOT RESTORABLE"


def test_two_histories_are_marked_where_they_part(tmp_path: Path) -> None:
    full(tmp_path)
    increment(tmp_path, "one", part(8, 9))
    increment(tmp_path, "other", branch(8, 9))
    (stream,) = streams(tmp_path)
    assert {row.runs for row in stream.rows if row.mark is Mark.FORK} == {((8, 8),)}


def test_left_out_logs_are_marked_with_the_reason(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7), **logs(90, 91, stream=OTHER_STREAM)})
    _, other = streams(tmp_path)
    assert [(row.mark, row.runs, row.note) for row in other.rows[1:]] == [
        (Mark.LEFT_OUT, ((90, 91),), "of another log stream than the databases here")
    ]


def test_a_damaged_log_is_marked_by_its_name(tmp_path: Path) -> None:
    spoilt = flip(part(6, 6)[name_of(6)], 10)
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7), name_of(6): spoilt})
    (stream,) = streams(tmp_path)
    assert [row.runs for row in stream.rows if row.mark is Mark.FAULTY] == [((6, 6),)]


def test_a_damaged_log_is_marked_and_not_one_of_its_name_in_another_archive(tmp_path: Path) -> None:
    current = {"edb.log": part(7, 7)[name_of(7)][:-4096]}
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 6), **current})
    increment(tmp_path, "b", {**part(8, 9), "edb.log": part(10, 10)[name_of(10)]})
    (stream,) = streams(tmp_path)
    assert [runs for _, runs, _ in rows(stream, Mark.FAULTY)] == [((7, 7),)]


def test_a_receipt_whose_archive_is_gone_is_a_row(tmp_path: Path) -> None:
    full(tmp_path)
    told = Receipt(
        "sealed",
        Truncation.DONE,
        archive={"id": "ab" * 16, "root": "cd" * 32},
        backup={"took": "incremental", "generations": {"low": 8, "high": 9}},
    )
    write_receipt(tmp_path / "monday.tokar", told)
    (stream,) = streams(tmp_path)
    assert ("monday.tokar.receipt.json", ((8, 9),), "NOT RESTORABLE") in rows(stream, Mark.SET)


def test_a_set_without_logs_has_a_row_and_no_place(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {"notes.txt": b"x"})
    (stream,) = streams(tmp_path)
    assert (stream.low, stream.high, [row.runs for row in stream.rows]) == (0, 0, [()])


def test_a_need_far_away_does_not_make_all_else_invisible(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 0x7FFFFFF0)), **part(5, 7)})
    (stream,) = streams(tmp_path)
    assert (stream.low, stream.high) == (5, 23)


def test_many_sets_share_a_row_behind_the_first_ones(tmp_path: Path) -> None:
    (found,) = find_sets([full(tmp_path).path]).sets
    chain = build_chain(replace(found, id=number.to_bytes(16, "big"), label=f"{number}.tokar") for number in range(220))
    (stream,) = timeline_of(chain)
    shown = grouped(stream.rows)
    assert (len(shown), shown[MOST_SETS - 1].label) == (MOST_SETS + 1, "21 more sets")
    assert (shown[MOST_SETS - 1].runs, shown[-1].mark) == (((5, 7),), Mark.NEED)
    assert len(rows(stream, Mark.SET)) == 220, "but not in the terminal"


def test_many_logs_take_as_much_room_as_few(tmp_path: Path) -> None:
    (found,) = find_sets([full(tmp_path).path]).sets
    log = found.facts.logs[0]
    many = [replace(log, generation=number, name=f"edb{number:05X}.log") for number in range(5, 1005)]
    (stream,) = timeline_of(build_chain([replace(found, facts=replace(found.facts, logs=tuple(many)))]))
    assert rows(stream, Mark.SET)[0][1] == ((5, 1004),)
    assert len(stream.rows) < 20


@pytest.mark.parametrize(
    ("runs", "width", "shown"),
    [
        (((5, 7),), 10, "2222220000"),
        (((5, 5), (9, 9)), 5, "20002"),
        (((5, 5),), 1, "1"),
        (((5, 9),), 2, "22"),
        (((5, 6),), 2, "10"),
        (((1, 4), (10, 20)), 5, "00000"),
        (((1, 1 << 40),), 3, "222"),
    ],
)
def test_places_are_full_only_where_all_generations_are_there(
    runs: tuple[tuple[int, int], ...], width: int, shown: str
) -> None:
    assert "".join(str(one.value) for one in Row(mark=Mark.SET, runs=runs).cells(5, 9, width)) == shown


def test_no_place_that_has_something_is_shown_as_empty() -> None:
    row = Row(mark=Mark.MISSING, runs=((5000, 5000),))
    found = row.cells(1, 10_000, 60)
    assert [one for one in found if one] == [Cell.PART]


def test_runs_that_touch_or_overlap_are_one() -> None:
    assert joined([(7, 9), (1, 3), (4, 5), (8, 12)]) == ((1, 5), (7, 12))
    assert joined([]) == ()


def test_labels_are_short_unless_two_are_alike() -> None:
    assert short_labels(["/a/full.tokar", "/b/full.tokar", "/b/x\u202e<.tokar"]) == [
        "/a/full.tokar",
        "/b/full.tokar",
        "x<U+202E><U+003C>.tokar",
    ]
