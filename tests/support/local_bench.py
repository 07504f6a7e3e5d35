"""What the contract suite for engines runs on where commands are real: this machine's Docker Engine, behind a relay."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import docker
from docker.errors import NotFound
from docker_relay import DockerRelay
from engine_bench import BROKEN, OWNER_ID, TOO_LARGE
from live_platform import IMAGE

from himalia.container import Label, container_name, identity_of, network_name
from himalia.errors import DiskFull
from himalia.site import Gpus, Site
from himalia_gpus.supervisor import watch_for
from himalia_jobs.engines.docker import LocalEngine
from himalia_jobs.engines.errors import Unknown
from himalia_jobs.engines.fake import Program
from himalia_jobs.layout import DataLayout


class FewTrees:
    """The trees of three snapshots: one is there, one is broken, one has no room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "file").write_text("as submitted\n")
        identity = identity_of("ada")
        for path in (folder, folder / "file"):
            os.chown(path, identity.uid, identity.gid)

    def materialize(self, owner_id: str, digest: str) -> Path:
        """Return the directory of a snapshot."""
        if digest == BROKEN:
            raise OSError("file has another size than its manifest says")
        if digest == TOO_LARGE:
            raise DiskFull("There is no room on the platform's disk.")
        return self.folder


class LocalBench:
    """This machine's Docker Engine behind a relay, and one service with a data directory of its own."""

    image = IMAGE

    def __init__(self, installation: str, folder: Path) -> None:
        self.installation = installation
        self.layout = DataLayout(data=folder / "data")
        self.trees = FewTrees(folder / "tree")
        self.docker = docker.from_env()
        self.image_id = str(self.docker.images.get(IMAGE).id)
        self.relay = DockerRelay()
        self.engines: list[LocalEngine] = []
        self.engine = self.make_engine()

    def make_engine(self) -> LocalEngine:
        """Return an engine as a service has it."""
        site = Site(gpus=Gpus(simulate=2))
        engine = LocalEngine(
            site,
            self.installation,
            self.layout,
            self.trees,
            watch_for(site.gpus, self.installation),
            docker_host=self.relay.host,
        )
        self.engines.append(engine)
        return engine

    def plays(self, argv: tuple[str, ...], program: Program) -> None:
        """Do nothing: commands are real here."""

    async def another_service(self, epoch: int) -> LocalEngine:
        """Return the engine of a service that took over."""
        engine = self.make_engine()
        await engine.open(epoch)
        return engine

    async def let_pass(self) -> None:
        """Let a moment pass."""
        await asyncio.sleep(0.02)

    @asynccontextmanager
    async def cut_off(self) -> AsyncIterator[None]:
        """Cut the line to the Docker Engine."""
        self.relay.cut()
        yield
        self.relay.mend()

    def lose_the_answer_to_a_launch(self) -> None:
        """Let the Engine start the next container, and nobody hear of it."""
        self.relay.lose_answer(b"/start HTTP")

    def break_off_after(self, step: str) -> None:
        """Let the next launch break off, as if the service had died there."""
        maker, first = self.engine._maker, "start" if step != "intent" else "create"
        real = getattr(maker, first)

        async def breaks_off(*args: Any, **kwargs: Any) -> None:
            setattr(maker, first, real)
            if step == "start":
                await real(*args, **kwargs)
            raise Unknown(f"it broke off after its {step}")

        setattr(maker, first, breaks_off)

    async def change_image(self, reference: str, *, there: bool) -> None:
        """Give the image another name, or take it away."""
        if there:
            await asyncio.to_thread(self.docker.api.tag, IMAGE, *reference.split(":"))
        else:
            await asyncio.to_thread(self.docker.api.remove_image, reference)

    async def remove_by_hand(self, attempt: str) -> None:
        """Remove a container past the engine."""
        await asyncio.to_thread(self.docker.containers.get(self.name_of(attempt)).remove, force=True)

    async def run_server(self, lease_id: str) -> str:
        """Run a container with a server's labels."""
        name = container_name(self.installation, "jupyter-ada")
        labels = {
            Label.INSTALLATION: self.installation,
            Label.KIND: "server",
            Label.OWNER: "user:ada",
            Label.LEASE: lease_id,
        }
        self.docker.containers.run(IMAGE, ["600"], entrypoint="sleep", name=name, labels=labels, detach=True)
        return name

    async def run_foreign(self) -> str:
        """Run a container that looks like ours by its name alone."""
        name = container_name(self.installation, "foreign")
        self.docker.containers.run(IMAGE, ["600"], entrypoint="sleep", name=name, detach=True)
        return name

    async def alive(self, name: str) -> bool:
        """Tell whether a container runs."""
        for known in (name, self.name_of(name)):
            try:
                if self.docker.containers.get(known).status == "running":
                    return True
            except NotFound:
                continue
        return False

    def starts(self, attempt: str) -> int:
        """Return how often an attempt's command began: each leaves a line in the storage."""
        file = self.layout.storage(OWNER_ID) / attempt
        return len(file.read_text().splitlines()) if file.exists() else 0

    def name_of(self, attempt: str) -> str:
        """Return the name of an attempt's container."""
        return container_name(self.installation, attempt)

    def container(self, attempt: str) -> dict[str, Any]:
        """Return an attempt's container as the Engine describes it."""
        return dict(self.docker.api.inspect_container(self.name_of(attempt)))

    def network(self, kind: str) -> dict[str, Any]:
        """Return a network as the Engine describes it."""
        return dict(self.docker.api.inspect_network(network_name(self.installation, kind)))

    def remove_network(self, kind: str) -> None:
        """Remove a network by hand, as `docker network prune` does."""
        self.docker.api.remove_network(network_name(self.installation, kind))

    async def end(self) -> None:
        """Remove every container of the test."""
        for engine in self.engines:
            await engine.close()
        self.relay.close()
        ours = {"label": f"{Label.INSTALLATION}={self.installation}"}
        named = {"name": container_name(self.installation, "foreign")}
        for filters in (ours, named):
            for found in self.docker.containers.list(all=True, filters=filters, ignore_removed=True):
                found.remove(force=True)
        self.docker.close()
        gc.collect()  # now, where the warning about sockets is expected
