"""What stands in the folders of a lab is its own: nothing outside of them is written to, and no pipe is waited for."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tokar.errors import InputError, storage_errors
from tokar.ese.filenames import DATABASE_SUFFIXES, NameRole, parse_file_name
from tokar.storage.directory import inode_of

_FILE_SUFFIXES: Final = (*DATABASE_SUFFIXES, ".json", ".tmp")
_KINDS: Final = {stat.S_ISLNK: "a link", stat.S_ISFIFO: "a pipe", stat.S_ISDIR: "a directory"}
_OWN: Final = "move it away, or put a copy of the file there: a lab works with files of its own alone"


def demand_inside(folder: Path, *paths: Path) -> None:
    """Check that paths lie in the folder of a lab, links included: nothing outside it is touched.

    Raises:
        InputError: One does not.
    """
    inside = os.path.realpath(folder)  # resolve() raises what is no OSError where links lead in a circle
    for path in paths:
        if not Path(os.path.realpath(path)).is_relative_to(inside):
            raise InputError("it leads out of the lab", path=path, hint="put a folder of its own there, and no link")


def demand_own_files(*folders: Path) -> None:
    """Check that folders of a lab have nothing but files of their own, and folders where no file is looked for.

    Args:
        folders: The folders; one that is missing is passed over.

    Raises:
        InputError: One has a link, a pipe, a device, a directory in the place of a file, or a file that has another
            name elsewhere.
        StorageError: One cannot be listed.
    """
    names: Counter[str] = Counter()  # how many names each file has here, and has at all
    found: dict[str, tuple[str, int]] = {}
    for entry in _entries({os.path.realpath(one) for one in folders}):
        with storage_errors("look at the file", entry.path):
            info = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(info.st_mode):
            names[inode_of(info)] += 1
            found[inode_of(info)] = entry.path, info.st_nlink
        elif not stat.S_ISDIR(info.st_mode) or _is_name_of_file(entry.name):
            what = next((word for is_one, word in _KINDS.items() if is_one(info.st_mode)), "a device or a socket")
            raise InputError(f"{what} stands where the lab has files", path=entry.path, hint=_OWN)
    for identity, (path, links) in found.items():
        if links > names[identity]:
            raise InputError("this file has another name outside the lab and would change there", path=path, hint=_OWN)


def _entries(folders: Iterable[str]) -> Iterable[os.DirEntry[str]]:
    for folder in sorted(folders):
        if os.path.isdir(folder):  # noqa: PTH112 - text
            with storage_errors("list the directory", folder), os.scandir(folder) as entries:
                yield from entries


def _is_name_of_file(name: str) -> bool:
    return parse_file_name(name).role is not NameRole.UNKNOWN or name.lower().endswith(_FILE_SUFFIXES)
