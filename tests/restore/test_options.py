from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import certutil_folder, full, part, streaming
from command_line import done
from command_line import tokar as tokar_command
from restore_helpers import plan_one
from small_sets import checkpoint, contents, database, log, reserve, write

import tokar
from tokar.errors import (
    FormatError,
    InputError,
    LocationListError,
    NoSuchEntryError,
    RestoreError,
    StorageError,
    UnknownTokenError,
)
from tokar.format.archive import Archive
from tokar.format.metadata import location_list_json
from tokar.location_list import Kind
from tokar.namelist import build_names
from tokar.restore.inventory import engine_file
from tokar.restore.options import RestoreOptions, make_request, parse_generation, stored_locations
from tokar.restore.plan import Existing
from tokar.restore.prepare import plan_restore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.restore.options import Request
    from tokar.restore.plan import Plan

FILES = {"CA.edb": (0x44, database()), "edb00001.log": (0x21, log(1)), "edb00002.log": (0x21, log(2))}


def wide(*places: tuple[int, str]) -> bytes:
    return build_names([(token, path.encode("utf-16-le")) for token, path in places], wide=True)


LOCAL = ((0x44, "/ca/CA.edb"), (0x82, "/ca"), (0x83, "/ca"))
SERVER = wide((0x44, "\\\\CA1\\C$\\L\\CA.edb"), (0x82, "\\\\CA1\\C$\\L"), (0x83, "\\\\CA1\\C$\\L"))


def made(path: Path, **head: Any) -> Path:
    with tokar.create(path, profile="certadm", **head) as writer:
        for name, (token, content) in FILES.items():
            writer.add_bytes(token, name, content)
    return path


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive that keeps the locations of its server."""
    with Archive(made(tmp_path / "a.tokar", location_list=location_list_json("w", SERVER))) as opened:
        yield opened


def with_locations(tmp_path: Path, **head: Any) -> Archive:
    return Archive(made(tmp_path / "b.tokar", **head))


def paths(request: Request) -> dict[int, str]:
    return {one.token: one.path for one in request.locations}


def targets(plan: Plan) -> dict[str, str | None]:
    return {step.entry.name: step.target for step in plan.steps}


def test_a_list_that_an_api_returned_gives_the_locations(archive: Archive) -> None:
    assert [(one.token, one.path, one.kind, one.by_hand) for one in stored_locations(archive.head)] == [
        (0x44, "\\\\CA1\\C$\\L\\CA.edb", Kind.UNSETTLED, False),
        (0x82, "\\\\CA1\\C$\\L", Kind.DIRECTORY, False),
        (0x83, "\\\\CA1\\C$\\L", Kind.DIRECTORY, False),
    ]


def test_locations_that_were_written_down_keep_their_kind(tmp_path: Path) -> None:
    listed = [{"token": 0x44, "path": "/ca", "kind": "directory"}]
    with with_locations(tmp_path, locations=listed) as opened:
        (one,) = stored_locations(opened.head)
        assert (one.token, one.path, one.kind, one.by_hand) == (0x44, "/ca", Kind.DIRECTORY, False)


def test_an_archive_without_locations_gives_none(tmp_path: Path) -> None:
    with with_locations(tmp_path) as opened:
        assert stored_locations(opened.head) == ()


def test_a_list_of_single_bytes_needs_its_code_page_where_it_is_not_ascii(tmp_path: Path) -> None:
    raw = location_list_json("a", b"\x82\\\\CA1\\caf\xe9\0\0")
    with with_locations(tmp_path, location_list=raw) as opened:
        (one,) = stored_locations(opened.head, encoding=1252)
        assert one.path == "\\\\CA1\\café"
        with pytest.raises(LocationListError, match="cannot be decoded") as caught:
            make_request(opened, RestoreOptions(code_page=0))
        assert caught.value.path == tmp_path / "b.tokar"
        assert paths(make_request(opened, RestoreOptions(code_page=1252))) == {0x82: "\\\\CA1\\café"}


def test_a_list_that_cannot_be_read_matters_only_where_nothing_replaces_it(tmp_path: Path) -> None:
    with with_locations(tmp_path, location_list=location_list_json("w", b"D\0x")) as opened:
        with pytest.raises(LocationListError, match="odd number of bytes"):
            make_request(opened, RestoreOptions())
        assert paths(make_request(opened, RestoreOptions(to=["database=/db", "log-dir=/l"]))) == {
            0x44: "/db",
            0x82: "/l",
        }
        assert make_request(opened, RestoreOptions(into=tmp_path / "x")).locations == ()


def test_what_is_said_by_hand_replaces_the_file_and_that_the_archive(archive: Archive, tmp_path: Path) -> None:
    write(tmp_path, {"l.toml": b'[[location]]\ntoken = 0x82\npath = "/f"\n[[location]]\ntoken = 0x83\npath = "/f"\n'})
    request = make_request(archive, RestoreOptions(locations=tmp_path / "l.toml", to=["checkpoint-dir=/h"]))
    assert paths(request) == {0x44: "\\\\CA1\\C$\\L\\CA.edb", 0x82: "/f", 0x83: "/h"}


def test_targets_and_maps_come_from_the_file_and_by_hand(archive: Archive, tmp_path: Path) -> None:
    toml = b"[[file]]\nname = 'edb00001.log'\npath = '/f'\n[[map]]\nprefix = '\\\\CA1\\C$'\ndirectory = '/c'\n"
    request = make_request(
        archive,
        RestoreOptions(
            locations=write(tmp_path, {"l.toml": toml}) / "l.toml", to=["CA.edb=/h"], maps=["\\\\CA1\\D$=/d"]
        ),
    )
    assert [(one.name, one.path) for one in request.targets] == [("CA.edb", "/h"), ("edb00001.log", "/f")]
    assert [(one.prefix, one.directory) for one in request.maps] == [("\\\\CA1\\D$", "/d"), ("\\\\CA1\\C$", "/c")]


def test_relative_paths_start_from_the_folder_of_the_user(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert make_request(archive, RestoreOptions(into=Path("x"))).into == str(tmp_path / "x")
    assert make_request(archive, RestoreOptions(certutil=Path("x"))).certutil == str(tmp_path / "x")
    assert paths(make_request(archive, RestoreOptions(to=["log-dir=l"])))[0x82] == str(tmp_path / "l")
    assert make_request(archive, RestoreOptions(maps=["\\\\CA1\\C$=c"])).maps[0].directory == str(tmp_path / "c")


def test_the_plan_is_bound_to_the_root_of_the_archive(archive: Archive, tmp_path: Path) -> None:
    plan = plan_one(archive, into=tmp_path / "x")
    assert plan.roots == (archive.root.hex(),)


def test_a_plan_of_mapped_locations_is_complete(archive: Archive, tmp_path: Path) -> None:
    plan = plan_one(archive, maps=[f"\\\\CA1\\C$={tmp_path}"], all_files=True)  # its logs are of no database
    assert plan.problems == ()
    assert targets(plan) == {name: str(tmp_path / "L" / name) for name in FILES}


def test_making_a_plan_writes_nothing(archive: Archive, tmp_path: Path) -> None:
    before = contents(tmp_path)
    plan_one(archive, into=tmp_path / "x" / "y")
    assert contents(tmp_path) == before
    assert not (tmp_path / "x").exists()


def test_an_engine_file_in_a_target_is_found_by_its_content(archive: Archive, tmp_path: Path) -> None:
    write(tmp_path / "t", {"holiday.jpeg": database(2)})
    plan = plan_one(archive, into=tmp_path / "t")
    with pytest.raises(RestoreError, match=r"files of the engine are there already: holiday\.jpeg"):
        plan.raise_for_problems()


def test_what_is_in_the_way_can_be_set_aside(archive: Archive, tmp_path: Path) -> None:
    write(tmp_path / "t", {"holiday.jpeg": database(2), "edb.chk": b"old"})
    options: dict[str, Any] = {"into": tmp_path / "t", "existing": "set-aside"}
    assert make_request(archive, RestoreOptions(**options)).existing is Existing.SET_ASIDE
    plan = plan_one(archive, **options)
    assert plan.problems == ()
    assert {aside.name for aside in plan.asides} == {"holiday.jpeg", "edb.chk"}


@pytest.mark.parametrize(
    ("content", "kind"),
    [(database(), "database"), (log(1), "log"), (checkpoint(), "checkpoint"), (reserve(), "reserve"), (b"text", None)],
)
def test_engine_files_are_told_by_content(tmp_path: Path, content: bytes, kind: str | None) -> None:
    assert engine_file(write(tmp_path, {"x": content}) / "x") == kind


def test_without_any_location_the_plan_is_refused(tmp_path: Path) -> None:
    with with_locations(tmp_path) as opened:
        plan = plan_one(opened)
        with pytest.raises(UnknownTokenError, match="no location has the token"):
            plan.raise_for_problems()


def test_locations_of_another_machine_are_refused_without_a_map(archive: Archive) -> None:
    plan = plan_one(archive)
    with pytest.raises(RestoreError, match="names another machine") as caught:
        plan.raise_for_problems()
    assert caught.value.hint is not None
    assert r"--map '\\CA1\C$=DIR'" in caught.value.hint


@pytest.mark.parametrize("folder", ["into", "tree"])
def test_one_folder_and_locations_exclude_each_other(archive: Archive, tmp_path: Path, folder: str) -> None:
    write(tmp_path, {"raw": SERVER, "l.toml": b"[[location]]\ntoken = 0x82\npath = '/f'\n"})
    options: dict[str, Any] = {folder: tmp_path / "x"}
    for more in ({"locations": tmp_path / "raw"}, {"locations": tmp_path / "l.toml"}, {"to": ["log-dir=/l"]}):
        with pytest.raises(InputError, match="leave the locations out"):
            make_request(archive, RestoreOptions(**options, **more))


def test_one_folder_goes_with_a_place_for_a_single_file(archive: Archive, tmp_path: Path) -> None:
    plan = plan_one(archive, into=tmp_path / "x", to=[f"CA.edb={tmp_path}/y/new.edb"])
    assert targets(plan)["CA.edb"] == str(tmp_path / "y" / "new.edb")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"existing": "replace"}, "--existing takes refuse"),
        ({"to": ["no-equals-sign"]}, "says no place"),
        ({"to": ["database="]}, "says no place"),
        ({"maps": ["\\\\CA1"]}, "is no map"),
        ({"maps": ["relative=/x"]}, "is no absolute path"),
        ({"into": Path("/x"), "certutil": Path("/y")}, "exclude each other"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(archive: Archive, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_request(archive, RestoreOptions(**options))


def test_a_locations_file_that_is_not_there_is_an_error(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the locations"):
        make_request(archive, RestoreOptions(locations=tmp_path / "gone"))


@pytest.mark.parametrize("options", [{"only": ["gone"]}, {"to": ["gone=/x"]}])
def test_a_name_that_no_entry_has_is_refused(archive: Archive, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(NoSuchEntryError, match="no entry has the name gone"):
        plan_one(archive, into=tmp_path / "x", **options)


def test_an_archive_with_a_damaged_index_gives_no_plan(archive: Archive, tmp_path: Path) -> None:
    (row,) = (row for row in archive.rows if row.kind == b"INDX")
    data = bytearray((tmp_path / "a.tokar").read_bytes())
    data[row.body_position] ^= 1
    (tmp_path / "a.tokar").write_bytes(data)
    with Archive(tmp_path / "a.tokar") as opened, pytest.raises(FormatError):
        plan_one(opened, into=tmp_path / "x")


@pytest.mark.parametrize(
    ("text", "generation"),
    [
        ("0x1A", 26),
        ("0X1a", 26),
        ("edb0001A.log", 26),
        ("EDB0001A.LOG", 26),
        ("C:\\logs\\edb0001A.log", 26),
        ("E000000001A.jtx", 26),
    ],
)
def test_a_generation_is_hexadecimal_or_the_name_of_a_log(text: str, generation: int) -> None:
    assert parse_generation(text) == generation


@pytest.mark.parametrize(
    "text", ["", "26", "1A", "0x", "0xG1", "0x0", "-0x1", "0x100000000", "edb.log", "edb.chk", "0x1 A", "log"]
)
def test_what_is_no_generation_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match="not a log generation") as caught:
        parse_generation(text)
    assert "0x1A" in str(caught.value.hint)


def rows_of(path: Path, out: Path) -> tuple[tuple[str, str], ...] | None:
    """The restore map that Register gets of a single archive."""
    with Archive(path) as opened:
        recovery = plan_restore(opened, RestoreOptions(to=(f"0x44={out}/", f"0x45={out}/", f"log-dir={out}/"))).recovery
    assert recovery is not None
    (one,) = recovery.registrations
    assert (one.low, one.high) == (5, 7)
    return one.restore_map


def test_the_restore_map_has_the_path_in_the_logs_where_the_stored_name_has_none(tmp_path: Path) -> None:
    path = full(tmp_path).path
    assert rows_of(path, tmp_path / "out") == ((r"C:\db\main.edb", f"{tmp_path}/out/main.edb"),)


def test_the_restore_map_has_the_path_as_the_list_of_the_service_spells_it(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "ca", certutil_folder()))
    rows = rows_of(tmp_path / "a.tokar", tmp_path / "out")
    assert rows == ((r"\\HOST\C$\CertLog\main.edb", f"{tmp_path}/out/main.edb"),)


def test_a_stored_name_with_a_path_is_what_the_restore_map_has(tmp_path: Path) -> None:
    with tokar.create(tmp_path / "a.tokar", profile="certadm") as writer:
        writer.add_bytes(0x44, r"\\HOST\D$\main.edb", bytes(streaming(5, 7)))
        for name, content in part(5, 7).items():
            writer.add_bytes(0x21, rf"\\HOST\D$\{name}", content)
    assert rows_of(tmp_path / "a.tokar", tmp_path / "out") == ((r"\\HOST\D$\main.edb", f"{tmp_path}/out/main.edb"),)


def test_an_opaque_database_has_its_row_too(tmp_path: Path) -> None:
    """Exchange 4.0 and 5.0: neither the database nor the logs say anything, and the tokens are enough."""
    with tokar.create(tmp_path / "a.tokar", profile="edbbcli") as writer:
        writer.add_bytes(0x45, r"\\MAIL\D$\PRIV.EDB", b"no header here".ljust(8192, b"\1"))
        for generation in (5, 6, 7):
            content = bytes(24) + (4).to_bytes(4, "little") + (909).to_bytes(4, "little")
            writer.add_bytes(0x21, rf"\\MAIL\D$\EDB{generation:05X}.LOG", content.ljust(8192, b"\0"))
    rows = rows_of(tmp_path / "a.tokar", tmp_path / "out")
    assert rows == ((r"\\MAIL\D$\PRIV.EDB", f"{tmp_path}/out/PRIV.EDB"),)
    checked = tokar_command("check", tmp_path / "a.tokar").stdout
    assert "logs alone" not in checked
    assert "PRIV.EDB: not a database of a known format" in checked


@pytest.mark.samples
def test_the_row_of_a_real_set_has_the_path_that_its_logs_hold(samples: Path, tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", samples / "dhcp-streaming-backup-redacted")
    options = RestoreOptions(to=(f"database={tmp_path}/d/", f"log-dir={tmp_path}/l/"), accept_unrecoverable=True)
    with Archive(tmp_path / "a.tokar") as opened:
        recovery = plan_restore(opened, options).recovery
    assert recovery is not None
    (one,) = recovery.registrations
    assert (one.low, one.high) == (0x1E2E4, 0x1E2EC)
    assert one.restore_map == ((r"C:\Windows\system32\dhcp\dhcp.mdb", f"{tmp_path}/d/dhcp.mdb"),)
