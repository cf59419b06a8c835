"""The servers that a person can name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar

from tokar.cli.sources import find_source, open_server
from tokar.errors import InputError, SourceError
from tokar.lab.config import load_config
from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.server.directory_source import DirectoryServer

if TYPE_CHECKING:
    from pathlib import Path


def test_lab_names_a_simulated_server_and_starts_it(tmp_path: Path) -> None:
    create_lab(tmp_path / "lab", "certadm")
    server = open_server(f"lab:{tmp_path / 'lab'}")
    assert isinstance(server, SimulatedServer)
    assert server.is_online() is True
    assert server.truncates


def test_dir_names_a_set_at_rest_that_is_never_truncated(tmp_path: Path) -> None:
    server = open_server(f"dir:{tmp_path}")
    assert isinstance(server, DirectoryServer)
    assert not server.truncates
    assert server.folder == tmp_path


def test_the_place_may_hold_colons(tmp_path: Path) -> None:
    folder = tmp_path / "a:b"
    create_lab(folder)
    assert open_server(f"lab:{folder}").name == "EXCHANGE1"


@pytest.mark.parametrize("source", ["", "lab", "LAB:x", "server1", "ftp:x", "C:\\data", ":x"])
def test_anything_else_is_refused_with_what_there_is(source: str) -> None:
    with pytest.raises(InputError, match="not a source") as caught:
        open_server(source)
    assert caught.value.hint is not None
    assert "lab:DIR" in caught.value.hint
    assert "dir:DIR" in caught.value.hint


@pytest.mark.parametrize("place", ["", "nowhere"])
def test_a_folder_that_is_no_lab_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no lab"):
        open_server(f"lab:{tmp_path / place}")


@pytest.mark.parametrize("place", ["", "nowhere", "file"])
def test_what_is_no_directory_is_refused(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="no such directory"):
        open_server(f"dir:{tmp_path / place}" if place else "dir:")


ADD_ON = """
from tokar.errors import InputError, SourceError
from tokar.lab.server import open_source


def open_toy(place, *, restoring=False):
    if not place:
        raise InputError("a toy needs a name", hint="toy:NAME")
    server = open_source(place, restoring=restoring)
    server.recovery_steps = ("wind it up",)
    return server
"""


@pytest.fixture
def add_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution that brings the schemes toy and gone, as processes of their own see it too."""
    place = tmp_path / "site"
    info = place / "toy-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tokar.sources]\ntoy = toy:open_toy\ngone = toy:away\n")
    (place / "toy.py").write_text(ADD_ON)
    monkeypatch.syspath_prepend(place)


@pytest.mark.usefixtures("add_on")
def test_any_server_is_backed_up_and_restored_to_by_its_scheme(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab", "edbbcli")
    lab.work(20)
    lab.stop()
    out = tmp_path / "full.tokar"
    done("backup", f"toy:{lab.folder}", out, "--type", "full")
    target = create_lab(tmp_path / "target", "edbbcli", empty=True)
    result = done("restore", out, "--server", f"toy:{target.folder}")
    assert "next: wind it up" in result.stdout
    target.recover()
    assert all(target.contents().values())


@pytest.mark.usefixtures("add_on")
def test_what_an_add_on_refuses_is_an_error_of_usage(tmp_path: Path) -> None:
    result = tokar("backup", "toy:", tmp_path / "full.tokar", "--type", "full")
    assert (result.exit_code, result.error, result.hint) == (2, "a toy needs a name", "toy:NAME")


@pytest.mark.usefixtures("add_on")
def test_an_add_on_that_is_broken_is_refused() -> None:
    with pytest.raises(InputError, match="gone: cannot be loaded"):
        open_server("gone:x")


@pytest.mark.usefixtures("add_on")
def test_the_hint_names_what_add_ons_bring() -> None:
    with pytest.raises(InputError) as caught:
        find_source("top:x")
    assert caught.value.hint is not None
    assert "toy:PLACE" in caught.value.hint


def test_to_look_at_a_source_opens_nothing(tmp_path: Path) -> None:
    lab = create_lab(tmp_path / "lab")
    before = sorted(tmp_path.rglob("*"))
    assert find_source(f"lab:{lab.folder}")[1] == str(lab.folder)
    assert find_source(f"dir:{tmp_path}")[1] == str(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert load_config(lab.folder).lives == 0


def bring(place: Path, name: str, points: str | bytes, code: str = "") -> None:
    """Install a distribution that has entry points, and a module of its name."""
    info = place / f"{name}-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (info / "entry_points.txt").write_bytes(points if isinstance(points, bytes) else points.encode())
    (place / f"{name}.py").write_text(code)
    sys.modules.pop(name, None)  # another test may have brought one of this name


def rows() -> dict[str, dict[str, object]]:
    return {one["scheme"] or one["from"]: one for one in done("sources", "--json").json()["sources"]}


GOOD = """
from tokar import SourceKind

KIND = SourceKind(place="NAME", title="a good one", needs="luck", open=print{more})
"""


def test_sources_lists_what_tokar_brings() -> None:
    out = done("sources").stdout
    assert "lab:DIR" in out
    assert "dir:DIR" in out
    assert {one["from"] for one in rows().values()} == {"tokar"}
    assert rows()["lab"]["usable"] is True


@pytest.mark.usefixtures("add_on")
def test_sources_names_what_add_ons_bring_and_what_is_broken() -> None:
    found = rows()
    assert (found["toy"]["usable"], found["toy"]["from"]) == (True, "toy 1")
    assert found["gone"]["usable"] is False
    assert "cannot be loaded" in str(found["gone"]["reason"])
    assert "gone: cannot be used here: " in done("sources").stdout


def test_an_add_on_says_what_its_source_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, "lucky", "[tokar.sources]\nlucky = lucky:KIND\n", GOOD.format(more=", hindrance=lambda: 'no luck'"))
    monkeypatch.syspath_prepend(tmp_path)
    one = rows()["lucky"]
    assert (one["place"], one["title"], one["needs"], one["reason"]) == ("NAME", "a good one", "luck", "no luck")
    with pytest.raises(InputError, match="cannot be used here: no luck") as caught:
        open_server("lucky:x")
    assert caught.value.hint == "it needs luck"


TRACING = """
from tokar.lab.server import open_source
from tokar.server.contract import SourceKind


def open_lab(place, *, restoring=False, trace=None, user=None, password=None, auth=None):
    print(user, password, auth, file=trace)
    return open_source(place)


KIND = SourceKind(open=open_lab, takes=frozenset({"user", "password-env", "auth", "trace"}))
"""


def test_a_source_in_a_process_of_its_own_takes_a_logon_and_a_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, "tracing", "[tokar.sources]\ntracing = tracing:KIND\n", TRACING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PASSWORD_THERE", "hush")
    create_lab(tmp_path / "lab", "certadm")
    logon = ("--user", "me", "--password-env", "PASSWORD_THERE", "--auth", "ntlm", "--trace", tmp_path / "a.trace")
    assert "service: runs" in done("probe", f"tracing:{tmp_path / 'lab'}", *logon).stdout
    assert (tmp_path / "a.trace").read_text() == "me hush ntlm\n"


@pytest.mark.parametrize(
    "code",
    ["raise RuntimeError('boo')", "raise SystemExit(3)", "KIND = 7", "import nothing_of_the_kind", "KIND = (", ""],
)
def test_a_broken_add_on_is_named_and_hides_no_other(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, "broken", "[tokar.sources]\nbroken = broken:KIND\n", code)
    bring(tmp_path, "fine", "[tokar.sources]\nfine = fine:KIND\n", GOOD.format(more=""))
    monkeypatch.syspath_prepend(tmp_path)
    found = rows()
    assert (found["broken"]["usable"], found["fine"]["usable"], found["lab"]["usable"]) == (False, True, True)
    result = tokar("backup", "broken:x", tmp_path / "full.tokar", "--type", "copy")
    assert result.exit_code == 2
    assert "broken: " in result.error


@pytest.mark.parametrize(
    "points", ["[tokar.sources]\nhalf\n", "[tokar.sources]\n= x\nz =\n", b"[tokar.sources]\n\xff=a:b\n"]
)
def test_entry_points_that_cannot_be_read_are_named(
    points: str | bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(tmp_path, "torn", points)
    bring(tmp_path, "fine", "[tokar.sources]\nfine = fine:KIND\n", GOOD.format(more=""))
    monkeypatch.syspath_prepend(tmp_path)
    found = rows()
    assert found["fine"]["usable"] is True
    assert [one for one in found.values() if one["from"] == "torn 1" and one["usable"] is False]
    assert open_server(f"dir:{tmp_path}").name == ""


def test_an_add_on_without_metadata_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, "bare", "[tokar.sources]\nbare = bare:KIND\n", GOOD.format(more=""))
    (tmp_path / "bare-1.dist-info" / "METADATA").unlink()
    monkeypatch.syspath_prepend(tmp_path)
    assert rows()["bare"]["usable"] is True


def test_a_scheme_of_two_add_ons_is_refused_and_both_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        bring(tmp_path, name, f"[tokar.sources]\nsame = {name}:KIND\n", GOOD.format(more=""))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"brought by (one 1 and two|two 1 and one) 1"):
        open_server("same:x")
    assert rows()["same"]["usable"] is False


def test_no_add_on_takes_the_place_of_a_source_of_tokar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bring(tmp_path, "thief", "[tokar.sources]\ndir = thief:KIND\n", GOOD.format(more=""))
    monkeypatch.syspath_prepend(tmp_path)
    assert isinstance(open_server(f"dir:{tmp_path}"), DirectoryServer)
    assert "dir: cannot be used here: tokar has this scheme itself" in done("sources").stdout


@pytest.mark.parametrize(("body", "said"), [("1 / 0", "ZeroDivisionError"), ("return 7", "opened no server")])
def test_an_add_on_that_fails_to_open_is_an_error_of_the_source(
    body: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring(
        tmp_path,
        "odd",
        "[tokar.sources]\nodd = odd:go\n",
        f'def go(place, *, restoring=False):\n    """An odd one."""\n    {body}\n',
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert rows()["odd"]["title"] == "An odd one."
    with pytest.raises(SourceError, match=said) as caught:
        open_server("odd:x")
    assert caught.value.hint == "report it: odd 1"


@pytest.mark.parametrize(
    "more", [", hindrance=lambda: 7", ", hindrance=7", ", hindrance=lambda: 1 / 0", ", hindrance=lambda: print('x')"]
)
def test_an_add_on_whose_facts_are_no_text_is_listed_all_the_same(
    more: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = GOOD.format(more=more).replace('"luck"', "8").replace('"a good one"', "None") + "print('hello')\n"
    bring(tmp_path, "odd", "[tokar.sources]\nodd = odd:KIND\n", code)
    monkeypatch.syspath_prepend(tmp_path)
    assert (rows()["odd"]["needs"], rows()["odd"]["title"]) == ("8", "None")
    assert "odd:NAME" in done("sources").stdout
