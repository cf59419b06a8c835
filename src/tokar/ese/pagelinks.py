"""Whether the pages of a database lead to each other: neighbours, children and roots, each against what names it.

The engine holds the page that it comes to against the one that it came from: it must name that one as its neighbour on
the other side, belong to the same object, and be in use (-327, -338). Only pages of objects that the catalog names are
sure to be alive: what is left of a dropped table leads anywhere. A page that leaves its tree is marked as empty.

Sources: Microsoft, Extensible Storage Engine, bt.cxx and node.hxx (behaviour only).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar.ese.arrays import np
from tokar.ese.page import CATALOG_OBJECT, EMPTY_PAGE, SYSTEM_OBJECT, named_pages

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from tokar.ese.blocksums import Words

    Flags = npt.NDArray[np.bool_]

MOST_LINKED: Final = 1 << 22
"""Pages beyond are not held against each other, so that 64 MiB are enough for any database."""
MOST_UNLINKED: Final = 100
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
        self._parents = np.zeros(size, np.uint32)  # The page that names it as its child or as a root of its space
        self._roots: dict[int, tuple[int, int]] = {}  # Of each object: its root, and the page of the catalog

    def note(self, heads: Words, good: Flags, first: int) -> None:
        """Note neighbours and objects of pages. `heads`: their first words; `first`: the number of the first one."""
        room = max(len(self._links) - first, 0)
        good, heads = good[:room], heads[:room]
        out = heads[:, 4] >> np.uint64(32) & np.uint64(EMPTY_PAGE) != 0
        self._links[first : first + len(good)] = np.where(out, _OUT, heads[:, 2])
        self._objects[first : first + len(good)] = np.where(good, heads[:, 3] & np.uint64(_LOW_HALF), 0)

    def note_named(self, page: bytes, number: int) -> Iterator[int]:
        """Yield the pages that a page names, and note who names them."""
        for named, owner in named_pages(page):
            if owner is not None:
                self._roots[owner] = named, number
            elif max(named, number) < len(self._parents):
                self._parents[named] = number
            yield named

    def unlinked(self) -> tuple[tuple[int, int], ...]:
        """Return the first pages that name a page which does not fit, each with that page."""
        known = np.array([SYSTEM_OBJECT, CATALOG_OBJECT, *self._roots], np.int64)
        found = {(page, root) for owner, (root, page) in self._roots.items() if self._is_stranger(root, owner)}
        for start in range(1, len(self._links), _AT_ONCE):
            if len(found) < MOST_UNLINKED:
                found.update(self._wrong(np.arange(start, min(start + _AT_ONCE, len(self._links))), known))
        return tuple(sorted(found)[:MOST_UNLINKED])

    def _is_stranger(self, page: int, owner: int) -> bool:
        """Return whether a page that an object has as its root is of another object, or out of its tree."""
        known = self._objects[page] if page < len(self._objects) else 0
        return bool(known and (known != owner or self._links[page] == _OUT))

    def _wrong(self, numbers: npt.NDArray[np.int64], known: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        objects, links, parents = self._objects[numbers], self._links[numbers], self._parents[numbers]
        in_use = (objects > 0) & (links != _OUT)
        alive = in_use & np.isin(objects, known)
        for to, back in ((_after, _before), (_before, _after)):
            neighbours = to(links)
            leads = in_use & (neighbours > 0) & (neighbours < len(self._links))
            named = neighbours[leads]
            same = self._objects[named] == objects[leads]
            other = alive[leads] & (self._objects[named] > 0)
            wrong = np.where(same, back(self._links[named]) != numbers[leads], other)
            yield from zip(numbers[leads][wrong].tolist(), named[wrong].tolist(), strict=True)
        owners = self._objects[parents]
        lost = (objects > 0) & (owners > 0) & ((owners != objects) | ~in_use) & np.isin(owners, known)
        yield from zip(parents[lost].tolist(), numbers[lost].tolist(), strict=True)


def _before(links: Words) -> npt.NDArray[np.int64]:
    return (links & np.uint64(_LOW_HALF)).astype(np.int64)


def _after(links: Words) -> npt.NDArray[np.int64]:
    return (links >> np.uint64(32)).astype(np.int64)
