"""Stands between a client and the job service: tells a test of a request before it is passed on, and cuts connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable

from docker_relay import BLOCK, Relay


class ServiceRelay(Relay):
    """A port that leads to the service."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__()
        self._service = (host, port)
        self.port = 0
        #: Called with the first line of each request before the service gets it.
        self.before: Callable[[str], None] = lambda line: None
        self.cut_after: int | None = None  #: bytes of the next PUT's body that get through; then the connection is cut
        self.cuts = 0
        self.mend()

    def listen(self) -> socket.socket:
        """Listen on a free port, and there again."""
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        return listener

    def connect(self) -> socket.socket:
        """Connect to the service."""
        return socket.create_connection(self._service)

    def _ask(self, pair: tuple[socket.socket, socket.socket], lost: threading.Event) -> None:
        client, service = pair
        left: int | None = None
        with contextlib.suppress(OSError):
            while block := client.recv(BLOCK):
                line = block.split(b"\r\n", 1)[0].decode("latin-1")
                if line.endswith(" HTTP/1.1"):
                    self.before(line)
                    left, self.cut_after = (self.cut_after, None) if line.startswith("PUT ") else (None, self.cut_after)
                service.sendall(block if left is None else block[:left])
                if left is not None:
                    left -= len(block)
                    if left <= 0:
                        self.cuts += 1
                        break
        self._end(pair)
