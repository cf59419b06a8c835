r"""The location list of a set that has lost it, rebuilt for certutil from what the set says of itself.

A list of a certification authority has three locations: the database, the directory of the logs and that of the
checkpoint, each as `\\SERVER\C$\...`. The logs name all three as paths of the server, without its name; that is known
where it was said when the archive was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tokar.errors import HeaderError
from tokar.ese.attachment import Environment
from tokar.ese.log import LogHeader
from tokar.format.archive import Archive
from tokar.format.index import Entry
from tokar.location_list import Kind, Location
from tokar.paths import take_apart
from tokar.restore.options import stored_locations
from tokar.sets.recorded import RecordedFacts
from tokar.tokens import CHECKPOINT_DIR, LOG_DIR, Role, role


def rebuilt_locations(archive: Archive, paths: Mapping[str, str]) -> tuple[Location, ...]:
    """Return the locations of a set that keeps no list; nothing where it does not say all of them.

    Args:
        archive: The archive.
        paths: Where its databases lay, by name, as the logs say.

    Raises:
        LocationListError: It keeps locations, and they cannot be read.
        FormatError: It is damaged.
    """
    if kept := stored_locations(archive.head):
        return kept
    databases = [entry for entry in archive if role(entry.token) is Role.DATABASE]
    environment = _environment(archive)
    if environment is None or not all(entry.name in paths for entry in databases):
        return ()
    host = archive.head.text("server") or ""
    found = [Location(one.token, _on(host, paths[one.name]), Kind.FILE, "the logs") for one in databases]
    for token, path in ((CHECKPOINT_DIR, environment.system_path), (LOG_DIR, environment.log_path)):
        found.append(Location(token, _on(host, path.rstrip("\\")), Kind.DIRECTORY, "the logs"))
    return tuple(one for one in found if take_apart(one.path) is not None) if found else ()


def _environment(archive: Archive) -> Environment | None:
    """Return what the last log says of the paths of the instance that wrote it."""
    return next((one for one in _environments(archive) if one.log_path), None)


def _environments(archive: Archive) -> Iterator[Environment]:
    recorded = RecordedFacts(archive) if archive.is_locked else None
    for entry in reversed(archive.entries):
        if role(entry.token) is Role.LOG:
            try:
                header = _header(archive, entry, recorded)
            except HeaderError:
                continue
            if isinstance(header, LogHeader):
                yield header.environment


def _header(archive: Archive, entry: Entry, recorded: RecordedFacts | None) -> object:
    """Return the header of a log; where content is encrypted and the key is not there, as it was when it was archived.

    Raises:
        HeaderError: It is damaged.
    """
    if recorded is None:
        return LogHeader.read(archive.entry_source(entry))
    seen = recorded.seen(entry.number, entry.size)
    return None if seen is None else seen.identity.header


def _on(host: str, path: str) -> str:
    r"""Return a path of a machine as others name it: through the share of its drive; as it is where it has no name."""
    return f"\\\\{host}\\{path[0]}${path[2:]}" if host and path[1:3] == ":\\" else path
