"""Real sets, changed in more than a hundred ways, and what must be said of each: written from the rules, not the tool.

One row a change: the set, what happened to it, the last line, the root cause with the engine's error, and what a
restore leaves out. Every verb must say the same: create and then check, check --content, restore --dry-run, chain.

    crashed  needs logs 3 to 5, the last of them current    dirty   needs log 0x51; 0x4E to 0x50 and 0x52 are there too
    clean    shut down in SRU.log (9), with logs 3 to 8     xp      shut down in edb.log (0x83), with 0x81 and 0x82
    before   shut down in SRU.log (2), with log 1           after   shut down in SRU.log (5), with logs 3 and 4
    ual      needs log 0x7C, which is not there             backup  a streaming copy with nine logs, all of it blank

With a + after its name everything in the folder is taken (create --all): checkpoint, flush map, reserve logs. With a @
it is a copy of the folder of a service (create --profile certadm), whose logs have the base name edb.
"""

from __future__ import annotations

import random
import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from real_sets import (
    Files,
    append,
    attached,
    bits,
    blank,
    both,
    bring,
    bring_page,
    bring_segments,
    change,
    checkpoint_at,
    consistent,
    copy,
    cut,
    dirty,
    drop,
    empty,
    garbage,
    header,
    load,
    needs,
    only,
    page_dbtime,
    page_field,
    rename,
    rewritten,
    state,
    swap,
    swap_pages,
    u32,
    zero,
    zero_page,
    zeros,
)
from recovery_sets import write
from sweeps import sampled

from conftest import samples_folder
from tokar.collect import follow
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.outcome import Word
from verbs import backed_up, checked, contradictions, less, restores, unlike_together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = [pytest.mark.samples, pytest.mark.usefixtures("samples")]

YES, LOSS, PART, OPEN, NOT = (
    Word.RESTORABLE, Word.WITH_LOSS, Word.PART_OF_A_CHAIN, Word.NOT_PROVEN, Word.NOT_RESTORABLE,
)  # fmt: skip
FOLDERS = {
    "dirty": "ese/win10-srum-belkasoft-dirty",
    "clean": "ese/win10-srum-rathbun",
    "xp": "ese/xp64-catroot2",
    "after": "replay/server2022-after",
    "before": "replay/server2022-before",
    "crashed": "replay/server2022-after",
    "ual": "ese/ual-hyperv",
    "raven": "ese/pfsheet-raven",
    "lds": "ese/dsinternals",
    "basic": "ese/dissect",
    "backup": "ese/dhcp-streaming-backup-redacted",
}
DB = "SRUDB.dat"
XP_DB = "F750E6C3/catdb"


def sample(name: str) -> Files:
    """The files of a set by its short name."""
    name = name.rstrip("+@")
    found = samples_folder()
    assert found is not None
    folder = found.parent / FOLDERS[name] if found.name == "ese" else found / FOLDERS[name].removeprefix("ese/")
    if not folder.is_dir():
        pytest.skip(f"{FOLDERS[name]} is not here")
    files = load(folder)
    if name == "crashed":
        dirty(DB, "SRU.log", 3, 5)(files)
    if name == "basic":
        only("basic.edb")(files)
    return files


def log(generation: int, base: str = "SRU") -> str:
    return f"{base}{generation:05X}.log"


def of(name: str) -> Callable[[], Files]:
    return partial(sample, name)


def logs(*generations: int) -> str:
    return " ".join(log(one) for one in generations)


Row = tuple[str, "Callable[[Files], None]", Word, Kind | None, int | None, list[str]]
BASE = re.compile(r"^SRU(?=(?:tmp|[0-9A-F]{5})?\.log$|\.chk$)")
ROWS: dict[str, Row] = {}


def row(  # noqa: PLR0917 - it is a row of the table
    name: str,
    title: str,
    work: Callable[[Files], None],
    word: Word,
    kind: Kind | None = None,
    code: int | None = None,
    left_out: str = "",
) -> None:
    """Add a row; the files that are left out are parted by blanks."""
    assert f"{name}: {title}" not in ROWS
    apart = left_out.replace(" - ", "_").split()
    ROWS[f"{name}: {title}"] = (name, work, word, kind, code, [one.replace("_", " - ") for one in apart])


def nothing(files: Files) -> None:
    assert files


# fmt: off
N3, N4, CUR = log(3), log(4), "SRU.log"

# --- A crashed database with three needed logs; the last one is the current log ---
row("crashed", "as it is", nothing, YES)
row("crashed", "no first log", drop(N3), NOT, Kind.LOG_MISSING, -543)
row("crashed", "no middle log", drop(N4), NOT, Kind.LOG_MISSING, -543)
row("crashed", "no current log", drop(CUR), NOT, Kind.LOG_MISSING, -543)
row("crashed", "no logs at all", drop(N3, N4, CUR), NOT, Kind.LOG_MISSING, -543)
for at in (N3, N4, CUR):
    row("crashed", f"{at} is empty", empty(at), NOT, Kind.LOG_UNREADABLE, -501)
    row("crashed", f"{at} is zeros", zero(at), NOT, Kind.LOG_UNREADABLE, -501)
    row("crashed", f"{at} is garbage", garbage(at), NOT, Kind.LOG_UNREADABLE, -501)
    row("crashed", f"{at} is cut", cut(at, 30000), NOT, Kind.LOG_SIZE, -541)
    row("crashed", f"a bit in the header of {at}", bits(at, 30), NOT, Kind.LOG_UNREADABLE, -501)
    row("crashed", f"bits in a segment of {at}", bits(at, 8192 + 500, 8192 + 900), NOT, Kind.LOG_DAMAGED, -501)
    row("crashed", f"{at} of another server", bring(of("clean"), log(7), at), NOT, Kind.LOG_FOREIGN, -530)
for at in (N3, N4):
    row("crashed", f"{at} has a header and nothing more", blank(at), NOT, Kind.LOG_BLANK, -501)
    row("crashed", f"{at} without its header", zeros(at, 0, 4096), NOT, Kind.LOG_UNREADABLE, -501)
row("crashed", "a current log that was just begun", blank(CUR), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("crashed", "log 3 ends too early", blank(N3, 5 * 4096), NOT, Kind.LOG_ALTERED, -590)
row("crashed", "log 4 ends before a position that log 5 gives", blank(N4, 5 * 4096), NOT, Kind.LOG_SHORT, -501)
row("crashed", "other records in log 4", rewritten(N4, 3), NOT, Kind.LOG_ALTERED, -590)
row("crashed", "logs 3 and 4 changed places", swap(N3, N4), NOT, Kind.LOG_NAME, -513)
row("crashed", "log 4 and the current one changed places", swap(N4, CUR), NOT, Kind.LOG_NAME, -528)
row("crashed", "log 4 is called 7", rename(N4, log(7)), NOT, Kind.LOG_NAME, -513)
row("crashed", "log 4 is called a copy", rename(N4, "SRU00004 - Copy.log"), NOT, Kind.LOG_NAME, -543)
row("crashed", "log 4 is called .bak", rename(N4, "SRU00004.bak"), NOT, Kind.LOG_NAME, -543)
row("crashed", "log 4 has six digits", rename(N4, "SRU000004.log"), NOT, Kind.LOG_NAME, -543)
row("crashed", "log 4 twice", copy(N4, "SRU00004 - Copy.log"), YES, None, None, "SRU00004 - Copy.log")
row("crashed", "log 4 also as 9", copy(N4, log(9)), YES, Kind.LOG_NAME, -513, log(9))
row("crashed", "log 3 also as 1", copy(N3, log(1)), YES, Kind.LOG_NAME, -513, log(1))
row("crashed", "the current log is log 4", copy(N4, CUR), NOT, Kind.LOG_OLDER, -543)
row("crashed", "the current log of the day before", bring(of("before"), CUR, CUR), NOT, Kind.LOG_OLDER, -543)
row("crashed", "the current log also by number", copy(CUR, log(5)), YES, None, None, log(5))
row("crashed", "the current log by number only", rename(CUR, log(5)), YES)
row("crashed", "the recycled log 2 under its name", copy("SRUtmp.log", log(2)), YES)
row("crashed", "log 1 beyond a hole", bring(of("before"), log(1), log(1)), YES, Kind.LOGS_BEFORE_GAP, -528, log(1))
row("crashed", "an earlier log of another server", bring(of("clean"), log(4), log(2)), YES, None, None, log(2))
row("crashed", "a later log of another server", bring(of("clean"), log(8), log(8)), YES, Kind.STRAY_LOGS, -530, log(8))
row("crashed", "no database", drop(DB), PART)
row("crashed", "the database of the day before", bring(of("before"), DB, DB), YES, Kind.NEW_STREAM, None,
    f"{logs(3, 4)} {CUR}")
row("crashed", "the database of another server", bring(of("clean"), DB, DB), YES, Kind.STRAY_LOGS, -530,
    f"{logs(3, 4)} {CUR}")
# The log that is being prepared is an older one by its header: a recycled one, under another name.
row("crashed", "needs 2 as well", dirty(DB, CUR, 2, 5), NOT, Kind.LOG_NAME, -543)
row("crashed", "needs 4 to 5", dirty(DB, CUR, 4, 5), YES)
row("crashed", "needs 5, and 4 is gone", both(dirty(DB, CUR, 5, 5), drop(N4)), YES, Kind.LOGS_BEFORE_GAP, -528, N3)
row("crashed", "needs 5, and 4 is damaged", both(dirty(DB, CUR, 5, 5), bits(N4, 9000, 9100)), YES, Kind.LOG_DAMAGED,
    -501, logs(3, 4))
row("crashed", "needs 3 to 4, 5 is committed", dirty(DB, CUR, 3, 4, 5), NOT, Kind.PAGES_OFF_CHAIN)
row("crashed", "5 is committed and gone", both(dirty(DB, CUR, 3, 4, 5), drop(CUR)), LOSS, Kind.COMMITTED_LOG_MISSING,
    -582)
row("crashed", "5 is committed and cut", both(dirty(DB, CUR, 3, 4, 5), cut(CUR, 30000)), LOSS, Kind.LOG_SIZE, -586)
row("crashed", "6 is committed, the current log is older", dirty(DB, CUR, 3, 5, 6), LOSS, Kind.LOG_OLDER, -582)
row("crashed", "the header names another last log", header(DB, (348, bytes(8)), (348, b"\1\2\3\4\5\6\7\0")), NOT,
    Kind.LOG_OF_OTHER_BRANCH, -543)
row("crashed", "the header names another log stream", header(DB, (108, b"\1\2\3\4")), NOT, Kind.LOG_FOREIGN, -530)
row("crashed", "patched and not shut down", header(DB, state(7)), YES)
for number in (4, 6, 8):
    row("crashed", f"in state {number}", header(DB, state(number)), NOT, Kind.STATE_UNUSABLE, -550)
for number in (5, 9):
    row("crashed", f"in state {number}", header(DB, state(number)), OPEN)
row("crashed", "names no needed logs", header(DB, *needs(0, 0)), OPEN)
row("crashed", "its range runs backward", header(DB, *needs(5, 3)), OPEN)
row("crashed", "a newer revision", header(DB, (232, u32(999))), YES, Kind.NEWER_FORMAT)

# --- A database that was shut down, its logs and its current log ---
row("clean", "as it is", nothing, YES)
row("clean", "no logs", only(DB), YES)
row("clean", "a log without its header beside it", both(copy(log(5), "old.edb"), zeros("old.edb", 0, 4096)), YES,
    Kind.LOG_UNREADABLE, -501, "old.edb")
row("clean", "only the current log", only(DB, CUR), YES)
row("clean", "no log 8", drop(log(8)), YES, Kind.LOGS_BEFORE_GAP, -528, logs(3, 4, 5, 6, 7))
row("clean", "no log 5", drop(log(5)), YES, Kind.LOGS_BEFORE_GAP, -528, logs(3, 4))
row("clean", "no log 3", drop(log(3)), YES)
ALL = logs(3, 4, 5, 6, 7, 8)
row("clean", "no current log", drop(CUR), YES, Kind.NEW_STREAM, None, ALL)
row("clean", "an empty current log", empty(CUR), YES, Kind.NEW_STREAM, None, f"{ALL} {CUR}")
row("clean", "a current log of zeros", zero(CUR), YES, Kind.LOG_UNREADABLE, -501, f"{ALL} {CUR}")
row("clean", "a current log of garbage", garbage(CUR), YES, Kind.LOG_UNREADABLE, -501, f"{ALL} {CUR}")
row("clean", "a current log cut short", cut(CUR, 20000), YES, Kind.LOG_SIZE, -541, f"{ALL} {CUR}")
row("clean", "a blank current log", blank(CUR), YES, Kind.NEW_STREAM, None, f"{ALL} {CUR}")
row("clean", "a current log of another server", bring(of("after"), CUR, CUR), YES, Kind.STRAY_LOGS, -530,
    f"{ALL} {CUR}")
row("clean", "an older current log", both(drop(CUR), rename(log(8), CUR)), YES, Kind.NEW_STREAM, None,
    f"{logs(3, 4, 5, 6, 7)} {CUR}")
row("clean", "bits in log 8", bits(log(8), 9000, 9100), YES, Kind.LOG_DAMAGED, -501, ALL)
row("clean", "log 6 cut short", cut(log(6), 20000), YES, Kind.LOG_SIZE, -541, logs(3, 4, 5, 6))
row("clean", "log 6 of another server", bring(of("dirty"), log(0x50), log(6)), YES, Kind.LOGS_BEFORE_GAP, -528,
    logs(3, 4, 5, 6))
row("clean", "log 0x50 of another server", bring(of("dirty"), log(0x50), log(0x50)), YES, Kind.STRAY_LOGS, -530,
    log(0x50))
row("clean", "logs 7 and 8 changed places", swap(log(7), log(8)), YES, Kind.LOG_NAME, -513, ALL)
row("clean", "log 8 also as 0x18", copy(log(8), log(0x18)), YES, Kind.LOG_NAME, -513, log(0x18))
row("clean", "the current log also by number", copy(CUR, log(9)), YES, None, None, log(9))
row("clean", "the current log and its number disagree", both(copy(CUR, log(9)), rewritten(log(9), 3)), NOT,
    Kind.LOG_DIFFERS, -515)
row("clean", "shut down in log 5 and detached later", header(DB, consistent(5)), YES, Kind.NEW_STREAM, None,
    f"{ALL} {CUR}")
row("clean", "shut down in log 12", header(DB, consistent(12)), YES, Kind.NEW_STREAM, None, f"{ALL} {CUR}")
row("clean", "shut down in log 2", header(DB, consistent(2)), YES, Kind.NEW_STREAM, None, f"{ALL} {CUR}")
row("clean", "shut down before it was attached", header(DB, consistent(9, 2)), YES, Kind.NEW_STREAM, None,
    f"{ALL} {CUR}")
row("clean", "repaired", header(DB, (240, u32(1))), YES, Kind.DATABASE_REPAIRED)
row("clean", "not shut down, no range", header(DB, state(2)), OPEN)
row("clean", "no database", drop(DB), PART)
row("clean", "no database, no log 5", drop(DB, log(5)), NOT, Kind.LOG_MISSING, -543)
row("clean", "no database, other records in log 6", both(drop(DB), rewritten(log(6), 3)), NOT, Kind.LOG_ALTERED, -590)
row("clean", "no database, garbage in log 8", both(drop(DB), garbage(log(8))), NOT, Kind.LOG_UNREADABLE, -501)
row("clean", "no database, log 7 as 8", both(drop(DB), copy(log(7), log(8))), NOT, Kind.LOG_NAME, -513)

# --- Logs of a format that is not known ---
for file in (log(3), log(8), CUR):
    row("clean", f"{file} of format 9", header(file, (32, u32(9))), OPEN)
for file in (log(3), CUR):
    row("crashed", f"{file} of format 9", header(file, (32, u32(9))), OPEN)
row("crashed", "all logs of format 9", both(*(header(one, (32, u32(9))) for one in (log(3), log(4), CUR))), OPEN)

# --- Headers that say what no engine writes together ---
row("clean", "shut down, and it needs logs", header(DB, *needs(8, 9)), OPEN)
row("dirty", "made clean by hand", header(DB, state(3)), OPEN)
row("crashed", "committed up to a log before the required ones", header(DB, *needs(3, 5, 4)), OPEN)
row("crashed", "committed by no header field", header(DB, *needs(3, 5, 0)), YES)
row("clean", "backed up after it was shut down", header(DB, (136, attached(12)[1])), OPEN)
row("clean", "backed up before it was shut down", header(DB, (136, attached(8)[1])), YES)
row("dirty", "backed up behind all logs", header(DB, (420, attached(0x60)[1])), OPEN)
row("clean", "a streaming file by its attribute", header(DB, (12, u32(1))), OPEN)
for number in (2, 3, 4, 5, 6):
    row("clean", f"of file type {number}", header(DB, (667, u32(number))), OPEN)

# --- What can happen to a database ---
for name, file in (("clean", DB), ("crashed", DB)):
    row(name, "the database is empty", empty(file), NOT, Kind.DATABASE_UNREADABLE, -1018)
    row(name, "the database is zeros", zero(file), NOT, Kind.DATABASE_UNREADABLE, -1018)
    row(name, "the database is garbage", garbage(file), NOT, Kind.DATABASE_UNREADABLE, -1018)
    row(name, "both headers damaged", bits(file, 60, 4096 + 60), NOT, Kind.DATABASE_UNREADABLE, -1018)
    row(name, "first header damaged", bits(file, 60), YES, Kind.HEADER_COPY)
    row(name, "second header damaged", bits(file, 4096 + 60), YES, Kind.HEADER_COPY)
    row(name, "page 1 is zeros", zero_page(file, 1), NOT, Kind.DATABASE_BLANK, -1019)
    row(name, "the catalog is zeros", zero_page(file, 4), NOT, Kind.DATABASE_BLANK, -1019)
    row(name, "a headless copy", blank(file, 2 * 4096), NOT, Kind.DATABASE_BLANK, -1019)
    row(name, "cut inside a page", cut(file, -100), NOT, Kind.DATABASE_CUT, -1206)
    row(name, "two pages changed places", swap_pages(file, 6, 9), NOT, Kind.PAGES_MISPLACED, -1018)
    row(name, "a bit in a page", bits(file, 9 * 4096 + 500), YES, Kind.PAGES_CORRECTABLE)
    row(name, "bits in a page", bits(file, 9 * 4096 + 500, 9 * 4096 + 1000), NOT, Kind.PAGES_DAMAGED, -1018)
    row(name, "alone, headers of zeros", both(only(file), zeros(file, 0, 8192)), NOT, Kind.DATABASE_UNREADABLE, -1018)
    row(name, "alone, a database by its name, and garbage", both(only(file), garbage(file), rename(file, "SRUDB.edb")),
        OPEN)
row("after", "under another name, and nothing is attached at the end", rename(DB, "SRUDB.dat.bak"), YES)
row("dirty", "its last log is the current one", both(drop(CUR), rename(log(0x51), CUR)), YES)
row("crashed", "the database is a log", lambda files: files.update({DB: files[log(4)]}), NOT, Kind.DATABASE_UNREADABLE,
    -1018, DB)
row("crashed", "the database is a checkpoint", lambda files: files.update({DB: files["SRU.chk"]}), NOT,
    Kind.DATABASE_UNREADABLE, -1018, DB)
row("crashed", "the database is a flush map", lambda files: files.update({DB: files["SRUDB.jfm"]}), NOT,
    Kind.DATABASE_UNREADABLE, -1018, DB)
row("clean", "half a database", cut(DB, 60 * 4096), NOT, Kind.DATABASE_CUT, -1206)
row("clean", "a page in use is zeros", zero_page(DB, 40), NOT, Kind.DATABASE_BLANK, -1019)
row("clean", "a page of another server", bring_page(of("after"), DB, DB, 41), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("after", "a page of another server", bring_page(of("clean"), DB, DB, 41), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("after", "a page of the day before", bring_page(of("before"), DB, DB, 14), NOT, Kind.PAGES_DAMAGED, -327)
row("crashed", "half a database", cut(DB, 60 * 4096), NOT, Kind.PAGES_OFF_CHAIN, -566)
row("basic", "as it is", nothing, YES)
row("basic", "half of what is in use", cut("basic.edb", 14 * 4096), NOT, Kind.DATABASE_CUT, -1206)
row("basic", "two pages changed places", swap_pages("basic.edb", 5, 7), NOT, Kind.PAGES_MISPLACED, -1018)
row("basic", "logs of another server beside", bring(of("clean"), log(3), log(3)), YES, Kind.STRAY_LOGS, -530, log(3))
row("raven", "as it is", nothing, YES)
row("raven", "bits in a page", bits("Data", 9 * 4096 + 500, 9 * 4096 + 1000), NOT, Kind.PAGES_DAMAGED, -1018)

# --- Copies of files beside the files themselves ---
TWICE, COPY = Kind.DATABASE_TWICE, "SRUDB - Copy.dat"
row("crashed", "the database twice", copy(DB, COPY), YES, TWICE, None, COPY)
row("crashed", "the database also damaged", both(copy(DB, COPY), bits(COPY, 37364, 37864)), YES, TWICE, None, COPY)
row("crashed", "the damaged database also whole", both(copy(DB, COPY), bits(DB, 37364, 37864)), NOT,
    Kind.DATABASE_NAME, -1216)
row("crashed", "the damaged database whole in a folder", both(copy(DB, f"old/{DB}"), bits(DB, 37364, 37864)), YES,
    TWICE, None, DB)
row("crashed", "the same as it was shut down", bring(of("after"), DB, f"later/{DB}"), YES, TWICE, None, DB)
row("clean", "the database twice", copy(DB, COPY), YES, TWICE, None, COPY)
row("clean", "everything twice", lambda files: files.update({f"old/{one}": files[one] for one in [*files]}), YES,
    TWICE, None, " ".join(f"old/{one}" for one in (*ALL.split(), CUR, DB)))
row("crashed", "log 4 damaged, and whole in a folder", both(copy(N4, f"old/{N4}"), bits(N4, 8192 + 500, 8192 + 900)),
    YES, Kind.LOG_DAMAGED, -501, N4)
row("crashed", "log 4 cut, and whole in a folder", both(copy(N4, f"old/{N4}"), cut(N4, 30000)), YES, Kind.LOG_SIZE,
    -541, N4)
row("crashed", "log 4 with other records, and whole in a folder", both(copy(N4, f"old/{N4}"), rewritten(N4, 3)), YES,
    Kind.LOG_ALTERED, -590, N4)
for name, file in (("clean", DB), ("crashed", DB), ("basic", "basic.edb")):
    row(name, "bytes behind the last page", append(file, b"x" * 100), NOT, Kind.DATABASE_CUT, -1206)
for at in (N4, CUR):
    row("crashed", f"bytes behind the end of {at}", append(at, bytes(512)), NOT, Kind.LOG_SIZE, -541)

# --- A crashed database of another version, and logs on both sides of what it needs ---
D4E, D4F, D50, D51 = (log(at) for at in (0x4E, 0x4F, 0x50, 0x51))
row("dirty", "as it is", nothing, YES)
row("dirty", "no needed log", drop(D51), NOT, Kind.LOG_MISSING, -543)
row("dirty", "no log 0x50", drop(D50), YES, Kind.LOGS_BEFORE_GAP, -528, f"{D4E} {D4F}")
row("dirty", "no log 0x4F", drop(D4F), YES, Kind.LOGS_BEFORE_GAP, -528, D4E)
row("dirty", "a page in use is zeros", zero_page(DB, 200), NOT, Kind.DATABASE_BLANK, -1019)
row("dirty", "no current log", drop(CUR), YES)
row("dirty", "a garbage current log", garbage(CUR), YES, Kind.LOG_UNREADABLE, -501, CUR)
row("dirty", "a current log of another server", bring(of("clean"), CUR, CUR), YES, Kind.STRAY_LOGS, -530, CUR)
row("dirty", "the needed log is the current one", both(drop(CUR), rename(D51, CUR)), YES)
row("dirty", "the current log is 0x50", both(drop(D51, CUR), rename(D50, CUR)), NOT, Kind.LOG_OLDER, -543)
row("dirty", "a garbage current log, and no 0x51", both(drop(D51), garbage(CUR)), NOT, Kind.LOG_UNREADABLE, -501)
row("dirty", "a foreign current log, and no 0x51", both(drop(D51), bring(of("clean"), CUR, CUR)), NOT,
    Kind.LOG_FOREIGN, -530)
row("dirty", "0x53 is committed, the current log is 0x52", header(DB, *needs(0x51, 0x51, 0x53)), LOSS, Kind.LOG_OLDER,
    -582)
row("dirty", "0x53 is committed, and no current log", both(header(DB, *needs(0x51, 0x51, 0x53)), drop(CUR)), LOSS,
    Kind.COMMITTED_LOG_MISSING, -582)

LATER = both(*(bring(of("after"), one, one) for one in (N3, N4, CUR)), bring(of("after"), "SRUtmp.log", log(2)))

# --- Databases that the logs do not attach, and pages and records that are of no state of them ---
OTHER = (24, b"\1\2\3\4")
row("dirty", "a signature that no log names", header(DB, OTHER), NOT, Kind.LOG_FOREIGN, -1216)
row("dirty", "the same, and no other log", both(header(DB, OTHER), only(DB, D51)), NOT, Kind.LOG_FOREIGN, -1216)
row("crashed", "a signature that no log names", header(DB, OTHER), NOT, Kind.LOG_FOREIGN, -1216)
row("dirty", "shut down after all logs", header(DB, consistent(0x60)), NOT, Kind.LOG_FOREIGN, -1216)
row("dirty", "attached after all logs", header(DB, attached(0x60)), NOT, Kind.LOG_FOREIGN, -1216)
row("dirty", "attached in the log after the one that it needs", header(DB, attached(0x52)), NOT, Kind.LOG_FOREIGN,
    -1216)
row("dirty", "attached elsewhere in its log", header(DB, attached(0x51, 11)), YES)  # where it does not say exactly
row("dirty", "attached by another record of its log", header(DB, (80, b"\x68\2\x0b\0" + u32(0x51))), NOT,
    Kind.LOG_FOREIGN, -1216)
row("clean", "counts from zero", header(DB, (16, bytes(8))), NOT, Kind.PAGES_OFF_CHAIN, -344)
row("dirty", "shut down before the logs say", header(DB, consistent(0x50)), NOT, Kind.LOG_FOREIGN, -551)
row("dirty", "never shut down, by its header", header(DB, (56, bytes(8))), YES)
row("dirty", "a page of the future", page_dbtime(DB, 300, 1 << 40), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("dirty", "a page one step ahead of the logs", page_dbtime(DB, 300, 25653 + 1), NOT, Kind.PAGES_OFF_CHAIN, -567)
AHEAD = page_dbtime(DB, 300, 1 << 40)
row("dirty", "a copy of the database", copy(DB, COPY), YES, TWICE, None, COPY)
row("dirty", "a page of the future, and a copy of that", both(AHEAD, copy(DB, COPY)), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("dirty", "a page of the future, and a copy of that in a folder", both(AHEAD, copy(DB, f"old/{DB}")), NOT,
    Kind.PAGES_OFF_CHAIN, -567)
row("dirty", "a page of the future, and a copy of an earlier time", both(copy(DB, COPY),
    header(COPY, (16, u32(0x6000))), AHEAD), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("dirty", "a page of the future in the copy", both(copy(DB, COPY), page_dbtime(COPY, 300, 1 << 40)), YES,
    TWICE, None, COPY)
row("dirty", "patched, and a page of the future", both(AHEAD, header(DB, state(7))), NOT, Kind.PAGES_OFF_CHAIN, -567)
row("dirty", "a page at the end of the logs", page_dbtime(DB, 300, 25653), YES)
row("clean", "a leaf that says it is none", page_field(DB, 14, 36, u32(0x12800)), NOT, Kind.PAGES_DAMAGED, -327)
row("clean", "a page of the future", page_dbtime(DB, 40, 1 << 40), NOT, Kind.PAGES_OFF_CHAIN, -344)
for number in (3, 6):
    row("crashed", f"segment {number} of another server in the current log",
        bring_segments(of("clean"), log(5), CUR, number), NOT, Kind.LOG_DAMAGED, -501)
row("crashed", "all records of another server in the current log", bring_segments(of("clean"), log(5), CUR), NOT,
    Kind.PAGES_OFF_CHAIN, -567)
for name, kind, code in (("crashed", Kind.PAGES_OFF_CHAIN, -567), ("dirty", Kind.PAGES_OFF_CHAIN, -566)):
    row(name, "all pages of another server under the right header",
        change(DB, lambda data: data[: 2 * 4096] + of("clean")()[DB][2 * 4096 :]), NOT, kind, code)
row("crashed", "other records in the current log", rewritten(CUR, 3), NOT, Kind.LOG_DAMAGED, -501)
row("crashed", "other records in the current log, which is committed", both(dirty(DB, CUR, 3, 4, 5),
    rewritten(CUR, 1)), LOSS, Kind.LOG_DAMAGED, -586)
row("dirty", "other records in the needed log, and it is the last", both(only(DB, D51), rewritten(D51, 2)), NOT,
    Kind.LOG_DAMAGED, -501)
row("before", "other records in the last log of the next day", both(LATER, rewritten(CUR, 3)), NOT, Kind.LOG_DAMAGED,
    -501)

# --- Copies of the folder of a service, which renames no log ---
NEXT = "SRUtmp.log"
row("crashed@", "as it is", nothing, YES)
row("crashed@", "the current log by number only, and the next one", rename(CUR, log(5)), YES)
row("crashed@", "the current log by number only", both(rename(CUR, log(5)), drop(NEXT)), NOT, Kind.NO_CURRENT_LOG, -528)
row("dirty@", "no current log", both(drop(CUR, NEXT), only(DB, D51)), NOT, Kind.NO_CURRENT_LOG, -528)
row("dirty@", "a current log of another server", both(drop(NEXT), bring(of("clean"), CUR, CUR)), NOT,
    Kind.NO_CURRENT_LOG, -528)
row("clean@", "as it is", nothing, YES)
row("clean@", "the database alone", only(DB), YES)
row("clean@", "the current log by number only", rename(CUR, log(9)), NOT, Kind.NO_CURRENT_LOG, -528)

row("dirty+", "as it is", nothing, YES, None, None, "SRU.chk SRUtmp.log")
row("dirty+", "a later checkpoint", checkpoint_at("SRU.chk", 0x52), YES, Kind.CHECKPOINT_NEWER, None,
    "SRU.chk SRUtmp.log")
row("dirty+", "a checkpoint of another server", bring(of("clean"), "SRU.chk", "SRU.chk"), YES,
    Kind.CHECKPOINT_FOREIGN, -532, "SRU.chk SRUtmp.log")
row("dirty+", "a damaged checkpoint", bits("SRU.chk", 20, 4116), YES, Kind.CHECKPOINT_DAMAGED, -533,
    "SRU.chk SRUtmp.log")
for title, work in (("an empty", empty), ("a garbage", garbage)):
    row("dirty+", f"{title} flush map", work("SRUDB.jfm"), YES, Kind.FLUSH_MAP_FOREIGN, None,
        "SRU.chk SRUDB.jfm SRUtmp.log")
row("dirty+", "a flush map of another server", bring(of("clean"), "SRUDB.jfm", "SRUDB.jfm"), YES,
    Kind.FLUSH_MAP_FOREIGN, None,
        "SRU.chk SRUDB.jfm SRUtmp.log")

# --- The old format: two databases on one stream, of which one is here ---
X81, X82, XC = "edb00081.log", "edb00082.log", "edb.log"
XALL = f"{X81} {X82} {XC}"
row("xp", "as it is", nothing, YES, Kind.DATABASE_NOT_HERE, -1216)
row("xp", "no log 0x82", drop(X82), YES, Kind.LOGS_BEFORE_GAP, -528, X81)
row("xp", "no current log", drop(XC), YES, Kind.NEW_STREAM, None, f"{X81} {X82}")
row("xp", "bits in the current log", bits(XC, 4096 + 600, 4096 + 700), YES, Kind.LOG_DAMAGED, -501, XALL)
row("xp", "a database in the old format that crashed", dirty(XP_DB, XC, 0x83, 0x83), LOSS, Kind.DATABASE_NOT_HERE,
    -1216)
row("xp", "crashed, and no current log", both(dirty(XP_DB, XC, 0x83, 0x83), drop(XC)), NOT, Kind.LOG_MISSING, -543)
row("xp", "crashed, and bits in the log", both(dirty(XP_DB, XC, 0x82, 0x83), bits(X82, 5000, 5100)), NOT,
    Kind.LOG_DAMAGED, -501)
# The one checksum of a range is blind to the order of its words: records tell.
row("xp", "two blocks of one range of a log in each other's place", swap_pages(X81, 4, 5), OPEN)
row("xp", "bits in a page", bits(XP_DB, 8 * 4096 + 600), NOT, Kind.PAGES_DAMAGED, -1018)
row("xp", "half of the database", cut(XP_DB, 400 * 4096), NOT, Kind.DATABASE_CUT, -1206)

# --- Two states of one database, a day apart ---
row("before", "as it is", nothing, YES)
row("before", "with the logs of the next day", LATER, YES)
row("before", "with the next day's logs but 2", both(LATER, drop(log(2))), YES, Kind.NEW_STREAM, None,
    f"{logs(1, 3, 4)} {CUR}")
row("before", "a lost write, and later logs beyond a hole", both(page_dbtime(DB, 4, 0x20),
    *(bring(of("after"), one, one) for one in (N3, N4))), NOT, Kind.PAGES_OFF_CHAIN, -566)
row("before", "with the next day's logs but 4", both(LATER, drop(N4)), YES, Kind.LOGS_AFTER_GAP, -515, CUR)
row("before", "copied during the roll-over", bring(of("after"), "SRUtmp.log", log(2)), YES, None, None, CUR)
TWO_DAYS = both(drop(DB), *(bring(of("after"), one, one) for one in (N3, N4)))
row("before", "no database, and two logs of the next day", TWO_DAYS, NOT, Kind.LOG_NOT_CLOSED, -543)
row("before", "no database, and all closed logs of the next day", both(TWO_DAYS, bring(of("after"), "SRUtmp.log",
    log(2))), PART)
row("after", "as it is", nothing, YES)
OLD_HEADER = change(DB, lambda data: sample("before")[DB][: 2 * 4096] + data[2 * 4096 :])
row("after", "the header of the day before", OLD_HEADER, NOT, Kind.PAGES_OFF_CHAIN, -344)
row("after", "the current log of the day before", bring(of("before"), CUR, CUR), YES, Kind.NEW_STREAM, None,
    f"{logs(3, 4)} {CUR}")

# --- A database that cannot be recovered as it is ---
row("ual", "as it is", nothing, NOT, Kind.LOG_MISSING, -543)
row("ual", "the one that was shut down", drop("Current.mdb"), YES)
row("ual", "a foreign log by the right name", bring(of("clean"), log(7), log(0x7C, "edb")), NOT, Kind.LOG_FOREIGN, -530)
CURRENT = "Current.mdb"
row("ual", "an empty database", empty(CURRENT), NOT, Kind.DATABASE_UNREADABLE, -1018)
row("ual", "a database of zeros", zero(CURRENT), NOT, Kind.DATABASE_UNREADABLE, -1018)
row("ual", "a garbage database", garbage(CURRENT), NOT, Kind.DATABASE_UNREADABLE, -1018)
row("ual", "a database without a header", zeros(CURRENT, 0, 2 * 4096), NOT, Kind.DATABASE_UNREADABLE, -1018)
row("clean", "and a server in a folder whose database is emptied", both(
    lambda files: files.update({f"b/{name}": data for name, data in sample("after").items()}), empty(f"b/{DB}")), NOT,
    Kind.DATABASE_UNREADABLE, -1018)
row("lds", "as it is", nothing, YES)

# --- A streaming copy that has lost its content ---
row("backup", "as it is", nothing, NOT, Kind.DATABASE_BLANK, -1019)
# fmt: on


# Titles by the kind of set, the verdict and its cause: of several the one that comes first.
FIRST_OF_A_KIND = {
    (name.rstrip("@") in {"crashed", "dirty"}, word, kind): title
    for title, (name, _, word, kind, *_) in reversed(ROWS.items())
}.values()

FIRST_OF_A_VERDICT = {(name, word): title for title, (name, _, word, *_) in reversed(ROWS.items())}.values()


def differences(title: str, folder: Path, *, verbs: int) -> Iterator[str]:
    """Yield everything in which a verb does not say of a row what it must, or verbs contradict each other.

    Args:
        title: The row.
        folder: Where to work.
        verbs: 1: create and check; 2: all that look at an archive; 3: those that make one or place one, too.
    """
    name, work, word, kind, code, left_out = ROWS[title]
    files = sample(name)
    work(files)
    if name.endswith("@"):
        files = {BASE.sub("edb", one): data for one, data in files.items()}
        left_out = [BASE.sub("edb", one) for one in left_out]
    path = folder / "a.tokar"
    options = ["--quiet", "--compress", "none", *{"+": ["--all"], "@": ["--profile", "certadm"]}.get(name[-1], [])]
    created = done("create", "--json", *options, path, write(folder / "set", files)).json()["outcome"]["word"]
    full = checked(path, "--content")
    if created != full.word:
        yield f"create says {created}"
    if full.word != word:
        yield f"check --content says {full.word}: {full.why}"
    if kind and (kind.value, code) not in (full.remarks if word is YES else full.causes[:1]):
        yield f"the cause is not {kind} {code}, but {full.causes}, remarks {full.remarks}"
    if word in {YES, LOSS} and full.left_out != set(left_out):
        yield f"left out are {sorted(full.left_out)}"
    if full.exit_code != (0 if word in {YES, PART} else 9):
        yield f"check --content ends with {full.exit_code}"
    if verbs > 1:
        yield from contradictions(path, full)
    if verbs > 2 and name.isalpha():  # nobody says where the other files go, and no server lists them
        yield from restores(path, full)
        yield from backed_up(folder / "set", folder / "b.tokar", full)


@pytest.mark.parametrize("title", sampled(ROWS, lambda title: title in FIRST_OF_A_KIND))
def test_a_changed_set_gets_its_verdict(title: str, tmp_path: Path) -> None:
    """Rows that are the first of their kind of set, verdict and cause; from every verb the first of a verdict."""
    verbs = 3 if title in FIRST_OF_A_VERDICT else 1
    assert [*differences(title, tmp_path, verbs=verbs)] == []


@pytest.mark.torture
@pytest.mark.parametrize("title", ROWS)
def test_a_changed_set_gets_its_verdict_from_every_verb(title: str, tmp_path: Path) -> None:
    assert [*differences(title, tmp_path, verbs=3)] == []


def with_logs(name: str, *others: Callable[[Files], None]) -> Files:
    """The logs of a set, as they are or changed, without what is being prepared."""
    files = {one: data for one, data in sample(name).items() if one.endswith(".log") and one != NEXT}
    both(*others)(files)
    return files


def alone(name: str) -> Files:
    return {DB: sample(name)[DB]}


CLOSED = bring(of("after"), NEXT, log(2))
ONTO: dict[str, tuple[Callable[[], Files], Callable[[], Files], str]] = {
    "a database alone, onto the logs that it needs": (partial(alone, "dirty"), partial(with_logs, "dirty"), ""),
    "one that was shut down, onto the logs that go on": (
        partial(alone, "before"), partial(with_logs, "after", CLOSED), "",
    ),
    "a copy of the day before, onto the logs of the next day": (
        of("before"), partial(with_logs, "after", CLOSED), "",
    ),
    "the same, where its current log was not closed": (of("before"), partial(with_logs, "before"), ""),
    "the same, where the closed one is gone": (of("before"), partial(with_logs, "after"), "as it was closed"),
    "onto logs without the needed one": (
        partial(alone, "dirty"), partial(with_logs, "dirty", drop(D51)), "log 0x51 is missing",
    ),
    "onto logs of another server": (of("before"), partial(with_logs, "clean"), "another log stream"),
}  # fmt: skip


@pytest.mark.parametrize("title", ONTO)
def test_a_set_is_rolled_forward_onto_logs_that_are_there(title: str, tmp_path: Path) -> None:
    files, there, why = ONTO[title]
    made = tokar("create", "-q", tmp_path / "a.tokar", write(tmp_path / "set", files()))
    assert made.exit_code == 0
    out = write(tmp_path / "out", there())
    result = tokar("restore", "--existing", "roll-forward", "--into", out, tmp_path / "a.tokar")
    assert (result.exit_code, why in " ".join(result.stderr.split())) == (6 if why else 0, True), result.printed
    if not why:
        staying = {one for one, data in there().items() if (out / one).exists() and (out / one).read_bytes() == data}
        assert {*there()} - {*files()} <= staying
        assert done("check", "--content", out).stdout.splitlines()[-1] == "RESTORABLE"


def changed_twice(number: int) -> tuple[str, Files]:
    """A set with the changes of two rows, by a number."""
    chance = random.Random(number)
    for one in chance.sample([*ROWS], len(ROWS)):
        name, work, *_ = ROWS[one]
        others = [title for title, row in ROWS.items() if row[0] == name and title != one]
        for two in chance.sample(others, len(others)) if name.isalpha() else ():
            files = sample(name)
            with suppress(KeyError, IndexError):  # the first one took away what the second one changes
                work(files)
                ROWS[two][1](files)
                if files:
                    return f"{one}, {two}", files
    raise AssertionError


def unlike(files: Files, folder: Path) -> Iterator[str]:
    """Yield in what verbs say more than `check --content`, or something else, of one archive and of two."""
    made = tokar("create", "-q", "--compress", "none", folder / "a.tokar", write(folder / "set", files))
    if made.exit_code and "there is nothing to archive" in made.stderr:
        return
    full = checked(folder / "a.tokar", "--content")
    yield from contradictions(folder / "a.tokar", full)
    yield from restores(folder / "a.tokar", full)
    yield from backed_up(folder / "set", folder / "b.tokar", full)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(follow, "MOST_LOGS", 0)
        done("create", "-q", "--force", "--compress", "none", folder / "a.tokar", folder / "set")
    quick = checked(folder / "a.tokar")
    if not less(quick.word, full.word):
        yield f"where nobody followed pages check says {quick.word}: {quick.why}"
    yield from unlike_in_parts(files, folder / "parts")


def in_parts(files: Files) -> Iterator[list[Files]]:
    """The same files in two and three archives: logs apart, all of them or the later half, or both halves."""
    logs = sorted((name for name in files if name.lower().endswith(".log")), key=lambda name: (name in {CUR, XC}, name))
    early, late = logs[: len(logs) // 2], logs[len(logs) // 2 :]
    for apart in ([logs], [late], [early, late]):
        names = [name for name in files if name not in {one for part in apart for one in part}]
        parts = [names, *apart] if [late] != apart or early else []
        if parts and all(parts):
            yield [{name: files[name] for name in part} for part in parts]


def unlike_in_parts(files: Files, folder: Path) -> Iterator[str]:
    """Yield in what verbs contradict each other on a set in several archives."""
    for number, parts in enumerate(in_parts(files)):
        sets = [folder / f"{number}-{at}.tokar" for at in range(len(parts))]
        for path, part in zip(sets, parts, strict=True):
            tokar("create", "-q", "--compress", "none", path, write(path.with_suffix(""), part))
        if all(path.exists() for path in sets):  # else nothing of an engine is left in one of them
            yield from (f"{[sorted(part) for part in parts]}: {one}" for one in unlike_together(sets))


@pytest.mark.parametrize(
    "number", [*range(3), *(pytest.param(one, marks=pytest.mark.torture) for one in range(3, 120))]
)
def test_verbs_agree_on_two_changes_at_once(number: int, tmp_path: Path) -> None:
    title, files = changed_twice(number)
    assert [*unlike(files, tmp_path)] == [], title


# Of several archives nobody can judge the logs of one, whichever of them gives any to a restore.
UNKNOWN_IN_ONE = {"crashed: all logs of format 9", "clean: SRU00003.log of format 9"}


@pytest.mark.parametrize(
    "title",
    [
        pytest.param(title, marks=[] if title in {*FIRST_OF_A_VERDICT, *UNKNOWN_IN_ONE} else pytest.mark.torture)
        for title in ROWS
        if title.partition(":")[0].isalpha()
    ],
)
def test_verbs_agree_on_a_changed_set_in_several_archives(title: str, tmp_path: Path) -> None:
    name, work, *_ = ROWS[title]
    files = sample(name)
    work(files)
    assert [*unlike_in_parts(files, tmp_path)] == []
