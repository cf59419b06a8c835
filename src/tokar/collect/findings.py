"""What examining the files of a set found, counted, and as SUMM keeps it (spec/format.md section 6.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tokar.format import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokar.ese.content_facts import ContentVerdict
    from tokar.ese.identify import FileKind

_MAX_LISTED: Final = 500  # files
_MAX_LIST_SIZE: Final = 128 * 1024  # bytes of the list in SUMM, which has 1 MiB for everything
_MAX_OFFSETS: Final = 16  # bad pages or segments of a file that SUMM points at; all of them are counted
_MAX_TEXT: Final = 1000  # characters of a name or a reason in SUMM


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking at one file found."""

    token: int  # Its token
    name: str  # Its name, safe to print
    kind: FileKind  # What it is, going by its content
    verdict: ContentVerdict  # What checking its content came to

    @property
    def is_remarkable(self) -> bool:
        """Whether there is more to say than that all of it was verified and is good."""
        verdict = self.verdict
        return bool(verdict.problems or verdict.correctable or verdict.not_verified or verdict.note)

    def to_json(self) -> dict[str, Any]:
        """Return it as an element of `entries` (spec/format.md section 6.2)."""
        verdict = self.verdict
        row: dict[str, Any] = {"kind": self.kind.value, "name": self.name[:_MAX_TEXT], "token": self.token}
        if verdict.verified:
            row |= {
                "bad": verdict.bad,
                "correctable": verdict.correctable,
                "unit": verdict.unit,
                "units": verdict.units,
            }
        else:
            row["not_verified"] = verdict.not_verified[:_MAX_TEXT]
        offsets = [offset for offset, _ in zip(verdict.bad_offsets, range(_MAX_OFFSETS), strict=False)]
        optional = {"note": verdict.note[:_MAX_TEXT], "offsets": offsets, "problems": list(verdict.problems)}
        return row | {key: value for key, value in optional.items() if value}


@dataclass(slots=True)
class Findings:
    """What looking at all files of a set found."""

    files: int = 0  # Databases and logs that were looked at
    not_verified: int = 0  # How many of them could not be verified
    pages: int = 0  # Pages that were verified
    segments: int = 0  # Segments and ranges of logs that were verified
    bad: int = 0  # How many of both the engine refuses
    correctable: int = 0  # Pages that it corrects while reading
    # The files in their order: all while they are few, else those with something to say, and not more than 500.
    kept: list[Examined] = field(default_factory=list)

    def add(self, examined: Examined) -> None:
        """Note what was found in the next file."""
        verdict = examined.verdict
        self.files += 1
        self.not_verified += not verdict.verified
        self.bad += verdict.bad
        self.correctable += verdict.correctable
        if verdict.unit == "pages":
            self.pages += verdict.units
        else:
            self.segments += verdict.units
        if self.files == _MAX_LISTED + 1:
            self.kept = self.remarkable
        if len(self.kept) < _MAX_LISTED and (self.files <= _MAX_LISTED or examined.is_remarkable):
            self.kept.append(examined)

    @property
    def remarkable(self) -> list[Examined]:
        """The files with something to say, in their order."""
        return [one for one in self.kept if one.is_remarkable]

    def to_json(self) -> dict[str, Any]:
        """Return the value of the key `examination` of SUMM (spec/format.md section 6.2)."""
        counts = {
            "bad": self.bad,
            "correctable": self.correctable,
            "files": self.files,
            "not_verified": self.not_verified,
            "pages": self.pages,
            "segments": self.segments,
        }
        value: dict[str, Any] = {key: canonical_json.to_count(count) for key, count in counts.items()}
        value["state"] = "done"
        rows = _fitting(self.kept)
        value["entries"] = rows if len(rows) == self.files else _fitting(self.remarkable)
        return value


NOT_EXAMINED: Final = {"state": "off"}
"""The value of the key `examination` where nobody looked."""


def _fitting(files: Iterable[Examined]) -> list[dict[str, Any]]:
    """Return the elements of the list in SUMM for as many files as there is room for."""
    rows = []
    room = _MAX_LIST_SIZE
    for one in files:
        row = one.to_json()
        room -= len(json.dumps(row, ensure_ascii=False).encode())  # a little more than it takes in canonical form
        if room < 0:
            break
        rows.append(row)
    return rows
