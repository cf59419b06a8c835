"""`tokar replay`: logs played on copies of their databases, in memory, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import Annotated

import typer

from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import Json, local_file
from tokar.collect.on_disk import open_set
from tokar.errors import InputError, SetError
from tokar.replay.chains import with_chains
from tokar.replay.support import support_rows
from tokar.replay.whole import Replay, Replayed, clash_text, report_lines
from tokar.sets.facts import SetFacts
from tokar.sets.linked import databases_linked, no_database

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_MAX_LISTED = 20


@app.command("replay")
def replay_set(
    given: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="DIR|ARCHIVE...",
            help="A folder with databases and their logs, or archives of a chain; - is one from standard input.",
        ),
    ] = None,
    *,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    support: Annotated[
        bool, typer.Option("--support", help="Print what is proved of each type of log record, and stop.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Play the logs of a set on copies of its databases, in memory, as recovery would, and say what came of it.

    Nothing is written. Exit 9 where a database could not be played to the end, or is not where its logs lead to.
    `tokar recover` writes the result; `tokar check --replay` makes it a part of the verdict on an archive.

    Example: tokar replay ./CertLog
    Example: tokar replay --support
    """
    if support:
        print_support(as_json=as_json)
        return
    if not given:
        raise InputError("name a set", hint="tokar replay --help shows what it takes")
    with ExitStack() as stack:
        paths = [stack.enter_context(local_file(path)) for path in given]
        files = stack.enter_context(open_set(paths, keyring_of(identity, passphrase=passphrase)))
        name_unused(files.unused)
        facts = with_chains(files.facts, files.open)
        replay = stack.enter_context(Replay(facts, files.open, files.left_out))
        reports = [one.report for one in replay.run()]
    if reports or as_json:
        name_links(facts)
    if as_json:
        chains = ({"name": one.name, "chain": to_json(one.chain)} for one in facts.databases if one.chain is not None)
        output.as_json({"databases": map(to_json, reports), "chains": chains})
    else:
        _print(facts, reports)
    off = any(one.chain is not None and one.chain.wrong for one in facts.databases)
    if off or not reports or any(one.why_not for one in reports):
        raise typer.Exit(SetError.exit_code)


def name_unused(sets: Iterable[str]) -> None:
    """Name the sets that take no part, beside what the command prints."""
    for one in sets:
        output.note(f"takes no part: {one}")


def name_links(facts: SetFacts) -> None:
    """Name the databases that are links, beside what the command prints."""
    for one in databases_linked(facts):
        output.note(one)


def print_support(*, as_json: bool) -> None:
    """Print how far each type of record is supported."""
    rows = [*support_rows()]
    if as_json:
        output.as_json({"types": [row._asdict() for row in rows]})
        return
    output.table(("#", "type", "support", "on what"), [(str(row[0]), *row[1:]) for row in rows], right=(0,))


def _print(facts: SetFacts, reports: list[Replayed]) -> None:
    chains = {one.name: one.chain for one in facts.databases if one.chain is not None}
    if not reports:
        output.line(no_database(facts))
    for report in reports:
        output.line(output.safe(report.name))
        chain = chains.get(report.name)
        if chain is not None:
            output.line(f"  {output.safe(str(chain))}")
            output.lines("    ! ", map(str, chain.off))
        if report.why_not:
            output.line(f"  not rehearsed: {output.safe(report.why_not)}")
            output.lines("  left out: ", report.left_out)
            output.lines("    ! ", map(clash_text, report.clashes[:_MAX_LISTED]))
        else:
            output.lines("  ", report_lines(report))
