"""A queue of keys to work on: duplicates merge, one key is never worked on twice at once, a failure is tried again later."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0

#: What a step answers: done for now (None), or look again after so many seconds.
Step = Callable[[str], Awaitable[float | None]]


class Work:
    """Calls `step(key)` for every key that is added, with a limited number of keys at once."""

    def __init__(self, step: Step, *, at_once: int) -> None:
        self._step = step
        self._limit = asyncio.Semaphore(at_once)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._wake: dict[str, asyncio.Event] = {}
        self._group: asyncio.TaskGroup | None = None

    def start(self, group: asyncio.TaskGroup) -> None:
        """Begin; tasks live in this group."""
        self._group = group

    def add(self, key: str) -> None:
        """See to a key soon; a key that is being worked on is looked at once more."""
        self._again.add(key)
        if key in self._wake:
            self._wake[key].set()
        if key not in self._tasks and self._group is not None:
            self._wake[key] = asyncio.Event()
            self._tasks[key] = self._group.create_task(self._work(key), name=f"work {key}")

    def keys(self) -> set[str]:
        """Return the keys that are being worked on."""
        return set(self._tasks)

    async def _work(self, key: str) -> None:
        failures = 0
        try:
            while key in self._again:
                self._again.discard(key)
                self._wake[key].clear()
                try:
                    async with self._limit:
                        delay = await self._step(key)
                    failures = 0
                except Exception:
                    failures += 1
                    delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** (failures - 1))
                    log.exception("%s failed, next try in %s s", key, delay)
                if delay is not None:
                    await self._pause(key, delay)
                    self._again.add(key)
        finally:
            self._tasks.pop(key, None)
            self._wake.pop(key, None)

    async def _pause(self, key: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake[key].wait()
        except TimeoutError:
            pass


async def repeat(step: Callable[[], Awaitable[None]], *, every_seconds: float) -> None:
    """Run `step` again and again; a step that fails is logged and tried again."""
    while True:
        try:
            await step()
        except Exception:
            log.exception("%s failed, next try in %s s", getattr(step, "__qualname__", step), every_seconds)
        await asyncio.sleep(every_seconds)
