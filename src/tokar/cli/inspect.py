"""`tokar inspect`: what is in an archive."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tokar import describe, names
from tokar.bytesource import FileSource
from tokar.cli import output
from tokar.cli.opening import named, open_archive
from tokar.cli.options import Json
from tokar.errors import FormatError, InputError, UnsealedError, UnsupportedError
from tokar.tokens import role, token_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokar.format.archive import Archive
    from tokar.format.entry import Entry
    from tokar.format.metadata import Head

app = typer.Typer(rich_markup_mode=None)
_MAX_LISTED = 10
_DIGEST_SHOWN = 16
_NO_ARCHIVE = UnsupportedError.exit_code


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
        raise InputError("--json takes one archive at a time")
    if entries + records + b3sums > 1 or (as_json and b3sums):
        raise InputError("--entries, --records and --b3sums exclude each other, and so do --b3sums and --json")
    for path in archives:
        if records:
            _records(path, as_json=as_json)
        else:
            _inspect(path, entries=entries, b3sums=b3sums, as_json=as_json)


def _inspect(path: str, *, entries: bool, b3sums: bool, as_json: bool) -> None:
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(open_archive(path))
            archive.pages  # noqa: B018 - read now: an archive with a damaged index is shown as a damaged one
        except FormatError as error:
            if error.exit_code != _NO_ARCHIVE and not b3sums:
                _partial(path, error, entries=entries, as_json=as_json)
            raise
        rows = ((entry, end - entry.file_position) for entry, end in archive.entries_with_ends())
        if as_json:
            facts = {
                "archive": describe.archive_json(path, archive),
                "locations": describe.locations_json(archive.head),
            }
            listed = (describe.entry_json(entry, archive.head.profile, stored) for entry, stored in rows)
            _stream_json(path, facts, "entries", listed)
        elif b3sums:
            _b3sums(archive)
        else:
            _summary(path, archive)
            if entries:
                output.line()
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
        ("name", output.safe(head.text("name") or "")),
        ("kind", head.kind),
        ("profile", head.profile),
        ("server", output.safe(head.text("server") or "")),
        ("annotation", output.safe(head.text("annotation") or "")),
        ("created", f"{head.created} by {output.safe(head.software)}"),
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
        output.pairs([(output.safe(one["name"]), one["reason"]) for one in left_out[:_MAX_LISTED]], indent="  ")
        if total > _MAX_LISTED:
            output.line(f"  ... and {total - min(_MAX_LISTED, len(left_out))} more (--json lists them)")
    for lost in extra.get("lost", [])[:_MAX_LISTED]:
        output.line(f"lost: {output.safe(lost['name'])}: {lost['reason']}")
    for note in extra.get("notes", [])[:_MAX_LISTED]:
        output.line(f"note: {output.safe(note)}")


def _entries(rows: Iterable[tuple[Entry, int]], profile: str) -> None:
    titles = ("#", "token", "role", "size", "stored", "digest", "leaf", "name")
    output.table(titles, (_row(entry, stored, profile) for entry, stored in rows), right=(0, 3, 4))


def _row(entry: Entry, stored: int, profile: str) -> tuple[str, ...]:
    leaf = describe.leaf_of(entry)
    return (
        str(entry.number),
        f"0x{entry.token:02X} {token_name(entry.token, profile)}",
        role(entry.token).value,
        f"{entry.size:,}",
        f"{stored:,}",
        entry.digest.hex()[:_DIGEST_SHOWN],
        "(unsafe)" if leaf is None else "=" if leaf == entry.name else names.printable(leaf),
        entry.name,
    )


def _stream_json(path: str, facts: dict[str, Any], key: str, rows: Iterable[dict[str, Any]]) -> None:
    """Print facts and a list as one JSON value without holding the list: an archive may have millions of entries.

    An error that ends the list becomes a part of the value.
    """
    write = sys.stdout.write
    write(output.json_text(facts, indent=2).removesuffix("\n}") + f',\n  "{key}": [')
    separator = "\n    "
    try:
        with named(path):
            for row in rows:
                write(separator + output.json_text(row))
                separator = ",\n    "
    except FormatError as error:
        write(f'\n  ],\n  "error": {output.json_text(output.error_json(error))}\n}}\n')
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    write("\n  ]\n}\n")


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
        partial = describe.Partial(source)
    state = "unsealed" if isinstance(error, UnsealedError) else "damaged"
    if as_json:
        output.as_json({**describe.partial_json(path, state, partial), "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code)
    output.line(f"{names.printable(path)}: {state.upper()} tokar archive, {output.size_text(partial.size)}")
    count = output.count_text(len(partial.entries), "complete entry", "complete entries")
    output.pairs([*(_head_rows(partial.head) if partial.head else []), ("before it", count)], indent="  ")
    if entries:
        _entries(partial.entries, partial.head.profile if partial.head else "")


def _records(path: str, *, as_json: bool) -> None:
    """Show the heads of all records. What ends the walk too early is raised after all that was walked over."""
    with named(path), FileSource(path) as source:
        heads = describe.walk_heads(source)
        if as_json:
            facts = {"archive": {"path": path, "size": source.size}}
            _stream_json(path, facts, "records", (describe.record_json(head) for head in heads))
            return
        output.line(f"{'position':>14}  {'kind':<4}  {'length':>12}  check")
        for head in heads:
            output.line(f"{head.position:>14}  {head.kind.decode()}  {head.length:>12}  {head.check.hex()}")
