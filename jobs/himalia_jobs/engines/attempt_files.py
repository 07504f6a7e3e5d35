"""What the local engine reads of an attempt's files: its log and its artifacts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from ..hostile import open_regular
from ..layout import DataLayout
from .base import ArtifactEntry, LogChunk, LogTime
from .journal import Journal
from .listing import entry_of, page
from .log_watch import LogWatch
from .logfiles import read_log, read_log_times

Result = TypeVar("Result")


class AttemptFiles:
    """The part of the local engine that needs no Docker: files, read in threads of its own."""

    def __init__(self, layout: DataLayout, journal: Journal) -> None:
        self.layout = layout
        self._journal = journal
        self._files = ThreadPoolExecutor(8, thread_name_prefix="engine-files")
        self._logs = LogWatch(self._in_thread)
        self._reads: dict[tuple[object, ...], asyncio.Future[LogChunk]] = {}  #: under way now

    async def read_log(self, attempt: str, offset: int, limit: int, wait_seconds: float = 0.0) -> LogChunk:
        """Return bytes of the log from an offset; of all who wait for the same, one reads."""
        if not wait_seconds:
            return await self._read_log(attempt, offset, limit)
        own = self.layout.attempt(attempt)
        seen = await self._logs.number(own)
        chunk = await self._read_once(attempt, offset, limit, seen)
        if chunk.data or chunk.ended:
            return chunk
        await self._logs.wait(own, seen, wait_seconds)
        return await self._read_once(attempt, offset, limit, await self._logs.number(own))

    async def _read_once(self, attempt: str, offset: int, limit: int, seen: int) -> LogChunk:
        """Read what nobody reads yet: all who heard the same news at one time want the same."""
        wanted = (attempt, offset, limit, seen)
        if wanted not in self._reads:
            self._reads[wanted] = asyncio.ensure_future(self._read_log(attempt, offset, limit))
            self._reads[wanted].add_done_callback(lambda _: self._reads.pop(wanted))
        return await asyncio.shield(self._reads[wanted])

    async def _read_log(self, attempt: str, offset: int, limit: int) -> LogChunk:
        chunk: LogChunk = await self._in_thread(read_log, self.layout.attempt(attempt), offset, limit)
        if chunk.data or chunk.ended:
            return chunk
        entry = await self._in_thread(self._journal.find, attempt)
        return replace(chunk, ended=entry is not None and entry.forgotten)

    async def log_times(
        self, attempt: str, *, since: datetime | None = None, first: int = 0, last: int = 0
    ) -> Sequence[LogTime]:
        """Return when bytes of the log came."""
        return await self._in_thread(read_log_times, self.layout.attempt(attempt), since, first, last)

    async def artifacts(self, attempt: str, most: int = 10_000, after: str = "") -> tuple[Sequence[ArtifactEntry], str]:
        """Return a page of what is in `/artifacts`, sorted by path."""
        return await self._in_thread(page, self.layout.attempt(attempt) / "artifacts", most, after)

    async def open_artifact(self, attempt: str, path: str) -> tuple[int, ArtifactEntry]:
        """Return a descriptor of a regular file and its entry."""
        descriptor = await self._in_thread(open_regular, self.layout.attempt(attempt) / "artifacts", path)
        return descriptor, entry_of(path, os.fstat(descriptor))

    async def _in_thread(self, call: Callable[..., Result], *args: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._files, call, *args)
