"""What no verdict on a set says, for it is about databases and logs, is told beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from recovery_sets import database, logs, write

from tokar.sets.by_other_means import beside

if TYPE_CHECKING:
    from pathlib import Path

DIRECTORY = bytes(database(raw_page_size=8192))
WHY = ": an installation from media needs the registry as well as the database"
OWN = (
    "save by other means, tokar does not judge it: SYSVOL, the registry; and restore no backup that is older than the "
    "tombstone lifetime"
)
AFTER = "after the restore take a full, and never mix it with sets from before"
SYSTEM, SECURITY = "registry/SYSTEM", "registry/SECURITY"
MEDIA = {"Active Directory/ntds.dit": DIRECTORY, SYSTEM: b"regf" * 8192, SECURITY: b"regf" * 8192}


def said(path: Path) -> list[str]:
    """What stands beside the verdict, the same by every verb, and as JSON."""
    for verb in ("check", "chain"):
        lines = done(verb, path).stdout.splitlines()
        found = [line.removeprefix("beside: ") for line in lines if line.startswith("beside: ")]
        assert done(verb, "--json", path).json()["beside"] == found
    return found


def archived(folder: Path, files: dict[str, bytes], *options: str) -> Path:
    for name in files:
        (folder / "in" / name).parent.mkdir(parents=True, exist_ok=True)
    write(folder / "in", files)
    result = done("create", *options, folder / "a.tokar", folder / "in")
    lines = [line.removeprefix("tokar: beside: ") for line in result.stderr.splitlines() if ": beside: " in line]
    assert lines == said(folder / "a.tokar")
    assert done("create", "--json", "--force", *options, folder / "a.tokar", folder / "in").json()["beside"] == lines
    return folder / "a.tokar"


@pytest.mark.parametrize("profile", ["certadm", "ntdsbcli"])
def test_what_is_beside_databases_is_to_be_saved_by_other_means(profile: str) -> None:
    own, _ = beside((profile, None))
    assert own.startswith("save by other means, tokar does not judge it: ")


@pytest.mark.parametrize("profile", ["edbbcli", "ese", "unknown"])
def test_nothing_is_beside_the_databases_of_other_profiles(profile: str) -> None:
    assert beside((profile, None)) == ()


def test_nothing_is_beside_sets_of_several_services() -> None:
    assert beside(("certadm", None), ("ntdsbcli", None)) == ()


def test_hives_that_were_taken_with_a_directory_are_told(tmp_path: Path) -> None:
    path = archived(tmp_path, MEDIA, "--all")
    assert said(path) == [OWN, f"{SECURITY}, {SYSTEM}: in the set, and not judged{WHY}", AFTER]
    lines = done("restore", "--tree", tmp_path / "out", path).stdout.splitlines()
    assert [line.removeprefix("beside: ") for line in lines if line.startswith("beside: ")] == said(path)


def test_hives_that_are_left_out_are_told_with_the_way_to_take_them(tmp_path: Path) -> None:
    path = archived(tmp_path, MEDIA)
    told = f"{SECURITY}, {SYSTEM}: left out, tokar create --all takes that too{WHY}"
    assert said(path) == said(tmp_path / "in") == [OWN, told, AFTER]


@pytest.mark.parametrize(
    "verb", [("restore", "--into", "out"), ("restore", "--dry-run", "--into", "out"), ("report", "--output", "page")]
)
def test_what_restore_and_report_tell_beside_the_verdict_is_in_their_json(
    verb: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = archived(tmp_path, MEDIA)
    monkeypatch.chdir(tmp_path)
    assert done(verb[0], "--json", *verb[1:], path).json()["beside"] == said(path)


def test_a_refused_restore_has_in_its_json_what_it_tells_beside_the_verdict(tmp_path: Path) -> None:
    path = archived(tmp_path, MEDIA)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "ntds.dit").write_bytes(b"mine")
    refused = tokar("restore", "--into", tmp_path / "out", path)
    lines = [line for line in refused.stdout.splitlines() if line.startswith("beside: ")]
    found = tokar("restore", "--json", "--into", tmp_path / "out", path).json()["beside"]
    assert [f"beside: {one}" for one in found] == lines
    assert len(lines) == 3


def test_a_backup_has_in_its_json_what_it_tells_beside_the_verdict(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "lab", "--profile", "ntdsbcli")
    found = done("backup", "--json", "--type", "full", f"lab:{tmp_path / 'lab'}", tmp_path / "a.tokar").json()
    assert found["beside"] == [OWN, AFTER]


@pytest.mark.parametrize("gone", [(SYSTEM,), (SECURITY,), (SYSTEM, SECURITY)])
def test_hives_that_installation_media_lack_are_missing(gone: tuple[str, ...], tmp_path: Path) -> None:
    path = archived(tmp_path, {name: data for name, data in MEDIA.items() if name not in gone}, "--all")
    told = f"{', '.join(gone)}: missing, as installation media (ntdsutil ifm) have it{WHY}"
    assert said(path)[-2:] == [told, AFTER]


@pytest.mark.parametrize("extra", [{}, logs(5, 7)], ids=["alone", "logs"])
def test_a_directory_that_is_no_installation_media_misses_no_hives(extra: dict[str, bytes], tmp_path: Path) -> None:
    assert said(archived(tmp_path, {"NTDS.DIT": DIRECTORY, **extra})) == [OWN, AFTER]


@pytest.mark.parametrize(
    ("name", "data"), [("main.edb", DIRECTORY), ("adamntds.dit", DIRECTORY), ("ntds.dit", bytes(database()))]
)
def test_what_is_no_directory_has_nothing_beside_it(name: str, data: bytes, tmp_path: Path) -> None:
    assert said(archived(tmp_path, {name: data, SYSTEM: b"regf" * 8192}, "--all")) == []
