"""The power fails at any moment of what writes archives and files, and of what was not synced anything may be left.

After each cut: what has a final name is whole, no log is gone without a whole archive, and the plain rerun succeeds, or
says that all is there already. A sample of the states is tried always, all of them with `-m torture`.
"""

from __future__ import annotations

import io
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from backup_files import fill
from chain_restores import chain_of_sets, restore_again, restore_chain
from chain_sets import DATABASE, certutil_folder, checkpoint, full, increment, name_of, part
from chain_stories import outcome_of
from command_line import done
from disk_faults import run_again
from power_cut import WAYS, Recorder, build, left
from signed import make_key
from small_sets import contents, write

import tokar as library
from tokar.errors import ArchiveError, ExistingFileError
from tokar.format.verify import verify
from tokar.lab.calls import Calls
from tokar.lab.lab import create_lab, open_lab
from tokar.restore.stager import Stager
from tokar.server.contract import DIALECTS, BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.storage import durable
from tokar.storage.directory import Directory
from tokar.testing.scripted_server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from power_cut import Moment

    Note = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="paths of descriptors are read there")  # noqa: PTH110 - text

FILES = {"one": bytes(range(256)) * 40, "two": b"2" * 10}
TO = ("--to", "database=dir:out/data", "--to", "log-dir=out/logs")
OLD = {"out/data/edb.chk": checkpoint(9), f"out/data/{DATABASE}": b"old", f"out/logs/{name_of(5)}": b"old log"}
STEPS = [
    pytest.param(30, id="sample"),
    pytest.param(1, marks=pytest.mark.torture, id="all"),
]


@dataclass(frozen=True)
class Job:
    """Something that writes files."""

    arguments: tuple[str, ...]  # Of the command, in the folder `work`
    out: str  # What it writes: a file or a folder


JOBS = {
    "create": Job(("create", "-q", "--all", "new.tokar", "../in"), "new.tokar"),
    "create --force": Job(("create", "-q", "--all", "--force", "old.tokar", "../in"), "old.tokar"),
    "extract": Job(("extract", "-q", "../a.tokar", "one"), "one"),
    "extract --force": Job(("extract", "-q", "--force", "../a.tokar", "one", "-o", "old"), "old"),
    "salvage": Job(("salvage", "-q", "../cut.tokar", "new.tokar"), "new.tokar"),
    "salvage --force": Job(("salvage", "-q", "--force", "../cut.tokar", "old.tokar"), "old.tokar"),
    "restore": Job(("restore", "-q", "../full.tokar", *TO), "out"),
    "restore, set aside": Job(("restore", "-q", "../full.tokar", *TO, "--existing", "set-aside"), "out"),
    "restore, certutil": Job(("restore", "-q", "../ca.tokar", "--certutil", "out"), "out"),
    "restore, certutil, chain": Job(("restore", "-q", "../ca.tokar", "../ca2.tokar", "--certutil", "out"), "out"),
    "restore, chain": Job(("restore", "-q", "../full.tokar", "../inc1.tokar", *TO), "out"),
    "restore, in one sync": Job(("restore", "-q", "../full.tokar", *TO), "out"),
}
if shutil.which("ssh-keygen"):
    JOBS["sign"] = Job(("sign", "-q", "old.tokar", "--key", "../key"), "old.tokar.sig")
    JOBS["sign --embed"] = Job(("sign", "-q", "--embed", "old.tokar", "--key", "../key"), "old.tokar")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the jobs read, and beside it what is there where they write."""
    folder = tmp_path_factory.mktemp("power")
    write(folder / "in", FILES)
    with library.create(folder / "a.tokar", profile="ese", compress="none") as writer:
        for name, data in FILES.items():
            writer.add(0x0F, name, io.BytesIO(data))
    (folder / "cut.tokar").write_bytes((folder / "a.tokar").read_bytes()[:-60])
    full(folder)
    increment(folder, "inc1", part(8, 9))
    done("create", "-q", folder / "ca.tokar", write(folder / "backup", certutil_folder()))
    later = {f"DataBase/{name}": data for name, data in part(8, 9).items()}
    done("create", "-q", folder / "ca2.tokar", write(folder / "backup2", later))
    if shutil.which("ssh-keygen"):
        make_key(folder, "key")
    return folder


def begun(job: str, template: Path) -> Path:
    """Make the folder that a job works in, with what is there already."""
    shutil.rmtree(template / "work", ignore_errors=True)
    work = write(template / "work", OLD if "aside" in job else {"other": b"x"})
    if "--force" in job or "sign" in job:
        (work / "old").write_bytes(b"old")
        with library.create(work / "old.tokar", profile="ese") as writer:
            writer.add_bytes(0x0F, "old", b"old")
    return work


def states(moments: list[Moment], step: int) -> Iterator[tuple[Moment, dict[str, bytes | None]]]:
    """Yield what the disk may hold, each state once, or each so many-th one."""
    seen: set[int] = set()
    number = 0
    for moment in moments:
        for way in (*WAYS, *["some"] * 12):
            number += 1
            found = left(moment, way, seed=number)
            key = hash((moment.told, *sorted((name, data or b"", data is None) for name, data in found.items())))
            if key in seen:
                continue
            seen.add(key)
            if len(seen) % step == 3 % step:
                yield moment, found


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("job", JOBS)
def test_after_a_power_cut_anywhere_a_command_is_just_run_again(
    job: str, step: int, template: Path, monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    count = demand_all_states(job, step, template, monkeypatch)
    record_property("states", count)
    assert count > 5 // step


@pytest.mark.parametrize(
    ("job", "target", "left_out"),
    [
        ("create", durable, "sync_descriptor"),
        ("extract --force", durable, "sync_descriptor"),
        pytest.param("restore, set aside", Stager, "sync", marks=pytest.mark.torture),
        pytest.param("restore, set aside", Directory, "sync", marks=pytest.mark.torture),
    ],
)
def test_a_sync_that_is_left_out_is_found(
    job: str, target: object, left_out: str, template: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, left_out, lambda *_: None)
    with pytest.raises((AssertionError, ArchiveError)):
        demand_all_states(job, 1, template, monkeypatch)


def demand_all_states(job: str, step: int, template: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Check what a job leaves after each power cut, and its rerun; return how many states there were."""
    one = JOBS[job]
    if "one sync" in job:
        monkeypatch.setattr(durable, "SYNC_BATCH", 1)
    work = begun(job, template)
    before = says(work, one)
    monkeypatch.chdir(work)
    recorder = Recorder(work)
    with recorder.recording():
        done(*one.arguments)
    last = left(recorder.moments[-1], "written")
    assert {name: data for name, data in last.items() if data is not None} == contents(work), "all was recorded"
    after = says(work, one)
    count = 0
    for moment, found in states(recorder.moments, step):
        count += 1
        monkeypatch.chdir(template)
        shutil.rmtree(work)
        monkeypatch.chdir(build(work, found))
        demand_nothing_half(work, one, before, after, moment)
        is_there = (work / one.out).is_file()
        assert run_again(*one.arguments).exit_code == 0 or is_there
        assert says(work, one) == after
    monkeypatch.chdir(template)
    shutil.rmtree(work)
    return count


def says(work: Path, job: Job) -> dict[str, object]:
    """What is under final names, so that two that say the same are equal; an archive is proven for it."""
    found: dict[str, object] = {}
    for name, data in contents(work).items():
        if not any(part.startswith(".") for part in name.split("/")) and ".tokar-aside-" not in name:
            found[name] = archived(work / name) if name == job.out and name.endswith(".tokar") else data
    return found


def archived(path: Path) -> dict[str, object]:
    with library.open(path) as archive:
        verify(archive, content=True).demand()
        return {"signatures": archive.trailing, **{entry.name: archive.read(entry) for entry in archive}}


def demand_nothing_half(
    work: Path, job: Job, before: dict[str, object], after: dict[str, object], moment: Moment
) -> None:
    """Check that what has a final name is all of what was there, or all of what is to be there."""
    found = says(work, job)
    for name, content in found.items():
        assert content in (before.get(name), after.get(name)), f"{name} after {moment.what}"
    assert set(before) - {*OLD} <= set(found), f"what was there is lost after {moment.what}"
    databases = {name for name in after if name.endswith(".edb")}
    if databases and all(found.get(name) == after[name] for name in databases):
        assert found == after, f"it looks whole and is not, after {moment.what}"
    if {*OLD} <= set(before):
        assert set(OLD.values()) <= set(contents(work).values()), f"an old file is lost after {moment.what}"


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", list(BackupKind))
@pytest.mark.parametrize("profile", list(DIALECTS))
def test_no_log_is_gone_without_a_whole_archive_on_the_disk(
    profile: str, kind: BackupKind, step: int, tmp_path: Path, record_property: Note
) -> None:
    if kind.backup_type not in DIALECTS[profile].types:
        pytest.skip("this interface has no such backup")
    work = write(tmp_path / "work", {})
    options = BackupOptions(threads=1)
    if kind in {BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL}:
        run_backup(fill(ScriptedServer(dialect=DIALECTS[profile]), 1, 2), tmp_path / "full.tokar", BackupKind.FULL)
        options = BackupOptions(threads=1, prior=load_prior(tmp_path / "full.tokar"))
    source = server(profile)
    recorder = Recorder(work, lambda: bool(source.truncated))
    with recorder.recording():
        run_backup(source, work / "a.tokar", kind, options)
    assert source.truncated is kind.truncates
    wanted = archived(work / "a.tokar")
    count = 0
    for moment, found in states(recorder.moments, step):
        count += 1
        shutil.rmtree(work)
        out = build(work, found) / "a.tokar"
        assert out.exists() or not moment.told, f"the logs are gone and the archive is lost, after {moment.what}"
        try:
            run_backup(server(profile), out, kind, options)
        except ExistingFileError as error:
            assert error.hint == "choose another name for another backup"  # noqa: PT017 - one of two ways to go on
            run_backup(server(profile), work / "b.tokar", kind, options)
        assert archived(out) == wanted
    record_property("states", count)
    assert any(one.told for one in recorder.moments) is kind.truncates


def server(profile: str) -> ScriptedServer:
    return fill(ScriptedServer(dialect=DIALECTS[profile]), 3, 5)


@pytest.mark.parametrize("step", [pytest.param(80, id="sample"), STEPS[1]])
@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_after_a_power_cut_a_restore_to_a_server_is_just_run_again(
    profile: str, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_property: Note
) -> None:
    chain = chain_of_sets(tmp_path / "sets", profile)
    lab = create_lab(tmp_path / "work", profile, 1, 1001, empty=True)
    recorder = Recorder(lab.folder)
    make = Calls.make

    def made(*arguments: object) -> object:
        with recorder.another_program():
            return make(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, recorder.recording():
        patch.setattr(Calls, "make", made)
        restore_chain(lab, chain)
    last = left(recorder.moments[-1], "written")
    assert {name: data for name, data in last.items() if data is not None} == contents(lab.folder), "all was recorded"
    count = 0
    for moment, found in states(recorder.moments, step):
        count += 1
        shutil.rmtree(lab.folder)
        build(lab.folder, found)
        copy = shutil.copytree(lab.folder, tmp_path / "copy")
        came_up = outcome_of(open_lab(copy))
        assert isinstance(came_up, int) or came_up in chain.expected, f"it comes up on half, after {moment.what}"
        shutil.rmtree(copy)
        restore_again(open_lab(lab.folder), chain)
        assert outcome_of(open_lab(lab.folder)) == chain.expected[-1]
    record_property("states", count)
    assert count > 30 // step
