"""What was read of the files of a set while it was archived, as `fact` records keep it (spec/registry.md section 3).

A fact is the header of a file, byte for byte, and what checking its content found: all that `Inspection` holds. So the
facts of the set are made from a record as from content, by the same code. What following pages through the logs found
is kept beside them: no file alone says it. One rule writes every value and one reads it; what has its default is left
out. What cannot be read, or is of another version, is not taken.
"""

from __future__ import annotations

import base64
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from enum import Enum
from functools import cache
from itertools import groupby
from types import UnionType
from typing import Any, Final, get_args, get_origin, get_type_hints

from tokar.as_json import to_base64, to_count
from tokar.errors import FormatError
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.content_facts import LogReport, PageReport
from tokar.ese.database import PAGE_SIZES, DatabaseHeader
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import FileKind, Identity
from tokar.ese.inspect import Inspection
from tokar.ese.log import LogHeader
from tokar.ese.record import Record
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import Copies
from tokar.format import canonical_json, metadata, records
from tokar.format.archive import Archive
from tokar.format.canonical_json import is_base64, is_count
from tokar.format.writer import ArchiveWriter
from tokar.sets.facts import MOST_OFF, ChainFacts, DatabaseFacts

_HEADERS: Final[dict[FileKind, type[DatabaseHeader | LogHeader | Checkpoint | FlushMap]]] = {
    **dict.fromkeys((FileKind.DATABASE, FileKind.TEMPORARY_DATABASE, FileKind.STREAMING_FILE), DatabaseHeader),
    FileKind.LOG: LogHeader,
    FileKind.CHECKPOINT: Checkpoint,
    FileKind.FLUSH_MAP: FlushMap,
}
_LAST_NUMBER: Final = (1 << 64) - 1  # a greater one is that of no entry
_GENERATIONS: Final = range(-(1 << 31), 1 << 31)  # those that a header can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One element of a `fact` record, without the number of its entry."""

    kind: FileKind  # What the file is
    header: bytes | None = None  # The header that was believed, from its first byte, without the zeros at its end
    copy: int = 0  # Which of two copies that is
    copies_valid: tuple[bool, bool] = (True, True)  # Whether the checksum of each copy is right
    copies_identical: bool = True  # Whether both hold the same bytes
    generation: int | None = None  # Of a log without a header that is known here
    damaged: bool = False  # It is clearly of its kind, and its header is damaged
    note: str = ""  # Why it cannot be read, or what else is worth saying
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, where it is in order
    trailer_fault: str = ""  # Why it is not in order
    trailer_code: int | None = None  # The error the engine gives for that
    pages: PageReport | None = None  # What checking the pages of a database found
    log: LogReport | None = None  # What checking the content of a log found

    @classmethod
    def of(cls, seen: Inspection) -> Fact | None:
        """Return the fact of a file; None where a reader of the whole file may see more."""
        identity, header, report = seen.identity, seen.identity.header, seen.report
        if not seen.is_sure or (header is not None and type(header) is not _HEADERS.get(identity.kind)):
            return None
        copies = identity.copies or Copies(header, 0, (True, True), identical=True)
        return cls(
            kind=identity.kind,
            header=None if header is None else header.pack().rstrip(b"\0"),
            copy=copies.used,
            copies_valid=copies.valid,
            copies_identical=copies.identical,
            generation=identity.generation if header is None else None,
            damaged=identity.damaged,
            note=identity.note,
            trailer=seen.trailer,
            trailer_fault=seen.trailer_fault,
            trailer_code=seen.trailer_code,
            pages=report if isinstance(report, PageReport) else None,
            log=report if isinstance(report, LogReport) else None,
        )

    def seen(self, size: int) -> Inspection:
        """Return what was read of the file.

        Args:
            size: Bytes of its content.

        Raises:
            ValueError: It is not well-formed.
        """
        trailer = {name: getattr(self, name) for name in ("trailer", "trailer_fault", "trailer_code")}
        return Inspection(size=size, identity=self._identity(), report=self.pages or self.log, **trailer)

    def _identity(self) -> Identity:
        common: dict[str, Any] = {"kind": self.kind, "damaged": self.damaged, "note": self.note}
        if self.header is None:
            _demand(self.generation is None or self.generation in _GENERATIONS)
            return Identity(generation=self.generation, **common)
        _demand(self.kind in _HEADERS)
        header = _unpacked(_HEADERS[self.kind], self.header)
        copies = Copies(header, self.copy, self.copies_valid, self.copies_identical)
        if isinstance(header, DatabaseHeader):
            _demand(header.page_size in PAGE_SIZES)
            common |= {"copies": copies, "page_size": header.page_size, "log_signature": header.log_signature}
        elif isinstance(header, LogHeader):
            common |= {"generation": header.generation, "page_size": header.page_size}
            common["log_signature"] = header.signature
        elif isinstance(header, Checkpoint):
            common |= {"copies": copies, "log_signature": header.signature}
        return Identity(header=header, **common)


class FactWriter:
    """Writes facts into an archive, in the order of its entries.

    Args:
        writer: Of the archive.
    """

    _START: Final = b'{"facts":['
    _END: Final = b'],"facts_version":%d}' % metadata.FACTS_VERSION

    def __init__(self, writer: ArchiveWriter) -> None:
        self._writer = writer
        self._waiting: list[bytes] = []
        self._size = len(self._START + self._END)

    def add(self, number: int, seen: Inspection) -> None:
        """Note what was read of an entry; writes what waits where it does not fit beside that (FACT-1).

        Raises:
            FormatError: A limit of the format is reached.
            StorageError: The archive cannot be written.
        """
        fact = Fact.of(seen)
        if fact is None:
            return
        if self._writer.key is not None and fact.log is not None:  # of what is encrypted they would tell too much
            fact = replace(fact, log=fact.log.without_marks)
        piece = canonical_json.encode({"entry": number, **_plain(fact)})
        if self._size + len(piece) + 1 > records.MAX_EXTRA_SIZE:
            self.flush()
        self._waiting.append(piece)
        self._size += len(piece) + 1

    def add_chains(self, found: Mapping[int, ChainFacts]) -> None:
        """Write what following the pages of databases found, by their entries; what does not fit is left out.

        Raises as `add` does.
        """
        self.flush()
        pieces = ({"entry": number, **_plain(chain)} for number, chain in sorted(found.items()))
        room = records.MAX_EXTRA_SIZE - len(b'"chains":[],' + self._START + self._END)
        chains = canonical_json.fitting(pieces, room, lambda one: len(canonical_json.encode(one)) + 1)
        if chains:
            value = {"chains": chains, "facts": [], "facts_version": metadata.FACTS_VERSION}
            self._writer.add_extra(records.FACT, canonical_json.encode(value))

    def flush(self) -> None:
        """Write what waits. Raises as `add` does."""
        if self._waiting:
            self._writer.add_extra(records.FACT, self._START + b",".join(self._waiting) + self._END)
            self._waiting.clear()
            self._size = len(self._START + self._END)


class RecordedFacts:
    """The facts that an archive keeps, as they are asked for: of a record at a time, where that is in their order.

    Args:
        archive: The archive, which must stay open.
    """

    def __init__(self, archive: Archive) -> None:
        self.unlike: list[str] = []  # Files whose content gives other facts: it wins (FACT-2)
        chains: list[Mapping[str, Any]] = []
        odd: list[str] = []
        numbers = array("Q", sorted(int(one["entry"]) for one in _facts_in(archive, chains, odd)))
        self._numbers = array("Q", (one for one, same in groupby(numbers) if len([*same]) == 1))
        # Whether there are facts that cannot be taken: malformed, or of another version.
        self.passed_over = bool(odd) or len(self._numbers) < len(numbers)
        self._coming = _facts_in(archive, [], odd)
        self._read: dict[int, Mapping[str, Any]] = {}  # Facts that were read and not asked for yet
        times = Counter(int(one["entry"]) for one in chains)
        self._chains = {number: one for one in chains if times[number := int(one["entry"])] == 1}
        self.passed_over |= len(self._chains) < len(chains)

    def __contains__(self, number: int | None) -> bool:
        at = bisect_left(self._numbers, number) if number is not None else 0
        return number is not None and at < len(self._numbers) and self._numbers[at] == number

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the entries that there are facts of, in order."""
        yield from self._numbers

    def seen(self, number: int | None, size: int) -> Inspection | None:
        """Return what was read of an entry when it was archived; None where that is not kept, or not well-formed.

        It is asked for once: what was given is not kept.

        Args:
            number: The number of the entry.
            size: Bytes of its content.
        """
        if number is None or number not in self:
            return None
        while number not in self._read:
            one = next(self._coming, None)
            if one is None:
                return None  # it was given before
            if (its_own := int(one["entry"])) in self:
                self._read[its_own] = one
        try:
            fact: Fact = _value(Fact, self._read.pop(number))
            return fact.seen(size)
        except ValueError:
            self.passed_over = True
            return None

    def chain(self, number: int | None) -> ChainFacts | None:
        """Return what following the pages of a database found when it was archived; None where that is not kept."""
        if number is None or number not in self._chains:
            return None
        try:
            chain: ChainFacts = _value(ChainFacts, self._chains[number])
            _demand(
                len(chain.off) <= min(chain.off_count, MOST_OFF) and not (chain.why_not and (chain.off or chain.wrong))
            )
            _demand(bool(chain.off) == bool(chain.off_count))
        except ValueError:
            self.passed_over = True
            del self._chains[number]
            return None
        return chain

    def compare_chains(self, databases: Iterable[DatabaseFacts]) -> None:
        """Note databases with other pages off their chain than are kept. Which logs are played is for the rules."""
        for one in databases:
            kept, chain = self.chain(one.number), one.chain
            if kept is None or chain is None or kept.why_not or chain.why_not:
                continue
            names = ("off", "off_count", "unattached", "unwritten", "unlinked")
            if any(getattr(kept, name) != getattr(chain, name) for name in names):
                self.unlike.append(one.name)


def is_other(kept: Inspection | None, now: Inspection) -> bool:
    """Return whether what is kept of a file is not what its content says; what an encrypted one keeps is less."""
    own, report = kept and kept.report, now.report
    if isinstance(own, LogReport) and isinstance(report, LogReport) and not own.used:
        now = replace(now, report=report.without_marks)
    return kept not in (None, now)


def _facts_in(archive: Archive, chains: list[Mapping[str, Any]], odd: list[str]) -> Iterator[Mapping[str, Any]]:
    """Yield what is said of entries; add to `chains` what is said of the pages of databases, and to `odd` what is odd.

    It holds nothing of whoever asks for it, and so lets the archive go with that.
    """
    for body in archive.extras(records.FACT):
        try:
            facts, more = metadata.parse_facts(body)
        except FormatError as error:
            odd.append(error.message)
            continue
        yield from (one for one in facts if int(one["entry"]) <= _LAST_NUMBER)
        if more and chains:
            odd.append("one record has all chains")
        elif more:
            chains += more


def _demand(condition: object) -> None:
    if not condition:
        raise ValueError("not well-formed")


def _plain(value: Any) -> Any:
    """Return a value as a fact spells it."""
    if isinstance(value, Record):  # as in the file; no zeros at the end, of which old and short headers have many
        value = value.pack().rstrip(b"\0")
    if isinstance(value, bytes):
        return to_base64(value)
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value):
        pairs = ((field, getattr(value, field.name)) for field in fields(value))
        return {field.name: _plain(one) for field, one in pairs if one != field.default}
    if isinstance(value, Enum):
        return value.value
    return to_count(value) if type(value) is int else value


def _value(kind: Any, value: Any) -> Any:
    """Return the value of a type that a fact spells.

    Raises:
        ValueError: It does not.
    """
    if get_origin(kind) is tuple:
        _demand(isinstance(value, list))
        arguments = get_args(kind)
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(one, item) for one, item in zip(kinds, value, strict=True))
    if kind is bytes or issubclass(kind, Record):
        _demand(is_base64(value))
        data = base64.b64decode(value)
        return data if kind is bytes else _unpacked(kind, data)
    if is_dataclass(kind):
        return _object(kind, value)
    if issubclass(kind, Enum):
        return kind(value)
    if kind is int and is_count(value):
        return int(value)
    _demand(type(value) is kind)
    return value


def _object(kind: Any, value: Any) -> Any:
    _demand(isinstance(value, dict))
    _demand(all(field.name in value for field in fields(kind) if field.default is MISSING))
    return kind(**{name: _value(one, value[name]) for name, one in _hints(kind).items() if name in value})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of the fields of a dataclass, without None: that is never written."""
    hints = get_type_hints(kind, localns={"BackupTrailer": BackupTrailer}).items()
    return {name: get_args(one)[0] if get_origin(one) is UnionType else one for name, one in hints}


def _unpacked(kind: Any, data: bytes) -> Any:
    size = kind.layout_size()
    _demand(len(data) <= size)
    return kind.unpack(data.ljust(size, b"\0"))
