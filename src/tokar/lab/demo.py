"""The whole story in a few seconds: a simulated server is backed up, loses everything, and comes back exactly.

Nothing is staged: the server works while it is read, the archives and the restore are the real ones, and what must come
back is kept by an account of every committed transaction that neither the engine nor the restore can see.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tokar.errors import ArchiveError, ExistingFileError
from tokar.format.archive import Archive
from tokar.format.verify import verify
from tokar.lab.instance import Listener
from tokar.lab.lab import Lab, create_lab
from tokar.lab.server import SimulatedServer
from tokar.lab.tables import Change
from tokar.restore.chosen import OpenSets
from tokar.server.backup_result import BackupResult
from tokar.server.contract import BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.server.run_restore import RestorationResult, parts_of_chosen, restore_to_server
from tokar.tokens import token_name
from tokar.words import count_text, log_range

PROFILE: Final = "edbbcli"
_TRANSACTIONS: Final = 150
_SEED: Final = 4


@dataclass
class Account(Listener):
    """What was committed, by database: now, and at the closing of each log. The engine tells it and never asks it."""

    now: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    at: dict[int, dict[int, dict[bytes, bytes]]] = field(default_factory=dict)

    def committed(self, changes: Sequence[Change]) -> None:
        """Take note of a transaction."""
        for dbid, key, value in changes:
            records = self.now.setdefault(dbid, {})
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value

    def closed(self, generation: int) -> None:
        """Take note of what there is when a log is closed."""
        self.at[generation] = {dbid: dict(records) for dbid, records in self.now.items()}


@dataclass(frozen=True, slots=True)
class DemoResult:
    """How the story ended."""

    archives: tuple[Path, ...]  # The sets, in the order they were made
    records: int  # How many records came back
    equal: bool  # Whether every database holds exactly what was committed when the last log of the chain was closed


def run_demo(folder: Path, say: Callable[[str], None]) -> DemoResult:
    """Run the story in a folder that is made for it.

    Args:
        folder: Where; it must not exist, or be the folder of an earlier demo, which is replaced.
        say: Told each line of the story.

    Raises:
        ExistingFileError: The folder is there and is no earlier demo.
        ArchiveError: Something went wrong that must not.
    """
    return _Story(_fresh(folder), say).run()


_MARK: Final = "this-is-a-tokar-demo"


def _fresh(folder: Path) -> Path:
    if folder.exists():
        if not (folder / _MARK).is_file():
            raise ExistingFileError(
                "it is there already, and is no earlier demo", path=folder, hint="name another folder"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / _MARK).touch()
    return folder


class _Story:
    def __init__(self, folder: Path, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._say = say
        self._account = Account()
        self._sets = folder / "sets"
        self._sets.mkdir()

    def run(self) -> DemoResult:
        lab = create_lab(self._folder / "server", PROFILE, seed=_SEED, listener=self._account)
        self._chapter("A simulated Exchange server with a private and a public store, and users at work.")
        lab.work(_TRANSACTIONS)
        for one in lab.locations():
            self._say(f"  0x{one.token:02X} {token_name(one.token, PROFILE):<17} {one.name}")
        archives = self._back_up(lab)
        self._inspect(archives[0])
        self._damage(archives[1])
        lab.crash()
        target = create_lab(self._folder / "other-server", PROFILE, seed=_SEED + 1, empty=True)
        result = self._restore(target, archives)
        return self._prove(target, archives, result)

    def _chapter(self, title: str) -> None:
        self._say("")
        self._say(title)

    def _back_up(self, lab: Lab) -> tuple[Path, ...]:
        self._chapter(
            "Four backups by procedure, while users go on working. "
            "Logs are truncated only after the archive is sealed and re-read."
        )
        server = SimulatedServer(lab)
        kinds = (BackupKind.FULL, BackupKind.INCREMENTAL, BackupKind.INCREMENTAL, BackupKind.DIFFERENTIAL)
        made: list[Path] = []
        for number, kind in enumerate(kinds, 1):
            out = self._sets / f"{number}-{kind.value}.tokar"
            after = f" --after {made[-1].name}" if made else ""
            self._say(f"  $ tokar backup lab:server {out.name} --type {kind.value}{after}")
            prior = load_prior(made[-1]) if made else None
            self._say(f"    {_summary(run_backup(server, out, kind, BackupOptions(prior=prior)))}")
            made.append(out)
            if number < len(kinds):
                lab.work(_TRANSACTIONS // 3)
        return tuple(made)

    def _inspect(self, path: Path) -> None:
        self._chapter("What is in the full, each file with the token that the server gave it:")
        self._say(f"  $ tokar inspect --entries {path.name}")
        with Archive(path) as archive:
            for entry in archive:
                token = f"0x{entry.token:02X} {token_name(entry.token, PROFILE)}"
                self._say(f"    {token:<21} {entry.size:>7,}  {entry.digest.hex()[:8]}  {entry.name}")

    def _damage(self, path: Path) -> None:
        self._chapter("One flipped bit in a copy of the second set is found, and located:")
        copy = self._folder / "damaged-copy.tokar"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        copy.write_bytes(data)
        self._say(f"  $ tokar verify {copy.name}")
        try:
            with Archive(copy) as archive:
                verify(archive).demand()
        except ArchiveError as error:
            self._say(f"    error: {error}")
            return
        raise ArchiveError("the damage was not found", path=copy, hint="this is a fault of tokar: please report it")

    def _restore(self, target: Lab, archives: Sequence[Path]) -> RestorationResult:
        self._chapter(
            "The server is lost. The chain goes to another one, whose directories are elsewhere: "
            "every file where its token belongs."
        )
        self._say(f"  $ tokar restore {' '.join(path.name for path in archives)} --server lab:other-server")
        with OpenSets(archives) as sets:
            result = restore_to_server(SimulatedServer(target, running=False), parts_of_chosen(sets.select()))
        for directory in result.plan.directories:
            self._say(f"    {directory.files:>3} files to {directory.path}")
        full, last = result.registrations[0], result.registrations[-1]
        self._say(
            f"    registered: {log_range(full.generation_low, last.generation_high)}, "
            f"{count_text(len(full.restore_map or ()), 'database')} in the restore map"
        )
        return result

    def _prove(self, target: Lab, archives: tuple[Path, ...], result: RestorationResult) -> DemoResult:
        self._chapter(
            "The engine recovers: it plays the logs, applies the patch files, and undoes what was never committed."
        )
        self._say("  $ tokar lab recover other-server")
        recovered = target.recover()
        self._say(
            f"    hard recovery: {log_range(recovered.low, recovered.high)}, "
            f"{count_text(recovered.undone, 'transaction')} undone"
        )
        committed = self._account.at[result.registrations[-1].generation_high]
        expected = {each.name: committed.get(each.dbid, {}) for each in target.config.databases}
        found = target.contents()
        for name, records in found.items():
            verdict = "exactly what was committed" if records == expected[name] else "NOT what was committed"
            self._say(f"    {name:<9} {len(records):>4} records: {verdict}")
        return DemoResult(archives, sum(map(len, found.values())), equal=expected == found)


def _summary(result: BackupResult) -> str:
    sealed = result.sealed
    logs = log_range(*(result.generations or (0, 0)))
    return f"{sealed.entries} files, {logs}, truncation: {result.truncation.value}, root {sealed.root.hex()[:16]}..."
