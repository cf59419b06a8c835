"""Which logs a recovery plays: gathered by name, checked by content, linked one to the next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokar.ese.values import Signature
from tokar.lab.engine import EngineError, Era
from tokar.lab.instance import Place
from tokar.lab.log_formats import LogContent, read_log
from tokar.lab.log_stream import closed_logs, current_log


@dataclass(frozen=True, slots=True)
class Refusals:
    """What to answer where a log does not fit."""

    missing: int  # A log is not there
    signature: int  # A log is of another stream
    order: int  # A log does not continue the one before
    damaged: int  # A log is damaged


SOFT = Refusals(missing=-528, signature=-530, order=-515, damaged=-501)
RESTORED = Refusals(missing=-557, signature=-555, order=-556, damaged=-573)


class LogsToPlay:
    """Logs that are known to follow each other.

    Args:
        signature: Of the stream; None: that of the first log.
    """

    def __init__(self, signature: Signature | None = None) -> None:
        self.signature = signature
        self.logs: list[LogContent] = []

    def add(self, path: Path, generation: int | None, refusals: Refusals) -> None:
        """Append a log.

        Args:
            path: The file.
            generation: The number in its name; None for the current log.
            refusals: What to answer where it does not fit.

        Raises:
            EngineError: It does not fit, or its name and its header disagree (-513).
        """
        log = read_log(path, refusals.damaged)
        if generation is not None and log.header.generation != generation:
            raise EngineError(-513, "the number in the name is not the one in the header", path=path)
        if self.signature is not None and log.header.signature != self.signature:
            raise EngineError(refusals.signature, "the log is of another log stream", path=path)
        self.signature = log.header.signature
        if self.logs:
            self._check_link(log, refusals)
        self.logs.append(log)

    @property
    def last(self) -> LogContent:
        """The newest log."""
        return self.logs[-1]

    def generations(self) -> set[int]:
        """Return the generations of all logs."""
        return {log.header.generation for log in self.logs}

    def _check_link(self, log: LogContent, refusals: Refusals) -> None:
        before = self.last
        if log.header.generation != before.header.generation + 1:
            raise EngineError(refusals.missing, f"log {before.header.generation + 1:05X} is missing", path=log.path)
        if log.header.previous_created != before.header.created:
            raise EngineError(refusals.order, "the log does not continue the one before", path=log.path)
        if log.header.has_segments_link and log.header.previous_segments_xor != before.segments_xor:
            raise EngineError(-590, "the log before is not the one that this log continues", path=log.path)


def soft_run(place: Place, start: int | None) -> LogsToPlay:
    """Return the logs that a soft recovery plays: from `start`, or else the lowest there is, to the end.

    Raises:
        EngineError: A log is missing (-528), damaged (-501), or does not belong (-513, -515, -530, -590).
    """
    run = LogsToPlay()
    closed = closed_logs(place.logs, place.base)
    for generation, path in closed.items():
        if start is None or generation >= start:
            run.add(path, generation, SOFT)
    current = current_log(place.logs, place.base)
    if current is not None:
        run.add(current, None, SOFT)
    if not run.logs or (start is not None and run.logs[0].header.generation != start):
        raise EngineError(-528, "there is no log to begin recovery with", path=place.logs)
    return run


def restored_run(folder: Path, place: Place, low: int, high: int) -> LogsToPlay:
    """Return the logs of a restored set, exactly `low` to `high`.

    Raises:
        EngineError: One is missing (-557), damaged (-573), or does not belong (-555, -556, -590); in a folder of their
            own a log lies below (-554) or above (-553) the range.
    """
    run = LogsToPlay()
    closed = closed_logs(folder, place.base)
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
    refusals = Refusals(missing=-565, signature=-610, order=-611, damaged=-501)
    for index, (generation, path) in enumerate(found):
        try:
            run.add(path, generation, refusals)
        except EngineError:
            if not era.deletes_after_gap:
                raise
            return [path for _, path in found[index:]]
    return []
