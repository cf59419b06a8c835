from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from ese_files import log_bytes, log_header, old_log_bytes, old_log_header

from tokar.ese.errors import HeaderError
from tokar.ese.logcheck import LogChecker, check_log
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.ese.log import LogHeader


def test_the_header_decides_what_carries_the_checksums() -> None:
    assert check_log(BytesSource(log_bytes(log_header(), 3))).unit == "segments"
    assert check_log(BytesSource(old_log_bytes(old_log_header(), [(0, 490)]))).unit == "ranges"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (log_header(sector_size=512), "sectors of 512"),
        (log_header(major=7, minor=3701), r"7.3701"),
        (log_header(major=7, minor=3704, sector_size=0), "sectors of 0"),
    ],
)
def test_content_without_known_checksums_is_not_called_bad(header: LogHeader, reason: str) -> None:
    report = check_log(BytesSource(header.build() + b"\xa5" * 61440))
    assert reason in report.not_verified
    assert report.bad == 0
    assert not report.is_good


def test_a_log_with_a_damaged_header_is_refused() -> None:
    data = log_bytes(log_header(), 3)
    data[100] ^= 1
    with pytest.raises(HeaderError, match="damaged"):
        check_log(BytesSource(data))


def test_the_size_is_what_came_and_not_what_was_announced() -> None:
    checker = LogChecker(log_header())
    checker.update(log_bytes(log_header(), 3)[:5000])
    report = checker.finish()
    assert (report.size, report.expected_size) == (5000, 65536)
