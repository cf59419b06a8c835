"""What every file of a set says of itself, as plain data: enough to judge the set without opening the files again.

What cannot be read is kept too, with the reason: a file of a format that nobody has described is no fault, a damaged
header is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from tokar import names, tokens
from tokar.ese.content_facts import LogReport, PageReport
from tokar.ese.database import DatabaseHeader
from tokar.ese.trailer import BackupTrailer
from tokar.ese.values import NO_POSITION, NO_TIME, LogPosition, LogTime, Signature
from tokar.sets.packed import packed
from tokar.words import count_text


def is_foreign(profile: str) -> bool:
    """Return whether a profile is of another engine than ESE: nobody here knows what is in its files.

    An archive whose profile was lost (SALV-6) is taken as one of ESE.
    """
    return profile not in {"", tokens.LOST_PROFILE, *tokens.PROFILES}


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """What is known of every file."""

    __slots__ = ()  # those who inherit it keep the values

    name: str  # Its name, safe to print
    size: int = 0  # Bytes of content
    number: int | None = None  # The number of its entry in an archive; None on disk
    digest: bytes | None = None  # The digest of its content, where it comes from an archive
    is_keyed: bool = False  # Whether that is keyed: equal content in two places has other digests then
    content_digest: bytes | None = None  # Of keyed content that was read: the digest without a key
    damaged: bool = False  # It is clearly of its kind, and its header is damaged
    note: str = ""  # Why it cannot be read, or what else is worth saying; empty when there is nothing

    @property
    def stem(self) -> str:
        """The same without its ending, in lower case: what a database shares with its patch file."""
        return (self.leaf.rpartition(".")[0] or self.leaf).lower()

    @property
    def comparable(self) -> bytes | None:
        """The digest that equal content has everywhere; None where nobody knows it."""
        return self.content_digest if self.is_keyed else self.digest

    @property
    def leaf(self) -> str:
        """The part of the name after the last separator."""
        return names.leaf_of(self.name)

    @property
    def folder(self) -> str:
        """The part of the name before that; empty where there is none."""
        return names.folder_in(self.name)


MOST_OFF: Final = 20
"""How many pages that are off their chain are kept; all of them are counted."""


@dataclass(frozen=True, slots=True)
class OffChain:
    """A page that is not where the logs say, or that they cannot have led to where it is."""

    page: int  # Its number; 0 for the database itself
    position: str  # In the logs: of the record that shows it
    text: str  # What is wrong, without the position
    code: int | None = None  # The error the engine gives; None where it gives none

    def __str__(self) -> str:
        """Return what is wrong, and where in the logs."""
        return f"{self.text}, at {self.position}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFacts:
    """What following the pages of a database through its logs found: each change says what was before it."""

    pages: int = 0  # Pages that the logs change
    changes: int = 0  # Changes of them
    off: tuple[OffChain, ...] = ()  # The first pages that are not where they must be
    off_count: int = 0  # All of them
    unattached: OffChain | None = None  # Why the logs do not attach a database that needs them; None where they do
    unwritten: tuple[int, ...] = ()  # Blank pages that pages in use name (`PageReport.lost`), and that no log writes
    # Pairs of pages that do not fit each other (`PageReport.unlinked`), and neither of which the logs change.
    unlinked: tuple[tuple[int, int], ...] = ()
    high: int = 0  # The highest generation of these logs
    why_not: str = ""  # Why no page was followed; empty where they were
    is_explained: bool = False  # Whether the files say that themselves: they have a fault, or there is no log
    is_halted: bool = False  # Whether following began, and came to what nobody can read or decide
    code: int | None = None  # The error of the engine there; None where nobody can tell
    # The databases that are attached where these logs end, whether they are here or not; None where nobody came there.
    attached: tuple[AttachedDatabase, ...] | None = None
    torn: str = ""  # What the last of these logs ends in, where that is no whole record

    @property
    def wrong(self) -> int:
        """How many places were found that are not as they must be."""
        return self.off_count + len(self.unwritten) + len(self.unlinked) + (self.unattached is not None)

    def __str__(self) -> str:
        """Return what it came to, in a sentence."""
        if self.unattached is not None:
            return f"the logs do NOT attach it: {self.unattached.text}"
        if self.why_not:
            return f"its pages were not followed through the logs: {self.why_not}"
        followed = f"{count_text(self.pages, 'page')} followed through {count_text(self.changes, 'change')} in the logs"
        return f"{followed}: {f'{self.wrong:,} NOT where they must be' if self.wrong else 'all where they must be'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts(FileFacts):
    """What a database says of itself."""

    recognised: bool = True  # False where only its token or its name says that it is a database
    header: DatabaseHeader | None = None  # Its header; None where none could be read
    copies_valid: tuple[bool, bool] = (True, True)  # Whether the checksum of each header copy is right
    copies_identical: bool = True  # Whether both copies hold the same bytes
    trailer: BackupTrailer | None = None  # The backup trailer of a streaming copy, where it is in order
    trailer_fault: str = ""  # Why the trailer of a streaming copy is not in order; empty for any other file
    trailer_code: int | None = None  # The error the engine gives for that
    temporary: bool = False  # Whether it is one of the engine's temporary databases
    pages: PageReport | None = None  # What checking its pages found; None where that was not asked for
    chain: ChainFacts | None = None  # Whether its pages stand where its logs say; None where that was not asked for

    def is_followed_to(self, generation: int) -> bool:
        """Return whether somebody looked where its pages stand in the logs up to a generation, as far as that goes."""
        if self.pages is None or self.pages.not_verified:
            return True  # that nobody looked at its pages at all is said elsewhere
        chain = self.chain
        if chain is None or not chain.why_not:
            return chain is not None and chain.high >= generation
        return chain.is_halted and not self.why_halted

    def attached_at(self, generation: int) -> tuple[AttachedDatabase, ...] | None:
        """Return what is attached where its logs end with a generation; None where nobody followed them there."""
        return self.chain.attached if self.chain is not None and self.chain.high == generation else None

    @property
    def is_unreadable_chain(self) -> bool:
        """Whether somebody looked at the records of its logs, and could not read them: then their headers decide."""
        return self.chain is not None and self.chain.is_halted

    @property
    def why_halted(self) -> str:
        """Why following its pages ended, where what is there should be readable; empty elsewhere.

        Records of an engine that is not known are none from the first one on, and nobody can follow them; pages of an
        engine that is known have logs of it.
        """
        chain, owned = self.chain, self.pages.owned if self.pages is not None else 0
        return chain.why_not if chain is not None and chain.is_halted and (chain.changes or owned) else ""

    @property
    def is_backup_copy(self) -> bool:
        """Whether a streaming backup made this file, whether or not its trailer has been taken over."""
        return self.header is not None and self.header.current_full.generation_low != 0


@dataclass(frozen=True, slots=True)
class AttachedDatabase:
    """A database that a log names as attached: where it lay then, and its signature."""

    path: str
    signature: Signature
    attach_position: LogPosition = NO_POSITION  # Where it was attached
    consistent_position: LogPosition = NO_POSITION  # Where it had been shut down before


@packed
@dataclass(frozen=True, eq=False, kw_only=True)
class LogFacts(FileFacts):
    """What a log says of itself."""

    # From the header, or from the name where the header cannot be read; None where neither tells.
    generation: int | None = None
    named_generation: int | None = None  # What a numbered name claims
    base: str = ""  # The base name of its stream in lower case, from the name
    service_base: str = ""  # The one that its service looks for; empty where no such service is known
    current: bool = False  # Whether its name is that of the current log
    signature: Signature | None = None  # The log stream; None where the header cannot be read
    created: LogTime = NO_TIME  # When it was created
    previous_created: LogTime = NO_TIME  # When the generation before was created
    format: str = ""  # Version as four numbers; empty where the header cannot be read
    is_newer: bool = False  # Whether its format is newer than any that is known
    expected_size: int = 0  # Bytes that the header calls for
    page_size: int = 0  # Bytes in a page of its databases
    sector_size: int = 0  # Bytes in a sector, which positions count
    reaches: int = 0  # The furthest position in the log before that its header gives, in bytes
    # The furthest position in it that the header of a database or of the next log gives, in bytes, and that file.
    reached: int = 0
    reached_by: str = ""
    # The accumulated segment checksum of the log before; None where the format has none.
    previous_segments_xor: int | None = None
    attached: tuple[AttachedDatabase, ...] = ()  # The databases attached when it was created
    content: LogReport | None = None  # What checking its content found; None where that was not asked for
    # The digests of copies that hold less, or are damaged, which were compared with it: those of which it has all that
    # is whole in them, and the others.
    goes_on_from: tuple[bytes, ...] = ()
    parted_from: tuple[bytes, ...] = ()

    @property
    def is_blank(self) -> bool:
        """Whether nothing is in it although there must be: a closed log has content, and so has one that is written."""
        return self.content is not None and self.content.is_blank and bool(self.reached or not self.current)

    @property
    def has_engine_name(self) -> bool:
        """Whether the engine finds it: the name of the current log, or one with the number that its header has."""
        return self.current or self.named_generation == self.generation is not None

    @property
    def place(self) -> tuple[str, str]:
        """Its folder and its base name, which the logs of one stream share."""
        return self.folder, self.base

    @property
    def suffix(self) -> str:
        """The end of its name in lower case: `log`, or `jtx` in newer instances, which look for that alone."""
        return self.leaf.rpartition(".")[2].lower()

    @property
    def is_opaque(self) -> bool:
        """Whether it is of a format whose header is not known: only its name says which generation it is."""
        return self.signature is None and not self.damaged


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFacts(FileFacts):
    """A patch file: mostly empty in a modern backup; with pages of data it is kept and never interpreted."""

    trailer: BackupTrailer | None = None  # The bookkeeping of the backup, where it has that and nothing else
    database: DatabaseFacts | None = None  # What it is by its header, where only its name says that it is a patch file


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingFacts(FileFacts):
    """What the header of a streaming file says; its content carries no checksums of its own."""

    header: DatabaseHeader | None = None  # Its header; None where none could be read

    def belongs_to(self, database: DatabaseHeader) -> bool:
        """Return whether it and a database are a pair, going by the signatures that both headers keep."""
        own = self.header
        if own is None:
            return False
        if own.streaming_signature.is_set and database.streaming_signature.is_set:
            return own.streaming_signature == database.streaming_signature
        return own.signature.is_set and own.signature == database.signature


@dataclass(frozen=True, slots=True, kw_only=True)
class AsideFacts(FileFacts):
    """A file that an earlier restore set aside, or did not place: whatever is in it, it is no part of the set."""

    @property
    def why(self) -> str:
        """Why it is no part of the set."""
        return names.why_apart(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class NextLogFacts(FileFacts):
    """A log that was being prepared: with no current log the engine goes on with it. Its content is never judged."""

    log: LogFacts | None = None  # What its header says: of the log that it was before, or still is


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointFacts(FileFacts):
    """What a checkpoint file says."""

    position: LogPosition = NO_POSITION  # Where recovery would begin
    signature: Signature | None = None  # The log stream; None where neither copy can be read


@dataclass(frozen=True, slots=True, kw_only=True)
class FlushMapFacts(FileFacts):
    """What a flush map says."""

    header_flush_signature: Signature | None = None  # Of the database header it was last in step with
    signature: Signature | None = None  # Its own, which the database repeats while the two are in step


@dataclass(frozen=True, slots=True, kw_only=True)
class ListFacts:
    """What the location list says that an archive keeps as the server gave it."""

    is_certutil: bool = False  # Whether certutil writes it as a file
    note: str = ""  # Why it cannot be read
    is_empty: bool = False  # Whether nothing is in it
    databases: tuple[str, ...] = ()  # The paths of the database files in it
    has_folders: bool = False  # Whether it gives directories for databases, which name no file


@dataclass(frozen=True, slots=True)
class LostFile:
    """What salvage could not save of a set."""

    name: str  # Its name, or which entries it was
    reason: str  # Why
    of: str  # The archive that says so
    is_part: bool = False  # Whether it is here, and only a part of it is lost


@dataclass(frozen=True, kw_only=True)
class SetFacts:
    """What the files of one set say of themselves."""

    source: str = ""  # The archive or folder
    databases: tuple[DatabaseFacts, ...] = ()  # The databases
    logs: tuple[LogFacts, ...] = ()  # The logs
    patches: tuple[PatchFacts, ...] = ()  # The patch files
    streaming: tuple[StreamingFacts, ...] = ()  # The streaming files
    # Where databases are that are in other sets of the chain, by their signatures.
    elsewhere: Mapping[Signature, str] = field(default_factory=dict)
    next_logs: tuple[NextLogFacts, ...] = ()  # Logs that were being prepared
    checkpoints: tuple[CheckpointFacts, ...] = ()  # Checkpoint files, which are no part of a backup by procedure
    flush_maps: tuple[FlushMapFacts, ...] = ()  # Flush maps
    aside: tuple[AsideFacts, ...] = ()  # Files that an earlier restore set aside, or did not place
    locations: ListFacts | None = None  # The location list of its server; None where none was kept
    # Files that may be its database, and were not taken: their names, each with the reason.
    not_taken: tuple[tuple[str, str], ...] = ()
    lost: tuple[LostFile, ...] = ()  # What salvage could not save of it
    links: tuple[str, ...] = ()  # What has the name of a log or database and is a link: its name
    leftovers: tuple[str, ...] = ()  # Logs and databases not taken, as an earlier restore left them
    # What other sets of the chain have in the place of databases, and is none: its name, and what it is.
    in_place: tuple[tuple[str, str], ...] = ()
    hives: tuple[str, ...] = ()  # Hives of the registry, as installation media of a directory have them: their names
    hives_left_out: tuple[str, ...] = ()  # Those that were seen, and are not in the set
    other_count: int = 0  # Files that are none of these
    # Of one folder that is recovered by itself: all that its archive holds. None of a whole set.
    folders: SetFacts | None = field(default=None, compare=False, repr=False)
    examined: bool = False  # Whether pages and segments were checked, not only headers
    # The profile of its tokens, empty for files on disk: that of whoever asks, not what the files say.
    profile: str = field(default="", compare=False)
    # Whether a service handed them out by its procedure, which never has the current log; as the archive says.
    by_procedure: bool = field(default=False, compare=False)

    @property
    def generations(self) -> tuple[int, int] | None:
        """The lowest and the highest generation of its logs; None without logs."""
        found = (log.generation for log in self.logs if log.generation is not None)
        first = next(found, None)
        if first is None:
            return None
        low = high = first
        for one in found:
            low, high = min(low, one), max(high, one)
        return low, high

    @property
    def is_without_a_set(self) -> bool:
        """Whether it holds neither a database nor a log; a temporary database counts as none."""
        return all(one.temporary for one in self.databases) and not self.logs

    @property
    def holds_other_files_of_an_engine(self) -> bool:
        """Whether it holds what lies beside databases and logs, and is nothing without them."""
        beside = self.patches or self.streaming or self.next_logs or self.checkpoints or self.flush_maps
        return bool(beside or self.aside or self.databases)

    @property
    def paths(self) -> Mapping[str, str]:
        """Where its databases lay when they were copied, as the last log says, by name; of those that logs name."""
        lay = {one.signature: one.path for log in self.logs for one in log.attached}
        known = {one.name: one.header.signature for one in self.databases if one.header is not None}
        return {name: lay[signature] for name, signature in known.items() if signature in lay}

    @cached_property
    def were_verified(self) -> bool:
        """Whether pages and segments of each database and log with a readable header were verified, now or before."""
        looked_at = {one.pages is not None for one in self.databases if one.header is not None}
        looked_at.update(one.content is not None for one in self.logs if one.signature is not None)
        return self.examined or looked_at == {True}

    @property
    def signatures(self) -> frozenset[Signature]:
        """The signatures of its databases; a temporary one counts as none."""
        return frozenset(one.header.signature for one in self.databases if one.header is not None and not one.temporary)

    @property
    def owned_streams(self) -> frozenset[Signature]:
        """The log streams that its databases belong to."""
        found = (one.header.log_signature for one in self.databases if one.header is not None)
        return frozenset(one for one in found if one.is_set)

    @property
    def has_unreadable_database(self) -> bool:
        """Whether there is a database that does not say which logs and flush map are its own."""
        return any(database.header is None for database in self.databases)
