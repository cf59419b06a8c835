"""Fuzz targets of replay: the records of logs, pages that they carry, and what they do to pages."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ese_files import log_header
from fuzz_engine import laid_out, nodes_seeds
from fuzz_tools import PAGE, Target, flagged
from replay_logs import record, segments_of

from tokar.errors import ArchiveError
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.logrecords import TYPES
from tokar.ese.values import Signature
from tokar.replay.effects import changes_of
from tokar.replay.images import apply_diff, decompress, open_image
from tokar.replay.nodepage import NodePage
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, PageRedo
from tokar.replay.stream import RecordStream, decode, size_at
from tokar.replay.undo import undo_open
from tokar.storage.bytesource import BytesSource


def _log_records(data: bytes) -> None:
    """Records in segments that are sealed, taken from them and played: the first byte says whether they are cut."""
    flag, body = flagged(data)
    signature = Signature(random=7)
    attached = Attachment(dbid=1, path="a.edb", signature=signature)
    header = log_header(attachment_area=build_attachments([attached]))
    pieces = [body] if flag & 1 else [body[at : at + 4056] for at in range(0, len(body), 4056)]
    made = segments_of(pieces, header.generation) if body else b""
    source = BytesSource(header.build() + made)
    with PageStore(None, PAGE, room=64 * PAGE) as store:
        redo = PageRedo(store, Bounds(-1, 1 << 63))
        player = Player({signature.pack(): Played(redo)}, [attached])
        try:
            for position, record in RecordStream(source, header):
                list(changes_of(record))
                player.feed(position, record)
        finally:
            undo_open(player)
            for page in store.pages():
                NodePage(page.build(), page.number)


def _log_record_seeds() -> list[bytes]:
    node = {"session": 5, "dbid": 1, "page": 4, "flags": 5, "level": 1, "root": 4}
    made = [
        record("Begin0", session=5, levels=16),
        record("CreateSingleExtentFDP", session=5, dbid=1, page=4, dbtime=10, before=(1 << 64) - 1, pages=4),
        record("Insert", **node, dbtime=11, before=10, suffix=b"key", data=b"data", rceid=1),
        record("Replace", **node, dbtime=12, before=11, data=b"atad", old_size=4, new_size=4, rceid=2),
        record("ReplaceD", **node, dbtime=13, before=12, data=b"\x01\x20\x01x", old_size=4, new_size=4, rceid=3),
        record("FlagDelete", **node, dbtime=14, before=13, rceid=4),
        record("FlagInsertAndReplaceData", **node, dbtime=15, before=14, key=b"key", data=b"new", rceid=5),
        record("MacroBegin", session=5, dbtime=16),
        record("Split2", session=5, dbid=1, page=4, dbtime=16, before=15, new_page=6, kind=1, lines=1, new_flags=2),
        record("MacroCommit", session=5, dbtime=16),
        record("ConvertFDP2", session=5, dbid=1, page=4, dbtime=17, before=16, owned_root=7, free_root=8, pages=9),
        record("Merge2", session=5, dbid=1, page=4, dbtime=18, before=17, left=6, kind=1),
        record("Undo", **node, dbtime=18, before=17, rceid=5, operation=1),
    ]
    packed = [one.pack() for one in made]
    every = [record(one.name).pack() for one in TYPES.values()]
    return [b"\0" + b"".join(packed), b"\1" + b"".join(packed) * 8, *(b"\0" + one for one in every)]


def _replay(data: bytes) -> None:
    """Records one after the other, played on the pages of a database and undone: no log is made of them.

    The first byte says the size of the pages; the database has a page that is in use.
    """
    flag, body = flagged(data)
    signature = Signature(random=7)
    with PageStore(None, 16384 if flag & 1 else 2048, room=1 << 20) as store:
        redo = PageRedo(store, Bounds(-1, 1 << 63))
        redo.make(4, 2, 10, flags=0x23)
        player = Player({signature.pack(): Played(redo)}, [Attachment(dbid=1, path="a.edb", signature=signature)])
        at = 0
        try:
            while at < len(body) and (size := size_at(body, at)) and at + size <= len(body):
                player.feed(at, decode(body, at))
                at += size
        finally:
            undo_open(player)
            for page in store.pages():
                NodePage(page.build(), page.number)


def _replay_seeds() -> list[bytes]:
    return [bytes([number & 1]) + one[1:500] for number, one in enumerate(_log_record_seeds())]


def _records(data: bytes) -> None:
    """Records one after the other, as the stream takes them apart once it has them whole."""
    at = 0
    while at < len(data) and (size := size_at(data, at)) and at + size <= len(data):
        list(changes_of(decode(data, at)))
        at += size


def _images(data: bytes) -> None:
    """A compressed stream, and pages that records carry in four forms."""
    flag, body = flagged(data)
    with suppress(ArchiveError):
        decompress(body, PAGE)
    with suppress(ArchiveError):
        open_image(laid_out(body, 2048) if flag & 4 else body, flag & 3, 2048, 4)


def _diffs(data: bytes) -> None:
    for wide in (False, True):
        with suppress(ArchiveError):
            apply_diff(data[8:], data[:8], wide=wide)


def _image_seeds() -> list[bytes]:
    stream = bytes.fromhex("182c01ffffff1f61626317000fff2601")
    page = NodePage.new(2048, 4, 3, 100)
    page.consume(2)
    page.insert_node(0, 0, b"key", b"data")
    return [b"\0" + stream, b"\0\x38\x11\0\x35abc\3\0\x50defgh", b"\2" + page.build(), *nodes_seeds()]


_PLAYED: Final = tuple(f"tokar.replay.{name}" for name in ("onepage", "pagestore", "player", "undo"))
REPLAY: Final = {
    "records": Target(
        _records,
        lambda: [one[1:] for one in _log_record_seeds()],
        ("tokar.replay.stream", "tokar.replay.effects", "tokar.ese.pagerecords"),
        500,
    ),
    "images": Target(_images, _image_seeds, ("tokar.replay.images", "tokar.replay.nodepage"), 300),
    "diffs": Target(_diffs, lambda: [b"01234567\2\x20\2XY"], ("tokar.replay.images",), 100),
    "replay": Target(_replay, _replay_seeds, ("tokar.replay", *_PLAYED), 500),
    "log-records": Target(_log_records, _log_record_seeds, ("tokar.replay", *_PLAYED), 8000, 2),
}
