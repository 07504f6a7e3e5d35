"""What changed, read from the database once for all who listen."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection

from himalia.models import EventKind

from .changes import Changes
from .store import Database, events, jobs
from .store.records import JobRecord

KEPT = 1_000  #: changes that are held for who is a little behind; who is further behind reads them from the database
BEHIND_AT_ONCE = 2  #: of those; others' requests have the database's other readers
STALE_SECONDS = 15.0  #: after which it is looked although nobody told of a change
JOBS_KEPT = 100
JOBS_AT_ONCE = 10  #: that are read together with their changes
TEXTS_KEPT = 200

Change = Mapping[str, Any]


class News:
    """The last changes, held for the streams of events: however many listen, a change is one query."""

    def __init__(self, db: Database, changes: Changes) -> None:
        self.db = db
        self.changes = changes
        self._held: list[Change] = []  #: all changes after `_from`, in their order, up to `_last`
        self._from = self._last = -1
        self._seen, self._seen_at = -1, 0.0  #: the number of the change that was read last, and when
        self._looking = asyncio.Lock()
        self._behind = asyncio.Semaphore(BEHIND_AT_ONCE)
        self._jobs: dict[str, JobRecord | None] = {}
        self._texts: dict[Hashable, str] = {}

    async def after(
        self, seq: int, owner_ids: Sequence[str] | None, concerns: Callable[[Change], bool], limit: int
    ) -> tuple[list[Change], int]:
        """Return the next changes for somebody (owners as in `events.after`), and the `seq` up to which there is none else."""
        await self._look()
        if seq < self._from:
            async with self._behind:
                found = await self.db.read(partial(_after, seq=seq, owner_ids=owner_ids, limit=limit))
            return [one for one in found if concerns(one)], _seq(found[-1]) if found else max(seq, self._last)
        chosen: list[Change] = []
        for one in islice(self._held, bisect_right(self._held, seq, key=_seq), None):
            if (owner_ids is None or one["owner_id"] is None or one["owner_id"] in owner_ids) and concerns(one):
                chosen.append(one)
                if len(chosen) == limit:
                    return chosen, _seq(one)
        return chosen, max(seq, self._last)

    async def jobs(self, ids: Iterable[str]) -> dict[str, JobRecord | None]:
        """Return what jobs are by now, without what only their own page shows; several who ask at once share an answer."""
        wanted = list(ids)
        async with self._looking:
            found = {job_id: self._jobs[job_id] for job_id in wanted if job_id in self._jobs}
            missing = [job_id for job_id in wanted if job_id not in found]
            if missing:
                fresh = await self.db.read(partial(_find, ids=missing))
                found |= fresh
                self._jobs |= fresh
                while len(self._jobs) > JOBS_KEPT:
                    self._jobs.pop(next(iter(self._jobs)))
            return found

    def text(self, about: Hashable, write: Callable[[], str]) -> str:
        """Return what `write` makes of a change until the next one; `about` says all on which that depends."""
        text = self._texts.get(about)
        if text is None:
            text = self._texts[about] = write()
            if len(self._texts) > TEXTS_KEPT:
                self._texts.pop(next(iter(self._texts)))
        return text

    async def _look(self) -> None:
        """Read what came since the last look, unless somebody has just done so."""
        if self._is_fresh():
            return
        async with self._looking:
            if self._is_fresh():
                return
            number, now = self.changes.number, time.monotonic()
            last, found, records = await self.db.read(partial(_since, seq=self._last))
            if found is None:
                self._held, self._from = [], last
            else:
                self._held += found
            if len(self._held) > 2 * KEPT:
                self._from = _seq(self._held[-KEPT - 1])
                self._held = self._held[-KEPT:]
            self._last, self._seen, self._seen_at = last, number, now
            self._jobs = records
            self._texts.clear()

    def _is_fresh(self) -> bool:
        return self._seen == self.changes.number and time.monotonic() - self._seen_at < STALE_SECONDS


def _after(db: Connection, seq: int, owner_ids: Sequence[str] | None, limit: int) -> list[Change]:
    return [dict(row) for row in events.after(db, seq, owner_ids, limit)]


def _since(db: Connection, seq: int) -> tuple[int, list[Change] | None, dict[str, JobRecord | None]]:
    """Return the last change's `seq`, the changes after another, and the jobs that the last of them are about.

    No changes (None) where these are too many, or there is no other.
    """
    found = _after(db, seq, None, KEPT + 1) if seq >= 0 else None
    if found is None or len(found) > KEPT:
        return events.last_seq(db), None, {}
    ids = {str(one["job_id"]): None for one in found[-JOBS_AT_ONCE:] if one["kind"] == EventKind.JOB}
    return (_seq(found[-1]) if found else seq), found, _find(db, list(ids))


def _find(db: Connection, ids: Sequence[str]) -> dict[str, JobRecord | None]:
    found = {job_id: jobs.find(db, job_id) for job_id in ids}
    return {job_id: record and replace(record, spec={}) for job_id, record in found.items()}


def _seq(change: Change) -> int:
    return int(change["seq"])
