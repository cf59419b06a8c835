"""Finds the sets of a chain: archives by name, and everything in a folder that is an archive or a receipt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar.errors import ArchiveError, InputError, StorageError
from tokar.format.archive import Archive
from tokar.format.layouts import MAGIC
from tokar.sets.backup_set import Member, member_of_archive, member_of_receipt
from tokar.sets.receipt import RECEIPT_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_SKIPPED_PREFIX: Final = "."
"""Hidden files: among them the temporary names of archives that are being written."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The sets that were found."""

    members: tuple[Member, ...]  # The sets
    problems: tuple[ArchiveError, ...]  # Archives and receipts in folders that cannot be read, each with the reason


def load_members(
    paths: Iterable[Path | str], *, examine: bool = False, progress: Callable[[int], None] | None = None
) -> Shelf:
    """Return the sets in archives, receipts and folders. A folder is looked into, its subfolders are not.

    Args:
        paths: Archives, receipts and folders.
        examine: Whether to check all pages and log segments as well.
        progress: Called with the bytes of content of each file that is done.

    Raises:
        ArchiveError: An archive or receipt that was named cannot be read.
        InputError: There is no archive at all.
    """
    members: list[Member] = []
    problems: list[ArchiveError] = []
    for path in map(Path, paths):
        if not path.is_dir():
            members.append(_load(path, examine=examine, progress=progress))
            continue
        for one in _sets_in(path):
            try:
                members.append(_load(one, examine=examine, progress=progress))
            except ArchiveError as error:
                problems.append(error)
    if not members and not problems:
        raise InputError("there is no archive there", hint="name archives, or folders with archives")
    return Shelf(tuple(members), tuple(problems))


def _load(path: Path, *, examine: bool, progress: Callable[[int], None] | None) -> Member:
    if path.name.endswith(RECEIPT_SUFFIX):
        return member_of_receipt(path)
    try:
        with Archive(path) as archive:
            return member_of_archive(archive, examine=examine, progress=progress)
    except ArchiveError as error:
        if error.path is None:
            error.path = path
        raise


def _sets_in(folder: Path) -> Iterator[Path]:
    """Yield the archives and receipts in a folder, in the order of their names; an archive is known by its first bytes."""
    try:
        listed = sorted(folder.iterdir())
    except OSError as error:
        raise StorageError(f"cannot read the folder: {error.strerror}", path=folder) from error
    for path in listed:
        if path.name.startswith(_SKIPPED_PREFIX) or not path.is_file():
            continue
        if path.name.endswith(RECEIPT_SUFFIX) or _is_archive(path):
            yield path


def _is_archive(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise StorageError(f"cannot read it: {error.strerror}", path=path) from error
