"""`waiting`: one's own servers that wait in line."""

from __future__ import annotations

from ..person import READ, SUBMIT
from ..store.records import LeaseRecord
from .base import HimaliaHandler


class WaitBase(HimaliaHandler):
    """What a person may do with their own places in line."""

    scope = SUBMIT

    async def wait(self, wait_id: str) -> LeaseRecord:
        """Return a wait of this person."""
        return await self.service.waiting.find(wait_id, self.person)

    def show(self, wish: LeaseRecord) -> None:
        """Answer with where a wait stands."""
        self.answer(self.service.waiting.view(wish, self.person.reader))


class WaitingHandler(WaitBase):
    """`GET waiting`."""

    scope = READ

    async def get(self) -> None:
        """List one's own servers that wait."""
        found = await self.service.waiting.of(self.person)
        self.answer({"waiting": [wait.model_dump(mode="json") for wait in found]})


class WaitHandler(WaitBase):
    """`GET waiting/{id}`, `DELETE waiting/{id}`."""

    scope = READ

    async def get(self, wait_id: str) -> None:
        """Show where in line a server is, or what became of it."""
        self.show(await self.wait(wait_id))

    async def delete(self, wait_id: str) -> None:
        """Leave the line."""
        self.person.need(SUBMIT)
        await self.service.waiting.leave(await self.wait(wait_id))
        self.set_status(204)
        self.finish()


class StartWithoutHandler(WaitBase):
    """`POST waiting/{id}/start`."""

    async def post(self, wait_id: str) -> None:
        """Start the server without its GPUs now, and go on waiting for them."""
        self.show(await self.service.waiting.start_without(await self.wait(wait_id)))


class RestartHandler(WaitBase):
    """`POST waiting/{id}/restart`."""

    async def post(self, wait_id: str) -> None:
        """Restart the server with the GPUs that are kept for it."""
        self.show(await self.service.waiting.restart(await self.wait(wait_id)))
