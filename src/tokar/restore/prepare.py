"""Restoring from several sets: which archives form a chain, what is taken from each, and the plan of it.

Everything is decided before anything is written, and a target that cannot be reached is an error: nothing is given in
its place. What takes no part is named.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict, Unpack

from tokar import names, tokens
from tokar.errors import CollisionError, ExistingFileError, FormatError, InputError, StorageError
from tokar.ese.filenames import parse_file_name
from tokar.format.archive import Archive
from tokar.restore.next_steps import NO_PLACES, Guidance, Places, Recovery, RestoredSet, make_guidance, recovery_of
from tokar.restore.options import make_request
from tokar.restore.place import Report, place
from tokar.restore.plan import Existing, Plan, Problem, raise_first, sort_problems
from tokar.restore.planner import add_problems, look_and_plan, places_of
from tokar.restore.soundness import incomplete_entries, incomplete_problem, soundness_of
from tokar.sets.backup_set import find_sets
from tokar.sets.chain import build_chain
from tokar.sets.choose import NotRestorableError, restorable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from tokar.format.entry_reader import Chunk
    from tokar.format.index import Entry
    from tokar.restore.options import Request
    from tokar.restore.soundness import Soundness
    from tokar.sets.backup_set import BackupSet
    from tokar.sets.chain import Chain
    from tokar.sets.choose import ChainSelection, NotPlaced
    from tokar.sets.facts import LogFacts

_HIGHEST: Final = 0xFFFFFFFF  # a generation has four bytes (log header)
_GENERATION_HINT: Final = "0x-hexadecimal, as in 0x1A, or the name of the log, as in edb0001A.log"


class RequestOptions(TypedDict, total=False):
    """What a person asks for, apart from the archives; see `restore.options.make_request`."""

    locations: Path | None
    to: Sequence[str]
    maps: Sequence[str]
    into: Path | None
    certutil: Path | None
    only: Sequence[str]
    existing: str
    code_page: int
    backup_logs: Path | None


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
        sets = tuple(known[one.id, one.root] for one in selection.sets)
        return ChosenSets(selection, tuple(map(self._open, sets)), sets, whole=until is None)

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

    def close(self) -> None:
        """Close all archives."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class ChosenSets:
    """The sets that take part in a restore, open."""

    selection: ChainSelection  # What is taken from which of them
    archives: tuple[Archive, ...]  # Their archives, in the order of the selection
    sets: tuple[BackupSet, ...]  # What they say of themselves
    whole: bool  # Whether everything that is here is reached, rather than a generation that was named

    def entries(self, at: int) -> tuple[Entry, ...]:
        """Return what is placed from one set."""
        archive = self.archives[at]
        if at == 0:
            excluded = self.selection.excluded()
            return tuple(entry for entry in archive if entry.number not in excluded)
        return tuple(archive.entry(number) for number in self.selection.log_entries(at))

    def alone(self, at: int) -> tuple[Entry, ...]:
        """Return what one set contributes if each is kept apart: also logs that another set brings as well, with the same bytes."""
        shared = {log.digest for log in self.selection.logs if at in log.also_in}
        placed = {entry.number for entry in self.entries(at)}
        return tuple(
            entry
            for entry in self.archives[at]
            if entry.number in placed or (entry.digest in shared and tokens.role(entry.token) is tokens.Role.LOG)
        )

    def logs(self) -> tuple[LogFacts, ...]:
        """Return what the logs that are placed say of themselves, in order."""
        known = [{log.number: log for log in backup_set.facts.logs} for backup_set in self.sets]
        return tuple(known[log.at][log.entry] for log in self.selection.logs)

    def recovery(self) -> Recovery:
        """Return the recovery that follows."""
        return recovery_of(self.sets[0].facts.databases, more_logs=len(self.archives) > 1)


@dataclass(frozen=True, slots=True)
class ChainPlan:
    """The plan of restoring a chain."""

    chosen: ChosenSets  # The sets
    # The plans, in the order in which they are carried out, each with the content it places: one for everything, or one
    # for each set where the sets stay apart.
    parts: tuple[tuple[Plan, MergedSet], ...]
    recovery: Guidance  # What follows

    @property
    def size(self) -> int:
        """Bytes of content that will be placed."""
        return sum(plan.size for plan, _ in self.parts)

    @property
    def left_out(self) -> tuple[NotPlaced, ...]:
        """The files of these sets that are not placed, each with its reason; what a set of its own keeps is placed."""
        listed = self.chosen.selection.left_out
        if len(self.parts) == 1:
            return listed
        kept = [{entry.number for entry in self.chosen.alone(at)} for at in range(len(self.parts))]
        return tuple(one for one in listed if one.entry not in kept[one.at])

    def raise_for_problems(self) -> None:
        """Raise the most important problem of the first plan that has one, with all others as notes.

        Raises:
            RestoreError: There is a problem.
        """
        raise_first(sort_problems(problem for plan, _ in self.parts for problem in plan.problems))

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "chain": {
                **self.chosen.selection.to_json(),
                "left_out": [one.to_json() for one in self.left_out],
            },
            "plans": [plan.to_json() for plan, _ in self.parts],
            "recovery": self.recovery.to_json(),
        }


def plan_chain(chosen: ChosenSets, *, accept_incomplete: bool = False, **options: Unpack[RequestOptions]) -> ChainPlan:
    """Look at the targets and return the complete plan for a chain. Nothing is written.

    Args:
        chosen: The sets, from `OpenSets.select`.
        accept_incomplete: Whether to restore files whose content is known to be incomplete.
        options: As for one archive. With `certutil`, each set gets a numbered folder of its own there, in order.

    Raises:
        InputError: The options contradict each other.
        NoSuchEntryError: A name in `only` or in a target fits no entry.
        LocationListError: The locations cannot be read.
        FormatError: An archive is damaged.
        StorageError: A log that may stay cannot be read.
    """
    if options.get("existing") == Existing.ROLL_FORWARD and not chosen.whole:
        raise InputError(
            "--until names the end, and --existing roll-forward goes beyond it; give one of them",
            hint="--existing set-aside puts the later logs aside",
        )
    folder = options.get("certutil")
    if folder is not None:
        return _plan_apart(chosen, folder, options, accept_incomplete=accept_incomplete)
    merged = MergedSet([(archive, chosen.entries(at)) for at, archive in enumerate(chosen.archives)])
    request = replace(make_request(chosen.archives[0], **options), roots=merged.roots, numbered=False)
    plan = look_and_plan(merged.entries, request, chosen.logs())
    problems = [] if accept_incomplete else _incomplete(plan, merged)
    base = next((log.base for log in chosen.logs()), "")
    recovery = _guidance(chosen, places_of(plan, request, base=base))
    return ChainPlan(chosen, ((replace(add_problems(plan, problems), recovery=recovery), merged),), recovery)


def _plan_apart(chosen: ChosenSets, folder: Path, options: RequestOptions, *, accept_incomplete: bool) -> ChainPlan:
    """Plan a numbered folder for each set, each as `certutil -restoreDB` takes it, in the order in which they are restored."""
    if options.get("to") or options.get("only"):
        raise InputError("--certutil with several sets takes them whole; leave --to and --only out")
    folders = [folder / str(at) for at in range(1, len(chosen.archives) + 1)]
    parts = []
    for at, archive in enumerate(chosen.archives):
        merged = MergedSet([(archive, chosen.alone(at))])
        own: RequestOptions = {**options, "certutil": folders[at]}
        request = make_request(archive, **own)
        plan = look_and_plan(merged.entries, request, chosen.logs())
        problems = [] if accept_incomplete else _incomplete(plan, merged)
        parts.append((add_problems(plan, [*problems, *(_strays(folder, len(folders)) if at == 0 else ())]), merged))
    recovery = _guidance(chosen, NO_PLACES, [str(one) for one in folders])
    return ChainPlan(chosen, tuple((replace(plan, recovery=recovery), merged) for plan, merged in parts), recovery)


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


def _incomplete(plan: Plan, merged: MergedSet) -> list[Problem]:
    """Return the files of a plan that salvage left incomplete, as a problem."""
    found = []
    for _, _, entry in plan.steps.placements():
        archive, own = merged.origin(entry)
        if incomplete_entries(archive, [own]):
            found.append(entry)
    problem = incomplete_problem(found)
    return [problem] if problem else []


def _guidance(chosen: ChosenSets, places: Places, certutil: Sequence[str] = ()) -> Guidance:
    sets = [
        RestoredSet(label=one.label, low=one.low, high=one.high, has_databases=at == 0)
        for at, one in enumerate(chosen.selection.sets)
    ]
    return make_guidance(
        profile=chosen.archives[0].head.profile,
        recovery=chosen.recovery(),
        sets=sets,
        places=places,
        certutil=certutil,
        not_checked=chosen.selection.not_checked,
    )


def place_chain(plan: ChainPlan, *, progress: Callable[[int], None] | None = None) -> Report:
    """Put the files of a chain where the plan says.

    Args:
        plan: The plan; it must have no problems.
        progress: Called with the number of bytes that were written since the last call.

    Raises:
        RestoreError: The plan has problems; nothing was written.
        FormatError: An archive is damaged. With sets that stay apart, those before it are in place.
        StorageError: The operating system refused.
        PlacingStoppedError: It stopped after the first rename.
    """
    plan.raise_for_problems()
    reports = [place(part, merged, progress=progress) for part, merged in plan.parts]
    return Report(
        sum(one.files for one in reports),
        sum(one.size for one in reports),
        tuple(aside for one in reports for aside in one.asides),
        sum(one.without_time for one in reports),
    )


class MergedSet:
    """The chosen entries of several archives, read as if they were in one.

    The same file in two sets (same token, name and digest) is taken once, from the first; the same name with another
    digest is refused.

    Args:
        parts: Archives, each with the entries that are needed from it, in the order of the chain.

    Raises:
        CollisionError: Two sets have a file of the same token and name with different content.
    """

    def __init__(self, parts: Sequence[tuple[Archive, Sequence[Entry]]]) -> None:
        self.archives = tuple(archive for archive, _ in parts)
        self._origins: list[tuple[Archive, Entry]] = []
        self.entries: list[Entry] = []  # The entries, numbered from 0
        seen: dict[tuple[int, bytes], Entry] = {}
        for archive, chosen in parts:
            for entry in chosen:
                other = seen.setdefault((entry.token, entry.raw_name), entry)
                if other is not entry:
                    _demand_same(other, entry)
                    continue
                self.entries.append(entry._replace(number=len(self.entries)))
                self._origins.append((archive, entry))

    @property
    def roots(self) -> tuple[str, ...]:
        """The roots of the archives, as hex digits."""
        return tuple(archive.root.hex() for archive in self.archives)

    def origin(self, entry: Entry) -> tuple[Archive, Entry]:
        """Return the archive that an entry came from, and the entry as that archive numbers it."""
        return self._origins[entry.number]

    def chunks(self, entry: Entry) -> Iterator[Chunk]:
        """Yield the whole content of an entry; see `Archive.chunks`.

        Raises:
            FormatError: The entry is damaged.
        """
        archive, own = self._origins[entry.number]
        return archive.chunks(own)

    def modification_time(self, entry: Entry) -> int | None:
        """Return the modification time of an entry in nanoseconds, if it was recorded.

        Raises:
            FormatError: The entry is damaged.
        """
        archive, own = self._origins[entry.number]
        return archive.modification_time(own)


def _demand_same(first: Entry, second: Entry) -> None:
    if first.digest != second.digest or first.size != second.size:
        raise CollisionError(
            f"{first.name} is in two sets with different content",
            hint="the sets do not belong together: tokar chain shows where they part",
        )


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
    return replace(add_problems(plan, problems), recovery=_guidance_of_one(archive, request, plan, sound))


def _guidance_of_one(archive: Archive, request: Request, plan: Plan, sound: Soundness) -> Guidance | None:
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
