"""What a restore takes from which set where everything keeps its folder: for each folder by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from tokar.names import printable
from tokar.sets.backup_set import BackupSet
from tokar.sets.chain import Chain
from tokar.sets.choose import NotRestorableError, restorable
from tokar.sets.facts import SetFacts
from tokar.sets.instances import files_of, instances_of
from tokar.sets.joining import build_chain
from tokar.sets.outcome import badness
from tokar.sets.selection import ChainSelection, SelectedSet

_Key = tuple[bytes, bytes]  # Id and root of a set
_NOTHING: Final = SetFacts()


def chosen_apart(
    chain: Chain, selection: ChainSelection, target: int | None = None, *, may_lack_logs: bool = False
) -> ChainSelection | None:
    """Return a choice made anew for each folder with a database and logs of its stream; None where it stands as it is.

    Two folders may need a log of one stream and generation each, and the choice for all of them together takes it once.
    It stands where there are no two such folders.

    Args:
        chain: The sets.
        selection: The choice for all folders together, which says with which set the restore begins.
        target: The generation that is asked for; None for all.
        may_lack_logs: As in `restorable`.

    Raises:
        InputError: The generation is below what the databases in one of the folders need.
        NotRestorableError: One of the folders cannot be restored by itself.
    """
    first = selection.sets[0]
    own = next(one for one in chain.sets if (one.id, one.root) == (first.id, first.root))
    added = (log for one in chain.sets if one is not own for log in one.facts.logs)
    parts = instances_of(replace(own.facts, logs=(*own.facts.logs, *added)))
    if len(parts) < 2:
        return None
    found, refused = [], list[NotRestorableError]()
    for facts in parts:
        if any(not one.temporary for one in facts.databases):
            sets = [*_sets_of(chain, own, facts)]
            try:
                its = restorable(build_chain(sets), target, full=own.id, may_lack_logs=may_lack_logs)
            except NotRestorableError as error:
                error.message = f"of folder {_folder(facts)}: {error.message}"
                refused.append(error)
            else:
                found.append((its, sets))
    if refused:
        raise _worst(refused)
    return _joined(chain, selection, found)


def _worst(refused: Sequence[NotRestorableError]) -> NotRestorableError:
    """Return why a folder cannot be restored, and beside it why others cannot."""
    worst = max(refused, key=lambda one: badness(one.outcome))
    worst.others = [one for one in refused if one is not worst]
    for one in worst.others:
        worst.add_note(f"also: {one}")
    return worst


def _folder(facts: SetFacts) -> str:
    return printable(facts.databases[0].folder) or "."


def _sets_of(chain: Chain, own: BackupSet, facts: SetFacts) -> Iterator[BackupSet]:
    """Yield the sets with what they have for one folder: of all but the first no more than logs."""
    inside = {id(one) for one in files_of(facts)} - chain.without
    for one in chain.sets:
        logs = tuple(log for log in one.facts.logs if id(log) in inside)
        if one is own:
            yield replace(one, facts=replace(facts, logs=logs))
        elif logs:
            yield replace(one, facts=replace(_NOTHING, profile=one.facts.profile, logs=logs))


def _joined(
    chain: Chain, whole: ChainSelection, found: Sequence[tuple[ChainSelection, Sequence[BackupSet]]]
) -> ChainSelection:
    """Return the choices for single folders as one; of what none of them is about, the choice for all stands."""
    order = {(one.id, one.root): at for at, one in enumerate(chain.sets)}
    first = _key(whole.sets[0])
    used = {_key(one) for its, _ in found for one in its.sets}
    places = {key: at for at, key in enumerate(sorted(used, key=lambda key: (key != first, order[key])))}
    logs, left_out, judged = [], [], set()
    for its, sets in found:
        to = [places[_key(one)] for one in its.sets]
        files = {(one.id, one.root): files_of(one.facts) for one in sets}
        judged |= {(places[key], file.number) for key in map(_key, its.sets) for file in files[key]}
        logs += [replace(log, at=to[log.at], also_in=tuple(to[at] for at in log.also_in)) for log in its.logs]
        left_out += [replace(one, at=to[one.at]) for one in its.left_out]
    theirs = [(places.get(_key(whole.sets[one.at])), one) for one in whole.left_out]
    left_out += [replace(one, at=at) for at, one in theirs if at is not None and (at, one.entry) not in judged]
    taken = frozenset(order[key] for key in places)
    return replace(
        whole,
        sets=tuple(_selected([one for its, _ in found for one in its.sets if _key(one) == key]) for key in places),
        logs=tuple(logs),
        left_out=tuple(left_out),
        unused=tuple(one.label for at, one in enumerate(chain.sets) if at not in taken),
        spared=chain.spared_beside(sorted(taken, key=lambda at: at != order[first])),
        target=max(its.target for its, _ in found),
        not_checked=tuple(dict.fromkeys(one for its, _ in found for one in its.not_checked)),
    )


def _key(one: SelectedSet) -> _Key:
    return one.id, one.root


def _selected(ones: Sequence[SelectedSet]) -> SelectedSet:
    """Return a set that several folders take logs from, with the lowest and the highest of them."""
    lows, highs = [one.low for one in ones if one.low], [one.high for one in ones]
    return replace(ones[0], low=min(lows, default=0), high=max(highs))
