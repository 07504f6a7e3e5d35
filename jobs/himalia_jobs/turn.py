"""One round of the queue: read who waits and what is free, decide, and write it in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection, update

from himalia.ids import attempt_id, new_id
from himalia.models import Outcome
from himalia.reasons import Reason
from himalia.site import Limits
from himalia.states import JobState, LeaseState

from . import way_notices
from .capacity import why_it_can_never_run
from .engines.base import Node
from .policy import GiveWay, Rules, Situation, Start, Wait, Waiter, afterwards, decide
from .situation import Idle, read_last_starts, read_standing
from .store import jobs, leases
from .store.clock import now_text, to_text
from .store.moves import move, move_lease, note_job
from .store.records import JobRecord
from .store.tables import jobs as jobs_table

NO_RULES = Rules()


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one round decided."""

    situation: Situation  #: what it was decided from
    left: Situation  #: as it is afterwards: who started holds what it got
    started: tuple[str, ...] = ()  #: attempts to be launched
    waits: Mapping[str, Wait]  #: by the id of the job or the lease, in line
    changed: bool
    warned: tuple[str, ...] = ()  #: jobs that were told to give way, or need not any more


def take_turn(
    db: Connection,
    nodes: Sequence[Node],
    limits: Limits,
    closed: tuple[Reason, str] | None,
    *,
    now: datetime,
    rules: Rules = NO_RULES,
    usage: Mapping[str, float] | None = None,
    idle: Idle | None = None,
    ends: Idle | None = None,
    full: Mapping[str, str] | None = None,
) -> Round:
    """Decide and write one round; run it in a writing transaction."""
    pause = float(rules.queue.longest_retry_pause)
    standing = read_standing(db, nodes, limits, closed, now=now, idle=idle, ends=ends, longest_pause=pause)
    queued = standing.queued
    last_starts = read_last_starts(db, since=now - timedelta(seconds=rules.queue.patience))
    situation = replace(standing.situation, usage=usage or {}, last_starts=last_starts, full=full or {})
    hopeless = {} if closed else _hopeless(situation.waiters, nodes, limits)
    _end_hopeless(db, hopeless, queued)
    if hopeless:
        situation = replace(
            situation, waiters=tuple(waiter for waiter in situation.waiters if waiter.id not in hopeless)
        )
    decision = decide(situation, rules)
    written = [_write_start(db, start, queued.get(start.waiter.id)) for start in decision.starts]
    changed = bool(decision.starts) | bool(hopeless) | _write_waits(db, decision.waits, queued)
    warned = _write_giving_way(db, decision.gives_way, situation, rules)
    return Round(
        situation=situation,
        left=afterwards(situation, decision, rules),
        started=tuple(attempt for attempt in written if attempt is not None),
        waits={wait.waiter.id: wait for wait in decision.waits},
        changed=changed or bool(warned),
        warned=warned,
    )


def _hopeless(waiters: Sequence[Waiter], nodes: Sequence[Node], limits: Limits) -> dict[str, str]:
    """Return who can never run any more, since the platform was changed while they waited, and why."""
    shares = {(waiter.cpus, waiter.memory_bytes, waiter.gpus) for waiter in waiters}
    never = {share: why_it_can_never_run(*share, nodes, limits) for share in shares}
    found = {waiter.id: never[waiter.cpus, waiter.memory_bytes, waiter.gpus] for waiter in waiters}
    return {waiter: why for waiter, why in found.items() if why is not None}


def _end_hopeless(db: Connection, hopeless: Mapping[str, str], by_id: Mapping[str, JobRecord]) -> None:
    """End such jobs; a server leaves the line, and its spawner is told why as soon as it asks again."""
    for waiter, why in hopeless.items():
        if waiter in by_id:
            move(db, waiter, JobState.FAILED, Reason.CANNOT_RUN, why)
        else:
            leases.release(db, waiter, outcome=str(Outcome.CANNOT_RUN), outcome_detail=why)


def _write_start(db: Connection, start: Start, job: JobRecord | None) -> str | None:
    """Write a start; return the attempt to launch, none for a server."""
    if job is None:
        if leases.take_slots(db, start.waiter.id, start.slots):
            granted = {"granted_at": now_text(), "slot_count": len(start.slots)}
            move_lease(db, start.waiter.id, LeaseState.RESERVED, node_id=start.node_id, **granted)
        return None
    number = job.attempt_count + 1
    attempt, lease_id = attempt_id(job.id, number), new_id()
    if not move(db, job.id, JobState.STARTING, attempt_count=number):
        return None
    leases.add(
        db,
        {
            "id": lease_id,
            "kind": "job",
            "state": str(LeaseState.RESERVED),
            "node_id": start.node_id,
            "user_id": job.user_id,
            "user": job.user,
            "holder": attempt,
            "profile": job.profile,
            "image": job.image,
            "image_id": job.image_id,
            "cpus": job.cpus,
            "memory_bytes": job.memory_bytes,
            "gpus": job.gpus,
            "teams": job.teams,
            "granted_at": now_text(),
            "slot_count": len(start.slots),
        },
    )
    if not leases.take_slots(db, lease_id, start.slots):
        raise RuntimeError(f"slots of {attempt} were given out between two lines of one transaction")
    jobs.add_attempt(
        db,
        {
            "id": attempt,
            "job_id": job.id,
            "number": number,
            "node_id": start.node_id,
            "lease_id": lease_id,
            "slots": [slot.model_dump(mode="json") for slot in start.slots],
        },
    )
    return attempt


def _write_giving_way(
    db: Connection, gives_way: Sequence[GiveWay], situation: Situation, rules: Rules
) -> tuple[str, ...]:
    """Tell preemptible jobs when they give way; those told before and needed no more go on."""
    needed = {one.hold.lease_id for one in gives_way}
    when = situation.now + timedelta(seconds=rules.queue.preempt_warning)
    changed = [
        hold
        for hold in situation.holds
        if hold.preemptible and not hold.stopping and hold.warned is not (hold.lease_id in needed)
    ]
    for hold in changed:
        job = jobs.get(db, hold.job_id)
        jobs.change_attempt_of_lease(db, hold.lease_id, give_way_at=None if hold.warned else to_text(when))
        if hold.warned:
            way_notices.gives_way_no_more(db, job)
        else:
            way_notices.gives_way(db, job, hold.lease_id, when)
        note_job(db, job.id)
    return tuple(hold.job_id for hold in changed)


def _write_waits(db: Connection, waits: Sequence[Wait], by_id: Mapping[str, JobRecord]) -> bool:
    """Keep with each job why it waits; only what changed is written."""
    changed = False
    for wait in waits:
        job = by_id.get(wait.waiter.id)
        if job is not None and job.reason is not wait.reason:
            db.execute(update(jobs_table).where(jobs_table.c.id == job.id).values(reason=str(wait.reason), detail=""))
            note_job(db, job.id, JobState.QUEUED, wait.reason)
            changed = True
    return changed
