"""Bodies that are read straight into a buffer, instead of being copied twice more on the way to their handler."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection
from tornado.iostream import IOStream

PART_BYTES = 1024 * 1024  #: of a body, at once: in smaller parts the way to the threads and back costs more
#: Of all else at once, a byte that comes alone among it: Python fills as much with zeros for each read.
READ_BYTES = 64 * 1024


class BodyStream(IOStream):
    """A connection that reads the parts of a body into one buffer, where somebody has given it one."""

    buffer: memoryview | None = None

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[Any]:
        """Read so many bytes, or (partial) those that are there; with a buffer these are a view of it, until the next are read."""
        if partial and self.buffer is not None:
            return self._read_part(self.buffer[:num_bytes])
        return super().read_bytes(num_bytes, partial)

    async def _read_part(self, room: memoryview) -> memoryview:
        return room[: await self.read_into(room, partial=True)]  # type: ignore[arg-type]  # any buffer does


class BodyServer(HTTPServer):
    """tornado's server, on such connections."""

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a connection of which nothing was read yet."""
        own = BodyStream(stream.socket, max_buffer_size=stream.max_buffer_size, read_chunk_size=READ_BYTES)
        super().handle_stream(own, address)


#: Buffers that nobody has: a connection that was cut keeps its own until Python looks for garbage, which may be long.
_spare: list[memoryview] = []
MOST_SPARE = 8


def lend_buffer(connection: HTTPConnection | None, length: int) -> None:
    """Have a body of so many bytes come in views of one buffer: its handler is done with each before it takes the next."""
    if isinstance(stream := getattr(connection, "stream", None), BodyStream):
        whole = length >= PART_BYTES
        stream.buffer = _spare.pop() if whole and _spare else memoryview(bytearray(min(PART_BYTES, length)))


def take_buffer_back(connection: HTTPConnection | None, *, is_read: bool = False) -> None:
    """Read what else comes as usual. Somebody else may get the buffer, unless it is still read from."""
    if isinstance(stream := getattr(connection, "stream", None), BodyStream):
        buffer, stream.buffer = stream.buffer, None
        if buffer is not None and not is_read and len(buffer) == PART_BYTES and len(_spare) < MOST_SPARE:
            _spare.append(buffer)
