"""Events: every change of one's jobs and of the ledger, in the order of `seq`."""

from __future__ import annotations

from enum import StrEnum

from .base import Answer, Moment
from .jobs import JobSummary


class EventKind(StrEnum):
    """What an event tells."""

    JOB = "job"  #: a job changed; carries its summary
    JOB_DELETED = "job_deleted"
    LEDGER = "ledger"  #: slots, leases or the queue changed; ask `GET api/gpus`. Of a move in line alone, `seq` is the last event's
    NOTICE = "notice"  #: what one is told has changed; ask `GET api/notices`
    INTERVENTION = "intervention"  #: an administrator did something to a GPU; told to administrators
    RESYNC = "resync"  #: the asker's `seq` is too old: read everything anew


class Event(Answer):
    """One change."""

    seq: int
    at: Moment
    kind: EventKind
    job_id: str | None = None
    job: JobSummary | None = None
    detail: str = ""  #: of an intervention: who did what, and why
