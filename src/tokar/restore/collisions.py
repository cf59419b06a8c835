"""Files of one restore that would get one name: the first of them are told one by one, the others counted.

There may be as many as files, as where a set lies in two folders and goes into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from tokar import names
from tokar.errors import CollisionError
from tokar.restore.plan import Extra, Problem, Step, Steps
from tokar.restore.targets import Targets
from tokar.words import noun, some

MOST_LISTED: Final = 1000
_TREE_HINT: Final = f"keep them in the folders in which they lay: --tree DIR, or {CollisionError.hint_text}"


def collisions(steps: Steps, targets: Targets, extras: Iterable[Extra]) -> Iterator[Problem]:
    """Yield what would get one name. All names are gone over again only where some hashes are equal."""
    suspicious = targets.suspicious()
    if not suspicious:
        return
    groups: dict[tuple[str, str], list[int]] = {}  # their places, as steps are large
    for at, step in enumerate(steps):
        if step.directory is not None and step.name is not None and step.directory in suspicious:
            key = names.collision_key(step.name)
            if hash(key) in suspicious[step.directory]:
                place = targets.identity(step.directory), key
                if place in groups or len(groups) < MOST_LISTED:
                    groups.setdefault(place, []).append(at)
    beside = {(targets.identity(one.directory), names.collision_key(one.name)): one.name for one in extras}
    for place, alike in groups.items():
        if len(alike) > 1 or place in beside:
            yield _problem([steps.at(one) for one in alike], beside.get(place))
    # Two names of one hash are one but by a chance that never comes; with so many problems nothing is placed anyway.
    count = sum(map(len, {targets.identity(path): found for path, found in suspicious.items()}.values()))
    if (more := count - len(groups)) > 0 and len(groups) >= MOST_LISTED:
        message = f"and {more:,} more {noun(more, 'name')} that several files would get"
        yield Problem(CollisionError(message, hint=_TREE_HINT))


def _problem(alike: Sequence[Step], extra: str | None) -> Problem:
    """Return that the files of these steps, and the extra file of that name if there is one, want one name."""
    shown = some(step.entry.name for step in alike)
    message = f"{shown} would be the file {extra}" if extra else f"{shown} would be one file"
    lay = {names.collision_key(step.entry.name) for step in alike}
    hint = _TREE_HINT if len(lay) == len(alike) else None
    return Problem(CollisionError(message, path=alike[0].target, hint=hint), tuple(step.entry.number for step in alike))
