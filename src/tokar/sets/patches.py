"""Patch files: the one that a streaming copy is nothing without, and what has no more than the name of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tokar.ese.values import Signature
from tokar.sets.facts import DatabaseFacts, FileFacts, PatchFacts


def called_patches(files: Sequence[FileFacts]) -> list[FileFacts]:
    """Return files with those as databases that only their names call patch files, and their headers databases.

    Beside a database of its name, or of its signature, it may be the patch file of that: nobody knows their layout.
    """
    databases = [one for one in files if isinstance(one, DatabaseFacts)]
    stems, signatures = {one.stem for one in databases}, {_signature(one) for one in databases}

    def told(one: FileFacts) -> FileFacts:
        found = one.database if isinstance(one, PatchFacts) else None
        is_patch = found is None or found.stem in stems or _signature(found) in signatures
        return one if found is None or is_patch else found

    return [told(one) for one in files]


def with_patch(database: DatabaseFacts, patches: Iterable[PatchFacts]) -> DatabaseFacts:
    """Return a streaming copy with the trailer of its patch file, if it has none itself, or why that does not fit."""
    header = database.header
    if header is None or database.trailer is not None or not header.is_streaming_copy:
        return database
    for one in patches:
        if one.stem == database.stem and one.trailer is not None:
            why = one.trailer.mismatch(header)
            if not why:
                return replace(database, trailer=one.trailer, trailer_fault="", trailer_code=None)
            foreign = f"{one.name}, its patch file, is of another backup: {why}"
            database = replace(database, trailer_fault=foreign, trailer_code=-552)
    return database


def _signature(one: DatabaseFacts) -> Signature | None:
    return None if one.header is None else one.header.signature
