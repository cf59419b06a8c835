"""The matching rule: which location takes a file, told from its token (spec/tokens.md, MAT-1 to MAT-10).

For a file with the token T, in this order:

1. T has bit 0x80: it names a directory and is no file. Refused.
2. A location has the same token: that one. Of several, the one whose last component is the file's leaf; else refused.
3. T has bit 0x40 (and not 0x20): the database location, but only if all databases of the set share one token **and**
   there is exactly one such location. Two databases may never be mixed up: with the private store's location missing,
   its file must not land in the public store's.
4. T has bit 0x20 (and not 0x40): the log directory, if there is exactly one.
5. Else refused: nothing is ever guessed.

Pure: a matcher is made from data and touches nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tokar.errors import AmbiguousLocationError, RestoreError, UnknownTokenError
from tokar.location_list import Location
from tokar.names import collision_key, printable
from tokar.paths import last_component, same_place
from tokar.tokens import DATABASE_DIRECTORY, DIRECTORY, LOG_DIR, Role, role, token_name

_BY_NAME: Final = "--to NAME=PATH places a file by its name"


@dataclass(frozen=True, slots=True)
class Match:
    """The location that takes a file."""

    location: Location  # The location
    rule: str  # The rule that decided, in a few words
    # Whether the role bits decided. Then the location says only which directory it is, even where it is a file.
    by_bits: bool = False
    by_leaf: bool = False  # Whether the leaf decided, so that another file of the token may go elsewhere


class Matcher:
    """Matches the files of one backup set to locations.

    Args:
        locations: Where tokens go.
        tokens: The tokens of all entries of the set, not only of those to be restored.
        profile: The profile that names the tokens in messages.
        from_server: Whether a server says where they go, so that a person can only do without it.
    """

    def __init__(
        self, locations: Sequence[Location], tokens: Iterable[int], profile: str, *, from_server: bool = False
    ) -> None:
        self._locations = _distinct(locations)
        self._databases = {token for token in tokens if token & DATABASE_DIRECTORY and not token & DIRECTORY}
        self._profile = profile
        self._before = "restore without --server, and register by hand: " if from_server else ""
        self._settled: dict[int, Match | RestoreError] = {}

    def match(self, token: int, leaf: str | None) -> Match:
        """Return the location that takes a file.

        Args:
            token: The token of the file.
            leaf: Its leaf; None where it has none that is safe, and then several locations of one token are refused.

        Raises:
            UnknownTokenError: No location takes it.
            AmbiguousLocationError: More than one could.
        """
        found = self._settled.get(token)
        if found is None:
            same = [one for one in self._locations if one.token == token]
            if len(same) > 1 and not token & DIRECTORY:
                return self._by_leaf(token, same, leaf)
            found = self._settled[token] = self._settle(token, same)
        if isinstance(found, RestoreError):
            raise found.with_traceback(None)
        return found

    def _settle(self, token: int, same: list[Location]) -> Match | RestoreError:
        """Return the answer for a token, where it does not depend on the leaf."""
        kind = role(token)
        if kind is Role.DIRECTORY:
            return UnknownTokenError(f"the token {self._word(token)} names a directory, not a file", hint=_BY_NAME)
        if same:
            return Match(same[0], f"same token 0x{token:02X}")
        if kind is Role.DATABASE:
            return self._database(token)
        if kind is Role.LOG:
            return self._log(token)
        why = "has the bits of a database and of a log" if kind is Role.CONTRADICTORY else "has no bit that says where"
        message = f"no location has the token {self._word(token)}, and it {why}"
        return UnknownTokenError(message, hint=self._to(token))

    def _by_leaf(self, token: int, same: list[Location], leaf: str | None) -> Match:
        """Return the one of several locations that names the file."""
        named = []
        if leaf is not None:
            key = collision_key(leaf)
            named = [one for one in same if collision_key(last_component(one.path)) == key]
        if len(named) == 1:
            return Match(named[0], f"same token 0x{token:02X}, and the location names the file", by_leaf=True)
        raise AmbiguousLocationError(
            f"{len(same)} locations have the token {self._word(token)}, "
            f"and not exactly one names the file: {_listed(same)}",
            hint=f"{self._before}{_BY_NAME}; {to_line(token, self._profile)} takes all of them",
        )

    def _database(self, token: int) -> Match | RestoreError:
        """Return the database location for a token that has none of its own."""
        absent = f"no location has the token {self._word(token)}, and"
        found = [one for one in self._locations if one.token & DATABASE_DIRECTORY]
        if not found:
            return UnknownTokenError(f"{absent} none is for databases", hint=self._to(token))
        if len(self._databases) > 1:
            why = f"the databases of this set have {len(self._databases)} tokens, so one may not stand in for another"
            return UnknownTokenError(f"{absent} {why}", hint=self._to(token))
        if len(found) > 1:
            why = f"{len(found)} are for databases: {_listed(found)}"
            return AmbiguousLocationError(f"{absent} {why}", hint=self._to(token))
        return Match(found[0], "bit 0x40: the one database location", by_bits=True)

    def _log(self, token: int) -> Match | RestoreError:
        """Return the log directory for a token that has no location of its own."""
        found = [one for one in self._locations if one.token == LOG_DIR]
        absent = f"no location has the token {self._word(token)}, and"
        hint = f"{self._to(LOG_DIR)} takes logs and patch files"
        if not found:
            return UnknownTokenError(f"{absent} there is no log directory", hint=hint)
        if len(found) > 1:
            return AmbiguousLocationError(f"{absent} {len(found)} are log directories: {_listed(found)}", hint=hint)
        return Match(found[0], "bit 0x20: the log directory", by_bits=True)

    def _word(self, token: int) -> str:
        return token_text(token, self._profile)

    def _to(self, token: int) -> str:
        return self._before + to_line(token, self._profile)


def token_text(token: int, profile: str) -> str:
    """Return a token as a person reads it: name and number."""
    name = token_name(token, profile)
    return name if name.startswith("0x") else f"{name} (0x{token:02X})"


def to_line(token: int, profile: str) -> str:
    """Return the option that says where a token goes, ready to be typed but for the directory."""
    return f"--to {token_name(token, profile)}=DIR/"


def _distinct(locations: Sequence[Location]) -> list[Location]:
    """Return the locations without those that say again what one before them says."""
    seen: set[tuple[int, tuple[str, ...]]] = set()
    result = []
    for one in locations:
        key = one.token, same_place(one.path)
        if key not in seen:
            seen.add(key)
            result.append(one)
    return result


def _listed(locations: Sequence[Location]) -> str:
    return ", ".join(printable(one.path) for one in locations)
