"""What the simulated engine refuses, with the number that the real one gives for it.

Numbers and names: Microsoft, "Extensible Storage Engine Error Codes". `EngineError` hangs into the tree of
`tokar.errors` under SourceError: the server behind a backup or a restore cannot do what it was asked to.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from tokar import codes
from tokar.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

_MORE_NAMES: Final = MappingProxyType(
    {
        -513: "InvalidLogSequenceName",
        -541: "LogFileSizeMismatch",
        -566: "DbTimeTooOld",
        -567: "DbTimeTooNew",
        -582: "CommittedLogFilesMissing",
        -590: "LogSegmentsChecksumMismatch",
        -1003: "InvalidParameter",
        -1019: "PageNotInitialized",
        -1102: "WriteConflict",
        -1206: "DatabaseCorrupted",
        -1216: "AttachedDatabaseMismatch",
    }
)
"""Engine errors that the backup interfaces never return, and `tokar.codes` therefore does not list."""


def error_name(code: int) -> str:
    """Return the name of a JET error number."""
    known = codes.find(codes.from_jet(code))
    return known.name if known else f"JET_err{_MORE_NAMES[code]}"


class EngineError(SourceError):
    """The simulated engine refused.

    Args:
        code: The JET number, negative.
        message: What is wrong, in one line.
        path: The file concerned.
        hint: What to do next.
    """

    def __init__(self, code: int, message: str, *, path: Path | str | None = None, hint: str | None = None) -> None:
        self.code = code
        self.name = error_name(code)
        super().__init__(f"{message}: {self.name}, {code}", path=path, hint=hint)
