"""`himalia-service`: starts the job service, listens first, and works as soon as everything it needs is there."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import click
from tornado.netutil import bind_sockets

from himalia.errors import HimaliaError, LocalError, Unavailable
from himalia.harmless import harmless
from himalia_gpus.supervisor import watch_for

from . import process
from .api import make_application
from .api.body_streams import BodyServer
from .contents import ContentStore
from .engines.bridges import find_gateway
from .engines.docker import LocalEngine
from .engines.errors import EngineError
from .hub import Hub, hub_auth
from .layout import DataLayout
from .refusing import Refusing
from .service import Service
from .settings import Settings, log_level, read_settings
from .store import meta
from .store.schema import open_database

log = logging.getLogger("himalia")

CHUNK_BYTES = 1024 * 1024  #: tornado's own 64 KiB halves the speed of uploads
LARGEST_BODY_BYTES = 4 * 1024 * 1024  #: manifests and packs are streamed, and have limits of their own
BODY_SECONDS = 900.0  #: within which a body has to come that is no upload: a slow line may send a long manifest
SMALLEST_DATABASE_BYTES = 512  #: SQLite takes a smaller file for an empty database
ENGINE_RETRY_SECONDS = 5.0
CLOSE_SECONDS = 3.0
BACKLOG = 1024  #: connections that wait to be taken: after a restart everybody's tabs come back at once


class OneLine(logging.Formatter):
    """Writes each record on a line, whatever people have put into it; a traceback follows on lines of its own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Return a record's line."""
        return harmless(super().formatMessage(record)).replace("\n", "\\n")


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="himalia.toml; else the environment's HIMALIA_CONFIG.")
@click.option("--adopt", is_flag=True, help="Take running containers over into a new database.")
def main(config: Path | None, adopt: bool) -> None:
    """Run the job service of Himalia."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine("%(asctime)s %(levelname).1s %(name)s %(message)s"))
    logging.basicConfig(level=log_level(), handlers=[handler])
    try:
        settings = read_settings(config, adopt=adopt)
    except LocalError as error:
        raise click.ClickException(error.message) from error
    process.allow_many_files()
    process.give_memory_back()
    process.answer_soon()
    try:
        asyncio.run(serve(settings))
    except LocalError as error:
        raise click.ClickException(error.message) from error


async def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; running jobs go on."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    while not stop.is_set():
        try:
            async with _working(settings) as service:
                await _run(service, settings, stop, gateway=service.gateway)
        except EngineError as error:
            log.warning("waiting for the Docker Engine: %s", error)
            refusal: HimaliaError = Unavailable(
                f"The Docker Engine does not answer: {error}. Nothing is lost; start it."
            )
            await _run(Refusing(settings, refusal), settings, stop, seconds=ENGINE_RETRY_SECONDS)
        except LocalError:
            raise  # it cannot even listen
        except HimaliaError as error:
            log.error("%s", error.message)
            gateway = await find_gateway(settings.docker_host, settings.installation)
            await _run(Refusing(settings, error), settings, stop, gateway=gateway)


async def _run(
    service: Service | Refusing,
    settings: Settings,
    stop: asyncio.Event,
    *,
    gateway: str | None = None,
    seconds: float | None = None,
) -> None:
    """Listen and work until it is time to stop, or for some seconds."""
    server = BodyServer(
        make_application(service),
        chunk_size=CHUNK_BYTES,
        max_body_size=LARGEST_BODY_BYTES,
        body_timeout=BODY_SECONDS,
    )
    port = settings.site.platform.service_port
    for address in dict.fromkeys(["127.0.0.1", gateway or "127.0.0.1"]):
        try:
            server.add_sockets(bind_sockets(port, address, backlog=BACKLOG))
        except OSError as error:
            raise LocalError(
                f"Port {port} on {address} is taken ({error.strerror}). Set [platform] service_port in himalia.toml."
            ) from error
    log.info("listening on port %s", port)
    process.keep_what_is_there()
    working = asyncio.create_task(service.run(), name="service")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    done, _ = await asyncio.wait({working, stopping}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    server.stop()
    stopping.cancel()
    if working in done:
        working.result()
    working.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await working
    async with asyncio.timeout(CLOSE_SECONDS):
        await server.close_all_connections()


@contextlib.asynccontextmanager
async def _working(settings: Settings) -> AsyncIterator[Service]:
    """Yield the service with all it needs; raise the sentence why it must not work."""
    data = settings.site.data
    data.mkdir(parents=True, exist_ok=True)
    layout = DataLayout(data=data)
    with _only_one(data):
        contents = ContentStore(data, settings.site.limits)
        await asyncio.to_thread(contents.tidy)
        watch = watch_for(settings.site.gpus, settings.installation, layout.simulated_load)
        engine = LocalEngine(
            settings.site, settings.installation, layout, contents, watch, docker_host=settings.docker_host
        )
        try:
            await _refuse_a_lost_database(settings, layout, engine)
            db = await asyncio.to_thread(open_database, layout.database)
            try:
                await engine.open(await db.write(meta.next_epoch))
                hub_url = f"http://{engine.server_gateway}:{settings.site.platform.hub_port}{settings.base.rstrip('/')}"
                token = settings.credentials.service_token
                hub = Hub(hub_auth(settings, hub_url), db, hub_url, token, layout.owners)
                service = Service(settings, db, engine, hub, contents, layout, gateway=engine.server_gateway)
                try:
                    await asyncio.to_thread(service.fetches.tidy)
                    yield service
                finally:
                    await service.fetches.close()
                    service.starter.servers.close()
                    await hub.close()
            finally:
                await asyncio.to_thread(db.close)
        finally:
            await engine.close()
            await asyncio.to_thread(contents.close)


@contextlib.contextmanager
def _only_one(data: Path) -> Iterator[None]:
    """Hold the data directory; raise Unavailable when another service has it."""
    with (data / "service.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Unavailable(
                f"Another job service works on {data}. Stop it first, or set another data directory."
            ) from error
        yield


async def _refuse_a_lost_database(settings: Settings, layout: DataLayout, engine: LocalEngine) -> None:
    """Raise Unavailable when there is no database but traces of an earlier one: an empty one would forget all jobs."""
    there = layout.database.exists() and layout.database.stat().st_size >= SMALLEST_DATABASE_BYTES
    if there or settings.adopt:
        return
    jobs = layout.data / "jobs"
    running = [found.name for found in (await engine.list()).containers if found.exit is None]
    if running or (jobs.is_dir() and any(jobs.iterdir())):
        raise Unavailable(
            f"The database {layout.database} is missing, but {len(running)} containers of this installation run and "
            f"{jobs} holds jobs. Nothing was changed. Put a backup of the database in its place, or start once with "
            "--adopt to begin a new one that takes the running containers over."
        )
