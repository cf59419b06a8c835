"""The files of a set that no restore places beside the others: as many as there are logs, where it comes to that."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, overload

from tokar.sets.facts import FileFacts, LogFacts

PLACED_AS: Final = "another file is placed as generation "
"""Its generation follows."""
UNREADABLE: Final = "cannot be read, and is not needed: "
"""What was found in it follows."""


class Reason(NamedTuple):
    """Why a file is left out, the same for many."""

    text: str  # Why
    code: int | None = None  # What the engine would answer to it; None where that is not said


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that no restore places beside the others."""

    file: FileFacts  # The file
    why: Reason  # Why

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        text, file = self.why.text, self.file
        if text.endswith(PLACED_AS):
            return f"{text}0x{(file.generation if isinstance(file, LogFacts) else None) or 0:X}"
        return text + file.note if text == UNREADABLE else text

    @property
    def code(self) -> int | None:
        """What the engine would answer to it; None where that is not said."""
        return self.why.code

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"name": self.file.name, "reason": self.reason}


class LeftOutFiles(Sequence[LeftOut]):
    """Files that are left out, each made when it is asked for: ten bytes for each.

    Args:
        files: The files, each with the reason.
    """

    def __init__(self, files: Iterable[tuple[FileFacts, Reason]]) -> None:
        self._files: list[FileFacts] = []
        self._reasons: dict[Reason, int] = {}
        self._why = array("H")
        for file, reason in files:
            self._files.append(file)
            self._why.append(self._reasons.setdefault(reason, len(self._reasons)))
        self._known = [*self._reasons]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, at: int) -> LeftOut: ...

    @overload
    def __getitem__(self, at: slice) -> list[LeftOut]: ...

    def __getitem__(self, at: int | slice) -> LeftOut | list[LeftOut]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return LeftOut(self._files[at], self._known[self._why[at]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    def __hash__(self) -> int:
        return hash(tuple(self))
