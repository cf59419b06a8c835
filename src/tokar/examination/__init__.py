"""What the files of a set say of themselves, learned while their bytes go by on the way into an archive.

The modules, from the bottom up::

    findings      Findings: what verifying pages and log segments found, counted, and as SUMM keeps it
    content       ContentExaminer: verifies the content of one file
    setfacts      SetFacts and FileExaminer: the same, with what the seal check weighs (`tokar.procedure.licence`)
    background    BackgroundExaminer: an examiner in a thread of its own

`setfacts` is for `tokar.backup` alone, and imported by its own name: it loads every header there is, which takes a while.
"""

from __future__ import annotations

from tokar.examination.background import BackgroundExaminer
from tokar.examination.content import ContentExaminer, may_be_ese
from tokar.examination.findings import NOT_EXAMINED, Examined, Findings

__all__ = [
    "NOT_EXAMINED",
    "BackgroundExaminer",
    "ContentExaminer",
    "Examined",
    "Findings",
    "may_be_ese",
]
