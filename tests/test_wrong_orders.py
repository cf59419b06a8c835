"""The wrong orders that clients were caught in: by hand they lose data or are refused, through tokar they cannot be.

Numbers are those of the order rules that all dialects share (MS Knowledge Base Q159838, Q256347; JetGetLogInfo,
JetTruncateLog; DsBackupTruncateLogs), then failures from the field while restoring (Q147121, Q179654, Q192657,
Q200941).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from chain_stories import (
    HandSet,
    Story,
    Taken,
    back_up,
    hand_set,
    new_story,
    outcome_of,
    place,
    register,
    server_of,
    take,
    target_for,
)
from chain_stories import restore as restore_through_tokar

from tokar import codes
from tokar.errors import ProcedureError, SetError, SourceChangedError
from tokar.lab.engine import EngineError
from tokar.lab.server import SimulatedServer
from tokar.server.backup_steps import BackupProcedure
from tokar.server.contract import BackupContext, BackupKind, BackupType, Outcome, Registration, ServerError
from tokar.server.licence import TruncationLicence, check_seal
from tokar.server.restore_steps import RestoreProcedure, SetToRestore
from tokar.server.states import OutOfOrderError
from tokar.server.transcript import Transcript

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.lab.lab import Lab
    from tokar.namelist import ListedName
    from tokar.server.content import ContentStream, ListedFile

PROFILES = ("edbbcli", "ntdsbcli", "certadm")
LOGS_ONLY = ("edbbcli", "certadm")
NO_LICENCE = cast("TruncationLicence", object())
FULL, LOGS = BackupType.FULL, BackupType.LOGS_ONLY


def code_of(call: Callable[..., object], *arguments: object) -> int:
    """Make a call that must fail, and return the result code."""
    with pytest.raises(ServerError) as caught:
        call(*arguments)
    return caught.value.code


def jet(number: int) -> int:
    return codes.from_jet(number)


def quiet(story: Story) -> SimulatedServer:
    return server_of(story, busy=0)


def settle(lab: Lab) -> None:
    """Bring everything to disk and move the checkpoint to the end, so that truncation really deletes."""
    for number in sorted(lab.instance.transactions.open, reverse=True):
        lab.instance.transactions.rollback(number)
    lab.instance.cache.flush_all()
    lab.instance.write_checkpoint()


def read(context: BackupContext, entry: ListedName) -> Taken:
    """Read a listed file to its announced size."""
    left = context.open(entry.raw_name)
    data = b""
    while left:
        buffer = bytearray(min(left, 4096))
        count = context.read(memoryview(buffer))
        data += buffer[:count]
        left -= count
    context.close()
    assert entry.token is not None
    encoding = "utf-16-le" if entry.encoding == 1200 else "cp1252"
    return Taken(entry.token, entry.raw_name.decode(encoding), data)


def as_set(context: BackupContext, databases: list[Taken], others: list[Taken]) -> HandSet:
    logs = tuple(one for one in others if one.token == 0x21)
    patches = tuple(one for one in others if one.token != 0x21)
    return HandSet(bool(databases), tuple(databases), logs, patches, context.expiry_token)


def restored(story: Story, folder: Path, *sets: HandSet, low: int | None = None) -> dict[str, Any] | int:
    lab = target_for(story, folder)
    place(lab, sets)
    register(lab, sets, low=low)
    return outcome_of(lab)


def begin(story: Story, kind: BackupKind = BackupKind.FULL) -> BackupProcedure:
    procedure = BackupProcedure(quiet(story), kind, Transcript(lambda: "now"))
    procedure.prepare()
    return procedure


def take_in(_file: ListedFile, stream: ContentStream) -> None:
    while stream.readinto(bytearray(65536)):
        pass


def out_of_order(call: Callable[..., object], *arguments: object) -> None:
    with pytest.raises(OutOfOrderError):
        call(*arguments)


# Rule 1: Prepare first, once, End last.


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_prepare_is_refused_by_the_server(profile: str, tmp_path: Path) -> None:
    server = quiet(new_story(tmp_path, profile, work=5))
    server.prepare_backup(FULL)
    assert code_of(server.prepare_backup, FULL) == codes.BACKUP_IN_PROGRESS


def test_tokar_prepares_once_and_does_nothing_after_end(tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, work=5))
    out_of_order(procedure.prepare)
    procedure.end()
    for call in (procedure.prepare, procedure.sealed):
        out_of_order(call)
    out_of_order(procedure.take_databases, take_in)
    out_of_order(procedure.take_logs, take_in)


# Rule 2: databases are listed in a full only.


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_databases_are_not_listed_in_a_backup_of_logs(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=5)
    back_up(quiet(story))
    context = quiet(story).prepare_backup(LOGS)
    assert code_of(context.database_names) == jet(-521)
    context.end(Outcome.ABORT)
    out_of_order(begin(story, BackupKind.INCREMENTAL).take_databases, take_in)


# Rule 3: one file is open at a time.


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_file_is_not_opened(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=5)
    context = quiet(story).prepare_backup(FULL)
    first, second = context.database_names().entries
    context.open(first.raw_name)
    assert code_of(context.open, second.raw_name) == codes.ALREADY_OPEN
    context.end(Outcome.ABORT)


@pytest.mark.parametrize("profile", PROFILES)
def test_tokar_starts_nothing_while_a_file_is_open(profile: str, tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, profile, work=5))

    def meddle(file: ListedFile, stream: ContentStream) -> None:
        out_of_order(procedure.take_databases, take_in)
        out_of_order(procedure.take_logs, take_in)
        out_of_order(procedure.sealed)
        out_of_order(procedure.truncate_logs, NO_LICENCE)
        take_in(file, stream)

    procedure.take_databases(meddle)
    procedure.take_logs(meddle)


# Rule 4: every database is closed before the logs are listed (Q256347).


def list_early(story: Story) -> tuple[HandSet, int]:
    """List the logs while the last database is being read and users go on; return the set, and what it should reach."""
    lab = story.lab
    context = quiet(story).prepare_backup(FULL)
    first, last = context.database_names().entries
    databases = [read(context, first)]
    left = context.open(last.raw_name)
    data = bytearray()
    listed = context.backup_logs().entries
    while left:
        buffer = bytearray(min(left, 4096))
        count = context.read(memoryview(buffer))
        data += buffer[:count]
        left -= count
        lab.work(12)
        lab.instance.cache.flush_all()
    context.close()
    assert last.token is not None
    databases.append(Taken(last.token, last.raw_name.decode("cp1252"), bytes(data)))
    taken = as_set(context, databases, [read(context, entry) for entry in listed])
    context.end(Outcome.SUCCESS)
    return taken, taken.high


def test_logs_listed_before_the_databases_are_closed_make_an_exchange_backup_worthless(tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", "edbbcli", work=60)
    taken, high = list_early(story)
    found = restored(story, tmp_path / "b", taken)
    assert found not in (story.expected(high), story.expected()), "neither the state then nor now"


@pytest.mark.parametrize("profile", ["ntdsbcli", "certadm"])
def test_later_engines_refuse_to_list_logs_while_a_database_is_open(profile: str, tmp_path: Path) -> None:
    context = quiet(new_story(tmp_path, profile, work=5)).prepare_backup(FULL)
    context.open(context.database_names().entries[0].raw_name)
    assert code_of(context.backup_logs) == jet(-521)


@pytest.mark.parametrize("profile", PROFILES)
def test_tokar_cannot_list_logs_before_every_database_was_read(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=5)
    server = quiet(story)
    procedure = BackupProcedure(server, BackupKind.FULL, Transcript(lambda: "now"))
    procedure.prepare()
    out_of_order(procedure.take_logs, take_in)

    def early(file: ListedFile, stream: ContentStream) -> None:
        out_of_order(procedure.take_logs, take_in)
        take_in(file, stream)

    procedure.take_databases(early)
    assert "backup_logs" not in server.calls


# Rule 5: the list of logs is made once.


@pytest.mark.parametrize("profile", PROFILES)
def test_a_second_list_knows_nothing_of_the_logs_since_the_first(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=5)
    context = quiet(story).prepare_backup(FULL)
    for entry in context.database_names().entries:
        read(context, entry)
    first = context.backup_logs().entries
    story.lab.work(60)
    assert context.backup_logs().entries == first
    assert len(story.lab.instance.log.closed()) > len([one for one in first if one.token == 0x21])


def test_tokar_lists_logs_once(tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, work=5))
    procedure.take_databases(take_in)
    procedure.take_logs(take_in)
    out_of_order(procedure.take_logs, take_in)


# Rule 6: no database is opened after the logs are listed.


@pytest.mark.parametrize("profile", PROFILES)
def test_a_database_that_comes_after_the_log_list_is_lost(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=20)
    context = quiet(story).prepare_backup(FULL)
    first, second = context.database_names().entries
    databases = [read(context, first)]
    listed = context.backup_logs().entries
    assert code_of(context.open, second.raw_name) == jet(-521)
    lab = target_for(story, tmp_path / "b")
    taken = as_set(context, databases, [read(context, entry) for entry in listed])
    place(lab, [taken])
    register(lab, [taken])
    lab.recover()
    with pytest.raises((EngineError, OSError)):
        lab.contents()


def test_tokar_takes_no_database_after_the_log_list(tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, work=5))
    procedure.take_databases(take_in)
    out_of_order(procedure.take_databases, take_in)
    procedure.take_logs(take_in)
    out_of_order(procedure.take_databases, take_in)


# Rule 7: every listed file is read to its end before truncation.


@pytest.mark.parametrize("profile", PROFILES)
def test_truncation_with_a_log_unread_is_refused(profile: str, tmp_path: Path) -> None:
    context = quiet(new_story(tmp_path, profile, work=30)).prepare_backup(FULL)
    for entry in context.database_names().entries:
        read(context, entry)
    for entry in context.backup_logs().entries[1:]:
        read(context, entry)
    assert code_of(context.truncate_logs) == codes.LOG_FILE_NOT_COPIED


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_read_twice_hides_one_that_was_not_and_it_is_lost_for_good(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=10)
    context = quiet(story).prepare_backup(FULL)
    story.lab.work(60)
    databases = [read(context, entry) for entry in context.database_names().entries]
    listed = [entry for entry in context.backup_logs().entries if entry.token == 0x21]
    patches = [read(context, entry) for entry in context.backup_logs().entries if entry.token != 0x21]
    settle(story.lab)
    skipped, *rest = listed
    others = [read(context, entry) for entry in (*rest, rest[-1])][:-1]
    context.truncate_logs()
    context.end(Outcome.SUCCESS)
    taken = as_set(context, databases, [*others, *patches])
    name = skipped.raw_name.decode("utf-16-le" if skipped.encoding == 1200 else "cp1252").rpartition("\\")[2]
    assert not (story.lab.place.logs / name).exists(), "neither in the backup nor on the server"
    found = restored(story, tmp_path / "b", taken)
    assert isinstance(found, int)


@pytest.mark.parametrize("profile", PROFILES)
def test_tokar_seals_and_truncates_only_when_everything_was_read(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=20)
    procedure = begin(story)
    out_of_order(procedure.truncate_logs, NO_LICENCE)
    procedure.take_databases(take_in)
    out_of_order(procedure.truncate_logs, NO_LICENCE)
    out_of_order(procedure.sealed)

    def skip(_file: ListedFile, _stream: ContentStream) -> None:
        out_of_order(procedure.truncate_logs, NO_LICENCE)

    with pytest.raises(SourceChangedError, match="0 bytes came"), procedure:
        procedure.take_logs(skip)
    out_of_order(procedure.sealed)


# Rule 8: truncation only when the copy is safe, and never for a differential.


def chain_with_a_lost_copy(story: Story, *, truncate: bool) -> tuple[HandSet, HandSet]:
    """A full, an incremental whose copy is lost after its logs were read, and another incremental."""
    full = back_up(quiet(story))
    story.lab.work(50)
    settle(story.lab)
    back_up(quiet(story), full=False, truncate=truncate)  # and its copy is gone: the disk was full
    story.lab.work(50)
    return full, back_up(quiet(story), full=False)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_truncation_before_the_copy_is_safe_loses_everything_since(profile: str, tmp_path: Path) -> None:
    lost = new_story(tmp_path / "lost", profile, work=20)
    found = restored(lost, tmp_path / "a", *chain_with_a_lost_copy(lost, truncate=True))
    assert isinstance(found, int), "the logs are nowhere any more"
    kept = new_story(tmp_path / "kept", profile, work=20)
    full, later = chain_with_a_lost_copy(kept, truncate=False)
    assert restored(kept, tmp_path / "b", full, later) == kept.expected(later.high)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_differential_that_truncates_makes_the_next_one_useless(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=20)
    full = back_up(quiet(story))
    for truncate in (True, False):
        story.lab.work(50)
        settle(story.lab)
        differential = back_up(quiet(story), full=False, truncate=truncate)
    assert differential.low > full.high + 1
    assert isinstance(restored(story, tmp_path / "b", full, differential), int)


def at_seal(story: Story, kind: BackupKind) -> BackupProcedure:
    procedure = begin(story, kind)
    if procedure.kind.backup_type is FULL:
        procedure.take_databases(take_in)
    procedure.take_logs(take_in)
    out_of_order(procedure.truncate_logs, NO_LICENCE)
    procedure.sealed()
    return procedure


@pytest.mark.parametrize("kind", [BackupKind.DIFFERENTIAL, BackupKind.COPY])
@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_tokar_gives_no_licence_for_a_differential_or_a_copy(profile: str, kind: BackupKind, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=20)
    back_up(quiet(story))
    procedure = at_seal(story, kind)
    with pytest.raises(ProcedureError, match="never truncates"):
        check_seal(procedure, cast("Any", None))


@pytest.mark.parametrize("profile", PROFILES)
def test_tokar_truncates_after_a_seal_only_with_a_licence_that_cannot_be_made_by_hand(
    profile: str, tmp_path: Path
) -> None:
    story = new_story(tmp_path, profile, work=20)
    procedure = at_seal(story, BackupKind.FULL)
    with pytest.raises(ProcedureError, match="seal check alone"):
        procedure.truncate_logs(TruncationLicence(object(), procedure, bytes(16)))
    with pytest.raises(AttributeError):
        procedure.truncate_logs(NO_LICENCE)


# Rule 9: after a failure there is only End.


@pytest.mark.parametrize("profile", PROFILES)
def test_after_a_failure_the_server_has_dropped_the_backup(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=20)
    lab = story.lab
    context = quiet(story).prepare_backup(FULL)
    names = context.database_names().entries
    path = lab.place.databases[1]
    data = bytearray(path.read_bytes())
    data[-100] ^= 1  # the last page of the first database
    path.write_bytes(data)
    with pytest.raises(ServerError):
        read(context, names[0])
    context.close()
    assert code_of(context.open, names[1].raw_name) == jet(-520)
    assert code_of(context.backup_logs) == jet(-520)
    assert code_of(context.truncate_logs) == jet(-520)


@pytest.mark.parametrize("profile", PROFILES)
def test_after_a_failure_tokar_does_nothing_but_end(profile: str, tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, profile, work=5))
    procedure.fail()
    out_of_order(procedure.take_databases, take_in)
    out_of_order(procedure.take_logs, take_in)
    out_of_order(procedure.sealed)
    out_of_order(procedure.truncate_logs, NO_LICENCE)
    ending = procedure.end()
    assert ending is not None
    assert ending.outcome is Outcome.ABORT


# Rule 10: a backup that ends without its logs is none.


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_full_that_ends_without_its_logs_does_not_count(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=20)
    context = quiet(story).prepare_backup(FULL)
    databases = [read(context, entry) for entry in context.database_names().entries]
    context.end(Outcome.SUCCESS)
    assert code_of(quiet(story).prepare_backup, LOGS) == codes.FULL_BACKUP_NOT_TAKEN
    lab = target_for(story, tmp_path / "b")
    place(lab, [as_set(context, databases, [])])
    assert isinstance(outcome_of(lab), int)


@pytest.mark.parametrize("profile", PROFILES)
def test_tokar_ends_without_the_logs_only_as_an_abort(profile: str, tmp_path: Path) -> None:
    procedure = begin(new_story(tmp_path, profile, work=5))
    procedure.take_databases(take_in)
    out_of_order(procedure.sealed)
    ending = procedure.end()
    assert ending is not None
    assert ending.outcome is Outcome.ABORT


# Restoring.


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_service_started_between_full_and_incremental_has_lost_the_incremental(profile: str, tmp_path: Path) -> None:
    """Q147121."""
    story = new_story(tmp_path / "a", profile, work=20)
    full = back_up(quiet(story))
    story.lab.work(50)
    later = back_up(quiet(story), full=False)
    lab = target_for(story, tmp_path / "b")
    place(lab, [full])
    register(lab, [full])
    lab.start()
    lab.work(3)
    lab.stop()
    context = SimulatedServer(lab, running=False).prepare_restore()
    logs = lab.config.unc(lab.config.logs)
    registration = Registration(logs, logs, None, logs, later.low, later.high)
    assert code_of(context.register, registration) == codes.NO_FULL_RESTORE
    place(lab, [later])
    assert outcome_of(lab) != story.expected(later.high)


def registration(low: int, high: int, *, full: bool) -> SetToRestore:
    rows = (("\\\\S\\D$\\a.edb", "\\\\S\\D$\\a.edb"),) if full else None
    kind = FULL if full else LOGS
    return SetToRestore(f"{low} to {high}", kind, Registration("C:\\s", "C:\\l", rows, "C:\\l", low, high))


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_tokar_restores_the_full_first_and_refuses_a_service_that_runs(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path, profile, work=5)
    if story.lab.config.profile == "certadm":  # Exchange's interface has no such question; its Prepare refuses
        with pytest.raises(ProcedureError, match="the service runs"):
            RestoreProcedure(quiet(story), Transcript(lambda: "now")).prepare()
    else:
        assert code_of(RestoreProcedure(quiet(story), Transcript(lambda: "now")).prepare) == 0x80070020
    story.lab.stop()
    procedure = RestoreProcedure(SimulatedServer(story.lab, running=False), Transcript(lambda: "now"))
    procedure.prepare()
    with pytest.raises(ProcedureError, match="a full comes first"), procedure:
        procedure.restore(registration(8, 9, full=False), lambda _: None)
    out_of_order(procedure.restore, registration(5, 7, full=True), lambda _: None)


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_sets_that_are_registered_backwards_end_with_the_wrong_highest_log(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=20)
    sets = [back_up(quiet(story))]
    for _ in range(2):
        story.lab.work(50)
        settle(story.lab)
        sets.append(back_up(quiet(story), full=False))
    full, first, second = sets
    lab = target_for(story, tmp_path / "b")
    place(lab, [full, first])  # and the last set is not there yet: the engine believes the last Register
    register(lab, [full, second, first])
    assert outcome_of(lab) == story.expected(first.high), "silently, without the last set"
    procedure = RestoreProcedure(SimulatedServer(target_for(story, tmp_path / "c"), running=False), Transcript(str))
    procedure.prepare()
    with procedure:
        procedure.restore(registration(full.low, full.high, full=True), lambda _: None)
        procedure.restore(registration(second.low, second.high, full=False), lambda _: None)
        with pytest.raises(ProcedureError, match="sets go in order"):
            procedure.restore(registration(first.low, first.high, full=False), lambda _: None)


def test_a_set_left_out_makes_the_engine_delete_what_comes_after_it(tmp_path: Path) -> None:
    """Q179654: in the early engine without a word."""
    story = new_story(tmp_path / "a", "edbbcli", work=20)
    full = take(story, tmp_path / "1.tokar", BackupKind.FULL, busy=0)
    story.lab.work(50)
    settle(story.lab)
    first = take(story, tmp_path / "2.tokar", BackupKind.INCREMENTAL, before=(full,), busy=0)
    story.lab.work(50)
    second = take(story, tmp_path / "3.tokar", BackupKind.INCREMENTAL, before=first.chain, busy=0)
    assert second.low > full.high + 1
    lab = target_for(story, tmp_path / "by-hand")
    place(lab, [hand_set(one.path) for one in (full, second)])
    register(lab, [hand_set(full.path)])
    assert lab.recover().deleted, "the logs after the gap"
    assert lab.contents() == story.expected(full.high), "and nobody says that the rest is missing"
    with pytest.raises(SetError, match="cannot be reached"):
        restore_through_tokar(target_for(story, tmp_path / "b"), [full, second])


def test_a_copy_that_is_merely_started_is_refused_by_the_engine(tmp_path: Path) -> None:
    """Q200941: soft recovery on a streaming copy."""
    story = new_story(tmp_path / "a", "certadm", work=20)
    lab = target_for(story, tmp_path / "b")
    place(lab, [back_up(quiet(story))])
    assert outcome_of(lab) == -544


@pytest.mark.parametrize("profile", LOGS_ONLY)
def test_a_start_before_the_restore_is_complete_is_refused_by_the_engine(profile: str, tmp_path: Path) -> None:
    story = new_story(tmp_path / "a", profile, work=20)
    full = back_up(quiet(story))
    lab = target_for(story, tmp_path / "b")
    context = SimulatedServer(lab, running=False).prepare_restore()
    logs = lab.config.unc(lab.config.logs)
    rows = tuple((one.name, one.name) for one in full.databases)
    context.register(Registration(logs, logs, rows, logs, full.low, full.high))
    place(lab, [full])
    assert outcome_of(lab) == -506
