from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["pages", "logcheck"])
def test_without_numpy_the_error_says_how_to_get_it(module: str) -> None:
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tokar.errors import InputError\n"
        "try:\n"
        f"    import tokar.ese.{module}\n"
        "except InputError as error:\n"
        "    print(type(error).__name__, '|', error, '|', error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    name, message, hint = done.stdout.strip().split(" | ")
    assert name == "MissingExtraError"
    assert "numpy" in message
    assert hint == 'install the extra: pip install "tokar[ese]"'


def test_headers_need_no_numpy() -> None:
    script = (
        "import sys; sys.modules['numpy'] = None\n"
        "from tokar.ese import checkpoint, content_facts, database, flushmap, inspect, log, loglink, page, show, trailer\n"
        "print(len(database.DatabaseHeader().build()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "4096"
