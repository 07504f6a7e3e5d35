"""What is left of attempts that have ended once their container is gone: it is removed while nobody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from .errors import EngineError
from .journal import Journal
from .making import Maker

log = logging.getLogger(__name__)

LATER_SECONDS = 0.1  #: who waits for the end hears of it first
CLOSING_SECONDS = 5.0  #: what is under way may take so long when the service stops; the next one finds what is left

InThread = Callable[..., Awaitable[Any]]


class Remains:
    """Removes the workspace's volume, and notes then that the tombstone is all that is left."""

    def __init__(self, maker: Maker, journal: Journal, in_thread: InThread) -> None:
        self._maker = maker
        self._journal = journal
        self._in_thread = in_thread
        self._refused: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Begin to remove what an earlier service left."""
        for attempt in await self._in_thread(self._journal.remains):
            self.remove(attempt)

    def remove(self, attempt: str) -> None:
        """Begin to remove what is left of a forgotten attempt; where the Engine refuses it is tried again later."""
        if attempt not in self._tasks:
            self._tasks[attempt] = asyncio.create_task(self._remove(attempt), name=f"remains of {attempt}")

    async def tend(self) -> None:
        """Begin once more to remove what was refused."""
        for attempt in sorted(self._refused):
            self.remove(attempt)

    async def close(self) -> None:
        """Let what is under way come to its end."""
        if self._tasks:
            _, pending = await asyncio.wait(self._tasks.values(), timeout=CLOSING_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _remove(self, attempt: str) -> None:
        try:
            await asyncio.sleep(LATER_SECONDS)
            await self._maker.remove_volume(attempt)
            await self._in_thread(self._journal.forgotten, attempt)
            self._refused.discard(attempt)
        except EngineError as error:
            self._refused.add(attempt)
            log.warning("what is left of %s cannot be removed yet: %s", attempt, error)
        except Exception:  # nobody awaits this; whatever it was, it is tried again
            self._refused.add(attempt)
            log.exception("what is left of %s cannot be removed yet", attempt)
        finally:
            del self._tasks[attempt]
