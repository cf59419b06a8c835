"""What the conformance tests share: the fixtures, and the readers of the project in the fixtures' words."""

from __future__ import annotations

from pathlib import Path

from fixtures import forge
from fixtures.expect import Expectation, names
from fixtures.mutations import join, split, spoil
from fixtures.readers import Outcome, from_the_front, from_the_tail
from fixtures.zstd_frames import rle_block, zstd_frame

__all__ = [
    "FIXTURES",
    "ROOT",
    "Expectation",
    "Outcome",
    "forge",
    "from_the_front",
    "from_the_tail",
    "join",
    "names",
    "reference_archive",
    "split",
    "spoil",
]

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


def reference_archive() -> forge.Forge:
    """A small archive with a record of every kind, a chunk of every codec, and every optional field in use."""
    archive = forge.Forge().head({"annotation": "all of it"}).proc().lower_case()
    archive.file(b"mixed.edb", token=0x44, list=1, announced_size=(2 << 16) + 6, modified=-1, flags=3)
    frame = zstd_frame(1 << 16, rle_block(b"z", 1 << 16))
    archive.chunk(b"z" * (1 << 16), codec=forge.ZSTD, stored=frame).chunk(bytes(1 << 16), codec=forge.ZEROS)
    archive.chunk(b"tokar\n", padding=bytes(3)).done()
    return archive.entry(b"").summ().page().root().lower_case(b"signature", kind=b"sign").finish()
