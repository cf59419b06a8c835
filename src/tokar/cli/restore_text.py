"""What `tokar restore` prints: the plan, the chain behind it, what follows, and what was done."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from tokar import names
from tokar.as_json import fields_json
from tokar.cli import output
from tokar.words import count_text

if TYPE_CHECKING:
    from tokar.restore.next_steps import Guidance, Register
    from tokar.restore.place import Report
    from tokar.restore.plan import Plan
    from tokar.server.contract import Registration
    from tokar.sets.choose import ChainSelection, NotPlaced

_MAX_LISTED: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """What is shown of the work."""

    dry_run: bool  # Write nothing
    quiet: bool  # Print nothing but errors
    as_json: bool  # Print one JSON value

    @property
    def talks(self) -> bool:
        """Whether text for a person is printed."""
        return not (self.quiet or self.as_json)


def show_plan(plan: Plan) -> None:
    """Print a plan, without what follows it."""
    rows = []
    for step in islice(plan.steps, _MAX_LISTED):
        target = "-" if step.target is None else names.printable(step.target)
        rows.append(
            (step.entry.name, f"0x{step.entry.token:02X} {step.token_name}", step.rule, target, step.action.value)
        )
    output.table(("file", "token", "rule", "target", "action"), rows)
    if len(plan.steps) > _MAX_LISTED:
        output.line(f"... and {len(plan.steps) - _MAX_LISTED:,} more (--json lists all)")
    for extra in plan.extras:
        output.line(f"also written: {_path(extra.directory, extra.name)}")
    for aside in plan.asides:
        new_name = names.printable(aside.new_name)
        output.line(f"set aside: {_path(aside.directory, aside.name)} -> {new_name} ({aside.why})")
    output.lines("note: ", plan.notes)
    for directory in plan.directories:
        made = " (will be made)" if directory.make else ""
        files = count_text(directory.files, "file")
        output.line(f"{names.printable(directory.path)}: {files}, {output.size_text(directory.size)}{made}")


def show_chain(selection: ChainSelection, left_out: tuple[NotPlaced, ...]) -> None:
    """Print which sets take part, which do not, and what is left out of those that do."""
    for number, one in enumerate(selection.sets, 1):
        logs = f"logs 0x{one.low:X} to 0x{one.high:X}" if one.low else "no logs"
        what = "databases, " if number == 1 else ""
        output.line(f"set {number}: {names.printable(one.label)}: {what}{logs}")
    output.lines("takes no part: ", map(names.printable, selection.unused))
    for left in islice(left_out, _MAX_LISTED):
        output.line(f"left out: {output.safe(left.name)} of set {left.at + 1}: {left.reason}")
    if len(left_out) > _MAX_LISTED:
        output.line(f"... and {len(left_out) - _MAX_LISTED:,} more (--json lists all)")
    for fault in selection.remarks:
        output.line(f"note: {output.safe(fault.message)}")


def show_recovery(found: Guidance) -> None:
    """Print what follows a restore."""
    kind = "not checked" if found.recovery == "not-checked" else found.recovery.value
    played = f", logs 0x{found.low:X} to 0x{found.high:X}" if found.low else ""
    output.line(f"recovery: {kind}{played}")
    output.lines("not checked: ", found.not_checked)
    for number, one in enumerate(found.registrations, 1):
        _show_register(number, one)
    output.lines("next: ", found.next_steps)
    output.lines("never: ", found.never)


def _show_register(number: int, one: Register) -> None:
    rows = one.restore_map
    count = "no restore map, count 0" if rows is None else count_text(len(rows), "row") + " in the restore map"
    output.line(
        f"register {number}: {names.printable(one.label)}: logs 0x{one.low:X} to 0x{one.high:X}, {count}; "
        f"checkpoint path {_known(one.checkpoint_path)}, log path {_known(one.log_path)}, "
        f"backup log path {_known(one.backup_log_path)}"
    )
    for old, new in rows or ():
        output.line(f"  {names.printable(old)} -> {names.printable(new)}")


def show_registrations(registrations: tuple[Registration, ...]) -> None:
    """Print what a server was told."""
    for number, one in enumerate(registrations, 1):
        rows = one.restore_map or ()
        count = count_text(len(rows), "row") + " in the restore map" if rows else "no restore map"
        output.line(f"registered {number}: logs 0x{one.generation_low:X} to 0x{one.generation_high:X}, {count}")
        for old, new in rows:
            output.line(f"  {names.printable(old)} -> {names.printable(new)}")


def report_json(report: Report) -> dict[str, object]:
    """Return what was placed as values for JSON."""
    asides = [fields_json(one, "directory", "name", "new_name") for one in report.asides]
    return {**fields_json(report, "files", "size"), "set_aside": asides, "without_time": report.without_time}


def registration_json(one: Registration) -> dict[str, object]:
    """Return what a server was told about one set as values for JSON."""
    return {
        **fields_json(one, "checkpoint_path", "log_path", "backup_log_path"),
        "restore_map": None if one.restore_map is None else [{"old": old, "new": new} for old, new in one.restore_map],
        "restore_map_count": len(one.restore_map or ()),
        **fields_json(one, "generation_low", "generation_high"),
    }


def show_report(report: Report) -> None:
    """Print what was placed."""
    files = count_text(report.files, "file")
    done = "all is done already:" if report.found == report.files > 0 else "restored"
    output.line(f"{done} {files}, {output.size_text(report.size)}; every digest was right")
    if report.without_time:
        output.line(f"note: {count_text(report.without_time, 'file')} could not be given the modification time")


def _known(path: str | None) -> str:
    return "not known here" if path is None else names.printable(path)


def _path(directory: str, name: str) -> str:
    return names.printable(os.path.join(directory, name))  # noqa: PTH118 - text, for a person
