"""The disk limits of running jobs: who nears them is told, and who is above them is ended.

Where the file system fences by itself (project quota), what does not fit is refused there and nobody is ended for it; what
it does not fence, such as `/tmp`, is looked at all the same.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from himalia.reasons import Reason
from himalia.site import Site
from himalia.states import JobState

from ..engines.base import Engine
from ..engines.disk import NO_LIMIT, DiskPlace, DiskUse
from ..engines.errors import EngineError
from ..store import Database, jobs, notices
from ..store.moves import note_job
from ..store.records import AttemptRecord, JobRecord
from .allowance import disk_limit
from .pace import LONGEST_SECONDS, Pace
from .words import Level, level_of, near_sentence, over_sentence

log = logging.getLogger(__name__)

KIND = "disk"  #: of the notices


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """A running attempt, and what it has written."""

    job: JobRecord
    attempt: AttemptRecord
    use: DiskUse


class Disks:
    """Looks at what running jobs write."""

    def __init__(self, db: Database, engine: Engine, site: Site, look_at: Callable[[str], None]) -> None:
        self.db = db
        self.engine = engine
        self.site = site
        self.look_at = look_at  #: called with the id of a job that is to be ended
        self._told: dict[str, str] | None = None  #: by attempt: what its owner reads; none: not read yet
        self._looked_for = False
        self._pace = Pace()

    async def run(self) -> None:
        """Look again and again, as often as the writing calls for."""
        while True:
            pause = LONGEST_SECONDS
            try:
                pause = await self.look()
            except Exception:
                log.exception("what jobs write was not looked at")
            await asyncio.sleep(pause)

    async def look(self) -> float:
        """Look once at all that run; return for how long nobody need look again."""
        if self._told is None:  # an earlier life of the service may have told something
            self._told = await self.db.read(_read_told)
        running = await self.db.read(lambda db: jobs.running(db, [JobState.RUNNING]))
        watched = {place.name: (job, attempt) for job, attempt in running if (place := self._place(job, attempt))}
        if not watched and not self._told and not self._looked_for:
            return LONGEST_SECONDS
        self._looked_for = bool(watched)
        places = [self._place(job, attempt) for job, attempt in watched.values()]
        try:
            uses = await self.engine.disk_use([place for place in places if place is not None])
        except EngineError as error:
            log.debug("nobody knows what jobs have written: %s", error)
            return LONGEST_SECONDS
        writers = [
            _Writer(job=job, attempt=attempt, use=use) for use in uses for job, attempt in [watched[use.place.name]]
        ]
        await self._judge(writers)
        return self._pace.pause(uses, time.monotonic())

    def sentence(self, attempt: str) -> str:
        """Return what the owner of a running attempt is told of its limit; empty: nothing."""
        return (self._told or {}).get(attempt, "")

    def _place(self, job: JobRecord, attempt: AttemptRecord) -> DiskPlace | None:
        limit = disk_limit(job, self.site)
        stopped = attempt.stop_reason is not None
        return None if stopped or limit == NO_LIMIT else DiskPlace(kind="attempt", name=attempt.id, limit=limit)

    async def _judge(self, writers: Iterable[_Writer]) -> None:
        over = [writer for writer in writers if writer.use.over]
        near = [writer for writer in writers if self._nears(writer.use)]
        before = self._told or {}
        self._told = {writer.attempt.id: near_sentence(writer.use, writer.job.name, writer.job.id) for writer in near}
        fresh = [writer for writer in near if writer.attempt.id not in before]
        gone = before.keys() - self._told.keys()
        if over or fresh or gone:
            told = self._told
            await self.db.write(lambda db: _write(db, over, fresh, told, gone))
        for writer in over:
            self.look_at(writer.job.id)

    def _nears(self, use: DiskUse) -> bool:
        level = level_of(use, self.site.disk.nearly)
        return level is Level.NEARLY or (level is Level.FULL and not use.over)


def _write(
    db: Connection, over: Iterable[_Writer], fresh: Iterable[_Writer], told: Mapping[str, str], gone: Iterable[str]
) -> None:
    """Tell who nears a limit, or does not any more, and end who is above it."""
    for writer in fresh:
        note_job(db, writer.job.id, detail=told[writer.attempt.id])
        notices.tell(
            db,
            user_id=writer.job.user_id,
            kind=KIND,
            sentence=told[writer.attempt.id],
            key=_key(writer.attempt.id),
            lease_id=writer.attempt.lease_id,
            job_id=writer.job.id,
        )
    for attempt in gone:
        notices.withdraw(db, _key(attempt))
        if jobs.find(db, attempt.partition(".")[0]):
            note_job(db, attempt.partition(".")[0])
    for writer in over:
        log.warning("%s of %s: %s", writer.attempt.id, writer.job.user, over_sentence(writer.use))
        jobs.stop_attempt(db, writer.attempt.lease_id, Reason.DISK_LIMIT, over_sentence(writer.use))


def _read_told(db: Connection) -> dict[str, str]:
    return {one.key.removeprefix(_key("")): one.sentence for one in notices.standing_of_jobs(db, KIND)}


def _key(attempt: str) -> str:
    return f"{KIND} {attempt}"
