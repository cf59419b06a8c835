"""What a log record does to pages: used when the change is made and again when it is redone, so that the two cannot differ.

Redo by page dbtime: a page at `after` or later has the change already. Otherwise it must be at `before`; an engine that
checks this answers -566 for an older page (a log or a patch is missing, or redo began too late), an early one changes
what it finds and loses data silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokar.lab.engine import EngineError
from tokar.lab.pages import unpack_items

if TYPE_CHECKING:
    from tokar.lab.pages import Page
    from tokar.lab.records import Free, Put, Split


def is_due(page: Page, before: int, after: int, *, checked: bool) -> bool:
    """Tell whether a change is still to be made to a page.

    Raises:
        EngineError: The page is not in the state that the change was made to (-566 older, -567 newer), where that is
            checked.
    """
    if page.dbtime >= after:
        return False
    if checked and page.dbtime != before:
        code = -566 if page.dbtime < before else -567
        raise EngineError(code, f"page {page.number} has dbtime {page.dbtime}, the log expects {before}")
    return True


def apply_put(page: Page, change: Put) -> None:
    """Set, replace or delete one record."""
    page.free = False
    page.dbtime = change.after
    if change.value is None:
        page.items.pop(change.key, None)
    else:
        page.items[change.key] = change.value


def apply_split_to_target(source: Page, target: Page, change: Split) -> None:
    """Fill the target, from the record where it says what moves, else from the source, which must still hold it.

    Where the source has been split already and the record does not say what moved, the data is lost: what a patch file
    is there for.
    """
    if change.moved is not None:
        target.items = unpack_items(change.moved)
    elif source.dbtime < change.after:
        target.items = {key: value for key, value in source.items.items() if key >= change.key}
    else:
        target.items = {}
    target.low = change.key
    target.next_page = change.next_page
    target.free = False
    target.dbtime = change.after


def apply_split_to_source(source: Page, change: Split) -> None:
    """Take from the source what has moved."""
    source.items = {key: value for key, value in source.items.items() if key < change.key}
    source.next_page = change.target
    source.free = False
    source.dbtime = change.after


def apply_free_to_previous(previous: Page, change: Free) -> None:
    """Point past the page that becomes free."""
    previous.next_page = change.next_page
    previous.dbtime = change.after


def apply_free_to_page(page: Page, change: Free) -> None:
    """Empty the page that becomes free."""
    page.items = {}
    page.low = b""
    page.next_page = 0
    page.free = True
    page.dbtime = change.after
