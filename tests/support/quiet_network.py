"""A network of a browser's own, that never changes.

Every container that starts or ends changes the machine's network interfaces. Chromium then ends what it is fetching
(ERR_NETWORK_CHANGED), which no user's computer sees of containers on a server.
"""

from __future__ import annotations

import ctypes
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from docker_relay import Relay

CLONE_NEWNET = 0x40000000
KEEP = "ip link set lo up && echo up && exec sleep infinity"


def enter_network(pid: int) -> None:
    """Take the thread that calls this to the network of a process, for good."""
    with open(f"/proc/{pid}/ns/net") as network:
        if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "the thread cannot enter that network")


class QuietNetwork:
    """A network with nothing but its own 127.0.0.1, where chosen ports are those of the real one."""

    def __init__(self) -> None:
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sh", "-c", KEEP]
        self._keeper = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._keeper.stdout is not None
        assert self._keeper.stdout.readline() == b"up\n", "the network cannot be made"
        self._relays: dict[int, PortRelay] = {}

    def reach(self, port: int) -> None:
        """Let a port of 127.0.0.1 be reached from there."""
        if port not in self._relays:
            self._relays[port] = PortRelay(self._keeper.pid, port)

    def program(self, path: str, script: Path) -> Path:
        """Write a script that runs a program there."""
        script.write_text(f'#!/bin/sh\nexec nsenter -t {self._keeper.pid} --net {path} "$@"\n')
        script.chmod(0o755)
        return script

    def end(self) -> None:
        """End it, and every connection through it."""
        for relay in self._relays.values():
            relay.cut()
        self._keeper.kill()
        self._keeper.wait()
        if self._keeper.stdout is not None:
            self._keeper.stdout.close()


class PortRelay(Relay):
    """A relay that listens in the network of another process and speaks to the same port in ours."""

    def __init__(self, pid: int, port: int) -> None:
        super().__init__()
        self._pid = pid
        self._port = port
        self.mend()

    def listen(self) -> socket.socket:
        """Listen there: a socket stays in the network that it was made in."""

        def make() -> socket.socket:
            enter_network(self._pid)
            return socket.create_server(("127.0.0.1", self._port), backlog=128)

        with ThreadPoolExecutor(1) as apart:
            return apart.submit(make).result()

    def connect(self) -> socket.socket:
        """Connect here."""
        return socket.create_connection(("127.0.0.1", self._port))
