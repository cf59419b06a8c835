"""Lists of faults: those of which there may be as many as logs, and what the owner of the databases does about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from typing import Final

from tokar.sets.faults import COMMITTED_DAMAGED, MOST_LISTED, Fault, FaultKind, Severity
from tokar.tokens import SERVED

LOGS_MISSING: Final = {FaultKind.LOG_MISSING, FaultKind.COMMITTED_LOG_MISSING}


def first_of(runs: Iterable[range]) -> tuple[int, ...]:
    """Return the first generations of runs, at most `MOST_LISTED`."""
    return tuple(islice(chain.from_iterable(runs), MOST_LISTED))


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


_ORDER: Final = {kind: place for place, kind in enumerate(FaultKind)}


def in_order(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """Return faults with the worst and its root cause first; the same fault of several databases becomes one."""
    merged: dict[tuple[object, ...], Fault] = {}
    for fault in faults:
        key = (fault.kind, fault.severity, fault.files, fault.generations, fault.code)
        before = merged.get(key)
        merged[key] = _joined(before, fault) if before else fault
    return tuple(sorted(merged.values(), key=_place))


def _joined(one: Fault, other: Fault) -> Fault:
    return replace(
        one,
        databases=tuple(dict.fromkeys((*one.databases, *other.databases))),
        consequences=(*_own(one, other), *_own(other, one, shared=False)),
    )


def _own(one: Fault, other: Fault, *, shared: bool = True) -> Iterator[str]:
    """Yield what follows from a fault for its databases, with their names where it does not for those of another."""
    for text in one.consequences:
        if text not in other.consequences:
            yield f"{one.databases[0]}: {text}" if len(one.databases) == 1 else text
        elif shared:
            yield text


def _place(fault: Fault) -> tuple[int, int, int, tuple[str, ...]]:
    return fault.severity, _ORDER[fault.kind], min(fault.generations, default=0), fault.files


def listed(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Yield the faults that are listed."""
    counter = FaultCounter()
    found = [fault for fault in faults if counter.takes(fault)]
    counter.closing(found)
    yield from found


_GIVE_UP: Final = "only if there is none, take it and all later logs away, and recover with loss: esentutl /r BASE /a"
_OF_A_SERVICE: Final = {
    FaultKind.DATABASE_NOT_HERE: "restore it as well: the service brings up all of its databases, or none",
    FaultKind.COMMITTED_LOG_MISSING: "find the log, or restore another backup by the procedure of the service",
}


def for_owner(faults: list[Fault], profile: str) -> list[Fault]:
    """Return faults with the next steps of the service that owns the databases, if one does: it recovers them alone.

    Where none does, whoever gives up a committed log that is no good also gives up all that follow it.
    """
    if profile not in SERVED:
        lost = [one.is_loss and one.code == COMMITTED_DAMAGED for one in faults]
        more = [f"; {_GIVE_UP}" if gone else "" for gone in lost]
        return [replace(one, next_step=one.next_step + step) for one, step in zip(faults, more, strict=True)]
    return [replace(one, next_step=_OF_A_SERVICE.get(one.kind, one.next_step)) for one in faults]


def as_lost(faults: Iterable[Fault], start: Iterable[Fault]) -> list[Fault]:
    """Return what is wrong with a set by itself, of lost files only what is lost for the databases that it is for."""
    lost = {fault.message for fault in start if fault.kind is FaultKind.FILE_LOST}
    return [one for one in faults if one.kind is not FaultKind.FILE_LOST or one.message in lost]
