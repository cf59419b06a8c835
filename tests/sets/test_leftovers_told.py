"""What is missing, and lies there in what an earlier restore left: the next step names it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from disk_faults import Strike, hit
from recovery_sets import DATABASE, DATABASE_SIGNATURE, OTHER_STREAM, dirty, logs, write

from tokar.ese.filenames import log_file_name

if TYPE_CHECKING:
    from pathlib import Path

Files = dict[str, bytes]
BOTH = ((r"C:\db\main.edb", DATABASE_SIGNATURE), (r"C:\db\pub.edb", OTHER_STREAM))
ALL, OF_BOTH = logs(1, 9), logs(5, 7, attached=BOTH)
STAGED = ".tokar-restore-e0ceb9fdcdfe196b-0/"
JOURNAL = ".tokar-restore-e0ceb9fdcdfe196b.journal-1"
ASIDE = ".tokar-aside-20260101T000000Z-1"
FINISH = "finish the restore that left {} here, with the same command (tokar clean would remove it); else "
LOOK_AT = "look at {}, which an earlier restore set aside: if it is what is missing, give it its name back; else "
ADD = "add the archive or folder that has it"


def name(generation: int) -> str:
    return log_file_name("edb", generation)


def part(low: int, high: int) -> Files:
    return {name(at): ALL[name(at)] for at in range(low, high + 1)}


def steps(folder: Path, files: Files) -> set[str]:
    """The next steps that every verb gives, of a folder as it lies and of an archive of it."""
    there = write(folder / "set", files)
    made = tokar("create", "-q", folder / "a.tokar", there)
    assert made.exit_code == 0
    found = {made.stderr.split("; next: ")[1].splitlines()[0]}
    for path in (there, folder / "a.tokar"):
        for verb in (["check"], ["check", "--content"], ["chain"]):
            lines = (line.strip() for line in tokar(*verb, path).stdout.splitlines())
            found.add(next(line for line in lines if line.startswith("next: ")).removeprefix("next: "))
    refused = tokar("restore", "--into", folder / "out", folder / "a.tokar").hint
    return found | {refused.rpartition("; --accept-unrecoverable")[0]}


@pytest.mark.parametrize(
    ("left", "step"),
    [
        ({STAGED + name(6): ALL[name(6)]}, FINISH.format(STAGED + name(6))),
        (
            {STAGED + own: data for own, data in part(5, 7).items()},
            FINISH.format(f"{STAGED}{name(6)}, {STAGED}{name(7)}"),
        ),
        ({f"{name(7)}{ASIDE}": ALL[name(7)]}, LOOK_AT.format(name(7) + ASIDE)),
        ({f"{name(7)}{ASIDE}": b"x", STAGED + name(6): b"x"}, FINISH.format(STAGED + name(6))),
        ({f"{name(7)}{ASIDE}": b"x", JOURNAL: b"x"}, FINISH.format(JOURNAL)),
    ],
)
def test_the_next_step_names_what_an_earlier_restore_left_where_it_is_called_as_what_is_missing(
    left: Files, step: str, tmp_path: Path
) -> None:
    (said,) = steps(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 5), **left})
    assert said.startswith(step + ADD)


@pytest.mark.parametrize(
    ("left", "step"),
    [
        (f"{STAGED}pub.edb", FINISH),
        (f"pub.edb{ASIDE}", LOOK_AT),
        (JOURNAL, FINISH),
        (f"{STAGED}other.edb", "{}"),
        ("pub.edb.bak", "{}"),
    ],
)
def test_a_database_that_is_missing_may_be_what_an_earlier_restore_left(left: str, step: str, tmp_path: Path) -> None:
    (said,) = steps(tmp_path, {DATABASE: bytes(dirty(5, 7)), **OF_BOTH, left: bytes(dirty(5, 7))})
    assert said.startswith((step.format(left) if step != "{}" else "") + "restore it as well")


@pytest.mark.parametrize(
    "left",
    [
        {f".{name(6)}.0f1e2d3c.part": ALL[name(6)]},
        {STAGED + name(8): ALL[name(8)]},
        {f"{STAGED}e0000006.log": ALL[name(6)]},
        {STAGED + DATABASE: b"x", f"{DATABASE}{ASIDE}": b"x"},
        {f"x{STAGED}{name(6)}": b"x"},
    ],
)
def test_what_an_earlier_restore_left_and_is_called_otherwise_is_no_next_step(left: Files, tmp_path: Path) -> None:
    (said,) = steps(tmp_path, {DATABASE: bytes(dirty(5, 7)), **part(5, 5), **left})
    assert said.startswith(ADD)


def test_a_restore_that_was_killed_is_finished_as_the_next_step_says(tmp_path: Path) -> None:
    both = {DATABASE: bytes(dirty(5, 7)), "pub.edb": bytes(dirty(5, 7, signature=OTHER_STREAM))}
    done("create", "-q", tmp_path / "a.tokar", write(tmp_path / "in", {**both, **OF_BOTH}))

    def is_half_done(at: int) -> bool:
        """Kill a restore into a folder; return whether one of two databases is in its place."""
        out = write(tmp_path / str(at), {"readme.txt": b"x"})
        assert hit(Strike(at, "after"), lambda: tokar("restore", "-q", "--into", out, tmp_path / "a.tokar"))
        return len([one for one in both if (out / one).exists()]) == 1

    at = next(at for at in range(1, 99) if is_half_done(at))
    out = tmp_path / str(at)
    (staged,) = out.glob(".tokar-restore-*/*.edb")
    refused = tokar("check", out)
    assert refused.exit_code == 9
    assert f"next: {FINISH.format(f'{staged.parent.name}/{staged.name}')}restore it as well" in refused.stdout
    done("restore", "-q", "--into", out, tmp_path / "a.tokar")
    assert done("check", out).stdout.splitlines()[-1] == "RESTORABLE"
