"""The calls of a certification authority (MS-CSRA, MS-WCCE), as data: what each is called with and answers.

Lists, names and content are as the contract of `tokar.server.contract` has them. Every answer ends with its result.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from tokar.rpc.ndr import NdrReader, NdrWriter, guid
from tokar.rpc.objref import skip_that
from tokar.rpc.pdus import Syntax
from tokar.rpc.wire_errors import WireError
from tokar.server.contract import BackupType

ADMIN_CLASS: Final = guid("d99e6e73-fc88-11d0-b498-00a0c90312f3")  # CertAdminD
ADMIN: Final = Syntax(guid("d99e6e71-fc88-11d0-b498-00a0c90312f3"), 0)  # ICertAdminD
ADMIN_2: Final = Syntax(guid("7fe0d935-dda6-443f-85d0-1cfb58fe41dd"), 0)  # ICertAdminD2
REQUEST_CLASS: Final = guid("d99e6e74-fc88-11d0-b498-00a0c90312f3")  # CertRequestD
REQUEST: Final = Syntax(guid("d99e6e70-fc88-11d0-b498-00a0c90312f3"), 0)  # ICertRequestD
GET_CA_CERT: Final = 4  # of ICertRequestD
CA_NAME: Final = 0x6E616D65  # what GetCACert is asked for: the common name
OPERATOR: Final = 0x8  # the role of who may make backups
PAGE: Final = 4096  # reads are multiples of it
READ_SIZE: Final = 65536
LIST_LIMIT: Final = 16 << 20  # bytes of an answer with a list
_OVERHEAD: Final = 4096  # of an answer with content, at most


class Call(IntEnum):
    """The calls of ICertAdminD, and of ICertAdminD2 from 31 on."""

    PING = 18
    SERVER_STATE = 19
    PREPARE = 20
    END = 21
    DATABASE_NAMES = 22
    BACKUP_LOGS = 23
    OPEN = 24
    READ = 25
    CLOSE = 26
    TRUNCATE = 27
    DYNAMIC_FILES = 29
    LOCATIONS = 30
    MY_ROLES = 47


def units(text: str | None) -> bytes | None:
    """Return a text as units of 16 bits."""
    return None if text is None else text.encode("utf-16-le", "surrogatepass")


def authority_body(authority: str | None) -> bytes:
    """Return what Ping, GetServerState and GetMyRoles are called with."""
    return NdrWriter().unique_string(units(authority)).done()


def prepare_body(authority: str | None, backup_type: BackupType) -> bytes:
    """Return what BackupPrepare is called with.

    The annotation is one unit by reference. That, its padding and the identifier of the client are eight zero bytes; a
    null pointer and the identifier would be the same.
    """
    logs_only = backup_type is BackupType.LOGS_ONLY
    return NdrWriter().unique_string(units(authority)).u32(logs_only, 0).u16(0).u32(0).done()


def open_body(raw_name: bytes) -> bytes:
    """Return what BackupOpenFile is called with: the name without its token."""
    return NdrWriter().unique_string(raw_name).done()


def read_body(size: int) -> bytes:
    """Return what BackupReadFile is called with."""
    return NdrWriter().u32(size).done()


def read_limit(size: int) -> int:
    """Return how long the answer to a read may be: it always has the whole buffer."""
    return size + _OVERHEAD


def take_list(reader: NdrReader) -> tuple[bytes, int]:
    """Return the units of a list, and the result.

    Raises:
        WireError: It is no list.
    """
    data = reader.array(unit=2) if reader.u32() else b""
    count, result = reader.u32(), reader.u32()
    if not result and 2 * count > len(data):
        raise WireError(f"a list of {count} units came with {len(data) // 2}")
    return data[: 2 * count], result


def take_size(reader: NdrReader) -> tuple[int, int]:
    """Return the announced size, and the result."""
    return reader.u64(), reader.u32()


def take_content(reader: NdrReader) -> tuple[bytes, int]:
    """Return the bytes that were read, and the result.

    Raises:
        WireError: More was read than the buffer has.
    """
    data = reader.array()
    count, result = reader.u32(), reader.u32()
    if not result and count > len(data):
        raise WireError(f"a read of {count} bytes into a buffer of {len(data)}")
    return data[:count], result


def take_number(reader: NdrReader) -> tuple[int, int]:
    """Return the answer of GetServerState or GetMyRoles, and the result."""
    return reader.u32(), reader.u32()


def name_body() -> bytes:
    """Return what GetCACert is called with to learn the name of the authority: none is named."""
    return NdrWriter().u32(CA_NAME).unique_string(None).done()


def take_name(reader: NdrReader) -> tuple[str, int]:
    """Return the name of the authority, and the result."""
    size = reader.u32()
    data = reader.array()[:size] if reader.u32() else b""
    text = data[: len(data) & ~1].decode("utf-16-le", "replace").partition("\0")[0]
    return text, reader.u32()


def names_in(stub: bytes) -> list[str]:
    """Return the name of the authority in the answer of an object, where it is the one that gives it."""
    reader = NdrReader(stub)
    try:
        skip_that(reader)
        name, result = take_name(reader)
    except WireError:
        return []
    return [name] if name.isprintable() and not result and reader.left < 8 else []
