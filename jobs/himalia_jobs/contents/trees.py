"""The tree of a snapshot: made once, below the workspaces of all its attempts, never changed afterwards.

Files are copies, not links, of the stored contents: owner and mode live on the inode, and a content is shared by files
of different modes. Where the file system can, a copy shares its blocks (`copy_file_range`).

Everything is made by its name alone in a directory that is open, and nothing is opened through a link: whatever a
manifest says, nothing outside the draft is touched.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from himalia.container import identity_of
from himalia.models import Entry, EntryType, Manifest

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
BLOB = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


def make_tree(manifest: Manifest, blobs: Path, target: Path, scratch: Path) -> None:
    """Lay a manifest out at `target`; whoever is first, the same tree is there in the end."""
    scratch.mkdir(parents=True, exist_ok=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=scratch, prefix="tree-"))
    try:
        _fill(draft, manifest, blobs)
        os.sync()  # one call is cheaper than one for each file, and a tree must be whole after a power cut
        draft.chmod(0o755)
        try:
            draft.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


class _Here:
    """A directory of the draft, open; one descriptor however deep it lies."""

    def __init__(self, root: Path) -> None:
        self.identity = identity_of("")
        self.folder = os.open(root, FOLDER)
        self._steps: list[str] = []
        self.own(self.folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.folder)

    def go(self, steps: list[str]) -> None:
        """Go to a directory by its names from the root; those that are not there are made."""
        same = 0
        while same < min(len(steps), len(self._steps)) and steps[same] == self._steps[same]:
            same += 1
        for _ in self._steps[same:]:
            self._open("..")
        for step in steps[same:]:
            try:
                self._open(step)
            except FileNotFoundError:
                self.make(step, 0o755)
                self._open(step)
        self._steps = steps

    def make(self, name: str, mode: int) -> None:
        """Make a directory here."""
        os.mkdir(name, 0o700, dir_fd=self.folder)
        made = os.open(name, FOLDER, dir_fd=self.folder)
        try:
            self.own(made)
            os.fchmod(made, mode)
        finally:
            os.close(made)

    def own(self, descriptor: int) -> None:
        """Give something to whom jobs run as."""
        os.fchown(descriptor, self.identity.uid, self.identity.gid)

    def _open(self, name: str) -> None:
        inner = os.open(name, FOLDER, dir_fd=self.folder)
        os.close(self.folder)
        self.folder = inner


def _fill(root: Path, manifest: Manifest, blobs: Path) -> None:
    # A directory comes before what is in it, and what is in it before anything else.
    entries = sorted((entry.path.split("/"), number) for number, entry in enumerate(manifest.entries))
    with _Here(root) as here:
        for (*above, name), number in entries:
            entry = manifest.entries[number]
            here.go(above)
            if entry.type is EntryType.DIR:
                here.make(name, entry.mode | 0o700)
            elif entry.type is EntryType.SYMLINK:
                os.symlink(entry.target, name, dir_fd=here.folder)
                uid, gid = here.identity.uid, here.identity.gid
                os.chown(name, uid, gid, dir_fd=here.folder, follow_symlinks=False)
            else:
                _write_file(here, name, entry, blobs)


def _write_file(here: _Here, name: str, entry: Entry, blobs: Path) -> None:
    descriptor = os.open(name, NEW_FILE, 0o600, dir_fd=here.folder)
    try:
        for digest in entry.chunks:
            blob = os.open(f"{blobs}/{digest[:2]}/{digest}", BLOB)
            try:
                _copy(blob, descriptor)
            finally:
                os.close(blob)
        if os.fstat(descriptor).st_size != entry.size_bytes:
            raise OSError(f"{entry.path} has another size than its manifest says")
        here.own(descriptor)
        os.fchmod(descriptor, entry.mode | 0o600)
    finally:
        os.close(descriptor)


def _copy(source: int, target: int) -> None:
    left = os.fstat(source).st_size
    while left > 0:
        copied = os.copy_file_range(source, target, left)
        if copied == 0:
            break
        left -= copied
