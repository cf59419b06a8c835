"""The receipt beside an archive: what happened after the seal. No verdict on an archive ever needs it.

An archive is sealed before logs are truncated, so the truncation, and how End went, cannot be told inside it.
`NAME.receipt.json` tells it: "truncating" is written before the call and the result after, so that a receipt found
later says what may have happened, whatever died in between. It also names id, root and highest log of the set, so that
a later backup can go on from the receipt alone.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NotRequired, Self, TypedDict

from tokar.as_json import fields_json
from tokar.errors import ExistingFileError, InputError, StorageError
from tokar.storage.bytesource import read_start
from tokar.storage.sink import FileSink, demand_name
from tokar.storage.stored_json import parse_json, typed

FORM: Final = "tokar receipt 1"
RECEIPT_SUFFIX: Final = ".receipt.json"
_MAX_SIZE: Final = 1 << 20
CHANGED_RECEIPT: Final = "put back what the backup wrote, or move it away: its archive is judged without it"


class Truncation(StrEnum):
    """What became of TruncateLogs."""

    NOT_INTENDED = "not-intended"  # differential and copy
    NOT_LICENSED = "not-licensed"  # the seal check refused; nothing was called
    TRUNCATING = "truncating"  # about to be called: if this is the last word, whether it was is not known
    DONE = "done"
    FAILED = "failed"  # the server refused
    UNKNOWN = "unknown"  # it was called and not answered

    @property
    def text(self) -> str:
        """What became of the logs, in words."""
        return {
            Truncation.DONE: "the logs are truncated",
            Truncation.TRUNCATING: "whether the logs were truncated is not known: it ended there",
            Truncation.UNKNOWN: "whether the logs were truncated is not known: it was not answered",
        }.get(self, "the logs were not truncated")


class ArchiveTold(TypedDict, total=False):
    """What a receipt says of the archive."""

    name: str
    id: str
    root: str
    size: int
    reread: str
    proven: str


class LogTold(TypedDict):
    """What a receipt says of the highest log of the set, in the form of `prior_log_json`."""

    generation: int
    stream: NotRequired[str]
    created: NotRequired[str]


class Generations(TypedDict):
    """The lowest and the highest generation of a set."""

    low: int
    high: int


class BackupTold(TypedDict, total=False):
    """What a receipt says of the backup."""

    asked: str
    took: str
    server: str | None
    profile: str
    seen_against: str
    generations: Generations | tuple[int, int] | None
    log: LogTold | None


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt."""

    outcome: str  # `sealed` where the archive exists, `failed` where a backup was begun and no archive came of it
    truncation: Truncation  # What became of the logs
    # Name, id and root of the archive, and its size; empty without an archive.
    archive: ArchiveTold = field(default_factory=ArchiveTold)
    # What was asked for and what was done: `asked`, `took`, `server`, `profile`, `seen_against`, `generations`, `log`.
    backup: BackupTold = field(default_factory=BackupTold)
    end: Mapping[str, Any] = field(default_factory=dict)  # How End went; empty until then
    notes: tuple[str, ...] = ()  # What a person should know
    calls: tuple[Mapping[str, Any], ...] = ()  # The calls from the seal on, in the form of the transcript

    def build(self) -> bytes:
        """Return the bytes of the receipt: JSON for people, sorted and indented."""
        value = {"form": FORM, **fields_json(self)}
        return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes, path: Path | str | None = None) -> Self:
        """Read a receipt.

        Raises:
            InputError: It is none.
        """
        try:
            value = parse_json(data)
            if isinstance(value, dict) and value.get("form") == FORM:
                if missing := {one.name for one in fields(cls)} - value.keys():
                    raise InputError(f"{min(missing)} is missing")  # noqa: TRY301 - told as all others
                return typed(cls, value)
        except InputError as error:
            raise InputError(f"this is no receipt: {error.message}", path=path, hint=CHANGED_RECEIPT) from error
        raise InputError(f"this is no receipt of form {FORM!r}", path=path, hint=CHANGED_RECEIPT)


def receipt_path(archive: Path) -> Path:
    """Return where the receipt of an archive lies: `NAME.receipt.json` beside it, with all of the archive's name."""
    return archive.with_name(archive.name + RECEIPT_SUFFIX)


def read_receipt(path: Path) -> Receipt:
    """Read the receipt at a path.

    Raises:
        StorageError: It cannot be read.
        InputError: It is no receipt.
    """
    try:
        data = read_start(path, _MAX_SIZE)
    except StorageError as error:
        raise StorageError(f"cannot read the receipt: {error.message}", path=path) from error
    return Receipt.parse(data, path)


def demand_archive_name(path: Path) -> None:
    """Check that a name is not that of a receipt: an archive that has it is taken for one.

    Raises:
        InputError: It is.
    """
    if path.name.endswith(RECEIPT_SUFFIX):
        raise InputError("a receipt has such a name, no archive", path=path, hint="let the archive end with .tokar")


def demand_free(archive: Path) -> None:
    """Check that no earlier backup has this name. The receipt of one that failed is in nobody's way.

    Raises:
        ExistingFileError: One has: its archive is there, or its receipt.
        InputError: It is no name for an archive.
    """
    demand_name(archive)
    demand_archive_name(archive)
    path, has_archive = receipt_path(archive), os.path.lexists(archive)
    if not has_archive and not os.path.lexists(path):
        return
    try:
        found = read_receipt(path)
    except (InputError, StorageError):
        found = None
    if not has_archive and found is not None and found.outcome == "failed":
        return
    raise ExistingFileError(
        _already(found, has_archive=has_archive),
        path=archive if has_archive else path,
        hint="choose another name for another backup" if has_archive else "choose another name, or move the receipt",
    )


def _already(found: Receipt | None, *, has_archive: bool) -> str:
    """Return what is said of a name that an earlier backup has."""
    if not has_archive:
        return "a receipt is there already, of an archive that is gone"
    if found is None or found.outcome != "sealed":
        return "an archive is there already, and no receipt that says what became of the logs"
    return f"a backup is done here already: the archive is sealed, and {found.truncation.text}"


def write_receipt(archive: Path, receipt: Receipt) -> Path:
    """Write the receipt of a backup, durably. If it dies half-way, the receipt that was there before stands.

    A receipt of a backup that sealed its archive replaces what the same backup, or one that failed, wrote there. One of
    a failure replaces nothing: it gets the first free name of `NAME.receipt.json`, `NAME.2.receipt.json` and so on.

    Returns:
        Where it is.

    Raises:
        StorageError: It cannot be written.
    """
    for number in itertools.count(1):
        path = receipt_path(archive if number == 1 else archive.with_name(f"{archive.name}.{number}"))
        try:
            sink = FileSink(path, replace=_may_replace(path, receipt))
            try:
                sink.write([receipt.build()])
                sink.commit()
            finally:
                sink.discard()
            break
        except ExistingFileError:
            continue
        except StorageError as error:
            raise StorageError(f"cannot write the receipt: {error.message}", path=path) from error
    return path


def _may_replace(path: Path, receipt: Receipt) -> bool:
    """Return whether what is at a path tells of the same archive as a receipt, or of a failure before it."""
    try:
        there = read_receipt(path)
    except (InputError, StorageError):
        return False
    return receipt.outcome == "sealed" and (
        there.outcome == "failed" or there.archive.get("id") == receipt.archive["id"]
    )
