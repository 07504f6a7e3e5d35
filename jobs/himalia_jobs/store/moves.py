"""Moves: the only place that writes a state. The from-states are in the WHERE; losing the race is a normal answer; every move leaves an event."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Insert, bindparam, insert, select, update

from himalia.models import EventKind
from himalia.reasons import Reason
from himalia.states import FINAL_STATES, JobState, LeaseState, states_before

from .clock import now_text
from .statements import change_rows
from .tables import events, jobs, leases

NEXT_LEASE_STATES: dict[LeaseState, frozenset[LeaseState]] = {
    LeaseState.WAITING: frozenset({LeaseState.RESERVED, LeaseState.RELEASED}),
    LeaseState.RESERVED: frozenset({LeaseState.HELD, LeaseState.RELEASED}),
    LeaseState.HELD: frozenset({LeaseState.RELEASED}),
    LeaseState.RELEASED: frozenset(),
}

CHANGE_JOB = update(jobs).where(jobs.c.id == bindparam("job"))
MOVE_JOB = CHANGE_JOB.where(jobs.c.state.in_(bindparam("before", expanding=True)))
MOVE_LEASE = update(leases).where(
    (leases.c.id == bindparam("lease")) & leases.c.state.in_(bindparam("before", expanding=True))
)
EVENT = insert(events)
EVENT_OF_JOB = EVENT.values(
    job_id=bindparam("job"), owner_id=select(jobs.c.owner_id).where(jobs.c.id == bindparam("job")).scalar_subquery()
)


def move(
    db: Connection, job_id: str, state: JobState, reason: Reason | None = None, detail: str = "", **values: Any
) -> bool:
    """Move a job to `state`; return False when it has already gone elsewhere."""
    if state in FINAL_STATES:
        values["finished_at"] = now_text()
    before = [str(earlier) for earlier in states_before(state)]
    values |= {"state": str(state), "reason": reason and str(reason), "detail": detail}
    moved = change_rows(db, MOVE_JOB, {"job": job_id, "before": before}, values)
    if moved:
        note_job(db, job_id, state, reason, detail)
    return bool(moved)


def change(db: Connection, job_id: str, **values: Any) -> None:
    """Change a job otherwise than by its state, and tell it."""
    change_rows(db, CHANGE_JOB, {"job": job_id}, values)
    note_job(db, job_id)


def note_job(
    db: Connection, job_id: str, state: JobState | None = None, reason: Reason | None = None, detail: str = ""
) -> int:
    """Write the event of a job's change and return its `seq`, which the job carries as well."""
    said = {"state": state and str(state), "reason": reason and str(reason), "detail": detail}
    seq = _event(db, EventKind.JOB, EVENT_OF_JOB, job=job_id, **said)
    db.execute(CHANGE_JOB, {"job": job_id, "seq": seq})
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
    values |= {"state": str(state), "changed_at": now_text()}
    moved = change_rows(db, MOVE_LEASE, {"lease": lease_id, "before": before}, values)
    if moved:
        note_ledger(db)
    return bool(moved)


def _event(db: Connection, kind: EventKind, statement: Insert = EVENT, **values: Any) -> int:
    written = db.execute(statement, {"at": now_text(), "kind": str(kind), **values})
    key = written.inserted_primary_key
    assert key is not None
    return int(key[0])
