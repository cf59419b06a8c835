"""The table of rules in spec/recovery.md names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_rule_names_a_test_that_exists() -> None:
    tests = "\n".join(
        path.read_text() for path in (ROOT / "tests").rglob("test_*.py") if path.name != Path(__file__).name
    )
    named = [
        name
        for line in (ROOT / "spec" / "recovery.md").read_text().splitlines()
        if re.match(r"\| (SFT|HRD|RUN)-", line)
        for name in re.findall(r"`([^`]+)`", line.rpartition(" | ")[2])
    ]
    assert len(named) > 30
    assert [name for name in named if name not in tests and not (ROOT / name).exists()] == []
