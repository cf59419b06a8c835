"""Faults of which there may be as many as there are logs: the first of each kind are listed, and the others counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from tokar.sets.faults import MOST_LISTED, Fault, FaultKind, Severity


class FaultCounter:
    """Tells which faults are listed, and how many more there are of each kind."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[FaultKind, Severity]] = Counter()

    def takes(self, fault: Fault) -> bool:
        """Count a fault, and return whether it is among those that are listed."""
        self._counts[fault.kind, fault.severity] += 1
        return self._counts[fault.kind, fault.severity] <= MOST_LISTED

    def closing(self, faults: list[Fault]) -> None:
        """Say in the last listed fault of each kind how many more there are."""
        for kind, count in self._counts.items():
            if count > MOST_LISTED:
                at = max(at for at, one in enumerate(faults) if (one.kind, one.severity) == kind)
                more = f"and {count - MOST_LISTED:,} more like it"
                faults[at] = replace(faults[at], consequences=(*faults[at].consequences, more))


def listed(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield the faults that are listed."""
    counter = FaultCounter()
    found = [fault for fault in faults if counter.takes(fault)]
    counter.closing(found)
    yield from found
