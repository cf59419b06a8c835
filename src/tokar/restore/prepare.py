"""Restoring from one archive or from a chain of them: what is taken from which set, the plan of it, and placing.

Everything is decided before anything is written, and a target that cannot be reached is an error: nothing is given in
its place. What takes no part is named.

    OpenSets.select, or an archive -> ChosenSets -> plan_restore -> RestorePlan -> place_sets
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from tokar import tokens
from tokar.as_json import as_json
from tokar.codes import of_engine
from tokar.errors import ExistingFileError, FormatError, InputError, NoRoomError, RestoreError, StorageError
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.format.archive import Archive
from tokar.format.index import Entry, find_entries
from tokar.restore.joined import MergedSet, join_plans, joined
from tokar.restore.journal import Planned, plans_that_go_on
from tokar.restore.next_steps import NO_PLACES, Guidance, Places, Recovery, RestoredSet, make_guidance, recovery_of
from tokar.restore.options import Request, RestoreOptions, make_request, old_paths
from tokar.restore.place import Report, note_sets, place
from tokar.restore.plan import (
    INCOMPLETE,
    UNRECOVERABLE,
    Existing,
    Interrupted,
    Plan,
    Problem,
    raise_first,
    sort_problems,
)
from tokar.restore.planner import add_problems, look_and_plan, places_of
from tokar.restore.targets import room_problems
from tokar.sets.backup_set import BackupSet, find_sets
from tokar.sets.chain import Chain, build_chain
from tokar.sets.choose import ChainSelection, NotPlaced, NotRestorableError, restorable
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.faults import Fault
from tokar.sets.judge import LeftOut, SetVerdict, judge_set
from tokar.sets.outcome import LastLine, outcome_of
from tokar.sets.read import facts_of_archive
from tokar.sets.recorded import RecordedFacts
from tokar.words import count_text, noun, some

_OF_AN_ENGINE: Final = {tokens.Role.DATABASE, tokens.Role.LOG}


class OpenSets:
    """Several archives and how they fit together. Use it as a context manager: those that are restored from are open.

    Args:
        paths: The archives, and folders with archives.

    Raises:
        ArchiveError: An archive that was named cannot be read.
        InputError: There is no archive.
    """

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self._stack = ExitStack()
        self._found = find_sets(paths)
        self.problems = self._found.problems  # What is in the folders and cannot be read
        self.chain: Chain = build_chain(self._found.sets)  # How the others fit together

    def select(self, until: int | None = None) -> ChosenSets:
        """Return what a restore takes from which set.

        Args:
            until: The generation to reach; None for everything that is here.

        Raises:
            InputError: The generation is below what the databases need.
            NotRestorableError: It cannot be reached, or more than one history leads there.
            ArchiveError: An archive that is needed cannot be read, or has changed.
        """
        try:
            selection = restorable(self.chain, until)
        except NotRestorableError as error:
            for problem in self.problems:
                error.add_note(f"also: cannot be read: {problem}")
            raise
        if until is None:
            self._found.demand_none_beyond(selection.target)
        known = {(one.id, one.root): one for one in self.chain.sets}
        sets = [known[one.id, one.root] for one in selection.sets]
        archives = tuple(map(self._open, sets))
        logs = [{log.number: log for log in one.facts.logs} for one in sets]
        placed = tuple(logs[log.at][log.entry] for log in selection.logs)
        excluded = selection.excluded()
        later = [
            [archive.entry(number) for number in selection.log_entries(at)] for at, archive in enumerate(archives) if at
        ]
        return ChosenSets(
            archives=archives,
            entries=([entry for entry in archives[0] if entry.number not in excluded], *later),
            ranges=tuple(
                RestoredSet(label=one.label, low=one.low, high=one.high, has_databases=at == 0)
                for at, one in enumerate(selection.sets)
            ),
            logs=placed,
            base=placed[0].base if placed else "",
            paths=old_paths(archives[0], sets[0].facts),
            recovery=recovery_of(sets[0].facts.databases, more_logs=len(archives) > 1),
            not_checked=selection.not_checked,
            outcome=self._outcome(sets[0]),
            selection=selection,
            whole=until is None,
        )

    def _outcome(self, first: BackupSet) -> LastLine | None:
        """Return what the verdict on the set with the databases comes to, together with the logs of the others."""
        start = self.chain.start_of(self.chain.sets.index(first))
        return outcome_of(start.verdict, start.facts) if start else None

    def _open(self, backup_set: BackupSet) -> Archive:
        path = Path(backup_set.label)
        try:
            archive = self._stack.enter_context(Archive(path))
            archive.demand_unique()
        except FormatError as error:
            error.path = error.path or path
            raise
        if (archive.id, archive.root) != (backup_set.id, backup_set.root):
            raise StorageError("the archive was replaced while it was being looked at", path=path)
        return archive

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSets:
    """The sets that take part in a restore, open, and what is known of them. A single archive is a chain of one."""

    archives: tuple[Archive, ...]  # Their archives, in order
    entries: tuple[Sequence[Entry], ...]  # What is placed from each of them
    ranges: tuple[RestoredSet, ...] = ()  # Their logs and databases, set by set
    logs: tuple[LogFacts, ...] = ()  # What the logs that are placed say of themselves, in order
    base: str = ""  # The base name of the logs; empty where it is not known
    paths: Mapping[str, str] = field(default_factory=dict)  # Where databases lay at the backup, by name
    recovery: Recovery | None = None  # The recovery that follows; None where nothing is of an engine
    not_checked: tuple[str, ...] = ()  # What nobody could judge
    left_out: tuple[LeftOut, ...] = ()  # The files of a single archive that recovery must not meet
    outcome: LastLine | None = None  # What the verdict comes to; None where nothing was judged
    notes: tuple[str, ...] = ()  # What the verdict on a single archive has to remark
    problems: tuple[Problem, ...] = ()  # Databases that cannot be recovered from a single archive
    selection: ChainSelection | None = None  # What is taken from which set of a chain; None for a single archive
    whole: bool = True  # Whether everything that is here is reached, rather than a generation that was named

    def alone(self, at: int) -> tuple[Entry, ...]:
        """Return what one set contributes if each is kept apart: also logs that another set has with the same bytes."""
        logs = self.selection.logs if self.selection else ()
        shared = {log.digest for log in logs if at in log.also_in}
        placed = {entry.number for entry in self.entries[at]}
        return tuple(
            entry
            for entry in self.archives[at]
            if entry.number in placed or (entry.digest in shared and tokens.role(entry.token) is tokens.Role.LOG)
        )


def choose_one(
    archive: Archive, *, only: Sequence[str] = (), facts: SetFacts | None = None, branch: str = ""
) -> ChosenSets:
    """Return a single archive as the set that is restored, with the verdict on its databases.

    Args:
        archive: The archive.
        only: The names of the entries that are asked for; empty for all. A verdict on a choice refuses nothing and
            leaves nothing out: each file was asked for. No file of the engine stays beside it, so it is about these.
        facts: What its files say of themselves, where that was read already.
        branch: The name of a log of the history that is wanted, where there are two.

    Raises:
        InputError: No log of that name is in the set.
        NoSuchEntryError: A name in `only` fits no entry, or more than one.
        FormatError: Its index, or the start of a database or log, is damaged.
    """
    archive.demand_unique()
    chosen = ChosenSets(archives=(archive,), entries=(archive.entries,))
    if only:
        facts = _facts_of(archive, find_entries(archive.entries, only))
        return replace(chosen, whole=False, outcome=_outcome_of(judge_set(facts), facts))
    facts = _facts_of(archive, archive.entries) if facts is None else facts
    found = judge_set(facts, branch=branch)
    logs = found.placed_logs(facts)
    generations = [one.generation or 0 for one in logs]
    low, high = min(generations, default=0), max(generations, default=0)
    label = str(archive.path or archive.id.hex())
    outcome = _outcome_of(found, facts)
    return replace(
        chosen,
        ranges=(RestoredSet(label=label, low=low, high=high, has_databases=bool(facts.databases)),),
        logs=logs,
        base=facts.logs[0].base if facts.logs else "",
        paths=old_paths(archive, facts),
        recovery=recovery_of(facts.databases) if outcome else None,
        not_checked=found.not_checked,
        left_out=found.left_out,
        outcome=outcome,
        notes=tuple(fault.message for fault in found.remarks),
        problems=tuple(_unrecoverable(found, facts)),
    )


def _outcome_of(found: SetVerdict, facts: SetFacts) -> LastLine | None:
    """Return what a verdict comes to; None where nothing is of an engine."""
    return outcome_of(found, facts) if facts.databases or facts.logs or found.not_checked else None


def _facts_of(archive: Archive, entries: Sequence[Entry]) -> SetFacts:
    """Return the facts of entries; nothing is read where none is of an engine: there may be a million."""
    if any(tokens.role(token) in _OF_AN_ENGINE for token in {entry.token for entry in entries}):
        return facts_of_archive(archive, entries=entries, recorded=RecordedFacts(archive))
    return SetFacts()


def _unrecoverable(found: SetVerdict, facts: SetFacts) -> Iterator[Problem]:
    """Yield what keeps a single archive from being recovered: each database with its root cause, then the rest."""
    said: set[str] = set()
    of_a_stream = any(log.signature is not None for log in facts.logs)
    for database in found.databases:
        blocking = [fault for fault in database.faults if fault.blocks]
        said.update(fault.message for fault in blocking)
        if database.is_lost:
            yield _problem_of(database.name, blocking[0] if blocking else None)
    for fault in found.blocking:
        if fault.message not in said and (found.databases or of_a_stream):
            whole = "the set" if found.databases else "what these logs are for"
            yield _problem_of(", ".join(fault.databases) or whole, fault)


def _problem_of(name: str, cause: Fault | None) -> Problem:
    """Return what cannot be recovered as a problem, with the root cause."""
    why = f": {cause.message}" if cause else ""
    code = f" ({cause.engine})" if cause and cause.engine else ""
    step = f"{cause.next_step}; " if cause and cause.next_step else ""
    error = RestoreError(
        f"{name} cannot be recovered from this set{why}{code}",
        hint=f"{step}--accept-unrecoverable restores the files all the same",
    )
    return Problem(error, urgency=UNRECOVERABLE)


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """The plan of a restore, with the content that it places."""

    chosen: ChosenSets  # The sets
    # The plans, in the order in which they are carried out, each with the content it places: one for everything, or one
    # for each set where the sets stay apart.
    parts: tuple[tuple[Plan, MergedSet], ...]
    recovery: Guidance | None  # What follows; None where nothing is of an engine

    @property
    def size(self) -> int:
        """Bytes of content that will be placed."""
        return sum(plan.size for plan, _ in self.parts)

    @property
    def left_out(self) -> tuple[NotPlaced, ...]:
        """The files of a chain that are not placed, each with its reason; what a set of its own keeps is placed."""
        listed = self.chosen.selection.left_out if self.chosen.selection else ()
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

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        plans = [plan.to_json() for plan, _ in self.parts]
        recovery = as_json(self.recovery)
        selection = self.chosen.selection
        if selection is None:
            return {"plan": plans[0], "recovery": recovery, "outcome": as_json(self.chosen.outcome)}
        chain = {**selection.to_json(), "left_out": as_json(self.left_out)}
        return {"chain": chain, "plans": plans, "recovery": recovery, "outcome": as_json(self.chosen.outcome)}


def plan_restore(sets: Archive | ChosenSets, options: RestoreOptions) -> RestorePlan:
    """Look at the targets and return the complete plan. Nothing is written.

    Args:
        sets: An archive, or the sets of a chain (`OpenSets.select`).
        options: What is asked for. With `certutil`, each set of a chain gets a numbered folder of its own, in order.

    Raises:
        InputError: The options contradict each other.
        NoSuchEntryError: A name in `only` or in a target fits no entry.
        LocationListError: The locations cannot be read.
        FormatError: The index of an archive, or the start of a database or log, is damaged.
        StorageError: A log that may stay cannot be read.
    """
    request = make_request(sets if isinstance(sets, Archive) else sets.archives[0], options)
    chosen = choose_one(sets, only=options.only, branch=options.branch) if isinstance(sets, Archive) else sets
    if request.existing is Existing.ROLL_FORWARD and not chosen.whole:
        if chosen.selection is None:
            raise InputError("--existing roll-forward takes a whole set; leave --only out")
        raise InputError(
            "--until names the end, and --existing roll-forward goes beyond it; give one of them",
            hint="--existing set-aside puts the later logs aside",
        )
    if chosen.selection is not None and options.certutil is not None:
        return _plan_apart(chosen, options.certutil, options)
    if chosen.selection is not None and (options.aside or options.all_files or options.branch):
        raise InputError("--aside, --all-files and --branch are for one archive")
    if options.aside and options.all_files:
        raise InputError("--all-files leaves nothing to put aside; give one of them")
    content = MergedSet(list(zip(chosen.archives, chosen.entries, strict=True)))
    if not options.all_files:
        apart = {one.file.number: one.reason for one in chosen.left_out if one.file.number is not None}
        request = replace(request, left_out=apart)
    request = replace(request, roots=content.roots, numbered=content.keeps_numbers)
    plan = _plan(content, request, chosen, options)
    folders = () if request.certutil is None else (request.certutil,)
    of_an_engine = chosen.recovery is not None  # else there may be a million files, and nothing follows
    places = places_of(plan, request, base=chosen.base, paths=chosen.paths) if of_an_engine else NO_PLACES
    goes_on = request.existing is Existing.ROLL_FORWARD or any(log.current for log in chosen.logs) or not chosen.logs
    if not goes_on and not any(
        parse_file_name(name).role is NameRole.NEXT_LOG for _, name, _ in plan.steps.placements()
    ):
        places = replace(places, highest_log=chosen.logs[-1].leaf)
    recovery = _guidance(chosen, places, folders)
    return RestorePlan(chosen, ((replace(plan, recovery=recovery), content),), recovery)


def _plan_apart(chosen: ChosenSets, folder: Path, options: RestoreOptions) -> RestorePlan:
    """Plan a numbered folder for each set, as `certutil -restoreDB` takes it, in the order of the restore."""
    if options.to or options.only:
        raise InputError("--certutil with several sets takes them whole; leave --to and --only out")
    folders = [folder / str(at) for at in range(1, len(chosen.archives) + 1)]
    recovery = _guidance(chosen, NO_PLACES, [str(one) for one in folders])
    contents = [MergedSet([(archive, chosen.alone(at))]) for at, archive in enumerate(chosen.archives)]
    requests = [
        make_request(archive, replace(options, certutil=one))
        for archive, one in zip(chosen.archives, folders, strict=True)
    ]

    def plans(left: Interrupted | None = None) -> list[Plan]:
        return [
            replace(_plan(content, request, chosen, options, lambda _, planned: planned(left)), recovery=recovery)
            for content, request in zip(contents, requests, strict=True)
        ]

    parts = plans_that_go_on(join_plans(plans()), plans)
    whole = join_plans(parts)
    problems = _strays(folder, len(folders))
    if not any(isinstance(one.error, NoRoomError) for plan in parts for one in plan.problems):
        problems += room_problems(whole.directories, whole.seen)  # of all sets together
    parts[0] = add_problems(parts[0], problems)
    return RestorePlan(chosen, tuple(zip(parts, contents, strict=True)), recovery)


def _plan(
    content: MergedSet,
    request: Request,
    chosen: ChosenSets,
    options: RestoreOptions,
    go_on: Callable[[Plan, Planned], list[Plan]] = plans_that_go_on,
) -> Plan:
    """Return the plan of some content, with what is wrong with it unless that was accepted."""
    plan = look_and_plan(content.entries, request, chosen.logs, go_on)
    notes = [*chosen.notes, *(_answer(one) for one in chosen.left_out if options.all_files)]
    plan = replace(plan, notes=(*plan.notes, *notes))
    problems = [] if options.accept_unrecoverable else list(chosen.problems)
    if not options.accept_incomplete:
        problems += incomplete_files((entry for _, _, entry in plan.steps.placements()))
    return add_problems(plan, problems)


def _answer(one: LeftOut) -> str:
    """Return what recovery answers to a file that is placed although it must not meet it."""
    code = f": recovery will answer {of_engine(one.code)}" if one.code is not None else ""
    return f"{one.file.name} is placed all the same ({one.reason}){code}"


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


def _guidance(chosen: ChosenSets, places: Places, certutil: Sequence[str]) -> Guidance | None:
    """Return what follows the restore; None where nothing is of an engine."""
    if chosen.recovery is None:
        return None
    return make_guidance(
        profile=chosen.archives[0].head.profile,
        recovery=chosen.recovery,
        sets=chosen.ranges,
        places=places,
        certutil=certutil,
        not_checked=chosen.not_checked,
    )


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
    """
    plan.raise_for_problems()
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
