"""What became of a job, moment by moment, and how long each part of it took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .models import AttemptView, JobView
from .reasons import WAITING_REASONS, Reason
from .states import FINAL_STATES, JobState
from .units import format_duration


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened to a job; `seconds` until the next, none for the last."""

    at: datetime
    what: str
    seconds: float | None = None

    def lasted(self, now: datetime | None) -> str:
        """Return how long it took; while it goes on (`now`), how long so far, or how soon it comes; else nothing."""
        if self.seconds is not None:
            return format_duration(self.seconds)
        if now is None:
            return ""
        ago = (now - self.at).total_seconds()
        return f"in {format_duration(-ago)}" if ago < 0 else f"{format_duration(ago)} so far"


def timeline(job: JobView) -> list[Moment]:
    """Return what became of a job, first to last."""
    found = [(job.created_at, f"submitted by {job.user}; in line")]
    for attempt in job.attempts:
        found += _of_attempt(attempt, _afterwards(job, attempt))
    if job.attempts and job.retry_at is not None:
        found.append((job.retry_at, "in line again"))
    if job.finished_at is not None and job.state in FINAL_STATES:
        by = f" by {job.cancelled_by}" if job.reason is Reason.CANCELLED and job.cancelled_by else ""
        found.append((job.finished_at, f"{job.state}{by}"))
    ends = [at for at, _ in found[1:]]
    lasted = [max(0.0, (end - at).total_seconds()) for (at, _), end in zip(found, ends, strict=False)]
    return [
        Moment(at=at, what=what, seconds=lasted[number] if number < len(lasted) else None)
        for number, (at, what) in enumerate(found)
    ]


def _afterwards(job: JobView, attempt: AttemptView) -> str:
    """Return what goes on after an attempt, until the next moment."""
    if attempt is not job.attempts[-1]:
        return "; until the next"
    collects = job.state is JobState.COLLECTING or job.state in FINAL_STATES
    return "; what it left is collected" if collects and attempt.started_at is not None else ""


def _of_attempt(attempt: AttemptView, afterwards: str) -> list[tuple[datetime, str]]:
    name = f"attempt {attempt.number}"
    found = [(attempt.created_at, f"{name} is being started")]
    if attempt.started_at is not None:
        found.append((attempt.started_at, f"{name} runs"))
    if attempt.warned_at is not None:
        found.append((attempt.warned_at, f"{name} is warned of its time limit"))
    if attempt.stuck_at is not None:
        found.append((attempt.stuck_at, f"{name} was killed and does not end"))
    if attempt.finished_at is not None:
        found.append((attempt.finished_at, f"{name} {_end(attempt)}{afterwards}"))
    return found


def _end(attempt: AttemptView) -> str:
    """Return how an attempt ended, in few words."""
    if attempt.reason in WAITING_REASONS:
        return "was not begun"
    told = {
        Reason.OUT_OF_MEMORY: "ended out of memory",
        Reason.SUCCEEDED_WITH_CHILD_OOM: "ended with exit code 0, and a process of it was killed for want of memory",
        Reason.EXITED: f"ended with exit code {attempt.exit_code}",
        Reason.KILLED_BY_SIGNAL: f"was ended by signal {attempt.signal}",
    }
    words = told.get(attempt.reason) if attempt.reason is not None else None
    return words or f"ended ({str(attempt.reason or 'over').replace('_', ' ')})"
