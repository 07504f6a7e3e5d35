"""Asking servers what their kernels do: no activity, nothing given away, and nothing that a server answers does harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from himalia_jobs.engines.base import Door
from himalia_jobs.engines.doors import door_of
from himalia_jobs.giving_back import activity
from himalia_jobs.giving_back.activity import Activity, Kernels, kernels_of

pytestmark = pytest.mark.asyncio

IDLE = {"execution_state": "idle", "last_activity": "2030-01-01T00:00:00.000000Z"}
BUSY = {"execution_state": "busy", "last_activity": "2030-01-01T00:05:00.000000Z"}


class Server:
    """A notebook server that answers what a test says."""

    def __init__(self) -> None:
        self.answer: Any = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        self.slow = False


@pytest_asyncio.fixture
async def server() -> AsyncIterator[tuple[Server, Door]]:
    """A server, and where it listens."""
    one = Server()

    class Kernels(RequestHandler):
        async def get(self) -> None:
            one.asked.append((self.request.uri or "", self.request.headers.get("Authorization", "")))
            if one.slow:
                await asyncio.Event().wait()
            self.set_status(one.status)
            for name, value in one.headers.items():
                self.set_header(name, value)
            self.finish(one.answer if isinstance(one.answer, str | bytes) else json.dumps(one.answer))

    http = HTTPServer(Application([("/user/ada/api/kernels", Kernels), ("/stolen", Kernels)]))
    sockets = bind_sockets(0, "127.0.0.1")
    http.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    yield one, Door(lease_id="a", url=f"http://127.0.0.1:{port}/user/ada/", token="its own")
    http.stop()
    await http.close_all_connections()


async def test_a_server_is_asked_with_its_own_token_and_in_a_way_that_is_no_activity(server):
    one, door = server
    one.answer = [IDLE, BUSY]

    found = await Activity().look([door], 0.0)

    assert found == {"a": Kernels(busy=True, stamp=BUSY["last_activity"])}
    assert one.asked == [("/user/ada/api/kernels?no_track_activity=1", "token its own")]
    assert "its own" not in repr(door)


@pytest.mark.parametrize(
    "answer",
    ["no json", {"kernels": []}, [1, 2], b"\xff\xfe", "[" * 100_000, "x" * (activity.LONGEST_ANSWER + 1)],
    ids=["words", "object", "numbers", "bytes", "deep", "long"],
)
async def test_an_answer_that_is_none_is_not_known(server, answer):
    one, door = server
    one.answer = answer

    assert await Activity().look([door], 0.0) == {"a": None}


async def test_a_redirection_is_not_followed(server):
    one, door = server
    one.status, one.headers = 302, {"Location": "/stolen"}

    assert await Activity().look([door], 0.0) == {"a": None}
    assert len(one.asked) == 1


async def test_a_server_that_is_slow_or_gone_holds_up_nobody_and_after_a_while_its_gpus_alone_count(
    server, monkeypatch
):
    one, door = server
    one.slow = True
    monkeypatch.setattr(activity, "TIMEOUT_SECONDS", 0.05)
    gone = Door(lease_id="b", url="http://127.0.0.1:1/", token="")
    asking = Activity()

    often = [await asking.look([door, gone], now / 100) for now in range(30)]
    later = await asking.look([door, gone], activity.SILENT_SECONDS)

    assert all(look == {"a": None, "b": None} for look in often), "however often it was asked within a moment"
    assert later == {"a": Kernels(busy=False), "b": Kernels(busy=False)}


async def test_a_server_of_another_kind_has_no_kernels(server):
    one, door = server
    one.status = 404

    assert await Activity().look([door], 0.0) == {"a": Kernels(busy=False)}


async def test_a_kernel_that_says_nothing_odd_is_read():
    assert kernels_of([]) == Kernels(busy=False)
    assert kernels_of([{"execution_state": None, "last_activity": None}]) == Kernels(busy=False)


async def test_where_a_server_listens_is_read_off_its_container():
    said = {
        "Config": {
            "Env": [
                "JUPYTERHUB_API_TOKEN=secret=x",
                "JUPYTERHUB_SERVICE_URL=http://0.0.0.0:8888/user/ada/big/",
                "JUPYTERHUB_SERVICE_PREFIX=/user/ada/big/",
            ]
        },
        "NetworkSettings": {"Networks": {"servers": {"IPAddress": "172.30.0.7"}}},
    }

    assert door_of("a", said, "servers") == Door(
        lease_id="a", url="http://172.30.0.7:8888/user/ada/big/", token="secret=x"
    )
    assert door_of("a", said, "another network") is None
