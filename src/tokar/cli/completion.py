"""Values that a shell may complete: those that the format knows, and the entries of the archive that was named."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from tokar import tokens
from tokar.errors import ArchiveError

_MOST: Final = 500  # entries that are offered
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
    given = next((word for word in words.split() if os.path.isfile(word)), None)  # noqa: PTH113 - text
    if given is None:
        return []
    from tokar.format.archive import Archive  # noqa: PLC0415 - start-up time

    with suppress(ArchiveError, OSError), Archive(given) as archive:
        return _beginning(incomplete, dict.fromkeys(one.leaf or one.name for one in archive))[:_MOST]
    return []


def _beginning(incomplete: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
