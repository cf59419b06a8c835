from __future__ import annotations

import os
import tracemalloc
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import examples

from tokar import names
from tokar.errors import UnsafeNameError

ENCODINGS = st.sampled_from([*names.CODE_PAGES, 0, 1, 65000, 1361])
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def utf16(text: str) -> bytes:
    return text.encode("utf-16-le")


@pytest.mark.parametrize(
    ("raw", "encoding", "text"),
    [
        (b"E\x00D\x00B\x00", 1200, "EDB"),
        (b"\x00E\x00D", 1201, "ED"),
        ("Datenbank-Ä.edb".encode(), 65001, "Datenbank-Ä.edb"),
        (b"\x83\x5c.edb", 932, "ソ.edb"),
        (b"\xb0\xa1.edb", 936, "啊.edb"),
        (b"\xb0\xa1.edb", 949, "가.edb"),
        (b"\xa4\x40.edb", 950, "一.edb"),
        (b"\xa1.edb", 874, "ก.edb"),
        (b"\xc4.edb", 1252, "Ä.edb"),
        (b"\x8e.edb", 437, "Ä.edb"),
        (b"\x8e.edb", 850, "Ä.edb"),
    ],
)
def test_a_name_is_decoded_by_its_code_page(raw: bytes, encoding: int, text: str) -> None:
    assert names.decode(raw, encoding) == text


@pytest.mark.parametrize(
    ("raw", "encoding", "plain"),
    [(b"main.edb", 0, True), (b"m\xe4in.edb", 0, False), (b"m\xe4in.edb", 1252, False), (b"m<E4>in.edb", 65001, False)],
)
def test_a_name_is_plain_where_all_of_it_is_ascii_and_none_escaped(raw: bytes, encoding: int, *, plain: bool) -> None:
    assert names.is_plain(names.display(raw, encoding)) is plain


@pytest.mark.parametrize("encoding", [0, 1, 65000, 1361, 99999])
def test_an_unknown_code_page_decodes_to_nothing(encoding: int) -> None:
    assert names.decode(b"EDB.LOG", encoding) is None


@pytest.mark.parametrize(
    ("raw", "encoding"),
    [
        (b"\x00\xd8A\x00", 1200),
        (b"A\x00B", 1200),
        (b"\xff", 65001),
        (b"\xed\xa0\x80", 65001),
        (b"\x81", 1252),
        (b"\x83", 932),
    ],
)
def test_bytes_that_are_not_valid_decode_to_nothing(raw: bytes, encoding: int) -> None:
    assert names.decode(raw, encoding) is None


@pytest.mark.parametrize("encoding", sorted(set(names.CODE_PAGES) - {1200, 1201}))
def test_every_code_page_keeps_ascii_where_it_is(encoding: int) -> None:
    assert names.decode(bytes(range(0x20, 0x7F)), encoding) == bytes(range(0x20, 0x7F)).decode()


def test_text_found_on_disk_is_stored_as_utf_8() -> None:
    assert names.encode("sub/Ä.edb") == ("sub/Ä.edb".encode(), names.UTF_8)


@pytest.mark.skipif(os.name == "nt", reason="Windows names are text")
def test_a_name_that_is_no_text_is_stored_as_its_bytes() -> None:
    assert names.encode(os.fsdecode(b"bad\xff.edb")) == (b"bad\xff.edb", names.UNKNOWN)


def test_a_name_with_a_lone_surrogate_stays_utf_16() -> None:
    raw, encoding = names.encode("a\ud800")
    assert (raw, encoding) == (b"a\x00\x00\xd8", names.UTF_16)
    assert names.decode(raw, encoding) is None


@pytest.mark.parametrize(
    ("raw", "encoding", "shown"),
    [
        (utf16(r"\\SERVER1\D$\L\EDB00001.LOG"), 1200, r"\\SERVER1\D$\L\EDB00001.LOG"),
        ("Ä ü.edb".encode(), 65001, "Ä ü.edb"),
        (b"PRIV\x83.EDB", 0, "PRIV<83>.EDB"),
        (b"a<83>", 0, "a<3C>83>"),
        (b"a<83>", 65001, "a<U+003C>83>"),
        (b"\x1b[31mred", 65001, "<U+001B>[31mred"),
        (b"\x1b[31mred", 0, "<1B>[31mred"),
        ("bde.\u202egol".encode(), 65001, "bde.<U+202E>gol"),
        ("a\u200bb\ufeff\u2028\u00a0".encode(), 65001, "a<U+200B>b<U+FEFF><U+2028><U+00A0>"),
        (b"A\x00\x00\xd8\x42", 1200, "A<U+D800><42>"),
        (b"\x83", 932, "<83>"),
        ("\u0082\n\x7f".encode(), 65001, "<U+0082><U+000A><U+007F>"),
    ],
)
def test_a_name_is_shown_so_that_it_is_safe_to_print(raw: bytes, encoding: int, shown: str) -> None:
    assert names.display(raw, encoding) == shown


@examples(200)
@given(st.binary(), ENCODINGS)
def test_whatever_is_stored_can_be_shown(raw: bytes, encoding: int) -> None:
    assert names.display(raw, encoding).isprintable()


@examples(200)
@given(TEXT, TEXT)
def test_two_different_texts_are_shown_differently(one: str, other: str) -> None:
    assert (names.printable(one) == names.printable(other)) == (one == other)


@pytest.mark.parametrize(
    ("text", "leaf"),
    [
        (r"\\SERVER1\D$\exchsrvr\mdbdata\PRIV.EDB", "PRIV.EDB"),
        ("sub/folder/edb.log", "edb.log"),
        (r"a/b\c", "c"),
        (r"a\b/c", "c"),
        (r"..\..\Windows\x.edb", "x.edb"),
        ("/etc/passwd", "passwd"),
        ("edb.log", "edb.log"),
        ("CVI Issuing CA 1.edb", "CVI Issuing CA 1.edb"),
        ("..edb", "..edb"),
        (".edb", ".edb"),
        ("CONSOLE.edb", "CONSOLE.edb"),
        ("COM10.log", "COM10.log"),
        ("LPT.edb", "LPT.edb"),
        ("COM0", "COM0"),
        ("aCON", "aCON"),
        ("日本.edb", "日本.edb"),
        ("x" * 255, "x" * 255),
    ],
)
def test_the_leaf_is_what_follows_the_last_separator(text: str, leaf: str) -> None:
    assert names.leaf(text.encode(), names.UTF_8) == leaf
    assert names.leaf(utf16(text), names.UTF_16) == leaf


def test_a_backslash_byte_inside_a_character_is_no_separator() -> None:
    assert names.leaf(rb"\\S1\D$" + b"\\\x83\x5c\x95\x5c.edb", 932) == "ソ表.edb"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no file name is left"),
        ("folder/", "no file name is left"),
        ("folder\\", "no file name is left"),
        (".", "names a directory"),
        ("a/..", "names a directory"),
        ("a\\..", "names a directory"),
        ("a.", "ends in a dot"),
        ("a ", "ends in a space"),
        ("C:", "the character :"),
        ("a.edb:stream", "the character :"),
        ("a*b", r"the character \*"),
        ("a?b", r"the character \?"),
        ('a"b', 'the character "'),
        ("a<b", "the character <"),
        ("a>b", "the character >"),
        ("a|b", r"the character \|"),
        ("a\0b", "control character"),
        ("a\nb", "control character"),
        ("a\x7fb", "control character"),
        ("a\x9bb", "control character"),
        ("NUL", "device"),
        ("nul.edb", "device"),
        ("NUL .edb", "device"),
        ("nul.tar.gz", "device"),
        ("Con", "device"),
        ("aux.log", "device"),
        ("prn.x", "device"),
        ("com1", "device"),
        ("COM¹", "device"),
        ("com².log", "device"),
        ("LPT³ .edb", "device"),
        ("lpt9.edb", "device"),
        ("CONIN$", "device"),
        ("conout$.log", "device"),
        ("x" * 256, "more than 255 characters"),
        ("\U0001f600" * 128, "more than 255 characters"),
    ],
)
def test_an_unsafe_leaf_is_refused_with_its_reason(text: str, reason: str) -> None:
    for raw, encoding in ((text.encode(), names.UTF_8), (utf16(text), names.UTF_16)):
        with pytest.raises(UnsafeNameError, match=reason):
            names.leaf(raw, encoding)


@pytest.mark.parametrize(
    ("raw", "encoding"), [(b"EDB.LOG", 0), (b"A\x00\x00\xdc", 1200), (b"\xff.edb", 65001), (b"a", 7)]
)
def test_a_name_that_cannot_be_decoded_has_no_leaf(raw: bytes, encoding: int) -> None:
    with pytest.raises(UnsafeNameError, match="cannot be decoded"):
        names.leaf(raw, encoding)


def test_the_refusal_is_itself_safe_to_print() -> None:
    with pytest.raises(UnsafeNameError) as caught:
        names.leaf("\u202eab\x1b".encode(), names.UTF_8)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("part", ["a/b", "a\\b"])
def test_text_with_a_separator_is_no_leaf(part: str) -> None:
    assert names.leaf_fault(part) == "has a separator in its file name"


@examples(500)
@given(st.one_of(st.binary(), st.text().map(lambda t: t.encode("utf-8", "replace"))), ENCODINGS)
def test_whatever_leaf_returns_is_one_safe_component(raw: bytes, encoding: int) -> None:
    try:
        part = names.leaf(raw, encoding)
    except UnsafeNameError:
        return
    assert part
    assert not set(part) & set('/\\<>:"|?*')
    assert part[-1] not in ". "
    assert not any(unicodedata.category(c) in {"Cc", "Cs"} for c in part)
    assert len(part.encode("utf-16-le")) <= 510
    assert os.path.basename(part) == part  # noqa: PTH119 - a string is what is tested
    assert names.leaf_fault(part) is None


@pytest.mark.parametrize(
    ("one", "other"),
    [("EDB.LOG", "edb.log"), ("Ä.edb", "ä.edb"), ("A\u0308.edb", "ä.edb"), ("Straße", "STRASSE"), ("\u212b", "å")],
)
def test_leaves_that_may_be_one_file_share_a_key(one: str, other: str) -> None:
    assert names.collision_key(one) == names.collision_key(other)


@pytest.mark.parametrize(("one", "other"), [("edb00001.log", "edb00002.log"), ("a.edb", "ä.edb"), ("\u0131", "i")])
def test_leaves_that_are_two_files_have_two_keys(one: str, other: str) -> None:
    assert names.collision_key(one) != names.collision_key(other)


@examples(200)
@given(TEXT)
def test_the_key_of_a_key_is_the_key_in_every_spelling(text: str) -> None:
    key = names.collision_key(text)
    assert names.collision_key(key) == key
    assert names.collision_key(unicodedata.normalize("NFD", text)) == key


@pytest.mark.parametrize(
    ("text", "part"), [(r"a\b/c", "c"), (r"a/b\c", "c"), ("c", "c"), ("a/", ""), ("", ""), (r"\\h\s\x.log", "x.log")]
)
def test_a_leaf_is_what_follows_the_last_separator_of_either_kind(text: str, part: str) -> None:
    assert names.leaf_of(text) == part


@pytest.mark.parametrize("name", ["ca.p12", "CA.PFX", "x.y.P12"])
def test_private_keys_are_told_by_their_names(name: str) -> None:
    assert names.is_key(name)
    assert not names.is_key(name + ".txt")


@pytest.mark.parametrize(
    ("text", "folders"), [("a", ()), ("x/y/a", ("x", "y")), ("x\\y/a", ("x", "y")), ("./a", None), ("../a", None)]
)
def test_the_folders_of_a_name_lead_nowhere_else(text: str, folders: tuple[str, ...] | None) -> None:
    if folders is not None:
        assert names.folders_of(text.encode(), names.UTF_8) == folders
        return
    with pytest.raises(UnsafeNameError, match="is no path below a folder"):
        names.folders_of(text.encode(), names.UTF_8)


@pytest.mark.parametrize("text", ["/etc/a", "\\\\CA1\\C$\\a", "C:\\x\\a", "x//a", "CON/a", "x /a"])
def test_a_name_from_a_root_or_with_an_unsafe_folder_is_no_path_below_a_folder(text: str) -> None:
    with pytest.raises(UnsafeNameError):
        names.folders_of(text.encode(), names.UTF_8)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (r"C:\db\a.tokar", r"C:\db\a.tokar"),
        (r"C:\Program Files\python.exe", r'"C:\Program Files\python.exe"'),
        ("cryptography>=42", '"cryptography>=42"'),
        (r"R&D\a.tokar", r'"R&D\a.tokar"'),
    ],
)
def test_on_windows_a_path_is_quoted_as_its_shells_read_it(
    path: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        said = names.typed(path)
    assert said == shown


def digest(number: int) -> bytes:
    return number.to_bytes(names.SeenDigests.SIZE, "big")


@pytest.mark.parametrize("many", [1, 3, 1000])
def test_of_many_digests_it_is_known_which_came_before(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names.SeenDigests, "_MANY", many)
    seen = names.SeenDigests()
    assert [seen.add(digest(number * 257)) for number in range(300)] == [True] * 300
    assert [seen.add(digest(number * 257)) for number in range(300)] == [False] * 300
    assert seen.add(digest(1))


def test_a_digest_that_lies_across_two_others_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names.SeenDigests, "_MANY", 1)
    seen = names.SeenDigests()
    first, second = b"ab1234567890abc", b"abdefghijklmnop"
    assert seen.add(first)
    assert seen.add(second)
    assert seen.add(b"ab" + (first[2:] + second[2:])[5:18])
    assert not seen.add(second)


def test_names_that_came_twice_are_told_by_their_hashes() -> None:
    seen = names.NameHashes()
    for name in [*map(str, range(500)), "7", "9", "9"]:
        seen.add(name)
    assert seen.alike() == {hash("7"), hash("9")}
    assert "499" in seen
    assert "500" not in seen
    seen.add("500")
    assert "500" in seen


def test_the_names_of_a_folder_with_few_files_take_little_room() -> None:
    tracemalloc.start()
    try:
        kept = [names.NameHashes([f"{at}.edb"]) for at in range(1000)]
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert all("x" not in one for one in kept)
    assert held / len(kept) < 1000


def test_what_an_earlier_restore_put_aside_is_known() -> None:
    assert names.is_aside("edb.log.tokar-aside-20240131T235958Z-12")
    assert not names.is_aside("edb.log.tokar-aside-")
    assert not names.is_aside("x.tokar-aside-20240131T235958Z-1.log")
