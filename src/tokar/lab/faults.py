"""Faults on order: what goes wrong at which call of the contract."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class FaultKind(StrEnum):
    """What goes wrong."""

    FAIL = "fail"
    """The call fails with `code`; in the middle of a file the engine then drops the backup."""
    HANG = "hang"
    """The call is never answered."""
    DIE = "die"
    """The process of the server is gone."""
    SHORT = "short"
    """A read brings at most `size` bytes."""
    ANNOUNCE = "announce"
    """An open announces `size` bytes more than there are (fewer where negative)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, once."""

    kind: FaultKind  # What
    # At which call, by the name of the contract's method (`open`, `read`, `truncate_logs` ...); None: at any.
    call: str | None = None
    nth: int = 1  # At which of these calls, from 1
    # The result code of a failure, in any spelling.
    code: int = 0xC7FF0002  # hrError
    size: int = 0  # Bytes, for SHORT and ANNOUNCE
    after: bool = False  # FAIL, HANG and DIE strike when the call has had its effect, else before it


class FaultPlan:
    """Counts calls and says which fault is due.

    Args:
        faults: What goes wrong.
    """

    def __init__(self, faults: Sequence[Fault] = ()) -> None:
        # Every call so far, by name, in order: run once without faults to learn what can be struck.
        self.calls: list[str] = []
        self._faults = tuple(faults)

    def next_call(self, call: str) -> Fault | None:
        """Note a call and return the fault that is due, if any."""
        self.calls.append(call)
        counts = {None: len(self.calls), call: self.calls.count(call)}
        for fault in self._faults:
            if fault.call in counts and counts[fault.call] == fault.nth:
                return fault
        return None


def hang_forever() -> NoReturn:
    """Never return."""
    while True:
        threading.Event().wait()


def die_at_once() -> NoReturn:
    """End this process as a kill does: nothing is flushed, nothing is cleaned up."""
    os._exit(137)


@dataclass(frozen=True, slots=True)
class Blows:
    """How a process hangs and dies; a test in one process puts exceptions here."""

    hang: Callable[[], object] = hang_forever  # Called for HANG
    die: Callable[[], object] = die_at_once  # Called for DIE
