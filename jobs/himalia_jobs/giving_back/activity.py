"""What the kernels of notebook servers do, asked so that the asking is no activity.

A server is asked at its own address and not through the proxy, with `no_track_activity`, which keeps Jupyter from taking the
question for use; and with the token that the server knows itself by, since whoever it belongs to may read all it is sent.
What it answers is a stranger's: it is cut off at a size, and no redirection is followed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import httpx

from ..engines.base import Door

TIMEOUT_SECONDS = 5.0
LONGEST_ANSWER = 1024 * 1024
AT_ONCE = 16
#: Servers are asked in plain HTTP. To read the certificates of the world for each look would keep everybody waiting for 50 ms.
TRUSTS_NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
SILENT_SECONDS = 400.0  #: on end; after that its GPUs alone say whether it is used


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """What the kernels of a server do; `stamp` changes whenever one of them has done something."""

    busy: bool
    stamp: str = ""


class Activity:
    """Asks servers, and remembers since when each has not answered."""

    def __init__(self) -> None:
        self._silent: dict[str, float] = {}
        self._loaded = False
        self._room = asyncio.Semaphore(AT_ONCE)

    async def look(self, doors: Iterable[Door], now: float) -> dict[str, Kernels | None]:
        """Return what the kernels do, by lease; none: the server does not say, and may do so again soon.

        `now` is in seconds, of a clock that is never set.
        """
        asked = list(doors)
        if not asked:
            self._silent = {}
            return {}
        if not self._loaded:
            self._loaded = True
            await asyncio.to_thread(asyncio.run, _load())
        async with _client() as http:
            answers = await asyncio.gather(*(self._ask(http, door) for door in asked))
        found: dict[str, Kernels | None] = {}
        silent: dict[str, float] = {}
        for door, answer in zip(asked, answers, strict=True):
            found[door.lease_id] = answer
            if answer is None:
                silent[door.lease_id] = self._silent.get(door.lease_id, now)
                if now - silent[door.lease_id] >= SILENT_SECONDS:
                    found[door.lease_id] = Kernels(busy=False)
        self._silent = silent
        return found

    async def _ask(self, http: httpx.AsyncClient, door: Door) -> Kernels | None:
        async with self._room:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    return await _asked(http, door)
            except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, ValueError, RecursionError):
                return None


def _client() -> httpx.AsyncClient:
    """Return a client; no proxy of the environment may stand between, and nothing is kept: a server may be gone at any moment."""
    return httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, follow_redirects=False, verify=TRUSTS_NOBODY)


async def _load() -> None:
    """Have httpx load what it loads with its first client: in a loop of a thread, as others would wait 0.2 s for it."""
    async with _client():
        pass


async def _asked(http: httpx.AsyncClient, door: Door) -> Kernels | None:
    headers = {"Authorization": f"token {door.token}", "Accept-Encoding": "identity"}
    url = f"{door.url}api/kernels"
    async with http.stream("GET", url, params={"no_track_activity": "1"}, headers=headers) as answer:
        if answer.status_code == 404:
            return Kernels(busy=False)  # a server of another kind: it has none
        if answer.status_code != 200:
            return None
        body = b""
        async for block in answer.aiter_raw():
            body += block
            if len(body) > LONGEST_ANSWER:
                return None
    return kernels_of(json.loads(body))


def kernels_of(answer: Any) -> Kernels:
    """Return what the kernels of a server's answer do; raise ValueError where that is no list of kernels."""
    if not isinstance(answer, list) or not all(isinstance(kernel, dict) for kernel in answer):
        raise ValueError("no list of kernels")
    stamps = (str(kernel.get("last_activity") or "")[:64] for kernel in answer)
    return Kernels(
        busy=any(kernel.get("execution_state") == "busy" for kernel in answer), stamp=max(stamps, default="")
    )
