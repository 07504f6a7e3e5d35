"""Waking those who wait for something to change in the database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager

CROWD = 20  #: so many may ask at once
TURN_SECONDS = 0.0005  #: what each more of them makes all wait on average, so that the service has time for others


class Changes:
    """Everybody who waits is woken by `tell`; nobody misses a change that came after they asked for the number."""

    def __init__(self) -> None:
        self.number = 0
        self.listeners = 0
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wake all who wait."""
        self.number += 1
        self._event.set()
        self._event = asyncio.Event()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Count among those who ask for every change."""
        self.listeners += 1
        try:
            yield
        finally:
            self.listeners -= 1

    async def turn(self) -> None:
        """Wait for one's turn to ask for what changed: a crowd that is woken at once does not ask at once."""
        if self.listeners > CROWD:
            await asyncio.sleep(random.random() * self.listeners * 2 * TURN_SECONDS)

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
