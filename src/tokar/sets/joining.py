"""Joins sets to a chain: which of them continue which, and which of them a restore takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tokar.format.encryption import Keyring
from tokar.format.identity import KnownBy
from tokar.sets.backup_set import BackupSet, FoundSets, examined
from tokar.sets.branch import beside_branch
from tokar.sets.chain import Chain, ChainVerdict, chain_faults, chain_verdict
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.fault_list import in_order, listed
from tokar.sets.faults import FaultKind
from tokar.sets.logs import LogTable
from tokar.sets.lost import with_what_is_told
from tokar.sets.outcome import SparedSet, with_damage
from tokar.sets.spare_logs import with_spare_logs_examined
from tokar.sets.start import groups_of, make_start
from tokar.sets.watching import Watch, unwatched


def build_chain(sets: Iterable[BackupSet], *, branch: str = "") -> Chain:
    """Return how sets fit together.

    Args:
        sets: The sets. One that is given twice counts once, the whole one where the other is damaged; a receipt counts
            only where its archive is not among them.
        branch: The name of a log of the history that is wanted, where there are two.

    Raises:
        InputError: No log of that name is in the sets, or several.
    """
    unique, copies, twins = _unique(sets)
    known = tuple(sorted(unique, key=_place))
    databases = [database for one in known for database in one.facts.databases]
    logs = LogTable(*(one.facts.logs for one in known), databases=databases)
    known = with_what_is_told(known, logs)
    without = beside_branch(logs, branch, [one.label for one in known]) if branch else frozenset()
    apart = frozenset[int]()
    if without:
        full = [number for number, one in enumerate(known) if one.has_databases]
        apart = frozenset(number for number in full if _needs(known, logs, number, without))
        wanted = ([log for log in one.facts.logs if id(log) not in without] for one in known)
        logs = LogTable(*wanted, databases=databases)
    starts = tuple(make_start(known, logs, number, without) for number, one in enumerate(known) if one.has_databases)
    verdicts = tuple(chain_verdict(known, logs, starts, number) for number in range(len(known)))
    parents = tuple(_parent(known, verdicts, number) for number in range(len(known)))
    faults = in_order(listed(chain_faults(known, logs, starts)))
    chain = Chain(known, starts, verdicts, parents, faults, logs, without, copies=copies, apart=apart, twins=twins)
    return _chosen(chain) if len(starts) > 1 else chain


def with_open_questions_examined(
    found: FoundSets, keyring: Keyring | None = None, watch: Watch = unwatched
) -> tuple[FoundSets, Chain]:
    """Return sets that were found, and how they fit together; where content may refuse them, it is looked at.

    Args:
        found: The sets.
        keyring: What opens encrypted content.
        watch: Shows how far a look is.
    """
    chain = build_chain(found.sets)
    faults = (one for faults in (chain.faults, *(each.faults for each in chain.verdicts)) for one in faults)
    open_ones = [one for one in faults if one.is_open]
    if not open_ones:
        looked = with_spare_logs_examined(found, chain, keyring, watch)
        return looked, chain if looked is found else build_chain(looked.sets)
    unlike = {label for one in open_ones if one.kind is FaultKind.LOG_DIFFERS for label in one.files}
    wanted = {one.label for one in found.sets if one.label in unlike or not one.facts.were_verified}
    found = examined(found, wanted, keyring, watch)
    return found, build_chain(found.sets)


def _needs(sets: Sequence[BackupSet], logs: LogTable, number: int, without: frozenset[int]) -> bool:
    """Return whether the databases of a set need one of some logs, given by identity."""
    runs = make_start(sets, logs, number).runs
    needed = (one for run in runs for one in run.versions if run.start <= one.generation <= run.floor)
    return any(id(copy.facts) in without for one in needed for copy in one.copies)


def _chosen(chain: Chain) -> Chain:
    """Return a chain with what a restore of all sets begins with, by log streams, and why one of them is refused."""
    found, parted = set[tuple[bytes, bytes]](), None
    for group in groups_of(chain.starts):
        try:
            first = restorable(chain, among=group).sets[0]
            found.add((first.id, first.root))
        except NotRestorableError as error:
            parted = parted or next(iter(error.faults), None)
    taken = frozenset(at for at, one in enumerate(chain.sets) if (one.id, one.root) in found)
    return replace(chain, taken=taken or None, parted=parted)


def _unique(sets: Iterable[BackupSet]) -> tuple[list[BackupSet], tuple[SparedSet, ...], dict[KnownBy, tuple[str, ...]]]:
    """Leave out what is there twice, archives before receipts and whole ones before damaged ones; name the latter.

    Returns:
        The sets, what is wrong with copies of them, and where archives are there more than once, the one that is read
        not among these.
    """
    found: dict[tuple[bytes, bytes], BackupSet] = {}
    copies, twins = list[SparedSet](), dict[KnownBy, tuple[str, ...]]()
    for one in sorted(sets, key=lambda one: (one.receipt is not None, bool(one.damage))):
        kept = found.setdefault((one.id, one.root), one)
        if one.label == kept.label:
            continue
        if outcome := with_damage(None, one.damage):
            copies.append(SparedSet(one.label, outcome))
        if one.receipt is None:
            known = KnownBy(one.id, one.root)
            twins[known] = (*twins.get(known, ()), one.label)
    return list(found.values()), tuple(copies), twins


def _place(backup_set: BackupSet) -> tuple[int, int, str, str]:
    generations = backup_set.generations or (0, 0)
    return generations[0], not backup_set.has_databases, backup_set.created, backup_set.label


def _parent(sets: tuple[BackupSet, ...], verdicts: tuple[ChainVerdict, ...], number: int) -> int | None:
    """Return the set that one continues: its prior by name, else the one that holds the log before its first."""
    backup_set, verdict = sets[number], verdicts[number]
    if backup_set.has_databases:
        return None
    if backup_set.prior is not None:
        for other, one in enumerate(sets):
            if one.id == backup_set.prior[0] and other < number:
                return other
    if verdict.start is None or backup_set.generations is None:
        return verdict.start
    before = [verdict.start]
    for other in range(number):
        generations = sets[other].generations
        if (
            verdicts[other].start == verdict.start
            and generations
            and generations[0] < backup_set.generations[0] <= generations[1] + 1
        ):
            before.append(other)
    return before[-1]
