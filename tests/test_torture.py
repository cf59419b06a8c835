"""Every write, sync and rename of what writes archives and files fails, is interrupted, or is the last one.

After each point: under a final name is what was there before, or all of the new; inputs are as they were; and the plain
rerun succeeds, or refuses with one command that then does. A sample of the points runs always, all of them with
`-m torture`.
"""

from __future__ import annotations

import io
import os
import shutil
from contextlib import chdir
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest
from backup_files import fill
from command_line import done, tokar
from disk_faults import Strike, hit, run_again, struck_cases
from signed import make_key

import tokar as library
from tokar.errors import ArchiveError, ExistingFileError
from tokar.format.verify import verify
from tokar.server.contract import DIALECTS, BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path
from tokar.testing.scripted_server import ScriptedServer
from tokar.trust.signatures import Signer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Note = Callable[[str, object], None]

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork, and descriptors of directories")


@dataclass(frozen=True)
class Job:
    """Something that writes a file."""

    arguments: tuple[str, ...]  # Of the command, in the folder that the test is in
    out: str  # What it writes
    replaces: bool = False  # Whether there is an older one, which it replaces
    signed: bool = False  # Whether a signature is after the root of what it writes
    source: str = "in"  # The folder with what is in it then


BY_COPIES = {
    "tokar.collect.packers._MANY": 2,
    "tokar.collect.packers._LONGEST": 2,
    "tokar.cli.create.useful_processes": lambda: 3,
}
JOBS = {
    "create": Job(("create", "-q", "--all", "new.tokar", "in"), "new.tokar"),
    "create --force": Job(("create", "-q", "--all", "--force", "old.tokar", "in"), "old.tokar", replaces=True),
    "create, by copies": Job(("create", "-q", "--all", "new.tokar", "small"), "new.tokar", source="small"),
    "extract": Job(("extract", "-q", "a.tokar", "one"), "one"),
    "extract --force": Job(("extract", "-q", "--force", "a.tokar", "one", "-o", "old"), "old", replaces=True),
    "salvage": Job(("salvage", "-q", "cut.tokar", "new.tokar"), "new.tokar"),
    "salvage --force": Job(("salvage", "-q", "--force", "cut.tokar", "old.tokar"), "old.tokar", replaces=True),
}
SIGNED = {
    "create --sign": Job(("create", "-q", "--all", "new.tokar", "in", "--sign", "key"), "new.tokar", signed=True),
    "sign": Job(("sign", "-q", "a.tokar", "--key", "key"), "a.tokar.sig"),
    "sign, again": Job(("sign", "-q", "b.tokar", "--key", "key"), "b.tokar.sig", replaces=True),
    "sign --embed": Job(("sign", "-q", "--embed", "a.tokar", "--key", "key"), "a.tokar", replaces=True, signed=True),
}
if shutil.which("ssh-keygen"):
    JOBS |= SIGNED


@pytest.fixture(autouse=True)
def _by_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in BY_COPIES.items():
        monkeypatch.setattr(name, value)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the jobs need."""
    folder = tmp_path_factory.mktemp("torture")
    (folder / "in").mkdir()
    for name, size in (("one", 300_000), ("two", 10)):
        (folder / "in" / name).write_bytes(os.urandom(size))
    (folder / "small").mkdir()
    for number in range(9):
        (folder / "small" / f"{number}").write_bytes(os.urandom(number * 100))
    with library.create(folder / "a.tokar", profile="ese", compress="none") as writer:
        for name in ("one", "two"):
            writer.add(0x0F, name, io.BytesIO((folder / "in" / name).read_bytes()))
    (folder / "cut.tokar").write_bytes((folder / "a.tokar").read_bytes()[:-60])
    with library.create(folder / "old.tokar", profile="ese") as writer:
        writer.add_bytes(0x0F, "old", b"old")
    (folder / "old").write_bytes(b"old")
    if shutil.which("ssh-keygen"):
        key, other = make_key(folder, "key"), make_key(folder, "other")
        (folder / "signed").mkdir()
        for name, keys in (("a.tokar", [key]), ("b.tokar", [other, key])):
            signed = shutil.copy(folder / "a.tokar", folder / "signed" / name)
            done("sign", "-q", signed, "--key", keys[0])
            if len(keys) > 1:
                shutil.copy(signed, folder)
                shutil.copy(f"{signed}.sig", folder)
                done("sign", "-q", signed, "--key", keys[1])
    return folder


def content(path: Path) -> object:
    """What a file says, so that two that say the same are equal; an archive is proven for it."""
    if path.suffix != ".tokar":
        return path.read_bytes()
    with library.open(path) as archive:
        verify(archive, content=True).demand()
        return {"signatures": len(archive.trailing), **{entry.name: archive.read(entry) for entry in archive}}


@pytest.mark.parametrize(("job", "blow"), struck_cases(JOBS, 5))
def test_a_command_that_is_struck_anywhere_is_just_run_again(
    job: str, blow: tuple[int | str, int], template: Path, tmp_path: Path, record_property: Note
) -> None:
    one, (how, stride) = JOBS[job], blow
    for number, point in enumerate(range(1, 500, stride)):
        folder = shutil.copytree(template, tmp_path / str(number))
        strike = Strike(point, how)
        with chdir(folder):
            is_hit = hit(strike, lambda: tokar(*one.arguments))
            demand_kept(folder, template, one)
            demand_clean(folder, template, one, killed=how in ("before", "after"), strike=strike)
            is_there = (folder / one.out).exists()
            assert run_again(*one.arguments).exit_code == 0 or is_there
        assert content(folder / one.out) == expected(template, one)
        shutil.rmtree(folder)
        if not is_hit:
            break
    record_property("points", number)
    assert number >= (1 if how == "unreadable" else 6 // stride - 1), "it opens, writes, syncs, renames, syncs again"


def expected(template: Path, job: Job) -> object:
    if job.out in {"one", "old"}:
        return (template / "in" / "one").read_bytes()
    if job.out.endswith(".sig"):
        return (template / "signed" / job.out).read_bytes()
    return {
        "signatures": int(job.signed),
        **{path.name: path.read_bytes() for path in (template / job.source).iterdir()},
    }


def demand_kept(folder: Path, template: Path, job: Job) -> None:
    """Check inputs, and what is under the final name."""
    for path in template.rglob("*"):
        if path.is_file() and path.name != job.out:
            assert (folder / path.relative_to(template)).read_bytes() == path.read_bytes()
    out = folder / job.out
    old = content(template / job.out) if job.replaces else None
    assert (content(out) if out.exists() else None) in (old, expected(template, job))


def demand_clean(folder: Path, template: Path, job: Job, *, killed: bool, strike: Strike) -> None:
    """Check that nothing is left but what a dead process or a failed removal leaves, which `clean` removes."""
    known = {path.name for path in template.iterdir()} | {job.out}
    left = {path.name for path in folder.iterdir()} - known
    assert len(left) <= (2 if job.replaces and killed else 1)
    assert all(name.endswith(".part") for name in left)
    assert not left or killed or strike.struck == "unlink"
    done("clean", "--remove", folder)
    assert not {path.name for path in folder.iterdir()} - known


# --- backups ----------------------------------------------------------------------------------------------------------


KINDS = {
    f"{profile}, {kind}": (profile, kind)
    for profile, dialect in DIALECTS.items()
    for kind in BackupKind
    if kind.backup_type in dialect.types
}


if shutil.which("ssh-keygen"):
    KINDS["certadm, full, signed"] = ("certadm", BackupKind.FULL)


@pytest.mark.parametrize(("case", "blow"), struck_cases(KINDS, 9))
def test_a_backup_that_is_struck_anywhere_is_just_run_again(
    case: str, blow: tuple[int | str, int], tmp_path: Path, record_property: Note
) -> None:
    (profile, kind), (how, stride) = KINDS[case], blow
    prior = None
    if kind in {BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL}:
        run_backup(server(profile, 3, 4), tmp_path / "full.tokar", BackupKind.FULL)
        prior = load_prior(tmp_path / "full.tokar")
    signer = Signer([make_key(tmp_path, "key")]) if "signed" in case else None
    options = BackupOptions(prior=prior, threads=1, signer=signer)
    for number, point in enumerate(range(1, 500, stride)):
        out = tmp_path / str(number) / "a.tokar"
        out.parent.mkdir()
        strike, source = Strike(point, how), server(profile, 5, 6)
        is_hit = hit(strike, partial(run_backup, source, out, kind, options), ArchiveError, KeyboardInterrupt)
        if how not in {"before", "after"}:
            assert not source.truncated or out.exists()
            assert source.leaks == 0
            assert len(source.ended) == (1 if "prepare" in " ".join(source.history) else 0)
            assert not list(out.parent.glob(".*.part")) or strike.struck == "unlink"
        if out.exists():
            assert content(out)["signatures"] == bool(signer)  # type: ignore[index]
            demand_receipt_agrees(out, source, is_known=how in {"signal", "signal after"})
        done("clean", "--remove", out.parent)
        again = rerun(profile, out, kind, options)
        assert {name.rpartition("\\")[2] for name in content(again)} >= {"edb00005.log", "edb00006.log"}  # type: ignore[attr-defined]
        if not is_hit:
            break
    record_property("points", number)
    assert number >= (int(kind.truncates) if how == "unreadable" else 6 // stride)


def rerun(profile: str, out: Path, kind: BackupKind, options: BackupOptions) -> Path:
    """Run a backup again; where it says that one is done, or that its archive is there, run it with another name."""
    try:
        run_backup(server(profile, 5, 6), out, kind, options)
    except ExistingFileError as error:
        assert error.hint == "choose another name for another backup"  # noqa: PT017 - one of two ways to go on
        content(out)
        out = out.with_name("b.tokar")
        run_backup(server(profile, 5, 6), out, kind, options)
    return out


def server(profile: str, low: int, high: int) -> ScriptedServer:
    return fill(ScriptedServer(dialect=DIALECTS[profile]), low, high)


def demand_receipt_agrees(out: Path, source: ScriptedServer, *, is_known: bool) -> None:
    """Check that a receipt never says less than happened, and all of it where the process could still write."""
    if source.truncated:
        said = {Truncation.DONE} if is_known else {Truncation.TRUNCATING, Truncation.DONE}
        assert read_receipt(receipt_path(out)).truncation in said
