"""tokar: restore-aware archives for the files that a database engine hands out through its backup procedure."""
