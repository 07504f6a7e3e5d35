"""The Engine's events: hints, and what they tell of attempts. Followed in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Mapping
from typing import Any

import requests.exceptions
from docker.errors import DockerException

from himalia.container import Label

from .base import LOCAL, EngineEvent, EngineEventKind
from .calls import DockerCalls
from .errors import EngineError, NotSent
from .told import Lives

KINDS = {
    "start": EngineEventKind.STARTED,
    "die": EngineEventKind.EXITED,
    "destroy": EngineEventKind.REMOVED,
}
OF_IMAGES = ("tag", "untag", "delete", "pull", "load", "import")
HEARD = [*KINDS, "oom", *OF_IMAGES]


class EventStream:
    """Follows the events of this installation's containers."""

    def __init__(self, docker: DockerCalls, installation: str) -> None:
        self._docker = docker
        self._installation = installation
        self.lives = Lives()
        self._stream: Any = None
        self._told: asyncio.Queue[EngineEvent | EngineError] | None = None
        self._numbers = itertools.count(1)

    async def follow(self) -> AsyncIterator[EngineEvent]:
        """Yield events; the first tells that all must be looked at, for nobody knows what was missed."""
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[EngineEvent | EngineError] = asyncio.Queue()
        self._told = queue
        thread = threading.Thread(target=self._read, args=(loop, queue), name="docker-events", daemon=True)
        thread.start()
        yield self._event(EngineEventKind.NODE, {})
        while True:
            event = await queue.get()
            if isinstance(event, EngineError):
                raise event
            yield event

    def tell(self, kind: EngineEventKind) -> None:
        """Tell something else than a container's change to whoever follows."""
        if self._told is not None:
            self._told.put_nowait(self._event(kind, {}))

    def close(self) -> None:
        """End the stream."""
        if self._stream is not None:
            with contextlib.suppress(OSError, AttributeError):
                self._stream.close()

    def _read(self, loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[EngineEvent | EngineError]) -> None:
        filters = {"type": ["container", "image"], "event": HEARD}
        ended: EngineError = NotSent("the Docker Engine's events broke off")
        try:
            self._stream = self._docker.client().events(decode=True, filters=filters)
            self.lives.begin()
            for row in self._stream:
                event = self._hear(row)
                if event is not None:
                    loop.call_soon_threadsafe(queue.put_nowait, event)
        except EngineError as error:
            ended = error
        except (DockerException, requests.exceptions.RequestException, OSError, ValueError, AttributeError) as error:
            ended = NotSent(f"the Docker Engine's events broke off: {error}")
        self.lives.end()
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(queue.put_nowait, ended)

    def _hear(self, row: Mapping[str, Any]) -> EngineEvent | None:
        """Take in an event, and return what it hints at; nothing where it is about somebody else's container."""
        if row.get("Type") == "image":
            self.lives.hear(row)
            return self._event(EngineEventKind.IMAGES, {})
        labels = row.get("Actor", {}).get("Attributes", {})
        if labels.get(Label.INSTALLATION) != self._installation:
            return None
        self.lives.hear(row)
        kind = KINDS.get(str(row.get("Action", "")))
        return self._event(kind, labels) if kind is not None else None

    def _event(self, kind: EngineEventKind, labels: dict[str, str]) -> EngineEvent:
        return EngineEvent(
            node_id=LOCAL,
            seq=next(self._numbers),
            kind=kind,
            attempt=labels.get(Label.ATTEMPT, ""),
            lease_id=labels.get(Label.LEASE, ""),
        )
