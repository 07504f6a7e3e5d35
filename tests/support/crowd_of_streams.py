"""Many who follow all events at once, in a process of their own: some take whatever comes, the others nothing.

Run as a program, it answers each line of its input with a line of JSON: what all of them have come to.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import selectors
import socket
import subprocess
import sys
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

PATIENCE_SECONDS = 300.0
BLOCK = 65_536
SMALL = 4_096  #: the buffer of a connection that takes nothing
SPARE_FILES = 100
FIRST_BYTES = 512  #: of an answer: its head and one event
AT_ONCE = 50  #: that connect and have not been answered
ESTABLISHED = 1  #: the state of a connection, as TCP_INFO tells it


class Crowd:
    """So many streams of one person's events, from now on or after an event, until its `with` block ends."""

    def __init__(self, url: str, token: str, *, readers: int, silent: int = 0, last: int | None = None) -> None:
        after = [] if last is None else [str(last)]
        command = [sys.executable, __file__, url, token, str(readers), str(silent), *after]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Crowd:
        self.look()  # all of them are connected once it answers
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_SECONDS)
        self._process.stdout.close()

    def look(self) -> dict[str, Any]:
        """Return how many events the readers have heard (`least`, `most`), their texts' digests, and how many were let go."""
        told: dict[str, Any] = self._ask("look")
        return told

    def drain(self) -> list[dict[str, Any]]:
        """Let who took nothing take what is there; return of each the last `seq`, how many it heard, and how it ended."""
        told: list[dict[str, Any]] = self._ask("drain")
        return told

    def _ask(self, word: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the crowd has broken off"
        return json.loads(line)


class Follower:
    """One connection: what came of its stream, taken apart."""

    def __init__(self, address: tuple[str, int], head: bytes, *, takes_little: bool) -> None:
        self.sock = socket.socket()
        if takes_little:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
        self.sock.connect(address)
        self.sock.sendall(head)
        self.sock.setblocking(False)
        self.answered = False
        self.heard = 0
        self.last = 0
        self.digest = hashlib.sha256()
        self.over = ""  #: how it ended: `end` (all was said), `cut`, `reset`
        self._raw = self._text = b""

    def take(self, most: int = BLOCK) -> bool:
        """Take what is there; return False at its end."""
        try:
            block = self.sock.recv(most)
        except BlockingIOError:
            return True
        except ConnectionResetError:
            self.over = self.over or "reset"
            return False
        if not block:
            self.over = self.over or "cut"
            return False
        self._raw += block
        if not self.answered:
            head, found, rest = self._raw.partition(b"\r\n\r\n")
            if not found:
                return True
            assert b" 200 " in head, head
            self.answered, self._raw = True, rest
        self._chunks()
        return True

    def _chunks(self) -> None:
        """Take the chunks apart that are whole."""
        while (at := self._raw.find(b"\r\n")) > 0:
            size = int(self._raw[:at], 16)
            if len(self._raw) < at + size + 4:
                break
            if size == 0:
                self.over = "end"
            self._text += self._raw[at + 2 : at + 2 + size]
            self._raw = self._raw[at + size + 4 :]
        *events, self._text = self._text.split(b"\n\n")
        for event in events:
            self._hear(event)

    def _hear(self, event: bytes) -> None:
        if event.startswith(b"id: ") and b"\nevent: intervention\n" in event:
            self.heard += 1
            self.digest.update(json.loads(event.partition(b"\ndata: ")[2])["detail"].encode())
        if event.startswith(b"id: "):
            self.last = int(event[4:].partition(b"\n")[0])


def main(url: str, token: str, readers: int, silent: int, last: str = "") -> None:
    """Connect all, wait until each is answered, and answer as the module says."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, readers + silent + SPARE_FILES), most))
    parts = urlsplit(url)
    after = f"Last-Event-ID: {last}\r\n" if last else ""
    head = f"GET {parts.path}/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{after}\r\n".encode()
    address = (str(parts.hostname), int(parts.port or 80))
    quiet = connected(address, head, silent, takes_little=True)
    loud = connected(address, head, readers, takes_little=False)
    with selectors.DefaultSelector() as waiting:
        for one in loud:
            waiting.register(one.sock, selectors.EVENT_READ, one)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        while True:
            for key, _ in waiting.select():
                if key.data is not None:
                    if not key.data.take():
                        waiting.unregister(key.fileobj)
                    continue
                line = os.read(sys.stdin.fileno(), BLOCK).strip()
                if not line:
                    return
                print(json.dumps(drained(quiet) if line == b"drain" else state(loud, quiet)), flush=True)


def connected(address: tuple[str, int], head: bytes, count: int, *, takes_little: bool) -> list[Follower]:
    """Return so many streams, each of which was answered."""
    made: list[Follower] = []
    while len(made) < count:
        fresh = [Follower(address, head, takes_little=takes_little) for _ in range(min(AT_ONCE, count - len(made)))]
        for one in fresh:
            one.sock.settimeout(PATIENCE_SECONDS)
            while not one.last:
                assert one.take(FIRST_BYTES), "a stream was not answered"
            one.sock.setblocking(False)
        made += fresh
    return made


def state(loud: list[Follower], quiet: list[Follower]) -> dict[str, Any]:
    """Return what readers have heard, and how many of both were let go."""
    heard = [one.heard for one in loud]
    return {
        "least": min(heard, default=0),
        "most": max(heard, default=0),
        "digests": sorted({one.digest.hexdigest() for one in loud}),
        "readers_gone": sum(bool(one.over) for one in loud),
        "silent_gone": sum(is_let_go(one.sock) for one in quiet),
    }


def is_let_go(sock: socket.socket) -> bool:
    """Tell whether the other side has closed a connection, without taking anything from it."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != ESTABLISHED


def drained(quiet: list[Follower]) -> list[dict[str, Any]]:
    """Take from each all that the kernel still has for it."""
    for one in quiet:
        one.sock.settimeout(PATIENCE_SECONDS)
        while one.take():
            pass
    return [{"last": one.last, "heard": one.heard, "over": one.over} for one in quiet]


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), *sys.argv[5:])
