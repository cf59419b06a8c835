from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from ese_files import STREAM
from recovery_sets import (
    DATABASE,
    OTHER_STREAM,
    archive,
    database,
    dirty,
    flip,
    logs,
    moment,
    prior_of,
    streaming,
    write,
)

from tokar.ese.values import LogPosition
from tokar.format.archive import Archive
from tokar.format.bodies import TAIL_SIZE, Tail
from tokar.format.records import build_head
from tokar.sets.receipt import ArchiveTold, BackupTold, LogTold, Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ALL = logs(5, 11)


def part(low: int, high: int) -> dict[str, bytes]:
    return {f"edb{generation:05X}.log": ALL[f"edb{generation:05X}.log"] for generation in range(low, high + 1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    full = archive(tmp_path / "full.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)})
    inc1 = archive(tmp_path / "inc1.tokar", part(8, 9), kind="logs", prior=prior_of(full))
    archive(tmp_path / "inc2.tokar", part(10, 11), kind="logs", prior=prior_of(inc1))
    return tmp_path


def test_a_folder_is_shown_as_a_tree_on_a_line_of_generations(folder: Path) -> None:
    lines = done("chain", folder).stdout.splitlines()
    assert lines[:5] == [
        "log stream edb, 0x5-0xB",
        "  full.tokar          full  0x5-0x7  █████████············  not proven",
        "    inc1.tokar        logs  0x8-0x9  ·········██████······  not proven",
        "      inc2.tokar      logs  0xA-0xB  ···············██████  not proven",
        "  needed by main.edb        0x5-0x7  ├───────┤············  present",
    ]
    assert f"{folder / 'full.tokar'}: logs 0x5-0xB can be played, by hard recovery" in lines


def test_streams_of_another_scale_are_drawn_apart(folder: Path) -> None:
    other = logs(0x90000, 0x90003, stream=OTHER_STREAM)
    archive(folder / "other.tokar", other, kind="logs")
    lines = tokar("chain", folder).stdout.splitlines()
    assert lines[0] == "log stream edb, 0x5-0xB"
    at = lines.index("log stream edb, 0x90000-0x90003")
    assert lines[at + 1] == "  other.tokar  logs  0x90000-0x90003  ████████████  part of a chain"


def test_both_streams_of_a_set_have_a_line_of_their_own(tmp_path: Path) -> None:
    renamed = {name.replace(".log", ".jtx"): data for name, data in logs(0x1001, 0x1002, stream=OTHER_STREAM).items()}
    archive(tmp_path / "a.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 7), **renamed})
    lines = tokar("chain", tmp_path / "a.tokar").stdout.splitlines()
    assert lines[1].split()[2:4] == ["0x5-0x7", "█████████"]
    at = lines.index("log stream edb, 0x1001-0x1002")
    assert lines[at + 1].split() == ["a.tokar", "full", "0x1001-0x1002", "██████"], "its verdict is said once"
    assert lines[at + 2].split() == ["left", "out", "0x1001-0x1002", "○○○○○○"]


def test_a_set_that_nobody_can_judge_ends_as_check_does(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tokar", {DATABASE: bytes(database(raw_state=5)), **part(5, 7)}).path
    result = tokar("chain", path)
    assert (result.exit_code, tokar("check", path).exit_code) == (9, 9)
    assert result.stdout.splitlines()[1].endswith("  NOT PROVEN")
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: main.edb: what a database in the state")


def test_archives_can_be_named_one_by_one(folder: Path) -> None:
    out = done("chain", folder / "inc1.tokar", folder / "full.tokar").stdout
    assert out.index("full.tokar") < out.index("inc1.tokar")


def test_a_hole_is_named_and_exits_9(folder: Path) -> None:
    (folder / "inc1.tokar").unlink()
    result = tokar("chain", folder)
    assert result.exit_code == 9
    assert "! logs 0x8-0x9 are in none of the sets" in result.stdout
    assert "NOT RESTORABLE" in result.stdout


def test_a_receipt_tells_which_archive_is_missing(folder: Path) -> None:
    (folder / "inc1.tokar").unlink()
    value = Receipt(
        "sealed",
        Truncation.DONE,
        archive={"id": "ab" * 16, "root": "cd" * 32},
        backup={"took": "incremental", "generations": {"low": 8, "high": 9}},
    )
    write_receipt(folder / "inc1.tokar", value)
    out = tokar("chain", folder).stdout
    assert f"next: add the archive that {folder / 'inc1.tokar.receipt.json'} belongs to" in out


def test_logs_without_a_full_are_part_of_a_chain_as_check_says(folder: Path) -> None:
    lines = done("chain", folder / "inc1.tokar", folder / "inc2.tokar").stdout.splitlines()
    assert [line.rsplit("  ", 1)[1] for line in lines if " logs  " in line] == ["part of a chain"] * 2
    assert (
        f"  note: {folder / 'inc1.tokar'} has no database, and no set with the databases of its log stream is here"
        in lines
    )
    assert lines[-1] == "PART OF A CHAIN: needs a full that reaches 0x7"
    checked = done("check", folder / "inc1.tokar").stdout.splitlines()
    assert checked[-1] == lines[-1]


def test_damaged_logs_without_a_full_exit_9(folder: Path) -> None:
    gone = archive(folder / "gone.tokar", {**part(8, 8), **part(10, 10)}, kind="logs")
    result = tokar("chain", gone.path)
    assert result.exit_code == 9
    assert result.stdout.splitlines()[1:3] == [
        "  gone.tokar  logs  0x8-0xA  ███···███  NOT RESTORABLE",
        "  missing           0x9      ···!!!···",
    ]
    assert result.stdout.splitlines()[-1].startswith("NOT RESTORABLE: log 0x9 is missing between")


def test_the_last_line_is_about_the_worst_set(folder: Path) -> None:
    assert (
        done("chain", folder).stdout.splitlines()[-1]
        == "NOT PROVEN: pages and log segments were not verified (tokar check --content)"
    )
    assert done("chain", "--content", folder).stdout.splitlines()[-1] == "RESTORABLE"
    (folder / "inc1.tokar").unlink()
    last = tokar("chain", folder).stdout.splitlines()[-1]
    assert last == "NOT RESTORABLE: logs 0x8-0x9 are in none of the sets"
    (folder / "full.tokar").write_bytes((folder / "full.tokar").read_bytes()[:-20])
    assert tokar("chain", folder).stdout.splitlines()[-1].startswith("NOT RESTORABLE: cannot be read: ")


def test_an_archive_that_cannot_be_read_does_not_hide_the_others(folder: Path) -> None:
    cut = (folder / "inc2.tokar").read_bytes()[:-20]
    (folder / "inc2.tokar").write_bytes(cut)
    named = tokar("chain", *sorted(folder.iterdir()))
    assert named.exit_code == 5
    assert "inc1.tokar" in named.stdout
    assert "cannot be read: it ends" in named.stdout
    assert named.stdout.count("NOT RESTORABLE") == 0
    assert named.stdout.splitlines()[-1].startswith("NOT PROVEN: cannot be read: it ends")


VERBS = (
    ["check"],
    ["check", "--content"],
    ["chain"],
    ["chain", "--content"],
    ["restore", "--dry-run", "--into", "out"],
)


def cut(path: Path) -> bytes:
    return path.read_bytes()[:-20]


def flipped(path: Path) -> bytes:
    with Archive(path) as opened:
        at = next(row.position for row in opened.rows if row.kind == b"INDX") + 60
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("damage", "code"), [(cut, 5), (flipped, 4), (lambda _: b"nothing of it", 3)], ids=["cut", "flipped", "overwritten"]
)
def test_an_archive_of_a_folder_that_cannot_be_read_is_in_the_verdict_of_every_verb(
    damage: Callable[[Path], bytes], code: int, folder: Path
) -> None:
    newest = folder / "inc2.tokar"
    newest.write_bytes(damage(newest))
    said = {}
    for verb in VERBS:
        for given in ([folder], [*sorted(folder.iterdir())]):
            chain = ["--chain"] * (verb[0] == "restore" and given == [folder])
            result = tokar(*verb, *chain, *given)
            said[" ".join(map(str, [*verb, *chain]))] = result.stdout.splitlines()[-1], result.exit_code
    assert len(set(said.values())) == 1, said
    ((last, exit_code),) = set(said.values())
    assert exit_code == code
    assert last.startswith("NOT PROVEN: cannot be read: ")
    assert f"({newest}" in last
    done("restore", "--dry-run", "--into", "out", "--chain", folder, "--until", "0x9")  # nothing is left out unasked
    done("restore", "--dry-run", "--into", "out", folder / "full.tokar", folder / "inc1.tokar")


def test_nothing_is_missed_in_an_archive_that_is_here_whole_too_or_has_no_later_log_by_its_receipt(
    folder: Path,
) -> None:
    (folder / "twin.tokar").write_bytes(cut(folder / "inc2.tokar"))
    restored = ["restore", "--dry-run", "--into", "out", "--chain"]
    for verb in (["chain"], restored):
        result = done(*verb, folder)
        assert "cannot be read, and takes no part: it ends" in result.stdout + result.stderr
    assert "error" not in done("chain", "--json", folder).json()
    (folder / "inc2.tokar").unlink()
    for verb in (["chain"], restored):
        assert tokar(*verb, folder).exit_code == 5, "it is here no more"
    with Archive(folder / "inc1.tokar") as opened:
        own: ArchiveTold = {"id": opened.id.hex(), "root": opened.root.hex()}
    (folder / "twin.tokar").write_bytes(cut(folder / "inc1.tokar"))
    (folder / "inc1.tokar").unlink()
    codes = []
    other: ArchiveTold = {"id": "00" * 16, "root": "00" * 32}
    ours, theirs = STREAM.pack().hex(), OTHER_STREAM.pack().hex()
    for archived, high, stream in ((own, 7, ours), (own, 8, ours), (other, 7, ours), (own, 7, theirs), (own, 7, "")):
        log: LogTold = {"generation": high, "stream": stream}
        backup: BackupTold = {"took": "incremental", "generations": {"low": 6, "high": high}, "log": log}
        write_receipt(folder / "twin.tokar", Receipt("sealed", Truncation.DONE, archive=archived, backup=backup))
        codes += [tokar(*verb, folder).exit_code for verb in (["chain"], restored)]
        (folder / "twin.tokar.receipt.json").unlink()
    why = "no later log; a later one; a receipt of another archive; logs of another stream; of one that nobody names"
    assert codes == [0, 0, *[5] * 8], why


def test_damage_that_no_file_needs_is_named_by_every_verb_and_refuses_nothing(folder: Path) -> None:
    damaged = folder / "inc2.tokar"
    data = bytearray(damaged.read_bytes())
    data[32 + 70] ^= 1
    damaged.write_bytes(data)
    line = f"NOT PROVEN: the check of a HEAD record is wrong ({damaged}, at byte 32 (0x20)): no file needs that record"
    for given in ([folder], [*sorted(folder.iterdir())]):
        for verb in VERBS[:4]:
            result = tokar(*verb, *given)
            assert (result.stdout.splitlines()[-1], result.exit_code) == (line, 4), verb
        chain = ["--chain"] * (given == [folder])
        for plan in (["--dry-run"], []):
            out = folder.parent / f"out{len(given)}"
            assert done("restore", *plan, "--into", out, *chain, *given).stdout.splitlines()[-1] == line
        assert len([*out.iterdir()]) == 8
    one = tokar("check", damaged)
    assert (one.stdout.splitlines()[-1], one.exit_code) == (line, 4)
    assert tokar("verify", damaged).exit_code == 4
    with Archive(folder / "full.tokar") as opened:
        at = opened.entry(0).file_position + 70
    data = bytearray((folder / "full.tokar").read_bytes())
    data[at] ^= 1
    (folder / "full.tokar").write_bytes(data)
    result = tokar("check", folder / "full.tokar")
    last = result.stdout.splitlines()[-1]
    assert last.startswith("NOT PROVEN: the check of a FILE record is wrong")
    assert result.exit_code == 4
    damaged.unlink()
    for number, given in enumerate(([folder / "full.tokar"], [folder / "full.tokar", folder / "inc1.tokar"])):
        placed = done("restore", "--into", folder.parent / f"placed{number}", *given)
        assert placed.stdout.splitlines()[-1] == last


def test_damage_in_what_an_archive_keeps_of_its_files_is_said_by_every_verb(folder: Path) -> None:
    made = folder / "day" / "full.tokar"
    made.parent.mkdir()
    done("create", "-q", made, write(folder / "in", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}))
    with Archive(made) as opened:
        at = next(row.position for row in opened.rows if row.kind == b"fact") + 70
    made.write_bytes(flip(made.read_bytes(), at))
    for given in ([made], [made.parent], [made, folder / "inc1.tokar"]):
        said = set()
        for verb in (*VERBS, ["restore", "--into", folder / f"out{len(given)}{given[0].is_dir()}"]):
            chain = ["--chain"] * (verb[0] == "restore" and given[0].is_dir())
            result = tokar(*verb, *chain, *given)
            said.add(result.stdout.splitlines()[-1])
            assert result.exit_code == (0 if verb[0] == "restore" else 4), verb
        (line,) = said
        assert line.startswith(f"NOT PROVEN: the check of a fact record is wrong ({made}, at byte ")
        assert line.endswith("no file needs that record")


@pytest.mark.parametrize("name", ["a copy.tokar", "z copy.tokar"])
@pytest.mark.parametrize("of", ["full", "inc2"])
def test_a_damaged_copy_of_an_archive_that_is_here_whole_decides_in_no_verb(of: str, name: str, folder: Path) -> None:
    data, copy = (folder / f"{of}.tokar").read_bytes(), folder / name

    def said() -> list[tuple[str, int]]:
        found = []
        for verb in VERBS:
            result = tokar(*verb, *["--chain"] * (verb[0] == "restore"), folder)
            found.append((result.stdout.splitlines()[-1], result.exit_code))
            if copy.exists():
                assert str(copy) in result.stdout + result.stderr, "it is named"
        return found

    with Archive(folder / f"{of}.tokar") as opened:
        places = {f"{row.kind.decode()} {row.position}": row.position + 60 for row in opened.rows}
        places |= {"its end": len(data) - 30, "what names its end": opened.root_head.position + 60}
        content = opened.records(opened.entry(0)).data_positions[0] + 99
    assert len(places) == 6
    whole = said()
    assert [code for _, code in whole] == [0] * 5
    for what, at in places.items():
        copy.write_bytes(flip(data, at))
        assert said() == whole, what
        assert all(tokar(*verb, "--json", folder).json()["spared"][-1]["path"] == str(copy) for verb in VERBS[:4])
        assert "error" not in tokar("check", "--json", folder).json()
        assert tokar("verify", copy).exit_code != 0
    copy.write_bytes(flip(data, content))
    for verb in VERBS[:2] + VERBS[3:4]:  # the others do not look at it
        result = tokar(*verb, folder)
        assert (result.stdout.splitlines()[-1], result.exit_code) == whole[VERBS.index(verb)]
        assert str(copy) in result.stdout
    (folder / f"{of}.tokar").unlink()
    copy.write_bytes(flip(data, places["its end"]))
    assert {code for _, code in said()} == {4}, "it is here no more"


def test_what_only_has_the_id_of_an_archive_that_is_here_whole_is_not_passed_over(folder: Path) -> None:
    data = (folder / "inc2.tokar").read_bytes()
    with Archive(folder / "inc2.tokar") as opened:
        at = next(row.position for row in opened.rows if row.kind == b"SUMM")
        end = Tail(opened.root_head.position, bytes(32)).build()
        head, _ = build_head(b"TAIL", opened.id[:8], len(data) - TAIL_SIZE, end)
    (folder / "other.tokar").write_bytes(flip(data[:-TAIL_SIZE] + head + end, at + 60))
    said = set()
    for verb in VERBS:
        result = tokar(*verb, *["--chain"] * (verb[0] == "restore"), folder)
        said.add((result.stdout.splitlines()[-1], result.exit_code))
    ((line, code),) = said
    assert line.startswith("NOT PROVEN: cannot be read: ")
    assert f"({folder}/other.tokar, " in line
    assert code == 4


def test_of_several_that_cannot_be_read_one_is_named_in_whatever_order(folder: Path) -> None:
    for one in ("inc1.tokar", "inc2.tokar"):
        (folder / one).write_bytes(cut(folder / one))
    paths = sorted(folder.iterdir())
    for verb in VERBS:
        for given in (paths, paths[::-1]):
            last = tokar(*verb, *given).stdout.splitlines()[-1]
            assert last.startswith("NOT PROVEN: cannot be read: it ends"), verb
            assert last.endswith("; nor can 1 other archive")
            assert f"({folder}/inc1.tokar, " in last


def test_one_damaged_archive_has_one_last_line(folder: Path) -> None:
    for damage in (cut, flipped):
        alone = folder / damage.__name__ / "one.tokar"
        alone.parent.mkdir()
        alone.write_bytes(damage(folder / "full.tokar"))
        for given in (alone, alone.parent):
            said = []
            for verb in VERBS:
                chain = ["--chain"] * (verb[0] == "restore" and given.is_dir())
                result = tokar(*verb, *chain, given)
                said.append((result.stdout.splitlines()[-1:], result.exit_code))
            assert all(one == said[0] for one in said), said
            assert said[0][0][0].startswith("NOT RESTORABLE: ")
            assert f"({alone}, at byte " in said[0][0][0]


def test_other_files_and_archives_being_written_are_passed_over(folder: Path) -> None:
    (folder / "readme.txt").write_text("nothing")
    (folder / ".inc3.part").write_bytes((folder / "inc1.tokar").read_bytes()[:100])
    assert done("chain", folder).stdout.count("not proven") == 3


def test_json_holds_sets_runs_and_faults(folder: Path) -> None:
    value = done("chain", "--json", folder).json()
    assert value["restorable"] is True
    assert [one["parent"] for one in value["sets"]] == [
        None,
        str(folder / "full.tokar"),
        str(folder / "inc1.tokar"),
    ]
    assert value["runs"][0]["not_below"] == 7
    assert value["unreadable"] == []
    assert value["outcome"] == {
        "word": "NOT PROVEN",
        "why": "pages and log segments were not verified (tokar check --content)",
    }
    assert [one["outcome"] for one in value["sets"]] == [value["outcome"]] * 3


def test_content_is_examined_when_asked(folder: Path) -> None:
    assert done("chain", "--content", folder).exit_code == 0


def test_quiet_prints_nothing(folder: Path) -> None:
    assert done("chain", "-q", folder).stdout == ""


@pytest.mark.parametrize("name", ["none.tokar", "none.receipt.json"])
def test_what_is_not_there_is_an_error(tmp_path: Path, name: str) -> None:
    assert tokar("chain", tmp_path / name).exit_code == 1


def test_a_folder_without_archives_is_a_usage_error(tmp_path: Path) -> None:
    result = tokar("chain", tmp_path)
    message = "neither an archive nor a database, log or patch file is there"
    assert (result.exit_code, result.error) == (2, f"{message} ({tmp_path})")


def test_a_named_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tokar").write_bytes(b"something else" * 9)
    assert tokar("chain", tmp_path / "x.tokar").exit_code == 3


def test_a_newer_clean_full_and_older_logs_get_one_verdict_from_every_verb(tmp_path: Path) -> None:
    shut_down = database(consistent_position=LogPosition(generation=10, sector=1), last_log_time=moment(10))
    clean = archive(tmp_path / "clean.tokar", {DATABASE: bytes(shut_down), **part(10, 10)}).path
    older = archive(tmp_path / "older.tokar", part(7, 8), kind="logs").path
    results = [
        done("check", "--content", clean, older),
        done("chain", "--content", clean, older),
        done("restore", "--dry-run", "--into", tmp_path / "out", clean, older),
    ]
    assert f"takes no part: {older}" in results[2].stdout
    assert [one.stdout.splitlines()[-1] for one in results[:2]] == ["RESTORABLE"] * 2
    assert results[2].stdout.splitlines()[-1].startswith("NOT PROVEN: pages and log segments were not verified")
    assert all("after the target" not in one.stdout for one in results)
    assert tokar("check", "--complete", clean, older).exit_code == 9


def test_a_spoilt_log_is_told_where_it_is_in_the_way_and_no_rung_passes_above(folder: Path) -> None:
    data = bytearray(ALL["edb00009.log"])
    data[5000] ^= 1
    data[5400] ^= 8
    (folder / "inc1.tokar").unlink()
    files = write(folder / "inc1", {**part(8, 8), "edb00009.log": bytes(data)})
    done("create", "-q", folder / "inc1.tokar", files)
    sets = [folder / f"{name}.tokar" for name in ("full", "inc1", "inc2")]
    lines = tokar("chain", *sets).stdout.splitlines()
    at = lines.index("  ! edb00009.log has 1 damaged segment at 0x1000")
    assert lines[at - 1] == f"{sets[1]}:"
    assert f"  ! what is said of {sets[1]} holds here too" in lines[at:]
    lines = tokar("check", *sets).stdout.splitlines()
    own = lines[lines.index(f"{sets[1]}: NOT RESTORABLE") :]
    assert next(line for line in own if line.startswith("  chained")).split()[1:4] == ["not", "looked", "at"]


def test_check_and_chain_say_how_recovery_begins_without_a_current_log(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}).path
    steps = done("chain", path, "--json").json()["sets"][0]["next"]
    assert steps[0] == "ren edb00007.log edb.log && esentutl /r edb"
    assert steps == done("check", path, "--json").json()["archives"][0]["next"]
    for verb, before in (("check", "  "), ("chain", f"{path}: ")):
        lines = done(verb, path).stdout.splitlines()
        told = [f"{before}after the restore: {step}" for step in steps]  # no fault asks for them
        assert [line for line in lines if "after the restore: " in line] == told
        assert [line for line in lines if "next: " in line] == []


def test_one_missing_log_is_said_once(tmp_path: Path) -> None:
    full = archive(tmp_path / "full.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 6)}).path
    later = archive(tmp_path / "later.tokar", part(8, 9), kind="logs").path
    lines = tokar("chain", full, later).stdout.splitlines()
    assert sum("0x7 is" in line for line in lines) == 2, "of the full, and in the last line"
    assert f"  ! what is said of {full} holds here too" in lines
    assert "    for: main.edb" in lines
    assert not any("in none of the sets" in line for line in lines)
    lines = tokar("check", full, later).stdout.splitlines()
    assert sum("! log 0x7 is missing" in line for line in lines) == 1
    assert f"    ! what is said of {full} holds here too" in lines
