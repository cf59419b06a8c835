"""`tokar backup` as it is run: every kind, the set before, refusals, and servers in trouble."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
import troubled_servers
from chain_sets import DATABASE, dirty, part
from command_line import InThisProcess, done, tokar
from small_sets import write

import tokar as library
from tokar.format.verify import verify
from tokar.lab.lab import create_lab, open_lab
from tokar.sets.receipt import Truncation, read_receipt, receipt_path

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.lab.lab import Lab
    from tokar.server.contract import Server


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.server.deadline.DeadlineServer", InThisProcess)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return made(tmp_path, "certadm")


def made(folder: Path, profile: str, work: int = 20) -> Lab:
    lab = create_lab(folder / "lab", profile)
    lab.work(work)
    lab.stop()
    return lab


def work(lab: Lab, transactions: int = 30) -> None:
    opened = open_lab(lab.folder)
    opened.work(transactions)
    opened.stop()


def logs_on_disk(lab: Lab) -> set[str]:
    return {path.name for path in lab.place.logs.iterdir()}


def source(lab: Lab) -> str:
    return f"lab:{lab.folder}"


def troubled(monkeypatch: pytest.MonkeyPatch, server: Callable[[str], Server]) -> None:
    for name in ("open_server", "_open_there"):  # here, and in a process of its own
        monkeypatch.setattr(f"tokar.cli.sources.{name}", server)


def test_a_full_in_a_process_of_its_own(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "full.tokar"
    result = done("backup", source(lab), out, "--type", "full", "--deadline", "30")
    assert f"sealed {out}: full, 3 entries" in result.stdout
    assert "truncation: done" in result.stdout
    assert "tokar: reading " in result.stderr
    assert read_receipt(receipt_path(out)).truncation is Truncation.DONE
    with library.open(out) as archive:
        verify(archive, content=True).demand()
        assert f"root {archive.root.hex()}; receipt {receipt_path(out)}" in result.stdout


@pytest.mark.usefixtures("here")
def test_json_is_one_value_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "full.tokar"
    result = done("backup", source(lab), out, "--type", "full", "--json")
    assert result.stderr == ""
    found = result.json()
    with library.open(out) as archive:
        assert found["archive"] == {
            "path": str(out),
            "id": archive.id.hex(),
            "root": archive.root.hex(),
            "size": out.stat().st_size,
            "entries": archive.entry_count,
        }
    assert (found["asked"], found["took"], found["refusal"], found["truncation"]) == ("full", "full", None, "done")
    assert found["generations"]["low"] <= found["generations"]["high"]
    assert found["damaged"] == []
    assert found["outcome"] == {"word": "RESTORABLE", "why": None}
    assert all("disk" in note or "memory" in note for note in found["notes"])  # of where this test writes


@pytest.mark.usefixtures("here")
def test_quiet_prints_nothing(lab: Lab, tmp_path: Path) -> None:
    result = done("backup", source(lab), tmp_path / "a.tokar", "--type", "copy", "--quiet")
    assert (result.stdout, result.stderr) == ("", "")


@pytest.mark.usefixtures("here")
def test_name_and_remark_are_kept(lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "a.tokar"
    done("backup", source(lab), out, "--type", "copy", "--name", "Monday", "--annotation", "before the move", "-q")
    with library.open(out) as archive:
        assert archive.head.text("name") == "Monday"
        assert archive.head.text("annotation") == "before the move"
        assert archive.head.text("server") == "CA1.lab.example"


@pytest.mark.usefixtures("here")
def test_a_copy_and_a_differential_leave_every_log(lab: Lab, tmp_path: Path) -> None:
    done("backup", source(lab), tmp_path / "full.tokar", "--type", "full", "-q")
    work(lab)
    for kind in ("copy", "differential"):
        before = logs_on_disk(lab)
        result = done("backup", source(lab), tmp_path / f"{kind}.tokar", "--type", kind)
        assert "truncation: not-intended" in result.stdout
        assert before <= logs_on_disk(lab)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("how", ["archive", "receipt", "chain"])
def test_an_incremental_goes_on_from_the_set_before(how: str, lab: Lab, tmp_path: Path) -> None:
    full = tmp_path / "full.tokar"
    done("backup", source(lab), full, "--type", "full", "-q")
    work(lab)
    after = {"archive": ("--after", full), "receipt": ("--after", receipt_path(full)), "chain": ("--chain", tmp_path)}
    out = tmp_path / "next.tokar"
    result = done("backup", source(lab), out, "--type", "incremental", *after[how])
    assert "incremental" in result.stdout
    assert "truncation: done" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("PART OF A CHAIN: needs a full that reaches 0x")
    assert "\nbeside: save by other means, tokar does not judge it: the key" in result.stdout
    with library.open(out) as archive, library.open(full) as first:
        assert archive.head.extra["prior"] == {"id": first.id.hex(), "root": first.root.hex()}


@pytest.mark.usefixtures("here")
def test_after_and_chain_exclude_each_other(lab: Lab, tmp_path: Path) -> None:
    arguments = ("--type", "incremental", "--after", tmp_path / "a", "--chain", tmp_path)
    result = tokar("backup", source(lab), tmp_path / "a.tokar", *arguments)
    assert result.exit_code == 2
    assert "exclude each other" in result.error


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("how", ["--after", "--chain"])
def test_a_set_before_that_is_not_there_is_refused_before_anything_is_made(how: str, lab: Lab, tmp_path: Path) -> None:
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", "incremental", how, tmp_path / "nowhere")
    assert result.exit_code in {1, 2}
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["full", "copy"])
def test_a_kind_that_follows_nothing_takes_no_set_before(kind: str, lab: Lab, tmp_path: Path) -> None:
    full = tmp_path / "full.tokar"
    done("backup", source(lab), full, "--type", "copy", "-q")
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", kind, "--after", full)
    assert result.exit_code == 2
    assert f"a {kind} backup follows no other" in result.error
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.usefixtures("here")
def test_an_incremental_without_a_set_before_is_refused_with_the_way_on(lab: Lab, tmp_path: Path) -> None:
    done("backup", source(lab), tmp_path / "full.tokar", "--type", "full", "-q")
    before = logs_on_disk(lab)
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", "incremental")
    assert result.exit_code == 7
    assert "--after PRIOR" in result.hint
    assert logs_on_disk(lab) == before, "Prepare was not called"


@pytest.mark.usefixtures("here")
def test_logs_only_that_is_refused_says_why_in_words_and_code(lab: Lab, tmp_path: Path) -> None:
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", "differential")
    assert result.exit_code == 7
    assert "no full backup has been taken" in result.error
    assert "hrFullBackupNotTaken, 0xC7FF000E" in result.error
    assert "--or-full" in result.hint
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.usefixtures("here")
def test_a_full_stands_in_when_asked_and_says_so(lab: Lab, tmp_path: Path) -> None:
    before = logs_on_disk(lab)
    result = done("backup", source(lab), tmp_path / "a.tokar", "--type", "differential", "--or-full")
    assert "logs only was refused" in result.stdout
    assert "took a copy instead" in result.stdout
    assert before <= logs_on_disk(lab), "what stands in for a differential truncates nothing"
    found = done("backup", source(lab), tmp_path / "b.tokar", "--type", "differential", "--or-full", "--json").json()
    assert (found["asked"], found["took"]) == ("differential", "copy")
    assert "0xC7FF000E" in found["refusal"]


@pytest.mark.usefixtures("here")
def test_or_full_answers_only_the_documented_reasons(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tokar.lab.calls import Injection, InjectionKind  # noqa: PLC0415 - only here

    fault = Injection(InjectionKind.FAIL, "prepare_backup", code=-1032)
    troubled(monkeypatch, lambda named: troubled_servers.with_fault(named, fault))
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", "differential", "--or-full")
    assert result.exit_code == 1
    assert "-1032" in result.error
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.usefixtures("here")
def test_active_directory_has_no_logs_only(tmp_path: Path) -> None:
    lab = made(tmp_path, "ntdsbcli")
    result = tokar("backup", source(lab), tmp_path / "a.tokar", "--type", "differential")
    assert result.exit_code == 7
    assert "no backup of logs only" in result.error


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("what", ["archive", "receipt"])
def test_an_archive_that_is_there_is_refused_before_prepare(what: str, lab: Lab, tmp_path: Path) -> None:
    out = tmp_path / "a.tokar"
    there = out if what == "archive" else receipt_path(out)
    there.write_bytes(b"precious")
    before = logs_on_disk(lab)
    result = tokar("backup", source(lab), out, "--type", "full")
    assert result.exit_code == 6
    assert there.read_bytes() == b"precious"
    assert logs_on_disk(lab) == before, "the log would have rolled over"


@pytest.mark.usefixtures("here")
def test_a_gap_after_the_set_before_keeps_the_archive_and_every_log(lab: Lab, tmp_path: Path) -> None:
    names = ["0", "1", "2"]
    for name in names:
        work(lab, 40)
        kind = ("full",) if name == "0" else ("incremental", "--after", tmp_path / f"{int(name) - 1}.tokar")
        done("backup", source(lab), tmp_path / f"{name}.tokar", "-q", "--type", *kind)
    work(lab, 40)
    before = logs_on_disk(lab)
    out = tmp_path / "a.tokar"
    result = tokar("backup", source(lab), out, "--type", "incremental", "--after", tmp_path / "0.tokar", "--json")
    assert result.exit_code == 9
    assert "are in neither set" in result.json()["error"]["message"]
    assert out.exists()
    assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED
    assert before <= logs_on_disk(lab)


@pytest.mark.usefixtures("here")
def test_damage_is_the_exit_code_for_a_bad_set(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubled(monkeypatch, troubled_servers.damaged)
    out = tmp_path / "a.tokar"
    result = tokar("backup", source(lab), out, "--type", "full")
    assert result.exit_code == 9
    assert "the archive is kept, but the set has damage" in result.error
    assert "--accept-damage" in result.hint
    assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED


@pytest.mark.usefixtures("here")
def test_damage_that_is_accepted_still_truncates_nothing(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled(monkeypatch, troubled_servers.damaged)
    result = done("backup", source(lab), tmp_path / "a.tokar", "--type", "full", "--accept-damage")
    assert "truncation: not-licensed" in result.stdout
    assert re.search(r"damaged: .*priv\.edb has ", result.stdout)
    assert "accepting damage does not license it" in result.stdout


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("server", "words"),
    [(troubled_servers.not_truncating, "the logs were not truncated"), (troubled_servers.not_ending, "End failed")],
)
def test_what_fails_after_the_seal_is_partial(
    server: Callable[[str], Server], words: str, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled(monkeypatch, server)
    out = tmp_path / "a.tokar"
    result = tokar("backup", source(lab), out, "--type", "full", "--json")
    assert result.exit_code == 8
    assert words in result.json()["error"]["message"]
    assert result.json()["error"]["exit_code"] == 8
    with library.open(out) as archive:
        verify(archive, content=True).demand()


@pytest.mark.usefixtures("here")
def test_a_server_that_fails_leaves_no_archive(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubled(monkeypatch, troubled_servers.failing)
    before = logs_on_disk(lab)
    out = tmp_path / "a.tokar"
    result = tokar("backup", source(lab), out, "--type", "full")
    assert result.exit_code == 1
    assert "-1022" in result.error
    assert not out.exists()
    assert before <= logs_on_disk(lab)
    assert read_receipt(receipt_path(out)).outcome == "failed", "this dialect cannot say that a backup failed"


def test_a_read_that_hangs_ends_with_the_deadline(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    troubled(monkeypatch, troubled_servers.hanging)
    out = tmp_path / "a.tokar"
    before = logs_on_disk(lab)
    result = tokar("backup", source(lab), out, "--type", "full", "--deadline", "0.5", "--quiet")
    assert result.exit_code == 1
    assert "read was not answered: nothing came in 0.5 seconds" in result.error
    assert "hangs" in result.hint
    assert not out.exists()
    told = read_receipt(receipt_path(out))
    assert (told.outcome, told.end["result"]) == ("failed", "unanswered")
    assert before <= logs_on_disk(lab)


def test_a_directory_is_copied_and_nothing_else(lab: Lab, tmp_path: Path) -> None:
    folder = lab.place.logs
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    out = tmp_path / "a.tokar"
    assert "took" not in done("backup", f"dir:{folder}", out, "--type", "copy").stdout
    with library.open(out) as archive:
        verify(archive, content=True).demand()
        assert archive.entry_count >= 3
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["full", "incremental", "differential"])
def test_every_other_kind_of_a_directory_is_refused(kind: str, lab: Lab, tmp_path: Path) -> None:
    result = tokar("backup", f"dir:{lab.place.logs}", tmp_path / "a.tokar", "--type", kind)
    assert result.exit_code == 7
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.parametrize("named", ["nonsense", "ftp:x", "lab:", "dir:/nowhere/at/all"])
def test_a_source_that_makes_no_sense_is_an_error_of_usage(named: str, tmp_path: Path) -> None:
    result = tokar("backup", named, tmp_path / "a.tokar", "--type", "copy", "--json")
    assert result.exit_code == 2
    assert result.json()["error"]["kind"] == "usage"
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.parametrize(
    "arguments",
    [(), ("--type", "weekly"), ("--type", "full", "--compress", "lzma"), ("--type", "full", "--deadline", "0")],
    ids=["no type", "unknown type", "unknown compression", "no time at all"],
)
def test_wrong_arguments_are_errors_of_usage(arguments: tuple[str, ...], lab: Lab, tmp_path: Path) -> None:
    result = tokar("backup", source(lab), tmp_path / "a.tokar", *arguments)
    assert result.exit_code == 2
    assert not (tmp_path / "a.tokar").exists()
    assert result.error


@pytest.mark.usefixtures("here")
def test_the_compression_that_was_asked_for_is_used(lab: Lab, tmp_path: Path) -> None:
    sizes = []
    for name in ("none", "zstd:9"):
        out = tmp_path / f"{name[:4]}.tokar"
        done("backup", source(lab), out, "--type", "copy", "-q", "--compress", name)
        sizes.append(out.stat().st_size)
    assert sizes[0] > sizes[1]


@pytest.mark.usefixtures("here")
def test_a_set_at_rest_that_cannot_be_recovered_is_not_sealed_without_a_word(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", {DATABASE: bytes(dirty(5, 7)), **part(5, 6)})
    result = done("backup", "--quiet", f"dir:{folder}", tmp_path / "a.tokar", "--type", "copy")
    assert result.stderr == (
        f"tokar: warning: {tmp_path}/a.tokar is sealed, and NOT RESTORABLE: main.edb: log 0x7 is missing; "
        f"all of it: tokar check {tmp_path}/a.tokar\n"
    )
