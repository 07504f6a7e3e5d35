"""Counts what clients send, at their own end of the network."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from himalia.client.http import Http

MB = 1_000_000


class Counted(httpx.BaseTransport):
    """The network, with the bytes of all bodies counted."""

    def __init__(self) -> None:
        self.bytes = 0
        self._network = httpx.HTTPTransport(retries=0)
        self._lock = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        assert isinstance(request.stream, httpx.SyncByteStream)
        request.stream = _Body(request.stream, self)
        return self._network.handle_request(request)

    def count(self, number: int) -> None:
        """Add to what was sent; called in several threads."""
        with self._lock:
            self.bytes += number


class _Body(httpx.SyncByteStream):
    def __init__(self, body: Iterable[bytes], counted: Counted) -> None:
        self._body, self._counted = body, counted

    def __iter__(self) -> Iterator[bytes]:
        for block in self._body:
            self._counted.count(len(block))
            yield block


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what all clients send that are made in a `with` block."""
    network = Counted()
    before, Http.transport = Http.transport, network
    try:
        yield network
    finally:
        Http.transport = before


def write_noise(file: Path, size_bytes: int, at: int = 0) -> None:
    """Write bytes that never were before into a file, in place or at its end, and bring them to the disk."""
    with file.open("r+b" if file.exists() else "w+b") as stream:
        stream.seek(at)
        for done in range(0, size_bytes, MB):
            stream.write(os.urandom(min(MB, size_bytes - done)))
        stream.flush()
        os.fsync(stream.fileno())
