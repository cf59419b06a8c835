"""What takes part in a restore: a single archive, or the sets of a chain, with the verdict on them.

What takes no part is named. A target that cannot be reached is an error: nothing is given in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

from tokar import tokens
from tokar.errors import ArchiveError, FormatError, LockedError, RestoreError, SetError
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.format.identity import KnownBy
from tokar.format.index import Entry, find_fitting
from tokar.replay.together import chain_followed
from tokar.restore.entry_facts import facts_of
from tokar.restore.merged import MergedSet
from tokar.restore.next_steps import Recovery, RestoredSet, goes_on, recovery_of, restored_sets
from tokar.restore.numbered import NumberedEntries
from tokar.restore.options import NO_OPTIONS, RestoreOptions, old_paths
from tokar.restore.plan import UNRECOVERABLE, Existing, Problem
from tokar.restore.renamed import right_names_of
from tokar.restore.unrecoverable import given_up, of_a_chain, unrecoverable
from tokar.sets.apart import chosen_apart
from tokar.sets.backup_set import BackupSet, find_sets, open_again
from tokar.sets.beside import no_copies, without_copies
from tokar.sets.branch import beside_branch
from tokar.sets.by_generation import ends_of
from tokar.sets.choose import NotRestorableError, full_called, restorable
from tokar.sets.elsewhere import elsewhere
from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts, is_foreign
from tokar.sets.faults import Fault
from tokar.sets.instances import files_of, instances_of, together
from tokar.sets.joining import with_open_questions_examined
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.linked import of_a_choice
from tokar.sets.logs import LogTable
from tokar.sets.not_asked import with_not_asked
from tokar.sets.outcome import LastLine, LeftOpen, Word, outcome_of, passes, refusal, unjudged_in, weigh, worst
from tokar.sets.selection import ChainSelection, NotPlaced, SelectedLog
from tokar.sets.start import ChainStart, up_to
from tokar.sets.watching import Watch, unwatched
from tokar.trust.signatures import AllowedSigners

_OF_AN_ENGINE: Final = {tokens.Role.DATABASE, tokens.Role.LOG}


class OpenSets:
    """Several archives and how they fit together. Use it as a context manager: those that are restored from are open.

    Args:
        paths: The archives, and folders with archives.
        keyring: What opens encrypted content.
        signers: Those of whom one must have signed every archive.
        watch: Shows how far reading is, where the verdict hangs on content that nobody examined.

    Raises:
        ArchiveError: The one archive that was named cannot be read.
        InputError: There is no archive.
        NotSignedError: None of the signers signed one of the archives.
    """

    def __init__(
        self,
        paths: Iterable[Path | str],
        keyring: Keyring | None = None,
        *,
        signers: AllowedSigners | None = None,
        watch: Watch = unwatched,
    ) -> None:
        self._stack = ExitStack()
        self._keyring = keyring
        paths = [*paths]
        self._named = {str(path) for path in map(Path, paths)}
        self._found = find_sets(paths, keyring=keyring, signers=signers, strict=len(paths) == 1)
        self.problems = self._found.problems  # What cannot be read
        self.missed: Sequence[ArchiveError] = ()  # What of that kept a restore from being chosen
        self._found, chain = with_open_questions_examined(self._found, keyring, watch)  # How the others fit
        self.chain = chain_followed(self._found.sets, keyring, chain=chain)

    def select(self, until: int | None = None, options: RestoreOptions = NO_OPTIONS) -> ChosenSets:
        """Return what a restore takes from which set.

        Args:
            until: The generation to reach; None for everything that is here.
            options: What is asked for: which history, right names, folders that are kept, logs that are there already.

        Raises:
            InputError: The generation is below what the databases need, or no log, or more than one, has that name.
            NotRestorableError: It cannot be reached, or more than one history leads there.
            ArchiveError: An archive that was named, or is needed, cannot be read, or has changed.
            LockedError: It is encrypted, and nothing in the ring opens it.
        """
        if self._found.named:  # what was named must be there, also where no later log is wanted
            raise self._refusal(self._found.missed())
        renamed = self._with_right_names(options)
        selection = self._choice(until, options)
        apart, refused = self._apart(selection, until, options)
        selection = apart or selection
        known = {(one.id, one.root): one for one in self.chain.sets}
        sets = [known[one.id, one.root] for one in selection.sets]
        start = self.chain.start_of(self.chain.sets.index(sets[0]))
        assert start is not None
        start = start if until is None else up_to(start, until, self.chain.without)
        if until is None and (missed := self._found.missed(start.reached(selection.target))):
            raise self._refusal(missed)
        archives = tuple(map(self._open, sets))
        logs = [{log.number: log for log in one.facts.logs} for one in sets]
        placed = tuple(logs[log.at][log.entry] for log in selection.logs)
        excluded, facts = selection.excluded(), sets[0].facts if apart else without_copies(sets[0].facts)
        later = [
            [archive.entry(number) for number in selection.log_entries(at)] for at, archive in enumerate(archives) if at
        ]
        chosen = ChosenSets(
            archives=archives,
            entries=([entry for entry in archives[0] if entry.number not in excluded], *later),
            ranges=tuple(restored_sets(selection, placed)),
            logs=placed,
            base=placed[0].base if placed else "",
            paths=old_paths(archives[0], sets[0].facts),
            recovery=recovery_of(facts.databases, more_logs=len(archives) > 1),
            not_checked=selection.not_checked,
            left_out=selection.left_out,
            names={
                (at, number): name for at, one in enumerate(sets) for number, name in renamed.get(one.root, {}).items()
            },
            outcome=_outcome(start, sets[1:], None if options.full or until is not None else self.chain.outcome),
            databases=facts.databases,
            problems=of_a_chain(unrecoverable(start.verdict, start.facts)) if start.blocking else (),
            no_copies=tuple(no_copies(facts.databases)),
            facts=replace(placed_of(facts, excluded, placed), elsewhere=start.facts.elsewhere),
            without=self.chain.without,
            selection=selection,
            whole=until is None,
            damage=self.chain.damage if until is None else tuple(error for one in sets for error in one.damage),
        )
        if options.tree is None or chosen.problems:
            return chosen
        chosen = _by_folder(chosen)
        if refused is None:
            return chosen
        if not chosen.problems:
            raise refused
        problems = tuple(Problem(one, urgency=UNRECOVERABLE) for one in (refused, *refused.others))
        return replace(chosen, problems=problems, outcome=refused.outcome)

    def _with_right_names(self, options: RestoreOptions) -> dict[bytes, Mapping[int, str]]:
        """Build the chain anew for a history or for right names; return these by root and by number of the entry."""
        renamed: dict[bytes, Mapping[int, str]] = {}
        if options.branch or options.right_names:
            found, together = [], LogTable(*(one.facts.logs for one in self._found.sets))
            for one in self._found.sets:
                facts, renamed[one.root] = right_names_of(one.facts, right_names=options.right_names, together=together)
                found.append(replace(one, facts=facts))
            self.chain = chain_followed(found, self._keyring, branch=options.branch)
        return renamed

    def _choice(self, until: int | None, options: RestoreOptions) -> ChainSelection:
        """Return what is taken for all folders together, or raise as `select`."""
        try:
            rolls_forward = options.existing == Existing.ROLL_FORWARD
            full = full_called(self.chain, options.full) if options.full else None
            return restorable(self.chain, until, full=full, may_lack_logs=rolls_forward)
        except NotRestorableError as error:
            if missed := self._found.missed():  # what is missing may be in it
                raise self._refusal(missed, error) from None
            error.chain = self.chain if until is None or not error.faults else None
            raise

    def _apart(
        self, selection: ChainSelection, until: int | None, options: RestoreOptions
    ) -> tuple[ChainSelection | None, NotRestorableError | None]:
        """Return what is taken for each folder by itself, where that is another choice, or why one of them is refused.

        What is wrong with the files of one is better said by who judges these alone.
        """
        if options.tree is None:
            return None, None
        may_lack_logs = options.existing == Existing.ROLL_FORWARD
        try:
            return chosen_apart(self.chain, selection, until, may_lack_logs=may_lack_logs), None
        except NotRestorableError as error:
            return None, error

    def _refusal(self, missed: Sequence[ArchiveError], without: ArchiveError | None = None) -> ArchiveError:
        self.missed = missed
        return refusal(self.chain.outcome, missed, without)

    def _open(self, backup_set: BackupSet) -> Archive:
        try:
            twins = self.chain.twins.get(KnownBy(backup_set.id, backup_set.root), ())
            copies = () if backup_set.label in self._named else twins  # what was named must be whole
            archive = self._stack.enter_context(open_again(backup_set, copies))
            if self._keyring is not None:
                archive.unlock(self._keyring)
            archive.demand_unique()
        except (FormatError, LockedError) as error:
            error.path = error.path or backup_set.label
            raise
        return archive

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: object, _trace: object) -> None:
        if isinstance(error, FormatError):
            error.hint = elsewhere(self.chain, error, self._named) or error.hint
        self._stack.close()


def _outcome(start: ChainStart, others: Iterable[BackupSet], together: LastLine | None) -> LastLine | None:
    """Return what the set with the databases comes to, with the logs of the others; as all sets do where they pass."""
    unjudged = [why for one in others for why in unjudged_in(one.facts)][:1]
    found = (LastLine(Word.NOT_PROVEN, why, SetError.exit_code) for why in unjudged)
    own = worst([outcome_of(start.verdict, start.facts), *found])
    return together if passes(together) and passes(own) else own


def placed_of(facts: SetFacts, excluded: Container[int], placed: Iterable[LogFacts]) -> SetFacts:
    """Return the facts of the set with the databases, with the logs that are placed, and without what is not."""
    kept: dict[str, Any] = {
        kind: tuple(one for one in getattr(facts, kind) if one.number not in excluded)
        for kind in ("databases", "next_logs", "checkpoints", "flush_maps")
    }
    return replace(facts, **kept, logs=tuple(placed))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenSets:
    """The sets that take part in a restore, open, and what is known of them. A single archive is a chain of one."""

    archives: tuple[Archive, ...]  # Their archives, in order
    entries: tuple[Sequence[Entry], ...]  # What is placed from each of them
    ranges: tuple[RestoredSet, ...] = ()  # Their logs and databases, set by set
    logs: tuple[LogFacts, ...] = ()  # What the logs that are placed say of themselves, in order
    met: tuple[LogFacts, ...] = ()  # The logs that recovery finds, in order, where some of them are there already
    base: str = ""  # The base name of the logs; empty where it is not known
    paths: Mapping[str, str] = field(default_factory=dict)  # Where databases lay at the backup, by name
    recovery: Recovery | None = None  # The recovery that follows; None where nothing is of an engine
    not_checked: tuple[str, ...] = ()  # What nobody could judge
    left_out: tuple[NotPlaced, ...] = ()  # The files that recovery must not meet, or that another set has too
    outcome: LastLine | None = None  # What the verdict comes to; None where nothing was judged
    notes: tuple[str, ...] = ()  # What the verdict on a single archive has to remark
    names: Mapping[tuple[int, int], str] = field(default_factory=dict)  # Right names, by set and entry
    give_up: tuple[str, ...] = ()  # What soft recovery is to give up, as options of esentutl
    databases: tuple[DatabaseFacts, ...] = ()  # What its databases say of themselves
    problems: tuple[Problem, ...] = ()  # Databases that cannot be recovered from a single archive
    no_copies: tuple[Fault, ...] = ()  # What hard recovery refuses, where that is asked for
    selection: ChainSelection | None = None  # What is taken from which set of a chain; None for a single archive
    whole: bool = True  # Whether everything that is here is reached, rather than a generation that was named
    instances: tuple[ChosenSets, ...] = ()  # Those that keep their folders, where there are several
    facts: SetFacts = field(default_factory=SetFacts)  # What is judged, and of a chain what of that is placed
    without: Collection[int] = ()  # Logs of another history than the one that is wanted, by identity
    # What is wrong with records that no file needs, of all sets, also of those that take no part.
    damage: tuple[ArchiveError, ...] = ()

    @property
    def met_damage(self) -> tuple[ArchiveError, ...]:
        """The same with what was met in FILE records of the files that were read by now."""
        return (*self.damage, *(one.file_damage.worst for one in self.archives if one.file_damage.worst is not None))

    def alone(self, at: int) -> tuple[Entry, ...]:
        """Return what one set contributes if each is kept apart: also logs that another set has with the same bytes."""
        logs = self.selection.logs if self.selection else ()
        pairs = ((log, dict(zip(log.also_in, log.also_as, strict=True)).get(at)) for log in logs)
        shared = {number for log, number in pairs if number is not None and self._is_same(log, at, number)}
        placed = {entry.number for entry in self.entries[at]}
        return tuple(entry for entry in self.archives[at] if entry.number in placed or entry.number in shared)

    def _is_same(self, log: SelectedLog, at: int, number: int) -> bool:
        """Whether another copy of a log has its bytes; of encrypted ones the verdict has held facts against facts."""
        one, other = self.archives[log.at].entry(log.entry), self.archives[at].entry(number)
        return one.digest == other.digest or (one.size == other.size and not (one.key is other.key is None))


def choose_one(
    archive: Archive,
    *,
    only: Sequence[str] = (),
    facts: SetFacts | None = None,
    branch: str = "",
    right_names: bool = False,
    folders_apart: bool = False,
    without: Collection[int] = (),
) -> ChosenSets:
    """Return a single archive as the set that is restored, with the verdict on its databases.

    Args:
        archive: The archive.
        only: The names of the entries that are asked for; empty for all. A choice leaves nothing out: each file was
            asked for. No file of the engine stays beside it, so the verdict is about these, and refuses as any does.
        facts: What its files say of themselves, where that was read already.
        branch: The name of a log of the history that is wanted, where there are two.
        right_names: Whether logs get the names that the engine looks for, where theirs are wrong.
        folders_apart: Whether everything keeps its folder, so that each instance is recovered by itself.
        without: Logs, by identity, of another history than the one that is wanted.

    Raises:
        InputError: No log of that name is in the set, or among the entries that are asked for.
        NoSuchEntryError: A name in `only` fits no entry, or more than one.
        FormatError: Its index, or the start of a database or log, is damaged.
    """
    archive.demand_unique()
    chosen = ChosenSets(archives=(archive,), entries=(archive.entries,))
    if only:
        wanted = find_fitting(archive.entries, only)
        facts = of_a_choice(facts_of(archive, wanted) if facts is None else facts, {one.name for one in wanted})
        facts, renamed = right_names_of(facts, right_names=right_names)
        names = {(0, number): name for number, name in renamed.items()}
        refused = tuple(no_copies(without_copies(facts).databases))
        chosen = _judged(chosen, facts, lambda: facts_of(archive, archive.entries), _beside_branch(facts, branch))
        return replace(chosen, whole=False, names=names, no_copies=refused)
    facts = facts_of(archive, archive.entries) if facts is None else facts
    facts, renamed = right_names_of(facts, right_names=right_names)
    without = _beside_branch(facts, branch) if branch else without
    found = judge_set(facts, without=without)
    logs, judged = found.placed_logs(), without_copies(facts)
    databases = [one for one in facts.databases if not one.temporary]
    numbered = [one for one in logs if not one.current] if recovery_of(judged.databases) is Recovery.HARD else logs
    label, (low, high) = str(archive.path or archive.id.hex()), ends_of(numbered)
    concerns = not facts.is_without_a_set or found.not_checked or is_foreign(facts.profile)
    chosen = replace(
        chosen,
        ranges=(RestoredSet(label=label, low=low, high=high, has_databases=bool(databases)),),
        logs=logs,
        base=next((one.base for one in (*logs, *facts.logs)), ""),
        paths=old_paths(archive, facts),
        recovery=recovery_of(judged.databases, more_logs=goes_on(judged, logs)) if concerns else None,
        not_checked=found.not_checked,
        left_out=_not_placed(found),
        outcome=outcome_of(found, facts),
        notes=tuple(fault.message for fault in found.remarks),
        names={(0, number): name for number, name in renamed.items()},
        give_up=given_up(found),
        databases=judged.databases,
        problems=tuple(unrecoverable(found, facts)),
        no_copies=tuple(no_copies(judged.databases)),
        facts=facts,
        without=without,
    )
    return _by_folder(chosen) if folders_apart and not chosen.problems else chosen


def choose_among(
    chosen: ChosenSets, content: MergedSet, only: Sequence[str], *, right_names: bool, watch: Watch
) -> ChosenSets:
    """Return sets of a chain with the verdict on the files that are asked for, as `choose_one` judges those of one.

    Args:
        chosen: The sets.
        content: What is placed from them.
        only: The names of the entries that are asked for.
        right_names: Whether logs get the names that the engine looks for, where theirs are wrong.
        watch: Shows how far reading is, where all content has to be read.

    Raises:
        NoSuchEntryError: A name in `only` fits no entry, or more than one.
        FormatError: The start of a database or log is damaged.
    """
    assert chosen.selection is not None
    found = find_fitting(content.entries, only, numbered=content.keeps_numbers)
    origins = [content.origin(one) for one in found]
    parts = [facts_of(each, [own for archive, own in origins if archive is each], watch) for each in chosen.archives]
    asked_for = of_a_choice(together(parts), {one.name for one in found})
    facts, _ = right_names_of(asked_for, right_names=right_names)
    selection = replace(chosen.selection, missed=(), remarks=(), not_checked=())  # of all that is placed, not of these
    chosen = replace(chosen, recovery=None, selection=selection)
    return _judged(chosen, facts, lambda: together([facts_of(one, one.entries) for one in chosen.archives]))


def _judged(
    chosen: ChosenSets, facts: SetFacts, everything: Callable[[], SetFacts], without: Collection[int] = ()
) -> ChosenSets:
    """Return sets with the verdict on the files that are asked for."""
    found = with_not_asked(judge_set(facts, without=without), facts, everything, len(chosen.archives))
    problems, outcome = tuple(unrecoverable(found, facts, "what was asked for")), outcome_of(found, facts)
    databases = without_copies(facts).databases
    return replace(chosen, outcome=outcome, left_out=_not_placed(found), problems=problems, databases=databases)


def _by_folder(chosen: ChosenSets) -> ChosenSets:
    """Return what is restored where everything keeps its folder: each instance is met by a recovery of its own."""
    parts = instances_of(chosen.facts)
    if len(parts) < 2:
        return chosen
    archive, is_one = chosen.archives[0], chosen.selection is None
    found = [choose_one(archive, facts=one, without=chosen.without) for one in parts]
    problems = tuple(one for part in found for one in part.problems)
    own = (replace(one, entries=_entries_of(chosen, facts)) for one, facts in zip(found, parts, strict=True))
    return replace(
        chosen,
        instances=tuple(own),
        left_out=tuple(one for part in found for one in part.left_out) if is_one else chosen.left_out,
        outcome=worst(part.outcome for part in found if part.outcome is not None),
        not_checked=tuple(dict.fromkeys(one for part in found for one in part.not_checked)),
        problems=problems if is_one else of_a_chain(problems),
    )


def _entries_of(chosen: ChosenSets, facts: SetFacts) -> tuple[NumberedEntries, ...]:
    """Return the entries of an instance, archive by archive: logs are of several, all else of the first one."""
    selected = chosen.selection.logs if chosen.selection else ()
    places = {id(log): one.at for log, one in zip(chosen.logs, selected, strict=False)}
    found = tuple(map(NumberedEntries, chosen.archives))
    for one in files_of(facts):
        at = places.get(id(one), 0)
        if one.number is not None:
            found[at].add(one.number)
    return found


def for_hard_recovery(chosen: ChosenSets) -> ChosenSets:
    """Return what is restored, judged as what hard recovery will meet."""
    if not chosen.no_copies:
        return chosen
    errors = (RestoreError(f"{one.message} ({one.engine})", hint=one.next_step) for one in chosen.no_copies)
    problems = [Problem(one, urgency=UNRECOVERABLE) for one in errors]
    outcome = worst(filter(None, (chosen.outcome, weigh(chosen.no_copies, LeftOpen()))))
    return replace(chosen, problems=(*chosen.problems, *problems), outcome=outcome)


def _beside_branch(facts: SetFacts, branch: str) -> Collection[int]:
    return beside_branch(LogTable(facts.logs), branch) if branch else ()


def _not_placed(found: SetVerdict) -> tuple[NotPlaced, ...]:
    """Return what recovery must not meet of a single archive."""
    return tuple(
        NotPlaced(
            at=0,
            entry=one.file.number,
            name=one.file.name,
            reason=one.reason,
            code=one.code,
            is_harmless=one.is_harmless,
        )
        for one in found.left_out
        if one.file.number is not None
    )
