"""Clearing away submitted files that no job needs any more, in the background, by what the database says."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from himalia.units import counted, format_size

from .bootclock import BootClock
from .contents import ContentStore, Freed, Needs, Sweeper
from .metering import Meters
from .store import Database, snapshots
from .store.clock import to_text

Result = TypeVar("Result")
log = logging.getLogger(__name__)

IN_NEED_SECONDS = 3600.0
ROWS_AT_ONCE = 200  #: deleted in one transaction, so that nobody waits long for the next


class Clearing:
    """Deletes the rows of snapshots that nobody needs, then what they alone had; a run may die anywhere."""

    def __init__(
        self, db: Database, contents: ContentStore, keep_seconds: float, clock: BootClock, meters: Meters
    ) -> None:
        self.db = db
        self.keep_seconds = keep_seconds
        self.clock = clock
        self.meters = meters
        self.sweeper = Sweeper(contents, keep_seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="clearing")  # apart: it may take hours

    async def run(self, *, in_need: bool = False) -> Freed:
        """Do one run over everybody's files; return and tell what was freed. Cancelled, it leaves the rest for the next.

        In need of room, trees go at once in which no job runs, for they can be made again; and what was a deleted job's, or
        never finished, within the hour.
        """
        try:
            return await self._run(in_need)
        except asyncio.CancelledError:
            self.sweeper.stopped.set()
            raise

    def wait(self) -> None:
        """Return when nothing is done any more."""
        self._thread.shutdown(wait=True)

    async def _run(self, in_need: bool) -> Freed:
        if await self.db.read(snapshots.strangers_run):
            log.info("nothing is cleared away while jobs run that the database does not know")
            return Freed()
        dropped = await self._drop(min(self.keep_seconds, IN_NEED_SECONDS) if in_need else self.keep_seconds)
        freed = await self._in_thread(self.sweeper.empty)
        for owner_id in await self._in_thread(self.sweeper.owners):
            # Read anew for each: who begins to need something later pins it.
            needs = await self.db.read(partial(_needs, owner_id=owner_id, dropped=dropped[owner_id]))
            freed += await self._in_thread(partial(self.sweeper.sweep, owner_id, needs, in_need=in_need))
        if freed != Freed():
            log.info("%s", _told(freed))
        self.meters.freed(freed.size_bytes)
        return freed

    async def _drop(self, keep_seconds: float) -> dict[str, set[str]]:
        """Delete the rows that nobody has needed for so long; return the digests by owner."""
        before = to_text(self.clock.wall() - timedelta(seconds=keep_seconds))
        dropped: dict[str, set[str]] = defaultdict(set)
        while ids := await self.db.read(lambda db: snapshots.unneeded(db, before, ROWS_AT_ONCE)):
            gone = await self.db.write(partial(snapshots.drop, ids=ids, before=before))
            for owner_id, digest in gone:
                dropped[owner_id].add(digest)
        return dropped

    async def _in_thread(self, call: Callable[..., Result], *args: object) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)


def _told(freed: Freed) -> str:
    return (
        f"freed {format_size(freed.size_bytes)}: {counted(freed.snapshots, 'snapshot')} and {counted(freed.contents, 'content')} "
        f"that no job needs, and {counted(freed.trees, 'laid-out tree')} in which none runs"
    )


def _needs(db: Connection, owner_id: str, dropped: set[str]) -> Needs:
    """Return what an owner's snapshots are needed for."""
    rows, live = snapshots.digests(db, owner_id), snapshots.live_digests(db, owner_id)
    return Needs(rows=rows, live=live, dropped=dropped)
