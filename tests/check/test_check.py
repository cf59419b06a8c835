"""The graded verdict: what becomes of every rung, and the exit code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from command_line import done
from recovery_sets import (
    DATABASE,
    PAGE_SIZE,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    streaming,
    write,
)

import tokar
from tokar.check import rehearsal
from tokar.check.ladder import CheckRequest, check
from tokar.check.rehearsal import rehearse
from tokar.check.report import ArchiveCheck, Rung, RungResult, RungState
from tokar.errors import InputError, StorageError
from tokar.ese.database import DatabaseHeader
from tokar.ese.inspect import inspect_file
from tokar.restore.place import place
from tokar.sets import backup_set, read, start
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.read import facts_of_archive
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tokar.ese.inspect import Inspection
    from tokar.restore.ahead import ContentReader
    from tokar.restore.place import Report
    from tokar.restore.plan import Plan
    from tokar.sets.facts import SetFacts
    from tokar.storage.bytesource import ByteSource

Files = dict[str, bytes]
PASSED, FAILED, SKIPPED = RungState.PASSED, RungState.FAILED, RungState.NOT_LOOKED_AT


def backup() -> Files:
    return {DATABASE: bytes(streaming(5, 7)), **logs(5, 7), "main.pat": b""}


def crashed() -> Files:
    return {DATABASE: bytes(dirty(5, 7)), **logs(5, 8), "edb.chk": checkpoint(5)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return archive(tmp_path / "set.tokar", backup()).path


def only(path: Path, **request: object) -> ArchiveCheck:
    (found,) = check([path], CheckRequest(**request)).archives  # type: ignore[arg-type] # the caller names fields
    return found


@pytest.mark.parametrize("files", [backup(), crashed(), logs(5, 7)], ids=["copies", "crashed", "logs alone"])
def test_one_archive_is_judged_once(files: Files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []

    def judge_once(facts: SetFacts, *, without: Collection[int] = ()) -> SetVerdict:
        judged.append(facts)
        return judge_set(facts, without=without)

    for module in (backup_set, start):
        monkeypatch.setattr(module, "judge_set", judge_once)
    check([archive(tmp_path / "set.tokar", files).path], CheckRequest())
    assert len(judged) == 1


def states(found: ArchiveCheck) -> dict[Rung, RungState]:
    return {result.rung: result.state for result in found.rungs}


def rung(found: ArchiveCheck, wanted: Rung) -> RungResult:
    return next(result for result in found.rungs if result.rung is wanted)


def code(path: Path, **request: object) -> int:
    return check([path], CheckRequest(**request)).exit_code  # type: ignore[arg-type] # the caller names fields


def test_a_good_archive_passes_what_was_asked_for_and_no_more(path: Path) -> None:
    assert states(only(path)) == {
        Rung.READABLE: PASSED,
        Rung.SEALED: PASSED,
        Rung.INTACT: PASSED,
        Rung.CONSISTENT: PASSED,
        Rung.CHAINED: PASSED,
        Rung.PLACEABLE: SKIPPED,
        Rung.REHEARSED: SKIPPED,
    }
    assert code(path) == 0


def test_what_was_not_looked_at_is_said(path: Path) -> None:
    quick = only(path)
    assert "--content decodes it" in rung(quick, Rung.INTACT).details[0]
    assert "pages and log segments" in rung(quick, Rung.CONSISTENT).not_looked_at[0]
    assert "--rehearse" in rung(quick, Rung.REHEARSED).summary
    assert all(result.summary for result in quick.rungs)
    full = only(path, content=True)
    assert rung(full, Rung.INTACT).not_looked_at == rung(full, Rung.CONSISTENT).not_looked_at == ()


def test_something_else_is_not_readable(tmp_path: Path) -> None:
    path = tmp_path / "x.tokar"
    path.write_bytes(b"not an archive" * 10)
    found = only(path)
    assert states(found) == {Rung.READABLE: FAILED, **dict.fromkeys(list(Rung)[1:], SKIPPED)}
    assert rung(found, Rung.CHAINED).summary == "the archive is not readable"
    assert code(path) == 3


def test_a_cut_archive_is_not_sealed(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])
    found = only(path)
    assert (states(found)[Rung.READABLE], states(found)[Rung.SEALED]) == (PASSED, FAILED)
    assert "salvage" in rung(found, Rung.SEALED).findings[0].next_step
    assert code(path) == 5


def test_a_damaged_archive_is_not_intact(path: Path) -> None:
    with tokar.open(path) as opened:
        at = opened.find("edb00006.log").file_position + 1000
    path.write_bytes(flip(path.read_bytes(), at))
    found = only(path)
    assert states(found)[Rung.INTACT] is FAILED
    assert rung(found, Rung.INTACT).findings[0].files == ("edb00006.log",)
    assert states(found)[Rung.CONSISTENT] is SKIPPED
    assert code(path) == 4


def test_damage_before_the_end_leaves_the_seal_open(path: Path) -> None:
    path.write_bytes(flip(path.read_bytes(), path.stat().st_size - 100))
    found = only(path)
    assert states(found)[Rung.INTACT] is FAILED
    assert states(found)[Rung.SEALED] is SKIPPED
    assert code(path) == 4


def test_an_archive_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        check([tmp_path / "none.tokar"], CheckRequest())


def test_a_damaged_page_is_found_with_content_only(tmp_path: Path) -> None:
    files = backup()
    files[DATABASE] = flip(flip(files[DATABASE], 3 * PAGE_SIZE + 99), 3 * PAGE_SIZE + 2000, 3)
    path = archive(tmp_path / "set.tokar", files).path
    assert code(path) == 0
    found = only(path, content=True)
    assert states(found)[Rung.CONSISTENT] is FAILED
    assert rung(found, Rung.CONSISTENT).findings[0].kind == "pages-damaged"
    assert states(found)[Rung.CHAINED] is RungState.NOT_LOOKED_AT
    assert code(path, content=True) == 9


def test_damage_that_was_found_while_archiving_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "set.tokar"
    (data,) = logs(5, 5).values()
    done("create", "-q", path, write(tmp_path / "set", {"edb00005.log": flip(flip(data, 5000), 5001, 3)}))
    result = rung(only(path), Rung.CONSISTENT)
    assert result.findings[0].kind == "log-damaged"
    assert result.details == ("verified when the archive was made; --content does it again",)


def test_a_missing_log_is_no_fault_of_any_file(tmp_path: Path) -> None:
    files = {name: data for name, data in backup().items() if name != "edb00006.log"}
    path = archive(tmp_path / "set.tokar", files).path
    found = only(path)
    assert (states(found)[Rung.CONSISTENT], states(found)[Rung.CHAINED]) == (PASSED, FAILED)
    finding = rung(found, Rung.CHAINED).findings[0]
    assert finding.engine is not None
    assert (finding.engine.jet, finding.databases) == (-557, (DATABASE,))
    assert code(path) == 9


def test_recoverable_with_loss_is_not_a_pass(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.tokar", {DATABASE: bytes(dirty(5, 6, 8)), **logs(5, 6)}).path
    found = only(path)
    assert found.verdict is not None
    assert found.verdict.worst is not None
    assert found.verdict.worst.value == "recoverable-with-loss"
    assert code(path) == 9


def test_a_warning_does_not_fail(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.tokar", {**crashed(), "edb.chk": checkpoint(8)}).path
    result = rung(only(path), Rung.CHAINED)
    assert (result.state, [one.kind for one in result.remarks]) == (PASSED, ["checkpoint-newer"])


def test_logs_are_chained_with_their_full_and_not_without(tmp_path: Path) -> None:
    files = logs(5, 9)
    full = archive(tmp_path / "full.tokar", {DATABASE: bytes(streaming(5, 7)), **logs(5, 7)}).path
    later = {name: files[name] for name in ("edb00008.log", "edb00009.log")}
    inc = archive(tmp_path / "inc.tokar", later, kind="logs").path
    assert code(inc) == 0
    assert str(only(inc).outcome) == "PART OF A CHAIN: needs a full that reaches 0x7"
    assert code(inc, complete=True) == 9
    together = check([full, inc], CheckRequest())
    assert together.exit_code == 0
    assert rung(together.archives[1], Rung.CHAINED).summary == f"goes on from {full}"


def test_the_lowest_rung_that_failed_gives_the_exit_code(tmp_path: Path, path: Path) -> None:
    bad = archive(tmp_path / "bad.tokar", {DATABASE: bytes(dirty(50, 51))}).path
    cut = tmp_path / "cut.tokar"
    cut.write_bytes(path.read_bytes()[:-50])
    assert check([bad, path], CheckRequest()).exit_code == 9
    assert check([bad, cut], CheckRequest()).exit_code == 5


def test_files_with_places_are_placeable(path: Path, tmp_path: Path) -> None:
    to = (f"database={tmp_path}/db/", f"log-dir={tmp_path}/logs")
    result = rung(only(path, to=to), Rung.PLACEABLE)
    assert (result.state, result.summary) == (PASSED, "5 files into 2 directories")
    assert not (tmp_path / "db").exists()


@pytest.mark.parametrize("content", [False, True])
def test_facts_of_each_file_are_read_once(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bool
) -> None:
    files: list[int] = []
    headers: list[int] = []
    really, parse = inspect_file, DatabaseHeader.parse

    def look(source: ByteSource, *, examine: bool = False) -> Inspection:
        files.append(source.size)
        return really(source, examine=examine)

    def parse_one(page: bytes) -> DatabaseHeader:
        headers.append(len(page))
        return parse(page)

    monkeypatch.setattr(read, "inspect_file", look)
    monkeypatch.setattr(DatabaseHeader, "parse", parse_one)
    only(path, content=content, to=(f"database={tmp_path}/db/", f"log-dir={tmp_path}/logs"))
    assert (len(files), len(headers)) == (0 if content else 4, 1)  # content says it while it is verified


def test_content_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "files", {"main.edb": bytes(database(1200)), **logs(5, 7)})
    done("create", path := tmp_path / "set.tokar", tmp_path / "files", "--compress", "none")
    counted: list[int] = []
    read, readinto = FileSource.read, FileSource.readinto

    def read_some(source: FileSource, offset: int, size: int) -> bytes:
        data = read(source, offset, size)
        counted.append(len(data))
        return data

    def read_into(source: FileSource, offset: int, buffer: memoryview) -> int:
        counted.append(readinto(source, offset, buffer))
        return counted[-1]

    monkeypatch.setattr(FileSource, "read", read_some)
    monkeypatch.setattr(FileSource, "readinto", read_into)
    assert only(path, content=True).rungs
    assert sum(counted) < 1.3 * path.stat().st_size


def test_files_without_a_place_are_not_placeable(path: Path, tmp_path: Path) -> None:
    found = only(path, to=(f"database={tmp_path}/db/",))
    assert rung(found, Rung.PLACEABLE).findings[0].kind == "unknown-token"
    assert code(path, to=(f"database={tmp_path}/db/",)) == 6


def test_locations_that_cannot_be_read_are_not_placeable(path: Path, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text("nonsense = [")
    assert code(path, locations=tmp_path / "list.toml") == 6


def test_an_archive_with_faults_and_no_place_exits_with_the_lower_rung(tmp_path: Path) -> None:
    path = archive(tmp_path / "bad.tokar", {DATABASE: bytes(dirty(5, 7))}).path
    assert code(path, to=("log-dir=/nowhere",)) == 9


def test_a_rehearsal_restores_and_cleans_up(path: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    result = rung(only(path, rehearse=scratch, content=True), Rung.REHEARSED)
    assert (result.state, result.findings) == (PASSED, ())
    assert "5 files" in result.summary
    assert list(scratch.iterdir()) == []


def test_a_rehearsal_gives_files_of_one_name_directories_of_their_own(tmp_path: Path) -> None:
    files = {"a/catdb.edb": bytes(dirty(5, 7)), "b/catdb.edb": bytes(dirty(5, 6)), **logs(5, 7)}
    path = archive(tmp_path / "set.tokar", files).path
    assert rung(only(path, rehearse=tmp_path), Rung.REHEARSED).state is PASSED


def test_a_file_without_a_safe_name_is_not_rehearsed_and_it_says_so(tmp_path: Path) -> None:
    path = archive(tmp_path / "set.tokar", {**backup(), "aux.log": logs(9, 9)["edb00009.log"]}).path
    result = rung(only(path, rehearse=tmp_path), Rung.REHEARSED)
    assert result.state is PASSED
    assert "aux.log has no safe name" in result.not_looked_at[0]


def test_a_rehearsal_needs_a_directory(path: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such directory"):
        check([path], CheckRequest(rehearse=tmp_path / "none"))


def test_a_rehearsal_notices_files_that_are_not_what_was_archived(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place_badly(plan: Plan, reader: ContentReader) -> Report:
        done = place(plan, reader)
        for one in tmp_path.glob("tokar-rehearsal-*/0/edb00006.log"):
            one.write_bytes(flip(one.read_bytes(), 40))
        return done

    monkeypatch.setattr(rehearsal, "place", place_badly)
    with tokar.open(path) as opened:
        found = rehearse(opened, tmp_path, facts_of_archive(opened))
    assert found.differences == (
        "edb00006.log is not what was archived",
        "the restored files say other things of themselves than the archived ones",
    )
    assert list(tmp_path.glob("tokar-rehearsal-*")) == []


def test_a_rehearsal_that_is_refused_fails(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(plan: object, reader: object) -> object:
        del plan, reader
        raise StorageError("no space left")

    monkeypatch.setattr(rehearsal, "place", no_room)
    result = rung(only(path, rehearse=tmp_path), Rung.REHEARSED)
    assert (result.state, result.findings[0].exit_code) == (FAILED, 1)
    assert list(tmp_path.glob("tokar-rehearsal-*")) == []


@pytest.mark.samples
@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("win10-srum-belkasoft-dirty", 0),
        ("win10-srum-rathbun", 0),
        ("xp64-catroot2", 0),
        ("dhcp-streaming-backup-redacted", 9),
        ("ual-hyperv", 9),
        ("dsinternals", 0),
        ("pfsheet-raven", 0),
        ("dissect", 9),
    ],
)
def test_real_sets_are_graded(samples: Path, tmp_path: Path, folder: str, expected: int) -> None:
    source = tmp_path / "in"
    shutil.copytree(samples / folder, source)
    made = {one.relative_to(source).as_posix(): one for one in sorted(source.rglob("*")) if one.is_file()}
    path = tmp_path / "set.tokar"
    with tokar.create(path, profile="ese") as writer:
        for name, one in made.items():
            token = 0x21 if name.endswith(".log") else 0x25 if name.endswith(".pat") else 0x44
            if one.suffix in {".chk", ".jfm", ".jrs"} or "tmp" in name or name.startswith("res"):
                token = 0x0F
            with one.open("rb") as file:
                writer.add(token, name, file)
    assert code(path, content=True, rehearse=tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "word", "exit_code"),
    [
        (backup(), "RESTORABLE", 0),
        ({DATABASE: bytes(dirty(5, 6, 8)), **logs(5, 6)}, "RESTORABLE WITH LOSS: main.edb: log", 9),
        ({DATABASE: bytes(dirty(5, 7)), **logs(5, 6)}, "NOT RESTORABLE: main.edb: log 0x7 is missing", 9),
        ({DATABASE: bytes(dirty(0, 0))}, "NOT PROVEN: main.edb", 9),
        ({DATABASE: bytes(dirty(7, 5)), **logs(5, 7)}, "NOT PROVEN: main.edb", 9),
        ({DATABASE: bytes(database(raw_state=5))}, "NOT PROVEN: main.edb", 9),
        (logs(8, 9), "PART OF A CHAIN: needs a full that reaches 0x7", 0),
    ],
)
def test_the_last_line_says_it(files: Files, word: str, exit_code: int, tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tokar", files).path
    found = only(path, content=True)
    assert str(found.outcome).startswith(word)
    assert code(path, content=True) == code(path) == exit_code
    assert found.to_json()["outcome"]["word"] == word.partition(":")[0]


def test_pages_that_nobody_looked_at_are_not_proven_and_no_fault(path: Path) -> None:
    assert str(only(path).outcome) == "NOT PROVEN: pages and log segments were not verified (tokar check --content)"
    assert code(path) == 0


def test_what_could_not_be_judged_did_not_pass(tmp_path: Path) -> None:
    found = only(archive(tmp_path / "a.tokar", {DATABASE: bytes(database(raw_state=9))}).path)
    assert rung(found, Rung.CHAINED).state is SKIPPED
    assert "not known" in rung(found, Rung.CHAINED).unproven[0]
