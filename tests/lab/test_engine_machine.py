"""Any interleaving of work, crashes, backups of every kind, circular logging and defragmentation.

Backups are taken and restored by hand. A full with the logs sets that cover everything since, up to a target, gives
exactly the contents at the target's roll-over. Sets with a hole, or from both sides of a defragmentation, never pass
for it.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from engine_by_hand import HandSet, back_up, new_story, outcome_of, place, register, server_of, target_for
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tokar.lab.config import load_config
from tokar.lab.engine import EngineError
from tokar.server.contract import ServerError

REFUSALS = {"JET_errMissingFullBackup", "hrFullBackupNotTaken", "hrCircularLogging", "hrLogFileNotFound"}


@dataclass(frozen=True)
class Kept:
    """A set with what it must give back, and how often databases had been defragmented before it."""

    taken: HandSet
    expected: dict[str, dict[bytes, bytes]]
    epoch: int


class Machine(RuleBasedStateMachine):
    profile: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tokar-engine-"))
        self.kept: list[Kept] = []
        self.epoch = self.restores = 0

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.story = new_story(self.folder / "lab", self.profile, seed=seed, work=10)

    @rule(transactions=st.integers(1, 15))
    def work(self, transactions: int) -> None:
        self.story.lab.work(transactions)

    @rule()
    def crash(self) -> None:
        self.story.lab.crash()
        self.story.lab.start()

    @rule()
    def stop(self) -> None:
        self.story.lab.stop()
        self.story.lab.start()

    @rule(circular=st.booleans())
    def set_circular(self, circular: bool) -> None:
        self.story.lab.set_circular(circular)

    @rule(index=st.integers(0, 1))
    def defragment(self, index: int) -> None:
        self.story.lab.defragment(self.story.lab.config.databases[index].name)
        self.epoch += 1

    @rule(full=st.booleans(), truncate=st.booleans(), busy=st.integers(0, 6))
    def back_up(self, full: bool, truncate: bool, busy: int) -> None:
        try:
            taken = back_up(server_of(self.story, busy=busy), full=full, truncate=truncate)
        except ServerError as error:
            if not full and (error.name in REFUSALS or self.profile == "ntdsbcli"):
                return
            raise
        self.kept.append(Kept(taken, self.story.expected(taken.high), self.epoch))

    @precondition(lambda self: any(each.taken.full for each in self.kept) and self.restores < 4)
    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        fulls = [index for index, each in enumerate(self.kept) if each.taken.full]
        first = data.draw(st.sampled_from(fulls))
        later = [index for index in range(first + 1, len(self.kept)) if not self.kept[index].taken.full]
        chosen = [index for index in later if data.draw(st.booleans())]
        sets = [self.kept[index] for index in (first, *chosen)]
        self.restores += 1
        lab = target_for(self.story, self.folder / f"target{self.restores}")
        place(lab, [each.taken for each in sets])
        register(lab, [each.taken for each in sets])
        found = outcome_of(lab)
        shutil.rmtree(lab.folder)
        if self.is_chain(sets):
            assert found == sets[-1].expected
        else:
            assert isinstance(found, int), "a hole or another database must be noticed"

    @staticmethod
    def is_chain(sets: list[Kept]) -> bool:
        covered = sets[0].taken.high
        for each in sets[1:]:
            if each.taken.low > covered + 1 or each.epoch != sets[0].epoch:
                return False
            covered = max(covered, each.taken.high)
        return True

    @invariant()
    def contents_are_what_was_committed(self) -> None:
        if hasattr(self, "story"):
            assert self.story.lab.contents() == self.story.expected()

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
@pytest.mark.parametrize("examples", [2, pytest.param(12, marks=pytest.mark.torture)])
def test_any_interleaving_restores_exactly_or_is_refused(profile: str, examples: int) -> None:
    machine = type(f"Machine_{profile}", (Machine,), {"profile": profile})
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None, max_examples=examples, stateful_step_count=14, suppress_health_check=list(HealthCheck)
        ),
    )


def test_the_engine_says_by_name_what_it_refuses(tmp_path: Path) -> None:
    story = new_story(tmp_path, "certadm", work=0)
    with pytest.raises(EngineError, match=r"JET_errMissingFullBackup, -560"):
        story.lab.backup(full=False)
    assert load_config(tmp_path).profile == "certadm"
