"""Receipts: written whole, read strictly."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import ExistingFileError, InputError, StorageError
from tokar.sets.receipt import Receipt, Truncation, demand_free, read_receipt, receipt_path, write_receipt
from tokar.storage import durable

if TYPE_CHECKING:
    from pathlib import Path

RECEIPT = Receipt(
    "sealed", Truncation.TRUNCATING, {"id": "00"}, {"asked": "full"}, notes=("a",), calls=({"call": "x"},)
)


def test_a_receipt_comes_back(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "a.tokar", RECEIPT)
    assert path == tmp_path / "a.tokar.receipt.json"
    assert read_receipt(path) == RECEIPT


def test_a_later_receipt_replaces_an_earlier_one(tmp_path: Path) -> None:
    write_receipt(tmp_path / "a.tokar", RECEIPT)
    path = write_receipt(tmp_path / "a.tokar", replace(RECEIPT, truncation=Truncation.DONE))
    assert read_receipt(path).truncation is Truncation.DONE
    assert list(tmp_path.iterdir()) == [path]


def test_a_receipt_is_private(tmp_path: Path) -> None:
    path = write_receipt(tmp_path / "a.tokar", RECEIPT)
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_receipt_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot write the receipt"):
        write_receipt(tmp_path / "missing" / "a.tokar", RECEIPT)


def test_what_is_no_receipt_keeps_its_name(tmp_path: Path) -> None:
    receipt_path(tmp_path / "a.tokar").mkdir()
    assert write_receipt(tmp_path / "a.tokar", RECEIPT).name == "a.tokar.2.receipt.json"
    assert receipt_path(tmp_path / "a.tokar").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_a_pipe_in_the_place_of_a_receipt_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(receipt_path(tmp_path / "a.tokar"))
    with pytest.raises(ExistingFileError):
        demand_free(tmp_path / "a.tokar")
    assert write_receipt(tmp_path / "a.tokar", RECEIPT).name == "a.tokar.2.receipt.json"


def test_a_failure_replaces_no_receipt(tmp_path: Path) -> None:
    first = write_receipt(tmp_path / "a.tokar", RECEIPT)
    failed = replace(RECEIPT, outcome="failed", archive={})
    names = [write_receipt(tmp_path / "a.tokar", failed).name for _ in range(2)]
    assert names == ["a.tokar.2.receipt.json", "a.tokar.3.receipt.json"]
    assert read_receipt(first) == RECEIPT


def test_a_sealed_archive_replaces_the_receipt_of_a_failure_and_no_other(tmp_path: Path) -> None:
    failed = write_receipt(tmp_path / "a.tokar", replace(RECEIPT, outcome="failed", archive={}))
    assert write_receipt(tmp_path / "a.tokar", RECEIPT) == failed
    other = replace(RECEIPT, archive={**RECEIPT.archive, "id": "ff" * 16})
    for _ in range(2):
        assert write_receipt(tmp_path / "a.tokar", other).name == "a.tokar.2.receipt.json"
    assert read_receipt(failed) == RECEIPT


def test_a_receipt_that_cannot_be_named_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StorageError("no room")

    monkeypatch.setattr(durable, "rename_no_replace", refuse)
    with pytest.raises(StorageError, match="cannot write the receipt: no room"):
        write_receipt(tmp_path / "a.tokar", RECEIPT)
    assert list(tmp_path.iterdir()) == []


def test_a_receipt_that_is_not_there_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot read the receipt"):
        read_receipt(tmp_path / "a.receipt.json")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"form":"other"}', b"[" * 100_000])
def test_what_is_no_receipt_is_refused(data: bytes) -> None:
    with pytest.raises(InputError, match="no receipt"):
        Receipt.parse(data)


@pytest.mark.parametrize("key", ["outcome", "truncation", "archive", "backup", "end", "notes", "calls"])
def test_a_receipt_that_lacks_a_key_is_refused(key: str) -> None:
    value = json.loads(RECEIPT.build())
    del value[key]
    with pytest.raises(InputError):
        Receipt.parse(json.dumps(value).encode())


@examples(50)
@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(InputError):
        Receipt.parse(data)


def test_a_name_without_a_receipt_is_free(tmp_path: Path) -> None:
    demand_free(tmp_path / "a.tokar")


def test_a_receipt_of_a_failure_is_free(tmp_path: Path) -> None:
    write_receipt(tmp_path / "a.tokar", Receipt("failed", Truncation.NOT_INTENDED))
    demand_free(tmp_path / "a.tokar")


def test_a_receipt_of_a_sealed_archive_is_not_free(tmp_path: Path) -> None:
    write_receipt(tmp_path / "a.tokar", RECEIPT)
    with pytest.raises(ExistingFileError):
        demand_free(tmp_path / "a.tokar")
