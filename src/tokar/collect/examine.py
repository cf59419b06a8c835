"""Verifies the content of one file while its bytes go by, whatever kind of file it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tokar import names, tokens
from tokar.collect.findings import Examined, Findings
from tokar.ese.content_facts import CHECKED_KINDS, ContentVerdict, judge
from tokar.ese.identify import SMALLEST_SIZE, FileKind, Identity, identify, looks_like_ese
from tokar.ese.inspect import Checker, checker_for
from tokar.storage.bytesource import BytesSource

if TYPE_CHECKING:
    from tokar.ese.content_facts import LogReport, PageReport

# Exchange before 2000 SP2 kept the bookkeeping of a streaming copy in a patch file, not in a trailer (Q158526).
_WITHOUT_TRAILER: Final = {"edbbcli"}


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
        token: The file's token.
        raw_name: The file's name.
        encoding: The code page of the name.
        size: Bytes that will come.
        profile: The token profile.
    """

    def __init__(
        self, findings: Findings, *, token: int, raw_name: bytes, encoding: int, size: int, profile: str
    ) -> None:
        self._findings = findings
        self._token = token
        self._raw_name = raw_name
        self._encoding = encoding
        self._size = size
        self._profile = profile
        self._identity: Identity | None = None
        self._checker: Checker | None = None

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes. They may be changed afterwards."""
        if self._is_patch:  # pages in a layout of which no public description is known: kept, never judged
            return
        if self._identity is None:
            self._identity = _identify(chunk, self._size)
            self._checker = checker_for(self._identity, self._size)
        if self._checker is not None:
            self._checker.update(chunk)

    def finish(self) -> None:
        """Note what was found. Nothing may follow."""
        if self._is_patch:
            return
        identity = self._identity or Identity(kind=FileKind.UNKNOWN)
        report = self._checker.finish() if self._checker is not None else None
        verdict = judge(identity, report, trailer=self._profile not in _WITHOUT_TRAILER)
        self._note(identity, report, verdict)

    def _note(self, identity: Identity, report: PageReport | LogReport | None, verdict: ContentVerdict) -> None:
        """Note what was found; the report is for those who want to know more."""
        del report
        if identity.kind not in CHECKED_KINDS:
            role = tokens.role(self._token)
            if role not in (tokens.Role.DATABASE, tokens.Role.LOG):
                return
            verdict = ContentVerdict(not_verified=f"not recognised as a {role.value}")
        name = names.display(self._raw_name, self._encoding)
        self._findings.add(Examined(self._token, name, identity.kind, verdict))

    @property
    def _is_patch(self) -> bool:
        return tokens.token_name(self._token, self._profile) == "patch"


class _Start(BytesSource):
    """The first bytes of a file, with the size of all of it."""

    def __init__(self, data: memoryview, size: int) -> None:
        super().__init__(data)
        self._whole = size

    @property
    def size(self) -> int:
        return self._whole


def _identify(start: memoryview, size: int) -> Identity:
    """Return what a file is, going by its first bytes."""
    identity = identify(_Start(start, size))
    if identity.kind is FileKind.RESERVE and len(start) < size:  # which only all of its bytes can tell
        return Identity(kind=FileKind.UNKNOWN, note="begins like a reserve log")
    return identity
