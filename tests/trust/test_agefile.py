"""The header of an age file, read without a key."""

from __future__ import annotations

import base64

import pyrage
import pytest
from fixtures.cases_encryption import BY_WORDS, FOR_SSH, RECIPIENTS

from tokar.errors import FormatError
from tokar.trust.agefile import recipient_kinds

START = b"age-encryption.org/v1\n"
END = b"--- " + b"A" * 43 + b"\n"


@pytest.mark.parametrize(
    ("text", "kinds"), [(RECIPIENTS, ["X25519"]), (BY_WORDS, ["scrypt"]), (FOR_SSH, ["ssh-ed25519"])]
)
def test_the_kinds_of_the_recipients_are_told(text: str, kinds: list[str]) -> None:
    assert recipient_kinds(base64.b64decode(text)) == kinds


def test_every_recipient_counts() -> None:
    made = [pyrage.x25519.Identity.generate().to_public() for _ in range(3)]
    assert recipient_kinds(pyrage.encrypt(b"K", made)) == ["X25519"] * 3


def test_what_is_there_to_confuse_readers_is_no_recipient() -> None:
    assert recipient_kinds(START + b"-> X25519 abc\nAAAA\n-> x-grease 1 2\n\n" + END) == ["X25519"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"-----BEGIN AGE ENCRYPTED FILE-----\n",
        START,
        START + b"-> X25519 abc\nAAAA\n",
        START + b"AAAA\n" + END,
        START + b"-> \n" + END,
        START + b"-> X25519 abc\n" + b"A" * 65 + b"\n" + END,
        START + b"-> X25519 a\x80c\n" + END,
        START + b"-> X25519 abc\r\n" + END,
    ],
)
def test_what_is_no_header_of_age_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="age file"):
        recipient_kinds(data)


def test_a_header_of_the_greatest_size_takes_no_time() -> None:
    assert len(recipient_kinds(START + b"-> a\n" * 13_000 + END)) == 13_000
