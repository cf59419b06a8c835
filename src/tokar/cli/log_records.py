"""What is printed of the records of a log: one line for each, what they come to, and whether they fill it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from tokar import names
from tokar.as_json import fields_json
from tokar.cli import output
from tokar.errors import BadMagicError, HeaderError, InputError
from tokar.ese.identify import FileKind, identify
from tokar.ese.log import LogHeader
from tokar.ese.logrecords import TYPES
from tokar.ese.pagerecords import EseRecord, NodeRecord, PageRecord, SessionRecord
from tokar.ese.show import record_json
from tokar.replay.effects import changes_of
from tokar.replay.stream import RecordStream, decode, position_of, size_at
from tokar.storage.bytesource import ByteSource
from tokar.words import count_text, hex_text

_CELL = "{:>16}  {:<26}  {:>6}  {}"


class ShownRecords:
    """The records of one log, printed or listed while they are read.

    Args:
        name: What the log is called.
        source: Its bytes.
        page: Only records that change this page, where one is named.

    Raises:
        BadMagicError: It is nothing that is known.
        InputError: It is no log.
        HeaderError: Its header is damaged, or of a format whose layout is not known.
    """

    def __init__(self, name: str, source: ByteSource, page: int | None = None) -> None:
        identity = identify(source)
        if identity.kind is FileKind.UNKNOWN:
            raise BadMagicError(
                f"neither a tokar archive nor a log: {identity.note}", rule="PRE-1", path=name, offset=0
            )
        if identity.kind is not FileKind.LOG:
            raise InputError(f"{names.printable(name)} is no log", hint="only logs have such records")
        if not isinstance(identity.header, LogHeader):
            raise HeaderError(identity.note, path=name)
        self.name = name
        self.header = identity.header
        self._page = page
        self._stream = RecordStream(source, identity.header)
        self._counts: Counter[str] = Counter()

    def show(self) -> None:
        """Print them."""
        output.line(f"{names.printable(self.name)}: log, generation {hex_text(self.header.generation)}")
        output.line(_CELL.format("position", "type", "bytes", "what"))
        for position, size, record in self._chosen():
            text = _CELL.format(str(position_of(position)), TYPES[record.type].name, size, _text(record)).rstrip()
            output.line(output.safe(text))
        output.line()
        output.pairs([(name, f"{count:,}") for name, count in self._counts.most_common()], indent="  ")
        output.line(_account(self._stream))

    def facts(self) -> dict[str, Any]:
        """Return what is known before the records, as values for JSON."""
        return {"file": {"path": self.name, "generation": self.header.generation, "format": self.header.format}}

    def json(self) -> Iterator[dict[str, Any]]:
        """Yield them as values for JSON."""
        for position, size, record in self._chosen():
            place = {"position": str(position_of(position)), "name": TYPES[record.type].name, "size": size}
            changes = [change._asdict() for change in changes_of(record)]
            yield {**place, **record_json(record), "changes": changes}

    def summary(self) -> dict[str, Any]:
        """Return what all of them come to, as values for JSON."""
        tiling = self._stream.tiling
        return {"types": dict(self._counts.most_common()), "tiling": fields_json(tiling) | {"exact": tiling.is_exact}}

    def _chosen(self) -> Iterator[tuple[int, int, EseRecord]]:
        for position, data, at in self._stream.tiles():
            record = decode(data, at)
            if self._page is None or self._page in {
                getattr(record, "page", 0),
                *(one.page for one in changes_of(record)),
            }:
                self._counts[TYPES[record.type].name] += 1
                yield position, size_at(data, at), record


def _text(record: EseRecord) -> str:
    """Return what a record says, in one line."""
    parts = [f"session {record.session}"] if isinstance(record, SessionRecord) else []
    if isinstance(record, PageRecord):
        parts.append(f"transaction {record.transaction}.{record.level}")
    if (dbid := getattr(record, "dbid", None)) is not None:
        parts.append(f"database {dbid}")
    changes = tuple(changes_of(record))
    parts += [
        f"page {page} {'new' if before is None else f'{before:x}'} -> {after:x}" for page, after, before in changes
    ]
    if isinstance(record, NodeRecord):
        parts.append(f"line {record.line}, object {record.object_id}")
    if not changes:
        passed = {"type", "session", "dbid", "dbtime", "before", "transaction", "level", "line", "flags", "page"}
        values = record_json(record).items()
        parts += [f"{key} {value}" for key, value in values if key not in passed and isinstance(value, int)]
    return ", ".join(parts)


def _account(stream: RecordStream) -> str:
    """Return what the bytes of the log belong to."""
    tiling = stream.tiling
    parts = (
        f"{tiling.heads:,} of heads",
        f"{tiling.record_bytes:,} of {count_text(tiling.records, 'record')}",
        f"{tiling.frames:,} around pieces of {tiling.in_pieces:,}",
        f"{tiling.filler:,} of filler",
    )
    left = "nothing is left over" if tiling.is_exact else "they do NOT come to that"
    torn = f"; it ends in {tiling.torn}" if tiling.torn else ""
    return f"{tiling.size:,} bytes: {', '.join(parts)}; {left}{torn}"
