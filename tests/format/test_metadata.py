from __future__ import annotations

from typing import Any

import pytest
from format_tools import HEAD

from tokar.errors import FormatError, UnsupportedError
from tokar.format import canonical_json, metadata
from tokar.format.metadata import Head, Summary, renumber_facts

FINISHED = "2026-01-02T03:04:06.000007Z"
SUMMARY = Summary(2, 11, FINISHED, "complete")


def head(**extra: Any) -> Head:
    return Head(HEAD.created, HEAD.kind, HEAD.profile, HEAD.software, extra)


def rule_of(error: pytest.ExceptionInfo[FormatError]) -> tuple[str | None, int | None]:
    return error.value.rule, error.value.offset


def test_a_head_comes_back() -> None:
    built = head(name="set", zzz=[1])
    assert Head.parse(built.build(), position=32) == built


def test_the_bytes_of_a_head_are_sorted_and_without_white_space() -> None:
    expected = b'{"created":"2026-01-02T03:04:05.000006Z","kind":"full","profile":"ese","software":"tokar fixtures"}'
    assert HEAD.build() == expected


def test_text_keys_are_text_or_nothing() -> None:
    built = head(name="set", annotation="why")
    assert (built.text("name"), built.text("annotation"), built.text("server")) == ("set", "why", None)


def test_a_location_list_comes_back_as_bytes() -> None:
    built = head(location_list=metadata.location_list_json("w", b"\x82\x00\x00\x00"))
    found = Head.parse(built.build(), position=32).location_list
    assert found == metadata.LocationList("w", b"\x82\x00\x00\x00")
    assert head().location_list is None


@pytest.mark.parametrize(
    "extra",
    [
        {"locations": [], "location_list": {"bytes": "", "form": "a"}},
        {"origin": {"id": "0" * 32, "tag": "0" * 16}},
        {"origin": {}},
        {"prior": {"id": "0" * 32}},
        {"name": 5},
        {"features": ["b", "a"]},
        {"encryption": {}},
    ],
)
def test_a_head_that_readers_would_refuse_is_not_written(extra: dict[str, Any]) -> None:
    with pytest.raises(FormatError) as caught:
        head(**extra).build()
    assert rule_of(caught) == ("HEAD-2", 0)


def test_a_second_head_of_other_bytes_is_refused() -> None:
    metadata.demand_same_head(HEAD.build(), HEAD.build(), position=5)
    with pytest.raises(FormatError) as caught:
        metadata.demand_same_head(head(zzz=1).build(), head(zzz=True).build(), position=5)
    assert rule_of(caught) == ("HEAD-3", 5)


def test_a_head_that_is_no_canonical_json_is_refused_at_its_position() -> None:
    with pytest.raises(FormatError) as caught:
        Head.parse(b"{}\n", position=32)
    assert rule_of(caught) == ("JSON-2", 32)


def test_unknown_features_are_named() -> None:
    body = canonical_json.encode(head(features=["a-second", "chunks-elsewhere", "encryption"]).to_json())
    with pytest.raises(UnsupportedError, match="here: a-second, chunks-elsewhere") as caught:
        Head.parse(body, position=32)
    assert caught.value.rule == "HEAD-1"


def test_a_summary_comes_back() -> None:
    built = Summary(2, 11, FINISHED, "partial", {"notes": ["one"], "zstd": "1.5.7"})
    assert Summary.parse(built.build(), position=0) == built


@pytest.mark.parametrize("size", [(1 << 53) - 1, 1 << 53, (1 << 64) - 1])
def test_sizes_beyond_json_integers_come_back(size: int) -> None:
    built = Summary(2, size, FINISHED, "complete")
    assert Summary.parse(built.build(), position=0).content_size == size


@pytest.mark.parametrize(
    "extra",
    [{"outcome": "maybe"}, {"notes": "one"}, {"generations": {"low": 1}}, {"generations": {"high": 1, "low": "2"}}],
)
def test_a_summary_that_readers_would_refuse_is_not_written(extra: dict[str, Any]) -> None:
    outcome = extra.pop("outcome", "complete")
    with pytest.raises(FormatError) as caught:
        Summary(0, 0, FINISHED, outcome, extra).build()
    assert rule_of(caught) == ("SUMM-1", 0)


def test_a_summary_that_agrees_is_accepted() -> None:
    SUMMARY.demand_counts(entries=2, content_size=11, position=5)


@pytest.mark.parametrize(("entries", "size"), [(1, 11), (2, 10)])
def test_a_summary_that_counts_other_things_is_refused(entries: int, size: int) -> None:
    with pytest.raises(FormatError) as caught:
        SUMMARY.demand_counts(entries=entries, content_size=size, position=5)
    assert rule_of(caught) == ("SUMM-2", 5)


def test_calls_come_back() -> None:
    calls: list[dict[str, Any]] = [{"call": "Prepare", "flags": 1}, {"call": "End"}]
    assert metadata.parse_calls(metadata.build_calls(calls), position=0) == calls


NAMELESS: list[Any] = [[{}], [{"call": 1}], ["Prepare"], "Prepare"]


@pytest.mark.parametrize("calls", NAMELESS)
def test_calls_without_names_are_not_written(calls: Any) -> None:
    with pytest.raises(FormatError) as caught:
        metadata.build_calls(calls)
    assert rule_of(caught) == ("PROC-1", 0)


def test_calls_with_values_beyond_json_are_not_written() -> None:
    with pytest.raises(FormatError) as caught:
        metadata.build_calls([{"call": "Read", "size": 1 << 60}])
    assert caught.value.rule == "JSON-4"


def test_facts_get_other_numbers_and_keep_all_else() -> None:
    body = b'{"facts":[{"entry":0,"later":"key"},{"entry":2},{"entry":7}],"facts_version":7,"other":[1]}'

    def number_now(number: int) -> int | None:
        return {0: 0, 7: 1}.get(number)

    expected = b'{"facts":[{"entry":0,"later":"key"},{"entry":1}],"facts_version":7,"other":[1]}'
    assert renumber_facts(body, number_now) == expected
    assert renumber_facts(body, lambda _: None) is None


def test_chains_get_other_numbers_too() -> None:
    body = b'{"chains":[{"entry":7,"pages":3},{"entry":8}],"facts":[],"facts_version":7}'
    expected = b'{"chains":[{"entry":1,"pages":3}],"facts":[],"facts_version":7}'
    assert renumber_facts(body, lambda number: 1 if number == 7 else None) == expected


@pytest.mark.parametrize("facts", ["[{}]", '[{"entry":true}]', '[{"entry":-1}]', "[7]", "{}"])
def test_facts_without_the_numbers_of_their_entries_are_not_read(facts: str) -> None:
    body = f'{{"facts":{facts},"facts_version":7}}'.encode()
    with pytest.raises(FormatError) as caught:
        renumber_facts(body, lambda number: number)
    assert caught.value.rule == "FACT-2"


@pytest.mark.parametrize("version", ["0", "3", "true", '"1"'])
def test_facts_of_another_version_are_not_read(version: str) -> None:
    with pytest.raises(FormatError) as caught:
        renumber_facts(f'{{"facts":[],"facts_version":{version}}}'.encode(), lambda number: number)
    assert caught.value.rule == "FACT-2"
