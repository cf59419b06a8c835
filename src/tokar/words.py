"""Words of messages: counted things, and lists that are cut off where they grow long."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from tokar import names

MOST_IN_WORDS: Final = 8
"""So many of a list are named where nothing else is said; of more the others are counted."""
_MOST_COMPARED: Final = 2000


def noun(count: int, singular: str, plural: str = "") -> str:
    """Return the word for a number of things."""
    return singular if count == 1 else plural or f"{singular}s"


def count_text(count: int, singular: str, plural: str = "") -> str:
    """Return a number of things in words: `1 file`, `1,200 files`."""
    return f"{count:,} {noun(count, singular, plural)}"


def hex_text(value: int) -> str:
    """Return a number in hexadecimal; one that a header should not have keeps its sign before it: `-0x5`."""
    return f"{'-' * (value < 0)}0x{abs(value):X}"


def range_text(low: int, high: int) -> str:
    """Return a range of generations in words: `0x5`, `0x5-0x7`."""
    return f"0x{low:X}" if low == high else f"0x{low:X}-0x{high:X}"


def log_range(low: int, high: int, what: str = "log") -> str:
    """Return a range of logs in words: `log 0x5`, `logs 0x5-0x7`."""
    return f"{noun(high - low + 1, what)} {range_text(low, high)}"


def ranges(generations: Iterable[int]) -> str:
    """Return generations in words: `0x5`, `0x5-0x7, 0x9`."""
    return spans(runs_of(sorted(set(generations))))


def runs_of(generations: Iterable[int]) -> Iterator[range]:
    """Yield rising generations as runs, one after the other."""
    run = range(0)
    for generation in generations:
        if run and generation != run.stop:
            yield run
            run = range(0)
        run = range(run.start if run else generation, generation + 1)
    if run:
        yield run


def spans(runs: Iterable[range]) -> str:
    """Return runs of generations in words; however long a run is, it costs nothing."""
    return some(range_text(run[0], run[-1]) for run in runs)


def logs_text(runs: Sequence[range]) -> tuple[str, str]:
    """Return runs of logs in words, and the verb that goes with them: `log 0x5`, `is`."""
    count = sum(map(len, runs))
    return f"{noun(count, 'log')} {spans(runs)}", noun(count, "is", "are")


def some(items: Iterable[str], most: int = MOST_IN_WORDS) -> str:
    """Return a list in words, cut off where it grows long."""
    found = iter(items)
    listed, rest = [*islice(found, most)], sum(1 for _ in found)
    return ", ".join(listed) + (f" and {rest:,} more" if rest else "")


def meant(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a hint for a word that names nothing: the names that are like it, whole or by their leaves.

    Args:
        word: The word.
        known: The names; of very many the first ones are looked at.
        otherwise: What to do where none is like it.
    """
    from difflib import get_close_matches  # noqa: PLC0415 - start-up time

    keys: dict[str, str] = {}
    for name in islice(known, _MOST_COMPARED):
        for key in (names.collision_key(name), names.collision_key(names.leaf_of(name))):
            keys.setdefault(key, name)
    alike = dict.fromkeys(keys[key] for key in get_close_matches(names.collision_key(word), keys, n=6))
    found = f"did you mean: {some(map(names.printable, alike), 3)}" if alike else ""
    return "; ".join(filter(None, (found, otherwise)))


def install_text(extra: str) -> str:
    """Return the command that installs what an extra of tokar brings, by the Python that runs: tokar is on no index."""
    from importlib import metadata  # noqa: PLC0415 - start-up time

    try:
        wanted = [one.partition(";") for one in metadata.requires("tokar") or ()]
    except metadata.PackageNotFoundError:
        wanted = []
    packages = [name.strip() for name, _, when in wanted if extra in when.replace('"', "'").split("'")]
    if not packages:
        return f"in a checkout of tokar: pip install {names.typed(f'.[{extra}]')}"
    return f"{names.typed(sys.executable or 'python')} -m pip install {' '.join(map(names.typed, packages))}"
