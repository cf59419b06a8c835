"""Header facts of the real databases against an independent implementation (dissect.esedb)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from ese_manifest import read_manifest

from conftest import samples_folder
from tokar.ese.database import DatabaseHeader, Event, Repairs
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

c_esedb = pytest.importorskip("dissect.esedb.c_esedb", reason="dissect.esedb is not installed").c_esedb

pytestmark = pytest.mark.samples

FOLDER = samples_folder()
DATABASES = [sample.path for sample in (read_manifest(FOLDER) if FOLDER else []) if sample.kind == "database"]

# Our name, theirs. The rest is padding and space that is kept as found.
PLAIN = {
    "checksum": "ulChecksum",
    "magic": "ulMagic",
    "version": "ulVersion",
    "attribute": "attrib",
    "dbtime": "dbtimeDirtied",
    "raw_state": "dbstate",
    "dbid": "dbid",
    "last_object_id": "objidLast",
    "os_major": "dwMajorVersion",
    "os_minor": "dwMinorVersion",
    "os_build": "dwBuildNumber",
    "os_service_pack": "lSPNumber",
    "revision": "ulDaeUpdateMajor",
    "raw_page_size": "cbPageSize",
    "repair_count": "ulRepairCount",
    "scrub_dbtime": "dbtimeLastScrub",
    "required_low": "lGenMinRequired",
    "required_high": "lGenMaxRequired",
    "created_version": "ulCreateVersion",
    "created_revision": "ulCreateUpdate",
    "previous_full_type": "bkinfoTypeFullPrev",
    "previous_incremental_type": "bkinfoTypeIncPrev",
    "old_repair_count": "ulRepairCountOld",
    "committed_high": "lGenMaxCommitted",
    "previous_copy_type": "bkinfoTypeCopyPrev",
    "previous_differential_type": "bkinfoTypeDiffPrev",
    "sort_version": "qwSortVersion",
    "scan_page": "pgnoDbscanHighestContinuous",
    "recovering_generation": "lGenRecovering",
}
TIMES = {
    "consistent_time": "logtimeConsistent",
    "attach_time": "logtimeAttach",
    "detach_time": "logtimeDetach",
    "repair_time": "logtimeRepair",
    "scrub_time": "logtimeScrub",
    "last_log_time": "logtimeGenMaxCreate",
    "scan_finish_time": "logtimeDbscanPrev",
    "scan_start_time": "logtimeDbscanStart",
}
POSITIONS = {
    "consistent_position": "lgposConsistent",
    "attach_position": "lgposAttach",
    "detach_position": "lgposDetach",
}
SIGNATURES = {"signature": "signDb", "log_signature": "signLog"}
BACKUPS = {
    "previous_full": "bkinfoFullPrev",
    "previous_incremental": "bkinfoIncPrev",
    "current_full": "bkinfoFullCur",
    "current_shadow_copy": "bkinfoSnapshotCur",
    "previous_copy": "bkinfoCopyPrev",
    "previous_differential": "bkinfoDiffPrev",
}
REPAIRS = {
    "ecc_fixes": ("ulECCFixSuccess", "logtimeECCFixSuccess", "ulECCFixSuccessOld"),
    "failed_ecc_fixes": ("ulECCFixFail", "logtimeECCFixFail", "ulECCFixFailOld"),
    "bad_checksums": ("ulBadChecksum", "logtimeBadChecksum", "ulBadChecksumOld"),
    "patched_pages": ("ulPagePatchCount", "logtimePagePatch", "ulPagePatchCountOld"),
}


def time_of(theirs: Any) -> LogTime:
    return LogTime(
        second=theirs.bSeconds,
        minute=theirs.bMinutes,
        hour=theirs.bHours,
        day=theirs.bDay,
        month=theirs.bMonth,
        year=theirs.bYear,
        low=theirs.fTimeIsUTC | theirs.bMillisecondsLow << 1,
        high=theirs.fReserved | theirs.bMillisecondsHigh << 1 | theirs.fUnused << 4,
    )


def position_of(theirs: Any) -> LogPosition:
    return LogPosition(byte=theirs.ib, sector=theirs.isec, generation=theirs.lGeneration)


def signature_of(theirs: Any) -> Signature:
    return Signature(
        random=theirs.ulRandom, created=time_of(theirs.logtimeCreate), computer=bytes(theirs.szComputerName)
    )


def backup_of(theirs: Any) -> BackupInfo:
    return BackupInfo(
        mark=position_of(theirs.lgposMark),
        time=time_of(theirs.logtimeMark),
        generation_low=theirs.genLow,
        generation_high=theirs.genHigh,
    )


@pytest.mark.parametrize("path", DATABASES)
def test_another_implementation_reads_the_same_header(samples: Path, path: str) -> None:
    with FileSource(samples / path) as source:
        ours = DatabaseHeader.read(source).header
        theirs = c_esedb.DBFILEHDR(source.read(0, 4096))
    expected: dict[str, Any] = {name: int(getattr(theirs, other)) for name, other in PLAIN.items()}
    expected |= {name: time_of(getattr(theirs, other)) for name, other in TIMES.items()}
    expected |= {name: position_of(getattr(theirs, other)) for name, other in POSITIONS.items()}
    expected |= {name: signature_of(getattr(theirs, other)) for name, other in SIGNATURES.items()}
    expected |= {name: backup_of(getattr(theirs, other)) for name, other in BACKUPS.items()}
    for name, (count, time, old) in REPAIRS.items():
        expected[name] = Repairs(
            count=getattr(theirs, count), time=time_of(getattr(theirs, time)), old_count=getattr(theirs, old)
        )
    expected["extended"] = Event(count=theirs.ulExtendCount, time=time_of(theirs.logtimeLastExtend))
    assert {name: getattr(ours, name) for name in expected} == expected
