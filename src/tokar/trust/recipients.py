"""Those who may read an archive: recipients, whom K is wrapped for, and identities, which open it again (age).

A writer needs recipients alone. Passphrases come as functions, so that nobody is asked for one that is not needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tokar import names
from tokar.errors import FormatError, InputError, LockedError, StorageError
from tokar.format.encryption import Encryption
from tokar.storage.bytesource import read_handed
from tokar.trust.agefile import SCRYPT, recipient_kinds
from tokar.trust.keys import KEY_SIZE, ArchiveKey
from tokar.trust.packages import load
from tokar.trust.passphrase import open_with_passphrase, seal_with_passphrase

if TYPE_CHECKING:
    from tokar.format.encryption import ContentKey

_MAX_FILE: Final = 1 << 20  # bytes of a file of identities or recipients
_MOST: Final = 500  # recipients, whose stanzas HEAD has room for, whatever their keys
_MAX_SLOW: Final = 4  # age files that a passphrase is tried on: each takes seconds
_SECRET: Final = ("AGE-SECRET-KEY-", "AGE-PLUGIN-", "PRIVATE KEY-----")
_SSH_KEY: Final = "PRIVATE KEY-----"
_RECIPIENT_HINT: Final = "a recipient is age1..., or a line of an SSH public key file: ssh-ed25519 ... or ssh-rsa ..."
_IDENTITY_HINT: Final = "an identity file is what age-keygen writes, or an SSH private key without a passphrase"


class Recipients:
    """Those for whom the key of a new archive is wrapped. Each archive gets a key of its own.

    Args:
        texts: `age1...`, or public keys of SSH.
        passphrase: Returns a passphrase that opens the archive too; None for none.

    Raises:
        InputError: A text is no recipient, or there is neither a recipient nor a passphrase.
        MissingExtraError: The extra `trust` is not installed.
    """

    def __init__(self, texts: Sequence[str] = (), *, passphrase: Callable[[], str] | None = None) -> None:
        self._recipients = [_recipient(text.strip(), number) for number, text in enumerate(texts[: _MOST + 1], 1)]
        self._passphrase = passphrase
        if not texts and passphrase is None:
            raise InputError("there is no recipient", hint=_RECIPIENT_HINT)
        if len(texts) > _MOST:
            hint = "encrypt for a key that many people have, or add some of them later: tokar rekey"
            raise InputError(f"{len(texts)} recipients are too many; {_MOST} fit", hint=hint)

    @staticmethod
    def lines(path: Path | str) -> list[str]:
        """Return the recipients in a file: one a line; lines that begin with # are remarks.

        Raises:
            StorageError: It cannot be read.
            InputError: It is no such file, or has none.
        """
        lines = [line.strip() for line in _text(path, "recipients", _RECIPIENT_HINT).splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        if not found:
            raise InputError("there is no recipient in the file", path=path, hint=_RECIPIENT_HINT)
        return found

    def __len__(self) -> int:
        return len(self._recipients)

    def make(self) -> tuple[ArchiveKey, Encryption]:
        """Return the key of a new archive, and what HEAD says of it."""
        key = ArchiveKey()
        wrapped = {"recipients": self.wrap(key)} if self._recipients else {}
        if self._passphrase is not None:
            wrapped["passphrase"] = seal_with_passphrase(key.material, self._passphrase())
        return key, Encryption(key.key_id, wrapped)

    def wrap(self, key: ArchiveKey) -> bytes:
        """Return a binary age file of a key for the recipients."""
        wrapped: bytes = load("pyrage").encrypt(key.material, self._recipients)
        return wrapped


class Identities:
    """What opens encrypted archives.

    Args:
        files: Identity files of age, and private keys of SSH.
        passphrase: Returns the passphrase; called at most once, and only for an archive that one opens.

    Raises:
        StorageError: A file cannot be read.
        InputError: A file holds no identity.
        MissingExtraError: The extra `trust` is not installed.
    """

    def __init__(self, files: Sequence[Path | str] = (), *, passphrase: Callable[[], str] | None = None) -> None:
        self._identities = [one for path in files for one in _identities(path)]
        self._passphrase = passphrase
        self._said: str | None = None
        self._was_short = False
        load("cryptography")  # before anything is begun

    def find(self, encryption: Encryption, more: Sequence[bytes]) -> ContentKey:
        """Return the key of an archive.

        Args:
            encryption: From HEAD.
            more: Further age files that hold K.

        Raises:
            LockedError: No identity opens it, or what they open is another key (ENC-4).
        """
        is_other = False
        self._was_short = False
        for material in self._opened([*encryption.wrapped.values(), *more]):
            if len(material) == KEY_SIZE and (key := ArchiveKey(material)).key_id == encryption.key_id:
                return key
            is_other = True
        if is_other:
            raise LockedError("what the identities open is not the key of this archive")
        if self._was_short:
            raise LockedError("there is too little memory for the work that a passphrase of this archive takes")
        raise LockedError("the content is encrypted, and no identity that was given opens it")

    def _opened(self, files: Sequence[bytes]) -> Iterator[bytes]:
        """Yield what can be opened of age files; those that take a passphrase, and time, come last."""
        by_words = [data for data in files if _takes_passphrase(data)]
        pyrage = load("pyrage")
        for data in files if self._identities else ():
            if data not in by_words:
                try:
                    yield pyrage.decrypt(data, self._identities)
                except pyrage.DecryptError:
                    continue
        for data in by_words[:_MAX_SLOW] if self._passphrase is not None else ():
            words = self._words()
            try:
                material = open_with_passphrase(data, words)
            except MemoryError:  # anyone can add one that asks for more than there is
                self._was_short = True
            else:
                if material is not None:
                    yield material

    def _words(self) -> str:
        if self._said is None:
            assert self._passphrase is not None
            self._said = self._passphrase()
        return self._said


def _recipient(text: str, number: int) -> Any:
    """Return a recipient, the one with this number of those that were named: a text may be a secret, and is not shown.

    Raises:
        InputError: It is none.
    """
    pyrage = load("pyrage")
    if _is_secret(text):
        raise InputError("that is an identity, which opens archives: keep it secret", hint=_RECIPIENT_HINT)
    try:
        return (pyrage.ssh if text.startswith("ssh-") else pyrage.x25519).Recipient.from_str(text)
    except (pyrage.RecipientError, UnicodeEncodeError) as error:
        raise InputError(f"not a recipient: number {number} of those that were named", hint=_RECIPIENT_HINT) from error


def _identities(path: Path | str) -> Iterator[Any]:
    """Yield the identities in a file.

    Raises:
        InputError: There is none, or one cannot be used.
    """
    pyrage = load("pyrage")
    text = _text(path, "identities", _IDENTITY_HINT)
    try:
        if _SSH_KEY in text:
            yield pyrage.ssh.Identity.from_buffer(text.encode())
            return
        lines = [line.strip() for line in text.splitlines()]
        found = [line for line in lines if line and not line.startswith("#")]
        yield from map(pyrage.x25519.Identity.from_str, found)
    except pyrage.IdentityError as error:
        message = f"it cannot be used as an identity: {names.printable(str(error))}"
        raise InputError(message, path=path, hint=_IDENTITY_HINT) from error
    if not found:
        raise InputError("there is no identity in it", path=path, hint=_IDENTITY_HINT)


def _text(path: Path | str, what: str, hint: str) -> str:
    if _is_secret(str(path)):
        raise InputError("that is an identity, not the name of a file: keep it secret", hint=_IDENTITY_HINT)
    try:
        data = read_handed(path, _MAX_FILE + 1)
    except StorageError as error:
        why = error.message.removeprefix("cannot open: ").removeprefix("cannot read: ")
        raise StorageError(f"cannot read the {what}: {why}", path=path, hint=hint) from error
    try:
        if len(data) <= _MAX_FILE:
            return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    raise InputError("it is no text of recipients or identities", path=path, hint="save it as UTF-8")


def _is_secret(text: str) -> bool:
    return any(word in text.upper() for word in _SECRET)


def _takes_passphrase(data: bytes) -> bool:
    try:
        return SCRYPT in recipient_kinds(data)
    except FormatError:
        return False
