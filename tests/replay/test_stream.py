"""From the bytes of a log to its records, and the proof that they fill it."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from engine_by_hand import new_story
from ese_files import log_header, segment_bytes
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_logs import NUMBERS, log_of, record, sample_logs, segments_of

from tokar.ese.log import LogHeader
from tokar.ese.logrecords import TYPES
from tokar.ese.page import seal_segment
from tokar.ese.record import layout
from tokar.replay.stream import SIMULATED, RecordsError, RecordStream, decode, number_of, position_of, size_at
from tokar.storage.bytesource import BytesSource, FileSource

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tokar.ese.pagerecords import EseRecord

# Records by generation; those of format 7 are without their checksum records.
KNOWN = {0x3: 607, 0x4: 540, 0x5: 546, 0x6: 638, 0x7: 860, 0x8: 784, 0x9: 209}
BELKASOFT = {0x4E: 379, 0x4F: 625, 0x50: 276, 0x51: 273, 0x52: 0}
XP = {0x81: 2696, 0x82: 2667, 0x83: 431}


def stream_of(data: bytes) -> RecordStream:
    return RecordStream(BytesSource(data), LogHeader.parse(data))


def records_in(data: bytes) -> list[EseRecord]:
    return [one for _, one in stream_of(data)]


def an_insert(size: int, line: int = 0) -> Any:
    return record("Insert", page=5, dbtime=9, before=8, line=line, suffix=b"key", data=bytes(size))


def test_records_come_back_as_they_were_written() -> None:
    written = [record("Begin0", session=5, levels=0x20, transaction=64), an_insert(30), record("RecoveryUndo")]
    assert records_in(log_of(written)) == written


def test_the_lengths_of_an_insert_stand_in_another_order_than_its_bytes() -> None:
    data = record("Insert", prefix=b"abc", suffix=b"de", data=b"f").pack()
    assert data[44:50] == b"\x02\x00\x03\x00\x01\x00"
    assert data[50:] == b"abcdef"


@pytest.mark.parametrize("size", [1000, 3990, 3991, 4005, 4006, 4007, 4050, 9000, 16000])
def test_a_record_that_does_not_fit_is_joined_again(size: int) -> None:
    written = [an_insert(100), an_insert(size, 1), an_insert(100, 2)]
    stream = stream_of(log_of(written))
    assert [one for _, one in stream] == written
    assert stream.tiling.is_exact
    assert stream.tiling.records == 3


def test_the_position_of_a_record_in_pieces_is_that_of_the_first() -> None:
    (_, (position, _)) = stream_of(log_of([an_insert(100), an_insert(8000)]))
    assert str(position_of(position)) == "(5,1,C1)"
    assert number_of(position_of(position)) == position


def test_a_cut_record_at_the_end_is_named_torn() -> None:
    data = log_of([an_insert(100), an_insert(8000)])
    stream = stream_of(data[: 2 * 4096].ljust(len(data), b"\0"))
    assert len(list(stream)) == 1
    assert stream.tiling.torn == "3896 of the 8053 bytes of a record of type 29"


def test_recovery_may_go_on_after_a_cut_record() -> None:
    header = log_header()
    first = segments_of([an_insert(100), an_insert(8000)], header.generation)[:4096]
    undo = segments_of([bytes(4056), record("RecoveryUndo2")], header.generation)[4096:]
    data = (header.build() + first + undo).ljust(header.file_size, b"\0")
    assert [TYPES[one.type].name for one in records_in(data)] == ["Insert", "RecoveryUndo2"]


def test_another_record_after_a_cut_one_is_refused() -> None:
    header = log_header()
    first = segments_of([an_insert(8000)], header.generation)[:4096]
    other = segments_of([bytes(4056), an_insert(5)], header.generation)[4096:]
    with pytest.raises(RecordsError, match="not ESE log records: Insert does not fit there"):
        records_in((header.build() + first + other).ljust(header.file_size, b"\0"))


def test_content_of_another_world_is_not_ese_records() -> None:
    header = log_header()
    body = b"".join(segment_bytes(header.generation, sector) for sector in (1, 2))
    with pytest.raises(RecordsError, match="not ESE log records") as caught:
        records_in((header.build() + body).ljust(header.file_size, b"\0"))
    assert "another engine" in str(caught.value.hint)
    assert "simulated" not in str(caught.value)


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_records_of_a_simulated_server_fill_its_logs(profile: str, tmp_path: Path) -> None:
    logs = sorted(new_story(tmp_path / "lab", profile, work=40).lab.place.logs.glob("edb*.log"))
    assert len(logs) > 2
    for data in (path.read_bytes() for path in logs if path.stem != "edbtmp"):
        stream = stream_of(data)
        found: list[Any] = [one for _, one in stream]
        assert (stream.tiling.is_exact, stream.tiling.torn) == (True, "")
        assert found[0] == decode(found[0].pack())
        assert found[0].data.startswith(SIMULATED)


def test_an_unknown_type_is_named_with_its_place() -> None:
    with pytest.raises(RecordsError, match=r"do not fill it: there is no record of type 40, at \(5,1,63\)") as caught:
        records_in(log_of([an_insert(6), b"\x28" + bytes(20)]))
    assert caught.value.offset == 4096 + 0x63


def test_filler_that_does_not_reach_the_end_of_its_segment_is_no_filler() -> None:
    with pytest.raises(RecordsError, match="no record of type 0"):
        records_in(log_of([an_insert(6), bytes(5), an_insert(6)]))


def test_a_damaged_segment_inside_stops_it() -> None:
    data = bytearray(log_of([an_insert(3000)] * 4))
    data[2 * 4096 + 100] ^= 1
    with pytest.raises(RecordsError, match="damaged inside") as caught:
        records_in(bytes(data))
    assert caught.value.offset == 2 * 4096


def test_a_shadow_stands_in_for_a_torn_last_segment() -> None:
    written = [an_insert(3000), an_insert(20, 1)]
    data = bytearray(log_of(written))
    data[3 * 4096 : 4 * 4096] = data[2 * 4096 : 3 * 4096]
    data[2 * 4096 + 50] ^= 0xFF
    assert records_in(bytes(data)) == written


def test_a_torn_end_without_a_shadow_is_said() -> None:
    data = bytearray(log_of([an_insert(3000), an_insert(3000, 1), an_insert(3000, 2)]))
    data[3 * 4096 + 50] ^= 0xFF
    stream = stream_of(bytes(data))
    assert len(list(stream)) == 2
    assert "torn write at 0x3000" in stream.tiling.torn


def test_an_init_without_a_path_is_another_engines_record() -> None:
    with pytest.raises(RecordsError, match="not ESE log records"):
        records_in(log_of([b"\x01\x09" + bytes(600)]))


def every_type() -> Iterable[str]:
    return [one.name for one in TYPES.values() if one.name not in {"FragmentBegin", "Fragment"}]


@pytest.mark.parametrize("name", every_type())
def test_the_fast_path_reads_what_the_declaration_says(name: str) -> None:
    chance = random.Random(name)
    made = TYPES[NUMBERS[name]].record
    data = bytearray(record(name).pack() + chance.randbytes(200))
    declared = layout(made).parse(bytes(data))
    found: Any = decode(bytes(data))
    assert [getattr(found, one) for one in made.__dataclass_fields__ if isinstance(getattr(found, one), int)] == [
        value for key, value in declared.items() if isinstance(value, int) and not key.startswith("_")
    ]


@given(st.binary(max_size=300), st.sampled_from(sorted(TYPES)))
def test_any_bytes_have_a_size_or_none(data: bytes, kind: int) -> None:
    size = size_at(bytes([kind]) + data, 0)
    assert size >= 1
    if size <= len(data) + 1:
        assert decode(bytes([kind]) + data).pack() == (bytes([kind]) + data)[:size]


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=8000))
def test_any_content_of_segments_ends_in_records_or_in_an_error(content: bytes) -> None:
    header = log_header()
    body = b"".join(
        seal_segment(segment_bytes(header.generation, number)[:40] + content[at : at + 4056].ljust(4056, b"\0"), number)
        for number, at in enumerate(range(0, len(content), 4056), 1)
    )
    with suppress(RecordsError):
        records_in((header.build() + body).ljust(header.file_size, b"\0"))


@pytest.mark.samples
@pytest.mark.parametrize("path", sample_logs(), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_records_fill_every_real_log(path: Path) -> None:
    with FileSource(path) as source:
        header = LogHeader.read(source)
        stream = RecordStream(source, header)
        count = sum(1 for _ in stream.tiles())
    tiling = stream.tiling
    assert tiling.is_exact
    assert (count, tiling.torn) == (tiling.records, "")
    known = {"win10-srum-rathbun": KNOWN, "win10-srum-belkasoft-dirty": BELKASOFT, "xp64-catroot2": XP}
    if expected := known.get(path.parent.name):
        assert count + (tiling.heads // 22 if header.major == 7 else 0) == expected[header.generation]


@pytest.mark.samples
def test_every_real_record_is_packed_again_to_its_bytes() -> None:
    seen = set()
    for path in sample_logs():
        with FileSource(path) as source:
            for _, data, at in RecordStream(source, LogHeader.read(source)).tiles():
                seen.add(data[at])
                assert decode(data, at).pack() == data[at : at + size_at(data, at)]
    assert len(seen) >= 34
