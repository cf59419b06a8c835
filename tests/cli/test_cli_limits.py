"""Every verb where the system gives too little: a typed error with a next step, and never a traceback."""

from __future__ import annotations

import errno
import importlib
import subprocess
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import pytest
from command_line import TIMEOUT, done, fresh, tokar
from small_sets import database, instance, write
from sweeps import sampled

if TYPE_CHECKING:
    from pathlib import Path

resource = pytest.importorskip("resource")

VERBS = [
    "create {0}/o.tokar {0}/in -q --force --all",
    "verify --content {0}/a.tokar",
    "inspect --pages {0}/a.tokar",
    "check --content {0}/a.tokar",
    "chain {0}/a.tokar",
    "restore {0}/a.tokar --into {0}/out",
    "extract {0}/a.tokar db.edb -o {0}/x --force",
    "salvage {0}/b.tokar {0}/o.tokar --force",
    "clean {0}",
    "lab work {0}/lab -n 3",
    "backup lab:{0}/lab {0}/f.tokar --type copy",
    "--help",
]
# Python itself takes 4 files and 60 MB.
LIMITS = {
    "RLIMIT_NOFILE": [5, 6, 8, 12],
    "RLIMIT_AS": [80_000_000, 110_000_000, 140_000_000, 180_000_000, 250_000_000],
    "RLIMIT_STACK": [262_144],
    "RLIMIT_FSIZE": [0, 5000],
}
# One value each that lets the interpreter begin and no verb end: every second verb is struck, by one of the limits.
SAMPLE = [("RLIMIT_NOFILE", 8), None, ("RLIMIT_AS", 110_000_000), None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("limits")
    write(path / "in", instance() | {"more.edb": database(7, pages=200)})
    done("create", path / "a.tokar", path / "in", "-q")
    data = bytearray((path / "a.tokar").read_bytes())
    data[3000] ^= 1
    (path / "b.tokar").write_bytes(data)
    done("lab", "new", path / "lab", "--profile", "certadm")
    done("lab", "work", path / "lab", "-n", "20")
    return path


def limit(name: str, value: int) -> None:
    resource.setrlimit(getattr(resource, name), (value, value))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("verb", "name", "value"),
    sampled(
        [(verb, name, value) for verb in VERBS for name, values in LIMITS.items() for value in values],
        lambda verb, name, value: (name, value) == SAMPLE[VERBS.index(verb) % 4],
    ),
)
def test_too_little_of_something_is_an_error_with_a_next_step(verb: str, name: str, value: int, folder: Path) -> None:
    for leftover in ("f.tokar", "f.tokar.receipt.json"):
        (folder / leftover).unlink(missing_ok=True)
    result = subprocess.run(
        fresh(*verb.format(folder).split()),
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
        preexec_fn=partial(limit, name, value),
    )
    said = result.stderr.decode(errors="replace")
    assert "Traceback" not in said
    assert "fault of tokar" not in said
    assert result.returncode in range(10), said
    assert result.returncode == 0 or "tokar: " in said


@pytest.mark.parametrize("verb", VERBS[:9], ids=lambda verb: verb.partition(" ")[0])
def test_without_threads_the_work_is_done_or_the_limit_is_named(
    verb: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    result = tokar(*verb.format(folder).split())
    assert result.exit_code in {0, 2, 6, 8, 9} or "ulimit" in result.hint


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
def test_without_processes_the_limit_is_named(number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise OSError(number, "no")

    monkeypatch.setattr("multiprocessing.context.SpawnProcess.start", refuse)
    result = tokar("probe", f"lab:{folder}/lab")
    assert (result.exit_code, "starts no more processes" in result.stderr, "ulimit" in result.hint) == (1, True, True)


@pytest.mark.parametrize(
    "error", [MemoryError(), SystemError("error return without exception set"), SyntaxError("no such file")]
)
def test_whatever_too_little_memory_raises_names_the_limit(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr("tokar.tokens.role", fail)
    result = tokar("tokens")
    assert (result.exit_code, "ulimit" in result.hint, "fault of tokar" in result.stderr) == (1, True, False)


@pytest.mark.parametrize("action", ["import no_such_module_at_all", "'a'.encode('no-such-encoding')"])
def test_a_module_that_is_not_found_is_no_fault_of_the_program(action: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tokar.tokens.role", lambda *_: exec(action))
    result = tokar("tokens")
    assert (result.exit_code, "fault of tokar" in result.stderr) == (1, False)
    assert "a module cannot be loaded: " in result.error
    assert "install tokar and what it needs anew" in result.hint


def test_what_fails_while_a_module_is_loaded_is_no_fault_of_the_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made_without_memory.py").write_text("raise ValueError('field is required')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("tokar.tokens.role", lambda *_: importlib.import_module("made_without_memory"))
    result = tokar("tokens")
    assert result.exit_code == 1
    assert "a module cannot be loaded: ValueError: field is required" in result.stderr
    assert "ulimit" in result.hint


def _run(code: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT, text=True)


def test_where_memory_is_limited_no_library_logs_what_it_cannot_load() -> None:
    code = (
        "import logging, resource; from tokar import cli, tokens\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 32, 1 << 32))\n"
        "def role(*_):\n    logging.error('code for hash md5 was not found'); raise MemoryError\n"
        "tokens.role = role; cli.main()"
    )
    assert _run(code, "tokens").stderr.startswith("tokar: error: there is too little memory")


def test_a_thread_that_ends_of_too_little_memory_says_so_in_one_line() -> None:
    code = (
        "import threading; from tokar import cli, tokens\n"
        "def end():\n    raise MemoryError\n"
        "def role(*_):\n    thread = threading.Thread(target=end); thread.start(); thread.join(); raise MemoryError\n"
        "tokens.role = role; cli.main()"
    )
    result = _run(code, "tokens")
    assert result.returncode == 1
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["tokar", "tokar", "hint"]
    assert result.stderr.count("there is too little memory") == 2


def test_what_cannot_even_be_loaded_ends_in_one_line() -> None:
    code = "import sys; sys.modules['typer'] = None; from tokar.__main__ import main; main()"
    result = _run(code)
    assert result.returncode == 1
    assert result.stderr.startswith("tokar: error: it cannot be loaded: ")
    assert result.stderr.count("\n") == 2
