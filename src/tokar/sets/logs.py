"""The logs of a set or of several sets, looked up by generation.

A log is known by its stream, its generation and its creation time. Two logs that share the first two are one in two
sets if they were created at the same moment, and then must have equal bytes; created at different moments, they belong
to histories that parted. Of formats whose header is not known, the number and the bytes are all there is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from heapq import merge
from itertools import chain, groupby
from typing import Final

from tokar.ese.values import LogTime, Signature
from tokar.sets.by_generation import CopiesOfOne, Copy, LogsByGeneration, TimesByGeneration
from tokar.sets.facts import DatabaseFacts, LogFacts
from tokar.sets.faults import Fault, FaultKind, Rules, Severity
from tokar.sets.file_faults import log_fault
from tokar.sets.links import LinkFault, LinkProof, altered, link
from tokar.sets.log_names import LogNames
from tokar.sets.need import need_of
from tokar.sets.parted import goes_on, parts_of
from tokar.sets.version import Order, Version, is_broken, is_whole, order_of

_ALONE: Final = (CopiesOfOne((0,), good=1, is_last=False),)  # of a generation that has one log
_KNOWN: Final = 16  # How many generations are kept at hand: whoever asks for one asks for its neighbours


@lru_cache(maxsize=1024)
def stream_key(signature: Signature) -> bytes:
    """Return the bytes of a signature, which tell a log stream: few streams, many logs, and packing is slow."""
    return signature.pack()


def stream_of(log: LogFacts) -> bytes | None:
    """Return what tells the stream of a log: of unknown formats the base name; None for a damaged one."""
    if log.signature is not None:
        return stream_key(log.signature)
    return None if log.damaged else b"name:" + log.base.encode()


class LogTable:
    """The logs of a set, or of several, each log once with all of its copies.

    Args:
        sets: The logs of each set.
        databases: The databases that are here, whose histories are wanted.
    """

    def __init__(self, *sets: Sequence[LogFacts], databases: Iterable[DatabaseFacts] = ()) -> None:
        self._sets = sets
        self._streams: dict[bytes, LogsByGeneration] = {}
        self._opaque = LogsByGeneration()  # Those of formats whose header is not known, of all streams
        self._known: dict[tuple[bytes | None, int], list[Version]] = {}  # Of the generations asked for last
        self._names = LogNames()
        for number, logs in enumerate(sets):
            for log in logs:
                if log.signature is not None and log.generation is not None:
                    self._names.note(stream_key(log.signature), log)
                stream = stream_of(log)
                if stream is not None and log.generation is not None:
                    self._streams.setdefault(stream, LogsByGeneration()).add(log, log.generation, number)
                    if log.is_opaque:
                        self._opaque.add(log, log.generation, number)
        for one in (*self._streams.values(), self._opaque):
            one.sort()
        self._go_by(databases)

    def _go_by(self, databases: Iterable[DatabaseFacts]) -> None:
        """Let the names of the logs of each stream be those of the histories of its databases: others are left out."""
        seen: dict[bytes, bytearray] = {}
        for database in databases:
            header, need = database.header, need_of(database)
            key = stream_key(header.log_signature) if header is not None and header.log_signature.is_set else b""
            found = self._streams.get(key)
            if header is None or found is None or self._names.are_alike(key):
                continue
            last = need.last_log or need.committed or header.consistent_position.generation
            flags = seen.setdefault(key, bytearray(len(found.logs)))
            for at in found.history(self.before(key, last + 1) or last, header.last_log_time):
                if not flags[at]:
                    flags[at] = 1
                    self._names.note_wanted(key, found.logs[at])

    @property
    def logs(self) -> Iterator[LogFacts]:
        """All logs, damaged ones too."""
        return chain.from_iterable(self._sets)

    @cached_property
    def _claims(self) -> LogsByGeneration:
        """The logs by what they say that they are, in header or name, whatever their stream."""
        found = LogsByGeneration()
        for log in self.logs:
            for generation in {log.generation, log.named_generation} - {None}:
                assert generation is not None
                found.add(log, generation, 0)
        found.sort()
        return found

    def _at(self, stream: bytes | None, generation: int) -> list[Version]:
        """Return the logs of a generation; of no stream: those of unknown formats."""
        key = stream, generation
        found = self._known.get(key)
        if found is None:
            logs = self._opaque if stream is None else self._streams.get(stream)
            found = [] if logs is None else [*self._versions_in(logs, stream, generation)]
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[key] = found
        return found

    def _versions_in(self, logs: LogsByGeneration, stream: bytes | None, generation: int) -> Iterator[Version]:
        """Yield the logs of a generation; how they go together takes long to find out, and is kept."""
        copies = [*logs.copies(generation)]
        order = _ALONE[: len(copies)] if len(copies) < 2 else logs.order(generation)
        if order is None:
            order = tuple(self._order(copies, [*logs.copies(generation + 1)]))
            logs.keep_order(generation, order)
        for one in order:
            alike = tuple(copies[place] for place in one.places)
            own = stream if stream is not None else stream_of(alike[0].facts)
            yield Version(own or b"", generation, alike, one.good, one.is_last, one.leads_to)

    def _order(self, copies: list[Copy], later: Sequence[Copy]) -> Iterator[CopiesOfOne]:
        """Yield which logs of a generation are copies of one, the best ones first; `later`: those of the next one."""
        groups: dict[object, list[Copy]] = defaultdict(list)
        for copy in copies:
            groups[self._own(copy.facts)].append(copy)
        places = {id(copy): at for at, copy in enumerate(copies)}
        for alike in groups.values():
            for part, leads_to in parts_of(alike, later):
                good, is_last = self._sort(part)
                yield CopiesOfOne(tuple(places[id(one)] for one in part), good, is_last, leads_to)

    def _sort(self, copies: list[Copy]) -> tuple[int, bool]:
        """Put the best copies first; return how many of them are good, and whether no log goes on from any."""
        good, is_last = {id(copies[0]): True}, False
        if len(copies) > 1:  # else it is the best one in any case
            good = {id(one): is_whole(one.facts) and self.contradicting(one.facts) is None for one in copies}
            is_last = all(link(one.facts, each).fault for one in copies for each in self._later(one.facts))
            full = [one.facts for one in copies if is_last and good[id(one)] and self.finds(one.facts)]
            for one in copies if full else ():
                good[id(one)] &= not any(order_of(one.facts, other) is Order.EARLIER for other in full)
            copies.sort(key=lambda one: (not good[id(one)], not self.finds(one.facts), one.facts.current, one.at))
        return sum(good.values()), is_last

    @staticmethod
    def _own(log: LogFacts) -> object:
        """Return what tells a log from others of its generation."""
        return log.created if log.signature is not None else (log.base, log.digest)

    def versions(self, stream: bytes, generation: int) -> list[Version]:
        """Return the logs that share a stream and a generation: more than one where histories parted."""
        return [*self._at(stream, generation)]

    def whole_copy(self, log: LogFacts, streams: Iterable[bytes], beside: Iterable[LogFacts] = ()) -> Copy | None:
        """Return a whole copy of a log that is not whole; None where there is none, or it is whole.

        Args:
            log: The log.
            streams: The streams of its set: where the header is gone, they and the name tell which log it was.
            beside: The logs of its set: a current log without a header was the one after the last of these.
        """
        own = self.version_of(log)
        if is_whole(log) if own is None else any(copy.facts is log for copy in own.copies[: own.good]):
            return None
        generation = log.named_generation or _after_closed(log, beside)
        named = [one for stream in streams for one in self.versions(stream, generation)]
        found = [own] if own is not None else [one for one in named if _are_named_alike(log, one.facts)]
        whole = (copy for one in found for copy in one.copies[: one.good] if is_whole(copy.facts))
        return next(whole, None) if len(found) == 1 else None

    def version_of(self, log: LogFacts) -> Version | None:
        """Return the log of which this is a copy; None for a damaged one."""
        stream = stream_of(log)
        if stream is None or log.generation is None:
            return None
        found = self._at(stream, log.generation)
        alike = [one for one in found if any(copy.facts is log for copy in one.copies)]
        if not alike:
            own = self._own(log)
            alike = [one for one in found if self._own(one.facts) == own]
        return alike[0] if len(alike) == 1 else None  # which of the parts of one it is nobody knows

    def of_stream(self, stream: bytes) -> Iterator[Version]:
        """Yield all logs of a stream, by generation."""
        return chain.from_iterable(self._of_generations(stream))

    def _of_generations(self, stream: bytes) -> Iterator[list[Version]]:
        found = self._streams.get(stream)
        for generation, _ in groupby(found.generations if found else ()):
            yield self.versions(stream, generation)

    def alike(self) -> Iterator[list[Version]]:
        """Yield all logs, those that share a stream and a generation together."""
        return chain.from_iterable(map(self._of_generations, self._streams))

    def all(self) -> Iterator[Version]:
        """Yield all logs."""
        return chain.from_iterable(self.alike())

    @property
    def streams(self) -> Iterator[bytes]:
        """The streams that there are logs of."""
        return iter(self._streams)

    @property
    def opaque_streams(self) -> set[bytes]:
        """The streams of formats whose header is not known."""
        return {stream for log in self._opaque.logs if (stream := stream_of(log)) is not None}

    def after(self, stream: bytes, generation: int) -> int | None:
        """Return the next generation of a stream that there is after another; None where there is none."""
        found = self._streams.get(stream)
        at = bisect_right(found.generations, generation) if found else 0
        return found.generations[at] if found and at < len(found.logs) else None

    def before(self, stream: bytes, generation: int) -> int | None:
        """Return the next lower generation of a stream that there is; None where there is none."""
        found = self._streams.get(stream)
        at = bisect_left(found.generations, generation) if found else 0
        return found.generations[at - 1] if found and at else None

    def has(self, generation: int) -> bool:
        """Return whether there is a log of a generation."""
        return any(one.present(generation, generation) for one in self._streams.values())

    def opaque_at(self, generation: int) -> LogFacts | None:
        """Return the log of a format that is not known that says that it is of a generation."""
        return next((log for log in self.claiming(generation) if log.is_opaque), None)

    def following(self, version: Version) -> list[Version]:
        """Return the logs that continue one: more than one where histories parted after it."""
        found = self.versions(version.stream, version.generation + 1)
        return [one for one in found if goes_on(version.facts, version.leads_to, one.facts)]

    def by_number(self, stream: bytes, generation: int, before: Version | None = None) -> list[Version]:
        """Return the logs that go on by their number alone: those of unknown formats, and those after one of them.

        Args:
            stream: The stream of the others.
            generation: The generation.
            before: The log before; None where it is the first one.
        """
        own = self.versions(stream, generation)
        is_after = before is not None and before.facts.is_opaque
        return own if own and is_after else [] if own else [*self._at(None, generation)]

    def preceding(self, version: Version) -> list[Version]:
        """Return the logs that one continues; there can only be one, unless numbers are all there is to go by."""
        found = self.versions(version.stream, version.generation - 1)
        return [one for one in found if goes_on(one.facts, one.leads_to, version.facts)]

    def _found(self, signature: Signature, generation: int) -> list[Version]:
        return self._at(stream_key(signature), generation) or self._at(None, generation)

    def distinct(self, signature: Signature, generation: int) -> list[LogFacts]:
        """Return the logs of a generation in a stream, each once; where there are none, those of unknown formats."""
        return [version.facts for version in self._found(signature, generation)]

    def of(self, signature: Signature, generation: int) -> list[LogFacts]:
        """Return all copies of the logs of a generation in a stream, as `distinct` does."""
        return [copy.facts for version in self._found(signature, generation) for copy in version.copies]

    def present(self, signature: Signature, low: int, high: int) -> Iterator[int]:
        """Yield the generations of a range with a log, in order; those of unknown formats count for every stream."""
        both = (self._streams.get(stream_key(signature)), self._opaque)
        found = merge(*(one.present(low, high) for one in both if one is not None))
        return (generation for generation, _ in groupby(found))

    def claimed(self, generations: range) -> Iterator[int]:
        """Yield the generations of a range for which some file says that it is of it, in order."""
        found = self._claims.present(generations.start, generations.stop - 1)
        return (generation for generation, _ in groupby(found))

    def claiming(self, generation: int) -> list[LogFacts]:
        """Return all logs that say they are of a generation, in header or name, whatever their stream."""
        return [copy.facts for copy in self._claims.copies(generation)]

    def highest(self, signature: Signature) -> int:
        """Return the highest generation of a stream, 0 where there is none."""
        both = (self._streams.get(stream_key(signature)), self._opaque)
        return max((one.generations[-1] for one in both if one is not None and one.logs), default=0)

    def finds(self, log: LogFacts) -> bool:
        """Return whether the engine finds a log: it has the base and the end of the names of its stream (SFT-14)."""
        common = self._names.common(stream_key(log.signature)) if log.signature is not None else None
        return log.has_engine_name and (common is None or (log.base, log.suffix) == common)

    def is_twice(self, log: LogFacts) -> bool:
        """Return whether there is another copy of a log."""
        version = self.version_of(log)
        return version is not None and len(version.copies) > 1

    def is_found(self, log: LogFacts) -> bool:
        """Return whether the engine finds a copy of a log by its name."""
        version = self.version_of(log)
        return version is not None and any(self.finds(copy.facts) for copy in version.copies)

    def is_best(self, log: LogFacts) -> bool:
        """Return whether a log is that of its copies which counts; also where nobody knows which log it is."""
        version = self.version_of(log)
        if log.signature is None or version is None or len(version.copies) < 2:
            return True
        return self._best(log.signature, [copy.facts for copy in version.copies]) is log

    def right_name(self, log: LogFacts) -> str:
        """Return the name that the engine looks for, where a log has another; empty where that is not known."""
        if log.signature is None or not log.generation:
            return ""
        key = stream_key(log.signature)
        is_last = not log.current or (key in self._streams and log.generation == self._streams[key].generations[-1])
        if is_last and self.finds(log):
            return ""
        return self._names.right_name(key, log, current=is_last and log.current)

    def continuing(self, signature: Signature, log: LogFacts) -> list[LogFacts]:
        """Return the logs that continue one, each once: more than one where histories parted after it."""
        found = self.distinct(signature, (log.generation or 0) + 1)
        return [one for one in found if self.goes_on(log, one)]

    def goes_on(self, log: LogFacts, later: LogFacts) -> bool:
        """Return whether a log goes on from another one, as far as its header tells, or what lies beside that one."""
        version = self.version_of(log)
        return goes_on(log, version.leads_to if version is not None else None, later)

    def unlike_copies(
        self, signature: Signature, log: LogFacts, *, any_history: bool = False
    ) -> Iterator[tuple[LogFacts, Order]]:
        """Yield other copies of a log with unlike bytes, and how it is to each, where no next log tells.

        Args:
            signature: Its stream.
            log: The log.
            any_history: Whether nothing shows that the next log is of the history that is wanted. It says nothing then
                of copies that were being written: another history may end in one.
        """
        is_told = any(link(log, one).proof is LinkProof.CONTENT for one in self.continuing(signature, log))
        if is_told and not any_history:
            return
        version = self.version_of(log)
        is_parted = version is not None and version.leads_to is not None  # what others hold is nothing to it
        for other in self.of(signature, log.generation or 0):
            if is_parted and version is not None and not version.is_one_of({id(other)}):
                continue
            own, its = log.comparable, other.comparable
            is_other = other is not log and other.created == log.created and not (own and its == own)
            if is_other and (other.current or not is_told):
                yield other, order_of(log, other)

    def found_by_name(self, logs: Sequence[LogFacts]) -> list[LogFacts]:
        """Return those of logs of one generation that the engine finds by their names; all where it finds none."""
        versions = [(log, self.version_of(log)) for log in logs]
        found = [log for log, own in versions if own is not None and own.is_found]
        return found or [*logs]

    def choose(
        self,
        signature: Signature,
        generation: int,
        before: LogFacts | None,
        created: LogTime | None = None,
        *,
        hard: bool = False,
        times: TimesByGeneration | None = None,
        after: LogFacts | None = None,
    ) -> LogFacts | None:
        """Return the log of a generation that fits best: created when it must be, else continuing the one before.

        Of copies of one log a whole one counts, and the engine must find it by its name; the current log counts where
        none follows it, unless the numbered copy holds more. Hard recovery goes by numbers alone.

        Args:
            signature: Its stream.
            generation: The generation.
            before: The log before; None where there is none, or it does not matter.
            created: When it must have been created; None where that is not known.
            hard: Whether hard recovery plays it.
            times: When logs were created that are proven to be of the history that is wanted.
            after: The log that goes on from it; None where that does not matter.
        """
        found = self.of(signature, generation)
        if len(found) < 2:
            return found[0] if found else None
        created = created if times is None else times.get(generation)
        if created is not None:
            found = [log for log in found if log.created == created] or found
        if times is not None and (next_created := times.get(generation + 1)) is not None:
            later = ((log, one) for log in found for one in self.continuing(signature, log))
            leading = {id(log) for log, one in later if one.created == next_created}
            found = [log for log in found if id(log) in leading] or found
        if before is not None:
            found = [log for log in found if self.goes_on(before, log)] or found
        if after is not None:
            found = [log for log in found if self.goes_on(log, after)] or found
        return self._best(signature, found, hard=hard)

    def _best(self, signature: Signature, found: Sequence[LogFacts], *, hard: bool = False) -> LogFacts:
        """Return the one of copies of a log that counts."""
        links = [link(log, one) for log in found for one in self.continuing(signature, log)]
        proven = hard or any(one.proof is LinkProof.CONTENT for one in links)
        return min(
            found,
            key=lambda log: (
                is_broken(log, hard=hard, last=not links) or self.contradicting(log) is not None,
                not self.finds(log),
                *_fullness(log, follows=bool(links) or hard, proven=proven),
                log.name.count("/"),
                log.name,
            ),
        )

    def _later(self, log: LogFacts) -> list[LogFacts]:
        """Return all copies of the logs of the next generation, of whichever history."""
        found = self._streams.get(stream_of(log) or b"")
        return [copy.facts for copy in found.copies((log.generation or 0) + 1)] if found is not None else []

    def contradicting(self, log: LogFacts) -> LogFacts | None:
        """Return a log that goes on from another content than that of a log, where none goes on from that."""
        later = self._later(log)
        faults = [link(log, one).fault for one in later]
        return None if None in faults or LinkFault.CONTENT not in faults else later[faults.index(LinkFault.CONTENT)]

    def fault_of_double(self, log: LogFacts, whole: str) -> Fault | None:
        """Return what is wrong with a log, as the remark that it comes to where a whole copy takes its place."""
        faults = (log_fault(log, Severity.WARNING, hard=hard, last=False) for hard in (False, True))
        fault, after = next(filter(None, faults), None), self.contradicting(log)
        if fault is None and after is not None:
            fault = altered(log, after, Severity.WARNING)
            if fault.kind is FaultKind.LOG_NOT_CLOSED:
                return Rules.LOG_CLOSED_ELSEWHERE.of_log(log, log.generation, after.name, whole)
        step = f"nothing for this restore: {whole} is whole, and takes its place; check the storage"
        return fault and replace(fault, next_step=step)


def _after_closed(log: LogFacts, beside: Iterable[LogFacts]) -> int:
    """Return the generation after the last closed log of a base name; 0 where there is none, or of no current log."""
    closed = (one.generation or 0 for one in beside if one.base == log.base and not one.current and not one.damaged)
    last = max(closed, default=0) if log.current else 0
    return last and last + 1


def _are_named_alike(log: LogFacts, other: LogFacts) -> bool:
    """Return whether a log may be another by its name: the current one may have been closed since."""
    return other.leaf.lower() == log.leaf.lower() or (log.current and other.base == log.base)


def _fullness(log: LogFacts, *, follows: bool, proven: bool) -> tuple[int, int, bool]:
    """Return the place of a log among copies of it; `proven`: the next log told already which of them are right."""
    held, used = (0, 0) if proven or log.content is None else (log.content.extent, log.content.used)
    return -held, -used, log.current if follows else not log.current
