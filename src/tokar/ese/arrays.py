"""numpy, loaded where there is room for it: where there is not, its linear algebra ends the process by itself."""

from __future__ import annotations

import mmap
import sys
from typing import Final

_ROOM: Final = 80 << 20  # bytes of address space that loading it takes

if "numpy" not in sys.modules:
    try:
        mmap.mmap(-1, _ROOM).close()
    except OSError as error:
        raise MemoryError from error

import numpy as np  # noqa: E402 - only now is it known that it can be

__all__ = ["np"]
