"""The last line of a verdict: one of five words, and why. It is about files; what is outside of them stands beside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

from tokar.errors import ArchiveError, SetError, StorageError, worst_of
from tokar.tokens import SERVED
from tokar.words import count_text, some

if TYPE_CHECKING:  # what is said of plain files has need of none of that
    from tokar.sets.facts import SetFacts
    from tokar.sets.judge import SetVerdict

UNREAD: Final = "whether the archives are damaged (tokar check)"
"""What a verdict leaves open that goes by what archives keep of their files, and reads no content."""
NOTHING_TO_RECOVER: Final = (
    "nothing in it is known as a file of an engine: its files are kept, and nothing is said of a recovery"
)
"""Of plain files, of which there is nothing to ask."""
NOTHING_TO_JUDGE: Final = (
    "it is of an engine or a service, and no database and no log is in it: nobody can judge its other files"
)
"""Of a set from which something is gone, or which never was one."""

ONE_CHOSEN: Final = "a restore begins with one: tokar restore --full ARCHIVE"
"""What the last line says of sets of which a restore does not choose by itself."""
_FULLS: Final = "instances"  # The kind of fault that `--full` helps against

_DO_WITHOUT: Final = "to restore without it, name the other archives one by one, or where to stop: --until GENERATION"


class Word(StrEnum):
    """What a verdict comes to, the best first."""

    RESTORABLE = "RESTORABLE"
    PART_OF_A_CHAIN = "PART OF A CHAIN"
    NOT_PROVEN = "NOT PROVEN"
    WITH_LOSS = "RESTORABLE WITH LOSS"
    NOT_RESTORABLE = "NOT RESTORABLE"


_REFUSED: Final = {Word.NOT_RESTORABLE, Word.WITH_LOSS, Word.PART_OF_A_CHAIN}


class Blocking(Protocol):
    """What is in the way of a restore."""

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""

    @property
    def databases(self) -> tuple[str, ...]:
        """Names of the databases that suffer."""

    @property
    def exit_code(self) -> int:
        """The exit code of what is judged."""

    @property
    def is_loss(self) -> bool:
        """Whether recovery goes on without what is lost by it."""


@dataclass(frozen=True, slots=True)
class LastLine:
    """What a verdict comes to."""

    word: Word  # The word
    why: str = ""  # What is needed, not looked at or lost, or the root cause
    # The exit code of `check` and `chain`. What nobody asked for is no error, what nobody could judge is one (OUT-2).
    exit_code: int = 0
    loses: bool = False  # Whether something is lost whatever comes of what nobody could judge: a restore is refused
    before: str = ""  # What is said before it: why a restore is refused all the same, or done all the same
    refused: str = ""  # Why a restore is refused that the files themselves would let pass
    accepted: tuple[str, ...] = ()  # The options with which files are placed although recovery fails or loses something

    @property
    def is_refused(self) -> bool:
        """Whether a restore is refused, unless what is lost is accepted, or the set is part of one at most."""
        return self.word in _REFUSED

    @property
    def fails(self) -> bool:
        """Whether it says that recovery fails, or loses something."""
        return self.word in {Word.NOT_RESTORABLE, Word.WITH_LOSS}

    def __str__(self) -> str:
        """Return the last line."""
        return f"{self.word}: {self.why}" if self.why else str(self.word)

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        more = {"refused": self.refused, "accepted": [*self.accepted]}
        return {"word": self.word.value, "why": self.why or None, **{key: one for key, one in more.items() if one}}


@dataclass(frozen=True, slots=True)
class SparedSet:
    """A set that does not pass, and that a restore does without."""

    label: str  # Where it is
    outcome: LastLine  # What it comes to

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.label}: {self.outcome}"

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        return {"path": self.label, "outcome": self.outcome.to_json()}


def part_of(generations: tuple[int, int] | None, left_out: str = "") -> LastLine:
    """Return what a set of nothing but logs comes to, whose own files are in order.

    Args:
        generations: Its lowest and its highest log.
        left_out: Which database is here and left out, and why.
    """
    before = max(generations[0] - 1, 1) if generations else 0
    needs = f"needs a full that reaches 0x{before:X}" if before else "needs a full"
    return LastLine(Word.PART_OF_A_CHAIN, f"{needs}; {left_out}" if left_out else needs)


def unproven(verdict: SetVerdict) -> Iterator[str]:
    """Yield the databases that nobody could judge, each with the reason."""
    from tokar.sets.database_verdict import Verdict  # noqa: PLC0415 - start-up time

    for database in verdict.databases:
        if database.verdict is Verdict.NOT_CHECKED:
            yield from database.not_checked or (f"{database.name}: {database.need.why}",)


def unjudged_in(facts: SetFacts) -> Iterator[str]:
    """Yield what nobody can judge in a set: files of an unknown engine or format, files beside a database elsewhere.

    Also the databases whose pages were to be verified and could not be, each with the reason.
    """
    from tokar.sets.facts import is_foreign  # noqa: PLC0415 - start-up time
    from tokar.sets.judge import opaque_in  # noqa: PLC0415 - start-up time

    if is_foreign(facts.profile):
        yield "its files are of an engine that is not known here"
    elif facts.is_without_a_set and not _is_plain(facts):
        yield NOTHING_TO_JUDGE
    yield from opaque_in(facts)
    if facts.lost:
        from tokar.sets.lost import unjudged_lost  # noqa: PLC0415 - start-up time

        yield from unjudged_lost(facts)
    for one in facts.databases:
        if one.pages is not None and one.pages.not_verified and not one.temporary:
            yield f"{one.name}: {one.pages.not_verified}"


def _is_plain(facts: SetFacts) -> bool:
    """Return whether nothing of a set without databases and logs is known as a file of an engine or a service."""
    return not (facts.profile in SERVED or facts.holds_other_files_of_an_engine)


def outcome_of(verdict: SetVerdict, facts: SetFacts) -> LastLine:
    """Return what the verdict on a set comes to, and what its files say."""
    from tokar.sets.facts import is_foreign  # noqa: PLC0415 - start-up time
    from tokar.sets.not_taken import database_left_out  # noqa: PLC0415 - start-up time

    is_part = facts.logs and all(one.temporary for one in facts.databases) and not is_foreign(facts.profile)
    part = part_of(facts.generations, database_left_out(facts)) if is_part else None
    return weigh(verdict.blocking, left_open(verdict, facts), part)


@dataclass(frozen=True, slots=True)
class LeftOpen:
    """What a verdict does not answer."""

    unjudged: Sequence[str] = ()  # What was asked for, and nobody could judge
    unasked: Sequence[str] = ()  # What was not asked for, or what only a file of a layout that is not known tells


def left_open(verdict: SetVerdict, facts: SetFacts) -> LeftOpen:
    """Return what the verdict on a set does not answer."""
    from tokar.sets.judge import TO_PROVE  # noqa: PLC0415 - start-up time

    open_ones = [f"{one.message}, unless content tells otherwise {TO_PROVE}" for one in verdict.faults if one.is_open]
    unasked = [*open_ones, *verdict.not_checked, *not_asked_in(facts)]
    return LeftOpen([*unjudged_in(facts), *unproven(verdict)], unasked)


def not_verified(facts: SetFacts) -> Iterator[str]:
    """Yield that pages and log segments were not verified, where there are any and that is so."""
    from tokar.sets.judge import TO_PROVE  # noqa: PLC0415 - start-up time

    if not facts.were_verified and (facts.databases or facts.logs):
        yield f"pages and log segments were not verified {TO_PROVE}"


def not_asked_in(facts: SetFacts) -> Iterator[str]:
    """Yield what no verdict on a set answers, since nobody asked: of plain files there is nothing to ask."""
    from tokar.sets.facts import is_foreign  # noqa: PLC0415 - start-up time

    if facts.is_without_a_set and _is_plain(facts) and not is_foreign(facts.profile):
        yield NOTHING_TO_RECOVER
    yield from not_verified(facts)


def weigh(blocking: Sequence[Blocking], left: LeftOpen, part: LastLine | None = None) -> LastLine:
    """Return what something comes to.

    Args:
        blocking: What is in the way, the root cause first.
        left: What is not answered.
        part: What it comes to where nothing is in the way but that its full is elsewhere.
    """
    causes = [one for one in blocking if not one.is_loss]
    if causes:
        # What the system refused to read may well be good.
        known = next((one for one in causes if one.exit_code != StorageError.exit_code), None)
        word, cause = (Word.NOT_PROVEN, causes[0]) if known is None else (Word.NOT_RESTORABLE, known)
        return LastLine(word, _why(cause), cause.exit_code)
    if blocking and left.unjudged and part is None:
        why = f"{left.unjudged[0]}; at best with a loss: {_why(blocking[0])}"
        return LastLine(Word.NOT_PROVEN, why, blocking[0].exit_code, loses=True)
    if blocking:
        return LastLine(Word.WITH_LOSS, _why(blocking[0]), blocking[0].exit_code)
    if left.unjudged:
        return LastLine(Word.NOT_PROVEN, left.unjudged[0], SetError.exit_code)
    if part is not None:
        return part
    return LastLine(Word.NOT_PROVEN, left.unasked[0]) if left.unasked else LastLine(Word.RESTORABLE)


def _why(cause: Blocking) -> str:
    """Return what is wrong, with the databases that suffer."""
    named = not cause.databases or any(name in cause.message for name in cause.databases)
    return cause.message if named else f"{some(cause.databases)}: {cause.message}"


def worst(found: Iterable[LastLine]) -> LastLine | None:
    """Return the worst of several last lines, damage of archives first; None where there are none."""
    return max(found, key=badness, default=None)


def badness(one: LastLine) -> tuple[int, bool, int]:
    """Return what is higher for a worse last line."""
    return [*Word].index(one.word), one.exit_code > 0, -one.exit_code


def badness_of(blocking: Sequence[Blocking]) -> tuple[int, bool, int]:
    """Return what is higher the worse it is what is in the way, and not for more that is said: content adds to that."""
    return badness(weigh(blocking, LeftOpen()))


def _unread(rest: LastLine | None, errors: Sequence[ArchiveError]) -> ArchiveError | None:
    """Return which archive decides of those that cannot be read, whatever their order; None without any.

    What the system refused to read may well be good, unlike what is damaged.
    """
    damaged = [one for one in errors if not isinstance(one, StorageError)]
    return worst_of(errors if passes(rest) else damaged or errors)


def refusal(rest: LastLine | None, missed: Sequence[ArchiveError], without: ArchiveError | None = None) -> ArchiveError:
    """Return the error that refuses a restore for archives that cannot be read, and the way to one without them.

    Args:
        rest: What the sets come to that can be read; None where there are none.
        missed: Why the others cannot be read, at least one.
        without: Why what can be read is not restored either.
    """
    error = _unread(rest, missed) or missed[0]
    for one in missed:
        if one is not error:
            error.add_note(f"also: cannot be read: {one}")
    error.add_note(f"also: {without}" if without else _DO_WITHOUT)
    return error


def passes(found: LastLine | None) -> bool:
    """Return whether sets can be restored, as far as anybody looked."""
    return found is not None and found.word in {Word.RESTORABLE, Word.NOT_PROVEN}


def with_unread(rest: LastLine | None, errors: Iterable[ArchiveError], *, alone: bool = False) -> LastLine | None:
    """Return what sets come to with archives beside them that cannot be read: one is named, the others are counted.

    Where the sets can be restored, nobody knows whether that is all of them. Else one that cannot be read may be the
    full, or have the logs that are missing.

    Args:
        rest: What the sets come to; None where there are none.
        errors: Why the others cannot be read.
        alone: Whether nothing was given but one archive.
    """
    found = [*errors]
    first = _unread(rest, found)
    if first is None:
        return rest
    word = Word.NOT_PROVEN if passes(rest) or isinstance(first, StorageError) else Word.NOT_RESTORABLE
    more = f"; nor can {count_text(len(found) - 1, 'other archive')}" if len(found) > 1 else ""
    why = str(first) if alone else f"cannot be read: {first}{more}"
    return worst(one for one in (rest, LastLine(word, why, first.exit_code)) if one)


def as_refused(found: LastLine | None, error: ArchiveError) -> LastLine | None:
    """Return what the files of a refused restore come to, behind the reason where the files themselves would pass.

    Where something is lost beside what nobody could judge, that is the reason.
    """
    is_part = found is not None and found.word is Word.PART_OF_A_CHAIN
    if found is None or not (passes(found) or is_part) or found.loses:
        return found
    return replace(found, before=f"REFUSED: {error}; the files alone: ", refused=str(error))


def as_kept(found: LastLine | None) -> LastLine | None:
    """Return what files come to that are archived as they are, although recovery fails, or loses something."""
    return replace(found, before="ARCHIVED AS IT IS: ") if found and found.fails else found


def as_accepted(found: LastLine | None, options: Sequence[str], parts: Sequence[str] = ()) -> LastLine | None:
    """Return what files come to that are placed although recovery fails, or loses something.

    Args:
        found: What they come to.
        options: All that were given and ask for that: which of them the rest hangs on nobody has to find out.
        parts: The option with which parts of files are placed, where some are: whatever these come to.
    """
    if found is None or not (parts or (options and (found.fails or found.loses))):
        return found
    given = (*options, *parts)
    return replace(found, before=f"ACCEPTED ({', '.join(given)}): ", accepted=given)


def with_damage(found: LastLine | None, errors: Iterable[ArchiveError]) -> LastLine | None:
    """Return what sets come to that can be restored whatever is wrong with records that no file needs."""
    first = worst_of(errors)
    if first is None:
        return found
    why = f"{first}: no file needs that record"
    return worst(one for one in (found, LastLine(Word.NOT_PROVEN, why, first.exit_code)) if one)


class Choice(Blocking, Protocol):
    """Why a restore of several sets does not choose by itself."""

    @property
    def kind(self) -> str:
        """What kind of fault that is."""

    @property
    def next_step(self) -> str:
        """How one is chosen."""


def one_by_one(found: LastLine | None, choice: Choice | None) -> LastLine | None:
    """Return what sets come to that pass, and say that a restore needs one chosen to begin with, where it does.

    Args:
        found: What all of them come to.
        choice: Why a restore of all of them does not choose by itself.
    """
    if found is None or choice is None or not passes(found):
        return found
    how = ONE_CHOSEN if choice.kind == _FULLS else choice.next_step
    why = f"each by itself: {choice.message}; {how}"
    return replace(found, why=f"{found.why}; {why}" if found.why else why)


def with_idle(found: LastLine | None, idle: Sequence[str]) -> LastLine | None:
    """Return what sets come to that pass, and name those that are nothing to the databases that are restored."""
    if found is None or not idle or not passes(found):
        return found
    return replace(found, why="; ".join(filter(None, (found.why, *idle))))


class Met(Protocol):
    """A file that is placed although recovery must not meet it."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def reason(self) -> str:
        """Why recovery must not meet it."""

    @property
    def code(self) -> int | None:
        """What the engine answers to it; None where that is not said."""


def with_met(found: LastLine | None, files: Sequence[Met]) -> LastLine | None:
    """Return what a verdict comes to where files are placed that it leaves out."""
    if found is None or not files:
        return found
    first = min(files, key=lambda one: one.code is None)
    word, why = (Word.NOT_PROVEN if first.code is None else Word.NOT_RESTORABLE), f"{first.name}: {first.reason}"
    return worst([found, LastLine(word, why, SetError.exit_code)])
