"""So many bytes a second, for all together who share a way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable


class Throttle:
    """Lets whoever has taken bytes wait until the next may come; used on the event loop, in the order in which they come."""

    def __init__(self, bytes_per_second: int, now: Callable[[], float] = time.monotonic) -> None:
        self._bytes_per_second = bytes_per_second
        self._now = now
        self._free_at = 0.0  #: when all that was taken so far has had its time

    async def wait(self, count: int) -> None:
        """Wait until so many bytes have had their time."""
        await asyncio.sleep(self.pause(count))

    def pause(self, count: int) -> float:
        """Take so many bytes; return how long to wait, in seconds."""
        now = self._now()
        self._free_at = max(self._free_at, now) + count / self._bytes_per_second
        return self._free_at - now
