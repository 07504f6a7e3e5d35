"""Writing files whole or not at all, and what a full disk is called."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path

from himalia.errors import DiskFull

LISTED_FROM = 16
LISTED_BYTES = 1000  #: of a folder, for each name that is asked for: a name of a content takes some 70 of them
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def for_people(error: OSError) -> Exception:
    """Return what people are told of a failed write: that the disk is full, or the error itself, which is a bug."""
    if error.errno not in NO_ROOM:
        return error
    return DiskFull("There is no room on the platform's disk. Ask an administrator to make room, then try again.")


def absent(folder: Path, names: Collection[str]) -> set[str]:
    """Return which of these names no file has at `aa/NAME`, by one look at a folder where many of its names are asked for."""
    by_folder: dict[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[name[:2]].append(name)
    missing: set[str] = set()
    for first, asked in by_folder.items():
        there = _listed(f"{folder}/{first}", len(asked))
        if there is None:
            missing.update(name for name in asked if not os.access(f"{folder}/{first}/{name}", os.F_OK))
        else:
            missing.update(set(asked) - there)
    return missing


def _listed(folder: str, asked: int) -> set[str] | None:
    """Return the names in a folder; None where asking for each is quicker."""
    if asked < LISTED_FROM:
        return None
    try:
        return set(os.listdir(folder)) if os.stat(folder).st_size < asked * LISTED_BYTES else None
    except FileNotFoundError:
        return set()


def write_whole(file: Path, content: bytes, drafts: Path) -> None:
    """Write a file whole or not at all; its draft lies in a folder of the same file system."""
    try:
        drafts.mkdir(parents=True, exist_ok=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=drafts, delete=False) as draft:
            try:
                draft.write(content)
                draft.flush()
                os.fsync(draft.fileno())
                Path(draft.name).rename(file)
            except BaseException:
                with contextlib.suppress(FileNotFoundError):
                    Path(draft.name).unlink()
                raise
        sync_folder(file.parent)
    except OSError as error:
        raise for_people(error) from error


def sync_folder(folder: Path) -> None:
    """Bring a folder's names to the disk: a file that was renamed into it survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
