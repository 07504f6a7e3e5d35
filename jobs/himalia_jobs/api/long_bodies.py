"""A body that may be long: collected once it is known who sends it.

Any other body is small (`largest_body_bytes`), and is there before anybody is asked who sent it.
"""

from __future__ import annotations

from himalia.errors import HimaliaError, TooLarge
from himalia.units import format_size

from .base import HimaliaHandler


def length_of(header: str) -> int:
    """Return how many bytes a request says that it brings; of a stream nobody knows."""
    return min(int(header), 2**62) if header.isascii() and header.isdigit() else 0


class LongBodyHandler(HimaliaHandler):
    """Base of handlers that are streamed to, and take a `POST` with a long body."""

    largest_body_bytes = None  # it is set once it is known who asks
    failure: HimaliaError | None = None

    def most_bytes(self) -> int:
        """Return how long the body may be."""
        raise NotImplementedError

    async def prepare(self) -> None:
        """Find out who asks before the body is kept; who is refused hears it after what they send."""
        self._collected = bytearray()
        try:
            await super().prepare()
        except HimaliaError as error:
            if self.request.method != "POST":
                raise
            self.failure = error
        if length_of(self.request.headers.get("Content-Length", "")) > self.most_bytes():
            raise TooLarge(f"The list of files is longer than {format_size(self.most_bytes())}. Leave some files out.")
        self.request.connection.set_max_body_size(self.most_bytes())  # type: ignore[union-attr]  # a real one

    def data_received(self, chunk: bytes) -> None:
        """Keep the next bytes of somebody who may send them."""
        if self.failure is None:
            self._collected += chunk

    def take_body(self) -> bytearray:
        """Return what came, and keep nothing of it; raise what is wrong with who sent it."""
        if self.failure is not None:
            raise self.failure
        body, self._collected = self._collected, bytearray()
        return body
