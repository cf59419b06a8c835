"""The end of every restore: a plan is refused, or shown, or carried out, and one value or a report says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from tokar.cli import output
from tokar.cli.progress import progress
from tokar.cli.restore_text import report_json, show_report
from tokar.errors import ArchiveError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.cli.restore_text import Manner
    from tokar.restore.place import Report


def finish(
    plan_json: Callable[[], dict[str, object]],
    refuse: Callable[[], None],
    size: int,
    carry_out: Callable[[Callable[[int], None] | None], Report],
    manner: Manner,
) -> None:
    """Refuse the plan, or carry it out unless it was only to be shown; with JSON print one value, whatever comes of it."""
    report: Report | None = None
    try:
        refuse()
        if not manner.dry_run:
            with progress("restoring", size, quiet=manner.quiet) as advance:
                report = carry_out(advance)
    except ArchiveError as error:
        if not manner.as_json:
            raise
        output.as_json({**plan_json(), "placed": None, "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    if manner.as_json:
        output.as_json({**plan_json(), "placed": report_json(report) if report else None})
    elif report is not None and not manner.quiet:
        show_report(report)
