"""What administrators do with GPUs: take out, empty, end a hold; and what was done."""

from __future__ import annotations

from himalia.errors import Forbidden
from himalia.models import QuarantineRequest

from ..person import ADMIN
from .base import HimaliaHandler


class AdminHandler(HimaliaHandler):
    """Base of what is for administrators alone."""

    scope = ADMIN

    async def prepare(self) -> None:
        """Let administrators alone through."""
        await super().prepare()
        if not self.person.sees_all:
            raise Forbidden("This is for administrators.")

    async def show(self) -> None:
        """Answer with the ledger as it is now, after the queue was told."""
        await self.service.wake()
        self.answer(await self.service.ledger.gpus(self.person))


class QuarantineHandler(AdminHandler):
    """`POST gpus/{uuid}/quarantine`, `DELETE gpus/{uuid}/quarantine`."""

    async def post(self, uuid: str) -> None:
        """Give a GPU to nobody until it is given back; its holder goes on."""
        why = self.body_as(QuarantineRequest).why
        await self.service.reconciler.keeper.quarantine(uuid, why, self.person.name)
        await self.show()

    async def delete(self, uuid: str) -> None:
        """Give a GPU out again that was taken out or emptied, once it is seen to be free."""
        await self.service.reconciler.keeper.give_back(uuid, self.person.name)
        await self.service.wake()
        self.set_status(204)
        self.finish()


class DrainHandler(AdminHandler):
    """`POST gpus/{uuid}/drain`."""

    async def post(self, uuid: str) -> None:
        """Give a GPU to nobody after its holder, who goes on."""
        why = self.body_as(QuarantineRequest).why
        await self.service.reconciler.keeper.drain(uuid, why, self.person.name)
        await self.show()


class ReleaseHandler(AdminHandler):
    """`POST gpus/{uuid}/release`."""

    async def post(self, uuid: str) -> None:
        """End what holds a GPU: a job is cancelled, a notebook server stopped."""
        why = self.body_as(QuarantineRequest).why
        await self.service.operating.release(uuid, why, self.person.name)
        await self.show()


class InterventionsHandler(AdminHandler):
    """`GET interventions`."""

    async def get(self) -> None:
        """List what administrators did, the last first."""
        found = await self.service.operating.interventions()
        self.answer({"interventions": [one.model_dump(mode="json") for one in found]})
