"""Archives of files that lie on disk.

collect     what is asked for, and the one place where gathered files and a writer meet
gather      files told apart by content, and given tokens
found       what was found, and the walk to it
certutil    the folder that `certutil -backupDB` writes
examine     content verified while its bytes go by, and what was found, counted
"""
