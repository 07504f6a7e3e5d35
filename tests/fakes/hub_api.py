"""The hub's own handler of starts and stops, as JupyterHub has it, without a web server, a proxy or logins around it."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from jupyterhub import orm, roles
from jupyterhub.apihandlers.users import UserServerAPIHandler
from jupyterhub.spawner import Spawner
from jupyterhub.user import User
from sqlalchemy.orm import Session
from tornado.log import app_log


class HubAPI(UserServerAPIHandler):
    """Starts and stops one user's default server; `proxy_fails` is raised by the proxy in place of an answer."""

    def __init__(self, db: Session, spawner: Spawner) -> None:
        self.spawner = spawner
        self.owner: User = spawner.user
        self.owner.spawners[""] = spawner
        self.owner.settings["internal_ssl"] = False
        self.proxy_fails: Exception | None = None
        self.proxy_answers = asyncio.Event()  #: clear it and the proxy is slow
        self.proxy_answers.set()
        self.proxy_asked = 0
        self.status = 0
        if not db.query(orm.OAuthClient).count():
            db.add(orm.OAuthClient(identifier="jupyterhub"))
            roles.create_role(db, {"name": "server", "scopes": ["users:activity!user", "access:servers!server"]})
            db.commit()
        counts = {"spawn_pending": 0, "proxy_pending": 0, "active": 0}
        settings = {
            "db": db,
            "log": app_log,
            "proxy": SimpleNamespace(add_user=self._route, delete_user=self._route),
            "authenticator": SimpleNamespace(refresh_pre_spawn=False, refresh_pre_stop=False),
            "eventlog": SimpleNamespace(emit=lambda **event: None),
            "users": SimpleNamespace(count_active_users=lambda: counts),
            "base_url": "/",
            "hub": SimpleNamespace(base_url="/hub/"),
        }
        self.application = SimpleNamespace(settings=settings)  # where a handler looks for them
        self.request = SimpleNamespace(body=b"")

    async def start(self, **options: Any) -> int:
        """Ask for a start."""
        self.request.body = json.dumps({"user_options": options}).encode()
        await UserServerAPIHandler.post.__wrapped__(self, self.owner.name)
        return self.status

    async def stop(self) -> int:
        """Ask for a stop."""
        self.request.body = b""
        await UserServerAPIHandler.delete.__wrapped__(self, self.owner.name)
        return self.status

    async def _route(self, user: User, server: str) -> None:
        self.proxy_asked += 1
        await self.proxy_answers.wait()
        if self.proxy_fails is not None:
            raise self.proxy_fails

    # What the handler has of a request.

    def find_user(self, name: str) -> User:
        return self.owner

    def set_header(self, name: str, value: str) -> None:
        pass

    def set_status(self, status: int, reason: str | None = None) -> None:
        self.status = status
