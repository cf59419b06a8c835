r"""Names of stored files: decoded strictly, shown safely, and cut down to a leaf that is safe to create.

A stored name is what the backup procedure delivered: most often a UNC path that was true on another machine. It is kept
byte for byte with the code page it is written in, and it is never a path on the target. Only its **leaf**, the part
after the last `\` or `/`, names a file on the target, and only if it is a good name on every platform (spec/tokens.md,
NAM-1 to NAM-12).

The leaf is taken *after* decoding: in code page 932 the byte 0x5C, a backslash in ASCII, is also the second byte of
common characters, so cutting bytes would cut characters in half.
"""

from __future__ import annotations

import codecs
import os
import re
import shlex
import unicodedata
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from tokar.errors import UnsafeNameError

UNKNOWN: Final = 0
UTF_16: Final = 1200
UTF_8: Final = 65001

# The longest leaf: 255 UTF-16 units, the limit of NTFS. Many other file systems count bytes; the plan checks that
# limit.
MAX_LEAF_UNITS: Final = 255

# Windows code page -> codec of the standard library. Left out are those that do not keep ASCII where it is (UTF-7,
# EBCDIC, Johab, 864): a separator could hide in them. A number that is not here is stored and listed like 0, unknown.
CODE_PAGES: Final[Mapping[int, str]] = MappingProxyType(
    {
        UTF_16: "utf-16-le",
        1201: "utf-16-be",
        UTF_8: "utf-8",
        **dict.fromkeys((936,), "gbk"),
        **{page: f"cp{page}" for page in (437, 720, 737, 775, 850, 852, 855, 857, 858)},
        **{page: f"cp{page}" for page in (860, 861, 862, 863, 865, 866, 869, 874, 932, 949, 950)},
        **{page: f"cp{page}" for page in range(1250, 1259)},
        20127: "ascii",
        20866: "koi8-r",
        21866: "koi8-u",
        **{28590 + part: f"iso8859-{part}" for part in (*range(1, 10), 13, 15)},
        54936: "gb18030",
    }
)

# spec/tokens.md NAM-6 and NAM-7: control characters (C0, delete, C1), and what Windows does not allow in a file name.
_NOT_ALLOWED = re.compile(r'[\x00-\x1f\x7f-\x9f<>:"|?*]|[. ]\Z')
# spec/tokens.md NAM-8: devices, with any extension and with blanks before it, and with superscript digits.
_DEVICE = re.compile(r"(?:CON|PRN|AUX|NUL|CONIN\$|CONOUT\$|(?:COM|LPT)[1-9¹²³]) *(?:\.|\Z)", re.IGNORECASE)
# NAME.tokar-aside-20240131T235959Z-1: what an earlier restore put aside is out of the way for good.
ASIDE_MARK: Final = ".tokar-aside-"
_ASIDE = re.compile(re.escape(ASIDE_MARK) + r"\d{8}T\d{6}Z-\d+\Z")
STAGING_PREFIX: Final = ".tokar-restore-"
"""What the names begin with of all that a restore has in a target directory until its end."""
_UNFINISHED = re.compile(rf"(?:\A|/){re.escape(STAGING_PREFIX)}(?:lock|[0-9a-f]+(?:-\d+/|\.(?:journal-\d+|draft)\Z))")
TEMPORARY_FILE: Final = re.compile(r"\.(.*)\.[0-9a-f]{8}(?:\.old)?\.part", re.DOTALL)
"""The name of a file as long as it is written: it gets its own when it is whole."""
_KEY_SUFFIXES: Final = {".p12", ".pfx"}
CHECKPOINT_SIZE: Final = 8192
"""Bytes of a checkpoint, whatever its name is."""
_BESIDE_A_SET: Final = (".chk", ".jfm", "tmp.edb", "temp.edb")
SET_ASIDE: Final = "an earlier restore set it aside"
UNFINISHED: Final = "of a restore that did not end: the same command goes on with it, tokar clean removes it"
UNWRITTEN: Final = "it was being written when a run ended: tokar clean removes it"
_ESCAPE_IN_BYTES = re.compile(rb"[^ -~]|<")


class NameHashes:
    """Names of which it is only asked whether two are alike: eight bytes for each, for there may be millions.

    Two equal hashes are only a suspicion; whoever has the names looks again.
    """

    _PARTS: Final = 64  # a power of two

    def __init__(self, seen: Iterable[str | bytes] = ()) -> None:
        # As many as are needed: there may be as many of these as there are folders.
        self._parts: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
        self._sorted: dict[int, int] = {}  # How many of each are in order
        for name in seen:
            self.add(name)

    def add(self, name: str | bytes) -> int:
        """Add a name; return its hash."""
        value = hash(name)
        self._parts[value & (self._PARTS - 1)].append(value)
        return value

    def __contains__(self, name: str | bytes) -> bool:
        value = hash(name)
        number = value & (self._PARTS - 1)
        part = self._parts.get(number)
        if part is None:
            return False
        if self._sorted.get(number, 0) < len(part):
            part = self._parts[number] = array("q", sorted(part))
            self._sorted[number] = len(part)
        place = bisect_left(part, value)
        return place < len(part) and part[place] == value

    def alike(self) -> set[int]:
        """Return the hashes that came more than once."""
        result: set[int] = set()
        for part in self._parts.values():
            if len(once := set(part)) < len(part):
                for value in part:
                    if value in once:
                        once.remove(value)
                    else:
                        result.add(value)
        return result


class SeenDigests:
    """Digests of names, of which it is only asked whether they came before: as many bytes for each as it has.

    They are kept one after the other, in parts that are short enough to be searched.
    """

    SIZE: Final = 15  # Bytes of each: two meet by chance once in 2^72 sets of 2^24
    _MANY: Final = 1 << 14  # From so many on there are more parts

    def __init__(self) -> None:
        self._parts = [bytearray() for _ in range(1 << 8)]
        self._width = 1  # How many of the bytes say in which part a digest is
        self._count = 0

    def add(self, digest: bytes) -> bool:
        """Add a digest; return whether it is new."""
        part, rest = self._parts[int.from_bytes(digest[: self._width])], digest[self._width :]
        at = part.find(rest)
        while at > 0 and at % len(rest):
            at = part.find(rest, at + 1)
        if at >= 0:
            return False
        part += rest
        self._count += 1
        if self._count == self._MANY:
            self._split()
        return True

    def add_all(self, digests: bytes) -> int:
        """Add digests that follow each other; return how many are new before the first that is not."""
        size = self.SIZE
        for at in range(0, len(digests), size):
            if not self.add(digests[at : at + size]):
                return at // size
        return len(digests) // size

    def _split(self) -> None:
        """Make 256 parts of each."""
        short, size = [bytearray() for _ in range(1 << 16)], self.SIZE - self._width
        for first, part in enumerate(self._parts):
            for at in range(0, len(part), size):
                short[first << 8 | part[at]] += part[at + 1 : at + size]
        self._parts, self._width = short, 2


@lru_cache(maxsize=256)
def _decoder(encoding: int) -> Callable[..., tuple[str, int]] | None:
    """Return the decoding function of a code page, or None where the page is unknown."""
    name = CODE_PAGES.get(encoding)
    return codecs.lookup(name).decode if name else None


def decode(raw: bytes, encoding: int) -> str | None:
    """Return a stored name as text, or None where it cannot be told exactly.

    Args:
        raw: The name as delivered.
        encoding: Its Windows code page; 0 is unknown.

    Returns:
        The text; None for an unknown code page, for bytes that are not valid in it, and for a lone surrogate.
    """
    try:
        if encoding == UTF_16:  # by far the most; without the wrapper that a codec is
            return codecs.utf_16_le_decode(raw, "strict", True)[0]
        if encoding == UTF_8:
            return raw.decode()
        decoder = _decoder(encoding)
        return decoder(raw, "strict")[0] if decoder is not None else None
    except UnicodeError:
        return None


def encode(text: str) -> tuple[bytes, int]:
    """Return the stored form of the name of a file found on disk.

    Args:
        text: The name as Python gives it.

    Returns:
        The bytes and their code page: UTF-8 where the name is text. A POSIX name with bytes that are no text (which
        Python gives as surrogate escapes) becomes those bytes, of unknown code page; a Windows name with a lone
        surrogate stays UTF-16. Neither decodes again, which is the truth: such a name survives only byte for byte.
    """
    try:
        return text.encode(), UTF_8
    except UnicodeEncodeError:
        pass
    if os.name != "nt":
        try:
            return text.encode("utf-8", "surrogateescape"), UNKNOWN
        except UnicodeEncodeError:
            pass
    return text.encode("utf-16-le", "surrogatepass"), UTF_16


def display(raw: bytes, encoding: int) -> str:
    """Return a stored name as text that is safe to print; never raises.

    Characters that are not printable (controls, bidirectional and other format characters, odd spaces, lone surrogates)
    are shown as `<U+202E>`, bytes that cannot be decoded as `<83>`. A `<` of the name itself is shown as `<U+003C>` (or
    `<3C>`), so nothing in a name can pose as an escape. Windows allows no `<` in names, so real names stay as they are.
    """
    text = decode(raw, encoding)
    if text is None and encoding == UTF_16:
        even = len(raw) & ~1
        tail = "".join(f"<{byte:02X}>" for byte in raw[even:])
        return printable(raw[:even].decode("utf-16-le", "surrogatepass")) + tail
    if text is None:
        return _ESCAPE_IN_BYTES.sub(lambda match: b"<%02X>" % match[0][0], raw).decode("ascii")
    return printable(text)


def printable(text: str) -> str:
    """Return text with everything that is not safe to print escaped as `<U+202E>`, and `<` as `<U+003C>`."""
    if text.isprintable() and "<" not in text:
        return text
    return "".join(c if c.isprintable() and c != "<" else f"<U+{ord(c):04X}>" for c in text)


def safe(text: str) -> str:
    """Return text that has printable names in it with everything else that is not safe to print escaped too.

    What `printable` has escaped stays as it is: `<FF>` is what the name is called everywhere.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else f"<U+{ord(one):04X}>" for one in text)


_PARTED: Final = frozenset(" &()<>|^;,='`$@{}[]")  # what a shell of Windows takes for more than a letter


def typed(path: str) -> str:
    """Return a path of this machine as it is typed in a command: quoted for the shell where it has to be."""
    if path.startswith("-"):
        path = os.path.join(os.curdir, path)  # noqa: PTH118 - text
    if os.name == "nt":
        return f'"{path}"' if _PARTED.intersection(path) else path
    if path.isprintable():
        return shlex.quote(path)
    plain = (chr(one) if 0x20 <= one < 0x7F and one not in b"'\\" else f"\\x{one:02x}" for one in os.fsencode(path))
    return f"$'{''.join(plain)}'"


def leaf(raw: bytes, encoding: int) -> str:
    r"""Return the file name that a stored name may have on the target.

    Args:
        raw: The name as delivered.
        encoding: Its Windows code page.

    Returns:
        The part after the last `\` or `/`, which is a good file name on every platform.

    Raises:
        UnsafeNameError: The name cannot be decoded, or its leaf breaks a rule of spec/tokens.md (NAM-4 to NAM-9).
    """
    text = decode(raw, encoding)
    if text is None:
        raise UnsafeNameError(f"the name {display(raw, encoding)} cannot be decoded (code page {encoding})")
    part = leaf_of(text)
    # Few names begin like a device, so the expression for them is tried on few.
    if part and not _NOT_ALLOWED.search(part) and len(part) <= MAX_LEAF_UNITS // 2 and part[0] not in "CPANLcpanl":
        return part
    fault = leaf_fault(part)
    if fault:
        raise UnsafeNameError(f"the name {printable(text)} {fault}")
    return part


def is_key(name: str) -> bool:
    """Return whether a file is a private key by its name: content cannot tell, since it is encrypted."""
    return name[-4:].lower() in _KEY_SUFFIXES


def is_aside(name: str) -> bool:
    """Return whether an earlier restore gave this name to a file that it put aside."""
    return ASIDE_MARK in name and _ASIDE.search(name) is not None


def why_apart(name: str) -> str:
    """Return why a file is no part of a set that this program itself put there, by its name; empty of all others."""
    if is_aside(name):
        return SET_ASIDE
    if STAGING_PREFIX in name and _UNFINISHED.search(name):
        return UNFINISHED
    return UNWRITTEN if name.endswith(".part") and TEMPORARY_FILE.fullmatch(leaf_of(name)) else ""


def is_beside_a_set(name: str, size: int) -> bool:
    """Return whether a file may be one that lies beside databases and logs, by its name and size alone."""
    return size == CHECKPOINT_SIZE or name.lower().endswith(_BESIDE_A_SET) or bool(why_apart(name))


def without_aside(name: str) -> str:
    """Return a name as it was before an earlier restore put the file aside, or as it was to be when it is whole."""
    name = _ASIDE.sub("", name) if ASIDE_MARK in name else name
    unwritten = TEMPORARY_FILE.fullmatch(name) if name.endswith(".part") else None
    return unwritten[1] if unwritten else name


LINK: Final = "a link or a special file"
"""Why what is neither a file nor a folder is not taken."""


def is_plain(shown: str) -> bool:
    """Return whether a name, as `display` gives it, is nothing but ASCII."""
    return shown.isascii() and "<" not in shown


def leaf_of(text: str) -> str:
    r"""Return the part of a name or path after its last `\` or `/`, whether or not it is a good file name."""
    part = text.rpartition("\\")[2]
    return part.rpartition("/")[2] if "/" in part else part


def folder_in(text: str) -> str:
    """Return the part of a name before its leaf; empty where there is none."""
    return text[: len(text) - len(leaf_of(text))].rstrip("/\\")


def folders_of(raw: bytes, encoding: int) -> tuple[str, ...]:
    """Return the folders that a stored name leads through: of a file that was collected, below what was named.

    Raises:
        UnsafeNameError: It cannot be decoded, it begins at a root, or a folder of it is not safe.
    """
    text = decode(raw, encoding)
    parts = () if text is None else tuple(text.replace("\\", "/").split("/")[:-1])
    if text is None or any(map(leaf_fault, parts)):
        raise UnsafeNameError(f"the name {display(raw, encoding)} is no path below a folder")
    return parts


def leaf_fault(part: str) -> str | None:
    """Return what is wrong with text as a leaf, as the end of a sentence, or None where nothing is."""
    found = _NOT_ALLOWED.search(part)
    fault = None
    if not part:
        fault = "ends in a separator, so no file name is left"
    elif part in {".", ".."}:
        fault = "names a directory, not a file"
    elif "/" in part or "\\" in part:
        fault = "has a separator in its file name"
    elif found:
        fault = _fault_of_character(found[0])
    elif len(part.encode("utf-16-le", "surrogatepass")) // 2 > MAX_LEAF_UNITS:
        fault = f"has a file name of more than {MAX_LEAF_UNITS} characters"
    elif _DEVICE.match(part):
        fault = "has a file name that is a device on Windows"
    return fault


def _fault_of_character(character: str) -> str:
    """Return what is wrong with a file name that has this character, or ends in it."""
    if character == ".":
        return "has a file name that ends in a dot"
    if character == " ":
        return "has a file name that ends in a space"
    if character < " " or character >= "\x7f":
        return "has a control character in its file name"
    return f"has the character {character} in its file name"


def collision_key(part: str) -> str:
    """Return what two leaves share if they may be one file on some file system.

    Names that differ only in case are one file on Windows and macOS, names that differ only in how an accent is
    composed are one on macOS. The key is the canonical caseless form of the Unicode Standard (section 3.13, D145),
    composed.
    """
    if part.isascii():
        return part.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", part).casefold())
