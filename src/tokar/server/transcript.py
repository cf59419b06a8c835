"""What was called and what came of it, as plain JSON values (spec/procedure.md, section 5).

Names and other bytes that the server delivered are kept as base64 of the raw bytes, since they need not be text. The
reads of a file are one item, whatever their number. Long lists are cut into several items, so that no part outgrows a
record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeVar

from tokar.as_json import to_base64
from tokar.namelist import ListedName
from tokar.server.contract import NoAnswerError, ServerError

_LIST_ITEMS: Final = 2000
_LIST_BYTES: Final = 400_000  # of names in one item; base64 makes four thirds of it, and a part may be 1 MiB
_BATCH_BYTES: Final = 700_000
T = TypeVar("T")


def describe_failure(error: BaseException) -> dict[str, Any]:
    """Return what is known of a failed call."""
    if isinstance(error, ServerError):
        return {"code": f"0x{error.code:08X}", "failed": str(error)}
    if isinstance(error, NoAnswerError):
        return {"failed": str(error), "unanswered": True}
    return {"failed": f"{type(error).__name__}: {error}" if str(error) else type(error).__name__}


class Transcript:
    """Collects the items of a transcript.

    Args:
        clock: Returns the time as text.
    """

    def __init__(self, clock: Callable[[], str]) -> None:
        self._clock = clock
        self._taken = 0
        self.calls: list[dict[str, Any]] = []  # Every item so far

    @property
    def pending(self) -> int:
        """Items that were not taken yet."""
        return len(self.calls) - self._taken

    def add(self, call: str, **facts: Any) -> None:
        """Add an item; facts that are None are left out."""
        known = {key: value for key, value in facts.items() if value is not None}
        self.calls.append({"call": call, "at": self._clock(), **known})

    def call(
        self,
        call: str,
        function: Callable[..., Any],
        *arguments: object,
        facts: dict[str, Any] | None = None,
        note: bool = True,
    ) -> Any:
        """Make a call of the server and add it; a failure is always added, a success with `note`."""
        try:
            result = function(*arguments)
        except BaseException as error:
            self.add(call, **(facts or {}), **describe_failure(error))
            raise
        if note:
            self.add(call, **(facts or {}))
        return result

    def quietly(self, call: str, function: Callable[..., Any], *arguments: object, **facts: Any) -> Exception | None:
        """Make a call after a failure: should it fail as well, what led here is the one to report; this is returned."""
        try:
            self.call(call, function, *arguments, facts=facts)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is in the transcript
            return error
        return None

    def add_list(self, call: str, entries: Iterable[ListedName]) -> None:
        """Add a list as it was delivered, in as many items as it takes."""
        rows = list(entries)
        self.add(call, count=len(rows))
        for part in _parts(rows, lambda row: len(row.raw_name), _LIST_BYTES, _LIST_ITEMS):
            items = [{"encoding": row.encoding, "name": to_base64(row.raw_name), "token": row.token} for row in part]
            known = [{key: value for key, value in item.items() if value is not None} for item in items]
            self.add(f"{call}_entries", entries=known)

    def take(self) -> Iterable[list[dict[str, Any]]]:
        """Yield the items that were not taken yet, in parts that fit a record."""
        for part in _parts(self.calls[self._taken :], _cost, _BATCH_BYTES):
            yield part
            self._taken += len(part)


def _parts(items: Iterable[T], cost_of: Callable[[T], int], room: int, most: int | None = None) -> Iterator[list[T]]:
    """Yield items in parts of a limited cost and number, none of them empty."""
    part: list[T] = []
    size = 0
    for item in items:
        cost = cost_of(item)
        if part and (len(part) == most or size + cost > room):
            yield part
            part, size = [], 0
        part.append(item)
        size += cost
    if part:
        yield part


def _cost(item: dict[str, Any]) -> int:
    """Return about how many bytes an item takes as JSON, never fewer."""
    return 64 + sum(
        len(key) + 8 + (sum(64 + len(row["name"]) for row in value) if isinstance(value, list) else 6 * len(str(value)))
        for key, value in item.items()
    )
