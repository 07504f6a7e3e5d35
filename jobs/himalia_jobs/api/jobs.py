"""`jobs`: submit, list, show, cancel, run again, delete."""

from __future__ import annotations

import logging

from tornado.web import stream_request_body

from himalia.errors import Busy, FieldError, Forbidden, NotFound
from himalia.models import ExtendRequest, JobPage, JobRequest, MoveRequest
from himalia.owners import Owner
from himalia.states import FINAL_STATES, JobState

from ..ordering import move_in_line
from ..person import SUBMIT, Person
from ..runner import request_cancel
from ..store import jobs
from ..store.records import AttemptRecord, JobRecord
from ..views import job_view, summary, told_to
from .base import HimaliaHandler
from .long_bodies import LongBodyHandler

log = logging.getLogger(__name__)
LARGEST_PAGE = 200


class JobBase(HimaliaHandler):
    """What all handlers of one job have in common."""

    async def job(self, prefix: str) -> JobRecord:
        """Return a job that the asker may see, by any unique beginning of its id."""
        person = self.person
        found = await self.service.db.read(lambda db: jobs.find_by_prefix(db, prefix, person.owner_ids, person.id))
        if len(found) > 1:
            raise Busy(f"More than one job begins with {prefix}. Write more of the id.")
        if not found:
            raise NotFound(f"There is no job {prefix} that you may see.")
        return found[0]

    async def show(self, job_id: str, status: int = 200) -> None:
        """Answer with a job as it is now."""
        job, attempts = await self.service.db.read(lambda db: (jobs.get(db, job_id), jobs.attempts_of(db, job_id)))
        if self.person.sees_all and job.user_id != self.person.id and job.spec.get("env"):
            log.info("%s, an administrator, sees the environment of %s of %s", self.person.name, job.id, job.user)
        beside = self._beside(attempts[-1]) if attempts else ""
        self.answer(job_view(job, attempts, self.service.line, self.person, beside=beside), status=status)

    def _beside(self, attempt: AttemptRecord) -> str:
        """Return what is to be known of a running attempt: how near it is to its limit, what goes on beside it."""
        return self.service.disks.sentence(attempt.id) or self.service.shares.sentence(attempt.lease_id)


@stream_request_body
class JobsHandler(LongBodyHandler, JobBase):
    """`GET jobs`, `POST jobs`."""

    async def get(self) -> None:
        """List jobs, newest first, a page at a time."""
        person, owner = self.person, self.argument("owner")
        owner_ids = [_visible(person, owner)] if owner and not person.sees_all else person.owner_ids
        limit = self.integer("limit", 50, least=1, most=LARGEST_PAGE)
        cursor = self.integer("cursor", 0) if self.argument("cursor") else None
        states, project, experiment = (
            _states(self.argument("state")),
            self.argument("project"),
            self.argument("experiment"),
        )
        found = await self.service.db.read(
            lambda db: jobs.page(
                db,
                owner_ids=owner_ids,
                owner=str(Owner.parse(owner)) if owner else None,
                project=project or None,
                experiment=experiment or None,
                states=states,
                before=cursor,
                limit=limit + 1,
            )
        )
        more = len(found) > limit
        shown = found[:limit]
        line = self.service.line
        listed = tuple(summary(job, told_to(job, line, person)) for job in shown)
        self.answer(JobPage(jobs=listed, cursor=str(shown[-1].number) if more else None))

    async def post(self) -> None:
        """Submit a job."""
        body = self.take_body()  # or what is wrong with who sent it, before anything else
        self.person.need(SUBMIT)
        request = await self.long_body_as(JobRequest, body)
        job, new = await self.service.submitter.submit(request, self.person, await self.service.nodes())
        if new:
            await self.service.wake()
        await self.show(job.id, status=201 if new else 200)


class JobHandler(JobBase):
    """`GET jobs/{id}`, `DELETE jobs/{id}`."""

    async def get(self, prefix: str) -> None:
        """Show a job."""
        await self.show((await self.job(prefix)).id)

    async def delete(self, prefix: str) -> None:
        """Delete a job that has ended, with its log and artifacts."""
        self.person.need(SUBMIT)
        job = await self.job(prefix)
        if job.user_id != self.person.id and not self.person.sees_all:
            raise NotFound(f"Only {job.user} and administrators may delete {job.id}.")
        if job.state not in FINAL_STATES:
            raise Busy(f"{job.id} is {job.state}. Cancel it first, then delete it.")
        await self.service.delete(job)
        self.set_status(204)
        self.finish()


class CancelHandler(JobBase):
    """`POST jobs/{id}/cancel`."""

    async def post(self, prefix: str) -> None:
        """Ask for a job's end; asking again, or too late, changes nothing."""
        self.person.need(SUBMIT)
        job = await self.job(prefix)
        await request_cancel(self.service.db, job, self.person.name)
        await self.service.wake(job.id)
        await self.show(job.id)


class RerunHandler(JobBase):
    """`POST jobs/{id}/rerun`."""

    async def post(self, prefix: str) -> None:
        """Queue the same files and image once more."""
        self.person.need(SUBMIT)
        job = await self.job(prefix)
        again = await self.service.submitter.rerun(job, self.person, await self.service.nodes())
        await self.service.wake()
        await self.show(again.id, status=201)


class ExtendHandler(JobBase):
    """`POST jobs/{id}/extend`."""

    async def post(self, prefix: str) -> None:
        """Give a job that waits or runs more time, within its profile's maximum."""
        self.person.need(SUBMIT)
        request = self.body_as(ExtendRequest)
        job = await self.job(prefix)
        if job.user_id != self.person.id and not self.person.sees_all:
            raise Forbidden(f"Only {job.user} and administrators may give {job.id} more time.")
        await self.service.submitter.extend(job, request)
        await self.service.wake(job.id)
        await self.show(job.id)


class MoveHandler(JobBase):
    """`POST jobs/{id}/move`."""

    async def post(self, prefix: str) -> None:
        """Give a job another place among its owner's own."""
        self.person.need(SUBMIT)
        request = self.body_as(MoveRequest)
        job = await self.job(prefix)
        if job.user_id != self.person.id and not self.person.sees_all:
            raise Forbidden(f"Only {job.user} and administrators may move {job.id}.")
        await move_in_line(self.service.db, job, request)
        await self.service.wake()
        await self.show(job.id)


def _visible(person: Person, owner: str) -> str:
    return person.visible_owner_id(Owner.parse(owner))


def _states(text: str) -> list[str]:
    states = [part.strip() for part in text.split(",") if part.strip()]
    for state in states:
        if state not in set(JobState):
            raise FieldError("state", f"{state!r} is no state. There are: {', '.join(JobState)}.")
    return states
