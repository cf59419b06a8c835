"""Faults at any call, before or after it has had its effect."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from typing import TYPE_CHECKING

import pytest
from engine_by_hand import back_up, new_story, server_of
from sweeps import sampled

from tokar import codes
from tokar.lab.calls import FaultInjector, Injection, InjectionKind, InjectionPlan
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.server.contract import BackupType, NoAnswerError, Outcome, ServerError

if TYPE_CHECKING:
    from pathlib import Path

    from engine_by_hand import Story

FAIL, HANG, DIE = InjectionKind.FAIL, InjectionKind.HANG, InjectionKind.DIE
CALLS = ["prepare_backup", "database_names", "open", "read", "close", "backup_logs", "truncate_logs", "end"]


class StruckError(Exception):
    """Stands in for a process that is gone."""


def struck(story: Story, *faults: Injection) -> SimulatedServer:
    def blow() -> object:
        raise StruckError

    return SimulatedServer(story.lab, faults=faults, injector=FaultInjector(hang=blow, die=blow), busy=4)


def test_a_plan_counts_calls_of_one_name_and_of_all() -> None:
    third_read = Injection(FAIL, "read", nth=3)
    fifth_call = Injection(HANG, nth=5)
    plan = InjectionPlan([third_read, fifth_call])
    calls = ["open", "read", "read", "close", "end", "read"]
    assert [plan.next_call(call) for call in calls] == [None, None, None, None, fifth_call, third_read]
    assert plan.calls == calls


@pytest.mark.parametrize("call", CALLS)
def test_a_call_fails_with_the_code_that_was_ordered(tmp_path: Path, call: str) -> None:
    server = struck(new_story(tmp_path), Injection(FAIL, call, code=-1022))
    with pytest.raises(ServerError) as caught:
        back_up(server)
    assert (caught.value.jet, caught.value.call) == (-1022, call)


@pytest.mark.parametrize(
    ("call", "kind", "after"),
    sampled(
        product(CALLS, [HANG, DIE], [False, True]),
        lambda call, kind, after: after is (kind is DIE) is (CALLS.index(call) % 2 == 0),
    ),
)
def test_a_call_hangs_or_dies_and_the_lab_is_whole_afterwards(
    tmp_path: Path, call: str, kind: InjectionKind, after: bool
) -> None:
    story = new_story(tmp_path, "certadm")
    with pytest.raises(StruckError):
        back_up(struck(story, Injection(kind, call, after=after)))
    story.lab = open_lab(tmp_path, story.account)
    story.lab.start()
    assert story.lab.contents() == story.expected()
    back_up(server_of(story))


def test_without_a_blow_a_hang_is_at_least_no_answer(tmp_path: Path) -> None:
    server = SimulatedServer(
        new_story(tmp_path).lab, faults=[Injection(HANG, "database_names")], injector=FaultInjector(hang=lambda: None)
    )
    context = server.prepare_backup(BackupType.FULL)
    with pytest.raises(NoAnswerError):
        context.database_names()


def test_a_fault_after_truncation_finds_the_logs_gone(tmp_path: Path) -> None:
    story = new_story(tmp_path, work=60)
    logs = set(story.lab.instance.log.closed())
    with pytest.raises(ServerError):
        back_up(struck(story, Injection(FAIL, "truncate_logs", after=True)))
    assert not logs & set(story.lab.instance.log.closed())


def test_after_a_failed_read_only_close_and_end_are_left(tmp_path: Path) -> None:
    story = new_story(tmp_path)
    context = struck(story, Injection(FAIL, "read", nth=2)).prepare_backup(BackupType.FULL)
    context.open(context.database_names().entries[0].raw_name)
    context.read(memoryview(bytearray(100)))
    for code in (codes.ERROR, codes.from_jet(-520)):
        with pytest.raises(ServerError) as caught:
            context.read(memoryview(bytearray(100)))
        assert caught.value.code == code
    context.close()
    with pytest.raises(ServerError):
        context.backup_logs()
    context.end(Outcome.ABORT)
    assert not any(file.header.previous_full.is_set for file in story.lab.instance.files.values())


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_read_brings_no_more_than_was_ordered(tmp_path: Path, size: int) -> None:
    server = struck(new_story(tmp_path, "certadm"), Injection(InjectionKind.SHORT, "read", size=size))
    context = server.prepare_backup(BackupType.FULL)
    context.open(context.database_names().entries[0].raw_name)
    assert context.read(memoryview(bytearray(4096))) == size
    assert context.read(memoryview(bytearray(4096))) == 4096


@pytest.mark.parametrize("size", [4096, -4096])
def test_an_open_announces_another_size(tmp_path: Path, size: int) -> None:
    plain, context = (
        struck(new_story(tmp_path / name, "certadm"), *faults).prepare_backup(BackupType.FULL)
        for name, faults in (("a", []), ("b", [Injection(InjectionKind.ANNOUNCE, "open", size=size)]))
    )
    right, wrong = (each.open(each.database_names().entries[0].raw_name) for each in (plain, context))
    assert wrong == right + size


def test_a_server_that_really_dies_takes_its_process_along(tmp_path: Path) -> None:
    story = new_story(tmp_path, "edbbcli")
    story.lab.stop()
    script = (
        "import sys; from pathlib import Path\n"
        "from tokar.server.contract import BackupType\n"
        "from tokar.lab.calls import Injection, InjectionKind\n"
        "from tokar.lab.lab import open_lab\n"
        "from tokar.lab.server import SimulatedServer\n"
        "server = SimulatedServer(open_lab(Path(sys.argv[1])), faults=[Injection(InjectionKind.DIE, 'read', 2)])\n"
        "context = server.prepare_backup(BackupType.FULL)\n"
        "context.open(context.database_names().entries[0].raw_name)\n"
        "while True: context.read(memoryview(bytearray(4096)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False, timeout=60)
    assert done.returncode == 137
    lab = open_lab(tmp_path)
    assert lab.start() is not None
    assert back_up(SimulatedServer(lab)).high > 1
