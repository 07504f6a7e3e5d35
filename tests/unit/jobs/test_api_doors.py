"""Every route asks who is there, answers errors in one shape, and is described."""

from __future__ import annotations

import contextlib
import itertools
import json

import httpx
import pytest
from doors import CHANGING, DOORS, GUARDED, plain, served
from service_at_work import AtWork

from himalia import models
from himalia.version import API_VERSION, OLDEST_CLIENT
from himalia_jobs.api.openapi import ROUTES as DESCRIBED
from himalia_jobs.api.openapi import describe

pytestmark = pytest.mark.asyncio


@pytest.mark.fault(82)
async def test_every_route_asks_who_is_there(work: AtWork):
    for method, path in GUARDED:
        nobody = await work.ask(method, path, None)
        stranger = await work.ask(method, path, "mallory")

        assert (nobody.status_code, stranger.status_code) == (401, 401), (method, path)
        assert nobody.headers["WWW-Authenticate"] == "Bearer"
        if method != "head":
            assert nobody.json()["error"]["code"] == "unauthenticated"


async def test_every_route_answers_errors_in_one_shape(work: AtWork):
    work.hub.knows("weak", scopes=("access:services!service=jobs",))
    no_stream = {"Last-Event-ID": "nonsense"}

    for (method, path), who in itertools.product(DOORS, (None, "weak", "ada", "eve")):
        answer = await work.ask(method, path, who, headers=dict(no_stream))

        assert answer.status_code < 500, (method, path)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        if answer.is_error and method != "head":
            assert set(answer.json()) == {"error"}, (method, path)
            assert set(answer.json()["error"]) == {"code", "message", "fields"}
            assert answer.json()["error"]["message"].endswith(".")


@pytest.mark.fault(82)
async def test_every_route_needs_a_scope(work: AtWork):
    work.hub.knows("weak", scopes=("access:services!service=jobs",))
    work.hub.knows("outside", scopes=("custom:jobs:read", "custom:jobs:submit"))

    for method, path in GUARDED:
        weak, outside = await work.ask(method, path, "weak"), await work.ask(method, path, "outside")

        assert (weak.status_code, outside.status_code) == (403, 403), (method, path)
        if method != "head":
            assert "custom:jobs:" in weak.json()["error"]["message"]
            assert "access:services!service=jobs" in outside.json()["error"]["message"]


@pytest.mark.fault(82)
async def test_a_token_that_may_only_read_changes_nothing(work: AtWork):
    work.hub.knows("reader", scopes=("access:services!service=jobs", "custom:jobs:read"))

    for method, path in CHANGING:
        assert (await work.ask(method, path, "reader")).status_code == 403, (method, path)


@pytest.mark.parametrize("path", ["", "nothing", "jobs/", "jobs/a/b/c/d", "../etc/passwd", "%00"])
async def test_an_address_that_is_not_ours_is_not_found(work: AtWork, path):
    answer = await work.ask("GET", path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_method_that_a_route_lacks_is_not_found(work: AtWork, method):
    assert (await work.ask(method, "me")).status_code == 404


@pytest.mark.fault(94)
@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"\xff\xfe", 400, None),
        (b"[]", 400, None),
        (b"[" * 100_000, 400, None),
        (b'{"project": "x", "command": "true", "cpus": NaN}', 400, None),
        (b'{"project": "x", "command": "true", "cpus": 1e999}', 422, "cpus"),
        (b'{"project": "x", "command": "true", "profle": "small"}', 422, "profle"),
        (b'{"command": "true"}', 422, "project"),
        (b'{"project": "\\ud800", "command": "true"}', 422, "project"),
        (b'{"project": 1, "command": "true"}', 422, "project"),
    ],
)
async def test_a_body_that_cannot_be_read_or_taken_is_told(work: AtWork, body, status, field):
    answer = await work.ask("POST", "jobs", content=body)

    assert answer.status_code == status
    assert list(answer.json()["error"]["fields"]) == ([field] if field else [])


@pytest.mark.fault(94)
async def test_a_body_that_is_too_large_is_refused_without_being_read(work: AtWork):
    with contextlib.suppress(httpx.TransportError):  # the connection is cut
        answer = await work.ask("POST", "jobs", content=b"x" * 5_000_000)
        assert answer.status_code in (400, 413)

    assert (await work.ask("GET", "jobs")).status_code == 200


async def test_a_bug_is_told_without_its_details(work: AtWork, monkeypatch, caplog):
    async def broken(*_: object) -> None:
        raise KeyError("secret detail")

    monkeypatch.setattr(work.service.ledger, "gpus", broken)

    answer = await work.ask("GET", "gpus")

    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "error")
    assert "secret" not in answer.text
    assert "secret detail" in caplog.text


@pytest.mark.fault(21)
async def test_an_engine_that_is_silent_is_told_and_the_rest_goes_on(work: AtWork):
    job = await work.submit()
    work.engine.answers = False

    answer = await work.ask("POST", "jobs", json={"project": "work", "command": "true"})
    lists = await work.ask("GET", "jobs")

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert answer.headers["Retry-After"]
    assert [found["id"] for found in lists.json()["jobs"]] == [job["id"]]


async def test_a_browser_reads_with_its_cookie(work: AtWork):
    answer = await work.ask("GET", "me", None, headers={"Cookie": work.cookie("ada")})

    assert answer.json()["name"] == "ada"


@pytest.mark.fault(85)
async def test_a_page_of_another_origin_changes_nothing_with_a_cookie(work: AtWork):
    headers = {"Cookie": work.cookie("ada"), "Content-Type": "text/plain", "Origin": "https://evil.example"}

    for method, path in CHANGING:
        body = b'{"project": "x", "command": "true"}'
        answer = await work.ask(method, path, None, headers=dict(headers), content=body)
        assert answer.status_code in (401, 403), (method, path)

    assert (await work.ask("GET", "jobs")).json()["jobs"] == []


async def test_who_asks_is_told_with_the_version_of_the_api(work: AtWork):
    me = (await work.ask("GET", "me")).json()

    assert (me["name"], me["admin"], me["teams"]) == ("ada", False, ["nlp"])
    assert (me["api_version"], me["oldest_client"]) == (API_VERSION, OLDEST_CLIENT)
    assert {"custom:jobs:read", "custom:jobs:submit"} <= set(me["scopes"])


async def test_health_answers_everybody(work: AtWork):
    answer = await work.ask("GET", "health", None)

    assert (answer.status_code, answer.json()["ok"]) == (200, True)


async def test_every_route_and_method_is_described(work: AtWork):
    found = {(method, plain(pattern)) for method, pattern in served()} - {("get", "openapi.json")}

    described = {(row[0], row[1]) for row in DESCRIBED}

    assert {(method, in_words(path)) for method, path in described} == found - {
        (method, path) for method, path in found if method == "head"
    }


def in_words(path: str) -> str:
    """Return a described path as `plain` writes it."""
    return path.replace("{path}", "dir/file").replace("{id}", "abc").replace("{owner}", "abc").replace("{name}", "abc")


async def test_the_description_names_every_model_that_crosses_the_boundary(work: AtWork):
    described = json.dumps((await work.ask("GET", "openapi.json", None)).json())

    schemas = describe()["components"]["schemas"]
    for name in models.__all__:
        assert name in schemas, name
    for reference in {part.split('"')[0] for part in described.split("#/components/schemas/")[1:]}:
        assert reference in schemas, reference


async def test_what_is_answered_is_what_is_described(work: AtWork):
    job = await work.submit()
    await work.ask("POST", "projects", json={"name": "p"})
    described = describe()["paths"]

    for path in ("jobs", f"jobs/{job['id']}", "projects", "projects/user:ada/p", "gpus", "profiles", "me", "health"):
        answer = await work.ask("GET", path)
        row = path.replace(job["id"], "{id}").replace("user:ada/p", "{owner}/{name}")
        (media,) = described[f"/{row}"]["get"]["responses"]["200"]["content"]
        assert answer.headers["Content-Type"] == media
        assert set(answer.json()) == set(properties(described[f"/{row}"]["get"]["responses"]["200"]["content"][media]))


def properties(content: dict[str, dict[str, object]]) -> dict[str, object]:
    """Return the properties that a described answer has."""
    schema: dict[str, object] = content["schema"]
    if "$ref" in schema:
        schema = describe()["components"]["schemas"][str(schema["$ref"]).rpartition("/")[2]]
    found = schema["properties"]
    assert isinstance(found, dict)
    return found
