"""Reads MANIFEST.md of the real samples: what an independent scratch parser found in each file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_ITEM = re.compile(r"^- `(?P<path>[^`]+)` - (?P<size>\d+) bytes, sha256 `(?P<sha256>[0-9a-f]{64})`$")


@dataclass(frozen=True)
class Sample:
    path: str
    size: int
    text: str

    @property
    def kind(self) -> str:
        """The first words of the description."""
        return re.split(r"[;,(]| gen ", self.text)[0].strip()

    def find(self, pattern: str) -> tuple[str, ...]:
        match = re.search(pattern, self.text)
        assert match, f"{self.path}: no {pattern!r} in {self.text!r}"
        return tuple(group or "" for group in match.groups())


def read_manifest(folder: Path) -> list[Sample]:
    lines = (folder / "MANIFEST.md").read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines):
        if match := _ITEM.match(line):
            details = [text for text in lines[number + 1 : number + 4] if text.startswith("  - ")]
            facts = next(text for text in details if not text.startswith(("  - origin:", "  - note:")))
            found.append(Sample(match["path"], int(match["size"]), facts.removeprefix("  - ")))
    return found
