"""A fast packer for a fixed layout, derived from its construct declaration, so that there is one truth about every byte."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Packer:
    """Packs and unpacks one layout with a precompiled `struct.Struct`.

    Constant fields of the declaration take part in both directions: `pack` fills them in, and `unpack` returns them in
    their place, so that the caller can report a wrong one at its rule.

    Args:
        layout: A construct `Struct` made only of fixed-width little-endian integers, `Bytes(n)` and `Const` of these.
        until: Leave out this field and all after it.

    Raises:
        TypeError: The layout has a field that has no fixed width.
    """

    def __init__(self, layout: Any, *, until: str | None = None) -> None:
        names = [field.name for field in layout.subcons]
        fields = layout.subcons[: names.index(until) if until else None]
        self.layout = layout
        self.fields: tuple[str, ...] = tuple(field.name for field in fields)
        self._struct = struct.Struct("<" + "".join(_code(field.subcon) for field in fields))
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.pack_into = self._struct.pack_into

    def unpack(self, data: Buffer, offset: int = 0) -> tuple[Any, ...]:
        """Return the fields at `offset` in the order of the declaration."""
        return self._struct.unpack_from(data, offset)


def _code(field: Any) -> str:
    """Return the struct code of a construct field."""
    if hasattr(field, "fmtstr"):
        code: str = field.fmtstr
        if code[0] != "<":
            raise TypeError(f"not little-endian: {field}")
        return code[1:]
    if hasattr(field, "value") and hasattr(field, "subcon"):  # Const
        return _code(field.subcon)
    if hasattr(field, "length") and isinstance(field.length, int):  # Bytes
        return f"{field.length}s"
    raise TypeError(f"no fixed width: {field}")
