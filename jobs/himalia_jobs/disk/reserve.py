"""The reserve of the data disk: below it nothing new starts and nothing new is taken in, so that what runs can go on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from himalia.errors import DiskFull
from himalia.units import format_size

FEWEST_FILES = 10_000  #: that must still fit on the disk; one that does not count them has no such limit


@dataclass(frozen=True, kw_only=True)
class Room:
    """What is left on a disk."""

    free_bytes: int
    free_files: int | None  #: none: the file system makes as many as fit

    def lack(self, reserve_bytes: int, coming_bytes: int = 0) -> str:
        """Return in words what there is too little of; empty: there is enough."""
        if self.free_bytes - coming_bytes < reserve_bytes:
            return f"The data disk has {format_size(self.free_bytes)} left; {format_size(reserve_bytes)} are kept free."
        if self.free_files is not None and self.free_files < FEWEST_FILES:
            return f"The data disk has room for {self.free_files:,} more files only; {FEWEST_FILES:,} are kept free."
        return ""


def room_on(data: Path) -> Room:
    """Return what is left where the data directory lies."""
    found = os.statvfs(data)
    return Room(free_bytes=found.f_bavail * found.f_frsize, free_files=found.f_favail if found.f_files else None)


def must_have_room(data: Path, reserve_bytes: int, coming_bytes: int = 0) -> None:
    """Raise DiskFull when what is coming would leave less than the reserve."""
    lack = room_on(data).lack(reserve_bytes, coming_bytes)
    if lack:
        raise DiskFull(f"There is no room for these files. {lack} Ask an administrator to make room, then try again.")
