"""What no restore places beside the databases, because recovery would meet it: exactly that, and with its reason."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done
from loose_facts import facts_of_folder
from recovery_sets import (
    DATABASE,
    DATABASE_SIGNATURE,
    OTHER_STREAM,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    segment,
    streaming,
    write,
)

import tokar
from tokar.ese.values import LogPosition
from tokar.restore.chosen import choose_one
from tokar.sets.backup_set import find_sets
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.database_verdict import Verdict
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.joining import build_chain
from tokar.sets.judge import judge_set
from tokar.sets.outcome import Word, outcome_of
from tokar.sets.read import facts_of_archive

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

Files = dict[str, bytes]
BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
AT_THREE: dict[str, Any] = {"consistent_position": LogPosition(generation=3), "signature": OTHER_STREAM}
CLEAN, OK, NOT = Verdict.CLEAN, Verdict.RECOVERABLE, Verdict.NOT_RECOVERABLE
ROWS: dict[str, tuple[Files, Verdict, set[str], list[Kind]]] = {}


@cache
def stream() -> Files:
    return logs(1, 12)


def name(generation: int) -> str:
    return f"edb{generation:05X}.log"


def part(low: int, high: int, *without: int) -> Files:
    return {name(at): stream()[name(at)] for at in range(low, high + 1) if at not in without}


def current(low: int, high: int, *without: int) -> Files:
    """The same, the highest one under the name of the current log."""
    return {**part(low, high - 1, *without), "edb.log": stream()[name(high)]}


def other(low: int, high: int, base: str = "edb") -> Files:
    return logs(low, high, stream=OTHER_STREAM, base=base)


def fork(low: int, high: int) -> Files:
    return logs(low, high, after=stream()[name(low - 1)], branch=1000)


def crashed(*parts: Files, low: int = 5, high: int = 7) -> Files:
    return {DATABASE: bytes(dirty(low, high)), **{key: data for one in parts for key, data in one.items()}}


def stopped(*parts: Files, at: int = 7) -> Files:
    position = LogPosition(generation=at, sector=1)
    return {DATABASE: bytes(database(consistent_position=position)), **{k: d for one in parts for k, d in one.items()}}


def row(title: str, files: Files, verdict: Verdict, left_out: set[str], *kinds: Kind) -> None:
    ROWS[title] = (files, verdict, left_out, list(kinds))


row("all of it", crashed(current(1, 9)), OK, set())
row("a hole below the need", crashed(current(1, 9, 3)), OK, {name(1), name(2)}, Kind.LOGS_BEFORE_GAP)
row("a hole above the need", crashed(current(5, 11, 9)), OK, {name(10), "edb.log"}, Kind.LOGS_AFTER_GAP)
row("a hole right below the need", crashed(current(1, 9, 4)), OK, {name(1), name(2), name(3)}, Kind.LOGS_BEFORE_GAP)
row("a foreign log below", crashed(other(4, 4), current(5, 9)), OK, {name(4)}, Kind.STRAY_LOGS)
row(
    "a foreign log of a wrong name",
    crashed({name(4): other(14, 14)[name(14)]}, current(5, 9)),
    OK,
    {name(4)},
    Kind.STRAY_LOGS,
)
row("a foreign log of another base", crashed(other(4, 4, "E00"), current(5, 9)), OK, {"E0000004.log"}, Kind.STRAY_LOGS)
row(
    "an older log of another history",
    crashed(logs(3, 3, branch=1000), current(4, 9)),
    OK,
    {name(3)},
    Kind.LOGS_BEFORE_GAP,
)
row(
    "later logs of another history",
    crashed(part(5, 8), logs(9, 10, branch=500)),
    OK,
    {name(9), name(10)},
    Kind.LOGS_AFTER_GAP,
)
row("a snapshot in the moment without a current log", crashed(part(5, 8), {"edbtmp.log": stream()[name(2)]}), OK, set())
row("the next log beside the current one", crashed(current(5, 8), {"edbtmp.log": bytes(8192)}), OK, {"edbtmp.log"})
row("a cut log below", crashed({name(3): stream()[name(3)][:5000]}, part(4, 8)), OK, {name(3)}, Kind.LOG_SIZE)
row(
    "a damaged log below",
    crashed({name(3): flip(stream()[name(3)], 5000)}, part(4, 8)),
    OK,
    {name(3)},
    Kind.LOG_DAMAGED,
)
row("a log without a header below", crashed({name(3): b"x" * 9000}, part(4, 8)), OK, {name(3)}, Kind.LOG_UNREADABLE)
row("a cut log above", crashed(part(4, 8), {name(9): stream()[name(9)][:5000]}), OK, {name(9)}, Kind.LOG_SIZE)
row("a copy of a log", crashed(part(4, 8), {"edb00006 - Copy.log": stream()[name(6)]}), OK, {"edb00006 - Copy.log"})
row(
    "a log under another number",
    crashed(part(4, 8), {name(20): stream()[name(6)]}),
    OK,
    {name(20)},
    Kind.LOG_NAME,
)
row(
    "an older log under another name",
    crashed(part(4, 8), {"edb00003.bak": stream()[name(3)]}),
    OK,
    {"edb00003.bak"},
    Kind.LOG_NAME,
)
row(
    "a needed log under another name",
    crashed(part(5, 7, 6), {"edb00006.bak": stream()[name(6)]}),
    NOT,
    set(),
    Kind.LOG_NAME,
)
row("the current log and its numbered self", crashed(current(4, 8), part(8, 8)), OK, {name(8)})
SHORTER = stream()[name(8)][: 3 * 4096].ljust(len(stream()[name(8)]), b"\0")
OTHER_WORDS = stream()[name(8)][:4096] + b"".join(segment(8, at, 90 + at) for at in range(1, 4))
OTHER_WORDS = OTHER_WORDS.ljust(len(SHORTER), b"\0")
WORDS = stream()[name(7)]
OTHER_WORDS_OF_7 = (WORDS[:4096] + b"".join(segment(7, at, 90 + at) for at in range(1, 3))).ljust(len(WORDS), b"\0")
OTHER_WORDS_OF_6 = stream()[name(6)][: 2 * 4096].ljust(len(stream()[name(6)]), b"\0")
row("the numbered self holds more than the current log", crashed(part(4, 8), {"edb.log": SHORTER}), OK, {"edb.log"})
row("the current log holds more than its numbered self", crashed(current(4, 8), {name(8): SHORTER}), OK, {name(8)})
row(
    "the current log and its numbered self disagree",
    crashed(current(4, 8), {name(8): OTHER_WORDS}),
    NOT,
    {name(8)},
    Kind.LOG_DIFFERS,
)
row(
    "two closed copies of a log disagree",
    crashed(part(4, 7), {f"old/{name(7)}": OTHER_WORDS_OF_7}),
    NOT,
    {f"old/{name(7)}"},
    Kind.LOG_DIFFERS,
)
row("a current log that is not the last one", crashed(part(4, 8), {"edb.log": stream()[name(6)]}), OK, {"edb.log"})
row(
    "two histories after the need",
    crashed(part(5, 8), {f"old/{key}": data for key, data in fork(8, 9).items()}),
    NOT,
    set(),
    Kind.LOG_FORKED,
)
row(
    "two histories, and the header tells which",
    crashed(part(5, 7), {f"old/{key}": data for key, data in fork(6, 7).items()}),
    OK,
    {f"old/{name(6)}", f"old/{name(7)}"},
    Kind.LOG_FORKED,
    Kind.LOG_FORKED,
)
DAMAGED = {at: flip(flip(stream()[name(at)], 5000), 5400, 3) for at in (3, 5, 6, 7, 8)}
OLD = {at: {f"old/{name(at)}": stream()[name(at)]} for at in DAMAGED}
row(
    "a needed log is damaged, and here whole too",
    crashed(part(5, 7), {name(6): DAMAGED[6]}, OLD[5], OLD[6], OLD[7]),
    OK,
    {name(6), f"old/{name(5)}", f"old/{name(7)}"},
    Kind.LOG_DAMAGED,
)
row(
    "the last needed log is damaged, and here whole too",
    crashed(part(5, 7), {name(7): DAMAGED[7]}, OLD[7]),
    OK,
    {name(7)},
    Kind.LOG_DAMAGED,
)
row(
    "a later log is damaged, and here whole too",
    crashed(part(5, 9), {name(8): DAMAGED[8]}, OLD[8]),
    OK,
    {name(8)},
    Kind.LOG_DAMAGED,
)
row("a needed log is damaged twice", crashed(part(5, 7), {name(6): DAMAGED[6]}, {f"old/{name(6)}": DAMAGED[6]}), NOT,
    {f"old/{name(6)}"}, Kind.LOG_DAMAGED, Kind.LOG_DAMAGED)  # fmt: skip
row(
    "a needed log is shorter, and here whole too",
    crashed(part(5, 7), {name(6): OTHER_WORDS_OF_6}, OLD[6]),
    OK,
    {name(6)},
    Kind.LOG_ALTERED,
)
SHORT_7 = {name(7): stream()[name(7)][: 2 * 4096].ljust(len(stream()[name(7)]), b"\0")}
row("the last needed log is contradicted by the next one", crashed(part(5, 9), SHORT_7), NOT, set(), Kind.LOG_ALTERED)
row(
    "the last log of a backup is contradicted by the next one",
    {DATABASE: bytes(streaming(5, 7)), **part(5, 9), **SHORT_7},
    NOT,
    set(),
    Kind.LOG_ALTERED,
)
row(
    "the last committed log is contradicted by the next one",
    {**part(5, 9), **SHORT_7, DATABASE: bytes(dirty(5, 6, 7))},
    Verdict.WITH_LOSS,
    set(),
    Kind.LOG_ALTERED,
)
row(
    "a later log is contradicted by the next one",
    {**part(5, 9), **SHORT_7, DATABASE: bytes(dirty(5, 6))},
    OK,
    {name(7), name(8), name(9)},
    Kind.LOG_ALTERED,
    Kind.LOGS_AFTER_GAP,
)
row(
    "a log of a backup is damaged, and here whole too",
    {DATABASE: bytes(streaming(5, 7)), **part(5, 7), name(6): DAMAGED[6], **OLD[6]},
    OK,
    {name(6)},
    Kind.LOG_DAMAGED,
)
row(
    "a needed log is damaged, and whole under another name",
    crashed(part(5, 7), {name(6): DAMAGED[6]}, {"edb00006 - Copy.log": stream()[name(6)]}),
    NOT,
    {name(6)},
    Kind.LOG_NAME,
    Kind.LOG_DAMAGED,
)
row(
    "shut down, with a log that is damaged, and here whole too",
    stopped(current(3, 9), {name(5): DAMAGED[5]}, OLD[5]),
    CLEAN,
    {name(5)},
    Kind.LOG_DAMAGED,
)
DOUBLE = bytes(dirty(5, 7))
HURT = flip(flip(DOUBLE, 4 * 4096 + 700), 4 * 4096 + 900, 3)
row("a damaged database, and here whole too", crashed(part(5, 7), {DATABASE: HURT, f"old/{DATABASE}": DOUBLE}), OK,
    {DATABASE}, Kind.PAGES_DAMAGED, Kind.DATABASE_TWICE)  # fmt: skip
row("a cut database, and here whole too", crashed(part(5, 7), {DATABASE: DOUBLE[:-9], f"old/{DATABASE}": DOUBLE}), OK,
    {DATABASE}, Kind.DATABASE_CUT, Kind.DATABASE_TWICE)  # fmt: skip
row("a database damaged twice", crashed(part(5, 7), {DATABASE: HURT, f"old/{DATABASE}": HURT[:-4096]}),
    Verdict.DAMAGED, set(), Kind.PAGES_DAMAGED, Kind.PAGES_DAMAGED, Kind.DATABASE_TWICE)  # fmt: skip
row("shut down, with all its logs", stopped(current(3, 9)), CLEAN, set())
row("shut down, without logs", stopped(), CLEAN, set())
row("shut down, a lagged copy", stopped(current(2, 12), at=3), CLEAN, set())
row("shut down, with a hole", stopped(current(3, 9, 5)), CLEAN, {name(3), name(4)}, Kind.LOGS_BEFORE_GAP)
row(
    "shut down, with logs that end before",
    stopped(current(3, 6), at=9),
    CLEAN,
    {name(3), name(4), name(5), "edb.log"},
    Kind.LOGS_BEFORE_GAP,
    Kind.NEW_STREAM,
)
row(
    "shut down, with logs of another server",
    stopped(other(3, 5)),
    CLEAN,
    {name(3), name(4), name(5)},
    Kind.NEW_STREAM,
    Kind.STRAY_LOGS,
)
BESIDE = crashed(part(5, 7))
STAGED = {f".tokar-restore-e0ceb9fdcdfe196b-0/{own}": data for own, data in crashed(part(5, 7), high=9).items()}
HALF = {f".{DATABASE}.0f1e2d3c.part": bytes(dirty(5, 9))[:8192], f".{DATABASE}.0f1e2d3c.old.part": b"x" * 9000}
row("staged by a restore that died, beside a whole set", {**BESIDE, **STAGED}, OK, {*STAGED})
row("staged by a restore that died, what is needed", {**crashed(part(5, 6)),
    f".tokar-restore-e0ceb9fdcdfe196b-12/{name(7)}": part(7, 7)[name(7)]}, NOT,
    {f".tokar-restore-e0ceb9fdcdfe196b-12/{name(7)}"}, Kind.LOG_MISSING)  # fmt: skip
row("being written by a run that died, beside a whole set", {**BESIDE, **HALF}, OK, {*HALF})
AT_FOUR = LogPosition(generation=4, sector=2)


def aside(files: Files) -> Files:
    """The same files as a restore sets them aside."""
    return {f"{own}.tokar-aside-20240131T235959Z-1": data for own, data in files.items()}


OF_LATER = aside({**crashed(part(8, 9), low=8, high=9), "edb.chk": checkpoint(9)})
OF_OTHERS = aside({DATABASE: bytes(dirty(5, 6, log_signature=OTHER_STREAM)), **other(5, 6)})
row("set aside: later ones of this server", {**stopped(current(3, 7)), **OF_LATER}, CLEAN, {*OF_LATER})
row("set aside: those of another server", {**crashed(current(5, 7)), **OF_OTHERS}, OK, {*OF_OTHERS})
row("set aside: what is needed", {**crashed(part(5, 6)), **aside(part(7, 7))}, NOT, {*aside(part(7, 7))},
    Kind.LOG_MISSING)  # fmt: skip
row(
    "shut down, and the log of that number is of another history",
    {DATABASE: bytes(database(consistent_position=LogPosition(generation=7, sector=1), attach_position=AT_FOUR))}
    | logs(5, 7, shut_down=AT_FOUR, attached_at=LogPosition(generation=4, sector=3)),
    CLEAN,
    {name(5), name(6), name(7)},
    Kind.LOGS_BEFORE_GAP,
    Kind.NEW_STREAM,
)
row(
    "shut down, in the log in which it was attached",
    {DATABASE: bytes(database(consistent_position=LogPosition(generation=4, sector=3), attach_position=AT_FOUR))}
    | logs(3, 4, attached_at=LogPosition(generation=1, sector=3)),
    CLEAN,
    set(),
)
row(
    "a backup, with an older log beyond a hole",
    {DATABASE: bytes(streaming(5, 7)), **part(3, 7, 4)},
    OK,
    {name(3)},
    Kind.LOGS_BEFORE_GAP,
)
row(
    "two databases and a hole between what they need",
    {**crashed(part(4, 12, 9)), "pub.edb": bytes(dirty(11, 12, signature=OTHER_STREAM))} | logs(1, 0, attached=BOTH),
    OK,
    set(),
    Kind.LOG_MISSING,
)
row(
    "a database that was shut down long before the other",
    {**crashed(part(2, 8, 4), low=6), "pub.edb": bytes(database(**AT_THREE))},
    OK,
    {name(2), name(3)},
    Kind.LOGS_BEFORE_GAP,
)
row(
    "a database whose header is gone may need the foreign logs",
    {**crashed(part(5, 8), other(20, 21)), "lost.edb": b"x" * 8192},
    NOT,
    set(),
    Kind.DATABASE_UNREADABLE,
)
row("a needed log is missing", crashed(part(2, 8, 4, 6)), NOT, set(), Kind.LOG_MISSING)
row(
    "the committed ones are missing",
    {DATABASE: bytes(dirty(5, 6, 8)), **part(5, 8, 7)},
    Verdict.WITH_LOSS,
    {name(8)},
    Kind.COMMITTED_LOG_MISSING,
)


def judged(folder: Path, files: Files, *, examine: bool = True) -> SetVerdict:
    folder.mkdir()
    return judge_set(facts_of_folder(write(folder, files), examine=examine))


@pytest.mark.parametrize("title", ROWS)
def test_what_recovery_must_not_meet_is_left_out_with_its_reason(title: str, tmp_path: Path) -> None:
    files, verdict, left_out, kinds = ROWS[title]
    found = judged(tmp_path / "set", files)
    assert {one.file.name for one in found.left_out} == left_out, found.faults
    assert [fault.kind for fault in found.faults] == kinds, [fault.message for fault in found.faults]
    assert verdict in {one.verdict for one in found.databases}
    assert all(one.reason for one in found.left_out)


@pytest.mark.parametrize("title", [title for title in ROWS if ".bak" not in str(ROWS[title][0].keys())])
def test_one_archive_and_a_chain_of_one_leave_out_the_same(title: str, tmp_path: Path) -> None:
    files, _, left_out, _ = ROWS[title]
    path = archive(tmp_path / "a.tokar", files, kind="collected").path
    with tokar.open(path) as opened:
        alone = choose_one(opened, facts=facts_of_archive(opened, examine=True))
    chain = build_chain(find_sets([path], examine=True).sets)
    assert {one.name for one in alone.left_out} == left_out
    assert bool(alone.problems) == (not chain.is_restorable)
    if chain.is_restorable:
        found = restorable(chain)
        assert {one.name for one in found.left_out} == left_out
        assert [log.name for log in found.logs] == [log.name for log in alone.logs]
    else:
        with pytest.raises(NotRestorableError):
            restorable(chain)


def test_a_set_of_nothing_but_what_was_set_aside_proves_nothing(tmp_path: Path) -> None:
    facts = facts_of_folder(write(tmp_path, OF_LATER))
    verdict = judge_set(facts)
    assert (verdict.databases, {one.file.name for one in verdict.left_out}) == ((), {*OF_LATER})
    assert outcome_of(verdict, facts).word is Word.NOT_PROVEN


@pytest.mark.parametrize("profile", ["ese", "certadm"])
def test_where_the_names_of_all_logs_of_a_clean_database_are_wrong_that_is_why_they_are_left_out(
    profile: str, tmp_path: Path
) -> None:
    wrong = "edb0" if profile == "ese" else "E00"
    clean = bytes(database(consistent_position=LogPosition(generation=7, sector=1)))
    files = {DATABASE: clean, **{wrong + name.removeprefix("edb"): data for name, data in logs(5, 7).items()}}
    path = archive(tmp_path / "a.tokar", files, profile=profile).path
    (one,) = done("check", "--json", path).json()["archives"]
    reason = "the engine looks for it under another name: tokar restore --right-names gives it"
    assert {each["name"]: each["reason"] for each in one["verdict"]["left_out"]} == dict.fromkeys(
        [name for name in files if name != DATABASE], reason
    )


def test_logs_beyond_a_hole_under_right_names_are_left_out_for_the_hole(tmp_path: Path) -> None:
    clean = bytes(database(consistent_position=LogPosition(generation=7, sector=1)))
    path = archive(tmp_path / "a.tokar", {DATABASE: clean, **logs(3, 4), **logs(7, 7)}).path
    (one,) = done("check", "--json", path).json()["archives"]
    assert {each["reason"] for each in one["verdict"]["left_out"]} == {
        "no unbroken run of logs leads from it to what is needed"
    }
