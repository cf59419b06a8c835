"""The content of files one after the other: while one is written, the next is read and proven.

Neither needs the lock of Python, and one takes about as long as the other, so a second thread halves the time. That is
done for files of one chunk that are not small. Of larger ones a thread reads ahead anyway (`ReadAhead`), and of small
ones handing over would take longer than the work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry

if TYPE_CHECKING:
    from concurrent.futures import Future

_LEAST: Final = 1 << 16  # bytes of a file from which on a second thread is worth it
_MOST: Final = 1 << 20  # bytes that are kept while nobody has asked for them yet

Placement: TypeAlias = tuple[str, str, Entry]


class ContentReader(Protocol):
    """What placing needs of an archive."""

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry in order; raise before the end if it is not what was archived."""


def with_content(
    reader: ContentReader, files: Iterable[Placement]
) -> Iterator[tuple[str, str, Entry, Iterable[Chunk]]]:
    """Yield files, each with its content. Only one thread uses the reader at a time.

    Args:
        reader: Where content comes from.
        files: Directory, name and entry of each.

    Raises:
        FormatError: The archive is damaged at the file that would be next.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - start-up time

    def proven(entry: Entry) -> list[Chunk]:
        return [*reader.chunks(entry)]

    with ThreadPoolExecutor(1, "tokar-prove") as pool:  # its thread begins with the first file that it gets
        begun: Future[list[Chunk]] | None = None
        coming = iter(files)
        one = next(coming, None)
        while one is not None:
            entry, following = one[2], next(coming, None)
            both = following is not None and _is_one_piece(entry) and _is_one_piece(following[2])
            content: Iterable[Chunk]
            if begun is not None:
                content, begun = begun.result(), None
            else:
                content = proven(entry) if both else reader.chunks(entry)
            if both and following is not None:
                begun = pool.submit(proven, following[2])
            yield *one, content
            one = following


def _is_one_piece(entry: Entry) -> bool:
    """Whether a file is of one chunk, not small, and not too large to be kept."""
    return _LEAST < entry.size <= min(_MOST, 1 << entry.chunk_log2)
