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

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from tokar.errors import InputError

_U32: Final = 0xFFFFFFFF
_ENGINE_ERROR: Final = 0xC8000000
_ENGINE_WARNING: Final = 0x88000000
_ENGINE_MASK: Final = 0xFFFF0000
_BARE_ENGINE_FROM: Final = 0xFFFF0000  # an engine number -1..-65535 written as an unsigned one
_WIN32: Final = 0x80070000
_HIGHEST_JET: Final = 0xFFFF
_LONGEST: Final = 12  # characters of a number
_FACILITIES: Final = {
    0xC800: "the engine (ESE)",
    0x8800: "the engine (ESE), a warning",
    0xC7FF: "the backup layer",
    0xC7FE: "the backup layer of Exchange 2000 and later",
    0x8007: "Windows",
    0x8000: "COM",
    0x8001: "COM",
    0x8004: "COM",
    0x8008: "COM",
    0: "Windows",
}


@dataclass(frozen=True, slots=True)
class Code:
    """One result code."""

    value: int  # The result code as an unsigned number of 32 bits
    name: str  # Its name in the headers
    meaning: str  # When it is given, in a few words
    next_step: str = ""  # What to do

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


# What to do, where several codes are answered with the same.
_FULL: Final = "take a full backup"
_OTHER_COPY: Final = "use another copy of the file, and check the storage"
_ONE_SET: Final = "use the files of one set and one history: tokar check names those that do not fit"
_FIND_LOGS: Final = "add the logs that are missing: tokar check and tokar chain name them"
_REPORT: Final = "end the backup and start over; if it comes again, report it to whoever wrote the backup program"
_BUSY: Final = "wait until the other one has ended, and start over"
_PARAMETER: Final = "look at what was passed: names, directories, generations, the type of the backup"
_SPACE: Final = "make room on the disk and start the service again"
_SIZES: Final = "give the service or esentutl the log size that these logs have, or use logs of one size"
_ENGINE_VERSION: Final = "use an engine at least as new as the one that wrote the files"
_NONE: Final = "nothing"

# fmt: off
_LAYER: Final = (
    (0x00000000, "hrNone", "success", _NONE),
    (0xC0000001, "hrNyi", "not implemented", _REPORT),
    (0xC7FF0001, "hrInvalidParam", "bad parameter", _PARAMETER),
    (0xC7FF0002, "hrError", "internal error", "look at the event log of the server for the cause"),
    (0xC7FF0003, "hrInvalidHandle", "bad context, or no file is open", _REPORT),
    (0xC7FF0004, "hrRestoreInProgress", "a restore is registered",
        "complete it: place the files and call RegisterComplete; the service starts only then"),
    (0xC7FF0005, "hrAlreadyOpen", "a file is already open in this context", _REPORT),
    (0xC7FF0006, "hrInvalidRecips", "recipients are not valid", _PARAMETER),
    (0xC7FF0007, "hrCouldNotConnect", "the backup server cannot be reached, or the service is not running",
        "start the service, check the name of the server, and run on the server itself where the service demands it"),
    (0xC7FF0008, "hrRestoreMapExists", "a restore map is already registered; a map goes with a full restore only",
        "register logs alone without a map, and a full only once"),
    (0xC7FF0009, "hrIncrementalBackupDisabled",
        "another application changed the database: incrementals would fail", _FULL),
    (0xC7FF000A, "hrLogFileNotFound", "a needed log is not there", _FULL),
    (0xC7FF000B, "hrCircularLogging", "circular logging is on",
        "take a full backup; turn circular logging off if incrementals are wanted"),
    (0xC7FF000C, "hrNoFullRestore", "an incremental was restored with no full before it",
        "restore the full first, then the logs, and start the service only after the last"),
    (0xC7FF000D, "hrCommunicationError", "the transport failed", "check the network and start over"),
    (0xC7FF000E, "hrFullBackupNotTaken", "no full backup has been taken yet", _FULL),
    (0xC7FF000F, "hrMissingExpiryToken", "the expiry token is missing or unusable",
        "give DsRestorePrepare the expiry token that was kept with the backup"),
    (0xC7FF0010, "hrUnknownExpiryTokenFormat", "the expiry token is not recognised",
        "use the expiry token of this backup, byte for byte"),
    (0xC7FF0011, "hrContentsExpired", "the backup is older than the tombstone lifetime",
        "use a younger backup, or let the directory replicate from another controller"),
    (0xC7FF0FA5, "hrRestoreAtFileLevel", "write the file with ordinary means", "write the file with ordinary means"),
    (0xC7FF1004, "hrErrorFromESECall",
        "the engine failed, or a firewall, address translation or IPv6 stands between server and client",
        "look at the event log of the server; let it connect back to the client"),
    (0xC7FE1F41, "hrCBDatabaseInUse", "the database is in use", "dismount it and start over"),
    (0xC7FE1F42, "hrCBDatabaseNotFound", "the database was not found", "create it in the target, under the same name"),
    (0x80004005, "E_FAIL", "unspecified failure", "look at the event log of the server for the cause"),
    (0x8000FFFF, "E_UNEXPECTED", "the order of calls was broken", _REPORT),
    (0x80004002, "E_NOINTERFACE", "the server does not have this interface",
        "name a certification authority; one of a version that is not known here cannot be backed up"),
    (0x80010108, "RPC_E_DISCONNECTED", "the server has given up the object that was called",
        "its service was restarted, or nothing was heard from here for too long; start over"),
    (0x80010110, "RPC_E_VERSION_MISMATCH", "the server speaks another version of DCOM", "update the older side"),
    (0x80040154, "REGDB_E_CLASSNOTREG", "AD CS is not installed there", "name the server of the authority"),
    (0x80080005, "CO_E_SERVER_EXEC_FAILURE", "the service of the authority does not start or does not answer",
        "start CertSvc on the server, and see its event log"),
    (0x80070002, "ERROR_FILE_NOT_FOUND", "files are missing",
        "check that the folder is whole and named at the right level"),
    (0x80070003, "ERROR_PATH_NOT_FOUND", "a folder is missing", "make the folder, or name the right one"),
    (0x80070005, "ERROR_ACCESS_DENIED", "access denied; remote backup of a certification authority is off by default",
        "use an account with the backup and restore privileges, on the server itself"),
    (0x80070006, "ERROR_INVALID_HANDLE", "invalid handle", _REPORT),
    (0x8007000E, "ERROR_OUTOFMEMORY", "out of memory", "free memory and start over"),
    (0x80070020, "ERROR_SHARING_VIOLATION", "the service is running", "stop the service and start over"),
    (0x80070026, "ERROR_HANDLE_EOF", "the end of the file", _NONE),
    (0x80070035, "ERROR_BAD_NETPATH", "the server was not found", "check the name of the server and the network"),
    (0x80070057, "ERROR_INVALID_PARAMETER", "bad parameter, or a type that is not supported",
        "ask for a full; at the start of a service: look for a stray character in the restore map"),
    (0x80070070, "ERROR_DISK_FULL", "the disk is full", _SPACE),
    (0x80070091, "ERROR_DIR_NOT_EMPTY", "the destination is not empty",
        "move what is there away, or restore with force"),
    (0x8007010B, "ERROR_DIRECTORY", "the wrong folder was given",
        "name the folder above DataBase, the one that certutil -backupDB was given"),
    (0x8007042A, "ERROR_SERVICE_SPECIFIC_ERROR", "the service failed with a code of its own",
        "look at the service-specific code beside it, and explain that"),
    (0x800706BA, "RPC_S_SERVER_UNAVAILABLE", "the service cannot be reached",
        "start CertSvc on the server, and let its ports through the firewall"),
    (0x80071392, "ERROR_OBJECT_ALREADY_EXISTS", "the object exists", "end the backup that is open, and start over"),
)
_ENGINE: Final = (
    (-327, "BadPageLink", "pages do not lead to each other", "use another copy of the database"),
    (-338, "BadParentPageLink", "a page does not belong below another", "use another copy of the database"),
    (-344, "DbTimeCorrupted", "a page is newer than its database", "use another copy of the database"),
    (-501, "LogFileCorrupt", "a log is damaged", _OTHER_COPY),
    (-503, "NoBackupDirectory", "no directory for the backup was given", _PARAMETER),
    (-504, "BackupDirectoryNotEmpty", "the directory for the backup is not empty", "name an empty directory"),
    (-505, "BackupInProgress", "another backup is running", _BUSY),
    (-506, "RestoreInProgress", "a restore is running", _BUSY),
    (-509, "MissingPreviousLogFile", "a log is missing, or the one that the checkpoint needs", _FIND_LOGS),
    (-510, "LogWriteFail", "a log cannot be written", "check the disk of the logs and the rights to it"),
    (-511, "LogDisabledDueToRecoveryFailure", "logging is off because recovery failed",
        "explain the error before this one"),
    (-513, "LogGenerationMismatch", "the name and the header of a log differ",
        "give the log the name of its generation back: tokar inspect shows it"),
    (-514, "BadLogVersion", "the log is of another version", "use an engine of the version that wrote the log"),
    (-515, "InvalidLogSequence", "the logs do not follow each other", _ONE_SET),
    (-516, "LoggingDisabled", "logging is off", "turn logging on; without it there is nothing to back up or replay"),
    (-519, "LogSequenceEnd", "the generation numbers are used up",
        "shut the database down, move all logs and the checkpoint away, start it, and take a full backup"),
    (-520, "NoBackup", "no backup is in progress", _REPORT),
    (-521, "InvalidBackupSequence", "the calls came in a wrong order", _REPORT),
    (-523, "BackupNotAllowedYet", "the engine is not ready for a backup", "wait until the database is started"),
    (-524, "DeleteBackupFileFail", "an old backup file cannot be deleted", "delete it by hand and start over"),
    (-525, "MakeBackupDirectoryFail", "the directory for the backup cannot be made", "check the path and the rights"),
    (-526, "InvalidBackup", "an incremental with circular logging", _FULL),
    (-527, "RecoveredWithErrors", "recovered, with errors", "look at the event log, and take a full backup"),
    (-528, "MissingLogFile", "a log is missing: one in the sequence, or the current one",
        "add the logs that are missing; where only the current log is, rename the highest one to it"),
    (-529, "LogDiskFull", "the disk of the logs is full", _SPACE),
    (-530, "BadLogSignature", "a log is of another history", _ONE_SET),
    (-531, "BadDbSignature", "the database is of another history", _ONE_SET),
    (-532, "BadCheckpointSignature", "the checkpoint is of another history",
        "move the checkpoint away: without it recovery begins at the lowest log"),
    (-533, "CheckpointCorrupt", "the checkpoint is damaged",
        "move the checkpoint away: without it recovery begins at the lowest log"),
    (-534, "MissingPatchPage", "the backup trailer or a page of the patch file is missing",
        "use another copy from the backup: this one is cut"),
    (-535, "BadPatchPage", "the backup trailer or a page of the patch file is damaged",
        "use another copy from the backup"),
    (-538, "PatchFileMissing", "the patch file is missing", "find the patch file of the same backup"),
    (-539, "DatabaseLogSetMismatch", "the database does not belong to these logs", _ONE_SET),
    (-540, "DatabaseStreamingFileMismatch", "the database and its streaming file (.stm) are no pair",
        "find the .edb and the .stm of one backup; neither is of use without the other"),
    (-541, "LogFileSizeMismatch", "a log has another size than its header or the setting says", _SIZES),
    (-542, "CheckpointFileNotFound", "there is no checkpoint", "nothing: recovery begins at the lowest log"),
    (-543, "RequiredLogFilesMissing", "required logs are missing", _FIND_LOGS),
    (-544, "SoftRecoveryOnBackupDatabase", "plain recovery was tried on a database from a backup",
        "restore it through the service, with Register: hard recovery must play its logs"),
    (-545, "LogFileSizeMismatchDatabasesConsistent", "recovered, but the logs have another size than the setting",
        "move the logs and the checkpoint away, start the service, and take a full backup"),
    (-546, "LogSectorSizeMismatch", "the logs were written for disks with other sectors",
        "recover on a disk with the same sector size"),
    (-547, "LogSectorSizeMismatchDatabasesConsistent", "recovered, but the logs are for disks with other sectors",
        "move the logs and the checkpoint away, start the service, and take a full backup"),
    (-548, "LogSequenceEndDatabasesConsistent", "recovered, and the generation numbers are used up",
        "move all logs and the checkpoint away, start the service, and take a full backup"),
    (-549, "StreamingDataNotLogged", "what was in the streaming file was not logged", "restore the last full backup"),
    (-550, "DatabaseDirtyShutdown", "the database is in dirty shutdown",
        "recover it with its logs: tokar check says whether they are all there; never begin with a repair"),
    (-551, "ConsistentTimeMismatch", "the database is newer or older than the logs say", _ONE_SET),
    (-552, "DatabasePatchFileMismatch", "the patch file or the backup trailer is of another backup",
        "place database, patch file and logs of one backup once more, and run no repair or plain recovery first"),
    (-553, "EndingRestoreLogTooLow", "the backup log directory holds a log above the registered range",
        "keep exactly the registered logs there"),
    (-554, "StartingRestoreLogTooHigh", "the backup log directory holds a log below the registered range",
        "keep exactly the registered logs there"),
    (-555, "GivenLogFileHasBadSignature", "a log in the backup log directory is of another history", _ONE_SET),
    (-556, "GivenLogFileIsNotContiguous", "the logs in the backup log directory have a gap", _FIND_LOGS),
    (-557, "MissingRestoreLogFiles", "logs to restore are missing", _FIND_LOGS),
    (558, "ExistingLogFileHasBadSignature", "a log in the log directory is of another history",
        "move older logs out of the log directory before a restore"),
    (559, "ExistingLogFileIsNotContiguous", "the logs in the log directory have a gap",
        "move older logs out of the log directory before a restore"),
    (-560, "MissingFullBackup", "an incremental without a full", "take a full, or restore it before the incremental"),
    (-561, "BadBackupDatabaseSize", "the copy of the database is cut short", "use another copy of it"),
    (-563, "DatabaseIncompleteUpgrade", "an upgrade of the database did not end", "restore it from a backup"),
    (-565, "MissingCurrentLogFiles", "later logs are missing, or there are stray ones",
        "keep only logs without a gap in the log directory; move the others away"),
    (-566, "DbTimeTooOld", "a page is older than the log expects: a lost write, or another database",
        "use another copy of the database, and check the storage"),
    (-567, "DbTimeTooNew", "a page is newer than the log expects", _ONE_SET),
    (-569, "MissingFileToBackup", "a log that an incremental needs is gone", _FULL),
    (-570, "LogTornWriteDuringHardRestore", "a log to restore has a torn write", _OTHER_COPY),
    (-571, "LogTornWriteDuringHardRecovery", "a log in the log directory has a torn write", _OTHER_COPY),
    (-573, "LogCorruptDuringHardRestore", "a log to restore is damaged", _OTHER_COPY),
    (-574, "LogCorruptDuringHardRecovery", "a log in the log directory is damaged",
        "move it and what comes after it away, and recover without them"),
    (-577, "BadRestoreTargetInstance", "the target instance is not the right one", _PARAMETER),
    (578, "TargetInstanceRunning", "the target instance is running", "stop it, or restore to another"),
    (-579, "RecoveredWithoutUndo", "all logs are played, and open transactions were left open",
        "run recovery to its end before the database is used"),
    (-580, "DatabasesNotFromSameSnapshot", "the databases are of different snapshots", _ONE_SET),
    (-581, "SoftRecoveryOnSnapshot", "plain recovery was tried on a database from a snapshot",
        "restore it with the program that made the snapshot"),
    (-582, "CommittedLogFilesMissing", "logs with committed transactions are missing",
        "find them; only if they are gone for good and no service owns the database: esentutl /r BASE /a"),
    (-583, "SectorSizeNotSupported", "the disk has sectors that this engine does not take",
        "use a disk with sectors of at most 4 KiB"),
    (585, "CommittedLogFilesLost", "recovered without logs that held committed transactions", _FULL),
    (-586, "CommittedLogFileCorrupt", "a log with committed transactions is damaged",
        "find another copy; only if there is none and no service owns the database: esentutl /r BASE /a"),
    (587, "CommittedLogFilesRemoved", "recovered without damaged logs that held committed transactions", _FULL),
    (-590, "LogSequenceChecksumMismatch", "the next log was written after other content than this log has",
        "find another copy of the log"),
    (-610, "ExistingLogFileHasBadSignature", "a log in the log directory is of another history",
        "move older logs out of the log directory before a restore"),
    (-611, "ExistingLogFileIsNotContiguous", "the logs in the log directory have a gap",
        "move older logs out of the log directory before a restore"),
    (-612, "LogReadVerifyFailure", "a log failed its checksum while being backed up",
        "take a full backup while the databases are whole, and check the storage"),
    (-614, "CheckpointDepthTooDeep", "too many logs since the checkpoint", "restart the service"),
    (-615, "RestoreOfNonBackupDatabase", "the database to restore is not from a backup",
        "recover it as after a crash: esentutl /r, or the start of its service"),
    (-616, "LogFileNotCopied", "truncation was asked for, but not all logs were read",
        "take the backup again; the logs are still there"),
    (-619, "EngineFormatVersionNoLongerSupportedTooLow", "a format version was asked for that is too old", _PARAMETER),
    (-620, "EngineFormatVersionNotYetImplementedTooHigh", "a format version was asked for that is too new",
        _ENGINE_VERSION),
    (-622, "EngineFormatVersionSpecifiedTooLowForLogVersion", "the logs are newer than the engine may write",
        _ENGINE_VERSION),
    (-623, "EngineFormatVersionSpecifiedTooLowForDatabaseVersion", "the database is newer than the engine may write",
        _ENGINE_VERSION),
    (-625, "DbTimeBeyondMaxRequired", "a page is newer than the logs that its database needs",
        "use another copy of the database"),
    (-800, "BackupAbortByCaller", "the caller ended the backup early", "take the backup again"),
    (-801, "BackupAbortByServer", "the server ended the backup", "take the backup again"),
    (-1003, "InvalidParameter", "bad parameter", _PARAMETER),
    (-1008, "DatabaseFileReadOnly", "the database file is read-only", "take the attribute away, or copy it elsewhere"),
    (-1011, "OutOfMemory", "out of memory", "free memory and start over"),
    (-1018, "ReadVerifyFailure", "a page or header failed its checksum",
        "restore an undamaged backup, and check the storage; tokar inspect --pages names the pages"),
    (-1019, "PageNotInitialized", "a page that is in use was never written",
        "restore an undamaged backup, and check the storage"),
    (-1021, "DiskReadVerificationFailure", "the disk could not read what it holds", "replace the disk, and restore"),
    (-1022, "DiskIO", "the disk failed", "check the disk, its controller and the filters on its files"),
    (-1023, "InvalidPath", "a path is not valid", _PARAMETER),
    (-1024, "InvalidSystemPath", "the directory of the checkpoint is not valid", _PARAMETER),
    (-1025, "InvalidLogDirectory", "the log directory is not valid", _PARAMETER),
    (-1028, "InvalidDatabase", "the file is no database", "use another copy of it"),
    (-1032, "FileAccessDenied", "a file is in use by another process",
        "stop what holds it: a second backup, a scanner, the service"),
    (-1102, "WriteConflict", "another transaction is changing the record", "try again"),
    (-1118, "ReadPgnoVerifyFailure", "a page has the number of another page",
        "restore an undamaged backup, and check the storage"),
    (-1119, "ReadLostFlushVerifyFailure", "a write was lost: the page is older than the flush map says",
        "restore an undamaged backup, and check the storage"),
    (-1201, "DatabaseDuplicate", "the database is there already", "use another name, or move the old one away"),
    (-1203, "DatabaseNotFound", "the database was not found", "check its path"),
    (-1206, "DatabaseCorrupted", "the file is no whole database",
        "use another copy of it; where databases were mixed in one folder, use an empty folder"),
    (-1209, "InvalidDatabaseVersion", "the database is of a version that this engine does not take", _ENGINE_VERSION),
    (-1213, "PageSizeMismatch", "the page sizes of log and database differ", _ONE_SET),
    (-1215, "DatabaseSharingViolation", "another instance uses the database", "stop the other instance"),
    (-1216, "AttachedDatabaseMismatch", "an attached database is missing or another one",
        "restore all databases of the logs; where no service owns them, esentutl /r BASE /i goes on without"),
    (-1217, "DatabaseInvalidPath", "the path of a database is not valid", _PARAMETER),
    (-1226, "DatabaseIncompleteIncrementalReseed", "the database is being rebuilt from another copy",
        "let that end where it began, or restore a backup from before it"),
    (-1414, "SecondaryIndexCorrupted", "an index was made under another sort order of the system",
        "let the service rebuild its indexes, or restore on the version of Windows that it came from"),
    (-1601, "RecordNotFound", "a record was not found", "report it to whoever wrote the program"),
    (-1605, "KeyDuplicate", "a record with this key is there already", "report it to whoever wrote the program"),
    (-1808, "DiskFull", "the disk is full", _SPACE),
    (-1809, "PermissionDenied", "access denied", "check the rights to the files and folders"),
    (-1811, "FileNotFound", "a file was not found",
        "look for its name in the event before it; after a restore: a log, a patch file or a database of the map"),
    (-1935, "DatabaseIncompleteRevert", "the database is being taken back to an earlier state, and that has not ended",
        "let that end where it began, or restore a backup from before it"),
)
# fmt: on

CODES: Final[Mapping[int, Code]] = MappingProxyType(
    {value: Code(value, name, meaning, step) for value, name, meaning, step in _LAYER}
    | {
        from_jet(number): Code(from_jet(number), f"JET_{'wrn' if number > 0 else 'err'}{name}", meaning, step)
        for number, name, meaning, step in _ENGINE
    }
)
"""Every code that is known by name, by its canonical value."""


def _squashed(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _bare(name: str) -> str:
    """Return a name as it is compared: without what headers put before it, now one thing and now another."""
    return _squashed(re.sub("^(jet_?(err|wrn)?|hr|error_|err|wrn|e_)", "", name, flags=re.IGNORECASE))


# Of two names that differ only in what stands before them, that of an error of the engine is meant.
_BY_NAME: Final = {
    key(code.name): code.value
    for key in (_bare, _squashed)
    for code in sorted(CODES.values(), key=lambda one: (one.jet or 0) < 0)
} | {"databaseinconsistent": from_jet(-550)}  # what Exchange 5.5 calls it


def parse(text: str) -> int:
    """Return the canonical code that a person writes, in any spelling.

    Args:
        text: A name, with or without what headers put before it; a number of the engine; a result code in hexadecimal
            or decimal, signed, unsigned, or with its sign lost (a service-specific 939523546 is -939523546).

    Raises:
        InputError: It is none.
    """
    word = text.strip().strip("%()[],;.")
    numbers = _numbers(word)
    if numbers:
        known = [one for one in numbers if find(one)] or [one for one in numbers if canonical(one) >> 16 in _FACILITIES]
        return canonical((known or numbers)[0])
    named = _BY_NAME.get(_squashed(word)) or _BY_NAME.get(_bare(word))
    if named is None:
        hint = "write a number (-1216, 0xC8000713, 939523546) or a name (JET_errFileNotFound, FileNotFound)"
        raise InputError(f"{text!r} is no code that is known here", hint=hint)
    return named


def _numbers(word: str) -> list[int]:
    """Return what a number in a person's text may mean, the likeliest first."""
    found: list[int] = []
    if len(word) > _LONGEST:
        return found
    if re.fullmatch("[+-]?[0-9]+", word):
        number = int(word)
        found = [number, -number, from_jet(number)] if 0 < number <= _HIGHEST_JET else [number, -number]
    if re.fullmatch("[0-9a-f]{8}|0x[0-9a-f]+", word, re.IGNORECASE):
        found.append(int(word, 16))
    return [one for one in found if -(1 << 31) <= one <= _U32]


def facility(value: int) -> str:
    """Return which program a canonical code comes from."""
    return _FACILITIES.get(value >> 16, "not known here")


def find(number: int) -> Code | None:
    """Return what is known of a code in any spelling, or None."""
    value = canonical(number)
    return CODES.get(value) or CODES.get(wrapped(value))


def of_engine(number: int) -> Code:
    """Return what is known of an error of the engine; one that is not in the table has no name."""
    value = from_jet(number)
    return CODES.get(value) or Code(value, "JET_err (no name here)", "")


def spellings(value: int) -> tuple[str, ...]:
    """Return the ways in which a canonical code is written, but for its name."""
    value, jet = wrapped(value), jet_number(value)
    signed = value - (1 << 32) if value >> 31 else value
    own = [] if jet is None else [str(jet), *([str(jet & _U32)] if jet < 0 else [])]
    win32 = [str(value & 0xFFFF)] if value >> 16 == _WIN32 >> 16 else []
    return tuple(dict.fromkeys((*own, *win32, f"0x{value:08X}", str(value), str(signed), str(abs(signed)))))


def describe(number: int) -> str:
    """Return a code as text: `JET_errBadLogSignature, -530, 0xC8000212`, as much of it as there is."""
    code = find(number)
    return _spelled(code.name if code else "", canonical(number))


def _spelled(name: str, value: int) -> str:
    return ", ".join(str(part) for part in (name, jet_number(value), f"0x{value:08X}") if part)
