"""`gpus` and `leases`: the ledger, shown to people and used by the spawner."""

from __future__ import annotations

from himalia.errors import NotFound
from himalia.ids import is_id
from himalia.models import BindRequest, LeaseRequest, StayRequest
from himalia.states import LeaseState

from ..person import LEASE
from ..store import leases, watched, wishes
from ..store.records import LeaseRecord
from .base import HimaliaHandler


class GPUsHandler(HimaliaHandler):
    """`GET gpus`."""

    async def get(self) -> None:
        """Show slots, holders, what is free, the queue."""
        self.answer(await self.service.ledger.gpus(self.person))


class LeaseBase(HimaliaHandler):
    """What the spawner alone may call."""

    scope = LEASE

    async def lease(self, lease_id: str) -> LeaseRecord:
        """Return a server's lease."""
        found = await self.service.db.read(lambda db: leases.find(db, lease_id)) if is_id(lease_id) else None
        if found is None or found.kind != "server":
            raise NotFound(f"There is no lease {lease_id}.")
        return found

    async def show(self, lease: LeaseRecord, status: int = 200) -> None:
        """Answer with a lease as the spawner needs it."""
        self.answer(await self.service.serving.view(lease), status=status)


class LeasesHandler(LeaseBase):
    """`GET leases?user=&server=`, `POST leases`."""

    async def get(self) -> None:
        """Show what a server waits for, if it waits by itself; and why its last start was ended, if we ended it."""
        person = await self.service.hub.named(self.argument("user"), ())
        server = self.argument("server")
        found = await self.service.db.read(lambda db: wishes.of_server(db, person.id, server))
        shown = [await self.service.serving.view(found)] if found else []
        ended = await self.service.db.read(lambda db: watched.last_end(db, person.id, server))
        self.answer({"leases": [lease.model_dump(mode="json") for lease in shown], "ended": ended})

    async def post(self) -> None:
        """Ask for a share of a node; it waits in the same queue as the jobs."""
        request = self.body_as(LeaseRequest)
        lease, new = await self.service.serving.ask(request)
        await self.service.wake()
        await self.show(await self._decided(lease), status=201 if new else 200)

    async def _decided(self, lease: LeaseRecord) -> LeaseRecord:
        """Return a lease once it is known whether it is its turn."""
        deadline = self.service.clock.now() + self.service.serving.decision_seconds
        while lease.state is LeaseState.WAITING and self.service.line.position(lease.id) is None:
            seen, left = self.service.changes.number, deadline - self.service.clock.now()
            lease = await self.lease(lease.id)
            if lease.state is LeaseState.WAITING and (left <= 0 or not await self.service.changes.wait(left, seen)):
                break
        return await self.lease(lease.id)


class LeaseHandler(LeaseBase):
    """`GET leases/{id}`, `DELETE leases/{id}`."""

    async def get(self, lease_id: str) -> None:
        """Show a lease."""
        await self.show(await self.lease(lease_id))

    async def delete(self, lease_id: str) -> None:
        """Give a lease back, or leave the line."""
        lease = await self.lease(lease_id)
        await self.service.serving.give_back(lease)
        await self.service.wake()
        self.set_status(204)
        self.finish()


class StayHandler(LeaseBase):
    """`POST leases/{id}/stay`."""

    async def post(self, lease_id: str) -> None:
        """Let a server wait by itself: it is started when it is its turn."""
        lease = await self.lease(lease_id)
        await self.show(await self.service.serving.stay(lease, self.body_as(StayRequest).options))


class BindHandler(LeaseBase):
    """`POST leases/{id}/bind`."""

    async def post(self, lease_id: str) -> None:
        """Tell that the container is made; refuse when the reservation has lapsed."""
        lease = await self.lease(lease_id)
        container = self.body_as(BindRequest).container
        await self.show(await self.service.serving.bind(lease, container))
