"""The logs of another history than the one that somebody asks for, by the name of a log of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tokar.errors import InputError
from tokar.names import leaf_of, printable
from tokar.sets.by_generation import Copy
from tokar.sets.logs import LogTable
from tokar.sets.version import Version
from tokar.words import meant, some


def beside_branch(table: LogTable, name: str, labels: Sequence[str] = ("",)) -> frozenset[int]:
    """Return the logs, by identity, that are of another history than the log of a name.

    Args:
        table: The logs.
        name: The name of a log of the wanted history; behind the name of its archive and a colon where there are
            several of that name.
        labels: What the sets are called.

    Raises:
        InputError: There is no log of that name, or several.
    """
    branch = _named(table, name, labels)
    line = [branch]
    while before := table.preceding(line[-1]):
        line.append(before[0])
    others = [one for kept in line for one in table.versions(kept.stream, kept.generation) if one != kept]
    gone = {id(one.facts): one for one in others}
    while others:
        others = [later for one in others for later in table.following(one) if id(later.facts) not in gone]
        gone |= {id(one.facts): one for one in others}
    return frozenset(id(copy.facts) for one in gone.values() for copy in one.copies)


def _named(table: LogTable, name: str, labels: Sequence[str]) -> Version:
    ways: tuple[Callable[[Copy], str], ...] = (
        lambda copy: copy.facts.name,
        lambda copy: copy.facts.leaf,
        lambda copy: f"{leaf_of(labels[copy.at])}:{copy.facts.name}",
    )
    for way in ways:
        found = {
            (leaf_of(labels[copy.at]), copy.facts.name): one
            for one in table.all()
            for copy in one.copies
            if way(copy) == name
        }
        if len({id(one.facts) for one in found.values()}) > 1:
            listed = some(f"{label}:{own}" if label else own for label, own in sorted(found))
            raise InputError(f"several logs are called {printable(name)}", hint=f"name one of {listed}")
        if found:
            return next(iter(found.values()))
    hint = meant(
        name,
        (copy.facts.name for one in table.all() for copy in one.copies),
        "tokar inspect --entries ARCHIVE lists them",
    )
    raise InputError(f"no log here is called {printable(name)}", hint=hint)
