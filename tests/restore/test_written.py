"""Files that are there already are kept in little room, and are what a set of them is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar.restore.written import WrittenFiles

FILES = st.tuples(st.sampled_from(("/a", "/b", "")), st.text(st.characters(exclude_categories=()), max_size=4))


@examples(200)
@given(st.lists(FILES, max_size=60), st.lists(FILES, max_size=20))
def test_it_holds_what_a_set_holds(files: list[tuple[str, str]], others: list[tuple[str, str]]) -> None:
    written = WrittenFiles(files)
    assert [*written] == [*dict.fromkeys(files)]
    assert len(written) == len({*files})
    assert [one in written for one in others] == [one in {*files} for one in others]


@examples(60)
@given(st.lists(FILES, max_size=30))
def test_it_is_equal_to_one_with_the_same_files_and_to_no_other(files: list[tuple[str, str]]) -> None:
    written = WrittenFiles(files)
    assert written == WrittenFiles(reversed(files))
    assert written != WrittenFiles([*files, ("/a", "a name that is too long for the others")])
    assert (written == WrittenFiles(files[1:])) == (not files or files[0] in files[1:])


@examples(60)
@given(st.lists(FILES, max_size=30))
def test_those_in_some_directories_are_found(files: list[tuple[str, str]]) -> None:
    assert [*WrittenFiles(files).within({"/a", ""})] == [one for one in dict.fromkeys(files) if one[0] != "/b"]


@examples(60)
@given(st.lists(FILES, max_size=30), st.lists(FILES, max_size=30))
def test_those_among_others_are_found(files: list[tuple[str, str]], others: list[tuple[str, str]]) -> None:
    written = WrittenFiles(files)
    assert [*written.among(others)] == [one for one in dict.fromkeys(files) if one in others]
    assert written.among([*others, *files]) is written
