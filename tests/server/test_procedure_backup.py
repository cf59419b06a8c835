"""The nine steps: what cannot be done out of order, and how a backup ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import ProcedureError, SourceChangedError, SourceError
from tokar.server.backup_steps import BackupProcedure
from tokar.server.content import ContentStream, ListedFile, ListKind
from tokar.server.contract import DIALECTS, BackupKind, EndOfFile, Outcome, ServerError
from tokar.server.states import BackupState, OutOfOrderError
from tokar.server.transcript import Transcript
from tokar.testing.scripted_server import CallFault, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable


def scripted(fault: Callable[[int, str], CallFault | None] | None = None) -> ScriptedServer:
    return ScriptedServer(databases={"a.edb": b"database"}, logs={"edb00005.log": b"5"}, fault=fault)


def begun(server: ScriptedServer, kind: BackupKind = BackupKind.FULL) -> BackupProcedure:
    procedure = BackupProcedure(server, kind, Transcript(lambda: "now"))
    procedure.prepare()
    return procedure


def drain(_: ListedFile, stream: ContentStream) -> None:
    while stream.readinto(bytearray(3)):
        pass


def test_logs_before_databases_are_refused_in_a_full() -> None:
    server = scripted()
    procedure = begun(server)
    with pytest.raises(OutOfOrderError, match="get-backup-logs is not allowed in the state prepared-full"):
        procedure.take_logs(drain)
    assert "backup_logs" not in server.history


def test_databases_are_refused_with_logs_only() -> None:
    server = scripted()
    procedure = begun(server, BackupKind.DIFFERENTIAL)
    with pytest.raises(OutOfOrderError):
        procedure.take_databases(drain)
    assert server.history == ["prepare logs"]


def test_a_second_prepare_is_refused() -> None:
    with pytest.raises(OutOfOrderError):
        begun(scripted()).prepare()


def test_a_second_log_list_is_refused() -> None:
    procedure = begun(scripted())
    procedure.take_databases(drain)
    procedure.take_logs(drain)
    with pytest.raises(OutOfOrderError):
        procedure.take_logs(drain)


@pytest.mark.parametrize("steps", [0, 1])
def test_a_seal_before_every_file_was_read_is_refused(steps: int) -> None:
    procedure = begun(scripted())
    if steps:
        procedure.take_databases(drain)
    with pytest.raises(OutOfOrderError, match="seal is not allowed"):
        procedure.sealed()


def test_content_that_is_left_unread_is_refused() -> None:
    procedure = begun(scripted())
    with pytest.raises(SourceChangedError, match="0 bytes came, 8 were announced"), procedure:
        procedure.take_databases(lambda _file, _stream: None)
    assert procedure.ending is not None
    assert procedure.ending.outcome is Outcome.ABORT


def test_after_a_failure_the_open_file_is_closed_and_its_list_freed() -> None:
    server = scripted(lambda _, call: CallFault.FAIL if call == "read" else None)
    procedure = begun(server)
    with pytest.raises(ServerError), procedure:
        procedure.take_databases(drain)
    assert server.history[-2:] == ["close", "end abort"]
    assert server.leaks == 0


def test_leaving_early_is_an_abort() -> None:
    server = scripted()
    with begun(server):
        pass
    assert server.ended == [Outcome.ABORT]


def test_end_is_called_once() -> None:
    server = scripted()
    with begun(server) as procedure:
        procedure.end()
    procedure.end()
    assert server.history.count("end abort") == 1
    assert procedure.state is BackupState.ENDED


def test_without_a_session_there_is_no_end() -> None:
    server = scripted(lambda _, call: CallFault.FAIL if call == "prepare" else None)
    procedure = BackupProcedure(server, BackupKind.FULL, Transcript(lambda: "now"))
    with pytest.raises(ServerError), procedure:
        procedure.prepare()
    assert server.history == ["prepare full"]
    assert procedure.ending is None


def test_nothing_is_done_before_prepare() -> None:
    procedure = BackupProcedure(scripted(), BackupKind.FULL, Transcript(lambda: "now"))
    with pytest.raises(ProcedureError):
        procedure.take_databases(drain)
    with pytest.raises(ProcedureError):
        procedure.locations()


def stream_of(data: bytes, announced: int, convention: EndOfFile, piece: int) -> ContentStream:
    position = 0

    def read(buffer: memoryview) -> int:
        nonlocal position
        if position == len(data) and convention is EndOfFile.HANDLE_EOF:
            raise ServerError(38, call="read")
        limit = len(buffer) if convention is EndOfFile.SHORT_READ else min(len(buffer), piece)
        part = data[position : position + limit]
        buffer[: len(part)] = part
        position += len(part)
        return len(part)

    profile = {EndOfFile.HANDLE_EOF: "ntdsbcli", EndOfFile.SHORT_READ: "certadm", EndOfFile.ZERO: "ese"}[convention]
    return ContentStream(ListedFile(0x44, b"a", 0, ListKind.DATABASE_NAMES, announced), read, DIALECTS[profile])


def drained(stream: ContentStream, size: int) -> bytes:
    parts = []
    buffer = bytearray(size)
    while count := stream.readinto(buffer):
        parts.append(bytes(buffer[:count]))
    return b"".join(parts)


@examples(60)
@given(
    st.binary(max_size=300),
    st.integers(-3, 3),
    st.sampled_from(list(EndOfFile)),
    st.integers(1, 50),
    st.integers(1, 70),
)
def test_under_every_convention_all_comes_or_it_is_noticed(
    data: bytes, lie: int, convention: EndOfFile, piece: int, size: int
) -> None:
    announced = max(0, len(data) + lie)
    stream = stream_of(data, announced, convention, piece)
    content = drained(stream, size)
    assert content == data[:announced]
    if announced > len(data):
        with pytest.raises(SourceChangedError):
            stream.demand_whole()
    else:
        stream.demand_whole()


def test_nothing_is_read_past_the_announced_size() -> None:
    stream = stream_of(b"12345", 5, EndOfFile.ZERO, 5)
    assert drained(stream, 100) == b"12345"
    assert stream.reads == 1


def test_a_read_that_returns_more_than_was_asked_for_is_refused() -> None:
    file = ListedFile(0x44, b"a", 0, ListKind.DATABASE_NAMES, 5)
    stream = ContentStream(file, lambda buffer: len(buffer) + 1, DIALECTS["ese"])
    with pytest.raises(SourceError, match="a read of 5 bytes returned 6"):
        stream.readinto(bytearray(10))


def test_a_list_whose_names_have_no_tokens_is_refused() -> None:
    server: Any = scripted()
    procedure = begun(server)
    context = procedure._live()
    untokened = context.dynamic_files
    context.database_names = untokened  # type: ignore[method-assign]
    server.dynamic = ("a.edb",)
    with pytest.raises(ProcedureError, match="without a token"):
        procedure.take_databases(drain)
