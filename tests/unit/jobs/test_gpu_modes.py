"""Modes of GPUs at work: what an administrator changes, what people may ask for then, and who is not touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from mortal_service import MortalService
from service_at_work import AtWork, at_work
from slots_at_work import LASTS, holder
from slots_at_work import machine as machine
from sqlalchemy import create_engine, text

from himalia.gpus import GPUMode, SlotHealth, SlotHold
from himalia.models import GPUModeRequest
from himalia.states import JobState
from himalia.units import GiB
from himalia_jobs.engines.gpus import GPUUser
from himalia_jobs.store import leases, modes, slots
from himalia_jobs.store.schema import open_database

pytestmark = pytest.mark.asyncio

WISH = {"user": "ada", "spawn_id": "one", "profile": "gpu", "teams": ["nlp"]}


@pytest_asyncio.fixture
async def sharing(tmp_path: Path) -> AsyncIterator[AtWork]:
    """Yield a service whose first GPU is shared by two seats, and whose second is cut."""
    modes = [{"gpu": "0", "mode": "shared", "seats": 2}, {"gpu": "1", "mode": "mig", "slices": ["1g.6gb", "2g.12gb"]}]
    async with at_work(tmp_path, gpu_modes=modes) as work:
        yield work


async def turn(work: AtWork) -> None:
    """Let the queue have one round."""
    await work.service._round()


async def shared_by_two(service: MortalService) -> None:
    """Start a service, and let its first GPU be given out by two seats."""
    await service.start()
    await service.tick()
    await service.modes.set("GPU-0", GPUModeRequest(mode=GPUMode.SHARED, seats=2), "root")
    await service.tick()


async def test_seats_and_slices_are_given_to_jobs(sharing: AtWork):
    jobs = [await sharing.submit(gpus=gpus) for gpus in ("shared:16GB", "shared:8GB", "mig-2g.12gb")]

    await turn(sharing)

    shown = [(await sharing.ask("GET", f"jobs/{job['id']}")).json()["attempts"][0]["slots"][0] for job in jobs]
    assert [slot["uuid"] for slot in shown[:2]] == ["GPU-0#1", "GPU-0#2"]
    assert [slot["budget_bytes"] for slot in shown] == [16 * GiB, 8 * GiB, 0]
    assert (shown[2]["mig_profile"], shown[2]["gpu"]) == ("2g.12gb", "GPU-1")


@pytest.mark.parametrize(
    ("gpus", "said"),
    [
        ("1", "Whole GPUs are not offered here. Ask for a seat: shared."),
        ("shared:40GB", "No shared GPU here has 40GB for one seat."),
        ("mig-3g.24gb", "No slice here is mig-3g.24gb."),
    ],
)
async def test_what_no_mode_gives_is_refused_at_submit_with_what_exists(sharing: AtWork, gpus: str, said: str):
    answer = await sharing.ask("POST", "jobs", json={"project": "work", "command": "true", "gpus": gpus})

    message = answer.json()["error"]["message"]
    assert answer.status_code == 422
    assert message.startswith(said)
    assert message.endswith(
        "This platform has 1 x mig-1g.6gb of Simulated (6 GB), 1 x mig-2g.12gb of Simulated (12 GB), "
        "2 seats on 1 x Simulated (24 GB)."
    )


async def test_a_mode_is_changed_by_an_administrator_and_back(work: AtWork):
    changed = await work.ask("PUT", "gpus/GPU-1/mode", "root", json={"mode": "shared", "seats": 3})
    shown = (await work.ask("GET", "gpus")).json()
    back = await work.ask("DELETE", "gpus/GPU-1%231/mode", "root")

    assert changed.json() == {
        "uuid": "GPU-1",
        "index": 1,
        "mode": "shared",
        "seats": 3,
        "by": "administrator",
        "in_force": True,
        "sentence": "GPU 1 is shared by 3 seats.",
    }
    assert [slot["uuid"] for slot in shown["slots"]] == ["GPU-0", "GPU-1#1", "GPU-1#2", "GPU-1#3"]
    assert shown["free"] == 2
    assert (back.json()["mode"], back.json()["by"]) == ("exclusive", "setting")
    assert [slot["uuid"] for slot in (await work.ask("GET", "gpus")).json()["slots"]] == ["GPU-0", "GPU-1"]


@pytest.mark.parametrize(
    ("who", "path", "mode", "status"),
    [
        ("ada", "GPU-0", {"mode": "off"}, 403),
        ("root", "GPU-7", {"mode": "off"}, 404),
        ("root", "GPU-0", {"mode": "half"}, 400),
        ("root", "GPU-0", {"mode": "shared", "seats": 0}, 422),
        ("root", "GPU-0", {"mode": "shared", "seats": 65}, 422),
    ],
)
async def test_who_and_what_may_not_is_told(work: AtWork, who: str, path: str, mode: dict[str, object], status: int):
    answer = await work.ask("PUT", f"gpus/{path}/mode", who, json=mode)

    assert answer.status_code == status or (status, answer.status_code) in ((400, 422), (422, 400))
    assert answer.json()["error"]["message"]


async def test_a_change_waits_for_holders_and_touches_none(work: AtWork):
    held = await work.submit(gpus="2")
    await turn(work)

    said = (await work.ask("PUT", "gpus/GPU-0/mode", "root", json={"mode": "shared", "seats": 2})).json()
    waits = await work.submit(gpus="shared")
    await turn(work)

    sentence = "GPU 0 becomes shared by 2 seats as soon as nobody holds anything of it."
    assert (said["in_force"], said["sentence"]) == (False, sentence)
    shown = {slot["uuid"]: slot for slot in (await work.ask("GET", "gpus")).json()["slots"]}
    assert {uuid: slot["health"] for uuid, slot in shown.items()} == {
        "GPU-0": "changing",
        "GPU-0#1": "changing",
        "GPU-0#2": "changing",
        "GPU-1": "ok",
    }
    assert shown["GPU-0"]["holder"] == f"job {held['id']} of ada"
    assert (await work.ask("GET", f"jobs/{waits['id']}")).json()["state"] == "queued"

    await work.service.db.write(
        lambda db: [leases.release(db, lease.id) for lease in leases.live(db) if lease.holder.startswith(held["id"])]
    )
    await turn(work)

    assert (await work.ask("GET", "gpus/GPU-0/mode", "root")).json()["in_force"]
    assert (await work.ask("GET", f"jobs/{waits['id']}")).json()["attempts"][0]["slots"][0]["uuid"] == "GPU-0#1"
    assert "GPU-0" not in {slot["uuid"] for slot in (await work.ask("GET", "gpus")).json()["slots"]}


async def test_an_automatic_gpu_is_shown_as_it_is_given_out(work: AtWork):
    await work.ask("PUT", "gpus/GPU-0/mode", "root", json={"mode": "auto", "seats": 2})

    async def shown() -> list[str]:
        return [slot["uuid"] for slot in (await work.ask("GET", "gpus")).json()["slots"]]

    free = await shown()
    await work.submit(gpus="shared")
    await turn(work)

    assert free == ["GPU-0", "GPU-1"]
    assert await shown() == ["GPU-0#1", "GPU-0#2", "GPU-1"]


async def test_two_services_at_once_cannot_give_a_gpu_whole_and_by_seats(work: AtWork):
    await work.ask("PUT", "gpus/GPU-0/mode", "root", json={"mode": "auto", "seats": 2})
    job = await work.submit(gpus="shared")
    await turn(work)
    db = work.service.db
    whole = next(slot for slot in await db.read(slots.all_slots) if slot.uuid == "GPU-0")
    other = (await work.ask("POST", "leases", "spawner", json=WISH)).json()["id"]

    assert not await db.write(lambda c: leases.take_slots(c, other, [whole]))
    assert (await work.ask("GET", f"jobs/{job['id']}")).json()["attempts"][0]["slots"][0]["uuid"] == "GPU-0#1"


async def test_a_quarantined_gpu_stays_so_in_another_mode(work: AtWork):
    await work.ask("POST", "gpus/GPU-0/quarantine", "root", json={"why": "Fans."})

    await work.ask("PUT", "gpus/GPU-0/mode", "root", json={"mode": "shared", "seats": 2})
    await turn(work)
    kept = [slot["health"] for slot in (await work.ask("GET", "gpus")).json()["slots"]]
    returned = await work.ask("DELETE", "gpus/GPU-0/quarantine", "root")

    assert kept == ["quarantined", "quarantined", "ok"]
    assert returned.status_code == 204
    assert {slot["health"] for slot in (await work.ask("GET", "gpus")).json()["slots"]} == {"ok"}


async def test_a_real_gpu_is_looked_at_before_it_is_given_out_in_a_new_mode(service):
    await service.start()
    await service.tick()
    service.machine.gpus.users["GPU-0"] = [GPUUser(pid=1, command="python3", user="bob")]

    await service.modes.set("GPU-0", GPUModeRequest(mode=GPUMode.SHARED, seats=2), "root")
    holds = {slot.uuid: slot.hold for slot in service.db.read_now(lambda db: slots.records(db, "local"))}
    await service.tick()

    assert {holds["GPU-0#1"], holds["GPU-0#2"]} == {SlotHold.SETTLING}
    health = {slot.uuid: slot.health for slot in service.db.read_now(slots.all_slots)}
    assert {health["GPU-0#1"], health["GPU-0#2"]} == {SlotHealth.FOREIGN}


async def test_a_seat_is_given_out_again_while_its_neighbour_computes(service, add_job):
    await shared_by_two(service)
    first = await holder(service, add_job, gpus="shared")
    second = add_job(spec={"command": list(LASTS)}, gpus="shared", user_id=first.user_id)
    await service.tick()
    running = {found.seen.slots[0]: found.name for found in service.machine.running()}
    computing = GPUUser(pid=7, command="python3", container=running["GPU-0#2"], ours=True, memory_bytes=100 * GiB)
    service.machine.gpus.users["GPU-0"] = [computing]
    service.machine.gpus.memory["GPU-0"] = 100 * GiB

    service.machine.finish(running["GPU-0#1"])
    for _ in range(3):
        await service.tick()

    states = {service.job(job.id).state for job in (first, second)}
    assert states == {JobState.RUNNING, JobState.SUCCEEDED}
    health = {slot.uuid: slot.health for slot in service.db.read_now(slots.all_slots)}
    assert health["GPU-0#1"] is SlotHealth.OK


async def test_memory_that_no_neighbour_has_keeps_a_seat_back(service, add_job):
    await shared_by_two(service)
    await holder(service, add_job, gpus="shared")
    name = service.machine.running()[0].name
    service.machine.gpus.memory["GPU-0"] = 20 * GiB

    service.machine.finish(name)
    for _ in range(3):
        await service.tick()

    health = {slot.uuid: slot.health for slot in service.db.read_now(slots.all_slots)}
    assert health["GPU-0#1"] is SlotHealth.SETTLING


async def test_no_seat_is_given_out_while_the_memory_of_who_left_is_not_back(service, add_job):
    await shared_by_two(service)
    await holder(service, add_job, gpus="shared")
    service.machine.gpus.memory["GPU-0"] = 20 * GiB
    waits = add_job(spec={"command": list(LASTS)}, gpus="shared")

    service.machine.finish(service.machine.running()[0].name)
    for job_id in sorted(service.wanted):
        await service.step(job_id)
    await service.turn()

    assert service.job(waits.id).state is JobState.QUEUED
    service.machine.gpus.memory["GPU-0"] = 0
    await service.tick()
    await service.tick()
    assert service.job(waits.id).state is JobState.RUNNING


async def test_a_container_by_hand_on_a_seat_of_a_gpu_that_is_held_whole_gets_nothing(service, add_job):
    await service.start()
    await service.tick()
    await service.modes.set("GPU-0", GPUModeRequest(mode=GPUMode.AUTO, seats=2), "root")
    await service.tick()
    await holder(service, add_job, gpus="2")
    service.machine.run_server("by-hand", lease_id="", slots=("GPU-0#1",), cpus=0.1, memory_bytes=1)
    await service.reconciler.run()

    again = await service.reconciler.run()

    assert not again
    held = service.db.read_now(leases.lease_of_slot)
    assert {uuid for _, uuid in held} == {"GPU-0", "GPU-1"}
    holds = {slot.uuid: slot.hold for slot in service.db.read_now(lambda db: slots.records(db, "local"))}
    assert holds["GPU-0"] is SlotHold.CONFLICT


@pytest.mark.parametrize("step", ["0002", "0003", "0004"])
async def test_a_database_from_before_there_were_seats_gets_what_it_lacks(tmp_path: Path, step: str):
    file = tmp_path / "himalia.sqlite"
    open_database(file).close()
    engine = create_engine(f"sqlite:///{file}")
    lacking = {"slots": ("parent", "mig_profile", "seats", "auto"), "lease_slots": ("budget_bytes",)}
    with engine.begin() as connection:
        for table, columns in lacking.items():
            for column in columns:
                connection.execute(text(f"ALTER TABLE {table} DROP COLUMN {column}"))
        connection.execute(text("DROP TABLE gpu_modes"))
        connection.execute(text(f"UPDATE alembic_version SET version_num = '{step}'"))
    engine.dispose()

    db = open_database(file)

    assert db.read_now(slots.all_slots) == []
    assert db.read_now(leases.slots_by_lease) == {}
    assert db.read_now(lambda c: modes.wishes(c, "local")) == {}
    db.close()
