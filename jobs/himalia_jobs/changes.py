"""Waking those who wait for something to change in the database."""

from __future__ import annotations

import asyncio


class Changes:
    """Everybody who waits is woken by `tell`; nobody misses a change that came after they asked for the number."""

    def __init__(self) -> None:
        self.number = 0
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake all who wait."""
        self.number += 1
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, timeout_seconds: float, seen: int | None = None) -> bool:
        """Wait for a change (after the number `seen`); return False when none came in time."""
        if seen is not None and seen != self.number:
            return True
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
            return True
        except TimeoutError:
            return False
