"""What goes with a database and what does not: streaming and patch files, copies, instances, databases elsewhere."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chain_sets import increment
from command_line import done, tokar
from loose_facts import facts_of_folder
from recovery_sets import (
    DATABASE,
    DATABASE_SIGNATURE,
    OTHER_STREAM,
    PAGE_SIZE,
    STREAM,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    moment,
    streaming,
    write,
)

from tokar.ese.attachment import split_names
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.flushmap import FlushMap
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.sets.backup_set import find_sets
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.database_verdict import Verdict
from tokar.sets.engines import engines_text
from tokar.sets.facts import DatabaseFacts, LogFacts
from tokar.sets.faults import Fault, FaultKind, Severity
from tokar.sets.joining import build_chain
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.outcome import Word
from verbs import unlike_together

PAIR = Signature(random=40, created=moment(40))
OTHER = Signature(random=41, created=moment(41))


def stm(pair: Signature = PAIR, **fields: Any) -> bytes:
    """A streaming file."""
    header = DatabaseHeader(
        raw_page_size=4096, revision=9, attribute=1, file_type=2, signature=DATABASE_SIGNATURE, streaming_signature=pair
    )
    return replace(header, **fields).build() * 2 + bytes(8192)


def mailbox(**fields: Any) -> bytes:
    return bytes(database(streaming_signature=PAIR, **fields))


def verdict_on(folder: Path, files: dict[str, bytes]) -> SetVerdict:
    return judge_set(facts_of_folder(write(folder, files)))


def of_kind(verdict: SetVerdict, *kinds: FaultKind) -> list[Fault]:
    return [fault for fault in verdict.faults if fault.kind in kinds]


def test_a_database_with_its_streaming_file_is_whole(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {"priv1.edb": mailbox(), "priv1.stm": stm()})
    assert (verdict.worst, verdict.faults) == (Verdict.CLEAN, ())


@pytest.mark.parametrize(
    ("files", "kind", "message"),
    [
        ({}, FaultKind.STREAMING_MISSING, "priv1.edb has a streaming file, and priv1.stm is not here"),
        (
            {"priv1.stm": stm(OTHER)},
            FaultKind.STREAMING_FOREIGN,
            "priv1.stm is not the streaming file of priv1.edb: its signature is another one",
        ),
        (
            {"priv1.stm": bytes(16384)},
            FaultKind.STREAMING_FOREIGN,
            "priv1.stm is not the streaming file of priv1.edb: nothing but zeros",
        ),
        (
            {"pub1.stm": stm(OTHER)},
            FaultKind.STREAMING_MISSING,
            "priv1.edb has a streaming file, and priv1.stm is not here",
        ),
    ],
    ids=["missing", "of another database", "zeros", "another name"],
)
def test_a_streaming_file_that_is_missing_or_of_another_database_is_540(
    tmp_path: Path, files: dict[str, bytes], kind: FaultKind, message: str
) -> None:
    out = tmp_path / "a.tokar"
    done("create", "-q", out, write(tmp_path / "in", {"priv1.edb": mailbox(), **files}))
    found = find_sets([out]).sets[0].facts
    verdict = judge_set(found)
    (fault,) = [one for one in verdict.faults if one.severity is Severity.ERROR]
    assert (fault.kind, fault.code, fault.databases) == (kind, -540, ("priv1.edb",))
    assert fault.message.startswith(message)
    assert verdict.worst is Verdict.NOT_RECOVERABLE
    result = tokar("check", out)
    assert result.exit_code == 9
    assert "JET_errDatabaseStreamingFileMismatch, -540" in result.stdout


def test_a_streaming_file_of_nothing_here_is_named(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {"priv1.edb": bytes(database()), "pub1.stm": stm(OTHER, signature=OTHER)})
    assert [one.message for one in verdict.faults] == ["pub1.stm is a streaming file of no database here"]
    assert verdict.worst is Verdict.CLEAN


def test_a_streaming_file_has_no_row_in_the_restore_map(tmp_path: Path) -> None:
    files = {"main.edb": bytes(streaming(5, 7)), "main.stm": stm(signature=DATABASE_SIGNATURE), **logs(5, 7)}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", files))
    shown = done("restore", "--dry-run", "--into", tmp_path / "out", tmp_path / "a.tokar").stdout
    assert "1 row in the restore map" in shown
    assert re.search(r"main.stm +0x44 database +one folder +" + re.escape(str(tmp_path / "out" / "main.stm")), shown)


def patch_file(**fields: Any) -> bytes:
    """A patch file with the bookkeeping of a backup, twice, as a mail store of Windows 7 has it."""
    mark = BackupInfo(mark=LogPosition(generation=5, sector=2), time=moment(500), generation_low=5, generation_high=7)
    trailer = BackupTrailer(backup=mark, signature=DATABASE_SIGNATURE, log_signature=STREAM)
    return replace(trailer, **fields).build(8192) * 2


def test_a_patch_file_that_fits_needs_no_word(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {DATABASE: bytes(streaming(5, 7)), **logs(5, 7), "main.pat": patch_file()})
    assert verdict.faults == ()


@pytest.mark.parametrize("fields", [{"signature": OTHER}, {"log_signature": OTHER_STREAM}, {"backup": BackupInfo()}])
def test_a_patch_file_of_another_backup_is_552(tmp_path: Path, fields: dict[str, Any]) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), **logs(5, 7), "main.pat": patch_file(**fields)}
    (fault,) = verdict_on(tmp_path, files).faults
    assert (fault.kind, fault.code) == (FaultKind.PATCH_FOREIGN, -552)
    assert fault.message.startswith("main.pat is not the patch file of main.edb: ")


def test_a_patch_file_is_shown_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "main.pat").write_bytes(patch_file())
    shown = done("inspect", "--headers", tmp_path / "main.pat").stdout
    assert "patch file with the bookkeeping of a backup" in shown
    assert "5-7 (0x5-0x7)" in shown


def test_two_copies_of_one_database_are_named_with_the_latest(tmp_path: Path) -> None:
    files = {"a/main.edb": bytes(dirty(5, 7, dbtime=5)), "b/main.edb": bytes(dirty(5, 7, dbtime=9)), **logs(5, 7)}
    (fault,) = verdict_on(tmp_path, files).faults
    assert (fault.kind, fault.severity) == (FaultKind.DATABASE_TWICE, Severity.WARNING)
    assert fault.message.startswith("a/main.edb, b/main.edb are copies of one database, b/main.edb is the latest")


@pytest.mark.parametrize("name", ["old/main.edb", "OLD/MAIN.EDB", "main - Copy.edb"])
def test_an_older_copy_is_left_out_whatever_it_needs(tmp_path: Path, name: str) -> None:
    files = {DATABASE: bytes(dirty(5, 7, dbtime=9)), name: bytes(dirty(2, 3, dbtime=5)), **logs(5, 7)}
    verdict = verdict_on(tmp_path, files)
    assert [(one.kind, one.severity) for one in verdict.faults] == [(FaultKind.DATABASE_TWICE, Severity.WARNING)]
    assert [one.name for one in verdict.databases] == [DATABASE]
    assert [(one.file.name, one.reason) for one in verdict.left_out] == [(name, "an older copy of main.edb")]


def test_an_older_copy_that_has_the_name_which_the_logs_know_is_not_left_out(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(2, 3, dbtime=5)), "main - Copy.edb": bytes(dirty(5, 7, dbtime=9)), **logs(5, 7)}
    verdict = verdict_on(tmp_path, files)
    assert verdict.left_out == ()
    assert verdict.worst is Verdict.NOT_RECOVERABLE


def under(ending: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """Files under names with an ending behind them, or a mark before the point."""
    if "Copy" in ending:
        return {f"{one[:-4]}{ending}{one[-4:]}": data for one, data in files.items()}
    return {one + ending: data for one, data in files.items()}


LIVE = {DATABASE: bytes(dirty(5, 7, dbtime=5)), **logs(5, 7)}
STOPPED = {DATABASE: bytes(database(consistent_position=LogPosition(generation=7, sector=1), dbtime=5)), **logs(5, 7)}
LATER = {DATABASE: bytes(dirty(20, 21, dbtime=9)), **logs(20, 21)}
LATER_STOPPED = {**LATER, DATABASE: bytes(database(consistent_position=LogPosition(generation=21, sector=1), dbtime=9))}


@pytest.mark.parametrize("ending", [".old", ".bak", " - Copy"])
@pytest.mark.parametrize("live", [LIVE, STOPPED], ids=["needs logs", "shut down"])
@pytest.mark.parametrize("other", ["later", "later, shut down", "of another server"])
def test_a_set_of_wrong_names_beside_a_good_one_never_decides(
    other: str, live: dict[str, bytes], ending: str, tmp_path: Path
) -> None:
    beside = under(ending, {"later": LATER, "later, shut down": LATER_STOPPED}.get(other) or instance(50))
    verdict = verdict_on(tmp_path, {**live, **beside})
    assert verdict.blocking == ()
    assert [one.name for one in verdict.databases] == [DATABASE]
    found = {one.file.name: one.reason for one in verdict.left_out}
    assert found.keys() == beside.keys()
    (name,) = under(ending, {DATABASE: b""})
    assert found[name] == "the logs call it main.edb, and recovery finds main.edb under that name"


@pytest.mark.parametrize(
    "live",
    [
        {one: data for one, data in LIVE.items() if one != "edb00007.log"},  # it lacks a log itself
        {**LIVE, DATABASE: b"x" * 8192},  # it cannot be read
        {one: data for one, data in LIVE.items() if one != DATABASE},  # nothing has the right name
    ],
    ids=["lacks a log", "unreadable", "not there"],
)
def test_a_set_of_wrong_names_decides_where_the_other_is_no_good(live: dict[str, bytes], tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {**live, **under(".old", LATER)})
    assert verdict.worst is Verdict.NOT_RECOVERABLE
    assert f"{DATABASE}.old" in {one.name for one in verdict.databases}


def test_an_older_file_beside_a_streaming_copy_is_another_matter(tmp_path: Path) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), "old/main.edb": bytes(dirty(5, 7, dbtime=0)), **logs(5, 7)}
    assert FaultKind.NO_COPY in {one.kind for one in verdict_on(tmp_path, files).faults}


def test_a_database_that_the_logs_call_by_another_name_is_not_found_by_soft_recovery(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {"main - Copy.edb": bytes(dirty(5, 7)), **logs(5, 7)})
    (fault,) = verdict.faults
    assert (fault.kind, fault.code, fault.databases) == (FaultKind.DATABASE_NAME, -1216, ("main - Copy.edb",))
    assert fault.message.startswith("main - Copy.edb is called main.edb in the logs")


@pytest.mark.parametrize(
    "files",
    [
        {"copy.edb": bytes(streaming(5, 7)), "copy.pat": b""},  # a restore map says where it is
        {"copy.edb": bytes(database())},  # no log is played
        {"MAIN.EDB": bytes(dirty(5, 7))},
    ],
)
def test_another_name_is_no_matter_where_nobody_looks_for_it(tmp_path: Path, files: dict[str, bytes]) -> None:
    no_logs = list(files) == ["copy.edb"]
    assert verdict_on(tmp_path, files if no_logs else {**files, **logs(5, 7)}).blocking == ()


def test_a_name_in_some_code_page_is_not_compared(tmp_path: Path) -> None:
    named = logs(5, 7, attached=(("C:\\db\\m\xe4in.edb", DATABASE_SIGNATURE),))
    assert verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), **named}).blocking == ()


@pytest.mark.parametrize("name", ["m\xe4in.edb", "\uff4dain.edb", os.fsdecode(b"m\xe4in.edb")])
def test_a_name_beyond_ascii_is_another_than_one_of_ascii_in_the_logs(tmp_path: Path, name: str) -> None:
    (fault,) = verdict_on(tmp_path, {name: bytes(dirty(5, 7)), **logs(5, 7)}).faults
    assert (fault.kind, fault.code) == (FaultKind.DATABASE_NAME, -1216)
    assert "is called main.edb in the logs" in fault.message


@pytest.mark.parametrize("name", ["m\xe4in.edb", os.fsdecode(b"m\xe4in.edb")])
@pytest.mark.parametrize("named", [split_names(b"C:\\db\\m\x84in.edb\0", wide=False)[0], "C:\\db\\ma\u0308in.edb"])
def test_of_two_names_beyond_ascii_nobody_can_tell(tmp_path: Path, name: str, named: str) -> None:
    of_logs = logs(5, 7, attached=((named, DATABASE_SIGNATURE),))
    assert verdict_on(tmp_path, {name: bytes(dirty(5, 7)), **of_logs}).blocking == ()


def test_a_database_gets_its_right_name_when_asked(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "x.tokar", write(tmp_path / "in", {"copy.edb": bytes(dirty(5, 7)), **logs(5, 7)}))
    refused = tokar("restore", "--into", tmp_path / "out", tmp_path / "x.tokar")
    assert (refused.exit_code, "--right-names" in refused.stderr) == (6, True)
    result = done("restore", "--right-names", "--into", tmp_path / "out", tmp_path / "x.tokar")
    assert result.stdout.splitlines()[-1] == "RESTORABLE"
    assert (tmp_path / "out" / DATABASE).read_bytes() == bytes(dirty(5, 7))


def test_where_right_names_are_given_the_directory_that_has_them_is_what_proves_the_set(tmp_path: Path) -> None:
    files = {"copy.edb": bytes(dirty(5, 7)), **logs(5, 7)}
    path = archive(tmp_path / "x.tokar", files).path
    result = done("restore", "--right-names", "--into", tmp_path / "out", path)
    way = f"(tokar check --content {tmp_path / 'out'})"
    assert result.stdout.splitlines()[-1] == f"NOT PROVEN: pages and log segments were not verified {way}"
    assert done("check", "--content", tmp_path / "out").stdout.splitlines()[-1] == "RESTORABLE"
    assert tokar("check", "--content", path).exit_code == 9


def test_of_copies_that_are_equal_none_is_called_the_latest(tmp_path: Path) -> None:
    files = {"a/main.edb": bytes(dirty(5, 7, dbtime=5)), "b/main.edb": bytes(dirty(5, 7, dbtime=5)), **logs(5, 7)}
    (fault,) = verdict_on(tmp_path, files).faults
    assert fault.message == (
        "a/main.edb, b/main.edb are copies of one database, of the same time: logs are played onto one of them"
    )


def last_lines(folder: Path, files: dict[str, bytes]) -> dict[str, str]:
    path = folder / "x.tokar"
    done("create", "-q", path, write(folder / "in", files))
    found = {"check": tokar("check", path), "content": tokar("check", "--content", path)}
    found["restore"] = tokar("restore", "--tree", folder / "out", path)
    return {verb: result.stdout.splitlines()[-1] for verb, result in found.items()}


@pytest.mark.parametrize("place", ["copy {}.edb", "{}/main.edb", "old {}.edb"])
def test_copies_that_recovery_does_not_open_decide_nothing_where_they_are_placed(place: str, tmp_path: Path) -> None:
    """In a folder as clean ones: one that needs logs lacks them there."""
    is_older, in_folders = place.startswith("old"), "/" in place
    own = database(dbtime=0x4000) if in_folders else dirty(5, 7, dbtime=9)
    copy = dirty(5, 7, dbtime=5) if is_older else own
    files = {place.format(number): bytes(copy) for number in range(5)}
    found = last_lines(tmp_path, {DATABASE: bytes(own), **logs(5, 7), **files})
    assert {*found.values()} == {"RESTORABLE"}
    assert len([*(tmp_path / "out").rglob("*.edb")]) == 6


def test_an_older_copy_of_the_same_name_that_is_placed_is_no_proof(tmp_path: Path) -> None:
    """Which of them the engine is given nobody knows."""
    files = {"a/main.edb": bytes(database(dbtime=0x4000)), "b/main.edb": bytes(database(dbtime=0x3000))}
    found = last_lines(tmp_path, files)
    assert found["check"] == "RESTORABLE"
    assert found["restore"] == "NOT PROVEN: b/main.edb: an older copy of a/main.edb"


def test_an_empty_database_is_called_empty_whatever_names_it(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), "priv.edb": b"", **logs(5, 7)})
    assert verdict.worst is Verdict.NOT_RECOVERABLE
    assert "priv.edb cannot be read: empty" in [fault.message for fault in verdict.faults]


def instance(number: int) -> dict[str, bytes]:
    stream, own = replace(OTHER_STREAM, random=number), Signature(random=number, created=moment(number))
    files = {DATABASE: bytes(dirty(5, 7, log_signature=stream, signature=own))}
    return {**files, **logs(5, 7, stream=stream, attached=((r"C:\db\main.edb", own),))}


def test_two_instances_with_one_base_name_are_told_apart(tmp_path: Path) -> None:
    files = {f"{folder}/{name}": data for at, folder in enumerate("ab") for name, data in instance(50 + at).items()}
    verdict = verdict_on(tmp_path, files)
    assert verdict.worst is Verdict.RECOVERABLE
    (fault,) = verdict.faults
    assert (fault.kind, fault.severity) == (FaultKind.INSTANCES, Severity.WARNING)
    assert fault.message == "2 instances have the base name edb, in a and b: their logs cannot lie in one directory"
    done("create", "-q", tmp_path / "x.tokar", write(tmp_path / "in", files))
    refused = tokar("restore", "--dry-run", "--into", tmp_path / "out", tmp_path / "x.tokar")
    assert refused.exit_code == 6
    assert "would be one file" in refused.stderr
    last = refused.stdout.splitlines()[-1]  # only the place is wrong
    assert last.startswith("REFUSED: ")
    assert last.endswith("; the files alone: RESTORABLE")


def test_log_sizes_that_differ_are_541(tmp_path: Path) -> None:
    first = logs(5, 6)
    later = logs(7, 7, after=first["edb00006.log"], sectors=7)
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), **first, **later})
    (fault,) = verdict.faults
    assert (fault.kind, fault.code, fault.severity) == (FaultKind.LOG_SIZES, -541, Severity.ERROR)
    assert fault.message.startswith("edb00007.log has 28672 bytes by its header, edb00006.log has 24576")


def test_a_log_of_another_size_beyond_the_need_is_left_out(tmp_path: Path) -> None:
    first = logs(5, 7)
    later = logs(8, 9, after=first["edb00007.log"], sectors=7)
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), **first, **later})
    assert verdict.worst is Verdict.RECOVERABLE
    assert {one.file.name for one in verdict.left_out} == {"edb00008.log", "edb00009.log"}
    assert of_kind(verdict, FaultKind.LOG_SIZES)[0].severity is Severity.WARNING


def test_logs_alone_of_two_sizes_are_no_run(tmp_path: Path) -> None:
    first = logs(5, 6)
    verdict = verdict_on(tmp_path, {**first, **logs(7, 7, after=first["edb00006.log"], sectors=7)})
    assert [one.kind for one in verdict.blocking] == [FaultKind.LOG_SIZES]


BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER))
TWO = logs(5, 7, attached=BOTH)


def test_a_backup_range_that_runs_backwards_is_not_judged(tmp_path: Path) -> None:
    backwards = BackupInfo(
        mark=LogPosition(generation=8, sector=2), time=moment(500), generation_low=8, generation_high=7
    )
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7, current_full=backwards)), **logs(5, 7)})
    assert verdict.worst is Verdict.NOT_CHECKED
    assert "logs from 0x8 to 0x7, which cannot be" in str(verdict.to_json())


def test_the_second_database_of_a_stream_is_not_called_absent_where_another_archive_has_it(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **TWO}, kind="collected")
    archive(tmp_path / "b.tokar", {"pub.edb": bytes(dirty(5, 7, signature=OTHER)), **TWO}, kind="collected")
    alone = build_chain(find_sets([tmp_path / "a.tokar"]).sets)
    assert [one.kind for one in alone.verdicts[0].blocking] == [FaultKind.DATABASE_NOT_HERE]
    both = build_chain(find_sets([tmp_path]).sets)
    assert all(one.restorable for one in both.verdicts)
    said = [one.message for start in both.starts for one in start.faults]
    assert rf"the logs are also about C:\db\pub.edb, which is in pub.edb of {tmp_path / 'b.tokar'}" in said


def test_a_damaged_set_with_another_database_of_the_stream_is_not_done_without(tmp_path: Path) -> None:
    damaged = flip(flip(bytes(dirty(5, 7, signature=OTHER)), 5 * 4096 + 500), 5 * 4096 + 900)
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **TWO}, kind="collected")
    archive(tmp_path / "b.tokar", {"pub.edb": damaged, **TWO}, kind="collected")
    chain = build_chain(find_sets([tmp_path], examine=True).sets)
    assert chain.taken is None
    assert chain.spared == ()
    assert chain.outcome == chain.outcome_of(1)
    assert chain.outcome_of(1).exit_code == 9
    with pytest.raises(NotRestorableError, match=r"b\.tokar cannot be restored: pub\.edb has 1 damaged page"):
        restorable(chain)


def test_an_increment_without_databases_changes_nothing_about_what_is_absent(tmp_path: Path) -> None:
    archive(tmp_path / "a.tokar", {DATABASE: bytes(dirty(5, 7)), **TWO}, kind="collected")
    increment(tmp_path, "inc", logs(8, 8, after=TWO["edb00007.log"], attached=BOTH))
    chain = build_chain(find_sets([tmp_path]).sets)
    assert FaultKind.DATABASE_NOT_HERE in {fault.kind for one in chain.verdicts for fault in one.blocking}


def test_a_repair_is_told_with_its_count_and_what_it_ends(tmp_path: Path) -> None:
    (fault,) = verdict_on(tmp_path, {DATABASE: bytes(database(repair_count=3, repair_time=moment(1)))}).faults
    assert fault.message.startswith("main.edb was repaired 3 times, last on 2020-")
    assert "no log from before fits it" in fault.message


def test_the_report_of_a_repair_is_named_as_one(tmp_path: Path) -> None:
    result = done(
        "create", tmp_path / "a.tokar", write(tmp_path / "in", {DATABASE: bytes(database()), "main.INTEG.RAW": b"x"})
    )
    assert "not inside: main.INTEG.RAW: the report of an integrity check or a repair (esentutl /g, /p)" in result.stderr


def facts(revision: int) -> DatabaseFacts:
    return DatabaseFacts(name="x", header=DatabaseHeader(raw_page_size=4096, revision=revision))


@pytest.mark.parametrize(
    ("revision", "formats", "text"),
    [
        (9, [], "Windows XP or Server 2003, or later; an upper end is not known"),
        (
            9,
            ["7.3704.6.0"],
            "Windows XP or Server 2003; today's engine answers -514 to logs of format 7.3704.6.0 that hold a split",
        ),
        (0x11, ["7.3704.15.0"], "Windows 7 or Server 2008 R2, or later; an upper end is not known"),
        (0x14, [], "Windows 8 or Server 2012, or later; an upper end is not known"),
        (0x14, ["8.4000.4.4"], "Windows 8.1 or Server 2012 R2, or later; an upper end is not known"),
        (0x14, ["8.4000.5.16"], "Windows 10 or Server 2016, or later; an upper end is not known"),
        (0x14, ["8.4000.5.16", "8.4000.60.140"], "Windows 10 2004, or later; an upper end is not known"),
        (200, ["8.4000.90.200"], "Windows Server 2022 or Windows 11, or later; an upper end is not known"),
        (290, [], "an engine newer than that of Windows 11 21H2, or later; an upper end is not known"),
        (0x14, [""], "Windows 8 or Server 2012, or later; an upper end is not known"),
    ],
)
def test_the_range_of_engines_goes_by_formats(revision: int, formats: list[str], text: str) -> None:
    assert engines_text([facts(revision)], [LogFacts(name="l", format=one) for one in formats]) == text


def test_without_a_header_nothing_is_said_of_engines() -> None:
    assert engines_text([DatabaseFacts(name="x")], []) == ""


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("xp64-catroot2", "Windows XP or Server 2003, or later"),  # a clean database: its logs are not needed
        ("win10-srum-belkasoft-dirty", "Windows 10 or Server 2016, or later"),
        ("ual-hyperv", "Windows 8 or Server 2012, or later"),
    ],
)
def test_check_says_which_engines_recover_a_real_set(samples: Path, name: str, text: str) -> None:
    assert f"engines that can recover it: {text}" in tokar("check", samples / name).stdout


def test_databases_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    files = {"a/main.edb": bytes(database()), "b/main.edb": bytes(database(signature=OTHER_STREAM))}
    path = tmp_path / "a.tokar"
    done("create", "-q", path, write(tmp_path / "set", files))
    checked = done("check", path)
    assert "a/main.edb, b/main.edb have one name" in checked.stdout
    assert "tokar restore --tree DIR" in checked.stdout
    refused = tokar("restore", path, "--into", tmp_path / "out")
    assert refused.exit_code == 6
    assert "--tree DIR" in refused.hint
    done("restore", path, "--tree", tmp_path / "out")
    assert {one: (tmp_path / "out" / one).read_bytes() for one in files} == files


@pytest.mark.parametrize("examine", [False, True])
def test_of_copies_the_one_with_pages_of_the_size_of_its_logs_is_the_one(tmp_path: Path, *, examine: bool) -> None:
    whole = bytes(dirty(5, 7))
    header = DatabaseHeader.unpack(whole)
    other = replace(header, raw_page_size=8192).build() * 2
    files = {DATABASE: other + whole[len(other) :], f"old/{DATABASE}": whole, **logs(5, 7)}
    facts = facts_of_folder(write(tmp_path, files), examine=examine)
    verdict = judge_set(facts)
    assert [one.file.name for one in verdict.left_out if isinstance(one.file, DatabaseFacts)] == [DATABASE]
    assert [one.name for one in verdict.databases] == [f"old/{DATABASE}"]


def with_bits(data: bytes) -> bytes:
    return flip(flip(data, 3 * 4096 + 99), 3 * 4096 + 2000, 3)


@pytest.mark.parametrize(
    ("broken", "when"),
    [(with_bits, " of an earlier time"), (lambda data: bytes(len(data)), ""), (lambda _: b"", "")],
)
def test_a_whole_copy_is_named_as_the_way_out_of_damage(broken: Any, when: str, tmp_path: Path) -> None:
    whole = bytes(dirty(5, 7))
    header = DatabaseHeader.unpack(whole)
    later = replace(header, dbtime=header.dbtime + 9).build() * 2 + whole[2 * 4096 :]
    files = {DATABASE: broken(later), f"old/{DATABASE}": whole, **logs(5, 7)}
    fault = judge_set(facts_of_folder(write(tmp_path, files), examine=True)).blocking[0]
    assert fault.next_step.endswith(
        f"; or restore old/{DATABASE}, a whole copy{when}, in its place with the logs (--only)"
    )


def test_a_damaged_copy_is_no_way_out(tmp_path: Path) -> None:
    damaged = with_bits(bytes(dirty(5, 7)))
    files = {DATABASE: bytes(len(damaged)), f"old/{DATABASE}": damaged, **logs(5, 7)}
    verdict = judge_set(facts_of_folder(write(tmp_path, files), examine=True))
    assert all("--only" not in one.next_step for one in verdict.blocking)


def test_no_database_of_another_server_is_a_whole_copy_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    own = {f"b/{name}": data for name, data in instance(51).items()} | {f"b/{DATABASE}": b""}
    files = {f"a/{name}": data for name, data in instance(50).items()} | own
    (fault,) = verdict_on(tmp_path / "two", files).blocking
    assert (fault.kind, fault.files) == (FaultKind.DATABASE_UNREADABLE, (f"b/{DATABASE}",))
    assert "whole copy" not in fault.next_step
    (fault,) = verdict_on(tmp_path / "one", {**own, f"old/{DATABASE}": instance(51)[DATABASE]}).blocking
    assert f"restore old/{DATABASE}, a whole copy" in fault.next_step


def without_a_current_log(
    tmp_path: Path, profile: str, files: dict[str, bytes], *, examine: bool = True
) -> list[tuple[FaultKind, int | None]]:
    """Return what is in the way, of files that belong to a service."""
    found = judge_set(replace(facts_of_folder(write(tmp_path, files), examine=examine), profile=profile))
    return [(one.kind, one.code) for one in found.blocking]


BEGUN: dict[str, dict[str, bytes]] = {
    "a current log": {"edb.log": logs(8, 8)["edb00008.log"]},
    "the one being prepared": {"edbtmp.log": bytes(4096)},
}
NOT_BEGUN: dict[str, dict[str, bytes]] = {
    "neither": {},
    "those of another base": {"e00.log": logs(8, 8, stream=OTHER_STREAM)["edb00008.log"], "e00tmp.log": b"x"},
    "the other suffix": {"edbtmp.jtx": b"x"},
    "a current log that is left out": {"edb.log": logs(9, 9, stream=OTHER_STREAM)["edb00009.log"]},
}


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli", "edbbcli"])
@pytest.mark.parametrize("added", NOT_BEGUN.values(), ids=NOT_BEGUN)
@pytest.mark.parametrize("data", [bytes(dirty(5, 7)), bytes(database())], ids=["crashed", "clean"])
def test_a_service_does_not_begin_without_a_current_log_and_the_next_one(
    data: bytes, added: dict[str, bytes], profile: str, tmp_path: Path
) -> None:
    files = {DATABASE: data, **logs(5, 7), **added}
    assert (FaultKind.NO_CURRENT_LOG, -528) in without_a_current_log(tmp_path, profile, files)


def test_what_is_wrong_with_one_of_two_copies_of_one_time_refuses_nothing_before_somebody_looks(tmp_path: Path) -> None:
    damaged = flip(dirty(5, 7, branch=1000), 3 * PAGE_SIZE + 100)
    damaged = flip(damaged, 3 * PAGE_SIZE + 300)
    alone = {DATABASE: damaged, **logs(5, 7)}
    both = {**alone, f"old/{DATABASE}": bytes(dirty(5, 7))}
    assert judge_set(facts_of_folder(write(tmp_path / "alone", alone))).blocking
    for examine in (False, True):
        found = judge_set(facts_of_folder(write(tmp_path / f"{examine}", both), examine=examine))
        assert found.blocking == ()
        assert any(one.is_open for one in found.faults) is not examine
    same = {**both, f"old/{DATABASE}": flip(dirty(5, 7, branch=1000), 2 * PAGE_SIZE + 100)}
    assert judge_set(facts_of_folder(write(tmp_path / "same", same))).blocking


@pytest.mark.parametrize("examine", [True, False])
@pytest.mark.parametrize(("data", "is_sure"), [(bytes(dirty(5, 7)), True), (bytes(database()), False)])
def test_what_rests_on_logs_that_no_database_needs_is_a_remark_until_somebody_examines_them(
    data: bytes, is_sure: bool, examine: bool, tmp_path: Path
) -> None:
    files = {DATABASE: data, **logs(5, 7)}
    kinds = [(FaultKind.NO_CURRENT_LOG, -528)] if is_sure or examine else []
    assert without_a_current_log(tmp_path / "no current log", "certadm", files, examine=examine) == kinds
    facts = facts_of_folder(write(tmp_path / "name", {"main - Copy.edb": data, **logs(5, 7)}), examine=examine)
    verdict = judge_set(facts)
    assert {one.kind for one in verdict.faults} >= {FaultKind.DATABASE_NAME}
    assert [one.kind for one in verdict.blocking] == ([FaultKind.DATABASE_NAME] if kinds else [])


@pytest.mark.parametrize("added", BEGUN.values(), ids=BEGUN)
def test_a_service_begins_with_either(added: dict[str, bytes], tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7), **added}
    assert without_a_current_log(tmp_path, "certadm", files, examine=False) == []


def test_hard_recovery_and_whoever_renames_the_highest_log_begin_without(tmp_path: Path) -> None:
    assert without_a_current_log(tmp_path / "a", "certadm", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}) == []
    assert without_a_current_log(tmp_path / "b", "ese", {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}) == []
    assert without_a_current_log(tmp_path / "c", "certadm", {DATABASE: bytes(database())}) == []


def test_what_a_procedure_handed_out_is_not_refused_for_want_of_a_current_log(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
    for kind, severity in (("full", Severity.WARNING), ("collected", Severity.ERROR)):
        made = archive(tmp_path / f"{kind}.tokar", files, kind=kind, profile="certadm")
        (found,) = find_sets([made.path]).sets
        assert [one.severity for one in judge_set(found.facts).faults if one.kind is FaultKind.NO_CURRENT_LOG] == [
            severity
        ]


def test_what_was_shut_down_can_be_restored_without_logs_where_a_service_renames_none(tmp_path: Path) -> None:
    files = write(tmp_path / "set", {DATABASE: bytes(database()), **logs(5, 7)})
    done("create", "-q", "--profile", "certadm", tmp_path / "a.tokar", files)
    refused = tokar("restore", "--into", tmp_path / "out", tmp_path / "a.tokar")
    assert (
        refused.exit_code,
        "restore without logs what was shut down: --only" in " ".join(refused.stderr.split()),
    ) == (
        6,
        True,
    )
    done("restore", "--only", DATABASE, "--into", tmp_path / "out", tmp_path / "a.tokar")


PLACES = [
    (logs(6, 6)["edb00006.log"], "a log"),
    (checkpoint(5), "a checkpoint"),
    (FlushMap().build(), "a flush map"),
    (stm(), "a streaming file"),
    (
        DatabaseHeader(raw_page_size=4096, revision=20, raw_state=DatabaseState.JUST_CREATED).build() * 2 + bytes(8192),
        "a temporary database",
    ),
]


@pytest.mark.parametrize(("content", "what"), PLACES)
def test_another_file_in_the_place_of_the_database_that_logs_name_is_called_that(
    tmp_path: Path, content: bytes, what: str
) -> None:
    verdict = verdict_on(tmp_path, {DATABASE: content, **logs(5, 7)})
    assert [one.message for one in verdict.blocking] == [f"main.edb cannot be read: {what} by its header"]


@pytest.mark.parametrize(("content", "what"), [*PLACES, (b"x" * 9000, ""), (b"", "")])
def test_a_database_that_is_here_and_cannot_be_read_is_not_called_absent(
    tmp_path: Path, content: bytes, what: str
) -> None:
    attached = ((rf"C:\db\{DATABASE}", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER))
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7, attached=attached)}
    verdict = verdict_on(tmp_path / "a", {**files, "pub.edb": content})
    assert [one.kind for one in verdict.blocking] == [FaultKind.DATABASE_UNREADABLE]
    assert f"pub.edb cannot be read: {what}" in verdict.blocking[0].message
    assert [one.kind for one in verdict_on(tmp_path / "b", files).blocking] == [FaultKind.DATABASE_NOT_HERE]


HEADLESS = bytes(4096) + logs(6, 6)["edb00006.log"][4096:]
NO_HEADER = "its header is gone, and segments of a log follow"


@pytest.mark.parametrize(("content", "what"), PLACES)
def test_what_has_the_name_of_a_database_that_is_here_under_another_name_stands_in_no_place(
    tmp_path: Path, content: bytes, what: str
) -> None:
    files = {DATABASE: content, **logs(5, 7)}
    for number, signature in enumerate((DATABASE_SIGNATURE, OTHER)):
        verdict = verdict_on(tmp_path / str(number), {"old.edb": bytes(database(signature=signature)), **files})
        said = f"{DATABASE} cannot be read: {what} by its header" in {one.message for one in verdict.blocking}
        assert said == (signature == OTHER)


@pytest.mark.parametrize("signature", [DATABASE_SIGNATURE, OTHER])
def test_a_log_in_the_place_of_a_database_is_the_cause_of_every_verb_unless_another_set_has_that(
    tmp_path: Path, signature: Signature
) -> None:
    found = logs(5, 7)
    sets = ({"old.edb": bytes(database(signature=signature))}, {DATABASE: found["edb00006.log"], **found})
    paths = [tmp_path / f"{at}.tokar" for at in range(len(sets))]
    for path, files in zip(paths, sets, strict=True):
        done("create", "-q", path, write(path.with_suffix(""), files))
    assert [*unlike_together(paths)] == []
    why = "main.edb cannot be read: a log by its header"
    if signature == DATABASE_SIGNATURE:
        why = "old.edb is called main.edb in the logs: recovery does not find it here"
    assert tokar("check", "--json", *paths).json()["outcome"] == {"word": Word.NOT_RESTORABLE, "why": why}


def test_a_log_without_its_header_in_the_place_of_the_database_is_called_that(tmp_path: Path) -> None:
    (fault,) = verdict_on(tmp_path, {DATABASE: HEADLESS, **logs(5, 7)}).blocking
    assert (fault.message, fault.code) == (f"main.edb cannot be read: {NO_HEADER}", -1018)


def test_a_log_without_its_header_beside_a_set_that_does_not_need_it_is_a_remark(tmp_path: Path) -> None:
    for number, main in enumerate((database(), dirty(5, 7))):
        verdict = verdict_on(tmp_path / str(number), {DATABASE: bytes(main), "old.edb": HEADLESS, **logs(5, 7)})
        assert verdict.blocking == ()
        assert f"old.edb cannot be read: {NO_HEADER}" in {one.message for one in verdict.faults}


def test_a_needed_log_without_its_header_is_called_that(tmp_path: Path) -> None:
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), **logs(5, 7), "edb00006.log": HEADLESS})
    assert (verdict.blocking[0].message, verdict.blocking[0].code) == (
        f"edb00006.log cannot be read: {NO_HEADER}",
        -501,
    )


@pytest.mark.parametrize(("content", "what"), PLACES[1:])
def test_a_file_that_the_engine_makes_anew_is_no_fault_where_logs_do_not_call_a_database_so(
    tmp_path: Path, content: bytes, what: str
) -> None:
    files = {"other.edb": content, DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
    assert (what, FaultKind.DATABASE_UNREADABLE) not in {(what, one.kind) for one in verdict_on(tmp_path, files).faults}


@pytest.mark.parametrize("name", ["other.edb", "edb00006.log.bak"])
def test_a_log_under_a_name_that_no_log_gives_to_a_database_is_a_log(name: str, tmp_path: Path) -> None:
    found = logs(5, 7)
    verdict = verdict_on(tmp_path, {name: found["edb00006.log"], **found})
    assert verdict.blocking == ()


def test_where_the_database_is_here_a_log_of_its_name_is_no_more_than_a_copy(tmp_path: Path) -> None:
    found = logs(5, 7)
    verdict = verdict_on(tmp_path, {DATABASE: bytes(dirty(5, 7)), f"old/{DATABASE}": found["edb00006.log"], **found})
    assert verdict.blocking == ()
