"""What the header of a binary age file says without any key: for how many recipients of which kinds it is.

The header is text (age-encryption.org/v1): a version line, stanzas that begin with `-> KIND ...`, and a line `--- MAC`.
"""

from __future__ import annotations

import re
from typing import Final

from tokar.errors import FormatError

_VERSION: Final = b"age-encryption.org/v1\n"
_STANZA: Final = re.compile(rb"-> ([\x21-\x7e]{1,64})(?: [\x21-\x7e]+)*")
_BODY: Final = re.compile(rb"[A-Za-z0-9+/]{0,64}")
_END: Final = re.compile(rb"--- [A-Za-z0-9+/]{43}")
_GREASE: Final = re.compile(r".*-grease")  # made up, so that readers get used to kinds that they do not know
SCRYPT: Final = "scrypt"  # the kind of a passphrase


def recipient_kinds(data: bytes) -> list[str]:
    """Return the kinds of the recipients of an age file, in order.

    Raises:
        FormatError: It is no age file, or its header is not in order.
    """
    if not data.startswith(_VERSION):
        raise FormatError("not a binary age file")
    kinds: list[str] = []
    at = len(_VERSION)
    while True:
        end = data.find(b"\n", at)
        line = data[at:end]
        if end < 0 or _END.fullmatch(line):
            break
        stanza = _STANZA.fullmatch(line)
        if stanza is not None:
            kinds.append(stanza[1].decode())
        elif not kinds or not _BODY.fullmatch(line):
            raise FormatError("the header of an age file is not in order")
        at = end + 1
    if end < 0:
        raise FormatError("the header of an age file has no end")
    return [kind for kind in kinds if not _GREASE.fullmatch(kind)]
