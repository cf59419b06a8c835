"""tokar: restore-aware archives for the files that a database engine hands out through its backup procedure.

with tokar.create("set.tokar", profile="certadm") as writer:
    writer.add(0x44, name, stream)
with tokar.open("set.tokar") as archive:
    for entry in archive:
        print(entry.token, entry.name, entry.size, entry.digest)
    data = archive.read(archive.find("CA.edb"), 0, 4096)
    tokar.verify(archive, content=True).demand()

What is public is in `__all__`, and docs/api.md explains it. Each name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tokar._version import __version__ as __version__

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.check.ladder import CheckRequest as CheckRequest
    from tokar.check.ladder import check as check
    from tokar.check.report import ArchiveCheck as ArchiveCheck
    from tokar.check.report import CheckReport as CheckReport
    from tokar.check.report import Rung as Rung
    from tokar.check.report import RungFault as RungFault
    from tokar.check.report import RungResult as RungResult
    from tokar.check.report import RungState as RungState
    from tokar.errors import AmbiguousLocationError as AmbiguousLocationError
    from tokar.errors import ArchiveError as ArchiveError
    from tokar.errors import BadMagicError as BadMagicError
    from tokar.errors import CheckMismatchError as CheckMismatchError
    from tokar.errors import CollisionError as CollisionError
    from tokar.errors import DigestMismatchError as DigestMismatchError
    from tokar.errors import ExistingFileError as ExistingFileError
    from tokar.errors import FormatError as FormatError
    from tokar.errors import HeaderError as HeaderError
    from tokar.errors import InputError as InputError
    from tokar.errors import IntegrityError as IntegrityError
    from tokar.errors import LocationListError as LocationListError
    from tokar.errors import NoRoomError as NoRoomError
    from tokar.errors import NoSuchEntryError as NoSuchEntryError
    from tokar.errors import PartialError as PartialError
    from tokar.errors import ProcedureError as ProcedureError
    from tokar.errors import RestoreError as RestoreError
    from tokar.errors import SetError as SetError
    from tokar.errors import SourceChangedError as SourceChangedError
    from tokar.errors import SourceError as SourceError
    from tokar.errors import StorageError as StorageError
    from tokar.errors import UnknownTokenError as UnknownTokenError
    from tokar.errors import UnsafeNameError as UnsafeNameError
    from tokar.errors import UnsealedError as UnsealedError
    from tokar.errors import UnsupportedError as UnsupportedError
    from tokar.format.archive import Archive as Archive
    from tokar.format.bodies import FileList as FileList
    from tokar.format.compression import Compression as Compression
    from tokar.format.index import Entry as Entry
    from tokar.format.metadata import Head as Head
    from tokar.format.metadata import Summary as Summary
    from tokar.format.verify import VerifyFault as VerifyFault
    from tokar.format.verify import VerifyReport as VerifyReport
    from tokar.format.verify import verify as verify
    from tokar.format.writer import ArchiveWriter as ArchiveWriter
    from tokar.format.writer import Sealed as Sealed
    from tokar.restore.options import RestoreOptions as RestoreOptions
    from tokar.restore.place import PlacingStoppedError as PlacingStoppedError
    from tokar.restore.plan import Existing as Existing
    from tokar.restore.plan import Plan as Plan
    from tokar.restore.plan import Problem as Problem
    from tokar.restore.plan import Step as Step
    from tokar.restore.prepare import ChosenSets as ChosenSets
    from tokar.restore.prepare import OpenSets as OpenSets
    from tokar.restore.prepare import RestorePlan as RestorePlan
    from tokar.restore.prepare import place_sets as place  # noqa: F401 - in `__all__` by way of the table
    from tokar.restore.prepare import plan_restore as plan_restore
    from tokar.salvage.losses import DamagedFile as DamagedFile
    from tokar.salvage.losses import LostRange as LostRange
    from tokar.salvage.losses import SalvageReport as SalvageReport
    from tokar.salvage.salvage import salvage as salvage
    from tokar.server.backup_steps import LogsOnlyRefusedError as LogsOnlyRefusedError
    from tokar.server.contract import BackupKind as BackupKind
    from tokar.server.contract import NoAnswerError as NoAnswerError
    from tokar.server.contract import Server as Server
    from tokar.server.contract import ServerError as ServerError
    from tokar.server.deadline import Deadlines as Deadlines
    from tokar.server.deadline import DeadlineServer as DeadlineServer
    from tokar.server.directory_source import DirectoryServer as DirectoryServer
    from tokar.server.licence import PriorSet as PriorSet
    from tokar.server.prior import load_prior as load_prior
    from tokar.server.run_backup import BackupOptions as BackupOptions
    from tokar.server.run_backup import BackupPartialError as BackupPartialError
    from tokar.server.run_backup import BackupResult as BackupResult
    from tokar.server.run_backup import run_backup as backup  # noqa: F401 - in `__all__` by way of the table
    from tokar.server.states import OutOfOrderError as OutOfOrderError
    from tokar.sets.choose import NotRestorableError as NotRestorableError
    from tokar.sets.receipt import Receipt as Receipt
    from tokar.storage.bytesource import ByteSource as ByteSource
    from tokar.storage.bytesource import BytesSource as BytesSource
    from tokar.storage.bytesource import FileSource as FileSource
    from tokar.storage.sink import FileSink as FileSink
    from tokar.storage.sink import PipeSink as PipeSink
    from tokar.storage.sink import Sink as Sink

# Where each public name lives: the doors and what they take, return and raise.
_HOMES = {
    "check.ladder": "CheckRequest check",
    "check.report": "ArchiveCheck CheckReport Rung RungFault RungResult RungState",
    "errors": (
        "AmbiguousLocationError ArchiveError BadMagicError CheckMismatchError CollisionError "
        "DigestMismatchError ExistingFileError FormatError HeaderError InputError IntegrityError LocationListError "
        "NoRoomError NoSuchEntryError PartialError ProcedureError RestoreError SetError SourceChangedError "
        "SourceError StorageError UnknownTokenError UnsafeNameError UnsealedError UnsupportedError"
    ),
    "format.archive": "Archive",
    "format.bodies": "FileList",
    "format.compression": "Compression",
    "format.index": "Entry",
    "format.metadata": "Head Summary",
    "format.verify": "VerifyFault VerifyReport verify",
    "format.writer": "ArchiveWriter Sealed",
    "restore.options": "RestoreOptions",
    "restore.place": "PlacingStoppedError",
    "restore.plan": "Existing Plan Problem Step",
    "restore.prepare": "ChosenSets OpenSets RestorePlan place plan_restore",
    "salvage.losses": "DamagedFile LostRange SalvageReport",
    "salvage.salvage": "salvage",
    "server.backup_steps": "LogsOnlyRefusedError",
    "server.contract": "BackupKind NoAnswerError Server ServerError",
    "server.directory_source": "DirectoryServer",
    "server.deadline": "DeadlineServer Deadlines",
    "server.licence": "PriorSet",
    "server.prior": "load_prior",
    "server.run_backup": "BackupOptions BackupPartialError BackupResult backup",
    "server.states": "OutOfOrderError",
    "sets.choose": "NotRestorableError",
    "sets.receipt": "Receipt",
    "storage.bytesource": "ByteSource BytesSource FileSource",
    "storage.sink": "FileSink PipeSink Sink",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_CALLED_THERE = {"backup": "run_backup", "place": "place_sets"}

__all__ = ["__version__", "create", "open"]
__all__ += list(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: `import tokar` alone stays cheap."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'tokar' has no attribute {name!r}")
    found = getattr(import_module(f"tokar.{_HOME_OF[name]}"), _CALLED_THERE.get(name, name))
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """The package. A folder that is called like a door (`check`, `salvage`) does not take its name when imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in _HOME_OF):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def create(
    path: Path | str,
    *,
    profile: str,
    kind: str = "collected",
    compress: str = "zstd",
    replace: bool = False,
    archive_id: bytes | None = None,
    **head: Any,
) -> ArchiveWriter:
    """Begin an archive at a path.

    Use the writer as a context manager: it seals at the end, and leaves nothing behind after an error.

    Args:
        path: Where the archive appears, once it is sealed.
        profile: Name of the token profile.
        kind: `full`, `logs` or `collected`.
        compress: `none`, `zstd` or `zstd:LEVEL`.
        replace: Whether an archive of that name may be replaced at the end.
        archive_id: 16 bytes; random by default.
        head: Further keys of HEAD (spec/format.md section 6.1), such as `server` or `annotation`.

    Raises:
        ExistingFileError: The name is taken.
        StorageError: Nothing can be written there.
        InputError: An argument is out of range.
        FormatError: A key of HEAD cannot be written.
    """
    from tokar.format import canonical_json  # noqa: PLC0415 - `import tokar` alone stays cheap
    from tokar.format.compression import Compression  # noqa: PLC0415
    from tokar.format.metadata import Head  # noqa: PLC0415
    from tokar.format.writer import ArchiveWriter, system_clock  # noqa: PLC0415
    from tokar.storage.sink import FileSink  # noqa: PLC0415

    compression = Compression.parse(compress)
    made = Head(canonical_json.to_time(system_clock()), kind, profile, f"tokar {__version__}", extra=head)
    sink = FileSink(path, replace=replace)
    try:
        return ArchiveWriter(sink, made, archive_id=archive_id, compression=compression)
    except BaseException:
        sink.discard()
        raise


def open(source: ByteSource | Path | str) -> Archive:  # noqa: A001 - as in gzip.open and tarfile.open
    """Open a sealed archive for reading.

    Args:
        source: A path, or anything with `size` and `read(offset, size)`.

    Raises:
        StorageError: The file cannot be read.
        BadMagicError: It is not an archive.
        UnsupportedError: It needs a newer reader.
        UnsealedError: Its end is missing.
        FormatError: It is damaged.
    """
    from tokar.format.archive import Archive  # noqa: PLC0415 - `import tokar` alone stays cheap

    return Archive(source)
