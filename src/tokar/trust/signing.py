"""Signing an archive that exists: beside it, or inside it after its root. It is proven first, record by record."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokar.errors import ExistingFileError, InputError, StorageError
from tokar.format import records
from tokar.format.after_root import append_records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import MAX_ARMORED_SIZE, SshSignature, dearmored, message_of
from tokar.format.verify import verify
from tokar.storage import durable
from tokar.storage.bytesource import FileSource, read_start
from tokar.storage.sink import FileSink
from tokar.trust import ssh_keygen
from tokar.trust.signatures import SUFFIX, Signer, Where, signatures_of


@dataclass(frozen=True, slots=True)
class SignedArchive:
    """An archive that was signed."""

    path: Path  # The archive
    root: bytes  # Its root, which is what was signed
    where: Where  # In it or beside it
    added: tuple[SshSignature, ...]  # The signatures that are new
    known: tuple[SshSignature, ...]  # Those by keys that had signed it there already: nothing was written for them
    dropped: int  # Signatures over another root that were beside it, and are not any more


def sign_archive(path: Path | str, signer: Signer, *, embed: bool = False) -> SignedArchive:
    """Sign an archive with every key of a signer.

    Args:
        path: The archive.
        signer: The keys.
        embed: Whether the signatures go into a new file that replaces the archive once it is proven, rather than beside
            it into `ARCHIVE.sig`.

    Raises:
        FormatError: It is no archive, damaged, or has no room for more records after its root; nothing was signed.
        SigningError: A key cannot sign; nothing was written.
        StorageError: The archive cannot be read, or the signatures cannot be written.
        ExistingFileError: `ARCHIVE.sig` is something else than signatures.
    """
    signer.demand_keys()
    where = Where.EMBEDDED if embed else Where.DETACHED
    with Archive(path) as archive, FileSource(path) as lock:
        if durable.try_lock(lock.fileno()) is False:
            raise StorageError("somebody else is changing this archive", path=path, hint="wait, and run again")
        verify(archive).demand()
        found = [one.signature for one in signatures_of(archive) if one.where is where and one.signature]
        message = message_of(archive.root)
        right = [one for one in found if ssh_keygen.is_right(one, message)]
        by_key = {one.public_key: one for one in right}
        made = {one.public_key: one for one in signer.sign(archive.root)}
        added = tuple(one for key, one in made.items() if key not in by_key)
        if added and not embed:
            _write_beside(Path(f"{path}{SUFFIX}"), [*right, *added], lock)
    if added and embed:
        append_records(path, [TrailingRecord(records.SIGN, one.blob) for one in added], root=archive.root)
    known = tuple(by_key[key] for key in made if key in by_key)
    dropped = 0 if embed or not added else len(found) - len(right)
    return SignedArchive(Path(path), archive.root, where, added, known, dropped)


def _write_beside(path: Path, signatures: Sequence[SshSignature], archive: FileSource) -> None:
    """Write signatures, with the permissions of their archive."""
    if len(signatures) > records.MAX_TRAILING_RECORDS:
        raise InputError(f"more than {records.MAX_TRAILING_RECORDS} signatures are not read again", path=path)
    _demand_signatures(path)
    sink = FileSink(path, replace=True)
    try:
        sink.take_over(archive, 0)
        sink.write([one.armored.encode() for one in signatures])
        sink.commit()
    except BaseException:
        sink.discard()
        raise


def _demand_signatures(path: Path) -> None:
    """Check that nothing but signatures is replaced.

    Raises:
        ExistingFileError: Something else is there.
    """
    there = os.path.exists(path)  # noqa: PTH110 - false where no file can have such a name
    if there and (text := read_start(path, MAX_ARMORED_SIZE)).strip() and not any(dearmored(text)):
        hint = "move it away, or sign with --embed"
        raise ExistingFileError("something else than a signature is there", path=path, hint=hint)
