"""How soon a job's command begins after the submit, and how soon its end is heard: G1, G2 and G4, beside the Engine alone."""

from __future__ import annotations

import time
from dataclasses import dataclass

from measuring import Bound, Report, cpu_of, in_turn, main, own_platform, percentile, someone
from measuring.bare import BareEngine, bare_engine, docker_run
from measuring.listening import Listener

import himalia
from himalia.container import network_name
from himalia.units import GiB

IMAGE = "himalia/server:dev"
COMMAND = ["date", "+%s.%N"]  #: says when it began, and ends at once
CPUS = 1.0
SETTINGS = f'[[profiles]]\nname = "small"\ncpus = {CPUS:g}\nmemory = "1G"\n'
MOST, MOST_OF_P95, STRETCH, MOST_OF_END = 1.25, 1.6, 0.75, 1.3


@dataclass(frozen=True, kw_only=True)
class Life:
    """One run of the command: seconds until it began, until its first line was read, and from its end until that was known."""

    began: float
    read: float
    ended: float = 0.0


def measure(rounds: int) -> Report:
    """Measure a job's beginning and end through the whole service, the Engine's own SDK, and `docker run`, in turn."""
    report = Report(title="From submit to a command's first instruction, and from its end to whoever waits for it")
    with own_platform(SETTINGS) as platform, someone(platform) as (client, folder):
        network = network_name(platform.place.installation, "job")
        token = platform.person("ada").token
        with (
            Listener(platform.service_url, token) as listener,
            bare_engine(IMAGE, network, cpus=CPUS, memory_bytes=GiB) as engine,
        ):
            taken = in_turn(
                rounds,
                {
                    "himalia": lambda: job(client, folder, listener),
                    "SDK": lambda: bare(engine),
                    "docker run": lambda: run(),
                    "docker run, no network": lambda: run("--network", "none"),
                },
            )
    ours, sdk = taken["himalia"].samples, taken["SDK"].samples
    began, bare_began = [one.began for one in ours], [one.began for one in sdk]
    cpu = cpu_of(taken)
    alone = [one.began for one in taken["docker run, no network"].samples]
    both = {name: cpu[name] for name in ("himalia", "SDK")}
    what, beside = "submit to first instruction", "SDK, same image, limits and network"
    report.judge("G1", what, "s", began, bare_began, bound=Bound(limit=MOST), other_side=beside, cpu_seconds=both)
    p95 = [percentile(began, 95)], [percentile(bare_began, 95)]
    report.judge("G1", f"{what}, p95", "s", *p95, bound=Bound(limit=MOST_OF_P95), other_side=beside)
    report.judge(
        "G2",
        what,
        "s",
        began,
        alone,
        bound=Bound(limit=STRETCH),
        other_side="docker run --network none",
        stretch=True,
        cpu_seconds={name: cpu[name] for name in ("himalia", "docker run, no network")},
    )
    report.judge(
        "G4",
        "exit to final state heard by a browser",
        "s",
        [one.ended for one in ours],
        [one.ended for one in sdk],
        bound=Bound(limit=MOST_OF_END),
        other_side="SDK's wait",
        cpu_seconds=both,
    )
    report.add("docker run, first line", "s", [one.read for one in taken["docker run"].samples])
    report.add("himalia submit, first line", "s", [one.read for one in ours], beside="docker run, first line")
    report.notes.append(
        "himalia submit: an unchanged directory with one file, by the SDK, log followed from the first byte"
    )
    return report


def job(client: himalia.Client, folder: str, listener: Listener) -> Life:
    """Submit the command with an unchanged directory, follow its log, and hear its end."""
    called = time.time()
    submitted = himalia.submit(folder, command=COMMAND, project="bench", client=client)
    first = next(iter(submitted.log(follow=True)))
    read = time.time()
    began, heard = float(first), listener.ended(submitted.id)
    return Life(began=began - called, read=read - called, ended=heard - began)


def bare(engine: BareEngine) -> Life:
    """Make, start and wait for a container with the command."""
    ran = engine.run(COMMAND, output=True)
    began = float(ran.output)
    return Life(began=began - ran.called, read=began - ran.called, ended=ran.over - began)


def run(*options: str) -> Life:
    """Run the command by `docker run`."""
    called, seen, line = docker_run(IMAGE, COMMAND, *options)
    return Life(began=float(line) - called, read=seen - called)


if __name__ == "__main__":
    main(measure, rounds=12)
