"""What `tokar inspect` prints alike of archives and of folders: databases with their need, and what is not inside."""

from __future__ import annotations

from collections.abc import Sequence

from tokar import names
from tokar.check.describe import DatabaseInSet
from tokar.cli import output
from tokar.words import count_text, logs_text, spans

_MAX_LISTED = 10


def show_databases(found: Sequence[DatabaseInSet]) -> None:
    """Say of each database whether it needs logs, and whether they are there by their numbers."""
    if found:
        output.line(
            "databases (what they need goes by their headers, what is there by numbers; content was not compared):"
        )
        output.pairs([(one.name, names.printable(_needs(one))) for one in found[:_MAX_LISTED]], indent="  ")
    if len(found) > _MAX_LISTED:
        output.line(f"  ... and {len(found) - _MAX_LISTED} more (--json lists them)")


def _needs(one: DatabaseInSet) -> str:
    from tokar.sets.need import Basis  # noqa: PLC0415

    need = one.need
    if one.error is not None or need.basis in (Basis.UNUSABLE, Basis.UNKNOWN):
        return f"{one.state or 'its header cannot be read'}: {need.why or one.error}"
    if need.basis is Basis.CLEAN:
        return f"{one.state}, needs no logs"
    lacking = spans(range(low, high + 1) for low, high in one.missing)
    logs, _ = logs_text([need.generations])
    copy = ", streaming copy" if need.hard else ""
    return f"{one.state}{copy}, needs {logs}: {f'MISSING {lacking}' if lacking else 'present'}"


def show_left_out(left_out: Sequence[tuple[str, str]], total: int) -> None:
    """Say what is not in a set, each with the reason."""
    if not left_out:
        return
    output.line(f"not in it ({count_text(total, 'file')} left out):")
    output.pairs(left_out[:_MAX_LISTED], indent="  ")
    if total > _MAX_LISTED:
        output.line(f"  ... and {total - min(_MAX_LISTED, len(left_out))} more (--json lists them)")
