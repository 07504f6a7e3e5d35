"""A job ends at the moment at which it is cancelled: it is one or the other, told once, and whoever comes later changes nothing."""

from __future__ import annotations

import os
import random

import pytest
from mortal_service import MortalService, running
from sqlalchemy import select

from himalia.reasons import Reason
from himalia.states import FINAL_STATES, JobState
from himalia_jobs.engines.fake import Program
from himalia_jobs.runner import request_cancel
from himalia_jobs.store import tables
from himalia_jobs.store.records import JobRecord

RACES = 1000 if os.environ.get("HIMALIA_CAMPAIGN") else 60
RETURNS, STUBBORN = ("returns",), ("stubborn",)


@pytest.mark.asyncio
@pytest.mark.fault(57)
@pytest.mark.timeout(60 + RACES)
async def test_whether_the_end_or_the_cancel_comes_first_it_ends_once(service, add_job):
    draw = random.Random(57)
    service.machine.programs |= {RETURNS: Program(seconds=2.0), STUBBORN: Program(seconds=2.0, stubborn=True)}
    await service.start()
    ends = []

    for _ in range(RACES):
        job = add_job(**running(draw.choice([RETURNS, STUBBORN])))
        await race(service, job, draw)
        ends.append(service.job(job.id))
        told = states_told(service, job)
        assert [state for state in told if state in FINAL_STATES] == [ends[-1].state]
        assert told[-1] == ends[-1].state

    assert {end.state for end in ends} == {JobState.SUCCEEDED, JobState.CANCELLED}
    assert {end.reason for end in ends if end.state is JobState.CANCELLED} == {Reason.CANCELLED}
    service.check_the_end()


async def race(service: MortalService, job: JobRecord, draw: random.Random) -> None:
    """Let time, the service's steps and one or two people who cancel come in any order until the job has ended; then once more."""
    cancels = draw.randint(1, 2)
    while service.job(job.id).state not in FINAL_STATES:
        what = draw.choice(["turn", "step", "step", "pass", "pass", "cancel"])
        if what == "turn":
            await service.turn()
        elif what == "step":
            await service.runner.step(job.id)
        elif what == "pass":
            service.let_pass(draw.choice([0.5, 1, 2]))
        elif cancels and draw.random() < 0.5:
            cancels -= 1
            await request_cancel(service.db, service.job(job.id), draw.choice(["ada", "bob"]))
        service.check()
    await request_cancel(service.db, service.job(job.id), "ada")
    await service.runner.step(job.id)


def states_told(service: MortalService, job: JobRecord) -> list[str]:
    """Return the states of a job in its events, in order."""
    query = select(tables.events.c.state).where(tables.events.c.job_id == job.id).order_by(tables.events.c.seq)
    told = [state for (state,) in service.db.read_now(lambda db: db.execute(query).all()) if state]
    return [state for at, state in enumerate(told) if at == 0 or state != told[at - 1]]
