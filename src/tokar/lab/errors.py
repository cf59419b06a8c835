"""What the simulated engine refuses, with the number that the real one gives for it.

Numbers and names: Microsoft, "Extensible Storage Engine Error Codes". `EngineError` hangs into the tree of
`tokar.errors` under SourceError: the server behind a backup or a restore cannot do what it was asked to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar import codes
from tokar.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path


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
        self.name = codes.of_engine(code).name
        super().__init__(f"{message}: {self.name}, {code}", path=path, hint=hint)
