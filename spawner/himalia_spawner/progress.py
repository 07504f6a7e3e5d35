"""What a start of a server tells the people who watch it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any


class Progress:
    """The last thing that was said, for any number of listeners."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self._changed = asyncio.Event()
        self._ended = False

    def say(self, message: str, progress: int) -> None:
        """Tell something; the same thing again is not told twice."""
        step = {"progress": progress, "message": message}
        if step != self._last:
            self._last = step
            self._wake()

    def begin(self) -> None:
        """Forget what an earlier start said."""
        self._last, self._ended = None, False

    def end(self) -> None:
        """Let the listeners go."""
        self._ended = True
        self._wake()

    async def follow(self) -> AsyncIterator[dict[str, Any]]:
        """Yield what is said, from the last thing on, until the end."""
        told: dict[str, Any] | None = None
        while not self._ended:
            if self._last is told:
                await self._changed.wait()
            elif self._last is not None:
                told = self._last
                yield told

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
