"""Fixtures: `platform`, a real hub and a real proxy on a real Engine, beside a fake lease service; `person` logs in."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import docker
import httpx
import pytest
from lease_service import FakeLeaseService
from live_platform import IMAGE, eventually, free_ports

from himalia.models import MountView
from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.engine import belongings, remove_belongings
from himalia_spawner.platform.person import Person
from himalia_spawner.platform.place import Place, write_config, write_hub_config
from himalia_spawner.platform.programs import programs
from himalia_spawner.platform.starting import answers


class ServiceThread:
    """A fake lease service in a thread of its own, as the hub is another process."""

    def __init__(self, service: FakeLeaseService) -> None:
        self.service = service
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.run(service.listen())

    def run(self, work: Any) -> Any:
        """Run something in the service's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def call(self, function: Callable[[], Any]) -> Any:
        """Call a function in the service's thread."""

        async def work() -> Any:
            return function()

        return self.run(work())

    def end(self) -> None:
        """End service and thread."""
        self.run(self.service.hang_up())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


class Platform:
    """A hub and a proxy of their own installation, and what the tests do to them."""

    def __init__(self, folder: Path, settings: dict[str, str] | None = None, hub_lines: str = "") -> None:
        port, hub_port, service_port, proxy_api_port = free_ports(4)
        lines = {
            "\n# port = 8000\n": f"\nport = {port}\n",
            "\n# hub_port = 8081\n# service_port = 8082\n# proxy_api_port = 8001\n": (
                f"\nhub_port = {hub_port}\nservice_port = {service_port}\nproxy_api_port = {proxy_api_port}\n"
            ),
        }
        write_config(folder / "himalia.toml", lines | (settings or {}))
        with (folder / "himalia.toml").open("a") as file:
            file.write('\n[[profiles]]\nname = "team"\ntitle = "For the team"\nteams = ["lab"]\n')
        self.place = Place.load(folder / "himalia.toml")
        write_hub_config(self.place)
        own = folder / "jupyterhub_config.d"
        own.mkdir()
        (own / "10-test.py").write_text(f"c = get_config()\nc.Spawner.poll_interval = 1\n{hub_lines}\n")
        home = folder / "homes" / "x"
        home.mkdir(parents=True)
        os.chown(home, 1000, 100)
        self.docker = docker.from_env()
        self.service = FakeLeaseService(
            address=self.place.gateway,
            port=service_port,
            token=self.place.credentials.spawner_token,
            image=IMAGE,
            mounts=(MountView(source=str(home), target="/home/jovyan"),),
            container_runs=lambda lease_id: any(
                found.labels["himalia.lease"] == lease_id for found in self.containers()
            ),
        )
        self.thread = ServiceThread(self.service)
        self.commands = {program.name: program for program in programs(self.place)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.log = folder / "platform.log"

    def start(self, name: str) -> None:
        """Start hub or proxy, and return once it answers."""
        program = self.commands[name]
        with self.log.open("ab") as log:
            self.processes[name] = subprocess.Popen(
                program.command,
                env=os.environ | self.place.environment,
                cwd=self.place.site.data,
                stdout=log,
                stderr=log,
            )
        eventually(lambda: self.processes[name].poll() is not None or answers(program.ready_url))
        assert self.processes[name].poll() is None, self.log.read_text()[-4000:]

    def stop(self, name: str, *, kill: bool = False) -> None:
        """End hub or proxy."""
        process = self.processes.pop(name)
        process.kill() if kill else process.terminate()
        process.wait(30)

    def containers(self) -> list[Any]:
        """Return this installation's running containers."""
        return self.docker.containers.list(filters={"label": f"himalia={self.place.installation}"})

    def container(self, user: str) -> Any:
        """Return a user's running container, or None."""
        return next((found for found in self.containers() if found.labels["himalia.owner"] == f"user:{user}"), None)

    def hub(self, method: str, path: str, token: str, **options: Any) -> httpx.Response:
        """Ask the hub's API through the proxy."""
        headers = {"Authorization": f"token {token}"}
        return httpx.request(method, f"{self.place.proxy_url}/hub/api/{path}", headers=headers, timeout=60, **options)

    def end(self) -> None:
        """End everything, and leave nothing in the Engine."""
        for name in list(self.processes):
            self.stop(name)
        self.thread.end()
        remove_belongings(self.place.installation, belongings(self.place.installation))
        self.docker.close()


@pytest.fixture(name="eventually")
def eventually_fixture() -> Callable[..., Any]:
    """Give the function that waits for a condition."""
    return eventually


@pytest.fixture(name="free_ports", scope="session")
def free_ports_fixture() -> Callable[[int], list[int]]:
    """Give the function that finds ports."""
    return free_ports


@pytest.fixture(scope="module")
def make_platform(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Platform]]:
    """Give a function that makes a hub and a proxy with changed lines of himalia.toml; use it with `with`."""

    @contextmanager
    def make(settings: dict[str, str], hub_lines: str = "") -> Iterator[Platform]:
        made = Platform(tmp_path_factory.mktemp("platform"), settings, hub_lines)
        try:
            made.start("proxy")
            made.start("hub")
            yield made
        finally:
            made.end()

    return make


@pytest.fixture(scope="module")
def settings() -> dict[str, str]:
    """Give what differs from the commented himalia.toml; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def hub_lines() -> str:
    """Give an administrator's own lines of the hub's configuration; a module may have its own."""
    return ""


@pytest.fixture(scope="module")
def platform(
    make_platform: Callable[..., AbstractContextManager[Platform]], settings: dict[str, str], hub_lines: str
) -> Iterator[Platform]:
    """Give a hub and a proxy that run."""
    with make_platform(settings, hub_lines) as made:
        yield made


@pytest.fixture
def person(platform: Platform) -> Iterator[Callable[[str], Person]]:
    """Give a function that logs somebody in; their servers are stopped afterwards."""
    with ExitStack() as stack:
        there: list[Person] = []

        def log_in(name: str) -> Person:
            found = stack.enter_context(Person(platform.place.proxy_url, name))
            found.log_in(load_passwords(platform.place.site.data).user)
            there.append(found)
            return found

        yield log_in
        for found in there:
            found.stop_server()
