"""Logs as the engine writes them, held against the checks that real logs pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from engine_by_hand import new_story
from ese_files import check_log, check_pages

from tokar.ese.identify import FileKind, identify
from tokar.ese.log import LogHeader
from tokar.lab.change_records import Begin, encode_record, weight_of
from tokar.lab.engine import ERAS, EngineError, era_of
from tokar.lab.log_formats import read_log, resume_log
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from tokar.lab.instance import Place

PROFILES = sorted(ERAS)


def logs_of(place: Place) -> list[Path]:
    return [*sorted(path for path in place.logs.glob("edb0*.log")), place.logs / "edb.log"]


@pytest.mark.parametrize("profile", PROFILES)
def test_every_log_passes_the_check_for_real_logs(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile, work=80)
    paths = logs_of(story.lab.place)
    assert len(paths) > 2
    for path in paths:
        with FileSource(path) as source:
            report = check_log(source)
        assert (report.bad, report.stale, report.not_verified) == (0, 0, "")
        assert report.valid > 0


@pytest.mark.parametrize("profile", PROFILES)
def test_logs_are_linked_by_number_time_signature_and_content(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    before = None
    for path in logs_of(story.lab.place):
        log = read_log(path)
        if before is not None:
            assert log.header.generation == before.header.generation + 1
            assert log.header.previous_created == before.header.created
            assert log.header.signature == before.header.signature
            assert log.header.previous_segments_xor == before.segments_xor
        before = log


@pytest.mark.parametrize("profile", PROFILES)
def test_the_name_of_a_closed_log_is_its_number_in_hex(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile, work=250)
    closed = story.lab.instance.log.closed()
    assert max(closed) >= 10
    assert closed[10].name == "edb0000A.log"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_file_is_recognised_for_what_it_is(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    place = story.lab.place
    expected = {place.checkpoint: FileKind.CHECKPOINT}
    expected |= dict.fromkeys(place.databases.values(), FileKind.DATABASE)
    expected |= dict.fromkeys(logs_of(place), FileKind.LOG)
    for path, kind in expected.items():
        with FileSource(path) as source:
            assert identify(source).kind is kind


@pytest.mark.parametrize("profile", PROFILES)
def test_pages_pass_the_check_for_real_databases(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.stop()
    for path in story.lab.place.databases.values():
        with FileSource(path) as source:
            report = check_pages(source)
        assert report.bad == 0
        assert report.pages - report.empty > 1


@pytest.mark.parametrize("profile", PROFILES)
def test_log_headers_name_the_attached_databases(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    with FileSource(logs_of(story.lab.place)[-1]) as source:
        attached = LogHeader.read(source).attachments
    assert [each.path for each in attached] == [each.path for each in story.lab.config.databases]


@pytest.mark.parametrize("profile", PROFILES)
def test_a_damaged_log_is_refused_with_the_code_asked_for(tmp_path: Path, profile: str) -> None:
    path = logs_of(new_story(tmp_path, profile).lab.place)[0]
    data = bytearray(path.read_bytes())
    data[4096 + 200] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        read_log(path, damaged=-573)
    assert caught.value.code == -573


@pytest.mark.parametrize("profile", PROFILES)
def test_a_damaged_log_header_is_refused(tmp_path: Path, profile: str) -> None:
    path = logs_of(new_story(tmp_path, profile).lab.place)[0]
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(EngineError) as caught:
        read_log(path)
    assert caught.value.code == -501


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_of_another_size_is_refused(tmp_path: Path, profile: str) -> None:
    path = logs_of(new_story(tmp_path, profile).lab.place)[0]
    path.write_bytes(path.read_bytes() + bytes(512))
    with pytest.raises(EngineError) as caught:
        read_log(path)
    assert caught.value.code == -541


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_is_continued_where_its_last_record_ends(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    story.lab.instance.log.flush()
    path = logs_of(story.lab.place)[-1]
    before = read_log(path).records
    log = resume_log(path)
    position = log.append(encode_record(Begin(4711)), weight_of(Begin(4711)))
    log.flush()
    assert read_log(path).records == (*before, (position, Begin(4711)))


@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_not_flushed_is_not_there(tmp_path: Path, profile: str) -> None:
    story = new_story(tmp_path, profile)
    log = story.lab.instance.log
    log.flush()
    before = len(read_log(log.current.path).records)
    log.append(Begin(4711))
    assert len(read_log(log.current.path).records) == before


def test_eras_say_which_file_types_they_write() -> None:
    assert era_of("edbbcli").file_type(3) == 0
    assert era_of("certadm").file_type(3) == 3


@pytest.mark.parametrize("profile", PROFILES)
def test_a_log_is_whole_as_soon_as_it_is_the_current_one(
    tmp_path: Path, profile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed right after the step from one log to the next leaves nothing that is damaged."""
    story = new_story(tmp_path, profile)
    original = Path.rename

    def killed(self: Path, target: Path) -> Path:
        moved = original(self, target)
        if target.name == "edb.log":
            raise KeyboardInterrupt
        return moved

    monkeypatch.setattr(Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        story.lab.instance.log.roll()
    monkeypatch.undo()
    assert read_log(story.lab.place.logs / "edb.log").records
