"""Databases of sealed pages, made as fast as they are checked: `seal_page` would take a minute for each gigabyte."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tokar.ese.blocksums import BlockSums
from tokar.ese.checksum import HEADER_SEED
from tokar.ese.database import DatabaseHeader
from tokar.ese.page import LARGE_PAGE_SIZE, LEAF_PAGE, NEW_FORMAT, block_size_of, page_is_sealed
from tokar.ese.values import Signature

if TYPE_CHECKING:
    from pathlib import Path

    Words = npt.NDArray[np.uint64]

_BATCH = 1 << 20


def make_database(path: Path, page_size: int, mebibytes: int, *, ecc: bool = True) -> DatabaseHeader:
    """Write a database of leaves that do not compress, half of each zeros as in real ones; return its header."""
    size = mebibytes << 20
    header = DatabaseHeader(
        raw_page_size=page_size,
        revision=20 if ecc else 9,
        signature=Signature(random=1),
        log_signature=Signature(random=2),
    )
    if path.exists():
        return header
    path.parent.mkdir(exist_ok=True)
    count, block_size = _BATCH // page_size, block_size_of(page_size)
    sums, rng = BlockSums(block_size, _BATCH // block_size), np.random.default_rng(page_size)
    flags = np.uint64((LEAF_PAGE | (NEW_FORMAT if ecc else 0)) << 32)
    with path.open("wb") as file:
        file.write(header.build() * 2)
        for first in range(1, size // page_size - 1, count):
            pages = rng.integers(0, 1 << 64, size=(count, page_size // 8), dtype=np.uint64)
            pages[:, page_size // 16 :] = 0
            pages[:, 0] = pages[:, 2] = 0  # no neighbours
            pages[:, 4] = flags
            _seal(pages, np.arange(first, first + count, dtype=np.uint64), sums, ecc=ecc)
            assert page_is_sealed(pages[0].tobytes(), first)
            file.write(pages[: size // page_size - 1 - first].tobytes())
    return header


def make_databases(folder: Path, mebibytes: int) -> None:
    """Write three databases, with pages of 4, 8 and 32 KiB."""
    for page_size in (4096, 8192, 32768):
        make_database(folder / f"{page_size}.edb", page_size, mebibytes // 3)


def _seal(pages: Words, numbers: Words, sums: BlockSums, *, ecc: bool) -> None:
    """Write the checksums; of large pages the last three blocks first, since the first holds theirs."""
    if not ecc:
        pages[:, 0] = numbers << np.uint64(32)
        totals = sums.fold(pages)
        pages[:, 0] |= (totals ^ totals >> np.uint64(32)) & np.uint64(0xFFFFFFFF) ^ np.uint64(HEADER_SEED)
    elif pages.shape[1] * 8 < LARGE_PAGE_SIZE:
        pages[:, 0] = sums.sums(pages)[1] ^ numbers
    else:
        blocks: npt.NDArray[Any] = pages.reshape(len(pages) * 4, -1)
        pages[:, 5:10] = 0
        pages[:, 8] = numbers
        pages[:, 5:8] = (sums.sums(blocks)[1].reshape(-1, 4) ^ numbers[:, None])[:, 1:]
        pages[:, 0] = sums.sums(blocks)[1].reshape(-1, 4)[:, 0] ^ numbers
