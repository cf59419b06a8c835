"""Faults of logs in their row, worded once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.sets.faults import Fault, FaultKind, Severity, some

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.sets.facts import LogFacts

_COMMITTED_DAMAGED = -586


def log_problem(
    kind: FaultKind,
    message: str,
    log: LogFacts,
    severity: Severity,
    *,
    code: int | None,
    step: str,
    before: LogFacts | None = None,
) -> Fault:
    """Return a fault of one log, or of it and the one before. Where only committed transactions are at stake the engine says so (-586)."""
    return Fault(
        kind=kind,
        message=message,
        severity=severity,
        files=(before.name, log.name) if before else (log.name,),
        generations=(log.generation,) if log.generation is not None else (),
        code=_COMMITTED_DAMAGED if severity is Severity.LOSS else code,
        next_step=step,
    )


def broken(before: LogFacts, log: LogFacts, severity: Severity, *, hard: bool) -> Fault:
    """Return the fault of a log that was not created right after the one before it."""
    message = f"{log.name} does not continue {before.name}: it was created after another log of that number"
    step = "look for the logs of one history: a restore in between starts another"
    return log_problem(
        FaultKind.LINK_BROKEN, message, log, severity, code=-556 if hard else -515, step=step, before=before
    )


def altered(before: LogFacts, log: LogFacts, severity: Severity) -> Fault:
    """Return the fault of a log whose content is not what the next log was written after."""
    message = f"{before.name} is not the log that {log.name} was written after: its content has changed or is cut"
    step = f"look for another copy of {before.name}"
    return log_problem(FaultKind.LOG_ALTERED, message, before, severity, code=-590, step=step)


def forked(used: LogFacts, found: Sequence[LogFacts], severity: Severity) -> Fault:
    """Return the fault of logs that share a generation and were created at different times."""
    others = [log.name for log in found if log is not used]
    return Fault(
        kind=FaultKind.LOG_FORKED,
        message=f"generation 0x{used.generation or 0:X} is there more than once: beside {used.name} there is "
        f"{some(others)}, created at another time",
        severity=severity,
        files=(used.name, *others),
        generations=(used.generation,) if used.generation is not None else (),
        code=None if severity is Severity.WARNING else -515,
        next_step="keep the logs of one history together and the others elsewhere",
    )
