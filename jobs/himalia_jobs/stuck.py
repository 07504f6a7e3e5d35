"""Attempts that do not end though they were killed: what they have stays theirs, and everybody is told."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from himalia.states import JobState

from .store import jobs
from .store.moves import change
from .store.records import AttemptRecord, JobRecord

log = logging.getLogger(__name__)

KILLED_SECONDS = 30.0  #: from the end of the grace until nothing can be left but what cannot be killed
SENTENCE = (
    "It was told to end, and killed, and a process of it does not die: a device or a file system hangs, as a rule. "
    "What it has stays its own until it is gone. An administrator may have to look at the machine, or restart it."
)


def note_stop(db: Connection, attempt: AttemptRecord, now: float, grace_seconds: float) -> None:
    """Write by when an attempt that is told to end must have ended; the first time counts."""
    if attempt.over_by is None:
        jobs.change_attempt(db, attempt.id, over_by=now + grace_seconds + KILLED_SECONDS)


def is_stuck(attempt: AttemptRecord, now: float) -> bool:
    """Tell whether an attempt that still runs should have ended, and nobody was told yet."""
    return attempt.stuck_at is None and attempt.over_by is not None and now > attempt.over_by


def note_stuck(db: Connection, job: JobRecord, attempt: AttemptRecord, at: str) -> None:
    """Write that an attempt does not end."""
    log.error("%s of %s does not end though it was killed; what it has stays its own", attempt.id, job.user)
    jobs.change_attempt(db, attempt.id, stuck_at=at)
    change(db, job.id, detail=SENTENCE)


def complaints(db: Connection) -> list[str]:
    """Return, for the operator, which attempts do not end."""
    return [
        f"{attempt.id} of {job.user} does not end though it was killed: look for processes in state D (`ps -eo pid,stat,wchan,cmd`)."
        for job, attempt in jobs.running(db, [JobState.RUNNING])
        if attempt.stuck_at is not None
    ]
