"""The restore side of a simulated server: instructions for the next start of its engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from tokar import codes
from tokar.lab.calls import Calls, Lists
from tokar.lab.config import RestoreInProgress, load_registration, save_registration
from tokar.server.contract import DIALECTS, NameList, Registration, RestoreContext, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tokar.lab.calls import Fault
    from tokar.lab.lab import Lab

T = TypeVar("T")


class SimulatedRestore(RestoreContext):
    """A restore to a lab: it leaves instructions, which the next start of the engine follows.

    Args:
        lab: The server.
        calls: What stands before and behind every call.
        on_end: Told when the restore ends.
        restricted: Whether the expiry token is missing: then only locations may be asked for.
    """

    def __init__(self, lab: Lab, calls: Calls, on_end: Callable[[], None], *, restricted: bool) -> None:
        self._lab = lab
        self._on_end = on_end
        self._calls = calls
        self._lists = Lists(lab)
        self._restricted = restricted
        self._is_over = False

    @property
    def held_lists(self) -> int:
        """Lists that were given out and not freed."""
        return self._lists.keeper.held

    def database_locations(self) -> NameList:
        """Return where databases, logs and checkpoint live now; not in the dialect of the CA, whose service is stopped."""

        def give(_fault: Fault | None) -> NameList:
            if self._lab.config.profile == "certadm":
                raise ServerError(codes.COULD_NOT_CONNECT, call="database_locations", detail="the service is stopped")
            return self._lists.give_locations(self._lab)

        return self._make("database_locations", give)

    def register(self, registration: Registration) -> None:
        """Leave instructions for the engine's next start."""
        self._make("register", lambda _fault: self._register(registration))

    def register_complete(self, status: int) -> None:
        """Say how placing the files went."""

        def complete(_fault: Fault | None) -> None:
            found = load_registration(self._lab.folder)
            if found is None or found.status is not None:
                raise ServerError(codes.INVALID_PARAM, call="register_complete", detail="nothing is registered")
            save_registration(self._lab.folder, found.completed(status))

        self._make("register_complete", complete)

    def end(self) -> None:
        """End the restore."""

        def end_it(_fault: Fault | None) -> None:
            self._is_over = True
            self._on_end()

        self._make("end", end_it)

    def _register(self, wanted: Registration) -> None:
        call = "register"
        if self._restricted:
            raise ServerError(codes.MISSING_EXPIRY_TOKEN, call=call)
        found = load_registration(self._lab.folder)
        if found is not None and found.status is None:
            raise ServerError(codes.RESTORE_IN_PROGRESS, call=call)
        if found is not None and found.status != 0:
            found = None  # a restore that failed is begun anew
        dialect = DIALECTS[self._lab.config.profile]
        paths = (wanted.log_path, wanted.backup_log_path)
        if not 0 < wanted.generation_low <= wanted.generation_high or (dialect.register_first and None in paths):
            raise ServerError(codes.INVALID_PARAM, call=call)
        if not wanted.restore_map and found is None:
            raise ServerError(codes.NO_FULL_RESTORE, call=call)
        if wanted.restore_map and found is not None and found.restore_map != wanted.restore_map:
            raise ServerError(codes.RESTORE_MAP_EXISTS, call=call)
        new = RestoreInProgress(
            wanted.generation_low,
            wanted.generation_high,
            wanted.restore_map or (),
            wanted.log_path,
            wanted.backup_log_path,
            wanted.checkpoint_path,
        )
        save_registration(self._lab.folder, found.with_set(new) if found else new)

    def _make(self, call: str, action: Callable[[Fault | None], T]) -> T:
        if self._is_over:
            raise ServerError(codes.INVALID_HANDLE, call=call, detail="the restore is over")
        return self._calls.make(call, action)
