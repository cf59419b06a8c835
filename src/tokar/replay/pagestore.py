"""The pages of one database while records are played on them: read when they are touched, changed in memory only.

Memory is bounded: pages that nobody touched for long go to a temporary file that nothing else sees.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Final, Self

from tokar.ese.page import PageHeader, page_is_sealed
from tokar.replay.nodepage import NodePage, PageError
from tokar.storage.bytesource import ByteSource

ROOM: Final = 128 << 20
"""Bytes of pages that are held in memory."""
_BLOCK_SIZE: Final = 64 << 10  # a multiple of every page size
_MOST_BLOCKS: Final = 128


class PageStore:
    """The pages of a database. A context manager: at its end the temporary file is gone.

    Args:
        source: The database file; None for one that the logs make from nothing.
        page_size: Bytes in a page.
        pages: How many there are; all of the file but its header, where that is not said.
        room: Bytes of pages that are held in memory.
    """

    def __init__(
        self, source: ByteSource | None, page_size: int, *, pages: int | None = None, room: int = ROOM
    ) -> None:
        self.page_size = page_size
        if pages is None:
            pages = 0 if source is None else max(source.size // page_size - 2, 0)
        self.last_page = pages  # The last page there is
        self.touched: set[int] = set()  # Every page that was asked for
        self._source = source
        self._end = self.last_page  # of the file
        self._most = max(room // page_size, 16)
        self._held: OrderedDict[int, NodePage | None] = OrderedDict()
        self._changed: set[int] = set()
        self._spilled: set[int] = set()
        self._forgotten: set[int] = set()
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._exit = ExitStack()
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def get(self, number: int) -> NodePage | None:
        """Return a page as it is now; None where it is blank, not there, or not known any more.

        Raises:
            PageError: It is damaged.
            StorageError: It cannot be read.
        """
        held = self._held
        if number in held:
            held.move_to_end(number)
            return held[number]
        self.touched.add(number)
        page = self._load(number)
        self._hold(number, page)
        return page

    def _load(self, number: int) -> NodePage | None:
        if number in self._forgotten:
            return None
        if number in self._spilled:
            assert self._file is not None
            self._file.seek(number * self.page_size)
            return NodePage(self._file.read(self.page_size), number)
        data = self._read(number, self.page_size)
        if not any(data):
            return None
        if not page_is_sealed(data, number):
            raise PageError(f"page {number} is damaged: its checksum is wrong")
        return NodePage(data, number)

    def dbtime_in_file(self, number: int) -> int | None:
        """Return the dbtime of a page as the file has it; None where it is blank or not there."""
        head = self._read(number, PageHeader.layout_size())
        return PageHeader.unpack(head).dbtime if any(head) else None

    def _read(self, number: int, size: int) -> bytes:
        """Return the first bytes of a page; none where it is not there. Parts of an archive are decoded once."""
        if self._source is None or not 0 < number <= self._end:
            return b""
        offset = (number + 1) * self.page_size
        block, start = divmod(offset, _BLOCK_SIZE)
        if block not in self._blocks:
            while len(self._blocks) >= _MOST_BLOCKS:
                self._blocks.popitem(last=False)
            self._blocks[block] = self._source.read(block * _BLOCK_SIZE, _BLOCK_SIZE)
        return self._blocks[block][start : start + size]

    def _hold(self, number: int, page: NodePage | None) -> None:
        self._held[number] = page
        while len(self._held) > self._most:
            old, spilled = self._held.popitem(last=False)
            if spilled is not None and old in self._changed:
                if self._file is None:
                    made = tempfile.TemporaryFile(prefix="tokar-")  # noqa: SIM115 - closed with the store
                    self._file = self._exit.enter_context(made)
                self._file.seek(old * self.page_size)
                self._file.write(spilled.build())
                self._spilled.add(old)

    def put(self, page: NodePage) -> None:
        """Take a page that came to be, in place of whatever was there."""
        number = page.number
        self.touched.add(number)
        self._forgotten.discard(number)
        self._held.pop(number, None)
        self.change(number)
        self._hold(number, page)

    def change(self, number: int) -> None:
        """Note that a page was changed."""
        self._changed.add(number)
        self.last_page = max(self.last_page, number)

    def forget(self, number: int) -> None:
        """Take a page for unknown from here on, whatever the file holds."""
        self._forgotten.add(number)
        self._held[number] = None
        self._changed.discard(number)
        self._spilled.discard(number)

    @property
    def changed(self) -> list[int]:
        """The numbers of the pages that were changed, in order."""
        return sorted(self._changed)

    def pages(self) -> Iterator[NodePage]:
        """Yield the pages that were changed, in order."""
        for number in self.changed:
            page = self.get(number)
            assert page is not None
            yield page
