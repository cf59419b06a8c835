"""What a file's name claims: its role, the base name of its log stream, its log generation.

Names are used only where content cannot tell (a patch file, an old log, the log being prepared) and to be compared with
content.

Sources: Microsoft, "Extensible Storage Engine Files"; Microsoft Knowledge Base Q158526 and Q296787.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

from tokar.errors import InputError

HIGHEST_SHORT_GENERATION: Final = 0xFFFFF
"""The last generation whose name has five digits; from the next on there are eight."""
_BASE_LENGTH: Final = 3
"""Base names have three characters (`edb`, `E00`, `j50`, `SRU`) unless the caller knows better."""
_LOG_SUFFIXES: Final = ("log", "jtx")
DATABASE_SUFFIXES: Final = (".edb", ".dit", ".mdb")
"""A file of such a name is a database even where nothing in it says so any more."""
_TEMPORARY_DATABASES: Final = {"tmp.edb", "temp.edb"}
_OLD_RESERVES: Final = {"res1.log", "res2.log"}
_REPAIR_SUFFIX: Final = ".integ.raw"
_GENERATION: Final = re.compile(r"[0-9a-f]{5}|[0-9a-f]{8}")
_KNOWN_BASE: Final = re.compile(r"[^./\\:]{1,16}")


class NameRole(StrEnum):
    """What a file is, going by its name."""

    CURRENT_LOG = "current-log"
    NUMBERED_LOG = "numbered-log"
    NEXT_LOG = "next-log"
    SHADOW_LOG = "shadow-log"
    RESERVE = "reserve"
    CHECKPOINT = "checkpoint"
    FLUSH_MAP = "flush-map"
    PATCH = "patch-file"
    TEMPORARY_DATABASE = "temporary-database"
    STREAMING_FILE = "streaming-file"
    REPAIR_REPORT = "repair-report"
    UNKNOWN = "unknown"


_OF_A_STREAM: Final = {
    *(NameRole.CURRENT_LOG, NameRole.NUMBERED_LOG, NameRole.NEXT_LOG, NameRole.SHADOW_LOG, NameRole.RESERVE),
}


@dataclass(frozen=True, slots=True)
class FileName:
    """What the name of a file claims."""

    role: NameRole  # What the file is, going by its name
    # The base name as spelled; for patch and flush-map files the name of their database. None where there is none.
    base: str | None = None
    generation: int | None = None  # The log generation in the name of a numbered log

    @property
    def log_base(self) -> str:
        """The base name in lower case where it is the name of a log; empty else, whatever is in the file."""
        return (self.base or "").lower() if self.role in _OF_A_STREAM else ""


_SUFFIX_ROLES: Final = {
    "chk": NameRole.CHECKPOINT,
    "jcp": NameRole.CHECKPOINT,
    "jfm": NameRole.FLUSH_MAP,
    "pat": NameRole.PATCH,
    "stm": NameRole.STREAMING_FILE,
}


@lru_cache(maxsize=64)
def parse_file_name(name: str, base: str | None = None) -> FileName:
    """Return what a leaf name claims. Case does not matter.

    `E0000001.log` can be read as base `E00` and generation 1, or with other bases: without `base` only bases of three
    characters are considered, which is the rule.

    Args:
        name: The name without any folder.
        base: The base name of the log stream, where it is known.
    """
    lowered = name.lower()
    if lowered in _TEMPORARY_DATABASES:
        return FileName(NameRole.TEMPORARY_DATABASE)
    if lowered.endswith(_REPAIR_SUFFIX):
        return FileName(NameRole.REPAIR_REPORT, name[: -len(_REPAIR_SUFFIX)])
    stem, _, suffix = name.rpartition(".")
    suffix = suffix.lower()
    if stem and suffix in _SUFFIX_ROLES:
        return FileName(_SUFFIX_ROLES[suffix], stem)
    if suffix == "jrs" or lowered in _OLD_RESERVES:
        match = re.fullmatch(r"(.+)res[0-9a-f]{5}", stem, re.IGNORECASE)
        return FileName(NameRole.RESERVE, match[1] if match else None)
    return _log_name(stem, suffix, base)


def log_file_name(base: str, generation: int | None = None, *, suffix: str = "log", digits: int | None = None) -> str:
    """Return the name of a log: of the current one without a generation, else of a closed one.

    Args:
        base: The base name.
        generation: The log generation.
        suffix: `log`, or `jtx` in the newer naming.
        digits: 5 or 8; by default 5 while the generation fits.

    Raises:
        InputError: The generation has no such name, or the base cannot be one.
    """
    if not _KNOWN_BASE.fullmatch(base):
        raise InputError(f"{base!r} cannot be the base name of a log stream")
    if generation is None:
        return f"{base}.{suffix}"
    digits = digits or (5 if generation <= HIGHEST_SHORT_GENERATION else 8)
    if digits not in {5, 8} or not 0 < generation < 16**digits:
        raise InputError(f"log generation {generation} cannot be written with {digits} hex digits")
    return f"{base}{generation:0{digits}X}.{suffix}"


def _log_name(stem: str, suffix: str, base: str | None) -> FileName:
    """Read the name of a log: with the known base where it begins with that, else with a base of three characters."""
    length = len(base) if base and stem.lower().startswith(base.lower()) else _BASE_LENGTH
    rest = stem[length:].lower()
    if _GENERATION.fullmatch(rest) and suffix in {*_LOG_SUFFIXES, "jsl"}:
        role = NameRole.SHADOW_LOG if suffix == "jsl" else NameRole.NUMBERED_LOG
        return FileName(role, stem[:length], int(rest, 16))
    if suffix in _LOG_SUFFIXES and len(stem) == length:
        return FileName(NameRole.CURRENT_LOG, stem)
    if suffix in _LOG_SUFFIXES and rest == "tmp":
        return FileName(NameRole.NEXT_LOG, stem[:length])
    return FileName(NameRole.UNKNOWN)
