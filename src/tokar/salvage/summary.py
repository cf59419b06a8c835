"""HEAD and SUMM of an archive that salvage writes anew (SALV-3, SALV-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokar import names
from tokar._version import __version__
from tokar.format import canonical_json, json_fields, limits
from tokar.format.metadata import HEAD_KEYS, SUMM_KEYS, Head, Summary
from tokar.salvage.entry import FileState
from tokar.salvage.rebuild import copied_head

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from tokar.salvage.damage import Survey
    from tokar.salvage.losses import DamagedFile, Losses

_SOFTWARE: Final = f"tokar {__version__}"
_SPARE_ROOM: Final = 32_768  # bytes of SUMM that are left for notes, of which there are few
_MAX_WRITER: Final = 100  # characters
_MAX_NAME: Final = 1000  # characters of a name in the list of what was lost


def new_head(found: Survey, created: str, notes: list[str]) -> Head:
    """Return HEAD for an archive that takes the place of the damaged one; what is lost with the old one is noted.

    Args:
        found: The survey.
        created: The time now, for the case that HEAD is lost.
        notes: Where remarks go.
    """
    base = found.head or copied_head(found)
    if base is None:
        base = Head(created, "collected", "unknown", _SOFTWARE)
    elif base.software != _SOFTWARE:
        writer = names.printable(base.software[:_MAX_WRITER])
        notes.append(f"the archive that this one was salvaged from was written by {writer}")
    earlier = base.extra.get("origin")
    if earlier:
        notes.append(
            f"the archive that this one was salvaged from was itself salvaged from {earlier.get('id') or earlier['tag']}"
        )
    origin = {"id": found.id.hex()} if found.id is not None else {"tag": found.tag.hex()}
    if found.known_root is not None:
        origin["root"] = found.known_root.hex()
    extra = {**base.extra, "origin": origin}
    head = Head(base.created, base.kind, base.profile, _SOFTWARE, extra)
    for key in _by_size(extra, HEAD_KEYS, last="origin"):
        if len(head.build()) <= limits.MAX_HEAD_SIZE:
            break
        del extra[key]
        if key in HEAD_KEYS:
            notes.append(f"HEAD has no room for its origin and its key {key}, which was left out")
    return head


def new_summary(
    losses: Losses, found: Survey, head: Head, *, entries: int, content_size: int, finished: str, whole: bool
) -> Summary:
    """Return SUMM for such an archive.

    Args:
        losses: What was found; notes are added to it where SUMM has no room for all.
        found: The survey.
        head: HEAD of the new archive.
        entries: Its number of entries.
        content_size: Bytes of content of these.
        finished: The time now.
        whole: Whether nothing of the set is missing.
    """
    old = found.summary
    extra: dict[str, Any] = dict(old.extra) if old is not None else {}
    is_partial = not whole or (old is not None and old.outcome == "partial")
    if losses.incomplete_count or losses.lost_count or not whole:
        extra.pop("generations", None)  # which logs are left is not for this layer to say
        extra.pop("examination", None)  # it counts files that are not here any more
    lost = [*extra.pop("lost", ()), *_lost_items(losses)]

    def summary() -> Summary:
        outcome = "partial" if is_partial else "complete"
        return Summary(head.to_json(), entries, content_size, finished, outcome, extra)

    room = _make_room(extra, losses, limits.MAX_JSON_SIZE - _SPARE_ROOM - len(summary().build()))
    kept = _fitting(lost, room)
    if len(kept) < len(lost):
        losses.notes.append(f"SUMM has no room for {len(lost) - len(kept)} of {len(lost)} losses")
    notes = [*extra.pop("notes", ()), *(note[:_MAX_NAME] for note in losses.notes)]
    extra.update({key: value for key, value in (("lost", kept), ("notes", notes)) if value})
    return summary()


def _make_room(extra: dict[str, Any], losses: Losses, room: int) -> int:
    """Leave out keys of SUMM until there is room for more; return the bytes that there are then."""
    for key in _by_size(extra, SUMM_KEYS):
        if room >= 0:
            break
        room += len(canonical_json.encode({key: extra.pop(key)})) - 1
        if key in SUMM_KEYS:
            losses.notes.append(f"SUMM has no room for its key {key} any more")
    return room


def _lost_items(losses: Losses) -> Iterator[dict[str, Any]]:
    """Yield the elements of the key `lost`."""
    for file in losses.files:
        name = (file.name or f"entry {file.number}")[:_MAX_NAME]
        for offset, size in _content_ranges(file):
            yield {
                "name": name,
                "offset": json_fields.to_count(offset),
                "reason": file.reason,
                "size": json_fields.to_count(size),
            }
    for first, count in losses.unknown:
        name = f"entry {first}" if count == 1 else f"entries {first} to {first + count - 1}"
        yield {"name": name, "offset": 0, "reason": "nothing but the number is known", "size": 0}


def _content_ranges(file: DamagedFile) -> Iterator[tuple[int, int]]:
    """Yield the ranges of content that the result lacks; a size that is not known is given as 0."""
    if file.written_as is not None and file.state is FileState.INCOMPLETE and file.missing:
        for missing in file.missing:
            yield missing.offset, missing.size or 0
    else:
        yield 0, 0 if file.written_as is not None else file.size or 0


def _fitting(items: list[dict[str, Any]], room: int) -> list[dict[str, Any]]:
    """Return the items that fit, from the first on."""
    kept = []
    for item in items:
        room -= len(canonical_json.encode(item)) + 1
        if room < 0:
            break
        kept.append(item)
    return kept


def _by_size(extra: Mapping[str, Any], known: Container[str], *, last: str | None = None) -> list[str]:
    """Return the keys in the order in which they are left out for want of room: first those that no table has, then the largest."""
    return sorted(
        (key for key in extra if key != last),
        key=lambda key: (key in known, -len(canonical_json.encode({key: extra[key]})), key),
    )
