from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

import tokar
from tokar.check import describe
from tokar.errors import BadMagicError, FormatError, UnsealedError
from tokar.format.metadata import location_list_json
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.format.archive import Archive

RAW = location_list_json("w", "D\\\\S\\db.edb\0\x82\\\\S\\l\0\0".encode("utf-16-le"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A small archive with names of every kind."""
    path = tmp_path_factory.mktemp("describe") / "a"
    with tokar.create(
        path, profile="certadm", kind="full", server="CA1", annotation="weekly", location_list=RAW
    ) as writer:
        writer.add(0x44, "\\\\CA1\\C$\\L\\CA.edb".encode("utf-16-le"), io.BytesIO(b"db" * 5000), encoding=1200)
        writer.add(0x21, b"\\\\S\\\x83\x5c.log", io.BytesIO(b"log"), encoding=932)
        writer.add(0x99, b"\xff\xfe", io.BytesIO(b""), encoding=0)
        writer.add(0x0F, "a<b>.txt", io.BytesIO(b"x"))
    return path.read_bytes()


@pytest.fixture
def archive(data: bytes) -> Archive:
    return tokar.open(BytesSource(data))


def entry_rows(archive: Archive) -> list[dict[str, Any]]:
    return [describe.entry_json(one, "certadm", end - one.file_position) for one, end in archive.entries_with_ends()]


def test_an_archive_has_the_keys_that_are_promised(archive: Archive) -> None:
    facts = describe.archive_json("a.tokar", archive)
    promised = ("path", "size", "id", "root", "state", "format", "profile", "kind", "created", "server", "annotation")
    assert set(promised) <= set(facts)
    assert [facts[key] for key in ("path", "state", "format", "profile", "kind", "server", "annotation")] == [
        "a.tokar",
        "sealed",
        1,
        "certadm",
        "full",
        "CA1",
        "weekly",
    ]
    assert (facts["size"], facts["id"], facts["root"]) == (archive.size, archive.id.hex(), archive.root.hex())


def test_an_entry_has_the_keys_that_are_promised_and_no_others(archive: Archive) -> None:
    first = entry_rows(archive)[0]
    assert list(first) == ["number", "token", "token_name", "role", "name", "leaf", "size", "stored_size", "digest"]
    assert (first["token"], first["token_name"], first["role"]) == (0x44, "database", "database")
    assert (first["name"], first["leaf"]) == ("\\\\CA1\\C$\\L\\CA.edb", "CA.edb")


def test_the_stored_sizes_of_all_entries_tile_the_archive(archive: Archive) -> None:
    ends = [end for _, end in archive.entries_with_ends()]
    assert sum(row["stored_size"] for row in entry_rows(archive)) == ends[-1] - archive.entry(0).file_position


def test_a_name_that_is_no_text_comes_as_bytes_too(archive: Archive) -> None:
    row = entry_rows(archive)[2]
    assert (row["name"], row["leaf"]) == ("<FF><FE>", None)
    assert (base64.b64decode(row["name_base64"]), row["encoding"]) == (b"\xff\xfe", 0)


def test_a_name_that_is_shown_escaped_comes_as_bytes_too(archive: Archive) -> None:
    row = entry_rows(archive)[3]
    assert row["name"] == "a<U+003C>b>.txt"
    assert base64.b64decode(row["name_base64"]) == b"a<b>.txt"


def test_a_name_in_a_code_page_is_cut_after_decoding(archive: Archive) -> None:
    row = entry_rows(archive)[1]
    assert (row["name"], row["leaf"]) == ("\\\\S\\ソ.log", "ソ.log")
    assert "name_base64" not in row


def test_a_token_without_a_name_is_its_number(archive: Archive) -> None:
    row = entry_rows(archive)[2]
    assert (row["token_name"], row["role"]) == ("0x99", "directory")


def test_tokens_are_counted(archive: Archive) -> None:
    assert describe.token_counts(archive) == {0x44: 1, 0x21: 1, 0x99: 1, 0x0F: 1}


def test_the_locations_of_a_list_are_told(archive: Archive) -> None:
    assert describe.locations_json(archive.head) == [
        {"token": 0x44, "name": "database", "path": "\\\\S\\db.edb", "kind": "unsettled"},
        {"token": 0x82, "name": "log-dir", "path": "\\\\S\\l", "kind": "directory"},
    ]


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ({}, []),
        ({"location_list": location_list_json("w", b"D\0x")}, []),
        (
            {"locations": [{"token": 0x83, "path": "/c", "kind": "directory"}]},
            [{"token": 0x83, "name": "checkpoint-dir", "path": "/c", "kind": "directory"}],
        ),
    ],
    ids=["none", "unreadable", "written down"],
)
def test_other_locations_are_told_as_far_as_they_can_be(
    tmp_path: Path, head: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    with tokar.create(tmp_path / "a", profile="ese", **head):
        pass
    with tokar.open(tmp_path / "a") as opened:
        assert describe.locations_json(opened.head) == expected


def test_the_walk_over_the_heads_meets_every_record(data: bytes, archive: Archive) -> None:
    heads = list(describe.walk_heads(BytesSource(data)))
    assert [head.kind.decode() for head in heads] == [
        *("HEAD", "FILE", "DATA", "DONE", "FILE", "DATA", "DONE", "FILE", "DONE", "FILE", "DATA", "DONE"),
        *("SUMM", "HEAD", "INDX", "ROOT", "TAIL"),
    ]
    assert heads[-1].end == len(data) == archive.size
    assert describe.record_json(heads[0]) == {
        "position": 32,
        "kind": "HEAD",
        "length": heads[0].length,
        "check": heads[0].check.hex(),
    }


@examples(80)
@given(data_=st.data())
def test_the_walk_never_takes_a_cut_archive_for_a_whole_one(data: bytes, data_: st.DataObject) -> None:
    size = data_.draw(st.integers(32, len(data) - 1))
    with pytest.raises(UnsealedError) as caught:
        list(describe.walk_heads(BytesSource(data[:size])))
    assert caught.value.rule == "STATE-1"


@examples(80)
@given(data_=st.data())
def test_the_walk_over_damaged_bytes_ends_in_an_error_or_sees_whole_heads(data: bytes, data_: st.DataObject) -> None:
    changed = bytearray(data)
    changed[data_.draw(st.integers(0, len(data) - 1))] ^= data_.draw(st.integers(1, 255))
    try:
        heads = list(describe.walk_heads(BytesSource(changed)))
    except FormatError:
        return
    assert heads[-1].kind == b"TAIL"


def test_what_follows_after_the_end_is_an_error(data: bytes) -> None:
    with pytest.raises(FormatError, match="something follows after TAIL") as caught:
        list(describe.walk_heads(BytesSource(data + b"\0")))
    assert caught.value.offset == len(data)


def test_the_walk_over_something_else_is_refused() -> None:
    with pytest.raises(BadMagicError):
        list(describe.walk_heads(BytesSource(b"PK\3\4" * 100)))


def test_the_front_of_a_cut_archive_is_told(data: bytes, archive: Archive) -> None:
    cut = archive.entry(2).file_position + 10
    partial = describe.Partial(BytesSource(data[:cut]))
    assert [(one.name, stored) for one, stored in partial.entries] == [
        (row["name"], row["stored_size"]) for row in entry_rows(archive)[:2]
    ]
    facts = describe.partial_json("a", "unsealed", partial)
    assert facts["archive"]["id"] == archive.id.hex()
    assert (facts["archive"]["root"], facts["archive"]["state"], facts["archive"]["size"]) == (None, "unsealed", cut)
    assert facts["entries"] == entry_rows(archive)[:2]
    assert facts["locations"] == describe.locations_json(archive.head)


@pytest.mark.parametrize("size", [0, 10, 32, 60])
def test_where_not_even_the_head_is_there_the_keys_are(data: bytes, size: int) -> None:
    facts = describe.partial_json("a", "unsealed", describe.Partial(BytesSource(data[:size])))
    sealed = describe.archive_json("a", tokar.open(BytesSource(data)))
    assert set(facts["archive"]) <= set(sealed)
    assert facts["archive"]["profile"] is None
    assert (facts["archive"]["id"] is None) == (size < 32)
    assert facts["entries"] == facts["locations"] == []
