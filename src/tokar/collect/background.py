"""Examining beside reading, hashing and compressing: in a thread of its own, on the same bytes, without a copy of them.

Whoever archives reads into a few buffers in turn. A buffer may be read into again only when it has been looked at, so
the stream that is read from is asked to wait for that: see `BackgroundExaminer.guard`.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType


class Readable(Protocol):
    """What content is read from."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer as far as the source can now; 0 at the end."""


class BackgroundExaminer:
    """Hands chunks to an examiner in a thread of its own. Use it as a context manager; at its end every chunk has been looked at.

    Args:
        examine: What is called in the thread with each chunk, in their order.
    """

    def __init__(self, examine: Callable[[memoryview], None]) -> None:
        self._examine = examine
        self._changed = threading.Condition()
        self._waiting: deque[memoryview] = deque()  # the first is the one being looked at
        self._closed = False
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="tokar-examine", daemon=True)

    def __call__(self, chunk: memoryview) -> None:
        """Take the next chunk. It must not be changed but through a guarded stream.

        Raises:
            Exception: What the examiner raised over an earlier chunk.
        """
        with self._changed:
            self._raise_failure()
            self._waiting.append(chunk)
            self._changed.notify_all()

    def guard(self, stream: Readable) -> Readable:
        """Return a stream that fills no buffer before it has been looked at."""
        return _Guarded(self, stream)

    def wait_for(self, buffer: memoryview) -> None:
        """Wait until nothing that lies in the memory of this buffer is still to be looked at."""
        with self._changed:
            while any(chunk.obj is buffer.obj for chunk in self._waiting):
                self._changed.wait()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            if kind is not None:
                self._drop_waiting()
            self._changed.notify_all()
        self._thread.join()
        if kind is None:
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _drop_waiting(self) -> None:
        """Forget all chunks but the one that is being looked at."""
        while len(self._waiting) > 1:
            self._waiting.pop()

    def _run(self) -> None:
        while (chunk := self._next()) is not None:
            try:
                self._examine(chunk)
            except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
                with self._changed:
                    self._failure = error
                    self._drop_waiting()
            with self._changed:
                self._waiting.popleft()
                self._changed.notify_all()

    def _next(self) -> memoryview | None:
        """Return the next chunk once there is one, or None at the end."""
        with self._changed:
            while not self._waiting:
                if self._closed or self._failure is not None:
                    return None
                self._changed.wait()
            return self._waiting[0]


class _Guarded:
    """A stream that waits before it fills a buffer that is still being looked at."""

    def __init__(self, examiner: BackgroundExaminer, stream: Readable) -> None:
        self._examiner = examiner
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int | None:
        self._examiner.wait_for(buffer)
        return self._stream.readinto(buffer)
