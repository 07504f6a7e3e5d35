"""How long a GPU is idle while somebody waits for it: from the end of one container to the start of the next."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import docker
from measuring import Report, main, one_person

import himalia

IMAGE = "himalia/server:dev"
SETTINGS = '[gpus]\nsimulate = 1\n\n[[profiles]]\nname = "gpu"\ncpus = 1\nmemory = "1G"\ngpus = "1"\n'
MOST_SECONDS = 60.0


def measure(rounds: int) -> Report:
    """Measure the time between two jobs on one simulated GPU, and `docker run`, in turn; by the Engine's own events."""
    report = Report(title="From the end of a container to the start of the next on its GPU")
    between, engine = [], []
    with one_person(SETTINGS) as (client, folder):
        for _ in range(rounds):
            between.append(handed_over(client, folder))
            engine.append(docker_run())
    report.add("docker run: call to start", "s", engine)
    report.add("end of one job to start of the next", "s", between, beside="docker run: call to start")
    report.notes.append(
        "both by the time stamps of the Engine's events `die` and `start`; the second job waits in line"
    )
    return report


def handed_over(client: himalia.Client, folder: str) -> float:
    """Return seconds from the end of a job's container to the start of that of the job that waits for its GPU."""
    begun = time.time()
    jobs = [
        himalia.submit(folder, command=command, profile="gpu", project="bench", client=client)
        for command in (["sleep", "2"], ["true"])
    ]
    for job in jobs:
        job.wait(MOST_SECONDS)
    happened = {(whose, action): at for whose, action, at in events(begun)}
    return happened[jobs[1].id, "start"] - happened[jobs[0].id, "die"]


def docker_run() -> float:
    """Return seconds from the call of `docker run` to the start of its container."""
    begun = time.time()
    name = f"himalia-bench-{time.time_ns()}"
    subprocess.run(["docker", "run", "--rm", "--name", name, IMAGE, "true"], check=True, timeout=MOST_SECONDS)
    return next(at for found, action, at in events(begun) if (found, action) == (name, "start")) - begun


def events(since: float) -> Iterator[tuple[str, str, float]]:
    """Yield (job or container, what happened, when) since a moment."""
    engine = docker.from_env()
    filters = {"type": "container", "event": ["start", "die"]}
    for event in engine.events(since=since, until=time.time(), filters=filters, decode=True):
        seen = event["Actor"]["Attributes"]
        yield seen.get("himalia.job", seen["name"]), event["Action"], event["timeNano"] / 1e9
    engine.close()


if __name__ == "__main__":
    main(measure, rounds=30)
