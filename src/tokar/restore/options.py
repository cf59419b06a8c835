"""What the user asks of a restore, as data, and which directories must be looked at before it can be planned."""

from __future__ import annotations

import ntpath
import os
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from tokar import names
from tokar.errors import InputError, LocationListError, RestoreError, UnsafeNameError, storage_errors
from tokar.ese.filenames import parse_file_name
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.format.metadata import Head
from tokar.location_list import Kind, Location, list_of, parse_location_list
from tokar.paths import PathMap, PathResolver, last_component, native, own_hosts, parse_map, take_apart
from tokar.restore.locations import LocationFile, NameTarget, override, parse_to, read_location_file
from tokar.restore.plan import Existing, Plan
from tokar.sets.facts import SetFacts

# The folder that certutil -backupDB makes and -restoreDB takes: DIR\DataBase with the location list beside the files
# (certsrv.h).
CERTUTIL_FOLDER = "DataBase"
_HIGHEST: Final = 0xFFFFFFFF  # a generation has four bytes (log header)
_GENERATION_HINT: Final = "0x-hexadecimal, as in 0x1A, or the name of the log, as in edb0001A.log"
_NO_ROLL_FORWARD = "--certutil makes folders to be carried elsewhere; --existing roll-forward has no meaning there"
_NO_LOCATIONS = "--into, --tree and --certutil send all files to one folder; leave the locations out"
_ONE_FOLDER = "--into, --tree and --certutil exclude each other"
_NOT_LOOKED_AT = "--for plans for a machine at which nobody looks; leave --existing out"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreOptions:
    """What a person asks of a restore, in the person's own words; which sets are restored is said elsewhere."""

    locations: Path | None = None  # A file with locations: a raw list, or TOML
    to: Sequence[str] = ()  # `TOKEN=PATH` and `NAME=PATH`
    maps: Sequence[str] = ()  # `PREFIX=DIR` for paths of other machines
    into: Path | None = None  # The one directory that takes everything
    tree: Path | None = None  # The directory that takes everything in the folders in which it lay when it was collected
    # The folder in which to make what `certutil -restoreDB` takes; of a chain, a numbered folder for each set in it.
    certutil: Path | None = None
    only: Sequence[str] = ()  # Names of the entries to restore; empty for all
    existing: str = Existing.REFUSE  # `refuse`, `set-aside` or `roll-forward`
    code_page: int = 0  # The code page of an A list, in the locations file or in the archive
    backup_logs: Path | None = None  # A directory of their own for the restored logs and patch files
    accept_unrecoverable: bool = False  # Restore databases that cannot be recovered; for one archive alone
    accept_incomplete: bool = False  # Restore files that are known to be incomplete
    aside: Path | None = None  # `--aside`: where to put what the plan leaves out
    full: str = ""  # `--full`: of several sets with databases, the one to begin with
    branch: str = ""  # `--branch`: the name of a log of the history that is wanted, where there are two
    right_names: bool = False  # Give logs the names that the engine looks for, where theirs are wrong
    all_files: bool = False  # Place everything as it lay, also what recovery must not meet
    take_over: bool = False  # Go on although a restore that died is still registered with the server
    system: str = ""  # `windows`: plan for another machine, at whose directories nobody looks; empty for this one

    @property
    def as_it_lay(self) -> bool:
        """Whether everything is placed, also what recovery must not meet."""
        return self.all_files or self.tree is not None

    @property
    def acceptances(self) -> tuple[str, ...]:
        """The options that ask for files by name although recovery may fail or lose something."""
        given = ("accept_unrecoverable", "all_files", "tree", "full")
        return tuple("--" + name.replace("_", "-") for name in given if getattr(self, name))

    def accepted_for(self, plans: Iterable[Plan]) -> tuple[str, ...]:
        """Return the option for files that are known to be incomplete, where one of them is placed."""
        return ("--accept-incomplete",) if self.accept_incomplete and any(one.has_incomplete for one in plans) else ()


_NO_FOLDER: Final = "--tree keeps folders below one that was named, and a name here is no path below a folder"
NO_OPTIONS: Final = RestoreOptions()


class Apart(NamedTuple):
    """Why an entry is not placed beside the others, and where it goes under the directory that takes such files."""

    reason: str
    folder: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the options mean for an archive: tokens and paths are read, and its own locations are taken in."""

    profile: str  # The profile of the archive
    roots: tuple[str, ...] = ()  # The roots of the archives, as hex digits; they are written into the plan
    from_server: bool = False  # Whether a server says where tokens go, so that a person can only map its paths
    numbered: bool = True  # Whether `#N` names an entry: not in a chain, where the plan numbers the entries anew
    locations: tuple[Location, ...] = ()  # Where tokens go
    targets: tuple[NameTarget, ...] = ()  # Where single entries go
    maps: tuple[PathMap, ...] = ()  # What paths of other machines stand for
    only: tuple[str, ...] = ()  # Names of the entries to restore; empty for all
    into: str | None = None  # The one directory that takes everything; absolute
    tree: str | None = None  # The directory that takes everything in the folders in which it lay; absolute
    certutil: str | None = None  # The folder in which to make what `certutil -restoreDB` takes
    elsewhere: bool = False  # Whether it is a plan for another machine, at whose directories nobody looks
    location_list: bytes | None = None  # The raw location list that certutil gets
    notes: tuple[str, ...] = ()  # What is to be said of it
    existing: Existing = Existing.REFUSE  # What to do about files that are there already
    # The time for the names of files that are set aside.
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    windows: bool = os.name == "nt"  # Whether this machine has drives
    hosts: frozenset[str] = field(default_factory=own_hosts)  # The names of this machine that UNC paths may use
    left_out: Mapping[int, Apart] = field(default_factory=dict)  # Entries that are not placed
    names: Mapping[int, str] = field(default_factory=dict)  # Entries that get another name than they had
    aside: str | None = None  # The directory that takes those all the same; absolute
    # The directory of their own that restored logs and patch files go to, in place of the log directory; absolute. The
    # engine demands exactly the registered range there (-553, -554).
    backup_logs: str | None = None

    def __post_init__(self) -> None:
        folder, apart = self.folder, self.certutil is not None
        by_hand = any(one.by_hand for one in self.locations)
        for is_wrong, message in (
            (sum(one is not None for one in (self.into, self.tree, self.certutil)) > 1, _ONE_FOLDER),
            (self.elsewhere and self.existing is not Existing.REFUSE, _NOT_LOOKED_AT),
            (self.tree is not None and self.backup_logs is not None, "--tree leaves logs where they lay"),
            (apart and self.existing is Existing.ROLL_FORWARD, _NO_ROLL_FORWARD),
            (apart and self.backup_logs is not None, "--certutil makes folders of its own; leave --backup-logs out"),
            (folder is not None and take_apart(folder) is None, f"{folder} is not an absolute path"),
            (folder is not None and by_hand, _NO_LOCATIONS),
        ):
            if is_wrong:
                raise InputError(message)

    @property
    def resolver(self) -> PathResolver:
        """What turns the paths of locations into paths of this machine."""
        return PathResolver(self.maps, windows=self.windows, hosts=self.hosts)

    @property
    def folder(self) -> str | None:
        """The one directory that takes everything, if there is one."""
        if self.certutil is not None:
            return self.join(self.certutil, CERTUTIL_FOLDER)
        return self.into or self.tree

    def directory_of(self, entry: Entry) -> str | None:
        """Return the directory that an entry goes to where one directory takes everything.

        Raises:
            RestoreError: It goes where it lay, and its name does not say where.
        """
        if self.tree is not None:
            try:
                return self.join(self.tree, *names.folders_of(entry.raw_name, entry.encoding))
            except UnsafeNameError as error:
                raise RestoreError(_NO_FOLDER, hint="put all into one directory: --into DIR, and not --tree") from error
        is_beside = self.certutil is not None and names.is_key(entry.name)
        return self.certutil if is_beside else self.folder

    def aside_of(self, apart: Apart) -> str | None:
        """Return the directory that takes an entry which is not placed; None where none does."""
        if self.aside is None or not apart.folder:
            return self.aside
        return self.join(self.aside, apart.folder)

    def path_of(self, place: Location | NameTarget) -> str | None:
        """Return the path of this machine that a place means; None where that cannot be told."""
        try:
            return self.resolver.resolve(place.path, by_hand=place.by_hand)
        except RestoreError:
            return None

    def join(self, directory: str, *below: str) -> str:
        """Return a path in the manner of this machine."""
        return ntpath.join(directory, *below) if self.windows else posixpath.join(directory, *below)

    def split(self, path: str) -> tuple[str, str]:
        """Return directory and name of a path in the manner of this machine."""
        return ntpath.split(path) if self.windows else posixpath.split(path)


def places_to_look_at(request: Request, entries: Iterable[Entry] = ()) -> tuple[str, ...]:
    """Return the directories that the inventory must know for a plan to be made of entries."""
    asides = {request.aside, *(request.aside_of(one) for one in request.left_out.values())}
    first = (request.folder, request.backup_logs, *sorted(asides, key=str))
    wanted = dict.fromkeys(path for path in first if path is not None)  # each once: there may be a million entries
    if request.tree is not None or request.certutil is not None:  # which have folders of their own for some
        for entry in entries:
            with suppress(RestoreError):  # the plan will say so
                wanted[request.directory_of(entry) or ""] = None
    places: list[Location | NameTarget] = [*request.targets]
    if request.folder is None:
        places = [*request.locations, *places]
    for place in places:
        path = request.path_of(place)
        if path is None:
            continue  # the plan will say so
        if place.kind is not Kind.FILE:
            wanted[path] = None
        if place.kind is not Kind.DIRECTORY:
            wanted[request.split(path)[0]] = None
    return tuple(filter(None, wanted))


def parse_generation(text: str) -> int:
    """Return the generation that a person names: `0x1A`, or the name of a log.

    A number without `0x` is refused: log names are hexadecimal without saying so, and 10 could be either.

    Raises:
        InputError: It is neither.
    """
    number: int | None = None
    if text[:2].lower() == "0x":
        try:
            number = int(text, 0)
        except ValueError:
            number = None
    elif "." in text:
        number = parse_file_name(names.leaf_of(text)).generation
    if number is None or not 0 < number <= _HIGHEST:
        raise InputError(f"not a log generation: {names.printable(text)}", hint=_GENERATION_HINT)
    return number


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
        Location(one["token"], one["path"], Kind(one["kind"]), "the archive") for one in head.extra.get("locations", ())
    )


def old_paths(archive: Archive, facts: SetFacts) -> dict[str, str]:
    """Return where databases lay at the backup, by name, of those whose names do not say it.

    The restore map wants these paths. The list that the archive keeps says them as the service does; else the logs do.
    """
    try:
        kept = stored_locations(archive.head)
    except LocationListError:
        kept = ()
    listed = {(one.token, names.collision_key(last_component(one.path))): one.path for one in kept}
    found = {}
    for one in facts.databases:
        path = facts.paths.get(one.name)
        if one.number is not None:
            path = listed.get((archive.entry(one.number).token, names.collision_key(one.leaf)), path)
        if path is not None and take_apart(one.name) is None:
            found[one.name] = path
    return found


def make_request(archive: Archive, options: RestoreOptions) -> Request:
    """Return what is asked for, with the archive's own locations as the base that everything else overrides.

    Raises:
        LocationListError: The locations file, or the list in the archive when nothing replaces it, cannot be read.
        InputError: An option makes no sense.
        StorageError: The locations file cannot be read.
    """
    if options.existing not in set(Existing):
        raise InputError(f"--existing takes {', '.join(Existing)}, not {names.printable(options.existing)}")
    if options.system not in {"", "windows"}:
        raise InputError(f"--for takes windows, not {names.printable(options.system)}")
    elsewhere = bool(options.system)
    head, base, page = archive.head, "" if elsewhere else str(Path.cwd()), options.code_page
    one_folder = bool(options.into or options.certutil or options.tree)
    given = LocationFile()
    if options.locations is not None:
        given = read_location_file(options.locations, head.profile, encoding=page, elsewhere=elsewhere)
    spoken = [parse_to(text, head.profile, base=base) for text in options.to]
    by_hand = [one for one in spoken if isinstance(one, Location)]
    by_name = [one for one in spoken if isinstance(one, NameTarget)]
    if one_folder and given.locations and options.certutil is None:
        raise InputError(_NO_LOCATIONS)
    kept = () if one_folder else _kept(archive, page, replaced=bool(given.locations or by_hand))
    raw = head.location_list
    return Request(
        profile=head.profile,
        roots=(archive.root.hex(),),
        locations=override(kept, () if one_folder else given.locations, by_hand),
        targets=(*by_name, *given.targets),
        maps=(*(parse_map(text, base) for text in options.maps), *given.maps),
        only=tuple(options.only),
        into=_absolute(options.into, elsewhere=elsewhere),
        tree=_absolute(options.tree, elsewhere=elsewhere),
        certutil=_absolute(options.certutil, elsewhere=elsewhere),
        elsewhere=elsewhere,
        location_list=list_of(given.locations) if options.certutil and given.locations else raw.data if raw else None,
        existing=Existing(options.existing),
        windows=elsewhere or os.name == "nt",
        hosts=_its_hosts(kept) if elsewhere else own_hosts(),
        backup_logs=_absolute(options.backup_logs, elsewhere=elsewhere),
        aside=_absolute(options.aside, elsewhere=elsewhere),
    )


def _absolute(path: Path | None, *, elsewhere: bool) -> str | None:
    if path is None:
        return None
    if not elsewhere:
        with storage_errors("restore there", path):
            os.fsencode(path)  # text that stands for no bytes
        return native(str(path.absolute()), "/")
    text = ntpath.normpath(str(path))
    apart = take_apart(text)
    if fault := next(filter(None, map(names.leaf_fault, apart.parts[1:] if apart else ())), None):
        raise InputError(f"{names.printable(text)} {fault.replace('file name', 'name')}")
    return text


def _its_hosts(kept: Iterable[Location]) -> frozenset[str]:
    """Return the name of the machine that a plan for another machine is for: the one that its own locations name."""
    hosts = {found.host for one in kept if (found := take_apart(one.path)) and found.host not in {"", "/"}}
    return frozenset(hosts) if len(hosts) == 1 else frozenset()


def _kept(archive: Archive, code_page: int, *, replaced: bool) -> tuple[Location, ...]:
    try:
        return stored_locations(archive.head, encoding=code_page)
    except LocationListError as error:
        if replaced:
            return ()
        error.path = archive.path
        raise
