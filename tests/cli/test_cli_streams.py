"""The command as a process: pipes, terminals, closed and full streams, signals, limits, locales."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from command_line import TIMEOUT, command, done, fresh, one_process, pipeline, process
from small_sets import TAKEN, contents, database, instance, write

import tokar as library
from tokar.names import UNKNOWN, display

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pty = pytest.importorskip("pty", reason="Windows has no such terminals")
SET = {name: instance()[name] for name in TAKEN}
# A process that is started in the background may have been told to ignore interrupts; this one never does.
INTERRUPTIBLE = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from tokar.cli import main; main()",
]
HUGE = 4 << 30
_NO_INPUT = b"tokar: error: standard input is closed\nhint: lead a file or a pipe into it, or name the file\n"
_NO_ROOM = (
    b"tokar: error: cannot write to the pipe: No space left on device\n"
    b"hint: free some room there, or name a place on another disk, and run again\n"
)
_NO_OUTPUT = b"tokar: error: standard output is closed\nhint: lead it into a file or another program\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "in", instance())


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    done("create", "-q", tmp_path / "a.tokar", folder)
    return tmp_path / "a.tokar"


def shell(
    script: str, *arguments: str | Path, begin: Callable[..., list[str]] = command
) -> subprocess.CompletedProcess[bytes]:
    """Run a command under a line of shell, where `"$@"` stands for it."""
    completed = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *begin(*arguments)], capture_output=True, check=False, timeout=TIMEOUT
    )
    assert b"Traceback" not in completed.stderr, completed.stderr.decode(errors="replace")
    return completed


def on_terminal(*arguments: str | Path, stdout: bool = False) -> tuple[int, str]:
    """Run a command with standard error, or both outputs, on a terminal; return its exit code and what was shown."""
    master, slave = pty.openpty()
    running = subprocess.Popen(
        command(*arguments),
        stdin=subprocess.DEVNULL,
        stdout=slave if stdout else subprocess.DEVNULL,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    )
    os.close(slave)
    shown = b""
    while True:
        try:
            piece = os.read(master, 1 << 16)
        except OSError:  # Linux says so when the last writer is gone
            break
        if not piece:
            break
        shown += piece
    os.close(master)
    return running.wait(TIMEOUT), shown.decode()


def interrupt(
    running: subprocess.Popen[bytes], ready: Callable[[], object], *, by: int = signal.SIGINT
) -> tuple[int, bytes]:
    """Wait until a process is at work, interrupt it, and return its exit code and what it wrote to standard error."""
    deadline = time.monotonic() + TIMEOUT
    while not ready():
        assert running.poll() is None, "it ended before it could be interrupted"
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(by)
    _, messages = running.communicate(timeout=TIMEOUT)
    assert b"Traceback" not in messages, messages.decode(errors="replace")
    return running.returncode, messages


@pytest.mark.parametrize(("compress", "options"), [("none", []), ("zstd:3", ["--content"])])
def test_an_archive_is_verified_through_a_pipe(folder: Path, compress: str, options: list[str]) -> None:
    create = command("create", "-", folder, "--compress", compress)
    codes, output, messages = pipeline(create, command("verify", "-", *options))
    assert codes == [0, 0], messages
    assert output.startswith(b"-: intact; 5 entries, ")


@pytest.mark.parametrize("compress", ["none", "zstd"])
def test_an_archive_is_restored_through_a_pipe(folder: Path, tmp_path: Path, compress: str) -> None:
    create = command("create", "-q", "-", folder, "--compress", compress)
    codes, _, messages = pipeline(create, command("restore", "-", "--into", tmp_path / "out"))
    assert codes == [0, 0], messages
    assert contents(tmp_path / "out") == SET


def test_an_archive_through_a_pipe_is_an_archive_like_any_other(folder: Path, tmp_path: Path) -> None:
    result = process("create", "-", folder)
    assert result.returncode == 0
    assert b"sealed -: 5 entries" in result.stderr
    (tmp_path / "piped.tokar").write_bytes(result.stdout)
    done("verify", "--content", tmp_path / "piped.tokar")


def test_a_file_goes_through_a_pipe_of_three(folder: Path) -> None:
    codes, output, messages = pipeline(
        command("create", "-q", "-", folder),
        [
            "/bin/sh",
            "-c",
            'cat > "$0" && exec "$@"',
            f"{folder.parent}/p.tokar",
            *command("extract", f"{folder.parent}/p.tokar", "db.edb", "-o", "-"),
        ],
        ["cat"],
    )
    assert (codes, output) == ([0, 0, 0], SET["db.edb"]), messages


def test_a_failure_at_the_front_of_a_pipe_fails_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    codes, _, _ = pipeline(command("create", "-", tmp_path / "in"), command("restore", "-", "--into", tmp_path / "out"))
    assert codes == [2, 3]
    assert not (tmp_path / "out").exists()


def test_a_reader_that_goes_away_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    write(tmp_path / "in", {f"{number}.edb": database(number, pages=100) for number in range(4)})
    codes, output, messages = pipeline(
        command("create", "-q", "-", tmp_path / "in", "--compress", "none"), ["head", "-c", "8"]
    )
    assert codes == [1, 0]
    assert output == b"\x89TKR\r\n\x1a\n"
    assert messages.splitlines() == [
        b"tokar: error: cannot write to the pipe: Broken pipe",
        b"hint: the program that reads it has ended: see what it says, and run both again",
    ]


@pytest.mark.parametrize("form", ["--json", "--entries", "--b3sums", "--records"])
def test_a_reader_that_has_seen_enough_ends_the_listing_quietly(tmp_path: Path, form: str) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        for number in range(3000):
            writer.add_bytes(0x0F, f"file {number}", b"x")
    codes, _, messages = pipeline(command("inspect", form, tmp_path / "a.tokar"), ["head", "-c", "1"])
    assert (codes, messages) == ([1, 0], b"")


FULL = (
    b"tokar: error: the output could not be written: No space left on device\n"
    b"hint: free some room there, or name a place on another disk, and run again\n"
)


@pytest.mark.parametrize(
    ("redirection", "arguments", "code", "message"),
    [
        (">&-", ["tokens"], 0, b""),
        (">&-", ["inspect", "{archive}", "--json"], 0, b""),
        (">&-", ["create", "-", "{folder}"], 1, _NO_OUTPUT),
        (">&-", ["extract", "{archive}", "db.edb", "-o", "-"], 1, _NO_OUTPUT),
        ("<&-", ["verify", "-"], 1, _NO_INPUT),
        ("<&-", ["restore", "-", "--into", "{folder}/out"], 1, _NO_INPUT),
        ("2>&-", ["verify", "{folder}/gone"], 1, b""),
        (">/dev/full", ["tokens"], 1, FULL),
        (
            ">/dev/full",
            ["inspect", "{archive}", "--json"],
            1,
            FULL,
        ),
        (">/dev/full", ["clean", "{folder}"], 1, FULL),
        (">/dev/full", ["restore", "{archive}", "--into", "{folder}/out", "--dry-run", "--json"], 1, FULL),
        (
            ">/dev/full",
            ["create", "-q", "-", "{folder}"],
            1,
            _NO_ROOM,
        ),
    ],
)
def test_a_stream_that_is_closed_or_full_is_never_a_traceback(
    archive: Path, redirection: str, arguments: list[str], code: int, message: bytes
) -> None:
    filled = [one.format(archive=archive, folder=archive.with_name("in")) for one in arguments]
    result = shell(f'exec "$@" {redirection}', *filled, begin=fresh)
    assert (result.returncode, result.stderr) == (code, message)


@pytest.mark.parametrize(
    ("redirection", "arguments"),
    [
        (">> {archive}", ["inspect", "{archive}"]),
        ("1<> {archive}", ["inspect", "{archive}", "--json"]),
        ("2>> {archive}", ["verify", "{folder}/gone", "{archive}"]),
        (">> {archive}", ["check", "{archive}"]),
        (">> {archive}", ["chain", "{archive}"]),
        (">> {archive}", ["restore", "{archive}", "--into", "{folder}/out"]),
        (">> {archive}", ["restore", "--chain", "{home}", "--into", "{folder}/out"]),
        ("1<> {archive}", ["extract", "{archive}", "db.edb", "-o", "-"]),
        (">> {archive} < {archive}", ["extract", "-", "db.edb", "-o", "-"]),
        ("< {archive}", ["extract", "-", "db.edb", "--force", "-o", "{archive}"]),
        (">> {archive}", ["salvage", "{archive}", "{folder}/out.tokar"]),
        (">> {archive}", ["create", "-", "{archive}"]),
    ],
)
def test_what_is_read_is_never_written_over(
    folder: Path, tmp_path: Path, redirection: str, arguments: list[str]
) -> None:
    (tmp_path / "home").mkdir()
    archive = tmp_path / "home" / "a.tokar"
    done("create", "-q", archive, folder)
    before = archive.read_bytes()
    places = {"archive": archive, "folder": tmp_path, "home": archive.parent}
    result = shell(f'exec "$@" {redirection.format(**places)}', *(one.format(**places) for one in arguments))
    assert archive.read_bytes() == before
    assert result.returncode in {1, 2, 9}
    assert not (tmp_path / "out").exists()


def test_a_report_may_lie_beside_what_it_is_about(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    shutil.copy(archive, tmp_path / "home")
    result = shell(f'exec "$@" > {tmp_path}/home/report.txt 2>&1', "chain", tmp_path / "home")
    assert (result.returncode, "report.txt" in (tmp_path / "home" / "report.txt").read_text()) == (0, False)


def test_an_archive_on_standard_output_never_holds_itself(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "taken")
    result = shell(f'exec "$@" > {tmp_path}/taken/o', "create", "-q", "-", "--all", tmp_path / "taken")
    assert result.returncode == 2
    assert b"standard output leads into the file that is read" in result.stderr


def test_with_all_streams_closed_the_archive_is_whole(folder: Path, tmp_path: Path) -> None:
    shell('exec "$@" <&- >&- 2>&-', "create", tmp_path / "a.tokar", folder)
    done("verify", "--content", tmp_path / "a.tokar")


def test_a_terminal_gets_no_archive(folder: Path) -> None:
    code, shown = on_terminal("create", "-", folder, stdout=True)
    assert code == 2
    assert "tokar: error: an archive is nothing for a terminal" in shown


def test_work_that_takes_time_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    write(tmp_path / "in", {"db.edb": database(pages=50)})
    (tmp_path / "[").mkdir()  # the path of the archive looks like markup
    code, shown = on_terminal("create", tmp_path / "[/a].tokar", tmp_path / "in")
    assert (code, "creating" in shown) == (0, True)
    code, shown = on_terminal("verify", tmp_path / "[/a].tokar")
    assert (code, "verifying" in shown) == (0, True)
    code, shown = on_terminal("restore", tmp_path / "[/a].tokar", "--into", tmp_path / "out")
    assert (code, "restoring" in shown) == (0, True)


def test_quiet_shows_no_progress(folder: Path, tmp_path: Path) -> None:
    assert on_terminal("create", "--quiet", tmp_path / "a.tokar", folder) == (0, "")


def test_no_progress_is_shown_where_there_is_no_terminal(folder: Path, tmp_path: Path) -> None:
    result = process("create", tmp_path / "a.tokar", folder)
    assert b"creating" not in result.stderr
    assert b"\x1b" not in result.stderr


def test_a_table_is_fitted_to_a_terminal(archive: Path) -> None:
    code, shown = on_terminal("inspect", "--entries", archive, stdout=True)
    assert code == 0
    table = re.sub(r"\x1b\[[0-9;]*m", "", shown[shown.index("#") :]).splitlines()
    assert len(table) >= 6
    assert max(map(len, table)) <= 80


def test_an_interrupt_of_create_leaves_nothing(tmp_path: Path) -> None:
    write(tmp_path / "in", {"huge.edb": database()})
    os.truncate(tmp_path / "in" / "huge.edb", HUGE)
    running = subprocess.Popen(
        [*INTERRUPTIBLE, "create", str(tmp_path / "a.tokar"), str(tmp_path / "in")], stderr=subprocess.PIPE
    )
    code, messages = interrupt(running, lambda: any(one.stat().st_size for one in tmp_path.glob(".a.tokar.*.part")))
    assert code == 130
    assert b"tokar: interrupted" in messages
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


@pytest.mark.parametrize(("by", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_asks_to_end_leaves_nothing(tmp_path: Path, by: signal.Signals, code: int) -> None:
    write(tmp_path / "in", {"huge.edb": database()})
    os.truncate(tmp_path / "in" / "huge.edb", HUGE)
    running = subprocess.Popen(
        [*INTERRUPTIBLE, "create", str(tmp_path / "a.tokar"), str(tmp_path / "in")], stderr=subprocess.PIPE
    )
    ready = lambda: any(one.stat().st_size for one in tmp_path.glob(".a.tokar.*.part"))  # noqa: E731 - as above
    exit_code, messages = interrupt(running, ready, by=by)
    assert exit_code == code
    assert f"tokar: stopped by {by.name}".encode() in messages
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_signal_ends_a_backup_as_an_abort_with_a_receipt(tmp_path: Path) -> None:
    done("lab", "new", tmp_path / "lab", "--profile", "edbbcli", "--databases", "1")
    mark = tmp_path / "lab" / "parked"  # tells that the process waits in its first sync, and not a moment before it
    parked = (
        "import pathlib, time, tokar.storage.durable; once = iter([600]); "
        f"park = lambda seconds: seconds and (pathlib.Path({str(mark)!r}).touch(), time.sleep(seconds)); "
        "tokar.storage.durable.sync_descriptor = lambda *_: park(next(once, 0)); "
    )
    python, option, code = INTERRUPTIBLE
    arguments = ["backup", f"lab:{tmp_path / 'lab'}", str(tmp_path / "a.tokar"), "--type", "full"]
    running = subprocess.Popen([python, option, parked + code, *arguments], stderr=subprocess.PIPE)
    exit_code, messages = interrupt(running, mark.exists, by=signal.SIGTERM)
    assert exit_code == 143, messages
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tokar.receipt.json", "lab"]
    receipt = json.loads((tmp_path / "a.tokar.receipt.json").read_text())
    assert (receipt["outcome"], receipt["end"]["outcome"], receipt["end"]["result"]) == ("failed", "abort", "ok")
    done("backup", f"lab:{tmp_path / 'lab'}", tmp_path / "a.tokar", "--type", "full")


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    write(tmp_path / "in", {"huge.edb": database()})
    os.truncate(tmp_path / "in" / "huge.edb", HUGE)
    nohup = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    python, option, code = INTERRUPTIBLE
    running = subprocess.Popen(
        [python, option, nohup + code, "create", str(tmp_path / "a.tokar"), str(tmp_path / "in")],
        stderr=subprocess.PIPE,
    )

    def ready() -> bool:
        at_work = any(one.stat().st_size for one in tmp_path.glob(".a.tokar.*.part"))
        if at_work:
            running.send_signal(signal.SIGHUP)
        return at_work

    exit_code, messages = interrupt(running, ready, by=signal.SIGTERM)
    assert exit_code == 143
    assert b"stopped by SIGTERM" in messages


@pytest.mark.parametrize(
    ("redirection", "code", "message"),
    [
        (">/dev/full", 8, "all was done, but the output could not be written: No space left on device"),
        ("2>/dev/full", 0, ""),
        (">/dev/full 2>/dev/full", 8, ""),
    ],
)
@pytest.mark.parametrize("form", ["--type=full", "--type=copy --json"])
def test_an_output_that_fails_never_stops_a_backup(
    tmp_path: Path, redirection: str, code: int, message: str, form: str
) -> None:
    done("lab", "new", tmp_path / "lab", "--profile", "edbbcli", "--databases", "1")
    result = shell(f'exec "$@" {redirection}', "backup", f"lab:{tmp_path / 'lab'}", tmp_path / "a.tokar", *form.split())
    assert result.returncode == code
    assert message in result.stderr.decode()
    assert json.loads((tmp_path / "a.tokar.receipt.json").read_text())["end"]["outcome"] == "success"
    done("verify", "--content", tmp_path / "a.tokar")


def test_work_that_failed_is_told_before_its_output(archive: Path) -> None:
    result = shell('exec "$@" >/dev/full', "restore", archive, "--to", "database=/nowhere/at/all", "--json")
    assert result.returncode == 6
    assert b"tokar: error: " in result.stderr


def test_an_interrupt_of_create_into_a_pipe_leaves_an_unsealed_archive(tmp_path: Path) -> None:
    write(tmp_path / "in", {"huge.edb": database()})
    os.truncate(tmp_path / "in" / "huge.edb", HUGE)
    with (tmp_path / "out").open("wb") as out:
        running = subprocess.Popen(
            [*INTERRUPTIBLE, "create", "-", str(tmp_path / "in")], stdout=out, stderr=subprocess.PIPE
        )
        code, _ = interrupt(running, lambda: (tmp_path / "out").stat().st_size)
    assert code == 130
    assert process("verify", tmp_path / "out").returncode == 5


def test_an_interrupt_of_restore_leaves_what_was_there(archive: Path, tmp_path: Path) -> None:
    target = write(tmp_path / "out", {"notes.txt": b"mine"})
    parked = "import time, tokar.storage.durable; tokar.storage.durable.sync_descriptor = lambda *_: time.sleep(600); "
    python, option, code = INTERRUPTIBLE
    running = subprocess.Popen(
        [python, option, parked + code, "restore", "-q", str(archive), "--into", str(target)], stderr=subprocess.PIPE
    )
    exit_code, messages = interrupt(running, lambda: len(list(target.glob(".tokar-restore-*/*"))) == len(SET))
    assert exit_code == 130
    assert messages == b"tokar: interrupted; nothing was left under a final name that is not whole\n"
    assert {path.name for path in target.iterdir()} == {"notes.txt"}


def test_an_interrupt_while_standard_input_is_kept_leaves_nothing(archive: Path, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    running = subprocess.Popen(
        [*INTERRUPTIBLE, "restore", "-", "--into", str(tmp_path / "out")],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path / "spool")},
    )
    assert running.stdin is not None
    running.stdin.write(archive.read_bytes()[:-10])
    running.stdin.flush()
    code, _ = interrupt(running, lambda: list((tmp_path / "spool").glob(".*.part")))
    assert code == 130
    assert not list((tmp_path / "spool").iterdir())
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_leaves_no_archive(tmp_path: Path) -> None:
    write(tmp_path / "in", {"db.edb": database(pages=700)})
    result = shell('ulimit -f 1024; exec "$@"', "create", "--compress", "none", tmp_path / "a.tokar", tmp_path / "in")
    assert result.returncode == 1
    assert result.stderr.startswith(f"tokar: error: cannot write: File too large ({tmp_path}/a.tokar)\n".encode())
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_disk_that_is_full_leaves_no_restored_file(tmp_path: Path) -> None:
    write(tmp_path / "in", {"db.edb": database(pages=700), "edb00001.log": instance()["edb00001.log"]})
    done("create", "-q", tmp_path / "a.tokar", tmp_path / "in")
    result = shell('ulimit -f 1024; exec "$@"', "restore", tmp_path / "a.tokar", "--into", tmp_path / "out")
    assert result.returncode == 1
    assert b"tokar: error: cannot write: File too large (" in result.stderr
    assert not (tmp_path / "out").exists()


ASCII_ONLY = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
LATIN = {"PYTHONIOENCODING": "latin-1:strict"}


@pytest.mark.parametrize("env", [ASCII_ONLY, LATIN], ids=["ASCII", "Latin-1"])
def test_names_beyond_the_locale_stop_nothing(tmp_path: Path, env: dict[str, str]) -> None:
    names = [os.fsdecode(name) for name in ("журнал.log".encode(), b"caf\xe9.log", "日本\U0001f600.edb".encode())]
    write(tmp_path / "in", {name: instance()["db.edb" if name.endswith("edb") else "edb.log"] for name in names})
    archive, out = tmp_path / "ü.tokar", tmp_path / "out"
    no_text = [display(os.fsencode(name), UNKNOWN) for name in (names if env is ASCII_ONLY else names[1:2])]
    places = [f"--to={name}={out}/{number}" for number, name in enumerate(no_text)]
    codes, printed = one_process(
        ["create", archive, tmp_path / "in"],
        ["inspect", "--entries", archive],
        ["inspect", "--json", archive],
        ["restore", archive, "--into", out],  # a name is no text
        ["restore", archive, "--into", out, *places],
        env=env,
    )
    assert codes == [0, 0, 0, 6, 0]
    assert len(json.loads(printed[2])["entries"]) == 3
    assert len(contents(out)) == 3


def test_an_encoding_that_is_none_for_text_stops_nothing(tmp_path: Path) -> None:
    command = fresh("inspect", tmp_path / "nowhere")
    env = {**os.environ, "PYTHONIOENCODING": "idna"}
    result = subprocess.run(command, capture_output=True, check=False, timeout=TIMEOUT, env=env)
    assert result.returncode == 1
    assert b"tokar: error: cannot open" in result.stderr
    assert b"hint: " in result.stderr


def test_a_path_that_is_no_text_is_fine(folder: Path, tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"\xff\xfe")
    odd.mkdir()
    result = process("create", odd / "a.tokar", folder)
    assert result.returncode == 0
    assert b"<U+DCFF><U+DCFE>/a.tokar" in result.stderr
    answer = json.loads(process("verify", "--json", odd / "a.tokar").stdout)
    assert os.fsencode(answer["archives"][0]["path"]) == os.fsencode(odd / "a.tokar")


def test_no_verb_warns(folder: Path, tmp_path: Path) -> None:
    archive = str(tmp_path / "a.tokar")
    commands = [
        ["create", "-q", archive, str(folder)],
        ["verify", "-q", "--content", archive],
        ["inspect", "--json", archive],
        ["inspect", "--entries", archive],
        ["restore", "-q", archive, "--into", str(tmp_path / "out")],
        ["extract", "-q", archive, "db.edb", "-o", str(tmp_path / "db.edb")],
        ["tokens"],
        ["--help"],
    ]
    code = (
        "import json, sys; from tokar.cli import app\n"
        "for one in json.loads(sys.argv[1]): app(one, standalone_mode=False)"
    )
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", code, json.dumps(commands)],
        capture_output=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert (result.returncode, result.stderr) == (0, b"")


def test_a_failure_warns_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 100)
    result = process("verify", tmp_path / "x", env={"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"})
    assert result.returncode == 3
    assert b"Warning" not in result.stderr


@pytest.mark.parametrize(
    "words",
    ["verify", "inspect", "check", "chain", "restore --dry-run --into x", "extract -o -", "salvage"],
)
@pytest.mark.parametrize("form", ["/dev/stdin", "/dev/fd/9"])
def test_a_pipe_that_a_shell_hands_over_is_read_as_a_stream(archive: Path, words: str, form: str) -> None:
    verb, *options = words.split()
    rest = {"extract": ["#0"], "salvage": [str(archive.with_name("o"))]}.get(verb, [])
    script = f'cat {shlex.quote(str(archive))} | "$@"' + (" 9<&0" if form.endswith("9") else "")
    begin = fresh if form.endswith("9") else command  # which passes on the standard streams alone
    result = shell(script, verb, *options, form, *rest, begin=begin)
    assert result.returncode == (2 if verb == "salvage" else 0), result.stderr.decode()
    assert b"standard-input" not in result.stdout + result.stderr
    assert verb in {"extract", "restore", "chain", "salvage"} or form.encode() in result.stdout


@pytest.mark.parametrize("form", ["-", "/dev/stdin"])
@pytest.mark.parametrize("words", ["replay", "replay --json", "recover --out {out}"])
def test_what_plays_logs_reads_a_pipe_as_it_reads_a_file(words: str, form: str, archive: Path, tmp_path: Path) -> None:
    named, piped = tmp_path / "named", tmp_path / "piped"
    verb, *options = words.replace("{out}", str(named)).split()
    wanted = process(verb, *options, archive)
    verb, *options = words.replace("{out}", str(piped)).split()
    result = shell(f'cat {shlex.quote(str(archive))} | "$@"', verb, *options, form)
    assert (result.returncode, result.stderr) == (wanted.returncode, wanted.stderr)
    assert result.stdout == wanted.stdout.replace(bytes(named), bytes(piped))
    assert result.stdout
    assert [one.read_bytes() for one in piped.glob("*")] == [one.read_bytes() for one in named.glob("*")]


@pytest.mark.parametrize("form", ["-", "/dev/stdin"])
@pytest.mark.parametrize("out", ["-", "page.html"])
def test_a_report_on_what_comes_through_a_pipe_calls_it_as_it_was_called(
    out: str, form: str, archive: Path, tmp_path: Path
) -> None:
    place = out if out == "-" else str(tmp_path / out)
    result = shell(f'cat {shlex.quote(str(archive))} | "$@"', "report", form, "-o", place)
    assert result.returncode == 0, result.stderr.decode()
    page = result.stdout if out == "-" else (tmp_path / out).read_bytes()
    assert b"<!DOCTYPE html>" in page
    assert f"path {form}, ".encode() in page
    assert b"standard-input" not in page + result.stdout + result.stderr
