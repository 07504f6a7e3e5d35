"""Lost messages, silent engines, and services that died in between: a job runs once, and what is said of it is true."""

from __future__ import annotations

from datetime import timedelta

import pytest
from mortal_service import ENDS, running, ticks

from himalia.reasons import Reason
from himalia.states import JobState
from himalia_jobs.engines.errors import NotSent
from himalia_jobs.engines.fake import BEGINNING, Fault, Program
from himalia_jobs.runner import LOOK_AGAIN_SECONDS, request_cancel
from himalia_jobs.store import jobs, leases

pytestmark = pytest.mark.asyncio


class TestMessages:
    """A time-out is unknown, not failed."""

    @pytest.mark.parametrize("fault", Fault)
    @pytest.mark.parametrize("method", ["prepare", "launch", "status", "collect", "forget"])
    async def test_whatever_becomes_of_one_message_the_job_runs_once_and_ends_well(
        self, service, add_job, method, fault
    ):
        job = add_job(**running(ENDS))
        await service.start()
        service.faults.plan[method].append(fault)

        await ticks(service)
        while service.machine.late:
            service.machine.deliver()

        assert service.job(job.id).state is JobState.SUCCEEDED
        assert service.machine.starts == [f"{job.id}.1"]
        service.check_the_end()

    @pytest.mark.parametrize("fault", Fault)
    @pytest.mark.parametrize("cancel_at", [JobState.STARTING, JobState.RUNNING])
    async def test_whatever_becomes_of_a_stop_it_is_sent_until_the_job_has_ended(
        self, service, add_job, fault, cancel_at
    ):
        job = add_job(**running())
        await service.start()
        await service.turn()
        if cancel_at is JobState.RUNNING:
            await service.step(job.id)
        assert service.job(job.id).state is cancel_at
        service.faults.plan["stop"] += [fault, fault]
        await request_cancel(service.db, service.job(job.id), "ada")

        await ticks(service)

        assert service.job(job.id).state is JobState.CANCELLED
        while service.machine.late:
            service.machine.deliver()
        service.check_the_end()

    async def test_a_job_whose_stop_cannot_be_sent_is_not_started_instead(self, service, add_job):
        job = add_job(**running())
        await service.start()
        await service.turn()
        await request_cancel(service.db, service.job(job.id), "ada")
        service.faults.plan["stop"] += [Fault.REFUSED] * 3

        await ticks(service, 3)

        assert service.job(job.id).state is JobState.STARTING
        assert service.machine.starts == []

    async def test_a_launch_that_arrives_after_the_job_was_cancelled_starts_nothing(self, service, add_job):
        job = add_job(**running())
        await service.start()
        service.faults.plan["launch"].append(Fault.DELAYED)
        await service.turn()
        await service.step(job.id)
        await request_cancel(service.db, service.job(job.id), "ada")
        await ticks(service)

        service.machine.deliver()

        assert service.job(job.id).state is JobState.CANCELLED
        assert service.machine.starts == []
        service.check_the_end()

    @pytest.mark.fault(31)
    async def test_a_job_that_an_unanswered_launch_started_goes_on_though_its_image_is_gone_now(self, service, add_job):
        job = add_job(**running(ENDS))
        await service.start()
        service.faults.plan["launch"].append(Fault.UNANSWERED)
        await service.turn()
        await service.step(job.id)
        service.machine.images.clear()

        await ticks(service)

        assert service.job(job.id).state is JobState.SUCCEEDED


class TestSilence:
    """The engine does not answer for a while."""

    @pytest.mark.fault(21)
    async def test_a_running_job_stays_running_and_its_end_is_told_afterwards(self, service, add_job, machine):
        job = add_job(**running(ENDS))
        await service.start()
        await service.turn()
        await service.step(job.id)
        machine.reachable = False

        await ticks(service)
        assert service.job(job.id).state is JobState.RUNNING

        machine.reachable = True
        await ticks(service)
        assert service.job(job.id).state is JobState.SUCCEEDED

    @pytest.mark.fault(21)
    async def test_a_queued_job_waits_and_is_told_why(self, service, add_job, machine):
        job = add_job(**running(ENDS))
        await service.start()
        machine.reachable = False

        await ticks(service, 3)

        assert (service.job(job.id).state, service.job(job.id).reason) == (JobState.QUEUED, Reason.WAITS_FOR_ENGINE)
        machine.reachable = True
        await ticks(service)
        assert service.job(job.id).state is JobState.SUCCEEDED

    async def test_nobody_s_share_is_given_back_while_nothing_can_be_seen(self, service, add_job, machine):
        add_job(**running(gpus="2"))
        await service.start()
        await service.tick()
        waiting = add_job(**running(gpus="1"))
        machine.reachable = False

        await ticks(service, 200)

        assert len(service.db.read_now(leases.live)) == 1
        assert service.job(waiting.id).state is JobState.QUEUED

    async def test_a_service_does_not_conclude_from_what_it_cannot_reach(self, service, machine):
        await service.start()
        machine.reachable = False

        with pytest.raises(NotSent):
            await service.reconciler.run()


class TestRestarts:
    """What another life of the service finds."""

    async def test_a_full_disk_puts_the_job_back_and_is_not_tried_again_at_once(self, service, add_job, machine):
        job = add_job(**running(ENDS))
        machine.disk_full = True
        await service.start()

        await ticks(service, int(LOOK_AGAIN_SECONDS * 3))

        waiting = service.job(job.id)
        assert (waiting.state, waiting.reason) == (JobState.QUEUED, Reason.WAITS_FOR_DISK)
        assert waiting.attempt_count <= 4
        machine.disk_full = False
        await ticks(service, int(LOOK_AGAIN_SECONDS * 2))
        assert service.job(job.id).state is JobState.SUCCEEDED

    async def test_a_job_cancelled_while_it_goes_back_to_the_queue_is_cancelled(self, service, add_job, machine):
        job = add_job(**running(ENDS))
        machine.disk_full = True
        await service.start()
        service.faults.plan["forget"] += [Fault.REFUSED]
        await service.turn()
        await service.step(job.id)
        await request_cancel(service.db, service.job(job.id), "ada")

        await ticks(service)

        assert service.job(job.id).state is JobState.CANCELLED
        service.check_the_end()

    async def test_new_settings_of_the_site_do_not_end_what_was_started_under_the_old(self, service, add_job):
        job = add_job(**running())
        await service.start()
        service.faults.plan["launch"].append(Fault.UNANSWERED)
        await service.turn()
        await service.step(job.id)
        service.site = service.site.model_copy(
            update={"limits": service.site.limits.model_copy(update={"stop_grace": 60})}
        )

        await service.start()
        await service.reconcile()
        await ticks(service, 3)

        assert service.job(job.id).state is JobState.RUNNING
        assert service.machine.starts == [f"{job.id}.1"]

    async def test_new_settings_start_a_new_attempt_of_what_was_made_and_never_started(self, service, add_job, machine):
        job = add_job(**running(ENDS))
        await service.start()
        machine.interrupt = "create"
        await service.turn()
        await service.step(job.id)
        service.site = service.site.model_copy(
            update={"limits": service.site.limits.model_copy(update={"stop_grace": 60})}
        )

        await service.start()
        await service.reconcile()
        await ticks(service)

        assert service.job(job.id).state is JobState.SUCCEEDED
        assert machine.starts == [f"{job.id}.2"]
        service.check_the_end()

    async def test_a_job_in_line_that_new_limits_leave_no_room_for_ends_and_the_others_go_on(self, service, add_job):
        large, small = add_job(**running(ENDS, cpus=8.0)), add_job(**running(ENDS, cpus=2.0))
        blocking = add_job(**running(cpus=1.0))
        await service.start()
        service.machine.mode = "cordoned"
        await ticks(service, 2)
        service.site = service.site.model_copy(update={"limits": service.site.limits.model_copy(update={"cpus": 4.0})})

        await service.start()
        await ticks(service, 2)
        assert service.job(large.id).state is JobState.QUEUED
        service.machine.mode = "ready"
        await ticks(service)

        ended = service.job(large.id)
        assert (ended.state, ended.reason) == (JobState.FAILED, Reason.CANNOT_RUN)
        assert service.job(small.id).state is JobState.SUCCEEDED
        await request_cancel(service.db, service.job(blocking.id), "ada")
        await ticks(service)
        service.check_the_end()

    async def test_the_time_limit_counts_from_the_start_though_nobody_was_there_to_see_it(self, service, add_job):
        job = add_job(**running(timeout_seconds=60))
        await service.start()
        service.faults.plan["launch"].append(Fault.UNANSWERED)
        await service.turn()
        await service.step(job.id)
        assert service.job(job.id).state is JobState.STARTING
        service.let_pass(50)

        await service.start()
        await service.reconcile()
        await ticks(service, 5)
        assert service.job(job.id).state is JobState.RUNNING
        await ticks(service, 10)

        ended = service.job(job.id)
        assert (ended.state, ended.reason) == (JobState.FAILED, Reason.TIMED_OUT)
        service.check_the_end()

    @pytest.mark.fault(17)
    @pytest.mark.parametrize("hours", [1, -1])
    async def test_a_clock_that_jumps_before_anybody_looks_neither_shortens_the_time_nor_gives_more(
        self, service, add_job, monkeypatch, hours
    ):
        job = add_job(**running(timeout_seconds=60))
        service.let_pass(7200)
        await service.start()
        service.faults.plan["launch"].append(Fault.UNANSWERED)
        await service.turn()
        await service.step(job.id)
        service.let_pass(30)
        wall = service.clock.wall
        monkeypatch.setattr(service.clock, "wall", lambda: wall() + timedelta(hours=hours))

        await service.start()
        await service.reconcile()
        await ticks(service, 25)
        assert service.job(job.id).state is JobState.RUNNING
        await ticks(service, 15)

        assert service.job(job.id).reason is Reason.TIMED_OUT
        service.check_the_end()

    @pytest.mark.fault(17)
    async def test_a_wall_clock_that_is_set_back_shortens_no_ones_time(self, service, add_job, monkeypatch):
        job = add_job(**running(timeout_seconds=60))
        await service.start()
        monkeypatch.setattr(service.clock, "wall", lambda: BEGINNING - timedelta(days=1))
        await service.turn()
        await service.step(job.id)

        await ticks(service, 55)

        assert service.job(job.id).state is JobState.RUNNING

    @pytest.mark.fault(17)
    @pytest.mark.parametrize("hours", [1, -1])
    async def test_a_clock_that_jumps_while_a_job_runs_ends_it_no_earlier(self, service, add_job, monkeypatch, hours):
        job = add_job(**running(timeout_seconds=60))
        await service.start()
        await service.turn()
        await service.step(job.id)
        wall = service.clock.wall
        monkeypatch.setattr(service.clock, "wall", lambda: wall() + timedelta(hours=hours))

        await ticks(service, 55)
        assert service.job(job.id).state is JobState.RUNNING
        await ticks(service, 20)

        assert service.job(job.id).reason is Reason.TIMED_OUT
        service.check_the_end()

    @pytest.mark.fault(7)
    async def test_a_job_that_ended_and_was_removed_while_nobody_was_there_is_lost_and_keeps_its_log(
        self, service, add_job, machine
    ):
        machine.programs[ENDS] = Program(seconds=1.0, output=b"so far\n")
        job = add_job(**running(ENDS, gpus="2"))
        await service.start()
        await service.turn()
        await service.step(job.id)
        service.let_pass(5)
        machine.remove_by_hand(f"{job.id}.1")

        await service.start()
        await service.reconcile()
        await ticks(service, 3)

        ended = service.job(job.id)
        assert (ended.state, ended.reason, ended.exit_code) == (JobState.FAILED, Reason.VANISHED, None)
        assert (await service.engine.read_log(f"{job.id}.1", 0, 100)).data == b"so far\n"
        service.check_the_end()

    @pytest.mark.fault(31)
    async def test_a_name_that_means_another_image_by_now_changes_no_job_that_was_submitted_before(
        self, service, add_job, machine, monkeypatch
    ):
        job = add_job(**running(ENDS))
        machine.images |= {"himalia/server:dev": "sha256:2", "old": "sha256:1"}
        launched = []
        launch = machine.launch
        monkeypatch.setattr(machine, "launch", lambda spec: launched.append(spec.image_id) or launch(spec))
        await service.start()

        await ticks(service)

        assert service.job(job.id).state is JobState.SUCCEEDED
        assert set(launched) == {"sha256:1"}

    async def test_a_job_that_is_tried_again_has_no_exit_code_meanwhile(self, service, add_job, machine):
        machine.programs[("fails",)] = Program(code=3)
        job = add_job(**running(("fails",), retries=1))
        await service.start()
        await service.turn()
        await service.step(job.id)

        assert (service.job(job.id).state, service.job(job.id).exit_code) == (JobState.QUEUED, None)

    async def test_an_older_service_that_wakes_up_changes_nothing(self, service, add_job, machine):
        add_job(**running())
        await service.start()
        await service.tick()
        old = service.runner
        await service.start()
        (job,) = service.db.read_now(lambda db: jobs.in_states(db, [JobState.RUNNING]))
        await request_cancel(service.db, job, "ada")

        await old.step(job.id)

        assert [found.name for found in machine.running()] == [f"{job.id}.1"]
