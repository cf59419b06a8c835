"""Plays the records of logs on pages: what recovery would do, done on copies and without the engine."""

from typing import Final

MOST_LOGS: Final = 64 << 20
"""Bytes of logs beyond which nobody waits for pages to be followed who did not ask for it: some seconds."""
