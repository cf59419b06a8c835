from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

import tokar
from tokar.words import count_text, install_text, log_range, meant, ranges, some, spans


@pytest.mark.parametrize(("count", "text"), [(0, "0 entries"), (1, "1 entry"), (1200, "1,200 entries")])
def test_a_number_comes_with_its_noun(count: int, text: str) -> None:
    assert count_text(count, "entry", "entries") == text


def test_a_noun_takes_an_s_unless_told_otherwise() -> None:
    assert count_text(2, "file") == "2 files"


def test_a_long_list_is_cut_off() -> None:
    assert some(str(number) for number in range(20)).endswith("7 and 12 more")


@pytest.mark.parametrize(
    ("generations", "text"),
    [([5], "0x5"), ([5, 6, 7], "0x5-0x7"), ([9, 5, 6, 6], "0x5-0x6, 0x9"), ([], "")],
)
def test_generations_are_worded_as_runs(generations: list[int], text: str) -> None:
    assert ranges(generations) == text


def test_a_very_long_run_costs_nothing() -> None:
    assert spans([range(1, 2**31)]) == "0x1-0x7FFFFFFF"


def test_one_log_is_no_range() -> None:
    assert [log_range(0xC, 0xC), log_range(0xC, 0x14)] == ["log 0xC", "logs 0xC-0x14"]
    assert log_range(1, 3, "generation") == "generations 0x1-0x3"


def test_what_an_extra_brings_is_installed_by_the_python_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    requires = ["rich>=13", 'pyrage>=1.2; extra == "trust"', "other; extra == 'ca'"]
    monkeypatch.setattr("importlib.metadata.requires", lambda _: requires)
    assert install_text("trust") == f"{sys.executable} -m pip install 'pyrage>=1.2'"


def test_without_an_installation_the_checkout_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str) -> None:
        raise PackageNotFoundError

    monkeypatch.setattr("importlib.metadata.requires", missing)
    assert install_text("trust") == "in a checkout of tokar: pip install '.[trust]'"


def test_no_hint_names_tokar_as_something_on_an_index() -> None:
    source = Path(tokar.__file__).parent
    assert [path for path in source.rglob("*.py") if "pip install 'tokar" in path.read_text("utf-8")] == []


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("ca.edbx", "did you mean: DataBase/CA.edb; list them"),
        ("CA.edp", "did you mean: DataBase/CA.edb; list them"),
        ("zzzz", "list them"),
        ("", "list them"),
    ],
)
def test_a_word_that_names_nothing_comes_with_the_names_that_are_like_it(word: str, hint: str) -> None:
    assert meant(word, ["DataBase/CA.edb", "DataBase/edb00001.log"], "list them") == hint


def test_of_very_many_names_the_first_ones_are_compared() -> None:
    assert meant("name 5000000", (f"name {at}" for at in range(10_000_000)), "").startswith("did you mean: name ")
