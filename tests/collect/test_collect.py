from __future__ import annotations

import mmap
import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from small_sets import TAKEN, contents, database, instance, log, write

import tokar
from tokar import names
from tokar.collect.certutil import KEY_REMINDER
from tokar.collect.collect import Collection, CollectRequest, collect, gather
from tokar.collect.found import FileState, Gathered, hides_changes, settle
from tokar.errors import (
    ExistingFileError,
    InputError,
    LocationListError,
    SourceChangedError,
    StorageError,
)
from tokar.format.compression import Compression
from tokar.namelist import build_names
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tokar.format.writer import Sealed

LIST = build_names([(0x44, "\\\\CA1\\C$\\L\\CA.edb".encode("utf-16-le"))], wide=True)
CERTUTIL = {"DataBase/certbkxp.dat": LIST, "DataBase/CA.edb": database(), "DataBase/edb00001.log": log(1)}
LARGE = database(9, pages=100)
"""More than a file that is read in one piece."""


def gathered(*paths: Path | str, **options: object) -> Collection:
    return gather(CollectRequest(paths=[str(path) for path in paths], **options))  # type: ignore[arg-type]


def archived(collection: Collection, out: Path) -> dict[str, tuple[int, bytes]]:
    """Write the archive and return what is in it: token and content by name."""
    collect(collection, FileSink(out))
    with tokar.open(out) as archive:
        return {entry.name: (entry.token, archive.read(entry)) for entry in archive}


def test_a_folder_becomes_an_archive_of_its_set(tmp_path: Path) -> None:
    files = instance()
    found = archived(gathered(write(tmp_path / "in", files)), tmp_path / "a.tokar")
    assert {name: content for name, (_, content) in found.items()} == {name: files[name] for name in TAKEN}


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path / "in", {**instance(), "large.edb": LARGE}), archive_id=bytes(16))
    for name, threads in (("a", 1), ("b", 3)):
        collect(
            collection,
            FileSink(tmp_path / name),
            clock=lambda: datetime(2026, 1, 2, tzinfo=UTC),
            compression=Compression(threads=threads),
        )
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path / "in", {**instance(), "large.edb": LARGE}))
    steps: list[int] = []
    collect(collection, FileSink(tmp_path / "a"), progress=steps.append)
    assert sum(steps) == collection.size


def test_modification_times_are_kept(tmp_path: Path) -> None:
    write(tmp_path / "in", {"db.edb": database(), "large.edb": LARGE})
    for name in ("db.edb", "large.edb"):
        os.utime(tmp_path / "in" / name, ns=(1, 1_000_000_007))
    collect(gathered(tmp_path / "in"), FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        assert {entry.modified for entry in archive} == {1_000_000_007}


def test_the_archive_tells_what_is_not_in_it(tmp_path: Path) -> None:
    collect(gathered(write(tmp_path / "in", instance())), FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        extra = archive.summary.extra
    assert {one["name"] for one in extra["left_out"]} == instance().keys() - set(TAKEN)
    assert extra["left_out_count"] == len(instance()) - len(TAKEN)
    assert extra["generations"] == {"low": 1, "high": 3}


def test_more_than_can_be_listed_is_counted(tmp_path: Path) -> None:
    files = {f"{number:0200}.txt": b"x" for number in range(1100)}
    collect(gathered(write(tmp_path / "in", {"db.edb": database(), **files})), FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        extra = archive.summary.extra
    assert extra["left_out_count"] == 1100
    assert 500 < len(extra["left_out"]) < 1100


def test_remarks_beyond_any_measure_still_fit_the_archive(tmp_path: Path) -> None:
    notes = tuple('"' * 1000 for _ in range(3000))
    collection = Collection(Gathered((), (), ()), "ese", "collected", {}, notes)
    collect(collection, FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        assert 0 < len(archive.summary.extra["notes"]) < 1000


def test_names_that_are_no_text_are_kept_byte_for_byte(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    raw = b"\xff\xfe.log"
    (tmp_path / "in" / os.fsdecode(raw)).write_bytes(log(1))
    (tmp_path / "in" / os.fsdecode(b"\xffleft.txt")).write_bytes(b"x")
    collect(gathered(tmp_path / "in"), FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        (entry,) = archive
        assert (entry.raw_name, entry.encoding) == (raw, names.UNKNOWN)
        assert archive.summary.extra["left_out"][0]["name"] == "<U+DCFF>left.txt"


def test_everything_in_a_folder_can_be_taken(tmp_path: Path) -> None:
    files = {**instance(), "deep/large.bin": bytes(100_000)}
    found = archived(gathered(write(tmp_path / "in", files), take_all=True), tmp_path / "a")
    assert {name: content for name, (_, content) in found.items()} == files


@pytest.mark.parametrize("word", ["log", "LOG", "BFT_LOG", "CSBFT_LOG", "0x21", "33"])
def test_a_token_may_be_said_in_every_spelling(tmp_path: Path, word: str) -> None:
    write(tmp_path, {"any thing": b"x"})
    assert archived(gathered(f"{word}={tmp_path}/any thing"), tmp_path / "a") == {"any thing": (0x21, b"x")}


@pytest.mark.parametrize("token", [0, 1, 0x7F, 0x80, 0x99, 0xFF])
def test_every_token_is_kept_whether_it_has_a_name_or_not(tmp_path: Path, token: int) -> None:
    write(tmp_path, {"f": b"x"})
    assert archived(gathered(f"{token:#x}={tmp_path}/f"), tmp_path / "a") == {"f": (token, b"x")}


def test_only_the_first_equals_sign_ends_a_token(tmp_path: Path) -> None:
    write(tmp_path, {"a=b/c=d.log": b"x"})
    assert archived(gathered(f"log={tmp_path}/a=b/c=d.log"), tmp_path / "a") == {"c=d.log": (0x21, b"x")}


def test_a_path_with_an_equals_sign_needs_no_token(tmp_path: Path) -> None:
    write(tmp_path, {"a=b/log=db.edb": database()})
    assert archived(gathered(tmp_path / "a=b" / "log=db.edb"), tmp_path / "1")["log=db.edb"][0] == 0x44
    assert archived(gathered(tmp_path / "a=b"), tmp_path / "2")["log=db.edb"][0] == 0x44


def test_what_is_there_under_the_whole_name_comes_before_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, {"log=x": database(), "x": b"x"}))
    assert archived(gathered("log=x"), tmp_path / "a")["log=x"][0] == 0x44


def test_a_path_with_an_equals_sign_that_is_not_there_is_no_wrong_token(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        gathered(f"{tmp_path}/a=b/gone.log")


def test_a_word_that_is_no_token_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'logg' is no token of the profile ese") as caught:
        gathered(f"logg={write(tmp_path, {'f': b'x'})}/f")
    assert caught.value.hint is not None
    assert "ese knows log, log-dir" in caught.value.hint


@pytest.mark.parametrize(("profile", "word"), [("ese", "private-database"), ("edbbcli", "database")])
def test_a_token_of_another_profile_is_refused(tmp_path: Path, profile: str, word: str) -> None:
    with pytest.raises(InputError, match=f"is no token of the profile {profile}"):
        gathered(f"{word}={write(tmp_path, {'f': b'x'})}/f", profile=profile)


@pytest.mark.parametrize("level", ["", "DataBase"])
def test_a_folder_of_certutil_is_recognised_at_both_levels(tmp_path: Path, level: str) -> None:
    collection = gathered(write(tmp_path, CERTUTIL) / level)
    assert (collection.profile, collection.kind) == ("certadm", "full")
    assert collection.notes == (KEY_REMINDER,)
    inner = "" if level else "DataBase/"  # what was named, and all below it
    assert [(one.name, one.token) for one in collection.gathered.candidates] == [
        (f"{inner}CA.edb", 0x44),
        (f"{inner}edb00001.log", 0x21),
    ]
    assert not collection.gathered.left_out
    collect(collection, FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        assert archive.head.location_list is not None
        assert (archive.head.location_list.form, archive.head.location_list.data) == ("w", LIST)


def test_an_incremental_folder_of_certutil_is_a_set_of_logs(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path, {"DataBase/edb00002.log": log(2)}))
    assert (collection.profile, collection.kind) == ("certadm", "logs")
    assert "location_list" not in collection.metadata


def test_the_private_key_is_left_out_unless_it_is_named(tmp_path: Path) -> None:
    write(tmp_path, {**CERTUTIL, "CA.p12": b"key"})
    without = gathered(tmp_path)
    assert [(one.name, one.reason) for one in without.gathered.left_out] == [
        ("CA.p12", "a private key: taken only when it is named")
    ]
    assert without.notes == ("CA.p12, a private key beside DataBase, is not in this archive: --with-key takes it",)
    for named in (f"{tmp_path}/CA.p12", f"unknown={tmp_path}/CA.p12"):
        with_key = gathered(tmp_path, named)
        assert (with_key.profile, with_key.kind) == ("certadm", "full")
        taken = [one.name for one in with_key.gathered.candidates]
        assert taken == ["DataBase/CA.edb", "DataBase/edb00001.log", "CA.p12"]
        assert not with_key.gathered.left_out
        assert with_key.warnings == ("CA.p12 is a private key: keep the archive as safe as the key itself",)
        assert not with_key.is_partial


def test_what_lies_beside_the_folder_of_certutil_is_listed(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path, {**CERTUTIL, "notes.txt": b"x"}))
    assert [(one.name, one.reason) for one in collection.gathered.left_out] == [
        ("notes.txt", "beside the folder DataBase")
    ]


def test_a_location_file_that_cannot_be_read_is_kept_with_a_remark(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path, {**CERTUTIL, "DataBase/certbkxp.dat": b"D\0x"}))
    assert collection.notes[0].startswith("certbkxp.dat, the list of where these files belong, is no good: ")
    assert collection.metadata["location_list"]["bytes"] == "RAB4"


def test_locations_that_are_said_replace_those_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path, {**CERTUTIL, "my.toml": b'[[location]]\ntoken = "log-dir"\npath = "/l"\n'})
    collection = gathered(tmp_path / "DataBase", locations=tmp_path / "my.toml")
    assert "location_list" not in collection.metadata
    assert collection.metadata["locations"] == [{"token": 0x82, "path": "/l", "kind": "directory"}]


def test_a_folder_of_certutil_under_another_profile_is_a_folder_like_any_other(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path, CERTUTIL), profile="ese")
    assert (collection.profile, collection.kind) == ("ese", "collected")
    assert [one.name for one in collection.gathered.candidates] == ["DataBase/CA.edb", "DataBase/edb00001.log"]


@pytest.mark.parametrize(("raw", "form"), [(LIST, "w"), (b"\x82\\\\S\\L\0\0", "a"), (b"\x82\\\\S\\caf\xe9\0\0", "a")])
def test_a_raw_list_of_locations_is_kept_verbatim(tmp_path: Path, raw: bytes, form: str) -> None:
    write(tmp_path, {"in/db.edb": database(), "list": raw})
    collect(gathered(tmp_path / "in", locations=tmp_path / "list"), FileSink(tmp_path / "a"))
    with tokar.open(tmp_path / "a") as archive:
        assert archive.head.location_list is not None
        assert (archive.head.location_list.form, archive.head.location_list.data) == (form, raw)


def test_locations_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"in/db.edb": database(), "list": LIST[:-2]})
    with pytest.raises(LocationListError, match="the list has no terminator"):
        gathered(tmp_path / "in", locations=tmp_path / "list")


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ({"profile": "exch"}, "there is no profile exch", "choose one of edbbcli, ntdsbcli, certadm, ese"),
        ({"kind": "all"}, "there is no kind all", "choose one of full, logs, collected"),
        ({"annotation": "\udcff"}, "the description of the set cannot be kept: .*surrogate", None),
        ({"name": "x" * 1_200_000}, "take 1200.* bytes; 1048576 can be kept", None),
    ],
)
def test_a_description_that_cannot_be_kept_is_refused(
    tmp_path: Path, options: dict[str, str], message: str, hint: str | None
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        gathered(write(tmp_path, {"db.edb": database()}), **options)
    assert caught.value.hint == hint


NO_SET = {"empty": {}, "nothing of the engine": {"notes.txt": b"x"}, "garbage": {"SRUDB.dat": b"\x5a\xa5\x17" * 20_000}}


@pytest.mark.parametrize("files", NO_SET.values(), ids=NO_SET)
def test_a_folder_without_a_set_is_refused(tmp_path: Path, files: dict[str, bytes]) -> None:
    with pytest.raises(InputError, match="there is nothing to archive"):
        gathered(write(tmp_path / "in", files))


def test_an_archive_in_a_folder_that_is_taken_whole_is_refused(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path / "in", instance()), take_all=True)
    (tmp_path / "link").symlink_to("in")
    for out in (tmp_path / "in" / "a.tokar", tmp_path / "link" / "a.tokar"):
        with pytest.raises(InputError, match="the archive would lie in a folder that it takes whole"):
            collect(collection, FileSink(out))
    assert contents(tmp_path / "in") == instance()


@pytest.mark.parametrize("named", [True, False], ids=["the file", "its folder"])
def test_an_archive_never_replaces_a_file_that_it_takes(tmp_path: Path, named: bool) -> None:
    write(tmp_path / "in", {"db.edb": database()})
    collection = gathered(tmp_path / "in" / "db.edb" if named else tmp_path / "in")
    with pytest.raises(InputError, match="the archive would replace a file that it takes"):
        collect(collection, FileSink(tmp_path / "in" / "db.edb", replace=True))
    assert contents(tmp_path / "in") == {"db.edb": database()}


def test_an_archive_may_lie_beside_the_set_that_it_holds(tmp_path: Path) -> None:
    files = archived(gathered(write(tmp_path, {"db.edb": database()})), tmp_path / "a.tokar")
    assert list(files) == ["db.edb"]


def test_an_archive_that_is_there_is_not_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    write(tmp_path, {"in/db.edb": database(), "a.tokar": b"old"})
    with pytest.raises(ExistingFileError):
        collect(gathered(tmp_path / "in"), FileSink(tmp_path / "a.tokar"))
    assert contents(tmp_path) == {"in/db.edb": database(), "a.tokar": b"old"}


def append(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shorten(path: Path) -> None:
    os.truncate(path, 9000)


def overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


def overwrite_and_put_the_time_back(path: Path) -> None:
    status = path.stat()
    overwrite(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def swap(path: Path) -> None:
    """Put another file of the same size and time in its place."""
    status, content = path.stat(), path.read_bytes()
    path.rename(path.with_name("aside"))
    path.write_bytes(content[::-1])
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [append, shorten, overwrite, overwrite_and_put_the_time_back, swap])
@pytest.mark.parametrize("content", [database(), LARGE], ids=["small", "large"])
def test_a_file_that_changes_between_the_first_and_the_last_look_is_an_error(
    tmp_path: Path, content: bytes, change: Callable[[Path], None]
) -> None:
    path = write(tmp_path / "in", {"db.edb": content}) / "db.edb"
    os.utime(path, ns=(1, 1))
    collection = gathered(tmp_path / "in")
    change(path)
    with pytest.raises(SourceChangedError) as caught:
        collect(collection, FileSink(tmp_path / "a.tokar"))
    assert caught.value.path == str(path)
    assert caught.value.hint is not None
    assert not list(tmp_path.glob("*a.tokar*"))


def test_a_file_that_grows_as_fast_as_it_is_read_comes_to_an_end(tmp_path: Path) -> None:
    path = write(tmp_path / "in", {"db.edb": bytes(LARGE) * 4}) / "db.edb"
    steps = []

    def grow(size: int) -> None:
        steps.append(size)
        assert len(steps) < 10
        with path.open("ab") as file:
            file.write(bytes(1 << 20))

    with pytest.raises(SourceChangedError):
        collect(gathered(tmp_path / "in"), FileSink(tmp_path / "a"), progress=grow)


def to_link(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


@pytest.mark.parametrize("size", [9, 100_000])
@pytest.mark.parametrize("change", [to_link, to_fifo, to_folder, to_longer])
def test_a_file_without_a_kind_that_becomes_something_else_is_an_error(
    tmp_path: Path, size: int, change: Callable[[Path], None]
) -> None:
    folder = write(tmp_path / "in", {"some.bin": bytes(size), "other.bin": b"x"})
    collection = gathered(folder, take_all=True)
    change(folder / "some.bin")
    with pytest.raises(SourceChangedError):
        collect(collection, FileSink(tmp_path / "a.tokar"))
    assert not (tmp_path / "a.tokar").exists()


@pytest.mark.parametrize("content", [database(), LARGE], ids=["small", "large"])
def test_a_file_that_goes_away_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path / "in", {"db.edb": content}) / "db.edb"
    collection = gathered(tmp_path / "in")
    path.unlink()
    with pytest.raises(StorageError, match="cannot read it: No such file") as caught:
        collect(collection, FileSink(tmp_path / "a.tokar"))
    assert caught.value.path == str(path)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("content", [database(), LARGE], ids=["small", "large"])
def test_two_files_that_would_be_one_entry_are_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path / "in", {"a/db.edb": content, "b/db.edb": content})
    collection = gathered(tmp_path / "in" / "a" / "db.edb", tmp_path / "in" / "b" / "db.edb")
    with pytest.raises(InputError, match=r"two files would be one entry: token 0x44, name db\.edb") as caught:
        collect(collection, FileSink(tmp_path / "a.tokar"))
    assert caught.value.path == str(tmp_path / "in" / "b" / "db.edb")
    assert caught.value.hint == "archive their common folder, so that the names differ"
    assert not list(tmp_path.glob("*a.tokar*"))


def test_one_name_with_two_tokens_is_two_entries(tmp_path: Path) -> None:
    write(tmp_path, {"a/f": b"1", "b/f": b"2"})
    collect(gathered(f"log={tmp_path}/a/f", f"patch={tmp_path}/b/f"), FileSink(tmp_path / "a.tokar"))
    with tokar.open(tmp_path / "a.tokar") as archive:
        assert [(entry.token, entry.name, archive.read(entry)) for entry in archive] == [
            (0x21, "f", b"1"),
            (0x25, "f", b"2"),
        ]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    collection = gathered(write(tmp_path / "in", {"db.edb": LARGE}))
    with pytest.raises(KeyboardInterrupt):
        collect(collection, FileSink(tmp_path / "a.tokar"), progress=interrupt)
    assert not list(tmp_path.glob("*a.tokar*"))


@pytest.mark.parametrize("content", [bytes(16384), b"", b"torn".ljust(9000, b"z")], ids=["zeros", "empty", "torn"])
def test_the_database_that_certutil_names_is_one_whatever_is_left_of_it(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path / "in", {**CERTUTIL, "DataBase/CA.edb": content})
    collection = gathered(folder)
    assert (collection.kind, collection.is_partial) == ("full", True)
    assert next((one.name, one.token) for one in collection.gathered.candidates) == ("DataBase/CA.edb", 0x44)
    collect(collection, FileSink(tmp_path / "a.tokar"))
    with tokar.open(tmp_path / "a.tokar") as archive:
        assert archive.summary.outcome == "partial"


def test_a_database_that_certutil_names_and_that_is_not_there_leaves_logs_and_a_loud_word(tmp_path: Path) -> None:
    files = {name: content for name, content in CERTUTIL.items() if not name.endswith(".edb")}
    collection = gathered(write(tmp_path / "in", files))
    assert (collection.kind, collection.is_partial) == ("logs", True)
    assert collection.warnings == (
        "CA.edb: certbkxp.dat names this database, and it is not in the folder: logs alone restore nothing",
    )


def test_another_database_in_its_place_does_not_make_it_a_full(tmp_path: Path) -> None:
    files = {name: content for name, content in CERTUTIL.items() if not name.endswith(".edb")}
    collection = gathered(write(tmp_path / "in", {**files, "DataBase/other.edb": database()}))
    assert collection.kind == "logs"
    assert collection.warnings[0].startswith("CA.edb: certbkxp.dat names this database")


def test_a_set_without_a_fault_is_complete(tmp_path: Path) -> None:
    collection = gathered(write(tmp_path / "in", CERTUTIL))
    assert (collection.kind, collection.is_partial, collection.warnings) == ("full", False, ())


# --- files that are written to while they are read --------------------------------------------------------------------


def archived_while(path: Path, change: Callable[[], object]) -> Sealed:
    """Archive a large file that is changed when half of it is read."""
    read, size = 0, path.stat().st_size
    changed = False

    def advance(count: int) -> None:
        nonlocal read, changed
        read += count
        if not changed and read > size // 2:
            changed = True
            change()

    collection = gather(CollectRequest(paths=[f"0x0F={path}"]))
    return collect(collection, FileSink(path.with_name("out.tokar")), progress=advance)


@pytest.mark.parametrize("by_sync", [False, True])
def test_a_writer_through_mapped_memory_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_sync: bool
) -> None:
    monkeypatch.setattr(os, "fsync", os.fdatasync)  # what is written back shows the next write
    if by_sync:
        monkeypatch.setattr("tokar.storage.durable._sync_range", None)
    path = tmp_path / "file"
    path.write_bytes(bytes(8 << 20))
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[100] = memory[-100] = 1  # these pages are dirty before

        def change() -> None:
            memory[101] = memory[-101] = 2

        with pytest.raises(SourceChangedError, match="changed while it was being archived"):
            archived_while(path, change)
    assert not (tmp_path / "out.tokar").exists()


@pytest.mark.parametrize("hides", [True, False])
def test_where_times_tell_nothing_the_content_is_read_a_second_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hides: bool
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 << 20))
    monkeypatch.setattr("tokar.collect.collecting.hides_changes", lambda *_: hides)
    timeless = FileState(8 << 20, 0, 0, 1, 1)
    monkeypatch.setattr(FileState, "of", lambda _: timeless)

    def change() -> None:
        with path.open("r+b") as file:
            file.write(b"changed")

    if hides:
        with pytest.raises(SourceChangedError):
            archived_while(path, change)
    else:
        archived_while(path, change)


@pytest.mark.parametrize(("kind", "hides"), [("tmpfs", True), ("vfat", True), ("ext4", False), ("", False)])
def test_which_file_systems_hide_changes(monkeypatch: pytest.MonkeyPatch, kind: str, hides: bool) -> None:
    monkeypatch.setattr("tokar.collect.found.file_system_kind", lambda _: kind)
    monkeypatch.setattr("tokar.collect.found._hiding_devices", {})
    assert hides_changes(5, "/x") is hides


def test_a_file_that_was_just_changed_is_read_only_when_its_next_change_would_show(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        settle(file.fileno(), FileState.of(status))
        assert time.time_ns() - status.st_ctime_ns >= 20_000_000
