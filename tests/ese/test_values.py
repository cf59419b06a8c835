from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature, text

MOMENT = datetime(2022, 2, 5, 19, 30, 30, 435_000, tzinfo=UTC)


def test_a_position_prints_in_hex_as_tools_print_it() -> None:
    assert str(LogPosition(generation=0x1E2EC, sector=2, byte=0x717)) == "(1E2EC,2,717)"


def test_positions_order_by_age() -> None:
    older = LogPosition(generation=3, sector=0xFFFF, byte=9)
    newer = LogPosition(generation=4, sector=0, byte=0)
    assert older < newer
    assert newer > older
    assert LogPosition(generation=4, sector=1) > LogPosition(generation=4, byte=500)


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8))
def test_positions_order_like_their_bytes_read_as_one_number(left: bytes, right: bytes) -> None:
    def signed(data: bytes) -> int:
        return int.from_bytes(data, "little", signed=True)

    assert (LogPosition.unpack(left) < LogPosition.unpack(right)) == (signed(left) < signed(right))


def test_an_all_zero_position_is_unset() -> None:
    assert not LogPosition.unpack(bytes(8)).is_set
    assert LogPosition(byte=1).is_set


def test_a_utc_time_keeps_its_milliseconds() -> None:
    time = LogTime.from_datetime(MOMENT)
    assert time.is_utc
    assert time.millisecond == 435
    assert datetime.fromisoformat(time.iso()) == MOMENT


def test_a_time_in_another_zone_becomes_utc() -> None:
    local = MOMENT.astimezone(timezone(timedelta(hours=-5)))
    assert LogTime.from_datetime(local) == LogTime.from_datetime(MOMENT)


def test_a_local_time_stays_local() -> None:
    moment = datetime(2014, 6, 7, 23, 9, 7)  # noqa: DTZ001 - what Windows XP writes has no zone
    time = LogTime.from_datetime(moment)
    assert not time.is_utc
    assert datetime.fromisoformat(time.iso()) == moment


def test_a_time_prints_as_esentutl_prints_it() -> None:
    time = LogTime.from_datetime(MOMENT)
    assert str(time) == "02/05/2022 19:30:30.435 UTC"
    assert time.iso() == "2022-02-05 19:30:30.435Z"


def test_a_local_time_says_so() -> None:
    time = LogTime(year=114, month=6, day=7, hour=23, minute=9, second=7)
    assert str(time) == "06/07/2014 23:09:07.000 LOC"
    assert time.iso() == "2014-06-07 23:09:07.000"


def test_an_unset_time_has_no_date() -> None:
    time = LogTime.unpack(bytes(8))
    assert not time.is_set
    assert time.iso() == ""


@given(st.binary(min_size=8, max_size=8))
def test_any_eight_bytes_print_and_survive(data: bytes) -> None:
    time = LogTime.unpack(data)
    assert str(time)
    time.iso()
    assert time.pack() == data


def test_times_are_equal_only_when_all_bytes_are() -> None:
    assert LogTime(year=100, high=1) != LogTime(year=100)


@pytest.mark.parametrize("year", [1899, 2156])
def test_a_year_that_does_not_fit_is_refused(year: int) -> None:
    with pytest.raises(ValueError, match=str(year)):
        LogTime.from_datetime(datetime(year, 1, 1, tzinfo=UTC))


def test_a_signature_prints_as_esentutl_prints_it() -> None:
    signature = Signature(random=1234, created=LogTime.from_datetime(MOMENT), computer=b"PC".ljust(16, b"\0"))
    assert str(signature) == "Create time:02/05/2022 19:30:30.435 Rand:1234 Computer:PC"


def test_a_zero_signature_is_unset() -> None:
    assert not Signature.unpack(bytes(28)).is_set
    assert Signature.unpack(bytes(27) + b"\1").is_set


def test_backup_information_is_set_when_any_byte_is() -> None:
    assert not BackupInfo.unpack(bytes(24)).is_set
    assert BackupInfo(generation_low=1).is_set


def test_text_ends_at_the_terminator_and_escapes_what_is_not_ascii() -> None:
    assert text(b"C:\\\xe4\0leftover") == "C:\\\\xe4"
