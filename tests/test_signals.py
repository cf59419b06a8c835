"""Signals that ask the process to end, as exceptions in the main thread."""

from __future__ import annotations

import signal
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tokar import signals

if TYPE_CHECKING:
    from collections.abc import Callable


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


@pytest.mark.usefixtures("handlers")
def test_ctrl_c_is_an_interrupt_by_the_same_rules() -> None:
    signals.catch()
    with pytest.raises(signals.Stopped) as caught:
        signal.raise_signal(signal.SIGINT)
    assert (signals.exit_code(caught.value), signals.describe(caught.value)) == (130, "interrupted")
    signal.raise_signal(signal.SIGINT)  # the way out of the first is not interrupted


@pytest.mark.usefixtures("handlers")
def test_when_nothing_is_at_work_any_more_signals_end_the_process_by_themselves() -> None:
    signals.catch()
    signals.leave()
    assert {signal.getsignal(number) for number in signals._NUMBERS} == {signal.SIG_DFL}
    signals._stop(signal.SIGTERM, None)  # one that came a moment before


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_was_ignored_stays_ignored_at_the_end() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals.leave()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


@pytest.mark.skipif(sys.platform == "win32", reason="no signal is held back there")
@pytest.mark.usefixtures("handlers")
def test_a_signal_that_is_held_back_comes_when_the_block_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    signals.catch()
    steps = []

    def hold(send: Callable[[int], None]) -> None:
        with signals.held():
            send(signal.SIGTERM)
            time.sleep(0.01)
            steps.append("within")
        steps.append("behind")

    with pytest.raises(signals.Stopped):
        hold(signal.raise_signal)
    assert steps == ["within"]
    monkeypatch.setattr(signals, "_last", -signals._REPEATED)
    with pytest.raises(signals.Stopped):  # another thread hears it
        hold(lambda number: signals._stop(number, None))
    assert steps == ["within"] * 2


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
