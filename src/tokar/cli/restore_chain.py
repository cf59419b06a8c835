"""`tokar restore` from several sets, or with the restore procedure of a server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar.cli.restore_finish import finish
from tokar.cli.restore_server import restore_to
from tokar.cli.restore_text import show_chain, show_plan, show_recovery
from tokar.errors import InputError
from tokar.restore.prepare import OpenSets, find_sets, parse_generation, place_chain, plan_chain

if TYPE_CHECKING:
    from tokar.cli.restore_text import Manner
    from tokar.restore.prepare import RequestOptions

_STANDARD_INPUT: Final = "-"


def restore_chain(
    named: list[str],
    folder: Path | None,
    options: RequestOptions,
    manner: Manner,
    *,
    until: str | None,
    server: str | None,
) -> None:
    """Choose the sets of a chain and restore from them.

    Args:
        named: The archives, unless `folder` is given.
        folder: The folder that they are in.
        options: Where files go.
        manner: How the work is to be done.
        until: The log to stop at.
        server: The server whose restore procedure is to be driven.

    Raises:
        InputError: An argument makes no sense here.
        ArchiveError: As for `tokar.restore.prepare`, `tokar.server.run_restore` and `tokar.restore.place`.
    """
    if manner.accept_unrecoverable:
        raise InputError("--accept-unrecoverable is for one archive; of a chain only what can be recovered is restored")
    target = None if until is None else parse_generation(until)
    with _open_sets(named, folder) as sets:
        chosen = sets.select(target)
        if server is not None:
            restore_to(server, chosen, options, manner)
            return
        plan = plan_chain(chosen, accept_incomplete=manner.accept_incomplete, **options)
        if not (manner.as_json or manner.quiet):
            show_chain(chosen.selection, plan.left_out)
            for part, _ in plan.parts:
                show_plan(part)
            show_recovery(plan.recovery)
        finish(plan.to_json, plan.refuse, plan.size, lambda advance: place_chain(plan, progress=advance), manner)


def _open_sets(named: list[str], folder: Path | None) -> OpenSets:
    """Open the archives that are named, or those in a folder."""
    if folder is not None:
        return OpenSets(*find_sets(folder))
    if _STANDARD_INPUT in named:
        raise InputError("standard input can give one archive alone", hint="name the archives of a chain")
    return OpenSets(Path(one) for one in named)
