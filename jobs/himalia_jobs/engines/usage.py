"""What attempts use: the Engine's statistics, two looks apart."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from docker.errors import APIError

from .base import Usage
from .calls import DockerCalls
from .errors import EngineError

NANOSECONDS = 1_000_000_000


class Meter:
    """Remembers the last look at each attempt, so that the next can tell how many CPUs it used in between."""

    def __init__(self, docker: DockerCalls) -> None:
        self._docker = docker
        self._last: dict[str, tuple[datetime, int]] = {}

    async def read(self, handles: Mapping[str, str]) -> Sequence[Usage]:
        """Return what these attempts use now; one that has just ended is left out."""
        found = await asyncio.gather(*(self._one(attempt, handle) for attempt, handle in handles.items()))
        self._last = {attempt: seen for attempt, seen in self._last.items() if attempt in handles}
        return [usage for usage in found if usage is not None]

    async def _one(self, attempt: str, handle: str) -> Usage | None:
        try:
            stats: dict[str, Any] = await self._docker("stats", handle, stream=False, one_shot=True, timeout=10)
        except (APIError, EngineError):
            return None
        now, total = datetime.now(UTC), int(stats.get("cpu_stats", {}).get("cpu_usage", {}).get("total_usage") or 0)
        before = self._last.get(attempt)
        self._last[attempt] = (now, total)
        memory = stats.get("memory_stats", {})
        cache = int(
            memory.get("stats", {}).get("total_inactive_file") or memory.get("stats", {}).get("inactive_file") or 0
        )
        used = memory.get("usage")
        return Usage(
            attempt=attempt,
            at=now,
            cpu_percent=_percent(before, now, total),
            memory_bytes=max(0, int(used) - cache) if used is not None else None,
        )


def _percent(before: tuple[datetime, int] | None, now: datetime, total: int) -> float | None:
    if before is None:
        return None
    seconds = (now - before[0]).total_seconds()
    return round(max(0.0, (total - before[1]) / NANOSECONDS / seconds * 100), 1) if seconds > 0 else None
