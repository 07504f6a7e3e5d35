"""Our answer to the hub's idle culler: what is idle, and that servers with GPUs are left to the job service."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from himalia.models import ServerView
from himalia_spawner import idle_culler
from himalia_spawner.idle_culler import arbiter, is_idle, name_of

DAY = 86400.0


def server(**changes: object) -> ServerView:
    """Return what the job service says of a server."""
    fields = {"user": "ada", "lease": "l", "profile": "cpu", "gpus": 0, "since": datetime.now(UTC), "idle_seconds": 0}
    return ServerView.model_validate(fields | changes)


@pytest.mark.parametrize(
    ("url", "name", "whose"),
    [
        ("/user/ada/", "", ("ada", "")),
        ("/user/ada/big%20one/", "big one", ("ada", "big one")),
        ("/base/user/a%40b.org/", "", ("a@b.org", "")),
        ("", "", ("", "")),
    ],
)
def test_whose_a_server_is_is_read_off_its_address(url, name, whose):
    assert name_of({"url": url, "name": name}) == whose


@pytest.mark.parametrize(
    ("known", "inactive", "culled"),
    [
        ([server(idle_seconds=DAY)], timedelta(0), True),
        ([server(idle_seconds=DAY - 1)], timedelta(days=9), False),
        ([server(idle_seconds=9 * DAY, gpus=1)], timedelta(days=9), False),
        ([], timedelta(days=1), True),
        ([], timedelta(hours=23), False),
        ([], None, False),
    ],
    ids=["idle with a tab open", "at work in silence", "has a GPU", "not known", "not known and active", "new"],
)
def test_what_is_stopped(known, inactive, culled):
    by_name = {(one.user, one.server): one for one in known}

    assert is_idle({"url": "/user/ada/", "name": ""}, by_name, inactive, DAY) is culled


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("status", "body", "culled"),
    [
        (200, {"servers": [server(idle_seconds=DAY).model_dump(mode="json")]}, True),
        (503, {"error": {}}, False),
        (200, {"other": 1}, False),
        (200, "no json", False),
    ],
)
async def test_while_the_job_service_is_silent_nothing_is_stopped(monkeypatch, status, body, culled):
    text = body if isinstance(body, str) else json.dumps(body)
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers["Authorization"]))
        return httpx.Response(status, text=text)

    client = httpx.AsyncClient
    monkeypatch.setattr(httpx, "AsyncClient", lambda **_: client(transport=httpx.MockTransport(answer)))
    monkeypatch.setattr(idle_culler, "service_connection", lambda: ("http://service/api", "t"))

    said = await arbiter(
        inactive=timedelta(days=2), inactive_limit=DAY, server={"url": "/user/ada/", "name": ""}, more="later"
    )

    assert said is culled
    assert asked == [("http://service/api/servers", "Bearer t")]


def test_the_culler_does_not_outlive_the_hub_that_started_it():
    starts = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-P', '-m', 'himalia_spawner.idle_culler', '--timeout=60'], "
        "start_new_session=True, stderr=subprocess.PIPE)\n"
        "child.stderr.readline()  # it runs\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    environment = {**os.environ, "JUPYTERHUB_API_TOKEN": "t", "JUPYTERHUB_API_URL": "http://127.0.0.1:1"}
    hub = subprocess.Popen([sys.executable, "-c", starts], stdout=subprocess.PIPE, env=environment)
    assert hub.stdout is not None
    culler = os.pidfd_open(int(hub.stdout.readline()))
    hub.send_signal(signal.SIGKILL)
    hub.wait()
    hub.stdout.close()

    gone, _, _ = select.select([culler], [], [], 20)

    os.close(culler)
    assert gone


def test_the_hub_ends_the_culler_at_once_also_where_a_script_started_the_hub_in_the_background():
    environment = {**os.environ, "JUPYTERHUB_API_TOKEN": "t", "JUPYTERHUB_API_URL": "http://127.0.0.1:1"}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell's `&` does
    try:
        command = [sys.executable, "-P", "-m", "himalia_spawner.idle_culler", "--timeout=60"]
        culler = subprocess.Popen(command, stderr=subprocess.PIPE, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    with culler:
        assert culler.stderr is not None
        culler.stderr.readline()  # it runs

        culler.send_signal(signal.SIGINT)

        assert culler.wait(20) == -signal.SIGINT
