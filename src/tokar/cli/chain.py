"""`tokar chain`: how sets fit together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import typer

from tokar.as_json import as_json as to_json
from tokar.cli import output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.fault_lines import FaultLines
from tokar.cli.options import AcceptUnsigned, Json, Quiet, Revoked, SignedBy, allowed_signers, local_file, name_beside
from tokar.cli.timeline import print_timeline
from tokar.collect.on_disk import Given, find_all, judge_together
from tokar.errors import worst_of
from tokar.restore.guide import steps_without_current
from tokar.sets.by_other_means import beside_sets
from tokar.sets.chain import Chain
from tokar.sets.outcome import UNREAD
from tokar.sets.start import ChainStart
from tokar.words import log_range

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
        found, on_disk = find_all(given, examine=content, signers=signers, keyring=keyring)
        lying = [one.without_files() for one in on_disk]
        del on_disk
    together = judge_together(found, lying, examine=content, keyring=keyring)
    chain, outcome = together.chain, together.outcome
    is_changing = any(one.changed for one in lying)
    steps = [() if is_changing else steps_without_current(chain, number) for number in range(len(chain.sets))]
    unread = (UNREAD,) if not content and any(one.receipt is None for one in found.sets) else ()
    own = beside_sets(chain.sets)
    if as_json:
        problems = [output.error_json(error) for error in found.problems]
        signed = to_json(signers.accepted) if signers else None
        spared = to_json((*chain.spared, *together.spared))
        found_json = {"outcome": to_json(outcome), "unreadable": problems, "signed_by": signed, "not_looked_at": unread}
        found_json |= {"spared": spared, "beside": own}
        failed = worst_of(together.needed)
        found_json |= {"error": output.error_json(failed)} if failed else {}
        output.as_json({**_json(chain, steps), **found_json})
    elif not quiet:
        _print(chain, steps)
        for error in found.problems:
            spared = "" if error in together.needed else ", and takes no part"
            output.line(f"cannot be read{spared}: {output.safe(str(error))}")
            output.lines("  ", getattr(error, "__notes__", ()))
        if together.locked:
            output.line(output.safe(together.locked.why))
        output.last_line(outcome, own, unread=unread)
    if outcome is not None and outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _json(chain: Chain, steps: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return a chain with the next steps of each set."""
    value = chain.to_json()
    for row, own in zip(value["sets"], steps, strict=True):
        row["next"] = list(own)
    return value


def _print(chain: Chain, steps: Sequence[Sequence[str]]) -> None:
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
        _print_start(chain, start, steps[start.number])
    for fault in chain.faults:
        said.print("!" if fault.blocks else "note:", [fault], "the chain")
    output.lines("takes no part: ", (output.safe(str(one)) for one in chain.spared))


def _print_start(chain: Chain, start: ChainStart, steps: Sequence[str]) -> None:
    label = output.safe(chain.sets[start.number].label)
    for verdict in start.verdict.databases:
        output.line(f"{label}: {output.safe(verdict.name)}: {output.safe(str(verdict))}")
    for run in start.runs:
        if played := start.playable(run):
            how = "hard" if start.hard else "soft"
            output.line(f"{label}: {log_range(played[0], played[-1])} can be played, by {how} recovery")
    output.lines("not checked: ", start.verdict.not_checked)
    output.lines(f"{label}: after the restore: ", steps)
