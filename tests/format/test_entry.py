from __future__ import annotations

import pytest

from tokar.format.entry import Entry, FileList


def entry(raw_name: bytes, encoding: int) -> Entry:
    return Entry(0, 0x21, FileList.BY_HAND, encoding, raw_name, 0, bytes(32), 0, 0, bytes(32))


@pytest.mark.parametrize(
    ("raw_name", "encoding", "name"),
    [(b"E.LOG", 65001, "E.LOG"), ("Ü.edb".encode("utf-16-le"), 1200, "Ü.edb"), (b"\x95\x5c.log", 932, "表.log")],
)
def test_a_name_is_shown_as_text(raw_name: bytes, encoding: int, name: str) -> None:
    assert entry(raw_name, encoding).name == name


@pytest.mark.parametrize(
    ("raw_name", "encoding"), [(b"\xff.LOG", 65001), (b"\x00\xd8", 1200), (b"E\r\n.LOG", 65001), (b"\x1b[2J", 0)]
)
def test_a_name_that_is_no_clean_text_is_shown_without_harm(raw_name: bytes, encoding: int) -> None:
    shown = entry(raw_name, encoding).name
    assert shown.isprintable()
    shown.encode("utf-8")


def test_the_lists_have_the_numbers_of_the_specification() -> None:
    assert [int(listed) for listed in FileList] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="4"):
        FileList(4)
