"""What ESE files say of themselves: database, log and checkpoint headers, page checksums. Reads any seekable bytes."""
