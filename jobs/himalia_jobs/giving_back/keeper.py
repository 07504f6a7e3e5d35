"""Giving back, round by round: look, decide, write, and let servers end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from sqlalchemy import Connection

from himalia.gpus import Slot
from himalia.models import ServerView
from himalia.site import Site
from himalia.states import STARTED_STATES, LeaseState

from ..bootclock import BootClock
from ..engines.base import Engine
from ..engines.errors import EngineError
from ..engines.gpus import GPUState
from ..hub import Hub
from ..store import Database, jobs, leases, notices, watched
from ..store.clock import from_text, to_text
from ..store.records import JobRecord, LeaseRecord
from ..store.watched import WatchedRecord
from .activity import Activity
from .ending import Ending
from .measuring import Look, measured, use_of, write_uses
from .terms import terms_of
from .words import Terms, Use
from .writing import OF_LEASES, Held, due, write_decisions

log = logging.getLogger(__name__)

SHORTEST_LOOK_SECONDS, LONGEST_LOOK_SECONDS = 0.5, 20.0
KEPT_SECONDS = 60.0  #: what is measured may be lost for so long when the service is killed
TOLD_SECONDS = 60.0  #: idleness that is told to those who wait
REMEMBERED = timedelta(days=7)  #: why a server was ended


class SeenGPUs(Protocol):
    """Knows what was seen on the GPUs last, and when."""

    states: Mapping[str, GPUState]
    seen_clock: float


class GivingBack:
    """Measures how long GPUs have been idle, and lets them come back by the settings."""

    def __init__(
        self,
        db: Database,
        engine: Engine,
        hub: Hub,
        site: Site,
        clock: BootClock,
        seen: SeenGPUs,
        wake: Callable[[str | None], None],
    ) -> None:
        self.db = db
        self.engine = engine
        self.site = site
        self.clock = clock
        self.seen = seen
        self.wake = wake  #: called when something changed, with the id of a job that needs a step
        self.ending = Ending(db, hub, site)
        self.uses: dict[str, Use] = {}  #: by lease
        self.idle: dict[str, datetime] = {}  #: since when, as far as it is worth telling
        self.ends: dict[str, datetime] = {}  #: when a server reaches its largest age
        self._activity = Activity()
        self._kept = 0.0

    @property
    def look_seconds(self) -> float:
        """How often it looks: several times within a warning."""
        return min(LONGEST_LOOK_SECONDS, max(SHORTEST_LOOK_SECONDS, self.site.idle.warning / 40))

    async def step(self) -> None:
        """Do one round."""
        standing = await self.db.read(_read)
        try:
            await self._look(standing)
        except EngineError as error:
            log.debug("nobody knows now what the GPUs do: %s", error)
        await self._decide(standing)
        await self.ending.step()
        await self._sweep()

    async def servers(self, user_id: str | None) -> list[ServerView]:
        """Return the running servers of a person (none: of everybody): how long they have been idle, and may go on."""
        standing = await self.db.read(_read)
        return [
            self._view(lease, standing)
            for lease in standing.leases
            if lease.kind == "server" and user_id in (None, lease.user_id)
        ]

    def _view(self, lease: LeaseRecord, standing: _Standing) -> ServerView:
        record, terms = standing.known.get(lease.id), self._terms(lease, standing)
        use = self.uses.get(lease.id) or _known(record)
        limit = None if terms.idle_after is None else max(terms.idle_after, record.kept_until if record else 0.0)
        return ServerView(
            user=lease.user,
            server=lease.holder,
            lease=lease.id,
            profile=lease.profile,
            gpus=len(standing.slots.get(lease.id, ())),
            since=from_text(lease.changed_at),
            idle_seconds=use.idle_seconds,
            idle_limit_seconds=limit,
            ends_at=self.ends.get(lease.id),
            ending=record is not None and record.end_reason is not None,
        )

    async def _look(self, standing: _Standing) -> None:
        """Measure, and keep what was measured when it is worth it."""
        servers = {lease.id for lease in standing.leases if lease.kind == "server"}
        doors = [door for door in await self.engine.doors() if door.lease_id in servers] if servers else []
        look = Look(
            clock=self.clock.now(),
            boot_id=self.clock.boot_id,
            states=self.seen.states,
            states_clock=self.seen.seen_clock,
            kernels=await self._activity.look(doors, self.clock.now()),
            busy_percent=self.site.idle.busy_percent,
        )
        known = standing.known
        before = {lease.id: self.uses.get(lease.id) or _known(known.get(lease.id)) for lease in standing.leases}
        self.uses = {
            lease.id: measured(lease, standing.slots.get(lease.id, ()), before[lease.id], look)
            for lease in standing.leases
        }
        self._tell(standing)
        fresh = any(lease_id not in known for lease_id in self.uses)
        used_again = any(
            use.idle_seconds == 0.0
            and (record := known.get(lease_id)) is not None
            and (record.warned_idle or record.kept)
            for lease_id, use in self.uses.items()
        )
        if fresh or used_again or look.clock - self._kept >= KEPT_SECONDS:
            await self._keep(standing, look.clock)

    async def _keep(self, standing: _Standing, clock: float) -> None:
        held = {lease.id: lease for lease in standing.leases}
        first = {lease.id: self.clock.at(from_text(lease.changed_at)) for lease in standing.leases}
        await self.db.write(partial(write_uses, uses=self.uses, held=held, first=first))
        self._kept = clock

    def _tell(self, standing: _Standing) -> None:
        """Work out what those who wait are told."""
        now, clock = self.clock.wall(), self.clock.now()
        self.idle = {
            lease_id: now - timedelta(seconds=use.idle_seconds)
            for lease_id, use in self.uses.items()
            if use.idle_seconds >= TOLD_SECONDS
        }
        ages = (
            (lease, self._terms(lease, standing).max_age, standing.known.get(lease.id)) for lease in standing.leases
        )
        self.ends = {
            lease.id: now + timedelta(seconds=max_age - (clock - record.first_clock))
            for lease, max_age, record in ages
            if max_age is not None and record is not None
        }

    async def _decide(self, standing: _Standing) -> None:
        """Do what is due; what the database says is read anew where it is written."""
        held = {
            lease.id: Held(
                lease=lease,
                terms=self._terms(lease, standing),
                gpus=len(standing.slots.get(lease.id, ())),
                job=standing.jobs.get(lease.id),
            )
            for lease in standing.leases
        }
        idle, clock, now = self._seconds(), self.clock.now(), self.clock.wall()
        if not await self.db.read(lambda db: due(db, held, idle, clock=clock)):
            return
        for step in await self.db.write(lambda db: write_decisions(db, held, idle, clock=clock, now=now)):
            log.info("lease %s: %s", step.lease_id, step.do)
            job = held[step.lease_id].job
            self.wake(job.id if job is not None else None)

    def _seconds(self) -> dict[str, float]:
        return {lease_id: use.idle_seconds for lease_id, use in self.uses.items()}

    async def _sweep(self) -> None:
        """Forget leases that went back; why we ended one is remembered for a while."""
        long_ago = to_text(self.clock.wall() - REMEMBERED)

        def gone(db: Connection) -> list[str]:
            known = watched.everything(db)
            return [key for key in watched.over(db) if _is_done(known[key], long_ago)]

        if await self.db.read(gone):

            def write(db: Connection) -> None:
                over = gone(db)
                for lease_id in over:
                    notices.withdraw_of_lease(db, lease_id, OF_LEASES)
                watched.forget(db, over)

            await self.db.write(write)
            self.wake(None)

    def _terms(self, lease: LeaseRecord, standing: _Standing) -> Terms:
        gpus = len(standing.slots.get(lease.id, ()))
        return terms_of(self.site, lease.kind, self.site.profile(lease.profile), gpus=gpus)


@dataclass(frozen=True, kw_only=True)
class _Standing:
    """What is held, as the database has it."""

    leases: Sequence[LeaseRecord]
    slots: Mapping[str, Sequence[Slot]]
    jobs: Mapping[str, JobRecord]
    known: Mapping[str, WatchedRecord]


def _read(db: Connection) -> _Standing:
    """Return what is held by people, with what is known of it; what nobody stands behind is left alone."""
    running = {attempt.lease_id: job for job, attempt in jobs.running(db, STARTED_STATES)}
    held = [lease for lease in leases.live(db) if lease.state is LeaseState.HELD and lease.user_id]
    return _Standing(leases=held, slots=leases.slots_by_lease(db), jobs=running, known=watched.everything(db))


def _known(record: WatchedRecord | None) -> Use:
    return Use() if record is None else use_of(record)


def _is_done(record: WatchedRecord, long_ago: str) -> bool:
    """Tell whether nothing is left to do about a lease that went back."""
    if record.end_reason is None or not record.end_sentence:
        return True
    return record.ended_at is not None and record.ended_at < long_ago
