"""The logs of a set or of several sets: looked up by generation, whether one continues another, and runs of them.

Two logs link when the later one has the next generation, the same stream, and repeats the creation time of the earlier
one, byte for byte (a real clock has been seen to step back by three hours); where the content was examined and the
format has it, the accumulated segment checksum must fit as well. Of formats whose header is not known only the numbers
in the names can be compared.

A log is known by its stream, its generation and its creation time. Two logs that share the first two are one in two
sets if they were created at the same moment, and then must have equal bytes; created at different moments, they belong
to histories that parted. Of formats whose header is not known, the number and the bytes are all there is.

Source: Microsoft, Extensible Storage Engine, logredo.cxx and logdump.cxx.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Final

from tokar.errors import InputError
from tokar.ese.filenames import log_file_name
from tokar.ese.values import LogTime, Signature
from tokar.names import leaf_of, printable
from tokar.sets.backup_set import BackupSet
from tokar.sets.facts import LogFacts
from tokar.sets.faults import Severity
from tokar.sets.file_faults import log_fault
from tokar.words import some

_BASE_LENGTH: Final = 3  # of a log of which no other tells


class LinkFault(StrEnum):
    """Why a log does not continue another, root cause first."""

    GENERATION = "generation"
    SIGNATURE = "signature"
    TIME = "time"
    SIZE = "size"
    CONTENT = "content"


class LinkProof(StrEnum):
    """What shows that a log continues another."""

    CONTENT = "content"  # the accumulated segment checksum: the earlier log is complete and unaltered
    TIMES = "times"  # signature and creation times


@dataclass(frozen=True, slots=True)
class Link:
    """How two logs go together."""

    fault: LinkFault | None  # Why the second does not continue the first; None when it does
    # What shows that it does; None where only the numbers do, because the format is not known.
    proof: LinkProof | None = None


BY_NUMBER: Final = Link(None, None)


def link(earlier: LogFacts, later: LogFacts) -> Link:
    """Return how two logs of neighbouring generations go together."""
    if later.generation is None or earlier.generation is None or later.generation != earlier.generation + 1:
        return Link(LinkFault.GENERATION)
    if earlier.is_opaque or later.is_opaque:
        return BY_NUMBER
    if later.signature != earlier.signature:
        return Link(LinkFault.SIGNATURE)
    if later.previous_created != earlier.created:
        return Link(LinkFault.TIME)
    sizes = later.expected_size, earlier.expected_size  # a receipt keeps none
    return Link(LinkFault.SIZE) if all(sizes) and sizes[0] != sizes[1] else _link_content(earlier, later)


def _link_content(earlier: LogFacts, later: LogFacts) -> Link:
    """Compare the content of a log with what the next one says of it, where both are known."""
    content = earlier.content
    if content is None or content.segments_xor is None or later.previous_segments_xor is None:
        return Link(None, LinkProof.TIMES)
    if later.previous_segments_xor != content.segments_xor:
        return Link(LinkFault.CONTENT)
    return Link(None, LinkProof.CONTENT)


@lru_cache(maxsize=1024)
def stream_key(signature: Signature) -> bytes:
    """Return the bytes of a signature, which tell a log stream: few streams, many logs, and packing is slow."""
    return signature.pack()


def stream_of(log: LogFacts) -> bytes | None:
    """Return what tells the stream of a log: of unknown formats the base name; None for a damaged one."""
    if log.signature is not None:
        return stream_key(log.signature)
    return None if log.damaged else b"name:" + log.base.encode()


@dataclass(frozen=True, slots=True)
class Copy:
    """A log in one set."""

    at: int  # The number of the set
    facts: LogFacts  # The log there


def is_whole(log: LogFacts) -> bool:
    """Return whether nothing is wrong with a log by itself, as far as somebody looked."""
    return log_fault(log, Severity.ERROR, hard=True, last=False) is None


def _rank(copy: Copy) -> tuple[bool, bool, int]:
    """Return the place of a copy of a log among the others: whole ones first, closed ones before one being written."""
    return not is_whole(copy.facts), copy.facts.current, copy.at


@dataclass(frozen=True, slots=True)
class Version:
    """One log, in as many sets as have it."""

    stream: bytes  # The stream it belongs to; empty where the format does not say
    generation: int  # Its generation
    copies: tuple[Copy, ...]  # Where it is: whole ones first, closed ones before one that was still being written

    @property
    def facts(self) -> LogFacts:
        """What it says of itself, in the first set that has it."""
        return self.copies[0].facts

    @property
    def sets(self) -> frozenset[int]:
        """The sets that have it."""
        return frozenset(copy.at for copy in self.copies)

    @property
    def whole(self) -> tuple[Copy, ...]:
        """Those of its copies that are whole; all of them where none is."""
        return tuple(one for one in self.copies if is_whole(one.facts)) or self.copies

    @property
    def differing(self) -> tuple[Copy, ...]:
        """Whole copies in other sets whose bytes differ from the first one's: of a log that is written they may."""
        first = self.copies[0]
        return tuple(
            copy
            for copy in self.whole[1:]
            if copy.at != first.at
            and copy.facts.digest != first.facts.digest
            and (first.facts.current or not copy.facts.current)
        )


class LogTable:
    """The logs of a set, or of several, each log once with all of its copies.

    Args:
        sets: The logs of each set.
    """

    def __init__(self, *sets: Sequence[LogFacts]) -> None:
        self.logs = tuple(chain.from_iterable(sets))
        self._versions: dict[tuple[bytes, int], list[Version]] = defaultdict(list)
        self._by_facts: dict[int, Version] = {}
        self._opaque: dict[int, list[Version]] = defaultdict(list)
        self._stand_ins: dict[int, list[LogFacts]] = defaultdict(list)
        self._highest: dict[bytes, int] = {}
        self._names: dict[bytes, Counter[tuple[str, str]]] = defaultdict(Counter)
        self._examples: dict[tuple[bytes, str, str], LogFacts] = {}
        groups: dict[tuple[bytes, int, LogTime | bytes | None], list[Copy]] = defaultdict(list)
        for number, logs in enumerate(sets):
            for log in logs:
                self._note_claims(log)
                stream = stream_of(log)
                if stream is not None and log.generation is not None:
                    own = log.created if log.signature is not None else log.digest
                    groups[stream, log.generation, own].append(Copy(number, log))
        for (stream, generation, _), copies in groups.items():
            ordered = sorted(copies, key=_rank) if len(copies) > 1 else copies
            self._add(Version(stream, generation, tuple(ordered)))

    def _note_claims(self, log: LogFacts) -> None:
        for generation in {log.generation, log.named_generation} - {None}:
            assert generation is not None
            self._stand_ins[generation].append(log)
        if log.signature is not None and log.generation is not None:
            key = stream_key(log.signature)
            self._names[key][log.base, log.suffix] += log.has_engine_name
            if log.has_engine_name and not log.current:
                self._examples.setdefault((key, log.base, log.suffix), log)

    def _add(self, version: Version) -> None:
        stream, generation = version.stream, version.generation
        self._versions[stream, generation].append(version)
        self._by_facts.update((id(copy.facts), version) for copy in version.copies)
        if version.facts.is_opaque:
            self._opaque[generation].append(version)
        else:
            self._highest[stream] = max(self._highest.get(stream, 0), generation)

    def versions(self, stream: bytes, generation: int) -> list[Version]:
        """Return the logs that share a stream and a generation: more than one where histories parted."""
        return self._versions.get((stream, generation), [])

    def whole_elsewhere(self, log: LogFacts, at: int, streams: Iterable[bytes]) -> Copy | None:
        """Return a whole copy in another set of a log that is not whole; None where there is none, or it is whole.

        Args:
            log: The log.
            at: The number of its set.
            streams: The streams of that set: where the header is gone, they and the name tell which log it was.
        """
        if is_whole(log):
            return None
        own = self.version_of(log)
        named = [one for stream in streams for one in self.versions(stream, log.named_generation or 0)]
        found = [own] if own is not None else [one for one in named if one.facts.leaf.lower() == log.leaf.lower()]
        whole = (copy for one in found for copy in one.copies if copy.at != at and is_whole(copy.facts))
        return next(whole, None) if len(found) == 1 else None

    def version_of(self, log: LogFacts) -> Version | None:
        """Return the log of which this is a copy; None for a damaged one."""
        return self._by_facts.get(id(log))

    def of_stream(self, stream: bytes) -> Iterator[Version]:
        """Yield all logs of a stream."""
        return (one for one in self.all() if one.stream == stream)

    def all(self) -> Iterator[Version]:
        """Yield all logs."""
        return chain.from_iterable(self._versions.values())

    def following(self, version: Version) -> list[Version]:
        """Return the logs that continue one: more than one where histories parted after it."""
        found = self.versions(version.stream, version.generation + 1)
        return [one for one in found if link(version.facts, one.facts).fault is None]

    def preceding(self, version: Version) -> list[Version]:
        """Return the logs that one continues; there can only be one, unless numbers are all there is to go by."""
        found = self.versions(version.stream, version.generation - 1)
        return [one for one in found if link(one.facts, version.facts).fault is None]

    def _found(self, signature: Signature, generation: int) -> list[Version]:
        return self.versions(stream_key(signature), generation) or self._opaque.get(generation, [])

    def beside_branch(self, name: str, labels: Sequence[str] = ("",)) -> frozenset[int]:
        """Return the logs, by identity, that are of another history than the log of a name.

        Args:
            name: The name of a log of the wanted history; behind the name of its archive and a colon where there are
                several of that name.
            labels: What the sets are called.

        Raises:
            InputError: There is no log of that name, or several.
        """
        branch = self._named(name, labels)
        line = [branch]
        while before := self.preceding(line[-1]):
            line.append(before[0])
        others = [one for kept in line for one in self.versions(kept.stream, kept.generation) if one is not kept]
        gone = {id(one): one for one in others}
        while others:
            others = [later for one in others for later in self.following(one) if id(later) not in gone]
            gone |= {id(one): one for one in others}
        return frozenset(id(copy.facts) for one in gone.values() for copy in one.copies)

    def _named(self, name: str, labels: Sequence[str]) -> Version:
        ways: tuple[Callable[[Copy], str], ...] = (
            lambda copy: copy.facts.name,
            lambda copy: copy.facts.leaf,
            lambda copy: f"{leaf_of(labels[copy.at])}:{copy.facts.name}",
        )
        for way in ways:
            found = {
                (leaf_of(labels[copy.at]), copy.facts.name): one
                for one in self.all()
                for copy in one.copies
                if way(copy) == name
            }
            if len({*map(id, found.values())}) > 1:
                listed = some(f"{label}:{own}" if label else own for label, own in sorted(found))
                raise InputError(f"several logs are called {printable(name)}", hint=f"name one of {listed}")
            if found:
                return next(iter(found.values()))
        raise InputError(f"no log here is called {printable(name)}", hint="name one of the logs that are listed")

    def distinct(self, signature: Signature, generation: int) -> list[LogFacts]:
        """Return the logs of a generation in a stream, each once; where there are none, those of unknown formats."""
        return [version.facts for version in self._found(signature, generation)]

    def of(self, signature: Signature, generation: int) -> list[LogFacts]:
        """Return all copies of the logs of a generation in a stream, as `distinct` does."""
        return [copy.facts for version in self._found(signature, generation) for copy in version.copies]

    def present(self, signature: Signature, low: int, high: int) -> list[int]:
        """Return the generations of a range with a log, in order; those of unknown formats count for every stream."""
        key = stream_key(signature)
        found = {generation for stream, generation in self._versions if stream == key}
        return sorted(generation for generation in found | set(self._opaque) if low <= generation <= high)

    def claimed(self, generations: range) -> list[int]:
        """Return the generations of a range for which some file says that it is of it."""
        return [generation for generation in self._stand_ins if generation in generations]

    def claiming(self, generation: int) -> list[LogFacts]:
        """Return all logs that say they are of a generation, in header or name, whatever their stream."""
        return self._stand_ins.get(generation, [])

    def highest(self, signature: Signature) -> int:
        """Return the highest generation of a stream, 0 where there is none."""
        return max((self._highest.get(stream_key(signature), 0), *self._opaque), default=0)

    def finds(self, log: LogFacts) -> bool:
        """Return whether the engine finds a log: it is named like most logs of its stream, by its base and its end."""
        found = self._names.get(stream_key(log.signature)) if log.signature is not None else None
        return log.has_engine_name and (not found or (log.base, log.suffix) == found.most_common(1)[0][0])

    def is_twice(self, log: LogFacts) -> bool:
        """Return whether there is another copy of a log."""
        version = self.version_of(log)
        return version is not None and len(version.copies) > 1

    def right_name(self, log: LogFacts) -> str:
        """Return the name that the engine looks for, where a log has another; empty where that is not known."""
        if log.signature is None or not log.generation:
            return ""
        key = stream_key(log.signature)
        is_last = not log.current or log.generation == self._highest.get(key)
        if is_last and self.finds(log):
            return ""
        common = self._names[key].most_common(1)
        base, suffix = common[0][0] if common and common[0][1] else (log.leaf[:_BASE_LENGTH], "log")
        like = self._examples.get((key, base, suffix))
        if like is not None:  # also in its spelling
            stem, _, suffix = like.leaf.rpartition(".")
            base, digits = stem[:_BASE_LENGTH], 8 if len(stem) > _BASE_LENGTH + 5 else None
            return log_file_name(base, log.generation, suffix=suffix, digits=digits)
        with suppress(InputError):  # what the name begins with is no base name
            return log_file_name(base, log.generation, suffix=suffix)
        return ""

    def continuing(self, signature: Signature, log: LogFacts) -> list[LogFacts]:
        """Return the logs that continue one, each once: more than one where histories parted after it."""
        found = self.distinct(signature, (log.generation or 0) + 1)
        return [one for one in found if link(log, one).fault is None]

    def choose(
        self,
        signature: Signature,
        generation: int,
        before: LogFacts | None,
        created: LogTime | None = None,
        *,
        hard: bool = False,
    ) -> LogFacts | None:
        """Return the log of a generation that fits best: created when it must be, else continuing the one before.

        Of copies of one log the engine must find it by its name; the current log counts where none follows it, unless
        the numbered copy holds more. Hard recovery goes by numbers alone.
        """
        found = self.of(signature, generation)
        if created is not None:
            found = [log for log in found if log.created == created] or found
        if before is not None:
            found = [log for log in found if link(before, log).fault is None] or found
        links = [link(log, one) for log in found for one in self.continuing(signature, log)]
        proven = hard or any(one.proof is LinkProof.CONTENT for one in links)
        return min(
            found,
            key=lambda log: (
                not self.finds(log),
                log.size != log.expected_size,
                *_fullness(log, follows=bool(links) or hard, proven=proven),
                log.name,
            ),
            default=None,
        )


def _fullness(log: LogFacts, *, follows: bool, proven: bool) -> tuple[int, bool]:
    """Return the place of a log among copies of it, the one to play first.

    Args:
        log: The log.
        follows: Whether another log continues it, so that it was closed.
        proven: Whether the next log tells its content, so that copies of which that is not so are passed over.
    """
    fullness = 0 if proven or log.content is None else -log.content.valid
    return fullness, log.current if follows else not log.current


def with_right_names(logs: Sequence[LogFacts]) -> tuple[LogFacts, ...]:
    """Return logs under the names that the engine looks for, unless a log of that generation has its name already."""
    table = LogTable(logs)
    names = [table.right_name(log) for log in logs]
    taken = Counter(name or log.leaf.lower() for log, name in zip(logs, map(str.lower, names), strict=True))
    return tuple(
        replace(
            log,
            name=log.name[: len(log.name) - len(log.leaf)] + name,
            named_generation=log.generation,
            base=name[:_BASE_LENGTH].lower(),
            current=False,
        )
        if name and taken[name.lower()] == 1
        else log
        for log, name in zip(logs, names, strict=True)
    )


@dataclass(frozen=True, slots=True)
class LogRun:
    """Logs that continue each other, onto the databases of one set."""

    stream: bytes  # Their stream
    versions: tuple[Version, ...]  # The logs, in order; empty where the very first needed one is not here
    floor: int  # The generation below which no restore of the set may stop
    start: int  # The generation with which recovery begins
    hard: bool = False  # Whether hard recovery plays them
    forks: tuple[Version, ...] = ()  # Where it ends because histories parted: the logs that could follow

    @property
    def end(self) -> int:
        """The generation it reaches; 0 where it reaches none."""
        return self.versions[-1].generation if self.versions else 0

    def at(self, generation: int) -> Version | None:
        """Return its log of a generation."""
        if not self.versions:
            return None
        place = generation - self.versions[0].generation
        return self.versions[place] if 0 <= place < len(self.versions) else None


def follow(
    logs: LogTable,
    number: int,
    stream: bytes,
    *,
    start: int,
    floor: int,
    hard: bool = False,
    wanted: frozenset[int] = frozenset(),
) -> LogRun:
    """Return the run of logs onto the databases of a set.

    Args:
        logs: The logs of all sets.
        number: The number of the set with the databases. Where it has a log of its own, that one counts.
        stream: The stream of the databases.
        start: The generation with which recovery begins.
        floor: The generation below which it may not stop.
        hard: Whether hard recovery plays them.
        wanted: Its logs that its own verdict places, by identity, which tell where it holds two histories.
    """
    first = _first_version(logs, number, stream, start, wanted)
    if first is None:
        return LogRun(stream, (), floor, start, hard)
    run = _own_before(logs, number, first)
    forks: tuple[Version, ...] = ()
    while True:
        found = logs.following(run[-1])
        own = _own(found, number, wanted)
        if len(own or found) != 1:
            forks = tuple(own or found)
            return LogRun(stream, tuple(run), floor, start, hard, forks)
        run.append((own or found)[0])


def _own_before(logs: LogTable, number: int, first: Version) -> list[Version]:
    """Return a log and those before it that the set itself holds: a restore places them too."""
    run = [first]
    while found := [one for one in logs.preceding(run[0]) if number in one.sets]:
        run.insert(0, found[0])
    return run


def _own(found: Sequence[Version], number: int, wanted: frozenset[int]) -> list[Version]:
    """Return the logs that a set itself holds; where it has several, those that it places."""
    own = [one for one in found if number in one.sets]
    return [one for one in own if any(id(copy.facts) in wanted for copy in one.copies)] or own


def _first_version(logs: LogTable, number: int, stream: bytes, start: int, wanted: frozenset[int]) -> Version | None:
    """Return the log with which recovery begins: the set's own, else the only one there is."""
    found = logs.versions(stream, start)
    own = _own(found, number, wanted)
    if own:
        return own[0]
    return found[0] if len(found) == 1 else None


def labels(sets: Sequence[BackupSet], numbers: Iterable[int]) -> tuple[str, ...]:
    """Return the labels of sets by their numbers."""
    return tuple(sets[number].label for number in sorted(numbers))
