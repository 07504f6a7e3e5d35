"""Jobs and their attempts: writing, finding, listing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from himalia.ids import PATTERN
from himalia.reasons import Reason
from himalia.states import JobState

from . import diffs
from .clock import from_text, now_text
from .moves import note_deleted, note_job
from .records import AttemptRecord, JobRecord
from .statements import add_row, change_rows
from .tables import attempts, jobs

#: Asked for every job several times: see `statements`.
BY_ID = select(jobs).where(jobs.c.id == bindparam("job_id"))
IN_STATES = select(jobs).where(jobs.c.state.in_(bindparam("states", expanding=True))).order_by(jobs.c.number)
ATTEMPTS = select(attempts).where(attempts.c.job_id == bindparam("job_id")).order_by(attempts.c.number)
LAST_ATTEMPT = ATTEMPTS.order_by(None).order_by(attempts.c.number.desc()).limit(1)
SOME_ATTEMPTS = select(attempts).where(attempts.c.id.in_(bindparam("ids", expanding=True)))
CHANGE_ATTEMPT = update(attempts).where(attempts.c.id == bindparam("attempt"))
BY_KEY = select(jobs).where(
    (jobs.c.user_id == bindparam("user_id")) & (jobs.c.idempotency_key == bindparam("idempotency_key"))
)


def add(db: Connection, values: dict[str, Any]) -> JobRecord:
    """Write a job in state queued."""
    add_row(db, jobs, {"state": str(JobState.QUEUED), "seq": 0, "created_at": now_text(), **values})
    note_job(db, values["id"], JobState.QUEUED)
    return get(db, values["id"])


def get(db: Connection, job_id: str) -> JobRecord:
    """Return a job that is known to exist."""
    return JobRecord.of(db.execute(BY_ID, {"job_id": job_id}).mappings().one())


def find(db: Connection, job_id: str) -> JobRecord | None:
    """Return a job by its id."""
    row = db.execute(BY_ID, {"job_id": job_id}).mappings().first()
    return JobRecord.of(row) if row else None


def find_by_prefix(db: Connection, prefix: str, owner_ids: Sequence[str] | None, user_id: str) -> list[JobRecord]:
    """Return at most two jobs whose id begins so, among these owners' (none: all) and the person's own."""
    if not prefix or not PATTERN.fullmatch(prefix + "a" * (12 - len(prefix))):
        return []
    where = (jobs.c.id >= prefix) & (jobs.c.id < prefix + "~")
    if owner_ids is not None:
        where &= jobs.c.owner_id.in_(owner_ids) | (jobs.c.user_id == user_id)
    return [JobRecord.of(row) for row in db.execute(select(jobs).where(where).limit(2)).mappings()]


def by_key(db: Connection, user_id: str, key: str) -> JobRecord | None:
    """Return the job a person submitted with an idempotency key."""
    row = db.execute(BY_KEY, {"user_id": user_id, "idempotency_key": key}).mappings().first()
    return JobRecord.of(row) if row else None


def page(
    db: Connection,
    *,
    owner_ids: Sequence[str] | None,
    owner: str | None = None,
    project: str | None = None,
    experiment: str | None = None,
    states: Sequence[str] = (),
    before: int | None = None,
    limit: int = 50,
) -> list[JobRecord]:
    """Return jobs, newest first, of these owners (none: all), before a number."""
    query = select(jobs).order_by(jobs.c.number.desc()).limit(limit)
    if owner_ids is not None:
        query = query.where(jobs.c.owner_id.in_(owner_ids))
    if owner is not None:
        query = query.where(jobs.c.owner == owner)
    if project is not None:
        query = query.where(jobs.c.project == project)
    if experiment is not None:
        query = query.where(jobs.c.experiment == experiment)
    if states:
        query = query.where(jobs.c.state.in_(states))
    if before is not None:
        query = query.where(jobs.c.number < before)
    return [JobRecord.of(row) for row in db.execute(query).mappings()]


def in_states(db: Connection, states: Iterable[JobState]) -> list[JobRecord]:
    """Return all jobs in these states, oldest first."""
    wanted = [str(state) for state in states]
    return [JobRecord.of(row) for row in db.execute(IN_STATES, {"states": wanted}).mappings()]


def running(db: Connection, states: Iterable[JobState]) -> list[tuple[JobRecord, AttemptRecord]]:
    """Return all jobs in these states, each with its last attempt."""
    found = in_states(db, states)
    last = {f"{job.id}.{job.attempt_count}": job for job in found}
    rows = db.execute(SOME_ATTEMPTS, {"ids": list(last)}).mappings() if last else ()
    return [(last[row["id"]], AttemptRecord.of(row)) for row in rows]


def past_lengths(db: Connection, most: int) -> list[tuple[str, str, float]]:
    """Return (project, profile, seconds) of the attempts that ended last."""
    ran = (
        select(jobs.c.project_id, jobs.c.profile, attempts.c.started_at, attempts.c.finished_at)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.started_at.is_not(None) & attempts.c.finished_at.is_not(None))
        .order_by(text("attempts.rowid DESC"))
        .limit(most)
    )
    return [
        (project, profile, (from_text(end) - from_text(start)).total_seconds())
        for project, profile, start, end in db.execute(ran)
    ]


def change_teams(db: Connection, user_id: str, teams: dict[str, str]) -> int:
    """Write the teams of a person's jobs in line; return how many there are."""
    waiting = (jobs.c.user_id == user_id) & (jobs.c.state == str(JobState.QUEUED))
    return int(db.execute(update(jobs).where(waiting).values(teams=teams)).rowcount)


def count_live(db: Connection, user_id: str) -> int:
    """Return how many jobs of a person wait or run."""
    live = [str(state) for state in (JobState.QUEUED, JobState.STARTING, JobState.RUNNING, JobState.COLLECTING)]
    return int(
        db.execute(select(func.count()).where((jobs.c.user_id == user_id) & jobs.c.state.in_(live))).scalar_one()
    )


def remove(db: Connection, job: JobRecord) -> None:
    """Delete a job's rows, and tell it."""
    db.execute(delete(attempts).where(attempts.c.job_id == job.id))
    db.execute(delete(jobs).where(jobs.c.id == job.id))
    if job.diff_digest is not None:
        diffs.forget(db, job.owner_id, job.diff_digest)
    note_deleted(db, job.id, job.owner_id)


def attempts_of(db: Connection, job_id: str) -> list[AttemptRecord]:
    """Return a job's attempts, first to last."""
    return [AttemptRecord.of(row) for row in db.execute(ATTEMPTS, {"job_id": job_id}).mappings()]


def last_attempt(db: Connection, job_id: str) -> AttemptRecord | None:
    """Return a job's last attempt."""
    row = db.execute(LAST_ATTEMPT, {"job_id": job_id}).mappings().first()
    return AttemptRecord.of(row) if row else None


def add_attempt(db: Connection, values: dict[str, Any]) -> None:
    """Write an attempt."""
    add_row(db, attempts, {"created_at": now_text(), **values})


def change_attempt_of_lease(db: Connection, lease_id: str, **values: Any) -> None:
    """Change the attempt that has a lease."""
    db.execute(update(attempts).where(attempts.c.lease_id == lease_id).values(**values))


def stop_attempt(db: Connection, lease_id: str, why: Reason, detail: str = "") -> None:
    """Say why the attempt that has a lease is to be stopped; one that is being stopped already keeps its reason."""
    mine = (attempts.c.lease_id == lease_id) & attempts.c.stop_reason.is_(None)
    said = {"detail": detail} if detail else {}
    db.execute(update(attempts).where(mine).values(stop_reason=str(why), **said))


def own_line(db: Connection, user_id: str) -> list[JobRecord]:
    """Return a person's jobs in line, in their own order."""
    waiting = (jobs.c.user_id == user_id) & (jobs.c.state == str(JobState.QUEUED))
    rows = db.execute(select(jobs).where(waiting).order_by(jobs.c.own_rank, jobs.c.created_at, jobs.c.id)).mappings()
    return [JobRecord.of(row) for row in rows]


def change_attempt(db: Connection, attempt: str, **values: Any) -> None:
    """Change an attempt."""
    change_rows(db, CHANGE_ATTEMPT, {"attempt": attempt}, values)


def count_by_state(db: Connection, states: Iterable[JobState]) -> dict[str, int]:
    """Return how many jobs are in each of some states."""
    rows = (
        select(jobs.c.state, func.count())
        .where(jobs.c.state.in_([str(state) for state in states]))
        .group_by(jobs.c.state)
    )
    found: dict[str, int] = {str(row[0]): int(row[1]) for row in db.execute(rows)}
    return {str(state): found.get(str(state), 0) for state in sorted(states)}
