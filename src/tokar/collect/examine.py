"""Verifies the content of files while their bytes go by, whatever kind of file they are, and counts what it finds.

What is read of each file becomes a fact of the archive (spec/format.md section 6.4), and what `create` and `inspect`
say of all files together is made from those. Large files are examined in a thread of their own, on the
same bytes, without a copy of them: whoever archives reads into a few buffers in turn, and a buffer may be read into
again only when it has been looked at, so the stream that is read from is asked to wait for that: see
`BackgroundExaminer.guard`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from tokar import tokens
from tokar.as_json import fields_json, to_count
from tokar.ese.content_facts import CHECKED_KINDS, ContentVerdict, LogReport, judge_content
from tokar.ese.identify import SMALLEST_SIZE, FileKind, looks_like_ese
from tokar.format.canonical_json import fitting
from tokar.format.pipeline import InputStream

if TYPE_CHECKING:
    from tokar.ese.inspect import Inspection
    from tokar.sets.read import SetFile, SetReader

_MAX_LISTED: Final = 500  # files
_MAX_LIST_SIZE: Final = 128 * 1024  # bytes of the list of files
_MAX_OFFSETS: Final = 16  # bad pages or segments of a file that are pointed at; all of them are counted
_MAX_TEXT: Final = 1000  # characters of a name or a reason
_COUNTS: Final = ("bad", "correctable", "empty", "files", "not_verified", "pages", "ranges", "segments")


@dataclass(frozen=True, slots=True)
class Examined:
    """What looking at one file found."""

    token: int  # Its token
    name: str  # Its name, safe to print
    kind: FileKind  # What it is, going by its content
    verdict: ContentVerdict  # What checking its content came to

    @property
    def is_remarkable(self) -> bool:
        """Whether there is more to say than that all of it was verified and is good."""
        verdict = self.verdict
        blank = isinstance(verdict.report, LogReport) and verdict.report.is_blank
        return bool(verdict.problems or verdict.correctable or verdict.not_verified or verdict.note or blank)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        verdict = self.verdict
        row: dict[str, Any] = {"kind": self.kind.value, "name": self.name[:_MAX_TEXT], "token": self.token}
        if verdict.verified:
            row |= fields_json(verdict, "bad", "correctable", "unit", "units")
        else:
            row["not_verified"] = verdict.not_verified[:_MAX_TEXT]
        offsets = [offset for offset, _ in zip(verdict.bad_offsets, range(_MAX_OFFSETS), strict=False)]
        optional = {"note": verdict.note[:_MAX_TEXT], "offsets": offsets, "problems": list(verdict.problems)}
        return row | {key: value for key, value in optional.items() if value}


@dataclass(slots=True)
class Findings:
    """What looking at all files of a set found."""

    files: int = 0  # Databases and logs that were looked at
    not_verified: int = 0  # How many of them could not be verified
    pages: int = 0  # Pages that were verified
    empty: int = 0  # How many of them are empty, and so have no checksum
    segments: int = 0  # Segments and ranges of logs that were verified
    ranges: int = 0  # How many of them are ranges, as in older formats
    bad: int = 0  # How many of both the engine refuses
    correctable: int = 0  # Pages that it corrects while reading
    # The files in their order: all while they are few, else those with something to say, and not more than 500.
    kept: list[Examined] = field(default_factory=list)

    def add(self, examined: Examined) -> None:
        """Note what was found in the next file."""
        verdict = examined.verdict
        self.files += 1
        self.not_verified += not verdict.verified
        self.bad += verdict.bad
        self.correctable += verdict.correctable
        if verdict.unit == "pages":
            self.pages += verdict.units
            self.empty += verdict.empty
        else:
            self.segments += verdict.units
            self.ranges += verdict.units * (verdict.unit == "ranges")
        if self.files == _MAX_LISTED + 1:
            self.kept = self.remarkable
        if len(self.kept) < _MAX_LISTED and (self.files <= _MAX_LISTED or examined.is_remarkable):
            self.kept.append(examined)

    def note(self, file: SetFile, seen: Inspection) -> None:
        """Note what was read of the next file, where that is or should be a database or a log."""
        if not file.is_interpreted(seen.identity):
            return
        identity, token = seen.identity, file.token
        assert token is not None  # whatever is archived has one
        verdict = judge_content(identity, seen.report)
        if identity.kind not in CHECKED_KINDS:
            role = tokens.role(token)
            if role not in (tokens.Role.DATABASE, tokens.Role.LOG):
                return
            why = identity.lacks or identity.by_header
            verdict = ContentVerdict(not_verified=f"not recognised as a {role.value}: {why}")
        self.add(Examined(token, file.name, identity.kind, verdict))

    @property
    def remarkable(self) -> list[Examined]:
        """The files with something to say, in their order."""
        return [one for one in self.kept if one.is_remarkable]

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON: all counts, and the files in a list that has a limit."""
        counts = {name: to_count(getattr(self, name)) for name in _COUNTS}
        rows = _fitting(self.kept)
        entries = rows if len(rows) == self.files else _fitting(self.remarkable)
        return {**counts, "state": "done", "entries": entries}


NOT_EXAMINED: Final = {"state": "off"}
"""The same where nobody looked."""


def _fitting(files: Iterable[Examined]) -> list[dict[str, Any]]:
    """Return the elements of the list for as many files as there is room for."""
    rows = (one.to_json() for one in files)  # measured as a little more than they take in canonical form
    return fitting(rows, _MAX_LIST_SIZE, lambda row: len(json.dumps(row, ensure_ascii=False).encode()))


def may_be_ese(content: bytes, token: int) -> bool:
    """Tell whether a small file is worth an examiner, in less than a microsecond.

    Args:
        content: All of it.
        token: Its token: a file that should be a database or a log is always worth one.
    """
    if token == tokens.UNKNOWN:
        return len(content) >= SMALLEST_SIZE and looks_like_ese(content, len(content))
    return True


class ContentExaminer:
    """Looks at one file. Call it with the content as it goes by, then `finish`.

    Args:
        findings: Where findings go.
        file: The file.
        facts: Where the facts of the file go, for those who judge_content its set.
    """

    def __init__(self, findings: Findings, file: SetFile, facts: SetReader | None = None) -> None:
        from tokar.ese.inspect import PassingFile  # noqa: PLC0415 - start-up time

        self._findings = findings
        self._file = file
        self._facts = facts
        self._passing = PassingFile(file.size)

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes. They may be changed afterwards."""
        self._passing(chunk)

    def finish(self) -> Inspection | None:
        """Note what was found. Nothing may follow.

        Returns:
            What is worth keeping as a fact of the file; None where nothing is.
        """
        file, seen = self._file, self._passing.finish()
        if self._facts is not None and self._facts.wants(file):
            self._facts.add(file, seen)
        self._findings.note(file, seen)
        recognised = seen.identity.kind is not FileKind.UNKNOWN and file.is_interpreted(seen.identity)
        return seen if file.is_worth_opening or recognised else None


class BackgroundExaminer:
    """Hands chunks of one file after the other to their examiners, in one thread of its own.

    A context manager, at whose end the thread ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[memoryview] = deque()  # the first is the one being looked at
        self._closed = False
        self._failure: BaseException | None = None
        self._examine: Callable[[memoryview], object] = lambda _: None
        self._thread: threading.Thread | None = None

    @contextmanager
    def file(self, examine: Callable[[memoryview], object]) -> Iterator[Self]:
        """Take the chunks of the next file; at the end every one of them was looked at.

        Args:
            examine: What is called in the thread with each chunk, in their order.
        """
        self._examine, self._failure = examine, None
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="tokar-examine", daemon=True)
            thread.start()
            self._thread = thread
        try:
            yield self
        except BaseException:
            with self._changed:
                self._drop_waiting()
            self._finish()
            raise
        self._finish()
        self._raise_failure()

    def _finish(self) -> None:
        with self._changed:
            while self._waiting:
                self._changed.wait()

    def __call__(self, chunk: memoryview) -> None:
        """Take the next chunk. It must not be changed but through a guarded stream.

        Raises:
            Exception: What the examiner raised over an earlier chunk.
        """
        with self._changed:
            self._raise_failure()
            self._waiting.append(chunk)
            self._changed.notify_all()

    def guard(self, stream: InputStream) -> InputStream:
        """Return a stream that fills no buffer before it has been looked at."""
        return _Guarded(self, stream)

    def wait_for(self, buffer: memoryview) -> None:
        """Wait until nothing that lies in the memory of this buffer is still to be looked at."""
        with self._changed:
            while any(chunk.obj is buffer.obj for chunk in self._waiting):
                self._changed.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

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
                if self._closed:
                    return None
                self._changed.wait()
            return self._waiting[0]


class _Guarded:
    """A stream that waits before it fills a buffer that is still being looked at."""

    def __init__(self, examiner: BackgroundExaminer, stream: InputStream) -> None:
        self._examiner = examiner
        self._stream = stream

    def readinto(self, buffer: memoryview, /) -> int | None:
        self._examiner.wait_for(buffer)
        return self._stream.readinto(buffer)
