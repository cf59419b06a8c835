"""Small files that become entries one after the other: packed apart from the writer, which then takes them as they are.

What an entry becomes depends on where it stands, so a run is packed in two steps: first all is read, which says how
much room it takes; then it is told where it begins. So several processes can pack neighbouring runs at once. The number
of its first entry is known before.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tokar.format.bodies import FileRecord
from tokar.format.compression import Compression
from tokar.format.encryption import ContentKey
from tokar.format.index import IndexPage
from tokar.format.ledger import PackedRun, RunSizes, RunStart, key_of
from tokar.format.small_entry import build_small_entry, size_of_done, size_of_records
from tokar.storage.bytesource import Buffer


@dataclass(slots=True)
class Run:
    """Files that are read, each with how its content is stored."""

    tag: bytes  # Of the archive
    compression: Compression
    key: ContentKey | None  # What content is encrypted with
    first: int  # The number of its first entry
    files: list[tuple[FileRecord, bytes, tuple[int, Buffer]]] = field(default_factory=list)
    records: int = 0  # Bytes of all records
    names: int = 0  # Bytes of all names
    content: int = 0  # Bytes of content

    @property
    def next(self) -> int:
        """The number of the entry that is added next."""
        return self.first + len(self.files)

    @property
    def sizes(self) -> RunSizes:
        """How much room it takes."""
        return RunSizes(len(self.files), self.records, self.names, self.content)

    def add(self, file: FileRecord, content: bytes) -> None:
        """Add a file of at most one chunk, with the number `next`."""
        encoded = self.compression.encode(content)
        self.files.append((file, content, encoded))
        name, size = len(file.name), len(content)
        self.records += size_of_records(name, size, len(encoded[1]), encrypted=self.key is not None)
        self.names += name
        self.content += size

    def pack(self, start: RunStart) -> PackedRun:
        """Return the run as it is where it begins."""
        tag, key, position = self.tag, self.key, start.position
        parts: list[Buffer] = []
        keys: list[bytes] = []
        page = IndexPage(start.entry, names_before=start.names)
        for file, content, encoded in self.files:
            cipher = None if key is None else key.cipher(file.stream)
            entry, own = build_small_entry(file, content, encoded, tag=tag, position=position, cipher=cipher)
            parts += own
            position = entry.done_position + size_of_done(len(content))
            page.append(entry)
            keys.append(key_of(file.token, file.name))
        return PackedRun(self.sizes, b"".join(parts), page.names, page.rows, b"".join(keys))
