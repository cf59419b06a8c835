"""Verifies the content of one file while its bytes go by, whatever kind of file it is."""

from __future__ import annotations

from typing import Final

from tokar import tokens
from tokar.collect.findings import Examined, Findings
from tokar.ese.content_facts import CHECKED_KINDS, ContentVerdict, judge_content
from tokar.ese.identify import SMALLEST_SIZE, looks_like_ese
from tokar.sets.read import PassingFile, Seen, SetFile, SetReader

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
        file: The file.
        facts: Where the facts of the file go, for those who judge_content its set.
    """

    def __init__(self, findings: Findings, file: SetFile, facts: SetReader | None = None) -> None:
        self._findings = findings
        self._file = file
        self._facts = facts
        # Pages in a layout of which no public description is known are kept, never judged.
        self._passing = None if file.is_patch else PassingFile(file.size)

    def __call__(self, chunk: memoryview) -> None:
        """Take the next bytes. They may be changed afterwards."""
        if self._passing is not None:
            self._passing(chunk)

    def finish(self) -> None:
        """Note what was found. Nothing may follow."""
        seen = self._passing.finish() if self._passing is not None else None
        if self._facts is not None and self._facts.wants(self._file) and seen is not None:
            self._facts.add(self._file, seen)
        if seen is not None:
            self._note(seen)

    def _note(self, seen: Seen) -> None:
        identity = seen.identity
        verdict = judge_content(identity, seen.report, trailer=self._file.profile not in _WITHOUT_TRAILER)
        token = self._file.token
        assert token is not None  # whatever is archived has one
        if identity.kind not in CHECKED_KINDS:
            role = tokens.role(token)
            if role not in (tokens.Role.DATABASE, tokens.Role.LOG):
                return
            verdict = ContentVerdict(not_verified=f"not recognised as a {role.value}")
        self._findings.add(Examined(token, self._file.name, identity.kind, verdict))
