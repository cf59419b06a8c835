"""Words of messages: counted things, and lists that are cut off where they grow long."""

from __future__ import annotations

from collections.abc import Iterable


def noun(count: int, singular: str, plural: str = "") -> str:
    """Return the word for a number of things."""
    return singular if count == 1 else plural or f"{singular}s"


def count_text(count: int, singular: str, plural: str = "") -> str:
    """Return a number of things in words: `1 file`, `1,200 files`."""
    return f"{count:,} {noun(count, singular, plural)}"


def hex_text(value: int) -> str:
    """Return a number in hexadecimal; one that a header should not have keeps its sign before it: `-0x5`."""
    return f"{'-' * (value < 0)}0x{abs(value):X}"


def some(items: Iterable[str], most: int = 8) -> str:
    """Return a list in words, cut off where it grows long."""
    listed = list(items)
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + more
