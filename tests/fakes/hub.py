"""A hub of which only what the job service asks is there: whose a token is, and what the hub knows of a user."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

EVERYTHING = ("access:services!service=jobs", "custom:jobs:read", "custom:jobs:submit")


class FakeHub:
    """Listens on a port of its own. Tokens are `NAME-token`; `sees` says who is known, and what may be done."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.address = address
        self.port = port
        self.tokens: dict[str, dict[str, Any]] = {}
        self.created: dict[str, str] = {}
        self.groups: dict[str, dict[str, Any]] = {}  #: properties of groups, by name
        self.asked: Counter[str] = Counter()
        self.servers: dict[
            tuple[str, str], dict[str, Any]
        ] = {}  #: those that run, with their options, by user and name
        self.known_servers: set[tuple[str, str]] = set()  #: named ones that are there, running or not
        self.on_start: Callable[[str, str, dict[str, Any]], Awaitable[tuple[int, str]]] = (
            _starts  #: what a start is answered
        )
        self.on_stop: Callable[[str, str], Awaitable[int]] = _stops
        self.goes_on = asyncio.Event()  #: answers wait for it: clear it and the hub is slow
        self.goes_on.set()
        self._server: HTTPServer | None = None

    @property
    def url(self) -> str:
        """The hub's address."""
        return f"http://{self.address}:{self.port}"

    def knows(
        self,
        name: str,
        *,
        teams: tuple[str, ...] = (),
        scopes: tuple[str, ...] = EVERYTHING,
        admin: bool = False,
        kind: str = "user",
        token: str = "",
    ) -> str:
        """Know somebody, and return their token."""
        token = token or f"{name}-token"
        self.created.setdefault(name, "2026-01-01T00:00:00Z")
        self.tokens[token] = {
            "name": name,
            "kind": kind,
            "groups": list(teams),
            "admin": admin,
            "scopes": list(scopes),
            "token_id": token,
            "session_id": None,
        }
        return token

    async def listen(self) -> None:
        """Listen; after `hang_up` on the same port again."""
        sockets = bind_sockets(self.port, self.address, family=socket.AF_INET)
        self.port = sockets[0].getsockname()[1]
        routes = [
            ("/hub/api/user", _User, {"hub": self}),
            ("/hub/api/users", _List, {"hub": self}),
            ("/hub/api/users/([^/]+)/server()", _Server, {"hub": self}),
            ("/hub/api/users/([^/]+)/servers/([^/]+)", _Server, {"hub": self}),
            ("/hub/api/users/([^/]+)", _Users, {"hub": self}),
            ("/hub/api/groups", _Groups, {"hub": self}),
            ("/hub/api/oauth2/token", _Login, {"hub": self}),
        ]
        self._server = HTTPServer(Application(routes))
        self._server.add_sockets(sockets)

    async def hang_up(self) -> None:
        """Close the port and all connections, as a hub that dies."""
        self.goes_on.set()
        if self._server is not None:
            self._server.stop()
            await self._server.close_all_connections()
            self._server = None


class _Handler(RequestHandler):
    def initialize(self, hub: FakeHub) -> None:
        self.hub = hub

    async def prepare(self) -> None:
        await self.hub.goes_on.wait()


class _User(_Handler):
    def get(self) -> None:
        token = self.request.headers.get("Authorization", "").partition(" ")[2]
        self.hub.asked[token] += 1
        found = self.hub.tokens.get(token)
        if found is None:
            self.set_status(403)
            self.finish({"status": 403, "message": "Missing or invalid credentials."})
            return
        self.finish(found)


class _Users(_Handler):
    def get(self, name: str) -> None:
        self.hub.asked[f"users/{name}"] += 1
        if name not in self.hub.created:
            self.set_status(404)
            self.finish({"status": 404, "message": "No such user"})
            return
        groups = next((model["groups"] for model in self.hub.tokens.values() if model["name"] == name), [])
        admin = any(model["admin"] for model in self.hub.tokens.values() if model["name"] == name)
        self.finish({"name": name, "created": self.hub.created[name], "groups": groups, "admin": admin})


class _Server(_Handler):
    def get(self, name: str, server: str) -> None:
        self.set_status(200 if (name, server) in self.hub.known_servers else 404)
        self.finish({"name": server})

    async def post(self, name: str, server: str) -> None:
        self.hub.asked[f"start {name}/{server}"] += 1
        options = json.loads(self.request.body)["user_options"]
        if (name, server) in self.hub.servers:
            status, message = 400, f"{name}:{server} is already running"
        else:
            status, message = await self.hub.on_start(name, server, options)
        if status < 300:
            self.hub.servers[name, server] = options
        self.set_status(status)
        self.finish({"status": status, "message": message} if message else "")

    async def delete(self, name: str, server: str) -> None:
        self.hub.asked[f"stop {name}/{server}"] += 1
        status = await self.hub.on_stop(name, server)
        self.hub.servers.pop((name, server), None)
        self.set_status(status)
        self.finish()


async def _starts(user: str, server: str, options: dict[str, Any]) -> tuple[int, str]:
    return 201, ""


async def _stops(user: str, server: str) -> int:
    return 204


class _List(_Handler):
    def get(self) -> None:
        first, most = int(self.get_query_argument("offset", "0")), int(self.get_query_argument("limit", "50"))
        names = sorted(self.hub.created)[first : first + most]
        users = [{"name": name, "created": self.hub.created[name], "last_activity": None} for name in names]
        self.finish(json.dumps(users))


class _Groups(_Handler):
    def get(self) -> None:
        first, most = int(self.get_query_argument("offset", "0")), int(self.get_query_argument("limit", "50"))
        groups = [{"name": name, "properties": found} for name, found in sorted(self.hub.groups.items())]
        self.finish(json.dumps(groups[first : first + most]))


class _Login(_Handler):
    """The last step of a login: the code `NAME-code` is good for NAME's token."""

    def post(self) -> None:
        name = self.get_body_argument("code").removesuffix("-code")
        if f"{name}-token" not in self.hub.tokens:
            self.set_status(403)
            self.finish({"status": 403, "message": "No such code"})
            return
        self.finish({"access_token": f"{name}-token", "token_type": "Bearer"})
