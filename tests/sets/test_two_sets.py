"""A full and logs that go on from it, changed in the ways of the field: check, chain and restore say the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chain_sets import DATABASE, OTHER_STREAM, archive, checkpoint, database, dirty, logs, streaming
from command_line import done, tokar
from real_sets import header, rewritten, u32
from recovery_sets import flip, write
from small_sets import contents

from tokar import open as tokar_open
from tokar.ese.values import LogPosition
from tokar.sets.outcome import Word
from verbs import unlike_together

Files = dict[str, bytes]
ALL = logs(1, 12)
YES, NOT = Word.RESTORABLE, Word.NOT_RESTORABLE


def name(generation: int) -> str:
    return f"edb{generation:05X}.log"


def part(low: int, high: int, *without: int) -> Files:
    return {name(at): ALL[name(at)] for at in range(low, high + 1) if at not in without}


def damaged(generation: int) -> Files:
    return {name(generation): flip(flip(ALL[name(generation)], 5000), 5400, 3)}


FORK, FOREIGN = logs(9, 10, after=ALL[name(8)], branch=500), logs(8, 9, stream=OTHER_STREAM)
BLANK = {name(9): ALL[name(9)][:4096].ljust(len(ALL[name(9)]), b"\0")}
SHORTER = {name(7): ALL[name(7)][: 2 * 4096].ljust(len(ALL[name(7)]), b"\0")}
COPY = {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}
SNAPSHOT = {DATABASE: bytes(dirty(5, 7)), **part(5, 6), "edb.log": ALL[name(7)]}
BEGUN = {**SNAPSHOT, "edb.log": logs(7, 7, after=ALL[name(6)], filled=2)[name(7)]}
OTHER = {name(7): ALL[name(7)]}
rewritten(name(7), 2)(OTHER)
CLEAN = {DATABASE: bytes(database(consistent_position=LogPosition(generation=5, sector=1)))}
STRAYS = {f"old/{one}": data for one, data in logs(3, 5, stream=OTHER_STREAM).items() if one != name(4)}
AHEAD = LogPosition(generation=7, sector=3, byte=9)  # behind what is in SHORTER
ATTACHED = {DATABASE: bytes(dirty(5, 7, attach_position=AHEAD)), **part(5, 6)}
STOPPED = {DATABASE: bytes(database(consistent_position=AHEAD))}
OLDER_BESIDE = {**STOPPED, "main (2).edb": bytes(database())}
OLD_LOGS = logs(5, 8, update_minor=0, checkpoint=AHEAD)  # of a format that does not repeat what was written before
OLD_CUT = {**OLD_LOGS, name(7): OLD_LOGS[name(7)][: 3 * 4096].ljust(len(OLD_LOGS[name(7)]), b"\0")}
OLD_FIRST = {DATABASE: bytes(dirty(5, 8)), **{name(at): OLD_CUT[name(at)] for at in (5, 6, 7)}}
DEAD_SNAPSHOT = {**SNAPSHOT, "edb.log": b""}
ROWS: dict[str, tuple[Files, Files, Word]] = {
    "as it should be": (COPY, part(8, 10), YES),
    "with an overlap": (COPY, part(6, 10), YES),
    "with a current log": (COPY, {**part(8, 9), "edb.log": ALL[name(10)]}, YES),
    "with a checkpoint": (COPY, {**part(8, 10), "edb.chk": checkpoint(9)}, YES),
    "another history alone": (COPY, {**part(8, 8), **FORK}, YES),
    "a snapshot, and its current log once it was closed": (SNAPSHOT, part(7, 10), YES),
    "a snapshot, and its current log of a later time": (BEGUN, {"edb.log": ALL[name(7)]}, YES),
    "a snapshot, and its current log of an earlier time": (SNAPSHOT, {"edb.log": BEGUN["edb.log"]}, YES),
    "a snapshot, its current log written on and closed under another name": (
        BEGUN,
        {"edb00007 - Copy.log": ALL[name(7)]},
        YES,
    ),
    "a snapshot, its current log written on and closed": (BEGUN, part(7, 10), YES),
    "a snapshot, its current log written on, and closed nowhere": (BEGUN, part(8, 10), NOT),
    "a damaged copy in the later one": (COPY, {**part(8, 10), **damaged(7)}, YES),
    "a shorter copy in the later one": (COPY, {**part(8, 10), **SHORTER}, YES),
    "a shorter copy in the full": ({**COPY, **SHORTER}, part(7, 10), YES),
    "a copy of zeros in the later one": (COPY, {**part(8, 10), name(7): bytes(24576)}, YES),
    "a damaged copy in the full": ({**COPY, **damaged(7)}, part(7, 10), YES),
    "a cut copy in the full": ({**COPY, name(6): ALL[name(6)][:9000]}, part(6, 10), YES),
    "an empty copy in the full": ({**COPY, name(7): b""}, part(7, 10), YES),
    "other records in the copy in the full": ({**COPY, **OTHER}, part(7, 10), YES),
    "an empty current log in the full, and whole in the later one": (DEAD_SNAPSHOT, {"edb.log": ALL[name(7)]}, YES),
    "a current log of zeros in the full, and closed later": (
        {**SNAPSHOT, "edb.log": bytes(24576)},
        part(7, 10),
        YES,
    ),
    "a copy under another name in the later one": (COPY, {**part(8, 10), "edb00009 - Copy.log": ALL[name(9)]}, YES),
    "another name in the full": ({**COPY, "edb00006 - Copy.log": ALL[name(6)]}, part(6, 10), YES),
    "another name in the full alone": (
        {DATABASE: SNAPSHOT[DATABASE], **part(5, 5), "edb00006 - Copy.log": ALL[name(6)]},
        {**part(6, 6), "edb.log": ALL[name(7)]},
        YES,
    ),
    "shut down, and what goes on from there": (CLEAN, part(5, 7), YES),
    "shut down in the current log, which is in the later one": (STOPPED, {**part(5, 6), "edb.log": ALL[name(7)]}, YES),
    "shut down in a log behind all that is here": (STOPPED, part(5, 6), Word.PART_OF_A_CHAIN),
    "shut down behind the end of the current log": (
        STOPPED,
        {**part(5, 6), "edb.log": SHORTER[name(7)]},
        Word.PART_OF_A_CHAIN,
    ),
    "attached in the last needed log, which is in the later one": (ATTACHED, part(7, 7), YES),
    "a log to the checkpoint of the next one": (
        {**OLD_FIRST, name(7): OLD_LOGS[name(7)]},
        {name(8): OLD_LOGS[name(8)]},
        YES,
    ),
    "shut down, beside an older copy that no log names": (
        OLDER_BESIDE,
        part(7, 8),
        YES,
    ),
    "shut down, beside an older copy, and a hole behind": (
        OLDER_BESIDE,
        part(8, 9),
        NOT,
    ),
    "shut down, and a hole behind": (CLEAN, part(8, 10), NOT),
    "the last one of another server": (COPY, {**part(8, 8), name(9): FOREIGN[name(9)]}, YES),
    "the last one of another server, and under another number": (COPY, {**part(8, 9), name(10): FOREIGN[name(9)]}, YES),
    "two of another server, and a hole between them": (COPY, {**part(8, 9), **STRAYS}, YES),
    "a hole between them": (COPY, part(9, 10), NOT),
    "a hole": (COPY, part(8, 10, 9), NOT),
    "two histories": (COPY, {**part(8, 10), **{f"old/{one}": data for one, data in FORK.items()}}, NOT),
    "the first one damaged": (COPY, {**part(9, 10), **damaged(8)}, NOT),
    "the last one damaged": (COPY, {**part(8, 9), **damaged(10)}, NOT),
    "a blank one": (COPY, {**part(8, 10, 9), **BLANK}, NOT),
    "one of zeros": (COPY, {**part(8, 10, 9), name(9): bytes(24576)}, NOT),
    "the last one empty": (COPY, {**part(8, 9), name(10): b""}, NOT),
    "the last one cut": (COPY, {**part(8, 9), name(10): ALL[name(10)][:9000]}, NOT),
    "one of another server": (COPY, {**part(8, 10, 9), name(9): FOREIGN[name(9)]}, NOT),
    "under another name": (COPY, {**part(8, 10, 9), "edb00009.bak": ALL[name(9)]}, NOT),
    "an empty current log, and whole nowhere": (COPY, {**part(8, 9), "edb.log": b""}, NOT),
    "after the current log of a snapshot": (SNAPSHOT, part(8, 10), NOT),
}


def made(folder: Path, kind: str, files: Files) -> Path:
    """An archive that keeps what was found while it was made; in a folder nobody would take a log of another ending."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{kind}.tokar"
    if any(one.endswith(".bak") for one in files):
        return archive(path, files, kind=kind, tokens=dict.fromkeys(files, 0x21)).path
    done("create", "-q", "--kind", kind, path, write(folder / kind, files))
    return path


@pytest.mark.parametrize("later", [part(8, 10), part(8, 9)])
def test_a_log_of_an_unknown_format_is_not_judged_in_any_set(later: Files, tmp_path: Path) -> None:
    header(name(9), (32, u32(9)))(later)
    sets = [made(tmp_path, "full", COPY), made(tmp_path, "logs", later)]
    for named in (sets, sets[1:]):
        assert [*unlike_together(named)] == []
        result = tokar("chain", "--json", *named)
        assert result.exit_code == 9
        assert "of format 9" in result.json()["outcome"]["why"]


@pytest.mark.parametrize("title", ROWS)
def test_every_verb_says_the_same_of_a_full_and_what_goes_on_from_it(title: str, tmp_path: Path) -> None:
    full, later, word = ROWS[title]
    first, second = made(tmp_path, "full", full), made(tmp_path, "logs", later)
    said: dict[str, tuple[list[str], int]] = {}
    for verb, key in (("check", "archives"), ("chain", "sets")):
        result = tokar(verb, "--content", "--json", first, second)
        words = {one["path"]: one["outcome"]["word"] for one in result.json()[key]}
        said[verb] = [words[str(path)] for path in (first, second)], result.exit_code
    code = 9 if word is NOT else 0
    assert said == dict.fromkeys(("check", "chain"), ([YES, word], code))
    result = tokar("restore", "--dry-run", "--json", "--into", tmp_path / "out", first, second)
    assert result.exit_code == (6 if code else 0), result.stderr
    assert (result.json()["outcome"]["word"] == NOT) == (word is NOT)


def test_a_log_that_ends_before_the_checkpoint_in_the_next_one_is_short_whichever_set_has_that(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", OLD_FIRST), made(tmp_path, "logs", {name(8): OLD_CUT[name(8)]})]
    assert [*unlike_together(sets)] == []
    result = tokar("check", "--content", *sets)
    ends = f"NOT RESTORABLE: {DATABASE}: {name(7)} ends at 0x3000, before 0x3009, a position in it that {name(8)} gives"
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (9, ends)


def test_a_needed_log_that_ends_before_the_database_was_attached_is_short_whichever_set_has_it(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", ATTACHED), made(tmp_path, "logs", SHORTER)]
    assert [*unlike_together(sets)] == []
    result = tokar("check", "--content", *sets)
    ends = f"NOT RESTORABLE: {name(7)} ends at 0x2000, before 0x3009, a position in it that {DATABASE} gives"
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (9, ends)


def test_a_current_log_and_a_closed_one_under_another_name_disagree_where_that_does_not_begin_with_it(
    tmp_path: Path,
) -> None:
    sets = [made(tmp_path, "full", BEGUN), made(tmp_path, "logs", {"edb00007 - Copy.log": OTHER[name(7)]})]
    assert [*unlike_together(sets)] == []
    result = tokar("check", "--content", *sets)
    assert (result.exit_code, "and its bytes differ" in result.stdout.splitlines()[-1]) == (9, True)


def test_logs_that_end_before_a_database_was_shut_down_are_not_placed_from_another_set(tmp_path: Path) -> None:
    full, later, _ = ROWS["shut down behind the end of the current log"]
    sets = [made(tmp_path, "full", full), made(tmp_path, "logs", later)]
    assert [*unlike_together(sets)] == []
    done("restore", "--into", tmp_path / "out", *sets)
    assert [*contents(tmp_path / "out")] == [DATABASE]


@pytest.mark.parametrize(("log", "code"), [(ALL[name(7)], 0), (SHORTER[name(7)], 6)])
def test_logs_that_are_there_and_end_before_a_database_was_shut_down_are_not_rolled_forward(
    log: bytes, code: int, tmp_path: Path
) -> None:
    one = made(tmp_path, "full", STOPPED)
    out = write(tmp_path / "out", {**part(5, 6), "edb.log": log})
    result = tokar("restore", "--existing", "roll-forward", "--into", out, one)
    assert result.exit_code == code
    told = f"edb.log ends at 0x2000, before 0x3009, a position in it that {DATABASE} gives"
    assert result.stderr.startswith(f"tokar: error: {told}" if code else "")
    assert "also: " not in result.stderr


@pytest.mark.parametrize("title", ["a damaged copy in the later one", "a damaged copy in the full"])
def test_of_two_copies_of_a_log_the_whole_one_is_placed_and_the_other_named(title: str, tmp_path: Path) -> None:
    full, later, _ = ROWS[title]
    sets = [made(tmp_path, "full", full), made(tmp_path, "logs", later)]
    checked = done("check", *sets)
    assert "note: edb00007.log has 1 damaged segment" in checked.stdout
    assert "is whole, and takes its place" in " ".join(checked.stdout.split())
    done("restore", "--into", tmp_path / "out", *sets)
    assert (tmp_path / "out" / name(7)).read_bytes() == ALL[name(7)]


@pytest.mark.parametrize("wrong", ["edb0000{} - Copy.log", "edb00000{}.log", "edbx000{}.log"])
@pytest.mark.parametrize("there", [True, False])
def test_of_a_log_in_several_sets_the_one_is_placed_whose_name_the_engine_looks_for(
    wrong: str, there: bool, tmp_path: Path
) -> None:
    own = {wrong.format(at): ALL[name(at)] for at in (6, 7)}
    sets = [made(tmp_path, "full", {DATABASE: SNAPSHOT[DATABASE], **part(5, 5), **own})]
    sets.append(made(tmp_path, "logs", part(6, 7) if there else part(3, 4)))
    checked = tokar("check", "--content", *sets)
    result = tokar("restore", "--into", tmp_path / "out", *sets)
    assert (checked.exit_code, result.exit_code) == ((0, 0) if there else (9, 6))
    if there:
        assert sorted(one.name for one in (tmp_path / "out").iterdir()) == sorted([DATABASE, *part(5, 7)])
    else:
        assert f"{wrong.format(6)} holds generation 0x6, and the engine looks for another name" in result.error


def test_a_log_that_gives_way_to_one_that_is_no_part_of_the_run_is_left_out(tmp_path: Path) -> None:
    earlier = {DATABASE: bytes(dirty(1, 3)), **part(1, 3), "edb.log": ALL[name(4)]}
    later = {DATABASE: bytes(streaming(6, 8)), **part(6, 8), "old/edb.log": ALL[name(2)]}
    sets = [archive(tmp_path / "a.tokar", earlier).path, archive(tmp_path / "b.tokar", later, kind="full").path]
    done("restore", "--into", tmp_path / "out", "--full", "b.tokar", *sets)
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == sorted([DATABASE, *part(6, 8)])


def test_a_log_of_another_server_in_a_set_of_logs_is_named_by_every_verb(tmp_path: Path) -> None:
    full, later, _ = ROWS["the last one of another server"]
    sets = [made(tmp_path, "full", full), made(tmp_path, "logs", later)]
    for verb in ("check", "chain", "restore"):
        options = ["--into", str(tmp_path / "out"), "--dry-run"] if verb == "restore" else []
        said = " ".join(done(verb, *options, *sets).printed.split())
        assert f"note: {name(9)}: of a log stream that no database here belongs to" in said


@pytest.mark.parametrize("whole", ["edb.log", name(10)])
def test_a_current_log_without_a_header_is_the_one_after_the_closed_logs_of_its_set(whole: str, tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", COPY), made(tmp_path, "logs", {**part(8, 9), "edb.log": bytes(24576)})]
    sets.append(made(tmp_path, "collected", {whole: ALL[name(10)]}))
    assert [*unlike_together(sets)] == []
    assert "is whole, and takes its place" in " ".join(done("check", "--content", *sets).stdout.split())
    done("restore", "--into", tmp_path / "out", *sets)
    assert (tmp_path / "out" / whole).read_bytes() == ALL[name(10)]


def test_a_current_log_of_zeros_in_a_set_that_takes_no_part_is_in_no_ones_way(tmp_path: Path) -> None:
    later = {DATABASE: bytes(database(consistent_position=LogPosition(generation=9, sector=1)))}
    sets = [made(tmp_path, "full", later), made(tmp_path, "logs", {**part(6, 8), "edb.log": bytes(24576)})]
    assert [*unlike_together(sets)] == []
    assert tokar("check", "--json", *sets).json()["outcome"]["word"] == YES


def test_logs_of_an_unknown_format_alone_are_not_proven_and_no_restore_begins_with_them(tmp_path: Path) -> None:
    later = part(8, 10)
    header(name(10), (32, u32(9)))(later)
    first, second = made(tmp_path, "logs", part(5, 7)), made(tmp_path, "collected", later)
    assert [*unlike_together([first, second])] == []
    assert tokar("restore", "--json", "--into", tmp_path / "out", first, second).exit_code == 6


@pytest.mark.parametrize("apart", [False, True])
def test_a_loss_behind_what_nobody_can_judge_is_told_by_every_verb(apart: bool, tmp_path: Path) -> None:
    own, later = {DATABASE: bytes(dirty(5, 7, committed=8))}, part(5, 7)
    header(name(5), (32, u32(9)))(later)
    sets = [made(tmp_path, "full", own if apart else {**own, **later})]
    sets += [made(tmp_path, "logs", later)] if apart else []
    assert [*unlike_together(sets)] == []
    line = tokar("restore", "--dry-run", "--into", tmp_path / "out", *sets).stdout.splitlines()[-1]
    assert line.startswith(f"{Word.NOT_PROVEN}: {name(5)}: ")
    assert "at best with a loss: main.edb: log 0x8 with committed transactions is missing" in line
    accepted = [] if apart else ["--accept-unrecoverable"]  # which is for one archive alone
    result = tokar("restore", "--dry-run", "--into", tmp_path / "out", *sets, *accepted)
    assert (result.exit_code == 0) is (f"ACCEPTED (--accept-unrecoverable): {line}" in result.stdout) is (not apart)


def test_an_older_log_under_a_later_name_is_in_no_ones_way(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", {DATABASE: SNAPSHOT[DATABASE]})]
    sets.append(made(tmp_path, "logs", {**part(2, 2), name(12): ALL[name(3)], **part(5, 6), "edb.log": ALL[name(7)]}))
    assert [*unlike_together(sets)] == []
    assert tokar("check", "--json", "--content", *sets).json()["outcome"]["word"] == YES


def test_an_older_log_under_the_name_of_a_missing_one_is_what_is_wrong(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", {DATABASE: SNAPSHOT[DATABASE]})]
    sets.append(made(tmp_path, "logs", {**part(5, 5), name(6): ALL[name(3)], "edb.log": ALL[name(7)]}))
    assert [*unlike_together(sets)] == []
    assert tokar("check", "--json", *sets).json()["outcome"]["word"] == NOT


def test_check_and_chain_name_the_same_root_cause_of_a_log_and_the_current_one_that_changed_places(
    tmp_path: Path,
) -> None:
    changed = {**part(5, 5), name(6): ALL[name(7)], "edb.log": ALL[name(6)]}
    sets = [made(tmp_path, "collected", {DATABASE: SNAPSHOT[DATABASE]}), made(tmp_path, "logs", changed)]
    assert [*unlike_together(sets)] == []
    assert tokar("check", "--json", *sets).json()["outcome"]["word"] == NOT


def test_a_log_that_is_whole_in_no_set_is_damaged_in_both(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", {**COPY, **damaged(7)}), made(tmp_path, "logs", {**part(8, 9), **damaged(7)})]
    for verb in ("check", "chain", "restore"):
        options = ["--into", str(tmp_path / "out"), "--dry-run"] if verb == "restore" else []
        result = tokar(verb, "--json", *options, *sets)
        assert (result.exit_code, result.json()["outcome"]["word"]) == (6 if options else 9, NOT)


def test_a_whole_log_of_another_server_under_the_same_name_mends_nothing(tmp_path: Path) -> None:
    other = {**logs(5, 7, stream=OTHER_STREAM), name(6): bytes(24576)}
    sets = [made(tmp_path, "full", COPY), made(tmp_path, "logs", other)]
    result = tokar("check", "--json", *sets)
    assert [one["outcome"]["word"] for one in result.json()["archives"]] == [YES, NOT]


@pytest.mark.parametrize("closed", [True, False])
def test_an_earlier_state_of_a_log_is_no_damage_and_the_closed_one_is_named(closed: bool, tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", BEGUN), made(tmp_path, "logs", part(7 if closed else 8, 10))]
    assert [*unlike_together(sets)] == []
    for verb in ("check", "chain", "restore"):
        options = ["--into", str(tmp_path / "out"), "--dry-run"] if verb == "restore" else []
        result = tokar(verb, *options, *sets)
        said = " ".join(result.printed.split())
        assert "its content has changed" not in said
        if closed:
            assert f"{name(8)} was written after the one that is {name(7)} in {sets[1]}" in said
            assert "check the storage" not in said
        else:
            assert f"edb.log is not log 0x7 as it was closed, which {name(8)} was written after" in said
            assert f"{name(7)} is missing" in said
            assert f"add the archive or folder that has {name(7)}" in said


@pytest.mark.parametrize("examine", [True, False])
@pytest.mark.parametrize(
    ("first", "second"), [("edb.log", "edb.log"), (name(7), "edb.log"), ("edb.log", name(7))], ids=lambda one: one[:-4]
)
def test_of_two_states_of_the_last_log_the_one_that_holds_more_is_placed(
    first: str, second: str, examine: bool, tmp_path: Path
) -> None:
    """As of two snapshots of a server between which its current log was only written on: in whichever set it is."""
    begun, options = BEGUN["edb.log"], [] if examine else ["--no-examine"]
    files = ({DATABASE: SNAPSHOT[DATABASE], **part(5, 6)}, {first: begun}, {second: ALL[name(7)]})
    sets = [tmp_path / f"{at}.tokar" for at in range(3)]
    for path, one in zip(sets, files, strict=True):
        done("create", "-q", *options, path, write(path.with_suffix(""), one))
    assert [*unlike_together(sets if examine else sets[:1])] == []
    assert done("check", "--content", *sets).stdout.splitlines()[-1] == "RESTORABLE"
    done("restore", "--into", tmp_path / "out", *sets)
    placed = contents(tmp_path / "out")
    assert (placed.get(second), begun in placed.values()) == (ALL[name(7)], False)


def test_a_current_log_and_its_numbered_self_in_another_set_that_disagree_are_refused(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", SNAPSHOT), made(tmp_path, "logs", OTHER)]
    assert [*unlike_together(sets)] == []
    result = tokar("check", "--content", *sets)
    assert (result.exit_code, "its bytes differ" in result.stdout.splitlines()[-1]) == (9, True)


def test_a_current_log_is_not_placed_where_another_set_has_it_closed_and_logs_go_on(tmp_path: Path) -> None:
    """Although the fewest sets would have it: what was not examined does not tell that it holds less."""
    sets = [tmp_path / f"{at}.tokar" for at in range(3)]
    for path, one in zip(sets, (BEGUN, part(7, 7), part(8, 9)), strict=True):
        done("create", "-q", "--no-examine", path, write(path.with_suffix(""), one))
    done("restore", "--into", tmp_path / "out", *sets)
    assert sorted(contents(tmp_path / "out")) == sorted([DATABASE, *part(5, 9)])


def test_a_database_gets_the_name_that_logs_of_another_set_give_it(tmp_path: Path) -> None:
    sets = [made(tmp_path, "full", {"main (1).edb": SNAPSHOT[DATABASE]}), made(tmp_path, "logs", part(5, 7))]
    assert "restore --right-names does" in tokar("restore", "--into", tmp_path / "out", *sets).hint
    done("restore", "--right-names", "--into", tmp_path / "out", *sets)
    assert sorted(contents(tmp_path / "out")) == sorted([DATABASE, *part(5, 7)])


def test_a_full_current_log_that_the_next_one_contradicts_was_changed(tmp_path: Path) -> None:
    ends = logs(7, 7, after=ALL[name(6)], filled=4)
    sets = [made(tmp_path, "full", {**SNAPSHOT, "edb.log": ends[name(7)]}), made(tmp_path, "logs", part(8, 10))]
    assert "edb.log is not the log that edb00008.log was written after" in " ".join(
        tokar("chain", *sets).printed.split()
    )


TEXT = {"notes.txt": bytes(range(256)) * 64}
DAYS = {"a": COPY, "b": part(8, 9), "c": part(10, 10), "d": {**part(10, 10), **TEXT}}


def day(folder: Path, one: str) -> Path:
    path = folder / f"{one}.tokar"
    done("create", "-q", "--all", "--kind", "full" if one == "a" else "logs", path, write(folder / one, DAYS[one]))
    return path


def spoilt(path: Path, leaf: str) -> None:
    """Flip a bit in the middle of what an archive has of a file."""
    with tokar_open(path) as opened:
        places = opened.records(opened.find(leaf)).data_positions
    path.write_bytes(flip(path.read_bytes(), (places[0] + places[-1]) // 2))


DAMAGED: dict[str, tuple[str, tuple[str, str], Word]] = {
    "the full": ("abc", ("a", DATABASE), NOT),
    "one between": ("abc", ("b", name(9)), NOT),
    "the last one": ("abc", ("c", name(10)), Word.NOT_PROVEN),
    "one that nobody needs": ("abcd", ("d", name(10)), Word.NOT_PROVEN),
    "a text in that": ("abcd", ("d", "notes.txt"), Word.NOT_PROVEN),
    "the only one": ("a", ("a", DATABASE), NOT),
}


@pytest.mark.parametrize("title", DAMAGED)
def test_every_verb_says_the_same_of_a_damaged_archive(title: str, tmp_path: Path) -> None:
    sets, (damaged_one, leaf), word = DAMAGED[title]
    paths = [day(tmp_path, one) for one in sets]
    spoilt(tmp_path / f"{damaged_one}.tokar", leaf)
    said = {}
    for verb in (["check"], ["check", "--content"], ["chain", "--content"]):
        result = tokar(*verb, *paths)
        said[" ".join(verb)] = result.stdout.splitlines()[-1:], result.exit_code
    line = f"{word}: {'cannot be read: ' if len(sets) > 1 else ''}the check of a DATA record is wrong"
    wanted = f"{line} ({tmp_path}/{damaged_one}.tokar, at byte "
    assert {code for _, code in said.values()} == {4}
    assert all(last[0].startswith(wanted) for last, _ in said.values() if last)
    assert said["check"] == said["check --content"]
    for verb in (
        ["chain"],
        ["restore", "--dry-run", "--into", str(tmp_path / "out")],
    ):  # which read no content, and say so
        assert (
            "not looked at: whether the archives are damaged (tokar check)\nRESTORABLE\n" in done(*verb, *paths).stdout
        )
        assert tokar(*verb, "--json", *paths).json()["not_looked_at"]
    result = tokar("restore", "--into", tmp_path / "out", *paths)
    if "nobody needs" not in title and "text" not in title:
        assert result.exit_code == 4
        assert result.stdout.splitlines()[-1].startswith(wanted)


@pytest.mark.parametrize("named", ["ab", "a"])
def test_an_archive_that_cannot_be_opened_gives_a_restore_its_last_line(named: str, tmp_path: Path) -> None:
    paths = [day(tmp_path, one) for one in named]
    paths[-1].write_bytes(paths[-1].read_bytes()[:-9])
    result = tokar("restore", "--into", tmp_path / "out", *paths)
    assert result.exit_code == tokar("check", *paths).exit_code == 5
    assert result.stdout.splitlines()[-1] == tokar("check", *paths).stdout.splitlines()[-1]
    assert not (tmp_path / "out").exists()


LATER = {DATABASE: bytes(streaming(9, 10)), **part(9, 10)}


def broken(files: Files) -> Files:
    return {**files, DATABASE: flip(flip(files[DATABASE], 5 * 4096 + 500), 5 * 4096 + 900)}


FULLS: dict[str, tuple[dict[str, Files], str | None]] = {
    "a damaged one before a whole one": ({"a": broken(COPY), "b": COPY}, "a"),
    "a whole one before a damaged one": ({"a": COPY, "b": broken(COPY)}, "b"),
    "both whole": ({"a": COPY, "b": {**COPY, **part(8, 8)}}, ""),
    "a damaged one and logs, and a later one": ({"a": broken(COPY), "b": part(8, 10), "c": LATER}, "a"),
    "a damaged one and logs of its own, and a later one": ({"a": broken(COPY), "b": part(7, 8), "c": LATER}, "ab"),
    "a hole behind logs of the older one": ({"a": COPY, "b": part(7, 8, 7), "c": {**LATER, **part(10, 10)}}, ""),
    "logs behind a hole, and a later one": ({"a": COPY, "b": part(12, 12), "c": LATER}, None),
    "the latest one damaged": ({"a": COPY, "b": part(8, 10), "c": broken(LATER)}, None),
    "both damaged": ({"a": broken(COPY), "b": {**broken(COPY), **part(8, 8)}}, None),
}
"""Sets, and those of them that take no part and do not pass; None where the restore is refused."""


@pytest.mark.parametrize("content", [False, True])
@pytest.mark.parametrize("title", FULLS)
def test_of_several_fulls_every_verb_goes_by_the_one_that_a_restore_takes(
    title: str, content: bool, tmp_path: Path
) -> None:
    sets, spared = FULLS[title]
    paths = [made(tmp_path / one, "full" if DATABASE in files else "logs", files) for one, files in sets.items()]
    plan = tokar("restore", "--dry-run", "--json", "--into", tmp_path / "out", *paths)
    assert plan.exit_code == (6 if spared is None else 0), plan.stderr
    wanted = {str(path) for one, path in zip(sets, paths, strict=True) if one in (spared or "")}
    for verb in ("check", "chain"):
        said = tokar(verb, "--json", *["--content"] * content, *paths)
        assert (said.json()["outcome"]["word"], said.exit_code) == (
            plan.json()["outcome"]["word"],
            9 * (spared is None),
        )
        assert {one["path"] for one in said.json()["spared"]} == wanted
        assert {one["outcome"]["word"] for one in said.json()["spared"]} <= {NOT}
    if spared is not None:
        assert {one["path"] for one in plan.json()["chain"]["spared"]} == wanted


def test_a_full_that_a_restore_does_without_is_named_by_every_verb(tmp_path: Path) -> None:
    sets, _ = FULLS["a damaged one before a whole one"]
    paths = [made(tmp_path / one, "full", files) for one, files in sets.items()]
    for verb in (
        ["check"],
        ["check", "--content"],
        ["chain"],
        ["restore", "--into", tmp_path / "out"],
    ):
        lines = done(*verb, *paths).stdout.splitlines()
        assert f"takes no part: {paths[0]}: NOT RESTORABLE: {DATABASE} has 1 damaged page: page 4 at 0x5000" in lines
    assert tokar("check", paths[0]).exit_code == 9, "alone it is not"
    done("check", "--to", f"database={tmp_path}/", "--to", f"log-dir={tmp_path}/", *paths)
    assert tokar("check", "--to", f"database={tmp_path}/", *paths).exit_code == 6, "the other one has no place"
    data = bytearray(paths[0].read_bytes())
    data[32 + 70] ^= 1  # the first HEAD, which no file needs
    paths[0].write_bytes(data)
    assert tokar("check", *paths).exit_code == 4, "whether every byte is right is asked of each"
    data[32 + 70] ^= 1
    paths[0].write_bytes(data)
    spoilt(paths[0], name(6))
    assert tokar("check", *paths).exit_code == 4, "and of its files"


OLD: dict[str, Any] = {"major": 7, "minor": 3704}


@pytest.mark.parametrize("goes_on", [None, False, True], ids=["to the need", "beyond it", "damaged beyond it"])
@pytest.mark.parametrize("needs", [dirty, streaming])
def test_a_log_of_the_older_format_that_may_be_of_either_history_gets_one_answer_however_the_files_are_split(
    needs: Callable[..., Any], goes_on: bool | None, tmp_path: Path
) -> None:
    own = logs(5, 7, **OLD)
    later = logs(8, 9, after=own[name(7)], **OLD) if goes_on is not None else {}
    if goes_on:
        later[name(8)] = flip(flip(later[name(8)], 5000), 5400, 3)
    full = {DATABASE: bytes(needs(5, 7)), **own}
    other = logs(7, 8, after=own[name(6)], branch=1000, **OLD)
    apart = {f"old/{one}": data for one, data in other.items()}
    splits = [[{**full, **later, **apart}], [{**full, **later}, other], *([[full, later, other]] if later else [])]
    for number, parts in enumerate(splits):
        folder = tmp_path / str(number)
        folder.mkdir()
        sets = [archive(folder / f"{at}.tokar", part).path for at, part in enumerate(parts)]
        for verb, code in (("check", 9), ("chain", 9), ("restore", 0)):
            options = ["--into", str(folder / "out")] if verb == "restore" else []
            result = tokar(verb, *options, *sets)
            assert (result.exit_code, result.stdout.splitlines()[-1].partition(", where")[0]) == (
                code,
                f"NOT PROVEN: {name(6)}: of which history it is",
            )
        # Their ranges have no checksums: where logs that no database needs lie beside it, a restore sees that.
        assert contents(folder / "out") == (full | later if number == 2 else full)
