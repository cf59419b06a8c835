"""What logs and checkpoints say of the instance that wrote them: the databases attached, and its paths and sizes."""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Annotated, Final

from tokar.errors import InputError
from tokar.ese.record import U8, U16, U32, U64, Record, raw
from tokar.ese.values import NO_POSITION, NO_SIGNATURE, LogPosition, Signature, text

AREA_SIZE = 2048
UTF16_NAMES = 0x20
PATH_SIZE = 261
_ESCAPED_NAME: Final = re.compile(r"\\x[89a-f][0-9a-f]\\?[^\\/]*$")  # the second byte of a character may be `\`


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry(Record):
    """The fixed part of an attachment, 64 bytes; `names_size` bytes of names follow."""

    # fmt: off
    dbid:                U8          = 0             # 0   0 ends the list
    flags:               U8          = 0             # 1   0x20 names are UTF-16LE, 0x40 sparse file
    names_size:          U16         = 0             # 2
    dbtime:              U64         = 0             # 4
    last_object_id:      U32         = 0             # 12
    maximum_pages:       U32         = 0             # 16  0 = no maximum
    attach_position:     LogPosition = NO_POSITION   # 20
    consistent_position: LogPosition = NO_POSITION   # 28
    signature:           Signature   = NO_SIGNATURE  # 36
    # fmt: on


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A database that was attached when a log or checkpoint was written."""

    dbid: int  # Number of the database inside its instance, 1-255
    path: str  # Where it lay on that machine. For matching and for display, never a place to write to
    signature: Signature  # The signature of the database
    dbtime: int = 0  # Its counter of modifications
    last_object_id: int = 0  # The highest object number given out
    maximum_pages: int = 0  # The largest size it may grow to; 0 means no limit
    attach_position: LogPosition = NO_POSITION  # Where in the log it was attached
    consistent_position: LogPosition = NO_POSITION  # Where it was last consistent
    flags: int = UTF16_NAMES  # As stored; 0x20: the name is UTF-16LE, 0x40: a sparse file
    more_names: bytes = b""  # Bytes that older engines keep after the path

    def pack(self) -> bytes:
        """Return the bytes of the entry with its names.

        Raises:
            InputError: The path cannot be written in this form.
        """
        codec = "utf-16-le" if self.flags & UTF16_NAMES else "ascii"
        try:
            names = (self.path + "\0").encode(codec) + self.more_names
        except UnicodeEncodeError as error:
            raise InputError(f"the database path {self.path!r} cannot be written as {codec}") from error
        return _Entry(**{name: getattr(self, name) for name in _SHARED}, names_size=len(names)).pack() + names


_SHARED: Final = tuple(one.name for one in fields(_Entry) if one.name != "names_size")  # the same in both classes


@lru_cache(maxsize=16)  # most logs have those of the log before
def parse_attachments(area: bytes) -> tuple[Attachment, ...]:
    """Return the attachments in the area of a header, in order.

    The list ends at a dbid of 0, at the end of the area, or at an entry whose names would run past it: a header with a
    right checksum has no such entry, and a hostile one gains nothing by it.
    """
    found = []
    offset = 0
    while offset + _Entry.layout_size() <= len(area) and area[offset]:
        entry = _Entry.unpack(area, offset)
        start = offset + _Entry.layout_size()
        offset = start + entry.names_size
        if offset > len(area):
            break
        path, more = split_names(area[start:offset], wide=bool(entry.flags & UTF16_NAMES))
        found.append(Attachment(path=path, more_names=more, **{name: getattr(entry, name) for name in _SHARED}))
    return tuple(found)


def build_attachments(attachments: Iterable[Attachment]) -> bytes:
    """Return the attachment area of a header, always 2048 bytes.

    Raises:
        InputError: They do not fit, or a path cannot be written.
    """
    area = b"".join(attachment.pack() for attachment in attachments)
    if len(area) > AREA_SIZE:
        raise InputError(f"the attachments take {len(area)} bytes, a header has room for {AREA_SIZE}")
    return area.ljust(AREA_SIZE, b"\0")


def split_names(names: bytes, *, wide: bool) -> tuple[str, bytes]:
    """Return the first name as text, and the bytes after its terminator."""
    if not wide:
        first, _, more = names.partition(b"\0")
        return first.decode("ascii", "backslashreplace"), more
    for position in range(0, len(names) - 1, 2):
        if names[position : position + 2] == b"\0\0":
            return names[:position].decode("utf-16-le", "backslashreplace"), names[position + 2 :]
    return names.decode("utf-16-le", "backslashreplace"), b""


def is_escaped(path: str) -> bool:
    r"""Return whether the file name of a path may be more than ASCII: `split_names` gives such bytes as `\xe4`."""
    return _ESCAPED_NAME.search(path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment(Record):
    """Paths and sizes of an engine instance (567 bytes). For display only: paths are lossy, and end at a NUL."""

    # fmt: off
    raw_system_path: Annotated[bytes, raw(PATH_SIZE)] = bytes(PATH_SIZE)  # 0    of checkpoint and temporary database
    raw_log_path:    Annotated[bytes, raw(PATH_SIZE)] = bytes(PATH_SIZE)  # 261  of the logs
    flags:           U8  = 0  # 522  bit 0: circular logging
    sessions:        U32 = 0  # 523  sessions at most
    open_tables:     U32 = 0  # 527  open tables at most
    version_pages:   U32 = 0  # 531  version pages at most
    cursors:         U32 = 0  # 535  cursors at most
    log_buffers:     U32 = 0  # 539  log buffers, in sectors
    log_sectors:     U32 = 0  # 543  log file size, in sectors
    cache_pages:     U32 = 0  # 547  cache size, in pages
    reserved_551:    Annotated[bytes, raw(16)] = bytes(16)  # 551
    # fmt: on

    @property
    def system_path(self) -> str:
        """The system path as text."""
        return text(self.raw_system_path)

    @property
    def log_path(self) -> str:
        """The log path as text."""
        return text(self.raw_log_path)


NO_ENVIRONMENT: Final = Environment()


def path_bytes(path: str) -> bytes:
    """Return a path as the environment stores it: single-byte, cut to fit, `?` for what has no place."""
    return path.encode("ascii", "replace")[: PATH_SIZE - 1].ljust(PATH_SIZE, b"\0")
