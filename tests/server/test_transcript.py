"""The transcript: plain values, in parts that fit a record."""

from __future__ import annotations

import base64
import json

from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.as_json import to_count
from tokar.format import metadata
from tokar.namelist import ListedName
from tokar.server.contract import NoAnswerError, ServerError
from tokar.server.transcript import Transcript, describe_failure


def transcript() -> Transcript:
    return Transcript(lambda: "2020-01-02T03:04:05.000000Z")


def test_an_item_has_its_call_and_its_time() -> None:
    log = transcript()
    log.add("open", name="x", size=None)
    assert log.calls == [{"call": "open", "at": "2020-01-02T03:04:05.000000Z", "name": "x"}]


def test_items_are_taken_once() -> None:
    log = transcript()
    log.add("one")
    assert log.pending == 1
    assert [[item["call"] for item in part] for part in log.take()] == [["one"]]
    assert log.pending == 0
    assert list(log.take()) == []
    assert len(log.calls) == 1


def test_a_list_keeps_tokens_and_raw_names() -> None:
    log = transcript()
    log.add_list("backup_logs", [ListedName(0x21, b"\xff\x5c", 0, 0), ListedName(None, b"a", 932, 9)])
    assert log.calls[0]["count"] == 2
    assert log.calls[1]["entries"] == [
        {"encoding": 0, "name": base64.b64encode(b"\xff\x5c").decode(), "token": 0x21},
        {"encoding": 932, "name": "YQ=="},
    ]


@examples(20)
@given(st.integers(0, 9000), st.integers(1, 60000))
def test_every_part_fits_a_record(count: int, size: int) -> None:
    count = min(count, 3_000_000 // size)
    log = transcript()
    rows = [ListedName(0x21, b"%08d" % number + b"n" * size, 1200, 0) for number in range(count)]
    log.add_list("backup_logs", rows)
    log.add("end")
    parts = list(log.take())
    assert all(len(metadata.build_calls(part)) <= 1 << 20 for part in parts)
    names = [entry["name"] for part in parts for item in part for entry in item.get("entries", ())]
    assert [base64.b64decode(name) for name in names] == [row.raw_name for row in rows]


def test_a_count_beyond_what_json_holds_is_text() -> None:
    assert to_count((1 << 53) - 1) == (1 << 53) - 1
    assert to_count(1 << 53) == str(1 << 53)


def test_failures_are_told_apart() -> None:
    assert describe_failure(ServerError(-1018, call="read"))["code"] == "0xC80003FA"
    assert describe_failure(NoAnswerError("read", "gone"))["unanswered"] is True
    assert describe_failure(KeyboardInterrupt()) == {"failed": "KeyboardInterrupt"}
    assert json.dumps(describe_failure(OSError(5, "no"))) == '{"failed": "OSError: [Errno 5] no"}'
