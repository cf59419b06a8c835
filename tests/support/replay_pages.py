"""Single pages in database files: read, put in, aged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.ese.page import seal_page

if TYPE_CHECKING:
    from pathlib import Path


def put_page(path: Path, number: int, data: bytes) -> None:
    whole = bytearray(path.read_bytes())
    whole[(number + 1) * 4096 : (number + 2) * 4096] = data
    path.write_bytes(whole)


def page_in(path: Path, number: int) -> bytes:
    return path.read_bytes()[(number + 1) * 4096 :][:4096]


def older(page: bytes, number: int) -> bytes:
    """The page as if its last change had been lost: what it holds does not matter to a chain."""
    early = (int.from_bytes(page[8:16], "little") - 1).to_bytes(8, "little")
    return seal_page(page[:8] + early + page[16:], number)
