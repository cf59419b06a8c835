"""Pages of sets of each kind, and what is read of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final

from chain_sets import DATABASE, OTHER_STREAM, branch, dirty, full, increment, logs, part
from recovery_sets import archive, checkpoint, database, flip, streaming, write

from tokar.report.render import report
from tokar.sets.receipt import Receipt, Truncation, write_receipt

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE: Final = "<script>alert(1)<_script>\"'&\u202e\x1b[2J{{7*7}}<img src=x onerror=alert(2)>"
_VOID: Final = {"meta", "link", "br", "rect", "path"}


def make_sets(folder: Path) -> dict[str, Path]:
    """Sets of each kind, by what is to be seen on their pages."""
    for name in ("good", "hole", "fork", "hostile"):
        (folder / name).mkdir(parents=True)
    full(folder / "good", profile="certadm", server="CA1", locations=_places())
    increment(folder / "good", "monday", part(8, 9), profile="certadm", locations=_places())
    write_receipt(folder / "good" / "full.tokar", Receipt("sealed", Truncation.DONE, {"id": "ab" * 16}))
    full(folder / "hole")
    increment(folder / "hole", "monday", part(8, 9))
    increment(folder / "hole", "wednesday", part(12, 20))
    full(folder / "fork")
    increment(folder / "fork", "one", part(8, 12))
    increment(folder / "fork", "other", branch(8, 14))
    name = f"{HOSTILE}.edb"
    files = {name: bytes(streaming(5, 7)), **part(5, 7), "javascript:alert(1).log": b"x"}
    archive(folder / "hostile" / f"a{HOSTILE}.tokar", files, tokens={name: 0x44}, server=HOSTILE, annotation=HOSTILE)
    write(folder / "damaged", {DATABASE: damaged(900), **part(5, 7)})
    lying = {DATABASE: bytes(dirty(5, 7, 9)), **part(5, 8), **logs(0x90000, 0x90005, stream=OTHER_STREAM)}
    write(folder / "folder", {**lying, "edb.chk": checkpoint(5)})
    names = ("good", "hole", "fork", "hostile", "damaged", "folder")
    return {name: folder / name for name in names}


def _places() -> list[dict[str, object]]:
    folder = r"\\CA1\C$\CertLog"
    rows = ((0x44, rf"{folder}\main.edb", "file"), (0x82, folder, "directory"))
    return [{"token": token, "path": path, "kind": kind} for token, path, kind in rows]


def damaged(pages: int) -> bytes:
    """A database of which some pages cannot be read."""
    data = bytes(database(pages, raw_state=3, required_low=5, required_high=7, committed_high=7))
    for page in (3, 4, 5, 120, pages // 2, pages - 1):
        data = flip(flip(data, 4096 * (page + 1) + 500), 4096 * (page + 1) + 900, 3)
    return data


def page_of_set(path: Path, *, redact: bool = False) -> str:
    """The page of a set."""
    out = path.parent / f"{path.name}.html"
    report([path], out, redact=redact, replace=True)
    return out.read_text(encoding="utf-8")


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str]
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, *tags: str) -> list[Element]:
        """The elements below it, itself among them; those of some tags alone."""
        found = [self] if not tags or self.tag in tags else []
        return found + [one for child in self.children for one in child.all(*tags)]


class Page(HTMLParser):
    """Reads a page into elements; one that nothing closes is a fault."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(html)
        assert self._open == [self.root], f"nothing closes {[one.tag for one in self._open]}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        one = Element(tag, {key: value or "" for key, value in attrs})
        self._open[-1].children.append(one)
        if tag not in _VOID:
            self._open.append(one)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag
        self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for one in self._open:
            one.text += data  # what ends an element ends a word

    @property
    def text(self) -> str:
        """What can be read, in one line."""
        (body,) = self.root.all("body")
        return " ".join(body.text.split())


def colours(css: str) -> list[dict[str, str]]:
    """The colours by name: light, then dark."""
    light, dark = re.findall(r":root \{(.*?)\}", css, re.DOTALL)
    named = re.compile(r"--([\w-]+): (#[0-9a-f]{6})")
    return [dict(named.findall(light)), dict(named.findall(dark))]


def contrast(one: str, other: str) -> float:
    """How well two colours are told apart (WCAG 2.2)."""
    bright, dim = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
