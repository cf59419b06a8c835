"""Checks every page of a database, in one pass over bytes that come in buffers of any size.

Which checksum a page carries is told by a flag in the page itself, so that one file may mix both kinds; pages of 16 and
32 KiB always have the new kind, in four blocks. An empty page is all zeros and has none. Bytes are looked at once, in
order, so that the check can run beside archiving.

What is wrong with a page that did not verify is worked out apart: which bit, or which page it is instead. A changed bit
at position p changes L of the ECC by p and H by the complement of p, and the XOR part by that bit of its word: three
witnesses for one flipped bit. A page written to the wrong place differs only in the XOR part, by its number.

Sources: Microsoft, Extensible Storage Engine, checksum.cxx, checksumu.cxx, cpage.hxx and io.cxx; libesedb, "Extensible
Storage Engine (ESE) Database File (EDB) format specification"; Microsoft Knowledge Base Q151789.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tokar.errors import HeaderError
from tokar.ese.arrays import np
from tokar.ese.blocksums import BlockSums, WholeBlocks, aligned_words
from tokar.ese.checksum import HEADER_SEED, ecc_checksum, flipped_bit, header_is_valid, xor_words
from tokar.ese.content_facts import FAULT_LIMIT, PageFault, PageFaultKind, PageReport
from tokar.ese.database import FORMAT_VERSION, DatabaseHeader
from tokar.ese.page import (
    CATALOG_OBJECT,
    EMPTY_PAGE,
    FORMAT_BIT,
    LARGE_PAGE_SIZE,
    LEAF_PAGE,
    NEW_FORMAT,
    ROOT_PAGE,
    SPACE_PAGE,
    SYSTEM_OBJECT,
    PageHeader,
    block_difference,
    block_size_of,
    has_ecc,
    last_owned,
    number_in,
    page_is_sealed,
)
from tokar.ese.pagelinks import PageLinks
from tokar.ese.trailer import BackupTrailer

if TYPE_CHECKING:
    import numpy.typing as npt

    from tokar.ese.blocksums import Words

    Flags = npt.NDArray[np.bool_]

BUFFER_SIZE: Final = 1 << 20
"""Bytes that are checked at a time: with the scratch memory they stay in a second-level cache of 2 MiB."""
DIAGNOSIS_LIMIT: Final = 10_000
"""After so many faults further ones are counted as bad without a closer look: a file of rubbish is passed quickly."""
_HEADER_PAGES: Final = 2
_TRIED_PAGE_SIZES: Final = {4096, 8192, 32768}
_HEAD_WORDS: Final = 9  # the u64 words of a page that are looked at one by one: up to the page number of large pages
_ROOTS: Final = (1, 2, 3, 4, 24)
"""Pages that no database leaves blank: its root, both roots of its space tree, the catalog and the copy of that."""
_LOW_HALF: Final = 0xFFFFFFFF
_IS_BLANK, _NAMED = np.uint8(1), np.uint8(2)
_MOST_MARKED: Final = (
    1 << 25
)  # pages beyond are not held against what others name, so that a few bytes a page are enough
_MOST_LOST: Final = 100
_HIGHEST_NUMBER: Final = 0x7FFFFFFF
_Diagnosis = tuple[PageFaultKind, tuple[int, ...], int | None]
_BAD: Final[_Diagnosis] = (PageFaultKind.BAD, (), None)


def why_not_verified(header: DatabaseHeader) -> str:
    """Return why the pages of such a file carry no checksums known here; empty when they do."""
    if header.version != FORMAT_VERSION:
        return f"pages of format 0x{header.version:x} are not known"
    if header.is_streaming_file:
        return "a streaming file keeps its checksums in its database"
    if header.is_temporary:
        return "the pages of a temporary database carry no checksums"
    return ""


class PageChecker(WholeBlocks):
    """Checks the pages of one database while its bytes go by.

    Args:
        header: The header of the database.
        file_size: The bytes that will come, which tells where the trailer of a streaming copy must be.
    """

    def __init__(self, header: DatabaseHeader, file_size: int) -> None:
        super().__init__(header.page_size, BUFFER_SIZE // header.page_size)
        self._header = header
        self._page_size = header.page_size
        self._last_page = max(file_size // self._page_size - _HEADER_PAGES, 0)
        self._trailer_index = file_size // self._page_size - 1 if header.has_trailer_page else -1
        self._why_not = why_not_verified(header)
        self._block_size = block_size_of(self._page_size)
        self._large = self._page_size >= LARGE_PAGE_SIZE
        self._sums = BlockSums(self._block_size, BUFFER_SIZE // self._block_size)
        self._index = 0  # of the next page in the file, header copies included
        self._trailer_page = b""
        self._headers_valid = [False, False]
        self._pages = self._empty = self._old_ok = self._ecc_ok = self._highest_dbtime = 0
        self._blank: list[int] = []
        self._root_object = self._owned = self._linked = 0
        self._marks = np.zeros(
            min(self._last_page, _MOST_MARKED) + 1, np.uint8
        )  # of each page: blank, named by another
        self._links = PageLinks(self._last_page)
        self._fault_counts = dict.fromkeys(PageFaultKind, 0)
        self._faults: list[PageFault] = []

    def finish(self) -> PageReport:
        """Return what was found. Nothing may follow."""
        trailer, fault, code = self._examine_trailer()
        bad = sum(count for kind, count in self._fault_counts.items() if kind is not PageFaultKind.CORRECTABLE)
        tried = self._page_size in _TRIED_PAGE_SIZES
        return PageReport(
            page_size=self._page_size,
            pages=self._pages,
            empty=self._empty,
            old_ok=self._old_ok,
            ecc_ok=self._ecc_ok,
            correctable=self._fault_counts[PageFaultKind.CORRECTABLE],
            bad=bad,
            faults=tuple(self._faults),
            highest_dbtime=self._highest_dbtime,
            headers_valid=(self._headers_valid[0], self._headers_valid[1]),
            extra_bytes=len(self._rest),
            trailer=trailer,
            trailer_fault=fault,
            trailer_code=code,
            not_verified=self._why_not,
            blank=self._blank_roots(),
            owned=self._owned,
            linked=0 if self._header.shrunk.count else self._linked,  # what is left of freed pages may lead anywhere
            lost=self._lost_pages(),
            unlinked=self._unlinked_pages(),
            caveat="" if tried else f"no file with pages of {self._page_size} bytes was at hand to try the rules on",
        )

    def _blank_roots(self) -> tuple[int, ...]:
        """Return the roots that are blank or not there."""
        if self._why_not:
            return ()
        roots = _ROOTS if self._root_object == SYSTEM_OBJECT else _ROOTS[:1]
        return tuple(number for number in roots if number in self._blank or number > self._pages)

    def _lost_pages(self) -> tuple[int, ...]:
        """Return the first blank pages that a page in use names; where the file lost pages, it may well name one."""
        if self._why_not or self._header.shrunk.count or self._header.trim_count:
            return ()
        both = _IS_BLANK | _NAMED
        return tuple(np.flatnonzero(self._marks == both)[:_MOST_LOST].tolist())

    def _unlinked_pages(self) -> tuple[tuple[int, int], ...]:
        """Return pages that do not fit each other; what a repair or a shrinking left may lead anywhere."""
        header = self._header
        if self._why_not or header.shrunk.count or header.trim_count or header.repair_count:
            return ()
        return self._links.unlinked()

    def _take(self, view: memoryview) -> None:
        """Take whole pages, put header copies and the trailer aside, check the others."""
        count = len(view) // self._page_size
        start = min(max(_HEADER_PAGES - self._index, 0), count)
        for position in range(start):
            page = view[position * self._page_size : (position + 1) * self._page_size]
            self._headers_valid[self._index + position] = header_is_valid(page)
        end = count
        if self._index <= self._trailer_index < self._index + count:
            end = max(self._trailer_index - self._index, start)
            self._trailer_page = bytes(view[end * self._page_size : (end + 1) * self._page_size])
        first_number = self._index + start - _HEADER_PAGES + 1
        self._index += count
        if start < end:
            self._pages += end - start
            self._check(view[start * self._page_size : end * self._page_size], first_number)

    def _take_zeros(self, count: int) -> None:
        """Take pages of zeros: but for header copies and the trailer they are counted, and not looked at."""
        for apart in (*range(_HEADER_PAGES), self._trailer_index):
            if self._index <= apart < self._index + count:
                count -= self._pass_empty(apart - self._index) + 1
                self._take(memoryview(bytes(self._page_size)))
        self._pass_empty(count)

    def _pass_empty(self, count: int) -> int:
        """Count that many empty pages; return how many they are."""
        first = self._index - _HEADER_PAGES + 1
        self._index += count
        self._pages += count
        self._empty += count
        if not self._why_not:
            self._marks[first : first + count] |= _IS_BLANK
            self._blank += (number for number in _ROOTS if first <= number < first + count)
        return count

    def _check(self, view: memoryview, first_number: int) -> None:
        pages = aligned_words(view, self._page_size // 8)
        if self._why_not:
            self._empty += int(np.count_nonzero(np.bitwise_or.reduce(pages, axis=1) == 0))
            return
        numbers = np.arange(first_number, first_number + len(pages), dtype=np.uint64)
        heads = pages[:, :_HEAD_WORDS].copy()
        if self._large:
            ecc_ok = self._large_pages_ok(pages, heads, numbers)
            old_ok = np.zeros(len(pages), np.bool_)
        else:
            old_ok, ecc_ok = self._small_pages_ok(pages, heads, numbers)
        good = old_ok | ecc_ok
        self._old_ok += int(np.count_nonzero(old_ok))
        self._ecc_ok += int(np.count_nonzero(ecc_ok))
        if good.any():
            self._highest_dbtime = max(self._highest_dbtime, int(heads[good, 1].max()))
            links = heads[good & (heads[:, 4] >> np.uint64(32) & np.uint64(EMPTY_PAGE) == 0), 2]
            halves = (links & np.uint64(_LOW_HALF), links >> np.uint64(32))
            for half in halves:
                self._linked = max(self._linked, int(half.max(initial=0)))
                self._mark(half, _NAMED)
            self._links.note(heads, good, first_number)
            self._note_named(pages, heads, good, first_number)
        if first_number <= _ROOTS[-1]:
            self._note_roots(pages, good, first_number)
        if not good.all():
            self._look_closer(pages, np.flatnonzero(~good), first_number)

    def _note_named(self, pages: Words, heads: Words, good: Flags, first_number: int) -> None:
        """Note which pages are named by inner pages and by the catalog."""
        flags, objects = heads[:, 4] >> np.uint64(32), heads[:, 3] & np.uint64(_LOW_HALF)
        kind = flags & np.uint64(ROOT_PAGE | LEAF_PAGE) != LEAF_PAGE  # all but plain leaves
        tells = good & (flags & np.uint64(EMPTY_PAGE | SPACE_PAGE) == 0) & (kind | (objects == CATALOG_OBJECT))
        for row in np.flatnonzero(tells).tolist():
            self._mark(self._links.note_named(pages[row].tobytes(), first_number + row), _NAMED)

    def _mark(self, numbers: npt.NDArray[Any], mark: np.uint8) -> None:
        self._marks[numbers[numbers < len(self._marks)]] |= mark

    def _note_roots(self, pages: Words, good: Flags, first_number: int) -> None:
        """Keep what the first pages prove of the whole."""
        for number in _ROOTS:
            row = number - first_number
            if not 0 <= row < len(pages):
                continue
            page = pages[row].tobytes()
            if not any(page):
                self._blank.append(number)
            elif number == 1:
                self._root_object = PageHeader.unpack(page).object_id
            elif number == 2 and good[row]:
                self._owned = last_owned(page)

    def _small_pages_ok(self, pages: Words, heads: Words, numbers: Words) -> tuple[Flags, Flags]:
        """Return which pages verify as old and which as new. Where no page claims to be new, half the work is saved."""
        new = heads[:, 4] >> np.uint64(32) & np.uint64(NEW_FORMAT) != 0
        if new.any():
            totals, computed = self._sums.sums(pages, heads[:, 0])
            ecc_ok = new & (computed ^ numbers == heads[:, 0])
            if new.all():
                return np.zeros(len(pages), np.bool_), ecc_ok
        else:
            totals = self._sums.fold(pages)
            ecc_ok = new
        # Old XOR: all words of a page, the stored checksum among them, come to the seed; the second word is the page
        # number.
        words = (totals ^ totals >> np.uint64(32)) & np.uint64(_LOW_HALF)
        old_ok = ~new & (words == HEADER_SEED) & (heads[:, 0] >> np.uint64(32) == numbers)
        return old_ok, ecc_ok

    def _large_pages_ok(self, pages: Words, heads: Words, numbers: Words) -> Flags:
        """Return which pages have four right checksums and the right number."""
        blocks = pages.reshape(len(pages) * 4, -1)
        ignored = np.zeros(len(blocks), np.uint64)
        ignored[::4] = heads[:, 0]
        _, computed = self._sums.sums(blocks, ignored)
        stored = heads[:, [0, 5, 6, 7]]
        right = computed.reshape(-1, 4) ^ numbers[:, None] == stored
        ok: Flags = right.all(axis=1) & (heads[:, 8] & np.uint64(_LOW_HALF) == numbers)
        return ok

    def _look_closer(self, pages: Words, suspects: npt.NDArray[np.intp], first_number: int) -> None:
        """Tell empty pages from faults."""
        rows = pages if len(suspects) == len(pages) else pages[suspects]
        is_filled = np.bitwise_or.reduce(rows, axis=1) != 0
        filled, blank = suspects[is_filled], suspects[~is_filled] + first_number
        self._empty += len(blank)
        self._mark(blank, _IS_BLANK)
        for row in filled.tolist():
            if sum(self._fault_counts.values()) >= DIAGNOSIS_LIMIT:
                self._fault_counts[PageFaultKind.BAD] += 1
                continue
            fault = diagnose(pages[row].tobytes(), first_number + row, self._last_page)
            self._fault_counts[fault.kind] += 1
            if len(self._faults) < FAULT_LIMIT:
                self._faults.append(fault)

    def _examine_trailer(self) -> tuple[BackupTrailer | None, str, int | None]:
        if not self._header.has_trailer_page:
            return None, "", None
        try:
            return BackupTrailer.of_last_page(self._trailer_page, self._header), "", None
        except HeaderError as error:
            return None, error.message, error.code


def diagnose(page: bytes, number: int, last_page: int) -> PageFault:
    """Return what is wrong with a page that is neither empty nor verified.

    Args:
        page: The whole page.
        number: The number its place calls for.
        last_page: The highest page number of the file.
    """
    if len(page) >= LARGE_PAGE_SIZE:
        kind, bits, belongs_to = _diagnose_large(page, number)
    elif has_ecc(page):
        kind, bits, belongs_to = _diagnose_new(page, number, last_page)
    else:
        kind, bits, belongs_to = _diagnose_old(page)
    if kind is PageFaultKind.BAD and len(page) < LARGE_PAGE_SIZE and page_is_sealed(_flip(page, FORMAT_BIT), number):
        kind, bits = PageFaultKind.CHECKSUM_BIT, (FORMAT_BIT,)
    return PageFault(kind, number, (number + 1) * len(page), bits, belongs_to)


def _diagnose_old(page: bytes) -> _Diagnosis:
    """The old XOR covers the stored number, so a right XOR with another number is a page from elsewhere."""
    found = int.from_bytes(page[4:8], "little")
    if xor_words(page) == HEADER_SEED and 1 <= found <= _HIGHEST_NUMBER:
        return PageFaultKind.MISPLACED, (), found
    return _BAD


def _diagnose_new(page: bytes, number: int, last_page: int) -> _Diagnosis:
    difference = int.from_bytes(page[:8], "little") ^ ecc_checksum(page, number)
    if (position := flipped_bit(difference, len(page))) is not None:
        return PageFaultKind.CORRECTABLE, (position,), None
    single = difference.bit_count() == 1
    if difference <= _LOW_HALF:
        found = number ^ difference
        # One differing bit is a page from elsewhere, or a flipped bit in the stored checksum: the file's own range
        # decides.
        if 1 <= found <= (last_page if single else _HIGHEST_NUMBER):
            return PageFaultKind.MISPLACED, (), found
    if single:
        return PageFaultKind.CHECKSUM_BIT, (difference.bit_length() - 1,), None
    return _BAD


def _diagnose_large(page: bytes, number: int) -> _Diagnosis:
    differences = [block_difference(page, block, number) for block in range(4)]
    if not any(differences):
        return PageFaultKind.WRONG_NUMBER, (), number_in(page)
    if len(set(differences)) == 1 and differences[0] <= _LOW_HALF:
        return PageFaultKind.MISPLACED, (), number ^ differences[0]
    return _locate_in_large(page, number, differences[0])


def _locate_in_large(page: bytes, number: int, first_difference: int) -> _Diagnosis:
    """Correct the first block before looking at the others: it holds their checksums."""
    size = block_size_of(len(page))
    kind = PageFaultKind.CORRECTABLE
    bits = []
    if first_difference:
        position = flipped_bit(first_difference, size)
        if position is None and first_difference.bit_count() == 1:
            kind, position = PageFaultKind.CHECKSUM_BIT, first_difference.bit_length() - 1
        if position is None:
            return _BAD
        bits.append(position)
        page = _flip(page, position)
    for block in range(1, 4):
        if difference := block_difference(page, block, number):
            position = flipped_bit(difference, size)
            if position is None:
                return _BAD
            bits.append(block * size * 8 + position)
    if number_in(page) != number:
        return _BAD
    return kind, tuple(bits), None


def _flip(page: bytes, position: int) -> bytes:
    changed = bytearray(page)
    changed[position // 8] ^= 1 << (position % 8)
    return bytes(changed)
