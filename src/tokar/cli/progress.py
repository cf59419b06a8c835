"""How far the work is: a bar on a terminal, JSON lines for programs, both on standard error."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tokar.cli.tables import within_reason
from tokar.errors import InputError, storage_errors
from tokar.storage import windows

_DAY: Final = re.compile(rb"\d{4}-\d{2}-\d{2}")  # what a log begins with
_NO_WAIT: Final = getattr(os, "O_NONBLOCK", 0)
_OTHER_LOG: Final = "name another file, or one that is not there yet"
_EVERY: Final = 0.2  # seconds between two lines
_ROOM_FOR_RATES: Final = 60  # columns of a terminal
_ROOM_FOR_A_BAR: Final = 80
_SMALLEST_BAR: Final = 10
_TIME_LEFT: Final = len("0:00:00")
_WIDEST: Final = "1023.9 MiB"  # of all sizes


class ProgressForm(StrEnum):
    """The forms of progress."""

    BAR = "bar"  # on a terminal
    JSON = "json"
    OFF = "off"


class ProgressLines:
    """Progress as JSON lines: one at the start and one at the end of each phase, and some between.

    Args:
        say: Writes a line.
        phase: What is done.
        of: What it is done to.
        total: Bytes in all; None where nobody knows.
    """

    def __init__(self, say: Callable[[str], None], phase: str, of: str, total: int | None) -> None:
        self._say = say
        self._line: dict[str, Any] = {"phase": phase, "of": of, "bytes": 0, "total": total}
        self.write()

    def write(self) -> None:
        """Write how far it is."""
        self._at = time.monotonic()
        self._say(json.dumps(self._line) + "\n")

    def advance(self, size: int) -> None:
        """Take note of bytes that are done."""
        self._line["bytes"] += size
        if time.monotonic() - self._at >= _EVERY:
            self.write()


class Log:
    """A file that takes what goes to standard error, line by line with the time.

    Args:
        path: The file; it is made, or written to at its end.

    Raises:
        StorageError: It cannot be opened.
        InputError: It is another file.
    """

    def __init__(self, path: Path) -> None:
        with storage_errors("open the log", path):
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _NO_WAIT, 0o600)
            if is_new:
                windows.make_private(str(path))
            kind = os.fstat(self._descriptor).st_mode
            start = self._start() if stat.S_ISREG(kind) else b""  # a terminal would be waited for
        if not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)):
            os.close(self._descriptor)
            raise InputError(
                "a log is a file, and this is none: what is written to it may wait for ever", path=path, hint=_OTHER_LOG
            )
        if start and not _DAY.fullmatch(start):
            os.close(self._descriptor)
            raise InputError("this is no log of tokar, and nothing is added to it", path=path, hint=_OTHER_LOG)
        if _NO_WAIT:
            os.set_blocking(self._descriptor, True)

    def _start(self) -> bytes:
        """Return the first bytes: some that begin no log where there are none yet, as in /proc."""
        try:
            return os.read(self._descriptor, 10)
        except BlockingIOError:
            return b"not yet"
        except OSError:
            os.close(self._descriptor)
            raise

    def write(self, text: str) -> None:
        """Write a line, if that can be done: no message is worth the work that it tells of."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        with suppress(OSError):
            os.write(self._descriptor, f"{moment} {text}".encode(errors="backslashreplace"))

    def close(self) -> None:
        """Close it."""
        with suppress(OSError):
            os.close(self._descriptor)


@contextmanager
def shown_bar(title: str, total: int, size_text: Callable[[int], str]) -> Iterator[Callable[[int], None]]:
    """Show bytes, rate and time left on the terminal while the block runs; all sizes in the one unit system."""
    from rich import progress as rich_progress  # noqa: PLC0415 - start-up time: only for terminals
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Column  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = within_reason(Console(stderr=True))
    is_narrow, has_bar = console.width < _ROOM_FOR_RATES, console.width >= _ROOM_FOR_A_BAR
    sizes = len(f"{_WIDEST} of {size_text(total)}") + (0 if is_narrow else len(f"  {_WIDEST}/s"))
    others = sizes + 1 + (0 if is_narrow else _TIME_LEFT + 1) + (_SMALLEST_BAR + 1 if has_bar else 0)

    class Sizes(rich_progress.ProgressColumn):
        def render(self, task: rich_progress.Task) -> Text:
            speed = task.finished_speed or task.speed
            rate = f"  {size_text(int(speed))}/s" if speed and not is_narrow else ""
            return Text(f"{size_text(int(task.completed))} of {size_text(total)}{rate}")

    def column(width: int) -> Column:
        """Everything stays in one line: the name is cut."""
        return Column(no_wrap=True, overflow="crop", min_width=width, max_width=width)

    columns = (
        # a name in it may have brackets
        rich_progress.TextColumn(
            "{task.description}", markup=False, table_column=column(max(0, min(len(title), console.width - others)))
        ),
        *([rich_progress.BarColumn(None)] if has_bar else []),
        Sizes(table_column=column(min(sizes, console.width))),
        *([] if is_narrow else [rich_progress.TimeRemainingColumn(table_column=column(_TIME_LEFT))]),
    )
    bar = rich_progress.Progress(*columns, console=console, transient=True)
    task = bar.add_task(title, total=total)

    def advance(size: int) -> None:
        with suppress(OSError):  # the terminal may be gone
            bar.advance(task, size)
            if bar.finished:  # somebody may be asked for a passphrase now, on the same terminal
                bar.stop()

    with suppress(OSError):
        bar.start()
    try:
        yield advance
    finally:
        with suppress(OSError):
            bar.stop()
