"""The licence to truncate: what it takes, rule by rule, and that nobody else can make one."""

from __future__ import annotations

import copy
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scripted_server import DATABASE, LOG, ScriptedServer, wide

from tokar.errors import ArchiveError, DigestMismatchError, IntegrityError, ProcedureError, SetError
from tokar.server.backup_steps import BackupProcedure
from tokar.server.contract import BackupKind
from tokar.server.licence import (
    Evidence,
    LogFacts,
    Needed,
    PriorSet,
    Stored,
    TruncationLicence,
    check_seal,
)
from tokar.server.transcript import Transcript

SOURCE = Path(__file__).parents[2] / "src" / "tokar"
LOGS = (LogFacts("edb00005.log", 5, "s", "t5", "t4"), LogFacts("edb00006.log", 6, "s", "t6", "t5"))
PRIOR = PriorSet(b"p" * 16, b"r" * 32, 4, "s", "t4", "SERVER1")


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
        durable=True,
        archive_id=b"i" * 16,
        root=b"r" * 32,
        sealed_id=b"i" * 16,
        sealed_root=b"r" * 32,
        content_decoded=True,
        faults=(),
        entries=entries,
        logs=LOGS,
        needed=(Needed("a.edb", 5, 6, "s"),),
        server="SERVER1",
    )
    return replace(base, **changes)


def logs_evidence(**changes: Any) -> Evidence:
    base = full_evidence(needed=(), prior=PRIOR)
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


def test_a_pipe_never_gets_one() -> None:
    with pytest.raises(ProcedureError, match="never for a pipe"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(durable=False))


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
        ((LOGS[0], replace(LOGS[1], generation=7)), "gap between generations 0x5 and 0x7"),
        ((LOGS[0], replace(LOGS[1], generation=5)), "two logs have generation 0x5"),
        ((LOGS[0], replace(LOGS[1], stream="other")), "another log stream"),
        ((LOGS[0], replace(LOGS[1], previous_created="t9")), "do not link"),
        (LOGS[1:], "needs generations 0x5 to 0x6"),
        (LOGS[:1], "needs generations 0x5 to 0x6"),
    ],
)
def test_a_full_with_logs_that_do_not_do_gets_none(logs: tuple[LogFacts, ...], message: str) -> None:
    with pytest.raises(SetError, match=message):
        check_seal(at_seal(BackupKind.FULL), full_evidence(logs=logs))


def test_a_database_of_another_log_stream_gets_none() -> None:
    with pytest.raises(SetError, match=r"a\.edb belongs to another log stream"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(needed=(Needed("a.edb", 5, 6, "other"),)))


def test_damage_gets_none() -> None:
    with pytest.raises(SetError, match=r"damaged pages or segments: a\.edb has 2"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(damaged=("a.edb has 2 damaged pages",)))


def test_a_set_that_was_not_examined_gets_none() -> None:
    with pytest.raises(ProcedureError, match="not examined"):
        check_seal(at_seal(BackupKind.FULL), full_evidence(unexamined=("a.edb",)))


def test_logs_without_a_prior_get_none() -> None:
    with pytest.raises(ProcedureError, match="the set before this one is named") as caught:
        check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=None))
    assert "--after" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"generation_high": 3}, "generations 0x4 to 0x4 are in neither set"),
        ({"generation_high": 9}, "these logs end at 0x6"),
        ({"stream": "other"}, "another log stream"),
        ({"created": "t9"}, "do not link"),
        ({"generation_high": 5, "created": "t9"}, "a fork"),
        ({"server": "SERVER2"}, "came from the server SERVER2"),
    ],
)
def test_logs_that_do_not_go_on_get_none(change: dict[str, Any], message: str) -> None:
    with pytest.raises(SetError, match=message):
        check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=replace(PRIOR, **change)))


@pytest.mark.parametrize("high", [4, 5, 6])
def test_logs_may_overlap_their_prior(high: int) -> None:
    prior = replace(PRIOR, generation_high=high, created=f"t{high}")
    check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(prior=prior))


def test_formats_that_do_not_say_are_judged_by_their_generations() -> None:
    silent = tuple(LogFacts(log.name, log.generation) for log in LOGS)
    check_seal(at_seal(BackupKind.INCREMENTAL), logs_evidence(logs=silent))


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


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_licences_are_made_in_one_place_only(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path == SOURCE / "server" / "licence.py":
        assert len(re.findall(r"TruncationLicence\(_SEAL", text)) == 1
    else:
        assert "TruncationLicence(" not in text
        assert "licence._SEAL" not in text
        assert not re.search(r"import[^\n]*\b_SEAL\b", text)
        assert "TruncationLicence.__new__" not in text


# Who calls truncate_logs on a server: the procedure, and what stands in front of a server and passes calls on.
CALLERS = {"server/backup_steps.py", "server/deadline.py"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_truncation_is_asked_for_in_one_place_only(path: Path) -> None:
    calls = re.findall(r"[\w)\]]\.truncate_logs\b", path.read_text(encoding="utf-8"))
    name = path.relative_to(SOURCE).as_posix()
    if name == "server/run_backup.py":
        assert calls in ([], ["e.truncate_logs"])  # procedure.truncate_logs, which takes a licence
    else:
        assert not calls or name in CALLERS
