"""The page: one file of HTML that loads nothing and runs nothing, for a screen, for paper, and for whoever gets it.

Every text is escaped by the template engine, and what is not printable in it too. The policy of the page forbids
everything but its own style, so that not even a name that got through could load or run anything.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tokar.check.ladder import CheckRequest, check
from tokar.check.report import CheckReport
from tokar.names import safe
from tokar.redact import Redactor
from tokar.report.picture import known_names, picture_of
from tokar.storage.sink import FileSink

if TYPE_CHECKING:
    from collections.abc import Callable

    from jinja2 import Template

WIDTH: Final = 1000  # units of a line, however wide it is shown
_BEGIN: Final = b"<!DOCTYPE html>"
_LEAST: Final = 4  # units of a shape


class Shape(NamedTuple):
    """A part of a line."""

    kind: str  # Its class: `all`, `part`, `committed`
    left: float  # Units from the start of the line
    width: float  # Units


def report(
    paths: Sequence[Path | str],
    out: Path | str,
    request: CheckRequest | None = None,
    *,
    redact: bool = False,
    replace: bool = False,
    progress: Callable[[int], None] | None = None,
    called: Callable[[str], str] = str,
) -> CheckReport:
    """Write what `check` finds of archives as a page of HTML, and return it.

    The page appears when it is whole. If it dies half-way, only a hidden file beside it is left.

    Args:
        paths: The archives, folders with archives, and folders and files of an engine as they lie.
        out: The page to write.
        request: What is asked for beyond them.
        redact: Whether names of hosts, users, authorities and databases are replaced.
        replace: Whether a page that is there may be replaced.
        progress: Called with numbers of bytes as they are verified.
        called: Returns the text of the page with each path as a person knows it.

    Raises:
        ExistingFileError: The name is taken.
        InputError: What was asked for makes no sense, or the page would replace what it is about.
        StorageError: An archive cannot be read, or the page cannot be written.
        NotSignedError: None of the signers signed one of the archives, or files lie as they are.
    """
    given = (path for path in paths if not os.path.isdir(path))  # noqa: PTH112 - no name is too long for it
    reads = [*given, *_of_a_set(paths, Path(out))]
    FileSink(out, replace=replace, reads=reads).discard()  # what is wrong with it is told before anything is read
    found, page = checked_page(paths, request or CheckRequest(), redact=redact, progress=progress, called=called)
    sink = FileSink(out, replace=replace, reads=reads)
    try:
        sink.write([page])
    except BaseException:
        sink.discard()
        raise
    sink.commit()
    return found


def checked_page(
    paths: Sequence[Path | str],
    request: CheckRequest,
    *,
    redact: bool = False,
    progress: Callable[[int], None] | None = None,
    called: Callable[[str], str] = str,
) -> tuple[CheckReport, bytes]:
    """Return what `check` finds of archives, and the page of it. Raises as `report` does, but for what it writes."""
    found = check(paths, request, progress=progress)
    picture = picture_of(found, paths, made=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", redact=redact)
    page = page_of(picture, redact=redact, known=known_names(found))
    return found, called(page).encode("utf-8", "backslashreplace")


def _of_a_set(paths: Sequence[Path | str], out: Path) -> Iterator[Path]:
    """Yield a file that is to be replaced and lies in a folder that is read, unless it is a page of before."""
    folders = {Path(path).resolve() for path in paths if os.path.isdir(path)}  # noqa: PTH112 - no name is too long
    if os.path.isfile(out) and folders & {*out.resolve().parents}:  # noqa: PTH113 - as above
        with out.open("rb") as file:
            if file.read(len(_BEGIN)) != _BEGIN:
                yield out


def page_of(
    picture: Mapping[str, Any], *, redact: bool = False, known: Mapping[str, Iterable[str]] | None = None
) -> str:
    """Return the page of a picture; names that are known are replaced too, by what they are of."""
    redactor = Redactor()
    for kind, names in (known or {}).items():
        redactor.learn(names, kind)
    shown = redactor.value(picture) if redact else picture
    style = _source("page.css")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return _template().render(shown, style=style, digest=digest, redacted=redact)


def _source(name: str) -> str:
    return files("tokar.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - only this verb needs it

    made = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    made.globals |= {"shapes": shapes, "unit": WIDTH}
    return made.from_string(_source("page.html"))


def _shown(value: Any) -> Any:
    """Return a value as it is put into the page: text without what is not printable."""
    return safe(value) if type(value) is str else value


def shapes(cells: Sequence[int], committed: int | None = None) -> Iterator[Shape]:
    """Yield the shapes of a line.

    Args:
        cells: How much there is in each of its places: nothing, some or all.
        committed: The place from which on only committed transactions are concerned.
    """
    width, at = WIDTH / max(len(cells), 1), 0
    kinds = ("", "part", "all")
    named = (
        (kinds[one] if committed is None or at < committed or not one else "committed") for at, one in enumerate(cells)
    )
    for kind, same in groupby(named):
        count = len([*same])
        if kind:
            left = min(at * width, WIDTH - _LEAST)
            yield Shape(kind, round(left, 1), round(max(count * width, _LEAST), 1))
        at += count
