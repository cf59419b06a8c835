"""Signatures over the root of an archive: made at the seal or later, found in it and beside it, and judged.

A signature is proof of who vouched for an archive, and of nothing that is not under its root: whoever judges one must
read that archive, of that root, and no other. It is judged at the time of judging: a list that allowed a key once, and
does not now, does not allow it (spec/trust.md).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from tokar import names
from tokar.errors import InputError, IntegrityError, NotSignedError, SigningError, StorageError
from tokar.format import records
from tokar.format.archive import Archive
from tokar.format.records import TrailingRecord
from tokar.format.sshsig import (
    MAX_ARMORED_SIZE,
    NAMESPACE,
    BadSignatureError,
    SshSignature,
    dearmored,
    message_of,
    parse_signature,
)
from tokar.storage.bytesource import read_start, read_whole
from tokar.trust import ssh_keygen
from tokar.trust.ssh_keygen import Waiting

SUFFIX: Final = ".sig"  # of signatures beside an archive, as ssh-keygen has it

_PROBE: Final = b"tokar: can this key sign?\n"  # never a root: it has no 64 hexadecimal digits
_MAX_LIST_SIZE: Final = 16 << 20
_MAX_TRIED: Final = 64  # principals of one key
_MAX_NAMED: Final = 4
_PRINCIPALS: Final = re.compile(r'\s*(?:"([^"]*)"|([^\s"#][^\s"]*))\s')
_TIMES: Final = re.compile(r"\bvalid-(after|before)=", re.IGNORECASE)


class Where(StrEnum):
    """Where a signature was found."""

    EMBEDDED = "embedded"  # In the archive
    DETACHED = "detached"  # Beside it


@dataclass(frozen=True, slots=True)
class FoundSignature:
    """A signature in an archive or beside it, not judged."""

    where: Where
    signature: SshSignature | None  # None where the bytes are none
    damage: str = ""  # Why not

    def __str__(self) -> str:
        return f"{self.where} signature" + (f" by {self.signature}" if self.signature else "")

    def to_json(self) -> dict[str, Any]:
        """Return it as values for JSON."""
        keys = ("key_type", "fingerprint", "namespace", "armored")
        parts = self.signature.to_json() if self.signature else dict.fromkeys(keys)
        return {"where": self.where.value, **parts, "damage": self.damage or None}


class SignedVerdict(StrEnum):
    """What a signature is worth to somebody who has a list."""

    ALLOWED = "allowed"
    DAMAGED = "damaged"
    OTHER_NAMESPACE = "other-namespace"
    OTHER_ROOT = "other-root"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    NOT_NOW = "not-now"
    NOT_ALLOWED = "not-allowed"


_SAID: Final = {
    SignedVerdict.DAMAGED: "it is damaged",
    SignedVerdict.OTHER_NAMESPACE: f"it was made for another purpose than {NAMESPACE}",
    SignedVerdict.OTHER_ROOT: "it is not over this root: made for another archive, or changed",
    SignedVerdict.UNKNOWN: "its key is not in the list",
    SignedVerdict.REVOKED: "its key is revoked",
    SignedVerdict.NOT_NOW: "the list allows its key at another time only",
    SignedVerdict.NOT_ALLOWED: "the list has its key in a line that does not allow this; a line is: name, options, key",
}


@dataclass(frozen=True, slots=True)
class AcceptedSignature:
    """Whose signature an archive was accepted for."""

    archive: str  # Its path
    root: bytes  # The root that is signed
    principal: str  # Who, as the list has it
    where: Where
    key_type: str
    fingerprint: str

    def __str__(self) -> str:
        key = f"{names.printable(self.key_type)} {self.fingerprint}"
        return f"signed by {names.printable(self.principal)} ({key}, {self.where})"


def found_signatures(trailing: Iterable[TrailingRecord], path: Path | str | None = None) -> list[FoundSignature]:
    """Return the signatures after the root of an archive, and those beside it.

    Args:
        trailing: The records after ROOT.
        path: The archive; None where there is no place beside it.
    """
    found = [_taken_apart(Where.EMBEDDED, one.body) for one in trailing if one.kind == records.SIGN]
    if path is None:
        return found
    named = (f"{path}{SUFFIX}", f"{os.path.realpath(path)}{SUFFIX}")  # beside a link, and beside what it leads to
    places = dict.fromkeys(map(os.path.realpath, named))
    return [*found, *(one for place in places for one in _beside(place))]


def signatures_of(archive: Archive) -> list[FoundSignature]:
    """Return the signatures in an open archive and beside it."""
    return found_signatures(archive.trailing, archive.path)


def _beside(path: str) -> Iterator[FoundSignature]:
    """Yield the signatures in a file; what is wrong with it is no fault of the archive."""
    if not os.path.exists(path):  # noqa: PTH110 - false where no file can have such a name
        return
    try:
        text = read_start(path, MAX_ARMORED_SIZE + 1)
    except StorageError as error:
        yield FoundSignature(Where.DETACHED, None, error.message)
        return
    blobs = [*dearmored(text)] if len(text) <= MAX_ARMORED_SIZE else []
    yield from (_taken_apart(Where.DETACHED, blob) for blob in blobs)
    if not blobs:
        yield FoundSignature(Where.DETACHED, None, "no SSH signature is in it")


def _taken_apart(where: Where, blob: bytes) -> FoundSignature:
    try:
        return FoundSignature(where, parse_signature(blob))
    except BadSignatureError as error:
        return FoundSignature(where, None, error.message)


def _sign(message: bytes, key: Path | str, waiting: Waiting | None) -> SshSignature:
    text = ssh_keygen.sign(message, key, waiting)
    try:
        signature = parse_signature(next(dearmored(text), b""))
    except BadSignatureError as error:
        raise SigningError(f"ssh-keygen returned no signature: {error.message}", path=key) from error
    if signature.namespace != NAMESPACE or not ssh_keygen.is_right(signature, message):
        raise SigningError("ssh-keygen returned a signature that is not right", path=key)
    return signature


@dataclass(slots=True)
class Signer:
    """The keys that archives are signed with."""

    keys: Sequence[Path | str]
    waiting: Waiting | None = None  # Called when it takes long
    made: list[SshSignature] = field(default_factory=list)  # The signatures over the root that was signed last

    def demand_keys(self) -> None:
        """Check that all keys are there, before anything is begun. Nobody is asked for anything.

        Raises:
            SigningError: ssh-keygen is missing, or a file holds no key.
            StorageError: A file cannot be read.
            InputError: There are too many.
        """
        if len(self.keys) > records.MAX_TRAILING_RECORDS:
            raise InputError(f"{len(self.keys)} keys; {records.MAX_TRAILING_RECORDS} are the most that can sign")
        for key in self.keys:
            ssh_keygen.demand_key(key)

    def try_out(self) -> None:
        """Sign something that means nothing, so that a key that cannot sign is known before a server is disturbed.

        Raises:
            SigningError: A key cannot sign.
            StorageError: A file cannot be read.
        """
        self.demand_keys()
        for key in self.keys:
            _sign(_PROBE, key, self.waiting)

    def sign(self, root: bytes) -> list[SshSignature]:
        """Return the signatures over a root.

        Raises:
            SigningError: A key cannot sign.
        """
        self.made = [_sign(message_of(root), key, self.waiting) for key in self.keys]
        return self.made

    def records(self, root: bytes) -> list[TrailingRecord]:
        """Return the signatures over a root as records. Raises SigningError as `sign` does."""
        self.sign(root)
        return self._records()

    def demand_in(self, archive: Archive) -> None:
        """Check that an archive that was just made has the signatures that were made for it, and nothing else there.

        Raises:
            IntegrityError: It has not.
        """
        if archive.trailing != self._records():
            raise IntegrityError("the signatures in the archive are not those that were made", path=archive.path)

    def _records(self) -> list[TrailingRecord]:
        return [TrailingRecord(records.SIGN, one.blob) for one in self.made]


class AllowedSigners:
    """A list of those whose signature is accepted (ALLOWED SIGNERS in ssh-keygen(1)).

    Args:
        path: The list.
        revoked: A list of keys, or a KRL, that are not accepted any more.
        report: Called with each acceptance.

    Raises:
        StorageError: A list cannot be read.
        InputError: The list is no plain text, or too large, or nobody is revoked by the other one.
        SigningError: There is no ssh-keygen.
    """

    def __init__(
        self, path: Path, *, revoked: Path | None = None, report: Callable[[AcceptedSignature], None] | None = None
    ) -> None:
        self.path = path
        self.accepted: list[AcceptedSignature] = []  # What was accepted so far
        self._revoked = revoked
        self._report = report
        ssh_keygen.find_program()
        text = read_whole(path, _MAX_LIST_SIZE)
        if b"\0" in text:
            raise InputError("a list of signers is plain text, and this is not", path=path, hint="save it as UTF-8")
        if revoked is not None:
            _demand_revoking(revoked)
        self._lines = [line for line in text.decode("utf-8", "replace").splitlines() if not line.startswith("#")]

    def demand(self, archive: Archive) -> AcceptedSignature:
        """Return whose signature an open archive is accepted for, in it or beside it.

        Raises:
            NotSignedError: None of them did.
            SigningError: Nobody could judge it.
        """
        return self.demand_signed(archive.root, signatures_of(archive), str(archive.path or archive.id.hex()))

    def demand_signed(self, root: bytes, signatures: Sequence[FoundSignature], path: str) -> AcceptedSignature:
        """Return whose signature a root is accepted for.

        Args:
            root: The root, of the archive that is read.
            signatures: The signatures.
            path: The archive, for messages.

        Raises:
            NotSignedError: None of them did.
            SigningError: Nobody could judge it.
        """
        refused = []
        for found in signatures:
            verdict, detail = self.judge(root, found)
            if verdict is SignedVerdict.ALLOWED and found.signature is not None:
                signature = found.signature
                by = AcceptedSignature(path, root, detail, found.where, signature.key_type, signature.fingerprint)
                self.accepted.append(by)
                if self._report is not None:
                    self._report(by)
                return by
            refused.append(f"{found}: {_SAID[verdict]}{detail}")
        if not refused:
            raise NotSignedError("nobody signed this archive", path=path)
        more = f"; and {len(refused) - _MAX_NAMED} more" if len(refused) > _MAX_NAMED else ""
        why = "; ".join(refused[:_MAX_NAMED])
        listed = names.printable(str(self.path))
        raise NotSignedError(f"nobody signed this archive whom {listed} allows: {why}{more}", path=path)

    def judge(self, root: bytes, found: FoundSignature) -> tuple[SignedVerdict, str]:
        """Return what a signature over a root is worth; and whose it is where it is allowed, or what else is to say.

        Raises:
            SigningError: Nobody could judge it.
        """
        if found.signature is None:
            return SignedVerdict.DAMAGED, f" ({found.damage})"
        if found.signature.namespace != NAMESPACE:
            return SignedVerdict.OTHER_NAMESPACE, ""
        return self._judge_key(found.signature, message_of(root))

    def _judge_key(self, signature: SshSignature, message: bytes) -> tuple[SignedVerdict, str]:
        """Return what a signature is worth by its key; why it is refused is asked only where it is."""
        lines = [line for line in self._lines if signature.public_key_text in line]
        principals = self._principals(signature, lines)
        said = ""
        for principal in principals:
            said = ssh_keygen.why_not_by(signature, message, principal, self.path, self._revoked)
            if not said:
                return SignedVerdict.ALLOWED, principal
        if why := ssh_keygen.why_not_right(signature, message):
            return SignedVerdict.OTHER_ROOT, f" (ssh-keygen: {why})"
        if not principals:
            return (SignedVerdict.NOT_ALLOWED if lines else SignedVerdict.UNKNOWN), ""
        if self._revoked and not all(
            ssh_keygen.why_not_by(signature, message, one, self.path, None) for one in principals
        ):
            return SignedVerdict.REVOKED, ""
        word = SignedVerdict.NOT_NOW if any(map(_TIMES.search, lines)) else SignedVerdict.NOT_ALLOWED
        return word, f" (ssh-keygen: {said})"

    def _principals(self, signature: SshSignature, lines: Iterable[str]) -> list[str]:
        """Return whom ssh-keygen may be asked for, names before patterns. It alone decides."""
        found = [match for line in lines if (match := _PRINCIPALS.match(line))]
        named = [one.strip() for match in found for one in (match[1] or match[2] or "").split(",")]
        if "-cert-" in signature.key_type:
            named += ssh_keygen.principals_of(signature, self.path)
        usable = dict.fromkeys(one for one in named if one and not one.startswith(("!", "-")))
        return sorted(usable, key=lambda one: "*" in one or "?" in one)[:_MAX_TRIED]


def _demand_revoking(path: Path) -> None:
    """Check that a list of revoked keys says anything: one that was fetched and came out empty would let all pass.

    Raises:
        InputError: It does not.
        StorageError: It cannot be read.
    """
    lines = (line.strip() for line in read_whole(path, _MAX_LIST_SIZE).splitlines())
    if all(not line or line.startswith(b"#") for line in lines):
        hint = "fetch it again; where there are none, leave out --revoked"
        raise InputError("nobody is revoked by this list", path=path, hint=hint)
