"""What can go wrong while reading ESE files.

The tree, hung into the one of `tokar.errors`::

    ArchiveError
    |-- FormatError
    |   `-- HeaderError           4   an ESE header is damaged, too short, or of a format whose layout is not known
    `-- InputError
        `-- MissingExtraError     2   this needs numpy, which is not installed
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.errors import FormatError, InputError

if TYPE_CHECKING:
    from pathlib import Path


class HeaderError(FormatError):
    """An ESE header cannot be read.

    Args:
        message: What is wrong, in one line.
        code: The error the engine gives for it, such as -1018; None where it has none.
        path: The file.
        offset: Bytes from the start of the file.
        hint: What to do next.
    """

    hint_text = "the file is damaged or of another kind; take another copy of it while its source is still there"

    def __init__(
        self,
        message: str,
        *,
        code: int | None = None,
        path: Path | str | None = None,
        offset: int | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, path=path, offset=offset, hint=hint)
        self.code = code


class MissingExtraError(InputError):
    """Page checksums need numpy, which is not installed."""

    hint_text = 'install the extra: pip install "tokar[ese]"'
