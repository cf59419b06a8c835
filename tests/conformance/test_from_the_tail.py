"""Every fixture, read with random access: never sealed when it is not, always when it is, with the same kind of answer.

The rule may be another than from the front, because this reader meets the records in another order: TAIL, ROOT, HEAD,
SUMM, the index, then the entries. It compares an entry with its row of the index where the other compares the index
with the entries.
"""

from __future__ import annotations

import pytest
from blake3 import blake3
from conformance_cases import NEEDS_CONTENT, Expectation, from_the_tail, names, plain_names

from tokar.errors import FormatError
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.storage.bytesource import BytesSource

# From the tail, a record inside an entry that DONE does not name is bytes between chunks, whatever its kind; and the
# second HEAD may be the one that is used.
OTHER_ANSWERS = {"rec-6-unknown-in-entry": "damaged", "head-3-feature": "unsupported"}


@pytest.mark.parametrize("name", names())
def test_the_reader_gives_the_kind_of_answer_of_the_fixture(name: str) -> None:
    case = Expectation.load(name)
    outcome = from_the_tail(case.data)
    permitted = {OTHER_ANSWERS.get(name, case.answer), *(one["answer"] for one in case.permitted)}
    assert outcome.answer in permitted
    assert (outcome.rule is None) == (outcome.answer == "sealed")
    assert (outcome.position is None) == (outcome.answer == "sealed")


def test_without_content_the_reader_misses_only_what_needs_content() -> None:
    cases = [Expectation.load(name) for name in names()]
    missed = {case.name for case in cases if from_the_tail(case.data, content=False).answer != case.answer}
    assert missed == NEEDS_CONTENT | OTHER_ANSWERS.keys()


def test_several_threads_give_the_answer_of_one() -> None:
    for name in names():
        data = Expectation.load(name).data
        assert from_the_tail(data, threads=3) == from_the_tail(data), name


@pytest.mark.parametrize("name", names("good-"))
def test_a_good_archive_says_what_the_fixture_says(name: str) -> None:
    case = Expectation.load(name)
    archive = Archive(BytesSource(case.data))
    assert (archive.id, archive.root, archive.size) == (case.id, case.root, len(case.data))
    assert canonical_json.encode(archive.head.to_json()).decode() == case.head
    assert len(archive) == len(case.entries)


@pytest.mark.parametrize("name", names("good-"))
def test_the_content_of_a_good_archive_has_its_digests(name: str) -> None:
    case = Expectation.load(name)
    archive = Archive(BytesSource(case.data))
    for entry, expected in zip(archive, case.entries, strict=True):
        content = archive.read(entry)
        assert len(content) == expected["size"]
        assert blake3(content).hexdigest() == expected["digest"]
        assert entry.raw_name.hex() == expected["name_hex"]


def test_the_chunks_of_a_good_archive_have_their_codecs() -> None:
    for name in names("good-"):
        case = Expectation.load(name)
        archive = Archive(BytesSource(case.data))
        for entry, expected in zip(archive, case.entries, strict=True):
            assert [chunk.codec for chunk in archive.chunks(entry)] == expected["codecs"], name


@pytest.mark.parametrize("name", [*plain_names("data-"), *plain_names("done-5-")])
def test_a_damaged_entry_is_refused_when_it_is_read(name: str) -> None:
    archive = Archive(BytesSource(Expectation.load(name).data))
    damaged = archive.entry(len(archive) - 1)
    with pytest.raises(FormatError):
        for _ in archive.chunks(damaged):
            pass


def test_the_entry_before_a_damaged_one_is_still_read() -> None:
    for name in (*plain_names("data-"), *plain_names("done-")):
        case = Expectation.load(name)
        archive = Archive(BytesSource(case.data))
        for number, expected in enumerate(case.entries):
            assert blake3(archive.read(archive.entry(number))).hexdigest() == expected["digest"], name
