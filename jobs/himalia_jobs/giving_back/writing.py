"""Making decisions true: what was told and what is to be ended is written in one transaction, so that a service that is
killed neither tells twice nor forgets that it told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from himalia.reasons import Reason
from himalia.states import JobState

from ..store import jobs, notices, watched
from ..store.moves import change as change_job
from ..store.records import JobRecord, LeaseRecord
from ..store.watched import WatchedRecord
from . import told
from .deciding import decide, may_keep
from .words import Do, End, Standing, Step, Terms

IDLE, MAX_AGE, ENDED, JOB_IDLE = "idle", "max_age", "ended", "job_idle"  #: kinds of notices
ASKED, ANSWERED = "release_asked", "release_answered"
OF_LEASES = [IDLE, MAX_AGE, JOB_IDLE, ASKED]  #: over when the lease is


@dataclass(frozen=True, kw_only=True)
class Held:
    """A lease that is held, and what holds for it."""

    lease: LeaseRecord
    terms: Terms
    gpus: int
    job: JobRecord | None = None


def standing_of(held: Held, record: WatchedRecord, *, idle_seconds: float, clock: float) -> Standing:
    """Return how a lease stands."""
    return Standing(
        lease_id=record.lease_id,
        terms=held.terms,
        idle_seconds=idle_seconds,
        age_seconds=max(0.0, clock - record.first_clock),
        warned_idle=record.warned_idle,
        warned_age=record.warned_age,
        kept=record.kept,
        kept_until=record.kept_until,
        ending=record.end_reason is not None,
    )


def standings_of(
    db: Connection, held: Mapping[str, Held], idle: Mapping[str, float], clock: float
) -> dict[str, tuple[WatchedRecord, Standing]]:
    """Return how leases stand, by what the database says in this moment and what was measured."""
    records = watched.everything(db)
    return {
        key: (record, standing_of(one, record, idle_seconds=idle.get(key, record.idle_seconds), clock=clock))
        for key, one in held.items()
        if (record := records.get(key)) is not None
    }


def due(db: Connection, held: Mapping[str, Held], idle: Mapping[str, float], *, clock: float) -> list[Step]:
    """Return what is to be done."""
    return decide(standing for _, standing in standings_of(db, held, idle, clock).values())


def write_decisions(
    db: Connection, held: Mapping[str, Held], idle: Mapping[str, float], *, clock: float, now: datetime
) -> list[Step]:
    """Decide, and write what was decided."""
    standings = standings_of(db, held, idle, clock)
    steps = decide(standing for _, standing in standings.values())
    for step in steps:
        record, standing = standings[step.lease_id]
        _write(db, step, held[step.lease_id], record, standing, now)
    return steps


def _write(db: Connection, step: Step, held: Held, record: WatchedRecord, one: Standing, now: datetime) -> None:
    if step.do is Do.WARN_IDLE:
        warn = _warn_job if held.lease.kind == "job" else _warn_server
        warn(db, held, record, one, now + timedelta(seconds=step.left_seconds))
        # Both at once: a service that starts anew must find it no less idle than it was told to be.
        seen = {"warned_idle": one.idle_seconds, "idle_seconds": one.idle_seconds}
        watched.change(db, record.lease_id, **seen, warnings=record.warnings + 1)
    elif step.do is Do.TAKE_BACK:
        take_back(db, record)
        if held.job is not None and held.job.state is JobState.RUNNING:
            change_job(db, held.job.id, detail="")
    elif step.do is Do.END_IDLE and held.lease.kind == "job":
        _end_job(db, held, record, one)
    elif step.do in (Do.END_IDLE, Do.END_AGE):
        why, seconds = (End.IDLE, one.idle_seconds) if step.do is Do.END_IDLE else (End.MAX_AGE, one.age_seconds)
        then = held.terms.then if why is End.IDLE else "stop"
        sentence = told.server_end(held.lease.holder, why, then, now, seconds=seconds)
        watched.decide_end(db, record.lease_id, reason=why, then=then, sentence=sentence)
        notices.withdraw_of_lease(db, record.lease_id, OF_LEASES)
    elif step.do is Do.WARN_AGE:
        _warn_age(db, held, record, one, now + timedelta(seconds=step.left_seconds))


def _warn_server(db: Connection, held: Held, record: WatchedRecord, one: Standing, at: datetime) -> None:
    actions = {told.KEEP: "Keep"} if may_keep(one) else {}
    actions[told.STOP] = "Stop now"
    if one.terms.then == "restart":
        actions[told.RESTART] = "Restart without GPU"
    notices.tell(
        db,
        user_id=held.lease.user_id,
        kind=IDLE,
        sentence=told.idle_warning(held.lease.holder, held.gpus, one, at),
        key=_key(record),
        actions=actions,
        lease_id=held.lease.id,
    )


def _warn_job(db: Connection, held: Held, record: WatchedRecord, one: Standing, at: datetime) -> None:
    job = held.job
    if job is None:
        return
    notices.tell(
        db,
        user_id=job.user_id,
        kind=JOB_IDLE,
        sentence=told.job_warning(job.name, job.id, one.idle_seconds, at if one.terms.ends else None),
        key=_key(record),
        actions={told.CANCEL: "Cancel the job"}
        | ({told.KEEP: "Let it run"} if may_keep(one) or not one.terms.ends else {}),
        lease_id=held.lease.id,
        job_id=job.id,
    )
    if job.state is JobState.RUNNING:
        since = at - timedelta(seconds=one.idle_seconds + one.terms.warning)
        change_job(db, job.id, detail=told.job_line(since))


def _warn_age(db: Connection, held: Held, record: WatchedRecord, one: Standing, at: datetime) -> None:
    assert one.terms.max_age is not None
    notices.tell(
        db,
        user_id=held.lease.user_id,
        kind=MAX_AGE,
        sentence=told.age_warning(held.lease.holder, one.terms.max_age, at),
        key=f"max_age:{record.lease_id}",
        lease_id=held.lease.id,
    )
    watched.change(db, record.lease_id, warned_age=one.age_seconds)


def _end_job(db: Connection, held: Held, record: WatchedRecord, one: Standing) -> None:
    """Write the wish; the runner makes it true."""
    attempt = jobs.last_attempt(db, held.job.id) if held.job is not None else None
    if attempt is not None and attempt.lease_id == record.lease_id and attempt.stop_reason is None:
        detail = told.job_end(one.idle_seconds)
        jobs.change_attempt(db, attempt.id, stop_reason=str(Reason.GPU_IDLE), detail=detail)
    watched.decide_end(db, record.lease_id, reason=End.IDLE, then="stop", sentence="")
    notices.withdraw_of_lease(db, record.lease_id, OF_LEASES)


def take_back(db: Connection, record: WatchedRecord) -> None:
    """Take back what was told of idleness: it is used again."""
    notices.withdraw(db, f"idle:{record.lease_id}:{record.warnings}")
    watched.change(db, record.lease_id, warned_idle=None)


def _key(record: WatchedRecord) -> str:
    return f"idle:{record.lease_id}:{record.warnings + 1}"
