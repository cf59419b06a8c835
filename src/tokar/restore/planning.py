"""What planning one archive and planning a chain share: the look at the disk, further problems, the places that recovery must know."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tokar import names
from tokar.errors import RestoreError
from tokar.ese.identify import FileKind, identify
from tokar.restore.inventory import take_inventory
from tokar.restore.journal import find_interrupted
from tokar.restore.next_steps import Places
from tokar.restore.plan import Existing, Fault, Problem
from tokar.restore.planner import make_plan, places_to_look_at
from tokar.restore.rollforward import look_for_continuing
from tokar.storage.bytesource import FileSource
from tokar.tokens import CHECKPOINT_DIR, LOG_DIR, Role, role

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tokar.restore.inventory import Inventory
    from tokar.restore.options import Request
    from tokar.restore.plan import Entries, Plan
    from tokar.sets.facts import LogFacts


def look_and_plan(entries: Entries, request: Request, logs: Sequence[LogFacts] = ()) -> Plan:
    """Look at the targets and return the plan. Nothing is written.

    Args:
        entries: The entries of the set, or of all sets of a chain.
        request: What is asked for.
        logs: The logs that are placed, in order; needed where logs that are there may stay.

    Raises:
        NoSuchEntryError: A name in `only` or in a target fits no entry.
        StorageError: A log that may stay cannot be read.
    """
    inventory = take_inventory(places_to_look_at(request), engine_file)
    # Where the files go is not known before there is a plan; what is there already does not change that.
    roll_forward = request.existing is Existing.ROLL_FORWARD
    first = make_plan(entries, replace(request, existing=Existing.SET_ASIDE) if roll_forward else request, inventory)
    left = find_interrupted(first)
    if left is not None:
        inventory = replace(inventory, interrupted=left)
    if roll_forward:
        plan = _roll_forward(entries, request, first, inventory, logs)
    else:
        plan = first if left is None else make_plan(entries, request, inventory)
    if left is None:
        return plan
    done = f"{len(left.placed)} files are in place and {len(left.staged)} are staged"
    return replace(plan, notes=(*plan.notes, f"goes on from an interrupted run of this restore: {done}"))


def _roll_forward(
    entries: Entries, request: Request, first: Plan, inventory: Inventory, logs: Sequence[LogFacts]
) -> Plan:
    """Return the plan that lets logs stay that continue the set."""
    folder = places_of(first, request).log_path
    directory = inventory.directories.get(folder) if folder is not None else None
    if directory is None:
        plan = make_plan(entries, request, replace(inventory, stays=frozenset()))
        why = "there is no one log directory, so nothing can be rolled forward"
        return add_problems(plan, [Problem(Fault.EXISTING, why, hint="use --existing set-aside")])
    found = look_for_continuing(directory, logs)
    plan = make_plan(entries, request, replace(inventory, stays=found.stays))
    stays = f"{len(found.stays)} logs in {directory.path} continue the set and stay; they reach 0x{found.high:X}"
    notes = (*plan.notes, stays if found.stays else f"no log in {directory.path} continues the set")
    return replace(add_problems(plan, found.problems), notes=notes)


def add_problems(plan: Plan, problems: Sequence[Problem]) -> Plan:
    """Return a plan with further problems, each in its place."""
    return replace(plan, problems=tuple(sorted((*plan.problems, *problems), key=lambda one: one.fault)))


def places_of(plan: Plan, request: Request, *, base: str = "") -> Places:
    """Return where a plan puts what recovery needs.

    Args:
        plan: The plan.
        request: What it was made from.
        base: The base name of the logs.
    """
    databases: list[tuple[str, str]] = []
    folders: set[str] = set()
    for directory, name, entry in plan.steps.placements():
        kind = role(entry.token)
        if kind is Role.DATABASE:
            old = names.decode(entry.raw_name, entry.encoding) or entry.name
            databases.append((old, request.join(directory, name)))
        elif kind is Role.LOG:
            folders.add(directory)
    logs = folders.pop() if len(folders) == 1 else None
    return Places(
        databases=tuple(databases),
        log_path=logs if request.backup_logs is None else _place_of(request, LOG_DIR),
        checkpoint_path=_place_of(request, CHECKPOINT_DIR),
        backup_log_path=request.backup_logs or logs,
        base=base,
    )


def _place_of(request: Request, token: int) -> str | None:
    """Return the directory of this machine that a directory token stands for, if that is known."""
    if request.folder is not None:
        return request.folder
    for location in request.locations:
        if location.token == token:
            try:
                return request.resolver.resolve(location.path, by_hand=location.by_hand)
            except RestoreError:
                return None
    return None


def engine_file(path: Path) -> str | None:
    """Return what a file of a database engine is, told by its content, or None for any other file."""
    with FileSource(path) as source:
        kind = identify(source).kind
    return None if kind is FileKind.UNKNOWN else kind.value
