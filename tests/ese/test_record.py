from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.errors import HeaderError, InputError
from tokar.ese.attachment import Environment, _Entry
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader
from tokar.ese.flushmap import FlushMap
from tokar.ese.log import LogHeader
from tokar.ese.page import PageHeader
from tokar.ese.record import Record, layout
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature

SIZES: dict[type[Record], int] = {
    LogPosition: 8,
    LogTime: 8,
    Signature: 28,
    BackupInfo: 24,
    _Entry: 64,
    Environment: 567,
    DatabaseHeader: 748,
    LogHeader: 2719,
    Checkpoint: 2727,
    FlushMap: 671,
    PageHeader: 40,
}
RECORDS = list(SIZES)


def as_dictionary(container: Any) -> Any:
    """A construct container as plain dictionaries, for comparing."""
    if isinstance(container, dict):
        return {key: as_dictionary(value) for key, value in container.items() if key != "_io"}
    return container


def as_fields(record: Any) -> Any:
    if isinstance(record, Record):
        names = (field.name for field in dataclasses.fields(record))  # type: ignore[arg-type] # a dataclass
        return {name: as_fields(getattr(record, name)) for name in names}
    return record


@pytest.mark.parametrize(("record", "size"), SIZES.items())
def test_a_declaration_takes_the_bytes_of_its_table(record: type[Record], size: int) -> None:
    assert record.layout_size() == size
    assert layout(record).sizeof() == size


@pytest.mark.parametrize("record", RECORDS)
@examples(20)
@given(data=st.data())
def test_the_packer_agrees_with_the_construct_declaration(record: type[Record], data: st.DataObject) -> None:
    stored = data.draw(st.binary(min_size=SIZES[record], max_size=SIZES[record]))
    parsed = record.unpack(stored)
    container = layout(record).parse(stored)
    assert as_fields(parsed) == as_dictionary(container)
    assert parsed.pack() == stored == layout(record).build(container)


@pytest.mark.parametrize("record", RECORDS)
def test_too_few_bytes_are_refused(record: type[Record]) -> None:
    with pytest.raises(HeaderError, match=f"takes {SIZES[record]} bytes, {SIZES[record] - 1} are here"):
        record.unpack(bytes(SIZES[record] - 1))


def test_an_offset_past_the_end_is_refused() -> None:
    with pytest.raises(HeaderError, match="0 are here"):
        LogPosition.unpack(bytes(8), 100)


def test_a_value_too_large_for_its_field_is_refused() -> None:
    with pytest.raises(InputError, match="LogPosition"):
        LogPosition(sector=0x10000).pack()
