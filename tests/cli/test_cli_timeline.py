"""The timeline in a terminal, at each width, with the characters that it can show, with colour and without."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, branch, dirty, full, increment, part
from command_line import tokar
from recovery_sets import OTHER_STREAM, archive, logs

from tokar.cli.tables import cells, is_coloured
from tokar.cli.timeline import ASCII, UNICODE, draw, glyphs_of
from tokar.report.timeline import Mark, Row, StreamLine, timeline_of
from tokar.sets.backup_set import find_sets
from tokar.sets.joining import build_chain

if TYPE_CHECKING:
    from tokar.report.timeline import Tone

GOLDEN = Path(__file__).parent / "timelines.txt"
WIDTHS = (60, 80, 120, 200)


def plain(text: str, tone: Tone) -> str:
    del tone
    return text


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[StreamLine, ...]]:
    """Sets of each kind, by what is wrong with them."""
    folder = tmp_path_factory.mktemp("timeline")
    for name in ("good", "hole", "fork", "stray", "long"):
        (folder / name).mkdir()
    full(folder / "good")
    increment(folder / "good", "monday", part(8, 9))
    increment(folder / "good", "tuesday", part(10, 20))
    full(folder / "hole")
    increment(folder / "hole", "tuesday", part(10, 20))
    full(folder / "fork")
    increment(folder / "fork", "one", part(8, 12))
    increment(folder / "fork", "other", branch(8, 14))
    files = {DATABASE: bytes(dirty(5, 7, 9)), **part(5, 8), **logs(0x90000, 0x90005, stream=OTHER_STREAM)}
    archive(folder / "stray" / "server.tokar", files)
    far = {DATABASE: bytes(dirty(0x10000, 0x10FFF)), **logs(0x10000, 0x10003), **logs(0x10FF0, 0x10FFF)}
    archive(folder / "long" / f"{'backup-of-the-certification-authority-' * 2}2026-11-27.tokar", far)
    return {one.name: timeline_of(build_chain(find_sets([one]).sets)) for one in sorted(folder.iterdir())}


def drawn(told: dict[str, tuple[StreamLine, ...]]) -> str:
    """All of them at each width."""
    parts = []
    for glyphs, kind in ((UNICODE, "unicode"), (ASCII, "ascii")):
        for width in WIDTHS:
            for name, streams in told.items():
                parts.append(f"=== {name}, {width} columns, {kind}\n")
                parts += (f"{line}\n" for line in draw(streams, width, glyphs, plain))
    return "".join(parts)


def test_the_pictures_are_those_that_are_written_down(told: dict[str, tuple[StreamLine, ...]]) -> None:
    assert drawn(told) == GOLDEN.read_text(encoding="utf-8")


def test_no_line_is_wider_than_the_terminal(told: dict[str, tuple[StreamLine, ...]]) -> None:
    for width in range(60, 201, 7):
        for streams in told.values():
            assert all(len(line) <= width for line in draw(streams, width, UNICODE, plain))


def test_bars_stand_below_each_other(told: dict[str, tuple[StreamLine, ...]]) -> None:
    for width in WIDTHS:
        lines = [*draw(told["hole"], width, ASCII, plain)]
        at = next(line.index("=") for line in lines if "=" in line)
        (hole,) = [line for line in lines if "!" in line]
        assert hole[at:].startswith(".")


def test_streams_of_strays_are_counted_behind_the_first_ones_and_no_verdict_is_passed_over() -> None:
    row = Row(mark=Mark.SET, label="a.tokar", runs=((5, 7),))
    strays = [StreamLine(base="edb", low=5, high=7, rows=(row,)) for _ in range(1000)]
    told = [StreamLine(base="edb", low=5, high=7, rows=(replace(row, word="restorable"),)) for _ in range(50)]
    lines = [*draw([*strays, *told], 80, ASCII, plain)]
    assert (len(lines), lines[-1]) == (2 * 70 + 1, "... and 980 more log streams, of strays")
    assert sum(line.endswith("restorable") for line in lines) == 50


@pytest.mark.parametrize("folder", ["名前フォルダ" * 9, "名" * 53, "短い", "short"])
def test_a_reason_with_a_long_name_is_cut_at_the_columns_that_it_takes(folder: str) -> None:
    note = f"the run of logs ends before it, with {folder}/edb00008.log"
    stream = StreamLine(base="edb", low=5, high=10, rows=(Row(mark=Mark.LEFT_OUT, note=note, runs=((9, 10),)),))
    for width in range(60, 201, 7):
        lines = [*draw([stream], width, UNICODE, plain)]
        assert max(map(cells, lines)) <= width
        assert "".join("".join(lines[2:]).split()) == "".join(note.split())


def test_wide_characters_take_the_room_that_they_take() -> None:
    row = Row(mark=Mark.SET, label="備份" * 30, note="full", runs=((5, 7),), word="restorable")
    lines = [*draw([StreamLine(base="edb", low=5, high=7, rows=(row,))], 60, ASCII, plain)]
    assert lines[1].endswith("  full  0x5-0x7  restorable")
    assert sum(2 if one in "備份" else 1 for one in lines[1]) <= 60


@pytest.mark.parametrize(
    ("encoding", "term", "glyphs"),
    [
        ("utf-8", "xterm", UNICODE),
        ("utf-8", "dumb", ASCII),
        ("cp437", "xterm", ASCII),
        ("ascii", "xterm", ASCII),
        ("no such encoding", "xterm", ASCII),
        (None, "xterm", ASCII),
    ],
)
def test_characters_are_those_that_the_terminal_can_show(
    encoding: str | None, term: str, glyphs: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", term)
    assert glyphs_of(encoding) is glyphs


@pytest.mark.parametrize("columns", ["1", "60", "80", "500", "nothing"])
def test_the_width_is_that_of_the_terminal_within_bounds(
    columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 900)), **logs(5, 6), **logs(900, 900)})
    lines = tokar("chain", tmp_path / "a.tokar").stdout.splitlines()
    bar = next(line for line in lines if "█" in line or "▒" in line)
    assert len(bar) <= (200 if columns == "500" else 60 if columns in {"1", "60"} else 80)


@pytest.mark.parametrize("painted", [True, False])
def test_the_verdict_colours_a_terminal(painted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full(tmp_path)
    monkeypatch.setattr("tokar.cli.timeline.is_coloured", lambda _: painted)
    assert ("\x1b[33m█" in tokar("chain", tmp_path).stdout) == painted


@pytest.mark.parametrize(
    ("no_color", "is_terminal", "coloured"), [("", True, True), ("1", True, False), ("", False, False)]
)
def test_colours_are_for_terminals_unless_they_are_not_wanted(
    no_color: str, is_terminal: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    assert is_coloured(stream) == coloured


@pytest.mark.parametrize("verb", ["check", "chain"])
def test_a_hostile_name_moves_no_cursor(verb: str, tmp_path: Path) -> None:
    path = archive(tmp_path / "a\x1b[2J\n.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}).path
    out = tokar(verb, path).stdout
    assert "\x1b" not in out
    assert "a<U+001B>[2J<U+000A>.tokar" in out
