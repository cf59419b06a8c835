"""Small ESE files with right headers, links and checksums, as a server would hand them out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ese_files import segment_bytes

from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.log import LogHeader
from tokar.ese.page import seal_page
from tokar.ese.values import LogTime, Signature

if TYPE_CHECKING:
    from tokar.testing.scripted_server import ScriptedServer

PAGE_SIZE = 4096


def moment(number: int) -> LogTime:
    return LogTime(second=number % 60, minute=number // 60 % 60, hour=1, day=2, month=3, year=110)


STREAM = Signature(random=7, created=moment(1))
OTHER_STREAM = Signature(random=8, created=moment(1))


def log_file(generation: int, *, stream: Signature = STREAM, sectors: int = 3, **fields: Any) -> bytes:
    fields.setdefault("previous_segments_xor", int.from_bytes(segment_bytes(generation - 1, 1)[:8], "little"))
    header = LogHeader(
        **fields,
        generation=generation,
        sectors=sectors,
        created=moment(generation),
        previous_created=moment(generation - 1),
        signature=stream,
    )
    # A closed log is never blank: some records, and zeros behind them.
    body = segment_bytes(generation, 1) if header.major == 8 else b""
    return (header.build() + body).ljust(header.file_size, b"\0")


def old_log(generation: int) -> bytes:
    """A log of Exchange 5.5, of which only the generation is read."""
    return log_file(generation, major=6, minor=1518, file_type=0)


def database_file(low: int, high: int, *, pages: int = 5, stream: Signature = STREAM) -> bytes:
    header = DatabaseHeader(
        raw_state=DatabaseState.DIRTY_SHUTDOWN,
        required_low=low,
        required_high=high,
        log_signature=stream,
        signature=Signature(random=3, created=moment(2)),
        raw_page_size=PAGE_SIZE,
    ).build()
    body = (seal_page(bytes(40) + number.to_bytes(4, "little") * 1014, number) for number in range(1, pages + 1))
    return header * 2 + b"".join(body)


def log_name(generation: int) -> str:
    return rf"\\S1\D$\log\edb{generation:05X}.log"


DATABASE_NAME = r"\\S1\D$\db\priv.edb"
SECOND_NAME = r"\\S1\D$\db\pub.edb"


def fill(server: ScriptedServer, low: int = 5, high: int = 7, **log_options: Any) -> ScriptedServer:
    """Give a server two databases and logs from `low` to `high`."""
    server.databases = {DATABASE_NAME: database_file(low, high), SECOND_NAME: database_file(low, high, pages=2)}
    server.logs = {log_name(number): log_file(number, **log_options) for number in range(low, high + 1)}
    return server
