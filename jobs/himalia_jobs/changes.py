"""Waking those who wait for something to change in the database."""

from __future__ import annotations

import asyncio
from collections import deque

AT_ONCE = 5  #: so many are woken together; of a crowd the others follow
PAUSE_SECONDS = 0.005  #: one by one, with so long between them for others' requests,
CROWD = 250  #: or more together where more than so many follow: a thousand hear within some three seconds


class Changes:
    """Everybody who waits is woken by `tell`, of a crowd one after the other; nobody misses a change after the number they know."""

    def __init__(self) -> None:
        self.number = 0
        self._alone: dict[asyncio.Future[None], None] = {}  #: in the order in which they came
        self._crowd: dict[asyncio.Future[None], None] = {}
        self._due: deque[asyncio.Future[None]] = deque()
        self._following = False

    def tell(self) -> None:
        """Wake all who wait."""
        self.number += 1
        for turn in self._alone:
            _give(turn)
        self._due += self._crowd
        self._alone.clear()
        self._crowd.clear()
        self._wake()

    async def wait(self, timeout_seconds: float, seen: int | None = None, *, in_crowd: bool = False) -> bool:
        """Wait for a change (after the number `seen`); return False when none came in time.

        Who may be one of a crowd waits for a turn as well; everybody else hears at once.
        """
        came = seen is not None and seen != self.number
        if came and not in_crowd:
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._crowd if in_crowd else self._alone
        if came:
            self._due.append(turn)
            self._wake()
        else:
            waiting[turn] = None
        try:
            async with asyncio.timeout(timeout_seconds):
                await turn
            return True
        except TimeoutError:
            return seen is not None and seen != self.number
        finally:
            waiting.pop(turn, None)

    def _wake(self) -> None:
        """Wake the first few; the others follow."""
        if not self._following:
            self._go_on(AT_ONCE)

    def _go_on(self, most: int) -> None:
        """Wake the next ones, and go on until nobody is left."""
        woken = 0
        while self._due and woken < most:
            woken += _give(self._due.popleft())
        self._following = woken > 0
        if woken:
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._go_on, 1 + len(self._due) // CROWD)


def _give(turn: asyncio.Future[None]) -> bool:
    """Wake somebody, unless they have given up."""
    if turn.done():
        return False
    turn.set_result(None)
    return True
