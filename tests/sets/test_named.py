"""What nobody can tell of the databases that logs attach: no record is read, and no header names them yet."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from command_line import done
from engine_by_hand import new_story
from lab_sets import PROFILES, LabSet, lab_names, read_place, recovered
from loose_facts import facts_of_folder
from recovery_sets import DATABASE, database, dirty, logs, streaming
from small_sets import write

from tokar.ese.attachment import build_attachments
from tokar.ese.log import LogHeader
from tokar.lab.engine import EngineError
from tokar.sets.facts import ChainFacts
from tokar.sets.judge import judge_set
from tokar.sets.outcome import Word

if TYPE_CHECKING:
    from pathlib import Path

    from lab_sets import Files

TOLD = "whether more is attached where the logs end than the databases that are here (-1216) nobody can tell"
UNREAD = ChainFacts(why_not="not ESE log records", is_halted=True)


class Server:
    """A server with two databases that ran on until the power went."""

    def __init__(self, folder: Path, profile: str, work: int) -> None:
        story = new_story(folder / "lab", profile, databases=2, seed=4, work=work)
        self._folder = folder
        self.files = {one: data for one, data in read_place(story).items() if not one.endswith(".chk")}
        paths = {one.dbid: one.path for one in story.lab.config.databases}
        self._set = LabSet(profile, lab_names(story), paths, {})
        self.second = [*lab_names(story).values()][1]

    def verdict(self, files: Files) -> tuple[Word, str]:
        """What every verb says of files."""
        there = write(self._folder / "set", files)
        done("create", "-q", self._folder / "a.tokar", there)
        checked = done("check", "--json", there).json()["outcome"]
        placed = done("restore", "--json", "--into", self._folder / "out", self._folder / "a.tokar").json()["outcome"]
        assert placed == checked
        return Word(checked["word"]), checked["why"] or ""

    def recover(self) -> None:
        """Recover what was placed."""
        recovered(self._set, self._folder / "out", None)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_server_in_its_first_log_may_have_attached_more_than_is_here(profile: str, tmp_path: Path) -> None:
    server = Server(tmp_path, profile, 6)
    word, why = server.verdict({one: data for one, data in server.files.items() if one != server.second})
    assert (word, why.startswith(TOLD)) == (Word.NOT_PROVEN, True)
    with pytest.raises(EngineError, match="-1216"):
        server.recover()


@pytest.mark.parametrize("profile", PROFILES)
def test_where_a_header_names_what_is_attached_it_tells(profile: str, tmp_path: Path) -> None:
    server = Server(tmp_path, profile, 30)
    assert server.verdict(server.files) == (Word.RESTORABLE, "")
    server.recover()


def test_a_last_log_whose_header_was_made_to_name_no_database_is_no_proof_that_none_is_missing(tmp_path: Path) -> None:
    server = Server(tmp_path, "certadm", 12)
    header = LogHeader.parse(server.files["edb.log"])
    blank = replace(header, attachment_area=build_attachments([])).build()
    files = {**server.files, "edb.log": blank + server.files["edb.log"][len(blank) :]}
    word, why = server.verdict({one: data for one, data in files.items() if one != server.second})
    assert (word, why.startswith(TOLD)) == (Word.NOT_PROVEN, True)
    with pytest.raises(EngineError, match="-1216"):
        server.recover()


NONE = logs(5, 7, attached=())
LAST_ONE_NAMES = {**logs(5, 6, attached=()), **logs(7, 7, after=NONE["edb00006.log"])}
NEEDS = bytes(dirty(5, 7))


@pytest.mark.parametrize(
    ("data", "those", "chain", "is_told"),
    [
        (NEEDS, NONE, UNREAD, True),
        (NEEDS, LAST_ONE_NAMES, UNREAD, False),
        (NEEDS, NONE, ChainFacts(high=7, attached=()), False),
        (NEEDS, NONE, replace(UNREAD, changes=1), False),
        (NEEDS, NONE, None, False),
        (bytes(streaming(5, 7)), NONE, UNREAD, False),
        (bytes(database()), NONE, UNREAD, False),
    ],
)
def test_it_is_left_open_where_nobody_reads_records_and_no_header_names_the_database_that_needs_them(
    data: bytes, those: Files, chain: ChainFacts | None, is_told: bool, tmp_path: Path
) -> None:
    facts = facts_of_folder(write(tmp_path, {DATABASE: data, **those}), examine=True)
    facts = replace(facts, databases=tuple(replace(one, chain=chain) for one in facts.databases))
    assert any(one.startswith(TOLD) for one in judge_set(facts).not_checked) is is_told
