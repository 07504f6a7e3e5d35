"""Containers on the two bridges of an installation of their own, and what they reach: for tests of the packet filter."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import docker
from live_platform import IMAGE, eventually

from himalia import container as contract
from himalia.container import Label
from himalia.ids import new_id
from himalia_jobs.engines.firewall import Firewall
from himalia_jobs.engines.rules import Policy, Surroundings
from himalia_spawner.platform.engine import belongings, remove_belongings

LISTEN = (
    "import socket; s = socket.create_server(('', 7000)); print('up', flush=True)\nwhile True: s.accept()[0].close()"
)
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=1.5).close()
    print("open")
except OSError as error:
    print("closed", error)
"""
OUTSIDE = """
import selectors, socket, sys
found = selectors.DefaultSelector()
for port in map(int, sys.argv[1:]):
    found.register(socket.create_server(("0.0.0.0", port)), selectors.EVENT_READ)
print("up", flush=True)
while True:
    for key, _ in found.select():
        key.fileobj.accept()[0].close()
"""


@dataclass(frozen=True, kw_only=True)
class Outside:
    """A network namespace that stands for the world outside: it answers at two addresses."""

    internet: str
    metadata: str  #: link-local, as the clouds have it
    port: int = 80
    names_port: int = 53


class Neighbours:
    """Two servers, two jobs, and a packet filter between them."""

    def __init__(self, stack: ExitStack) -> None:
        self.installation = new_id()
        self.docker = docker.from_env()
        stack.callback(self.docker.close)
        stack.callback(lambda: remove_belongings(self.installation, belongings(self.installation)))
        networks = {kind: self._network(kind) for kind in ("server", "job")}
        self.gateway, self.jobs_gateway = (
            networks[kind].attrs["IPAM"]["Config"][0]["Gateway"] for kind in ("server", "job")
        )
        self.hub_port = stack.enter_context(listening(self.gateway))
        self.service_port = stack.enter_context(listening(self.gateway))
        self.jobs_gateway_port = stack.enter_context(listening(self.jobs_gateway))
        self.other_port = stack.enter_context(listening("0.0.0.0"))
        self.policy = Policy(
            installation=self.installation, gateway=self.gateway, ports=(self.hub_port, self.service_port)
        )
        self.around = Surroundings()
        self.firewall = self.guard()
        self.firewall.put()
        self.server, self.other_server = (self._container("server", name) for name in ("server-1", "server-2"))
        self.job, self.other_job = (self._container("job", name) for name in ("job-1", "job-2"))

    def guard(self, **changes: Any) -> Firewall:
        """Return a packet filter of this installation whose policy differs in something."""
        return Firewall(replace(self.policy, **changes), look=lambda: self.around)

    def name(self, container: Any) -> str:
        """Return a container's name in the Engine."""
        return str(container.attrs["Name"]).lstrip("/")

    def address(self, container: Any) -> str:
        """Return a container's address on its bridge."""
        (network,) = container.attrs["NetworkSettings"]["Networks"].values()
        return str(network["IPAddress"])

    def reaches(self, container: Any, address: str, port: int = 7000) -> bool:
        """Tell whether something in a container can connect to an address."""
        done = container.exec_run(["python3", "-c", CONNECT, address, str(port)])
        words = done.output.decode()
        assert words.startswith(("open", "closed")), words
        return words.startswith("open")

    def says(self, container: Any, code: str) -> str:
        """Return what a line of Python prints in a container."""
        return str(container.exec_run(["python3", "-c", code]).output.decode().strip())

    def _network(self, kind: str) -> Any:
        name = contract.network_name(self.installation, kind)
        made = self.docker.networks.create(name, **contract.network_options(self.installation, kind))
        made.reload()
        return made

    def _container(self, kind: str, name: str) -> Any:
        host = contract.host_config(cpus=0.5, memory_bytes=256 * 1024**2)
        host["NetworkMode"] = contract.network_name(self.installation, kind)
        body = {
            "Image": IMAGE,
            "User": "1000:100",
            "Entrypoint": ["python3", "-c", LISTEN],
            "Labels": {Label.INSTALLATION: self.installation, Label.KIND: kind},
            "HostConfig": host,
        }
        full = contract.container_name(self.installation, name)
        self.docker.api.create_container_from_config(body, full)
        self.docker.api.start(full)
        found = self.docker.containers.get(full)
        eventually(found.logs)  # it listens
        return found


@contextmanager
def neighbours() -> Iterator[Neighbours]:
    """Make an installation's bridges with containers, and leave nothing of it."""
    with ExitStack() as stack:
        yield Neighbours(stack)


@contextmanager
def listening(address: str) -> Iterator[int]:
    """Answer on a port of this machine, and yield it."""
    with socket.create_server((address, 0)) as listener:
        thread = threading.Thread(target=_accept, args=(listener,), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@contextmanager
def outside() -> Iterator[Outside]:
    """Make a network namespace behind an interface of its own, with an address for the internet and a link-local one."""
    number = random.randrange(1, 2**14)  # nobody else's: 198.18.0.0/15 is there for measurements
    link = f"out{number:05d}"
    near, far = (f"198.18.{number >> 6}.{(number & 63) * 4 + side}" for side in (1, 2))
    found = Outside(internet=far, metadata=f"169.254.{number >> 6}.{(number & 63) * 4 + 2}")
    ports = [str(found.port), str(found.names_port)]
    world = subprocess.Popen(["unshare", "-n", sys.executable, "-c", OUTSIDE, *ports], stdout=subprocess.PIPE)
    try:
        assert world.stdout is not None
        assert world.stdout.readline() == b"up\n"
        inside = ["nsenter", "-t", str(world.pid), "-n", "ip"]
        for command in (
            ["ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(world.pid)],
            ["ip", "addr", "add", f"{near}/30", "dev", link],
            ["ip", "link", "set", link, "up"],
            [*inside, "addr", "add", f"{far}/30", "dev", "eth0"],
            [*inside, "addr", "add", f"{found.metadata}/32", "dev", "eth0"],
            [*inside, "link", "set", "eth0", "up"],
            ["ip", "route", "add", f"{found.metadata}/32", "via", far, "dev", link],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
        yield found
    finally:
        world.kill()
        world.wait()
        if world.stdout is not None:
            world.stdout.close()
        subprocess.run(["ip", "link", "delete", link], check=False, capture_output=True)


def _accept(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was closed: the test is over
        while True:
            listener.accept()[0].close()
