"""Calls that fail or hang, packets that are cut or altered: no archive, and no truncation without a licence."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from ca_parts import authority, server_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rpc_double import ACCESS_DENIED, FaultError

from tokar import codes
from tokar.errors import ArchiveError, PartialError, SourceError
from tokar.format.archive import Archive
from tokar.format.verify import verify
from tokar.lab.server import SimulatedServer
from tokar.live.csra import Call
from tokar.rpc.connection import Connection
from tokar.server.backup_result import BackupResult
from tokar.server.contract import BackupKind, BackupType, NoAnswerError, Outcome, ServerError
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ca_double import CaDouble
    from rpc_double import Incoming

BEFORE_THE_SEAL = (
    *(Call.SERVER_STATE, Call.PREPARE, Call.LOCATIONS, Call.DYNAMIC_FILES, Call.DATABASE_NAMES, Call.OPEN),
    *(Call.READ, Call.CLOSE, Call.BACKUP_LOGS),
)
SHORT = 0.4  # seconds that a call may take


def logs_of(double: CaDouble) -> set[str]:
    assert isinstance(double.server, SimulatedServer)
    return {one.name for one in double.server.lab.place.logs.iterdir()}


def backed_up(double: CaDouble, out: Path, *, seconds: float = 10.0) -> BackupResult | ArchiveError:
    """Take a full that truncates, and return what came of it."""
    server = server_of(double, seconds=seconds)
    try:
        return run_backup(server, out, BackupKind.FULL, BackupOptions(threads=1))
    except ArchiveError as error:
        return error


def show_nothing_is_lost(double: CaDouble, out: Path, before: set[str], found: BackupResult | ArchiveError) -> None:
    """Show that logs went only where the archive is proven, and that nothing runs on."""
    receipt = read_receipt(receipt_path(out)) if receipt_path(out).exists() else None
    if before - logs_of(double):
        assert receipt is not None
        assert receipt.truncation in {Truncation.DONE, Truncation.UNKNOWN, Truncation.TRUNCATING}
    if out.exists():
        with Archive(out) as archive:
            verify(archive, content=True).demand()
    else:
        assert isinstance(found, ArchiveError)
        assert before <= logs_of(double)
    assert not [one for one in out.parent.iterdir() if one.name.startswith(".")]
    assert not [one for one in threading.enumerate() if one.name == "tokar-pings"]


@pytest.mark.parametrize("call", BEFORE_THE_SEAL)
def test_a_call_that_fails_leaves_no_archive_and_every_log(tmp_path: Path, call: Call) -> None:
    with authority(tmp_path, fail={call: 0xC8000000 | 1022}) as double:
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar")
        assert isinstance(found, ServerError)
        assert found.jet == -1022
        assert "TRUNCATE" not in double.log
        assert ("END" in double.log) is (call not in {Call.SERVER_STATE, Call.PREPARE})
        assert not double.objects
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)


@contextmanager
def held(double: CaDouble, call: Call) -> Iterator[threading.Event]:
    """Let a call of the double hang until the block is left."""
    free = threading.Event()
    made = double._admin

    def hang(incoming: Incoming) -> bytes:
        if incoming.operation == call:
            free.wait(20)
        return made(incoming)

    double.exporter.intercept = hang
    try:
        yield free
    finally:
        free.set()


@pytest.mark.parametrize("call", [*BEFORE_THE_SEAL, Call.TRUNCATE, Call.END])
def test_a_call_that_hangs_is_given_up_in_time(tmp_path: Path, call: Call) -> None:
    with authority(tmp_path) as double:
        before = logs_of(double)
        with held(double, call):
            found = backed_up(double, tmp_path / "a.tokar", seconds=SHORT)
        assert isinstance(found, NoAnswerError | PartialError)
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)
        if call is Call.PREPARE:
            assert "END" in double.log, "it may have begun"
        if call is Call.TRUNCATE:
            assert "whether the logs were truncated is not known" in found.message
            assert read_receipt(receipt_path(tmp_path / "a.tokar")).truncation is Truncation.UNKNOWN


def cut(_data: bytes, _chance: random.Random) -> bytes:
    raise OSError("cut")


def cut_short(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))] + b""


def flipped(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def doubled(data: bytes, _chance: random.Random) -> bytes:
    return data + data


def swapped(data: bytes, chance: random.Random) -> bytes:
    return data[:16] + chance.randbytes(len(data) - 16)


@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    where=st.sampled_from(["exporter", "resolver"]),
    part=st.floats(0, 1),
    how=st.sampled_from([cut, cut_short, flipped, doubled, swapped]),
    seed=st.integers(0, 1 << 16),
)
def test_a_packet_that_is_cut_or_altered_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory,
    where: str,
    part: float,
    how: Callable[[bytes, random.Random], bytes],
    seed: int,
) -> None:
    folder = tmp_path_factory.mktemp("ca")
    chance = random.Random(seed)
    with authority(folder) as double:
        struck = 1 + int(part * (130 if where == "exporter" else 12))

        def meddle(number: int, data: bytes) -> bytes:
            return how(data, chance) if number == struck else data

        getattr(double, where).meddle = meddle
        before = logs_of(double)
        found = backed_up(double, folder / "a.tokar", seconds=1.0)
        assert isinstance(found, BackupResult | SourceError | PartialError), repr(found)
        show_nothing_is_lost(double, folder / "a.tokar", before, found)


@pytest.mark.torture
@pytest.mark.parametrize("how", [cut, cut_short, flipped, doubled, swapped])
@pytest.mark.parametrize("where", ["exporter", "resolver"])
def test_every_packet_that_is_cut_or_altered_loses_nothing(
    tmp_path: Path, where: str, how: Callable[[bytes, random.Random], bytes]
) -> None:
    struck, reached = 0, True
    while reached:
        struck += 1
        folder = tmp_path / str(struck)
        folder.mkdir()
        chance = random.Random(struck)
        with authority(folder) as double:

            def meddle(number: int, data: bytes, at: int = struck, chance: random.Random = chance) -> bytes:
                return how(data, chance) if number == at else data

            getattr(double, where).meddle = meddle
            before = logs_of(double)
            found = backed_up(double, folder / "a.tokar", seconds=1.0)
            reached = getattr(double, where).sent >= struck
            show_nothing_is_lost(double, folder / "a.tokar", before, found)
    assert struck > 6, "there are as many at least"


def test_a_service_that_starts_anew_before_truncation_keeps_archive_and_logs(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        made = double._admin

        def restart(incoming: Incoming) -> bytes:
            if incoming.operation == Call.TRUNCATE:
                with double._lock:
                    double._drop(list(double.objects))
            return made(incoming)

        double.exporter.intercept = restart
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar")
        assert isinstance(found, PartialError)
        assert read_receipt(receipt_path(tmp_path / "a.tokar")).truncation is Truncation.FAILED
        assert before <= logs_of(double)
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)


@pytest.mark.parametrize("call", [Call.DATABASE_NAMES, Call.READ, Call.BACKUP_LOGS])
def test_a_service_that_starts_anew_ends_the_backup(tmp_path: Path, call: Call) -> None:
    with authority(tmp_path) as double:
        made = double._admin
        once = iter([True])

        def restart(incoming: Incoming) -> bytes:
            if incoming.operation == call and next(once, False):
                double.restart()
            return made(incoming)

        double.exporter.intercept = restart
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar", seconds=2.0)
        assert isinstance(found, SourceError)
        assert before <= logs_of(double)
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)
        again = backed_up(double, tmp_path / "b.tokar")
        assert isinstance(again, BackupResult), "a new backup is possible at once"


def test_an_end_is_told_on_a_new_connection_where_the_old_one_broke(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        context = server_of(double).prepare_backup(BackupType.FULL)
        double.exporter.drop()
        with pytest.raises(NoAnswerError):
            context.database_names()
        context.end(Outcome.ABORT)
        assert double.calls[-2:] == ["END", "released"]


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1])
def test_a_size_that_no_archive_can_take_is_a_fault_of_the_server(tmp_path: Path, size: int) -> None:
    with authority(tmp_path, claim={Call.OPEN: size}) as double:
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar")
        assert isinstance(found, SourceError)
        assert f"{size} is out of range" in found.message
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)


@pytest.mark.parametrize(("status", "ends"), [(0x6BA, True), (5, False)])
def test_a_fault_in_prepare_ends_what_may_have_begun(tmp_path: Path, status: int, ends: bool) -> None:
    with authority(tmp_path) as double:
        double.exporter.executed_before_fault = True
        double.faults = {Call.PREPARE: status}
        with pytest.raises(ServerError):
            server_of(double).prepare_backup(BackupType.FULL)
        assert ("END" in double.log) is ends
        assert not double.objects


def test_a_prepare_that_is_not_let_in_is_given_up_on_the_connection_that_there_is(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        made, asked = double._admin, []

        def refuse(incoming: Incoming) -> bytes:
            asked.append(incoming.operation)
            if incoming.operation == Call.PREPARE:
                raise FaultError(ACCESS_DENIED)
            return made(incoming)

        double.exporter.intercept = refuse
        with pytest.raises(ServerError) as caught:
            server_of(double).prepare_backup(BackupType.FULL)
        assert caught.value.code == codes.ACCESS_DENIED
        assert asked == [Call.PREPARE]
        assert not double.objects


def test_a_fault_that_nobody_answers_for_lets_no_full_stand_in(tmp_path: Path) -> None:
    refusal = min(codes.LOGS_ONLY_REFUSALS)
    with authority(tmp_path) as double:
        double.exporter.executed_before_fault = True
        made = double._admin

        def refuse(incoming: Incoming) -> bytes:
            if incoming.operation == Call.PREPARE:
                double.log.append("refused")
                raise FaultError(refusal)
            return made(incoming)

        double.exporter.intercept = refuse
        with pytest.raises(NoAnswerError, match=f"0x{refusal:08X}"):
            run_backup(server_of(double), tmp_path / "a.tokar", BackupKind.DIFFERENTIAL, BackupOptions(or_full=True))
        assert double.log.count("refused") == 1


def test_a_fault_in_truncation_says_that_nobody_knows(tmp_path: Path) -> None:
    with authority(tmp_path) as double:
        double.exporter.executed_before_fault = True
        double.faults = {Call.TRUNCATE: 0x000006BA}
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar")
        assert isinstance(found, PartialError)
        assert "not known" in found.message
        assert read_receipt(receipt_path(tmp_path / "a.tokar")).truncation is Truncation.UNKNOWN
        show_nothing_is_lost(double, tmp_path / "a.tokar", before, found)


def test_a_truncation_that_the_server_refuses_keeps_archive_and_logs(tmp_path: Path) -> None:
    with authority(tmp_path, fail={Call.TRUNCATE: 0xC8000000 | 1032}) as double:
        before = logs_of(double)
        found = backed_up(double, tmp_path / "a.tokar")
        assert isinstance(found, PartialError)
        assert read_receipt(receipt_path(tmp_path / "a.tokar")).truncation is Truncation.FAILED
        assert before <= logs_of(double)


def test_an_interrupt_in_a_read_still_ends_the_backup_on_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with authority(tmp_path) as double:
        reads = iter(range(100))

        def interrupted(self: object, **named: float) -> object:
            if next(reads) == 20:
                raise KeyboardInterrupt
            return fetch(self, **named)  # type: ignore[arg-type] # what it was called with

        fetch = Connection.fetch
        monkeypatch.setattr(Connection, "fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_backup(server_of(double), tmp_path / "a.tokar", BackupKind.FULL, BackupOptions(threads=1))
        assert double.calls[-2:] == ["END", "released"]
        assert not (tmp_path / "a.tokar").exists()
