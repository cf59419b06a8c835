"""Run the command line: `python -m tokar`, and the command `tokar`."""

from __future__ import annotations

import sys

from tokar import signals
from tokar.errors import ExhaustedError


def main() -> None:
    """Load the command line and run it; where it cannot even be loaded, say so in one line."""
    signals.leave()  # until it is there to catch them
    try:
        from tokar.cli import main as run  # noqa: PLC0415 - what it takes to load may not be there
    except (ImportError, OSError, MemoryError, RuntimeError, SyntaxError, SystemError) as error:
        sys.stderr.write(f"tokar: error: it cannot be loaded: {type(error).__name__}: {error}\n")
        sys.stderr.write("hint: raise the limits (ulimit -v, -u and -n), or install tokar and what it needs anew\n")
        sys.exit(ExhaustedError.exit_code)
    if getattr(sys, "frozen", False):  # one program with all in it: the process of a server begins here too
        from multiprocessing import freeze_support  # noqa: PLC0415 - start-up time

        freeze_support()
    try:
        run()
    except KeyboardInterrupt as error:  # at its very end
        sys.exit(signals.exit_code(error))


if __name__ == "__main__":
    main()
