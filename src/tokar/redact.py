r"""The one rule by which traces, reports and transcripts are made fit to be sent to somebody else.

* Hosts, users, domains, authorities, addresses and the names of databases become `host-1`, `user-1` and so on, the same
  one everywhere: what belongs together still shows. They are told by where they stand (`\\HOST\share`, `ca://HOST`,
  `user@domain`, below a folder of homes, under a key such as `server`), and then replaced wherever they stand.
* Secrets are left out: what stands under a key such as `password`, or behind `password=`.
* In bytes, also those of a trace, a name is overwritten by as many `x`: lengths and offsets of a trace stay true.
* All else stays: tokens, codes, sizes, times, names of logs, digests.

What it cannot tell is a name in running text that stands nowhere else; those are given.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address
from typing import Any, Final

_IDENTITY: Final = re.compile(r"AGE-SECRET-KEY-[0-9A-Z]+", re.IGNORECASE)
LEFT_OUT: Final = "(left out)"
_SHORTEST: Final = 12  # characters of base64 that are looked into
_SECRET: Final = re.compile(
    r"password|passphrase|secret|credential|expiry_token|private_key|session_key", re.IGNORECASE
)
_SPOKEN: Final = re.compile(rf"\b({_SECRET.pattern})(\"?\s*[=:]\s*)(\"[^\"]*\"|'[^']*'|\S+)", re.IGNORECASE)
_SPEAKING_KEYS: Final = {
    **dict.fromkeys(("server", "host", "computer", "machine"), "host"),
    **dict.fromkeys(("user", "account"), "user"),
    "domain": "domain",
    "realm": "domain",
    "authority": "authority",
    "address": "address",
}
_TOPS: Final = "(?:local|lan|corp|internal|intranet|home|example|test|com|net|org|edu|gov)"
_SUFFIXES: Final = r"(?:json|tokar|log|jtx|edb|dit|txt|py|exe|dll|toml|md|xml|trace|stderr|stdout|microsoft)\b"
# Where a name stands, in text; each has one group, or more for one kind each.
_PLACES: Final = (
    (re.compile(r"\\\\([^\\/\s:*?\"<>|]+)\\"), ("host",)),
    (re.compile(r"\bca://([^\s/\"':;,]+)(?::\d+)?(?:/([^\s\"':;,]+))?"), ("host", "authority")),
    (re.compile(r"\b(?:user|account|logged on)[ =:'\"]+([\w.-]+)\\([\w.$-]+)", re.IGNORECASE), ("domain", "user")),
    (re.compile(r"(?<![\\\w:/.$])(?!HK|CA\\|BUILTIN)([A-Z][A-Z0-9-]{1,14})\\([\w.$-]+)(?![\\\w])"), ("domain", "user")),
    (re.compile(r"\\CertSvc\\Configuration\\(?!RestoreInProgress)([^\\\r\n]+)", re.IGNORECASE), ("authority",)),
    (re.compile(r"(S-1-5-21(?:-\d+){3,4})"), ("sid",)),
    (
        re.compile(
            rf"(?<![\w.@-])((?!tokar\.)(?:[\w-]+\.){{2,}}(?!{_SUFFIXES})[A-Za-z]{{2,24}}|[\w-]+\.{_TOPS})(?![\w-]|\.\w)"
        ),
        ("host",),
    ),
    (re.compile(r"^(?:reached|server): ([^\s,]+)", re.MULTILINE), ("host",)),  # what probe prints
    (re.compile(r"\b(?:certadm|ntdsbcli):([\w.-]+)"), ("host",)),
    (re.compile(r"(?<![\w.+-])([\w.+-]+)@([\w-]+(?:\.[\w-]+)*)"), ("user", "domain")),
    (re.compile(r"^account: (.+)$", re.MULTILINE), ("user",)),  # as `tokar probe` prints them
    (re.compile(r"^authority: (.+)$", re.MULTILINE), ("authority",)),
    (re.compile(r"(?:/home/|/Users/|\\Users\\)([^/\\\s:\"']+)", re.IGNORECASE), ("user",)),
    (re.compile(r"[\\/]([^\\/:*?\"<>|\n,;]+)\.edb\b", re.IGNORECASE), ("database",)),
    (re.compile(r"(?<![\w\\/.-])([\w.-]+)\.edb\b", re.IGNORECASE), ("database",)),
    (re.compile(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])"), ("address",)),
    (re.compile(r"(?<![\w:.])([0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7})(?![\w:.])"), ("address",)),
)
_RUN: Final = re.compile(r"[^\W_]+")
_HEX: Final = "((?:[0-9a-f]{2})+)"
_TRACED: Final = re.compile(rf'("stub": "){_HEX}(?=")')  # bytes in a line of a trace
# Names that say nothing about anybody.
_PLAIN: Final = {"localhost", "127.0.0.1", "::1", "?", ".", "priv", "pub", "dir", "edb", "tmp", "database"}


def without_identities(text: str) -> str:
    """Return text without identities of age, which open archives: one may stand where a file was to be named."""
    return _IDENTITY.sub(f"AGE-SECRET-KEY-{LEFT_OUT}", text)


class Redactor:
    """Replaces names, each always by the same word.

    Args:
        names: Names that are known beforehand: of servers, users, authorities.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._words: dict[str, str] = {}  # What stands for a name, by the name in lower case
        self._count: dict[str, int] = {}
        # By the first letters and digits of a name: how much of it is before them, and how long it is; longest first.
        self._shapes: dict[str, list[tuple[int, int]]] | None = None
        self._needles: list[tuple[bytes, bytes]] = []  # Each name in the encodings of bytes, and what goes over a unit
        self.learn(names)

    def learn(self, names: Iterable[str], kind: str = "name") -> None:
        """Take more names, all of one kind."""
        for name in names:
            self._learn(name, kind)

    def text(self, text: str) -> str:
        """Return text without names and secrets."""
        self._learn_from(text)
        return self._replace(_TRACED.sub(lambda match: match[1] + self.data(bytes.fromhex(match[2])).hex(), text))

    def data(self, data: bytes) -> bytes:
        """Return bytes with the names that are known so far overwritten, in ASCII, UTF-8 and UTF-16."""
        covered, lowered = bytearray(data), data.lower()
        for needle, unit in self._prepared()[1] if data else ():
            at = lowered.find(needle)
            while at >= 0:
                covered[at : at + len(needle)] = unit * (len(needle) // len(unit))
                at = lowered.find(needle, at + len(needle))
        return bytes(covered)

    def value(self, value: Any) -> Any:
        """Return a value of JSON without them; names that it holds as base64 become text."""
        for key, text in _strings(value):
            self._learn_from(text)
            if key in _SPEAKING_KEYS:
                self._learn(text, _SPEAKING_KEYS[key])
        return self._redacted(value, "")

    def _redacted(self, value: Any, key: str) -> Any:
        if _SECRET.search(key) and value is not None:
            return LEFT_OUT
        if isinstance(value, str):
            if key == "stub" and re.fullmatch(_HEX, value):
                return self.data(bytes.fromhex(value)).hex()
            raw, text = _unpacked(value)
            if text and key == "name":
                return self._replace(text)
            covered = self.data(raw)
            return self._replace(value) if covered == raw else base64.b64encode(covered).decode()
        if isinstance(value, Mapping):
            shown = {one: one if one in _SPEAKING_KEYS else self._replace(one) for one in value}
            return {shown[one]: self._redacted(item, one) for one, item in value.items()}
        return [self._redacted(one, key) for one in value] if isinstance(value, list) else value

    def _learn_from(self, text: str) -> None:
        for pattern, kinds in _PLACES:
            for match in pattern.finditer(text):
                for kind, name in zip(kinds, match.groups(), strict=True):
                    self._learn(name, kind)

    def _learn(self, name: str | None, kind: str) -> None:
        if name is None or len(name) < 2 or name.lower() in _PLAIN or name.lower() in self._words:
            return
        if is_address := _is_address(name):
            kind = "address"
        if kind == "address" and not is_address:
            return
        if kind == "user" and "\\" in name:
            domain, _, user = name.partition("\\")
            self._learn(domain, "domain")
            self._learn(user, "user")
            return
        label, dot, domain = name.partition(".")
        if kind == "host" and dot and not is_address:
            self._learn(label, kind)
            self._learn(domain, "domain")
            self._words[name.lower()] = self._words.get(label.lower(), "host")
        else:
            self._count[kind] = self._count.get(kind, 0) + 1
            self._words[name.lower()] = f"{kind}-{self._count[kind]}"
        self._shapes = None

    def _prepared(self) -> tuple[dict[str, list[tuple[int, int]]], list[tuple[bytes, bytes]]]:
        """Return the names that are known so far as text and bytes are looked through for them."""
        if self._shapes is None:
            shapes: dict[str, set[tuple[int, int]]] = {}
            self._needles = []
            for name in sorted(self._words, key=len, reverse=True):
                if (run := _RUN.search(name)) is not None:
                    shapes.setdefault(run[0], set()).add((run.start(), len(name)))
                units = (b"x", "utf-8"), (b"x\0", "utf-16-le")
                self._needles += [(name.encode(encoding, "replace").lower(), unit) for unit, encoding in units]
            self._shapes = {run: sorted(found, key=lambda one: -one[1]) for run, found in shapes.items()}
        return self._shapes, self._needles

    def _replace(self, text: str) -> str:
        text = without_identities(text)
        text = _SPOKEN.sub(lambda match: f"{match[1]}{match[match.re.groups - 1]}{LEFT_OUT}", text)
        pieces: list[str] = []
        done = 0
        for run in _RUN.finditer(text):
            for before, size in self._prepared()[0].get(run[0].lower(), ()):
                start, end = run.start() - before, run.start() - before + size
                word = self._words.get(text[start:end].lower()) if start >= done else None
                if word is not None and not (text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()):
                    pieces += text[done:start], word
                    done = end
                    break
        return "".join((*pieces, text[done:]))


def _is_address(text: str) -> bool:
    if "." not in text and ":" not in text:
        return False
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text in a value of JSON, with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
        yield "", _unpacked(value)[1]
    elif isinstance(value, Mapping):
        for one, item in value.items():
            yield from _strings(item, one)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, key)


def _unpacked(value: str) -> tuple[bytes, str]:
    """Return what stands in a text as base64: as bytes and as text; nothing where it is no base64, or says nothing."""
    if len(value) < _SHORTEST or len(value) % 4:
        return b"", ""
    try:
        raw = base64.b64decode(value, validate=True)
        text = raw.decode("utf-16-le" if raw[1::2].count(0) * 4 > len(raw) else "utf-8", "replace")
    except (binascii.Error, ValueError):
        return b"", ""
    says = any(one in text for one in "\\./") and sum(map(str.isprintable, text)) * 2 > len(text)
    return (raw, text) if says else (b"", "")
