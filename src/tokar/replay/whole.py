"""Plays all logs of a set on its databases: which logs, from where on, and what came of it.

Which logs a database needs, and whether they are there and link, is not decided here: it is what the verdict on the set
rests on (`sets.database_run`). Logs are played once for all databases of their stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Self

from tokar.as_json import as_json
from tokar.errors import FormatError
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.log import LogHeader
from tokar.ese.logrecords import TYPES
from tokar.ese.values import Signature
from tokar.replay.pagestore import PageStore
from tokar.replay.player import Played, Player
from tokar.replay.redo import Bounds, Clash, PageRedo
from tokar.replay.stream import RecordsError, RecordStream, number_of, position_of
from tokar.replay.undo import undo_open
from tokar.sets.beside import without_copies
from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import DatabaseFacts, FileFacts, LogFacts, SetFacts
from tokar.sets.judge import judge_set
from tokar.sets.links import LinkFault, altered, link
from tokar.sets.logs import LogTable, stream_key
from tokar.sets.need import Basis
from tokar.storage.bytesource import ByteSource
from tokar.words import count_text, some

OpenFile = Callable[[FileFacts], ByteSource]
"""Opens a file of the set; whoever gives it closes what it opened."""
UNCONFIRMED: Final = ("Split", "Delta", "Merge2")
"""Types that are played by rules which no file at hand confirms from end to end."""
_KNOWN: Final = {Basis.CLEAN, Basis.REQUIRED_RANGE, Basis.TRAILER, Basis.BACKUP_RANGE}
_MOST_REASONS: Final = 20
_NOTHING_TO_PLAY: Final = "it was shut down, and no log leads on from there"


@dataclass(slots=True)
class Target:
    """A database that logs are to be played on."""

    facts: DatabaseFacts
    logs: list[LogFacts] = field(default_factory=list)  # In the order in which they are played
    older: list[LogFacts] = field(default_factory=list)  # Logs that lead there, and are not played
    low: int = 0  # The generation with which playing must begin; 0 where there is none
    why_not: str = ""  # Why none is; empty where they are
    unplayed: str = ""  # Why its pages are followed through them, and they are not played
    is_faulty: bool = False  # Whether that is a fault, which the verdict names
    given_up: int = 0  # The generation from which on logs are given up with a loss; 0 where none are
    is_forward: bool = False  # Whether it was shut down, and logs lead on
    beyond: list[str] = field(default_factory=list)  # Later logs of its stream that do not go on from the last one

    @property
    def header(self) -> DatabaseHeader:
        """Its header."""
        assert self.facts.header is not None
        return self.facts.header

    def is_copied_in(self, other: DatabaseFacts) -> bool:
        """Return whether another file is the same database."""
        own, its = self.facts.header, other.header
        return own is not None and its is not None and own.signature == its.signature

    @property
    def bounds(self) -> Bounds:
        """What is known of its pages before anything is played."""
        header = self.header
        if header.is_clean:
            settled = number_of(header.consistent_position)
            return Bounds(settled, settled)
        high = max(header.required_high, header.current_full.generation_high)
        if self.facts.trailer is not None:
            high = max(high, self.facts.trailer.backup.generation_high)
        elif self.facts.is_backup_copy and not header.file_type:  # up to where it needs them says a patch file
            high = max([high, *(log.generation or 0 for log in self.logs[-1:])])
        return Bounds(number_of(header.attach_position), ((high + 1) << 32) - 1)


@dataclass(slots=True)
class Stream:
    """Databases and the logs that are played on them together."""

    targets: list[Target]
    logs: list[LogFacts]


def targets_of(facts: SetFacts) -> list[Target]:
    """Return the databases of a set, each with the logs that are played on it, or with the reason why none is."""
    table = LogTable(facts.logs, databases=facts.databases)
    targets = [
        _target_of(database, table, facts.owned_streams) for database in facts.databases if not database.temporary
    ]
    known: dict[Signature, Target] = {}
    for target in targets:
        header = target.facts.header
        other = known.setdefault(header.signature, target) if header is not None else target
        if other is not target:
            target.unplayed = target.unplayed or f"{other.facts.name} is the same database"
            other.unplayed = other.unplayed or f"{target.facts.name} is the same database"
    return targets


def _target_of(facts: DatabaseFacts, table: LogTable, owned: frozenset[Signature]) -> Target:
    run = DatabaseRun(facts, table, owned)
    run.walk()
    need = run.need
    blocking = [fault for fault in run.faults if fault.blocks]
    lost = run.lost if all(fault.is_loss for fault in blocking) else 0  # from there on logs are given up
    played = [log for log in run.run if not lost or (log.generation or 0) < lost]
    target = Target(facts, played, list(run.before), need.low, given_up=lost)
    header = facts.header
    if header is None or need.basis not in _KNOWN:
        target.why_not = need.why or facts.note or "its header cannot be read"
    elif blocking and not lost:
        target.why_not, target.is_faulty = blocking[0].message, True
    elif opaque := next((log for log in run.run if log.is_opaque), None):
        target.why_not = f"{opaque.name} is of a format that is not known"
    elif run.assumed:
        target.why_not = f"{run.assumed} is of a format that is not known"
    else:
        if header.state is DatabaseState.DIRTY_AND_PATCHED_SHUTDOWN:
            target.unplayed = f"state {header.state_name}: where recovery must begin is not known"
        _look_beyond(target, table)
        if lost:
            target.unplayed = blocking[0].message
    target.is_forward = header is not None and header.is_clean
    return target


def _look_beyond(target: Target, table: LogTable) -> None:
    """Note logs that are here and cannot be played; where the next one shows that the last was changed, play none."""
    signature = target.header.log_signature
    generation = target.header.consistent_position.generation - 1
    if target.logs:
        last = target.logs[-1]
        generation = last.generation or 0
        for log in table.of(signature, generation + 1):
            if link(last, log).fault is LinkFault.CONTENT:
                target.unplayed = altered(last, log).message
    target.beyond = [
        log.name for log in table.logs if log.signature == signature and (log.generation or 0) > generation
    ]


def streams_of(targets: Iterable[Target], *, older: bool = False) -> list[Stream]:
    """Return the databases that logs lead on from, by log stream; of copies of one each by itself.

    Args:
        targets: The databases of a set.
        older: With the logs that lead there.
    """
    found: dict[tuple[bytes, int], Stream] = {}
    leading = [target for target in targets if target.logs and not target.why_not]
    times = Counter(target.header.signature for target in leading)
    for target in leading:
        header = target.header
        itself = id(target) if times[header.signature] > 1 else 0
        stream = found.setdefault((stream_key(header.log_signature), itself), Stream([], []))
        stream.targets.append(target)
        known = {id(log) for log in stream.logs}
        logs = [*target.older, *target.logs] if older else target.logs
        stream.logs += [log for log in logs if id(log) not in known]
    for stream in found.values():
        stream.logs.sort(key=lambda log: log.generation or 0)
    return list(found.values())


def feed_logs(player: Player, logs: Sequence[LogFacts], sources: Iterable[ByteSource]) -> Iterator[RecordStream]:
    """Play logs, and yield each once it is played.

    Raises:
        RecordsError: The records of a log do not fill it, or one ends torn before the next.
        RefusedError: A record is not played.
        StorageError: A log cannot be read.
    """
    for at, (log, source) in enumerate(zip(logs, sources, strict=True)):
        try:
            records = RecordStream(source, LogHeader.read(source), log.content)
            for position, record in records:
                player.feed(position, record)
            if records.tiling.torn and at < len(logs) - 1:
                raise RecordsError(f"it ends in {records.tiling.torn}, and logs follow")
        except FormatError as error:
            error.path = error.path or log.name
            raise
        yield records


def attached_first(logs: Sequence[LogFacts], open_file: OpenFile) -> LogHeader:
    """Return the header of the first log, which names what is attached where it begins."""
    return LogHeader.read(open_file(logs[0]))


def _by_reason(files: Iterable[tuple[FileFacts, str]]) -> Iterator[str]:
    """Yield the files that are left out, those with one reason together, as far as so many are listed."""
    found: dict[str, list[str]] = {}
    for file, why in files:
        found.setdefault(why, []).append(file.name)
    for why, names in islice(found.items(), _MOST_REASONS):
        yield f"{some(names)}: {why}"
    if len(found) > _MOST_REASONS:
        yield f"and {sum(map(len, [*found.values()][_MOST_REASONS:])):,} more"


@dataclass(slots=True)
class Replayed:
    """What playing the logs of a database on a copy came to."""

    name: str
    why_not: str = ""  # Why it was not played to the end, or proves nothing; empty where it was
    logs: int = 0
    records: Counter[str] = field(default_factory=Counter)  # By type
    applied: Counter[str] = field(default_factory=Counter)  # Changes of pages, by type
    present: int = 0  # Changes that the pages had
    skipped: Counter[str] = field(default_factory=Counter)  # Changes that were not played, by the reason
    pages: int = 0  # Pages that were touched
    changed: int = 0  # Pages that are another now
    untouched: int = 0  # Pages that no record that was played names: only their checksums speak for them
    images_equal: int = 0  # Pages that were equal to their images in the logs
    unproven: int = 0  # Images and diffs in forms that no file at hand has
    torn: str = ""  # What the last log ends in, where that is no whole record
    transactions: int = 0  # Open at the end
    undone: Counter[str] = field(default_factory=Counter)  # Operations of them that were taken back
    clashes: list[Clash] = field(default_factory=list)  # Where logs and pages do not go together, the first ones
    clash_count: int = 0
    forward: bool = False  # Whether the database was shut down, and logs lead on
    beyond: list[str] = field(default_factory=list)  # Later logs that were not played: they do not go on from the last
    # Other copies of it here, and logs that no restore places, each with the reason.
    left_out: list[str] = field(default_factory=list)

    @property
    def changes(self) -> int:
        """Changes that were applied."""
        return self.applied.total()

    @property
    def unconfirmed(self) -> int:
        """Changes that were applied by rules which no file at hand confirms."""
        return sum(self.applied[name] for name in UNCONFIRMED) + self.unproven

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        names = ("name", "logs", "records", "applied", "present", "skipped", "pages", "changed", "untouched")
        more = (
            "images_equal",
            "transactions",
            "undone",
            "clash_count",
            "forward",
            "beyond",
            "left_out",
            "changes",
            "unconfirmed",
        )
        return {
            **{name: as_json(getattr(self, name)) for name in (*names, *more)},
            "why_not": self.why_not or None,
            "torn": self.torn or None,
            "clashes": [clash_json(one) for one in self.clashes],
        }


def report_lines(report: Replayed) -> Iterator[str]:
    """Yield what playing came to, in sentences, for a database that it was played on to the end."""
    yield from (f"left out: {one}" for one in report.left_out)
    if report.beyond:
        last = "the last log that was" if report.logs else "its shutdown"
        yield f"not played, because they do not go on from {last}: {some(report.beyond)}"
    if not report.logs:
        yield _NOTHING_TO_PLAY
        return
    changes = count_text(report.changes, "change")
    yield f"{changes} on {count_text(report.changed, 'page')} applied without contradiction, {report.present:,} present"
    if report.torn:
        yield f"the last log ends in {report.torn}: what was to follow is not there"
    taken = count_text(report.undone.total(), "operation")
    yield f"{count_text(report.transactions, 'transaction')} open at the end, {taken} of them taken back"
    for reason, count in report.skipped.items():
        yield f"{count_text(count, 'change')} not played: {reason}"
    if report.unconfirmed:
        yield unconfirmed_text(report.unconfirmed)
    yield untouched_text(report.untouched)


def unconfirmed_text(count: int) -> str:
    """Return in words how many changes were made by rules that nothing confirms."""
    return f"{count_text(count, 'change')} by rules that no file at hand confirms (merges, deltas, forms of images)"


def untouched_text(count: int) -> str:
    """Return in words how many pages nothing was played on."""
    return f"{count_text(count, 'page')} that no record that was played names: only their checksums speak for them"


def clash_text(clash: Clash) -> str:
    """Return what does not go together in a sentence."""
    return f"{clash.text}, at {position_of(clash.position)}"


def clash_json(clash: Clash) -> dict[str, Any]:
    """Return what does not go together as values for JSON."""
    return {
        "kind": clash.kind.value,
        "page": clash.page,
        "position": str(position_of(clash.position)),
        "record": TYPES[clash.type].name if clash.type in TYPES else None,
        "text": clash.text,
    }


@dataclass(slots=True)
class OpenReplay:
    """A database with what was played on it, while its pages are at hand."""

    target: Target
    report: Replayed
    played: Played | None = None  # None where nothing was
    formats: set[tuple[int, int, int]] = field(default_factory=set)  # Of its logs


class Replay:
    """Plays the logs of a set on its databases, in memory. A context manager: pages are at hand until its end.

    Copies of a database that the verdict leaves out are left out here. So are logs, which are named with its reasons.

    Args:
        facts: What the files of the set say.
        open_file: Opens one of them.
        left_out: Databases and logs beside them that are left out, each with the reason.
    """

    def __init__(
        self, facts: SetFacts, open_file: OpenFile, left_out: Iterable[tuple[DatabaseFacts | LogFacts, str]] = ()
    ) -> None:
        self._open_file = open_file
        self._stack = ExitStack()
        found = ((one.file, one.reason) for one in judge_set(facts).left_out)
        own = [(file, why) for file, why in found if isinstance(file, DatabaseFacts | LogFacts)]
        self.left_out = [*left_out, *own]  # Each with the reason
        self.targets = targets_of(without_copies(facts))
        self.databases: list[OpenReplay] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self) -> list[OpenReplay]:
        """Play everything, and return what became of each database.

        Raises:
            StorageError: A file cannot be read.
        """
        for target in self.targets:
            why_not = target.why_not or target.unplayed
            report = Replayed(target.facts.name, why_not, forward=target.is_forward, beyond=target.beyond)
            report.left_out = [*_by_reason((one, why) for one, why in self.left_out if self._owner_of(one) is target)]
            if not why_not and not target.logs:
                report.why_not = "" if target.header.is_clean else "there is no log to play"
                report.untouched = target.header.page_count(target.facts.size)
            self.databases.append(OpenReplay(target, report))
        by_target = {id(one.target): one for one in self.databases}
        for stream in streams_of(target for target in self.targets if not target.unplayed):
            self._play(stream, [by_target[id(target)] for target in stream.targets])
        return self.databases

    def _owner_of(self, file: FileFacts) -> Target | None:
        """Return the database whose report names a file that is left out: the one it is of, else the first one."""
        if isinstance(file, DatabaseFacts):
            return next((one for one in self.targets if one.is_copied_in(file)), None)
        own = file.signature if isinstance(file, LogFacts) else None
        headers = ((one, one.facts.header) for one in self.targets)
        its = (one for one, header in headers if header is not None and header.log_signature == own)
        return next(its, self.targets[0])

    def _play(self, stream: Stream, databases: Sequence[OpenReplay]) -> None:
        player = None
        try:
            first = attached_first(stream.logs, self._open_file)
            for one in databases:
                one.played = self._begin(one.target)
            by_signature = {one.target.header.signature.pack(): one.played for one in databases if one.played}
            player = Player(by_signature, first.attachments)
            formats, torn = set(), ""
            for records in feed_logs(player, stream.logs, map(self._open_file, stream.logs)):
                formats.add((records.header.major, records.header.minor, records.header.update))
                torn = records.tiling.torn
            open_now = sum(session.level > 0 for session in player.sessions.values())
            undone = undo_open(player)
        except FormatError as error:
            for one in databases:
                one.report.why_not = str(error)
                _note_records(one, player, stream)
            return
        for one in databases:
            one.formats = formats
            one.report.transactions, one.report.undone, one.report.torn = open_now, undone, torn
            _note_records(one, player, stream)
            _note_pages(one)

    def _begin(self, target: Target) -> Played:
        header = target.header
        pages = header.page_count(target.facts.size)
        store = PageStore(self._open_file(target.facts), header.page_size, pages=pages)
        redo = PageRedo(self._stack.enter_context(store), target.bounds)
        redo.highest_dbtime, redo.highest_object = header.dbtime, header.last_object_id
        expected = number_of(header.consistent_position) if header.is_clean else 0
        return Played(redo, expected=expected, grown_until=number_of(header.resize_position))


def _note_records(one: OpenReplay, player: Player | None, stream: Stream) -> None:
    if player is not None:
        one.report.logs = len(stream.logs)
        one.report.records = Counter({TYPES[kind].name: count for kind, count in player.records.items()})
        one.report.skipped = player.skipped


def _note_pages(one: OpenReplay) -> None:
    """Note what became of the pages of a database once everything was played."""
    report, played = one.report, one.played
    assert played is not None
    redo, store = played.redo, played.redo.store
    report.applied = Counter({TYPES[kind].name: count for kind, count in redo.applied.items()})
    report.present = redo.present.total()
    report.pages, report.changed = len(store.touched), len(store.changed)
    pages = one.target.header.page_count(one.target.facts.size)
    report.untouched = pages - sum(page <= pages for page in store.touched)
    report.images_equal, report.unproven = redo.images_equal, redo.unproven
    doubts = sorted(redo.doubts.values(), key=lambda clash: clash.position)
    report.clashes = [*redo.clashes, *doubts]
    report.clash_count = redo.clash_count + len(doubts)
    if report.clashes:
        report.why_not = clash_text(report.clashes[0])
    elif not played.attached and not one.target.header.is_clean:
        report.why_not = "the logs never attach it"
