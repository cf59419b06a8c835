"""Logs older than 7.3701: recognised and named, never interpreted.

The engine makes these tests before it believes any other field (Microsoft, Extensible Storage Engine, log.cxx).
"""

from __future__ import annotations

import struct
from typing import Final

ESE97: Final = "ESE97 (Exchange 5.5)"
_WORDS: Final = struct.Struct("<20xIIIII4xII")  # the u32 at 20, 24, 28, 32, 36, 44 and 48
_JET_500_BUILDS: Final = {909: "JET 500 (Windows NT 4)", 995: "JET 500 (Exchange 4.0)"}
_JET_400_BUILD: Final = 443
_JET_200_VERSION: Final = 0x0CA0001


def old_format(head: bytes) -> str | None:
    """Return the name of the old log format that the first 52 bytes of a file show; None for any other file."""
    if len(head) < _WORDS.size:
        return None
    at_20, at_24, at_28, at_32, at_36, at_44, at_48 = _WORDS.unpack_from(head)
    if (at_24, at_32) == (4, 0) and at_28 in _JET_500_BUILDS:
        return _JET_500_BUILDS[at_28]
    if (at_20, at_24, at_28) == (_JET_400_BUILD, 0, 0):
        return "JET 400"
    if (at_44, at_48) == (0, _JET_200_VERSION):
        return "JET 200"
    # From the versions in its tools' output; no file of this format has been seen.
    return ESE97 if at_32 == 6 and 1500 <= at_36 < 1600 else None
