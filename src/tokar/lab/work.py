"""What users do to the databases: transactions of every kind, and between them the engine's own late writing."""

from __future__ import annotations

from typing import Final

from tokar.lab.engine import Chance, EngineError
from tokar.lab.instance import Instance

KEYS: Final = 400
"""Different keys in a database."""
_MOST_OPEN: Final = 3
_WRITE_CONFLICT: Final = -1102


class Workload:
    """Random work on an instance.

    Args:
        instance: The engine.
        chance: Where chance comes from.
        keys: How many different keys each database has.
    """

    def __init__(self, instance: Instance, chance: Chance, keys: int = KEYS) -> None:
        self._instance = instance
        self._chance = chance
        self._keys = keys

    def run(self, transactions: int) -> None:
        """Work until that many more transactions are over; some others stay open."""
        done = 0
        while done < transactions:
            done += self.step()
            self.write_late()

    def step(self) -> int:
        """Begin, continue or end one transaction; return 1 where one ended."""
        open_ones = sorted(self._instance.transactions.open)
        if len(open_ones) < _MOST_OPEN and self._chance.happens(0.5):
            open_ones = [self._instance.transactions.begin()]
        if not open_ones:
            return 0
        number = self._chance.one_of(open_ones)
        for _ in range(self._chance.number(0, 4)):
            self._change(number)
        if self._chance.happens(0.5):
            return 0
        if self._chance.happens(0.15):
            self._instance.transactions.rollback(number)
        else:
            self._instance.transactions.commit(number)
        return 1

    def write_late(self) -> None:
        """Now and then bring a few dirty pages to disk, or move the checkpoint on."""
        dirty = self._instance.cache.dirty()
        if dirty and self._chance.happens(0.2):
            self._instance.cache.flush(*self._chance.one_of(dirty))
        if dirty and self._chance.happens(0.06):
            self._instance.cache.flush(*dirty[0])
        if self._chance.happens(0.02):
            self._instance.write_checkpoint()

    def _change(self, number: int) -> None:
        dbid = self._chance.one_of(sorted(self._instance.tables))
        index = self._chance.number(0, self._keys - 1)
        # Runs of neighbouring deletes empty whole pages, so that pages become free and are used again.
        deletes = self._chance.happens(0.07)
        run = range(index, min(index + 12, self._keys)) if deletes else range(index, index + 1)
        try:
            for each in run:
                value = None if deletes else self._chance.some_bytes(self._chance.number(10, 500))
                self._instance.transactions.put(number, dbid, f"key{each:05}".encode(), value)
        except EngineError as error:
            if error.code != _WRITE_CONFLICT:
                raise
