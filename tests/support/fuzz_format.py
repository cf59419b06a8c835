"""Fuzz targets of archives: their records, what their metadata says, signatures and keys, and archives as a whole."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Final, cast

from blake3 import blake3
from command_line import tokar
from fixtures.cases_encryption import BY_WORDS, FOR_SSH, IDENTITY, RECIPIENTS, SSH_IDENTITY
from fixtures.cases_signed import ALICE
from fixtures.expect import FOLDER, Expectation
from fixtures.expect import names as fixture_names
from fixtures.forge import ARCHIVE_ID
from fixtures.mutations import join, split
from fixtures.readers import from_the_front, from_the_tail
from format_tools import written
from fuzz_tools import Target, file, flagged, folder, stand_in
from salvage_tools import rescued, whole_archive
from small_sets import database, log

from tokar.errors import ArchiveError
from tokar.format import bodies, canonical_json, metadata, records, zstd_frame
from tokar.format.archive import Archive
from tokar.format.bodies import Codec, Preamble
from tokar.format.compression import decode_content
from tokar.format.encryption import Encryption
from tokar.format.index import IndexPage
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import BadSignatureError, dearmored, parse_signature
from tokar.salvage.damage import map_damage
from tokar.salvage.find import RecordReader
from tokar.salvage.losses import LostRanges
from tokar.salvage.rebuild import assess
from tokar.sets.recorded import RecordedFacts
from tokar.storage.bytesource import BytesSource
from tokar.trust import passphrase, recipients, signatures, ssh_keygen
from tokar.trust.agefile import recipient_kinds
from tokar.trust.recipients import Identities, Recipients
from tokar.trust.signatures import AllowedSigners, FoundSignature, Where, found_signatures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LARGEST: Final = 8192  # bytes of a fixture that is taken
_SMALL: Final = 1600  # bytes that hold an archive of an entry or two
_FEW: Final = 1000  # bytes that hold the bodies of one
_SLOW: Final = {"good-zeros-largest-chunk"}  # 16 MiB of zeros, again and again

# --- records ----------------------------------------------------------------------------------------------------------

_BODIES: Final[tuple[Callable[[bytes], object], ...]] = (
    bodies.Preamble.parse,
    lambda body: records.parse_head(body[:64].ljust(64, b"\0"), body[:8], 32),
    lambda body: bodies.FileRecord.parse(body, entry=0, position=0),
    lambda body: bodies.parse_data(body, entry=0, chunk=0, chunk_size=1 << 16, position=0),
    lambda body: bodies.DoneRecord.parse(body, entry=0, position=0),
    lambda body: bodies.Root.parse(body, position=0),
    lambda body: bodies.Tail.parse(body, position=0),
)
_METADATA: Final[tuple[Callable[[bytes], object], ...]] = (
    lambda body: metadata.Head.parse(body, position=0),
    lambda body: metadata.Summary.parse(body, position=0),
    lambda body: metadata.parse_calls(body, position=0),
    metadata.parse_facts,
)


def _all_of(parsers: Sequence[Callable[[bytes], object]], data: bytes) -> None:
    """Every parser gets the same bytes."""
    for parser in parsers:
        # readers look at the size of a body before they parse it
        with suppress(ArchiveError, struct.error):
            parser(data)


def _parts(*kinds: bytes) -> Iterator[bytes]:
    for data in (whole_archive(), engine_archive()):
        yield from (bytes(part.body) for part in split(data) if part.kind in kinds)


@cache
def engine_archive() -> bytes:
    """An archive with facts."""
    path = folder() / "engine.tokar"
    for name, data in (("db.edb", database()), ("edb00001.log", log(1))):
        file(name, data)
    tokar("create", "-q", "--force", path, *(f"{folder()}/{name}" for name in ("db.edb", "edb00001.log")))
    return path.read_bytes()


def _bodies_seeds() -> list[bytes]:
    found = [whole_archive()[:32], whole_archive()[32:96]]
    for kind in (records.FILE, records.DATA, records.DONE, records.ROOT, records.TAIL):
        found += [body[:512] for body in _parts(kind) if kind != records.DATA or len(body) < 512]
    return found


def _metadata_seeds() -> list[bytes]:
    return list(_parts(records.HEAD, records.SUMM, records.PROC, records.FACT))


def _metadata(data: bytes) -> None:
    """Every parser of JSON in archives: it is decoded once, and the value given to each."""
    value = canonical_json.decode(data, position=0)
    with stand_in(canonical_json, decode=lambda *_, **__: value):
        _all_of(_METADATA, data)


def _index(data: bytes) -> None:
    if len(data) >= 8:
        page = IndexPage.parse(data, first=int.from_bytes(data[:4], "little"), position=0)
        found = [page.entry(page.first + number) for number in range(len(page))]
        assert page.build() == data
        assert len(set(page.unique())) <= len(found)
        for one in found:
            assert one.name
            assert one.leaf != ".."


def _zstd(data: bytes) -> None:
    size = int.from_bytes(data[:3], "little")
    record = bodies.DataRecord(0, 0, size, Codec.ZSTD)
    content = decode_content(record, data[3:] + bytes(bodies.DATA_PACKER.size), position=0)
    assert content is not None
    assert len(memoryview(content)) == size


def _zstd_seeds() -> list[bytes]:
    contents = [bytes(70_000), b"ab" * 3000, bytes(range(256)) * 40]
    return [len(one).to_bytes(3, "little") + zstd_frame.compress(one, 3) for one in contents]


def _facts(data: bytes) -> None:
    """Facts in an archive whose one record of them is these bytes."""
    recorded = RecordedFacts(cast("Archive", SimpleNamespace(extras=lambda _kind: [data])))
    for number in list(recorded.numbers()):
        recorded.seen(number, 1 << 20)
        recorded.chain(number)


# --- archives ---------------------------------------------------------------------------------------------------------


def _agreed(data: bytes) -> None:
    """Both readers give one answer, and a typed one."""
    front, tail = from_the_front(data), from_the_tail(data)
    assert (front.answer == "sealed") == (tail.answer == "sealed"), (front, tail)
    if front.answer == "sealed":
        assert front.entries == tail.entries
    else:
        assert front.rule is not None
        assert front.position is not None


def _archive(data: bytes) -> None:
    """The readers agree, as it is and with every check put right, and when content is not decoded."""
    for one in (data, join(data[:32], split(data), derive=True) if len(data) > 32 else data):
        _agreed(one)
        front, quick = from_the_front(one), from_the_front(one, decode=False)
        assert quick.answer == front.answer or front.rule in {"DONE-5", "DATA-6", "ENC-3"}, (quick, front)


@cache
def _archive_seeds() -> list[bytes]:
    """All fixtures that are small, and an archive with a chunk that is compressed."""
    found = [Expectation.load(name).data for name in fixture_names() if name not in _SLOW]
    made = written((0x44, b"a", b"abc"), (0x21, b"b", bytes(70_000)))
    return [*(data for data in found if len(data) <= _LARGEST), made]


def _small_seeds() -> list[bytes]:
    return [one for one in _archive_seeds() if len(one) <= _SMALL]


def _salvage(data: bytes) -> None:
    flag, archive = flagged(data)
    if flag & 1 and len(archive) > 32:
        archive = join(archive[:32], split(archive), derive=bool(flag & 2))
    rescued(archive, partial=bool(flag & 4))


def _salvage_seeds() -> list[bytes]:
    whole = whole_archive()
    damaged = [whole[:at] + b"\xff" + whole[at + 1 :] for at in (10, 50, 2000, len(whole) // 2, len(whole) - 20)]
    encrypted = [Expectation.load(name).data[:-1] for name in ("head-1-encrypted", "enc-2-falling")]
    return [bytes([flag]) + one[:_LARGEST] for flag in (0, 4) for one in (*damaged, *encrypted, _archive_seeds()[-1])]


def _damage(data: bytes) -> None:
    """Records with right heads, found again wherever they stand: what is left of an archive, without writing it.

    The first byte says whether the preamble is there. A record is a byte of its kind, one of how far it was moved and
    what is wrong with it, two of the length of its body, and the body.
    """
    flag, rest = flagged(data)
    out = bytearray(Preamble(ARCHIVE_ID).build() if flag & 1 else b"")
    while len(rest) >= 4 and len(out) < 1 << 16:
        kind, moved, size = _RECORD_KINDS[rest[0] % len(_RECORD_KINDS)], rest[1], rest[2] | rest[3] << 8
        body, rest = rest[4 : 4 + size], rest[4 + size :]
        position = max(len(out) + (moved & 15) * 64 - 128 * (moved >> 4 & 3), 0)
        start = struct.pack("<4sI8sQ", kind, len(body), ARCHIVE_ID[:8], position)
        head = start + blake3(body + start).digest() + bytes(4)
        out += head + zlib.crc32(head).to_bytes(4, "little") + (body[:-1] + b"!" if moved & 64 else body)
        out += bytes(moved >> 7)
    source = BytesSource(bytes(out + rest))
    found = map_damage(source)
    reader = RecordReader(source, found.tag, encrypted=found.head is not None and found.head.encryption is not None)
    assess(found, reader)
    assert all(one.what for one in LostRanges(found))  # sizes below zero cannot be kept


_RECORD_KINDS: Final = (
    *(records.HEAD, records.FILE, records.DATA, records.DONE, records.PROC, records.INDX),
    *(records.SUMM, records.ROOT, records.TAIL, records.FACT, b"note", b"PLUS"),
)


def _damage_seeds() -> list[bytes]:
    """Archives as the target reads them: whole, with a record moved, and without the first ones."""
    found: list[bytes] = []
    for archive in [one for one in _archive_seeds() if len(one) <= 2000][:60]:
        parts = [one for one in split(archive) if one.kind in _RECORD_KINDS]
        made = [struct.pack("<BBH", _RECORD_KINDS.index(one.kind), 0, len(one.body)) + one.body for one in parts]
        found += [b"\1" + b"".join(made), b"\0" + b"".join(made[1:]), b"\1" + b"".join([*made[1:], *made[:1]])]
    return [one for one in found if len(one) <= _FEW]


# --- signatures and keys ----------------------------------------------------------------------------------------------


def _taken_apart(blob: bytes) -> None:
    """A signature: what is taken is written again as it was."""
    made = parse_signature(blob)
    assert (made.blob, [*dearmored(made.armored.encode())]) == (blob, [blob])
    assert str(made).isprintable()
    assert json.dumps(made.to_json())


def _signature(data: bytes) -> None:
    with suppress(BadSignatureError):
        _taken_apart(data)
    found = found_signatures([TrailingRecord(records.SIGN, data)])
    assert [one.where for one in found] == ["embedded"]
    assert all(one.signature or one.damage for one in found)


def _armored(data: bytes) -> None:
    """A file of signatures beside an archive; `signatures` takes single ones apart."""
    with stand_in(signatures, read_start=lambda _path, size: data[:size], os=_THERE):
        found = [*signatures._beside("list")]
    assert json.dumps([one.to_json() for one in found])


_THERE: Final = SimpleNamespace(path=SimpleNamespace(exists=lambda _path: True))


def _armored_seeds() -> list[bytes]:
    return [parse_signature(ALICE).armored.encode() * 2]


def _signers(data: bytes) -> None:
    """A list of those who may sign, and the same as a list of keys that may not any more; ssh-keygen knows nobody."""

    def start(_path: object, size: int) -> bytes:
        return data[:size]

    answers = {"why_not_by": lambda *_: "no", "why_not_right": lambda *_: "", "principals_of": lambda *_: []}
    with stand_in(signatures, read_whole=start), stand_in(ssh_keygen, find_program=lambda: "", **answers):
        with suppress(ArchiveError):
            signatures._demand_revoking(Path("list"))
        allowed = AllowedSigners(Path("list"))
        for found in _by_alice():
            verdict, _ = allowed.judge(bytes(32), found)
            assert verdict is not signatures.SignedVerdict.ALLOWED


@cache
def _by_alice() -> list[FoundSignature]:
    return [FoundSignature(Where.EMBEDDED, parse_signature(ALICE))]


def _signers_seeds() -> list[bytes]:
    key = parse_signature(ALICE).public_key_text
    more = f'# no\n"a b,*@c" valid-after="2020",namespaces="tokar" ssh-ed25519 {key} remark\n!x cert-authority {key}\n'
    return [(FOLDER / "signers" / "allowed").read_bytes(), more.encode()]


def _age_file(data: bytes) -> None:
    """The header of an age file, and one that a passphrase opens; the work of it is left out."""
    with stand_in(passphrase, _stretched=lambda _words, _salt, work: bytes([work]) * 32):
        passphrase.open_with_passphrase(data, "words")
    assert all(kind.isprintable() for kind in recipient_kinds(data))


def _wrapped() -> list[bytes]:
    return [base64.b64decode(text) for text in (RECIPIENTS, BY_WORDS, FOR_SSH)]


def _key_ring(data: bytes) -> None:
    """An age file that holds a key, before somebody who has an identity."""
    _ring().find(Encryption(bytes(16), {"recipients": data}), [data])


@cache
def _ring() -> Identities:
    return Identities([file("identity", IDENTITY.encode())])


def _people(data: bytes) -> None:
    """A file of recipients or identities: taken or refused, and no secret is repeated."""
    reads: Sequence[Callable[[], object]] = (
        lambda: Recipients(Recipients.lines("people")),
        lambda: Identities(["people"]),
    )
    with stand_in(recipients, open=lambda *_: io.BytesIO(data)):
        said = [_said(read) for read in reads]
    assert not any("AGE-SECRET-KEY" in one.upper() for one in said)


def _said(read: Callable[[], object]) -> str:
    try:
        read()
    except ArchiveError as error:
        return str(error)
    return ""


def _people_seeds() -> list[bytes]:
    people = ["age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj", "ssh-ed25519 AAAA x", IDENTITY]
    return [one.encode() for one in (*people, "# a remark\n", SSH_IDENTITY)]


_SALVAGE: Final = tuple(f"tokar.salvage.{name}" for name in ("find", "runs", "rebuild"))
FORMAT: Final = {
    "bodies": Target(partial(_all_of, _BODIES), _bodies_seeds, ("tokar.format.bodies", "tokar.format.records"), 512),
    "metadata": Target(
        _metadata,
        _metadata_seeds,
        ("tokar.format.metadata", "tokar.format.canonical_json", "tokar.format.encryption"),
        1000,
    ),
    "index": Target(_index, lambda: list(_parts(records.INDX)), ("tokar.format.index", "tokar.format.records"), 600),
    "zstd": Target(_zstd, _zstd_seeds, ("tokar.format.compression", "tokar.format.zstd_frame"), 1000),
    "facts": Target(_facts, lambda: list(_parts(records.FACT)), ("tokar.sets.recorded", "tokar.sets.packed"), 2000),
    "signatures": Target(_signature, lambda: [ALICE], ("tokar.format.sshsig", "tokar.trust.signatures"), 1000),
    "armor": Target(_armored, _armored_seeds, ("tokar.format.sshsig", "tokar.trust.signatures"), 1000),
    "signers": Target(_signers, _signers_seeds, ("tokar.trust.signatures",), 600),
    "age-files": Target(_age_file, _wrapped, ("tokar.trust.agefile", "tokar.trust.passphrase"), 600),
    "key-ring": Target(_key_ring, _wrapped, ("tokar.trust.recipients", "tokar.trust.agefile"), 600),
    "people": Target(_people, _people_seeds, ("tokar.trust.recipients",), 600),
    "archive": Target(_agreed, _small_seeds, ("tokar.format", "tokar.format.entry_reader"), _SMALL),
    "archive-checks": Target(_archive, _archive_seeds, ("tokar.format",), 8192, 2),
    "damage": Target(_damage, _damage_seeds, ("tokar.salvage", *_SALVAGE), _FEW),
    "salvage": Target(_salvage, _salvage_seeds, ("tokar.salvage", *_SALVAGE, "tokar.format"), 8192, 2),
}
