"""Starts the servers whose turn it is, and ends waits that are over: no hub and no browser has to stand behind a wait.

All of it is found in the database: after a kill at any point the next look goes on where the last one was.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http import HTTPStatus

from sqlalchemy import Connection

from himalia.errors import Unauthenticated, Unavailable
from himalia.models import Outcome
from himalia.site import Site
from himalia.states import LeaseState

from . import wait_notices as telling
from .bootclock import BootClock
from .hub import HUB_SILENT, Hub
from .hub_servers import HubServers
from .store import Database, leases, wishes
from .store.clock import from_text
from .store.records import LeaseRecord
from .work import Work

log = logging.getLogger(__name__)

AT_ONCE = 8
AGAIN_SECONDS = 2.0  #: until a start that was not possible is tried again
STOPPING_SECONDS = 1.0  #: between two looks at a server that is being stopped
KEPT_SECONDS = 5.0  #: between two looks at a server that runs without its GPUs
STARTING_SECONDS = 5.0  #: between two looks at a server that is being started


class Starter:
    """One step for each wait whose turn it is, again and again until it has a server or is over."""

    def __init__(
        self, db: Database, hub: Hub, servers: HubServers, site: Site, clock: BootClock, changed: Callable[[], None]
    ) -> None:
        self.db = db
        self.hub = hub
        self.servers = servers
        self.site = site
        self.clock = clock
        self.changed = changed
        self.work = Work(self.step, at_once=AT_ONCE)
        self.said: dict[str, str] = {}  #: why the start of a wait is not possible right now
        self._since: dict[str, float] = {}  #: from when on a share is kept
        self._wanted: set[str] = set()  #: those whose restart has been begun

    def look(self, their_turn: Iterable[tuple[str, bool]]) -> None:
        """See to all whose turn it is, as `wishes.their_turn` has them."""
        seen_to = self.work.keys()
        for lease_id, restart_wanted in their_turn:
            answered = restart_wanted and lease_id not in self._wanted
            if answered or lease_id not in seen_to:
                self._wanted |= {lease_id} if restart_wanted else set()
                self.work.add(lease_id)

    async def tidy(self) -> None:
        """End the waits of those who may not start any more, and those that took too long; keep their teams up to date."""
        now = self.clock.wall()
        for wish in await self.db.read(wishes.unended):
            if wish.state is LeaseState.WAITING and now > self.leaves_at(wish):
                await self._end(wish, Outcome.TOO_LONG)
                continue
            try:
                refused = await self._why_not(wish)
            except Unavailable:
                return
            if refused is not None:
                await self._end(wish, refused)

    def leaves_at(self, wish: LeaseRecord) -> datetime:
        """Return when a wait ends if its turn has not come."""
        return from_text(wish.created_at) + timedelta(seconds=self.site.queue.longest_wait)

    def kept_seconds(self, lease_id: str) -> float:
        """Return how long what is kept for somebody will still be."""
        since = self._since.setdefault(lease_id, self.clock.now())
        return self.site.queue.kept_for - (self.clock.now() - since)

    async def step(self, lease_id: str) -> float | None:
        """Bring one wait forward; return when to look again, none when it needs nothing more."""
        wish = await self.db.read(lambda db: leases.find(db, lease_id))
        if wish is None or not wish.lasting or wish.state is not LeaseState.RESERVED:
            self.said.pop(lease_id, None)
            self._since.pop(lease_id, None)
            self._wanted.discard(lease_id)
            await self.db.write(lambda db: telling.nothing_more(db, lease_id))
            return None
        left = self.kept_seconds(lease_id)
        if left <= 0:
            await self._end(wish, Outcome.PASSED_ON, self.said.get(lease_id, ""))
            return 0.0
        try:
            refused = await self._why_not(wish)
            if refused is not None:
                await self._end(wish, refused)
                return 0.0
            if wish.beside is not None and not wish.restart_wanted:
                await self._tell(wish, left)
                return min(left, KEPT_SECONDS)
            return await (self._stop(wish) if wish.beside is not None else self._start(wish))
        except Unavailable:
            self._say(lease_id, HUB_SILENT)
            return AGAIN_SECONDS

    async def _stop(self, wish: LeaseRecord) -> float:
        """Stop the server that runs without its GPUs, and start it with them."""
        answer = await self.servers.stop(wish.user, wish.holder)
        if answer.status == HTTPStatus.NO_CONTENT:
            return await self._start(wish)
        if not answer.done:
            self._say(wish.id, answer.message)
        return STOPPING_SECONDS

    async def _start(self, wish: LeaseRecord) -> float:
        answer = await self.servers.start(wish.user, wish.holder, start_options(wish))
        if answer.done:
            self._say(wish.id, "")
            return STARTING_SECONDS
        log.info("the server %s/%s was not started: %s %s", wish.user, wish.holder, answer.status, answer.message)

        def write(db: Connection) -> None:
            # Either the spawner was never asked, or it has given the share back by itself.
            if not (answer.for_good and wishes.end(db, wish.id, Outcome.NOT_STARTED, answer.message)):
                wishes.explain(db, wish.id, answer.message)

        await self.db.write(write)
        self._say(wish.id, answer.message)
        return AGAIN_SECONDS

    async def _why_not(self, wish: LeaseRecord) -> Outcome | None:
        """Return why a server may not be started for its person any more; write the teams that they are in now."""
        try:
            person = await self.hub.now(wish.user)
        except Unauthenticated:
            return Outcome.GONE
        if person.id != wish.user_id or not await self.servers.knows(wish.user, wish.holder):
            return Outcome.GONE
        profile = self.site.profile(wish.profile)
        if profile is None or not profile.servers:
            return Outcome.NOT_ALLOWED
        if not profile.allows(person.name, list(person.teams), admin=person.admin):
            return Outcome.NOT_ALLOWED
        if dict(person.teams) != wish.teams:
            await self.db.write(lambda db: wishes.change(db, wish.id, teams=dict(person.teams)))
        return None

    async def _tell(self, wish: LeaseRecord, left: float) -> None:
        """Tell the person once, in Lab, that a restart gives the GPUs."""
        if await self.db.read(lambda db: telling.is_told(db, wish.id)):
            return
        until = self.clock.wall() + timedelta(seconds=left)
        await self.db.write(lambda db: telling.gpus_are_kept(db, wish, until))
        self.changed()

    async def _end(self, wish: LeaseRecord, outcome: Outcome, detail: str = "") -> None:
        now = self.clock.wall()

        def write(db: Connection) -> bool:
            if not wishes.end(db, wish.id, outcome, detail):
                return False
            telling.is_over(db, wish, outcome, detail, now)
            return True

        if await self.db.write(write):
            log.info("the wait of %s/%s is over: %s %s", wish.user, wish.holder, outcome, detail)
            self.changed()

    def _say(self, lease_id: str, said: str) -> None:
        if self.said.get(lease_id, "") != said:
            self.said[lease_id] = said
            self.changed()


def start_options(wish: LeaseRecord) -> dict[str, object]:
    """Return the choice as it was made, with the wait that it is for: who leaves the line meanwhile gets no server."""
    return {**wish.options, "wait": wish.id}
