"""Bodies that are read straight into a buffer, instead of being copied twice more on the way to their handler."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPConnection
from tornado.iostream import IOStream

PART_BYTES = 1024 * 1024  #: of a body, at once: in smaller parts the way to the threads and back costs more
#: Of all else at once, a byte that comes alone among it: Python fills as much with zeros for each read.
READ_BYTES = 64 * 1024
#: Of a body, before it is looked at again: who sends byte by byte keeps the kernel at work, and nobody waiting.
WAKE_BYTES = 8 * 1024
MOST_LENT = 16  #: buffers; whoever else sends is read from as usual
MOST_SPARE = 4  #: that are kept while nobody has them


class Buffers:
    """Buffers of one part each; few are lent at once, so that a crowd of senders takes no crowd of them."""

    def __init__(self) -> None:
        self._spare: list[memoryview] = []
        self._lent = 0

    def lend(self) -> memoryview | None:
        """Return a buffer; none where many have one."""
        if self._lent == MOST_LENT:
            return None
        self._lent += 1
        return self._spare.pop() if self._spare else memoryview(bytearray(PART_BYTES))

    def take_back(self, buffer: memoryview, *, is_read: bool = False) -> None:
        """Have a buffer for others; one that is still read from is nobody's any more."""
        self._lent -= 1
        if not is_read and len(self._spare) < MOST_SPARE:
            self._spare.append(buffer)


BUFFERS = Buffers()


class BodyStream(IOStream):
    """A connection that reads the parts of a body into a lent buffer, where its handler takes them as views."""

    in_views = False
    buffer: memoryview | None = None  #: while somebody has views of it
    _least = 1

    def read_bytes(self, num_bytes: int, partial: bool = False) -> Awaitable[Any]:
        """Read so many bytes, or (partial) a good part of them; in views these are of one buffer, until the next are read."""
        self._wake_at(min(num_bytes, WAKE_BYTES) if partial else 1)
        if partial and self.in_views and (part := self._part_that_is_there(num_bytes)):
            return part
        return super().read_bytes(num_bytes, partial)

    def read_until(self, delimiter: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read to the end of a line."""
        self._wake_at(1)
        return super().read_until(delimiter, max_bytes)

    def read_until_regex(self, regex: bytes, max_bytes: int | None = None) -> Awaitable[bytes]:
        """Read to the end of a head."""
        self._wake_at(1)
        return super().read_until_regex(regex, max_bytes)

    def _wake_at(self, least: int) -> None:
        """Have the kernel tell of no fewer bytes than these, which must be sure to come, or of the end."""
        if least != self._least and not self.closed():
            self._least = least
            with contextlib.suppress(OSError):  # the connection is gone, which reading tells
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, least)

    def _part_that_is_there(self, num_bytes: int) -> Awaitable[memoryview] | None:
        """Return bytes that have come already, in a buffer; who is waited for has none."""
        if self.closed() or len(self._read_buffer):
            return None  # the end is told, and what has come with the head is read, as usual
        buffer, self.buffer = self.buffer or BUFFERS.lend(), None
        if buffer is None:
            return None
        length = None
        with contextlib.suppress(OSError):  # the connection is gone, which is told where it is read from as usual
            length = self.read_from_fd(buffer[:num_bytes])
        if not length:
            BUFFERS.take_back(buffer)
            return None
        self.buffer = buffer
        part: asyncio.Future[memoryview] = asyncio.get_running_loop().create_future()
        part.set_result(buffer[:length])
        return part


class BodyServer(HTTPServer):
    """tornado's server, on such connections."""

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a connection of which nothing was read yet."""
        own = BodyStream(stream.socket, max_buffer_size=stream.max_buffer_size, read_chunk_size=READ_BYTES)
        super().handle_stream(own, address)


def take_views(connection: HTTPConnection | None) -> None:
    """Have a body come in views of a buffer: its handler is done with each before it takes the next."""
    if isinstance(stream := getattr(connection, "stream", None), BodyStream):
        stream.in_views = True


def take_no_more(connection: HTTPConnection | None, *, is_read: bool = False) -> None:
    """Read what else comes as usual. Somebody else may get the buffer, unless it is still read from."""
    if isinstance(stream := getattr(connection, "stream", None), BodyStream):
        buffer, stream.buffer, stream.in_views = stream.buffer, None, False
        if buffer is not None:
            BUFFERS.take_back(buffer, is_read=is_read)
