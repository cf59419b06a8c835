"""Logs that are in the log directory already and continue the set: they stay, and are played after the restored ones.

A log stays only where its own header proves it: same stream, next generation, and the creation time of the log before
it repeated. The current log is known by its header, not by its name. A log that is also in the set, or is older than
it, is set aside like checkpoint and databases. Everything else refuses the restore: the early engine deletes logs that
do not continue without a word (Q179654), and later ones fail on them (-565, -610, -611).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from blake3 import blake3

from tokar import names
from tokar.errors import ExistingFileError, HeaderError
from tokar.ese.filenames import FileName, NameRole, parse_file_name
from tokar.ese.log import LogHeader
from tokar.restore.inventory import NameKind, TargetDirectory
from tokar.restore.plan import Problem
from tokar.sets.facts import LogFacts
from tokar.storage.bytesource import FileSource, pieces_of

_LOG_NAMES: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
_HINT: Final = "move it elsewhere, or give up the logs that are there: --existing set-aside"


@dataclass(frozen=True, slots=True)
class RollForward:
    """What becomes of the logs that are there."""

    stays: frozenset[tuple[str, str]]  # Directory and name of those that stay
    high: int = 0  # The generation that is reached with them; 0 where none stays
    problems: tuple[Problem, ...] = ()  # Those that must not be there


@dataclass(frozen=True, slots=True)
class _Present:
    """A log that is there."""

    name: str
    by_name: FileName
    header: LogHeader
    size: int


def look_for_continuing(directory: TargetDirectory, placed: Sequence[LogFacts]) -> RollForward:
    """Return which logs of the log directory stay. Reads their headers, and all of those that are in the set as well.

    Args:
        directory: The log directory, as the inventory found it.
        placed: The logs that are placed, in order.

    Raises:
        StorageError: A log cannot be read.
    """
    last = placed[-1] if placed else None
    if last is None or last.signature is None or last.generation is None or last.current:
        why = "there is nothing to roll forward from: the set does not end with a closed log of a known format"
        error = ExistingFileError(why, hint="use --existing set-aside")
        return RollForward(frozenset(), problems=(Problem(error),))
    look = _Look(directory.path, placed, last, last.generation)
    for found in directory.found:
        if found.kind is NameKind.FILE and found.engine is not None:
            look.sort(found.name)
    end = look.follow()
    stays = frozenset((directory.path, one.name) for one in look.later)
    return RollForward(stays, end if stays else 0, tuple(look.problems))


class _Look:
    """The judgement so far."""

    def __init__(self, path: str, placed: Sequence[LogFacts], last: LogFacts, end: int) -> None:
        self._path = path
        self._placed = {one.generation: one for one in placed}
        self._last = last
        self._end = end
        self.problems: list[Problem] = []
        self.later: list[_Present] = []

    def _refuse(self, name: str, why: str) -> None:
        self.problems.append(Problem(ExistingFileError(f"{names.printable(name)} {why}", path=self._path, hint=_HINT)))

    def sort(self, name: str) -> None:
        """Sort one file of the directory: to be looked at as a later log, to be set aside, or a problem."""
        by_name = parse_file_name(name)
        own_base = (by_name.base or "").lower() == self._last.base
        try:
            with FileSource(Path(self._path, name)) as source:
                header, size = LogHeader.read(source), source.size
        except HeaderError as error:
            if by_name.role in _LOG_NAMES and own_base:
                self._refuse(name, f"cannot be proven to continue the set: {error.message}")
            return
        if by_name.role not in _LOG_NAMES:
            if by_name.role is NameRole.UNKNOWN:
                self._refuse(name, "is a log under a name that is none")
        elif header.signature != self._last.signature or not own_base:
            self._refuse(name, "is of another log stream (-610)")
        elif by_name.generation is not None and by_name.generation != header.generation:
            self._refuse(name, f"is log 0x{header.generation:X} by its header (-513)")
        elif header.generation in self._placed:
            self._judge_same(name, header, self._placed[header.generation])
        elif header.generation > self._end:
            self.later.append(_Present(name, by_name, header, size))

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
        end, created = self._end, self._last.created
        for one in self.later:
            header, generation = one.header, one.header.generation
            why = ""
            if generation != end + 1:
                where = "there twice" if generation == end else f"after a gap: log 0x{end + 1:X} is missing"
                why = f"is {where} (-565)"
            elif header.previous_created != created:
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


def _digest(path: Path) -> bytes:
    digest = blake3()
    with FileSource(path) as source:
        for piece in pieces_of(source):
            digest.update(piece)
    return digest.digest()
