"""Writes databases as recovery would leave them: to new files in a new folder, cut off from their logs.

What is written can be read, and can never be served: its header belongs to no log stream any more, as that of a
repaired database, so that no engine joins it with logs of the original.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import disk_usage
from typing import Any, Final

from tokar import names
from tokar.as_json import fields_json
from tokar.errors import (
    CollisionError,
    ExistingFileError,
    NoRoomError,
    RestoreError,
    SetError,
    StorageError,
    reason_of,
    storage_errors,
)
from tokar.ese.checksum import with_header_checksum
from tokar.ese.content_facts import PageReport
from tokar.ese.database import DatabaseHeader, DatabaseState
from tokar.ese.log import LogHeader
from tokar.ese.page import seal_page
from tokar.ese.pages import PageChecker
from tokar.ese.values import NO_BACKUP, NO_POSITION, NO_SIGNATURE, NO_TIME
from tokar.replay.chains import with_chains
from tokar.replay.files import SetFiles
from tokar.replay.player import SIMULATED_RECORDS
from tokar.replay.stream import NOT_RECORDS
from tokar.replay.whole import OpenReplay, Replay, Replayed, unconfirmed_text, untouched_text
from tokar.sets.facts import SetFacts
from tokar.sets.linked import databases_linked, no_database
from tokar.storage import windows
from tokar.storage.sink import FileSink
from tokar.words import meant, some

FIRST_LINE: Final = "recovered by tokar, not by Windows: for reading, not for service"
_WRITTEN_SINCE: Final = (7, 3704, 11)
"""The log format from which on splits and merges carry images; older logs are played, and nothing is written."""
_ANOTHER_ENGINE: Final = "recover with the engine that wrote it; a simulated server does so: tokar lab recover FOLDER"
_REVISION_WRITTEN_SINCE: Final = 0xC
"""The revision of databases that goes with it (Windows Vista), for those onto which no log is played."""
_NOT_COMPARED: Final = "no database that Windows recovered was at hand to compare with"
_OLD_ENGINE: Final = "logs of Windows Vista to 2008 R2: no store of that time was at hand to try the rules on"
_NO_DATABASE: Final = "name the folder or the archive that has the database of these logs"
_PIECE: Final = 1 << 20
_TRIED_PAGE_SIZE: Final = 4096
_SIGNATURES: Final = ("log_signature", "flush_map_signature", "header_flush_signature")
_POSITIONS: Final = (
    *("consistent_position", "attach_position", "detach_position", "reattach_position", "resize_position"),
    "revert_position",
)
_TIMES: Final = ("last_log_time", "required_log_time")
_GENERATIONS: Final = (
    *("required_low", "required_high", "committed_high", "recovering_generation", "consistency_low"),
    *("preredo_consistency_low", "preredo_required_low"),
)
_BACKUPS: Final = (
    *("previous_full", "previous_incremental", "current_full", "current_shadow_copy", "previous_copy"),
    "previous_differential",
)
_CUT_OFF: Final[dict[str, Any]] = {
    **dict.fromkeys(_SIGNATURES, NO_SIGNATURE),
    **dict.fromkeys(_POSITIONS, NO_POSITION),
    **dict.fromkeys(_TIMES, NO_TIME),
    **dict.fromkeys(_GENERATIONS, 0),
    **dict.fromkeys(_BACKUPS, NO_BACKUP),
}


@dataclass(frozen=True, slots=True)
class RecoveredFile:
    """A database that was written."""

    path: Path
    size: int
    pages: int  # Pages in it, of which all that are in use were checked after they were written
    report: Replayed
    not_proved: tuple[str, ...]  # What stays open

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return fields_json(self, "path", "size", "pages", "not_proved") | {"replay": self.report.to_json()}


def recover(
    files: SetFiles,
    out: Path,
    *,
    only: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
) -> list[RecoveredFile]:
    """Play the logs of a set on its databases, and write these to a folder. Either all are written or none.

    Args:
        files: The set.
        out: The folder, which is made, or is empty.
        only: Names of the databases that are wanted; all by default.
        progress: Called with the bytes that are written.

    Raises:
        SetError: A database cannot be recovered here.
        RestoreError: The folder must not take it.
        StorageError: A file cannot be read or written.
    """
    _demand_known(files.facts, only)
    _demand_place(out, [*files.server_folders, *_paths_in(files)], files.folders)
    with Replay(with_chains(files.facts, files.open), files.open, files.left_out) as replay:
        chosen = _chosen(replay, only, files.facts)
        for one in chosen:
            _demand_recovered(one)
        targets = _names_of(chosen, out)
        made = _make_folder(out)
        written: list[Path] = []
        try:
            _demand_room(out, sum(map(_size_of, chosen)))
            return [_write(files, one, path, written, progress) for one, path in zip(chosen, targets, strict=True)]
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            if made:
                out.rmdir()
            raise


def _paths_in(files: SetFiles) -> Iterator[str]:
    """Yield the folders that the logs of a set name."""
    for log in files.facts.logs:
        yield from (_folder(one.path) for one in log.attached)
    first = next((log for log in files.facts.logs if log.signature is not None), None)
    if first is not None:
        environment = LogHeader.read(files.open(first)).environment
        yield from (environment.system_path, environment.log_path)


def _folder(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[0]


def _demand_place(out: Path, forbidden: Iterable[str], read: Iterable[Path]) -> None:
    """Refuse a folder that the service of the original may look into, or that has something in it.

    Args:
        out: The folder.
        forbidden: Paths that the set names.
        read: Folders in which it lies.
    """
    with storage_errors("write here", out):
        own = {_key(str(out)), _key(os.path.abspath(out)), _key(os.path.realpath(out))}  # noqa: PTH100 - as it is named
    lies_in = map(os.path.realpath, read)
    for what, path in (*(("was taken from", one) for one in forbidden), *(("lies in", one) for one in lies_in)):
        place = _key(path)
        if place and any(one == place or one.startswith(place + "/") for one in own):
            raise RestoreError(
                f"the set {what} {names.printable(path)}: a database without its logs does harm there",
                path=out,
                hint="recover into an empty folder elsewhere",
            )
    try:
        if out.is_dir() and any(out.iterdir()):
            raise ExistingFileError("the folder is not empty", path=out, hint="name a new folder, or an empty one")
        if not out.is_dir() and os.path.lexists(out):
            raise ExistingFileError("a file has this name", path=out, hint="name a new folder, or an empty one")
    except OSError as error:
        raise StorageError(f"cannot read the folder: {reason_of(error)}", path=out) from error


def _key(path: str) -> str:
    """Return a path of any system in a form to compare."""
    text = path.replace("\\", "/").casefold().removeprefix("//?/").rstrip("/")
    return text if "/" in text or ":" in text else ""


def _make_folder(out: Path) -> bool:
    """Make the folder where it is not there; return whether it was made."""
    if out.is_dir():
        return False
    try:
        out.mkdir(mode=0o700)
        windows.make_private(str(out))
    except OSError as error:
        raise StorageError(f"cannot make the folder: {reason_of(error)}", path=out) from error
    return True


def _chosen(replay: Replay, only: Sequence[str], facts: SetFacts) -> list[OpenReplay]:
    found = replay.run()
    if only:
        keys = {names.collision_key(one) for one in only}
        found = [one for one in found if keys & _keys_of(one)]
        keys.difference_update(*map(_keys_of, found))
        for one, why in replay.left_out:
            if names.collision_key(one.name) in keys:
                hint = "recover it in a folder of its own, with the logs that are for it"
                raise SetError(f"{names.printable(one.name)} is left out: {why}", hint=hint)
    if not found:
        raise SetError(no_database(facts), hint=_NO_DATABASE)
    return found


def _demand_known(facts: SetFacts, only: Sequence[str]) -> None:
    """Check that each name that is asked for is that of a database here, before anything is played."""
    here = [one.name for one in facts.databases if not one.temporary]
    known: dict[str, list[bool]] = {}  # whether those of a name are temporary ones
    for one in facts.databases:
        for name in (one.name, one.leaf):
            known.setdefault(names.collision_key(name), []).append(one.temporary)
    for text in only:
        found = known.get(names.collision_key(text), [])
        if found and all(found):
            message = f"{names.printable(text)} is a temporary database: the engine makes it anew"
            raise SetError(message, hint="leave it out: nothing in it is of use after a start of the engine")
        if not found:
            otherwise = f"the databases here: {some(map(names.printable, here))}" if here else _NO_DATABASE
            message = "; ".join([f"there is no such database here: {names.printable(text)}", *databases_linked(facts)])
            raise SetError(message, hint=meant(text, here, otherwise))


def _keys_of(one: OpenReplay) -> set[str]:
    return {names.collision_key(one.target.facts.name), _leaf_key(one)}


def _leaf_key(one: OpenReplay) -> str:
    return names.collision_key(one.target.facts.leaf)


def _demand_recovered(one: OpenReplay) -> None:
    report = one.report
    name = names.printable(report.name)
    if report.why_not:
        ways = {True: _ANOTHER_ENGINE, False: "tokar check --content says more; recover with the engine that wrote it"}
        hint = ways[report.why_not.startswith((NOT_RECORDS, SIMULATED_RECORDS))]
        raise SetError(f"{name} is not recovered: {report.why_not}", hint=hint)
    old = one.target.header.revision < _REVISION_WRITTEN_SINCE
    if old or any(form < _WRITTEN_SINCE for form in one.formats):
        raise SetError(
            f"{name} is not written: logs of Windows XP and Server 2003 are played, but no file shows all that they do",
            hint="recover it with a Windows of that time",
        )


def _names_of(chosen: Sequence[OpenReplay], out: Path) -> list[Path]:
    seen: set[str] = set()
    for one in chosen:
        leaf = one.target.facts.leaf
        if fault := names.leaf_fault(leaf):
            message = f"{names.printable(leaf)} cannot be a file name: {fault}"
            raise RestoreError(message, hint="recover it in a folder of its own, where it has another name")
        if _leaf_key(one) in seen:
            alike = {two.target.facts.name for two in chosen if _leaf_key(two) == _leaf_key(one)}
            way = f"name one with --only: {some(sorted(alike))}" if len(alike) > 1 else "recover one of the sets alone"
            raise CollisionError(f"two databases are called {names.printable(leaf)}", hint=way)
        seen.add(_leaf_key(one))
    return [out / one.target.facts.leaf for one in chosen]


def _write(
    files: SetFiles, one: OpenReplay, path: Path, written: list[Path], progress: Callable[[int], None] | None
) -> RecoveredFile:
    """Write one database, checked while it is written."""
    header = recovered_header(one)
    size = _size_of(one)
    pages = size // header.page_size - 2
    checker = PageChecker(header, size)
    sink = FileSink(path)
    try:
        for piece in _pieces(files, one, header, pages):
            checker.update(piece)
            sink.write([piece])
            if progress is not None:
                progress(len(piece))
        lost = _demand_good(checker, path).lost
    except BaseException:
        sink.discard()
        raise
    sink.commit()
    written.append(path)
    return RecoveredFile(path, size, pages, one.report, (*_lost(lost), *_not_proved(one)))


def _demand_good(checker: PageChecker, path: Path) -> PageReport:
    report = checker.finish()
    if not report.is_good or report.correctable:
        message = f"{names.printable(path.name)} is not written: it would have damaged pages"
        raise SetError(message, hint="tokar check --content says which pages are damaged; take another copy of it")
    return report


def _lost(pages: Sequence[int]) -> Iterator[str]:
    """Name pages that no log makes anew, and that may have been lost before the set was made."""
    if pages:
        yield f"pages without content that pages in use name: {some(map(str, pages))}"


def _size_of(one: OpenReplay) -> int:
    """Return the bytes of a database, to which the logs may let it grow."""
    header, played = one.target.header, one.played
    grown = 0 if played is None else max(played.last_page, played.redo.store.last_page)
    return (max(header.page_count(one.target.facts.size), grown, 1) + 2) * header.page_size


def _demand_room(out: Path, size: int) -> None:
    """Refuse what does not fit, before a byte of it is written: one record says how far a database grows."""
    with storage_errors("see how much room there is", out):
        free = disk_usage(out).free
    if size > free:
        raise NoRoomError(f"{size:,} bytes are needed and {free:,} are free", path=out)


def _pieces(files: SetFiles, one: OpenReplay, header: DatabaseHeader, pages: int) -> Iterator[bytes]:
    """Yield the file: both header copies, then every page, changed or as it was."""
    page_size = header.page_size
    source = files.open(one.target.facts)
    head = source.read(0, page_size)
    packed = header.pack()
    yield with_header_checksum(packed + head[len(packed) :]) * 2
    store = one.played.redo.store if one.played is not None else None
    changed = set(store.changed) if store is not None else set()
    own = one.target.header.page_count(one.target.facts.size)
    step = _PIECE // page_size
    for first in range(1, pages + 1, step):
        count = min(step, pages + 1 - first)
        there = max(min(count, own + 1 - first), 0)
        piece = bytearray(source.read((first + 1) * page_size, there * page_size).ljust(count * page_size, b"\0"))
        for number in range(first, first + count):
            page = store.get(number) if store is not None and number in changed else None
            if page is not None:
                at = (number - first) * page_size
                piece[at : at + page_size] = seal_page(page.build(), number)
        yield bytes(piece)


def recovered_header(one: OpenReplay) -> DatabaseHeader:
    """Return the header of a database that was shut down, and that belongs to no logs."""
    header = replace(one.target.header, raw_state=DatabaseState.CLEAN_SHUTDOWN.value, **_CUT_OFF)
    if one.played is None:
        return header
    redo = one.played.redo
    header = replace(
        header,
        dbtime=max(header.dbtime, redo.highest_dbtime),
        last_object_id=max(header.last_object_id, redo.highest_object),
    )
    if one.played.version is not None:
        version, revision, minor = one.played.version
        header = replace(header, version=version, revision=revision, minor_revision=minor)
    return header


def _not_proved(one: OpenReplay) -> Iterator[str]:
    """Yield what stays open."""
    report = one.report
    if report.changes or report.undone:
        yield _NOT_COMPARED
    if report.beyond:
        yield f"what is in later logs, which do not go on from what was played: {some(report.beyond)}"
    if report.torn:
        yield f"what was to follow in the last log, which ends in {report.torn}"
    if report.untouched:
        yield untouched_text(report.untouched)
    if report.unconfirmed:
        yield unconfirmed_text(report.unconfirmed)
    if report.changes and one.target.header.page_size != _TRIED_PAGE_SIZE:
        yield f"pages of {one.target.header.page_size} bytes: no logs of such a database were at hand"
    if any(form < (8, 0, 0) for form in one.formats):
        yield _OLD_ENGINE
