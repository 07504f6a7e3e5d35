"""Project quota: a file system that counts what lies below a directory by itself, and takes no more than a limit.

ext4 and xfs have it, where the kernel was built with it and the file system is mounted with `prjquota`. The project of a
directory is named by the directory's inode, so that no list of projects has to be kept beside the file system.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..disk import DiskLimit

GET_ATTRIBUTES, SET_ATTRIBUTES = 0x801C581F, 0x401C5820  #: FS_IOC_FSGETXATTR, FS_IOC_FSSETXATTR
ATTRIBUTES = struct.Struct("=5I8x")  #: struct fsxattr: flags, extent size, extents, project, copy-on-write extent size
INHERITED = 0x200  #: FS_XFLAG_PROJINHERIT: what is made in the directory belongs to its project
GET_QUOTA, SET_QUOTA, PROJECTS = 0x800007, 0x800008, 2
QUOTA = struct.Struct("=8QI4x")  #: struct if_dqblk: limits of space, space, the same of inodes, times, what is valid
LIMITS = 1 | 4  #: QIF_BLIMITS, QIF_ILIMITS: what `set` writes
LIMIT_BLOCK = 1024  #: limits of space are counted in these
OURS = 0x8000_0000  #: our projects are above those that an administrator numbers by hand
MOUNTED_WITH = {"prjquota", "pquota"}
NOBODY = 65534
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
PROBE_BYTES = 256 * 1024


class Kernel:
    """The calls themselves."""

    def __init__(self) -> None:
        self._c = ctypes.CDLL(None, use_errno=True)

    def attributes(self, descriptor: int, request: int, packed: bytes) -> bytes:
        """Read or write the attributes of an open file."""
        return fcntl.ioctl(descriptor, request, packed)

    def quota(self, command: int, device: str, project: int, packed: bytes) -> bytes:
        """Read or write the quota of a project."""
        buffer = ctypes.create_string_buffer(packed, QUOTA.size)
        number = ctypes.c_int((command << 8) | PROJECTS)
        if self._c.quotactl(number, device.encode(), ctypes.c_int(_signed(project)), buffer) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), device)
        return buffer.raw


@dataclass(frozen=True, kw_only=True)
class ProjectUse:
    """What a project takes."""

    size_bytes: int
    files: int


class ProjectQuota:
    """The project quota of one file system."""

    def __init__(self, device: str, kernel: Kernel | None = None) -> None:
        self.device = device
        self._kernel = kernel or Kernel()

    def fence(self, named_by: Path, folders: Sequence[Path], limit: DiskLimit) -> int:
        """Give directories, all of them empty or of it already, to one project and set its limit; return the project."""
        project = OURS | (named_by.stat().st_ino & (OURS - 1))
        for folder in folders:
            self._assign(folder, project)
        self._limit(project, limit)
        return project

    def fence_tree(self, folder: Path, limit: DiskLimit) -> int:
        """Do the same with a directory that holds something: all in it is given to the project before there is a limit."""
        project = OURS | (folder.stat().st_ino & (OURS - 1))
        if self.project_of(folder) != project or not self._has_limit(project):
            self._assign_all(folder, project)
        self._limit(project, limit)
        return project

    def use(self, project: int) -> ProjectUse:
        """Return what a project takes."""
        found = QUOTA.unpack(self._kernel.quota(GET_QUOTA, self.device, project, bytes(QUOTA.size)))
        return ProjectUse(size_bytes=found[2], files=found[5])

    def project_of(self, folder: Path) -> int:
        """Return the project that a directory belongs to; 0: none."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return self._read(descriptor)[3]
        finally:
            os.close(descriptor)

    def _assign(self, folder: Path, project: int) -> None:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if self._read(descriptor)[3] != project and os.listdir(descriptor):
                raise OSError(errno.ENOTEMPTY, "it holds files of no project", str(folder))
            self._give(descriptor, project, INHERITED)
        finally:
            os.close(descriptor)

    def _assign_all(self, folder: Path, project: int) -> None:
        """Give a tree to a project, from above: what is made meanwhile in a directory that has it is of it already."""
        for _, _, files, descriptor in os.fwalk(folder, follow_symlinks=False):
            self._give(descriptor, project, INHERITED)
            for name in files:
                try:
                    file = os.open(name, _FILE, dir_fd=descriptor)
                except OSError:  # a link, or it went away
                    continue
                try:
                    if stat.S_ISREG(os.fstat(file).st_mode):
                        self._give(file, project, 0)
                finally:
                    os.close(file)

    def _give(self, descriptor: int, project: int, flag: int) -> None:
        flags, extent, _, has, copied = self._read(descriptor)
        if has != project or flags & flag != flag:
            packed = ATTRIBUTES.pack(flags | flag, extent, 0, project, copied)
            self._kernel.attributes(descriptor, SET_ATTRIBUTES, packed)

    def _limit(self, project: int, limit: DiskLimit) -> None:
        blocks = -(-limit.size_bytes // LIMIT_BLOCK)
        packed = QUOTA.pack(blocks, blocks, 0, limit.files, limit.files, 0, 0, 0, LIMITS)
        self._kernel.quota(SET_QUOTA, self.device, project, packed)

    def _has_limit(self, project: int) -> bool:
        found = QUOTA.unpack(self._kernel.quota(GET_QUOTA, self.device, project, bytes(QUOTA.size)))
        return bool(found[0] or found[3])

    def _read(self, descriptor: int) -> tuple[int, ...]:
        return ATTRIBUTES.unpack(self._kernel.attributes(descriptor, GET_ATTRIBUTES, bytes(ATTRIBUTES.size)))


def find_quota(data: Path, mounts: Path = Path("/proc/self/mountinfo")) -> ProjectQuota | None:
    """Return the project quota of the file system that a directory lies on; none where there is none that holds."""
    device = _quota_device(data, mounts)
    if device is None:
        return None
    quota = ProjectQuota(device)
    return quota if holds(quota, data) else None


def holds(quota: ProjectQuota, data: Path) -> bool:
    """Find out whether somebody who is not root may write less than a limit and is refused more, and what is there is counted."""
    with tempfile.TemporaryDirectory(dir=data, prefix=".probe") as name:
        folder = Path(name) / "fenced"
        folder.mkdir()
        try:
            os.chown(folder, NOBODY, NOBODY)
            project = quota.fence(folder, [folder], DiskLimit(size_bytes=PROBE_BYTES, files=100))
            fits, fits_not = _may_write(folder, PROBE_BYTES // 4), _may_write(folder, 4 * PROBE_BYTES)
            counted = quota.use(project).size_bytes
        except OSError:
            return False
        finally:
            with contextlib.suppress(OSError):
                quota.fence(folder, [folder], DiskLimit())
        return fits and not fits_not and 0 < counted <= PROBE_BYTES


def _may_write(folder: Path, size_bytes: int) -> bool:
    """Let nobody write so many bytes into a file of a directory that they need not find the way to."""
    command = ["dd", "if=/dev/zero", "of=zeros", f"bs={size_bytes}", "count=1", "conv=fsync"]
    ids: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": ()}
    try:
        return subprocess.run(command, cwd=folder, capture_output=True, timeout=30, **ids).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _quota_device(data: Path, mounts: Path) -> str | None:
    """Return the device of the file system below a directory, if it is mounted with project quota."""
    place, best, device = data.resolve(), -1, None
    for line in mounts.read_text(errors="replace").splitlines():
        words, _, rest = line.partition(" - ")
        point = Path(words.split()[4].replace("\\040", " "))
        if (place == point or point in place.parents) and len(point.parts) >= best:
            kind, source, options = rest.split()[:3]
            best = len(point.parts)
            has = kind in ("ext4", "xfs") and MOUNTED_WITH & set(options.split(","))
            device = source if has else None
    return device


def _signed(number: int) -> int:
    return number - (1 << 32) if number >= 1 << 31 else number
