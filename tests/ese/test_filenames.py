from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.errors import InputError
from tokar.ese.filenames import FileName, NameRole, log_file_name, parse_file_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("edb.log", FileName(NameRole.CURRENT_LOG, "edb")),
        ("E00.jtx", FileName(NameRole.CURRENT_LOG, "E00")),
        ("SRU00003.log", FileName(NameRole.NUMBERED_LOG, "SRU", 3)),
        ("j501E2EC.log", FileName(NameRole.NUMBERED_LOG, "j50", 0x1E2EC)),
        ("edb00100000.log", FileName(NameRole.NUMBERED_LOG, "edb", 0x100000)),
        ("E0000000001.log", FileName(NameRole.NUMBERED_LOG, "E00", 1)),
        ("E0000001.log", FileName(NameRole.NUMBERED_LOG, "E00", 1)),
        ("EDB0000A.LOG", FileName(NameRole.NUMBERED_LOG, "EDB", 10)),
        ("V010000F.jtx", FileName(NameRole.NUMBERED_LOG, "V01", 15)),
        ("SRUtmp.log", FileName(NameRole.NEXT_LOG, "SRU")),
        ("edbtmp.jtx", FileName(NameRole.NEXT_LOG, "edb")),
        ("E000001A.jsl", FileName(NameRole.SHADOW_LOG, "E00", 0x1A)),
        ("res1.log", FileName(NameRole.RESERVE)),
        ("RES2.LOG", FileName(NameRole.RESERVE)),
        ("SRUres00001.jrs", FileName(NameRole.RESERVE, "SRU")),
        ("other.jrs", FileName(NameRole.RESERVE)),
        ("edb.chk", FileName(NameRole.CHECKPOINT, "edb")),
        ("edb.jcp", FileName(NameRole.CHECKPOINT, "edb")),
        ("SRUDB.jfm", FileName(NameRole.FLUSH_MAP, "SRUDB")),
        ("PRIV.PAT", FileName(NameRole.PATCH, "PRIV")),
        ("priv1.stm", FileName(NameRole.STREAMING_FILE, "priv1")),
        ("tmp.edb", FileName(NameRole.TEMPORARY_DATABASE)),
        ("Temp.EDB", FileName(NameRole.TEMPORARY_DATABASE)),
        ("ntds.INTEG.RAW", FileName(NameRole.REPAIR_REPORT, "ntds")),
    ],
)
def test_names_say_role_base_and_generation(name: str, expected: FileName) -> None:
    assert parse_file_name(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "edb",
        ".log",
        "setup.log",
        "ntds.dit",
        "edb0001.log",
        "edb000001.log",
        "edb0000G.log",
        "edb.logx",
        "ed.log",
    ],
)
def test_other_names_say_nothing(name: str) -> None:
    assert parse_file_name(name) == FileName(NameRole.UNKNOWN)


@pytest.mark.parametrize(
    ("name", "base", "expected"),
    [
        ("wins00001.log", "wins", FileName(NameRole.NUMBERED_LOG, "wins", 1)),
        ("wins.log", "WINS", FileName(NameRole.CURRENT_LOG, "wins")),
        ("winstmp.log", "wins", FileName(NameRole.NEXT_LOG, "wins")),
        ("E0000001.log", "E00", FileName(NameRole.NUMBERED_LOG, "E00", 1)),
        ("E000000001.log", "E0", FileName(NameRole.NUMBERED_LOG, "E0", 1)),
    ],
)
def test_a_known_base_settles_what_the_pattern_leaves_open(name: str, base: str, expected: FileName) -> None:
    assert parse_file_name(name, base) == expected


def test_a_log_of_another_stream_keeps_its_own_base() -> None:
    assert parse_file_name("E0100002.log", "E00") == FileName(NameRole.NUMBERED_LOG, "E01", 2)


@given(st.sampled_from(["edb", "E00", "j50"]), st.integers(1, 0xFFFFFFFF), st.sampled_from(["log", "jtx"]))
def test_a_built_name_is_read_back(base: str, generation: int, suffix: str) -> None:
    name = log_file_name(base, generation, suffix=suffix)
    assert parse_file_name(name, base) == FileName(NameRole.NUMBERED_LOG, base, generation)


def test_five_digits_turn_into_eight() -> None:
    assert log_file_name("edb", 0xFFFFF) == "edbFFFFF.log"
    assert log_file_name("edb", 0x100000) == "edb00100000.log"
    assert log_file_name("E00", 1, digits=8) == "E0000000001.log"


def test_without_a_generation_it_is_the_current_log() -> None:
    assert log_file_name("edb", suffix="jtx") == "edb.jtx"


@pytest.mark.parametrize(("generation", "digits"), [(0, None), (-1, None), (1, 6), (0x100000, 5), (1 << 32, None)])
def test_a_generation_without_a_name_is_refused(generation: int, digits: int | None) -> None:
    with pytest.raises(InputError, match="hex digits"):
        log_file_name("edb", generation, digits=digits)


@pytest.mark.parametrize("base", ["", "a/b", "a\\b", "a.b", "c:", "x" * 17])
def test_a_base_that_is_no_name_is_refused(base: str) -> None:
    with pytest.raises(InputError, match="base name"):
        log_file_name(base, 1)


@given(st.text(max_size=40), st.none() | st.text(max_size=4))
def test_any_text_has_some_role(name: str, base: str | None) -> None:
    assert parse_file_name(name, base).role in NameRole
