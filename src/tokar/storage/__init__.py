"""Where bytes live: random access to files, an output that appears only when it is whole, sync and rename, directories that no link can lead elsewhere."""
