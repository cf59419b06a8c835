"""Every write, sync and rename of a restore fails, is interrupted, or is the last one; then it is just run again.

After each point: what has a final name is whole; as long as something is missing, a database is; what was there has its
name, or its new one. The same command then succeeds, or says that all is there already, or names the one option that
it needs. A sample of the points runs always, all of them with `-m torture`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_sets import DATABASE, certutil_folder, checkpoint, full, increment, name_of, part
from chain_stories import new_story, outcome_of, take
from command_line import Result, done, tokar
from disk_faults import Strike, blows, hit
from server_parts import parts_of
from small_sets import contents, write

from tokar.errors import ArchiveError, ExistingFileError
from tokar.format.archive import Archive
from tokar.lab.calls import Calls
from tokar.lab.lab import create_lab, open_lab
from tokar.lab.server import SimulatedServer
from tokar.restore.place import PlacingStoppedError
from tokar.server.contract import BackupKind, ServerError
from tokar.server.run_restore import restore_to_server

if TYPE_CHECKING:
    from collections.abc import Callable

    from chain_stories import Contents

    from tokar.lab.lab import Lab

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, and descriptors of directories")

TO = ("--to", "database=dir:out/data", "--to", "log-dir=out/logs")
CHAIN = ("full.tokar", "inc1.tokar", "inc2.tokar")
OLD = {"data/edb.chk": checkpoint(9), f"data/{DATABASE}": b"old", f"logs/{name_of(5)}": b"old log"}


@dataclass(frozen=True, eq=False)
class Job:
    """A restore into the folder `out`."""

    arguments: tuple[str, ...]  # Of `restore`, in the folder that the test is in
    old: dict[str, bytes] | None = None  # What lies in `out`; None where there is no such folder


JOBS = {
    "one": Job(("full.tokar", *TO)),
    "one, into folders": Job(("full.tokar", *TO), {"data/other": b"x", "logs/other": b"y"}),
    "one, set aside": Job(("full.tokar", *TO, "--existing", "set-aside"), OLD),
    "chain": Job((*CHAIN, *TO)),
    "chain, into folders": Job((*CHAIN, *TO), {"data/other": b"x", "logs/other": b"y"}),
    "certutil": Job(("ca.tokar", "--certutil", "out")),
    "certutil, chain": Job(("ca.tokar", "ca2.tokar", "--certutil", "out")),
}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archives."""
    folder = tmp_path_factory.mktemp("torture")
    full(folder)
    increment(folder, "inc1", part(8, 9))
    increment(folder, "inc2", part(9, 11))
    done("create", "-q", folder / "ca.tokar", write(folder / "backup", certutil_folder()))
    later = {f"DataBase/{name}": data for name, data in part(8, 9).items()}
    done("create", "-q", folder / "ca2.tokar", write(folder / "backup2", later))
    return folder


@cache
def whole(job: Job, template: Path) -> dict[str, bytes]:
    """What a job gives that nothing happens to."""
    folder = prepared(job, template, Path(tempfile.mkdtemp(dir=template.parent), "whole"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        done("restore", "-q", *job.arguments)
    return contents(folder / "out")


def prepared(job: Job, template: Path, folder: Path) -> Path:
    shutil.copytree(template, folder, copy_function=os.link)
    if job.old is not None:
        write(folder / "out", job.old)
    return folder


@pytest.mark.parametrize("blow", blows(16))
@pytest.mark.parametrize("job", JOBS)
def test_a_restore_that_is_struck_anywhere_is_just_run_again(
    job: str,
    blow: tuple[int | str, int],
    template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, (how, stride), wanted = JOBS[job], blow, whole(JOBS[job], template)
    for point in range(1, 1000, stride):
        folder = prepared(one, template, tmp_path / str(point))
        monkeypatch.chdir(folder)
        is_hit = hit(Strike(point, how), lambda: tokar("restore", "-q", *one.arguments))
        demand_nothing_half(folder / "out", one, wanted)
        result = tokar("restore", "-q", *one.arguments)
        assert result.exit_code == 0 or says_that_it_is_done(result, folder / "out", wanted), result.stderr
        assert plain(contents(folder / "out")) == plain(wanted)
        assert set(asides(contents(folder / "out"))) >= set(asides(wanted))
        demand_clean(folder, is_done=result.exit_code == 6)
        assert {path.name for path in folder.iterdir()} == {*(path.name for path in template.iterdir()), "out"}
        shutil.rmtree(folder)
        if not is_hit:
            break
    assert point > 20, "it makes, writes, syncs and renames files and directories"


def plain(files: dict[str, bytes]) -> dict[str, bytes]:
    return {name: data for name, data in files.items() if ".tokar-" not in name}


def asides(files: dict[str, bytes]) -> list[bytes]:
    return sorted(data for name, data in files.items() if ".tokar-aside-" in name)


def demand_nothing_half(out: Path, job: Job, wanted: dict[str, bytes]) -> None:
    """Check what has a final name, and what was there before."""
    found, old = contents(out), job.old or {}
    for name, data in plain(found).items():
        assert data in (wanted.get(name), old.get(name)), f"{name} is neither what it was nor what it is to be"
    is_placed = {name for name, data in plain(wanted).items() if found.get(name) == data}
    databases = {name for name in wanted if name.endswith(".edb") and ".tokar-" not in name}
    if databases <= is_placed:
        assert is_placed == set(plain(wanted)), "it looks whole and is not"
    assert set(old.values()) <= {*found.values()}, "nothing is lost"


def says_that_it_is_done(result: Result, out: Path, wanted: dict[str, bytes]) -> bool:
    return result.exit_code == 6 and plain(contents(out)) == plain(wanted)


def demand_clean(folder: Path, *, is_done: bool) -> None:
    """Check that nothing is left; `clean` removes what could not be removed by a run that was done otherwise."""
    left = [path for path in folder.rglob(".tokar-*") if ".tokar-aside-" not in path.name]
    assert is_done or not left
    for holder in {path.parent for path in left}:
        done("clean", "--remove", holder)
    assert not [path for path in left if path.exists()]


# --- to a server ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """A chain, and what must be there when it is restored."""

    sets: tuple[Path, ...]  # The full first
    expected: tuple[Contents, ...]  # After each of them


@pytest.fixture(scope="module")
def chain_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Chain]:
    @cache
    def make(profile: str) -> Chain:
        folder = tmp_path_factory.mktemp(profile)
        story = new_story(folder / "server", profile, databases=1, work=5)
        sets = [take(story, folder / "0.tokar", BackupKind.FULL)]
        if profile != "ntdsbcli":
            story.lab.work(5)
            sets.append(take(story, folder / "1.tokar", BackupKind.INCREMENTAL, before=tuple(sets)))
        return Chain(tuple(one.path for one in sets), tuple(one.expected for one in sets))

    return make


@pytest.mark.parametrize("blow", blows(40))
@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_a_restore_to_a_server_that_is_struck_anywhere_is_just_run_again(
    profile: str,
    blow: tuple[int | str, int],
    chain_of: Callable[[str], Chain],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    how, stride = blow
    chain = chain_of(profile)
    for point in range(1, 1000, stride):
        lab = create_lab(tmp_path / str(point), profile, 1, 1001, empty=True)
        strike = Strike(point, how)
        with monkeypatch.context() as patch:
            patch.setattr(Calls, "make", spared(strike, Calls.make))
            is_hit = hit(strike, partial(restore_chain, lab, chain), ArchiveError, KeyboardInterrupt)
        copy = shutil.copytree(lab.folder, tmp_path / "copy")
        came_up = outcome_of(open_lab(copy))
        is_told = how not in {"before", "after"}  # a process that is killed can tell the server nothing
        whole_sets = chain.expected[-1:] if is_told else chain.expected
        assert isinstance(came_up, int) or came_up in whole_sets, "half a chain never comes up"
        shutil.rmtree(copy)
        is_done = restore_again(lab, chain)
        assert outcome_of(lab) == chain.expected[-1]
        demand_clean(lab.folder, is_done=is_done)
        shutil.rmtree(lab.folder)
        if not is_hit:
            break
    assert point > 20


def restore_chain(lab: Lab, chain: Chain, **options: bool) -> None:
    with ExitStack() as stack:
        archives = [stack.enter_context(Archive(path)) for path in chain.sets]
        restore_to_server(SimulatedServer(lab, running=False), parts_of(archives), **options)  # type: ignore[arg-type]


def restore_again(lab: Lab, chain: Chain) -> bool:
    """Run the same restore, by the option that it names where it is refused; return whether all was in place."""
    try:
        restore_chain(lab, chain)
    except ExistingFileError:
        assert all(path.is_file() for path in lab.place.databases.values()), "all is in place"
        return True
    except (ServerError, PlacingStoppedError) as error:
        assert "take it over" in str(error.hint)  # noqa: PT017 - one of several ways to go on
        restore_chain(lab, chain, take_over=True)
    return False


def spared(strike: Strike, make: Callable[..., object]) -> Callable[..., object]:
    """Return the calls of a server, which is another process and is never struck."""

    def made(*arguments: object) -> object:
        strike.paused = True
        try:
            return make(*arguments)
        finally:
            strike.paused = False

    return made
