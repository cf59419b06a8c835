"""The system's ssh-keygen, which alone makes and judges signatures: people use the keys, agents and tokens they have.

Its exit codes decide, never its words. OpenSSH 8.1 or newer is needed; Windows has it as `ssh-keygen.exe`.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from tokar import names
from tokar.errors import SigningError, StorageError, storage_errors
from tokar.format.sshsig import NAMESPACE, SshSignature
from tokar.storage.bytesource import read_whole
from tokar.storage.sink import make_temporary, write_all

Waiting = Callable[[str], None]
"""Called when a key lets itself be waited for, with what a person may have to do."""

_NAME: Final = "ssh-keygen.exe" if os.name == "nt" else "ssh-keygen"
_USAGE: Final = 1  # its exit code for what it does not know; all refusals have another one
_SIGN_SECONDS: Final = 600.0  # for a passphrase, or a touch: a server may be waiting for its backup to end
_JUDGE_SECONDS: Final = 60.0
_PATIENCE: Final = 2.0  # seconds until it is said what is waited for
_MAX_SAID: Final = 200
_MAX_KEY_SIZE: Final = 1 << 20


class _Answer(NamedTuple):
    """How ssh-keygen ended."""

    code: int
    output: bytes
    said: str  # The last line that it wrote for a person


def find_program() -> str:
    """Return the path of ssh-keygen. What PATH names relative to the current folder is passed over.

    Raises:
        SigningError: There is none.
    """
    for folder in os.get_exec_path():
        path = Path(folder, _NAME)
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            return str(path)
    raise SigningError(
        "signatures are made and judged by ssh-keygen, and there is none in PATH",
        hint="install OpenSSH (openssh-client; on Windows the optional feature OpenSSH Client), and run again",
    )


def sign(message: bytes, key: Path | str, waiting: Waiting | None = None) -> bytes:
    """Return a signature in armor.

    Args:
        message: What is signed.
        key: A private key, or a public key whose private half an agent or a hardware token has.
        waiting: Called when it takes long.

    Raises:
        SigningError: It cannot be made.
    """
    answer = _run(["-Y", "sign", "-f", str(key), "-n", NAMESPACE], message, _SIGN_SECONDS, waiting)
    if answer.code:
        raise _refused("did not sign", answer, key)
    return answer.output


def demand_key(key: Path | str) -> None:
    """Check that a file holds a key.

    Raises:
        SigningError: It does not.
        StorageError: It cannot be read.
        InputError: It is too large to be one.
    """
    if read_whole(key, _MAX_KEY_SIZE) and not os.stat(key).st_size:  # noqa: PTH116 - a path or text
        message = "what is read of it may be gone when it is read again, and a file is wanted"
        raise StorageError(message, path=key, hint="save it to a file that nobody else can read, and name that")
    beside = Path(f"{key}.pub")  # ssh-keygen looks there too
    if beside.exists():
        read_whole(beside, _MAX_KEY_SIZE)
    answer = _run(["-l", "-f", str(key)])
    if answer.code:
        raise _refused("finds no key in it", answer, key)


def is_right(signature: SshSignature, message: bytes) -> bool:
    """Return whether a signature was made over a message, by the key that it names, whoever has that."""
    return not why_not_right(signature, message)


def why_not_right(signature: SshSignature, message: bytes) -> str:
    """Return what ssh-keygen has against a signature over a message, in its own words; empty where it is right."""
    with _signature_file(signature) as path:
        return _against(_judge(["-Y", "check-novalidate", "-n", NAMESPACE, "-s", path], message))


def why_not_by(signature: SshSignature, message: bytes, principal: str, allowed: Path, revoked: Path | None) -> str:
    """Return what ssh-keygen has against a signature by somebody, now and for this purpose; empty if nothing.

    Args:
        signature: The signature.
        message: The message.
        principal: Who, as the list has it.
        allowed: The list of allowed signers.
        revoked: A list of keys that are not allowed any more; None for none.
    """
    with _signature_file(signature) as path:
        options = ["-f", str(allowed), "-I", principal, "-n", NAMESPACE, "-s", path]
        more = [] if revoked is None else ["-r", str(revoked)]
        return _against(_judge(["-Y", "verify", *options, *more], message))


def _against(answer: _Answer) -> str:
    return (answer.said or f"exit code {answer.code}") if answer.code else ""


def principals_of(signature: SshSignature, allowed: Path) -> list[str]:
    """Return whom a list has for the certificate of a signature."""
    with _signature_file(signature) as path:
        answer = _judge(["-Y", "find-principals", "-s", path, "-f", str(allowed)], b"")
    return [] if answer.code else answer.output.decode("utf-8", "replace").split("\n")


def _judge(arguments: list[str], message: bytes) -> _Answer:
    answer = _run(arguments, message)
    if answer.code == _USAGE:  # it knows less than it was asked: nothing was judged
        raise _refused("does not know how to judge a signature", answer)
    return answer


def _refused(what: str, answer: _Answer, key: Path | str | None = None) -> SigningError:
    """Return an error for what ssh-keygen did not do."""
    if answer.code == _USAGE:
        hint = "OpenSSH 8.1 or newer is needed: update it"
        return SigningError("ssh-keygen here is too old for signatures", path=key, hint=hint)
    said = f": {answer.said}" if answer.said else ""
    hint = "is it the right key, is its agent at work (ssh-add -L), was the passphrase right, the token touched?"
    return SigningError(f"ssh-keygen {what}{said}", path=key, hint=hint if key is not None else None)


def _run(
    arguments: list[str], message: bytes = b"", seconds: float = _JUDGE_SECONDS, waiting: Waiting | None = None
) -> _Answer:
    """Run ssh-keygen with a message as its input. It may ask a person on the terminal."""
    pipe = subprocess.PIPE
    try:
        with subprocess.Popen(  # noqa: S603 - no shell, and the program is at an absolute path
            [find_program(), *arguments], stdin=pipe, stdout=pipe, stderr=pipe
        ) as process:
            try:
                output, said = _communicate(process, message, seconds, waiting)
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired as error:
        hint = "run again, and answer it in time; an agent (ssh-add) asks for nothing"
        raise SigningError(f"ssh-keygen took longer than {seconds:.0f} seconds", hint=hint) from error
    except (OSError, ValueError) as error:
        raise SigningError(f"ssh-keygen cannot be run: {error}") from error
    lines = said.decode("utf-8", "replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return _Answer(process.returncode, output, names.printable(last[:_MAX_SAID]))


def _communicate(
    process: subprocess.Popen[bytes], message: bytes, seconds: float, waiting: Waiting | None
) -> tuple[bytes, bytes]:
    if waiting is None:
        return process.communicate(message, seconds)
    try:
        return process.communicate(message, _PATIENCE)
    except subprocess.TimeoutExpired:
        waiting("waiting for ssh-keygen: it may want a passphrase, or a touch of a hardware token")
        return process.communicate(timeout=seconds)


@contextmanager
def _signature_file(signature: SshSignature) -> Iterator[str]:
    """Give the path of a file with a signature that only its owner can read; `clean` finds it if this process dies."""
    with storage_errors("keep a signature for ssh-keygen"):
        path, descriptor = make_temporary(Path(tempfile.gettempdir(), "signature"))
        try:
            write_all(descriptor, [signature.armored.encode()])
            yield str(path)
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)
