"""ROOT: the record whose check is the root of the archive (spec/format.md section 11.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokar.errors import FormatError
from tokar.format.records import ROOT_BODY, ROOT_ROW, Packer, RecordHead

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


_PACKER: Final = Packer(ROOT_BODY)
_ROW: Final = Packer(ROOT_ROW)


@dataclass(frozen=True, slots=True)
class Root:
    """The body of ROOT."""

    preamble: bytes  # Bytes 0-31 of the archive
    entry_count: int  # Number of entries
    rows: Sequence[RecordHead]  # The heads of all records outside entries that stand before ROOT, in order

    def build(self) -> bytes:
        """Return the bytes of the body."""
        fixed = _PACKER.pack(self.preamble, self.entry_count, len(self.rows))
        return fixed + b"".join(_ROW.pack(row.kind, row.length, row.position, row.check) for row in self.rows)

    @classmethod
    def parse(cls, body: Buffer, *, position: int) -> Root:
        """Read the body of the ROOT record at `position`.

        Raises:
            FormatError: ROOT-1.
        """
        preamble, entry_count, row_count = _PACKER.unpack(body)
        if memoryview(body).nbytes != _PACKER.size + _ROW.size * row_count:
            raise FormatError("the rows do not fill the ROOT record", rule="ROOT-1", offset=position)
        rows = [RecordHead(*_ROW.unpack(body, _PACKER.size + _ROW.size * at)) for at in range(row_count)]
        return cls(preamble, entry_count, rows)
