"""The table of rules in spec/recovery.md names where each comes from, and tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

from mutations import KINDS

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "spec" / "recovery.md").read_text().splitlines()


def rows(kinds: str) -> list[list[str]]:
    return [line.strip("|").split(" | ") for line in LINES if re.match(rf"\| ({kinds})-", line)]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_every_rule_names_a_test_that_exists() -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path.name != Path(__file__).name]
    tests = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = [name for row in rows("SFT|HRD") for cell in row[-2:] for name in names(cell)]
    named += [name for row in rows("RUN|PAIR") for name in names(row[-1])]
    assert len(named) > 60
    assert [one for one in named if one not in tests and one not in KINDS and not (ROOT / one).exists()] == []


def test_every_rule_of_the_engine_has_a_source_and_a_test_in_both_directions() -> None:
    found = rows("SFT|HRD")
    assert len({row[0].strip() for row in found}) == len(found) > 25
    for row in found:
        _, _, source, _, kept, broken = row
        assert re.search(r"(log\w*|db) `Err\w+`", source), row
        assert names(kept), row
        assert names(broken), row


def test_rules_that_the_simulated_engine_cites_are_there() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    cited = set(re.findall(r"\b(?:SFT|HRD|RUN)-\d+", code))
    assert cited
    assert cited <= {row[0].strip() for row in rows("SFT|HRD|RUN")}
