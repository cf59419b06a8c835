"""Runs the command line: in this process where that says as much, as a process of its own where it does not."""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import forked
from typer import testing
from typer.main import get_command
from typer.testing import CliRunner

import tokar as library
from tokar.cli import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tokar.server.contract import Server

TIMEOUT = 60  # seconds; only a hang takes so long
_NOBODY = 65534
vars(testing)["_get_command"] = cache(get_command)  # the command is built once, and not for every call


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it printed."""

    exit_code: int
    stdout: str
    stderr: str
    printed: str = ""  # Both, as they came

    def json(self) -> Any:
        """The one JSON value on standard output."""
        return json.loads(self.stdout)

    @property
    def error(self) -> str:
        """The one line with the error."""
        (line,) = [line for line in self.stderr.splitlines() if line.startswith("tokar: error: ")]
        return line.removeprefix("tokar: error: ")

    @property
    def hint(self) -> str:
        """The one line with the hint."""
        (line,) = [line for line in self.stderr.splitlines() if line.startswith("hint: ")]
        return line.removeprefix("hint: ")


class InThisProcess:
    """Stands in for the process of the server where that does not matter."""

    def __init__(self, factory: Callable[[], Server], _deadlines: object) -> None:
        self._server: Any = factory()

    def __enter__(self) -> Server:
        found: Server = self._server
        return found

    def __exit__(self, *_: object) -> None:
        lab = getattr(self._server, "lab", None)
        if lab is not None:
            lab.crash()

    def close(self) -> Self:
        return self


def tokar(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Run a command in this process; an exception that it does not expect fails the test."""
    result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr, result.output)


def done(*arguments: str | Path, stdin: bytes = b"") -> Result:
    """Run a command that must succeed."""
    result = tokar(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return result


def fresh(*arguments: str | Path) -> list[str]:
    """The command as a process of Python, for what begins before its first line, or depends on what is loaded."""
    return [sys.executable, "-m", "tokar", *map(str, arguments)]


def command(*arguments: str | Path) -> list[str]:
    """The command as a process of its own."""
    if not hasattr(os, "fork"):
        return fresh(*arguments)
    return [sys.executable, "-I", "-S", forked.__file__, _server(), *map(str, arguments)]


@cache
def _server() -> str:
    """Start what forks for `command`, and return its address. It ends with this process."""
    server = subprocess.Popen([sys.executable, forked.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdin is not None
    assert server.stdout is not None
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    with server.stdout as output:
        return os.fsdecode(output.readline().rstrip())


def process(
    *arguments: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a process and wait for it; standard error is never a traceback."""
    begin = fresh if any(name.startswith(("PYTHON", "LC_")) for name in env or {}) else command
    completed = subprocess.run(
        begin(*arguments),
        input=stdin,
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
        env={**os.environ, **(env or {})},
        **options,
    )
    assert b"Traceback" not in completed.stderr, completed.stderr.decode(errors="replace")
    return completed


def one_process(*commands: Sequence[str | Path], env: dict[str, str]) -> tuple[list[int], list[bytes]]:
    """Run commands one after the other in one process of their own; return their exit codes and what each printed."""
    code = """
import sys
from tokar.cli import app, streams
streams.prepare()
codes = []
for arguments in sys.argv[1].split("\\1"):
    codes.append(app(arguments.split("\\2"), standalone_mode=False) or 0)
    print("\\1", end="")
print(*codes)
"""
    arguments = "\1".join("\2".join(map(str, one)) for one in commands)
    completed = subprocess.run(
        [sys.executable, "-c", code, arguments],
        capture_output=True,
        check=True,
        timeout=TIMEOUT,
        env={**os.environ, **env},
    )
    *printed, codes = completed.stdout.split(b"\1")
    return [int(one) for one in codes.split()], printed


def pipeline(*commands: list[str]) -> tuple[list[int], bytes, bytes]:
    """Run commands as a pipeline; return exit codes, the output of the last, and what all wrote to standard error."""
    running: list[subprocess.Popen[bytes]] = []
    for one in commands:
        source = running[-1].stdout if running else subprocess.DEVNULL
        running.append(subprocess.Popen(one, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        if len(running) > 1:
            earlier = running[-2].stdout
            assert earlier is not None
            earlier.close()  # only the next command reads it
    output, messages = running[-1].communicate(timeout=TIMEOUT)
    for earlier_one in running[:-1]:
        assert earlier_one.stderr is not None
        messages += earlier_one.stderr.read()
        earlier_one.stderr.close()
        earlier_one.wait(TIMEOUT)
    assert b"Traceback" not in messages, messages.decode(errors="replace")
    return [each.returncode for each in running], output, messages


def in_words_of_ours(message: str) -> str:
    """Return a message that ends in words of the system: on Windows, which has others, as far as those begin."""
    return message.partition("No such file")[0] if os.name == "nt" else message


@contextmanager
def without_rights() -> Iterator[Path]:
    """Yield a folder in which the block runs as a user who may not override rights, even if the tests run as root."""
    with tempfile.TemporaryDirectory(prefix="tokar-test-") as name:
        folder = Path(name)
        if os.geteuid() != 0:
            yield folder
            return
        # All modules that are needed may be out of reach later: ours, and those for text and for what typer converts.
        for _, module, _ in pkgutil.walk_packages(library.__path__, "tokar."):
            if not module.endswith("__main__"):
                importlib.import_module(module)
        for arguments in ("tokens",), ("lab", "new", "x", "--databases", "x"):
            tokar(*arguments)
        gc.collect()  # what tests before it left gives back its locks while it may
        os.chown(folder, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, 0)
        try:
            yield folder
        finally:
            os.setresuid(0, 0, 0)
