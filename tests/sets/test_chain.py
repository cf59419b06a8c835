"""How sets fit together, and what a restore takes from which of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
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
    prior_of,
    streaming,
)

import tokar
from tokar.errors import InputError, SetError
from tokar.sets.backup_set import Member, member_of_archive, member_of_receipt
from tokar.sets.chain import Chain, build_chain
from tokar.sets.choose import ChainSelection, NotRestorableError, restorable
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.faults import Severity
from tokar.sets.receipt import Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from pathlib import Path

ALL = logs(5, 14)
TOP = {generation: ALL[f"edb{generation:05X}.log"] for generation in range(5, 15)}


def part(low: int, high: int) -> dict[str, bytes]:
    return {f"edb{generation:05X}.log": TOP[generation] for generation in range(low, high + 1)}


def branch(low: int, high: int, number: int = 1000) -> dict[str, bytes]:
    """Logs of another history that parted after generation low - 1."""
    return logs(low, high, after=TOP[low - 1], branch=number)


@dataclass
class Shelf:
    """Archives of one test."""

    folder: Path
    made: dict[str, Made] = field(default_factory=dict)
    members: list[Member] = field(default_factory=list)
    examine: bool = False

    def add(self, name: str, files: dict[str, bytes], kind: str = "logs", **head: Any) -> Made:
        path = self.folder / f"{name}.tokar"
        self.made[name] = archive(path, files, kind=kind, **head)
        with tokar.open(path) as opened:
            self.members.append(member_of_archive(opened, label=name, examine=self.examine))
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
        self.members.append(member_of_receipt(write_receipt(self.folder / f"{name}.tokar", value)))

    @property
    def chain(self) -> Chain:
        return build_chain(self.members)

    def standing(self, name: str) -> tuple[bool, list[Kind]]:
        chain = self.chain
        at = [member.label for member in chain.members].index(name)
        found = chain.standings[at]
        return found.restorable, [fault.kind for fault in found.faults]


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def sources(selection: ChainSelection) -> list[tuple[str, int, int]]:
    return [(one.label, one.low, one.high) for one in selection.sets]


def test_a_full_alone_is_restorable_to_its_last_log(shelf: Shelf) -> None:
    shelf.full()
    found = restorable(shelf.chain)
    assert sources(found) == [("full", 5, 7)]
    assert (found.target, found.hard) == (7, True)
    assert [log.generation for log in found.logs] == [5, 6, 7]


def test_incrementals_continue_a_full(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc1", part(8, 9))
    shelf.add("inc2", part(10, 11))
    found = restorable(shelf.chain)
    assert sources(found) == [("full", 5, 7), ("inc1", 8, 9), ("inc2", 10, 11)]
    assert shelf.chain.is_restorable


def test_labels_do_not_decide(shelf: Shelf) -> None:
    shelf.add("a", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}, "collected")
    shelf.add("b", part(8, 9), "collected")
    assert sources(restorable(shelf.chain)) == [("a", 5, 7), ("b", 8, 9)]


def test_of_cumulative_sets_only_the_last_is_taken(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("diff1", part(5, 9))
    shelf.add("diff2", part(5, 12))
    found = restorable(shelf.chain)
    assert sources(found) == [("full", 5, 7), ("diff2", 5, 12)]
    assert found.unused == ("diff1",)
    assert [log.generation for log in found.logs] == list(range(5, 13))
    assert found.logs[0].also_in == (1,)


def test_a_target_stops_earlier(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc1", part(8, 11))
    found = restorable(shelf.chain, 9)
    assert sources(found) == [("full", 5, 7), ("inc1", 8, 9)]
    assert {one.name: one.reason for one in found.left_out} == dict.fromkeys(
        ["edb0000A.log", "edb0000B.log"], "after the target"
    )


def test_a_target_inside_the_full_is_refused(shelf: Shelf) -> None:
    shelf.full()
    with pytest.raises(InputError, match="0x6 is below what the databases need"):
        restorable(shelf.chain, 6)


def test_a_target_beyond_the_last_log_is_refused(shelf: Shelf) -> None:
    shelf.full()
    with pytest.raises(NotRestorableError, match="cannot be reached") as raised:
        restorable(shelf.chain, 9)
    assert raised.value.faults[0].kind is Kind.LOG_MISSING
    assert raised.value.exit_code == 9


def test_a_hole_is_named_and_nothing_else_is_given_instead(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc2", part(10, 11))
    with pytest.raises(NotRestorableError, match=r"0x8-0x9 are in none of the sets") as raised:
        restorable(shelf.chain)
    assert "--until 0x7" in str(raised.value.hint)
    assert shelf.standing("full") == (True, [])
    assert shelf.standing("inc2") == (False, [Kind.LOG_MISSING])
    assert restorable(shelf.chain, 7).target == 7


def test_a_target_behind_a_hole_is_refused(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc2", part(10, 11))
    with pytest.raises(SetError, match="0x8-0x9"):
        restorable(shelf.chain, 11)


def test_a_receipt_names_the_archive_that_fills_a_hole(shelf: Shelf) -> None:
    shelf.full()
    shelf.receipt("inc1", (8, 9))
    shelf.add("inc2", part(10, 11))
    standing = next(one for one in shelf.chain.standings if one.base is not None and not one.restorable)
    assert "inc1.tokar.receipt.json" in standing.faults[0].next_step


def test_a_receipt_beside_its_archive_counts_for_nothing(shelf: Shelf) -> None:
    made = shelf.full()
    value = Receipt(
        "sealed",
        Truncation.DONE,
        archive={"id": made.id.hex(), "root": made.root.hex()},
        backup={"took": "full", "generations": {"low": 5, "high": 7}},
    )
    shelf.members.append(member_of_receipt(write_receipt(made.path, value)))
    assert len(shelf.chain.members) == 1


def test_logs_without_a_full_are_named(shelf: Shelf) -> None:
    shelf.add("inc1", part(8, 9))
    assert shelf.standing("inc1") == (False, [Kind.MISSING_FULL])
    with pytest.raises(NotRestorableError, match="no set with databases"):
        restorable(shelf.chain)


def test_logs_of_another_stream_do_not_continue(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("other", logs(8, 9, stream=OTHER_STREAM))
    assert shelf.standing("other") == (False, [Kind.MISSING_FULL])
    assert restorable(shelf.chain).unused == ("other",)


def test_logs_older_than_the_full_are_left_alone(shelf: Shelf) -> None:
    older = logs(3, 4)
    shelf.full()
    shelf.add("older", older)
    restored, kinds = shelf.standing("older")
    assert (restored, kinds) == (False, [Kind.MISSING_FULL])
    assert sources(restorable(shelf.chain)) == [("full", 5, 7)]


def test_histories_that_parted_are_a_fork(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("one", part(8, 10))
    shelf.add("two", branch(9, 11))
    chain = shelf.chain
    assert [fault.kind for fault in chain.faults] == [Kind.LOG_FORKED]
    assert shelf.standing("one")[1] == [Kind.LOG_FORKED]
    with pytest.raises(NotRestorableError, match="histories parted at generation 0x9"):
        restorable(chain)
    with pytest.raises(NotRestorableError, match="histories parted"):
        restorable(chain, 11)
    assert restorable(chain, 8).target == 8


def test_a_full_stays_on_its_own_history(shelf: Shelf) -> None:
    shelf.full(high=9)
    shelf.add("two", branch(9, 11))
    with pytest.raises(NotRestorableError, match="histories parted"):
        restorable(shelf.chain)
    assert sources(restorable(shelf.chain, 9)) == [("full", 5, 9)]
    assert shelf.standing("two") == (False, [Kind.LOG_FORKED])


def test_a_log_that_does_not_continue_ends_the_run(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("odd", logs(8, 9, branch=70))
    assert shelf.standing("odd") == (False, [Kind.LINK_BROKEN])
    with pytest.raises(NotRestorableError, match="does not continue"):
        restorable(shelf.chain)


def test_the_same_log_with_other_bytes_is_refused(shelf: Shelf) -> None:
    shelf.full()
    changed = {**part(7, 8), "edb00007.log": flip(TOP[7], 9000)}
    shelf.add("inc1", changed)
    with pytest.raises(NotRestorableError, match="its bytes differ"):
        restorable(shelf.chain)
    assert Kind.LOG_DIFFERS in shelf.standing("inc1")[1]
    assert Kind.LOG_DIFFERS in shelf.standing("full")[1]


def test_the_current_log_of_a_copy_gives_way_to_the_closed_one(shelf: Shelf) -> None:
    growing = TOP[8][: 3 * 4096].ljust(len(TOP[8]), b"\0")
    shelf.add("copy", {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.log": growing}, "collected")
    shelf.add("inc1", part(8, 9))
    found = restorable(shelf.chain)
    assert [(log.generation, log.at) for log in found.logs] == [(5, 0), (6, 0), (7, 0), (8, 1), (9, 1)]
    assert [one.name for one in found.left_out] == ["edb.log"]


def test_a_log_missing_from_the_full_comes_from_another_set(shelf: Shelf) -> None:
    files = {DATABASE: bytes(streaming(5, 7)), **part(5, 5), **part(7, 7)}
    shelf.add("full", files, "full")
    assert shelf.standing("full") == (False, [Kind.LOG_MISSING])
    shelf.add("inc1", part(6, 8))
    assert shelf.standing("full") == (True, [])
    assert sources(restorable(shelf.chain)) == [("full", 5, 7), ("inc1", 6, 8)]


def test_a_full_that_lacks_a_log_is_refused_with_its_cause(shelf: Shelf) -> None:
    shelf.add("full", {DATABASE: bytes(streaming(5, 7)), **part(5, 5), **part(7, 7)}, "full")
    with pytest.raises(NotRestorableError, match="log 0x6 is missing") as raised:
        restorable(shelf.chain)
    assert raised.value.faults[0].code == -557


def test_a_damaged_log_of_the_run_is_refused(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, examine=True)
    shelf.full()
    shelf.add("inc1", {**part(8, 8), "edb00009.log": flip(TOP[9], 8200)})
    assert shelf.standing("inc1") == (False, [Kind.LOG_DAMAGED])
    with pytest.raises(NotRestorableError, match="damaged segments"):
        restorable(shelf.chain, 9)
    assert restorable(shelf.chain, 8).target == 8


def test_the_later_full_is_taken(shelf: Shelf) -> None:
    shelf.full("full1", 5, 7)
    shelf.add("inc1", part(8, 8))
    shelf.full("full2", 9, 11)
    shelf.add("inc2", part(12, 13))
    assert sources(restorable(shelf.chain)) == [("full2", 9, 11), ("inc2", 12, 13)]
    assert sources(restorable(shelf.chain, 8)) == [("full1", 5, 7), ("inc1", 8, 8)]
    by_name = restorable(shelf.chain, 12, full=shelf.made["full1"].id)
    assert [one[0] for one in sources(by_name)] == ["full1", "inc1", "full2", "inc2"]


def test_a_full_that_is_not_here_is_refused(shelf: Shelf) -> None:
    shelf.full()
    with pytest.raises(InputError, match="no set with databases has the id"):
        restorable(shelf.chain, full=bytes(16))


def test_sets_of_two_servers_are_not_guessed_at(shelf: Shelf) -> None:
    shelf.full()
    files = {"other.edb": bytes(dirty(5, 6, log_signature=OTHER_STREAM)), **logs(5, 6, stream=OTHER_STREAM)}
    shelf.add("other", files, "collected")
    with pytest.raises(NotRestorableError, match="more than one server"):
        restorable(shelf.chain)
    assert sources(restorable(shelf.chain, full=shelf.made["full"].id)) == [("full", 5, 7)]


def test_a_clean_database_is_played_forward_from_its_last_log(shelf: Shelf) -> None:
    shelf.add("copy", {DATABASE: bytes(database()), **part(5, 5)}, "collected")
    shelf.add("inc1", part(6, 8))
    found = restorable(shelf.chain)
    assert (sources(found), found.hard) == ([("copy", 5, 5), ("inc1", 6, 8)], False)


def test_a_clean_database_alone_needs_nothing(shelf: Shelf) -> None:
    shelf.add("copy", {DATABASE: bytes(database())}, "collected")
    found = restorable(shelf.chain)
    assert (found.logs, found.target) == ((), 0)


def test_checkpoints_are_left_out_with_the_reason(shelf: Shelf) -> None:
    files = {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.chk": checkpoint(5)}
    shelf.add("copy", files, "collected")
    found = restorable(shelf.chain)
    assert [one.reason for one in found.left_out] == ["a checkpoint: recovery would begin where it stands"]
    assert found.excluded() == {4}
    assert found.log_entries(0) == (1, 2, 3)


def test_links_are_proven_by_content_where_it_was_examined(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, examine=True)
    shelf.full()
    shelf.add("inc1", part(8, 8))
    assert [log.proof for log in restorable(shelf.chain).logs] == ["first", "content", "content", "content"]


def test_logs_of_unknown_formats_are_chained_by_number_and_it_says_so(shelf: Shelf) -> None:
    old = bytearray(4096)
    old[24:36] = (4).to_bytes(4, "little") + (995).to_bytes(4, "little") + bytes(4)
    shelf.add("full", {DATABASE: bytes(dirty(5, 6)), "edb00005.log": bytes(old), "edb00006.log": bytes(old)}, "full")
    shelf.add("inc1", {"edb00007.log": bytes(old)})
    found = restorable(shelf.chain)
    assert [log.proof for log in found.logs] == ["first", "number", "number"]
    assert any("numbers" in text for text in found.not_checked)


def test_the_tree_follows_prior_links(shelf: Shelf) -> None:
    full = shelf.full()
    inc = shelf.add("inc1", part(8, 9), prior=prior_of(full))
    shelf.add("inc2", part(10, 11), prior=prior_of(inc))
    assert shelf.chain.parents == (None, 0, 1)


def test_the_tree_goes_by_coverage_where_there_are_no_links(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc1", part(8, 9))
    shelf.add("inc2", part(10, 11))
    shelf.add("diff", part(5, 11))
    chain = shelf.chain
    named = {member.label: parent for member, parent in zip(chain.members, chain.parents, strict=True)}
    assert named["full"] is None
    assert named["inc2"] == [member.label for member in chain.members].index("inc1")


def test_a_prior_with_another_root_is_worth_a_warning(shelf: Shelf) -> None:
    full = shelf.full()
    shelf.add("inc1", part(8, 9), prior={**prior_of(full), "root": "00" * 32})
    chain = shelf.chain
    (fault,) = chain.standings[1].faults
    assert (fault.kind, fault.severity) == (Kind.PRIOR_DIFFERS, Severity.WARNING)
    assert chain.is_restorable


def test_a_salvaged_set_is_followed_with_a_warning(shelf: Shelf) -> None:
    shelf.full(origin={"id": "11" * 16, "root": "22" * 32})
    shelf.add("inc1", part(8, 9), prior={"id": "11" * 16, "root": "22" * 32})
    chain = shelf.chain
    assert [[fault.kind for fault in one.faults] for one in chain.standings] == [[Kind.SALVAGED], [Kind.SALVAGED]]
    assert len(restorable(chain).remarks) == 2


def test_an_archive_that_is_given_twice_counts_once(shelf: Shelf) -> None:
    shelf.full()
    shelf.members.append(shelf.members[0])
    assert len(shelf.chain.members) == 1


def test_a_receipt_of_a_failure_is_no_set(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "x.tokar", Receipt("failed", Truncation.NOT_LICENSED))
    with pytest.raises(InputError, match="made no archive"):
        member_of_receipt(path)


def test_a_receipt_without_an_id_is_refused(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "x.tokar", Receipt("sealed", Truncation.DONE))
    with pytest.raises(InputError, match="lacks"):
        member_of_receipt(path)


def test_the_chain_and_the_selection_are_data(shelf: Shelf) -> None:
    shelf.full()
    shelf.add("inc1", part(8, 9))
    value = shelf.chain.to_json()
    assert value["restorable"] is True
    assert [one["full"] for one in value["sets"]] == ["full", "full"]
    assert value["runs"][0]["high"] == 9
    chosen = restorable(shelf.chain).to_json()
    assert chosen["recovery"] == "hard"
    assert [log["generation"] for log in chosen["logs"]] == [5, 6, 7, 8, 9]
