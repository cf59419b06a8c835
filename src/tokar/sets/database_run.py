"""One database and the logs that are played onto it, from the lowest needed one on, each held against the one before.

The rules are those of the engine's recovery. A clean database needs nothing. A dirty one needs every log of its
required range, a streaming copy every log of its backup; they must be of its log stream, link to each other, and the
highest must be the very log the database names. Logs that hold committed transactions beyond that are wanted too:
without them recovery goes on only with a loss (-582).

Sources: Microsoft, Extensible Storage Engine, logredo.cxx, logutil.cxx, db.cxx and backup.cxx (behaviour only);
Microsoft Knowledge Base Q296787, Q237767, Q232938, Q192657.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Final

from tokar.ese.values import Signature
from tokar.sets.attaching import attaching_faults, is_of_other_history, open_end
from tokar.sets.by_generation import GenerationRuns, TimesByGeneration, log_at
from tokar.sets.database_verdict import DatabaseVerdict, Verdict
from tokar.sets.facts import CheckpointFacts, DatabaseFacts, LogFacts
from tokar.sets.fault_list import FaultCounter, first_of, in_order
from tokar.sets.faults import Fault, FaultKind, Rule, Rules, Severity
from tokar.sets.file_faults import OWN_LOG_FAULTS, database_faults, forked, log_fault
from tokar.sets.links import LinkFault, altered, link
from tokar.sets.logs import LogTable
from tokar.sets.need import Basis, need_of
from tokar.sets.version import Order
from tokar.words import logs_text, noun, runs_of, some, spans

_DAMAGE: Final = {FaultKind.PAGES_DAMAGED, FaultKind.PAGES_MISPLACED, FaultKind.PAGES_OFF_CHAIN}


class DatabaseRun:
    """One database and the logs that will be played onto it.

    Args:
        facts: The database.
        table: The logs of its set.
        owned: The log streams of the databases that are here.
    """

    def __init__(self, facts: DatabaseFacts, table: LogTable, owned: Collection[Signature] = ()) -> None:
        self.facts = facts
        self.checkpoints: Sequence[CheckpointFacts] = ()  # Those of the set
        self.need = need_of(facts)  # The logs it needs
        self.faults: list[Fault] = [*database_faults(facts)]  # What is wrong, as found
        self.run: list[LogFacts] = []  # The logs that will be played, in order; with holes where some are missing
        self.before: list[LogFacts] = []  # Older logs that lead to the run, from the lowest one on
        self.missing = GenerationRuns()  # Needed generations that are not here
        self.given_up = 0  # The generation from which on logs are given up with a loss; 0 where none are
        self._by_number = False
        self.assumed = ""  # A current log of a format that is not known, which may be the last one that is needed
        self._uncompared: list[str] = []  # Copies of one log that nobody has compared
        self._untold: list[str] = []  # Logs that may be of either of two histories, and nothing tells
        self._is_forked = False  # Whether two histories lead on, and nothing says which is wanted
        self._counter = FaultCounter()
        self._explained: dict[str, int] = {}  # The first fault of the content of a log, by its place, by the log
        self._unlisted: tuple[str, ...] = ()  # The files of the last fault that is not listed
        self._proven = TimesByGeneration()  # When logs of its stream were created, as far as that is proven
        self._table, self._owned = table, owned
        if self.need.basis is Basis.UNUSABLE and facts.header is not None:
            rule = Rules.TEMPORARY if facts.temporary else Rules.STATE_UNUSABLE
            why = facts.header.state_name if facts.temporary else self.need.why
            self._note(rule.fault(facts.name, why, files=(facts.name,)))

    @property
    def signature(self) -> Signature | None:
        """The log stream of the database; None where it never belonged to one."""
        header = self.facts.header
        return header.log_signature if header is not None and header.log_signature.is_set else None

    def walk(self, proven: TimesByGeneration | None = None) -> None:
        """Follow the logs from the lowest needed one on, as far as they go.

        Args:
            proven: When logs of its stream were created, as far as any database proves it; by default this one alone.
        """
        if proven is not None:
            self._proven = proven
        else:
            self.prove(self._proven)
        header = self.facts.header
        if header is None or self.need.basis in {Basis.UNUSABLE, Basis.UNKNOWN}:
            return
        if self.need.low:
            self._walk_needed(header.log_signature)  # a database that belongs to no stream has none of its logs
        elif self.signature is not None and header.tells_its_shutdown:
            self._start_forward(self.signature)
        if self.signature is not None and not self.missing:
            self._walk_forward(self.signature)
        elif self.missing and self.missing[0].start > self.need.high:  # with a loss, and it ends before the hole
            self.run = [log for log in self.run if (log.generation or 0) < self.missing[0].start]
        self._walk_back(header.log_signature)
        for fault in attaching_faults(self.facts, self.need, self.placed):
            self._note(fault)
        for log in self.run:
            self._check_copies(header.log_signature, log)
        self._counter.closing(self.faults)

    def _check_copies(self, signature: Signature, log: LogFacts) -> None:
        """Note what is here twice, with content that disagrees or that nobody has compared, where no next log tells."""
        is_open = self.need.last_log <= (log.generation or 0) and self._proven.get((log.generation or 0) + 1) is None
        for other, order in self._table.unlike_copies(signature, log, any_history=is_open):
            if order is Order.UNTOLD:
                self._uncompared.append(f"{log.name} and {other.name} are one log: which holds more nobody looked at")
            elif order is Order.APART:
                self._note(Rules.LOG_TWICE.of_log(log, other.name))

    @property
    def start(self) -> int:
        """The generation with which recovery must begin at the latest; 0 where that is not known."""
        header = self.facts.header
        return self.need.low or (header.consistent_position.generation if header is not None else 0)

    @property
    def is_settled(self) -> bool:
        """Whether it is known which logs recovery goes through: what is needed is there, or nothing is needed."""
        unknown = self._is_forked or self.need.basis in {Basis.UNUSABLE, Basis.UNKNOWN}
        unknown |= self.signature is not None and not self.start  # shut down, and not known in which log
        return not unknown and not (self.missing and self.missing[0].start <= self.need.high)

    @property
    def end(self) -> int:
        """The generation with which the run ends; 0 where there is none."""
        return (self.run[-1].generation or 0) if self.run else 0

    def at(self, generation: int) -> LogFacts | None:
        """Return the log of a generation that recovery goes through."""
        logs = self.run if self.run and generation >= (self.run[0].generation or 0) else self.before
        return log_at(logs, generation)

    @property
    def placed(self) -> list[LogFacts]:
        """All logs that recovery goes through, in order: it begins with the lowest one in the folder."""
        return [*self.before, *self.run]

    @property
    def played(self) -> list[LogFacts]:
        """Those of them that are played where what can only be given up is given up."""
        return [log for log in self.placed if not self.given_up or (log.generation or 0) < self.given_up]

    @property
    def lost(self) -> int:
        """The generation from which on its logs are given up, going by its own faults; 0 where none are."""
        gone = [one.generations for one in self.faults if one.is_loss and one.code in {-582, -586}]
        return min((min(generations) for generations in gone if generations), default=0)

    def give_up(self) -> None:
        """Play no log onto a database that needs none."""
        self.before, self.run = [], []

    def prove(self, proven: TimesByGeneration) -> None:
        """Note when the logs were created up to the one that the header names, each proven by the one after it."""
        generation, created = self.need.last_log, self.need.last_log_created
        while self.signature is not None and generation >= self.need.low > 0:
            proven.note(generation, created)
            log = self._table.choose(self.signature, generation, None, created)
            if log is None or log.is_opaque or log.created != created:
                break
            generation, created = generation - 1, log.previous_created

    def _plays(self, log: LogFacts) -> bool:
        """Return whether recovery gets through a log that is not needed, going by the log alone."""
        last = log.signature is not None and not self._table.of(log.signature, (log.generation or 0) + 1)
        fault = log_fault(log, Severity.ERROR, hard=self.need.hard, last=last, databases=(self.facts,))
        fits = log.is_opaque or self.facts.header is None or log.page_size == self.facts.header.page_size
        return fits and self._table.finds(log) and (fault is None or fault.severity is not Severity.ERROR)

    def _walk_back(self, signature: Signature) -> None:
        """Take the older logs that lead to the run: recovery begins with the lowest log that it finds."""
        first = self.run[0] if self.run else None
        while first is not None:
            log = self._table.choose(signature, (first.generation or 0) - 1, None, first.previous_created, after=first)
            if log is None or log.current or link(log, first).fault is not None or not self._plays(log):
                break
            parted = [one for one, order in self._table.unlike_copies(signature, log) if order is Order.APART]
            if parted:  # which of them is of this history nobody knows, and nothing needs it
                fault = Rules.LOG_TWICE.of_log(log, parted[0].name, severity=Severity.WARNING)
                self._note(replace(fault, next_step="nothing: no restore needs either, and both are left out"))
                break
            self.before.append(log)
            first = log
        self.before.reverse()

    def _walk_needed(self, signature: Signature) -> None:
        """Take the needed logs that are there, in order; a damaged header may ask for two billion."""
        need = self.need
        before: LogFacts | None = None
        expected = need.low
        for generation in self._table.present(signature, need.low, need.committed):
            if generation > expected:
                self.missing.append(range(expected, generation))
                before = None
            log = self._table.choose(signature, generation, before, hard=need.hard, times=self._proven)
            assert log is not None
            self._take(log, before, Severity.ERROR if generation <= need.high else Severity.LOSS)
            before, expected = log, generation + 1
        if expected == need.committed and (log := self._opaque_current()):
            self.assumed, expected = log.name, expected + 1
        if expected <= need.committed:
            self.missing.append(range(expected, need.committed + 1))
        self._note_missing(signature)
        contents = (log.content for log in self.run)  # each is made anew when it is asked for
        if before and not self.missing and all(one is not None and one.is_blank for one in contents):
            # A log that was just begun may be blank, all needed ones together may not.
            self._note(Rules.LOG_BLANK.of_log(before, "parts", hard=need.hard))

    def _take(self, log: LogFacts, before: LogFacts | None, severity: Severity) -> None:
        """Add a log to the run, and note what is wrong with it."""
        need, hard = self.need, self.need.hard
        self.run.append(log)
        self._by_number |= log.is_opaque
        own = log_fault(log, severity, hard=hard, last=log.generation == need.committed, databases=(self.facts,))
        if own is not None:
            self._note(own)
        elif not self._table.finds(log) or (hard and log.current):
            self._note(Rules.LOG_NOT_FOUND.of_log(log, log.generation, severity=severity, hard=hard))
        if before is not None and before.current and link(before, log).fault not in {LinkFault.TIME, LinkFault.CONTENT}:
            fault = Rules.CURRENT_NOT_LAST.of_log(before, before.generation, log.name, severity=severity)
            lost = fault.generations if severity is Severity.ERROR else (log.generation or 0,)
            self._note(replace(fault, generations=lost))  # recovery plays the current log, and ends with it
        if log.is_opaque or log.generation is None:
            return
        self._check_forked(before, log, severity)
        if log.generation == need.last_log and log.created != need.last_log_created:
            # The same number and stream, and yet another log: history forked after a restore.
            words = (log.created.iso(), self.facts.name, need.last_log_created.iso())
            self._note(Rules.LOG_OF_OTHER_BRANCH.of_log(log, *words, severity=severity, hard=hard))
        elif before is not None:
            self._check_link(before, log, severity)
        assert self.facts.header is not None
        if log.page_size != self.facts.header.page_size:
            sizes = (log.page_size, self.facts.name, self.facts.header.page_size)
            self._note(Rules.LOG_PAGE_SIZE.of_log(log, *sizes, severity=severity))

    def _check_forked(self, before: LogFacts | None, log: LogFacts, severity: Severity) -> None:
        """Note where histories part at a log of the run."""
        if log.signature is None or log.generation is None:
            return
        found = self._table.distinct(log.signature, log.generation)
        if len(found) < 2:
            return
        only = before is not None and len(self._table.continuing(log.signature, before)) == 1
        only |= self._table.found_by_name(found) == [log]
        if only or self._proven.get(log.generation) is not None:
            self._note(forked(log, found, Severity.WARNING))
            if before is not None and not only and all(one.previous_segments_xor is None for one in found):
                others = f"{len(found)} logs 0x{log.generation:X} ({some({one.name: 0 for one in found})})"
                self._untold.append(f"{before.name}: of which history it is, where {others} go on from it")
        elif not self._may_be_told(before, found):
            self._note(forked(log, found, severity))

    def _note(self, fault: Fault) -> None:
        if not self._counter.takes(fault):
            self._unlisted = fault.files
            return
        if fault.kind in OWN_LOG_FAULTS:
            for name in fault.files:
                self._explained.setdefault(name, len(self.faults))
        self.faults.append(replace(fault, databases=(self.facts.name,)))

    def _check_link(self, before: LogFacts, log: LogFacts, severity: Severity) -> None:
        found = link(before, log).fault
        if found is None:
            return
        if found is LinkFault.CONTENT:
            if not self._explains(before):
                self._note(altered(before, log, self._severity_of(before), hard=self.need.hard))  # it has changed
        elif found is LinkFault.SIZE:
            sizes = (log.expected_size, before.name, before.expected_size)
            self._note(Rules.LOG_SIZES.of_log(log, *sizes, before=before, severity=severity))
        elif not self._is_other_branch(before):
            hard = self.need.hard
            self._note(Rules.LINK_BROKEN.of_log(log, before.name, before=before, severity=severity, hard=hard))

    def _explains(self, before: LogFacts) -> bool:
        """Tell whether the earlier log has a fault of its own, from which a broken content link only follows."""
        at = self._explained.get(before.name)
        if at is None:
            return before.name in self._unlisted
        if before.content is not None and before.content.segments_xor is not None:
            extra = (*self.faults[at].consequences, "the accumulated checksum in the next log does not fit (-590)")
            self.faults[at] = replace(self.faults[at], consequences=tuple(dict.fromkeys(extra)))
        return True

    def _severity_of(self, log: LogFacts) -> Severity:
        """Return how bad it is where a log is no good."""
        if log.generation in self.need.generations:
            return Severity.ERROR
        return Severity.LOSS if log.generation in self.need.only_committed else Severity.WARNING

    def _is_other_branch(self, before: LogFacts) -> bool:
        at = self._explained.get(before.name)
        return at is not None and self.faults[at].kind is FaultKind.LOG_OF_OTHER_BRANCH

    def _note_missing(self, signature: Signature) -> None:
        """Note why needed generations are not here: nothing of that number, or something that cannot stand for it."""
        gone = GenerationRuns()
        for hole in self.missing:
            start = hole.start
            for generation in self._claimed(hole, signature):
                gone.append(range(start, generation))
                self._note(self._stand_in(signature, generation))
                start = generation + 1
            gone.append(range(start, hole.stop))
        end = self.need.high + 1
        self._note_gone(Rules.LOG_MISSING, gone.within(0, end))
        self._note_gone(Rules.COMMITTED_LOG_MISSING, gone.within(end, self.need.committed + 1))

    def _claimed(self, hole: range, signature: Signature) -> list[int]:
        """Return the generations of a hole for which there is a file that cannot stand for them."""
        found = {generation for generation in self._table.claimed(hole) if self._stand_ins(signature, generation)}
        last = hole.stop - 1
        return sorted(found | ({last} if self._wrong_current(last) else set()))

    def _stand_ins(self, signature: Signature, generation: int) -> list[LogFacts]:
        logs = self._table.claiming(generation)
        found = [log for log in logs if log.signature != signature and (log.damaged or log.signature is not None)]
        return [log for log in found if not self._is_elsewhere(log)]

    def _is_elsewhere(self, log: LogFacts) -> bool:
        """Return whether a log belongs to another database, here or elsewhere, and lies where its own logs do not."""
        is_foreign = log.signature is not None and log.signature != self.signature
        if is_foreign and self.run and all(one.folder != log.folder for one in self.run):
            return True
        owned = log.signature in self._of_others or log.place in self._places_of_others
        return owned and all(one.place != log.place for one in self.run)

    @cached_property
    def _of_others(self) -> frozenset[Signature]:
        return frozenset(self._owned) - {self.signature}

    @cached_property
    def _places_of_others(self) -> frozenset[tuple[str, str]]:
        return frozenset(log.place for log in self._table.logs if log.signature in self._of_others)

    def _stand_in(self, signature: Signature, generation: int) -> Fault:
        """Return the fault of what is there in place of a needed log."""
        hard, severity = self.need.hard, Severity.ERROR if generation <= self.need.high else Severity.LOSS
        found = self._stand_ins(signature, generation) or self._wrong_current(generation)
        if unreadable := [log for log in found if log.damaged]:
            fault = log_fault(unreadable[0], severity, hard=hard, last=False)
            assert fault is not None
            return replace(fault, generations=(generation,))
        numbers = (generation,)
        foreign = [log for log in found if log.signature != signature]
        if not foreign:
            older = (found[0].generation, self.facts.name, generation)
            fault = Rules.LOG_OLDER.of_log(found[0], *older, severity=severity, hard=hard)
            return replace(fault, generations=numbers)
        files = [log.name for log in foreign]
        words = (some(files), generation)
        return Rules.LOG_FOREIGN.fault(*words, files=files, generations=numbers, severity=severity, hard=hard)

    def _wrong_current(self, generation: int) -> list[LogFacts]:
        """Return the current log, which has no number in its name, where the highest needed one is missing."""
        if generation != self.need.committed:
            return []
        bases = {log.base for log in self.run}
        found = [log for log in self._table.logs if log.current and (not bases or log.base in bases)]
        return [
            log
            for log in found
            if not self._is_elsewhere(log)
            and (
                log.damaged
                or (log.signature and (log.signature != self.signature or (log.generation or 0) < generation))
            )
        ]

    def _opaque_current(self) -> LogFacts | None:
        bases = {log.base for log in self.run}
        found = (log for log in self._table.logs if log.is_opaque and log.current and not log.generation)
        return next((log for log in found if not bases or log.base in bases), None)

    def _note_gone(self, rule: Rule, gone: GenerationRuns) -> None:
        """Note the logs of which nothing is here."""
        if not gone:
            return
        beyond = array("q", (one for log in self.run if (one := log.generation or 0) > gone[0].start))
        useless = f"{noun(len(beyond), 'log')} {spans(runs_of(beyond))} cannot be played" if beyond else ""
        fault = rule.fault(*logs_text(gone), generations=first_of(gone), hard=self.need.hard)
        self._note(replace(fault, consequences=(useless,) if useless else ()))

    def _start_forward(self, signature: Signature) -> None:
        """A clean database can be played forward from the log in which it was last consistent."""
        assert self.facts.header is not None
        header = self.facts.header
        generation = header.consistent_position.generation
        log = self._table.choose(signature, generation, None, header.last_log_time)
        found = self._table.distinct(signature, generation)
        if log is not None and len(found) > 1 and log.created != header.last_log_time:
            named = self._table.found_by_name(found)
            log = self._table.choose(signature, generation, None, named[0].created) or log
            self._is_forked = len(named) > 1
            self._note(forked(log, found, Severity.ERROR if self._is_forked else Severity.WARNING))
        if log is not None and self._plays(log) and not is_of_other_history(self.facts, self.need, log):
            self.run.append(log)

    def _may_be_told(self, before: LogFacts | None, found: Sequence[LogFacts]) -> bool:
        """Note that only content tells which of several logs continues one, where nobody looked at that yet."""
        looks = before is not None and before.content is None
        if before is None or not looks or all(one.previous_segments_xor is None for one in found):
            return False
        self._uncompared.append(f"{before.name}: which of {some(one.name for one in found)} was written after it")
        self._note(forked(found[0], found, Severity.ERROR).until_looked_at())
        self._is_forked = True
        return True

    def _walk_forward(self, signature: Signature) -> None:
        """Go on while each log continues the one before it."""
        while self.run and not self.run[-1].current:
            last = self.run[-1]
            found = self._table.continuing(signature, last)
            named = self._table.found_by_name(found)
            if len(named) > 1:
                if not self._may_be_told(last, found):
                    self._note(forked(found[0], found, Severity.ERROR))
                self._is_forked = True
                return
            created = named[0].created if len(found) > 1 else None
            if len(found) > 1:
                self._note(forked(named[0], found, Severity.WARNING))
            following = self._table.choose(signature, (last.generation or 0) + 1, last, created, hard=self.need.hard)
            if following is not None and not found and not self._proves_loss(last, following):
                return
            if following is None or not self._plays(following):
                return
            if is_of_other_history(self.facts, self.need, following):
                self.run = []
                return
            self.run.append(following)
            self._by_number |= following.is_opaque

    def _proves_loss(self, last: LogFacts, following: LogFacts) -> bool:
        """Note why a log does not continue the last one; return whether it stays as the proof that this was lost."""
        fault = link(last, following).fault
        if fault in {LinkFault.CONTENT, LinkFault.SIZE}:
            self._check_link(last, following, Severity.WARNING)
        is_wanted = self._severity_of(last) is not Severity.WARNING
        if fault is LinkFault.CONTENT and not is_wanted:
            self.run.pop()  # the log itself is what was altered: recovery ends before it
        return fault is LinkFault.CONTENT and is_wanted

    def verdict(self) -> DatabaseVerdict:
        """Return what becomes of the database."""
        header = self.facts.header
        ordered = in_order(self.faults)
        reaches = self.run[-1].generation if self.run and not self.missing else 0
        return DatabaseVerdict(
            name=self.facts.name,
            verdict=self._decide(ordered),
            state=header.state_name if header is not None else "unreadable",
            need=self.need,
            missing=self.missing,
            reaches=reaches or 0,
            faults=ordered,
            not_checked=tuple(self._open()),
        )

    def _decide(self, faults: Iterable[Fault]) -> Verdict:
        errors = [fault for fault in faults if fault.severity is Severity.ERROR]
        if self.facts.temporary and not errors:
            return Verdict.TEMPORARY
        if any(fault.kind not in _DAMAGE for fault in errors):
            return Verdict.NOT_RECOVERABLE
        if errors:
            return Verdict.DAMAGED
        if any(fault.severity is Severity.LOSS for fault in faults):
            return Verdict.WITH_LOSS
        is_open = self.need.basis in {Basis.UNKNOWN, Basis.BACKUP_START} or self._by_number or self.assumed
        if is_open or self._untold or self.facts.why_halted or self._open_end():
            return Verdict.NOT_CHECKED
        return Verdict.CLEAN if self.need.basis is Basis.CLEAN else Verdict.RECOVERABLE

    def _open_end(self) -> list[str]:
        return [*open_end(self.facts, self.need, self.run, self.checkpoints)] if self.run else []

    def _open(self) -> Iterator[str]:
        """Yield what the verdict leaves open."""
        name, need = self.facts.name, self.need
        if need.basis is Basis.UNKNOWN:
            yield f"{name}: {need.why}"
        if why := self.facts.why_halted:
            yield f"{name}: its pages were not followed through these logs to the end: {why}"
        yield from (*self._open_end(), *self._untold, *self._uncompared)
        if need.not_checked and (need.hard or self.missing):  # more logs than are needed are enough
            yield f"{name}: {need.not_checked}"
        if self.assumed:
            yield f"{name}: {self.assumed} may be log 0x{need.committed:X}, and is of a format that is not known"
        if self._by_number:
            yield f"{name}: logs of a format that is not known are taken by the numbers in their names alone"
        if self.facts.pages is not None and (why := self.facts.pages.not_verified or self.facts.pages.caveat):
            yield f"{name}: {why}"
