"""Archives of a made-up chain: a full with logs 5 to 7 and sets that continue it, for tests outside tests/sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from recovery_sets import (
    DATABASE,
    OTHER_STREAM,
    Made,
    archive,
    checkpoint,
    database,
    dirty,
    logs,
    streaming,
)

from tokar.namelist import build_names

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "DATABASE",
    "OTHER_STREAM",
    "TOP",
    "Made",
    "archive",
    "branch",
    "certutil_folder",
    "checkpoint",
    "database",
    "dirty",
    "full",
    "increment",
    "logs",
    "name_of",
    "part",
    "streaming",
]

_ALL = logs(5, 20)


def name_of(generation: int) -> str:
    return f"edb{generation:05X}.log"


TOP = {generation: _ALL[name_of(generation)] for generation in range(5, 21)}


def part(low: int, high: int) -> dict[str, bytes]:
    """Logs of the one history."""
    return {name_of(generation): TOP[generation] for generation in range(low, high + 1)}


def branch(low: int, high: int, number: int = 1000) -> dict[str, bytes]:
    """Logs of another history that parted after generation low - 1."""
    return logs(low, high, after=TOP[low - 1], branch=number)


def full(
    folder: Path, name: str = "full", *, low: int = 5, high: int = 7, files: dict[str, bytes] | None = None, **head: Any
) -> Made:
    """A full backup: a streaming copy and its logs, and other files that lay beside them."""
    own = {DATABASE: bytes(streaming(low, high)), **part(low, high), "main.pat": b""}
    return archive(folder / f"{name}.tokar", {**own, **(files or {})}, kind="full", **head)


def increment(folder: Path, name: str, files: dict[str, bytes], **head: Any) -> Made:
    """A logs-only set."""
    return archive(folder / f"{name}.tokar", files, kind="logs", **head)


def certutil_folder() -> dict[str, bytes]:
    """A folder that `certutil -backupDB` made of the full: its database, logs, and where they belong."""
    folder = r"\\HOST\C$\CertLog"
    rows = ((0x44, rf"{folder}\{DATABASE}"), (0x82, folder), (0x83, folder))
    listed = build_names([(token, path.encode("utf-16-le")) for token, path in rows], wide=True)
    files = {"certbkxp.dat": listed, DATABASE: bytes(streaming(5, 7)), **part(5, 7)}
    return {f"DataBase/{name}": data for name, data in files.items()}
