"""What `create` says of damaged content: a warning, a record, and success."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import database_file, log_file
from command_line import done, tokar
from small_sets import temporary_database, write

import tokar as library
from tokar.ese.page import PageHeader, seal_page
from tokar.format.writer import ArchiveWriter

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.format.index import Entry


def damaged_database(*pages: int) -> bytes:
    data = bytearray(database_file(5, 5, pages=12))
    for page in pages:
        data[(page + 1) * 4096 + 200] ^= 255
    return bytes(data)


def recorded(archive: Path) -> Any:
    return done("inspect", "--json", archive).json()["archive"]["examination"]


def warnings(text: str) -> list[str]:
    return [line.removeprefix("tokar: warning: ") for line in text.splitlines() if line.startswith("tokar: warning: ")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "in", {"a.edb": damaged_database(2, 5, 6, 9), "edb00005.log": log_file(5)})


def test_a_damaged_page_is_warned_of_recorded_and_kept(tmp_path: Path, folder: Path) -> None:
    out = tmp_path / "a.tokar"
    result = done("create", out, folder)
    assert warnings(result.stderr) == [
        "a.edb has 4 damaged pages (JET_errReadVerifyFailure, -1018), of 12, at byte 0x3000, 0x6000, 0x7000, ..."
    ]
    assert f"\nhint: the files are kept as they are; tokar inspect --pages {out} lists the damage" in result.stderr
    value = recorded(out)
    assert (value["state"], value["files"], value["pages"], value["bad"]) == ("done", 2, 12, 4)
    assert value["entries"][0]["offsets"] == [0x3000, 0x6000, 0x7000, 0xA000]
    with library.open(out) as opened:
        assert opened.read(opened.find("a.edb")) == (folder / "a.edb").read_bytes()


def test_quiet_still_warns(tmp_path: Path, folder: Path) -> None:
    result = done("create", "-q", tmp_path / "a.tokar", folder)
    assert len(warnings(result.stderr)) == 1
    assert "sealed" not in result.stderr


def test_json_has_what_was_recorded_and_the_warning_stays_out_of_it(tmp_path: Path, folder: Path) -> None:
    result = done("create", "--json", tmp_path / "a.tokar", folder)
    assert result.json()["examination"] == recorded(tmp_path / "a.tokar")
    assert len(warnings(result.stderr)) == 1


def test_the_archive_goes_to_standard_output_and_warnings_do_not(folder: Path) -> None:
    archive = subprocess.run(
        [sys.executable, "-m", "tokar", "create", "-", str(folder)], capture_output=True, check=True
    )
    assert archive.stdout.startswith(b"\x89TKR")
    assert len(warnings(archive.stderr.decode())) == 1
    assert b"tokar inspect --pages ARCHIVE lists" in archive.stderr


def test_it_can_be_turned_off(tmp_path: Path, folder: Path) -> None:
    result = done("create", "--no-examine", tmp_path / "a.tokar", folder)
    assert warnings(result.stderr) == []
    assert "content: not verified: not wanted" in result.stderr
    assert recorded(tmp_path / "a.tokar") is None


def test_good_content_is_said_to_be_good(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"a.edb": database_file(5, 5), "edb00005.log": log_file(5)})
    result = done("create", tmp_path / "a.tokar", folder)
    assert "tokar: content: 5 pages and 1 log segment verified, none bad" in result.stderr
    assert warnings(result.stderr) == []


@pytest.mark.parametrize("pages", [12, 300], ids=["in one piece", "in chunks"])
def test_large_and_small_files_are_both_looked_at(tmp_path: Path, pages: int) -> None:
    data = bytearray(database_file(5, 5, pages=pages))
    data[pages * 4096 + 1] ^= 255
    folder = write(tmp_path / "in", {"a.edb": bytes(data)})
    done("create", tmp_path / "a.tokar", folder)
    assert recorded(tmp_path / "a.tokar")["entries"][0]["offsets"] == [pages * 4096]


def test_a_bit_that_the_engine_corrects_is_a_note(tmp_path: Path) -> None:
    pages = [seal_page(PageHeader(dbtime=number).pack() + bytes(4056), number) for number in (1, 2, 3)]
    data = bytearray(database_file(5, 5, pages=0) + b"".join(pages))
    data[3 * 4096 + 200] ^= 1
    folder = write(tmp_path / "in", {"a.edb": bytes(data), "edb00005.log": log_file(5)})
    result = done("create", tmp_path / "a.tokar", folder)
    assert warnings(result.stderr) == []
    assert "note: a.edb has 1 page with a flipped bit that the engine corrects" in result.stderr
    assert "content: 3 pages and 1 log segment verified, none bad, 1 correctable" in result.stderr


def test_a_damaged_log_header_is_a_warning(tmp_path: Path) -> None:
    data = bytearray(log_file(5))
    data[60] ^= 1
    folder = write(tmp_path / "in", {"a.edb": database_file(5, 5), "edb00005.log": bytes(data)})
    result = done("create", tmp_path / "a.tokar", folder)
    (warning,) = warnings(result.stderr)
    assert warning.startswith("edb00005.log cannot be read as a log: the log header is damaged")


def test_a_temporary_database_is_not_verified_and_no_warning(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"tmp.edb": temporary_database()})
    result = done("create", tmp_path / "a.tokar", f"database={folder / 'tmp.edb'}")
    assert warnings(result.stderr) == []
    assert "tmp.edb is not verified: the pages of a temporary database carry no checksums" in result.stderr
    assert recorded(tmp_path / "a.tokar")["not_verified"] == 1


def test_many_damaged_files_are_not_all_printed(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {f"{number:02}.edb": damaged_database(2) for number in range(22)})
    printed = warnings(done("create", tmp_path / "a.tokar", folder).stderr)
    found = [line for line in printed if "JET_errReadVerifyFailure, -1018" in line or "files have damage" in line]
    assert len(found) == 21
    assert found[-1] == "2 more files have damage; the archive lists them"
    assert len(recorded(tmp_path / "a.tokar")["entries"]) == 22


def test_a_file_that_changes_meanwhile_is_still_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "in", {"a.edb": database_file(5, 5, pages=600)})
    original = ArchiveWriter.add

    def grows(*arguments: Any, **options: Any) -> Entry:
        added = original(*arguments, **options)
        with (folder / "a.edb").open("ab") as file:
            file.write(b"more")
        return added

    monkeypatch.setattr(ArchiveWriter, "add", grows)
    result = tokar("create", tmp_path / "a.tokar", folder)
    assert result.exit_code == 1
    assert "changed while" in result.error
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.samples
def test_the_sample_with_a_bad_tail_is_warned_of_and_kept(tmp_path: Path, samples: Path) -> None:
    out = tmp_path / "a.tokar"
    result = done("create", out, samples / "dissect")
    (warning,) = warnings(result.stderr)
    assert warning.startswith(
        "SRUDB.dat has 16 damaged pages (JET_errReadVerifyFailure, -1018), of 158, at byte 0x90000"
    )
    value = recorded(out)
    assert (value["files"], value["pages"], value["bad"]) == (4, 1432, 16)
    (bad,) = [one for one in value["entries"] if one.get("problems")]
    assert (bad["name"], bad["bad"], len(bad["offsets"])) == ("SRUDB.dat", 16, 16)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "pages", "segments"),
    [("win10-srum-rathbun", 190, 91), ("xp64-catroot2", 768, 186), ("dhcp-streaming-backup-redacted", 512, 0)],
)
def test_good_samples_are_verified_to_the_last_page(
    tmp_path: Path, samples: Path, name: str, pages: int, segments: int
) -> None:
    done("create", tmp_path / "a.tokar", samples / name)
    value = recorded(tmp_path / "a.tokar")
    assert (value["pages"], value["segments"], value["bad"], value["not_verified"]) == (pages, segments, 0, 0)


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dhcp-streaming-backup-redacted", "512 empty pages without a checksum"),
        ("xp64-catroot2", "593 pages and 186 log ranges verified, none bad, 175 empty pages without a checksum"),
    ],
)
def test_pages_with_a_checksum_are_counted_apart_from_empty_ones(
    samples: Path, tmp_path: Path, name: str, content: str
) -> None:
    assert f"tokar: content: {content}\n" in done("create", tmp_path / "a.tokar", samples / name).stderr


@pytest.mark.samples
def test_a_database_whose_log_is_missing_is_warned_of_at_once(samples: Path, tmp_path: Path) -> None:
    found = done("create", "-q", tmp_path / "a.tokar", samples / "ual-hyperv")
    assert "warning: Current.mdb: log 0x7C is missing" in found.stderr


@pytest.mark.samples
def test_a_set_that_can_be_recovered_is_not_warned_of(samples: Path, tmp_path: Path) -> None:
    found = done("create", "-q", tmp_path / "a.tokar", samples / "win10-srum-belkasoft-dirty")
    assert "cannot be recovered" not in found.stderr
