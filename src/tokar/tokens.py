"""Tokens: the byte that says what kind of file an entry is, and the profiles that give the bytes their names.

The backup procedure puts one character in front of every name. Its byte is stored as delivered and decides, by value
and by three **role bits**, where the file goes back to (spec/tokens.md, TOK-1 to TOK-6). Its *name* depends on who
delivered it: 0x44 is the directory database in one header and the certification authority's in another. So names come
from a **profile**, and nothing but a printed name may depend on a number that is marked provisional.

Profiles are data; each row says where it comes from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from tokar.errors import InputError

# Role bits (Win32 documentation, "BFT Constants"; the same in ntdsbcli.h and certbcli.h).
DIRECTORY: Final = 0x80  # the path is a directory, not a file
DATABASE_DIRECTORY: Final = 0x40  # the file goes to the database directory
LOG_DIRECTORY: Final = 0x20  # the file goes to the log directory

LOG: Final = 0x21
LOG_DIR: Final = 0x82
CHECKPOINT_DIR: Final = 0x83
DATABASE: Final = 0x44
PATCH: Final = 0x25
UNKNOWN: Final = 0x0F

# What location lists have been seen or documented to say for a directory (spec/tokens.md, LOC-6): today's "BFT
# Constants" page misprints 0x22 and 0x23, and MS-CSRA 3.2.4.1.28 says that `!` leads the location for logs.
_LOCATION_SPELLINGS: Final = MappingProxyType({0x21: LOG_DIR, 0x22: LOG_DIR, 0x23: CHECKPOINT_DIR})


class Role(StrEnum):
    """Where a file with a token belongs, told from the role bits alone."""

    DIRECTORY = "directory"  # no file: the name is that of a directory
    DATABASE = "database"
    LOG = "log"
    CONTRADICTORY = "contradictory"  # database and log directory at once
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token of a profile."""

    token: int  # The byte
    name: str  # What the command line and JSON call it
    meaning: str  # A few words for a person
    constants: tuple[str, ...]  # Its names in public headers and documentation; accepted as input
    source: str  # Where name and number come from
    provisional: bool = False  # Whether no public primary source gives the number


@dataclass(frozen=True, slots=True)
class Profile:
    """The token table of one dialect."""

    name: str  # The name in an archive: the client library, or `ese` for files collected from disk
    title: str  # What the dialect belongs to
    rows: tuple[TokenRow, ...]  # The tokens, in the order of their kind


def _rows(source: str, database: tuple[TokenRow, ...], patch: TokenRow | None = None) -> tuple[TokenRow, ...]:
    """Return the rows that all dialects share, around the databases and the patch file of one."""

    def shared(token: int, name: str, meaning: str, constant: str) -> TokenRow:
        return TokenRow(token, name, meaning, (f"BFT_{constant}", f"CSBFT_{constant}"), source)

    return (
        shared(LOG, "log", "transaction log", "LOG"),
        shared(LOG_DIR, "log-dir", "directory for logs", "LOG_DIR"),
        shared(CHECKPOINT_DIR, "checkpoint-dir", "directory of the checkpoint", "CHECKPOINT_DIR"),
        *database,
        patch or shared(PATCH, "patch", "patch file", "PATCH_FILE"),
        shared(UNKNOWN, "unknown", "a file of unknown kind", "UNKNOWN"),
    )


_EXCHANGE = 'name: Exchange Server SDK, "Backup File Locations"; number: secondary sources only'
_EXCHANGE_SHARED = 'name: Exchange Server SDK, "Backup File Locations"; number: as in ntdsbcli.h'
_NTDS = 'ntdsbcli.h (mingw-w64); Win32 documentation, "BFT Constants"'
_CERT = "certbcli.h (mingw-w64); MS-CSRA 2.2.4, 3.1.4.1.28"
_ESE = "this project, for files collected from disk; numbers as in ntdsbcli.h and certbcli.h"


def _exchange(token: int, name: str, meaning: str, constant: str) -> TokenRow:
    return TokenRow(token, name, meaning, (constant,), _EXCHANGE, provisional=True)


_DIRECTORY = TokenRow(DATABASE, "database", "directory database", ("BFT_NTDS_DATABASE",), _NTDS)
_CA = TokenRow(DATABASE, "database", "CA database", ("CSBFT_CERTSERVER_DATABASE",), _CERT)
_ANY = TokenRow(DATABASE, "database", "database", _DIRECTORY.constants + _CA.constants, _ESE)
_STORES = (
    _exchange(0x45, "private-database", "private information store", "BFT_MDB_PRIVATE_DATABASE"),
    _exchange(0x46, "public-database", "public information store", "BFT_MDB_PUBLIC_DATABASE"),
    _exchange(0x47, "directory-database", "directory", "BFT_DSA_DATABASE"),
)
_EXCHANGE_PATCH = _exchange(0x28, "patch", "patch file", "BFT_PATCH_FILE")
_PROFILES = (
    Profile("edbbcli", "Exchange Server 4.0 to 5.5", _rows(_EXCHANGE_SHARED, _STORES, _EXCHANGE_PATCH)),
    Profile("ntdsbcli", "Active Directory", _rows(_NTDS, (_DIRECTORY,))),
    Profile("certadm", "AD CS certification authority", _rows(_CERT, (_CA,))),
    Profile("ese", "any ESE database, collected from disk", _rows(_ESE, (_ANY,))),
)
PROFILES: Final[Mapping[str, Profile]] = MappingProxyType({profile.name: profile for profile in _PROFILES})

LOST_PROFILE: Final = "unknown"
"""What salvage writes where nothing of an archive says any more which profile it had."""
SERVED: Final = frozenset({"edbbcli", "ntdsbcli", "certadm"})
"""The profiles of databases that a service owns: it recovers them, by its own procedure."""
BASES: Final[Mapping[str, str]] = MappingProxyType({"ntdsbcli": "edb", "certadm": "edb"})
"""The base names of the logs of a service that has one, whichever server it is on: Exchange has one for each group."""

_NAMES: Final = {profile.name: {row.token: row.name for row in profile.rows} for profile in _PROFILES}
_TOKENS: Final = {
    profile.name: {word.lower(): row.token for row in profile.rows for word in (row.name, *row.constants)}
    for profile in _PROFILES
}
_NUMBER = re.compile(r"0x([0-9a-f]{1,2})|([0-9]{1,3})", re.IGNORECASE | re.ASCII)


def parse_token(text: str, profile: str) -> int:
    """Return the token that a name, a constant or a number stands for.

    Args:
        text: Such as `log`, `BFT_LOG`, `CSBFT_LOG`, `0x21` or `33`; capitals do not matter.
        profile: The name of the profile whose names count.

    Raises:
        InputError: It is none of these; the message lists what is.
    """
    word = text.strip().lower()
    token = _TOKENS.get(profile, {}).get(word)
    if token is not None:
        return token
    number = _NUMBER.fullmatch(word)
    if number:
        value = int(number[1], 16) if number[1] else int(number[2])
        if value <= 0xFF:
            return value
    accepted = ", ".join(_NAMES.get(profile, {}).values()) or "no names"
    raise InputError(
        f"{text!r} is no token of the profile {profile}",
        hint=f"{profile} knows {accepted}; the constants of its header and numbers from 0x00 to 0xFF are good too",
    )


def token_name(token: int, profile: str) -> str:
    """Return the name of a token in a profile, or its number (`0x99`) where it has none."""
    return _NAMES.get(profile, {}).get(token) or f"0x{token:02X}"


def role(token: int) -> Role:
    """Return where a file with this token belongs, by its role bits."""
    if token & DIRECTORY:
        return Role.DIRECTORY
    bits = token & (DATABASE_DIRECTORY | LOG_DIRECTORY)
    if bits == DATABASE_DIRECTORY:
        return Role.DATABASE
    if bits == LOG_DIRECTORY:
        return Role.LOG
    return Role.CONTRADICTORY if bits else Role.NONE


def location_token(token: int) -> int:
    """Return what a token in a *location list* stands for: 0x21 and 0x22 are the log directory, 0x23 the checkpoint's.

    Only for raw location lists; a file's token, and a token that a person writes, is what it is.
    """
    return _LOCATION_SPELLINGS.get(token, token)
