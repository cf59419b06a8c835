"""Makes the plan: entries, a request and an inventory in, a plan out. It touches no disk, and stops at no problem.

`look_and_plan` takes the inventory for it, once, or twice where logs may stay or an interrupted run goes on.

The order of the decisions, for one entry:

1. `--to NAME=PATH` names it: there.
2. It is a log or patch file, and there is `--backup-logs DIR`: there.
3. `--into DIR`, `--tree DIR` or `--certutil DIR`: there, under its leaf; with `--tree` in the folders in which it lay.
4. Else the matching rule (`matching`) finds a location, the location is turned into a path of this machine (`paths`),
   and it is settled whether that is a directory or a file.

Then every target directory is held against the inventory: collisions, what is there already, names that are too long,
room.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise, repeat
from typing import Final

from tokar import names
from tokar.errors import (
    CollisionError,
    InputError,
    RestoreError,
    UnknownTokenError,
    UnsafeNameError,
)
from tokar.ese.filenames import parse_file_name
from tokar.format.archive import tokens_of
from tokar.format.index import Entry, find_entries, find_fitting
from tokar.location_list import CERTUTIL_LIST, Kind, Location
from tokar.paths import last_component
from tokar.restore.collisions import collisions
from tokar.restore.inventory import Inventory, TargetState, engine_file, not_looked_at, take_inventory
from tokar.restore.journal import Planned, plans_that_go_on
from tokar.restore.locations import NameTarget
from tokar.restore.matching import Match, Matcher, to_line, token_text
from tokar.restore.next_steps import log_directory, places_of
from tokar.restore.options import Request, places_to_look_at
from tokar.restore.plan import (
    BAD_TARGET,
    UNPLACED,
    Action,
    Decision,
    Existing,
    Extra,
    Interrupted,
    Plan,
    Problem,
    Steps,
    sort_problems,
)
from tokar.restore.rollforward import RolledForward, given_up, look_for_staying
from tokar.restore.targets import Targets
from tokar.tokens import CHECKPOINT_DIR, LOG, LOG_DIR, Role, role, token_name
from tokar.words import count_text, noun, some

_MOST_LISTED: Final = 1000  # problems of one kind; of the others the files are counted
_MORE: Final = "more like that"
_MOST_NAMED: Final = 8
# What database files are called (ESE documentation, "Extensible Storage Engine Files"; SRUM and others use .dat). A
# location whose last component ends so is a file, if nothing better is known (spec/tokens.md, LOC-9).
DATABASE_EXTENSIONS = frozenset({"edb", "dit", "mdb", "stm", "dat"})

_KINDS = {TargetState.DIRECTORY: Kind.DIRECTORY, TargetState.NOT_A_DIRECTORY: Kind.FILE}


def make_plan(entries: Sequence[Entry], request: Request, inventory: Inventory) -> Plan:
    """Make the plan of a restore. Pure: the same arguments give an equal plan.

    Args:
        entries: All entries of the backup set, also those that are not asked for: the matching rule looks at all
            tokens.
        request: What the user asks for.
        inventory: What is in the directories of `places_to_look_at`.

    Returns:
        The plan, with every problem it has; `Plan.raise_for_problems` raises them.

    Raises:
        NoSuchEntryError: `--only` or `--to` names an entry that is not there, or more than one.
        InputError: The request contradicts itself.
    """
    return _Planner(entries, request, inventory).plan()


class _Concerned:
    """The entries that a problem concerns: all by their numbers, the first by their names."""

    def __init__(self) -> None:
        self.numbers = array("I")
        self.names: list[str] = []

    def add(self, entries: Sequence[Entry]) -> None:
        """Add more of them."""
        self.numbers.extend(entry.number for entry in entries)
        self.names += [entry.name for entry in entries[: _MOST_NAMED - len(self.names)]]

    def __str__(self) -> str:
        return some(chain(self.names, repeat("", len(self.numbers) - len(self.names))), _MOST_NAMED)


class _Planner:
    """The state of making one plan."""

    def __init__(self, entries: Sequence[Entry], request: Request, inventory: Inventory) -> None:
        if request.existing is Existing.ROLL_FORWARD and inventory.stays is None:
            raise InputError("roll-forward needs a look at the logs that are there")
        self._entries = entries
        self._request = request
        self._targets = Targets(inventory, request.existing, request.now)
        self._inventory = inventory
        tokens = tokens_of(entries)
        self._matcher = Matcher(request.locations, tokens, request.profile, from_server=request.from_server)
        self._token_names = {token: token_name(token, request.profile) for token in tokens}
        self._decisions: dict[Decision, int] = {}
        # For tokens whose entries all go one way, whatever their names: the directory, and the number of the decision.
        self._routes: dict[int, tuple[str, int]] = {}
        self._resolved: dict[tuple[str, bool], str | RestoreError] = {}
        self._problems: dict[tuple[type[RestoreError], str, str | None, int], _Concerned] = defaultdict(_Concerned)
        self._counts: Counter[type[RestoreError]] = Counter()  # How many problems there are of each kind
        self._extras: tuple[Extra, ...] = ()
        self._notes: list[str] = []

    def plan(self) -> Plan:
        """Make the plan."""
        request = self._request
        by_name = self._by_name()
        chosen = self._chosen()
        if request.folder is not None:
            self._folder(request.folder)
        codes = array("I", (self._code(entry, by_name) for entry in chosen))
        steps = Steps(chosen, tuple(self._decisions), codes, self._token_names, self._targets.digest())
        self._targets.problems.extend(collisions(steps, self._targets, self._extras))
        if request.folder is None:
            self._other_locations()
        if request.backup_logs is not None:
            self._own_log_folder(steps, request.backup_logs)
        if request.existing is Existing.ROLL_FORWARD and (folder := log_directory(request)) is not None:
            self._targets.watch(folder)
        self._files_against_directories(steps)
        self._targets.judge()
        return Plan(
            profile=request.profile,
            roots=request.roots,
            steps=steps,
            extras=self._extras,
            asides=self._targets.asides,
            directories=self._targets.directories,
            problems=sort_problems((*self._own_problems(), *self._targets.problems)),
            notes=(*self._notes, *self._targets.notes),
            interrupted=self._inventory.interrupted,
            seen=self._targets.seen,
            stays=self._inventory.stays or frozenset(),
        )

    def _problem(self, error: RestoreError, *concerned: Entry, urgency: int = UNPLACED) -> None:
        """Note a problem; the same one again only gets more entries, and so do those of one kind beyond the first."""
        kind, key = type(error), (type(error), error.message, error.hint, urgency)
        if key not in self._problems:
            self._counts[kind] += 1
            key = key if self._counts[kind] <= _MOST_LISTED else (kind, _MORE, error.hint, urgency)
        self._problems[key].add(concerned)

    def _own_problems(self) -> Iterable[Problem]:
        """Yield the problems of finding a place, each with the files that it concerns."""
        for (kind, message, hint, urgency), concerned in self._problems.items():
            named = concerned.names and (kind is not UnsafeNameError or message == _MORE)
            listed = f"; needed for {concerned}" if named else ""
            yield Problem(kind(message + listed, hint=hint), tuple(concerned.numbers), urgency)

    def _find(self, wanted: Sequence[str]) -> list[Entry]:
        return find_entries(self._entries, wanted, numbered=self._request.numbered)

    def _by_name(self) -> dict[int, NameTarget]:
        """Return the targets said by name, by entry number."""
        found = self._find([target.name for target in self._request.targets])
        result: dict[int, NameTarget] = {}
        for entry, target in zip(found, self._request.targets, strict=True):
            if result.setdefault(entry.number, target) != target:
                raise InputError(f"{entry.name} is sent to two places: {result[entry.number].path} and {target.path}")
        return result

    def _chosen(self) -> Sequence[Entry]:
        """Return the entries that were asked for, in the order of the archive."""
        if not self._request.only:
            return self._entries
        chosen = {
            entry.number for entry in find_fitting(self._entries, self._request.only, numbered=self._request.numbered)
        }
        self._notes.append(f"{len(self._entries) - len(chosen)} entries were not asked for")
        return [entry for entry in self._entries if entry.number in chosen]

    def _files_against_directories(self, steps: Steps) -> None:
        """Find the names that a file would have, and a directory that files go to or one above it (PLC-1)."""
        wanted = self._targets.directories_as_files()
        if not wanted:
            return
        for directory, name, entry in steps.placements():
            place = self._targets.identity(directory), names.collision_key(name)
            if place in wanted:
                message = f"{entry.name} would be a file where a directory is needed for {wanted[place]}"
                error = CollisionError(message, path=self._request.join(directory, name))
                self._targets.problems.append(Problem(error, (entry.number,)))

    def _folder(self, folder: str) -> None:
        """Prepare for one folder that takes everything."""
        request = self._request
        self._targets.use(folder)
        if request.certutil is None:
            return
        if request.location_list is not None:
            self._notes.extend(request.notes)
            self._extras = (Extra(folder, CERTUTIL_LIST, request.location_list),)
            self._targets.claim(folder, CERTUTIL_LIST, len(request.location_list))
        elif any(role(token) is Role.DATABASE for token in self._token_names):
            message = f"the archive keeps no location list, and certutil needs one as {CERTUTIL_LIST}"
            self._problem(RestoreError(message, hint="give one with --locations FILE, or restore with --into DIR"))

    def _code(self, entry: Entry, by_name: Mapping[int, NameTarget]) -> int:
        """Decide about one entry; return the number of the decision."""
        leaf: str | None = None
        fault: UnsafeNameError | None = None
        apart = self._request.left_out.get(entry.number)
        if apart is not None and self._request.aside is None:
            decision = Decision(None, None, f"left out: {apart.reason}", Action.LEAVE_OUT)
            return self._decisions.setdefault(decision, len(self._decisions))
        try:
            leaf = self._request.names.get(entry.number) or names.leaf(entry.raw_name, entry.encoding)
        except UnsafeNameError as error:
            fault = error
        named = by_name.get(entry.number)
        if (
            leaf is not None
            and named is None
            and apart is None
            and entry.number not in self._request.names
            and entry.token in self._routes
        ):
            directory, code = self._routes[entry.token]
            self._targets.claim(directory, leaf, entry.size, entry)
            return code
        try:
            decision, general = self._decide(entry, leaf, fault, named)
        except RestoreError as error:
            decision, general = self._refuse(entry, error), False
        code = self._decisions.setdefault(decision, len(self._decisions))
        name = decision.name or leaf
        if decision.directory is not None and name is not None:
            self._targets.claim(decision.directory, name, entry.size, entry)
            if general:
                self._routes[entry.token] = decision.directory, code
        return code

    def _refuse(self, entry: Entry, error: RestoreError) -> Decision:
        """Note that an entry has no place, and return that as the decision about it."""
        self._problem(error, entry)
        return Decision(None, None, error.message, Action.REFUSE)

    def _decide(
        self, entry: Entry, leaf: str | None, fault: UnsafeNameError | None, named: NameTarget | None
    ) -> tuple[Decision, bool]:
        """Return the decision about an entry, and whether it holds for every entry of its token.

        Raises:
            RestoreError: It has no place, or no safe name.
        """
        folder, general, name = self._request.folder, False, None
        apart = self._request.left_out.get(entry.number)
        if apart is not None and (aside := self._request.aside_of(apart)) is not None:
            directory, rule = aside, f"aside: {apart.reason}"
        elif named is not None:
            directory, name = self._settle(named, leaf)
            rule = f"named by {named.source}"
        elif self._request.backup_logs is not None and role(entry.token) is Role.LOG:
            directory, rule, general = self._request.backup_logs, "--backup-logs", True
        elif folder is not None:
            directory = self._request.directory_of(entry) or folder
            rule, general = self._rule_of_folder(), self._request.tree is None and directory == folder
            if general and self._request.certutil and role(entry.token) not in {Role.DATABASE, Role.LOG}:
                return Decision(None, None, "certutil takes databases and logs only", Action.LEAVE_OUT), False
        else:
            match = self._match(entry, leaf)
            if match is None:
                return Decision(None, None, "a private key: --to NAME=PATH places it", Action.LEAVE_OUT), False
            directory, name = self._settle(match.location, leaf)
            name = None if match.by_bits else name
            rule = match.rule
            general = match.location.kind is Kind.DIRECTORY and not match.by_leaf
        if name is None and fault is not None:
            raise fault
        if name is None and (right := self._request.names.get(entry.number)) is not None:
            return Decision(directory, right, f"{rule}, under the name the engine looks for", Action.PLACE), False
        return Decision(directory, name, rule, Action.PLACE), general

    def _rule_of_folder(self) -> str:
        """Return why one directory takes everything."""
        return "certutil folder" if self._request.certutil else "as it lay" if self._request.tree else "one folder"

    def _match(self, entry: Entry, leaf: str | None) -> Match | None:
        """Return the location that takes an entry; None for a private key that none takes: it goes nowhere by itself.

        Raises:
            RestoreError: No location takes it, or several could.
        """
        try:
            return self._matcher.match(entry.token, leaf)
        except UnknownTokenError:
            if names.is_key(entry.name):
                return None
            raise

    def _resolve(self, path: str, *, by_hand: bool) -> str:
        """Return the path of this machine that a location stands for, asking once for each.

        Raises:
            RestoreError: It cannot be told.
        """
        found = self._resolved.get((path, by_hand))
        if found is None:
            try:
                found = self._request.resolver.resolve(path, by_hand=by_hand)
            except RestoreError as error:
                found = error
            self._resolved[path, by_hand] = found
        if isinstance(found, RestoreError):
            raise found.with_traceback(None)
        return found

    def _settle(self, place: Location | NameTarget, leaf: str | None) -> tuple[str, str | None]:
        """Return directory and name (None for the leaf) that a place means (spec/tokens.md, LOC-8, LOC-9).

        Raises:
            RestoreError: It cannot be told.
        """
        try:
            path = self._resolve(place.path, by_hand=place.by_hand)
        except RestoreError as error:
            raise self._with_token(error, place) from None
        kind = place.kind
        if kind is Kind.UNSETTLED:
            seen = self._inventory.directories.get(path)
            on_disk = _KINDS.get(seen.state) if seen is not None else None
            kind = on_disk or self._kind_by_name(place, leaf)
        return (path, None) if kind is Kind.DIRECTORY else self._request.split(path)

    def _with_token(self, error: RestoreError, place: Location | NameTarget) -> RestoreError:
        """Return why a place is not known, with the token that goes there, and the options that say where."""
        if isinstance(place, NameTarget):
            return error
        token, profile = place.token, self._request.profile
        to = None if self._request.from_server else to_line(token, profile)
        ways = " or ".join(filter(None, (error.hint, to)))
        return RestoreError(f"{token_text(token, profile)}: {error.message}", hint=ways)

    @staticmethod
    def _kind_by_name(place: Location | NameTarget, leaf: str | None) -> Kind:
        """Return what a path looks like: the file itself, a database, or else a directory."""
        if isinstance(place, NameTarget):
            return Kind.FILE
        last = last_component(place.path)
        if leaf is not None and names.collision_key(last) == names.collision_key(leaf):
            return Kind.FILE
        extension = last.rpartition(".")[2].lower() if "." in last else ""
        return Kind.FILE if extension in DATABASE_EXTENSIONS else Kind.DIRECTORY

    def _own_log_folder(self, steps: Steps, folder: str) -> None:
        """Demand that a folder of their own holds exactly the logs of one range (-553, -554, -557).

        Logs that stay in the log directory are played after the restored ones, so it is held to the same rules as a
        target.
        """
        own = self._targets.identity(folder)
        generations: list[int] = []
        for directory, name, entry in steps.placements():
            if self._targets.identity(directory) != own:
                continue
            if role(entry.token) is not Role.LOG:
                message = "--backup-logs takes a folder of its own, and this goes there too"
                shared = RestoreError(message, hint="name another folder with --backup-logs")
                self._problem(shared, entry, urgency=BAD_TARGET)
            elif entry.token == LOG:
                generation = parse_file_name(name).generation
                if generation is None:
                    message = "a log without a number in its name fits no range"
                    unnumbered = RestoreError(message, hint="leave --backup-logs out, or the log with --only")
                    self._problem(unnumbered, entry, urgency=BAD_TARGET)
                else:
                    generations.append(generation)
        generations.sort()
        holes = [before + 1 for before, after in pairwise(generations) if after != before + 1]
        if holes:
            message = f"the logs leave a hole at 0x{holes[0]:X}, and the engine demands a whole range"
            hint = "add the archive or the folder that has it: tokar chain names what is missing"
            self._problem(RestoreError(message, hint=hint), urgency=BAD_TARGET)
        for location in self._request.locations:
            path = self._request.path_of(location)
            if location.token == LOG_DIR and path is not None:
                self._targets.watch(path)
        if self._request.into is not None:
            self._targets.watch(self._request.into)

    def _other_locations(self) -> None:
        """Look into the checkpoint directory, which takes no file: an old checkpoint must not stay (MAT-9).

        What no file needs is not asked for.
        """
        for location in self._request.locations:
            if location.token != CHECKPOINT_DIR:
                continue
            try:
                path = self._resolve(location.path, by_hand=location.by_hand)
            except RestoreError:
                shown = names.printable(location.path)
                note = f"the checkpoint directory {shown} is not known here: no old checkpoint may stay in it"
                self._notes.append(note)
                continue
            self._targets.watch(path)
            self._notes.append(f"nothing is placed in the checkpoint directory for its own sake: {path}")


def look_and_plan(
    entries: Sequence[Entry],
    request: Request,
    placed: RolledForward | None = None,
    go_on: Callable[[Plan, Planned], list[Plan]] = plans_that_go_on,
) -> Plan:
    """Look at the targets and return the plan. Nothing is written.

    Args:
        entries: The entries of the set, or of all sets of a chain.
        request: What is asked for.
        placed: What is placed, as far as logs that are there may continue it; needed where they may stay, and where
            it should be said that they are given up.
        go_on: Looks for what an interrupted run left; else where this plan is a part of a restore.

    Raises:
        NoSuchEntryError: A name in `only` or in a target fits no entry.
        StorageError: A log that may stay cannot be read.
    """
    if request.elsewhere:
        plan = make_plan(entries, request, not_looked_at(places_to_look_at(request, entries)))
        return replace(plan, notes=(*plan.notes, "nobody looked at the directories: they are on another machine"))
    if len(request.targets) > len(entries):  # told before as many directories are looked at
        find_entries(entries, [one.name for one in request.targets], numbered=request.numbered)
    inventory = take_inventory(places_to_look_at(request, entries), engine_file)
    # Where the files go is not known before there is a plan; what is there already does not change that.
    roll_forward = request.existing is Existing.ROLL_FORWARD
    first = make_plan(entries, replace(request, existing=Existing.SET_ASIDE) if roll_forward else request, inventory)
    where = places_of(first, request).log_path or log_directory(request)

    def planned(left: Interrupted | None) -> list[Plan]:
        own = left.within({one.path for one in first.directories}) if left else None
        seen = replace(inventory, interrupted=own)
        if roll_forward:
            plan = _roll_forward(entries, request, where, seen, placed or RolledForward())
        else:
            plan = make_plan(entries, request, seen) if own else first
            plan = replace(plan, notes=(*plan.notes, *given_up(where, seen, placed or RolledForward())))
        return [replace(plan, notes=(*plan.notes, *_goes_on(own)))]

    return go_on(first, planned)[0]


def _goes_on(left: Interrupted | None) -> Iterator[str]:
    """Yield what a person should know of an earlier run."""
    if left is None:
        return
    placed = f"{len(left.placed)} files are in place"
    content = "each with the content that it must have"
    if left.is_done:
        yield f"all is done already: {placed}, {content}"
    elif not left.journals and not left.staged:
        are = noun(len(left.placed), "is", "are")
        yield f"{count_text(len(left.placed), 'file')} {are} there already, {content}: nothing is done with them"
    else:
        yield f"goes on from an interrupted run of this restore: {placed} and {len(left.staged)} are staged"


def _roll_forward(
    entries: Sequence[Entry], request: Request, where: str | None, inventory: Inventory, placed: RolledForward
) -> Plan:
    """Return the plan that lets logs stay that continue what is placed, in the log directory, if there is one."""
    found = look_for_staying(where, inventory, placed)
    request = replace(request, left_out={**request.left_out, **found.gives_way})
    plan = make_plan(entries, request, replace(inventory, stays=found.stays))
    notes = (*plan.notes, *found.notes)
    return replace(add_problems(plan, found.problems), notes=notes, gives_way=frozenset(found.gives_way))


def add_problems(plan: Plan, problems: Sequence[Problem]) -> Plan:
    """Return a plan with further problems, each in its place."""
    return replace(plan, problems=sort_problems((*plan.problems, *problems)))
