"""The plan for one archive: its own locations and what the user says, brought together and held against the disk."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tokar import names
from tokar.bytesource import FileSource
from tokar.errors import InputError, LocationListError
from tokar.ese.identify import FileKind, identify
from tokar.restore.inventory import take_inventory
from tokar.restore.location_file import LocationFile, read_location_file
from tokar.restore.locations import Kind, Location, NameTarget, override, parse_location_list, parse_to
from tokar.restore.paths import own_hosts, parse_map
from tokar.restore.plan import Existing
from tokar.restore.planner import Request, make_plan, places_to_look_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.format.archive import Archive
    from tokar.format.metadata import Head
    from tokar.restore.plan import Plan


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
        existing: `refuse` or `set-aside`.
        code_page: The code page of an A list, in the locations file or in the archive.
        now: The time for the names of files that are set aside.

    Raises:
        LocationListError: The locations file, or the list in the archive when nothing replaces it, cannot be read.
        InputError: An argument makes no sense.
        StorageError: The locations file cannot be read.
    """
    if existing not in set(Existing):
        raise InputError(f"--existing takes {' or '.join(Existing)}, not {names.printable(existing)}")
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
    )


def _kept(archive: Archive, code_page: int, *, replaced: bool) -> tuple[Location, ...]:
    try:
        return stored_locations(archive.head, encoding=code_page)
    except LocationListError as error:
        if replaced:
            return ()
        error.path = archive.path
        raise


def plan_restore(archive: Archive, request: Request) -> Plan:
    """Look at the targets and return the complete plan. Nothing is written.

    Raises:
        FormatError: The index of the archive is damaged.
        NoSuchEntryError: A name in `only` or in a target fits no entry.
    """
    archive.demand_unique()
    inventory = take_inventory(places_to_look_at(request), engine_file)
    return make_plan(archive.entries, request, inventory)


def engine_file(path: Path) -> str | None:
    """Return what a file of a database engine is, told by its content, or None for any other file."""
    with FileSource(path) as source:
        kind = identify(source).kind
    return None if kind is FileKind.UNKNOWN else kind.value
