"""The program begins: as a process of a server within one frozen program too."""

from __future__ import annotations

import multiprocessing
import sys
from typing import TYPE_CHECKING

import pytest

from tokar import __main__, cli

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("frozen", [True, False])
def test_in_a_frozen_program_processes_are_told_apart_before_the_command_line_runs(
    monkeypatch: pytest.MonkeyPatch, frozen: bool
) -> None:
    called: list[str] = []

    def note(what: str) -> Callable[[], None]:
        return lambda: called.append(what)

    monkeypatch.setattr(sys, "frozen", frozen, raising=False)
    monkeypatch.setattr(multiprocessing, "freeze_support", note("freeze_support"))
    monkeypatch.setattr(cli, "main", note("run"))
    __main__.main()
    assert called == ["freeze_support", "run"][not frozen :]
