"""The service as somebody hostile sees it: an address and a token, and what is expected of each answer."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import httpx

PAUSE_SECONDS = (
    0.01  #: between two requests, as between those of who is measured: what a request costs others, not a flood of them
)
GIVES_WAY = 15  #: how nice who sends is: it stands for another machine, and must not take the service's CPU
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a sender has to know."""

    url: str
    token: str
    owner: str
    job: str = ""  #: a job with artifacts and a log, see `jobs.py`


@dataclass(kw_only=True)
class Sent:
    """What was sent, and what was answered otherwise than it should."""

    count: int = 0
    wrong: list[str] = field(default_factory=list)


class Target:
    """Sends, and looks at each answer."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.sent = Sent()
        headers = {"Authorization": f"Bearer {place.token}"}
        self.http = httpx.Client(base_url=place.url, headers=headers, timeout=PATIENCE_SECONDS, trust_env=False)

    def expect(self, what: str, method: str, path: str, *statuses: int, **options: Any) -> httpx.Response | None:
        """Send a request and count an answer with none of these statuses as wrong; 0: the connection may be cut instead."""
        self.sent.count += 1
        time.sleep(PAUSE_SECONDS)
        try:
            answer = self.http.request(method, f"/{path}", **options)
        except httpx.TransportError as error:
            if 0 not in statuses:
                self.sent.wrong.append(f"{what}: {error!r}")
            return None
        if answer.status_code not in statuses:
            self.sent.wrong.append(f"{what}: {answer.status_code} {answer.text[:200]}")
        return answer

    def that(self, what: str, holds: bool) -> None:
        """Count something that should hold as wrong where it does not."""
        self.sent.count += 1
        if not holds:
            self.sent.wrong.append(what)

    def by_hand(self, method: str, path: str, *headers: str) -> socket.socket:
        """Begin a request, and return its connection."""
        parts = urlsplit(self.place.url)
        connection = socket.create_connection((str(parts.hostname), parts.port or 80), PATIENCE_SECONDS)
        first = f"{method} {parts.path}/{path} HTTP/1.1"
        lines = (first, "Host: x", f"Authorization: Bearer {self.place.token}", *headers, "", "")
        connection.sendall("\r\n".join(lines).encode())
        return connection


@dataclass(frozen=True, kw_only=True)
class Input:
    """Something hostile: what is sent again and again, and what it holds all that time (that is had before it is measured)."""

    send: Callable[[Target], None]
    hold: Callable[[Place], AbstractContextManager[object]] | None = None


HELD = ExitStack()  #: of the process that sends


def hold(held: Input, place: Place) -> None:
    """Have what an input holds."""
    if held.hold is not None:
        HELD.enter_context(held.hold(place))


def send(sent: Input, place: Place, seconds: float) -> Sent:
    """Send a hostile input again and again for so long, once at least."""
    target, end = Target(place), time.monotonic() + seconds
    with target.http:
        sent.send(target)
        while time.monotonic() < end:
            sent.send(target)
    return target.sent


def let_go() -> None:
    """Let go of what is held."""
    HELD.close()


@contextmanager
def sender() -> Iterator[ProcessPoolExecutor]:
    """Give a process that sends: its CPU time keeps nobody waiting who measures."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=os.nice, initargs=(GIVES_WAY,)) as process:
        process.submit(os.getpid).result()
        yield process


def until_refused(connection: socket.socket, pieces: Iterable[bytes]) -> bytes:
    """Send until the other side has had enough; return what it answers."""
    with connection, contextlib.suppress(ConnectionError):
        for piece in pieces:
            connection.sendall(piece)
        return connection.recv(4096)
    return b""
