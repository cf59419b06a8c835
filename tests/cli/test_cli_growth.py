"""What a verb does grows with what it is given, and no faster: on good sets, and where every kind of fault is all over.

Calls are counted, function by function, of Python and of C: the same numbers every time. What is added from N to 2N
doubles from 2N to 4N where it is linear, and is four times as much where it is quadratic. The torture run measures
time, at sizes that show what no call is made for.
"""

from __future__ import annotations

import cProfile
import gc
import importlib
import shutil
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from command_line import done, tokar
from encrypted import make_identity
from recovery_sets import OTHER_STREAM, dirty, logs, moment
from signed import make_key, needs_ssh_keygen
from sweeps import sampled

import tokar as library
from tokar import cli
from tokar.cli import lab
from tokar.collect import examine, found
from tokar.ese.log import LogHeader
from tokar.format import entry_reader, records, writer
from tokar.restore import collisions, planner
from tokar.sets import fault_list, read

pytestmark = needs_ssh_keygen
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from command_line import Result

FEW = 10
MANY = 1000  # in the torture run
KINDS = ("good", "faulty")
_ALL = ("--all-files", "--accept-unrecoverable")
_OVER = ("--existing", "set-aside", "--tree")
VERBS = {
    "create": ("create", "--force", "-q", "{out}", "{folder}"),
    "create --all": ("create", "--all", "--force", "{out}", "{folder}"),
    "create --json": ("create", "--json", "--force", "{out}", "{folder}"),
    "verify": ("verify", "{archive}"),
    "verify --content": ("verify", "--content", "--json", "{archive}"),
    "verify damaged": ("verify", "--json", "{damaged}"),
    "inspect": ("inspect", "{archive}"),
    "inspect --entries": ("inspect", "--entries", "{archive}"),
    "inspect --json": ("inspect", "--json", "{archive}"),
    "inspect --b3sums": ("inspect", "--b3sums", "{archive}"),
    "inspect --records": ("inspect", "--records", "{archive}"),
    "inspect --headers": ("inspect", "--headers", "{archive}"),
    "inspect --pages": ("inspect", "--pages", "--json", "{archive}"),
    "inspect damaged": ("inspect", "--entries", "{damaged}"),
    "check": ("check", "{archive}"),
    "check --json": ("check", "--json", "{archive}"),
    "check --content": ("check", "--content", "{archive}"),
    "check folder": ("check", "{folder}"),
    "check --replay": ("check", "--replay", "{folder}"),
    "inspect folder": ("inspect", "{folder}"),
    "inspect folder --json": ("inspect", "--json", "{folder}"),
    "replay": ("replay", "{folder}"),
    "replay --json": ("replay", "--json", "{folder}"),
    "recover": ("recover", "{folder}", "--out", "{out}.r"),
    "keys": ("keys", "{sealed}"),
    "rekey": ("rekey", "-q", "{sealed}", "--recipients-file", "{mine}.pub", "--identity", "{mine}"),
    "check --identity": ("check", "--content", "{sealed}", "--identity", "{mine}"),
    "report": ("report", "{archive}", "-o", "{out}.html", "--force"),
    "report --redact": ("report", "--redact", "{folder}", "-o", "{out}.html", "--force"),
    "chain": ("chain", "{archive}"),
    "chain --json": ("chain", "--json", "{archive}"),
    "restore --dry-run": ("restore", "--dry-run", "--into", "{out}", "{archive}"),
    "restore --dry-run --tree": ("restore", "--dry-run", *_ALL, "--tree", "{fresh}", "{archive}"),
    "restore --dry-run again": ("restore", "--dry-run", *_ALL, "--tree", "{there}", "{archive}"),
    "restore --json": ("restore", "--dry-run", "--json", "--all-files", "--into", "{out}", "{archive}"),
    "restore": ("restore", *_ALL, "--tree", "{out}.d", "{archive}"),
    "restore over": ("restore", *_ALL, *_OVER, "{old}", "{archive}"),
    "restore again": ("restore", *_ALL, "--tree", "{there}", "{archive}"),
    "extract": ("extract", "--force", "-o", "{out}", "{archive}", "main.edb"),
    "salvage": ("salvage", "--force", "--json", "{damaged}", "{out}"),
    "salvage text": ("salvage", "--force", "{damaged}", "{out}"),
    "backup": ("backup", "-q", "dir:{folder}", "{fresh}", "--type", "copy"),
    "backup lab": ("backup", "-q", "lab:{lab}", "{fresh}", "--type", "copy"),
    "probe": ("probe", "dir:{folder}"),
    "probe --list": ("probe", "--list", "dir:{folder}"),
    "sign": ("sign", "-q", "{archive}", "--key", "{key}"),
    "sign --embed": ("sign", "-q", "--embed", "{sealed}", "--key", "{key}"),
    "verify --signed-by": ("verify", "{archive}", "--signed-by", "{key}.pub"),
    "redact": ("redact", "{report}"),
    "redact text": ("redact", "{text}"),
    "clean": ("clean", "{folder}"),
    "clean --remove": ("clean", "--remove", "{left}"),
    "lab new": ("lab", "new", "{fresh}"),
    "lab work": ("lab", "work", "{lab}", "-n", "{count}"),
    "lab show": ("lab", "show", "{lab}"),
    "lab set": ("lab", "set", "{lab}", "circular=off"),
    "lab defragment": ("lab", "defragment", "{lab}"),
    "lab recover": ("lab", "recover", "{lab}"),
    "demo": ("demo", "{fresh}"),
    # These are given nothing that grows.
    "sources": ("sources",),
    "tokens": ("tokens",),
    "explain": ("explain", "-1216"),
    "config": ("config",),
    "help": ("help", "create"),
}


_ARCHIVES = {"archive": "a", "damaged": "b", "sealed": "e"}


def files(count: int, kind: str) -> Iterator[tuple[str, bytes]]:
    """A database and that many logs; in a faulty set every kind of fault all over."""
    yield "main.edb", bytes(dirty(5, 4 + count))
    for generation, (name, data) in enumerate(logs(5, 4 + count, filled=1).items(), 5):
        good = LogHeader.parse(data[:4096])
        fault = generation % 7 if kind == "faulty" and generation > 8 else 6
        if fault == 0:
            continue  # a hole
        if fault == 1:
            good = replace(good, previous_created=moment(3))
        if fault == 2:
            good = replace(good, signature=OTHER_STREAM)
        content = (data[:4096] if fault == 6 else good.build()) + data[4096:]
        if fault == 3:
            content = content[:100] + b"\xff" * 50 + content[150:]
        if fault == 4:
            content = bytes(len(content))
        if fault == 5:
            yield f"x/{name}", replace(good, created=moment(generation + 10**6)).build() + data[4096:]
        yield name, content


def made(place: Path, count: int, kind: str) -> dict[str, Path]:
    """A folder of a set, its archive, that with damage all over, and the names of all that `rest_made` adds."""
    (place / "in" / "x").mkdir(parents=True)
    for name, content in files(count, kind):
        (place / "in" / name).write_bytes(content)
    tokar("create", "-q", "--compress", "none", place / "a.tokar", place / "in")
    spoilt = bytearray((place / "a.tokar").read_bytes())
    for at in range(9000, len(spoilt) - 5000, 40_000):
        spoilt[at] ^= 0xFF
    (place / "b.tokar").write_bytes(spoilt)
    names = ("out", "lab", "report", "text", "key", "old", "left", "there")
    paths = {"folder": place / "in", "mine": place / "identity", "place": place} | {
        name: place / name for name in names
    }
    return paths | {name: place / f"{leaf}.tokar" for name, leaf in _ARCHIVES.items()}


def rest_made(place: Path, count: int) -> None:
    """The archive encrypted, a server, and texts."""
    mine = make_identity(place)
    tokar("create", "-q", "--compress", "none", place / "e.tokar", place / "in", "--recipients-file", f"{mine}.pub")
    make_key(place, "key")
    done("lab", "new", place / "lab", "--profile", "certadm")
    done("lab", "work", place / "lab", "-n", f"{count}")
    (place / "report").write_text(tokar("check", "--json", place / "a.tokar").stdout)
    (place / "text").write_text("".join(f"host{at}.acme.test: user{at}@acme.test\n" for at in range(count)))


@pytest.fixture(scope="module")
def lean_sets(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], dict[str, Path]]:
    known: dict[tuple[str, int], dict[str, Path]] = {}

    def of(kind: str, count: int) -> dict[str, Path]:
        if (kind, count) not in known:
            known[kind, count] = made(tmp_path_factory.mktemp(f"{kind}{count}"), count, kind)
        return known[kind, count]

    return of


@pytest.fixture(scope="module")
def sets(lean_sets: Callable[[str, int], dict[str, Path]]) -> Callable[[str, int], dict[str, Path]]:
    def of(kind: str, count: int) -> dict[str, Path]:
        paths = lean_sets(kind, count)
        if not paths["lab"].exists():
            rest_made(paths["place"], count)
        return paths

    return of


def calls(work: Callable[[], object]) -> Counter[str]:
    """How often each function is called, in all threads."""
    profiles = [cProfile.Profile()]

    def begin(*_: object) -> None:
        """Count in a thread of its own too, where the interpreter has no profile that counts in all of them."""
        sys.setprofile(None)
        profiles.append(one := cProfile.Profile())
        with suppress(ValueError):
            one.enable()

    threading.setprofile(begin)
    profiles[0].enable()
    try:
        work()
    finally:
        profiles[0].disable()
        threading.setprofile(None)
    counter: Counter[str] = Counter()
    for entry in (entry for one in profiles for entry in one.getstats()):
        code = entry.code
        name = code if isinstance(code, str) else f"{code.co_filename}:{code.co_firstlineno} {code.co_name}"
        counter[name] += entry.callcount
    return counter


def demand_linear(small: Counter[str], medium: Counter[str], large: Counter[str]) -> None:
    """Check that no function is called more than twice as often in addition as the set doubles again."""
    added = {one: (medium[one] - small[one], large[one] - medium[one]) for one in large}
    grown = {one: pair for one, pair in added.items() if pair[1] > 2.6 * max(pair[0], 0) + 200}
    assert not [one for one in grown if large[one] > 6 * small[one] + 200], grown  # 4 times, where it is linear


def run(verb: str, paths: dict[str, Path]) -> Callable[[], Result]:
    place, count = paths["place"], sum(1 for _ in (paths["folder"]).iterdir())
    if verb == "restore":
        shutil.rmtree(place / "out.d", ignore_errors=True)
    if verb == "restore over":
        other_files(paths)
    if verb.endswith("again") and not paths["there"].exists():
        done("restore", *_ALL, "--tree", paths["there"], paths["archive"])
    if verb == "clean --remove":
        leave(paths["left"], count)
    fresh = place / f"new{len([*place.iterdir()])}"
    words = [word.format(fresh=fresh, count=count, **paths) for word in VERBS[verb]]
    return lambda: tokar(*words)


def leave(folder: Path, count: int) -> None:
    """Make what runs that died left in a folder: parts of archives, what restores staged, and where they were."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        (folder / f".a.tokar.{number:08x}.part").touch()
        (folder / f".tokar-restore-{number:016x}-1").mkdir(mode=0o700)
        (folder / f".tokar-restore-{number:016x}.journal-1").touch()


def other_files(paths: dict[str, Path]) -> None:
    """Put other files under the names that are restored."""
    shutil.rmtree(paths["old"], ignore_errors=True)
    shutil.copytree(paths["folder"], paths["old"], copy_function=lambda _, new: Path(new).write_bytes(b"another one"))


def is_in_every_run(verb: str, kind: str) -> bool:
    """Whether a verb is one that goes through a set, and not another form of what is printed: the torture has all."""
    if kind == "good":
        return verb in {"create", "verify", "inspect", "check folder", "report", "restore", "recover", "backup"}
    return verb in {"create", "check --content", "chain --json", "salvage"}


def test_no_verb_is_without_a_row() -> None:
    rows = {words[0] for words in VERBS.values()}, {words[1] for words in VERBS.values() if words[0] == "lab"}
    assert rows == (
        {*cli.VERBS},
        {one.name or one.callback.__name__ for one in lab.app.registered_commands if one.callback},
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_sets_are_good_and_faulty(kind: str, sets: Callable[[str, int], dict[str, Path]]) -> None:
    assert tokar("check", sets(kind, FEW)["archive"]).exit_code == (0 if kind == "good" else 9)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "kind"), sampled(product(VERBS, KINDS), is_in_every_run))
def test_the_calls_of_a_verb_grow_with_the_set(
    verb: str, kind: str, sets: Callable[[str, int], dict[str, Path]]
) -> None:
    counted = [sets(kind, count) for count in (5, FEW, 2 * FEW, 4 * FEW)]
    _, small, medium, large = (calls(run(verb, paths)) for paths in counted)  # the first one loads what is needed
    demand_linear(small, medium, large)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("verb", VERBS)
def test_the_time_of_a_verb_grows_with_the_set(
    verb: str, kind: str, sets: Callable[[str, int], dict[str, Path]]
) -> None:
    def seconds(count: int) -> float:
        times = []
        for _ in range(3):
            begun = time.process_time()
            run(verb, sets(kind, count))()
            times.append(time.process_time() - begun)
        return sorted(times)[1]

    few, _, many = (seconds(count) for count in (MANY, 2 * MANY, 4 * MANY))
    assert many <= 9 * few + 0.2, (few, many)  # 4 where it is linear, 16 where it is not


def peak(work: Callable[[], object]) -> int:
    """The most bytes that some work held at once."""
    gc.disable()  # it would empty the free lists, and what fills them again would count
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


HOLDING = (
    *("create", "verify", "verify --content", "inspect", "inspect folder", "extract", "restore --dry-run"),
    *("check", "check folder", "check --content", "chain", "replay", "recover", "inspect folder --json"),
    *("salvage", "salvage text", "restore", "restore over", "restore --dry-run --tree", "restore --dry-run again"),
)
MOST = 500
"""Bytes of memory that a log may take; each row is held to less, but for those that come near it."""
NEAR_THE_MOST = {
    (verb, "faulty") for verb in ("check", "restore --dry-run", "restore --dry-run again", "restore", "restore over")
}
# In the torture run so many that what is kept for those who ask again, some hundreds of values, counts for little.
HELD = [("check folder", "good", 300), *product(HOLDING, KINDS, [MANY])]


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fill what is filled once, at a small size: buffers, lists that end, and the free lists of the interpreter."""
    monkeypatch.setattr(records, "MAX_EXTRA_SIZE", 1 << 15)
    monkeypatch.setattr(records, "MAX_JSON_SIZE", 1 << 16)
    monkeypatch.setattr(importlib.import_module("tokar.format.verify"), "_BATCH_SIZE", 1 << 15)
    monkeypatch.setattr(entry_reader, "_WINDOW_SIZE", 1 << 15)
    monkeypatch.setattr(writer, "_FLUSH_SIZE", 1 << 14)
    monkeypatch.setattr(fault_list, "MOST_LISTED", 5)
    monkeypatch.setattr(collisions, "MOST_LISTED", 5)
    monkeypatch.setattr(planner, "_MOST_LISTED", 5)
    monkeypatch.setattr(found, "MOST_NOTES", 5)
    monkeypatch.setattr(examine, "_MAX_LISTED", 5)
    monkeypatch.setattr(read, "MOST_MARKED", 5)


@pytest.mark.slow
@pytest.mark.usefixtures("small_buffers")
@pytest.mark.parametrize(("verb", "kind", "few"), sampled(HELD, lambda *row: row[2] < MANY))
def test_a_verb_holds_little_of_each_log(
    verb: str, kind: str, few: int, lean_sets: Callable[[str, int], dict[str, Path]]
) -> None:
    # The first one loads what is needed. The lesser of two: what another test left to be filled is in one of them.
    # A table grows by leaps, a set to four times its size: over as many logs each has leapt as often as it must.
    held = [min(_held(verb, lean_sets(kind, count)) for _ in range(2)) for count in (30, few, 4 * few)]
    assert (held[2] - held[1]) / (3 * few) < (MOST if (verb, kind) in NEAR_THE_MOST else 450)


def _held(verb: str, paths: dict[str, Path]) -> int:
    """The most bytes that a verb held at once, without what the runner of this test keeps of the output."""
    work, printed = run(verb, paths), [0]
    gc.collect()
    filled = [[(None,) * size for _ in range(2500)] for size in range(1, 21)]
    del filled
    return peak(partial(_measured, work, printed)) - 5 * printed[0]


def _measured(work: Callable[[], Result], printed: list[int]) -> None:
    printed[0] = len(work().printed)


@pytest.fixture(scope="module")
def many_entries(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two archives, of 1000 and 2000 entries."""
    made = [tmp_path_factory.mktemp("entries") / f"{count}.tokar" for count in (1000, 2000)]
    for path in made:
        with library.create(path, profile="ese") as writer:
            for number in range(int(path.stem)):
                writer.add_bytes(0x0F, f"file {number}", b"x")
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "most"),
    [(("--entries",), 400), (("--json",), 400), (("--b3sums",), 400), (("--records",), 100), ((), 400)],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else str(one),
)
def test_listing_entries_holds_no_list_of_them(words: tuple[str, ...], most: int, many_entries: list[Path]) -> None:
    """191 bytes an entry are its place in the index; the rest is what the runner of this test keeps of the output."""
    held = []
    for archive in many_entries:
        printed = 0

        def inspect(path: Path = archive) -> None:
            nonlocal printed
            printed = len(tokar("inspect", *words, path).stdout)

        inspect()
        most_held = peak(inspect)
        held.append(most_held - 4 * printed)  # bytes, and text three times
    assert (held[1] - held[0]) / 1000 < most


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two folders, of a database beside 1000 and 3000 files that no set takes, and as many leftovers."""
    folders = [tmp_path_factory.mktemp("crowded") / f"{count}" for count in (1000, 3000)]
    for folder in folders:
        leave(folder, int(folder.name) // 2)
        (folder / "main.edb").write_bytes(bytes(dirty(5, 5)))
        (folder / "edb00005.log").write_bytes(logs(5, 5)["edb00005.log"])
        for number in range(int(folder.name)):
            (folder / f"note {number}.txt").touch()
    return folders


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "most"),
    [(("create", "--json", "--force", "{out}"), 100), (("inspect", "--json"), 150), (("clean", "--json"), 500)],
    ids=lambda one: one[0] if isinstance(one, tuple) else str(one),
)
def test_a_json_document_is_printed_row_by_row(
    words: tuple[str, ...], most: int, crowded: list[Path], tmp_path: Path
) -> None:
    """A row of a document takes 500 bytes more than its text; what is printed is held four times here."""
    held = []
    for folder in crowded:
        printed = 0

        def work(folder: Path = folder) -> None:
            nonlocal printed
            printed = len(tokar(*(word.format(out=tmp_path / "a.tokar") for word in words), folder).stdout)

        work()
        gc.collect()
        most_held = min(peak(work) for _ in range(2))  # what another test left to be filled is in one of them
        held.append(most_held - 4 * printed)
    assert (held[1] - held[0]) / 2000 < most


@pytest.mark.slow
def test_a_transcript_of_any_size_is_read_in_time_that_grows_with_it(tmp_path: Path) -> None:
    counted = []
    for count in (10, 100, 200, 400):
        with library.create(tmp_path / f"{count}.tokar", profile="ese", replace=True) as writer:
            for number in range(count):
                writer.add_calls([{"call": "Read", "number": number}])
            writer.add_bytes(0x0F, "x", b"x")
        path = tmp_path / f"{count}.tokar"
        counted.append(sum((calls(partial(tokar, verb, path)) for verb in ("verify", "inspect", "check")), Counter()))
    _, small, medium, large = counted
    demand_linear(small, medium, large)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["location", "file", "map"])
def test_locations_are_read_and_matched_in_time_that_grows_with_them(table: str, tmp_path: Path) -> None:
    with library.create(tmp_path / "a.tokar", profile="ese") as writer:
        writer.add_bytes(0x44, "main.edb", b"x")
    rows = {
        "location": '[[location]]\ntoken = {token}\npath = "/srv/{number}"\n',
        "file": '[[file]]\nname = "{number}"\npath = "/srv/{number}"\n',
        "map": "[[map]]\nprefix = '\\\\S\\{number}'\ndirectory = \"/srv\"\n",
    }
    counted = []
    for count in (10, 100, 200, 400):
        text = "".join(rows[table].format(number=number, token=number % 255 + 1) for number in range(count))
        path = tmp_path / f"{count}.toml"
        path.write_text(text)
        words = ("restore", "--dry-run", tmp_path / "a.tokar", "--locations", path)
        counted.append(calls(partial(tokar, *words)))
    _, small, medium, large = counted
    demand_linear(small, medium, large)
