"""Transactions: several may be open at once, each over several pages, databases and log generations, until one commit or one undo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tokar.lab.engine import EngineError
from tokar.lab.records import Begin, Commit, Rollback

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.ese.values import LogPosition
    from tokar.lab.log_stream import LogStream
    from tokar.lab.table import Table

Change = tuple[int, bytes, bytes | None]
"""dbid, key, value; None: deleted."""


@dataclass(slots=True)
class Transaction:
    """One open transaction."""

    number: int  # Its number
    begun: LogPosition  # Where its first record stands; recovery must not start later while it is open
    undo: list[Change] = field(default_factory=list)  # What to set back, in the order of the changes


class Transactions:
    """The open transactions of an instance.

    Args:
        tables: The attached databases by dbid.
        log: Where records go.
        on_commit: Told of the changes of every transaction that is committed, after its commit is on disk.
    """

    def __init__(self, tables: dict[int, Table], log: LogStream, on_commit: Callable[[list[Change]], None]) -> None:
        self.open: dict[int, Transaction] = {}
        self._tables = tables
        self._log = log
        self._on_commit = on_commit
        self._next = 1

    def oldest(self) -> LogPosition | None:
        """Return where the oldest open transaction begins."""
        return min((transaction.begun for transaction in self.open.values()), default=None)

    def owner(self, dbid: int, key: bytes) -> int | None:
        """Return the transaction that has changed a record and is still open, or None."""
        for transaction in self.open.values():
            if any(change[:2] == (dbid, key) for change in transaction.undo):
                return transaction.number
        return None

    def begin(self) -> int:
        """Open a transaction and return its number."""
        number = self._next
        self._next += 1
        self.open[number] = Transaction(number, self._log.append(Begin(number)))
        return number

    def put(self, number: int, dbid: int, key: bytes, value: bytes | None) -> None:
        """Set or, with None, delete a record.

        Raises:
            EngineError: Another open transaction has changed the record (-1102).
        """
        if self.owner(dbid, key) not in {None, number}:
            raise EngineError(-1102, f"record {key!r} is being changed by another transaction")
        old = self._tables[dbid].put(number, key, value)
        self.open[number].undo.append((dbid, key, old))

    def commit(self, number: int) -> None:
        """Make the changes of a transaction durable."""
        transaction = self.open.pop(number)
        self._log.append(Commit(number))
        self._log.flush()
        last = {change[:2] for change in transaction.undo}
        self._on_commit([(dbid, key, self._tables[dbid].get(key)) for dbid, key in sorted(last)])

    def rollback(self, number: int) -> None:
        """Undo a transaction: its changes are set back one by one, last first, and that is logged like any change."""
        transaction = self.open[number]
        for dbid, key, old in reversed(transaction.undo):
            self._tables[dbid].put(number, key, old)
        self._log.append(Rollback(number))
        del self.open[number]

    def uncommitted(self, dbid: int) -> dict[bytes, bytes | None]:
        """Return what the records that open transactions have changed held before."""
        before: dict[bytes, bytes | None] = {}
        for transaction in self.open.values():
            for changed, key, old in transaction.undo:
                if changed == dbid:
                    before.setdefault(key, old)
        return before
