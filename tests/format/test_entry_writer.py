from __future__ import annotations

import pytest
from blake3 import blake3
from format_tools import ARCHIVE_ID, CHUNK, ZEROS, begun, pattern

from tokar.format.bodies import Codec, DataRecord, FileList, FileRecord
from tokar.format.entry_writer import EntryWriter, encode_chunk

FILE = FileRecord(0, 65001, 0x21, FileList.BY_HAND, None, None, False, 16, b"E.LOG")
START = len(begun().data)


def records_of(chunks: list[bytes]) -> tuple[bytes, EntryWriter]:
    writer = EntryWriter(FILE, ARCHIVE_ID[:8], START)
    out = b"".join(writer.begin())
    for content in chunks:
        zeros = not any(content)
        codec = int(Codec.ZEROS if zeros else Codec.STORED)
        data = DataRecord(0, writer.chunk_count, len(content), codec)
        encoded = encode_chunk(data, b"" if zeros else content, content)
        out += b"".join(bytes(part) for part in writer.add(encoded))
    return out + writer.end()[1], writer


@pytest.mark.parametrize("chunks", [[], [b"tokar\n"], [pattern(CHUNK), bytes(CHUNK), b"end"]])
def test_the_records_are_those_that_are_built_by_hand(chunks: list[bytes]) -> None:
    archive = begun().file()
    for content in chunks:
        archive.chunk(content, codec=0 if any(content) else ZEROS)
    assert records_of(chunks)[0] == bytes(archive.done().data[START:])


def test_the_writer_knows_where_it_is() -> None:
    data, writer = records_of([b"one", b"two"])
    assert writer.position == START + len(data)
    assert (writer.file_position, writer.content_size, writer.chunk_count) == (START, 6, 2)


def test_done_has_the_digest_of_all_chunks() -> None:
    writer = EntryWriter(FILE, ARCHIVE_ID[:8], START)
    writer.begin()
    for number, content in enumerate((b"one", b"two")):
        writer.add(encode_chunk(DataRecord(0, number, 3, int(Codec.STORED)), content, content))
    entry, done = writer.end()
    assert entry.digest == blake3(b"onetwo").digest()
    assert done[24:56] == entry.done_check
    assert int.from_bytes(done[16:24], "little") == entry.done_position
