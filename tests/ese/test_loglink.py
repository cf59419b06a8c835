from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ese_files import log_bytes, log_header, old_log_header

from tokar.ese.logcheck import check_log
from tokar.ese.loglink import LinkFault, LinkProof, link
from tokar.ese.values import LogTime, Signature
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.ese.log import LogHeader

BORN = LogTime(year=122, month=2, day=5, hour=22, low=1)
EARLIER = log_header(5, created=BORN)
CONTENT = check_log(BytesSource(log_bytes(EARLIER, 6)))
# The clock stepped back by three hours between the two, as in a real set.
LATER = log_header(
    6,
    created=replace(BORN, hour=19),
    previous_created=BORN,
    previous_segments_xor=CONTENT.segments_xor,
)


def test_content_proves_the_link() -> None:
    found = link(EARLIER, LATER, CONTENT)
    assert (found.fault, found.proof, found.content_checked) == (None, LinkProof.CONTENT, True)
    assert found.code is None


def test_without_the_content_times_prove_the_link() -> None:
    found = link(EARLIER, LATER)
    assert (found.fault, found.proof, found.content_checked) == (None, LinkProof.TIMES, False)


@pytest.mark.parametrize("later", [replace(LATER, update_minor=12), replace(LATER, major=7, minor=3704)])
def test_formats_without_the_accumulated_checksum_are_linked_by_times(later: LogHeader) -> None:
    assert link(EARLIER, later, CONTENT).proof is LinkProof.TIMES


def test_a_log_of_format_7_has_no_content_to_compare() -> None:
    earlier = replace(old_log_header(5), created=BORN)
    content = check_log(BytesSource(earlier.build().ljust(earlier.file_size, b"\0")))
    assert link(earlier, LATER, content).proof is LinkProof.TIMES


@pytest.mark.parametrize(
    ("later", "fault", "code"),
    [
        (replace(LATER, generation=7), LinkFault.GENERATION, -528),
        (replace(LATER, generation=5), LinkFault.GENERATION, -528),
        (replace(LATER, signature=Signature(random=9)), LinkFault.SIGNATURE, -530),
        (replace(LATER, previous_created=replace(BORN, second=1)), LinkFault.TIME, -515),
        (replace(LATER, previous_created=replace(BORN, high=1)), LinkFault.TIME, -515),
        (replace(LATER, previous_segments_xor=1), LinkFault.CONTENT, -590),
    ],
)
def test_a_log_that_does_not_continue_the_other_says_why(later: LogHeader, fault: LinkFault, code: int) -> None:
    found = link(EARLIER, later, CONTENT)
    assert (found.fault, found.code, found.proof) == (fault, code, None)


def test_the_root_cause_comes_first() -> None:
    foreign = replace(LATER, signature=Signature(random=9), previous_created=LogTime(), previous_segments_xor=1)
    assert link(EARLIER, foreign, CONTENT).fault is LinkFault.SIGNATURE


def test_an_altered_earlier_log_breaks_the_link() -> None:
    data = log_bytes(EARLIER, 6)
    data[5 * 4096 :] = bytes(len(data) - 5 * 4096)
    assert link(EARLIER, LATER, check_log(BytesSource(data))).fault is LinkFault.CONTENT
