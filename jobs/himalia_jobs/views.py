"""From records to what is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from himalia.gpus import Slot
from himalia.models import AttemptView, JobSummary, JobView, NotebookRun
from himalia.moments import stamp, stamp_to_second
from himalia.reasons import Reason, sentence
from himalia.states import FINAL_STATES, JobState

from .launching import argv_of
from .person import ADMIN, SUBMIT, Person
from .queue import Line, Told
from .sources import source_of
from .store.clock import from_text, from_text_or_none
from .store.records import AttemptRecord, JobRecord
from .submitting import EXTENDABLE

GIVES_WAY = (
    "It gives way to somebody before it: it is stopped at {} and put in line again. Save a checkpoint in /storage."
)
SOON_SECONDS = 30.0  #: a warning need not come to the second
WARNED = "It nears its time limit and was warned (SIGUSR1). Ask for more time, or let it save a checkpoint in /storage."


def summary(job: JobRecord, told: Told | None) -> JobSummary:
    """Return a job as a list shows it to whoever is told so of its wait (see `told_to`)."""
    return JobSummary(**_summary_fields(job, told))


def told_to(job: JobRecord, line: Line, person: Person) -> Told | None:
    """Return what this person is told of a job's wait; nothing of one that does not wait."""
    return line.told(job.id, person.reader) if job.state is JobState.QUEUED else None


def job_view(
    job: JobRecord, attempts: Sequence[AttemptRecord], line: Line, person: Person, *, beside: str = ""
) -> JobView:
    """Return a job as its page shows it to this person; `beside`: what is to be known of it while it runs."""
    own = job.user_id == person.id or person.sees_all
    spec = job.spec
    notebook = spec.get("notebook")
    env = dict(spec.get("env") or {})
    may_act = SUBMIT in person.scopes or ADMIN in person.scopes
    told = told_to(job, line, person)
    fields = _summary_fields(job, told)
    gives_way_at = _gives_way_at(job, attempts)
    if gives_way_at is not None:
        fields["sentence"] = GIVES_WAY.format(stamp(gives_way_at))
    elif _nears_its_end(job, attempts) and not job.detail:
        fields["sentence"] = WARNED
    elif beside and job.state is JobState.RUNNING:
        fields["sentence"] = beside
    return JobView(
        **fields,
        snapshot=job.snapshot_id,
        snapshot_digest=job.snapshot_digest,
        image=job.image,
        image_id=job.image_id,
        command=argv_of(spec),
        notebook=NotebookRun(**notebook) if notebook else None,
        workdir=str(spec.get("workdir") or ""),
        env=env if own else dict.fromkeys(env, ""),
        disk_bytes=job.disk_bytes,
        timeout_seconds=job.timeout_seconds,
        warn_seconds=job.warn_seconds,
        retries=job.retries,
        retry_on=job.retry_on,
        preemptible=job.preemptible,
        gives_way_at=gives_way_at,
        rerun_of=job.rerun_of,
        cancelled_by=job.cancelled_by,
        attempts=tuple(attempt_view(attempt) for attempt in attempts),
        waiting_for=line.waiting_for(job.id, person.reader) if told else (),
        ends_before=_ends_before(job, attempts),
        may_extend=may_act and own and job.state in EXTENDABLE,
        may_cancel=may_act and job.state not in FINAL_STATES,
        may_delete=may_act and own and job.state in FINAL_STATES,
    )


def attempt_view(attempt: AttemptRecord) -> AttemptView:
    """Return an attempt as it is shown."""
    return AttemptView(
        id=attempt.id,
        number=attempt.number,
        node_id=attempt.node_id,
        slots=tuple(Slot(**slot) for slot in attempt.slots),
        created_at=from_text(attempt.created_at),
        started_at=from_text_or_none(attempt.started_at),
        warned_at=from_text_or_none(attempt.warned_at),
        stuck_at=from_text_or_none(attempt.stuck_at),
        finished_at=from_text_or_none(attempt.finished_at),
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        oom=attempt.oom,
        reason=attempt.reason,
        label=attempt.label,
        log_bytes=attempt.log_bytes,
    )


def words(job: JobRecord, told: Told | None) -> str:
    """Return why a job waits or ended, in a sentence."""
    if job.state is JobState.QUEUED:
        if told is None and job.reason is Reason.WAITS_FOR_RETRY and job.retry_at is not None:
            return f"{job.detail} It is tried again at {stamp_to_second(from_text(job.retry_at))}."
        return told.sentence if told else "It will be looked at in a moment."
    if job.state is JobState.RUNNING and job.reason is None:
        return job.detail
    if job.reason is None or (job.state is JobState.SUCCEEDED and job.reason is Reason.EXITED):
        return ""
    return job.detail if job.reason is Reason.EXITED else sentence(job.reason, job.detail)


def _gives_way_at(job: JobRecord, attempts: Sequence[AttemptRecord]) -> datetime | None:
    """Return when a job that runs is stopped for somebody before it."""
    if job.state is not JobState.RUNNING or not attempts:
        return None
    return from_text_or_none(attempts[-1].give_way_at)


def _nears_its_end(job: JobRecord, attempts: Sequence[AttemptRecord]) -> bool:
    """Tell whether a job was warned of its time limit, and has got no more time since."""
    ends = _ends_before(job, attempts)
    if ends is None or job.warn_seconds is None or attempts[-1].warned_at is None:
        return False
    return ends <= from_text(attempts[-1].warned_at) + timedelta(seconds=job.warn_seconds + SOON_SECONDS)


def _ends_before(job: JobRecord, attempts: Sequence[AttemptRecord]) -> datetime | None:
    """Return when a job that runs reaches its time limit."""
    if job.state is not JobState.RUNNING or not attempts or attempts[-1].started_at is None:
        return None
    return from_text(attempts[-1].started_at) + timedelta(seconds=job.timeout_seconds)


def _summary_fields(job: JobRecord, told: Told | None) -> dict[str, Any]:
    return {
        "id": job.id,
        "seq": job.seq,
        "name": job.name,
        "project": job.project,
        "owner": job.owner,
        "experiment": job.experiment,
        "user": job.user,
        "state": job.state,
        "reason": job.reason,
        "sentence": words(job, told),
        "position": told.position if told else None,
        "estimate_at": told.estimate_at if told else None,
        "sure": told.sure if told else None,
        "retry_at": from_text_or_none(job.retry_at) if job.state is JobState.QUEUED and told is None else None,
        "cancel_requested": job.cancel_requested,
        "attempt": job.attempt_count,
        "exit_code": job.exit_code,
        "gpus": job.gpus,
        "cpus": job.cpus,
        "memory_bytes": job.memory_bytes,
        "profile": job.profile,
        "source": source_of(job.source),
        "created_at": from_text(job.created_at),
        "started_at": from_text_or_none(job.started_at),
        "finished_at": from_text_or_none(job.finished_at),
    }
