from __future__ import annotations

import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest
from chain_sets import full, increment, part
from command_line import command, done, tokar
from format_tools import begun
from signed import make_archive, make_key, needs_ssh_keygen, public, run, signers
from small_sets import database, write
from sweeps import sampled

from tokar.format.archive import Archive

pytestmark = needs_ssh_keygen
VERBS: dict[str, tuple[str, ...]] = {
    "verify": (),
    "check": (),
    "chain": (),
    "restore": ("--into", "out"),
    "extract": ("one", "-o", "out"),
    "recover": ("--out", "out"),
}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys, and lists with alice, and with bob."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("alice", "bob"):
        make_key(folder, name)
        signers(folder, f"{name}@x {public(folder / name)}", name=f"{name}s")
    return folder


@pytest.fixture
def folder(tmp_path: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the test is in, with an archive that alice signed."""
    monkeypatch.chdir(tmp_path)
    make_archive(tmp_path / "a.tokar")
    done("sign", "a.tokar", "--key", keys / "alice", "--embed")
    return tmp_path


def test_what_create_signs_at_the_seal_is_signed(folder: Path, keys: Path) -> None:
    (folder / "one").write_bytes(b"content")
    answer = done("create", "--json", "--all", "new.tokar", "one", "--sign", keys / "alice", "--sign", keys / "bob")
    assert [one["key_type"] for one in answer.json()["archive"]["signatures"]] == ["ssh-ed25519"] * 2
    for who in ("alice", "bob"):
        found = done("verify", "--json", "new.tokar", "--signed-by", keys / f"{who}s").json()["archives"][0]
        assert (found["signed_by"]["principal"], found["signed_by"]["where"]) == (f"{who}@x", "embedded")


def test_an_archive_in_a_pipe_is_signed_too(folder: Path, keys: Path) -> None:
    (folder / "one").write_bytes(b"content")

    made = subprocess.run(
        command("create", "-q", "--all", "-", "one", "--sign", keys / "alice"), capture_output=True, check=True
    )
    assert "signed by alice@x" in done("verify", "-", "--signed-by", keys / "alices", stdin=made.stdout).stdout
    assert tokar("verify", "-", "--signed-by", keys / "bobs", stdin=made.stdout).exit_code == 10


def gone(folder: Path) -> None:
    """Take away what a command wrote."""
    out = folder / "out"
    if out.is_dir():
        shutil.rmtree(out)
    else:
        out.unlink(missing_ok=True)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "recover"])
def test_every_verb_that_asks_for_a_signer_takes_a_signed_archive_and_says_who(
    verb: str, folder: Path, keys: Path
) -> None:
    command = (verb, "a.tokar", *VERBS[verb], "--signed-by", str(keys / "alices"))
    result = done(*command)
    assert "signed by alice@x (ssh-ed25519 SHA256:" in result.stdout + result.stderr
    gone(folder)
    answer = done(*command, "--json").json()
    found = answer["archives"][0]["signed_by"] if verb == "verify" else answer["signed_by"][0]
    assert (found["principal"], found["where"]) == ("alice@x", "embedded")


def test_a_signed_set_is_recovered(folder: Path, keys: Path) -> None:
    write(folder / "lying", {"a.edb": database()})
    done("create", "-q", "b.tokar", "lying", "--sign", keys / "alice")
    answer = done("recover", "b.tokar", "--out", "out", "--json", "--signed-by", keys / "alices").json()
    assert answer["signed_by"][0]["principal"] == "alice@x"


WHY = {
    "unsigned": "nobody signed",
    "other signer": "not in the list",
    "revoked": "revoked",
    "other root": "over this root",
}


@pytest.mark.parametrize(
    ("verb", "why"),  # each verb, and each reason twice at least
    sampled(product(VERBS, WHY), lambda verb, why: ([*VERBS].index(verb) + [*WHY].index(why)) % 3 == 0),
)
def test_every_verb_that_asks_for_a_signer_refuses_all_else_before_a_byte_is_written(
    verb: str, why: str, folder: Path, keys: Path
) -> None:
    options: list[str | Path] = ["--signed-by", keys / ("bobs" if why == "other signer" else "alices")]
    if why == "unsigned":
        make_archive(folder / "a.tokar.new").replace(folder / "a.tokar")
    elif why == "other root":
        done("sign", "a.tokar", "--key", keys / "alice")
        make_archive(folder / "a.tokar.new", b"other").replace(folder / "a.tokar")
    elif why == "revoked":
        options += ["--revoked", f"{keys / 'alice'}.pub"]
    result = tokar(verb, "a.tokar", *VERBS[verb], *options)
    assert result.exit_code == 10
    assert WHY[why] in result.error
    assert not (folder / "out").exists()
    assert "nobody signed this archive" in tokar(verb, "a.tokar", *VERBS[verb], "--json", *options).stdout


@pytest.mark.parametrize("verb", VERBS)
def test_the_policy_of_a_machine_is_asked_where_no_list_is_named(
    verb: str, folder: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (verb, "a.tokar", *VERBS[verb])
    monkeypatch.setenv("TOKAR_SIGNERS", str(keys / "bobs"))
    assert tokar(*command).exit_code == 10
    assert tokar(*command, "--signed-by", keys / "alices").exit_code != 10
    gone(folder)
    passed = tokar(*command, "--accept-unsigned", "-q")
    assert passed.exit_code != 10
    assert "warning: TOKAR_SIGNERS asks for a signature, and --accept-unsigned passes that over" in passed.stderr


@pytest.mark.parametrize(
    ("policy", "options", "code"),
    [
        ("", [], 2),
        ("nothing", [], 1),
        (None, ["--revoked", "keys"], 2),
        (None, ["--signed-by", "nothing"], 1),
        ("alices", ["--revoked", "nothing"], 1),
        ("alices", ["--accept-unsigned", "--revoked", "alices"], 2),
        (None, ["--accept-unsigned", "--signed-by", "alices"], 2),
    ],
    ids=["empty", "missing", "revoked alone", "no list", "no revoked", "revoked and none", "contradiction"],
)
def test_a_policy_that_cannot_be_asked_lets_nothing_pass(
    policy: str | None, options: list[str], code: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "alices").write_text("nobody")
    if policy is not None:
        monkeypatch.setenv("TOKAR_SIGNERS", policy)
    result = tokar("restore", "a.tokar", "--into", "out", *options)
    assert (result.exit_code, (folder / "out").exists()) == (code, False)


@pytest.mark.usefixtures("folder")
def test_without_a_policy_accepting_unsigned_says_nothing() -> None:
    assert done("verify", "a.tokar", "--accept-unsigned", "-q").stderr == ""


def test_every_archive_of_a_chain_must_be_signed(folder: Path, keys: Path) -> None:
    (folder / "sets").mkdir()
    sets = [one.path for one in (full(folder / "sets"), increment(folder / "sets", "later", part(8, 9)))]
    for path in sets[:-1]:
        done("sign", path, "--key", keys / "alice")
    for verb in (("restore", "--chain"), ("chain",), ("check",)):
        more = ("--into", "out") if verb[0] == "restore" else ()
        refused = tokar(*verb, "sets", *more, "--signed-by", keys / "alices")
        assert refused.exit_code == 10
        assert sets[-1].name in refused.error
    assert not (folder / "out").exists()
    done("sign", sets[-1], "--key", keys / "alice", "--embed")
    copies = shutil.copytree(folder / "sets", folder / "copies")
    done("restore", "--chain", copies, "--into", "out", "--signed-by", keys / "alices")


def test_files_as_they_lie_have_no_signature(folder: Path, keys: Path) -> None:

    lying = write(folder / "lying", {"a.edb": database()})
    for verb in ("check", "chain", "recover"):
        result = tokar(verb, lying, *VERBS[verb], "--signed-by", keys / "alices")
        assert result.exit_code == 10
        assert "files as they lie have no signature" in result.error


def test_inspect_and_verify_list_signatures_and_judge_none(folder: Path, keys: Path) -> None:
    done("sign", "a.tokar", "--key", keys / "bob")
    for verb in ("inspect", "verify"):
        lines = [line.strip() for line in done(verb, "a.tokar").stdout.splitlines() if "signature" in line]
        assert [line.partition(" ")[0] for line in lines] == ["embedded", "detached"]
        assert all(line.endswith("; not judged (--signed-by)") for line in lines)
    found = done("inspect", "--json", "a.tokar").json()["archive"]["signatures"]
    assert [(one["where"], one["namespace"], one["damage"]) for one in found] == [
        ("embedded", "tokar", None),
        ("detached", "tokar", None),
    ]
    (folder / "sig").write_text(found[0]["armored"])
    with Archive("a.tokar") as archive:
        message = archive.root.hex().encode() + b"\n"
    options = ["-f", keys / "alices", "-I", "alice@x", "-n", "tokar", "-s", "sig"]
    assert run("-Y", "verify", *options, stdin=message).returncode == 0


@pytest.mark.usefixtures("folder")
def test_signing_says_what_it_did(keys: Path) -> None:
    first = done("sign", "a.tokar", "--key", keys / "bob")
    assert "a.tokar: signed by ssh-ed25519 SHA256:" in first.stdout
    assert "is signed by" in done("sign", "a.tokar", "--key", keys / "bob").stdout
    answer = done("sign", "--json", "a.tokar", "--key", keys / "alice", "--key", keys / "bob").json()["archives"][0]
    assert (answer["where"], len(answer["added"]), len(answer["known"]), answer["dropped"]) == ("detached", 1, 1, 0)


@pytest.mark.usefixtures("folder")
def test_what_was_signed_before_an_error_is_told(keys: Path) -> None:
    result = tokar("sign", "--json", "a.tokar", "nothing", "--key", keys / "bob")
    assert (result.exit_code, [one["path"] for one in result.json()["archives"]]) == (1, ["a.tokar", "nothing"])
    assert result.json()["error"]["path"] == "nothing"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("a.tokar",), 2),
        (("a.tokar", "--key", "nothing"), 1),
        (("a.tokar", "--key", "a.tokar"), 1),
        (("nothing", "--key", "KEY"), 1),
        (("text", "--key", "KEY"), 3),
        (("cut", "--key", "KEY"), 5),
    ],
    ids=["no key", "key is not there", "key is none", "no archive", "text", "cut"],
)
def test_what_cannot_be_signed_is_a_typed_error(
    arguments: tuple[str, ...], code: int, folder: Path, keys: Path
) -> None:
    (folder / "text").write_text("text")
    (folder / "cut").write_bytes((folder / "a.tokar").read_bytes()[:-1])
    before = sorted(folder.iterdir())
    result = tokar("sign", *(str(keys / "alice") if one == "KEY" else one for one in arguments))
    assert (result.exit_code, sorted(folder.iterdir())) == (code, before)
    assert result.error


@pytest.mark.parametrize("key", ["nothing", "locked"])
def test_create_leaves_nothing_where_a_key_cannot_sign(key: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_ASKPASS", "/bin/false")
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")
    make_key(folder, "locked", "passphrase")
    (folder / "one").write_bytes(b"content")
    result = tokar("create", "-q", "--all", "new.tokar", "one", "--sign", key)
    assert result.exit_code == 1
    assert ("nothing" if key == "nothing" else "did not sign") in result.error
    assert not [one for one in folder.iterdir() if "new.tokar" in one.name]


def test_salvage_of_a_damaged_end_keeps_the_root_and_its_signatures(folder: Path, keys: Path) -> None:
    data = (folder / "a.tokar").read_bytes()
    (folder / "cut.tokar").write_bytes(data[:-30])
    tokar("salvage", "cut.tokar", "saved.tokar")
    assert (folder / "saved.tokar").read_bytes() == data
    done("verify", "saved.tokar", "--signed-by", keys / "alices")


def test_what_salvage_makes_anew_is_signed_by_nobody(folder: Path, keys: Path) -> None:
    data = bytearray((folder / "a.tokar").read_bytes())
    data[data.index(b"content", 500)] ^= 1
    (folder / "bad.tokar").write_bytes(data)
    tokar("salvage", "bad.tokar", "saved.tokar")
    assert tokar("verify", "bad.tokar", "--signed-by", keys / "alices").exit_code == 4, "signed, and damaged since"
    assert tokar("verify", "saved.tokar", "--signed-by", keys / "alices").exit_code == 10


def test_ten_thousand_signatures_are_refused_before_one_is_judged(folder: Path, keys: Path) -> None:
    archive = begun().entry().end().page().root()
    for _ in range(10_000):
        archive.lower_case(b"x" * 1000, kind=b"sign")
    (folder / "many.tokar").write_bytes(archive.finish().data)
    result = tokar("restore", "many.tokar", "--into", "out", "--signed-by", keys / "alices")
    assert (result.exit_code, "too many records after ROOT" in result.error) == (4, True)


@pytest.mark.slow
def test_a_chain_is_backed_up_signed_copied_and_restored_by_who_signed(folder: Path, keys: Path) -> None:
    done("lab", "new", "server")
    done("lab", "work", "server")
    done("backup", "-q", "lab:server", "full.tokar", "--type", "full", "--sign", keys / "alice")
    for name in ("one.tokar", "two.tokar"):
        done("lab", "work", "server")
        sign = ("--sign", keys / "alice", "--sign", keys / "bob")
        done("backup", "-q", "lab:server", name, "--type", "incremental", "--chain", ".", *sign)
    (folder / "a.tokar").unlink()
    copies = folder / "copies"
    copies.mkdir()
    for path in folder.glob("*.tokar*"):
        shutil.copy(path, copies)
    done("check", copies, "--content", "--signed-by", keys / "alices")
    done("restore", "--chain", copies, "--into", "out", "--signed-by", keys / "alices")
    assert [*folder.glob("out/*")]
    assert tokar("restore", "--chain", copies, "--into", "new", "--signed-by", keys / "bobs").exit_code == 10
    assert not (folder / "new").exists()
