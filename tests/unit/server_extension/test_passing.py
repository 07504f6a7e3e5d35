"""Where the service is on another origin, the page reaches it through its server; else it does not."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado.simple_httpclient import HTTPTimeoutError


@pytest.fixture
def jp_server_config(jp_server_config, monkeypatch):
    """A server of a hub that gives each user a domain."""
    monkeypatch.setenv("JUPYTERHUB_HOST", "https://hub.example")
    return jp_server_config


async def test_a_request_and_its_answer_pass_unchanged(jp_fetch, ask, service):
    answer = await jp_fetch(
        "himalia/api/service/jobs/abc/artifacts/a b.html",
        headers={"Range": "bytes=0-9"},
        params={"attempt": 1},
        raise_error=False,
    )

    assert answer.code == 206
    assert json.loads(answer.body) == {
        "uri": "/services/jobs/api/jobs/abc/artifacts/a%20b.html?attempt=1",
        "range": "bytes=0-9",
    }
    assert service.tokens == ["ada"]
    status, posted = await ask("POST", "service/jobs/abc/cancel", {})
    assert (status, posted["body"]) == (200, "{}")
    status, _ = await ask("DELETE", "service/jobs/abc")
    assert status == 204


@pytest.mark.fault(95)
async def test_a_page_learns_where_a_log_begins_and_of_which_file_it_has_a_part(jp_fetch):
    answer = await jp_fetch("himalia/api/service/jobs/abc/logs", headers={"If-Range": '"2"'}, raise_error=False)

    assert answer.headers["ETag"] == '"2"'
    assert [answer.headers[f"Himalia-Log-{name}"] for name in ("Offset", "Gap", "End")] == ["7", "7", "7"]


@pytest.mark.fault(49)
async def test_a_file_of_a_job_cannot_act_as_a_page_of_this_origin(jp_fetch):
    answer = await jp_fetch("himalia/api/service/jobs/abc/artifacts/page.html", raise_error=False)

    assert answer.headers["Content-Disposition"] == "attachment"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "a=b" not in answer.headers.get("Set-Cookie", "")


async def test_a_stream_arrives_as_it_is_sent_and_ends_with_the_page(jp_fetch, http_server_client, service):
    pieces: list[bytes] = []
    reading = asyncio.ensure_future(
        jp_fetch(
            "himalia/api/service/events",
            headers={"Last-Event-ID": "7"},
            streaming_callback=pieces.append,
            request_timeout=1,
        )
    )
    async with asyncio.timeout(10):
        while not pieces:
            await asyncio.sleep(0.005)
    assert b"".join(pieces) == b"id: 8\ndata: after 7\n\n"
    assert service.is_receiving.is_set()

    with pytest.raises(HTTPTimeoutError):
        await reading
    async with asyncio.timeout(10):
        while service.is_receiving.is_set():
            await asyncio.sleep(0.005)


async def test_nothing_but_the_service_is_reached(jp_serverapp, jp_auth_header, http_server_client, service):
    for path in ("..", "jobs/../../x", "%2e%2e/x", "jobs/%2E./x", "jobs/..?a=b"):
        answer = await http_server_client.fetch(
            f"{jp_serverapp.base_url}himalia/api/service/{path}", headers=jp_auth_header, raise_error=False
        )
        assert answer.code == 404, path
    assert service.tokens == []


async def test_a_service_that_is_away_is_told_in_words(jp_serverapp, ask):
    (extension,) = jp_serverapp.extension_manager.extension_apps["himalia_server_extension"]
    object.__setattr__(extension.room.settings, "api_url", "http://127.0.0.1:9/api")

    status, answer = await ask("GET", "service/jobs")

    assert (status, answer["error"]["code"]) == (503, "unavailable")


async def test_the_page_is_told_to_ask_here(ask):
    _, info = await ask("GET", "info")

    assert (info["same_origin"], info["service_url"]) == (False, "https://hub.example/services/jobs/api/")
