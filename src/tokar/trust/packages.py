"""The packages of the extra `trust`, loaded only when something is encrypted or opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tokar.errors import MissingExtraError
from tokar.words import install_text


def load(name: str) -> Any:
    """Return a module of the extra `trust`.

    Raises:
        MissingExtraError: Its package is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        message = f"encryption needs the package {package}, which is not there"
        raise MissingExtraError(message, hint=install_text("trust")) from error
