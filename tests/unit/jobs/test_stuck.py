"""A process that cannot be killed keeps what it has, and everybody is told."""

from __future__ import annotations

import pytest
from mortal_service import running, ticks

from himalia.reasons import Reason
from himalia.states import JobState, LeaseState
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.queue import Line
from himalia_jobs.store import jobs, leases
from himalia_jobs.stuck import SENTENCE, complaints
from himalia_jobs.views import attempt_view, words

pytestmark = pytest.mark.asyncio
HANGS = ("hangs",)


@pytest.fixture
def machine(machine: FakeMachine) -> FakeMachine:
    """A machine that also has a command that hangs in a device."""
    machine.programs[HANGS] = Program(seconds=None, unkillable=True)
    return machine


@pytest.mark.fault(29)
async def test_a_job_that_cannot_be_killed_is_told_and_keeps_its_gpus_until_it_is_gone(service, add_job):
    job = add_job(**running(HANGS, gpus="2", timeout_seconds=5))
    await service.start()
    await ticks(service, 20)
    other = add_job(**running(("ends",), user="bob", gpus="1"))
    assert service.job(job.id).detail == ""

    await ticks(service, 30)
    await service.start()  # a service that restarts meanwhile knows it
    await ticks(service, 10)

    stuck = service.job(job.id)
    assert (stuck.state, words(stuck, Line().told(job.id, None))) == (JobState.RUNNING, SENTENCE)
    last = service.db.read_now(lambda db: jobs.last_attempt(db, job.id))
    assert attempt_view(last).stuck_at is not None
    assert [sentence.partition(" does")[0] for sentence in service.db.read_now(complaints)] == [f"{job.id}.1 of ada"]
    (lease,) = [lease for lease in service.db.read_now(leases.live) if lease.kind == "job"]
    assert (lease.state, lease.holder) == (LeaseState.HELD, f"{job.id}.1")
    assert service.job(other.id).state is JobState.QUEUED

    service.machine.let_die(f"{job.id}.1")
    await ticks(service, 6)

    assert (service.job(job.id).state, service.job(job.id).reason) == (JobState.FAILED, Reason.TIMED_OUT)
    assert service.db.read_now(complaints) == []
    assert service.job(other.id).state is JobState.SUCCEEDED
    service.check_the_end()


async def test_a_job_that_is_slow_to_end_is_not_said_to_be_stuck(service, add_job, machine):
    machine.programs[("slow",)] = Program(seconds=None, stubborn=True)
    job = add_job(**running(("slow",), timeout_seconds=5))
    await service.start()

    await ticks(service, 20)

    last = service.db.read_now(lambda db: jobs.last_attempt(db, job.id))
    assert (service.job(job.id).reason, last.stuck_at) == (Reason.TIMED_OUT, None)
