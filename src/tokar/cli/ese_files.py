"""What is printed of ESE files, on disk and inside archives: headers, and what verifying finds."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from tokar import names
from tokar.cli import output
from tokar.errors import HeaderError, SetError
from tokar.ese.content_facts import CHECKED_KINDS, ContentVerdict, LogFault, PageFault
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.ese.identify import SMALLEST_SIZE
from tokar.ese.inspect import Inspection, check_content, inspect_file
from tokar.ese.show import copies_text, inspection_json, inspection_rows, verdict_json
from tokar.format.index import Entry, find_entries
from tokar.storage.bytesource import Buffer, FileSource, parts_of
from tokar.words import count_text

if TYPE_CHECKING:
    from tokar.cli.inspect import Wanted
    from tokar.format.archive import Archive

DAMAGED: Final = SetError.exit_code
_BEING_WRITTEN: Final = "the file changed while it was being read: nothing is proven, and no damage either"
_INDENT: Final = "  "


def is_ese(path: str, inspection: Inspection) -> bool:
    """Tell whether a file is worth showing: by its content, or for patch files, without a header, by their names."""
    return inspection.is_ese or parse_file_name(names.leaf_of(path)).role is NameRole.PATCH


def show_file(path: str, wanted: Wanted, *, as_json: bool) -> bool:
    """Show a file on disk; return whether its content is damaged.

    Raises:
        HeaderError: Its header cannot be read; what can be said without was shown.
        StorageError: It cannot be read.
    """
    with FileSource(path) as source:
        before = _written(source)
        inspection = inspect_file(source)
        verdict = None
        if wanted.pages:
            verdict = check_content(inspection, _counted(path, source.size, parts_of(source), quiet=as_json))
        if _written(source) != before:  # whoever writes to it makes what looks like damage, and is none
            inspection = replace(inspection, identity=replace(inspection.identity, damaged=False))
            verdict = None if verdict is None else ContentVerdict(unit=verdict.unit, not_verified=_BEING_WRITTEN)
    if as_json:
        output.as_json({"file": {"path": path, **_json(inspection, verdict)}})
    else:
        _show(path, inspection, verdict, wanted)
    if inspection.identity.damaged:
        raise HeaderError(inspection.identity.note, path=path)
    return _is_damaged(verdict)


def _written(source: FileSource) -> tuple[int, int, int]:
    status = os.fstat(source.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


class Shown:
    """The ESE files of an archive, shown or listed one after the other.

    Args:
        archive: The archive.
        only: Names of entries; all ESE files without any.
        wanted: What is to be shown.
    """

    def __init__(self, archive: Archive, only: Sequence[str], wanted: Wanted) -> None:
        self._archive = archive
        self._only = find_entries(archive, only, path=archive.path)
        self._wanted = wanted
        self.damaged = 0  # How many of those that came so far are damaged

    def show(self) -> None:
        """Print them all."""
        separator = False
        for entry, inspection, verdict in self._files():
            if separator:
                output.line()
            separator = True
            _show(entry.name, inspection, verdict, self._wanted)
        if not separator:
            output.line("no ESE files")

    def json(self) -> Iterator[dict[str, Any]]:
        """Yield them as values for JSON."""
        for entry, inspection, verdict in self._files():
            yield {"number": entry.number, "token": entry.token, "name": entry.name, **_json(inspection, verdict)}

    def _files(self) -> Iterator[tuple[Entry, Inspection, ContentVerdict | None]]:
        for entry in self._only or self._archive:
            if not self._only and entry.size < SMALLEST_SIZE:
                continue
            inspection = inspect_file(self._archive.entry_source(entry))
            if not self._only and not inspection.is_ese:
                continue
            content = (one.size if one.data is None else one.data for one in self._archive.chunks(entry))
            pieces = _counted(entry.name, entry.size, content)
            verdict = check_content(inspection, pieces) if self._wanted.pages else None
            self.damaged += _is_damaged(verdict) or inspection.identity.damaged
            yield entry, inspection, verdict


def _counted(name: str, size: int, parts: Iterable[Buffer | int], *, quiet: bool = False) -> Iterator[memoryview | int]:
    """Yield parts of content, of zeros only how many they are, and show how far it is verified."""
    with output.progress("verifying", size, of=name, quiet=quiet) as advance:
        for one in parts:
            part = one if isinstance(one, int) else memoryview(one)
            yield part
            if advance:
                advance(part if isinstance(part, int) else len(part))


def _json(inspection: Inspection, verdict: ContentVerdict | None) -> dict[str, Any]:
    content = {} if verdict is None else {"content": verdict_json(verdict)}
    return {**inspection_json(inspection), **content}


def _is_damaged(verdict: ContentVerdict | None) -> bool:
    return verdict is not None and bool(verdict.problems)


def _show(name: str, inspection: Inspection, verdict: ContentVerdict | None, wanted: Wanted) -> None:
    identity = inspection.identity
    kind = identity.kind.words if inspection.is_ese else _kind_by_name(name, inspection)
    damaged = ", its header is DAMAGED" if identity.damaged else ""
    output.line(f"{names.printable(name)}: {kind}, {output.size_text(inspection.size)}{damaged}")
    rows = inspection_rows(inspection) if wanted.headers and (inspection.is_ese or inspection.trailer) else iter(())
    content = _content_rows(inspection, verdict) if verdict is not None else iter(())
    output.pairs([(label, names.printable(text)) for label, text in chain(rows, content)], indent=_INDENT)
    if verdict is not None and verdict.faults:
        _faults(verdict)


def _kind_by_name(name: str, inspection: Inspection) -> str:
    if parse_file_name(names.leaf_of(name)).role is not NameRole.PATCH:
        return "not an ESE file"
    if inspection.trailer is not None:
        return "patch file with the bookkeeping of a backup, and no pages"
    return "patch file of an old format, kept as it is" if inspection.size else "empty patch file, as it should be"


def _content_rows(inspection: Inspection, verdict: ContentVerdict) -> Iterator[tuple[str, str]]:
    if inspection.identity.kind not in CHECKED_KINDS and not verdict.unit:
        yield "content", copies_text(inspection) or "not verified: what checksums it has is not known here"
        return
    if not verdict.verified:
        yield "content", f"not verified: {verdict.not_verified}"
    else:
        bad = f"{verdict.bad:,} BAD" if verdict.bad else "none bad"
        correctable = f", {verdict.correctable:,} correctable" if verdict.correctable else ""
        yield "content", f"{count_text(verdict.units, verdict.unit.removesuffix('s'))} verified, {bad}{correctable}"
    if counts := verdict_json(verdict)["counts"]:
        yield "of these", ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items() if count)
    for problem in verdict.problems:
        yield "problem", f"it {problem}"


def _faults(verdict: ContentVerdict) -> None:
    rows = (_fault_row(fault) for fault in verdict.faults)
    output.table(("offset", "place", "what", "error", "more"), rows)
    more = verdict.bad + verdict.correctable - len(verdict.faults)
    if more > 0:
        output.line(f"... and {more:,} more")


def _fault_row(fault: PageFault | LogFault) -> tuple[str, ...]:
    more = [f"bit {bit % 8} of byte 0x{fault.offset + bit // 8:X}" for bit in fault.bits]
    if isinstance(fault, PageFault):
        place = f"page {fault.page}"
        if fault.belongs_to is not None:
            more.append(f"it is page {fault.belongs_to}")
    else:
        place = "" if fault.segment is None else f"segment {fault.segment}"
    error = "" if fault.code is None else str(fault.code)
    return f"0x{fault.offset:X}", place, fault.kind.value, error, ", ".join(more)
