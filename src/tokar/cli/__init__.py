"""The command line: arguments in, exit code out. One module for each verb, loaded only when it is used.

Exit codes: 0 done; 1 failed (input, output, source); 2 usage; 3 not an archive, or an unsupported one; 4 damaged; 5
unsealed; 6 refused: the plan is not safe or not complete; 7 refused: the procedure does not allow it; 8 partial; 9 the
archive is good, the set is not; 10 nobody signed it who was asked for; 11 content is encrypted, and nothing that was
given opens it; 130 interrupted, or 128 and the number of another signal.
"""

from __future__ import annotations

import errno
import gc
import importlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
import typer.core
import typer.main

from tokar import signals
from tokar._version import __version__
from tokar.cli import output, streams
from tokar.cli.arguments import take_directly
from tokar.cli.shared import no_such_command, set_by, with_shared
from tokar.errors import ArchiveError, ExhaustedError, InputError, StorageError, reason_of

# Every verb with its line in `tokar --help`, which so imports none of them; each explains itself in full.
VERBS: Final = {
    "create": "Collect files into one sealed archive.",
    "backup": "Back a server up, through its own backup procedure.",
    "probe": "Say whether a server can be reached and backed up, without changing it.",
    "inspect": "Show what is in archives, and what ESE files say of themselves.",
    "sign": "Vouch for archives: signatures in them or beside them, by ssh-keygen.",
    "verify": "Prove every record of archives, on all cores.",
    "check": "Say whether archives will restore, rung by rung.",
    "chain": "Show how sets fit together, and which can be restored.",
    "report": "Write what check finds as a page to look at, to print and to hand on.",
    "restore": "Put files back into the directories that their tokens call for.",
    "replay": "Play the logs of a set on copies of its databases, in memory.",
    "recover": "Write databases as recovery would leave them, without the engine.",
    "extract": "Write one file, with every byte proven on the way.",
    "keys": "List who can open encrypted archives, by kind.",
    "rekey": "Add recipients to an encrypted archive.",
    "salvage": "Seal again what is whole of a damaged archive.",
    "clean": "List what runs that died left in a folder, and remove it when asked.",
    "tokens": "Print the token profiles.",
    "sources": "List the kinds of servers that can be named, and what each needs.",
    "redact": "Print a report without the names of machines and people.",
    "explain": "Say what an error code means, in any spelling, and what to do.",
    "lab": "Make a simulated server, and work, break and recover it.",
    "demo": "Show backup, loss, restore and recovery on a simulated server.",
    "config": "List the defaults that the environment sets.",
    "help": "Print what a verb does and takes.",
}
# Verbs that change something: what they print never stops them, and an output that fails is told of at the end.
CHANGE_THINGS: Final = {
    *(
        "create",
        "backup",
        "restore",
        "recover",
        "extract",
        "rekey",
        "salvage",
        "sign",
        "clean",
        "lab",
        "demo",
        "report",
    ),
}
# In the messages of libraries that have no MemoryError: of a loader, of compressors.
_SHORT_OF_MEMORY: Final = ("failed to map", "cannot allocate", "memory", "alloc")
# What a library says of arguments, in our words.
_PLAIN: Final = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "it is no whole number",
    "Input should be a valid number, unable to parse string as a number": "it is no number",
    "Input should be": "it should be",
}
_WANTS_JSON: Final = "tokar.json"  # the key in the context that all verbs share
_UsageError: Any = typer.BadParameter.__mro__[1]  # typer gives it no name of its own; its help texts are one as well


class VerbGroup(typer.core.TyperGroup):
    """The verbs, each imported when it is asked for, and the one place where errors become messages and exit codes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        take_directly(self)

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the help text."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command for a verb, or None."""
        del ctx
        return _command(cmd_name) if cmd_name in VERBS else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the verbs without importing them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options that stand before the verb."""
        output.begin()
        ctx.meta[_WANTS_JSON] = "--json" in args
        if not args:
            return super().parse_args(ctx, args)  # prints the help text
        with _reported(ctx):
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn what it raises into a message and an exit code."""
        output.begin()
        code = ArchiveError.exit_code
        try:
            with _reported(ctx):
                try:
                    result = super().invoke(ctx)
                except typer.Exit as ending:
                    output.finish(failed=bool(ending.exit_code))
                    raise
                output.finish()
            code = 0
        except typer.Exit as ending:
            code = ending.exit_code
            raise
        finally:
            output.close_log(code)
        return result

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb, its command and what is left; name verbs that look like a word that is none.

        Raises:
            InputError: There is no such verb.
        """
        if args[0] in VERBS or args[0].startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise no_such_command(args[0], *VERBS)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Return the verbs and options that a word may become, without importing any verb."""
        item = vars(typer.core).get("CompletionItem")
        if item is None or incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [item(verb, help=text) for verb, text in VERBS.items() if verb.startswith(incomplete)]


@cache
def _command(verb: str) -> Any:
    """Import a verb and return its command. What is loaded stays: it is no garbage to look for."""
    gc.disable()
    command = typer.main.get_command(importlib.import_module(f"tokar.cli.{verb}").app)
    gc.freeze()
    gc.enable()
    command.name = verb
    return take_directly(with_shared(command, verb))


@contextmanager
def _reported(ctx: Any) -> Iterator[None]:
    """Turn every error that is meant for a person into a message and an exit code."""
    problem: ArchiveError
    try:
        yield
    except ArchiveError as error:
        problem = error
    except _UsageError as error:
        problem = _usage(error, ctx)
    except KeyboardInterrupt as error:
        output.report_interrupt(error)
        raise typer.Exit(signals.exit_code(error)) from error
    except BrokenPipeError:
        output.give_up()
        raise typer.Exit(StorageError.exit_code) from None
    except OSError as error:
        problem = _refused(error)
    except Exception as error:
        found = _exhausted(error)
        if found is None:
            raise
        problem = found
    else:
        return
    output.report(problem, as_json=ctx.meta[_WANTS_JSON])
    raise typer.Exit(problem.exit_code) from problem


def _refused(error: OSError) -> ArchiveError:
    """Return a refusal of the operating system as an error of ours, with that as its cause."""
    place = error.filename if isinstance(error.filename, str) else None
    what = "the output could not be written: " if place is None and output.is_lost() else ""
    exhausted = _exhausted(error) if place is None and not what else None
    problem = exhausted or StorageError(f"{what}{reason_of(error)}", path=place)
    problem.__cause__ = error
    return problem


_LOAD_AGAIN: Final = f"{ExhaustedError.hint_text}; or install tokar and what it needs anew"
_NO_PROCESS: Final = {errno.EAGAIN, errno.ENOMEM}


def _exhausted(error: Exception) -> ArchiveError | None:
    """Return an error of ours for a resource that gave out; None for any other exception."""
    text = str(error)
    if isinstance(error, OSError) and error.errno in _NO_PROCESS:
        return ExhaustedError(f"the system starts no more processes: {error.strerror}")
    if isinstance(error, RuntimeError) and text.startswith("can't "):  # start new thread, allocate lock ...
        return ExhaustedError("the system gives no more threads")
    if _is_short_of_memory(error, text):
        return ExhaustedError("there is too little memory")
    if _was_loading(error):  # without memory Python compiles wrongly, and modules lack what they should have
        return ExhaustedError(f"a module cannot be loaded: {type(error).__name__}: {text}", hint=_LOAD_AGAIN)
    return None


def _was_loading(error: Exception) -> bool:
    """Return whether an exception comes from a module while it was being imported, or from one that is not found.

    An encoding is a module, too. Where no more files can be opened, or read, modules that are there are not found.
    """
    is_encoding = isinstance(error, LookupError) and str(error).startswith("unknown encoding")
    place, found = error.__traceback__, isinstance(error, SyntaxError | ImportError) or is_encoding
    while place is not None:
        found = found or place.tb_frame.f_code.co_filename.startswith("<frozen importlib")
        place = place.tb_next
    return found


def _is_short_of_memory(error: Exception, text: str) -> bool:
    if isinstance(error, SystemError):
        return "without" in text  # an exception set: there was no memory to make it
    told = isinstance(error, ImportError) or type(error).__name__ in {"ZstdError", "error"}
    return isinstance(error, MemoryError) or (told and any(word in text.lower() for word in _SHORT_OF_MEMORY))


def _usage(error: Any, ctx: Any) -> InputError:
    """Return a fault in the arguments as an error of ours."""
    text = " ".join(error.format_message().split()).rstrip(".")
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the whole help text
        text = "a command is missing"
    for said, plain in _PLAIN.items():
        text = text.replace(said, plain)
    verb = f"tokar {ctx.invoked_subcommand or ''}".rstrip()
    path = error.ctx.command_path if error.ctx is not None else verb
    verb = path if path.startswith(f"{verb} ") else verb  # of a verb of a verb: lab new
    hint = f"{verb} --help shows what it takes"
    if (variable := set_by(error)) is not None:
        hint = f"{variable} in the environment says so; {hint}"
    return InputError(text[:1].lower() + text[1:], hint=hint)


app = typer.Typer(
    cls=VerbGroup,
    name="tokar",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not an archive or unsupported, 4 damaged, 5 unsealed, "
    "6 plan refused, 7 procedure refused, 8 partial, 9 set not restorable, 10 not signed, 11 encrypted and not opened, "
    "130 interrupted, 128 + N by signal N. Defaults from the environment: tokar config.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"tokar {__version__} (archive format 1)")
        raise typer.Exit


@app.callback()
def tokar(
    context: typer.Context,
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Restore-aware archives: one sealed file for the files of a database engine, each with its token.

    By its token every file goes back to the right place.
    """
    del version
    verb = context.invoked_subcommand or "error"
    output.begin(verb, patient=verb in CHANGE_THINGS)


def main() -> None:
    """Run the command line. What nobody expected is one line and a request too; TOKAR_DEBUG shows it in full."""
    # numpy's linear algebra is never used; its threads take memory, and where there is too little it sends SIGINT
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    streams.prepare()
    signals.catch()
    before, threading.excepthook = threading.excepthook, _thread_failed
    try:
        _silence_libraries()
        app(prog_name="tokar")
    except KeyboardInterrupt as error:  # before any verb was at work
        _end_by(error)
    except SystemExit as ending:
        interrupt = getattr(ending.__context__, "__cause__", None)
        if isinstance(interrupt, KeyboardInterrupt):  # typer had it, and says 130 of any
            _end_by(interrupt)
        raise
    except Exception as error:
        if os.environ.get("TOKAR_DEBUG"):
            raise
        problem = _refused(error) if isinstance(error, OSError) else _exhausted(error) or _own_fault(error)
        output.report(problem, as_json="--json" in sys.argv)
        sys.exit(ArchiveError.exit_code)
    finally:
        threading.excepthook = before
        signals.leave()


def _silence_libraries() -> None:
    """Let nothing be logged where memory is limited: hashlib logs a traceback of each kind that it cannot load."""
    with suppress(ImportError):  # as on Windows
        import resource  # noqa: PLC0415

        if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
            import logging  # noqa: PLC0415 - start-up time

            logging.disable()


def _thread_failed(failed: threading.ExceptHookArgs) -> None:
    """Say in one line why another thread ended, as `main` does of what it raises."""
    if isinstance(failed.exc_value, Exception):
        output.note(f"error: {(_exhausted(failed.exc_value) or _own_fault(failed.exc_value)).message}")


def _end_by(interrupt: KeyboardInterrupt) -> NoReturn:
    output.report_interrupt(interrupt)
    sys.exit(signals.exit_code(interrupt))


def _own_fault(error: Exception) -> ArchiveError:
    """Return a fault of the program as an error of ours."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f"{Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno}" if place else "no place"
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(": ")
    return ArchiveError(
        f"this is a fault of tokar: {text}, in {where}",
        hint=f"please report it with this line, the command, and tokar {__version__}; TOKAR_DEBUG=1 shows all of it",
    )
