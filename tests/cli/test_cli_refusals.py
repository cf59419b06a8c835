"""Any call of any verb is refused: by the system, by memory, by threads, by the compressor.

What is told is the error with a next step and an exit code; or it was no loss, and all is as without it.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import zlib
from contextlib import chdir
from typing import TYPE_CHECKING

import pytest
import zstandard
from command_line import InThisProcess, done, tokar
from disk_faults import EVERY, NATIVE, Strike, struck
from encrypted import make_identity
from recovery_sets import dirty, logs
from signed import make_key, needs_ssh_keygen, public, signers
from small_sets import contents, database, instance, write
from sweeps import sampled

from tokar import cli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from command_line import Result

pytestmark = [
    needs_ssh_keygen,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs descriptors of directories"),
]
VERBS = {
    "create": "create -q --all new.tokar in",
    "create --force": "create -q --all --force a.tokar in",
    "create, encrypted": "create -q --all new.tokar in --recipients-file mine.pub",
    "backup": "backup -q lab:lab new.tokar --type full",
    "backup dir": "backup -q dir:in new.tokar --type copy",
    "probe": "probe lab:lab",
    "probe dir": "probe --list dir:in",
    "inspect": "inspect --entries a.tokar",
    "inspect --pages": "inspect --pages a.tokar",
    "inspect folder": "inspect in",
    "sign": "sign -q a.tokar --key key",
    "sign --embed": "sign -q --embed a.tokar --key key",
    "verify": "verify --content a.tokar",
    "verify, encrypted": "verify --content e.tokar --identity mine",
    "check": "check --content a.tokar",
    "check folder": "check in",
    "check --replay": "check --replay set",
    "chain": "chain a.tokar e.tokar",
    "report": "report a.tokar -o new.html",
    "restore": "restore a.tokar --into out",
    "restore --existing": "restore a.tokar --into old --existing set-aside",
    "restore --dry-run": "restore --dry-run a.tokar --into out",
    "restore --chain": "restore --into out --chain .",
    "replay": "replay set",
    "recover": "recover set --out out",
    "extract": "extract -q a.tokar db.edb -o new.edb",
    "extract --force": "extract -q --force a.tokar db.edb -o old/db.edb",
    "keys": "keys e.tokar",
    "rekey": "rekey -q e.tokar --recipients-file other.pub --identity mine",
    "salvage": "salvage -q b.tokar new.tokar",
    "clean": "clean .",
    "clean --remove": "clean --remove left",
    "redact": "redact said.json",
    "lab new": "lab new new",
    "lab work": "lab work lab -n 3",
    "lab show": "lab show lab",
    "lab set": "lab set lab circular=off",
    "lab defragment": "lab defragment lab",
    "lab recover": "lab recover lab",
    "create --sign": "create -q --all new.tokar in --sign key",
    "verify --signed-by": "verify s.tokar --signed-by allowed",
    "check --to": "check a.tokar --to database=out",
    "extract to standard output": "extract -q a.tokar db.edb -o -",
    "inspect --json": "inspect --json a.tokar",
    "demo": "demo new",
    "tokens": "tokens",
    "sources": "sources",
    "explain": "explain -1216",
    "config": "config",
    "help": "help create",
}
SYSTEM = [
    errno.ENOSPC,
    errno.EIO,
    errno.EMFILE,
    errno.ESTALE,
    errno.EACCES,
    errno.EDQUOT,
    errno.ETIMEDOUT,
    errno.EINVAL,
]
ZSTD = [zstandard.ZstdError("cannot compress: not enough memory"), zstandard.ZstdError("cannot: error (generic)")]
KINDS: dict[str, list[int | Exception]] = {
    "start": [RuntimeError("can't start new thread"), MemoryError()],
    "_compressor": [*ZSTD, MemoryError()],
    "_decompressor": [*ZSTD, MemoryError()],
}
# In what a verb prints, what is another in every run.
CHANGING = re.compile(
    r"\d+(\.\d+)? (ms|seconds|s)\b|\d{4}-\d\d-\d\d[T ]?[\d:]*Z?|\d{8}T\d+Z?|[0-9a-f]{8,}|[\d.,]+ ([KM]i)?B"
)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all that the verbs take."""
    folder = tmp_path_factory.mktemp("refusals")
    write(folder / "in", instance() | {"more.edb": database(7, pages=40)})
    write(folder / "set", {"main.edb": bytes(dirty(5, 7)), **logs(5, 7, filled=1)})
    write(folder / "old", {"db.edb": b"old"})
    write(folder / "left", {".x.tokar.0123abcd.part": b"x"})
    make_key(folder, "key")
    for name in ("mine", "other"):
        (folder / name[:1]).mkdir()
        identity = make_identity(folder / name[:1])
        identity.rename(folder / name)
        identity.with_name(f"{identity.name}.pub").rename(folder / f"{name}.pub")
        shutil.rmtree(folder / name[:1])
    with chdir(folder):
        done("create", "-q", "--all", "a.tokar", "in")
        done("create", "-q", "--all", "e.tokar", "in", "--recipients-file", "mine.pub")
        spoilt = bytearray((folder / "a.tokar").read_bytes())
        spoilt[3000] ^= 1
        (folder / "b.tokar").write_bytes(spoilt)
        (folder / "said.json").write_text(done("check", "--json", "a.tokar").stdout)
        done("create", "-q", "--all", "s.tokar", "in", "--sign", "key")
        signers(folder, f"me@example.org {public(folder / 'key')}")
        done("lab", "new", "lab", "--profile", "certadm")
        done("lab", "work", "lab", "-n", "5")
    return folder


def points(verb: str, template: Path, folder: Path, *, sample: bool) -> Iterator[tuple[str, int, int | Exception]]:
    """Yield what is struck: of each name of a call each line that makes it, there the first and the last call.

    A sample has a few names of calls, of each up to four lines, and there the last call.
    """
    for number, name in enumerate((*EVERY, *NATIVE)):
        if sample and number % 16 != zlib.crc32(verb.encode()) % 16:
            continue
        plan = Strike(0, errno.EIO, only=name)
        ran(verb, template, folder, plan)
        assert plan.places is not None
        lines: dict[str, list[int]] = {}
        for at, line in enumerate(plan.places, 1):
            lines.setdefault(line, []).append(at)
        kinds = KINDS.get(name, [*SYSTEM, MemoryError()])
        for line in [*lines][:: (len(lines) + 3) // 4 or 1] if sample else lines:
            calls = lines[line]
            for kind in [kinds[zlib.crc32(line.encode()) % len(kinds)]] if sample else kinds:
                yield from ((name, at, kind) for at in ({calls[-1]} if sample else {calls[0], calls[-1]}))


def ran(verb: str, template: Path, folder: Path, strike: Strike) -> Result:
    """Run a verb in a folder of its own, and strike it there."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(template, folder)
    with chdir(folder), struck(strike):
        return tokar(*VERBS[verb].split())


def test_no_verb_is_without_a_row() -> None:
    assert {words.split()[0] for words in VERBS.values()} == {*cli.VERBS}


# The demo makes what others have struck by themselves, and takes longer than all of them.
SAMPLES = [(verb, True) for verb in VERBS if verb != "demo"] + [(verb, False) for verb in VERBS]


@pytest.mark.parametrize(("verb", "sample"), sampled(SAMPLES, lambda _, sample: sample))
def test_whatever_is_refused_is_told_with_a_next_step_or_is_no_loss(
    verb: str, sample: bool, template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokar.server.deadline.DeadlineServer", InThisProcess)
    folder = tmp_path / "work"
    plain = ran(verb, template, folder, Strike(0, errno.EIO, only="readlink"))
    made = contents(folder)
    again = ran(verb, template, folder, Strike(0, errno.EIO, only="readlink"))
    same = {name for name, data in contents(folder).items() if made.get(name) == data}
    same -= {name for name in same if name == "new.html" or ".tokar-aside-" in name}  # they have the time in them
    assert plain.exit_code == again.exit_code
    for name, at, kind in points(verb, template, folder, sample=sample):
        strike = Strike(at, kind, only=name)
        result = ran(verb, template, folder, strike)
        if strike.struck:
            demand_told(result, plain, f"{name} {at} of {kind!r}, by {(strike.places or [''])[at - 1]}")
            demand_whole(folder, template, made if result.exit_code == plain.exit_code else {}, same)


def demand_told(result: Result, plain: Result, what: str) -> None:
    """Check that an error is told with its next step, or that nothing else is said than without it."""
    said = result.stdout + result.stderr
    assert "fault of tokar" not in said, what
    assert result.exit_code in range(12), what
    if result.exit_code == plain.exit_code:
        told = CHANGING.sub("", result.stdout) == CHANGING.sub("", plain.stdout) or result.stderr != plain.stderr
        assert told or any(one in said for one in EXCUSES), f"{what}: {said}"
    else:
        assert "hint: " in result.stderr or "cannot" in result.stdout or "does not" in result.stdout, f"{what}: {said}"


# What is told on standard output of a call that was refused, where the work goes on without it.
EXCUSES = (
    *("without their time", "could not be given the modification time", "owner at work"),
    *("not known", "cannot be used here"),
)


def demand_whole(folder: Path, template: Path, made: dict[str, bytes], same: set[str]) -> None:
    """Check that inputs are as they were, and that what has a final name is whole."""
    for name in same & made.keys():
        assert (folder / name).read_bytes() == made[name], name
    for name in ("new.tokar", "a.tokar", "e.tokar"):
        if (folder / name).exists():
            done("verify", "--content", "--identity", template / "mine", folder / name)
    if (folder / "new.edb").exists():
        assert (folder / "new.edb").read_bytes() == (template / "in" / "db.edb").read_bytes()
    assert (folder / "old" / "db.edb").read_bytes() in {b"old", (template / "in" / "db.edb").read_bytes()}
