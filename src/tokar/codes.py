"""Result codes of the backup interfaces, as data: every number in all of its spellings, with its name and its meaning.

One failure is written in up to five ways (KB articles use all of them): -530 is the engine's own number, 0xC8000212 the
result code made of it, 3355443730 the same in decimal, -939523566 the same as a signed number, and 4294966766 the
engine's number as an unsigned one. `canonical` takes any of them; `describe` prints name, engine number and result
code.

======================  ============================================
0xC8000000 | n          error -n of the engine (facility 0x800)
0x88000000 | n          warning n of the engine
0xC7FF0000 | n          the backup layer (facility 0x7FF)
0x80070000 | n, or n    Win32; seen bare as well (Q159170), so a positive result is a failure too
======================  ============================================

Sources: ntdsbmsg.h and esent.h (mingw-w64); Win32 documentation, "Backup Errors in Active Directory Domain Services"
and "Logging and Recovery Errors in Functions in Active Directory Domain Services"; Extensible Storage Engine
documentation, "Extensible Storage Engine Error Codes"; MS-CSRA 3.1.4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_U32: Final = 0xFFFFFFFF
_ENGINE_ERROR: Final = 0xC8000000
_ENGINE_WARNING: Final = 0x88000000
_ENGINE_MASK: Final = 0xFFFF0000
_BARE_ENGINE_FROM: Final = 0xFFFF0000  # an engine number -1..-65535 written as an unsigned one
_WIN32: Final = 0x80070000


@dataclass(frozen=True, slots=True)
class Code:
    """One result code."""

    value: int  # The result code as an unsigned number of 32 bits
    name: str  # Its name in the headers
    meaning: str  # When it is given, in a few words

    @property
    def jet(self) -> int | None:
        """The engine's own number, negative for errors; None where the code is not the engine's."""
        return jet_number(self.value)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"number": self.jet, "name": self.name, "hresult": f"0x{self.value:08X}"}

    def __str__(self) -> str:
        return _spelled(self.name, self.value)


def from_jet(number: int) -> int:
    """Return the result code of an engine number: -530 gives 0xC8000212, the warning 558 gives 0x8800022E."""
    return _ENGINE_ERROR | -number if number < 0 else _ENGINE_WARNING | number


def jet_number(value: int) -> int | None:
    """Return the engine number in a canonical result code, or None where it is of another facility."""
    if value & _ENGINE_MASK == _ENGINE_ERROR:
        return -(value & 0xFFFF)
    return value & 0xFFFF if value & _ENGINE_MASK == _ENGINE_WARNING else None


def canonical(number: int) -> int:
    """Return the result code that a number in any spelling stands for, unsigned, 32 bits.

    A small positive number is taken as Win32 and stays bare: whether the interfaces wrap it is not known (0x57 was seen
    unwrapped), so nothing is changed that was delivered. `wrapped` makes both forms equal where they are compared.
    """
    value = number & _U32
    return from_jet(value - _U32 - 1) if value >= _BARE_ENGINE_FROM else value


def wrapped(value: int) -> int:
    """Return a canonical code with a bare Win32 number wrapped (38 gives 0x80070026), any other as it is."""
    return _WIN32 | value if 0 < value <= 0xFFFF else value


NONE: Final = 0x00000000
INVALID_PARAM: Final = 0xC7FF0001
ERROR: Final = 0xC7FF0002
INVALID_HANDLE: Final = 0xC7FF0003
RESTORE_IN_PROGRESS: Final = 0xC7FF0004
ALREADY_OPEN: Final = 0xC7FF0005
COULD_NOT_CONNECT: Final = 0xC7FF0007
RESTORE_MAP_EXISTS: Final = 0xC7FF0008
INCREMENTAL_DISABLED: Final = 0xC7FF0009
LOG_FILE_NOT_FOUND: Final = 0xC7FF000A
CIRCULAR_LOGGING: Final = 0xC7FF000B
NO_FULL_RESTORE: Final = 0xC7FF000C
COMMUNICATION_ERROR: Final = 0xC7FF000D
FULL_BACKUP_NOT_TAKEN: Final = 0xC7FF000E
MISSING_EXPIRY_TOKEN: Final = 0xC7FF000F
UNKNOWN_EXPIRY_TOKEN: Final = 0xC7FF0010
CONTENTS_EXPIRED: Final = 0xC7FF0011
BACKUP_IN_PROGRESS: Final = from_jet(-505)
INVALID_BACKUP_SEQUENCE: Final = from_jet(-521)
MISSING_FULL_BACKUP: Final = from_jet(-560)
LOG_FILE_NOT_COPIED: Final = from_jet(-616)
BACKUP_ABORT_BY_CALLER: Final = from_jet(-800)
READ_VERIFY_FAILURE: Final = from_jet(-1018)
FILE_NOT_FOUND: Final = from_jet(-1811)
HANDLE_EOF: Final = _WIN32 | 38
"""ERROR_HANDLE_EOF; it may come bare or wrapped (unverified which), so compare it with `is_end_of_file`."""
UNEXPECTED: Final = 0x8000FFFF
ACCESS_DENIED: Final = _WIN32 | 5
INVALID_PARAMETER: Final = _WIN32 | 0x57

LOGS_ONLY_REFUSALS: Final = (INCREMENTAL_DISABLED, LOG_FILE_NOT_FOUND, CIRCULAR_LOGGING, FULL_BACKUP_NOT_TAKEN)
"""The documented reasons for refusing Prepare(logs only); each is answered with a full (ntdsbmsg.h; Q159838 step 1)."""


def is_end_of_file(value: int) -> bool:
    """Tell whether a result means the end of the file, whether it came as 38 or as 0x80070026."""
    return wrapped(canonical(value)) == HANDLE_EOF


# fmt: off
_LAYER: Final = (
    (0x00000000, "hrNone", "success"),
    (0xC0000001, "hrNyi", "not implemented"),
    (0xC7FF0001, "hrInvalidParam", "bad parameter"),
    (0xC7FF0002, "hrError", "internal error"),
    (0xC7FF0003, "hrInvalidHandle", "bad context, or no file is open"),
    (0xC7FF0004, "hrRestoreInProgress", "a restore is registered"),
    (0xC7FF0005, "hrAlreadyOpen", "a file is already open in this context"),
    (0xC7FF0006, "hrInvalidRecips", "recipients are not valid"),
    (0xC7FF0007, "hrCouldNotConnect", "the backup server cannot be reached, or the service is not running"),
    (0xC7FF0008, "hrRestoreMapExists", "a restore map is already registered; a map goes with a full restore only"),
    (0xC7FF0009, "hrIncrementalBackupDisabled", "another application changed the database: incrementals would fail"),
    (0xC7FF000A, "hrLogFileNotFound", "a needed log is not there"),
    (0xC7FF000B, "hrCircularLogging", "circular logging is on"),
    (0xC7FF000C, "hrNoFullRestore", "an incremental was restored with no full before it"),
    (0xC7FF000D, "hrCommunicationError", "the transport failed"),
    (0xC7FF000E, "hrFullBackupNotTaken", "no full backup has been taken yet"),
    (0xC7FF000F, "hrMissingExpiryToken", "the expiry token is missing or unusable"),
    (0xC7FF0010, "hrUnknownExpiryTokenFormat", "the expiry token is not recognised"),
    (0xC7FF0011, "hrContentsExpired", "the backup is older than the tombstone lifetime"),
    (0xC7FF0FA5, "hrRestoreAtFileLevel", "write the file with ordinary means"),
    (0xC7FF1004, "hrErrorFromESECall",
        "the engine failed, or a firewall, address translation or IPv6 stands between server and client"),
    (0xC7FE1F41, "hrCBDatabaseInUse", "the database is in use"),
    (0xC7FE1F42, "hrCBDatabaseNotFound", "the database was not found"),
    (0x80004005, "E_FAIL", "unspecified failure"),
    (0x8000FFFF, "E_UNEXPECTED", "the order of calls was broken"),
    (0x80070002, "ERROR_FILE_NOT_FOUND", "files are missing"),
    (0x80070005, "ERROR_ACCESS_DENIED", "access denied; remote backup of a certification authority is off by default"),
    (0x80070006, "ERROR_INVALID_HANDLE", "invalid handle"),
    (0x8007000E, "ERROR_OUTOFMEMORY", "out of memory"),
    (0x80070020, "ERROR_SHARING_VIOLATION", "the service is running"),
    (0x80070026, "ERROR_HANDLE_EOF", "the end of the file"),
    (0x80070057, "ERROR_INVALID_PARAMETER", "bad parameter, or a type that is not supported"),
    (0x80070091, "ERROR_DIR_NOT_EMPTY", "the destination is not empty"),
    (0x8007010B, "ERROR_DIRECTORY", "the wrong folder was given"),
    (0x80071392, "ERROR_OBJECT_ALREADY_EXISTS", "the object exists"),
)
_ENGINE: Final = (
    (-501, "LogFileCorrupt", "a log is damaged"),
    (-503, "NoBackupDirectory", "no directory for the backup was given"),
    (-504, "BackupDirectoryNotEmpty", "the directory for the backup is not empty"),
    (-505, "BackupInProgress", "another backup is running"),
    (-506, "RestoreInProgress", "a restore is running"),
    (-509, "MissingPreviousLogFile", "a log is missing, or the one that the checkpoint needs"),
    (-510, "LogWriteFail", "a log cannot be written"),
    (-513, "LogGenerationMismatch", "the name and the header of a log differ"),
    (-514, "BadLogVersion", "the log is of another version"),
    (-515, "InvalidLogSequence", "the logs do not follow each other"),
    (-516, "LoggingDisabled", "logging is off"),
    (-519, "LogSequenceEnd", "the generation numbers are used up"),
    (-520, "NoBackup", "no backup is in progress"),
    (-521, "InvalidBackupSequence", "the calls came in a wrong order"),
    (-523, "BackupNotAllowedYet", "the engine is not ready for a backup"),
    (-524, "DeleteBackupFileFail", "an old backup file cannot be deleted"),
    (-525, "MakeBackupDirectoryFail", "the directory for the backup cannot be made"),
    (-526, "InvalidBackup", "an incremental with circular logging"),
    (-527, "RecoveredWithErrors", "recovered, with errors"),
    (-528, "MissingLogFile", "a log is missing"),
    (-529, "LogDiskFull", "the disk of the logs is full"),
    (-530, "BadLogSignature", "a log is of another history"),
    (-531, "BadDbSignature", "the database is of another history"),
    (-532, "BadCheckpointSignature", "the checkpoint is of another history"),
    (-533, "CheckpointCorrupt", "the checkpoint is damaged"),
    (-534, "MissingPatchPage", "the backup trailer or a page of the patch file is missing"),
    (-535, "BadPatchPage", "the backup trailer or a page of the patch file is damaged"),
    (-538, "PatchFileMissing", "the patch file is missing"),
    (-541, "LogFileSizeMismatch", "a log has another size than its header says"),
    (-542, "CheckpointFileNotFound", "there is no checkpoint"),
    (-543, "RequiredLogFilesMissing", "required logs are missing"),
    (-544, "SoftRecoveryOnBackupDatabase", "plain recovery was tried on a database from a backup"),
    (-550, "DatabaseDirtyShutdown", "the database is in dirty shutdown"),
    (-551, "ConsistentTimeMismatch", "the database is newer or older than the logs say"),
    (-552, "DatabasePatchFileMismatch", "the patch file or the backup trailer is of another backup"),
    (-553, "EndingRestoreLogTooLow", "the backup log directory holds a log above the registered range"),
    (-554, "StartingRestoreLogTooHigh", "the backup log directory holds a log below the registered range"),
    (-555, "GivenLogFileHasBadSignature", "a log in the backup log directory is of another history"),
    (-556, "GivenLogFileIsNotContiguous", "the logs in the backup log directory have a gap"),
    (-557, "MissingRestoreLogFiles", "logs to restore are missing"),
    (558, "ExistingLogFileHasBadSignature", "a log in the log directory is of another history"),
    (559, "ExistingLogFileIsNotContiguous", "the logs in the log directory have a gap"),
    (-560, "MissingFullBackup", "an incremental without a full"),
    (-561, "BadBackupDatabaseSize", "the copy of the database is cut short"),
    (-565, "MissingCurrentLogFiles", "later logs are missing, or there are stray ones"),
    (-566, "DbTimeTooOld", "a page is older than the log expects"),
    (-567, "DbTimeTooNew", "a page is newer than the log expects"),
    (-569, "MissingFileToBackup", "a log that an incremental needs is gone"),
    (-570, "LogTornWriteDuringHardRestore", "a log to restore has a torn write"),
    (-571, "LogTornWriteDuringHardRecovery", "a log in the log directory has a torn write"),
    (-573, "LogCorruptDuringHardRestore", "a log to restore is damaged"),
    (-574, "LogCorruptDuringHardRecovery", "a log in the log directory is damaged"),
    (-577, "BadRestoreTargetInstance", "the target instance is not the right one"),
    (-582, "CommittedLogFilesMissing", "logs with committed transactions are missing"),
    (-586, "CommittedLogFileCorrupt", "a log with committed transactions is damaged"),
    (-590, "LogSequenceChecksumMismatch", "the next log was written after other content than this log has"),
    (-610, "ExistingLogFileHasBadSignature", "a log in the log directory is of another history"),
    (-611, "ExistingLogFileIsNotContiguous", "the logs in the log directory have a gap"),
    (-612, "LogReadVerifyFailure", "a log failed its checksum while being backed up"),
    (-615, "RestoreOfNonBackupDatabase", "the database to restore is not from a backup"),
    (-616, "LogFileNotCopied", "truncation was asked for, but not all logs were read"),
    (-800, "BackupAbortByCaller", "the caller ended the backup early"),
    (-801, "BackupAbortByServer", "the server ended the backup"),
    (-1003, "InvalidParameter", "bad parameter"),
    (-1018, "ReadVerifyFailure", "a page or header failed its checksum"),
    (-1019, "PageNotInitialized", "a page that is in use was never written"),
    (-1022, "DiskIO", "the disk failed"),
    (-1032, "FileAccessDenied", "a file is in use by another process"),
    (-1102, "WriteConflict", "another transaction is changing the record"),
    (-1118, "ReadPgnoVerifyFailure", "a page has the number of another page"),
    (-1206, "DatabaseCorrupted", "the file is no whole database"),
    (-1213, "PageSizeMismatch", "the page sizes of log and database differ"),
    (-1216, "AttachedDatabaseMismatch", "an attached database is missing or another one"),
    (-1808, "DiskFull", "the disk is full"),
    (-1811, "FileNotFound", "a file was not found"),
)
# fmt: on

CODES: Final[Mapping[int, Code]] = MappingProxyType(
    {value: Code(value, name, meaning) for value, name, meaning in _LAYER}
    | {
        from_jet(number): Code(from_jet(number), f"JET_{'wrn' if number > 0 else 'err'}{name}", meaning)
        for number, name, meaning in _ENGINE
    }
)
"""Every code that is known by name, by its canonical value."""


def find(number: int) -> Code | None:
    """Return what is known of a code in any spelling, or None."""
    value = canonical(number)
    return CODES.get(value) or CODES.get(wrapped(value))


def of_engine(number: int) -> Code:
    """Return what is known of an error of the engine; one that is not in the table has no name."""
    value = from_jet(number)
    return CODES.get(value) or Code(value, "JET_err (no name here)", "")


def describe(number: int) -> str:
    """Return a code as text: `JET_errBadLogSignature, -530, 0xC8000212`, as much of it as there is."""
    code = find(number)
    return _spelled(code.name if code else "", canonical(number))


def _spelled(name: str, value: int) -> str:
    return ", ".join(str(part) for part in (name, jet_number(value), f"0x{value:08X}") if part)
