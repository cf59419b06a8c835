"""Whole stories through the native libraries, with the simulated engine behind the double."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
from chain_stories import Kept, Story, keep, new_story, outcome_of, target_for
from command_line import done
from native_double import Double, doubled
from server_parts import parts_of

from tokar import codes
from tokar.format.archive import Archive
from tokar.lab.config import load_registration
from tokar.lab.engine import EngineError
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.restore.place import PlacingStoppedError
from tokar.server.contract import BackupKind, NoAnswerError, ServerError
from tokar.server.deadline import Deadlines, DeadlineServer
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.server.run_restore import restore_to_server
from tokar.sets.receipt import Truncation

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from _pytest.mark import ParameterSet
    from native_double import Request

    from tokar.lab.lab import Lab
    from tokar.live.native import NativeServer

pytestmark = pytest.mark.slow


def torture(call: str) -> ParameterSet:
    """A case of the torture run."""
    return pytest.param(call, marks=pytest.mark.torture)


def taken(story: Story, path: Path, kind: BackupKind, before: tuple[Kept, ...] = ()) -> Kept:
    """Back a server up through its native library, while its users work."""
    double = Double(SimulatedServer(story.lab, busy=3))
    options = BackupOptions(prior=load_prior(before[-1].path) if before else None, threads=1)
    result = run_backup(double.native(), path, kind, options)
    assert (result.truncation is Truncation.DONE) == kind.truncates
    assert ("truncate_logs" in double.called) == kind.truncates
    assert double.holds() == (0, 0, 0)
    return keep(story, path, result.took, before=before)


def restored(lab: Lab, sets: Sequence[Kept], **options: bool) -> Double:
    double = Double(SimulatedServer(lab, running=False))
    with ExitStack() as stack:
        archives = [stack.enter_context(Archive(one.path)) for one in sets]
        restore_to_server(double.native(), parts_of(archives), **options)  # type: ignore[arg-type]
    return double


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
def test_a_full_is_restored_elsewhere_registered_and_recovered(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", profile, work=20)
    full = taken(story, tmp_path / "full.tokar", BackupKind.FULL)
    lab = target_for(story, tmp_path / "target")
    double = restored(lab, [full])
    assert (double.called.count("register"), double.called.count("register_complete")) == (1, 1)
    assert double.holds() == (0, 0, 0)
    assert outcome_of(lab) == full.expected


def test_a_full_and_incrementals_with_truncation_come_back_to_the_last_commit(tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", work=20)
    sets: tuple[Kept, ...] = (taken(story, tmp_path / "0.tokar", BackupKind.FULL),)
    for number, kind in enumerate((BackupKind.INCREMENTAL, BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL), 1):
        story.lab.work(15)
        sets = (*sets, taken(story, tmp_path / f"{number}.tokar", kind, sets))
    lab = target_for(story, tmp_path / "target")
    assert restored(lab, sets).called.count("register") == 4
    assert outcome_of(lab) == sets[-1].expected


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
def test_whichever_call_of_a_restore_fails_the_service_stays_down_and_a_second_try_succeeds(
    profile: str, tmp_path: Path
) -> None:
    story = new_story(tmp_path / "lab", profile, work=20)
    full = taken(story, tmp_path / "full.tokar", BackupKind.FULL)
    clean = restored(target_for(story, tmp_path / "clean"), [full]).called
    assert "register_complete" in clean
    for number, call in enumerate(clean):
        lab = target_for(story, tmp_path / str(number))
        at = [-1]

        def bend(_name: str, real: int, _request: Request, *, number: int = number, at: list[int] = at) -> int:
            at[0] += 1
            return codes.ERROR if at[0] == number else real

        double = Double(SimulatedServer(lab, running=False), bend)
        with Archive(full.path) as archive, ExitStack() as stack:
            if call not in {"end", "database_locations"}:  # what End answers changes nothing; locations were kept
                stack.enter_context(pytest.raises((ServerError, PlacingStoppedError)))
            restore_to_server(double.native(), parts_of([archive]))
        assert double.holds() == (0, 0, 0), call
        assert call == "prepare_restore" or double.called[-1] == "end" or number == 0, call
        if call not in {"end", "database_locations"}:
            restored(lab, [full], take_over=load_registration(lab.folder) is not None)
        assert outcome_of(lab) == full.expected, call


def hanging(folder: Path, call: str) -> NativeServer:
    """The native server of a lab of which one call never returns, although it was made."""
    import time  # noqa: PLC0415 - in the process of the server alone

    def bend(name: str, real: int, _request: Request) -> int:
        if name == call:
            time.sleep(600)
        return real

    return doubled(SimulatedServer(open_lab(folder), running=False), bend=bend)


@pytest.mark.parametrize("call", [*map(torture, ("prepare_restore", "register_complete", "end")), "register"])
def test_a_restore_of_which_a_call_hangs_can_be_taken_over(call: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "lab", "certadm", work=20)
    full = taken(story, tmp_path / "full.tokar", BackupKind.FULL)
    lab = target_for(story, tmp_path / "target")
    factory = partial(hanging, lab.folder, call)
    with (
        DeadlineServer(factory, Deadlines(60, 1, 1, 1, 1)) as server,
        Archive(full.path) as archive,
        ExitStack() as stack,
    ):
        if call != "end":  # what End answers changes nothing
            stack.enter_context(pytest.raises((NoAnswerError, PlacingStoppedError)))
        restore_to_server(server, parts_of([archive]))
    if call == "register":
        with pytest.raises(EngineError):
            lab.start()  # what was not completed stays registered, and the service stays down
    if call in {"prepare_restore", "register"}:
        restored(lab, [full], take_over=call == "register")
    assert outcome_of(lab) == full.expected


ADD_ON = """
from pathlib import Path

from native_double import doubled
from tokar.lab.server import open_source


def open_double(place, *, restoring=False):
    return doubled(open_source(place, restoring=restoring))
"""


def test_the_command_line_backs_up_and_restores_through_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "site" / "double-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: double\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tokar.sources]\nnative = open_native_double:open_double\n")
    (info.parent / "open_native_double.py").write_text(ADD_ON)
    monkeypatch.syspath_prepend(info.parent)
    story = new_story(tmp_path / "lab", "certadm", work=20)
    story.lab.stop()
    out = tmp_path / "full.tokar"
    done("backup", f"native:{story.lab.folder}", out, "--type", "full")
    target = target_for(story, tmp_path / "target")
    result = done("restore", out, "--server", f"native:{target.folder}")
    assert "registered 1: " in result.stdout
    assert "net start certsvc" in result.stdout
    target.recover()
    assert all(target.contents().values())
