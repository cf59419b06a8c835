"""Who made an archive, and who may read it: signatures by ssh-keygen, keys that are wrapped for recipients.

`tokar.format` keeps their bytes.
"""
