"""Submissions on their way: one thread each, progress that can be asked for, one job for one idempotency key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Lock

from himalia.errors import Busy, HimaliaError, NotFound, TooMany
from himalia.models import JobView

KEPT = 100  #: submissions that are remembered after they ended
MOST_AT_ONCE = 50  #: submissions that run or wait for a thread


class Stage(StrEnum):
    """Where a submission is."""

    WAITING = "waiting"  #: for a free thread
    SCANNING = "scanning"
    READING = "reading"
    SENDING = "sending"
    SUBMITTING = "submitting"
    DONE = "done"
    FAILED = "failed"


#: From here on there may be a job, which is cancelled as a job.
BEYOND_CANCELLING = {Stage.SUBMITTING, Stage.DONE, Stage.FAILED}


class Cancelled(Busy):
    """The person ended the submission before there was a job."""

    code = "cancelled"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a submission is."""

    stage: Stage = Stage.WAITING
    done_bytes: int = 0
    total_bytes: int = 0  #: 0 while it is not known
    job_id: str | None = None
    message: str = ""  #: of the error, once it failed

    def to_json(self) -> dict[str, object]:
        """Return the body of an answer."""
        return {
            "stage": self.stage,
            "done_bytes": self.done_bytes,
            "total_bytes": self.total_bytes,
            "job_id": self.job_id,
            "message": self.message,
        }


Report = Callable[[Progress], None]
Work = Callable[[Report], JobView]
Key = tuple[str, str]  #: who clicked, and the idempotency key


@dataclass(kw_only=True)
class _Submission:
    progress: Progress = Progress()
    cancelled: bool = False
    running: Future[JobView] | None = None  #: in its thread
    outcome: asyncio.Future[JobView] | None = None  #: on the event loop
    lock: Lock = field(default_factory=Lock)

    def report(self, progress: Progress) -> None:
        """Take how far the work is; called in its thread, and where it ends once it is cancelled."""
        with self.lock:
            if self.cancelled:
                raise Cancelled("The submission was cancelled. No job was made.")
            self.progress = progress

    def cancel(self) -> None:
        """End the work at its next step; raise Busy once there may be a job."""
        with self.lock:
            if self.progress.stage in BEYOND_CANCELLING:
                raise Busy("The submission is through. Cancel its job, which is in the list of jobs.")
            self.cancelled = True
        if self.running is not None:
            self.running.cancel()  # only what still waits for a thread ends by this

    @property
    def has_ended(self) -> bool:
        """Whether its outcome is known."""
        return self.outcome is not None and self.outcome.done()


class Submissions:
    """All submissions of this server; used on the event loop, works in threads of its own."""

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="himalia-submit")
        self._known: dict[Key, _Submission] = {}

    async def submit(self, key: Key, work: Work) -> JobView:
        """Do the work, or wait for the work that this key already started; return the job."""
        known = self._known.get(key)
        # After a failure the same key tries again: nothing was acknowledged.
        if known is None or (known.has_ended and known.progress.stage is Stage.FAILED):
            known = self._start(key, work)
        assert known.outcome is not None
        # A page that is closed while it waits must not end the submission.
        return await asyncio.shield(known.outcome)

    def progress(self, key: Key) -> Progress:
        """Return how far a submission is; raise NotFound for a key that is not known."""
        return self._of(key).progress

    def cancel(self, key: Key) -> None:
        """End a submission that is not through; raise NotFound or Busy."""
        self._of(key).cancel()

    def close(self) -> None:
        """Take no more work; what runs is left to end by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _of(self, key: Key) -> _Submission:
        if key not in self._known:
            raise NotFound("This submission is not known (any more). The list of jobs shows whether it arrived.")
        return self._known[key]

    def _start(self, key: Key, work: Work) -> _Submission:
        self._forget_the_oldest()
        if sum(not known.has_ended for known in self._known.values()) >= MOST_AT_ONCE:
            raise TooMany(f"{MOST_AT_ONCE} submissions are on their way from this server. Wait for one to end.")
        submission = _Submission()
        submission.running = self._pool.submit(work, submission.report)
        submission.outcome = asyncio.ensure_future(self._finish(submission, asyncio.wrap_future(submission.running)))
        # Nobody may wait any more; then the progress alone tells how it ended.
        submission.outcome.add_done_callback(lambda outcome: outcome.cancelled() or outcome.exception())
        self._known[key] = submission
        return submission

    async def _finish(self, submission: _Submission, running: asyncio.Future[JobView]) -> JobView:
        try:
            job = await running
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and submission.cancelled:
                error = Cancelled("The submission was cancelled before it began. No job was made.")
            said = error.message if isinstance(error, HimaliaError) else "Himalia made a mistake; the log has it."
            submission.progress = replace(submission.progress, stage=Stage.FAILED, message=said)
            raise error
        submission.progress = replace(submission.progress, stage=Stage.DONE, job_id=job.id)
        return job

    def _forget_the_oldest(self) -> None:
        ended = [key for key, known in self._known.items() if known.has_ended]
        for key in ended[: max(0, len(self._known) - KEPT + 1)]:
            del self._known[key]
