"""Sets that take no part are named with the reason: in the last line, alike in every verb, where they are of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from chain_sets import full, increment, part
from command_line import tokar
from recovery_sets import OTHER_STREAM, logs

if TYPE_CHECKING:
    from pathlib import Path

VERBS = (("check",), ("check", "--content"), ("chain",), ("restore", "--dry-run", "--into", "out"))


@pytest.mark.parametrize("words", VERBS, ids=" ".join)
@pytest.mark.parametrize(
    ("server", "why"), [(None, "of another log stream"), ("TWO", "of another server, TWO")], ids=["stream", "server"]
)
def test_logs_of_another_stream_are_named_last_with_the_reason(
    words: tuple[str, ...], server: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    head: dict[str, Any] = {"server": "ONE"} if server else {}
    its: dict[str, Any] = {"server": server} if server else {}
    base = full(tmp_path, **head).path
    other = increment(tmp_path, "other", logs(8, 9, stream=OTHER_STREAM), **its).path
    done = tokar(*words, base, other)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-1].endswith(f"{other} takes no part: {why}")


def test_a_restore_says_why_each_set_takes_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    older, newer = full(tmp_path, "older").path, full(tmp_path, "newer", low=7, high=9).path
    copy = increment(tmp_path, "copy", part(8, 8)).path
    said = tokar("restore", "--dry-run", "--into", "out", older, newer, copy).stdout.splitlines()
    assert f"takes no part: {older}: older than {newer}" in said
    assert f"takes no part: {copy}: no log is wanted from it" in said
