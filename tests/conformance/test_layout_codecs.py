"""The fast packers and the construct declarations they come from agree on every record of every fixture."""

from __future__ import annotations

from typing import Any

import pytest
from conformance_cases import Expectation, names, split
from construct import ConstError

from tokar.format import records
from tokar.format.records import Packer

BODIES = {
    b"FILE": records.FILE_BODY,
    b"DATA": records.DATA_BODY,
    b"DONE": records.DONE_BODY,
    b"INDX": records.INDX_BODY,
    b"ROOT": records.ROOT_BODY,
    b"TAIL": records.TAIL_BODY,
}


def demand_agreement(layout: Any, data: bytes) -> None:
    packer = Packer(layout)
    data = data[: packer.size]
    if len(data) < packer.size:
        return
    values = packer.unpack(data)
    assert packer.pack(*values) == data
    named = dict(zip(packer.fields, values, strict=True))
    if named.get("zero") not in (None, 0, bytes(3)):
        with pytest.raises(ConstError):
            layout.parse(data)
        return
    parsed = layout.parse(data)
    assert {name: parsed[name] for name in packer.fields} == named
    assert layout.build(named) == data


def test_packers_and_declarations_agree_on_every_record() -> None:
    for name in names():
        data = Expectation.load(name).data
        demand_agreement(records.PREAMBLE, data)
        at = 32
        for part in split(data):
            demand_agreement(records.RECORD_HEAD, data[at : at + 64])
            if part.kind in BODIES:
                body = bytes(part.body[-16:] if part.kind == b"DATA" else part.body)
                demand_agreement(BODIES[part.kind], body)
            at += 64 + len(part.body)


def test_packers_and_declarations_agree_on_the_rows_of_root() -> None:
    for name in names("good-"):
        body = bytes(next(part.body for part in split(Expectation.load(name).data) if part.kind == b"ROOT"))
        for at in range(40, len(body), 48):
            demand_agreement(records.ROOT_ROW, body[at:])


def test_the_columns_of_a_page_are_those_of_its_rows() -> None:
    names_of = {"size", "file_position", "done_position", "digest", "done_check", "name_end"}
    from_file = {name for name in Packer(records.FILE_BODY).fields if name not in ("entry", "zero")}
    assert set(Packer(records.INDX_COLUMNS).fields) == names_of | from_file
    assert Packer(records.INDX_COLUMNS).size == records.PAGE_ENTRY_SIZE


def test_every_layout_is_held_against_its_declaration() -> None:
    declared = {name for name in vars(records) if name.endswith(("_BODY", "_HEAD", "_ROW", "PREAMBLE"))}
    assert declared == {"PREAMBLE", "RECORD_HEAD", "ROOT_ROW", *(f"{kind.decode()}_BODY" for kind in BODIES)}
