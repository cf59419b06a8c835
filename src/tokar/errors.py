"""Every error that a caller can act on, and nothing else.

The tree, with the exit code that the command line gives for each branch::

    ArchiveError                        1   the base: catch this to catch all of them
    |-- StorageError                    1   the operating system refused a read, a write or a rename
    |-- ExhaustedError                  1   memory or another resource gave out; the input may well be good
    |-- InputError                      2   the caller asked for something that makes no sense
    |   |-- NoSuchEntryError            2   no entry of that name, or more than one
    |   |-- NothingFoundError           2   no file of a database engine
    |   |-- NoSetError                  2   a receipt of a backup that made no archive
    |   |-- MissingExtraError           2   a package that this needs is not installed
    |   `-- OverwritesInputError        2   standard output or standard error leads into a file that is read
    |-- FormatError                     4   the bytes break a rule of spec/format.md, which `rule` names
    |   |-- BadMagicError               3   not an archive at all
    |   |-- UnsupportedError            3   an archive, but of a version, with a feature or a record not known here
    |   |-- HeaderError                 4   the header of an ESE file is damaged, too short or of an unknown layout
    |   |-- RecordsError                4   the bytes of a log are not the records that they should be
    |   |-- RefusedError                4   a record of a log is not played, because nothing proves how
    |   |-- PageError                   4   a page is not as a change of it, or any page, must be
    |   |   `-- UnknownFormError        4   the image of a page is compressed in a way that is not public
    |   |-- UnsealedError               5   a valid prefix of an archive whose end is missing
    |   `-- IntegrityError              4   stored and computed values differ
    |       |-- CheckMismatchError      4   the check of a record
    |       `-- DigestMismatchError     4   the digest of a file's content
    |-- SourceError                     1   what was to be archived cannot be read as it must be
    |   |-- EngineError                 1   the simulated engine refused
    |   |-- ServerError                 1   a call of the server failed, with its code
    |   |-- NoAnswerError               1   a call of the server was not answered in time
    |   |-- SourceChangedError          1   it changed while it was being read
    |   |-- UnreachableError            1   a server on the network is not reached
    |   |-- LogonError                  1   a server on the network refuses who asks
    |   |-- LinkLostError               1   the connection to a server is gone
    |   |-- WireError                   1   what a server sent is not what it must be
    |   |-- ActivationError             1   a server does not make the object that was asked for
    |   `-- RpcFaultError               1   a server gave a call up, with its status
    |-- RestoreError                    6   the plan is not safe or not complete; nothing was written
    |   |-- NotRestorableError          6   no chain of the sets reaches the wanted state; a SetError too
    |   |-- UnknownTokenError           6   no location takes this token
    |   |-- AmbiguousLocationError      6   more than one location could take it
    |   |-- UnsafeNameError             6   the name cannot be used as a file name
    |   |-- CollisionError              6   two entries would land on one path
    |   |-- ExistingFileError           6   something is there already
    |   |-- NoRoomError                 6   the file system is too small
    |   `-- MovedError                  6   a directory is not the one that the plan looked at
    |-- LocationListError               6   a location list cannot be read
    |-- ProcedureError                  7   the backup or restore procedure does not allow it
    |   |-- LogsOnlyRefusedError        7   the server refuses logs only, with its reason
    |   `-- OutOfOrderError             7   a step that the state does not allow
    |-- PartialError                    8   done in part: something was lost, and the report says what
    |   |-- BackupPartialError          8   the archive is good, what should have followed failed
    |   |-- PlacingStoppedError         8   some files are in place, others are not
    |   `-- OutputError                 8   the work is done, and what should be printed about it was not
    |-- SetError                        9   the archive is good, the set in it is not
    |-- SigningError                    1   a signature cannot be made, or nobody could judge it: ssh-keygen failed
    |-- NotSignedError                 10   nobody signed the archive who was asked for; nothing was written
    |   `-- BadSignatureError          10   bytes that should be a signature are none
    `-- LockedError                    11   the content is encrypted, and nothing that was given opens it

Each has a word for programs, from its name where it says none: the `kind` of errors in JSON, which never gets another
meaning.

A class that carries more than a place is defined beside what raises it; its exit code is that of its branch.

Every error carries a one-line message, and where it helps `path`, `offset` (bytes from the start of the archive or
file) and `hint` (the next step). Nothing here imports from the rest of the package.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, TypedDict, Unpack

if TYPE_CHECKING:

    class ErrorPlace(TypedDict, total=False):
        """Where an error is and what to do about it; every error takes these."""

        path: Path | str | None
        offset: int | None
        hint: str | None


_BORDER: Final = re.compile("(?<=[a-z])(?=[A-Z])")  # between the words of a name
INTERRUPTED: Final = 130  # the exit code of a command that was interrupted, which is no error


class ArchiveError(Exception):
    """The base of all errors that tokar raises on purpose.

    Args:
        message: What is wrong, in one line, without the place.
        path: The file concerned.
        offset: Bytes from the start of that file.
        hint: What to do next, in one line.
    """

    exit_code: ClassVar[int] = 1
    hint_text: ClassVar[str | None] = None
    otherwise: str | None = None  # The next step where neither `hint` nor what the system said tells one
    word: ClassVar[str] = "failed"

    def __init_subclass__(cls, **settings: object) -> None:
        super().__init_subclass__(**settings)
        if "word" not in vars(cls):
            cls.word = _BORDER.sub("-", cls.__name__.removesuffix("Error")).lower()

    def __init__(
        self, message: str, *, path: Path | str | None = None, offset: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.offset = offset
        self.hint = hint if hint is not None else self.hint_text

    def where(self) -> str:
        """Return the place of the error as text, empty when there is none."""
        path = [] if self.path is None else [str(self.path)]
        offset = [] if self.offset is None else [f"at byte {self.offset} (0x{self.offset:x})"]
        return ", ".join(path + offset)

    def __str__(self) -> str:
        place = self.where()
        return f"{self.message} ({place})" if place else self.message


def worst_of(errors: Iterable[ArchiveError]) -> ArchiveError | None:
    """Return the worst of several errors: of those of the lowest exit code the first by name, and in one file by place.

    None without any.
    """
    return min(errors, key=lambda one: (one.exit_code, str(one.path or ""), one.offset or 0), default=None)


class StorageError(ArchiveError):
    """The operating system refused a read, a write or a rename."""

    otherwise = "mend what the system names, which may say more in its log, and run again"

    def __init__(self, message: str, **place: Unpack[ErrorPlace]) -> None:
        super().__init__(message, **place)
        if self.hint is None and str(self.path) == "-":
            self.hint = "standard input is not read here: save it to a file, and name that"


@contextmanager
def storage_errors(what: str, path: Path | str | None = None) -> Iterator[None]:
    """Raise what the operating system refuses in a block as a StorageError: `cannot WHAT: why`.

    A path that no system takes, with a zero byte or with text that stands for no bytes, is refused before: ValueError.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        raise StorageError(f"cannot {what}: {reason_of(error)}", path=path) from error


_HELD: Final = {32: "another program holds it open", 33: "another program has locked a part of it"}


def reason_of(error: OSError | ValueError) -> str:
    """Return why the operating system refused, in plain words; Windows calls a file that is held open no permission."""
    if held := _HELD.get(getattr(error, "winerror", 0)):
        return f"{held}; stop its service, or use its backup procedure"
    return getattr(error, "strerror", None) or str(error)


class ExhaustedError(ArchiveError):
    """Memory, or another resource of the system, gave out. The input may well be good."""

    hint_text = "end other programs or raise the limit (ulimit -v, -u and -n, of the container), and run again"


_NEXT_STEPS: Final = {
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN), ExhaustedError.hint_text),
    errno.ENOSPC: "free some room there, or name a place on another disk, and run again",
    errno.EDQUOT: "free some room there or let the quota be raised, or name a place elsewhere, and run again",
    errno.EFBIG: "raise the limit of the size of a file (ulimit -f), or name a place on another file system",
    **dict.fromkeys((errno.EACCES, errno.EPERM), "run it as a user who may do that, or change the rights there"),
    errno.EROFS: "nothing can be written there: name another place",
    errno.EIO: "the disk or what leads to it fails: see the system's log, and copy what matters while it can be read",
    **dict.fromkeys(
        (errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.ENOTCONN),
        "the network drive does not answer: mount it again, and run again",
    ),
    errno.ELOOP: "links lead in a circle, or one stands where none is followed: remove it, or name what it leads to",
    errno.EISDIR: "a directory stands in the place of a file: move it away, or name a file",
    errno.ENOTDIR: "a file stands in the place of a directory: move it away, or name a directory",
    errno.ENAMETOOLONG: "shorten the name, or name a place nearer to the root",
    errno.EINVAL: "the file system or the device does not do that: use another one",
    errno.ENOENT: "look for a slip in the name, and whether it was moved or removed, or its drive is not there",
    **dict.fromkeys((errno.EBUSY, errno.ETXTBSY), "another program uses it: end that, and run again"),
    **dict.fromkeys((errno.EEXIST, errno.ENOTEMPTY), "something is there already: move it away, or give another name"),
    **dict.fromkeys(
        (errno.ENXIO, errno.ENODEV), "nothing answers there, be it a socket, a pipe or a device: name a file"
    ),
    errno.EPIPE: "the program that reads it has ended: see what it says, and run both again",
    errno.EXDEV: "the two are on different file systems: name a place on the same one",
    errno.EMLINK: "the file system takes no more links or folders there: name another place",
}


def hint_of(error: ArchiveError) -> str | None:
    """Return the next step for an error: its own, or what helps where the operating system refused for that reason."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    of_system = _NEXT_STEPS.get(cause.errno or 0) if cause is not None else None
    return error.hint or of_system or error.otherwise


class InputError(ArchiveError):
    """The caller asked for something that makes no sense."""

    exit_code = 2
    word = "usage"
    otherwise = "tokar VERB --help shows what goes together, and what each option takes"


class MissingExtraError(InputError):
    """A package that only some uses need is not installed."""


class NothingFoundError(InputError):
    """There is no file of a database engine where one was looked for."""


class NoSuchEntryError(InputError):
    """No entry has that name, or more than one has it."""

    hint_text = "list the entries with: tokar inspect --entries ARCHIVE"


class FormatError(ArchiveError):
    """The bytes break a rule of the format.

    Args:
        message: What is wrong, in one line.
        rule: The number of the rule in spec/format.md, such as `REC-3`.
        path: The archive.
        offset: Bytes from the start of the archive.
        hint: What to do next.
    """

    exit_code = 4
    hint_text = "tokar salvage DAMAGED OUT keeps every file that is still whole"

    def __init__(self, message: str, *, rule: str | None = None, **place: Unpack[ErrorPlace]) -> None:
        super().__init__(message, **place)
        self.rule = rule


class BadMagicError(FormatError):
    """This is not a tokar archive."""

    exit_code = 3
    word = "not-an-archive"
    hint_text = "tokar archives begin with the bytes 89 54 4B 52 0D 0A 1A 0A; was it copied in text mode?"


class UnsupportedError(FormatError):
    """A tokar archive that needs a newer reader: a version, a required feature or a record kind is not known here."""

    exit_code = 3
    hint_text = "a newer tokar may read it"


class HeaderError(FormatError):
    """The header of an ESE file cannot be read.

    Args:
        message: What is wrong, in one line.
        code: The error the engine gives for it, such as -1018; None where it has none.
        path: The file.
        offset: Bytes from the start of the file.
        hint: What to do next.
    """

    hint_text = "the file is damaged or of another kind; take another copy of it while its source is still there"

    def __init__(self, message: str, *, code: int | None = None, **place: Unpack[ErrorPlace]) -> None:
        super().__init__(message, **place)
        self.code = code


class UnsealedError(FormatError):
    """Every byte is right, but the end is missing: the archive was never sealed, or it was cut."""

    exit_code = 5
    hint_text = "it was cut or never finished; tokar salvage DAMAGED OUT keeps the files that are complete"


class IntegrityError(FormatError):
    """A stored value and the value computed from the bytes differ.

    Args:
        message: What differs, in one line.
        expected: The stored value.
        actual: The computed value.
        rule: The number of the rule in spec/format.md.
        path: The archive.
        offset: Bytes from the start of the archive.
        hint: What to do next.
    """

    def __init__(
        self,
        message: str,
        *,
        expected: bytes | None = None,
        actual: bytes | None = None,
        rule: str | None = None,
        **place: Unpack[ErrorPlace],
    ) -> None:
        super().__init__(message, rule=rule, **place)
        self.expected = expected
        self.actual = actual


class CheckMismatchError(IntegrityError):
    """The check of a record does not match its bytes."""


class DigestMismatchError(IntegrityError):
    """The digest of a file's content does not match the content."""


class SourceError(ArchiveError):
    """Something that was to be archived cannot be read as it must be."""

    otherwise = "run it again; if it comes again, see what the log of the server says, and report it with that"


class SourceChangedError(SourceError):
    """A file changed between the first and the last look at it."""

    hint_text = "stop the service that owns the file, or use its backup procedure, and run again"


class RestoreError(ArchiveError):
    """The restore was refused before anything was written."""

    exit_code = 6


class UnknownTokenError(RestoreError):
    """No location takes this token, and nothing is ever guessed."""

    hint_text = "name the place: --to TOKEN=PATH, or --to NAME=PATH"


class AmbiguousLocationError(RestoreError):
    """More than one location could take this file, and nothing is ever guessed."""

    hint_text = "name the place: --to TOKEN=PATH, or --to NAME=PATH"


class UnsafeNameError(RestoreError):
    """The stored name cannot be used as a file name on the target."""

    hint_text = "say where it goes: --to NAME=PATH"


class CollisionError(RestoreError):
    """Two entries would land on one path."""

    hint_text = "send one of them elsewhere: --to NAME=PATH, or restore with --only NAME"


class ExistingFileError(RestoreError):
    """Something is at the target already."""

    hint_text = (
        "restore into an empty directory, or pass --existing set-aside to rename what is there (nothing is deleted)"
    )


class NoRoomError(RestoreError):
    """The target file system has too little room."""

    hint_text = "free some room, or restore elsewhere"


class LocationListError(ArchiveError):
    """A location list cannot be read."""

    exit_code = 6
    hint_text = "give a raw list as the API returned it, or a TOML file, or --to TOKEN=PATH"


class ProcedureError(ArchiveError):
    """The backup or restore procedure does not allow this step."""

    exit_code = 7
    otherwise = "begin the procedure again, with its first step; if it comes again, report it with this line"


class PartialError(ArchiveError):
    """The work was done in part; the report says what is missing."""

    exit_code = 8


class SetError(ArchiveError):
    """The archive is good, but the set in it is damaged or cannot be restored."""

    exit_code = 9


class SigningError(ArchiveError):
    """A signature cannot be made, or nobody could judge one: ssh-keygen is missing, too old, or refused."""

    otherwise = "see what ssh-keygen itself says of it: ssh-keygen -l -f KEY; OpenSSH 8.1 or newer is needed"


class NotSignedError(ArchiveError):
    """Nobody signed the archive who was asked for. Nothing was written."""

    exit_code = 10
    hint_text = "take a signed copy; or have the right person sign this one: tokar sign ARCHIVE --key KEY"


class LockedError(ArchiveError):
    """The content is encrypted, and nothing that was given opens it. Nothing was written."""

    exit_code = 11
    hint_text = (
        "name what opens it: --identity FILE, or --passphrase; tokar keys ARCHIVE says which it takes; without one of "
        "them there is no way to the content"
    )
