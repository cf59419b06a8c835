"""What one ESE file says, to be shown: to people as rows, and as values for JSON.

Rows have labels and values in the order and the spelling that `esentutl /mh`, `/ml` and `/mk` have made known. What is
not set is left out, apart from what decides about a restore. Text comes from the file as it is: whoever prints it makes
it safe. JSON has every field that has a meaning, under the name it has in the declaration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, Final

from tokar.as_json import fields_json
from tokar.ese.attachment import Attachment, Environment
from tokar.ese.checkpoint import Checkpoint
from tokar.ese.content_facts import ContentVerdict, LogFault, PageFault
from tokar.ese.database import DatabaseHeader, Event, Repairs
from tokar.ese.flushmap import FlushMap
from tokar.ese.inspect import Inspection
from tokar.ese.log import LogHeader
from tokar.ese.record import U32, Record
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature, text
from tokar.words import hex_text

Row = tuple[str, str]
_COUNTS: Final = ("empty", "old_ok", "ecc_ok", "highest_dbtime", "extra_bytes", "valid", "shadow", "stale", "rescued")
_VERDICT: Final = ("verified", "not_verified", "unit", "units", "bad", "correctable", "problems", "note")
_SETTINGS: Final = tuple(field.name for field in fields(Environment) if field.type is U32)
_AREAS: Final = {"attachment_area", "raw_system_path", "raw_log_path"}  # shown as what is in them
_MOMENTS: Final = {
    "last consistent": "consistent",
    "last attach": "attach",
    "last detach": "detach",
    "last re-attach": "reattach",
}
_BACKUPS: Final = {
    "previous full backup": "previous_full",
    "previous incremental": "previous_incremental",
    "previous copy backup": "previous_copy",
    "previous differential": "previous_differential",
    "current full backup": "current_full",
    "current shadow copy": "current_shadow_copy",
}
_HISTORY: Final = {
    "repairs before defragmentation": "old_repair_count",
    "corrected bits": "ecc_fixes",
    "failed corrections": "failed_ecc_fixes",
    "bad checksums": "bad_checksums",
    "incremental reseeds": "incremental_reseed",
    "patched pages": "patched_pages",
    "extended": "extended",
    "shrunk": "shrunk",
    "creation of last log": "last_log_time",
    "last scrub": "scrub_time",
    "last scan finished": "scan_finish_time",
    "flush map signature": "flush_map_signature",
}
_BACKUP_TYPES: Final = {0: "streaming", 1: "shadow copy", 2: "snapshot"}


def inspection_rows(inspection: Inspection) -> Iterator[Row]:
    """Yield labels and values of everything that a file says of itself."""
    header = inspection.identity.header
    if isinstance(header, DatabaseHeader):
        yield from _database_rows(header, inspection.size)
    elif isinstance(header, LogHeader):
        yield from _log_rows(header, inspection.size)
    elif isinstance(header, Checkpoint):
        yield from _checkpoint_rows(header)
    elif isinstance(header, FlushMap):
        yield from _flush_map_rows(header)
    if inspection.trailer is not None:
        yield from _trailer_rows(inspection.trailer)
    if inspection.trailer_fault:
        yield "backup trailer", _trailer_fault(inspection)
    if inspection.identity.copies is not None:
        yield "header copies", copies_text(inspection)
    if inspection.identity.note:
        yield "note", inspection.identity.note


def copies_text(inspection: Inspection) -> str:
    """Return what became of the two copies of a header."""
    copies = inspection.identity.copies
    if copies is None:
        return ""
    if not all(copies.valid):
        return f"the {'second' if copies.used == 0 else 'first'} is damaged, the other one was read"
    return "both valid and equal" if copies.identical else "both valid and different: the second is older"


def range_text(low: int, high: int) -> str:
    """Return a range of generations, decimal and in hex."""
    return f"{low}-{high} ({hex_text(low)}-{hex_text(high)})"


def _database_rows(header: DatabaseHeader, size: int) -> Iterator[Row]:
    yield "state", header.state_name
    yield "log required", range_text(header.required_low, header.required_high)
    yield "log committed", range_text(0, header.committed_high)
    yield from _set_rows(header, {"log recovering": "recovering_generation", "log consistency": "consistency_low"})
    yield "signature", _or_none(header.signature)
    yield "log signature", _or_none(header.log_signature)
    yield from _moments(header, _MOMENTS)
    yield "page size", str(header.page_size)
    yield "pages", str(header.page_count(size))
    yield "format", f"0x{header.version:x},{header.revision},{header.minor_revision}"
    yield "created format", f"0x{header.created_version:x},{header.created_revision}"
    yield "dbtime", _number(header.dbtime)
    yield "dbid", str(header.dbid)
    yield "last object id", str(header.last_object_id)
    yield "shadowed", "no" if header.flags[0] & 1 else "yes"
    yield "operating system", f"{header.os_major}.{header.os_minor}.{header.os_build} SP {header.os_service_pack}"
    yield from _database_backups(header)
    repairs = Repairs(count=header.repair_count, time=header.repair_time)
    if repairs.count:
        yield "repairs", _spelled(repairs)
    yield from _set_rows(header, _HISTORY)
    yield "checksum", f"0x{header.checksum:08x}"


def _database_backups(header: DatabaseHeader) -> Iterator[Row]:
    """What is in parentheses says how the backup was made, where the header knows."""
    for label, name in _BACKUPS.items():
        backup, kind = getattr(header, name), getattr(header, f"{name}_type", None)
        if backup.is_set:
            made = "" if kind is None else f" ({_BACKUP_TYPES.get(kind, f'type {kind}')})"
            yield label, f"{_backup(backup)}{made}"
    if header.is_streaming_copy:
        yield "streaming copy", "yes: hard recovery has not run on it yet"


def _log_rows(header: LogHeader, size: int) -> Iterator[Row]:
    differs = "" if size == header.file_size else f"; the file has {size}"
    yield "generation", _number(header.generation)
    yield "created", _or_none(header.created)
    yield "previous log created", _or_none(header.previous_created)
    yield "signature", _or_none(header.signature)
    yield "format", header.format
    yield "size", f"{header.file_size} bytes: {header.sectors} sectors of {header.sector_size}{differs}"
    yield "header sectors", str(header.header_sectors)
    yield "page size", str(header.page_size)
    yield "circular logging", "yes" if header.circular_logging else "no"
    if header.flags & 1:
        yield "reserve log", "yes: written when there was no room left"
    yield from _set_rows(header, {"checkpoint then": "checkpoint"})
    if header.has_segments_link:
        yield "previous log's content", f"0x{header.previous_segments_xor:016x}"
    yield from _environment_rows(header.environment)
    yield from _attachment_rows(header.attachments)
    yield "checksum", f"0x{header.checksum:08x}"


def _checkpoint_rows(header: Checkpoint) -> Iterator[Row]:
    yield "checkpoint", str(header.checkpoint)
    yield "consistency", str(header.consistency) if header.consistency.is_set else "the same"
    yield "checkpoint of full backup", _or_none(header.full_backup_checkpoint)
    yield from _moments(header, {"full backup": "full_backup", "incremental backup": "incremental_backup"})
    yield "signature", _or_none(header.signature)
    yield from _environment_rows(header.environment)
    yield from _attachment_rows(header.attachments)
    yield "checksum", f"0x{header.checksum:08x}"


def _flush_map_rows(header: FlushMap) -> Iterator[Row]:
    yield "state", "clean" if header.is_clean else "not closed"
    yield "format", f"{header.major}.{header.minor}.{header.update}"
    yield "created", _or_none(header.created)
    yield "attached", _or_none(header.attach_time)
    yield "detached", _or_none(header.detach_time)
    yield from _set_rows(header, {"log required": "required_low"})
    yield "signature", _or_none(header.signature)
    yield "database header signature", _or_none(header.header_flush_signature)
    yield "checksum", f"0x{header.checksum:08x}"


def _trailer_rows(trailer: BackupTrailer) -> Iterator[Row]:
    yield "backup trailer", _backup(trailer.backup)
    if trailer.required_high:
        yield "trailer: log required", range_text(trailer.required_low, trailer.required_high)
        yield "trailer: log committed", range_text(0, trailer.committed_high)


def _environment_rows(environment: Environment) -> Iterator[Row]:
    yield "system path", environment.system_path
    yield "log path", environment.log_path
    counts = {name: getattr(environment, name) for name in _SETTINGS}
    if any(counts.values()):
        yield "settings", ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in counts.items())


def _attachment_rows(attachments: tuple[Attachment, ...]) -> Iterator[Row]:
    for one in attachments:
        yield f"database {one.dbid}", one.path
        yield "  signature", _or_none(one.signature)
        if one.attach_position.is_set or one.consistent_position.is_set:
            yield "  attached, consistent", f"{one.attach_position}, {one.consistent_position}"


def _moments(header: DatabaseHeader | Checkpoint, labels: Mapping[str, str]) -> Iterator[Row]:
    """Yield places in the log with their times, where either is set."""
    for label, name in labels.items():
        position, moment = getattr(header, f"{name}_position"), getattr(header, f"{name}_time")
        if position.is_set or moment.is_set:
            yield label, f"{position}  {_or_none(moment)}"


def _set_rows(header: Record, labels: Mapping[str, str]) -> Iterator[Row]:
    """Yield the fields that are set, each spelled by its type."""
    for label, name in labels.items():
        if spelled := _spelled(getattr(header, name)):
            yield label, spelled


def _spelled(value: int | Event | Repairs | LogPosition | LogTime | Signature) -> str:
    """Return a value as text, empty where it is not set."""
    if isinstance(value, int):
        return _number(value) if value else ""
    if isinstance(value, Event | Repairs):
        return f"{value.count}, last {_or_none(value.time)}" if value.count else ""
    return str(value) if value.is_set else ""


def _number(value: int) -> str:
    return f"{value} ({hex_text(value)})"


def _or_none(value: LogPosition | LogTime | Signature) -> str:
    return _spelled(value) or "none"


def _backup(backup: BackupInfo) -> str:
    generations = range_text(backup.generation_low, backup.generation_high)
    return f"logs {generations}, mark {backup.mark} {_or_none(backup.time)}"


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return what a file says of itself as values for JSON. What is not set, or not in this kind, is None."""
    identity, copies = inspection.identity, inspection.identity.copies
    header = identity.header
    listed = header.attachments if isinstance(header, LogHeader | Checkpoint) else ()
    return {
        "kind": identity.kind.value,
        "size": inspection.size,
        "damaged": identity.damaged,
        "note": identity.note,
        "header": None if header is None else record_json(header) | _derived(header, inspection.size),
        "copies": copies and fields_json(copies, "used", "valid", "identical"),
        "attachments": [attachment_json(one) for one in listed],
        "trailer": None if inspection.trailer is None else record_json(inspection.trailer),
        "trailer_fault": _trailer_fault(inspection),
    }


def _trailer_fault(inspection: Inspection) -> str:
    return f"{inspection.trailer_fault} ({inspection.trailer_code})" if inspection.trailer_fault else ""


def record_json(record: Record) -> dict[str, Any]:
    """Return the fields of a header or a part of one, without reserved ones."""
    names = (field.name for field in fields(record))  # type: ignore[arg-type] # every record is a dataclass
    return {
        name: _value(getattr(record, name)) for name in names if name not in _AREAS and not name.startswith("reserved_")
    }


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """Return a database that was attached when a log or checkpoint was written."""
    names = ("dbid", "path", "signature", "attach_position", "consistent_position", "dbtime", "maximum_pages", "flags")
    return {name: _value(getattr(attachment, name)) for name in names}


def _value(value: Any) -> Any:
    """Return one value: positions and times as text and in parts, None where they are not set."""
    if isinstance(value, int | str):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, LogTime):
        return value.iso().replace(" ", "T") or None
    if isinstance(value, LogPosition | Signature | BackupInfo) and not value.is_set:
        return None
    return record_json(value) | _texts(value)


def _texts(record: Record) -> dict[str, Any]:
    """Return what is added to the fields of a part of a header. Two signatures are equal when `bytes` are."""
    if isinstance(record, LogPosition):
        return {"text": str(record)}
    if isinstance(record, Signature):
        return {"computer": text(record.computer), "bytes": record.pack().hex()}
    if isinstance(record, Environment):
        return {"system_path": record.system_path, "log_path": record.log_path}
    return {}


def _derived(header: Record, size: int) -> dict[str, Any]:
    if isinstance(header, DatabaseHeader):
        more = {"pages": header.page_count(size), "streaming_copy": header.is_streaming_copy}
        return {"state": header.state_name, "page_size": header.page_size, **more}
    if isinstance(header, LogHeader):
        return fields_json(header, "format", "page_size", "file_size")
    return {}


def verdict_json(verdict: ContentVerdict) -> dict[str, Any]:
    """Return what checking the content of a file came to."""
    report = verdict.report
    return {
        **fields_json(verdict, *_VERDICT),
        "faults": [_fault_json(fault) for fault in verdict.faults],
        "counts": {} if report is None else {name: getattr(report, name) for name in _COUNTS if hasattr(report, name)},
    }


def _fault_json(fault: PageFault | LogFault) -> dict[str, Any]:
    where = fields_json(fault, *(("page", "belongs_to") if isinstance(fault, PageFault) else ("segment",)))
    return {**fields_json(fault, "kind", "offset"), **where, **fields_json(fault, "bits", "code")}
