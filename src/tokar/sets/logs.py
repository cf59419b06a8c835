"""The logs of a set, looked up by generation, and whether one continues the other.

Two logs link when the later one has the next generation, the same stream, and repeats the creation time of the earlier
one, byte for byte; where the content was examined and the format has it, the accumulated segment checksum must fit as
well. Of formats whose header is not known only the numbers in the names can be compared.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from tokar.ese.loglink import LinkFault, LinkProof

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokar.ese.values import LogTime, Signature
    from tokar.sets.facts import LogFacts


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
    return Link(LinkFault.TIME) if later.previous_created != earlier.created else _link_content(earlier, later)


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
    """Return the bytes of a signature, which tell a log stream. There are few streams and many logs, and packing is slow."""
    return signature.pack()


class LogTable:
    """The logs of a set by generation. Built once, asked for each database.

    Args:
        logs: All logs of the set.
    """

    def __init__(self, logs: Iterable[LogFacts]) -> None:
        self.logs = tuple(logs)
        self._readable: dict[tuple[bytes, int], list[LogFacts]] = defaultdict(list)
        self._opaque: dict[int, list[LogFacts]] = defaultdict(list)
        self._stand_ins: dict[int, list[LogFacts]] = defaultdict(list)
        self._highest: dict[bytes, int] = {}
        for log in self.logs:
            self._add(log)

    def _add(self, log: LogFacts) -> None:
        for generation in {log.generation, log.named_generation} - {None}:
            assert generation is not None
            self._stand_ins[generation].append(log)
        if log.signature is not None and log.generation is not None:
            key = stream_key(log.signature)
            self._readable[key, log.generation].append(log)
            self._highest[key] = max(self._highest.get(key, 0), log.generation)
        elif log.is_opaque and log.generation is not None:
            self._opaque[log.generation].append(log)

    def of(self, signature: Signature, generation: int) -> list[LogFacts]:
        """Return the logs of a generation in a stream; where there are none, those of unknown formats that go by that number."""
        return self._readable.get((stream_key(signature), generation)) or self._opaque.get(generation, [])

    def present(self, signature: Signature, low: int, high: int) -> list[int]:
        """Return the generations of a range for which there is a log, in order; those of unknown formats count for every stream."""
        key = stream_key(signature)
        found = {generation for stream, generation in self._readable if stream == key}
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

    def choose(
        self, signature: Signature, generation: int, before: LogFacts | None, created: LogTime | None = None
    ) -> LogFacts | None:
        """Return the log of a generation that fits best: created when it must be, else continuing the one before it, else the first."""
        found = self.of(signature, generation)
        if created is not None:
            found = [log for log in found if log.created == created] or found
        if before is not None:
            found = [log for log in found if link(before, log).fault is None] or found
        return min(found, key=lambda log: (log.current, log.name), default=None)


def distinct(logs: Iterable[LogFacts]) -> list[LogFacts]:
    """Return logs of one generation without those that repeat another: created at the same moment."""
    seen: dict[LogTime, LogFacts] = {}
    for log in logs:
        seen.setdefault(log.created, log)
    return list(seen.values())
