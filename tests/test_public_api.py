from __future__ import annotations

import io
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

import tokar
from tokar.errors import (
    ArchiveError,
    BadMagicError,
    CheckMismatchError,
    ExistingFileError,
    FormatError,
    InputError,
    SourceChangedError,
    StorageError,
    UnsealedError,
)
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = bytes(range(256)) * 8192  # two chunks


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    path = tmp_path / "set.tokar"
    with tokar.create(path, profile="certadm", server="CA1") as writer:
        writer.add(0x44, "\\\\CA1\\C$\\L\\CA.edb", io.BytesIO(CONTENT))
        writer.add(0x21, "edb00001.log", io.BytesIO(b"log"))
    return path


def test_what_is_written_is_read_again(sealed: Path) -> None:
    with tokar.open(sealed) as archive:
        assert [(one.token, one.name, one.size, one.digest) for one in archive] == [
            (0x44, "\\\\CA1\\C$\\L\\CA.edb", len(CONTENT), blake3(CONTENT).digest()),
            (0x21, "edb00001.log", 3, blake3(b"log").digest()),
        ]
        assert archive.head.text("server") == "CA1"
        assert archive.read(archive.entry(0)) == CONTENT
        assert archive.read(archive.entry(0), 1_000_000, 1_100_000) == CONTENT[1_000_000:1_100_000]


def test_an_archive_is_opened_from_any_source_of_bytes(sealed: Path) -> None:
    with tokar.open(BytesSource(sealed.read_bytes())) as archive:
        assert archive.read(archive.find("edb00001.log")) == b"log"


def test_a_text_is_as_good_as_a_path(sealed: Path) -> None:
    with tokar.open(str(sealed)) as archive:
        assert len(archive) == 2


def test_the_archive_appears_when_it_is_sealed_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "set.tokar"
    with tokar.create(path, profile="ese") as writer:
        writer.add_bytes(0x21, "a", b"x")
        assert not path.exists()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["set.tokar"]


def test_an_error_in_the_block_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a token is one byte"), tokar.create(tmp_path / "a", profile="ese") as writer:
        writer.add(0x121, "a", io.BytesIO(b"x"))
    assert not list(tmp_path.iterdir())


def test_a_failed_file_is_never_sealed_even_if_the_caller_goes_on(tmp_path: Path) -> None:
    writer = tokar.create(tmp_path / "a", profile="ese")
    with pytest.raises(SourceChangedError):
        writer.add(0x21, "a", io.BytesIO(b"four"), announced_size=5)
    with pytest.raises(InputError, match="the archive is broken"):
        writer.seal()
    writer.discard()
    assert not list(tmp_path.iterdir())


def test_an_archive_that_is_there_is_replaced_only_when_asked(tmp_path: Path, sealed: Path) -> None:
    before = sealed.read_bytes()
    with pytest.raises(ExistingFileError):
        tokar.create(sealed, profile="ese")
    assert sealed.read_bytes() == before
    with tokar.create(sealed, profile="ese", replace=True):
        assert sealed.read_bytes() == before
    with tokar.open(sealed) as archive:
        assert len(archive) == 0
    assert [one.name for one in tmp_path.iterdir()] == ["set.tokar"]


@pytest.mark.parametrize("compress", ["none", "zstd", "zstd:19"])
def test_compression_changes_the_size_and_nothing_else(tmp_path: Path, compress: str) -> None:
    with tokar.create(tmp_path / "a", profile="ese", compress=compress) as writer:
        writer.add(0x44, "a", io.BytesIO(CONTENT))
    assert ((tmp_path / "a").stat().st_size < len(CONTENT)) == (compress != "none")
    with tokar.open(tmp_path / "a") as archive:
        assert archive.read(archive.entry(0)) == CONTENT


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"profile": "UPPER"}, FormatError),
        ({"kind": "all"}, FormatError),
        ({"server": 1}, FormatError),
        ({"annotation": "\ud800"}, FormatError),
        ({"compress": "gzip"}, InputError),
        ({"compress": "zstd:23"}, InputError),
        ({"compress": "zstd:"}, InputError),
        ({"archive_id": b"short"}, InputError),
        ({"annotation": "x" * 600_000}, FormatError),
    ],
)
def test_an_argument_out_of_range_is_refused_and_leaves_nothing(
    tmp_path: Path, options: dict[str, Any], kind: type[ArchiveError]
) -> None:
    with pytest.raises(kind):
        tokar.create(tmp_path / "a", **{"profile": "ese", **options})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write here"):
        tokar.create(tmp_path / "gone" / "a", profile="ese")
    with pytest.raises(StorageError, match="cannot open"):
        tokar.open(tmp_path / "gone")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"PK\3\4" * 100)
    with pytest.raises(BadMagicError):
        tokar.open(tmp_path / "a")


def test_a_cut_archive_is_refused(sealed: Path) -> None:
    with pytest.raises(UnsealedError):
        tokar.open(BytesSource(sealed.read_bytes()[:-1]))


def test_damaged_content_is_never_handed_out(sealed: Path) -> None:
    data = bytearray(sealed.read_bytes())
    with tokar.open(sealed) as archive:
        entry = archive.entry(0)
    data[entry.file_position + 250] ^= 1
    with tokar.open(BytesSource(data)) as archive, pytest.raises(CheckMismatchError) as caught:
        archive.read(entry)
    assert caught.value.offset is not None


def test_importing_the_package_is_cheap() -> None:
    heavy = ("construct", "blake3", "numpy", "typer", "zstandard")
    code = f"import sys, tokar; sys.exit(any(one in sys.modules for one in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_package_names_what_it_offers() -> None:
    assert sorted(tokar.__all__) == ["ArchiveError", "__version__", "create", "open"]
    assert all(hasattr(tokar, name) for name in tokar.__all__)
