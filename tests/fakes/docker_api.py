"""A Docker Engine in memory, behind the methods of docker-py's low-level client that the spawner calls, and what an engine needs at an attempt's end."""

from __future__ import annotations

import itertools
import socket
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import docker
import requests
from docker.errors import APIError, NotFound
from docker.types import HostConfig


@dataclass
class Container:
    """One container."""

    id: str
    name: str
    arguments: dict[str, Any]
    status: str = "created"
    exit_code: int = 0
    pid: int = 0
    out_of_memory: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def labels(self) -> dict[str, str]:
        """Return its labels."""
        return dict(self.arguments.get("labels") or {})


class FakeDockerAPI:
    """Keeps the Engine's rules: a name is taken once, what runs is removed by force only, what is gone is a 404."""

    def __init__(self) -> None:
        self.containers_by_id: dict[str, Container] = {}
        self.calls: list[tuple[str, str]] = []
        self.held: dict[str, threading.Event] = {}
        self.entered: dict[str, threading.Event] = {}
        self.failures: dict[str, Exception] = {}
        self.answering = True
        self._numbers = itertools.count(1)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    # For tests

    def close(self) -> None:
        """Let all held calls go and close the port of the servers."""
        for event in self.held.values():
            event.set()
        self._listener.close()

    def hold(self, method: str) -> None:
        """Let calls of this method hang until `let_go`."""
        self.held[method] = threading.Event()
        self.entered[method] = threading.Event()

    def let_go(self, method: str) -> None:
        """Let the calls that hang go on."""
        self.held.pop(method).set()

    def named(self, name: str) -> Container | None:
        """Return the container of that name."""
        return next((found for found in self.containers_by_id.values() if found.name == name), None)

    def only(self) -> Container:
        """Return the one container that there is."""
        (found,) = self.containers_by_id.values()
        return found

    def die(self, container: Container, *, exit_code: int = 137, out_of_memory: bool = False) -> None:
        """End a container, as a crash does."""
        container.status, container.exit_code, container.out_of_memory = "exited", exit_code, out_of_memory

    def add(
        self, name: str, *, labels: dict[str, str], status: str = "created", age: timedelta = timedelta()
    ) -> Container:
        """Put a container there that nobody made through this client."""
        container = Container(
            id=f"{next(self._numbers):064x}",
            name=name,
            arguments={"labels": labels},
            status=status,
            created=datetime.now(UTC) - age,
        )
        self.containers_by_id[container.id] = container
        return container

    # The client's methods

    def create_host_config(self, **options: Any) -> HostConfig:
        """Return what docker-py makes of it."""
        return HostConfig(version="1.41", **options)

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Return an image."""
        self._call("inspect_image", image)
        return {"Id": image, "Config": {"Cmd": ["python3", "-s", "-m", "jupyterhub.singleuser"]}}

    def create_container(self, **arguments: Any) -> dict[str, Any]:
        """Make a container."""
        name = arguments["name"]
        self._call("create_container", name)
        if self.named(name) is not None:
            raise _error(409, f"Conflict. The container name {name} is already in use")
        container = Container(id=f"{next(self._numbers):064x}", name=name, arguments=arguments)
        self.containers_by_id[container.id] = container
        return {"Id": container.id, "Warnings": []}

    def start(self, container: str) -> None:
        """Start a container."""
        self._call("start", container)
        self._find(container).status = "running" if self.answering else "exited"

    def stop(self, container: str) -> None:
        """Stop a container."""
        self._call("stop", container)
        self._find(container).status = "exited"

    def remove_container(self, container: str, *, v: bool = False, force: bool = False) -> None:
        """Remove a container."""
        self._call("remove_container", container)
        found = self._find(container)
        if found.status == "running" and not force:
            raise _error(409, "You cannot remove a running container")
        del self.containers_by_id[found.id]

    def remove_volume(self, name: str) -> None:
        """Remove a volume: there are none."""
        self._call("remove_volume", name)
        raise _error(404, f"No such volume: {name}")

    def inspect_container(self, container: str) -> dict[str, Any]:
        """Return a container."""
        self._call("inspect_container", container)
        found = self._find(container)
        address = "127.0.0.1" if found.status == "running" else ""
        return {
            "Id": found.id,
            "Name": f"/{found.name}",
            "Config": {"Labels": found.labels, "Env": []},
            "State": {
                "Running": found.status == "running",
                "Status": found.status,
                "Pid": found.pid,
                "ExitCode": found.exit_code,
                "OOMKilled": found.out_of_memory,
                "Error": "",
                "FinishedAt": "",
            },
            "NetworkSettings": {"Networks": {"servers": {"IPAddress": address}}},
        }

    def containers(self, *, all: bool = False, filters: dict[str, list[str]] | None = None) -> list[dict[str, Any]]:
        """List containers."""
        self._call("containers", "")
        wanted = filters or {}
        return [
            {"Id": found.id, "Created": found.created.timestamp(), "Labels": found.labels}
            for found in self.containers_by_id.values()
            if {f"{name}={value}" for name, value in found.labels.items()} >= set(wanted.get("label", ()))
            and (not wanted.get("status") or found.status in wanted["status"])
        ]

    def logs(self, container: str, *, tail: int) -> bytes:
        """Return the last words."""
        self._call("logs", container)
        return b"last words\n"

    def _call(self, method: str, subject: str) -> None:
        self.calls.append((method, subject))
        if method in self.entered:
            self.entered[method].set()
        if method in self.held:
            self.held[method].wait(30)
        if method in self.failures:
            raise self.failures[method]

    def _find(self, container: str) -> Container:
        found = self.containers_by_id.get(container) or self.named(container)
        if found is None:
            raise _error(404, f"No such container: {container}")
        return found


def _error(status: int, explanation: str) -> APIError:
    response = requests.Response()
    response.status_code = status
    kind = NotFound if status == 404 else docker.errors.APIError
    return kind(explanation, response=response, explanation=explanation)
