"""The records of a log that change pages, byte for byte; `tokar.ese.logrecords` has the others, and all types.

Source: Microsoft, Extensible Storage Engine, logapi.hxx, log.hxx and daedef.hxx.
"""

# Records: no `from __future__ import annotations` (see tokar.ese.record).

from dataclasses import dataclass
from typing import Annotated, Final

from tokar.ese.record import I16, I32, I64, U8, U16, U32, U64, Record, Sized

NIL_DBTIME: Final = 0xFFFFFFFFFFFFFFFF
LOWEST_SPECIAL_DBTIME: Final = 0xFFFFFFFFFFFFFFFB
"""From here on a dbtime means something else: reverted (FB, FC), shrunk away (FD), invalid, nil. None is a time."""
VERSIONED: Final = 1
"""The flag of an operation that can be rolled back."""
UNIQUE: Final = 4
"""The flag of an operation on a tree with unique keys."""
WIDE_DIFF: Final = 0x8000
"""The bit in the length of a diff that says how its pieces are written."""

_DATA = Annotated[bytes, Sized("data_size")]
_KEY = Annotated[bytes, Sized("key_size")]


# fmt: off
@dataclass(slots=True)
class EseRecord(Record):
    """What every record begins with."""

    type: U8


@dataclass(slots=True)
class SessionRecord(EseRecord):
    """A record of a session; numbers of sessions are used again."""

    session: U16


@dataclass(slots=True)
class PageRecord(SessionRecord):
    """The head of what changes a page, 32 bytes."""

    dbid:        U8   # 3
    page:        U32  # 4
    dbtime:      U64  # 8   of the page after the change
    before:      U64  # 16  and before it; nil where the page is made
    transaction: U32  # 24  the number of its begin
    level:       U8   # 28  of the transaction
    line:        U16  # 29  counts from 0, without the external header
    flags:       U8   # 31


@dataclass(slots=True)
class NodeRecord(PageRecord):
    """The head of what changes a node of a tree, 44 bytes."""

    rceid:     U32  # 32  number of the version; to be compared for equality only
    root:      U32  # 36  root page of the tree
    object_id: U32  # 40


@dataclass(slots=True)
class InsertRecord(NodeRecord):
    """A node comes to be. The lengths stand in another order than the bytes."""

    suffix_size: U16
    prefix_size: U16
    data_size:   U16
    prefix: Annotated[bytes, Sized("prefix_size")]
    suffix: Annotated[bytes, Sized("suffix_size")]
    data:   _DATA


@dataclass(slots=True)
class FlagInsertRecord(NodeRecord):
    """A node that was flagged as deleted counts again."""

    key_size:  U16
    data_size: U16
    key:  _KEY
    data: _DATA


@dataclass(slots=True)
class FlagInsertReplaceRecord(NodeRecord):
    """The same with other data: an insert and a replace, each with a version of its own."""

    key_size:      U16
    data_size:     U16
    replace_rceid: U32
    key:  _KEY
    data: _DATA


@dataclass(slots=True)
class ReplaceRecord(NodeRecord):
    """A node gets other data, or a diff to what it had."""

    stored_size: U16  # 44  the highest bit says how a diff is written
    old_size:    U16  # 46
    new_size:    U16  # 48
    data: Annotated[bytes, Sized("stored_size", 0x7FFF)]


@dataclass(slots=True)
class UndoInfoRecord(NodeRecord):
    """What a node held before an open operation, written before its page may reach the disk. It changes no page."""

    key_size:      U16
    bookmark_size: U16
    operation:     U16
    largest_size:  I16
    growth:        I16
    data_size:     U16
    key:      _KEY
    bookmark: Annotated[bytes, Sized("bookmark_size")]
    data:     _DATA


@dataclass(slots=True)
class DeltaRecord(NodeRecord):
    """A number in a node grows."""

    key_size:      U16
    bookmark_size: U16
    delta:         I32
    offset:        U16
    key:      _KEY
    bookmark: Annotated[bytes, Sized("bookmark_size")]


@dataclass(slots=True)
class Delta64Record(NodeRecord):
    """The same with a number of eight bytes."""

    key_size:      U16
    bookmark_size: U16
    delta:         I64
    offset:        U16
    key:      _KEY
    bookmark: Annotated[bytes, Sized("bookmark_size")]


@dataclass(slots=True)
class ExternalHeaderRecord(NodeRecord):
    """The space header of a root page, or tag 0 of another, is replaced."""

    data_size: U16
    data: _DATA


@dataclass(slots=True)
class UndoRecord(NodeRecord):
    """An operation is taken back by its own session."""

    key_size:      U16
    bookmark_size: U16
    operation:     U16
    undone_level:  U8
    key:      _KEY
    bookmark: Annotated[bytes, Sized("bookmark_size")]


@dataclass(slots=True)
class EmptyTreeRecord(NodeRecord):
    """All nodes of a tree go. The list has 16 bytes for each page: dbtime before, page, page flags."""

    list_size: U16
    pages: Annotated[bytes, Sized("list_size")]


@dataclass(slots=True)
class ScrubRecord(NodeRecord):
    """What was deleted is overwritten."""

    scrub_flags: U32
    operations:  U32
    data_size:   U16
    data: _DATA


@dataclass(slots=True)
class NewPageRecord(SessionRecord):
    """A page comes to be, without any content."""

    dbid:      U8
    page:      U32
    object_id: U32
    dbtime:    U64


@dataclass(slots=True)
class SingleExtentRecord(PageRecord):
    """A tree with one extent comes to be."""

    object_id:   U32
    parent_root: U32
    pages:       U32
    page_flags:  U32


@dataclass(slots=True)
class MultipleExtentRecord(PageRecord):
    """A tree with space trees of its own comes to be."""

    object_id:   U32
    owned_root:  U32  # 36
    free_root:   U32  # 40
    parent_root: U32
    pages:       U32
    page_flags:  U32


@dataclass(slots=True)
class ConvertRecord(PageRecord):
    """A tree with one extent gets space trees. The older type ends here."""

    object_id:    U32
    owned_root:   U32
    free_root:    U32
    parent_root:  U32
    second_first: U32
    pages:        U32
    second_pages: U32


@dataclass(slots=True)
class Convert2Record(ConvertRecord):
    """The same, with what is free of the first extent."""

    free_bits:  U32
    page_flags: U32


@dataclass(slots=True)
class SplitHead(PageRecord):
    """The head of one level of a split, 102 bytes."""

    new_page:        U32
    right:           U32
    right_before:    U64
    parent:          U32
    parent_before:   U64
    root:            U32
    object_id:       U32
    kind:            U8   # 68  0 vertical, 1 right, 2 append
    operation:       U8   # 69  0 none, 1 insert, 2 replace, 3 flag-insert-and-replace
    operation_line:  U16
    split_line:      U16
    lines:           U16  # 74  with that of the operation
    new_flags:       U32
    split_flags:     U32
    uncommitted:     I16  # 84  of the split page
    new_uncommitted: I16
    prefix_line:     I32  # 88  the line that gives the split page its prefix; negative: none
    new_prefix_line: I32
    old_prefix_size: U16
    new_prefix_size: U16
    key_size:        U16


@dataclass(slots=True)
class SplitRecord(SplitHead):
    """One level of a split, without an image: the page that takes the nodes must be on disk first."""

    key:        _KEY  # separator
    old_prefix: Annotated[bytes, Sized("old_prefix_size")]
    new_prefix: Annotated[bytes, Sized("new_prefix_size")]


@dataclass(slots=True)
class Split2Record(SplitHead):
    """One level of a split, with an image of the split page where its content is needed."""

    image_flags: U32  # 102
    image_size:  U32  # 106
    key:         _KEY
    old_prefix:  Annotated[bytes, Sized("old_prefix_size")]
    new_prefix:  Annotated[bytes, Sized("new_prefix_size")]
    image:       Annotated[bytes, Sized("image_size")]


@dataclass(slots=True)
class MergeHead(PageRecord):
    """The head of one level of a merge, 88 bytes."""

    right:         U32
    right_before:  U64
    left:          U32
    left_before:   U64
    parent:        U32
    parent_before: U64
    root:          U32
    object_id:     U32
    moved_size:    U16
    largest_size:  U16
    uncommitted:   U16  # of the page that takes the nodes
    merge_line:    U16
    merge_flags:   U8   # 84  1 parent key changes, 2 parent node goes, 4 page becomes empty
    kind:          U8   # 85  1 empty page, 2 full right, 3 partial right, 4 empty tree, 5 full left, 6 partial left
    key_size:      U16


@dataclass(slots=True)
class MergeRecord(MergeHead):
    """One level of a merge, without an image."""

    key: _KEY  # separator


@dataclass(slots=True)
class Merge2Record(MergeHead):
    """One level of a merge, with an image of the page that goes where its content is needed."""

    image_flags: U32  # 88
    image_size:  U32  # 92
    key:   _KEY
    image: Annotated[bytes, Sized("image_size")]


@dataclass(slots=True)
class PageMoveRecord(PageRecord):
    """A page moves to another place; `page` is where it was."""

    target:        U32
    left:          U32
    right:         U32
    parent:        U32
    left_before:   U64
    right_before:  U64
    parent_before: U64
    root:          U32
    object_id:     U32
    parent_line:   I32
    move_flags:    U32
    head_size:     U32
    tail_size:     U32
    head: Annotated[bytes, Sized("head_size")]
    tail: Annotated[bytes, Sized("tail_size")]


@dataclass(slots=True)
class RootMoveRecord(EseRecord):
    """The root of a tree moves. Its fields stand in an order of their own."""

    dbtime:    U64
    dbid:      U8
    object_id: U32
    session:   U16
# fmt: on
