"""The life of a job, one step at a time; each step is saved before the next, so that it can start over after any crash."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection

from himalia.log_policies import all_policies
from himalia.reasons import WAITING_REASONS, Reason
from himalia.site import Site
from himalia.states import STARTED_STATES, JobState, LeaseState

from . import stuck, way_notices
from .bootclock import BootClock
from .endings import Ending, by_whom, ending, failures, may_retry, named, sentence_of_end, with_failed_gpus
from .engines.base import Engine, Exit, ExitReason, Observed, Phase
from .engines.errors import (
    Conflict,
    DeviceUnavailable,
    EngineError,
    Finished,
    ImageMissing,
    NodeDraining,
    NoSpace,
    Refused,
    StartFailed,
    StartLost,
    WorkspaceCorrupt,
)
from .labelling import NOT_AGAIN, helps, label_of, labelled
from .launching import launch_spec
from .store import Database, jobs, leases, slots
from .store.clock import from_text, now_text, to_text
from .store.moves import change, move, move_lease, note_job
from .store.records import AttemptRecord, JobRecord

log = logging.getLogger(__name__)

LAUNCH_TIMEOUT_SECONDS = 120.0
LOOK_AGAIN_SECONDS = 10.0  #: a hint may get lost; a listing never does
RETRY_SECONDS = 2.0  #: after the engine did not answer

CANNOT_START: dict[type[EngineError], Reason] = {
    ImageMissing: Reason.IMAGE_MISSING,
    WorkspaceCorrupt: Reason.WORKSPACE_BROKEN,
    StartFailed: Reason.START_FAILED,
    DeviceUnavailable: Reason.START_FAILED,
    Refused: Reason.START_FAILED,
}
ENDED_BY_OTHERS = (Reason.OVER_SHARE, Reason.GPU_IDLE, Reason.DISK_LIMIT)
REFUSALS: tuple[type[EngineError], ...] = (NoSpace, NodeDraining, Conflict, *CANNOT_START)


class Runner:
    """Takes a job from `starting` to its end.

    `freed` is called whenever a lease went back or a job stands in line again: it may be somebody's turn. `told` is called for
    all else that changed of a job.
    """

    def __init__(
        self,
        db: Database,
        engine: Engine,
        site: Site,
        clock: BootClock,
        freed: Callable[[], None],
        told: Callable[[], None],
    ) -> None:
        self.db = db
        self.engine = engine
        self.site = site
        self.policies = all_policies(site.log_policies)
        self.clock = clock
        self.freed = freed
        self.told = told
        self.full_until = 0.0  #: the engine's disk was full a moment ago: until then nothing new starts

    async def step(self, job_id: str) -> float | None:
        """Take one job as far as it goes now; return when to look again, none when nothing is left to do."""
        job, attempt = await self.db.read(lambda db: (jobs.find(db, job_id), jobs.last_attempt(db, job_id)))
        if job is None or attempt is None or job.state not in STARTED_STATES:
            return None
        take = {JobState.STARTING: self._start, JobState.RUNNING: self._watch, JobState.COLLECTING: self._collect}
        try:
            return await take[job.state](job, attempt)
        except EngineError as error:
            # Unknown is not failed: the state stays as it is, and the same step is taken again.
            log.warning("%s stays %s for now: %s", attempt.id, job.state, error)
            return RETRY_SECONDS

    async def _start(self, job: JobRecord, attempt: AttemptRecord) -> float | None:
        if attempt.stop_reason in WAITING_REASONS:
            return await self._back_to_queue(job, attempt, Reason(attempt.stop_reason), attempt.detail)
        spec = launch_spec(job, attempt, self.site)
        try:
            if job.cancel_requested:
                await self._stop(attempt, Reason.CANCELLED)
                observed = await self.engine.status(attempt.id)
            else:
                await self.engine.prepare(spec)
                observed = await self.engine.launch(spec, timeout_seconds=LAUNCH_TIMEOUT_SECONDS)
        except Finished as finished:
            exit = finished.exit if isinstance(finished.exit, Exit) else Exit(code=None, reason=ExitReason.STOPPED)
            observed = replace(await self.engine.status(attempt.id), exit=exit)
        except StartLost as error:
            return await self._back_to_queue(job, attempt, Reason.IN_LINE, str(error))
        except REFUSALS as error:
            return await self._refused(job, attempt, error, spec.digest())
        return await self._began(job, attempt, observed, spec.digest())

    async def _began(self, job: JobRecord, attempt: AttemptRecord, observed: Observed, digest: str) -> float:
        """Save that its container was started, and how it ended if it did."""
        if observed.started_at is not None or observed.phase is Phase.RUNNING:
            await self._running(job, attempt, observed, digest)
        if observed.exit is not None:
            await self._ended(job, attempt, observed.exit)
        return 0.0 if observed.exit is not None or observed.phase is Phase.RUNNING else RETRY_SECONDS

    async def _refused(self, job: JobRecord, attempt: AttemptRecord, error: EngineError, digest: str) -> float | None:
        """End an attempt that cannot start, or put its job back; one that an earlier, unanswered launch started goes on."""
        observed = await self.engine.status(attempt.id)
        never_ran = observed.exit is not None and observed.exit.reason is ExitReason.START_FAILED
        if observed.phase in (Phase.RUNNING, Phase.EXITED) and not never_ran:
            return await self._began(job, attempt, observed, observed.spec_digest or digest)
        if isinstance(error, NoSpace):
            self.full_until = self.clock.now() + LOOK_AGAIN_SECONDS
            return await self._back_to_queue(job, attempt, Reason.WAITS_FOR_DISK, str(error))
        if isinstance(error, NodeDraining | Conflict):
            # A conflict with a container that never ran: the site's settings were changed in between.
            return await self._back_to_queue(job, attempt, Reason.IN_LINE, str(error))
        return await self._cannot_start(job, attempt, CANNOT_START[type(error)], str(error))

    async def _running(self, job: JobRecord, attempt: AttemptRecord, observed: Observed, digest: str) -> None:
        # It may run for some time already: nobody may have been there to see it begin.
        began = observed.started_at or self.clock.wall()
        started, clock, boot_id = to_text(began), self.clock.at(began, observed.started_clock), self.clock.boot_id

        def write(db: Connection) -> None:
            move_lease(db, attempt.lease_id, LeaseState.HELD, container=observed.name)
            if move(db, job.id, JobState.RUNNING, started_at=job.started_at or started):
                jobs.change_attempt(
                    db, attempt.id, started_at=started, started_clock=clock, boot_id=boot_id, spec_digest=digest
                )

        await self.db.write(write)
        self.told()

    async def _watch(self, job: JobRecord, attempt: AttemptRecord) -> float | None:
        observed = await self.engine.status(attempt.id)
        if observed.exit is not None:
            return await self._ended(job, attempt, observed.exit)
        if observed.phase is Phase.ABSENT:
            return await self._ended(job, attempt, Exit(code=None, reason=ExitReason.VANISHED))
        if stuck.is_stuck(attempt, self.clock.now()):
            at = to_text(self.clock.wall())
            await self.db.write(lambda db: stuck.note_stuck(db, job, attempt, at))
            self.told()
        if job.cancel_requested:
            await self._stop(attempt, Reason.CANCELLED)
            return LOOK_AGAIN_SECONDS
        if attempt.stop_reason in ENDED_BY_OTHERS:
            # What is over its limit of the disk gets no grace to write more.
            grace = 0.0 if attempt.stop_reason == Reason.DISK_LIMIT else None
            await self._stop(attempt, Reason(attempt.stop_reason), grace)
            return LOOK_AGAIN_SECONDS
        if attempt.give_way_at is not None:
            warned = (from_text(attempt.give_way_at) - self.clock.wall()).total_seconds()
            if warned > 0:
                return min(warned, LOOK_AGAIN_SECONDS)
            await self._stop(attempt, Reason.PREEMPTED, float(self.site.queue.preempt_grace))
            return LOOK_AGAIN_SECONDS
        if attempt.started_clock is None or attempt.boot_id != self.clock.boot_id:
            return LOOK_AGAIN_SECONDS
        left = job.timeout_seconds - (self.clock.now() - attempt.started_clock)
        if job.warn_seconds is not None:
            left = await self._warn(job, attempt, left, float(job.warn_seconds))
        if left <= 0:
            await self._stop(attempt, Reason.TIMED_OUT)
            return LOOK_AGAIN_SECONDS
        return min(left, LOOK_AGAIN_SECONDS)

    async def _warn(self, job: JobRecord, attempt: AttemptRecord, left: float, before: float) -> float:
        """Warn a job once that its time limit is near; return the seconds until there is something to do again.

        One that is warned late, because nobody was there, is given its time all the same.
        """
        now = self.clock.now()
        if attempt.warned_clock is not None:
            return max(left, before - (now - attempt.warned_clock))
        if left > before:
            return left - before
        try:
            await self.engine.warn(attempt.id)
        except EngineError:
            if left > 0:
                raise
            return left  # a warning that cannot be sent holds up no end

        # A service that dies before this is saved warns again; the job hears the first one only.
        def write(db: Connection) -> None:
            jobs.change_attempt(db, attempt.id, warned_at=to_text(self.clock.wall()), warned_clock=now)
            note_job(db, job.id)

        await self.db.write(write)
        self.told()
        return before

    async def _stop(self, attempt: AttemptRecord, why: Reason, grace_seconds: float | None = None) -> None:
        """Save why, then tell the engine; it is told again until the container has ended."""
        grace = float(self.site.limits.stop_grace) if grace_seconds is None else grace_seconds

        def write(db: Connection) -> None:
            if attempt.stop_reason is None:
                jobs.change_attempt(db, attempt.id, stop_reason=str(why))
            stuck.note_stop(db, attempt, self.clock.now(), grace)

        if attempt.stop_reason is None or attempt.over_by is None:
            await self.db.write(write)
        await self.engine.stop(attempt.id, grace_seconds=grace, why=str(why))

    async def _ended(self, job: JobRecord, attempt: AttemptRecord, exit: Exit) -> float:
        """Save how it ended; collecting starts at once."""
        given = {slot["uuid"] for slot in attempt.slots}
        finished = to_text(exit.finished_at) if exit.finished_at else now_text()

        def write(db: Connection) -> None:
            fresh = jobs.last_attempt(db, job.id) or attempt
            on_node = slots.records(db, attempt.node_id) if given else []
            end = ending(jobs.get(db, job.id), fresh, exit)
            end = with_failed_gpus(end, (slot for slot in on_node if slot.uuid in given))
            if move(db, job.id, JobState.COLLECTING, end.reason, end.detail, exit_code=exit.code):
                jobs.change_attempt(
                    db,
                    attempt.id,
                    finished_at=finished,
                    exit_code=exit.code,
                    signal=exit.signal,
                    oom=exit.oom,
                    reason=str(end.reason),
                    detail=end.detail,
                )

        await self.db.write(write)
        self.told()
        return 0.0

    async def _cannot_start(self, job: JobRecord, attempt: AttemptRecord, reason: Reason, detail: str) -> float:
        def write(db: Connection) -> None:
            if move(db, job.id, JobState.COLLECTING, reason, detail):
                jobs.change_attempt(db, attempt.id, finished_at=now_text(), reason=str(reason), detail=detail)

        await self.db.write(write)
        return 0.0

    async def _back_to_queue(self, job: JobRecord, attempt: AttemptRecord, reason: Reason, detail: str) -> float | None:
        """Nothing ran: the lease goes back and the job waits on; the attempt's number is used up.

        Why is saved first: the tombstone is no end of the job, whoever comes upon it.
        """
        why = str(reason)
        await self.db.write(lambda db: jobs.change_attempt(db, attempt.id, stop_reason=why, detail=detail))
        await self.engine.stop(attempt.id, grace_seconds=0, why=why)
        observed = await self.engine.status(attempt.id)
        if observed.phase is Phase.RUNNING:  # a launch that came late; it is being stopped
            return RETRY_SECONDS
        if observed.exit is not None and observed.exit.reason is not ExitReason.STOPPED:
            return await self._began(job, attempt, observed, observed.spec_digest)
        await self.engine.forget(attempt.id)

        def write(db: Connection) -> None:
            fresh = jobs.get(db, job.id)
            leases.release(db, attempt.lease_id)
            jobs.change_attempt(db, attempt.id, finished_at=now_text(), reason=why, detail=detail)
            move(db, job.id, JobState.QUEUED, reason, detail)
            way_notices.gives_way_no_more(db, fresh)
            if fresh.cancel_requested:
                move(db, job.id, JobState.CANCELLED, Reason.CANCELLED, by_whom(fresh))

        await self.db.write(write)
        self.freed()
        return None

    async def _collect(self, job: JobRecord, attempt: AttemptRecord) -> float | None:
        await self.engine.forget(attempt.id)  # what is kept is collected while the container goes
        collected = await self.engine.collect(attempt.id)
        end = _ending_of(job, attempt)
        policy = await label_of(self.engine, attempt.id, end, collected.log_bytes, self.policies)
        end = labelled(end, policy)

        def write(db: Connection) -> None:
            fresh = jobs.get(db, job.id)
            leases.release(db, attempt.lease_id)
            label = policy.name if policy else None
            jobs.change_attempt(db, attempt.id, log_bytes=collected.log_bytes, label=label, detail=end.detail)
            way_notices.gives_way_no_more(db, fresh)
            attempts = jobs.attempts_of(db, job.id) if end.state is JobState.FAILED else []
            again = may_retry(fresh, attempts, end)
            if again and helps(policy, named=named(fresh, attempts[-1], end)):
                self._again(db, fresh, attempts, end)
            else:
                move(db, job.id, end.state, end.reason, f"{end.detail} {NOT_AGAIN}" if again else end.detail)

        await self.db.write(write)
        self.freed()
        return None

    def _again(self, db: Connection, job: JobRecord, attempts: Sequence[AttemptRecord], end: Ending) -> None:
        """Let a job have another attempt: in line at once when it gave way, after a pause when it failed."""
        attempt = attempts[-1]
        if end.reason is Reason.PREEMPTED:
            detail, gone = f"Attempt {attempt.number} gave way.", job.preemptions + 1
            move(db, job.id, JobState.QUEUED, Reason.PREEMPTED, detail, exit_code=None, preemptions=gone)
            way_notices.gave_way(db, job, attempt.lease_id, from_text(attempt.finished_at or now_text()))
            return
        pause = timedelta(seconds=self.site.queue.pause_after(failures(attempts)))
        at = to_text(self.clock.wall() + pause)
        detail = f"Attempt {attempt.number} failed. {sentence_of_end(end)}"
        move(db, job.id, JobState.QUEUED, Reason.WAITS_FOR_RETRY, detail, exit_code=None, retry_at=at)


def _ending_of(job: JobRecord, attempt: AttemptRecord) -> Ending:
    """Return how a job in `collecting` ends, from what was saved."""
    reason = attempt.reason or job.reason or Reason.VANISHED
    if reason is Reason.CANCELLED:
        state = JobState.CANCELLED
    elif attempt.exit_code == 0 and reason in (Reason.EXITED, Reason.SUCCEEDED_WITH_CHILD_OOM):
        state = JobState.SUCCEEDED
    else:
        state = JobState.FAILED
    return Ending(state=state, reason=reason, detail=attempt.detail)


async def request_cancel(db: Database, job: JobRecord, by: str) -> None:
    """Write the wish to end a job; one that waits ends at once, one that has ended stays as it is."""
    await db.write(lambda connection: write_cancel(connection, job.id, by))


def write_cancel(db: Connection, job_id: str, by: str) -> None:
    """Write the same in a transaction of the caller's."""
    fresh = jobs.get(db, job_id)
    if fresh.state is JobState.QUEUED:
        detail = f"Cancelled by {by}."
        move(db, job_id, JobState.CANCELLED, Reason.CANCELLED, detail, cancel_requested=True, cancelled_by=by)
    elif fresh.state in STARTED_STATES and not fresh.cancel_requested:
        change(db, job_id, cancel_requested=True, cancelled_by=by)
