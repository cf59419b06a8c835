"""Faults of a set, as data: what is wrong, which files, which error the engine would give, what to do next.

The members of `FaultKind` stand in the order of causes: what comes first explains what comes later, so that a sorted
report begins with the root cause. What only follows from a fault is not a fault of its own; it is one of its
consequences.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Final

from tokar.sets.enginecodes import EngineCode, engine_code

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN: Final = 8
MOST_LISTED: Final = 1000
"""How many generations a fault lists; its message names all of them."""


class Severity(IntEnum):
    """How bad a fault is."""

    ERROR = 0  # recovery fails
    LOSS = 1  # recovery goes on only with a loss that somebody has accepted
    WARNING = 2  # recovery works; worth knowing before it begins


class Scope(StrEnum):
    """What a fault is about."""

    FILE = "file"  # one file, by itself
    SET = "set"  # how the files go together


class FaultKind(StrEnum):
    """What can be wrong with a set, root causes first."""

    DATABASE_UNREADABLE = "database-unreadable"
    STATE_UNUSABLE = "state-unusable"
    DATABASE_CUT = "database-cut"
    TRAILER_MISSING = "trailer-missing"
    TRAILER_DAMAGED = "trailer-damaged"
    TRAILER_FOREIGN = "trailer-foreign"
    MISSING_FULL = "missing-full"
    LOG_UNREADABLE = "log-unreadable"
    LOG_MISSING = "log-missing"
    LOG_FOREIGN = "log-foreign"
    LOG_FORKED = "log-forked"
    LOG_DIFFERS = "log-differs"
    LOG_OF_OTHER_BRANCH = "log-of-other-branch"
    LOG_NAME = "log-name"
    LOG_SIZE = "log-size"
    LOG_PAGE_SIZE = "log-page-size"
    LOG_DAMAGED = "log-damaged"
    LOG_TORN = "log-torn"
    LINK_BROKEN = "link-broken"
    LOG_ALTERED = "log-altered"
    PATCH_MISSING = "patch-missing"
    PAGES_DAMAGED = "pages-damaged"
    PAGES_MISPLACED = "pages-misplaced"
    COMMITTED_LOG_MISSING = "committed-log-missing"
    HEADER_COPY = "header-copy"
    PAGES_CORRECTABLE = "pages-correctable"
    DATABASE_NOT_HERE = "database-not-here"
    LOGS_AFTER_GAP = "logs-after-gap"
    STRAY_LOGS = "stray-logs"
    CHECKPOINT_DAMAGED = "checkpoint-damaged"
    CHECKPOINT_FOREIGN = "checkpoint-foreign"
    CHECKPOINT_NEWER = "checkpoint-newer"
    FLUSH_MAP_FOREIGN = "flush-map-foreign"
    PRIOR_DIFFERS = "prior-differs"
    SALVAGED = "salvaged"

    @property
    def scope(self) -> Scope:
        """Whether it is about one file by itself, or about how files go together."""
        return Scope.FILE if self in _FILE_KINDS else Scope.SET


_FILE_KINDS: Final = {
    FaultKind.DATABASE_UNREADABLE,
    FaultKind.STATE_UNUSABLE,
    FaultKind.DATABASE_CUT,
    FaultKind.TRAILER_MISSING,
    FaultKind.TRAILER_DAMAGED,
    FaultKind.TRAILER_FOREIGN,
    FaultKind.LOG_UNREADABLE,
    FaultKind.LOG_NAME,
    FaultKind.LOG_SIZE,
    FaultKind.LOG_DAMAGED,
    FaultKind.LOG_TORN,
    FaultKind.PAGES_DAMAGED,
    FaultKind.PAGES_MISPLACED,
    FaultKind.HEADER_COPY,
    FaultKind.PAGES_CORRECTABLE,
    FaultKind.CHECKPOINT_DAMAGED,
}
_ORDER: Final = {kind: place for place, kind in enumerate(FaultKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a set."""

    kind: FaultKind  # What
    message: str  # The same in one sentence, with names and numbers
    severity: Severity = Severity.ERROR  # How bad it is
    files: tuple[str, ...] = ()  # Names of the files concerned
    generations: tuple[int, ...] = ()  # Log generations concerned, at most `MOST_LISTED`
    code: int | None = None  # The error the engine gives; None where it gives none
    next_step: str = ""  # What to do
    databases: tuple[str, ...] = ()  # Names of the databases that suffer
    consequences: tuple[str, ...] = ()  # What follows from it and is therefore not reported by itself

    @property
    def engine(self) -> EngineCode | None:
        """The error with its name."""
        return engine_code(self.code)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.kind.value,
            "severity": self.severity.name.lower(),
            "message": self.message,
            "files": list(self.files),
            "generations": list(self.generations),
            "engine": self.engine.to_json() if self.engine else None,
            "next_step": self.next_step,
            "databases": list(self.databases),
            "consequences": list(self.consequences),
        }


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
        consequences=tuple(dict.fromkeys((*one.consequences, *other.consequences))),
    )


def _place(fault: Fault) -> tuple[int, int, int, tuple[str, ...]]:
    return fault.severity, _ORDER[fault.kind], min(fault.generations, default=0), fault.files


def some(items: Iterable[str]) -> str:
    """Return a list in words, cut off where it grows long."""
    listed = list(items)
    more = f" and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    return ", ".join(listed[:_SHOWN]) + more


def ranges(generations: Iterable[int]) -> str:
    """Return generations in words: `0x5`, `0x5-0x7, 0x9`."""
    runs: list[list[int]] = []
    for generation in sorted(set(generations)):
        if runs and generation == runs[-1][1] + 1:
            runs[-1][1] = generation
        else:
            runs.append([generation, generation])
    return spans(range(low, high + 1) for low, high in runs)


def spans(runs: Iterable[range]) -> str:
    """Return runs of generations in words; however long a run is, it costs nothing."""
    return some(f"0x{run[0]:X}" if len(run) == 1 else f"0x{run[0]:X}-0x{run[-1]:X}" for run in runs)


def first_of(runs: Iterable[range]) -> tuple[int, ...]:
    """Return the first generations of runs, at most `MOST_LISTED`."""
    return tuple(islice(chain.from_iterable(runs), MOST_LISTED))
