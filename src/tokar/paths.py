r"""Paths of another machine, and the maps that bring them here.

A location list says where the files were, in the words of the server: `\\CA1\C$\Windows\System32\CertLog`. Such a path
means something on that machine alone. It is used here only if a `--map PREFIX=DIR` says what it stands for
(spec/tokens.md, LOC-11 to LOC-16), or if it names this very machine. Nothing is ever guessed.

Windows paths are compared component by component, without regard to case, and with `X$` the same as the drive `X:`.
"""

from __future__ import annotations

import ntpath
import os
import posixpath
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field

from tokar import names
from tokar.errors import InputError, RestoreError

_DRIVE = re.compile(r"([A-Za-z]):(?=[\\/]|\Z)")
_ADMINISTRATIVE_SHARE = re.compile(r"([A-Za-z])\$")
_SEPARATORS = re.compile(r"[\\/]+")
_WHOLE_PATH = "say where it goes, from the root on: --to TOKEN=PATH, or --to NAME=PATH"


@dataclass(frozen=True, slots=True)
class ForeignPath:
    """A path taken apart."""

    host: str  # The machine that a UNC path names; empty for a drive path; `/` for a POSIX path
    parts: tuple[str, ...]  # The components as they were written, the share or drive first
    key: tuple[str, ...]  # What is compared: host and components, folded


def take_apart(text: str) -> ForeignPath | None:
    r"""Return the parts of an absolute path: UNC, with a drive, or POSIX. None for a relative one.

    `\\?\UNC\host\share` and `\\?\D:\` are the long spellings of the same; `//host/share` is POSIX here.
    """
    if text.startswith("\\\\?\\"):
        rest = text[4:]
        text = "\\\\" + rest[4:] if rest[:4].upper() == "UNC\\" else rest
    if text.startswith("\\\\"):
        parts = tuple(part for part in _SEPARATORS.split(text) if part)
        if not parts:
            return None
        share = tuple(_ADMINISTRATIVE_SHARE.sub(r"\1:", part) for part in parts[1:2])
        return ForeignPath(parts[0], parts[1:], _folded((parts[0], *share, *parts[2:])))
    if _DRIVE.match(text):
        parts = tuple(part for part in _SEPARATORS.split(text) if part)
        return ForeignPath("", parts, _folded(("", *parts)))
    if text.startswith("/"):
        parts = tuple(part for part in text.split("/") if part)
        return ForeignPath("/", parts, ("/", *parts))
    return None


def _folded(parts: Iterable[str]) -> tuple[str, ...]:
    return tuple(names.collision_key(part) for part in parts)


def same_place(text: str) -> tuple[str, ...]:
    """Return what two spellings of one path have in common, for comparing."""
    found = take_apart(text)
    return found.key if found else (text,)


def place_on_server(text: str) -> tuple[str, ...]:
    """Return what two spellings of a path on a server have in common, whichever host a share names."""
    return same_place(text)[1:]


def joined(directory: str, name: str) -> str:
    """Return the path of a name in a directory of a plan, in the manner of the machine that the plan is for."""
    return posixpath.join(directory, name) if directory.startswith("/") else ntpath.join(directory, name)


def last_component(text: str) -> str:
    """Return the part after the last separator, without a trailing separator."""
    return _SEPARATORS.split(text.rstrip("\\/"))[-1]


@dataclass(frozen=True, slots=True)
class PathMap:
    """What a path of another machine stands for here."""

    prefix: str  # A UNC path, a path with a drive (then of any machine), or a POSIX path
    directory: str  # A directory of this machine
    _apart: ForeignPath = field(init=False, repr=False, compare=False)  # The prefix, taken apart once

    def __post_init__(self) -> None:
        if (apart := take_apart(self.prefix)) is not None:
            object.__setattr__(self, "_apart", apart)
        else:
            raise InputError(f"the prefix {names.printable(self.prefix)!r} of a map is no absolute path")

    def apply(self, path: ForeignPath) -> tuple[tuple[int, bool], tuple[str, ...]] | None:
        """Return how well the prefix fits, and the components that are left; None where it does not fit.

        More components fit better, and of as many a host that is written in the same way.
        """
        prefix = self._apart
        wanted, actual = prefix.key, path.key
        if not prefix.host and path.host != "/":  # a drive, of whatever machine
            wanted, actual = wanted[1:], actual[1:]
        elif _is_same_host(wanted[0], actual[0]):
            actual = (wanted[0], *actual[1:])
        if actual[: len(wanted)] != wanted:
            return None
        left = len(actual) - len(wanted)
        return (len(wanted), actual is path.key), path.parts[len(path.parts) - left :]


def _is_same_host(one: str, other: str) -> bool:
    """Return whether one is the first label of the other: the NetBIOS name of a machine, and its full name."""
    short, full = sorted((one, other), key=len)
    return "." not in short and full.startswith(f"{short}.") and not full.replace(".", "").isdigit()


def parse_map(text: str, base: str) -> PathMap:
    """Return the map that `PREFIX=DIR` stands for; a relative DIR is taken from `base`.

    Raises:
        InputError: It has no `=`, an empty side, or a prefix that is no absolute path.
    """
    prefix, equals, directory = text.partition("=")
    if not (prefix and equals and directory):
        raise InputError(f"{text!r} is no map", hint=r"write PREFIX=DIR, such as '\\SERVER\D$=/srv/restore'")
    return PathMap(prefix, native(directory, base))


def native(text: str, base: str, *, windows: bool = os.name == "nt") -> str:
    """Return a path of this machine as an absolute one; a UNC or drive path stays as it is on other systems.

    Without a `base` it is of another machine, and stays as it is.
    """
    if not base:
        return text
    if not windows and text[:1] != "/" and (found := take_apart(text)) is not None and found.host != "/":
        return text
    if windows:
        return ntpath.normpath(ntpath.join(base, text))
    return posixpath.normpath(_without_parents(posixpath.join(base, text)))


def _without_parents(path: str) -> str:
    """Return a POSIX path without `..`: after a link it leads to where the system goes, above what the link names."""
    while ".." in (parts := path.split("/")):
        at = parts.index("..")
        above = os.path.realpath("/".join(parts[:at]) or "/")
        path = "/".join((posixpath.dirname(above).rstrip("/"), *parts[at + 1 :])) or "/"
    return path


def own_hosts() -> frozenset[str]:
    """Return the names of this machine that a UNC path may use; none except on Windows."""
    if os.name != "nt":
        return frozenset()
    import platform  # noqa: PLC0415 - start-up time
    import socket  # noqa: PLC0415

    return frozenset({platform.node(), socket.gethostname(), socket.getfqdn(), "localhost"})


@dataclass(frozen=True, slots=True)
class PathResolver:
    """Turns paths of location lists into paths of this machine."""

    maps: tuple[PathMap, ...] = ()  # What the user said; the longest prefix that matches wins
    windows: bool = os.name == "nt"  # Whether this machine has drives
    hosts: frozenset[str] = frozenset()  # The names of this machine

    def resolve(self, text: str, *, by_hand: bool = False) -> str:
        """Return the path of this machine that a path of a location stands for.

        Args:
            text: The path as it was given.
            by_hand: Whether the user wrote it for this machine. Then a UNC path is good on Windows whatever host it
                names.

        Raises:
            RestoreError: It names another machine and no map says what it stands for, two maps contradict each other,
                it is relative, or a component of it is not safe.
        """
        shown = names.printable(text)
        path = take_apart(text)
        if path is None:
            raise RestoreError(f"the location {shown} is not an absolute path", hint=_WHOLE_PATH)
        mapped = self._mapped(path, shown)
        if mapped is not None:
            return mapped
        if path.host == "/" and not self.windows:
            _check(path.parts, path, shown)
            return "/" + "/".join(path.parts)
        if self.windows and path.host != "/":
            local = not path.host or path.host.casefold() in {host.casefold() for host in self.hosts}
            if local or by_hand:
                _check(path.parts if path.host else path.parts[1:], path, shown)  # a drive has a colon
                return self._on_windows(path, local=local)
        raise RestoreError(f"the location {shown} names another machine", hint=self._map_line(path))

    def _map_line(self, path: ForeignPath) -> str:
        """Return the option that brings a path here, ready to be typed but for the directory."""
        root = path.parts[0] if path.parts else ""
        prefix = f"/{root}" if path.host == "/" else f"\\\\{path.host}\\{root}" if path.host else root
        text = names.printable(f"{prefix}=DIR")
        return f'--map "{text}"' if self.windows else f"--map {shlex.quote(text)}"

    @staticmethod
    def _on_windows(path: ForeignPath, *, local: bool) -> str:
        """Return a Windows path in its shortest form."""
        drive = path.key[1] if len(path.key) > 1 else ""
        if local and drive.endswith(":"):
            return ntpath.join(drive.upper() + "\\", *path.parts[1:])
        return "\\\\" + "\\".join((path.host, *path.parts))

    def _mapped(self, path: ForeignPath, shown: str) -> str | None:
        """Return where the map with the longest prefix puts a path, or None where none matches."""
        found = [(hit, path_map.directory) for path_map in self.maps if (hit := path_map.apply(path))]
        if not found:
            return None
        longest = max(taken for (taken, _), _ in found)
        best = {(directory, rest) for (taken, rest), directory in found if taken == longest}
        if len(best) > 1:
            listed = " and ".join(sorted(directory for directory, _ in best))
            raise RestoreError(f"two maps fit the location {shown}: to {listed}", hint="keep one of them")
        ((directory, rest),) = best
        _check(rest, path, shown)
        return ntpath.join(directory, *rest) if self.windows else posixpath.join(directory, *rest)


def _check(parts: tuple[str, ...], path: ForeignPath, shown: str) -> None:
    """Refuse components that lead elsewhere or that no Windows path has: the text comes from another machine."""
    for part in parts:
        unsafe = part in {".", ".."} or "\0" in part
        if unsafe or (path.host != "/" and names.leaf_fault(part)):
            message = f"the location {shown} is not safe: it has the component {names.printable(part)}"
            raise RestoreError(message, hint=_WHOLE_PATH)
