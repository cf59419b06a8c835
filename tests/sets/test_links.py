"""Whether one log continues another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from ese_files import check_log, log_bytes, log_header, old_log_header
from recovery_sets import log_facts

from tokar.ese.values import LogTime, Signature
from tokar.sets.links import Link, LinkFault, LinkProof, link
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.ese.log import LogHeader
    from tokar.sets.facts import LogFacts

BORN = LogTime(year=122, month=2, day=5, hour=22, low=1)
HEADER = log_header(5, created=BORN)
CONTENT = check_log(BytesSource(log_bytes(HEADER, 6)))
# The clock stepped back by three hours between the two, as in a real set.
NEXT = log_header(
    6,
    created=replace(BORN, hour=19),
    previous_created=BORN,
    previous_segments_xor=CONTENT.segments_xor,
)


def facts(header: LogHeader) -> LogFacts:
    return log_facts(BytesSource(log_bytes(header, 6)))


EARLIER, LATER = facts(HEADER), facts(NEXT)


def test_content_proves_the_link() -> None:
    assert link(EARLIER, LATER) == Link(None, LinkProof.CONTENT)


def test_without_the_content_times_prove_the_link() -> None:
    assert link(replace(EARLIER, content=None), LATER) == Link(None, LinkProof.TIMES)


@pytest.mark.parametrize("later", [replace(NEXT, update_minor=12), replace(NEXT, major=7, minor=3704)])
def test_formats_without_the_accumulated_checksum_are_linked_by_times(later: LogHeader) -> None:
    assert link(EARLIER, facts(later)).proof is LinkProof.TIMES


def test_a_log_that_only_a_receipt_knows_is_linked_whatever_its_size() -> None:
    earlier = replace(LATER, generation=5, created=LATER.previous_created, expected_size=0, content=None)
    assert link(earlier, LATER).fault is None


def test_a_log_of_format_7_has_no_content_to_compare() -> None:
    earlier = replace(old_log_header(5), created=BORN)
    found = log_facts(BytesSource(earlier.build().ljust(earlier.file_size, b"\0")))
    found = replace(found, signature=LATER.signature, expected_size=LATER.expected_size)
    assert link(found, LATER).proof is LinkProof.TIMES


@pytest.mark.parametrize(
    ("later", "fault"),
    [
        (replace(LATER, generation=7), LinkFault.GENERATION),
        (replace(LATER, generation=5), LinkFault.GENERATION),
        (replace(LATER, signature=Signature(random=9)), LinkFault.SIGNATURE),
        (replace(LATER, previous_created=replace(BORN, second=1)), LinkFault.TIME),
        (replace(LATER, expected_size=4096), LinkFault.SIZE),
        (replace(LATER, previous_created=replace(BORN, high=1)), LinkFault.TIME),
        (replace(LATER, previous_segments_xor=1), LinkFault.CONTENT),
    ],
)
def test_a_log_that_does_not_continue_the_other_says_why(later: LogFacts, fault: LinkFault) -> None:
    assert link(EARLIER, later) == Link(fault, None)


def test_the_root_cause_comes_first() -> None:
    foreign = replace(LATER, signature=Signature(random=9), previous_created=LogTime(), previous_segments_xor=1)
    assert link(EARLIER, foreign).fault is LinkFault.SIGNATURE


def test_an_altered_earlier_log_breaks_the_link() -> None:
    data = log_bytes(HEADER, 6)
    data[5 * 4096 :] = bytes(len(data) - 5 * 4096)
    assert link(log_facts(BytesSource(data)), LATER).fault is LinkFault.CONTENT
