"""Every real file against MANIFEST.md, which an independent parser wrote."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from ese_files import check_log, check_pages
from ese_manifest import Sample, read_manifest
from recovery_sets import log_facts

from conftest import samples_folder
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader
from tokar.ese.flushmap import FlushMap
from tokar.ese.identify import HEAD_SIZE, FileKind, Identity, identify, looks_like_ese
from tokar.ese.log import LogHeader
from tokar.ese.pages import why_not_verified
from tokar.sets.links import Link, LinkFault, LinkProof, link
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from tokar.ese.values import LogPosition, LogTime, Signature

pytestmark = pytest.mark.samples

FOLDER = samples_folder()
ALL = read_manifest(FOLDER) if FOLDER else []
MISSING = pytest.param(Sample("none", 0, ""), marks=pytest.mark.skip(reason="the real ESE samples are not here"))


def of_kind(kind: str) -> list[object]:
    return [pytest.param(sample, id=sample.path) for sample in ALL if sample.kind == kind] or [MISSING]


def position(value: LogPosition) -> str:
    return str(value)


def moment(time: LogTime) -> str:
    """As the manifest writes it: Z for UTC, L for local."""
    if not time.is_set:
        return "no time"
    return time.iso() if time.is_utc else time.iso() + "L"


def signature(value: Signature) -> str:
    return f"{value.random:08x} / {moment(value.created)}"


def identified(samples: Path, sample: Sample) -> Identity:
    with FileSource(samples / sample.path) as source:
        assert source.size == sample.size
        assert looks_like_ese(source.read(0, HEAD_SIZE), source.size)
        return identify(source)


def test_the_manifest_lists_all_fifty_files(samples: Path) -> None:
    listed = {sample.path for sample in ALL}
    found = {path.relative_to(samples).as_posix() for path in samples.rglob("*") if path.is_file()} - {"MANIFEST.md"}
    assert listed == found
    assert len(listed) == 50


@pytest.mark.parametrize("sample", of_kind("database"))
def test_database_headers_equal_the_manifest(samples: Path, sample: Sample) -> None:
    identity = identified(samples, sample)
    header = identity.header
    assert isinstance(header, DatabaseHeader)
    temporary = sample.path == "ntds-temp/temp.edb"
    assert identity.kind is (FileKind.TEMPORARY_DATABASE if temporary else FileKind.DATABASE)

    assert sample.find(r"page size (\d+)") == (str(header.page_size),)
    version, revision, minor = sample.find(r"format 0x(\w+) revision (\d+) \(0x\w+\)(?:, minor (\d+))?;")
    assert (int(version, 16), int(revision), int(minor or 0)) == (
        header.version,
        header.revision,
        header.minor_revision,
    )
    assert sample.find(r"state (\w+);") == (header.state_name.replace(" ", ""),)
    assert sample.find(r"log required (\d+)-(\d+) \(\w+-\w+\), committed (\d+);") == (
        str(header.required_low),
        str(header.required_high),
        str(header.committed_high),
    )
    assert sample.find(r"consistent (\(\w+,\w+,\w+\)); attach (\(\w+,\w+,\w+\));") == (
        position(header.consistent_position),
        position(header.attach_position),
    )
    assert sample.find(r"db signature ([^;]+); log signature ([^;]+);") == (
        signature(header.signature),
        signature(header.log_signature),
    )
    assert sample.find(r"OS (\d+)\.(\d+)\.(\d+);") == (
        str(header.os_major),
        str(header.os_minor),
        str(header.os_build),
    )
    with FileSource(samples / sample.path) as source:
        assert DatabaseHeader.read(source).identical is ("header copies identical" in sample.text)


@pytest.mark.parametrize("sample", of_kind("database"))
def test_page_counts_equal_the_manifest(samples: Path, sample: Sample) -> None:
    with FileSource(samples / sample.path) as source:
        header = DatabaseHeader.read(source).header
        report = check_pages(source, header)
    pages, empty, old_ok, old, ecc_ok, ecc = map(
        int, sample.find(r"pages (\d+): (\d+) zero, (\d+)/(\d+) old-XOR verify, (\d+)/(\d+) ECC verify")
    )
    assert (report.pages, report.empty) == (pages, empty)
    assert header.page_count(sample.size) == pages
    if why_not_verified(header):
        assert (old_ok, ecc_ok) == (0, 0)
        return
    assert (report.old_ok, report.ecc_ok) == (old_ok, ecc_ok)
    assert (report.bad, report.correctable) == (old - old_ok + ecc - ecc_ok, 0)
    assert report.headers_valid == (True, True)


@pytest.mark.parametrize("sample", of_kind("log"))
def test_log_headers_equal_the_manifest(samples: Path, sample: Sample) -> None:
    identity = identified(samples, sample)
    header = identity.header
    assert isinstance(header, LogHeader)
    assert identity.kind is FileKind.LOG

    generation, hexadecimal = sample.find(r"log gen (\d+) \(0x(\w+)\)")
    assert int(generation) == int(hexadecimal, 16) == header.generation == identity.generation
    assert sample.find(r"format ([\d.]+);") == (header.format,)
    assert sample.find(r"sector (\d+) x (\d+);") == (str(header.sector_size), str(header.sectors))
    assert sample.find(r"created ([^;]+); prev ([^;]+); log signature ([^;]+);") == (
        moment(header.created),
        moment(header.previous_created),
        signature(header.signature),
    )
    assert sample.find(r"db page size (\d+);") == (str(header.page_size),)
    (attached,) = sample.find(r"attached: (.+)$")
    described = [f"dbid {attachment.dbid} {attachment.path}" for attachment in header.attachments]
    assert attached == ("; ".join(described) or "none")
    assert header.file_size == sample.size


@pytest.mark.parametrize("sample", of_kind("log"))
def test_log_contents_equal_the_manifest(samples: Path, sample: Sample) -> None:
    with FileSource(samples / sample.path) as source:
        report = check_log(source)
    assert report.is_good
    if report.unit == "ranges":
        assert sample.find(r"checksum-record chain: (\d+)/(\d+) regions verify") == (
            str(report.valid),
            str(report.valid + report.bad),
        )
        return
    counts = sample.find(r"segments: (\d+) valid, (\d+) shadow, (\d+) stale, (\d+) zero, (\d+) bad")
    assert tuple(map(int, counts)) == (report.valid, report.shadow, report.stale, report.empty, report.bad)


@pytest.mark.parametrize("sample", of_kind("checkpoint"))
def test_checkpoints_equal_the_manifest(samples: Path, sample: Sample) -> None:
    identity = identified(samples, sample)
    header = identity.header
    assert isinstance(header, Checkpoint)
    assert identity.kind is FileKind.CHECKPOINT
    assert sample.find(r"checkpoint (\(\w+,\w+,\w+\)); consistency (\(\w+,\w+,\w+\)); log signature ([^;]+);") == (
        position(header.checkpoint),
        position(header.consistency),
        signature(header.signature),
    )
    assert sample.find(r"filetype (\d+)") == (str(header.file_type),)
    assert header.attachments == ()
    with FileSource(samples / sample.path) as source:
        assert Checkpoint.read(source).valid == (True, True)


@pytest.mark.parametrize("sample", of_kind("flush map"))
def test_flush_maps_equal_the_manifest(samples: Path, sample: Sample) -> None:
    identity = identified(samples, sample)
    assert isinstance(identity.header, FlushMap)
    assert sample.find(r"FM version (\d+); flags (\d+)") == (str(identity.header.major), str(identity.header.flags))


@pytest.mark.parametrize("sample", [*of_kind("all zero bytes"), *of_kind("no valid log header")])
def test_reserve_logs_are_recognised(samples: Path, sample: Sample) -> None:
    assert identified(samples, sample).kind is FileKind.RESERVE


@pytest.mark.parametrize(
    "sample", [*of_kind("database"), *of_kind("log"), *of_kind("checkpoint"), *of_kind("flush map")]
)
def test_every_real_header_is_built_again_byte_for_byte(samples: Path, sample: Sample) -> None:
    header = identified(samples, sample).header
    assert header is not None
    built = header.build()
    assert (samples / sample.path).read_bytes()[: len(built)] == built


def test_the_streaming_backup_has_its_trailer(samples: Path) -> None:
    with FileSource(samples / "dhcp-streaming-backup-redacted/dhcp.mdb") as source:
        report = check_pages(source)
    assert report.trailer is not None
    backup = report.trailer.backup
    assert (position(backup.mark), moment(backup.time)) == ("(1E2EC,2,717)", "2023-10-31 02:59:33.862Z")
    assert (backup.generation_low, backup.generation_high) == (123620, 123628)
    assert report.is_good


@pytest.mark.parametrize(
    ("folder", "proof", "links"),
    [
        ("win10-srum-rathbun", LinkProof.CONTENT, 6),
        ("win10-srum-belkasoft-dirty", LinkProof.CONTENT, 4),
        ("xp64-catroot2", LinkProof.TIMES, 2),
    ],
)
def test_consecutive_logs_of_a_set_are_linked(samples: Path, folder: str, proof: LinkProof, links: int) -> None:
    found = links_in(samples, folder)
    assert [item.fault for item in found] == [None] * links
    assert [item.proof for item in found] == [proof] * links


def test_a_blank_log_ends_before_the_checkpoint_in_the_next_one(samples: Path) -> None:
    found = links_in(samples, "dhcp-streaming-backup-redacted")
    assert [item.fault for item in found] == [LinkFault.CONTENT, *[None] * 7]
    assert {item.proof for item in found[1:]} == {LinkProof.TIMES}


def links_in(samples: Path, folder: str) -> list[Link]:
    """Return how each log of a sample goes together with the next one."""
    logs = []
    for sample in ALL:
        if sample.kind == "log" and Path(sample.path).parent.name == folder:
            with FileSource(samples / sample.path) as source:
                logs.append(log_facts(source))
    logs.sort(key=lambda log: log.generation or 0)
    return [link(earlier, later) for earlier, later in itertools.pairwise(logs)]


def test_a_log_of_another_instance_does_not_continue_a_set(samples: Path) -> None:
    with FileSource(samples / "win10-srum-rathbun/SRU00008.log") as one:
        earlier = log_facts(one)
    with FileSource(samples / "win10-srum-belkasoft-dirty/SRU.log") as other:
        later = log_facts(other)
    assert link(earlier, later).fault is LinkFault.GENERATION
