"""Signals that ask the process to end: they do what Ctrl-C does, so that work is given up in order.

A service manager and `timeout` send SIGTERM, a lost terminal SIGHUP; on Windows a console that is closed arrives as
SIGBREAK. By default each of them ends a process on the spot: no End, no receipt, temporary files left behind.

An exception that a signal raises while the interpreter runs a callback of its own (of a weak reference that ends, say)
is dropped by it. Such a signal is sent again.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from tokar.errors import INTERRUPTED

_NAMES: Final = ("SIGTERM", "SIGHUP", "SIGBREAK")
_AGAIN: Final = 0.1  # seconds until a signal that was dropped is sent again
_REPEATED: Final = 5.0  # seconds in which further signals belong to the first: both may come, and to all of a group

if TYPE_CHECKING:
    from sys import UnraisableHookArgs
    from types import FrameType

_last = -_REPEATED  # when the last one came


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def catch() -> None:
    """Raise Stopped in the main thread when a signal asks to end; one that is ignored (nohup) stays ignored."""
    for name in _NAMES:
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _stop)
    sys.unraisablehook = _send_again


def _stop(number: int, frame: FrameType | None) -> None:
    global _last  # noqa: PLW0603 - a handler has no other place
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
    return f"stopped by {signal.Signals(error.number).name}" if isinstance(error, Stopped) else "interrupted"
