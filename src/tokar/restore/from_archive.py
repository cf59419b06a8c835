"""The plan for one archive: its own locations and what the user says, brought together and held against the disk."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tokar import names
from tokar.errors import InputError, LocationListError
from tokar.restore.locations import (
    Kind,
    Location,
    LocationFile,
    NameTarget,
    override,
    parse_location_list,
    parse_to,
    read_location_file,
)
from tokar.restore.next_steps import RestoredSet, make_guidance, recovery_of
from tokar.restore.paths import own_hosts, parse_map
from tokar.restore.plan import Existing
from tokar.restore.planner import Request
from tokar.restore.planning import add_problems, engine_file, look_and_plan, places_of
from tokar.restore.soundness import incomplete_entries, incomplete_problem, soundness_of

__all__ = ["engine_file", "make_request", "plan_restore", "stored_locations"]

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.format.archive import Archive
    from tokar.format.metadata import Head
    from tokar.restore.next_steps import Guidance
    from tokar.restore.plan import Plan, Problem
    from tokar.restore.soundness import Soundness


def stored_locations(head: Head, *, encoding: int = names.UNKNOWN) -> tuple[Location, ...]:
    """Return the locations that an archive keeps from the time of the backup.

    Args:
        head: HEAD of the archive.
        encoding: The code page of an A list.

    Raises:
        LocationListError: They are there and cannot be read.
    """
    raw = head.location_list
    if raw is not None:
        return parse_location_list(raw.data, wide=raw.form == "w", encoding=encoding, source="the archive")
    return tuple(
        Location(one["token"], one["path"], Kind(one["kind"]), "the archive", by_hand=False, spelled=one["token"])
        for one in head.extra.get("locations", ())
    )


def make_request(
    archive: Archive,
    *,
    locations: Path | None = None,
    to: Sequence[str] = (),
    maps: Sequence[str] = (),
    into: Path | None = None,
    certutil: Path | None = None,
    only: Sequence[str] = (),
    existing: str = "refuse",
    code_page: int = 0,
    now: datetime | None = None,
    backup_logs: Path | None = None,
) -> Request:
    """Return what is asked for, with the archive's own locations as the base that everything else overrides.

    Args:
        archive: The archive.
        locations: A file with locations: a raw list, or TOML.
        to: `TOKEN=PATH` and `NAME=PATH`.
        maps: `PREFIX=DIR` for paths of other machines.
        into: The one directory that takes everything.
        certutil: The folder in which to make what `certutil -restoreDB` takes.
        only: Names of the entries to restore; all by default.
        existing: `refuse`, `set-aside` or `roll-forward`.
        code_page: The code page of an A list, in the locations file or in the archive.
        now: The time for the names of files that are set aside.
        backup_logs: A directory of their own for the restored logs and patch files.

    Raises:
        LocationListError: The locations file, or the list in the archive when nothing replaces it, cannot be read.
        InputError: An argument makes no sense.
        StorageError: The locations file cannot be read.
    """
    if existing not in set(Existing):
        raise InputError(f"--existing takes {', '.join(Existing)}, not {names.printable(existing)}")
    profile, base = archive.head.profile, str(Path.cwd())
    file = read_location_file(locations, profile, encoding=code_page) if locations else LocationFile()
    spoken = [parse_to(text, profile, base=base) for text in to]
    by_hand = [one for one in spoken if isinstance(one, Location)]
    by_name = [one for one in spoken if isinstance(one, NameTarget)]
    if (into or certutil) and file.locations:
        raise InputError("--into and --certutil send all files to one folder; leave the locations out")
    kept = () if into or certutil else _kept(archive, code_page, replaced=bool(file.locations or by_hand))
    raw = archive.head.location_list
    return Request(
        profile=profile,
        roots=(archive.root.hex(),),
        locations=override(kept, file.locations, by_hand),
        targets=(*by_name, *file.targets),
        maps=(*(parse_map(text, base) for text in maps), *file.maps),
        only=tuple(only),
        into=str(into.absolute()) if into else None,
        certutil=str(certutil.absolute()) if certutil else None,
        location_list=raw.data if raw else None,
        existing=Existing(existing),
        now=now or datetime.now(UTC),
        hosts=own_hosts(),
        backup_logs=str(backup_logs.absolute()) if backup_logs else None,
    )


def _kept(archive: Archive, code_page: int, *, replaced: bool) -> tuple[Location, ...]:
    try:
        return stored_locations(archive.head, encoding=code_page)
    except LocationListError as error:
        if replaced:
            return ()
        error.path = archive.path
        raise


def plan_restore(
    archive: Archive, request: Request, *, accept_unrecoverable: bool = False, accept_incomplete: bool = False
) -> Plan:
    """Look at the targets and return the complete plan. Nothing is written.

    Args:
        archive: The archive.
        request: What is asked for.
        accept_unrecoverable: Whether to restore databases that cannot be recovered from this set.
        accept_incomplete: Whether to restore files whose content is known to be incomplete.

    Raises:
        FormatError: The index of the archive, or the start of a database or log, is damaged.
        NoSuchEntryError: A name in `only` or in a target fits no entry.
    """
    archive.demand_unique()
    sound = None if request.only else soundness_of(archive)
    if sound is None and request.existing is Existing.ROLL_FORWARD:
        raise InputError("--existing roll-forward takes a whole set; leave --only out")
    plan = look_and_plan(archive.entries, request, sound.last_logs if sound else ())
    problems: list[Problem] = []
    if not accept_incomplete:
        placed = (entry for _, _, entry in plan.steps.placements())
        incomplete = incomplete_problem(incomplete_entries(archive, placed))
        problems += [incomplete] if incomplete else []
    if sound is None:
        return add_problems(plan, problems)
    if not accept_unrecoverable:
        problems += sound.problems
    return replace(add_problems(plan, problems), recovery=_guidance(archive, request, plan, sound))


def _guidance(archive: Archive, request: Request, plan: Plan, sound: Soundness) -> Guidance | None:
    """Return what follows the restore of one set; None where nothing in it is of the engine."""
    facts = sound.facts
    if not (facts.databases or facts.logs or sound.not_checked):
        return None
    low, high = facts.generations or (0, 0)
    label = str(archive.path or archive.id.hex())
    return make_guidance(
        profile=archive.head.profile,
        recovery=recovery_of(facts.databases),
        sets=(RestoredSet(label=label, low=low, high=high, has_databases=bool(facts.databases)),),
        places=places_of(plan, request, base=facts.logs[0].base if facts.logs else ""),
        certutil=(request.certutil,) if request.certutil is not None else (),
        not_checked=sound.not_checked,
    )
