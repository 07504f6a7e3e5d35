"""Stands between hub, job service and the Docker Engine, request by request: sees every step of a container, and may kill at it.

An Engine without GPUs refuses requests for them, so they are taken out here, once they were compared with the label.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedReader
from typing import Any
from urllib.parse import parse_qs, urlsplit

from docker_relay import BLOCK, DockerRelay

from himalia.container import Label

NO_BODY = (b"204", b"304")


class Step(StrEnum):
    """The steps of a lease or an attempt, as the Engine sees them."""

    RESERVE = "reserve"  #: it has its share; its container is asked for and not made
    CREATE = "create"  #: its container is made, and nobody has heard of it
    BIND = "bind"  #: it is about to be started
    START = "start"  #: it runs, and nobody has heard of it
    EXIT = "exit"  #: it has ended, or is to end; its container is about to be removed
    RELEASE = "release"  #: its container is gone, and nobody has heard of it


BEFORE = {"create": Step.RESERVE, "start": Step.BIND, "remove": Step.EXIT}
AFTER = {"create": Step.CREATE, "start": Step.START, "remove": Step.RELEASE}
CALLS = {
    "create": re.compile(r"POST (/v[\d.]+)?/containers/create(\?|$)"),
    "start": re.compile(r"POST (/v[\d.]+)?/containers/[^/]+/start$"),
    "remove": re.compile(r"DELETE (/v[\d.]+)?/containers/[^/]+(\?|$)"),
}


@dataclass(frozen=True)
class Head:
    """The first lines of a request or an answer."""

    raw: bytes

    @property
    def words(self) -> list[bytes]:
        """The words of its first line."""
        return self.raw.split(b"\r\n", 1)[0].split(b" ")

    def value(self, name: bytes) -> bytes:
        """Return a field's value; empty where there is none."""
        found = re.search(rb"(?im)^" + name + rb":[ \t]*([^\r\n]*)", self.raw)
        return found.group(1).strip() if found else b""

    def with_length(self, length: int) -> bytes:
        """Return it for a body of another length."""
        return re.sub(rb"(?im)^content-length:[^\r\n]*", b"Content-Length: %d" % length, self.raw)


class EngineGate(DockerRelay):
    """Listens on a socket of its own. `at_step` is told the step and the process that takes it; True: that one is dead now."""

    def __init__(self, at_step: Callable[[Step, int], bool] = lambda step, pid: False) -> None:
        self.at_step = at_step
        self.wrong: list[str] = []  #: containers that were to get other GPUs than their label says
        super().__init__()

    def carry(self, pair: tuple[socket.socket, socket.socket]) -> None:
        """Pass on request by request, each with its answer."""
        threading.Thread(target=self._serve, args=(pair,), daemon=True).start()

    def _serve(self, pair: tuple[socket.socket, socket.socket]) -> None:
        client, engine = pair
        with contextlib.suppress(OSError, EOFError):
            pid = struct.unpack("3i", client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            with client.makefile("rb") as asks, engine.makefile("rb") as answers:
                while self._exchange(client, engine, asks, answers, pid):
                    pass
        self._end(pair)

    def _exchange(
        self, client: socket.socket, engine: socket.socket, asks: BufferedReader, answers: BufferedReader, pid: int
    ) -> bool:
        """Pass on one request and its answer; return whether another may follow."""
        head = _head(asks)
        line = b" ".join(head.words[:2]).decode()
        call = next((name for name, pattern in CALLS.items() if pattern.match(line)), "")
        body = asks.read(int(head.value(b"Content-Length") or 0))
        if call == "create":
            body = self._without_gpus(line, body)
        if call and self.at_step(BEFORE[call], pid):
            return False
        engine.sendall(head.with_length(len(body)) + body)
        if not call:
            return _answer(answers, client.sendall)
        said: list[bytes] = []
        goes_on = _answer(answers, said.append)
        if self.at_step(AFTER[call], pid):
            return False
        client.sendall(b"".join(said))
        return goes_on

    def _without_gpus(self, line: str, body: bytes) -> bytes:
        asked: dict[str, Any] = json.loads(body)
        name = parse_qs(urlsplit(line.split(" ")[1]).query).get("name", [""])[0]
        requests = asked.get("HostConfig", {}).pop("DeviceRequests", None) or []
        devices = sorted(uuid for request in requests for uuid in request.get("DeviceIDs") or ())
        slots = sorted(filter(None, asked.get("Labels", {}).get(Label.SLOTS, "").split(",")))
        if devices != slots:
            self.wrong.append(f"{name} holds {slots} and was to get {devices}")
        return json.dumps(asked).encode()


def _head(source: BufferedReader) -> Head:
    lines = []
    while (line := source.readline()) not in (b"\r\n", b""):
        lines.append(line)
    if not line:
        raise EOFError
    return Head(b"".join([*lines, line]))


def _answer(answers: BufferedReader, say: Callable[[bytes], object]) -> bool:
    """Pass on an answer as it comes; return whether its connection can be used again."""
    head = _head(answers)
    say(head.raw)
    length = head.value(b"Content-Length")
    if head.words[1] in NO_BODY:
        return True
    if length:
        say(answers.read(int(length)))
        return True
    if head.value(b"Transfer-Encoding").lower() != b"chunked":
        while block := answers.read1(BLOCK):
            say(block)
        return False
    while size := int((line := answers.readline()).split(b";")[0] or b"0", 16):
        say(line + answers.read(size + 2))
    say(line + answers.readline())
    return True
