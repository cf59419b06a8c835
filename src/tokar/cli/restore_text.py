"""What `tokar restore` prints of a plan, of the sets that take part, and of what was placed."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from tokar import names
from tokar.cli import output
from tokar.paths import joined
from tokar.restore.next_steps import Guidance, Register
from tokar.restore.place import Report
from tokar.restore.plan import Plan
from tokar.sets.selection import ChainSelection, NotPlaced
from tokar.words import count_text, log_range

if TYPE_CHECKING:
    from tokar.server.contract import Registration

_MAX_LISTED: Final = 50


def show_plan(plan: Plan) -> None:
    """Print a plan, without what follows it."""
    rows, placed = [], plan.interrupted.placed if plan.interrupted else ()
    for step in islice(plan.steps, _MAX_LISTED):
        target = "-" if step.target is None else names.printable(step.target)
        token = f"0x{step.entry.token:02X} {step.token_name}"
        rows.append(
            (
                step.entry.name,
                token,
                step.rule,
                target,
                "there" if (step.directory, step.name) in placed else step.action.value,
            )
        )
    output.table(("file", "token", "rule", "target", "action"), rows)
    _more(len(plan.steps))
    for extra in plan.extras:
        output.line(f"also written: {_path(extra.directory, extra.name)}")
    for one in islice(plan.asides, _MAX_LISTED):
        output.line(f"set aside: {_path(one.directory, one.name)} -> {names.printable(one.new_name)} ({one.why})")
    _more(len(plan.asides))
    output.lines("note: ", plan.notes)
    for directory in plan.directories:
        files, made = count_text(directory.files, "file"), " (will be made)" if directory.make else ""
        output.line(f"{names.printable(directory.path)}: {files}, {output.size_text(directory.size)}{made}")


def _more(count: int) -> None:
    if count > _MAX_LISTED:
        output.line(f"... and {count - _MAX_LISTED:,} more (--json lists all)")


def show_chain(selection: ChainSelection, left_out: tuple[NotPlaced, ...]) -> None:
    """Print which sets take part, which do not, and what is left out of those that do."""
    for number, one in enumerate(selection.sets, 1):
        holds = ("databases, " if number == 1 else "") + (log_range(one.low, one.high) if one.low else "no logs")
        output.line(f"set {number}: {names.printable(one.label)}: {holds}")
    output.lines("takes no part: ", map(output.safe, selection.unused_with_why))
    for left in islice(left_out, _MAX_LISTED):
        output.line(f"left out: {output.safe(left.name)} of set {left.at + 1}: {left.reason}")
    _more(len(left_out))
    for fault in selection.remarks:
        output.line(f"note: {output.safe(fault.message)}")


def show_recovery(found: Guidance) -> None:
    """Print what follows a restore."""
    kind = "not checked" if found.recovery == "not-checked" else found.recovery.value
    played = f", {log_range(found.low, found.high)}" if found.low else ""
    output.line(f"recovery: {kind}{played}")
    output.lines("not checked: ", found.not_checked)
    for number, one in enumerate(found.registrations, 1):
        _show_register(number, one)
    output.lines("next: ", found.next_steps)
    output.lines("never: ", found.never)


def _show_register(number: int, one: Register) -> None:
    rows = one.restore_map
    count = "no restore map, count 0" if rows is None else f"{count_text(len(rows), 'row')} in the restore map"
    output.line(
        f"register {number}: {names.printable(one.label)}: {log_range(one.low, one.high)}, {count}; "
        f"checkpoint path {_known(one.checkpoint_path)}, log path {_known(one.log_path)}, "
        f"backup log path {_known(one.backup_log_path)}"
    )
    for old, new in rows or ():
        output.line(f"  {names.printable(old)} -> {names.printable(new)}")


def show_registrations(registrations: tuple[Registration, ...]) -> None:
    """Print what a server was told."""
    for number, one in enumerate(registrations, 1):
        count = f"{count_text(len(one.restore_map), 'row')} in the restore map" if one.restore_map else "no restore map"
        output.line(f"registered {number}: {log_range(one.generation_low, one.generation_high)}, {count}")
        for old, new in one.restore_map or ():
            output.line(f"  {names.printable(old)} -> {names.printable(new)}")


def show_report(report: Report) -> None:
    """Print what was placed."""
    done = "all is done already:" if report.found == report.files > 0 else "restored"
    there = f" ({report.found:,} there already)" if 0 < report.found < report.files else ""
    files = f"{count_text(report.files, 'file')}{there}"
    output.line(f"{done} {files}, {output.size_text(report.size)}; every digest was right")
    if report.without_time:
        output.line(f"note: {count_text(report.without_time, 'file')} could not be given the modification time")


def _known(path: str | None) -> str:
    return "not known here" if path is None else names.printable(path)


def _path(directory: str, name: str) -> str:
    return names.printable(joined(directory, name))
