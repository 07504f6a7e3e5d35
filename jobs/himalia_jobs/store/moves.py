"""Moves: the only place that writes a state. The from-states are in the WHERE; losing the race is a normal answer; every move leaves an event."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, insert, update

from himalia.models import EventKind
from himalia.reasons import Reason
from himalia.states import FINAL_STATES, JobState, LeaseState, states_before

from .clock import now_text
from .tables import events, jobs, leases

NEXT_LEASE_STATES: dict[LeaseState, frozenset[LeaseState]] = {
    LeaseState.WAITING: frozenset({LeaseState.RESERVED, LeaseState.RELEASED}),
    LeaseState.RESERVED: frozenset({LeaseState.HELD, LeaseState.RELEASED}),
    LeaseState.HELD: frozenset({LeaseState.RELEASED}),
    LeaseState.RELEASED: frozenset(),
}


def move(
    db: Connection, job_id: str, state: JobState, reason: Reason | None = None, detail: str = "", **values: Any
) -> bool:
    """Move a job to `state`; return False when it has already gone elsewhere."""
    may_move = (jobs.c.id == job_id) & jobs.c.state.in_([str(before) for before in states_before(state)])
    if state in FINAL_STATES:
        values["finished_at"] = now_text()
    moved = db.execute(
        update(jobs).where(may_move).values(state=str(state), reason=reason and str(reason), detail=detail, **values)
    ).rowcount
    if moved:
        note_job(db, job_id, state, reason, detail)
    return bool(moved)


def change(db: Connection, job_id: str, **values: Any) -> None:
    """Change a job otherwise than by its state, and tell it."""
    db.execute(update(jobs).where(jobs.c.id == job_id).values(**values))
    note_job(db, job_id)


def note_job(
    db: Connection, job_id: str, state: JobState | None = None, reason: Reason | None = None, detail: str = ""
) -> int:
    """Write the event of a job's change and return its `seq`, which the job carries as well."""
    owner_id = db.execute(jobs.select().with_only_columns(jobs.c.owner_id).where(jobs.c.id == job_id)).scalar()
    seq = _event(
        db,
        EventKind.JOB,
        job_id=job_id,
        owner_id=owner_id,
        state=state and str(state),
        reason=reason and str(reason),
        detail=detail,
    )
    db.execute(update(jobs).where(jobs.c.id == job_id).values(seq=seq))
    return seq


def note_deleted(db: Connection, job_id: str, owner_id: str) -> int:
    """Write the event of a job that was deleted."""
    return _event(db, EventKind.JOB_DELETED, job_id=job_id, owner_id=owner_id)


def note_ledger(db: Connection) -> int:
    """Write the event of a change of slots, leases or the queue."""
    return _event(db, EventKind.LEDGER)


def note_notice(db: Connection, user_id: str) -> int:
    """Write the event that what a person is told has changed."""
    return _event(db, EventKind.NOTICE, owner_id=user_id)


def move_lease(db: Connection, lease_id: str, state: LeaseState, **values: Any) -> bool:
    """Move a lease to `state`; return False when it has already gone elsewhere."""
    before = [str(earlier) for earlier, following in NEXT_LEASE_STATES.items() if state in following]
    may_move = (leases.c.id == lease_id) & leases.c.state.in_(before)
    moved = db.execute(
        update(leases).where(may_move).values(state=str(state), changed_at=now_text(), **values)
    ).rowcount
    if moved:
        note_ledger(db)
    return bool(moved)


def _event(db: Connection, kind: EventKind, **values: Any) -> int:
    written = db.execute(insert(events).values(at=now_text(), kind=str(kind), **values))
    key = written.inserted_primary_key
    assert key is not None
    return int(key[0])
