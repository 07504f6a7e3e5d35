"""`gpus/{uuid}/mode`: how a GPU is given out; administrators change it."""

from __future__ import annotations

from himalia.errors import Forbidden
from himalia.models import GPUModeRequest

from ..person import ADMIN
from .base import HimaliaHandler


class GPUModeHandler(HimaliaHandler):
    """`GET gpus/{uuid}/mode`, `PUT gpus/{uuid}/mode`, `DELETE gpus/{uuid}/mode`."""

    scope = ADMIN

    async def prepare(self) -> None:
        """Let administrators alone through."""
        await super().prepare()
        if not self.person.sees_all:
            raise Forbidden("This is for administrators.")

    async def get(self, uuid: str) -> None:
        """Show how a GPU is given out, and whether that is in force."""
        self.answer(await self.service.gpu_modes.view(uuid))

    async def put(self, uuid: str) -> None:
        """Give a GPU another mode; holders go on, and it is in force once they have ended."""
        view = await self.service.gpu_modes.set(uuid, self.body_as(GPUModeRequest), self.person.name)
        await self.service.wake()
        self.answer(view)

    async def delete(self, uuid: str) -> None:
        """Give a GPU the mode that the operator's file says."""
        view = await self.service.gpu_modes.unset(uuid, self.person.name)
        await self.service.wake()
        self.answer(view)
