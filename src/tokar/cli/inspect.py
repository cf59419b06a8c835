"""`tokar inspect`: what is in an archive, and what an ESE file says of itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeAlias

import typer

from tokar import names
from tokar.check import describe
from tokar.check.describe import DatabaseInSet
from tokar.cli import completion, output
from tokar.cli import examination as recorded
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.inspect_text import show_databases, show_left_out
from tokar.cli.options import (
    Json,
    demand_not_printed_into,
    end_with_json,
    local_file,
    named,
    open_archive,
    signature_lines,
)
from tokar.cli.sums import Sums, demand_sums, entry_json, print_sums
from tokar.errors import (
    ArchiveError,
    BadMagicError,
    FormatError,
    InputError,
    SetError,
    UnsealedError,
    UnsupportedError,
)
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.format.metadata import Head
from tokar.format.records import MAGIC
from tokar.storage.bytesource import FileSource
from tokar.tokens import role, token_name
from tokar.trust.signatures import signatures_of
from tokar.words import count_text, log_range

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_LISTED = 10
_DIGEST_SHOWN = 16
_NO_ARCHIVE = UnsupportedError.exit_code
Opener: TypeAlias = Callable[[str], AbstractContextManager[Archive]]


class Listing(NamedTuple):
    """What is to be listed of an archive."""

    entries: bool  # Every entry
    sums: Sums | None  # The hashes of their content
    tree: bool  # Under the paths in which the files lay, rather than their leaves


class Wanted(NamedTuple):
    """What is to be shown of a file."""

    headers: bool  # Its headers
    pages: bool  # What verifying its content finds


@app.command("inspect")
def inspect_files(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...",
            help="Archives, ESE files, folders with a set; - for standard input. With --headers, --pages or --records, "
            "what follows an archive and is no file names an entry of it.",
        ),
    ],
    *,
    entries: Annotated[bool, typer.Option("--entries", help="List every entry.")] = False,
    records: Annotated[
        bool,
        typer.Option(
            "--records",
            help="List every record of an archive with its position, reading bodies only after ROOT; of a log, also "
            "one inside an archive, every log record, and prove that they fill it.",
        ),
    ] = False,
    page: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="With --records of a log: only records that change this page."),
    ] = None,
    b3sums: Annotated[
        bool,
        typer.Option(
            "--b3sums",
            help="Print the digests as lines for `b3sum --check`, under the names the files are restored to.",
        ),
    ] = False,
    sums: Annotated[
        Sums | None,
        typer.Option(
            help="The same with another hash, for chains of custody: all content is read, and proven. With --json "
            "beside the digest of every entry.",
            show_default=False,
        ),
    ] = None,
    tree: Annotated[
        bool, typer.Option("--tree", help="With --b3sums or --sums: under the paths of restore --tree.")
    ] = False,
    headers: Annotated[
        bool, typer.Option("--headers", help="Print the headers of ESE files, also of those inside archives.")
    ] = False,
    pages: Annotated[
        bool,
        typer.Option(
            "--pages",
            help="Verify all pages of databases and segments of logs, and list what is damaged (exit code 9).",
        ),
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.entries,
            help="With --headers, --pages or --records: only this entry; may be repeated.",
        ),
    ] = None,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    as_json: Json = False,
) -> None:
    """Show what an archive holds: a summary, or every entry, or every record; and headers and damage of ESE files.

    Of the content of archives only the headers of databases are read, unless more is asked for: `tokar verify` proves
    all of it.

    Example: tokar inspect full.tokar --entries
    Example: tokar inspect CertLog/edb00005.log --records --page 7
    """
    wanted = Wanted(headers, pages)
    asked = _named_entries(files) if any(wanted) or records else {path: [] for path in files}
    listing = Listing(entries, demand_sums(sums, b3sums=b3sums, tree=tree, as_json=as_json), tree)
    sums = listing.sums
    listed = entries + records + (sums is not None)
    _demand_sense(listed=listed, wanted=wanted, only=bool(only) and not records)
    if page is not None and not records:
        raise InputError("--page goes with --records of a log")

    opened = partial(open_archive, keyring=keyring_of(identity, passphrase=passphrase))

    def show(given: str, names_inside: list[str]) -> bool:
        with local_file(given) as path:
            return show_file(path, names_inside)

    def show_file(path: str, names_inside: list[str]) -> bool:
        if Path(path).is_dir():
            return _folder(path, wanted, entries=entries, plain=not (records or sums), as_json=as_json)
        if records and (names_inside or page is not None or not _is_archive(path)):
            _log_records(path, names_inside, page, opened, as_json=as_json)
            return False
        if not (entries or sums or _is_archive(path)):
            return _ese_file(path, names_inside, wanted, as_json=as_json)
        if any(wanted):
            return bool(_ese_entries(path, names_inside, wanted, opened, as_json=as_json))
        if records:
            _records(path, as_json=as_json)
        else:
            _inspect(path, listing, opened, as_json=as_json)
        return False

    demand_not_printed_into(asked)
    with output.results(several=as_json and len(asked) > 1) as errors:
        codes = [
            _code_of(partial(show, path, [*(only or []), *inside]), errors, alone=len(asked) == 1, as_json=as_json)
            for path, inside in asked.items()
        ]
    if any(codes):
        raise typer.Exit(min(filter(None, codes)))


def _folder(path: str, wanted: Wanted, *, entries: bool, plain: bool, as_json: bool) -> bool:
    """Show the set that lies in a folder.

    Raises:
        InputError: Archives lie in it, or what was asked for is for archives and single files.
        typer.Exit: Something in it is damaged.
    """
    from tokar.cli.inspect_folder import show_folder  # noqa: PLC0415 - loads much, and few commands name a folder
    from tokar.sets.backup_set import sets_in  # noqa: PLC0415

    if inside := next(sets_in(Path(path)), None):
        hint = f"name them, such as {names.printable(str(inside))}; tokar chain shows how they fit together"
        raise InputError("archives lie in this folder", path=path, hint=hint)
    if not plain:
        raise InputError("--records, --b3sums and --sums are for archives and single files", path=path)
    if code := show_folder(path, wanted, entries=entries, as_json=as_json):
        raise typer.Exit(code)
    return False


def _code_of(show: Callable[[], bool], errors: list[ArchiveError], *, alone: bool, as_json: bool) -> int:
    """Show one file and return its exit code: what is wrong with it does not keep the others from being shown.

    Args:
        show: Shows it, and returns whether its content is damaged.
        errors: Takes what is wrong with it.
        alone: Whether there is no other: then its error ends the command.
        as_json: Whether its error is a JSON object too.

    Raises:
        ArchiveError: It cannot be shown, and there is no other.
    """
    try:
        return SetError.exit_code if show() else 0
    except typer.Exit as ending:
        errors += [ending.__cause__] if isinstance(ending.__cause__, ArchiveError) else []
        return ending.exit_code
    except ArchiveError as error:
        if alone:
            raise
        errors.append(error)
        output.report(error, as_json=as_json)
        return error.exit_code


def _demand_sense(*, listed: int, wanted: Wanted, only: bool) -> None:
    """Refuse options that do not go together."""
    if listed > 1:
        raise InputError("--entries, --records and --b3sums or --sums exclude each other")
    if (listed and any(wanted)) or (only and not any(wanted)):
        raise InputError("--headers and --pages go together, with --only, and with nothing else that lists")


def _named_entries(files: list[str]) -> dict[str, list[str]]:
    """Return the files, each with the names that follow it and are no files themselves."""
    found: dict[str, list[str]] = {}
    last: list[str] | None = None
    for path in files:
        if last is not None and path != "-" and not os.path.lexists(path):
            last.append(path)
        else:
            last = found.setdefault(path, [])
    return found


def _is_archive(path: str) -> bool:
    with FileSource(path) as source:
        return source.read(0, len(MAGIC)) == MAGIC


def _ese_file(path: str, inside: list[str], wanted: Wanted, *, as_json: bool) -> bool:
    """Show an ESE file on disk; return whether it is damaged.

    Raises:
        BadMagicError: It is neither that nor an archive.
        InputError: Entries of it are asked for, and it has none.
    """
    from tokar.cli import ese_files  # noqa: PLC0415 - archives alone do not need it
    from tokar.ese.inspect import inspect_file  # noqa: PLC0415

    with FileSource(path) as source:
        inspection = inspect_file(source)
    if not ese_files.is_ese(path, inspection):
        message = f"neither a tokar archive nor an ESE file: {inspection.identity.note}"
        raise BadMagicError(message, rule="PRE-1", path=path, offset=0)
    if inside:
        message = f"there is no file {names.printable(inside[0])}, and what it is asked for in is no archive"
        raise InputError(message, path=path, hint="only archives have entries")
    return ese_files.show_file(path, wanted if any(wanted) else Wanted(headers=True, pages=False), as_json=as_json)


def _ese_entries(path: str, only: list[str], wanted: Wanted, opened: Opener, *, as_json: bool) -> int:
    """Show ESE files inside an archive; return how many are damaged."""
    from tokar.cli import ese_files  # noqa: PLC0415 - a summary does not need it

    with opened(path) as archive:
        shown = ese_files.Shown(archive, only, wanted)
        if as_json:
            _stream_json(path, {"archive": describe.archive_json(path, archive)}, "files", shown.json())
        else:
            shown.show()
        return shown.damaged


def _inspect(path: str, listing: Listing, opened: Opener, *, as_json: bool) -> None:
    with ExitStack() as stack:
        try:
            archive = stack.enter_context(opened(path))
            archive.pages  # noqa: B018 - read now: an archive with a damaged index is shown as a damaged one
        except FormatError as error:
            if error.exit_code != _NO_ARCHIVE and not listing.sums:
                _partial(path, error, entries=listing.entries, as_json=as_json)
            raise
        rows = ((entry, end - entry.file_position) for entry, end in archive.entries_with_ends())
        if as_json:
            found = describe.databases(archive)
            facts = {
                "archive": describe.archive_json(path, archive),
                "locations": describe.locations_json(archive.head),
                "databases": [one.to_json() for one in found],
            }
            listed = (entry_json(archive, entry, stored, listing.sums) for entry, stored in rows)
            _stream_json(path, facts, "entries", listed)
            _exit_with_first_error(found)
        elif listing.sums:
            print_sums(archive, listing.sums, tree=listing.tree)
        else:
            _summary(path, archive)
            if listing.entries:
                output.line()
                _entries(rows, archive.head.profile)


def _summary(path: str, archive: Archive) -> None:
    head, summary = archive.head, archive.summary
    stored, original = output.size_text(archive.size), output.size_text(summary.content_size)
    generations = summary.extra.get("generations")
    output.line(f"{names.printable(path)}: sealed tokar archive, format 1; records not verified: tokar verify")
    logs = log_range(int(generations["low"]), int(generations["high"]), "generation") if generations else ""
    outcome = "" if summary.outcome == "complete" else f"{summary.outcome}: something is known to be missing"
    rows = [
        *_head_rows(head),
        ("content", "" if archive.key is None else "encrypted: tokar keys says for whom"),
        ("finished", summary.finished),
        ("outcome", outcome),
        ("entries", f"{archive.entry_count:,} ({_tokens(archive)})"),
        ("size", f"{original} in {stored}"),
        ("logs", logs),
        ("id", archive.id.hex()),
        ("root", archive.root.hex()),
    ]
    output.pairs(rows, indent="  ")
    for line in signature_lines((one.to_json() for one in signatures_of(archive)), None):
        output.line(f"  {line}")
    _locations(head)
    found = describe.databases(archive)
    show_databases(found)
    _examination(describe.examination(archive))
    _remarks(summary.extra)
    _exit_with_first_error(found)


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


def _exit_with_first_error(found: Sequence[DatabaseInSet]) -> None:
    """End with the fault of the archive that kept a database from being looked at; everything else was shown."""
    for one in found:
        if one.error is not None:
            output.report(one.error)
            raise typer.Exit(one.error.exit_code) from one.error


def _examination(examination: dict[str, Any] | None) -> None:
    """Say what was found while the archive was made."""
    looked = recorded.summary(examination) if examination else ""
    if examination and looked:
        output.line(f"content when it was archived: {looked}")
        output.lines("damaged: ", recorded.warnings(examination))
        output.lines("note: ", recorded.remarks(examination))


def _remarks(extra: dict[str, Any] | Any) -> None:
    left_out = [(output.safe(one["name"]), one["reason"]) for one in extra.get("left_out", [])]
    show_left_out(left_out, int(extra.get("left_out_count", len(left_out))))
    for lost in extra.get("lost", [])[:_MAX_LISTED]:
        output.line(f"lost: {output.safe(lost['name'])}: {lost['reason']}")
    output.lines("note: ", extra.get("notes", [])[:_MAX_LISTED])


def _entries(rows: Iterable[tuple[Entry, int]], profile: str) -> None:
    titles = ("#", "token", "role", "size", "stored", "modified", "digest", "leaf", "name")
    output.table(titles, (_row(entry, stored, profile) for entry, stored in rows), right=(0, 3, 4))


def _row(entry: Entry, stored: int, profile: str) -> tuple[str, ...]:
    leaf = entry.leaf
    return (
        str(entry.number),
        f"0x{entry.token:02X} {token_name(entry.token, profile)}",
        role(entry.token).value,
        f"{entry.size:,}",
        f"{stored:,}",
        describe.modified_time(entry) or "",
        entry.digest.hex()[:_DIGEST_SHOWN],
        "(unsafe)" if leaf is None else "=" if leaf == entry.name else names.printable(leaf),
        entry.name,
    )


def _stream_json(
    path: str,
    facts: dict[str, Any],
    key: str,
    rows: Iterable[dict[str, Any]],
    summary: Callable[[], dict[str, Any]] = dict,
) -> None:
    """Print facts and a list as one JSON value without holding the list: an archive may have millions of entries.

    An error that ends the list becomes a part of the value; what `summary` returns follows a list that is whole.
    """
    write = output.write
    write(output.begun(facts) + f',\n  "{key}": [')
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
    write("\n  ]")
    for name, value in summary().items():
        write(f',\n  "{name}": {output.json_text(value)}')
    write("\n}\n")


def _partial(path: str, error: FormatError, *, entries: bool, as_json: bool) -> None:
    """Show what is there of an archive that is cut or damaged, before the error itself."""
    with FileSource(path) as source:
        partial = describe.Partial(source)
    state = "unsealed" if isinstance(error, UnsealedError) else "damaged"
    if as_json:
        end_with_json(describe.partial_json(path, state, partial), error)
    output.line(f"{names.printable(path)}: {state.upper()} tokar archive, {output.size_text(partial.size)}")
    count = count_text(len(partial.entries), "complete entry", "complete entries")
    output.pairs([*(_head_rows(partial.head) if partial.head else []), ("before it", count)], indent="  ")
    if entries:
        _entries(partial.entries, partial.head.profile if partial.head else "")


def _log_records(path: str, inside: list[str], page: int | None, opened: Opener, *, as_json: bool) -> None:
    """Show the records of a log, or of logs inside an archive."""
    from tokar.cli.log_records import ShownRecords  # noqa: PLC0415 - archives alone do not need it
    from tokar.format.index import find_entries  # noqa: PLC0415

    with ExitStack() as stack:
        if not _is_archive(path):
            if inside:
                raise InputError(
                    f"there is no file {names.printable(inside[0])}", path=path, hint="only archives have entries"
                )
            shown = [ShownRecords(path, stack.enter_context(FileSource(path)), page)]
        else:
            archive = stack.enter_context(opened(path))
            if not inside:
                raise InputError("--page needs a log: name an entry", path=path)
            found = find_entries(archive, inside, path=path)
            shown = [ShownRecords(entry.name, archive.entry_source(entry), page) for entry in found]
        with output.results(several=as_json and len(shown) > 1):
            for one in shown:
                if as_json:
                    _stream_json(one.name, one.facts(), "records", one.json(), one.summary)
                    continue
                with named(one.name):
                    one.show()


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
