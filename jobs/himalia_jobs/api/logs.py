"""`jobs/{id}/logs`: bytes from an offset, or lines that are picked; follow streams until the end."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime

from tornado.iostream import StreamClosedError

from himalia.errors import NotFound
from himalia.ids import attempt_id
from himalia.line_patterns import LinePattern
from himalia.line_patterns import left_out as left_out_line
from himalia.moments import parse_since
from himalia.states import FINAL_STATES

from ..store import jobs
from ..store.records import JobRecord
from .jobs import JobBase
from .log_reading import CHUNK_BYTES, Lines, LogReader, Wish

WAIT_SECONDS = 0.5  #: for a new line, until it is looked whether one can come at all
MARK_SECONDS = 10.0  #: after which somebody who follows lines is told up to where of the log there were none
LOOK_SECONDS = 5.0  #: until that is looked at although nothing was changed
IDLE_POLL_SECONDS = 0.5  #: while the job has not started


class LogsHandler(JobBase):
    """`GET jobs/{id}/logs?attempt=&offset=&follow=&tail=&since=&grep=&ignore_case=&timestamps=&exact=&marked=`."""

    async def get(self, prefix: str) -> None:
        """Send the log of an attempt from an offset; with follow, until its end."""
        job = await self.job(prefix)
        number = self.integer("attempt", 0)
        wish = self._wish()
        follow = self._flag("follow")
        coming = follow and number == job.attempt_count + 1 and job.state not in FINAL_STATES
        if number > job.attempt_count and not coming:
            raise NotFound(f"{job.id} has no attempt {number}.")
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("X-Accel-Buffering", "no")
        try:
            await self._send(job, number, wish, follow)
        except StreamClosedError:
            return
        self.finish()

    def _wish(self) -> Wish:
        since, pattern = self.argument("since"), self.get_query_argument("grep", "", strip=False)
        return Wish(
            offset=self.integer("offset", 0),
            since=parse_since(since, datetime.now(UTC)) if since else None,
            tail=self.integer("tail", 0) if self.argument("tail") else None,
            pattern=LinePattern.parse(pattern, ignore_case=self._flag("ignore_case")) if pattern else None,
            timestamps=self._flag("timestamps"),
            exact=self._flag("exact"),
            marked=self._flag("marked"),
        )

    def _flag(self, name: str) -> bool:
        return self.argument(name) in ("1", "true")

    async def _send(self, job: JobRecord, number: int, wish: Wish, follow: bool) -> None:
        current = number or job.attempt_count
        there = 0 < current <= job.attempt_count
        reader = self._reader(job, current)
        offset = await reader.start(wish) if there else wish.offset
        end = None
        if there and wish.by_lines and not follow:
            end = max(offset, await reader.end(await self._over(job.id, current)))
            self.set_header("Himalia-Log-End", str(end))
        self.set_header("Himalia-Log-Offset", str(offset))
        if follow and wish.by_lines and wish.marked:
            self.set_header("Himalia-Log-Marked", "1")
        left_out = (await reader.read(0, 1)).left_out if there and wish.exact else None
        if left_out:
            self.set_header("Himalia-Log-Gap", str(left_out[0]))
        if follow:
            await self.taken()  # the reader learns at once that it is connected
        if not there:
            current = await self._wait_for_start(job, follow, number or 1)
        while current:
            ended = await self._send_attempt(job, current, wish, offset, end, follow)
            if not ended or not follow or number or not await self._next_attempt(job.id, current):
                return
            current, offset = current + 1, 0

    def _reader(self, job: JobRecord, number: int) -> LogReader:
        return LogReader(self.service.engine, attempt_id(job.id, number))

    async def _send_attempt(
        self, job: JobRecord, number: int, wish: Wish, offset: int, end: int | None, follow: bool
    ) -> bool:
        """Send one attempt's log from an offset to an end, with follow until nothing can be added; tell whether it got there."""
        reader = self._reader(job, number)
        lines = Lines(reader, replace(wish, offset=offset)) if wish.by_lines else None
        marked, over, looked_at, looked = time.monotonic(), False, -1, 0.0
        while end is None or offset < end:
            if not (await self.may_go_on() and self.person.may_see(job.owner_id, job.user_id)):
                return False
            limit = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - offset)
            chunk = await reader.read(offset, limit, WAIT_SECONDS if follow and not over else 0.0)
            if chunk.begins > offset:
                if wish.exact:
                    return False
                gap = (await lines.finish() if lines else b"") + left_out_line(chunk.begins - offset)
                offset = chunk.begins
                self._write(gap, offset, wish, follow)
            if chunk.data:
                shown = await lines.take(chunk.data, offset) if lines else chunk.data
                offset = chunk.next_offset
                if shown or (lines and time.monotonic() - marked > MARK_SECONDS):
                    self._write(shown, lines.looked_at if lines else offset, wish, follow)
                    marked = time.monotonic()
                await self.taken()
                over = False
                continue
            if over or chunk.ended or not follow:
                break
            changed, now = self.service.changes.number, time.monotonic()
            if changed != looked_at or now - looked > LOOK_SECONDS:
                looked_at, looked = changed, now
                over = await self._over(job.id, number)  # what came before that was seen is still read
        if lines and (rest := await lines.finish()):
            self._write(rest, lines.looked_at, wish, follow)
        return True

    def _write(self, shown: bytes, upto: int, wish: Wish, follow: bool) -> None:
        """Write a piece of a log; of lines that are followed, where asked for, with the offset up to which it goes."""
        if follow and wish.by_lines and wish.marked:
            self.write(b"%d %d\n%s" % (upto, len(shown), shown))
        elif shown:
            self.write(shown)

    async def _wait_for_start(self, job: JobRecord, follow: bool, number: int) -> int:
        """Wait for an attempt that is still to come; return its number, or 0 when it never came."""
        while await self.may_go_on():
            seen = self.service.changes.number
            fresh = await self.service.db.read(lambda db: jobs.find(db, job.id))
            if fresh is None or fresh.attempt_count >= number or not follow or fresh.state in FINAL_STATES:
                return number if fresh and fresh.attempt_count >= number else 0
            await self.service.changes.wait(IDLE_POLL_SECONDS, seen)
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
            seen = self.service.changes.number
            job = await self.service.db.read(lambda db: jobs.find(db, job_id))
            if job is None or job.attempt_count > number:
                return job is not None
            if job.state in FINAL_STATES:
                return False
            await self.service.changes.wait(IDLE_POLL_SECONDS, seen)
