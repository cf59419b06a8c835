"""What is refused because it is not worth restoring, and what is not although nobody can tell."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import (
    DATABASE,
    OTHER_STREAM,
    TOP,
    archive,
    branch,
    checkpoint,
    database,
    dirty,
    logs,
    name_of,
    part,
    streaming,
)
from command_line import done
from recovery_sets import DATABASE_SIGNATURE, flip, write
from restore_helpers import plan_one, targets

import tokar
from tokar.errors import InputError, NoSuchEntryError, RestoreError
from tokar.ese.values import LogPosition, Signature
from tokar.restore.chosen import choose_one
from tokar.restore.merged import MergedSet
from tokar.restore.next_steps import Recovery
from tokar.restore.options import RestoreOptions
from tokar.restore.plan import UNRECOVERABLE, Action
from tokar.restore.prepare import incomplete_files, place_sets, plan_restore
from tokar.salvage.salvage import salvage
from tokar.sets.judge import judge_set
from tokar.sets.outcome import NOTHING_TO_RECOVER, Word
from tokar.sets.read import facts_of_archive
from tokar.storage.bytesource import FileSource
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from tokar.restore.plan import Plan


def plan_of(path: Path, out: Path, **options: Any) -> Plan:
    with tokar.open(path) as opened:
        return plan_one(opened, into=out, **options)


def made(folder: Path, files: dict[str, bytes]) -> Path:
    return archive(folder / "a.tokar", files, kind="collected").path


def partly(folder: Path) -> Path:
    """An archive that salvage made of one with a damaged chunk."""
    path = folder / "damaged.tokar"
    with tokar.create(path, profile="ese", compress="none") as writer:
        writer.add(0x0F, "big.bin", io.BytesIO(b"abcd" * 700_000))
        writer.add_bytes(0x0F, "small.bin", b"whole")
    data = bytearray(path.read_bytes())
    data[500_000] ^= 1
    path.write_bytes(data)
    with FileSource(path) as source:
        salvage(source, lambda: FileSink(folder / "partly.tokar"), partial=True)
    return folder / "partly.tokar"


def test_a_database_without_its_logs_is_refused_with_the_root_cause(tmp_path: Path) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 6)})
    plan = plan_of(path, tmp_path / "out")
    assert [one.urgency for one in plan.problems] == [UNRECOVERABLE]
    with pytest.raises(
        RestoreError, match=r"main\.edb cannot be recovered from this set: log 0x7 is missing .*-543"
    ) as caught:
        plan.raise_for_problems()
    assert "--accept-unrecoverable" in str(caught.value.hint)


def test_a_streaming_copy_without_its_logs_is_refused(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, {DATABASE: bytes(streaming(5, 7)), **part(6, 7)}), tmp_path / "out")
    with pytest.raises(RestoreError, match="log 0x5 is missing"):
        plan.raise_for_problems()


def test_loss_of_the_last_transactions_is_refused_too(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, {DATABASE: bytes(dirty(5, 6, 7)), **part(5, 6)}), tmp_path / "out")
    with pytest.raises(RestoreError, match="-582"):
        plan.raise_for_problems()


def test_what_is_accepted_is_not_refused(tmp_path: Path) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 7))})
    plan = plan_of(path, tmp_path / "out", accept_unrecoverable=True)
    assert plan.problems == ()
    assert plan.recovery is not None
    assert plan.recovery.recovery is Recovery.SOFT


def test_a_recoverable_set_is_not_refused(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}), tmp_path / "out")
    assert plan.problems == ()


@pytest.mark.parametrize(
    ("only", "last_line"),
    [
        ([DATABASE], "NOT RESTORABLE: main.edb: logs 0x5-0x7 are in the archive, and not asked for"),
        (["edb00005.log", "edb00007.log"], "NOT RESTORABLE: log 0x6 is in the archive, and not asked for"),
        ([DATABASE, *part(5, 7)], "NOT PROVEN: pages and log segments were not verified (tokar check --content)"),
        ([*part(5, 7)], "PART OF A CHAIN: needs a full that reaches 0x4"),
        (["e*.LOG"], "PART OF A CHAIN: needs a full that reaches 0x4"),
        (["notes.txt"], f"NOT PROVEN: {NOTHING_TO_RECOVER}"),
    ],
)
def test_a_choice_of_files_gets_its_own_verdict_and_is_refused_as_any_plan(
    tmp_path: Path, only: list[str], last_line: str
) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "notes.txt": b"x"})
    with tokar.open(path) as opened:
        plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=only))
        accepted = plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=only, accept_unrecoverable=True))
    assert str(plan.chosen.outcome) == str(accepted.outcome) == last_line
    assert plan.is_refused is last_line.startswith("NOT RESTORABLE")
    count = 3 if only == ["e*.LOG"] else len(only)
    assert [(one.problems, one.recovery, len(one.steps)) for one, _ in accepted.parts] == [((), None, count)]


def test_what_was_not_asked_for_and_is_there_is_named_with_how_it_is_asked_for(tmp_path: Path) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 8)), **part(5, 7)})
    said = {}
    for only in ([DATABASE, "edb00005.log", "edb00006.log"], [DATABASE, *part(5, 7)]):
        with tokar.open(path) as opened:
            plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=only))
        said[len(only)] = str(plan.outcome), str(plan.parts[0][0].problems[0].error.hint)
    assert [line for line, _ in said.values()] == [
        "NOT RESTORABLE: main.edb: logs 0x7-0x8 are missing",
        "NOT RESTORABLE: main.edb: log 0x8 is missing",
    ]
    path = archive(tmp_path / "b.tokar", {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}, kind="collected").path
    with tokar.open(path) as opened:
        plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=[DATABASE, "edb00005.log", "*6.log"]))
    (problem,) = plan.parts[0][0].problems
    assert str(problem.error.hint).startswith("ask for it too: --only edb00007.log; or leave --only out; --accept")
    with tokar.open(path) as opened, pytest.raises(NoSuchEntryError, match=r"no entry has the name x\*"):
        plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=["x*"]))


def test_a_choice_with_what_recovery_must_not_meet_says_so_in_the_last_line(tmp_path: Path) -> None:
    foreign = {"edb00009.log": logs(9, 9, stream=OTHER_STREAM)["edb00009.log"]}
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7), **foreign, "edb.chk": checkpoint(5)})
    for more, last_line in (
        (["edb00009.log"], "NOT RESTORABLE: edb00009.log: of another log stream than the databases here"),
        (["edb.chk"], "NOT PROVEN: edb.chk: a checkpoint: recovery would begin where it stands"),
    ):
        with tokar.open(path) as opened:
            plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out", only=[DATABASE, *part(5, 7), *more]))
        assert str(plan.outcome) == last_line


def test_a_branch_decides_for_a_choice_too(tmp_path: Path) -> None:
    both = [DATABASE, *part(5, 8)]
    with tokar.open(two_histories(tmp_path)) as opened:
        options = RestoreOptions(into=tmp_path / "out", only=[*both, "old/edb00008.log"], branch="edb00008.log")
        assert str(plan_restore(opened, options).outcome).startswith("NOT RESTORABLE: old/edb00008.log")
        with pytest.raises(InputError, match="no log here is called"):
            plan_restore(opened, replace(options, only=both, branch="old/edb00008.log"))


def test_a_branch_is_the_history_of_its_log_on_both_sides(tmp_path: Path) -> None:
    plan = plan_of(two_histories(tmp_path), tmp_path / "out", branch="old/edb00009.log")
    assert plan.problems == ()
    assert {name for name, target in targets(plan).items() if target is None} == {"edb00008.log"}


def test_files_of_the_engine_never_stand_beside_a_choice(tmp_path: Path) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7)})
    there = tmp_path / "out"
    there.mkdir()
    (there / "edb00007.log").write_bytes(part(7, 7)["edb00007.log"])
    with tokar.open(path) as opened:
        plan = plan_one(opened, into=there, only=[DATABASE], accept_unrecoverable=True)
        assert [type(one.error).__name__ for one in plan.problems] == ["ExistingFileError"]
        plan = plan_one(opened, into=there, only=[DATABASE], existing="set-aside")
    assert [one.name for one in plan.asides] == ["edb00007.log"]


def test_logs_alone_are_not_judged_and_that_is_said(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, logs(5, 7)), tmp_path / "out")
    assert plan.problems == ()
    assert plan.recovery is not None
    assert plan.recovery.recovery is Recovery.NOT_CHECKED
    assert any("logs alone" in one for one in plan.recovery.not_checked)


def test_a_database_of_an_unknown_format_is_not_judged_and_that_is_said(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, {"old.edb": b"something else" * 1000}), tmp_path / "out")
    assert plan.problems == ()
    assert plan.recovery is not None
    (said,) = plan.recovery.not_checked
    assert said.startswith("old.edb: not a database of a known format: ")


def test_a_database_with_a_damaged_header_is_judged(tmp_path: Path) -> None:
    data = bytes(dirty(5, 7))
    broken = data[:100] + b"\xff\xff" + data[102:4196] + b"\xff\xff" + data[4198:]
    with tokar.open(made(tmp_path, {DATABASE: broken, **part(5, 7)})) as opened:
        assert [one.name for one in judge_set(facts_of_archive(opened)).databases if one.is_lost] == [DATABASE]


def test_files_of_no_engine_get_no_guidance(tmp_path: Path) -> None:
    plan = plan_of(made(tmp_path, {"a.txt": b"x"}), tmp_path / "out")
    assert plan.recovery is None


def test_an_incomplete_file_is_refused_by_name(tmp_path: Path) -> None:
    plan = plan_of(partly(tmp_path), tmp_path / "out")
    with pytest.raises(RestoreError, match=r"1 file is incomplete.*big\.bin") as caught:
        plan.raise_for_problems()
    assert "--accept-incomplete" in str(caught.value.hint)
    assert [one.entries for one in plan.problems] == [(0,)]


def test_an_incomplete_file_can_be_accepted(tmp_path: Path) -> None:
    assert plan_of(partly(tmp_path), tmp_path / "out", accept_incomplete=True).problems == ()


def test_whole_files_of_a_partial_archive_can_be_chosen(tmp_path: Path) -> None:
    with tokar.open(partly(tmp_path)) as opened:
        plan = plan_one(opened, into=tmp_path / "out", only=["small.bin"])
    assert plan.problems == ()


def test_no_incomplete_file_is_no_problem(tmp_path: Path) -> None:
    with tokar.open(partly(tmp_path)) as opened:
        assert incomplete_files(opened.entries) != []
        assert incomplete_files([]) == []


def test_a_folder_is_one_place_in_every_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real/deep")
    monkeypatch.chdir(tmp_path)
    with tokar.open(archive(tmp_path / "a.tokar", {DATABASE: b"x"}, kind="full").path) as opened:
        plans = [
            plan_one(opened, accept_unrecoverable=True, **options)
            for options in ({"into": Path("link/../x")}, {"to": ["database=dir:link/../x"]})
        ]
    assert [plan.directories[0].path for plan in plans] == [str(tmp_path / "real" / "x")] * 2


def holed(folder: Path) -> Path:
    """A set with a log below a hole, which recovery would begin with."""
    return made(folder, {DATABASE: bytes(dirty(7, 9)), **part(5, 5), **part(7, 9)})


def test_what_recovery_must_not_meet_is_left_out_and_named(tmp_path: Path) -> None:
    plan = plan_of(holed(tmp_path), tmp_path / "out")
    steps = {step.entry.name: (step.action, step.rule) for step in plan.steps}
    assert steps["edb00005.log"] == (
        Action.LEAVE_OUT,
        "left out: no unbroken run of logs leads from it to what is needed",
    )
    assert steps["edb00007.log"][0] is Action.PLACE
    assert any("edb00005.log" in note for note in plan.notes)
    assert plan.recovery is not None
    assert plan.recovery.low == 7


def test_what_is_left_out_can_be_put_aside(tmp_path: Path) -> None:
    plan = plan_of(holed(tmp_path), tmp_path / "out", aside=tmp_path / "aside")
    assert targets(plan)["edb00005.log"] == str(tmp_path / "aside" / "edb00005.log")
    assert targets(plan)["edb00007.log"] == str(tmp_path / "out" / "edb00007.log")


def test_everything_can_be_placed_as_it_lay_and_the_answer_of_recovery_is_said(tmp_path: Path) -> None:
    plan = plan_of(holed(tmp_path), tmp_path / "out", all_files=True)
    assert targets(plan)["edb00005.log"] == str(tmp_path / "out" / "edb00005.log")
    assert any("edb00005.log is placed all the same" in note and "-528" in note for note in plan.notes)


def test_aside_and_all_files_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leave --aside out"):
        plan_of(holed(tmp_path), tmp_path / "out", all_files=True, aside=tmp_path / "aside")


def test_a_restore_of_what_nobody_could_judge_goes_through_and_is_not_proven(tmp_path: Path) -> None:
    with tokar.open(made(tmp_path, {DATABASE: bytes(dirty(0, 0))})) as opened:
        plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out"))
    assert plan.parts[0][0].problems == ()
    assert str(plan.chosen.outcome).startswith("NOT PROVEN: main.edb")
    assert plan.to_json()["outcome"]["word"] == "NOT PROVEN"


def two_histories(folder: Path) -> Path:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 8)}
    return made(folder, {**files, **{f"old/{name}": data for name, data in branch(8, 9).items()}})


def test_two_histories_are_refused_and_a_branch_decides(tmp_path: Path) -> None:
    path = two_histories(tmp_path)
    with pytest.raises(RestoreError, match=r"0x8 is there more than once.*old/edb00008\.log") as caught:
        plan_of(path, tmp_path / "out").raise_for_problems()
    assert "--branch" in str(caught.value.hint)
    one = plan_of(path, tmp_path / "out", branch="edb00008.log")
    assert one.problems == ()
    assert {name for name, target in targets(one).items() if target is None} == {"old/edb00008.log", "old/edb00009.log"}
    other = plan_of(path, tmp_path / "out", branch="old/edb00008.log")
    assert {name for name, target in targets(other).items() if target is None} == {"edb00008.log"}
    with pytest.raises(InputError, match="no log here is called"):
        plan_of(path, tmp_path / "out", branch="nothing.log")


@pytest.mark.parametrize(
    ("profile", "steps"), [("ese", ["ren ", "only if"]), ("certadm", ["net start", "take a full"])]
)
def test_without_a_current_log_the_highest_is_renamed_first_but_never_for_a_service(
    profile: str, steps: list[str], tmp_path: Path
) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
    plan = plan_of(archive(tmp_path / "a.tokar", files, kind="collected", profile=profile).path, tmp_path / "out")
    assert plan.recovery is not None
    assert [step[: len(start)] for step, start in zip(plan.recovery.next_steps, steps, strict=True)] == steps
    assert profile == "certadm" or "edb00007.log edb.log && esentutl /r edb" in plan.recovery.next_steps[0]
    assert [("-528" in str(one.error), "no service renames" in str(one.error.hint)) for one in plan.problems] == (
        [(True, True)] if profile == "certadm" else []
    )


def test_with_a_log_being_prepared_nothing_has_to_be_renamed(tmp_path: Path) -> None:
    plan = plan_of(
        made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edbtmp.log": bytes(8192)}), tmp_path / "out"
    )
    assert targets(plan)["edbtmp.log"] is not None
    assert plan.recovery is not None
    assert plan.recovery.next_steps[0].startswith("esentutl /r edb")


def away(files: dict[str, bytes], *names: str) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if name not in names}


CRASHED = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
CURRENT = {**away(CRASHED, "edb00007.log"), "edb.log": part(7, 7)["edb00007.log"]}
TWO = logs(5, 7, attached=((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM)))
ONE_OF_TWO = {DATABASE: bytes(dirty(5, 7)), **away(TWO, "edb00007.log"), "edb.log": TWO["edb00007.log"]}
LOST = {DATABASE: bytes(dirty(5, 6, 8)), **away(CURRENT, DATABASE, "edb.log"), "edb.log": part(7, 7)["edb00007.log"]}
STEPS: dict[str, tuple[dict[str, bytes], list[str], str]] = {
    "with its current log": (CURRENT, ["esentutl /r edb /l OUT /s OUT /d OUT"], ""),
    "with the log being prepared": (
        {**CRASHED, "edbtmp.log": bytes(8192)}, ["esentutl /r edb /l OUT /s OUT /d OUT"], "",
    ),
    "with neither": (
        CRASHED,
        [
            "ren OUT/edb00007.log edb.log && esentutl /r edb /l OUT /s OUT /d OUT",
            "only if that fails for want of the current log: esentutl /r edb /l OUT /s OUT /d OUT /a, which gives up",
        ],
        "",
    ),
    "one of several databases": (
        ONE_OF_TWO, ["esentutl /r edb /l OUT /s OUT /d OUT /i"], "recovery can do without: esentutl /r BASE /i",
    ),
    "committed logs are gone": (
        LOST, ["esentutl /r edb /l OUT /s OUT /d OUT /a"], "find the current log that was copied together",
    ),
}  # fmt: skip
OWN = {"certadm": "net start CertSvc", "ntdsbcli": "restart into normal mode", "edbbcli": "net start MSExchangeIS"}


@pytest.mark.parametrize("profile", ["ese", *OWN])
@pytest.mark.parametrize("title", STEPS)
def test_the_next_steps_are_those_of_the_engine_or_of_the_service(title: str, profile: str, tmp_path: Path) -> None:
    files, steps, hint = STEPS[title]
    path = archive(tmp_path / "a.tokar", files, kind="collected", profile=profile).path
    out = tmp_path / "out"
    plan = plan_of(path, out, accept_unrecoverable=True)
    assert plan.recovery is not None
    found = [step.replace(str(out), "OUT") for step in plan.recovery.next_steps]
    said = [one.error.hint or "" for one in plan_of(path, out).problems]
    with tokar.open(path) as opened:
        said += [fault.next_step for fault in judge_set(facts_of_archive(opened)).faults]
    if profile == "ese":
        assert [one[: len(step)] for one, step in zip(found, steps, strict=True)] == steps
        assert hint in " ".join(said)
    else:
        assert found[0].startswith(OWN[profile])
        for never in ("/i", "/a", "ren "):
            assert not any(never in one.split() or one.startswith(never) for one in [*found, *said])


def test_where_one_of_two_databases_is_clean_the_refusal_says_how_to_have_it(tmp_path: Path) -> None:
    other = database(signature=Signature(random=5))
    plan = plan_of(made(tmp_path, {DATABASE: bytes(dirty(5, 7)), "o k.edb": bytes(other)}), tmp_path / "out")
    (problem,) = plan.problems
    assert "; --only 'o k.edb' restores what needs no log; --accept-unrecoverable" in str(problem.error.hint)
    assert plan_of(tmp_path / "a.tokar", tmp_path / "out", only=["o k.edb"]).problems == ()


def test_clean_databases_of_one_name_are_not_sent_to_one_path(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7))}
    files |= {f"{one}/x.edb": bytes(database(signature=Signature(random=at))) for at, one in enumerate("ab", 5)}
    (problem,) = [one for one in plan_of(made(tmp_path, files), tmp_path / "out").problems if one.urgency == 0]
    assert "; --only a/x.edb restores what needs no log; " in str(problem.error.hint)


BEGUN = logs(7, 7, after=TOP[6], filled=2)[name_of(7)]
"""Log 7 as it was before it was closed."""
STAYING: dict[str, tuple[dict[str, bytes], dict[str, bytes], Word, str]] = {
    "what it needs": ({DATABASE: bytes(dirty(5, 7)), **part(5, 6)}, part(7, 8), Word.NOT_PROVEN, ""),
    "what was committed": ({DATABASE: bytes(dirty(5, 6, 8)), **part(5, 6)}, part(7, 8), Word.NOT_PROVEN, ""),
    "all of it": ({DATABASE: bytes(dirty(7, 8))}, {**part(5, 8), "edb.log": TOP[9]}, Word.NOT_PROVEN, ""),
    "what a database alone goes on from": ({DATABASE: bytes(database())}, part(5, 8), Word.NOT_PROVEN, ""),
    "what its current log became": (
        {DATABASE: bytes(dirty(5, 7)), **part(5, 6), "edb.log": BEGUN}, {**part(6, 8), "edb.log": TOP[9]},
        Word.NOT_PROVEN, "",
    ),
    "nothing, for a database alone": ({DATABASE: bytes(dirty(7, 8))}, part(5, 6), Word.NOT_RESTORABLE, "0x7-0x8 are"),
    "another log than its current one": (
        {DATABASE: bytes(dirty(5, 7)), **part(5, 6), "edb.log": BEGUN}, branch(7, 8), Word.NOT_PROVEN, "parted",
    ),
    "not all of it": ({DATABASE: bytes(dirty(5, 8)), **part(5, 6)}, part(7, 7), Word.NOT_RESTORABLE, "0x8 is missing"),
    "what hard recovery needs": (
        {DATABASE: bytes(streaming(5, 7)), **part(5, 6)}, part(7, 8), Word.NOT_RESTORABLE, "0x7 is missing",
    ),
    "a damaged one": (
        {DATABASE: bytes(dirty(5, 6)), **part(5, 6)},
        {name_of(7): flip(flip(TOP[7], 5000), 5400, 3)},
        Word.NOT_PROVEN,
        "edb00007.log has 1 damaged segment",
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", STAYING)
def test_logs_that_stay_in_the_target_are_judged_with_the_set(title: str, tmp_path: Path) -> None:
    files, there, word, problem = STAYING[title]
    path, out = made(tmp_path, files), write(tmp_path / "out", there)
    with tokar.open(path) as opened:
        plan = plan_restore(opened, RestoreOptions(into=out, existing="roll-forward"))
    assert plan.outcome is not None
    assert plan.outcome.word is word
    errors = [one.error.message for part, _ in plan.parts for one in part.problems]
    assert len(errors) == bool(problem)
    assert problem in "".join(errors)


@pytest.mark.parametrize("title", ["all of it", "what its current log became"])
def test_what_is_rolled_forward_lies_as_the_plan_says(title: str, tmp_path: Path) -> None:
    files, there, *_ = STAYING[title]
    path, out = made(tmp_path, files), write(tmp_path / "out", there)
    result = done("restore", "--existing", "roll-forward", "--into", out, path)
    assert f"esentutl /r edb /l {out} /s {out} /d {out}" in result.stdout
    placed = {one.name: one.read_bytes() for one in out.iterdir() if ".tokar-aside-" not in one.name}
    assert {*placed} == {*files, *there}
    assert all(placed[name] == {**files, **there}[name] for name in placed)
    assert done("check", "--content", out).stdout.splitlines()[-1].startswith("RESTORABLE")


def test_of_a_log_that_gives_way_the_archive_keeps_its_own_and_aside_takes_it(tmp_path: Path) -> None:
    files, there, *_ = STAYING["what its current log became"]
    path, out = made(tmp_path, files), write(tmp_path / "out", there)
    options = "--existing", "roll-forward", "--into", out, "--aside", tmp_path / "apart", path
    plan = done("restore", "--json", *options).json()["plans"][0]
    (step,) = [one for one in plan["steps"] if one["name"] == "edb.log"]
    assert "an earlier state of log 0x7, which is there as edb00007.log" in step["rule"]
    assert (tmp_path / "apart" / "edb.log").read_bytes() == BEGUN
    assert (out / "edb.log").read_bytes() == there["edb.log"]


def test_without_a_current_log_that_stays_the_next_one_stays_or_the_highest_is_renamed(tmp_path: Path) -> None:
    path = made(tmp_path, {DATABASE: bytes(dirty(7, 8))})
    for name, there in (("a", {}), ("b", {"edbtmp.log": TOP[5]})):
        out = write(tmp_path / name, part(7, 8) | there)
        result = done("restore", "--existing", "roll-forward", "--into", out, path)
        assert {*part(7, 8), *there} <= {one.name for one in out.iterdir()}
        assert (f"ren {out / name_of(8)} edb.log" in result.stdout) is not bool(there)


def test_what_stays_is_part_of_what_is_recovered_and_the_command_that_proves_it_is_whole(tmp_path: Path) -> None:
    files, there, *_ = STAYING["what it needs"]
    path, out = made(tmp_path, files), write(tmp_path / "out", there)
    with tokar.open(path) as opened:
        plan = plan_restore(opened, RestoreOptions(into=out, existing="roll-forward"))
    assert plan.recovery is not None
    assert (plan.recovery.recovery, plan.recovery.low, plan.recovery.high) == (Recovery.SOFT, 5, 8)
    assert f"(tokar check --content {path} {out})" in str(plan.outcome)
    done("check", "--content", path, out)


def test_one_name_with_different_content_in_two_sets_is_a_problem_of_the_plan(tmp_path: Path) -> None:
    paths = [archive(tmp_path / f"{at}.tokar", {"edb.log": bytes([at]) * 5000}).path for at in (1, 2)]
    with tokar.open(paths[0]) as first, tokar.open(paths[1]) as second:
        merged = MergedSet([(first, first.entries), (second, second.entries)])
        assert [str(one.error) for one in merged.problems] == ["edb.log is in two sets with different content"]
        assert MergedSet([(first, first.entries), (first, first.entries)]).problems == []


NAMED = {
    "a copy": ("edb00006 - Copy.log", "edb00006.log"),
    "kept by hand": ("edb00006.bak", "edb00006.log"),
    "six digits": ("edb000006.log", "edb00006.log"),
    "of another number": ("edb00026.log", "edb00006.log"),
    "the current log is not the last": ("edb.log", "edb00006.log"),
    "of another ending": ("edb00006.jtx", "edb00006.log"),
}


@pytest.mark.parametrize("title", NAMED)
def test_a_wrong_name_is_refused_with_the_way_and_set_right_only_when_asked(title: str, tmp_path: Path) -> None:
    wrong, right = NAMED[title]
    files = {DATABASE: bytes(dirty(5, 7)), **away(part(5, 7), right), wrong: part(6, 6)[right]}
    path = archive(tmp_path / "a.tokar", files, kind="collected", tokens={wrong: 0x21}).path
    (problem,) = plan_of(path, tmp_path / "out").problems
    assert "tokar restore --right-names" in str(problem.error.hint)
    with tokar.open(path) as opened:
        plan = plan_restore(opened, RestoreOptions(into=tmp_path / "out", right_names=True))
        plan.raise_for_problems()
        place_sets(plan)
    assert {one.name for one in (tmp_path / "out").iterdir()} == {DATABASE, *part(5, 7)}


@pytest.mark.parametrize("title", ["another server has its name", "two copies"])
def test_the_way_that_is_named_is_one_that_passes(title: str, tmp_path: Path) -> None:
    """A hint at --right-names, which then was refused with the same hint."""
    right, good = "edb00006.log", part(6, 6)["edb00006.log"]
    wrong = {right: logs(6, 6, stream=OTHER_STREAM)[right]} if "server" in title else {"edb00006 - Copy (2).log": good}
    files = {DATABASE: bytes(dirty(5, 7)), **away(part(5, 7), right), "edb00006 - Copy.log": good, **wrong}
    path = made(tmp_path, files)
    assert "--right-names" in str(plan_of(path, tmp_path / "out").problems[0].error.hint)
    with tokar.open(path) as opened:
        place_sets(plan_restore(opened, RestoreOptions(into=tmp_path / "out", right_names=True)))
    assert {one.name for one in (tmp_path / "out").iterdir()} == {DATABASE, *part(5, 7)}
    assert (tmp_path / "out" / right).read_bytes() == good


def test_right_names_leave_right_ones_alone_and_overwrite_nothing(tmp_path: Path) -> None:
    path = made(
        tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb00006 - Copy.log": part(6, 6)["edb00006.log"]}
    )
    plan = plan_of(path, tmp_path / "out", right_names=True)
    assert plan.problems == ()
    assert targets(plan) == targets(plan_of(path, tmp_path / "out"))
    assert targets(plan)["edb00006 - Copy.log"] is None


@pytest.mark.parametrize(("high", "recovery"), [(7, Recovery.NONE), (9, Recovery.SOFT)])
def test_a_lagged_copy_goes_on_with_its_later_logs(high: int, recovery: Recovery, tmp_path: Path) -> None:
    at = LogPosition(generation=7, sector=1)
    files = {DATABASE: bytes(database(consistent_position=at)), **logs(5, high)}
    guidance = plan_of(made(tmp_path, files), tmp_path / "out").recovery
    assert guidance is not None
    assert guidance.recovery is recovery


def test_a_whole_log_gets_the_name_of_a_damaged_one_when_asked(tmp_path: Path) -> None:
    name, whole = "edb00006.log", part(6, 6)["edb00006.log"]
    damaged = {name: flip(flip(whole, 5000), 5400, 3), "edb00006 - Copy.log": whole}
    with tokar.open(made(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 7), **damaged})) as opened:
        chosen = choose_one(opened, facts=facts_of_archive(opened, examine=True))
        refused = plan_restore(chosen, RestoreOptions(into=tmp_path / "out"))
        with pytest.raises(RestoreError, match="the engine looks for another name"):
            refused.raise_for_problems()
        facts = facts_of_archive(opened, examine=True)
        chosen = choose_one(opened, facts=facts, right_names=True)
        place_sets(plan_restore(chosen, RestoreOptions(into=tmp_path / "out")))
    assert (tmp_path / "out" / name).read_bytes() == whole
