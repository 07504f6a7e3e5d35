"""LocalEngine: the Docker Engine of this machine, with a journal of its own."""

from __future__ import annotations

import asyncio
import platform
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from docker.errors import APIError

from himalia.container import Label, network_name
from himalia.gpus import Slot
from himalia.site import Site
from himalia_gpus.devices import Way, device_requests
from himalia_gpus.supervisor import Watch
from himalia_gpus.ways import find_way

from ..bootclock import BootClock
from ..layout import DataLayout
from .attempt_files import AttemptFiles
from .base import (
    LOCAL,
    Collected,
    Cursor,
    Door,
    EngineEvent,
    EngineEventKind,
    EngineHealth,
    Image,
    LaunchSpec,
    Listing,
    Mode,
    Node,
    Observed,
    Phase,
    Usage,
)
from .bridges import Bridges
from .calls import DockerCalls, said
from .disk import DiskPlace, DiskUse
from .disk_use.meter import DiskMeter
from .doors import Doors
from .ends import Ends
from .errors import EngineError, ImageMissing, NetworkMissing, NodeDraining, NodeUnknown, StartFailed
from .events import EventStream
from .gpu_use import MachineGPUs
from .gpus import GPUUse
from .images import Images
from .journal import Journal, must_be_new_or_same, must_be_unfinished
from .launcher_file import install_launcher
from .limits import ulimits
from .making import Maker
from .packages import Packages
from .pulse import Pulse
from .remains import Remains
from .runfiles import seal
from .seen import observed_of_row
from .usage import Meter
from .workspace import Trees, overlay_works, remove_directories, remove_everything

INFO_SECONDS = 30.0
QUICK_SECONDS = 10.0
ALIVE_SECONDS = 1.0  #: after an answer the Engine is not asked whether it is there
NOT_STARTED = (Phase.ABSENT, Phase.CREATED)


class LocalEngine(AttemptFiles):
    """Implements the engine contract (`engines.base`) on the Docker Engine of this machine."""

    def __init__(
        self,
        site: Site,
        installation: str,
        layout: DataLayout,
        trees: Trees,
        watch: Watch,
        *,
        docker_host: str | None = None,
        launcher: Path | None = None,
    ) -> None:
        self.site = site
        self.installation = installation
        self.trees = trees
        self.docker = DockerCalls(docker_host)
        self.ulimits = ulimits()
        self.way = Way.NONE
        self._launcher = launcher
        super().__init__(layout, Journal(layout.engine / "journal.sqlite"))
        self._events = EventStream(self.docker, installation)
        self._meter = Meter(self.docker)
        self._doors = Doors(self.docker, network_name(installation, "server"))
        self._clock = BootClock()
        self._gpus = MachineGPUs(self.docker, installation, watch, self._clock, site.gpus.monitors)
        self._epoch = 0
        self._maker = Maker(self.docker, installation, layout, trees, self._in_thread)
        self._disk = DiskMeter(layout, site.limits.log_size, self._maker.container)
        self._pulse = Pulse(self._journal, self._clock)
        lives, boot_id = self._events.lives, self._clock.boot_id
        self._ends = Ends(self._maker, self._journal, layout, self._pulse, lives, boot_id, self._in_thread)
        self._remains = Remains(self._maker, self._journal, self._in_thread)
        self._packages = Packages(self.docker, installation, layout, self._in_thread)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._node: tuple[float, Node] | None = None
        self._images = Images(self.docker, self._events.lives)
        self._complaints: tuple[str, ...] = ()
        self._stops: set[asyncio.Task[None]] = set()
        self._bridges = Bridges(self.docker, site, installation, self._in_thread)

    @property
    def server_gateway(self) -> str:
        """This machine's address on the servers' network."""
        return self._bridges.gateway

    async def open(self, epoch: int) -> None:
        """Take over with this epoch; make networks and directories."""
        await self._in_thread(self._journal.take_over, epoch)
        self._epoch = epoch
        await self._bridges.open()
        self._maker.overlay = await self._in_thread(overlay_works, self.layout.data)
        await self._remains.open()
        await self._disk.open()
        await self._in_thread(install_launcher, self.layout, self._launcher)
        await self._gpus.open(self._gpus_changed)
        await self.nodes()

    async def close(self) -> None:
        """Let go of everything; containers run on."""
        self._events.close()
        await self._gpus.close()
        await self._packages.close()
        await self._remains.close()
        for task in self._stops:
            task.cancel()
        await asyncio.gather(*self._stops, return_exceptions=True)
        self._logs.close()
        self.docker.close()
        self._disk.close()
        self._files.shutdown(wait=True, cancel_futures=True)
        self._journal.close()

    async def tend(self) -> None:
        """Put networks and the packet filter's rules back where somebody took them away, and remove what was left."""
        await self._remains.tend()
        await self._bridges.tend()

    async def nodes(self) -> list[Node]:
        """Return this machine; what seldom changes is asked for twice a minute."""
        known = self._node  # forgotten meanwhile when other GPUs are seen
        if known is None or self._clock.now() - known[0] > INFO_SECONDS:
            known = self._node = (self._clock.now(), await self._look())
        elif time.monotonic() - self.docker.answered > ALIVE_SECONDS:
            await self.docker("ping", timeout=QUICK_SECONDS)
        return [self._gpus.on(replace(known[1], state=await self._in_thread(self._journal.mode)))]

    async def set_node(self, node_id: str, state: Mode, reason: str) -> Node:
        """Say whether this machine takes new containers; it stays so when the service starts anew."""
        if node_id != LOCAL:
            raise NodeUnknown(f"there is no node {node_id}")
        await self._check_epoch()
        await self._in_thread(self._journal.set_mode, state)
        return (await self.nodes())[0]

    async def resolve_image(self, reference: str, node_id: str = LOCAL) -> Image:
        """Return the id of an image; raise ImageMissing."""
        return await self._images.resolve(reference)

    async def prepare(self, spec: LaunchSpec) -> None:
        """Make sure that image, workspace tree and directories are there; nothing is made for an attempt that has ended."""
        async with self._alone(spec.attempt):
            await self._in_thread(self._prepare, spec)
            await self._images.see(spec.image_id)

    async def launch(self, spec: LaunchSpec, *, timeout_seconds: float) -> Observed:
        """Create and start the attempt's container, at most once for ever (I2)."""
        async with self._alone(spec.attempt):
            entry = await self._in_thread(self._journal.look, self._epoch, spec.attempt)
            if entry is None:  # nobody looks for what was never made: if it is there all the same, its name shows it
                observed = Observed(attempt=spec.attempt, phase=Phase.ABSENT)
            else:
                observed = await self._maker.observe(spec.attempt)
            if entry is not None and entry.stop_why is not None and observed.phase in NOT_STARTED:
                await self._ends.stopped(spec.attempt)  # a stop that was cut short
                entry = await self._in_thread(self._journal.find, spec.attempt)
            must_be_new_or_same(entry, observed, spec)
            started = entry is not None and entry.started
            if observed.phase is Phase.CREATED or (observed.phase is Phase.ABSENT and not started):
                begun = await self._make(spec, observed, timeout_seconds, new=entry is None, again=started)
                self._packages.note(spec)
                if begun:
                    return await self._ends.after_start(spec)
            return await self._ends.now(spec.attempt)

    async def stop(self, attempt: str, *, grace_seconds: float, why: str) -> None:
        """SIGTERM, grace, SIGKILL; return when accepted. One that has ended keeps its own end."""
        async with self._alone(attempt):
            await self._check_epoch()
            observed = await self._ends.now(attempt)
            if observed.exit is not None:
                return
            await self._in_thread(self._journal.stopping, attempt, why)
            if observed.phase in NOT_STARTED:
                await self._ends.stopped(attempt)
                await self._maker.remove(attempt)
                return
            task = asyncio.create_task(self._maker.kill(attempt, grace_seconds), name=f"stop {attempt}")
            self._stops.add(task)
            task.add_done_callback(self._stops.discard)

    async def warn(self, attempt: str) -> None:
        """Warn a running attempt; its launcher passes on the first warning only."""
        await self._check_epoch()
        await self._maker.warn(attempt)

    async def status(self, attempt: str) -> Observed:
        """Return the attempt as it is now; an end that is seen for the first time is journalled first (I9)."""
        return await self._ends.now(attempt)

    async def list(self, node_id: str = LOCAL) -> Listing:
        """Return all containers of this installation, servers too, in one call."""
        try:
            found = await self.docker(
                "containers", all=True, filters={"label": [f"{Label.INSTALLATION}={self.installation}"]}
            )
        except APIError as error:
            raise EngineError(said(error)) from error
        return Listing(node_id=LOCAL, complete=True, containers=tuple(observed_of_row(row) for row in found))

    async def watch(self, after: Cursor | None = None) -> AsyncIterator[EngineEvent]:
        """Yield hints until the Engine breaks off."""
        async for event in self._events.follow():
            yield event

    async def packages(self, attempt: str) -> str | None:
        """Return the Python packages that the attempt could import; None where they are not known (yet)."""
        return await self._packages.read(attempt)

    async def collect(self, attempt: str) -> Collected:
        """Seal log and artifacts after the end."""
        entry = await self._in_thread(self._journal.look, self._epoch, attempt)
        if entry is not None and entry.collected is not None:
            return Collected(**entry.collected)
        await self._ends.must_be_over(attempt, entry)
        return await self._in_thread(self._seal, attempt)

    async def forget(self, attempt: str) -> None:
        """Remove container and working directories, and then the volume; log, artifacts and the tombstone stay."""
        async with self._alone(attempt):
            entry = await self._in_thread(self._journal.look, self._epoch, attempt)
            await self._ends.must_be_over(attempt, entry)  # the end is in the journal before the container goes
            # The Engine takes its time; what is kept of the working directories is sealed meanwhile, and they go.
            # Neither goes on behind the other's failure: whoever forgets it next would meet it.
            for failure in await asyncio.gather(
                self._maker.remove_container(attempt), self._in_thread(self._clear, attempt), return_exceptions=True
            ):
                if failure is not None:
                    raise failure
            await self._in_thread(partial(self._journal.forgotten, attempt, wholly=False))
            self._remains.remove(attempt)

    def _seal(self, attempt: str) -> Collected:
        collected = seal(self.layout.attempt(attempt), self.site.limits.log_size)
        self._journal.collected(attempt, vars(collected))
        return collected

    def _clear(self, attempt: str) -> None:
        """Remove the working directories of one that is over, once the log that lies in them is sealed."""
        entry = self._journal.look(self._epoch, attempt)
        if entry is not None and entry.digest and not entry.forgotten and entry.collected is None:
            self._seal(attempt)
        remove_directories(self.layout, attempt)

    async def delete(self, attempt: str) -> None:
        """Remove log and artifacts as well."""
        await self.forget(attempt)
        await self._in_thread(remove_everything, self.layout, attempt)

    async def usage(self, node_id: str = LOCAL) -> Sequence[Usage]:
        """Return what the running attempts use now."""
        listing = await self.list()
        running = [found for found in listing.containers if found.kind == "job" and found.phase is Phase.RUNNING]
        used = await self._meter.read({found.attempt: found.handle for found in running})
        return self._gpus.beside(used, {found.attempt: found.slots for found in running})

    async def disk_use(self, places: Sequence[DiskPlace], node_id: str = LOCAL) -> Sequence[DiskUse]:
        """Return what running attempts, homes and storages take of the disk."""
        return await self._disk.use(places)

    async def gpu_use(self, node_id: str = LOCAL, *, fresh: bool = False) -> GPUUse:
        """Return who is on the GPUs."""
        return await self._gpus.use(fresh=fresh)

    async def doors(self, node_id: str = LOCAL) -> Sequence[Door]:
        """Return where the running servers listen."""
        return await self._doors.of((await self.list(node_id)).containers)

    async def health(self) -> EngineHealth:
        """Say how the Engine is."""
        try:
            await self.docker("ping", timeout=QUICK_SECONDS)
        except (EngineError, APIError) as error:
            return EngineHealth(ok=False, sentences=(f"The Docker Engine does not answer: {error}. Jobs wait.",))
        sentences = (*self._complaints, *self._bridges.complaints)
        return EngineHealth(ok=not sentences, sentences=sentences)

    def server_devices(self, slots: tuple[Slot, ...]) -> tuple[dict[str, Any], ...]:
        """Return the device requests of a server's container."""
        return device_requests(slots, self.way)

    def _prepare(self, spec: LaunchSpec) -> None:
        must_be_unfinished(self._journal.look(self._epoch, spec.attempt), spec.attempt)
        self._maker.prepare(spec)
        self._disk.fence(spec.attempt, spec.disk)

    async def _make(
        self, spec: LaunchSpec, observed: Observed, timeout_seconds: float, *, new: bool, again: bool
    ) -> bool:
        """Create what is not there yet, and start it: tell whether that was done now. One that cannot be started never will be."""
        await self._in_thread(self._intend, spec, new)
        try:
            if observed.phase is Phase.ABSENT and not await self._create(spec, timeout_seconds):
                observed = await self._maker.observe(spec.attempt)
                must_be_new_or_same(None, observed, spec)
            clock = self._clock.now() if observed.phase in NOT_STARTED else None
            await self._in_thread(self._journal.started, spec.attempt, clock)
            if clock is None:
                return False
            await self._begin(spec.attempt, timeout_seconds)
            return True
        except (ImageMissing, StartFailed) as error:
            await self._ends.first(spec.attempt, await self._maker.end_of_start(spec.attempt, error, again=again))
            await self._maker.remove(spec.attempt)
            raise

    def _intend(self, spec: LaunchSpec, new: bool) -> None:
        """Note what is about to be made; raise NodeDraining where nothing new may be."""
        if new and self._journal.mode() != "ready":
            raise NodeDraining("this machine takes no new containers")
        self._journal.intend(spec.attempt, spec.digest(), self._clock.boot_id)

    async def _create(self, spec: LaunchSpec, timeout_seconds: float) -> bool:
        """Create the container; return False when one of its name is there already."""
        devices = device_requests(spec.slots, self.way)
        return await self._maker.create(spec, devices=devices, ulimits=self.ulimits, timeout_seconds=timeout_seconds)

    async def _begin(self, attempt: str, timeout_seconds: float) -> None:
        """Start what is created; a network that somebody removed is made again first."""
        try:
            await self._maker.start(attempt, timeout_seconds=timeout_seconds)
        except NetworkMissing:
            await self._bridges.ensure("job")
            await self._maker.start(attempt, timeout_seconds=timeout_seconds)

    def _alone(self, attempt: str) -> asyncio.Lock:
        """Return the lock of an attempt: a stop never falls between the lines of its launch."""
        return self._locks.setdefault(attempt, asyncio.Lock())

    async def _look(self) -> Node:
        info = await self.docker("info", timeout=QUICK_SECONDS)
        found = find_way(info, self._gpus.real)
        self.way = found.way
        self._complaints = tuple(found.sentences)
        features = {"overlay"} if self._maker.overlay else set()
        features |= {"live_restore"} if info.get("LiveRestoreEnabled") else set()
        features |= {"quota"} if self._disk.quota is not None else set()
        features |= {str(found.way)} if found.way is not Way.NONE else set()
        return Node(
            node_id=LOCAL,
            name=platform.node(),
            boot_id=self._clock.boot_id,
            cpus=float(info["NCPU"]),
            memory_bytes=int(info["MemTotal"]),
            disk_free_bytes=shutil.disk_usage(self.layout.data).free,
            engine_version=str(info["ServerVersion"]),
            features=frozenset(features),
        )

    def _gpus_changed(self, others: bool) -> None:
        """Tell that something is known of the GPUs; of `others` than before, another way may lead into containers."""
        if others:
            self._node = None
        self._events.tell(EngineEventKind.INVENTORY)

    async def _check_epoch(self) -> None:
        await self._in_thread(self._journal.check_epoch, self._epoch)
