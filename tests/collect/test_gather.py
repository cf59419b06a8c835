from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ese_files import database_bytes, header_for
from hypothesis import given
from hypothesis import strategies as st
from recovery_sets import DATABASE_SIGNATURE, logs
from small_sets import (
    STREAM,
    TAKEN,
    checkpoint,
    damaged,
    database,
    flush_map,
    instance,
    log,
    reserve,
    streaming_file,
    temporary_database,
    write,
)
from sweeps import examples

from tokar import tokens
from tokar.collect.found import Gathered, Rest
from tokar.collect.gather import Gatherer
from tokar.errors import ArchiveError, InputError, SourceChangedError, SourceError, StorageError
from tokar.ese.log import LogHeader

if TYPE_CHECKING:
    from collections.abc import Mapping


def gather(
    folder: Path, files: Mapping[str, bytes] | None = None, *, profile: str = "ese", **options: object
) -> Gathered:
    """Gather a folder, after files were written into it."""
    write(folder, files or {})
    gatherer = Gatherer(profile, **options)  # type: ignore[arg-type]
    gatherer.add_folder(str(folder))
    return gatherer.result()


def gather_files(*paths: Path, profile: str = "ese") -> Gathered:
    gatherer = Gatherer(profile)
    for path in paths:
        gatherer.add_file(str(path))
    return gatherer.result()


def taken(gathered: Gathered) -> dict[str, int]:
    rest = dict.fromkeys((other.name for other in gathered.rest.walk()), 0x0F)
    return {one.name: one.token for one in gathered.candidates} | rest


def look_again(rest: Rest) -> None:
    paths = [Path(other.path) for other in rest.walk()]
    rest.demand_all(len(paths), sum(path.stat().st_size for path in paths))


def reasons(gathered: Gathered) -> dict[str, str]:
    return {one.name: one.reason for one in gathered.left_out}


def test_a_folder_gives_what_belongs_to_a_set_in_the_order_of_the_archive(tmp_path: Path) -> None:
    assert [one.name for one in gather(tmp_path, instance()).candidates] == list(TAKEN)


def test_each_kind_gets_its_token(tmp_path: Path) -> None:
    assert taken(gather(tmp_path, instance())) == {
        "db.edb": 0x44,
        "edb00001.log": 0x21,
        "edb00002.log": 0x21,
        "edb.log": 0x21,
        "db.pat": 0x25,
    }


def test_everything_else_is_listed_with_the_reason(tmp_path: Path) -> None:
    assert reasons(gather(tmp_path, instance())) == {
        "edb.chk": "a checkpoint file, rebuilt by the engine",
        "db.jfm": "a flush map file, rebuilt by the engine",
        "edbres00001.jrs": "a reserve file, rebuilt by the engine",
        "edbtmp.log": "the next log being prepared, which nobody needs beside a current log",
        "tmp.edb": "a temporary database: the engine makes it anew",
        "readme.txt": "not recognised",
    }


@pytest.mark.parametrize(
    ("content", "token"),
    [(database(), 0x44), (streaming_file(), 0x44), (log(7), 0x21)],
    ids=["database", "streaming file", "log"],
)
def test_content_decides_whatever_the_name(tmp_path: Path, content: bytes, token: int) -> None:
    assert taken(gather(tmp_path, {"holiday.jpeg": content})) == {"holiday.jpeg": token}


def test_content_keeps_out_what_a_name_would_let_in(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb.log": temporary_database()})
    assert not found.candidates
    assert "temporary database" in reasons(found)["edb.log"]


@pytest.mark.parametrize("name", ["edb.log", "edb00005.log"])
@pytest.mark.parametrize(("content", "what"), [(checkpoint(), "checkpoint"), (flush_map(), "flush map")])
def test_a_log_with_the_header_of_what_no_log_is_is_taken_for_a_log_also_where_it_is_alone(
    name: str, content: bytes, what: str, tmp_path: Path
) -> None:
    found = gather(tmp_path, {name: content})
    assert [(one.name, one.kind) for one in found.candidates] == [(name, "log")]
    assert f"{name}: taken for a log by its name; its header is that of a {what}" in found.notes
    assert not found.left_out


def test_a_log_named_like_a_database_has_its_generation_from_its_header(tmp_path: Path) -> None:
    (one,) = gather(tmp_path, {"db.edb": log(0x1E2EC)}).candidates
    assert (one.kind, one.generation) == ("log", 0x1E2EC)


@pytest.mark.parametrize("name", ["edbtmp.log", "EDBTMP.LOG", "sruTmp.jtx"])
def test_the_next_log_alone_is_left_out_even_with_a_good_header(tmp_path: Path, name: str) -> None:
    assert not gather(tmp_path, {name: log(9)}).candidates


def test_the_next_log_is_taken_where_there_is_no_current_one(tmp_path: Path) -> None:
    """A snapshot in the moment between closing the current log and making the next one current."""
    found = gather(tmp_path, {"edb00008.log": log(8), "edbtmp.log": bytes(8192)})
    assert taken(found) == {"edb00008.log": 0x21, "edbtmp.log": 0x21}
    assert "so it is taken" in found.notes[0]


@pytest.mark.parametrize("current", [b"", bytes(8192), bytes([7]) * 8192], ids=["empty", "zeros", "garbage"])
def test_the_next_log_is_taken_where_the_current_one_cannot_be_read(tmp_path: Path, current: bytes) -> None:
    found = gather(tmp_path, {"edb00008.log": log(8), "edb.log": current, "edbtmp.log": bytes(8192)})
    assert taken(found) == {"edb00008.log": 0x21, "edb.log": 0x21, "edbtmp.log": 0x21}
    assert "edbtmp.log: the next log being prepared; no current log can be read, so it is taken" in found.notes


def test_a_numbered_log_whose_header_is_gone_is_taken_by_its_name(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb0000A.log": bytes([7]) * 8192})
    assert [(one.token, one.generation) for one in found.candidates] == [(0x21, 0xA)]
    assert found.notes == ("edb0000A.log: taken for a log by its name; its header is not that of a log",)


def test_a_numbered_log_of_zeros_is_not_mistaken_for_a_reserve_log(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb0000A.log": reserve(), "res1.log": reserve()})
    assert [(one.name, one.generation) for one in found.candidates] == [("edb0000A.log", 0xA)]
    assert found.notes == ("edb0000A.log: taken for a log by its name; there is nothing but zeros in it",)


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"", "it is empty"), (b"started\n" * 1000, "its header is not that of a log")],
    ids=["empty", "garbage"],
)
@pytest.mark.parametrize("name", ["edb.log", "edb00002.log"])
def test_what_lies_in_the_place_of_a_log_is_taken_for_one(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    found = gather(tmp_path, {"edb00001.log": log(1), name: content})
    assert {one.name for one in found.candidates if one.kind == "log"} == {"edb00001.log", name}
    assert f"{name}: taken for a log by its name; {why}" in found.notes


def test_a_current_log_of_zeros_is_taken_for_a_log(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb.log": reserve()})
    assert found.notes == ("edb.log: taken for a log by its name; there is nothing but zeros in it",)


@pytest.mark.parametrize(
    ("content", "why"),
    [(bytes(16 * 4096), "nothing but zeros"), (b"x" * 16 * 4096, "no header of an ESE file")],
    ids=["zeros", "garbage"],
)
@pytest.mark.parametrize("name", ["priv1.edb", "ntds.dit", "Current.mdb"])
def test_a_database_without_headers_is_taken_for_one(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    found = gather(tmp_path, {name: content})
    assert taken(found) == {name: 0x44}
    assert found.warnings == (f"{name}: taken as a damaged database by its name; there is {why} in it",)


def test_a_damaged_log_is_taken_and_reported(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb00005.log": damaged(log(5))})
    assert [(one.token, one.generation) for one in found.candidates] == [(0x21, 5)]
    assert found.notes[0].startswith("edb00005.log: the log header is damaged")


def test_a_database_without_a_good_header_is_taken_and_reported(tmp_path: Path) -> None:
    found = gather(tmp_path, {"db.edb": damaged(damaged(database()), 4196)})
    assert taken(found) == {"db.edb": 0x44}
    assert found.warnings[0].startswith("db.edb: the database header is damaged")


def test_a_file_that_only_has_the_name_of_a_current_log_is_not_taken(tmp_path: Path) -> None:
    assert reasons(gather(tmp_path, {"app.log": b"started\n" * 1000})) == {"app.log": "not recognised"}


@pytest.mark.parametrize("size", [0, 5, 1000, 1 << 16, 70_001])
@pytest.mark.parametrize("name", ["db.edb", "NTDS.DIT", "priv1.stm", "dhcp.mdb"])
def test_what_has_the_name_of_a_database_is_never_left_out_quietly_whatever_its_size(
    tmp_path: Path, name: str, size: int
) -> None:
    found = gather(tmp_path, {name: b"x" * size})
    assert taken(found) == {name: 0x44}
    (warning,) = found.warnings
    assert warning.startswith(f"{name}: taken as a damaged database by its name; there is no")
    assert warning.endswith(" in it")


@pytest.mark.parametrize("name", ["settings.dat", "x.sdb", "x.db", "store"])
@pytest.mark.parametrize("content", [bytes(1 << 16), b"y" * (1 << 16)], ids=["zeros", "garbage"])
@pytest.mark.parametrize("beside", [{}, {"edb00001.log": log(1)}], ids=["alone", "with-logs"])
def test_size_alone_makes_no_database(tmp_path: Path, name: str, content: bytes, beside: dict[str, bytes]) -> None:
    found = gather(tmp_path, {name: content, **beside})
    assert (set(taken(found)), found.warnings, list(reasons(found))) == (set(beside), (), [name])
    assert "reserve" not in reasons(found)[name]


@pytest.mark.parametrize("name", ["WebCacheV01.dat", "x.mdb", "x.sdb", "qmgr.db", "catdb"])
@pytest.mark.parametrize("page_size", [2048, 4096, 8192, 16384, 32768])
def test_pages_of_a_database_tell_it_although_both_headers_are_gone(tmp_path: Path, name: str, page_size: int) -> None:
    whole = database_bytes(header_for(page_size), 40, empty=frozenset(range(2, 30)))
    whole[: 2 * page_size] = b"z" * (2 * page_size)
    found = gather(tmp_path, {name: bytes(whole)})
    assert taken(found) == {name: 0x44}
    assert found.warnings[0].startswith(f"{name}: taken as a damaged database: pages of one are in it, and ")


def test_pages_far_into_a_file_whose_start_is_lost_tell_a_database(tmp_path: Path) -> None:
    whole = database_bytes(header_for(), 200)
    whole[: 100 * 4096] = bytes(100 * 4096)
    assert taken(gather(tmp_path, {"SRUDB.dat": bytes(whole)})) == {"SRUDB.dat": 0x44}


@pytest.mark.parametrize(
    ("magic", "what"),
    [
        (b"regf", "a registry hive"),
        (b"\0\1\0\0Standard Jet DB\0", "a database of Access, which is another engine"),
        (b"\2\0\0\0\0\0\0\0sdbf", "a shim database of Windows, which is no database of this engine"),
        (b"SQLite format 3\0", "a SQLite database"),
        (b"PK\3\4", "a zip archive"),
        (bytes(16) + b"\xde\xc0\xef\xbe", "a database of LMDB, which is another engine"),
    ],
)
@pytest.mark.parametrize("name", ["x.edb", "settings.dat", "x.mdb"])
def test_what_belongs_to_another_program_is_named_as_that(tmp_path: Path, magic: bytes, what: str, name: str) -> None:
    found = gather(tmp_path, {name: magic.ljust(1 << 16, b"\0"), "edb00001.log": log(1)})
    assert (reasons(found), found.warnings) == ({name: what}, ())


LOST = {
    "zeros": bytes(1 << 16),
    "garbage": b"y" * 70_001,
    "empty": b"",
    "SQLite": b"SQLite format 3\0".ljust(9000, b"\0"),
}


@pytest.mark.parametrize("content", LOST.values(), ids=LOST)
@pytest.mark.parametrize("take_all", [False, True])
def test_what_the_logs_name_is_a_database_whatever_is_left_of_it(
    tmp_path: Path, content: bytes, take_all: bool
) -> None:
    files = {
        **logs(5, 7, attached=((r"C:\a\Store.bin", DATABASE_SIGNATURE),)),
        "data/STORE.BIN": content,
        "z.bin": b"z",
    }
    found = gather(tmp_path, files, take_all=take_all)
    assert taken(found)["data/STORE.BIN"] == 0x44
    (warning,) = found.warnings
    assert warning.startswith(
        "data/STORE.BIN: taken as a damaged database: the log edb00005.log names it, and there is "
    )
    assert "data/STORE.BIN" not in reasons(found)
    look_again(found.rest)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (log(6), "a log"),
        (checkpoint(), "a checkpoint"),
        (flush_map(), "a flush map"),
        (temporary_database(), "a temporary database"),
    ],
)
def test_another_file_of_the_engine_in_the_place_of_the_database_that_logs_name_is_taken_once(
    tmp_path: Path, content: bytes, what: str
) -> None:
    files = {**logs(5, 7, attached=((r"C:\a\Store.bin", DATABASE_SIGNATURE),)), "STORE.BIN": content}
    found = gather(tmp_path, files)
    assert [one.token for one in found.candidates if one.name == "STORE.BIN"] == [0x44]
    assert found.warnings == (
        f"STORE.BIN: taken as a damaged database: the log edb00005.log names it, and there is {what} in it",
    )


@pytest.mark.parametrize("content", LOST.values(), ids=LOST)
@pytest.mark.parametrize("take_all", [False, True])
def test_what_the_logs_of_a_folder_name_there_is_a_database_although_another_folder_has_one_of_that_name(
    tmp_path: Path, content: bytes, take_all: bool
) -> None:
    attached = ((r"C:\a\Store.dat", DATABASE_SIGNATURE),)
    files = {
        **{f"{folder}/{name}": log for folder in "ab" for name, log in logs(5, 6, attached=attached).items()},
        "a/Store.dat": bytes(database()),
        "b/STORE.DAT": content,
        "c/store.dat": content,
    }
    found = gather(tmp_path, files, take_all=take_all)
    assert {name for name, token in taken(found).items() if token == 0x44} == {"a/Store.dat", "b/STORE.DAT"}
    (warning,) = found.warnings
    assert warning.startswith("b/STORE.DAT: taken as a damaged database: the log b/edb00005.log names it, and ")
    look_again(found.rest)


def test_what_the_logs_name_and_is_in_order_needs_no_word(tmp_path: Path) -> None:
    found = gather(tmp_path, {**logs(5, 7), "main.edb": bytes(database()), "old/main.edb.bak": b"text"})
    assert found.warnings == ()


def test_a_file_that_is_named_alone_gets_the_token_of_what_the_logs_call_it(tmp_path: Path) -> None:
    files = {**logs(5, 5, attached=((r"C:\a\store.bin", DATABASE_SIGNATURE),)), "store.bin": bytes(9000)}
    write(tmp_path, files)
    found = gather_files(*(tmp_path / name for name in files))
    assert taken(found)["store.bin"] == 0x44
    assert "nothing but zeros" in found.warnings[0] or "begins with zeros" in found.warnings[0]


def test_a_name_and_a_header_that_disagree_are_reported_and_the_header_counts(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb00005.log": log(6)})
    assert found.generations == (6, 6)
    assert found.notes == ("edb00005.log: its header says generation 0x6, its name 0x5 (the header counts)",)


@pytest.mark.parametrize("generation", [0, -5])
def test_a_generation_that_no_log_has_is_reported_and_not_kept(tmp_path: Path, generation: int) -> None:
    header = LogHeader(generation=generation, sectors=2, signature=STREAM)
    found = gather(tmp_path, {"edb.log": header.build() + bytes(4096)})
    assert found.generations is None
    assert found.notes == (f"edb.log: its header says generation {generation}, which no log has",)


def test_eight_digits_and_five_are_both_generations(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edbFFFFF.log": log(0xFFFFF), "edb00100000.log": log(0x100000)})
    assert [one.generation for one in found.candidates] == [0xFFFFF, 0x100000]
    assert found.generations == (0xFFFFF, 0x100000)


def test_logs_of_two_streams_in_one_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 streams are in one folder: e00, edb") as caught:
        gather(tmp_path, {"edb00001.log": log(1), "E0000001.log": log(1)})
    assert caught.value.hint == "name the one to take: --base NAME"


def test_a_base_name_chooses_one_of_two_streams(tmp_path: Path) -> None:
    found = gather(tmp_path, {"edb00001.log": log(1), "E0000001.log": log(1), "db.edb": database()}, base="E00")
    assert list(taken(found)) == ["db.edb", "E0000001.log"]
    assert reasons(found) == {"edb00001.log": "a log of another stream, edb"}


def test_a_base_name_that_no_log_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no log has the base name edn") as caught:
        gather(tmp_path, {"edb00001.log": log(1), "db.edb": database()}, base="edn")
    assert caught.value.hint == "--base may be edb"


def test_a_base_name_may_be_longer_than_three_characters(tmp_path: Path) -> None:
    found = gather(tmp_path, {"mystream00002.log": bytes([7]) * 4096}, base="MyStream")
    assert found.generations == (2, 2)


def test_streams_in_different_folders_make_one_set(tmp_path: Path) -> None:
    found = gather(tmp_path, {"a/edb00001.log": log(1), "b/E0000001.log": log(1)})
    assert list(taken(found)) == ["a/edb00001.log", "b/E0000001.log"]


def test_subfolders_are_walked_and_show_in_the_names(tmp_path: Path) -> None:
    assert taken(gather(tmp_path, {"deep/er/db.edb": database(), "edb.log": log(1)})) == {
        "deep/er/db.edb": 0x44,
        "edb.log": 0x21,
    }


def test_a_private_key_is_left_out_of_a_folder_even_where_everything_is_taken(tmp_path: Path) -> None:
    found = gather(tmp_path, {"CA.P12": b"key", "ca.pfx": b"key", "other": b"x"}, take_all=True)
    assert taken(found) == {"other": 0x0F}
    assert set(reasons(found).values()) == {"a private key: taken only when it is named"}


def test_what_a_restore_set_aside_is_taken_where_everything_is(tmp_path: Path) -> None:
    aside = "db.edb.tokar-aside-20240131T235959Z-1"
    files = {"db.edb": instance()["db.edb"], aside: instance()["db.edb"]}
    found = gather(tmp_path, files)
    assert (taken(found), reasons(found)) == ({"db.edb": 0x44}, {aside: "an earlier restore set it aside"})
    assert taken(gather(tmp_path, files, take_all=True)) == {"db.edb": 0x44, aside: 0x0F}


def test_what_a_restore_that_died_left_is_no_part_of_a_set(tmp_path: Path) -> None:
    staged, written = ".tokar-restore-0f1e2d3c4b5a6978-0/db.edb", ".db.edb.0f1e2d3c.part"
    journal, lock = ".tokar-restore-0f1e2d3c4b5a6978.journal-1", ".tokar-restore-lock"
    draft = ".tokar-restore-0f1e2d3c4b5a6978.draft"
    found = gather(tmp_path, dict.fromkeys(("db.edb", staged, written, journal, draft, lock), instance()["db.edb"]))
    whys = {name: why.partition(":")[0] for name, why in reasons(found).items()}
    of_restore = dict.fromkeys((staged, journal, draft, lock), "of a restore that did not end")
    assert (taken(found), whys) == ({"db.edb": 0x44}, {**of_restore, written: "it was being written when a run ended"})


@pytest.mark.parametrize(
    "name",
    ["tokar-restore-1-0/db.edb", ".tokar-restore-x/db.edb", "db.edb.0f1e2d3c.part", ".db.part", "x/.tokar/a.edb"],
)
def test_what_only_looks_like_it_is_taken(name: str, tmp_path: Path) -> None:
    assert taken(gather(tmp_path, {name: instance()["db.edb"]})) == {name: 0x44}


def test_a_private_key_that_is_named_is_taken(tmp_path: Path) -> None:
    write(tmp_path, {"CA.p12": b"key"})
    found = gather_files(tmp_path / "CA.p12")
    assert taken(found) == {"CA.p12": 0x0F}
    assert not found.warnings  # which would call the set partial; the command line warns


def test_everything_else_is_taken_with_the_token_for_unknown_files_when_asked(tmp_path: Path) -> None:
    found = gather(tmp_path, instance(), take_all=True)
    assert {name: token for name, token in taken(found).items() if name not in TAKEN} == {
        name: 0x0F for name in instance() if name not in TAKEN
    }
    assert not found.left_out
    assert found.count == len(instance())
    assert found.size == sum(map(len, instance().values()))


def test_files_that_come_while_everything_is_taken_are_noticed(tmp_path: Path) -> None:
    found = gather(tmp_path, {"a": b"1", "b": b"2"}, take_all=True)
    write(tmp_path, {"c": b"3"})
    with pytest.raises(SourceChangedError, match="files came, went or grew"):
        look_again(found.rest)


def test_files_that_grow_while_everything_is_taken_are_noticed(tmp_path: Path) -> None:
    found = gather(tmp_path, {"a": b"1"}, take_all=True)
    write(tmp_path, {"a": b"11"})
    with pytest.raises(SourceChangedError):
        look_again(found.rest)


def test_a_folder_that_goes_while_everything_is_taken_is_an_error(tmp_path: Path) -> None:
    found = gather(tmp_path / "x", {"a": b"1"}, take_all=True)
    (tmp_path / "x" / "a").unlink()
    (tmp_path / "x").rmdir()
    with pytest.raises(StorageError, match="cannot list the folder"):
        look_again(found.rest)


def test_what_is_kept_elsewhere_is_neither_taken_nor_left_out(tmp_path: Path) -> None:
    write(tmp_path, {"CertBkXp.DAT": bytes(398), "other": b"x"})
    gatherer = Gatherer("certadm", take_all=True)
    gatherer.add_folder(str(tmp_path), skip=frozenset({"certbkxp.dat"}))
    found = gatherer.result()
    assert taken(found) == {"other": 0x0F}
    assert not found.left_out


def test_a_file_beside_the_folder_is_left_out_unless_it_was_taken(tmp_path: Path) -> None:
    write(tmp_path, {"CA.p12": b"key", "notes.txt": b"x", "db.edb": database()})
    gatherer = Gatherer("ese")
    gatherer.add_file(str(tmp_path / "db.edb"))
    for name in ("CA.p12", "notes.txt", "db.edb"):
        gatherer.leave_out(str(tmp_path / name), "beside it")
    assert reasons(gatherer.result()) == {
        "CA.p12": "a private key: taken only when it is named",
        "notes.txt": "beside it",
    }


def test_links_and_special_files_in_a_folder_are_left_out_unopened(tmp_path: Path) -> None:
    write(tmp_path, {"real/db.edb": database()})
    folder = tmp_path / "set"
    folder.mkdir()
    (folder / "link.edb").symlink_to(tmp_path / "real" / "db.edb")
    (folder / "dangling").symlink_to(tmp_path / "nothing")
    (folder / "linked").symlink_to(tmp_path / "real")
    os.mkfifo(folder / "pipe")
    found = gather(folder, take_all=True)
    assert not found.count
    assert reasons(found) == dict.fromkeys(("dangling", "link.edb", "linked", "pipe"), "a link or a special file")
    assert found.warnings == (
        "link.edb: a database that is not taken: its name says so, and it is a link or a special file",
    )


@pytest.mark.parametrize("kind", ["link", "dangling", "pipe"])
def test_a_link_that_the_logs_name_as_a_database_is_warned_of(tmp_path: Path, kind: str) -> None:
    folder = write(tmp_path / "set", logs(5, 7, attached=((r"C:\a\Store.bin", DATABASE_SIGNATURE),)))
    if kind == "pipe":
        os.mkfifo(folder / "STORE.BIN")
    else:
        write(tmp_path, {"link": bytes(database())} if kind == "link" else {})
        (folder / "STORE.BIN").symlink_to(tmp_path / kind)
    assert gather(folder).warnings == (
        "STORE.BIN: a database that is not taken: the log edb00005.log names it, and it is a link or a special file",
    )


def test_a_link_beside_the_database_that_the_logs_name_needs_no_word(tmp_path: Path) -> None:
    write(tmp_path, {**logs(5, 7), "data/main.edb": bytes(database())})
    (tmp_path / "main.edb").symlink_to("data/main.edb")
    found = gather(tmp_path)
    assert (found.warnings, reasons(found)) == ((), {"main.edb": "a link or a special file"})


def test_a_link_that_is_named_is_followed(tmp_path: Path) -> None:
    write(tmp_path, {"real.edb": database()})
    (tmp_path / "link.edb").symlink_to("real.edb")
    assert taken(gather_files(tmp_path / "link.edb")) == {"link.edb": 0x44}


@pytest.mark.parametrize("what", ["pipe", "folder", "device"])
def test_a_name_of_something_else_than_a_file_is_refused(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x"
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/null")
    with pytest.raises(SourceError, match="not a regular file"):
        gather_files(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot look at it: No such file or directory") as caught:
        gather_files(tmp_path / "gone.edb")
    assert caught.value.path == str(tmp_path / "gone.edb")


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot list the folder"):
        Gatherer("ese").add_folder(str(tmp_path / "gone"))


def test_a_file_that_is_named_is_taken_whatever_it_is(tmp_path: Path) -> None:
    write(tmp_path, {"edbtmp.log": log(4), "edb.chk": checkpoint()})
    found = gather_files(tmp_path / "edbtmp.log", tmp_path / "edb.chk")
    assert set(taken(found).values()) == {0x0F}
    assert [note.partition(":")[0] for note in found.notes] == ["edbtmp.log", "edb.chk"]


def test_a_token_that_is_said_stands_and_needs_no_remark(tmp_path: Path) -> None:
    write(tmp_path, {"anything": b"x"})
    gatherer = Gatherer("ese")
    gatherer.add_file(str(tmp_path / "anything"), token=0x99)
    found = gatherer.result()
    assert taken(found) == {"anything": 0x99}
    assert not found.notes


@pytest.mark.parametrize(
    ("name", "token"),
    [("PRIV.EDB", 0x45), ("pub.edb", 0x46), ("Dir.edb", 0x47), ("priv.stm", 0x45)],
)
def test_the_databases_of_exchange_are_told_by_their_names(tmp_path: Path, name: str, token: int) -> None:
    content = streaming_file() if name.endswith("stm") else database()
    assert taken(gather(tmp_path, {name: content}, profile="edbbcli")) == {name: token}


def test_the_patch_file_of_exchange_has_the_token_of_its_profile(tmp_path: Path) -> None:
    assert taken(gather(tmp_path, {"PUB.PAT": b""}, profile="edbbcli")) == {"PUB.PAT": 0x28}


def test_a_database_that_exchange_does_not_know_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has a token for each of its databases") as caught:
        gather(tmp_path, {"mail.edb": database()}, profile="edbbcli")
    assert caught.value.hint is not None
    assert "private-database=FILE" in caught.value.hint


@pytest.mark.parametrize("raw", [b"\xff\xfe.log", b"caf\xe9.log", b"\xe4\xb8.edb"])
def test_names_that_are_no_text_are_kept(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / os.fsdecode(raw)).write_bytes(log(3))
    (one,) = gather(tmp_path).candidates
    assert os.fsencode(one.name) == raw


def test_an_empty_folder_gives_nothing(tmp_path: Path) -> None:
    found = gather(tmp_path)
    assert (found.count, found.size, found.generations) == (0, 0, None)


@examples(60)
@given(content=st.binary(max_size=6000), name=st.sampled_from(["a.edb", "edb00001.log", "edb.chk", "x", "p.pat"]))
def test_no_content_makes_gathering_fall_over(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    folder = tmp_path_factory.mktemp("any")
    found = gather(folder, {name: content})
    assert len(found.candidates) + len(found.left_out) == 1


@examples(40)
@given(at=st.integers(0, 4095), value=st.integers(0, 255))
def test_a_changed_byte_in_a_header_never_makes_gathering_fall_over(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    content = bytearray(log(3))
    content[at] = value
    folder = tmp_path_factory.mktemp("any")
    try:
        found = gather(folder, {"edb00003.log": bytes(content)})
    except ArchiveError:
        pytest.fail("a folder with a damaged file cannot be archived")
    assert found.candidates[0].token == tokens.LOG
    assert found.generations == (3, 3)
