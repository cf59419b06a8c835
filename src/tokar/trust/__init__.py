"""Who made an archive, and who may read it: signatures by ssh-keygen. `tokar.format` keeps their bytes."""
