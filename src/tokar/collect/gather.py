"""Files on disk that make up a set: found, told apart by content, given tokens. Nothing is written or changed.

What a file is, its content says; its name is asked only where content cannot tell (a patch file, a log whose header is
gone) and to be compared with the header. From a folder only what belongs to a set is taken, and everything else is
listed as left out.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from typing import Final

from tokar import tokens
from tokar.collect.found import (
    TIME_BOUND,
    Candidate,
    Candidates,
    FileState,
    Gathered,
    Names,
    Notes,
    NotTaken,
    Rest,
    status_of,
    walk,
)
from tokar.collect.of_stream import Streams
from tokar.errors import InputError, SourceError, storage_errors
from tokar.ese import identify as ese
from tokar.ese.filenames import DATABASE_SUFFIXES, FileName, NameRole, parse_file_name
from tokar.ese.identify import FileKind, Identity
from tokar.names import LINK, collision_key, is_key, leaf_of, why_apart
from tokar.sets.faults import Rules
from tokar.sets.left_out import MADE_ANEW, TEMPORARY
from tokar.storage.bytesource import FileSource

_SEGMENTS: Final = "not recognised: its header is gone, and segments of a log follow"
_KEY_LEFT_OUT: Final = "a private key: taken only when it is named"
_NAMES_COUNT: Final = {".pat", ".log", ".jtx", ".stm", ".raw", *DATABASE_SUFFIXES}
"""Endings of names that say something where there is no content."""
_EXCHANGE_DATABASES: Final = {
    "priv.edb": "private-database",
    "pub.edb": "public-database",
    "dir.edb": "directory-database",
}
_DATABASE_KINDS: Final = {"database", "streaming-file"}
_TAKEN: Final = {FileKind.DATABASE, FileKind.STREAMING_FILE, FileKind.LOG}
_NO_HEADER: Final = {FileKind.RESERVE, FileKind.UNKNOWN}
_NO_ROLE: Final = {NameRole.UNKNOWN, NameRole.STREAMING_FILE}
_DATABASE_SUFFIXES: Final = (*DATABASE_SUFFIXES, ".stm")  # such a file is one, whatever is left of it
_MAY_BE_DATABASES: Final = (".sdb", ".dat", ".db")  # one where pages of a database are in it; as without suffix
_BY_NAME: Final = {NameRole.NUMBERED_LOG, NameRole.CURRENT_LOG}
_NEXT_LEFT_OUT: Final = "the next log being prepared, which nobody needs beside a current log"
_NEVER_BY_NAME: Final = {
    NameRole.NEXT_LOG: _NEXT_LEFT_OUT,
    NameRole.TEMPORARY_DATABASE: TEMPORARY,
    NameRole.REPAIR_REPORT: "the report of an integrity check or a repair (esentutl /g, /p)",
}
_NO_NEXT_LOGS: Final = {FileKind.DATABASE, FileKind.STREAMING_FILE}
_NO_LOGS: Final = {FileKind.CHECKPOINT, FileKind.FLUSH_MAP}
_LEFT_OUT_BY_NAME: Final = {NameRole.CHECKPOINT, NameRole.FLUSH_MAP, NameRole.RESERVE, NameRole.SHADOW_LOG}
_ORDER: Final = {"database": 0, "streaming-file": 0, "log": 1, "patch": 2, "unknown": 3}


class Gatherer:
    """Collects files and folders into one set.

    Args:
        profile: The profile whose tokens are given.
        take_all: Whether a folder's other files are taken too, with the token for unknown files.
        base: The base name of the log stream to take, where a folder holds more than one.
    """

    def __init__(self, profile: str, *, take_all: bool = False, base: str | None = None) -> None:
        self._profile = profile
        self._take_all = take_all
        self._base = base.lower() if base else None
        self._candidates = Candidates()
        self._named: set[str] = set()  # real paths of files that were named
        self._doubtful = Candidates()  # files with names of logs, whose content does not say so
        self._made_anew: dict[str, str] = {}  # those of them with the header of what the engine makes anew, which
        self._next = Candidates()  # logs that were being prepared
        # What names databases, by the keys of their leaves, and of these in the folder of the log that names them.
        self._expected: dict[str, str] = {}
        self._streams = Streams()
        self._needed: set[int] = set()  # the lowest logs that databases need
        self._unreadable: set[str] = set()  # paths of current logs without a header that can be read
        self._links: list[str] = []  # links and special files in folders
        self._left_out: list[NotTaken] = []
        self._notes = Notes()
        self._warnings = Notes()
        self._folders: list[tuple[str, str, Names]] = []
        self._odd_times: list[str] = []  # the first file whose modification time cannot be kept
        self._odd_count = 0
        self._rest_count = 0
        self._rest_size = 0

    def add_file(self, path: str, *, token: int | None = None) -> None:
        """Take one file that was named; its token is told from content unless it is given.

        Raises:
            StorageError: It cannot be read.
            SourceError: It is not a regular file.
            InputError: It is a database, and the profile has several tokens for databases.
        """
        with storage_errors("look at it", path):
            status = os.stat(path)  # noqa: PTH116 - one call for thousands of files
        if not stat.S_ISREG(status.st_mode):
            raise SourceError("not a regular file", path=path, hint="name a file, or the folder that it lies in")
        name = os.path.basename(path)  # noqa: PTH119
        self._see_time(name, status)
        self._named.add(os.path.realpath(path))
        identity, by_name = self._look(path, name, status.st_size)
        kind, reason = self._kind(identity, by_name, path, status.st_size)
        if reason is not None and token is None and not is_key(name):
            self._notes.append(f"{name}: {reason}; taken because it was named, with the token for unknown files")
        kind = kind or "unknown"
        token = self._token(name, kind) if token is None else token
        self._take(Candidate(path, name, token, kind, FileState.of(status)), identity, by_name)

    def _see_time(self, name: str, status: os.stat_result) -> None:
        """Note a file whose modification time cannot be kept."""
        if not -TIME_BOUND <= status.st_mtime_ns < TIME_BOUND:
            self._odd_count += 1
            self._odd_times = self._odd_times or [name]

    def _time_notes(self) -> tuple[str, ...]:
        more = f" and {self._odd_count - 1} more" if self._odd_count > 1 else ""
        why = "outside the years 1677 to 2262: a wrong clock, perhaps"
        return tuple(f"{name}{more}: the modification time is not kept, it is {why}" for name in self._odd_times)

    def leave_out(self, path: str, reason: str) -> None:
        """List a file as left out, unless it was named too; a private key as one, whatever the reason."""
        if os.path.realpath(path) not in self._named:
            name = os.path.basename(path)  # noqa: PTH119
            self._left_out.append(NotTaken(name, _KEY_LEFT_OUT if is_key(name) else reason))

    def add_folder(self, folder: str, *, prefix: str = "", skip: frozenset[str] = frozenset()) -> None:
        """Take what belongs to a set from a folder and its subfolders.

        Args:
            folder: The folder.
            prefix: What stands before the names in it: the folder itself, such as `DataBase/`, where that is kept.
            skip: Names in it, in lower case, that are kept elsewhere: neither taken nor left out.

        Raises:
            StorageError: A folder or file cannot be read.
            InputError: A database has no unambiguous token in the profile.
        """
        decided = Names()
        for path, name in walk(folder, prefix):
            status = status_of(path)
            self._see_time(name, status)
            is_elsewhere = skip and name.removeprefix(prefix).lower() in skip
            if is_elsewhere or self._consider(path, name, status):
                decided.add(name)
            else:
                self._rest_count += 1
                self._rest_size += status.st_size
        self._folders.append((folder, prefix, decided))

    def _consider(self, path: str, name: str, status: os.stat_result) -> bool:
        """Take a file or leave it out; return False if it is one of the rest."""
        leaf = name.rpartition("/")[2]
        suffix = leaf[-4:].lower()
        reason: str | None
        if not stat.S_ISREG(status.st_mode):
            reason = LINK
            self._links.append(name)
        elif is_key(leaf):
            reason = _KEY_LEFT_OUT
        elif apart := why_apart(name):
            if self._take_all:
                return False
            reason = apart
        elif status.st_size < ese.SMALLEST_SIZE and suffix not in _NAMES_COUNT:  # too small for any header
            if self._take_all:
                return False
            reason = "not recognised"
        else:
            identity, by_name = self._look(path, leaf, status.st_size)
            kind, reason = self._kind(identity, by_name, path, status.st_size)
            if kind is not None:
                one = Candidate(path, name, self._token(name, kind), kind, FileState.of(status))
                self._take(one, identity, by_name)
                return True
            if self._take_all:
                return False
            if self._wait(Candidate(path, name, tokens.UNKNOWN, "", FileState.of(status)), identity, by_name):
                return True
        self._left_out.append(NotTaken(name, reason or "not recognised"))
        return True

    def _wait(self, one: Candidate, identity: Identity, by_name: FileName) -> bool:
        """Keep a file of which only what is beside it tells whether it belongs to the set; return whether it is one."""
        log = one._replace(kind="log", base=(by_name.base or "").lower(), generation=by_name.generation)
        if by_name.role is NameRole.NEXT_LOG:
            self._next.append(log._replace(token=self._token(one.name, "log"), generation=identity.generation))
        elif by_name.role in _BY_NAME and identity.kind in {FileKind.UNKNOWN, *_NO_LOGS}:
            if identity.kind in _NO_LOGS:
                self._made_anew[one.name] = identity.kind.words
            self._doubtful.append(log._replace(token=self._token(one.name, "log")))
        else:
            return False
        return True

    def _look(self, path: str, leaf: str, size: int) -> tuple[Identity, FileName]:
        by_name = parse_file_name(leaf, self._base)
        if size < ese.SMALLEST_SIZE:  # too small for any header: not worth opening
            return _UNKNOWN, by_name
        with FileSource(path) as source:
            return ese.identify(source), by_name

    def _kind(self, identity: Identity, by_name: FileName, path: str, size: int) -> tuple[str | None, str | None]:
        """Return what a file is if it belongs to a set, or None and the reason why it is left out."""
        leaf = os.path.basename(path)  # noqa: PTH119
        if by_name.role in _NEVER_BY_NAME and not _is_other(identity, by_name.role):
            return None, _NEVER_BY_NAME[by_name.role]
        if identity.kind in _TAKEN:
            if identity.damaged:
                self._cannot_read(path, by_name)
                said = self._notes if identity.kind is FileKind.LOG else self._warnings
                said.append(f"{leaf}: {identity.note or 'its header is damaged'}")
            return identity.kind.value, None
        if identity.kind is FileKind.RESERVE and by_name.role in _BY_NAME:  # no reserve log is called that
            self._cannot_read(path, by_name)
            self._notes.append(f"{leaf}: taken for a log by its name; there is {identity.lacks} in it")
            return "log", None
        if identity.kind in _NO_HEADER and by_name.role in _NO_ROLE:
            kind, reason = self._headless(path, leaf, _lacks(identity, size))
            if kind or reason:
                return kind, reason
        if identity.kind is not FileKind.UNKNOWN:
            if leaf.lower().endswith(DATABASE_SUFFIXES) and identity.kind in _NO_LOGS:
                self._notes.append(Rules.NO_DATABASE.text.format(leaf, f"a {identity.kind.words}"))
            is_told = identity.kind is not FileKind.RESERVE or by_name.role is NameRole.RESERVE
            made_anew = MADE_ANEW.format(identity.kind.words)
            return (
                None,
                made_anew if is_told else f"there is {identity.lacks} in it, and the engine has no such name",
            )
        return self._kind_by_name(by_name, leaf, size)

    def _cannot_read(self, path: str, by_name: FileName) -> None:
        """Note a log without a header that can be read, where it is the current one."""
        if by_name.role is NameRole.CURRENT_LOG:
            self._unreadable.add(path)

    def _headless(self, path: str, leaf: str, lacks: str) -> tuple[str | None, str | None]:
        """Return the same for a file without a header whose name may be that of a database; None twice if it is not."""
        by_suffix = leaf.lower().endswith(_DATABASE_SUFFIXES)
        if not by_suffix and "." in leaf and not leaf.lower().endswith(_MAY_BE_DATABASES):
            return None, None
        with FileSource(path) as source:
            other, pages, segments = ese.other_format(source), ese.has_pages(source), ese.has_segments(source)
        if pages:
            self._warnings.append(f"{leaf}: taken as a damaged database: pages of one are in it, and {lacks}")
        elif by_suffix and not other:
            self._warnings.append(f"{leaf}: taken as a damaged database by its name; there is {lacks} in it")
        else:
            return None, other or (_SEGMENTS if segments else None)
        return "database", None

    def _kind_by_name(self, by_name: FileName, leaf: str, size: int) -> tuple[str | None, str | None]:
        """Return the same where content cannot tell."""
        if by_name.role is NameRole.PATCH:
            return "patch", None
        if by_name.role is NameRole.NUMBERED_LOG and size >= ese.SMALLEST_SIZE:
            self._notes.append(f"{leaf}: taken for a log by its name; its header is not that of a log")
            return "log", None
        if by_name.role in _LEFT_OUT_BY_NAME:
            return None, f"a {by_name.role.value.replace('-', ' ')} by its name"
        return None, "not recognised"

    def _take(self, one: Candidate, identity: Identity, by_name: FileName) -> None:
        """Take a file, with what its header and its name say where it is a log."""
        low = getattr(identity.header, "required_low", 0)
        if one.kind == "database" and low > 0:
            self._needed.add(low)
        if one.kind == "log":
            for attached in getattr(identity.header, "attachments", ()):
                self.expect(attached.path, f"the log {one.name}", folder=_folder_of(one))
            found = self._generation(one.name, identity, by_name)
            one = one._replace(generation=found, base=by_name.log_base or None)
        if self._base is not None:
            self._streams.see(one, identity)
        self._candidates.append(one)

    def _generation(self, name: str, identity: Identity, by_name: FileName) -> int | None:
        own, claimed = identity.generation, by_name.generation
        if own is not None and own <= 0:
            self._notes.append(f"{name}: its header says generation {own}, which no log has")
            own = None
        if own is not None and claimed is not None and own != claimed:
            self._notes.append(
                f"{name}: its header says generation 0x{own:X}, its name 0x{claimed:X} (the header counts)"
            )
        return claimed if own is None else own

    def _token(self, name: str, kind: str) -> int:
        if kind in ("database", "streaming-file") and self._profile == "edbbcli":
            leaf = name.rpartition("/")[2].lower().replace(".stm", ".edb")
            if leaf not in _EXCHANGE_DATABASES:
                message = "the profile edbbcli has a token for each of its databases, and this name is none of theirs"
                raise InputError(
                    message, path=name, hint="say which it is: private-database=FILE, public-database=FILE ..."
                )
            return tokens.parse_token(_EXCHANGE_DATABASES[leaf], self._profile)
        return tokens.parse_token("database" if kind == "streaming-file" else kind, self._profile)

    def result(self) -> Gathered:
        """Return the set.

        Raises:
            InputError: A folder holds the logs of two streams, or there is no log of the stream that was named.
        """
        self._decide_doubtful()
        self._decide_expected()
        self._decide_next()
        self._choose_stream()
        ordered = self._candidates.sorted(lambda one: (_ORDER.get(one.kind, 3), one.generation or 0, one.name))
        rest = Rest(tuple(self._folders), self._rest_count, self._rest_size) if self._rest_count else Rest()
        notes = (*self._notes, *self._time_notes())
        return Gathered(ordered, tuple(self._left_out), notes, tuple(self._warnings), rest)

    def _decide_doubtful(self) -> None:
        """Take what is no log by its content where logs of its base name are beside it; leave out the rest.

        With the header of another file of an engine it is one of an engine wherever it lies.
        """
        streams = {(_folder_of(one), one.base) for one in self._candidates}
        for one in self._doubtful:
            other = self._made_anew.get(one.name)
            if other or (_folder_of(one), one.base) in streams:
                told = f"its header is that of a {other}" if other else "its header is not that of a log"
                what = told if one.state.size else "it is empty"
                self._notes.append(f"{one.name}: taken for a log by its name; {what}")
                self._cannot_read(one.path, self._parsed(one))
                self._candidates.append(one)
            else:
                self._left_out.append(NotTaken(one.name, "not recognised"))

    def _parsed(self, one: Candidate) -> FileName:
        return parse_file_name(leaf_of(one.name), self._base)

    def expect(self, path: str, whom: str, *, folder: str = "") -> None:
        """Note that a file is named as a database, by its path on the server.

        Args:
            path: The path.
            whom: What names it, for messages.
            folder: Where that lies: a file there of that name is meant, even if there is another one elsewhere.
        """
        leaf = collision_key(leaf_of(path))
        self._expected.setdefault(leaf, whom)
        self._expected.setdefault(folder + leaf, whom)

    def _decide_expected(self) -> None:
        """Take what is named as a database and does not look like one: its header may be gone, or all of it zeros."""
        databases = (one for one in self._candidates if one.kind in _DATABASE_KINDS)
        taken = {key for one in databases for key in _keys(one.path, one.name)}
        wanted = {key: whom for key, whom in self._expected.items() if key not in taken}
        for name in self._links:
            key = collision_key(leaf_of(name))
            if key in wanted or (key not in taken and name.lower().endswith(_DATABASE_SUFFIXES)):
                whom = f"{wanted[key]} names it" if key in wanted else "its name says so"
                self._warnings.append(f"{name}: a database that is not taken: {whom}, and it is {LINK}")
        if not wanted:
            return
        self._candidates = Candidates(
            self._as_expected(one, wanted)
            if one.kind == "unknown" and one.token == tokens.UNKNOWN and _first_in(wanted, one.path, one.name)
            else one
            for one in self._candidates
        )
        taken, found = set(), dict[str, Candidate]()  # by path: one that looked like a log is taken as that no more
        for folder, prefix, decided in self._folders:
            for path, name in [(path, name) for path, name in walk(folder, prefix) if _first_in(wanted, path, name)]:
                status = status_of(path)
                if not stat.S_ISREG(status.st_mode) or is_key(name):
                    continue
                one = Candidate(path, name, tokens.UNKNOWN, "database", FileState.of(status))
                found[path] = self._as_expected(one, wanted)
                taken.add(name)
                if name not in decided:
                    self._rest_count -= 1
                    self._rest_size -= status.st_size
                    decided.add(name)
        self._candidates = Candidates(one for one in self._candidates if one.path not in found)
        for one in found.values():
            self._candidates.append(one)
        self._left_out = [one for one in self._left_out if one.name not in taken]

    def _as_expected(self, one: Candidate, wanted: dict[str, str]) -> Candidate:
        identity, _ = self._look(one.path, one.name, one.state.size)
        whom = _first_in(wanted, one.path, one.name)
        lacks = _lacks(identity, one.state.size)
        self._warnings.append(f"{one.name}: taken as a damaged database: {whom} names it, and there is {lacks} in it")
        return one._replace(kind="database", token=self._token(one.name, "database"))

    def _decide_next(self) -> None:
        """Take a log that was being prepared where no current log can be read: the engine goes on with that one."""
        if not self._next:
            return
        beside: defaultdict[tuple[str, str | None], set[str]] = defaultdict(set)  # the current logs of each stream
        numbers: defaultdict[tuple[str, str | None], set[int]] = defaultdict(set)
        for log in (one for one in self._candidates if one.kind == "log"):
            current = beside[_folder_of(log), log.base]
            numbers[_folder_of(log), log.base].add(log.generation or 0)
            if self._parsed(log).role is NameRole.CURRENT_LOG:
                current.add(log.path)
        for one in self._next:
            stream = _folder_of(one), one.base
            current = beside.get(stream, set())
            if stream in beside and current <= self._unreadable:
                why = "no current log can be read" if current else "there is no current log"
                self._notes.append(f"{one.name}: the next log being prepared; {why}, so it is taken")
                self._candidates.append(one)
            elif self._is_missing(one.generation or 0, numbers.get(stream, set())):
                said = f"called as the next log being prepared; by its header it is log 0x{one.generation:X}"
                self._notes.append(f"{one.name}: {said}, which is missing, so it is taken")
                self._candidates.append(one)
            else:
                self._left_out.append(NotTaken(one.name, _NEXT_LEFT_OUT))

    def _is_missing(self, generation: int, there: set[int]) -> bool:
        """Return whether a log is none of those that are there, and among them, or needed by a database before them."""
        low, known = min(self._needed or there, default=0), bool(there or self._needed)
        return known and generation not in there and low <= generation and (not there or generation < max(there))

    def _choose_stream(self) -> None:
        """Keep the logs of one stream in each folder."""
        streams: defaultdict[str, set[str]] = defaultdict(set)
        for one in self._candidates:
            if one.base is not None:
                streams[_folder_of(one)].add(one.base)
        for folder, bases in streams.items():
            if len(bases) > 1 and self._base is None:
                message = f"the logs of {len(bases)} streams are in one folder: {', '.join(sorted(bases))}"
                raise InputError(message, path=folder, hint="name the one to take: --base NAME")
        if self._base is not None:
            kept = Candidates(one for one in self._candidates if one.base in (None, self._base))
            others = [one for one in self._candidates if one.base not in (None, self._base)]
            if others and len(kept) == sum(one.base is None for one in kept):
                found = ", ".join(sorted({one.base or "" for one in others}))
                raise InputError(f"no log has the base name {self._base}", hint=f"--base may be {found}")
            apart = self._streams.others(kept, self._base)
            self._candidates = Candidates(one for one in kept if one.path not in apart)
            self._left_out += [NotTaken(one.name, f"a log of another stream, {one.base}") for one in others]
            self._left_out += [NotTaken(one.name, apart[one.path]) for one in kept if one.path in apart]


def _is_other(identity: Identity, role: NameRole) -> bool:
    """Return whether the header of a file says that it is not what its name says, and that it may be needed."""
    if role is NameRole.TEMPORARY_DATABASE:  # those are never part of a log stream
        is_one = identity.kind in _NO_NEXT_LOGS and (
            identity.log_signature is None or not identity.log_signature.is_set
        )
        return identity.kind in _TAKEN and not identity.damaged and not is_one
    return role is NameRole.NEXT_LOG and identity.kind in _NO_NEXT_LOGS


def _folder_of(one: Candidate) -> str:
    return one.path[: -len(one.name.rpartition("/")[2])]


def _keys(path: str, name: str) -> tuple[str, str]:
    """Return what a file is expected by: its leaf, and that in its folder."""
    leaf = leaf_of(name)
    return collision_key(leaf), path[: -len(leaf)] + collision_key(leaf)


def _first_in(wanted: dict[str, str], path: str, name: str) -> str:
    """Return what names a file as a database; empty where nothing does."""
    return next((wanted[key] for key in _keys(path, name) if key in wanted), "")


_UNKNOWN: Final = Identity(kind=FileKind.UNKNOWN)


def _lacks(identity: Identity, size: int) -> str:
    """Return what there is in a file in place of the header of a database."""
    if identity.header is not None:
        return f"a {identity.kind.words}"
    return (identity.lacks or f"no header ({size} bytes are too few)") if size else "nothing"
