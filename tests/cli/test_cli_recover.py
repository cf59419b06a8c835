"""`recover`, `replay` and `check --replay`: what they say, and with which exit codes they end."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from backup_files import database_file, log_file
from command_line import done, tokar
from replay_pages import older, page_in, put_page
from replay_sets import after, before
from small_sets import write


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database of one day, and the logs to the next."""
    folder = tmp_path_factory.mktemp("real") / "in"
    folder.mkdir()
    shutil.copy(before().database, folder / "SRUDB.dat")
    for number, log in enumerate(after().logs, 2):
        shutil.copy(log, folder / ("SRU.log" if number == 5 else f"SRU{number:05X}.log"))
    return folder


@pytest.fixture(scope="module")
def archive(real: Path) -> Path:
    path = real.parent / "set.tokar"
    done("create", "-q", path, real)
    return path


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    """A set of the simulated engine, whose records are its own."""
    files = {"a.edb": database_file(5, 6), "edb00005.log": log_file(5), "edb.log": log_file(6)}
    done("create", "-q", tmp_path / "sim.tokar", write(tmp_path / "sim", files))
    return tmp_path / "sim.tokar"


@pytest.mark.samples
@pytest.mark.parametrize("which", ["real", "archive"])
def test_a_set_is_recovered_from_a_folder_and_from_an_archive(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    lines = done("recover", request.getfixturevalue(which), "--out", tmp_path / "out").stdout.splitlines()
    assert lines[0] == "recovered by tokar, not by Windows: for reading, not for service"
    assert lines[1].startswith(f"{tmp_path / 'out' / 'SRUDB.dat'}: 576.0 KiB, 142 pages, all checked")
    assert "  1,118 changes on 61 pages applied without contradiction, 0 present" in lines
    assert any("not proved: no database that Windows recovered" in line for line in lines)


@pytest.mark.samples
def test_json_has_the_same(real: Path, tmp_path: Path) -> None:
    value = done("recover", "--json", real, "--out", tmp_path / "out").json()
    assert value["note"] == "recovered by tokar, not by Windows: for reading, not for service"
    (one,) = value["databases"]
    assert (one["pages"], one["replay"]["changes"], one["replay"]["transactions"]) == (142, 1118, 0)


@pytest.mark.samples
def test_replay_writes_nothing_and_says_what_recovery_would_do(real: Path) -> None:
    text = done("replay", real).stdout
    assert "65 pages followed through 1,135 changes in the logs: all where they must be" in text
    assert "0 transactions open at the end" in text


@pytest.mark.samples
def test_check_replay_fills_the_last_rung(archive: Path) -> None:
    result = done("check", "--content", "--replay", archive)
    assert "rehearsed   passed         logs played on 1 of 1 database, in memory" in result.stdout
    assert "SRUDB.dat: 65 pages followed through 1,135 changes in the logs" in result.stdout
    assert result.stdout.splitlines()[-1] == "RESTORABLE"


@pytest.mark.samples
def test_check_replay_takes_files_as_they_lie(real: Path) -> None:
    text = done("check", "--replay", real).stdout
    assert "rehearsed   passed         logs played on 1 of 1 database, in memory" in text
    assert "rehearsed   not looked at" in done("check", real).stdout


@pytest.mark.samples
def test_check_content_follows_pages_and_plays_nothing(archive: Path) -> None:
    text = done("check", "--content", archive).stdout
    assert "65 pages followed" in text
    assert "rehearsed   not looked at" in text


@pytest.mark.samples
def test_a_lost_write_fails_the_check_and_is_named(real: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    shutil.copytree(real, folder)
    put_page(folder / "SRUDB.dat", 14, older(page_in(folder / "SRUDB.dat", 14), 14))
    done("create", "-q", tmp_path / "a.tokar", folder)
    for options in (["--content"], ["--replay"], ["--content", "--replay"]):
        result = tokar("check", *options, tmp_path / "a.tokar")
        assert result.exit_code == 9
        assert "1 page that the logs do not lead to: page 14 is at 0x1c5" in result.stdout
    assert tokar("replay", tmp_path / "a.tokar").exit_code == 9
    result = tokar("recover", tmp_path / "a.tokar", "--out", tmp_path / "out")
    assert (result.exit_code, (tmp_path / "out").exists()) == (9, False)


@pytest.mark.samples
def test_the_locations_of_an_archive_are_no_place_for_what_is_recovered(real: Path, tmp_path: Path) -> None:
    place = tmp_path / "server"
    place.mkdir()
    found = sorted(real.iterdir())
    import tokar as library  # noqa: PLC0415 - only here

    kept = [{"token": 0x44, "path": f"{place}/SRUDB.dat", "kind": "file"}]
    with library.create(tmp_path / "a.tokar", profile="ese", locations=kept) as writer:
        for path in found:
            with path.open("rb") as file:
                writer.add(0x44 if path.suffix == ".dat" else 0x21, path.name, file)
    result = tokar("recover", tmp_path / "a.tokar", "--out", place)
    assert result.exit_code == 6
    assert "does harm there" in result.stderr


def test_a_simulated_set_is_not_rehearsed_and_everything_else_is_as_before(simulated: Path) -> None:
    checked = done("check", "--content", simulated)
    assert checked.stdout.splitlines()[-1] == "RESTORABLE"
    assert "not followed through the logs: not ESE log records" in checked.stdout
    replayed = tokar("check", "--content", "--replay", simulated)
    assert replayed.exit_code == 9
    assert "a.edb: not rehearsed: not ESE log records" in replayed.stdout
    assert tokar("replay", simulated).exit_code == 9


def test_a_simulated_set_is_not_recovered(simulated: Path, tmp_path: Path) -> None:
    result = tokar("recover", simulated, "--out", tmp_path / "out")
    assert (result.exit_code, "not ESE log records" in result.stderr) == (9, True)
    assert result.hint == "recover with the engine that wrote it; a simulated server does so: tokar lab recover FOLDER"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("verb", ["recover", "replay"])
def test_what_is_proved_is_printed_for_each_type(verb: str) -> None:
    rows = done(verb, "--support", "--json").json()["types"]
    by_name = {row["name"]: row["support"] for row in rows}
    assert len(rows) == 98
    assert (by_name["Insert"], by_name["Merge2"], by_name["Scrub"]) == ("proved", "played", "refused")
    assert " 29  Insert " in done(verb, "--support").stdout


@pytest.mark.parametrize("arguments", [["recover"], ["recover", "x"], ["replay"], ["recover", "--out", "y"]])
def test_a_set_and_a_folder_are_needed(arguments: list[str]) -> None:
    assert tokar(*arguments).exit_code == 2


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    result = tokar("recover", tmp_path / "x.tokar", "--out", tmp_path / "out")
    assert (result.exit_code, "x.tokar" in result.stderr) == (1, True)


def test_the_table_in_the_manual_is_the_one_that_is_printed() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "how-to" / "recover.md").read_text(encoding="utf-8")
    rows = done("replay", "--support", "--json").json()["types"]
    for support in ("proved", "played", "refused"):
        named = ", ".join(row["name"] for row in rows if row["support"] == support and row["name"][0] != "(")
        assert f"| {support} | {named}" in manual


def test_where_there_is_no_database_nothing_is_rehearsed(tmp_path: Path) -> None:
    write(tmp_path / "in", {"edb00005.log": log_file(5), "edb.log": log_file(6)})
    text = tokar("check", "--replay", tmp_path / "in").stdout
    assert "rehearsed   not looked at  there is no database here to play logs on" in text


@pytest.mark.samples
def test_where_no_log_is_played_nothing_is_rehearsed(tmp_path: Path) -> None:
    shutil.copy(after().database, tmp_path / "SRUDB.dat")
    result = tokar("check", "--replay", tmp_path)
    assert "rehearsed   not looked at  logs played on 0 of 1 database, in memory" in result.stdout
    assert "SRUDB.dat: it was shut down, and no log leads on from there" in result.stdout
    assert result.exit_code == 0


@pytest.mark.samples
def test_a_copy_that_is_left_out_is_named_and_decides_nothing(real: Path, tmp_path: Path) -> None:
    shutil.copytree(real, tmp_path / "in")
    shutil.copy(real / "SRUDB.dat", tmp_path / "in" / "copy.dat")
    text = done("check", "--content", "--replay", tmp_path / "in").stdout
    assert "rehearsed   passed         logs played on 1 of 1 database, in memory" in text
    assert text.splitlines()[-1] == "RESTORABLE"
    for verb in (("replay",), ("recover", "--out", tmp_path / "out")):
        assert "left out: copy.dat: a copy of SRUDB.dat, of the same time" in done(*verb, tmp_path / "in").stdout


@pytest.mark.samples
@pytest.mark.parametrize("name", ["SRU00003 - Copy.log", "SRU00003.log.bak", "SRU00077.log", "old/SRU00003.log"])
def test_a_log_that_is_left_out_is_named_by_every_verb_with_the_same_reason(
    real: Path, tmp_path: Path, name: str
) -> None:
    shutil.copytree(real, tmp_path / "in")
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    shutil.copy(real / "SRU00003.log", tmp_path / "in" / name)
    done("create", "-q", tmp_path / "a.tokar", tmp_path / "in")
    (start,) = done("check", "--json", tmp_path / "a.tokar").json()["archives"]
    reasons = {one["name"]: one["reason"] for one in start["verdict"]["left_out"]}
    planned = done("restore", "--dry-run", tmp_path / "a.tokar", "--into", tmp_path / "x").stdout
    assert f"left out: {reasons[name]}" in planned
    for at, place in enumerate((tmp_path / "in", tmp_path / "a.tokar")):
        for verb in (("replay",), ("recover", "--out", tmp_path / f"out{at}"), ("check", "--replay")):
            assert f"left out: {name}: {reasons[name]}" in done(*verb, place).stdout, verb
        assert done("replay", "--json", place).json()["databases"][0]["left_out"] == [f"{name}: {reasons[name]}"]


@pytest.fixture(scope="module")
def apart(real: Path) -> list[Path]:
    """The database in one archive, its logs in two others, the one in the middle last."""
    files = {path.name: path.read_bytes() for path in real.iterdir()}
    middle = {name: files.pop(name) for name in ("SRU00003.log", "SRU00004.log")}
    parts = {"db": {"SRUDB.dat": files.pop("SRUDB.dat")}, "logs": files, "middle": middle}
    found = []
    for name, its in parts.items():
        found.append(real.parent / f"{name}.tokar")
        tokar("create", "-q", found[-1], write(real.parent / name, its))
    return found


@pytest.mark.samples
@pytest.mark.parametrize("more", [(), ("--content",)])
def test_check_replay_takes_the_logs_of_all_archives(more: tuple[str, ...], apart: list[Path]) -> None:
    text = done("check", "--replay", *more, *apart).stdout
    assert "rehearsed   passed         logs played on 1 of 1 database, in memory" in text
    assert "SRUDB.dat: 1,118 changes on 61 pages applied without contradiction, 0 present" in text
    assert text.count("there is no database here to play logs on") == 2


@pytest.mark.samples
def test_a_log_that_no_archive_has_is_not_played_past(apart: list[Path]) -> None:
    result = tokar("check", "--replay", "--content", *apart[:2])
    assert result.exit_code == 9
    assert "351 changes on 35 pages" in result.stdout


@pytest.mark.samples
def test_an_archive_that_is_given_twice_counts_once(archive: Path, tmp_path: Path) -> None:
    again = shutil.copy(archive, tmp_path / "again.tokar")
    assert "1,118 changes on 61 pages" in done("recover", archive, again, "--out", tmp_path / "out").stdout
    assert "1,118 changes on 61 pages" in done("replay", archive, again).stdout


@pytest.mark.samples
def test_an_older_full_is_rehearsed_with_its_own_logs(tmp_path: Path) -> None:
    """The first log of the later one does not go on from the state of the current log with which the older one ends."""
    numbered = {"SRU.log": after().logs[-1], "SRU00003.log": after().logs[1], "SRU00004.log": after().logs[2]}
    older = {"SRUDB.dat": before().database, "SRU00001.log": before().logs[0], "SRU.log": before().logs[1]}
    for name, files in {"1": older, "2": {"SRUDB.dat": after().database, **numbered}}.items():
        write(tmp_path / name, {leaf: path.read_bytes() for leaf, path in files.items()})
        done("create", "-q", tmp_path / f"{name}.tokar", tmp_path / name)
    text = done("check", "--content", "--replay", tmp_path / "1.tokar", tmp_path / "2.tokar").stdout
    assert text.splitlines()[-1] == "RESTORABLE"
    assert "not rehearsed" not in text


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sets of two days of one server: what lies in folders, and archives of it."""
    folder = tmp_path_factory.mktemp("days")
    first = {"SRUDB.dat": before().database, "SRU00001.log": before().logs[0], "SRU.log": before().logs[1]}
    later = {"SRU.log": after().logs[-1], "SRU00003.log": after().logs[1], "SRU00004.log": after().logs[2]}
    one, two = ({name: path.read_bytes() for name, path in each.items()} for each in (first, later))
    own = after().database.read_bytes()
    spoilt = {**two, "SRUDB.dat": own[:40960] + bytes(16) + own[40976:]}
    sets = {"first": one, "second": {**two, "SRUDB.dat": own}, "spoilt": spoilt}
    for name, files in sets.items():
        write(folder / name, files)
        done("create", "-q", folder / f"{name}.tokar", folder / name)
    return {name: folder / f"{name}.tokar" for name in sets} | {f"{name} as it lies": folder / name for name in sets}


DAYS: list[tuple[list[str], list[str]]] = [
    (["first", "second"], ["first"]),
    (["second", "first"], ["first"]),
    (["first as it lies", "second"], ["first as it lies"]),
    (["first", "second as it lies"], ["first"]),
    (["spoilt", "second"], ["spoilt"]),
    (["second", "spoilt as it lies"], ["spoilt as it lies"]),
    (["first", "spoilt", "second"], ["first", "spoilt"]),
]


@pytest.mark.samples
@pytest.mark.parametrize(("named", "unused"), DAYS)
def test_of_several_fulls_the_one_is_recovered_that_a_restore_places(
    named: list[str], unused: list[str], days: dict[str, Path], tmp_path: Path
) -> None:
    alone = done("recover", "--out", tmp_path / "alone", days["second"]).stdout.replace("/alone/", "/out/")
    replayed = done("replay", days["second"]).stdout
    for verb, wanted in ((["recover", "--out", tmp_path / "out"], alone), (["replay"], replayed)):
        result = done(*verb, *(days[one] for one in named))
        said = " ".join(result.stderr.split())
        assert all(f"takes no part: {days[one]}" in said for one in unused)
        assert said.count("takes no part") == len(unused)
        assert result.stdout == wanted
    assert (tmp_path / "out" / "SRUDB.dat").read_bytes() == (tmp_path / "alone" / "SRUDB.dat").read_bytes()


@pytest.mark.samples
def test_recover_is_refused_where_a_restore_of_the_same_sets_is(days: dict[str, Path], tmp_path: Path) -> None:
    sets = [days["first"], days["spoilt"]]
    refused = tokar("restore", "--into", tmp_path / "out", *sets)
    cause = next(one for one in refused.stderr.splitlines() if one.startswith("tokar: error"))
    for verb in (["recover", "--out", tmp_path / "out"], ["replay"]):
        result = tokar(*verb, *sets)
        assert result.exit_code == 9
        assert cause in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.samples
def test_recover_meets_what_cannot_be_read_as_a_restore_does(days: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "sets"
    folder.mkdir()
    shutil.copy(days["second"], folder)
    cut = folder / "cut.tokar"
    cut.write_bytes(days["first"].read_bytes()[:5000])
    for named, chained in (([folder], ["--chain", folder]), ([days["second"], cut], [days["second"], cut])):
        refused = tokar("restore", "--into", tmp_path / "out", *chained)
        result = tokar("recover", "--out", tmp_path / "out", *named)
        assert result.exit_code == refused.exit_code == 5
        assert "cut.tokar" in result.stderr
        assert not (tmp_path / "out").exists()
    shutil.copy(days["first"], folder / "again.tokar")  # the same one, and whole
    assert "cut.tokar" in done("recover", "--out", tmp_path / "out", folder).stderr
