"""A disk whose power can be cut: what was not synchronised is gone, as on a machine that lost its power.

It is an ext4 in a file. `cut` tells the kernel to let go of it at once, without writing anything more (what file systems'
own tests do). What the file has then is mounted as another disk: whoever has a copy of all mounts, such as a machine of
another test's, keeps the first one. It has what the file system's own journal brings back.
"""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from pathlib import Path

from live_platform import eventually

SHUT_DOWN = 0x8004587D  #: EXT4_IOC_SHUTDOWN
WITHOUT_ITS_JOURNAL = 2  #: EXT4_GOING_FLAGS_NOLOGFLUSH


class CutDisk:
    """A disk of some megabytes, mounted at `path`."""

    def __init__(self, folder: Path, megabytes: int = 128) -> None:
        self.path = folder / "disk"
        self._image = folder / "disk-0.img"
        self._lives = 0
        self.path.mkdir()
        with self._image.open("wb") as image:
            image.truncate(megabytes * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", "-F", self._image], check=True)
        self.mount()

    def mount(self) -> None:
        """Mount it."""
        subprocess.run(["mount", "-o", "loop", self._image, self.path], check=True)

    def cut(self) -> None:
        """Cut its power: from now on nothing is written or read, and what was only in memory is lost."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, SHUT_DOWN, struct.pack("I", WITHOUT_ITS_JOURNAL))
        finally:
            os.close(descriptor)

    def come_back(self) -> None:
        """Let its power come back, once nobody uses it any more."""
        eventually(lambda: subprocess.run(["umount", self.path], capture_output=True).returncode == 0, 30)
        before, self._lives = self._image, self._lives + 1
        self._image = before.with_name(f"disk-{self._lives}.img")
        subprocess.run(["cp", "--sparse=always", before, self._image], check=True)
        before.unlink()
        self.mount()

    def end(self) -> None:
        """Leave nothing."""
        subprocess.run(["umount", "--lazy", self.path], capture_output=True, check=False)
        self._image.unlink()
