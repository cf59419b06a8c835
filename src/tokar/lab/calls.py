"""What stands around every call of the contract: users at work, faults on order, engine errors as codes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial, wraps
from typing import Any, Concatenate, NoReturn, ParamSpec, TypeVar

from tokar.lab.engine import Chance, EngineError
from tokar.lab.lab import Lab
from tokar.namelist import build_names
from tokar.server.contract import DIALECTS, NameList, NoAnswerError, ServerError


class InjectionKind(StrEnum):
    """What goes wrong."""

    FAIL = "fail"
    """The call fails with `code`; in the middle of a file the engine then drops the backup."""
    HANG = "hang"
    """The call is never answered."""
    DIE = "die"
    """The process of the server is gone."""
    SHORT = "short"
    """A read brings at most `size` bytes."""
    ANNOUNCE = "announce"
    """An open announces `size` bytes more than there are (fewer where negative)."""


@dataclass(frozen=True, slots=True)
class Injection:
    """One thing that goes wrong, once."""

    kind: InjectionKind  # What
    # At which call, by the name of the contract's method (`open`, `read`, `truncate_logs` ...); None: at any.
    call: str | None = None
    nth: int = 1  # At which of these calls, from 1
    # The result code of a failure, in any spelling.
    code: int = 0xC7FF0002  # hrError
    size: int = 0  # Bytes, for SHORT and ANNOUNCE
    after: bool = False  # FAIL, HANG and DIE strike when the call has had its effect, else before it


class InjectionPlan:
    """Counts calls and says which fault is due.

    Args:
        faults: What goes wrong.
    """

    def __init__(self, faults: Sequence[Injection] = ()) -> None:
        # Every call so far, by name, in order: run once without faults to learn what can be struck.
        self.calls: list[str] = []
        self._faults = tuple(faults)

    def next_call(self, call: str) -> Injection | None:
        """Note a call and return the fault that is due, if any."""
        self.calls.append(call)
        counts = {None: len(self.calls), call: self.calls.count(call)}
        for fault in self._faults:
            if fault.call in counts and counts[fault.call] == fault.nth:
                return fault
        return None


def hang_forever() -> NoReturn:
    """Never return."""
    while True:
        threading.Event().wait()


def die_at_once() -> NoReturn:
    """End this process as a kill does: nothing is flushed, nothing is cleaned up."""
    os._exit(137)


@dataclass(frozen=True, slots=True)
class FaultInjector:
    """How a process hangs and dies; a test in one process puts exceptions here."""

    hang: Callable[[], object] = hang_forever  # Called for HANG
    die: Callable[[], object] = die_at_once  # Called for DIE


P = ParamSpec("P")
T = TypeVar("T")


class Calls:
    """What stands around every call: users at work, faults, engine errors as codes, lists in the server's width.

    Args:
        lab: The server.
        plan: What goes wrong.
        injector: How it hangs and dies.
        busy: How many steps the users take between two calls, at most.
    """

    def __init__(self, lab: Lab, plan: InjectionPlan, injector: FaultInjector, busy: int) -> None:
        self.lab = lab
        self.plan = plan
        self.chance = Chance(lab.config.seed, -1 - lab.config.lives)
        self.fault: Injection | None = None  # What the call under way has to act out itself
        self._injector = injector
        self._busy = busy
        self._wide = DIALECTS[lab.config.profile].wide

    def make(self, call: str, action: Callable[[], T]) -> T:
        """Make a call, with what stands before and behind it."""
        self._let_users_work()
        fault = self.fault = self.plan.next_call(call)
        if fault is not None and not fault.after:
            self._strike(call, fault)
        try:
            result = action()
        except EngineError as error:
            raise ServerError(error.code, call=call, detail=str(error)) from error
        if fault is not None and fault.after:
            self._strike(call, fault)
        return result

    def encode(self, name: str) -> bytes:
        """Return a name as lists hold it."""
        return name.encode("utf-16-le" if self._wide else "cp1252")

    def list(self, entries: Iterable[tuple[int | None, str]], *, with_tokens: bool = True) -> NameList:
        """Return a list."""
        data = build_names([(token, self.encode(name)) for token, name in entries], wide=self._wide)
        encoding = 0 if self._wide else 1252
        return NameList.from_bytes(data, wide=self._wide, encoding=encoding, with_tokens=with_tokens)

    def locations(self) -> NameList:
        """Return the list of where everything lives."""
        return self.list((one.token, one.name) for one in self.lab.locations())

    def _let_users_work(self) -> None:
        if self.lab.is_running and self._busy:
            for _ in range(self.chance.number(0, self._busy)):
                self.lab.workload.step()
                self.lab.workload.write_late()

    def _strike(self, call: str, fault: Injection) -> None:
        if fault.kind is InjectionKind.FAIL:
            raise ServerError(fault.code, call=call, detail="injected")
        if fault.kind is InjectionKind.HANG:
            self._injector.hang()
            raise NoAnswerError(call, "it hangs")
        if fault.kind is InjectionKind.DIE:
            self.lab.crash()
            self._injector.die()
            raise NoAnswerError(call, "the server died")


def called(method: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Make a method a call of the contract: its object's `make` gets the name of the method, and what it does."""

    @wraps(method)
    def call(self: Any, /, *arguments: P.args, **named: P.kwargs) -> T:
        result: T = self.make(method.__name__, partial(method, self, *arguments, **named))
        return result

    return call
