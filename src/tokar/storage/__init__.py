"""Where bytes live.

bytesource   random access to files, and other bytes
sink         an output that appears only when it is whole
durable      sync, and rename that replaces nothing
directory    an open directory that no link can lead elsewhere, and a lock on one
"""
