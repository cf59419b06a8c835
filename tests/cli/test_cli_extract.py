from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from command_line import done, process, tokar
from small_sets import contents

import tokar as library

if TYPE_CHECKING:
    from pathlib import Path

LARGE = bytes(range(256)) * 8192 + bytes(3 << 20)


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An archive, with its folder as the current one."""
    monkeypatch.chdir(tmp_path)
    with library.create("a.tokar", profile="certadm") as writer:
        writer.add(0x44, "\\\\CA1\\C$\\L\\CA.edb", io.BytesIO(LARGE))
        writer.add(0x21, "logs/edb.log", io.BytesIO(b"log"))
        writer.add(0x25, "logs/edb.log", io.BytesIO(b"patch"))
        writer.add(0x0F, b"\xff", io.BytesIO(b"odd"))
        writer.add(0x0F, "-", io.BytesIO(b"dash"))
    return tmp_path / "a.tokar"


@pytest.mark.parametrize("name", ["\\\\CA1\\C$\\L\\CA.edb", "CA.edb", "ca.EDB", "#0"])
def test_an_entry_is_named_by_its_name_its_last_part_or_its_number(archive: Path, name: str) -> None:
    result = done("extract", archive, name)
    assert (archive.parent / "CA.edb").read_bytes() == LARGE
    assert result.stderr.startswith("tokar: extracted \\\\CA1\\C$\\L\\CA.edb to CA.edb: 5.0 MiB, digest ")


def test_a_file_may_be_named_for_it(archive: Path, tmp_path: Path) -> None:
    done("extract", archive, "CA.edb", "-o", tmp_path / "new", "--quiet")
    assert (tmp_path / "new").read_bytes() == LARGE


def test_an_entry_that_shares_its_name_is_told_by_its_token(archive: Path) -> None:
    result = tokar("extract", archive, "edb.log")
    assert result.exit_code == 2
    assert result.error == f"2 entries have the name edb.log: #1 logs/edb.log, #2 logs/edb.log ({archive})"
    assert result.hint == "name one by its whole name, or by #NUMBER as tokar inspect --entries shows it"
    done("extract", archive, "edb.log", "--token", "patch")
    assert (archive.parent / "edb.log").read_bytes() == b"patch"


def test_standard_output_gets_the_bytes_and_nothing_else(archive: Path) -> None:
    result = process("extract", archive, "CA.edb", "-o", "-")
    assert (result.returncode, result.stdout, result.stderr) == (0, LARGE, b"")


def test_a_name_that_is_no_text_is_named_as_it_is_shown(archive: Path, tmp_path: Path) -> None:
    result = tokar("extract", archive, "<FF>")
    assert result.exit_code == 6
    assert result.error == "the name <FF> cannot be decoded (code page 0)"
    assert result.hint == "say where it goes: --output FILE"
    done("extract", archive, "<FF>", "-o", tmp_path / "odd")
    assert (tmp_path / "odd").read_bytes() == b"odd"


def test_an_entry_called_like_standard_output_becomes_a_file(archive: Path) -> None:
    done("extract", archive, "#4")
    assert (archive.parent / "-").read_bytes() == b"dash"


def test_what_is_there_is_replaced_only_with_force(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "CA.edb").write_bytes(b"mine")
    result = tokar("extract", archive, "CA.edb")
    assert result.exit_code == 6
    assert result.error == "a file is there already (CA.edb)"
    assert result.hint == "choose another name with --output, or pass --force"
    assert (tmp_path / "CA.edb").read_bytes() == b"mine"
    done("extract", archive, "CA.edb", "--force")
    assert (tmp_path / "CA.edb").read_bytes() == LARGE


def test_a_folder_is_no_file_to_write_to(archive: Path, tmp_path: Path) -> None:
    result = tokar("extract", archive, "CA.edb", "-o", tmp_path)
    assert result.exit_code == 1
    assert result.error == f"it is a directory ({tmp_path})"
    assert result.hint == "name a file with --output"


@pytest.mark.parametrize("name", ["gone", "#5", "#99999999999", "#\u00b2", "#", "#-1", "", "ca.edb.old"])
def test_an_entry_that_is_not_there_is_refused(archive: Path, name: str) -> None:
    result = tokar("extract", archive, name)
    assert result.exit_code == 2
    assert str(archive) in result.error
    assert "tokar inspect --entries" in result.hint
    assert set(contents(archive.parent)) == {"a.tokar"}


def test_a_token_that_does_not_exist_is_refused(archive: Path) -> None:
    result = tokar("extract", archive, "CA.edb", "--token", "ntds")
    assert result.exit_code == 2
    assert result.error == "'ntds' is no token of the profile certadm"


def test_damage_leaves_no_file(archive: Path) -> None:
    with library.open(archive) as opened:
        position = opened.entry(1).file_position - 400
    data = bytearray(archive.read_bytes())
    data[position] ^= 1
    archive.write_bytes(data)
    result = tokar("extract", archive, "CA.edb")
    assert result.exit_code == 4
    assert f"({archive}, at byte " in result.error
    assert set(contents(archive.parent)) == {"a.tokar"}


def test_damage_shows_in_the_exit_code_of_a_pipe(archive: Path) -> None:
    with library.open(archive) as opened:
        position = opened.entry(0).file_position + 200
    data = bytearray(archive.read_bytes())
    data[position] ^= 1
    archive.write_bytes(data)
    result = process("extract", archive, "CA.edb", "-o", "-")
    assert (result.returncode, result.stdout) == (4, b"")


def test_an_interrupt_leaves_no_file(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokar.storage.sink.FileSink.write", interrupt)
    assert tokar("extract", archive, "CA.edb").exit_code == 130
    assert set(contents(archive.parent)) == {"a.tokar"}


def test_json_says_what_was_written(archive: Path, tmp_path: Path) -> None:
    answer = done("extract", "--json", archive, "CA.edb", "-o", tmp_path / "x").json()
    assert (answer["path"], answer["entry"]["size"]) == (str(tmp_path / "x"), len(LARGE))


def test_json_and_the_file_cannot_both_go_to_standard_output(archive: Path) -> None:
    result = tokar("extract", archive, "CA.edb", "--json", "-o", "-")
    assert result.exit_code == 2
    assert result.json()["error"]["kind"] == "usage"


@pytest.mark.parametrize("name", ["a.tokar", "link.tokar"])
def test_a_file_does_not_replace_the_archive_that_it_is_read_from(archive: Path, name: str) -> None:
    (archive.parent / "link.tokar").symlink_to("a.tokar")
    before = archive.read_bytes()
    result = tokar("extract", archive, "CA.edb", "--force", "-o", name)
    assert result.exit_code == 2
    assert result.error == f"it would replace the file that is being read ({name})"
    assert archive.read_bytes() == before
