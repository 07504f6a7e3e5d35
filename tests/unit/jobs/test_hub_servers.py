"""Starting servers through a hub that may be killed while it is asked."""

from __future__ import annotations

import asyncio

import pytest

from himalia.errors import Unavailable
from himalia_jobs.hub_servers import HubServers

pytestmark = pytest.mark.asyncio


async def test_a_hub_that_dies_before_it_answers_is_one_that_is_not_there():
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    hub = await asyncio.start_server(die, "127.0.0.1", 0)
    servers = HubServers(f"http://127.0.0.1:{hub.sockets[0].getsockname()[1]}/hub/api", "token")
    async with hub:
        with pytest.raises(Unavailable, match="The hub does not answer"):
            await servers.start("ada", "", {"profile": "small"})

    servers.close()
