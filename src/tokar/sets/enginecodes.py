"""The engine's own error numbers that a damaged or incomplete set leads to, with their names.

One failure is written in several ways: -543 is the engine's number, 0xC800021F the result code that the backup
interfaces make of it. A person who looks for help needs both and the name (ntdsbmsg.h; Extensible Storage Engine
documentation, "Extensible Storage Engine Error Codes").
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESULT_CODE: Final = 0xC8000000  # | n stands for the engine's error -n


@dataclass(frozen=True, slots=True)
class EngineCode:
    """One error of the engine."""

    number: int  # The engine's own number, negative
    name: str  # Its name in esent.h
    meaning: str  # A few words

    @property
    def result_code(self) -> int:
        """The same as the backup interfaces spell it."""
        return _RESULT_CODE | -self.number

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"number": self.number, "name": self.name, "hresult": f"0x{self.result_code:08X}"}

    def __str__(self) -> str:
        return f"{self.name}, {self.number}, 0x{self.result_code:08X}"


_ROWS: Final = (
    (-501, "LogFileCorrupt", "a log is damaged"),
    (-509, "MissingPreviousLogFile", "the log that the checkpoint needs is missing"),
    (-513, "LogGenerationMismatch", "the name and the header of a log differ"),
    (-515, "InvalidLogSequence", "the creation times of two logs do not link"),
    (-530, "BadLogSignature", "a log is of another history"),
    (-532, "BadCheckpointSignature", "the checkpoint is of another history"),
    (-533, "CheckpointCorrupt", "the checkpoint is damaged"),
    (-534, "MissingPatchPage", "the backup trailer is missing"),
    (-535, "BadPatchPage", "the backup trailer is damaged"),
    (-538, "PatchFileMissing", "the patch file is missing"),
    (-541, "LogFileSizeMismatch", "a log has another size than its header says"),
    (-543, "RequiredLogFilesMissing", "required logs are missing"),
    (-544, "SoftRecoveryOnBackupDatabase", "plain recovery was tried on a database from a backup"),
    (-550, "DatabaseDirtyShutdown", "the database needs its logs"),
    (-552, "DatabasePatchFileMismatch", "the backup trailer is of another backup"),
    (-555, "GivenLogFileHasBadSignature", "a log to restore is of another history"),
    (-556, "GivenLogFileIsNotContiguous", "the logs to restore do not link"),
    (-557, "MissingRestoreLogFiles", "logs to restore are missing"),
    (-560, "MissingFullBackup", "logs without the full backup they go on from"),
    (-561, "BadBackupDatabaseSize", "the copy of the database is cut short"),
    (-570, "LogTornWriteDuringHardRestore", "a log to restore ends in a torn write"),
    (-573, "LogCorruptDuringHardRestore", "a log to restore is damaged"),
    (-582, "CommittedLogFilesMissing", "logs with committed transactions are missing"),
    (-586, "CommittedLogFileCorrupt", "a log with committed transactions is damaged"),
    (-590, "LogSequenceChecksumMismatch", "the next log was written after other content than this log has"),
    (-1018, "ReadVerifyFailure", "a page or header failed its checksum"),
    (-1118, "ReadPgnoVerifyFailure", "a page has the number of another page"),
    (-1206, "DatabaseCorrupted", "the file is no whole database"),
    (-1213, "PageSizeMismatch", "the page sizes of log and database differ"),
    (-1216, "AttachedDatabaseMismatch", "an attached database is missing or another one"),
)
ENGINE_CODES: Final[Mapping[int, EngineCode]] = MappingProxyType(
    {number: EngineCode(number, f"JET_err{name}", meaning) for number, name, meaning in _ROWS}
)
"""Every code that a fault may carry."""


def engine_code(number: int | None) -> EngineCode | None:
    """Return what is known of a number; a number that is not in the table has no name."""
    if number is None:
        return None
    return ENGINE_CODES.get(number) or EngineCode(number, "JET_err (no name here)", "")
