from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from format_tools import begun
from small_sets import database, instance, write

import tokar as library
from tokar.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    files = {**instance(), "large.edb": database(5, pages=300)}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", files))
    return tmp_path / "a.tokar"


def damage(path: Path, name: str, offset: int) -> None:
    """Change a byte of an entry, so far from its start."""
    with library.open(path) as opened:
        position = opened.find(name).file_position + offset
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_quick_look_says_what_it_did_not_look_at(archive: Path) -> None:
    out = done("verify", archive).stdout
    assert out.startswith(f"{archive}: intact; 6 entries, ")
    assert "not checked: content of compressed chunks, digests of content (--content)" in out


def test_a_look_at_content_says_so(archive: Path) -> None:
    assert "content decoded, all digests right" in done("verify", "--content", archive).stdout


def test_the_root_is_shown_for_comparing(archive: Path) -> None:
    with library.open(archive) as opened:
        assert f"  root {opened.root.hex()}\n" in done("verify", archive).stdout


@pytest.mark.parametrize("content", [False, True])
def test_standard_input_is_read_to_its_end(archive: Path, content: bool) -> None:
    options = ["--content"] if content else []
    assert done("verify", "-", *options, stdin=archive.read_bytes()).stdout.startswith("-: intact; 6 entries, ")


def test_every_byte_is_counted(archive: Path) -> None:
    for path, data in ((archive, b""), ("-", archive.read_bytes())):
        (answer,) = done("verify", "--json", path, stdin=data).json()["archives"]
        assert answer["bytes_checked"] == archive.stat().st_size


def test_json_tells_what_was_checked(archive: Path) -> None:
    (quick,) = done("verify", "--json", archive).json()["archives"]
    assert (quick["ok"], quick["entries"], quick["content_decoded"], quick["fault_count"]) == (True, 6, False, 0)
    assert quick["not_checked"] == ["content of compressed chunks", "digests of content"]
    (full,) = done("verify", "--json", "--content", archive).json()["archives"]
    assert full["not_checked"] == []
    assert full["root"] == quick["root"]


def test_quiet_says_nothing(archive: Path) -> None:
    result = done("verify", "--quiet", archive)
    assert result.stdout + result.stderr == ""


@pytest.mark.parametrize("options", [[], ["--content"]])
@pytest.mark.parametrize(("name", "offset"), [("db.edb", 300), ("large.edb", 900_000), ("db.pat", 5)])
def test_damage_is_found_and_the_entry_is_named(archive: Path, name: str, offset: int, options: list[str]) -> None:
    damage(archive, name, offset)
    result = tokar("verify", archive, *options)
    assert result.exit_code == 4
    assert f"{name}: " in result.error
    assert f"{archive}, at byte " in result.error
    assert result.stdout == f"{archive}: DAMAGED, 1 fault\n"


def test_every_fault_is_told_not_only_the_first(archive: Path) -> None:
    damage(archive, "db.edb", 300)
    damage(archive, "edb.log", 300)
    result = tokar("verify", "--json", archive)
    (answer,) = result.json()["archives"]
    assert (answer["ok"], answer["fault_count"]) == (False, 2)
    assert [fault["kind"] for fault in answer["faults"]] == ["check-mismatch"] * 2
    assert result.stderr.count("tokar: error: entry ") == 2


def test_damage_on_standard_input_is_found(archive: Path) -> None:
    damage(archive, "edb.log", 300)
    result = tokar("verify", "-", stdin=archive.read_bytes())
    assert result.exit_code == 4
    assert result.error.startswith("the check of a DATA record is wrong (standard input, at byte ")


@pytest.mark.parametrize("source", ["path", "standard input"])
@pytest.mark.parametrize(
    ("change", "code", "kind"),
    [
        (lambda data: data[:-1], 5, "unsealed"),
        (lambda data: data[: len(data) // 2], 5, "unsealed"),
        (lambda data: data[:10], 5, "unsealed"),
        (lambda _: b"", 3, "not-an-archive"),
        (lambda data: data + b"\0", 4, "format"),
        (lambda data: data + data, 4, "format"),
        (lambda data: data[:-5] + b"x" + data[-4:], 4, "check-mismatch"),
        (lambda data: data[:8] + b"\2" + data[9:], 3, "unsupported"),
        (lambda data: data.replace(b"\r\n", b"\n"), 3, "not-an-archive"),
    ],
    ids=["one byte short", "half", "ten bytes", "empty", "trailing", "twice", "tail", "newer", "text mode"],
)
def test_each_kind_of_failure_has_its_exit_code(
    archive: Path, change: Callable[[bytes], bytes], code: int, kind: str, source: str
) -> None:
    data = change(archive.read_bytes())
    archive.write_bytes(data)
    result = tokar("verify", "--json", "-" if source == "standard input" else archive, stdin=data)
    (answer,) = result.json()["archives"]
    assert (result.exit_code, answer["ok"], answer["faults"][0]["kind"]) == (code, False, kind)
    assert source == "path" or "standard input" in result.error


def test_several_archives_are_all_looked_at(archive: Path, tmp_path: Path) -> None:
    write(tmp_path, {"cut": archive.read_bytes()[:-1], "other": b"x" * 100})
    result = tokar(
        "verify", "--json", tmp_path / "cut", archive, tmp_path / "other", tmp_path / "gone", tmp_path / "cut"
    )
    answers = result.json()["archives"]
    assert [answer["ok"] for answer in answers] == [False, True, False, False, False]
    assert [fault["kind"] for answer in answers for fault in answer["faults"]] == [
        "unsealed",
        "not-an-archive",
        "storage",
        "unsealed",
    ]
    assert result.exit_code == 1  # the lowest is the worst
    assert result.stderr.count("tokar: error: ") == 4


def test_two_damaged_archives_are_both_told(archive: Path, tmp_path: Path) -> None:
    damage(archive, "db.edb", 300)
    write(tmp_path, {"b": archive.read_bytes()})
    result = tokar("verify", "--json", archive, tmp_path / "b")
    assert [answer["fault_count"] for answer in result.json()["archives"]] == [1, 1]
    assert result.exit_code == 4


def test_an_archive_is_asked_for() -> None:
    result = tokar("verify")
    assert result.exit_code == 2
    assert result.error.startswith("missing argument 'ARCHIVE")


def test_records_after_the_root_are_named_for_no_root_covers_them(tmp_path: Path) -> None:
    forged = begun().entry().end().page().root().lower_case(kind=b"sign").lower_case(kind=b"note").finish()
    (tmp_path / "a.tokar").write_bytes(forged.data)
    for path in (tmp_path / "a.tokar", "-"):
        result = done("verify", path, stdin=bytes(forged.data))
        assert "  embedded signature these bytes are no SSH signature\n" in result.stdout
        assert "note, of a kind that is not known here" in result.stdout
        (answer,) = done("verify", "--json", path, stdin=bytes(forged.data)).json()["archives"]
        assert answer["after_root"] == ["sign", "note"]


@pytest.mark.parametrize("verb", ["verify", "check"])
def test_what_the_system_refuses_to_read_is_not_called_damage(
    archive: Path, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("cannot read: Input/output error", path=archive)

    for name in ("small", "demand_chunk", "records"):
        monkeypatch.setattr(f"tokar.format.entry_reader.EntryReader.{name}", refuse)
    result = tokar(verb, archive)
    last = result.stdout.splitlines()[-1]
    assert result.exit_code == StorageError.exit_code
    assert ("NOT VERIFIED" in last) if verb == "verify" else last.startswith("NOT PROVEN: cannot read")
    assert "DAMAGED" not in result.stdout


def test_the_next_step_of_what_the_system_refused_is_told_for_an_entry_too(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise StorageError("cannot read: Stale file handle", path=archive) from OSError(errno.ESTALE, "gone")

    for name in ("small", "demand_chunk", "records"):
        monkeypatch.setattr(f"tokar.format.entry_reader.EntryReader.{name}", refuse)
    lines = tokar("verify", archive).stderr.splitlines()
    assert lines[0].startswith("tokar: error: entry 0")
    assert [line.partition("hint: ")[2][:17] for line in lines if "hint: " in line] == ["the network drive"]
