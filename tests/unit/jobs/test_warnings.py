"""A job that asked for it is warned once before its time limit, whoever restarts meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from mortal_service import MortalService, running, ticks
from service_at_work import AtWork

from himalia.reasons import Reason
from himalia.states import JobState
from himalia_jobs.engines.fake import Fault
from himalia_jobs.store import jobs
from himalia_jobs.store.clock import to_text
from himalia_jobs.store.moves import change
from himalia_jobs.store.records import JobRecord
from himalia_jobs.views import attempt_view

pytestmark = pytest.mark.asyncio


async def runs(service: MortalService, add_job, **changes) -> JobRecord:
    """Let a job with a limit of 20 seconds run, that is warned 5 seconds before."""
    job = add_job(**running(timeout_seconds=20, warn_seconds=5) | changes)
    await service.start()
    await service.turn()
    await service.step(job.id)
    return job


async def test_a_job_is_warned_so_long_before_its_time_limit_and_its_attempt_says_when(service, add_job):
    job = await runs(service, add_job)

    await ticks(service, 15)
    assert service.machine.warned == []
    await ticks(service, 2)

    ((attempt, at),) = service.machine.warned
    assert (attempt, at) == (f"{job.id}.1", 15.0)
    last = service.db.read_now(lambda db: jobs.last_attempt(db, job.id))
    assert attempt_view(last).warned_at is not None
    await ticks(service, 5)
    assert (service.job(job.id).reason, len(service.machine.warned)) == (Reason.TIMED_OUT, 1)


async def test_a_job_that_asked_for_no_warning_gets_none(service, add_job):
    await runs(service, add_job, warn_seconds=None)

    await ticks(service, 22)

    assert service.machine.warned == []


async def test_more_time_puts_off_the_warning(service, add_job):
    job = await runs(service, add_job)
    await ticks(service, 10)

    service.db.write_now(lambda db: change(db, job.id, timeout_seconds=30))
    await ticks(service, 12)
    assert service.machine.warned == []
    await ticks(service, 5)

    assert service.machine.warned == [(f"{job.id}.1", 25.0)]


async def test_a_service_that_was_away_warns_late_and_gives_the_job_its_time(service, add_job):
    job = await runs(service, add_job)
    service.let_pass(30)

    await service.start()
    await service.reconcile()
    await ticks(service, 4)
    assert service.job(job.id).state is JobState.RUNNING
    await ticks(service, 4)

    assert service.machine.warned == [(f"{job.id}.1", 30.0)]
    assert service.job(job.id).reason is Reason.TIMED_OUT


@pytest.mark.parametrize("fault", Fault)
async def test_whatever_becomes_of_a_warning_it_is_heard_once(service, add_job, fault):
    job = await runs(service, add_job)
    service.faults.plan["warn"] += [fault, fault]

    await ticks(service, 19)
    while service.machine.late:
        service.machine.deliver()

    assert [attempt for attempt, _ in service.machine.warned] == [f"{job.id}.1"]


async def test_a_warning_that_cannot_be_sent_holds_up_no_end(service, add_job):
    job = await runs(service, add_job)
    service.faults.plan["warn"] += [Fault.REFUSED] * 50

    await ticks(service, 24)

    assert service.job(job.id).reason is Reason.TIMED_OUT


async def test_a_job_that_was_warned_says_so_until_it_gets_more_time(work: AtWork):
    job_id = (await work.submit(timeout="1h", warn="5m"))["id"]
    await work.attempt(job_id, JobState.RUNNING)
    began, warned = (to_text(datetime.now(UTC) - timedelta(minutes=minutes)) for minutes in (56, 1))
    changes = {"started_at": began, "warned_at": warned}
    await work.service.db.write(lambda db: jobs.change_attempt(db, f"{job_id}.1", **changes))

    told = (await work.ask("GET", f"jobs/{job_id}")).json()
    longer = (await work.ask("POST", f"jobs/{job_id}/extend", json={"by": "30m"})).json()

    assert "was warned (SIGUSR1)" in told["sentence"] and told["warn_seconds"] == 300
    assert longer["sentence"] == ""
