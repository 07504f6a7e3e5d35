"""Ending servers: through the hub, one step at a time, each of which may be taken again."""

from __future__ import annotations

import logging
from functools import partial

from sqlalchemy import Connection

from himalia.errors import HimaliaError
from himalia.site import Site
from himalia.states import LeaseState
from himalia_gpus.request import parse_request

from ..hub import Hub
from ..hub_servers import HubServers
from ..store import Database, leases, notices, watched
from ..store.clock import now_text
from ..store.records import LeaseRecord
from ..store.watched import WatchedRecord
from .writing import ENDED, OF_LEASES

log = logging.getLogger(__name__)

NO_SUCH_SERVER = 404
RUNNING = "already running"  #: what the hub says where a start was taken before


class Ending:
    """Stops the servers whose end is decided, and starts those again that go on without GPUs."""

    def __init__(self, db: Database, hub: Hub, site: Site) -> None:
        self.db = db
        self.hub = hub
        self.site = site

    async def step(self) -> None:
        """Take the next step of every end that is not done."""
        undone = await self.db.read(_undone)
        if not undone:
            return
        servers = HubServers(self.hub.api, self.hub.token)
        try:
            for record, lease in undone:
                await self._step(servers, record, lease)
        except HimaliaError as error:
            log.warning("servers end later: %s", error.message)
        finally:
            servers.close()

    async def _step(self, servers: HubServers, record: WatchedRecord, lease: LeaseRecord) -> None:
        """Take one step; each may be taken again by a service that was killed in between."""
        if lease.state is not LeaseState.RELEASED:
            answer = await servers.stop(lease.user, lease.holder)
            if not answer.done and answer.status != NO_SUCH_SERVER:
                log.warning("the hub does not stop the server of lease %s: %s", lease.id, answer.message)
            return  # the lease goes back when the container is gone
        if record.end_then == "restart" and (profile := self._without_gpus(lease)):
            answer = await servers.start(lease.user, lease.holder, {"profile": profile})
            if not answer.done and not answer.for_good and RUNNING not in answer.message:
                return
        await self.db.write(partial(_done, record=record))

    def _without_gpus(self, lease: LeaseRecord) -> str:
        """Return the profile that a server goes on with; empty where there is none for this person."""
        teams = list(lease.teams)
        fit = [
            profile.name
            for profile in self.site.profiles
            if profile.servers and not parse_request(profile.gpus).count and profile.allows(lease.user, teams)
        ]
        wanted = self.site.idle.restart_profile
        return wanted if wanted in fit else next(iter(fit), "")


def _undone(db: Connection) -> list[tuple[WatchedRecord, LeaseRecord]]:
    undone = [one for one in watched.everything(db).values() if one.end_reason is not None and one.ended_at is None]
    found = [(one, leases.find(db, one.lease_id)) for one in undone]
    return [(one, lease) for one, lease in found if lease is not None and lease.kind == "server"]


def _done(db: Connection, record: WatchedRecord) -> None:
    watched.change(db, record.lease_id, ended_at=now_text())
    notices.withdraw_of_lease(db, record.lease_id, OF_LEASES)
    notices.tell(
        db,
        user_id=record.user_id,
        kind=ENDED,
        sentence=record.end_sentence,
        key=f"ended:{record.lease_id}",
        lease_id=record.lease_id,
    )
