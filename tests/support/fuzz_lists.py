"""Fuzz targets of what is no archive and no file of an engine: lists, locations, what people type, JSON, reports."""

from __future__ import annotations

import ctypes
import io
import json
import os
from contextlib import suppress
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fuzz_tools import Target, file, flagged, folder, stand_in
from small_sets import STREAM

from tokar import codes, names, paths, tokens
from tokar.cli import redact as redact_command
from tokar.cli.verify import _root
from tokar.collect.certutil import CertutilFolder
from tokar.errors import ArchiveError
from tokar.ese import filenames
from tokar.format.compression import Compression
from tokar.lab import config as lab_config
from tokar.lab.config import RestoreInProgress, default_config, load_config, load_registration
from tokar.live.ca import CaAddress
from tokar.live.csra import names_in
from tokar.live.native import NativeLibrary
from tokar.namelist import build_names, parse_names
from tokar.redact import Redactor
from tokar.restore import journal, leftovers
from tokar.restore.locations import parse_location_file, parse_to
from tokar.restore.options import parse_generation
from tokar.restore.plan import Aside
from tokar.rpc.trace import Trace
from tokar.server.prior import load_prior
from tokar.sets import receipt as receipts
from tokar.sets.backup_set import set_of_receipt
from tokar.sets.receipt import RECEIPT_SUFFIX, Receipt, Truncation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# --- lists and locations ----------------------------------------------------------------------------------------------

_LIST: Final = [(0x44, "C:\\a\\b.edb"), (0x82, "\\\\S\\C$\\logs\\")]
TOML: Final = rb"""
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


def _namelist(data: bytes) -> None:
    flag, rest = flagged(data)
    wide, page = bool(flag & 1), (0, 437, 932, 1200, 1252, 20127, 65001, 99)[flag >> 1 & 7]
    found = parse_names(rest, wide=wide, encoding=page, with_tokens=not flag & 16)
    for one in found:
        shown = names.display(one.raw_name, one.encoding)
        assert shown.isprintable()
        with suppress(ArchiveError):
            leaf = names.leaf(one.raw_name, one.encoding)
            assert not {"/", "\\", "\0"} & set(leaf)


def _namelist_seeds() -> list[bytes]:
    wide = build_names([(token, text.encode("utf-16-le")) for token, text in _LIST], wide=True)
    narrow = build_names([(token, text.encode("cp1252")) for token, text in _LIST], wide=False)
    return [b"\1" + wide, b"\x08" + narrow]


def _native_list(data: bytes) -> None:
    """A list as a native library gives it: by a pointer and a size, which is right, too small, or without a pointer."""
    flag, rest = flagged(data)
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


def _locations(data: bytes) -> None:
    flag, rest = flagged(data)
    found = parse_location_file(rest, sorted(tokens.PROFILES)[flag % len(tokens.PROFILES)], base="/srv")
    for one in found.locations:
        assert one.path
        paths.take_apart(one.path)


def _locations_seeds() -> list[bytes]:
    return [b"\0" + one[1:] for one in _namelist_seeds()] + [b"\2" + TOML, b"\1\xef\xbb\xbf" + TOML]


def _arguments(data: bytes) -> None:
    """What a person types, and names of files that lie about: never a crash, whatever the text."""
    text = data.decode("utf-8", "surrogateescape").replace("\0", "")
    for read in _ARGUMENTS:
        with suppress(ArchiveError):
            read(text)
    assert names.printable(text).isprintable()
    names.leaf_of(text)
    CertutilFolder("", data, "full").databases  # noqa: B018 - read for what it may raise
    for pattern in (names._ASIDE, leftovers._STAGED, names.TEMPORARY_FILE):
        pattern.fullmatch(text)


_ARGUMENTS: Final[tuple[Callable[[str], object], ...]] = (
    lambda text: parse_to(text, "edbbcli", base="/srv"),
    lambda text: paths.parse_map(text, "/srv"),
    lambda text: tokens.parse_token(text, "edbbcli"),
    parse_generation,
    Compression.parse,
    filenames.parse_file_name,
    lambda text: names.leaf(*names.encode(text)),
    codes.parse,
    CaAddress.parse,
    lambda text: _root(text, ["a"]),
)

# --- JSON that is read back -------------------------------------------------------------------------------------------


def _stored(data: bytes) -> None:
    """JSON that tokar wrote: a receipt, a journal, a lab, a registration. Each reader gets the same bytes."""
    for read in (_receipt, _journal, _lab, _registration):
        with suppress(ArchiveError):
            read(data)


def _receipt(data: bytes) -> None:
    Receipt.parse(data)
    path = folder() / f"x{RECEIPT_SUFFIX}"
    with stand_in(receipts, read_start=lambda *_: data):
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
    assert all(one.directory is not None for one in journal._parsed(io.BytesIO(data)).asides)


def _journal_seeds() -> list[bytes]:
    asides = [Aside("/a", "b", "c", "d"), Aside("/", "etc", "usr", "d")]
    return ["".join(journal._lines_of(asides, registered=True)).encode()]


def _lab(data: bytes) -> None:
    with stand_in(lab_config, read_start=lambda *_: data):
        config = load_config(folder())
    place, inside = config.place(folder()), os.path.realpath(folder()) + os.sep
    for path in (place.logs, place.system, *place.databases.values()):
        assert os.path.realpath(path).startswith(inside)
    config.path_maps(folder())


def _lab_seeds() -> list[bytes]:
    found = [default_config(profile, 2, 1) for profile in ("edbbcli", "ntdsbcli", "certadm")]
    return [json.dumps(asdict(one)).encode() for one in found]


@cache
def _registered() -> Path:
    return file(lab_config._REGISTRATION_NAME, b"{}").parent


def _registration(data: bytes) -> None:
    with stand_in(lab_config, read_start=lambda *_: data):
        load_registration(_registered())


def _registration_seeds() -> list[bytes]:
    return [json.dumps(asdict(RestoreInProgress(1, 2, (("a", "b"),), "c", None, None, 0))).encode()]


def _stored_seeds() -> list[bytes]:
    made: Sequence[Callable[[], list[bytes]]] = (_receipt_seeds, _journal_seeds, _lab_seeds, _registration_seeds)
    return [one for seeds in made for one in seeds()]


# --- reports ----------------------------------------------------------------------------------------------------------


def _redacted(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    redactor = Redactor(["Acme"])
    redactor.text(text)
    assert len(redactor.data(data)) == len(data)
    with suppress(ValueError, RecursionError):
        json.dumps(redactor.value(json.loads(text)))


def _redacted_seeds() -> list[bytes]:
    texts = (r"\\CA1.acme.test\C$\Acme CA.edb|ca1", '{"server": "CA1", "calls": [{"name": "XABcAEEALgBlAGQAYgA="}]}')
    return [*(one.encode() for one in texts), b"ca://pki/Acme a@b.c fe80::1 10.0.0.1 password=x /home/al/x"]


def _traced(data: bytes) -> None:
    """What a server answers, as the trace shows it: as many bytes, whatever is taken out."""
    trace = _trace()
    trace._redactor = Redactor(["ca1"])
    assert len(bytes.fromhex(trace.bytes(data))) == len(data)
    with suppress(ArchiveError):
        redact_command._text_of(data, "report")


@cache
def _trace() -> Trace:
    """A trace made once; each case gets one that has learnt nothing."""
    return Trace(io.StringIO(), [], names_in=names_in)


def _traced_seeds() -> list[bytes]:
    way = b"\7\0" + "ca1.acme.test[49670]\0\0".encode("utf-16-le")
    return [way, bytes(8) + "\\\\ca1\\C$\\CA.edb\0".encode("utf-16-le")]


LISTS: Final = {
    "namelist": Target(_namelist, _namelist_seeds, ("tokar.namelist", "tokar.names"), 500),
    "native-list": Target(
        _native_list,
        lambda: [bytes([flag]) + one[1:] for flag in (0, 2) for one in _namelist_seeds()],
        ("tokar.live.native", "tokar.namelist"),
        500,
    ),
    "locations": Target(
        _locations,
        _locations_seeds,
        ("tokar.restore.locations", "tokar.location_list", "tokar.paths", "tokar.namelist"),
        1000,
    ),
    "arguments": Target(
        _arguments,
        lambda: [b"0x44=/srv/x/", b"C:\\=d", b"edb0001F.log", b"zstd:3", b"-1216", b"//ca1:80/Root CA", b"ab" * 32],
        (
            "tokar.names",
            "tokar.tokens",
            "tokar.codes",
            "tokar.restore.options",
            "tokar.paths",
            "tokar.restore.inventory",
            "tokar.restore.leftovers",
            "tokar.ese.filenames",
            "tokar.collect.certutil",
            "tokar.storage.sink",
            "tokar.cli.verify",
            "tokar.live.ca",
        ),
        100,
    ),
    "stored": Target(
        _stored,
        _stored_seeds,
        (
            "tokar.storage.stored_json",
            "tokar.sets.receipt",
            "tokar.sets.backup_set",
            "tokar.server.prior",
            "tokar.restore.journal",
            "tokar.lab.config",
        ),
        800,
    ),
    "redact": Target(_redacted, _redacted_seeds, ("tokar.redact",), 500),
    "trace": Target(_traced, _traced_seeds, ("tokar.rpc.trace", "tokar.redact", "tokar.cli.redact"), 300),
}
