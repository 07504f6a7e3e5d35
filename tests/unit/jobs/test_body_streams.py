"""Bodies that come in views of one buffer: the same bytes as without, and nothing of what comes before and after."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import pytest_asyncio
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from himalia_jobs.api.body_streams import PART_BYTES, BodyServer, BodyStream, lend_buffer, take_buffer_back

pytestmark = pytest.mark.asyncio

BODY = os.urandom(3 * PART_BYTES + 12_345)


@stream_request_body
class Echo(RequestHandler):
    """Answers with the body; says in which objects it came."""

    def prepare(self) -> None:
        """Begin."""
        self.came = bytearray()
        self.objects: set[int] = set()
        if self.request.path == "/lent":
            lend_buffer(self.request.connection, PART_BYTES)

    def data_received(self, chunk: Any) -> None:
        """Copy a part."""
        self.came += chunk
        self.objects.add(id(chunk.obj) if isinstance(chunk, memoryview) else 0)

    def put(self) -> None:
        """Answer."""
        self.set_header("Objects", str(len(self.objects)))
        self.write(bytes(self.came))

    def on_finish(self) -> None:
        """End."""
        take_buffer_back(self.request.connection)


@pytest_asyncio.fixture
async def port() -> AsyncIterator[int]:
    """Serve."""
    server = BodyServer(Application([("/.*", Echo)]), chunk_size=PART_BYTES)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield sockets[0].getsockname()[1]
    server.stop()
    await server.close_all_connections()


def plain(path: str, body: bytes) -> bytes:
    """Return a request with a body of a length that is told."""
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(path: str, body: bytes, length: int = 700_000) -> bytes:
    """Return a request with a body in pieces."""
    pieces = [body[at : at + length] for at in range(0, len(body), length)]
    sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))
    return f"PUT {path} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + sent


async def answers(port: int, count: int, *pieces: bytes) -> list[tuple[bytes, bytes]]:
    """Send over one connection; return heads and bodies of so many answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def write() -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    writing = asyncio.create_task(write())
    found = []
    for _ in range(count):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length"))
        found.append((head, await reader.readexactly(length)))
    await writing
    writer.close()
    await writer.wait_closed()
    return found


@pytest.mark.parametrize("request_of", [plain, chunked])
async def test_a_body_comes_whole_wherever_it_is_cut_also_with_its_head_and_the_next_request(port, request_of):
    sent = request_of("/lent", BODY) + request_of("/lent", b"second") + request_of("/usual", b"third")
    place = sent.index(b"\r\n\r\n")

    for cuts in ((), (place + 4,), (place + 30, 1_000_000), (len(sent) - 200,), (7, len(sent) - 1)):
        places = (0, *cuts, len(sent))
        pieces = [sent[begin:end] for begin, end in zip(places, places[1:], strict=False)]

        assert [body for _, body in await answers(port, 3, *pieces)] == [BODY, b"second", b"third"]


async def test_with_a_buffer_all_parts_are_views_of_it(port):
    (lent, usual) = await answers(port, 2, plain("/lent", BODY), plain("/usual", BODY))

    assert b"\r\nObjects: 1\r\n" in lent[0]
    assert lent[1] == usual[1] == BODY


async def test_a_buffer_that_was_taken_back_is_the_next_ones_and_a_short_body_has_a_short_one():
    connection: Any = SimpleNamespace(stream=BodyStream(socket.socket()))
    lend_buffer(connection, 2 * PART_BYTES)
    first = connection.stream.buffer
    take_buffer_back(connection)
    assert connection.stream.buffer is None

    lend_buffer(connection, PART_BYTES)
    assert connection.stream.buffer is first

    take_buffer_back(connection, is_read=True)  # the sender went while a thread was at it
    lend_buffer(connection, PART_BYTES)
    assert connection.stream.buffer is not first

    lend_buffer(connection, 5)
    assert len(connection.stream.buffer) == 5
    connection.stream.close()
