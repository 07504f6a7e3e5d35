"""Every address that is no page."""

from __future__ import annotations

from himalia.errors import HimaliaError, NotFound

from ..api.base import HimaliaHandler
from .base import PageHandler


class MissingPage(PageHandler):
    """Says that nothing is here: to people as a page, to programs as the API does."""

    scope = None

    async def prepare(self) -> None:
        """Say that nothing is here."""
        raise NotFound("There is nothing at this address.")

    def answer_error(self, error: HimaliaError) -> None:
        """Answer as whoever asks can read it."""
        if "text/html" in self.request.headers.get("Accept", ""):
            super().answer_error(error)
        else:
            HimaliaHandler.answer_error(self, error)
