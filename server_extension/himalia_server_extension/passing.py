"""`service/…`: the job service through this server, for pages that have it on another origin and cannot ask it themselves.

Everything passed is in the name of who looks at the page. Under one origin the page asks the service itself: what goes
through here keeps the server active.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress

import httpx
from tornado import web
from tornado.iostream import StreamClosedError

from himalia.errors import NotFound, Unavailable

from .handlers import HimaliaHandler

SENT_ON = ("Accept", "Content-Type", "If-Range", "Last-Event-ID", "Range")
#: Among them those that keep a file, which a stranger named and filled, from acting as a page of this origin.
SENT_BACK = (
    "Accept-Ranges",
    "Cache-Control",
    "Content-Disposition",
    "Content-Length",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "ETag",
    "Himalia-Log-End",
    "Himalia-Log-Gap",
    "Himalia-Log-Offset",
)
#: A stream of events may be silent for a while; the service gives a sign of life every 15 s.
TIMEOUT = httpx.Timeout(30.0, connect=10.0, read=60.0)


class PassHandler(HimaliaHandler):
    """`service/…`: pass a request on, and its answer back as it arrives."""

    _track_activity = False
    _copying: asyncio.Task[None] | None = None

    @web.authenticated
    async def get(self) -> None:
        """Read something, or follow it."""
        await self._pass()

    @web.authenticated
    async def post(self) -> None:
        """Have something done."""
        await self._pass()

    @web.authenticated
    async def delete(self) -> None:
        """Remove something."""
        await self._pass()

    def on_connection_close(self) -> None:
        """Stop reading what nobody reads any more."""
        if self._copying is not None:
            self._copying.cancel()

    async def _pass(self) -> None:
        if self.room.settings.same_origin:
            raise NotFound("Here the page asks the job service itself.")
        self._copying = asyncio.ensure_future(self._copy(self._address(), self._asking()))
        with suppress(asyncio.CancelledError, StreamClosedError):
            await self._copying

    async def _copy(self, url: str, headers: Mapping[str, str]) -> None:
        content = self.request.body or None
        try:
            async with self.room.http.stream(
                str(self.request.method), url, content=content, headers=headers, timeout=TIMEOUT
            ) as answer:
                self._begin(answer)
                async for block in answer.aiter_raw():
                    self.write(block)
                    await self.flush()
        except httpx.HTTPError as error:
            if self._headers_written:
                # The page sees a cut, and goes on where it was.
                self.request.connection.stream.close()  # type: ignore[union-attr]
                return
            raise Unavailable("The job service does not answer now. Jobs go on; try again.") from error

    def _begin(self, answer: httpx.Response) -> None:
        self.set_status(answer.status_code)
        for name in SENT_BACK:
            if name in answer.headers:
                self.set_header(name, answer.headers[name])

    def _address(self) -> str:
        # As it came: what is escaped in it stays so.
        asked = str(self.request.uri).split("/himalia/api/service/", 1)[1]
        if ".." in asked.split("?", 1)[0].replace("%2e", ".").replace("%2E", ".").split("/"):
            raise NotFound("There is nothing at this address.")
        return f"{self.room.api_url}/{asked}"

    def _asking(self) -> dict[str, str]:
        kept = {name: self.request.headers[name] for name in SENT_ON if name in self.request.headers}
        return kept | {"Authorization": f"Bearer {self.persons_token()}", "Accept-Encoding": "identity"}
