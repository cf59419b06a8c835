"""What is printed of the examination of content: what was verified while the archive was made, and found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from tokar.cli import output
from tokar.words import count_text

_MAX_FILES: Final = 20
_COUNTS: Final = ("files", "pages", "empty", "segments", "ranges", "bad", "correctable", "not_verified")
_MAX_OFFSETS: Final = 3


def warnings(examination: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong: one line for each problem of a file, the first twenty files."""
    bad = [one for one in examination.get("entries", ()) if one.get("problems")]
    for one in bad[:_MAX_FILES]:
        for number, problem in enumerate(one["problems"]):
            where = _where(one) if number == 0 and int(one.get("bad", 0)) else ""
            yield f"{output.safe(one['name'])} {output.safe(problem)}{where}"
    if len(bad) > _MAX_FILES:
        yield f"{len(bad) - _MAX_FILES} more files have damage; the archive lists them"


def remarks(examination: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is worth knowing and not wrong, and why something was not verified."""
    yield from islice(_remarks(examination), _MAX_FILES)


def summary(examination: Mapping[str, Any]) -> str:
    """Return all of it in one line."""
    if examination["state"] != "done":
        what = "not wanted" if examination["state"] == "off" else "not possible where the archive was made"
        return f"not verified: {what}"
    counts = {key: int(examination.get(key, 0)) for key in _COUNTS}
    if not counts["files"]:
        return ""
    counts["pages"] -= counts["empty"]
    counts["segments"] -= counts["ranges"]
    verified = [
        count_text(counts[kind], word)
        for kind, word in (("pages", "page"), ("segments", "log segment"), ("ranges", "log range"))
        if counts[kind]
    ]
    bad = f"{counts['bad']:,} BAD" if counts["bad"] else "none bad"
    parts = [
        f"{' and '.join(verified)} verified, {bad}" if verified else "",
        f"{count_text(counts['empty'], 'empty page')} without a checksum" if counts["empty"] else "",
        f"{counts['correctable']:,} correctable" if counts["correctable"] else "",
        f"{count_text(counts['not_verified'], 'file')} not verified" if counts["not_verified"] else "",
    ]
    return ", ".join(part for part in parts if part)


def _remarks(examination: Mapping[str, Any]) -> Iterator[str]:
    for one in examination.get("entries", ()):
        name = output.safe(one["name"])
        correctable = int(one.get("correctable", 0))
        if correctable:
            yield f"{name} has {count_text(correctable, 'page')} with a flipped bit that the engine corrects"
        if "not_verified" in one and not one.get("problems"):
            yield f"{name} is not verified: {output.safe(one['not_verified'])}"
        if "note" in one:
            yield f"{name}: {output.safe(one['note'])}"


def _where(one: Mapping[str, Any]) -> str:
    """Return where the first bad pages or segments begin."""
    offsets = [f"0x{int(offset):X}" for offset in one.get("offsets", ())]
    shown = ", ".join(offsets[:_MAX_OFFSETS])
    more = ", ..." if int(one["bad"]) > _MAX_OFFSETS else ""
    return f", of {int(one.get('units', 0)):,}, at byte {shown}{more}" if shown else ""
