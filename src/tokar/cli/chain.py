"""`tokar chain`: how sets fit together."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Annotated

import typer

from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.fault_lines import FaultLines
from tokar.cli.options import AcceptUnsigned, Json, Quiet, Revoked, SignedBy, allowed_signers, local_file, name_beside
from tokar.cli.timeline import print_timeline
from tokar.collect.on_disk import Given, find_all
from tokar.errors import SetError, worst_of
from tokar.sets.chain import Chain, build_chain
from tokar.sets.outcome import LastLine, Word, worst
from tokar.sets.start import ChainStart
from tokar.words import log_range, some

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command("chain")
def show_chain(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR|ARCHIVE...",
            help="Archives (- for standard input), receipts, folders with them, and sets as they lie.",
        ),
    ],
    *,
    content: Annotated[
        bool, typer.Option("--content", help="Check all pages and log segments too, and link logs by their content.")
    ] = False,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show how sets fit together: as a tree, on a line of log generations, and of every set whether it is restorable.

    Logs decide, labels do not: a log continues another if it is of the same stream and repeats its creation time.
    A set of nothing but logs whose full is not named is part of a chain, and in order. Exit 9 where a set cannot be
    restored, or not without a loss, or where nobody could judge it: as check.

    Example: tokar chain backups
    Example: tokar chain full.tokar monday.tokar --content
    """
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    keyring = keyring_of(identity, passphrase=passphrase)
    with ExitStack() as stack:
        given = Given.of([stack.enter_context(local_file(path)) for path in paths])
        name_beside(given.beside)
        found, lying = find_all(given, examine=content, signers=signers, keyring=keyring)
    locked = [one.label for one in found.sets if content and not one.facts.examined and one.receipt is None]
    chain = build_chain((*found.sets, *(one.backup_set for one in lying)))
    # What is here may do without a file that cannot be read, or not: it may also be the full, or logs that are missing.
    does = chain.outcome is not None and chain.outcome.word in {Word.RESTORABLE, Word.NOT_PROVEN}
    word = Word.NOT_PROVEN if does else Word.NOT_RESTORABLE
    unreadable = [LastLine(word, f"cannot be read: {error}", error.exit_code) for error in found.problems]
    changing = [name for one in lying for name in one.changed]
    if locked:
        why = f"content of {some(locked)}: it is encrypted, and nothing that was given opens it (--identity)"
        unreadable.append(LastLine(Word.NOT_PROVEN, why, SetError.exit_code))
    outcome = worst([*unreadable, *([chain.outcome] if chain.outcome else [])])
    if changing:
        outcome = LastLine(Word.NOT_PROVEN, f"{some(changing)}: written to while it was read", SetError.exit_code)
    if as_json:
        problems = [output.error_json(error) for error in found.problems]
        signed = to_json(signers.accepted) if signers else None
        found_json = {"outcome": to_json(outcome), "unreadable": problems, "signed_by": signed}
        failed = worst_of(found.problems)
        found_json |= {"error": output.error_json(failed)} if failed else {}
        output.as_json({**chain.to_json(), **found_json})
    elif not quiet:
        _print(chain)
        for one in unreadable:
            output.line(output.safe(one.why))
        output.last_line(outcome, *(one.profile for one in chain.sets))
    if outcome is not None and outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _print(chain: Chain) -> None:
    print_timeline(chain)
    said = FaultLines()
    for backup_set, verdict in zip(chain.sets, chain.verdicts, strict=True):
        blocking = set(map(id, verdict.blocking))
        if verdict.faults:
            output.line(f"{output.safe(backup_set.label)}:")
        for blocks in (True, False):
            found = [fault for fault in verdict.faults if (id(fault) in blocking) is blocks]
            said.print("!" if blocks else "note:", found, backup_set.label, "  ")
    for start in chain.starts:
        _print_start(chain, start)
    for fault in chain.faults:
        said.print("!" if fault.blocks else "note:", [fault], "the chain")


def _print_start(chain: Chain, start: ChainStart) -> None:
    label = output.safe(chain.sets[start.number].label)
    for verdict in start.verdict.databases:
        output.line(f"{label}: {output.safe(verdict.name)}: {output.safe(str(verdict))}")
    for run in start.runs:
        if played := start.playable(run):
            how = "hard" if start.hard else "soft"
            output.line(f"{label}: {log_range(played[0], played[-1])} can be played, by {how} recovery")
    output.lines("not checked: ", start.verdict.not_checked)
