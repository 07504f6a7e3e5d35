"""How long a job takes that prints 1,000,000 lines, whoever reads them, and whether every byte of a log is kept: G10 and G11."""

from __future__ import annotations

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import httpx
from measuring import Bound, Report, cpu_of, in_turn, main, own_platform

import himalia
from himalia.states import JobState
from himalia.units import MiB

if TYPE_CHECKING:
    from live_platform import LivePlatform

LINES = 1_000_000
KEPT = 200 * MiB  #: of a log; the lines are less, the flood of bytes is more
MOST, SEED = 1.5, 7
LINE = "line %d the quick brown fox jumps over the lazy dog 0123456789\n"
#: Prints lines; how long it took from the first to the last, all written out, is no part of its output.
PRINT = """
import json, sys, time
begun, write = time.monotonic(), sys.stdout.write
for number in range({lines}):
    write({line!r} % number)
sys.stdout.flush()
seconds = time.monotonic() - begun
with open("/artifacts/told.json", "w") as told:
    json.dump({{"seconds": seconds, "at": time.time()}}, told)
"""
#: Prints bytes of all values; the same seed gives the same bytes elsewhere.
BYTES = """
import random, sys
chance = random.Random({seed})
for _ in range({blocks}):
    sys.stdout.buffer.write(chance.randbytes(1 << 20))
"""
SETTINGS = f"""
[limits]
cpus = 2
memory = "2G"
log_size = "{KEPT // MiB}M"
[[profiles]]
name = "printer"
cpus = 2
memory = "1G"
"""


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure a job that prints with nobody, one reader, and one who never reads, beside the same into a pipe that is thrown away."""
    lines = max(10_000, round(LINES * scale))
    report = Report(title=f"{lines:,} lines of a job, {KEPT // MiB} MiB of a log kept")
    with own_platform(SETTINGS) as platform, platform.client("ada") as client:
        bench = Printing(platform, client, lines)
        taken = in_turn(
            rounds,
            {
                "pipe": lambda: bench.run(piped=True),
                "nobody": bench.run,
                "one": lambda: bench.run(bench.reading),
                "stalled": lambda: bench.run(bench.stalled),
            },
        )
        wrong = bench.wrong_bytes(scale)
    cpu, pipe = cpu_of(taken), taken["pipe"].samples
    for case, says in (("nobody", "read by nobody"), ("one", "read by one"), ("stalled", "by one who stalls")):
        told = {name: cpu[name] for name in (case, "pipe")}
        what = f"job of {lines:,} lines, {says}"
        report.judge(
            "G10",
            what,
            "s",
            taken[case].samples,
            pipe,
            bound=Bound(limit=MOST),
            other_side="into a pipe",
            cpu_seconds=told,
        )
    report.judge("G11", "bytes of logs that differ or are miscounted", "", wrong, bound=Bound(limit=0))
    report.add("last line printed to last byte read", "s", bench.lags)
    report.notes.append(
        "time from the first line to the last, by the job's own clock; the pipe is `| cat > /dev/null` in a job"
    )
    report.notes.append(
        "G11: a log below the limit, by SHA-256; one above it: beginning, end, and the number of bytes between"
    )
    return report


class Printing:
    """A person whose jobs print."""

    def __init__(self, platform: LivePlatform, client: himalia.Client, lines: int) -> None:
        self.url = platform.service_url
        self.headers = {"Authorization": f"Bearer {platform.person('ada').token}"}
        self.client = client
        self.lines = lines
        self.lags: list[float] = []
        self._last_byte = 0.0  #: when it came to the reader

    def run(self, beside: Callable[[str], AbstractContextManager[None]] | None = None, *, piped: bool = False) -> float:
        """Let a job print; return the seconds that it took, as it says itself."""
        command = ["python3", "-c", PRINT.format(lines=self.lines, line=LINE)]
        if piped:
            command = ["sh", "-c", 'python3 -c "$0" | cat > /dev/null', command[-1]]
        job = himalia.submit(None, command=command, project="bench", client=self.client)
        with beside(job.id) if beside else nullcontext():
            job.wait(300)
        assert job.state is JobState.SUCCEEDED, job.view
        told = json.loads(self._get(f"jobs/{job.id}/artifacts/told.json").content)
        if beside == self.reading:
            self.lags.append(self._last_byte - float(told["at"]))
        job.client.delete(job.id)
        return float(told["seconds"])

    @contextmanager
    def reading(self, job_id: str) -> Iterator[None]:
        """Read all that comes while a block runs, and see that nothing is missing."""
        received: list[int] = []
        thread = threading.Thread(target=self._read, args=(job_id, received), name="reader")
        thread.start()
        yield
        thread.join(120)
        expected = sum(len(LINE % number) for number in range(self.lines))
        assert sum(received) == expected, f"{sum(received)} of {expected} bytes came"

    @contextmanager
    def stalled(self, job_id: str) -> Iterator[None]:
        """Open the log while a block runs, and read nothing of it."""
        with httpx.Client(headers=self.headers, timeout=60, trust_env=False) as client:
            with client.stream("GET", f"{self.url}/jobs/{job_id}/logs", params={"follow": 1}):
                yield

    def wrong_bytes(self, scale: float) -> list[float]:
        """Return how many bytes of a log below the limit, and of one above it, are not what was printed."""
        below, above = max(2, round(64 * scale)), KEPT // MiB + max(2, round(64 * scale))
        return [self._wrong(below), self._wrong(above)]

    def _wrong(self, blocks: int) -> float:
        """Let a job print so many MiB; compare what is kept, and what is said of the rest."""
        command = ["python3", "-c", BYTES.format(seed=SEED, blocks=blocks)]
        job = himalia.submit(None, command=command, project="bench", client=self.client)
        job.wait(300)
        assert job.state is JobState.SUCCEEDED, job.view
        head = self._get(f"jobs/{job.id}/logs?exact=1")
        gap = head.headers.get("Himalia-Log-Gap")
        if gap is None:
            kept, resumed, tail = len(head.content), blocks * MiB, b""
        else:
            rest = self._get(f"jobs/{job.id}/logs?exact=1&offset={gap}")
            kept, resumed, tail = int(gap), int(rest.headers["Himalia-Log-Offset"]), rest.content
        seen = (len(head.content), hashlib.sha256(head.content).hexdigest(), hashlib.sha256(tail).hexdigest())
        job.client.delete(job.id)
        whole = _printed(blocks)
        wanted = (kept, hashlib.sha256(whole[:kept]).hexdigest(), hashlib.sha256(whole[resumed:]).hexdigest())
        counted = len(head.content) + len(tail) + resumed - kept
        return float(abs(counted - len(whole)) + (seen != wanted))

    def _read(self, job_id: str, received: list[int]) -> None:
        with httpx.Client(headers=self.headers, timeout=60, trust_env=False) as client:
            with client.stream("GET", f"{self.url}/jobs/{job_id}/logs", params={"follow": 1}) as answer:
                for block in answer.iter_raw():
                    received.append(len(block))
                    self._last_byte = time.time()

    def _get(self, path: str) -> httpx.Response:
        answer = httpx.get(f"{self.url}/{path}", headers=self.headers, timeout=120, trust_env=False)
        answer.raise_for_status()
        return answer


def _printed(blocks: int) -> bytes:
    """Return what such a job prints."""
    chance = random.Random(SEED)
    return b"".join(chance.randbytes(1 << 20) for _ in range(blocks))


if __name__ == "__main__":
    main(measure, rounds=3, sized=True)
