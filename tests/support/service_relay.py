"""Stands between a client and the job service: tells a test of a request before it is passed on, and cuts connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress

BLOCK = 65536


class ServiceRelay:
    """A port that leads to the service."""

    def __init__(self, host: str, port: int) -> None:
        self._service = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        #: Called with the first line of each request before the service gets it.
        self.before: Callable[[str], None] = lambda line: None
        self.cut_after: int | None = None  #: bytes of the next PUT's body that get through; then the connection is cut
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with ExitStack() as open_sockets:
            open_sockets.enter_context(client)
            service = open_sockets.enter_context(socket.create_connection(self._service))
            back = threading.Thread(target=_carry, args=(service, client), daemon=True)
            back.start()
            open_sockets.callback(back.join)  # before the sockets are closed
            left: int | None = None
            while block := _received(client):
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
            for end in (client, service):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)


def _carry(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(BLOCK):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other direction has ended it


def _received(source: socket.socket) -> bytes:
    try:
        return source.recv(BLOCK)
    except OSError:
        return b""
