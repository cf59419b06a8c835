"""Whether one log continues another: by number, stream, creation times, and, where there is one, by content.

The accumulated segment checksum is the strongest of these: it proves that the earlier log is complete and unaltered.
Creation times are compared byte for byte and need not increase: a real clock has been seen to step back by three hours.

Source: Microsoft, Extensible Storage Engine, logredo.cxx and logdump.cxx.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokar.ese.content_facts import LogReport
    from tokar.ese.log import LogHeader


class LinkFault(StrEnum):
    """Why a log does not continue another, root cause first."""

    GENERATION = "generation"
    SIGNATURE = "signature"
    TIME = "time"
    CONTENT = "content"


_CODES: Final = {
    LinkFault.GENERATION: -528,
    LinkFault.SIGNATURE: -530,
    LinkFault.TIME: -515,
    LinkFault.CONTENT: -590,
}


class LinkProof(StrEnum):
    """What shows that a log continues another."""

    CONTENT = "content"
    """The accumulated segment checksum: the earlier log is complete and unaltered."""
    TIMES = "times"
    """Signature and creation times."""


@dataclass(frozen=True, slots=True)
class LogLink:
    """How two logs go together."""

    fault: LinkFault | None  # Why the second does not continue the first; None when it does
    proof: LinkProof | None  # What shows that it does; None when it does not
    content_checked: bool  # Whether the accumulated segment checksum was compared

    @property
    def code(self) -> int | None:
        """The error the engine gives for the fault."""
        return _CODES[self.fault] if self.fault else None


def link(earlier: LogHeader, later: LogHeader, earlier_content: LogReport | None = None) -> LogLink:
    """Return how two logs go together.

    Args:
        earlier: The header of the log that should come first.
        later: The header of the log that should come next.
        earlier_content: What checking the content of the earlier log found, where that was done.
    """
    if later.generation != earlier.generation + 1:
        return LogLink(LinkFault.GENERATION, None, content_checked=False)
    if later.signature != earlier.signature:
        return LogLink(LinkFault.SIGNATURE, None, content_checked=False)
    if later.previous_created != earlier.created:
        return LogLink(LinkFault.TIME, None, content_checked=False)
    if earlier_content is None or earlier_content.segments_xor is None or not later.has_segments_link:
        return LogLink(None, LinkProof.TIMES, content_checked=False)
    if later.previous_segments_xor != earlier_content.segments_xor:
        return LogLink(LinkFault.CONTENT, None, content_checked=True)
    return LogLink(None, LinkProof.CONTENT, content_checked=True)
