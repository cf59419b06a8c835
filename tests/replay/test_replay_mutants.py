"""Logs and pages changed in fifty ways: each is named, or comes to the right pages all the same."""

from __future__ import annotations

import random
import shutil
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from replay_pages import page_in, put_page
from replay_sets import PlayedSet, after, before, pages_of, rathbun, settled_bounds, unequal
from test_recover import advancing

from tokar.collect.on_disk import open_set
from tokar.ese.log import LogHeader
from tokar.ese.logrecords import TYPES
from tokar.ese.page import seal_page, seal_segment
from tokar.replay.chains import with_chains
from tokar.replay.effects import changes_of
from tokar.replay.player import RefusedError
from tokar.replay.undo import undo_open
from tokar.replay.whole import Replay
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from replay_sets import Located

pytestmark = pytest.mark.samples

NAMED, HARMLESS, SILENT = "named", "harmless", "silent"


def settled() -> int:
    return settled_bounds(before().header).settled


def all_records() -> list[Located]:
    return [one for records in after().records() for one in records]


def outcome(records: list[Located]) -> str:
    """Play records on the database of the day before, and compare with the one after."""
    with PlayedSet(before().database.read_bytes(), after(), settled_bounds(before().header)) as found:
        with suppress(RefusedError):
            found.feed(records)
            is_open = any(session.level for session in found.player.sessions.values())
            undo_open(found.player)
            if found.redo.clash_count or found.redo.doubts or is_open:
                return NAMED
            return SILENT if [*unequal(found.store, pages_of(after().database), range(1, 159))] else HARMLESS
        return NAMED


def places(records: list[Located], name: str) -> list[int]:
    """Where records of a type stand that are played, and are not the last ones of all their pages."""
    last = {change.page: at for at, (_, one) in enumerate(records) for change in changes_of(one)}
    found = []
    for at, (position, one) in enumerate(records):
        if TYPES[one.type].name == name and position > settled():
            changes = [*changes_of(one)]
            if not changes or any(last[change.page] != at for change in changes):
                found.append(at)
    return found


def pick(records: list[Located], name: str, chance: random.Random) -> int:
    return chance.choice(places(records, name))


def drop(name: str) -> Any:
    def mutate(records: list[Located], chance: random.Random) -> list[Located]:
        at = pick(records, name, chance)
        return records[:at] + records[at + 1 :]

    return mutate


def repeat(name: str) -> Any:
    def mutate(records: list[Located], chance: random.Random) -> list[Located]:
        at = pick(records, name, chance)
        return [*records[: at + 1], *records[at:]]

    return mutate


def alter(name: str, **changes: Callable[[Any], Any]) -> Any:
    def mutate(records: list[Located], chance: random.Random) -> list[Located]:
        at = pick(records, name, chance)
        position, one = records[at]
        values = {field: change(getattr(one, field)) for field, change in changes.items()}
        return [*records[:at], (position, replace(one, **values)), *records[at + 1 :]]

    return mutate


def swap_changes_of_one_page(records: list[Located], chance: random.Random) -> list[Located]:
    following = _neighbours(records)
    at = chance.choice([at for at in places(records, "Insert") if at in following])
    other = following[at]
    made = list(records)
    made[at], made[other] = made[other], made[at]
    return made


def _neighbours(records: list[Located]) -> dict[int, int]:
    """The next change of the same page, of inserts that stand alone."""
    found: dict[int, int] = {}
    last: dict[int, int] = {}
    for at, (_, one) in enumerate(records):
        for change in changes_of(one):
            if TYPES[one.type].name == "Insert" and change.page in last:
                found[last[change.page]] = at
            last[change.page] = at
    return found


def swap_logs(records: list[Located], _: random.Random) -> list[Located]:
    third, fourth = ([one for one in records if one[0] >> 32 == generation] for generation in (3, 4))
    return [
        *(one for one in records if one[0] >> 32 < 3),
        *fourth,
        *third,
        *(one for one in records if one[0] >> 32 > 4),
    ]


def cut_head(records: list[Located], chance: random.Random) -> list[Located]:
    first = next(at for at, (position, _) in enumerate(records) if position > settled())
    return records[first + chance.randrange(60, 200) :]


def cut_tail(records: list[Located], chance: random.Random) -> list[Located]:
    at = chance.choice([at for at in places(records, "Commit0") if at > 500])
    return records[:at]


def other_instance(records: list[Located], _: random.Random) -> list[Located]:
    theirs = [(position, one) for found in rathbun().records()[1:3] for position, one in found]
    return [*records[:900], *((position + (1 << 40), one) for position, one in theirs)]


def more(step: int = 1) -> Callable[[Any], Any]:
    return lambda value: value + step


KINDS: dict[str, Any] = {
    **{
        f"drop {name}": drop(name)
        for name in (
            *("Insert", "NewPage", "Replace", "FlagDelete", "SetExternalHeader", "CreateSingleExtentFDP"),
            *("ConvertFDP2", "Split2", "Begin0", "Begin", "Commit0", "MacroBegin", "MacroCommit"),
        )
    },
    **{
        f"repeat {name}": repeat(name)
        for name in (
            *("Insert", "NewPage", "Replace", "FlagDelete", "Split2", "Begin0", "Begin", "Commit0", "MacroCommit"),
        )
    },
    "another line": alter("Insert", line=more(200)),
    "another page": alter("Insert", page=more(1)),
    "another dbtime before": alter("Insert", before=more(1)),
    "an earlier dbtime before": alter("Insert", before=more(-1)),
    "another dbtime after": alter("Insert", dbtime=more(1)),
    "another prefix": alter("Insert", prefix=lambda value: bytes(len(value) or 1)),
    "another session": alter("Insert", session=more(7)),
    "another old length": alter("Replace", old_size=more(1)),
    "another new length": alter("Replace", new_size=more(1)),
    "a line that is not there": alter("FlagDelete", line=more(500)),
    "another count of lines": alter("Split2", lines=more(1)),
    "another new page": alter("Split2", new_page=more(3)),
    "another separator": alter("Split2", key=lambda value: value + b"\xff"),
    "another image": alter("Split2", image=lambda value: value[:-9] + bytes(9) if value else b"\x28" + bytes(40)),
    "another level": alter("Begin", levels=more(1)),
    "another level of commit": alter("Commit", level=more(3)),
    "changes of a page in another order": swap_changes_of_one_page,
    "logs in another order": swap_logs,
    "the first changes are missing": cut_head,
    "the end is missing in a transaction": cut_tail,
    "records of another instance follow": other_instance,
}  # fmt: skip
# What comes to the right pages all the same, and why.
MAY_BE_HARMLESS = {
    "repeat NewPage",  # a page that is there is not made again
    "repeat FlagDelete",  # the page has it
    "repeat Insert",
    "repeat Replace",
    "repeat Split2",
    "repeat MacroCommit",  # what it collected was played
    "another session",  # of a session that is open too
    "another separator",  # of the level that does not use it
    "another image",  # where no image is needed, or the page has no lines to compare
    "another page",
    "records of another instance follow",  # databases are told by their signature
    "drop MacroBegin",
    "drop NewPage",  # what uses the page makes it anew
    "another count of lines",  # of a page that only takes a pointer
    "another line",  # of an insert that a split brings, which has the line itself
}


def judged(kind: str, seed: int) -> str:
    return outcome(KINDS[kind](all_records(), random.Random(f"{kind}{seed}")))


def test_without_a_change_all_is_well() -> None:
    assert outcome(all_records()) == HARMLESS


@pytest.mark.parametrize("kind", KINDS)
def test_a_mutant_is_named_or_harmless(kind: str) -> None:
    found = judged(kind, 0)
    assert found == NAMED or (found == HARMLESS and kind in MAY_BE_HARMLESS)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_twenty_mutants_of_a_kind_are_named_or_harmless(kind: str) -> None:
    found = {judged(kind, seed) for seed in range(1, 21)}
    assert found <= ({NAMED, HARMLESS} if kind in MAY_BE_HARMLESS else {NAMED})


def verdict_on(folder: Path) -> str:
    """What chains, the judge and replay say of a folder."""
    with open_set([folder]) as files:
        facts = with_chains(files.facts, files.open)
        if judge_set(facts).blocking:
            return NAMED
        with Replay(files.facts, files.open) as replay:
            found = [one.report for one in replay.run()]
            if any(one.why_not for one in found):
                return NAMED
            (one,) = replay.databases
            assert one.played is not None
            real = pages_of(after().database)
            return SILENT if [*unequal(one.played.redo.store, real, range(1, 143))] else HARMLESS


DATABASE, THIRD, FOURTH = "SRUDB.dat", "SRU00003.log", "SRU00004.log"


def reseal(path: Path, number: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[number * 4096 : (number + 1) * 4096] = seal_segment(data, number)
    path.write_bytes(whole)


def segment(path: Path, number: int) -> bytes:
    return path.read_bytes()[number * 4096 :][:4096]


def blank_page(folder: Path) -> None:
    put_page(folder / DATABASE, 14, bytes(4096))


def page_of_another_instance(folder: Path) -> None:
    put_page(folder / DATABASE, 14, seal_page(page_in(rathbun().database, 14), 14))


def page_of_the_future(folder: Path) -> None:
    put_page(folder / DATABASE, 14, page_in(after().database, 14))


def page_of_another_place(folder: Path) -> None:
    put_page(folder / DATABASE, 14, seal_page(page_in(folder / DATABASE, 28), 14))


def log_of_another_instance(folder: Path) -> None:
    shutil.copy(rathbun().logs[0], folder / THIRD)


def log_of_another_instance_with_a_fitting_header(folder: Path) -> None:
    theirs = rathbun().logs[1].read_bytes()
    ours = LogHeader.parse((folder / FOURTH).read_bytes())
    body = bytearray(theirs[4096:])
    for at in range(0, len(body), 4096):
        if any(body[at : at + 16]):
            body[at : at + 4096] = seal_segment(bytes(body[at : at + 4096]), at // 4096 + 1)
    (folder / FOURTH).write_bytes(ours.build() + body)


def flipped_bit_in_a_record(folder: Path) -> None:
    whole = bytearray((folder / THIRD).read_bytes())
    whole[3 * 4096 + 500] ^= 4
    (folder / THIRD).write_bytes(whole)


def record_altered_and_sealed_again(folder: Path) -> None:
    data = bytearray(segment(folder / THIRD, 3))
    data[500] ^= 4
    reseal(folder / THIRD, 3, bytes(data))


def record_dropped_and_sealed_again(folder: Path) -> None:
    position, one = next(each for each in after().records()[1] if TYPES[each[1].type].name == "Insert")
    number, at = position >> 16 & 0xFFFF, position & 0xFFFF
    data = segment(folder / THIRD, number)
    size = len(one.pack())
    reseal(folder / THIRD, number, data[:at] + data[at + size :] + bytes(size))


def segment_lost(folder: Path) -> None:
    whole = bytearray((folder / THIRD).read_bytes())
    whole[5 * 4096 : 6 * 4096] = bytes(4096)
    (folder / THIRD).write_bytes(whole)


def segments_swapped_and_sealed_again(folder: Path) -> None:
    one, other = segment(folder / THIRD, 4), segment(folder / THIRD, 6)
    reseal(folder / THIRD, 4, other[:8] + one[8:16] + other[16:])
    reseal(folder / THIRD, 6, one[:8] + other[8:16] + one[16:])


def log_cut(folder: Path) -> None:
    whole = (folder / THIRD).read_bytes()
    (folder / THIRD).write_bytes(whole[: 8 * 4096].ljust(len(whole), b"\0"))


FILES = {one.__name__: one for one in (
    blank_page, page_of_another_instance, page_of_the_future, page_of_another_place, segments_swapped_and_sealed_again,
)}  # fmt: skip
# The verdict leaves out logs that cannot be played and that a database which was shut down does not need.
SHORTER = {one.__name__: one for one in (
    log_of_another_instance, flipped_bit_in_a_record, segment_lost, log_cut, record_altered_and_sealed_again,
    record_dropped_and_sealed_again, log_of_another_instance_with_a_fitting_header,
)}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_changed_files_are_named(kind: str, tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    FILES[kind](folder)
    assert verdict_on(folder) == NAMED


@pytest.mark.parametrize("kind", SHORTER)
def test_logs_that_cannot_be_played_are_not_played(kind: str, tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    SHORTER[kind](folder)
    with open_set([folder]) as files, Replay(files.facts, files.open) as replay:
        (one,) = replay.run()
        changed = FOURTH if SHORTER[kind] is log_of_another_instance_with_a_fitting_header else THIRD
        assert (one.report.logs, one.report.why_not) == ((THIRD, FOURTH).index(changed) + 1, "")
        assert one.report.beyond[-1] == "SRU.log"
        assert SHORTER[kind] is log_of_another_instance or changed in one.report.beyond


def test_a_database_of_another_instance_gets_none_of_these_logs(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    shutil.copy(rathbun().database, folder / DATABASE)
    with open_set([folder]) as files, Replay(files.facts, files.open) as replay:
        assert [one.report.logs for one in replay.run()] == [0]


def test_there_are_fifty_kinds() -> None:
    assert len(KINDS) + len(FILES) + len(SHORTER) >= 50
