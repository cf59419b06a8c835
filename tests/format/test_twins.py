"""An archive that is there more than once: each entry comes from a file in which it is whole."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pytest
from encrypted import make_archive, make_identity, ring

import tokar
from tokar.errors import FormatError
from tokar.format.index import find_entries
from tokar.format.twins import TwinArchive, damage_met

CHUNK = 1 << 20
CONTENT = {"small": b"a" * 100, "large": random.Random(1).randbytes(3 * CHUNK + 5), "zeros": bytes(2 * CHUNK)}


def made(path: Path) -> Path:
    with tokar.create(path, profile="ese", compress="none") as writer:
        for name, data in CONTENT.items():
            writer.add(0x0F, name, io.BytesIO(data))
    return path


def copy(path: Path, to: str, *damage: tuple[str, float], length: int | None = None) -> Path:
    """A copy in which files are damaged, each at a part of its records."""
    data = bytearray(path.read_bytes()[:length])
    with tokar.open(path) as archive:
        for name, part in damage:
            (one,) = find_entries(archive.entries, [name])
            data[int(one.file_position + part * (one.done_position - one.file_position))] ^= 1
    target = path.parent / to
    target.write_bytes(data)
    return target


def read(archive: TwinArchive, name: str) -> bytes:
    (entry,) = find_entries(archive.entries, [name])
    return b"".join(bytes(one.size) if one.data is None else bytes(one.data) for one in archive.chunks(entry))


@pytest.mark.parametrize("part", [0.5, 0.7, 0.95])
@pytest.mark.parametrize("name", ["small", "large"])
def test_what_is_damaged_in_one_file_comes_from_another_from_where_it_is_damaged(
    name: str, part: float, tmp_path: Path
) -> None:
    whole = made(tmp_path / "whole.tokar")
    first = copy(whole, "first.tokar", (name, part))
    with TwinArchive(first, [whole]) as archive:
        assert {one: read(archive, one) for one in CONTENT} == CONTENT
        (met,) = damage_met([archive])
        assert met.path == first


def test_of_two_damaged_copies_each_is_read_where_it_is_whole(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.tokar")
    first = copy(whole, "first.tokar", ("large", 0.1))
    other = copy(whole, "other.tokar", ("large", 0.9), ("small", 0.7))
    with TwinArchive(first, [other, whole]) as archive:
        assert {one: read(archive, one) for one in CONTENT} == CONTENT
    with TwinArchive(first, [other]) as archive:
        assert read(archive, "small") == CONTENT["small"]
        with pytest.raises(FormatError) as caught:
            read(archive, "large")
        assert caught.value.path == first


def test_nothing_is_met_where_the_archive_is_whole(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.tokar")
    with TwinArchive(whole, [tmp_path / "is-gone.tokar"]) as archive:
        assert {one: read(archive, one) for one in CONTENT} == CONTENT
        assert damage_met([archive]) == []


def test_no_other_archive_stands_for_one(tmp_path: Path) -> None:
    first = copy(made(tmp_path / "whole.tokar"), "first.tokar", ("large", 0.5))
    others = [made(tmp_path / "other.tokar"), tmp_path / "is-gone.tokar", copy(first, "cut.tokar", length=5000)]
    with TwinArchive(first, others) as archive, pytest.raises(FormatError):
        read(archive, "large")


def test_a_forked_copy_of_the_process_leaves_it_to_the_first_one(tmp_path: Path) -> None:
    whole = made(tmp_path / "whole.tokar")
    with TwinArchive(copy(whole, "first.tokar", ("small", 0.7)), [whole]) as archive:
        archive._process = -1
        with pytest.raises(FormatError):
            read(archive, "small")


def test_encrypted_content_comes_from_a_copy_with_the_same_key(tmp_path: Path) -> None:
    identity = make_identity(tmp_path)
    whole = make_archive(tmp_path / "whole.tokar", CONTENT, identity, compress="none")
    with TwinArchive(copy(whole, "first.tokar", ("large", 0.5)), [whole]) as archive:
        archive.unlock(ring(identity))
        assert read(archive, "large") == CONTENT["large"]
        assert len(damage_met([archive])) == 1
