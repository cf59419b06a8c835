"""Where the files of a set come from. Knows nothing of restore."""
