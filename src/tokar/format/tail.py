"""TAIL: the last 120 bytes of a sealed archive (spec/format.md section 11.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tokar.errors import FormatError
from tokar.format.records import END_MAGIC, HEAD_SIZE, TAIL_BODY, Packer

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PACKER: Final = Packer(TAIL_BODY)
BODY_SIZE: Final = _PACKER.size
RECORD_SIZE: Final = HEAD_SIZE + BODY_SIZE


@dataclass(frozen=True, slots=True)
class Tail:
    """The body of TAIL."""

    root_position: int  # Where ROOT stands
    root: bytes  # The root of the archive, 32 bytes: the check of ROOT
    total_size: int  # Bytes of the whole archive

    def build(self) -> bytes:
        """Return the bytes of the body."""
        return _PACKER.pack(self.root_position, self.root, self.total_size, END_MAGIC)

    @classmethod
    def parse(cls, body: Buffer, *, position: int) -> Tail:
        """Read the body of the TAIL record at `position`.

        Raises:
            FormatError: TAIL-1.
        """
        root_position, root, total_size, end_magic = _PACKER.unpack(body)
        if end_magic != END_MAGIC:
            raise FormatError("the end magic is wrong", rule="TAIL-1", offset=position)
        return cls(root_position, root, total_size)

    def demand_place(self, size: int, *, position: int) -> None:
        """Check that this can be the TAIL at `position` of an archive of `size` bytes.

        Raises:
            FormatError: TAIL-2.
        """
        if self.total_size != size or not 0 < self.root_position < position:
            raise FormatError("TAIL says other than the archive", rule="TAIL-2", offset=position)
