"""What is wrong with sets, as lines: each once, with the engine's error, what follows from it and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tokar.cli.hints import typeable
from tokar.cli.output import line, safe

if TYPE_CHECKING:
    from tokar.check.report import RungFault
    from tokar.sets.faults import Fault


class FaultLines:
    """Prints what is wrong with several sets; what was said of another one before, by the name of that one alone."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], str] = {}  # The set of which it was said first, by sign and sentence

    def print(self, sign: str, found: Iterable[Fault | RungFault], of: str, indent: str = "") -> None:
        """Print what is wrong with a set.

        Args:
            sign: What each begins with.
            found: What is wrong.
            of: The set.
            indent: What stands before each line.
        """
        before: dict[str, None] = {}
        for one in found:
            other = self._said.setdefault((sign, one.message), of)
            if other == of:
                _fault(sign, one, indent)
            else:
                before[other] = None
        for other in before:
            line(f"{indent}{sign} what is said of {safe(other)} holds here too")


def _fault(sign: str, found: Fault | RungFault, indent: str) -> None:
    line(f"{indent}{sign} {safe(found.message)}")
    concerns = found.databases if found.databases != found.files else ()
    below = [f"for: {', '.join(concerns)}"] if concerns else []
    error = "the engine's error" if sign == "!" else "the engine's error, where it meets this"
    below += [f"{error}: {found.engine}"] if found.engine is not None else []
    below += [f"so: {consequence}" for consequence in found.consequences]
    below += [f"next: {typeable(found.next_step)}"] if found.next_step else []
    for text in below:
        line(f"{indent}  {safe(text)}")
