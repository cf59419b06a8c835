"""tokar: restore-aware archives for the files that a database engine hands out through its backup procedure.

with tokar.create("set.tokar", profile="certadm") as writer:
    writer.add(0x44, name, stream)
with tokar.open("set.tokar") as archive:
    for entry in archive:
        print(entry.token, entry.name, entry.size, entry.digest)
    data = archive.read(archive.find("CA.edb"), 0, 4096)
    tokar.verify(archive, content=True).demand()

What is public is in `__all__`, and docs/reference/api.md explains it. Each name is loaded when it is first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from tokar._version import __version__ as __version__

# Where each public name lives: the doors and what they take, return and raise.
_HOMES = {
    "check.ladder": "CheckRequest check",
    "check.report": "ArchiveCheck CheckReport Rung RungFault RungResult RungState",
    "collect.on_disk": "open_set",
    "doors": "create open",
    "errors": (
        "AmbiguousLocationError ArchiveError BadMagicError CheckMismatchError CollisionError "
        "DigestMismatchError ExhaustedError ExistingFileError FormatError HeaderError InputError IntegrityError "
        "LocationListError LockedError MissingExtraError NoRoomError NoSuchEntryError NotSignedError "
        "NothingFoundError PartialError ProcedureError RestoreError SetError SigningError SourceChangedError "
        "SourceError StorageError UnknownTokenError UnsafeNameError UnsealedError UnsupportedError"
    ),
    "format.archive": "Archive",
    "format.bodies": "FileList",
    "format.compression": "Compression",
    "format.index": "Entry",
    "format.metadata": "Head Summary",
    "format.verify": "VerifyFault VerifyReport verify",
    "format.writer": "ArchiveWriter Sealed",
    "replay.files": "SetFiles",
    "replay.recover": "RecoveredFile recover",
    "report.render": "report",
    "restore.options": "RestoreOptions",
    "restore.place": "PlacingStoppedError",
    "restore.plan": "Existing Plan Problem Step",
    "restore.chosen": "ChosenSets OpenSets",
    "restore.prepare": "RestorePlan place plan_restore",
    "salvage.losses": "DamagedFile LostRange SalvageReport",
    "salvage.salvage": "salvage",
    "server.backup_steps": "LogsOnlyRefusedError",
    "server.contract": "BackupKind NoAnswerError Server ServerError SourceKind",
    "server.directory_source": "DirectoryServer",
    "server.deadline": "DeadlineServer Deadlines",
    "server.licence": "PriorSet",
    "server.prior": "load_prior",
    "server.backup_result": "BackupResult",
    "server.run_backup": "BackupOptions BackupPartialError backup",
    "server.states": "OutOfOrderError",
    "sets.choose": "NotRestorableError",
    "sets.receipt": "Receipt",
    "storage.bytesource": "ByteSource BytesSource FileSource",
    "storage.sink": "FileSink PipeSink Sink",
    "trust.recipients": "Identities Recipients",
    "trust.rekeying": "rekey",
    "trust.signatures": "AcceptedSignature AllowedSigners FoundSignature Signer signatures_of",
    "trust.signing": "SignedArchive sign_archive",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
_CALLED_THERE = {"backup": "run_backup", "place": "place_sets"}

__all__ = ["__version__"]
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
