"""The plan of a restore: for every entry where it goes and why, and everything that stands in the way.

A plan is data. It can be printed, compared, kept as JSON and executed (`place`); it decides everything, so that placing
decides nothing. `planner` makes it.
"""

from __future__ import annotations

import operator
import os
from array import array
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from tokar import errors, names
from tokar.as_json import Array, as_json, fields_json, to_base64
from tokar.format.archive import chosen_of
from tokar.paths import joined
from tokar.restore.written import WrittenFiles

if TYPE_CHECKING:
    from tokar.format.index import Entry
    from tokar.restore.inventory import FoundList, TargetDirectory
    from tokar.restore.next_steps import Guidance


class Action(StrEnum):
    """What happens with an entry."""

    PLACE = "place"
    LEAVE_OUT = "leave out"
    REFUSE = "refuse"


class Existing(StrEnum):
    """What to do about files that are in the target directories already."""

    REFUSE = "refuse"
    SET_ASIDE = "set-aside"
    ROLL_FORWARD = "roll-forward"  # logs that are proven to continue the set stay, the rest is set aside


# How urgent a problem is, the most urgent first. A plain RestoreError is UNPLACED unless its problem says otherwise.
UNRECOVERABLE, INCOMPLETE, UNPLACED, BAD_TARGET = 0, 1, 2, 7
_URGENCY = {
    errors.UnknownTokenError: 3,
    errors.AmbiguousLocationError: 4,
    errors.UnsafeNameError: 5,
    errors.CollisionError: 6,
    errors.ExistingFileError: 8,
    errors.NoRoomError: 9,
}


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One reason why the plan may not be carried out."""

    error: errors.RestoreError  # What is wrong, as it is raised
    entries: tuple[int, ...] = ()  # The numbers of the entries concerned
    urgency: int = UNPLACED  # Its place among the problems, where the class of the error does not say it
    is_taken: bool = False  # Whether files are there under the names of those that are placed, and that is all

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # equal by content

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        error, entries = self.error, list(self.entries)
        about = {"kind": error.word, "message": error.message, "entries": entries}
        return about | fields_json(error, "path", "hint")


def sort_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems in order, the most urgent first."""
    return tuple(sorted(problems, key=lambda one: _URGENCY.get(type(one.error), one.urgency)))


def raise_first(problems: Sequence[Problem]) -> None:
    """Raise the error of the first problem, with the others as notes.

    Raises:
        RestoreError: There is a problem.
    """
    if problems:
        first, *others = (problem.error for problem in problems)
        said = {first.hint, None}
        first.__notes__ = [f"also: {one}" + (f" ({one.hint})" if one.hint not in said else "") for one in others]
        raise first.with_traceback(None)


@dataclass(frozen=True, slots=True)
class Step:
    """What happens with one entry."""

    entry: Entry  # The entry
    token_name: str  # The name of its token in the profile
    leaf: str | None  # Its leaf; None where the stored name has none that is safe
    rule: str  # The rule that decided, or why nothing is placed, in a short sentence
    directory: str | None  # The directory it goes to; None where nothing is placed
    name: str | None  # The name it gets there
    action: Action  # What is done

    @property
    def target(self) -> str | None:
        """The path it gets, or None."""
        if self.directory is None or self.name is None:
            return None
        return joined(self.directory, self.name)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        entry = self.entry
        result = {
            "number": entry.number,
            "name": entry.name,
            "token": entry.token,
            "token_name": self.token_name,
            "leaf": self.leaf,
            "size": entry.size,
            "digest": entry.digest.hex(),
            "rule": self.rule,
            "target": self.target,
            "action": self.action.value,
        }
        if names.decode(entry.raw_name, entry.encoding) is None:
            result["name_base64"] = to_base64(entry.raw_name)
        return result


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided about one entry, or about all entries of a token."""

    directory: str | None  # The directory; None where nothing is placed
    name: str | None  # The name in it; None for the leaf of the entry
    rule: str  # The rule that decided
    action: Action  # What is done


class Steps:
    """The steps of a plan, made when they are asked for, so that a plan of a million entries stays small.

    Args:
        entries: The entries that were asked for.
        decisions: The decisions there are.
        codes: For each entry, which decision.
        token_names: The names of all tokens.
        digest: Of where all entries go, and of what they are.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        decisions: tuple[Decision, ...],
        codes: array[int],
        token_names: Mapping[int, str],
        digest: bytes,
    ) -> None:
        self.digest = digest
        self._entries = entries
        self._decisions = decisions
        self._codes = codes
        self._token_names = token_names

    @classmethod
    def joined(cls, parts: Sequence[Steps]) -> Steps:
        """Return the steps of several plans as those of one, with the entries numbered anew from 0."""
        entries: list[Entry] = []
        decisions: dict[Decision, int] = {}
        codes = array("I")
        token_names: dict[int, str] = {}
        for step in chain.from_iterable(parts):
            entries.append(step.entry._replace(number=len(entries)))
            decision = Decision(step.directory, step.name, step.rule, step.action)
            codes.append(decisions.setdefault(decision, len(decisions)))
            token_names[step.entry.token] = step.token_name
        digest = blake3(b"".join(one.digest for one in parts)).digest()
        return cls(entries, tuple(decisions), codes, token_names, digest)

    def __len__(self) -> int:
        return len(self._codes)

    def __iter__(self) -> Iterator[Step]:
        return map(self._make, self._entries, self._codes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Steps):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    def at(self, place: int) -> Step:
        """Return the step at a place."""
        return self._make(self._entries[place], self._codes[place])

    def placements(self, wanted: Callable[[int, int], bool] | None = None) -> Iterator[tuple[str, str, Entry]]:
        """Yield directory, name and entry of every file that is placed, without making steps of them.

        Args:
            wanted: Whether one is yielded, by the place of its step and its size; all by default.
        """
        pairs = enumerate(self._entries) if wanted is None else chosen_of(self._entries, wanted)
        for at, entry in pairs:
            decision = self._decisions[self._codes[at]]
            if decision.directory is not None:
                yield decision.directory, decision.name or names.leaf(entry.raw_name, entry.encoding), entry

    def _make(self, entry: Entry, code: int) -> Step:
        """Return the step of one entry."""
        decision = self._decisions[code]
        leaf = entry.leaf
        name = (decision.name or leaf) if decision.directory is not None else None
        return Step(
            entry, self._token_names[entry.token], leaf, decision.rule, decision.directory, name, decision.action
        )


@dataclass(frozen=True, slots=True)
class Extra:
    """A file that is written beside the entries, from bytes that the archive keeps."""

    directory: str  # The directory it goes to
    name: str  # Its name
    data: bytes  # Its content


@dataclass(frozen=True, slots=True)
class Aside:
    """A file of the target directory that is renamed out of the way. Nothing is ever deleted."""

    directory: str  # The directory it is in, before and after
    name: str  # Its name now
    new_name: str  # Its name afterwards
    why: str  # What it is or what it stands in the way of


@dataclass(frozen=True, slots=True)
class AsidesOf:
    """The files of one directory that are renamed out of the way."""

    directory: str  # Its path
    found: FoundList  # What is in it
    places: array[int]  # Which of that
    stamp: str  # When, as it stands in the new names
    number: int  # What the new names end in
    numbers: Mapping[int, int]  # By place, what else they end in: where two would be alike
    name_limit: int  # The longest name in bytes

    def __iter__(self) -> Iterator[Aside]:
        for place in self.places:
            found = self.found.at(place)
            yield Aside(self.directory, found.name, self.new_name(place, found.name), found.engine or "same name")

    def new_name(self, place: int, name: str) -> str:
        """Return the name that a file gets; one that would be too long is cut."""
        ending = f"{names.ASIDE_MARK}{self.stamp}-{self.numbers.get(place, self.number)}"
        while name and len(os.fsencode(name)) + len(ending) > self.name_limit:
            name = name[:-1]
        return name + ending


class Asides(Collection[Aside]):
    """The renames that make room, made when they are asked for: as many as there are files, where a set is replaced.

    Args:
        parts: Those of each directory, in the order of the renames.
    """

    def __init__(self, parts: Iterable[AsidesOf] = ()) -> None:
        self.parts = tuple(parts)

    def __len__(self) -> int:
        return sum(len(one.places) for one in self.parts)

    def __iter__(self) -> Iterator[Aside]:
        return chain.from_iterable(self.parts)

    def __contains__(self, aside: object) -> bool:
        return any(one == aside for one in self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Asides | tuple) and len(self) == len(other) and all(map(operator.eq, self, other))

    __hash__ = None  # type: ignore[assignment]  # equal by content, and long

    def names_in(self, directory: str) -> Iterator[str]:
        """Yield the names that go away from a directory."""
        return (one.name for part in self.parts if part.directory == directory for one in part)


@dataclass(frozen=True, slots=True)
class Interrupted:
    """What an interrupted run of the same plan left behind, and what is used of it (`journal`)."""

    name: str  # The name of its staging directories
    placed: WrittenFiles  # Directory and name of the files that are in place, and whole
    staged: WrittenFiles  # Directory and name of the files that are staged with the right size
    asides: tuple[Aside, ...]  # The renames of old files that it has done
    journals: tuple[tuple[str, str, str], ...]  # Directory, name and identity of its journals
    registered: bool = False  # Whether it may have registered something with a server
    is_done: bool = False  # Whether all files are in place already

    def within(self, directories: Container[str]) -> Interrupted:
        """Return what of it is in some directories."""
        placed, staged = self.placed.within(directories), self.staged.within(directories)
        asides = tuple(one for one in self.asides if one.directory in directories)
        return replace(self, placed=placed, staged=staged, asides=asides)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "in_place": sorted(os.path.join(*one) for one in self.placed),  # noqa: PTH118 - text
            "staged": len(self.staged),
            "set_aside": [fields_json(one, "directory", "name", "new_name") for one in self.asides],
        }


@dataclass(frozen=True, slots=True)
class PlannedDirectory:
    """A directory that gets files."""

    path: str  # Its path
    make: bool  # Whether it has to be made
    files: int  # How many files it gets
    databases: int  # How many of them are databases, and so placed last
    size: int  # How many bytes
    identity: str  # The same for two paths that mean one directory
    room: int = 0  # How many bytes its files take on the file system, but for those that are written already


@dataclass(frozen=True, slots=True)
class Plan:
    """The complete plan of one restore."""

    profile: str  # The profile that names the tokens
    roots: tuple[str, ...]  # The roots of the archives that it is for, as hex digits
    steps: Steps  # One for each entry that was asked for, in the order of the archive
    extras: tuple[Extra, ...]  # Files that come from elsewhere in the archive
    asides: Asides  # Renames that come first, in their order: checkpoints, databases, the rest
    directories: tuple[PlannedDirectory, ...]  # The directories that get files
    problems: tuple[Problem, ...]  # Everything that stands in the way, the most important first
    notes: tuple[str, ...]  # What is good to know, in one line each
    recovery: Guidance | None = None  # What follows the restore; None where nobody has looked at the files
    # What an interrupted run of the same plan left behind, from where this one goes on; None where there is nothing.
    interrupted: Interrupted | None = None
    seen: tuple[TargetDirectory, ...] = ()  # The directories as they were when it was made; placing looks again
    stays: frozenset[tuple[str, str]] = frozenset()  # Directory and name of logs that are there and stay
    gives_way: frozenset[int] = frozenset()  # Numbers of the entries in whose place one of them stays

    @property
    def size(self) -> int:
        """Bytes of content that will be placed."""
        return sum(directory.size for directory in self.directories)

    @property
    def has_incomplete(self) -> bool:
        """Whether a file is placed of which salvage could save only a part."""
        return any(entry.incomplete for _, _, entry in self.steps.placements())

    def raise_for_problems(self) -> None:
        """Raise the error of the most urgent problem, with all others as notes of it.

        Raises:
            RestoreError: There is a problem.
        """
        raise_first(self.problems)

    def to_json(self, array: Array = list) -> dict[str, Any]:
        """Return the plan as values for JSON. `array`: makes the arrays that have a row for each file."""
        return {
            "profile": self.profile,
            "roots": list(self.roots),
            "steps": array(step.to_json() for step in self.steps),
            "extras": [
                {"directory": extra.directory, "name": extra.name, "size": len(extra.data)} for extra in self.extras
            ],
            "set_aside": array(map(as_json, self.asides)),
            "directories": [fields_json(one, "path", "make", "files", "size") for one in self.directories],
            "problems": as_json(self.problems),
            "notes": list(self.notes),
            "recovery": self.recovery.to_json() if self.recovery else None,
            "continues": self.interrupted.to_json() if self.interrupted else None,
        }
