"""A job that failed is tried again after a pause that grows, whoever restarts meanwhile."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from mortal_service import MortalService, running, ticks

from himalia.moments import stamp_to_second
from himalia.queueing import Queue
from himalia.reasons import Reason
from himalia.states import JobState
from himalia_jobs.engines.fake import BEGINNING, FakeMachine, Program
from himalia_jobs.queue import Line
from himalia_jobs.runner import request_cancel
from himalia_jobs.store import Database, jobs
from himalia_jobs.store.records import JobRecord
from himalia_jobs.views import words

pytestmark = pytest.mark.asyncio
FAILS = ("fails",)


@pytest.fixture
def machine(machine: FakeMachine) -> FakeMachine:
    """A machine that also has a command that fails at once."""
    machine.programs[FAILS] = Program(code=75, output=b"no licence", artifacts={"half.txt": b"1"})
    return machine


@pytest.fixture
def service(db: Database, machine: FakeMachine, tmp_path: Path) -> MortalService:
    """A service on that machine, with the pauses that hold where nothing is set."""
    return MortalService(db, machine, tmp_path, queue=Queue())


async def failed(service: MortalService, job: JobRecord) -> JobRecord:
    """Let a job's first attempt fail."""
    await service.start()
    await service.turn()
    await service.step(job.id)
    return service.job(job.id)


async def test_a_job_that_failed_says_when_it_is_tried_again_and_stands_in_no_line_until_then(service, add_job):
    job = await failed(service, add_job(**running(FAILS, retries=3)))

    assert (job.state, job.reason) == (JobState.QUEUED, Reason.WAITS_FOR_RETRY)
    assert words(job, Line().told(job.id, None)) == (
        f"Attempt 1 failed. Exit code 75. It is tried again at {stamp_to_second(BEGINNING + timedelta(seconds=10))}."
    )
    await ticks(service, 9)
    assert service.machine.starts == [f"{job.id}.1"]
    await ticks(service, 3)
    assert service.machine.starts == [f"{job.id}.1", f"{job.id}.2"]


async def test_others_start_while_a_job_pauses(service, add_job):
    await failed(service, add_job(**running(FAILS, retries=3, gpus="2")))
    other = add_job(**running(("ends",), user="bob", gpus="2"))

    await ticks(service, 2)

    assert f"{other.id}.1" in service.machine.starts


async def test_a_pause_goes_on_through_a_restart_of_the_service(service, add_job):
    job = await failed(service, add_job(**running(FAILS, retries=1)))
    await ticks(service, 6)

    await service.start()
    await ticks(service, 3)
    assert len(service.machine.starts) == 1
    await ticks(service, 4)

    assert service.machine.starts == [f"{job.id}.1", f"{job.id}.2"]


@pytest.mark.fault(17)
async def test_a_machine_whose_clock_was_set_back_tries_again_at_once_and_not_an_hour_later(
    service, add_job, monkeypatch
):
    await failed(service, add_job(**running(FAILS, retries=1)))
    monkeypatch.setattr(service.clock, "wall", lambda: BEGINNING - timedelta(hours=1))

    await service.turn()

    assert service.db.read_now(lambda db: jobs.in_states(db, [JobState.QUEUED])) == []


async def test_a_job_that_pauses_can_be_cancelled_and_is_not_tried_again(service, add_job):
    job = await failed(service, add_job(**running(FAILS, retries=3)))

    await request_cancel(service.db, job, "ada")
    await ticks(service)

    assert service.job(job.id).state is JobState.CANCELLED
    assert service.machine.starts == [f"{job.id}.1"]


async def test_each_attempt_keeps_its_own_log_and_artifacts(service, add_job):
    job = await failed(service, add_job(**running(FAILS, retries=1)))
    service.machine.programs[FAILS] = Program(output=b"done", artifacts={"model.txt": b"42"})

    await ticks(service, 13)

    assert service.job(job.id).state is JobState.SUCCEEDED
    logs = [await service.engine.read_log(f"{job.id}.{n}", 0, 100) for n in (1, 2)]
    assert [log.data for log in logs] == [b"no licence", b"done"]
    assert [[*service.machine.artifacts[f"{job.id}.{n}"]] for n in (1, 2)] == [["half.txt"], ["model.txt"]]


async def test_pauses_double_up_to_the_longest():
    queue = Queue(retry_pause="10s", longest_retry_pause="2m")

    assert [queue.pause_after(failures) for failures in (1, 2, 3, 4, 5, 6, 100)] == [10, 20, 40, 80, 120, 120, 120]
