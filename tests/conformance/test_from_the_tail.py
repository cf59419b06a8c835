"""Every fixture, read with random access: never sealed when it is not, always when it is, with the same kind of answer.

The rule may be another than from the front, because this reader meets the records in another order: TAIL, ROOT, HEAD,
SUMM, the index, then the entries. It compares an entry with its row of the index where the other compares the index
with the entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from blake3 import blake3
from conformance_cases import IDENTITY, NEEDS_CONTENT, case_of, from_the_tail, names, plain_names
from fixtures.cases_encryption import SSH_IDENTITY, WORDS
from sweeps import each

from tokar.errors import FormatError, LockedError
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.format.verify import verify
from tokar.storage.bytesource import BytesSource
from tokar.trust.recipients import Identities

if TYPE_CHECKING:
    from pathlib import Path

# From the tail, a record inside an entry that DONE does not name is bytes between chunks, whatever its kind; and the
# second HEAD may be the one that is used.
OTHER_ANSWERS = {"rec-6-unknown-in-entry": "damaged", "head-3-feature": "unsupported"}


OPENING = [name for name in names() if case_of(name).opens]


@each(OPENING)
def test_the_reader_gives_the_kind_of_answer_of_the_fixture(name: str) -> None:
    case = case_of(name)
    outcome = from_the_tail(case.data)
    permitted = {OTHER_ANSWERS.get(name, case.answer), *(one["answer"] for one in case.permitted)}
    assert outcome.answer in permitted
    assert (outcome.rule is None) == (outcome.answer == "sealed")
    assert (outcome.position is None) == (outcome.answer == "sealed")


def test_without_content_the_reader_misses_only_what_needs_content() -> None:
    cases = [case_of(name) for name in OPENING]
    missed = {case.name for case in cases if from_the_tail(case.data, content=False).answer != case.answer}
    assert missed == NEEDS_CONTENT | OTHER_ANSWERS.keys()


def test_several_threads_give_the_answer_of_one() -> None:
    for name in OPENING:
        data = case_of(name).data
        assert from_the_tail(data, threads=3) == from_the_tail(data), name


@each(names("good-"))
def test_a_good_archive_says_what_the_fixture_says(name: str) -> None:
    case = case_of(name)
    archive = Archive(BytesSource(case.data))
    assert (archive.id, archive.root, archive.size) == (case.id, case.root, len(case.data))
    assert canonical_json.encode(archive.head.to_json()).decode() == case.head
    assert len(archive) == len(case.entries)


@each(names("good-"))
def test_the_content_of_a_good_archive_has_its_digests(name: str) -> None:
    case = case_of(name)
    archive = Archive(BytesSource(case.data))
    for entry, expected in zip(archive, case.entries, strict=True):
        content = archive.read(entry)
        assert len(content) == expected["size"]
        assert blake3(content).hexdigest() == expected["digest"]
        assert entry.raw_name.hex() == expected["name_hex"]


def test_the_chunks_of_a_good_archive_have_their_codecs() -> None:
    for name in names("good-"):
        case = case_of(name)
        archive = Archive(BytesSource(case.data))
        for entry, expected in zip(archive, case.entries, strict=True):
            assert [chunk.codec for chunk in archive.chunks(entry)] == expected["codecs"], name


@each([*plain_names("data-"), *plain_names("done-5-")])
def test_a_damaged_entry_is_refused_when_it_is_read(name: str) -> None:
    archive = Archive(BytesSource(case_of(name).data))
    damaged = archive.entry(len(archive) - 1)
    with pytest.raises(FormatError):
        for _ in archive.chunks(damaged):
            pass


def test_the_entry_before_a_damaged_one_is_still_read() -> None:
    for name in (*plain_names("data-"), *plain_names("done-")):
        case = case_of(name)
        archive = Archive(BytesSource(case.data))
        for number, expected in enumerate(case.entries):
            assert blake3(archive.read(archive.entry(number))).hexdigest() == expected["digest"], name


@pytest.mark.parametrize("name", names("head-1-encrypted"))
def test_an_encrypted_archive_gives_its_content_to_the_identity_of_the_fixtures(name: str, tmp_path: Path) -> None:
    (tmp_path / "identity").write_text(IDENTITY)
    case = case_of(name)
    archive = Archive(BytesSource(case.data), Identities([tmp_path / "identity"]))
    for entry, expected in zip(archive, case.entries, strict=True):
        content = archive.read(entry)
        assert entry.hasher().update(content).hexdigest() == expected["digest"] == entry.digest.hex()


def test_a_record_keys_gives_the_content_to_the_ssh_key_that_it_was_added_for(tmp_path: Path) -> None:
    (tmp_path / "id_ed25519").write_text(SSH_IDENTITY)
    ring = Identities([tmp_path / "id_ed25519"])
    archive = Archive(BytesSource(case_of("head-1-encrypted-keys-ssh").data), ring)
    assert archive.read(archive.entry(0)) == b"tokar\n"
    with pytest.raises(LockedError):
        Archive(BytesSource(case_of("head-1-encrypted-keys").data), ring)


def test_added_and_removed_records_keys_leave_the_root_as_it_is() -> None:
    roots = {case_of(name).root for name in (*names("head-1-encrypted-keys"), "head-1-encrypted-recipients-only")}
    assert len(roots) == 1


@pytest.mark.torture  # it takes a second or two to try a passphrase
@pytest.mark.parametrize("name", ["head-1-encrypted", "head-1-encrypted-keys"])
def test_a_passphrase_opens_what_was_wrapped_for_it(name: str) -> None:
    archive = Archive(BytesSource(case_of(name).data), Identities(passphrase=lambda: WORDS))
    assert archive.read(archive.entry(0)) == b"tokar\n"


@pytest.mark.parametrize("name", names("head-1-encrypted"))
def test_content_is_locked_without_a_key_and_all_else_is_read(name: str) -> None:
    archive = Archive(BytesSource(case_of(name).data))
    assert archive.is_locked
    verify(archive).demand()
    with pytest.raises(LockedError):
        archive.read(archive.entry(0))
    with pytest.raises(LockedError):
        verify(archive, content=True)
