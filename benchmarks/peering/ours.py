"""Himalia: a platform of its own, with the client on the machine itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring import places
from measuring.listening import Listener

import himalia

from .workload import AT_ONCE, NOTEBOOK, SCRIPT, Seen, first_time

if TYPE_CHECKING:
    from live_platform import LivePlatform

SETTINGS = places(4, cpus=0.5, memory_mib=512)


class Ours:
    """Runs jobs in containers."""

    name = "himalia"
    kinds = ("script", "notebook")

    def __init__(self, platform: LivePlatform, client: himalia.Client, listener: Listener, folder: Path) -> None:
        self.platform = platform
        self.client = client
        self.listener = listener
        self.folder = folder

    def submit(self, name: str, folder: Path | None = None) -> himalia.Job:
        """Submit a script or a notebook of a directory."""
        what: dict[str, Any] = {"notebook": name} if name.endswith(".ipynb") else {"command": ["python3", name]}
        return himalia.submit(folder or self.folder, project="peers", client=self.client, **what)

    def run(self, kind: str) -> Seen:
        """Run one, following its log."""
        called = time.time()
        job = self.submit(NOTEBOOK if kind == "notebook" else SCRIPT)
        taken, line, said = time.time(), 0.0, b""
        for block in job.log(follow=True):
            said += block
            line = line or (time.time() if any(word[:1].isdigit() for word in said.split()) else 0.0)
        ended = self.listener.ended(job.id)
        began = float(next(word for word in said.split() if word.replace(b".", b"", 1).isdigit() and len(word) > 12))
        return Seen(taken=taken - called, began=began - called, line=line - called, ended=ended - called)

    def run_many(self, count: int = AT_ONCE) -> float:
        """Submit so many scripts at once."""
        called = time.time()
        jobs = [self.submit(SCRIPT) for _ in range(count)]
        return max(self.listener.ended(job.id) for job in jobs) - called

    def submit_large(self, folder: Path) -> float:
        """Submit a directory: once it is answered, it may be changed."""
        begun = time.monotonic()
        job = self.submit(SCRIPT, folder)
        seconds = time.monotonic() - begun
        job.wait(180)
        return seconds

    def killed(self) -> str:
        """Kill the job service while a job runs; its supervisor starts it again."""
        job = self.submit("long.py")
        first = first_time(next(iter(job.log(follow=True))).decode())
        self.platform.kill("service")
        begun = time.monotonic()
        job.wait(120)
        said = b"".join(job.log()).decode()
        whole = (
            "its whole output is there"
            if said.endswith("done\n") and first_time(said) == first
            else f"of its output {said!r}"
        )
        return f"job service killed: the job went on, and was told {job.state} after {time.monotonic() - begun:.0f} s; it ran once, {whole}"
