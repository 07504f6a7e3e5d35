"""What a life of the service finds that the database does not know, or knows only by half: held, never stopped."""

from __future__ import annotations

import pytest
from mortal_service import ENDS, running, ticks
from rows import server_lease

from himalia.ids import new_id
from himalia.reasons import Reason
from himalia.states import JobState, LeaseState
from himalia_jobs.runner import request_cancel
from himalia_jobs.serving import UNBOUND_SECONDS, WAITER_GONE_SECONDS
from himalia_jobs.store import jobs, leases

pytestmark = pytest.mark.asyncio


class TestStrangers:
    """A running container of ours that the database does not know is held and reported, never stopped."""

    async def test_its_share_is_held_and_it_is_reported_until_it_ends(self, service, add_job, machine):
        machine.run_server("jupyter-eve", lease_id=new_id(), user="eve", slots=("GPU-0",), cpus=6.0)
        job = add_job(**running(ENDS, gpus="2"))
        await service.start()
        await service.reconcile()

        await ticks(service)

        assert machine.containers["jupyter-eve"].seen.phase == "running"
        assert service.job(job.id).reason is Reason.WAITS_FOR_GPUS
        assert len(service.reconciler.strangers) == 1
        assert "jupyter-eve" in service.reconciler.strangers[0]
        await service.start()
        await service.reconcile()
        assert len(service.reconciler.strangers) == 1
        machine.remove_by_hand("jupyter-eve")
        await ticks(service)
        assert service.reconciler.strangers == []
        assert service.job(job.id).state is JobState.SUCCEEDED

    @pytest.mark.parametrize("lease_id", ["", "not-an-id"], ids=["no lease", "an odd lease"])
    async def test_an_odd_label_is_held_as_well(self, service, machine, lease_id):
        machine.run_server("jupyter-eve", lease_id=lease_id, cpus=6.0)
        await service.start()

        await ticks(service, 3)

        (lease,) = service.db.read_now(leases.live)
        assert (lease.state, lease.container, lease.cpus) == (LeaseState.HELD, "jupyter-eve", 6.0)

    async def test_a_container_whose_lease_was_given_back_is_held_anew(self, service, machine):
        await service.start()
        machine.run_server("jupyter-eve", lease_id=(lease_id := new_id()), slots=("GPU-0", "GPU-1"))
        await service.reconcile()
        service.db.write_now(lambda db: leases.release(db, lease_id))

        await ticks(service, 3)

        (lease,) = service.db.read_now(leases.live)
        assert lease.id != lease_id
        assert [slot.uuid for slot in service.db.read_now(leases.slots_by_lease)[lease.id]] == ["GPU-0", "GPU-1"]
        machine.remove_by_hand("jupyter-eve")
        await service.reconcile()
        assert service.db.read_now(leases.live) == []

    async def test_what_is_free_of_its_slots_is_held_when_another_has_the_rest(self, service, add_job, machine):
        add_job(**running(gpus="1"))
        await service.start()
        await service.tick()
        machine.run_server("jupyter-eve", lease_id=(stranger := new_id()), slots=("GPU-0", "GPU-1"))

        await service.reconcile()

        assert [slot.uuid for slot in service.db.read_now(leases.slots_by_lease)[stranger]] == ["GPU-1"]

    async def test_a_job_of_a_lost_database_runs_on_and_its_share_comes_back_with_its_end(
        self, service, add_job, machine
    ):
        job = add_job(**running(gpus="2"))
        await service.start()
        await service.tick()
        service.db.write_now(lambda db: leases.release(db, service.db.read_now(leases.live)[0].id))
        service.db.write_now(lambda db: jobs.remove(db, job))

        await ticks(service, 3)
        assert [found.name for found in machine.running()] == [f"{job.id}.1"]
        (lease,) = service.db.read_now(leases.live)
        assert (lease.kind, lease.holder) == ("job", f"{job.id}.1")

        machine.finish(f"{job.id}.1")
        await ticks(service, 3)
        assert service.db.read_now(leases.live) == []
        assert machine.containers == {}
        assert not machine.directories

    @pytest.mark.fault(32)
    async def test_containers_of_others_are_never_touched(self, service, machine):
        names = [f"postgres-{number}" for number in range(200)]
        for name in names:
            machine.run_server(name, lease_id="", ours=False, cpus=6.0)
        await service.start()

        await ticks(service, 3)

        assert service.db.read_now(leases.live) == []
        assert service.reconciler.strangers == []
        assert {machine.containers[name].seen.phase for name in names} == {"running"}

    async def test_what_was_created_too_late_is_cleared_away(self, service, add_job, machine):
        job = add_job(**running())
        await service.start()
        machine.interrupt = "create"
        await service.turn()
        await service.step(job.id)
        left = machine.containers[f"{job.id}.1"]
        await request_cancel(service.db, service.job(job.id), "ada")
        await ticks(service, 3)
        machine.containers[left.name] = left  # an Engine that was slow made it only now

        await service.reconcile()

        assert machine.containers == {}


class TestServers:
    """Leases of servers, after a service that died."""

    def lease(self, db, **changes):
        """Write a lease in line."""
        return db.write_now(lambda c: leases.add(c, server_lease(**changes)))

    async def test_a_server_that_was_started_and_not_bound_is_bound_by_its_label(self, service, db, machine):
        lease = self.lease(db)
        await service.start()
        await service.turn()
        machine.run_server("jupyter-eve", lease_id=lease.id, slots=("GPU-0",))

        await service.start()
        await service.reconcile()

        found = db.read_now(lambda c: leases.get(c, lease.id))
        assert (found.state, found.container) == (LeaseState.HELD, "jupyter-eve")
        assert service.reconciler.strangers == []

    async def test_a_server_that_is_gone_gives_its_share_back(self, service, db, machine):
        lease = self.lease(db)
        await service.start()
        await service.turn()
        machine.run_server("jupyter-eve", lease_id=lease.id, slots=("GPU-0",))
        await service.reconcile()

        machine.remove_by_hand("jupyter-eve")
        await service.reconcile()

        assert db.read_now(lambda c: leases.get(c, lease.id)).state is LeaseState.RELEASED
        assert db.read_now(leases.slots_by_lease) == {}

    @pytest.mark.parametrize(("gpus", "limit"), [("1", UNBOUND_SECONDS), ("3", WAITER_GONE_SECONDS)])
    async def test_a_start_that_nobody_stands_behind_any_more_lapses_counted_anew_in_every_life(
        self, service, db, gpus, limit
    ):
        lease = self.lease(db, gpus=gpus)
        await service.start()
        await service.tick()
        service.let_pass(limit - 5)
        await service.start()
        await service.tick()
        assert db.read_now(lambda c: leases.get(c, lease.id)).state is not LeaseState.RELEASED

        service.let_pass(limit + 1)
        await service.reconcile()

        assert db.read_now(lambda c: leases.get(c, lease.id)).state is LeaseState.RELEASED
