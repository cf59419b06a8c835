"""The packages of the extra `trust`, loaded only when something is encrypted or opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tokar.errors import ExhaustedError, MissingExtraError
from tokar.words import install_text


def load(name: str) -> Any:
    """Return a module of the extra `trust`.

    Raises:
        MissingExtraError: Its package is not installed.
        ExhaustedError: It is, and there is too little memory for it.
    """
    package = name.partition(".")[0]
    try:
        return import_module(name)
    except ImportError as error:
        if not isinstance(error, ModuleNotFoundError) and "failed to map" in str(error):
            raise ExhaustedError(f"there is too little memory to load the package {package}") from error
        message = f"encryption needs the package {package}, which is not there"
        raise MissingExtraError(message, hint=install_text("trust")) from error
