"""`tokar verify`: is every byte of an archive what its writer wrote?"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from tokar import names
from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import (
    AcceptUnsigned,
    Json,
    Quiet,
    Revoked,
    SignedBy,
    allowed_signers,
    demand_not_printed_into,
    named,
    open_archive,
    signature_lines,
    stream_of,
)
from tokar.cli.several import Answers
from tokar.errors import ArchiveError, ExhaustedError, InputError, IntegrityError, StorageError, hint_of
from tokar.format import records
from tokar.format.verify import VerifyReport, verify
from tokar.trust.signatures import (
    AcceptedSignature,
    AllowedSigners,
    FoundSignature,
    found_signatures,
    signatures_of,
)
from tokar.words import count_text

if TYPE_CHECKING:
    from tokar.format.encryption import Keyring

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_PRINTED = 20
_AFTER_ROOT = {"keys": "recipients of an encrypted archive"}


@app.command("verify")
def verify_archives(
    archives: Annotated[
        list[str], typer.Argument(metavar="ARCHIVE...", help="Archives, folders with them, - for standard input.")
    ],
    *,
    root: Annotated[
        str | None, typer.Option(metavar="HEX", help="The root that the one archive must have, noted elsewhere.")
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Decode all content too and compare every digest.")
    ] = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check every record of archives, on all cores.

    Quick by default: every byte is proven, compressed content is not decoded. With --root it is also proven that this
    is the archive whose root was noted when it was made, and no other; with --signed-by, that somebody vouches for it.

    Example: tokar verify full.tokar --signed-by signers
    Example: tokar verify backups --content
    """
    demand_not_printed_into(archives)
    answers = Answers(as_json=as_json)
    archives = _all_of(archives, answers)
    expected = None if root is None else _root(root, archives)
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=True)
    keyring = keyring_of(identity, passphrase=passphrase)
    for path in archives:
        try:
            with stream_of(path) as stream:
                if stream is not None:
                    answer, error = _from_stream(path, stream, signers, keyring, content=content)
                else:
                    answer, error = _from_file(path, content, signers, keyring, quiet=quiet)
            if expected is not None and error is None:
                _demand_root(expected, answer["root"], path)
        except ArchiveError as failure:
            output.report(failure)
            answers.add({"path": path, "ok": False, "faults": [_fault(failure, None)]}, failure)
        else:
            if not as_json and not quiet:
                _print(answer)
            answers.add(answer, error)
    answers.end()


def _all_of(paths: list[str], answers: Answers) -> list[str]:
    """Return the archives that are meant, where a folder stands for those in it; one without is an answer."""
    if not any(map(os.path.isdir, paths)):
        return paths
    from tokar.sets.backup_set import archives_of  # noqa: PLC0415 - loads much, and few commands name a folder

    found: list[str] = []
    for path in paths:
        if path == "-":
            found.append(path)
            continue
        with answers.of(path=path, ok=False, faults=[]):
            found += map(str, archives_of([path]))
    return found


def _root(text: str, archives: list[str]) -> bytes:
    """Return the root that a person gives."""
    if len(archives) != 1:
        raise InputError(f"--root is for one archive, and {len(archives)} are given")
    if not re.fullmatch("[0-9a-fA-F]{64}", text):
        raise InputError("a root has 64 hexadecimal digits", hint="tokar create and tokar inspect print it")
    return bytes.fromhex(text)


def _demand_root(expected: bytes, found: str, path: str) -> None:
    """Check that an archive is the one that was noted.

    Raises:
        IntegrityError: It is another one, or it was made anew.
    """
    actual = bytes.fromhex(found)
    if actual != expected:
        message = f"the archive is whole, and it is another one: its root is {found}, not {expected.hex()}"
        hint = "look for the archive that was made when the root was noted"
        raise IntegrityError(message, expected=expected, actual=actual, path=path, hint=hint)


def _from_file(
    path: str, content: bool, signers: AllowedSigners | None, keyring: Keyring | None, *, quiet: bool
) -> tuple[dict[str, Any], ArchiveError | None]:
    """Return the answer for one archive, and its first fault.

    Raises:
        NotSignedError: None of the signers signed it.
    """
    with open_archive(path, keyring=keyring) as archive:
        accepted = None if signers is None else signers.demand(archive)
        with output.progress("verifying", archive.size, of=path, quiet=quiet) as advance:
            report = verify(archive, content=content, progress=advance)
        for fault in report.faults[:_MAX_PRINTED]:
            whose = f"entry {fault.entry.number} {fault.entry.name}: " if fault.entry else ""
            output.note(f"error: {whose}{output.safe(str(fault.error))}")
        if report.fault_count > _MAX_PRINTED:
            output.note(f"error: {report.fault_count - _MAX_PRINTED} faults more (--json lists them)")
        for hint in dict.fromkeys(hint for fault in report.faults if (hint := hint_of(fault.error))):
            output.hint(hint)
        answer = _answer(path, archive.root, report, signatures_of(archive), accepted)
        return answer, report.faults[0].error if report.faults else None


def _from_stream(
    path: str, stream: BinaryIO, signers: AllowedSigners | None, keyring: Keyring | None, *, content: bool
) -> tuple[dict[str, Any], ArchiveError | None]:
    """Return the answer for an archive that comes as a stream, whose first fault is raised.

    Raises:
        FormatError: It is no archive, unsealed or damaged.
        NotSignedError: None of the signers signed it: with a stream comes only what is in it.
        LockedError: Content is to be decoded, and is encrypted for somebody else.
    """
    from tokar.format.scanner import EntryEnded, Scan  # noqa: PLC0415 - only streams need it

    scan = Scan(stream, decode=content, keyring=keyring)
    with named("standard input" if path == "-" else path, always=True):
        entries = sum(isinstance(event, EntryEnded) for event in scan)
    assert scan.scanner is not None
    assert scan.scanner.root is not None
    report = VerifyReport(content, entries=entries, bytes_checked=scan.position, trailing=scan.scanner.trailing)
    root, found = scan.scanner.root, found_signatures(scan.scanner.trailing)
    accepted = None if signers is None else signers.demand_signed(root, found, path)
    return _answer(path, root, report, found, accepted), None


def _answer(
    path: str,
    root: bytes,
    report: VerifyReport,
    signatures: Sequence[FoundSignature],
    accepted: AcceptedSignature | None,
) -> dict[str, Any]:
    return {
        "path": path,
        "ok": not report.fault_count,
        "root": root.hex(),
        "entries": report.entries,
        "bytes_checked": report.bytes_checked,
        "content_decoded": report.content_decoded,
        "not_checked": [] if report.content_decoded else ["content of compressed chunks", "digests of content"],
        "after_root": [one.kind.decode() for one in report.trailing],
        "signatures": to_json(signatures),
        "signed_by": to_json(accepted),
        "fault_count": report.fault_count,
        "faults": [_fault(one.error, one.entry.number if one.entry else None) for one in report.faults],
    }


def _fault(error: ArchiveError, entry: int | None) -> dict[str, Any]:
    return {"entry": entry, **output.error_json(error)}


def _print(answer: dict[str, Any]) -> None:
    if not answer["ok"]:
        faults = count_text(answer["fault_count"], "fault")
        # What the system refused to read may well be good.
        is_read = any(one["kind"] not in {StorageError.word, ExhaustedError.word} for one in answer["faults"])
        word = "DAMAGED" if is_read else "NOT VERIFIED, not all could be read"
        output.line(f"{names.printable(answer['path'])}: {word}, {faults}")
        return
    checked = f"{count_text(answer['entries'], 'entry', 'entries')}, {output.size_text(answer['bytes_checked'])}"
    missing = ", ".join(answer["not_checked"])
    looked = (
        "content decoded, all digests right" if answer["content_decoded"] else f"not checked: {missing} (--content)"
    )
    output.line(f"{names.printable(answer['path'])}: intact; {checked}; {looked}")
    output.line(f"  root {answer['root']}")
    for line in signature_lines(answer["signatures"], answer["signed_by"]):
        output.line(f"  {line}")
    for kind in dict.fromkeys(answer["after_root"]):
        if kind == records.SIGN.decode():
            continue
        what = _AFTER_ROOT.get(kind, "of a kind that is not known here")
        output.line(f"  after the root, which does not cover it: {kind}, {what}")
