"""How sets fit together, and what a restore takes from which of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done
from command_line import tokar as tokar_command
from real_sets import header, rewritten
from recovery_sets import (
    DATABASE,
    OTHER_STREAM,
    Made,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    moment,
    prior_of,
    streaming,
    write,
)

import tokar
from tokar.errors import InputError, SetError
from tokar.ese.database import DatabaseState
from tokar.ese.values import LogPosition
from tokar.restore.chosen import OpenSets
from tokar.restore.options import RestoreOptions
from tokar.sets import fault_list
from tokar.sets.backup_set import BackupSet, set_of_archive, set_of_receipt
from tokar.sets.chain import Chain
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.faults import Severity
from tokar.sets.joining import build_chain
from tokar.sets.outcome import Word
from tokar.sets.receipt import Receipt, Truncation, write_receipt
from tokar.sets.selection import ChainSelection

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.sets.facts import SetFacts

ALL = logs(5, 14)
TOP = {generation: ALL[f"edb{generation:05X}.log"] for generation in range(5, 15)}


def name_of(generation: int) -> str:
    return f"edb{generation:05X}.log"


def rewritten_at(data: bytes, sector: int) -> bytes:
    files = {"log": data}
    rewritten("log", sector)(files)
    return files["log"]


def part(low: int, high: int) -> dict[str, bytes]:
    return {f"edb{generation:05X}.log": TOP[generation] for generation in range(low, high + 1)}


def branch(low: int, high: int, number: int = 1000) -> dict[str, bytes]:
    """Logs of another history that parted after generation low - 1."""
    return logs(low, high, after=TOP[low - 1], branch=number)


@dataclass
class Store:
    """Archives of one test."""

    folder: Path
    made: dict[str, Made] = field(default_factory=dict)
    sets: list[BackupSet] = field(default_factory=list)
    examine: bool = False

    def add(self, name: str, files: dict[str, bytes], kind: str = "logs", **head: Any) -> Made:
        path = self.folder / f"{name}.tokar"
        self.made[name] = archive(path, files, kind=kind, **head)
        with tokar.open(path) as opened:
            self.sets.append(set_of_archive(opened, label=name, examine=self.examine))
        return self.made[name]

    def full(self, name: str = "full", low: int = 5, high: int = 7, **head: Any) -> Made:
        return self.add(name, {DATABASE: bytes(streaming(low, high)), **part(low, high)}, "full", **head)

    def receipt(self, name: str, generations: tuple[int, int], took: str = "incremental") -> None:
        value = Receipt(
            "sealed",
            Truncation.DONE,
            archive={"name": f"{name}.tokar", "id": "ab" * 16, "root": "cd" * 32, "size": 1},
            backup={"took": took, "generations": {"low": generations[0], "high": generations[1]}, "profile": "ese"},
        )
        self.sets.append(set_of_receipt(write_receipt(self.folder / f"{name}.tokar", value)))

    @property
    def chain(self) -> Chain:
        return build_chain(self.sets)

    def verdict(self, name: str) -> tuple[bool, list[Kind]]:
        chain = self.chain
        at = [backup_set.label for backup_set in chain.sets].index(name)
        found = chain.verdicts[at]
        return found.restorable, [fault.kind for fault in found.faults]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sources(selection: ChainSelection) -> list[tuple[str, int, int]]:
    return [(one.label, one.low, one.high) for one in selection.sets]


def test_a_full_alone_is_restorable_to_its_last_log(store: Store) -> None:
    store.full()
    found = restorable(store.chain)
    assert sources(found) == [("full", 5, 7)]
    assert (found.target, found.hard) == (7, True)
    assert [log.generation for log in found.logs] == [5, 6, 7]


def test_incrementals_continue_a_full(store: Store) -> None:
    store.full()
    store.add("inc1", part(8, 9))
    store.add("inc2", part(10, 11))
    found = restorable(store.chain)
    assert sources(found) == [("full", 5, 7), ("inc1", 8, 9), ("inc2", 10, 11)]
    assert store.chain.is_restorable


def test_labels_do_not_decide(store: Store) -> None:
    store.add("a", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}, "collected")
    store.add("b", part(8, 9), "collected")
    assert sources(restorable(store.chain)) == [("a", 5, 7), ("b", 8, 9)]


def test_of_cumulative_sets_only_the_last_is_taken(store: Store) -> None:
    store.full()
    store.add("diff1", part(5, 9))
    store.add("diff2", part(5, 12))
    found = restorable(store.chain)
    assert sources(found) == [("full", 5, 7), ("diff2", 5, 12)]
    assert found.unused == ("diff1",)
    assert [log.generation for log in found.logs] == list(range(5, 13))
    assert found.logs[0].also_in == (1,)


def test_a_target_stops_earlier(store: Store) -> None:
    store.full()
    store.add("inc1", part(8, 11))
    found = restorable(store.chain, 9)
    assert sources(found) == [("full", 5, 7), ("inc1", 8, 9)]
    assert {one.name: one.reason for one in found.left_out} == dict.fromkeys(
        ["edb0000A.log", "edb0000B.log"], "after the target"
    )


def test_a_target_inside_the_full_is_refused(store: Store) -> None:
    store.full()
    with pytest.raises(InputError, match="0x6 is below what the databases need"):
        restorable(store.chain, 6)


def test_a_target_beyond_the_last_log_is_refused(store: Store) -> None:
    store.full()
    with pytest.raises(NotRestorableError, match="cannot be reached") as raised:
        restorable(store.chain, 9)
    assert raised.value.faults[0].kind is Kind.LOG_MISSING
    assert (raised.value.exit_code, raised.value.faults[0].code) == (6, -557)  # a streaming copy: hard recovery


def test_a_hole_is_named_and_nothing_else_is_given_instead(store: Store) -> None:
    store.full()
    store.add("inc2", part(10, 11))
    with pytest.raises(NotRestorableError, match=r"0x8-0x9 are in none of the sets") as raised:
        restorable(store.chain)
    assert "--until 0x7" in str(raised.value.hint)
    assert store.verdict("full") == (True, [])
    assert store.verdict("inc2") == (False, [Kind.LOG_MISSING])
    assert restorable(store.chain, 7).target == 7


def test_a_target_behind_a_hole_is_refused(store: Store) -> None:
    store.full()
    store.add("inc2", part(10, 11))
    with pytest.raises(SetError, match="0x8-0x9"):
        restorable(store.chain, 11)


def test_a_receipt_names_the_archive_that_fills_a_hole(store: Store) -> None:
    store.full()
    store.receipt("inc1", (8, 9))
    store.add("inc2", part(10, 11))
    verdict = next(one for one in store.chain.verdicts if one.start is not None and not one.restorable)
    assert "inc1.tokar.receipt.json" in verdict.faults[0].next_step


def test_a_receipt_beside_its_archive_counts_for_nothing(store: Store) -> None:
    made = store.full()
    value = Receipt(
        "sealed",
        Truncation.DONE,
        archive={"id": made.id.hex(), "root": made.root.hex()},
        backup={"took": "full", "generations": {"low": 5, "high": 7}},
    )
    store.sets.append(set_of_receipt(write_receipt(made.path, value)))
    assert len(store.chain.sets) == 1


def test_logs_without_a_full_are_named(store: Store) -> None:
    store.add("inc1", part(8, 9))
    assert store.verdict("inc1") == (False, [Kind.MISSING_FULL])
    with pytest.raises(NotRestorableError, match="no set with databases"):
        restorable(store.chain)


def test_a_hole_between_sets_of_nothing_but_logs_is_named_as_in_one_of_them(store: Store) -> None:
    store.add("a", part(5, 6))
    store.add("b", part(8, 9))
    chain = store.chain
    assert [one.word for one in map(chain.outcome_of, (0, 1))] == [Word.PART_OF_A_CHAIN, Word.NOT_RESTORABLE]
    assert str(chain.outcome) == "NOT RESTORABLE: log 0x7 is missing between edb00006.log and edb00008.log"


def test_sets_of_nothing_but_logs_that_follow_each_other_have_no_hole(store: Store) -> None:
    for name, (low, high) in {"a": (5, 6), "b": (7, 8), "c": (6, 9)}.items():
        store.add(name, part(low, high))
    assert {store.chain.outcome_of(at).word for at in range(3)} == {Word.PART_OF_A_CHAIN}


def test_a_receipt_names_what_fills_a_hole_between_sets_of_nothing_but_logs(store: Store) -> None:
    store.add("a", part(5, 6))
    store.add("b", part(8, 9))
    store.receipt("inc", (7, 7))
    faults = [one for verdict in store.chain.verdicts for one in verdict.faults if one.generations == (7,)]
    assert any("inc.tokar.receipt.json belongs to" in one.next_step for one in faults)


@pytest.mark.parametrize(
    ("spoil", "kind", "code"),
    [
        (lambda: flip(TOP[6], 30), Kind.LOG_UNREADABLE, -573),
        (lambda: logs(6, 6, stream=OTHER_STREAM)[name_of(6)], Kind.LOG_FOREIGN, -555),
    ],
)
def test_what_another_set_holds_in_place_of_a_needed_log_is_named(
    store: Store, spoil: Callable[[], bytes], kind: Kind, code: int
) -> None:
    store.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 5)}, "full")
    store.add("inc", {name_of(6): spoil(), **part(7, 7)})
    with pytest.raises(NotRestorableError) as raised:
        restorable(store.chain)
    first = raised.value.faults[0]
    assert (first.kind, first.code, first.files) == (kind, code, (name_of(6),))
    assert Kind.LOG_MISSING not in [fault.kind for fault in store.chain.starts[0].faults]


@pytest.mark.parametrize("apart", ["", name_of(6)])
def test_a_log_of_another_server_that_is_here_with_its_database_stands_for_none(store: Store, apart: str) -> None:
    store.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 5), **part(7, 7)}, "full")
    other = logs(5, 7, stream=OTHER_STREAM)
    own = {DATABASE: bytes(dirty(5, 7, log_signature=OTHER_STREAM)), **other}
    store.add("other", {name: data for name, data in own.items() if name != apart}, "full")
    if apart:
        store.add("its logs", {apart: other[apart]})
    (start,) = [one for one in store.chain.starts if store.chain.sets[one.number].label == "full"]
    assert start.blocking[0].kind is Kind.LOG_MISSING


def test_no_older_full_is_given_in_place_of_a_damaged_one(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    store.full("full1", 5, 7)
    store.add("inc1", part(8, 11))
    damaged = flip(flip(bytes(streaming(9, 11)), 5 * 4096 + 500), 5 * 4096 + 900)
    store.add("full2", {DATABASE: damaged, **part(9, 11)}, "full")
    with pytest.raises(NotRestorableError, match="full2 cannot be restored") as raised:
        restorable(store.chain)
    assert "or leave full2 out" in str(raised.value.hint)
    assert restorable(store.chain, 8).target == 8, "which is before it"
    store.sets.pop()
    assert restorable(store.chain).target == 11


def test_a_damaged_older_full_is_in_no_way_of_a_later_one(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    damaged = flip(flip(bytes(streaming(5, 7)), 5 * 4096 + 500), 5 * 4096 + 900)
    store.add("full1", {DATABASE: damaged, **part(5, 7)}, "full")
    store.full("full2", 9, 11)
    assert sources(restorable(store.chain)) == [("full2", 9, 11)]


def test_logs_of_another_stream_do_not_continue(store: Store) -> None:
    store.full()
    store.add("other", logs(8, 9, stream=OTHER_STREAM))
    assert store.verdict("other") == (False, [Kind.MISSING_FULL])
    assert restorable(store.chain).unused == ("other",)


def test_logs_older_than_the_full_are_left_alone(store: Store) -> None:
    older = logs(3, 4)
    store.full()
    store.add("older", older)
    restored, kinds = store.verdict("older")
    assert (restored, kinds) == (False, [Kind.MISSING_FULL])
    assert sources(restorable(store.chain)) == [("full", 5, 7)]
    assert [str(store.chain.outcome_of(at).word) for at in (0, 1)] == ["PART OF A CHAIN", "NOT PROVEN"]


def test_a_log_that_the_engine_does_not_find_ends_the_run_for_every_verb(store: Store) -> None:
    store.full()
    store.add("next", {**part(8, 8), "edb00009.bak": part(9, 9)["edb00009.log"]}, tokens={"edb00009.bak": 0x21})
    assert store.verdict("next") == (False, [Kind.LOG_NAME])
    with pytest.raises(NotRestorableError, match="looks for another name"):
        restorable(store.chain)


def test_the_current_log_of_a_snapshot_is_the_last_one_that_is_played(store: Store) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 6), "edb.log": part(7, 7)["edb00007.log"]}
    store.add("snapshot", files, kind="full")
    store.add("next", part(8, 9))
    assert store.verdict("next") == (False, [Kind.LOGS_AFTER_GAP])
    with pytest.raises(NotRestorableError, match=r"the run of logs ends with edb\.log"):
        restorable(store.chain)


@pytest.mark.parametrize(("size", "reached"), [(9000, range(10, 12)), (None, range(5, 12))])
def test_logs_that_are_left_out_of_the_run_are_not_placed_from_another_set(
    store: Store, size: int | None, reached: range
) -> None:
    clean = bytes(database(consistent_position=LogPosition(generation=11, sector=1)))
    store.full()
    store.add("stopped", {DATABASE: clean, **part(5, 8), name_of(9): TOP[9][:size], **part(10, 11)}, kind="full")
    assert store.verdict("stopped")[0]
    assert [log.generation for log in restorable(store.chain).logs] == [*reached]


def test_a_last_log_that_cannot_be_read_is_not_passed_over(store: Store) -> None:
    store.full()
    store.add("next", {**part(8, 8), "edb00009.log": b""})
    assert store.verdict("next") == (False, [Kind.LOG_UNREADABLE])
    with pytest.raises(NotRestorableError, match=r"edb00009\.log cannot be read") as caught:
        restorable(store.chain)
    assert "--until 0x8" in str(caught.value.hint)
    assert restorable(store.chain, 8).target == 8


def test_a_damaged_copy_of_a_log_gives_way_to_a_whole_one(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    store.full()
    (data,) = part(7, 7).values()
    store.add("next", {**part(8, 9), "edb00007.log": flip(flip(data, 5000), 5400, 3)})
    chosen = restorable(store.chain)
    assert [(log.generation, log.at) for log in chosen.logs if log.generation == 7] == [(7, 0)]


def test_a_newer_full_does_not_hide_the_hole_before_older_logs(store: Store) -> None:
    store.full()
    store.add("older", logs(10, 11, after=logs(5, 9)["edb00009.log"]))
    store.add("newer", {DATABASE: bytes(streaming(15, 16)), **logs(15, 16)}, kind="full")
    restored, kinds = store.verdict("older")
    assert (restored, kinds) == (False, [Kind.LOG_MISSING])


def test_histories_that_parted_are_a_fork(store: Store) -> None:
    store.full()
    store.add("one", part(8, 10))
    store.add("two", branch(9, 11))
    chain = store.chain
    assert [fault.kind for fault in chain.faults] == [Kind.LOG_FORKED]
    assert store.verdict("one")[1] == [Kind.LOG_FORKED]
    with pytest.raises(NotRestorableError, match="histories parted at generation 0x9"):
        restorable(chain)
    with pytest.raises(NotRestorableError, match="histories parted"):
        restorable(chain, 11)
    assert restorable(chain, 8).target == 8


def misnamed(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name.replace(".log", " - Copy.log"): data for name, data in files.items()}


@pytest.mark.parametrize("high", [9, 12])
def test_a_misnamed_log_of_another_history_in_a_set_of_its_own_is_in_nobodys_way(store: Store, high: int) -> None:
    store.full()
    store.add("one", part(8, 10))
    store.add("copies", misnamed(branch(9, high)))
    assert [one.restorable for one in store.chain.verdicts] == [True] * 3
    selection = restorable(store.chain)
    assert ([log.name for log in selection.logs][-1], selection.unused) == ("edb0000A.log", ("copies",))


def test_two_histories_of_right_names_are_refused_whatever_is_beside_them(store: Store) -> None:
    store.full()
    store.add("one", part(8, 10))
    store.add("two", {**branch(9, 10), **misnamed(branch(9, 9, 2000))})
    with pytest.raises(NotRestorableError, match="0x9"):
        restorable(store.chain)


def test_older_logs_that_nobody_needs_do_not_decide_what_sets_come_to(store: Store) -> None:
    store.full("full", 7, 9)
    damaged = {**part(4 + 1, 5), name_of(6): TOP[6][:-5000]}
    store.add("older", damaged)
    assert [one.word for one in map(store.chain.outcome_of, (0, 1))] == [Word.NOT_RESTORABLE, Word.NOT_PROVEN]
    assert store.chain.outcome == store.chain.outcome_of(1)


def test_logs_of_another_server_do_not_decide_what_sets_come_to(store: Store) -> None:
    store.full()
    store.add("other", logs(5, 7, stream=OTHER_STREAM))
    assert Word.PART_OF_A_CHAIN in {store.chain.outcome_of(at).word for at in (0, 1)}
    assert store.chain.outcome is not None
    assert store.chain.outcome.word is Word.NOT_PROVEN


def test_without_databases_logs_decide(store: Store) -> None:
    store.add("one", part(8, 9))
    assert store.chain.outcome == store.chain.outcome_of(0)
    assert not store.chain.is_restorable


def test_what_nobody_could_judge_is_not_called_restorable(store: Store) -> None:
    store.add("odd", {DATABASE: bytes(database(raw_state=9))}, "full")
    found = store.chain.to_json()
    assert (found["restorable"], found["sets"][0]["restorable"]) == (False, False)
    assert found["outcome"]["word"] == "NOT PROVEN"


def test_a_current_log_that_logs_of_another_set_follow_gets_its_number_by_right_names(tmp_path: Path) -> None:
    shut = database(consistent_position=LogPosition(generation=7, sector=1), last_log_time=moment(7))
    files = {DATABASE: bytes(shut), **part(5, 6), "edb.log": TOP[7]}
    paths = [
        archive(tmp_path / "full.tokar", files).path,
        archive(tmp_path / "inc.tokar", part(8, 9), kind="logs").path,
    ]
    with OpenSets(paths) as sets:
        with pytest.raises(NotRestorableError, match=r"not reached, the run of logs ends with edb\.log") as caught:
            sets.select()
        assert "--right-names" in str(caught.value.hint)
        assert "leaves them out" not in str(caught.value.hint)
        chosen = sets.select(options=RestoreOptions(right_names=True))
    assert [log.leaf for log in chosen.logs] == [name_of(generation) for generation in range(5, 10)]


def test_of_very_many_forks_the_first_are_listed_and_the_others_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fault_list, "MOST_LISTED", 1)
    store.add("one", part(8, 10))
    store.sets.append(replace(store.sets[0], id=b"2" * 16, facts=_other_history(store.sets[0].facts)))
    (fault,) = store.chain.faults
    assert fault.kind is Kind.LOG_FORKED
    assert fault.consequences == ("and 2 more like it",)


def _other_history(facts: SetFacts) -> SetFacts:
    return replace(
        facts, logs=tuple(replace(one, created=moment(99), previous_created=moment(98)) for one in facts.logs)
    )


def untold(low: int, high: int) -> dict[str, bytes]:
    """A database that needs logs, and whose header does not keep when the last of them was created."""
    at = LogPosition(generation=low, sector=1)
    needs: dict[str, Any] = {
        "required_low": low,
        "required_high": high,
        "committed_high": high,
        "consistent_position": at,
    }
    return {DATABASE: bytes(database(raw_state=int(DatabaseState.DIRTY_SHUTDOWN), **needs)), **part(low, high)}


def test_a_full_stays_on_its_own_history(store: Store) -> None:
    store.add("full", untold(5, 9), "full")
    store.add("two", branch(9, 11))
    with pytest.raises(NotRestorableError, match="histories parted"):
        restorable(store.chain)
    assert sources(restorable(store.chain, 9)) == [("full", 5, 9)]
    assert store.verdict("two") == (False, [Kind.LOG_FORKED])


@pytest.mark.parametrize("low", [9, 10, 11])
def test_logs_of_another_history_than_the_header_proves_are_named_and_no_part_of_it(store: Store, low: int) -> None:
    store.full(high=10)
    other = branch(8, 12)
    store.add("two", {name_of(at): other[name_of(at)] for at in range(low, 13)})
    assert sources(restorable(store.chain)) == [("full", 5, 10)]
    assert restorable(store.chain).unused == ("two",)
    (remark,) = store.chain.verdict_on(next(one for one in store.sets if one.label == "two")).faults
    assert (remark.kind, remark.severity) == (Kind.LOG_FORKED if low < 11 else Kind.LINK_BROKEN, Severity.WARNING)


@pytest.mark.parametrize("low", [11, 12])
def test_histories_that_part_after_what_the_header_proves_are_refused(store: Store, low: int) -> None:
    store.add("full", {DATABASE: bytes(streaming(5, 10)), **part(5, 12)}, "full")
    other = branch(11, 13)
    store.add("two", {name_of(at): other[name_of(at)] for at in range(low, 14)})
    with pytest.raises(NotRestorableError, match="histories parted"):
        restorable(store.chain)


def test_of_two_histories_in_other_sets_the_one_is_taken_that_the_header_names(store: Store) -> None:
    others = branch(8, 10)
    its = {DATABASE: bytes(dirty(9, 10, branch=1000)), **part(5, 7)}
    store.add("full", its, "full")
    store.add("one", part(8, 12))
    store.add("two", others)
    assert sources(restorable(store.chain)) == [("full", 0, 0), ("two", 9, 10)]
    assert [store.verdict(name)[0] for name in ("full", "one", "two")] == [True, True, True]


def test_a_log_before_the_parting_that_may_be_of_either_history_is_no_proof(store: Store) -> None:
    """Logs of the older format do not say what was in the one before."""
    old: dict[str, Any] = {"major": 7, "minor": 3704}
    own = logs(5, 10, **old)
    store.add("full", {DATABASE: bytes(dirty(5, 10)), **own}, "full")
    store.add("two", logs(9, 11, after=own[name_of(8)], branch=1000, **old))
    assert store.chain.outcome is not None
    assert store.chain.outcome.word == "NOT PROVEN"
    assert "of which history it is" in store.chain.outcome.why
    assert [one.low for one in restorable(store.chain).sets] == [5]  # and nothing of the other one


def test_a_needed_log_that_the_next_one_contradicts_proves_no_history(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    spoilt = {**part(5, 9), name_of(10): rewritten_at(TOP[10], 3)}
    store.add("full", {DATABASE: bytes(dirty(5, 10)), **spoilt}, "full")
    store.add("later", part(11, 12))
    with pytest.raises(NotRestorableError):
        restorable(store.chain)


def test_a_clean_database_that_says_no_log_goes_on_from_the_first(store: Store) -> None:
    clean = database(raw_state=int(DatabaseState.CLEAN_SHUTDOWN), consistent_position=LogPosition())
    first = logs(1, 4)
    store.add("full", {DATABASE: bytes(clean), **dict(list(first.items())[:2])}, "full")
    store.add("later", dict(list(first.items())[2:]))
    assert restorable(store.chain).target == 4


def test_of_two_first_logs_after_a_clean_database_none_is_chosen(store: Store) -> None:
    clean = database(
        raw_state=int(DatabaseState.CLEAN_SHUTDOWN), consistent_position=LogPosition(generation=1, sector=1)
    )
    store.add("full", {DATABASE: bytes(clean)}, "full")
    store.add("a", logs(1, 2))
    store.add("b", logs(1, 2, branch=1000))
    with pytest.raises(NotRestorableError, match="generation 0x1 is there more than once"):
        restorable(store.chain)


def test_a_log_that_does_not_continue_ends_the_run(store: Store) -> None:
    store.add("full", untold(5, 7), "full")
    store.add("odd", logs(8, 9, branch=70))
    assert store.verdict("odd") == (False, [Kind.LINK_BROKEN])
    with pytest.raises(NotRestorableError, match="does not continue"):
        restorable(store.chain)


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda data: flip(flip(data, 5000), 5400, 3), Kind.LOG_DAMAGED),
        (lambda data: rewritten_at(data, 3), Kind.LOG_ALTERED),
    ],
)
def test_a_spoilt_log_in_the_middle_is_the_cause_and_not_the_one_after_it(
    tmp_path: Path, spoil: Callable[[bytes], bytes], kind: Kind
) -> None:
    store = Store(tmp_path, examine=True)
    store.full()
    store.add("inc1", {**part(8, 8), name_of(9): spoil(TOP[9])})
    store.add("inc2", part(10, 11))
    with pytest.raises(NotRestorableError) as raised:
        restorable(store.chain)
    assert raised.value.faults[0].kind == kind
    assert "--until 0x8" in str(raised.value.hint)
    assert restorable(store.chain, 8).target == 8
    assert [kind in store.verdict(name)[1] for name in ("inc1", "inc2")] == [True, True]
    assert store.chain.starts[0].playable(store.chain.starts[0].runs[0]) == range(5, 9)


def test_no_end_is_offered_where_a_restore_may_not_stop_before_the_spoilt_log(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    store.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 6)}, "full")
    store.add("inc1", {name_of(7): flip(flip(TOP[7], 5000), 5400, 3)})
    store.add("inc2", part(8, 9))
    with pytest.raises(NotRestorableError) as raised:
        restorable(store.chain)
    assert raised.value.faults[0].kind is Kind.LOG_DAMAGED
    assert "--until" not in str(raised.value.hint)


def test_the_same_log_with_other_bytes_is_refused(store: Store) -> None:
    store.full()
    changed = {**part(7, 8), "edb00007.log": flip(TOP[7], 9000)}
    store.add("inc1", changed)
    with pytest.raises(NotRestorableError, match="its bytes differ"):
        restorable(store.chain)
    assert Kind.LOG_DIFFERS in store.verdict("inc1")[1]
    assert Kind.LOG_DIFFERS in store.verdict("full")[1]


@pytest.mark.parametrize("examine", [False, True])
def test_unlike_copies_of_a_log_refuse_nothing_before_somebody_looks_which_is_whole(
    tmp_path: Path, examine: bool
) -> None:
    store = Store(tmp_path, examine=examine)
    store.full()
    store.add("inc1", {**part(7, 9), name_of(7): flip(flip(TOP[7], 5000), 5400, 3)})
    for found in map(store.chain.outcome_of, (0, 1)):
        assert (found.word, found.exit_code) == (Word.NOT_PROVEN, 0)  # examined too: nobody followed its pages
        assert ("bytes differ: which of them is whole nobody looked" in found.why) is not examine
    if examine:
        assert sources(restorable(store.chain)) == [("full", 5, 7), ("inc1", 8, 9)]
        return
    with pytest.raises(NotRestorableError, match="nobody looked") as raised:
        restorable(store.chain)
    assert raised.value.outcome.word is Word.NOT_PROVEN


def test_the_current_log_of_a_copy_gives_way_to_the_closed_one(store: Store) -> None:
    growing = TOP[8][: 3 * 4096].ljust(len(TOP[8]), b"\0")
    store.add("copy", {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.log": growing}, "collected")
    store.add("inc1", part(8, 9))
    found = restorable(store.chain)
    assert [(log.generation, log.at) for log in found.logs] == [(5, 0), (6, 0), (7, 0), (8, 1), (9, 1)]
    assert [one.name for one in found.left_out] == ["edb.log"]


def test_a_current_log_of_both_suffixes_in_another_set_is_the_one_that_the_logs_are_called_like(store: Store) -> None:
    store.add("a", {DATABASE: bytes(dirty(5, 8))}, "collected")
    store.add("b", part(5, 7), "collected")
    store.add("c", {"edb.jtx": TOP[8], "edb.log": TOP[8]}, "collected")
    assert not store.chain.starts[0].blocking
    found = restorable(store.chain)
    assert [(log.name, log.at) for log in found.logs][-1] == ("edb.log", 2)
    assert [one.name for one in found.left_out] == ["edb.jtx"]


def test_a_log_missing_from_the_full_comes_from_another_set(store: Store) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), **part(5, 5), **part(7, 7)}
    store.add("full", files, "full")
    assert store.verdict("full") == (False, [Kind.LOG_MISSING])
    store.add("inc1", part(6, 8))
    assert store.verdict("full") == (True, [])
    assert sources(restorable(store.chain)) == [("full", 5, 7), ("inc1", 6, 8)]


def test_a_full_that_lacks_a_log_is_refused_with_its_cause(store: Store) -> None:
    store.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 5), **part(7, 7)}, "full")
    with pytest.raises(NotRestorableError, match="log 0x6 is missing") as raised:
        restorable(store.chain)
    assert raised.value.faults[0].code == -557


def test_a_damaged_log_of_the_run_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    store.full()
    store.add("inc1", {**part(8, 8), "edb00009.log": flip(TOP[9], 8200)})
    assert store.verdict("inc1") == (False, [Kind.LOG_DAMAGED])
    with pytest.raises(NotRestorableError, match="damaged segment"):
        restorable(store.chain, 9)
    assert restorable(store.chain, 8).target == 8


def test_the_later_full_is_taken(store: Store) -> None:
    store.full("full1", 5, 7)
    store.add("inc1", part(8, 8))
    store.full("full2", 9, 11)
    store.add("inc2", part(12, 13))
    assert sources(restorable(store.chain)) == [("full2", 9, 11), ("inc2", 12, 13)]
    assert sources(restorable(store.chain, 8)) == [("full1", 5, 7), ("inc1", 8, 8)]
    by_name = restorable(store.chain, 12, full=store.made["full1"].id)
    assert [one[0] for one in sources(by_name)] == ["full1", "inc1", "full2", "inc2"]


def test_a_full_that_is_not_here_is_refused(store: Store) -> None:
    store.full()
    with pytest.raises(InputError, match="no set with databases has the id"):
        restorable(store.chain, full=bytes(16))


def test_sets_of_two_servers_are_not_guessed_at(store: Store) -> None:
    store.full()
    files = {DATABASE: bytes(dirty(5, 6, log_signature=OTHER_STREAM)), **logs(5, 6, stream=OTHER_STREAM)}
    store.add("other", files, "collected")
    with pytest.raises(NotRestorableError, match="more than one server"):
        restorable(store.chain)
    assert [fault.kind for fault in store.chain.faults] == [Kind.INSTANCES]
    assert sources(restorable(store.chain, full=store.made["full"].id)) == [("full", 5, 7)]


def test_a_clean_database_is_played_forward_from_its_last_log(store: Store) -> None:
    store.add("copy", {DATABASE: bytes(database()), **part(5, 5)}, "collected")
    store.add("inc1", part(6, 8))
    found = restorable(store.chain)
    assert (sources(found), found.hard) == ([("copy", 5, 5), ("inc1", 6, 8)], False)


def test_a_clean_database_alone_needs_nothing(store: Store) -> None:
    store.add("copy", {DATABASE: bytes(database())}, "collected")
    found = restorable(store.chain)
    assert (found.logs, found.target) == ((), 0)


def test_checkpoints_are_left_out_with_the_reason(store: Store) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.chk": checkpoint(5)}
    store.add("copy", files, "collected")
    found = restorable(store.chain)
    assert [one.reason for one in found.left_out] == ["a checkpoint: recovery would begin where it stands"]
    assert found.excluded() == {4}
    assert found.log_entries(0) == (1, 2, 3)


def test_links_are_proven_by_content_where_it_was_examined(tmp_path: Path) -> None:
    store = Store(tmp_path, examine=True)
    store.full()
    store.add("inc1", part(8, 8))
    assert [log.proof for log in restorable(store.chain).logs] == ["first", "content", "content", "content"]


def test_logs_of_unknown_formats_are_chained_by_number_and_it_says_so(store: Store) -> None:
    old = bytearray(4096)
    old[24:36] = (4).to_bytes(4, "little") + (995).to_bytes(4, "little") + bytes(4)
    store.add("full", {DATABASE: bytes(dirty(5, 6)), "edb00005.log": bytes(old), "edb00006.log": bytes(old)}, "full")
    store.add("inc1", {"edb00007.log": bytes(old)})
    found = restorable(store.chain)
    assert [log.proof for log in found.logs] == ["first", "number", "number"]
    assert any("numbers" in text for text in found.not_checked)


def test_the_tree_follows_prior_links(store: Store) -> None:
    full = store.full()
    inc = store.add("inc1", part(8, 9), prior=prior_of(full))
    store.add("inc2", part(10, 11), prior=prior_of(inc))
    assert store.chain.parents == (None, 0, 1)


def test_the_tree_goes_by_coverage_where_there_are_no_links(store: Store) -> None:
    store.full()
    store.add("inc1", part(8, 9))
    store.add("inc2", part(10, 11))
    store.add("diff", part(5, 11))
    chain = store.chain
    named = {backup_set.label: parent for backup_set, parent in zip(chain.sets, chain.parents, strict=True)}
    assert named["full"] is None
    assert named["inc2"] == [backup_set.label for backup_set in chain.sets].index("inc1")


def test_a_prior_with_another_root_is_worth_a_warning(store: Store) -> None:
    full = store.full()
    store.add("inc1", part(8, 9), prior={**prior_of(full), "root": "00" * 32})
    chain = store.chain
    (fault,) = chain.verdicts[1].faults
    assert (fault.kind, fault.severity) == (Kind.PRIOR_DIFFERS, Severity.WARNING)
    assert chain.is_restorable


def test_a_salvaged_set_is_followed_with_a_warning(store: Store) -> None:
    store.full(origin={"id": "11" * 16, "root": "22" * 32})
    store.add("inc1", part(8, 9), prior={"id": "11" * 16, "root": "22" * 32})
    chain = store.chain
    assert [[fault.kind for fault in one.faults] for one in chain.verdicts] == [[Kind.SALVAGED], [Kind.SALVAGED]]
    assert len(restorable(chain).remarks) == 2


def test_an_archive_that_is_given_twice_counts_once(store: Store) -> None:
    store.full()
    store.sets.append(store.sets[0])
    assert len(store.chain.sets) == 1


def test_a_receipt_of_a_failure_is_no_set(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "x.tokar", Receipt("failed", Truncation.NOT_LICENSED))
    with pytest.raises(InputError, match="made no archive"):
        set_of_receipt(path)


def test_a_receipt_without_an_id_is_refused(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "x.tokar", Receipt("sealed", Truncation.DONE))
    with pytest.raises(InputError, match="lacks"):
        set_of_receipt(path)


def test_the_chain_and_the_selection_are_data(store: Store) -> None:
    store.full()
    store.add("inc1", part(8, 9))
    value = store.chain.to_json()
    assert value["restorable"] is True
    assert [one["full"] for one in value["sets"]] == ["full", "full"]
    assert value["runs"][0]["high"] == 9
    chosen = restorable(store.chain).to_json()
    assert chosen["recovery"] == "hard"
    assert [log["generation"] for log in chosen["logs"]] == [5, 6, 7, 8, 9]


def test_logs_go_on_from_the_full_of_their_server_whichever_comes_first(store: Store) -> None:
    other = {DATABASE: bytes(dirty(1, 2, log_signature=OTHER_STREAM)), **logs(1, 2, stream=OTHER_STREAM)}
    store.add("a", other, "collected")
    store.full("b", 5, 7)
    store.add("inc-b", part(8, 9))
    assert store.verdict("inc-b") == (True, [])
    assert store.chain.is_restorable


def test_what_lies_beside_the_logs_of_a_full_is_named_by_its_chain(store: Store) -> None:
    beside = {**logs(3, 3, stream=OTHER_STREAM), **part(9, 9)}
    store.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 7), **beside}, "full")
    assert store.verdict("full") == (True, [Kind.LOGS_AFTER_GAP, Kind.STRAY_LOGS])
    found = restorable(store.chain)
    assert {one.name: one.code for one in found.left_out} == {"edb00003.log": -530, "edb00009.log": -515}


def test_an_increment_of_one_server_is_not_judged_by_the_full_of_another(store: Store) -> None:
    other = {DATABASE: bytes(dirty(1, 2, log_signature=OTHER_STREAM)), **logs(1, 2, stream=OTHER_STREAM)}
    store.add("a", other, "collected")
    store.full("b", 5, 7)
    store.add("inc-b", part(8, 9))
    lines = [store.chain.outcome_of(at).word for at in range(3)]
    assert Word.NOT_RESTORABLE not in lines


def unknown(generation: int) -> dict[str, bytes]:
    """A log of a format that is not known."""
    name = name_of(generation)
    files = {name: TOP[generation]}
    header(name, (32, (9).to_bytes(4, "little")))(files)
    return files


@pytest.mark.parametrize("current", [False, True])
def test_a_needed_log_of_an_unknown_format_in_a_set_of_its_own_is_placed(store: Store, *, current: bool) -> None:
    store.add("db", {DATABASE: bytes(dirty(7, 7)), **({"edb.log": TOP[8]} if current else {})}, "full")
    store.add("odd", unknown(7))
    if not current:
        store.add("later", part(8, 9))
    chain = store.chain
    assert {chain.outcome_of(at).word for at in range(len(chain.sets))} == {Word.NOT_PROVEN}
    names = [log.name for log in restorable(chain).logs]
    assert names == [name_of(7), "edb.log"] if current else [name_of(7), name_of(8), name_of(9)]


def test_a_hole_beside_a_log_of_an_unknown_format_is_still_one(store: Store) -> None:
    store.add("db", {DATABASE: bytes(dirty(6, 8))}, "full")
    store.add("odd", unknown(7))
    store.add("later", part(8, 9))
    assert store.chain.outcome is not None
    assert store.chain.outcome.word is Word.NOT_RESTORABLE
    with pytest.raises(NotRestorableError, match="0x6"):
        restorable(store.chain)


@pytest.mark.parametrize("name", [name_of(7), "edb.log"])
def test_a_log_with_the_header_of_a_checkpoint_is_damaged_and_not_missing(tmp_path: Path, name: str) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 6), name: TOP[7]}
    header(name, (667, (4).to_bytes(4, "little")))(files)
    lone = done("create", tmp_path / "log.tokar", write(tmp_path / "log", {name: files.pop(name), **part(6, 6)}))
    assert f"{name}: taken for a log by its name; its header is that of a checkpoint" in lone.stderr
    done("create", "-q", tmp_path / "db.tokar", write(tmp_path / "db", files))
    result = tokar_command("check", tmp_path / "db.tokar", tmp_path / "log.tokar")
    assert result.stdout.splitlines()[-1].endswith(f"{name} cannot be read: a checkpoint by its header")
    assert result.exit_code == 9
