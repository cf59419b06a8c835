"""Climbs the rungs of the verdict, archive by archive, and then all archives together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tokar.check.rehearsal import rehearse
from tokar.check.report import ArchiveCheck, CheckReport, Finding, Rung, RungResult, State, settled
from tokar.errors import (
    ArchiveError,
    FormatError,
    InputError,
    LocationListError,
    RestoreError,
    SetError,
    UnsealedError,
    UnsupportedError,
)
from tokar.format.archive import Archive
from tokar.format.verify import verify
from tokar.restore.options import RestoreOptions
from tokar.restore.prepare import choose_one, plan_restore
from tokar.sets.backup_set import BackupSet, set_of_archive
from tokar.sets.chain import build_chain
from tokar.sets.faults import Scope, Severity
from tokar.sets.judge import judge_set

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from tokar.sets.judge import SetVerdict

_SET_NOT_RESTORABLE: Final = SetError.exit_code
_NOT_PLACEABLE: Final = RestoreError.exit_code
_DAMAGED: Final = FormatError.exit_code
_NOT_REACHED: Final = {
    UnsupportedError.exit_code: Rung.READABLE,
    UnsealedError.exit_code: Rung.SEALED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What is asked for beyond the archives themselves."""

    content: bool = False  # Whether to decode all content: digests, pages, log segments
    to: tuple[str, ...] = ()  # `TOKEN=PATH` and `NAME=PATH`
    locations: Path | None = None  # A file with locations
    maps: tuple[str, ...] = ()  # `PREFIX=DIR`
    rehearse: Path | None = None  # The directory in which to make a scratch directory for a rehearsal

    @property
    def wants_places(self) -> bool:
        """Whether it says where files would go."""
        return bool(self.to or self.locations or self.maps)


def check(
    paths: Sequence[Path | str], request: CheckRequest, *, progress: Callable[[int], None] | None = None
) -> CheckReport:
    """Return the graded verdict on archives; several are taken as a chain.

    Args:
        paths: The archives.
        request: What is asked for.
        progress: Called with numbers of bytes as they are verified.

    Raises:
        InputError: What was asked for makes no sense.
        StorageError: An archive cannot be read.
    """
    if request.rehearse is not None and not request.rehearse.is_dir():
        raise InputError("there is no such directory for a rehearsal", path=request.rehearse)
    opened = [_Check(str(path), request, progress) for path in paths]
    for one in opened:
        one.look()
    chained = _chained([one.backup_set for one in opened if one.backup_set is not None])
    return CheckReport(archives=tuple(one.result(chained) for one in opened))


class _Check:
    """The check of one archive."""

    def __init__(self, path: str, request: CheckRequest, progress: Callable[[int], None] | None) -> None:
        self.path = path
        self.backup_set: BackupSet | None = None
        self._request = request
        self._progress = progress
        self._verdict: SetVerdict | None = None
        self._rungs: dict[Rung, RungResult] = {}

    def look(self) -> None:
        """Look at everything that this archive alone can show."""
        try:
            archive = Archive(self.path)
        except FormatError as error:
            self._not_opened(error)
            return
        with archive:
            self._pass(Rung.READABLE, f"{archive.head.kind} set, profile {archive.head.profile}")
            self._pass(Rung.SEALED, f"root {archive.root.hex()}")
            try:
                if self._intact(archive):
                    self._consistent(archive)
                    self._placeable(archive)
                    self._rehearsed(archive)
            except FormatError as error:  # content that only decoding shows to be damaged
                self._fail(Rung.INTACT, [Finding.of_error(error)], error.exit_code)

    def _not_opened(self, error: FormatError) -> None:
        """Say on which rung an archive that cannot be opened stands."""
        if error.path is None:
            error.path = self.path
        rung = _NOT_REACHED.get(error.exit_code, Rung.INTACT)
        for below in list(Rung)[: list(Rung).index(rung)]:
            if below is Rung.SEALED:
                self._skip(below, "damage was found before its end could be judged")
            else:
                self._pass(below)
        self._fail(rung, [Finding.of_error(error)], error.exit_code)

    def _intact(self, archive: Archive) -> bool:
        content = self._request.content
        try:
            report = verify(archive, content=content, progress=self._progress)
        except FormatError as error:
            self._fail(Rung.INTACT, [Finding.of_error(error)], error.exit_code)
            return False
        summary = f"{_count(report.entries, 'entry', 'entries')}, {report.bytes_checked:,} bytes"
        if report.faults:
            findings = [
                Finding.of_error(fault.error, fault.entry.name if fault.entry else None) for fault in report.faults
            ]
            self._fail(Rung.INTACT, findings, report.faults[0].error.exit_code, summary)
            return False
        self._pass(Rung.INTACT, summary, left_out=() if content else ("content and its digests (--content)",))
        return True

    def _consistent(self, archive: Archive) -> None:
        self.backup_set = set_of_archive(archive, label=self.path, examine=self._request.content)
        facts = self.backup_set.facts
        self._verdict = judge_set(facts)
        faults = [fault for fault in self._verdict.faults if fault.kind.scope is Scope.FILE]
        blocking = [fault for fault in faults if fault.severity is not Severity.WARNING]
        remarks = [Finding.of_fault(fault) for fault in faults if fault.severity is Severity.WARNING]
        findings = [Finding.of_fault(fault) for fault in blocking]
        left_out = []
        if not facts.examined:
            recorded = archive.summary.extra.get("examination") or {}
            findings += _recorded(recorded)
            left_out.append(_not_examined(recorded))
        summary = f"{_count(len(facts.databases), 'database')}, {_count(len(facts.logs), 'log')}"
        self._rungs[Rung.CONSISTENT] = settled(
            Rung.CONSISTENT, findings, remarks, code=_SET_NOT_RESTORABLE, summary=summary, left_out=left_out
        )

    def _placeable(self, archive: Archive) -> None:
        request = self._request
        if not request.wants_places:
            self._skip(Rung.PLACEABLE, "no places were given (--to, --locations, --map)")
            return
        try:
            options = RestoreOptions(to=request.to, locations=request.locations, maps=request.maps)
            chosen = choose_one(archive, facts=self.backup_set.facts if self.backup_set else None)
            ((plan, _),) = plan_restore(chosen, options).parts
        except (RestoreError, LocationListError) as error:
            self._fail(Rung.PLACEABLE, [Finding.of_error(error)], _NOT_PLACEABLE)
            return
        findings = [Finding.of_problem(problem) for problem in plan.problems]
        files, folders = _count(len(plan.steps), "file"), _count(len(plan.directories), "directory", "directories")
        summary = f"{files} into {folders}"
        self._rungs[Rung.PLACEABLE] = settled(Rung.PLACEABLE, findings, code=_NOT_PLACEABLE, summary=summary)

    def _rehearsed(self, archive: Archive) -> None:
        if self._request.rehearse is None:
            self._skip(Rung.REHEARSED, "not asked for (--rehearse DIR)")
            return
        assert self.backup_set is not None
        try:
            outcome = rehearse(archive, self._request.rehearse, self.backup_set.facts)
        except ArchiveError as error:
            self._fail(Rung.REHEARSED, [Finding.of_error(error)], error.exit_code)
            return
        findings = [Finding(kind="rehearsal", message=message) for message in outcome.differences]
        files = _count(outcome.files, "file")
        summary = f"{files}, {outcome.size:,} bytes restored, read again and removed"
        self._rungs[Rung.REHEARSED] = settled(
            Rung.REHEARSED, findings, code=_DAMAGED, summary=summary, left_out=outcome.left_out
        )

    def result(self, chained: Mapping[tuple[bytes, bytes], RungResult]) -> ArchiveCheck:
        """Return the verdict, with what the archives show together."""
        if self.backup_set is not None:
            self._rungs[Rung.CHAINED] = chained[self.backup_set.id, self.backup_set.root]
        failed = next((rung for rung in Rung if rung in self._rungs and self._is_failed(rung)), None)
        for rung in Rung:
            if rung not in self._rungs:
                self._skip(rung, f"the archive is not {failed.value}" if failed else "")
        return ArchiveCheck(
            path=self.path,
            rungs=tuple(self._rungs[rung] for rung in Rung),
            backup_set=self.backup_set,
            verdict=self._verdict,
        )

    def _is_failed(self, rung: Rung) -> bool:
        return self._rungs[rung].state is State.FAILED

    def _pass(self, rung: Rung, summary: str = "", left_out: tuple[str, ...] = ()) -> None:
        self._rungs[rung] = RungResult(rung=rung, state=State.PASSED, summary=summary, not_looked_at=left_out)

    def _fail(self, rung: Rung, findings: Sequence[Finding], code: int, summary: str = "") -> None:
        self._rungs[rung] = settled(rung, findings, code=code, summary=summary)

    def _skip(self, rung: Rung, why: str) -> None:
        self._rungs[rung] = RungResult(rung=rung, state=State.NOT_LOOKED_AT, summary=why)


def _recorded(examination: Mapping[str, Any]) -> Iterable[Finding]:
    """Return the damage that was found while the archive was made."""
    return [
        Finding(
            kind="recorded-damage",
            message=f"{one['name']} {problem} (found when the archive was made)",
            files=(one["name"],),
            next_step="look for an undamaged copy; tokar check --content shows more",
        )
        for one in examination.get("entries", ())
        for problem in one.get("problems", ())
    ]


def _not_examined(examination: Mapping[str, Any]) -> str:
    what = "pages and log segments (--content)"
    if examination.get("state") != "done":
        return what
    return f"{what}; when the archive was made they were verified"


def _chained(sets: Sequence[BackupSet]) -> dict[tuple[bytes, bytes], RungResult]:
    """Return for each set whether its databases can be recovered from the logs that are here, all sets together."""
    chain = build_chain(sets)
    results = {}
    for backup_set, verdict, at in zip(chain.sets, chain.verdicts, range(len(chain.sets)), strict=True):
        # Faults of single files are the matter of the rung below.
        faults = [fault for fault in verdict.faults if fault.kind.scope is Scope.SET]
        blocking = [Finding.of_fault(fault) for fault in faults if fault.severity is not Severity.WARNING]
        remarks = [Finding.of_fault(fault) for fault in faults if fault.severity is Severity.WARNING]
        start = chain.start_of(at)
        summary = _count(len(start.verdict.databases), "database") if start else ""
        if start is None and verdict.start is not None:
            summary = f"goes on from {chain.sets[verdict.start].label}"
        results[backup_set.id, backup_set.root] = settled(
            Rung.CHAINED,
            blocking,
            remarks,
            code=_SET_NOT_RESTORABLE,
            summary=summary,
            details=[f"{one.name}: {one}" for one in start.verdict.databases] if start else (),
            left_out=start.verdict.not_checked if start else (),
        )
    return results


def _count(count: int, singular: str, plural: str = "") -> str:
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"
