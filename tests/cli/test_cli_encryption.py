"""Encryption through the command line: who makes archives, who reads them, and what works without a key."""

from __future__ import annotations

import io
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from chain_sets import DATABASE, dirty, part
from chain_stories import Kept, content_of, new_story, take, target_for
from command_line import Result, done, process, tokar
from encrypted import make_identity, recipients, ring
from small_sets import contents, write

from tokar.cli.encryption import recipients_of
from tokar.errors import InputError, LockedError, SetError
from tokar.format import records
from tokar.format.archive import Archive, content_digest
from tokar.lab.lab import open_lab
from tokar.server.contract import BackupKind

if TYPE_CHECKING:
    from collections.abc import Iterator

FILES: Final = {DATABASE: bytes(dirty(5, 7)), **part(5, 7)}
LOCKED: Final = LockedError.exit_code


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a set, two identities, and the set as an archive for the first."""
    folder = tmp_path_factory.mktemp("encrypted")
    write(folder / "set", FILES)
    mine, _ = make_identity(folder, "mine"), make_identity(folder, "theirs")
    done("create", "-q", folder / "a.tokar", folder / "set", "--recipients-file", f"{mine}.pub")
    return folder


@pytest.fixture
def here(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test is in, with copies of all that."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(result: Result, words: str = "no identity was given") -> None:
    assert (result.exit_code, words in result.error) == (LOCKED, True), result.stderr
    assert "--identity" in result.hint


# --- with a key -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
def test_a_set_comes_back_to_who_has_the_identity(here: Path) -> None:
    done("restore", "a.tokar", "--into", "out", "--identity", "mine")
    assert contents(here / "out") == FILES


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    [
        ("restore", "a.tokar", "--into", "out"),
        ("extract", "a.tokar", DATABASE, "-o", "out"),
        ("verify", "--content", "a.tokar"),
        ("inspect", "--pages", "a.tokar"),
        ("inspect", "--b3sums", "a.tokar"),
    ],
    ids=" ".join,
)
def test_what_needs_content_needs_the_right_identity_and_writes_nothing_before(words: tuple[str, ...]) -> None:
    before = sorted(Path().iterdir())
    refused(tokar(*words))
    refused(tokar(*words, "--identity", "theirs"), "no identity that was given opens it")
    assert sorted(Path().iterdir()) == before
    done(*words, "--identity", "theirs", "--identity", "mine")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", [("recover", "a.tokar", "--out", "out"), ("replay", "a.tokar")], ids=" ".join)
def test_who_plays_logs_needs_the_identity_too(words: tuple[str, ...]) -> None:
    refused(tokar(*words))
    refused(tokar(*words, "--identity", "theirs"), "no identity that was given opens it")
    assert tokar(*words, "--identity", "mine").exit_code == SetError.exit_code  # these logs hold no records


@pytest.mark.usefixtures("here")
def test_the_error_is_a_value_for_programs_too() -> None:
    answer = tokar("restore", "--json", "a.tokar", "--into", "out").json()
    assert answer["error"]["kind"] == "locked"
    assert answer["error"]["exit_code"] == LOCKED


@pytest.mark.usefixtures("here")
def test_the_digests_of_b3sum_are_those_of_the_files(here: Path) -> None:
    from blake3 import blake3  # noqa: PLC0415 - this test alone

    lines = done("inspect", "--b3sums", "a.tokar", "--identity", "mine").stdout.splitlines()
    assert sorted(lines) == sorted(f"{blake3(content).hexdigest()}  {name}" for name, content in FILES.items())
    assert len(list((here / "set").iterdir())) == len(lines)


@pytest.mark.usefixtures("here")
def test_check_with_the_identity_looks_at_content_as_it_does_without_encryption() -> None:
    done("create", "-q", "plain.tokar", "set")
    both = [
        tokar("check", "--json", "--content", *words).json()["archives"][0]["rungs"]
        for words in (("plain.tokar",), ("a.tokar", "--identity", "mine"))
    ]
    for rungs in both:
        for rung in rungs:
            if rung["rung"] in {"sealed", "intact"}:
                del rung["summary"]  # roots and sizes
    assert both[0] == both[1]


# --- without a key ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "a.tokar"),
        ("inspect", "--entries", "--json", "a.tokar"),
        ("inspect", "--records", "a.tokar"),
        ("verify", "a.tokar"),
        ("check", "a.tokar"),
        ("chain", "a.tokar"),
        ("restore", "--dry-run", "a.tokar", "--into", "out"),
        ("keys", "a.tokar"),
    ],
    ids=" ".join,
)
def test_everything_but_content_works_without_a_key(words: tuple[str, ...]) -> None:
    result = done(*words)
    assert "encrypted" not in result.stderr
    assert not Path("out").exists()


@pytest.mark.usefixtures("here")
def test_the_verdict_from_facts_is_that_of_an_archive_that_anyone_can_read() -> None:
    done("create", "-q", "plain.tokar", "set")
    lines = [done("check", name).stdout.splitlines()[-1] for name in ("plain.tokar", "a.tokar")]
    plans = [
        done("restore", "--dry-run", name, "--into", "out").stdout.splitlines()[-1]
        for name in ("plain.tokar", "a.tokar")
    ]
    assert lines[0] == lines[1]
    assert plans[0] == plans[1]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("verb", ["check", "chain"])
def test_content_that_was_asked_for_and_not_looked_at_did_not_pass(verb: str) -> None:
    result = tokar(verb, "--content", "a.tokar")
    assert result.exit_code == SetError.exit_code
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN: content")
    assert "--identity" in result.stdout.splitlines()[-1]


@pytest.mark.usefixtures("here")
def test_an_archive_without_facts_is_not_judged_without_a_key() -> None:
    done("create", "-q", "--no-examine", "bare.tokar", "set", "--recipients-file", "mine.pub")
    result = tokar("check", "bare.tokar")
    assert result.exit_code == SetError.exit_code
    assert result.stdout.splitlines()[-1].startswith("NOT PROVEN")
    refused(tokar("restore", "--dry-run", "bare.tokar", "--into", "out"))
    done("check", "-q", "bare.tokar", "--identity", "mine")
    done("verify", "bare.tokar")
    done("inspect", "bare.tokar")


def chain_of(folder: Path, name: str, sets: dict[str, dict[str, bytes]], *options: str) -> Path:
    """Return a folder with an archive of each set."""
    made = folder / name
    made.mkdir()
    for label, files in sets.items():
        done("create", "-q", made / f"{label}.tokar", write(folder / f"{name}-{label}", files), *options)
    return made


@pytest.mark.parametrize("damage", [None, 4100, -1], ids=["whole", "a segment", "behind the last segment"])
def test_sets_with_logs_in_common_are_judged_alike_with_the_key_and_without(here: Path, damage: int | None) -> None:
    last = part(9, 11)
    if damage is not None:
        name = min(last)
        spoilt = bytearray(last[name])
        spoilt[damage] ^= 1
        last[name] = bytes(spoilt)
    sets = {"full": FILES, "inc1": part(8, 9), "inc2": last}
    plain = chain_of(here, "plain", sets)
    sealed = chain_of(here, "sealed", sets, "--recipients-file", "mine.pub")
    for words in (("chain",), ("check",), ("restore", "--dry-run", "--into", "out", "--chain")):
        without, with_key = tokar(*words, sealed), tokar(*words, sealed, "--identity", "mine")
        alike = "".join(line for line in without.stdout.splitlines(keepends=True) if "is encrypted: " not in line)
        assert (without.exit_code, alike) == (with_key.exit_code, with_key.stdout)
        if damage != -1:  # what no segment holds, recovery does not read; only digests without a key tell of it
            assert without.exit_code == tokar(*words, plain).exit_code
    assert tokar("chain", "--content", sealed, "--identity", "mine").exit_code == tokar("chain", sealed).exit_code


@pytest.mark.usefixtures("here")
def test_keys_say_for_how_many_of_which_kind(here: Path) -> None:
    done("create", "-q", "plain.tokar", "set")
    done("rekey", "-q", "a.tokar", "--recipients-file", "theirs.pub", "--identity", "mine")
    answer = done("keys", "--json", "a.tokar", "plain.tokar").json()["archives"]
    assert [(one["where"], one["kinds"]) for one in answer[0]["keys"]] == [
        ("recipients", ["X25519"]),
        ("after root", ["X25519"]),
    ]
    assert (answer[1]["encrypted"], answer[1]["keys"]) == (False, [])
    assert "after root" in done("keys", here / "a.tokar").stdout


@pytest.mark.usefixtures("here")
def test_who_was_added_reads_the_archive_and_a_stranger_adds_nobody(here: Path) -> None:
    before = (here / "a.tokar").read_bytes()
    refused(
        tokar("rekey", "a.tokar", "--recipients-file", "theirs.pub", "--identity", "theirs"),
        "no identity that was given opens it",
    )
    assert (here / "a.tokar").read_bytes() == before
    root = done("rekey", "--json", "a.tokar", "--recipients-file", "theirs.pub", "--identity", "mine").json()["root"]
    done("verify", "-q", "--content", "--root", root, "a.tokar", "--identity", "theirs")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rekey", "a.tokar"), "nobody to add"),
        (("rekey", "a.tokar", "--recipients-file", "theirs.pub"), "only who can open"),
        (("rekey", "plain.tokar", "--recipients-file", "theirs.pub", "--identity", "mine"), "not encrypted"),
        (("create", "b.tokar", "set", "--recipient", "bob"), "not a recipient"),
        (("create", "b.tokar", "set", "--recipients-file", "mine"), "keep it secret"),
        (("create", "b.tokar", "set", "--passphrase"), "no terminal"),
        (("restore", "a.tokar", "--into", "out", "--identity", "set"), ""),
        (("restore", "a.tokar", "--into", "out", "--identity", "mine.pub"), "cannot be used as an identity"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(words: tuple[str, ...], message: str) -> None:
    done("create", "-q", "plain.tokar", "set")
    before = sorted(Path().iterdir())
    result = tokar(*words)
    assert result.exit_code in {1, 2}
    assert message in result.error
    assert sorted(Path().iterdir()) == before


@pytest.mark.usefixtures("here")
def test_an_empty_passphrase_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_PASSPHRASE", "")
    assert "empty" in tokar("create", "b.tokar", "set", "--passphrase").error


@pytest.mark.usefixtures("here", "easy_work")
def test_a_passphrase_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_PASSPHRASE", "correct horse")
    done("create", "-q", "b.tokar", "set", "--passphrase", "--recipients-file", "mine.pub")
    done("verify", "-q", "--content", "b.tokar", "--passphrase")
    done("verify", "-q", "--content", "b.tokar", "--identity", "mine")
    assert "scrypt" in done("keys", "b.tokar").stdout
    monkeypatch.setenv("TOKAR_PASSPHRASE", "battery staple")
    refused(tokar("verify", "-q", "--content", "b.tokar", "--passphrase"), "no identity that was given opens it")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("fault", "message"),
    [(EOFError(), "no passphrase was given"), (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), "is no text")],
)
def test_a_terminal_that_gives_no_passphrase_is_a_typed_error(
    fault: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ask(*_arguments: object) -> str:
        raise fault

    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("getpass.getpass", ask)
    with pytest.raises(InputError, match=message):
        recipients_of(None, None, passphrase=True)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKAR_RECIPIENT", ""),
        ("TOKAR_RECIPIENT", " "),
        ("TOKAR_CREATE_RECIPIENT", ""),
        ("TOKAR_RECIPIENTS_FILE", ""),
        ("TOKAR_SIGN", ""),
    ],
)
def test_a_variable_that_protects_and_is_empty_lets_nothing_be_made(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = tokar("create", "b.tokar", "set")
    assert (result.exit_code, result.error) == (2, f"{name} is empty")
    assert not Path("b.tokar").exists()
    if name != "TOKAR_SIGN":
        done("create", "-q", "b.tokar", "set", "--recipient", Path("mine.pub").read_text())


@pytest.mark.usefixtures("here")
def test_recipients_come_from_a_file_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKAR_RECIPIENTS_FILE", "mine.pub")
    done("create", "-q", "b.tokar", "set")
    done("verify", "-q", "--content", "b.tokar", "--identity", "mine")


@pytest.mark.usefixtures("here")
def test_of_a_chain_it_is_said_which_set_nothing_opens(here: Path) -> None:
    write(here / "more", part(8, 9))
    done("create", "-q", "b.tokar", "more", "--recipients-file", "theirs.pub")
    result = tokar("restore", "a.tokar", "b.tokar", "--into", "out", "--identity", "mine")
    refused(result, "no identity that was given opens it (b.tokar)")
    assert not (here / "out").exists()


@pytest.mark.usefixtures("here")
def test_archives_come_from_pipes_as_well(here: Path) -> None:
    data = (here / "a.tokar").read_bytes()
    done("verify", "--content", "-", "--identity", "mine", stdin=data)
    refused(tokar("verify", "--content", "-", stdin=data))
    done("extract", "-", DATABASE, "-o", "one", "--identity", "mine", stdin=data)
    assert (here / "one").read_bytes() == FILES[DATABASE]


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_an_encrypted_archive_goes_to_a_pipe(here: Path) -> None:
    made = process("create", "-q", "-", "set", "--recipients-file", "mine.pub")
    (here / "b.tokar").write_bytes(made.stdout)
    done("restore", "-q", "b.tokar", "--into", "out", "--identity", "mine")
    assert contents(here / "out") == FILES


@pytest.mark.usefixtures("here")
def test_a_restore_that_was_cut_short_goes_on(here: Path) -> None:
    done("restore", "-q", "a.tokar", "--into", "out", "--identity", "mine")
    again = done("restore", "a.tokar", "--into", "out", "--identity", "mine")
    assert "all is done already" in again.stdout
    other = tokar("restore", "a.tokar", "--into", "out")  # nobody can tell that what is there is right
    assert other.exit_code == 6
    (here / "out" / DATABASE).write_bytes(FILES[DATABASE][:-1] + b"?")
    assert tokar("restore", "a.tokar", "--into", "out", "--identity", "mine").exit_code == 6


# --- what shows -------------------------------------------------------------------------------------------------------


def stored(path: Path) -> Iterator[bytes]:
    """Every record that holds content, or says something of it alone: stored bytes, and digests."""
    with Archive(path) as opened:
        data = path.read_bytes()
        for entry in opened:
            yield entry.digest
            found = opened.records(entry)
            for start, end in zip(found.data_positions, found.data_positions[1:], strict=False):
                yield data[start + records.HEAD_SIZE : end - 16]


def test_equal_content_gives_different_bytes_in_two_archives_and_in_two_entries(here: Path) -> None:
    for name in ("one", "two"):
        (here / name).mkdir()
        for leaf, content in (
            ("a", b"equal " * 5000),
            ("b", b"equal " * 5000),
            ("c", b""),
            ("d", b""),
            ("z", bytes(70)),
        ):
            (here / name / leaf).write_bytes(content)
        done("create", "-q", "--all", f"{name}.tokar", name, "--recipients-file", "mine.pub")
    found = [*stored(here / "one.tokar"), *stored(here / "two.tokar")]
    assert len(found) == 2 * (5 + 3)
    assert len(set(found)) == len(found)


def test_nothing_of_content_shows_without_a_key(here: Path) -> None:
    """Neither content nor a digest of it, in whatever spelling: in the archive, or in anything that a verb prints."""
    from base64 import b64encode  # noqa: PLC0415 - this test alone

    from blake3 import blake3  # noqa: PLC0415 - this test alone

    words = [os.urandom(24) for _ in range(40)]
    (here / "set" / "notes.txt").write_bytes(b"".join(words))
    done("create", "-q", "--all", "b.tokar", "set", "--recipients-file", "mine.pub", "--compress", "none")
    plain = {**FILES, "notes.txt": b"".join(words)}
    secrets = [*words, *(blake3(content).digest() for content in plain.values())]
    spelled = [way for one in secrets for way in (one, one.hex().encode(), b64encode(one))]
    spelled += [
        content[at : at + 64]
        for content in FILES.values()
        for at in range(8192, len(content), 4096)
        if any(content[at : at + 64])
    ]
    told = [(here / "b.tokar").read_bytes()]
    verbs = (
        ("inspect", "--entries", "--json"),
        ("check", "--json"),
        ("chain", "--json"),
        ("restore", "--dry-run", "--into", "out", "--json"),
        ("verify", "--json"),
        ("keys", "--json"),
    )
    told += [done(verb[0], "b.tokar", *verb[1:]).stdout.encode() for verb in verbs]
    assert [one for one in spelled for text in told if one in text] == []


def test_names_sizes_times_facts_and_zero_chunks_show_and_that_is_all_that_is_promised_to(here: Path) -> None:
    (here / "set" / "zeros.bin").write_bytes(bytes(3 << 20))
    done("create", "-q", "--all", "b.tokar", "set", "--recipients-file", "mine.pub")
    with Archive(here / "b.tokar") as opened:
        assert opened.is_locked
        entry = opened.find("zeros.bin")
        assert entry.size == 3 << 20
        assert opened.stored_size(entry) < 1000
        assert len(list(opened.extras(records.FACT))) == 2  # of the files, and of the pages that were followed


# --- the whole story --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_chain_is_backed_up_copied_damaged_salvaged_restored_and_recovered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    mine, theirs = make_identity(tmp_path, "mine"), make_identity(tmp_path, "theirs")
    story = new_story(tmp_path / "server", "certadm")
    sets: list[Kept] = []
    for name, kind in (("full", BackupKind.FULL), ("inc1", BackupKind.INCREMENTAL), ("inc2", BackupKind.INCREMENTAL)):
        # Whose key the server does not have: it goes on from facts.
        sets.append(take(story, tmp_path / f"{name}.tokar", kind, before=tuple(sets), recipients=recipients(mine)))
        receipt = json.loads((tmp_path / f"{name}.tokar.receipt.json").read_text())
        assert (receipt["truncation"], receipt["archive"]["proven"]) == ("done", "content")
        told = json.dumps(receipt).encode() + (tmp_path / f"{name}.tokar").read_bytes()
        with Archive(tmp_path / f"{name}.tokar", ring(mine)) as opened:
            for entry in opened:  # the transcript and the receipt of a server say nothing of content either
                digest = content_digest(opened, entry)
                assert digest != entry.digest
                assert digest not in told
                assert digest.hex().encode() not in told
    Path("copies").mkdir()
    for name in ("full", "inc1", "inc2"):
        with Archive(tmp_path / f"{name}.tokar") as opened:
            at = {"full": 40, "inc1": opened.rows[-1].position + 70, "inc2": opened.size - 30}[name]  # HEAD, INDX, TAIL
        data = bytearray((tmp_path / f"{name}.tokar").read_bytes())
        data[at] ^= 0xFF
        Path("copies", f"{name}.damaged").write_bytes(data)
        done("salvage", "-q", f"copies/{name}.damaged", f"copies/{name}.tokar")
        Path("copies", f"{name}.damaged").unlink()
        assert Path("copies", f"{name}.tokar").read_bytes() == (tmp_path / f"{name}.tokar").read_bytes()
    done("check", "-q", "copies")
    lab = target_for(story, tmp_path / "fresh")
    refused(tokar("restore", "--chain", "copies", "--server", "lab:fresh"))
    refused(
        tokar("restore", "--chain", "copies", "--server", "lab:fresh", "--identity", theirs),
        "no identity that was given opens it",
    )
    done("check", "-q", "--content", "copies", "--identity", mine)
    done("restore", "-q", "--chain", "copies", "--server", "lab:fresh", "--identity", mine)
    lab = open_lab(tmp_path / "fresh")
    lab.recover()
    assert lab.contents() == sets[-1].expected


def test_the_content_of_an_entry_is_one_stream_to_its_reader(here: Path) -> None:
    from tokar.trust.recipients import Identities  # noqa: PLC0415 - this test alone

    with Archive(here / "a.tokar", Identities([here / "mine"])) as opened:
        for entry in opened:
            assert content_of(opened, entry) == FILES[entry.leaf or ""]
            with opened.open_entry(entry) as file:
                assert file.read() == FILES[entry.leaf or ""]


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    "words",
    [
        ("check",),
        ("check", "--content"),
        ("chain",),
        ("restore", "--dry-run", "--into", "out"),
        ("report", "--force", "-o", "a.html"),
    ],
    ids=" ".join,
)
def test_beside_the_verdict_on_what_nothing_opens_it_is_said_that_a_restore_takes_a_key(words: tuple[str, ...]) -> None:
    said = tokar(*words, "a.tokar").stdout.splitlines()
    (beside,) = [line for line in said if line.startswith("beside: a.tokar")]
    assert "its content is encrypted: a restore needs what opens it (--identity FILE, or --passphrase)" in beside
    assert not [
        line for line in done(*words, "a.tokar", "--identity", "mine").stdout.splitlines() if "encrypted" in line
    ]


@pytest.mark.usefixtures("here")
def test_the_error_says_that_without_a_key_there_is_no_way_to_the_content() -> None:
    result = tokar("restore", "a.tokar", "--into", "out")
    refused(result)
    assert result.hint.endswith("without one of them there is no way to the content")
