"""A Docker Engine in memory that listens on a socket: for services that are real processes, and are killed by the hundred.

It keeps the Engine's rules (a name is taken once, what runs is removed by force only) and the launcher's: a job has its
log, and a record of its end. Its containers outlive every service. What a job's command does stands in it:
`run SECONDS CODE`. `wrong` says what must never be: two live containers of one job, one GPU in two.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from docker_engine_http import Listening

from himalia.container import RUN, Label

STOPPED, LOST = 143, 255
Hook = Callable[[str], bool]


@dataclass
class Container:
    """A container, as the Engine keeps it."""

    id: str
    name: str
    body: dict[str, Any]
    status: str = "created"
    exit_code: int = 0
    started_at: str = ""
    finished_at: str = ""
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return dict(self.body.get("Labels") or {})

    @property
    def run_directory(self) -> Path | None:
        """The host's directory for its log and exit record; none where it is no job's."""
        mounts = self.body["HostConfig"].get("Mounts") or ()
        return next((Path(mount["Source"]) for mount in mounts if mount["Target"] == RUN), None)

    def inspected(self) -> dict[str, Any]:
        """What the Engine says of it."""
        state = {"Status": self.status, "Running": self.status == "running", "ExitCode": self.exit_code, "Pid": 0}
        state |= {"OOMKilled": False, "Error": "", "StartedAt": self.started_at, "FinishedAt": self.finished_at}
        config = {"Labels": self.labels, "Env": self.body.get("Env") or []}
        networks: dict[str, Any] = {"Networks": {}}
        return {"Id": self.id, "Name": f"/{self.name}", "Config": config, "State": state, "NetworkSettings": networks}


class FakeDockerEngine:
    """Listens on `host`. `at_step` is told of each step before and after it is done; True: whoever asked is dead now."""

    def __init__(self, at_step: Hook = lambda step: False) -> None:
        self.at_step = at_step
        self.containers: dict[str, Container] = {}  #: by name
        self.starts: Counter[str] = Counter()  #: how often each attempt's command began
        self.exit_codes: dict[str, int] = {}  #: of attempts that have ended by themselves, or were stopped
        self.volumes: set[str] = set()
        self.networks: dict[str, dict[str, Any]] = {}
        self.wrong: list[str] = []
        self.lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._listeners: list[SimpleQueue[dict[str, Any]]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="engine-")  # a socket's path must be short
        self._path = f"{self._folder.name}/docker.sock"
        self._server = Listening(self._path, self)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def host(self) -> str:
        """The address for a Docker client."""
        return f"unix://{self._path}"

    def running(self) -> list[Container]:
        """Return what runs."""
        return [found for found in self.containers.values() if found.status == "running"]

    def lose_power(self) -> None:
        """End everything, as a machine without power does: nobody writes how."""
        with self.lock:
            for container in self.running():
                self._end(container, LOST)

    def close(self) -> None:
        """End everything, and listen no more."""
        self.lose_power()
        self._server.shutdown()
        self._server.server_close()
        self._folder.cleanup()

    # What its clients ask of it.

    def create(self, name: str, body: dict[str, Any]) -> tuple[int, Any]:
        """Make a container."""
        with self.lock:
            if name in self.containers:
                return 409, f'Conflict. The container name "/{name}" is already in use'
            container = Container(id=f"{next(self._numbers):064x}", name=name, body=body)
            self.containers[name] = container
            return 201, {"Id": container.id, "Warnings": []}

    def start(self, name: str) -> tuple[int, Any]:
        """Start a container; one that runs is left alone."""
        with self.lock:
            container = self.find(name)
            if container is None:
                return 404, f"No such container: {name}"
            directory, attempt = container.run_directory, container.labels.get(Label.ATTEMPT, "")
            if directory is None:
                return 400, 'exec: "python3": executable file not found in $PATH'
            if container.status == "running":
                return 304, None
            self._watch(container)
            self.starts[attempt] += 1
            seconds, code = _plan(container.body["Cmd"])
            container.status, container.started_at = "running", _now()
            with contextlib.suppress(OSError):
                (directory / "log").write_text(f"{attempt}\n")
            self._tell("start", container)
        timer = threading.Timer(seconds, self._ends, (container, code))
        timer.daemon = True
        timer.start()
        return 204, None

    def stop(self, name: str) -> tuple[int, Any]:
        """Ask a container to end."""
        with self.lock:
            container = self.find(name)
            if container is None:
                return 404, f"No such container: {name}"
            if container.status != "running":
                return 304, None
            self._ends(container, STOPPED, stopped=True)
        return 204, None

    def remove(self, name: str, force: bool) -> tuple[int, Any]:
        """Remove a container."""
        with self.lock:
            container = self.find(name)
            if container is None:
                return 404, f"No such container: {name}"
            if container.status == "running" and not force:
                return 409, "You cannot remove a running container"
            if container.status == "running":
                self._end(container, 137)
            del self.containers[container.name]
            self._tell("destroy", container)
        return 204, None

    def find(self, name: str) -> Container | None:
        """Return a container by its name or id."""
        return self.containers.get(name) or next((one for one in self.containers.values() if one.id == name), None)

    def change_images(self) -> None:
        """Tell of images that somebody tags."""
        actor = {"ID": "sha256:1", "Attributes": {"name": "himalia/server:dev"}}
        for queue in list(self._listeners):
            queue.put({"Type": "image", "Action": "tag", "Actor": actor, "timeNano": time.time_ns()})

    def listen(self) -> SimpleQueue[dict[str, Any]]:
        """Return a queue of what happens from now on."""
        queue: SimpleQueue[dict[str, Any]] = SimpleQueue()
        self._listeners.append(queue)
        return queue

    def leave(self, queue: SimpleQueue[dict[str, Any]]) -> None:
        """Tell a listener nothing more."""
        self._listeners.remove(queue)

    def _ends(self, container: Container, code: int, *, stopped: bool = False) -> None:
        """End a command that runs, with its record, as the launcher does."""
        with self.lock:
            if container.status != "running":
                return
            directory = container.run_directory
            assert directory is not None
            record = {"version": 1, "code": code, "signal": code - 128 if stopped else None, "stopped": stopped}
            with contextlib.suppress(OSError):  # a disk that lost its power takes nothing
                draft = directory / "exit.json.part"
                with draft.open("w") as file:
                    file.write(json.dumps(record))
                    file.flush()
                    os.fsync(file.fileno())
                draft.rename(directory / "exit.json")
            self.exit_codes[container.labels[Label.ATTEMPT]] = code
            self._end(container, code)

    def _end(self, container: Container, code: int) -> None:
        container.status, container.exit_code, container.finished_at = "exited", code, _now()
        container.over.set()
        self._tell("die", container)

    def _watch(self, starting: Container) -> None:
        """Note what must never be."""
        labels = starting.labels
        beside = [one.labels for one in self.running()]
        if labels[Label.JOB] in {one.get(Label.JOB) for one in beside}:
            self.wrong.append(f"two live containers of {labels[Label.JOB]}")
        slots = set(filter(None, labels.get(Label.SLOTS, "").split(",")))
        taken = {uuid for one in beside for uuid in one.get(Label.SLOTS, "").split(",") if uuid}
        if slots & taken:
            self.wrong.append(f"{starting.name} was given {slots & taken}, which somebody has")
        if self.starts[labels[Label.ATTEMPT]]:
            self.wrong.append(f"{labels[Label.ATTEMPT]} began twice")

    def _tell(self, action: str, container: Container) -> None:
        attributes = container.labels | {"name": container.name}
        if action == "die":
            attributes["exitCode"] = str(container.exit_code)
        actor = {"ID": container.id, "Attributes": attributes}
        for queue in list(self._listeners):
            queue.put({"Type": "container", "Action": action, "Actor": actor, "timeNano": time.time_ns()})


def _plan(argv: list[str]) -> tuple[float, int]:
    """Return how long a command runs, and its exit code."""
    return (float(argv[1]), int(argv[2])) if argv[:1] == ["run"] else (0.0, 0)


def _now() -> str:
    return datetime.fromtimestamp(time.time(), UTC).isoformat().replace("+00:00", "Z")
