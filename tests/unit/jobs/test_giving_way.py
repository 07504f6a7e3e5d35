"""A preemptible job is told, stopped with its grace, and run again by itself; on the fake machine, step by step."""

from __future__ import annotations

import pytest
from mortal_service import ENDS, LASTS, MortalService, running, simulated, ticks

from himalia.reasons import Reason
from himalia.site import Site
from himalia.states import JobState
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.launching import longest_grace
from himalia_jobs.store import jobs, notices

pytestmark = pytest.mark.asyncio

QUEUE = {"preempt_warning": "5s", "preempt_grace": "4s"}


@pytest.fixture
def machine() -> FakeMachine:
    """A machine with one GPU."""
    machine = FakeMachine(slots=simulated(1))
    machine.programs[LASTS] = Program(seconds=None)
    machine.programs[ENDS] = Program(seconds=3.0)
    return machine


@pytest.fixture
def service(db, machine, tmp_path) -> MortalService:
    """A service on that machine, whose preemptible jobs are told some seconds before."""
    service = MortalService(db, machine, tmp_path)
    service.site = Site.model_validate({"limits": service.site.limits.model_dump(), "queue": QUEUE})
    return service


def wants_gpu(argv, **changes):
    """Return the columns of a job that wants the GPU."""
    return running(argv, gpus="1") | changes


def told(service, job):
    """Return what the submitter of a job is told now."""
    now = service.clock.wall()
    return [one.sentence for one in service.db.read_now(lambda db: notices.open_of(db, job.user_id, now))]


async def test_it_is_told_stopped_and_run_again(service, add_job):
    scavenger = add_job(**wants_gpu(LASTS, preemptible=True))
    await service.start()
    await ticks(service, 4)
    other = add_job(user="bob", **wants_gpu(ENDS))

    await ticks(service, 3)
    warned = service.db.read_now(lambda db: jobs.last_attempt(db, scavenger.id))
    assert warned.give_way_at is not None and service.job(scavenger.id).state is JobState.RUNNING
    (warning,) = told(service, scavenger)
    assert warning.startswith(f"Your job train ({scavenger.id}) gives way: it stops at 20")
    assert warning.endswith("Save a checkpoint in /storage.")

    await ticks(service, 60)

    (news,) = told(service, scavenger)  # in place of the warning
    assert news.startswith(f"Your job train ({scavenger.id}) gave way at 20")
    assert news.endswith("and was put in line again, to start by itself.")

    again = service.job(scavenger.id)
    assert service.job(other.id).state is JobState.SUCCEEDED
    assert (again.state, again.attempt_count, again.preemptions) == (JobState.RUNNING, 2, 1)
    first = service.db.read_now(lambda db: jobs.attempts_of(db, scavenger.id))[0]
    assert first.reason is Reason.PREEMPTED
    assert service.machine.starts == [f"{scavenger.id}.1", f"{other.id}.1", f"{scavenger.id}.2"]


async def test_one_that_is_needed_no_more_goes_on(service, add_job):
    scavenger = add_job(**wants_gpu(LASTS, preemptible=True))
    await service.start()
    await ticks(service, 4)
    other = add_job(user="bob", **wants_gpu(ENDS))
    await ticks(service, 2)
    assert len(told(service, scavenger)) == 1

    service.db.write_now(lambda db: jobs.remove(db, other))
    await ticks(service, 30)

    assert service.machine.starts == [f"{scavenger.id}.1"]
    assert told(service, scavenger) == []
    assert service.db.read_now(lambda db: jobs.last_attempt(db, scavenger.id)).give_way_at is None


async def test_one_that_ends_by_itself_before_it_is_stopped_was_warned_for_nothing(service, add_job):
    scavenger = add_job(**wants_gpu(ENDS, preemptible=True))
    await service.start()
    await ticks(service, 2)
    add_job(user="bob", **wants_gpu(ENDS))
    await ticks(service, 1)
    assert len(told(service, scavenger)) == 1

    await ticks(service, 20)

    assert service.job(scavenger.id).state is JobState.SUCCEEDED
    assert told(service, scavenger) == []


async def test_what_lab_shows_of_a_notice_holds_all_of_it(service, add_job):
    """Lab cuts a notice at 140 letters; a moment is at most as long there as its stamp."""
    scavenger = add_job(name="python " + "train" * 20, **wants_gpu(LASTS, preemptible=True))
    await service.start()
    await ticks(service, 4)
    add_job(user="bob", **wants_gpu(ENDS))

    await ticks(service, 3)
    (warning,) = told(service, scavenger)
    await ticks(service, 60)
    (news,) = told(service, scavenger)

    assert (len(warning) <= 140, len(news) <= 140) == (True, True), (warning, news)


async def test_the_launcher_leaves_it_the_time_to_save_a_checkpoint(service, add_job):
    scavenger, other = add_job(**wants_gpu(LASTS, preemptible=True)), add_job(**wants_gpu(LASTS))
    site = Site.model_validate({"limits": {"stop_grace": "10s"}, "queue": {"preempt_grace": "5m"}})

    assert [longest_grace(service.job(job.id), site) for job in (scavenger, other)] == [300.0, 10.0]
