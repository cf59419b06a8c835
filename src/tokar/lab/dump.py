"""Reading the records of a database file, without an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.lab.database_file import DatabaseFile
from tokar.lab.tables import Cache, walk_chain

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.lab.engine import Era


def dump(path: Path, era: Era) -> dict[bytes, bytes]:
    """Return the records of a database as it lies on disk. In one that is not clean these are what happens to have been written.

    Raises:
        EngineError: It is not there (-1811), damaged (-1018), or its chain of pages is broken (-1019, -1206).
    """
    file = DatabaseFile(path, era)
    cache = Cache({0: file}, lambda: None)
    return {key: value for page in walk_chain(cache, 0, file.page_count) for key, value in page.items.items()}
