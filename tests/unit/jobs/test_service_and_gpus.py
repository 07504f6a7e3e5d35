"""The service's own loops over a machine in memory: GPUs that come, go, and are given on."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from service_at_work import settings_for
from slots_at_work import PYTHON, machine_with_gpus

from himalia.gpus import SlotHealth
from himalia.ids import new_id
from himalia.states import JobState
from himalia_jobs.contents import ContentStore
from himalia_jobs.engines.base import EngineEvent, EngineEventKind
from himalia_jobs.engines.fake import BEGINNING, FakeEngine, FakeMachine, Program
from himalia_jobs.layout import DataLayout
from himalia_jobs.service import Service
from himalia_jobs.store import Database, jobs, leases, slots

pytestmark = pytest.mark.asyncio

LASTS = ("lasts",)
DEADLINE_SECONDS = 30


class NobodyAtTheHub:
    """A hub that knows nobody."""

    async def groups(self) -> dict[str, Any]:
        """Return no groups."""
        return {}

    def __getattr__(self, name: str) -> Any:
        async def answer(*_: Any, **__: Any) -> Any:
            return []

        return answer


@pytest.fixture
def machine() -> FakeMachine:
    """A machine with two GPUs, and the time that the service's own clocks tell: time limits count from a start."""
    machine = machine_with_gpus()
    machine.now = (datetime.now(UTC) - BEGINNING).total_seconds()
    return machine


@contextlib.asynccontextmanager
async def at_work(db: Database, machine: FakeMachine, folder: Path) -> AsyncIterator[Service]:
    """Run a service on the machine, with all its loops."""
    settings = settings_for(folder)
    engine, hub = FakeEngine(machine), NobodyAtTheHub()
    contents = ContentStore(folder, settings.site.limits)
    service = Service(settings, db, engine, hub, contents, DataLayout(data=folder), gateway="")  # type: ignore[arg-type]
    async with asyncio.timeout(DEADLINE_SECONDS):
        running = asyncio.create_task(service.run())
        try:
            yield service
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            service.contents_threads.shutdown(wait=True)
            service.file_threads.shutdown(wait=True)


async def until(service: Service, holds: Callable[[Any], bool]) -> None:
    """Wait until something holds in the database."""
    while True:
        number = service.changes.number
        if await service.db.read(holds):
            return
        await service.changes.wait(0.5, seen=number)


def health(db: Any, number: int = 0) -> SlotHealth:
    """Return the health of a GPU."""
    return next(slot.health for slot in slots.all_slots(db) if slot.uuid == f"GPU-{number}")


def is_in(job_id: str, state: JobState) -> Callable[[Any], bool]:
    """Return whether a job is in a state."""
    return lambda db: jobs.get(db, job_id).state is state


async def test_a_gpu_is_given_on_within_two_seconds_of_its_holders_end(db, add_job, machine, tmp_path):
    first = add_job(spec={"command": list(LASTS)}, gpus="2")
    async with at_work(db, machine, tmp_path) as service:
        await until(service, is_in(first.id, JobState.RUNNING))
        second = add_job(spec={"command": list(LASTS)}, gpus="2")

        machine.finish(f"{first.id}.1")
        began = time.monotonic()
        await until(service, is_in(second.id, JobState.RUNNING))

        assert time.monotonic() - began < 2


async def test_a_gpu_that_is_lost_is_told_at_once_and_comes_back(db, machine, tmp_path):
    async with at_work(db, machine, tmp_path) as service:
        await until(service, lambda db: len(slots.all_slots(db)) == 2)
        known = machine.node.slots
        lost = known[0].model_copy(update={"health": SlotHealth.SUSPECT, "health_detail": "Off the bus."})

        machine.node = replace(machine.node, slots=(lost, known[1]))
        tell(machine, EngineEventKind.INVENTORY)
        await until(service, lambda db: health(db) is SlotHealth.SUSPECT)
        assert [said for said in await service.complaints() if "GPU 0 (GPU-0) is suspect. Off the bus." in said]

        machine.node = replace(machine.node, slots=known)
        tell(machine, EngineEventKind.INVENTORY)
        await until(service, lambda db: health(db) is SlotHealth.OK)


async def test_what_happened_while_nobody_looked_is_seen_before_anything_starts(db, add_job, machine, tmp_path):
    machine.gpus.users["GPU-0"] = [PYTHON]
    job, later = (add_job(spec={"command": list(LASTS)}, gpus="1") for _ in range(2))

    async with at_work(db, machine, tmp_path) as service:
        await until(service, is_in(job.id, JobState.RUNNING))

        held = await service.db.read(leases.lease_of_slot)
        assert list(held) == [("local", "GPU-1")]
        assert await service.db.read(is_in(later.id, JobState.QUEUED))
        assert await service.db.read(health) is SlotHealth.FOREIGN


async def test_a_gpu_that_comes_in_use_is_not_given_out(db, add_job, machine, tmp_path):
    known = machine.node.slots
    machine.node = replace(machine.node, slots=known[1:])
    async with at_work(db, machine, tmp_path) as service:
        first, second = (add_job(spec={"command": list(LASTS)}, gpus="1") for _ in range(2))
        await service.wake()
        await until(service, is_in(first.id, JobState.RUNNING))

        machine.gpus.users["GPU-0"] = [PYTHON]
        machine.node = replace(machine.node, slots=known)
        tell(machine, EngineEventKind.INVENTORY)
        await until(service, lambda db: len(slots.all_slots(db)) == 2 and health(db) is SlotHealth.FOREIGN)
        assert await service.db.read(is_in(second.id, JobState.QUEUED))

        machine.gpus.users.clear()
        await service.reconciler.keeper.look()
        await service.wake()
        await until(service, is_in(second.id, JobState.RUNNING))


async def test_a_container_that_was_started_by_hand_is_held_at_once(db, add_job, machine, tmp_path):
    async with at_work(db, machine, tmp_path) as service:
        await until(service, lambda db: len(slots.all_slots(db)) == 2)
        machine.programs[("ends",)] = Program(seconds=None)
        job = add_job(spec={"command": ["ends"]}, gpus="1")
        await service.wake()
        await until(service, is_in(job.id, JobState.RUNNING))
        machine.finish(f"{job.id}.1")
        left = machine.containers[f"{job.id}.1"]
        await until(service, is_in(job.id, JobState.SUCCEEDED))
        await until(service, lambda db: health(db) is SlotHealth.OK)

        machine.containers[left.name] = left  # somebody had kept it, and starts it once more
        machine.restart_by_hand(left.name)

        await until(service, lambda db: [lease.container for lease in leases.live(db)] == [left.name])


async def test_a_server_without_a_lease_is_held_with_the_event_of_its_start(db, machine, tmp_path):
    async with at_work(db, machine, tmp_path) as service:
        await until(service, lambda db: len(slots.all_slots(db)) == 2)

        machine.run_server("jupyter-eve", lease_id=new_id(), slots=("GPU-1",))

        await until(service, lambda db: len(leases.live(db)) == 1)
        assert "jupyter-eve" in " ".join(await service.complaints())


def tell(machine: FakeMachine, kind: EngineEventKind) -> None:
    """Let the engine hint at something."""
    for listener in list(machine.listeners):
        listener(EngineEvent(node_id="local", seq=1, kind=kind))
