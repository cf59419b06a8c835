"""Bytes that records carry in another form: compressed page images, pages without their middle, diffs of nodes.

Sources: Microsoft, Extensible Storage Engine, compression.cxx, logdiff.cxx and cpage.cxx; [MS-XCA], section 2.4 (plain
LZ77); LZ4 block format.
"""

from __future__ import annotations

import struct
from typing import Final

from tokar.replay.nodepage import NodePage, PageError

_MIDDLE_REMOVED: Final = 1
_COMPRESSED: Final = 2
_XPRESS: Final = 3
_LZ4: Final = 7
_NAMES: Final = {4: "scrubbed", 5: "Xpress9", 6: "Xpress10"}
_TAGS_AT: Final = 34
_FREE_AT: Final = 28
_SHORT: Final = struct.Struct("<H")
_LONG: Final = struct.Struct("<I")
_WIDE: Final = struct.Struct("<HB")


class UnknownFormError(PageError):
    """An image is compressed in a way that is not public."""


def open_image(image: bytes, flags: int, page_size: int, number: int) -> NodePage:
    """Return the page that a record carries.

    Raises:
        UnknownFormError: It is compressed in a way that is not public.
        PageError: It is no page.
    """
    data = decompress(image, page_size) if flags & _COMPRESSED else image
    if flags & _MIDDLE_REMOVED:
        data = _with_middle(data, page_size)
    if len(data) != page_size:
        raise PageError(f"the image of page {number} has {len(data)} bytes, a page {page_size}")
    return NodePage(data, number)


def is_proven_form(image: bytes, flags: int) -> bool:
    """Return whether real files have images in this form: plain ones, and whole ones in plain LZ77."""
    return not flags & _MIDDLE_REMOVED and (not flags & _COMPRESSED or image[0] >> 3 == _XPRESS)


def _with_middle(data: bytes, page_size: int) -> bytes:
    """Put the free space of a page back, which lies before the tags."""
    grows = page_size - len(data)
    if grows < 0 or len(data) < _TAGS_AT + 2:
        raise PageError("an image without its middle is no part of a page")
    cut = len(data) - 4 * (_SHORT.unpack_from(data, _TAGS_AT)[0] & 0xFFF)
    (free,) = _SHORT.unpack_from(data, _FREE_AT)
    if cut < 0 or free + grows > page_size:
        raise PageError("an image without its middle is no part of a page")
    return data[:_FREE_AT] + _SHORT.pack(free + grows) + data[_FREE_AT + 2 : cut] + bytes(grows) + data[cut:]


def decompress(data: bytes, most: int) -> bytes:
    """Return what was compressed: a byte with the scheme, the size, then the stream of it.

    Args:
        data: All of it.
        most: More bytes than that are refused.
    """
    scheme = data[0] >> 3 if data else 0
    if scheme not in (_XPRESS, _LZ4):
        raise UnknownFormError(f"an image is compressed as {_NAMES.get(scheme, f'scheme {scheme}')}, which is not read")
    try:
        (size,) = _SHORT.unpack_from(data, 1)
        if size > most:
            raise PageError(f"an image claims {size} bytes, a page has {most}")
        found = _xpress(data[3:], size) if scheme == _XPRESS else _lz4(data[3:], size)
    except (IndexError, struct.error) as error:
        raise PageError("a compressed image ends too early") from error
    if len(found) != size:
        raise PageError(f"a compressed image gives {len(found)} bytes in place of {size}")
    return found


def _xpress(data: bytes, size: int) -> bytes:
    """Return the bytes of a plain LZ77 stream: 32 flags, then a literal or a match for each."""
    out = bytearray()
    at = bits = left = half = 0
    while len(out) < size:
        if not left:
            (bits,) = _LONG.unpack_from(data, at)
            at, left = at + 4, 32
        left -= 1
        if not bits >> left & 1:
            out.append(data[at])
            at += 1
            continue
        if at >= len(data):
            break
        (match,) = _SHORT.unpack_from(data, at)
        length, at, half = _match_length(data, at + 2, match & 7, half)
        _repeat(out, (match >> 3) + 1, min(length, size - len(out)))
    return bytes(out)


def _match_length(data: bytes, at: int, length: int, half: int) -> tuple[int, int, int]:
    """Return length of a match, where the stream goes on, and the place of a byte of which half is still unused."""
    if length < 7:
        return length + 3, at, half
    if half:
        length, half = data[half] >> 4, 0
    else:
        length, half, at = data[at] & 15, at, at + 1
    if length < 15:
        return length + 10, at, half
    length, at = data[at], at + 1
    if length < 255:
        return length + 25, at, half
    (length,) = _SHORT.unpack_from(data, at)
    at += 2
    if not length:
        (length,) = _LONG.unpack_from(data, at)
        at += 4
    return length + 3, at, half


def _lz4(data: bytes, size: int) -> bytes:
    out = bytearray()
    at = 0
    while at < len(data):
        token, at = data[at], at + 1
        count, at = _lz4_length(data, at, token >> 4)
        out += data[at : at + count]
        at += count
        if at >= len(data) or len(out) > size:
            break
        (back,) = _SHORT.unpack_from(data, at)
        count, at = _lz4_length(data, at + 2, token & 15)
        _repeat(out, back, min(count + 4, size - len(out) + 1))
    return bytes(out)


def _lz4_length(data: bytes, at: int, length: int) -> tuple[int, int]:
    if length == 15:
        more = 255
        while more == 255:
            more, at = data[at], at + 1
            length += more
    return length, at


def _repeat(out: bytearray, back: int, count: int) -> None:
    """Append bytes that lie so far back, which may run into themselves."""
    if not 0 < back <= len(out):
        raise PageError("a compressed image refers to before its start")
    piece = bytes(out[-back:])
    out += (piece * (count // back + 1))[:count] if back < count else piece[:count]


def apply_diff(diff: bytes, old: bytes, *, wide: bool) -> bytes:
    """Return the new data of a node: pieces of new bytes, each at an offset of the old data.

    Raises:
        PageError: The diff leaves its bounds.
    """
    new = bytearray()
    at = taken = 0
    try:
        while at < len(diff):
            if wide:
                offset, how = _WIDE.unpack_from(diff, at)
                at += 3
            else:
                (word,) = _SHORT.unpack_from(diff, at)
                offset, how, at = word & 0x1FFF, word >> 8, at + 2
            width = 2 if how & 0x80 else 1
            size = replaced = int.from_bytes(diff[at : at + width], "little")
            at += width
            if how & 0x40:
                replaced = 0
            elif not how & 0x20:
                replaced, at = int.from_bytes(diff[at : at + width], "little"), at + width
            if not taken <= offset <= offset + replaced <= len(old) or at + size > len(diff):
                raise PageError("a diff leaves the bounds of its node")
            new += old[taken:offset] + diff[at : at + size]
            taken, at = offset + replaced, at + size
    except struct.error as error:
        raise PageError("a diff ends too early") from error
    return bytes(new + old[taken:])
