"""The stream of events, as somebody hears it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from service_at_work import AtWork


@asynccontextmanager
async def listener(
    work: AtWork, who: str = "ada", last: int | None = None
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Open the stream of events as somebody."""
    headers = {"Authorization": f"Bearer {who}-token"} | ({"Last-Event-ID": str(last)} if last is not None else {})

    async def parsed(lines: AsyncIterator[str]) -> AsyncIterator[dict[str, Any]]:
        async for line in lines:
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))

    async with asyncio.timeout(20), work.http.stream("GET", "/services/jobs/api/events", headers=headers) as stream:
        assert stream.headers["Content-Type"] == "text/event-stream"
        yield parsed(stream.aiter_lines())
