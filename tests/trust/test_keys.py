"""K, what is derived from it, and the cipher of an entry (spec/format.md section 15)."""

from __future__ import annotations

import copy
import pickle
import struct
import sys
from typing import TYPE_CHECKING, NoReturn

import pytest
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tokar.errors import ExhaustedError, MissingExtraError
from tokar.trust.keys import ArchiveKey
from tokar.trust.packages import load

if TYPE_CHECKING:
    from collections.abc import Callable

K = bytes(range(32))
AAD = struct.pack("<IIB", 7, 5, 0)


def test_the_key_id_is_what_the_specification_derives() -> None:
    assert ArchiveKey(K).key_id == blake3(K, derive_key_context="tokar 1 key id").digest()[:16]


def test_a_chunk_is_sealed_by_key_nonce_and_associated_data_of_the_specification() -> None:
    content_key = blake3(K + b"\3\0\0\0", derive_key_context="tokar 1 content").digest()
    expected = AESGCM(content_key).encrypt(struct.pack("<I", 7) + bytes(8), b"tokar", AAD)
    assert ArchiveKey(K).cipher(3).seal(7, AAD, b"tokar") == expected


def test_the_digest_is_keyed_by_the_stream() -> None:
    expected = blake3(b"tokar", key=blake3(K + b"\3\0\0\0", derive_key_context="tokar 1 digest").digest())
    assert ArchiveKey(K).cipher(3).hasher().update(b"tokar").digest() == expected.digest()


@pytest.mark.parametrize(
    ("stream", "chunk", "associated"),
    [(4, 7, AAD), (3, 8, AAD), (3, 7, struct.pack("<IIB", 7, 6, 0)), (3, 7, struct.pack("<IIB", 7, 5, 2))],
    ids=["stream", "chunk", "size", "codec"],
)
def test_what_was_sealed_is_not_opened_in_another_place(stream: int, chunk: int, associated: bytes) -> None:
    key = ArchiveKey(K)
    sealed = key.cipher(3).seal(7, AAD, b"tokar")
    assert key.cipher(3).open(7, AAD, sealed) == b"tokar"
    assert key.cipher(stream).open(chunk, associated, sealed) is None


@pytest.mark.parametrize("size", range(16))
def test_what_is_shorter_than_a_tag_is_not_opened(size: int) -> None:
    assert ArchiveKey(K).cipher(1).open(0, AAD, bytes(size)) is None


def test_another_key_opens_nothing() -> None:
    assert ArchiveKey().cipher(1).open(0, AAD, ArchiveKey(K).cipher(1).seal(0, AAD, b"")) is None


def test_every_key_is_another_one() -> None:
    assert len({ArchiveKey().key_id for _ in range(100)}) == 100


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_key_is_neither_stored_nor_copied(take: Callable[[object], object]) -> None:
    with pytest.raises(TypeError):
        take(ArchiveKey(K))


def test_a_key_that_is_printed_does_not_show_itself() -> None:
    assert K.hex() not in f"{ArchiveKey(K)!r} {ArchiveKey(K)}"
    assert "material" not in repr(ArchiveKey(K))


def test_a_package_that_memory_does_not_do_for_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> NoReturn:
        raise ImportError("libssl.so: failed to map segment from shared object")

    monkeypatch.setattr("tokar.trust.packages.import_module", fail)
    with pytest.raises(ExhaustedError, match="too little memory to load the package cryptography") as caught:
        load("cryptography.x509")
    assert "ulimit" in caught.value.hint_text


@pytest.mark.parametrize("name", ["cryptography", "pyrage"])
def test_a_package_that_is_missing_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=name) as caught:
        load(name)
    assert "[trust]" in str(caught.value.hint) or name in str(caught.value.hint)  # as it was installed
