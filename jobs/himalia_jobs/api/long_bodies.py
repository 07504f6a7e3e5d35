"""A body that may be long: collected once it is known who sends it.

Any other body is small (`largest_body_bytes`), and is there before anybody is asked who sent it.
"""

from __future__ import annotations

import asyncio

from himalia.errors import HimaliaError, TooLarge
from himalia.units import format_size

from ..strict_json import PIECE_BYTES, Model
from .base import HimaliaHandler
from .body_streams import take_no_more, take_views

JOB_BYTES = 2 * 1024 * 1024  #: of a job with the difference of a work tree, or with a long command


def length_of(header: str) -> int:
    """Return how many bytes a request says that it brings; of a stream nobody knows."""
    return min(int(header), 2**62) if header.isascii() and header.isdigit() else 0


class LongBodyHandler(HimaliaHandler):
    """Base of handlers that are streamed to, and take a `POST` with a long body."""

    failure: HimaliaError | None = None

    @property
    def most_bytes(self) -> int:
        """How long the body may be."""
        return JOB_BYTES

    def too_long(self) -> str:
        """Return what is said of a body that is longer."""
        return f"This is longer than {format_size(self.most_bytes)}: what a job is told belongs in its files."

    async def prepare(self) -> None:
        """Find out who asks before the body is kept; who is refused hears it after what they send."""
        self._collected = bytearray()
        try:
            await super().prepare()
        except HimaliaError as error:
            if self.request.method != "POST":
                raise
            self.failure = error
        if self.request.method != "POST":
            return
        length = length_of(self.request.headers.get("Content-Length", ""))
        if length > self.most_bytes:
            raise self.failure or TooLarge(self.too_long())
        self.request.connection.set_max_body_size(self.most_bytes)  # type: ignore[union-attr]  # a real one
        if length:  # small pieces of another body are put together by tornado before they come
            take_views(self.request.connection)

    def data_received(self, chunk: bytes | memoryview) -> None:
        """Keep the next bytes of somebody who may send them."""
        if self.failure is None and self.request.method == "POST":
            self._collected += chunk

    def take_body(self) -> bytearray:
        """Return what came, and keep nothing of it; raise what is wrong with who sent it."""
        if self.failure is not None:
            raise self.failure
        take_no_more(self.request.connection)
        body, self._collected = self._collected, bytearray()
        return body

    async def long_body_as(self, model: type[Model], body: bytearray) -> Model:
        """Return a body as `body_as` does; one that is long is read in a thread, and others come between its parts."""
        if len(body) <= PIECE_BYTES:
            return self.body_as(model, body)
        return await asyncio.get_running_loop().run_in_executor(self.service.file_threads, self.body_as, model, body)

    def on_finish(self) -> None:
        """Take no more."""
        take_no_more(self.request.connection)

    def on_connection_close(self) -> None:
        """Take no more when the sender is gone, and keep nothing of what came."""
        take_no_more(self.request.connection)
        self._collected.clear()
        super().on_connection_close()  # which ends the wait for the rest of the body
