"""One service's way to a machine in memory: the engine contract, with messages that go wrong."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from himalia.gpus import Slot

from ..base import (
    LOCAL,
    ArtifactEntry,
    Collected,
    Cursor,
    Door,
    EngineEvent,
    EngineEventKind,
    EngineHealth,
    Image,
    LaunchSpec,
    Listing,
    LogChunk,
    LogTime,
    Mode,
    Node,
    Observed,
    Phase,
    Usage,
)
from ..disk import DiskPlace, DiskUse
from ..errors import EngineError, ImageMissing, NodeUnknown, NotSent, Unknown
from ..gpus import GPUUse
from .faults import Fault, Faults
from .machine import BEGINNING, FakeMachine

Result = TypeVar("Result")
LOG_SECONDS = 0.05  #: this engine does not hear of what is printed: it looks


class FakeEngine:
    """Implements the engine contract (`engines.base`) on a FakeMachine."""

    def __init__(self, machine: FakeMachine, faults: Faults | None = None) -> None:
        self.machine = machine
        self.faults = faults or Faults()
        self.ulimits: tuple[dict[str, object], ...] = ()
        self.epoch = 0

    async def open(self, epoch: int) -> None:
        """Take over with this epoch."""
        await self._ask("open", lambda: self.machine.take_over(epoch))
        self.epoch = epoch

    async def close(self) -> None:
        """Let go; containers run on."""

    async def tend(self) -> None:
        """Do nothing: there is no packet filter in memory."""

    async def nodes(self) -> list[Node]:
        """Return the machine."""
        return await self._ask("nodes", lambda: [self._node()])

    async def set_node(self, node_id: str, state: Mode, reason: str) -> Node:
        """Say whether the machine takes new containers."""
        if node_id != self.machine.node.node_id:
            raise NodeUnknown(f"there is no node {node_id}")

        def write() -> Node:
            self.machine.mode, self.machine.mode_reason = state, reason
            return self._node()

        return await self._change("set_node", write)

    async def resolve_image(self, reference: str, node_id: str = LOCAL) -> Image:
        """Return the id of an image; raise ImageMissing."""
        found = await self._ask("resolve_image", lambda: self.machine.images.get(reference))
        if found is None:
            raise ImageMissing(f"the image {reference} is not on this machine")
        return Image(reference=reference, image_id=found)

    async def prepare(self, spec: LaunchSpec) -> None:
        """Lay out what an attempt needs."""
        await self._change("prepare", lambda: self.machine.prepare(spec))

    async def launch(self, spec: LaunchSpec, *, timeout_seconds: float) -> Observed:
        """Create and start, at most once for ever (I2)."""
        return await self._change("launch", lambda: self.machine.launch(spec))

    async def stop(self, attempt: str, *, grace_seconds: float, why: str) -> None:
        """SIGTERM, grace, SIGKILL; return when accepted."""
        await self._change("stop", lambda: self.machine.stop(attempt, grace_seconds, why))

    async def warn(self, attempt: str) -> None:
        """Warn a running attempt, once."""
        await self._change("warn", lambda: self.machine.warn(attempt))

    async def status(self, attempt: str) -> Observed:
        """Return the attempt as it is now."""
        return await self._ask("status", lambda: self.machine.status(attempt))

    async def list(self, node_id: str = LOCAL) -> Listing:
        """Return all containers of this installation, servers too."""

        def seen() -> Listing:
            ours = [found.seen for found in self.machine.containers.values() if found.ours]
            return Listing(node_id=self.machine.node.node_id, complete=True, containers=tuple(ours))

        return await self._ask("list", seen)

    async def watch(self, after: Cursor | None = None) -> AsyncIterator[EngineEvent]:
        """Yield hints; the first tells that all must be looked at, for nobody knows what was missed."""
        told: asyncio.Queue[EngineEvent] = asyncio.Queue()
        self._reach()

        def listen(event: EngineEvent) -> None:
            if self.faults.random.random() >= self.faults.hints_lost:
                told.put_nowait(event)

        self.machine.listeners.append(listen)
        try:
            yield EngineEvent(node_id=self.machine.node.node_id, seq=0, kind=EngineEventKind.NODE)
            while True:
                yield await told.get()
        finally:
            self.machine.listeners.remove(listen)

    async def read_log(self, attempt: str, offset: int, limit: int, wait_seconds: float = 0.0) -> LogChunk:
        """Return bytes of the log from an offset."""
        chunk = await self._ask("read_log", lambda: self.machine.logs.read(attempt, offset, limit))
        if not (chunk.data or chunk.ended):
            await asyncio.sleep(min(LOG_SECONDS, wait_seconds))
        return chunk

    async def log_times(
        self, attempt: str, *, since: datetime | None = None, first: int = 0, last: int = 0
    ) -> Sequence[LogTime]:
        """Return when bytes of the log came."""
        return await self._ask("log_times", lambda: self.machine.logs.times(attempt, since, first, last))

    async def artifacts(self, attempt: str, most: int = 10_000, after: str = "") -> tuple[Sequence[ArtifactEntry], str]:
        """Return a page of what is in `/artifacts`, sorted by path."""
        found = await self._ask("artifacts", lambda: self.machine.entries(attempt))
        left = [entry for entry in found if entry.path > after]
        return left[:most], left[most - 1].path if len(left) > most else ""

    async def open_artifact(self, attempt: str, path: str) -> tuple[int, ArtifactEntry]:
        """Return a descriptor of a regular file and its entry."""
        entries = await self._ask("open_artifact", lambda: self.machine.entries(attempt))
        entry = next((found for found in entries if found.path == path and found.type == "file"), None)
        if entry is None:
            raise FileNotFoundError(path)
        with tempfile.TemporaryFile() as file:
            file.write(self.machine.artifacts[attempt][path])  # type: ignore[arg-type]  # a file's content is bytes
            file.seek(0)
            return os.dup(file.fileno()), entry

    async def packages(self, attempt: str) -> str | None:
        """Return what attempts of this machine can import."""
        return await self._ask("packages", lambda: "numpy==1.0\n" if attempt in self.machine.starts else None)

    async def collect(self, attempt: str) -> Collected:
        """Seal log and artifacts after the end."""
        return await self._change("collect", lambda: self.machine.collect(attempt))

    async def forget(self, attempt: str) -> None:
        """Keep log, artifacts and the tombstone."""
        await self._change("forget", lambda: self.machine.forget(attempt))

    async def delete(self, attempt: str) -> None:
        """Keep the tombstone alone."""
        await self._change("delete", lambda: self.machine.delete(attempt))

    async def usage(self, node_id: str = LOCAL) -> Sequence[Usage]:
        """Return what the running attempts use now: all that they asked for."""
        running = await self._ask("usage", self.machine.running)
        return [
            Usage(
                attempt=found.seen.attempt,
                at=BEGINNING,
                cpu_percent=100 * found.seen.cpus,
                memory_bytes=found.seen.memory_bytes,
            )
            for found in running
            if found.seen.kind == "job" and found.seen.phase is Phase.RUNNING
        ]

    async def disk_use(self, places: Sequence[DiskPlace], node_id: str = LOCAL) -> Sequence[DiskUse]:
        """Return what programs, or a test, have written."""
        return await self._ask("disk_use", lambda: self.machine.disk_use(places))

    async def gpu_use(self, node_id: str = LOCAL, *, fresh: bool = False) -> GPUUse:
        """Return who is on the GPUs."""
        machine = self.machine

        def seen() -> GPUUse:
            ours = [found.seen for found in machine.containers.values() if found.ours]
            node = machine.node
            return machine.gpus.use(node.node_id, node.boot_id, machine.now, node.slots, ours)

        return await self._ask("gpu_use", seen)

    async def doors(self, node_id: str = LOCAL) -> Sequence[Door]:
        """Return the doors that a test has put there."""
        return await self._ask("doors", lambda: tuple(self.machine.gpus.doors))

    async def health(self) -> EngineHealth:
        """Say how the machine is."""
        try:
            self._reach()
        except NotSent as error:
            return EngineHealth(ok=False, sentences=(f"The machine does not answer: {error}. Jobs wait.",))
        return EngineHealth(ok=True)

    def server_devices(self, slots: tuple[Slot, ...]) -> tuple[dict[str, Any], ...]:
        """Return no devices: there are none."""
        return ()

    async def _ask(self, method: str, call: Callable[[], Result]) -> Result:
        return await self._send(method, call, question=True)

    async def _change(self, method: str, call: Callable[[], Result]) -> Result:
        """Send a message that changes something; it carries the epoch of its sender, however late it arrives."""
        epoch = self.epoch

        def fenced() -> Result:
            self.machine.check(epoch)
            return call()

        return await self._send(method, fenced, question=False)

    async def _send(self, method: str, call: Callable[[], Result], *, question: bool) -> Result:
        await asyncio.sleep(0)  # others get their turn, as with any call
        self._reach()
        fault = self.faults.of(method, question=question)
        if fault is Fault.REFUSED:
            raise NotSent(f"{method} was not sent")
        if fault in (Fault.DELAYED, Fault.DOUBLED):
            self.machine.late.append(lambda: _quietly(call))
        if fault in (Fault.LOST, Fault.DELAYED):
            raise Unknown(f"{method} was not answered")
        result = call()
        if fault is Fault.UNANSWERED:
            raise Unknown(f"{method} was not answered")
        return result

    def _reach(self) -> None:
        if not self.machine.reachable:
            raise NotSent(f"{self.machine.node.node_id} cannot be reached")

    def _node(self) -> Node:
        return replace(self.machine.node, state=self.machine.mode, note=self.machine.mode_reason)


def _quietly(call: Callable[[], object]) -> None:
    try:
        call()
    except EngineError:
        pass  # nobody waits for the answer any more
