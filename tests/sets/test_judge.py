"""The verdict on small sets, and on every change to them: exactly the faults in the table, root cause first."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from command_line import tokar
from loose_facts import facts_of_folder
from recovery_sets import (
    DATABASE,
    DATABASE_SIGNATURE,
    OTHER_STREAM,
    PAGE_SIZE,
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

from tokar.ese.database import DatabaseState
from tokar.ese.flushmap import FlushMap
from tokar.ese.values import NO_SIGNATURE, BackupInfo, LogPosition, Signature
from tokar.sets.database_verdict import Verdict
from tokar.sets.facts import AttachedDatabase, ChainFacts, OffChain
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.faults import Severity
from tokar.sets.judge import judge_set
from tokar.sets.outcome import Word, outcome_of
from tokar.sets.roles import LogRole

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

Files = dict[str, bytes]
Row = tuple[Kind, Severity, int | None]
ERROR, LOSS, WARNING = Severity.ERROR, Severity.LOSS, Severity.WARNING


@cache
def crashed() -> Files:
    """A dirty database that needs logs 5-7, with an older log and one to play forward."""
    return {DATABASE: bytes(dirty(5, 7)), **logs(4, 8)}


@cache
def backup() -> Files:
    """A streaming copy with the logs of its backup."""
    return {DATABASE: bytes(streaming(5, 7)), **logs(5, 7), "main.pat": b""}


def verdict_of(folder: Path, files: Files) -> SetVerdict:
    return judge_set(facts_of_folder(write(folder, files), examine=True))


def rows(verdict: SetVerdict) -> list[Row]:
    return [(fault.kind, fault.severity, fault.code) for fault in verdict.faults]


def name_of(generation: int) -> str:
    return f"edb{generation:05X}.log"


def test_of_many_pages_off_their_chain_the_first_is_named_and_the_others_are_counted(tmp_path: Path) -> None:
    facts = facts_of_folder(write(tmp_path, crashed()), examine=True)
    off = tuple(OffChain(page, "(5,1,28)", f"page {page} is at 0x1") for page in range(8))
    (found,) = (replace(one, chain=ChainFacts(off=off, off_count=30)) for one in facts.databases)
    (fault,) = judge_set(replace(facts, databases=(found,))).blocking
    first = "page 0 is at 0x1, at (5,1,28), and 29 more"
    assert fault.message == f"main.edb has 30 pages that the logs do not lead to: {first}"


ANOTHER = AttachedDatabase(r"C:\db\pub.edb", OTHER_STREAM)


def with_attached(folder: Path, files: Files, *attached: AttachedDatabase, high: int = 7) -> SetVerdict:
    facts = facts_of_folder(write(folder, files), examine=True)
    (found,) = (replace(one, chain=ChainFacts(high=high, attached=attached)) for one in facts.databases)
    return judge_set(replace(facts, databases=(found,)))


def test_a_database_that_records_attach_in_the_last_log_is_missed(tmp_path: Path) -> None:
    verdict = with_attached(tmp_path, {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}, ANOTHER)
    assert rows(verdict) == [(Kind.DATABASE_NOT_HERE, LOSS, -1216)]


def test_a_database_that_records_detach_is_not_missed_beside_one_that_was_shut_down(tmp_path: Path) -> None:
    verdict = with_attached(tmp_path, {**with_other_database(), DATABASE: bytes(database())})
    assert rows(verdict) == [(Kind.DATABASE_NOT_HERE, WARNING, -1216)]


def test_of_one_that_was_not_the_header_of_the_last_log_counts_too(tmp_path: Path) -> None:
    assert rows(with_attached(tmp_path, with_other_database())) == [(Kind.DATABASE_NOT_HERE, LOSS, -1216)]


def test_beside_one_that_was_shut_down_another_is_missed_where_records_attach_it_and_else_open(tmp_path: Path) -> None:
    files = {**with_other_database(), DATABASE: bytes(database())}
    facts = facts_of_folder(write(tmp_path / "unread", files), examine=True)
    line = outcome_of(judge_set(facts), facts)
    assert (line.word, "its pages were not followed" in line.why) == (Word.NOT_PROVEN, True)
    assert rows(with_attached(tmp_path / "read", files, ANOTHER)) == [(Kind.DATABASE_NOT_HERE, LOSS, -1216)]


def test_logs_are_looked_for_as_the_current_one_ends_although_more_end_otherwise(tmp_path: Path) -> None:
    stream = logs(4, 16)
    own = {**{name_of(one): stream[name_of(one)] for one in (4, 5, 6)}, "edb.log": stream[name_of(7)]}
    later = {f"old/{name_of(one)}": stream[name_of(one)] for one in range(10, 17)}
    found = verdict_of(tmp_path, {DATABASE: bytes(dirty(5, 7)), **jtx(own), **later})
    assert [one.verdict for one in found.databases] == [OK]
    assert {(fault.kind, fault.severity, fault.files[0][:4]) for fault in found.faults} == {
        (Kind.LOG_NAME, WARNING, "old/")
    }


def jtx(files: Files) -> Files:
    return {name.replace(".log", ".jtx"): data for name, data in files.items()}


def of_two_histories() -> Files:
    """Logs of the newer suffix, and later ones of another history with the older one, a current one among them."""
    own = logs(5, 8)
    other = logs(5, 9, after=logs(4, 4, branch=1000)[name_of(4)], branch=1000)
    other["edb.log"] = other.pop(name_of(9))
    return {DATABASE: bytes(dirty(5, 7)), **jtx(own), **other}


def test_the_names_of_another_history_do_not_decide_which_logs_are_found(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, of_two_histories())
    assert ([one.verdict for one in found.databases], found.blocking) == ([OK], ())
    assert {log.leaf for log in found.placed_logs()} == {f"edb0000{one}.jtx" for one in range(5, 9)}
    assert all(log.file.leaf.endswith(".log") for log in found.left_out)
    assert len(found.left_out) == 5


def test_the_names_of_a_history_that_a_clean_database_goes_on_with_decide(tmp_path: Path) -> None:
    stopped = database(consistent_position=LogPosition(generation=6, sector=1), last_log_time=moment(6))
    found = verdict_of(tmp_path, {**of_two_histories(), DATABASE: bytes(stopped)})
    assert ([one.verdict for one in found.databases], found.blocking) == ([Verdict.CLEAN], ())
    assert {log.leaf for log in found.placed_logs()} == {f"edb0000{one}.jtx" for one in range(5, 9)}


def test_needed_logs_of_two_suffixes_are_not_all_found_whatever_another_history_is_called(tmp_path: Path) -> None:
    files = of_two_histories()
    files["edb00005.log"] = files.pop("edb00005.jtx")
    assert (Kind.LOG_NAME, ERROR, -543) in [
        (one.kind, one.severity, one.code) for one in verdict_of(tmp_path, files).faults
    ]


def test_records_that_were_followed_to_another_log_do_not_tell_what_is_attached_at_the_end(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7)}
    assert rows(with_attached(tmp_path, files, ANOTHER, high=6)) == []


def without(files: Files, *names: str) -> Files:
    return {name: data for name, data in files.items() if name not in names}


def changed(files: Files, name: str, change: Callable[[bytes], bytes]) -> Files:
    return {**files, name: change(files[name])}


def swap_pages(data: bytes, one: int, other: int) -> bytes:
    first, second = (one + 1) * PAGE_SIZE, (other + 1) * PAGE_SIZE
    swapped = bytearray(data)
    swapped[first : first + PAGE_SIZE] = data[second : second + PAGE_SIZE]
    swapped[second : second + PAGE_SIZE] = data[first : first + PAGE_SIZE]
    return bytes(swapped)


def tail_to_zeros(data: bytes) -> bytes:
    """The last filled segment of a log is gone as if it had never been written."""
    return data[: 3 * 4096] + bytes(len(data) - 3 * 4096)


def diverged() -> Files:
    """Log 6 was restored, and another 7 was written; the database still names the first 7."""
    files = crashed()
    return {**without(files, name_of(7), name_of(8)), **logs(7, 8, after=files[name_of(6)], branch=1000)}


def with_other_database() -> Files:
    attached = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
    return {DATABASE: bytes(dirty(5, 7)), **logs(5, 7, attached=attached)}


MUTATIONS: dict[str, tuple[Files, Verdict, list[Row]]] = {
    "nothing-changed": (crashed(), Verdict.RECOVERABLE, []),
    "nothing-changed-in-a-backup": (backup(), Verdict.RECOVERABLE, []),
}


def case(name: str, files: Files, verdict: Verdict, *expected: Row) -> None:
    MUTATIONS[name] = (files, verdict, list(expected))


NOT, LOSSY, OK, BAD = Verdict.NOT_RECOVERABLE, Verdict.WITH_LOSS, Verdict.RECOVERABLE, Verdict.DAMAGED
case("drop-the-first-needed-log", without(crashed(), name_of(5)), NOT, (Kind.LOG_MISSING, ERROR, -543))
case("drop-a-middle-log", without(crashed(), name_of(6)), NOT, (Kind.LOG_MISSING, ERROR, -543))
case("drop-all-logs", {DATABASE: crashed()[DATABASE]}, NOT, (Kind.LOG_MISSING, ERROR, -543))
case("drop-a-log-of-a-backup", without(backup(), name_of(6)), NOT, (Kind.LOG_MISSING, ERROR, -557))
case("drop-an-older-log", without(crashed(), name_of(4)), OK)
case("drop-the-log-to-play-forward", without(crashed(), name_of(8)), OK)
case(
    "swap-a-log-from-another-instance",
    {**crashed(), **logs(6, 6, stream=OTHER_STREAM)},
    NOT,
    (Kind.LOG_FOREIGN, ERROR, -530),
)
case(
    "swap-a-log-from-another-instance-into-a-backup",
    {**backup(), **logs(6, 6, stream=OTHER_STREAM)},
    NOT,
    (Kind.LOG_FOREIGN, ERROR, -555),
)
case(
    "a-foreign-log-of-another-number-under-this-name",
    {**crashed(), name_of(6): logs(99, 99, stream=OTHER_STREAM)[name_of(99)]},
    NOT,
    (Kind.LOG_FOREIGN, ERROR, -530),
)
case(
    "logs-of-another-instance-beside",
    {**crashed(), **logs(20, 21, stream=OTHER_STREAM, base="E00")},
    OK,
    (Kind.STRAY_LOGS, WARNING, -530),
)
case(
    "flip-a-bit-in-a-log-header",
    changed(crashed(), name_of(6), lambda data: flip(data, 100)),
    NOT,
    (Kind.LOG_UNREADABLE, ERROR, -501),
)
case(
    "flip-a-bit-in-a-segment",
    changed(crashed(), name_of(6), lambda data: flip(data, 2 * 4096 + 99)),
    NOT,
    (Kind.LOG_DAMAGED, ERROR, -501),
)
case(
    "flip-a-bit-in-a-segment-of-a-backup",
    changed(backup(), name_of(6), lambda data: flip(data, 2 * 4096 + 99)),
    NOT,
    (Kind.LOG_DAMAGED, ERROR, -573),
)
case(
    "flip-a-bit-in-the-last-segment-of-a-backup",
    changed(backup(), name_of(7), lambda data: flip(data, 3 * 4096 + 99)),
    NOT,
    (Kind.LOG_TORN, ERROR, -570),
)
case(
    "tear-the-end-of-the-last-log",
    changed(
        without(crashed(), name_of(8)),
        name_of(7),
        lambda data: flip(data[: 4 * 4096], 3 * 4096 + 99).ljust(len(data), b"\0"),
    ),
    NOT,
    (Kind.LOG_TORN, ERROR, -501),
)
case(
    "flip-a-bit-in-an-older-log",
    changed(crashed(), name_of(4), lambda data: flip(data, 4096 + 99)),
    OK,
    (Kind.LOG_DAMAGED, WARNING, -501),
)
case("cut-a-log", changed(crashed(), name_of(6), lambda data: data[:-5000]), NOT, (Kind.LOG_SIZE, ERROR, -541))
case(
    "cut-a-log-to-its-header",
    changed(crashed(), name_of(6), lambda data: data[:4096]),
    NOT,
    (Kind.LOG_SIZE, ERROR, -541),
)
case("cut-a-log-to-nothing", changed(crashed(), name_of(6), lambda _: b""), NOT, (Kind.LOG_UNREADABLE, ERROR, -501))
case("lose-the-end-of-a-log", changed(crashed(), name_of(6), tail_to_zeros), NOT, (Kind.LOG_ALTERED, ERROR, -590))
case("restore-then-diverge", diverged(), NOT, (Kind.LOG_OF_OTHER_BRANCH, ERROR, -543))
case(
    "mix-logs-of-two-branches",
    {**crashed(), **logs(6, 6, after=crashed()[name_of(5)], branch=1000)},
    NOT,
    (Kind.LINK_BROKEN, ERROR, -515),
)
case(
    "both-branches-of-a-log",
    {**crashed(), "old/edb00006.log": logs(6, 6, after=crashed()[name_of(5)], branch=1000)[name_of(6)]},
    OK,
    (Kind.LOG_FORKED, WARNING, None),
)
case(
    "a-later-log-of-another-branch",
    {**without(crashed(), name_of(8)), **logs(8, 9, branch=1000)},
    OK,
    (Kind.LOGS_AFTER_GAP, WARNING, -515),
)
case(
    "rename-a-log",
    {**without(crashed(), name_of(6)), "edb00016.log": crashed()[name_of(6)]},
    NOT,
    (Kind.LOG_NAME, ERROR, -513),
)
case(
    "a-log-for-other-pages",
    {DATABASE: crashed()[DATABASE], **logs(5, 7, raw_page_size=8192)},
    NOT,
    *[(Kind.LOG_PAGE_SIZE, ERROR, -1213)] * 3,
)
case(
    "drop-the-committed-logs",
    {DATABASE: bytes(dirty(5, 6, 8)), **logs(5, 6)},
    LOSSY,
    (Kind.COMMITTED_LOG_MISSING, LOSS, -582),
)
case(
    "damage-a-committed-log",
    changed({DATABASE: bytes(dirty(5, 6, 8)), **logs(5, 8)}, name_of(7), lambda data: flip(data, 4096 + 9)),
    LOSSY,
    (Kind.LOG_DAMAGED, LOSS, -586),
)
case(
    "drop-required-and-committed-logs",
    {DATABASE: bytes(dirty(5, 6, 8)), **logs(5, 5)},
    NOT,
    (Kind.LOG_MISSING, ERROR, -543),
    (Kind.COMMITTED_LOG_MISSING, LOSS, -582),
)
case(
    "flip-a-bit-in-the-first-header-copy",
    changed(crashed(), DATABASE, lambda data: flip(data, 200)),
    OK,
    (Kind.HEADER_COPY, WARNING, None),
)
case(
    "flip-a-bit-in-the-second-header-copy",
    changed(crashed(), DATABASE, lambda data: flip(data, PAGE_SIZE + 200)),
    OK,
    (Kind.HEADER_COPY, WARNING, None),
)
case(
    "flip-a-bit-in-both-header-copies",
    changed(crashed(), DATABASE, lambda data: flip(flip(data, 200), PAGE_SIZE + 200)),
    NOT,
    (Kind.DATABASE_UNREADABLE, ERROR, -1018),
)
case(
    "flip-a-bit-in-a-page",
    changed(crashed(), DATABASE, lambda data: flip(data, 3 * PAGE_SIZE + 99)),
    OK,
    (Kind.PAGES_CORRECTABLE, WARNING, None),
)
case(
    "flip-two-bits-in-a-page",
    changed(crashed(), DATABASE, lambda data: flip(flip(data, 3 * PAGE_SIZE + 99), 3 * PAGE_SIZE + 2000, 3)),
    BAD,
    (Kind.PAGES_DAMAGED, ERROR, -1018),
)
case(
    "swap-two-pages",
    changed(crashed(), DATABASE, lambda data: swap_pages(data, 2, 3)),
    BAD,
    (Kind.PAGES_MISPLACED, ERROR, -1018),
)
case(
    "damaged-page-and-missing-log",
    without(changed(crashed(), DATABASE, lambda data: swap_pages(data, 2, 3)), name_of(6)),
    NOT,
    (Kind.LOG_MISSING, ERROR, -543),
    (Kind.PAGES_MISPLACED, ERROR, -1018),
)
case("cut-a-database", changed(crashed(), DATABASE, lambda data: data[:-100]), NOT, (Kind.DATABASE_CUT, ERROR, -1206))
case("cut-a-copy", changed(backup(), DATABASE, lambda data: data[:-100]), NOT, (Kind.DATABASE_CUT, ERROR, -561))
case(
    "remove-the-trailer",
    changed(backup(), DATABASE, lambda data: data[:-PAGE_SIZE]),
    NOT,
    (Kind.TRAILER_DAMAGED, ERROR, -535),
)
case(
    "zeros-for-the-trailer",
    changed(backup(), DATABASE, lambda data: data[:-PAGE_SIZE] + bytes(PAGE_SIZE)),
    NOT,
    (Kind.TRAILER_MISSING, ERROR, -534),
)
case(
    "flip-a-bit-in-the-trailer",
    changed(backup(), DATABASE, lambda data: flip(data, len(data) - PAGE_SIZE + 50)),
    NOT,
    (Kind.TRAILER_DAMAGED, ERROR, -535),
)
case(
    "the-trailer-of-another-backup",
    {**backup(), DATABASE: bytes(streaming(5, 7, log_signature=OTHER_STREAM))},
    NOT,
    (Kind.TRAILER_FOREIGN, ERROR, -552),
)
case(
    "a-trailer-that-asks-for-more", {**backup(), DATABASE: bytes(streaming(5, 8))}, NOT, (Kind.LOG_MISSING, ERROR, -557)
)


def up_to(segment: int) -> Callable[[bytes], bytes]:
    """A log whose content ends with a segment, as if nothing had been written behind it."""
    return lambda data: data[: (segment + 1) * 4096].ljust(len(data), b"\0")


def with_current(data: bytes) -> Files:
    """Log 7 under the name of the current log, or what lies there in its place."""
    return {**without(crashed(), name_of(7), name_of(8)), "edb.log": data}


NO_STREAM = bytes(dirty(5, 7, log_signature=NO_SIGNATURE))
case("a-dirty-database-of-no-stream", {DATABASE: NO_STREAM}, NOT, (Kind.LOG_MISSING, ERROR, -543))
case(
    "a-dirty-database-of-no-stream-beside-logs",
    {DATABASE: NO_STREAM, **logs(5, 7)},
    NOT,
    *[(Kind.LOG_FOREIGN, ERROR, -530)] * 3,
)
case("a-current-log", with_current(crashed()[name_of(7)]), OK)
for one, content in {"empty": b"", "zeros": bytes(6 * 4096), "garbage": b"garbage!" * 3072}.items():
    case(f"a-current-log-of-{one}", with_current(content), NOT, (Kind.LOG_UNREADABLE, ERROR, -501))
case("an-older-current-log", with_current(logs(4, 4)[name_of(4)]), NOT, (Kind.LOG_OLDER, ERROR, -543))
case(
    "a-foreign-current-log",
    with_current(logs(7, 7, stream=OTHER_STREAM)[name_of(7)]),
    NOT,
    (Kind.LOG_FOREIGN, ERROR, -530),
)
case("an-emptied-log", changed(crashed(), name_of(6), up_to(0)), NOT, (Kind.LOG_BLANK, ERROR, -501))
case("an-emptied-log-of-a-backup", changed(backup(), name_of(6), up_to(0)), NOT, (Kind.LOG_BLANK, ERROR, -573))
case("the-last-needed-log-emptied", changed(crashed(), name_of(7), up_to(0)), NOT, (Kind.LOG_BLANK, ERROR, -501))
case("the-last-needed-log-altered", changed(crashed(), name_of(7), up_to(2)), NOT, (Kind.LOG_ALTERED, ERROR, -590))
case(
    "a-needed-log-that-was-closed-later",
    {**without(crashed(), name_of(6)), "edb.log": up_to(2)(crashed()[name_of(6)])},
    NOT,
    (Kind.LOG_NOT_CLOSED, ERROR, -543),
)
case("a-current-log-just-begun", with_current(up_to(0)(crashed()[name_of(7)])), OK)
case(
    "a-run-of-one-blank-log",
    {DATABASE: bytes(dirty(7, 7)), "edb.log": up_to(0)(crashed()[name_of(7)])},
    NOT,
    (Kind.LOG_BLANK, ERROR, -501),
)
ATTACHED = bytes(dirty(5, 7, attach_position=LogPosition(generation=7, sector=3, byte=9)))
case("a-log-to-the-position-of-attachment", {**crashed(), DATABASE: ATTACHED}, OK)
case(
    "a-log-cut-before-the-position-of-attachment",
    {DATABASE: ATTACHED, **without(changed(crashed(), name_of(7), up_to(2)), DATABASE, name_of(8))},
    NOT,
    (Kind.LOG_SHORT, ERROR, -501),
)
case(
    "a-log-cut-before-the-checkpoint-in-the-next",
    {
        DATABASE: bytes(dirty(5, 8)),
        **changed(
            logs(5, 8, update_minor=0, checkpoint=LogPosition(generation=6, sector=3, byte=9)), name_of(6), up_to(2)
        ),
    },
    NOT,
    (Kind.LOG_SHORT, ERROR, -501),
)
case(
    "a-database-of-blank-pages",
    changed(backup(), DATABASE, lambda data: data[:8192] + bytes(4 * 4096) + data[-4096:]),
    NOT,
    (Kind.DATABASE_BLANK, ERROR, -1019),
)
case(
    "a-clean-database-of-nothing-but-headers",
    {DATABASE: bytes(database(0))},
    NOT,
    (Kind.DATABASE_BLANK, ERROR, -1019),
)


case(
    "a-needed-log-with-the-other-ending",
    {**without(crashed(), name_of(6)), "edb00006.jtx": crashed()[name_of(6)]},
    NOT,
    (Kind.LOG_NAME, ERROR, -543),
)
case(
    "a-newer-revision",
    {**crashed(), DATABASE: bytes(dirty(5, 7, revision=290))},
    Verdict.RECOVERABLE,
    (Kind.NEWER_FORMAT, WARNING, None),
)
case(
    "newer-logs",
    {DATABASE: bytes(dirty(5, 7)), **logs(5, 8, update=110)},
    Verdict.RECOVERABLE,
    (Kind.NEWER_FORMAT, WARNING, None),
)
case(
    "newer-logs-and-one-is-missing",
    {DATABASE: bytes(dirty(5, 7)), **logs(5, 5, update=110), **logs(7, 8, update=110)},
    Verdict.NOT_RECOVERABLE,
    (Kind.LOG_MISSING, ERROR, -543),
    (Kind.NEWER_FORMAT, WARNING, None),
)
case(
    "a-repaired-database",
    {DATABASE: bytes(database(repair_count=1, repair_time=moment(9)))},
    Verdict.CLEAN,
    (Kind.DATABASE_REPAIRED, WARNING, None),
)


@cache
def with_trailer_in_patch(*, file_type: int = 1, **fields: Any) -> Files:
    """A copy without a trailer page of its own, which its patch file has instead, twice."""
    whole = streaming(5, 7, **fields)
    mark = BackupInfo(mark=LogPosition(generation=5, sector=2), time=moment(500), generation_low=5)
    copy = bytes(dirty(5, 6, current_full=mark, file_type=file_type))
    return {DATABASE: copy, **logs(5, 7), "main.pat": bytes(whole[-PAGE_SIZE:]) * 2}


case("a-trailer-in-the-patch-file", with_trailer_in_patch(), OK)
case("a-trailer-in-the-patch-file-of-an-old-copy", with_trailer_in_patch(file_type=0), OK)
case(
    "the-last-log-of-a-trailer-in-the-patch-file",
    without(with_trailer_in_patch(file_type=0), name_of(7)),
    NOT,
    (Kind.LOG_MISSING, ERROR, -557),
)
case(
    "a-trailer-in-the-patch-file-of-another-backup",
    with_trailer_in_patch(log_signature=OTHER_STREAM),
    NOT,
    (Kind.TRAILER_FOREIGN, ERROR, -552),
)
case("a-newer-checkpoint", {**crashed(), "edb.chk": checkpoint(8)}, OK, (Kind.CHECKPOINT_NEWER, WARNING, None))
case("a-fitting-checkpoint", {**crashed(), "edb.chk": checkpoint(5)}, OK)
case(
    "a-checkpoint-of-another-stream",
    {**crashed(), "edb.chk": checkpoint(5, OTHER_STREAM)},
    OK,
    (Kind.CHECKPOINT_FOREIGN, WARNING, -532),
)
case(
    "a-damaged-checkpoint",
    {**crashed(), "edb.chk": flip(flip(checkpoint(5), 99), 4195)},
    OK,
    (Kind.CHECKPOINT_DAMAGED, WARNING, -533),
)
case(
    "a-flush-map-of-another-moment",
    {**crashed(), "main.jfm": FlushMap(signature=OTHER_STREAM).build() * 2},
    OK,
    (Kind.FLUSH_MAP_FOREIGN, WARNING, None),
)
case("one-of-two-databases", with_other_database(), OK, (Kind.DATABASE_NOT_HERE, LOSS, -1216))
case(
    "one-of-two-databases-of-a-backup",
    {**with_other_database(), DATABASE: bytes(streaming(5, 7))},
    OK,
    (Kind.DATABASE_NOT_HERE, WARNING, -1216),
)
case(
    "one-of-two-databases-shut-down",
    {**with_other_database(), DATABASE: bytes(database())},
    Verdict.CLEAN,
    # Nobody read the records, and they tell whether it is attached at the end: until then a loss is no more proven than
    # that there is none, and the last line is NOT PROVEN for it.
    (Kind.DATABASE_NOT_HERE, WARNING, -1216),
)
case(
    "a-database-that-only-an-earlier-log-names",
    {**with_other_database(), **logs(7, 7, after=with_other_database()["edb00006.log"])},
    OK,
    (Kind.DATABASE_NOT_HERE, WARNING, -1216),
)
case(
    "a-copy-from-before-2001-without-its-patch-file",
    {
        DATABASE: bytes(
            dirty(
                5,
                7,
                file_type=0,
                current_full=BackupInfo(mark=LogPosition(generation=5), generation_low=5, generation_high=7),
            )
        ),
        **logs(5, 7),
    },
    NOT,
    (Kind.PATCH_MISSING, ERROR, -538),
)
for state in (
    DatabaseState.BEING_CONVERTED,
    DatabaseState.INCREMENTAL_RESEED_IN_PROGRESS,
    DatabaseState.REVERT_IN_PROGRESS,
    DatabaseState.JUST_CREATED,
):
    case(
        f"state-{state.name.lower()}",
        {DATABASE: bytes(database(raw_state=int(state)))},
        NOT,
        (Kind.STATE_UNUSABLE, ERROR, -550),
    )


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_change_gives_exactly_its_faults(name: str, tmp_path: Path) -> None:
    files, verdict, expected = MUTATIONS[name]
    found = verdict_of(tmp_path, files)
    assert [(*row,) for row in rows(found)] == expected, [fault.message for fault in found.faults]
    assert [one.verdict for one in found.databases] == [verdict]


def test_the_table_is_as_long_as_was_promised() -> None:
    assert len(MUTATIONS) > 25


@pytest.mark.parametrize("name", [name for name, (_, verdict, _) in MUTATIONS.items() if verdict is NOT])
def test_what_is_not_recoverable_says_what_to_do_next(name: str, tmp_path: Path) -> None:
    found = verdict_of(tmp_path, MUTATIONS[name][0])
    assert all(fault.next_step for fault in found.faults)
    assert found.blocking[0].engine is not None
    assert found.blocking[0].engine.name.startswith("JET_err")


def test_a_missing_log_explains_why_later_ones_cannot_be_played(tmp_path: Path) -> None:
    (fault,) = verdict_of(tmp_path, without(crashed(), name_of(6))).faults
    assert fault.generations == (6,)
    assert fault.consequences == ("log 0x7 cannot be played",)


def test_a_cut_log_explains_its_content_and_the_link(tmp_path: Path) -> None:
    (fault,) = verdict_of(tmp_path, changed(crashed(), name_of(6), lambda data: data[:-10000])).faults
    assert fault.kind is Kind.LOG_SIZE
    assert any("-590" in text for text in fault.consequences)


def test_without_examination_a_damaged_segment_is_not_seen_and_nothing_is_claimed(tmp_path: Path) -> None:
    files = changed(crashed(), name_of(6), lambda data: flip(data, 4096 + 99))
    facts = facts_of_folder(write(tmp_path, files))
    assert judge_set(facts).faults == ()
    assert not facts.examined


def test_logs_have_roles(tmp_path: Path) -> None:
    files = {**crashed(), **logs(30, 30), **logs(3, 3, stream=OTHER_STREAM)}
    roles = dict(verdict_of(tmp_path, files).log_roles)
    assert roles[name_of(4)] is LogRole.SUPERSEDED
    assert roles[name_of(5)] is LogRole.NEEDED
    assert roles[name_of(8)] is LogRole.FORWARD
    assert roles[name_of(0x1E)] is LogRole.AFTER_GAP
    assert roles[name_of(3)] is LogRole.FOREIGN


def test_a_database_reaches_as_far_as_the_logs_link(tmp_path: Path) -> None:
    (one,) = verdict_of(tmp_path, {**crashed(), **logs(9, 9, branch=50)}).databases
    assert one.reaches == 8


def test_several_databases_on_one_stream_share_one_missing_log(tmp_path: Path) -> None:
    files = {
        "priv.edb": bytes(dirty(5, 6, branch=0)),
        "pub.edb": bytes(dirty(6, 7, signature=OTHER_STREAM)),
        **logs(5, 7, attached=()),
    }
    assert verdict_of(tmp_path / "all", files).faults == ()
    (fault,) = verdict_of(tmp_path / "less", without(files, name_of(6))).faults
    assert fault.databases == ("priv.edb", "pub.edb")


def test_one_database_suffers_and_the_other_does_not(tmp_path: Path) -> None:
    files = {
        "priv.edb": bytes(dirty(5, 6)),
        "pub.edb": bytes(dirty(6, 7, signature=OTHER_STREAM)),
        **logs(6, 7, attached=()),
    }
    found = {one.name: one.verdict for one in verdict_of(tmp_path, files).databases}
    assert found == {"priv.edb": NOT, "pub.edb": OK}


def test_the_range_of_a_backup_is_in_the_header_after_a_restore_began(tmp_path: Path) -> None:
    filled = BackupInfo(mark=LogPosition(generation=5, sector=2), generation_low=5, generation_high=8)
    files = {DATABASE: bytes(dirty(5, 7, current_full=filled)), **logs(5, 7)}
    (fault,) = verdict_of(tmp_path, files).faults
    assert (fault.kind, fault.generations, fault.code) == (Kind.LOG_MISSING, (8,), -557)


def test_a_dirty_database_without_a_range_is_not_judged(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, {DATABASE: bytes(dirty(0, 0)), **logs(5, 7)})
    assert [one.verdict for one in found.databases] == [Verdict.NOT_CHECKED]
    assert "Exchange 5.5" in found.not_checked[0]


@pytest.mark.parametrize("state", [5, 99])
def test_a_state_without_known_rules_is_not_judged(state: int, tmp_path: Path) -> None:
    found = verdict_of(tmp_path, {DATABASE: bytes(database(raw_state=state))})
    assert found.worst is Verdict.NOT_CHECKED
    assert found.not_checked


@pytest.mark.parametrize(("lowest", "verdict"), [(5, OK), (6, NOT)])
def test_a_patched_database_may_need_less_than_it_says_which_matters_where_a_log_is_missing(
    lowest: int, verdict: Verdict, tmp_path: Path
) -> None:
    patched = int(DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN)
    files = {DATABASE: bytes(database(raw_state=patched, required_low=5, required_high=7)), **logs(lowest, 7)}
    found = verdict_of(tmp_path, files)
    assert found.worst is verdict
    assert any("may lie below" in text for text in found.not_checked) == (verdict is NOT)


def test_a_patch_file_with_content_is_not_interpreted(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, {**backup(), "main.pat": b"bytes of an old engine"})
    assert found.worst is OK
    assert any("main.pat" in text for text in found.not_checked)


def test_logs_of_unknown_format_go_by_their_numbers_and_it_says_so(tmp_path: Path) -> None:
    old = bytearray(4096)
    old[24:36] = (4).to_bytes(4, "little") + (995).to_bytes(4, "little") + bytes(4)
    files = {DATABASE: bytes(dirty(5, 6)), name_of(5): bytes(old), name_of(6): bytes(old)}
    found = verdict_of(tmp_path, files)
    assert found.worst is Verdict.NOT_CHECKED
    assert any("numbers in their names" in text for text in found.not_checked)
    assert str(found.databases[0]).startswith("not checked: ")


def test_an_old_database_is_recognised_and_not_judged(tmp_path: Path) -> None:
    old = bytearray(8192)
    old[4:12] = 0x89ABCDEF.to_bytes(4, "little") + 0x500.to_bytes(4, "little")
    found = verdict_of(tmp_path, {DATABASE: bytes(old)})
    assert found.worst is Verdict.NOT_CHECKED
    assert "JET 500" in found.not_checked[0]


def test_a_header_that_asks_for_two_billion_logs_costs_nothing(tmp_path: Path) -> None:
    files = {DATABASE: bytes(dirty(1, 0x7FFFFFFF)), **logs(5, 7)}
    (fault,) = verdict_of(tmp_path, files).faults
    assert "0x8-0x7FFFFFFF" in fault.message
    assert len(fault.generations) == 1000


def test_logs_without_a_database_are_held_against_each_other(tmp_path: Path) -> None:
    found = verdict_of(tmp_path, {**logs(5, 6), **logs(8, 9)})
    assert [(fault.kind, fault.generations) for fault in found.faults] == [(Kind.LOG_MISSING, (7,))]
    assert found.worst is None


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        ({**logs(5, 6), **logs(7, 7, branch=50)}, Kind.LINK_BROKEN),
        ({**logs(5, 6), "a/edb00006.log": logs(6, 6, branch=50)["edb00006.log"]}, Kind.LOG_FORKED),
        (changed(logs(5, 7), "edb00006.log", tail_to_zeros), Kind.LOG_ALTERED),
        (changed(logs(5, 7), "edb00006.log", lambda data: flip(data, 4196)), Kind.LOG_DAMAGED),
    ],
)
def test_logs_without_a_database_show_their_faults(files: Files, kind: Kind, tmp_path: Path) -> None:
    found = verdict_of(tmp_path, files)
    assert found.blocking[0].kind is kind


def test_a_damaged_current_log_stands_for_the_last_needed_one(tmp_path: Path) -> None:
    files = crashed()
    files = {**without(files, name_of(7), name_of(8)), "edb.log": flip(files[name_of(7)], 100)}
    (fault,) = verdict_of(tmp_path, files).faults
    assert (fault.kind, fault.files, fault.generations) == (Kind.LOG_UNREADABLE, ("edb.log",), (7,))


def test_the_current_log_goes_by_its_header(tmp_path: Path) -> None:
    files = crashed()
    files = {**without(files, name_of(7), name_of(8)), "edb.log": files[name_of(7)]}
    assert verdict_of(tmp_path, files).faults == ()


@pytest.mark.parametrize("branch", [0, 1000], ids=["continues", "of another history"])
def test_what_is_lost_behind_a_needed_current_log_begins_with_the_next_one(branch: int, tmp_path: Path) -> None:
    files = logs(5, 7)
    later = logs(8, 9, after=files[name_of(7)]) if not branch else logs(8, 9, branch=branch)
    files = {**without(files, name_of(7)), "edb.log": files[name_of(7)], **later}
    found = verdict_of(tmp_path, {**files, DATABASE: bytes(dirty(5, 7, 9))})
    assert [one.verdict for one in found.databases] == [LOSSY]
    assert min(generation for fault in found.blocking for generation in fault.generations) == 8
    assert all(
        "take it and all later" not in fault.next_step for fault in found.blocking if "edb.log" in fault.files[-1]
    )


def test_a_next_step_is_said_once(tmp_path: Path) -> None:
    files = {**logs(5, 7), **logs(8, 8, branch=1000)}
    found = verdict_of(tmp_path, {**files, DATABASE: bytes(dirty(5, 7, 8))})
    assert [fault.next_step.count("recover with loss") for fault in found.blocking] == [1]


def test_the_same_log_twice_is_no_fault(tmp_path: Path) -> None:
    files = crashed()
    assert verdict_of(tmp_path, {**files, "copy/edb00006.log": files[name_of(6)]}).faults == ()


def test_the_verdict_is_data(tmp_path: Path) -> None:
    value = verdict_of(tmp_path, without(crashed(), name_of(6))).to_json()
    assert value["verdict"] == "not-recoverable"
    assert value["databases"][0]["missing"] == [{"low": 6, "high": 6}]
    assert value["faults"][0]["engine"] == {
        "number": -543,
        "name": "JET_errRequiredLogFilesMissing",
        "hresult": "0xC800021F",
    }


def test_a_temporary_database_is_left_to_the_engine(tmp_path: Path) -> None:
    unset = Signature()
    files = {"temp.edb": bytes(database(raw_state=1, log_signature=unset))}
    found = verdict_of(tmp_path, files)
    assert found.worst is Verdict.TEMPORARY
    assert found.blocking == ()


def test_a_temporary_database_stands_for_none_that_logs_name(tmp_path: Path) -> None:
    temporary = database(raw_state=1, log_signature=NO_SIGNATURE, signature=OTHER_STREAM)
    found = verdict_of(tmp_path, {**with_other_database(), "temp.edb": bytes(temporary)})
    assert rows(found)[:1] == [(Kind.DATABASE_NOT_HERE, LOSS, -1216)]


@pytest.mark.parametrize(("at", "code"), [(3, -551), (9, -1216)], ids=["before", "after"])
def test_another_database_that_was_shut_down_at_another_time_than_the_logs_say(
    at: int, code: int, tmp_path: Path
) -> None:
    both = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
    other = database(signature=OTHER_STREAM, consistent_position=LogPosition(generation=at, sector=1))
    played = logs(6, 7, attached=both, shut_down=LogPosition(generation=5, sector=1))
    found = verdict_of(tmp_path, {DATABASE: bytes(dirty(6, 7)), "pub.edb": bytes(other), **played})
    assert rows(found) == [(Kind.DATABASE_NOT_HERE, LOSS, code)]
    assert found.faults[0].databases == ("pub.edb",)


def test_a_database_from_behind_the_logs_that_are_given_up_is_not_the_one_they_name(tmp_path: Path) -> None:
    both = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
    other = database(signature=OTHER_STREAM, consistent_position=LogPosition(generation=8, sector=1))
    played = logs(5, 6, attached=both, shut_down=LogPosition(generation=4, sector=1))
    played |= logs(7, 9, after=played[name_of(6)], branch=1000)
    found = verdict_of(tmp_path, {DATABASE: bytes(dirty(5, 6, 7)), "pub.edb": bytes(other), **played})
    assert rows(found) == [(Kind.LOG_OF_OTHER_BRANCH, LOSS, -586), (Kind.DATABASE_NOT_HERE, LOSS, -1216)]


def test_a_log_of_the_older_format_that_two_histories_go_on_from_may_be_of_either(tmp_path: Path) -> None:
    old: dict[str, Any] = {"major": 7, "minor": 3704}
    files = {DATABASE: bytes(dirty(5, 7)), **logs(5, 7, **old)}
    files["old/edb00006.log"] = logs(6, 6, after=files[name_of(5)], branch=1000, **old)[name_of(6)]
    facts = facts_of_folder(write(tmp_path, files))
    found = judge_set(facts)
    assert [one.verdict for one in found.databases] == [Verdict.NOT_CHECKED]
    assert found.databases[0].not_checked[0].startswith("edb00005.log: of which history it is")


def of_two_servers(lost: int, **theirs: bytes) -> Files:
    """Two servers in folders, one of which lacks a log."""
    own, other = logs(5, 7), logs(5, 6, stream=OTHER_STREAM)
    other["edb.log"] = logs(7, 7, stream=OTHER_STREAM)[name_of(7)]
    del own[name_of(lost)]
    files = {f"a/{name}": data for name, data in {DATABASE: bytes(dirty(5, 7)), **own}.items()}
    other_database = bytes(dirty(5, 7, log_signature=OTHER_STREAM))
    return files | {f"b/{name}": data for name, data in {DATABASE: other_database, **other, **theirs}.items()}


@pytest.mark.parametrize("lost", [5, 6, 7])
@pytest.mark.parametrize("theirs", [{}, {"edb.log": bytes(6 * 4096)}, {name_of(6): bytes(6 * 4096)}])
def test_a_log_of_a_database_that_is_here_stands_for_none_of_another(tmp_path: Path, lost: int, theirs: Files) -> None:
    verdict = verdict_of(tmp_path, of_two_servers(lost, **theirs))
    first = next(one for one in verdict.databases if one.name.startswith("a"))
    assert [(one.kind, one.generations) for one in first.faults] == [(Kind.LOG_MISSING, (lost,))]


@pytest.mark.parametrize("lost", [5, 6, 7])
def test_a_log_of_another_stream_in_another_folder_stands_for_none_where_its_database_is_in_another_part(
    tmp_path: Path, lost: int
) -> None:
    files = of_two_servers(lost)
    del files[f"b/{DATABASE}"]
    verdict = verdict_of(tmp_path, files)
    assert [(one.kind, one.generations) for one in verdict.databases[0].faults] == [(Kind.LOG_MISSING, (lost,))]
    assert Kind.STRAY_LOGS in {one.kind for one in verdict.faults}


def test_a_log_of_a_database_that_is_here_stands_in_the_very_place_of_another(tmp_path: Path) -> None:
    files = of_two_servers(6)
    files[f"a/{name_of(6)}"] = files[f"b/{name_of(6)}"]
    verdict = verdict_of(tmp_path, files)
    first = next(one for one in verdict.databases if one.name.startswith("a"))
    assert [(one.kind, one.files) for one in first.faults] == [(Kind.LOG_FOREIGN, (f"a/{name_of(6)}",))]


def test_who_looked_at_content_is_told_of_no_other_look_where_a_fault_keeps_pages_from_being_followed(
    tmp_path: Path,
) -> None:
    """The fault is the reason; without content it may still be asked for."""
    files = {DATABASE: bytes(dirty(5, 8)), **logs(5, 8)}
    files["edb00008.log"] = flip(files["edb00008.log"], 0x1010)
    path = archive(tmp_path / "a.tokar", files).path
    looked = tokar("check", "--content", path).stdout
    assert "its pages were not followed through these logs: edb00008.log has 1 damaged segment at 0x1000" in looked
    assert "(tokar check --content)" not in looked
    assert "(tokar check --content)" in tokar("check", path).stdout
