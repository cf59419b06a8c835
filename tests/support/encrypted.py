"""Identities, recipients, and archives that are encrypted for them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyrage

import tokar as library
from tokar.trust.recipients import Identities, Recipients

if TYPE_CHECKING:
    from collections.abc import Mapping

CHUNK: Final = 1 << 20  # bytes, as the writer cuts content


def make_identity(folder: Path, name: str = "identity") -> Path:
    """Return a file with a new identity of age; its recipient lies beside it, with the ending `.pub`."""
    made = pyrage.x25519.Identity.generate()
    path = folder / name
    path.write_text(f"# made for a test\n{made}\n")
    Path(f"{path}.pub").write_text(f"{made.to_public()}\n")
    return path


def recipients(*identities: Path) -> Recipients:
    """Those who have these identities."""
    return Recipients([line for one in identities for line in Recipients.lines(f"{one}.pub")])


def ring(*identities: Path) -> Identities:
    """What opens archives for one who has these identities."""
    return Identities(identities)


def make_archive(path: Path, files: Mapping[str, bytes], *identities: Path, compress: str = "zstd") -> Path:
    """Return an archive of files, all logs by their token, encrypted for who has these identities."""
    with library.create(path, profile="ese", compress=compress, recipients=recipients(*identities)) as writer:
        for name, content in files.items():
            writer.add(0x21, name, io.BytesIO(content))
    return path
