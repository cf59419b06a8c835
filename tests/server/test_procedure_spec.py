"""spec/procedure.md shows what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tokar import codes
from tokar.server.contract import DIALECTS, BackupType
from tokar.server.states import BACKUP, RESTORE
from tokar.sets.receipt import FORM, Truncation

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
SPEC = (ROOT / "spec" / "procedure.md").read_text(encoding="utf-8")


def row(first: str) -> list[str]:
    line = next(line for line in SPEC.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def table_as_text(table: Mapping[tuple[Any, Any], Any]) -> str:
    """A table as Markdown, one row for each state and what follows from it."""
    rows: dict[str, list[str]] = {}
    for (state, event), following in table.items():
        rows.setdefault(state, []).append(f"`{event}` → {following}")
    lines = ["| state | event → next state |", "|---|---|"]
    lines += [f"| {state} | {'; '.join(sorted(steps))} |" for state, steps in rows.items()]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("table", [table_as_text(BACKUP), table_as_text(RESTORE)], ids=["backup", "restore"])
def test_the_tables_of_states_are_those_of_the_code(table: str) -> None:
    assert table in SPEC


@pytest.mark.parametrize(
    ("first", "value"),
    [
        ('End can say "abort"', lambda dialect: dialect.has_abort),
        ("locations during a backup", lambda dialect: dialect.locations_in_backup),
        ("dynamic files", lambda dialect: dialect.has_dynamic_files),
        ("expiry token", lambda dialect: dialect.has_expiry_token),
        ("restore map with logs sets", lambda dialect: dialect.map_with_logs_sets),
    ],
)
def test_the_facts_of_the_dialects_are_those_of_the_code(first: str, value: object) -> None:
    assert callable(value)
    assert row(first) == ["yes" if value(dialect) else "no" for dialect in DIALECTS.values()]


def test_lists_types_and_orders_are_those_of_the_code() -> None:
    assert row("lists") == ["W" if dialect.wide else "A" for dialect in DIALECTS.values()]
    both = {True: "full, logs only", False: "full"}
    assert row("types") == [both[BackupType.LOGS_ONLY in dialect.types] for dialect in DIALECTS.values()]
    order = {True: "register, then place", False: "place, then register"}
    assert row("restore") == [order[dialect.register_first] for dialect in DIALECTS.values()]


def test_the_refusals_that_a_full_answers_are_those_of_the_code() -> None:
    rule = SPEC[SPEC.index("**BAK-10**") : SPEC.index("**BAK-11**")]
    assert {int(text, 16) for text in re.findall(r"0x[0-9A-F]{8}", rule)} == set(codes.LOGS_ONLY_REFUSALS)


def test_the_words_of_the_receipt_are_those_of_the_code() -> None:
    assert f"`{FORM}`" in SPEC
    assert all(f"`{word}`" in SPEC for word in Truncation)


@pytest.mark.parametrize(
    ("prefix", "path"),
    [("BAK", "server/backup_steps.py"), ("LIC", "server/licence.py"), ("RES", "server/restore_steps.py")],
)
def test_every_rule_that_code_names_is_in_the_specification(prefix: str, path: str) -> None:
    written = set(re.findall(rf"\*\*({prefix}-\d+)\*\*", SPEC))
    named = set(re.findall(rf"\b{prefix}-\d+", (ROOT / "src" / "tokar" / path).read_text(encoding="utf-8")))
    assert named <= written
    assert len(named) >= 7
