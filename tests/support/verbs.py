"""What the verbs say of one archive, and whether they contradict each other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from command_line import tokar

from tokar.errors import ProcedureError, SetError
from tokar.server.contract import BackupContext, BackupKind, BackupType
from tokar.server.directory_source import DirectoryServer
from tokar.server.run_backup import BackupOptions, run_backup
from tokar.sets.outcome import Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

YES, LOSS, OPEN, NOT = Word.RESTORABLE, Word.WITH_LOSS, Word.NOT_PROVEN, Word.NOT_RESTORABLE


@dataclass(frozen=True)
class Said:
    """What a verb says of a set."""

    word: str
    why: str
    exit_code: int
    left_out: set[str]
    causes: list[tuple[str, int | None]] = field(default_factory=list)  # kinds and codes, the root cause first
    remarks: list[tuple[str, int | None]] = field(default_factory=list)
    has_databases: bool = True
    loses: bool = False  # whether a loss is in the way

    @property
    def is_refused(self) -> bool:
        """Whether a restore must be refused: a loss is in the way also where something else is not proven."""
        return self.word in {NOT, LOSS} or (self.word == OPEN and self.loses)


def checked(path: Path, *options: str) -> Said:
    result = tokar("check", "--json", *options, path)
    (one,) = result.json()["archives"]
    causes, remarks = (
        [(each["kind"], (each["engine"] or {}).get("number")) for rung in one["rungs"] for each in rung[key]]
        for key in ("findings", "remarks")
    )
    apart = {each["name"] for each in one["verdict"]["left_out"]}
    outcome = one["outcome"]
    has_databases = bool(one["verdict"]["databases"])
    loses = any(each["is_loss"] for rung in one["rungs"] for each in rung["findings"])
    return Said(outcome["word"], outcome["why"] or "", result.exit_code, apart, causes, remarks, has_databases, loses)


def planned(path: Path, *options: str) -> Said:
    options = options or ("--dry-run", "--into", str(path.parent / "out"))
    result = tokar("restore", "--json", *options, path)
    plan = result.json()
    apart = {step["name"] for step in plan["plans"][0]["steps"] if step["action"] != "place"}
    return Said(plan["outcome"]["word"], plan["outcome"]["why"] or "", result.exit_code, apart)


def contradictions(path: Path, full: Said) -> Iterator[str]:
    """Yield in what the other verbs say something else than `check --content`: what create verified is kept."""
    quick, plan = checked(path), planned(path)
    if (quick.word, quick.exit_code) != (full.word, full.exit_code):
        yield f"check says {quick.word}: {quick.why}, and ends with {quick.exit_code}"
    if (plan.word, plan.exit_code) != (full.word, 6 if full.is_refused else 0):
        yield f"restore says {plan.word}: {plan.why}, and ends with {plan.exit_code}"
    if full.word in {YES, LOSS} and not plan.left_out == quick.left_out == full.left_out:
        yield f"left out are {sorted(quick.left_out)} by check, {sorted(plan.left_out)} by restore"
    for options in ([], ["--content"]):
        chain = tokar("chain", "--json", *options, path)
        outcome = chain.json()["outcome"]
        if (outcome["word"], chain.exit_code) != (full.word, full.exit_code):
            yield f"chain {options} says {outcome['word']}: {outcome['why']}, and ends with {chain.exit_code}"
    if full.has_databases:  # logs alone are no chain to restore from
        refused = full.is_refused
        result = tokar("restore", "--dry-run", "--json", "--into", path.parent / "out", "--chain", path.parent)
        word = None if result.exit_code else result.json()["outcome"]["word"]
        if (word, bool(result.exit_code)) != (None if refused else full.word, refused):
            yield f"restore --chain says {word}, and ends with {result.exit_code}"


def less(quick: str, full: str) -> bool:
    """Whether something says the same as another, or less."""
    allowed = {OPEN: set(Word), LOSS: {LOSS, NOT}, Word.PART_OF_A_CHAIN: {Word.PART_OF_A_CHAIN, NOT}}
    return full in allowed.get(Word(quick), {quick})


def unlike_together(sets: Sequence[Path]) -> Iterator[str]:
    """Yield in what verbs contradict each other on several archives, or a verb says more than with --content."""
    words, ends, any_database, loses, known = {}, {}, False, set[str](), set[str]()
    for verb, key in (("check", "archives"), ("chain", "sets")):
        for content in (False, True):
            result = tokar(verb, "--json", *["--content"] * content, *sets)
            found = result.json()
            words[verb, content] = {one["path"]: one["outcome"] for one in found[key]}
            any_database |= verb == "check" and any(one["verdict"]["databases"] for one in found[key])
            ends[verb, content] = found["outcome"], result.exit_code
            if verb == "check" and not content:
                known = {each["message"] for one in found[key] for rung in one["rungs"] for each in rung["findings"]}
            if not content:
                loses = {
                    one["path"] for one in found[key] for each in one.get("faults", ()) if each["severity"] == "loss"
                }
    for content in (False, True):
        if (words["check", content], ends["check", content]) != (words["chain", content], ends["chain", content]):
            yield f"check and chain differ: {words}, {ends}"
    full = words["check", True]
    if not all(less(one["word"], full[path]["word"]) for path, one in words["check", False].items()):
        yield f"check --content says something else: {words}"
    quick, told = ({**words["check", one], "all": ends["check", one][0]} for one in (False, True))
    yield from other_causes(quick, told, known)
    plan = tokar("restore", "--dry-run", "--json", "--into", sets[0].parent / "out", *sets)
    said = plan.json()
    took = {one["path"] for one in (said["chain"] or {}).get("sets", ())} or {*full}
    ones = [one for path, one in words["check", False].items() if path in took]
    worst = ends["check", False][0]  # goes by exit codes too, which those of single sets do not show
    wanted = worst if without_idle(worst) in ones or worst["word"] == OPEN else worst_of(ones)
    alone = len(sets) > 1 and not any_database  # logs alone are no chain to restore from
    behind = wanted["word"] == OPEN and any(words["check", False][path] == wanted for path in took & loses)
    refused = alone or behind or wanted["word"] in {NOT, LOSS, Word.PART_OF_A_CHAIN}
    of_files = {key: text for key, text in said["outcome"].items() if key != "refused"}
    if (of_files, plan.exit_code) != (wanted, 6 if refused else 0):
        yield f"restore ends with {plan.exit_code} and says {said['outcome']}, check {wanted}"
    if "refused" in said["outcome"] and plan.exit_code == 0:
        yield f"restore ends with 0 and says that it is refused: {said['outcome']}"


def without_idle(line: dict[str, str]) -> dict[str, str | None]:
    """Return the last line of all sets without those that take no part, of which that of a single set does not tell."""
    told = [one for one in (line["why"] or "").split("; ") if one and " takes no part: " not in one]
    return line | {"why": "; ".join(told) or None}


Lines = dict[str, dict[str, str]]


def other_causes(quick: Lines, told: Lines, known: set[str]) -> Iterator[str]:
    """Yield where content changes a cause, and finds nothing new: else it may add one.

    Args:
        quick: The last lines without content.
        told: Those with content.
        known: What is in the way, as it is known without content.
    """
    for path, one in told.items():
        if one != quick[path] and quick[path]["word"] != OPEN and any(each in (one["why"] or "") for each in known):
            yield f"check says of {path} {quick[path]}, with --content {one}"


def worst_of(found: Sequence[dict[str, str]]) -> dict[str, str]:
    """The worst of several last lines, the first one of a word."""
    order = [one.value for one in Word]
    return max(found, key=lambda one: order.index(one["word"]))


def restores(path: Path, full: Said) -> Iterator[str]:
    """Yield in what restores to several places, planned and carried out, say something else than `check --content`."""
    out = path.parent / "placed"
    apart = [f"--to={token}={path.parent / token}/" for token in ("database", "log-dir")]
    for options in (["--dry-run", *apart], ["--into", str(out)]):
        said, code = planned(path, *options), 6 if full.is_refused else 0
        if (said.word, said.exit_code) != (full.word, code):
            yield f"restore {options[0]} says {said.word}: {said.why}, and ends with {said.exit_code}"
    if out.exists() and any(out.iterdir()) and full.is_refused:
        yield "what is refused is placed"


class Serving(DirectoryServer):
    """A server that has these files, and lets its logs be truncated."""

    truncates = True
    truncated = False

    def prepare_backup(self, backup_type: BackupType) -> BackupContext:
        context = super().prepare_backup(backup_type)
        context.truncate_logs = self._truncate  # type: ignore[method-assign]
        return context

    def _truncate(self) -> None:
        self.truncated = True


def backed_up(folder: Path, out: Path, full: Said) -> Iterator[str]:
    """Yield in what a backup of these files by procedure, and what is said of it, differs from `check --content`."""
    server, said = Serving(folder), None
    with suppress(SetError, ProcedureError):  # the licence is refused, and the archive kept; no database, no backup
        said = run_backup(server, out, BackupKind.FULL, BackupOptions(accept_damage=True)).outcome
    if server.truncated and full.word != YES:
        yield "logs are truncated"
    if said is not None and said.word != full.word:
        yield f"backup says {said}"
    for options in ([], ["--content"]) if out.exists() else ():
        found = checked(out, *options)
        if (found.word, found.exit_code, found.left_out) != (full.word, full.exit_code, full.left_out):
            yield f"check {options} of a backup says {found.word}: {found.why}, and leaves {found.left_out} out"
