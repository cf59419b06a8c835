"""What the conformance tests share: the fixtures, and the readers of the project in the fixtures' words."""

from __future__ import annotations

from pathlib import Path

from fixtures import forge
from fixtures.cases_encryption import IDENTITY, KEY
from fixtures.expect import Expectation, names
from fixtures.mutations import join, split, spoil
from fixtures.readers import Outcome, from_the_front, from_the_tail
from fixtures.zstd_frames import rle_block, zstd_frame

__all__ = [
    "FIXTURES",
    "IDENTITY",
    "KEY",
    "NEEDS_CONTENT",
    "ROOT",
    "Expectation",
    "Outcome",
    "case_of",
    "forge",
    "from_the_front",
    "from_the_tail",
    "join",
    "names",
    "plain_names",
    "reference_archive",
    "split",
    "spoil",
]

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"


def plain_names(prefix: str) -> list[str]:
    """The names of fixtures that begin so and are not encrypted."""
    return [name for name in names(prefix) if not Expectation.load(name).encryption]


def case_of(name: str) -> Expectation:
    """What a fixture demands of the readers of the project, which have the feature encryption, and the key."""
    return Expectation.load(name).with_key()


# What only shows when content is decoded (spec/format.md section 9).
NEEDS_CONTENT = {
    "data-6-bomb",
    "data-6-damaged-block",
    "data-6-empty-frame",
    "data-6-left-over-in-bit-stream",
    "data-6-left-over-in-block",
    "data-6-one-byte-less",
    "data-6-one-byte-more",
    "enc-3-ciphertext",
    "enc-3-chunk-twice",
    "enc-3-forged-zeros",
    "enc-3-frame-cut",
    "enc-3-other-stream",
    "enc-3-plain",
    "enc-3-swapped",
    "enc-3-tag",
    "enc-3-zeros-of-other-size",
    *names("done-5-"),
}


def reference_archive() -> forge.Forge:
    """A small archive with a record of every kind, a chunk of every codec, and every optional field in use."""
    archive = forge.Forge().head({"annotation": "all of it"}).proc().lower_case()
    archive.file(b"mixed.edb", token=0x44, list=1, announced_size=(2 << 16) + 6, modified=-1, flags=3)
    frame = zstd_frame(1 << 16, rle_block(b"z", 1 << 16))
    archive.chunk(b"z" * (1 << 16), codec=forge.ZSTD, stored=frame).chunk(bytes(1 << 16), codec=forge.ZEROS)
    archive.chunk(
        b"tokar\n",
    ).done()
    return archive.entry(b"").end().page().root().lower_case(b"signature", kind=b"sign").finish()
