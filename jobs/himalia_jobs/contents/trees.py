"""The tree of a snapshot: made once, below the workspaces of all its attempts, never changed afterwards.

Files are copies, not links, of the stored contents: owner and mode live on the inode, and a content is shared by files
of different modes. Where the file system can, a copy shares its blocks (`copy_file_range`).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from himalia.container import identity_of
from himalia.models import Entry, EntryType, Manifest


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


def _fill(root: Path, manifest: Manifest, blobs: Path) -> None:
    identity = identity_of("")
    os.chown(root, identity.uid, identity.gid)
    made = {""}
    folders: list[tuple[str, int]] = []
    for entry in sorted(manifest.entries, key=lambda entry: entry.path):
        _ensure_folder(root, entry.path.rpartition("/")[0], made, identity.uid, identity.gid)
        full = os.path.join(root, entry.path)
        if entry.type is EntryType.DIR:
            _ensure_folder(root, entry.path, made, identity.uid, identity.gid)
            folders.append((full, entry.mode | 0o700))
        elif entry.type is EntryType.SYMLINK:
            os.symlink(entry.target, full)
            os.chown(full, identity.uid, identity.gid, follow_symlinks=False)
        else:
            _write_file(full, entry, blobs, identity.uid, identity.gid)
    for full, mode in folders:
        os.chmod(full, mode)


def _ensure_folder(root: Path, path: str, made: set[str], uid: int, gid: int) -> None:
    if path in made:
        return
    _ensure_folder(root, path.rpartition("/")[0], made, uid, gid)
    full = os.path.join(root, path)
    os.mkdir(full, 0o755)
    os.chown(full, uid, gid)
    made.add(path)


def _write_file(full: str, entry: Entry, blobs: Path, uid: int, gid: int) -> None:
    descriptor = os.open(full, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        for digest in entry.chunks:
            with open(blobs / digest[:2] / digest, "rb") as blob:
                _copy(blob.fileno(), descriptor)
        if os.fstat(descriptor).st_size != entry.size_bytes:
            raise OSError(f"{entry.path} has another size than its manifest says")
        os.fchown(descriptor, uid, gid)
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
