"""Whole archives as the parts of a chain that is restored to a server, whether or not they fit together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar import names, tokens
from tokar.errors import SetError, UnsafeNameError
from tokar.ese.filenames import parse_file_name
from tokar.server.run_restore import SetPart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokar.format.archive import Archive
    from tokar.format.index import Entry


def parts_of(archives: Sequence[Archive]) -> tuple[SetPart, ...]:
    """Return archives as the parts of a chain, without logs below the lowest of the full.

    These are not needed: the lowest of the full stands in for the checkpoint (Q200941).

    Raises:
        SetError: An archive has no log that is needed, so that nothing can be registered for it.
    """
    parts: list[SetPart] = []
    for archive in archives:
        parts.append(_part(archive, parts[0].generation_low if parts else 0))
    return tuple(parts)


def _part(archive: Archive, low: int) -> SetPart:
    generations = [(generation_of(one), one) for one in archive]
    entries = tuple(one for generation, one in generations if generation is None or generation >= low)
    known = [generation for generation, _ in generations if generation is not None and generation >= low]
    if not known:
        raise SetError(
            "the set has no log that the chain needs, so nothing can be registered for it", path=archive.path
        )
    return SetPart(archive, entries, min(known), max(known))


def generation_of(entry: Entry) -> int | None:
    """Return the generation in the name of a log, which the names of all backed-up logs have."""
    if tokens.role(entry.token) is not tokens.Role.LOG:
        return None
    try:
        return parse_file_name(names.leaf(entry.raw_name, entry.encoding)).generation
    except UnsafeNameError:
        return None
