"""Log records and pages as bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import InputError
from tokar.ese.logrecords import TextRecord
from tokar.ese.page import page_is_sealed, seal_page
from tokar.ese.pagerecords import SessionRecord
from tokar.ese.values import LogPosition, Signature
from tokar.lab.change_records import (
    Attach,
    BackupMark,
    Begin,
    Commit,
    Detach,
    Free,
    Opened,
    Put,
    Rollback,
    Split,
    decode_records,
    encode_record,
)
from tokar.lab.database_file import Page, pack_items, unpack_items
from tokar.lab.engine import EngineError
from tokar.replay.stream import SIMULATED

transactions, dbids, pages = st.integers(1, 0xFFFF), st.integers(1, 0xFF), st.integers(0, 2**32 - 1)
dbtimes = st.integers(0, 2**64 - 1)
signatures = st.builds(Signature, random=pages)
some_bytes = st.binary(max_size=40)
records = st.one_of(
    st.builds(Opened, pages),
    st.builds(Begin, transactions),
    st.builds(Commit, transactions),
    st.builds(Rollback, transactions),
    st.builds(
        Put,
        *(transactions, dbids, pages, dbtimes, dbtimes, some_bytes),
        st.none() | some_bytes,
        st.none() | some_bytes,
    ),
    st.builds(
        Split,
        *(transactions, dbids, pages, pages, dbtimes, dbtimes, some_bytes, pages),
        st.none() | st.binary(max_size=5000),
        dbtimes,
    ),
    st.builds(Free, *(transactions, dbids, pages, pages, dbtimes, dbtimes, dbtimes, pages, dbtimes)),
    st.builds(
        Attach,
        dbids,
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40),
        signatures,
        st.builds(LogPosition, byte=transactions, sector=transactions, generation=transactions),
        signatures,
    ),
    st.builds(Detach, dbids),
    st.builds(BackupMark, st.booleans()),
)
items = st.dictionaries(st.binary(min_size=1, max_size=20), st.binary(max_size=100), max_size=12)


@given(st.lists(records, max_size=6))
@examples(60)
def test_records_come_back_as_they_were(written: list[Put]) -> None:
    data = b"".join(encode_record(record) for record in written)
    assert [record for _, record in decode_records(data + bytes(9))] == written


@given(records, st.data())
@examples(40)
def test_a_record_that_is_not_all_there_ends_the_run(record: Put, data: st.DataObject) -> None:
    encoded = encode_record(record)
    cut = data.draw(st.integers(0, len(encoded) - 1))
    whole = encode_record(Begin(7))
    assert [found for _, found in decode_records(whole + encoded[:cut])] == [Begin(7)]


def test_a_kind_that_is_not_known_ends_the_run() -> None:
    assert list(decode_records(b"\x2a" + bytes(30))) == []


@given(items)
@examples(60)
def test_packed_items_come_back(held: dict[bytes, bytes]) -> None:
    assert unpack_items(pack_items(held)) == held


@given(items, st.booleans(), st.sampled_from([4096, 8192]))
@examples(60)
def test_a_page_comes_back_and_is_sealed(held: dict[bytes, bytes], ecc: bool, page_size: int) -> None:
    page = Page(7, dbtime=99, next_page=3, previous_page=2, low=b"low", items=held, free=False)
    data = page.to_bytes(page_size, ecc=ecc)
    assert len(data) == page_size
    assert page_is_sealed(data, 7)
    assert Page.from_bytes(data, 7) == page


def test_an_all_zero_page_is_free_and_was_never_used() -> None:
    assert Page.from_bytes(bytes(4096), 5) == Page(5)


@pytest.mark.parametrize("ecc", [False, True])
def test_a_damaged_page_is_refused(ecc: bool) -> None:
    data = bytearray(Page(5, dbtime=1, items={b"k": b"v"}, free=False).to_bytes(4096, ecc=ecc))
    data[50] ^= 4
    if ecc:
        assert Page.from_bytes(bytes(data), 5).items == {b"k": b"v"}  # one flipped bit is corrected
        data[51] ^= 4
    with pytest.raises(EngineError) as caught:
        Page.from_bytes(bytes(data), 5)
    assert (caught.value.code, caught.value.name) == (-1018, "JET_errReadVerifyFailure")


@pytest.mark.parametrize("ecc", [False, True])
def test_a_page_in_the_place_of_another_is_refused(ecc: bool) -> None:
    data = Page(5, dbtime=1, items={b"k": b"v"}, free=False).to_bytes(4096, ecc=ecc)
    with pytest.raises(EngineError):
        Page.from_bytes(data, 6)


def test_a_page_counts_the_record_that_is_replaced_as_room() -> None:
    page = Page(1, items={b"key": bytes(3000)}, free=False)
    assert page.fits(b"key", bytes(3500), 4096)
    assert not page.fits(b"other", bytes(3500), 4096)


@pytest.mark.parametrize(
    "data",
    [
        TextRecord(22, 0, 7, b"a remark".ljust(7)[:7]).pack(),
        TextRecord(22, 0, 9, SIMULATED).pack(),  # without a generation
        SessionRecord(57, 3).pack(),  # of a type that it does not write
        encode_record(Put(1, 1, 2, 3, 4, b"", b"v", None))[:-2] + b"\2v",
        encode_record(Put(1, 1, 2, 3, 4, b"", None, b"o"))[:-2] + b"\0o",
    ],
)
def test_a_record_of_another_engine_is_refused(data: bytes) -> None:
    with pytest.raises(EngineError) as caught:
        list(decode_records(encode_record(Commit(1)) + data))
    assert caught.value.code == -501


def test_a_number_that_has_no_place_in_a_record_is_refused() -> None:
    with pytest.raises(InputError, match="RollbackRecord"):
        encode_record(Rollback(1 << 16))


@pytest.mark.parametrize(
    "body",
    [b"\xff\xff", b"\0\0\1\0\0", b"\0\0\xff\xff\0\0", b"\0\0\1\0\1\0k"],
)
def test_a_page_of_another_engine_is_refused(body: bytes) -> None:
    page = bytearray(Page(2, items={b"k": b"v"}, free=False).to_bytes(4096, ecc=True))
    page[32:34] = len(body).to_bytes(2, "little")
    page[40:] = body.ljust(4096 - 40, b"\0")
    with pytest.raises(EngineError) as caught:
        Page.from_bytes(seal_page(bytes(page), 2), 2)
    assert caught.value.code == -1206
