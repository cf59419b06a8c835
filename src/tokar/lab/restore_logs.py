"""Which logs a recovery plays: gathered by name, checked by content, linked one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokar.ese.log import LogHeader
from tokar.ese.values import Signature
from tokar.lab.engine import EngineError, Era
from tokar.lab.instance import Place
from tokar.lab.log_formats import LogContent, read_header, read_log
from tokar.lab.log_stream import closed_logs, current_log, next_log


@dataclass(frozen=True, slots=True)
class Refusals:
    """What to answer where a log does not fit."""

    missing: int  # A log is not there
    signature: int  # A log is of another stream
    order: int  # A log does not continue the one before, or is not the one that its name says
    damaged: int  # A log is damaged
    torn: int | None = None  # A log ends in a torn write; None: it is patched


SOFT = Refusals(missing=-528, signature=-530, order=-515, damaged=-501)
RESTORED = Refusals(missing=-557, signature=-555, order=-556, damaged=-573, torn=-570)
LATER = Refusals(missing=-565, signature=-610, order=-611, damaged=-574, torn=-571)


class LogsToPlay:
    """Logs that are known to follow each other.

    Args:
        page_size: Of the databases.
    """

    def __init__(self, page_size: int) -> None:
        self.signature: Signature | None = None  # Of the stream: that of the first log
        self.logs: list[LogContent] = []
        self._page_size = page_size

    def add(self, path: Path, generation: int | None, refusals: Refusals, *, is_current: bool = False) -> None:
        """Append a log.

        Args:
            path: The file.
            generation: The generation that it must have; None where that does not matter.
            refusals: What to answer where it does not fit.
            is_current: Whether it is the current log.

        Raises:
            EngineError: It does not fit.
        """
        header = read_header(path, refusals.damaged)
        if self.signature is not None and header.signature != self.signature:
            raise EngineError(refusals.signature, "the log is of another log stream", path=path)
        if header.page_size != self._page_size:
            raise EngineError(-1213, "the log is for databases with pages of another size", path=path)
        self.signature = header.signature
        if generation is not None and header.generation != generation:
            raise EngineError(refusals.order, f"the log is not generation {generation:05X}", path=path)
        self._check_link(header, path, refusals)
        self.logs.append(read_log(path, refusals.damaged, refusals.torn, is_current=is_current))

    @property
    def last(self) -> LogContent:
        """The newest log."""
        return self.logs[-1]

    def generations(self) -> set[int]:
        """Return the generations of all logs."""
        return {log.header.generation for log in self.logs}

    def _check_link(self, header: LogHeader, path: Path, refusals: Refusals) -> None:
        if not self.logs:
            return
        before = self.last
        if header.generation != before.header.generation + 1:
            raise EngineError(refusals.missing, f"log {before.header.generation + 1:05X} is missing", path=path)
        if header.previous_created != before.header.created:
            raise EngineError(refusals.order, "the log does not continue the one before", path=path)
        if header.has_segments_link and header.previous_segments_xor != before.segments_xor:
            raise EngineError(-590, "the log before is not the one that this log continues", path=path)


def soft_run(place: Place, page_size: int, start: int | None, needs: Needs) -> LogsToPlay:
    """Return the logs that a soft recovery plays: from `start`, or else the lowest there is, to the end.

    Every generation is looked for by its number, and the current log taken for one that is not there.

    Raises:
        EngineError: A log is missing (-528, -582), damaged (-501, -586), or does not belong (-515, -530, -590).
    """
    run = LogsToPlay(page_size)
    closed, current = closed_logs(place.logs, place.base), current_log(place.logs, place.base)
    if current is None and next_log(place.logs, place.base) is None and not needs.give_up:
        raise EngineError(-528, "there is no current log, and none that was being prepared", path=place.logs)
    own = read_header(current).generation if current is not None else 0
    if start is not None and start not in {*closed, own}:
        raise EngineError(-528, f"log {start:05X}, where recovery begins, is missing", path=place.logs)
    generation = start or min(closed, default=own)
    while (path := closed.get(generation) or current) is not None:
        try:
            run.add(path, generation, SOFT, is_current=path == current)
        except EngineError as error:
            if error.code not in _GIVEN_UP or not run.logs:
                raise
            needs.weigh(generation, error)
            _delete_from(generation, closed, current)
            return run
        if path == current:
            return run
        generation += 1
    if not run.logs or max(closed) > generation:
        raise EngineError(-528, f"log {generation:05X} is missing", path=place.logs)
    return run


def _delete_from(generation: int, closed: dict[int, Path], current: Path | None) -> None:
    """Delete a log and all after it, which nobody can play any more."""
    for path in (*(path for at, path in closed.items() if at >= generation), current):
        if path is not None:
            path.unlink()


_GIVEN_UP: Final = {-515: -582, -501: -586}
"""What may be wrong with a log that holds nothing but committed transactions, and what is answered then."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Up to which log databases ask for logs."""

    required: int  # The highest one that a database is nothing without
    committed: int  # The highest one with transactions that were committed
    give_up: bool  # Whether somebody said to go on without the latter (/a)

    def weigh(self, generation: int, error: EngineError) -> None:
        """Let recovery end before a log that is no good, where that is allowed.

        Raises:
            EngineError: It is not.
        """
        if self.required >= generation or (not self.give_up and self.committed < generation):
            raise error
        if not self.give_up:
            message = f"log {generation:05X} holds committed transactions and is lost"
            raise EngineError(_GIVEN_UP[error.code], message, path=error.path) from error


def restored_run(folder: Path, place: Place, page_size: int, low: int, high: int) -> LogsToPlay:
    """Return the logs of a restored set, exactly `low` to `high`.

    Raises:
        EngineError: One is missing (-557), damaged (-573), or does not belong (-555, -556, -590); in a folder of their
            own a log lies below (-554) or above (-553) the range.
    """
    run = LogsToPlay(page_size)
    closed = closed_logs(folder, place.base, holding=low)
    if folder.resolve() != place.logs.resolve():
        if any(generation < low for generation in closed):
            raise EngineError(-554, f"there is a log below {low:05X}", path=folder)
        if any(generation > high for generation in closed):
            raise EngineError(-553, f"there is a log above {high:05X}", path=folder)
    for generation in range(low, high + 1):
        if generation not in closed:
            raise EngineError(-557, f"log {generation:05X} is missing", path=folder)
        run.add(closed[generation], generation, RESTORED)
    return run


def roll_forward(run: LogsToPlay, place: Place, era: Era) -> list[Path]:
    """Add the logs in the log folder that continue a restored set, and return those that recovery deletes.

    A later log that does not continue ends the run: the early engine deletes it and all after it without a word
    (Q179654), later ones refuse.

    Raises:
        EngineError: A later log is missing (-565), of another stream (-610), or of another history (-611), where that
            is refused.
    """
    later = [
        (generation, path)
        for generation, path in closed_logs(place.logs, place.base).items()
        if generation > run.last.header.generation
    ]
    found: list[tuple[int | None, Path]] = list(later)
    current = current_log(place.logs, place.base)
    if current is not None:
        found.append((None, current))
    for index, (generation, path) in enumerate(found):
        try:
            run.add(path, generation, LATER, is_current=path == current)
        except EngineError:
            if not era.deletes_after_gap:
                raise
            return [path for _, path in found[index:]]
    return []
