"""Salvage of every fixture, and of fixtures spoilt by someone who can compute checks: typed errors or good results."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from salvage_tools import Rescued, rescued
from sweeps import each, examples

from tokar.errors import BadMagicError, FormatError, InputError, UnsupportedError

sys.path.insert(0, str(Path(__file__).parents[2]))  # fixtures/ stands beside tests/ and is not installed

from fixtures.expect import Expectation, names
from fixtures.mutations import spoil

if TYPE_CHECKING:
    from random import Random

GOOD = [name for name in names("good-") if "longest" not in name and "largest" not in name]
GOOD += names("head-1-encrypted")


def attempt(data: bytes, *, partial: bool) -> Rescued | FormatError | InputError:
    try:
        return rescued(data, partial=partial)
    except (FormatError, InputError) as error:
        return error


PLAIN = [name for name in names() if not Expectation.load(name).encryption]


@each([name for name in names() if name not in PLAIN])
def test_of_an_encrypted_fixture_a_good_archive_comes_without_its_key_or_a_typed_error(name: str) -> None:
    case = Expectation.load(name).with_key()
    result = attempt(case.data, partial=False)
    if isinstance(result, Rescued):
        kept = {entry.digest.hex() for entry in result.archive}
        assert {entry["digest"] for entry in case.entries} <= kept
        assert result.archive.head.encryption is not None
    else:
        assert case.answer != "sealed" or isinstance(result, InputError)


@each(PLAIN)
def test_a_fixture_gives_what_it_may_release_or_a_typed_error(name: str) -> None:
    case = Expectation.load(name)
    result = attempt(case.data, partial=False)
    if case.answer == "sealed" and not isinstance(result, InputError):
        released = [other.get("released") for other in case.permitted]
        assert released
        assert isinstance(result, Rescued) or 0 in released
    elif case.answer == "sealed":
        assert isinstance(result, InputError)
    elif case.answer == "unsupported":
        assert isinstance(result, UnsupportedError)
    elif isinstance(result, Rescued):
        digests = {entry.digest.hex() for entry in result.archive}
        assert {entry["digest"] for entry in case.entries} <= digests
    else:
        assert isinstance(result, BadMagicError) or not case.entries


@examples(250)
@given(st.sampled_from(GOOD), st.sampled_from(names()), st.booleans(), st.randoms(use_true_random=False))
def test_a_spoilt_archive_gives_a_good_one_or_a_typed_error(
    name: str, other: str, partial: bool, random: Random
) -> None:
    original = Expectation.load(name).with_key()
    result = attempt(spoil(original.data, Expectation.load(other).data, random), partial=partial)
    if isinstance(result, Rescued) and result.archive.id == original.id:
        assert result.report.same
