"""What others notice while somebody sends what they like, and jobs do what they like: G21."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
from hostility.jobs import JOBS, HostileJob, leave
from hostility.requests import REQUESTS
from hostility.target import Input, Place, Sent, hold, let_go, send, sender
from measuring import Bound, Report, main, own_service
from measuring.probe import Probe

import himalia

if TYPE_CHECKING:
    from own_service import OwnService

SECONDS = 1.0  #: for which others ask, idle and meanwhile; an input that takes longer is waited for
SLOWER, LARGER = 2.0, 1.2
CALM_SECONDS, CALM_LOOKS = 0.25, 8
GPUS = 2
SETTINGS = f"""
[gpus]
simulate = {GPUS}
[[profiles]]
name = "small"
cpus = 0.5
memory = "256M"
"""


@dataclass(kw_only=True)
class Seen:
    """What others noticed of one input, and what it left."""

    name: str
    idle: list[float] = field(default_factory=list)  #: milliseconds within which 95 of 100 answers came
    meanwhile: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)  #: of the service, in bytes: before all rounds, and after them

    @property
    def slower(self) -> float:
        """How much slower others were answered, in the round in the middle."""
        return median(busy / idle for idle, busy in zip(self.idle, self.meanwhile, strict=True))


def measure(rounds: int) -> Report:
    """Measure how fast others are answered, idle and during each hostile input in turn, and the service's memory after it."""
    report = Report(title="Somebody else's requests (95 of 100 answers), idle and while somebody hostile is at work")
    found, sent = [], Sent()
    with own_service(SETTINGS) as service, sender() as process:
        eve = service.client("eve")
        service.client("bob").me()
        place = Place(url=service.url, token=f"{eve.me().name}-token", owner="user:eve", job=leave(eve))
        hold_gpus(service)
        at_first = resident(service)
        for name, work in inputs(service, process, place, sent):
            seen = Seen(name=name, memory=[resident(service)])
            for _ in range(rounds):
                seen.idle.append(answered(service, lambda: time.sleep(SECONDS)))
                seen.meanwhile.append(work())
            seen.memory.append(calm(service, seen.memory[0]))
            found.append(seen)
            click.echo(f"{name}: {seen.slower:.2f} times", err=True)
        at_last = calm(service, at_first)
    for seen in found:
        report.add(f"{seen.name}: idle", "ms", seen.idle)
        report.add(f"{seen.name}: meanwhile", "ms", seen.meanwhile, beside=f"{seen.name}: idle")
        before, after = (number / 2**20 for number in seen.memory)
        report.notes.append(f"{seen.name}: the service's memory {before:.0f} MiB before, {after:.0f} MiB after")
    report.add("the service's memory: before all of it", "MiB", [at_first / 2**20])
    report.add("the service's memory: after all of it", "MiB", [at_last / 2**20], beside=report.figures[-1].name)
    judge(report, found, sent)
    return report


def judge(report: Report, found: list[Seen], sent: Sent) -> None:
    """Judge the goal by the worst of all inputs."""
    report.notes += [f"answered otherwise: {wrong}" for wrong in sent.wrong[:20]]
    what = f"of {sent.count} hostile requests and jobs, those with another end"
    report.judge("G21", what, "", [float(len(sent.wrong))], bound=Bound(limit=0))
    worst = max(found, key=lambda seen: seen.slower)
    what = f"others' GET, p95, during the worst of {len(found)}: {worst.name}"
    report.judge("G21", what, "ms", worst.meanwhile, worst.idle, bound=Bound(limit=SLOWER), other_side="idle")
    most = max(found, key=lambda seen: seen.memory[1] / seen.memory[0])
    mib = [[number / 2**20] for number in reversed(most.memory)]
    what = f"the service's memory after the worst: {most.name}"
    report.judge("G21", what, "MiB", *mib, bound=Bound(limit=LARGER), other_side="before")


def inputs(
    service: OwnService, process: ProcessPoolExecutor, place: Place, sent: Sent
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Yield each hostile input, with what sends it for a second (or runs it once) and returns how others were answered."""

    def asks(work: Input) -> float:
        process.submit(hold, work, place).result()
        try:
            return answered(service, lambda: note(process.submit(send, work, place, SECONDS).result()))
        finally:
            process.submit(let_go).result()

    def runs(job: HostileJob) -> float:
        return answered(service, lambda: note(job.run(service.client("eve"))))

    def note(told: Sent) -> None:
        sent.count += told.count
        sent.wrong += told.wrong

    for name, work in REQUESTS.items():
        yield name, lambda work=work: asks(work)
    for name, job in JOBS.items():
        yield name, lambda job=job: runs(job)


def hold_gpus(service: OwnService) -> None:
    """Let somebody's job have all GPUs: who asks for one waits in line, and no container is started for it."""
    client = service.client("ada")
    command = ["sh", "-c", "echo held; sleep 3600"]
    job = himalia.submit(None, command=command, project="holds", gpus=str(GPUS), cpus=0.1, client=client)
    assert list(islice(job.log(follow=True), 1)), job.refresh().sentence


def answered(service: OwnService, work: Callable[[], None]) -> float:
    """Return within how many milliseconds 95 of 100 answers came to somebody else while something was done."""
    with Probe(f"{service.url}/jobs?limit=50", "bob-token") as probe:
        work()
    return probe.percentile(95)


def resident(service: OwnService) -> float:
    """Return the bytes of memory that the service has."""
    assert service.process is not None
    lines = Path(f"/proc/{service.process.pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def calm(service: OwnService, before: float) -> float:
    """Return the service's memory once it is back where it was, or after a while."""
    for _ in range(CALM_LOOKS):
        if resident(service) <= before:
            break
        time.sleep(CALM_SECONDS)
    return resident(service)


if __name__ == "__main__":
    main(measure, rounds=3)
