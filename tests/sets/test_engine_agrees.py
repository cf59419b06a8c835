"""The verdict against an engine that recovers: what passes is recovered from exactly what a restore placed.

The simulated engine is the judge. It is written from spec/recovery.md and knows nothing of tokar's own verdict. Every
kind of mutation is applied to sets of all dialects and both eras, alone and together with another one.
"""

from __future__ import annotations

import random
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from field_mutations import ALL_KINDS as KINDS
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from lab_sets import is_from, lab_sets, leaf_of, recovered, token_of
from sweeps import each, sampled

import tokar
from mutations import NotHere, Tried
from tokar.errors import HeaderError, RestoreError
from tokar.ese.database import DatabaseHeader
from tokar.format.archive import Archive
from tokar.lab.engine import EngineError
from tokar.replay.chains import with_chains
from tokar.replay.files import open_in
from tokar.restore.chosen import choose_one
from tokar.restore.next_steps import Recovery
from tokar.restore.options import RestoreOptions
from tokar.restore.prepare import place_sets, plan_restore
from tokar.sets.backup_set import set_of_archive
from tokar.sets.faults import FaultKind as Kind
from tokar.sets.joining import build_chain
from tokar.sets.judge import judge_set
from tokar.sets.outcome import Word, outcome_of
from tokar.sets.read import facts_of_archive
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from lab_sets import Files, LabSet

    from tokar.ese.values import Signature
    from tokar.sets.backup_set import BackupSet
    from tokar.sets.faults import Fault
    from tokar.sets.outcome import LastLine

# What is refused although the simulated engine may get over it, each with the reason.
CAUTIONS: dict[Kind, str] = {
    Kind.DATABASE_CUT: "the simulated engine lets a file grow that is cut, where the logs have all that was there",
    Kind.LOG_DIFFERS: "two copies of one log disagree, and only whoever made them knows which is right",
    Kind.DATABASE_NAME: "an older copy has the name that recovery looks for, and nothing says which of them is wanted",
    Kind.LOG_FORKED: "two histories, and nothing says which of them is wanted",
    Kind.LOG_OF_OTHER_BRANCH: "the engine forgets the last log of a streaming copy where it takes over the trailer",
}
# What nobody can tell from the files, each with the reason; what comes back then may be wrong, or refused.
BLIND: dict[str, str] = {
    "leave only the header of a log": "zeros are no fill pattern to the older format; a log not yet begun is like that",
}
# What proves that a page is not as it was, and may do no harm, each with the reason.
HARMLESS: dict[str, str] = {
    **dict.fromkeys(
        [
            "put a page of another database in place",
            "fill a page with garbage",
            "flip a bit in a page",
            "write a few bytes into a page",
        ],
        "in the place of a page that was given back nothing leads to it",
    ),
    **dict.fromkeys(
        ["put an older header onto a database", "require the lowest log alone"],
        "pages are ahead of all that the header asks for, and more logs than that are here",
    ),
    "ask for one log less": "pages lack what is in a log below those that the header asks for, and that log is here",
}
# Where such a page leads is in its own words, and may be a page that was never written (DATABASE_BLANK).
_OF_PAGES = {Kind.PAGES_DAMAGED, Kind.PAGES_MISPLACED, Kind.PAGES_OFF_CHAIN, Kind.DATABASE_BLANK}
_PASSES = {Word.RESTORABLE, Word.WITH_LOSS}


@dataclass
class Case:
    """A mutated set, archived, judged, restored and recovered."""

    made: LabSet
    files: Files
    folder: Path
    blind: bool = False  # Whether nobody can tell what happened to it
    harmless: bool = False  # Whether what is wrong with a page may do no harm
    found: list[str] = field(default_factory=list)  # Where judge and engine disagree
    said: str = ""  # What became of it

    def run(self) -> None:
        path = self.folder / "a.tokar"
        with tokar.create(path, profile=self.made.label, kind="collected", compress="none") as writer:
            for name, data in self.files.items():
                writer.add_bytes(token_of(name, data), name, data)
        with Archive(path) as archive:
            whole = whole_set(archive, str(path))
            quick = facts_of_archive(archive)
            verdict = judge_set(whole.facts)
            line, less = outcome_of(verdict, whole.facts), outcome_of(judge_set(quick), quick)
            self.said = line.word
            self._compare(less, line)
            chained = build_chain([whole]).outcome_of(0)
            if chained.word != line.word:
                self.found.append(f"chain says {chained}, check --content {line}")
            if line.word in _PASSES or line.word is Word.NOT_RESTORABLE:
                self._restore(archive, line, verdict.blocking)

    def _compare(self, quick: LastLine, full: LastLine) -> None:
        """Without --content less is said, and never something else."""
        less = {Word.NOT_PROVEN: set(Word), Word.WITH_LOSS: {Word.WITH_LOSS, Word.NOT_RESTORABLE}}
        less |= {Word.PART_OF_A_CHAIN: {Word.PART_OF_A_CHAIN, Word.NOT_RESTORABLE}}
        if full.word not in less.get(quick.word, {quick.word}):
            self.found.append(f"check says {quick}, check --content {full}")

    def _restore(self, archive: Archive, line: LastLine, blocking: tuple[Fault, ...]) -> None:
        facts, out = whole_set(archive).facts, self.folder / "out"
        chosen = choose_one(archive, facts=facts)
        plan = plan_restore(chosen, RestoreOptions(into=out, accept_unrecoverable=line.word is not Word.RESTORABLE))
        try:
            place_sets(plan)
        except RestoreError as error:
            self.said += f", not placed: {type(error).__name__}"
            if line.word is Word.RESTORABLE and not isinstance(error, tokar.errors.CollisionError):
                self.found.append(f"it passes, and the plan is refused: {error}")
            return
        if line.word is not Word.NOT_RESTORABLE:
            follow(plan.recovery.next_steps if plan.recovery else (), out)
        hard = plan.recovery is not None and plan.recovery.recovery is Recovery.HARD
        if line.word is Word.WITH_LOSS:
            take_away([fault for fault in blocking if fault.code == -586], out)
        self._recover(line, blocking, (chosen.ranges[0].low, chosen.ranges[0].high), hard)

    def _recover(self, line: LastLine, blocking: tuple[Fault, ...], bounds: tuple[int, int], hard: bool) -> None:
        kinds = {fault.kind for fault in blocking}
        refused, lost, out = line.word is Word.NOT_RESTORABLE, line.word is Word.WITH_LOSS, self.folder / "out"
        try:
            ignore = lost and Kind.DATABASE_NOT_HERE in kinds
            contents, expected = recovered(self.made, out, bounds if hard else None, ignore=ignore, lossy=lost)
        except EngineError as error:
            if not refused and not self.blind:
                self.found.append(f"it passes ({line}), and the engine refuses: {error}")
            self.said += f", engine {error.code}"
            return
        same = expected is None or contents == expected
        if refused and self._is_for_another_file(blocking, contents):
            self.said += ", for another file"
            return
        self.said += ", recovered" if expected and same else ", contents unknown" if same else ", other contents"
        if not refused and not same and not self.blind:
            self.found.append(f"it passes ({line}), and other contents come back")
        is_harmless = self.harmless and kinds <= _OF_PAGES
        if refused and expected is not None and same and not (is_harmless or kinds & set(CAUTIONS)):
            self.found.append(f"it is refused ({line}), and is recovered")

    def _is_for_another_file(self, blocking: tuple[Fault, ...], contents: Iterable[str]) -> bool:
        """Return whether a database did not come back, and all that is in the way is about a file nobody opened.

        Its only file has another name. The engine here looks for names, and recovers the other databases without it. A
        copy of a database that did come back is no excuse.
        """
        back = {*contents}
        known = {signature_of((self.folder / "out" / name).read_bytes()) for name in back} - {None}
        own = {name: signature_of(data) for name, data in self.files.items()}
        is_lost = not back.issuperset(self.made.names.values())
        return is_lost and all(
            one.databases and all(leaf_of(name) not in back and own.get(name) not in known for name in one.databases)
            for one in blocking
        )


def signature_of(data: bytes) -> Signature | None:
    """Return the signature of a database; None where its header cannot be read."""
    try:
        return DatabaseHeader.read(BytesSource(data)).header.signature
    except HeaderError:
        return None


def whole_set(archive: Archive, label: str = "") -> BackupSet:
    """What check --content makes of an archive."""
    found = set_of_archive(archive, label=label, examine=True)
    return replace(found, facts=with_chains(found.facts, open_in(archive)))


def take_away(faults: list[Fault], folder: Path) -> None:
    """Take away the committed logs that are given up, with all later ones, as their next step says."""
    first = min((generation for fault in faults for generation in fault.generations), default=0)
    for path in [*folder.iterdir()] if first else ():
        if path.suffix.lower() in {".log", ".jtx"} and is_from(path, first):
            path.unlink()


def follow(steps: Iterable[str], folder: Path) -> None:
    """Do what a plan says must be done to files before recovery."""
    for step in steps:
        if match := re.match(r'ren "?([^"]+?)"? (\S+)( &&|: |$)', step):
            (folder / leaf_of(match[1])).rename(folder / match[2])


def is_blind(title: str, kinds: list[str]) -> bool:
    return "certadm" not in title and not BLIND.keys().isdisjoint(kinds)


def try_out(title: str, kinds: list[str], seed: int, folder: Path) -> Case | None:
    """Judge, restore and recover a mutated set; None where it has nothing that could be changed like that."""
    made = lab_sets()[title]
    it = Tried(made, dict(made.files), random.Random(seed))
    try:
        for kind in kinds:
            KINDS[kind](it)
    except NotHere:
        return None
    case = Case(made, it.files, folder, is_blind(title, kinds), harmless=not HARMLESS.keys().isdisjoint(kinds))
    case.run()
    return case


def hold(kind: str, number: int, *, paired: bool) -> None:
    """Apply a kind of mutation, alone or with another one, to the first set of a shuffled list that it fits."""
    chance = random.Random(f"{kind} {number} {paired}")
    titles = chance.sample(sorted(lab_sets()), len(lab_sets()))
    kinds = chance.sample([kind, chance.choice(sorted(KINDS))], 2) if paired else [kind]
    for title in titles:
        with tempfile.TemporaryDirectory() as folder:
            case = try_out(title, kinds, number, Path(folder))
        if case is not None:
            assert case.found == [], (title, kinds, number, case.said)
            return


def tries(count: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        found = settings(max_examples=count, deadline=None, database=None, phases=[Phase.generate], derandomize=True)
        return found(given(number=st.integers(0, 1 << 30))(test))

    return decorate


@pytest.mark.parametrize(
    ("title", "first", "second", "number"),
    [
        ("certadm crashed", "add another history in a folder", "ask for committed logs that are not here", 53120066),
        ("ntdsbcli shut down", "put the later logs of another history in place", "drop the highest closed log", 703),
        ("certadm lagged", "bring the database of an earlier time", "ask for committed logs that are not here", 10138),
        ("edbbcli crashed, busy", "add another history in a folder", "keep every second log", 16975),
        ("ntdsbcli lagged", "drop the current log", "add another history in a folder", 1004286044),
        ("edbbcli crashed, busy", "copy a log under another name", "flip a bit in a log", 939476612),
        ("certadm streamed", "nothing", "keep an older copy of a database under another name", 478009267),
        ("certadm lagged", "zero the end of a log", "drop a database", 973706),
        ("edbbcli crashed, busy", "nothing", "keep the logs of a later backup in a folder", 0),
        (
            "ntdsbcli shut down",
            "damage a log that is whole under another name",
            "bring one database of an earlier shutdown",
            1000,
        ),
        ("certadm streamed", "nothing", "exchange the names of two databases", 0),
        ("edbbcli streamed", "nothing", "damage a database that is whole under another name", 0),
        ("certadm shut down", "nothing", "put a page of another database in place", 2),
        ("edbbcli shut down", "nothing", "put a page of another database in place", 196921),
        ("edbbcli shut down", "keep all files in a folder too", "change the page size in a header", 125),
        ("ntdsbcli shut down", "shut down in another log", "write a few bytes at the end of the last log", 96),
        ("certadm crashed", "nothing", "zero the end of a log", 2),
        ("certadm crashed", "zero the end of a log", "ask for committed logs that are not here", 131790),
        ("certadm crashed", "ask for committed logs that are not here", "zero the end of a log", 131790),
        ("certadm streamed", "drop a database", "change the checksum of the log before", 4190),
        ("certadm streamed", "change the checksum of the log before", "drop a database", 4190),
        ("certadm crashed, busy", "require the lowest log alone", "change the checksum of the log before", 1),
        (
            "ntdsbcli streamed",
            "give all logs the newer suffix",
            "put the later logs of another history in place",
            8535,
        ),
        ("certadm lagged", "repeat a block of a log", "exchange the names of two databases", 4598786),
        ("certadm crashed", "add a temporary database", "put the header of another database in place", 961550563),
        ("ntdsbcli streamed", "damage a database that is whole in a folder", "name another last log", 895831368),
        ("edbbcli shut down", "fill a page with garbage", "call a log a text", 396280269),
        (
            "ntdsbcli lagged",
            "exchange the names of two databases",
            "put the header of another database in place",
            1053651965,
        ),
        (
            "certadm lagged",
            "take the log signature away",
            "give a database a name beyond ascii",
            165154811,
        ),
        (
            "edbbcli crashed, busy",
            "put the header of another database in place",
            "name no database in a log",
            1041761379,
        ),
        ("edbbcli shut down", "keep every second log", "bring one database of an earlier shutdown", 1218),
        ("ntdsbcli shut down", "put a log of another history in place", "nothing", 101356641),
        ("certadm crashed, busy", "zero a page", "swap two blocks of a log", 1280),
        ("certadm crashed", "put an older log in the place of the current one", "cut a database between pages", 442792),
    ],
)
def test_judge_and_engine_agree_where_they_once_did_not(
    title: str, first: str, second: str, number: int, tmp_path: Path
) -> None:
    case = try_out(title, [first, second], number, tmp_path)
    assert case is not None
    assert case.found == []


@each(
    [
        ("certadm shut down", "nothing", "put a block of another log in place", 1981145),
        ("edbbcli crashed", "keep the logs of a later backup in a folder", "give all logs the newer suffix", 140240),
        ("ntdsbcli shut down", "swap two blocks of a log", "lose the end of a log that is whole in a folder", 1339),
        ("certadm crashed", "nothing", "leave lives that rise behind the end of a log", 0),
        ("certadm crashed", "nothing", "put the header of another database in place", 1),
        ("certadm crashed", "exchange the names of two databases", "put the header of another database in place", 1),
        (
            "certadm streamed",
            "keep an older copy of a database under another name",
            "put the header of another database in place",
            1,
        ),
    ]
)
def test_judge_and_engine_agree_on_what_came_from_elsewhere(title: str, first: str, second: str, number: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        case = try_out(title, [first, second], number, Path(folder))
    assert case is not None
    assert case.found == []
    assert not (case.blind and first == "nothing")


@pytest.mark.parametrize("kind", sampled(KINDS, lambda kind: sorted(KINDS).index(kind) % 8 == 0))
@tries(1)
def test_judge_and_engine_agree_on_a_mutated_set(kind: str, number: int) -> None:
    hold(kind, number, paired=False)


@pytest.mark.torture
@pytest.mark.parametrize("paired", [False, True], ids=["alone", "paired"])
@pytest.mark.parametrize("kind", KINDS)
@tries(24)
def test_judge_and_engine_agree_on_every_mutation(kind: str, number: int, *, paired: bool) -> None:
    hold(kind, number, paired=paired)


def test_there_are_kinds_enough_and_each_exception_names_one() -> None:
    assert len(KINDS) >= 180
    assert BLIND.keys() | HARMLESS.keys() <= set(KINDS)
    assert all((*BLIND.values(), *CAUTIONS.values(), *HARMLESS.values()))
