"""The GPUs of this machine: what is known of them, and who is on them by the driver's processes and the Engine's containers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

from docker.errors import APIError

from himalia.container import Label
from himalia.gpus import SlotHealth
from himalia_gpus.readings import GPU, GPUProcess, Reading, Sample, slots_of
from himalia_gpus.supervisor import Watch

from ..bootclock import BootClock
from .base import LOCAL, Node, Usage
from .calls import DockerCalls, is_missing, said
from .errors import EngineError
from .given import given_gpus
from .gpus import GPUHolder, GPUState, GPUUse, GPUUser
from .seen import RUNNING_STATES

log = logging.getLogger(__name__)

FIRST_READING_SECONDS = 15.0  #: a driver that takes longer holds up nobody: its GPUs come when it answers
UNREAD = "The GPU driver has not answered yet."
ANSWER_SECONDS = 3.0  #: how long a fresh reading is waited for; without one the last one is told
SHORT = 12  #: letters of a container's id, for people


class MachineGPUs:
    """Keeps one watch running, whatever becomes of it, and reads who is on the GPUs."""

    def __init__(
        self, docker: DockerCalls, installation: str, watch: Watch, clock: BootClock, monitors: Sequence[str] = ()
    ) -> None:
        self._docker = docker
        self._installation = installation
        self._watch = watch
        self._clock = clock
        self._monitors = monitors
        self._tasks: list[asyncio.Task[None]] = []
        self._given: dict[
            str, Mapping[str, Any]
        ] = {}  #: what the Engine says of others' containers, which never changes

    async def open(self, changed: Callable[[bool], None]) -> None:
        """Begin; `changed` is called when what is known changes, with whether there are other GPUs than before."""
        self._tasks = [
            asyncio.create_task(self._run(), name="gpu watch"),
            asyncio.create_task(self._tell(changed), name="gpu changes"),
        ]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FIRST_READING_SECONDS):
                await self._watch.after(None)

    async def close(self) -> None:
        """End."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def reading(self) -> Reading:
        """Return what is known of the GPUs; nothing, while the driver has not answered yet."""
        return self._watch.latest or Reading(at=datetime.now(UTC)).suspected(UNREAD)

    @property
    def real(self) -> list[str]:
        """The UUIDs of the GPUs and MIG devices that are really there and can be given to containers."""
        slots = slots_of(self.reading().gpus)
        return [slot.uuid for slot in slots if not slot.simulated and slot.health is not SlotHealth.OFF]

    def on(self, node: Node) -> Node:
        """Return the machine with what is known of its GPUs."""
        reading = self.reading()
        unlisted = (reading.unlisted_health, reading.unlisted_detail)
        return replace(node, slots=slots_of(reading.gpus), unlisted=unlisted, note=reading.note)

    async def use(self, *, fresh: bool = False) -> GPUUse:
        """Return who is on the GPUs now. Containers are read first: the container of a process is known then."""
        rows = await self._rows()
        reading = await self._reading(fresh=fresh)
        real = [gpu for gpu in reading.gpus if not gpu.simulated]
        processes = [process for sample in reading.samples for process in sample.processes or ()]
        names = {str(row["Id"]): row for row in rows}
        if any(process.container and process.container not in names for process in processes):
            rows = await self._rows()  # one that was started in between
            names |= {str(row["Id"]): row for row in rows}
        users = {
            sample.uuid: None if sample.processes is None else self._users(sample.processes, names)
            for sample in reading.samples
        }
        by_uuid = {gpu.uuid: gpu for gpu in reading.gpus}
        by_uuid |= {device.uuid: gpu for gpu in reading.gpus for device in gpu.mig_devices}
        return GPUUse(
            node_id=LOCAL,
            boot_id=self._clock.boot_id,
            now=self._clock.now(),
            clock=reading.processes_clock,
            gpus=tuple(_state(sample, by_uuid.get(sample.uuid), users[sample.uuid]) for sample in reading.samples),
            holders=tuple(await self._holders(rows, real)),
        )

    def beside(self, used: Sequence[Usage], slots: Mapping[str, Sequence[str]]) -> list[Usage]:
        """Return what attempts use with what their GPUs do, by the last reading; what the driver does not tell is none."""
        samples = {sample.uuid: sample for sample in self.reading().samples}

        def with_gpus(usage: Usage) -> Usage:
            found = [samples[uuid] for uuid in slots.get(usage.attempt, ()) if uuid in samples]
            busy = [sample.busy_percent for sample in found if sample.busy_percent is not None]
            memory = [sample.memory_used_bytes for sample in found if sample.memory_used_bytes is not None]
            return replace(
                usage,
                gpu_percent=float(sum(busy)) if busy else None,
                gpu_memory_bytes=sum(memory) if memory else None,
            )

        return [with_gpus(usage) for usage in used]

    async def _run(self) -> None:
        while True:
            try:
                await self._watch.run()
            except Exception:
                log.exception("the watch of the GPUs broke off")
            await asyncio.sleep(1)

    async def _tell(self, changed: Callable[[bool], None]) -> None:
        reading = await self._watch.after(None)
        changed(True)
        while True:
            before, reading = reading, await self._watch.after(reading)
            if before.gpus != reading.gpus:
                changed({gpu.uuid for gpu in before.gpus} != {gpu.uuid for gpu in reading.gpus})

    async def _rows(self) -> list[dict[str, Any]]:
        try:
            return list(await self._docker("containers", all=True))
        except APIError as error:
            raise EngineError(said(error)) from error

    async def _reading(self, *, fresh: bool) -> Reading:
        last = self.reading()
        if not fresh or not any(not gpu.simulated for gpu in last.gpus):
            return last
        asked, reading = self._clock.now(), last
        self._watch.ask()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                while reading.processes_clock < asked:
                    reading = await self._watch.after(reading)
        except TimeoutError:
            pass
        return reading

    def _users(self, processes: Sequence[GPUProcess], rows: Mapping[str, dict[str, Any]]) -> tuple[GPUUser, ...]:
        return tuple(self._user(process, rows.get(process.container)) for process in processes if not process.gone)

    def _user(self, process: GPUProcess, row: dict[str, Any] | None) -> GPUUser:
        return GPUUser(
            pid=process.pid,
            memory_bytes=process.memory_bytes,
            graphics=process.graphics,
            container=_name_of(row) if row is not None else process.container[:SHORT],
            ours=row is not None and self._is_ours(row),
            user=process.user,
            command=process.command,
        )

    async def _holders(self, rows: Sequence[dict[str, Any]], gpus: Sequence[GPU]) -> list[GPUHolder]:
        """Return the running containers with GPUs; those of others are looked at once."""
        found = []
        running = [row for row in rows if row["State"] in RUNNING_STATES]
        for row in running:
            labels = row.get("Labels") or {}
            name = _name_of(row)
            if self._is_ours(row):
                uuids = tuple(uuid for uuid in labels.get(Label.SLOTS, "").split(",") if uuid)
                found.append(GPUHolder(name=name, uuids=uuids, lease_id=labels.get(Label.LEASE, "")))
            elif gpus and not any(fnmatchcase(name, pattern) for pattern in self._monitors):
                found.append(GPUHolder(name=name, uuids=given_gpus(await self._inspected(row), gpus), ours=False))
        here = {str(row["Id"]) for row in running}
        self._given = {key: value for key, value in self._given.items() if key in here}
        return [holder for holder in found if holder.uuids]

    async def _inspected(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        key = str(row["Id"])
        if key not in self._given:
            try:
                self._given[key] = await self._docker("inspect_container", key)
            except APIError as error:
                if not is_missing(error):
                    raise EngineError(said(error)) from error
                return {}
        return self._given[key]

    def _is_ours(self, row: Mapping[str, Any]) -> bool:
        return (row.get("Labels") or {}).get(Label.INSTALLATION) == self._installation


def _name_of(row: Mapping[str, Any]) -> str:
    return str((row.get("Names") or [row["Id"][:SHORT]])[0]).lstrip("/")


def _state(sample: Sample, gpu: GPU | None, users: tuple[GPUUser, ...] | None) -> GPUState:
    return GPUState(
        uuid=sample.uuid,
        busy_percent=sample.busy_percent,
        memory_used_bytes=sample.memory_used_bytes,
        temperature_celsius=sample.temperature_celsius,
        power_watts=sample.power_watts,
        fault=gpu.fault if gpu else "",
        fault_clock=gpu.fault_clock if gpu else None,
        users=users,
    )
