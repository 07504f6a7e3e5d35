"""Removing what is needed no more, while everything else goes on: contents, manifests and trees.

A snapshot that is *needed* has a row; whoever works with one *pins* it. The order makes a death at any step harmless:
the row went before (who wants the snapshot again sends it again); then go the contents that no needed or pinned snapshot
has, then the tree, and the manifest last, for until then it says what there is to remove. What goes by a rename lies in
`.gone` until it is emptied. A power cut may take a manifest and leave its contents: so once in a service's life, and then
after every grace, it is looked for contents that no manifest names.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from himalia.ids import is_id

from .manifests import DIGEST, QUOTED_DIGEST
from .pins import PIN_SECONDS
from .store import GONE, MANIFEST, TREE, ContentStore

log = logging.getLogger(__name__)

UNNEEDED = "unneeded"  #: in a snapshot's directory: since when it is known that no row needs it
QUOTED_BYTES = 66
BLOCK_BYTES = 1024 * 1024
AT_ONCE = 100  #: contents that go while the owner's submits wait


class Stopped(Exception):
    """The service ends; the rest is for the next one."""


@dataclass(frozen=True, kw_only=True)
class Freed:
    """What was removed."""

    snapshots: int = 0
    contents: int = 0
    trees: int = 0
    size_bytes: int = 0

    def __add__(self, other: Freed) -> Freed:
        """Return the sum."""
        return Freed(
            snapshots=self.snapshots + other.snapshots,
            contents=self.contents + other.contents,
            trees=self.trees + other.trees,
            size_bytes=self.size_bytes + other.size_bytes,
        )


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What the database says of an owner's snapshots, by digest."""

    rows: Collection[str]  #: those that have a row
    live: Collection[str]  #: those of jobs that have not ended
    dropped: Collection[str] = frozenset()  #: those that lost their last row now: their grace is over


class Sweeper:
    """Removes what one owner needs no more; each call may die at any step and be made again."""

    def __init__(self, store: ContentStore, grace_seconds: float) -> None:
        self.stopped = threading.Event()  #: set: what is under way ends where it is, with Stopped
        self._store = store
        self._grace_seconds = grace_seconds
        self._looked_at: dict[str, float] = {}  #: by owner: when it was looked for contents that no manifest names

    def owners(self) -> list[str]:
        """Return all who have snapshots or contents on the disk."""
        there = {*_names(self._store.snapshots), *_names(self._store.blobs)}
        return sorted(name for name in there if is_id(name))

    def sweep(self, owner_id: str, needs: Needs, *, in_need: bool = False) -> Freed:
        """Remove what is needed no more, and the trees in which no job ran for long; in need of room, all where none runs."""
        there = [name for name in _names(self._store.snapshots / owner_id) if DIGEST.fullmatch(name)]
        unneeded = [
            digest
            for digest in there
            if digest not in needs.rows and (digest in needs.dropped or self._is_known_for_long(owner_id, digest))
        ]
        freed = self._remove(owner_id, unneeded, needs.rows) if unneeded else Freed()
        for digest in there:
            idle = digest in needs.rows and digest not in needs.live
            if idle and self._is_old(owner_id, digest, 0.0 if in_need else self._grace_seconds):
                self._store.drop_tree(owner_id, digest)
        freed += self._sweep_nameless(owner_id, needs.rows, PIN_SECONDS if in_need else self._grace_seconds)
        return freed + self.empty()

    def empty(self) -> Freed:
        """Empty what was put aside to go: trees, and what an earlier run left half written."""
        freed = Freed()
        for place in (self._store.snapshots / GONE, self._store.blobs / GONE):
            for name in _names(place):
                freed += Freed(trees=int(name.startswith(TREE)), size_bytes=self._remove_folder(place / name))
        return freed

    def _is_old(self, owner_id: str, digest: str, grace_seconds: float) -> bool:
        """Tell whether a snapshot has a tree, and was not laid out for so long."""
        folder = self._store.snapshots / owner_id / digest
        try:
            old = time.time() - folder.stat().st_mtime > grace_seconds
        except FileNotFoundError:
            return False
        return old and (folder / TREE).is_dir()

    def _is_known_for_long(self, owner_id: str, digest: str) -> bool:
        """Tell whether no row has needed a snapshot for the grace.

        Rows may be lost for other reasons than ours, with the database: so it counts from when that was first seen.
        """
        mark = self._store.snapshots / owner_id / digest / UNNEEDED
        with self._store.lock_of(owner_id):
            if digest in self._store.pins.of(owner_id):
                return False
            try:
                return time.time() - mark.stat().st_mtime > self._grace_seconds
            except FileNotFoundError:
                with contextlib.suppress(OSError):  # no room: the next time
                    mark.touch()
                return False

    def _remove(self, owner_id: str, unneeded: list[str], rows: Collection[str]) -> Freed:
        pinned = self._store.pins.of(owner_id)
        unneeded = [digest for digest in unneeded if digest not in pinned]
        going: set[str] = set()
        for digest in unneeded:
            with contextlib.suppress(FileNotFoundError):  # an earlier run died before it removed the directory
                going.update(self._contents(owner_id, digest))
        try:
            for digest in rows if going else ():
                going.difference_update(self._contents(owner_id, digest))
        except OSError as error:
            log.warning("nothing of %s is removed: a manifest that a job needs cannot be read: %s", owner_id, error)
            return Freed()
        known = set(rows)
        freed = self._remove_contents(owner_id, going, known)
        for digest in unneeded:
            if digest not in known:
                freed += self._remove_snapshot(owner_id, digest)
        return freed

    def _sweep_nameless(self, owner_id: str, rows: Collection[str], seconds: float) -> Freed:
        """Remove contents that no manifest names, and that are older than so many seconds, or than the grace."""
        seconds = min(seconds, self._grace_seconds)
        now = time.monotonic()
        if now - self._looked_at.get(owner_id, float("-inf")) < seconds:
            return Freed()
        self._looked_at[owner_id] = now
        nameless = set(self._contents_there(owner_id))
        known = {name for name in _names(self._store.snapshots / owner_id) if DIGEST.fullmatch(name)}
        try:
            for digest in known.union(rows) if nameless else ():
                self._must_go_on()
                try:
                    self._must_be_whole(owner_id, digest)
                    nameless.difference_update(self._contents(owner_id, digest))
                except FileNotFoundError:
                    if digest in rows:
                        raise
                    known.discard(digest)  # it may come yet
        except OSError as error:
            log.warning("contents that no manifest of %s names stay, for one cannot be read whole: %s", owner_id, error)
            return Freed()
        old = {content for content in nameless if self._is_older(owner_id, content, seconds)}
        return self._remove_contents(owner_id, old, known) if old else Freed()

    def _contents_there(self, owner_id: str) -> Iterator[str]:
        """Yield all contents of an owner."""
        folder = self._store.blobs / owner_id
        for first in _names(folder):
            yield from (name for name in _names(folder / first) if DIGEST.fullmatch(name))

    def _is_older(self, owner_id: str, content: str, seconds: float) -> bool:
        try:
            return time.time() - self._store.blob(owner_id, content).stat().st_mtime > seconds
        except FileNotFoundError:
            return False

    def _remove_contents(self, owner_id: str, going: set[str], known: set[str]) -> Freed:
        """Remove contents, but for those of pinned snapshots, however late one is pinned; these are `known` then."""
        freed, left = Freed(), sorted(going)
        while left:
            self._must_go_on()
            some, left = left[:AT_ONCE], left[AT_ONCE:]
            with self._store.lock_of(owner_id):
                for digest in self._store.pins.of(owner_id) - known:
                    with contextlib.suppress(FileNotFoundError):  # it was pinned, and has never come
                        going.difference_update(self._contents(owner_id, digest))
                        known.add(digest)
                self._store.whole.forget(owner_id)
                for content in going.intersection(some):
                    freed += _remove_file(self._store.blob(owner_id, content))
        return freed

    def _remove_snapshot(self, owner_id: str, digest: str) -> Freed:
        folder = self._store.snapshots / owner_id / digest
        self._store.drop_tree(owner_id, digest)
        with self._store.lock_of(owner_id):
            if digest in self._store.pins.of(owner_id):
                return Freed()
            for name in (MANIFEST, UNNEEDED):
                (folder / name).unlink(missing_ok=True)
            try:
                folder.rmdir()
            except OSError:  # a tree was made meanwhile: the next time
                return Freed()
        return Freed(snapshots=1)

    def _remove_folder(self, folder: Path) -> int:
        """Remove a directory with all that is in it; return how many bytes it took."""
        freed = 0
        for _, folders, files, descriptor in os.fwalk(folder, topdown=False):
            self._must_go_on()
            for name in files:
                freed += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
                os.unlink(name, dir_fd=descriptor)
            for name in folders:
                try:
                    os.rmdir(name, dir_fd=descriptor)
                except NotADirectoryError:  # a link to a directory
                    os.unlink(name, dir_fd=descriptor)
        folder.rmdir()
        return freed

    def _must_go_on(self) -> None:
        if self.stopped.is_set():
            raise Stopped

    def _must_be_whole(self, owner_id: str, digest: str) -> None:
        """Raise OSError for a manifest that is cut off: it would name less than it has."""
        with (self._store.snapshots / owner_id / digest / MANIFEST).open("rb") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"}":
                raise OSError(errno.EIO, "it is cut off", file.name)

    def _contents(self, owner_id: str, digest: str) -> Iterator[str]:
        """Yield what a manifest names as contents, read in pieces: more than it has at most, never less."""
        with (self._store.snapshots / owner_id / digest / MANIFEST).open("rb") as file:
            rest = b""
            while block := file.read(BLOCK_BYTES):
                text = rest + block
                yield from (found.decode() for found in QUOTED_DIGEST.findall(text))
                rest = text[-QUOTED_BYTES + 1 :]


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _remove_file(file: Path) -> Freed:
    try:
        size = file.stat().st_size
        file.unlink()
    except FileNotFoundError:
        return Freed()
    return Freed(contents=1, size_bytes=size)
