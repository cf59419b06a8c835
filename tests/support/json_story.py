"""Every verb with `--json`, once or more, on small sets: what it prints is held against its schema."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any, Final

from chain_sets import DATABASE, dirty, full, increment, part
from command_line import tokar
from recovery_sets import checkpoint
from signed import make_key, public, signers
from small_sets import damaged, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES: Final = {DATABASE: bytes(dirty(5, 7)), **part(5, 7), "edb.chk": checkpoint(5), "notes.txt": b"x"}
COMMANDS: Final = """
create a.tokar set
create set.tokar set --annotation x --name y
create set.tokar nothing
backup lab:server full.tokar --type full
backup lab:server later.tokar --type incremental --after full.tokar
backup lab:server later.tokar --type full
probe lab:server --list
probe dir:nothing
create sealed.tokar set --recipients-file key.pub
create sealed.tokar set --recipient nobody
keys sealed.tokar a.tokar
keys nothing
rekey sealed.tokar --recipients-file key.pub --identity key
rekey sealed.tokar --recipients-file key.pub --identity key.pub
verify --content sealed.tokar
verify --content sealed.tokar --identity key
check --content sealed.tokar
inspect sealed.tokar --entries
extract sealed.tokar edb00005.log
sign a.tokar --key key
sign a.tokar --key key --embed
sign cut.tokar --key key
sign b.tokar --key key
verify a.tokar b.tokar cut.tokar --signed-by signers
check a.tokar --signed-by signers
chain a.tokar --signed-by signers
restore a.tokar --into signed --signed-by signers
extract a.tokar edb00005.log -o signed.log --signed-by signers
create b.tokar set --sign key
inspect a.tokar
inspect a.tokar --sums sha256
inspect a.tokar --records
inspect a.tokar --headers
inspect a.tokar --pages
inspect cut.tokar
inspect broken.tokar
inspect full.tokar later.tokar
inspect set
inspect set --headers
inspect set/main.edb
inspect set/edb00005.log --pages
inspect set/edb.chk
inspect set/edb00005.log --records
inspect set/notes.txt
salvage broken.tokar whole.again
verify a.tokar full.tokar
verify --content broken.tokar cut.tokar nothing
check a.tokar
check --content chain/full.tokar chain/part.tokar
check lost.tokar
report a.tokar -o a.html
report a.tokar -o a.html
report chain -o chain.html --redact
chain chain
chain chain set nothing
restore a.tokar --into out --dry-run
restore a.tokar --into out
restore a.tokar --into out
restore a.tokar --to log-dir=elsewhere/
restore lost.tokar --into other
restore --chain chain --into whole
restore --chain lostchain --into whole
restore full.tokar later.tokar --server lab:fresh
replay set
replay --support
recover set --out recovered
recover --support
extract a.tokar edb00005.log -o one.log
extract a.tokar nothing
salvage cut.tokar saved.tokar
salvage a.tokar again.tokar
clean litter
clean litter --remove
tokens
tokens --profile certadm
sources
explain -1216 NoSuchThing
explain -1216 0xC8000713 2
lab new server2
lab work server2 -n 5
lab set server2 circular=on
lab defragment server2
lab show server2
lab recover fresh
lab recover server2
config
redact full.tokar.receipt.json
redact set/notes.txt
redact nothing
help
help lab new
help nothing
demo demo
demo set
"""


def run(folder: Path) -> Iterator[tuple[str, list[str], Any]]:
    """Yield each command: its verb, itself, and the JSON value that it printed; from within the folder."""
    _prepare(folder)
    for line in COMMANDS.strip().splitlines():
        words = line.split()
        if {"sign", "--signed-by", "--sign"} & {*words} and not (folder / "key").exists():
            continue
        result = tokar(words[0], *words[1:2] * (words[0] == "lab"), "--json", *words[1 + (words[0] == "lab") :])
        yield words[0], words, result.json()


def _prepare(folder: Path) -> None:
    write(folder / "set", FILES)
    write(folder / "lost", {name: data for name, data in FILES.items() if name != "edb00006.log"})
    for name in ("chain", "lostchain", "litter"):
        (folder / name).mkdir()
    full(folder / "chain")
    increment(folder / "chain", "part", part(8, 9))
    increment(folder / "lostchain", "part", part(8, 9))
    (folder / "litter" / ".a.tokar.01234567.part").write_bytes(b"x")
    done = tokar("create", "-q", folder / "lost.tokar", folder / "lost")
    assert done.exit_code == 0
    tokar("create", "-q", folder / "whole.tokar", folder / "set")
    data = (folder / "whole.tokar").read_bytes()
    (folder / "cut.tokar").write_bytes(data[:-200])
    (folder / "broken.tokar").write_bytes(damaged(data, len(data) // 2))
    if shutil.which("ssh-keygen"):
        signers(folder, f"* {public(make_key(folder, 'key'))}", name="signers")
    tokar("lab", "new", folder / "server", "--profile", "certadm")
    tokar("lab", "new", folder / "fresh", "--profile", "certadm", "--empty")
