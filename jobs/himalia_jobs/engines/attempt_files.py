"""What the local engine reads of an attempt's files: its log and its artifacts."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from ..layout import DataLayout
from .base import ArtifactEntry, LogChunk, LogTime
from .hostile import open_regular
from .journal import Journal
from .listing import entry_of, page
from .logfiles import read_log, read_log_times

Result = TypeVar("Result")


class AttemptFiles:
    """The part of the local engine that needs no Docker: files, read in threads of its own."""

    def __init__(self, layout: DataLayout, journal: Journal) -> None:
        self.layout = layout
        self._journal = journal
        self._files = ThreadPoolExecutor(8, thread_name_prefix="engine-files")

    async def read_log(self, attempt: str, offset: int, limit: int) -> LogChunk:
        """Return bytes of the log from an offset."""
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
