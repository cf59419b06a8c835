"""What an archive is, as data: the facts that `inspect` shows, for people and as JSON."""

from __future__ import annotations

import base64
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from tokar import names, tokens
from tokar.errors import FormatError, LocationListError, UnsafeNameError, UnsealedError
from tokar.format import preamble, records
from tokar.format.archive import SequentialReader
from tokar.format.preamble import Preamble
from tokar.format.scanner import EntryEnded, Scan
from tokar.restore.locations import parse_location_list

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.bytesource import ByteSource
    from tokar.format.archive import Archive
    from tokar.format.entry import Entry
    from tokar.format.metadata import Head
    from tokar.format.records import RecordHead


def archive_json(path: str, archive: Archive) -> dict[str, Any]:
    """Return the facts about a sealed archive."""
    summary = archive.summary
    return {
        "path": path,
        "size": archive.size,
        "id": archive.id.hex(),
        "root": archive.root.hex(),
        "state": "sealed",
        "format": 1,
        **head_json(archive.head),
        "entries": archive.entry_count,
        "content_size": summary.content_size,
        "finished": summary.finished,
        "outcome": summary.outcome,
        "generations": summary.extra.get("generations"),
        "left_out": summary.extra.get("left_out", []),
        "left_out_count": int(summary.extra.get("left_out_count", 0)),
        "lost": summary.extra.get("lost", []),
        "notes": summary.extra.get("notes", []),
    }


def head_json(head: Head) -> dict[str, Any]:
    """Return the facts of HEAD."""
    return {
        "profile": head.profile,
        "kind": head.kind,
        "created": head.created,
        "server": head.text("server"),
        "annotation": head.text("annotation"),
        "name": head.text("name"),
        "software": head.software,
        "prior": head.extra.get("prior"),
        "origin": head.extra.get("origin"),
    }


_HEAD_KEYS: Final = ("profile", "kind", "created", "server", "annotation", "name", "software", "prior", "origin")


def locations_json(head: Head) -> list[dict[str, Any]]:
    """Return the locations that an archive keeps; a list that cannot be read gives none."""
    raw = head.location_list
    if raw is None:
        kept = head.extra.get("locations", ())
        rows = [(one["token"], one["path"], one["kind"]) for one in kept]
    else:
        try:
            found = parse_location_list(raw.data, wide=raw.form == "w")
        except LocationListError:
            found = ()
        rows = [(one.token, one.path, one.kind.value) for one in found]
    return [
        {"token": token, "name": tokens.token_name(token, head.profile), "path": path, "kind": kind}
        for token, path, kind in rows
    ]


def leaf_of(entry: Entry) -> str | None:
    """Return the last part of a name if it can be a file name, else None."""
    try:
        return names.leaf(entry.raw_name, entry.encoding)
    except UnsafeNameError:
        return None


def entry_json(entry: Entry, profile: str, stored_size: int) -> dict[str, Any]:
    """Return the facts about an entry. `name_base64` is there where the name does not survive as text."""
    value: dict[str, Any] = {
        "number": entry.number,
        "token": entry.token,
        "token_name": tokens.token_name(entry.token, profile),
        "role": tokens.role(entry.token).value,
        "name": entry.name,
        "leaf": leaf_of(entry),
        "size": entry.size,
        "stored_size": stored_size,
        "digest": entry.digest.hex(),
    }
    if names.decode(entry.raw_name, entry.encoding) != entry.name:
        value["name_base64"] = base64.b64encode(entry.raw_name).decode()
        value["encoding"] = entry.encoding
    return value


def token_counts(archive: Archive) -> Counter[int]:
    """Return how many entries have each token."""
    counts: Counter[int] = Counter()
    for page in archive.pages:
        counts.update(page.tokens)
    return counts


class Partial:
    """What can be said of an archive that is not sealed, read from its front.

    Args:
        source: The archive.

    Attributes:
        size: Bytes that are there.
        id: The archive id, 16 bytes, if the preamble is whole.
        head: HEAD, if it is there.
        entries: The complete entries before the fault, with the bytes each takes.
    """

    def __init__(self, source: ByteSource) -> None:
        self.size = source.size
        self.id: bytes | None = None
        self.entries: list[tuple[Entry, int]] = []
        scan = Scan(SequentialReader(source), decode=False)
        with suppress(FormatError):  # the caller knows what is wrong, and asks for what is not
            self.id = Preamble.parse(source.read(0, preamble.SIZE)).id
            for event in scan:
                if isinstance(event, EntryEnded):
                    self.entries.append((event.entry, scan.position - event.entry.file_position))
        self.head = scan.scanner.head if scan.scanner else None


def partial_json(path: str, state: str, partial: Partial) -> dict[str, Any]:
    """Return the facts about an archive that is not sealed, under the keys of a sealed one."""
    head = partial.head
    facts = dict.fromkeys(_HEAD_KEYS) if head is None else head_json(head)
    profile = head.profile if head else ""
    return {
        "archive": {
            "path": path,
            "size": partial.size,
            "id": partial.id.hex() if partial.id else None,
            "root": None,
            "state": state,
            "format": 1,
            **facts,
        },
        "locations": locations_json(head) if head else [],
        "entries": [entry_json(entry, profile, stored) for entry, stored in partial.entries],
    }


def record_json(head: RecordHead) -> dict[str, Any]:
    """Return the facts about a record."""
    return {
        "position": head.position,
        "kind": head.kind.decode(),
        "length": head.length,
        "check": head.check.hex(),
    }


def walk_heads(source: ByteSource) -> Iterator[RecordHead]:
    """Yield the heads of all records from the front, without reading bodies.

    Raises:
        FormatError: A head is damaged, or something follows after TAIL.
        UnsealedError: The source ends before the end of TAIL.
    """
    tag = Preamble.parse(source.read(0, preamble.SIZE)).tag
    position, kind = preamble.SIZE, b""
    while kind != records.TAIL:
        data = source.read(position, records.HEAD_SIZE)
        if len(data) < records.HEAD_SIZE:
            records.check_partial_head(data, tag, position)
            raise UnsealedError("it ends before TAIL", rule="STATE-1", offset=position)
        head = records.parse_head(data, tag, position)
        yield head
        if head.end > source.size:
            message = f"it ends inside a {head.kind.decode()} record"
            raise UnsealedError(message, rule="STATE-1", offset=position)
        position, kind = head.end, head.kind
    if position < source.size:
        raise FormatError("something follows after TAIL", rule="SEQ-2", offset=position)
