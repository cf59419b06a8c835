"""Where the pages of the index and the entries they name can stand (spec/format.md section 10.1 and STATE-4).

A reader that starts from the tail believes no position before it fits all the others.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from tokar.errors import FormatError
from tokar.format.records import INDX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.format.index import IndexPage
    from tokar.format.records import RecordHead


def demand_tiling(pages: Sequence[IndexPage], rows: Sequence[RecordHead], outside: Sequence[int]) -> None:
    """Check that entries rise, and that each gap between rows of ROOT begins with one.

    Args:
        pages: The pages of the index, in order.
        rows: The rows of ROOT.
        outside: Where these records stand, and after them where ROOT stands.

    Raises:
        FormatError: INDX-2 or STATE-4.
    """
    last = -1
    for page in pages:
        files, dones = page.file_positions, page.done_positions
        rising = all(map(int.__lt__, files, dones)) and all(map(int.__lt__, dones, files[1:]))
        if not rising or files[0] <= last:
            raise FormatError("the positions of an index page do not rise", rule="INDX-2", offset=files[0])
        last = dones[-1]
    firsts = [page.file_positions[0] for page in pages]
    for row, following in zip(rows, outside[1:], strict=True):
        if row.end == following:
            continue
        at = bisect_right(firsts, row.end) - 1
        begun = pages[at].file_positions if at >= 0 else ()
        place = bisect_left(begun, row.end)
        if place == len(begun) or begun[place] != row.end:
            raise FormatError("something stands between records that no entry owns", rule="STATE-4", offset=row.end)


def demand_places(pages: Sequence[IndexPage], rows: Sequence[RecordHead], size: int) -> None:
    """Check that pages stand where section 10.1 puts them: after the DONE that fills them, or after SUMM.

    Args:
        pages: The pages of the index, in order.
        rows: The rows of ROOT.
        size: Bytes of the archive.

    Raises:
        FormatError: SEQ-3.
    """
    places = [at for at, row in enumerate(rows) if row.kind == INDX]
    followers = [*(page.file_positions[0] for page in pages[1:]), size][: len(pages)]
    for at, page, follower in zip(places, pages, followers, strict=True):
        position, is_last = rows[at].position, at == len(rows) - 1
        begin = 0 if is_last else rows[at - 1].position
        in_place = begin < page.done_positions[-1] < position < follower
        if page.is_full == is_last or page.is_overfull or not in_place:
            raise FormatError("an index page stands where none is due", rule="SEQ-3", offset=position)
