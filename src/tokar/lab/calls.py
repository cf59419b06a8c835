"""What stands around every call of the contract, and the lists that calls return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from tokar.lab.engine import Dice, EngineError
from tokar.lab.faults import Blows, Fault, FaultKind, FaultPlan
from tokar.namelist import build_names
from tokar.server.contract import DIALECTS, ListKeeper, NameList, NoAnswerError, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tokar.lab.lab import Lab

T = TypeVar("T")
_WINDOWS_1252: Final = 1252


class Calls:
    """What stands before and behind every call: work of the users, faults, engine errors as result codes.

    Args:
        lab: The server.
        plan: What goes wrong.
        blows: How it hangs and dies.
        busy: How many steps the users take between two calls, at most.
    """

    def __init__(self, lab: Lab, plan: FaultPlan, blows: Blows, busy: int) -> None:
        self.lab = lab
        self.plan = plan
        self._blows = blows
        self._busy = busy
        self.dice = Dice(lab.config.seed, -1 - lab.config.lives)

    def make(self, call: str, action: Callable[[Fault | None], T]) -> T:
        """Make a call: `action` gets the fault that it has to act out itself, if one is due."""
        self._let_users_work()
        fault = self.plan.next_call(call)
        if fault is not None and not fault.after:
            self._strike(call, fault)
        try:
            result = action(fault)
        except EngineError as error:
            raise ServerError(error.code, call=call, detail=str(error)) from error
        if fault is not None and fault.after:
            self._strike(call, fault)
        return result

    def _let_users_work(self) -> None:
        if self.lab.is_running and self._busy:
            for _ in range(self.dice.number(0, self._busy)):
                self.lab.workload.step()
                self.lab.workload.write_late()

    def _strike(self, call: str, fault: Fault) -> None:
        if fault.kind is FaultKind.FAIL:
            raise ServerError(fault.code, call=call, detail="injected")
        if fault.kind is FaultKind.HANG:
            self._blows.hang()
            raise NoAnswerError(call, "it hangs")
        if fault.kind is FaultKind.DIE:
            self.lab.crash()
            self._blows.die()
            raise NoAnswerError(call, "the server died")


class Lists:
    """Builds lists in the dialect's width and counts them."""

    def __init__(self, lab: Lab) -> None:
        self.keeper = ListKeeper()
        self._wide = DIALECTS[lab.config.profile].wide

    def encode(self, name: str) -> bytes:
        """Return a name as lists hold it."""
        return name.encode("utf-16-le" if self._wide else "cp1252")

    def give(self, entries: Iterable[tuple[int | None, str]], *, with_tokens: bool = True) -> NameList:
        """Return a list."""
        data = build_names([(token, self.encode(name)) for token, name in entries], wide=self._wide)
        encoding = 0 if self._wide else _WINDOWS_1252
        return self.keeper.give_raw(data, wide=self._wide, encoding=encoding, with_tokens=with_tokens)

    def give_locations(self, lab: Lab) -> NameList:
        """Return where everything lives."""
        return self.give((location.token, location.name) for location in lab.locations())
