"""Signals that ask the process to end: they do what Ctrl-C does, so that work is given up in order.

A service manager and `timeout` send SIGTERM, a lost terminal SIGHUP; on Windows a console that is closed arrives as
SIGBREAK. By default each of them ends a process on the spot: no End, no receipt, temporary files left behind. A second
Ctrl-C within seconds belongs to the first: the way out is not interrupted.

An exception that a signal raises while the interpreter runs a callback of its own (of a weak reference that ends, say)
is dropped by it. Such a signal is sent again.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tokar.errors import INTERRUPTED

_NUMBERS: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
_AGAIN: Final = 0.1  # seconds until a signal that was dropped is sent again
_REPEATED: Final = 5.0  # seconds in which further signals belong to the first: both may come, and to all of a group

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

_last = -_REPEATED  # when the last one came
_is_holding = False  # whether they are held back
_kept: int | None = None  # the one that came meanwhile


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def __str__(self) -> str:
        return describe(self)


def catch() -> None:
    """Raise Stopped in the main thread when a signal asks to end; one that is ignored (nohup) stays ignored."""
    global _last  # noqa: PLW0603
    _last = -_REPEATED
    for number in _NUMBERS:
        if signal.getsignal(number) in {signal.SIG_DFL, signal.default_int_handler}:
            signal.signal(number, _stop)
    sys.unraisablehook = _send_again


def leave() -> None:
    """Let signals end the process on the spot: nothing is at work, and there is nobody who would catch an exception."""
    global _last  # noqa: PLW0603
    _last = math.inf  # what came a moment ago raises nothing
    with held():
        for number in _NUMBERS:
            if signal.getsignal(number) in {_stop, signal.default_int_handler}:
                signal.signal(number, signal.SIG_DFL)


def ignore() -> None:
    """Ignore them, in a process whose parent hears them too and decides; those that were held back are dropped."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _NUMBERS)


@contextmanager
def held() -> Iterator[None]:
    """Hold them back while the block runs: a process that begins there takes that over, and has time to ignore them."""
    global _is_holding, _kept  # noqa: PLW0603
    before = None if sys.platform == "win32" else signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS)
    _is_holding = True  # another thread may get them
    try:
        yield
    finally:
        _is_holding = False
        if sys.platform != "win32":
            signal.pthread_sigmask(signal.SIG_SETMASK, before or ())
        if _kept is not None:
            number, _kept = _kept, None
            _stop(number, None)


def _stop(number: int, frame: FrameType | None) -> None:
    global _last, _kept  # noqa: PLW0603 - a handler has no other place
    if _is_holding:
        _kept = number
        return
    if frame is not None and frame.f_code is _send_again.__code__:
        _send_later(number)  # an exception in the hook is dropped for good
        return
    now = time.monotonic()
    if now - _last >= _REPEATED:
        _last = now
        raise Stopped(number)


def _send_again(dropped: UnraisableHookArgs) -> None:
    global _last  # noqa: PLW0603
    error = dropped.exc_value
    if not isinstance(error, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    _last = -_REPEATED
    number = error.number if isinstance(error, Stopped) else signal.SIGINT
    _send_later(number)


def _send_later(number: int) -> None:
    """Send a signal in a moment, from a thread: the hook that asks for it must have returned by then."""
    timer = threading.Timer(_AGAIN, _send, (number,))
    timer.daemon = True
    timer.start()


def _send(number: int) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # wakes it where it waits


def exit_code(error: KeyboardInterrupt) -> int:
    """Return the exit code for an interrupt: 128 and the number of the signal, as shells have it."""
    return 128 + error.number if isinstance(error, Stopped) else INTERRUPTED


def describe(error: KeyboardInterrupt) -> str:
    """Return an interrupt in words."""
    number = error.number if isinstance(error, Stopped) else signal.SIGINT
    return "interrupted" if number == signal.SIGINT else f"stopped by {signal.Signals(number).name}"
