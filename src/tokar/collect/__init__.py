"""Archives of files that lie on disk: found, told apart by content, given tokens, and examined while their bytes go by."""
