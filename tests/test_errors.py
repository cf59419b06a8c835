from __future__ import annotations

import ast
import errno
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tokar import errors
from tokar.errors import (
    ArchiveError,
    DigestMismatchError,
    ExistingFileError,
    FormatError,
    IntegrityError,
    StorageError,
    hint_of,
    storage_errors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, ArchiveError) and one.__module__ == errors.__name__
]
TREE = re.findall(r"^[|` -]*([A-Z]\w+Error)\s+(\d+)\s", errors.__doc__ or "", re.MULTILINE)
SOURCE = Path(errors.__file__).parent


def branch(one: type[ArchiveError]) -> Iterator[type[ArchiveError]]:
    yield one
    for below in one.__subclasses__():
        yield from branch(below)


def every_class() -> Iterator[type[ArchiveError]]:
    """Yield the errors of all modules."""
    for module in pkgutil.walk_packages([str(SOURCE)], "tokar."):
        if module.name != "tokar.__main__":
            importlib.import_module(module.name)
    return (one for one in branch(ArchiveError) if one.__module__.startswith("tokar."))


def test_the_tree_in_the_docstring_lists_every_class_of_every_module_with_its_exit_code() -> None:
    known = {(one.__name__, str(one.exit_code)) for one in every_class()}
    assert known == set(TREE)
    assert len(TREE) == len(set(TREE))


def test_exit_codes_are_written_where_the_errors_are_and_nowhere_else() -> None:
    written = re.compile(r"exit_code(: ClassVar\[int\])? = \d|\bExit\(\d|sys\.exit\(\d|exit_code (==|!=|in) \W*\d")
    found = [path.name for path in SOURCE.rglob("*.py") if written.search(path.read_text(encoding="utf-8"))]
    assert found == ["errors.py"]


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_class_can_be_caught_as_the_base_and_says_what_it_means(one: type[ArchiveError]) -> None:
    assert issubclass(one, ArchiveError)
    assert one.__doc__
    assert 1 <= one.exit_code <= 20


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_class_can_be_made_from_a_message_alone(one: type[ArchiveError]) -> None:
    made = one("something is wrong")
    assert str(made) == made.message == "something is wrong"
    assert made.hint == one.hint_text


def test_the_place_stands_in_brackets() -> None:
    assert str(ArchiveError("it is cut", path="a.tokar")) == "it is cut (a.tokar)"
    assert str(ArchiveError("it is cut", offset=48)) == "it is cut (at byte 48 (0x30))"
    assert str(ArchiveError("it is cut", path=Path("a.tokar"), offset=0)) == "it is cut (a.tokar, at byte 0 (0x0))"


def test_a_place_that_becomes_known_later_shows() -> None:
    error = FormatError("it is cut", rule="STATE-1")
    error.path = "a.tokar"
    assert str(error) == "it is cut (a.tokar)"


def test_a_hint_of_its_own_replaces_that_of_the_class() -> None:
    assert ExistingFileError("there", hint="go elsewhere").hint == "go elsewhere"
    assert ExistingFileError("there", hint="").hint == ""


def calls_in(path: Path) -> Iterator[tuple[str, set[str | None]]]:
    """Yield each call in a module: what it calls, and the keywords it gives."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func).rpartition(".")[2], {one.arg for one in node.keywords}


def test_every_error_has_a_next_step_of_its_own_or_of_its_class() -> None:
    bare = {one.__name__ for one in every_class() if one.hint_text is None and one.otherwise is None}
    found = [
        f"{path.name}: {name}"
        for path in SOURCE.rglob("*.py")
        for name, given in calls_in(path)
        if name in bare and not given & {"hint", None}
    ]
    assert found == []


def test_values_travel_as_attributes() -> None:
    error = DigestMismatchError("differs", expected=b"a", actual=b"b", rule="DONE-5", offset=9)
    assert (error.expected, error.actual, error.rule, error.offset) == (b"a", b"b", "DONE-5", 9)
    assert isinstance(error, IntegrityError)


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOSPC, "room"),
        (errno.EDQUOT, "quota"),
        (errno.ESTALE, "mount"),
        (errno.EIO, "log"),
        (errno.EMFILE, "-n"),
        (errno.ELOOP, "circle"),
        (errno.EISDIR, "name a file"),
        (errno.ENOTDIR, "name a directory"),
        (errno.ENAMETOOLONG, "shorten"),
        (errno.ENOENT, "slip in the name"),
        (errno.EBUSY, "another program uses it"),
        (errno.ENOTEMPTY, "move it away"),
        (errno.ENXIO, "name a file"),
        (errno.EXDEV, "on the same one"),
    ],
)
def test_what_the_system_refuses_has_the_next_step_for_its_reason(number: int, word: str) -> None:
    with pytest.raises(StorageError) as caught, storage_errors("read"):
        raise OSError(number, "no")
    outer = ArchiveError("entry 1: no")
    outer.__cause__ = caught.value
    for error in (caught.value, outer):
        assert word in (hint_of(error) or "")
    assert hint_of(StorageError("no", hint="other")) == "other"
