"""Values that a shell may complete: those that the format knows, and the entries of the archive that was named."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from tokar import tokens
from tokar.errors import ArchiveError

_MOST: Final = 500  # entries that are offered
_SPECIAL: Final = re.compile(r"[^\w@%+=:,./-]")  # what bash reads as more than itself
_KINDS: Final = ("full", "logs", "collected")


def profiles(incomplete: str) -> list[str]:
    """Return token profiles."""
    return _beginning(incomplete, tokens.PROFILES)


def kinds(incomplete: str) -> list[str]:
    """Return kinds of sets."""
    return _beginning(incomplete, _KINDS)


def existing(incomplete: str) -> list[str]:
    """Return what may be done about files that are in the way."""
    return _beginning(incomplete, ("refuse", "set-aside", "roll-forward"))


def systems(incomplete: str) -> list[str]:
    """Return the systems that can be planned for."""
    return _beginning(incomplete, ("windows",))


def compressions(incomplete: str) -> list[str]:
    """Return ways to store content."""
    return _beginning(incomplete, ("none", "zstd", "zstd:"))


def token_names(incomplete: str) -> list[str]:
    """Return the names of tokens in all profiles."""
    return _beginning(incomplete, sorted({row.name for one in tokens.PROFILES.values() for row in one.rows}))


def places(incomplete: str) -> list[str]:
    """Return the beginnings of `TOKEN=PATH`."""
    return [f"{name}=" for name in token_names(incomplete)]


def entries(incomplete: str) -> list[str]:
    """Return the names of the entries of the archive that stands in the line, their leaves where these are safe."""
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    given = next((word for word in _split(words)[1:] if os.path.isfile(word)), None)  # noqa: PTH113 - text
    if given is None:
        return []
    from tokar.format.archive import Archive  # noqa: PLC0415 - start-up time

    with suppress(ArchiveError, OSError), Archive(given) as archive:
        found = _beginning(incomplete, dict.fromkeys(one.leaf or one.name for one in archive))[:_MOST]
        return found if not _types_bare(words) else [_SPECIAL.sub(r"\\\g<0>", one) for one in found]
    return []


def _split(line: str) -> list[str]:
    """Return the words of a line as the shell reads them; the last may be within quotes that nothing ends yet."""
    for closing in ("", "'", '"'):
        with suppress(ValueError):
            return shlex.split(line + closing)
    return line.split()


def _types_bare(line: str) -> bool:
    """Return whether what bash puts into the line needs escapes: it does not outside quotes, and bash adds none."""
    if os.environ.get("_TOKAR_COMPLETE") != "complete_bash":
        return False
    with suppress(ValueError):
        shlex.split(line)
        return True
    return False


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
