"""Everything that one file says of itself: as facts, as values for JSON, as rows for people."""

from __future__ import annotations

import json
import random
from dataclasses import fields, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from ese_files import STREAM, database_bytes, header_for, log_bytes, log_header, old_log_bytes, old_log_header
from hypothesis import given
from hypothesis import strategies as st
from recovery_sets import flip, logs, segment
from sweeps import examples

from tokar.ese.attachment import Attachment, Environment, build_attachments, path_bytes
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseState, Repairs
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import FileKind
from tokar.ese.inspect import Inspection, PassingFile, check_content, inspect_file
from tokar.ese.log import LogHeader
from tokar.ese.show import copies_text, inspection_json, inspection_rows, range_text, record_json, verdict_json
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature
from tokar.storage.bytesource import BytesSource, FileSource

if TYPE_CHECKING:
    from pathlib import Path

MOMENT = LogTime(second=30, minute=30, hour=19, day=5, month=2, year=122, low=(435 & 0x7F) << 1 | 1, high=435 >> 7 << 1)
POSITION = LogPosition(generation=0x1E2EC, sector=2, byte=0x717)
MARK = BackupInfo(mark=POSITION, time=MOMENT, generation_low=5)


def seen(data: bytes | bytearray) -> Inspection:
    return inspect_file(BytesSource(data))


def rows(data: bytes | bytearray) -> dict[str, str]:
    return dict(inspection_rows(seen(data)))


def streaming_copy(trailer: BackupTrailer | None = None, **changes: object) -> bytes:
    dirty = header_for(raw_state=DatabaseState.DIRTY_SHUTDOWN, current_full=MARK)
    header = replace(dirty, **changes)  # type: ignore[arg-type]
    if trailer is None:
        trailer = BackupTrailer(
            backup=replace(MARK, generation_high=7), signature=header.signature, log_signature=header.log_signature
        )
    return bytes(database_bytes(header, 3)) + trailer.build(4096)


GONE = bytes(4096)
FULL = logs(5, 5)["edb00005.log"]  # with a shadow, which has the checksum and the number of a page
LEFT = {
    "zeros": GONE + FULL[4096:],
    "garbage": b"\xa5" * 4096 + FULL[4096:],
    "without a shadow": GONE + FULL[4096 : 4 * 4096] + bytes(2 * 4096),
    "the shadow alone": bytes(4 * 4096) + FULL[4 * 4096 :],
    "at its end": bytes(60 * 4096) + segment(5, 60, 1),
}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
def test_a_log_without_its_header_is_no_database(data: bytes) -> None:
    passing = PassingFile(len(data))
    passing(memoryview(data))
    for found in (seen(data), passing.finish()):
        assert (found.identity.kind, found.identity.damaged) == (FileKind.LOG, True)
        assert found.identity.note == "its header is gone, and segments of a log follow"


@pytest.mark.parametrize(
    "data",
    [
        GONE + flip(FULL[4096 : 2 * 4096], 9) + bytes(4096),
        GONE + bytes(2 * 4096) + FULL[4096 : 2 * 4096] * 3,  # in no place of theirs
    ],
)
def test_what_is_no_segment_in_its_place_tells_nothing(data: bytes) -> None:
    assert seen(data).identity.kind in {FileKind.UNKNOWN, FileKind.RESERVE}


def test_a_database_without_its_headers_is_one() -> None:
    data = bytes(2 * 4096) + bytes(database_bytes(header_for(), 3))[2 * 4096 :]
    assert seen(data).identity.kind is FileKind.DATABASE


def test_a_database_shows_what_decides_about_a_restore() -> None:
    shown = rows(
        database_bytes(
            header_for(
                raw_state=DatabaseState.DIRTY_SHUTDOWN,
                required_low=123620,
                required_high=123628,
                committed_high=123630,
                consistent_position=POSITION,
                consistent_time=MOMENT,
            ),
            3,
        )
    )
    assert shown["state"] == "Dirty Shutdown"
    assert shown["log required"] == "123620-123628 (0x1E2E4-0x1E2EC)"
    assert shown["log committed"] == "0-123630 (0x0-0x1E2EE)"
    assert shown["last consistent"] == "(1E2EC,2,717)  02/05/2022 19:30:30.435 UTC"
    assert shown["header copies"] == "both valid and equal"
    assert (shown["pages"], shown["page size"]) == ("3", "4096")
    assert "previous full backup" not in shown


def test_a_number_without_a_name_is_shown_as_it_is() -> None:
    assert rows(database_bytes(header_for(raw_state=99), 1))["state"] == "unknown state 99"


def test_the_history_of_a_database_is_shown() -> None:
    shown = rows(
        database_bytes(
            header_for(
                previous_full=replace(MARK, generation_high=7),
                previous_full_type=1,
                previous_incremental=MARK,
                previous_incremental_type=9,
                repair_count=2,
                repair_time=MOMENT,
                ecc_fixes=Repairs(count=3, time=MOMENT),
                flags=b"\1\0\0\0",
            ),
            1,
        )
    )
    assert (
        shown["previous full backup"]
        == "logs 5-7 (0x5-0x7), mark (1E2EC,2,717) 02/05/2022 19:30:30.435 UTC (shadow copy)"
    )
    assert shown["previous incremental"].endswith("(type 9)")
    assert shown["repairs"] == "2, last 02/05/2022 19:30:30.435 UTC"
    assert shown["corrected bits"].startswith("3,")
    assert shown["shadowed"] == "no"


def test_a_streaming_copy_shows_its_trailer() -> None:
    shown = rows(streaming_copy())
    assert shown["backup trailer"].startswith("logs 5-7 (0x5-0x7), mark (1E2EC,2,717)")
    assert shown["streaming copy"].startswith("yes")


def test_a_trailer_of_another_backup_is_told() -> None:
    shown = rows(streaming_copy(BackupTrailer(backup=replace(MARK, generation_high=7))))
    assert shown["backup trailer"] == "the backup trailer does not fit: another database signature (-552)"


def test_a_missing_trailer_is_told() -> None:
    assert "-534" in rows(streaming_copy()[:-4096] + bytes(4096))["backup trailer"]


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (60, "the first is damaged, the other one was read"),
        (4096 + 60, "the second is damaged, the other one was read"),
    ],
)
def test_a_damaged_header_copy_is_told(at: int, text: str) -> None:
    data = database_bytes(header_for(), 2)
    data[at] ^= 1
    assert copies_text(seen(data)) == text


def test_a_stale_header_copy_is_told() -> None:
    stale = header_for(dbtime=1).build()
    data = database_bytes(header_for(), 2)
    data[4096:8192] = stale
    assert rows(data)["header copies"] == "both valid and different: the second is older"


def test_a_log_shows_its_place_in_the_stream() -> None:
    attached = Attachment(dbid=1, path=r"C:\d\a.edb", signature=Signature(random=1), attach_position=POSITION)
    header = log_header(
        0x51,
        created=MOMENT,
        environment=Environment(raw_log_path=path_bytes("C:\\logs\\"), sessions=12),
        attachment_area=build_attachments([attached]),
        previous_segments_xor=0xABC,
        flags=3,
    )
    shown = rows(log_bytes(header, 1))
    assert shown["generation"] == "81 (0x51)"
    assert (shown["created"], shown["previous log created"]) == ("02/05/2022 19:30:30.435 UTC", "none")
    assert (shown["log path"], shown["database 1"]) == ("C:\\logs\\", r"C:\d\a.edb")
    assert shown["settings"].startswith("sessions 12, ")
    assert shown["previous log's content"] == "0x0000000000000abc"
    assert (shown["circular logging"], "reserve log" in shown) == ("yes", True)
    assert shown["  attached, consistent"] == "(1E2EC,2,717), (0,0,0)"


def test_a_log_of_another_size_says_so() -> None:
    assert rows(log_bytes(log_header(), 1)[:-1])["size"].endswith("16 sectors of 4096; the file has 65535")


def test_a_log_of_format_7_has_no_link_to_content() -> None:
    shown = rows(old_log_bytes(old_log_header(), [(0, 10)]))
    assert "previous log's content" not in shown
    assert shown["format"] == "7.3704.6.0"


def test_a_checkpoint_shows_where_recovery_begins() -> None:
    shown = rows(Checkpoint(checkpoint=POSITION, signature=STREAM).build() * 2)
    assert (shown["checkpoint"], shown["consistency"]) == ("(1E2EC,2,717)", "the same")
    assert shown["checkpoint of full backup"] == "none"
    assert shown["header copies"] == "both valid and equal"


def test_a_flush_map_shows_whether_it_is_clean() -> None:
    assert rows(FlushMap(flags=1).build())["state"] == "clean"
    assert rows(FlushMap().build())["state"] == "not closed"


@pytest.mark.parametrize(
    ("data", "kind"),
    [(bytes(8192), FileKind.RESERVE), (b"x" * 9000, FileKind.UNKNOWN), (b"", FileKind.UNKNOWN)],
)
def test_what_has_no_header_shows_a_note(data: bytes, kind: FileKind) -> None:
    inspection = seen(data)
    assert inspection.identity.kind is kind
    assert list(inspection_rows(inspection)) == [("note", inspection.identity.note)]
    assert inspection.is_ese is (kind is not FileKind.UNKNOWN)


def test_a_damaged_header_leaves_the_kind_and_a_note() -> None:
    data = log_bytes(log_header(), 1)
    data[100] ^= 1
    value = inspection_json(seen(data))
    assert (value["kind"], value["damaged"], value["header"]) == ("log", True, None)
    assert value["note"].startswith("the log header is damaged")


def test_json_has_every_field_that_means_something() -> None:
    data = streaming_copy()
    value = json.loads(json.dumps(inspection_json(seen(data))))
    header = value["header"]
    wanted = {field.name for field in fields(header_for()) if not field.name.startswith("reserved_")}
    assert wanted <= header.keys()
    assert header["current_full"]["mark"] == {
        "generation": 0x1E2EC,
        "sector": 2,
        "byte": 0x717,
        "text": "(1E2EC,2,717)",
    }
    assert header["current_full"]["time"] == "2022-02-05T19:30:30.435Z"
    assert header["log_signature"]["bytes"] == STREAM.pack().hex()
    assert (header["state"], header["streaming_copy"], header["pages"]) == ("Dirty Shutdown", True, 3)
    assert (header["attach_time"], header["attach_position"], header["previous_full"]) == (None, None, None)
    assert value["copies"] == {"used": 0, "valid": [True, True], "identical": True}
    assert value["trailer"]["backup"]["generation_high"] == 7


def test_json_shows_areas_as_what_is_in_them() -> None:
    attached = Attachment(dbid=3, path="a.edb", signature=STREAM)
    header = log_header(
        environment=Environment(raw_system_path=path_bytes("S")), attachment_area=build_attachments([attached])
    )
    value = inspection_json(seen(log_bytes(header, 1)))
    assert value["attachments"][0]["path"] == "a.edb"
    assert value["header"]["environment"]["system_path"] == "S"
    assert not {"attachment_area", "raw_system_path", "raw_log_path"} & {
        *value["header"],
        *value["header"]["environment"],
    }


def test_content_is_checked_in_pieces_of_any_size() -> None:
    data = database_bytes(header_for(), 5)
    data[3 * 4096 + 900] ^= 3
    pieces = (bytes(data[at : at + 1000]) for at in range(0, len(data), 1000))
    value = verdict_json(check_content(seen(data), pieces))
    assert (value["units"], value["bad"], value["counts"]["ecc_ok"]) == (5, 1, 4)
    assert value["faults"][0] == {
        "kind": "bad",
        "offset": 3 * 4096,
        "page": 2,
        "belongs_to": None,
        "bits": [],
        "code": -1018,
    }


@pytest.mark.parametrize("size", [1 << 16, 1 << 17, 1 << 20, 3 << 20])
@pytest.mark.parametrize("step", [1 << 16, 1 << 20])
def test_zeros_that_go_by_are_a_reserve_log_only_where_all_of_them_were_seen(size: int, step: int) -> None:
    data = bytearray(size)
    data[-30000] = 1
    passing = PassingFile(size)
    for start in range(0, size, step):
        passing(memoryview(data)[start : start + step])
    seen = passing.finish()
    assert seen.identity.kind is FileKind.UNKNOWN
    assert seen.is_sure == (size <= 1 << 16)


@pytest.mark.parametrize("size", [1, 4096, 65536, 98304, 131072, 300_000, 1_000_000, 5 << 20])
def test_a_file_of_no_known_kind_goes_by_whatever_its_size(size: int) -> None:
    data = random.Random(size).randbytes(size)
    passing = PassingFile(size)
    for start in range(0, size, 1 << 16):
        passing(memoryview(data)[start : start + (1 << 16)])
    assert passing.finish().identity.kind is FileKind.UNKNOWN


HOLLOW = {
    "database": bytes(database_bytes(header_for(), 30)),
    "large pages": bytes(database_bytes(header_for(32768), 5)),
    "streaming copy": streaming_copy(),
    "temporary": bytes(database_bytes(header_for(raw_state=DatabaseState.JUST_CREATED), 9)),
    "log": FULL,
    "old log": bytes(old_log_bytes(old_log_header(), [(0, 200), (10, 700)])),
    "flush map": FlushMap().build() + bytes(8192) + bytes([7]) * 8192,
    "rubbish": random.Random(1).randbytes(200_000),
}


@pytest.mark.parametrize("data", HOLLOW.values(), ids=HOLLOW)
@examples(60)
@given(
    holes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), max_size=3),
    shift=st.sampled_from([0, 0, 1, 4000]),
    rest=st.sampled_from([0, 5, 4096, 70_000, 1 << 20]),
    cuts=st.lists(st.integers(0, 50), max_size=4),
)
def test_zeros_that_are_counted_are_as_zeros_that_are_looked_at(
    data: bytes, holes: list[tuple[int, int]], shift: int, rest: int, cuts: list[int]
) -> None:
    changed = bytearray(data)
    for at, count in holes:
        hole = slice(at * 4096 + shift, (at + count) * 4096 + shift)
        changed[hole] = bytes(len(changed[hole]))
    changed += bytes(rest)
    ends = sorted({0, len(changed), *(min(cut * 4096 + shift, len(changed)) for cut in cuts)})
    parts = [bytes(changed[start:end]) for start, end in pairwise(ends)]
    passing, whole = PassingFile(len(changed)), PassingFile(len(changed))
    for part in parts:
        whole(memoryview(part))
        if any(part):
            passing(memoryview(part))
        else:
            passing.zeros(len(part))
    assert passing.finish() == whole.finish()
    counted = [part if any(part) else len(part) for part in parts]
    assert check_content(seen(changed), counted) == check_content(seen(changed), parts)


def test_faults_of_logs_name_their_segments() -> None:
    data = log_bytes(log_header(), 5)
    data[2 * 4096 + 100] ^= 1
    (fault,) = verdict_json(check_content(seen(data), [data]))["faults"]
    assert fault == {"kind": "bad", "offset": 8192, "segment": 2, "bits": [800], "code": -501}


def test_content_without_checksums_is_not_read() -> None:
    def pieces() -> None:
        raise AssertionError

    inspection = seen(bytes(8192))
    assert not check_content(inspection, iter(pieces, None)).verified


def test_ranges_print_in_both_ways() -> None:
    assert range_text(10, 31) == "10-31 (0xA-0x1F)"


def test_unset_times_have_no_value() -> None:
    assert record_json(LogHeader())["created"] is None


@examples(150)
@given(
    start=st.sampled_from(
        [
            bytes(database_bytes(header_for(), 1)),
            bytes(log_bytes(log_header(), 1)),
            Checkpoint().build() * 2,
            FlushMap().build(),
            streaming_copy(),
        ]
    ),
    seal=st.booleans(),
    change=st.lists(st.tuples(st.integers(4, 3000), st.integers(0, 255)), max_size=12),
    cut=st.integers(0, 30_000),
)
def test_no_header_crashes_it(start: bytes, seal: bool, change: list[tuple[int, int]], cut: int) -> None:
    """With `seal` the checksum is made right again, so that changed fields are believed."""
    data = bytearray(start[:cut])
    for at, value in change:
        if at < len(data):
            data[at] = value
    size = 8192 if start == FlushMap().build() else 4096
    if seal and len(data) >= 2 * size:
        block = int.from_bytes(data[:size], "little")
        width = size * 8
        while width > 32:
            width //= 2
            block = (block >> width) ^ (block & ((1 << width) - 1))
        data[:4] = (int.from_bytes(data[:4], "little") ^ block ^ 0x89ABCDEF).to_bytes(4, "little")
    inspection = seen(data)
    json.dumps(inspection_json(inspection))
    for label, text in inspection_rows(inspection):
        assert label
        assert isinstance(text, str)


@pytest.mark.samples
def test_every_sample_says_something(samples: Path) -> None:
    kinds = set()
    for path in samples.rglob("*"):
        if path.is_file() and path.suffix not in (".md", ".pat"):
            with FileSource(path) as source:
                inspection = inspect_file(source)
            kinds.add(inspection.identity.kind)
            assert inspection.is_ese, path
            assert list(inspection_rows(inspection)), path
            json.dumps(inspection_json(inspection))
    assert {"database", "log", "checkpoint", "flush-map", "reserve", "temporary-database"} <= kinds
