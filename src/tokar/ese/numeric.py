"""numpy, or an error that says how to get it: it is an optional extra, and only checking content needs it."""

from __future__ import annotations

from tokar.ese.errors import MissingExtraError

try:
    import numpy as np
except ImportError as error:
    raise MissingExtraError("checking pages and logs needs numpy, which is not installed") from error

__all__ = ["np"]
