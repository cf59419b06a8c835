"""Headers as values for JSON: every field that has a meaning, under the name it has in the declaration."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final

from tokar.ese.checkpoint import Checkpoint
from tokar.ese.database import DatabaseHeader
from tokar.ese.environment import Environment
from tokar.ese.log import LogHeader
from tokar.ese.logreport import LogFault
from tokar.ese.pagereport import PageFault
from tokar.ese.values import BackupInfo, LogPosition, LogTime, Signature, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tokar.ese.attachment import Attachment
    from tokar.ese.contentcheck import ContentVerdict
    from tokar.ese.inspect import Inspection
    from tokar.ese.record import Record

_COUNTS: Final = ("empty", "old_ok", "ecc_ok", "highest_dbtime", "extra_bytes", "valid", "shadow", "stale", "rescued")
_AREAS: Final = {"attachment_area", "raw_system_path", "raw_log_path"}  # shown as what is in them


def inspection_json(inspection: Inspection) -> dict[str, Any]:
    """Return what a file says of itself as values for JSON. What is not set, or does not exist for this kind, is None."""
    identity, copies = inspection.identity, inspection.copies
    header = identity.header
    listed = header.attachments if isinstance(header, LogHeader | Checkpoint) else ()
    return {
        "kind": identity.kind.value,
        "size": inspection.size,
        "damaged": identity.damaged,
        "note": identity.note,
        "header": None if header is None else record_json(header) | _derived(header, inspection.size),
        "copies": copies and {"used": copies.used, "valid": list(copies.valid), "identical": copies.identical},
        "attachments": [attachment_json(one) for one in listed],
        "trailer": None if inspection.trailer is None else record_json(inspection.trailer),
        "trailer_fault": inspection.trailer_fault,
    }


def record_json(record: Record) -> dict[str, Any]:
    """Return the fields of a header or a part of one, without reserved ones."""
    return dict(_items(record))


def attachment_json(attachment: Attachment) -> dict[str, Any]:
    """Return a database that was attached when a log or checkpoint was written."""
    return {
        "dbid": attachment.dbid,
        "path": attachment.path,
        "signature": _value(attachment.signature),
        "attach_position": _value(attachment.attach_position),
        "consistent_position": _value(attachment.consistent_position),
        "dbtime": attachment.dbtime,
        "maximum_pages": attachment.maximum_pages,
        "flags": attachment.flags,
    }


def _items(record: Record) -> Iterator[tuple[str, Any]]:
    for field in fields(record):  # type: ignore[arg-type] # every record is a dataclass
        if field.name not in _AREAS and not field.name.startswith("reserved_"):
            yield field.name, _value(getattr(record, field.name))


def _value(value: Any) -> Any:
    """Return one value: positions and times as text and in parts, None where they are not set."""
    if isinstance(value, int):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, LogTime):
        return value.iso() or None
    if isinstance(value, LogPosition | Signature | BackupInfo) and not value.is_set:
        return None
    return record_json(value) | _texts(value)


def _texts(record: Record) -> dict[str, Any]:
    """Return what is added to the fields of a part of a header. Two signatures are equal when `bytes` are; the rest is for people."""
    if isinstance(record, LogPosition):
        return {"text": str(record)}
    if isinstance(record, Signature):
        return {"computer": text(record.computer), "bytes": record.pack().hex()}
    if isinstance(record, Environment):
        return {"system_path": record.system_path, "log_path": record.log_path}
    return {}


def _derived(header: Record, size: int) -> dict[str, Any]:
    if isinstance(header, DatabaseHeader):
        return {
            "state": header.state_name,
            "page_size": header.page_size,
            "pages": header.page_count(size),
            "streaming_copy": header.is_streaming_copy,
        }
    if isinstance(header, LogHeader):
        return {"format": header.format, "page_size": header.page_size, "file_size": header.file_size}
    return {}


def verdict_json(verdict: ContentVerdict) -> dict[str, Any]:
    """Return what checking the content of a file came to."""
    report = verdict.report
    return {
        "verified": verdict.verified,
        "not_verified": verdict.not_verified,
        "unit": verdict.unit,
        "units": verdict.units,
        "bad": verdict.bad,
        "correctable": verdict.correctable,
        "problems": list(verdict.problems),
        "note": verdict.note,
        "faults": [_fault_json(fault) for fault in verdict.faults],
        "counts": {} if report is None else {name: getattr(report, name) for name in _COUNTS if hasattr(report, name)},
    }


def _fault_json(fault: PageFault | LogFault) -> dict[str, Any]:
    where = {"page": fault.page, "belongs_to": fault.belongs_to} if isinstance(fault, PageFault) else {}
    if isinstance(fault, LogFault):
        where = {"segment": fault.segment}
    return {"kind": fault.kind.value, "offset": fault.offset, **where, "bits": list(fault.bits), "code": fault.code}
