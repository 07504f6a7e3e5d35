"""A real platform for tests: proxy, hub and job service under their supervisor, in an installation of their own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import httpx

import himalia
from himalia.ids import new_id
from himalia.models import JobView
from himalia.states import LIVE_STATES
from himalia_spawner.passwords import load_passwords
from himalia_spawner.platform.engine import belongings, remove_belongings
from himalia_spawner.platform.person import Person
from himalia_spawner.platform.place import Place, write_config
from himalia_spawner.platform.starting import bring_down, bring_up
from himalia_spawner.platform.supervising import Supervisor

DEADLINE_SECONDS = 90.0
IMAGE = os.environ.get("HIMALIA_TEST_IMAGE", "himalia/server:dev")
IMAGES = """
[[images]]
name = "himalia/server:dev"
image = "{image}"

[[images]]
name = "spare"
image = "{spare}"
"""


def eventually(condition: Callable[[], Any], deadline_seconds: float = DEADLINE_SECONDS) -> Any:
    """Return what the condition gives once it is true; fail at the deadline."""
    deadline = time.monotonic() + deadline_seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on, and that no outgoing connection gets while a service of ours is dead for a moment."""
    given_out = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    below = random.SystemRandom().sample(range(10_000, given_out), given_out - 10_000)
    free = (port for port in below if _is_free(port))
    return [next(free) for _ in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        try:
            listener.bind(("0.0.0.0", port))
        except OSError:
            return False
        return True


class LivePlatform:
    """What the tests see of a platform, and what they do to it."""

    def __init__(self, folder: Path, settings: str, *, base_url: str = "/") -> None:
        port, hub_port, service_port, proxy_api_port = free_ports(4)
        lines = {
            "\n# port = 8000\n": f"\nport = {port}\n",
            '\n# base_url = "/"\n': f'\nbase_url = "{base_url}"\n',
            "\n# hub_port = 8081\n# service_port = 8082\n# proxy_api_port = 8001\n": (
                f"\nhub_port = {hub_port}\nservice_port = {service_port}\nproxy_api_port = {proxy_api_port}\n"
            ),
        }
        self.folder = folder
        config = folder / "himalia.toml"
        write_config(config, lines)
        before = config.read_text().split("[auth]")[0]
        self.spare = f"himalia/spare:{new_id()}"  #: an image that is offered, and that a test may take away
        config.write_text(before + settings + IMAGES.format(image=IMAGE, spare=self.spare))
        self.place = Place.load(config)
        self.docker = docker.from_env()
        self._people: dict[str, Person] = {}

    @property
    def url(self) -> str:
        """The address that people open."""
        return self.place.proxy_url

    @property
    def service_url(self) -> str:
        """The job service, straight."""
        return self.place.service_url

    @property
    def password(self) -> str:
        """Everybody's password."""
        return load_passwords(self.place.site.data).user

    @property
    def admin_password(self) -> str:
        """The administrators' password."""
        return load_passwords(self.place.site.data).admin

    def start(self) -> None:
        """Start everything; what is up is left alone."""
        self.docker.api.tag(IMAGE, *self.spare.split(":"))
        bring_up(self.place, lambda _: None)

    def person(self, name: str) -> Person:
        """Return somebody who is logged in."""
        if name not in self._people:
            person = Person(self.url, name)
            admin = name in self.place.site.auth.admins
            person.log_in(self.admin_password if admin else self.password)
            self._people[name] = person
        return self._people[name]

    def client(self, name: str) -> himalia.Client:
        """Return the client of somebody who is logged in, straight to the service."""
        return himalia.Client(self.service_url, self.person(name).token)

    def ask(self, method: str, path: str, token: str | None = None, **options: Any) -> httpx.Response:
        """Ask the service's API straight, as anybody could."""
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.request(method, f"{self.service_url}/{path}", headers=headers, timeout=60, **options)

    def kill(self, program: str) -> None:
        """`kill -9` one of the three processes; the supervisor starts it again."""
        before = self.pid(program)
        os.kill(before, signal.SIGKILL)
        eventually(lambda: self.pid(program) not in (0, before))

    @contextmanager
    def without_spare(self) -> Iterator[str]:
        """Take the spare image off the machine for a while; yield the name that it is offered under."""
        self.docker.api.remove_image(self.spare)
        try:
            yield "spare"
        finally:
            self.docker.api.tag(IMAGE, *self.spare.split(":"))

    @contextmanager
    def stopped(self, program: str) -> Iterator[None]:
        """Keep one of the three processes down for a while."""
        Supervisor(self.place).stop(program)
        try:
            yield
        finally:
            Supervisor(self.place).start(program)

    def pid(self, program: str) -> int:
        """Return the process id of `service`, `hub` or `proxy`; 0 while it does not run."""
        try:
            return Supervisor(self.place).state(program).pid
        except OSError:
            return 0

    def log(self, program: str) -> str:
        """Return the log of one of the three processes."""
        return (self.place.log_dir / f"{program}.log").read_text(errors="replace")

    def containers(self, kind: str | None = None, *, everything: bool = False) -> list[Any]:
        """Return this installation's containers: those that run, or all."""
        labels = [f"himalia={self.place.installation}"] + ([f"himalia.kind={kind}"] if kind else [])
        return self.docker.containers.list(all=everything, filters={"label": labels}, sparse=True, ignore_removed=True)

    def end_jobs(self) -> None:
        """Cancel every job that waits or runs, and wait for their ends."""
        for job in self._live_jobs():
            self.ask("POST", f"jobs/{job}/cancel", self._root)
        eventually(lambda: not self._live_jobs())

    def leave_the_line(self) -> None:
        """Let no server wait any more."""
        for person in self._people.values():
            for wait in self.ask("GET", "waiting", person.token).json()["waiting"]:
                self.ask("DELETE", f"waiting/{wait['id']}", person.token)

    def stop_servers(self) -> None:
        """Take everybody out of the line, and stop everybody's servers."""
        self._leave_the_line()
        for user in self.hub("GET", "users").json():
            for name in user["servers"]:
                self._stop_server(user["name"], name)

    def see_that_all_is_given_back(self) -> None:
        """Fail when something waits or is held for good, though no job and no server is left."""
        with suppress(AssertionError):
            eventually(lambda: not self.held())
        assert not self.held(), f"something is never given back: {self.held()}"

    def hub(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Ask the hub's API as an administrator."""
        headers = {"Authorization": f"token {self._root}"}
        return httpx.request(method, f"{self.url}/hub/api/{path}", headers=headers, timeout=60, **options)

    def held(self) -> list[tuple[str, ...]]:
        """Return (kind, user, holder, state) of all that waits for or holds a share of the machine."""
        query = "SELECT kind, user, holder, state FROM leases WHERE state != 'released'"
        with closing(sqlite3.connect(f"file:{self.place.site.data}/himalia.sqlite?mode=ro", uri=True)) as db:
            return db.execute(query).fetchall()

    def _leave_the_line(self) -> None:
        for person in self._people.values():
            for wait in self.ask("GET", "waiting", person.token).json()["waiting"]:
                self.ask("DELETE", f"waiting/{wait['id']}", person.token)

    def _stop_server(self, user: str, name: str) -> None:
        """Stop a server, also one that is being started or stopped."""
        address = f"users/{quote(user)}/servers/{quote(name)}" if name else f"users/{quote(user)}/server"
        eventually(lambda: self.hub("DELETE", address).status_code in (204, 404))

    @property
    def _root(self) -> str:
        return self.person("root-admin").token

    def _live_jobs(self) -> list[str]:
        """Return all jobs that have not ended; a service that is coming back is waited for."""
        states = ",".join(sorted(LIVE_STATES))

        def page() -> httpx.Response | None:
            try:
                answer = self.ask("GET", f"jobs?state={states}&limit=200", self._root)
            except httpx.TransportError:
                return None
            return answer if answer.status_code == 200 else None

        return [job["id"] for job in eventually(page).json()["jobs"]]

    def end(self) -> None:
        """End everything, and leave nothing in the Engine."""
        for person in self._people.values():
            person.__exit__(None, None, None)
        bring_down(self.place, lambda _: None, everything=True)
        remove_belongings(self.place.installation, belongings(self.place.installation))
        with suppress(docker.errors.ImageNotFound):
            self.docker.api.remove_image(self.spare)
        self.docker.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def run(
    client: himalia.Client,
    command: Sequence[str] | str,
    folder: Path | None = None,
    *,
    wait: bool = True,
    **options: Any,
) -> himalia.Job:
    """Submit a command and wait for its end."""
    options.setdefault("project", "tests")
    job = himalia.submit(folder, command=command, client=client, **options)
    return job.wait(timeout=DEADLINE_SECONDS) if wait else job


def output(job: himalia.Job) -> bytes:
    """Return all that a job printed."""
    return b"".join(job.log(follow=True))


def state(job: himalia.Job) -> JobView:
    """Return a job as it is now."""
    return job.refresh().view
