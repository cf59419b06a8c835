"""Bytes on disk: the layouts of spec/format.md, the writer, the readers, salvage. Knows nothing of backups or directories."""
