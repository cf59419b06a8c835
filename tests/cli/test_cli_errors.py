"""What all verbs share: help texts, usage, the form of messages, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import done, process, tokar
from small_sets import instance, write

import tokar as library
from tokar import cli, errors, signals
from tokar._version import __version__
from tokar.cli import VERBS

CLASSES = [errors.ArchiveError, *errors.ArchiveError.__subclasses__()]


def test_the_version_names_the_format_too() -> None:
    assert done("--version").stdout == f"tokar {__version__} (archive format 1)\n"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_the_help_text_lists_every_verb_and_every_exit_code(option: str) -> None:
    out = " ".join(done(option).stdout.split())
    assert all(f" {verb} {summary} " in out for verb, summary in VERBS.items())
    assert all(f"{code} " in out.partition("Exit codes:")[2] for code in (*range(10), 130))


def test_the_help_text_says_a_line_of_every_verb_and_imports_none() -> None:
    code = (
        "import sys; from tokar.cli import main; sys.argv = ['tokar', '--help']\n"
        "try: main()\nfinally: print(*sys.modules)"
    )
    completed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    lines = completed.stdout.splitlines()
    assert [line.split()[0] for line in lines if line.strip().startswith(tuple(VERBS))] == list(VERBS)
    assert not {f"tokar.cli.{verb}" for verb in VERBS} & set(lines[-1].split())
    assert not {"blake3", "numpy"} & set(lines[-1].split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_and_its_options(verb: str) -> None:
    out = done(verb, "--help").stdout
    assert out.startswith(f"Usage: tokar {verb} ")
    assert "\n  " in out
    bare = [line for line in out.splitlines() if re.fullmatch(r"  -{1,2}[a-z-]+( <?\w+>?)?", line.rstrip())]
    assert not [line for line in bare if len(line) < 30], "an option without a word about it"


def test_without_a_verb_the_help_text_is_shown() -> None:
    result = tokar()
    assert result.exit_code in {0, 2}
    assert "Usage: tokar" in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["--frob"], "no such option: --frob", "tokar --help"),
        (["create"], "missing argument 'OUT'", "tokar create --help"),
        (["create", "out"], "missing argument 'PATH...'", "tokar create --help"),
        (["create", "out", "in", "--frob"], "no such option: --frob", "tokar create --help"),
        (["inspect"], "missing argument '", "tokar inspect --help"),
        (["restore", "a", "--into"], "option '--into' requires an argument", "tokar restore --help"),
        (["extract", "a"], "missing argument 'NAME'", "tokar extract --help"),
        (["tokens", "more"], "got unexpected extra argument", "tokar tokens --help"),
    ],
)
def test_a_fault_in_the_arguments_is_told_like_any_other(arguments: list[str], error: str, hint: str) -> None:
    result = tokar(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.error[: len(error)] == error
    assert result.hint == f"{hint} shows what it takes"
    assert len(result.stderr.splitlines()) == 2


@pytest.mark.parametrize(
    "arguments", [["create", "--json"], ["--json", "frob"], ["verify", "--json"], ["tokens", "--json", "--frob"]]
)
def test_with_json_a_fault_in_the_arguments_is_one_object_too(arguments: list[str]) -> None:
    result = tokar(*arguments)
    error = json.loads(result.stdout)["error"]
    assert (error["kind"], error["exit_code"], result.exit_code) == ("usage", 2, 2)
    assert result.error == error["message"]


def test_an_error_has_a_line_a_rule_and_a_hint(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\3\4" * 20)
    result = tokar("verify", tmp_path / "x")
    assert result.stderr.splitlines() == [
        f"tokar: error: not a tokar archive ({tmp_path / 'x'}, at byte 0 (0x0))",
        "rule: PRE-1 of the format",
        "hint: tokar archives begin with the bytes 89 54 4B 52 0D 0A 1A 0A; was it copied in text mode?",
    ]


def test_an_error_object_has_everything_that_the_lines_say(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PK\3\4" * 20)
    result = tokar("restore", "--json", tmp_path / "x")
    assert result.json() == {
        "schema": "tokar/restore/1",
        "error": {
            "kind": "not-an-archive",
            "message": "not a tokar archive",
            "path": str(tmp_path / "x"),
            "offset": 0,
            "hint": errors.BadMagicError.hint_text,
            "notes": [],
            "exit_code": 3,
            "rule": "PRE-1",
        },
    }
    assert result.error.startswith("not a tokar archive")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_every_class_of_error_ends_with_its_exit_code(
    kind: type[errors.ArchiveError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise kind("it happened", path="some\x1bwhere", hint="do\nsomething")

    monkeypatch.setattr("tokar.tokens.role", fail)
    result = tokar("tokens", "--json")
    assert result.exit_code == kind.exit_code
    assert result.error == "it happened (some<U+001B>where)"
    assert result.hint == "do<U+000A>something"
    assert result.json()["error"]["path"] == "some\x1bwhere"


def test_what_the_system_refuses_unexpectedly_is_an_error_like_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setattr("tokar.tokens.role", fail)
    result = tokar("tokens")
    assert (result.exit_code, result.error) == (1, "Permission denied (/some/where)")


def test_an_interrupt_has_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokar.tokens.role", interrupt)
    result = tokar("tokens", "--json")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.startswith("tokar: interrupted")


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("place", ["tokar.cli.output.close_log", "tokar.cli.app"])
def test_an_interrupt_between_the_verb_and_the_end_is_one_line_too(
    place: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise signals.Stopped(signal.SIGTERM)

    monkeypatch.setattr(place, interrupt)
    monkeypatch.setattr("sys.argv", ["tokar", "tokens"])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert caught.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err.count("tokar: stopped by SIGTERM") == 1


def test_a_fault_of_the_program_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tokar.tokens.role", fail)
    with pytest.raises(ZeroDivisionError):
        tokar("tokens")


@pytest.mark.usefixtures("handlers")
def test_a_fault_of_the_program_is_one_line_and_asks_for_a_report(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tokar.tokens.role", fail)
    monkeypatch.setattr("sys.argv", ["tokar", "tokens", "--json"])
    monkeypatch.delenv("TOKAR_DEBUG")
    with pytest.raises(SystemExit) as caught:
        cli.main()
    out, err = capsys.readouterr()
    assert caught.value.code == 1
    assert re.fullmatch(
        r"tokar: error: this is a fault of tokar: ZeroDivisionError, in test_cli_errors\.py, line \d+\n"
        r"hint: please report it .*; TOKAR_DEBUG=1 shows all of it\n",
        err,
    )
    assert err.startswith(f"tokar: error: {json.loads(out)['error']['message']}\n")


@pytest.mark.usefixtures("handlers")
def test_a_fault_of_the_program_is_shown_in_full_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tokar.tokens.role", fail)
    monkeypatch.setattr("sys.argv", ["tokar", "tokens"])
    monkeypatch.setenv("TOKAR_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_a_double_dash_ends_the_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, {"--all": instance()["db.edb"]}))
    done("create", "-q", "a.tokar", "--", "--all")
    with library.open("a.tokar") as archive:
        assert [entry.name for entry in archive] == ["--all"]


def test_the_module_runs_like_the_command() -> None:
    result = process("--version")
    assert (result.returncode, result.stdout) == (0, f"tokar {__version__} (archive format 1){os.linesep}".encode())


@pytest.mark.parametrize("where", ["help", "tokar.cli"])
def test_every_exit_code_is_documented_and_no_other(where: str) -> None:
    def codes(error: type[errors.ArchiveError]) -> set[int]:
        return {error.exit_code}.union(*map(codes, error.__subclasses__()))

    text = {"help": done("--help").stdout, "tokar.cli": str(cli.__doc__)}[where]
    listed = re.search(r"[Ee]xit code(?:s:| says).*?interrupted", text, re.DOTALL)
    assert listed
    found = {int(number) for number in re.findall(r"(?:^|[\s,;:])(\d+)(?=\s+[a-z])", listed[0])}
    assert found == codes(errors.ArchiveError) | {0, 130}
