"""Backups by procedure into real archives, from a scripted server."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import recovery_sets
from backup_files import (
    DATABASE_NAME,
    OTHER_STREAM,
    SECOND_NAME,
    database_file,
    fill,
    log_file,
    log_name,
    moment,
    old_log,
)
from disk_faults import WindowsMoves
from real_sets import change
from replay_pages import older
from replay_sets import after

import tokar
from tokar import codes
from tokar.errors import (
    ArchiveError,
    CheckMismatchError,
    ExistingFileError,
    FormatError,
    InputError,
    ProcedureError,
    SetError,
    SourceChangedError,
    StorageError,
)
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.format.verify import verify
from tokar.server.backup_steps import LogsOnlyRefusedError
from tokar.server.contract import DIALECTS, BackupKind, EndOfFile, NoAnswerError, Outcome, ServerError
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, BackupPartialError, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path, write_receipt
from tokar.storage.bytesource import Reread
from tokar.testing.scripted_server import CallFault, ScriptedServer, wide

if TYPE_CHECKING:
    from collections.abc import Callable

FULL, INCREMENTAL = BackupKind.FULL, BackupKind.INCREMENTAL
DIFFERENTIAL, COPY = BackupKind.DIFFERENTIAL, BackupKind.COPY


def at(call: str, fault: CallFault) -> Callable[[int, str], CallFault | None]:
    return lambda _, name: fault if name == call else None


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "set.tokar"


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm", "ese"])
@pytest.mark.parametrize("most", [None, 1000])
def test_a_full_holds_every_file_in_every_dialect(out: Path, profile: str, most: int | None) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS[profile], most=most))
    result = run_backup(server, out, FULL)
    assert (result.truncation, result.ending.outcome, result.generations) == (Truncation.DONE, Outcome.SUCCESS, (5, 7))
    with tokar.open(out) as archive:
        verify(archive, content=True).demand()
        stored = {entry.raw_name: archive.read(entry) for entry in archive}
        assert stored == {wide(name): data for name, data in {**server.databases, **server.logs}.items()}
        assert archive.head.kind == "full"
        assert archive.head.profile == profile
    assert server.truncated
    assert server.ended == [Outcome.SUCCESS]
    assert server.leaks == 0


def test_the_calls_come_in_the_order_of_the_nine_steps(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["edbbcli"]), 5, 5)
    run_backup(server, out, FULL)
    calls = [call for call in server.history if call != "read"]
    assert calls == [
        "prepare full",
        "database_names",
        f"open {DATABASE_NAME}",
        "close",
        f"open {SECOND_NAME}",
        "close",
        "backup_logs",
        f"open {log_name(5)}",
        "close",
        "truncate_logs",
        "end success",
    ]


def test_logs_only_asks_for_no_database(out: Path, tmp_path: Path) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    server = fill(ScriptedServer(), 8, 9)
    result = run_backup(server, out, INCREMENTAL, BackupOptions(prior=load_prior(tmp_path / "full.tokar")))
    assert "database_names" not in server.history
    assert result.truncation is Truncation.DONE
    with tokar.open(tmp_path / "full.tokar") as full, tokar.open(out) as archive:
        assert archive.head.kind == "logs"
        assert archive.head.extra["prior"] == {"id": full.id.hex(), "root": full.root.hex()}
        assert archive.summary.extra["generations"] == {"low": 8, "high": 9}
        assert archive.summary.extra["backup"] == {
            "asked": "incremental",
            "took": "incremental",
            "truncation": "intended",
        }


@pytest.mark.parametrize("kind", [DIFFERENTIAL, COPY])
def test_a_kind_that_keeps_logs_never_truncates(out: Path, kind: BackupKind) -> None:
    server = fill(ScriptedServer())
    result = run_backup(server, out, kind)
    assert result.truncation is Truncation.NOT_INTENDED
    assert "truncate_logs" not in server.history
    assert server.ended == [Outcome.SUCCESS]


def test_an_archive_that_exists_is_refused_before_prepare(out: Path) -> None:
    out.write_bytes(b"mine")
    server = fill(ScriptedServer())
    with pytest.raises(ExistingFileError):
        run_backup(server, out, FULL)
    assert server.history == []
    assert out.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (FULL, "a backup is done here already: the archive is sealed, and the logs are truncated"),
        (BackupKind.COPY, "a backup is done here already: the archive is sealed, and the logs were not truncated"),
        (None, "an archive is there already, and no receipt that says what became of the logs"),
    ],
)
def test_a_backup_that_is_run_again_says_what_is_done(out: Path, kind: BackupKind | None, text: str) -> None:
    run_backup(fill(ScriptedServer()), out, kind or FULL)
    if kind is None:
        receipt_path(out).unlink()
    server = fill(ScriptedServer())
    with pytest.raises(ExistingFileError) as caught:
        run_backup(server, out, FULL)
    assert (caught.value.message, caught.value.hint) == (text, "choose another name for another backup")
    assert server.history == []


def test_a_backup_whose_end_nobody_saw_says_that_its_truncation_is_not_known(out: Path) -> None:
    run_backup(fill(ScriptedServer()), out, FULL)
    write_receipt(out, replace(read_receipt(receipt_path(out)), truncation=Truncation.TRUNCATING))
    with pytest.raises(ExistingFileError, match="whether the logs were truncated is not known"):
        run_backup(fill(ScriptedServer()), out, FULL)


def test_a_receipt_that_exists_is_refused_before_prepare(out: Path) -> None:
    receipt_path(out).write_text("{}")
    server = fill(ScriptedServer())
    with pytest.raises(ExistingFileError, match="a receipt is there already"):
        run_backup(server, out, FULL)
    assert server.history == []


def test_an_incremental_without_a_prior_is_refused_before_prepare(out: Path) -> None:
    server = fill(ScriptedServer())
    with pytest.raises(ProcedureError, match="must be named") as caught:
        run_backup(server, out, INCREMENTAL)
    assert "--after" in str(caught.value.hint)
    assert server.history == []


def test_a_full_takes_no_prior(out: Path, tmp_path: Path) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    with pytest.raises(InputError, match="follows no other"):
        run_backup(fill(ScriptedServer()), out, FULL, BackupOptions(prior=load_prior(tmp_path / "full.tokar")))


def test_a_type_that_the_dialect_lacks_is_refused_before_prepare(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["ntdsbcli"]))
    with pytest.raises(ProcedureError, match="no backup of logs only"):
        run_backup(server, out, DIFFERENTIAL)
    assert server.history == []


def test_a_service_that_does_not_run_is_refused(out: Path) -> None:
    with pytest.raises(ProcedureError, match="does not run"):
        run_backup(fill(ScriptedServer(online=False)), out, FULL)


@pytest.mark.parametrize("code", codes.LOGS_ONLY_REFUSALS)
def test_logs_only_that_is_refused_says_why(out: Path, code: int) -> None:
    server = fill(ScriptedServer(refuse_logs_only=code))
    with pytest.raises(LogsOnlyRefusedError) as caught:
        run_backup(server, out, DIFFERENTIAL)
    assert codes.describe(code) in str(caught.value)
    assert codes.CODES[code].meaning in str(caught.value)
    assert (caught.value.exit_code, caught.value.code) == (7, code)
    assert "--or-full" in str(caught.value.hint)
    assert server.history == ["prepare logs"]
    assert not out.exists()


@pytest.mark.parametrize("code", codes.LOGS_ONLY_REFUSALS)
def test_a_full_stands_in_when_it_was_asked_for(out: Path, tmp_path: Path, code: int) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    server = fill(ScriptedServer(refuse_logs_only=code))
    options = BackupOptions(or_full=True, prior=load_prior(tmp_path / "full.tokar"))
    result = run_backup(server, out, INCREMENTAL, options)
    assert (result.asked, result.took, result.truncation) == (INCREMENTAL, FULL, Truncation.DONE)
    assert codes.describe(code) in result.refusal
    with tokar.open(out) as archive:
        assert archive.head.kind == "full"
        assert "prior" not in archive.head.extra
        assert archive.summary.extra["backup"]["refused"] == f"0x{code:08X}"
        assert archive.summary.extra["backup"]["took"] == "full"


def test_a_full_that_stands_in_for_a_differential_keeps_the_logs(out: Path) -> None:
    server = fill(ScriptedServer(refuse_logs_only=codes.CIRCULAR_LOGGING))
    result = run_backup(server, out, DIFFERENTIAL, BackupOptions(or_full=True))
    assert (result.took, result.truncation) == (COPY, Truncation.NOT_INTENDED)
    assert not server.truncated


@pytest.mark.parametrize("code", [codes.MISSING_FULL_BACKUP, codes.COULD_NOT_CONNECT, codes.ACCESS_DENIED, 0x57])
def test_no_full_stands_in_for_any_other_refusal(out: Path, code: int) -> None:
    server = fill(ScriptedServer(refuse_logs_only=code))
    with pytest.raises(ServerError):
        run_backup(server, out, DIFFERENTIAL, BackupOptions(or_full=True))
    assert server.history == ["prepare logs"]


@pytest.mark.parametrize("kind", [FULL, DIFFERENTIAL])
def test_a_backup_of_no_files_is_a_failure(out: Path, kind: BackupKind) -> None:
    server = ScriptedServer()
    with pytest.raises(ProcedureError, match="a backup of nothing is a failure"):
        run_backup(server, out, kind)
    assert server.ended == [Outcome.ABORT]
    assert not out.exists()


def test_a_full_without_a_database_is_a_failure(out: Path) -> None:
    server = fill(ScriptedServer())
    server.databases = {}
    with pytest.raises(ProcedureError, match="lists no databases"):
        run_backup(server, out, FULL)
    assert server.ended == [Outcome.ABORT]


def test_a_list_that_names_a_file_twice_is_refused(out: Path) -> None:
    server = fill(ScriptedServer())
    server.databases[log_name(5)] = server.databases[DATABASE_NAME]
    server.tokens[log_name(5)] = 0x21
    with pytest.raises(ArchiveError):
        run_backup(server, out, FULL)
    assert server.ended == [Outcome.ABORT]


def test_a_file_of_no_bytes_is_not_read(out: Path) -> None:
    server = fill(ScriptedServer())
    patch = r"\\S1\D$\db\priv.pat"
    server.logs[patch] = b""
    server.tokens[patch] = 0x25
    run_backup(server, out, FULL)
    at_open = server.history.index(f"open {patch}")
    assert server.history[at_open + 1] == "close"
    with tokar.open(out) as archive:
        assert [entry.size for entry in archive if entry.token == 0x25] == [0]


@pytest.mark.parametrize("end_of_file", list(EndOfFile))
@pytest.mark.parametrize("fault", [CallFault.EARLY_END, CallFault.WRONG_SIZE])
def test_a_file_of_another_size_than_announced_is_refused(out: Path, end_of_file: EndOfFile, fault: CallFault) -> None:
    profile = {EndOfFile.HANDLE_EOF: "ntdsbcli", EndOfFile.SHORT_READ: "certadm", EndOfFile.ZERO: "ese"}[end_of_file]
    call = "read" if fault is CallFault.EARLY_END else "open"
    server = fill(ScriptedServer(dialect=DIALECTS[profile], fault=at(call, fault)))
    with pytest.raises(SourceChangedError, match="were announced"):
        run_backup(server, out, FULL)
    assert server.ended == [Outcome.ABORT]
    assert not out.exists()


def test_short_reads_are_normal(out: Path) -> None:
    server = fill(ScriptedServer(most=777))
    run_backup(server, out, FULL)
    assert server.truncated


def test_a_short_read_is_the_end_for_the_certification_authority(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["certadm"], fault=at("read", CallFault.SHORT)))
    with pytest.raises(SourceChangedError):
        run_backup(server, out, FULL)


def test_a_gap_in_the_logs_keeps_archive_and_logs(out: Path) -> None:
    server = fill(ScriptedServer())
    del server.logs[log_name(6)]
    with pytest.raises(SetError, match="gap between generations 0x5 and 0x7") as caught:
        run_backup(server, out, FULL)
    assert caught.value.exit_code == 9
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]
    with tokar.open(out) as archive:
        verify(archive, content=True).demand()
    assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED


@pytest.mark.parametrize(
    ("low", "stream", "message"),
    [(9, None, "is in neither set"), (8, OTHER_STREAM, "another log stream")],
)
def test_logs_that_do_not_go_on_are_not_truncated(
    out: Path, tmp_path: Path, low: int, stream: Any, message: str
) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    server = fill(ScriptedServer(), low, 10, **({"stream": stream} if stream else {}))
    with pytest.raises(SetError, match=message):
        run_backup(server, out, INCREMENTAL, BackupOptions(prior=load_prior(tmp_path / "full.tokar")))
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]


def altered_header(content: bytes, **fields: Any) -> bytes:
    """A database with other values in both header copies."""
    header = replace(DatabaseHeader.parse(content[:4096]), **fields)
    return header.build() * 2 + content[2 * 4096 :]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"required_low": 0, "required_high": 0}, "names no required logs"),
        ({"raw_state": DatabaseState.BEING_CONVERTED}, "an upgrade was in progress"),
        ({"raw_state": DatabaseState.FORCE_DETACH}, "is not known"),
        ({"raw_state": DatabaseState.REVERT_IN_PROGRESS}, "a revert was in progress"),
        ({"raw_state": DatabaseState.INCREMENTAL_RESEED_IN_PROGRESS}, "an incremental reseed was in progress"),
        ({"raw_state": 99}, "is not known"),
        ({"committed_high": 8}, "0x8 with committed transactions is missing"),
        ({"last_log_time": moment(99)}, "the histories parted"),
        ({"log_signature": OTHER_STREAM}, "logs 0x5-0x7 are missing"),
    ],
)
def test_a_set_that_is_not_known_to_be_recoverable_keeps_its_archive_and_the_logs(
    out: Path, fields: dict[str, Any], message: str
) -> None:
    server = fill(ScriptedServer())
    server.databases[SECOND_NAME] = altered_header(server.databases[SECOND_NAME], **fields)
    with pytest.raises(SetError, match=message):
        run_backup(server, out, FULL)
    assert not server.truncated
    assert read_receipt(receipt_path(out)).truncation is Truncation.NOT_LICENSED
    with tokar.open(out) as archive:
        verify(archive, content=True).demand()


@pytest.mark.parametrize("state", [DatabaseState.BEING_CONVERTED, DatabaseState.FORCE_DETACH])
def test_a_copy_of_a_database_that_licenses_nothing_is_a_good_backup(out: Path, state: DatabaseState) -> None:
    server = fill(ScriptedServer())
    server.databases[SECOND_NAME] = altered_header(server.databases[SECOND_NAME], raw_state=state)
    assert run_backup(server, out, COPY).ending.outcome is Outcome.SUCCESS


@pytest.mark.parametrize("kind", [FULL, INCREMENTAL])
def test_a_foreign_log_behind_one_of_an_old_format_is_not_truncated(
    out: Path, tmp_path: Path, kind: BackupKind
) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    server = fill(ScriptedServer(), 8, 10)
    server.logs[log_name(9)] = old_log(9)
    server.logs[log_name(10)] = log_file(10, stream=OTHER_STREAM)
    for name in server.databases:
        server.databases[name] = database_file(8, 8)
    prior = load_prior(tmp_path / "full.tokar") if kind is INCREMENTAL else None
    with pytest.raises(SetError, match="another log stream"):
        run_backup(server, out, kind, BackupOptions(prior=prior))
    assert not server.truncated


def test_a_log_with_other_content_than_the_next_one_was_written_after_is_not_truncated(out: Path) -> None:
    server = ScriptedServer(databases={DATABASE_NAME: bytes(recovery_sets.dirty(5, 7))})
    server.logs = {rf"\\S1\log\{name}": data for name, data in recovery_sets.logs(5, 7).items()}
    other = recovery_sets.logs(5, 7, filled=2)["edb00006.log"]
    server.logs[r"\\S1\log\edb00006.log"] = other
    with pytest.raises(SetError, match="its content has changed or is cut"):
        run_backup(server, out, FULL)
    assert not server.truncated


def test_a_receipt_serves_as_a_prior(out: Path, tmp_path: Path) -> None:
    full = run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    assert load_prior(full.receipt) == load_prior(full.path)
    server = fill(ScriptedServer(), 8, 8)
    run_backup(server, out, INCREMENTAL, BackupOptions(prior=load_prior(full.receipt)))
    assert server.truncated


def test_an_archive_without_logs_is_no_prior(tmp_path: Path) -> None:
    with tokar.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add_bytes(0x44, "priv.edb", b"x")
    with pytest.raises(InputError, match="no log to go on from"):
        load_prior(tmp_path / "a.tokar")


def damaged_server() -> ScriptedServer:
    server = fill(ScriptedServer())
    content = bytearray(server.databases[DATABASE_NAME])
    content[3 * 4096 + 100] ^= 0xFF
    server.databases[DATABASE_NAME] = bytes(content)
    return server


@pytest.mark.parametrize("kind", [FULL, COPY])
def test_damage_keeps_the_archive_and_the_logs(out: Path, kind: BackupKind) -> None:
    server = damaged_server()
    with pytest.raises(SetError, match=r"priv\.edb has 1 damaged page: page 2 at 0x3000 .*-1018"):
        run_backup(server, out, kind)
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]
    assert out.exists()


def test_accepting_damage_does_not_license_truncation(out: Path) -> None:
    server = damaged_server()
    result = run_backup(server, out, FULL, BackupOptions(accept_damage=True))
    assert result.truncation is Truncation.NOT_LICENSED
    assert result.ending.outcome is Outcome.ABORT
    assert len(result.damaged) == 1
    assert not server.truncated


def test_truncation_that_fails_keeps_the_archive(out: Path) -> None:
    server = fill(ScriptedServer(fault=at("truncate_logs", CallFault.FAIL)))
    with pytest.raises(BackupPartialError, match="good and kept, but the logs were not truncated") as caught:
        run_backup(server, out, FULL)
    assert caught.value.exit_code == 8
    assert server.ended == [Outcome.SUCCESS]
    found = read_receipt(receipt_path(out))
    assert (found.outcome, found.truncation, found.end["result"]) == ("sealed", Truncation.FAILED, "ok")
    with tokar.open(out) as archive:
        verify(archive, content=True).demand()


def test_truncation_without_an_answer_is_not_known(out: Path) -> None:
    server = fill(ScriptedServer(fault=at("truncate_logs", CallFault.HANG)))
    with pytest.raises(BackupPartialError, match="is not known"):
        run_backup(server, out, FULL)
    assert read_receipt(receipt_path(out)).truncation is Truncation.UNKNOWN


def test_the_receipt_says_truncating_before_the_call(out: Path) -> None:
    seen: list[Truncation] = []

    def look(_: int, call: str) -> None:
        if call == "truncate_logs":
            seen.append(read_receipt(receipt_path(out)).truncation)

    run_backup(fill(ScriptedServer(fault=look)), out, FULL)
    assert seen == [Truncation.TRUNCATING]
    found = read_receipt(receipt_path(out))
    assert found.truncation is Truncation.DONE
    assert found.end == {"outcome": "success", "result": "ok", "told": True}
    assert [call["call"] for call in found.calls] == ["seal", "truncate_logs", "end"]


def test_a_receipt_that_cannot_be_written_stops_the_truncation(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise tokar.errors.StorageError("disk full")

    monkeypatch.setattr("tokar.server.run_backup.write_receipt", refuse)
    server = fill(ScriptedServer())
    with pytest.raises(tokar.errors.StorageError):
        run_backup(server, out, FULL)
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]


@pytest.mark.parametrize(("fault", "result"), [(CallFault.FAIL, "failed"), (CallFault.HANG, "unanswered")])
def test_an_end_that_fails_is_told(out: Path, fault: CallFault, result: str) -> None:
    server = fill(ScriptedServer(fault=at("end", fault)))
    with pytest.raises(BackupPartialError, match="End"):
        run_backup(server, out, FULL)
    assert read_receipt(receipt_path(out)).end["result"] == result
    assert out.exists()


def test_an_end_that_fails_after_a_failure_is_noted(out: Path) -> None:
    def both(_: int, call: str) -> CallFault | None:
        return {"backup_logs": CallFault.FAIL, "end": CallFault.HANG}.get(call)

    with pytest.raises(ServerError) as caught:
        run_backup(fill(ScriptedServer(fault=both)), out, FULL)
    assert any("End was not answered" in note for note in caught.value.__notes__)
    found = read_receipt(receipt_path(out))
    assert (found.outcome, found.end["result"]) == ("failed", "unanswered")


def test_where_abort_cannot_be_said_the_receipt_warns(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["edbbcli"], fault=at("backup_logs", CallFault.FAIL)))
    with pytest.raises(ServerError):
        run_backup(server, out, FULL)
    found = read_receipt(receipt_path(out))
    assert found.outcome == "failed"
    assert found.end["told"] is False
    assert any("may believe in one that does not exist" in note for note in found.notes)


def test_a_receipt_of_a_failure_does_not_stand_in_the_way(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["edbbcli"], fault=at("backup_logs", CallFault.FAIL)))
    with pytest.raises(ServerError):
        run_backup(server, out, FULL)
    server.fault = None
    run_backup(server, out, FULL)
    assert read_receipt(receipt_path(out)).outcome == "sealed"


def test_a_failure_that_the_server_was_told_of_leaves_nothing(out: Path) -> None:
    server = fill(ScriptedServer(fault=at("backup_logs", CallFault.FAIL)))
    with pytest.raises(ServerError):
        run_backup(server, out, FULL)
    assert list(out.parent.iterdir()) == []


def test_an_interrupt_ends_the_backup_as_an_abort(out: Path) -> None:
    server = fill(ScriptedServer(fault=at("backup_logs", CallFault.INTERRUPT)))
    with pytest.raises(KeyboardInterrupt):
        run_backup(server, out, FULL)
    assert server.ended == [Outcome.ABORT]
    assert list(out.parent.iterdir()) == []


def test_a_stuck_read_ends_in_an_error(out: Path) -> None:
    server = fill(ScriptedServer(fault=at("read", CallFault.HANG)))
    with pytest.raises(NoAnswerError):
        run_backup(server, out, FULL)
    assert not out.exists()
    assert not server.truncated


def test_what_the_disk_gives_back_otherwise_is_set_aside(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoil(archive: Any, **options: Any) -> Any:
        data = bytearray(out.read_bytes())
        data[len(data) // 4] ^= 1
        out.write_bytes(data)
        return verify(archive, **options)

    monkeypatch.setattr("tokar.server.run_backup.verify", spoil)
    server = fill(ScriptedServer())
    with pytest.raises(CheckMismatchError) as caught:
        run_backup(server, out, FULL)
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]
    assert not out.exists()
    assert out.with_name("set.tokar.unverified").exists()
    assert any("lies aside" in note for note in caught.value.__notes__)


def refuse_to_read(*_: object, **__: object) -> Any:
    raise StorageError("cannot read: Input/output error")


@pytest.mark.parametrize("where", ["MediumSource", "Archive", "verify"])
def test_an_archive_that_cannot_be_read_again_does_not_keep_its_name(
    out: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"tokar.server.run_backup.{where}", refuse_to_read)
    out.with_name("set.tokar.unverified").write_bytes(b"an older one")
    server = fill(ScriptedServer())
    with pytest.raises(StorageError, match="Input/output error") as caught:
        run_backup(server, out, FULL)
    assert server.ended == [Outcome.ABORT]
    assert not server.truncated
    assert not out.exists()
    assert out.with_name("set.tokar.unverified").read_bytes() == b"an older one"
    with tokar.open(out.with_name("set.tokar.unverified-2")) as archive:
        assert archive.entry_count
    assert "lies aside as set.tokar.unverified-2" in caught.value.__notes__[-1]


def test_an_archive_that_is_not_proven_and_keeps_its_name_is_told_of_first(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_aside(*_: object) -> Any:
        raise StorageError("cannot rename: Input/output error")

    monkeypatch.setattr("tokar.storage.durable.rename_aside", refuse_aside)
    monkeypatch.setattr("tokar.server.run_backup.verify", refuse_to_read)
    with pytest.raises(StorageError) as caught:
        run_backup(fill(ScriptedServer()), out, FULL)
    assert caught.value.message.startswith("set.tokar was not proven and must not be used, and could not be renamed")


@pytest.mark.skipif(os.name == "nt", reason="no rename of what is open")
def test_of_two_backups_with_one_name_the_loser_touches_nothing_of_the_winner(out: Path) -> None:
    def other(_: int, call: str) -> None:
        if call == "backup_logs":
            run_backup(fill(ScriptedServer()), out, FULL)
            kept.update({path.name: path.read_bytes() for path in out.parent.iterdir() if path.name[0] != "."})

    kept: dict[str, bytes] = {}
    loser = fill(ScriptedServer(dialect=DIALECTS["edbbcli"], fault=other))  # cannot be told of an abort
    with pytest.raises(ExistingFileError) as caught:
        run_backup(loser, out, FULL)
    assert not loser.truncated
    assert len(kept) == 2
    now = {path.name: path.read_bytes() for path in out.parent.iterdir()}
    assert {name: now[name] for name in kept} == kept
    assert read_receipt(receipt_path(out)).truncation is Truncation.DONE
    assert set(now) - set(kept) == {"set.tokar.2.receipt.json"}
    assert "its receipt is set.tokar.2.receipt.json" in caught.value.__notes__


def test_the_receipt_says_how_the_archive_was_read_again(out: Path) -> None:
    run_backup(fill(ScriptedServer()), out, FULL)
    assert read_receipt(receipt_path(out)).archive["reread"] in set(Reread)


LIES: dict[str, Callable[[bytes], bytes]] = {
    "a bit flipped": lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:],
    "zeros": lambda data: data[:8192] + bytes(len(data) - 8192),
    "the end lost": lambda data: data[: len(data) // 2],
    "nothing": lambda _: b"",
}


class LyingDisk:
    """A disk that says that a file is on it, gives it back from memory, and keeps something else.

    Args:
        patch: For the calls of the system.
        lie: Makes what it keeps.
        way: How its memory can be passed: by a `direct` read, by having it `evicted`, or not at all.
    """

    def __init__(self, patch: pytest.MonkeyPatch, lie: Callable[[bytes], bytes], way: Reread) -> None:
        self._lie, self._open = lie, os.open
        if way is Reread.DIRECT:
            patch.setattr(os, "open", self.open)
            return
        patch.delattr(os, "O_DIRECT", raising=False)
        patch.setattr(os, "posix_fadvise", self.evict, raising=False)
        if way is Reread.CACHE:
            patch.delattr(os, "posix_fadvise")

    def open(self, path: Path | str, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & os.O_DIRECT:
            flags &= ~os.O_DIRECT
            kept = Path(f"{path}.kept")
            kept.write_bytes(self._lie(Path(path).read_bytes()))
            path = kept
        return self._open(path, flags, *arguments, **options)

    def evict(self, descriptor: int, *_: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}")
        path.write_bytes(self._lie(path.read_bytes()))


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="memory can be passed on Linux")
@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("way", [Reread.DIRECT, Reread.EVICTED])
def test_a_disk_that_lies_costs_no_log(out: Path, monkeypatch: pytest.MonkeyPatch, lie: str, way: Reread) -> None:
    server = fill(ScriptedServer())
    with monkeypatch.context() as patch:
        LyingDisk(patch, LIES[lie], way)
        with pytest.raises(FormatError):
            run_backup(server, out, FULL)
    assert not server.truncated
    assert server.ended == [Outcome.ABORT]
    assert not out.exists()
    assert out.with_name(out.name + ".unverified").exists()


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="memory can be passed on Linux")
def test_where_memory_cannot_be_passed_the_receipt_says_so(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    LyingDisk(monkeypatch, LIES["zeros"], Reread.CACHE)
    run_backup(fill(ScriptedServer()), out, FULL)
    assert read_receipt(receipt_path(out)).archive["reread"] == "cache"


@pytest.mark.skipif(os.name == "nt", reason="a stand-in for what is there")
def test_on_windows_logs_go_only_after_a_flush_and_a_move_that_is_written_through(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moves = WindowsMoves(monkeypatch)
    server = fill(ScriptedServer(fault=lambda _, call: moves.noted.append((call, 0))))
    run_backup(server, out, FULL)
    assert server.truncated
    names = [name for name, _ in moves.noted if name in {"flush", out.name, "truncate_logs"}]
    assert names[: names.index("truncate_logs")] == ["flush", out.name, "flush"], "the last one is of the receipt"
    assert dict(moves.noted)[out.name] == 8, "MOVEFILE_WRITE_THROUGH alone: nothing is replaced"


def test_a_place_in_memory_is_warned_of(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.storage.durable.file_system_kind", lambda _: "tmpfs")
    result = run_backup(fill(ScriptedServer()), out, FULL)
    assert any("is in memory (tmpfs)" in note for note in result.notes)


def test_the_disk_of_the_server_itself_is_warned_of(out: Path) -> None:
    server = fill(ScriptedServer())
    server.path_maps = (("C:\\", str(out.parent)),)
    result = run_backup(server, out, FULL)
    assert any("the disk of the server's own files" in note for note in result.notes) or result.notes


@pytest.mark.parametrize("kind", [INCREMENTAL, DIFFERENTIAL])
def test_the_set_of_another_server_is_refused_before_prepare(out: Path, tmp_path: Path, kind: BackupKind) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    prior = replace(load_prior(tmp_path / "full.tokar"), server="EXCHANGE1")
    server = fill(ScriptedServer(), 8, 10)
    with pytest.raises(SetError, match="came from the server EXCHANGE1"):
        run_backup(server, out, kind, BackupOptions(prior=prior))
    assert "prepare" not in " ".join(server.history)
    assert not out.exists()


@pytest.mark.parametrize("kind", [INCREMENTAL, DIFFERENTIAL])
def test_the_set_of_another_log_stream_is_refused_before_the_seal(out: Path, tmp_path: Path, kind: BackupKind) -> None:
    run_backup(fill(ScriptedServer()), tmp_path / "full.tokar", FULL)
    server = fill(ScriptedServer(), 8, 10, stream=OTHER_STREAM)
    with pytest.raises(SetError, match="another log stream"):
        run_backup(server, out, kind, BackupOptions(prior=load_prior(tmp_path / "full.tokar")))
    assert server.ended == [Outcome.ABORT]
    assert not out.exists()


def test_the_transcript_is_in_the_archive(out: Path) -> None:
    server = fill(ScriptedServer(most=1000))
    run_backup(server, out, FULL)
    with tokar.open(out) as archive:
        calls = list(archive.calls())
    names = [call["call"] for call in calls]
    assert names[:4] == ["prepare", "database_locations", "database_locations_entries", "database_names"]
    assert names.count("read") == len(server.databases) + len(server.logs)
    assert all(call["reads"] > 1 for call in calls if call["call"] == "read")
    assert [entry["token"] for call in calls if call["call"] == "backup_logs_entries" for entry in call["entries"]] == [
        0x21
    ] * 3


def test_locations_and_the_expiry_token_are_kept_byte_for_byte(out: Path) -> None:
    run_backup(fill(ScriptedServer(dialect=DIALECTS["ntdsbcli"])), out, FULL)
    with tokar.open(out) as archive:
        assert archive.head.location_list is not None
        assert archive.head.location_list.data.startswith(b"D\0\\\0\\\0S\0")
        assert archive.head.extra["blobs"] == {"expiry_token": "AWV4cGlyeQA="}
        assert archive.head.text("server") == "SERVER1"


def test_where_locations_belong_to_restore_they_are_not_asked_for(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["edbbcli"]))
    run_backup(server, out, FULL)
    assert "database_locations" not in server.history


def test_dynamic_files_are_named_and_left_out(out: Path) -> None:
    server = fill(ScriptedServer(dialect=DIALECTS["certadm"], dynamic=(r"\\S1\C$\a.crl",)))
    run_backup(server, out, FULL)
    with tokar.open(out) as archive:
        assert [row["name"] for row in archive.summary.extra["left_out"]] == [r"\\S1\C$\a.crl"]


def test_the_same_backup_gives_the_same_bytes(tmp_path: Path) -> None:
    options = BackupOptions(archive_id=b"i" * 16, clock=lambda: datetime(2020, 1, 2, tzinfo=UTC))
    for name in ("a", "b"):
        run_backup(fill(ScriptedServer()), tmp_path / name, FULL, options)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_progress_counts_every_byte(out: Path) -> None:
    server = fill(ScriptedServer())
    seen: dict[bytes, int] = {}

    def count(file: Any, size: int) -> None:
        seen[file.raw_name] = seen.get(file.raw_name, 0) + size

    run_backup(server, out, FULL, BackupOptions(progress=count))
    assert seen == {wide(name): len(data) for name, data in {**server.databases, **server.logs}.items()}


def test_a_log_under_a_wrong_name_is_damage(out: Path) -> None:
    server = fill(ScriptedServer())
    server.logs[log_name(6)] = log_file(5)
    with pytest.raises(SetError, match="is generation 0x5 by its header"):
        run_backup(server, out, FULL)
    assert not server.truncated


def test_a_receipt_is_json_for_people(out: Path) -> None:
    result = run_backup(fill(ScriptedServer()), out, FULL)
    value = json.loads(result.receipt.read_text())
    assert value["archive"]["id"] == result.sealed.id.hex()
    assert value["backup"]["generations"] == {"low": 5, "high": 7}


@pytest.mark.samples
@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize("is_lost", [False, True], ids=["whole", "a lost write"])
def test_a_write_that_the_logs_show_to_be_lost_licenses_nothing(out: Path, *, is_lost: bool) -> None:
    real = after()
    files = {real.database.name: real.database.read_bytes()}
    last = [one for _, one in real.records()[-1] if one.type == 29][-1]
    start = (last.page + 1) * 4096  # type: ignore[attr-defined]
    if is_lost:
        page = older(files[real.database.name][start : start + 4096], start // 4096 - 1)
        change(real.database.name, lambda data: data[:start] + page + data[start + 4096 :])(files)
    logs = {path.name.replace("SRU.log", "SRU00005.log"): path.read_bytes() for path in real.logs}
    server = ScriptedServer(databases=files, logs=logs)
    if is_lost:
        with pytest.raises(SetError, match="page that the logs do not lead to"):
            run_backup(server, out, FULL)
    else:
        run_backup(server, out, FULL)
    assert server.truncated is not is_lost
    assert out.exists()
