"""`notices`: what one is told, and answering it."""

from __future__ import annotations

from himalia.models import AnswerRequest

from ..person import SUBMIT
from .base import HimaliaHandler


class NoticesHandler(HimaliaHandler):
    """`GET notices`."""

    async def get(self) -> None:
        """List what the asker is told now, the oldest first."""
        found = await self.service.notices.open_of(self.person)
        self.answer({"notices": [notice.model_dump(mode="json") for notice in found]})


class AnswerHandler(HimaliaHandler):
    """`POST notices/{id}/answer`."""

    scope = SUBMIT

    async def post(self, notice_id: str) -> None:
        """Take an answer, and let it be made true."""
        answer = self.body_as(AnswerRequest).answer
        answered = await self.service.notices.answer(self.person, notice_id, answer)
        await self.service.wake(answered.job)
        self.answer(answered)
