"""The age files that hold the key of an archive: what they say without a key, and one more of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokar.errors import FormatError, InputError
from tokar.format import records
from tokar.format.after_root import append_records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.trust.agefile import recipient_kinds
from tokar.trust.keys import ArchiveKey
from tokar.trust.recipients import Identities, Recipients


class KeyFile(NamedTuple):
    """An age file with the key of an archive, as far as it can be read without opening it."""

    where: str  # `recipients` or `passphrase` in HEAD, or `after root`
    kinds: list[str]  # The kinds of its recipients
    fault: str  # Why it cannot be read; empty where it can


def key_files(archive: Archive) -> list[KeyFile]:
    """Return the age files that may hold the key of an archive: those of HEAD, and of the records `keys`."""
    encryption = archive.head.encryption
    found = [] if encryption is None else [*encryption.wrapped.items()]
    found += [("after root", one.body) for one in archive.trailing if one.kind == records.KEYS]
    return [_key_file(where, data) for where, data in found]


def _key_file(where: str, data: bytes) -> KeyFile:
    try:
        return KeyFile(where, recipient_kinds(data), "")
    except FormatError as error:
        return KeyFile(where, [], error.message)


def rekey(
    path: Path | str,
    recipients: Recipients,
    identities: Identities,
    *,
    progress: Callable[[int], None] | None = None,
) -> bytes:
    """Add recipients to an encrypted archive on disk, and return its root, which stays as it was.

    Args:
        path: The archive. The new one takes its place once it is proven; see `append_records`.
        recipients: Those to add.
        identities: What opens it.
        progress: Called with numbers of bytes that are proven.

    Raises:
        InputError: It is not encrypted.
        LockedError: Nothing that was given opens it.
        FormatError: It is damaged, or has no room for more.
        StorageError: It cannot be read or written.
    """
    with Archive(path, identities) as archive:
        if not isinstance(archive.key, ArchiveKey):
            hint = "make a new one with --recipient: tokar create, tokar backup"
            raise InputError("the archive is not encrypted: anyone can read it", path=path, hint=hint)
        added = TrailingRecord(records.KEYS, recipients.wrap(archive.key))
        if len(added.body) > records.MAX_TRAILING_SIZE:
            hint = "add them in several runs: 16 records are the most"
            raise InputError("a record has no room for so many recipients", path=path, hint=hint)
        root = archive.root
    append_records(path, [added], root=root, progress=progress)
    return root
