"""Hashes of content as lines for `b3sum --check` and its like, under the names that the files are restored to."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from tokar import names
from tokar.check import describe
from tokar.cli import output
from tokar.errors import InputError, UnsafeNameError
from tokar.format.archive import Archive, content_digest
from tokar.format.index import Entry


class Sums(StrEnum):
    """The hashes that can be printed."""

    BLAKE3 = "blake3"
    SHA256 = "sha256"


def demand_sums(sums: Sums | None, *, b3sums: bool, tree: bool, as_json: bool) -> Sums | None:
    """Return which hashes are asked for.

    Raises:
        InputError: The options do not go together.
    """
    if b3sums and sums is Sums.SHA256:
        raise InputError("--b3sums and --sums sha256 exclude each other")
    found = Sums.BLAKE3 if b3sums else sums
    if tree and (found is None or as_json):
        raise InputError("--tree goes with --b3sums or --sums")
    if as_json and found is Sums.BLAKE3:
        raise InputError("--b3sums and --json exclude each other", hint="--json has these digests in any case")
    return found


def print_sums(archive: Archive, sums: Sums, *, tree: bool) -> None:
    """Print the hashes of all entries, under their leaves or under the paths in which they lay.

    Raises:
        FormatError: The archive is damaged.
    """
    for entry in archive:
        try:
            leaf = names.leaf(entry.raw_name, entry.encoding)
            path = "/".join((*names.folders_of(entry.raw_name, entry.encoding), leaf)) if tree else leaf
        except UnsafeNameError:
            output.note(f"{entry.name}: has no safe {'path' if tree else 'file name'}, left out of the list")
        else:
            output.line(f"{_sum_of(archive, entry, sums)}  {path}")


def entry_json(archive: Archive, entry: Entry, stored: int, sums: Sums | None) -> dict[str, Any]:
    """Return an entry as values for JSON, with another hash of its content where that is asked for.

    Raises:
        FormatError: The archive is damaged.
    """
    more = {} if sums is None else {sums.value: _sum_of(archive, entry, sums)}
    return describe.entry_json(entry, archive.head.profile, stored) | more


def _sum_of(archive: Archive, entry: Entry, sums: Sums) -> str:
    """Return a hash of the content of an entry as hex digits; one that is not kept is computed, of proven content."""
    if sums is Sums.BLAKE3:
        digest = entry.digest if entry.key is None else content_digest(archive, entry)  # b3sum has no key
        return digest.hex()
    import hashlib  # noqa: PLC0415 - start-up time

    hasher = hashlib.sha256()
    with output.progress(f"{sums.value} of", entry.size, of=entry.name) as advance:
        for chunk in archive.chunks(entry):
            hasher.update(bytes(chunk.size) if chunk.data is None else chunk.data)
            if advance:
                advance(chunk.size)
    return hasher.hexdigest()
