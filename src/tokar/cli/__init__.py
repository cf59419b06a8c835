"""The command line: arguments in, exit code out. One module for each verb, loaded only when it is used.

Exit codes: 0 done; 1 failed (input, output, source); 2 usage; 3 not an archive, or an unsupported one; 4 damaged; 5 unsealed; 6 refused: the
plan is not safe or not complete; 7 refused: the procedure does not allow it; 8 partial; 9 the archive is good, the set is not; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any, Final

import typer
import typer.core
import typer.main

from tokar._version import __version__
from tokar.cli import output
from tokar.errors import ArchiveError, StorageError

VERBS: Final = ("create", "inspect", "verify", "restore", "extract", "salvage", "tokens")
_INTERRUPTED: Final = 130


class VerbGroup(typer.core.TyperGroup):
    """The verbs, each imported when it is asked for, and the one place where errors become messages and exit codes."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the verbs in the order of the help text."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command for a verb, or None."""
        del ctx
        if cmd_name not in VERBS:
            return None
        command = typer.main.get_command(importlib.import_module(f"tokar.cli.{cmd_name}").app)
        command.name = cmd_name
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run the verb; turn what it raises into a message and an exit code."""
        try:
            return super().invoke(ctx)
        except ArchiveError as error:
            output.report(error)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            output.note("interrupted; nothing was left under a final name that is not whole")
            raise typer.Exit(_INTERRUPTED) from error
        except BrokenPipeError:
            output.close_quietly()
            raise typer.Exit(1) from None
        except OSError as error:
            problem = StorageError(error.strerror or str(error), path=error.filename)
            output.report(problem)
            raise typer.Exit(problem.exit_code) from error


app = typer.Typer(
    cls=VerbGroup,
    name="tokar",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not an archive or unsupported, 4 damaged, 5 unsealed, 6 plan refused, "
    "7 procedure refused, 8 partial, 9 set not restorable, 130 interrupted.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        output.line(f"tokar {__version__} (archive format 1)")
        raise typer.Exit


@app.callback()
def tokar(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Restore-aware archives: one sealed file for the files of a database engine, each with its token, so that it goes back to the right place."""
    del version


def main() -> None:
    """Run the command line."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show must not stop the work
    app()
