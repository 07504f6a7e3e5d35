"""Counting what a tree takes of the disk, safe in a tree that its owner changes meanwhile, and a slice at a time.

Every directory is opened below the one before it, never through a link. A tree may be deeper than a process may have
descriptors: then the upper ones are closed, and found again by `..`, which must lead to the directory that it was.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
OPEN_AT_ONCE = 64
ENTRIES_AT_ONCE = 200  #: between two looks at the clock
BLOCK_BYTES = 512  #: of `st_blocks`, whatever the file system's are


@dataclass(kw_only=True)
class Count:
    """What was counted so far."""

    size_bytes: int = 0
    files: int = 0


@dataclass(kw_only=True)
class _Folder:
    """A directory on the way down: its descriptor while it is open, and where it is still to be gone."""

    descriptor: int
    identity: tuple[int, int]
    inner: list[str] = field(default_factory=list)


class Walk:
    """A count of some trees that goes on where it was."""

    def __init__(self, roots: Sequence[tuple[str, Path]], clock: Callable[[], float] = time.thread_time) -> None:
        self.counts = {name: Count() for name, _ in roots}
        self._clock = clock
        self._steps = self._all(roots)
        self.done = False

    @property
    def size_bytes(self) -> int:
        """All bytes so far."""
        return sum(count.size_bytes for count in self.counts.values())

    @property
    def files(self) -> int:
        """All names so far."""
        return sum(count.files for count in self.counts.values())

    def go_on(self, seconds: float) -> bool:
        """Count for so long at most; return whether it is done."""
        until = self._clock() + seconds
        for _ in self._steps:
            if self._clock() >= until:
                return False
        self.done = True
        return True

    def close(self) -> None:
        """Close what is open."""
        self._steps.close()

    def _all(self, roots: Sequence[tuple[str, Path]]) -> Generator[None]:
        seen: set[tuple[int, int]] = set()
        for name, root in roots:
            yield from _count(root, self.counts[name], seen)


def _count(root: Path, count: Count, seen: set[tuple[int, int]]) -> Iterator[None]:
    """Add up a tree, and pause after every few entries; `seen` are files with more than one name."""
    way: list[_Folder] = []
    try:
        top = _opened(str(root), None)
        if top is None:
            return
        way.append(top)
        yield from _read(top, count, seen)
        while way:
            folder = way[-1]
            if not folder.inner:
                _go_up(way)
                continue
            inner = _opened(folder.inner.pop(), folder.descriptor)
            if inner is None or inner.identity[0] != top.identity[0]:  # another file system is not of this place
                _close(inner)
                continue
            way.append(inner)
            if len(way) > OPEN_AT_ONCE:
                _close(way[-OPEN_AT_ONCE - 1])
            yield from _read(inner, count, seen)
    finally:
        for folder in way:
            _close(folder)


def _opened(name: str, above: int | None) -> _Folder | None:
    """Open a directory; none where it went away, or became something else."""
    try:
        descriptor = os.open(name, _DIRECTORY, dir_fd=above)
    except OSError:
        return None
    state = os.fstat(descriptor)
    return _Folder(descriptor=descriptor, identity=(state.st_dev, state.st_ino))


def _read(folder: _Folder, count: Count, seen: set[tuple[int, int]]) -> Iterator[None]:
    """Count what lies in a directory, and note the directories in it."""
    try:
        with os.scandir(folder.descriptor) as entries:
            for number, entry in enumerate(entries, start=1):
                _add(entry, folder, count, seen)
                if number % ENTRIES_AT_ONCE == 0:
                    yield
    except OSError:
        pass  # it went away: what is left of it is counted the next time
    yield


def _add(entry: os.DirEntry[str], folder: _Folder, count: Count, seen: set[tuple[int, int]]) -> None:
    try:
        state = entry.stat(follow_symlinks=False)
    except OSError:
        return
    if stat.S_ISDIR(state.st_mode):
        folder.inner.append(entry.name)
    elif state.st_nlink > 1:
        if (state.st_dev, state.st_ino) in seen:
            return
        seen.add((state.st_dev, state.st_ino))
    count.files += 1
    count.size_bytes += state.st_blocks * BLOCK_BYTES


def _go_up(way: list[_Folder]) -> None:
    """Leave a directory; where the one above was closed, it is opened again, if it is still that one."""
    left = way.pop()
    if way and way[-1].descriptor < 0:
        above = _opened("..", left.descriptor)
        if above is not None and above.identity == way[-1].identity:
            way[-1].descriptor = above.descriptor
        else:  # it was moved away: nothing above can be reached from here
            _close(above)
            way.clear()
    _close(left)


def _close(folder: _Folder | None) -> None:
    if folder is not None and folder.descriptor >= 0:
        os.close(folder.descriptor)
        folder.descriptor = -1
