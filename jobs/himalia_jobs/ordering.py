"""The order of a person's own jobs in line, changed by them."""

from __future__ import annotations

from sqlalchemy import Connection

from himalia.errors import Busy, FieldError
from himalia.models import MoveRequest
from himalia.states import JobState

from .store import Database, jobs
from .store.moves import change
from .store.records import JobRecord


async def move_in_line(db: Database, job: JobRecord, request: MoveRequest) -> None:
    """Give a job another place among its owner's own; nobody else moves."""
    if [request.first, request.last, request.before is not None].count(True) != 1:
        raise FieldError("first", "Say where to: first, last, or before another of your jobs.")
    await db.write(lambda connection: _write(connection, job.id, request))


def _write(db: Connection, job_id: str, request: MoveRequest) -> None:
    job = jobs.get(db, job_id)
    if job.state is not JobState.QUEUED:
        raise Busy(f"{job.id} is {job.state}: it is not in line any more.")
    line = jobs.own_line(db, job.user_id)
    others = [one.id for one in line if one.id != job.id]
    ordered = _ordered(others, job.id, request)
    ranks = {one.id: one.own_rank for one in line}
    # Those that come later have rank 0, so that they stand behind all that were put in order.
    for rank, one in enumerate(ordered, start=-len(ordered)):
        if ranks[one] != rank:
            change(db, one, own_rank=rank)


def _ordered(others: list[str], job_id: str, request: MoveRequest) -> list[str]:
    if request.first:
        return [job_id, *others]
    if request.last:
        return [*others, job_id]
    found = [number for number, one in enumerate(others) if request.before and one.startswith(request.before)]
    if len(found) != 1:
        raise FieldError("before", f"{request.before!r} is not one of the jobs in line of the same person.")
    return [*others[: found[0]], job_id, *others[found[0] :]]
