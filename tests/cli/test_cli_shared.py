"""What every verb takes: details, a log, progress for programs, defaults from the environment."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from command_line import done, process, tokar
from small_sets import instance, write

from tokar import cli

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "set", instance()))
    return tmp_path / "a.tokar"


@pytest.mark.parametrize("options", [("--quiet",), ("--json",), ()])
def test_progress_for_programs_comes_as_lines_whatever_else_is_quiet(archive: Path, options: tuple[str, ...]) -> None:
    result = done("verify", "--progress", "json", *options, archive)
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    size = archive.stat().st_size
    assert lines[0] == {"phase": "verifying", "of": str(archive), "bytes": 0, "total": size}
    assert lines[-1] == {**lines[0], "bytes": size}


@pytest.mark.parametrize("verb", ["create", "restore", "extract", "salvage", "check", "backup"])
def test_every_long_work_tells_how_far_it_is(archive: Path, verb: str) -> None:
    folder = archive.parent
    (folder / "cut.tokar").write_bytes(archive.read_bytes()[:-100])
    if verb == "backup":
        done("lab", "new", folder / "server")
    arguments = {
        "create": (folder / "b.tokar", folder / "set"),
        "restore": (archive, "--into", folder / "out"),
        "extract": (archive, "db.edb", "-o", folder / "db.edb"),
        "salvage": (folder / "cut.tokar", folder / "c.tokar"),
        "check": (archive,),
        "backup": (f"lab:{folder}/server", folder / "d.tokar", "--type", "copy"),
    }[verb]
    said = done(verb, "--json", "--progress", "json", *arguments).stderr
    lines = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    assert lines
    assert all(line.keys() == {"phase", "of", "bytes", "total"} for line in lines)
    assert lines[-1]["bytes"] > 0


def test_details_are_printed_only_where_they_are_asked_for(archive: Path) -> None:
    assert done("verify", archive).stderr == ""
    assert f"tokar: verifying {archive}\n" in done("verify", "-v", archive).stderr


def test_a_log_takes_notes_errors_and_the_end_with_their_times(archive: Path, tmp_path: Path) -> None:
    log = tmp_path / "tokar.log"
    tokar("verify", "--log", log, archive)
    failed = tokar("verify", "--log", log, tmp_path / "nothing")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert all(re.match(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z ", line) for line in lines)
    assert [line[25:] for line in lines if "exit code" in line] == ["exit code 0", "exit code 1"]
    assert f"error: {failed.error}" in log.read_text(encoding="utf-8")
    assert os.name == "nt" or log.stat().st_mode & 0o777 == 0o600


def test_a_log_takes_no_identity_that_was_given_in_the_place_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, secret = tmp_path / "log", "AGE-SECRET-KEY-1CUSNAEAY6K2TCETDSWWS0S2HYC0V2SLQPRYATSPMD8PACXAZVNMSW3MWX8"
    monkeypatch.setattr("sys.argv", ["tokar", "verify", secret])
    assert tokar("verify", "--log", log, secret).exit_code == 1
    assert log.read_text(encoding="utf-8").count("AGE-SECRET-KEY-(left out)") >= 2
    assert secret[15:] not in log.read_text(encoding="utf-8")


def test_nothing_is_added_to_a_file_that_is_no_log(archive: Path) -> None:
    before = archive.read_bytes()
    result = tokar("verify", "--log", archive, archive)
    assert (result.exit_code, archive.read_bytes() == before) == (2, True)


def test_a_log_that_cannot_be_opened_is_an_error(archive: Path, tmp_path: Path) -> None:
    assert tokar("verify", "--log", tmp_path / "no" / "log", archive).exit_code == 1


def test_the_environment_sets_defaults_and_an_option_comes_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "set", instance())

    def size(number: int, *options: str) -> int:
        done("create", "-q", *options, tmp_path / f"{number}.tokar", tmp_path / "set")
        return (tmp_path / f"{number}.tokar").stat().st_size

    small = size(1)
    monkeypatch.setenv("TOKAR_COMPRESS", "none")
    large = size(2)
    assert large > small
    assert size(3, "--compress", "zstd") == small
    monkeypatch.setenv("TOKAR_CREATE_COMPRESS", "zstd")
    assert size(4) == small


def test_a_switch_and_a_wrong_value_come_from_the_environment_too(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKAR_QUIET", "1")
    assert done("verify", archive).stdout == ""
    monkeypatch.setenv("TOKAR_PROGRESS", "sometimes")
    result = tokar("verify", archive)
    assert (result.exit_code, result.hint.partition(" ")[0]) == (2, "TOKAR_PROGRESS")
    assert "TOKAR_PROGRESS" not in tokar("verify", "--progress", "never", archive).stderr


def test_the_environment_accepts_no_risk(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_FORCE", "1")
    monkeypatch.setenv("TOKAR_CREATE_FORCE", "1")
    assert tokar("create", archive, archive.parent / "set").exit_code == 6


@pytest.mark.parametrize("verb", cli.VERBS)
def test_no_help_names_types_of_the_language(verb: str) -> None:
    text = done("help", verb).stdout
    assert "list[" not in text
    assert "{" not in text.splitlines()[0]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("inspect", "--page", "x", "a"), "invalid value for '--page': it is no whole number"),
        (("backup", "a", "b", "--type", "x"), "invalid value for '--type': 'x' is not one of 'full'"),
        (("backup", "a", "b", "--type", "full", "--deadline", "x"), "invalid value for '--deadline': it is no number"),
        (("lab", "work", "x", "-n", "0"), "invalid value for '--transactions' / '-n': it should be greater"),
    ],
)
def test_wrong_values_are_named_in_plain_words(arguments: tuple[str, ...], error: str) -> None:
    result = tokar(*arguments)
    assert (result.exit_code, result.error[: len(error)]) == (2, error)


def test_a_verb_that_is_none_is_answered_with_those_that_look_like_it() -> None:
    result = tokar("verfy", "x")
    assert (result.exit_code, result.error, result.hint) == (2, "no such command 'verfy'", "did you mean: tokar verify")
    assert tokar("xyzzy").hint == "tokar help lists the verbs"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("tokar ver", {"verify"}),
        ("tokar --ver", {"--version"}),
        ("tokar create --kind ", {"full", "logs", "collected"}),
        ("tokar tokens --profile c", {"certadm"}),
        ("tokar extract a.tokar db.e", {"db.edb"}),
        ("tokar restore a.tokar --only db.e", {"db.edb"}),
        ("tokar restore a.tokar --to datab", {"database="}),
        ("tokar extract nothing d", set()),
    ],
)
def test_a_shell_completes_values(archive: Path, line: str, found: set[str]) -> None:
    words = line.split()
    at = len(words) - (not line.endswith(" "))
    environment = {"_TOKAR_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(at)}
    answer = process(env=environment, cwd=archive.parent).stdout.decode()
    assert set(answer.split()) == found


@pytest.mark.parametrize("variable", ["PROGRESS", "LOG", "VERBOSE", "QUIET", "DEADLINE", "COMPRESS"])
@pytest.mark.parametrize("verb", ["config", "help"])
def test_no_value_of_a_variable_stops_the_verbs_that_say_what_is_set(
    verb: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOKAR_{variable}", "/no/such/thing")
    assert done(verb).stdout


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("TOKAR_PROGRESS", "nonsense", ("verify", "ARCHIVE")),
        ("TOKAR_VERBOSE", "nonsense", ("verify", "ARCHIVE")),
        ("TOKAR_COMPRESS", "nonsense", ("create", "new.tokar", "ARCHIVE")),
        ("TOKAR_CREATE_PROFILE", "nonsense", ("create", "new.tokar", "ARCHIVE")),
        ("TOKAR_LOG", "/no/such/log", ("verify", "ARCHIVE")),
        ("TOKAR_IDENTITY", "/no/such/key", ("verify", "ARCHIVE")),
        ("TOKAR_DEADLINE", "9e9", ("probe", "lab:nothing")),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    archive: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, value)
    result = tokar(*(archive if one == "ARCHIVE" else one for one in words))
    assert result.exit_code in {1, 2}
    assert variable in result.stderr


def test_an_error_that_no_variable_makes_names_none(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_COMPRESS", "none")
    result = tokar("create", archive.with_name("new.tokar"), archive.with_name("gone"))
    assert "TOKAR_COMPRESS" not in result.stderr


@pytest.mark.parametrize(
    "words", [("create", "LOG", "set"), ("create", "new.tokar", "LOG"), ("extract", "a", "b", "-o", "LOG")]
)
def test_a_log_into_what_the_command_writes_or_reads_is_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    log = tmp_path / "one"
    result = tokar(*(log if one == "LOG" else one for one in words), "--log", log)
    assert (result.exit_code, result.hint) == (2, "name another with --log")
    assert not log.exists()


@pytest.mark.parametrize("suffix", [".receipt.json", ".sig"])
def test_a_log_into_what_is_written_beside_an_archive_is_refused(tmp_path: Path, suffix: str) -> None:
    log = tmp_path / f"new.tokar{suffix}"
    result = tokar("create", tmp_path / "new.tokar", "set", "--log", log)
    assert (result.exit_code, result.hint) == (2, "name another with --log")
    assert not log.exists()


@pytest.mark.parametrize(
    "words", [("create", "OUT", "set"), ("backup", "lab:nothing", "OUT", "--type", "full"), ("salvage", "a", "OUT")]
)
def test_no_archive_gets_the_name_of_a_receipt(
    tmp_path: Path, words: tuple[str, ...], archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(archive.read_bytes()[:-100])
    tokar("lab", "new", "nothing")
    result = tokar(*("new.receipt.json" if one == "OUT" else one for one in words))
    assert (result.exit_code, "a receipt has such a name" in result.error) == (2, True), result.stderr
    assert not (tmp_path / "new.receipt.json").exists()
