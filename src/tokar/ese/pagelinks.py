"""Whether the pages of a database lead to each other: neighbours, children and roots, each against what names it.

The engine holds the page that it comes to against the one that it came from: it must name that one as its neighbour on
the other side, belong to the same object, be as far from the leaves, and be in use (-327, -338). Only pages of objects
that the catalog names are sure to be alive: what is left of a dropped table leads anywhere. A page that leaves its tree
is marked as empty.

Sources: Microsoft, Extensible Storage Engine, bt.cxx and node.hxx (behaviour only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.arrays import np
from tokar.ese.page import (
    CATALOG_OBJECT,
    COMPRESSED_NODE,
    DELETED_NODE,
    EMPTY_PAGE,
    LARGE_HEADER_SIZE,
    LARGE_PAGE_SIZE,
    LEAF_PAGE,
    ROOT_PAGE,
    SYSTEM_OBJECT,
    TREE_FLAGS,
    PageHeader,
    named_pages,
    space_pages,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from tokar.ese.blocksums import Words

    Flags = npt.NDArray[np.bool_]

MOST_LINKED: Final = 1 << 22
"""Pages beyond are not held against each other, so that 68 MiB are enough for any database."""
MOST_UNLINKED: Final = 100
_MANY_NODES: Final = 32  # from which on it pays to look at all of them at once
_LEAST_NODE: Final = 6  # bytes: the size of a key, and the number of a child
_AT_ONCE: Final = 1 << 16
_LOW_HALF: Final = 0xFFFFFFFF
_OUT: Final = np.uint64((1 << 64) - 1)  # the links of a page that is out of its tree: they lead nowhere


class PageLinks:
    """What the pages of a database say of each other, noted while they go by.

    Args:
        last_page: The highest page number of the file.
    """

    def __init__(self, last_page: int) -> None:
        size = min(last_page, MOST_LINKED) + 1
        self._links = np.zeros(size, np.uint64)  # Of each page: the neighbour before it, and the one after it above
        self._objects = np.zeros(size, np.uint32)  # The object that it belongs to; 0 where that is not known
        self._kinds = np.zeros(size, np.uint8)  # What it is to its tree
        self._parents = np.zeros(size, np.uint32)  # The page that names it as its child or as a root of its space
        self._roots: dict[int, tuple[int, int]] = {}  # Of each object: its root, and the page of the catalog

    def note(self, heads: Words, good: Flags, first: int) -> None:
        """Note neighbours and objects of pages. `heads`: their first words; `first`: the number of the first one."""
        room = max(len(self._links) - first, 0)
        good, heads = good[:room], heads[:room]
        flags = heads[:, 4] >> np.uint64(32)
        out = flags & np.uint64(EMPTY_PAGE) != 0
        self._kinds[first : first + len(good)] = flags & np.uint64(TREE_FLAGS & ~ROOT_PAGE)
        self._links[first : first + len(good)] = np.where(out, _OUT, heads[:, 2])
        self._objects[first : first + len(good)] = np.where(good, heads[:, 3] & np.uint64(_LOW_HALF), 0)

    def note_named(self, page: bytes, number: int) -> npt.NDArray[np.int64]:
        """Return the pages that a page names, and note who names them."""
        named = inner_names(page)
        if named is None:
            found = [*named_pages(page)]
            self._roots.update({owner: (root, number) for root, owner in found if owner is not None})
            named = np.array([one for one, _ in found], np.int64)
            children = np.array([one for one, owner in found if owner is None], np.int64)
        else:
            children = named
        if number < len(self._parents):
            self._parents[children[children < len(self._parents)]] = number
        return named

    def unlinked(self) -> tuple[tuple[int, int], ...]:
        """Return the first pages that name a page which does not fit, each with that page."""
        known = np.array(sorted({SYSTEM_OBJECT, CATALOG_OBJECT, *self._roots}), np.int64)
        found = {(page, root) for owner, (root, page) in self._roots.items() if self._is_stranger(root, owner)}
        for start in range(1, len(self._links), _AT_ONCE):
            owned = np.flatnonzero(self._objects[start : start + _AT_ONCE]) + start
            if len(owned) and len(found) < MOST_UNLINKED:
                found.update(self._wrong(owned, known))
        return tuple(sorted(found)[:MOST_UNLINKED])

    def _is_stranger(self, page: int, owner: int) -> bool:
        """Return whether a page that an object has as its root is of another object, or out of its tree."""
        known = self._objects[page] if page < len(self._objects) else 0
        return bool(known and (known != owner or self._links[page] == _OUT))

    def _wrong(self, numbers: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        objects, links, parents = self._objects[numbers], self._links[numbers], self._parents[numbers]
        in_use = links != _OUT
        alive = in_use & _among(objects, known)
        for to, back in ((_after, _before), (_before, _after)):
            neighbours = to(links)
            leads = in_use & (neighbours > 0) & (neighbours < len(self._links))
            named = neighbours[leads]
            same = self._objects[named] == objects[leads]
            other = alive[leads] & (self._objects[named] > 0)
            unlike = (back(self._links[named]) != numbers[leads]) | (self._kinds[named] != self._kinds[numbers[leads]])
            wrong = np.where(same, unlike, other)
            yield from zip(numbers[leads][wrong].tolist(), named[wrong].tolist(), strict=True)
        owners = self._objects[parents]
        lost = (owners > 0) & ((owners != objects) | ~in_use) & _among(owners, known)
        yield from zip(parents[lost].tolist(), numbers[lost].tolist(), strict=True)


def inner_names(page: bytes) -> npt.NDArray[np.int64] | None:
    """Return what `named_pages` does of an inner page with many children, all nodes at once; None for any other page.

    A node is a key, of which its first or second word is the size, and behind it the number of a child.
    """
    header = PageHeader.unpack(page)
    large = len(page) >= LARGE_PAGE_SIZE
    start, mask = (LARGE_HEADER_SIZE, 0x7FFF) if large else (PageHeader.layout_size(), 0x1FFF)
    count = min(header.tag_count, (len(page) - start) // 4)
    if header.tag_count >> 12 or header.flags & LEAF_PAGE or count < _MANY_NODES:
        return None
    tags = np.frombuffer(page, "<u4")[-2 : -count - 1 : -1]  # from tag 1 on: they stand at the end, the last one first
    data = np.frombuffer(page, np.uint8)
    begin = start + (tags >> np.uint32(16) & np.uint32(mask)).astype(np.int64)
    end = np.minimum(begin + (tags & np.uint32(mask)), len(page))
    whole = end - begin >= _LEAST_NODE
    tags, begin, end = tags[whole], begin[whole], end[whole]
    flags = _little(data, begin, 2) >> 13 if large else tags >> np.uint32(29)
    sizes = np.where(flags & COMPRESSED_NODE != 0, 4, 2)
    key_size = _little(data, begin + sizes - 2, 2) & 0x1FFF
    is_child = (flags & DELETED_NODE == 0) & (begin + sizes + key_size + 4 == end)
    return np.concatenate([_little(data, end[is_child] - 4, 4), np.array(space_pages(page, header), np.int64)])


def _little(data: npt.NDArray[np.uint8], at: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Return the little-endian numbers of some bytes at these places."""
    found = data[at].astype(np.int64)
    for byte in range(1, size):
        found |= data[at + byte].astype(np.int64) << (8 * byte)
    return found


def _among(values: npt.NDArray[np.uint32], known: npt.NDArray[np.int64]) -> Flags:
    """Return which values are among those that are known, which are in order; of few `np.isin` makes much work."""
    found: Flags = known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
    return found


def _before(links: Words) -> npt.NDArray[np.int64]:
    return (links & np.uint64(_LOW_HALF)).astype(np.int64)


def _after(links: Words) -> npt.NDArray[np.int64]:
    return (links >> np.uint64(32)).astype(np.int64)
