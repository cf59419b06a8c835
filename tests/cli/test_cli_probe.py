"""`tokar probe` and `tokar backup ca://`: who logs on, with which password, and what is shown of it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ca_parts import authority
from command_line import Result, done, tokar

from tokar.lab.lab import create_lab
from tokar.live import csra
from tokar.live.csra import Call
from tokar.sets.receipt import read_receipt, receipt_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ca_double import CaDouble

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "ca-from-linux.md"
WHO = ("--user", "LAB\\backup", "--password-env", "CA_PASSWORD", "--auth", "ntlm")


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaDouble]:
    with authority(tmp_path_factory.mktemp("ca")) as double:
        yield double


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CA_PASSWORD", "Secret-1")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("LINE", "Secret-1\n")


def source(double: CaDouble, name: str = "/RootCA") -> str:
    return f"ca://{double.host}:{double.port}{name}"


def test_probe_says_step_by_step_what_it_finds(double: CaDouble) -> None:
    out = done("probe", source(double, ""), *WHO).stdout.splitlines()
    assert out[0] == f"reached: {double.host} port {double.port}, DCOM 5.7"
    assert "authority: RootCA" in out
    assert "backup operator: yes" in out
    assert out[-1] == "seen against: doubles"


def test_probe_with_list_says_what_a_full_would_take_and_truncates_nothing(double: CaDouble) -> None:
    double.log.clear()
    found = done("probe", source(double), *WHO, "--list", "--json").json()
    assert found["steps"]["reads the database"] == "yes"
    assert found["files"][0]["token"] == 0x44
    assert all(one["size"] is not None for one in found["files"] if one["token"] is not None)
    assert "TRUNCATE" not in double.log
    assert double.calls[-2:] == ["END", "released"]


def test_a_list_that_fails_ends_the_backup_and_is_what_is_told(double: CaDouble) -> None:
    double.settings.fail[Call.BACKUP_LOGS] = double.settings.fail[Call.END] = 0xC8000000 | 1022
    try:
        result = tokar("probe", source(double), *WHO, "--list")
    finally:
        double.settings.fail.clear()
    assert result.exit_code == 1
    assert "backup_logs failed" in result.error
    assert double.calls[-2:] == ["END", "released"]


def test_probe_of_a_simulated_server(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab", "certadm")
    lab.stop()
    assert "service: runs" in done("probe", f"lab:{tmp_path / 'lab'}").stdout


def test_what_was_found_before_a_failure_is_in_the_json(double: CaDouble) -> None:
    result = tokar("probe", source(double, "/Odd"), *WHO, "--json")
    assert result.exit_code == 1
    assert "reached" in result.json()["steps"]
    assert "has no authority 'Odd'" in result.json()["error"]["message"]
    assert "'RootCA'" in result.json()["error"]["hint"]


def test_a_full_that_truncates_says_so_in_its_receipt_and_has_no_password(double: CaDouble, tmp_path: Path) -> None:
    out, trace = tmp_path / "full.tokar", tmp_path / "trace"
    result = done("backup", source(double), out, "--type", "full", "--truncate", *WHO, "--trace", trace)
    assert "truncation: done" in result.stdout
    assert read_receipt(receipt_path(out)).backup["seen_against"] == "doubles"
    for path in (out, receipt_path(out), trace):
        assert b"Secret-1" not in path.read_bytes()
        assert "Secret-1".encode("utf-16-le") not in path.read_bytes()
    calls = done("inspect", out, "--json", "--records").stdout
    assert "Secret-1" not in calls + result.stdout + result.stderr


def test_a_full_without_truncate_is_refused_with_the_next_step(double: CaDouble, tmp_path: Path) -> None:
    result = tokar("backup", source(double), tmp_path / "a.tokar", "--type", "full", *WHO)
    assert result.exit_code == 7
    assert "experimental" in result.error
    assert result.hint == "--truncate, or --type copy"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "a", "--password-env", "NOT_THERE"), "no environment variable NOT_THERE"),
        (("--user", "a", "--password-env", "CA_PASSWORD", "--password-fd", "0"), "exclude each other"),
        (("--user", "a", "--password-fd", "1"), "what is written to"),
        (("--user", "a", "--password-fd", "987"), "no password can be read"),
        (("--password-env", "CA_PASSWORD"), "goes with an account"),
        (("--user", "a"), "no terminal to ask"),
        (("--user", "", "--password-env", "CA_PASSWORD"), "the account is empty"),
        (("--user", "a\udcff", "--password-env", "CA_PASSWORD"), "the account is no text"),
        (("--user", "a", "--password-env", "EMPTY"), "the password is empty"),
        (("--user", "a", "--password-env", "LINE"), "the password has more than one line"),
        (("--user", "LAB\\a\n", "--password-env", "CA_PASSWORD"), "the account has more than one line"),
    ],
)
def test_a_password_that_cannot_be_had_is_an_error_before_anything_is_sent(
    double: CaDouble, arguments: tuple[str, ...], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    double.log.clear()
    monkeypatch.setattr("getpass.getpass", without_terminal)
    result = tokar("probe", source(double), *arguments)
    assert (result.exit_code, said in result.error) == (2, True), result.stderr
    assert not double.log


def without_terminal(_prompt: str) -> str:
    raise EOFError


def test_a_password_is_asked_for_where_it_is_given_nowhere(double: CaDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "Secret-1"

    monkeypatch.setattr("getpass.getpass", answer)
    done("probe", source(double), "--user", "LAB\\backup", "--auth", "ntlm")
    assert asked == ["password of LAB\\backup: "]


@pytest.mark.parametrize("written", [b"Secret-1", b"Secret-1\n", b"Secret-1\r\nmore\n"])
def test_a_password_comes_from_a_file_descriptor(double: CaDouble, written: bytes) -> None:
    there, here = os.pipe()
    os.write(here, written)
    os.close(here)
    try:
        done("probe", source(double), "--user", "LAB\\backup", "--auth", "ntlm", "--password-fd", str(there))
    finally:
        os.close(there)


@pytest.mark.parametrize("written", [b"", b"\n", b"\xff\xfe\n", b"x" * 5000])
def test_a_file_descriptor_without_a_password_is_refused(double: CaDouble, written: bytes) -> None:
    there, here = os.pipe()
    os.write(here, written)
    os.close(here)
    result = tokar("probe", source(double), "--user", "a", "--password-fd", str(there))
    os.close(there)
    assert result.exit_code == 2


def test_a_trace_has_no_name_of_an_authority_that_only_the_server_said(tmp_path: Path) -> None:
    with authority(tmp_path, authority="Acme Issuing 2") as double:
        done("probe", source(double, ""), *WHO, "--list", "--trace", tmp_path / "a.trace")
        assert "Acme Issuing 2" in str(tokar("probe", source(double, "/X"), *WHO, "--trace", tmp_path / "b.trace").hint)
    for name in ("a.trace", "b.trace"):
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        stubs = b"".join(bytes.fromhex(line.get("stub", "")) for line in lines).lower()
        assert csra.REQUEST_CLASS in stubs
        assert "acme".encode("utf-16-le") not in stubs


def test_a_trace_replaces_no_file(double: CaDouble, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    result = tokar("probe", source(double), *WHO, "--trace", tmp_path / "there")
    assert result.exit_code == 6
    assert (tmp_path / "there").read_text() == "mine"
    assert tokar("probe", source(double), *WHO, "--trace", tmp_path / "no" / "such").exit_code == 1
    assert tokar("probe", source(double), *WHO, "--trace", "-").exit_code == 2


@pytest.mark.parametrize("option", [("--truncate",), ("--user", "x"), ("--auth", "ntlm"), ("--password-fd", "3")])
def test_a_source_without_a_logon_takes_no_such_option(tmp_path: Path, option: tuple[str, ...]) -> None:
    create_lab(tmp_path / "lab", "certadm").stop()
    result = tokar("backup", f"lab:{tmp_path / 'lab'}", tmp_path / "a.tokar", "--type", "copy", *option)
    assert result.exit_code == 2
    assert f"takes no {option[0]}" in result.error


def test_a_restore_over_the_wire_is_refused_with_the_ways_there_are(double: CaDouble, tmp_path: Path) -> None:
    out = tmp_path / "copy.tokar"
    done("backup", source(double), out, "--type", "copy", *WHO)
    result = tokar("restore", out, "--server", source(double))
    assert result.exit_code == 7
    assert "no restore" in result.error
    assert "--certutil DIR" in result.hint
    assert done("restore", out, "--certutil", tmp_path / "there").exit_code == 0
    assert (tmp_path / "there" / "DataBase" / "certbkxp.dat").is_file()


def test_the_five_lines_of_the_page_do_what_it_says(
    double: CaDouble, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "Secret-1")
    lines = [line.removeprefix("tokar ") for line in PAGE.read_text().splitlines() if line.startswith("tokar ")]
    for line in lines[:4]:
        words = shlex.split(line.replace("ca1.example.com", f"{double.host}:{double.port}").replace("EXAMPLE", "LAB"))
        done(*words)
    assert (tmp_path / "back" / "DataBase" / "certbkxp.dat").is_file()


def test_without_its_package_the_source_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.live.ca.find_spec", lambda _name: None)
    result = tokar("probe", "ca://ca1", "--user", "a")
    assert result.exit_code == 2
    assert "pyspnego is missing" in result.error
    (row,) = [one for one in done("sources", "--json").json()["sources"] if one["scheme"] == "ca"]
    assert (row["usable"], "pyspnego" in row["reason"]) == (False, True)


def run(*arguments: str, **variables: str) -> Result:
    env = {**os.environ, **variables}
    command = [sys.executable, "-m", "tokar", *arguments]
    found = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    return Result(found.returncode, found.stdout, found.stderr)


@pytest.mark.slow
def test_no_password_shows_even_where_everything_is_shown(double: CaDouble, tmp_path: Path) -> None:
    """With TOKAR_DEBUG the cause of an error is shown in full, and the password is no part of it."""
    shown = ("-v", "--log", str(tmp_path / "log"))
    double.exporter.meddle = lambda _number, data: data[:-1] + bytes([data[-1] ^ 1])
    try:
        result = run("probe", source(double), *WHO, *shown, TOKAR_DEBUG="1", CA_PASSWORD="Secret-1")
    finally:
        double.exporter.meddle = lambda _number, data: data
    assert result.exit_code == 1
    assert "Secret-1" not in result.stdout + result.stderr + (tmp_path / "log").read_text()
