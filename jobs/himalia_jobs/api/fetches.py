"""`fetches`: repositories that the platform fetches for jobs."""

from __future__ import annotations

from tornado.web import stream_request_body

from himalia.models import FetchRequest
from himalia.units import format_size

from ..person import SUBMIT
from .base import HimaliaHandler
from .long_bodies import LongBodyHandler


@stream_request_body
class FetchesHandler(LongBodyHandler):
    """`POST fetches`: fetch a repository, and submit its files as a job."""

    scope = SUBMIT

    def too_long(self) -> str:
        """Return what is said of a longer request."""
        return f"This is longer than {format_size(self.most_bytes)}: far more than an address and what a job is told."

    async def post(self) -> None:
        """Begin; what is wrong with the address or the job is told at once."""
        request = await self.long_body_as(FetchRequest, self.take_body())
        fetch, new = await self.service.fetches.begin(request, self.person, await self.service.nodes())
        self.answer(fetch.view(), status=201 if new else 200)


class FetchHandler(HimaliaHandler):
    """`GET fetches/{id}`, `DELETE fetches/{id}`."""

    scope = SUBMIT

    async def get(self, fetch_id: str) -> None:
        """Tell how far one's own fetch is."""
        self.answer(self.service.fetches.of(fetch_id, self.person).view())

    async def delete(self, fetch_id: str) -> None:
        """End one's own fetch while there is no job yet."""
        self.service.fetches.of(fetch_id, self.person).stop()
        self.set_status(204)
        self.finish()
