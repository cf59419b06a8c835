"""The limits of spec/format.md section 12, checked before any memory is set aside."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

MAX_ENTRIES: Final = 1 << 24  # LIM-1
MAX_CHUNKS: Final = 1 << 20  # LIM-2, of one entry
MAX_OUTSIDE_RECORDS: Final = 1 << 16  # LIM-3, before ROOT
MAX_ARCHIVE_SIZE: Final = (1 << 63) - 1  # LIM-4

MIN_CHUNK_LOG2: Final = 16
MAX_CHUNK_LOG2: Final = 24
MAX_NAME_SIZE: Final = 65_535
MAX_PAD_SIZE: Final = 65_535
MAX_DATA_SIZE: Final = 16 + MAX_PAD_SIZE + (1 << MAX_CHUNK_LOG2)  # body of DATA
MAX_DONE_SIZE: Final = 80 + 36 * MAX_CHUNKS  # body of DONE
MAX_HEAD_SIZE: Final = 512 * KIB  # HEAD, which SUMM repeats
MAX_JSON_SIZE: Final = MIB  # PROC and SUMM
MAX_JSON_DEPTH: Final = 8  # JSON-7
MAX_INTEGER: Final = (1 << 53) - 1  # JSON-4
MAX_EXTRA_SIZE: Final = MIB  # lower-case before SUMM
MAX_TRAILING_SIZE: Final = 64 * KIB  # lower-case after ROOT
MAX_TRAILING_RECORDS: Final = 16  # LOW-1

MAX_PAGE_ENTRIES: Final = 1 << 16
MAX_PAGE_SIZE: Final = 1 << 24
PAGE_ENTRY_SIZE: Final = 96  # bytes of the columns for one entry, its name apart
PAGE_FULL_SIZE: Final = MAX_PAGE_SIZE - PAGE_ENTRY_SIZE - MAX_NAME_SIZE  # section 10.1
