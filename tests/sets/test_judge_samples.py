"""The verdict on real sets, and on real sets that were changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from loose_facts import facts_of_folder
from recovery_sets import flip

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.values import LogPosition
from tokar.sets.database_verdict import Verdict
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.judge import judge_set
from tokar.sets.roles import LogRole
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.sets.judge import SetVerdict

pytestmark = pytest.mark.samples

DIRTY, CLEAN_LOGS, XP, BACKUP = (
    "win10-srum-belkasoft-dirty",
    "win10-srum-rathbun",
    "xp64-catroot2",
    "dhcp-streaming-backup-redacted",
)


def verdict_of(folder: Path, *, examine: bool = True) -> SetVerdict:
    return judge_set(facts_of_folder(folder, examine=examine))


@pytest.mark.parametrize(
    ("folder", "verdicts", "faults"),
    [
        (DIRTY, {"SRUDB.dat": Verdict.RECOVERABLE}, []),
        (CLEAN_LOGS, {"SRUDB.dat": Verdict.CLEAN}, []),
        (XP, {"F750E6C3/catdb": Verdict.CLEAN}, [Kind.DATABASE_NOT_HERE]),
        (BACKUP, {"dhcp.mdb": Verdict.NOT_RECOVERABLE}, [Kind.DATABASE_BLANK, *[Kind.LOG_BLANK] * 9]),
        (
            "ual-hyperv",
            {"Current.mdb": Verdict.NOT_RECOVERABLE, "SystemIdentity.mdb": Verdict.CLEAN},
            [Kind.LOG_MISSING],
        ),
        ("dsinternals", {"adamntds.dit": Verdict.CLEAN}, []),
        ("pfsheet-raven", {"Data": Verdict.CLEAN}, []),
        ("ntds-temp", {"temp.edb": Verdict.TEMPORARY}, [Kind.STATE_UNUSABLE]),
        (
            "dissect",
            {
                "SRUDB.dat": Verdict.DAMAGED,
                "basic.edb": Verdict.CLEAN,
                "default.edb": Verdict.CLEAN,
                "large.edb": Verdict.CLEAN,
            },
            [Kind.PAGES_DAMAGED],
        ),
    ],
)
def test_every_sample_set_gets_the_right_verdict(
    samples: Path, folder: str, verdicts: dict[str, Verdict], faults: list[Kind]
) -> None:
    found = verdict_of(samples / folder)
    assert {one.name: one.verdict for one in found.databases} == verdicts
    assert [fault.kind for fault in found.faults] == faults


def test_pages_that_never_were_in_use_are_named_as_such(samples: Path) -> None:
    (fault,) = verdict_of(samples / "dissect").faults
    assert fault.message.endswith(", behind page 142, the last one in use")


def test_by_its_headers_alone_the_backup_without_content_is_whole(samples: Path) -> None:
    found = verdict_of(samples / BACKUP, examine=False)
    assert ([one.verdict for one in found.databases], found.faults) == ([Verdict.RECOVERABLE], ())


def test_the_missing_generation_is_named(samples: Path) -> None:
    found = verdict_of(samples / "ual-hyperv")
    assert found.faults[0].generations == (0x7C,)
    assert "0x7C" in found.faults[0].message


def test_the_required_log_of_a_dirty_database_is_found(samples: Path) -> None:
    found = verdict_of(samples / DIRTY)
    roles = dict(found.log_roles)
    assert roles["SRU00051.log"] is LogRole.NEEDED
    assert roles["SRU.log"] is LogRole.FORWARD
    assert found.databases[0].reaches == 0x52


def test_a_streaming_backup_needs_the_range_of_its_trailer(samples: Path) -> None:
    need = verdict_of(samples / BACKUP).databases[0].need
    assert (need.low, need.high, need.hard) == (0x1E2E4, 0x1E2EC, True)


def test_the_second_attached_database_is_named(samples: Path) -> None:
    (fault,) = verdict_of(samples / XP).faults
    assert "127D0A1D" in fault.message
    assert fault.code == -1216


Case = tuple[str, "Callable[[Path], None]", list[tuple[Kind, int | None]]]


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def change(name: str, edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        path = folder / name
        path.write_bytes(edit(path.read_bytes()))

    return work


def bring(source: str, name: str) -> Callable[[Path], None]:
    """Put a file of another sample set in the place of one of this."""

    def work(folder: Path) -> None:
        shutil.copyfile(Path(str(folder) + "-samples.txt").read_text() + "/" + source, folder / name)

    return work


def both(*works: Callable[[Path], None]) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        for one in works:
            one(folder)

    return work


def rename(old: str, new: str) -> Callable[[Path], None]:
    def work(folder: Path) -> None:
        (folder / old).rename(folder / new)

    return work


def swap(one: int, other: int, size: int = 4096) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        first, second = (one + 1) * size, (other + 1) * size
        changed = bytearray(data)
        changed[first : first + size], changed[second : second + size] = (
            data[second : second + size],
            data[first : first + size],
        )
        return bytes(changed)

    return edit


def later_checkpoint(data: bytes) -> bytes:
    header = Checkpoint.read(BytesSource(data)).header
    return replace(header, checkpoint=LogPosition(generation=0x52, sector=1)).build() * 2


CASES: dict[str, Case] = {
    "drop-the-required-log": (DIRTY, remove("SRU00051.log"), [(Kind.LOG_MISSING, -543)]),
    "drop-an-older-log": (DIRTY, remove("SRU0004F.log"), [(Kind.LOGS_BEFORE_GAP, -528)]),
    "required-log-of-another-instance": (
        DIRTY,
        bring(f"{CLEAN_LOGS}/SRU00005.log", "SRU00051.log"),
        [(Kind.LOG_FOREIGN, -530)],
    ),
    "bit-in-the-required-log": (
        DIRTY,
        change("SRU00051.log", lambda data: flip(data, 4096 * 3 + 100)),
        [(Kind.LOG_DAMAGED, -501)],
    ),
    "bit-in-the-header-of-the-required-log": (
        DIRTY,
        change("SRU00051.log", lambda data: flip(data, 30)),
        [(Kind.LOG_UNREADABLE, -501)],
    ),
    "cut-the-required-log": (DIRTY, change("SRU00051.log", lambda data: data[:20000]), [(Kind.LOG_SIZE, -541)]),
    "rename-the-required-log": (DIRTY, rename("SRU00051.log", "SRU00061.log"), [(Kind.LOG_NAME, -513)]),
    "bit-in-the-first-header-copy": (
        DIRTY,
        change("SRUDB.dat", lambda data: flip(data, 52)),
        [(Kind.HEADER_COPY, None)],
    ),
    "bits-in-both-header-copies": (
        DIRTY,
        change("SRUDB.dat", lambda data: flip(flip(data, 52), 4096 + 52)),
        [(Kind.DATABASE_UNREADABLE, -1018)],
    ),
    "bit-in-a-page": (
        DIRTY,
        change("SRUDB.dat", lambda data: flip(data, 4096 * 9 + 500)),
        [(Kind.PAGES_CORRECTABLE, None)],
    ),
    "bits-in-a-page": (
        DIRTY,
        change("SRUDB.dat", lambda data: flip(flip(data, 4096 * 9 + 500), 4096 * 9 + 1000, 5)),
        [(Kind.PAGES_DAMAGED, -1018)],
    ),
    "swap-two-pages": (DIRTY, change("SRUDB.dat", swap(4, 8)), [(Kind.PAGES_MISPLACED, -1018)]),
    "empty-the-required-log": (
        DIRTY,
        change("SRU00051.log", lambda data: data[:4096].ljust(len(data), b"\0")),
        [(Kind.LOG_BLANK, -501)],
    ),
    "end-the-required-log-before-the-database-was-attached": (
        DIRTY,
        change("SRU00051.log", lambda data: data[: 9 * 4096].ljust(len(data), b"\0")),
        [(Kind.LOG_SHORT, -501)],
    ),
    "end-the-required-log-earlier-than-the-next-one-remembers": (
        DIRTY,
        change("SRU00051.log", lambda data: data[: 11 * 4096].ljust(len(data), b"\0")),
        [(Kind.LOG_ALTERED, -590)],
    ),
    "end-an-old-log-before-the-database-was-closed": (
        XP,
        change("edb.log", lambda data: data[:4096] + (data[-256:] * (len(data) // 256))[: len(data) - 4096]),
        [(Kind.LOG_BLANK, -501), (Kind.LOGS_BEFORE_GAP, -528), (Kind.NEW_STREAM, None)],
    ),
    "nothing-in-the-database": (
        CLEAN_LOGS,
        change("SRUDB.dat", lambda data: data[: 2 * 4096].ljust(len(data), b"\0")),
        [(Kind.DATABASE_BLANK, -1019)],
    ),
    "nothing-in-the-catalog": (
        DIRTY,
        change("SRUDB.dat", lambda data: data[: 5 * 4096] + bytes(4096) + data[6 * 4096 :]),
        [(Kind.DATABASE_BLANK, -1019)],
    ),
    "half-of-a-clean-database": (
        CLEAN_LOGS,
        change("SRUDB.dat", lambda data: data[: 90 * 4096]),
        [(Kind.DATABASE_CUT, -1206)],
    ),
    "the-last-page-in-use-of-a-clean-database": (
        CLEAN_LOGS,
        change("SRUDB.dat", lambda data: data[: (2 + 173) * 4096]),
        [(Kind.DATABASE_CUT, -1206)],
    ),
    "pages-behind-the-last-one-in-use": (CLEAN_LOGS, change("SRUDB.dat", lambda data: data[: (2 + 174) * 4096]), []),
    "half-of-an-old-clean-database": (
        XP,
        change("F750E6C3/catdb", lambda data: data[: 400 * 4096]),
        [(Kind.DATABASE_CUT, -1206), (Kind.DATABASE_NOT_HERE, -1216)],
    ),
    "half-of-a-dirty-database": (
        DIRTY,
        change("SRUDB.dat", lambda data: data[: 400 * 4096]),
        [(Kind.PAGES_BEYOND, None)],
    ),
    "cut-the-database": (DIRTY, change("SRUDB.dat", lambda data: data[:-1]), [(Kind.DATABASE_CUT, -1206)]),
    "newer-checkpoint": (
        DIRTY,
        change("SRU.chk", later_checkpoint),
        [(Kind.CHECKPOINT_NEWER, None)],
    ),
    "checkpoint-of-another-instance": (
        DIRTY,
        bring(f"{CLEAN_LOGS}/SRU.chk", "SRU.chk"),
        [(Kind.CHECKPOINT_FOREIGN, -532)],
    ),
    "checkpoint-damaged": (
        DIRTY,
        change("SRU.chk", lambda data: flip(flip(data, 20), 4116)),
        [(Kind.CHECKPOINT_DAMAGED, -533)],
    ),
    "flush-map-of-another-instance": (
        DIRTY,
        bring(f"{CLEAN_LOGS}/SRUDB.jfm", "SRUDB.jfm"),
        [(Kind.FLUSH_MAP_FOREIGN, None)],
    ),
    "drop-the-first-log-of-a-backup": (BACKUP, remove("j501E2E4.log"), [(Kind.LOG_MISSING, -557)]),
    "drop-a-middle-log-of-a-backup": (BACKUP, remove("j501E2E8.log"), [(Kind.LOG_MISSING, -557)]),
    "drop-the-last-log-of-a-backup": (BACKUP, remove("j501E2EC.log"), [(Kind.LOG_MISSING, -557)]),
    "drop-the-empty-patch-file": (BACKUP, remove("dhcp.pat"), []),
    "log-of-another-instance-in-a-backup": (
        BACKUP,
        bring(f"{DIRTY}/SRU00050.log", "j501E2E8.log"),
        [(Kind.LOG_FOREIGN, -555)],
    ),
    "remove-the-trailer": (
        BACKUP,
        change("dhcp.mdb", lambda data: data[:-4096]),
        [(Kind.TRAILER_MISSING, -534)],
    ),
    "bit-in-the-trailer": (
        BACKUP,
        change("dhcp.mdb", lambda data: flip(data, len(data) - 4000)),
        [(Kind.TRAILER_DAMAGED, -535)],
    ),
    "cut-the-copy": (BACKUP, change("dhcp.mdb", lambda data: data[:-100]), [(Kind.DATABASE_CUT, -561)]),
    "the-last-log-under-an-earlier-name": (
        BACKUP,
        both(remove("j501E2E8.log"), rename("j501E2EC.log", "j501E2E8.log")),
        [(Kind.LOG_MISSING, -557), (Kind.LOG_NAME, -513)],
    ),
    "bit-in-an-old-log-to-play-forward": (
        XP,
        change("edb.log", lambda data: flip(data, 4096 + 600)),
        [(Kind.LOG_DAMAGED, -501), (Kind.LOGS_BEFORE_GAP, -528), (Kind.NEW_STREAM, None)],
    ),
    "bit-in-an-old-page": (
        XP,
        change("F750E6C3/catdb", lambda data: flip(data, 4096 * 8 + 600)),
        [(Kind.PAGES_DAMAGED, -1018), (Kind.DATABASE_NOT_HERE, -1216)],
    ),
    "lose-the-clean-database": (CLEAN_LOGS, remove("SRUDB.dat"), [(Kind.FLUSH_MAP_FOREIGN, None)]),
    "lose-a-middle-log-without-a-database": (
        CLEAN_LOGS,
        both(remove("SRUDB.dat"), remove("SRUDB.jfm"), remove("SRU00006.log")),
        [(Kind.LOG_MISSING, -543)],
    ),
    "change-a-log-that-the-next-one-remembers": (
        CLEAN_LOGS,
        both(
            remove("SRUDB.dat"),
            remove("SRUDB.jfm"),
            change("SRU00006.log", lambda data: data[: 14 * 4096] + bytes(2 * 4096)),
        ),
        [(Kind.LOG_ALTERED, -590)],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_changed_sample_gives_exactly_its_faults(samples: Path, tmp_path: Path, name: str) -> None:
    source, mutate, expected = CASES[name]
    folder = tmp_path / "set"
    shutil.copytree(samples / source, folder)
    Path(str(folder) + "-samples.txt").write_text(str(samples))
    mutate(folder)
    found = verdict_of(folder, examine=source != BACKUP)  # of which only headers and trailer were kept
    assert [(fault.kind, fault.code) for fault in found.faults] == expected, [f.message for f in found.faults]
