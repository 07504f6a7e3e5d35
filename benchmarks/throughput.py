"""How many small jobs a second go through four places, beside the Engine's own SDK, and what each costs the hub: G3 and G20."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from measuring import Bound, Report, cpu_of, in_turn, main, own_platform, places, someone
from measuring.bare import BareEngine, bare_engine
from measuring.listening import Listener

import himalia
from himalia.container import network_name
from himalia.units import MiB

IMAGE = "himalia/server:dev"
COMMAND = ["true"]
JOBS, PLACES = 40, 4
CPUS, MEMORY_MIB = 0.5, 256
SETTINGS = places(PLACES, cpus=CPUS, memory_mib=MEMORY_MIB)
LEAST_SHARE, MOST_HUB_MILLISECONDS = 0.85, 3.0
IDLE_SECONDS = 5.0
TICKS = os.sysconf("SC_CLK_TCK")


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure jobs a second: all of them submitted at once, four at a time; and four threads of the Engine's own SDK, in turn."""
    count = max(PLACES, round(JOBS * scale))
    report = Report(title=f"{count} jobs that do nothing, {PLACES} at a time")
    hub: list[float] = []
    with own_platform(SETTINGS) as platform, someone(platform) as (client, folder):
        network = network_name(platform.place.installation, "job")

        def ours() -> float:
            pid = platform.pid("hub")
            before, begun = process_seconds(pid), time.monotonic()
            rate = submitted(client, folder, listener, count)
            spent = process_seconds(pid) - before - idle * (time.monotonic() - begun)
            hub.append(max(0.0, spent) * 1000 / count)
            return rate

        with (
            Listener(platform.service_url, platform.person("ada").token) as listener,
            bare_engine(IMAGE, network, cpus=CPUS, memory_bytes=MEMORY_MIB * MiB) as engine,
        ):
            submitted(client, folder, listener, PLACES)
            idle = idle_share(platform.pid("hub"))
            taken = in_turn(rounds, {"himalia": ours, "SDK": lambda: sdk(engine, count)}, warm_up=False)
    report.judge(
        "G3",
        f"jobs a second, {PLACES} at a time",
        "1/s",
        taken["himalia"].samples,
        taken["SDK"].samples,
        bound=Bound(limit=LEAST_SHARE, at_least=True),
        other_side=f"SDK, {PLACES} threads",
        cpu_seconds=cpu_of(taken),
    )
    report.judge("G20", "the hub's CPU for a job", "ms", hub, bound=Bound(limit=MOST_HUB_MILLISECONDS))
    report.notes.append(
        "all from the first submit to the last end; the hub's CPU beyond what it takes when nobody asks it"
    )
    return report


def submitted(client: himalia.Client, folder: str, listener: Listener, count: int) -> float:
    """Submit so many jobs and wait for all; return jobs a second."""
    begun = time.time()
    jobs = [himalia.submit(folder, command=COMMAND, project="bench", client=client) for _ in range(count)]
    return count / (max(listener.ended(job.id) for job in jobs) - begun)


def sdk(engine: BareEngine, count: int) -> float:
    """Run so many containers in as many threads as there are places; return containers a second."""
    begun = time.monotonic()
    with ThreadPoolExecutor(PLACES) as threads:
        list(threads.map(lambda _: engine.run(COMMAND), range(count)))
    return count / (time.monotonic() - begun)


def idle_share(pid: int) -> float:
    """Return how much CPU time a process takes in a second when nobody asks it for anything."""
    before = process_seconds(pid)
    time.sleep(IDLE_SECONDS)
    return (process_seconds(pid) - before) / IDLE_SECONDS


def process_seconds(pid: int) -> float:
    """Return the CPU time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


if __name__ == "__main__":
    main(measure, rounds=3, sized=True)
