"""Content on its way out of an archive: chunks are read and hashed ahead of the one who wants them."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from tokar.format.records import HEAD_SIZE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blake3 import blake3

    from tokar.format.entry_reader import Chunk, EntryReader, EntryRecords

_READ_AHEAD: Final = 8  # buffers; each holds one record
_READ_AHEAD_SIZE: Final = 1 << 26  # bytes of all buffers together, as far as there are more than it takes
_BEHIND: Final = 3  # chunks that wait for the consumer, from which on it has enough to do
_ZEROS: Final = bytes(1 << 20)


def absorb(digest: blake3, chunk: Chunk) -> None:
    """Hash the content of the next chunk."""
    size, data, _ = chunk
    if data is not None:
        digest.update(data)
        return
    while size:
        digest.update(_ZEROS[:size])
        size -= min(size, len(_ZEROS))


class ReadAhead:
    """Reads and hashes chunks in a thread of its own while the consumer works on earlier ones.

    Each chunk is hashed twice, in order for the digest of the file and by itself for its check. The first is done in
    the thread that reads; the second too if the consumer has enough to do, else by the consumer, before it sees the
    chunk.
    """

    def __init__(self, reader: EntryReader, found: EntryRecords, digest: blake3) -> None:
        self._digest = digest
        self._reader = reader
        self._found = found
        self._ready: SimpleQueue[_Ahead | BaseException | None] = SimpleQueue()
        self._free: SimpleQueue[bytearray | None] = SimpleQueue()
        size = HEAD_SIZE + max(found.done.data_lengths)
        count = min(_READ_AHEAD, max(_READ_AHEAD_SIZE // size, _BEHIND + 1))
        for _ in range(min(count, found.done.chunk_count)):
            self._free.put(bytearray(size))
        self._thread = threading.Thread(target=self._run, name="tokar-read", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        reader, found = self._reader, self._found
        try:
            for number in range(found.done.chunk_count):
                buffer = self._free.get()
                if buffer is None:
                    return
                data = reader.data_of(found, number, buffer)
                if self._ready.qsize() < _BEHIND:
                    chunk, check = reader.chunk_to_check(found, number, data)
                else:
                    chunk, check = reader.prove_chunk(found, number, data), nothing
                absorb(self._digest, chunk)
                self._ready.put(_Ahead(chunk, check, buffer))
            self._ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer's thread
            self._ready.put(error)

    def __iter__(self) -> Iterator[Chunk]:
        while (item := self._ready.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            item.check()
            yield item.chunk
            self._free.put(item.buffer)

    def close(self) -> None:
        """End the thread."""
        self._free.put(None)
        self._thread.join()


class _Ahead(NamedTuple):
    """A chunk that was read ahead, and what must be called before it is used."""

    chunk: Chunk
    check: Callable[[], None]
    buffer: bytearray


def nothing() -> None:
    """Stand for a check that was demanded already."""
