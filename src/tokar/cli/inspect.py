"""`tokar inspect`: what is in an archive."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokar import describe, names
from tokar.bytesource import FileSource
from tokar.cli import output
from tokar.cli.options import Json
from tokar.errors import FormatError, UnsupportedError
from tokar.format.archive import Archive, SequentialReader
from tokar.tokens import token_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tokar.format.entry import Entry
    from tokar.format.metadata import Head

app = typer.Typer(rich_markup_mode=None)
_MAX_LISTED = 10
_DIGEST_SHOWN = 16
_JSON_BATCH = 1000


@app.command("inspect")
def inspect_archives(
    archives: Annotated[list[str], typer.Argument(metavar="ARCHIVE...", help="Archives.")],
    *,
    entries: Annotated[bool, typer.Option("--entries", help="List every entry.")] = False,
    records: Annotated[
        bool, typer.Option("--records", help="List every record with its position, without reading bodies.")
    ] = False,
    b3sums: Annotated[
        bool,
        typer.Option(
            "--b3sums",
            help="Print the digests as lines for `b3sum --check`, under the names the files are restored to.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Show what an archive holds: a summary, or every entry, or every record. Content is not read: `tokar verify` does that."""
    if as_json and len(archives) > 1:
        raise typer.BadParameter("--json takes one archive at a time")
    for path in archives:
        if records:
            _records(path)
        else:
            _inspect(path, entries=entries, b3sums=b3sums, as_json=as_json)


def _inspect(path: str, *, entries: bool, b3sums: bool, as_json: bool) -> None:
    try:
        archive = Archive(path)
    except UnsupportedError:
        raise
    except FormatError as error:
        if error.exit_code == 3:
            raise
        _partial(path, error, entries=entries, as_json=as_json)
        raise
    with archive:
        if as_json:
            rows = ((entry, end - entry.file_position) for entry, end in archive.entries_with_ends())
            _stream_json(describe.archive_json(path, archive), archive.head, rows)
        elif b3sums:
            _b3sums(archive)
        else:
            _summary(path, archive)
            if entries:
                output.line()
                rows = ((entry, end - entry.file_position) for entry, end in archive.entries_with_ends())
                _entries(rows, archive.head.profile)


def _summary(path: str, archive: Archive) -> None:
    head, summary = archive.head, archive.summary
    stored, original = output.size_text(archive.size), output.size_text(summary.content_size)
    generations = summary.extra.get("generations")
    output.line(f"{names.printable(path)}: sealed tokar archive, format 1")
    output.pairs(
        (
            *_head_rows(head),
            ("finished", summary.finished),
            (
                "outcome",
                "" if summary.outcome == "complete" else f"{summary.outcome}: something is known to be missing",
            ),
            ("entries", f"{archive.entry_count:,} ({_tokens(archive)})"),
            ("size", f"{original} in {stored}"),
            (
                "logs",
                f"generations 0x{int(generations['low']):X} to 0x{int(generations['high']):X}" if generations else "",
            ),
            ("id", archive.id.hex()),
            ("root", archive.root.hex()),
        ),
        indent="  ",
    )
    _locations(head)
    _remarks(summary.extra)


def _head_rows(head: Head) -> list[tuple[str, str]]:
    prior, origin = head.extra.get("prior"), head.extra.get("origin")
    return [
        ("name", names.printable(head.text("name") or "")),
        ("kind", head.kind),
        ("profile", head.profile),
        ("server", names.printable(head.text("server") or "")),
        ("annotation", names.printable(head.text("annotation") or "")),
        ("created", f"{head.created} by {names.printable(head.software)}"),
        ("after", f"archive {prior['id']}, root {prior['root']}" if prior else ""),
        ("salvaged", f"from archive {origin.get('id') or origin.get('tag')}" if origin else ""),
    ]


def _tokens(archive: Archive) -> str:
    counts = describe.token_counts(archive)
    profile = archive.head.profile
    return ", ".join(f"{count:,} {token_name(token, profile)}" for token, count in sorted(counts.items())) or "none"


def _locations(head: Head) -> None:
    rows = [
        (f"0x{one['token']:02X} {one['name']}", names.printable(one["path"])) for one in describe.locations_json(head)
    ]
    if rows:
        output.line("locations at the time of the backup:")
        output.pairs(rows, indent="  ")


def _remarks(extra: dict[str, Any] | Any) -> None:
    left_out = extra.get("left_out", [])
    if left_out:
        total = int(extra.get("left_out_count", len(left_out)))
        output.line(f"not in it ({output.count_text(total, 'file')} left out):")
        output.pairs([(names.printable(one["name"]), one["reason"]) for one in left_out[:_MAX_LISTED]], indent="  ")
        if total > _MAX_LISTED:
            output.line(f"  ... and {total - min(_MAX_LISTED, len(left_out))} more (--json lists them)")
    for lost in extra.get("lost", [])[:_MAX_LISTED]:
        output.line(f"lost: {names.printable(lost['name'])}: {lost['reason']}")
    for note in extra.get("notes", [])[:_MAX_LISTED]:
        output.line(f"note: {names.printable(note)}")


def _entries(rows: Iterable[tuple[Entry, int]], profile: str) -> None:
    titles = ("#", "token", "name", "size", "stored", "leaf", "digest")
    output.table(titles, (_row(entry, stored, profile) for entry, stored in rows), right=(0, 3, 4))


def _row(entry: Entry, stored: int, profile: str) -> tuple[str, ...]:
    leaf = describe.leaf_of(entry)
    return (
        str(entry.number),
        f"0x{entry.token:02X} {token_name(entry.token, profile)}",
        entry.name,
        f"{entry.size:,}",
        f"{stored:,}",
        "(unsafe)" if leaf is None else "=" if leaf == entry.name else leaf,
        entry.digest.hex()[:_DIGEST_SHOWN],
    )


def _stream_json(archive: dict[str, Any], head: Head, rows: Iterable[tuple[Entry, int]]) -> None:
    """Print the whole answer without holding it: an archive may have millions of entries."""
    write = sys.stdout.write
    start = json.dumps({"archive": archive, "locations": describe.locations_json(head)}, indent=2, ensure_ascii=False)
    write(start[: start.rindex("\n")] + ',\n  "entries": [')
    separator = "\n    "
    for batch in _batches(
        json.dumps(describe.entry_json(entry, head.profile, stored), ensure_ascii=False) for entry, stored in rows
    ):
        write(separator + ",\n    ".join(batch))
        separator = ",\n    "
    write("\n  ]\n}\n")


def _batches(items: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _JSON_BATCH)):
        yield batch


def _b3sums(archive: Archive) -> None:
    for entry in archive:
        leaf = describe.leaf_of(entry)
        if leaf is None:
            output.note(f"{entry.name}: has no safe file name, left out of the list")
        else:
            output.line(f"{entry.digest.hex()}  {leaf}")


def _partial(path: str, error: FormatError, *, entries: bool, as_json: bool) -> None:
    """Show what is there of an archive that is cut or damaged, before the error itself."""
    with FileSource(path) as source:
        size = source.size
        partial = describe.Partial(SequentialReader(source))
    state = "unsealed" if error.exit_code == 5 else "damaged"
    if as_json:
        head = describe.head_json(partial.head) if partial.head else {}
        listed = [describe.entry_json(entry, head.get("profile", ""), stored) for entry, stored in partial.entries]
        output.as_json(
            {
                "archive": {"path": path, "size": size, "state": state, "format": 1, **head},
                "entries": listed,
                "error": output.error_json(error),
            }
        )
        return
    output.line(f"{names.printable(path)}: {state.upper()} tokar archive, {output.size_text(size)}")
    count = output.count_text(len(partial.entries), "complete entry", "complete entries")
    output.pairs([*(_head_rows(partial.head) if partial.head else []), ("before it", count)], indent="  ")
    if entries:
        _entries(partial.entries, partial.head.profile if partial.head else "")


def _records(path: str) -> None:
    with FileSource(path) as source:
        output.line(f"{'position':>14}  {'kind':<4}  {'length':>12}  check")
        output.line(f"{0:>14}  {'-':<4}  {32:>12}  preamble")
        for head in describe.walk_heads(source):
            output.line(f"{head.position:>14}  {head.kind.decode()}  {head.length:>12}  {head.check.hex()}")
