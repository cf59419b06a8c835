"""A server that was reverted to an earlier state: what its log directory holds in one history, and in the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chain_stories import new_story, take
from lab_sets import LabSet, Maker, fork_of, lab_names, recovered

from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.log import LogHeader
from tokar.lab.engine import EngineError
from tokar.server.contract import BackupKind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lab_sets import Files

PROFILES = ("edbbcli", "ntdsbcli", "certadm")
_LOGS = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}


class Reverted:
    """A server with a full, and what its log directory holds later, in the history that it went on with or another."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.archive = folder / "full.tokar"
        maker = Maker(profile, folder)
        story = new_story(folder / "lab", profile, databases=1, seed=5, work=20)
        take(story, self.archive, BackupKind.COPY)
        story.lab.work(30)
        story.lab.stop()
        self.parted = LogHeader.parse((story.lab.place.logs / "edb.log").read_bytes()).generation
        fork = fork_of(story, folder / "fork")
        fork.lab.work(40)
        story.lab.work(40)
        self.there, self.other = logs_among(maker.note(story)), logs_among(maker.note(fork))
        paths = {one.dbid: one.path for one in story.lab.config.databases}
        self._set = LabSet(profile, lab_names(story), paths, {}, hard=True, known=maker.known)

    @property
    def forked(self) -> Files:
        """Those of its own history, with the log in which it parted from the other one."""
        name = f"edb{self.parted:05X}.log"
        assert self.there[name] != self.other[name]
        return {**self.there, name: self.other[name]}

    def fails_on(self, folder: Path, generations: Mapping[str, int]) -> bool:
        """Return whether the engine refuses what was placed, or, where it is too old to look, loses something."""
        try:
            return not self.recover(folder, generations)
        except EngineError:
            return True

    def recover(self, folder: Path, generations: Mapping[str, int]) -> bool:
        """Recover what was placed; return whether everything is in it."""
        contents, expected = recovered(self._set, folder, (generations["low"], generations["high"]))
        return contents == expected


def logs_among(files: Files) -> Files:
    """Those of some files that are closed logs, or the current one."""
    return {name: data for name, data in files.items() if parse_file_name(name).role in _LOGS}
