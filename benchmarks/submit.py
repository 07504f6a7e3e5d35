"""How long a submit of 2,000 files takes, what it sends, and what others notice at the notebook server meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import Report, main, own_platform
from measuring.probe import Probe

if TYPE_CHECKING:
    from live_platform import LivePlatform

FILES, FILE_BYTES, FOLDERS = 2_000, 100_000, 20
CHANGED = FILES // 100
CPUS = 1
SETTINGS = f'[[profiles]]\nname = "lab"\ncpus = {CPUS}\nmemory = "2G"\n[[profiles]]\nname = "tiny"\ncpus = 0.1\nmemory = "64M"\n'
IDLE_SECONDS = 5.0
SETTLED_SECONDS = 3.0  #: younger files are hashed at each submit: their clock may not have ticked
KINDS = ("cold", "unchanged", "1 % changed")


@dataclass(kw_only=True)
class Samples:
    """What was measured, round by round."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    megabytes: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    idle_ms: list[float] = field(default_factory=list)
    submitting_ms: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    answers: list[int] = field(default_factory=list)


def measure(rounds: int) -> Report:
    """Measure submits through the extension of a real notebook server, as Lab makes them, and its /api/status meanwhile."""
    samples = Samples()
    report = Report(
        title=f"Submit of {FILES} files, {FILES * FILE_BYTES / 1e6:.0f} MB, from a notebook server with {CPUS} CPU"
    )
    with own_platform(SETTINGS) as platform:
        bench = Bench(platform)
        for _ in range(rounds):
            bench.round(samples)
    for kind in KINDS:
        report.add(f"submit, {kind}", "s", samples.seconds[kind], beside="" if kind == "cold" else "submit, cold")
    for kind in KINDS:
        report.add(f"sent, {kind}", "MB", samples.megabytes[kind], beside="" if kind == "cold" else "sent, cold")
    idle = "/api/status p99, idle"
    report.add(idle, "ms", samples.idle_ms)
    for kind in KINDS:
        report.add(f"/api/status p99, {kind}", "ms", samples.submitting_ms[kind], beside=idle)
    report.notes.append(f"p99: each of {min(samples.answers)} to {max(samples.answers)} answers")
    report.notes.append("sent: what the server's network interface counted, with all headers")
    return report


class Bench:
    """A person in a notebook server, with a large directory in the home."""

    def __init__(self, platform: LivePlatform) -> None:
        self.person = platform.person("ada")
        self.person.start_server("lab")
        (found,) = platform.containers("server")
        self.container = platform.docker.containers.get(found.id)
        mounts = {mount["Destination"]: mount["Source"] for mount in self.container.attrs["Mounts"]}
        self.folder = Path(mounts["/home/jovyan"]) / "data"
        self.status = f"{platform.url}/user/{self.person.name}/api/status"

    def round(self, samples: Samples) -> None:
        """Measure each kind alone, then the server's answers: idle, and while each kind is submitted once more."""
        for kind in KINDS:
            self.prepare(kind)
            sent = self.sent_bytes()
            samples.seconds[kind].append(self.submit())
            samples.megabytes[kind].append((self.sent_bytes() - sent) / 1e6)
        samples.idle_ms.append(self.p99(samples, lambda: time.sleep(IDLE_SECONDS)))
        for kind in KINDS:
            self.prepare(kind)
            samples.submitting_ms[kind].append(self.p99(samples, lambda kind=kind: self.submit_for_a_while(kind)))

    def prepare(self, kind: str) -> None:
        """Bring the directory into the state that the kind says; `cold` has nothing that was ever sent."""
        if kind != "unchanged":
            write_files(self.folder, FILES if kind == "cold" else CHANGED)
            time.sleep(SETTLED_SECONDS)

    def submit(self) -> float:
        """Submit the directory as the sidebar does; return seconds until the job was taken."""
        job: dict[str, Any] = {"project": "bench", "profile": "tiny", "command": ["true"]}
        begun = time.monotonic()
        view = self.person.submit("data", job)
        seconds = time.monotonic() - begun
        self.person.ended(view.id)
        return seconds

    def submit_for_a_while(self, kind: str) -> None:
        """Submit once, or what takes no time again and again: a hundredth of ten answers is none."""
        over = time.monotonic() + IDLE_SECONDS
        self.submit()
        while kind == "unchanged" and time.monotonic() < over:
            self.submit()

    def p99(self, samples: Samples, work: Callable[[], object]) -> float:
        """Return how fast 99 of 100 answers came while something was done."""
        with Probe(self.status, self.person.token) as probe:
            work()
        samples.answers.append(len(probe.milliseconds))
        return probe.percentile(99)

    def sent_bytes(self) -> int:
        """Return what the server's container has sent so far."""
        networks = self.container.stats(stream=False, one_shot=True)["networks"]
        return sum(int(one["tx_bytes"]) for one in networks.values())


def write_files(folder: Path, count: int) -> None:
    """Write the first files of the directory anew, with contents that never were before, as the person's own."""
    for number in range(count):
        file = folder / f"{number % FOLDERS:02}" / f"{number:05}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(FILE_BYTES))
        for path in (file, file.parent, folder):
            os.chown(path, 1000, 100)
    os.sync()


if __name__ == "__main__":
    main(measure, rounds=3)
