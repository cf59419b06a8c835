"""Age files that a passphrase opens."""

from __future__ import annotations

import base64
import resource

import pyrage
import pytest
from fixtures.cases_encryption import BY_WORDS, KEY, RECIPIENTS, WORDS

from tokar.trust.passphrase import open_with_passphrase, seal_with_passphrase

pytestmark = pytest.mark.usefixtures("easy_work")


def test_what_was_sealed_is_opened_by_its_passphrase_alone() -> None:
    sealed = seal_with_passphrase(KEY, "correct horse")
    assert open_with_passphrase(sealed, "correct horse") == KEY
    assert open_with_passphrase(sealed, "correct horsf") is None
    assert open_with_passphrase(sealed, "") is None


def test_two_files_of_one_passphrase_have_nothing_in_common() -> None:
    one, two = (seal_with_passphrase(KEY, "words").splitlines()[1:] for _ in range(2))
    assert not set(one) & set(two)


def test_age_opens_what_was_sealed_here() -> None:
    assert pyrage.passphrase.decrypt(seal_with_passphrase(KEY, "wörds"), "wörds") == KEY


@pytest.mark.torture
def test_what_age_sealed_is_opened_however_much_work_it_asks_for() -> None:
    assert open_with_passphrase(base64.b64decode(BY_WORDS), WORDS) == KEY


def test_text_that_stands_for_the_same_bytes_in_another_way_is_not_opened() -> None:
    sealed = seal_with_passphrase(KEY, "words")
    lines = sealed.split(b"\n", 3)
    for text in (lines[1].split()[2], lines[2], lines[3][4:47]):
        spoilt = text[:-1] + bytes([text[-1] ^ 1])  # a bit beyond the last byte, or a digit that is none
        assert open_with_passphrase(sealed.replace(text, spoilt), "words") is None, text


def test_a_byte_that_is_changed_anywhere_is_noticed() -> None:
    sealed = seal_with_passphrase(KEY, "words")
    work = sealed.index(b"\n", sealed.index(b"scrypt"))
    for at in range(len(sealed)):
        spoilt = bytearray(sealed)
        spoilt[at] ^= 1
        if at != work - 1:  # that is the work, which another digit makes longer
            assert open_with_passphrase(bytes(spoilt), "words") is None, at


@pytest.mark.parametrize("size", [0, 1, 20, 100, -1, -16, -33])
def test_what_is_cut_is_not_opened(size: int) -> None:
    assert open_with_passphrase(seal_with_passphrase(KEY, "words")[:size], "words") is None


def test_more_work_than_age_takes_is_not_begun() -> None:
    sealed = seal_with_passphrase(KEY, "words")
    line = sealed.splitlines()[1]
    for work in (b"23", b"99"):
        assert open_with_passphrase(sealed.replace(line, line.rpartition(b" ")[0] + b" " + work), "words") is None


def test_the_most_work_that_age_takes_ends_at_memory_alone() -> None:
    sealed = seal_with_passphrase(KEY, "words")
    line = sealed.splitlines()[1]
    most = sealed.replace(line, line.rpartition(b" ")[0] + b" 22")
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (3 << 30, before[1]))  # it takes 4 GiB
    try:
        with pytest.raises(MemoryError):
            open_with_passphrase(most, "words")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_file_for_recipients_is_not_opened_by_a_passphrase() -> None:
    assert open_with_passphrase(base64.b64decode(RECIPIENTS), WORDS) is None
    assert open_with_passphrase(b"", WORDS) is None
