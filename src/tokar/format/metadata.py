"""HEAD, SUMM and PROC: what an archive says of itself in canonical JSON (spec/format.md section 6)."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tokar.as_json import to_base64, to_count
from tokar.errors import FormatError, UnsupportedError
from tokar.format import canonical_json
from tokar.format.canonical_json import (
    Key,
    array_of,
    demand_keys,
    is_base64,
    is_byte,
    is_count,
    is_hex,
    is_sorted_text,
    is_text,
    is_time,
    matches,
    object_of,
    object_with,
    one_of,
)
from tokar.format.encryption import CIPHER, FEATURE, WAYS, Encryption

KNOWN_FEATURES: Final = frozenset({FEATURE})  # Required features (section 15) that this reader knows

_LOCATION: Final = {
    "kind": Key(one_of("directory", "file", "unsettled"), required=True),
    "path": Key(is_text, required=True),
    "token": Key(is_byte, required=True),
}
_LINK: Final = {"id": Key(is_hex(32), required=True), "root": Key(is_hex(64), required=True)}
_ORIGIN: Final = {"id": Key(is_hex(32)), "root": Key(is_hex(64)), "tag": Key(is_hex(16))}
_LOCATION_LIST: Final = {"bytes": Key(is_base64, required=True), "form": Key(one_of("a", "w"), required=True)}

_ENCRYPTION: Final = {
    "cipher": Key(one_of(CIPHER), required=True),
    "key_id": Key(is_hex(32), required=True),
    "wrapped": Key(lambda value: object_of(is_base64)(value) and any(way in value for way in WAYS), required=True),
}

HEAD_KEYS: Final = {
    "created": Key(is_time, required=True),
    "kind": Key(one_of("full", "logs", "collected"), required=True),
    "profile": Key(matches(r"[a-z0-9_-]{1,32}"), required=True),
    "software": Key(is_text, required=True),
    "annotation": Key(is_text),
    "blobs": Key(object_of(is_base64)),
    "encryption": Key(lambda _: True),  # by ENC-1
    "features": Key(is_sorted_text),
    "location_list": Key(object_with(_LOCATION_LIST)),
    "locations": Key(array_of(object_with(_LOCATION))),
    "name": Key(is_text),
    "origin": Key(object_with(_ORIGIN)),
    "prior": Key(object_with(_LINK)),
    "server": Key(is_text),
}

_GENERATIONS: Final = {"high": Key(is_count, required=True), "low": Key(is_count, required=True)}
_KIND: Final = one_of("full", "incremental", "differential", "copy")
_BACKUP: Final = {
    "asked": Key(_KIND, required=True),
    "took": Key(_KIND, required=True),
    "truncation": Key(one_of("intended", "none"), required=True),
    "refused": Key(matches(r"0x[0-9A-F]{8}")),
}
_LEFT_OUT: Final = {"name": Key(is_text, required=True), "reason": Key(is_text, required=True)}
_LOST: Final = {"offset": Key(is_count, required=True), "size": Key(is_count, required=True), **_LEFT_OUT}

SUMM_KEYS: Final = {
    "content_size": Key(is_count, required=True),
    "entries": Key(is_count, required=True),
    "finished": Key(is_time, required=True),
    "outcome": Key(one_of("complete", "partial"), required=True),
    "backup": Key(object_with(_BACKUP)),
    "generations": Key(object_with(_GENERATIONS)),
    "left_out": Key(array_of(object_with(_LEFT_OUT))),
    "left_out_count": Key(is_count),
    "lost": Key(array_of(object_with(_LOST))),
    "notes": Key(array_of(is_text)),
    "zstd": Key(is_text),
}

PROC_KEYS: Final = {"calls": Key(array_of(object_with({"call": Key(is_text, required=True)})), required=True)}

FACTS_VERSION: Final = 7
_OF_AN_ENTRY: Final = array_of(object_with({"entry": Key(is_count, required=True)}))
FACT_KEYS: Final = {
    "chains": Key(_OF_AN_ENTRY),
    "facts": Key(_OF_AN_ENTRY, required=True),
    "facts_version": Key(lambda value: is_count(value) and value == FACTS_VERSION, required=True),
}


@dataclass(frozen=True, slots=True)
class LocationList:
    """A location list as an API delivered it: its bytes, in form `w` (UTF-16LE) or `a` (single bytes)."""

    form: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What is known when an archive is begun. `extra` holds further keys, known or not, as JSON values."""

    created: str  # Time as text, see `canonical_json.to_time`
    kind: str  # `full`, `logs` or `collected`
    profile: str  # Name of the token profile
    software: str  # Name and version of the writer
    extra: Mapping[str, Any] = field(default_factory=dict)  # All other keys of section 6.1

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        own = {"created": self.created, "kind": self.kind, "profile": self.profile, "software": self.software}
        return {**self.extra, **own}

    def text(self, key: str) -> str | None:
        """Return an optional key that holds text: `annotation`, `name` or `server`."""
        value = self.extra.get(key)
        return value if isinstance(value, str) else None

    def blob(self, name: str) -> bytes | None:
        """Return bytes that were kept verbatim, such as `expiry_token`."""
        stored = self.extra.get("blobs", {}).get(name)
        return None if stored is None else base64.b64decode(stored)

    @property
    def location_list(self) -> LocationList | None:
        """The locations as an API delivered them, if they were."""
        stored = self.extra.get("location_list")
        return LocationList(stored["form"], base64.b64decode(stored["bytes"])) if stored else None

    @property
    def encryption(self) -> Encryption | None:
        """How content is encrypted; None where it is not."""
        stored = self.extra.get(FEATURE)
        return None if stored is None else Encryption.of(stored)

    def build(self) -> bytes:
        """Return the bytes of the body of HEAD.

        Raises:
            FormatError: A value breaks HEAD-2 or section 5.
        """
        value = self.to_json()
        body = canonical_json.encode(value)
        _demand_head(value, 0)
        return body

    @classmethod
    def parse(cls, body: bytes, *, position: int) -> Head:
        """Read the body of the HEAD record at `position`.

        Raises:
            FormatError: Section 5, or HEAD-2.
            UnsupportedError: HEAD-1, a required feature that is not known.
        """
        value = canonical_json.decode(body, position=position)
        _demand_features(value.get("features"), position)
        _demand_head(value, position)
        extra = {key: item for key, item in value.items() if key not in ("created", "kind", "profile", "software")}
        return cls(value["created"], value["kind"], value["profile"], value["software"], extra)


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known when an archive is done. `extra` holds the optional keys of section 6.2."""

    entries: int  # Number of entries
    content_size: int  # Bytes of content of all entries
    finished: str  # Time as text
    outcome: str  # `complete` or `partial`
    extra: Mapping[str, Any] = field(default_factory=dict)  # All other keys

    def build(self) -> bytes:
        """Return the bytes of the body of SUMM.

        Raises:
            FormatError: A value breaks SUMM-1 or section 5.
        """
        value = {
            **self.extra,
            "content_size": to_count(self.content_size),
            "entries": self.entries,
            "finished": self.finished,
            "outcome": self.outcome,
        }
        _demand_summary(value, 0)
        return canonical_json.encode(value)

    @classmethod
    def parse(cls, body: bytes, *, position: int) -> Summary:
        """Read the body of the SUMM record at `position`.

        Raises:
            FormatError: Section 5, or SUMM-1.
        """
        value = canonical_json.decode(body, position=position)
        _demand_summary(value, position)
        own = ("content_size", "entries", "finished", "outcome")
        extra = {key: item for key, item in value.items() if key not in own}
        return cls(int(value["entries"]), int(value["content_size"]), value["finished"], value["outcome"], extra)

    def demand_counts(self, *, entries: int, content_size: int, position: int) -> None:
        """Compare with what the archive holds.

        Raises:
            FormatError: SUMM-2.
        """
        if self.entries != entries or self.content_size != content_size:
            own = f"{self.entries} entries of {self.content_size} bytes"
            message = f"SUMM counts {own}, there are {entries} of {content_size}"
            raise FormatError(message, rule="SUMM-2", offset=position)


def demand_same_head(body: bytes, other: bytes, *, position: int) -> None:
    """Check that both HEADs have the same body. `position`: of the one that is at hand.

    Raises:
        FormatError: HEAD-3.
    """
    if body != other:
        raise FormatError("the HEAD after SUMM is not the HEAD at the beginning", rule="HEAD-3", offset=position)


def build_calls(calls: list[dict[str, Any]]) -> bytes:
    """Return the body of a PROC record.

    Raises:
        FormatError: PROC-1 or section 5.
    """
    value = {"calls": calls}
    demand_keys(value, PROC_KEYS, rule="PROC-1", position=0)
    return canonical_json.encode(value)


def parse_calls(body: bytes, *, position: int) -> list[dict[str, Any]]:
    """Read the calls in the PROC record at `position`.

    Raises:
        FormatError: Section 5, or PROC-1.
    """
    value = canonical_json.decode(body, position=position)
    demand_keys(value, PROC_KEYS, rule="PROC-1", position=position)
    calls: list[dict[str, Any]] = value["calls"]
    return calls


def parse_facts(body: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the facts and the chains in the body of a record, each with the number of its `entry` (section 6.4).

    Raises:
        FormatError: They cannot be read here, which is no damage (FACT-2).
    """
    value = _facts_object(body)
    return value["facts"], value.get("chains", [])


def _facts_object(body: bytes) -> dict[str, Any]:
    value = canonical_json.decode(body, position=0)
    demand_keys(value, FACT_KEYS, rule="FACT-2", position=0)
    return value


def renumber_facts(body: bytes, number_of: Callable[[int], int | None]) -> bytes | None:
    """Return the body of a record of facts for entries with other numbers; None if it says nothing of any of them.

    Args:
        body: Of the record.
        number_of: Gives the new number of an entry, None for an entry whose facts are left out.

    Raises:
        FormatError: The facts cannot be read here, which is no damage (FACT-2).
    """
    value = _facts_object(body)
    for key in {"facts", "chains"} & value.keys():
        numbered = [(one, number_of(int(one["entry"]))) for one in value[key]]
        value[key] = [{**one, "entry": number} for one, number in numbered if number is not None]
    return canonical_json.encode(value) if value["facts"] or value.get("chains") else None


def location_list_json(form: str, data: bytes) -> dict[str, str]:
    """Return the value of the key `location_list`."""
    return {"bytes": to_base64(data), "form": form}


def _demand_features(features: Any, position: int) -> None:
    """Refuse what needs a newer reader, before anything else of HEAD is believed."""
    if isinstance(features, list) and all(map(is_text, features)):
        unknown = sorted(set(features) - KNOWN_FEATURES)
        if unknown:
            message = f"the archive needs a feature that is not known here: {', '.join(unknown)}"
            raise UnsupportedError(message, rule="HEAD-1", offset=position)


def _demand_head(value: dict[str, Any], position: int) -> None:
    demand_keys(value, HEAD_KEYS, rule="HEAD-2", position=position)
    if FEATURE not in value.get("features", ()):
        if FEATURE in value:
            message = "HEAD has a key that goes with a feature it does not name"
            raise FormatError(message, rule="HEAD-2", offset=position)
    elif not object_with(_ENCRYPTION)(value.get(FEATURE)):
        raise FormatError("HEAD does not say in its form how content is encrypted", rule="ENC-1", offset=position)
    both_locations = "location_list" in value and "locations" in value
    if both_locations or ("origin" in value and ("id" in value["origin"]) == ("tag" in value["origin"])):
        raise FormatError("two keys of HEAD exclude each other", rule="HEAD-2", offset=position)


def _demand_summary(value: dict[str, Any], position: int) -> None:
    demand_keys(value, SUMM_KEYS, rule="SUMM-1", position=position)
    generations = value.get("generations")
    if generations and int(generations["low"]) > int(generations["high"]):
        raise FormatError("the generations of SUMM begin after their end", rule="SUMM-1", offset=position)
