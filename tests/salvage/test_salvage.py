"""Salvage by example: what is kept, what is rebuilt, what is reported, what is refused (SALV-1 to SALV-6)."""

from __future__ import annotations

import dataclasses
import io
import json
from typing import Any

import pytest
from fixtures.expect import Expectation
from fixtures.readers import KEYS
from format_tools import ARCHIVE_ID, HEAD, ZEROS, Forge, MemorySink, begun, pattern
from salvage_tools import (
    CHUNK,
    FILES,
    NEW_ID,
    NOW,
    OLD_ID,
    TAG,
    Rescued,
    broken,
    entry_pieces,
    piece,
    pieces,
    rescued,
    whole_archive,
    without,
)

from tokar.errors import (
    BadMagicError,
    FormatError,
    InputError,
    PartialError,
    SourceChangedError,
    StorageError,
    UnsupportedError,
)
from tokar.format.archive import Archive
from tokar.format.bodies import Preamble
from tokar.format.compression import Compression
from tokar.format.metadata import Summary, parse_calls
from tokar.format.scanner import Scan
from tokar.format.verify import verify
from tokar.salvage import copy as salvage_copy
from tokar.salvage import entry as salvage_entry
from tokar.salvage.copy import SalvageWriter
from tokar.salvage.entry import EntryState, FoundEntry, MissingContent
from tokar.salvage.salvage import random_id, salvage
from tokar.storage.bytesource import BytesSource
from tokar.words import count_text

WHOLE = whole_archive()
DERIVED = (b"", b"INDX", b"ROOT", b"TAIL")


def never() -> MemorySink:
    """A sink that must not be asked for."""
    raise AssertionError("nothing may be written")


class CountingSource(BytesSource):
    """Bytes that count how often they are read."""

    reads = 0

    def read(self, offset: int, size: int) -> bytes:
        self.reads += 1
        return super().read(offset, size)


# --- nothing to do ----------------------------------------------------------------------------------------------------


def test_an_undamaged_archive_is_refused_and_nothing_is_written() -> None:
    with pytest.raises(InputError, match="undamaged") as caught:
        salvage(BytesSource(WHOLE), never)
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_that_an_archive_is_undamaged_is_seen_without_a_read_of_every_record() -> None:
    with SalvageWriter(sink := MemorySink(), HEAD, archive_id=OLD_ID, compression=Compression(None)) as writer:
        for number in range(500):
            writer.add(0x0F, f"file {number}", io.BytesIO(b"x"))
        writer.seal_as(Summary(500, 500, "2026-01-02T03:04:06.000007Z", "complete", {}))
    source = CountingSource(bytes(sink.data))
    with pytest.raises(InputError, match="undamaged"):
        salvage(source, never)
    assert source.reads < 100


@pytest.mark.parametrize("data", [b"", b"MZ", bytes(5000), b"no archive at all" * 1000])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(BadMagicError):
        salvage(BytesSource(data), never)


@pytest.mark.parametrize("size", [8, 31, 32, 100, 194])
def test_an_archive_cut_before_its_first_record_ends_has_nothing_to_save(size: int) -> None:
    with pytest.raises(FormatError, match="no record") as caught:
        salvage(BytesSource(WHOLE[:size]), never)
    assert type(caught.value) is FormatError


def test_an_archive_without_a_complete_file_has_nothing_to_save() -> None:
    cut = WHOLE[: piece(WHOLE, b"DATA", 1).end]
    with pytest.raises(FormatError, match="no file is complete, 1 incomplete") as caught:
        salvage(BytesSource(cut), never)
    assert caught.value.exit_code == 4
    assert "partial" in str(caught.value.hint)


def test_an_archive_with_a_transcript_only_has_nothing_to_save() -> None:
    with pytest.raises(FormatError, match="no file in it can be saved"):
        salvage(BytesSource(WHOLE[: piece(WHOLE, b"FILE").start]), never, partial=True)


def test_another_version_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="version 2"):
        salvage(BytesSource(Forge(major=2).head().entry().finish().data), never)


def test_a_version_that_the_crc_contradicts_is_damage() -> None:
    data = bytearray(WHOLE)
    data[8] = 2
    assert rescued(bytes(data)).data == WHOLE


def test_an_unknown_record_is_refused() -> None:
    data = bytes(begun().entry().outside(b"PLUS", b"?").finish().data)
    with pytest.raises(UnsupportedError, match="PLUS"):
        salvage(BytesSource(data[:-1]), never)


def test_an_unknown_feature_is_refused() -> None:
    data = bytes(begun(features=["elsewhere"]).entry().finish().data)
    with pytest.raises(UnsupportedError, match="elsewhere"):
        salvage(BytesSource(data[:-1]), never)


def test_an_unknown_feature_in_the_second_head_is_refused() -> None:
    data = bytes(begun(features=["elsewhere"]).entry().finish().data)
    with pytest.raises(UnsupportedError, match="elsewhere"):
        salvage(BytesSource(broken(data, 40)), never)


# --- the original, rebuilt (SALV-3) -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kinds", [(b"",), (b"INDX",), (b"ROOT",), (b"TAIL",), (b"INDX", b"TAIL"), (b"HEAD",), (b"", b"HEAD")]
)
def test_damage_to_derived_parts_is_undone(kinds: tuple[bytes, ...]) -> None:
    result = rescued(broken(WHOLE, *(piece(WHOLE, kind) for kind in kinds)))
    assert result.data == WHOLE
    assert result.report.same
    assert not result.report.lost
    result.report.raise_if_lossy()


@pytest.mark.parametrize("kinds", [(b"INDX",), (b"ROOT", b"TAIL"), (b"INDX", b"ROOT", b"TAIL")])
def test_derived_parts_that_vanished_are_made_again(kinds: tuple[bytes, ...]) -> None:
    result = rescued(without(WHOLE, *(piece(WHOLE, kind) for kind in kinds)))
    assert result.data == WHOLE
    assert not result.report.lost


@pytest.mark.parametrize("kind", [b"INDX", b"ROOT", b"sign"])
@pytest.mark.parametrize("offset", [0, 1, 63, 64, 70])
def test_an_archive_cut_anywhere_after_summ_gets_its_end_again(kind: bytes, offset: int) -> None:
    cut = WHOLE[: piece(WHOLE, kind).start + offset]
    result = rescued(cut)
    sign = piece(WHOLE, b"sign")
    assert result.report.same
    assert result.data[: sign.start] == WHOLE[: sign.start]
    assert not result.report.lost
    assert any("signatures" in note for note in result.report.notes)


def test_done_is_built_again_from_the_index() -> None:
    dones = [found for found in pieces(WHOLE) if found.kind == b"DONE"]
    result = rescued(broken(WHOLE, *dones))
    assert result.data == WHOLE


def test_file_is_built_again_from_the_index() -> None:
    files = [found for found in pieces(WHOLE) if found.kind == b"FILE"]
    result = rescued(broken(WHOLE, *files))
    assert result.data == WHOLE
    assert not result.report.lost


def test_file_and_done_are_both_built_again_from_the_index() -> None:
    ends = [found for found in pieces(WHOLE) if found.kind in (b"FILE", b"DONE")]
    assert rescued(broken(WHOLE, *ends)).data == WHOLE
    assert rescued(without(WHOLE, *ends)).data == WHOLE


def test_an_empty_file_of_which_the_index_alone_is_left_is_built_again() -> None:
    gone = entry_pieces(WHOLE)[2]
    for data in (without(WHOLE, *gone), broken(WHOLE, *gone, piece(WHOLE, b"ROOT"), piece(WHOLE, b"TAIL"))):
        result = rescued(data)
        assert result.report.same
        assert result.contents == FILES
    many = begun().entry(b"", name=b"FIRST").proc().entry(b"", name=b"SECOND").entry(b"", name=b"THIRD").proc()
    data = bytes(many.finish().data)
    entries = [part for entry in entry_pieces(data) for part in entry]
    assert rescued(without(data, *entries)).data == data
    assert rescued(without(data, *entries[2:])).data == data
    assert rescued(without(data, *entries[:4])).data == data


def test_an_index_that_lies_about_an_empty_file_makes_none() -> None:
    archive = begun().entry(b"good").entry(b"", name=b"EMPTY").summ().head()
    data = bytes(archive.page(flags=[0, 1]).finish().data)
    result = rescued(without(data, *entry_pieces(data)[1]))
    assert result.contents == {"E.LOG": b"good"}
    assert result.states == {"EMPTY": "incomplete"}


def test_the_id_comes_from_root_if_the_preamble_is_lost() -> None:
    result = rescued(bytes(32) + WHOLE[32:])
    assert result.report.id == OLD_ID
    assert result.data == WHOLE


def test_the_id_is_read_from_a_preamble_whose_constant_part_is_damaged() -> None:
    data = b"\x0d\x0a\x89\x54" + WHOLE[4:]
    result = rescued(broken(data, piece(WHOLE, b"ROOT"), piece(WHOLE, b"TAIL")))
    assert result.report.id == OLD_ID
    assert result.data[: piece(WHOLE, b"sign").start] == WHOLE[: piece(WHOLE, b"sign").start]


def test_root_outvotes_the_second_half_of_the_id_in_the_preamble() -> None:
    data = Preamble(OLD_ID[:8] + b"not this").build() + WHOLE[32:]
    result = rescued(data)
    assert result.data == WHOLE
    assert result.report.ranges[0].offset == 0


def test_bytes_inserted_before_everything_are_taken_away() -> None:
    cut = WHOLE[: piece(WHOLE, b"ROOT").start]
    result = rescued(b"From nobody Thu Jan  1\n" * 10 + cut)
    assert result.report.id == OLD_ID
    assert result.report.same


def test_records_that_were_shuffled_are_put_back_in_order() -> None:
    parts = [found.data for found in pieces(WHOLE)]
    result = rescued(parts[0] + b"".join(reversed(parts[1:])))
    assert result.data == WHOLE
    assert not result.report.lost


def test_an_archive_written_twice_is_one_archive() -> None:
    result = rescued(WHOLE + WHOLE)
    assert result.data == WHOLE
    assert "elsewhere" in result.report.ranges[-1].what
    assert result.report.ranges[-1].missing == 0


def test_a_second_copy_fills_the_holes_of_the_first() -> None:
    half = len(WHOLE) // 2
    data = broken(WHOLE, piece(WHOLE, b"DATA", 0), piece(WHOLE, b"FILE", 3)) + WHOLE[32:half]
    assert rescued(data).data == WHOLE


def test_bytes_after_the_end_are_cut_off() -> None:
    result = rescued(WHOLE + b"\0" * 777)
    assert result.data == WHOLE
    assert result.report.ranges[-1].size == 777
    assert not result.report.lost


def test_an_archive_without_files_is_rebuilt_too() -> None:
    data = bytes(begun().proc().finish().data)
    assert rescued(data[:-1]).data == data


def test_a_lost_signature_is_a_loss() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"sign")))
    assert result.report.same
    assert result.report.trailing_is_lost
    with pytest.raises(PartialError, match="6 files saved, but not all that stood beside them"):
        result.report.raise_if_lossy()


# --- a new archive (SALV-2, SALV-3) -----------------------------------------------------------------------------------


def test_a_cut_archive_keeps_all_complete_files_under_a_new_id() -> None:
    cut = WHOLE[: piece(WHOLE, b"DONE", 3).start + 5]
    result = rescued(cut)
    assert result.contents == {name: FILES[name] for name in ("DB.EDB", "A.LOG", "EMPTY.LOG")}
    assert result.archive.id == NEW_ID
    assert result.archive.head.extra["origin"] == {"id": OLD_ID.hex()}
    assert result.archive.summary.outcome == "partial"
    assert result.states == {"B.LOG": "incomplete"}
    assert not result.report.end_is_known
    with pytest.raises(
        PartialError, match="3 files saved, 1 incomplete, how many more there were is not known"
    ) as caught:
        result.report.raise_if_lossy()
    assert caught.value.exit_code == 8


def test_an_archive_cut_between_files_is_still_a_loss() -> None:
    result = rescued(WHOLE[: piece(WHOLE, b"FILE", 4).start])
    assert len(result.archive) == 4
    assert result.report.lost
    assert result.report.incomplete_count == result.report.lost_count == 0


@pytest.mark.parametrize("number", range(len(FILES)))
@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_broken_record_costs_at_most_its_file(number: int, which: int) -> None:
    entry = entry_pieces(WHOLE)[number]
    result = rescued(broken(WHOLE, entry[which], piece(WHOLE, b"INDX")))
    lost = list(FILES)[number]
    assert result.contents == {name: content for name, content in FILES.items() if name != lost}
    assert result.report.lost
    assert result.report.complete_count == 5
    assert result.archive.head.extra["origin"] == {"id": OLD_ID.hex(), "root": piece(WHOLE, b"ROOT").data[24:56].hex()}


def test_entries_after_a_lost_one_are_numbered_anew() -> None:
    result = rescued(without(WHOLE, *entry_pieces(WHOLE)[1]))
    assert [entry.number for entry in result.archive] == [0, 1, 2, 3, 4]
    assert [entry.token for entry in result.archive] == [0x21] * 5


def test_what_is_known_of_a_file_survives() -> None:
    result = rescued(without(WHOLE, *entry_pieces(WHOLE)[0]))
    entry = result.archive.find("A.LOG")
    record = result.archive.records(entry).file
    assert (record.modified, record.announced_size, record.incomplete) == (1_700_000_000_000_000_001, 18, False)


def test_the_transcript_survives_in_order() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"DATA", 4)))
    assert [call.get("number") for call in result.archive.calls()] == [None, 0, 1, 2, 3, 4, 5]


def test_a_lost_part_of_the_transcript_is_a_loss_and_is_named() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"PROC", 2)))
    assert result.contents == FILES
    assert result.report.lost
    assert result.archive.summary.outcome == "partial"
    assert "lost: 1 PROC record" in result.report.notes
    assert "lost: 1 PROC record" in result.archive.summary.extra["notes"]
    assert "PROC" in result.report.ranges[0].what


def test_a_lost_lower_case_record_is_a_loss_and_is_named() -> None:
    result = rescued(without(WHOLE, piece(WHOLE, b"note")))
    assert result.report.lost
    assert "lost: 1 lower-case record" in result.report.notes


def test_a_lost_part_of_the_transcript_is_noticed_without_root() -> None:
    result = rescued(broken(WHOLE, *(piece(WHOLE, kind) for kind in (b"PROC", b"ROOT", b"TAIL"))))
    assert result.report.lost
    assert not result.report.same


def test_the_summary_lives_on() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"PROC", 2)))
    extra = result.archive.summary.extra
    assert extra["later"] == {"key": 1}
    assert extra["notes"][0] == "first"
    assert "generations" not in extra  # which logs are left is not known here


def test_a_set_that_was_partial_stays_so_and_keeps_its_list_of_losses() -> None:
    once = rescued(broken(WHOLE, piece(WHOLE, b"DATA", 0))).data
    twice = rescued(broken(once, piece(once, b"DATA", 0)))
    lost = twice.archive.summary.extra["lost"]
    assert [item["name"] for item in lost] == ["DB.EDB", "A.LOG"]
    assert twice.archive.head.extra["origin"]["id"] == NEW_ID.hex()
    assert any(OLD_ID.hex() in note for note in twice.report.notes)


def test_the_id_is_lost_with_preamble_and_root() -> None:
    result = rescued(broken(bytes(32) + WHOLE[32:], piece(WHOLE, b"ROOT")))
    assert result.report.id is None
    assert result.archive.head.extra["origin"]["tag"] == TAG.hex()
    assert result.contents == FILES
    assert result.archive.summary.outcome == "complete"
    assert result.archive.summary.extra["generations"] == {"high": 9, "low": 3}
    assert result.report.lost  # nothing of the set, but links to it lead nowhere now


def test_signatures_do_not_go_with_another_root() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"PROC")))
    assert [row.kind for row in result.archive.rows].count(b"note") == 1
    assert b"a signature over the root" not in result.data
    assert any("left out" in note for note in result.report.notes)


def test_head_comes_from_the_one_after_summ() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"HEAD"), piece(WHOLE, b"PROC")))
    assert "HEAD was lost; the one after SUMM was used" in result.report.notes
    assert result.archive.head.profile == "ese"
    assert result.archive.head.created == "2026-01-02T03:04:05.000006Z"


def test_two_heads_that_differ_make_a_new_archive_with_the_first() -> None:
    data = bytes(begun().entry().summ().head({"server": "OTHER"}).finish().data)
    result = rescued(data)
    assert not result.report.same
    assert result.archive.head.text("server") is None
    assert rescued(broken(data, piece(data, b"HEAD"))).archive.head.text("server") == "OTHER"


def test_head_is_made_up_where_both_are_lost() -> None:
    result = rescued(broken(WHOLE, piece(WHOLE, b"HEAD"), piece(WHOLE, b"HEAD", 1)))
    assert (result.archive.head.profile, result.archive.head.kind) == ("unknown", "collected")
    assert result.contents == FILES
    assert not result.report.same


def test_head_is_made_up_where_nothing_tells_it() -> None:
    cut = WHOLE[: piece(WHOLE, b"SUMM").start]
    result = rescued(broken(cut, piece(WHOLE, b"HEAD")))
    head = result.archive.head
    assert (head.profile, head.kind, head.created) == ("unknown", "collected", "2026-05-06T07:08:09.000010Z")
    assert any("HEAD is lost" in note for note in result.archive.summary.extra["notes"])
    assert result.contents == FILES


def test_a_long_head_makes_room_for_its_origin() -> None:
    room = (1 << 20) - 140 - len('"annotation":"",')
    data = bytes(begun(annotation="a" * room, server="S").entry().proc().finish().data)
    result = rescued(data[: piece(data, b"PROC").start])
    assert "annotation" not in result.archive.head.extra
    assert result.archive.head.extra["server"] == "S"
    assert any("annotation" in note for note in result.report.notes)


def test_a_long_summary_makes_room_and_keeps_what_is_known() -> None:
    many = {f"key_{number}": "x" * 22_000 for number in range(47)}
    archive = begun().entry().entry(name=b"F").proc()
    data = bytes(archive.summ({**many, "notes": ["kept"]}).finish().data)
    result = rescued(broken(data, piece(data, b"PROC")))
    assert result.archive.summary.extra["notes"][0] == "kept"
    assert sum(key.startswith("key_") for key in result.archive.summary.extra) == 46


def test_a_long_summary_says_which_key_it_left_out() -> None:
    left_out = [{"name": "n" * 4000, "reason": "r"}] * 257
    data = bytes(begun().entry().proc().summ({"left_out": left_out}).finish().data)
    result = rescued(broken(data, piece(data, b"PROC")))
    assert "left_out" not in result.archive.summary.extra
    assert "SUMM has no room for its key left_out any more" in result.archive.summary.extra["notes"]


def test_the_list_of_losses_is_shortened_where_summ_has_no_room() -> None:
    archive = begun()
    for number in range(1100):
        archive.entry(b"x", name=b"%04d" % number + b"n" * 1000)
    data = bytes(archive.entry(b"good", name=b"G").finish().data)
    result = rescued(broken(data, *(entry[1] for entry in entry_pieces(data)[:1100])))
    assert result.report.lost_count == len(result.report.files) == 1100
    kept = len(result.archive.summary.extra["lost"])
    assert 900 < kept < 1100
    assert f"SUMM has no room for {1100 - kept} of 1100 losses" in result.archive.summary.extra["notes"]
    with pytest.raises(PartialError, match="1 file saved, 1,100 lost"):
        result.report.raise_if_lossy()


def test_a_contradiction_between_root_and_records_gives_a_new_archive() -> None:
    archive = begun().entry().summ().head()
    data = bytes(archive.page(digest=[bytes(32)]).finish().data)  # every check is right, and the index lies
    result = rescued(data)
    assert not result.report.same
    assert result.archive.id == NEW_ID
    assert result.archive.summary.outcome == "complete"
    assert any("contradicts itself" in note for note in result.report.notes)


def test_summ_that_counts_wrongly_is_written_anew() -> None:
    data = bytes(begun().entry().summ({"entries": 1, "content_size": 7}).finish().data)
    result = rescued(data)
    assert not result.report.same
    assert result.archive.summary.content_size == 6


def test_two_entries_of_one_name_cannot_both_be_kept() -> None:
    data = bytes(begun().entry(b"first").entry(b"second").finish().data)
    result = rescued(data)
    assert result.contents == {"E.LOG": b"first"}
    assert result.report.lost
    assert result.report.files[0].state is EntryState.LOST
    assert "came first" in result.report.files[0].reason


def test_a_wrong_digest_makes_a_file_incomplete() -> None:
    data = bytes(begun().file(b"BAD").chunk(b"content").done(digest=bytes(32)).entry(b"good").finish().data)
    result = rescued(data)
    assert result.contents == {"E.LOG": b"good"}
    assert result.report.files[0].reason == "the digest of its content is wrong"


def test_a_done_of_another_file_proves_nothing() -> None:
    data = bytes(begun().file(b"BAD").chunk(b"content").done(file_check=bytes(32)).entry(b"good").finish().data)
    assert rescued(broken(data, piece(data, b"INDX"))).contents == {"E.LOG": b"good"}


def test_the_index_cannot_speak_for_a_file_whose_done_does_not_fit() -> None:
    archive = begun().entry(b"good").file(b"X").chunk(b"content").done(file_check=bytes(32))
    result = rescued(bytes(archive.finish().data))
    assert result.contents == {"E.LOG": b"good"}
    assert result.states == {"X": "incomplete"}


def test_an_index_that_names_another_size_proves_nothing() -> None:
    archive = begun().file(b"X", announced_size=99, flags=2).chunk(b"content").done(content_size=7).entry(b"good")
    data = bytes(archive.finish().data)
    result = rescued(broken(data, piece(data, b"DONE")))
    assert result.contents == {"E.LOG": b"good"}


def test_of_two_broken_entries_of_one_name_the_first_is_kept() -> None:
    data = bytes(begun().entry(b"first").entry(b"second").finish().data)
    result = rescued(broken(data, piece(data, b"DONE", 0), piece(data, b"DONE", 1)), partial=True)
    assert result.contents == {"E.LOG": b"first"}
    assert "came first" in result.report.files[0].reason


def test_incomplete_files_of_one_name_are_not_both_written() -> None:
    data = bytes(begun().entry(b"first").file().chunk(pattern(CHUNK)).chunk(b"end").finish().data)
    result = rescued(broken(data, piece(data, b"DATA", 2)), partial=True)
    assert result.contents == {"E.LOG": b"first"}
    assert result.report.files[0].written_as is None


def test_a_chunk_that_done_does_not_name_is_not_used() -> None:
    archive = begun().entry(b"good").file(b"X").chunk(pattern(CHUNK)).chunk(b"end")
    last = archive.open.data_heads[1].check
    data = bytes(archive.done(data_checks=[bytes(32), last]).finish().data)
    result = rescued(data, partial=True)
    assert result.contents == {"E.LOG": b"good", "X": bytes(CHUNK) + b"end"}


def test_nothing_is_left_of_a_file_none_of_whose_chunks_done_names() -> None:
    data = bytes(begun().entry(b"good").file(b"X").chunk(b"content").done(data_checks=[bytes(32)]).finish().data)
    result = rescued(broken(data, piece(data, b"FILE", 1)), partial=True)
    assert result.states == {"X": "lost"}
    assert rescued(data, partial=True).states == {"X": "lost"}
    nameless = rescued(broken(data, piece(data, b"FILE", 1), piece(data, b"INDX")), partial=True)
    assert nameless.states == {None: "lost"}


def test_done_that_contradicts_the_announced_size_proves_nothing() -> None:
    data = bytes(begun().entry(b"good").file(b"X", announced_size=5, flags=2).chunk(b"content").finish().data)
    result = rescued(data)
    assert result.contents == {"E.LOG": b"good"}
    assert "does not fit" in result.report.files[0].reason


def test_an_index_that_names_an_impossible_size_is_not_believed() -> None:
    archive = begun().entry(b"good").file(b"X").chunk(b"content").done().summ()
    data = bytes(archive.page(size=[4, 1 << 60]).finish().data)
    result = rescued(broken(data, piece(data, b"DONE", 1)), partial=True)
    assert result.contents == {"E.LOG": b"good", "X": b"content"}
    assert result.states == {"X": "incomplete"}


def test_an_index_that_names_another_done_proves_nothing() -> None:
    archive = begun().entry(b"content").entry(b"good", name=b"GOOD").summ().head()
    assert archive.open.done_head is not None
    checks = [bytes(32), archive.open.done_head.check]
    data = bytes(archive.page(done_check=checks).finish().data)
    result = rescued(broken(data, piece(data, b"DONE")))
    assert result.contents == {"GOOD": b"good"}
    assert result.states == {"E.LOG": "incomplete"}


@pytest.mark.parametrize("field", ["modified", "announced_size", "chunk_log2", "encoding", "token", "list", "flags"])
def test_an_index_that_says_something_else_of_file_proves_nothing(field: str) -> None:
    archive = (
        begun().entry(b"content", flags=3, modified=1, announced_size=7).entry(b"good", name=b"GOOD").summ().head()
    )
    own, other = (entry.values[field] for entry in archive.entries)
    columns: dict[str, Any] = {field: [{"chunk_log2": 17, "list": 3, "flags": 7}.get(field, own + 1), other]}
    data = bytes(archive.page(**columns).finish().data)
    for lost, name in ((b"FILE", "lost-name-00000000"), (b"DONE", "E.LOG")):
        result = rescued(broken(data, piece(data, lost)), partial=True)
        assert [entry.name for entry in result.archive if not entry.incomplete] == ["GOOD"]
        assert result.contents[name] == b"content"


def test_an_index_and_done_that_contradict_each_other_make_up_no_chunks() -> None:
    archive = begun().entry(b"good", name=b"GOOD").file().chunk(b"chunk").done(data_lengths=[], data_checks=[])
    data = bytes(archive.summ().head().page(flags=[0, 1]).finish().data)
    result = rescued(broken(data, piece(data, b"FILE", 1)), partial=True)
    assert result.contents == {"GOOD": b"good"}


def test_chunks_out_of_order_are_not_content() -> None:
    data = bytes(begun().entry(b"good").file(b"X").chunk(pattern(CHUNK)).chunk(b"end", chunk=5).done().finish().data)
    assert rescued(data).contents == {"E.LOG": b"good"}


def test_a_root_without_a_preamble_tells_no_id() -> None:
    data = bytes(begun().entry().summ().page().root(preamble=bytes(32)).finish().data)
    result = rescued(data)
    assert result.report.id == ARCHIVE_ID
    assert not result.report.same


def test_records_of_an_archive_inside_are_content() -> None:
    inner = bytes(begun().entry(b"inner", name=b"INNER").finish().data)
    outer = without(WHOLE, *entry_pieces(WHOLE)[1])
    data = WHOLE[: piece(WHOLE, b"FILE", 1).start] + inner + outer[piece(WHOLE, b"FILE", 1).start :]
    assert ARCHIVE_ID[:8] != TAG
    assert set(rescued(data).contents) == set(FILES) - {"A.LOG"}


# --- facts, keys and signatures ---------------------------------------------------------------------------------------


def facts(*numbers: int, **more: Any) -> bytes:
    """Return the body of a record of facts for some entries."""
    told = [{"entry": number, "kind": "log"} for number in numbers]
    return json.dumps({"facts": told, "facts_version": 7, **more}, sort_keys=True, separators=(",", ":")).encode()


def with_facts(*bodies: bytes) -> bytes:
    """Return an archive of four files with records of facts before SUMM."""
    archive = begun()
    for number in range(4):
        archive.entry(b"%d" % number, name=b"F%d" % number)
    for body in bodies:
        archive.lower_case(body, kind=b"fact")
    return bytes(archive.finish().data)


def told(result: Rescued) -> list[bytes]:
    """Return the bodies of the records of facts."""
    return [found.data[64:] for found in pieces(result.data) if found.kind == b"fact"]


def test_facts_are_kept_in_the_original() -> None:
    for body in (facts(0, 1, 2, 3), b"no facts"):
        data = with_facts(body)
        assert rescued(broken(data, piece(data, b"INDX"))).data == data


def test_facts_go_into_a_new_archive_with_its_numbers() -> None:
    data = with_facts(facts(0, 1, 3), facts(2))
    result = rescued(broken(data, piece(data, b"DATA", 1)))
    assert [entry.name for entry in result.archive] == ["F0", "F2", "F3"]
    assert told(result) == [facts(0, 2), facts(1)]


def test_facts_of_lost_and_incomplete_files_are_left_out() -> None:
    archive = begun().entry(b"good").file(b"X").chunk(pattern(CHUNK)).chunk(b"end").done()
    data = bytes(archive.lower_case(facts(0, 1), kind=b"fact").lower_case(facts(1), kind=b"fact").finish().data)
    result = rescued(broken(data, piece(data, b"DATA", 1)), partial=True)
    assert len(result.archive) == 2
    assert told(result) == [facts(0)]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"no facts", b"{}", facts(1, facts_version=2), facts(1, facts=[{"kind": "log"}]), facts(1) + b" "],
)
def test_facts_that_cannot_be_read_are_left_out_of_a_new_archive_and_said_so(body: bytes) -> None:
    data = with_facts(body, facts(3))
    result = rescued(broken(data, piece(data, b"DATA", 1)))
    assert told(result) == [facts(2)]
    assert "left out: 1 record of facts that cannot be read here" in result.report.notes


def test_lost_facts_do_not_make_a_set_partial() -> None:
    data = with_facts(facts(0), facts(1), facts(2))
    for gone in ([0], [1], [2], [0, 1, 2]):
        result = rescued(broken(data, *(piece(data, b"fact", number) for number in gone)))
        assert len(result.archive) == 4
        assert not result.report.same
        assert result.archive.summary.outcome == "complete"
        assert f"lost: {count_text(len(gone), 'fact record')}" in result.report.notes
        assert len(told(result)) == 3 - len(gone)
    result = rescued(broken(data, piece(data, b"fact"), piece(data, b"ROOT")))
    assert result.archive.summary.outcome == "partial"  # nobody knows what stood there
    result = rescued(broken(data, piece(data, b"fact"), piece(data, b"DATA")))
    assert result.archive.summary.outcome == "partial"


def sealed_with_keys() -> bytes:
    archive = begun().entry(b"one", name=b"F1").entry(b"two", name=b"F2").summ().head().page().root()
    return bytes(archive.lower_case(kind=b"sign").lower_case(b"an age file", kind=b"keys").finish().data)


def test_keys_go_into_a_new_archive_and_signatures_do_not() -> None:
    data = sealed_with_keys()
    result = rescued(broken(data, piece(data, b"DATA")))
    assert not result.report.same
    after = [(found.kind, found.data[64:]) for found in pieces(result.data) if found.kind in (b"sign", b"keys")]
    assert after == [(b"keys", b"an age file")]
    assert [found.kind for found in pieces(result.data)][-3:] == [b"ROOT", b"keys", b"TAIL"]
    assert any("1 record after SUMM or ROOT" in note for note in result.report.notes)


def test_keys_and_signatures_do_not_slip_into_the_set_where_its_end_is_lost() -> None:
    data = sealed_with_keys()
    result = rescued(broken(data, *(piece(data, kind) for kind in (b"SUMM", b"ROOT", b"TAIL"))))
    assert [found.kind for found in pieces(result.data)][-3:] == [b"ROOT", b"keys", b"TAIL"]
    assert b"sign" not in {row.kind for row in result.archive.rows}


def test_keys_and_signatures_stay_with_the_original() -> None:
    data = sealed_with_keys()
    assert rescued(broken(data, piece(data, b"INDX"))).data == data


def test_tail_that_names_another_root_makes_a_new_archive() -> None:
    data = bytes(begun().entry().summ().head().page().root().tail(root=bytes(32)).data)
    for damaged in (data, broken(data, piece(data, b"ROOT"))):
        result = rescued(damaged)
        assert not result.report.same
        assert result.contents == {"E.LOG": b"tokar\n"}


# --- encrypted archives, without their key (SALV-2, SALV-4, SALV-6) ---------------------------------------------------


SEALED = Expectation.load("head-1-encrypted").data  # of four files: 1 chunk, none, 3 chunks, 1 chunk


def test_an_encrypted_archive_is_rebuilt_as_it_was_without_its_key() -> None:
    for kind in (b"HEAD", b"FILE", b"INDX", b"ROOT", b"TAIL", b"DONE"):
        assert rescued(broken(SEALED, piece(SEALED, kind))).data == SEALED, kind


def test_what_is_whole_of_an_encrypted_archive_keeps_key_and_streams() -> None:
    result = rescued(broken(SEALED, piece(SEALED, b"DATA")))
    assert not result.report.same
    old = Archive(BytesSource(SEALED), KEYS)
    result.archive.unlock(KEYS)
    assert result.archive.head.encryption == old.head.encryption
    assert [entry.stream for entry in result.archive] == [2, 3, 4]
    verify(result.archive, content=True).demand()
    assert result.archive.read(result.archive.entry(1)) == old.read(old.entry(2))


def test_a_part_of_an_encrypted_file_is_not_written_without_the_key() -> None:
    result = rescued(broken(SEALED, piece(SEALED, b"DATA", 2)), partial=True)
    assert [entry.stream for entry in result.archive] == [1, 2, 4]
    assert "with its key alone" in result.report.files[0].reason


def test_an_encrypted_file_whose_stream_is_lost_is_lost() -> None:
    damaged = broken(broken(SEALED, piece(SEALED, b"FILE", 2)), piece(SEALED, b"INDX"))
    result = rescued(damaged, partial=True)
    assert [entry.stream for entry in result.archive] == [1, 2, 4]
    assert "opened by" in result.report.files[0].reason


def test_nothing_is_left_of_an_encrypted_archive_without_a_head() -> None:
    damaged = broken(broken(SEALED, piece(SEALED, b"HEAD")), piece(SEALED, b"HEAD", 1))
    with pytest.raises(FormatError, match="no file in it can be saved"):
        salvage(BytesSource(damaged), never)


def test_a_chunk_of_another_length_than_a_tag_calls_for_is_not_taken() -> None:
    with pytest.raises(FormatError):
        salvage(BytesSource(Expectation.load("data-4-encrypted").data[:-1]), never)


def test_records_with_keys_stay_in_a_new_archive() -> None:
    data = Expectation.load("head-1-encrypted-keys").data
    result = rescued(broken(data, piece(data, b"SUMM")))
    assert not result.report.same
    assert [one.kind for one in result.archive.trailing] == [b"keys"]


# --- incomplete files (SALV-4) ----------------------------------------------------------------------------------------


def test_an_incomplete_file_is_filled_with_zeros_on_request() -> None:
    data = broken(WHOLE, piece(WHOLE, b"DATA", 1))
    left_out = rescued(data)
    assert "DB.EDB" not in left_out.contents
    assert left_out.report.files[0].written_as is None
    result = rescued(data, partial=True)
    content = FILES["DB.EDB"]
    assert result.contents["DB.EDB"] == content[:CHUNK] + bytes(CHUNK) + content[2 * CHUNK :]
    assert result.archive.records(result.archive.find("DB.EDB")).file.incomplete
    assert result.report.files[0].missing == (MissingContent(CHUNK, CHUNK),)
    assert result.report.files[0].written_as == "DB.EDB"
    lost = result.archive.summary.extra["lost"]
    assert lost == [{"name": "DB.EDB", "offset": CHUNK, "reason": "1 of 4 chunks is lost", "size": CHUNK}]
    assert result.report.lost


def test_a_cut_file_is_filled_up_to_its_announced_size() -> None:
    cut = WHOLE[: piece(WHOLE, b"DATA", 1).end]
    result = rescued(cut, partial=True)
    content = FILES["DB.EDB"]
    assert result.contents["DB.EDB"] == content[: 2 * CHUNK] + bytes(len(content) - 2 * CHUNK)
    assert result.report.files[0].missing == (MissingContent(2 * CHUNK, CHUNK + 1000),)


def test_an_announced_size_that_cannot_be_is_not_believed() -> None:
    archive = begun().entry(b"good").file(b"X", announced_size=1 << 60, flags=2).chunk(pattern(CHUNK))
    result = rescued(bytes(archive.data), partial=True)
    assert result.contents == {"E.LOG": b"good", "X": pattern(CHUNK)}


def test_a_cut_file_of_unknown_size_ends_with_its_last_chunk() -> None:
    data = bytes(begun().file(b"X").chunk(pattern(CHUNK)).chunk(pattern(CHUNK)).finish().data)
    result = rescued(data[: piece(data, b"DATA", 1).end], partial=True)
    assert result.contents == {"X": pattern(CHUNK) * 2}
    assert result.report.files[0].missing == (MissingContent(2 * CHUNK, None),)
    assert result.report.files[0].size is None


def test_where_only_incomplete_files_are_left_that_cannot_be_written_nothing_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = begun().file(b"BOMB", announced_size=400 * CHUNK, flags=2).chunk(b"", codec=ZEROS, content_size=CHUNK)
    monkeypatch.setattr(salvage_copy, "_SPARE_FILLER", 0)
    sink = MemorySink()
    with pytest.raises(FormatError, match="no file is complete"):
        salvage(BytesSource(archive.data), lambda: sink, partial=True)
    assert not sink.committed


def test_ranges_of_a_file_with_very_many_holes_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage_entry, "_MAX_RANGES", 3)
    remains = FoundEntry(0, EntryState.INCOMPLETE, "", size=100, chunk_size=10, chunk_count=10, numbers=(1, 3, 5, 7))
    assert remains.missing == (MissingContent(0, 10), MissingContent(20, 10), MissingContent(40, 60))


def test_what_the_index_repeats_of_a_lost_file_record_goes_into_an_incomplete_file() -> None:
    data = broken(WHOLE, piece(WHOLE, b"FILE", 3), piece(WHOLE, b"DATA", 5))
    result = rescued(data, partial=True)
    entry = result.archive.find("B.LOG")
    assert result.contents["B.LOG"][CHUNK:] == FILES["B.LOG"][CHUNK:]
    assert (entry.token, entry.modified, entry.announced_size) == (0x21, 1_700_000_000_000_000_003, 2 * CHUNK)
    assert entry.incomplete
    assert result.states == {"B.LOG": "incomplete"}


def test_content_whose_name_is_lost_gets_a_made_up_one() -> None:
    data = broken(WHOLE, piece(WHOLE, b"FILE", 3), piece(WHOLE, b"INDX"))
    result = rescued(data, partial=True)
    assert result.contents["lost-name-00000003"] == FILES["B.LOG"]
    assert result.archive.find("lost-name-00000003").token == 0x0F
    assert result.report.files[0].name is None
    assert result.report.files[0].written_as == "lost-name-00000003"


def test_chunks_between_lost_ends_keep_their_places() -> None:
    first, *_, done = entry_pieces(WHOLE)[0]
    data = without(WHOLE, first, done, piece(WHOLE, b"DATA", 0), piece(WHOLE, b"INDX"))
    result = rescued(data, partial=True)
    content = FILES["DB.EDB"]
    assert result.contents["lost-name-00000000"] == bytes(CHUNK) + content[CHUNK:]


def test_a_chunk_without_any_measure_is_lost() -> None:
    data = bytes(begun().file(b"X").chunk(pattern(CHUNK)).chunk(b"end").done().entry(b"good", name=b"G").finish().data)
    entry = entry_pieces(data)[0]
    result = rescued(without(data, entry[0], entry[1], entry[3], piece(data, b"INDX")), partial=True)
    assert result.contents == {"G": b"good"}
    assert "cannot be told" in result.report.files[0].reason


def test_an_empty_file_without_its_end_is_incomplete() -> None:
    archive = begun().entry(b"good").file(b"X", announced_size=0, flags=2)
    result = rescued(bytes(archive.data), partial=True)
    assert result.contents == {"E.LOG": b"good", "X": b""}
    assert result.states == {"X": "incomplete"}


def test_a_file_that_was_incomplete_before_stays_flagged() -> None:
    once = rescued(broken(WHOLE, piece(WHOLE, b"DATA", 1)), partial=True).data
    twice = rescued(broken(once, piece(once, b"PROC")))
    assert twice.report.complete_count == 6
    assert twice.archive.records(twice.archive.find("DB.EDB")).file.incomplete


def test_an_archive_made_to_fill_disks_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    archive = begun().entry(b"good")
    for number in range(4):
        archive.file(f"BOMB{number}".encode(), announced_size=40 * CHUNK, flags=2).chunk(
            b"", codec=ZEROS, content_size=CHUNK
        )
    monkeypatch.setattr(salvage_copy, "_SPARE_FILLER", 80 * CHUNK)
    monkeypatch.setattr(salvage_copy, "_FILLER_SHARE", 0)
    result = rescued(bytes(archive.data), partial=True)
    assert [file.written_as for file in result.report.files] == ["BOMB0", "BOMB1", None, None]
    assert "too much to be filled" in result.report.files[-1].reason


def test_a_small_archive_that_speaks_of_terabytes_keeps_nobody_waiting() -> None:
    archive = begun().entry(b"good").file(b"BOMB", announced_size=1 << 35, flags=2)
    archive.chunk(b"", codec=ZEROS, content_size=CHUNK)
    result = rescued(bytes(archive.data), partial=True)
    assert [file.written_as for file in result.report.files] == [None]


# --- the report (SALV-5) ----------------------------------------------------------------------------------------------


def test_lost_files_are_named_by_the_index() -> None:
    gone = entry_pieces(WHOLE)[1:4]
    result = rescued(without(WHOLE, *(found for entry in gone for found in entry)))
    assert result.states == {"A.LOG": "lost", "B.LOG": "lost"}  # nothing of the empty one is missing
    assert [file.size for file in result.report.files] == [18, 2 * CHUNK]
    assert [file.number for file in result.report.files] == [1, 3]
    assert result.report.unknown == ()


def test_lost_files_without_index_are_counted() -> None:
    gone = entry_pieces(WHOLE)[1:4]
    result = rescued(without(WHOLE, *(found for entry in gone for found in entry), piece(WHOLE, b"INDX")))
    assert result.report.unknown == ((1, 3),)
    assert result.report.lost_count == 3
    assert "entries 1 to 3" in [item["name"] for item in result.archive.summary.extra["lost"]]


def test_files_lost_at_the_end_are_counted_by_summ() -> None:
    gone = [found for entry in entry_pieces(WHOLE)[4:] for found in entry]
    result = rescued(without(WHOLE, *gone, piece(WHOLE, b"INDX"), piece(WHOLE, b"ROOT")))
    assert result.report.unknown == ((4, 2),)
    assert result.report.end_is_known


@pytest.mark.parametrize(
    ("kind", "number", "expected"),
    [
        (b"DATA", 1, "chunk 1 of entry 0"),
        (b"FILE", 3, "the FILE record of entry 3"),
        (b"DONE", 3, "the rest of entry 3"),
        (b"HEAD", 0, "HEAD"),
        (b"SUMM", 0, "SUMM"),
        (b"", 0, "the preamble"),
    ],
)
def test_a_range_says_what_stood_there(kind: bytes, number: int, expected: str) -> None:
    part = piece(WHOLE, kind, number)
    lost = rescued(broken(WHOLE, part)).report.ranges
    assert len(lost) == 1
    assert (lost[0].offset, lost[0].size, lost[0].missing) == (part.start, len(part.data), len(part.data))
    assert expected in lost[0].what


def test_a_range_counts_chunks() -> None:
    lost = rescued(without(WHOLE, piece(WHOLE, b"DATA", 1), piece(WHOLE, b"DATA", 2))).report.ranges
    assert [found.what for found in lost] == ["chunks 1 to 2 of entry 0"]


def test_vanished_bytes_are_a_range_without_size() -> None:
    part = piece(WHOLE, b"DATA", 4)
    lost = rescued(without(WHOLE, part)).report
    assert [(found.offset, found.size, found.missing) for found in lost.ranges] == [(part.start, 0, len(part.data))]


def test_inserted_bytes_are_a_range_of_which_nothing_is_missing() -> None:
    at = piece(WHOLE, b"DATA", 4).start
    lost = rescued(WHOLE[:at] + b"inserted" + WHOLE[at:]).report
    assert [(found.offset, found.size, found.missing) for found in lost.ranges] == [(at, 8, 0)]
    assert not lost.lost


def test_a_record_that_breaks_its_own_rules_is_described() -> None:
    data = bytes(begun().entry(b"good").file(b"X", list=9).finish().data)
    result = rescued(data)
    assert any("FILE-3" in found.what for found in result.report.ranges)


def test_entries_in_a_hole_are_named_by_number() -> None:
    gone = entry_pieces(WHOLE)[1:3]
    rest = [found for found in pieces(WHOLE) if found.kind == b"PROC"][1:4]
    result = rescued(without(WHOLE, *(found for entry in gone for found in entry), *rest, piece(WHOLE, b"ROOT")))
    assert "entries 1 to 2" in result.report.ranges[0].what


def test_the_same_input_gives_the_same_bytes() -> None:
    data = broken(WHOLE, piece(WHOLE, b"DATA", 4))
    assert rescued(data, partial=True).data == rescued(data, partial=True).data


def test_a_new_id_is_random() -> None:
    assert len(random_id()) == 16
    assert random_id() != random_id()


# --- sources and sinks ------------------------------------------------------------------------------------------------


class ChangingSource:
    """Bytes that are others from the second look on."""

    def __init__(self, first: bytes, then: bytes, *, reads: int) -> None:
        self.size = len(first)
        self._data = (first, then)
        self._reads = reads

    def read(self, offset: int, size: int) -> bytes:
        self._reads -= 1
        return self._data[self._reads < 0][offset : offset + size]


@pytest.mark.parametrize("reads", range(12, 18))
def test_an_archive_that_changes_is_noticed_and_nothing_is_left(reads: int) -> None:
    data = broken(WHOLE, piece(WHOLE, b"DATA", 4))
    sink = MemorySink()
    with pytest.raises(SourceChangedError):
        salvage(ChangingSource(data, bytes(len(data)), reads=reads), lambda: sink)
    assert not sink.committed


def test_a_full_disk_leaves_nothing() -> None:
    sink = MemorySink(room=1000)
    with pytest.raises(StorageError):
        salvage(BytesSource(WHOLE[:-1]), lambda: sink)
    assert sink.discarded
    assert not sink.committed


def test_a_sealed_archive_takes_no_more() -> None:
    with SalvageWriter(MemorySink(), HEAD) as writer:
        writer.seal()
        with pytest.raises(InputError, match="sealed"):
            writer.copy_record(b"note", b"")


def test_progress_comes_in_steps() -> None:
    done: list[int] = []
    data = WHOLE + bytes(5 << 20)
    rescued(data, progress=done.append)
    assert len(done) > 5
    assert len(data) < sum(done) <= 2 * len(data)


def test_progress_adds_up() -> None:
    data = broken(WHOLE, piece(WHOLE, b"DATA", 4))
    done: list[int] = []
    rescued(data, progress=done.append)
    assert len(data) < sum(done) <= 2 * len(data)


def test_the_report_cannot_be_changed() -> None:
    report = rescued(WHOLE[:-1]).report
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.same = False  # type: ignore[misc]


def test_the_whole_archive_is_what_it_claims_to_be() -> None:
    class Stream:
        at = 0

        def read(self, size: int, /) -> bytes:
            self.at += size
            return WHOLE[self.at - size : self.at]

    events: list[Any] = list(Scan(Stream(), decode=True))
    assert len(events) == len(pieces(WHOLE)) - 1
    assert parse_calls(piece(WHOLE, b"PROC").data[64:], position=0) == [{"call": "Prepare"}]
    assert NOW.year == 2026


def test_another_archive_behind_is_named_and_is_no_success() -> None:
    other = bytes(begun().proc().finish().data)
    result = rescued(WHOLE + other)
    assert result.report.same
    assert result.data == WHOLE
    assert result.report.others == (len(WHOLE),)
    text = f"another archive begins at byte {len(WHOLE)} (id {ARCHIVE_ID.hex()}) and was left aside"
    assert any(note.startswith(text) for note in result.report.notes)
    with pytest.raises(PartialError, match="6 files saved, 1 other archive left aside"):
        result.report.raise_if_lossy()


@pytest.mark.parametrize("data", [WHOLE, bytes(begun().proc().finish().data)[:20], bytes(100)])
def test_what_is_no_other_archive_is_none(data: bytes) -> None:
    """Its own preamble, the beginning of one, and zeros."""
    result = rescued(WHOLE[:-3] + data)
    assert result.report.others == ()
