"""What lies below a directory that a job filled: page by page in order, or all of it, with bounded memory.

Links and odd things are listed, never opened. Names that are no UTF-8 are escaped.
"""

from __future__ import annotations

import itertools
import os
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path

from ..hostile import DEEPEST, DIRECTORY
from ..process import with_breaks
from .base import ArtifactEntry
from .names import KeptNames

NAMES = KeptNames()
AT_ONCE = 100  #: entries, before others have a turn
LATEST_MS = 4_000_000_000_000  #: in 2096: a job sets the times of its files as it likes


class NoCursor(ValueError):
    """What was given to go on from is no cursor of a page."""


def page(root: Path, limit: int, after: str = "") -> tuple[list[ArtifactEntry], str]:
    """Return the next entries below `root`, directories before what they hold, and the cursor of the next page; none: that was all."""
    told = _steps(after)
    try:
        folder = os.open(root, DIRECTORY)
    except OSError:
        return [], ""
    in_order = with_breaks(_in_order(folder, "", 0, told, limit + 2), AT_ONCE)
    found = list(itertools.islice(in_order, limit + 1))
    entries = [entry for _, entry in found[:limit]]
    return entries, _cursor(found[limit - 1][0]) if len(found) > limit else ""


def walk(root: Path) -> Iterator[ArtifactEntry]:
    """Yield everything below `root`, in no order."""
    try:
        folder = os.open(root, DIRECTORY)
    except OSError:
        return
    yield from _walk(folder, "", 0)


def entry_of(path: str, state: os.stat_result) -> ArtifactEntry:
    """Return the entry of something that was looked at."""
    mode, modified = state.st_mode, max(0, min(state.st_mtime_ns // 1_000_000, LATEST_MS))
    if stat.S_ISREG(mode):
        return ArtifactEntry(path, "file", state.st_size, modified)
    if stat.S_ISDIR(mode):
        return ArtifactEntry(path, "dir", 0, modified)
    return ArtifactEntry(path, "symlink" if stat.S_ISLNK(mode) else "other", 0, modified)


def _in_order(folder: int, prefix: str, depth: int, told: list[str], most: int) -> Iterator[tuple[str, ArtifactEntry]]:
    """Yield what follows the entry that was told last; the directory's descriptor is closed.

    Of a directory with a million names only so many are held at once; it is read again where more are wanted.
    """
    try:
        least, names, whole = told[0] if told else "", told[:1], False
        while True:
            for name in names:
                path = prefix + name
                try:
                    state = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if not told:
                        yield path, entry_of(_printable(path), state)
                    if stat.S_ISDIR(state.st_mode) and depth < DEEPEST:
                        inner = os.open(name, DIRECTORY, dir_fd=folder)
                        yield from _in_order(inner, f"{path}/", depth + 1, told[1:], most)
                except OSError:
                    pass  # it went away, or became something else, between the two looks
                told = []
            if whole:
                return
            names = NAMES.after(folder, least, most)
            least, whole = names[-1] if names else "", len(names) < most
    except OSError:
        return
    finally:
        os.close(folder)


def _walk(folder: int, prefix: str, depth: int) -> Iterator[ArtifactEntry]:
    """Yield what a directory holds; its descriptor is closed."""
    try:
        with os.scandir(folder) as found:
            for name in found:
                path = prefix + name.name
                try:
                    state = os.stat(name.name, dir_fd=folder, follow_symlinks=False)
                    yield entry_of(_printable(path), state)
                    if stat.S_ISDIR(state.st_mode) and depth < DEEPEST:
                        yield from _walk(os.open(name.name, DIRECTORY, dir_fd=folder), f"{path}/", depth + 1)
                except OSError:
                    continue  # it went away, or became something else, between the two looks
    finally:
        os.close(folder)


def _printable(path: str) -> str:
    """Return a name that JSON can carry; bytes that are no UTF-8 come out as they would be escaped."""
    return path if path.isascii() else path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _cursor(path: str) -> str:
    return urlsafe_b64encode(os.fsencode(path)).decode()


def _steps(cursor: str) -> list[str]:
    """Return the parts of the path that a cursor stands for."""
    try:
        path = os.fsdecode(urlsafe_b64decode(cursor.encode("ascii")))
    except ValueError as error:
        raise NoCursor(cursor) from error
    return path.split("/") if path else []
