"""An entry: one stored file, as the index of an archive describes it (spec/format.md, INDX), and what a person calls it."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from tokar import names
from tokar.errors import NoSuchEntryError, UnsafeNameError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from tokar.format.bodies import DoneRecord, FileList, FileRecord

_NUMBER = re.compile(r"#([0-9]{1,10})", re.ASCII)
_MAX_LISTED = 5


class Entry(NamedTuple):
    """One stored file. A named tuple, because archives have up to sixteen million of them and it is the cheapest thing that cannot change."""

    number: int  # Position in the archive, from 0
    token: int  # The token byte as delivered, 0x00-0xFF. Its name comes from the profile of the archive
    file_list: FileList  # Where the file was listed
    encoding: int  # Windows code page of `raw_name`: 1200 UTF-16LE, 65001 UTF-8, 932 and so on; 0 unknown
    raw_name: bytes  # The name as delivered, without its token
    size: int  # Bytes of content
    digest: bytes  # BLAKE3-256 of the content, 32 bytes
    file_position: int  # Where the FILE record starts, bytes from the start of the archive
    done_position: int  # Where the DONE record starts
    done_check: bytes  # The check of the DONE record, 32 bytes

    @property
    def name(self) -> str:
        """The name as text that is safe to print; where it cannot be decoded, its bytes are shown escaped."""
        return names.display(self.raw_name, self.encoding)

    @property
    def leaf(self) -> str | None:
        """The file name that the entry may have on a target; None where its name has none that is safe."""
        try:
            return names.leaf(self.raw_name, self.encoding)
        except UnsafeNameError:
            return None

    @classmethod
    def of(cls, file: FileRecord, done: DoneRecord, *, positions: tuple[int, int], check: bytes) -> Entry:
        """Return the entry that FILE and DONE make together.

        Args:
            file: FILE.
            done: DONE.
            positions: Where they stand.
            check: The check of DONE.
        """
        of_file = (file.entry, file.token, file.file_list, file.encoding, file.name)
        return cls(*of_file, done.content_size, done.digest, *positions, check)


def find_entries(
    entries: Iterable[Entry],
    wanted: Sequence[str],
    *,
    token: int | None = None,
    numbered: bool = True,
    path: Path | str | None = None,
) -> list[Entry]:
    """Return the one entry that each text names: by its name as it is shown, else by its leaf in any case, else as `#N`.

    Args:
        entries: All entries; gone through once, however many are wanted.
        wanted: What a person calls the entries.
        token: Demanded too, where it is given.
        numbered: Whether `#N` names an entry: not where the numbers are no longer those that `inspect` shows.
        path: The archive, for messages.

    Raises:
        NoSuchEntryError: A text names no entry, or more than one.
    """
    if not wanted:
        return []
    ways: dict[str, list[tuple[str, str | int]]] = {
        text: [("name", text), ("leaf", names.collision_key(text))] for text in wanted
    }
    for text in wanted:
        if numbered and (match := _NUMBER.fullmatch(text)):
            ways[text].append(("number", int(match[1])))
    asked = {way for tried in ways.values() for way in tried}
    fitting: dict[tuple[str, str | int], list[Entry]] = defaultdict(list)
    for entry in entries:
        if token in (None, entry.token):
            name = entry.name
            leaf = names.collision_key(names.leaf_of(name))
            for way in (("name", name), ("leaf", leaf), ("number", entry.number)):
                if way in asked:
                    fitting[way].append(entry)
    result = []
    for text in wanted:
        found = next((fitting[way] for way in ways[text] if way in fitting), [])
        if len(found) != 1:
            raise _not_one(text, found, path)
        result += found
    return result


def _not_one(text: str, found: Sequence[Entry], path: Path | str | None) -> NoSuchEntryError:
    """Return the error for a text that does not name one entry."""
    if not found:
        return NoSuchEntryError(f"no entry has the name {text}", path=path)
    listed = ", ".join(f"#{entry.number} {entry.name}" for entry in found[:_MAX_LISTED])
    more = ", ..." if len(found) > _MAX_LISTED else ""
    return NoSuchEntryError(
        f"{len(found)} entries have the name {text}: {listed}{more}",
        path=path,
        hint="name one by its whole name, or by #NUMBER as tokar inspect --entries shows it",
    )
