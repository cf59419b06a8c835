from __future__ import annotations

import ast
import importlib
import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from small_sets import database, write

import tokar
from tokar import errors
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

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "api.md").read_text(encoding="utf-8")
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
        ({"annotation": "x" * 1_100_000}, FormatError),
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
    heavy = ("construct", "blake3", "numpy", "typer", "zstandard", "dataclasses", "tokar.errors")
    code = f"import sys, tokar; sys.exit(any(one in sys.modules for one in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_is_there_and_says_what_it_is() -> None:
    for name in tokar.__all__:
        assert name == "__version__" or getattr(tokar, name).__doc__, name
    assert set(tokar.__all__) <= set(dir(tokar))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tokar.nothing  # type: ignore[attr-defined] # noqa: B018


def test_what_type_checkers_see_is_what_is_public() -> None:
    stub = ast.parse(Path(tokar.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    seen = {
        (alias.asname or alias.name, f"{node.module}.{alias.name}")
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    exported = next(ast.literal_eval(node.value) for node in stub.body if isinstance(node, ast.Assign))
    assert {name for name, _ in seen} == set(exported) == set(tokar.__all__)
    for name, place in seen:
        home, _, called_there = place.rpartition(".")
        assert getattr(importlib.import_module(home), called_there) is getattr(tokar, name), name


def test_every_error_class_is_public() -> None:
    assert {name for name in vars(errors) if name.endswith("Error")} <= set(tokar.__all__)


def test_a_door_is_not_lost_when_the_folder_of_its_name_is_imported() -> None:
    code = "import tokar.check.ladder, tokar.salvage.salvage; print(callable(tokar.check), callable(tokar.salvage))"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"True True\n"
    assert tokar.check is importlib.import_module("tokar.check.ladder").check


def test_the_page_lists_what_is_public_and_no_more() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(tokar.__all__)
    for name, code in re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE):
        assert str(getattr(tokar, name).exit_code) == code


def test_the_example_of_the_page_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write(tmp_path, {"CA.edb": database(), "files/db.edb": database()}))
    with tokar.create("damaged.tokar", profile="ese") as writer:
        writer.add_bytes(0x21, "a", b"x")
    Path("damaged.tokar").write_bytes(Path("damaged.tokar").read_bytes()[:-1])
    found: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[0], found)
    assert found["page"] == database()[4096:8192]
    assert Path("restored", "CA.edb").read_bytes() == database()
    assert not found["report"].lost
    with tokar.open("saved.tokar") as saved:
        assert [one.name for one in saved] == ["a"]
    assert found["verdict"].exit_code == 0
    assert found["done"].took is tokar.BackupKind.COPY


def test_an_archive_and_an_entry_say_what_they_are(sealed: Path) -> None:
    with tokar.open(sealed) as archive:
        assert repr(archive) == f"<Archive {sealed}: 2 entries, root {archive.root.hex()[:16]}>"
        assert repr(archive.entry(1)) == "<Entry #1 0x21 edb00001.log: 3 bytes>"


def test_the_content_of_an_entry_is_read_like_a_file(sealed: Path) -> None:
    with tokar.open(sealed) as archive, archive.open_entry(archive.entry(0)) as file:
        assert file.read(10) == CONTENT[:10]
        assert file.seek(-5, io.SEEK_END) == len(CONTENT) - 5
        assert file.read() == CONTENT[-5:]
        assert file.read() == b""
        assert file.seek(1_048_570) == file.tell() == 1_048_570
        assert file.seek(2, io.SEEK_CUR) == 1_048_572
        assert file.read(100) == CONTENT[1_048_572:1_048_672]
        assert file.seek(len(CONTENT) + 10) == len(CONTENT) + 10
        assert file.read() == b""
        file.seek(0)
        assert file.read() == CONTENT
        assert not file.writable()
        with pytest.raises(InputError, match="no position"):
            file.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        file.read()


def test_a_file_of_an_entry_gives_no_damaged_byte(sealed: Path) -> None:
    data = bytearray(sealed.read_bytes())
    with tokar.open(sealed) as archive:
        second = archive.entry(0).done_position - 40  # in the last chunk
    data[second] ^= 1
    with tokar.open(BytesSource(data)) as archive, archive.open_entry(archive.entry(0)) as file:
        assert file.read(1000) == CONTENT[:1000]
        file.seek(1 << 20)
        with pytest.raises(FormatError):
            file.read(1)
