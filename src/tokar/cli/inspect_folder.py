"""What `tokar inspect` shows of a folder: the set in it as it lies, in the words for the archive that it would be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tokar import names
from tokar.as_json import fields_json
from tokar.check.describe import DatabaseInSet, databases_of
from tokar.cli import ese_files, output
from tokar.cli.inspect_text import show_databases, show_left_out
from tokar.collect.found import Candidate
from tokar.collect.on_disk import SetOnDisk, set_on_disk
from tokar.errors import ArchiveError
from tokar.ese.inspect import inspect_file
from tokar.storage.bytesource import FileSource
from tokar.tokens import role, token_name
from tokar.words import log_range

if TYPE_CHECKING:
    from tokar.cli.inspect import Wanted

_MAX_LISTED = 10


def show_folder(path: str, wanted: Wanted, *, entries: bool, as_json: bool) -> int:
    """Show the set in a folder; return the exit code.

    Raises:
        InputError: There is no set in it.
        StorageError: It cannot be read.
    """
    if any(wanted):
        return _files(path, wanted, as_json=as_json)
    found = set_on_disk([path], examine=False)
    databases = databases_of(found.backup_set.facts)
    if as_json:
        output.as_json(_json(path, found, databases))
    else:
        _summary(path, found, databases)
        if entries:
            output.line()
            _entries(found)
    return 0


def _files(path: str, wanted: Wanted, *, as_json: bool) -> int:
    """Show headers or damage of every file of the set."""
    codes = []
    with output.results(several=as_json):
        for number, one in enumerate(set_on_disk([path], examine=False).collection.gathered.candidates):
            if number and not as_json:
                output.line()
            codes.append(_file(one, wanted, as_json=as_json))
    return next(filter(None, codes), 0)


def _file(one: Candidate, wanted: Wanted, *, as_json: bool) -> int:
    with FileSource(one.path) as source:
        inspection = inspect_file(source)
    if not as_json and not ese_files.is_ese(one.path, inspection):
        output.line(f"{names.printable(one.path)}: not an ESE file: {inspection.identity.note}")
        return ArchiveError.exit_code
    try:
        return ese_files.DAMAGED * ese_files.show_file(one.path, wanted, as_json=as_json)
    except ArchiveError as error:
        output.report(error, as_json=as_json)
        return error.exit_code


def _summary(path: str, found: SetOnDisk, databases: Sequence[DatabaseInSet]) -> None:
    collection, gathered = found.collection, found.collection.gathered
    tokens = Counter(one.token for one in gathered.candidates)
    listed = ", ".join(f"{count:,} {token_name(one, collection.profile)}" for one, count in sorted(tokens.items()))
    low, high = gathered.generations or (0, 0)
    output.line(f"{names.printable(path)}: files as they lie, in no archive; tokar check judges them")
    rows = [
        ("kind", collection.kind),
        ("profile", collection.profile),
        ("outcome", "partial: a database cannot be read, or is not there" if collection.is_partial else ""),
        ("files", f"{gathered.count:,} ({listed})"),
        ("size", output.size_text(gathered.size)),
        ("logs", log_range(low, high, "generation") if high else ""),
    ]
    output.pairs(rows, indent="  ")
    show_databases(databases)
    left_out = [(names.printable(one.name), one.reason) for one in gathered.left_out]
    show_left_out(left_out, len(left_out))
    output.lines("warning: ", map(names.printable, collection.warnings[:_MAX_LISTED]))
    output.lines("note: ", map(names.printable, collection.notes[:_MAX_LISTED]))


def _entries(found: SetOnDisk) -> None:
    profile = found.collection.profile
    rows = (
        (
            f"0x{one.token:02X} {token_name(one.token, profile)}",
            role(one.token).value,
            f"{one.state.size:,}",
            names.printable(one.name),
        )
        for one in found.collection.gathered.candidates
    )
    output.table(("token", "role", "size", "name"), rows, right=(2,))


def _json(path: str, found: SetOnDisk, databases: Sequence[DatabaseInSet]) -> dict[str, Any]:
    collection, gathered = found.collection, found.collection.gathered
    generations = gathered.generations
    return {
        "folder": {
            "path": path,
            "state": "files",
            **fields_json(collection, "kind", "profile"),
            "outcome": "partial" if collection.is_partial else "complete",
            "entries": gathered.count,
            "content_size": gathered.size,
            "generations": {"low": generations[0], "high": generations[1]} if generations else None,
            "left_out": ({"name": names.printable(one.name), "reason": one.reason} for one in gathered.left_out),
            "notes": [names.printable(one) for one in (*collection.warnings, *collection.notes)],
        },
        "databases": (one.to_json() for one in databases),
        "entries": (
            {
                "token": one.token,
                "token_name": token_name(one.token, collection.profile),
                "role": role(one.token).value,
                "name": names.printable(one.name),
                "size": one.state.size,
            }
            for one in gathered.candidates
        ),
    }
