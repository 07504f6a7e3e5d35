"""The client of the lease API tells errors in words that are fit for people."""

from __future__ import annotations

import asyncio

import pytest

from himalia.errors import Busy, FieldError, NotFound, Unauthenticated, Unavailable
from himalia.models import LeaseRequest
from himalia.states import LeaseState
from himalia_spawner.in_line import sentence_of
from himalia_spawner.leases import LeaseClient


def request(spawn_id: str = "s1", profile: str = "gpu") -> LeaseRequest:
    """Return a request for a server of alice."""
    return LeaseRequest(user="alice", spawn_id=spawn_id, profile=profile)


@pytest.mark.asyncio
async def test_asking_twice_for_one_start_gives_one_lease(service):
    async with LeaseClient(service.url, service.token) as client:
        first, second = await client.ask(request()), await client.ask(request())

    assert first.id == second.id
    assert len(service.leases) == 1


@pytest.mark.asyncio
async def test_what_waits_by_itself_is_found_by_its_server(service):
    service.gpus = 0
    async with LeaseClient(service.url, service.token) as client:
        lease = await client.ask(request())
        assert await client.waiting("alice", "") == ()

        kept = await client.stay(lease.id, {"profile": "gpu"})
        (found,) = await client.waiting("alice", "")

    assert (kept.lasting, found.id, found.state) == (True, lease.id, LeaseState.WAITING)
    assert "1st in line" in sentence_of(found)


@pytest.mark.asyncio
async def test_giving_back_twice_is_harmless(service):
    async with LeaseClient(service.url, service.token) as client:
        lease = await client.ask(request())
        await client.give_back(lease.id)
        await client.give_back(lease.id)

    assert service.live() == []


@pytest.mark.asyncio
async def test_refusals_are_the_services_own_errors(service):
    async with LeaseClient(service.url, service.token) as client:
        with pytest.raises(FieldError, match="no profile"):
            await client.ask(request(profile="huge"))
        with pytest.raises(NotFound):
            await client.bind("nosuchlease2", "c")
        lease = await client.ask(request())
        await client.give_back(lease.id)
        with pytest.raises(Busy, match="lapsed"):
            await client.bind(lease.id, "c")
    async with LeaseClient(service.url, "wrong") as client:
        with pytest.raises(Unauthenticated):
            await client.profiles("alice", (), admin=False)


@pytest.mark.asyncio
async def test_silence_and_nonsense_are_unavailable(service):
    await service.hang_up()
    async with LeaseClient(service.url, service.token) as client:
        with pytest.raises(Unavailable, match="does not answer"):
            await client.ask(request())

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 5\r\nConnection: close\r\n\r\n<htm>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(nonsense, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with LeaseClient(f"http://127.0.0.1:{port}", "t") as client:
            with pytest.raises(Unavailable, match="does not answer"):
                await client.waiting("alice", "")
