"""What `tokar create` says at once of what stands in the way of recovering the databases that it has archived."""

from __future__ import annotations

from tokar import names
from tokar.cli import output
from tokar.format.archive import Archive
from tokar.sets.faults import Scope
from tokar.sets.judge import judge_set
from tokar.sets.read import facts_of_archive


def warn_of_recovery(out: str) -> None:
    """Say what stands in the way of recovering the databases, also with --quiet: what is missing may still be had."""
    with Archive(out) as archive:
        verdict = judge_set(facts_of_archive(archive))
    # What is wrong inside a single file was said by the examination already.
    missing = [fault for fault in verdict.blocking if fault.kind.scope is Scope.SET]
    for fault in missing:
        output.note(f"warning: {names.printable(fault.message)}; next: {names.printable(fault.next_step)}")
    if missing:
        output.note(f"warning: this set cannot be recovered as it is; all of it: tokar check {names.printable(out)}")
