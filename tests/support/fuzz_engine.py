"""Fuzz targets of what engines write: headers, pages, segments and records, the replay of them, files of the lab."""

from __future__ import annotations

import json
import shutil
import struct
import zlib
from contextlib import suppress
from functools import cache
from typing import Final

from ese_files import header_for, old_log_bytes, old_log_header
from fuzz_tools import PAGE, PAGE_SIZES, Target, flagged, folder, stand_in
from recovery_sets import dirty
from small_sets import STREAM, checkpoint, database, flush_map, log

from tokar import names
from tokar.errors import ArchiveError
from tokar.ese import attachment, show
from tokar.ese import pages as pages_module
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.blocksums import BlockSums
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.checksum import with_header_checksum
from tokar.ese.database import DatabaseHeader
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import identify
from tokar.ese.inspect import PassingFile, check_content, inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.log_states import is_beginning
from tokar.ese.logcheck import LogChecker
from tokar.ese.page import has_ecc, last_owned, named_pages, page_is_sealed, seal_page, seal_segment
from tokar.ese.pagelinks import inner_names
from tokar.ese.pages import PageChecker
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.lab import change_records, database_file, log_formats
from tokar.lab.lab import create_lab, open_lab
from tokar.replay.nodepage import NodePage
from tokar.sets.backup_set import BackupSet
from tokar.sets.joining import build_chain
from tokar.sets.judge import judge_set
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import BytesSource

# --- files of the engine ----------------------------------------------------------------------------------------------


def _sealed_blocks(data: bytes) -> bytes:
    """Put the checksum of every header that may be there right: of the first byte's size, at the start and after it."""
    flag, rest = flagged(data)
    if flag & 1:
        size = PAGE_SIZES[(flag >> 1) % len(PAGE_SIZES)]
        head, second, body = rest[:size], rest[size : 2 * size], rest[2 * size :]
        rest = b"".join(with_header_checksum(one) for one in (head, second) if one) + body
    return rest


def _shown(data: bytes) -> None:
    """All that is said of a file by its headers."""
    inspection = inspect_file(BytesSource(data))
    json.dumps(show.inspection_json(inspection))
    for _, text in show.inspection_rows(inspection):
        names.printable(text)


def _headers(data: bytes) -> None:
    _shown(_sealed_blocks(data))


def _header_seeds(*made: bytes, size: int = 4096) -> list[bytes]:
    flag = 1 | PAGE_SIZES.index(size) << 1
    return [bytes([flag]) + one for one in made]


def _database_seeds() -> list[bytes]:
    copy = BackupInfo(mark=LogPosition(generation=3, sector=2), generation_low=3)
    header = header_for(current_full=copy, signature=Signature(random=1), log_signature=STREAM)
    ended = BackupInfo(mark=copy.mark, generation_low=3, generation_high=5)
    trailer = BackupTrailer(backup=ended, signature=header.signature, log_signature=header.log_signature)
    streamed = header.build() * 2 + database()[8192:] + trailer.build(PAGE)
    return _header_seeds(database(), bytes(dirty(3, 4)), streamed) + _header_seeds(
        header_for(2048).build() * 2, size=2048
    )


def _all_header_seeds() -> list[bytes]:
    logs = _header_seeds(log(1)[:PAGE], old_log_header(sectors=32).build().ljust(12_288, b"\0"))
    return [*_database_seeds(), *logs, *_header_seeds(checkpoint()), *_header_seeds(flush_map(), size=8192)]


def _padded(data: bytes, size: int) -> bytes:
    """Return a block that begins with these bytes, with the checksum of a header."""
    return with_header_checksum(data[:size]).ljust(size, b"\0")  # zeros change no checksum


def _database_header(data: bytes) -> None:
    """The start of a header, in a page of the size that the first byte says, whose number is put right."""
    flag, head = flagged(data)
    size = PAGE_SIZES[flag % len(PAGE_SIZES)]
    if flag & 8:
        head = head[:236].ljust(236, b"\0") + size.to_bytes(4, "little") + head[240:]
    page = _padded(head, size)
    header = DatabaseHeader.read(BytesSource(page * 2)).header if flag & 16 else DatabaseHeader.parse(page)
    header.page_count(1 << 20)
    assert header.state_name
    assert flag & 8 == 0 or header.page_size == size


def _database_header_seeds() -> list[bytes]:
    return [
        bytes([flag]) + one[:800]
        for flag in range(8, 13)
        for one in (database(), bytes(dirty(3, 4)), header_for(1 << (flag % 8) + 11).build())
    ]


def _log_header(data: bytes) -> None:
    header = LogHeader.parse(_padded(data, PAGE))
    assert header.format
    assert len(header.attachments) <= PAGE


def _checkpoint(data: bytes) -> None:
    Checkpoint.read(BytesSource(_padded(data, PAGE) * 2)).header.attachments  # noqa: B018 - it parses them


def _flush_map(data: bytes) -> None:
    FlushMap.read(BytesSource(_padded(data, 2 * PAGE)))


def _trailer(data: bytes) -> None:
    BackupTrailer.parse(_padded(data, PAGE)).mismatch(_whole_header())


@cache
def _whole_header() -> DatabaseHeader:
    return DatabaseHeader.read(BytesSource(database())).header


def _identify(data: bytes) -> None:
    """What kind a file is of, by its start and its size: the first byte says how much zeros follow."""
    flag, head = flagged(data)
    made = _padded(head, PAGE) if flag & 1 else head
    assert identify(BytesSource(made * (1 + (flag >> 1 & 1)) + bytes((flag >> 2 & 7) * 1024))).kind


def _identify_seeds() -> list[bytes]:
    files = (database(), log(1), checkpoint(), flush_map(), old_log_header(sectors=32).build())
    return [bytes([flag]) + one[:900] for flag in (1, 3) for one in files]


def _attachments(data: bytes) -> None:
    found = attachment.parse_attachments(data)
    assert sum(len(one.path) for one in found) <= 10 * len(data)


def _attachment_seeds() -> list[bytes]:
    made = [Attachment(dbid=number, path=f"C:\\a\\{number}.edb", signature=STREAM) for number in (1, 2)]
    return [build_attachments(made)[:400]]


def _content(data: bytes) -> None:
    """The content of a file, in pieces; what is read on the way past must say the same as what is read of it whole."""
    source = BytesSource(data)
    inspection = inspect_file(source)
    json.dumps(show.verdict_json(check_content(inspection, (data[at : at + 1000] for at in range(0, len(data), 1000)))))
    passing = PassingFile(len(data))
    for at in range(0, len(data), 7000):
        passing(memoryview(data)[at : at + 7000])
    seen = passing.finish()
    if seen.is_sure:
        assert seen.identity.kind is inspection.identity.kind


def _content_of_pages(data: bytes) -> None:
    """Pages of a database whose header is whole: the first byte says their size, and whether they are sealed."""
    flag, body = flagged(data)
    size = PAGE_SIZES[(flag >> 1) % len(PAGE_SIZES)]
    pages = [body[at : at + size].ljust(size, b"\0") for at in range(0, len(body), size)]
    if flag & 1:
        pages = [seal_page(page, number) for number, page in enumerate(pages, 1)]
    _content(_start_of_database(size) + b"".join(pages))


def _content_of_segments(data: bytes) -> None:
    """Segments of a log whose header is whole, of format 8 or 7."""
    flag, body = flagged(data)
    if flag & 2:
        header, start = _old_log()
        _content(start + body[: header.file_size].ljust(header.file_size - PAGE, b"\0"))
        return
    blocks = [body[at : at + PAGE].ljust(PAGE, b"\0") for at in range(0, 2 * PAGE, PAGE)]
    if flag & 1:
        blocks = [seal_segment(block, number) for number, block in enumerate(blocks, 1)]
    _content(_new_log()[1] + b"".join(blocks))


def _page_checks(data: bytes) -> None:
    """One page and the start of another, of the size that the first byte says, before the checker."""
    flag, body = flagged(data)
    size = PAGE_SIZES[(flag >> 1) % len(PAGE_SIZES)]
    pages = [_sparse(body[at : at + 200], size) for at in range(0, max(len(body), 1), 200)]
    if flag & 1:
        pages = [seal_page(page, number) for number, page in enumerate(pages, 1)]
    with stand_in(pages_module, BlockSums=_block_sums):
        checker = PageChecker(_header_of(size), size * (2 + len(pages)))
    checker._index = 2  # the copies of the header went by: `database-header` has them
    checker.update(b"".join(pages))
    assert checker.finish().pages <= len(pages)


@cache
def _block_sums(size: int, _most: int) -> BlockSums:
    """Return the scratch memory of a checker, made once."""
    return BlockSums(size, 4 * PAGE_SIZES[-1] // size)


def _sparse(data: bytes, size: int) -> bytes:
    """Return a block whose start and end are of these bytes, with zeros between."""
    end = data[len(data) // 2 :]
    return data[: len(data) // 2].ljust(size - len(end), b"\0") + end


@cache
def _header_of(size: int) -> DatabaseHeader:
    return header_for(size)


@cache
def _start_of_database(size: int) -> bytes:
    return header_for(size).build() * 2


def _segment_checks(data: bytes) -> None:
    """Segments of a log of format 8, or ranges of one of format 7, before the checker; and a later state of them."""
    flag, body = flagged(data)
    if flag & 2:
        header, start = _old_log()
        rest = body.ljust(header.file_size - PAGE, b"\0")[: header.file_size - PAGE]
    else:
        header, start = _new_log()
        blocks = [_sparse(body[at : at + 200], PAGE) for at in range(0, 400, 200)]
        rest = b"".join(
            seal_segment(one, number) if flag & number else one for number, one in zip((1, 4), blocks, strict=True)
        )
    checker = LogChecker(header)
    checker.update(start + rest)
    report = checker.finish()
    earlier, later = BytesSource(start + rest), BytesSource(start + rest + body)
    if report.end:
        assert is_beginning(report, earlier, later) or report.bad


@cache
def _new_log() -> tuple[LogHeader, bytes]:
    header = LogHeader.read(BytesSource(log(1)))
    return header, header.build()


@cache
def _old_log() -> tuple[LogHeader, bytes]:
    header = old_log_header(sectors=32)
    return header, header.build()


def _segment_check_seeds() -> list[bytes]:
    segment = log(1)[PAGE:]
    old = bytes(old_log_bytes(old_log_header(sectors=32), [(0, 200)]))
    return [bytes([flag]) + segment[:100] + bytes(100) + segment[:200] for flag in (1, 5)] + [b"\2" + old[PAGE:][:500]]


def _nodes(data: bytes) -> None:
    """What is read in a page that is in use: its extents, the pages that it names, its nodes, its checksums.

    The first byte says whether its nodes follow each other, its size, and whether it may have more than 63 tags.
    """
    flag, body = flagged(data)
    size = 16384 if flag & 4 else 2048
    page = laid_out(body, size) if flag & 1 else _sparse(body, size)
    if flag & 24 != 24:
        page = page[:34] + bytes((page[34] & 63, page[35] & 0xF0)) + page[36:]
    with suppress(ArchiveError):
        named, at_once = sorted(number for number, _ in named_pages(page)), inner_names(page)
        assert at_once is None or sorted(at_once.tolist()) == named
        last_owned(page)
    with suppress(ArchiveError):
        NodePage(page, 4).content()
    if flag & 2:
        has_ecc(page)
        page_is_sealed(page, 4)


def laid_out(data: bytes, size: int) -> bytes:
    """Return a page whose nodes follow each other, each a byte of length, one of flags, and bytes of it."""
    page = bytearray(data[:40].ljust(80 if size >= 16384 else 40, b"\0"))
    head, at = len(page), 40
    tags: list[bytes] = []
    while at + 2 <= len(data) and len(tags) < 40:
        node = data[at + 2 : at + 2 + data[at]]
        tags.append(struct.pack("<HH", len(node), len(page) - head | (data[at + 1] & 7) << 13))
        page += node
        at += 2 + data[at]
    used = len(page) - head
    struct.pack_into("<HHHH", page, 28, size - head - used - 4 * len(tags), 0, used, len(tags))
    return bytes(page).ljust(size - 4 * len(tags), b"\0") + b"".join(reversed(tags))


def nodes_seeds() -> list[bytes]:
    page = bytearray(database()[2 * PAGE :][:40])
    page[36:40] = (0x2000 | 0x23).to_bytes(4, "little")
    extents = b"".join(b"\x0a\0\4\0" + last.to_bytes(4, "big") + (8).to_bytes(4, "little") for last in (8, 16))
    rows = bytes(page) + b"\x10\0" + bytes(16) + extents, bytes(page) + bytes(60), bytes(page)
    return [bytes([flag]) + one for flag in (0, 1, 3, 5, 28, 31) for one in rows]


def _content_of_files(data: bytes) -> None:
    """Pages or segments, and what is said of them: the highest bit of the first byte says which."""
    flag, _ = flagged(data)
    (_content_of_segments if flag & 128 else _content_of_pages)(data)


def _segment_seeds() -> list[bytes]:
    old = bytes(old_log_bytes(old_log_header(sectors=32), [(0, 200), (10, 700)]))
    return [b"\x81" + log(1)[PAGE:], b"\x82" + old[PAGE:]]


def _set(data: bytes) -> None:
    """A set of a database and logs whose headers are sound and say whatever they say."""
    at, reader = 0, SetReader()
    for name, start in _set_files().items():
        size = 700 if name != "db.edb" else 800
        body = bytearray(start)
        for place, value in zip(data[at : at + 40 : 4], data[at + 1 : at + 40 : 4], strict=False):
            body[(place * 4 + value) % size] ^= value
        at += 40
        header = with_header_checksum(bytes(body[:PAGE]))
        content = header * 2 + bytes(body[2 * PAGE :]) if name[-3:] != "log" else header + bytes(body[PAGE:])
        source = BytesSource(content)
        reader.add(SetFile(name=name, size=source.size), inspect_file(source))
    facts = reader.facts()
    one = BackupSet(label="a", id=bytes(16), root=bytes(32), kind="full", facts=facts)
    verdicts = judge_set(facts), build_chain([one])
    if zlib.crc32(data) % 8 == 0:
        json.dumps([verdict.to_json() for verdict in verdicts])


@cache
def _set_files() -> dict[str, bytes]:
    logs = dict.fromkeys(("edb00001.log", "edb00002.log", "edb.log"), log(1))
    return {"db.edb": bytes(dirty(1, 2)), **logs, "edb.chk": checkpoint()}


# --- the engine of the lab --------------------------------------------------------------------------------------------


def _lab_records(data: bytes) -> None:
    list(change_records.decode_records(data))


def _lab_log(data: bytes) -> None:
    flag, body = flagged(data)
    if flag & 1:
        log_formats.read_ranges(old_log_header(sectors=32).build() + body, old_log_header(sectors=32))
        return
    blocks = [body[at : at + PAGE].ljust(PAGE, b"\0") for at in range(0, len(body), PAGE)]
    sealed = b"".join(seal_segment(block, number) for number, block in enumerate(blocks, 1))
    log_formats.read_segments(bytes(PAGE) + sealed, LogHeader.read(BytesSource(log(1))))


def _lab_record_seeds() -> list[bytes]:
    made = [change_records.Begin(1), change_records.Put(1, 2, 3, 4, 5, b"k", None, b"v"), change_records.Commit(1)]
    return [b"".join(map(change_records.encode_record, made))]


def _lab_log_seeds() -> list[bytes]:
    head = bytes(8) + LogPosition(generation=1, sector=1).pack() + bytes(20) + b"\x00\x20\0\0"
    old = bytes(old_log_bytes(old_log_header(sectors=32), [(0, 200)]))
    return [b"\0" + head + _lab_record_seeds()[0], b"\1" + old[PAGE : PAGE + 600]]


def _lab_page(data: bytes) -> None:
    flag, page = flagged(data)
    page = page[:PAGE].ljust(PAGE, b"\0")
    database_file.Page.from_bytes(seal_page(page, 2) if flag & 1 else page, 2)


def _lab_page_seeds() -> list[bytes]:
    page = database_file.Page(2)
    page.items = {b"key": b"value", b"k2": bytes(30)}
    return [b"\1" + page.to_bytes(PAGE, ecc=True)[:200]]


@cache
def _crashed_lab(profile: str) -> dict[str, bytes]:
    """The files of a lab that stopped in the middle of things."""
    place = folder() / f"made-{profile}"
    made = create_lab(place, profile, 1)
    made.work(12)
    made.crash()
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def _lab_recover(data: bytes) -> None:
    """Bytes of one file of a crashed lab are changed, what is sealed there is sealed again, and it is recovered.

    The first byte says which lab, the second which file, then come places (three bytes) and values.
    """
    flag, rest = flagged(data)
    which, rest = flagged(rest)
    files = dict(_crashed_lab(("edbbcli", "ntdsbcli", "certadm")[flag % 3]))
    name = sorted(one for one in files if not one.endswith(".json"))[which % (len(files) - 1)]
    content = bytearray(files[name])
    for at in range(0, len(rest) - 3, 4):
        content[int.from_bytes(rest[at : at + 3], "little") % len(content)] = rest[at + 3]
    files[name] = _sealed_again(name.lower(), bytes(content))
    place = folder() / "lab"
    shutil.rmtree(place, ignore_errors=True)
    for one, written_before in files.items():
        (place / one).parent.mkdir(parents=True, exist_ok=True)
        (place / one).write_bytes(written_before)
    opened = open_lab(place)
    opened.recover()
    opened.contents()
    opened.work(1)
    opened.stop()


def _sealed_again(name: str, data: bytes) -> bytes:
    size = 8192 if name.endswith(".dit") else PAGE
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    headers = 1 if name.endswith(".log") else 2
    seal = seal_segment if name.endswith(".log") else seal_page
    if name.endswith(".log") and data[PAGE : PAGE + 1] == b"\x2a":  # format 7: its ranges are left as they are
        return with_header_checksum(data[:size]) + data[size:]
    body = [seal(one, at) if any(one) else one for at, one in enumerate(blocks[headers:], 1)]
    return b"".join([*map(with_header_checksum, blocks[:headers]), *body])


_HEADS: Final = ("tokar.ese.record", "tokar.ese.values", "tokar.ese.checksum")
ENGINE: Final = {
    "database-header": Target(_database_header, _database_header_seeds, ("tokar.ese.database", *_HEADS), 800),
    "log-header": Target(
        _log_header,
        lambda: [log(1)[:900], old_log_header(sectors=32).build()[:900]],
        ("tokar.ese.log", "tokar.ese.attachment", "tokar.ese.values"),  # what takes records apart is measured above
        1200,
    ),
    "checkpoint": Target(
        _checkpoint, lambda: [checkpoint()[:900]], ("tokar.ese.checkpoint", "tokar.ese.attachment", *_HEADS), 1200
    ),
    "flush-map": Target(_flush_map, lambda: [flush_map()[:700]], ("tokar.ese.flushmap", *_HEADS), 700),
    "trailer": Target(_trailer, lambda: [BackupTrailer().pack()], ("tokar.ese.trailer", *_HEADS), 200),
    "attachments": Target(_attachments, _attachment_seeds, ("tokar.ese.attachment", *_HEADS), 400),
    "identify": Target(_identify, _identify_seeds, ("tokar.ese.identify", "tokar.ese.log", "tokar.ese.database"), 900),
    "headers": Target(_headers, _all_header_seeds, ("tokar.ese", "tokar.ese.inspect"), 12_300, 2),
    "page-checks": Target(
        _page_checks,
        lambda: [bytes([flag]) + database()[8192:8392] for flag in range(10)],
        ("tokar.ese.pages", "tokar.ese.blocksums"),
        401,
        2,
    ),
    "segment-checks": Target(
        _segment_checks, _segment_check_seeds, ("tokar.ese.logcheck", "tokar.ese.log_states"), 600, 2
    ),
    "content": Target(
        _content_of_files,
        lambda: [*_segment_seeds(), b"\3" + database()[8192:], b"\0" + database()[8192:]],
        ("tokar.ese",),
        8193,
        3,
    ),
    "nodes": Target(_nodes, nodes_seeds, ("tokar.ese.page", "tokar.ese.pagelinks", "tokar.replay.nodepage"), 300),
    "set": Target(_set, lambda: [bytes(200)], ("tokar.sets",), 200, 3),
    "lab-records": Target(_lab_records, _lab_record_seeds, ("tokar.lab.change_records",), 300),
    "lab-log": Target(_lab_log, _lab_log_seeds, ("tokar.lab.log_formats", "tokar.lab.change_records"), 600),
    "lab-page": Target(_lab_page, _lab_page_seeds, ("tokar.lab.database_file",), 300),
    "lab-recover": Target(
        _lab_recover,
        lambda: [bytes([lab, which, 0, 0, 0, 0]) for lab in range(3) for which in range(6)],
        ("tokar.lab", "tokar.lab.engine_recovery"),
        200,
        6,
    ),
}
