"""The rules can be read as they stand, on paper and on a screen."""

from __future__ import annotations

import pytest
from conformance_cases import ROOT

WIDEST = 160  # characters


@pytest.mark.parametrize("name", ["format.md", "procedure.md", "registry.md", "tokens.md"])
def test_no_line_of_the_rules_is_too_wide(name: str) -> None:
    lines = (ROOT / "spec" / name).read_text(encoding="utf-8").splitlines()
    assert [number for number, line in enumerate(lines, 1) if len(line) > WIDEST] == []
