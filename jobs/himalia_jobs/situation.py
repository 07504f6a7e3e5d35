"""The queue as it stands, read out of the database for the policy: who waits, who holds what, what is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import Connection

from himalia.gpus import Slot
from himalia.reasons import Reason
from himalia.site import Limits
from himalia.states import STARTED_STATES, JobState, LeaseState
from himalia_gpus.request import GPURequest, parse_request

from .capacity import cpus_of, memory_of
from .engines.base import Node
from .policy import Hold, Room, Situation, Waiter, excluded, sitting_of
from .store import jobs, leases
from .store.clock import from_text, to_text
from .store.records import AttemptRecord, JobRecord, LeaseRecord

ENDING_SECONDS = 60.0  #: from a job's end until its GPUs are free again

#: Since when the GPUs of a lease have been idle, as far as it is known; and when a server reaches its largest age.
Idle = Mapping[str, datetime]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What was read: for the policy, and the rows behind it."""

    situation: Situation
    queued: dict[str, JobRecord]
    holding: list[LeaseRecord]


def read_standing(
    db: Connection,
    nodes: Sequence[Node],
    limits: Limits,
    closed: tuple[Reason, str] | None,
    *,
    now: datetime,
    idle: Idle | None = None,
    ends: Idle | None = None,
    longest_pause: float = 0.0,
) -> Standing:
    """Read who waits and who holds what; a job that pauses before its next attempt does not stand in line."""
    queued = jobs.in_states(db, [JobState.QUEUED])
    standing = leases.live(db)
    holding = [lease for lease in standing if lease.state is not LeaseState.WAITING]
    slots_by_lease = leases.slots_by_lease(db)
    waiters = [job_waiter(job) for job in queued if not pauses(job, now, longest_pause)]
    waiters += [lease_waiter(lease) for lease in standing if lease.state is LeaseState.WAITING]
    situation = Situation(
        now=now,
        rooms=tuple(free_rooms(nodes, limits, holding, slots_by_lease, leases.all_slots(db))),
        waiters=tuple(waiters),
        holds=tuple(read_holds(db, holding, slots_by_lease, limits, now=now, idle=idle or {}, ends=ends or {})),
        closed=closed,
    )
    return Standing(situation=situation, queued={job.id: job for job in queued}, holding=holding)


def free_rooms(
    nodes: Sequence[Node],
    limits: Limits,
    holding: Sequence[LeaseRecord],
    slots_by_lease: dict[str, list[Slot]],
    slots: Sequence[Slot],
) -> list[Room]:
    """Return what is free on each node: what it gives out less what is leased."""
    taken = [slot for held in slots_by_lease.values() for slot in held]
    rooms = []
    for node in nodes:
        here = [lease for lease in holding if lease.node_id == node.node_id]
        rooms.append(
            Room(
                node_id=node.node_id,
                cpus=cpus_of(node, limits) - sum(lease.cpus for lease in here),
                memory_bytes=memory_of(node, limits) - sum(lease.memory_bytes for lease in here),
                slots=tuple(
                    excluded(
                        (slot for slot in slots if slot.node_id == node.node_id),
                        (slot for slot in taken if slot.node_id == node.node_id),
                    )
                ),
                open=node.state == "ready",
                sitting=sitting_of(
                    (lease.user_id, slot) for lease in here for slot in slots_by_lease.get(lease.id, ())
                ),
            )
        )
    return rooms


def read_holds(
    db: Connection,
    holding: Sequence[LeaseRecord],
    slots_by_lease: dict[str, list[Slot]],
    limits: Limits,
    *,
    now: datetime,
    idle: Idle,
    ends: Idle,
) -> list[Hold]:
    """Return who holds what, and until when at most."""
    by_lease = {attempt.lease_id: (job, attempt) for job, attempt in jobs.running(db, STARTED_STATES)}
    holds = []
    for lease in holding:
        job, attempt = by_lease.get(lease.id, (None, None))
        holds.append(
            Hold(
                lease_id=lease.id,
                kind="job" if lease.kind == "job" else "server",
                user_id=lease.user_id,
                user=lease.user,
                teams=frozenset(lease.teams),
                team_ids=frozenset(lease.teams.values()),
                node_id=lease.node_id,
                cpus=lease.cpus,
                memory_bytes=lease.memory_bytes,
                slots=tuple(slots_by_lease.get(lease.id, ())),
                since=from_text((attempt and attempt.started_at) or lease.changed_at),
                job_id=job.id if job else lease.holder.partition(".")[0] if lease.kind == "job" else "",
                profile=lease.profile,
                project_id=job.project_id if job else "",
                ends_at=_ends_at(job, attempt, limits, now) if job and attempt else ends.get(lease.id),
                idle_since=idle.get(lease.id),
                preemptible=bool(job and job.preemptible),
                warned=bool(attempt and attempt.give_way_at),
                stopping=bool(attempt and attempt.stop_reason),
            )
        )
    return holds


def read_last_starts(db: Connection, since: datetime) -> dict[tuple[str, bool], datetime]:
    """Return when each person had something started last, with GPUs and without, as far as that is after a moment."""
    return {key: from_text(moment) for key, moment in leases.last_grants(db, to_text(since)).items()}


def pauses(job: JobRecord, now: datetime, longest: float) -> bool:
    """Tell whether a job that failed is not yet to be tried again.

    No pause is longer than the longest there can be: where it seems so, the machine's clock was set back.
    """
    if job.state is not JobState.QUEUED or job.reason is not Reason.WAITS_FOR_RETRY or job.retry_at is None:
        return False
    return 0 < (from_text(job.retry_at) - now).total_seconds() <= longest


def job_waiter(job: JobRecord) -> Waiter:
    """Return a job as the policy sees it."""
    return Waiter(
        id=job.id,
        kind="job",
        user_id=job.user_id,
        user=job.user,
        teams=frozenset(job.teams),
        team_ids=frozenset(job.teams.values()),
        since=from_text(job.created_at),
        cpus=job.cpus,
        memory_bytes=job.memory_bytes,
        gpus=_request(job.gpus),
        profile=job.profile,
        project_id=job.project_id,
        owner_id=job.owner_id,
        limit_seconds=float(job.timeout_seconds),
        preemptible=job.preemptible,
        own_rank=job.own_rank,
    )


def lease_waiter(lease: LeaseRecord) -> Waiter:
    """Return a notebook server in line as the policy sees it."""
    return Waiter(
        id=lease.id,
        kind="server",
        user_id=lease.user_id,
        user=lease.user,
        teams=frozenset(lease.teams),
        team_ids=frozenset(lease.teams.values()),
        since=from_text(lease.created_at),
        cpus=lease.cpus,
        memory_bytes=lease.memory_bytes,
        gpus=_request(lease.gpus),
        profile=lease.profile,
    )


@lru_cache(maxsize=1024)
def _request(text: str) -> GPURequest:
    return parse_request(text)


def _ends_at(job: JobRecord, attempt: AttemptRecord, limits: Limits, now: datetime) -> datetime:
    """Return when a job has given everything back at the latest; one that is overdue does so any moment."""
    soon = now + timedelta(seconds=limits.stop_grace + ENDING_SECONDS)
    if job.state is JobState.COLLECTING or attempt.stop_reason is not None or job.cancel_requested:
        return soon
    started = from_text(attempt.started_at) if attempt.started_at else now
    return max(soon, started + timedelta(seconds=job.timeout_seconds + limits.stop_grace + ENDING_SECONDS))
