"""What examination found while a set was archived, as SUMM keeps it: facts, which nobody need derive anew.

Kept is what only the whole content tells; headers, sizes and trailers are read again wherever the set is judged. Of
each file with damage only the first faults are listed. A reader takes facts of its own version alone: other ones may
rest on other rules.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from tokar.ese.content_facts import LogFault, LogFaultKind, LogReport, PageFault, PageFaultKind, PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.log import LogHeader
from tokar.format.canonical_json import to_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tokar.ese.identify import Identity
    from tokar.format.archive import Archive
    from tokar.sets.read import SetFile

FACTS_VERSION: Final = 1
"""Grows with every change of what the facts mean."""
MOST_NAME: Final = 1000
"""Characters of a name in SUMM."""
_MOST_FAULTS: Final = 64
_PAGES: Final = ("pages", "empty", "old_ok", "ecc_ok", "correctable", "bad", "extra_bytes", "owned", "linked")
_SEGMENTS: Final = ("valid", "shadow", "stale", "empty", "rescued", "bad", "end", "segments_xor")


def facts_json(report: PageReport | LogReport) -> dict[str, Any]:
    """Return the facts in a report as an element of SUMM (spec/format.md section 6.2); what is zero is left out."""
    names = _PAGES if isinstance(report, PageReport) else _SEGMENTS
    found: dict[str, Any] = {name: to_count(value) for name in names if (value := getattr(report, name))}
    blank = list(report.blank) if isinstance(report, PageReport) else []
    faults = [_fault_json(fault) for fault in report.faults[:_MOST_FAULTS]]
    return found | {name: value for name, value in (("blank", blank), ("faults", faults)) if value}


def _fault_json(fault: PageFault | LogFault) -> dict[str, Any]:
    value: dict[str, Any] = {"kind": fault.kind.value, "offset": to_count(fault.offset)}
    if fault.bits:
        value["bits"] = list(fault.bits)
    if isinstance(fault, PageFault) and fault.belongs_to is not None:
        value["belongs_to"] = fault.belongs_to
    return value


class RecordedFacts:
    """The facts that an archive keeps.

    Args:
        archive: The archive.
    """

    def __init__(self, archive: Archive) -> None:
        examination = archive.summary.extra.get("examination") or {}
        self._rows: dict[tuple[int, str], Mapping[str, Any]] = {}
        if examination.get("facts_version") == FACTS_VERSION:
            rows = [one for one in examination.get("entries", ()) if "facts" in one]
            named = Counter((one["token"], one["name"]) for one in rows)
            self._rows = {key: one for one in rows if named[key := (one["token"], one["name"])] == 1}

    def report(self, file: SetFile, identity: Identity) -> PageReport | LogReport | None:
        """Return what was found in a file; None where that was not kept.

        Args:
            file: The file.
            identity: What its headers say.
        """
        row = self._rows.get((file.token or 0, file.name[:MOST_NAME]))
        header = identity.header
        if row is None:
            return None
        facts, unit = row["facts"], row.get("unit", "")
        if isinstance(header, DatabaseHeader) and unit == "pages":
            return _page_report(facts, header.page_size)
        if isinstance(header, LogHeader) and unit in {"segments", "ranges"}:
            return _log_report(facts, unit, header.file_size, file.size)
        return None


def _page_report(facts: Mapping[str, Any], page_size: int) -> PageReport:
    faults = (
        PageFault(
            PageFaultKind(one["kind"]),
            int(one["offset"]) // page_size - 1,
            int(one["offset"]),
            tuple(map(int, one.get("bits", ()))),
            one.get("belongs_to"),
        )
        for one in facts.get("faults", ())
        if one["kind"] in set(PageFaultKind)
    )
    counts: dict[str, Any] = {name: int(facts.get(name, 0)) for name in _PAGES}
    return PageReport(
        **counts, page_size=page_size, faults=tuple(faults), blank=tuple(map(int, facts.get("blank", ())))
    )


def _log_report(facts: Mapping[str, Any], unit: str, expected_size: int, size: int) -> LogReport:
    counts: dict[str, Any] = {name: int(facts.get(name, 0)) for name in _SEGMENTS}
    if unit == "ranges":
        counts["segments_xor"] = None
    faults = (
        LogFault(LogFaultKind(one["kind"]), int(one["offset"]), bits=tuple(map(int, one.get("bits", ()))))
        for one in facts.get("faults", ())
        if one["kind"] in set(LogFaultKind)
    )
    return LogReport(**counts, unit=unit, faults=tuple(faults), expected_size=expected_size, size=size)
