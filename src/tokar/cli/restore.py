"""`tokar restore`: every file back into the directory that its token calls for, from one set or from a chain."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tokar import names
from tokar.as_json import as_json, fields_json
from tokar.check.report import outcome_of_damage
from tokar.cli import completion, output
from tokar.cli.encryption import IdentityFiles, Passphrase, keyring_of
from tokar.cli.options import (
    AcceptUnsigned,
    Json,
    Locations,
    Maps,
    Quiet,
    Revoked,
    SignedBy,
    To,
    allowed_signers,
    end_with_json,
    local_file,
    name_leftovers,
    open_given,
)
from tokar.cli.restore_text import show_chain, show_plan, show_recovery, show_registrations, show_report
from tokar.errors import ArchiveError, InputError, RestoreError, StorageError
from tokar.format.archive import Archive
from tokar.paths import parse_map
from tokar.processes import useful_processes
from tokar.restore.chosen import ChosenSets, OpenSets
from tokar.restore.options import RestoreOptions, parse_generation
from tokar.restore.place import Report
from tokar.restore.plan import Existing, Plan
from tokar.restore.prepare import outcome_of_sets, place_sets, plan_restore
from tokar.sets.by_other_means import beside, needs_key
from tokar.sets.choose import NotRestorableError
from tokar.sets.outcome import UNREAD, LastLine, as_accepted, as_refused
from tokar.sets.selection import replaced
from tokar.words import count_text, some

if TYPE_CHECKING:
    from tokar.server.contract import Registration, Server
    from tokar.server.run_restore import RestorationResult
    from tokar.trust.signatures import AllowedSigners

_ASKED_OF_THE_SERVER: Final = (
    *("locations", "to", "into", "tree", "system", "certutil", "backup_logs", "only", "code_page", "aside"),
    *("all_files", "right_names"),
)

_WITHOUT_A_SERVER: Final = (
    "stop the service, restore without --server ({}), and go on as its lines beginning with next: say"
)

_NOTHING: Final = dict.fromkeys(("chain", "recovery", "outcome", "placed"), None) | {"plans": []}
_REFUSED: Final = "this plan is refused; the verdict on the files alone:"

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def restore(
    archives: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ARCHIVE...",
            help="The archive, or all sets of a chain in any order; - for standard input, which is spooled first.",
            show_default=False,
        ),
    ] = None,
    *,
    chain: Annotated[Path | None, typer.Option(metavar="DIR", help="Take the archives in this folder.")] = None,
    until: Annotated[
        str | None, typer.Option(metavar="GENERATION", help="Stop at this log: 0x-hexadecimal, or the name of the log.")
    ] = None,
    server: Annotated[
        str | None,
        typer.Option(
            metavar="SOURCE",
            help="Drive the restore procedure of a server, its service stopped: certadm:, ntdsbcli: or lab:DIR.",
        ),
    ] = None,
    to: To = None,
    locations: Locations = None,
    maps: Maps = None,
    into: Annotated[Path | None, typer.Option(help="Put all files into this one directory.")] = None,
    tree: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Put all files below this directory, in the folders in which they lay."),
    ] = None,
    certutil: Annotated[
        Path | None,
        typer.Option(
            help="Write what `certutil -restoreDB` takes: DIR/DataBase with certbkxp.dat; of a chain, DIR/1, DIR/2, ..."
        ),
    ] = None,
    backup_logs: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Put logs and patch files into a directory of their own.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            autocompletion=completion.entries,
            help="Restore only this entry, or all that fit a pattern (edb*.log); may be repeated.",
        ),
    ] = None,
    existing: Annotated[
        str,
        typer.Option(
            metavar="refuse|set-aside|roll-forward",
            autocompletion=completion.existing,
            help="What to do about files that are in the way; nothing is ever deleted. "
            "roll-forward keeps logs that continue the set.",
        ),
    ] = "refuse",
    code_page: Annotated[int, typer.Option(help="The code page of a raw list with one byte a character.")] = 0,
    accept_unrecoverable: Annotated[
        bool, typer.Option("--accept-unrecoverable", help="Restore databases that cannot be recovered from the set.")
    ] = False,
    accept_incomplete: Annotated[
        bool, typer.Option("--accept-incomplete", help="Restore files of which salvage saved only a part.")
    ] = False,
    aside: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Put the files here that are left out because recovery must not meet them."),
    ] = None,
    branch: Annotated[
        str,
        typer.Option(
            metavar="LOG",
            help="Where there are two histories of logs: a log of the wanted one; ARCHIVE:LOG where several have the "
            "name.",
        ),
    ] = "",
    full: Annotated[
        str,
        typer.Option(
            metavar="ARCHIVE",
            help="Of several sets with databases, the one to begin with: several servers, or databases in several "
            "sets.",
        ),
    ] = "",
    right_names: Annotated[
        bool,
        typer.Option("--right-names", help="Give logs the names that the engine looks for, where theirs are wrong."),
    ] = False,
    all_files: Annotated[
        bool, typer.Option("--all-files", help="Place everything as it lay, also what recovery must not meet.")
    ] = False,
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over", help="With --server: go on although a restore that died is still registered there."
        ),
    ] = False,
    system: Annotated[
        str,
        typer.Option(
            "--for",
            metavar="windows",
            autocompletion=completion.systems,
            help="Only plan, for Windows paths of another machine: nobody looks at them.",
        ),
    ] = "",
    signed_by: SignedBy = None,
    revoked: Revoked = None,
    accept_unsigned: AcceptUnsigned = False,
    identity: IdentityFiles = None,
    passphrase: Passphrase = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Make and show the plan, write nothing.")] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Restore files to token-matched directories.

    The plan comes first, complete, and is refused (exit 6) before anything is written.

    Example: tokar restore full.tokar --into restored --identity admin.key
    Example: tokar restore --chain backups --to database=/srv/db/ --to log-dir=/srv/logs/ --dry-run
    """
    options = RestoreOptions(
        locations=locations,
        to=to or (),
        maps=maps or (),
        into=into,
        tree=tree,
        certutil=certutil,
        backup_logs=backup_logs,
        only=only or (),
        existing=existing,
        code_page=code_page,
        accept_unrecoverable=accept_unrecoverable,
        accept_incomplete=accept_incomplete,
        aside=aside,
        branch=branch,
        full=full,
        all_files=all_files,
        right_names=right_names,
        take_over=take_over,
        system=system,
    )
    keyring = keyring_of(identity, passphrase=passphrase)
    signers = allowed_signers(signed_by, revoked, accept_unsigned=accept_unsigned, quiet=quiet or as_json)
    showing = Showing(dry_run=dry_run or bool(system), quiet=quiet, as_json=as_json, signers=signers)
    named = archives or []
    if bool(named) == (chain is not None):
        raise InputError("name the archives, or the folder that they are in with --chain DIR")
    if full and len(named) == 1:
        raise InputError("--full is for several sets; leave it out")
    if take_over and server is None:
        raise InputError("--take-over goes with --server; without one nothing is registered")
    if len(named) == 1 and until is None and server is None:
        _demand_no_folder(named[0])
        with _known_with_error(showing) as known, open_given(named[0], keyring) as archive:
            if signers is not None:
                signers.demand(archive)
            _restore(archive, options, showing, known)
        return
    if accept_unrecoverable and not only:
        raise _not_unrecoverable(server, until, len(named))
    target = None if until is None else parse_generation(until)
    with _known_with_error(showing) as known, ExitStack() as stack:
        paths = [str(chain)] if chain is not None else [stack.enter_context(local_file(path)) for path in named]
        sets = stack.enter_context(OpenSets(paths, keyring, signers=signers, watch=showing.watch))
        known.sets = sets
        chosen = sets.select(target, options)
        for problem in sets.problems:
            output.note(f"cannot be read, and takes no part: {output.safe(str(problem))}")
        if server is None:
            _restore(chosen, options, showing, known)
        else:
            _restore_to(server, chosen, options, showing, known)


def _demand_no_folder(path: str) -> None:
    """Check that what is to be restored is no folder: one of files has to be archived first.

    Raises:
        StorageError: It is one.
    """
    if os.path.isdir(path):  # noqa: PTH112 - text
        folder = names.typed(path)
        hint = f"--chain {folder} takes the archives in it; of the files in it, make one: tokar create ARCHIVE {folder}"
        raise StorageError("it is a folder, and an archive is wanted", path=path, hint=hint)


def _not_unrecoverable(server: str | None, until: str | None, count: int) -> InputError:
    """Return why --accept-unrecoverable does not go with what else was asked for."""
    if server is not None:
        why = "--server has its service recover what is restored; leave --accept-unrecoverable out"
        return InputError(why, hint=_WITHOUT_A_SERVER.format("--into DIR"))
    if until is not None and count == 1:
        return InputError("--until stops where everything can be recovered; leave --accept-unrecoverable out")
    why = "--accept-unrecoverable is for one archive, or with --only; of a chain what can be recovered is restored"
    return InputError(why, hint="--until GENERATION stops before what cannot; or name one archive alone")


def _restore(sets: Archive | ChosenSets, options: RestoreOptions, showing: Showing, known: _Known) -> None:
    """Plan, show the plan, and carry it out unless it was only to be shown."""
    plan = plan_restore(sets, options, watch=showing.watch)
    known.value, known.judged = partial(plan.to_json, iter), (plan.outcome, _beside(plan.chosen))
    if showing.talks:
        if plan.chosen.selection is not None:
            show_chain(plan.chosen.selection, plan.left_out)
        for part, _ in plan.parts:
            show_plan(part)
        if plan.recovery is not None and not plan.is_refused:
            show_recovery(plan.recovery)
    plan.raise_for_problems()
    report: Report | None = None
    if not showing.dry_run:
        with output.progress("restoring", plan.size, of=_called(plan.chosen), quiet=showing.quiet) as advance:
            report = place_sets(plan, progress=advance, processes=useful_processes())
    found = as_accepted(plan.outcome, options.acceptances, options.accepted_for(one for one, _ in plan.parts))
    if showing.as_json:
        told = {"outcome": as_json(found), "placed": report and _report_json(report), "beside": _beside(plan.chosen)}
        output.as_json(plan.to_json(iter) | told | showing.to_json(report))
    elif showing.talks:
        if report is not None:
            show_report(report)
            output.lines("takes no part: ", (output.safe(str(one)) for one in replaced(plan.chosen.archives)))
            places = [Path(one.path) for part, _ in plan.parts for one in part.directories]
            name_leftovers(*places, *(one.parent for one in places))
        output.last_line(found, _beside(plan.chosen), unread=showing.unread(report))


def _beside(chosen: ChosenSets) -> tuple[str, ...]:
    """Return what no verdict says of the sets that are restored, and which of them nothing opens that was given."""
    locked = [str(one.path) for one in chosen.archives if one.is_locked]
    return (*needs_key(locked), *beside((chosen.archives[0].head.profile, chosen.facts)))


def _called(chosen: ChosenSets) -> str:
    """Return what the progress of a restore calls its sets."""
    return some((str(one.path or one.id.hex()) for one in chosen.archives), 1)


@dataclass
class _Known:
    """What is known of a restore, should it fail."""

    value: Callable[[], dict[str, object]] = dict  # The same as values for JSON
    sets: OpenSets | None = None  # All sets, where there are several
    # What the files come to that were chosen, and what no verdict says of them.
    judged: tuple[LastLine | None, tuple[str, ...]] | None = None


@contextmanager
def _known_with_error(showing: Showing) -> Iterator[_Known]:
    """Say also where the block fails what is known, with JSON as one value, and what damage or a refusal comes to."""
    known = _Known()
    try:
        yield known
    except ArchiveError as error:
        refused = isinstance(error, RestoreError)
        unread = (UNREAD,) if refused else ()  # a plan reads no content
        several = (known.sets.chain, known.sets.missed) if known.sets else ()
        found = error.outcome if isinstance(error, NotRestorableError) else outcome_of_damage(error, *several)
        told, own = known.judged if refused and not found and known.judged else (found, ())
        if refused:
            told = as_refused(told, error)
        if showing.as_json and ((value := known.value()) or known.sets or (refused and found)):
            judged = {"outcome": as_json(told)} if told else {}
            end_with_json(_NOTHING | value | judged | {"beside": own, "not_looked_at": unread}, error)
        if showing.talks:
            output.lines("", [_REFUSED] if refused and told and not told.refused else [])
            output.last_line(told, own, unread=unread if told and told.refused else ())
        raise


def _restore_to(source: str, chosen: ChosenSets, options: RestoreOptions, showing: Showing, known: _Known) -> None:
    """Restore sets to a server and print what it was told."""
    from tokar.cli.sources import opened_server, usable_kind  # noqa: PLC0415 - start-up time

    assert chosen.selection is not None
    usable_kind(source)
    _check_for_server(options)
    if showing.talks:
        show_chain(chosen.selection, chosen.selection.left_out)
    run = _ServerRun(outcome_of_sets(chosen))
    known.value, known.judged = lambda: _json(chosen, run), (run.outcome, _beside(chosen))
    with opened_server(source, {"restoring": True}) as server:
        run.next_steps = server.recovery_steps
        _drive(server, chosen, options, showing, run)
        run.outcome = outcome_of_sets(chosen, run.unproven)  # which may have met damage by now
    found = as_accepted(run.outcome, options.acceptances, options.accepted_for(run.plans))
    if showing.as_json:
        told = {"outcome": as_json(found), "beside": _beside(chosen)}
        output.as_json(_json(chosen, run) | told | showing.to_json())
    elif showing.talks:
        if run.result is not None:
            _show(run.result, run.next_steps)
            output.lines("takes no part: ", (output.safe(str(one)) for one in replaced(chosen.archives)))
        output.last_line(found, _beside(chosen), unread=showing.unread())


@dataclass
class _ServerRun:
    """What is known of a restore to a server, whether or not it comes to its end."""

    outcome: LastLine | None  # What the verdict on the sets comes to
    plans: list[Plan] = field(default_factory=list)  # The plan, once it is made
    result: RestorationResult | None = None  # What came of it; None where only the plan was wanted
    next_steps: tuple[str, ...] = ()  # What a person does next
    unproven: tuple[str, ...] = ()  # What nobody can tell of the server


def _check_for_server(options: RestoreOptions) -> None:
    """Refuse the options that a server leaves no room for."""
    given = [name for name in _ASKED_OF_THE_SERVER if getattr(options, name)]
    if given:
        option = "--for" if given[0] == "system" else "--" + given[0].replace("_", "-")
        way = _WITHOUT_A_SERVER.format("--right-names --into DIR") if options.right_names else None
        raise InputError(f"--server says where everything goes; leave {option} out", hint=way)
    if options.existing not in {Existing.REFUSE, Existing.SET_ASIDE}:
        shown = names.printable(options.existing)
        way = _WITHOUT_A_SERVER.format("--existing roll-forward --into DIR, or --to for each place")
        raise InputError(f"with --server, --existing takes refuse or set-aside, not {shown}", hint=way)


def _drive(server: Server, chosen: ChosenSets, options: RestoreOptions, showing: Showing, run: _ServerRun) -> None:
    """Drive the procedure, or only plan where no more is wanted."""
    from tokar.server.run_restore import parts_of_chosen, prepared_restore  # noqa: PLC0415 - only --server needs it

    parts = parts_of_chosen(chosen, accept_incomplete=options.accept_incomplete)
    maps = [parse_map(text, str(Path.cwd())) for text in options.maps]
    take_over = options.take_over and not showing.dry_run  # it tells the server something
    size = sum(one.size for part in parts for one in part.entries)
    existing = Existing(options.existing)
    with prepared_restore(server, parts, maps=maps, existing=existing, take_over=take_over) as restoring:
        run.plans.append(restoring.plan)
        run.unproven = restoring.unproven
        if showing.talks:
            show_plan(restoring.plan)
        restoring.plan.raise_for_problems()
        if not showing.dry_run:
            with output.progress("restoring", size, of=_called(chosen), quiet=showing.quiet) as advance:
                run.result = restoring.run(advance)


def _show(result: RestorationResult, next_steps: tuple[str, ...]) -> None:
    show_registrations(result.registrations)
    output.line(f"restored {count_text(result.files, 'file')}, {output.size_text(result.size)}; every digest was right")
    output.lines("next: ", next_steps)


def _json(chosen: ChosenSets, run: _ServerRun) -> dict[str, object]:
    result = run.result
    assert chosen.selection is not None
    assert chosen.recovery is not None
    registered = [one for one in chosen.ranges if one.low]  # a current log is placed, and not registered
    return {
        "chain": chosen.selection.to_json(chosen.archives),
        "plans": [plan.to_json(iter) for plan in run.plans],
        "recovery": {
            "kind": chosen.recovery.value,
            "generations": None,
            "registrations": [
                {"set": part.label, **_registration_json(one)}
                for part, one in zip(registered, result.registrations if result else (), strict=False)
            ],
            "next": list(run.next_steps),
            "never": [],
            "not_checked": [*chosen.not_checked, *run.unproven],
        },
        "outcome": as_json(run.outcome),
        "placed": {"files": result.files, "size": result.size} if result else None,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """What is shown of the work."""

    dry_run: bool  # Write nothing
    quiet: bool  # Print nothing but errors
    as_json: bool  # Print one JSON value
    signers: AllowedSigners | None = None  # Those of whom one signed each archive

    def watch(self, size: int, of: str) -> AbstractContextManager[Callable[[int], None] | None]:
        """Show how far the reading of content is on which the verdict hangs."""
        return output.progress("examining", size, of=of, quiet=self.quiet)

    def unread(self, report: Report | None = None) -> tuple[str, ...]:
        """Return what was not looked at: what is only planned, or was in place already, reads no content."""
        return (UNREAD,) if self.dry_run or (report is not None and report.found) else ()

    def to_json(self, report: Report | None = None) -> dict[str, object]:
        """Return what was not looked at, and who signed the archives, None where nobody was asked for."""
        return {"signed_by": self.signers and as_json(self.signers.accepted), "not_looked_at": self.unread(report)}

    @property
    def talks(self) -> bool:
        """Whether text for a person is printed."""
        return not (self.quiet or self.as_json)


def _report_json(report: Report) -> dict[str, object]:
    """Return what was placed as values for JSON."""
    asides = [fields_json(one, "directory", "name", "new_name") for one in report.asides]
    return {**fields_json(report, "files", "size", "without_time"), "set_aside": asides}


def _registration_json(one: Registration) -> dict[str, object]:
    """Return what a server was told about one set as values for JSON."""
    return {
        **fields_json(one, "checkpoint_path", "log_path", "backup_log_path"),
        "restore_map": None if one.restore_map is None else [{"old": old, "new": new} for old, new in one.restore_map],
        "restore_map_count": len(one.restore_map or ()),
        **fields_json(one, "generation_low", "generation_high"),
    }
