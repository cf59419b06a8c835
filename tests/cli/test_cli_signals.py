"""Signals that ask the process to end, as exceptions in the main thread."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tokar.cli import signals

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give the signals their defaults for a test, and what they had back afterwards."""
    numbers = [getattr(signal, name) for name in signals._NAMES if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(signals, "_last", -signals._REPEATED)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("handlers")
def test_a_signal_is_an_interrupt_with_its_own_exit_code() -> None:
    signals.catch()
    with pytest.raises(signals.Stopped) as caught:
        signal.raise_signal(signal.SIGTERM)
    assert signals.exit_code(caught.value) == 128 + signal.SIGTERM
    assert signals.describe(caught.value) == "stopped by SIGTERM"
    assert signals.exit_code(KeyboardInterrupt()) == 130
    assert signals.describe(KeyboardInterrupt()) == "interrupted"


@pytest.mark.usefixtures("handlers")
def test_what_follows_a_signal_at_once_does_not_interrupt_the_way_out() -> None:
    signals.catch()
    with pytest.raises(signals.Stopped):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_is_ignored_is_left_alone() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signals.catch()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


class Callback:
    """Something whose end the interpreter calls back for, and drops what that raises."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __del__(self) -> None:
        signal.raise_signal(self.number)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_that_the_interpreter_drops_comes_again(number: int) -> None:
    signals.catch()

    def drop_and_wait() -> None:
        Callback(number)
        time.sleep(30)

    with pytest.raises(KeyboardInterrupt) as caught:
        drop_and_wait()
    assert signals.exit_code(caught.value) == 128 + number


@pytest.mark.usefixtures("handlers")
def test_other_exceptions_that_are_dropped_are_shown_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []
    signals.catch()
    monkeypatch.setattr(sys, "__unraisablehook__", shown.append)

    class Broken:
        def __del__(self) -> None:
            raise ZeroDivisionError

    Broken()
    assert len(shown) == 1
