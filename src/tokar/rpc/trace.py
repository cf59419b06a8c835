"""A trace of the wire that may be shown to others: one line of JSON for each packet, each call and each answer.

What stands in calls is written as it was before sealing and after opening, by the rule of `tokar.redact`. Tokens of
logging on are written as their length, and so is the content of files. Passwords never get here.
"""

from __future__ import annotations

import json
import platform
import re
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, TextIO

from tokar._version import SOFTWARE
from tokar.redact import Redactor
from tokar.rpc.pdus import PduHeader, PduKind, Trailer

FORM: Final = "tokar trace 1"
# A way to a server, behind the number of its protocol, and the name of its account, behind that of its protection.
_BINDING: Final = re.compile("(?:\x07|[\x09\x0a\x10]\uffff)([\\w.:\\\\/@$-]+)(?:\\[\\d+\\])?\0")


class Trace:
    """Writes lines. Connections of several threads may share it.

    Args:
        file: Where to write.
        names: What to take out, beside what the rule finds: the server, the account.
        hidden: Numbers of calls on objects whose answers are content of files.
        names_in: Returns names of authorities in a call or an answer, where the rule does not know their place.
    """

    def __init__(
        self,
        file: TextIO,
        names: Iterable[str],
        hidden: Iterable[int] = (),
        names_in: Callable[[bytes], Iterable[str]] = lambda _stub: (),
    ) -> None:
        self._file = file
        self._redactor = Redactor(names)
        self.hidden = frozenset(hidden)
        self._names_in = names_in
        self._lock = threading.Lock()
        self._connections = 0
        self._start = time.monotonic()
        self.note("begin", form=FORM, software=SOFTWARE, python=platform.python_version(), system=platform.system())

    def note(self, event: str, **facts: Any) -> None:
        """Write a line."""
        at = round(time.monotonic() - self._start, 4)
        with self._lock, suppress(OSError):  # a trace that cannot be written is no reason to give a backup up
            line = json.dumps({"at": at, "event": event, **self._redactor.value(facts)})
            self._file.write(line + "\n")
            self._file.flush()

    def bytes(self, data: bytes) -> str:
        """Return bytes as they may be shown; names are learnt from the strings in them."""
        text = data.decode("utf-16-le", "replace")
        with self._lock:
            self._redactor.text(text)
            self._redactor.learn(self._names_in(data), "authority")
            for found in _BINDING.finditer(text):
                self._redactor.learn(re.split(r"[\\/@]", found[1]), "host")
            return self._redactor.data(data).hex()

    def connection(self, host: str, port: int) -> ConnectionTrace:
        """Return the trace of one more connection."""
        with self._lock:
            self._connections += 1
            number = self._connections
        self.note("connect", connection=number, host=host, port=port)
        return ConnectionTrace(self, number)


class ConnectionTrace:
    """The lines of one connection."""

    def __init__(self, trace: Trace, number: int) -> None:
        self._trace = trace
        self._number = number
        self._hides: int | None = None

    def packet(self, direction: str, header: PduHeader, trailer: Trailer | None, token_size: int) -> None:
        """Note a packet: what stands outside of its protection."""
        facts: dict[str, Any] = {"kind": PduKind(header.kind).name, "flags": header.flags, "size": header.size}
        facts |= {"token_size": token_size} if token_size else {}
        if trailer is not None:
            facts |= {"mechanism": trailer.mechanism, "level": trailer.level}
        self._trace.note(direction, connection=self._number, call=header.call, **facts)

    def sent(self, call: int, operation: int, start: bytes, stub: bytes) -> None:
        """Note a call that goes out, whole: a name may lie across two packets."""
        self._hides = call if operation in self._trace.hidden else None
        self._stub("call", call, start, stub, operation=operation)

    def received(self, call: int, start: bytes, stub: bytes) -> None:
        """Note an answer, whole, or what came of it."""
        if call == self._hides:
            self._trace.note("answer", connection=self._number, call=call, content_of_file=len(stub))
        else:
            self._stub("answer", call, start, stub)

    def _stub(self, event: str, call: int, start: bytes, stub: bytes, **facts: int) -> None:
        shown = {"start": start.hex(), "stub": self._trace.bytes(stub)}
        self._trace.note(event, connection=self._number, call=call, **facts, **shown)
