"""Bringing database and containers together: at the start, every few seconds, and when the engine hints."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from himalia.errors import Busy
from himalia.gpus import Slot
from himalia.ids import is_id, new_id
from himalia.states import STARTED_STATES, LeaseState

from .engines.base import Engine, Listing, Observed, Phase
from .engines.errors import EngineError
from .serving import Serving
from .shares import Shares
from .slotkeeper import SlotKeeper
from .store import Database, jobs, leases
from .store.clock import now_text
from .store.records import LeaseRecord

log = logging.getLogger(__name__)


class Reconciler:
    """Reads leases first and containers second: a lease seen here whose container comes later is still within its time."""

    def __init__(self, db: Database, engine: Engine, serving: Serving, look_at: Callable[[str], None]) -> None:
        self.db = db
        self.engine = engine
        self.serving = serving
        self.keeper = SlotKeeper(db, engine)
        self.shares: Shares | None = None  #: where somebody watches the memory of shared GPUs
        self.look_at = look_at  #: called with the id of a job that needs a step
        self.strangers: list[str] = []  #: sentences about containers of ours that the database does not know
        self._one_round = asyncio.Lock()

    async def run(self) -> bool:
        """Do one round, after any that is under way; return whether anything went back to the pool."""
        async with self._one_round:  # two at once would both hold a share for the same stranger
            return await self._run()

    async def _run(self) -> bool:
        standing = await self.db.read(leases.live)
        listing = await self.engine.list()
        for job in await self.db.read(lambda db: jobs.in_states(db, STARTED_STATES)):
            self.look_at(job.id)
        if not listing.complete:
            return False
        dropped = await self._drop(standing, listing)
        adopted = await self._adopt(listing)
        completed = await self.db.write(partial(_complete, listing=listing)) if await self._lacks(listing) else False
        await self._sweep(listing)
        looked = await self.keeper.look()
        if self.shares is not None and self.keeper.use is not None:
            await self.shares.look(self.keeper.use)
        return dropped or adopted or completed or looked

    async def _drop(self, standing: list[LeaseRecord], listing: Listing) -> bool:
        """Give back what no container stands behind any more; the runner does so for the jobs it knows."""
        here = {lease.id: _container_of(lease, listing) for lease in standing}
        ours = [lease for lease in standing if lease.kind == "server" or _is_adopted(lease)]
        over = [lease for lease in ours if self._is_over(lease, here[lease.id])]

        def write(db: Connection) -> None:
            for lease in over:
                log.info("lease %s of %s went back: its container is gone", lease.id, lease.user)
                leases.release(db, lease.id)

        if over:
            await self.db.write(write)
        for lease in ours:
            found = here[lease.id]
            if lease.state is LeaseState.RESERVED and found is not None and _runs(found):
                with contextlib.suppress(Busy):  # it was given back in this moment
                    await self.serving.bind(lease, found.name)
        return bool(over)

    def _is_over(self, lease: LeaseRecord, found: Observed | None) -> bool:
        if lease.state is LeaseState.HELD:
            return found is None or found.phase is Phase.EXITED
        return not _runs(found) and self.serving.lapsed(lease)

    async def _adopt(self, listing: Listing) -> bool:
        """Hold the share of every running container of ours that no lease stands for, and say so as long as it runs."""
        standing = await self.db.read(leases.live)
        known = {found.name for lease in standing if (found := _container_of(lease, listing)) is not None}
        fresh = [found for found in listing.containers if _runs(found) and found.name not in known]
        for found in fresh:
            await self.db.write(partial(_hold, found=found))
        adopted = [found.name for found in fresh]
        adopted += [lease.container or "" for lease in standing if _is_adopted(lease) and lease.container in known]
        self.strangers = [
            f"The container {name} carries this installation's label, but the database does not know it. "
            "Its share is held until it ends."
            for name in sorted(adopted)
        ]
        return bool(fresh)

    async def _lacks(self, listing: Listing) -> bool:
        return bool(await self.db.read(partial(_lacking, listing=listing)))

    async def _sweep(self, listing: Listing) -> None:
        """Clear away what is left of attempts that no lease stands for: created too late, or unknown and at their end."""
        standing = {lease.id for lease in await self.db.read(leases.live)}
        for found in listing.containers:
            if found.kind == "job" and not _runs(found) and found.lease_id not in standing and found.attempt:
                try:
                    await self.engine.forget(found.attempt)
                    log.info("%s was cleared away: no lease stands for it", found.name)
                except EngineError as error:
                    log.warning("%s cannot be cleared away yet: %s", found.name, error)


def _runs(found: Observed | None) -> bool:
    return found is not None and found.phase is Phase.RUNNING


def _is_adopted(lease: LeaseRecord) -> bool:
    """Tell whether a lease was written for a container that the database did not know: it is nobody's."""
    return lease.user_id == ""


def _container_of(lease: LeaseRecord, listing: Listing) -> Observed | None:
    """Return the container of a lease, by its label; of an adopted one by its name: the label may be another's."""
    if _is_adopted(lease):
        return next((found for found in listing.containers if found.name == lease.container), None)
    return next((found for found in listing.containers if found.lease_id == lease.id), None)


def _hold(db: Connection, found: Observed) -> None:
    """Write a held lease for a container, from its labels; one that was given back is not taken up again."""
    usable = is_id(found.lease_id) and leases.find(db, found.lease_id) is None
    lease_id = found.lease_id if usable else new_id()
    leases.add(
        db,
        {
            "id": lease_id,
            "kind": found.kind,
            "state": str(LeaseState.HELD),
            "node_id": found.node_id,
            "user_id": "",
            "user": found.user or found.owner,
            "holder": found.attempt,
            "profile": "",
            "cpus": found.cpus,
            "memory_bytes": found.memory_bytes,
            "gpus": str(len(found.slots)),
            "teams": {},
            "container": found.name,
            "created_at": now_text(),
        },
    )
    for slot in leases.all_slots(db):
        here = slot.node_id == found.node_id and slot.uuid in found.slots
        if here and not leases.take_slots(db, lease_id, [slot]):
            log.error("%s runs on the slot %s that another lease holds", found.name, slot.uuid)


def _lacking(db: Connection, listing: Listing) -> list[tuple[str, Slot]]:
    """Return the leases whose container runs on a slot that nobody holds, with the slot: it came free under it."""
    held = leases.lease_of_slot(db)
    by_name = {
        found.name: lease.id
        for lease in leases.live(db)
        if lease.state is LeaseState.HELD and (found := _container_of(lease, listing)) is not None
    }
    return [
        (by_name[found.name], slot)
        for found in listing.containers
        if _runs(found) and found.name in by_name
        for slot in leases.all_slots(db)
        if slot.node_id == found.node_id and slot.uuid in found.slots and not leases.crosses(db, [slot], held)
    ]


def _complete(db: Connection, listing: Listing) -> bool:
    """Give running containers the slots they really have, where nobody else holds them."""
    completed = False
    for lease_id, slot in _lacking(db, listing):
        if leases.take_slots(db, lease_id, [slot]):
            log.warning("lease %s was given the slot %s that its container has", lease_id, slot.uuid)
            completed = True
    return completed
