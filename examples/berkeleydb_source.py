"""Berkeley DB as a source: `tokar backup bdb:HOME full.tokar --type full`, while others write.

It needs the Python package berkeleydb, which needs the library (Debian: libdb5.3-dev). An add-on that ships it has the
entry point `bdb = berkeleydb_source:SOURCE` in the group `tokar.sources`, as examples/own_source/ shows.

What Berkeley DB asks of a hot backup, and where it is kept: databases first and then logs, never the other way (the
contract's order); reads of whole pages (64 KiB at a time, and no page is larger); a note to the engine that one is
under way (`begin`); only logs that are in the backup are removed (`remove`). To restore: the full and every later set,
the later one last, into one place; then catastrophic recovery, and no other (`recover`, or db_recover -c): ordinary
recovery believes the checkpoint in the logs, which the copied databases are older than.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokar import codes, tokens
from tokar.errors import InputError, SourceError
from tokar.server.contract import DIALECTS, BackupType, Outcome, ServerError, SourceKind
from tokar.server.file_server import FileServer


class BerkeleyServer(FileServer):
    """An environment that others work in."""

    dialect = replace(
        DIALECTS["ese"],  # reads end as they do there, and a failed backup can be told
        profile="bdb",
        title="Berkeley DB",
        source="Berkeley DB Programmer's Reference, Hot backup; DB_ENV->log_archive",
        log_numbers=r"log\.(\d{10})",
    )
    recovery_steps = ("db_recover -c, in the restored home",)

    def __init__(self, home: Path) -> None:
        from berkeleydb import db  # noqa: PLC0415 - to be listed takes no library

        self._db: Any = db
        self.home = home.absolute()
        self.name = str(self.home)
        self._mark = self.home / "tokar.full"  # that a full was taken, which logs only goes on from
        self._full = False
        self._environment: Any = db.DBEnv()
        try:
            self._environment.open(os.fspath(self.home), db.DB_JOINENV)
        except db.DBError as error:
            raise SourceError(
                f"no environment to join: {error}", path=self.home, hint="is the application running?"
            ) from error

    def begin(self, backup_type: BackupType) -> None:
        """Tell the engine, which then logs whole pages where it would not."""
        if backup_type is BackupType.LOGS_ONLY and not self._mark.exists():
            raise ServerError(codes.FULL_BACKUP_NOT_TAKEN, call="prepare_backup")
        self._full = backup_type is BackupType.FULL
        if self._full:
            self._environment.set_flags(self._db.DB_HOTBACKUP_IN_PROGRESS, 1)

    def find_databases(self) -> Iterable[Path]:
        """Return the databases that the logs know of."""
        return self._archive(self._db.DB_ARCH_DATA)

    def find_logs(self) -> Iterable[Path]:
        """Return all logs, with everything in them that is committed by now."""
        self._environment.txn_checkpoint(0, 0, self._db.DB_FORCE)
        self._environment.log_flush()
        return self._archive(self._db.DB_ARCH_LOG)

    def locations(self) -> Mapping[int, Path]:
        """Return the folders that its files are in: asking for one that is not configured ends the process."""
        databases, logs = self._archive(self._db.DB_ARCH_DATA), self._archive(self._db.DB_ARCH_LOG)
        return {
            tokens.DATABASE: databases[0].parent if databases else self.home,
            tokens.LOG_DIR: logs[0].parent if logs else self.home,
            tokens.CHECKPOINT_DIR: self.home,
        }

    def remove(self, logs: Sequence[Path]) -> None:
        """Delete the logs of this backup that the engine has no use for any more."""
        free = set(self._archive(0))
        for log in logs:
            if log in free:
                log.unlink()

    def finish(self, outcome: Outcome) -> None:
        """Tell the engine, and remember a full that succeeded."""
        if self._full:
            self._environment.set_flags(self._db.DB_HOTBACKUP_IN_PROGRESS, 0)
            if outcome is Outcome.SUCCESS:
                self._mark.touch()

    def close(self) -> None:
        """Leave the environment."""
        self._environment.close()

    def _archive(self, what: int) -> list[Path]:
        return [Path(os.fsdecode(one)) for one in self._environment.log_archive(what | self._db.DB_ARCH_ABS)]


def recover(home: Path) -> None:
    """Recover a restored environment, by the engine itself."""
    from berkeleydb import db  # noqa: PLC0415 - the same

    environment = db.DBEnv()
    parts = db.DB_INIT_TXN | db.DB_INIT_LOG | db.DB_INIT_MPOOL | db.DB_INIT_LOCK
    environment.open(os.fspath(home), db.DB_CREATE | parts | db.DB_RECOVER_FATAL)
    environment.close()


def open_source(place: str, *, restoring: bool = False) -> BerkeleyServer:
    """Return the environment that `bdb:HOME` names.

    Raises:
        InputError: There is no such folder, or it is to be restored to.
        SourceError: It is no environment, or nobody works in it.
    """
    if restoring:
        raise InputError("Berkeley DB is restored to without a server", hint="--to 0x44=HOME/ --to 0x82=HOME/")
    if not Path(place).is_dir():
        raise InputError("there is no such folder", path=place)
    return BerkeleyServer(Path(place))


SOURCE = SourceKind(
    place="HOME",
    title="a Berkeley DB environment (an example)",
    needs="the Python package berkeleydb",
    open=open_source,
    hindrance=lambda: None if find_spec("berkeleydb") else "berkeleydb is missing: pip install berkeleydb",
)


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        recover(Path(sys.argv[1]))
