"""Logs that are in the log directory already and continue what is placed: they stay, and are played after it.

A log stays only where its own header proves it: same stream, next generation, and the creation time of the log before
it repeated. Where no log is placed, they go on from the first one that the databases need, or in which these were shut
down. The current log is known by its header, not by its name; that of the set gives way to a log that is there where it
is an earlier state of that. Logs of the other suffix continue nothing: the engine takes those of one (`SFT-14`). A log
that is also in the set, or is older than what is placed, is set aside like checkpoint and databases. Everything else
refuses the restore: the early engine deletes logs that do not continue without a word (Q179654), and later ones fail on
them (-565, -610, -611). So does a link or a special file in the place of a log that may continue it (`PAIR-12`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from blake3 import blake3

from tokar import names
from tokar.errors import ExistingFileError, HeaderError, StorageError
from tokar.ese.content_facts import RECORDS_AT, LogReport
from tokar.ese.filenames import FileName, NameRole, parse_file_name
from tokar.ese.inspect import inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.values import LogTime, Signature
from tokar.restore.inventory import Inventory, NameKind, TargetDirectory
from tokar.restore.options import Apart
from tokar.restore.plan import Problem
from tokar.sets.by_header import LOG_NAMES
from tokar.sets.facts import DatabaseFacts, LogFacts
from tokar.sets.faults import Rules
from tokar.sets.need import Basis, need_of
from tokar.storage.bytesource import ByteSource, FileSource, pieces_of
from tokar.words import count_text, noun

_GIVE_UP: Final = "or give up the logs that are there: --existing set-aside"
_HINT: Final = f"move it elsewhere, {_GIVE_UP}"
_LINK_HINT: Final = f"copy the file that it leads to here, in its place, {_GIVE_UP}"
_NOWHERE: Final = "restore into an empty directory, or give up the logs that are there: --existing set-aside"


@dataclass(frozen=True, slots=True)
class RolledForward:
    """What is placed, as far as logs that are there may continue it."""

    logs: Sequence[LogFacts] = ()  # The logs, in order
    databases: Sequence[DatabaseFacts] = ()  # The databases
    number: int = -1  # The number that the last log has as an entry of the plan
    content: ByteSource | None = None  # Its content; None where it cannot be read


@dataclass(frozen=True, slots=True)
class RollForward:
    """What becomes of the logs that are there."""

    stays: frozenset[tuple[str, str]] = frozenset()  # Directory and name of those that stay
    high: int = 0  # The generation that is reached with them; 0 where none stays
    problems: tuple[Problem, ...] = ()  # Those that must not be there
    gives_way: Mapping[int, Apart] = field(default_factory=dict)  # The log of the set in whose place one of them stays
    notes: tuple[str, ...] = ()  # What is good to know


@dataclass(frozen=True, slots=True)
class _Present:
    """A log that is there."""

    name: str
    by_name: FileName
    header: LogHeader
    size: int

    @property
    def suffix(self) -> str:
        """The end of its name in lower case."""
        return self.name.rpartition(".")[2].lower()


@dataclass(frozen=True, slots=True)
class _Start:
    """What the logs that stay go on from."""

    stream: Signature  # Their stream
    end: int  # The generation before the first of them
    base: str = ""  # Their base name; empty where nothing that is placed has it
    suffix: str = ""  # The end of their names; empty likewise
    created: LogTime | None = None  # When the log before the first of them was created; None where that is not known


def look_for_staying(folder: str | None, inventory: Inventory, placed: RolledForward) -> RollForward:
    """Return which logs of the log directory stay.

    Args:
        folder: The log directory; None where there is no one.
        inventory: What is in the directories.
        placed: What is placed.

    Raises:
        StorageError: A log cannot be read.
    """
    directory = inventory.directories.get(folder) if folder is not None else None
    if directory is None:
        why = "there is no one log directory, so nothing can be rolled forward"
        return _nowhere(why, "name it: --to log-dir=PATH")
    found = look_for_continuing(directory, placed)
    count, path = len(found.stays), directory.path
    does = "continues the set and stays; it reaches" if count == 1 else "continue the set and stay; they reach"
    stays = f"{count_text(count, 'log')} in {path} {does} 0x{found.high:X}"
    return replace(found, notes=(stays if found.high else f"no log in {path} continues the set",))


def given_up(folder: str | None, inventory: Inventory, placed: RolledForward) -> Iterator[str]:
    """Yield that logs which continue what is placed lie in the log directory, to be set aside with what is in them.

    Nothing where a log cannot be read, or none lies there that is later than all that are placed.
    """
    directory = inventory.directories.get(folder) if folder is not None else None
    end = max((log.generation or 0 for log in placed.logs), default=0)
    if directory is None or not end:
        return
    with suppress(StorageError):
        later = sum(_generation_of(directory.path, one.name) > end for one in directory.found if one.engine is not None)
        found = look_for_continuing(directory, placed) if later else None
        if found is not None and found.high > end:
            logs, they = count_text(found.high - end, "log"), noun(found.high - end, "continues", "continue")
            yield (
                f"{logs} in {names.printable(directory.path)} {they} the set, to 0x{found.high:X}: setting aside gives "
                "up what came after the backup; --existing roll-forward (without --server) lets them stay"
            )


def _generation_of(folder: str, name: str) -> int:
    """Return the generation of a log by its name, of a current one by its header; 0 where neither tells."""
    by_name = parse_file_name(name)
    if by_name.role is not NameRole.CURRENT_LOG:
        return by_name.generation or 0 if by_name.role is NameRole.NUMBERED_LOG else 0
    with suppress(HeaderError), FileSource(Path(folder, name)) as source:
        return LogHeader.read(source).generation
    return 0


def look_for_continuing(directory: TargetDirectory, placed: RolledForward) -> RollForward:
    """Return which logs of the log directory stay. Reads their headers, and all of those that are in the set as well.

    Raises:
        StorageError: A log cannot be read.
    """
    start = _start_of(placed)
    if start is None:
        why = "there is nothing to roll forward from: no log of a known format and no database says what continues it"
        return _nowhere(why, _NOWHERE)
    look = _Look(directory.path, placed, start)
    # By their numbers, whatever the order in which the file system has them: the first problem is the one that is told.
    for found in sorted(directory.found, key=lambda one: (len(one.name), one.name.lower())):
        if found.kind is NameKind.FILE and found.engine is not None:
            look.sort(found.name)
        elif found.kind in {NameKind.LINK, NameKind.OTHER}:
            look.pass_over(found.name)
    end = look.follow()
    stays = {*(one.name for one in look.later if one.header.generation <= end), *look.leading()}
    if stays and not any(one.by_name.role is NameRole.CURRENT_LOG for one in look.later):
        stays |= look.next_logs()  # without a current log the engine goes on with that
    return RollForward(
        frozenset((directory.path, name) for name in stays),
        end if stays else 0,
        tuple(look.problems),
        look.gives_way if stays else {},
    )


def _nowhere(why: str, hint: str) -> RollForward:
    return RollForward(problems=(Problem(ExistingFileError(why, hint=hint)),))


def _start_of(placed: RolledForward) -> _Start | None:
    """Return what logs go on from; None where nothing says that."""
    last = placed.logs[-1] if placed.logs else None
    if last is None:
        return _start_of_databases(placed.databases)
    if last.signature is None or last.generation is None:
        return None
    if last.current:  # what is there may be a later state of it
        return _Start(last.signature, last.generation - 1, last.base, last.suffix, last.previous_created)
    return _Start(last.signature, last.generation, last.base, last.suffix, last.created)


def _start_of_databases(databases: Sequence[DatabaseFacts]) -> _Start | None:
    """Return the first log that databases of one stream need or go on from, where soft recovery plays it."""
    found: dict[Signature, int] = {}
    for one in databases:
        need, header = need_of(one), one.header
        if header is None or need.hard or need.basis in {Basis.UNKNOWN, Basis.UNUSABLE}:
            return None
        low = need.low or header.consistent_position.generation
        if header.log_signature.is_set and low:
            found[header.log_signature] = min(low, found.get(header.log_signature, low))
    return next((_Start(stream, low - 1) for stream, low in found.items()), None) if len(found) == 1 else None


class _Look:
    """The judgement so far."""

    def __init__(self, path: str, placed: RolledForward, start: _Start) -> None:
        self._path = path
        self._start = start
        self._last = placed.logs[-1] if placed.logs and placed.logs[-1].current else None
        self._number, self._content = placed.number, placed.content
        self._placed = {one.generation: one for one in placed.logs if one is not self._last}
        self._base = start.base
        self.problems: list[Problem] = []
        self.later: list[_Present] = []
        self._suffix = start.suffix
        self._earlier: list[_Present] = []
        self._next_logs: dict[str, tuple[str, str]] = {}
        self.gives_way: Mapping[int, Apart] = {}

    def _refuse(self, name: str, why: str) -> None:
        self.problems.append(Problem(ExistingFileError(f"{names.printable(name)} {why}", path=self._path, hint=_HINT)))

    def _refuse_name(self, log: _Present) -> None:
        """Refuse a log that the engine does not find, as the verdict calls it."""
        found = Rules.LOG_NOT_FOUND.fault(names.printable(log.name), log.header.generation)
        hint = f"call it {names.printable(log.name[: -len(log.suffix)])}{self._suffix}, {_GIVE_UP}"
        self.problems.append(Problem(ExistingFileError(f"{found.message} ({found.code})", path=self._path, hint=hint)))

    def sort(self, name: str) -> None:
        """Sort one file of the directory: to be looked at as a later log, to be set aside, or a problem."""
        by_name = parse_file_name(name)
        base = (by_name.base or "").lower()
        if by_name.role is NameRole.NEXT_LOG:
            self._next_logs[name] = base, name.rpartition(".")[2].lower()
        try:
            with FileSource(Path(self._path, name)) as source:
                header, size = LogHeader.read(source), source.size
        except HeaderError as error:
            if by_name.role in LOG_NAMES and self._base in {"", base}:
                self._refuse(name, f"cannot be proven to continue the set: {error.message}")
            return
        if by_name.role not in LOG_NAMES:
            if by_name.role is NameRole.UNKNOWN:
                self._refuse(name, "is a log under a name that is none")
            return
        self._sort_log(_Present(name, by_name, header, size), base)

    def pass_over(self, name: str) -> None:
        """Refuse a link or a special file in the place of a log that may continue the set: nobody looks at it."""
        found = parse_file_name(name)
        is_later = found.generation is None or found.generation > self._start.end
        if found.role in LOG_NAMES and is_later and self._base in {"", (found.base or "").lower()}:
            text = Rules.LOG_LINKED.fault(names.printable(name)).message
            self.problems.append(Problem(ExistingFileError(text, path=self._path, hint=_LINK_HINT)))

    def _sort_log(self, log: _Present, base: str) -> None:
        """Sort a log that can be read, under a name of a log."""
        name, by_name, header = log.name, log.by_name, log.header
        if header.signature == self._start.stream:
            self._base = self._base or base  # that of the first one, where nothing that is placed has one
        if header.signature != self._start.stream or self._base != base:
            self._refuse(name, "is of another log stream (-610)")
        elif by_name.generation is not None and by_name.generation != header.generation:
            self._refuse(name, f"is log 0x{header.generation:X} by its header (-513)")
        elif header.generation in self._placed:
            self._judge_same(name, header, self._placed[header.generation])
        elif header.generation > self._start.end:
            self.later.append(log)
        elif not self._placed and self._last is None and by_name.role is NameRole.NUMBERED_LOG:
            self._earlier.append(log)

    def next_logs(self) -> set[str]:
        """Return the logs that are being prepared there, of the base name of those that stay."""
        return {name for name, found in self._next_logs.items() if found == (self._base, self._suffix)}

    def _take_one_suffix(self) -> None:
        """Take logs of one suffix, that of the current log where nothing is placed: others are none where these are."""
        begun = [one for one in self.later if one.by_name.role is NameRole.CURRENT_LOG]
        self._suffix = self._suffix or next((one.suffix for one in (*begun, *self.later)), "")
        known = {(one.header.generation, one.header.created) for one in self.later if one.suffix == self._suffix}
        self.later = [
            one
            for one in self.later
            if one.suffix == self._suffix or (one.header.generation, one.header.created) not in known
        ]

    def _judge_same(self, name: str, header: LogHeader, own: LogFacts) -> None:
        """A log that the set has too is set aside if it is the same; else histories have parted, or one is damaged."""
        shown = f"0x{header.generation:X}"
        if header.created != own.created:
            self._refuse(name, f"is another log {shown} than the one in the set: histories parted (-611)")
        elif own.comparable is not None and _digest(Path(self._path, name)) != own.comparable:
            self._refuse(name, f"is log {shown} as in the set, with other bytes")

    def follow(self) -> int:
        """Check that the later logs continue the set without a hole; return the generation they reach."""
        self.later.sort(key=lambda one: one.header.generation)
        self._take_one_suffix()
        if self._last is not None and self.later:
            self._judge_current(self._last, self.later[0])
        end, created = self._start.end, self._start.created
        for one in self.later:
            header, generation = one.header, one.header.generation
            if one.suffix != self._suffix:
                self._refuse_name(one)
                return end
            why = ""
            if generation != end + 1:
                closed = "" if self._last is None or end != self._start.end else ", as it was closed,"
                where = "there twice" if generation == end else f"after a gap: log 0x{end + 1:X}{closed} is missing"
                why = f"is {where} (-565)"
            elif header.previous_created != created is not None:
                why = f"does not continue log 0x{end:X}: histories parted (-611)"
            elif one.size < header.file_size:
                why = f"has {one.size:,} bytes, its header says {header.file_size:,}"
            if why:
                self._refuse(one.name, why)
                return end
            end, created = generation, header.created
        for one in self.later[:-1]:
            if one.by_name.role is NameRole.CURRENT_LOG:
                self._refuse(one.name, f"is the current log, and 0x{end:X} is later")
        return end

    def leading(self) -> Iterator[str]:
        """Yield the earlier logs that lead to the first one that stays, where none is placed: others may need them."""
        first = self.later[0].header if self.later else None
        earlier = {one.header.generation: one for one in self._earlier if one.suffix == self._suffix}
        while first is not None and (before := earlier.get(first.generation - 1)) is not None:
            with FileSource(Path(self._path, before.name)) as source:
                report = inspect_file(source, examine=True).report
            if before.header.created != first.previous_created or not (
                isinstance(report, LogReport) and report.is_good
            ):
                return
            yield before.name
            first = before.header

    def _judge_current(self, own: LogFacts, first: _Present) -> None:
        """Say which of the current log of the set and the same log there is the later state: that one counts."""
        if first.header.generation != own.generation:
            return  # as it was closed it is not there
        shown = f"0x{own.generation:X}"
        if first.header.created != own.created:
            self._refuse(first.name, f"is another log {shown} than the one in the set: histories parted (-611)")
            self.later = []
            return
        is_found = first.suffix == self._suffix  # else it is a problem by its name
        with FileSource(Path(self._path, first.name)) as there:
            if is_found and self._content is not None and is_earlier_state(self._content, there):
                why = f"an earlier state of log {shown}, which is there as {names.printable(first.name)}"
                self.gives_way = {self._number: Apart(why)}
            elif self._content is not None and len(self.later) == 1 and is_earlier_state(there, self._content):
                self.later = []  # it is set aside
            elif is_found:
                self._refuse(first.name, f"is log {shown} as in the set, and neither is proven to be an earlier state")
                self.later = []


def is_earlier_state(log: ByteSource, other: ByteSource) -> bool:
    """Return whether a log that was still being written is the other one as it was then, or all of it.

    Both are in order, and have the same content up to its end; only the last sector was written again, and of a
    segment the records that were in it stay.
    """
    one, later = (inspect_file(source, examine=True) for source in (log, other))
    header, found, there = one.identity.header, one.report, later.report
    if not isinstance(header, LogHeader) or not isinstance(found, LogReport) or not isinstance(there, LogReport):
        return False
    if not found.is_good or not there.is_good or found.end > there.end:
        return False
    begin, end = header.header_sectors * header.sector_size, found.end
    last = end - header.sector_size
    if found.unit == "ranges":
        own, its = (_without_records(source, header) for source in (log, other))
        stop = end if end == there.end else last
        return own[begin:stop] == its[begin:stop]
    parts = [(begin, last), (last + RECORDS_AT, last + found.used)] if found.used else [(begin, end)]
    return all(log.read(at, max(stop - at, 0)) == other.read(at, max(stop - at, 0)) for at, stop in parts)


def _without_records(log: ByteSource, header: LogHeader) -> bytes:
    """Return a log of format 7 without its checksum records, which change where it is written on."""
    from tokar.ese.logcheck import RangeChecker  # noqa: PLC0415 - start-up time

    checker = RangeChecker(header)
    for piece in pieces_of(log):
        checker.update(memoryview(piece))
    return checker.without_records()


def _digest(path: Path) -> bytes:
    digest = blake3()
    with FileSource(path) as source:
        for piece in pieces_of(source):
            digest.update(piece)
    return digest.digest()
