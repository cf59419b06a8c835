"""Any interleaving of work, backups, circular logging, defragmentation, crashes and losses; then restores.

What is demanded (the expected contents are the test's own account of every commit):

* What tokar restores, recovery brings to exactly the contents at the log roll-over of the last set.
* What tokar refuses because the files do not go together, placed by hand, fails in the engine or gives other contents.
* Other refusals are of the server or of the dialect; they are counted apart (`--hypothesis-show-statistics`).

TOKAR_LONG=1 makes a long run of it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from chain_stories import (
    Kept,
    hand_set,
    keep,
    new_story,
    outcome_of,
    place,
    placed_by_hand,
    register,
    restore,
    target_for,
    used_target,
    wipe,
    wiped_target,
)
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tokar import codes
from tokar.errors import ArchiveError, CollisionError, ProcedureError, SetError
from tokar.lab.calls import FaultInjector, Injection, InjectionKind
from tokar.lab.server import SimulatedServer
from tokar.restore.plan import Existing
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, BackupPartialError, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tokar.lab.lab import Lab

LONG = bool(os.environ.get("TOKAR_LONG"))
EXAMPLES = {"edbbcli": 400, "certadm": 400, "ntdsbcli": 150} if LONG else {"edbbcli": 4, "certadm": 4, "ntdsbcli": 2}
STEPS = 30 if LONG else 14
MOST_RESTORES = 8 if LONG else 4
LOGS_ONLY = (BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL)


class Machine(RuleBasedStateMachine):
    profile: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="tokar-story-"))
        self.kept: list[Kept] = []
        self.forgotten: list[Kept] = []  # sets that the server does not remember
        self.archives = self.targets = self.restores = 0
        self.epoch = 0
        self.defragmented = False  # whether the last change of epoch was a defragmentation

    @initialize(seed=st.integers(0, 10_000), first=st.sampled_from([BackupKind.FULL, BackupKind.FULL, None]))
    def begin(self, seed: int, first: BackupKind | None) -> None:
        self.story = new_story(self.folder / "lab", self.profile, seed=seed, work=10)
        self.lab = self.story.lab
        if first is not None:
            self.back_up_all(kind=first, busy=3)

    @rule(transactions=st.integers(1, 25))
    def work(self, transactions: int) -> None:
        self.lab.work(transactions)

    @rule(steps=st.integers(0, 5))
    def crash(self, steps: int) -> None:
        for _ in range(steps):
            self.lab.workload.step()
        self.lab.crash()
        self.lab.start()

    @rule(circular=st.booleans())
    def set_circular(self, circular: bool) -> None:
        self.lab.set_circular(circular)

    @rule(index=st.integers(0, 1))
    def defragment(self, index: int) -> None:
        self.lab.defragment(self.lab.config.databases[index].name)
        self.epoch += 1
        self.defragmented = True

    @rule(kind=st.sampled_from([BackupKind.FULL, BackupKind.COPY]), busy=st.integers(0, 6))
    def back_up_all(self, kind: BackupKind, busy: int) -> None:
        out = self.new_archive()
        run_backup(SimulatedServer(self.lab, busy=busy), out, kind, BackupOptions(threads=1))
        self.kept.append(keep(self.story, out, kind, epoch=self.epoch))

    @rule(
        kind=st.sampled_from(LOGS_ONLY),
        busy=st.integers(0, 6),
        back=st.sampled_from([0, 0, 0, 1, 2]),
        or_full=st.sampled_from([False, False, True]),
    )
    def back_up_logs(self, kind: BackupKind, busy: int, back: int, or_full: bool) -> None:
        """Mostly after the last set, sometimes after an older one that it does not go on from."""
        if not self.kept:
            return
        after = self.kept[max(0, len(self.kept) - 1 - back)]
        prior = load_prior(after.path if back % 2 else receipt_path(after.path))
        out = self.new_archive()
        options = BackupOptions(prior=prior, or_full=or_full, threads=1)
        try:
            result = run_backup(SimulatedServer(self.lab, busy=busy), out, kind, options)
        except LogsOnlyRefusedError as error:
            self.show_refusal_of_server(error.code)
        except ProcedureError:
            assert self.profile == "ntdsbcli", "the others have every kind"
            event("refused before Prepare: the dialect has no logs only")
        except SetError:
            self.show_refusal_of_truncation(out, kind, after)
        else:
            assert result.truncation is (Truncation.DONE if result.took.truncates else Truncation.NOT_INTENDED)
            event(f"taken: {kind}{'' if result.took is kind else f', as a {result.took}'}")
            before = after.chain if result.took is kind else ()
            self.kept.append(keep(self.story, out, result.took, epoch=self.epoch, before=before))

    @rule(kind=st.sampled_from(list(BackupKind)), at=st.integers(1, 25))
    def die_in_a_backup(self, kind: BackupKind, at: int) -> None:
        """The server dies at some call. An archive that was sealed by then is as good as any."""
        faults = [
            Injection(InjectionKind.DIE, nth=at),
            Injection(InjectionKind.HANG, "end"),
        ]  # the dead do not answer to End
        server = SimulatedServer(self.lab, faults=faults, busy=3, injector=FaultInjector(hang=int, die=int))
        out = self.new_archive()
        before = self.kept[-1].chain if kind in LOGS_ONLY and self.kept else ()
        prior = load_prior(before[-1].path) if before else None
        error = raised(run_backup, server, out, kind, BackupOptions(prior=prior, threads=1))
        assert out.exists() is isinstance(error, BackupPartialError | SetError)
        if out.exists():
            assert read_receipt(receipt_path(out)).truncation is not Truncation.TRUNCATING
            self.kept.append(keep(self.story, out, kind, epoch=self.epoch, before=before))
            self.forgotten.append(self.kept[-1])
            event("taken, although the server died at the end")
        self.lab.crash()
        self.lab.start()

    @rule(data=st.data())
    def restore(self, data: st.DataObject) -> None:
        """Restore some sets to another server: a new one, one that lost everything, or one that still has it all."""
        if not self.may_restore():
            return
        sets = self.choose(data)
        self.restores += 1
        where = data.draw(st.sampled_from(["new", "wiped", "used"]))
        lab = self.target(where)
        existing = Existing.SET_ASIDE if where == "used" else Existing.REFUSE
        refusal = raised(restore, lab, sets, existing=existing)
        if refusal is None:
            event(f"restored to a {where} server: {min(len(sets), 4)} sets{' or more' if len(sets) > 3 else ''}")
            assert outcome_of(lab) == sets[-1].expected
            lab.start()
            lab.stop()
            assert lab.contents() == sets[-1].expected
        else:
            event(f"restore refused: {type(refusal).__name__}, shown by hand")
            assert isinstance(refusal, SetError | CollisionError)
            assert not self.is_plain_chain(sets), f"refused without a reason: {refusal}"
            assert self.fails_by_hand(sets), f"refused without a reason: {refusal}"

    @rule(data=st.data())
    def lose_everything(self, data: st.DataObject) -> None:
        """The server itself is restored and goes on from there: its history forks."""
        if not self.may_restore():
            return
        sets = self.choose(data)
        if not self.is_plain_chain(sets):
            return
        self.restores += 1
        wipe(self.lab)
        restore(self.lab, sets)
        assert outcome_of(self.lab) == sets[-1].expected
        event("the server itself restored")
        databases = {each.name: each.dbid for each in self.lab.config.databases}
        self.story.account.now = {databases[name]: dict(records) for name, records in sets[-1].expected.items()}
        self.epoch += 1
        self.defragmented = False
        self.lab.start()

    @invariant()
    def contents_are_what_was_committed(self) -> None:
        if hasattr(self, "story"):
            assert self.lab.contents() == self.story.expected()

    def may_restore(self) -> bool:
        return any(one.is_full for one in self.kept) and self.restores < MOST_RESTORES

    def choose(self, data: st.DataObject) -> list[Kept]:
        """Choose a full and sets after it, in the order of their highest logs: often all that continue it."""
        first = data.draw(st.sampled_from([index for index, one in enumerate(self.kept) if one.is_full]))
        later = [one for one in self.kept[first + 1 :] if not one.is_full]
        how = data.draw(st.sampled_from(["all", "last", "some", "named"]))
        if how == "named":
            named = [one for one in later if one.chain[0] is self.kept[first]]
            later = list(named[-1].chain[1:]) if named else []
        elif how == "last":
            later = later[-1:]
        elif how == "some":
            later = [one for one in later if data.draw(st.booleans())]
        return [self.kept[first], *sorted(later, key=lambda one: one.high)]

    def is_plain_chain(self, sets: list[Kept]) -> bool:
        """Tell whether sets are of one history and cover it: then nothing may be refused."""
        covered = sets[0].high
        for one in sets[1:]:
            if one.low > covered + 1 or one.epoch != sets[0].epoch:
                return False
            covered = max(covered, one.high)
        return covered == sets[-1].high

    def fails_by_hand(self, sets: Sequence[Kept]) -> bool:
        """Tell whether sets do not give back what the last one must, whichever of unlike logs of one name is taken."""
        found = [placed_by_hand(self.target("new"), sets, first_wins=first_wins) for first_wins in (False, True)]
        return any(one != sets[-1].expected for one in found)

    def target(self, where: str) -> Lab:
        self.targets += 1
        folder = self.folder / f"target{self.targets}"
        if where == "new":
            return target_for(self.story, folder)
        return (used_target if where == "used" else wiped_target)(self.story, folder)

    def new_archive(self) -> Path:
        self.archives += 1
        return self.folder / f"{self.archives}.tokar"

    def show_refusal_of_truncation(self, out: Path, kind: BackupKind, after: Kept) -> None:
        """Show what tokar would not truncate for: the sets named as its chain do not reach it."""
        assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED
        refused = keep(self.story, out, kind, epoch=self.epoch, before=after.chain)
        self.kept.append(refused)
        event("truncation refused, shown by hand")
        if refused.chain[0].is_full:
            assert self.fails_by_hand(refused.chain)

    def show_refusal_of_server(self, code: int) -> None:
        """Show, where logs are missing or are about another database, that those on disk do not continue the last full.

        Circular logging, a full that did not end well and a restore of the server itself are refused on principle.
        """
        known = codes.find(code)
        assert known is not None
        fulls = [one for one in self.kept if one.kind is BackupKind.FULL]
        missing = code == codes.LOG_FILE_NOT_FOUND and fulls and fulls[-1] not in self.forgotten
        another = code == codes.FULL_BACKUP_NOT_TAKEN and fulls and self.defragmented and fulls[-1].epoch < self.epoch
        if not (missing or another):
            event(f"refused by the server: {known.name}")
            return
        event(f"refused by the server, shown by hand: {known.name}")
        closing = self.lab.instance.log.roll()
        lab = self.target("new")
        place(lab, [hand_set(fulls[-1].path)])
        for path in self.lab.instance.log.closed().values():
            shutil.copy(path, lab.place.logs)
        register(lab, [hand_set(fulls[-1].path)])
        assert outcome_of(lab) != self.story.expected(closing)

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def raised(call: Callable[..., object], *arguments: Any, **named: Any) -> ArchiveError | None:
    """Make a call, and return the error that it ended with."""
    try:
        call(*arguments, **named)
    except ArchiveError as error:
        return error
    return None


def counted(examples: int) -> settings:
    return settings(
        deadline=None,
        max_examples=examples,
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        derandomize=not LONG,
        phases=[
            Phase.explicit,
            Phase.reuse,
            Phase.generate,
        ],  # to shrink a story takes minutes, and it can be read as it is
    )


class Exchange(Machine):
    profile = "edbbcli"


class Directory(Machine):
    profile = "ntdsbcli"


class Authority(Machine):
    profile = "certadm"


TestStoryOfExchange = Exchange.TestCase
TestStoryOfExchange.settings = counted(EXAMPLES["edbbcli"])
TestStoryOfADirectoryService = Directory.TestCase
TestStoryOfADirectoryService.settings = counted(EXAMPLES["ntdsbcli"])
TestStoryOfACertificationAuthority = Authority.TestCase
TestStoryOfACertificationAuthority.settings = counted(EXAMPLES["certadm"])


@pytest.mark.torture
@pytest.mark.parametrize("machine", [Exchange, Authority, Directory])
def test_many_more_stories(machine: type[Machine]) -> None:
    run_state_machine_as_test(machine, settings=counted(60))
