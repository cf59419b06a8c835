"""The licence to truncate, and the seal check, which alone can make one.

Nothing in the interfaces tells a server that the client's copy is safe; truncating before it is loses the logs (Q159838
step 8; CertSrvBackupTruncateLogs). So the step takes an object that cannot be made by hand. The rules, as in
spec/procedure.md:

* LIC-1 Only for a full or an incremental, never for a differential or a copy, and never from a source that nobody may
  delete from.
* LIC-2 The archive is a file: synced, renamed without replacing anything, its name durable too, and opened again. Never
  a pipe, and never where the file system cannot promise all of that.
* LIC-3 All of its content was decoded from that file and held against every digest, without a fault.
* LIC-4 The names that the server listed and the entries of the archive are equal one to one: token, name, order, size.
* LIC-5 The logs of the set are contiguous, of one log stream, and continue each other; and the verdict on the set is
  that every database in it can be recovered from it. One whose need is not known is not enough.
* LIC-6 No file is damaged, and all of it was examined. Accepting damage does not license.
* LIC-7 Logs only: a prior set was named, of the same log stream, and these logs go on where it ends.
* LIC-8 A licence is for one session and works once.
* LIC-10 Of another engine than ESE nothing is judged: its logs are contiguous, and go on from the prior set, by the
  numbers in their names.

It does no file access: what it judges is handed in as `Evidence` by whoever opened the archive again. What is true of a
set is asked of `tokar.sets` alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol

from tokar.errors import ArchiveError, IntegrityError, ProcedureError, SetError
from tokar.server.content import ListedFile
from tokar.server.contract import BackupKind, BackupType
from tokar.server.states import BackupState
from tokar.sets.database_verdict import Verdict
from tokar.sets.facts import LogFacts, SetFacts
from tokar.sets.faults import Fault, FaultKind, Scope
from tokar.sets.judge import SetVerdict, judge_set
from tokar.sets.links import LinkFault, link
from tokar.storage.durable import Capability
from tokar.words import count_text, log_range, noun

_SEAL: Final = object()
"""What the constructor asks for. Nothing outside this module may name it; tests/server/test_licence.py looks for it."""
_LICENSED: Final = {Verdict.CLEAN, Verdict.RECOVERABLE, Verdict.TEMPORARY}
_HARMLESS: Final = {
    FaultKind.DATABASE_REPAIRED,
    FaultKind.HEADER_COPY,
    FaultKind.PAGES_CORRECTABLE,
    FaultKind.STATE_UNUSABLE,  # a true copy of a database that no log helps
}
"""Faults of single files that are no damage."""
_LINKS: Final = {
    LinkFault.SIGNATURE: "belongs to another log stream",
    LinkFault.TIME: "does not follow the log before it: their creation times do not link",
    LinkFault.SIZE: "has another size than the log before it",
    LinkFault.CONTENT: "was not written after the log before it: its content has changed or is cut",
}
_TAKE_FULL: Final = "take a full; it starts a new chain, and the logs are still on the server"
_SEE: Final = "see with tokar check --content what is wrong, and take another backup; the logs are still on the server"
_LACKS: Final = {
    Capability.SYNC: "nothing can be made durable",
    Capability.NO_REPLACE: "a file cannot be given its name without the risk of replacing another",
    Capability.NAME_SYNC: "a name cannot be made durable",
}


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry of the archive, as the archive opened again shows it."""

    token: int
    raw_name: bytes
    size: int


@dataclass(frozen=True, slots=True)
class PriorSet:
    """The set before a logs-only one."""

    archive_id: bytes  # Id of its archive, 16 bytes
    root: bytes  # Root of its archive, 32 bytes
    log: LogFacts  # Its highest log
    server: str | None = None  # The server it came from; None where that is not known

    @property
    def generation_high(self) -> int:
        """Its highest generation."""
        return self.log.generation or 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found when the sealed archive was opened again."""

    capabilities: frozenset[Capability]  # What the place could promise of the file: LIC-2 asks for all of it
    archive_id: bytes  # Id of the archive that was opened
    root: bytes  # Its root
    sealed_id: bytes  # Id that the writer reported
    sealed_root: bytes  # Root that the writer reported
    content_decoded: bool  # Whether all content was decoded and held against its digests
    faults: tuple[ArchiveError, ...]  # What was wrong in it
    entries: tuple[Stored, ...]  # Its entries, in order
    facts: SetFacts  # What its files say of themselves, all of their content examined
    prior: PriorSet | None = None  # The prior set that was named, if any
    server: str | None = None  # The server of this set


def damage_of(verdict: SetVerdict) -> tuple[Fault, ...]:
    """Return the faults that say that a file of a set is damaged, whether or not a database needs it."""
    return tuple(one for one in verdict.faults if one.kind.scope is Scope.FILE and one.kind not in _HARMLESS)


def fault_text(fault: Fault) -> str:
    """Return a fault in words, with the error that the engine gives."""
    return f"{fault.message} ({fault.engine})" if fault.engine else fault.message


class Session(Protocol):
    """What the seal check asks of a session: `tokar.server.backup_steps.BackupProcedure`."""

    kind: BackupKind  # What is being done
    listed: list[ListedFile]  # Every file that was listed, in order

    @property
    def state(self) -> BackupState:
        """Where it stands."""

    @property
    def source_truncates(self) -> bool:
        """Whether logs of the source may be truncated at all."""


class TruncationLicence:
    """The right to call TruncateLogs once, in one session. Only `check_seal` makes one.

    Args:
        seal: What only this module has.
        session: The session it is for.
        archive_id: The archive it was given for.

    Raises:
        ProcedureError: Somebody else tried.
    """

    __slots__ = ("_session", "_used", "archive_id")

    def __init__(self, seal: object, session: Session, archive_id: bytes) -> None:
        if seal is not _SEAL:
            raise ProcedureError("a licence to truncate comes from the seal check alone")
        self._session = session
        self._used = False
        self.archive_id = archive_id

    def use(self, session: Session) -> None:
        """Use the licence up (LIC-8).

        Raises:
            ProcedureError: It is for another session, or it was used before.
        """
        if session is not self._session:
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


def check_seal(session: Session, evidence: Evidence) -> TruncationLicence:
    """Hold a sealed archive against the session that filled it, and give the licence.

    Raises:
        ProcedureError: This kind of backup or this source does not truncate, or the archive is not a durable file
            (LIC-1, LIC-2), or no prior was named (LIC-7).
        IntegrityError: The archive is not what was sealed, or its content has a fault, or it holds other files than
            were listed (LIC-3, LIC-4).
        SetError: The set has damage or lacks logs, or does not go on where its prior ends (LIC-5 to LIC-7).
    """
    _demand_kind(session)
    if lacking := [_LACKS[one] for one in Capability if one not in evidence.capabilities]:
        raise ProcedureError(
            f"logs are truncated only for an archive that is a durable file, and where it lies {lacking[0]}",
            hint="write the archive to another file system; the logs are still on the server",
        )
    _demand_content(evidence)
    _demand_listed(session.listed, evidence.entries)
    verdict = judge_set(evidence.facts)
    _demand_sound(evidence.facts, verdict)
    demand_contiguous(evidence.facts.logs)
    _demand_recoverable(verdict)
    if session.kind.backup_type is BackupType.LOGS_ONLY:
        demand_continues(evidence.facts.logs, evidence.prior, evidence.server)
    return TruncationLicence(_SEAL, session, evidence.archive_id)


def _demand_kind(session: Session) -> None:
    """LIC-1; and the session must stand right after its seal."""
    if not session.kind.truncates:
        raise ProcedureError(f"a {session.kind} backup never truncates logs")
    if not session.source_truncates:
        raise ProcedureError("nothing may be deleted from this source")
    if session.state is not BackupState.SEALED:
        raise ProcedureError(f"a licence to truncate is given after the seal, not in the state {session.state}")


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
            f"the server listed {count_text(len(wanted), 'file')}, the archive holds {len(entries)}, not the same"
        )


def demand_contiguous(logs: Sequence[LogFacts]) -> None:
    """Check that logs follow each other without a gap, in one stream (LIC-5).

    Args:
        logs: The logs of a set, in the order of their generations.

    Raises:
        SetError: They do not.
    """
    if not logs:
        raise SetError("the set has no log, so nothing can be recovered from it", hint=_TAKE_FULL)
    for log in logs:
        if log.generation is None:
            raise SetError(f"{log.name}: its generation cannot be told", hint=_SEE)
    for before, log in pairwise(logs):
        if log.generation == before.generation:
            message = f"two logs have generation 0x{log.generation or 0:X}: {before.name} and {log.name}"
            raise SetError(message, hint=_SEE)
        _demand_link(before, log)
    demand_one_stream(logs)


def demand_one_stream(logs: Iterable[LogFacts]) -> None:
    """Check that all logs that say so are of one stream, also where logs of an unknown format lie between them (LIC-7).

    Raises:
        SetError: They are not.
    """
    readable = [log for log in logs if log.signature is not None]
    for log in readable:
        if log.signature != readable[0].signature:
            raise _unlinked(log, LinkFault.SIGNATURE)


def _demand_link(before: LogFacts, log: LogFacts) -> None:
    fault = link(before, log).fault
    if fault is LinkFault.GENERATION:
        gap = f"0x{before.generation or 0:X} and 0x{log.generation or 0:X}"
        raise SetError(f"the logs have a gap between generations {gap}", hint=_TAKE_FULL)
    if fault is not None:
        raise _unlinked(log, fault)


def _unlinked(log: LogFacts, fault: LinkFault) -> SetError:
    return SetError(f"{log.name} {_LINKS[fault]}", hint="files of different histories must not be mixed")


def _demand_sound(facts: SetFacts, verdict: SetVerdict) -> None:
    """LIC-6."""
    if damage := damage_of(verdict):
        raise SetError(f"the set has damage: {fault_text(damage[0])}", hint=_SEE)
    if not facts.examined:
        raise ProcedureError("pages and segments were not examined", hint="leave the examination on to truncate")


def _demand_recoverable(verdict: SetVerdict) -> None:
    """LIC-5: what is not known to be recoverable from this set may need the very logs that would go."""
    for fault in verdict.blocking:
        raise SetError(f"the set cannot be recovered as it is: {fault_text(fault)}", hint=fault.next_step)
    for one in verdict.databases:
        if one.verdict not in _LICENSED or one.reaches < one.need.committed:
            why = one.not_checked[0] if one.not_checked else f"{one.name}: {one}"
            raise SetError(f"whether this set can be recovered is not known: {why}", hint=_SEE)


def demand_server(prior: PriorSet, server: str | None) -> None:
    """Check that the prior set came from the same server, where both say which (LIC-7).

    Raises:
        SetError: It did not.
    """
    if is_other_server(prior.server, server):
        raise SetError(
            f"the prior set came from the server {prior.server}, this one from {server}",
            hint="name the last set of this server, or take a full",
        )


def is_other_server(one: str | None, other: str | None) -> bool:
    """Return whether two sets say that they came from different servers."""
    return bool(one and other and one.casefold() != other.casefold())


def demand_continues(logs: Sequence[LogFacts], prior: PriorSet | None, server: str | None) -> None:
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
    demand_server(prior, server)
    low, high, end = logs[0].generation or 0, logs[-1].generation or 0, prior.generation_high
    if low > end + 1:
        raise SetError(
            f"{log_range(end + 1, low - 1)} {noun(low - end - 1, 'is', 'are')} in neither set",
            hint="take a full; it starts a new chain",
        )
    if high < end:
        raise SetError(
            f"the prior set reaches generation 0x{end:X}, these logs end at 0x{high:X}",
            hint="the log stream began anew, or the prior set is another server's; take a full",
        )
    demand_one_stream((prior.log, *logs))
    for log in logs:
        if log.generation == end and not (log.is_opaque or prior.log.is_opaque):
            if log.created != prior.log.created:
                message = f"{log.name} is another log than the prior set has under this generation: a fork"
                raise SetError(message, hint=_TAKE_FULL)
        elif log.generation == end + 1:
            _demand_link(prior.log, log)
