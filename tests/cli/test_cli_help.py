"""`tokar help` prints what `--help` prints."""

from __future__ import annotations

import pytest
from command_line import done, tokar


@pytest.mark.parametrize("words", [(), ("verify",), ("lab",), ("lab", "new")])
def test_help_is_what_the_option_prints(words: tuple[str, ...]) -> None:
    assert done("help", *words).stdout == done(*words, "--help").stdout


@pytest.mark.parametrize("words", [("nothing",), ("verify", "more"), ("lab", "nothing")])
def test_help_of_nothing_is_refused(words: tuple[str, ...]) -> None:
    result = tokar("help", *words)
    assert (result.exit_code, result.hint) == (2, "tokar help lists the verbs")


@pytest.mark.parametrize(("words", "meant"), [(("retore",), "tokar restore"), (("lab", "nw"), "tokar lab new")])
def test_a_slip_in_a_verb_is_told(words: tuple[str, ...], meant: str) -> None:
    result = tokar("help", *words)
    assert (result.exit_code, result.hint.startswith(f"did you mean: {meant}")) == (2, True)
