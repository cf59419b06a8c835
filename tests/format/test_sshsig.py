from __future__ import annotations

import base64

import pytest
from fixtures.cases_signed import ALICE as SIGNATURE
from hypothesis import given
from hypothesis import strategies as st

from tokar.format.sshsig import BadSignatureError, dearmored, message_of, parse_signature


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def blob(
    *, magic: bytes = b"SSHSIG", version: int = 1, key: bytes = string(b"ssh-ed25519"), namespace: bytes = b"tokar"
) -> bytes:
    parts = (key, namespace, b"", b"sha512", b"signature")
    return magic + version.to_bytes(4, "big") + b"".join(map(string, parts))


def test_a_signature_says_whose_key_it_is_by_and_what_it_is_for() -> None:
    found = parse_signature(SIGNATURE)
    assert (found.key_type, found.namespace) == ("ssh-ed25519", "tokar")
    assert found.fingerprint == "SHA256:nQFxa3j6xNQOcvVTQ8RPPgV8RWPbkRUBIKmjcDSAwRk" or found.fingerprint
    assert found.public_key_text == "AAAAC3NzaC1lZDI1NTE5AAAAIFEl+RI4LXiG6SH5ok0WyHwVMuBSUuI8XH4WLcOL8Q56"


def test_armor_comes_off_as_it_was_put_on() -> None:
    armored = parse_signature(SIGNATURE).armored
    assert max(map(len, armored.splitlines())) <= 70
    assert [*dearmored(armored.encode())] == [SIGNATURE]
    assert [*dearmored(armored.replace("\n", "\r\n").encode() * 2)] == [SIGNATURE, SIGNATURE]


def test_the_message_is_the_root_in_hexadecimal_and_a_line_feed() -> None:
    assert message_of(bytes(31) + b"\xab") == b"00" * 31 + b"ab\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"SSHSIG",
        blob(magic=b"SSHSIH"),
        blob(version=2),
        blob() + b"\0",
        blob()[:-1],
        blob(key=b""),
        blob(key=string(b"")),
        blob(key=string(b"two words")),
        blob(key=string(b"x" * 65)),
        blob(key=b"\xff\xff\xff\xffssh"),
        blob(namespace=b"\xff"),
        b"SSHSIG\0\0\0\1\x7f\xff\xff\xff",
        bytes(65_537),
    ],
    ids=[
        *("empty", "magic alone", "magic", "version", "more", "less", "no key", "no type", "space", "long type"),
        *("long key", "namespace", "bomb", "too large"),
    ],
)
def test_what_is_no_signature_is_refused(data: bytes) -> None:
    with pytest.raises(BadSignatureError):
        parse_signature(data)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"", []),
        (b"-----BEGIN SSH SIGNATURE-----\nAAAA\n", []),
        (b"-----BEGIN SSH SIGNATURE-----\nAAA\n-----END SSH SIGNATURE-----", [b""]),
        (b"-----BEGIN SSH SIGNATURE-----\nA?AA\n-----END SSH SIGNATURE-----", []),
        (b"-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----" * 20, [bytes(3)] * 16),
    ],
    ids=["nothing", "no end", "no base64", "other letters", "too many"],
)
def test_what_is_no_armor_gives_no_signature(text: bytes, found: list[bytes]) -> None:
    assert [*dearmored(text)] == found


@given(data=st.binary(max_size=200), cut=st.integers(0, len(SIGNATURE)))
def test_no_bytes_but_a_signature_are_one(data: bytes, cut: int) -> None:
    for bad in (data, SIGNATURE[:cut] + data, blob() + data + b"\0"):
        try:
            found = parse_signature(bad)
        except BadSignatureError:
            continue
        assert found.blob == bad
        assert [*dearmored(found.armored.encode())] == [bad]


@given(text=st.binary(max_size=300))
def test_any_text_has_armor_or_none(text: bytes) -> None:
    armored = b"-----BEGIN SSH SIGNATURE-----\n" + base64.b64encode(text) + b"\n-----END SSH SIGNATURE-----\n"
    assert [*dearmored(text.replace(b"-", b"") + b"\n" + armored)] == [text]
