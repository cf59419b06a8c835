"""`tokar restore --server`: the restore procedure of a server, driven with the sets of a chain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

from tokar import names
from tokar.cli import output
from tokar.cli.progress import progress
from tokar.cli.restore_text import registration_json, show_chain, show_plan, show_registrations
from tokar.errors import ArchiveError, InputError, SetError
from tokar.lab.lab import open_lab
from tokar.lab.server import SimulatedServer
from tokar.restore.paths import parse_map
from tokar.restore.plan import Existing
from tokar.restore.soundness import incomplete_entries, incomplete_problem
from tokar.server.run_restore import SetPart, lab_maps, restore_to_server

if TYPE_CHECKING:
    from tokar.cli.restore_text import Manner
    from tokar.restore.plan import Plan
    from tokar.restore.prepare import ChosenSets, RequestOptions
    from tokar.server.run_restore import RestorationResult

_SCHEME: Final = "lab:"
_ASKED_OF_THE_SERVER: Final = ("locations", "to", "into", "certutil", "backup_logs", "only", "code_page")


class _PlanOnlyError(Exception):
    """The plan is there, and it was all that was wanted; leaves the procedure, which ends it with the server."""


def parts_of_chosen(chosen: ChosenSets, *, accept_incomplete: bool = False) -> tuple[SetPart, ...]:
    """Return the chosen sets as what a restore procedure takes.

    Raises:
        SetError: A set has no log, so that nothing can be registered for it.
        RestoreError: A file is incomplete.
        FormatError: An archive is damaged.
    """
    parts = []
    for at, (one, archive) in enumerate(zip(chosen.selection.sets, chosen.archives, strict=True)):
        if not one.low:
            raise SetError("the set has no log, so nothing can be registered for it", path=one.label)
        entries = chosen.entries(at)
        problem = None if accept_incomplete else incomplete_problem(incomplete_entries(archive, entries))
        if problem is not None:
            raise problem.to_error()
        parts.append(SetPart(archive, entries, one.low, one.high))
    return tuple(parts)


def restore_to(source: str, chosen: ChosenSets, options: RequestOptions, manner: Manner) -> None:
    """Restore sets to a server and print what it was told.

    Raises:
        InputError: There is no such server, or an option says what the server says itself.
        ArchiveError: See `restoration.restore_to_server`.
    """
    folder = _lab_folder(source)
    existing = _existing(options)
    if not (manner.quiet or manner.as_json):
        show_chain(chosen.selection, chosen.selection.left_out)
    plans: list[Plan] = []
    try:
        result = _drive(folder, chosen, options, existing, manner, plans)
    except ArchiveError as error:
        if not manner.as_json:
            raise
        output.as_json({**_json(chosen, plans, None, folder), "error": output.error_json(error)})
        output.report(error)
        raise typer.Exit(error.exit_code) from error
    if manner.as_json:
        output.as_json(_json(chosen, plans, result, folder))
    elif result is not None and not manner.quiet:
        _show(result, folder)


def _existing(options: RequestOptions) -> Existing:
    """Return what to do about files that are there, having refused the options that a server leaves no room for."""
    given = [name for name in _ASKED_OF_THE_SERVER if options.get(name)]
    if given:
        option = "--" + given[0].replace("_", "-")
        raise InputError(f"--server says where everything goes; leave {option} out")
    wanted = options.get("existing", Existing.REFUSE)
    for one in (Existing.REFUSE, Existing.SET_ASIDE):
        if wanted == one:
            return one
    raise InputError(f"with --server, --existing takes refuse or set-aside, not {names.printable(wanted)}")


def _drive(  # noqa: PLR0917 - private, called once
    folder: Path,
    chosen: ChosenSets,
    options: RequestOptions,
    existing: Existing,
    manner: Manner,
    plans: list[Plan],
) -> RestorationResult | None:
    """Drive the procedure; None where only the plan was wanted. The plan is put into a list, so that it can be shown after a failure."""
    parts = parts_of_chosen(chosen, accept_incomplete=manner.accept_incomplete)
    maps = [*lab_maps(folder), *(parse_map(text, str(Path.cwd())) for text in options.get("maps", ()))]

    def announce(plan: Plan) -> None:
        plans.append(plan)
        if not (manner.quiet or manner.as_json):
            show_plan(plan)
        plan.refuse()
        if manner.dry_run:
            raise _PlanOnlyError

    server = SimulatedServer(open_lab(folder), running=False)
    size = sum(one.size for part in parts for one in part.entries)
    try:
        with progress("restoring", size, quiet=manner.quiet) as advance:
            return restore_to_server(
                server,
                parts,
                maps=maps,
                existing=existing,
                take_over=manner.take_over and not manner.dry_run,  # it tells the server something
                progress=advance,
                announce=announce,
            )
    except _PlanOnlyError:
        return None


def _show(result: RestorationResult, folder: Path) -> None:
    show_registrations(result.registrations)
    files = output.count_text(result.files, "file")
    output.line(f"restored {files}, {output.size_text(result.size)}; every digest was right")
    for step in _next(folder):
        output.line(f"next: {step}")


def _json(chosen: ChosenSets, plans: list[Plan], result: RestorationResult | None, folder: Path) -> dict[str, object]:
    return {
        "chain": chosen.selection.to_json(),
        "plans": [plan.to_json() for plan in plans],
        "recovery": {
            "kind": chosen.recovery().value,
            "registrations": [registration_json(one) for one in result.registrations] if result else [],
            "next": list(_next(folder)),
        },
        "placed": {"files": result.files, "size": result.size} if result else None,
    }


def _next(folder: Path) -> tuple[str, ...]:
    return (f"tokar lab recover {folder}",)


def _lab_folder(source: str) -> Path:
    place = source.removeprefix(_SCHEME)
    if place == source or not place:
        raise InputError(f"not a server to restore to: {source}", hint="lab:DIR is a simulated server")
    return Path(place)
