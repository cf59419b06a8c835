"""The native sources beyond the contract: a library is believed within bounds, and all it gave is given back."""

from __future__ import annotations

import ctypes
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import DATABASE_NAME, fill
from command_line import tokar
from native_double import Double, Request, doubled

from tokar import codes
from tokar.cli.sources import find_source
from tokar.errors import ArchiveError, ProcedureError, SourceError
from tokar.live.native import copied
from tokar.live.privileges import enable_privileges, enable_with
from tokar.server.contract import (
    DIALECTS,
    BackupKind,
    BackupType,
    NoAnswerError,
    Outcome,
    Registration,
    ServerError,
)
from tokar.server.deadline import Deadlines, DeadlineServer
from tokar.server.prior import load_prior
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.receipt import Truncation, read_receipt, receipt_path
from tokar.testing.scripted_server import CallFault, ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.live.native import NativeServer

PROFILES = ("certadm", "ntdsbcli")
LISTS = ("database_names", "backup_logs", "dynamic_files", "database_locations")


def scripted(profile: str, **options: Any) -> ScriptedServer:
    return fill(ScriptedServer(dialect=DIALECTS[profile], dynamic=("a.crl",), **options), 5, 6)


def bent(profile: str, call: str, change: Callable[[Request], object], code: int | None = None) -> Double:
    """A double of which one call comes to something else."""

    def bend(name: str, real: int, request: Request) -> int:
        if name != call:
            return real
        change(request)
        return real if code is None else code

    return Double(scripted(profile), bend)


def told(size: int, data: bytes | None = b"") -> Callable[[Request], object]:
    """Bends a list: what is given, and what size is told."""
    kept = [data]

    def change(request: Request) -> None:
        if data != b"":
            request.given, request.given_size = kept[0], len(data or b"")
        request.told_size = size

    return change


def failed(double: Double, out: Path) -> ArchiveError:
    """Run a full that must fail before anything is truncated, with all handed back."""
    with pytest.raises(ArchiveError) as caught:
        run_backup(double.native(), out, BackupKind.FULL)
    assert isinstance(double.server, ScriptedServer)
    assert "truncate_logs" not in double.called
    assert double.holds()[0] == 0
    assert not out.exists() or "the set has damage" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("profile", PROFILES)
def test_a_full_runs_through_and_gives_everything_back(profile: str, tmp_path: Path) -> None:
    double = Double(scripted(profile))
    result = run_backup(double.native(), tmp_path / "full.tokar", BackupKind.FULL)
    assert result.truncation is Truncation.DONE
    assert double.holds() == (0, 0, 0)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("data", "size", "said"),
    [
        (None, 8, "gave no memory, and says that it has 8 bytes"),
        (b"D\0x\0", 4, "cannot be read: an entry has no end"),
        (b"D\0x\0\0\0", 6, "cannot be read: the list has no terminator"),
        (b"D\0x\0\0\0\0\0", 7, "cannot be read: a W list has an odd number"),
        (b"\0\x01x\0\0\0\0\0", 8, "cannot be read: the token is"),
        (b"D\0\0\0\0\0", 6, "has no name"),
        (b"D\0x\0\0\0\0\0", 0xFFFFFFFF, "gave 4294967295 bytes, and at most"),
    ],
)
def test_a_list_that_is_none_ends_the_backup(
    data: bytes | None, size: int, said: str, profile: str, tmp_path: Path
) -> None:
    call = "database_names" if profile == "certadm" else "backup_logs"
    double = bent(profile, call, told(size, data))
    assert said in str(failed(double, tmp_path / "full.tokar"))
    assert double.holds() == (0, 0, 0)


@pytest.mark.parametrize("data", [None, b"\0\0", b"\0\0\0\0"])
def test_all_forms_of_an_empty_list_are_a_backup_of_nothing(data: bytes | None, tmp_path: Path) -> None:
    double = bent("certadm", "database_names", told(len(data or b""), data))
    assert "lists no databases" in str(failed(double, tmp_path / "full.tokar"))


@pytest.mark.parametrize("profile", PROFILES)
def test_a_read_beyond_what_was_asked_for_is_refused(profile: str, tmp_path: Path) -> None:
    double = bent(profile, "read", lambda request: setattr(request, "answer", 0x7FFFFFFF))
    assert "read gave 2147483647 bytes" in str(failed(double, tmp_path / "full.tokar"))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("size", "said"), [(-1, "announced -1 bytes"), (1, "bytes"), (1 << 62, "bytes")])
def test_a_wrong_size_ends_the_backup(size: int, said: str, profile: str, tmp_path: Path) -> None:
    double = bent(profile, "open", lambda request: setattr(request, "answer", size))
    assert said in str(failed(double, tmp_path / "full.tokar"))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("call", ["prepare_backup", "prepare_restore"])
def test_success_without_a_context_is_a_failure(call: str, profile: str) -> None:
    server = bent(profile, call, lambda request: setattr(request, "answer", -1)).native()
    with pytest.raises(SourceError, match="gave no context"):
        server.prepare_restore() if call == "prepare_restore" else server.prepare_backup(BackupType.FULL)


@pytest.mark.parametrize(("data", "size"), [(None, 4), (b"x", 0xFFFFFFFF)])
def test_an_expiry_token_that_is_none_ends_the_backup_and_its_context(data: bytes | None, size: int) -> None:
    double = bent("ntdsbcli", "prepare_backup", told(size, data))
    with pytest.raises(SourceError, match="prepare_backup gave"):
        double.native().prepare_backup(BackupType.FULL)
    assert double.holds() == (0, 0, 0)
    assert double.called[-1] == "end"


@pytest.mark.parametrize(("code", "known"), [(0x57, None), (-530, "BadLogSignature"), (1, None)])
def test_a_positive_result_is_a_failure_too(code: int, known: str | None) -> None:
    double = bent("certadm", "backup_logs", lambda _: None, code)
    context = double.native().prepare_backup(BackupType.FULL)
    with pytest.raises(ServerError) as caught:
        context.backup_logs()
    assert caught.value.code == codes.canonical(code)
    assert (known or "") in (caught.value.name or "")
    context.end(Outcome.ABORT)


def clean_calls(profile: str, kind: BackupKind, options: BackupOptions, folder: Path) -> list[str]:
    double = Double(scripted(profile))
    run_backup(double.native(), folder / "clean.tokar", kind, options)
    return double.called


@pytest.fixture(scope="module")
def prior(tmp_path_factory: pytest.TempPathFactory) -> BackupOptions:
    path = tmp_path_factory.mktemp("prior") / "full.tokar"
    run_backup(fill(ScriptedServer(dialect=DIALECTS["certadm"]), 3, 4), path, BackupKind.FULL)
    return BackupOptions(prior=load_prior(path))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("profile", "kind"),
    [("certadm", BackupKind.FULL), ("certadm", BackupKind.INCREMENTAL), ("ntdsbcli", BackupKind.FULL)],
)
def test_whichever_call_fails_nothing_is_truncated_without_a_licence(
    profile: str, kind: BackupKind, prior: BackupOptions, tmp_path: Path
) -> None:
    options = prior if kind is BackupKind.INCREMENTAL else BackupOptions()
    calls = clean_calls(profile, kind, options, tmp_path)
    for number, call in enumerate(calls):
        at = [-1]

        def bend(_name: str, real: int, request: Request, *, number: int = number, at: list[int] = at) -> int:
            at[0] += 1
            if at[0] != number:
                return real
            request.given, request.given_size, request.told_size = None, 0, 0
            return codes.COMMUNICATION_ERROR

        out = tmp_path / f"{number}.tokar"
        double = Double(scripted(profile), bend)
        with pytest.raises(ArchiveError):
            run_backup(double.native(), out, kind, options)
        sealed = call in {"truncate_logs", "end"}
        assert out.exists() == sealed, call
        assert ("truncate_logs" in double.called) == sealed
        assert double.holds() == (0, 0, 0), call
        if call == "truncate_logs":
            assert read_receipt(receipt_path(out)).truncation is Truncation.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    "fault", [CallFault.SHORT, CallFault.EARLY_END, CallFault.WRONG_SIZE, CallFault.TOO_SMALL, CallFault.INTERRUPT]
)
def test_a_file_that_is_not_what_was_announced_is_never_truncated_after(
    fault: CallFault, profile: str, tmp_path: Path
) -> None:
    call = "open" if fault in {CallFault.WRONG_SIZE, CallFault.TOO_SMALL} else "read"
    server = scripted(profile)
    double = Double(server)
    seen: list[int] = []

    def strike(_number: int, name: str) -> CallFault | None:
        seen.extend([1] * (name == call))
        return fault if name == call and len(seen) == 2 else None

    server.fault = strike
    out = tmp_path / "full.tokar"
    try:
        run_backup(double.native(), out, BackupKind.FULL)
    except ArchiveError:
        assert not server.truncated
        assert not out.exists() or (fault, profile) == (CallFault.TOO_SMALL, "certadm")  # damaged, and kept
    else:
        assert (fault, profile) == (CallFault.SHORT, "ntdsbcli")  # where short reads are a matter of course
    assert double.holds()[:2] == (0, 0)


def hanging(profile: str, call: str) -> NativeServer:
    """A native server of which one call never returns."""
    import time  # noqa: PLC0415 - in the process of the server alone

    def bend(name: str, real: int, _request: Request) -> int:
        if name == call:
            time.sleep(600)
        return real

    return doubled(scripted(profile), bend=bend)


CALLS = (
    "is_online",
    "prepare_backup",
    "database_locations",
    "dynamic_files",
    "database_names",
    "open",
    "read",
    "close",
)
ALWAYS = {"read", "truncate_logs"}  # the others in the torture run


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [pytest.param(one, marks=[] if one in ALWAYS else pytest.mark.torture) for one in CALLS],
)
def test_a_call_that_hangs_ends_at_its_deadline(call: str, tmp_path: Path) -> None:
    out = tmp_path / "full.tokar"
    factory = partial(hanging, "certadm", call)
    with DeadlineServer(factory, Deadlines(60, 1, 1, 1, 1)) as server, pytest.raises(ArchiveError) as caught:
        run_backup(server, out, BackupKind.FULL)
    assert "nothing came in 1 seconds" in str(caught.value)
    assert out.exists() == (call in {"truncate_logs", "end"})


def crashing(profile: str) -> NativeServer:
    """A native server whose lists say that they are longer than the memory they lie in, by far."""

    def bend(name: str, real: int, request: Request) -> int:
        if name == "backup_logs":
            ctypes.string_at(1)  # what following a wild pointer comes to
        del request
        return real

    return doubled(scripted(profile), bend=bend)


@pytest.mark.slow
def test_a_library_that_crashes_takes_its_own_process_down_and_no_archive_is_left(tmp_path: Path) -> None:
    out = tmp_path / "full.tokar"
    with DeadlineServer(partial(crashing, "certadm")) as server, pytest.raises(NoAnswerError, match="is gone"):
        run_backup(server, out, BackupKind.FULL)
    assert not out.exists()


def test_after_end_the_library_is_not_called_again() -> None:
    double = Double(scripted("certadm"))
    context = double.native().prepare_backup(BackupType.FULL)
    context.end(Outcome.ABORT)
    before = list(double.called)
    for call in (context.database_names, context.close, context.dynamic_files, context.database_locations):
        with pytest.raises(ServerError):
            call()
    with pytest.raises(ServerError):
        context.read(memoryview(bytearray(8)))
    assert double.called == before


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", [b"x", b"", b"a\0\0\0b\0", "\ud800".encode("utf-16-le", "surrogatepass")])
def test_any_name_is_passed_or_refused_and_never_cut(name: bytes, profile: str) -> None:
    context = doubled(scripted(profile)).prepare_backup(BackupType.FULL)
    with pytest.raises(ServerError):
        context.open(name)
    context.end(Outcome.ABORT)


def test_register_passes_everything_as_it_was_given() -> None:
    server = scripted("certadm")
    context = doubled(server).prepare_restore()
    full = Registration("C:\\s", None, (("a\u00e4.edb", "b\ud800.edb"), ("c", "d")), "C:\\l", 5, 0xFFFFFFFF)
    context.register(full)
    assert server.registered == full
    context.register_complete(codes.ERROR)
    assert server.completed == [codes.ERROR]
    context.end()


@pytest.mark.parametrize("wrong", [{"log_path": "a\0b"}, {"generation_high": 1 << 32}, {"generation_low": -1}])
def test_what_register_would_garble_is_refused(wrong: dict[str, Any]) -> None:
    server = scripted("certadm")
    context = doubled(server).prepare_restore()
    given = {**dict.fromkeys(("checkpoint_path", "log_path", "backup_log_path"), "C:\\"), "restore_map": None}
    with pytest.raises(ServerError, match="register failed"):
        context.register(Registration(**{**given, "generation_low": 1, "generation_high": 2, **wrong}))
    assert server.registered is None
    context.end()


def test_truncation_is_off_unless_it_is_asked_for_and_the_receipt_says_what_was_seen(tmp_path: Path) -> None:
    server = doubled(scripted("certadm"))
    server.truncates = type(server)({}, "CA1").truncates
    assert not server.truncates
    with pytest.raises(ProcedureError, match="experimental") as caught:
        run_backup(server, tmp_path / "full.tokar", BackupKind.FULL)
    assert "--truncate" in str(caught.value.hint)
    result = run_backup(server, tmp_path / "copy.tokar", BackupKind.COPY)
    assert read_receipt(result.receipt).backup["seen_against"] == "the public headers, and a double in C"


def test_a_server_without_a_name_is_this_machine() -> None:
    assert doubled(scripted("certadm", name="")).name


@pytest.mark.skipif(sys.platform == "win32", reason="there it may well be usable")
@pytest.mark.parametrize("source", ["certadm:", "certadm:CA1", "ntdsbcli:"])
def test_elsewhere_the_source_says_that_it_needs_windows(source: str, tmp_path: Path) -> None:
    scheme = source.partition(":")[0]
    assert find_source(source)[1] == source.partition(":")[2]
    result = tokar("backup", source, tmp_path / "a.tokar", "--type", "full")
    assert (result.exit_code, result.error) == (2, f"{scheme}: cannot be used here: it needs Windows")
    assert "privileges" in result.hint
    enable_privileges()  # does nothing here


class Privileges:
    """The functions of the system, of which one fails."""

    def __init__(self, fails: str = "", error: int = 0) -> None:
        self.fails = fails
        self.error = error
        self.open = 0
        self.enabled: list[int] = []

    def functions(self) -> dict[str, Callable[..., int]]:
        return {
            "GetCurrentProcess": lambda: -1,
            "OpenProcessToken": self.open_token,
            "LookupPrivilegeValueW": self.look_up,
            "AdjustTokenPrivileges": self.adjust,
            "CloseHandle": self.close,
        }

    def open_token(self, _process: int, access: int, _token: object) -> int:
        assert access == 0x28
        self.open += self.fails != "open"
        return self.fails != "open"

    def look_up(self, _system: None, name: ctypes.Array[ctypes.c_uint16], luid: ctypes.Array[ctypes.c_uint32]) -> int:
        luid[0] = len(bytes(name))
        return self.fails != "look_up"

    def adjust(self, _token: object, _all: int, row: Any, *_rest: object) -> int:
        found = row._obj
        assert (found.count, found.attributes) == (1, 2)
        self.enabled.append(found.luid[0])
        return self.fails != "adjust"

    def close(self, _token: object) -> int:
        self.open -= 1
        return 1


def test_both_privileges_are_enabled_and_the_token_is_closed() -> None:
    system = Privileges()
    enable_with(system.functions(), lambda: 0)
    assert system.enabled == [2 * len("SeBackupPrivilege") + 2, 2 * len("SeRestorePrivilege") + 2]
    assert system.open == 0


@pytest.mark.parametrize(("fails", "error"), [("open", 5), ("look_up", 1313), ("adjust", 5), ("", 1300)])
def test_a_privilege_that_is_not_held_is_an_error_also_where_the_call_succeeds(fails: str, error: int) -> None:
    system = Privileges(fails)
    with pytest.raises(SourceError, match=f"Windows error {error}"):
        enable_with(system.functions(), lambda: error)
    assert system.open == 0


@pytest.mark.parametrize(("size", "most"), [(11, 10), (1 << 32, 1 << 24)])
def test_memory_is_copied_within_bounds_only(size: int, most: int) -> None:
    buffer = ctypes.create_string_buffer(8)
    with pytest.raises(SourceError, match=f"at most {most} can be right"):
        copied(ctypes.cast(buffer, ctypes.c_void_p), size, most, "a call")


def test_names_stay_as_they_were_delivered() -> None:
    context = doubled(scripted("certadm")).prepare_backup(BackupType.FULL)
    given = context.database_names()
    assert given.entries[0].raw_name == DATABASE_NAME.encode("utf-16-le")
    assert given.data is not None
    given.free()
    context.end(Outcome.ABORT)
