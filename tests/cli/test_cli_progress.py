"""The bar on a terminal: one line at any width, and one unit system."""

from __future__ import annotations

import io
import re
import time

import pytest
import rich.console

from tokar.cli import progress
from tokar.cli.output import size_text

NAME = "verify a-very-long-name-of-an-archive-[2026-11-27].tokar"
CONTROL = re.compile(r"\x1b\[[^a-zA-Z]*[a-zA-Z]")


@pytest.fixture
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What a terminal of a width shows."""
    shown = io.StringIO()

    def console(**_: object) -> rich.console.Console:
        return made

    made = rich.console.Console(file=shown, force_terminal=True, width=request.param, color_system=None)
    monkeypatch.setattr("rich.console.Console", console)
    return shown


@pytest.mark.parametrize("terminal", [24, 40, 59, 60, 79, 80, 120, 10**25], indirect=True)
def test_the_bar_stays_in_one_line_and_shows_how_far_it_is(
    terminal: io.StringIO, request: pytest.FixtureRequest
) -> None:
    width = request.node.callspec.params["terminal"]
    with progress.shown_bar(NAME, 5 << 30, size_text) as advance:
        advance(1 << 30)
        time.sleep(0.12)
        advance(1 << 29)
    text = CONTROL.sub("", terminal.getvalue())
    lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
    assert lines
    assert all(len(line) <= width and "of 5.0 GiB" in line for line in lines), lines
    assert lines[-1].lstrip().startswith("verify"[: max(0, width - 30)])


@pytest.mark.parametrize("terminal", [60, 120], indirect=True)
def test_sizes_and_rates_are_counted_in_the_same_units(terminal: io.StringIO) -> None:
    with progress.shown_bar("restore", 3 << 20, size_text) as advance:
        advance(1 << 20)
        time.sleep(0.12)
        advance(1 << 20)
    assert not re.findall(r"\d ?[kMGT]B|bits", terminal.getvalue())
    assert re.search(r"[12]\.0 MiB of 3\.0 MiB", CONTROL.sub("", terminal.getvalue()))
