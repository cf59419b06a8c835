"""`tokar report`: the page, and the verdict of check beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, dirty, full, part
from command_line import done, process, tokar
from encrypted import make_identity
from report_pages import Page
from small_sets import write

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return full(tmp_path).path


def test_the_page_is_written_and_the_last_line_is_the_verdict(path: Path, tmp_path: Path) -> None:
    lines = done("report", path, "-o", tmp_path / "a.html").stdout.splitlines()
    assert lines[0].startswith(f"report: {tmp_path / 'a.html'}, ")
    assert lines[-1] == done("check", path).stdout.splitlines()[-1]


def test_the_page_is_called_report_html_here_by_default(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done("report", path, "-q")
    assert (tmp_path / "report.html").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("options", [(), ("--json",), ("-q",)])
def test_a_set_that_cannot_be_restored_has_a_page_and_exits_9(options: tuple[str, ...], tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {DATABASE: bytes(dirty(5, 7)), **part(5, 6)})
    result = tokar("report", folder, "-o", tmp_path / "a.html", *options)
    assert result.exit_code == 9
    assert "NOT RESTORABLE" in Page((tmp_path / "a.html").read_text()).text


def test_json_says_where_the_page_is_and_what_it_comes_to(path: Path, tmp_path: Path) -> None:
    value = done("report", path, "-o", tmp_path / "a.html", "--content", "--json").json()
    assert value == {
        "schema": "tokar/report/1",
        "path": str(tmp_path / "a.html"),
        "ok": True,
        "outcome": {"word": "RESTORABLE", "why": None},
        "beside": [],
        "signed_by": None,
    }


def test_a_file_that_is_there_is_kept_unless_forced(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.html"
    out.write_text("mine")
    result = tokar("report", path, "-o", out)
    assert (result.exit_code, result.error) == (6, f"a file is there already ({out})")
    assert result.hint == "choose another name with --output, or pass --force"
    assert out.read_text() == "mine"
    done("report", path, "-o", out, "--force")
    assert out.read_text() != "mine"


def test_the_page_goes_to_standard_output_alone_when_asked(path: Path) -> None:
    completed = process("report", path, "-o", "-")
    assert completed.returncode == 0
    assert Page(completed.stdout.decode()).root.all("h1")
    assert completed.stdout.rstrip().endswith(b"</html>")


def test_json_and_the_page_do_not_share_standard_output(path: Path) -> None:
    result = tokar("report", path, "-o", "-", "--json")
    assert (result.exit_code, result.hint) == (2, "name a file with --output")


def test_a_folder_is_no_place_for_a_page(path: Path, tmp_path: Path) -> None:
    result = tokar("report", path, "-o", tmp_path, "--force")
    assert (result.exit_code, result.error) == (1, f"it is a directory ({tmp_path})")


@pytest.mark.parametrize("name", ["none.tokar", "none"])
def test_what_is_not_there_is_an_error_and_leaves_no_page(name: str, tmp_path: Path) -> None:
    assert tokar("report", tmp_path / name, "-o", tmp_path / "a.html").exit_code in {1, 3}
    assert not (tmp_path / "a.html").exists()


def test_an_empty_folder_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert tokar("report", tmp_path / "empty", "-o", tmp_path / "a.html").exit_code == 2
    assert not (tmp_path / "a.html").exists()


def test_redact_takes_the_names_out_of_the_page_alone(tmp_path: Path) -> None:
    made = full(tmp_path, profile="certadm", server="CONTOSO-CA1")
    out = tmp_path / "a.html"
    result = done("report", made.path, "-o", out, "--redact")
    assert "CONTOSO" not in out.read_text()
    assert str(out) in result.stdout


def test_encrypted_content_is_looked_at_with_an_identity(tmp_path: Path) -> None:
    mine = make_identity(tmp_path)
    folder = write(tmp_path / "set", {DATABASE: bytes(dirty(5, 7)), **part(5, 7)})
    done("create", "-q", tmp_path / "e.tokar", folder, "--recipients-file", f"{mine}.pub")
    locked = tokar("report", "--content", tmp_path / "e.tokar", "-o", tmp_path / "locked.html")
    assert locked.exit_code == 9
    assert "encrypted, and no identity was given" in Page((tmp_path / "locked.html").read_text()).text
    done("report", "--content", tmp_path / "e.tokar", "-o", tmp_path / "a.html", "--identity", mine)


def test_unsigned_archives_are_refused_where_a_signature_is_asked_for(path: Path, tmp_path: Path) -> None:
    signers = tmp_path / "signers"
    signers.write_text("")
    result = tokar("report", path, "-o", tmp_path / "a.html", "--signed-by", signers)
    assert result.exit_code in {1, 2, 10}
    assert not (tmp_path / "a.html").exists()
