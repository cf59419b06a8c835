"""What the signatures of the fixtures are worth: to ssh-keygen, to the project, and to arithmetic."""

from __future__ import annotations

import base64
import hashlib
import shutil
import struct
from typing import TYPE_CHECKING

import pytest
from conformance_cases import FIXTURES, Expectation, names, split
from format_tools import opened
from signed import needs_ssh_keygen, run

from tokar.trust.signatures import AllowedSigners, signatures_of

if TYPE_CHECKING:
    from pathlib import Path

ALLOWED, REVOKED = FIXTURES / "signers" / "allowed", FIXTURES / "signers" / "revoked"
SIGNED = names("good-sign")


def blobs(case: Expectation) -> list[bytes]:
    """The signatures of a fixture."""
    return [bytes(part.body) for part in split(case.data) if part.kind == b"sign"]


def strings(data: bytes) -> list[bytes]:
    """The strings that follow each other."""
    found = []
    while data:
        (size,) = struct.unpack_from(">I", data)
        found.append(data[4 : 4 + size])
        data = data[4 + size :]
    return found


def is_right(blob: bytes, root: bytes) -> bool:
    """Verify a signature of Ed25519 by what PROTOCOL.sshsig says, without ssh-keygen and without the project."""
    ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415

    assert blob[:10] == b"SSHSIG\0\0\0\1"
    key, namespace, reserved, algorithm, signature = strings(blob[10:])
    (kind, point), (own_kind, made) = strings(key), strings(signature)
    assert (kind, own_kind, reserved) == (b"ssh-ed25519", b"ssh-ed25519", b"")
    message = hashlib.new(algorithm.decode(), root.hex().encode() + b"\n").digest()
    parts = (namespace, reserved, algorithm, message)
    covered = b"SSHSIG" + b"".join(struct.pack(">I", len(one)) + one for one in parts)
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(point).verify(made, covered)
    except InvalidSignature:
        return False
    return namespace == b"tokar"


@pytest.mark.parametrize("name", SIGNED)
def test_arithmetic_says_which_signatures_are_right(name: str) -> None:
    case = Expectation.load(name)
    assert case.root is not None
    wrong = {"other-root", "other-namespace"}
    for blob, verdict in zip(blobs(case), case.signatures, strict=True):
        if verdict != "damaged":
            assert is_right(blob, case.root) == (verdict not in wrong), verdict


@needs_ssh_keygen
@pytest.mark.parametrize("name", SIGNED)
def test_a_reader_says_what_each_signature_is_worth(name: str) -> None:
    case, signers = Expectation.load(name), AllowedSigners(ALLOWED, revoked=REVOKED)
    archive = opened(case.data)
    found = signatures_of(archive)
    assert tuple(signers.judge(archive.root, one)[0].value for one in found) == case.signatures
    known = {one.signature.blob: one for one in found if one.signature}
    assert {one.signature.fingerprint for one in known.values() if one.signature} == {
        "SHA256:" + base64.b64encode(hashlib.sha256(strings(blob[10:])[0]).digest()).decode().rstrip("=")
        for blob in known
    }


@needs_ssh_keygen
@pytest.mark.parametrize("name", SIGNED)
def test_ssh_keygen_alone_says_the_same(name: str, tmp_path: Path) -> None:
    case = Expectation.load(name)
    assert case.root is not None
    shutil.copy(ALLOWED, tmp_path / "allowed")
    for blob, verdict in zip(blobs(case), case.signatures, strict=True):
        text = base64.encodebytes(blob).decode()
        (tmp_path / "sig").write_text(f"-----BEGIN SSH SIGNATURE-----\n{text}-----END SSH SIGNATURE-----\n")
        results = [
            run(*("-Y", "verify", "-I", f"{who}@example.com", "-n", "tokar", "-f", ALLOWED, "-r", REVOKED),
                *("-s", tmp_path / "sig"), stdin=case.root.hex().encode() + b"\n").returncode
            for who in ("alice", "carol", "dave")
        ]  # fmt: skip
        assert (0 in results) == (verdict == "allowed"), verdict


def test_taking_a_signature_away_leaves_the_worked_example() -> None:
    signed, plain = Expectation.load("good-sign"), Expectation.load("good-worked-example")
    assert (signed.id, signed.root) == (plain.id, plain.root)
    assert [part.kind for part in split(signed.data) if part.kind != b"sign"] == [
        part.kind for part in split(plain.data)
    ]
