"""What keeps a slot from being given out, and what gives it back: what its holder left, and others on it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from mortal_service import MortalService
from slots_at_work import LASTS, PYTHON, SLOTS, gpu, hold, holder
from slots_at_work import machine as machine

from himalia.gpus import SlotHealth, SlotHold
from himalia.ids import new_id
from himalia.states import JobState
from himalia.units import GiB
from himalia_jobs.engines.base import Exit
from himalia_jobs.engines.fake import FakeMachine, Fault, Program
from himalia_jobs.engines.gpus import GPUUser
from himalia_jobs.store import leases
from himalia_jobs.verdicts import SETTLE_SECONDS

pytestmark = pytest.mark.asyncio


class TestSettling:
    """A GPU is given out again once it is seen to be free."""

    async def test_a_free_gpu_settles_with_the_first_look(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.finish(f"{job.id}.1")

        await service.step(job.id)
        before = gpu(service)
        await service.reconcile()

        assert service.job(job.id).state is JobState.SUCCEEDED
        assert (before.health, before.health_detail) == (
            SlotHealth.SETTLING,
            "ada's job has ended; it is given out as soon as the GPU is really free.",
        )
        assert gpu(service).health is SlotHealth.OK

    async def test_until_then_it_is_given_to_nobody_and_afterwards_to_who_waits(self, service, add_job, machine):
        job = await holder(service, add_job, "2")
        machine.gpus.memory["GPU-0"] = 20 * GiB
        machine.finish(f"{job.id}.1")
        waiting = add_job(spec={"command": list(LASTS)}, gpus="2")
        for _ in range(5):
            await service.tick()
        assert service.job(waiting.id).state is JobState.QUEUED
        assert "20.0 GB of its memory are in use" in gpu(service).health_detail
        assert gpu(service, 1).health is SlotHealth.OK

        machine.gpus.memory["GPU-0"] = 0
        await service.tick()
        await service.tick()

        assert service.job(waiting.id).state is JobState.RUNNING

    async def test_what_was_seen_before_the_end_says_nothing(self, service, add_job, machine):
        job = await holder(service, add_job)
        service.let_pass(10)
        machine.gpus.clock = machine.now  # the driver answers no more
        machine.finish(f"{job.id}.1")
        service.let_pass(10)
        await service.tick()
        assert gpu(service).health is SlotHealth.SETTLING

        machine.gpus.clock = None
        await service.tick()

        assert gpu(service).health is SlotHealth.OK

    async def test_memory_that_does_not_come_back_is_told_with_what_to_do_and_ends_by_itself(
        self, service, add_job, machine
    ):
        job = await holder(service, add_job)
        machine.gpus.memory["GPU-0"] = 20 * GiB
        machine.finish(f"{job.id}.1")
        await service.tick()
        service.let_pass(SETTLE_SECONDS - 5)
        await service.tick()
        assert hold(service) is SlotHold.SETTLING

        service.let_pass(10)
        await service.tick()
        assert (hold(service), gpu(service).health) == (SlotHold.LEFTOVER, SlotHealth.QUARANTINED)
        assert "Look at `nvidia-smi`" in gpu(service).health_detail

        machine.gpus.memory["GPU-0"] = 0
        await service.tick()
        assert gpu(service).health is SlotHealth.OK

    async def test_a_process_that_outlives_its_container_is_waited_for(self, service, add_job, machine):
        job = await holder(service, add_job)
        lingering = replace(PYTHON, container=f"{job.id}.1", ours=True)
        machine.gpus.users["GPU-0"] = [lingering]
        machine.finish(f"{job.id}.1")
        await service.tick()
        assert hold(service) is SlotHold.SETTLING
        assert "python3 train.py (process 4242" in gpu(service).health_detail

        service.let_pass(SETTLE_SECONDS + 1)
        await service.tick()
        assert hold(service) is SlotHold.LEFTOVER

    async def test_a_service_that_died_meanwhile_goes_on_waiting(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.gpus.memory["GPU-0"] = 20 * GiB
        machine.finish(f"{job.id}.1")
        await service.step(job.id)

        await service.start()
        waiting = add_job(spec={"command": list(LASTS)}, gpus="2")
        await service.tick()

        assert service.job(waiting.id).state is JobState.QUEUED
        assert gpu(service).health is SlotHealth.SETTLING

    async def test_after_a_restart_of_the_machine_it_is_looked_at_anew(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.gpus.memory["GPU-0"] = 20 * GiB
        machine.finish(f"{job.id}.1")
        await service.tick()

        machine.gpus.memory.clear()
        machine.reboot()
        machine.now = service.clock.seconds = 0  # seconds since it was started
        await service.start()
        await service.tick()

        assert gpu(service).health is SlotHealth.OK

    async def test_simulated_gpus_are_free_at_once(self, db, add_job, tmp_path):
        machine = FakeMachine(slots=tuple(slot.model_copy(update={"simulated": True}) for slot in SLOTS))
        machine.programs[LASTS] = Program(seconds=None)
        service = MortalService(db, machine, tmp_path)
        job = await holder(service, add_job)
        machine.finish(f"{job.id}.1")

        await service.step(job.id)

        assert gpu(service).health is SlotHealth.OK

    async def test_a_look_that_is_not_answered_changes_nothing(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.finish(f"{job.id}.1")
        await service.step(job.id)

        service.faults.plan["gpu_use"] = [Fault.LOST]
        await service.reconcile()
        assert gpu(service).health is SlotHealth.SETTLING
        await service.reconcile()

        assert gpu(service).health is SlotHealth.OK


class TestOthersOnAGPU:
    """Processes and containers that Himalia did not start."""

    async def test_a_foreign_process_is_told_and_its_gpu_is_not_given_out_until_it_ends(
        self, service, add_job, machine
    ):
        machine.gpus.users["GPU-0"] = [PYTHON]
        await service.start()
        await service.reconcile()
        job = add_job(spec={"command": list(LASTS)}, gpus="2")
        await service.tick()
        assert service.job(job.id).state is JobState.QUEUED
        assert gpu(service).health is SlotHealth.FOREIGN
        assert (
            "python3 train.py (process 4242 of bob, 4.0 GB), which Himalia did not start" in gpu(service).health_detail
        )

        machine.gpus.users["GPU-0"] = []
        await service.tick()
        await service.tick()

        assert service.job(job.id).state is JobState.RUNNING

    async def test_a_foreign_process_beside_a_holder_is_told_and_the_holder_goes_on(self, service, add_job, machine):
        job = await holder(service, add_job)
        own = replace(PYTHON, pid=1, container=f"{job.id}.1", ours=True)
        machine.gpus.users["GPU-0"] = [own, PYTHON]

        await service.tick()
        assert (hold(service), service.job(job.id).state) == (SlotHold.FOREIGN, JobState.RUNNING)
        assert "process 1," not in gpu(service).health_detail

        machine.gpus.users["GPU-0"] = [own]
        await service.tick()
        assert (hold(service), service.job(job.id).state) == (None, JobState.RUNNING)

    async def test_a_foreign_process_that_stays_after_the_holder_keeps_the_gpu_back(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.gpus.users["GPU-0"] = [replace(PYTHON, container="theirs")]
        machine.finish(f"{job.id}.1")
        await service.tick()

        assert hold(service) is SlotHold.FOREIGN
        assert "in the container theirs" in gpu(service).health_detail

    async def test_one_of_ours_on_a_gpu_that_it_does_not_hold_is_named(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.gpus.users["GPU-1"] = [replace(PYTHON, container=f"{job.id}.1", ours=True)]
        machine.run_server("jupyter-eve", lease_id=new_id(), user="eve", slots=("GPU-1",))
        await service.tick()

        assert hold(service, 1) is SlotHold.FOREIGN
        assert f"{job.id}.1 uses it without holding it" in gpu(service, 1).health_detail
        assert len(machine.running()) == 2

    async def test_the_machines_own_screen_is_in_nobodys_way(self, service, machine):
        machine.gpus.users["GPU-0"] = [GPUUser(pid=7, command="Xorg", user="root", memory_bytes=2 * GiB, graphics=True)]
        machine.gpus.memory["GPU-0"] = 2 * GiB
        await service.start()
        await service.tick()

        assert gpu(service).health is SlotHealth.OK

    async def test_memory_that_nobody_is_known_to_hold_keeps_a_gpu_back(self, service, machine):
        machine.gpus.memory["GPU-0"] = 9 * GiB
        await service.start()
        await service.reconcile()
        service.let_pass(SETTLE_SECONDS + 1)
        await service.tick()

        assert hold(service) is SlotHold.LEFTOVER

    async def test_a_container_of_others_keeps_its_gpu_back_until_it_ends(self, service, machine):
        machine.gpus.others["theirs"] = ("GPU-0",)
        await service.start()
        await service.reconcile()
        assert hold(service) is SlotHold.ROGUE
        assert "The container theirs, which is not Himalia's" in gpu(service).health_detail
        assert gpu(service, 1).health is SlotHealth.OK

        machine.gpus.others.clear()
        await service.tick()

        assert gpu(service).health is SlotHealth.OK

    async def test_a_process_without_a_word_from_the_driver_is_no_trouble(self, service, machine, monkeypatch):
        real = machine.gpus._state
        monkeypatch.setattr(
            machine.gpus, "_state", lambda uuid: replace(real(uuid), users=None, memory_used_bytes=None)
        )
        await service.start()
        await service.tick()

        assert gpu(service).health is SlotHealth.OK


class TestByHand:
    """Containers that were started past Himalia."""

    async def test_two_containers_on_one_gpu_are_a_conflict_until_one_has_ended(self, service, add_job, machine):
        job = await holder(service, add_job)
        machine.run_server("jupyter-eve", lease_id=new_id(), user="eve", slots=("GPU-0",))
        await service.tick()
        assert (hold(service), gpu(service).health) == (SlotHold.CONFLICT, SlotHealth.QUARANTINED)
        assert f"{' and '.join(sorted([f'{job.id}.1', 'jupyter-eve']))} run on it at once" in gpu(service).health_detail
        assert len(machine.running()) == 2

        machine.finish(f"{job.id}.1")
        await service.tick()
        await service.tick()
        # The one that is left has what it really has, and nobody else gets it.
        (lease,) = service.db.read_now(leases.live)
        assert lease.container == "jupyter-eve"
        assert [slot.uuid for slot in service.db.read_now(leases.slots_by_lease)[lease.id]] == ["GPU-0"]
        assert hold(service) is None

        machine.remove_by_hand("jupyter-eve")
        await service.tick()
        await service.tick()
        assert (gpu(service).health, service.db.read_now(leases.live)) == (SlotHealth.OK, [])

    async def test_a_container_that_was_started_once_more_holds_its_gpu_again(self, service, add_job, machine):
        machine.run_server("jupyter-eve", lease_id=new_id(), user="eve", slots=("GPU-0",))
        await service.start()
        await service.tick()
        machine._end(machine.containers["jupyter-eve"], Exit(code=0))
        await service.tick()
        assert service.db.read_now(leases.live) == []

        machine.restart_by_hand("jupyter-eve")
        await service.tick()
        job = add_job(spec={"command": list(LASTS)}, gpus="2")
        await service.tick()

        (lease,) = service.db.read_now(leases.live)
        assert lease.container == "jupyter-eve"
        assert service.job(job.id).state is JobState.QUEUED
