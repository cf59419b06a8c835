"""What the verbs say of one archive, and whether they contradict each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from command_line import tokar

from tokar.sets.outcome import Word

if TYPE_CHECKING:
    from collections.abc import Iterator
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


def checked(path: Path, *options: str) -> Said:
    result = tokar("check", "--json", *options, path)
    (one,) = result.json()["archives"]
    causes, remarks = (
        [(each["kind"], (each["engine"] or {}).get("number")) for rung in one["rungs"] for each in rung[key]]
        for key in ("findings", "remarks")
    )
    apart = {each["name"] for each in one["verdict"]["left_out"]}
    outcome = one["outcome"]
    return Said(outcome["word"], outcome["why"] or "", result.exit_code, apart, causes, remarks)


def planned(path: Path) -> Said:
    result = tokar("restore", "--dry-run", "--json", "--into", path.parent / "out", path)
    plan = result.json()
    apart = {step["name"] for step in plan["plans"][0]["steps"] if step["action"] != "place"}
    return Said(plan["outcome"]["word"], plan["outcome"]["why"] or "", result.exit_code, apart)


def contradictions(path: Path, full: Said) -> Iterator[str]:
    """Yield in what the other verbs say something else than `check --content`: what create verified is kept."""
    quick, plan = checked(path), planned(path)
    if (quick.word, quick.exit_code) != (full.word, full.exit_code):
        yield f"check says {quick.word}: {quick.why}, and ends with {quick.exit_code}"
    if (plan.word, plan.exit_code) != (full.word, 6 if full.word in {NOT, LOSS} else 0):
        yield f"restore says {plan.word}: {plan.why}, and ends with {plan.exit_code}"
    if full.word in {YES, LOSS} and not plan.left_out == quick.left_out == full.left_out:
        yield f"left out are {sorted(quick.left_out)} by check, {sorted(plan.left_out)} by restore"
    for options in ([], ["--content"]):
        chain = tokar("chain", "--json", *options, path)
        outcome = chain.json()["outcome"]
        if (outcome["word"], chain.exit_code) != (full.word, full.exit_code):
            yield f"chain {options} says {outcome['word']}: {outcome['why']}, and ends with {chain.exit_code}"
    if full.word != Word.PART_OF_A_CHAIN:  # logs alone are no chain to restore from
        refused = full.word in {NOT, LOSS}
        result = tokar("restore", "--dry-run", "--json", "--into", path.parent / "out", "--chain", path.parent)
        word = None if result.exit_code else result.json()["outcome"]["word"]
        if (word, bool(result.exit_code)) != (None if refused else full.word, refused):
            yield f"restore --chain says {word}, and ends with {result.exit_code}"
