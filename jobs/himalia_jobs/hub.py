"""What the service asks the hub: who a token belongs to, and when a user was created."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jupyterhub.httpclient import JupyterHubHTTPClient
from jupyterhub.services.auth import HubOAuth
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import HTTPError, RequestHandler

from himalia.errors import Forbidden, Unauthenticated, Unavailable

from .owners_file import write_owners
from .person import OF_SERVICES, Person, with_implied
from .settings import Settings
from .store import Database, people

ANSWERS_KEPT_SECONDS = 60
TIMEOUT_SECONDS = 5.0
LONGEST_PAGE = 200  #: of a list that the hub gives out at once
HUB_SILENT = "The hub does not answer, so nobody can be recognised. Running jobs go on. Try again in a moment."


def hub_auth(settings: Settings, hub_url: str) -> HubOAuth:
    """Return JupyterHub's own client, set up as for a service that the hub does not start; `hub_url` ends in the base URL."""
    return HubOAuth(
        api_token=settings.credentials.service_token,
        api_url=f"{hub_url}/hub/api",
        base_url=settings.prefix,
        hub_prefix=f"{settings.base}hub/",
        oauth_client_id="service-jobs",
        oauth_redirect_uri=f"{settings.prefix}oauth_callback",
        access_scopes={"access:services", "access:services!service=jobs"},
        cookie_options={"samesite": "Lax"},  # no form of another site is sent with it
        cache_max_age=ANSWERS_KEPT_SECONDS,
    )


class Hub:
    """Turns a request into a person."""

    def __init__(self, auth: HubOAuth, db: Database, hub_url: str, token: str, owners: Path) -> None:
        self.auth = auth
        self.db = db
        self.api = f"{hub_url}/hub/api"
        self.token = token
        self.owners = owners  #: the file that says whose internal id is whose
        self.names_are_open = False  #: whether everybody may read who holds a GPU
        self._told: set[str] = set()  #: internal ids that it has
        self._people: dict[str, tuple[float, Person]] = {}

    async def close(self) -> None:
        """Let go of the connections to the hub: JupyterHub's client keeps a session, and a resolver, for each event loop."""
        await JupyterHubHTTPClient.loop_instance().close()

    async def person(self, handler: RequestHandler) -> Person:
        """Return who asks; raise Unauthenticated, Forbidden or Unavailable."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS * 2):
                model = await self.auth.get_user(handler, sync=False)
        except (HTTPError, TimeoutError, OSError) as error:
            if isinstance(error, HTTPError) and error.status_code == 403:
                raise Unauthenticated("The token is not known here (any more). Log in again.") from error
            raise Unavailable(HUB_SILENT) from error
        if not model:
            raise Unauthenticated("Nobody is logged in, or the token is not known (any more). Log in again.")
        scopes = set(model.get("scopes") or [])
        if not self.auth.check_scopes(self.auth.access_scopes, model):
            raise Forbidden("This token may not use the job service: it lacks the scope access:services!service=jobs.")
        if model.get("kind") == "service":
            return Person(id="", name=str(model["name"]), admin=False, scopes=frozenset(scopes & OF_SERVICES))
        return await self._known(model, scopes)

    async def _known(self, model: dict[str, Any], scopes: set[str]) -> Person:
        key = f"{model['name']}/{model.get('token_id') or model.get('session_id')}"
        kept = self._people.get(key)
        groups = tuple(sorted(model.get("groups") or ()))
        fresh = kept is not None and kept[0] > time.monotonic() and kept[1].scopes == with_implied(scopes)
        if kept and fresh and tuple(sorted(kept[1].teams)) == groups:
            return kept[1]
        user = await self.named(str(model["name"]), groups)
        person = Person(
            id=user.id,
            name=user.name,
            admin=bool(model.get("admin")),
            teams=user.teams,
            scopes=with_implied(scopes),
            sees_names=self.names_are_open,
        )
        self._forget_old()
        self._people[key] = (time.monotonic() + ANSWERS_KEPT_SECONDS, person)
        return person

    async def named(self, name: str, teams: tuple[str, ...]) -> Person:
        """Return a user of the hub by name: the one who has that name now."""
        created = await self.created(name)
        user_id = await self.db.write(lambda db: people.user_id(db, name, created))
        team_ids = await self.db.write(lambda db: people.team_ids(db, teams)) if teams else {}
        if not self._told >= {user_id, *team_ids.values()}:
            await self.tell_owners()
        return Person(id=user_id, name=name, admin=False, teams=team_ids)

    async def created(self, name: str) -> str:
        """Return when the hub first saw the user of that name."""
        return str((await self._get(f"users/{quote(name, safe='')}")).get("created"))

    async def everybody(self) -> dict[str, dict[str, Any]]:
        """Return what the hub says of all its users, by name."""
        found: dict[str, dict[str, Any]] = {}
        while page := await self._ask(f"users?limit={LONGEST_PAGE}&offset={len(found)}"):
            found |= {str(user["name"]): user for user in page}
        return found

    async def groups(self) -> dict[str, dict[str, Any]]:
        """Return the properties of all groups, by their names."""
        found: dict[str, dict[str, Any]] = {}
        while page := await self._ask(f"groups?limit={LONGEST_PAGE}&offset={len(found)}"):
            found |= {str(group["name"]): dict(group.get("properties") or {}) for group in page}
        return found

    async def tell_owners(self) -> None:
        """Write the file that says whose internal id is whose."""
        rows = await self.db.read(people.index)
        await asyncio.to_thread(write_owners, self.owners, rows)
        self._told = {key for key, _ in rows}

    def forget(self, *names: str) -> None:
        """Let nothing that is remembered of these people hold any longer."""
        self._people = {key: kept for key, kept in self._people.items() if kept[1].name not in names}

    async def now(self, name: str) -> Person:
        """Return a user as the hub has them now: who that is, their teams, whether they administer it."""
        model = await self._get(f"users/{quote(name, safe='')}")
        person = await self.named(name, tuple(sorted(model.get("groups") or ())))
        return replace(person, admin=bool(model.get("admin")))

    async def teams_of(self, name: str) -> tuple[str, ...]:
        """Return the teams that a user is in now."""
        return tuple(sorted((await self._get(f"users/{quote(name, safe='')}")).get("groups") or ()))

    async def _get(self, path: str) -> dict[str, Any]:
        found = await self._ask(path)
        return found if isinstance(found, dict) else {}

    async def _ask(self, path: str) -> Any:
        request = HTTPRequest(
            f"{self.api}/{path}", headers={"Authorization": f"token {self.token}"}, request_timeout=TIMEOUT_SECONDS
        )
        try:
            answer = await AsyncHTTPClient().fetch(request)
        except HTTPClientError as error:
            if error.code == 404:
                raise Unauthenticated("The hub does not know this user (any more). Log in again.") from error
            raise Unavailable(HUB_SILENT) from error
        except OSError as error:
            raise Unavailable(HUB_SILENT) from error
        return json.loads(answer.body)

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._people = {key: kept for key, kept in self._people.items() if kept[0] > now}
