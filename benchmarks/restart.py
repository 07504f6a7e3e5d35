"""How soon a service is ready again that knows 1,000 jobs of which 100 run, and whether those notice it: G17 and G18."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

import docker
import httpx
from measuring import Bound, Report, cpu_of, in_turn, main, own_service
from measuring.many_jobs import add_jobs

import himalia
from himalia.container import Label
from himalia.states import FINAL_STATES, JobState
from himalia_jobs.store import Database, jobs

if TYPE_CHECKING:
    from own_service import OwnService

KNOWN, RUNNING = 1_000, 100
READY_SECONDS, EXTRA = 3.0, 1.01
WORK_SECONDS, MOST_SECONDS = 5.0, 600.0
SETTINGS = """
[limits]
stop_grace = "1s"
[[profiles]]
name = "asleep"
cpus = 0.01
memory = "32M"
[[profiles]]
name = "awake"
cpus = 0.5
memory = "256M"
"""
#: Does some seconds of work, and says how long that took.
COUNT = f"""
import json, time
begun, spent = time.monotonic(), time.process_time()
while time.process_time() - spent < {WORK_SECONDS / 2}:
    sum(range(1000))
with open("/artifacts/told.json", "w") as told:
    json.dump({{"seconds": time.monotonic() - begun}}, told)
"""


def measure(rounds: int, scale: float = 1.0) -> Report:
    """Measure `kill -9` and a new start until all is known again, beside one listing and one query; and jobs that run through it."""
    running, known = max(4, round(RUNNING * scale)), max(10, round(KNOWN * scale))
    report = Report(title=f"A service that starts anew with {known:,} jobs, {running} of them running")
    engine = docker.APIClient(version="auto")
    with own_service(SETTINGS) as service, closing(engine):
        client = service.client()
        himalia.submit(None, command=["true"], profile="asleep", project="bench", client=client).wait(120)
        service.stop()
        add_jobs(service.data / "himalia.sqlite", known - running - 1)
        service.start()
        sleepers = asleep(client, running)
        before = containers(engine, service)
        taken = in_turn(
            rounds,
            {"restart": lambda: restarted(service, running), "look": looked(engine, service)},
            warm_up=False,
        )
        alone, through = [], []
        for _ in range(rounds):
            alone.append(worked(client, lambda: None))
            through.append(worked(client, lambda: restarted(service, running)))
        lost = len(before - containers(engine, service)) + sum(
            job.refresh().state is not JobState.RUNNING for job in sleepers
        )
    report.judge(
        "G17",
        f"killed to ready, {known:,} jobs, {running} running",
        "s",
        taken["restart"].samples,
        bound=Bound(limit=READY_SECONDS),
        cpu_seconds=cpu_of(taken),
    )
    report.judge("G18", f"running jobs lost in {2 * rounds} kills", "", [float(lost)], bound=Bound(limit=0))
    report.judge(
        "G18",
        "time of a job that works meanwhile",
        "s",
        through,
        alone,
        bound=Bound(limit=EXTRA),
        other_side="undisturbed",
    )
    report.add("one listing of containers and one query", "s", taken["look"].samples)
    report.add("killed to ready", "s", taken["restart"].samples, beside="one listing of containers and one query")
    report.notes.append("ready: /health is well, and everybody's running jobs are told; Python's own start is in it")
    return report


def asleep(client: himalia.Client, count: int) -> list[himalia.Job]:
    """Let so many jobs run that do nothing."""
    options = {"profile": "asleep", "project": "bench", "client": client}
    made = [himalia.submit(None, command=["sleep", "3600"], **options) for _ in range(count)]
    deadline = time.monotonic() + MOST_SECONDS
    while sum(1 for _ in client.jobs(state="running", limit=100)) < count:
        assert time.monotonic() < deadline, "they never all ran"
        time.sleep(0.5)
    return made


def restarted(service: OwnService, running: int) -> float:
    """Kill the service, start it, and return the seconds until it is well and tells who runs."""
    service.stop(signal.SIGKILL)
    begun = time.monotonic()
    service.start()
    answer = httpx.get(
        f"{service.url}/jobs?state=running&limit=200", headers={"Authorization": "Bearer ada-token"}, timeout=60
    )
    seconds = time.monotonic() - begun
    assert len(answer.json()["jobs"]) >= running
    return seconds


def looked(engine: docker.APIClient, service: OwnService) -> Callable[[], float]:
    """Return what lists the containers and reads the running jobs, and says how many seconds that took."""

    def look() -> float:
        begun = time.monotonic()
        containers(engine, service)
        with closing(Database(service.data / "himalia.sqlite")) as database:
            database.read_now(lambda db: jobs.in_states(db, {JobState.RUNNING}))
        return time.monotonic() - begun

    return look


def containers(engine: docker.APIClient, service: OwnService) -> set[str]:
    """Return the running containers of an installation."""
    label = f"{Label.INSTALLATION}={service.installation}"
    return {found["Id"] for found in engine.containers(filters={"label": label})}


def worked(client: himalia.Client, meanwhile: Callable[[], object]) -> float:
    """Let a job work while something is done; return how long it took, as it says itself."""
    job = himalia.submit(None, command=["python3", "-c", COUNT], profile="awake", project="bench", client=client)
    while job.refresh().state not in (JobState.RUNNING, *FINAL_STATES):
        time.sleep(0.1)
    meanwhile()
    job.wait(120)
    assert job.state is JobState.SUCCEEDED, job.view
    with client.http.stream(f"jobs/{job.id}/artifacts/told.json") as answer:
        told = json.loads(answer.read())
    return float(told["seconds"])


if __name__ == "__main__":
    main(measure, rounds=3, sized=True)
