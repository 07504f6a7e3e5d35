"""A state is written in one place, from the states that may come before, and every move leaves an event."""

from __future__ import annotations

import itertools

import pytest
from rows import server_lease
from sqlalchemy import select, update

from himalia.reasons import Reason
from himalia.states import FINAL_STATES, NEXT_STATES, JobState, LeaseState, states_before
from himalia_jobs.store import Database, events, jobs, leases
from himalia_jobs.store import tables as t
from himalia_jobs.store.moves import move, move_lease


def put(db: Database, job_id: str, state: JobState) -> None:
    db.write_now(lambda c: c.execute(update(t.jobs).where(t.jobs.c.id == job_id).values(state=str(state))))


@pytest.mark.parametrize(("before", "after"), list(itertools.product(JobState, JobState)))
def test_a_job_moves_only_along_the_arrows(db, add_job, before, after):
    job = add_job()
    put(db, job.id, before)

    moved = db.write_now(lambda c: move(c, job.id, after))

    assert moved is (after in NEXT_STATES[before])
    assert db.read_now(lambda c: jobs.get(c, job.id)).state is (after if moved else before)


def test_every_move_leaves_an_event_with_the_next_seq(db, add_job):
    job = add_job()
    before = db.read_now(events.last_seq)

    db.write_now(lambda c: move(c, job.id, JobState.STARTING))

    written = db.read_now(lambda c: events.after(c, before, None))
    assert [(row["seq"], row["job_id"], row["state"]) for row in written] == [(before + 1, job.id, "starting")]
    assert db.read_now(lambda c: jobs.get(c, job.id)).seq == before + 1


def test_a_lost_race_leaves_no_event(db, add_job):
    job = add_job()
    db.write_now(lambda c: move(c, job.id, JobState.CANCELLED, Reason.CANCELLED))
    before = db.read_now(events.last_seq)

    assert not db.write_now(lambda c: move(c, job.id, JobState.STARTING))
    assert db.read_now(events.last_seq) == before


def test_a_final_state_has_its_time(db, add_job):
    job = add_job()

    db.write_now(lambda c: move(c, job.id, JobState.CANCELLED, Reason.CANCELLED))

    assert db.read_now(lambda c: jobs.get(c, job.id)).finished_at is not None


def test_no_state_leads_out_of_a_final_one():
    assert all(not NEXT_STATES[state] for state in FINAL_STATES)
    assert JobState.COLLECTING in states_before(JobState.SUCCEEDED)


def test_a_released_lease_is_never_held_again(db, add_job):
    values = server_lease(id="a" * 12, user="ada", memory_bytes=1, gpus="0")
    db.write_now(lambda c: leases.add(c, values))
    db.write_now(lambda c: leases.release(c, "a" * 12))

    assert not db.write_now(lambda c: move_lease(c, "a" * 12, LeaseState.HELD))
    assert not db.write_now(lambda c: leases.release(c, "a" * 12))
    assert db.read_now(lambda c: c.execute(select(t.leases.c.state)).scalar_one()) == "released"
