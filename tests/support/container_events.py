"""Hears of an installation's containers from the Engine itself, and of nothing that Himalia says."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import docker

from himalia.container import Label


class ContainerEvents:
    """Calls `hear` for every event, in a thread of its own and over a connection of its own."""

    def __init__(self, installation: str, *events: str) -> None:
        self.wrong: list[str] = []  #: what must never be
        self._filters = {"label": f"{Label.INSTALLATION}={installation}"}
        self._api = docker.APIClient(version="auto")
        kinds: dict[str, Any] = {"event": list(events)} if events else {}
        self._events = self._api.events(filters=self._filters | {"type": "container"} | kinds, decode=True)
        self._thread = threading.Thread(target=self._listen, name=type(self).__name__)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take in an event."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._events.close()
        self._thread.join(30)
        self._api.close()

    def _listen(self) -> None:
        try:
            for event in self._events:
                self.hear(event)
        except Exception as error:  # whoever has died has seen nothing
            self.wrong.append(f"{type(self).__name__} ended: {error!r}")
