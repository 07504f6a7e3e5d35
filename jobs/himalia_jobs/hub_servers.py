"""Starting and stopping servers through the hub's API: what a person's click does, when no browser is open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from himalia.errors import Unavailable

from .hub import HUB_SILENT

TIMEOUT_SECONDS = 30.0  #: the hub answers a start within ten
AT_ONCE = 8
BUSY = frozenset({429, 502, 503, 504})  #: what a hub answers that can be asked again
FOR_NOW = ("is pending", "already running")  #: what it says where another step of the same server is under way


@dataclass(frozen=True, kw_only=True)
class HubAnswer:
    """What the hub said."""

    status: int
    message: str = ""

    @property
    def done(self) -> bool:
        """Whether it was done, or is under way."""
        return 200 <= self.status < 300

    @property
    def for_good(self) -> bool:
        """Whether asking once more would be answered the same."""
        passing = self.status in BUSY or any(words in self.message for words in FOR_NOW)
        return not self.done and not passing


class HubServers:
    """Starts and stops people's servers. Every method raises Unavailable when the hub is not there."""

    def __init__(self, api: str, token: str) -> None:
        self.api = api
        self.token = token
        # Of its own: starts take seconds, and nobody's request for who they are may wait behind them.
        self._client = AsyncHTTPClient(force_instance=True, max_clients=AT_ONCE)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    async def start(self, user: str, server: str, options: dict[str, Any]) -> HubAnswer:
        """Start a server with a choice, as its person would."""
        return await self._ask("POST", _address(user, server), json.dumps({"user_options": options}))

    async def stop(self, user: str, server: str) -> HubAnswer:
        """Stop a server."""
        return await self._ask("DELETE", _address(user, server))

    async def knows(self, user: str, server: str) -> bool:
        """Tell whether this server is there to be started; the default server always is."""
        return not server or (await self._ask("GET", _address(user, server))).status != 404

    async def _ask(self, method: str, path: str, body: str | None = None) -> HubAnswer:
        request = HTTPRequest(
            f"{self.api}/{path}",
            method=method,
            body=body,
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
            request_timeout=TIMEOUT_SECONDS,
        )
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (OSError, HTTPClientError) as error:  # a hub that is killed closes the connection before it answers
            raise Unavailable(HUB_SILENT) from error
        if answer.code == 599:  # tornado's word for no answer
            raise Unavailable(HUB_SILENT)
        return HubAnswer(status=answer.code, message=_message(answer.body))


def _address(user: str, server: str) -> str:
    owner = f"users/{quote(user, safe='')}"
    return f"{owner}/servers/{quote(server, safe='')}" if server else f"{owner}/server"


def _message(body: bytes) -> str:
    """Return what the hub says in words."""
    try:
        said = json.loads(body or b"null")
    except ValueError:
        return ""
    return str(said.get("message") or "") if isinstance(said, dict) else ""
