"""What salvage could not save is in the verdict: each lost file by what it was, and what nobody can name."""

from __future__ import annotations

from pathlib import Path

import pytest
from chain_sets import DATABASE, full, increment, part
from command_line import tokar

from tokar.format.archive import Archive

RESTORE = ("restore", "--dry-run", "--into", "out")
VERBS = (("check",), ("check", "--content"), ("chain",), ("chain", "--content"), RESTORE)


def salvaged(path: Path, name: str, *, cut: bool = False) -> Path:
    """Salvage an archive in which the content of one file was spoilt, or which was cut there; the original is gone."""
    with Archive(path) as archive:
        entry = next(one for one in archive if one.name == name)
    data = bytearray(path.read_bytes())
    at = (entry.file_position + entry.done_position) // 2
    if cut:
        del data[at:]
    else:
        data[at : at + 16] = bytes(16) if any(data[at : at + 16]) else bytes(range(16))
    path.write_bytes(data)
    saved = path.with_name(f"saved-{path.name}")
    assert tokar("salvage", path, saved).exit_code == 8
    path.unlink()
    return saved


def last(*arguments: str | Path) -> tuple[str, int]:
    done = tokar(*arguments)
    said = [line for line in done.stdout.splitlines() if line.startswith(("RESTORABLE", "NOT ", "PART OF"))]
    assert said, done
    return said[-1], done.exit_code


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return full(tmp_path).path


def test_a_lost_log_behind_the_run_is_a_loss_that_every_verb_names_last(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log")
    for verb in VERBS:
        said, code = last(*verb, base, saved)
        assert said == "RESTORABLE WITH LOSS: edb0000A.log is lost: salvage could not save it", verb
        assert code == (6 if verb[0] == "restore" else 9)


def test_that_nobody_knows_how_many_more_were_lost_is_not_proven_in_every_verb(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log", cut=True)
    for verb in VERBS:
        said, code = last(*verb, base, saved)
        assert said.startswith(f"NOT PROVEN: how many more files were lost where {saved} was salvaged is not known"), (
            verb
        )
        assert said.endswith("at best with a loss: edb0000A.log is lost: salvage could not save it")
        assert code == (6 if verb[0] == "restore" else 9)


def test_a_restore_that_stops_before_what_is_lost_is_done(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log")
    done = tokar("restore", "--dry-run", "--into", "out", "--until", "0x9", base, saved)
    assert done.exit_code == 0
    assert "lost" not in done.stdout.splitlines()[-1]


def test_a_later_set_that_has_the_lost_logs_makes_them_good_and_proves_the_end(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log", cut=True)
    later = increment(base.parent, "later", part(10, 12)).path
    for verb in VERBS:
        said, code = last(*verb, base, saved, later)
        assert "lost" not in said, verb
        assert code == 0


def test_a_later_set_behind_a_hole_proves_nothing(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log", cut=True)
    later = increment(base.parent, "later", part(12, 13)).path
    assert last("check", base, saved, later)[1] == 9
    assert "lost" in last("check", base, saved)[0]


def test_a_lost_log_below_the_need_is_a_remark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved = salvaged(full(tmp_path, low=7, high=8, files=part(5, 6)).path, "edb00005.log")
    for verb in VERBS:
        said, code = last(*verb, saved)
        assert "lost" not in said, verb
        assert code == 0
    assert "edb00005.log is lost" in tokar("check", saved).stdout


@pytest.mark.parametrize(
    ("name", "cut", "said"),
    [
        ("edb00006.log", False, "NOT RESTORABLE: edb00006.log is lost: salvage could not save it"),
        ("edb00009.log", False, "RESTORABLE WITH LOSS: edb00009.log is lost: salvage could not save it"),
        ("edb00009.log", True, "NOT PROVEN: how many more files were lost where"),
        (DATABASE, False, f"NOT RESTORABLE: {DATABASE} is lost: salvage could not save it"),
        ("notes.txt", False, "NOT PROVEN: notes.txt is lost: what is missed without it nobody can judge"),
    ],
)
def test_in_one_archive_it_is_said_by_what_the_lost_file_was(
    name: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, cut: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    others = {"notes.txt": b"what to do\n" * 400, **part(8, 9)}
    saved = salvaged(full(tmp_path, files=others).path, name, cut=cut)
    for verb in VERBS[:4]:
        found, code = last(*verb, saved)
        assert found.startswith(said), verb
        assert code == 9
    found, code = last(*RESTORE, saved)
    assert found.startswith(said)
    assert code == (0 if "notes" in name else 6)


def test_a_log_lost_in_a_set_that_nothing_goes_on_from_is_named_without_its_full(base: Path) -> None:
    saved = salvaged(increment(base.parent, "inc", part(8, 10)).path, "edb0000A.log")
    assert last("check", saved) == ("RESTORABLE WITH LOSS: edb0000A.log is lost: salvage could not save it", 9)
