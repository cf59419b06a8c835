"""The files of a set that no restore places beside the others: as many as there are logs, where it comes to that."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, overload

from tokar.ese.filenames import parse_file_name
from tokar.sets.database_run import DatabaseRun
from tokar.sets.facts import FileFacts, LogFacts, SetFacts
from tokar.sets.logs import LogTable
from tokar.sets.roles import LogRole, LogRoles
from tokar.words import some

PLACED_AS: Final = "another file is placed as generation "
"""Its generation follows."""
NEXT_LOG: Final = "the next log being prepared, which nobody needs beside a current log"
"""The engine begins it anew: it does no harm where it lies."""
MADE_ANEW: Final = "a {} file, rebuilt by the engine"
"""What it is by its header."""
TEMPORARY: Final = "a temporary database: the engine makes it anew"
"""Nobody needs it, wherever it lies."""
HARMLESS: Final = {NEXT_LOG, TEMPORARY}
"""Reasons of files that recovery does not mind."""
UNREADABLE: Final = "cannot be read, and is not needed: "
"""What was found in it follows."""


NOT_PLACED: Final = {LogRole.BEFORE_GAP, LogRole.AFTER_GAP, LogRole.FOREIGN, LogRole.UNUSED}
"""What logs are that no restore places, but where it is not known which are needed."""


_BEYOND: Final = {LogRole.BEFORE_GAP, LogRole.AFTER_GAP}


class Reason(NamedTuple):
    """Why a file is left out, the same for many."""

    text: str  # Why
    code: int | None = None  # What the engine would answer to it; None where that is not said
    is_harmless: bool = False  # Whether recovery does not mind the file where it lies


_BEFORE: Final = Reason("no unbroken run of logs leads from it to what is needed", -528)
_NOT_FOUND: Final = Reason("the engine looks for it under another name: tokar restore --right-names gives it", -543)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A file that no restore places beside the others."""

    file: FileFacts  # The file
    why: Reason  # Why

    @property
    def reason(self) -> str:
        """Why, in a sentence."""
        text, file = self.why.text, self.file
        if text.endswith(PLACED_AS):
            return f"{text}0x{(file.generation if isinstance(file, LogFacts) else None) or 0:X}"
        return text + file.note if text == UNREADABLE else text

    @property
    def code(self) -> int | None:
        """What the engine would answer to it; None where that is not said."""
        return self.why.code

    @property
    def is_harmless(self) -> bool:
        """Whether recovery does not mind it where it is placed all the same."""
        return self.why.is_harmless or self.why.text in HARMLESS

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"name": self.file.name, "reason": self.reason}


class LeftOutFiles(Sequence[LeftOut]):
    """Files that are left out, each made when it is asked for: ten bytes for each.

    Args:
        files: The files, each with the reason.
    """

    def __init__(self, files: Iterable[tuple[FileFacts, Reason]]) -> None:
        self._files: list[FileFacts] = []
        self._reasons: dict[Reason, int] = {}
        self._why = array("H")
        for file, reason in files:
            self._files.append(file)
            self._why.append(self._reasons.setdefault(reason, len(self._reasons)))
        self._known = [*self._reasons]

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, at: int) -> LeftOut: ...

    @overload
    def __getitem__(self, at: slice) -> list[LeftOut]: ...

    def __getitem__(self, at: int | slice) -> LeftOut | list[LeftOut]:
        if isinstance(at, slice):
            return [self[one] for one in range(*at.indices(len(self)))]
        return LeftOut(self._files[at], self._known[self._why[at]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    def __hash__(self) -> int:
        return hash(tuple(self))


def left_out_of(
    facts: SetFacts, table: LogTable, runs: list[DatabaseRun], roles: LogRoles
) -> Iterator[tuple[FileFacts, Reason]]:
    """Yield the files that recovery must not meet, each with the reason."""
    for checkpoint in facts.checkpoints:
        yield checkpoint, Reason("a checkpoint: recovery would begin where it stands")
    known = {one.header.flush_map_signature for one in facts.databases if one.header is not None}
    for flush_map in facts.flush_maps:
        if flush_map.signature not in known:
            yield flush_map, Reason("out of step with every database here: the engine makes a new one")
    yield from _logs_left_out(facts, table, runs, roles)
    again = _logs_left_out(facts, table, runs, roles) if facts.next_logs else ()
    apart = {id(file) for file, _ in again}
    placed = [log for log in facts.logs if log.has_engine_name and id(log) not in apart] if facts.next_logs else []
    for log in facts.next_logs:
        base, suffix = (parse_file_name(log.leaf).base or "").lower(), log.leaf.rpartition(".")[2].lower()
        beside = _beside_next([one for one in placed if one.base == base], log.folder)
        if any(one.current for one in beside):
            yield log, Reason(NEXT_LOG)
        elif suffix not in {one.suffix for one in beside} | ({suffix} if not placed else set()):
            yield log, Reason(f"the next log of another stream: logs that end in .{suffix} are not here")


def _beside_next(logs: list[LogFacts], folder: str) -> list[LogFacts]:
    """Return the logs of the streams in a folder: a next log is of the instance whose logs lie beside it."""
    streams = {log.signature for log in logs if log.folder == folder}
    return [log for log in logs if log.signature in streams] if streams else logs


def _logs_left_out(
    facts: SetFacts, table: LogTable, runs: list[DatabaseRun], roles: LogRoles
) -> Iterator[tuple[FileFacts, Reason]]:
    """Yield the logs that recovery must not meet; where it is not known which it needs, none is left out."""
    if not facts.databases:
        yield from ((log, Reason(PLACED_AS)) for log in facts.logs if not table.is_best(log))
    if not any(run.is_settled for run in runs):
        return
    open_streams = {run.signature for run in runs if not run.is_settled}
    names = {run.run[-1].name: run for run in runs if run.run}
    beyond = Reason(f"the run of logs ends before it{f', with {some(names)}' if names else ''}", -515)
    for log, role in roles.pairs():
        if role not in NOT_PLACED or log.is_opaque or (log.signature in open_streams and log.signature is not None):
            continue
        if role is LogRole.FOREIGN and not facts.has_unreadable_database:
            yield log, Reason("of another log stream than the databases here", -530)
        elif role in _BEYOND:
            found = log.signature is None or table.is_twice(log) or not table.right_name(log)
            yield log, (_BEFORE if role is LogRole.BEFORE_GAP else beyond) if found else _NOT_FOUND
        elif role is LogRole.UNUSED and log.damaged and not facts.has_unreadable_database:
            yield log, Reason(UNREADABLE, -501)
        elif role is LogRole.UNUSED and not log.damaged:
            damaged = "it is no good, and " if table.whole_copy(log, ()) is not None else ""
            yield log, Reason(damaged + PLACED_AS, -515)
