"""A rehearsal: every file is really restored, into a scratch directory, read again, and removed.

It shows what no look at the archive can: that this machine has the room, the rights and the names, and that what lies
there afterwards is what was archived. Files that would share a name, because they go to different directories in
earnest, get directories of their own.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar import names
from tokar.collect.found import digest_of
from tokar.errors import storage_errors
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.restore.inventory import engine_file, take_inventory
from tokar.restore.options import Request, places_to_look_at
from tokar.restore.place import place
from tokar.restore.planner import make_plan
from tokar.sets.facts import SetFacts
from tokar.sets.read import facts_of_archive
from tokar.sets.recorded import RecordedFacts

if TYPE_CHECKING:
    from blake3 import blake3

_PREFIX: Final = "tokar-rehearsal-"


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal came to."""

    files: int  # Files that were restored
    size: int  # Their bytes
    differences: tuple[str, ...]  # What was not as it should be
    left_out: tuple[str, ...]  # What could not be rehearsed, and why


def rehearse(archive: Archive, directory: Path, facts: SetFacts) -> Rehearsal:
    """Restore an archive to a scratch directory, read it again, and remove the scratch directory.

    Args:
        archive: The archive.
        directory: Where the scratch directory is made.
        facts: What the files in the archive say of themselves: the restored ones must say the same.

    Raises:
        RestoreError: There is no room, or another reason not to write.
        FormatError: The archive is damaged.
        StorageError: The operating system refused.
    """
    with storage_errors("make a scratch directory", directory):
        scratch = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=directory)).absolute()
    try:
        groups, nameless = _groups(archive)
        placed: dict[int, Path] = {}
        for number, entries in enumerate(groups):
            placed |= _restore(archive, entries, scratch / str(number))
        differences = [f"{archive.entry(number).name} is not what was archived" for number in _unlike(archive, placed)]
        recorded = RecordedFacts(archive)
        if facts_of_archive(archive, examine=facts.examined, placed=placed, recorded=recorded) != facts:
            differences.append("the restored files say other things of themselves than the archived ones")
        size = sum(archive.entry(number).size for number in placed)
        left_out = tuple(f"{entry.name} has no safe name: it needs --to NAME=PATH" for entry in nameless)
        return Rehearsal(len(placed), size, tuple(differences), left_out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _groups(archive: Archive) -> tuple[list[list[Entry]], list[Entry]]:
    """Return the entries in groups without equal names, and those that have no safe name."""
    groups: list[list[Entry]] = []
    nameless: list[Entry] = []
    seen: Counter[str] = Counter()
    for entry in archive:
        if entry.leaf is None:
            nameless.append(entry)
            continue
        key = names.collision_key(entry.leaf)
        at = seen[key]
        seen[key] += 1
        if at == len(groups):
            groups.append([])
        groups[at].append(entry)
    return groups, nameless


def _restore(archive: Archive, entries: list[Entry], folder: Path) -> dict[int, Path]:
    """Put entries into one folder; return where each of them is.

    Raises:
        RestoreError: The plan has a problem.
    """
    request = Request(profile=archive.head.profile, roots=(archive.root.hex(),), into=str(folder))
    plan = make_plan(entries, request, take_inventory(places_to_look_at(request), engine_file))
    place(plan, archive)
    return {entry.number: folder / names.leaf(entry.raw_name, entry.encoding) for entry in entries}


def _unlike(archive: Archive, placed: dict[int, Path]) -> list[int]:
    """Return the entries whose restored files have another digest."""
    entries = ((archive.entry(number), path) for number, path in placed.items())
    return [entry.number for entry, path in entries if _digest(path, entry.hasher()) != entry.digest]


def _digest(path: Path, hasher: blake3) -> bytes:
    with storage_errors("read what was restored", path), path.open("rb") as file:
        return digest_of(file.fileno(), hasher)
