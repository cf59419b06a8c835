"""Restoring from one archive or from a chain of them: what is taken from which set, the plan of it, and placing.

Everything is decided before anything is written, and a target that cannot be reached is an error: nothing is given in
its place. What takes no part is named.

    OpenSets.select, or an archive -> ChosenSets -> plan_restore -> RestorePlan -> place_sets
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tokar import names, tokens
from tokar.as_json import Array, as_json
from tokar.codes import of_engine
from tokar.errors import ExistingFileError, InputError, NoRoomError, RestoreError
from tokar.ese.filenames import parse_file_name
from tokar.format.archive import Archive
from tokar.format.entry_reader import Chunk
from tokar.format.index import Entry, find_fitting
from tokar.format.verify import spare_damage
from tokar.location_list import CERTUTIL_LIST, list_of, parse_location_list
from tokar.paths import last_component
from tokar.restore.ahead import ContentReader
from tokar.restore.chosen import (
    ChosenSets,
    choose_among,
    choose_one,
    for_hard_recovery,
)
from tokar.restore.entry_facts import facts_of
from tokar.restore.guide import guide, guide_at
from tokar.restore.journal import Planned, plans_that_go_on
from tokar.restore.merged import MergedSet
from tokar.restore.next_steps import Guidance
from tokar.restore.onto_logs import with_staying, with_way
from tokar.restore.options import Apart, Request, RestoreOptions, make_request
from tokar.restore.place import Report, note_sets, place
from tokar.restore.plan import (
    INCOMPLETE,
    UNRECOVERABLE,
    Asides,
    Existing,
    Interrupted,
    Plan,
    Problem,
    Steps,
    raise_first,
    sort_problems,
)
from tokar.restore.planner import add_problems, look_and_plan
from tokar.restore.rebuilt import rebuilt_locations
from tokar.restore.rollforward import RolledForward
from tokar.restore.targets import room_problems
from tokar.restore.unrecoverable import ALL_THE_SAME, met_all_the_same
from tokar.restore.written import WrittenFiles
from tokar.sets.by_header import LOG_NAMES, has_name_of_log
from tokar.sets.outcome import LastLine, LeftOpen, weigh, with_damage, with_idle, with_met, worst
from tokar.sets.selection import NotPlaced
from tokar.sets.staying import facts_of_logs
from tokar.sets.watching import Watch, unwatched
from tokar.words import count_text, noun, some


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The plan of a restore, with the content that it places."""

    chosen: ChosenSets  # The sets
    # The plans, in the order in which they are carried out, each with the content it places: one for everything, or one
    # for each set where the sets stay apart.
    parts: tuple[tuple[Plan, MergedSet], ...]
    recovery: Guidance | None  # What follows; None where nothing is of an engine
    met: tuple[NotPlaced, ...] = ()  # Files that are placed all the same, although recovery must not meet them

    @property
    def outcome(self) -> LastLine | None:
        """What the verdict on what is placed comes to; None where nothing was judged."""
        return _outcome(self.chosen, [one for one in self.met if not one.is_harmless])

    @property
    def is_refused(self) -> bool:
        """Whether there is a problem, so that nothing is placed."""
        return any(plan.problems for plan, _ in self.parts)

    @property
    def size(self) -> int:
        """Bytes of content that will be placed."""
        return sum(plan.size for plan, _ in self.parts)

    @property
    def left_out(self) -> tuple[NotPlaced, ...]:
        """The files of a chain that are not placed, each with its reason; what a set of its own keeps is placed."""
        listed = tuple(one for one in self.chosen.left_out if one not in self.met)
        if len(self.parts) == 1:
            return listed
        kept = [{entry.number for entry in self.chosen.alone(at)} for at in range(len(self.parts))]
        return tuple(one for one in listed if one.entry not in kept[one.at])

    def raise_for_problems(self) -> None:
        """Raise the most urgent problem of all plans, with all others as notes.

        Raises:
            RestoreError: There is a problem.
        """
        raise_first(sort_problems(problem for plan, _ in self.parts for problem in plan.problems))

    def to_json(self, array: Array = list) -> dict[str, Any]:
        """Return it as values for JSON. `array`: makes the arrays that have a row for each file."""
        selection = self.chosen.selection
        return {
            "chain": selection and {**selection.to_json(self.chosen.archives), "left_out": as_json(self.left_out)},
            "plans": [plan.to_json(array) for plan, _ in self.parts],
            "recovery": as_json(self.recovery),
            "outcome": as_json(self.outcome),
        }


def plan_restore(sets: Archive | ChosenSets, options: RestoreOptions, *, watch: Watch = unwatched) -> RestorePlan:
    """Look at the targets and return the complete plan. Nothing is written.

    Args:
        sets: An archive, or the sets of a chain (`OpenSets.select`).
        options: What is asked for. With `certutil`, each set of a chain gets a numbered folder of its own, in order.
        watch: Shows how far reading is, where the verdict hangs on content that nobody examined.

    Raises:
        InputError: The options contradict each other.
        NoSuchEntryError: A name in `only` or in a target fits no entry.
        LocationListError: The locations cannot be read.
        FormatError: The index of an archive, or the start of a database or log, is damaged.
        StorageError: A log that may stay cannot be read.
    """
    request = make_request(sets if isinstance(sets, Archive) else sets.archives[0], options)
    chosen = sets if isinstance(sets, ChosenSets) else _choose_one(sets, options, watch)
    chosen = for_hard_recovery(chosen) if options.certutil is not None else chosen  # certutil registers it
    if request.existing is Existing.ROLL_FORWARD and (options.only or not chosen.whole):
        if options.only:
            raise InputError("--existing roll-forward takes a whole set; leave --only out")
        why = "--until names the end, and --existing roll-forward goes beyond it; give one of them"
        raise InputError(why, hint="--existing set-aside puts the later logs aside")
    if options.aside and options.as_it_lay:
        raise InputError("--all-files and --tree leave nothing to put aside; leave --aside out")
    if chosen.selection is not None and options.certutil is not None:
        return _plan_apart(chosen, options.certutil, options)
    request = _with_list(request, chosen.archives[0], chosen.paths, options)
    content, apart, met = _content(chosen, options)
    if options.only and chosen.selection is not None:
        chosen = choose_among(chosen, content, options.only, right_names=options.right_names, watch=watch)
        met = chosen.left_out
    if options.only and not options.as_it_lay:
        chosen = replace(chosen, problems=(*chosen.problems, *met_all_the_same(met)))
    request = replace(request, left_out=apart, names=_right_names(chosen, content))
    request = replace(request, roots=content.roots, numbered=content.keeps_numbers)
    plan = _plan(content, request, chosen, options)
    if plan.stays:
        paths = [Path(directory, name) for directory, name in sorted(plan.stays)]
        gone = chosen.logs[-1] if plan.gives_way else None
        chosen = with_staying(chosen, facts_of_logs(paths), paths, gone)
        plan = _plan(content, request, chosen, options)
    plan = replace(
        plan, notes=(*plan.notes, *(_answer(one) for one in met if options.as_it_lay and not one.is_harmless))
    )
    if request.names and not plan.stays:  # the archives keep the wrong names
        chosen = with_way(chosen, [one.path for one in plan.directories], sets=False)
    recovery = guide(chosen, plan, request, met)
    whole = RestorePlan(chosen, ((replace(plan, recovery=recovery), content),), recovery, met)
    return _agreed(whole, options)


def _agreed(plan: RestorePlan, options: RestoreOptions) -> RestorePlan:
    """Return a plan that is refused where its last line says so, unless that was accepted by name (OUT-4)."""
    outcome = plan.outcome
    if plan.is_refused or outcome is None or not outcome.fails or options.acceptances:
        return plan
    problem = Problem(RestoreError(str(outcome), hint=ALL_THE_SAME), urgency=UNRECOVERABLE)
    parts = [(add_problems(one, [problem]), content) for one, content in plan.parts]
    return replace(plan, parts=tuple(parts))


def outcome_of_sets(chosen: ChosenSets, unproven: Sequence[str] = ()) -> LastLine | None:
    """Return what the verdict on sets comes to that a server takes over; None where nothing was judged.

    Args:
        chosen: The sets.
        unproven: What nobody can tell of the server.
    """
    found = _outcome(chosen)
    return worst((found, weigh((), LeftOpen(unproven)))) if found is not None and unproven else found


def _outcome(chosen: ChosenSets, met: Sequence[NotPlaced] = ()) -> LastLine | None:
    lost = chosen.selection.outcome if chosen.selection else None
    found = with_damage(with_met(worst(filter(None, (chosen.outcome, lost))), met), chosen.met_damage)
    return with_idle(found, chosen.selection.idle if chosen.selection else ())


def _with_list(request: Request, archive: Archive, paths: Mapping[str, str], options: RestoreOptions) -> Request:
    """Return what is asked for with the list that certutil needs, rebuilt where the set has lost it, and say so."""
    if request.certutil is None:
        return request
    if not any(tokens.role(one.token) is tokens.Role.DATABASE for one in archive.entries):
        return replace(request, location_list=None) if options.locations else request
    kept = archive.head.location_list
    if options.locations and request.location_list is not None and (kept is None or kept.data != request.location_list):
        given = names.printable(str(options.locations))
        found = parse_location_list(request.location_list, wide=True)
        known = {names.collision_key(last_component(one.path)) for one in found}
        mine = [one for one in archive.entries if tokens.role(one.token) is tokens.Role.DATABASE]
        strange = [one.leaf for one in mine if one.leaf and names.collision_key(one.leaf) not in known]
        doubt = (f"{given} names no path of {some(strange)}: is it the list of this server?",) if strange else ()
        return replace(request, notes=(f"{CERTUTIL_LIST} is made from {given}", *doubt))
    if request.location_list is not None or not (rebuilt := rebuilt_locations(archive, paths)):
        return request
    listed = ", ".join(names.printable(one.path) for one in rebuilt)
    note = f"{CERTUTIL_LIST} is REBUILT, for the set has none: {listed}"
    return replace(request, location_list=list_of(rebuilt), notes=(note,))


def _choose_one(archive: Archive, options: RestoreOptions, watch: Watch) -> ChosenSets:
    archive.demand_unique()
    entries = find_fitting(archive.entries, options.only) if options.only else archive.entries
    chosen = choose_one(
        archive,
        only=options.only,
        facts=facts_of(archive, entries, watch),
        branch=options.branch,
        right_names=options.right_names,
        folders_apart=options.tree is not None,
    )
    return replace(chosen, damage=tuple(spare_damage(archive)))


def _right_names(chosen: ChosenSets, content: MergedSet) -> Mapping[int, str]:
    """Return the names of entries that get another one than they had."""
    if not chosen.names:
        return {}
    sets = {id(archive): at for at, archive in enumerate(chosen.archives)}
    origins = ((entry.number, content.origin(entry)) for entry in content.entries)
    found = {number: chosen.names.get((sets[id(archive)], own.number)) for number, (archive, own) in origins}
    return {number: name for number, name in found.items() if name is not None}


def _content(
    chosen: ChosenSets, options: RestoreOptions
) -> tuple[MergedSet, Mapping[int, Apart], tuple[NotPlaced, ...]]:
    """Return what is placed, which entries of it stay apart, and what of it recovery must not meet."""
    parts = list(zip(chosen.archives, chosen.entries, strict=True))
    if chosen.selection is None:
        if options.only or options.as_it_lay:
            return MergedSet(parts), {}, chosen.left_out  # each was asked for
        return MergedSet(parts), {one.entry: Apart(one.reason) for one in chosen.left_out}, ()
    left_out = [(one, chosen.archives[one.at].entry(one.entry)) for one in chosen.left_out]
    if options.as_it_lay:
        taken = {(entry.token, entry.raw_name) for _, entries in parts for entry in entries}
        met: dict[tuple[int, bytes], tuple[NotPlaced, Entry]] = {}
        for one, entry in left_out:
            if one.at == 0 or tokens.role(entry.token) is tokens.Role.LOG:
                met.setdefault((entry.token, entry.raw_name), (one, entry))
        added = [one for name, one in met.items() if name not in taken]
        for at, (archive, entries) in enumerate(parts):
            parts[at] = archive, [*entries, *(entry for one, entry in added if one.at == at)]
        return MergedSet(parts), {}, tuple(one for one, _ in added)
    if options.aside is None:
        return MergedSet(parts), {}, ()
    content = MergedSet(parts, [(chosen.archives[one.at], entry) for one, entry in left_out])
    first = len(content.entries) - len(left_out)
    folders = [str(one.at + 1) if len(chosen.archives) > 1 else "" for one, _ in left_out]
    apart = {first + at: Apart(one.reason, folders[at]) for at, (one, _) in enumerate(left_out)}
    return content, apart, ()


def _plan_apart(chosen: ChosenSets, folder: Path, options: RestoreOptions) -> RestorePlan:
    """Plan a numbered folder for each set, as `certutil -restoreDB` takes it, in the order of the restore."""
    if options.to or options.only or options.aside or options.all_files or options.right_names:
        raise InputError("--certutil with several sets takes them whole; leave other choices of files out")
    folders = [folder / str(at) for at in range(1, len(chosen.archives) + 1)]
    recovery = guide_at(chosen, certutil=[str(one) for one in folders])
    contents = [MergedSet([(archive, chosen.alone(at))]) for at, archive in enumerate(chosen.archives)]
    requests = [
        _with_list(make_request(archive, replace(options, certutil=one)), archive, chosen.paths, options)
        for archive, one in zip(chosen.archives, folders, strict=True)
    ]

    apart = replace(chosen, problems=())  # those are of all sets together

    def plans(left: Interrupted | None = None) -> list[Plan]:
        return [
            replace(_plan(content, request, apart, options, lambda _, planned: planned(left)), recovery=recovery)
            for content, request in zip(contents, requests, strict=True)
        ]

    parts = plans_that_go_on(join_plans(plans()), plans)
    whole = join_plans(parts)
    problems = [*chosen.problems, *(() if options.system else _strays(folder, len(folders)))]
    if not any(isinstance(one.error, NoRoomError) for plan in parts for one in plan.problems):
        problems += room_problems(whole.directories, whole.seen)  # of all sets together
    parts[0] = add_problems(parts[0], problems)
    return _agreed(RestorePlan(chosen, tuple(zip(parts, contents, strict=True)), recovery), options)


def _plan(
    content: MergedSet,
    request: Request,
    chosen: ChosenSets,
    options: RestoreOptions,
    go_on: Callable[[Plan, Planned], list[Plan]] = plans_that_go_on,
) -> Plan:
    """Return the plan of some content, with what is wrong with it unless that was accepted."""
    placed = None if options.only or not chosen.whole else _placed(chosen, content, request)
    plan = look_and_plan(content.entries, request, placed, go_on)
    plan = replace(plan, notes=(*plan.notes, *chosen.notes))
    problems = [] if options.accept_unrecoverable else list(chosen.problems)
    problems += [*content.problems, *_archives_set_aside(plan, content), *_among_logs(plan, chosen)]
    if not options.accept_incomplete and any(one.has_incomplete for one in content.archives):
        problems += incomplete_files((entry for _, _, entry in plan.steps.placements()))
    return add_problems(plan, problems)


def _placed(chosen: ChosenSets, content: MergedSet, request: Request) -> RolledForward:
    """Return what is placed, as far as logs that are there may continue it."""
    if request.elsewhere or not (chosen.logs and chosen.logs[-1].current):
        return RolledForward(chosen.logs, chosen.databases)
    last = chosen.selection and chosen.selection.logs[-1]
    at, number = (last.at, last.entry) if last else (0, chosen.logs[-1].number)
    origins = ((one, *content.origin(one)) for one in content.entries)
    found = next((one for one in origins if one[1] is chosen.archives[at] and one[2].number == number), None)
    if found is None:
        return RolledForward(chosen.logs, chosen.databases)  # another part of the restore has it
    entry, wanted, own = found
    source = None if wanted.is_locked else wanted.entry_source(own)
    return RolledForward(chosen.logs, chosen.databases, entry.number, source)


def _archives_set_aside(plan: Plan, content: MergedSet) -> Iterator[Problem]:
    """Yield the archives that the plan reads and would rename as problems: the same restore would find them no more."""
    for aside in plan.asides:
        path = os.path.join(aside.directory, aside.name)  # noqa: PTH118 - text, as everywhere in a plan
        for archive in content.archives:
            with suppress(OSError):
                if archive.path is not None and os.path.samefile(archive.path, path):  # noqa: PTH121 - as above
                    message = "the archive that is restored from has the name of a file in it"
                    yield Problem(ExistingFileError(message, path=path, hint="restore into another directory"))


def _among_logs(plan: Plan, chosen: ChosenSets) -> Iterator[Problem]:
    """Yield the databases that would lie beside the logs under the name of one, as recovery takes them for that."""
    databases = {one.name for one in chosen.databases}
    is_odd = any(map(has_name_of_log, chosen.databases))  # such a one need not have the token of a database

    def is_database(entry: Entry) -> bool:
        is_meant = is_odd or tokens.role(entry.token) is tokens.Role.DATABASE
        return is_meant and entry.name in databases

    found = [one for one in plan.steps.placements() if is_database(one[2]) and _base_of(one[1])] if databases else []
    own = {entry.number for _, _, entry in found}
    placed = ((directory, name) for directory, name, one in plan.steps.placements() if found and one.number not in own)
    logs = {(directory, _base_of(name)) for directory, name in (*placed, *plan.stays)}
    for directory, name, entry in found:
        if (directory, _base_of(name)) in logs:
            what = "is a database, and would lie beside the logs under the name of one: recovery takes it for that"
            hint = "give it the name of a database: tokar restore --to NAME=PATH"
            yield Problem(RestoreError(f"{names.printable(name)} {what}", path=directory, hint=hint), (entry.number,))


def _base_of(name: str) -> str:
    """Return the base of a name under which the engine looks for a log; empty for any other name."""
    found = parse_file_name(name)
    return (found.base or "").lower() if found.role in LOG_NAMES else ""


def _answer(one: NotPlaced) -> str:
    """Return what recovery answers to a file that is placed although it must not meet it."""
    code = f": recovery will answer {of_engine(one.code)}" if one.code is not None else ""
    return f"{one.name} is placed all the same ({one.reason}){code}"


def _strays(folder: Path, count: int) -> list[Problem]:
    """Return as a problem the numbered folders that belong to no set of this chain: somebody would restore them too."""
    try:
        present = [path.name for path in folder.iterdir()]
    except OSError:
        return []  # missing, or the plan says why it cannot be looked at
    extra = sorted(int(name) for name in present if name.isascii() and name.isdigit() and not 1 <= int(name) <= count)
    if not extra:
        return []
    message = f"there are numbered folders beside those of this chain: {', '.join(map(str, extra))}"
    return [Problem(ExistingFileError(message, path=str(folder), hint="restore into another directory"))]


def place_sets(plan: RestorePlan, *, progress: Callable[[int], None] | None = None, processes: int = 1) -> Report:
    """Put the files of a restore where the plan says.

    Args:
        plan: The plan; it must have no problems.
        progress: Called with the number of bytes that were written since the last call.
        processes: How many processes may stage many small files; see `place`.

    Raises:
        RestoreError: The plan has problems; nothing was written.
        FormatError: An archive is damaged; nothing is in place.
        StorageError: The operating system refused; as above.
        PlacingStoppedError: It stopped after the first rename; of a chain, what is in place of each set is noted.
        LockedError: Content is encrypted, and the key is not there; nothing was written.
    """
    plan.raise_for_problems()
    for archive in plan.chosen.archives:
        archive.demand_key()
    whole, reader = joined(plan.parts)
    try:
        return place(whole, reader, progress=progress, processes=processes)
    except BaseException as error:
        if plan.chosen.selection is not None:
            note_sets(error, _paths_of_sets(plan))
        raise


def _paths_of_sets(plan: RestorePlan) -> Iterator[tuple[str, list[str]]]:
    """Yield what each set of a chain is called, and the paths of its files."""
    for one, archive in zip(plan.chosen.ranges, plan.chosen.archives, strict=True):
        paths = [
            os.path.join(directory, name)  # noqa: PTH118 - text, as everywhere in a plan
            for part, content in plan.parts
            for directory, name, entry in part.steps.placements()
            if content.origin(entry)[0] is archive
        ]
        yield one.label, paths


def incomplete_files(entries: Iterable[Entry]) -> list[Problem]:
    """Return as a problem the files of which salvage could save only a part; none where there are none."""
    listed = [entry for entry in entries if entry.incomplete]
    if not listed:
        return []
    files, are = count_text(len(listed), "file"), noun(len(listed), "is", "are")
    error = RestoreError(
        f"{files} {are} incomplete, with zeros where content was lost: {some(one.name for one in listed)}",
        hint="choose the others with --only, or take them as they are with --accept-incomplete",
    )
    return [Problem(error, tuple(one.number for one in listed), INCOMPLETE)]


def join_plans(plans: Sequence[Plan]) -> Plan:
    """Return plans for unlike directories as one, with the entries numbered anew from 0."""
    if len(plans) == 1:
        return plans[0]
    first = plans[0]
    seen = {one.path: one for plan in plans for one in plan.seen}
    return Plan(
        profile=first.profile,
        roots=tuple(chain.from_iterable(plan.roots for plan in plans)),
        steps=Steps.joined([plan.steps for plan in plans]),
        extras=tuple(chain.from_iterable(plan.extras for plan in plans)),
        asides=Asides(part for plan in plans for part in plan.asides.parts),
        directories=tuple(chain.from_iterable(plan.directories for plan in plans)),
        problems=(),
        notes=(),
        interrupted=_interrupted(plans),
        seen=tuple(seen.values()),
        stays=frozenset().union(*(plan.stays for plan in plans)),
    )


def joined(parts: Sequence[tuple[Plan, ContentReader]]) -> tuple[Plan, ContentReader]:
    """Return plans as one, and what reads the contents of all of them."""
    if len(parts) == 1:
        return parts[0]
    return join_plans([plan for plan, _ in parts]), _JoinedReader(parts)


def _interrupted(plans: Sequence[Plan]) -> Interrupted | None:
    """Return what an interrupted run left in the directories of all plans."""
    left = [plan.interrupted for plan in plans if plan.interrupted is not None]
    if not left:
        return None
    return replace(
        left[0],
        placed=WrittenFiles(chain.from_iterable(one.placed for one in left)),
        staged=WrittenFiles(chain.from_iterable(one.staged for one in left)),
        asides=tuple(chain.from_iterable(one.asides for one in left)),
    )


class _JoinedReader:
    """Reads the entries of joined plans."""

    def __init__(self, parts: Sequence[tuple[Plan, ContentReader]]) -> None:
        self._origins = [(reader, step.entry) for plan, reader in parts for step in plan.steps]

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry in order."""
        reader, own = self._origins[entry.number]
        return reader.chunks(own)
