"""Facts that an archive keeps are those that its content gives: in the verdict, in the plan and in a chain."""

from __future__ import annotations

import gc
import json
import re
import weakref
from base64 import b64encode
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backup_files import database_file, log_file
from command_line import done, tokar
from hypothesis import given
from hypothesis import strategies as st
from recovery_sets import DATABASE, PAGE_SIZE, database, dirty, flip, logs, streaming, write
from small_sets import checkpoint, flush_map
from sweeps import examples

import tokar as library
from tokar.check.ladder import CheckRequest, check
from tokar.check.report import RungState
from tokar.ese.content_facts import LogFault, LogReport, PageFault, PageReport
from tokar.ese.inspect import Inspection, PassingFile, inspect_file
from tokar.ese.page import PageHeader, seal_page
from tokar.format.archive import Archive
from tokar.lab.lab import create_lab
from tokar.lab.server import SimulatedServer
from tokar.replay.chains import with_chains
from tokar.replay.files import open_in
from tokar.server.contract import BackupKind
from tokar.server.prior import load_prior
from tokar.server.run_backup import run_backup
from tokar.sets.facts import MOST_OFF, AttachedDatabase, ChainFacts, DatabaseFacts, OffChain
from tokar.sets.judge import judge_set
from tokar.sets.read import facts_of_archive
from tokar.sets.recorded import Fact, FactWriter, RecordedFacts
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokar.format.entry_reader import EntrySource
    from tokar.format.index import Entry
    from tokar.sets.facts import SetFacts

LOG = "edb00006.log"
CRASHED = {DATABASE: bytes(dirty(5, 7)), **logs(5, 8)}


LINKED = seal_page(PageHeader(next_page=9, object_id=3).pack().ljust(PAGE_SIZE, b"\0"), 3)


def page_bits(data: bytes) -> bytes:
    """Page 2 with two flipped bits."""
    return flip(flip(data, 3 * PAGE_SIZE + 99), 3 * PAGE_SIZE + 2000, 3)


def swapped(data: bytes) -> bytes:
    """Pages 2 and 3, each in the place of the other."""
    first, second, end = 3 * PAGE_SIZE, 4 * PAGE_SIZE, 5 * PAGE_SIZE
    return data[:first] + data[second:end] + data[first:second] + data[end:]


SETS = {
    "whole": CRASHED,
    "a damaged page": {**CRASHED, DATABASE: page_bits(CRASHED[DATABASE])},
    "a bit that the engine corrects": {**CRASHED, DATABASE: flip(CRASHED[DATABASE], 3 * PAGE_SIZE + 99)},
    "swapped pages": {**CRASHED, DATABASE: swapped(CRASHED[DATABASE])},
    "blank pages": {**CRASHED, DATABASE: CRASHED[DATABASE][: 2 * PAGE_SIZE] + bytes(4 * PAGE_SIZE)},
    "a damaged segment": {**CRASHED, LOG: flip(flip(CRASHED[LOG], 5000), 5001, 3)},
    "a torn log": {**CRASHED, LOG: CRASHED[LOG][:13000] + bytes(len(CRASHED[LOG]) - 13000)},
    "an emptied log": {**CRASHED, LOG: CRASHED[LOG][:4096].ljust(len(CRASHED[LOG]), b"\0")},
    "an altered log": {**CRASHED, LOG: CRASHED[LOG][: 3 * 4096].ljust(len(CRASHED[LOG]), b"\0")},
    "a streaming backup": {DATABASE: bytes(streaming(5, 7)), **logs(5, 7), "main.pat": b""},
    "a half of a clean database": {DATABASE: bytes(database(2)) + LINKED},
}


def archive_of(folder: Path, name: str, *options: str) -> Path:
    path = folder / "set.tokar"
    done("create", "-q", path, write(folder / "set", SETS[name]), *options)
    return path


def facts_of(path: Path, *, examine: bool = False) -> SetFacts:
    """The facts that the archive keeps, or those of its content, with the pages that could be followed."""
    with Archive(path) as archive:
        if not examine:
            return facts_of_archive(archive, recorded=RecordedFacts(archive))
        return with_chains(facts_of_archive(archive, examine=True), open_in(archive))


def fact_bodies(path: Path) -> list[bytes]:
    with Archive(path) as archive:
        return [*archive.extras(b"fact")]


class Bodies:
    """Stands for an archive that keeps these records."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies = bodies

    def extras(self, kind: bytes) -> tuple[bytes, ...]:
        assert kind == b"fact"
        return self.bodies


class Written:
    """Stands for the writer of an archive."""

    key = None

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def add_extra(self, kind: bytes, body: bytes) -> None:
        assert kind == b"fact"
        assert len(body) <= 1 << 20
        self.bodies.append(body)


def recorded(*bodies: bytes) -> RecordedFacts:
    return RecordedFacts(Bodies(*bodies))  # type: ignore[arg-type]


def body(*facts: Mapping[str, Any], version: int = 7) -> bytes:
    value = {"facts": facts, "facts_version": version}
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def passed(data: bytes) -> Inspection:
    passing = PassingFile(len(data))
    for start in range(0, len(data), 1 << 16):
        passing(memoryview(data)[start : start + (1 << 16)])
    return passing.finish()


def kept(*seen: Inspection) -> RecordedFacts:
    """What an archive keeps of files."""
    written = Written()
    writer = FactWriter(written)  # type: ignore[arg-type]
    for number, one in enumerate(seen):
        writer.add(number, one)
    writer.flush()
    return recorded(*written.bodies)


@pytest.mark.parametrize("name", SETS)
def test_what_the_archive_keeps_is_what_its_content_gives(tmp_path: Path, name: str) -> None:
    path = archive_of(tmp_path, name)
    stored, derived = facts_of(path), facts_of(path, examine=True)
    assert (stored.examined, derived.examined) == (False, True)
    assert replace(stored, examined=True) == derived
    assert judge_set(stored).faults == judge_set(derived).faults


@pytest.mark.parametrize("profile", ["edbbcli", "ntdsbcli", "certadm"])
def test_what_a_backup_keeps_is_what_its_content_gives(tmp_path: Path, profile: str) -> None:
    lab = create_lab(tmp_path / "lab", profile)
    lab.start()
    lab.work(30)
    path = run_backup(SimulatedServer(lab), tmp_path / "full.tokar", BackupKind.FULL).path
    stored = facts_of(path)
    assert stored.databases
    assert stored.logs
    assert replace(stored, examined=True) == facts_of(path, examine=True)
    with Archive(path) as archive:
        numbers = set(RecordedFacts(archive).numbers())
    assert {one.number for one in (*stored.databases, *stored.logs)} <= numbers


def test_what_is_salvaged_keeps_the_facts_of_its_own_files(tmp_path: Path) -> None:
    path = archive_of(tmp_path, "a torn log")
    with Archive(path) as archive:
        lost = archive.find(DATABASE)
    data = bytearray(path.read_bytes())
    data[lost.file_position + 400] ^= 1
    path.write_bytes(data)
    assert tokar("salvage", path, tmp_path / "rest.tokar").exit_code == 8
    stored = facts_of(tmp_path / "rest.tokar")
    assert (stored.databases, len(stored.logs)) == ((), 4)
    assert replace(stored, examined=True) == facts_of(tmp_path / "rest.tokar", examine=True)


@pytest.mark.samples
@pytest.mark.parametrize(
    "name", ["dissect", "dhcp-streaming-backup-redacted", "xp64-catroot2", "win10-srum-belkasoft-dirty", "ntds-temp"]
)
def test_what_an_archive_keeps_of_real_files_is_what_they_give(tmp_path: Path, samples: Path, name: str) -> None:
    path = tmp_path / "set.tokar"
    done("create", "-q", "--all", path, samples / name)
    assert replace(facts_of(path), examined=True) == facts_of(path, examine=True)
    assert check([path], CheckRequest(content=True)).archives[0].rungs[3].findings == (
        check([path], CheckRequest()).archives[0].rungs[3].findings
    )


@examples(150)
@given(
    data=st.sampled_from(
        [
            database_file(5, 7, pages=6),
            bytes(streaming(5, 7)),
            log_file(5),
            checkpoint(),
            flush_map(),
            bytes(9000),
            bytes(1 << 17) + b"x",
        ]
    ),
    change=st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 30_000) | st.none(),
)
def test_a_file_that_went_by_is_kept_as_one_that_is_read_again(
    data: bytes, change: list[tuple[int, int]], cut: int | None
) -> None:
    changed = bytearray(data[:cut])
    for at, value in change:
        if at < len(changed):
            changed[at] = value
    seen = passed(bytes(changed))
    again = kept(seen).seen(0, len(changed))
    assert again == (seen if Fact.of(seen) else None)
    if seen.is_sure:
        assert seen == inspect_file(BytesSource(changed), examine=True)


@pytest.mark.parametrize("name", [name for name in SETS if name not in {"whole", "a bit that the engine corrects"}])
def test_known_damage_is_in_the_check_the_plan_and_the_chain(tmp_path: Path, name: str) -> None:
    if not judge_set(facts_of(path := archive_of(tmp_path, name))).blocking:
        return
    assert check([path], CheckRequest()).exit_code == check([path], CheckRequest(content=True)).exit_code
    refused = tokar("restore", path, "--into", tmp_path / "out")
    (fault, *_) = judge_set(facts_of(path)).faults
    assert (refused.exit_code, fault.message in refused.stderr) == (6, True)
    assert fault.message in tokar("chain", path).stdout


def test_without_examination_nothing_is_kept(tmp_path: Path) -> None:
    path = archive_of(tmp_path, "a damaged page", "--no-examine")
    assert fact_bodies(path) == []
    assert facts_of(path).databases[0].pages is None


def test_check_chain_and_plan_open_no_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive_of(tmp_path, "whole")
    opened: list[str] = []
    really = Archive.entry_source

    def entry_source(archive: Archive, entry: Entry) -> EntrySource:
        opened.append(entry.name)
        return really(archive, entry)

    monkeypatch.setattr(Archive, "entry_source", entry_source)
    assert check([path], CheckRequest()).exit_code == 0
    done("chain", path)
    done("restore", path, "--into", tmp_path / "out", "--dry-run")
    assert opened == []
    check([path], CheckRequest(content=True))
    assert opened  # pages are followed through the logs


def test_facts_are_in_the_order_of_the_entries_in_records_of_at_most_a_mebibyte() -> None:
    seen = passed(bytes(SETS["a damaged segment"][LOG]))
    written = Written()
    writer = FactWriter(written)  # type: ignore[arg-type]
    for number in range(3000):
        writer.add(number, seen)
    writer.flush()
    writer.flush()
    numbers = [[one["entry"] for one in json.loads(body)["facts"]] for body in written.bodies]
    assert [number for part in numbers for number in part] == [*range(3000)]
    longest = len(json.dumps(json.loads(written.bodies[0])["facts"][-1], separators=(",", ":"))) + 1
    assert all((1 << 20) - longest <= len(body) for body in written.bodies[:-1])
    assert len(written.bodies) > 1


LOG_FACT = {"entry": 0, "kind": "log", "note": "a log of an old kind", "generation": 5}


def test_a_fact_is_read() -> None:
    facts = recorded(body(LOG_FACT))
    seen = facts.seen(0, 4096)
    assert seen is not None
    assert (seen.identity.generation, seen.size, facts.passed_over, facts.seen(1, 4096)) == (5, 4096, False, None)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "strange"},
        {"kind": 7},
        {"note": None},
        {"damaged": 1},
        {"generation": "5"},
        {"generation": 1 << 31},
        {"generation": True},
        {"header": "AAAA="},
        {"header": "A" * 8000},
        {"kind": "unknown", "header": ""},
        {"kind": "database", "header": "AAAA", "copy": "first"},
        {"kind": "database", "header": b64encode(bytes(236) + b"\7").decode()},
        {"copies_valid": [True]},
        {"copies_valid": True},
        {"pages": {}},
        {"pages": {"page_size": 4096, "faults": [{"kind": "bad"}]}},
        {"pages": []},
        {"log": {"unit": "segments", "size": 1}},
        {"trailer": "%"},
    ],
    ids=str,
)
def test_what_is_malformed_is_not_looked_at(change: dict[str, Any]) -> None:
    facts = recorded(body({**LOG_FACT, **change}))
    assert facts.seen(0, 4096) is None
    assert facts.passed_over


@pytest.mark.parametrize(
    "bodies",
    [
        (b"",),
        (b"[]",),
        (body(LOG_FACT) + b" ",),
        (body(LOG_FACT, version=3),),
        (body(LOG_FACT, LOG_FACT),),
        (body(LOG_FACT), body(LOG_FACT)),
        (body({"kind": "log"}),),
    ],
    ids=["empty", "no object", "not canonical", "other version", "twice", "in two records", "of no entry"],
)
def test_records_that_are_not_in_order_are_not_looked_at(bodies: tuple[bytes, ...]) -> None:
    facts = recorded(*bodies)
    assert facts.passed_over
    assert facts.seen(0, 4096) is None


OFF = OffChain(page=7, position="(5,8,16)", text="page 7 is at 0x65, and the logs end with 0x61", code=-566)


def test_what_following_pages_found_is_kept() -> None:
    chains = {3: ChainFacts(pages=9, changes=70), 0: ChainFacts(pages=9, changes=70, off=(OFF,), off_count=1)}
    written = Written()
    writer = FactWriter(written)  # type: ignore[arg-type]
    writer.add(0, passed(bytes(SETS["whole"][LOG])))
    writer.add_chains(chains)
    facts = recorded(*written.bodies)
    assert {number: facts.chain(number) for number in range(4)} == {0: chains[0], 1: None, 2: None, 3: chains[3]}
    assert not facts.passed_over


def test_what_following_pages_found_takes_no_more_than_a_record() -> None:
    written = Written()
    chain = ChainFacts(pages=9, off=(OFF,) * MOST_OFF, off_count=99)
    FactWriter(written).add_chains(dict.fromkeys(range(1000), chain))  # type: ignore[arg-type]
    (one,) = written.bodies
    assert recorded(one).chain(0) == chain
    FactWriter(written).add_chains({})  # type: ignore[arg-type]
    assert len(written.bodies) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"pages": "many"},
        {"off": [{"page": 7}], "off_count": 1},
        {"off": [], "off_count": 1},
        {"off": [{"page": 7, "position": "", "text": ""}]},
        {"off": [{"page": 7, "position": "", "text": ""}] * 21, "off_count": 21},
        {"why_not": "no", "off": [{"page": 7, "position": "", "text": ""}], "off_count": 1},
    ],
)
def test_chains_that_are_not_in_order_are_not_looked_at(change: dict[str, Any]) -> None:
    value = {"chains": [{"entry": 0, **change}], "facts": [], "facts_version": 7}
    facts = recorded(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())
    assert (facts.chain(0), facts.passed_over) == (None, True)


def test_chains_of_a_second_record_are_not_looked_at() -> None:
    first, second = (b'{"chains":[{"entry":%d,"pages":3}],"facts":[],"facts_version":7}' % number for number in (0, 1))
    facts = recorded(first, second)
    assert (facts.chain(0), facts.chain(1), facts.passed_over) == (ChainFacts(pages=3), None, True)


def test_other_pages_off_their_chain_than_are_kept_are_other_facts() -> None:
    value = b'{"chains":[{"entry":0,"pages":3},{"entry":1,"pages":3}],"facts":[],"facts_version":7}'
    facts = recorded(value)
    off, other = ChainFacts(off=(OFF,), off_count=1), ChainFacts(why_not="no log leads to it")
    facts.compare_chains([DatabaseFacts(name="a", number=0, chain=off), DatabaseFacts(name="b", number=1, chain=other)])
    assert facts.unlike == ["a"]


def test_keys_that_are_not_known_are_ignored() -> None:
    assert recorded(body({**LOG_FACT, "later": [1]})).seen(0, 4096) == recorded(body(LOG_FACT)).seen(0, 4096)


@examples(100)
@given(
    st.dictionaries(
        st.sampled_from([field.name for field in fields(Fact)]),
        st.recursive(
            st.none() | st.booleans() | st.integers(-9, 1 << 40) | st.text(max_size=9) | st.just("log"),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["unit", "kind"]), inner),
        ),
    )
)
def test_no_fact_crashes_it(fact: dict[str, Any]) -> None:
    recorded(body({"entry": 0, **fact})).seen(0, 4096)


def archive_with(folder: Path, *bodies: bytes) -> Path:
    """An archive of the crashed set that keeps these records of facts."""
    path = folder / "set.tokar"
    with library.create(path, profile="ese") as writer:
        for name, data in CRASHED.items():
            writer.add_bytes(0x44 if name == DATABASE else 0x21, name, bytes(data))
        for one in bodies:
            writer.add_extra(b"fact", one)
    return path


def test_facts_of_another_version_are_derived_anew(tmp_path: Path) -> None:
    kept_of_it, _ = fact_bodies(archive_of(tmp_path, "a damaged page"))
    (tmp_path / "other").mkdir()
    path = archive_with(tmp_path / "other", kept_of_it.replace(b'"facts_version":7', b'"facts_version":2'))
    assert facts_of(path).databases[0].pages is None
    consistent = check([path], CheckRequest()).archives[0].rungs[3]
    assert consistent.findings == ()
    assert "--content derives them" in consistent.not_looked_at[0]


def test_content_wins_over_other_facts_and_check_says_so(tmp_path: Path) -> None:
    lie, _ = fact_bodies(archive_of(tmp_path, "a damaged page"))
    (tmp_path / "other").mkdir()
    path = archive_with(tmp_path / "other", lie)
    assert check([path], CheckRequest()).archives[0].rungs[3].findings[0].kind == "pages-damaged"
    (found,) = check([path], CheckRequest(content=True)).archives
    assert [one.kind for one in found.rungs[3].findings] == ["facts-differ"]
    assert found.rungs[3].state is RungState.FAILED
    assert found.verdict is not None
    assert found.verdict.faults == ()


def test_a_backup_goes_on_from_the_content_of_the_prior_set_not_from_its_facts(tmp_path: Path) -> None:
    path = archive_with(tmp_path, body({"entry": 4, "kind": "log", "generation": 99}))
    assert facts_of(path).logs[-1].generation == 99
    assert load_prior(path).log.generation == 8


def test_the_registry_names_every_key() -> None:
    page = Path(__file__).parents[2] / "spec" / "registry.md"
    section = page.read_text(encoding="utf-8").partition("## 3. Facts")[2]
    tables = re.split(r"^### ", section, flags=re.MULTILINE)[1:]
    rows = [re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]+) \|", table, re.MULTILINE) for table in tables]
    tables_of = (
        (Fact,),
        (PageReport,),
        (LogReport,),
        (PageFault, LogFault),
        (ChainFacts,),
        (OffChain,),
        (AttachedDatabase,),
    )
    for keys, kinds in zip(rows, tables_of, strict=True):
        found = {field.name: field.default for kind in kinds for field in fields(kind)}
        assert dict(keys).keys() == found.keys()
        assert {name for name, default in keys if default == "required"} == {
            name for name, default in found.items() if default is MISSING
        }


def test_facts_let_go_of_the_archive_that_they_come_from(tmp_path: Path) -> None:
    path = archive_of(tmp_path, "whole")
    gc.disable()  # nothing but the last name of it may hold it
    try:
        with Archive(path) as archive:
            held = weakref.ref(archive)
            facts_of_archive(archive, recorded=RecordedFacts(archive))
        del archive
        assert held() is None
    finally:
        gc.enable()
