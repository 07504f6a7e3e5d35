"""`jobs/{id}/logs`: bytes from an offset; follow streams until the end."""

from __future__ import annotations

import asyncio

from tornado.iostream import StreamClosedError

from himalia.errors import FieldError, NotFound
from himalia.ids import attempt_id
from himalia.states import FINAL_STATES

from ..engines.base import LogChunk
from ..engines.errors import EngineError, OffsetPastEnd
from ..store import jobs
from ..store.records import JobRecord
from .jobs import JobBase

CHUNK_BYTES = 512 * 1024
POLL_SECONDS = 0.05  #: a new line is seen after half of this on average
IDLE_POLL_SECONDS = 0.5  #: while the job has not started


class LogsHandler(JobBase):
    """`GET jobs/{id}/logs?attempt=&offset=&follow=`."""

    async def get(self, prefix: str) -> None:
        """Send the log of an attempt from an offset; with follow, until its end."""
        job = await self.job(prefix)
        number = self.integer("attempt", 0)
        offset = self.integer("offset", 0)
        follow = self.argument("follow") in ("1", "true")
        coming = follow and number == job.attempt_count + 1 and job.state not in FINAL_STATES
        if number > job.attempt_count and not coming:
            raise NotFound(f"{job.id} has no attempt {number}.")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Himalia-Log-Offset", str(offset))
        self.set_header("X-Accel-Buffering", "no")
        try:
            await self._send(job, number, offset, follow)
        except StreamClosedError:
            return
        self.finish()

    async def _send(self, job: JobRecord, number: int, offset: int, follow: bool) -> None:
        current = number or job.attempt_count
        there = 0 < current <= job.attempt_count
        if offset and there:
            await self._read(
                attempt_id(job.id, current), offset
            )  # an offset that cannot be is told before the first byte
        if follow:
            await self.flush()  # the reader learns at once that it is connected
        if not there:
            current = await self._wait_for_start(job, follow, number or 1)
        if current == 0:
            return
        while await self.may_go_on() and self.person.may_see(job.owner_id, job.user_id):
            chunk = await self._read(attempt_id(job.id, current), offset)
            if chunk.data:
                self.write(chunk.data)
                await self.flush()
                offset = chunk.next_offset
                continue
            if not follow or chunk.ended or await self._over(job.id, current):
                last = await self._read(attempt_id(job.id, current), offset)
                if last.data and follow:
                    continue
                if not follow or number or not await self._next_attempt(job.id, current):
                    return
                current, offset = current + 1, 0
                continue
            await asyncio.sleep(POLL_SECONDS)

    async def _wait_for_start(self, job: JobRecord, follow: bool, number: int) -> int:
        """Wait for an attempt that is still to come; return its number, or 0 when it never came."""
        while await self.may_go_on():
            fresh = await self.service.db.read(lambda db: jobs.find(db, job.id))
            if fresh is None or fresh.attempt_count >= number or not follow or fresh.state in FINAL_STATES:
                return number if fresh and fresh.attempt_count >= number else 0
            await self.service.changes.wait(IDLE_POLL_SECONDS)
        return 0

    async def _over(self, job_id: str, number: int) -> bool:
        """Tell whether nothing can be added to this attempt's log any more."""
        job, attempt = await self.service.db.read(lambda db: (jobs.find(db, job_id), jobs.last_attempt(db, job_id)))
        if job is None or attempt is None or job.state in FINAL_STATES or attempt.number > number:
            return True
        return attempt.finished_at is not None

    async def _next_attempt(self, job_id: str, number: int) -> bool:
        """Wait until the job has ended or has its next attempt; tell whether there is one."""
        while True:
            job = await self.service.db.read(lambda db: jobs.find(db, job_id))
            if job is None or job.attempt_count > number:
                return job is not None
            if job.state in FINAL_STATES:
                return False
            await self.service.changes.wait(IDLE_POLL_SECONDS)

    async def _read(self, attempt: str, offset: int) -> LogChunk:
        try:
            return await self.service.engine.read_log(attempt, offset, CHUNK_BYTES)
        except OffsetPastEnd as error:
            raise FieldError("offset", "The log is shorter than this offset. Start again from 0.") from error
        except EngineError:
            return LogChunk(data=b"", next_offset=offset, ended=False)
