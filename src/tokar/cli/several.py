"""What a verb says of several things: the error of one keeps no other from being looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from tokar.cli import output
from tokar.errors import ArchiveError, worst_of


class Answers:
    """One answer for each thing, and in the end the worst error.

    Args:
        key: What they are called in JSON.
        as_json: Whether they are printed as JSON.
    """

    def __init__(self, key: str = "archives", *, as_json: bool) -> None:
        self._key = key
        self._as_json = as_json
        self._rows: list[dict[str, Any]] = []
        self._errors: list[ArchiveError] = []

    def add(self, row: dict[str, Any], error: ArchiveError | None = None) -> None:
        """Take an answer, and the error that is a part of it."""
        self._rows.append(row if error is None else {**row, "error": output.error_json(error)})
        if error is not None:
            self._errors.append(error)

    @contextmanager
    def of(self, **known: Any) -> Iterator[None]:
        """Take the error of a block as the answer, with what is known besides."""
        try:
            yield
        except ArchiveError as error:
            output.report(error)
            self.add(known, error)

    def end(self) -> None:
        """Print all answers as JSON where that is wanted, and end with the worst error.

        Raises:
            typer.Exit: There is an error.
        """
        worst = worst_of(self._errors)
        if self._as_json:
            output.as_json({self._key: self._rows, **({"error": output.error_json(worst)} if worst else {})})
        if worst is not None:
            raise typer.Exit(worst.exit_code) from worst
