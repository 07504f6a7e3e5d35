"""Uploads as a stranger may send them: cut, endless, slow, larger than announced; each ends soon and leaves nothing half."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tracemalloc
from collections.abc import AsyncIterator, Iterable

import httpx
import pytest
from blake3 import blake3
from service_at_work import AtWork, at_work, listening, one_file
from uploads import opened, packed_of, sent

from himalia.models import Manifest
from himalia.snapshot.wire import END, PLAIN, header
from himalia_jobs.api import snapshots as handlers

pytestmark = pytest.mark.asyncio

MB = 1024 * 1024


async def begun(
    work: AtWork, snapshot: dict[str, object], *headers: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Begin an upload by hand, with these headers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", work.http.base_url.port)
    first = f"PUT /services/jobs/api/snapshots/{snapshot['id']}/contents HTTP/1.1"
    lines = (first, "Host: x", "Authorization: Bearer ada-token", *headers, "", "")
    writer.write("\r\n".join(lines).encode())
    return reader, writer


async def until_cut(reader: asyncio.StreamReader) -> bytes:
    """Return what comes until the other side ends the connection, in whichever way."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def hung_up(writer: asyncio.StreamWriter) -> None:
    """Close a connection; return when it is closed."""
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


def half_written(work: AtWork) -> list[str]:
    """Return what is half written."""
    folders = [work.service.layout.data / folder / ".drafts" for folder in ("blobs", "snapshots")]
    return [name for folder in folders if folder.is_dir() for name in os.listdir(folder)]


async def settled(work: AtWork) -> None:
    """Return when nothing is half written any more."""
    async with asyncio.timeout(20):
        while half_written(work):
            await asyncio.sleep(0.01)


@pytest.mark.fault(66)
@pytest.mark.parametrize(("share", "whole"), [(0.0, 0), (0.5, 1), (0.99, 2)])
async def test_an_upload_cut_anywhere_leaves_what_came_whole_and_goes_on(work: AtWork, share, whole):
    contents = tuple(os.urandom(200_000) for _ in range(3))
    snapshot = await opened(work, *contents)
    pack = packed_of(*contents)
    _, writer = await begun(work, snapshot, f"Content-Length: {len(pack)}")

    writer.write(pack[: int(len(pack) * share)])
    await writer.drain()
    await hung_up(writer)

    kept = work.service.contents.blobs
    async with asyncio.timeout(20):
        while half_written(work) or len(list(kept.glob("*/??/*"))) < whole:
            await asyncio.sleep(0.01)
    assert len((await opened(work, *contents))["missing"]) == 3 - whole  # type: ignore[arg-type]
    await sent(work, *contents)


@pytest.mark.fault(66)
@pytest.mark.parametrize("what", ["PUT {contents}", "POST jobs", "POST fetches", "POST snapshots"])
async def test_nobody_waits_on_for_the_rest_of_a_body_that_was_cut(work: AtWork, what):
    snapshot = await opened(work, os.urandom(200_000))
    method, path = what.format(contents=f"snapshots/{snapshot['id']}/contents").split()
    _, writer = await asyncio.open_connection("127.0.0.1", work.http.base_url.port)
    lines = (f"{method} /services/jobs/api/{path} HTTP/1.1", "Host: x", "Authorization: Bearer ada-token")
    writer.write("\r\n".join((*lines, "Content-Length: 200000", "", "")).encode() + b"{" * 100_000)
    await writer.drain()
    async with asyncio.timeout(20):
        while not at_work_on_answers():
            await asyncio.sleep(0.01)

        await hung_up(writer)
        while at_work_on_answers():
            await asyncio.sleep(0.01)


def at_work_on_answers() -> list[object]:
    """Return the requests that are not answered yet."""
    return [task for task in asyncio.all_tasks() if "RequestHandler._execute" in repr(task)]


@pytest.mark.fault(66)
async def test_an_upload_that_is_longer_than_it_said_is_taken_for_cut(work: AtWork):
    contents = (b"first", b"second")
    snapshot, pack = await opened(work, *contents), packed_of(*contents)
    reader, writer = await begun(work, snapshot, f"Content-Length: {len(pack) - 40}")

    writer.write(pack)
    answer = await reader.readuntil(b"}}")
    await hung_up(writer)

    assert answer.startswith(b"HTTP/1.1 400")
    assert b"ended too early" in answer
    await settled(work)
    await sent(work, *contents)


@pytest.mark.fault(66)
async def test_an_upload_that_is_shorter_than_it_said_leaves_nothing_half_when_its_sender_goes(work: AtWork):
    contents = (b"first", b"second")
    snapshot, pack = await opened(work, *contents), packed_of(*contents)
    _, writer = await begun(work, snapshot, f"Content-Length: {len(pack) + 40}")

    writer.write(pack)
    await writer.drain()
    await hung_up(writer)

    await settled(work)
    await sent(work, *contents)


@pytest.mark.fault(66)
async def test_an_upload_without_a_length_takes_little_memory_however_long_it_is(work: AtWork):
    contents = [bytes([number]) * (4 * MB) for number in range(8)]
    snapshot = await opened(work, *contents)

    async def pieces() -> AsyncIterator[bytes]:
        yield PLAIN
        for content in contents:
            yield header(blake3(content).hexdigest(), len(content))
            for at in range(0, len(content), MB // 4):
                yield content[at : at + MB // 4]
        yield END

    tracemalloc.start()
    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=pieces())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert answer.json()["missing"] == []
    assert most < 12 * MB


@pytest.mark.fault(66)
async def test_an_upload_byte_by_byte_is_cut_and_leaves_nothing_half(work: AtWork, monkeypatch):
    monkeypatch.setattr(handlers, "PACE_SECONDS", 0.5)
    content = os.urandom(100_000)
    snapshot, pack = await opened(work, content), packed_of(content)
    reader, writer = await begun(work, snapshot, f"Content-Length: {len(pack)}")

    writer.write(pack[:100])
    end = asyncio.create_task(until_cut(reader))
    came = 100
    async with asyncio.timeout(20):
        while not end.done():
            writer.write(pack[came : came + 1])
            came += 1
            await asyncio.sleep(0.005)
    await hung_up(writer)

    assert await end == b""
    assert came < len(pack)
    await settled(work)


@pytest.mark.fault(66)
async def test_any_other_body_byte_by_byte_is_cut(work: AtWork):
    async with listening(work.service, body_timeout=0.3) as http:
        reader, writer = await asyncio.open_connection("127.0.0.1", http.base_url.port)
        lines = ("POST /services/jobs/api/snapshots HTTP/1.1", "Host: x", "Authorization: Bearer ada-token")
        writer.write("\r\n".join((*lines, "Content-Length: 100000", "", "{")).encode())
        end = asyncio.create_task(until_cut(reader))
        async with asyncio.timeout(20):
            while not end.done():
                writer.write(b" ")
                await asyncio.sleep(0.005)
        await hung_up(writer)

        assert await end == b""
        content = os.urandom(300_000)  # an upload has its pace instead
        snapshot = await opened(work, content)

        async def slowly() -> AsyncIterator[bytes]:
            pack = packed_of(content)
            for at in range(0, len(pack), 50_000):
                yield pack[at : at + 50_000]
                await asyncio.sleep(0.1)

        headers = {"Authorization": "Bearer ada-token"}
        url = f"/services/jobs/api/snapshots/{snapshot['id']}/contents"
        assert (await http.put(url, content=slowly(), headers=headers)).json()["missing"] == []


@pytest.mark.fault(66)
async def test_a_slow_upload_that_goes_on_is_not_cut(work: AtWork, monkeypatch):
    monkeypatch.setattr(handlers, "PACE_SECONDS", 0.5)
    monkeypatch.setattr(handlers, "LEAST_BYTES", handlers.WAKE_BYTES + 1_000)
    content = os.urandom(400_000)
    snapshot, pack = await opened(work, content), packed_of(content)
    reader, writer = await begun(work, snapshot, f"Content-Length: {len(pack)}", "Connection: close")

    for at in range(0, len(pack), 4_000):
        writer.write(pack[at : at + 4_000])
        await asyncio.sleep(0.02)
    answer = await reader.read()
    await hung_up(writer)

    assert answer.startswith(b"HTTP/1.1 200")


@pytest.mark.fault(67)
async def test_a_directory_larger_than_it_may_be_is_refused_before_a_byte_of_it_is_sent(tmp_path):
    two_gigabytes = one_file("a", size_bytes=2 * 1024 * MB, chunks=("ab" * 32,) * 512)
    async with at_work(tmp_path, limits={"workspace": "1G"}) as work:
        wish = {"owner": "user:ada", "manifest": two_gigabytes.model_dump(mode="json")}
        answer = await work.ask("POST", "snapshots", json=wish)

    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
    assert "more than the 1.0 GB allowed" in answer.json()["error"]["message"]
    assert not list((tmp_path / "snapshots").glob("*/*"))


@pytest.mark.fault(67)
async def test_an_upload_larger_than_all_that_is_missing_is_refused_without_being_kept(work: AtWork, monkeypatch):
    monkeypatch.setattr(handlers, "DROPPED_BYTES", MB)
    snapshot = await opened(work, b"right")
    reader, writer = await begun(work, snapshot, f"Content-Length: {2 * 1024 * MB}")

    told, sent_bytes = asyncio.create_task(reader.read()), 0
    async with asyncio.timeout(60):
        while not told.done():
            writer.write(bytes(50_000))
            sent_bytes += 50_000
            await asyncio.sleep(0.01)
    await hung_up(writer)

    assert (await told).startswith(b"HTTP/1.1 413")
    assert b"larger than all the contents" in await told
    assert sent_bytes < 3 * MB
    assert half_written(work) == []


def lying(length: int) -> bytes:
    """Return a pack whose content says that it is so long."""
    return PLAIN + header(blake3(b"right").hexdigest(), length) + b"right" + END


@pytest.mark.fault(71)
@pytest.mark.parametrize(
    "pack",
    [
        lying(2**63),
        lying(2**64 - 1),
        lying(4),
        lying(6),
        lying(0),
        PLAIN + header("00" * 31 + "01", 5) + b"right" + END,
        PLAIN + packed_of(b"right")[8:-32] * 2 + END,
        PLAIN + (header("ab" * 32, 0) * 1000) + END,
        packed_of(b"right")[:-1],
        b"PK\x03\x04" + bytes(100),
    ],
    ids=["2^63", "2^64", "shorter", "longer", "nothing", "odd", "twice", "empty ones", "no end", "a zip"],
)
async def test_a_pack_whose_numbers_lie_is_refused_and_nothing_is_kept_under_a_wrong_name(work: AtWork, pack):
    snapshot = await opened(work, b"right")

    answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=pack)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unparsable")
    assert half_written(work) == []
    kept = [path for path in work.service.contents.blobs.glob("*/??/*") if path.is_file()]
    assert all(path.name == blake3(path.read_bytes()).hexdigest() for path in kept)
    await sent(work, b"right")


@pytest.mark.fault(79)
async def test_the_same_files_sent_by_many_at_once_are_kept_once_and_all_get_through(work: AtWork):
    contents = tuple(os.urandom(300_000) for _ in range(4))

    async def pieces(pack: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(pack), 50_000):
            yield pack[at : at + 50_000]
            await asyncio.sleep(0)

    async def send() -> str:
        snapshot = await opened(work, *contents)
        pack = pieces(packed_of(*contents))
        answer = await work.ask("PUT", f"snapshots/{snapshot['id']}/contents", content=pack)
        assert answer.json()["missing"] == []
        assert (await work.ask("POST", f"snapshots/{snapshot['id']}/commit")).json()["committed"]
        return str(snapshot["id"])

    ids: Iterable[str] = await asyncio.gather(*[send() for _ in range(5)])

    assert len(set(ids)) == 1
    kept = [path for path in work.service.contents.blobs.glob("*/??/*") if path.is_file()]
    assert sorted(path.name for path in kept) == sorted(blake3(content).hexdigest() for content in contents)
    assert half_written(work) == []


@pytest.mark.fault(70)
async def test_each_directory_counts_that_entries_lie_in(tmp_path):
    few_entries_in_many = [one_file(f"{number}/{'d/' * 100}f").entries[0] for number in range(10)]
    async with at_work(tmp_path, limits={"entries": 1000}) as work:
        wish = {"owner": "user:ada", "manifest": Manifest(entries=tuple(few_entries_in_many)).model_dump(mode="json")}
        refused = await work.ask("POST", "snapshots", json=wish)
        wish["manifest"] = Manifest(entries=tuple(few_entries_in_many[:9])).model_dump(mode="json")
        taken = await work.ask("POST", "snapshots", json=wish)

    assert (refused.status_code, taken.status_code) == (413, 201)
    assert "the directories that they lie in" in refused.json()["error"]["message"]


@pytest.mark.fault(94)
async def test_a_long_list_of_files_is_kept_for_nobody_who_may_not_send_it(work: AtWork):
    """The server of these tests takes 4 MB of any other body, the service as well."""
    files = [one_file(f"{'d' * 200}{number}").entries[0] for number in range(20_000)]
    wish = {"owner": "user:ada", "manifest": Manifest(entries=tuple(files)).model_dump(mode="json")}
    body = json.dumps(wish).encode()
    assert len(body) > 5 * MB

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 50_000):
            yield body[at : at + 50_000]

    tracemalloc.start()
    nobody = await work.ask("POST", "snapshots", None, content=pieces())
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    taken = await work.ask("POST", "snapshots", content=body)

    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "unauthenticated")
    assert most < 2 * MB
    assert taken.status_code == 201


@pytest.mark.fault(94)
async def test_a_list_of_files_that_would_take_far_more_memory_than_it_is_long_is_refused(tmp_path):
    async with at_work(tmp_path, limits={"entries": 1000}) as work:
        short = b'{"owner": "user:ada", "manifest": {"entries": [' + b"{}," * 100_000 + b"{}]}}"
        tracemalloc.start()
        many = await work.ask("POST", "snapshots", content=short)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        with contextlib.suppress(httpx.TransportError):  # the connection is cut
            long = await work.ask("POST", "snapshots", content=b" " * (3 * MB))
            assert (long.status_code, long.json()["error"]["code"]) == (413, "too_large")

        assert (many.status_code, many.json()["error"]["code"]) == (413, "too_large")
        assert most < 3 * MB
        assert (await work.ask("GET", "me")).status_code == 200
