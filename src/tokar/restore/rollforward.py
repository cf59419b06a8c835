"""Logs that are in the log directory already and continue the set: they stay, and are played after the restored ones.

A log stays only where its own header proves it: same stream, next generation, and the creation time of the log before
it repeated. The current log is known by its header, not by its name. A log that is also in the set, or is older than
it, is set aside like checkpoint and databases. Everything else refuses the restore: the early engine deletes logs that
do not continue without a word (Q179654), and later ones fail on them (-565, -610, -611).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from tokar import names
from tokar.errors import ExistingFileError, HeaderError
from tokar.ese.filenames import FileName, NameRole, parse_file_name
from tokar.ese.log import LogHeader
from tokar.restore.inventory import NameKind
from tokar.restore.plan import Problem
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tokar.restore.inventory import TargetDirectory
    from tokar.sets.facts import LogFacts

_LOG_NAMES: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
_HINT: Final = "move it elsewhere, or give up the logs that are there: --existing set-aside"
_PIECE: Final = 1 << 20


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


@dataclass(slots=True)
class _Look:
    """The judgement so far."""

    path: str
    placed: dict[int, LogFacts]
    last: LogFacts
    problems: list[Problem] = field(default_factory=list)
    later: list[_Present] = field(default_factory=list)

    def refuse(self, name: str, why: str) -> None:
        self.problems.append(Problem(ExistingFileError(f"{names.printable(name)} {why}", path=self.path, hint=_HINT)))


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
        return RollForward(frozenset(), problems=(Problem(ExistingFileError(why, hint="use --existing set-aside")),))
    look = _Look(directory.path, {one.generation: one for one in placed if one.generation is not None}, last)
    for found in directory.found:
        if found.kind is NameKind.FILE and found.engine is not None:
            _judge(look, found.name)
    end = _follow(look)
    stays = frozenset((directory.path, one.name) for one in look.later)
    return RollForward(stays, end if stays else 0, tuple(look.problems))


def _judge(look: _Look, name: str) -> None:
    """Sort one file of the directory: to be looked at as a later log, to be set aside, or a problem."""
    by_name = parse_file_name(name)
    path = Path(look.path, name)
    try:
        with FileSource(path) as source:
            header, size = LogHeader.read(source), source.size
    except HeaderError as error:
        if by_name.role in _LOG_NAMES and (by_name.base or "").lower() == look.last.base:
            look.refuse(name, f"cannot be proven to continue the set: {error.message}")
        return
    if by_name.role not in _LOG_NAMES:
        if by_name.role is NameRole.UNKNOWN:
            look.refuse(name, "is a log under a name that is none")
        return
    present = _Present(name, by_name, header, size)
    if header.signature != look.last.signature or (by_name.base or "").lower() != look.last.base:
        look.refuse(name, "is of another log stream (-610)")
    elif by_name.generation is not None and by_name.generation != header.generation:
        look.refuse(name, f"is log 0x{header.generation:X} by its header (-513)")
    elif header.generation in look.placed:
        _judge_same(look, present, look.placed[header.generation])
    elif look.last.generation is not None and header.generation > look.last.generation:
        look.later.append(present)


def _judge_same(look: _Look, present: _Present, own: LogFacts) -> None:
    """A log that the set has too is set aside if it is the same; else histories have parted, or one copy is damaged."""
    shown = f"0x{present.header.generation:X}"
    if present.header.created != own.created:
        look.refuse(present.name, f"is another log {shown} than the one in the set: histories parted (-611)")
    elif own.digest is not None and _digest(Path(look.path, present.name)) != own.digest:
        look.refuse(present.name, f"is log {shown} as in the set, with other bytes")


def _digest(path: Path) -> bytes:
    digest = blake3()
    with FileSource(path) as source:
        for offset in range(0, source.size, _PIECE):
            digest.update(source.read(offset, min(_PIECE, source.size - offset)))
    return digest.digest()


def _follow(look: _Look) -> int:
    """Check that the later logs continue the set without a hole; return the generation they reach."""
    look.later.sort(key=lambda one: one.header.generation)
    end = look.last.generation or 0
    created = look.last.created
    for one in look.later:
        generation = one.header.generation
        if generation != end + 1:
            why = "there twice" if generation == end else f"after a gap: log 0x{end + 1:X} is missing"
            look.refuse(one.name, f"is {why} (-565)")
            return end
        if one.header.previous_created != created:
            look.refuse(one.name, f"does not continue log 0x{end:X}: histories parted (-611)")
            return end
        if one.size < one.header.file_size:
            look.refuse(one.name, f"has {one.size:,} bytes, its header says {one.header.file_size:,}")
            return end
        end, created = generation, one.header.created
    _demand_current_last(look, look.later)
    return end


def _demand_current_last(look: _Look, later: Iterable[_Present]) -> None:
    listed = list(later)
    for one in listed[:-1]:
        if one.by_name.role is NameRole.CURRENT_LOG:
            look.refuse(one.name, f"is the current log, and 0x{listed[-1].header.generation:X} is later")
