"""What follows a restore: which recovery, what Register is told, the next commands, and what not to run.

Placing files recovers nothing. A copy from a streaming backup needs hard recovery, which is registered with the service
or asked for by the program that owns the database; anything else needs what a crash needs, or nothing at all. Pure:
facts and places in, guidance out.

Sources: Exchange Server SDK, "Restoring Directory or Information Store Data"; Win32 documentation, "Restoring an Active
Directory Server", "Restoring Certificate Services from Backup", CertSrvRestoreRegisterW; Extensible Storage Engine
documentation, JetExternalRestore; Microsoft Knowledge Base Q200941, Q179654, Q147121, Q183380.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from tokar import names
from tokar.as_json import as_json, fields_json
from tokar.ese.filenames import NameRole, parse_file_name
from tokar.restore.options import Request
from tokar.restore.plan import Plan
from tokar.sets.facts import DatabaseFacts, LogFacts, SetFacts, is_foreign
from tokar.sets.need import Basis, need_of
from tokar.sets.selection import ChainSelection
from tokar.tokens import CHECKPOINT_DIR, LOG_DIR, Role, role


class Recovery(StrEnum):
    """The recovery that follows."""

    NONE = "none"
    SOFT = "soft"
    HARD = "hard"
    NOT_CHECKED = "not-checked"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoredSet:
    """One set of a restore."""

    label: str  # What messages call it
    low: int  # Its lowest log, which is registered for it; 0 without logs, or where it has none under a number
    high: int  # Its highest log
    has_databases: bool  # Whether databases are restored from it


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a plan puts what recovery needs. A path is None where the plan has no one place."""

    # For exactly the databases that are restored, the name at the backup and the path now.
    databases: tuple[tuple[str, str], ...] = ()
    log_path: str | None = None  # The log directory
    checkpoint_path: str | None = None  # The directory of the checkpoint
    backup_log_path: str | None = None  # The directory with the restored logs
    base: str = ""  # The base name of the logs; empty where it is not known
    # The highest log, where no current one is placed: the engine looks for the current one and answers -528.
    highest_log: str = ""
    # What soft recovery is to give up, as options of esentutl: `/i` databases that are not here, `/a` committed logs.
    give_up: tuple[str, ...] = ()


_NO_PATHS: Final[Mapping[str, str]] = MappingProxyType({})
NO_PLACES: Final = Places()


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What Register is told about one set."""

    label: str  # The set
    checkpoint_path: str | None  # The directory of the checkpoint
    log_path: str | None  # The log directory
    backup_log_path: str | None  # The directory with the restored logs
    # Name at the backup and path now of each database; None for a logs-only set, with a count of 0.
    restore_map: tuple[tuple[str, str], ...] | None
    low: int  # Its lowest log
    high: int  # Its highest log

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        rows = self.restore_map
        return {
            "set": self.label,
            **fields_json(self, "checkpoint_path", "log_path", "backup_log_path"),
            "restore_map": None if rows is None else [{"old": old, "new": new} for old, new in rows],
            "restore_map_count": len(rows or ()),
            "generation_low": self.low,
            "generation_high": self.high,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """What follows a restore."""

    recovery: Recovery  # The recovery that follows
    low: int = 0  # The first log that is played; 0 where none is, or where that is not known
    high: int = 0  # The last one
    registrations: tuple[Register, ...] = ()  # What Register is told, set by set, in this order
    next_steps: tuple[str, ...] = ()  # What to do next, in order
    never: tuple[str, ...] = ()  # What not to run, and why
    not_checked: tuple[str, ...] = ()  # What nobody has looked at

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {
            "kind": self.recovery.value,
            "generations": {"low": self.low, "high": self.high} if self.low else None,
            "registrations": as_json(self.registrations),
            "next": list(self.next_steps),
            "never": list(self.never),
            "not_checked": list(self.not_checked),
        }


def restored_sets(selection: ChainSelection, placed: Sequence[LogFacts]) -> Iterator[RestoredSet]:
    """Yield the sets of a chain. Hard recovery looks for each log under its number, and goes on with the current one.

    Args:
        selection: What is restored from which set.
        placed: What its logs say of themselves.
    """
    logs = [log for log, facts in zip(selection.logs, placed, strict=True) if not (selection.hard and facts.current)]
    for at, one in enumerate(selection.sets):
        own = [log.generation for log in logs if log.at == at or at in log.also_in]
        low, high = min(own, default=0), max(own, default=0)
        yield RestoredSet(label=one.label, low=low, high=high, has_databases=at == 0)


def goes_on(facts: SetFacts, logs: Iterable[LogFacts]) -> bool:
    """Whether logs go on from where a clean database was shut down: a lagged copy, or one that is rolled forward."""
    headers = [one.header for one in facts.databases if one.header is not None]
    return any(
        log.signature == header.log_signature and (log.generation or 0) > header.consistent_position.generation
        for header in headers
        for log in logs
    )


def recovery_of(databases: Iterable[DatabaseFacts], *, more_logs: bool = False) -> Recovery:
    """Return the recovery that databases need.

    Args:
        databases: What they say of themselves.
        more_logs: Whether logs of other sets are played onto them, which a clean database can take too.
    """
    needs = [need_of(one) for one in databases if not one.temporary]
    if any(need.hard for need in needs):
        return Recovery.HARD
    if not needs or any(need.basis in {Basis.UNKNOWN, Basis.UNUSABLE} for need in needs):
        return Recovery.NOT_CHECKED
    dirty = any(need.basis is not Basis.CLEAN for need in needs)
    return Recovery.SOFT if dirty or more_logs else Recovery.NONE


def make_guidance(
    *,
    profile: str,
    recovery: Recovery,
    sets: Sequence[RestoredSet],
    places: Places = NO_PLACES,
    certutil: Sequence[str] = (),
    not_checked: Sequence[str] = (),
) -> Guidance:
    """Return what follows a restore.

    Args:
        profile: The profile of the sets, which says what service they belong to.
        recovery: The recovery that follows.
        sets: The sets, the one with the databases first.
        places: Where the plan puts everything.
        certutil: The folders for `certutil -restoreDB`, in order; then that command registers, and nothing is given for
            Register.
        not_checked: What the verdict leaves open.
    """
    if is_foreign(profile):
        step = "let the engine that the files are of recover them: it is not known here"
        return Guidance(recovery=Recovery.NOT_CHECKED, next_steps=(step,), not_checked=tuple(not_checked))
    known = [one for one in sets if one.low]
    played = known if recovery is not Recovery.NONE else []
    registered = known if recovery in {Recovery.HARD, Recovery.NOT_CHECKED} and not certutil else []
    return Guidance(
        recovery=recovery,
        low=min((one.low for one in played), default=0),
        high=max((one.high for one in played), default=0),
        registrations=tuple(_register(one, places) for one in registered),
        next_steps=_certutil_steps(certutil) if certutil else _next_steps(profile, recovery, places),
        never=tuple(_never(recovery, len(sets))),
        not_checked=tuple(not_checked),
    )


def _register(one: RestoredSet, places: Places) -> Register:
    """Return what Register is told: of the full all its logs and the map, of a logs-only set its own range.

    A map with a row for a database that was not restored stops the service (Q188650), so there is one for each that is,
    and only for those. CertSrvRestoreRegisterW wants NULL and 0 with a logs-only set; the others take it so too.
    """
    return Register(
        label=one.label,
        checkpoint_path=places.checkpoint_path,
        log_path=places.log_path,
        backup_log_path=places.backup_log_path or places.log_path,
        restore_map=places.databases if one.has_databases else None,
        low=one.low,
        high=one.high,
    )


_TAKE_FULL: Final = "take a full backup: the sets from before the restore end here"
_EXCHANGE: Final = (
    "keep MSExchangeIS and MSExchangeDS stopped until every set is in place and registered",
    (
        "for each set, in this order: HrRestoreRegister, then place its files, "
        "then HrRestoreRegisterComplete with the status of placing; paths as UNC names"
    ),
    "net start MSExchangeIS (for the directory: net start MSExchangeDS): hard recovery runs at its start",
    _TAKE_FULL,
)
_DIRECTORY: Final = (
    "work in Directory Services Restore Mode, with the directory offline",
    (
        "DsRestorePrepare with the expiry token, DsRestoreRegister, then place the files, "
        "then DsRestoreRegisterComplete with the status of placing; paths as UNC names"
    ),
    "restart into normal mode: hard recovery runs at boot, and replication brings later changes",
)
_AUTHORITY: Final = (
    "net stop CertSvc, and leave it stopped until every set is in place and registered",
    (
        "for each set, in this order: place its files, then CertSrvRestoreRegisterW, "
        "then CertSrvRestoreRegisterComplete with the status of placing"
    ),
    "net start CertSvc: hard recovery runs at its start",
    "take a full backup, and never mix sets from before and after the restore",
)
_ENGINE: Final = (
    (
        "the program that owns the database recovers it: JetExternalRestore with these paths, "
        "this map and these generations"
    ),
    _TAKE_FULL,
)
_OPEN: Final = ("let the program that owns the database open it, and back it up anew",)
_HARD: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"edbbcli": _EXCHANGE, "ntdsbcli": _DIRECTORY, "certadm": _AUTHORITY}
)
_SERVICES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "edbbcli": "net start MSExchangeIS (for the directory: net start MSExchangeDS)",
        "ntdsbcli": "restart into normal mode",
        "certadm": "net start CertSvc",
    }
)


def _next_steps(profile: str, recovery: Recovery, places: Places) -> tuple[str, ...]:
    if recovery is Recovery.HARD:
        return _HARD.get(profile, _ENGINE)
    if recovery is Recovery.NOT_CHECKED:
        if not places.databases:
            return ("restore it together with the full that it continues: tokar restore FULL SET...",)
        shown = tuple(f"esentutl /mh {_quoted(new)} shows what the database needs" for _, new in places.databases[:1])
        return (*shown, *_HARD.get(profile, ()))
    if recovery is Recovery.NONE:
        shown = tuple(f"nothing to recover: esentutl /mh {_quoted(new)} shows it" for _, new in places.databases)
        step = (f"{_rename(places)}: the engine begins with no log after it",) if places.highest_log else ()
        return (*shown, *(_start(profile, "no recovery is needed") or (*step, *_OPEN)))
    return _start(profile, "soft recovery runs at its start") or tuple(_soft_steps(places))


def _start(profile: str, what: str) -> tuple[str, ...]:
    return (f"{_SERVICES[profile]}: {what}", _TAKE_FULL) if profile in _SERVICES else ()


def _rename(places: Places) -> str:
    """Return the command that makes the highest log the current one (Q296787)."""
    folder = places.backup_log_path or places.log_path
    suffix = places.highest_log.rpartition(".")[2]
    path = f"{folder}/{places.highest_log}" if folder else places.highest_log
    return f"ren {_quoted(path)} {places.base or 'BASE'}.{suffix}"


def _soft_steps(places: Places) -> Iterator[str]:
    command = _soft_command(places)
    if not places.highest_log:
        yield command
        return
    yield f"{_rename(places)} && {command}"
    if "/a" not in places.give_up:
        yield f"only if that fails for want of the current log: {command} /a, which gives up what was committed in it"


def _soft_command(places: Places) -> str:
    """Return the command for soft recovery ("Eseutil.exe Examples"; esentutl is the same program)."""
    folders = {new.replace("\\", "/").rpartition("/")[0] for _, new in places.databases}
    options = {
        "/l": places.backup_log_path or places.log_path,
        "/s": places.checkpoint_path or places.log_path,
        "/d": folders.pop() if len(folders) == 1 else None,
    }
    given = [f"{option} {_quoted(path)}" for option, path in options.items() if path is not None]
    return " ".join(["esentutl /r", places.base or "BASE", *given, *places.give_up])


def _quoted(path: str) -> str:
    return f'"{path}"' if " " in path else path


def _certutil_steps(folders: Sequence[str]) -> tuple[str, ...]:
    """Return the steps with certutil: a folder for each set, in order; the service starts once (Q147121)."""
    return (
        "net stop CertSvc, and leave it stopped until the last set is restored",
        *(f"certutil -f -restoreDB {_quoted(folder)}" for folder in folders),
        "net start CertSvc: recovery runs at its start",
        "take a full backup, and never mix sets from before and after the restore",
    )


def _never(recovery: Recovery, sets: int) -> Iterable[str]:
    yield "esentutl /p, eseutil /p: repair throws away what it cannot read, and no log fits the database afterwards"
    if recovery in {Recovery.HARD, Recovery.NOT_CHECKED}:
        yield (
            "esentutl /r, or starting the service before the restore is registered: "
            "plain recovery on a streaming copy fails with -544, or damages it"
        )
    if recovery is Recovery.HARD:
        yield "esentutl /g before recovery: the copy of a running database is dirty by nature"
        yield "deleting logs or patch files before recovery is done: each one that is missing stops it"
    if sets > 1:
        yield "starting the service between the sets: later sets are refused, and logs after a gap are deleted"


def places_of(
    plan: Plan,
    request: Request,
    *,
    base: str = "",
    paths: Mapping[str, str] = _NO_PATHS,
    own: Container[int] | None = None,
    logs: Sequence[LogFacts] = (),
) -> Places:
    """Return where a plan puts what recovery needs.

    Args:
        plan: The plan.
        request: What it was made from.
        base: The base name of the logs.
        paths: Where databases lay at the backup, by name, unless their names say it.
        own: The numbers of the entries that count; None for all.
        logs: The logs that recovery finds, in order, placed or there already.
    """
    databases: list[tuple[str, str]] = []
    folders = {directory for directory, _ in plan.stays}
    begins = any(log.current for log in logs) or any(_is_next(name) for _, name in plan.stays)
    for directory, name, entry in plan.steps.placements():
        is_apart = entry.number in request.left_out or entry.number in plan.gives_way
        if is_apart or (own is not None and entry.number not in own):
            continue  # it is put aside, or of another instance
        kind = role(entry.token)
        if kind is Role.DATABASE and parse_file_name(name).role is not NameRole.STREAMING_FILE:
            old = names.decode(entry.raw_name, entry.encoding) or entry.name
            old = paths.get(entry.name, old)
            databases.append((old, request.join(directory, name)))
        elif kind is Role.LOG:
            folders.add(directory)
            begins |= _is_next(name)
    folder = folders.pop() if len(folders) == 1 else None
    return Places(
        databases=tuple(databases),
        log_path=folder if request.backup_logs is None else log_directory(request),
        checkpoint_path=_directory_of(request, CHECKPOINT_DIR),
        backup_log_path=request.backup_logs or folder,
        base=base or next((log.base for log in logs), ""),
        highest_log=logs[-1].leaf if logs and not begins else "",
    )


def _is_next(name: str) -> bool:
    return parse_file_name(name).role is NameRole.NEXT_LOG


def log_directory(request: Request) -> str | None:
    """Return the log directory that a request names, whether or not files go there."""
    return _directory_of(request, LOG_DIR)


def _directory_of(request: Request, token: int) -> str | None:
    """Return the directory of this machine that a directory token stands for, if that is known."""
    if request.folder is not None:
        return request.folder
    found = next((location for location in request.locations if location.token == token), None)
    return request.path_of(found) if found is not None else None
