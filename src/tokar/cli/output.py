"""What the command line prints, and where: results to standard output, everything else to standard error."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final, TextIO

from tokar import names, signals
from tokar.as_json import fields_json, json_pieces
from tokar.cli import hints
from tokar.cli.progress import Log, ProgressForm, ProgressLines, shown_bar
from tokar.cli.tables import aligned, cells, is_coloured, print_fitted
from tokar.errors import (
    ArchiveError,
    FormatError,
    InputError,
    IntegrityError,
    PartialError,
    StorageError,
    hint_of,
    worst_of,
)
from tokar.redact import without_identities
from tokar.storage.bytesource import OverwritesInputError, demand_no_output

if TYPE_CHECKING:
    from tokar.sets.outcome import LastLine

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_COLOURS: Final = {"RESTORABLE": 32, "PART OF A CHAIN": 32, "NOT RESTORABLE": 31}  # of last lines
_YELLOW: Final = 33
safe: Final = names.safe
_MAX_NOTES: Final = 50
_TABLE_BATCH: Final = 1000  # rows that are held at once to align their columns


def standard_output() -> int:
    """Return the descriptor of standard output, for an archive or a file.

    Raises:
        StorageError: It is closed.
    """
    if sys.__stdout__ is None:
        raise StorageError("standard output is closed", hint="lead it into a file or another program")
    return sys.stdout.fileno()


def standard_output_for_archive() -> int:
    """Return the same where an archive may go there.

    Raises:
        StorageError: It is closed.
        InputError: It is a terminal.
    """
    if sys.stdout.isatty():
        raise InputError("an archive is nothing for a terminal", hint="pipe it into another program, or name a file")
    return standard_output()


def standard_input() -> BinaryIO:
    """Return standard input, for an archive.

    Raises:
        StorageError: It is closed.
        InputError: It was asked for before.
        OverwritesInputError: It is the file that is printed into.
    """
    if sys.stdin is None:
        raise StorageError("standard input is closed", hint="lead a file or a pipe into it, or name the file")
    if _Output.input_is_taken:
        raise InputError("standard input can be read once", hint="name - for one archive, and files for the others")
    demand_no_output(os.fstat(0))
    _Output.input_is_taken = True
    return sys.stdin.buffer


class OutputError(PartialError):
    """All was done, and what was to be printed of it could not be written."""

    hint_text = "do not repeat the work: only its report is lost"


class _Output:
    """What becomes of standard output in a command."""

    patient: bool = False  # Whether the work goes on although its output fails
    failure: OSError | None = None  # Why it failed
    called: ClassVar[dict[str, str]] = {}  # What is printed in the place of texts
    input_is_taken: bool = False  # Whether standard input was asked for
    form: ProgressForm = ProgressForm.BAR  # How progress is shown
    verbose: bool = False  # Whether details are printed
    log: Log | None = None  # Where standard error goes too
    verb: str = "error"  # What prints; before a verb is known there are only errors
    rows: int = 0  # The number of the next object where several make up the result; 0 where one is all of it


def begin(verb: str = "error", *, patient: bool = False) -> None:
    """Begin a command.

    Args:
        verb: Its verb.
        patient: Whether its work goes on although its output fails, which is then told at the end.
    """
    _Output.verb, _Output.rows = verb, 0
    _Output.form, _Output.verbose = ProgressForm.BAR, False
    _Output.patient, _Output.failure, _Output.input_is_taken = patient, None, False
    _Output.called.clear()
    hints.begin()


def only_look() -> None:
    """Note that the command changes nothing after all: without its output it has done nothing."""
    _Output.patient = False


def call(path: str, name: str) -> None:
    """Let a path be called by another name in all that the command prints: a person has never seen it."""
    for shown in (str, names.printable, lambda text: json_text(text)[1:-1], names.leaf_of):
        _Output.called[shown(path)] = shown(name)


def as_called(text: str) -> str:
    """Return text with each path as it is called."""
    for path, name in _Output.called.items():
        text = text.replace(path, name)
    return text


def finish(*, failed: bool = False) -> None:
    """End a command.

    Args:
        failed: Whether it failed, or did its work in part: then it ends so, whatever became of its output.

    Raises:
        OutputError: All was done but the output.
        OSError: The output failed, and it was all that there was to do.
    """
    try:
        flush()
    except OSError as error:
        _lose_output(error)
    if _Output.failure is None:
        return
    text = f"the output could not be written: {_Output.failure.strerror}"
    if not failed:
        raise OutputError(f"all was done, but {text}")
    note(text)


def _lose_output(error: OSError) -> None:
    if not _Output.patient:
        if isinstance(error, BrokenPipeError):
            raise error  # whoever reads has read enough
        raise StorageError(f"the output could not be written: {error.strerror}") from error
    _Output.failure = _Output.failure or error
    give_up()


def write(text: str) -> None:
    """Print to standard output.

    Raises:
        OSError: It was refused, and printing is all that this command does.
    """
    try:
        sys.stdout.write(as_called(text))
    except OSError as error:
        _lose_output(error)


def _say(text: str) -> None:
    """Print to standard error, if that can be done: no message is worth the work that it tells of."""
    _note_down(text)
    try:
        sys.stderr.write(as_called(text))
        sys.stderr.flush()
    except OSError:
        _to_nothing(sys.stderr)


def line(text: str = "") -> None:
    """Print a line of the result; what is not safe to print in it is escaped."""
    write(safe(text) + "\n")


def lines(prefix: str, texts: Iterable[str]) -> None:
    """Print texts as lines of the result."""
    for text in texts:
        line(prefix + text)


def note(text: str) -> None:
    """Print a line that is not part of the result; what is not safe to print in it is escaped."""
    _say(f"tokar: {safe(text)}\n")


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return a value as JSON. All of it is ASCII, so that it is good JSON in any locale."""
    return json.dumps(value, indent=indent)


def stamped(value: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the name of its schema, where it is not a part of one."""
    return value if _Output.rows else {"schema": f"tokar/{_Output.verb}/1", **value}


def as_json(value: dict[str, Any]) -> None:
    """Print a JSON object as the result; an iterator in it becomes a list that is never held."""
    write(_next_row())
    for piece in json_pieces(stamped(value)):
        write(piece)
    write("\n")
    _Output.rows += bool(_Output.rows)


def begun(value: dict[str, Any]) -> str:
    """Return the text of a JSON object that is the result, or one of several, up to its last brace."""
    text = _next_row() + json_text(stamped(value), indent=2).removesuffix("\n}")
    _Output.rows += bool(_Output.rows)
    return text


def _next_row() -> str:
    """Return what stands before the next of several results."""
    return ("", "\n", ", ")[min(_Output.rows, 2)]


@contextmanager
def results(*, several: bool) -> Iterator[list[ArchiveError]]:
    """Print every object of the block as one of several results, in one JSON value, where there may be several.

    Yields a list for the errors of the block; the worst of them stands at the end.
    """
    errors: list[ArchiveError] = []
    if not several or _Output.rows:  # those of a file among several follow each other
        yield errors
        return
    write(json_text(stamped({}), indent=2).removesuffix("\n}") + ',\n  "results": [')
    _Output.rows = 1
    try:
        yield errors
    finally:
        _Output.rows = 0
        worst = worst_of(errors)
        write("  ]" + (f',\n  "error": {json_text(error_json(worst))}' if worst else "") + "\n}\n")


def flush() -> None:
    """Hand everything that was printed to the operating system, so that a failure shows while it can still be reported.

    Raises:
        OSError: It was refused: the reader of a pipe has gone away, or a disk is full.
    """
    sys.stdout.flush()


def is_lost() -> bool:
    """Return whether standard output takes nothing any more."""
    try:
        flush()
    except OSError:
        return True
    return False


def give_up() -> None:
    """Point standard output at nothing: it failed, and the interpreter must not try again when it ends."""
    _to_nothing(sys.stdout)


def _to_nothing(stream: TextIO) -> None:
    with suppress(OSError, ValueError):  # not every stream has a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def report(error: ArchiveError, *, as_json: bool = False) -> None:
    """Print an error: one line, a hint, and with `--json` one object more on standard output."""
    if isinstance(error, OverwritesInputError):
        _to_nothing(sys.stdout if error.descriptor == 1 else sys.stderr)
    try:
        flush()
        if as_json:
            sys.stdout.write(as_called(begun({"error": error_json(error)}) + "\n}\n"))
            flush()
    except OSError:
        give_up()
    _say(f"tokar: error: {safe(str(error))}\n")
    if rule := error.rule if isinstance(error, FormatError) else None:
        _say(f"rule: {rule} of the format\n")
    _print_notes(error)
    if found := hint_of(error):
        hint(found)


def hint(text: str) -> None:
    """Print what to do next, as each error does."""
    _say(f"hint: {safe(hints.typeable(text))}\n")


def report_interrupt(error: KeyboardInterrupt) -> None:
    """Print that the work was interrupted, and what was done until then; once, whoever asks."""
    if vars(error).get("told"):
        return
    vars(error)["told"] = True
    with suppress(OSError):
        flush()
    note(f"{signals.describe(error)}; nothing was left under a final name that is not whole")
    _print_notes(error)


def _print_notes(error: BaseException) -> None:
    """Print what else is said with an error: of many notes that begin alike, such as of each file, the first ones."""
    for _, alike in groupby(getattr(error, "__notes__", ()), key=lambda note: note.partition(":")[0]):
        for also in islice(alike, _MAX_NOTES):
            _say(f"{safe(also)}\n")
        if more := sum(1 for _ in alike):
            _say(f"... and {more:,} more (--json lists all)\n")


def error_json(error: ArchiveError) -> dict[str, Any]:
    """Return an error as a JSON object."""
    value: dict[str, Any] = {
        "kind": error.word,
        **fields_json(error, "message", "path", "offset"),
        "hint": hints.typeable(hint_of(error) or "") or None,
        "notes": list(getattr(error, "__notes__", ())),
        "exit_code": error.exit_code,
    }
    if isinstance(error, FormatError):
        value["rule"] = error.rule
    if isinstance(error, IntegrityError):
        value["expected"] = error.expected.hex() if error.expected else None
        value["actual"] = error.actual.hex() if error.actual else None
    return value


def size_text(size: int) -> str:
    """Return a size for a person: `1.4 MiB`, and bytes below one KiB."""
    if size < 1024:
        return f"{size} bytes" if size != 1 else "1 byte"
    power = min((size.bit_length() - 1) // 10, len(_UNITS))
    return f"{size / 1024**power:.1f} {_UNITS[power - 1]}"


def last_line(
    found: LastLine | None, own: Sequence[str] = (), *, unread: Sequence[str] = (), say: Callable[[str], None] = line
) -> None:
    """Print the last line of a verdict if there is one, in colour on a terminal, and before it what it does not say.

    Args:
        found: The last line.
        own: What no verdict says of the sets that it is about (`tokar.sets.by_other_means`).
        unread: What was not looked at.
        say: Prints it.
    """
    if found is None:
        return
    for text in (*(f"not looked at: {one}" for one in unread), *(f"beside: {one}" for one in own)):
        say(text)
    word, why = str(found.word), safe(str(found)).removeprefix(found.word)
    if is_coloured(sys.stdout if say is line else sys.stderr):
        word = f"\x1b[1;{_COLOURS.get('' if found.refused else word, _YELLOW)}m{word}\x1b[0m"
    put, start = (write, "") if say is line else (_say, "tokar: ")  # the colour is no text that was given
    put(f"{start}{safe(found.before)}{word}{why}\n")


def pairs(rows: Iterable[tuple[str, str]], *, indent: str = "") -> None:
    """Print names and values in two aligned columns."""
    listed = [(label, text) for label, text in rows if text]
    width = max((len(label) for label, _ in listed), default=0)
    for label, text in listed:
        line(f"{indent}{label:<{width}}  {text}")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print a table; columns in `right` are set to the right. A short one on a terminal is fitted to its width.

    Rows are taken a batch at a time, however many there are; columns keep the widths that the batches before needed.
    """
    remaining = ([safe(cell) for cell in row] for row in rows)
    batch = list(islice(remaining, _TABLE_BATCH))
    if len(batch) < _TABLE_BATCH and sys.stdout.isatty():
        try:
            print_fitted(titles, batch, right)
        except OSError as error:
            _lose_output(error)
        return
    widths = [0] * len(titles)
    batch = [[*titles], *batch]
    while batch:
        widths = [
            max(width, *map(cells, column)) for width, column in zip(widths, zip(*batch, strict=True), strict=True)
        ]
        write("".join(aligned(row, widths, right) for row in batch))
        batch = list(islice(remaining, _TABLE_BATCH))


@contextmanager
def progress(
    phase: str, total: int | None, *, of: str = "", quiet: bool = False
) -> Iterator[Callable[[int], None] | None]:
    """Show bytes, rate and time left while the block runs: `creating`, and what it is done to.

    Yields what is to be called with the bytes done, or None where nothing is shown.
    """
    began = time.monotonic()
    detail(f"{phase} {of}".rstrip())
    if _Output.form is ProgressForm.JSON:
        lines = progress_lines(phase, of, total)
        yield lines.advance
        lines.write()
    elif quiet or total is None or _Output.form is ProgressForm.OFF or not sys.stderr.isatty():
        yield None
    else:
        with shown_bar(safe(f"{phase} {of}".rstrip()), total, size_text) as advance:
            yield advance
    detail(f"{phase} took {time.monotonic() - began:.1f} seconds")


def choose_progress(form: ProgressForm) -> ProgressForm:
    """Choose how progress is shown, and return that."""
    _Output.form = form
    return form


def progress_lines(phase: str, of: str, total: int | None = None) -> ProgressLines:
    """Return progress as JSON lines."""
    return ProgressLines(_say, phase, of, total)


def shows_lines() -> bool:
    """Return whether progress is shown as JSON lines."""
    return _Output.form is ProgressForm.JSON


def talk(verbose: bool) -> bool:
    """Choose whether details are printed too, and return that."""
    _Output.verbose = verbose
    return verbose


def detail(text: str) -> None:
    """Print a line that only `-v` asks for; a log takes it always."""
    line = f"tokar: {safe(text)}\n"
    if _Output.verbose:
        _say(line)
    else:
        _note_down(line)


def log_to(path: Path | None) -> Path | None:
    """Write what goes to standard error to the end of a file too, with the time, and return its path.

    Raises:
        StorageError: It cannot be opened.
    """
    if path is not None:
        _Output.log = Log(path)
        _note_down(f"tokar {' '.join(map(names.printable, sys.argv[1:]))}\n")
    return path


def close_log(exit_code: int) -> None:
    """Write the exit code to the log, and close it."""
    _note_down(f"exit code {exit_code}\n")
    if _Output.log is not None:
        _Output.log.close()
        _Output.log = None


def _note_down(text: str) -> None:
    if _Output.log is not None:
        _Output.log.write(without_identities(as_called(text)))
