"""What the submitter of a preemptible job is told in Lab: that it gives way, and that it has been put in line again."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from himalia.moments import stamp

from .store import notices
from .store.records import JobRecord

GIVES_WAY, GAVE_WAY = "gives_way", "gave_way"
#: Lab shows 140 letters of a notice.
SOON = "{job} gives way: it stops at {at}, then waits in line. Save a checkpoint in /storage."
DONE = "{job} gave way at {at} and was put in line again, to start by itself."
LONGEST_NAME = 20
TOLD_FOR = timedelta(days=1)


def gives_way(db: Connection, job: JobRecord, lease_id: str, at: datetime) -> None:
    """Tell when a job is stopped for somebody before it."""
    _tell(db, job, lease_id, GIVES_WAY, SOON, at)


def gives_way_no_more(db: Connection, job: JobRecord) -> None:
    """Take back that a job gives way: nobody needs it any more, or it has ended."""
    if job.preemptible:
        notices.withdraw_of_job(db, job.id, [GIVES_WAY])


def gave_way(db: Connection, job: JobRecord, lease_id: str, at: datetime) -> None:
    """Tell that a job has given way, in place of the warning."""
    _tell(db, job, lease_id, GAVE_WAY, DONE, at)


def _tell(db: Connection, job: JobRecord, lease_id: str, kind: str, sentence: str, at: datetime) -> None:
    notices.withdraw_of_job(db, job.id, [GIVES_WAY, GAVE_WAY])
    name = job.name if len(job.name) <= LONGEST_NAME else f"{job.name[: LONGEST_NAME - 1]}…"
    notices.tell(
        db,
        user_id=job.user_id,
        kind=kind,
        sentence=sentence.format(job=f"Your job {name} ({job.id})", at=stamp(at)),
        lease_id=lease_id,
        job_id=job.id,
        expires_at=at + TOLD_FOR,
    )
