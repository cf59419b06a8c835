"""What the log cannot say about a copy made while work went on: the trailer page, and before it the patch file.

The patch file of the early era is `NAME.PAT`: two copies of a database header, whose "current full backup" holds the
whole range of logs, then whole pages. Size and header are as Microsoft Knowledge Base Q200941 describes them (8 KiB
when empty, `eseutil /mh` shows the range); its real layout is not public, and this is the simulated engine's own. A
page in it replaces the page of the copy when it is newer.

The trailer page of later eras is `tokar.ese.trailer`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from tokar.ese.database import DatabaseHeader
from tokar.ese.errors import HeaderError
from tokar.ese.trailer import BackupTrailer
from tokar.lab.engine import EngineError
from tokar.lab.leaf_pages import Page
from tokar.storage.bytesource import FileSource

if TYPE_CHECKING:
    from pathlib import Path

    from tokar.ese.values import BackupInfo
    from tokar.lab.database_file import DatabaseFile

_HEADER_PAGES: Final = 2


def patch_name(database: str) -> str:
    """Return the name of the patch file of a database."""
    return database.rpartition(".")[0] + (".PAT" if database.isupper() else ".pat")


def build_patch(header: DatabaseHeader, backup: BackupInfo, pages: dict[int, bytes]) -> bytes:
    """Return the bytes of a patch file.

    Args:
        header: Of the copy.
        backup: The backup it belongs to, with its whole range of logs.
        pages: Sealed pages by number.
    """
    return replace(header, current_full=backup).build() * _HEADER_PAGES + b"".join(pages[key] for key in sorted(pages))


def apply_patch(path: Path, file: DatabaseFile) -> int:
    """Put the pages of a patch file into a copy, and return the highest log generation that it asks for.

    Raises:
        EngineError: It is missing (-538), damaged (-535), or of another backup (-552).
    """
    if not path.is_file():
        raise EngineError(-538, "the patch file is missing", path=path)
    try:
        with FileSource(path) as source:
            header = DatabaseHeader.read(source).header
    except HeaderError as error:
        raise EngineError(-535, "the patch file is not readable", path=path) from error
    ours = file.header
    if (header.signature, header.log_signature, header.current_full.mark) != (
        ours.signature,
        ours.log_signature,
        ours.current_full.mark,
    ):
        raise EngineError(-552, "the patch file is of another backup", path=path)
    for number, data in _patch_pages(path, file.era.page_size):
        if Page.from_bytes(data, number).dbtime > file.read_page(number).dbtime:
            file.write_raw(number, data)
    return header.current_full.generation_high


def _patch_pages(path: Path, page_size: int) -> list[tuple[int, bytes]]:
    data = path.read_bytes()[_HEADER_PAGES * page_size :]
    if len(data) % page_size:
        raise EngineError(-535, "the patch file is cut short", path=path)
    pages = [data[start : start + page_size] for start in range(0, len(data), page_size)]
    # Pages of that era carry their number behind the checksum.
    return [(int.from_bytes(page[4:8], "little"), page) for page in pages]


def build_trailer(header: DatabaseHeader, backup: BackupInfo, page_size: int) -> bytes:
    """Return the trailer page of a copy whose header is `header` and that ended as `backup` says."""
    trailer = BackupTrailer(backup=backup, signature=header.signature, log_signature=header.log_signature)
    return trailer.build(page_size)


def take_over_trailer(file: DatabaseFile) -> int:
    """Move the trailer of a copy into its header, wipe it, and return the highest log generation that it asks for.

    Raises:
        EngineError: It is missing (-534), damaged (-535), or of another backup (-552).
    """
    if file.header.current_full.generation_high:
        return file.header.current_full.generation_high
    try:
        with FileSource(file.path) as source:
            trailer = BackupTrailer.read(source, file.header)
            place = source.size - file.era.page_size
    except HeaderError as error:
        raise EngineError(error.code or -535, "the copy has no good trailer", path=file.path) from error
    high = trailer.backup.generation_high
    file.change_header(current_full=trailer.backup, required_high=max(file.header.required_high, high))
    with file.path.open("r+b") as target:
        target.seek(place)
        target.write(bytes(file.era.page_size))
    return high
