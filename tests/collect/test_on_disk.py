"""Files as they lie: what is said of them is what is said of an archive of them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import command_line
import pytest
from blake3 import blake3
from chain_sets import DATABASE, certutil_folder, database, dirty, part, streaming
from real_sets import drop, load, zero
from replay_pages import older, page_in, put_page
from replay_sets import after, before, records_of
from small_sets import damaged, instance, write

import tokar
from tokar.check.ladder import CheckRequest, check
from tokar.check.report import ArchiveCheck, Rung
from tokar.collect.collect import CollectRequest, collect, gather
from tokar.collect.examine import Findings
from tokar.collect.follow import followed
from tokar.collect.on_disk import Given, set_on_disk
from tokar.errors import InputError, NothingFoundError
from tokar.ese import identify
from tokar.ese.inspect import Inspection, PassingFile
from tokar.replay import together
from tokar.replay.effects import changes_of
from tokar.sets.backup_set import set_of_archive
from tokar.storage.bytesource import FileSource
from tokar.storage.sink import FileSink

SETS = {
    "an instance": instance(),
    "a clean database": {DATABASE: bytes(database()), **part(5, 7)},
    "a dirty one": {DATABASE: bytes(dirty(5, 7)), **part(5, 7)},
    "a log missing": {DATABASE: bytes(dirty(5, 7)), **part(5, 6)},
    "a log damaged": {DATABASE: bytes(dirty(5, 7)), **part(5, 6), "edb00007.log": damaged(part(7, 7)["edb00007.log"])},
    "a streaming copy": {DATABASE: bytes(streaming(5, 7)), **part(5, 7), "main.pat": b""},
    "logs alone": part(5, 7),
    "a database of zeros": {DATABASE: bytes(16384), **part(5, 7)},
    "a folder of certutil's": certutil_folder(),
    "two levels": {f"db/{DATABASE}": bytes(dirty(5, 7)), **{f"logs/{name}": one for name, one in part(5, 7).items()}},
}


def archived(folder: Path) -> Path:
    out = folder.with_name(f"{folder.name}.tokar")
    collect(gather(CollectRequest(paths=[str(folder)])), FileSink(out), findings=Findings())
    return out


def checked(path: Path) -> ArchiveCheck:
    (one,) = check([path], CheckRequest()).archives
    return one


@pytest.mark.parametrize("files", SETS.values(), ids=SETS)
def test_the_facts_are_those_of_the_archive(tmp_path: Path, files: dict[str, bytes]) -> None:
    folder = write(tmp_path / "set", files)
    found = set_on_disk([str(folder)])
    lying, facts = found.backup_set, followed(found.backup_set.facts, found.files)
    with tokar.open(archived(folder)) as archive:
        kept = set_of_archive(archive)
    assert replace(facts, source="", examined=False) == replace(kept.facts, source="", examined=False)
    assert (lying.kind, lying.profile) == (kept.kind, kept.profile)


def agree(folder: Path) -> None:
    """The verdict on files is the verdict on the archive of them, rung by rung."""
    files, archive = checked(folder), checked(archived(folder))
    assert files.outcome == archive.outcome
    assert files.verdict is not None
    assert archive.verdict is not None
    assert files.verdict.to_json() == archive.verdict.to_json()
    for one, other in zip(files.rungs, archive.rungs, strict=True):
        if one.rung in {Rung.CONSISTENT, Rung.CHAINED}:
            assert one.state == other.state
            for said, also in ((one.findings, other.findings), (one.remarks, other.remarks)):
                named = str(folder.with_name(f"{folder.name}.tokar"))
                assert [fault.message for fault in said] == [f.message.replace(named, str(folder)) for f in also]


@pytest.mark.parametrize("files", SETS.values(), ids=SETS)
def test_check_says_of_files_what_it_says_of_their_archive(tmp_path: Path, files: dict[str, bytes]) -> None:
    agree(write(tmp_path / "set", files))


REAL = (
    "win10-srum-belkasoft-dirty",
    "win10-srum-rathbun",
    "xp64-catroot2",
    "dhcp-streaming-backup-redacted",
    "dissect",
)


@pytest.mark.samples
@pytest.mark.parametrize("name", REAL)
def test_check_says_of_a_real_set_what_it_says_of_its_archive(samples: Path, tmp_path: Path, name: str) -> None:
    agree(write(tmp_path / "set", load(samples / name)))


@pytest.mark.samples
@pytest.mark.parametrize("change", [drop("SRU00051.log"), zero("SRUDB.dat"), zero("SRU.log"), drop("SRU.log")])
def test_check_says_of_a_changed_real_set_what_it_says_of_its_archive(
    samples: Path, tmp_path: Path, change: object
) -> None:
    files = load(samples / "win10-srum-belkasoft-dirty")
    change(files)  # type: ignore[operator]
    agree(write(tmp_path / "set", files))


def test_a_folder_with_archives_stands_for_them_and_one_without_for_its_files(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", SETS["a dirty one"])
    archive = archived(folder)
    given = Given.of([tmp_path, folder, folder / DATABASE, archive, folder / "edb00005.log"])
    assert given.sets == (tmp_path, archive)
    assert given.files == ((str(folder),), (str(folder / DATABASE), str(folder / "edb00005.log")))


def test_files_that_are_named_one_by_one_are_one_set(tmp_path: Path) -> None:
    folder = write(tmp_path / "set", SETS["a dirty one"])
    (one,) = check(sorted(folder.iterdir()), CheckRequest()).archives
    assert one.outcome == checked(folder).outcome


def test_logs_as_they_lie_go_on_from_an_archive(tmp_path: Path) -> None:
    base = archived(write(tmp_path / "base", {DATABASE: bytes(dirty(5, 7)), **part(5, 6)}))
    logs = write(tmp_path / "later", part(7, 8))
    quick, full = (check([base, logs], CheckRequest(content=content)) for content in (False, True))
    assert [str(one.outcome.word) for one in quick.archives] == ["NOT PROVEN", "NOT PROVEN"]
    assert [str(one.outcome.word) for one in full.archives] == ["RESTORABLE", "RESTORABLE"]


def test_a_file_that_is_no_archive_and_not_of_the_engine_is_still_refused_as_an_archive(tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"something else" * 1000)
    one = checked(tmp_path / "x.bin")
    assert one.rungs[0].findings[0].kind == "not-an-archive"


def test_a_folder_without_a_set_is_an_error_that_says_what_was_seen(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {"notes.txt": b"x"})
    with pytest.raises(NothingFoundError, match="neither an archive nor a database, log or patch file") as caught:
        check([folder], CheckRequest())
    assert caught.value.__notes__ == ["seen: notes.txt: not recognised"]
    assert caught.value.path == str(folder)


def test_two_streams_in_one_folder_are_refused_as_they_are_when_archived(tmp_path: Path) -> None:
    folder = write(tmp_path / "in", {**part(5, 5), "E0000005.log": part(5, 5)["edb00005.log"]})
    with pytest.raises(InputError, match="the logs of 2 streams are in one folder"):
        check([folder], CheckRequest())


def write_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody write to a file while files are read."""
    real = PassingFile.finish

    def finish(self: PassingFile) -> Inspection:
        with path.open("ab") as file:
            file.write(b"more")
        return real(self)

    monkeypatch.setattr(PassingFile, "finish", finish)


def test_no_log_is_to_be_renamed_where_somebody_writes_to_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "set", SETS["a dirty one"])
    assert checked(folder).next_steps[0].startswith("ren edb00007.log edb.log")
    write_meanwhile(folder / "edb00005.log", monkeypatch)
    assert checked(folder).next_steps == ()


@pytest.mark.parametrize("name", ["edb00007.log", DATABASE])
def test_what_is_written_to_while_it_is_read_is_not_proven_and_not_damaged(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "set", SETS["a log missing"] | {name: b"half written".ljust(9000, b"\0")})
    write_meanwhile(folder / name, monkeypatch)
    one = checked(folder)
    assert str(one.outcome).startswith(f"NOT PROVEN: {name}: written to while it was read")
    assert not any(rung.findings for rung in one.rungs)
    assert check([folder], CheckRequest()).exit_code == 9


@pytest.mark.samples
@pytest.mark.usefixtures("samples")
def test_pages_are_followed_through_the_logs_of_all_sets_of_a_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, later = before(), list(after().logs)
    changed = (one.page for _, record in records_of(later[1]) for one in changes_of(record))
    page = next(one for one in changed if any(page_in(base.database, one)))
    for lost in (False, True):
        place = tmp_path / str(lost)
        folder = write(place / "base", {base.database.name: base.database.read_bytes()})
        if lost:
            put_page(folder / "SRUDB.dat", page, older(page_in(folder / "SRUDB.dat", page), page))
        names = [f"SRU{at:05X}.log" for at in (2, 3, 4)] + ["SRU.log"]
        files = {name: path.read_bytes() for name, path in zip(names, later, strict=True)}
        sets = [archived(folder), archived(write(place / "later", files))]
        for content in (False, True):
            found = [str(one.outcome.word) for one in check(sets, CheckRequest(content=content)).archives]
            assert found == (["NOT RESTORABLE"] * 2 if lost else ["RESTORABLE"] * 2)
            options = ("--content",) * content
            assert command_line.tokar("chain", "-q", *options, *sets).exit_code == (9 if lost else 0)
        with monkeypatch.context() as patch:
            patch.setattr(together, "MOST_LOGS", 0)
            quick = [str(one.outcome.word) for one in check(sets, CheckRequest()).archives]
            assert (quick, command_line.tokar("chain", "-q", *sets).exit_code) == (["NOT PROVEN"] * 2, 0)


def test_a_set_is_the_same_without_where_its_files_are(tmp_path: Path) -> None:
    found = set_on_disk([str(write(tmp_path / "in", instance()))])
    bare = found.without_files()
    assert (bare.backup_set, bare.changed, len(bare.files)) == (found.backup_set, found.changed, 0)
    assert len(found.files) > 0


@pytest.mark.parametrize("has_holes", [True, False])
def test_a_file_with_a_hole_is_told_as_its_zeros_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_holes: bool
) -> None:
    if not has_holes:
        monkeypatch.delattr(os, "SEEK_DATA", raising=False)
    monkeypatch.setattr(identify, "LARGEST_LOG", 1 << 21)
    told = []
    for name, end in (
        ("hollow", b""),
        ("filled", bytes(5 << 20)),
        ("other", bytes(4 << 20) + b"x" + bytes((1 << 20) - 1)),
    ):
        for leaf in ("main.edb", "other.edb"):
            path = tmp_path / name / leaf
            write(path.parent, {leaf: bytes(database()) + (end if leaf == "other.edb" else b"")})
            os.truncate(path, (5 << 20) + len(database()) if leaf == "other.edb" else 1 << 20)
        told.append(set_on_disk([str(tmp_path / name)]))
    hollow, filled, other = (one.backup_set for one in told)
    assert hollow.facts.databases == filled.facts.databases
    assert hollow.root == filled.root != other.root
    digests = [blake3((tmp_path / "hollow" / leaf).read_bytes()).digest() for leaf in ("main.edb", "other.edb")]
    assert [one.digest == digest for one, digest in zip(hollow.facts.databases, digests, strict=True)] == [True, False]


@pytest.mark.skipif(not hasattr(os, "SEEK_DATA"), reason="the system tells of no holes")
@pytest.mark.parametrize("name", ["x.edb", "x.dit", "x.pat", "edb00002.log", "main.edb"])
def test_holes_of_a_terabyte_are_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    write(tmp_path, {name: bytes(database()) if name == "main.edb" else b"", "edb00001.log": b"\xff" * 4096})
    os.truncate(tmp_path / name, 1 << 40)
    reads: list[int] = []
    read = FileSource.read

    def counted(self: FileSource, offset: int, size: int) -> bytes:
        reads.append(size)
        return read(self, offset, size)

    monkeypatch.setattr(FileSource, "read", counted)
    progress: list[int] = []
    set_on_disk([str(tmp_path)], progress=progress.append)
    assert sum(reads) < 64 << 20
    assert sum(progress) == (1 << 40) + 4096
