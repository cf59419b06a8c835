"""The log stream of an instance: the current log, the closed ones, and the step from one to the next.

The current log is BBB.log; its number stands only in its header. When it is full, or a backup asks for the list of
logs, it is closed: the next one is made as BBBtmp.log and carries the creation time of the old one, and in format 8 its
accumulated segment checksum; then the old one is renamed to its number in hex, and the new one to BBB.log. If the
engine dies between the two, BBBtmp.log stands where no current log is, and the highest closed one ends the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tokar.ese.attachment import Attachment, Environment, build_attachments, path_bytes
from tokar.ese.filenames import NameRole, log_file_name, parse_file_name
from tokar.ese.log import LogHeader
from tokar.ese.values import NO_POSITION, NO_TIME, LogPosition, Signature
from tokar.lab.change_records import LogRecord, Opened, encode_record, weight_of
from tokar.lab.engine import Clock, Era
from tokar.lab.log_formats import WritableLog, create_log, read_log, resume_log

_SUFFIXES: Final = ("log", "jtx")


def suffix_of(folder: Path, base: str) -> str:
    """Return the suffix of the stream in a folder: that of the current log, or the next one, or of closed ones.

    The engine looks for its own suffix first, then for the other one, and takes logs of one of them (`SFT-14`).
    """
    known = {
        (name.lower(), suffix.lower()) for name, _, suffix in (path.name.rpartition(".") for path in folder.iterdir())
    }
    for suffix in _SUFFIXES:
        if (base.lower(), suffix) in known or (f"{base.lower()}tmp", suffix) in known:
            return suffix
    return next((suffix for suffix in _SUFFIXES if _closed(folder, base, suffix)), _SUFFIXES[0])


def _closed(folder: Path, base: str, suffix: str) -> dict[int, Path]:
    found = {}
    for path in folder.iterdir():
        if path.name.lower().endswith(f".{suffix}"):
            name = parse_file_name(path.name, base)
            is_ours = (name.base or "").lower() == base.lower()
            if name.role is NameRole.NUMBERED_LOG and name.generation and is_ours:
                found[name.generation] = path
    return dict(sorted(found.items()))


def closed_logs(folder: Path, base: str, holding: int = 0) -> dict[int, Path]:
    """Return the closed logs in a folder by the generation in their names, in order.

    Args:
        folder: The folder.
        base: The base name of the stream.
        holding: A log that must be there: those with its suffix are meant then.
    """
    streams = [_closed(folder, base, suffix) for suffix in _SUFFIXES]
    found = next((one for one in streams if holding in one), None) if holding else None
    return _closed(folder, base, suffix_of(folder, base)) if found is None else found


def current_log(folder: Path, base: str) -> Path | None:
    """Return the current log in a folder, or None."""
    return _named(folder, log_file_name(base, suffix=suffix_of(folder, base)))


def next_log(folder: Path, base: str) -> Path | None:
    """Return the log that was being prepared, or None."""
    return _named(folder, f"{base}tmp.{suffix_of(folder, base)}")


def _named(folder: Path, name: str) -> Path | None:
    """Return the file of a name in whatever case, or None."""
    return next((path for path in folder.iterdir() if path.name.lower() == name.lower() and path.is_file()), None)


class LogStream:
    """The logs of a running instance.

    Args:
        folder: Where they lie.
        base: The base name of their files.
        era: The engine that writes them.
        clock: Where creation times come from.
        signature: Of the stream.
    """

    def __init__(self, folder: Path, base: str, era: Era, clock: Clock, signature: Signature) -> None:
        self.folder = folder
        self.base = base
        self.era = era
        self.clock = clock
        self.signature = signature
        self.circular = False
        self.attachments: Callable[[], tuple[Attachment, ...]] = tuple
        self.checkpoint: Callable[[], LogPosition] = lambda: NO_POSITION
        self.on_closed: Callable[[int], None] = lambda _generation: None
        self._current: WritableLog | None = None

    @property
    def current(self) -> WritableLog:
        """The log that is being written."""
        assert self._current is not None
        return self._current

    @property
    def generation(self) -> int:
        """The number of the current log."""
        return self.current.header.generation

    @property
    def position(self) -> LogPosition:
        """Where the next record will begin, if it fits."""
        return self.current.position

    def begin(self, generation: int = 1, previous: LogHeader | None = None, segments_xor: int = 0) -> None:
        """Make a new current log.

        Args:
            generation: Its number.
            previous: The header of the log before.
            segments_xor: The accumulated checksum of the log before.
        """
        major, minor, update, update_minor = self.era.log_format
        folder = path_bytes(self.folder.name)
        header = LogHeader(
            generation=generation,
            sector_size=self.era.sector_size,
            header_sectors=self.era.header_sectors,
            sectors=self.era.log_sectors,
            raw_page_size=0 if self.era.page_size == 4096 else self.era.page_size,
            created=self.clock.now(),
            previous_created=previous.created if previous else NO_TIME,
            major=major,
            minor=minor,
            update=update,
            update_minor=update_minor,
            signature=self.signature,
            environment=Environment(
                raw_system_path=folder, raw_log_path=folder, flags=int(self.circular), log_sectors=self.era.log_sectors
            ),
            flags=2 | 4 if self.circular else (previous.flags & 4 if previous else 0),
            checkpoint=self.checkpoint(),
            previous_segments_xor=segments_xor,
            file_type=self.era.file_type(3),
            attachment_area=build_attachments(self.attachments()),
        )
        # Prepared under another name, so that there is never a current log that is half made.
        suffix, before = suffix_of(self.folder, self.base), self._current
        self._current = create_log(self.folder / f"{self.base}tmp.{suffix}", header)
        self.append(Opened(generation))
        self.flush()
        if before is not None:
            before.path = before.path.rename(self._name(before.header.generation, suffix))
        self._current.path = self._current.path.rename(self._name(None, suffix))

    def _name(self, generation: int | None, suffix: str) -> Path:
        return self.folder / log_file_name(self.base, generation, suffix=suffix)

    def resume(self) -> None:
        """Go on with the current log, or make the one that follows the highest closed log."""
        path = current_log(self.folder, self.base)
        if path is not None:
            self._current = resume_log(path)
            return
        last = read_log(list(closed_logs(self.folder, self.base).values())[-1])
        self.begin(last.header.generation + 1, last.header, last.segments_xor)

    def append(self, record: LogRecord) -> LogPosition:
        """Add a record, in a new log where the current one has no room for it, and return where it stands.

        It is on disk after the next `flush`.
        """
        data, weight = encode_record(record), weight_of(record)
        if not self.current.has_room(len(data), weight):
            self.roll()
        return self.current.append(data, weight)

    def flush(self) -> None:
        """Bring all records to disk; during redo there are none."""
        if self._current is not None:
            self._current.flush()

    def roll(self) -> int:
        """Close the current log, begin the next one, and return the number of the closed one."""
        log = self.current
        log.flush()
        header = log.header
        self.begin(header.generation + 1, header, log.segments_xor())
        self.on_closed(header.generation)
        return header.generation

    def closed(self) -> dict[int, Path]:
        """Return the closed logs by generation, in order."""
        return closed_logs(self.folder, self.base)

    def delete_below(self, generation: int) -> list[int]:
        """Delete the closed logs below a generation, and return which these were."""
        gone = {number: path for number, path in self.closed().items() if number < generation}
        for path in gone.values():
            path.unlink()
        return list(gone)
