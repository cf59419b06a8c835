"""Backups of the simulated engine, at work all the while: whole, and with each call in turn struck."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from sweeps import sampled

import tokar
from tokar import codes
from tokar.errors import ArchiveError, ProcedureError, SetError
from tokar.format.verify import verify
from tokar.lab.calls import FaultInjector, Injection, InjectionKind
from tokar.lab.lab import create_lab, open_lab
from tokar.lab.server import SimulatedServer
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tokar.lab.lab import Lab

PROFILES = ("edbbcli", "ntdsbcli", "certadm")
WITH_LOGS_ONLY = ("edbbcli", "certadm")
BLOWS = (InjectionKind.FAIL, InjectionKind.HANG, InjectionKind.DIE)
QUIET = FaultInjector(hang=lambda: None, die=lambda: None)


def busy_lab(folder: Path, profile: str) -> Lab:
    lab = create_lab(folder, profile)
    lab.start()
    lab.work(30)
    return lab


def logs_on_disk(lab: Lab) -> set[str]:
    return {path.name for path in lab.place.logs.iterdir()}


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_and_what_follows_it(profile: str, tmp_path: Path) -> None:
    lab = busy_lab(tmp_path / "lab", profile)
    server = SimulatedServer(lab)
    full = run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
    assert full.truncation is Truncation.DONE
    assert full.damaged == ()
    if profile not in WITH_LOGS_ONLY:
        return
    lab.work(30)
    after = BackupOptions(prior=load_prior(full.path))
    incremental = run_backup(server, tmp_path / "incremental.tokar", BackupKind.INCREMENTAL, after)
    assert incremental.truncation is Truncation.DONE
    lab.work(10)
    before = logs_on_disk(lab)
    differential = run_backup(server, tmp_path / "differential.tokar", BackupKind.DIFFERENTIAL)
    assert differential.truncation is Truncation.NOT_INTENDED
    assert before <= logs_on_disk(lab)
    for result in (full, incremental, differential):
        with tokar.open(result.path) as archive:
            verify(archive, content=True).demand()


@pytest.mark.parametrize("profile", WITH_LOGS_ONLY)
def test_logs_only_before_any_full_is_refused_with_its_reason(profile: str, tmp_path: Path) -> None:
    server = SimulatedServer(busy_lab(tmp_path / "lab", profile))
    with pytest.raises(LogsOnlyRefusedError) as caught:
        run_backup(server, tmp_path / "a.tokar", BackupKind.DIFFERENTIAL)
    assert caught.value.code == codes.FULL_BACKUP_NOT_TAKEN
    result = run_backup(server, tmp_path / "a.tokar", BackupKind.DIFFERENTIAL, BackupOptions(or_full=True))
    assert result.took is BackupKind.COPY


@pytest.mark.parametrize("profile", WITH_LOGS_ONLY)
def test_an_incremental_that_skips_a_set_is_not_licensed(profile: str, tmp_path: Path) -> None:
    lab = busy_lab(tmp_path / "lab", profile)
    server = SimulatedServer(lab)
    first = run_backup(server, tmp_path / "1.tokar", BackupKind.FULL)
    for number in (2, 3):
        lab.work(60)
        prior = load_prior(tmp_path / f"{number - 1}.tokar")
        run_backup(server, tmp_path / f"{number}.tokar", BackupKind.INCREMENTAL, BackupOptions(prior=prior))
    lab.work(60)
    before = logs_on_disk(lab)
    out = tmp_path / "4.tokar"
    with pytest.raises(SetError, match="are in neither set"):
        run_backup(server, out, BackupKind.INCREMENTAL, BackupOptions(prior=load_prior(first.path)))
    assert before <= logs_on_disk(lab)
    assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED


def _ends(calls: Sequence[str]) -> Iterator[int]:
    """Yield the calls for the first and the last file before and after the list of logs is asked for."""
    opened = [at for at, call in enumerate(calls) if call == "open"]
    middle = calls.index("backup_logs")
    for some in ([at for at in opened if at < middle], [at for at in opened if at > middle]):
        for start in {*some[:1], *some[-1:]}:
            yield from range(start, calls.index("close", start) + 1)


class Prepared:
    """A server at rest that a backup of some kind can be taken of, and the calls of one that nothing disturbs."""

    def __init__(self, folder: Path, profile: str, kind: BackupKind) -> None:
        self.kind = kind
        self.folder = folder / "lab"
        lab = busy_lab(self.folder, profile)
        self.options = BackupOptions(archive_id=bytes(16), threads=1)
        if kind in {BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL}:
            full = folder / "full.tokar"
            run_backup(SimulatedServer(lab, busy=0), full, BackupKind.FULL, self.options)
            lab.work(10)
            self.options = replace(self.options, prior=load_prior(full))
        lab.stop()
        server = self.server(folder / "clean")
        run_backup(server, folder / "clean.tokar", kind, self.options)
        self.calls = server.calls
        self.ends = set(_ends(server.calls))

    def server(self, folder: Path, *faults: Injection) -> SimulatedServer:
        """Return the server in a copy of its folder, at work."""
        shutil.copytree(self.folder, folder)
        return SimulatedServer(open_lab(folder), faults=faults, injector=QUIET)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, BackupKind], Prepared]:
    @cache
    def make(profile: str, kind: BackupKind) -> Prepared:
        return Prepared(tmp_path_factory.mktemp(profile), profile, kind)

    return make


# The directory service knows no logs only, so two of its kinds are refused before Prepare; that is tested elsewhere.
@pytest.mark.parametrize(
    ("profile", "kind", "blow"),
    sampled(
        [
            (profile, kind, blow)
            for profile in PROFILES
            for kind in ([BackupKind.FULL] if profile not in WITH_LOGS_ONLY else BackupKind)
            for blow in BLOWS
        ],
        # Every kind of blow with every kind of backup, and with every server.
        lambda profile, kind, blow: (PROFILES.index(profile) + [*BackupKind].index(kind) + BLOWS.index(blow)) % 3 == 0,
    ),
)
@pytest.mark.parametrize("files", ["some", pytest.param("all", marks=pytest.mark.torture)])
def test_each_call_in_turn_is_struck(
    profile: str,
    kind: BackupKind,
    blow: InjectionKind,
    *,
    files: str,
    prepared: Callable[[str, BackupKind], Prepared],
    tmp_path: Path,
) -> None:
    found = prepared(profile, kind)
    calls = found.calls
    # Reads are alike: the first of each file stands for all of them. So are files: the first and the last one of the
    # databases and of the others stand for all, except in the torture.
    struck = [at for at, call in enumerate(calls) if call != "read" or calls[at - 1] != "read"]
    if files == "some":
        struck = [at for at in struck if calls[at] not in {"open", "read", "close"} or at in found.ends]
    for at in struck:
        server = found.server(tmp_path / str(at), Injection(blow, nth=at + 1))
        lab, out = server.lab, tmp_path / f"{at}.tokar"
        before = logs_on_disk(lab)
        with pytest.raises(ArchiveError):
            run_backup(server, out, found.kind, found.options)
        made = list(server.calls)
        if at:
            assert made.count("end") == 1, made
        kept = calls[at] in {"truncate_logs", "end"}
        assert out.exists() is kept, calls[at]
        if kept:
            with tokar.open(out) as archive:
                verify(archive, content=True).demand()
        if not kept or calls[at] == "truncate_logs":
            assert before <= logs_on_disk(lab), calls[at]


def test_a_refused_kind_touches_nothing(tmp_path: Path) -> None:
    server = SimulatedServer(busy_lab(tmp_path / "lab", "ntdsbcli"))
    with pytest.raises(ProcedureError):
        run_backup(server, tmp_path / "a.tokar", BackupKind.DIFFERENTIAL)
    assert server.calls == ()
