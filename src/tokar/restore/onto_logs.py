"""What is restored, judged together with logs that are in the log directory already and stay there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tokar.errors import ArchiveError
from tokar.names import typed
from tokar.replay import MOST_LOGS
from tokar.replay.files import open_in
from tokar.restore.chosen import ChosenSets, choose_one
from tokar.restore.next_steps import Recovery
from tokar.restore.unrecoverable import damaged, of_a_chain, unplayed
from tokar.sets.facts import FileFacts, LogFacts, SetFacts
from tokar.sets.faults import FaultKind
from tokar.sets.judge import TO_PROVE
from tokar.sets.outcome import LastLine, Word, worst
from tokar.sets.selection import ChainSelection
from tokar.sets.staying import untied
from tokar.storage.bytesource import ByteSource, FileSource

_OF_A_RUN: Final = {FaultKind.LOGS_BEFORE_GAP, FaultKind.LOGS_AFTER_GAP, FaultKind.NEW_STREAM}
"""What depends on which logs recovery finds."""


def with_staying(
    chosen: ChosenSets, staying: SetFacts, paths: Sequence[Path], gone: LogFacts | None = None
) -> ChosenSets:
    """Return what is restored, judged together with logs that are in the log directory already and stay there.

    Sets that soft recovery plays may need them. Hard recovery needs all that it needs from the sets themselves.

    Args:
        chosen: What is restored.
        staying: What the logs that stay say of themselves.
        paths: Where they are: what nobody looked at is proven together with their directories.
        gone: The log of the sets in whose place one of them stays; None where there is none.
    """
    hard, logs = chosen.recovery is Recovery.HARD, staying.logs
    bad = [*damaged(logs, hard=hard)]
    chosen = replace(chosen, met=(*(log for log in chosen.logs if log is not gone), *logs))
    if not (hard and chosen.problems):
        own = (log for log in chosen.facts.logs if log is not gone)
        ordered = sorted((*own, *logs), key=lambda log: log.generation or 0)
        facts = replace(chosen.facts, logs=tuple(ordered), next_logs=(*chosen.facts.next_logs, *staying.next_logs))
        facts = _followed(facts, chosen, paths)
        found = choose_one(chosen.archives[0], facts=facts, without=chosen.without)
        if chosen.selection is not None:
            chosen = replace(chosen, selection=_as_said_now(chosen.selection, found))
            found = replace(found, problems=of_a_chain(found.problems), notes=())
        more = ("recovery", "ranges") if chosen.selection is None else ("recovery",)
        same = ("outcome", "problems", "give_up", "not_checked", "notes", *(() if hard else more))
        open_ones = [*untied(found.databases, found.logs, logs, gone)]
        found = replace(
            found,
            outcome=worst(filter(None, (found.outcome, *(LastLine(Word.NOT_PROVEN, why) for why in open_ones)))),
            not_checked=(*found.not_checked, *open_ones),
        )
        where = dict.fromkeys(str(path.parent) for path in paths)
        chosen = with_way(replace(chosen, **{name: getattr(found, name) for name in same}), [*where])
        bad += [] if bad or chosen.problems else unplayed(logs, found.logs, facts)
    return replace(chosen, problems=(*chosen.problems, *bad))


def _as_said_now(selection: ChainSelection, found: ChosenSets) -> ChainSelection:
    """Return what is taken from sets, without what was said of their run of logs and is not so with those that stay."""
    kept = (one for one in selection.remarks if one.kind not in _OF_A_RUN or one.message in found.notes)
    return replace(selection, remarks=tuple(kept))


def _followed(facts: SetFacts, chosen: ChosenSets, paths: Sequence[Path]) -> SetFacts:
    """Return facts with what following pages found, where that takes no more than some seconds.

    What cannot be read is not followed: the verdict says so.
    """
    from tokar.replay.chains import with_chains  # noqa: PLC0415 - loads numpy

    there = {path.name: path for path in paths}
    is_meant = facts.databases and len(there) == len(paths) and all(one.pages is not None for one in facts.databases)
    if not is_meant or sum(log.size for log in facts.logs) > MOST_LOGS:
        return facts
    selected = chosen.selection.logs if chosen.selection else ()
    places = {id(log): one.at for log, one in zip(chosen.logs, selected, strict=False)}
    own = {*map(id, chosen.facts.logs)}
    with suppress(ArchiveError, OSError, MemoryError), ExitStack() as last:

        def open_file(one: FileFacts) -> ByteSource:
            if isinstance(one, LogFacts) and id(one) not in own:
                last.close()  # one log is read after the other
                return last.enter_context(FileSource(there[one.name]))
            return open_in(chosen.archives[places.get(id(one), 0)])(one)

        return with_chains(facts, open_file)
    return facts


def with_way(chosen: ChosenSets, where: Sequence[str], *, sets: bool = True) -> ChosenSets:
    """Return the same, with the whole command that proves what nobody looked at: of the sets, and of directories."""
    paths = [str(one.path) for one in chosen.archives if one.path and sets]
    given = " ".join(map(typed, (*paths, *where)))

    def told(text: str) -> str:
        return text.replace(TO_PROVE, f"({TO_PROVE[1:-1]} {given})")

    outcome = chosen.outcome and replace(chosen.outcome, why=told(chosen.outcome.why))
    return replace(chosen, outcome=outcome, not_checked=tuple(map(told, chosen.not_checked)))
