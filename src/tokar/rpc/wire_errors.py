"""What can go wrong on the wire. A caller that knows what it called turns these into errors of its contract."""

from __future__ import annotations

from tokar.errors import SourceError


class WireError(SourceError):
    """An answer is not what the protocol has: it was cut or altered, or is of another protocol."""

    hint_text = "something on the way alters it, or this is no such server; --trace FILE shows what came"


class UnreachableError(SourceError):
    """No connection can be made."""


class LinkLostError(SourceError):
    """A connection broke, or nothing came in time. What the last call did is not known."""

    hint_text = "see whether the server runs and the network holds, and start over"


class LogonError(SourceError):
    """The server, or the mechanism, does not accept who asks."""


class RpcFaultError(SourceError):
    """A call was answered with a fault.

    Args:
        status: The status in it.
        did_not_run: Whether it is sure that the call was not executed: the server says so, and the answer is signed.
    """

    def __init__(self, status: int, *, did_not_run: bool = False) -> None:
        super().__init__(f"the call was refused with fault 0x{status:08X}")
        self.status = status
        self.did_not_run = did_not_run
