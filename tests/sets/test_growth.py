"""The time that a verdict takes grows with the logs, on good sets and on faulty ones."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from dataclasses import replace
from time import process_time
from typing import TYPE_CHECKING

import pytest
from recovery_sets import OTHER_STREAM, dirty, logs, moment
from sweeps import sampled

from tokar.errors import ArchiveError
from tokar.ese.inspect import inspect_file
from tokar.sets import fault_list
from tokar.sets.backup_set import BackupSet
from tokar.sets.choose import restorable
from tokar.sets.joining import build_chain
from tokar.sets.judge import judge_set
from tokar.sets.read import SetFile, SetReader
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.sets.facts import LogFacts, SetFacts

FEW, MANY = 100, 800
KINDS = ("good", "holes", "broken", "foreign", "opaque", "damaged", "twice")


def changed(log: LogFacts, kind: str, generation: int) -> list[LogFacts]:
    """One log of a set with faults of a kind."""
    if generation < 20 and kind != "opaque":
        return [log]
    copies = {
        "good": [log],
        "holes": [log] * (generation % 2),
        "broken": [replace(log, previous_created=moment(3))],
        "foreign": [replace(log, signature=OTHER_STREAM) if generation % 2 else log],
        "opaque": [replace(log, signature=None)],
        "damaged": [replace(log, signature=None, damaged=True) if generation % 2 else log],
        "twice": [log, replace(log, name=f"x/{log.name}", created=moment(generation + 10**6))],
    }
    return copies[kind]


def facts_with(count: int, kind: str) -> SetFacts:
    """A database and that many logs, with faults of a kind all over."""
    reader = SetReader()
    for name, data in {"main.edb": dirty(5, 6), **logs(5, 5)}.items():
        source = BytesSource(bytes(data))
        reader.add(SetFile(name=name, size=source.size), inspect_file(source))
    facts = reader.facts()
    found: list[LogFacts] = []
    for generation in range(5, 5 + count):
        name = f"edb{generation:08x}.log"
        log = replace(facts.logs[0], name=name, generation=generation, named_generation=generation)
        log = replace(log, created=moment(generation), previous_created=moment(generation - 1))
        found += changed(log, kind, generation)
    numbered = (replace(log, number=at, digest=at.to_bytes(32, "big")) for at, log in enumerate(found))
    databases = tuple(replace(one, number=10**6, digest=bytes(32)) for one in facts.databases)
    return replace(facts, logs=tuple(numbered), databases=databases)


def seconds(facts: SetFacts) -> float:
    """How long it takes to judge a set, alone and as a chain, and to choose what is restored."""
    begun = process_time()
    judge_set(facts).to_json()
    chain = build_chain([BackupSet(label="a", id=bytes(16), root=bytes(32), kind="full", profile="ese", facts=facts)])
    with suppress(ArchiveError):
        restorable(chain)
    return process_time() - begun


@pytest.mark.parametrize("kind", sampled(KINDS, lambda kind: KINDS.index(kind) % 3 == 0))
def test_the_time_of_a_verdict_grows_with_the_logs(kind: str) -> None:
    small, large = facts_with(FEW, kind), facts_with(MANY, kind)
    few = min(seconds(small) for _ in range(3))
    assert any(seconds(large) < 24 * few + 0.1 for _ in range(3))  # 8 where it is linear, 64 where it is not


def peak(count: int, kind: str) -> int:
    """The most bytes that were held at once while a set was read and judged, alone and as a chain."""
    tracemalloc.start()
    try:
        facts = facts_with(count, kind)
        judge_set(facts)
        build_chain([BackupSet(label="a", id=bytes(16), root=bytes(32), kind="full", profile="ese", facts=facts)])
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("kind", sampled(KINDS, lambda kind: kind in {"good", "twice"}))
def test_a_verdict_holds_little_of_each_log(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault_list, "MOST_LISTED", 20)
    peak(20, kind)
    few, many = (peak(count, kind) for count in (100, 250))
    assert (many - few) / 150 < (1000 if kind == "twice" else 500)  # two logs of each generation
