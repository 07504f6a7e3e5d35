"""Waking those who wait for something to change in the database."""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 5  #: so many are woken together
PAUSE_SECONDS = 0.0025  #: then others' requests have their turn: a tab that is told of a change costs some 0.2 ms


class Changes:
    """Everybody who waits is woken by `tell`, of a crowd a few at a time; nobody misses a change after the number they know."""

    def __init__(self) -> None:
        self.number = 0
        self._waiting: dict[asyncio.Future[None], None] = {}  #: in the order in which they came
        self._due: deque[asyncio.Future[None]] = deque()
        self._pausing = False

    def tell(self) -> None:
        """Wake all who wait."""
        self.number += 1
        self._due += self._waiting
        self._waiting.clear()
        self._wake()

    async def wait(self, timeout_seconds: float, seen: int | None = None) -> bool:
        """Wait for a change (after the number `seen`); return False when none came in time."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seen is not None and seen != self.number:
            self._due.append(turn)
            self._wake()
        else:
            self._waiting[turn] = None
        try:
            async with asyncio.timeout(timeout_seconds):
                await turn
            return True
        except TimeoutError:
            return False
        finally:
            self._waiting.pop(turn, None)

    def _wake(self) -> None:
        """Wake the next few, unless those before them were woken just now."""
        if self._pausing:
            return
        woken = 0
        while self._due and woken < AT_ONCE:
            turn = self._due.popleft()
            if not turn.done():  # one that is has given up
                turn.set_result(None)
                woken += 1
        if woken:
            self._pausing = True
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._pausing = False
        self._wake()
