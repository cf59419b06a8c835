"""Whatever comes in, each verb ends with an exit code and a message; an exception would fail the test."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from command_line import tokar
from hypothesis import given, settings
from hypothesis import strategies as st
from small_sets import database, log

import tokar as library

if TYPE_CHECKING:
    from pathlib import Path

FEW = settings(deadline=None, max_examples=25)


RESTORED = {"db.edb": database(), "edb00001.log": log(1), "db.pat": b""}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good archive in it."""
    path = tmp_path_factory.mktemp("hostile")
    with library.create(path / "good.tokar", profile="ese") as writer:
        for token, name, content in (
            (0x44, "db.edb", database()),
            (0x21, "edb00001.log", log(1)),
            (0x25, "db.pat", b""),
        ):
            writer.add(token, name, io.BytesIO(content))
    return path


def looked_at(path: Path) -> list[int]:
    """Run every verb that reads an archive; return the exit codes."""
    into = path.parent / "out"
    results = [
        tokar("verify", "--content", path),
        tokar("verify", "-", stdin=path.read_bytes()),
        tokar("inspect", "--json", path),
        tokar("inspect", "--entries", path),
        tokar("inspect", "--records", path),
        tokar("restore", "--json", path, "--into", into),
        tokar("extract", path, "db.edb", "-o", path.parent / "extracted"),
    ]
    for result in results:
        assert (result.exit_code == 0) == ("tokar: error: " not in result.stderr)
    assert not into.exists() or results[-2].exit_code == 0
    assert not (path.parent / "extracted").exists() or results[-1].exit_code == 0
    return [result.exit_code for result in results]


@FEW
@given(data=st.data())
def test_a_changed_byte_is_found_by_whoever_reads_it(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray((folder / "good.tokar").read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("changed") / "a.tokar"
    path.write_bytes(content)
    codes = looked_at(path)
    assert set(codes) <= {0, 3, 4, 5, 6}
    assert codes[0] in {3, 4, 5}
    assert codes[1] in {3, 4, 5}
    # A restore reads one HEAD, and FILE from the index: what it has not read may be damaged, what it writes is right.
    out = path.parent / "out"
    assert codes[5] != 0 or {one.name: one.read_bytes() for one in out.iterdir()} == RESTORED


@FEW
@given(data=st.data())
def test_a_cut_archive_is_never_read_as_a_whole_one(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = (folder / "good.tokar").read_bytes()
    path = tmp_path_factory.mktemp("cut") / "a.tokar"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert set(looked_at(path)) <= {3, 5}


@FEW
@given(content=st.binary(max_size=300))
def test_bytes_of_any_kind_are_no_archive(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("bytes") / "a.tokar"
    path.write_bytes(content)
    assert set(looked_at(path)) <= {3, 5}


@FEW
@given(content=st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_a_locations_file_of_any_kind_ends_in_a_plan_or_a_refusal(folder: Path, content: bytes) -> None:
    (folder / "locations").write_bytes(content)
    result = tokar("restore", folder / "good.tokar", "--locations", folder / "locations", "--dry-run")
    assert result.exit_code in {0, 2, 6}


ARGUMENT = st.text(max_size=12).filter(lambda text: "\0" not in text) | st.sampled_from(
    [
        "log=",
        "=x",
        "database=/",
        "dir:",
        "file:=",
        "db.edb=.",
        "\\\\=x",
        "C:\\=",
        "0x82=\\\\S\\x",
        "//=..",
        "#0",
        "..",
        "\udcff=\udcfe",
    ]
)


@FEW
@given(to=ARGUMENT, map_=ARGUMENT, only=ARGUMENT)
def test_places_of_any_kind_end_in_a_plan_or_a_refusal(folder: Path, to: str, map_: str, only: str) -> None:
    for options in (["--to", to], ["--map", map_], ["--only", only], ["--to", to, "--map", map_, "--only", only]):
        result = tokar("restore", folder / "good.tokar", "--dry-run", "--into", folder / "nowhere", *options)
        assert result.exit_code in {0, 1, 2, 6}
        assert "Traceback" not in result.stderr
    assert not (folder / "nowhere").exists()


@FEW
@given(name=ARGUMENT, token=ARGUMENT)
def test_names_of_any_kind_are_found_or_refused(folder: Path, name: str, token: str) -> None:
    for options in ([], ["--token", token]):
        result = tokar("extract", folder / "good.tokar", "-o", folder / "x", "--force", *options, "--", name)
        assert result.exit_code in {0, 2}


@FEW
@given(words=st.lists(ARGUMENT | st.sampled_from(["create", "inspect", "--json", "-", "--all", "--help"]), max_size=4))
def test_words_of_any_kind_end_in_usage_or_an_error(tmp_path_factory: pytest.TempPathFactory, words: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("words"))
        assert tokar(*words).exit_code in {0, 1, 2, 3, 6}
