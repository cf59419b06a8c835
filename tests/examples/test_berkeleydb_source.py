"""Berkeley DB behind the contract: a real engine, with a writer at work, which recovers what was restored."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import tokar
from tokar.errors import InputError, SourceError
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import BackupKind
from tokar.server.deadline import DeadlineServer
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation
from tokar.testing.server_contract import LogsOnlyContract

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.server.contract import Server

pytestmark = pytest.mark.slow
EXAMPLES = Path(__file__).parents[2] / "examples"

# Commits a record after the other, and says of each when it is committed.
WRITER = """
import sys, time
from berkeleydb import db

home, count = sys.argv[1], int(sys.argv[2])
environment = db.DBEnv()
environment.set_lg_bsize(16 << 10)
environment.set_lg_max(96 << 10)
parts = db.DB_INIT_TXN | db.DB_INIT_LOG | db.DB_INIT_MPOOL | db.DB_INIT_LOCK
environment.open(home, db.DB_CREATE | parts | db.DB_RECOVER * (count >= 0))
environment.set_flags(db.DB_TXN_WRITE_NOSYNC, 1)
store = db.DB(environment)
store.open("a.db", None, db.DB_BTREE, db.DB_CREATE | db.DB_AUTO_COMMIT)
number = 0
while count < 0 or number < count:
    transaction = environment.txn_begin()
    store.put(b"%08d" % number, b"value of %08d " % number * 20, transaction)
    transaction.commit()
    number += 1
    if number % 10 == 0 or number == count:
        print(number, flush=True)
        time.sleep(0.01 * (count < 0))  # it shares the processor with who backs it up
    if number % 200 == 0:
        environment.txn_checkpoint(0, 0, 0)
if count < 0 or len(sys.argv) > 3:
    sys.stdin.read()
store.close()
environment.close()
"""
READER = """
import sys
from berkeleydb import db

store = db.DB()
store.open(sys.argv[1], None, db.DB_BTREE, db.DB_RDONLY)
for key, value in store.items():
    assert value == b"value of " + key + b" " + (b"value of " + key + b" ") * 19
    print(int(key))
"""


class Writer:
    """An application at work in an environment of its own."""

    def __init__(self, home: Path, count: int) -> None:
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-c", WRITER, str(home), str(count), "stay"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.committed = 0

    def wait_for(self, more: int) -> int:
        """Wait until so many more records are committed, and return how many there are."""
        assert self.process.stdout is not None
        until = self.committed + more
        while self.committed < until:
            self.committed = int(self.process.stdout.readline())
        return self.committed

    def stop(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> Any:
    reason = "berkeleydb is not here: apt-get install libdb5.3-dev; pip install berkeleydb"
    pytest.importorskip("berkeleydb", reason=reason)
    monkeypatch.syspath_prepend(EXAMPLES)
    import berkeleydb_source  # noqa: PLC0415 - a name that only this path has

    return berkeleydb_source


class TestBerkeley(LogsOnlyContract):
    @pytest.fixture
    def server(self, example: Any, tmp_path: Path) -> Iterator[Server]:
        writer = Writer(tmp_path, 50)
        try:
            writer.wait_for(50)
            server = example.open_source(str(tmp_path))
            yield server
            server.close()
        finally:
            writer.stop()


def open_bdb(place: str) -> Server:
    """For a process of its own."""
    sys.path.insert(0, str(EXAMPLES))
    import berkeleydb_source  # noqa: PLC0415 - a name that only this path has

    server: Server = berkeleydb_source.open_source(place)
    return server


def run_in(folder: Path, *command: str) -> list[str]:
    line = [sys.executable, *command]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("example")
def test_nothing_that_was_committed_before_the_last_set_is_lost(tmp_path: Path) -> None:
    """A full and two incrementals with truncation beside a writer; restored elsewhere, recovered by the engine."""
    home, target = tmp_path / "home", tmp_path / "target"
    writer = Writer(home, -1)
    sets: list[Path] = []
    try:
        writer.wait_for(200)
        with DeadlineServer(partial(open_bdb, str(home))) as server:
            for number, kind in enumerate((BackupKind.FULL, BackupKind.INCREMENTAL, BackupKind.INCREMENTAL)):
                committed = writer.wait_for(300)
                options = BackupOptions(prior=load_prior(sets[-1]) if sets else None)
                result = run_backup(server, tmp_path / f"{number}.tokar", kind, options)
                assert result.truncation is Truncation.DONE
                sets.append(result.path)
    finally:
        writer.stop()
    assert not (home / "log.0000000001").exists(), "logs were truncated meanwhile"
    for path in sets:
        with tokar.open(path) as archive:
            places = [f"{token}={target}/" for token in ("0x44", "0x82")]
            options_of = tokar.RestoreOptions(to=places, existing="set-aside")
            tokar.place(tokar.plan_restore(archive, options_of))
    run_in(EXAMPLES, "berkeleydb_source.py", str(target))
    found = [*map(int, run_in(target, "-c", READER, str(target / "a.db")))]
    assert found[:committed] == [*range(committed)]


@pytest.mark.usefixtures("example")
def test_before_a_full_logs_only_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    writer = Writer(home, 20)
    try:
        writer.wait_for(20)
        with DeadlineServer(partial(open_bdb, str(home))) as server, pytest.raises(LogsOnlyRefusedError):
            run_backup(server, tmp_path / "1.tokar", BackupKind.DIFFERENTIAL)
    finally:
        writer.stop()


def test_a_folder_that_is_no_environment_is_refused(example: Any, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no environment to join"):
        example.open_source(str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        example.open_source(str(tmp_path / "gone"))
    with pytest.raises(InputError, match="restored to without a server"):
        example.open_source(str(tmp_path), restoring=True)


def test_the_source_says_what_it_needs(example: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert example.SOURCE.hindrance() is None
    monkeypatch.setattr(example, "find_spec", lambda _name: None)
    assert "pip install berkeleydb" in example.SOURCE.hindrance()
