"""Many who listen at once, half of whom take nothing of what they are sent."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from service_at_work import AtWork
from sqlalchemy import insert

from himalia.models import EventKind
from himalia_jobs.store.clock import now_text
from himalia_jobs.store.tables import events

pytestmark = pytest.mark.asyncio

CROWD = 100 if os.environ.get("HIMALIA_CAMPAIGN") else 30  #: of each kind
LINE = "x" * 2_000
LINES = 2_000
STALLED_SECONDS = 3.0 if CROWD < 100 else 15.0
PATIENCE_SECONDS = 100 + CROWD  #: what comes takes as long as it takes on a busy machine
MARK = b"event: resync"


@asynccontextmanager
async def open_files(count: int) -> AsyncIterator[None]:
    """Let this process have so many files open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, count)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def connected(work: AtWork, *, takes_little: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Ask for the events, and read that it was answered."""
    sock = socket.socket()
    if takes_little:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    host, port = work.http.base_url.host, work.http.base_url.port
    await asyncio.get_running_loop().sock_connect(sock, (host, port))
    reader, writer = await asyncio.open_connection(sock=sock, limit=8192)
    head = "GET /services/jobs/api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ada-token\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(MARK)
    return reader, writer


@asynccontextmanager
async def crowd(work: AtWork, *, takes_little: bool) -> AsyncIterator[list[asyncio.StreamReader]]:
    """Let so many be connected."""
    made: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
    try:
        for _ in range(CROWD):
            made.append(await connected(work, takes_little=takes_little))
        yield [reader for reader, _ in made]
    finally:
        for _, writer in made:
            writer.close()


async def listen(reader: asyncio.StreamReader, heard: Counter[int], number: int) -> None:
    """Take whatever comes, and count the events."""
    rest = b""
    while block := await reader.read(65536):
        heard[number] += (rest + block).count(b"event: ")
        rest = block[-6:]  # one letter less than what is counted


async def slowest(work: AtWork, count: int = 20) -> float:
    """Return how long somebody else waits for an answer, in the 95th of 100 cases."""
    took = []
    for _ in range(count):
        begun = time.monotonic()
        assert (await work.ask("GET", "me", "bob")).status_code == 200
        took.append(time.monotonic() - begun)
    return statistics.quantiles(took, n=20)[-1]


def resident() -> int:
    """Return the bytes of memory that this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(3 * PATIENCE_SECONDS)
@pytest.mark.fault(93)
async def test_who_listens_and_takes_nothing_costs_little_memory_and_is_let_go(work: AtWork, monkeypatch):
    """A crowd that listens, half of it without reading, costs little memory; others are answered, and who takes nothing is let go."""
    monkeypatch.setattr("himalia_jobs.api.base.STALLED_SECONDS", STALLED_SECONDS)
    person = await work.service.hub.named("ada", ())
    heard: Counter[int] = Counter()
    async with (
        open_files(5 * CROWD),
        crowd(work, takes_little=True),
        crowd(work, takes_little=False) as readers,
    ):
        alone, before = await slowest(work), resident()
        tasks = [asyncio.create_task(listen(reader, heard, at)) for at, reader in enumerate(readers)]

        row = {"at": now_text(), "kind": str(EventKind.INTERVENTION), "owner_id": person.id, "detail": LINE}
        await work.service.db.write(lambda db: db.execute(insert(events), [row] * LINES))
        work.service.changes.tell()
        meanwhile = await slowest(work)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while min(heard[at] for at in range(CROWD)) < LINES:
                await asyncio.sleep(0.05)
        grown = resident() - before
        async with asyncio.timeout(PATIENCE_SECONDS):
            while work.service.changes.listeners > CROWD:  # who takes nothing is let go
                await asyncio.sleep(0.05)

        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    told = f"p95 {alone * 1000:.0f} ms alone, {meanwhile * 1000:.0f} ms meanwhile; {grown / 2**20:.0f} MiB"
    print(told)

    assert {heard[at] for at in range(CROWD)} == {LINES}
    assert grown < CROWD * LINES * len(LINE) / 2, told
    assert meanwhile < 2 * alone + 2.0, told  # all of them share one thread with the service
