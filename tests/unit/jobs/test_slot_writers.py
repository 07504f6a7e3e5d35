"""Several writers at once, and a wall clock that is set: a slot has one holder, and settles all the same."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from mortal_service import MortalService
from slots_at_work import SLOTS, gpu, hold, holder, machine_with_gpus

from himalia.gpus import SlotHealth, SlotHold
from himalia.ids import new_id
from himalia.states import LeaseState
from himalia_jobs.store import Database, leases, moves, slots

WRITERS, TRIES = 8, 25


def lease_of(db: Any, name: str) -> str:
    """Write a lease and return its id."""
    values = {
        "id": new_id(),
        "kind": "server",
        "state": str(LeaseState.RESERVED),
        "node_id": "local",
        "user_id": name,
        "user": name,
        "holder": "",
        "profile": "small",
        "cpus": 1.0,
        "memory_bytes": 1,
        "gpus": "1",
        "teams": {},
    }
    return leases.add(db, values).id


def test_of_eight_writers_at_once_one_gets_a_slot(db: Database, tmp_path: Path) -> None:
    db.write_now(lambda c: slots.write_slots(c, "local", SLOTS))

    def take(number: int) -> list[str]:
        own = Database(tmp_path / "himalia.sqlite")
        try:
            return [won for _ in range(TRIES) if (won := own.write_now(lambda c: _try(c, f"writer-{number}")))]
        finally:
            own.close()

    def _try(c: Any, name: str) -> str:
        lease_id = lease_of(c, name)
        return lease_id if leases.take_slots(c, lease_id, SLOTS[:1]) else ""

    with ThreadPoolExecutor(WRITERS) as threads:
        won = [lease_id for found in threads.map(take, range(WRITERS)) for lease_id in found]

    assert len(won) == 1
    assert db.read_now(leases.lease_of_slot) == {("local", "GPU-0"): won[0]}


def test_a_hold_that_was_changed_meanwhile_is_not_overwritten(db: Database) -> None:
    db.write_now(lambda c: slots.write_slots(c, "local", SLOTS))
    seen = db.read_now(lambda c: slots.find(c, "GPU-0"))
    lease_id = db.write_now(lambda c: lease_of(c, "ada"))

    db.write_now(lambda c: leases.take_slots(c, lease_id, SLOTS[:1]))
    assert not db.write_now(lambda c: slots.change_hold(c, seen, None, SlotHold.FOREIGN, "Old news.", 1.0, "b"))

    db.write_now(lambda c: leases.release(c, lease_id))
    assert not db.write_now(lambda c: slots.change_hold(c, seen, None, None, "", 1.0, "b"))
    assert db.read_now(lambda c: slots.find(c, "GPU-0")).hold is SlotHold.SETTLING


@pytest.mark.asyncio
@pytest.mark.parametrize("moment", ["1999-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
async def test_a_wall_clock_that_is_set_holds_no_gpu_back(db, add_job, tmp_path, monkeypatch, moment) -> None:
    machine = machine_with_gpus()
    service = MortalService(db, machine, tmp_path)
    job = await holder(service, add_job)
    machine.gpus.memory["GPU-0"] = 20 * 2**30
    for module in (moves, leases, slots):
        monkeypatch.setattr(module, "now_text", lambda: moment)

    machine.finish(f"{job.id}.1")
    await service.tick()
    assert hold(service) is SlotHold.SETTLING
    machine.gpus.memory["GPU-0"] = 0
    await service.tick()

    assert gpu(service).health is SlotHealth.OK
