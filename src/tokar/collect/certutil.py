"""The folder that `certutil -backupDB` writes, and `certutil -restoreDB` takes.

    DIR/<CA name>.p12             the certificate and its private key, where certutil -backup or -backupKey was used
    DIR/DataBase/certbkxp.dat     the raw location list of the server: a W list, with a full backup
    DIR/DataBase/<CA name>.edb    the database, with a full backup
    DIR/DataBase/edb#####.log     the logs

Sources: certutil reference, "-backupDB"; certsrv.h (the two constant names); Knowledge Base 298138 (both levels get
mixed up).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tokar import names
from tokar.errors import InputError, LocationListError, StorageError, storage_errors
from tokar.location_list import CERTUTIL_LIST, parse_location_list
from tokar.paths import last_component
from tokar.storage.bytesource import read_start
from tokar.tokens import Role, role
from tokar.words import some

DATABASE_FOLDER: Final = "DataBase"
KEY_REMINDER: Final = (
    "the private key of the certification authority is not in this archive; back it up with certutil -backupKey"
)
# What it writes there: a folder where an engine is at work has a checkpoint or an open log as well.
_WRITTEN: Final = re.compile(r".+\.edb|.+\.pat|edb[0-9a-f]{5,8}\.log", re.IGNORECASE)
_MOST_NAMED: Final = 9  # folders, in an error about several
_MAX_LOCATION_SIZE: Final = 1 << 18  # real ones have some hundred bytes; HEAD, which keeps it, holds 512 KiB


@dataclass(frozen=True, slots=True)
class CertutilFolder:
    """A folder written by certutil."""

    database_folder: str  # The inner folder, whose files are the set
    location_list: bytes | None  # The bytes of `certbkxp.dat`; None in an incremental backup, which has none
    kind: str  # `full`, or `logs` where there is no database
    beside: tuple[str, ...] = ()  # Paths of what lies beside the inner folder, where the outer one was given
    keys: tuple[str, ...] = ()  # Paths of the private keys beside the inner folder, given at either level
    prefix: str = ""  # What stands before the names of its files: the inner folder, where the outer one was given

    @property
    def key_reminder(self) -> str:
        """What a person should know of the key that is not taken, by name where it is there."""
        if not self.keys:
            return KEY_REMINDER
        listed = some(names.printable(os.path.basename(path)) for path in self.keys)  # noqa: PTH119
        return f"{listed}, a private key beside {DATABASE_FOLDER}, is not in this archive: --with-key takes it"

    @property
    def databases(self) -> tuple[str, ...]:
        """The leaves of the databases that its location list names; none where that cannot be read."""
        try:
            listed = parse_location_list(self.location_list, wide=True)
        except LocationListError:
            return ()
        return tuple(last_component(one.path) for one in listed if role(one.token) is Role.DATABASE)


def recognise(folder: str) -> CertutilFolder | None:
    """Return what certutil wrote into a folder, given at either level, or None if it did not write it.

    Raises:
        StorageError: The folder or its location file cannot be read.
        LocationListError: The location file is too large to be one.
    """
    listed = _list(folder)
    beside: tuple[str, ...] = ()
    prefix = ""
    inner = next((name for name in listed if name.lower() == DATABASE_FOLDER.lower()), None)
    if inner is not None and os.path.isdir(os.path.join(folder, inner)):  # noqa: PTH112, PTH118
        beside = tuple(os.path.join(folder, name) for name in listed if name != inner)  # noqa: PTH118
        keys, prefix = beside, f"{inner}/"
        folder = os.path.join(folder, inner)  # noqa: PTH118
        listed = _list(folder)
        is_inner = True
    else:
        whole = os.path.abspath(folder)  # noqa: PTH100
        is_inner = os.path.basename(whole).lower() == DATABASE_FOLDER.lower()  # noqa: PTH119
        keys = tuple(_beside(os.path.dirname(whole))) if is_inner else ()  # noqa: PTH120
    location_file = next((name for name in listed if name.lower() == CERTUTIL_LIST), None)
    has_database = any(name.lower().endswith(".edb") for name in listed)
    if location_file is None and not (is_inner and listed and all(map(_WRITTEN.fullmatch, listed))):
        return None
    location_list = None
    if location_file is not None:
        location_list = _read(os.path.join(folder, location_file))  # noqa: PTH118
    keys = tuple(filter(names.is_key, keys))
    return CertutilFolder(folder, location_list, "full" if has_database else "logs", beside, keys, prefix)


def folders_inside(given: Iterable[str], left_out: Iterable[str]) -> list[str]:
    """Return the folders of certutil's that lie inside of folders whose files were gathered.

    Args:
        given: The folders.
        left_out: The names of the files in them that were left out, with `/`: its location lists are among these.
    """
    lists = dict.fromkeys(name for name in left_out if name.rpartition("/")[2].lower() == CERTUTIL_LIST)
    inside = []
    for path in (os.path.join(one, name) for one in given for name in lists):  # noqa: PTH118
        if os.path.lexists(path):
            folder = os.path.dirname(path)  # noqa: PTH120
            is_named = folder.lower().endswith(f"/{DATABASE_FOLDER.lower()}")
            inside.append(os.path.dirname(folder) if is_named else folder)  # noqa: PTH120
    return inside


def several_error(given: str, inside: Sequence[str], what: str, command: str) -> InputError:
    """Return the error for several folders of certutil's, which would become one set.

    Args:
        given: The folder that was given.
        inside: Those in it.
        what: What to do.
        command: The command that does it for one, with `{number}` and `{folder}`.
    """
    commands = "; ".join(
        command.format(number=number, folder=names.typed(one)) for number, one in enumerate(inside[:_MOST_NAMED], 1)
    )
    more = f"; and {len(inside) - _MOST_NAMED} more" if len(inside) > _MOST_NAMED else ""
    message = f"{len(inside)} folders that certutil wrote are in it, each a set of its own"
    return InputError(message, path=given, hint=f"{what}: {commands}{more}")


def _beside(folder: str) -> Iterator[str]:
    """Yield the paths of what is in the folder above the inner one; nothing where that cannot be listed."""
    with suppress(StorageError):
        yield from (os.path.join(folder, name) for name in _list(folder))  # noqa: PTH118


def _list(folder: str) -> Sequence[str]:
    with storage_errors("list the folder", folder):
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are enough


def _read(path: str) -> bytes:
    data = read_start(path, _MAX_LOCATION_SIZE + 1)
    if len(data) > _MAX_LOCATION_SIZE:
        raise LocationListError("it is too large to be a location list", path=path)
    return data
