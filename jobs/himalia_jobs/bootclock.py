"""Durations that no step of the wall clock can change: CLOCK_BOOTTIME, which counts from the machine's start."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

JUST_AFTER_SECONDS = 120.0  #: of what was noted before it: an Engine takes so long for a start at most


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

    def at(self, moment: datetime, noted: float | None = None) -> float:
        """Return what `now` said at a moment of the past: not before the machine's start, and not later than now.

        The wall clock may have been set since. Where `now` was noted just before the moment, the moment is believed only as
        far as it fits.
        """
        passed = (self.wall() - moment).total_seconds()
        told = self.now() - min(max(passed, 0.0), self.now())
        if noted is None or (passed >= 0 and noted <= told <= noted + JUST_AFTER_SECONDS):
            return told
        return min(noted, self.now())
