"""`tokar chain`: how sets fit together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tokar.cli import output
from tokar.cli.last_line import show_outcome
from tokar.cli.options import Json, Quiet
from tokar.sets.backup_set import find_sets
from tokar.sets.chain import Chain, ChainStart, build_chain
from tokar.sets.faults import Fault
from tokar.sets.outcome import LastLine, Word, worst

app = typer.Typer(add_completion=False, rich_markup_mode=None)
_TIMELINE_WIDTH = 40


@app.command("chain")
def show_chain(
    paths: Annotated[
        list[Path], typer.Argument(metavar="DIR|ARCHIVE...", help="Archives, receipts, and folders with them.")
    ],
    *,
    content: Annotated[
        bool, typer.Option("--content", help="Check all pages and log segments too, and link logs by their content.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Show how sets fit together: as a tree, on a line of log generations, and of every set whether it is restorable.

    Logs decide, labels do not: a log continues another if it is of the same stream and repeats its creation time.
    A set of nothing but logs whose full is not named is part of a chain, and in order. Exit 9 where a set cannot be
    restored, or not without a loss, or where nobody could judge it: as check.
    """
    found = find_sets(paths, examine=content)
    chain = build_chain(found.sets)
    unreadable = [
        LastLine(Word.NOT_RESTORABLE, f"cannot be read: {error}", error.exit_code) for error in found.problems
    ]
    outcome = worst([*unreadable, *([chain.outcome] if chain.outcome else [])])
    if as_json:
        problems = [output.error_json(error) for error in found.problems]
        output.as_json({**chain.to_json(), "outcome": outcome.to_json() if outcome else None, "unreadable": problems})
    elif not quiet:
        _print(chain)
        for one in unreadable:
            output.line(output.safe(one.why))
        if outcome is not None:
            profiles = {one.profile for one in chain.sets}
            show_outcome(outcome, profiles.pop() if len(profiles) == 1 else "")
    if outcome is not None and outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


def _print(chain: Chain) -> None:
    low, high = _span(chain)
    children: dict[int | None, list[int]] = {}
    for number, parent in enumerate(chain.parents):
        children.setdefault(parent, []).append(number)
    stack = [(number, 0) for number in reversed(children.get(None, []))]
    width = max((len(one.label) for one in chain.sets), default=0) + 4
    while stack:
        number, depth = stack.pop()
        _print_set(chain, number, depth, (low, high), min(width, 60))
        stack += [(child, depth + 1) for child in reversed(children.get(number, []))]
    for start in chain.starts:
        _print_start(chain, start)
    for fault in chain.faults:
        _print_fault(fault, "", blocks=fault.blocks)


def _span(chain: Chain) -> tuple[int, int]:
    """Return the lowest and the highest generation of all sets."""
    found = [one.generations for one in chain.sets if one.generations and one.generations[1]]
    return min((one[0] for one in found), default=0), max((one[1] for one in found), default=0)


def _print_set(chain: Chain, number: int, depth: int, span: tuple[int, int], width: int) -> None:
    backup_set, verdict = chain.sets[number], chain.verdicts[number]
    name = f"{'  ' * depth}{output.safe(backup_set.label)}"
    logs = "no logs"
    if backup_set.generations and backup_set.generations[1]:
        logs = f"0x{backup_set.generations[0]:X}-0x{backup_set.generations[1]:X}"
    part = "part of a chain" if verdict.part else "restorable"
    state = "NOT RESTORABLE" if verdict.blocking else part
    kind = "receipt" if backup_set.receipt else backup_set.kind
    output.line(f"{name:<{width}}  {kind:<9}  {logs:<17}  {_bar(backup_set.generations, span)}  {state}")
    for fault in verdict.faults:
        _print_fault(fault, "  " * (depth + 1), blocks=fault in verdict.blocking)


def _bar(generations: tuple[int, int] | None, span: tuple[int, int]) -> str:
    """Return where generations lie between the lowest and the highest of all."""
    low, high = span
    if generations is None or not generations[1]:
        return " " * _TIMELINE_WIDTH
    count = high - low + 1
    width = min(_TIMELINE_WIDTH, count)
    start = (generations[0] - low) * width // count
    end = max((generations[1] - low + 1) * width // count, start + 1)
    return ("." * start + "=" * (end - start) + "." * (width - end)).ljust(_TIMELINE_WIDTH)


def _print_start(chain: Chain, start: ChainStart) -> None:
    label = output.safe(chain.sets[start.number].label)
    for verdict in start.verdict.databases:
        output.line(f"{label}: {output.safe(verdict.name)}: {output.safe(str(verdict))}")
    for run in start.runs:
        if run.versions:
            low, how = run.versions[0].generation, "hard" if start.hard else "soft"
            output.line(f"{label}: logs 0x{low:X} to 0x{run.end:X} can be played, by {how} recovery")
    output.lines("not checked: ", start.verdict.not_checked)


def _print_fault(fault: Fault, indent: str, *, blocks: bool) -> None:
    output.fault("!" if blocks else "note:", fault, indent=indent)
