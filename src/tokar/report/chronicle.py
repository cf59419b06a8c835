"""What was called while a set was made, and what its receipt says of the time after the seal: a line for each step."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tokar.errors import ArchiveError, FormatError
from tokar.format.archive import Archive
from tokar.report.timeline import Tone
from tokar.sets.backup_set import sets_in
from tokar.sets.receipt import RECEIPT_SUFFIX, Receipt, Truncation, read_receipt, receipt_path
from tokar.words import count_text, some

_MOST_EVENTS: Final = 40  # of one set
_READING: Final = {"open", "read", "close"}  # once for each file
_OF_COURSE: Final = {"free"}  # where it goes well
_TOLD: Final = {"at", "call", "name", "failed", "code", "unanswered"}


def story_of(archive: Archive) -> dict[str, Any]:
    """Return how an archive came to be, as values for JSON."""
    events = [_event(archive.head.created, f"{archive.head.kind} set begun", f"by {archive.head.software}")]
    with suppress(FormatError):  # what is damaged is told of by the rungs
        events += _events(archive.calls())
    events.append(_event(archive.summary.finished, "sealed", archive.summary.outcome))
    path, notes = receipt_path(Path(str(archive.path))), list[str]()
    if os.path.lexists(path):  # a name too long to be there is no error
        try:
            events, notes = _with_receipt(events, read_receipt(path))
        except ArchiveError as error:
            notes = [f"the receipt beside it cannot be read: {error.message}"]
    if len(events) > _MOST_EVENTS:
        half = _MOST_EVENTS // 2
        events[half:-half] = [_event(None, f"{len(events) - 2 * half:,} more calls", "")]
    return {"events": events, "notes": notes}


def _with_receipt(events: list[dict[str, Any]], receipt: Receipt) -> tuple[list[dict[str, Any]], list[str]]:
    """Return a story with what its receipt tells."""
    after = [one for one in _events(receipt.calls) if one["what"] != "seal"]
    doubt = receipt.truncation in {Truncation.TRUNCATING, Truncation.UNKNOWN, Truncation.FAILED}
    last = _event(None, receipt.truncation.text, "as its receipt says")
    return [*events, *after, {**last, "tone": Tone.OPEN.value if doubt else ""}], list(receipt.notes)


def receipts_alone(paths: Iterable[Path | str], known: Iterable[str]) -> Iterator[str]:
    """Yield what receipts in folders say whose archives are not there: of sets elsewhere, and of backups that failed.

    Args:
        paths: What was given; folders are looked into.
        known: The archives that are there.
    """
    here = {f"{one}{RECEIPT_SUFFIX}" for one in known}
    for folder in (Path(one) for one in paths if Path(one).is_dir()):
        for path in sets_in(folder):
            if path.name.endswith(RECEIPT_SUFFIX) and str(path) not in here:
                try:
                    told = read_receipt(path)
                except ArchiveError as error:
                    yield f"{path.name} cannot be read: {error.message}"
                    continue
                made = "its archive is not here" if told.outcome == "sealed" else "a backup that made no archive"
                yield f"{path.name}: {made}; {told.truncation.text}"


def _events(calls: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a line for each call that went well or failed; those that read files are one as long as they do."""
    read: dict[str, Any] = {}
    for one in calls:
        call = str(one.get("call", ""))
        if call in _READING and "failed" not in one:
            read = read or {"at": one.get("at"), "files": 0, "bytes": 0}
            read["files"] += call == "open"
            read["bytes"] += int(one.get("size", 0)) if call == "read" else 0
        elif "failed" in one or not (call in _OF_COURSE or call.endswith("_entries")):
            yield from _reading(read)
            read = {}
            yield _call(call, one)
    yield from _reading(read)


def _reading(read: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if read:
        yield _event(read["at"], f"{count_text(read['files'], 'file')} read", f"{read['bytes']:,} bytes")


def _call(call: str, one: Mapping[str, Any]) -> dict[str, Any]:
    facts = ((key, value) for key, value in one.items() if key not in _TOLD and isinstance(value, str | int))
    note = some(f"{key.replace('_', ' ')} {value}" for key, value in facts)
    if "failed" in one:
        code = f" ({one['code']})" if "code" in one else ""
        note = f"failed: {one['failed']}{code}"
    return {**_event(one.get("at"), call.replace("_", " "), note), "tone": Tone.BAD.value if "failed" in one else ""}


def _event(at: str | None, what: str, note: str | None) -> dict[str, Any]:
    """Return one line; of a time the second is told."""
    moment = str(at).partition(".")[0].removesuffix("Z").replace("T", " ") if at else ""
    return {"at": moment, "what": what, "note": note or "", "tone": ""}
