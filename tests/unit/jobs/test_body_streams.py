"""Bodies that come in views of one buffer: the same bytes as without, and nothing of what comes before and after."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from himalia_jobs.api.body_streams import (
    MOST_LENT,
    PART_BYTES,
    WAKE_BYTES,
    BodyServer,
    Buffers,
    take_no_more,
    take_views,
)

pytestmark = pytest.mark.asyncio

BODY = os.urandom(3 * PART_BYTES + 12_345)
lengths: list[int] = []  #: the length of each part that has come


@stream_request_body
class Echo(RequestHandler):
    """Answers with the body; says in which objects it came."""

    def prepare(self) -> None:
        """Begin."""
        self.came = bytearray()
        self.objects: set[int] = set()
        if self.request.path == "/lent":
            take_views(self.request.connection)

    def data_received(self, chunk: Any) -> None:
        """Copy a part."""
        self.came += chunk
        if isinstance(chunk, memoryview):
            self.objects.add(id(chunk.obj))
        lengths.append(len(chunk))

    def put(self) -> None:
        """Answer."""
        self.set_header("Objects", str(len(self.objects)))
        self.write(bytes(self.came))

    def on_finish(self) -> None:
        """End."""
        take_no_more(self.request.connection)


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


def objects_of(answer: tuple[bytes, bytes]) -> int:
    """Return how many buffers a body's views were of."""
    return int(answer[0].split(b"Objects: ")[1].split(b"\r")[0])


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


async def test_in_views_all_parts_that_wait_are_of_one_buffer(port):
    (lent, usual) = await answers(port, 2, plain("/lent", BODY), plain("/usual", BODY))

    assert (objects_of(lent), objects_of(usual)) == (1, 0)
    assert lent[1] == usual[1] == BODY


async def test_a_buffer_that_was_taken_back_is_the_next_ones_unless_it_is_still_read_from():
    buffers = Buffers()
    first = buffers.lend()
    buffers.take_back(first)
    assert buffers.lend() is first

    buffers.take_back(first, is_read=True)  # the sender went while a thread was at it
    assert buffers.lend() is not first


async def test_a_crowd_of_senders_takes_no_crowd_of_buffers():
    buffers = Buffers()
    lent = [buffers.lend() for _ in range(MOST_LENT)]
    assert None not in lent
    assert buffers.lend() is None

    buffers.take_back(lent[0])
    assert buffers.lend() is lent[0]


@pytest.mark.fault(66)
@pytest.mark.parametrize("path", ["/lent", "/usual"])
async def test_who_sends_byte_by_byte_is_looked_at_when_a_good_part_has_come(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, body = plain(path, BODY[: WAKE_BYTES + 45]).split(b"\r\n\r\n", 1)
    writer.write(head + b"\r\n\r\n")
    await answers(port, 1, plain(path, b"others are answered meanwhile"))
    lengths.clear()

    for place in range(0, WAKE_BYTES - 1, 100):
        writer.write(body[place : min(place + 100, WAKE_BYTES - 1)])
        await writer.drain()
        await asyncio.sleep(0)
    await answers(port, 1, plain("/usual", b"others"))
    assert lengths == [len(b"others")]

    writer.write(body[WAKE_BYTES - 1 :])
    await reader.readuntil(b"\r\n\r\n")
    assert await reader.readexactly(len(body)) == body
    assert len(lengths) <= 3
    writer.write(plain(path, b"the next one"))
    await reader.readuntil(b"the next one")
    writer.close()
    await writer.wait_closed()


@pytest.mark.fault(66)
@pytest.mark.parametrize("path", ["/lent", "/usual"])
async def test_who_goes_before_the_answer_leaves_no_trace(port, path, caplog):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(plain(path, BODY[:200_000]))
    await writer.drain()
    writer.transport.abort()
    await answers(port, 1, plain(path, b"others"))

    assert not caplog.records
