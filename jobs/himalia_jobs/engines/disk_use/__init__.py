"""What attempts, homes and storages take of this machine's disk, and the file system's own fence where it has one."""
