"""Restores driven over a server: the one place where archives, the plan and the restore procedure meet.

Everything is judged and planned before anything is written or registered: whether recovery can reach the highest log of
the sets (Q179654: the engine plays up to a gap and deletes what comes after it), and where every file goes, all sets
together; then all of them are staged and proven on the target volumes. Only then, set by set, in the order of the
server's dialect: register and place, or place and register, and the status to RegisterComplete, also after a failure.
What is registered is recovered by the engine at its next start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tokar import names, tokens
from tokar.errors import InputError, LocationListError, RestoreError
from tokar.format import canonical_json
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.format.metadata import Head
from tokar.format.writer import system_clock
from tokar.location_list import Location, parse_location_list
from tokar.paths import PathMap, last_component, place_on_server
from tokar.restore.chosen import ChosenSets
from tokar.restore.matching import Matcher
from tokar.restore.merged import MergedSet
from tokar.restore.options import Request, old_paths, stored_locations
from tokar.restore.place import Placing, note_sets
from tokar.restore.plan import Existing, Plan, raise_first
from tokar.restore.planner import add_problems, look_and_plan
from tokar.restore.prepare import incomplete_files
from tokar.server.contract import BackupType, Registration, Server, ServerError
from tokar.server.places import open_places, without_a_place
from tokar.server.restore_steps import RestoreProcedure, SetToRestore
from tokar.server.transcript import Transcript
from tokar.sets.backup_set import set_of_archive
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.compared import with_states_compared
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.joining import build_chain
from tokar.storage.bytesource import ByteSource

_TOLD = "was told of the failure, and does not start until a restore is complete"
_MAY_START = "could not be told of the failure: leave it stopped until a restore is complete"
_EXPIRY_TOKEN = "expiry_token"  # noqa: S105 - the name of a blob in HEAD, not a secret


@dataclass(frozen=True, slots=True)
class SetPart:
    """What is restored from one archive of a chain."""

    archive: Archive  # The archive, open
    entries: tuple[Entry, ...]  # The entries that are needed from it
    generation_low: int  # Lowest log that is registered for it; 0 where none is: it has nothing but a current log
    generation_high: int  # Highest log that is registered for it; 0 as above

    @property
    def label(self) -> str:
        """What messages call it."""
        return str(self.archive.path or self.archive.id.hex())

    @property
    def backup_type(self) -> BackupType:
        """Full if it has a database."""
        has_database = any(tokens.role(one.token) is tokens.Role.DATABASE for one in self.entries)
        return BackupType.FULL if has_database else BackupType.LOGS_ONLY


@dataclass(frozen=True, slots=True)
class RestorationResult:
    """A restore that is registered and complete."""

    plan: Plan  # Where everything went
    registrations: tuple[Registration, ...]  # What Register was told, set by set
    files: int  # How many files are in place
    size: int  # Their bytes
    calls: tuple[dict[str, object], ...]  # The transcript of the procedure


def parts_of_chosen(chosen: ChosenSets, *, accept_incomplete: bool = False) -> tuple[SetPart, ...]:
    """Return chosen sets as the parts of a chain; one with nothing but a current log, which none registers, is last.

    Raises:
        NotRestorableError: A database is no copy from a backup, and hard recovery refuses it.
        RestoreError: The set with the databases has no log, so that nothing can be registered for it; a file is
            incomplete; or logs are missing that no server has.
        FormatError: An archive is damaged.
    """
    parts: list[SetPart] = []
    for one, archive, entries in zip(chosen.ranges, chosen.archives, chosen.entries, strict=True):
        if not one.low and not parts:
            message = f"{one.label} has no log under its number, so nothing can be registered for it"
            raise RestoreError(message, hint="restore it without a server: tokar restore --into DIR ARCHIVE")
        if not accept_incomplete:
            content = MergedSet([(archive, entries)])
            raise_first(incomplete_files(content.entries))
        parts.append(SetPart(archive, tuple(entries), one.low, one.high))
    for fault in chosen.no_copies:
        raise NotRestorableError(f"{fault.message} ({fault.engine})", faults=chosen.no_copies, hint=fault.next_step)
    raise_first(chosen.problems)
    return tuple(sorted(parts, key=lambda one: not one.generation_low))


def demand_reachable(parts: Sequence[SetPart]) -> SetFacts:
    """Check that recovery gets from the full to the highest log of the sets, by what their files say.

    Returns:
        What the files of the full say.

    Raises:
        NotRestorableError: It does not: a log is missing, is of another history, or is about another database; or a
            file is damaged.
        InputError: The first set holds no databases, or a set ends before it.
    """
    sets = [set_of_archive(part.archive, entries=part.entries) for part in parts]  # what is left out stays there

    def open_log(at: int, log: LogFacts) -> AbstractContextManager[ByteSource]:
        archive = parts[at].archive
        return nullcontext(archive.entry_source(archive.entry(log.number or 0)))

    compared = with_states_compared([one.facts for one in sets], open_log)
    sets = [replace(one, facts=facts) for one, facts in zip(sets, compared, strict=True)]
    target = max(part.generation_high for part in parts)
    restorable(build_chain(sets), target, full=parts[0].archive.id)
    full, *later = sets
    for part, one in zip(parts[1:], later, strict=True):
        added = range(parts[0].generation_high + 1, target + 1 + (not part.generation_low))  # and the current log
        _demand_same_databases(full.facts, [log for log in one.facts.logs if log.generation in added])
    return full.facts


def _demand_same_databases(full: SetFacts, logs: Sequence[LogFacts]) -> None:
    """Check that the logs after those of the full are about its databases; defragmentation ends a chain (Q183380).

    Logs of the full itself may begin before such a change, and say nothing of what was attached when it was copied.
    """
    known = [(place_on_server(one.name), one) for one in full.databases if one.header is not None]
    restored = {place: one for place, one in known if place}
    for log in logs:
        for attached in log.attached:
            own = restored.get(place_on_server(attached.path))
            if own is not None and own.header is not None and own.header.signature != attached.signature:
                raise NotRestorableError(
                    f"{log.name} is about another database in the place of {own.name}: "
                    "that was defragmented or repaired meanwhile",
                    hint="take the full that was made after that",
                )


@contextmanager
def prepared_restore(
    server: Server,
    parts: Sequence[SetPart],
    *,
    maps: Sequence[PathMap] = (),
    existing: Existing = Existing.REFUSE,
    take_over: bool = False,
    clock: Callable[[], datetime] = system_clock,
) -> Iterator[ServerRestore]:
    """Judge a chain of sets, begin the restore procedure of a server and plan; leaving the block ends the procedure.

    Args:
        server: The server, its service stopped.
        parts: The full first, then the logs-only sets in the order of their generations.
        maps: What paths in the server's lists stand for on this machine, beside what the server says of them.
        existing: What to do about files that are in the way.
        take_over: Whether to go on although a restore that died is still registered; never while another one is at
            work.
        clock: For the transcript and for names of files that are set aside.

    Raises:
        NotRestorableError: Recovery could not reach the highest log of the sets; the server was not called.
        ProcedureError: The procedure does not allow it.
        SourceError: The server failed.
    """
    facts = demand_reachable(parts)
    transcript = Transcript(lambda: canonical_json.to_time(clock()))
    with RestoreProcedure(server, transcript) as procedure:
        head = parts[0].archive.head
        procedure.prepare(head.blob(_EXPIRY_TOKEN))
        locations, are_told = _ask_locations(server, procedure, head)
        request = Request(
            profile=head.profile,
            roots=tuple(part.archive.root.hex() for part in parts),
            from_server=True,
            numbered=False,
            locations=locations,
            maps=(*(PathMap(*one) for one in server.path_maps), *maps),
            existing=existing,
            now=clock(),
        )
        names = [one.name for one in facts.databases if not one.temporary]
        unproven = () if are_told else open_places(server.name, names, server.database_places)
        yield ServerRestore(server, parts, procedure, request, facts, unproven=[*unproven], take_over=take_over)


def restore_to_server(
    server: Server,
    parts: Sequence[SetPart],
    *,
    maps: Sequence[PathMap] = (),
    existing: Existing = Existing.REFUSE,
    take_over: bool = False,
    clock: Callable[[], datetime] = system_clock,
    progress: Callable[[int], None] | None = None,
) -> RestorationResult:
    """Restore a chain of sets to a server by its restore procedure: `prepared_restore`, then `ServerRestore.run`."""
    with prepared_restore(server, parts, maps=maps, existing=existing, take_over=take_over, clock=clock) as restore:
        return restore.run(progress)


def _ask_locations(server: Server, procedure: RestoreProcedure, head: Head) -> tuple[tuple[Location, ...], bool]:
    """Return where everything lives, and whether the server says so; else it is as it was at the backup."""
    if server.dialect.profile == "certadm":  # asks a running service, which a restore must not find
        return stored_locations(head), False
    try:
        listed = procedure.locations()
    except ServerError:
        kept = stored_locations(head)
        if not kept:
            raise
        return kept, False
    try:
        return parse_location_list(listed.data, wide=listed.wide, source=server.name), True
    except LocationListError as error:
        error.path = server.name
        raise


class ServerRestore:
    """A restore to a server that is judged, begun and planned; `prepared_restore` gives it.

    Args:
        server: The server.
        parts: The sets.
        procedure: The procedure, after Prepare.
        request: Where files go, and how.
        facts: What the files of the full say.
        unproven: What nobody can tell of the server.
        take_over: Whether to go on although a restore that died is still registered; the server is told of that after
            everything is planned and staged, for a restore that is refused changes nothing.
    """

    def __init__(
        self,
        server: Server,
        parts: Sequence[SetPart],
        procedure: RestoreProcedure,
        request: Request,
        facts: SetFacts,
        *,
        unproven: Sequence[str] = (),
        take_over: bool = False,
    ) -> None:
        self.unproven = tuple(unproven)  # What nobody can tell of the server
        self._paths = old_paths(parts[0].archive, facts)
        self._takes_over = take_over
        self._server = server
        self._parts = [part for part in parts if part.generation_low]  # Those that are registered
        self._procedure = procedure
        self._request = request
        self._matcher = Matcher(
            request.locations, {one.token for one in parts[0].entries}, request.profile, from_server=True
        )
        self._merged = MergedSet([(part.archive, part.entries) for part in parts])
        plan = look_and_plan(self._merged.entries, request)
        self._targets = {(one.token, one.raw_name): (path, name) for path, name, one in plan.steps.placements()}
        taken = [*self._taken({one.name for one in facts.databases if not one.temporary})]
        homeless = without_a_place(server.name, taken, server.database_places)
        self.plan = add_problems(plan, [*self._merged.problems, *homeless])  # Where everything goes, all sets together

    def run(self, progress: Callable[[int], None] | None = None) -> RestorationResult:
        """Stage all sets, then register and place each: between two sets there are only renames and calls (RES-9).

        Args:
            progress: Called with numbers of bytes as they are staged.

        Raises:
            RestoreError: The plan is not safe or not complete; nothing was written or registered.
            FormatError: An archive is damaged; as above.
            SourceError: The server failed before any file had its final name.
            StorageError: A file could not be written; as above.
            PlacingStoppedError: It stopped after that; the server was told as well.
            LockedError: Content is encrypted, and the key is not there; nothing was written or registered.
        """
        self.plan.raise_for_problems()
        for archive in self._merged.archives:
            archive.demand_key()
        items = [SetToRestore(one.label, one.backup_type, self._registration(one)) for one in self._parts]
        self._procedure.expect(items)
        left = self.plan.interrupted
        try:
            with Placing(self.plan, self._merged, progress=progress, group_of=self._set_of) as placing:
                placing.stage()
                if self._takes_over or (left is not None and left.registered):
                    self._procedure.take_over()  # asked for, or its journal says that this restore died with it (RES-8)
                self._restore(items, placing)
        except BaseException as error:
            self._describe(error)
            raise
        calls = tuple(self._procedure.transcript.calls)
        registrations = tuple(item.registration for item in items)
        return RestorationResult(self.plan, registrations, len(self._targets), self.plan.size, calls)

    def _restore(self, items: Sequence[SetToRestore], placing: Placing) -> None:
        try:
            for number, item in enumerate(items):
                self._procedure.restore(item, partial(self._place, placing, number))
        except BaseException:
            if not self._procedure.has_registered:
                placing.forget_registration()  # what is registered is of another restore
            raise

    @staticmethod
    def _place(placing: Placing, number: int, _item: SetToRestore) -> None:
        placing.commit(number)

    def _set_of(self, entry: Entry) -> int:
        """Return which set brings a file; one that several sets have comes with the first.

        The current log that is in a set alone comes with the last one that is registered (HRD-1).
        """
        origin = self._merged.origin(entry)[0]
        last = len(self._parts) - 1
        return next((number for number, part in enumerate(self._parts) if part.archive is origin), last)

    def _describe(self, error: BaseException) -> None:
        """Note with an error what became of each set, and of the service, where anything has."""
        own: list[list[str]] = [[] for _ in self._parts]
        for path, name, entry in self.plan.steps.placements():
            own[self._set_of(entry)].append(self._request.join(path, name))
        complete = {item.label for item in self._procedure.restored}
        became = ("registered and complete" if part.label in complete else "not complete" for part in self._parts)
        sets = [(f"{one.label}: {what}", paths) for one, what, paths in zip(self._parts, became, own, strict=True)]
        if note_sets(error, sets):
            error.add_note(f"the service {_TOLD if self._procedure.keeps_down else _MAY_START}")

    def _registration(self, part: SetPart) -> Registration:
        full = part.backup_type is BackupType.FULL
        rows = tuple(self._map_row(one) for one in part.entries if tokens.role(one.token) is tokens.Role.DATABASE)
        log_path = self._location(tokens.LOG_DIR)
        takes_map = full or self._server.dialect.map_with_logs_sets
        return Registration(
            checkpoint_path=self._location(tokens.CHECKPOINT_DIR),
            log_path=log_path,
            restore_map=rows if takes_map and rows else None,
            backup_log_path=log_path,
            generation_low=part.generation_low,
            generation_high=part.generation_high,
        )

    def _location(self, token: int) -> str:
        for one in self._request.locations:
            if one.token == token:
                return one.path
        message = f"the server names no location with token 0x{token:02X}, which Register needs"
        raise InputError(message, hint="see whether the service is installed there, and its log for why not")

    def _taken(self, databases: Collection[str]) -> Iterator[tuple[Entry, Location, str]]:
        """Yield the databases that have a place in the plan, the location of each, and its row of the restore map."""
        for entry in self._merged.entries:
            if entry.name in databases and (entry.token, entry.raw_name) in self._targets:
                yield entry, self._location_of(entry), self._map_row(entry)[1]

    def _location_of(self, entry: Entry) -> Location:
        name = names.decode(entry.raw_name, entry.encoding) or entry.name
        return self._matcher.match(entry.token, last_component(name)).location

    def _map_row(self, entry: Entry) -> tuple[str, str]:
        """Return the row of the restore map for a database: its name at the backup and now, as the server spells it."""
        name = names.decode(entry.raw_name, entry.encoding) or entry.name
        old = self._paths.get(entry.name, name)
        found = self._location_of(entry)
        directory, name = self._targets[entry.token, entry.raw_name]
        path = found.path.rstrip("\\/")
        here = self._request.resolver.resolve(found.path, by_hand=found.by_hand)
        if here == directory:
            return old, f"{path}\\{name}"
        is_file = here == self._request.join(directory, name)
        return old, path if is_file else path.removesuffix(last_component(path)) + name
