"""Reading what a job's own user wrote: regular files only, through descriptors, never following a link.

A job may replace its log, its exit record or anything in `/artifacts` by a link to a file of the host, a directory or a
pipe, at any moment. So every part of a path is opened with `O_NOFOLLOW`, and what was opened is looked at, not its name.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import stat
from pathlib import Path

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK = (
    os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
)  #: opens nothing: whoever waits at the other end of a pipe stays waiting
_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NOT_OURS = {
    errno.ENOENT,
    errno.ELOOP,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EACCES,
    errno.EINVAL,
    errno.ENAMETOOLONG,
    errno.ENODEV,
}
DEEPEST = 256
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")  #: a byte that is no UTF-8, as a listing writes it


def open_regular(root: Path, path: str) -> int:
    """Return a descriptor of a regular file below `root`, by its name or as a listing has it; raise FileNotFoundError for all else."""
    try:
        return _open_regular(root, path)
    except FileNotFoundError:
        name = _ESCAPED.sub(lambda found: chr(0xDC00 + int(found[1], 16)), path)
        if name == path:
            raise
    return _open_regular(root, name)


def _open_regular(root: Path, path: str) -> int:
    parts = path.split("/")
    if not path or "\0" in path or any(part in ("", ".", "..") for part in parts) or len(parts) > DEEPEST:
        raise FileNotFoundError(path)
    folder = -1
    try:
        folder = os.open(root, DIRECTORY)
        for part in parts[:-1]:
            inner = os.open(part, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return _open_looked_at(parts[-1], folder)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno in _NOT_OURS:
            raise FileNotFoundError(path) from error
        raise
    finally:
        if folder >= 0:
            os.close(folder)


def _open_looked_at(name: str, folder: int) -> int:
    """Return a descriptor of a regular file; links, pipes, sockets and devices are looked at, never opened."""
    found = os.open(name, _LOOK, dir_fd=folder)
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            raise FileNotFoundError(name)
        return os.open(f"/proc/self/fd/{found}", _READ)  # what was looked at, whatever has its name by now
    finally:
        os.close(found)


def read_small(root: Path, name: str, limit: int) -> bytes | None:
    """Return the content of a small regular file; None when it is missing, odd or larger than the limit."""
    try:
        descriptor = open_regular(root, name)
    except OSError:
        return None
    try:
        content = os.pread(descriptor, limit + 1, 0)
    finally:
        os.close(descriptor)
    return content if len(content) <= limit else None


def folder_names(root: Path, path: str, most: int) -> list[str]:
    """Return the names in a directory below `root`, so many at most; none where it is missing or behind a link."""
    folder = -1
    try:
        folder = os.open(root, DIRECTORY)
        for part in path.split("/"):
            inner = os.open(part, DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        with os.scandir(folder) as found:
            return [entry.name for entry in itertools.islice(found, most)]
    except (OSError, ValueError):
        return []
    finally:
        if folder >= 0:
            os.close(folder)
