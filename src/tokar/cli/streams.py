"""The standard streams, made fit to use before anything is read or printed."""

from __future__ import annotations

import io
import os
import sys

from tokar.storage.bytesource import never_read


def prepare() -> None:
    """Make the standard streams fit to use, whatever they were when the program was started.

    A descriptor that is closed would be given to the next file that is opened, and text meant for a person would end up
    in it.
    """
    for expected in range(3):
        try:
            os.fstat(expected)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole run
        elif isinstance(stream, io.TextIOWrapper):
            _take_any_text(stream)
    never_read(1, 2)


def _take_any_text(stream: io.TextIOWrapper) -> None:
    """Let no name that cannot be shown stop the work, whatever encoding was asked for."""
    stream.reconfigure(errors="backslashreplace")
    try:
        "\udcff".encode(stream.encoding, "backslashreplace")
    except UnicodeError:  # idna takes no such handler, and not every text that is ASCII
        stream.reconfigure(encoding="utf-8")
