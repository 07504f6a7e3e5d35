"""A job service of a test's own, as a process: on a real Docker Engine, and with a hub that is a fake."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from hub import EVERYTHING, FakeHub
from live_platform import eventually, free_ports
from own_engine import Doorway, OwnEngine

import himalia
from himalia.credentials import load_credentials
from himalia_spawner.platform.engine import belongings, remove_belongings

START_SECONDS = 240.0  #: on a machine that does much else
SETTINGS = """
[limits]
disk_reserve = "8M"
stop_grace = "2s"
[gpus]
simulate = 2
[[profiles]]
name = "tiny"
cpus = 0.1
memory = "64M"
"""


class HubThread:
    """A `FakeHub` that runs beside the test; `enter` takes its thread to another machine's network."""

    def __init__(self, port: int, enter: Callable[[], None] | None = None) -> None:
        self.hub = FakeHub("0.0.0.0", port)
        self._loop = asyncio.new_event_loop()
        if enter is not None:
            self._loop.call_soon(enter)
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self.hub.listen())

    def end(self) -> None:
        """Stop listening, and end the thread."""
        self._do(self.hub.hang_up())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(20)


class OwnService:
    """A service that tests stop, kill and start again; `data` is its data directory.

    Without a machine of its own it works on the Docker Engine of this one.
    """

    def __init__(
        self, folder: Path, data: Path | None = None, settings: str = SETTINGS, machine: OwnEngine | None = None
    ) -> None:
        self.folder = folder
        self.data = data or folder / "data"
        self.port, hub_port = free_ports(2)
        self._kept = kept(self.port)
        self.config = folder / "himalia.toml"
        ports = f"service_port = {self.port}\nhub_port = {hub_port}\n"
        self.config.write_text(f'[platform]\ndata = "{self.data}"\n{ports}{settings}')
        self.installation = load_credentials(self.data).installation
        self.machine = machine
        self.hub = HubThread(hub_port, machine.enter_network if machine else None)
        self._door = Doorway(machine, self.port) if machine else None
        self.process: subprocess.Popen[bytes] | None = None
        self.program: tuple[str | Path, ...] = (Path(sys.executable).with_name("himalia-service"),)
        self.environment: dict[str, str] = {}  #: what the process gets beside the test's own
        self._clients: dict[str, himalia.Client] = {}

    @property
    def url(self) -> str:
        """The service's API."""
        return f"http://127.0.0.1:{self.port}/services/jobs/api"

    def start(self, *options: str, ready: bool = True) -> None:
        """Start the process, and wait until it answers: well, or (not `ready`) with what is wrong."""
        self.begin(*options)
        eventually(lambda: self._is_up(ready), START_SECONDS)

    def begin(self, *options: str) -> None:
        """Start the process, and wait for nothing."""
        with (self.folder / "service.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*(self.machine.inside if self.machine else ()), *self.program, "--config", self.config, *options],
                stdout=log,
                stderr=log,
                env=os.environ | ({"DOCKER_HOST": self.machine.host} if self.machine else {}) | self.environment,
            )

    def _is_up(self, ready: bool) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"the service ended:\n{self.log()[-3000:]}"
        answer = self.health()
        up = answer is not None and (answer.status_code == 200 or not ready)
        assert up or "pool" not in self.log(), f"the Engine has no addresses left:\n{self.log()[-1000:]}"
        return up

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process; return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(30)
        self.process = None
        return code

    def health(self) -> httpx.Response | None:
        """Return how the service is; none while it does not listen."""
        try:
            return httpx.get(f"{self.url}/health", timeout=10)
        except httpx.TransportError:
            return None

    def complaints(self) -> str:
        """Return what is wrong, in words."""
        answer = self.health()
        return " ".join(answer.json()["sentences"]) if answer is not None else "it does not listen"

    def client(self, name: str = "ada") -> himalia.Client:
        """Return the client of somebody whom the hub knows."""
        if name not in self._clients:
            token = self.hub.hub.knows(name) if f"{name}-token" not in self.hub.hub.tokens else f"{name}-token"
            self._clients[name] = himalia.Client(self.url, token)
        return self._clients[name]

    def administrator(self) -> himalia.Client:
        """Return the client of somebody who sees all."""
        self.hub.hub.knows("root", admin=True, scopes=(*EVERYTHING, "custom:jobs:admin"))
        return self.client("root")

    def spawner(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask below `api/` as the hub's spawner does."""
        scopes = ("access:services!service=jobs", "custom:jobs:lease")
        token = self.hub.hub.knows("spawner", kind="service", scopes=scopes)
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.request(method, f"{self.url}/{path}", headers=headers, timeout=60, **options)

    def log(self) -> str:
        """Return the process's log."""
        return (self.folder / "service.log").read_text(errors="replace")

    def end(self) -> None:
        """End everything, and leave nothing in the Engine."""
        for client in self._clients.values():
            client.close()
        if self.process is not None:
            self.stop()
        self.hub.end()
        self._kept.close()
        if self._door is not None:  # what is on a machine of the test's own goes with it
            self._door.cut()
        else:
            remove_belongings(self.installation, belongings(self.installation))
        shutil.rmtree(self.data, ignore_errors=True)


def kept(port: int) -> socket.socket:
    """Keep a port from everybody who asks for any: while its service is dead, another test's must not get it."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", port))
    return keeper
