"""Stories of a server that is backed up through tokar, and of chains restored through tokar, and by hand to compare.

What must come back is in the account that the test keeps of every commit (see engine_by_hand.py). By hand means: the
content of the archives is placed and registered without any of tokar's plan, procedure or judgement.
"""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine_by_hand import (
    Account,
    HandSet,
    Story,
    Taken,
    back_up,
    new_story,
    outcome_of,
    place,
    register,
    server_of,
    target_for,
    wipe,
)
from server_parts import parts_of

from tokar import names, tokens
from tokar.format.archive import Archive
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.restore.plan import Existing
from tokar.server.contract import BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.server.run_restore import RestorationResult, restore_to_server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokar.format.index import Entry
    from tokar.lab.lab import Lab
    from tokar.server.backup_result import BackupResult
    from tokar.server.licence import PriorSet

__all__ = [
    "Account",
    "Contents",
    "HandSet",
    "Kept",
    "Story",
    "Taken",
    "back_up",
    "content_of",
    "hand_set",
    "keep",
    "new_story",
    "outcome_of",
    "place",
    "placed_by_hand",
    "register",
    "restore",
    "server_of",
    "take",
    "target_for",
    "used_target",
    "wipe",
    "wiped_target",
]

Contents = dict[str, dict[bytes, bytes]]


@dataclass(frozen=True)
class Kept:
    """An archive with what it must give back.

    Attributes:
        path: Where it is.
        kind: What was taken.
        low: Its lowest log.
        high: Its highest log.
        expected: What must be there after a restore up to its highest log.
        epoch: How often the databases had been defragmented or restored before.
        before: The sets it was said to follow, the full first.
    """

    path: Path
    kind: BackupKind
    low: int
    high: int
    expected: Contents
    epoch: int = 0
    before: tuple[Kept, ...] = ()

    @property
    def is_full(self) -> bool:
        return self.kind in {BackupKind.FULL, BackupKind.COPY}

    @property
    def chain(self) -> tuple[Kept, ...]:
        return (*self.before, self)


def content_of(archive: Archive, entry: Entry) -> bytes:
    return b"".join(bytes(chunk.size) if chunk.data is None else bytes(chunk.data) for chunk in archive.chunks(entry))


def hand_set(path: Path) -> HandSet:
    """Return the content of an archive as if it had been taken by hand."""
    with Archive(path) as archive:
        files = [
            Taken(one.token, names.decode(one.raw_name, one.encoding) or one.name, content_of(archive, one))
            for one in archive
        ]
        expiry = archive.head.blob("expiry_token")
    databases = tuple(one for one in files if tokens.role(one.token) is tokens.Role.DATABASE)
    logs = tuple(one for one in files if one.token == tokens.LOG)
    patches = tuple(one for one in files if one not in databases and one not in logs)
    return HandSet(bool(databases), databases, logs, patches, expiry)


def keep(story: Story, path: Path, kind: BackupKind, *, epoch: int = 0, before: tuple[Kept, ...] = ()) -> Kept:
    """Note what an archive must give back."""
    with Archive(path) as archive:
        low, high = archive.summary.extra["generations"]["low"], archive.summary.extra["generations"]["high"]
    return Kept(path, kind, low, high, story.expected(high), epoch, before)


def take(
    story: Story, path: Path, kind: BackupKind, *, before: tuple[Kept, ...] = (), busy: int = 3, **options: Any
) -> Kept:
    """Back the server of a story up while its users work."""
    prior: PriorSet | None = load_prior(before[-1].path) if before else None
    result: BackupResult = run_backup(
        SimulatedServer(story.lab, busy=busy), path, kind, BackupOptions(prior=prior, threads=1, **options)
    )
    return keep(story, path, result.took, before=before)


def restore(lab: Lab, sets: Sequence[Kept], *, existing: Existing = Existing.REFUSE) -> RestorationResult:
    """Restore a chain through tokar; recovery is the caller's."""
    with ExitStack() as stack:
        archives = [stack.enter_context(Archive(one.path)) for one in sets]
        server = SimulatedServer(lab, running=False)
        return restore_to_server(server, parts_of(archives), existing=existing)


def placed_by_hand(lab: Lab, sets: Sequence[Kept], *, first_wins: bool = False) -> Contents | int:
    """Place and register sets by hand, recover, and return the contents or the engine's error.

    Args:
        lab: Where.
        sets: The sets, in the order of the chain.
        first_wins: Whether of two logs of one name in two sets the earlier set's is taken.
    """
    hand_sets = [hand_set(one.path) for one in sets]
    place(lab, [*reversed(hand_sets)] if first_wins else hand_sets)
    register(lab, hand_sets)
    return outcome_of(lab)


def used_target(story: Story, folder: Path) -> Lab:
    """Return a copy of the server as it lies on disk in this moment, as after a power cut."""
    shutil.copytree(story.lab.folder, folder)
    return open_lab(folder)


def wiped_target(story: Story, folder: Path) -> Lab:
    """Return a copy of the server that has lost its databases, logs and checkpoint."""
    lab = used_target(story, folder)
    wipe(lab)
    return lab
