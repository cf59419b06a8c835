"""What can be done to a database file without an engine: reading its records, and defragmenting it.

Offline defragmentation writes the records into a new database, which takes the place of the old one. It has a new
signature and remembers no backup, so logs-only backups are refused until the next full (Q183380); logs from before it
are about the old one and cannot be played onto it.
"""

from __future__ import annotations

from pathlib import Path

from tokar.ese.values import Signature
from tokar.lab.database_file import DatabaseFile, create_database
from tokar.lab.engine import EngineError, Era
from tokar.lab.leaf_pages import ROOT_PAGE, Page
from tokar.lab.tables import Cache, walk_chain


def dump(path: Path, era: Era) -> dict[bytes, bytes]:
    """Return the records of a database as it lies on disk: all of them only where it is clean.

    Raises:
        EngineError: It is not there (-1811), damaged (-1018), or its chain of pages is broken (-1019, -1206).
    """
    file = DatabaseFile(path, era)
    cache = Cache({0: file}, lambda: None)
    return {key: value for page in walk_chain(cache, 0, file.page_count) for key, value in page.items.items()}


def compact(path: Path, era: Era, signature: Signature) -> None:
    """Defragment a clean database.

    If it dies half-way, the old or the new database lies there, whole.

    Raises:
        EngineError: The database is not clean (-550).
    """
    file = DatabaseFile(path, era)
    if not file.header.is_clean:
        raise EngineError(-550, "the database was not shut down cleanly", path=path)
    dbtime = file.header.dbtime + 1
    pages = _full_pages(dump(path, era), era.page_size, dbtime)
    draft = path.with_name("tempdfrg.edb")
    create_database(draft, era, signature, file.header.dbid, pages=pages, dbtime=dbtime)
    draft.replace(path)


def _full_pages(items: dict[bytes, bytes], page_size: int, dbtime: int) -> list[Page]:
    pages = [Page(ROOT_PAGE, dbtime=dbtime, free=False)]
    for key in sorted(items):
        if not pages[-1].fits(key, items[key], page_size):
            pages[-1].next_page = pages[-1].number + 1
            pages.append(Page(pages[-1].number + 1, dbtime=dbtime, low=key, free=False))
        pages[-1].items[key] = items[key]
    return pages
