"""Nobody gets in who is not logged in, nobody is led in by another site, and errors have one shape."""

from __future__ import annotations

import json
import re

import pytest
from jupyter_server.serverapp import _has_tornado_web_authenticated
from tornado.web import RequestHandler

XSRF = "0123456789abcdef0123456789abcdef"
VERBS = ("get", "head", "post", "put", "patch", "delete")
ROUTES = {
    "info": "get",
    "preview": "post",
    "submit": "post",
    "submissions/key": "get delete",
    "service/jobs": "get post delete",
}


@pytest.fixture
def methods(jp_serverapp):
    """All (path, verb, method) of the extension, from the server that it runs in."""
    (extension,) = jp_serverapp.extension_manager.extension_apps["himalia_server_extension"]
    return [
        (path, verb, getattr(handler, verb))
        for path, handler, *_ in extension.handlers
        for verb in VERBS
        if getattr(handler, verb) is not RequestHandler._unimplemented_method
    ]


def body_for(verb: str) -> str | None:
    return "{}" if verb == "post" else None


def test_every_handler_asks_who_is_there(methods):
    own = [(path, verb, method) for path, verb, method in methods if "himalia/api" in path and verb != "head"]

    assert [(path, verb) for path, verb, method in own if not _has_tornado_web_authenticated(method)] == []
    patterns = {path: {verb for found, verb, _ in own if found == path} for path, _, _ in own}
    walked = {route: set(verbs.split()) for route, verbs in ROUTES.items()}
    assert len(patterns) == len(walked), "a route is missing in ROUTES"
    for pattern, verbs in patterns.items():
        (route,) = [route for route in walked if re.fullmatch(pattern.split("/api/", 1)[1], route)]
        assert walked[route] == verbs


async def test_nobody_gets_in_without_a_token(jp_fetch):
    for route, verbs in ROUTES.items():
        for verb in verbs.split():
            answer = await jp_fetch(
                "himalia/api",
                route,
                method=verb.upper(),
                body=body_for(verb),
                headers={"Authorization": "token wrong"},
                raise_error=False,
            )
            assert answer.code in (401, 403), (route, verb)
            assert set(json.loads(answer.body)["error"]) == {"code", "message", "fields"}


async def test_another_site_cannot_act_with_the_cookie_of_a_page(jp_serverapp, jp_fetch, http_server_client):
    identity = jp_serverapp.identity_provider
    page = await http_server_client.fetch(
        f"{jp_serverapp.base_url}login",
        headers={"Authorization": f"token {identity.token}"},
        follow_redirects=False,
        raise_error=False,
    )
    login = "; ".join(line.split(";")[0] for line in page.headers.get_list("Set-Cookie"))
    assert "username" in login, "the page is logged in by its cookie"

    async def send(route: str, verb: str, **headers: str) -> int:
        answer = await http_server_client.fetch(
            f"{jp_serverapp.base_url}himalia/api/{route}",
            method=verb.upper(),
            body=body_for(verb),
            headers={"Cookie": f"{login}; _xsrf={XSRF}", **headers},
            raise_error=False,
        )
        return int(answer.code)

    for route, verbs in ROUTES.items():
        for verb in set(verbs.split()) - {"get"}:
            assert await send(route, verb) == 403, (route, verb)
            assert await send(route, verb, **{"X-XSRFToken": XSRF}) != 403, (route, verb)


async def test_a_page_that_only_looks_does_not_keep_the_server_active(jp_serverapp, ask):
    before = jp_serverapp.web_app.last_activity()

    await ask("GET", "info")
    await ask("POST", "preview", {"directory": "digits"})
    await ask("GET", "submissions/key")
    await ask("GET", "service/jobs")

    assert jp_serverapp.web_app.last_activity() == before


async def test_the_page_learns_where_the_service_is(ask):
    status, info = await ask("GET", "info")

    assert status == 200
    assert (info["service_url"], info["same_origin"], info["configured"]) == ("/services/jobs/api/", True, True)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "unparsable"),
        ("[]", "unparsable"),
        ("\x00", "unparsable"),
        ('{"directory": 1}', "invalid"),
        ('{"directory": "digits", "odd": 1}', "invalid"),
        ("{}", "invalid"),
    ],
)
async def test_what_cannot_be_read_is_told_in_the_one_shape(ask, body, code):
    status, answer = await ask("POST", "preview", body)

    assert status == (400 if code == "unparsable" else 422)
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]
