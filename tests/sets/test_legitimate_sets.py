"""Sets as they are made in practice: all pass, whichever verb is asked. A false refusal is as bad as a false pass."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

import pytest
from command_line import done, tokar
from recovery_sets import (
    DATABASE,
    DATABASE_SIGNATURE,
    OTHER_STREAM,
    archive,
    checkpoint,
    database,
    dirty,
    flip,
    logs,
    streaming,
    write,
)
from sweeps import sampled

from tokar.ese.filenames import log_file_name
from tokar.ese.values import LogPosition
from tokar.sets.outcome import Word
from verbs import checked, contradictions

if TYPE_CHECKING:
    from pathlib import Path

YES, PART = Word.RESTORABLE, Word.PART_OF_A_CHAIN
Files = dict[str, bytes]
ALL = logs(1, 12)
BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
SHARED = logs(3, 9, attached=BOTH)


def name(generation: int) -> str:
    return log_file_name("edb", generation)


def part(low: int, high: int) -> Files:
    return {name(at): ALL[name(at)] for at in range(low, high + 1)}


def current(low: int, high: int, of: Files = ALL) -> Files:
    """Logs of which the highest is the current one."""
    return {**{name(at): of[name(at)] for at in range(low, high)}, "edb.log": of[name(high)]}


def filled(generation: int, segments: int) -> bytes:
    """A log as it was when it had so many segments."""
    return logs(generation, generation, after=ALL[name(generation - 1)], filled=segments)[name(generation)]


def crash(low: int = 5, high: int = 7, committed: int = 0, **fields: Any) -> Files:
    return {DATABASE: bytes(dirty(low, high, committed, **fields))}


def stop(at: int = 7, **fields: Any) -> Files:
    return {DATABASE: bytes(database(consistent_position=LogPosition(generation=at, sector=1), **fields))}


def named(files: Files, old: str, new: str) -> Files:
    return {key.replace(old, new): data for key, data in files.items()}


OTHER_LOGS = named(logs(5, 8, stream=OTHER_STREAM, attached=((r"C:\db\pub.edb", OTHER_STREAM),)), ".log", ".jtx")
OWN: dict[str, Any] = {"signature": OTHER_STREAM, "log_signature": OTHER_STREAM}
OTHER_JTX = {"pub.edb": bytes(dirty(6, 7, **OWN)), **OTHER_LOGS}
OTHER_STOPPED = {"pub.edb": stop(8, **OWN)[DATABASE], **OTHER_LOGS}


# fmt: off
ROWS: dict[str, tuple[Files, Word]] = {
    # Snapshots of a running server
    "a snapshot": (crash() | current(3, 8), YES),
    "a snapshot, its last log the needed one": (crash() | current(5, 7), YES),
    "a snapshot with a checkpoint": (crash() | current(3, 8) | {"edb.chk": checkpoint(5)}, YES),
    "during the roll-over, with the next log": (crash() | part(3, 8) | {"edbtmp.log": ALL[name(9)]}, YES),
    "during the roll-over, an old next log": (crash() | part(5, 8) | {"edbtmp.log": ALL[name(2)]}, YES),
    "during the roll-over, without the next log": (crash() | part(3, 8), YES),
    "the current log and its number are equal": (crash() | current(5, 8) | part(8, 8), YES),
    "the numbered copy is longer": (crash() | part(5, 8) | {"edb.log": filled(8, 1)}, YES),
    "the current copy is longer": (crash() | current(5, 8) | {name(8): filled(8, 1)}, YES),
    "a current log that was just begun": (crash() | part(5, 7) | {"edb.log": filled(8, 0)}, YES),
    "all committed logs are there": (crash(5, 6, 8) | current(5, 8), YES),
    "the committed log was just begun": (crash(5, 6, 7) | part(5, 6) | {"edb.log": filled(7, 0)}, YES),
    "reserve logs beside": (crash() | current(5, 8) | {"edbres00001.jrs": bytes(24576)}, YES),
    "other files beside": (crash() | current(5, 8) | {"readme.txt": b"hello", "SYSTEM": bytes(5000)}, YES),
    "only a current log": (crash(5, 5) | {"edb.log": ALL[name(5)]}, YES),
    "from the first log on": (crash(1, 3) | current(1, 4), YES),
    # Circular logging
    "circular logging": (crash(7, 8) | current(7, 8, logs(7, 8, flags=6)), YES),
    "circular logging, clean": (stop(8) | current(8, 8, logs(7, 8, flags=6)), YES),
    # Shut down
    "shut down, no logs": (stop(), YES),
    "shut down, all logs": (stop() | current(3, 7), YES),
    "shut down, only the log it was shut down in": (stop() | current(7, 7), YES),
    "shut down, only edb.log of a first log": (stop(1) | current(1, 1), YES),
    "install from media": ({"Active Directory/ntds.dit": stop()[DATABASE]}, YES),
    "install from media with registry": ({"ad/ntds.dit": stop()[DATABASE], "registry/SYSTEM": b"r" * 9000}, YES),
    "a lagged copy": (stop(3) | current(3, 12), YES),
    "a lagged copy with earlier logs": (stop(5) | current(2, 12), YES),
    "a lagged copy that crashed": (crash(3, 4) | current(3, 12), YES),
    # Streaming backups
    "a streaming full": ({DATABASE: bytes(streaming(5, 7))} | part(5, 7), YES),
    "a streaming full of one log": ({DATABASE: bytes(streaming(5, 5))} | part(5, 5), YES),
    "a streaming full with a patch file": ({DATABASE: bytes(streaming(5, 7)), "main.pat": b""} | part(5, 7), YES),
    "a streaming full and later logs": ({DATABASE: bytes(streaming(5, 7))} | part(5, 12), YES),
    "a streaming full and earlier logs": ({DATABASE: bytes(streaming(5, 7))} | part(2, 7), YES),
    "an incremental": (part(8, 11), PART),
    "one log": (part(8, 8), PART),
    "all logs from the first": (part(1, 5), PART),
    "logs with the current one": (current(8, 11), PART),
    # Names and formats
    "the newer names": (named(crash() | current(5, 8), ".log", ".jtx"), YES),
    "eight digits": (named(crash() | part(5, 8), "edb000", "edb000000"), YES),
    "another base name": (crash() | {"E00.log": ALL[name(8)], **logs(5, 7, base="E00")}, YES),
    "names in capitals": ({one.upper(): data for one, data in (crash() | part(5, 8)).items()}, YES),
    "pages of 8 KiB": (crash(raw_page_size=8192) | logs(5, 7, raw_page_size=8192), YES),
    "pages of 32 KiB": (crash(raw_page_size=32768) | logs(5, 7, raw_page_size=32768), YES),
    "a newer revision": (crash(revision=999) | current(5, 8), YES),
    # Several databases
    "two on one stream, both crashed": (crash() | {"pub.edb": bytes(dirty(4, 8, signature=OTHER_STREAM))}
                                        | current(3, 9, SHARED), YES),
    "two on one stream, one shut down": (crash() | {"pub.edb": bytes(database(signature=OTHER_STREAM))}
                                         | current(3, 9, SHARED), YES),
    "a .log and a .jtx stream in one folder": (crash() | current(3, 8) | OTHER_JTX, YES),
    "a .log stream, and a .jtx one that was shut down": (crash() | current(3, 8) | OTHER_STOPPED, YES),
    "an older copy in a folder": (crash(dbtime=9) | part(5, 8) | {"old/main.edb": bytes(dirty(2, 3, dbtime=5))}, YES),
    "an older copy beside": (crash(dbtime=9) | current(5, 8) | {"main (2).edb": bytes(dirty(2, 3, dbtime=5))}, YES),
    "a set and a copy of it in a folder": (crash() | part(5, 7) | {f"old/{one}": data for one, data in
                                           (crash() | part(5, 7)).items()}, YES),
    # Small troubles that recovery gets over
    "one header copy damaged": ({DATABASE: flip(crash()[DATABASE], 60)} | current(5, 8), YES),
    "a bit in a page that is corrected": ({DATABASE: flip(crash()[DATABASE], 4 * 4096 + 700)} | current(5, 8), YES),
    "repaired": (stop(repair_count=1), YES),
}
# fmt: on


@pytest.mark.parametrize(
    ("title", "every_verb"),
    sampled(product(ROWS, [True, False]), lambda title, every_verb: every_verb is ([*ROWS].index(title) % 4 == 0)),
)
def test_a_set_that_is_good_passes_with_every_verb(title: str, every_verb: bool, tmp_path: Path) -> None:
    files, word = ROWS[title]
    path = tmp_path / "a.tokar"
    done("create", "-q", "--compress", "none", path, write(tmp_path / "set", files))
    full = checked(path, "--content")
    assert full.word == word, (full.why, full.causes)
    if every_verb:
        assert [*contradictions(path, full)] == []


@pytest.mark.parametrize(("low", "high"), [(8, 10), (6, 10), (5, 10)])
def test_sets_of_logs_that_overlap_their_full_are_one_chain(low: int, high: int, tmp_path: Path) -> None:
    full = archive(tmp_path / "full.tokar", {DATABASE: bytes(streaming(5, 7)), **part(5, 7)}).path
    later = archive(tmp_path / "later.tokar", part(low, high), kind="logs").path
    last = archive(tmp_path / "last.tokar", part(low, 12), kind="logs").path
    for verb in (("check", "--content"), ("chain",), ("restore", "--dry-run", "--into", tmp_path / "out")):
        assert tokar(*verb, full, later, last).exit_code == 0
