"""Files that were deleted and are still open: no name leads to them, and they take their room until they are closed.

They are found where the kernel shows them: among the open descriptors of a container's processes. Not seen are a file that
is only mapped into memory, its descriptor closed, and what processes hold beyond the first few thousand descriptors.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from himalia_gpus.attribution import container_of

from .counting import BLOCK_BYTES, Count

PROC = Path("/proc")
DELETED = " (deleted)"
MOST_DESCRIPTORS = 4096  #: looked at, of one container
IN_MEMORY = ("tmpfs", "ramfs", "devtmpfs", "hugetlbfs", "mqueue", "proc", "sysfs", "devpts", "cgroup", "cgroup2")


def processes_of(containers: Iterable[str], proc: Path = PROC) -> dict[str, list[int]]:
    """Return the processes of some containers, by their whole ids, in one look at all."""
    found: dict[str, list[int]] = {container: [] for container in containers}
    for folder in proc.glob("[0-9]*") if found else ():
        try:
            container = container_of((folder / "cgroup").read_text(errors="replace"))
        except OSError:  # it has ended meanwhile
            continue
        if container in found:
            found[container].append(int(folder.name))
    return found


def deleted_but_open(pids: Iterable[int], proc: Path = PROC) -> Count:
    """Return what these processes hold open on disks though it was deleted, each file once."""
    count = Count()
    seen: set[tuple[int, int]] = set()
    disks: dict[int, set[int]] = {}
    for pid, name in islice(_descriptors(pids, proc), MOST_DESCRIPTORS):
        state = _state_of_deleted(proc / str(pid) / "fd" / name)
        if state is None:
            continue
        key = (state.st_dev, state.st_ino)
        if not stat.S_ISREG(state.st_mode) or state.st_nlink or key in seen:
            continue
        seen.add(key)
        if pid not in disks:
            disks[pid] = _disks(pid, proc)
        if state.st_dev in disks[pid]:
            count.files += 1
            count.size_bytes += state.st_blocks * BLOCK_BYTES
    return count


def _descriptors(pids: Iterable[int], proc: Path) -> Iterator[tuple[int, str]]:
    for pid in pids:
        try:
            names = os.listdir(proc / str(pid) / "fd")
        except OSError:
            continue
        for name in names:
            yield pid, name


def _state_of_deleted(descriptor: Path) -> os.stat_result | None:
    """Return the state of an open file that the kernel calls deleted; others may lie on a file server that hangs."""
    try:
        return os.stat(descriptor) if os.readlink(descriptor).endswith(DELETED) else None
    except OSError:
        return None


def _disks(pid: int, proc: Path) -> set[int]:
    """Return the devices of the file systems that a process sees and that lie on a disk.

    Memory that is shared by a nameless file (`memfd`) has the device of a mount that nobody sees: it is none of these.
    """
    found: set[int] = set()
    try:
        lines = (proc / str(pid) / "mountinfo").read_text(errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        words, _, rest = line.partition(" - ")
        major, _, minor = words.split()[2].partition(":")
        if rest.split()[0] not in IN_MEMORY:
            found.add(os.makedev(int(major), int(minor)))
    return found
