"""A trace that may be shown: what it learns names from, and what it never has."""

from __future__ import annotations

import io
import json
import struct
from typing import TYPE_CHECKING, Any

import pytest

from tokar.rpc.pdus import PduHeader, PduKind, Trailer
from tokar.rpc.trace import FORM, Trace

if TYPE_CHECKING:
    from collections.abc import Sequence


def traced(names: Sequence[str] = (), hidden: Sequence[int] = ()) -> tuple[Trace, io.StringIO]:
    file = io.StringIO()
    return Trace(file, names, hidden), file


def lines(file: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.getvalue().splitlines()]


def test_it_begins_with_what_made_it() -> None:
    _, file = traced()
    (first,) = lines(file)
    assert first["form"] == FORM
    assert first["software"].startswith("tokar ")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("\7PKI7[49670]\0", "PKI7"),
        ("\7pki7.acme.test\0", "acme.test"),
        ("\x0a\uffffhost/pki7.acme.test\0", "pki7"),
        ("\x10\uffffACME\\PKI7$\0", "ACME"),
        ("D\\\\PKI7\\C$\\CertLog\\Acme Root.edb\0\0", "Acme Root"),
    ],
)
def test_names_are_learnt_from_where_they_stand_and_overwritten_in_place(text: str, name: str) -> None:
    trace, _ = traced()
    data = b"\1\2" + text.encode("utf-16-le") + struct.pack("<I", 7)
    shown = bytes.fromhex(trace.bytes(data))
    assert len(shown) == len(data)
    assert name.encode("utf-16-le") in data
    assert name.encode("utf-16-le") not in shown
    assert shown[-4:] == data[-4:]


def test_a_token_is_its_length_and_content_of_files_too() -> None:
    trace, file = traced(hidden=[25])
    connection = trace.connection("ca1", 135)
    header = PduHeader(kind=PduKind.BIND, size=100, token_size=40, call=1)
    connection.packet("sent", header, Trailer(mechanism=10), 40)
    connection.sent(2, 25, b"start", b"how much")
    connection.received(2, b"start", b"the content of a file")
    connection.sent(3, 26, b"start", b"")
    connection.received(3, b"start", b"no content")
    shown = lines(file)[1:]
    assert shown[1]["token_size"] == 40
    assert shown[3] == {"at": shown[3]["at"], "event": "answer", "connection": 1, "call": 2, "content_of_file": 21}
    assert shown[5]["stub"] == b"no content".hex()
    assert b"content of a file".hex() not in file.getvalue()


def test_names_that_are_given_show_nowhere() -> None:
    trace, file = traced(["ca1.acme.test", "alice"])
    trace.connection("ca1.acme.test", 135)
    trace.note("odd", said="alice at ca1.acme.test", key=["ALICE"])
    assert not [name for name in ("acme", "alice") if name in file.getvalue().lower()]


@pytest.mark.parametrize("data", [b"", b"\xff", b"\0\xd8\0", bytes(range(256))])
def test_any_bytes_can_be_shown(data: bytes) -> None:
    assert bytes.fromhex(traced()[0].bytes(data)) == data
