from __future__ import annotations

import os
from pathlib import Path

import pytest
from signed import make_archive, make_key, needs_ssh_keygen, public, run, signers

import tokar as library
from tokar.errors import InputError, NotSignedError, SigningError, StorageError
from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import parse_signature
from tokar.trust import ssh_keygen
from tokar.trust.signatures import (
    AllowedSigners,
    FoundSignature,
    SignedVerdict,
    Signer,
    Where,
    found_signatures,
    signatures_of,
)
from tokar.trust.signing import sign_archive

pytestmark = needs_ssh_keygen
ROOT, OTHER_ROOT = bytes(range(32)), bytes(32)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the keys of alice and bob."""
    folder = tmp_path_factory.mktemp("keys")
    make_key(folder, "alice")
    make_key(folder, "bob")
    return folder


@pytest.fixture(scope="module")
def by_alice(keys: Path) -> FoundSignature:
    """A signature of alice."""
    (made,) = Signer([keys / "alice"]).sign(ROOT)
    return FoundSignature(Where.EMBEDDED, made)


def verdict(found: FoundSignature, allowed: Path, revoked: Path | None = None, root: bytes = ROOT) -> str:
    return AllowedSigners(allowed, revoked=revoked).judge(root, found)[0].value


def test_a_listed_signer_is_allowed_by_the_name_in_the_list(
    keys: Path, by_alice: FoundSignature, tmp_path: Path
) -> None:
    allowed = signers(tmp_path, "# people", f"bob@x {public(keys / 'bob')}", f"alice@x {public(keys / 'alice')} me")
    assert AllowedSigners(allowed).judge(ROOT, by_alice) == (SignedVerdict.ALLOWED, "alice@x")


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("*@x,alice@x KEY", "alice@x"),
        ("!eve@x,*@x KEY", "*@x"),
        ('"alice@x" KEY', "alice@x"),
        ('alice@x namespaces="file,tokar" KEY', "alice@x"),
        ('alice@x valid-after="20200101" KEY', "alice@x"),
        ("alice@x\tKEY\r", "alice@x"),
        ("eve@x valid-before=20200101 KEY\nalice@x KEY", "alice@x"),
        ("nonsense\nalice@x KEY", "alice@x"),
    ],
    ids=["pattern", "negated", "quoted", "namespaces", "valid", "tab", "second line", "bad line before"],
)
def test_lists_are_read_as_ssh_keygen_reads_them(
    line: str, name: str, keys: Path, by_alice: FoundSignature, tmp_path: Path
) -> None:
    allowed = signers(tmp_path, line.replace("KEY", public(keys / "alice")))
    assert AllowedSigners(allowed).judge(ROOT, by_alice) == (SignedVerdict.ALLOWED, name)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("", "unknown"),
        ("bob@x BOB", "unknown"),
        ("# alice@x ALICE", "unknown"),
        ('alice@x valid-before="20200101" ALICE', "not-now"),
        ('alice@x valid-after="20990101" ALICE', "not-now"),
        ('alice@x namespaces="git" ALICE', "not-allowed"),
        ("alice@x cert-authority ALICE", "not-allowed"),
        ('"" ALICE', "not-allowed"),
    ],
    ids=["nobody", "somebody else", "comment", "expired", "not yet", "other purpose", "authority", "nameless"],
)
def test_a_signer_whom_the_list_does_not_allow_is_refused_by_name(
    line: str, word: str, keys: Path, by_alice: FoundSignature, tmp_path: Path
) -> None:
    line = line.replace("ALICE", public(keys / "alice")).replace("BOB", public(keys / "bob"))
    assert verdict(by_alice, signers(tmp_path, line)) == word


def test_a_revoked_key_is_refused_although_it_is_listed(keys: Path, by_alice: FoundSignature, tmp_path: Path) -> None:
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    assert verdict(by_alice, allowed, signers(tmp_path, public(keys / "bob"), name="others")) == "allowed"
    assert verdict(by_alice, allowed, signers(tmp_path, public(keys / "alice"), name="revoked")) == "revoked"
    krl = tmp_path / "krl"
    assert run("-k", "-f", krl, keys / "alice.pub").returncode == 0
    assert verdict(by_alice, allowed, krl) == "revoked"


def test_a_list_of_revoked_keys_that_is_none_lets_nobody_pass(
    keys: Path, by_alice: FoundSignature, tmp_path: Path
) -> None:
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    (tmp_path / "junk").write_bytes(b"SSHKRL\n\0" + bytes(40))
    assert verdict(by_alice, allowed, tmp_path / "junk") == "revoked"


@pytest.mark.parametrize("text", ["", "\n", "# nobody so far\n\n"])
def test_a_list_of_revoked_keys_that_came_out_empty_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="nobody is revoked") as caught:
        AllowedSigners(signers(tmp_path, ""), revoked=signers(tmp_path, text, name="revoked"))
    assert "leave out --revoked" in str(caught.value.hint)


def test_a_signature_over_another_root_is_refused(keys: Path, by_alice: FoundSignature, tmp_path: Path) -> None:
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    assert verdict(by_alice, allowed, root=OTHER_ROOT) == "other-root"


def test_a_signature_that_was_changed_is_refused(keys: Path, by_alice: FoundSignature, tmp_path: Path) -> None:
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    assert by_alice.signature is not None
    blob = bytearray(by_alice.signature.blob)
    blob[-1] ^= 1
    (changed,) = found_signatures([TrailingRecord(records.SIGN, bytes(blob))])
    assert verdict(changed, allowed) == "other-root"
    (cut,) = found_signatures([TrailingRecord(records.SIGN, bytes(blob[:-1]))])
    assert verdict(cut, allowed) == "damaged"


def test_a_signature_for_another_purpose_is_refused(keys: Path, tmp_path: Path) -> None:
    allowed = signers(tmp_path, f"alice@x {public(keys / 'alice')}")
    text = run("-Y", "sign", "-f", keys / "alice", "-n", "file", stdin=ROOT.hex().encode() + b"\n").stdout
    (tmp_path / "a.sig").write_bytes(text)
    (found,) = found_signatures([], tmp_path / "a")
    assert verdict(found, allowed) == "other-namespace"


def test_a_certificate_is_allowed_by_its_authority(keys: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path, "carol")
    assert run("-q", "-s", keys / "bob", "-I", "id", "-n", "carol@x", f"{key}.pub").returncode == 0
    (made,) = Signer([tmp_path / "carol-cert.pub"]).sign(ROOT)
    found = FoundSignature(Where.DETACHED, made)
    allowed = signers(tmp_path, f"*@x cert-authority {public(keys / 'bob')}")
    assert AllowedSigners(allowed).judge(ROOT, found) == (SignedVerdict.ALLOWED, "carol@x")
    assert verdict(found, signers(tmp_path, f"*@y cert-authority {public(keys / 'bob')}", name="other")) == "unknown"


def test_one_allowed_signature_is_enough_wherever_it_is(keys: Path, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.tokar")
    allowed = AllowedSigners(signers(tmp_path, f"bob@x {public(keys / 'bob')}"))
    with Archive(path) as archive:
        text = "".join(one.armored for one in Signer([keys / "alice", keys / "bob"]).sign(archive.root))
        Path(f"{path}.sig").write_text(f"junk\n{text}")
        accepted = allowed.demand(archive)
    assert (accepted.principal, accepted.where, accepted.root) == ("bob@x", Where.DETACHED, archive.root)
    assert str(accepted).startswith("signed by bob@x (ssh-ed25519 SHA256:")
    assert allowed.accepted == [accepted]


def test_an_archive_that_nobody_signed_is_refused(keys: Path, tmp_path: Path) -> None:
    allowed = AllowedSigners(signers(tmp_path, f"bob@x {public(keys / 'bob')}"))
    with Archive(make_archive(tmp_path / "a.tokar")) as archive, pytest.raises(NotSignedError) as caught:
        allowed.demand(archive)
    assert (caught.value.message, caught.value.exit_code) == ("nobody signed this archive", 10)


def test_every_signature_that_was_refused_is_named_with_the_reason(keys: Path, tmp_path: Path) -> None:
    allowed = AllowedSigners(signers(tmp_path, f"bob@x {public(keys / 'bob')}"))
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.after_root = lambda root: [
            TrailingRecord(records.SIGN, b"junk"),
            *Signer([keys / "bob"]).records(OTHER_ROOT),
            *Signer([keys / "alice"]).records(root),
        ]
    with Archive(tmp_path / "a.tokar") as archive, pytest.raises(NotSignedError) as caught:
        allowed.demand(archive)
    for text in ("embedded signature: it is damaged", "not over this root", "its key is not in the list"):
        assert text in caught.value.message


@pytest.mark.parametrize("what", ["junk", "huge", "folder", "pipe", "gpg"])
def test_what_lies_beside_and_is_no_signature_is_no_fault_of_the_archive(what: str, tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.tokar")
    beside = Path(f"{path}.sig")
    if what == "folder":
        beside.mkdir()
    elif what == "pipe":
        os.mkfifo(beside)
    elif what == "huge":
        with beside.open("wb") as file:
            file.truncate(1 << 40)
    else:
        beside.write_bytes(b"-----BEGIN PGP SIGNATURE-----\n" if what == "gpg" else b"junk")
    with Archive(path) as archive:
        (found,) = signatures_of(archive)
    assert found.signature is None
    assert found.damage
    assert {key for key, value in found.to_json().items() if value is not None} == {"where", "damage"}


def test_what_is_wrong_with_a_damaged_signature_is_told(tmp_path: Path) -> None:
    path = make_archive(tmp_path / "a.tokar")
    Path(f"{path}.sig").mkdir()
    with Archive(path) as archive, pytest.raises(NotSignedError, match=r"it is damaged \(.*directory"):
        AllowedSigners(signers(tmp_path, "")).demand(archive)


def test_an_archive_has_its_signature_under_every_name_that_leads_to_it(
    keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    path = make_archive(tmp_path / "real" / "a.tokar")
    sign_archive(path, Signer([keys / "alice"]))
    (tmp_path / "newest.tokar").symlink_to(path)
    (tmp_path / "folder").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    for name in ("newest.tokar", "folder/a.tokar", "real/a.tokar", str(path)):
        with Archive(name) as archive:
            assert [one.where for one in signatures_of(archive)] == [Where.DETACHED], name
    sign_archive("newest.tokar", Signer([keys / "bob"]))
    with Archive("newest.tokar") as archive:
        AllowedSigners(signers(tmp_path, f"bob@x {public(keys / 'bob')}")).demand(archive)


def test_an_archive_whose_name_leaves_no_room_for_a_signature_beside_it_is_signed_inside(
    keys: Path, tmp_path: Path
) -> None:
    path = make_archive(tmp_path / ("a" * 252))
    with Archive(path) as archive:
        assert signatures_of(archive) == []
    with pytest.raises(StorageError, match="too long"):
        sign_archive(path, Signer([keys / "alice"]))
    sign_archive(path, Signer([keys / "alice"]), embed=True)
    with Archive(path) as archive:
        AllowedSigners(signers(tmp_path, f"alice@x {public(keys / 'alice')}")).demand(archive)


def test_sixteen_signatures_are_made_and_no_more(keys: Path) -> None:
    assert len(Signer([keys / "alice"] * 16).records(ROOT)) == 16
    with pytest.raises(InputError, match="17 keys"):
        Signer([keys / "alice"] * 17).demand_keys()


def test_a_list_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open"):
        AllowedSigners(tmp_path / "nothing")
    with pytest.raises(StorageError, match="cannot open"):
        AllowedSigners(signers(tmp_path, ""), revoked=tmp_path / "nothing")


def test_a_list_in_another_encoding_is_named_as_such(keys: Path, tmp_path: Path) -> None:
    (tmp_path / "wide").write_text(f"alice@x {public(keys / 'alice')}", encoding="utf-16")
    with pytest.raises(InputError, match="plain text"):
        AllowedSigners(tmp_path / "wide")


def test_what_ssh_keygen_has_against_a_signature_is_shown(
    keys: Path, by_alice: FoundSignature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowed = AllowedSigners(signers(tmp_path, f"alice@x {public(keys / 'alice')}"))
    (tmp_path / "ssh-keygen").write_text("#!/bin/sh\necho No user exists for uid 12345 >&2\nexit 255\n")
    (tmp_path / "ssh-keygen").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotSignedError, match="No user exists for uid 12345"):
        allowed.demand_signed(ROOT, [by_alice], "a.tokar")


def test_without_ssh_keygen_nothing_is_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SigningError, match="none in PATH") as caught:
        AllowedSigners(signers(tmp_path, ""))
    assert "OpenSSH" in (caught.value.hint or "")


def test_what_ssh_keygen_returns_is_checked_before_it_is_kept(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (made,) = Signer([keys / "alice"]).sign(OTHER_ROOT)
    for text, why in ((made.armored.encode(), "not right"), (b"Signed.\n", "returned no signature")):
        monkeypatch.setattr(ssh_keygen, "sign", lambda *_, _text=text: _text)
        with pytest.raises(SigningError, match=why):
            Signer([keys / "alice"]).sign(ROOT)


def test_what_is_tried_out_is_never_the_root_of_anything(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    messages: list[bytes] = []
    original = ssh_keygen.sign

    def noted(message: bytes, key: Path, waiting: None) -> bytes:
        messages.append(message)
        return original(message, key, waiting)

    monkeypatch.setattr(ssh_keygen, "sign", noted)
    Signer([keys / "alice"]).try_out()
    assert messages == [b"tokar: can this key sign?\n"]


def test_a_signature_is_the_same_text_for_ssh_keygen(by_alice: FoundSignature) -> None:
    assert by_alice.signature is not None
    assert parse_signature(by_alice.signature.blob) == by_alice.signature
