"""Databases that cannot be recovered from what is restored, as problems of its plan, and what recovery gives up."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import replace
from typing import Final

from tokar.codes import of_engine
from tokar.errors import ExistingFileError, RestoreError
from tokar.names import leaf_of
from tokar.restore.plan import UNRECOVERABLE, Problem
from tokar.sets.database_verdict import Verdict
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.faults import Fault, FaultKind, Severity
from tokar.sets.file_faults import OWN_LOG_FAULTS, log_fault
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.left_out import HARMLESS
from tokar.sets.selection import NotPlaced

_MOVE: Final = "move it elsewhere, or give up the logs that are there: --existing set-aside"
ALL_THE_SAME: Final = "--accept-unrecoverable restores the files all the same"
_MOST_NAMED: Final = 4  # databases


def unrecoverable(found: SetVerdict, facts: SetFacts, of: str = "this set") -> Iterator[Problem]:
    """Yield what keeps files from being recovered: each database with its root cause, then the rest.

    Args:
        found: What they come to.
        facts: What they say of themselves.
        of: What they are called.
    """
    said: set[str] = set()
    of_a_stream = any(log.signature is not None for log in facts.logs)
    clean = [one.name for one in found.databases if one.verdict is Verdict.CLEAN]
    for database in found.databases:
        blocking = [fault for fault in database.faults if fault.blocks]
        said.update(fault.message for fault in blocking)
        if database.is_lost:
            yield _problem_of(database.name, blocking[0] if blocking else None, clean, of)
    undecided = (one for one in found.remarks if one.kind is FaultKind.LOG_FORKED and one.code is not None)
    for fault in (*found.blocking, *undecided):
        if fault.message not in said and (found.databases or of_a_stream):
            is_of_logs = not found.databases or all(one.verdict is Verdict.TEMPORARY for one in found.databases)
            whole = "what these logs are for" if is_of_logs and of_a_stream else "the set"
            yield _problem_of(", ".join(fault.databases) or whole, fault, clean, of)


def given_up(found: SetVerdict) -> tuple[str, ...]:
    """Return with which options soft recovery goes on, where it goes on with a loss."""
    if any(not one.is_loss for one in found.blocking):
        return ()
    return tuple(sorted({"/i" if one.kind is FaultKind.DATABASE_NOT_HERE else "/a" for one in found.blocking}))


def _problem_of(name: str, cause: Fault | None, clean: Sequence[str], of: str) -> Problem:
    """Return what cannot be recovered as a problem, with the root cause, and with the clean databases beside it."""
    why = f": {cause.message}" if cause else ""
    code = f" ({cause.engine})" if cause and cause.engine else ""
    step = f"{cause.next_step}; " if cause and cause.next_step else ""
    if clean:
        leaves = {leaf_of(one).lower(): one for one in reversed(clean)}  # those of one name cannot go to one path
        only = " ".join(f"--only {shlex.quote(one)}" for one in [*leaves.values()][::-1][:_MOST_NAMED])
        step += f"{only} restores what needs no log; "
    error = RestoreError(
        f"{name} cannot be recovered from {of}{why}{code}",
        hint=f"{step}{ALL_THE_SAME}",
    )
    return Problem(error, urgency=UNRECOVERABLE)


def met_all_the_same(files: Iterable[NotPlaced]) -> Iterator[Problem]:
    """Yield files that were asked for although recovery stops at them."""
    for one in files:
        if one.code is not None and not one.is_harmless:
            error = RestoreError(
                f"{one.name} was asked for, and recovery must not meet it: {one.reason} ({of_engine(one.code)})",
                hint=f"leave {one.name} out; {ALL_THE_SAME}",
            )
            yield Problem(error, urgency=UNRECOVERABLE)


def damaged(staying: Sequence[LogFacts], *, hard: bool) -> Iterator[Problem]:
    """Yield the logs that would stay in the log directory and that recovery cannot read."""
    for log in staying:
        fault = log_fault(log, Severity.ERROR, hard=hard, last=log is staying[-1])
        if fault is not None:
            yield Problem(ExistingFileError(fault.message, hint=_MOVE))


def unplayed(staying: Sequence[LogFacts], played: Sequence[LogFacts], facts: SetFacts) -> Iterator[Problem]:
    """Yield the logs that would stay in the log directory although recovery must not meet them, the cause alone.

    Args:
        staying: These logs.
        played: The logs that the verdict on all files together has recovery go through.
        facts: What all of these files say of themselves.
    """
    known = {(one.name, one.generation) for one in played}
    if all((one.name, one.generation) in known for one in staying):
        return
    there = {id(one) for one in staying}
    found = judge_set(facts)
    own = {name: one.message for one in found.faults if one.kind in OWN_LOG_FAULTS for name in one.files}
    met = [one for one in found.left_out if id(one.file) in there and one.why.text not in HARMLESS]
    causes = [one for one in met if one.file.name in own]
    for one in causes or met:
        cause = own.get(one.file.name) or f"{one.file.name} does not continue the set: {one.reason}"
        if one.code is not None:
            yield Problem(ExistingFileError(f"{cause} ({of_engine(one.code)})", hint=_MOVE))


def of_a_chain(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return problems without the step that is for one archive alone: of several none is restored for want of logs."""
    found = []
    for one in problems:
        error = copy(one.error)
        error.hint = (error.hint or "").removesuffix(ALL_THE_SAME).removesuffix("; ") or None
        found.append(replace(one, error=error) if error.hint != one.error.hint else one)
    return tuple(found)
