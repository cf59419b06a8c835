"""A source of your own: `tokar backup journal:DIR full.tokar --type full`.

A journal keeps lines. They go into the current log, `log.000001` and so on; a checkpoint takes all closed logs into
`lines.db`. To back one up while somebody writes: copy the database, close the log, copy the logs. To recover one: take
the logs into the database again, in order; a line that is in it already changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tokar import codes, tokens
from tokar.errors import InputError
from tokar.server.contract import DIALECTS, BackupType, Outcome, ServerError, SourceKind
from tokar.server.file_server import FileServer


class Journal:
    """The store itself, which knows nothing of tokar."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = folder / "lines.db"
        if not self.logs():
            (folder / "log.000001").touch()
        if not self.database.exists():
            self.database.write_text('{"lines": {}, "taken": 0}')

    def logs(self) -> list[Path]:
        """All logs, the current one last."""
        return sorted(self.folder.glob("log.[0-9]*"))

    def write(self, key: str, line: str) -> None:
        """Write a line."""
        with self.logs()[-1].open("a", encoding="utf-8") as log:
            log.write(json.dumps([key, line]) + "\n")

    def close_log(self) -> None:
        """Begin a new log."""
        number = int(self.logs()[-1].suffix[1:])
        (self.folder / f"log.{number + 1:06}").touch()

    def checkpoint(self) -> None:
        """Take all closed logs into the database."""
        state = json.loads(self.database.read_text())
        for log in self.logs()[:-1]:
            state["lines"].update(json.loads(one) for one in log.read_text(encoding="utf-8").splitlines())
            state["taken"] = int(log.suffix[1:])
        fresh = self.database.with_suffix(".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self.database)

    def lines(self) -> dict[str, str]:
        """All lines, as the database and the logs after it have them."""
        found: dict[str, str] = json.loads(self.database.read_text())["lines"]
        for log in self.logs():
            found.update(json.loads(one) for one in log.read_text(encoding="utf-8").splitlines())
        return found


class JournalServer(FileServer):
    """A journal behind tokar's contract."""

    dialect = replace(
        DIALECTS["ese"],  # reads end as they do there, and a failed backup can be told
        profile="journal",  # none that tokar knows: what is in the files is not judged
        title="a journal",
        source="this example",
        log_numbers=r"log\.(\d+)",  # without this nothing is ever truncated
    )

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder)
        self.name = str(folder)
        self._mark = folder / "backed-up"  # that a full was taken, which logs only goes on from

    def begin(self, backup_type: BackupType) -> None:
        """Refuse logs only before there is a full."""
        if backup_type is BackupType.LOGS_ONLY and not self._mark.exists():
            raise ServerError(codes.FULL_BACKUP_NOT_TAKEN, call="prepare_backup")

    def find_databases(self) -> Iterable[Path]:
        """Return the one database."""
        return [self.journal.database]

    def find_logs(self) -> Iterable[Path]:
        """Close the log, and return all that are closed."""
        self.journal.close_log()
        return self.journal.logs()[:-1]

    def locations(self) -> Mapping[int, Path]:
        """Return the folder, for everything lies in it."""
        return dict.fromkeys((tokens.DATABASE, tokens.LOG_DIR, tokens.CHECKPOINT_DIR), self.journal.folder)

    def remove(self, logs: Sequence[Path]) -> None:
        """Delete the logs of this backup, once the database has what is in them."""
        self.journal.checkpoint()
        for log in logs:
            log.unlink()

    def finish(self, outcome: Outcome) -> None:
        """Remember a backup that succeeded."""
        if outcome is Outcome.SUCCESS:
            self._mark.touch()


def open_source(place: str, *, restoring: bool = False) -> JournalServer:
    """Return the journal that `journal:DIR` names.

    Raises:
        InputError: There is no such folder, or it is to be restored to.
    """
    if restoring:
        raise InputError("a journal is restored to without a server", hint="--to 0x44=DIR/ --to 0x82=DIR/")
    if not Path(place).is_dir():
        raise InputError("there is no such folder", path=place)
    return JournalServer(Path(place))


SOURCE = SourceKind(place="DIR", title="a journal (an example)", open=open_source)
