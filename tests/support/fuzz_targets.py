"""Every parser of what others may have written: each takes any bytes, and an `ArchiveError` is the only way to refuse.

A target is a function of bytes, with bytes to begin from. Where checksums would keep what is spoilt from what lies
behind them, they are put right first; where several parsers may meet the same bytes, each gets them. Targets without
files, processes and seals reach five million executions in minutes; the others (`headers`, `content`, `salvage`, `set`,
`archive-checks`, `log-records`, `lab-recover`, `rpc-logon`, `verbs`) run whole stories, for what parsers do together:
the parsers in them have targets of their own.
"""

from __future__ import annotations

import shutil
from typing import Final

from command_line import tokar
from fixtures.expect import FOLDER, Expectation
from fixtures.mutations import join, split
from fuzz_engine import ENGINE
from fuzz_format import FORMAT, engine_archive
from fuzz_lists import LISTS, TOML
from fuzz_replay import REPLAY
from fuzz_tools import Target, file, flagged
from fuzz_wire import WIRE
from small_sets import database, log

from tokar.errors import ArchiveError, LockedError, NotSignedError

_VERBS: Final[tuple[tuple[str, ...], ...]] = (
    ("verify", "--content", "{}"),
    ("inspect", "{}"),
    ("inspect", "--json", "{}"),
    ("inspect", "--records", "{}"),
    ("inspect", "--pages", "--headers", "{}"),
    ("check", "--content", "{}"),
    ("chain", "{}"),
    ("restore", "--dry-run", "--into", "{}.out", "{}"),
    ("extract", "{}", "#0", "--force", "-o", "{}.out"),
    ("salvage", "{}", "{}.out", "--force"),
    ("create", "--force", "{}.out", "{}"),
    ("restore", "--dry-run", "{}.good", "--locations", "{}"),
    ("verify", "-"),
    ("inspect", "-"),
    ("verify", "{}", "--signed-by", "{}.signers"),
    ("verify", "{}.signed", "--signed-by", "{}", "--revoked", "{}"),
)


def _verb(data: bytes) -> None:
    """A verb over a file: an exit code of the table, and neither a traceback nor the last net."""
    flag, body = flagged(data)
    if flag & 16 and len(body) > 32:
        body = join(body[:32], split(body), derive=True)
    path = file("input", body)
    good = path.with_name("input.good")
    if not good.exists():
        good.write_bytes(engine_archive())
        path.with_name("input.signed").write_bytes(Expectation.load("good-sign").data)
        shutil.copy(FOLDER / "signers" / "allowed", path.with_name("input.signers"))
    words = [word.replace("{}", str(path)) for word in _VERBS[flag % 16 % len(_VERBS)]]
    result = tokar(*words, stdin=body)
    assert result.exit_code in {*range(10), LockedError.exit_code, NotSignedError.exit_code}, result
    assert "fault of tokar" not in result.stderr
    assert result.exit_code == 0 or result.stdout or result.stderr


def _verb_seeds() -> list[bytes]:
    made = (
        engine_archive(),
        database(),
        log(1),
        TOML,
        *(Expectation.load(one).data for one in ("good-sign", "good-sign-added")),
    )
    made += ((FOLDER / "signers" / "allowed").read_bytes(),)
    return [bytes([flag]) + one for flag in range(32) for one in made if flag < 16 or one is made[0]]


VERBS: Final = {"verbs": Target(_verb, _verb_seeds, ("tokar.cli", "tokar.check", "tokar.restore"), 20_000, 3)}
TARGETS: Final[dict[str, Target]] = {**FORMAT, **LISTS, **ENGINE, **REPLAY, **WIRE, **VERBS}


def attempt(target: Target, data: bytes) -> ArchiveError | None:
    """Run a target; return how it refused the bytes, None where it took them. Whatever else is raised is a fault."""
    try:
        target.run(data)
    except ArchiveError as error:
        return error
    return None
