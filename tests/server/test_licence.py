"""The licence to truncate: what it takes, rule by rule, and that nobody else can make one."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backup_files import OTHER_STREAM, STREAM, moment
from sweeps import each

from tokar.errors import ArchiveError, DigestMismatchError, IntegrityError, ProcedureError, SetError
from tokar.ese.content_facts import LogReport, PageFault, PageFaultKind, PageReport
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.values import NO_SIGNATURE, Signature
from tokar.server.backup_steps import BackupProcedure
from tokar.server.contract import BackupKind
from tokar.server.licence import (
    Evidence,
    PriorSet,
    Stored,
    TruncationLicence,
    check_seal,
)
from tokar.server.prior import prior_log
from tokar.server.transcript import Transcript
from tokar.sets.facts import ChainFacts, DatabaseFacts, LogFacts, OffChain, SetFacts
from tokar.storage.durable import Capability
from tokar.testing.scripted_server import DATABASE, LOG, ScriptedServer, wide

SOURCE = Path(__file__).parents[2] / "src" / "tokar"
HEADER = DatabaseHeader(
    raw_state=DatabaseState.DIRTY_SHUTDOWN,
    required_low=5,
    required_high=6,
    log_signature=STREAM,
    signature=Signature(random=3, created=moment(2)),
    raw_page_size=4096,
)
DATABASE_FACTS = DatabaseFacts(name="a.edb", size=4 * 4096, header=HEADER)


OPAQUE = LogFacts(name="edb00007.log", size=12288, generation=7)
CONTENT = LogReport(unit="segments", segments_xor=9, end=8192, expected_size=12288, size=12288)


def log_facts(generation: int) -> LogFacts:
    return LogFacts(
        name=f"edb{generation:05X}.log",
        size=12288,
        generation=generation,
        named_generation=generation,
        base="edb",
        signature=STREAM,
        created=moment(generation),
        previous_created=moment(generation - 1),
        expected_size=12288,
        page_size=4096,
    )


LOGS = (log_facts(5), log_facts(6))
PRIOR = PriorSet(b"p" * 16, b"r" * 32, prior_log(4, STREAM, moment(4)), "SERVER1")


def with_logs(*logs: LogFacts, databases: tuple[DatabaseFacts, ...] = (DATABASE_FACTS,)) -> SetFacts:
    return SetFacts(databases=databases, logs=logs, examined=True)


def with_header(**fields: Any) -> SetFacts:
    return with_logs(*LOGS, databases=(replace(DATABASE_FACTS, header=replace(HEADER, **fields)),))


def at_seal(kind: BackupKind, **options: Any) -> BackupProcedure:
    """Run a backup up to its seal."""
    server = ScriptedServer(databases={"a.edb": b"database"}, logs={"edb00005.log": b"5", "edb00006.log": b"66"})
    for key, value in options.items():
        setattr(server, key, value)
    procedure = BackupProcedure(server, kind, Transcript(lambda: "now"))
    procedure.prepare()

    def store(_: object, stream: Any) -> None:
        while stream.readinto(bytearray(100)):
            pass

    if procedure.kind.backup_type == "full":
        procedure.take_databases(store)
    procedure.take_logs(store)
    procedure.sealed()
    return procedure


def full_evidence(**changes: Any) -> Evidence:
    entries = (
        Stored(DATABASE, wide("a.edb"), 8),
        Stored(LOG, wide("edb00005.log"), 1),
        Stored(LOG, wide("edb00006.log"), 2),
    )
    base = Evidence(
        capabilities=frozenset(Capability),
        archive_id=b"i" * 16,
        root=b"r" * 32,
        sealed_id=b"i" * 16,
        sealed_root=b"r" * 32,
        content_decoded=True,
        faults=(),
        entries=entries,
        facts=with_logs(*LOGS),
        server="SERVER1",
    )
    return replace(base, **changes)


def logs_evidence(**changes: Any) -> Evidence:
    base = full_evidence(prior=PRIOR, facts=with_logs(*LOGS, databases=()))
    return replace(base, entries=base.entries[1:], **changes)


def test_a_full_that_is_safe_gets_a_licence() -> None:
    procedure = at_seal(BackupKind.FULL)
    procedure.truncate_logs(check_seal(procedure, full_evidence()))
    assert procedure.state == "truncated"


def test_an_incremental_that_goes_on_gets_a_licence() -> None:
    procedure = at_seal(BackupKind.INCREMENTAL)
    assert check_seal(procedure, logs_evidence()).archive_id == b"i" * 16


@pytest.mark.parametrize("kind", [BackupKind.DIFFERENTIAL, BackupKind.COPY])
def test_a_kind_that_keeps_logs_never_gets_one(kind: BackupKind) -> None:
    procedure = at_seal(kind)
    with pytest.raises(ProcedureError, match=f"a {kind} backup never truncates"):
        check_seal(procedure, full_evidence() if kind is BackupKind.COPY else logs_evidence())


def test_a_source_that_nobody_may_delete_from_never_gets_one() -> None:
    procedure = at_seal(BackupKind.FULL)
    procedure._server.truncates = False
    with pytest.raises(ProcedureError, match="nothing may be deleted"):
        check_seal(procedure, full_evidence())


def test_a_full_of_a_source_that_nobody_may_delete_from_is_refused_at_once() -> None:
    with pytest.raises(ProcedureError, match="nothing may be deleted"):
        at_seal(BackupKind.FULL, truncates=False)


@pytest.mark.parametrize("lacking", Capability)
def test_a_place_that_cannot_promise_all_never_gets_one(lacking: Capability) -> None:
    with pytest.raises(ProcedureError, match="a durable file, and where it lies") as caught:
        check_seal(at_seal(BackupKind.FULL), full_evidence(capabilities=frozenset(Capability) - {lacking}))
    assert "another file system" in (caught.value.hint or "")


def test_there_is_none_before_the_seal() -> None:
    server = ScriptedServer(databases={"a.edb": b"database"}, logs={})
    procedure = BackupProcedure(server, BackupKind.FULL, Transcript(lambda: "now"))
    procedure.prepare()
    with pytest.raises(ProcedureError, match="given after the seal"):
        check_seal(procedure, full_evidence())


@pytest.mark.parametrize("change", [{"archive_id": b"x" * 16}, {"root": b"x" * 32}])
def test_another_archive_under_the_name_gets_none(change: dict[str, bytes]) -> None:
    with pytest.raises(IntegrityError, match="not the one that was sealed"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(**change))


def test_a_digest_that_does_not_match_is_raised() -> None:
    fault = DigestMismatchError("the digest of the content is wrong")
    with pytest.raises(DigestMismatchError):
        check_seal(at_seal(BackupKind.FULL), full_evidence(faults=(fault,)))


def test_content_that_was_not_decoded_licenses_nothing() -> None:
    with pytest.raises(ProcedureError, match="not held against its digests"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(content_decoded=False))


ENTRIES = full_evidence().entries


@pytest.mark.parametrize(
    "entries",
    [
        ENTRIES[:-1],
        (*ENTRIES, Stored(LOG, wide("edb00007.log"), 1)),
        (ENTRIES[1], ENTRIES[0], ENTRIES[2]),
        (*ENTRIES[:2], replace(ENTRIES[2], token=0x25)),
        (*ENTRIES[:2], replace(ENTRIES[2], size=3)),
        (*ENTRIES[:2], replace(ENTRIES[2], raw_name=wide("EDB00006.LOG"))),
        (),
    ],
    ids=["missing", "extra", "order", "token", "size", "name", "none"],
)
def test_entries_must_equal_what_was_listed(entries: tuple[Stored, ...]) -> None:
    with pytest.raises(IntegrityError, match="the server listed 3 files"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(entries=entries))


@pytest.mark.parametrize(
    ("logs", "message"),
    [
        ((), "no log"),
        ((LOGS[0], log_facts(7)), "gap between generations 0x5 and 0x7"),
        ((LOGS[0], replace(LOGS[0], name="again")), "two logs have generation 0x5"),
        ((*LOGS, replace(log_facts(7), signature=OTHER_STREAM)), "another log stream"),
        ((*LOGS, OPAQUE, replace(log_facts(8), signature=OTHER_STREAM)), "another log stream"),
        ((LOGS[0], replace(LOGS[1], previous_created=moment(9))), "do not link"),
        (
            (replace(LOGS[0], content=CONTENT), replace(LOGS[1], previous_segments_xor=8)),
            "its content has changed or is cut",
        ),
        ((*LOGS, replace(OPAQUE, generation=None)), "its generation cannot be told"),
        (LOGS[1:], "log 0x5 is missing"),
        (LOGS[:1], "log 0x6 is missing"),
    ],
)
def test_a_full_with_logs_that_do_not_do_gets_none(logs: tuple[LogFacts, ...], message: str) -> None:
    with pytest.raises(SetError, match=message):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*logs)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"log_signature": OTHER_STREAM}, "belongs to another log stream"),
        ({"log_signature": NO_SIGNATURE}, "belongs to another log stream"),
        ({"required_low": 0, "required_high": 0}, "names no required logs"),
        ({"required_low": 7, "required_high": 5}, "the required logs in its header, 7 to 5, are no range"),
        ({"raw_state": DatabaseState.BEING_CONVERTED}, "an upgrade was in progress"),
        ({"raw_state": DatabaseState.FORCE_DETACH}, "is not known"),
        ({"raw_state": DatabaseState.REVERT_IN_PROGRESS}, "a revert was in progress"),
        ({"raw_state": DatabaseState.CLEAN_SHUTDOWN}, "Clean Shutdown, and logs are required by its header"),
        ({"committed_high": 7}, "0x7 with committed transactions is missing"),
        ({"raw_page_size": 8192}, "is for pages of 4096 bytes"),
    ],
)
def test_a_database_that_may_not_be_recoverable_gets_none(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(SetError, match=message):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_header(**fields)))


def test_a_database_of_a_format_that_is_not_known_gets_none() -> None:
    unknown = DatabaseFacts(name="a.edb", size=8, note="a database of Exchange 4.0")
    with pytest.raises(SetError, match=r"not known: a\.edb: a database of Exchange 4\.0"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(unknown,))))


def test_a_clean_database_and_a_temporary_one_get_one() -> None:
    shut_down = replace(HEADER, raw_state=DatabaseState.CLEAN_SHUTDOWN, required_low=0, required_high=0)
    clean = replace(DATABASE_FACTS, header=shut_down)
    created = replace(HEADER, raw_state=DatabaseState.JUST_CREATED, log_signature=NO_SIGNATURE)
    temporary = replace(DATABASE_FACTS, name="tmp.edb", header=created, temporary=True)
    check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(clean, temporary))))


@pytest.mark.parametrize(
    "damaged",
    [replace(DATABASE_FACTS, pages=PageReport(page_size=4096, bad=2)), replace(DATABASE_FACTS, size=10000)],
)
def test_damage_gets_none(damaged: DatabaseFacts) -> None:
    with pytest.raises(SetError, match=r"the set has damage: a\.edb (has 2 damaged pages|is cut short)"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(damaged,))))


def test_damage_of_a_log_that_no_database_needs_gets_none() -> None:
    damaged = replace(log_facts(7), content=replace(CONTENT, bad=1))
    with pytest.raises(SetError, match=r"the set has damage: edb00007\.log has 1 damaged segment"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, damaged)))


def test_blank_pages_get_none() -> None:
    blank = replace(DATABASE_FACTS, pages=PageReport(page_size=4096, pages=4, empty=4, blank=(1,)))
    with pytest.raises(SetError, match=r"the set has damage: a\.edb has no content"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(blank,))))


def test_damage_behind_the_last_page_in_use_is_named_as_such_and_gets_none_all_the_same() -> None:
    bad = PageFault(PageFaultKind.BAD, page=9, offset=40960)
    behind = replace(DATABASE_FACTS, pages=PageReport(page_size=4096, pages=9, bad=1, faults=(bad,), owned=4))
    with pytest.raises(SetError, match="behind page 4, the last one in use"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(behind,))))


def test_a_page_off_its_chain_gets_none() -> None:
    off = OffChain(page=7, position="(5,1,16)", text="page 7 is at 0x65", code=-566)
    lost = replace(DATABASE_FACTS, chain=ChainFacts(pages=1, off=(off,), off_count=1))
    with pytest.raises(SetError, match="has 1 page that the logs do not lead to"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(lost,))))


BLANK = replace(CONTENT, end=0)


@pytest.mark.parametrize(
    ("at", "fields", "message"),
    [
        (0, {"content": BLANK}, r"edb00005\.log has no content"),
        (0, {"content": replace(CONTENT, end=4200), "reached": 6000}, r"edb00005\.log ends at 0x1068"),
        (1, {"content": BLANK, "reached": 6000, "current": True, "named_generation": None}, "has no content"),
    ],
)
def test_a_log_without_the_content_it_must_have_gets_none(at: int, fields: dict[str, Any], message: str) -> None:
    logs = [replace(log, **fields) if number == at else log for number, log in enumerate(LOGS)]
    with pytest.raises(SetError, match=rf"the set has damage: .*{message}"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*logs)))


def test_a_copy_that_grew_while_it_was_made_gets_one() -> None:
    grown = replace(DATABASE_FACTS, pages=PageReport(page_size=4096, pages=4, linked=9))
    check_seal(at_seal(BackupKind.FULL), full_evidence(facts=with_logs(*LOGS, databases=(grown,))))


@pytest.mark.parametrize("change", [{"examined": False}])
def test_a_set_that_was_not_examined_gets_none(change: dict[str, Any]) -> None:
    with pytest.raises(ProcedureError, match="not examined"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(facts=replace(with_logs(*LOGS), **change)))


def test_logs_without_a_prior_get_none() -> None:
    with pytest.raises(ProcedureError, match="the set before this one is named") as caught:
        check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=None))
    assert "--after" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"log": prior_log(3, STREAM, moment(3))}, "log 0x4 is in neither set"),
        ({"log": prior_log(9, STREAM, moment(9))}, "these logs end at 0x6"),
        ({"log": prior_log(4, OTHER_STREAM, moment(4))}, "another log stream"),
        ({"log": prior_log(4, STREAM, moment(9))}, "do not link"),
        ({"log": prior_log(5, STREAM, moment(9))}, "a fork"),
        ({"log": prior_log(6, OTHER_STREAM, moment(6))}, "another log stream"),
        ({"server": "SERVER2"}, "came from the server SERVER2"),
    ],
)
def test_logs_that_do_not_go_on_get_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SetError, match=message):
        check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=replace(PRIOR, **change)))


@pytest.mark.parametrize("high", [4, 5, 6])
def test_logs_may_overlap_their_prior(high: int) -> None:
    prior = replace(PRIOR, log=prior_log(high, STREAM, moment(high)))
    check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=prior))


@pytest.mark.parametrize("prior", [PRIOR, replace(PRIOR, log=prior_log(4))])
def test_formats_that_do_not_say_are_judged_by_their_generations(prior: PriorSet) -> None:
    silent = tuple(LogFacts(name=log.name, generation=log.generation) for log in LOGS)
    check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(facts=with_logs(*silent, databases=()), prior=prior))


def test_a_licence_works_once() -> None:
    procedure = at_seal(BackupKind.FULL)
    licence = check_seal(procedure, full_evidence())
    licence.use(procedure)
    with pytest.raises(ProcedureError, match="used before"):
        procedure.truncate_logs(licence)


def test_a_licence_is_for_one_session() -> None:
    licence = check_seal(at_seal(BackupKind.FULL), full_evidence())
    other = at_seal(BackupKind.FULL)
    with pytest.raises(ProcedureError, match="another session"):
        other.truncate_logs(licence)
    assert other.state == "sealed"


def test_nobody_else_can_make_a_licence() -> None:
    with pytest.raises(ProcedureError, match="from the seal check alone"):
        TruncationLicence(object(), at_seal(BackupKind.FULL), b"i" * 16)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_licence_cannot_be_copied(way: Any) -> None:
    licence = check_seal(at_seal(BackupKind.FULL), full_evidence())
    with pytest.raises(ArchiveError):
        way(licence)


@each(sorted(SOURCE.rglob("*.py")))
def test_licences_are_made_in_one_place_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path == SOURCE / "server" / "licence.py":
        assert len(re.findall(r"TruncationLicence\(_SEAL", text)) == 1
    else:
        assert "TruncationLicence(" not in text
        assert "licence._SEAL" not in text
        assert not re.search(r"import[^\n]*\b_SEAL\b", text)
        assert "TruncationLicence.__new__" not in text


# Who calls truncate_logs on a server: the procedure, what stands in front of a server and passes calls on, and the
# contract as tests.
CALLERS = {"server/backup_steps.py", "server/deadline.py", "testing/server_contract.py"}


@each(sorted(SOURCE.rglob("*.py")))
def test_truncation_is_asked_for_in_one_place_only(path: Path) -> None:
    calls = re.findall(r"[\w)\]]\.truncate_logs\b", path.read_text(encoding="utf-8"))
    name = path.relative_to(SOURCE).as_posix()
    if name == "server/run_backup.py":
        assert calls in ([], ["e.truncate_logs"])  # procedure.truncate_logs, which takes a licence
    else:
        assert not calls or name in CALLERS
