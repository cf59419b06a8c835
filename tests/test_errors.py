from __future__ import annotations

import importlib
import inspect
import re
from pathlib import Path

import pytest

from tokar import errors
from tokar.errors import ArchiveError, DigestMismatchError, ExistingFileError, FormatError, IntegrityError

CLASSES = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, ArchiveError) and one.__module__ == errors.__name__
]
# Name, exit code, and the module of a class that is defined beside what raises it.
TREE = re.findall(r"^\W*([A-Z]\w+Error)\s+(\d)\s[^\n(]*(?:\(([\w.]+)\))?$", errors.__doc__ or "", re.MULTILINE)
SOURCE = Path(errors.__file__).parent


def test_the_tree_in_the_docstring_lists_every_class_with_its_exit_code() -> None:
    own = [(name, code) for name, code, module in TREE if not module]
    assert sorted(own) == sorted((one.__name__, str(one.exit_code)) for one in CLASSES)


@pytest.mark.parametrize(("name", "code", "module"), [row for row in TREE if row[2]])
def test_a_class_of_another_module_is_there_with_its_exit_code(name: str, code: str, module: str) -> None:
    found = getattr(importlib.import_module(f"tokar.{module}"), name)
    assert issubclass(found, ArchiveError)
    assert str(found.exit_code) == code


def test_the_tree_leaves_out_no_error_class_of_any_module() -> None:
    defined = {
        name
        for path in SOURCE.rglob("*.py")
        for name in re.findall(r"^class ([A-Z]\w+Error)\(\w*Error\):", path.read_text(encoding="utf-8"), re.MULTILINE)
    }
    assert defined - {"ArchiveError"} <= {name for name, _, _ in TREE}


@pytest.mark.parametrize("one", CLASSES, ids=lambda one: one.__name__)
def test_every_class_can_be_caught_as_the_base_and_says_what_it_means(one: type[ArchiveError]) -> None:
    assert issubclass(one, ArchiveError)
    assert one.__doc__
    assert 1 <= one.exit_code <= 9


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


def test_values_travel_as_attributes() -> None:
    error = DigestMismatchError("differs", expected=b"a", actual=b"b", rule="DONE-5", offset=9)
    assert (error.expected, error.actual, error.rule, error.offset) == (b"a", b"b", "DONE-5", 9)
    assert isinstance(error, IntegrityError)
