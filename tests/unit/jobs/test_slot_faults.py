"""What the driver and administrators say of a GPU, and which GPU it is. Holders go on whatever is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from mortal_service import MortalService
from slots_at_work import LASTS, PYTHON, SLOTS, changed, gpu, hold, holder, noticed
from slots_at_work import machine as machine

from himalia.errors import Forbidden, NotFound
from himalia.gpus import Slot, SlotHealth, SlotHold
from himalia.states import JobState
from himalia.units import GiB
from himalia_jobs.store import leases, slots
from himalia_jobs.verdicts import SETTLE_SECONDS

pytestmark = pytest.mark.asyncio


class TestFaults:
    """What the driver says is wrong with a GPU."""

    async def test_a_critical_error_keeps_a_gpu_back_until_an_administrator_gives_it_back(
        self, service, add_job, machine
    ):
        job = await holder(service, add_job, "2")
        machine.gpus.faults["GPU-0"] = ("The GPU reported Xid 95.", machine.now)
        await service.tick()
        assert (gpu(service).health, gpu(service).health_detail) == (SlotHealth.QUARANTINED, "The GPU reported Xid 95.")
        assert service.job(job.id).state is JobState.RUNNING

        machine.finish(f"{job.id}.1")
        machine.gpus.faults.clear()  # a fresh sampler knows nothing of it
        await service.tick()
        await service.start()
        await service.tick()
        assert hold(service) is SlotHold.FAULT

        await service.reconciler.keeper.give_back("GPU-0", "root")
        await service.tick()
        assert gpu(service).health is SlotHealth.OK

    @pytest.mark.fault(60)
    async def test_a_job_that_fails_on_a_gpu_that_failed_is_told_so_and_one_beside_it_is_not(
        self, service, add_job, machine
    ):
        on_it, beside = await holder(service, add_job), await holder(service, add_job)
        machine.gpus.faults["GPU-0"] = ("The GPU reported Xid 79.", machine.now)
        await service.tick()

        for job in (on_it, beside):
            machine.finish(f"{job.id}.1", 1)
            await service.step(job.id)

        told = [service.job(job.id) for job in (on_it, beside)]
        assert [(job.state, job.exit_code) for job in told] == [(JobState.FAILED, 1)] * 2
        assert told[0].detail == "Exit code 1. GPU 0 failed while it ran: The GPU reported Xid 79."
        assert told[1].detail == "Exit code 1."

    async def test_an_error_that_was_dealt_with_is_not_told_again_but_the_next_one_is(self, service, machine):
        machine.gpus.faults["GPU-0"] = ("The GPU reported Xid 95.", machine.now)
        await service.start()
        await service.tick()
        await service.reconciler.keeper.give_back("GPU-0", "root")
        await service.tick()
        assert gpu(service).health is SlotHealth.OK

        machine.gpus.faults["GPU-0"] = ("The GPU reported Xid 79.", machine.now)
        await service.tick()

        assert "Xid 79" in gpu(service).health_detail

    async def test_a_restart_of_the_machine_heals_it(self, service, machine):
        machine.gpus.faults["GPU-0"] = ("The GPU reported Xid 95.", machine.now)
        await service.start()
        await service.tick()

        machine.gpus.faults.clear()
        machine.reboot()
        await service.start()
        await service.tick()

        assert gpu(service).health is SlotHealth.OK

    async def test_a_gpu_that_does_not_answer_is_not_given_out_and_its_holder_goes_on(self, service, add_job, machine):
        job = await holder(service, add_job)
        lost = {"health": SlotHealth.SUSPECT, "health_detail": "The GPU has fallen off the bus."}
        changed(machine, *(slot.model_copy(update=lost) for slot in SLOTS))
        await noticed(service)
        waiting = add_job(spec={"command": list(LASTS)}, gpus="1")
        await service.tick()
        assert (service.job(waiting.id).state, service.job(job.id).state) == (JobState.QUEUED, JobState.RUNNING)
        assert gpu(service, 1).health_detail == "The GPU has fallen off the bus."

        changed(machine, *SLOTS)
        await noticed(service)
        await service.tick()

        assert service.job(waiting.id).state is JobState.RUNNING

    async def test_a_gpu_that_is_given_up_while_it_does_not_answer_waits_until_it_does(self, service, add_job, machine):
        job = await holder(service, add_job)
        changed(machine, SLOTS[0].model_copy(update={"health": SlotHealth.SUSPECT}), SLOTS[1])
        await noticed(service)
        machine.finish(f"{job.id}.1")
        service.let_pass(SETTLE_SECONDS * 2)
        await service.tick()
        assert (hold(service), gpu(service).health) == (SlotHold.SETTLING, SlotHealth.SUSPECT)

        changed(machine, *SLOTS)
        await noticed(service)
        await service.tick()

        assert gpu(service).health is SlotHealth.OK


class TestIdentity:
    """A slot is its UUID."""

    async def test_a_gpu_that_changes_its_index_stays_its_holders(self, service, add_job, machine):
        job = await holder(service, add_job)
        changed(machine, SLOTS[0].model_copy(update={"index": 1}), SLOTS[1].model_copy(update={"index": 0}))
        await noticed(service)

        ((lease, held),) = service.db.read_now(leases.slots_by_lease).items()
        assert [(slot.uuid, slot.index) for slot in held] == [("GPU-0", 1)]
        assert service.job(job.id).state is JobState.RUNNING
        assert lease

    @pytest.mark.parametrize("is_held", [True, False])
    async def test_a_gpu_that_disappears_is_gone_and_comes_back_as_itself(self, service, add_job, machine, is_held):
        await (holder(service, add_job) if is_held else service.start())
        changed(machine, SLOTS[1])
        await noticed(service)
        assert gpu(service).health is SlotHealth.GONE
        assert gpu(service).health_detail == "The GPU is not there any more."

        changed(machine, *SLOTS)
        await noticed(service)

        assert gpu(service).health is SlotHealth.OK
        assert bool(service.db.read_now(leases.slots_by_lease)) is is_held

    async def test_a_driver_that_says_nothing_makes_nothing_vanish(self, service, machine):
        await service.start()
        machine.node = replace(machine.node, slots=(), unlisted=(SlotHealth.SUSPECT, "The driver is not loaded."))
        await noticed(service)

        assert [(slot.health, slot.health_detail) for slot in service.db.read_now(slots.all_slots)] == [
            (SlotHealth.SUSPECT, "The driver is not loaded.")
        ] * 2

    async def test_one_that_was_taken_out_for_good_is_forgotten_after_a_week(self, service, machine):
        await service.start()
        changed(machine, SLOTS[1])
        await noticed(service)
        assert _uuids(service) == ["GPU-0", "GPU-1"]
        service.db.write_now(
            lambda db: db.exec_driver_sql(
                "UPDATE slots SET missing_since = '2020-01-01' WHERE missing_since IS NOT NULL"
            )
        )
        node = machine.node
        assert service.db.read_now(lambda db: slots.differ(db, "local", node.slots, node.unlisted))

        await noticed(service)

        assert _uuids(service) == ["GPU-1"]

    async def test_real_ones_make_room_for_simulated_ones(self, service, machine):
        await service.start()
        changed(machine, Slot(uuid="GPU-sim", index=0, model="Simulated", memory_bytes=GiB, simulated=True))
        await noticed(service)

        assert _uuids(service) == ["GPU-sim"]


class TestAdministrators:
    """What an administrator takes out and gives back."""

    async def test_what_was_taken_out_is_given_to_nobody_and_its_holder_goes_on(self, service, add_job, machine):
        job = await holder(service, add_job)
        for number in range(2):
            await service.reconciler.keeper.quarantine(f"GPU-{number}", "New fans.", "root")
        waiting = add_job(spec={"command": list(LASTS)}, gpus="1")
        await service.tick()
        assert (service.job(waiting.id).state, service.job(job.id).state) == (JobState.QUEUED, JobState.RUNNING)
        assert gpu(service).health_detail == "root took it out. New fans."
        machine.finish(f"{job.id}.1")
        await service.tick()
        assert hold(service) is SlotHold.ADMIN

        await service.reconciler.keeper.give_back("GPU-1", "root")
        await service.tick()
        await service.tick()

        assert service.job(waiting.id).state is JobState.RUNNING

    async def test_what_gives_itself_back_is_not_given_back(self, service, machine):
        machine.gpus.users["GPU-0"] = [PYTHON]
        await service.start()
        await service.tick()

        with pytest.raises(Forbidden, match="given out by itself"):
            await service.reconciler.keeper.give_back("GPU-0", "root")
        with pytest.raises(Forbidden, match="not kept back"):
            await service.reconciler.keeper.give_back("GPU-1", "root")
        with pytest.raises(NotFound):
            await service.reconciler.keeper.quarantine("GPU-9", "", "root")

    async def test_everybody_reads_that_a_gpu_is_kept_back_and_nobody_who_is_behind_it(self, service, machine):
        machine.gpus.users["GPU-0"] = [PYTHON]
        await service.start()
        await service.tick()

        (told,) = await service.reconciler.keeper.complaints()

        assert "GPU 0 (GPU-0) is foreign." in told
        assert "bob" not in told


def _uuids(service: MortalService) -> Sequence[str]:
    return [slot.uuid for slot in service.db.read_now(slots.all_slots)]
