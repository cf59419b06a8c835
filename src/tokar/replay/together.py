"""Follows the pages of databases through the logs of all sets that are played onto them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from tokar.errors import ArchiveError
from tokar.format.encryption import Keyring
from tokar.replay import MOST_LOGS
from tokar.replay.files import SetFiles
from tokar.sets.backup_set import BackupSet, Located, compared_together
from tokar.sets.chain import Chain
from tokar.sets.facts import DatabaseFacts, SetFacts
from tokar.sets.joining import build_chain
from tokar.sets.start import ChainStart

Files = Mapping[bytes, Sequence[Located]]
"""Where the files of sets lie that are in no archive, by their roots."""
_NO_FILES: Final[Files] = MappingProxyType({})


def followed_together(
    sets: Sequence[BackupSet], files: Files = _NO_FILES, keyring: Keyring | None = None
) -> list[BackupSet]:
    """Return sets with what following pages found, where other sets add logs to one: through the logs of all of them.

    Logs that were being written are compared with copies of them in other sets before, whether content was read or not.

    Args:
        sets: The sets, of each of which it is known what following found of it alone.
        files: Where the files of those lie that are in no archive, by root.
        keyring: What opens encrypted content; of a chain with content that was not read nothing is followed.

    Raises:
        ArchiveError: A file cannot be read.
    """
    sets = compared_together(sets, keyring, files)
    if sum(map(was_read, sets)) < 2:
        return sets
    chain, found = build_chain(sets), dict[_Key, Sequence[DatabaseFacts]]()
    for start in chain.starts:
        own, together = chain.sets[start.number], sets_of(chain, start)
        if len(together) > 1 and all(map(was_read, together)):
            found[own.id, own.root] = followed(start.facts, together, files, keyring).databases
    return _with_databases(sets, found)


def chain_followed(
    sets: Sequence[BackupSet],
    keyring: Keyring | None = None,
    lying: Container[bytes] = (),
    *,
    branch: str = "",
    chain: Chain | None = None,
) -> Chain:
    """Return how sets fit together, with pages followed where that takes no more than some seconds and may decide.

    What cannot be read is not followed: whoever judges says so.

    Args:
        sets: The sets, of each of which it is known what following found of it alone.
        keyring: What opens encrypted content.
        lying: The roots of those that are in no archive; they were followed already, where they could be.
        branch: The name of a log of the history that is wanted, where there are two.
        chain: How they fit together without that, where it is known.

    Raises:
        InputError: No log of that name is in the sets, or several.
    """
    chain = chain or build_chain(sets, branch=branch)
    found: dict[_Key, Sequence[DatabaseFacts]] = {}
    for start in chain.starts:
        own, together = chain.sets[start.number], sets_of(chain, start)
        is_meant = len(together) > 1 and all(_is_known(one) and one.root not in lying for one in together)
        if is_meant and _may_decide(start):
            with suppress(ArchiveError, OSError, MemoryError):
                found[own.id, own.root] = followed(start.facts, together, _NO_FILES, keyring).databases
    return build_chain(_with_databases(sets, found), branch=branch) if found else chain


_Key = tuple[bytes, bytes]


def _with_databases(sets: Sequence[BackupSet], found: Mapping[_Key, Sequence[DatabaseFacts]]) -> list[BackupSet]:
    own_of = ((one, found.get((one.id, one.root), one.facts.databases)) for one in sets)
    return [replace(one, facts=replace(one.facts, databases=tuple(databases))) for one, databases in own_of]


def _may_decide(start: ChainStart) -> bool:
    """Return whether nothing else is wrong, and a database of a set was not followed through logs that are few."""
    reaches = {one.name: one.reaches for one in start.verdict.databases}  # of a copy that is left out there is none
    named = ((one, reaches.get(one.name, 0)) for one in start.facts.databases)
    is_open = any(high and not (one.why_halted or one.is_followed_to(high)) for one, high in named)
    return is_open and not start.blocking and sum(log.size for log in start.facts.logs) <= MOST_LOGS


def sets_of(chain: Chain, start: ChainStart) -> list[BackupSet]:
    """Return the set with the databases of a start, and those whose logs are played onto them."""
    own, used = chain.sets[start.number], {*map(id, start.facts.logs)}
    return [one for one in chain.sets if one is own or any(id(log) in used for log in one.facts.logs)]


def was_read(found: BackupSet) -> bool:
    """Return whether all content of a set was read."""
    return found.facts.examined and found.receipt is None


def _is_known(found: BackupSet) -> bool:
    """Return whether it is known what reading all content of a set found, now or when it was made."""
    return found.facts.were_verified and found.receipt is None


def followed(
    facts: SetFacts, sets: Sequence[BackupSet], files: Files = _NO_FILES, keyring: Keyring | None = None
) -> SetFacts:
    """Return facts of files in sets, with what following the pages of each database found.

    Raises:
        ArchiveError: A file cannot be read.
    """
    from tokar.replay.chains import with_chains  # noqa: PLC0415 - loads numpy

    with files_of(sets, files, keyring) as opened:
        return with_chains(facts, opened.open)


def files_of(sets: Sequence[BackupSet], files: Files = _NO_FILES, keyring: Keyring | None = None) -> SetFiles:
    """Return the files of sets that were looked at before, each opened when it is asked for.

    Args:
        sets: The sets.
        files: Where the files of those lie that are in no archive, by root.
        keyring: What opens encrypted content.
    """
    opened = SetFiles()
    for one in sets:
        if one.root in files:
            opened.take_files(one.facts, files[one.root])
        else:
            opened.take_again(one, keyring)
    return opened
