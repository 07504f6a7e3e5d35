"""Durations that no step of the wall clock can change: CLOCK_BOOTTIME, which counts from the machine's start."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path


class BootClock:
    """Seconds since the machine started, and which start that was."""

    def __init__(self) -> None:
        self.boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    def now(self) -> float:
        """Return seconds since the machine started, time asleep included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wall(self) -> datetime:
        """Return what the wall clock shows."""
        return datetime.now(UTC)

    def at(self, moment: datetime) -> float:
        """Return what `now` said at a moment of the past: not before the machine's start, and not later than now."""
        passed = (self.wall() - moment).total_seconds()
        return self.now() - min(max(passed, 0.0), self.now())
