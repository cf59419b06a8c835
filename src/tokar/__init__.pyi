# What type checkers see of the package; `__init__.py` loads the same names when they are first used.

from tokar._version import __version__
from tokar.check.ladder import CheckRequest, check
from tokar.check.report import ArchiveCheck, CheckReport, Rung, RungFault, RungResult, RungState
from tokar.collect.on_disk import open_set
from tokar.doors import create, open  # noqa: A004 - as in gzip.open and tarfile.open
from tokar.errors import (
    AmbiguousLocationError,
    ArchiveError,
    BadMagicError,
    CheckMismatchError,
    CollisionError,
    DigestMismatchError,
    ExhaustedError,
    ExistingFileError,
    FormatError,
    HeaderError,
    InputError,
    IntegrityError,
    LocationListError,
    LockedError,
    MissingExtraError,
    NoRoomError,
    NoSuchEntryError,
    NothingFoundError,
    NotSignedError,
    PartialError,
    ProcedureError,
    RestoreError,
    SetError,
    SigningError,
    SourceChangedError,
    SourceError,
    StorageError,
    UnknownTokenError,
    UnsafeNameError,
    UnsealedError,
    UnsupportedError,
)
from tokar.format.archive import Archive
from tokar.format.bodies import FileList
from tokar.format.compression import Compression
from tokar.format.index import Entry
from tokar.format.metadata import Head, Summary
from tokar.format.verify import VerifyFault, VerifyReport, verify
from tokar.format.writer import ArchiveWriter, Sealed
from tokar.replay.files import SetFiles
from tokar.replay.recover import RecoveredFile, recover
from tokar.report.render import report
from tokar.restore.chosen import ChosenSets, OpenSets
from tokar.restore.options import RestoreOptions
from tokar.restore.place import PlacingStoppedError
from tokar.restore.plan import Existing, Plan, Problem, Step
from tokar.restore.prepare import RestorePlan, plan_restore
from tokar.restore.prepare import place_sets as place
from tokar.salvage.losses import DamagedFile, LostRange, SalvageReport
from tokar.salvage.salvage import salvage
from tokar.server.backup_result import BackupResult
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import BackupKind, NoAnswerError, Server, ServerError, SourceKind
from tokar.server.deadline import Deadlines, DeadlineServer
from tokar.server.directory_source import DirectoryServer
from tokar.server.licence import PriorSet
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, BackupPartialError
from tokar.server.run_backup import run_backup as backup
from tokar.server.states import OutOfOrderError
from tokar.sets.choose import NotRestorableError
from tokar.sets.receipt import Receipt
from tokar.storage.bytesource import ByteSource, BytesSource, FileSource
from tokar.storage.sink import FileSink, PipeSink, Sink
from tokar.trust.recipients import Identities, Recipients
from tokar.trust.rekeying import rekey
from tokar.trust.signatures import AcceptedSignature, AllowedSigners, FoundSignature, Signer, signatures_of
from tokar.trust.signing import SignedArchive, sign_archive

__all__ = [
    "AcceptedSignature",
    "AllowedSigners",
    "AmbiguousLocationError",
    "Archive",
    "ArchiveCheck",
    "ArchiveError",
    "ArchiveWriter",
    "BackupKind",
    "BackupOptions",
    "BackupPartialError",
    "BackupResult",
    "BadMagicError",
    "ByteSource",
    "BytesSource",
    "CheckMismatchError",
    "CheckReport",
    "CheckRequest",
    "ChosenSets",
    "CollisionError",
    "Compression",
    "DamagedFile",
    "DeadlineServer",
    "Deadlines",
    "DigestMismatchError",
    "DirectoryServer",
    "Entry",
    "ExhaustedError",
    "Existing",
    "ExistingFileError",
    "FileList",
    "FileSink",
    "FileSource",
    "FormatError",
    "FoundSignature",
    "Head",
    "HeaderError",
    "Identities",
    "InputError",
    "IntegrityError",
    "LocationListError",
    "LockedError",
    "LogsOnlyRefusedError",
    "LostRange",
    "MissingExtraError",
    "NoAnswerError",
    "NoRoomError",
    "NoSuchEntryError",
    "NotRestorableError",
    "NotSignedError",
    "NothingFoundError",
    "OpenSets",
    "OutOfOrderError",
    "PartialError",
    "PipeSink",
    "PlacingStoppedError",
    "Plan",
    "PriorSet",
    "Problem",
    "ProcedureError",
    "Receipt",
    "Recipients",
    "RecoveredFile",
    "RestoreError",
    "RestoreOptions",
    "RestorePlan",
    "Rung",
    "RungFault",
    "RungResult",
    "RungState",
    "SalvageReport",
    "Sealed",
    "Server",
    "ServerError",
    "SetError",
    "SetFiles",
    "SignedArchive",
    "Signer",
    "SigningError",
    "Sink",
    "SourceChangedError",
    "SourceError",
    "SourceKind",
    "Step",
    "StorageError",
    "Summary",
    "UnknownTokenError",
    "UnsafeNameError",
    "UnsealedError",
    "UnsupportedError",
    "VerifyFault",
    "VerifyReport",
    "__version__",
    "backup",
    "check",
    "create",
    "load_prior",
    "open",
    "open_set",
    "place",
    "plan_restore",
    "recover",
    "rekey",
    "report",
    "salvage",
    "sign_archive",
    "signatures_of",
    "verify",
]
