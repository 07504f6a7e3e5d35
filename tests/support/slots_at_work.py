"""Slots on a machine in memory, for tests of what keeps them back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mortal_service import MortalService

from himalia.gpus import Slot, SlotHold
from himalia.states import JobState
from himalia.units import GiB
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.engines.gpus import GPUUser
from himalia_jobs.store import slots

SLOTS = tuple(Slot(uuid=f"GPU-{n}", index=n, model="H200", memory_bytes=141 * GiB) for n in range(2))
LASTS = ("lasts",)
PYTHON = GPUUser(pid=4242, command="python3 train.py", user="bob", memory_bytes=4 * GiB)


def machine_with_gpus() -> FakeMachine:
    """Return a machine with two GPUs that are looked at, where one command lasts."""
    machine = FakeMachine(slots=SLOTS)
    machine.programs[LASTS] = Program(seconds=None)
    return machine


@pytest.fixture
def machine() -> FakeMachine:
    """Such a machine; imported, it takes the place of the simulated one."""
    return machine_with_gpus()


def gpu(service: MortalService, number: int = 0) -> Slot:
    """Return a slot as it is given out, or not."""
    return next(slot for slot in service.db.read_now(slots.all_slots) if slot.uuid == f"GPU-{number}")


def hold(service: MortalService, number: int = 0) -> SlotHold | None:
    """Return why the ledger keeps a slot back."""
    return next(
        slot for slot in service.db.read_now(lambda db: slots.records(db, "local")) if slot.uuid == f"GPU-{number}"
    ).hold


async def holder(service: MortalService, add_job, gpus: str = "1"):
    """Let a job hold GPUs, and return it."""
    job = add_job(spec={"command": list(LASTS)}, gpus=gpus)
    await service.start()
    await service.tick()
    assert service.job(job.id).state is JobState.RUNNING
    return job


def changed(machine: FakeMachine, *found: Slot) -> None:
    """Let the machine have other slots."""
    machine.node = replace(machine.node, slots=found)


async def noticed(service: MortalService) -> None:
    """Let the service see what the machine has now."""
    node = service.machine.node
    service.db.write_now(lambda db: slots.write_slots(db, "local", node.slots, unlisted=node.unlisted))
    await service.tick()
