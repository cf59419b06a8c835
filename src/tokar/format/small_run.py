"""Small files that become entries one after the other: packed apart from the writer, which then takes them as they are.

What an entry becomes depends on where it stands, so a run is packed in two steps: first all is read, which says how
much room it takes; then it is told where it begins. So several processes can pack neighbouring runs at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tokar.format.bodies import FileRecord
from tokar.format.compression import Compression
from tokar.format.encryption import ContentKey
from tokar.format.index import IndexPage
from tokar.format.ledger import NO_ENTRIES, PackedRun, RunSizes, RunStart, key_of
from tokar.format.small_entry import build_small_entry, size_of_done, size_of_records
from tokar.storage.bytesource import Buffer


@dataclass(slots=True)
class Run:
    """Files that are read, each with how its content is stored."""

    tag: bytes  # Of the archive
    compression: Compression
    key: ContentKey | None  # What content is encrypted with
    sizes: RunSizes = NO_ENTRIES
    files: list[tuple[FileRecord, bytes, int, Buffer]] = field(default_factory=list)

    def add(self, file: FileRecord, content: bytes) -> None:
        """Add a file of at most one chunk; its number and its stream are those that it will have."""
        codec, stored = self.compression.encode(content)
        self.files.append((file, content, codec, stored))
        count, records, names, size = self.sizes
        records += size_of_records(len(file.name), len(content), len(stored), encrypted=self.key is not None)
        self.sizes = RunSizes(count + 1, records, names + len(file.name), size + len(content))

    def pack(self, start: RunStart) -> PackedRun:
        """Return the run as it is where it begins."""
        position = start.position
        parts: list[Buffer] = []
        keys: list[bytes] = []
        page, encrypted = IndexPage(start.entry, names_before=start.names), self.key is not None
        for number, (given, content, codec, stored) in enumerate(self.files, start.entry):
            file = given.at(number, encrypted=encrypted)
            cipher = None if self.key is None else self.key.cipher(file.stream)
            entry, own = build_small_entry(
                file, content, (codec, stored), tag=self.tag, position=position, cipher=cipher
            )
            parts += own
            position = entry.done_position + size_of_done(len(content))
            page.append(entry)
            keys.append(key_of(file.token, file.name))
        return PackedRun(self.sizes, b"".join(parts), page.names, page.rows, b"".join(keys))
