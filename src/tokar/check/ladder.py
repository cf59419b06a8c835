"""Climbs the rungs of the verdict, archive by archive, and then all archives together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tokar.check.rehearsal import rehearse
from tokar.check.report import ArchiveCheck, CheckReport, Rung, RungFault, RungResult, RungState, joined
from tokar.collect.found import Candidate
from tokar.collect.on_disk import Given, demand_signable, set_on_disk
from tokar.errors import (
    ArchiveError,
    FormatError,
    InputError,
    LocationListError,
    LockedError,
    RestoreError,
    StorageError,
    UnsealedError,
    UnsupportedError,
)
from tokar.format.archive import Archive
from tokar.format.encryption import Keyring
from tokar.format.verify import verify
from tokar.names import printable
from tokar.replay.files import SetFiles, open_in
from tokar.replay.together import chain_followed, files_of, followed_together, sets_of
from tokar.restore.chosen import choose_one
from tokar.restore.guide import steps_without_current
from tokar.restore.options import RestoreOptions
from tokar.restore.prepare import plan_restore
from tokar.sets.backup_set import BackupSet, archives_of, set_of_archive
from tokar.sets.chain import Chain
from tokar.sets.engines import engines_text
from tokar.sets.facts import SetFacts
from tokar.sets.faults import Fault, FaultKind, Scope, Severity
from tokar.sets.judge import SetVerdict
from tokar.sets.outcome import not_verified, unjudged_in
from tokar.sets.recorded import RecordedFacts
from tokar.sets.roles import LogRole
from tokar.sets.seen import SeenFiles
from tokar.sets.start import ChainStart
from tokar.storage.bytesource import OverwritesInputError
from tokar.trust.signatures import AllowedSigners
from tokar.words import count_text, some

_MOST_OFF: Final = 5  # pages beside their chains that are named one by one
_NOT_REACHED: Final = {
    **dict.fromkeys((StorageError.exit_code, InputError.exit_code, UnsupportedError.exit_code), Rung.READABLE),
    UnsealedError.exit_code: Rung.SEALED,
}

if TYPE_CHECKING:
    from tokar.replay.whole import OpenFile

    _Chained = dict[tuple[bytes, bytes], tuple[RungResult, Sequence[Fault]]]

_LOCKED: Final = "content and its digests: they are encrypted, and no identity was given (--identity)"


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What is asked for beyond the archives themselves."""

    content: bool = False  # Whether to decode all content: digests, pages, log segments
    to: tuple[str, ...] = ()  # `TOKEN=PATH` and `NAME=PATH`
    locations: Path | None = None  # A file with locations
    maps: tuple[str, ...] = ()  # `PREFIX=DIR`
    complete: bool = False  # Whether a set of nothing but logs must be given together with its full
    rehearse: Path | None = None  # The directory in which to make a scratch directory for a rehearsal
    replay: bool = False  # Whether to play the logs on copies of the databases, in memory
    signers: AllowedSigners | None = None  # Those of whom one must have signed every archive
    keyring: Keyring | None = None  # What opens encrypted content


def check(
    paths: Sequence[Path | str], request: CheckRequest, *, progress: Callable[[int], None] | None = None
) -> CheckReport:
    """Return the graded verdict on archives; several are taken as a chain.

    Args:
        paths: The archives, folders with archives, and folders and files of an engine as they lie.
        request: What is asked for.
        progress: Called with numbers of bytes as they are verified.

    Raises:
        InputError: What was asked for makes no sense.
        StorageError: An archive cannot be read.
        NotSignedError: None of the signers signed one of the archives, or files lie as they are.
    """
    if request.rehearse is not None and not request.rehearse.is_dir():
        raise InputError("there is no such directory for a rehearsal", path=request.rehearse, hint="make it first")
    given = Given.of(paths)
    demand_signable(given, request.signers)
    opened = [_Check(str(path), request, progress) for path in archives_of(given.sets)]
    opened += [_Check(some(files), request, progress, files) for files in given.files]
    for one in opened:
        one.attempt(one.look, one.judge, alone=len(opened) == 1)
    looked = [(one, one.backup_set) for one in opened if one.backup_set is not None]
    lying = {found.root: one.files for one, found in looked if one.files}
    sets = followed_together([found for _, found in looked], lying, request.keyring)
    chain = chain_followed(sets, request.keyring, lying)
    known = {(its.label, its.root): its for its in (*sets, *chain.sets)}  # a copy has damage of its own
    for one, its in looked:
        one.backup_set, one.files = known[its.label, its.root], one.files if request.replay else ()
    lying = lying if request.replay else {}  # a verdict needs no files any more, and they take room
    for one in opened:
        one.attempt(partial(one.replay, chain, lying), alone=len(opened) == 1)
    chained = _chained(chain, complete=request.complete)
    archives, lies = tuple(one.result(chain, chained) for one in opened), len(given.files)
    return CheckReport(archives=archives, chain=chain, complete=request.complete, given=given.sets, lying=lies)


def _with_steps(one: ArchiveCheck, chain: Chain) -> ArchiveCheck:
    """Return the verdict on an archive with how recovery begins, unless its restore is refused."""
    known = {(its.id, its.root): at for at, its in enumerate(chain.sets)}
    if one.backup_set is None or one.outcome.is_refused:
        return one
    return replace(one, next_steps=steps_without_current(chain, known[one.backup_set.id, one.backup_set.root]))


class _Check:
    """The check of one archive, or of files as they lie."""

    def __init__(
        self,
        path: str,
        request: CheckRequest,
        progress: Callable[[int], None] | None,
        files: Sequence[str] = (),
    ) -> None:
        self.path = path
        self._given = files
        self.files: Sequence[Candidate] = ()  # Where those are that lie in no archive, by their numbers
        self._changed: tuple[str, ...] = ()
        self._error: ArchiveError | None = None
        self._left_out: tuple[tuple[str, str], ...] = ()
        self.backup_set: BackupSet | None = None
        self._request = request
        self._progress = progress
        self._verdict: SetVerdict | None = None
        self._rungs: dict[Rung, RungResult] = {}
        self._rehearsals: list[RungResult] | None = None  # None where it does not come to that

    def attempt(self, *steps: Callable[[], None], alone: bool) -> None:
        """Take steps; what cannot be read is an error where nothing else was given, and else noted.

        Raises:
            StorageError: It cannot be read.
            InputError: What was asked for makes no sense.
        """
        try:
            for step in steps:
                step()
        except (StorageError, InputError) as error:
            if alone or isinstance(error, OverwritesInputError):
                raise
            self.stop(error)

    def look(self) -> None:
        """Look at everything that this archive alone can show."""
        if self._given:
            self._look_at_files()
            return
        try:
            archive = Archive(self.path, self._request.keyring)
        except FormatError as error:
            self.stop(error)
            return
        with archive:
            if self._request.signers is not None:
                self._request.signers.demand(archive)
            self._rungs[Rung.READABLE] = RungResult(
                rung=Rung.READABLE, summary=f"{archive.head.kind} set, profile {archive.head.profile}"
            )
            self._rungs[Rung.SEALED] = RungResult(rung=Rung.SEALED, summary=f"root {archive.root.hex()}")
            try:
                seen = SeenFiles(archive.head.profile)
                if self._intact(archive, seen):
                    facts = self._consistent(archive, seen)
                    self._placeable(archive, facts)
                    self._rehearsed(archive, facts)
            except FormatError as error:  # also content that only decoding shows to be damaged
                error.path = error.path or self.path
                self._fail(Rung.INTACT, error)
                self._error = error
            except LockedError as error:  # no facts are kept of it either
                self._rungs[Rung.CONSISTENT] = RungResult(rung=Rung.CONSISTENT, unproven=(error.message,))

    def _look_at_files(self) -> None:
        found = set_on_disk(self._given, progress=self._progress)
        self.backup_set, self._changed, self.files = found.backup_set, found.changed, found.files
        self._left_out = tuple((printable(one.name), one.reason) for one in found.collection.gathered.left_out)
        summary = f"{self.backup_set.kind} set as it lies, profile {self.backup_set.profile}"
        self._rungs[Rung.READABLE] = RungResult(rung=Rung.READABLE, summary=summary)
        for rung in (Rung.SEALED, Rung.INTACT, Rung.PLACEABLE, Rung.REHEARSED):
            self._skip(rung, "no archive")
        self._rehearsals = []
        with SetFiles() as files:
            files.take_files(self.backup_set.facts, self.files)
            self._follow(self.backup_set, files.open)

    def stop(self, error: ArchiveError) -> None:
        """Note how far an archive that cannot be opened comes."""
        if error.path is None:
            error.path = self.path
        failed = _NOT_REACHED.get(error.exit_code, Rung.INTACT)
        for rung in takewhile(lambda rung: rung is not failed, Rung):
            self._rungs[rung] = RungResult(rung=rung)
        if failed is Rung.INTACT:
            self._skip(Rung.SEALED, "damage was found before its end could be judged")
        self._fail(failed, error)
        self._error = error

    def _intact(self, archive: Archive, seen: SeenFiles) -> bool:
        locked = self._request.content and archive.is_locked
        content = self._request.content and not locked
        report = verify(archive, content=content, progress=self._progress, watch=seen.watch)
        self._rungs[Rung.INTACT] = RungResult(
            rung=Rung.INTACT,
            summary=f"{count_text(report.entries, 'entry', 'entries')}, {report.bytes_checked:,} bytes",
            findings=tuple(
                RungFault.of_error(fault.error, fault.entry.name if fault.entry else None) for fault in report.faults
            ),
            details=()
            if content or locked or report.faults
            else ("as it is stored; --content decodes it and compares digests",),
            unproven=(_LOCKED,) if locked else (),
            judged=() if report.are_files_whole else None,
            damage=tuple(fault.error for fault in report.faults) if report.are_files_whole else (),
        )
        self._error = next((fault.error for fault in report.faults), None)
        return report.are_files_whole

    def _consistent(self, archive: Archive, seen: SeenFiles) -> SetFacts:
        recorded = RecordedFacts(archive)
        examine = self._request.content and not archive.is_locked
        self.backup_set = found = set_of_archive(
            archive, label=self.path, examine=examine, recorded=recorded, seen=seen.take if examine else None
        )
        self._follow(replace(found, damage=self._rungs[Rung.INTACT].damage), open_in(archive), recorded)
        return found.facts

    def judge(self) -> None:
        """Judge what was read, which takes room: nothing is open any more."""
        if self.backup_set is not None:
            self._verdict = self.backup_set.verdict

    def _follow(self, found: BackupSet, open_file: OpenFile, recorded: RecordedFacts | None = None) -> None:
        facts = found.facts
        if facts.examined or self._request.replay:
            from tokar.replay.chains import with_chains  # noqa: PLC0415 - loads numpy

            facts = with_chains(facts, open_file)
            if recorded is not None:
                recorded.compare_chains(facts.databases)
        self.backup_set = replace(found, facts=facts)
        kept = facts.were_verified and not facts.examined
        count = sum(not one.temporary for one in facts.databases)
        self._rungs[Rung.CONSISTENT] = RungResult(
            rung=Rung.CONSISTENT,
            summary=f"{count_text(count, 'database')}, {count_text(len(facts.logs), 'log')}",
            findings=tuple(_unlike(name) for name in (recorded.unlike if recorded else ())),
            unproven=tuple(unjudged_in(replace(facts, lost=()))),  # what is lost others may have
            details=("verified when the archive was made; --content does it again",) if kept else (),
            not_looked_at=(_not_examined(recorded),) if recorded and any(not_verified(facts)) else (),
        )

    def _placeable(self, archive: Archive, facts: SetFacts) -> None:
        request = self._request
        if not (request.to or request.locations or request.maps):
            self._skip(Rung.PLACEABLE, "no places were given (--to, --locations, --map)")
            return
        try:
            options = RestoreOptions(to=request.to, locations=request.locations, maps=request.maps)
            ((plan, _),) = plan_restore(choose_one(archive, facts=facts), options).parts
        except (RestoreError, LocationListError) as error:
            self._fail(Rung.PLACEABLE, error)
            return
        files = count_text(len(plan.steps), "file")
        folders = count_text(len(plan.directories), "directory", "directories")
        self._rungs[Rung.PLACEABLE] = RungResult(
            rung=Rung.PLACEABLE,
            summary=f"{files} into {folders}",
            findings=tuple(RungFault.of_error(problem.error) for problem in plan.problems),
        )

    def _rehearsed(self, archive: Archive, facts: SetFacts) -> None:
        request = self._request
        self._rehearsals = [_restored(archive, request.rehearse, facts)] if request.rehearse is not None else []
        if self._rehearsals:
            self._rungs[Rung.REHEARSED] = self._rehearsals[0]
        else:
            self._skip(Rung.REHEARSED, "not asked for (--rehearse DIR, --replay)")

    def replay(self, chain: Chain, lying: Mapping[bytes, Sequence[Candidate]]) -> None:
        """Play the logs that all sets have for its databases.

        Args:
            chain: The sets.
            lying: Where the files of those are that lie in no archive, by root.
        """
        own = self.backup_set
        if not self._request.replay or self._rehearsals is None or own is None:
            return
        start = next((one for one in chain.starts if chain.sets[one.number].root == own.root), None)
        facts, sets = own.facts, [own]
        if start is not None:  # a later log that only contradicts the last one is not played
            known = {id(log) for logs in (own.facts.logs, *(run.logs for run in start.runs)) for log in logs}
            logs = tuple(log for log in start.facts.logs if id(log) in known)
            facts, sets = replace(start.facts, logs=logs), sets_of(chain, start)
        try:
            with files_of(sets, lying, self._request.keyring) as files:
                found = _replayed(facts, files.open)
        except LockedError as error:  # another one, with its logs
            found = RungResult(rung=Rung.REHEARSED, unproven=(error.message,))
        except FormatError as error:
            error.path = error.path or self.path
            self._fail(Rung.INTACT, error)
            self._error = error
            return
        self._rungs[Rung.REHEARSED] = joined([*self._rehearsals, found]) if self._rehearsals else found

    def result(self, chain: Chain, chained: _Chained) -> ArchiveCheck:
        """Return the verdict, with what the archives show together."""
        if self.backup_set is not None:
            consistent = self._rungs[Rung.CONSISTENT]
            self._rungs[Rung.CHAINED], faults = chained[self.backup_set.id, self.backup_set.root]
            findings, remarks = _faults(faults, Scope.FILE)
            unlike = consistent.findings  # that the archive keeps other facts
            self._rungs[Rung.CONSISTENT] = replace(
                consistent,
                findings=findings + unlike,
                remarks=remarks,
                details=(*consistent.details, *_chain_lines(self.backup_set.facts)),
                judged=unlike,
            )
        for rung in (Rung.CONSISTENT, Rung.CHAINED) if self._changed else ():
            self._rungs[rung] = _of_changing(self._rungs[rung], self._changed)
        reached = [self._rungs[rung] for rung in Rung if rung in self._rungs]
        failed = next((one.rung for one in reached if one.state is RungState.FAILED), None)
        for rung in Rung:
            if rung not in self._rungs:
                self._skip(rung, f"the archive is not {failed.value}" if failed else "")
        rungs = tuple(self._rungs[rung] for rung in Rung)
        found = ArchiveCheck(
            path=self.path,
            rungs=rungs,
            backup_set=self.backup_set,
            verdict=self._verdict,
            left_out=self._left_out,
            error=self._error,
        )
        return found if self._changed else _with_steps(found, chain)

    def _fail(self, rung: Rung, error: ArchiveError) -> None:
        self._rungs[rung] = RungResult(rung=rung, findings=(RungFault.of_error(error),))

    def _skip(self, rung: Rung, why: str) -> None:
        self._rungs[rung] = RungResult(rung=rung, summary=why, skipped=True)


def _chain_lines(facts: SetFacts) -> Iterator[str]:
    """Yield what following the pages of each database came to, unless its own faults, which are named, say why not."""
    for one in facts.databases:
        if one.chain is not None and not one.chain.is_explained:
            yield f"{one.name}: {one.chain}"
        if one.chain is not None:
            yield from (f"{one.name}: {off}" for off in one.chain.off[1:_MOST_OFF])  # the first is in what is wrong


def _restored(archive: Archive, directory: Path, facts: SetFacts) -> RungResult:
    """Return what restoring into a scratch directory came to."""
    try:
        archive.demand_key()
        outcome = rehearse(archive, directory, facts)
    except LockedError as error:
        return RungResult(rung=Rung.REHEARSED, unproven=(error.message,))
    except ArchiveError as error:
        return RungResult(rung=Rung.REHEARSED, findings=(RungFault.of_error(error),))
    return RungResult(
        rung=Rung.REHEARSED,
        summary=f"{count_text(outcome.files, 'file')}, {outcome.size:,} bytes restored, read again and removed",
        findings=tuple(
            RungFault(kind="rehearsal", message=message, exit_code=FormatError.exit_code)
            for message in outcome.differences
        ),
        not_looked_at=outcome.left_out,
    )


def _replayed(facts: SetFacts, open_file: OpenFile) -> RungResult:
    """Return what playing the logs on copies of the databases came to. What is wrong is judged from facts, not here."""
    from tokar.replay.whole import Replay, report_lines  # noqa: PLC0415 - loads numpy

    with Replay(facts, open_file) as replay:
        reports = [one.report for one in replay.run()]
    if not reports:
        return RungResult(rung=Rung.REHEARSED, summary="there is no database here to play logs on", skipped=True)
    right = [one for one in reports if not one.why_not]
    played = sum(one.logs > 0 for one in right)
    return RungResult(
        rung=Rung.REHEARSED,
        summary=f"logs played on {played} of {count_text(len(reports), 'database')}, in memory",
        skipped=not played,
        details=tuple(f"{one.name}: {line}" for one in right for line in report_lines(one)),
        unproven=tuple(f"{one.name}: not rehearsed: {one.why_not}" for one in reports if one.why_not),
    )


def _faults(faults: Iterable[Fault], scope: Scope) -> tuple[tuple[RungFault, ...], tuple[RungFault, ...]]:
    """Return the faults of single files, or of how they go together: what makes a rung fail, and what does not."""
    found = [fault for fault in faults if fault.kind.scope is scope]
    return (
        tuple(RungFault.of_fault(fault) for fault in found if fault.blocks),
        tuple(RungFault.of_fault(fault) for fault in found if fault.severity is Severity.WARNING),
    )


def _of_changing(result: RungResult, changed: Sequence[str]) -> RungResult:
    """Return what became of a rung for files that somebody writes to: no damage is proven, and nothing else."""
    why = f"{some(changed)}: written to while it was read; look at a copy or a snapshot"
    remarks = (*result.findings, *result.remarks)
    return replace(result, findings=(), judged=(), remarks=remarks, unproven=(why,), part=None)


def _unlike(name: str) -> RungFault:
    """Return the fault of facts that are not those of the content (FACT-2)."""
    return RungFault(
        kind="facts-differ",
        message=f"the archive keeps other facts of {name} than its content gives",
        files=(name,),
        next_step="believe the content, which was taken here; do not rely on a check of this archive without --content",
    )


def _not_examined(recorded: RecordedFacts) -> str:
    what = "pages and log segments (--content)"
    if recorded.passed_over:
        return f"{what}; facts that the archive keeps are not in order or of another version: --content derives them"
    return what


def _engines(start: ChainStart) -> Iterator[str]:
    """Yield which engines can recover a set, going by its formats."""
    needed = {LogRole.NEEDED, LogRole.COMMITTED}
    logs = [one for one, role in start.verdict.log_roles.pairs() if role in needed]
    if text := engines_text(start.facts.databases, logs):
        yield f"engines that can recover it: {text}"


def _chained(chain: Chain, *, complete: bool) -> _Chained:
    """Return for each set whether its databases can be recovered from the logs that are here, all sets together.

    With that, what is wrong with the set by itself: less, where another set has a whole copy of a log.
    """
    results: _Chained = {}
    for backup_set, verdict, at in zip(chain.sets, chain.verdicts, range(len(chain.sets)), strict=True):
        start = chain.start_of(at)
        own_databases = [one for one in start.facts.databases if not one.temporary] if start else []
        summary = count_text(len(own_databases), "database") if start else ""
        if start is None and verdict.start is not None:
            summary = f"goes on from {chain.sets[verdict.start].label}"
        # Those of single files belong to the rung below.
        together = [one for one in chain.faults if one.kind is FaultKind.INSTANCES and backup_set.label in one.files]
        findings, remarks = _faults((*verdict.faults, *together), Scope.SET)
        own = chain.faults_of(at)
        if of_files := _faults(verdict.blocking, Scope.FILE)[0]:
            alone = _faults(own, Scope.FILE)[0]
            findings += tuple(one for one in of_files if one not in alone)  # of files that other sets add
        base = start if verdict.start is None else chain.start_of(verdict.start)
        left, open_ones = chain.left_open_of(at), base.verdict.not_checked if base else ()
        own_ones = {*unjudged_in(replace(backup_set.facts, lost=()))}  # the rung above says those
        lost = start is not None and any(one.is_lost for one in start.verdict.databases)
        spoilt = start is None and any(one.blocks and one.kind.scope is Scope.FILE for one in own)
        part = None if complete else verdict.part
        if part is not None:
            remarks = (*(one for one in findings if one.kind == FaultKind.MISSING_FULL), *remarks)
            findings, _ = _faults(verdict.blocking, Scope.SET)
        blocking = verdict.blocking if part is not None else (one for one in verdict.faults if one.blocks)
        result = RungResult(
            rung=Rung.CHAINED,
            summary=summary,
            details=(*(f"{one.name}: {one}" for one in start.verdict.databases), *_engines(start)) if start else (),
            findings=findings,
            remarks=remarks,
            unproven=tuple(dict.fromkeys(one for one in left.unjudged if one not in own_ones)),
            not_looked_at=tuple(one for one in open_ones if one not in {*left.unjudged, *own_ones}),
            unasked=tuple(left.unasked),
            part=part,
            judged=tuple(map(RungFault.of_fault, blocking)),
            skipped=(lost or spoilt) and not findings,  # the rung above says what is wrong: nothing passes after it
        )
        results[backup_set.id, backup_set.root] = result, own
    return results
