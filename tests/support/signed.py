"""Keys, lists of signers, and archives to sign."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

import tokar as library

needs_ssh_keygen = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None, reason="needs ssh-keygen: install openssh-client"
)


def run(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run ssh-keygen itself, which no module of ours has a part in. It has no terminal to ask anybody on."""
    return subprocess.run(
        ["ssh-keygen", *map(str, arguments)], input=stdin, capture_output=True, check=False, start_new_session=True
    )


def make_key(folder: Path, name: str, passphrase: str = "") -> Path:
    """Return a new private key; its public half lies beside it."""
    path = folder / name
    assert run("-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f", path).returncode == 0
    return path


def public(key: Path) -> str:
    """The public half of a key, without its comment."""
    return " ".join(Path(f"{key}.pub").read_text().split()[:2])


def signers(folder: Path, *lines: str, name: str = "allowed") -> Path:
    """Return a list of allowed signers."""
    path = folder / name
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def make_archive(path: Path, content: bytes = b"content") -> Path:
    """Return a small archive."""
    with library.create(path, profile="ese") as writer:
        writer.add_bytes(0x0F, "one", content)
    return path
