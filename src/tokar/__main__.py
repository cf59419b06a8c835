"""`python -m tokar` is the command `tokar`."""

from tokar.cli import main

main()
