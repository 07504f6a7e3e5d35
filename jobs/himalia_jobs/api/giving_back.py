"""`gpus/{uuid}/ask` and `servers`: asking a holder, and how long one's servers have been idle and may go on."""

from __future__ import annotations

from ..person import READ, SUBMIT, WATCH
from .base import HimaliaHandler


class AskHandler(HimaliaHandler):
    """`POST gpus/{uuid}/ask`."""

    scope = SUBMIT

    async def post(self, uuid: str) -> None:
        """Ask the holder of a GPU that something of the asker's waits for to give it back."""
        asked = await self.service.asking.ask(self.person, uuid, self.service.line)
        await self.service.wake()
        self.answer(asked)


class ServersHandler(HimaliaHandler):
    """`GET servers`: one's own; to the hub's idle culler everybody's."""

    scope = None

    async def prepare(self) -> None:
        """Let the culler ask as well as people."""
        self.service.must_work()
        self.person = await self.service.hub.person(self)
        if WATCH not in self.person.scopes:
            self.person.need(READ)

    async def get(self) -> None:
        """List the running servers: how long they have been idle, and how long they may go on."""
        everybody = WATCH in self.person.scopes
        found = await self.service.giving_back.servers(None if everybody else self.person.id)
        self.answer({"servers": [server.model_dump(mode="json") for server in found]})
