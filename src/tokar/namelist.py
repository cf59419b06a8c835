"""The lists that the backup procedure returns: names one after the other, each led by its token, ended by an empty one.

::

    list = *entry terminator        entry = [token] name NUL        terminator = NUL

A unit is one byte in an A list and two bytes, little-endian, in a W list (spec/tokens.md, LST-1 to LST-8; from MS-CSRA
2.2.4 and the documentation of the Get functions). The traps, each with its rule:

* The token is split off **before** anything is decoded: 0x82 and 0x83 are lead bytes in East Asian code pages and would
  swallow the first backslash of the name.
* W lists are read by aligned pairs: the bytes 00 00 also stand astride two characters (U+0041 U+0100 = 41 00 00 01).
* An empty list comes in four forms: no list, no bytes, one NUL, two NULs.
* A missing terminator is an error, for the list may have been cut anywhere. What follows the terminator means nothing.

This is the format alone. Both those who read lists from a server and those who read location lists build on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tokar import names
from tokar.errors import LocationListError


@dataclass(frozen=True, slots=True)
class ListedName:
    """One entry of a list."""

    token: int | None  # The token byte as given, 0x01-0xFF; None in lists without tokens
    raw_name: bytes  # The name without its token and without its end, as delivered
    encoding: int  # Windows code page of the name: 1200 in a W list, in an A list what the caller says, 0 unknown
    offset: int  # Where the entry starts, bytes from the start of the list


def parse_names(
    data: bytes | None, *, wide: bool, encoding: int = names.UNKNOWN, with_tokens: bool = True
) -> tuple[ListedName, ...]:
    """Return the entries of a list.

    Args:
        data: All bytes of the list; None stands for the null pointer of an empty list.
        wide: Whether it is a W list.
        encoding: The code page of the names in an A list; a W list is always UTF-16LE.
        with_tokens: Whether entries begin with a token. The lists of dynamic files and of the engine itself have none.

    Raises:
        LocationListError: The list breaks the grammar; `offset` says where.
    """
    if not data:
        return ()
    width = 2 if wide else 1
    if len(data) % width:
        raise LocationListError("a W list has an odd number of bytes", offset=len(data))
    page = names.UTF_16 if wide else encoding
    return tuple(_split(text, offset, page, width, with_tokens=with_tokens) for text, offset in _entries(data, width))


def _entries(data: bytes, width: int) -> Iterator[tuple[bytes, int]]:
    """Yield what stands between the ends, with its offset, up to the terminator."""
    start = 0
    while True:
        end = _find_nul(data, start, width)
        if end < 0:
            what = "an entry has no end" if start < len(data) else "the list has no terminator"
            raise LocationListError(what, offset=start)
        if end == start:
            return
        yield data[start:end], start
        start = end + width


def _find_nul(data: bytes, start: int, width: int) -> int:
    """Return the offset of the next NUL unit, or -1. In W lists only aligned pairs count."""
    found = data.find(bytes(width), start)
    while found >= 0 and (found - start) % width:
        found = data.find(bytes(width), found + 1)
    return found


def _split(text: bytes, offset: int, encoding: int, width: int, *, with_tokens: bool) -> ListedName:
    """Take the token off an entry."""
    if not with_tokens:
        return ListedName(None, text, encoding, offset)
    if width == 2 and text[1]:
        raise LocationListError(f"the token is {int.from_bytes(text[:2], 'little'):#06x}, not one byte", offset=offset)
    if len(text) == width:
        raise LocationListError(f"the token 0x{text[0]:02X} has no name", offset=offset)
    return ListedName(text[0], text[width:], encoding, offset)


def build_names(entries: Iterable[tuple[int | None, bytes]], *, wide: bool) -> bytes:
    """Return the bytes of a list.

    Args:
        entries: Token and raw name of each entry: UTF-16LE bytes for a W list. None for an entry without token.
        wide: Whether a W list is wanted.

    Returns:
        The list with its terminator: two NULs where it is empty, as for any other list.

    Raises:
        LocationListError: A token or a name cannot stand in a list.
    """
    width = 2 if wide else 1
    parts = []
    for token, name in entries:
        if token is not None and not 0 < token <= 0xFF:
            raise LocationListError(f"the token 0x{token:02X} cannot stand in a list")
        if not name or len(name) % width or _find_nul(name, 0, width) >= 0:
            raise LocationListError(f"the name {names.display(name, names.UTF_16 * wide)} cannot stand in a list")
        head = b"" if token is None else token.to_bytes(width, "little")
        parts.append(head + name + bytes(width))
    return (b"".join(parts) or bytes(width)) + bytes(width)
