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
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from .base import ArtifactEntry

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
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
_ESCAPED = re.compile(r"\\x([89a-f][0-9a-f])")  #: a byte that is no UTF-8, as `walk` writes it


def open_regular(root: Path, path: str) -> int:
    """Return a descriptor of a regular file below `root`, by its name or as `walk` lists it; raise FileNotFoundError for all else."""
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
        folder = os.open(root, _DIRECTORY)
        for part in parts[:-1]:
            inner = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
    except (OSError, ValueError) as error:
        if isinstance(error, ValueError) or error.errno in _NOT_OURS:
            raise FileNotFoundError(path) from error
        raise
    finally:
        if folder >= 0:
            os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(path)
    return descriptor


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
        folder = os.open(root, _DIRECTORY)
        for part in path.split("/"):
            inner = os.open(part, _DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        with os.scandir(folder) as found:
            return [entry.name for entry in itertools.islice(found, most)]
    except (OSError, ValueError):
        return []
    finally:
        if folder >= 0:
            os.close(folder)


def walk(root: Path) -> Iterator[ArtifactEntry]:
    """Yield everything below `root`; links and odd things are listed, never opened. Names that are no UTF-8 are escaped."""
    try:
        folder = os.open(root, _DIRECTORY)
    except OSError:
        return
    yield from _walk(folder, "", 0)


def first_entries(root: Path, limit: int) -> tuple[list[ArtifactEntry], bool]:
    """Return the first entries below `root`, sorted by path, and whether there are more."""
    found = list(itertools.islice(walk(root), limit + 1))
    return found[:limit], len(found) > limit


def entry_of(path: str, state: os.stat_result) -> ArtifactEntry:
    """Return the entry of something that was looked at."""
    modified = datetime.fromtimestamp(max(0.0, min(state.st_mtime, 4e9)), UTC)
    mode = state.st_mode
    if stat.S_ISREG(mode):
        return ArtifactEntry(path=path, type="file", size_bytes=state.st_size, modified_at=modified)
    if stat.S_ISDIR(mode):
        return ArtifactEntry(path=path, type="dir", size_bytes=0, modified_at=modified)
    kind = "symlink" if stat.S_ISLNK(mode) else "other"
    return ArtifactEntry(path=path, type=kind, size_bytes=0, modified_at=modified)  # type: ignore[arg-type]  # one of two literals


def _walk(folder: int, prefix: str, depth: int) -> Iterator[ArtifactEntry]:
    """Yield what a directory holds; its descriptor is closed."""
    try:
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            path = prefix + name
            try:
                state = os.stat(name, dir_fd=folder, follow_symlinks=False)
                yield entry_of(_printable(path), state)
                if stat.S_ISDIR(state.st_mode) and depth < DEEPEST:
                    yield from _walk(os.open(name, _DIRECTORY, dir_fd=folder), f"{path}/", depth + 1)
            except OSError:
                continue  # it went away, or became something else, between the two looks
    finally:
        os.close(folder)


def _printable(path: str) -> str:
    """Return a name that JSON can carry; bytes that are no UTF-8 come out as they would be escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
