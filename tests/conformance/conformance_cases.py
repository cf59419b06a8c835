"""What the conformance tests share: the fixtures, and the readers of the project in the fixtures' words."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))  # fixtures/ stands beside tests/ and is not installed

from fixtures import forge  # noqa: E402 - after the path is known
from fixtures.expect import Expectation, names  # noqa: E402 - after the path is known
from fixtures.mutations import join, split, spoil  # noqa: E402 - after the path is known
from fixtures.readers import Outcome, from_the_front, from_the_tail  # noqa: E402 - after the path is known
from fixtures.zstd_frames import rle_block, zstd_frame  # noqa: E402 - after the path is known

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

FIXTURES = ROOT / "fixtures"


def reference_archive() -> forge.Forge:
    """A small archive with a record of every kind, a chunk of every codec, and every optional field in use."""
    archive = forge.Forge().head({"annotation": "all of it"}).proc().lower_case()
    archive.file(b"mixed.edb", token=0x44, list=1, announced_size=(2 << 16) + 6, modified=-1, flags=3)
    frame = zstd_frame(1 << 16, rle_block(b"z", 1 << 16))
    archive.chunk(b"z" * (1 << 16), codec=forge.ZSTD, stored=frame).chunk(bytes(1 << 16), codec=forge.ZEROS)
    archive.chunk(b"tokar\n", padding=bytes(3)).done()
    return archive.entry(b"").summ().page().root().lower_case(b"signature", kind=b"sign").finish()
