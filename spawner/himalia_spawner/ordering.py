"""Calls of the Docker Engine: many servers at once, one call after the other for each.

A call that nobody waits for any more (a start that was cancelled) still runs in its thread. The next call for the
same server waits until it is over; otherwise a container could appear after it was looked for and removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar
from weakref import WeakValueDictionary

THREADS = 16
Answer = TypeVar("Answer")
Key = tuple[str, str]  #: user and server


class EngineCalls:
    """A pool of threads of its own, with an order for each server."""

    def __init__(self, threads: int = THREADS) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="docker")
        self._locks: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()

    async def call(self, key: Key, function: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """Run a function in the pool, after the earlier ones of the same server."""
        lock = self._locks.setdefault(key, asyncio.Lock())
        await lock.acquire()
        try:
            work: Future[Answer] = self.pool.submit(function, *args, **options)
        except BaseException:
            lock.release()
            raise
        loop = asyncio.get_running_loop()
        work.add_done_callback(lambda _: _release(loop, lock))
        return await asyncio.wrap_future(work)


def _release(loop: asyncio.AbstractEventLoop, lock: asyncio.Lock) -> None:
    """Let the next call go, unless the hub has stopped meanwhile."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(lock.release)
