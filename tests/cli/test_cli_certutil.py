r"""Folders of `certutil -backupDB` through the command line: in at either level, and out again byte for byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from recovery_sets import DATABASE_SIGNATURE, logs, streaming
from small_sets import contents, database, log, write

import tokar as library
from tokar.ese.attachment import NO_ENVIRONMENT, path_bytes
from tokar.location_list import parse_location_list
from tokar.namelist import build_names

if TYPE_CHECKING:
    from pathlib import Path

HOST, AUTHORITY = "PKI-SRV01.corp.cvilab.local", "CVI Issuing CA 1"
FOLDER = f"\\\\{HOST}\\C$\\Windows\\system32\\CertLog"
SERVER_LIST = build_names(
    [
        (token, path.encode("utf-16-le"))
        for token, path in ((0x44, f"{FOLDER}\\{AUTHORITY}.edb"), (0x82, FOLDER), (0x83, FOLDER))
    ],
    wide=True,
)
FULL = {
    "DataBase/certbkxp.dat": SERVER_LIST,
    f"DataBase/{AUTHORITY}.edb": bytes(streaming(1, 2)),
    **{f"DataBase/{name}": data for name, data in logs(1, 2).items()},
}
LOGS = {"DataBase/edb00003.log": log(3), "DataBase/edb00004.log": log(4)}


def test_the_list_has_the_size_that_a_real_one_was_seen_with() -> None:
    assert len(SERVER_LIST) == 398


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
@pytest.mark.parametrize("files", [FULL, LOGS], ids=["full", "incremental"])
def test_a_folder_comes_back_byte_for_byte(tmp_path: Path, level: str, files: dict[str, bytes]) -> None:
    folder = write(tmp_path / "backup", files)
    done("create", "-q", tmp_path / "a.tokar", folder / level)
    done("verify", "-q", "--content", tmp_path / "a.tokar")
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


@pytest.mark.parametrize(
    ("files", "kind", "entries"), [(FULL, "full", 3), (LOGS, "logs", 2)], ids=["full", "incremental"]
)
def test_the_archive_knows_where_it_came_from(tmp_path: Path, files: dict[str, bytes], kind: str, entries: int) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    answer = done("inspect", "--json", tmp_path / "a.tokar").json()
    assert (answer["archive"]["profile"], answer["archive"]["kind"]) == ("certadm", kind)
    assert len(answer["entries"]) == entries
    assert "certutil -backupKey" in answer["archive"]["notes"][0]
    assert [one["path"] for one in answer["locations"]] == (
        [f"{FOLDER}\\{AUTHORITY}.edb", FOLDER, FOLDER] if kind == "full" else []
    )


def test_a_full_set_goes_back_to_the_directories_of_the_server(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    done("restore", "-q", tmp_path / "a.tokar", "--map", f"\\\\{HOST.upper()}\\c$={tmp_path}/c")
    assert contents(tmp_path / "c") == {
        f"Windows/system32/CertLog/{name.removeprefix('DataBase/')}": data
        for name, data in FULL.items()
        if name != "DataBase/certbkxp.dat"
    }


def test_without_a_map_the_server_is_another_machine(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    result = tokar("restore", tmp_path / "a.tokar")
    assert result.exit_code == 6
    assert f"the location {FOLDER}" in result.stderr
    assert "names another machine" in result.error


@pytest.mark.parametrize("level", ["", "DataBase"], ids=["outer", "inner"])
def test_a_key_that_is_wanted_goes_in_loudly_and_comes_back_beside_the_folder(tmp_path: Path, level: str) -> None:
    folder = write(tmp_path / "backup", {**FULL, f"{AUTHORITY}.p12": b"key"})
    made = done("create", "-q", "--with-key", tmp_path / "a.tokar", folder / level)
    assert f"warning: {AUTHORITY}.p12 is a private key: keep the archive as safe as the key itself" in made.stderr
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == contents(folder)


def test_a_key_beside_the_folder_is_named_where_it_is_not_taken(tmp_path: Path) -> None:
    folder = write(tmp_path / "backup", {**FULL, f"{AUTHORITY}.p12": b"key"})
    made = done("create", tmp_path / "a.tokar", folder / "DataBase")
    assert f"{AUTHORITY}.p12, a private key beside DataBase, is not in this archive: --with-key takes it" in made.stderr


def test_a_key_that_is_not_there_cannot_be_taken(tmp_path: Path) -> None:
    result = tokar("create", "--with-key", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    assert result.exit_code == 2
    assert not (tmp_path / "a.tokar").exists()


def test_a_key_never_blocks_a_plan_and_is_named_in_it(tmp_path: Path) -> None:
    folder = write(tmp_path / "backup", {**FULL, f"{AUTHORITY}.p12": b"key"})
    done("create", "-q", "--with-key", tmp_path / "a.tokar", folder)
    to = ("--to", f"database={tmp_path}/d/", "--to", f"log-dir={tmp_path}/d/")
    shown = done("restore", tmp_path / "a.tokar", *to).stdout
    assert "a private key: --to NAME=PATH places it" in shown
    assert f"{AUTHORITY}.p12" not in contents(tmp_path / "d")
    to = ("--only", f"{AUTHORITY}.p12", "--to", f"unknown={tmp_path}/keys/")
    done("restore", "-q", tmp_path / "a.tokar", *to)
    assert contents(tmp_path / "keys") == {f"{AUTHORITY}.p12": b"key"}


def test_a_list_that_nobody_can_read_comes_back_all_the_same(tmp_path: Path) -> None:
    files = {**FULL, "DataBase/certbkxp.dat": b"no list at all"}
    created = done("create", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    assert created.stderr.count("certbkxp.dat, the list of where these files belong, is no good: ") == 1
    assert "next: the databases can be recovered without it; certutil goes by it: give a right one" in created.stderr
    done("inspect", tmp_path / "a.tokar")
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


@pytest.mark.parametrize("raw", [b"", b"\0\0", b"\0\0\0\0"], ids=["no bytes", "one NUL", "two NULs"])
def test_an_empty_list_comes_back_as_it_was(tmp_path: Path, raw: bytes) -> None:
    files = {**FULL, "DataBase/certbkxp.dat": raw}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert contents(tmp_path / "out") == files


def test_what_is_in_the_folder_already_is_not_replaced(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    write(tmp_path / "out", {"DataBase/certbkxp.dat": b"older"})
    result = tokar("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert result.exit_code == 6
    assert result.error == f"there already: certbkxp.dat ({tmp_path / 'out' / 'DataBase'})"
    assert contents(tmp_path / "out") == {"DataBase/certbkxp.dat": b"older"}


# --- a set that lost its list -----------------------------------------------------------------------------------------

LOST = {name: data for name, data in FULL.items() if name != "DataBase/certbkxp.dat"}
HOME = "C:\\Windows\\system32\\CertLog"


def test_without_a_list_and_without_paths_in_the_logs_certutil_is_refused(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", LOST))
    result = tokar("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out")
    assert result.exit_code == 6
    assert result.error == "the archive keeps no location list, and certutil needs one as certbkxp.dat"
    assert result.hint == "give one with --locations FILE, or restore with --into DIR"


@pytest.mark.parametrize("where", ["create", "restore"])
@pytest.mark.parametrize("form", ["raw", "toml"])
def test_a_list_that_is_given_takes_the_place_of_the_lost_one(tmp_path: Path, where: str, form: str) -> None:
    rows = ((0x44, f"{FOLDER}\\{AUTHORITY}.edb"), (0x82, FOLDER), (0x83, FOLDER))
    toml = "".join(f"[[location]]\ntoken = {token}\npath = '{path}'\n" for token, path in rows)
    write(tmp_path, {"list": SERVER_LIST if form == "raw" else toml.encode()})
    given = ("--locations", tmp_path / "list")
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", LOST), *(given if where == "create" else ()))
    later = given if where == "restore" else ()
    done("restore", "-q", tmp_path / "a.tokar", "--certutil", tmp_path / "out", *later)
    assert contents(tmp_path / "out") == FULL


@pytest.mark.parametrize(("path", "doubted"), [(f"{HOME}\\Other.edb", True), (f"{HOME}\\{AUTHORITY}.EDB", False)])
def test_a_list_that_does_not_name_the_database_is_doubted(tmp_path: Path, path: str, doubted: bool) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", LOST))
    write(tmp_path, {"list": f"[[location]]\ntoken = 0x44\npath = '{path}'\n".encode()})
    result = done("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out", "--locations", tmp_path / "list")
    assert (f"names no path of {AUTHORITY}.edb: is it the list of this server?" in result.stdout) == doubted


def test_a_list_that_nobody_can_read_stays_where_the_file_names_no_locations(tmp_path: Path) -> None:
    files = {**FULL, "DataBase/certbkxp.dat": b"no list at all"}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    write(tmp_path, {"maps": b"[[map]]\nprefix = 'D:'\ndirectory = '/srv'\n"})
    shown = done("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out", "--locations", tmp_path / "maps")
    assert "is made from" not in shown.stdout
    assert contents(tmp_path / "out") == files


def test_a_list_of_other_paths_than_those_of_windows_is_refused(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", LOST))
    write(tmp_path, {"list": b'[[location]]\ntoken = "log-dir"\npath = "/srv"\n'})
    given = ("--locations", tmp_path / "list")
    result = tokar("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out", *given)
    assert (result.exit_code, "no path of Windows" in result.error) == (6, True)


@pytest.mark.parametrize("server", ["", HOST])
def test_the_list_is_rebuilt_from_what_the_logs_say_and_that_is_said(tmp_path: Path, server: str) -> None:
    environment = replace(NO_ENVIRONMENT, raw_log_path=path_bytes(f"{HOME}\\"), raw_system_path=path_bytes(HOME))
    attached = ((f"{HOME}\\{AUTHORITY}.edb", DATABASE_SIGNATURE),)
    files = {f"DataBase/{name}": data for name, data in logs(5, 6, attached=attached, environment=environment).items()}
    files[f"DataBase/{AUTHORITY}.edb"] = bytes(streaming(5, 6))
    made = ("--server", server) if server else ()
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files), *made)
    shown = done("restore", tmp_path / "a.tokar", "--certutil", tmp_path / "out").stdout
    assert "note: certbkxp.dat is REBUILT, for the set has none: " in shown
    home = FOLDER if server else HOME
    listed = parse_location_list(contents(tmp_path / "out").pop("DataBase/certbkxp.dat"), wide=True)
    assert {(one.token, one.path) for one in listed} == {(0x44, f"{home}\\{AUTHORITY}.edb"), (0x82, home), (0x83, home)}


# --- a list that is no good, or of another set ------------------------------------------------------------------------


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


NAMED = {**FULL}
for leaf, data in logs(1, 2, attached=((f"{HOME}\\{AUTHORITY}.edb", DATABASE_SIGNATURE),)).items():
    NAMED[f"DataBase/{leaf}"] = data
NAMELESS = {**FULL, **{f"DataBase/{leaf}": data for leaf, data in logs(1, 2, attached=()).items()}}
NO_GOOD = "certbkxp.dat, the list of where these files belong, is no good: "
BAD_LISTS = {
    "cut": (SERVER_LIST[:-2], f"{NO_GOOD}the list has no terminator"),
    "garbage": (b"no list at all", f"{NO_GOOD}an entry has no end"),
    "no bytes": (b"", f"{NO_GOOD}it is empty"),
    "one NUL": (bytes(2), f"{NO_GOOD}it is empty"),
    "another authority": (SERVER_LIST.replace(utf16("CVI "), utf16("ABC ")), "names ABC Issuing CA 1.edb, and not "),
    "no database": (
        build_names([(0x82, utf16(FOLDER))], wide=True),
        f"names no database, and not DataBase/{AUTHORITY}",
    ),
    "another drive": (SERVER_LIST.replace(utf16("C$"), utf16("D$")), f"and the logs have {HOME}\\{AUTHORITY}.edb"),
}


@pytest.mark.parametrize("what", BAD_LISTS)
def test_a_location_list_that_is_no_good_is_remarked_by_every_verb_that_judges(tmp_path: Path, what: str) -> None:
    raw, text = BAD_LISTS[what]
    archive = tmp_path / "a.tokar"
    made = tokar("create", "-q", archive, write(tmp_path / "backup", {**NAMED, "DataBase/certbkxp.dat": raw}))
    assert text in made.stderr, "while somebody has the server, a right one can still be given"
    kind = "locations-damaged" if NO_GOOD in text else "locations-foreign"
    for options in (["check"], ["check", "--content"], ["chain"], ["chain", "--content"]):
        result = done(*options, archive)
        assert text in result.stdout, options
        assert result.stdout.splitlines()[-1] == "RESTORABLE", options
        assert kind in done(*options, "--json", archive).stdout, options
    for path in (archive, tmp_path / "backup"):
        shown = done("check", path).stdout
        assert text in shown
        assert "certutil goes by it: give a right one" in shown
    assert text in done("restore", "--dry-run", archive, "--into", tmp_path / "out").stdout


@pytest.mark.parametrize("host", [HOST, "OTHER"])
@pytest.mark.parametrize("files", [NAMELESS, NAMED], ids=["logs name nothing", "logs name the database"])
def test_a_location_list_of_this_set_is_not_remarked(tmp_path: Path, host: str, files: dict[str, bytes]) -> None:
    raw = SERVER_LIST.replace(utf16(HOST), utf16(host))
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", {**files, "DataBase/certbkxp.dat": raw}))
    assert "certbkxp.dat" not in done("check", tmp_path / "a.tokar").stdout
    again = done("create", "-q", tmp_path / "b.tokar", tmp_path / "backup")
    assert "certbkxp.dat, the list" not in again.stderr


def test_a_list_of_another_set_is_remarked_of_its_full_in_a_chain(tmp_path: Path) -> None:
    raw, text = BAD_LISTS["another authority"]
    for name, files in (("full", {**NAMED, "DataBase/certbkxp.dat": raw}), ("later", LOGS)):
        tokar("create", "-q", tmp_path / f"{name}.tokar", write(tmp_path / name, files))
    assert done("chain", tmp_path / "full.tokar").stdout.count(text) == 1
    assert text in tokar("restore", "--dry-run", tmp_path / "full.tokar", "--certutil", tmp_path / "out").stdout


@pytest.mark.parametrize("profile", ["ntdsbcli", "edbbcli"])
def test_the_list_of_another_service_is_called_the_location_list(tmp_path: Path, profile: str) -> None:
    """The list of Exchange gives directories, which name no database."""
    rows = [(0x44, utf16("C:\\NTDS\\other.dit")), (0x82, utf16("C:\\NTDS"))]
    if profile == "edbbcli":
        rows = [(0x44, utf16("C:\\exchsrvr\\mdbdata")), (0x82, utf16("C:\\exchsrvr\\mdbdata"))]
    write(tmp_path, {"list": build_names(rows, wide=True)})
    folder = write(tmp_path / "set", {"ntds.dit": bytes(streaming(1, 2)), **logs(1, 2)})
    token = ("private-database=" if profile == "edbbcli" else "") + str(folder / "ntds.dit")
    given = ("--profile", profile, "--locations", tmp_path / "list")
    done("create", "-q", tmp_path / "a.tokar", token, *(folder / name for name in logs(1, 2)), *given)
    shown = done("check", tmp_path / "a.tokar").stdout
    is_said = "the location list, the list of where these files belong, names other.dit, and not ntds.dit" in shown
    assert is_said == (profile == "ntdsbcli")


# --- planned from afar ------------------------------------------------------------------------------------------------


def test_a_restore_to_windows_is_planned_without_being_there(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    answer = done("restore", "--json", tmp_path / "a.tokar", "--for", "windows").json()
    assert answer["placed"] is None
    home = "C:\\Windows\\system32\\CertLog"
    targets = [one["target"] for one in answer["plans"][0]["steps"]]
    assert targets == [f"{home}\\{AUTHORITY}.edb", f"{home}\\edb00001.log", f"{home}\\edb00002.log"]
    assert any("nobody looked" in note for note in answer["plans"][0]["notes"])
    moved = done("restore", "--json", tmp_path / "a.tokar", "--for", "windows", "--to", "log-dir=D:\\logs\\").json()
    assert moved["plans"][0]["steps"][1]["target"] == "D:\\logs\\edb00001.log"


def test_the_folder_for_certutil_is_planned_from_afar_too(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    shown = done("restore", tmp_path / "a.tokar", "--for", "windows", "--certutil", "D:\\from here").stdout
    assert "also written: D:\\from here\\DataBase\\certbkxp.dat" in shown
    assert 'certutil -f -restoreDB "D:\\from here"' in shown


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--into", "logs"), 2),
        (("--to", "log-dir=logs/"), 6),
        (("--existing", "set-aside"), 2),
        (("--to", "database=/srv/"), 6),
        (("--into", "C:\\a?b"), 2),
        (("--certutil", "\\\\fs\\share\\CON"), 2),
    ],
)
def test_what_a_plan_from_afar_cannot_know_is_refused(tmp_path: Path, options: tuple[str, ...], code: int) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    assert tokar("restore", tmp_path / "a.tokar", "--for", "windows", *options).exit_code == code


def test_no_other_system_is_planned_for(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    assert tokar("restore", tmp_path / "a.tokar", "--for", "mars").exit_code == 2


def test_a_plan_for_another_machine_is_never_carried_out(tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", FULL))
    with library.open(tmp_path / "a.tokar") as archive:
        plan = library.plan_restore(archive, library.RestoreOptions(system="windows"))
        plan.raise_for_problems()
        with pytest.raises(library.RestoreError, match="for another machine"):
            library.place(plan)


# --- as it lay --------------------------------------------------------------------------------------------------------


def test_a_tree_comes_back_as_it_was_collected(tmp_path: Path) -> None:
    files = {"one/catdb": database(1), "two/catdb": database(2), "two/edb00001.log": log(1)}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", files))
    done("restore", "-q", tmp_path / "a.tokar", "--tree", tmp_path / "out")
    assert contents(tmp_path / "out") == files
    refused = tokar("restore", "-q", tmp_path / "a.tokar", "--tree", tmp_path / "out", "--into", tmp_path / "other")
    assert refused.exit_code == 2
    again = done("restore", tmp_path / "a.tokar", "--tree", tmp_path / "out")
    assert "all is done already" in again.stdout


@pytest.mark.parametrize(("level", "inner"), [("", "DataBase/"), ("DataBase", "")], ids=["outer", "inner"])
def test_a_tree_has_the_folder_of_certutil_that_was_named(tmp_path: Path, level: str, inner: str) -> None:
    files = {name.removeprefix("DataBase/"): data for name, data in FULL.items() if not name.endswith(".dat")}
    key = {f"{AUTHORITY}.p12": b"key"}
    folder = write(tmp_path / "backup", {**FULL, **key})
    done("create", "-q", "--with-key", tmp_path / "a.tokar", folder / level)
    done("restore", "-q", tmp_path / "a.tokar", "--tree", tmp_path / "out")
    assert contents(tmp_path / "out") == {f"{inner}{name}": data for name, data in files.items()} | key


def test_a_folder_that_lost_its_list_is_that_of_an_authority(tmp_path: Path) -> None:
    files = {name: data for name, data in FULL.items() if not name.endswith(".dat")}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "backup", files))
    archive = done("inspect", "--json", tmp_path / "a.tokar").json()["archive"]
    assert (archive["profile"], archive["kind"]) == ("certadm", "full")


def test_a_name_that_leads_out_of_the_tree_is_refused(tmp_path: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add_bytes(0x44, "../up/x.edb", database())
    result = tokar("restore", tmp_path / "a.tokar", "--tree", tmp_path / "out")
    assert (result.exit_code, "is no path below a folder" in result.error) == (6, True)
    assert not (tmp_path / "out").exists()
