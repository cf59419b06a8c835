"""The licence to truncate, and the seal check, which alone can make one.

Nothing in the interfaces tells a server that the client's copy is safe; truncating before it is loses the logs (Q159838
step 8; CertSrvBackupTruncateLogs). So the step takes an object that cannot be made by hand. The rules, as in
spec/procedure.md:

* LIC-1 Only for a full or an incremental, never for a differential or a copy, and never from a source that nobody may
  delete from.
* LIC-2 The archive is a file: synced, renamed without replacing anything, its directory synced, and opened again. Never
  a pipe.
* LIC-3 All of its content was decoded from that file and held against every digest, without a fault.
* LIC-4 The names that the server listed and the entries of the archive are equal one to one: token, name, order, size.
* LIC-5 Every needed generation is there: the logs of the set are contiguous and of one log stream, and reach over what
  its databases need.
* LIC-6 No page and no log segment is damaged. Accepting damage does not license.
* LIC-7 Logs only: a prior set was named, of the same log stream, and these logs go on where it ends.
* LIC-8 A licence is for one session and works once.

It does no file access: what it looks at is handed in as `Evidence` by whoever opened the archive again.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from tokar.errors import ArchiveError, IntegrityError, ProcedureError, SetError
from tokar.server.contract import BackupType
from tokar.server.states import BackupState

if TYPE_CHECKING:
    from tokar.server.backup_steps import BackupProcedure
    from tokar.server.content import ListedFile

_SEAL: Final = object()
"""What the constructor asks for. Nothing outside this module may name it; tests/server/test_licence.py looks for it."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry of the archive, as the archive opened again shows it."""

    token: int
    raw_name: bytes
    size: int


@dataclass(frozen=True, slots=True)
class LogFacts:
    """What one log of the set says of itself."""

    name: str  # Its name, safe to print
    generation: int  # Its generation
    # Identity of its log stream, comparable and printable; None where the format does not say.
    stream: str | None = None
    created: str | None = None  # Its creation time, comparable; None where the format does not say
    previous_created: str | None = None  # Creation time of the generation before; None likewise


@dataclass(frozen=True, slots=True)
class Needed:
    """The logs that a database of the set needs: generations from `low` to `high`, of the stream, where it says which."""

    name: str
    low: int
    high: int
    stream: str | None = None


@dataclass(frozen=True, slots=True)
class PriorSet:
    """The set before a logs-only one."""

    archive_id: bytes  # Id of its archive, 16 bytes
    root: bytes  # Root of its archive, 32 bytes
    generation_high: int  # Its highest generation
    stream: str | None = None  # Its log stream; None where that is not known
    created: str | None = None  # Creation time of its highest log; None where that is not known
    server: str | None = None  # The server it came from; None where that is not known


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found when the sealed archive was opened again."""

    durable: bool  # Synced, renamed without replacing, directory synced: a file, not a pipe
    archive_id: bytes  # Id of the archive that was opened
    root: bytes  # Its root
    sealed_id: bytes  # Id that the writer reported
    sealed_root: bytes  # Root that the writer reported
    content_decoded: bool  # Whether all content was decoded and held against its digests
    faults: tuple[ArchiveError, ...]  # What was wrong in it
    entries: tuple[Stored, ...]  # Its entries, in order
    logs: tuple[LogFacts, ...]  # What each log of the set says, in order of generation
    needed: tuple[Needed, ...] = ()  # What each database of the set needs
    damaged: tuple[str, ...] = ()  # Files with damaged pages or segments, each with a few words
    unexamined: tuple[str, ...] = ()  # Files whose pages or segments were not looked at, although they could have been
    prior: PriorSet | None = None  # The prior set that was named, if any
    server: str | None = None  # The server of this set


class TruncationLicence:
    """The right to call TruncateLogs once, in one session. Only `check_seal` makes one.

    Args:
        seal: What only this module has.
        procedure: The session it is for.
        archive_id: The archive it was given for.

    Raises:
        ProcedureError: Somebody else tried.
    """

    __slots__ = ("_procedure", "_used", "archive_id")

    def __init__(self, seal: object, procedure: BackupProcedure, archive_id: bytes) -> None:
        if seal is not _SEAL:
            raise ProcedureError("a licence to truncate comes from the seal check alone")
        self._procedure = procedure
        self._used = False
        self.archive_id = archive_id

    def use(self, procedure: BackupProcedure) -> None:
        """Use the licence up (LIC-8).

        Raises:
            ProcedureError: It is for another session, or it was used before.
        """
        if procedure is not self._procedure:
            raise ProcedureError("this licence to truncate is for another session")
        if self._used:
            raise ProcedureError("this licence to truncate was used before")
        self._used = True

    def __copy__(self) -> TruncationLicence:
        raise ProcedureError("a licence to truncate cannot be copied")

    def __deepcopy__(self, memo: dict[int, object]) -> TruncationLicence:
        return self.__copy__()

    def __reduce__(self) -> str:
        raise ProcedureError("a licence to truncate cannot be stored")


def check_seal(procedure: BackupProcedure, evidence: Evidence) -> TruncationLicence:
    """Hold a sealed archive against the session that filled it, and give the licence.

    Raises:
        ProcedureError: This kind of backup or this source does not truncate, or the archive is not a durable file
            (LIC-1, LIC-2), or no prior was named (LIC-7).
        IntegrityError: The archive is not what was sealed, or its content has a fault, or it holds other files than
            were listed (LIC-3, LIC-4).
        SetError: The set has damage or lacks logs, or does not go on where its prior ends (LIC-5 to LIC-7).
    """
    _demand_kind(procedure)
    if not evidence.durable:
        raise ProcedureError("logs are truncated only for an archive that is a durable file, never for a pipe")
    _demand_content(evidence)
    _demand_listed(procedure.listed, evidence.entries)
    demand_contiguous(evidence.logs)
    if procedure.kind.backup_type is BackupType.FULL:
        demand_needed(evidence.logs, evidence.needed)
    _demand_sound(evidence)
    if procedure.kind.backup_type is BackupType.LOGS_ONLY:
        demand_continues(evidence.logs, evidence.prior, evidence.server)
    return TruncationLicence(_SEAL, procedure, evidence.archive_id)


def _demand_kind(procedure: BackupProcedure) -> None:
    """LIC-1; and the session must stand right after its seal."""
    if not procedure.kind.truncates:
        raise ProcedureError(f"a {procedure.kind} backup never truncates logs")
    if not procedure.source_truncates:
        raise ProcedureError("nothing may be deleted from this source")
    if procedure.state is not BackupState.SEALED:
        raise ProcedureError(f"a licence to truncate is given after the seal, not in the state {procedure.state}")


def _demand_content(evidence: Evidence) -> None:
    """LIC-3."""
    if (evidence.archive_id, evidence.root) != (evidence.sealed_id, evidence.sealed_root):
        raise IntegrityError(
            "the archive under the final name is not the one that was sealed",
            expected=evidence.sealed_root,
            actual=evidence.root,
        )
    if evidence.faults:
        raise evidence.faults[0]
    if not evidence.content_decoded:
        raise ProcedureError("the content of the archive was not held against its digests")


def _demand_listed(listed: list[ListedFile], entries: tuple[Stored, ...]) -> None:
    """LIC-4."""
    wanted = [(file.token, file.raw_name, file.announced_size) for file in listed]
    if [(entry.token, entry.raw_name, entry.size) for entry in entries] != wanted:
        raise IntegrityError(
            f"the server listed {len(wanted)} files, the archive holds {len(entries)} that are not the same"
        )


def demand_contiguous(logs: tuple[LogFacts, ...]) -> None:
    """Check that logs follow each other without a gap, in one stream (LIC-5).

    Raises:
        SetError: They do not.
    """
    if not logs:
        raise SetError("the set has no log, so nothing can be recovered from it")
    for before, log in pairwise(logs):
        if log.generation == before.generation:
            raise SetError(f"two logs have generation 0x{log.generation:X}: {before.name} and {log.name}")
        if log.generation != before.generation + 1:
            raise SetError(f"the logs have a gap between generations 0x{before.generation:X} and 0x{log.generation:X}")
        _demand_same_stream(before.stream, log.stream, log.name)
        _demand_link(before.created, log)


def demand_needed(logs: tuple[LogFacts, ...], needed: tuple[Needed, ...]) -> None:
    """Check that the logs of a full cover what its databases need (LIC-5).

    Raises:
        SetError: They do not.
    """
    low, high = logs[0].generation, logs[-1].generation
    for need in needed:
        _demand_same_stream(logs[0].stream, need.stream, need.name)
        if not low <= need.low <= need.high <= high:
            message = (
                f"{need.name} needs generations 0x{need.low:X} to 0x{need.high:X}, the set has 0x{low:X} to 0x{high:X}"
            )
            raise SetError(message)


def demand_continues(logs: tuple[LogFacts, ...], prior: PriorSet | None, server: str | None) -> None:
    """Check that logs go on where the prior set ends (LIC-7). Overlap is legal.

    Raises:
        ProcedureError: No prior was named.
        SetError: There is a gap, or the prior is of another log stream or server.
    """
    if prior is None:
        raise ProcedureError(
            "logs are truncated only when the set before this one is named",
            hint="name it: --after PRIOR, or --chain DIR",
        )
    if prior.server and server and prior.server.casefold() != server.casefold():
        raise SetError(f"the prior set came from the server {prior.server}, this one from {server}")
    first = logs[0]
    if first.generation > prior.generation_high + 1:
        raise SetError(
            f"generations 0x{prior.generation_high + 1:X} to 0x{first.generation - 1:X} are in neither set",
            hint="take a full; it starts a new chain",
        )
    if logs[-1].generation < prior.generation_high:
        raise SetError(
            f"the prior set reaches generation 0x{prior.generation_high:X}, these logs end at 0x{logs[-1].generation:X}",
            hint="the log stream began anew, or the prior set is another server's; take a full",
        )
    _demand_same_stream(prior.stream, first.stream, first.name)
    for log in logs:
        if log.generation == prior.generation_high and None not in (prior.created, log.created):
            if prior.created != log.created:
                raise SetError(f"{log.name} is another log than the prior set has under this generation: a fork")
        elif log.generation == prior.generation_high + 1:
            _demand_link(prior.created, log)


def _demand_same_stream(one: str | None, other: str | None, name: str) -> None:
    if None not in (one, other) and one != other:
        raise SetError(f"{name} belongs to another log stream", hint="files of different histories must not be mixed")


def _demand_link(created: str | None, log: LogFacts) -> None:
    if None not in (created, log.previous_created) and created != log.previous_created:
        raise SetError(f"{log.name} does not follow the log before it: their creation times do not link")


def _demand_sound(evidence: Evidence) -> None:
    """LIC-6."""
    if evidence.damaged:
        raise SetError(f"the set has damaged pages or segments: {evidence.damaged[0]}")
    if evidence.unexamined:
        raise ProcedureError(
            f"pages or segments were not examined: {evidence.unexamined[0]}",
            hint="leave the examination on to truncate",
        )
