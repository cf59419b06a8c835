"""Every write, sync and rename of a restore fails, is interrupted, or is the last one; then it is just run again.

After each point: what has a final name is whole; as long as something is missing, a database is; what was there has its
name, or its new one. The same command then succeeds, or names the one option that it needs and then succeeds. A sample
of the points runs always, all of them with `-m torture`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from chain_restores import SetsToRestore, chain_of_sets, restore_again, restore_chain
from chain_sets import DATABASE, certutil_folder, checkpoint, full, increment, name_of, part
from chain_stories import outcome_of
from command_line import Result, done, tokar
from disk_faults import Strike, hit, run_again, struck_cases
from small_sets import contents, write

from tokar.errors import ArchiveError
from tokar.lab.calls import Calls
from tokar.lab.lab import create_lab, open_lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Note = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, and descriptors of directories")

TO = ("--to", "database=dir:out/data", "--to", "log-dir=out/logs")
CHAIN = ("full.tokar", "inc1.tokar", "inc2.tokar")
OLD = {"data/edb.chk": checkpoint(9), f"data/{DATABASE}": b"old", f"logs/{name_of(5)}": b"old log"}


BY_WORKERS = {
    "tokar.restore.stager._MANY_FILES": 2,
    "tokar.restore.stager._BLOCK": 1,
    "tokar.cli.restore.useful_processes": lambda: 3,
}
IN_ONE_SYNC = {"tokar.storage.durable.SYNC_BATCH": 1}


@dataclass(frozen=True, eq=False)
class Job:
    """A restore into the folder `out`."""

    arguments: tuple[str, ...]  # Of `restore`, in the folder that the test is in
    old: dict[str, bytes] | None = None  # What lies in `out`; None where there is no such folder
    patches: Mapping[str, object] = field(default_factory=dict)  # What is otherwise only with many files


JOBS = {
    "one": Job(("full.tokar", *TO)),
    "one, into folders": Job(("full.tokar", *TO), {"data/other": b"x", "logs/other": b"y"}),
    "one, set aside": Job(("full.tokar", *TO, "--existing", "set-aside"), OLD),
    "chain": Job((*CHAIN, *TO)),
    "chain, into folders": Job((*CHAIN, *TO), {"data/other": b"x", "logs/other": b"y"}),
    "certutil": Job(("ca.tokar", "--certutil", "out")),
    "certutil, chain": Job(("ca.tokar", "ca2.tokar", "--certutil", "out")),
    "one, in one sync": Job(("full.tokar", *TO), patches=IN_ONE_SYNC),
    "one, by workers": Job(("full.tokar", *TO), patches=BY_WORKERS),
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


@contextmanager
def at_work_in(folder: Path, job: Job) -> Iterator[None]:
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        for name, value in job.patches.items():
            patch.setattr(name, value)
        yield


@pytest.mark.parametrize(("job", "blow"), struck_cases(JOBS, 40))
def test_a_restore_that_is_struck_anywhere_is_just_run_again(
    job: str, blow: tuple[int | str, int], template: Path, tmp_path: Path, record_property: Note
) -> None:
    one, (how, stride), wanted = JOBS[job], blow, whole(JOBS[job], template)
    for point in range(1, 1000, stride):
        folder = prepared(one, template, tmp_path / str(point))
        with at_work_in(folder, one):
            is_hit = hit(Strike(point, how), lambda: tokar("restore", "-q", *one.arguments))
            demand_nothing_half(folder / "out", one, wanted)
            demand_done(folder, one, template, run_again("restore", "-q", *one.arguments))
        shutil.rmtree(folder)
        if not is_hit:
            break
    record_property("points", point - 1)
    assert point > (1 if how == "unreadable" else 20), "it makes, writes, syncs and renames files and directories"


def test_a_worker_that_dies_anywhere_leaves_its_share_to_the_others(
    template: Path, tmp_path: Path, record_property: Note
) -> None:
    one = JOBS["one, by workers"]
    for point in range(1, 100):
        folder = prepared(one, template, tmp_path / str(point))
        strike = Strike(point, "worker")
        with at_work_in(folder, one):
            is_hit = hit(strike, lambda: done("restore", "-q", *one.arguments))
            demand_done(folder, one, template, done("restore", "-q", *one.arguments))
        shutil.rmtree(folder)
        if not is_hit:
            break
    record_property("points", point - 1)
    assert point > 3


def demand_done(folder: Path, job: Job, template: Path, result: Result) -> None:
    """Check that all is there after the rerun, and nothing else."""
    wanted = whole(job, template)
    assert plain(contents(folder / "out")) == plain(wanted)
    assert set(asides(contents(folder / "out"))) >= set(asides(wanted))
    assert result.exit_code == 0
    assert not [path for path in folder.rglob(".tokar-*") if ".tokar-aside-" not in path.name]
    assert {path.name for path in folder.iterdir()} == {*(path.name for path in template.iterdir()), "out"}


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


# --- to a server ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SetsToRestore]:
    return cache(lambda profile: chain_of_sets(tmp_path_factory.mktemp(profile), profile))


@pytest.mark.parametrize(("profile", "blow"), struck_cases(["edbbcli", "ntdsbcli", "certadm"], 100))
def test_a_restore_to_a_server_that_is_struck_anywhere_is_just_run_again(
    profile: str,
    blow: tuple[int | str, int],
    chain_of: Callable[[str], SetsToRestore],
    tmp_path: Path,
    record_property: Note,
) -> None:
    how, stride = blow
    chain = chain_of(profile)
    for point in range(1, 1000, stride):
        lab = create_lab(tmp_path / str(point), profile, 1, 1001, empty=True)
        strike = Strike(point, how)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Calls, "make", spared(strike, Calls.make))
            is_hit = hit(strike, partial(restore_chain, lab, chain), ArchiveError, KeyboardInterrupt)
        copy = shutil.copytree(lab.folder, tmp_path / "copy")
        came_up = outcome_of(open_lab(copy))
        is_told = how not in {"before", "after"}  # a process that is killed can tell the server nothing
        whole_sets = chain.expected[-1:] if is_told else chain.expected
        assert isinstance(came_up, int) or came_up in whole_sets, "half a chain never comes up"
        shutil.rmtree(copy)
        restore_again(lab, chain)
        assert not list(lab.folder.rglob(".tokar-*"))
        assert outcome_of(lab) == chain.expected[-1]
        shutil.rmtree(lab.folder)
        if not is_hit:
            break
    record_property("points", point - 1)
    assert point > (1 if how == "unreadable" else 20)


def spared(strike: Strike, make: Callable[..., object]) -> Callable[..., object]:
    """Return the calls of a server, which is another process and is never struck."""

    def made(*arguments: object) -> object:
        strike.paused = True
        try:
            return make(*arguments)
        finally:
            strike.paused = False

    return made
