"""Relays that stand between a client and what it speaks to, so that a test can cut the line or lose an answer."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
from pathlib import Path

ENGINE = "/var/run/docker.sock"
BLOCK = 65536


class Relay:
    """Passes everything on, until it is told otherwise; a relay of one kind says where it listens and what it speaks to."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._lose = b""

    def listen(self) -> socket.socket:
        """Return a new socket that listens."""
        raise NotImplementedError

    def connect(self) -> socket.socket:
        """Return a new connection to the other side."""
        raise NotImplementedError

    def mend(self) -> None:
        """Listen (again)."""
        self._listener = self.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections and listen no more."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._end(pair)

    def lose_answer(self, words: bytes) -> None:
        """Pass on the next request that has these words, and end its connection instead of passing the answer back."""
        self._lose = words

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                other = self.connect()
            except OSError:  # nobody is there: whoever asks sees it by the end of the line
                client.close()
                continue
            pair = (client, other)
            with self._lock:
                self._pairs.add(pair)
            self.carry(pair)

    def carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Pass on what a new client and the other side say, in threads."""
        lost = threading.Event()
        threading.Thread(target=self._ask, args=(pair, lost), daemon=True).start()
        threading.Thread(target=self._answer, args=(pair, lost), daemon=True).start()

    def _ask(self, pair: tuple[socket.socket, socket.socket], lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while block := pair[0].recv(BLOCK):
                if self._lose and self._lose in block:
                    self._lose = b""
                    lost.set()
                pair[1].sendall(block)
        self._end(pair)

    def _answer(self, pair: tuple[socket.socket, socket.socket], lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while (block := pair[1].recv(BLOCK)) and not lost.is_set():
                pair[0].sendall(block)
        self._end(pair)

    def _end(self, pair: tuple[socket.socket, socket.socket]) -> None:
        with self._lock:
            if pair not in self._pairs:
                return
            self._pairs.discard(pair)
        for end in pair:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class DockerRelay(Relay):
    """A relay in front of the Docker Engine's socket: while it is cut, the Engine is stopped as far as anybody can see."""

    def __init__(self, upstream: str = ENGINE) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="relay-")  # a socket's path must be short
        self.path = Path(self._folder.name) / "docker.sock"
        self._upstream = upstream
        self.mend()

    @property
    def host(self) -> str:
        """The address for a Docker client."""
        return f"unix://{self.path}"

    def listen(self) -> socket.socket:
        """Listen on a socket of its own."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen(64)
        return listener

    def connect(self) -> socket.socket:
        """Connect to the Engine."""
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.connect(self._upstream)
        except OSError:
            engine.close()
            raise
        return engine

    def cut(self) -> None:
        """End all connections and listen no more."""
        super().cut()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """End, and leave nothing."""
        self.cut()
        self._folder.cleanup()
