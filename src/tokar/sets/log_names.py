"""What the logs of each stream are called, and so which name the engine looks for (`SFT-7`, `SFT-14`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from typing import Final

from tokar.errors import InputError
from tokar.ese.filenames import log_file_name
from tokar.sets.facts import LogFacts

BASE_LENGTH: Final = 3
"""Characters in the base name of a log of which no other tells."""

Name = tuple[str, str]
"""The base name and the suffix of a log."""


class _Names:
    """How often logs have a name, and for which of the names there is a current log."""

    def __init__(self) -> None:
        self.counts: Counter[Name] = Counter()
        self.service_base = ""  # The base name that their service looks for, where one is known that has one
        self.begun: set[Name] = set()

    def note(self, log: LogFacts) -> None:
        self.counts[log.base, log.suffix] += log.has_engine_name
        self.service_base = self.service_base or log.service_base
        if log.current:
            self.begun.add((log.base, log.suffix))

    @property
    def common(self) -> Name | None:
        """What their service calls them, else most of them are called, by base; then as the current log ends."""
        base = self.service_base or next((name[0] for name, _ in self.counts.most_common(1)), "")
        key = {name: (name[0] == base, name in self.begun, count) for name, count in self.counts.items()}
        found = max(key, key=key.__getitem__, default=None)
        return (self.service_base, found[1]) if found is not None and self.service_base else found


class LogNames:
    """What the logs of each stream are called."""

    def __init__(self) -> None:
        self._all: dict[bytes, _Names] = defaultdict(_Names)
        self._wanted: dict[bytes, _Names] = defaultdict(_Names)  # Of the histories that databases are of
        self._examples: dict[tuple[bytes, Name], LogFacts] = {}
        self._common: dict[bytes, Name | None] = {}  # What was found, until more is noted

    def note(self, key: bytes, log: LogFacts) -> None:
        """Note what a log of a stream is called."""
        self._common.clear()
        self._all[key].note(log)
        if log.has_engine_name and not log.current:
            self._examples.setdefault((key, (log.base, log.suffix)), log)

    def note_wanted(self, key: bytes, log: LogFacts) -> None:
        """Note what a log is called that is of the history of a database: no name of another history decides then."""
        self._common.clear()
        self._wanted[key].note(log)

    def are_alike(self, key: bytes) -> bool:
        """Return whether all logs of a stream are called alike."""
        return len(self._all[key].counts) < 2

    def common(self, key: bytes) -> Name | None:
        """Return what the engine looks for in a stream; None where nothing tells."""
        if key not in self._common:
            self._common[key] = (self._wanted[key].common if key in self._wanted else None) or self._all[key].common
        return self._common[key]

    def right_name(self, key: bytes, log: LogFacts, *, current: bool = False) -> str:
        """Return the name of a log as the engine looks for it; empty where none can be given.

        Args:
            key: Its stream.
            log: The log.
            current: Whether it stays the current log: else the name is that of its generation.
        """
        common, names = self.common(key), self._all[key]
        is_known = common and (names.counts[common] or names.service_base)
        base, suffix = common if common and is_known else (log.leaf[:BASE_LENGTH], "log")
        if current:
            return f"{base}.{suffix}"
        like = self._examples.get((key, (base, suffix)))
        if like is not None:  # also in its spelling
            stem, _, suffix = like.leaf.rpartition(".")
            base, digits = stem[:BASE_LENGTH], 8 if len(stem) > BASE_LENGTH + 5 else None
            return log_file_name(base, log.generation, suffix=suffix, digits=digits)
        with suppress(InputError):  # what the name begins with is no base name
            return log_file_name(base, log.generation, suffix=suffix)
        return ""
