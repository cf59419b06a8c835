"""Every fixed layout of the format, declared once: one struct for each table of spec/format.md.

Same fields, same names, same order as in the tables. What follows a fixed part (a name, stored bytes, columns) is
handled by the module that is named after the record. construct is slow per record, so the hot paths use a packer that
is derived from the declaration here (`packing.Packer`); a test holds the two against each other on every fixture.
"""

from __future__ import annotations

from typing import Any, Final

from construct import Bytes, Const, Int8ul, Int16ul, Int32ul, Int64sl, Int64ul, Struct

MAGIC: Final = bytes.fromhex("89544b520d0a1a0a")
END_MAGIC: Final = MAGIC[::-1]
MAJOR: Final = 1

# fmt: off
PREAMBLE: Any = Struct(                  # section 3
    "magic"           / Bytes(8),        # 89 54 4B 52 0D 0A 1A 0A
    "major"           / Int16ul,         # 1
    "zero"            / Const(0, Int16ul),
    "crc"             / Int32ul,         # CRC-32 of bytes 0-11 and 16-31
    "id"              / Bytes(16),       # archive id
)

RECORD_HEAD: Any = Struct(               # section 4.1
    "kind"            / Bytes(4),        # four letters
    "length"          / Int32ul,         # bytes of the body
    "tag"             / Bytes(8),        # bytes 0-7 of the archive id
    "position"        / Int64ul,         # of this head
    "check"           / Bytes(32),       # BLAKE3(body || head bytes 0-23)
    "zero"            / Const(0, Int32ul),
    "crc"             / Int32ul,         # CRC-32 of head bytes 0-59
)

FILE_BODY: Any = Struct(                 # section 7; the name follows
    "entry"           / Int32ul,         # number of the entry
    "encoding"        / Int16ul,         # Windows code page of the name, 0 unknown
    "token"           / Int8ul,          # as delivered
    "list"            / Int8ul,          # where it was listed
    "announced_size"  / Int64ul,         # from OpenFile
    "modified"        / Int64sl,         # nanoseconds since 1970
    "flags"           / Int16ul,         # FLAG_*
    "chunk_log2"      / Int8ul,          # 16 to 24
    "zero_1"          / Const(0, Int8ul),
    "name_length"     / Int16ul,         # bytes of the name
    "zero_2"          / Const(0, Int16ul),
)

DATA_BODY: Any = Struct(                 # section 8; padding and stored bytes follow
    "entry"           / Int32ul,         # number of the entry
    "chunk"           / Int32ul,         # number of the chunk
    "content_size"    / Int32ul,         # bytes of content
    "codec"           / Int8ul,          # 0 stored, 1 zstd, 2 zeros
    "zero"            / Const(0, Int8ul),
    "pad_length"      / Int16ul,         # bytes of padding
)

DONE_BODY: Any = Struct(                 # section 9; data_lengths and data_checks follow
    "entry"           / Int32ul,         # number of the entry
    "chunk_count"     / Int32ul,         # DATA records
    "content_size"    / Int64ul,         # bytes of content
    "digest"          / Bytes(32),       # BLAKE3 of the content
    "file_check"      / Bytes(32),       # check of FILE
)

INDX_BODY: Any = Struct(                 # section 10; the columns follow
    "first"           / Int32ul,         # number of the first entry
    "count"           / Int32ul,         # entries in the page
)

ROOT_BODY: Any = Struct(                 # section 11.1; the rows follow
    "preamble"        / Bytes(32),       # bytes 0-31 of the archive
    "entry_count"     / Int32ul,
    "record_count"    / Int32ul,         # rows
)

ROOT_ROW: Any = Struct(                  # section 11.1
    "kind"            / Bytes(4),
    "length"          / Int32ul,         # bytes of the body
    "position"        / Int64ul,
    "check"           / Bytes(32),
)

TAIL_BODY: Any = Struct(                 # section 11.2
    "root_position"   / Int64ul,
    "root"            / Bytes(32),
    "total_size"      / Int64ul,         # of the whole archive
    "end_magic"       / Bytes(8),
)
# fmt: on

FLAG_MODIFIED: Final = 1
FLAG_ANNOUNCED: Final = 2
FLAG_INCOMPLETE: Final = 4
ALL_FLAGS: Final = FLAG_MODIFIED | FLAG_ANNOUNCED | FLAG_INCOMPLETE
