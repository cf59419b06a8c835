"""Each call of a restore and each step of placing in turn fails, is not answered, finds the server dead, or is killed.

After every run three things hold: what is registered is completed, with a failure unless all is well; the engine
either refuses to start, with a named error, or comes to the state at a log's roll-over that a completed set reaches;
and the same restore, made again, gives everything.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3
from chain_stories import Contents, Kept, Story, new_story, outcome_of, restore, take, target_for
from server_parts import parts_of
from sweeps import sampled

from tokar import codes
from tokar.errors import ArchiveError, StorageError
from tokar.format.archive import Archive
from tokar.lab.calls import FaultInjector, Injection, InjectionKind
from tokar.lab.config import load_registration
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.restore.place import PlacingStoppedError
from tokar.restore.plan import Existing
from tokar.server.contract import BackupKind, Registration, ServerError
from tokar.server.run_restore import restore_to_server
from tokar.storage.directory import Directory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.lab.lab import Lab

HERE = Path(__file__).parents[1] / "support"
PROFILES = ("edbbcli", "ntdsbcli", "certadm")
QUIET = FaultInjector(hang=int, die=int)


class Prepared:
    """A story with sets to restore, and every state that the engine may be found in afterwards."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.target = folder / "target"  # The same for every run, so that equal states are equal to the byte
        self.judged: set[tuple[type[BaseException] | None, bytes]] = set()  # What a run ended with, and what it left
        self.story: Story = new_story(folder / "lab", profile, work=10)
        sets = [take(self.story, folder / "0.tokar", BackupKind.FULL)]
        for number in (1, 2) if profile != "ntdsbcli" else ():
            self.story.lab.work(20)
            kind = BackupKind.INCREMENTAL if number == 1 else BackupKind.DIFFERENTIAL
            sets.append(take(self.story, folder / f"{number}.tokar", kind, before=tuple(sets)))
        self.sets: tuple[Kept, ...] = tuple(sets)
        generations = range(sets[0].high, sets[-1].high + 1)
        self.states: list[Contents] = [self.story.expected(number) for number in generations]

    def new_target(self) -> Lab:
        """An empty server in the place of the one before."""
        shutil.rmtree(self.target, ignore_errors=True)
        return target_for(self.story, self.target)

    def is_new(self, lab: Lab, error: BaseException | None) -> bool:
        """Whether no run has ended like this and left this: what was judged once is not judged again."""
        digest = blake3()
        for path in sorted(lab.folder.rglob("*")):
            digest.update(str(path.relative_to(lab.folder)).encode())
            digest.update(b"\0" + path.read_bytes() if path.is_file() else b"/")
        state = None if error is None else type(error), digest.digest()
        is_new = state not in self.judged
        self.judged.add(state)
        return is_new


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Prepared]:
    @cache
    def make(profile: str) -> Prepared:
        return Prepared(tmp_path_factory.mktemp(profile), profile)

    return make


def run(lab: Lab, sets: tuple[Kept, ...], *faults: Injection) -> tuple[SimulatedServer, BaseException | None]:
    server = SimulatedServer(lab, running=False, faults=faults, injector=QUIET)
    archives = [Archive(one.path) for one in sets]
    try:
        restore_to_server(server, parts_of(archives))
    except (ArchiveError, KeyboardInterrupt) as error:
        return server, error
    finally:
        for archive in archives:
            archive.close()
    return server, None


def demand_safe(found: Prepared, lab: Lab, *, error: BaseException | None) -> None:
    """Check that nothing looks whole that is not, and that the restore can be made again.

    A copy is recovered and restored over; where it was left itself, the restore is made again as it was.
    """
    if not found.is_new(lab, error):
        return
    folder = lab.folder.with_name(f"{lab.folder.name}-copy")
    shutil.copytree(lab.folder, folder)
    copy = open_lab(folder)
    outcome = outcome_of(copy)
    if error is None:
        assert outcome == found.sets[-1].expected
    elif outcome != found.sets[-1].expected and not isinstance(error, KilledError):
        assert isinstance(outcome, int), "neither half a database nor half a chain"
    else:
        assert isinstance(outcome, int) or outcome in found.states
    again(found, copy, existing=Existing.SET_ASIDE, take_over=True)
    assert outcome_of(copy) == found.sets[-1].expected
    shutil.rmtree(folder)
    if error is not None:
        demand_rerun(found, lab)


class KilledError(BaseException):
    """The process was killed, and could tell the server nothing."""


def again(found: Prepared, lab: Lab, **options: Any) -> None:
    with ExitStack() as stack:
        archives = [stack.enter_context(Archive(one.path)) for one in found.sets]
        restore_to_server(SimulatedServer(lab, running=False), parts_of(archives), **options)


def demand_rerun(found: Prepared, lab: Lab) -> None:
    """Check that the plain rerun succeeds, or is refused because of an open registration."""
    try:
        again(found, lab)
    except ServerError as error:
        assert "--take-over" in str(error.hint)  # noqa: PT017 - one of several ways to go on
        again(found, lab, take_over=True)
    except PlacingStoppedError as error:
        assert "--take-over" in str(error.hint)  # noqa: PT017 - as above
        again(found, lab, take_over=True)
    assert outcome_of(lab) == found.sets[-1].expected
    assert not list(lab.folder.rglob(".tokar-*"))


BLOWS = [
    (InjectionKind.FAIL, False),
    (InjectionKind.HANG, False),
    (InjectionKind.HANG, True),
    (InjectionKind.DIE, True),
]


@pytest.mark.parametrize(
    ("profile", "kind", "after"),
    sampled(
        [(profile, *blow) for profile in PROFILES for blow in BLOWS],
        # Each blow and each server; the most calls are those of certadm, which gets two of the blows.
        lambda profile, kind, after: (
            (PROFILES.index(profile), BLOWS.index((kind, after))) in {(0, 0), (1, 1), (2, 2), (2, 3)}
        ),
    ),
)
def test_each_call_in_turn_is_struck(
    profile: str, kind: InjectionKind, after: bool, prepared: Callable[[str], Prepared]
) -> None:
    found = prepared(profile)
    server, error = run(found.new_target(), found.sets)
    assert error is None
    for number, call in enumerate(server.calls, 1):
        lab = found.new_target()
        struck, error = run(lab, found.sets, Injection(kind, nth=number, after=after))
        calls = list(struck.calls)
        known_elsewhere = profile == "ntdsbcli" and call == "database_locations" and kind is InjectionKind.FAIL
        assert (error is None) is (call == "end" or known_elsewhere), call
        assert calls.count("end") == (call != "prepare_restore")
        registered = calls.count("register") - (call == "register" and kind is InjectionKind.FAIL)
        assert calls.count("register_complete") == registered + (call == "register_complete")
        left = load_registration(lab.folder)
        assert left is None or left.status is not None, "an open registration bars every other restore"
        demand_safe(found, lab, error=error)


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli"])
def test_the_code_of_the_failure_is_the_status_of_the_completion(
    profile: str, prepared: Callable[[str], Prepared]
) -> None:
    found = prepared(profile)
    lab = found.new_target()
    code = codes.from_jet(-1808)
    _, error = run(lab, found.sets, Injection(InjectionKind.FAIL, "register_complete", code=code))
    assert isinstance(error, PlacingStoppedError)
    assert isinstance(error.__cause__, ServerError)
    left = load_registration(lab.folder)
    assert left is not None
    assert left.status == code


STEPS = ("create", "rename", "sync", "make")


def breaking(counter: list[int], at: int, step: Any, error: Callable[[], BaseException]) -> Any:
    """Return a step that fails the `at`-th time, counted together with others that share the counter."""

    def broken(*arguments: Any) -> Any:
        counter[0] += 1
        if counter[0] == at:
            raise error()
        return step(*arguments)

    return broken


@pytest.mark.parametrize(
    ("profile", "error", "stride"),  # neighbours are alike
    sampled(
        product(PROFILES, [StorageError, KeyboardInterrupt], [23, 2]),
        lambda profile, error, stride: stride > 2 and (error is StorageError or profile == "certadm"),
    ),
)
def test_each_step_of_placing_in_turn_fails_or_is_interrupted(
    profile: str, error: type[BaseException], stride: int, prepared: Callable[[str], Prepared]
) -> None:
    found = prepared(profile)
    for number in range(1, 1000, stride):
        lab = found.new_target()
        counter = [0]
        with pytest.MonkeyPatch.context() as patch:
            for name in STEPS:
                patch.setattr(
                    Directory,
                    name,
                    breaking(counter, number, getattr(Directory, name), lambda: error("no space left on device")),
                )
            _, ended = run(lab, found.sets)
        if counter[0] < number:
            assert ended is None
            break
        assert ended is not None
        left = load_registration(lab.folder)
        assert left is None or left.status is not None
        demand_safe(found, lab, error=ended)


SCRIPT = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tokar.format.archive import Archive
from tokar.server.run_restore import restore_to_server
from server_parts import parts_of
from tokar.storage.directory import Directory
from tokar.lab.calls import Calls
from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer

folder, target = map(Path, sys.argv[2:4])
profile, stride, *archives = sys.argv[4:]
count = [0]

def killing(step, at):
    def killed(*arguments, **named):
        count[0] += 1
        if count[0] == at:
            os._exit(9)
        return step(*arguments, **named)
    return killed

def run(at):
    lab = create_lab(target, profile, 2, empty=True)
    Calls.make = killing(Calls.make, at)
    Directory.rename = killing(Directory.rename, at)
    server = SimulatedServer(lab, running=False)
    restore_to_server(server, parts_of([Archive(Path(one)) for one in archives]))
    os._exit(0)

for at in range(1, 1000, int(stride)):
    child = os.fork()
    if not child:
        try:
            run(at)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    target.rename(folder / str(at))
    if code != 9:
        break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("profile", "stride"),
    sampled(product(PROFILES, [13, 1]), lambda profile, stride: stride > 1 and profile != "edbbcli"),
)
def test_a_kill_at_any_call_or_rename_leaves_nothing_that_looks_whole_and_is_not(
    profile: str, stride: int, prepared: Callable[[str], Prepared], tmp_path: Path
) -> None:
    found = prepared(profile)
    paths = [str(one.path) for one in found.sets]
    shutil.rmtree(found.target, ignore_errors=True)
    arguments = [
        sys.executable,
        "-c",
        SCRIPT,
        str(HERE),
        str(tmp_path),
        str(found.target),
        profile,
        str(stride),
        *paths,
    ]
    subprocess.run(arguments, check=True, timeout=300)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    assert len(folders) > max(6 // stride, 1)
    for folder in folders[:-1]:
        shutil.rmtree(found.target, ignore_errors=True)
        demand_safe(found, open_lab(folder.rename(found.target)), error=KilledError())
    assert outcome_of(open_lab(folders[-1])) == found.sets[-1].expected, "the last run went through"


@pytest.mark.parametrize("profile", ["edbbcli", "certadm"])
def test_a_registration_that_was_left_open_bars_the_next_restore_until_it_is_taken_over(
    profile: str, prepared: Callable[[str], Prepared]
) -> None:
    found = prepared(profile)
    lab = found.new_target()
    server = SimulatedServer(lab, running=False)
    context = server.prepare_restore()
    with Archive(found.sets[0].path) as archive:
        (part,) = parts_of([archive])
        logs = lab.config.unc(lab.config.logs)
        rows = tuple((lab.config.unc(one.path), lab.config.unc(one.path)) for one in lab.config.databases)
        context.register(Registration(logs, logs, rows, logs, part.generation_low, part.generation_high))
    context.end()
    with pytest.raises(ArchiveError, match="hrRestoreInProgress") as caught:
        restore(lab, found.sets)
    assert caught.value.hint is not None
    assert "--take-over" in caught.value.hint
    demand_safe(found, lab, error=caught.value)
