"""Every parser of what others may have written: each takes any bytes, and an `ArchiveError` is the only way to refuse.

A target is a function of bytes, with bytes to begin from. Where checksums would keep what is spoilt from what lies
behind them, the first byte says whether they are put right first.
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import shutil
import struct
import tempfile
from contextlib import suppress
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from command_line import tokar
from ese_files import header_for, log_header, old_log_bytes, old_log_header
from fixtures.cases_encryption import BY_WORDS, FOR_SSH, IDENTITY, RECIPIENTS, SSH_IDENTITY
from fixtures.cases_signed import ALICE
from fixtures.expect import FOLDER, Expectation
from fixtures.expect import names as fixture_names
from fixtures.mutations import join, split
from fixtures.readers import from_the_front, from_the_tail
from format_tools import written
from fuzz_wire import WIRE
from recovery_sets import dirty
from replay_logs import record, segments_of
from salvage_tools import rescued, whole_archive
from small_sets import STREAM, checkpoint, database, flush_map, log

from tokar import names, tokens
from tokar.errors import ArchiveError, LockedError, NotSignedError
from tokar.ese import attachment, filenames, show
from tokar.ese.attachment import Attachment, build_attachments
from tokar.ese.checksum import with_header_checksum
from tokar.ese.database import DatabaseHeader
from tokar.ese.inspect import PassingFile, check_content, inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.logrecords import TYPES
from tokar.ese.page import seal_page, seal_segment
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, Signature
from tokar.format import bodies, metadata, records, zstd_frame
from tokar.format.archive import Archive
from tokar.format.bodies import Codec
from tokar.format.compression import Compression, decode_content
from tokar.format.encryption import Encryption
from tokar.format.index import IndexPage
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import BadSignatureError, dearmored, parse_signature
from tokar.lab import change_records, database_file, log_formats
from tokar.lab.config import CONFIG_NAME, RestoreInProgress, default_config, load_config, load_registration
from tokar.lab.lab import create_lab, open_lab
from tokar.live.native import NativeLibrary
from tokar.namelist import build_names, parse_names
from tokar.redact import Redactor
from tokar.replay.effects import changes_of
from tokar.replay.images import apply_diff, decompress, open_image
from tokar.replay.nodepage import NodePage
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, PageRedo
from tokar.replay.stream import RecordStream
from tokar.replay.undo import undo_open
from tokar.restore import journal, paths
from tokar.restore.locations import parse_location_file, parse_to
from tokar.restore.options import parse_generation
from tokar.server.prior import load_prior
from tokar.sets.backup_set import BackupSet, set_of_receipt
from tokar.sets.chain import build_chain
from tokar.sets.judge import judge_set
from tokar.sets.read import SetFile, SetReader
from tokar.sets.receipt import RECEIPT_SUFFIX, Receipt, Truncation
from tokar.sets.recorded import RecordedFacts
from tokar.storage.bytesource import BytesSource
from tokar.trust.agefile import recipient_kinds
from tokar.trust.recipients import Identities, Recipients
from tokar.trust.signatures import found_signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_PAGE: Final = 4096
_PAGE_SIZES: Final = (2048, 4096, 8192, 16384, 32768)
_LARGEST: Final = 8192  # bytes of a fixture that is taken
_SLOW: Final = {"good-zeros-largest-chunk"}  # 16 MiB of zeros, again and again


class Target(NamedTuple):
    """A parser."""

    run: Callable[[bytes], object]  # Takes any bytes; whatever it raises but an ArchiveError is a fault
    seeds: Callable[[], Sequence[bytes]]  # What to begin from
    largest: int = 4096  # Bytes that are worth trying
    slowness: int = 1  # How many times fewer cases a short run has


@cache
def _folder() -> Path:
    """A folder of this process, in memory where the system has such a place; it goes when the process ends."""
    memory = Path("/dev/shm")
    folder = tempfile.TemporaryDirectory(
        prefix="tokar-fuzz-", dir=None if "TMPDIR" in os.environ or not memory.is_dir() else memory
    )
    _kept.append(folder)
    return Path(folder.name)


_kept: list[object] = []


def _file(name: str, data: bytes) -> Path:
    path = _folder() / name
    path.write_bytes(data)
    return path


def _flag(data: bytes) -> tuple[int, bytes]:
    return (data[0], data[1:]) if data else (0, b"")


# --- the format -------------------------------------------------------------------------------------------------------


def _each(parsers: Sequence[Callable[[bytes], object]], data: bytes) -> None:
    """The first byte says which parser gets the rest."""
    which, body = _flag(data)
    parsers[which % len(parsers)](body)


def _body(data: bytes) -> None:
    with suppress(struct.error):  # readers look at the size of a body before they parse it
        _each(_BODIES, data)


_BODIES: Final = (
    bodies.Preamble.parse,
    lambda body: records.parse_head(body[:64].ljust(64, b"\0"), body[:8], 32),
    lambda body: bodies.FileRecord.parse(body, entry=0, position=0),
    lambda body: bodies.parse_data(body, entry=0, chunk=0, chunk_size=1 << 16, position=0),
    lambda body: bodies.DoneRecord.parse(body, entry=0, position=0),
    lambda body: bodies.Root.parse(body, position=0),
    lambda body: bodies.Tail.parse(body, position=0),
)
_METADATA: Final = (
    lambda body: metadata.Head.parse(body, position=0),
    lambda body: metadata.Summary.parse(body, position=0),
    lambda body: metadata.parse_calls(body, position=0),
    metadata.parse_facts,
)


def _seeds(*made: Callable[[], Sequence[bytes]]) -> list[bytes]:
    """The seeds of several parsers, for `_each`."""
    return [bytes([number]) + one for number, seeds in enumerate(made) for one in seeds()]


def _parts(*kinds: bytes) -> Iterator[bytes]:
    for data in (whole_archive(), _engine_archive()):
        yield from (bytes(part.body) for part in split(data) if part.kind in kinds)


@cache
def _engine_archive() -> bytes:
    """An archive with facts."""
    path = _folder() / "engine.tokar"
    for name, data in (("db.edb", database()), ("edb00001.log", log(1))):
        _file(name, data)
    tokar("create", "-q", "--force", path, *(f"{_folder()}/{name}" for name in ("db.edb", "edb00001.log")))
    return path.read_bytes()


def _bodies_seeds() -> list[bytes]:
    found = [b"\0" + whole_archive()[:32], b"\1" + whole_archive()[32:96]]
    for number, kind in enumerate((records.FILE, records.DATA, records.DONE, records.ROOT, records.TAIL), 2):
        found += [bytes([number]) + body[:4000] for body in _parts(kind)]
    return found


def _metadata_seeds() -> list[bytes]:
    kinds = (records.HEAD, records.SUMM, records.PROC, records.FACT)
    return [bytes([number]) + body for number, kind in enumerate(kinds) for body in _parts(kind)]


def _index(data: bytes) -> None:
    if len(data) >= 8:
        page = IndexPage.parse(data, first=int.from_bytes(data[:4], "little"), position=0)
        found = [page.entry(page.first + number) for number in range(len(page))]
        assert page.build() == data
        assert len(set(page.keys())) <= len(found)
        for one in found:
            assert one.name
            assert one.leaf != ".."


def _zstd(data: bytes) -> None:
    size = int.from_bytes(data[:3], "little")
    record = bodies.DataRecord(0, 0, size, Codec.ZSTD)
    content = decode_content(record, data[3:] + bytes(bodies.DATA_PACKER.size), position=0)
    assert content is not None
    assert len(memoryview(content)) == size


def _zstd_seeds() -> list[bytes]:
    contents = [bytes(70_000), b"ab" * 3000, bytes(range(256)) * 40]
    return [len(one).to_bytes(3, "little") + zstd_frame.compress(one, 3) for one in contents]


def _facts(data: bytes) -> None:
    """Facts in an archive whose one record of them is these bytes."""
    recorded = RecordedFacts(cast("Archive", SimpleNamespace(extras=lambda _kind: [data])))
    for number in list(recorded.numbers()):
        recorded.seen(number, 1 << 20)
        recorded.chain(number)


def _archive(data: bytes) -> None:
    """Both readers give one answer, and a typed one; then again with every check put right."""
    for one in (data, join(data[:32], split(data), derive=True) if len(data) > 32 else data):
        front, tail = from_the_front(one), from_the_tail(one)
        assert (front.answer == "sealed") == (tail.answer == "sealed"), (front, tail)
        if front.answer == "sealed":
            assert front.entries == tail.entries
        else:
            assert front.rule is not None
            assert front.position is not None
        quick = from_the_front(one, decode=False)
        assert quick.answer == front.answer or front.rule in {"DONE-5", "DATA-6", "ENC-3"}, (quick, front)


@cache
def _archive_seeds() -> list[bytes]:
    """All fixtures that are small, and an archive with a chunk that is compressed."""
    found = [Expectation.load(name).data for name in fixture_names() if name not in _SLOW]
    made = written((0x44, b"a", b"abc"), (0x21, b"b", bytes(70_000)))
    return [*(data for data in found if len(data) <= _LARGEST), made]


def _salvage(data: bytes) -> None:
    flag, archive = _flag(data)
    if flag & 1 and len(archive) > 32:
        archive = join(archive[:32], split(archive), derive=bool(flag & 2))
    rescued(archive, partial=bool(flag & 4))


def _salvage_seeds() -> list[bytes]:
    whole = whole_archive()
    damaged = [whole[:at] + b"\xff" + whole[at + 1 :] for at in (10, 50, 2000, len(whole) // 2, len(whole) - 20)]
    encrypted = [Expectation.load(name).data[:-1] for name in ("head-1-encrypted", "enc-2-falling")]
    return [bytes([flag]) + one[:_LARGEST] for flag in (0, 4) for one in (*damaged, *encrypted, _archive_seeds()[-1])]


# --- lists, locations, JSON -------------------------------------------------------------------------------------------


def _namelist(data: bytes) -> None:
    flag, rest = _flag(data)
    wide, page = bool(flag & 1), (0, 437, 932, 1200, 1252, 20127, 65001, 99)[flag >> 1 & 7]
    found = parse_names(rest, wide=wide, encoding=page, with_tokens=not flag & 16)
    for one in found:
        shown = names.display(one.raw_name, one.encoding)
        assert shown.isprintable()
        with suppress(ArchiveError):
            leaf = names.leaf(one.raw_name, one.encoding)
            assert not {"/", "\\", "\0"} & set(leaf)


def _native_list(data: bytes) -> None:
    """A list as a native library gives it: by a pointer and a size, which is right, too small, or without a pointer."""
    flag, rest = _flag(data)
    held = [ctypes.create_string_buffer(rest, len(rest))] if rest or flag & 1 else []
    freed: list[object] = []

    def give(_handle: object, pointer: Any, size: Any) -> int:
        pointer._obj.value = ctypes.addressof(held[0]) if held else None
        size._obj.value = len(rest) * 3 // 4 if flag & 2 else len(rest) + (flag & 4 and not held) * flag
        return 0

    library = NativeLibrary({"XList": give, "XBackupFree": freed.append}, "X")
    try:
        found = library.list_of("List", ctypes.c_void_p(1), code_of="a list", with_tokens=not flag & 8)
    finally:
        assert len(freed) <= 1
    found.free()
    assert len(freed) == len(held)
    assert sum(len(one.raw_name) for one in found.entries) <= len(rest)


def _redacted(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    redactor = Redactor(["Acme", *text.split("|")[1:4]])
    redactor.text(text)
    assert len(redactor.data(data)) == len(data)
    with suppress(ValueError, RecursionError):
        json.dumps(redactor.value(json.loads(text)))


def _redacted_seeds() -> list[bytes]:
    texts = (r"\\CA1.acme.test\C$\Acme CA.edb|ca1", '{"server": "CA1", "calls": [{"name": "XABcAEEALgBlAGQAYgA="}]}')
    return [*(one.encode() for one in texts), b"ca://pki/Acme a@b.c fe80::1 10.0.0.1 password=x /home/al/x"]


_LIST: Final = [(0x44, "C:\\a\\b.edb"), (0x82, "\\\\S\\C$\\logs\\")]
_TOML: Final = rb"""
[[location]]
token = "log-dir"
path = "/srv/logs"
kind = "directory"
[[location]]
token = 0x44
path = 'dir:x'
[[file]]
name = "PRIV.EDB"
path = "/srv/PRIV.EDB"
[[map]]
prefix = '\\S\D$'
directory = "/srv"
"""


def _namelist_seeds() -> list[bytes]:
    wide = build_names([(token, text.encode("utf-16-le")) for token, text in _LIST], wide=True)
    narrow = build_names([(token, text.encode("cp1252")) for token, text in _LIST], wide=False)
    return [b"\1" + wide, b"\x08" + narrow]


def _locations(data: bytes) -> None:
    flag, rest = _flag(data)
    found = parse_location_file(rest, sorted(tokens.PROFILES)[flag % len(tokens.PROFILES)], base="/srv")
    for one in found.locations:
        assert one.path
        paths.take_apart(one.path)


def _locations_seeds() -> list[bytes]:
    return [b"\0" + one[1:] for one in _namelist_seeds()] + [b"\2" + _TOML, b"\1\xef\xbb\xbf" + _TOML]


def _arguments(data: bytes) -> None:
    """What a person types: never a crash, whatever the text."""
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    for read in (
        lambda: parse_to(text, "edbbcli", base="/srv"),
        lambda: paths.parse_map(text, "/srv"),
        lambda: tokens.parse_token(text, "edbbcli"),
        lambda: parse_generation(text),
        lambda: Compression.parse(text),
        lambda: filenames.parse_file_name(text),
        lambda: names.leaf(*names.encode(text)),
    ):
        with suppress(ArchiveError):
            read()
    assert names.printable(text).isprintable()
    names.leaf_of(text)


def _receipt(data: bytes) -> None:
    Receipt.parse(data)
    path = _file("x" + RECEIPT_SUFFIX, data)
    for read in (set_of_receipt, load_prior):
        with suppress(ArchiveError):
            read(path)


def _receipt_seeds() -> list[bytes]:
    told: Any = {"took": "full", "server": "S", "profile": "ese", "generations": {"low": 1, "high": 9}}
    told["log"] = {"generation": 9, "stream": STREAM.pack().hex(), "created": STREAM.created.pack().hex()}
    archive: Any = {"path": "a", "id": bytes(16).hex(), "root": bytes(32).hex(), "size": 9}
    return [
        Receipt("sealed", Truncation.DONE, archive, told).build(),
        Receipt("failed", Truncation.NOT_INTENDED).build(),
    ]


def _journal(data: bytes) -> None:
    found = journal._read(str(_folder()), _file("journal", data).name)
    assert found is None or all(one.directory is not None for one in found["set_aside"])


def _journal_seeds() -> list[bytes]:
    aside = {"directory": "/a", "name": "b", "new_name": "c", "why": "d"}
    return [json.dumps({"form": journal._FORM, "set_aside": [aside], "registered": True}).encode()]


def _lab(data: bytes) -> None:
    _file(CONFIG_NAME, data)
    config = load_config(_folder())
    place = config.place(_folder())
    for path in (place.logs, place.system, *place.databases.values()):
        assert path.resolve().is_relative_to(_folder().resolve())
    config.path_maps(_folder())


def _lab_seeds() -> list[bytes]:
    found = [default_config(profile, 2, 1) for profile in ("edbbcli", "ntdsbcli", "certadm")]
    return [json.dumps(asdict(one), indent=1).encode() for one in found]


def _registration(data: bytes) -> None:
    _file("restore-in-progress.json", data)
    load_registration(_folder())


def _registration_seeds() -> list[bytes]:
    return [json.dumps(asdict(RestoreInProgress(1, 2, (("a", "b"),), "c", None, None, 0))).encode()]


# --- files of the engine ----------------------------------------------------------------------------------------------


def _sealed_blocks(data: bytes) -> bytes:
    """Put the checksum of every header that may be there right: of the first byte's size, at the start and after it."""
    flag, rest = _flag(data)
    if flag & 1:
        size = _PAGE_SIZES[(flag >> 1) % len(_PAGE_SIZES)]
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
    flag = 1 | _PAGE_SIZES.index(size) << 1
    return [bytes([flag]) + one for one in made]


def _database_seeds() -> list[bytes]:
    copy = BackupInfo(mark=LogPosition(generation=3, sector=2), generation_low=3)
    header = header_for(current_full=copy, signature=Signature(random=1), log_signature=STREAM)
    ended = BackupInfo(mark=copy.mark, generation_low=3, generation_high=5)
    trailer = BackupTrailer(backup=ended, signature=header.signature, log_signature=header.log_signature)
    streamed = header.build() * 2 + database()[8192:] + trailer.build(_PAGE)
    return _header_seeds(database(), bytes(dirty(3, 4)), streamed) + _header_seeds(
        header_for(2048).build() * 2, size=2048
    )


def _all_header_seeds() -> list[bytes]:
    logs = _header_seeds(log(1)[:_PAGE], old_log_header(sectors=32).build().ljust(12_288, b"\0"))
    return [*_database_seeds(), *logs, *_header_seeds(checkpoint()), *_header_seeds(flush_map(), size=8192)]


def _trailer(data: bytes) -> None:
    flag, page = _flag(data)
    page = page[:_PAGE].ljust(_PAGE, b"\0")
    trailer = BackupTrailer.parse(with_header_checksum(page) if flag & 1 else page)
    trailer.mismatch(DatabaseHeader.read(BytesSource(database())).header)
    show.record_json(trailer)


def _attachments(data: bytes) -> None:
    for one in attachment.parse_attachments(data):
        json.dumps(show.attachment_json(one))


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


def _pages(data: bytes) -> None:
    """Pages of a database whose header is whole: the first byte says their size, and whether they are sealed."""
    flag, body = _flag(data)
    size = _PAGE_SIZES[(flag >> 1) % len(_PAGE_SIZES)]
    pages = [body[at : at + size].ljust(size, b"\0") for at in range(0, len(body), size)]
    if flag & 1:
        pages = [seal_page(page, number) for number, page in enumerate(pages, 1)]
    _content(header_for(size).build() * 2 + b"".join(pages))


def _segments(data: bytes) -> None:
    """Segments of a log whose header is whole, of format 8 or 7."""
    flag, body = _flag(data)
    if flag & 2:
        header = old_log_header(sectors=32)
        _content(header.build() + body[: header.file_size].ljust(header.file_size - _PAGE, b"\0"))
        return
    blocks = [body[at : at + _PAGE].ljust(_PAGE, b"\0") for at in range(0, 2 * _PAGE, _PAGE)]
    if flag & 1:
        blocks = [seal_segment(block, number) for number, block in enumerate(blocks, 1)]
    header = LogHeader.read(BytesSource(log(1)))
    _content(header.build() + b"".join(blocks))


def _segment_seeds() -> list[bytes]:
    old = bytes(old_log_bytes(old_log_header(sectors=32), [(0, 200), (10, 700)]))
    return [b"\1" + log(1)[_PAGE:], b"\2" + old[_PAGE:]]


def _set(data: bytes) -> None:
    """A set of a database and logs whose headers are sound and say whatever they say."""
    at, reader = 0, SetReader()
    for name in ("db.edb", "edb00001.log", "edb00002.log", "edb.log", "edb.chk"):
        size = 700 if name != "db.edb" else 800
        start = {"db.edb": bytes(dirty(1, 2)), "edb.chk": checkpoint()}.get(name, log(1))
        body = bytearray(start)
        for place, value in zip(data[at : at + 40 : 4], data[at + 1 : at + 40 : 4], strict=False):
            body[(place * 4 + value) % size] ^= value
        at += 40
        header = with_header_checksum(bytes(body[:_PAGE]))
        content = header * 2 + bytes(body[2 * _PAGE :]) if name[-3:] != "log" else header + bytes(body[_PAGE:])
        source = BytesSource(content)
        reader.add(SetFile(name=name, size=source.size), inspect_file(source))
    facts = reader.facts()
    json.dumps(judge_set(facts).to_json())
    one = BackupSet(label="a", id=bytes(16), root=bytes(32), kind="full", facts=facts)
    json.dumps(build_chain([one]).to_json())


# --- the engine of the lab --------------------------------------------------------------------------------------------


def _lab_records(data: bytes) -> None:
    list(change_records.decode_records(data))


def _lab_log(data: bytes) -> None:
    flag, body = _flag(data)
    if flag & 1:
        log_formats.read_ranges(old_log_header(sectors=32).build() + body, old_log_header(sectors=32))
        return
    blocks = [body[at : at + _PAGE].ljust(_PAGE, b"\0") for at in range(0, len(body), _PAGE)]
    sealed = b"".join(seal_segment(block, number) for number, block in enumerate(blocks, 1))
    log_formats.read_segments(bytes(_PAGE) + sealed, LogHeader.read(BytesSource(log(1))))


def _lab_record_seeds() -> list[bytes]:
    made = [change_records.Begin(1), change_records.Put(1, 2, 3, 4, 5, b"k", None, b"v"), change_records.Commit(1)]
    return [b"".join(map(change_records.encode_record, made))]


def _lab_log_seeds() -> list[bytes]:
    head = bytes(8) + LogPosition(generation=1, sector=1).pack() + bytes(20) + b"\x00\x20\0\0"
    old = bytes(old_log_bytes(old_log_header(sectors=32), [(0, 200)]))
    return [b"\0" + head + _lab_record_seeds()[0], b"\1" + old[_PAGE : _PAGE + 600]]


def _lab_page(data: bytes) -> None:
    flag, page = _flag(data)
    page = page[:_PAGE].ljust(_PAGE, b"\0")
    database_file.Page.from_bytes(seal_page(page, 2) if flag & 1 else page, 2)


def _lab_page_seeds() -> list[bytes]:
    page = database_file.Page(2)
    page.items = {b"key": b"value", b"k2": bytes(30)}
    return [b"\1" + page.to_bytes(_PAGE, ecc=True)[:200]]


@cache
def _crashed_lab(profile: str) -> dict[str, bytes]:
    """The files of a lab that stopped in the middle of things."""
    folder = _folder() / f"made-{profile}"
    made = create_lab(folder, profile, 1)
    made.work(12)
    made.crash()
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _lab_recover(data: bytes) -> None:
    """Bytes of one file of a crashed lab are changed, what is sealed there is sealed again, and it is recovered.

    The first byte says which lab, the second which file, then come places (three bytes) and values.
    """
    flag, rest = _flag(data)
    which, rest = _flag(rest)
    files = dict(_crashed_lab(("edbbcli", "ntdsbcli", "certadm")[flag % 3]))
    name = sorted(one for one in files if not one.endswith(".json"))[which % (len(files) - 1)]
    content = bytearray(files[name])
    for at in range(0, len(rest) - 3, 4):
        content[int.from_bytes(rest[at : at + 3], "little") % len(content)] = rest[at + 3]
    files[name] = _sealed_again(name.lower(), bytes(content))
    folder = _folder() / "lab"
    shutil.rmtree(folder, ignore_errors=True)
    for one, written_before in files.items():
        (folder / one).parent.mkdir(parents=True, exist_ok=True)
        (folder / one).write_bytes(written_before)
    opened = open_lab(folder)
    opened.recover()
    opened.contents()
    opened.work(1)
    opened.stop()


def _sealed_again(name: str, data: bytes) -> bytes:
    size = 8192 if name.endswith(".dit") else _PAGE
    blocks = [data[at : at + size] for at in range(0, len(data), size)]
    headers = 1 if name.endswith(".log") else 2
    seal = seal_segment if name.endswith(".log") else seal_page
    if name.endswith(".log") and data[_PAGE : _PAGE + 1] == b"\x2a":  # format 7: its ranges are left as they are
        return with_header_checksum(data[:size]) + data[size:]
    body = [seal(one, at) if any(one) else one for at, one in enumerate(blocks[headers:], 1)]
    return b"".join([*map(with_header_checksum, blocks[:headers]), *body])


# --- signatures -------------------------------------------------------------------------------------------------------


def _signature(data: bytes) -> None:
    """A signature, and a file of signatures: what is taken is written again as it was."""
    flag, body = _flag(data)
    found = [*dearmored(body)] if flag & 1 else [body]
    for blob in found:
        with suppress(BadSignatureError):
            made = parse_signature(blob)
            assert (made.blob, [*dearmored(made.armored.encode())]) == (blob, [blob])
            assert str(made).isprintable()
            assert json.dumps(made.to_json())
    path = _file("signed", b"")
    path.with_name("signed.sig").write_bytes(body)
    beside = found_signatures([TrailingRecord(records.SIGN, body)], path)
    assert [one.where for one in beside][:1] == ["embedded"]
    assert all(one.signature or one.damage for one in beside)
    assert json.dumps([one.to_json() for one in beside])


def _signature_seeds() -> list[bytes]:
    return [b"\0" + ALICE, b"\1" + parse_signature(ALICE).armored.encode() * 2]


# --- keys -------------------------------------------------------------------------------------------------------------


def _keys(data: bytes) -> None:
    """An age file, what opens it, a recipient, a file of identities: taken or refused, and no secret is repeated."""
    flag, body = _flag(data)
    if flag % 4 == 0:
        assert all(kind.isprintable() for kind in recipient_kinds(body))
    elif flag % 4 == 1:
        ring = Identities([_file("identity", IDENTITY.encode())])
        ring.find(Encryption(bytes(16), {"recipients": body}), [body])
    else:
        path, said = _file("people", body), ""
        try:
            Recipients(Recipients.lines(path)) if flag % 4 == 2 else Identities([path])
        except ArchiveError as error:
            said = str(error)
        assert "AGE-SECRET-KEY" not in said.upper()


def _keys_seeds() -> list[bytes]:
    wrapped = [base64.b64decode(text) for text in (RECIPIENTS, BY_WORDS, FOR_SSH)]
    people = ["age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", "ssh-ed25519 AAAA x", IDENTITY]
    texts = [*people, "# a remark\n", SSH_IDENTITY]
    return [bytes([flag]) + one for flag in (0, 1) for one in wrapped] + [
        bytes([flag]) + one.encode() for flag in (2, 3) for one in texts
    ]


# --- verbs ------------------------------------------------------------------------------------------------------------

_VERBS: Final[tuple[tuple[str, ...], ...]] = (
    ("verify", "--content", "{}"),
    ("inspect", "{}"),
    ("inspect", "--json", "{}"),
    ("inspect", "--records", "{}"),
    ("inspect", "--pages", "--headers", "{}"),
    ("check", "--content", "{}"),
    ("chain", "{}"),
    ("restore", "--dry-run", "--into", "{}.out", "{}"),
    ("extract", "{}", "#0", "--force", "-o", "{}.out"),
    ("salvage", "{}", "{}.out", "--force"),
    ("create", "--force", "{}.out", "{}"),
    ("restore", "--dry-run", "{}.good", "--locations", "{}"),
    ("verify", "-"),
    ("inspect", "-"),
    ("verify", "{}", "--signed-by", "{}.signers"),
    ("verify", "{}.signed", "--signed-by", "{}", "--revoked", "{}"),
)


def _verb(data: bytes) -> None:
    """A verb over a file: an exit code of the table, and neither a traceback nor the last net."""
    flag, body = _flag(data)
    if flag & 16 and len(body) > 32:
        body = join(body[:32], split(body), derive=True)
    path = _file("input", body)
    good = path.with_name("input.good")
    if not good.exists():
        good.write_bytes(_engine_archive())
        path.with_name("input.signed").write_bytes(Expectation.load("good-sign").data)
        shutil.copy(FOLDER / "signers" / "allowed", path.with_name("input.signers"))
    words = [word.replace("{}", str(path)) for word in _VERBS[flag % 16 % len(_VERBS)]]
    result = tokar(*words, stdin=body)
    assert result.exit_code in {*range(10), LockedError.exit_code, NotSignedError.exit_code}, result
    assert "fault of tokar" not in result.stderr
    assert result.exit_code == 0 or result.stdout or result.stderr


def _verb_seeds() -> list[bytes]:
    made = (
        _engine_archive(),
        database(),
        log(1),
        _TOML,
        *(Expectation.load(one).data for one in ("good-sign", "good-sign-added")),
    )
    made += ((FOLDER / "signers" / "allowed").read_bytes(),)
    return [bytes([flag]) + one for flag in range(32) for one in made if flag < 16 or one is made[0]]


# --- replay -----------------------------------------------------------------------------------------------------------


def _log_records(data: bytes) -> None:
    """Records in segments that are sealed, taken from them and played: the first byte says whether they are cut."""
    flag, body = _flag(data)
    signature = Signature(random=7)
    attached = Attachment(dbid=1, path="a.edb", signature=signature)
    header = log_header(attachment_area=build_attachments([attached]))
    pieces = [body] if flag & 1 else [body[at : at + 4056] for at in range(0, len(body), 4056)]
    made = segments_of(pieces, header.generation) if body else b""
    source = BytesSource(header.build() + made)
    with PageStore(None, _PAGE, room=64 * _PAGE) as store:
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


_REPLAY_BYTES: Final = (
    lambda data: decompress(data, _PAGE),
    lambda data: open_image(data, data[0] & 3 if data else 0, _PAGE, 4),
    lambda data: apply_diff(data[8:], data[:8], wide=False),
    lambda data: apply_diff(data[8:], data[:8], wide=True),
    lambda data: NodePage(data[:_PAGE].ljust(_PAGE, b"\0"), 4).content(),
    lambda data: NodePage(data.ljust(2 * 16384, b"\0")[: 2 * 16384], 4).content(),
)


def _replay_byte_seeds() -> list[bytes]:
    page = NodePage.new(_PAGE, 4, 3, 100)
    page.consume(2)
    page.insert_node(0, 0, b"key", b"data")
    stream = bytes.fromhex("182c01ffffff1f61626317000fff2601")
    return [
        b"\0" + stream,
        b"\0\x38\x11\0\x35abc\3\0\x50defgh",
        b"\1" + page.build(),
        b"\2" + b"01234567\2\x20\2XY",
        b"\4" + page.build(),
    ]


TARGETS: Final[dict[str, Target]] = {
    "bodies": Target(_body, _bodies_seeds),
    "metadata": Target(partial(_each, _METADATA), _metadata_seeds),
    "index": Target(_index, lambda: list(_parts(records.INDX))),
    "zstd": Target(_zstd, _zstd_seeds),
    "facts": Target(_facts, lambda: list(_parts(records.FACT)), 8192),
    "signatures": Target(_signature, _signature_seeds, 1000),
    "keys": Target(_keys, _keys_seeds, 1000),
    "archive": Target(_archive, _archive_seeds, 8192),
    "salvage": Target(_salvage, _salvage_seeds, 8192, 2),
    "namelist": Target(_namelist, _namelist_seeds, 500),
    "native-list": Target(
        _native_list, lambda: [bytes([flag]) + one[1:] for flag in (0, 2) for one in _namelist_seeds()], 500
    ),
    "redact": Target(_redacted, _redacted_seeds, 500),
    "locations": Target(_locations, _locations_seeds, 1000),
    "arguments": Target(_arguments, lambda: [b"0x44=/srv/x/", b"C:\\=d", b"edb0001F.log", b"zstd:3"], 100),
    "stored": Target(
        partial(_each, (_receipt, _journal, _lab, _registration)),
        partial(_seeds, _receipt_seeds, _journal_seeds, _lab_seeds, _registration_seeds),
        2000,
    ),
    "headers": Target(_headers, _all_header_seeds, 12_300),
    "header-parts": Target(
        partial(_each, (_trailer, _attachments)),
        partial(_seeds, lambda: [b"\1" + BackupTrailer().pack()], _attachment_seeds),
        1000,
    ),
    "pages": Target(_pages, lambda: [b"\3" + database()[8192:], b"\0" + database()[8192:]], 8193, 3),
    "segments": Target(_segments, _segment_seeds, 13_000, 2),
    "set": Target(_set, lambda: [bytes(200)], 200, 3),
    "lab-files": Target(
        partial(_each, (_lab_records, _lab_log, _lab_page)),
        partial(_seeds, _lab_record_seeds, _lab_log_seeds, _lab_page_seeds),
        4500,
    ),
    "lab-recover": Target(
        _lab_recover, lambda: [bytes([lab, file, 0, 0, 0, 0]) for lab in range(3) for file in range(6)], 200, 6
    ),
    "log-records": Target(_log_records, _log_record_seeds, 13_000, 2),
    "replay-bytes": Target(partial(_each, _REPLAY_BYTES), _replay_byte_seeds, 33_000),
    "verbs": Target(_verb, _verb_seeds, 20_000, 3),
    **{name: Target(run, seeds) for name, (run, seeds) in WIRE.items()},
}


def attempt(target: Target, data: bytes) -> ArchiveError | None:
    """Run a target; return how it refused the bytes, None where it took them. Whatever else is raised is a fault."""
    try:
        target.run(data)
    except ArchiveError as error:
        return error
    return None
