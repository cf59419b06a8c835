"""Result codes in all of their spellings."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import each, examples

from tokar import codes
from tokar.errors import InputError
from tokar.lab.engine import EngineError
from tokar.sets.faults import Fault, FaultKind

SOURCE = Path(codes.__file__).parent


@pytest.mark.parametrize("spelling", [-530, 0xC8000212, -939523566, 4294966766])
def test_every_spelling_of_a_code_is_the_same_code(spelling: int) -> None:
    assert codes.canonical(spelling) == 0xC8000212


def test_a_description_has_the_name_the_result_code_and_the_engine_number() -> None:
    assert codes.describe(-939522285) == "JET_errFileNotFound, -1811, 0xC8000713"


def test_a_code_without_a_name_is_described_by_its_numbers() -> None:
    assert codes.describe(-4999) == "-4999, 0xC8001387"
    assert codes.find(-4999) is None


def test_a_code_of_the_backup_layer_has_no_engine_number() -> None:
    assert codes.jet_number(codes.CIRCULAR_LOGGING) is None
    assert codes.describe(codes.CIRCULAR_LOGGING) == "hrCircularLogging, 0xC7FF000B"


def test_a_bare_win32_number_is_known_and_stays_bare() -> None:
    assert codes.canonical(0x57) == 0x57
    assert codes.describe(0x57) == "ERROR_INVALID_PARAMETER, 0x00000057"


@pytest.mark.parametrize("spelling", [38, 0x80070026, -2147024858])
def test_the_end_of_a_file_is_told_bare_and_wrapped(spelling: int) -> None:
    assert codes.is_end_of_file(spelling)


@pytest.mark.parametrize("other", [0, 39, 0xC8000026, -1])
def test_nothing_else_is_the_end_of_a_file(other: int) -> None:
    assert not codes.is_end_of_file(other)


def test_warnings_of_the_engine_have_positive_numbers() -> None:
    assert codes.from_jet(558) == 0x8800022E
    assert codes.jet_number(0x8800022E) == 558


@each(codes.CODES.values())
def test_every_code_is_canonical_and_found(code: codes.Code) -> None:
    assert codes.canonical(code.value) == code.value
    assert codes.find(code.value) is code
    assert code.meaning


@examples(200)
@given(st.integers(min_value=-(1 << 31), max_value=(1 << 32) - 1))
def test_making_a_code_canonical_twice_changes_nothing(number: int) -> None:
    value = codes.canonical(number)
    assert 0 <= value < 1 << 32
    assert codes.canonical(value) == value


@given(st.integers(min_value=-65535, max_value=-1))
def test_engine_numbers_come_back(number: int) -> None:
    assert codes.jet_number(codes.canonical(number)) == number


def test_four_refusals_are_answered_with_a_full() -> None:
    assert {codes.CODES[value].name for value in codes.LOGS_ONLY_REFUSALS} == {
        "hrIncrementalBackupDisabled",
        "hrLogFileNotFound",
        "hrCircularLogging",
        "hrFullBackupNotTaken",
    }


@pytest.mark.parametrize("number", [-513, -550, -552, -590])
def test_whoever_names_a_code_gives_it_one_name(number: int) -> None:
    fault = Fault(kind=FaultKind.LOG_NAME, message="", code=number)
    assert (
        EngineError(number, "").name == str(fault.engine).partition(",")[0] == codes.CODES[codes.from_jet(number)].name
    )


def test_a_code_is_given_in_all_spellings() -> None:
    assert str(codes.of_engine(-530)) == "JET_errBadLogSignature, -530, 0xC8000212"
    assert codes.of_engine(-530).to_json() == {
        "number": -530,
        "name": "JET_errBadLogSignature",
        "hresult": "0xC8000212",
    }


def test_an_unknown_code_keeps_its_number() -> None:
    assert codes.of_engine(-9999).jet == -9999


def test_every_engine_code_in_the_tree_has_a_name() -> None:
    places = [
        path for folder in ("sets", "ese", "lab", "restore", "collect") for path in (SOURCE / folder).rglob("*.py")
    ]
    written = {
        int(found) for path in places for found in re.findall(r"(?<![\w.])-[15]\d\d\d?\b", path.read_text("utf-8"))
    }
    unknown = {number for number in written if number <= -500 and codes.find(number) is None}
    assert unknown == set()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("-1216", "JET_errAttachedDatabaseMismatch"),
        ("0xC80004C0", "JET_errAttachedDatabaseMismatch"),
        ("c80004c0", "JET_errAttachedDatabaseMismatch"),
        ("3355444416", "JET_errAttachedDatabaseMismatch"),
        ("4294966080", "JET_errAttachedDatabaseMismatch"),
        ("0xFFFFFB40", "JET_errAttachedDatabaseMismatch"),
        ("1216", "JET_errAttachedDatabaseMismatch"),  # its sign was lost
        ("JET_errAttachedDatabaseMismatch", "JET_errAttachedDatabaseMismatch"),
        ("jet_errattacheddatabasemismatch", "JET_errAttachedDatabaseMismatch"),
        ("AttachedDatabaseMismatch", "JET_errAttachedDatabaseMismatch"),
        ("errAttachedDatabaseMismatch", "JET_errAttachedDatabaseMismatch"),
        ("hrAttachedDatabaseMismatch", "JET_errAttachedDatabaseMismatch"),
        ("0xC8000713", "JET_errFileNotFound"),
        ("-939522285", "JET_errFileNotFound"),
        ("939523546", "JET_errDatabaseDirtyShutdown"),  # how CertSvc gives it
        ("%%939523546", "JET_errDatabaseDirtyShutdown"),
        ("(-550)", "JET_errDatabaseDirtyShutdown"),
        ("JET_errDatabaseInconsistent", "JET_errDatabaseDirtyShutdown"),
        ("3355443765", "JET_errMissingCurrentLogFiles"),
        ("4294965882", "JET_errSecondaryIndexCorrupted"),
        ("558", "JET_wrnExistingLogFileHasBadSignature"),
        ("2281701934", "JET_wrnExistingLogFileHasBadSignature"),
        ("0xC7FF000B", "hrCircularLogging"),
        ("CircularLogging", "hrCircularLogging"),
        ("32", "ERROR_SHARING_VIOLATION"),
        ("0x20", "ERROR_SHARING_VIOLATION"),
        ("0x80070020", "ERROR_SHARING_VIOLATION"),
        ("2147942432", "ERROR_SHARING_VIOLATION"),
        ("-2147024864", "ERROR_SHARING_VIOLATION"),
        ("sharing_violation", "ERROR_SHARING_VIOLATION"),
        ("ERROR_FILE_NOT_FOUND", "ERROR_FILE_NOT_FOUND"),
        ("FileNotFound", "JET_errFileNotFound"),  # Windows has one of that name, and gives way
        ("0x57", "ERROR_INVALID_PARAMETER"),
        ("0", "hrNone"),
    ],
)
def test_whatever_a_person_writes_is_one_code(text: str, name: str) -> None:
    code = codes.find(codes.parse(text))
    assert code is not None
    assert code.name == name


@pytest.mark.parametrize(
    "text", ["", "-", "foo", "0x", "0x123456789", "-99999999999", "9" * 5000, "\0", "²", "JET_err"]
)
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no code"):
        codes.parse(text)


@pytest.mark.parametrize(("text", "value"), [("57", 57), ("-4999", 0xC8001387), ("939519097", 0xC8001387)])
def test_a_code_that_is_not_in_the_table_is_still_told_apart(text: str, value: int) -> None:
    assert codes.parse(text) == value
    assert codes.find(value) is None


@each(codes.CODES.values())
def test_every_spelling_that_is_shown_is_read_and_says_what_to_do(code: codes.Code) -> None:
    assert code.next_step
    for text in (code.name, *codes.spellings(code.value)):
        found = codes.find(codes.parse(text))
        assert found is code, text
