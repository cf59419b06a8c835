"""Databases as recovery would leave them, in new files: what is in them, who can read them, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from replay_sets import after, before, belkasoft, catroot, pages_of, rathbun, unequal

from tokar.collect.on_disk import open_set
from tokar.errors import ArchiveError, CollisionError, ExistingFileError, RestoreError, SetError
from tokar.ese.database import DatabaseHeader
from tokar.ese.page import seal_segment
from tokar.ese.pages import PageChecker
from tokar.ese.values import NO_BACKUP, NO_POSITION, NO_SIGNATURE
from tokar.replay.effects import changes_of
from tokar.replay.recover import recover

if TYPE_CHECKING:
    from collections.abc import Sequence

    from replay_sets import RealSet

    from tokar.replay.recover import RecoveredFile

pytestmark = pytest.mark.samples


def lay(folder: Path, database: Path, logs: list[Path]) -> Path:
    """A folder with a database and logs, under the names of their generations."""
    folder.mkdir(parents=True)
    shutil.copy(database, folder / database.name)
    for number, log in enumerate(logs, 2):
        name = "SRU.log" if log == logs[-1] else f"SRU{number:05X}.log"
        shutil.copy(log, folder / name)
    return folder


def advancing(folder: Path) -> Path:
    """The database before, and the logs that lead to the one after."""
    return lay(folder, before().database, list(after().logs))


def as_it_lies(folder: Path, real: RealSet) -> Path:
    return lay_named(folder, real.database, real.logs)


def lay_named(folder: Path, database: Path, logs: tuple[Path, ...]) -> Path:
    folder.mkdir(parents=True)
    for path in (database, *logs):
        shutil.copy(path, folder / path.name)
    return folder


def run(source: Path, out: Path, *, lay_in: Sequence[str] = (), **options: Any) -> list[RecoveredFile]:
    with open_set([source]) as files:
        files.server_folders += lay_in
        return recover(files, out, **options)


@pytest.fixture(scope="module")
def recovered(tmp_path_factory: pytest.TempPathFactory) -> RecoveredFile:
    folder = tmp_path_factory.mktemp("recovered")
    return run(advancing(folder / "in"), folder / "out")[0]


def test_every_page_is_that_of_the_database_a_day_later(recovered: RecoveredFile) -> None:
    pages = recovered.pages
    assert list(unequal(pages_of(recovered.path), pages_of(after().database), range(1, pages + 1))) == []
    rest = after().database.read_bytes()[(pages + 2) * 4096 :]
    assert not any(rest)


def test_the_header_is_that_of_a_database_that_belongs_to_no_logs(recovered: RecoveredFile) -> None:
    copies = DatabaseHeader.read(_source(recovered.path))
    header = copies.header
    assert (copies.valid, copies.identical, header.is_clean) == ((True, True), True, True)
    assert header.log_signature == NO_SIGNATURE
    assert {header.consistent_position, header.attach_position, header.detach_position} == {NO_POSITION}
    assert {header.current_full, header.previous_full} == {NO_BACKUP}
    assert (header.required_low, header.required_high, header.committed_high) == (0, 0, 0)
    real = after().header
    same = ("signature", "version", "revision", "minor_revision", "last_object_id", "raw_page_size")
    assert [getattr(header, name) for name in same] == [getattr(real, name) for name in same]
    assert header.dbtime >= real.dbtime


def _source(path: Path) -> Any:
    from tokar.storage.bytesource import BytesSource  # noqa: PLC0415 - one use

    return BytesSource(path.read_bytes())


def test_every_page_has_its_checksum(recovered: RecoveredFile) -> None:
    data = recovered.path.read_bytes()
    checker = PageChecker(DatabaseHeader.parse(data[:4096]), len(data))
    checker.update(data)
    report = checker.finish()
    assert report.is_good
    assert report.highest_dbtime <= DatabaseHeader.parse(data[:4096]).dbtime


def test_what_was_done_is_said(recovered: RecoveredFile) -> None:
    value = recovered.to_json()
    assert value["replay"]["changes"] == 1118
    assert value["replay"]["why_not"] is None
    assert any("Windows recovered" in one for one in value["not_proved"])
    assert any("22 pages that no record that was played names" in one for one in value["not_proved"])


def rows_by_dissect(path: Path) -> dict[str, list[list[str]]]:
    esedb = pytest.importorskip("dissect.esedb", reason="dissect.esedb is not installed")
    with path.open("rb") as file:
        return {
            table.name: [[repr(record.get(column.name)) for column in table.columns] for record in table.records()]
            for table in esedb.EseDB(file).tables()
        }


def test_dissect_reads_the_rows_of_the_true_file(recovered: RecoveredFile) -> None:
    found = rows_by_dissect(recovered.path)
    assert found == rows_by_dissect(after().database)
    assert sum(map(len, found.values())) > 600
    assert found != rows_by_dissect(before().database)


_LIBESEDB = """
import json, pyesedb, sys
file = pyesedb.file()
file.open(sys.argv[1])
found = {}
for table in file.tables:
    found[table.name] = [
        [(record.get_value_data(at) or b"").hex() for at in range(record.number_of_values)] for record in table.records
    ]
print(json.dumps(found))
"""


def rows_by_libesedb(path: Path) -> str:
    """What libesedb reads, in a process of its own: it is not ours, and may end the one that it is in."""
    result = subprocess.run([sys.executable, "-c", _LIBESEDB, path], capture_output=True, text=True, check=False)
    if "No module named" in result.stderr:
        pytest.skip("libesedb-python is not installed: it is made for Linux alone")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_libesedb_reads_the_rows_of_the_true_file(recovered: RecoveredFile) -> None:
    assert rows_by_libesedb(recovered.path) == rows_by_libesedb(after().database)


@pytest.mark.parametrize("real", [rathbun, belkasoft, after], ids=lambda one: one.__name__)
def test_a_set_whose_logs_change_nothing_more_comes_back_as_it_is(real: Any, tmp_path: Path) -> None:
    (one,) = run(as_it_lies(tmp_path / "in", real()), tmp_path / "out")
    assert one.path.read_bytes()[8192:] == real().database.read_bytes()[8192:]
    assert DatabaseHeader.parse(one.path.read_bytes()[:4096]).is_clean


def with_copy(folder: Path, name: str = "old/SRUDB.dat") -> Path:
    """A set beside a copy of its database, which the verdict leaves out."""
    advancing(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    shutil.copy(folder / "SRUDB.dat", folder / name)
    return folder


@pytest.mark.parametrize("name", ["old/SRUDB.dat", "copy.dat"])
def test_a_copy_that_the_verdict_leaves_out_decides_nothing(
    name: str, recovered: RecoveredFile, tmp_path: Path
) -> None:
    (one,) = run(with_copy(tmp_path / "in", name), tmp_path / "out")
    assert one.path.read_bytes() == recovered.path.read_bytes()


def test_a_damaged_copy_gives_way_to_a_whole_one(recovered: RecoveredFile, tmp_path: Path) -> None:
    folder = with_copy(tmp_path / "in")
    change_page(folder, 1, 2, 3)
    (one,) = run(folder, tmp_path / "out", only=["SRUDB.dat"])
    assert one.path.read_bytes() == recovered.path.read_bytes()


def test_a_copy_that_is_left_out_is_not_recovered_when_it_is_named(tmp_path: Path) -> None:
    text = refused(with_copy(tmp_path / "in"), tmp_path / "out", only=["SRUDB.dat", "old/SRUDB.dat"])
    assert "old/SRUDB.dat is left out: a copy of SRUDB.dat, of the same time" in text


def test_two_files_of_one_database_that_nothing_tells_apart_are_refused(tmp_path: Path) -> None:
    folder = with_copy(tmp_path / "in", "copy.dat")
    (folder / "SRUDB.dat").rename(folder / "other.dat")
    assert "is the same database" in refused(folder, tmp_path / "out")


def test_what_lies_there_is_not_touched(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    run(folder, tmp_path / "out")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["SRUDB.dat"]


def refused(source: Path, out: Path, **options: Any) -> str:
    with pytest.raises(ArchiveError) as caught:
        run(source, out, **options)
    assert not out.is_dir() or [*out.iterdir()] == [] or isinstance(caught.value, ExistingFileError)
    return str(caught.value)


def test_a_database_of_windows_xp_is_not_written_without_logs_either(tmp_path: Path) -> None:
    folder = as_it_lies(tmp_path / "in", catroot())
    for log in folder.glob("edb*"):
        log.unlink()
    text = refused(folder, tmp_path / "out")
    assert "Windows XP" in text
    assert not (tmp_path / "out").exists()


def test_logs_of_windows_xp_are_played_and_nothing_is_written(tmp_path: Path) -> None:
    text = refused(as_it_lies(tmp_path / "in", catroot()), tmp_path / "out")
    assert "Windows XP" in text
    assert not (tmp_path / "out").exists()


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    folder = as_it_lies(tmp_path / "in", belkasoft())
    (folder / "SRU00051.log").unlink()
    assert "not recovered: log 0x51 is missing" in refused(folder, tmp_path / "out")


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    (folder / "SRU00003.log").unlink()
    (one,) = run(folder, tmp_path / "out")
    assert one.report.logs == 1


@pytest.mark.parametrize("where", ["same", "below", "other-spelling"])
def test_a_folder_that_the_set_names_is_refused(where: str, tmp_path: Path) -> None:
    place = tmp_path / "ntds"
    out = {"same": place, "below": place / "deeper", "other-spelling": tmp_path / "NTDS"}[where]
    with pytest.raises(RestoreError, match="does harm there"):
        run(advancing(tmp_path / "in"), out, lay_in=[f"{place}/"])


def test_a_folder_that_leads_there_by_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ntds").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "ntds")
    with pytest.raises(RestoreError, match="does harm there"):
        run(advancing(tmp_path / "in"), tmp_path / "link", lay_in=[str(tmp_path / "ntds")])


@pytest.mark.parametrize("where", ["in", "in/out", "link"])
def test_the_folder_of_the_set_itself_is_refused(where: str, tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(RestoreError, match="the set lies in"):
        run(folder, tmp_path / where)
    assert not (folder / "out").exists()


def test_a_folder_is_refused_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RestoreError, match="does harm there"):
        run(advancing(tmp_path / "in"), Path("c:/windows/System32/SRU"))


def test_a_write_that_was_lost_before_the_last_attachment_is_refused(tmp_path: Path) -> None:
    folder = as_it_lies(tmp_path / "in", after(whole=True))
    data = bytearray((folder / "SRUDB.dat").read_bytes())
    data[3 * 4096 : 4 * 4096] = before().database.read_bytes()[3 * 4096 : 4 * 4096]
    (folder / "SRUDB.dat").write_bytes(data)
    assert "page 2 is at 0x49" in refused(folder, tmp_path / "out")


def test_a_last_log_that_ends_torn_is_named(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    (folder / "SRU.log").unlink()
    (folder / "SRU00004.log").unlink()
    path = folder / "SRU00003.log"
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:8192].ljust(path.stat().st_size, b"\0"))
    (one,) = run(folder, tmp_path / "out")
    assert one.report.torn == "63 of the 248 bytes of a record of type 29"
    assert any("which ends in 63 of the 248 bytes" in text for text in one.not_proved)
    assert one.report.to_json()["torn"] == one.report.torn


def test_later_logs_behind_a_gap_are_named_where_none_is_played(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    (folder / "SRU00002.log").unlink()
    (one,) = run(folder, tmp_path / "out")
    assert one.report.beyond == ["SRU00003.log", "SRU00004.log", "SRU.log"]
    assert any("SRU00003.log" in text for text in one.not_proved)


def test_a_database_that_a_record_lets_grow_beyond_the_disk_is_refused_before_it_is_written(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    (folder / "SRU.log").unlink()
    path = folder / "SRU00004.log"
    data = bytearray(path.read_bytes())
    extend = 0x2303
    data[extend + 6 : extend + 10] = (1 << 31).to_bytes(4, "little")
    data[2 * 4096 : 3 * 4096] = seal_segment(bytes(data[2 * 4096 : 3 * 4096]), 2)
    path.chmod(0o600)
    path.write_bytes(data)
    assert "8,796,093,030,400 bytes are needed" in refused(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "edb.log").write_bytes(b"")
    assert "not empty" in refused(advancing(tmp_path / "in"), tmp_path / "out")


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"")
    assert "a file has this name" in refused(advancing(tmp_path / "in"), tmp_path / "out")


def test_only_what_is_wanted_is_recovered(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    assert len(run(folder, tmp_path / "out", only=["srudb.DAT"])) == 1
    with pytest.raises(SetError, match="no such database"):
        run(folder, tmp_path / "other", only=["x.edb"])


@pytest.mark.parametrize("only", [["SRUDB.dat", "SRUDB.dta"], ["SRUDB.dta", "SRUDB.dat"], ["SRUDB.dta"]])
def test_a_name_of_no_database_is_refused_beside_others_too_with_those_that_are_like_it(
    tmp_path: Path, only: list[str]
) -> None:
    folder = advancing(tmp_path / "in")
    with pytest.raises(SetError, match=r"there is no such database here: SRUDB\.dta") as caught:
        run(folder, tmp_path / "out", only=only)
    assert caught.value.hint == "did you mean: SRUDB.dat; the databases here: SRUDB.dat"
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert "neither an archive nor" in refused(tmp_path / "in", tmp_path / "out")
    shutil.copy(after().logs[0], tmp_path / "in" / "SRU00002.log")
    assert "no database here" in refused(tmp_path / "in", tmp_path / "out")


def untouched_page() -> int:
    changed = {one.page for records in after().records() for _, each in records for one in changes_of(each)}
    return min(set(range(1, 47)) - changed)


def change_page(folder: Path, *flips: int) -> None:
    data = bytearray((folder / "SRUDB.dat").read_bytes())
    for at in flips:
        data[(untouched_page() + 1) * 4096 + at] ^= 1
    (folder / "SRUDB.dat").write_bytes(data)


def test_a_damaged_page_that_no_log_touches_is_refused(tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    change_page(folder, 200, 201)
    assert "1 damaged page" in refused(folder, tmp_path / "out")


def test_a_flipped_bit_is_put_right_on_the_way(recovered: RecoveredFile, tmp_path: Path) -> None:
    folder = advancing(tmp_path / "in")
    change_page(folder, 200)
    (one,) = run(folder, tmp_path / "out")
    assert one.path.read_bytes() == recovered.path.read_bytes()


def test_of_two_databases_of_one_name_the_hint_gives_names_that_work(tmp_path: Path) -> None:
    for folder, real in (("a", rathbun()), ("b", after())):
        lay_named(tmp_path / "in" / folder, real.database, ())
    with pytest.raises(CollisionError) as caught:
        run(tmp_path / "in", tmp_path / "out")
    assert caught.value.hint == "name one with --only: a/SRUDB.dat, b/SRUDB.dat"
    assert len(run(tmp_path / "in", tmp_path / "out", only=["b/SRUDB.dat"])) == 1
