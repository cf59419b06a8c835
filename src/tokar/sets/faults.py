"""What can be wrong with a set, worded in one table, and the faults that were found, as data.

The members of `FaultKind` stand in the order of causes: what comes first explains what comes later, so that a sorted
report begins with the root cause. What only follows from a fault is not a fault of its own; it is one of its
consequences.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, Final

from tokar.as_json import fields_json
from tokar.codes import Code, of_engine
from tokar.errors import SetError
from tokar.ese.content_facts import LOG_CORRUPT, LOG_SIZE_DIFFERS
from tokar.sets.by_generation import logs_in_order
from tokar.words import some

if TYPE_CHECKING:
    from tokar.sets.facts import LogFacts

MOST_LISTED: Final = 1000
"""How many generations and logs a fault lists; its message counts all of them."""


class Severity(IntEnum):
    """How bad a fault is."""

    ERROR = 0  # recovery fails
    LOSS = 1  # recovery goes on only with a loss that somebody has accepted
    WARNING = 2  # recovery works; worth knowing before it begins


class Scope(StrEnum):
    """What a fault is about."""

    FILE = "file"  # one file, by itself
    SET = "set"  # how the files go together


class FaultKind(StrEnum):
    """What can be wrong with a set, root causes first."""

    DATABASE_UNREADABLE = "database-unreadable"
    STATE_UNUSABLE = "state-unusable"
    DATABASE_CUT = "database-cut"
    DATABASE_BLANK = "database-blank"
    TRAILER_MISSING = "trailer-missing"
    TRAILER_DAMAGED = "trailer-damaged"
    TRAILER_FOREIGN = "trailer-foreign"
    FILE_LOST = "file-lost"
    MISSING_FULL = "missing-full"
    LOG_UNREADABLE = "log-unreadable"
    LOG_MISSING = "log-missing"
    LOG_FOREIGN = "log-foreign"
    LOG_OLDER = "log-older"
    LOG_FORKED = "log-forked"
    LOG_DIFFERS = "log-differs"
    LOG_OF_OTHER_BRANCH = "log-of-other-branch"
    LOG_NAME = "log-name"
    LOG_SIZE = "log-size"
    LOG_PAGE_SIZE = "log-page-size"
    LOG_BLANK = "log-blank"
    LOG_DAMAGED = "log-damaged"
    LOG_TORN = "log-torn"
    LOG_SHORT = "log-short"
    LINK_BROKEN = "link-broken"
    LOG_NOT_CLOSED = "log-not-closed"
    LOG_ALTERED = "log-altered"
    LOG_SIZES = "log-sizes"
    PATCH_MISSING = "patch-missing"
    PATCH_FOREIGN = "patch-foreign"
    STREAMING_MISSING = "streaming-missing"
    STREAMING_FOREIGN = "streaming-foreign"
    PAGES_DAMAGED = "pages-damaged"
    PAGES_MISPLACED = "pages-misplaced"
    PAGES_OFF_CHAIN = "pages-off-chain"
    COMMITTED_LOG_MISSING = "committed-log-missing"
    DATABASE_REPAIRED = "database-repaired"
    NEWER_FORMAT = "newer-format"
    HEADER_COPY = "header-copy"
    PAGES_CORRECTABLE = "pages-correctable"
    PAGES_BEYOND = "pages-beyond"
    NO_COPY = "no-copy"
    NO_CURRENT_LOG = "no-current-log"
    DATABASE_NOT_HERE = "database-not-here"
    DATABASE_NAME = "database-name"
    FILE_NAME = "file-name"
    LOGS_BEFORE_GAP = "logs-before-gap"
    LOGS_AFTER_GAP = "logs-after-gap"
    NEW_STREAM = "new-stream"
    STRAY_LOGS = "stray-logs"
    DATABASE_TWICE = "database-twice"
    INSTANCES = "instances"
    SAME_NAME = "same-name"
    STREAMING_ALONE = "streaming-alone"
    CHECKPOINT_DAMAGED = "checkpoint-damaged"
    CHECKPOINT_FOREIGN = "checkpoint-foreign"
    CHECKPOINT_NEWER = "checkpoint-newer"
    FLUSH_MAP_FOREIGN = "flush-map-foreign"
    LOCATIONS_DAMAGED = "locations-damaged"
    LOCATIONS_FOREIGN = "locations-foreign"
    PRIOR_DIFFERS = "prior-differs"
    SALVAGED = "salvaged"

    @property
    def scope(self) -> Scope:
        """Whether it is about one file by itself, or about how files go together."""
        return Scope.FILE if self in _FILE_KINDS else Scope.SET


_FILE_KINDS: Final = {
    *(FaultKind.DATABASE_UNREADABLE, FaultKind.STATE_UNUSABLE, FaultKind.DATABASE_CUT, FaultKind.DATABASE_BLANK),
    *(FaultKind.DATABASE_REPAIRED, FaultKind.TRAILER_MISSING, FaultKind.TRAILER_DAMAGED, FaultKind.TRAILER_FOREIGN),
    *(FaultKind.LOG_UNREADABLE, FaultKind.LOG_NAME, FaultKind.LOG_SIZE, FaultKind.LOG_BLANK, FaultKind.LOG_DAMAGED),
    *(FaultKind.LOG_TORN, FaultKind.LOG_SHORT, FaultKind.PAGES_DAMAGED, FaultKind.PAGES_MISPLACED),
    *(FaultKind.PAGES_OFF_CHAIN, FaultKind.NEWER_FORMAT, FaultKind.HEADER_COPY, FaultKind.PAGES_CORRECTABLE),
    *(FaultKind.CHECKPOINT_DAMAGED, FaultKind.FILE_NAME),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a set."""

    kind: FaultKind  # What
    message: str  # The same in one sentence, with names and numbers
    severity: Severity = Severity.ERROR  # How bad it is
    files: tuple[str, ...] = ()  # Names of the files concerned; of logs at most `MOST_LISTED`
    generations: tuple[int, ...] = ()  # Log generations concerned, at most `MOST_LISTED`
    code: int | None = None  # The error the engine gives; None where it gives none
    next_step: str = ""  # What to do
    databases: tuple[str, ...] = ()  # Names of the databases that suffer
    consequences: tuple[str, ...] = ()  # What follows from it and is therefore not reported by itself
    is_open: bool = False  # Whether it blocks, unless what it rests on is found to be otherwise by who looks at it

    def until_looked_at(self) -> Fault:
        """Return it as what it is as long as nobody looked at what it rests on: a remark."""
        return replace(self, severity=Severity.WARNING, is_open=True) if self.blocks else self

    @property
    def blocks(self) -> bool:
        """Whether recovery does not get past it without a loss."""
        return self.severity is not Severity.WARNING

    @property
    def is_loss(self) -> bool:
        """Whether recovery goes on, and only without what is lost by it."""
        return self.severity is Severity.LOSS

    @property
    def exit_code(self) -> int:
        """The exit code of a set that has it."""
        return SetError.exit_code

    @property
    def engine(self) -> Code | None:
        """The error with its name."""
        return None if self.code is None else of_engine(self.code)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        first = {"kind": self.kind.value, "severity": self.severity.name.lower()}
        rest = ("message", "files", "generations", "engine", "next_step", "databases", "consequences")
        return {**first, **fields_json(self, *rest)}


COMMITTED_DAMAGED: Final = -586
_ANOTHER_COPY: Final = "take another copy of this file while its source is still there"
_TRAILER: Final = "take a new full backup, or another copy of this one: without its trailer no engine restores it"
_UNDAMAGED_COPY: Final = "do not overwrite older backups; look for an undamaged copy, and check the storage"
_UNDAMAGED_ARCHIVE: Final = "use the undamaged archive if it is found"
_NO_CHECKPOINT: Final = "leave it out: without a checkpoint recovery begins at the lowest log"
_NEWER: Final = "nothing, unless damage is reported as well: then see whether a newer tokar knows the format"
_RIGHT_NAME: Final = "give it the name of its generation back: tokar restore --right-names does"
_LEFT_OUT: Final = "nothing with tokar restore, which leaves them out; do not place them by hand"
_FOLDERS: Final = "keep their folders: tokar restore --tree DIR"
_ONE_FOLDER: Final = "put them together: tokar restore --into DIR, and not --tree"
_CHOOSE: Final = "choose one to begin with: name its sets alone, or tokar restore --full ARCHIVE"
_NO_LIST: Final = (
    "the databases can be recovered without it; restore to places that you give: --into DIR, --to, --locations"
)
_ADD_ARCHIVE: Final = "add the archive that has them"
_LINKED: Final = "copy the file that it leads to into this folder, in its place"
_LINKED_DATABASE: Final = f"{_LINKED}, or name that file as well"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is said of one thing that can be wrong, whoever finds it."""

    kind: FaultKind  # What
    text: str  # The sentence, with a place for each name and number
    next_step: str = ""  # What to do; {0} is the first of these
    code: int | None = None  # The error the engine gives
    hard: int | None = None  # The error of hard recovery, where that is another
    loss: int | None = None  # The error where only committed transactions are at stake, where that is another
    severity: Severity = Severity.ERROR  # How bad it is, unless whoever finds it knows better

    def fault(
        self,
        *words: object,
        files: Iterable[str] = (),
        generations: Iterable[int] = (),
        databases: Iterable[str] = (),
        severity: Severity | None = None,
        hard: bool = False,
    ) -> Fault:
        """Return the fault, with its names and numbers."""
        severity = self.severity if severity is None else severity
        code = self.hard if hard and self.hard else self.code
        return Fault(
            kind=self.kind,
            message=self.text.format(*words),
            severity=severity,
            files=tuple(files),
            generations=tuple(generations),
            code=self.loss if self.loss and severity is Severity.LOSS else code,
            next_step=self.next_step.format(*words),
            databases=tuple(databases),
        )

    def of_log(
        self,
        log: LogFacts,
        *words: object,
        before: LogFacts | None = None,
        severity: Severity | None = None,
        hard: bool = False,
    ) -> Fault:
        """Return the fault of a log, whose name is the first of the words, or of it and the one before it."""
        files = (before.name, log.name) if before else (log.name,)
        numbers = () if log.generation is None else (log.generation,)
        return self.fault(log.name, *words, files=files, generations=numbers, severity=severity, hard=hard)

    def of_logs(self, logs: Sequence[LogFacts], *words: object) -> Fault:
        """Return the fault of several logs, whose names are the first of the words; the first of them are listed."""
        logs = logs_in_order([*logs])
        first = logs[:MOST_LISTED]
        numbers = sorted({log.generation for log in first if log.generation is not None})
        text = some(log.name for log in logs)
        return self.fault(text, *words, files=(log.name for log in first), generations=numbers)


# fmt: off
class Rules:
    """Every rule: kind, sentence, next step, and the error of the engine."""

    DATABASE_UNREADABLE = Rule(FaultKind.DATABASE_UNREADABLE, "{} cannot be read: {}", _ANOTHER_COPY, -1018)
    DATABASE_LINKED = Rule(FaultKind.DATABASE_UNREADABLE, "{} is a link or a special file, not looked at",
        _LINKED_DATABASE)
    STATE_UNUSABLE = Rule(FaultKind.STATE_UNUSABLE, "{} cannot be recovered from this copy: {}",
        "use another backup of this database", -550)
    TEMPORARY = Rule(FaultKind.STATE_UNUSABLE, "{} is a temporary database ({}): the engine makes it anew",
        "nothing with tokar restore, which leaves it out", severity=Severity.WARNING)
    DATABASE_CUT = Rule(FaultKind.DATABASE_CUT,
        "{} is cut short, or something was appended: {} bytes are not a whole number of pages of {}",
        _ANOTHER_COPY, -1206, hard=-561)
    PAGES_MISSING = Rule(FaultKind.DATABASE_CUT,
        "{} is cut short: its last page is {}, and pages in it are about page {}", _ANOTHER_COPY, -1206)
    PAGES_BEYOND = Rule(FaultKind.PAGES_BEYOND,
        "{} ends with page {}, and pages in it are about page {}: the logs must say how it grew",
        "nothing where the copy was made while the database grew; else take another copy", severity=Severity.WARNING)
    DATABASE_BLANK = Rule(FaultKind.DATABASE_BLANK, "{} has no content: {}",
        "use another copy: nothing can be recovered from this one", -1019)
    PAGES_LOST = Rule(FaultKind.DATABASE_BLANK, "{}: {} {} {} blank, and pages in use lead there",
        _UNDAMAGED_COPY, -1019)
    PAGES_UNWRITTEN = Rule(FaultKind.PAGES_BEYOND,
        "{}: {} {} {} blank, and pages in use lead there: the logs must write what goes there",
        "nothing where the copy was made while the database was written; else take another copy",
        severity=Severity.WARNING)
    PAGES_UNLINKED = Rule(FaultKind.PAGES_DAMAGED,
        "{} has {} {} between pages that do not fit each other: {}", _UNDAMAGED_COPY, -327)
    PAGES_UNSETTLED = Rule(FaultKind.PAGES_BEYOND,
        "{} has {} {} between pages that do not fit each other: {}: the logs must change one of them",
        PAGES_UNWRITTEN.next_step, severity=Severity.WARNING)
    TRAILER_MISSING = Rule(FaultKind.TRAILER_MISSING, "{}: {}", _TRAILER, -534)
    TRAILER_DAMAGED = Rule(FaultKind.TRAILER_DAMAGED, "{}: {}", _TRAILER, -535)
    TRAILER_FOREIGN = Rule(FaultKind.TRAILER_FOREIGN, "{}: {}", _TRAILER, -552)
    PATCH_MISSING = Rule(FaultKind.PATCH_MISSING,
        "{} is a backup copy from before 2001, and its patch file {}.pat is missing or empty",
        "find the patch file of the same backup", -538)
    PAGES_DAMAGED = Rule(FaultKind.PAGES_DAMAGED, "{} has {} damaged {}: {}", _UNDAMAGED_COPY, -1018)
    PAGES_MISPLACED = Rule(FaultKind.PAGES_MISPLACED, "{} has {} {} in the wrong place: {}", _UNDAMAGED_COPY)
    PAGES_OFF_CHAIN = Rule(FaultKind.PAGES_OFF_CHAIN, "{} has {} {} that the logs do not lead to: {}",
        "use another copy of the database, or find the logs that it was written with; check the storage")
    PAGES_AHEAD = Rule(FaultKind.PAGES_OFF_CHAIN,
        "{} has pages from after its shutdown, up to dbtime 0x{:x}, and its header is at 0x{:x}", _ANOTHER_COPY, -344)
    PAGES_CORRECTABLE = Rule(FaultKind.PAGES_CORRECTABLE, "{} has {} {} with one flipped bit: {}",
        "the engine corrects them while reading; check the storage", severity=Severity.WARNING)
    DATABASE_REPAIRED = Rule(FaultKind.DATABASE_REPAIRED,
        "{} was repaired {}, last on {} (esentutl /p): what could not be read was dropped, no log from before fits it",
        "prefer a backup from before the repair, with its logs", severity=Severity.WARNING)
    DATABASE_NEWER = Rule(FaultKind.NEWER_FORMAT,
        "{} has revision {}, newer than known ({}): it is judged as usual", _NEWER, severity=Severity.WARNING)
    LOGS_NEWER = Rule(FaultKind.NEWER_FORMAT,
        "{}: of log format {}, newer than known: judged as usual", _NEWER, severity=Severity.WARNING)
    HEADER_COPY = Rule(FaultKind.HEADER_COPY, "the {} header copy of {} {}; the engine uses the other one",
        "nothing: the engine repairs it when it opens the database", severity=Severity.WARNING)
    PATCH_FOREIGN = Rule(FaultKind.PATCH_FOREIGN, "{} is not the patch file of {}: {}",
        "place database, patch file and logs of one backup", -552)
    STREAMING_MISSING = Rule(FaultKind.STREAMING_MISSING, "{} has a streaming file, and {} is not here",
        "find the .stm of the same backup: neither of the two is of use without the other", -540)
    STREAMING_FOREIGN = Rule(FaultKind.STREAMING_FOREIGN, "{} is not the streaming file of {}: {}",
        STREAMING_MISSING.next_step, -540)
    STREAMING_ALONE = Rule(FaultKind.STREAMING_ALONE, "{} is a streaming file of no database here",
        "find the .edb of the same backup", -540, severity=Severity.WARNING)
    DATABASE_TWICE = Rule(FaultKind.DATABASE_TWICE,
        "{} are copies of one database, {}: logs are played onto one of them",
        "restore the one that is wanted with --only, or archive them apart", severity=Severity.WARNING)
    INSTANCES = Rule(FaultKind.INSTANCES,
        "{} instances have the base name {}, in {}: their logs cannot lie in one directory",
        f"{_FOLDERS}; or archive each folder by itself", severity=Severity.WARNING)
    SAME_NAME = Rule(FaultKind.SAME_NAME, "{} have one name: one directory cannot hold them all",
        f"{_FOLDERS}; or send one elsewhere: --to NAME=PATH", severity=Severity.WARNING)
    DATABASE_ELSEWHERE = Rule(FaultKind.DATABASE_NOT_HERE, "the logs are also about {}, which is in {}",
        "restore both, each to its place, before recovery begins", -1216, severity=Severity.WARNING)
    DATABASE_NOT_PLACED = Rule(FaultKind.DATABASE_NOT_HERE,
        "where the logs end {} is attached, and {} is not placed",
        "put it beside before recovery begins, or begin with another set", -1216, severity=Severity.LOSS)
    DATABASE_REPLACED = Rule(FaultKind.DATABASE_NOT_HERE,
        "where the logs end another database has this place, {}: {}",
        "begin with the set that has it, or stop before it: tokar restore --until GENERATION", -1216)
    NO_COPY = Rule(FaultKind.NO_COPY, "{} is no copy from a backup, and {} is: hard recovery refuses it",
        "restore the two apart, each with its logs: tokar restore ARCHIVE --only NAME --into DIR", -615)
    NO_COPIES = Rule(FaultKind.NO_COPY, "{} is no copy from a backup: hard recovery, which was asked for, refuses it",
        "restore with --into, into its folder while the service is stopped, and start the service then", -615)
    NO_CURRENT_LOG = Rule(FaultKind.NO_CURRENT_LOG,
        "there is no current log {}, and none that was being prepared: soft recovery does not begin",
        "find the one that was copied together with the database: no service renames a log", -528)
    NO_CURRENT_OF_PROCEDURE = Rule(FaultKind.NO_CURRENT_LOG, NO_CURRENT_LOG.text,
        "restore it through the procedure of its service: it is no copy from a backup, and no start of the service "
        "recovers it", -528, severity=Severity.WARNING)
    DATABASE_NOT_HERE = Rule(FaultKind.DATABASE_NOT_HERE, "the logs are also about a database that is not here: {}",
        "restore it as well; only if it is given up for good, recovery can do without: esentutl /r BASE /i", -1216)
    DATABASE_IN_FOLDER = Rule(FaultKind.DATABASE_NOT_HERE,
        "{} is in another folder, {}, and each folder is recovered by itself", _ONE_FOLDER, -1216)
    LOGS_IN_FOLDER = Rule(FaultKind.LOG_MISSING,
        "{}: what is missing is in another folder, {}, and each folder is recovered by itself", _ONE_FOLDER, -543)
    DATABASE_NAME = Rule(FaultKind.DATABASE_NAME, "{} is called {} in the logs: recovery does not find it here",
        "give it that name back: tokar restore --right-names does", -1216, hard=-531)
    NO_DATABASE = Rule(FaultKind.FILE_NAME, "{} has the name of a database, and is {} by its header",
        "if a database of that name belongs to this set, find it where the set came from; else nothing",
        severity=Severity.WARNING)
    NO_OTHER_FILE = Rule(FaultKind.FILE_NAME,
        "{0} has the name of a {1}, and is a database by its header: an engine of that base name takes it for its {1}",
        "give it the name of a database before the engine starts: tokar restore --to NAME=PATH",
        severity=Severity.WARNING)
    DATABASE_APART = Rule(FaultKind.DATABASE_NOT_HERE,
        "{} was shut down at another time than {} says, and the logs are played for another database",
        "restore it by itself; only if it is given up for good, recovery can do without: esentutl /r BASE /i",
        -1216, severity=Severity.LOSS)
    DATABASE_BEHIND = Rule(FaultKind.DATABASE_NOT_HERE,
        "{} was shut down before the time that {} says, and the logs are played for another database",
        DATABASE_APART.next_step, -551, severity=Severity.LOSS)
    LOG_UNREADABLE = Rule(FaultKind.LOG_UNREADABLE, "{} cannot be read: {}",
        _ANOTHER_COPY, LOG_CORRUPT, hard=-573, loss=COMMITTED_DAMAGED)
    LOG_NAME = Rule(FaultKind.LOG_NAME, "{} is generation 0x{:X} by its header: the engine will not find it",
        _RIGHT_NAME, -513, loss=COMMITTED_DAMAGED)
    LOG_NOT_FOUND = Rule(FaultKind.LOG_NAME, "{} holds generation 0x{:X}, and the engine looks for another name",
        _RIGHT_NAME, -543, hard=-557, loss=COMMITTED_DAMAGED)
    NEXT_LOG_WRITTEN = Rule(FaultKind.LOG_NAME,
        "{} is log 0x{:X} by its header, with records: recovery plays no log that is called as the next one",
        "where it was renamed, give it the name of the current log back", severity=Severity.WARNING)
    CURRENT_NOT_LAST = Rule(FaultKind.LOG_NAME,
        "{} holds generation 0x{:X}, and {} comes after it: the engine takes the current log for the last one",
        _RIGHT_NAME, -528, loss=-582)
    LOG_SIZE = Rule(FaultKind.LOG_SIZE, "{} has {} bytes, its header says {}",
        _ANOTHER_COPY, LOG_SIZE_DIFFERS, loss=COMMITTED_DAMAGED)
    LOG_TORN = Rule(FaultKind.LOG_TORN, "{} ends in a torn write at 0x{:x}",
        _ANOTHER_COPY, LOG_CORRUPT, hard=-570, loss=COMMITTED_DAMAGED)
    LOG_DAMAGED = Rule(FaultKind.LOG_DAMAGED, "{} has {} damaged {} at {}",
        _ANOTHER_COPY, LOG_CORRUPT, hard=-573, loss=COMMITTED_DAMAGED)
    LOG_BLANK = Rule(FaultKind.LOG_BLANK, "{} has no content: not one of its {} is valid",
        _ANOTHER_COPY, LOG_CORRUPT, hard=-573, loss=COMMITTED_DAMAGED)
    LOG_SHORT = Rule(FaultKind.LOG_SHORT, "{} ends at 0x{:x}, before 0x{:x}, a position in it that {} gives",
        _ANOTHER_COPY, LOG_CORRUPT, hard=-573, loss=COMMITTED_DAMAGED)
    LOG_PAGE_SIZE = Rule(FaultKind.LOG_PAGE_SIZE, "{} is for pages of {} bytes, {} has {}",
        "look for the right log", -1213, loss=COMMITTED_DAMAGED)
    LINK_BROKEN = Rule(FaultKind.LINK_BROKEN,
        "{} does not continue {}: it was created after another log of that number",
        "look for the logs of one history: a restore in between starts another",
        -515, hard=-556, loss=COMMITTED_DAMAGED)
    LOG_ALTERED = Rule(FaultKind.LOG_ALTERED,
        "{} is not the log that {} was written after: its content has changed or is cut",
        "look for another copy of {0}", -590, loss=COMMITTED_DAMAGED)
    LOG_NOT_CLOSED = Rule(FaultKind.LOG_NOT_CLOSED,
        "{} is not log 0x{:X} as it was closed, which {} was written after: it is an earlier state of it, or was "
        "changed; {} is missing", "add the archive or folder that has {3}", -543, hard=-557, loss=COMMITTED_DAMAGED)
    LOG_CLOSED_ELSEWHERE = Rule(FaultKind.LOG_NOT_CLOSED,
        "{} is an earlier state of log 0x{:X}, or was changed: {} was written after the one that is {}",
        "nothing for this restore: that one is whole, and takes its place", severity=Severity.WARNING)
    LOG_SIZES = Rule(FaultKind.LOG_SIZES, "{} has {} bytes by its header, {} has {}: logs of one stream have one size",
        "look for the logs of one stream; a change of the log size begins a new one",
        LOG_SIZE_DIFFERS, loss=COMMITTED_DAMAGED)
    LOG_OF_OTHER_BRANCH = Rule(FaultKind.LOG_OF_OTHER_BRANCH,
        "{} was created {}, {} needs the one created {}: the histories parted",
        "look for the log that the database was written with", -543, hard=-557, loss=COMMITTED_DAMAGED)
    LOG_FORKED = Rule(FaultKind.LOG_FORKED,
        "generation 0x{:X} is there more than once: beside {} there is {}, created at another time",
        "choose one: tokar restore --branch LOG, a log of the history that is wanted; the others belong elsewhere",
        -515)
    LOG_OF_OTHER_DATABASE = Rule(FaultKind.LOG_FOREIGN,
        "{} was written while {} was not attached, or another of its name",
        "find the logs that this database was written with; never mix files of two databases", -1216, hard=-531)
    NOT_ATTACHED = Rule(FaultKind.LOG_FOREIGN, "the logs do not attach {}: {}",
        LOG_OF_OTHER_DATABASE.next_step, -1216, hard=-531)
    LOG_RECORDS = Rule(FaultKind.LOG_DAMAGED, "the logs cannot be played onto {}: {}", _ANOTHER_COPY, LOG_CORRUPT)
    LOG_FOREIGN = Rule(FaultKind.LOG_FOREIGN, "{} stands for generation 0x{:X} and belongs to another log stream",
        "find the log of this database's own stream; never mix files of two instances", -530, hard=-555)
    LOG_OLDER = Rule(FaultKind.LOG_OLDER,
        "{} is the current log of an earlier time: it is generation 0x{:X}, and {} needs 0x{:X}",
        "find the current log that was copied together with the database", -543, hard=-557, loss=-582)
    LOG_LINKED = Rule(FaultKind.LOG_UNREADABLE, DATABASE_LINKED.text, _LINKED)
    LOG_MISSING = Rule(FaultKind.LOG_MISSING, "{} {} missing",
        "add the archive or folder that has it; without it the database cannot be recovered", -543, hard=-557)
    LOG_NOT_ASKED = Rule(FaultKind.LOG_MISSING, "{} {} in {}, and not asked for", "leave --only out", -543, hard=-557)
    DATABASE_NOT_ASKED = Rule(FaultKind.DATABASE_NOT_HERE, "the logs are also about {}, in {} and not asked for",
        LOG_NOT_ASKED.next_step, -1216, severity=Severity.LOSS)
    COMMITTED_LOG_MISSING = Rule(FaultKind.COMMITTED_LOG_MISSING,
        "{} with committed transactions {} missing: the last transactions are lost",
        "find the log; only if it is gone for good, recover with loss: esentutl /r BASE /a",
        -582, severity=Severity.LOSS)
    LOGS_MISSING_BETWEEN = Rule(FaultKind.LOG_MISSING, "{} {} missing between {} and {}", _ADD_ARCHIVE, -543)
    LOGS_BEFORE_GAP = Rule(FaultKind.LOGS_BEFORE_GAP,
        "{}: no unbroken run of logs leads from there to {}, and recovery begins with the lowest log",
        f"{_LEFT_OUT}: recovery would stop at the hole", -528, severity=Severity.WARNING)
    LOGS_AFTER_GAP = Rule(FaultKind.LOGS_AFTER_GAP, "{}: not reached, the run of logs ends with {}",
        f"{_LEFT_OUT}: recovery stops at the gap or deletes them", -515, severity=Severity.WARNING)
    LOGS_BEFORE_CLEAN = Rule(FaultKind.LOGS_BEFORE_GAP,
        "{}: no run of logs leads from there to the state of {}, which is shut down",
        LOGS_BEFORE_GAP.next_step, -528, severity=Severity.WARNING)
    NEW_STREAM = Rule(FaultKind.NEW_STREAM,
        "no log here continues {}: the engine starts a new log stream, into which older full and incremental sets "
        "play no more", "take a full backup after the restore", severity=Severity.WARNING)
    SHUTDOWN_UNTOLD = Rule(FaultKind.NEW_STREAM,
        "{} was shut down at {} by its header, attached at {} and detached at {}: no log is sure to continue it",
        NEW_STREAM.next_step, severity=Severity.WARNING)
    SERVERS = Rule(FaultKind.INSTANCES, "the sets are of more than one server or log stream: {}",
        f"{_CHOOSE}, or put each chain into a folder of its own", severity=Severity.WARNING)
    DATABASES_APART = Rule(FaultKind.INSTANCES, "no one of the sets has all databases, and all logs: {0}",
        "begin with the one that needs the lowest log: tokar restore --full {1}; before recovery, put the databases of "
        "the others beside it: tokar restore X --only DB --into DIR --accept-unrecoverable", severity=Severity.WARNING)
    STRAY_LOGS = Rule(FaultKind.STRAY_LOGS, "{}: of a log stream that no database here belongs to",
        _LEFT_OUT, -530, severity=Severity.WARNING)
    CHECKPOINT_DAMAGED = Rule(FaultKind.CHECKPOINT_DAMAGED, "the checkpoint {} cannot be read",
        _NO_CHECKPOINT, -533, severity=Severity.WARNING)
    CHECKPOINT_FOREIGN = Rule(FaultKind.CHECKPOINT_FOREIGN,
        "the checkpoint {} is of another log stream than all else here",
        _NO_CHECKPOINT, -532, severity=Severity.WARNING)
    CHECKPOINT_NEWER = Rule(FaultKind.CHECKPOINT_NEWER,
        "the checkpoint {} stands at {}, after generation 0x{:X} from which {} must be played: "
        "recovery would begin too late and damage the database", _NO_CHECKPOINT, severity=Severity.WARNING)
    FLUSH_MAP_FOREIGN = Rule(FaultKind.FLUSH_MAP_FOREIGN, "{} is out of step with every database here",
        "leave it out: the engine makes a new one", severity=Severity.WARNING)
    LOCATIONS_DAMAGED = Rule(FaultKind.LOCATIONS_DAMAGED, "{}, the list of where these files belong, is no good: {}",
        _NO_LIST, severity=Severity.WARNING)
    LOCATIONS_FOREIGN = Rule(FaultKind.LOCATIONS_FOREIGN,
        "{}, the list of where these files belong, names {}, and not {}: of another set, or from before a new name",
        _NO_LIST, severity=Severity.WARNING)
    LOCATIONS_ELSEWHERE = Rule(FaultKind.LOCATIONS_FOREIGN,
        "{}, the list of where these files belong, has {}, and the logs have {}: of another set, or from before a move",
        _NO_LIST, severity=Severity.WARNING)
    LOGS_IN_NO_SET = Rule(FaultKind.LOG_MISSING, "{} {} in none of the sets", _ADD_ARCHIVE, -543, hard=-557)
    HISTORIES_PARTED = Rule(FaultKind.LOG_FORKED, "histories parted at generation 0x{:X}: it is another log in {}",
        "choose one: tokar restore --branch LOG, a log of the history that is wanted, or name its sets alone", -515)
    LOG_DIFFERS = Rule(FaultKind.LOG_DIFFERS, "{} is the same log in {}, and its bytes differ",
        "examine both with: tokar check --content; restore with the set whose copy is whole")
    LOG_UNCOMPARED = Rule(FaultKind.LOG_DIFFERS, f"{LOG_DIFFERS.text}: which of them is whole nobody looked at",
        LOG_DIFFERS.next_step)
    LOG_TWICE = Rule(FaultKind.LOG_DIFFERS, "{} and {} are the same log, and their content disagrees",
        "leave the one out that was not copied last; tokar check --content shows what is in both", -515)
    OLDER_THAN_FULL = Rule(FaultKind.MISSING_FULL, "{} is older than {}, which begins with generation 0x{:X}",
        "add the full that was taken before it", -560)
    MISSING_FULL = Rule(FaultKind.MISSING_FULL,
        "{} has no database, and no set with the databases of its log stream is here{}",
        "add the full that these logs go on from", -560)
    DATABASE_LEFT_OUT = Rule(FaultKind.MISSING_FULL, "{} has logs alone: {}",
        "see to that file, if it is the database of these logs; else add the full that they go on from", -560)
    FULL_NOT_HERE = Rule(FaultKind.MISSING_FULL, "only the receipt {} is here, not its archive {}{}",
        "bring the archive here", -560)
    LOGS_NOT_HERE = Rule(FaultKind.LOG_MISSING, FULL_NOT_HERE.text, FULL_NOT_HERE.next_step, -543)
    FILE_LOST = Rule(FaultKind.FILE_LOST, "{} {} lost: salvage could not save {}",
        f"{_UNDAMAGED_ARCHIVE}; else stop before what is lost: tokar restore --until GENERATION")
    SALVAGED = Rule(FaultKind.SALVAGED, "{} was salvaged from archive {}: what that had lost is lost here too",
        _UNDAMAGED_ARCHIVE, severity=Severity.WARNING)
    PRIOR_SALVAGED = Rule(FaultKind.SALVAGED, "{} goes on from archive {}, of which {} is what was salvaged",
        _UNDAMAGED_ARCHIVE, severity=Severity.WARNING)
    PRIOR_DIFFERS = Rule(FaultKind.PRIOR_DIFFERS,
        "{} goes on from another archive than {}, although their ids are equal",
        "look for the archive with the root that it names", severity=Severity.WARNING)
# fmt: on
