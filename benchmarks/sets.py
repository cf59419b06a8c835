"""What is archived when something is measured."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PIECE = 16 << 20


def make_mixed(folder: Path, mebibytes: int) -> None:
    """Write eight files: half of their megabytes do not compress, half look like text, one in sixteen is zeros."""
    if folder.exists():
        return
    dice = random.Random(1)
    noise = dice.randbytes(8 << 20)
    words = [dice.randbytes(dice.randint(3, 9)).hex().encode() for _ in range(4000)]
    text = b" ".join(dice.choice(words) for _ in range(1 << 20))[: 8 << 20]
    folder.mkdir()
    for number in range(8):
        with (folder / f"db{number}.dat").open("wb") as file:
            for part in range(mebibytes // 8):
                source = noise if (part + number) % 2 else text
                start = part * 4099 % (7 << 20)
                file.write(bytes(1 << 20) if part % 16 == 15 else source[start : start + (1 << 20)])


def make_small_files(folder: Path, count: int, size: int = 1024) -> None:
    """Write files of 1 KiB, or of another size, that do not compress."""
    if folder.exists():
        return
    dice = random.Random(2)
    folder.mkdir()
    for number in range(count):
        (folder / f"f{number:06d}.dat").write_bytes(dice.randbytes(size))


def make_one_file(folder: Path, mebibytes: int) -> None:
    """Write one file that does not compress."""
    if not folder.exists():
        folder.mkdir()
        _write_noise(folder / "one.dat", mebibytes, random.Random(3))


def make_logs_and_databases(folder: Path, logs: int, mebibytes: int) -> None:
    """Write the set that people have: many logs of 1 MiB, and two databases; nothing in them compresses."""
    if folder.exists():
        return
    dice = random.Random(4)
    folder.mkdir()
    for name in ("a.dat", "b.dat"):
        _write_noise(folder / name, mebibytes, dice)
    for number in range(logs):
        _write_noise(folder / f"log{number + 1:05X}.dat", 1, dice)


def _write_noise(path: Path, mebibytes: int, dice: random.Random) -> None:
    with path.open("wb") as file:
        for start in range(0, mebibytes << 20, _PIECE):
            file.write(dice.randbytes(min(_PIECE, (mebibytes << 20) - start)))
