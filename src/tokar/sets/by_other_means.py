"""What no verdict on a set says, for it is about databases and logs: what else a service needs, or a restore."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tokar.names import leaf_of
from tokar.words import some

if TYPE_CHECKING:  # start-up time
    from tokar.sets.backup_set import BackupSet
    from tokar.sets.facts import DatabaseFacts, SetFacts

_BESIDE: Final = {
    "certadm": "the key and certificate of the authority, the registry key CertSvc\\Configuration, CAPolicy.inf",
    "ntdsbcli": "SYSVOL, the registry; and restore no backup that is older than the tombstone lifetime",
}
_DIRECTORY: Final = "ntds.dit"
_DIRECTORY_PAGES: Final = {8192, 32768}  # the latter where a forest has the larger pages of Windows Server 2025
# As `ntdsutil ifm` lays out media: folders, and files in the second one (Microsoft, "Installing AD DS from Media").
_MEDIA_FOLDER: Final = "active directory"
_REGISTRY: Final = "registry"
_HIVES: Final = ("SYSTEM", "SECURITY")


def beside(*sets: tuple[str, SetFacts | None]) -> tuple[str, ...]:
    """Return what no verdict on sets says that are of one service, whatever else is in them.

    Args:
        sets: The profile of each, and what its files say, where that is known.
    """
    services = {service for profile, facts in sets if (service := _service(profile, facts))}
    if len(services) != 1 or not services <= _BESIDE.keys():
        return ()
    hives = dict.fromkeys(line for _, facts in sets if facts is not None for line in _of_media(facts))
    own = f"save by other means, tokar does not judge it: {_BESIDE[services.pop()]}"
    return (own, *hives, "after the restore take a full, and never mix it with sets from before")


def beside_sets(sets: Sequence[BackupSet]) -> tuple[str, ...]:
    """Return the same of the sets of a chain, and which of them nothing opens that was given."""
    locked = needs_key([one.label for one in sets if one.locked])
    return (*locked, *beside(*((one.profile, one.facts) for one in sets)))


def needs_key(locked: Sequence[str]) -> tuple[str, ...]:
    """Return that a restore of sets takes a key, which no verdict on facts does: of those that nothing given opens."""
    it = "its" if len(locked) == 1 else "their"
    how = "a restore needs what opens it (--identity FILE, or --passphrase), and without that there is no way to it"
    return (f"{some(locked)}: {it} content is encrypted: {how}",) if locked else ()


def is_hive(name: str) -> bool:
    """Return whether a file has the name of a hive of the registry on installation media."""
    folder, _, leaf = name.rpartition("/")
    return leaf.upper() in _HIVES and leaf_of(folder).lower() == _REGISTRY


def with_hives(facts: SetFacts, left_out: Iterable[tuple[str, str]]) -> SetFacts:
    """Return facts with the hives among the files that were seen and are not in the set."""
    found = tuple(name for name, _ in left_out if is_hive(name))
    return replace(facts, hives_left_out=found) if found else facts


def _service(profile: str, facts: SetFacts | None) -> str:
    """Return the service that a set is of, as a profile; empty of logs alone that no service handed out."""
    if profile in _BESIDE or facts is None:
        return profile
    if any(map(_is_directory, facts.databases)):
        return "ntdsbcli"
    return profile if facts.databases or not facts.logs else ""


def _is_directory(database: DatabaseFacts) -> bool:
    header = database.header
    is_called = leaf_of(database.name).lower() == _DIRECTORY
    return is_called and header is not None and header.page_size in _DIRECTORY_PAGES


def _of_media(facts: SetFacts) -> Iterator[str]:
    """Yield which hives are in the set of installation media, and which are not."""
    for one in filter(_is_directory, facts.databases):
        folder = one.name.rpartition("/")[0]
        root = folder[: -len(leaf_of(folder))] if folder else ""
        wanted = {f"{root}{_REGISTRY}/{hive}".lower(): f"{root}{_REGISTRY}/{hive}" for hive in _HIVES}
        here = [name for name in facts.hives if name.lower() in wanted]
        seen = [name for name in facts.hives_left_out if name.lower() in wanted]
        if leaf_of(folder).lower() != _MEDIA_FOLDER and not here:
            continue
        known = {name.lower() for name in (*here, *seen)}
        gone = [name for key, name in wanted.items() if key not in known]
        why = "an installation from media needs the registry as well as the database"
        if here:
            yield f"{some(here)}: in the set, and not judged: {why}"
        if seen:
            yield f"{some(seen)}: left out, tokar create --all takes that too: {why}"
        if gone:
            yield f"{some(gone)}: missing, as installation media (ntdsutil ifm) have it: {why}"
