"""The job service for unit tests: the real application, database and stores, beside a hub and an engine that are fakes."""

from __future__ import annotations

import asyncio
import atexit
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import httpx
from hub import FakeHub
from tornado.netutil import bind_sockets
from tornado.web import create_signed_value

from himalia.credentials import load_credentials
from himalia.gpus import Slot
from himalia.ids import attempt_id, new_id
from himalia.models import Entry, EntryType, Manifest
from himalia.site import Site
from himalia.snapshot import pack, scan
from himalia.states import JobState
from himalia.units import GiB
from himalia_gpus.inventory import SimulatedInventory
from himalia_gpus.supervisor import StandingWatch
from himalia_jobs.api import make_application
from himalia_jobs.api.body_streams import BodyServer
from himalia_jobs.contents import ContentStore
from himalia_jobs.engines.base import EngineHealth, Image, Node
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import ImageMissing, NotSent
from himalia_jobs.engines.workspace import remove_everything
from himalia_jobs.hub import Hub, hub_auth
from himalia_jobs.layout import DataLayout
from himalia_jobs.refusing import Refusing
from himalia_jobs.service import Service
from himalia_jobs.settings import Settings
from himalia_jobs.store import jobs
from himalia_jobs.store.clock import now_text
from himalia_jobs.store.moves import move
from himalia_jobs.store.records import JobRecord
from himalia_jobs.store.schema import open_database

NO_GPUS: dict[str, Any] = {"count": 0, "model": "", "memory_bytes": 0, "installation": ""}
SITE: dict[str, Any] = {
    "teams": {"nlp": ["ada", "bob"]},
    "profiles": [
        {"name": "small", "cpus": 1, "memory": "1G", "time_limit": "1h", "max_time_limit": "2h"},
        {"name": "gpu", "cpus": 1, "memory": "1G", "gpus": "1"},
        {"name": "for-nlp", "cpus": 1, "memory": "1G", "teams": ["nlp"]},
        {"name": "notebooks", "cpus": 1, "memory": "1G", "jobs": False},
    ],
}
SLOTS = tuple(
    Slot(node_id="local", uuid=f"GPU-{n}", index=n, model="Simulated", memory_bytes=24 * GiB, simulated=True)
    for n in range(2)
)


class EngineWithoutDocker(LocalEngine):
    """The local engine on a machine whose Docker Engine was there when it was last looked at: nothing can be started."""

    answers = True  #: whether the Docker Engine says which images there are
    images: Mapping[str, str] = {"himalia/server:dev": "sha256:1"}

    async def nodes(self) -> list[Node]:
        """Return a machine with four CPUs and two simulated GPUs."""
        self._must_answer()
        return [Node(node_id="local", name="here", boot_id="1", cpus=4.0, memory_bytes=16 * GiB, slots=SLOTS)]

    async def resolve_image(self, reference: str, node_id: str = "local") -> Image:
        """Return the image, if it is one of those that are here."""
        self._must_answer()
        if reference not in self.images:
            raise ImageMissing(f"the image {reference} is not on this machine")
        return Image(reference=reference, image_id=self.images[reference])

    async def delete(self, attempt: str) -> None:
        """Remove log and artifacts."""
        self._must_answer()
        await asyncio.to_thread(remove_everything, self.layout, attempt)

    async def health(self) -> EngineHealth:
        """Say that all is well."""
        return EngineHealth(ok=True)

    def _must_answer(self) -> None:
        if not self.answers:
            raise NotSent("the Docker Engine does not answer")


@dataclass
class AtWork:
    """A service that listens, and what tests do to it."""

    service: Service
    hub: FakeHub
    http: httpx.AsyncClient
    engine: EngineWithoutDocker

    async def ask(self, method: str, path: str, who: str | None = "ada", **options: Any) -> httpx.Response:
        """Send a request below `api/` as somebody; none: nobody."""
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {who}-token"} if who else {})
        return await self.http.request(method, f"/services/jobs/api/{path}", headers=headers, **options)

    def cookie(self, who: str) -> str:
        """Return the cookie header of somebody who is logged in with a browser."""
        secret, name = self.service.settings.credentials.cookie_secret, self.service.hub.auth.cookie_name
        return f"{name}={create_signed_value(secret, name, f'{who}-token').decode()}"

    async def open(self, path: str = "", who: str | None = "ada", **options: Any) -> httpx.Response:
        """Open a page as somebody who is logged in with a browser; none: nobody."""
        headers = options.pop("headers", {}) | {"Accept": "text/html"}
        headers |= {"Cookie": self.cookie(who)} if who else {}
        return await self.http.get(f"/services/jobs/{path}", headers=headers, **options)

    async def browser(self, who: str = "ada") -> dict[str, str]:
        """Return the headers of a script of one of our pages: cookies, and the token that the page carries."""
        page = await self.open(who=who)
        token = page.cookies["_xsrf"]
        return {"Cookie": f"{self.cookie(who)}; _xsrf={token}", "X-XSRFToken": token, "Sec-Fetch-Mode": "cors"}

    async def submit(self, who: str = "ada", **fields: Any) -> dict[str, Any]:
        """Submit a job that is taken, and return it."""
        answer = await self.ask("POST", "jobs", who, json={"project": "work", "command": "true"} | fields)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    async def send(self, folder: Path, who: str = "ada", owner: str = "") -> str:
        """Send a directory's files and return the committed snapshot's id."""
        packed = pack(scan(folder))
        wish = {"owner": owner or f"user:{who}", "manifest": packed.manifest.model_dump(mode="json")}
        opened = (await self.ask("POST", "snapshots", who, json=wish)).json()
        content = b"".join(packed.stream(opened["missing"]))
        await self.ask("PUT", f"snapshots/{opened['id']}/contents", who, content=content)
        assert (await self.ask("POST", f"snapshots/{opened['id']}/commit", who)).json()["committed"]
        return str(opened["id"])

    async def attempt_runs(self, job_id: str) -> None:
        """Let the attempt that a round has started run."""

        def write(db: Any) -> None:
            last = jobs.last_attempt(db, job_id)
            assert last is not None
            jobs.change_attempt(db, last.id, started_at=now_text())
            move(db, job_id, JobState.RUNNING)

        await self.service.db.write(write)

    async def attempt(self, job_id: str, state: JobState, *, log: bytes = b"", files: Sequence[str] = ()) -> Path:
        """Let a job have an attempt in some state, with a log and artifacts; return the attempt's directory."""

        def write(db: Any) -> JobRecord:
            job = jobs.get(db, job_id)
            number = job.attempt_count + 1
            jobs.add_attempt(
                db,
                {
                    "id": attempt_id(job_id, number),
                    "job_id": job_id,
                    "number": number,
                    "node_id": "local",
                    "lease_id": new_id(),
                    "slots": [],
                },
            )
            db.exec_driver_sql("UPDATE jobs SET state = ?, attempt_count = ? WHERE id = ?", (state, number, job_id))
            return jobs.get(db, job_id)

        job = await self.service.db.write(write)
        own = self.service.layout.attempt(attempt_id(job_id, job.attempt_count))
        (own / "run").mkdir(parents=True)
        (own / "artifacts").mkdir()
        (own / "run" / "log").write_bytes(log)
        for name in files:
            (own / "artifacts" / name).parent.mkdir(parents=True, exist_ok=True)
            (own / "artifacts" / name).write_text(f"content of {name}")
        return own


def one_file(path: str = "a", **changes: Any) -> Manifest:
    """Return the manifest of a single entry; without changes, of a file of one byte."""
    whole = {"path": path, "type": EntryType.FILE, "size_bytes": 1, "chunks": ("ab" * 32,)} | changes
    return Manifest(entries=(Entry.model_validate(whole),))


def settings_for(data: Path, **site: Any) -> Settings:
    """Return the settings of a service on a data directory."""
    table = SITE | {"platform": {"data": str(data)}} | site
    return Settings(site=Site.model_validate(table), credentials=load_credentials(data))


@functools.cache
def empty_database() -> Path:
    """Return a database without rows, made once: its migrations take longer than most tests."""
    file = Path(tempfile.mkdtemp(prefix="himalia-empty-")) / "himalia.sqlite"
    open_database(file).close()
    atexit.register(shutil.rmtree, file.parent, ignore_errors=True)
    return file


@asynccontextmanager
async def listening(service: Service | Refusing, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the real application on a free port, and yield a client of it."""
    server = BodyServer(make_application(service), **options)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        http.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # only what a test sends is sent
        yield http
    server.stop()
    await server.close_all_connections()


@asynccontextmanager
async def at_work(data: Path, **site: Any) -> AsyncIterator[AtWork]:
    """Yield a service that listens; its loops do not run, so that nothing moves by itself."""
    settings = settings_for(data, **site)
    hub = FakeHub()
    await hub.listen()
    hub.knows("ada", teams=("nlp",))
    hub.knows("bob", teams=("nlp",))
    hub.knows("eve")
    hub.knows("root", admin=True, scopes=("access:services!service=jobs", "custom:jobs:admin"))
    hub.knows("spawner", kind="service", scopes=("access:services!service=jobs", "custom:jobs:lease"))
    layout = DataLayout(data=data)
    layout.engine.mkdir(parents=True, exist_ok=True)
    contents = ContentStore(data, settings.site.limits)
    engine = EngineWithoutDocker(
        settings.site, settings.installation, layout, contents, StandingWatch(SimulatedInventory(**NO_GPUS))
    )
    shutil.copy(empty_database(), layout.database)
    db = open_database(layout.database)
    asking = Hub(hub_auth(settings, hub.url), db, hub.url, settings.credentials.service_token, layout.owners)
    service = Service(settings, db, engine, asking, contents, layout, gateway="127.0.0.1")
    service.serving.decision_seconds = 0.0  # only the test makes rounds
    await service.nodes()
    async with listening(service, max_body_size=4 * 1024 * 1024) as http:
        yield AtWork(service=service, hub=hub, http=http, engine=engine)
    service.starter.servers.close()
    await asking.close()
    await hub.hang_up()
    service.contents_threads.shutdown(wait=True)
    contents.close()
    service.file_threads.shutdown(wait=True)
    await engine.close()
    db.close()
