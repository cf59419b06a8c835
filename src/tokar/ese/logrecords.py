"""The records of a log: what each type holds, byte for byte.

A record begins with its type. Its size follows from the type and from its own length fields; there is no frame around
it. All layouts are packed: what varies in length stands behind all fields of a fixed size, in the order given. What a
type does to a page is with those who play records; here is only what the bytes are.

Source: Microsoft, Extensible Storage Engine, logapi.hxx, log.hxx and daedef.hxx.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Annotated, Final

from tokar.ese import pagerecords as pages
from tokar.ese.pagerecords import EseRecord, SessionRecord
from tokar.ese.record import U8, U16, U32, U64, Sized, raw
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature

_DATA = Annotated[bytes, Sized("data_size")]
_PATH = Annotated[bytes, Sized("path_size")]
UTF16_PATH: Final = 8
"""The flag of a record whose path is UTF-16LE; else it is in the code page of its server."""


# fmt: off
@dataclass(slots=True)
class BeginRecord(SessionRecord):
    """Levels of a transaction begin: the lower half is the level before, the upper one how many."""

    levels: U8


@dataclass(slots=True)
class OutermostBeginRecord(BeginRecord):
    """A transaction begins."""

    transaction: U32


@dataclass(slots=True)
class CommitRecord(SessionRecord):
    """A level of a transaction is committed."""

    level: U8  # after it


@dataclass(slots=True)
class OutermostCommitRecord(CommitRecord):
    """A transaction is committed."""

    transaction: U32


@dataclass(slots=True)
class RollbackRecord(SessionRecord):
    """Levels of a transaction have been rolled back."""

    levels: U8  # how many


@dataclass(slots=True)
class RefreshRecord(SessionRecord):
    """A transaction gets another number."""

    transaction: U32


@dataclass(slots=True)
class PrepareRecord(SessionRecord):
    """A distributed transaction is prepared."""

    data_size: U32
    data: _DATA


@dataclass(slots=True)
class MacroRecord(SessionRecord):
    """Changes of several pages that belong together begin or end."""

    dbtime: U64


@dataclass(slots=True)
class CreateRecord(SessionRecord):
    """A database is created."""

    dbid:          U8
    grbit:         U32
    maximum_pages: U32
    signature:     Signature
    path_size:     U16
    flags:         U8  # 4 a version follows, 8 the path is UTF-16, 0x10 sparse
    version: Annotated[bytes, Sized("flags", 4)]
    path:    _PATH


@dataclass(slots=True)
class AttachRecord(SessionRecord):
    """A database is attached."""

    dbid:                U8
    maximum_pages:       U32
    consistent_position: LogPosition
    signature:           Signature
    log_signature:       Signature
    path_size:           U16
    flags:               U8
    path: _PATH


@dataclass(slots=True)
class DetachRecord(SessionRecord):
    """A database is detached."""

    dbid:      U8
    path_size: U16
    flags:     U8
    path: _PATH


@dataclass(slots=True)
class DatabaseRecord(EseRecord):
    """A record that names a database and nothing else."""

    dbid: U8


@dataclass(slots=True)
class SessionDatabaseRecord(SessionRecord):
    """A record that names a session and a database and nothing else."""

    dbid: U8


@dataclass(slots=True)
class VersionRecord(DatabaseRecord):
    """The version of a database rises."""

    version:      U32
    update_major: U32
    update_minor: U32


@dataclass(slots=True)
class RangeRecord(DatabaseRecord):
    """Pages are trimmed or shrunk away."""

    first: U32  # shrunk: the last page that stays
    pages: U32


@dataclass(slots=True)
class TimedRangeRecord(RangeRecord):
    """The same with a dbtime."""

    dbtime: U64


@dataclass(slots=True)
class FreedRecord(RangeRecord):
    """An extent is freed: no page changes."""

    flags: U8


@dataclass(slots=True)
class TimedFreedRecord(FreedRecord):
    """The same with a dbtime."""

    dbtime: U64


@dataclass(slots=True)
class ScanRecord(DatabaseRecord):
    """A page was read and compared."""

    page:           U32
    flags:          U8
    page_dbtime:    U64
    current_dbtime: U64
    checksum:       U32


@dataclass(slots=True)
class PatchRecord(DatabaseRecord):
    """Another copy of the database is asked for a page."""

    page:   U32
    dbtime: U64
    rest: Annotated[bytes, raw(32)]


@dataclass(slots=True)
class InitRecord(EseRecord):
    """An instance starts."""

    environment: Annotated[bytes, raw(567)]


@dataclass(slots=True)
class TimedInitRecord(InitRecord):
    """The same with the time."""

    time: LogTime


@dataclass(slots=True)
class EndRecord(EseRecord):
    """An instance stops, or recovery does."""

    undo_position: LogPosition
    redo_position: LogPosition
    hard:          U8


@dataclass(slots=True)
class TimedEndRecord(EndRecord):
    """The same with the time."""

    time: LogTime


@dataclass(slots=True)
class TimeRecord(EseRecord):
    """Recovery begins to undo."""

    time: LogTime


@dataclass(slots=True)
class BackupRecord(EseRecord):
    """A step of a backup."""

    phase:     U8  # 1 begin, 2 prepare, 3 truncate, 4 header update, 5 abort, 6 stop
    kind:      U32
    scope:     U8  # 1 full, 2 incremental, 5 copy, 6 differential
    dbid:      U8
    info:      BackupInfo
    rest:      U8
    path_size: U16
    path: _PATH


@dataclass(slots=True)
class OldBackupRecord(EseRecord):
    """A step of a backup, in logs before 7.3704.10."""

    kind:      U8
    rest:      U8
    path_size: U16
    path: _PATH


@dataclass(slots=True)
class OldestBackupRecord(EseRecord):
    """A full or incremental backup begins, in still older logs."""

    path_size: U16
    path: _PATH


@dataclass(slots=True)
class TextRecord(SessionRecord):
    """A remark."""

    data_size: U16
    data: _DATA


@dataclass(slots=True)
class RestoreRecord(EseRecord):
    """A remark of a restore."""

    data_size: U16
    data: _DATA


@dataclass(slots=True)
class OldFlushRecord(EseRecord):
    """A flush, in logs before 7.3704."""

    byte:     U16
    checksum: U32
    sector:   U16


@dataclass(slots=True)
class OperationRecord(SessionRecord):
    """A call of an old engine."""

    operation: U8


@dataclass(slots=True)
class IgnorableRecord(EseRecord):
    """What may be passed over by its length."""

    data_size: U32
    data: _DATA


@dataclass(slots=True)
class FragmentBeginRecord(EseRecord):
    """The first piece of a record that does not fit its segment."""

    total:     U32
    data_size: U16
    data: _DATA


@dataclass(slots=True)
class FragmentRecord(EseRecord):
    """A further piece."""

    data_size: U16
    data: _DATA


@dataclass(frozen=True, slots=True)
class RecordType:
    """One type of record."""

    number: int
    name: str
    record: type[EseRecord]


FRAGMENT_BEGIN: Final = 76
FRAGMENT: Final = 77
_TYPES: Final = (
    (1, "Init", InitRecord), (2, "Term", EndRecord), (3, "MS", OldFlushRecord), (4, "End", EseRecord),
    (5, "Begin", BeginRecord), (6, "Commit", CommitRecord), (7, "Rollback", RollbackRecord),
    (8, "Begin0", OutermostBeginRecord), (9, "Commit0", OutermostCommitRecord), (10, "Refresh", RefreshRecord),
    (11, "MacroBegin", MacroRecord), (12, "MacroCommit", MacroRecord), (13, "MacroAbort", MacroRecord),
    (14, "CreateDB", CreateRecord), (15, "AttachDB", AttachRecord), (16, "DetachDB", DetachRecord),
    (17, "RecoveryUndo", EseRecord), (18, "RecoveryQuit", EndRecord), (19, "FullBackup", OldestBackupRecord),
    (20, "IncBackup", OldestBackupRecord), (21, "JetOp", OperationRecord), (22, "Trace", TextRecord),
    (23, "ShutDownMark", EseRecord), (24, "CreateMultipleExtentFDP", pages.MultipleExtentRecord),
    (25, "CreateSingleExtentFDP", pages.SingleExtentRecord), (26, "ConvertFDP", pages.ConvertRecord),
    (27, "Split", pages.SplitRecord), (28, "Merge", pages.MergeRecord), (29, "Insert", pages.InsertRecord),
    (30, "FlagInsert", pages.FlagInsertRecord), (31, "FlagInsertAndReplaceData", pages.FlagInsertReplaceRecord),
    (32, "FlagDelete", pages.NodeRecord), (33, "Replace", pages.ReplaceRecord), (34, "ReplaceD", pages.ReplaceRecord),
    (35, "Delete", pages.NodeRecord), (36, "UndoInfo", pages.UndoInfoRecord), (37, "Delta", pages.DeltaRecord),
    (38, "SetExternalHeader", pages.ExternalHeaderRecord), (39, "Undo", pages.UndoRecord),
    (45, "ExtRestore", RestoreRecord), (46, "Backup", OldBackupRecord), (48, "EmptyTree", pages.EmptyTreeRecord),
    (49, "Init2", TimedInitRecord), (50, "Term2", TimedEndRecord), (51, "RecoveryUndo2", TimeRecord),
    (52, "RecoveryQuit2", TimedEndRecord), (53, "BeginDT", OutermostBeginRecord), (54, "PrepCommit", PrepareRecord),
    (55, "PrepRollback", SessionRecord), (57, "ForceWriteLog", SessionRecord),
    (58, "ConvertFDP2", pages.Convert2Record), (59, "ExtRestore2", RestoreRecord), (60, "Backup2", BackupRecord),
    (61, "ForceLogRollover", TextRecord), (62, "Split2", pages.Split2Record), (63, "Merge2", pages.Merge2Record),
    (64, "Scrub", pages.ScrubRecord), (65, "PageMove", pages.PageMoveRecord), (66, "PagePatchRequest", PatchRecord),
    (67, "MacroInfo", IgnorableRecord), (68, "ExtendDB", IgnorableRecord), (69, "CommitContext", IgnorableRecord),
    (70, "ScanCheck", IgnorableRecord), (71, "NOP2", IgnorableRecord), (72, "ReAttach", IgnorableRecord),
    (73, "MacroInfo2", IgnorableRecord), (74, "FreeFDP", IgnorableRecord), (75, "Ignored9", IgnorableRecord),
    (FRAGMENT_BEGIN, "FragmentBegin", FragmentBeginRecord), (FRAGMENT, "Fragment", FragmentRecord),
    (78, "ShrinkDB", RangeRecord), (79, "CreateDBFinish", SessionDatabaseRecord),
    (80, "RecoveryQuitKeepAttachments", TimedEndRecord), (81, "TrimDB", RangeRecord),
    *((number, f"Ignored{number - 72}", IgnorableRecord) for number in range(82, 92)),
    (92, "SetDbVersion", VersionRecord), (93, "Delta64", pages.Delta64Record), (94, "ShrinkDB2", RangeRecord),
    (95, "NewPage", pages.NewPageRecord), (96, "RootPageMove", pages.RootMoveRecord),
    (97, "SignalAttach", DatabaseRecord), (98, "ScanCheck2", ScanRecord), (99, "ShrinkDB3", TimedRangeRecord),
    (100, "ExtentFreed", FreedRecord), (101, "ExtentFreed2", TimedFreedRecord),
)
# fmt: on
TYPES: Final = {number: RecordType(number, name, record) for number, name, record in _TYPES}
"""The types whose layout is known. 40, 41, 43, 44, 47 and 56 are of streaming files, and not public."""
TRIED: Final = frozenset(TYPES) - {
    *(1, 2, 3, 4, 10, 17, 18, 19, 20, 21, 26, 28, 30, 45, 46, 53, 54, 55, 59, 61, 64, 65, 66),
    *(69, 70, 72, 74, 75, 78, 80, *range(82, 92), 93, 94, *range(96, 102)),
}
"""The types that are in real files at hand: behind any other one its layout may be to blame for what cannot be read."""
