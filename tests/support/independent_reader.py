"""A strict front-to-back reader of tokar archives, written from ``spec/format.md`` alone.

It shares no code with the project and was written by reading the specification, not the other reader: where the two
disagree about a fixture, one of them or the document is wrong. The reader judges; it recovers nothing. Within a record
rules are checked in the order of their numbers unless a comment says otherwise (ANS-1 leaves that open for bodies).
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import itertools
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json]"
Check: TypeAlias = Callable[[Json], bool]
Keys: TypeAlias = Mapping[str, tuple[bool, Check]]

MAGIC = b"\x89TKR\r\n\x1a\n"
END_MAGIC = MAGIC[::-1]
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
PREAMBLE_SIZE, HEAD_SIZE = 32, 64
SAFE_INTEGER, U64_MAX = 2**53 - 1, 2**64 - 1
MAX_ENTRIES, MAX_CHUNKS, MAX_OUTSIDE, MAX_ARCHIVE = 2**24, 2**20, 65_536, 2**63 - 1
MAX_AFTER_ROOT = 16
PAGE_ENTRIES, PAGE_NAMES, PAGE_ROW = 65_536, 2**24, 119
MAX_DEPTH = 8
MAX_NAME = 65_535
ZSTD_BLOCK_MAX = 1 << 17

ANY_LOWER = b"*low"
LENGTHS: dict[bytes, tuple[int, int]] = {
    b"HEAD": (0, 1_048_576),
    b"PROC": (0, 1_048_576),
    b"SUMM": (0, 1_048_576),
    b"FILE": (33, 65_567),
    b"DATA": (16, 16_777_232),
    b"DONE": (80, 37_748_816),
    b"INDX": (128, 24_576_008),
    b"ROOT": (184, 3_145_768),
    b"TAIL": (48, 48),
}
SEALED_DATA, TAG_SIZE = (32, 16_777_248), 16  # with encryption
LOWER_BEFORE, LOWER_AFTER = (0, 1_048_576), (0, 65_536)

# SEQ-1 as a table: in each state, the kinds that may come next.
ALLOWED: dict[str, frozenset[bytes]] = {
    "start": frozenset({b"HEAD"}),
    "between": frozenset({b"FILE", b"PROC", b"SUMM", ANY_LOWER}),
    "entry": frozenset({b"DATA", b"DONE"}),
    "summed": frozenset({b"HEAD"}),
    "indexed": frozenset({b"INDX", b"ROOT"}),
    "rooted": frozenset({b"TAIL", ANY_LOWER}),
}


@dataclass(frozen=True)
class Entry:
    """One complete entry.

    Attributes:
        number: Number of the entry, from 0.
        token: The token byte as delivered.
        list: Where the file was listed, 0 to 3.
        encoding: Windows code page of the name, 0 if unknown.
        name: The name as delivered.
        size: Bytes of content.
        digest: The digest that DONE states.
        codecs: The codec of every chunk in order.
        content_digest: BLAKE3 of the content as this reader decoded it.
    """

    number: int
    token: int
    list: int
    encoding: int
    name: bytes
    size: int
    digest: bytes
    codecs: tuple[int, ...]
    content_digest: bytes


@dataclass(frozen=True)
class Verdict:
    """What the reader says about an input.

    Attributes:
        answer: One of ``sealed``, ``unsealed``, ``damaged``, ``unsupported``, ``not-an-archive``.
        rule: The first broken rule; None for ``sealed``.
        position: Where it was found; for ``unsealed`` where the missing or cut record begins; None for ``sealed``.
        entries: Entries whose DONE was read and found right before the fault.
        root: The root, once ROOT was read and found right; provisional unless the answer is ``sealed``.
    """

    answer: str
    rule: str | None
    position: int | None
    entries: list[Entry]
    root: bytes | None


class _StopError(Exception):
    """Ends the reading with an answer other than ``sealed``."""

    def __init__(self, rule: str | None, position: int | None = None, answer: str = "damaged") -> None:
        super().__init__(rule)
        self.rule = rule
        self.position = position
        self.answer = answer


def _require(condition: bool, rule: str) -> None:
    """Raises the fault ``rule`` unless the condition holds."""
    if not condition:
        raise _StopError(rule)


# --- canonical JSON (section 5) ---------------------------------------------------------------------------------------

_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_ESCAPE = re.compile(r'\\(["\\bfnrt]|u00(?:0[0-7bef]|1[0-9a-f]))')
_NUMBER = re.compile(r"[-+.0-9][-+.0-9eE]*")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,15}")
_KEY = re.compile(r"[a-z0-9_]+")
_BANNED = re.compile(r"null|NaN|-?Infinity")
_UNESCAPE = {'"': '"', "\\": "\\", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class _CanonicalParser:
    """A left-to-right parser that stops at the first byte that breaks a rule.

    the order among JSON-1 to JSON-7 is that of the bytes, after the UTF-8 test of the whole body; where two
    rules fit one fault (``01``, ``NaN``, a raw control character) the special one is reported and not JSON-1.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def document(self) -> dict[str, Json]:
        """Parses the whole text as one object."""
        self._refuse_space()
        _require(self._text.startswith("{", self._at), "JSON-1")
        value = self._value(1)
        self._refuse_space()
        _require(self._at == len(self._text), "JSON-1")
        return cast("dict[str, Json]", value)

    def _refuse_space(self) -> None:
        _require(not self._text.startswith((" ", "\t", "\n", "\r"), self._at), "JSON-2")

    def _take(self, symbol: str) -> bool:
        self._refuse_space()
        if not self._text.startswith(symbol, self._at):
            return False
        self._at += len(symbol)
        return True

    def _value(self, depth: int) -> Json:
        if self._take("{"):
            _require(depth <= MAX_DEPTH, "JSON-7")
            return self._object(depth)
        if self._take("["):
            _require(depth <= MAX_DEPTH, "JSON-7")
            return self._array(depth)
        if self._text.startswith('"', self._at):
            return self._string()
        if self._take("true"):
            return True
        if self._take("false"):
            return False
        _require(_BANNED.match(self._text, self._at) is None, "JSON-5")
        number = _NUMBER.match(self._text, self._at)
        if number is None:
            raise _StopError("JSON-1")
        self._at = number.end()
        _require(_INTEGER.fullmatch(number[0]) is not None, "JSON-4")
        value = int(number[0])
        _require(-SAFE_INTEGER <= value <= SAFE_INTEGER, "JSON-4")
        return value

    def _object(self, depth: int) -> dict[str, Json]:
        found: dict[str, Json] = {}
        last = ""
        if self._take("}"):
            return found
        while True:
            self._refuse_space()
            key = self._string()
            _require(_KEY.fullmatch(key) is not None and key > last, "JSON-3")
            last = key
            _require(self._take(":"), "JSON-1")
            found[key] = self._value(depth + 1)
            if self._take("}"):
                return found
            _require(self._take(","), "JSON-1")

    def _array(self, depth: int) -> list[Json]:
        found: list[Json] = []
        if self._take("]"):
            return found
        while True:
            found.append(self._value(depth + 1))
            if self._take("]"):
                return found
            _require(self._take(","), "JSON-1")

    def _string(self) -> str:
        _require(self._text.startswith('"', self._at), "JSON-1")
        self._at += 1
        parts: list[str] = []
        while True:
            plain = cast("re.Match[str]", _PLAIN.match(self._text, self._at))
            parts.append(plain[0])
            self._at = plain.end()
            _require(self._at < len(self._text), "JSON-1")
            if self._text[self._at] == '"':
                self._at += 1
                return "".join(parts)
            escape = _ESCAPE.match(self._text, self._at)
            if escape is None:
                raise _StopError("JSON-6")
            parts.append(_UNESCAPE.get(escape[1]) or chr(int(escape[1][1:], 16)))
            self._at = escape.end()


def _parse_json(body: bytes) -> dict[str, Json]:
    """Parses a body in canonical JSON.

    Raises:
        _StopError: With the first of JSON-1 to JSON-7 that is broken.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise _StopError("JSON-1") from None
    return _CanonicalParser(text).document()


# --- types of JSON values (sections 5 and 6) --------------------------------------------------------------------------

_TIME = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})\.([0-9]{6})Z")
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_DECIMAL = re.compile(r"[1-9][0-9]{15,19}")


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _is_time(value: Json) -> bool:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return False
    try:
        dt.datetime(*(int(part) for part in match.groups()), tzinfo=dt.UTC)  # type: ignore[arg-type, misc]
    except ValueError:  # the year 0000 is not a real date
        return False
    return True


def _is_base64(value: Json) -> bool:
    if not isinstance(value, str) or _BASE64.fullmatch(value) is None:
        return False
    try:  # the unused bits of the last character must be zero
        return base64.b64encode(base64.b64decode(value, validate=True)).decode("ascii") == value
    except binascii.Error:
        return False


def _count_value(value: Json) -> int | None:
    """Returns the number that a count stands for, None if the value is no count."""
    if isinstance(value, str) and _DECIMAL.fullmatch(value) and SAFE_INTEGER < int(value) <= U64_MAX:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _is_count(value: Json) -> bool:
    return _count_value(value) is not None


def _is_byte(value: Json) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 255


def _matches(pattern: str) -> Check:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _array_of(check: Check) -> Check:
    return lambda value: isinstance(value, list) and all(check(item) for item in value)


def _map_of(check: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(check(item) for item in value.values())


def _shape(keys: Keys) -> Check:
    """Returns a check that the keys that are there have their form and the required ones are there."""

    def check(value: Json) -> bool:
        return isinstance(value, dict) and all(
            form(value[key]) if key in value else not required for key, (required, form) in keys.items()
        )

    return check


def _is_sorted_set(value: Json) -> bool:
    """Tells whether the value is an array of text, sorted (by the bytes of UTF-8) and unique."""
    if not isinstance(value, list):
        return False
    names = [item.encode("utf-8") for item in value if isinstance(item, str)]
    return len(names) == len(value) and all(a < b for a, b in itertools.pairwise(names))


def _is_origin(value: Json) -> bool:
    """Tells whether the value has the form of ``origin`` (exactly one of ``id`` and ``tag``)."""
    return _ORIGIN(value) and isinstance(value, dict) and ("id" in value) != ("tag" in value)


def _is_range(value: Json) -> bool:
    """Tells whether the value has two counts, the lower one not above the higher one."""
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys():
        return False
    low, high = _count_value(value["low"]), _count_value(value["high"])
    return low is not None and high is not None and low <= high


_HEX16, _HEX32, _HEX64 = _matches("[0-9a-f]{16}"), _matches("[0-9a-f]{32}"), _matches("[0-9a-f]{64}")
_ORIGIN = _shape({"id": (False, _HEX32), "tag": (False, _HEX16), "root": (False, _HEX64)})
_LOCATION: Keys = {
    "token": (True, _is_byte),
    "path": (True, _is_text),
    "kind": (True, _matches("directory|file|unsettled")),
}
_LOST: Keys = {
    "name": (True, _is_text),
    "offset": (True, _is_count),
    "size": (True, _is_count),
    "reason": (True, _is_text),
}
_BACKUP: Keys = {
    "asked": (True, _matches("full|incremental|differential|copy")),
    "took": (True, _matches("full|incremental|differential|copy")),
    "truncation": (True, _matches("intended|none")),
    "refused": (False, _matches("0x[0-9A-F]{8}")),
}
HEAD_FORM = _shape(
    {
        "created": (True, _is_time),
        "kind": (True, _matches("full|logs|collected")),
        "profile": (True, _matches("[a-z0-9_-]{1,32}")),
        "software": (True, _is_text),
        "annotation": (False, _is_text),
        "blobs": (False, _map_of(_is_base64)),
        # "encryption" is looked at by ENC-1
        "features": (False, _is_sorted_set),
        "location_list": (False, _shape({"bytes": (True, _is_base64), "form": (True, _matches("[wa]"))})),
        "locations": (False, _array_of(_shape(_LOCATION))),
        "name": (False, _is_text),
        "origin": (False, _is_origin),
        "prior": (False, _shape({"id": (True, _HEX32), "root": (True, _HEX64)})),
        "server": (False, _is_text),
    }
)
_WRAPPED = _shape({"recipients": (False, _is_base64), "passphrase": (False, _is_base64)})
ENCRYPTION_FORM = _shape(
    {
        "cipher": (True, _matches("aes-256-gcm")),
        "key_id": (True, _HEX32),
        "wrapped": (
            True,
            lambda value: (
                isinstance(value, dict) and bool({"recipients", "passphrase"} & value.keys()) and _WRAPPED(value)
            ),
        ),
    }
)
SUMM_FORM = _shape(
    {
        "content_size": (True, _is_count),
        "entries": (True, _is_count),
        "finished": (True, _is_time),
        "outcome": (True, _matches("complete|partial")),
        "backup": (False, _shape(_BACKUP)),
        "generations": (False, _is_range),
        "left_out": (False, _array_of(_shape({"name": (True, _is_text), "reason": (True, _is_text)}))),
        "left_out_count": (False, _is_count),
        "lost": (False, _array_of(_shape(_LOST))),
        "notes": (False, _array_of(_is_text)),
        "zstd": (False, _is_text),
    }
)
PROC_FORM = _shape({"calls": (True, _array_of(_shape({"call": (True, _is_text)})))})


# --- Zstandard frames (DATA-6, DATA-7; RFC 8878) ----------------------------------------------------------------------


def _decode_zstd(stored: memoryview, content_size: int) -> bytes:
    """Decodes one frame after its header and its blocks were found to be as DATA-6 and DATA-7 want them.

    The size and the magic come first (DATA-6), then the header's fields (DATA-7), then blocks and content (DATA-6).
    """
    _require(6 <= len(stored) < content_size and bytes(stored[:4]) == ZSTD_MAGIC, "DATA-6")
    descriptor = stored[4]
    _require(descriptor in {0x20, 0x60, 0xA0, 0xE0}, "DATA-7")
    field_size = (1, 2, 4, 8)[descriptor >> 6]
    at = 5 + field_size
    stated = int.from_bytes(stored[5:at], "little") + (256 if field_size == 2 else 0)
    _require(len(stored) >= at and stated == content_size, "DATA-7")
    _require(_end_of_blocks(stored, at, min(content_size, ZSTD_BLOCK_MAX)) == len(stored), "DATA-6")
    try:
        content = zstandard.ZstdDecompressor().decompress(stored, max_output_size=content_size, allow_extra_data=False)
    except zstandard.ZstdError:
        raise _StopError("DATA-6") from None
    _require(len(content) == content_size, "DATA-6")
    return content


def _end_of_blocks(stored: memoryview, at: int, block_max: int) -> int:
    """Returns where the last block of a frame ends."""
    last = False
    while not last:
        _require(at + 3 <= len(stored), "DATA-6")
        header = int.from_bytes(stored[at : at + 3], "little")
        last, block_type, size = bool(header & 1), header >> 1 & 3, header >> 3
        _require(block_type != 3 and size <= block_max and (block_type != 2 or size >= 2), "DATA-6")
        at += 3 + (1 if block_type == 1 else size)
    return at


# --- the reader -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Listed:
    """What a page of the index repeats of FILE besides token, list, encoding and name."""

    announced_size: int
    modified: int
    stream: int
    flags: int
    chunk_log2: int

    @property
    def is_announced(self) -> bool:
        """Whether the announced size is present and the content must have it."""
        return self.flags & 6 == 2

    @property
    def chunk_size(self) -> int:
        """Bytes of content in a full chunk."""
        return 1 << self.chunk_log2

    def keeps_file_3(self, list_: int) -> bool:
        """Tells whether FILE-3 holds."""
        return list_ <= 3 and 16 <= self.chunk_log2 <= 24 and not self.flags & ~7

    def keeps_file_4(self, *, encrypted: bool) -> bool:
        """Tells whether FILE-4 holds for the fields."""
        announced = self.announced_size == 0 or bool(self.flags & 2)
        return announced and (self.modified == 0 or bool(self.flags & 1)) and (encrypted or self.stream == 0)


@dataclass
class _Open:
    """The entry that is being read."""

    position: int
    check: bytes
    name: bytes
    encoding: int
    token: int
    list: int
    listed: _Listed
    last_size: int = 0
    size: int = 0
    codecs: bytearray = field(default_factory=bytearray)
    lengths: bytearray = field(default_factory=bytearray)
    checks: bytearray = field(default_factory=bytearray)
    hasher: blake3 = field(default_factory=blake3)


@dataclass
class _Row:
    """What a page of the index must say about an entry."""

    entry: Entry
    listed: _Listed
    file_position: int
    done_position: int
    done_check: bytes


class _Reader:
    """Reads one archive from its first byte to its last."""

    def __init__(self, data: bytes, key: bytes | None) -> None:
        self._key = key
        self._encrypted = False
        self._stream = 0
        self._data = memoryview(data)
        self._at = 0
        self._state = "start"
        self._head = b""
        self._open: _Open | None = None
        self._names: set[tuple[int, bytes]] = set()
        self._waiting: list[_Row] = []
        self._content_size = 0
        self._rows = bytearray()
        self._root_position = 0
        self._after_root = 0
        self._steps: dict[bytes, Callable[[memoryview, bytes], None]] = {
            b"HEAD": self._read_head, b"PROC": self._read_proc, b"SUMM": self._read_summ,
            b"FILE": self._read_file, b"DATA": self._read_data, b"DONE": self._read_done,
            b"INDX": self._read_indx, b"ROOT": self._read_root, b"TAIL": self._read_tail,
        }  # fmt: skip
        self.entries: list[Entry] = []
        self.root: bytes | None = None

    def run(self) -> Verdict:
        """Reads everything and returns the verdict."""
        try:
            self._read_preamble()
            self._at = PREAMBLE_SIZE
            while self._state != "end":
                self._read_record()
            _require(self._at == len(self._data), "SEQ-2")
        except _StopError as stop:
            position = self._at if stop.position is None else stop.position
            return Verdict(stop.answer, stop.rule, position, self.entries, self.root)
        return Verdict("sealed", None, None, self.entries, self.root)

    def _read_preamble(self) -> None:
        head = bytes(self._data[:PREAMBLE_SIZE])
        if head[:8] != MAGIC:
            raise _StopError("PRE-1", answer="not-an-archive")
        if len(head) >= 10 and head[8:10] != b"\x01\x00":
            raise _StopError("PRE-2", answer="unsupported")
        _require(len(head) < 12 or head[10:12] == b"\0\0", "PRE-3")
        if len(head) < PREAMBLE_SIZE:
            raise _StopError("STATE-1", answer="unsealed")
        _require(zlib.crc32(head[:12] + head[16:]) == int.from_bytes(head[12:16], "little"), "PRE-4")

    def _read_record(self) -> None:
        head = bytes(self._data[self._at : self._at + HEAD_SIZE])
        tag = bytes(self._data[16:24])
        if len(head) < HEAD_SIZE:  # STATE-1
            _require(len(head) < 4 or _is_kind(head[:4]), "REC-2")
            _require(len(head) < 16 or head[8:16] == tag, "REC-4")
            _require(len(head) < 24 or int.from_bytes(head[16:24], "little") == self._at, "REC-5")
            raise _StopError("STATE-1", answer="unsealed")
        kind, length, _, position, check, zero, crc = struct.unpack("<4sI8sQ32s4sI", head)
        _require(zlib.crc32(head[:60]) == crc, "REC-1")
        _require(_is_kind(kind), "REC-2")
        _require(zero == b"\0\0\0\0", "REC-3")
        _require(head[8:16] == tag, "REC-4")
        _require(position == self._at, "REC-5")
        if kind.isupper() and kind not in LENGTHS:
            raise _StopError("REC-6", answer="unsupported")
        # a lower-case record where the grammar has none gets the limit of those before SUMM.
        known = SEALED_DATA if self._encrypted and kind == b"DATA" else LENGTHS.get(kind)
        low, high = known or (LOWER_AFTER if self._state == "rooted" else LOWER_BEFORE)
        _require(low <= length <= high, "REC-7")
        _require((kind if kind.isupper() else ANY_LOWER) in ALLOWED[self._state], "SEQ-1")
        self._check_limits(kind, length)
        start = self._at + HEAD_SIZE
        body = self._data[start : start + length]
        if len(body) < length:
            raise _StopError("STATE-1", answer="unsealed")
        _require(blake3(body).update(head[:24]).digest() == check, "REC-8")
        if kind not in (b"FILE", b"DATA", b"DONE", b"ROOT", b"TAIL") and self._state != "rooted":
            self._rows += struct.pack("<4sIQ32s", kind, length, self._at, check)
        if kind in self._steps:
            self._steps[kind](body, check)
        elif self._state == "rooted":
            self._after_root += 1
        self._at = start + length

    def _check_limits(self, kind: bytes, length: int) -> None:
        """Checks LIM-1 to LIM-4 and the number in LOW-1 (before the body is read, after SEQ-1)."""
        if kind == b"FILE":
            _require(len(self.entries) < MAX_ENTRIES, "LIM-1")
        elif kind == b"DATA":
            _require(self._open is not None and len(self._open.codecs) < MAX_CHUNKS, "LIM-2")
        elif kind not in (b"DONE", b"ROOT", b"TAIL"):
            if self._state == "rooted":
                _require(self._after_root < MAX_AFTER_ROOT, "LOW-1")
            else:
                _require(len(self._rows) < 48 * MAX_OUTSIDE, "LIM-3")
        _require(self._at + HEAD_SIZE + length <= MAX_ARCHIVE, "LIM-4")

    def _read_head(self, body: memoryview, _check: bytes) -> None:
        if self._state == "summed":  # only its bytes count
            _require(body == self._head, "HEAD-3")
            self._state = "indexed"
            return
        value = _parse_json(bytes(body))
        features = value.get("features")
        if features and isinstance(features, list) and all(map(_is_text, features)) and features != ["encryption"]:
            raise _StopError("HEAD-1", answer="unsupported")
        _require(HEAD_FORM(value) and not ("locations" in value and "location_list" in value), "HEAD-2")
        self._encrypted = features == ["encryption"]
        _require(self._encrypted or "encryption" not in value, "HEAD-2")
        _require(not self._encrypted or ENCRYPTION_FORM(value.get("encryption", 0)), "ENC-1")
        self._head = bytes(body)
        self._state = "between"

    def _read_proc(self, body: memoryview, _check: bytes) -> None:
        _require(PROC_FORM(_parse_json(bytes(body))), "PROC-1")

    def _read_summ(self, body: memoryview, _check: bytes) -> None:
        value = _parse_json(bytes(body))
        _require(SUMM_FORM(value), "SUMM-1")
        _require(_count_value(value["entries"]) == len(self.entries), "SUMM-2")
        _require(_count_value(value["content_size"]) == self._content_size, "SUMM-2")
        self._state = "summed"

    def _read_file(self, body: memoryview, check: bytes) -> None:
        entry, encoding, token, list_, announced, modified, flags, chunk_log2, zero, stream = struct.unpack_from(
            "<IHBBQqHBBI", body
        )
        listed = _Listed(announced, modified, stream, flags, chunk_log2)
        _require(entry == len(self.entries), "FILE-1")
        _require(listed.keeps_file_3(list_), "FILE-3")
        _require(zero == 0 and listed.keeps_file_4(encrypted=self._encrypted), "FILE-4")
        _require(not self._encrypted or stream > self._stream, "ENC-2")
        self._stream = stream
        name = bytes(body[32:])
        _require((token, name) not in self._names, "FILE-5")
        self._names.add((token, name))
        self._open = _Open(self._at, check, name, encoding, token, list_, listed)
        if self._encrypted and self._key is not None:
            self._open.hasher = blake3(key=_derived("tokar 1 digest", self._key, stream))
        self._state = "entry"

    def _read_data(self, body: memoryview, check: bytes) -> None:
        now = cast("_Open", self._open)
        stored = body[:-16]
        entry, chunk, content_size, codec, zero = struct.unpack("<IIIB3s", body[-16:])
        _require(entry == len(self.entries) and chunk == len(now.codecs), "DATA-1")
        # that the chunk before was short is found, and reported, at the chunk that follows it.
        _require(not now.codecs or now.last_size == now.listed.chunk_size, "DATA-2")
        _require(1 <= content_size <= now.listed.chunk_size, "DATA-2")
        _require(codec <= 2 and zero == b"\0\0\0", "DATA-3")
        _require(self._content_size + now.size + content_size <= MAX_ARCHIVE, "LIM-4")
        if self._encrypted and self._key is None:
            left = len(stored) - TAG_SIZE
            _require(left >= 0, "ENC-3")
            _require(codec != 0 or left == content_size, "DATA-4")
            _require(codec != 2 or left == 0, "DATA-5")
            _require(codec != 1 or left < content_size, "DATA-6")
        elif self._encrypted and self._key is not None:
            stored = _decrypted(stored, _derived("tokar 1 content", self._key, now.listed.stream), bytes(body[-12:-3]))
            chunk, content_size, codec = struct.unpack("<IIB", body[-12:-3])
        if self._encrypted and self._key is None:
            pass
        elif codec == 0:
            _require(len(stored) == content_size, "DATA-4")
            now.hasher.update(stored)
        elif codec == 2:
            _require(len(stored) == 0, "DATA-5")
            now.hasher.update(bytes(content_size))
        else:
            now.hasher.update(_decode_zstd(stored, content_size))
        now.last_size = content_size
        now.size += content_size
        now.codecs.append(codec)
        now.lengths += struct.pack("<I", len(body))
        now.checks += check

    def _read_done(self, body: memoryview, check: bytes) -> None:
        now = cast("_Open", self._open)
        entry, chunk_count, content_size, digest, file_check = struct.unpack_from("<IIQ32s32s", body)
        _require(entry == len(self.entries) and len(body) == 80 + 36 * chunk_count, "DONE-1")
        _require(chunk_count == len(now.codecs) and file_check == now.check, "DONE-2")
        middle = 80 + 4 * chunk_count
        _require(body[80:middle] == now.lengths and body[middle:] == now.checks, "DONE-2")
        _require(content_size == now.size, "DONE-3")
        _require(not now.listed.is_announced or now.listed.announced_size == content_size, "DONE-4")
        content_digest = digest if self._encrypted and self._key is None else now.hasher.digest()
        _require(digest == content_digest, "DONE-5")
        done = Entry(
            len(self.entries), now.token, now.list, now.encoding, now.name, now.size, digest, tuple(now.codecs),
            content_digest,
        )  # fmt: skip
        self.entries.append(done)
        self._waiting.append(_Row(done, now.listed, now.position, self._at, check))
        self._content_size += now.size
        self._open = None
        self._state = "between"

    def _read_indx(self, body: memoryview, _check: bytes) -> None:
        first, count = struct.unpack_from("<II", body)
        _require(1 <= count <= PAGE_ENTRIES and len(body) > 8 + PAGE_ROW * count, "INDX-1")
        _check_columns(body, count, encrypted=self._encrypted)
        rows = self._waiting[: _page_length(self._waiting)]
        # INDX-3 first, since INDX-2 can only be asked of the right entries.
        _require(first == len(self.entries) - len(self._waiting) and count == len(rows), "INDX-3")
        _require(body[8:] == _columns(rows), "INDX-2")
        del self._waiting[:count]

    def _read_root(self, body: memoryview, check: bytes) -> None:
        preamble, entry_count, record_count = struct.unpack_from("<32sII", body)
        _require(not self._waiting, "INDX-3")  # a page is missing
        _require(len(body) == 40 + 48 * record_count, "ROOT-1")
        _require(preamble == self._data[:PREAMBLE_SIZE] and entry_count == len(self.entries), "ROOT-2")
        _require(body[40:] == self._rows, "ROOT-2")
        self.root, self._root_position = check, self._at
        self._state = "rooted"

    def _read_tail(self, body: memoryview, _check: bytes) -> None:
        root_position, root, end_magic = struct.unpack("<Q32s8s", body)
        _require(end_magic == END_MAGIC, "TAIL-1")
        _require(root_position == self._root_position and root == self.root, "TAIL-2")
        self._state = "end"


def _page_length(rows: list[_Row]) -> int:
    """Returns how many of these entries the next page must have: as many as make it full, or all."""
    names = 0
    for count, row in enumerate(rows[:PAGE_ENTRIES]):
        names += len(row.entry.name)
        if names > PAGE_NAMES:
            return count
    return min(len(rows), PAGE_ENTRIES)


def _check_columns(body: memoryview, count: int, *, encrypted: bool) -> None:
    """Checks what INDX-1 asks of the columns of a page."""
    ends = struct.unpack_from(f"<{count}I", body, 8 + 104 * count)
    _require(all(0 < b - a <= MAX_NAME for a, b in itertools.pairwise((0, *ends))), "INDX-1")
    _require(ends[-1] <= PAGE_NAMES and len(body) == 8 + PAGE_ROW * count + ends[-1], "INDX-1")
    lists = struct.unpack_from(f"<{count}B", body, 8 + 117 * count)
    columns = zip(
        struct.unpack_from(f"<{count}Q", body, 8 + 24 * count),
        struct.unpack_from(f"<{count}q", body, 8 + 32 * count),
        struct.unpack_from(f"<{count}I", body, 8 + 108 * count),
        struct.unpack_from(f"<{count}H", body, 8 + 114 * count),
        struct.unpack_from(f"<{count}B", body, 8 + 118 * count),
        strict=True,
    )
    for list_, values in zip(lists, columns, strict=True):
        listed = _Listed(*values)
        _require(listed.keeps_file_3(list_) and listed.keeps_file_4(encrypted=encrypted), "INDX-1")


def _columns(rows: list[_Row]) -> bytes:
    """Returns what stands in a page behind `count`."""
    count = len(rows)
    entries = [row.entry for row in rows]
    listed = [row.listed for row in rows]
    return b"".join(
        (
            struct.pack(f"<{count}Q", *(entry.size for entry in entries)),
            struct.pack(f"<{count}Q", *(row.file_position for row in rows)),
            struct.pack(f"<{count}Q", *(row.done_position for row in rows)),
            struct.pack(f"<{count}Q", *(one.announced_size for one in listed)),
            struct.pack(f"<{count}q", *(one.modified for one in listed)),
            b"".join(entry.digest for entry in entries),
            b"".join(row.done_check for row in rows),
            struct.pack(f"<{count}I", *itertools.accumulate(len(entry.name) for entry in entries)),
            struct.pack(f"<{count}I", *(one.stream for one in listed)),
            struct.pack(f"<{count}H", *(entry.encoding for entry in entries)),
            struct.pack(f"<{count}H", *(one.flags for one in listed)),
            bytes(entry.token for entry in entries),
            bytes(entry.list for entry in entries),
            bytes(one.chunk_log2 for one in listed),
            b"".join(entry.name for entry in entries),
        )
    )


def _is_kind(kind: bytes) -> bool:
    """Tells whether REC-2 holds."""
    return kind.isalpha() and (kind.isupper() or kind.islower())


def _derived(context: str, key: bytes, stream: int) -> bytes:
    """Derives a key of one entry (section 15)."""
    return blake3(key + struct.pack("<I", stream), derive_key_context=context).digest()


def _decrypted(stored: memoryview, key: bytes, associated: bytes) -> memoryview:
    """Decrypts the stored bytes of a chunk; its associated data begins with its number, which is the nonce too."""
    _require(len(stored) >= TAG_SIZE, "ENC-3")
    try:
        return memoryview(AESGCM(key).decrypt(associated[:4] + bytes(8), stored, associated))
    except InvalidTag:
        raise _StopError("ENC-3") from None


def judge(data: bytes, key: bytes | None = None) -> Verdict:
    """Judges an archive.

    Args:
        data: The whole input.
        key: K of an encrypted archive; without it content is not decoded.

    Returns:
        The verdict; the function raises on no input.
    """
    return _Reader(data, key).run()
