"""Why a set of logs has no database although one lies there: what was left out, and by which reason."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from typing import Final

from tokar.ese.filenames import DATABASE_SUFFIXES, NameRole, parse_file_name
from tokar.ese.identify import FileKind
from tokar.names import collision_key, leaf_of, without_aside
from tokar.sets.by_other_means import with_hives
from tokar.sets.facts import SetFacts
from tokar.sets.faults import Fault, Rules
from tokar.sets.left_out import MADE_ANEW, TEMPORARY
from tokar.sets.leftovers_told import leftovers_among
from tokar.words import some

_MOST_KEPT: Final = 1000
_MADE_ANEW: Final = {MADE_ANEW.format(kind.words) for kind in FileKind}


def with_not_taken(facts: SetFacts, files: Sequence[tuple[str, str]]) -> SetFacts:
    """Return facts with the files that were seen and are not in the set, each with the reason, of which logs ask.

    Also with the hives of a directory among them, and what an earlier restore left.
    """
    facts = replace(with_hives(facts, files), leftovers=leftovers_among(name for name, _ in files))
    if not facts.logs or any(not one.temporary for one in facts.databases):
        return facts
    named = named_in(facts)
    found = [(name, why) for name, why in files if _may_be_one(leaf_of(name), named, why)]
    return replace(facts, not_taken=tuple(found[:_MOST_KEPT]))


def database_left_out(facts: SetFacts) -> str:
    """Return which database of a set of logs is here and left out, and why; empty where none is."""
    if not facts.logs or any(not one.temporary for one in facts.databases):
        return ""
    return next((f"{name} is here, and left out: {why}" for name, why in _left_out(facts)), "")


def _left_out(facts: SetFacts) -> Iterator[tuple[str, str]]:
    named = named_in(facts)
    yield from facts.not_taken
    yield from ((one.name, one.why) for one in facts.aside if _may_be_one(without_aside(one.leaf), named))
    yield from ((one.name, TEMPORARY) for one in facts.databases if collision_key(one.leaf) in named)


def named_in(facts: SetFacts) -> set[str]:
    """Return the names, without folders, that logs have for databases, as keys."""
    return {collision_key(leaf_of(one.path)) for log in facts.logs for one in log.attached}


def _may_be_one(leaf: str, named: set[str], why: str = "") -> bool:
    """Return whether a file may be the database of logs: they name it, or its own name says that it is one."""
    leaf = without_aside(leaf)
    return is_named_as_database(leaf, named) and (why not in _MADE_ANEW or collision_key(leaf) in named)


def is_named_as_database(leaf: str, named: Container[str]) -> bool:
    """Return whether a name is that of a database: logs have it, as a key in `named`, or its ending says so."""
    if collision_key(leaf) in named:
        return True
    is_temporary = parse_file_name(leaf).role is NameRole.TEMPORARY_DATABASE
    return leaf.lower().endswith(DATABASE_SUFFIXES) and not is_temporary


def missing_full(label: str, facts: SetFacts, others: Sequence[str]) -> Fault:
    """Return the fault of a set of logs to which no set here has the databases.

    Args:
        label: What the set is called.
        facts: What its files say.
        others: Sets with databases of other log streams.
    """
    if why := database_left_out(facts):
        return Rules.DATABASE_LEFT_OUT.fault(label, why, files=(label,))
    why = f"; {some(others)} is of another log stream" if others else ""
    return Rules.MISSING_FULL.fault(label, why, files=(label,))
