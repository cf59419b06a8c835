"""Plays the records of logs on pages: what recovery would do, done on copies and without the engine."""
