"""What an archive is, as data: the facts that `inspect` shows, for people and as JSON."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from tokar import names, tokens
from tokar.as_json import as_json, fields_json, to_base64
from tokar.errors import FormatError, UnsealedError
from tokar.ese.filenames import parse_file_name
from tokar.format import bodies, records
from tokar.format.archive import Archive
from tokar.format.bodies import Preamble
from tokar.format.canonical_json import to_time
from tokar.format.index import Entry
from tokar.format.metadata import Head
from tokar.format.records import RecordHead
from tokar.sets.facts import SetFacts
from tokar.sets.need import Need
from tokar.storage.bytesource import ByteSource, SequentialReader
from tokar.trust.signatures import signatures_of

if TYPE_CHECKING:
    from tokar.ese.inspect import Inspection


def archive_json(path: str, archive: Archive) -> dict[str, Any]:
    """Return the facts about a sealed archive."""
    summary = archive.summary
    return {
        "path": path,
        "size": archive.size,
        "id": archive.id.hex(),
        "root": archive.root.hex(),
        "state": "sealed",
        "verified": False,
        "format": 1,
        "encrypted": archive.key is not None,
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
        "examination": examination(archive),
        "signatures": as_json(signatures_of(archive)),
    }


def examination(archive: Archive) -> dict[str, Any] | None:
    """Return what was found in the content while it was archived; None where the archive keeps no facts of it."""
    if all(row.kind != records.FACT for row in archive.rows):
        return None
    from tokar.collect.examine import Findings  # noqa: PLC0415 - loads all headers
    from tokar.sets.read import SetFile  # noqa: PLC0415
    from tokar.sets.recorded import RecordedFacts  # noqa: PLC0415

    findings, recorded, profile = Findings(), RecordedFacts(archive), archive.head.profile
    for number in recorded.numbers():
        if number < archive.entry_count:
            entry = archive.entry(number)
            if (seen := recorded.seen(number, entry.size)) is not None:
                findings.note(SetFile(name=entry.name, size=entry.size, token=entry.token, profile=profile), seen)
    return findings.to_json() if findings.files else None


def head_json(head: Head | None) -> dict[str, Any]:
    """Return the facts of HEAD; the same keys where there is none."""
    if head is None:
        return dict.fromkeys(_HEAD_KEYS)
    return {key: getattr(head, key) if key in _HEAD_FIELDS else head.extra.get(key) for key in _HEAD_KEYS}


_HEAD_KEYS: Final = ("profile", "kind", "created", "server", "annotation", "name", "software", "prior", "origin")
_HEAD_FIELDS: Final = ("profile", "kind", "created", "software")


def locations_json(head: Head) -> list[dict[str, Any]]:
    """Return the locations that an archive keeps; a list that cannot be read gives none."""
    from tokar.restore.locations import kept_locations  # noqa: PLC0415 - inspect has no use for it else

    return [
        {"token": token, "name": tokens.token_name(token, head.profile), "path": path, "kind": kind}
        for token, path, kind in kept_locations(head)
    ]


def modified_time(entry: Entry) -> str | None:
    """Return when a file was written to last, as text; None where that is not known."""
    if entry.modified is None:
        return None
    return to_time(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=entry.modified // 1000))


def entry_json(entry: Entry, profile: str, stored_size: int) -> dict[str, Any]:
    """Return the facts about an entry: `modified` where it is known, `name_base64` where the name is no text."""
    value: dict[str, Any] = {
        "number": entry.number,
        "token": entry.token,
        "token_name": tokens.token_name(entry.token, profile),
        "role": tokens.role(entry.token).value,
        "name": entry.name,
        "leaf": entry.leaf,
        "size": entry.size,
        "stored_size": stored_size,
        "digest": entry.digest.hex(),
    }
    if moment := modified_time(entry):
        value["modified"] = moment
    if names.decode(entry.raw_name, entry.encoding) != entry.name:
        value["name_base64"] = to_base64(entry.raw_name)
        value["encoding"] = entry.encoding
    return value


def token_counts(archive: Archive) -> Counter[int]:
    """Return how many entries have each token."""
    counts: Counter[int] = Counter()
    for page in archive.pages:
        counts.update(page.column("token"))
    return counts


class Partial:
    """What can be said of an archive that is not sealed, read from its front.

    Args:
        source: The archive.
    """

    def __init__(self, source: ByteSource) -> None:
        from tokar.format.scanner import EntryEnded, Scan  # noqa: PLC0415 - only what is not sealed needs it

        self.size = source.size  # Bytes that are there
        self.id: bytes | None = None  # The archive id, 16 bytes, if the preamble is whole
        self.entries: list[tuple[Entry, int]] = []  # The complete entries before the fault, with the bytes each takes
        scan = Scan(SequentialReader(source), decode=False)
        with suppress(FormatError):  # the caller knows what is wrong, and asks for what is not
            self.id = Preamble.parse(source.read(0, bodies.PREAMBLE_SIZE)).id
            for event in scan:
                if isinstance(event, EntryEnded):
                    self.entries.append((event.entry, scan.position - event.entry.file_position))
        self.head = scan.scanner.head if scan.scanner else None  # HEAD, if it is there


def partial_json(path: str, state: str, partial: Partial) -> dict[str, Any]:
    """Return the facts about an archive that is not sealed, under the keys of a sealed one."""
    head = partial.head
    profile = head.profile if head else ""
    return {
        "archive": {
            "path": path,
            "size": partial.size,
            "id": partial.id.hex() if partial.id else None,
            "root": None,
            "state": state,
            "format": 1,
            **head_json(head),
        },
        "locations": locations_json(head) if head else [],
        "entries": [entry_json(entry, profile, stored) for entry, stored in partial.entries],
    }


def record_json(head: RecordHead) -> dict[str, Any]:
    """Return the facts about a record."""
    return {"position": head.position, "kind": head.kind.decode(), "length": head.length, "check": head.check.hex()}


def walk_heads(source: ByteSource) -> Iterator[RecordHead]:
    """Yield the heads of all records from the front; bodies are read, and proven, only after ROOT.

    Raises:
        FormatError: A head is damaged, a record after ROOT is wrong, or something follows after TAIL.
        UnsealedError: The source ends before the end of TAIL.
    """
    tag = Preamble.parse(source.read(0, bodies.PREAMBLE_SIZE)).tag
    position, kind = bodies.PREAMBLE_SIZE, b""
    after, wrong = -1, None  # Records after ROOT; what is wrong with the first of them that is
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
        if after >= 0 or kind == records.ROOT:
            wrong = wrong or (_wrong_after_root(source, head, tag, after) if after >= 0 else None)
            after += 1
    if wrong is not None:
        raise wrong
    if position < source.size:
        raise FormatError("something follows after TAIL", rule="SEQ-2", offset=position)


def _wrong_after_root(source: ByteSource, head: RecordHead, tag: bytes, before: int) -> FormatError | None:
    """Return what is wrong with a record after ROOT; None where nothing is. `before`: how many stand there already."""
    try:
        if head.kind != records.TAIL:
            records.demand_after_root(head, head.position, before=before)
        records.demand_check(head, tag, source.read(head.body_position, head.length))
    except FormatError as error:
        return error
    return None


_MAX_OPENED: Final = 64  # logs whose names do not tell their generation


@dataclass(frozen=True, slots=True)
class DatabaseInSet:
    """A database of an archive, and whether the logs it needs are there, going by their numbers alone."""

    number: int  # Number of its entry
    name: str  # Its name, safe to print
    state: str | None  # The state in its header; None where that cannot be read
    need: Need  # The logs it needs
    missing: tuple[tuple[int, int], ...] = ()  # Ranges of generations that it needs and the archive lacks
    error: FormatError | None = None  # Why its entry cannot be read; None where it can

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        missing = [{"low": low, "high": high} for low, high in self.missing]
        error = str(self.error) if self.error else None
        return {**fields_json(self, "number", "name", "state", "need"), "missing": missing, "error": error}


def databases(archive: Archive) -> list[DatabaseInSet]:
    """Return the databases of an archive, by their tokens. Only their headers are read, and those of unnumbered logs.

    Where content is encrypted and the key is not there, they are taken from the facts that the archive keeps.

    Raises:
        StorageError: The archive cannot be read.
    """
    entries = [*_entries_of(archive, tokens.Role.DATABASE)]
    if not entries:
        return []
    seen = _Seen(archive)
    generations = _generations(archive, seen)
    return [_database_in_set(entry, seen, generations) for entry in entries]


class _Seen:
    """What files of an archive say of themselves."""

    def __init__(self, archive: Archive) -> None:
        from tokar.sets.recorded import RecordedFacts  # noqa: PLC0415 - loads all headers

        self._archive = archive
        self._recorded = RecordedFacts(archive) if archive.is_locked else None

    def __call__(self, entry: Entry) -> Inspection | None:
        """Return what an entry says; None where it is encrypted and no fact of it is kept."""
        from tokar.ese.inspect import inspect_file  # noqa: PLC0415 - loads all headers

        if self._recorded is not None:
            return self._recorded.seen(entry.number, entry.size)
        return inspect_file(self._archive.entry_source(entry))


def databases_of(facts: SetFacts) -> list[DatabaseInSet]:
    """Return the databases of a set as it lies, in the same way."""
    from tokar.sets.need import need_of  # noqa: PLC0415 - only databases need it

    generations = sorted({log.generation for log in facts.logs if log.generation})
    found = []
    for number, one in enumerate(facts.databases):
        need, state = need_of(one), one.header.state_name if one.header else None
        found.append(DatabaseInSet(number, one.name, state, need, tuple(_missing(need.generations, generations))))
    return found


def _entries_of(archive: Archive, wanted: tokens.Role) -> Iterator[Entry]:
    chosen = {token for token in range(256) if tokens.role(token) is wanted}
    for page in archive.pages:
        for at, token in enumerate(page.column("token")):
            if token in chosen:
                yield page.entry(page.first + at)


def _database_in_set(entry: Entry, look: _Seen, generations: list[int]) -> DatabaseInSet:
    from tokar.sets.need import Basis, Need, need_of  # noqa: PLC0415 - only databases need it
    from tokar.sets.read import SetFile, database_facts  # noqa: PLC0415

    try:
        if (seen := look(entry)) is None:
            return DatabaseInSet(entry.number, entry.name, None, Need(basis=Basis.UNKNOWN))
        facts = database_facts(SetFile(name=entry.name, size=entry.size), seen)
    except FormatError as error:
        return DatabaseInSet(entry.number, entry.name, None, Need(basis=Basis.UNKNOWN), error=error)
    need = need_of(facts)
    state = facts.header.state_name if facts.header else None
    return DatabaseInSet(entry.number, entry.name, state, need, tuple(_missing(need.generations, generations)))


def _generations(archive: Archive, look: _Seen) -> list[int]:
    """Return the generations of the logs, sorted: as their names say; for a current log, which has none, its header."""
    from tokar.sets.read import SetFile  # noqa: PLC0415

    found: set[int] = set()
    opened = 0
    for entry in _entries_of(archive, tokens.Role.LOG):
        by_name = parse_file_name(entry.leaf or "")
        if by_name.generation is not None:
            found.add(by_name.generation)
        elif opened < _MAX_OPENED and not SetFile.of_entry(entry, archive.head.profile).is_patch_by_token:
            opened += 1
            with suppress(FormatError):  # a log that cannot be read is not there
                seen = look(entry)
                found.add((seen.identity.generation if seen else None) or 0)
    return sorted(found - {0})


def _missing(needed: range, present: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the gaps of a range that nothing present fills."""
    following = needed.start
    for generation in present[bisect_left(present, needed.start) : bisect_right(present, needed.stop - 1)]:
        if generation > following:
            yield following, generation - 1
        following = generation + 1
    if following < needed.stop:
        yield following, needed.stop - 1
