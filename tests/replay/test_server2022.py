"""One real database before and after, with every log between: replay must come to what the engine came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from replay_sets import PlayedSet, after, before, pages_of, settled_bounds, unequal

from tokar.ese.database import DatabaseHeader
from tokar.ese.page import seal_page
from tokar.replay.redo import Bounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.replay.nodepage import NodePage

pytestmark = pytest.mark.samples

ALL = range(1, 159)
# What no log says: the checksum of a page, and its flush type.
NOT_LOGGED = {*range(8), 37, 38}


@pytest.fixture(scope="module")
def advanced() -> Iterator[PlayedSet]:
    """The database before, with logs 2 to 5 played on it."""
    database = before().database
    with PlayedSet(database.read_bytes(), after(), settled_bounds(before().header)) as found:
        for records in after().records():
            found.feed(records)
        yield found


@pytest.fixture(scope="module")
def made() -> Iterator[PlayedSet]:
    """A database made from logs 1 to 5, of no file."""
    with PlayedSet(None, after(whole=True), Bounds()) as found:
        for records in after(whole=True).records():
            found.feed(records)
        yield found


def test_before_and_logs_2_to_5_are_after_on_all_158_pages(advanced: PlayedSet) -> None:
    assert list(unequal(advanced.store, pages_of(after().database), ALL)) == []
    assert advanced.redo.clashes == []
    assert advanced.redo.doubts == {}


def test_logs_1_to_5_alone_are_the_whole_file(made: PlayedSet) -> None:
    assert list(unequal(made.store, pages_of(after().database), ALL)) == []
    assert made.redo.doubts == {}


def test_without_redo_the_pages_of_before_are_not_those_of_after() -> None:
    with PlayedSet(before().database.read_bytes(), after(), settled_bounds(before().header)) as found:
        assert len(list(unequal(found.store, pages_of(after().database), ALL))) == 61


def test_without_redo_no_page_comes_from_the_logs() -> None:
    with PlayedSet(None, after(whole=True), Bounds()) as found:
        assert len(list(unequal(found.store, pages_of(after().database), ALL))) == 73


def test_what_was_played_is_counted(advanced: PlayedSet, made: PlayedSet) -> None:
    assert sum(advanced.redo.applied.values()) == 1118
    assert advanced.player.skipped == {"from before the database was attached": 16}
    assert sum(made.redo.applied.values()) == 1475
    assert made.redo.images_equal == 9


@pytest.mark.parametrize("which", ["advanced", "made"])
def test_nothing_differs_but_checksum_and_flush_type_and_what_lies_in_gaps(
    which: str, request: pytest.FixtureRequest
) -> None:
    found: PlayedSet = request.getfixturevalue(which)
    real = after().database.read_bytes()
    differing: set[int] = set()
    for page in found.store.pages():
        theirs = real[(page.number + 1) * 4096 :][:4096]
        ours = seal_page(page.build(), page.number)
        differing |= {at for at in range(4096) if ours[at] != theirs[at]} - unused(page)
    assert differing <= NOT_LOGGED


def unused(page: NodePage) -> set[int]:
    """The bytes of a page that belong to no tag."""
    free = set(range(40, 4096 - 4 * page.tags))
    for length, offset, _ in map(page.tag, range(page.tags)):
        free -= set(range(40 + offset, 40 + offset + length))
    return free


def test_the_pages_of_before_are_what_its_own_logs_make() -> None:
    with PlayedSet(None, before(), Bounds()) as found:
        for records in before().records():
            found.feed(records)
        assert list(unequal(found.store, pages_of(before().database), range(1, 47))) == []


def test_the_version_that_the_logs_raise_is_the_one_of_the_file(advanced: PlayedSet) -> None:
    header = DatabaseHeader.parse(after().database.read_bytes()[:4096])
    assert advanced.played.version == (header.version, header.revision, header.minor_revision)
