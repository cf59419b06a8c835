"""Round trips of every real set: into an archive, looked at from all sides, and back to where each token calls for."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from command_line import command, done, pipeline, tokar
from small_sets import contents
from sweeps import sampled

pytestmark = pytest.mark.samples

SETS = {
    # name of the folder -> what is taken as a database, as a log, as a patch file
    "dhcp-streaming-backup-redacted": (1, 9, 1),
    "dissect": (4, 0, 0),
    "dsinternals": (1, 0, 0),
    "ntds-temp": (0, 0, 0),
    "pfsheet-raven": (1, 0, 0),
    "ual-hyperv": (2, 0, 0),
    "win10-srum-belkasoft-dirty": (1, 5, 0),
    "win10-srum-rathbun": (1, 7, 0),
    "xp64-catroot2": (1, 3, 0),
}
WITH_A_SET = [name for name, counts in SETS.items() if any(counts)]
GENERATIONS = {
    "dhcp-streaming-backup-redacted": (0x1E2E4, 0x1E2EC),
    "win10-srum-belkasoft-dirty": (0x4E, 0x52),
    "win10-srum-rathbun": (3, 9),
    "xp64-catroot2": (0x81, 0x83),
}
NOT_RECOVERABLE = {"ual-hyperv", "dissect", "dhcp-streaming-backup-redacted"}
"""Sets that lack a log, or have damaged pages, or only headers."""


def options(name: str) -> list[str]:
    """What a restore needs to be told of a set."""
    return ["--accept-unrecoverable"] if name in NOT_RECOVERABLE else []


def by_role(folder: Path, listed: list[dict[str, Any]], role: str) -> dict[str, bytes]:
    """The real files that an archive lists with a role, by leaf."""
    return {one["leaf"]: (folder / one["name"]).read_bytes() for one in listed if one["role"] == role}


def test_every_set_is_among_them(samples: Path) -> None:
    assert {path.name for path in samples.iterdir() if path.is_dir()} == set(SETS)


@pytest.mark.parametrize(
    ("name", "compress"),
    sampled(
        product(WITH_A_SET, ["none", "zstd", "zstd:3"]),
        lambda name, compress: compress == "zstd" or name == "win10-srum-rathbun",
    ),
)
def test_a_set_goes_back_to_the_directories_that_its_tokens_call_for(
    samples: Path, tmp_path: Path, name: str, compress: str
) -> None:
    archive = tmp_path / "a.tokar"
    done("create", "-q", archive, samples / name, "--compress", compress)
    done("verify", archive)
    done("verify", "--content", archive)
    listed = done("inspect", "--json", archive).json()["entries"]
    places = ["--to", f"database={tmp_path}/db/", "--to", f"log-dir={tmp_path}/logs"]
    done("restore", archive, *places, *options(name))
    assert contents(tmp_path / "db") == by_role(samples / name, listed, "database")
    logs = by_role(samples / name, listed, "log")
    assert (contents(tmp_path / "logs") if logs else {}) == logs


@pytest.mark.parametrize("name", WITH_A_SET)
def test_a_set_is_told_from_all_sides(samples: Path, tmp_path: Path, name: str) -> None:
    archive, folder = tmp_path / "a.tokar", samples / name
    done("create", "-q", archive, folder)
    answer = done("inspect", "--json", archive).json()
    entries = answer["entries"]
    tokens = [entry["token"] for entry in entries]
    assert (tokens.count(0x44), tokens.count(0x21), tokens.count(0x25)) == SETS[name]
    for entry in entries:
        content = (folder / entry["name"]).read_bytes()
        assert (entry["size"], entry["digest"]) == (len(content), blake3(content).hexdigest())
    low_high = answer["archive"]["generations"]
    assert (low_high and (low_high["low"], low_high["high"])) == GENERATIONS.get(name)
    left_out = {one["name"] for one in answer["archive"]["left_out"]}
    assert left_out | {entry["name"] for entry in entries} == set(contents(folder))
    text = done("inspect", "--entries", archive).stdout
    assert all(entry["digest"][:16] in text for entry in entries)
    assert done("inspect", "--records", archive).stdout.count("  FILE  ") == len(entries)
    sums = [line.split("  ", 1) for line in done("inspect", "--b3sums", archive).stdout.splitlines()]
    assert sums == [[entry["digest"], entry["leaf"]] for entry in entries]


@pytest.mark.parametrize("name", SETS)
def test_a_whole_folder_comes_back(samples: Path, tmp_path: Path, name: str) -> None:
    archive, folder = tmp_path / "a.tokar", samples / name
    done("create", "-q", "--all", archive, folder)
    done("restore", "-q", archive, "--into", tmp_path / "out", "--all-files", *options(name))
    assert contents(tmp_path / "out") == {
        path.rpartition("/")[2]: content for path, content in contents(folder).items()
    }


@pytest.mark.parametrize("name", sampled(WITH_A_SET, lambda name: name.startswith(("win10-srum-rathbun", "xp64"))))
def test_a_set_goes_through_pipes_both_ways(samples: Path, tmp_path: Path, name: str) -> None:
    compress = "none" if WITH_A_SET.index(name) % 2 else "zstd:3"
    codes, _, messages = pipeline(
        command("create", "-q", "-", samples / name, "--compress", compress),
        command("restore", "-q", "-", "--into", tmp_path / "out", *options(name)),
    )
    assert codes == [0, 0], messages
    assert (
        contents(tmp_path / "out").items()
        <= {path.rpartition("/")[2]: content for path, content in contents(samples / name).items()}.items()
    )
    assert len(contents(tmp_path / "out")) == sum(SETS[name])


def test_a_folder_without_a_set_is_refused(samples: Path, tmp_path: Path) -> None:
    result = tokar("create", tmp_path / "a.tokar", samples / "ntds-temp")
    assert result.exit_code == 2
    assert result.error == "there is nothing to archive: no database, log or patch file was recognised"


def test_a_set_that_lacks_a_log_is_refused_unless_that_is_accepted(samples: Path, tmp_path: Path) -> None:
    done("create", "-q", tmp_path / "a.tokar", samples / "ual-hyperv")
    result = tokar("restore", tmp_path / "a.tokar", "--into", tmp_path / "out")
    assert result.exit_code == 6
    assert "log 0x7C is missing" in result.error
    assert not (tmp_path / "out").exists()


def test_two_sets_in_one_archive_are_two_streams_in_two_folders(samples: Path, tmp_path: Path) -> None:
    """Each folder keeps its own stream; their names would meet in one directory, and the plan says so."""
    done("create", "-q", tmp_path / "a.tokar", samples)
    result = tokar("restore", tmp_path / "a.tokar", "--into", tmp_path / "out", "--accept-unrecoverable")
    assert result.exit_code == 6
    assert "would be one file" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("at", [0.1, 0.5, 0.8])  # of its size: what files need, and not the facts behind it
def test_a_damaged_real_set_is_found_and_not_restored(samples: Path, tmp_path: Path, at: float) -> None:
    archive = tmp_path / "a.tokar"
    done("create", "-q", archive, samples / "win10-srum-rathbun")
    data = bytearray(archive.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    archive.write_bytes(data)
    assert tokar("verify", archive).exit_code == 4
    assert tokar("restore", archive, "--into", tmp_path / "out").exit_code == 4
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9999])
def test_a_cut_real_set_is_never_sealed(samples: Path, tmp_path: Path, keep: float) -> None:
    archive = tmp_path / "a.tokar"
    done("create", "-q", archive, samples / "xp64-catroot2")
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * keep)])
    for verb in ("verify", "inspect"):
        assert tokar(verb, archive).exit_code == 5
    assert tokar("restore", archive, "--into", tmp_path / "out").exit_code == 5
    assert Path(tmp_path / "out").exists() is False
