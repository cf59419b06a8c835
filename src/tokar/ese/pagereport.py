"""What checking the pages of a database found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tokar.ese.trailer import BackupTrailer

FAULT_LIMIT: Final = 1000
"""How many faults a report lists; all of them are counted."""
_READ_VERIFY: Final = -1018
_WRONG_NUMBER: Final = -1118


class PageFaultKind(StrEnum):
    """What is wrong with a page."""

    CORRECTABLE = "correctable"
    """Flipped bits that the ECC locates; the engine corrects them while reading."""
    CHECKSUM_BIT = "checksum-bit"
    """One flipped bit in the stored checksum or in the flag that names its format: located, but the engine refuses the page."""
    MISPLACED = "misplaced"
    """A good page that belongs to another place."""
    WRONG_NUMBER = "wrong-number"
    """A large page whose checksums are right and whose number is not."""
    BAD = "bad"
    """Content and checksum do not fit."""


@dataclass(frozen=True, slots=True)
class PageFault:
    """One page that is not as it should be."""

    kind: PageFaultKind  # What is wrong
    page: int  # The page number; page 1 lies at twice the page size
    offset: int  # Bytes from the start of the file to the page
    bits: tuple[int, ...] = ()  # The flipped bits, counted from the start of the page, where they could be located
    belongs_to: int | None = None  # For a misplaced page, the number it was written for

    @property
    def code(self) -> int | None:
        """The error the engine gives when it reads the page; None where it corrects it."""
        if self.kind is PageFaultKind.CORRECTABLE:
            return None
        return _WRONG_NUMBER if self.kind is PageFaultKind.WRONG_NUMBER else _READ_VERIFY


@dataclass(frozen=True, slots=True, kw_only=True)
class PageReport:
    """What checking the pages of a database found."""

    page_size: int  # Bytes in a page
    pages: int = 0  # Data pages seen: without header copies and without the backup trailer
    empty: int = 0  # Pages of zeros, which have no checksum and are no error
    old_ok: int = 0  # Pages whose old XOR and page number are right
    ecc_ok: int = 0  # Pages whose XOR and ECC are right
    correctable: int = 0  # Pages with flipped bits that the engine corrects
    bad: int = 0  # Pages the engine refuses: all faults but the correctable ones
    faults: tuple[PageFault, ...] = ()  # The first faults, at most `FAULT_LIMIT`
    highest_dbtime: int = 0  # The highest modification counter in a good page
    headers_valid: tuple[bool, bool] = (False, False)  # Whether the checksum of each header copy is right
    extra_bytes: int = 0  # Bytes after the last whole page
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, where it is in order
    trailer_fault: str = ""  # Why the trailer of a streaming copy is not in order; empty for any other file
    trailer_code: int | None = None  # The error the engine gives for that
    not_verified: str = ""  # Why no page was verified; empty when they were
    caveat: str = ""  # What weakens the findings; empty when nothing does

    @property
    def is_good(self) -> bool:
        """Whether every page was verified and the engine would accept them all, and the trailer where there must be one."""
        return not (self.bad or self.extra_bytes or self.trailer_fault or self.not_verified)
