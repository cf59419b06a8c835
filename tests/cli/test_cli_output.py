from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import process

from tokar.cli import output
from tokar.errors import ArchiveError, CheckMismatchError, ExistingFileError, StorageError
from tokar.sets.outcome import LastLine, Word

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        ((1 << 40) * 3, "3.0 TiB"),
        (1 << 62, "4.0 EiB"),
        (1 << 75, "32768.0 EiB"),
    ],
)
def test_a_size_is_shown_for_a_person(size: int, text: str) -> None:
    assert output.size_text(size) == text


def test_pairs_are_aligned_and_empty_ones_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([("a", "1"), ("long", "2"), ("none", "")], indent="  ")
    assert capsys.readouterr().out == "  a     1\n  long  2\n"


def test_no_pairs_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    output.pairs([])
    assert capsys.readouterr().out == ""


def test_a_table_is_aligned_with_numbers_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("name", "size", "x"), [("a", "1", "-"), ("longer", "1,000", "")], right=(1,))
    assert capsys.readouterr().out == "name     size  x\na           1  -\nlonger  1,000\n"


def test_a_table_counts_columns_not_characters(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b"), [("日本", "1"), ("e\u0301", "2")])
    assert capsys.readouterr().out == "a     b\n日本  1\ne\u0301     2\n"


def test_a_table_of_any_length_is_never_held(capsys: pytest.CaptureFixture[str]) -> None:
    printed = []

    def rows() -> Iterator[tuple[str]]:
        for number in range(5000):
            if number == 4999:
                printed.append(capsys.readouterr().out.count("\n"))
            yield (str(number),)

    output.table(("n",), rows())
    assert printed[0] >= 3000
    assert printed[0] + capsys.readouterr().out.count("\n") == 5001


def test_a_table_without_rows_has_its_titles(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("a", "b"), [])
    assert capsys.readouterr().out == "a  b\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain <FF> café 日本", "plain <FF> café 日本"),
        ("a\x1b[31m\n", "a<U+001B>[31m<U+000A>"),
        ("x\u202ey\ud800", "x<U+202E>y<U+D800>"),
    ],
)
def test_text_is_made_safe_once(text: str, shown: str) -> None:
    assert output.safe(text) == shown
    assert output.safe(shown) == shown


def test_json_is_ascii() -> None:
    text = output.json_text({"name": "日本\udcff\U0001f600"})
    assert text.isascii()
    assert json.loads(text) == {"name": "日本\udcff\U0001f600"}


def test_an_error_object_tells_what_was_expected() -> None:
    error = CheckMismatchError("differs", expected=b"\1", actual=b"\2", rule="REC-8", path="a", offset=5)
    error.add_note("also: that")
    assert output.error_json(error) == {
        "kind": "check-mismatch",
        "message": "differs",
        "path": "a",
        "offset": 5,
        "hint": CheckMismatchError.hint_text,
        "notes": ["also: that"],
        "exit_code": 4,
        "rule": "REC-8",
        "expected": "01",
        "actual": "02",
    }


def test_of_many_notes_that_begin_alike_the_first_are_printed_and_json_has_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = ArchiveError("wrong")
    for note in ("seen: a", *(f"in place: {number}" for number in range(120)), "its receipt is b"):
        error.add_note(note)
    output.report(error, as_json=True)
    printed = capsys.readouterr()
    assert len(json.loads(printed.out)["error"]["notes"]) == 122
    assert printed.err.splitlines()[-3:] == ["in place: 49", "... and 70 more (--json lists all)", "its receipt is b"]


def test_an_error_without_a_format_has_no_rule() -> None:
    assert "rule" not in output.error_json(ExistingFileError("there"))


def test_a_report_still_comes_when_standard_output_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(output, "flush", broken)
    monkeypatch.setattr(output, "give_up", lambda: None)
    output.report(StorageError("cannot write", hint="look"), as_json=True)
    assert capsys.readouterr().err == "tokar: error: cannot write\nhint: look\n"


@pytest.mark.parametrize(
    ("word", "colour"),
    [(Word.RESTORABLE, "32"), (Word.NOT_PROVEN, "33"), (Word.WITH_LOSS, "33"), (Word.NOT_RESTORABLE, "31")],
)
def test_the_last_line_is_coloured_on_a_terminal_and_nowhere_else(
    word: Word, colour: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.last_line(LastLine(word, "why"))
    assert capsys.readouterr().out == f"{word}: why\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    output.last_line(LastLine(word, "why"))
    assert capsys.readouterr().out == f"\x1b[1;{colour}m{word}\x1b[0m: why\n"
    monkeypatch.setenv("NO_COLOR", "1")
    output.last_line(LastLine(word, "why"))
    assert capsys.readouterr().out == f"{word}: why\n"


@pytest.mark.parametrize(("setting", "coloured"), [(None, True), ("", True), ("1", False)])
def test_no_color_is_heeded_where_it_says_something(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str | None, *, coloured: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    if setting is None:
        monkeypatch.delenv("NO_COLOR", raising=False)
    else:
        monkeypatch.setenv("NO_COLOR", setting)
    output.last_line(LastLine(Word.NOT_PROVEN, "nobody looked"))
    assert ("\x1b[1;33m" in capsys.readouterr().out) == coloured


@pytest.mark.parametrize("page", ["cp437", "cp850", "cp1252"])
def test_what_the_code_page_of_a_console_lacks_stops_nothing(page: str, tmp_path: Path) -> None:
    result = process("verify", tmp_path / "\u0411.tokar", env={"PYTHONIOENCODING": f"{page}:strict", "PYTHONUTF8": "0"})
    assert result.returncode == 1
    assert b"\\u0411.tokar" in result.stderr
