"""How long a line takes from a job's print to a browser's socket, for one reader and for a hundred: G9."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from measuring import Bound, Report, main, own_platform, percentile
from measuring.turns import busy_seconds

import himalia
from himalia.states import JobState

if TYPE_CHECKING:
    from live_platform import LivePlatform

LINES, PAUSE_SECONDS = 60, 0.1
READERS = {1: 50.0, 100: 100.0}  #: how many there are, and within how many milliseconds 95 of 100 lines must come
PRINT = f"import time\nfor _ in range({LINES}):\n    print(time.time(), flush=True)\n    time.sleep({PAUSE_SECONDS})\n"
BEGINNING = 5  #: lines that came before all readers were there
SETTINGS = '[[profiles]]\nname = "small"\ncpus = 0.5\nmemory = "256M"\n'


def measure(rounds: int) -> Report:
    """Measure the lag of every line of a job that prints ten a second, through the proxy, as browsers read it."""
    report = Report(title="From a job's print to a browser")
    lags: dict[int, list[float]] = {readers: [] for readers in READERS}
    cpu: dict[int, list[float]] = {readers: [] for readers in READERS}
    with own_platform(SETTINGS) as platform, platform.client("ada") as client:
        for _ in range(rounds):
            for readers in READERS:
                before = busy_seconds()
                found = read(platform, client, readers)
                lags[readers].append(percentile(found, 95))
                cpu[readers].append(busy_seconds() - before)
    for readers, most in READERS.items():
        spent = {"himalia": sum(cpu[readers]) / len(cpu[readers])}
        what = f"print to socket, p95, {readers} read"
        report.judge("G9", what, "ms", lags[readers], bound=Bound(limit=most), cpu_seconds=spent)
    report.notes.append(
        f"each of {LINES} lines, one every {PAUSE_SECONDS:g} s, by the clock of the machine; a round: its p95"
    )
    return report


def read(platform: LivePlatform, client: himalia.Client, readers: int) -> list[float]:
    """Let a job print and so many read; return the lag of every line at every reader, in milliseconds."""
    job = himalia.submit(None, command=["python3", "-c", PRINT], project="bench", client=client)
    token = platform.person("ada").token
    found = asyncio.run(_read(f"{platform.url}/services/jobs/api/jobs/{job.id}/logs?follow=1", token, readers))
    job.wait(60)
    assert job.state is JobState.SUCCEEDED, job.view
    return found


async def _read(url: str, token: str, readers: int) -> list[float]:
    return [lag for lags in await asyncio.gather(*(_one(url, token) for _ in range(readers))) for lag in lags]


async def _one(url: str, token: str) -> list[float]:
    """Read a log over a socket, with as little of our own between as can be."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    asked = f"GET {at.path}?{at.query} HTTP/1.1\r\nHost: {at.netloc}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
    writer.write(asked.encode())
    lags: list[float] = []
    async with asyncio.timeout(120):
        while block := await reader.read(65536):
            now = time.time()
            lags += [(now - float(line)) * 1000 for line in block.split(b"\n") if _is_time(line)]
    writer.close()
    assert len(lags) >= LINES // 2, f"{len(lags)} of {LINES} lines came"
    return lags[BEGINNING:]


def _is_time(line: bytes) -> bool:
    """Tell whether a line of an answer is a printed one, and no header or length of a chunk."""
    return len(line) > 12 and line.strip().replace(b".", b"", 1).isdigit()


if __name__ == "__main__":
    main(measure, rounds=3)
