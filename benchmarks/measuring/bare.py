"""The Engine alone, by its own SDK: a container like those of jobs, without us."""

from __future__ import annotations

import contextlib
import subprocess
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import docker

from himalia.container import host_config
from himalia_jobs.engines.limits import ulimits

LABEL = "himalia-benchmark"
MOST_SECONDS = 120


@dataclass(frozen=True, kw_only=True)
class Ran:
    """One container's life, by the wall clock."""

    called: float
    started: float  #: the call to start it was answered
    over: float  #: `wait` was answered
    output: bytes


class BareEngine:
    """Makes, starts, waits for and removes containers of one image, with the hardening and the network of jobs."""

    def __init__(self, image: str, network: str, *, cpus: float, memory_bytes: int) -> None:
        self._docker = docker.APIClient(version="auto", timeout=MOST_SECONDS, max_pool_size=20)
        self._image = str(self._docker.inspect_image(image)["Id"])
        self._host = host_config(cpus=cpus, memory_bytes=memory_bytes, ulimits=ulimits()) | {"NetworkMode": network}
        self._run = uuid.uuid4().hex[:8]
        self._count = 0

    def run(self, command: Sequence[str], *, output: bool = False) -> Ran:
        """Run a command to its end, and leave nothing."""
        called = time.time()
        made = self.create(command, log="json-file" if output else "none")
        self._docker.start(made)
        started = time.time()
        self._docker.wait(made)
        over = time.time()
        said = self._docker.logs(made) if output else b""
        self._docker.remove_container(made, force=True)
        return Ran(called=called, started=started, over=over, output=said)

    def create(self, command: Sequence[str], *, log: str = "none") -> str:
        """Make a container, and return its id."""
        self._count += 1
        body: dict[str, Any] = {
            "Image": self._image,
            "Entrypoint": [],
            "Cmd": list(command),
            "User": "1000:100",
            "WorkingDir": "/",
            "Labels": {LABEL: self._run},
            "HostConfig": self._host | {"LogConfig": {"Type": log, "Config": {}}},
        }
        name = f"{LABEL}-{self._run}-{self._count}"
        return str(self._docker.create_container_from_config(body, name)["Id"])

    def close(self) -> None:
        """Remove what is left of a run that was cut short."""
        for found in self._docker.containers(all=True, filters={"label": f"{LABEL}={self._run}"}):
            with contextlib.suppress(docker.errors.APIError):
                self._docker.remove_container(found["Id"], force=True)
        self._docker.close()


@contextlib.contextmanager
def bare_engine(image: str, network: str, *, cpus: float, memory_bytes: int) -> Iterator[BareEngine]:
    """Give the Engine; it is cleared of what was made there."""
    engine = BareEngine(image, network, cpus=cpus, memory_bytes=memory_bytes)
    try:
        yield engine
    finally:
        engine.close()


def docker_run(image: str, command: Sequence[str], *options: str) -> tuple[float, float, bytes]:
    """Run `docker run`; return when it was called, when its first line came, and that line."""
    called = time.time()
    with subprocess.Popen(["docker", "run", "--rm", *options, image, *command], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        seen = time.time()
        process.wait(MOST_SECONDS)
    return called, seen, first
