"""Which teams a person is in is read when a job is submitted, and again while it waits: who left a team mounts it no more."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from himalia.errors import Unauthenticated, Unavailable
from himalia.states import JobState

from .hub import Hub
from .store import Database, jobs

log = logging.getLogger(__name__)


class Membership:
    """Keeps the teams of jobs in line as the hub has them. A job that has started keeps the mounts it started with."""

    def __init__(self, db: Database, hub: Hub) -> None:
        self.db = db
        self.hub = hub

    async def refresh(self) -> None:
        """Read the teams of everybody who has jobs in line; a hub that is silent is asked another time."""
        waiting = await self.db.read(lambda db: jobs.in_states(db, [JobState.QUEUED]))
        for user_id, name in sorted({(job.user_id, job.user) for job in waiting}):
            try:
                teams = await self._teams(user_id, name)
            except Unavailable:
                return

            def write(db: Connection, user_id: str = user_id, teams: dict[str, str] = teams) -> int:
                return jobs.change_teams(db, user_id, teams)

            if any(job.user_id == user_id and job.teams != teams for job in waiting):
                log.info("%s is in the teams: %s", name, ", ".join(teams) or "none")
                await self.db.write(write)

    async def _teams(self, user_id: str, name: str) -> dict[str, str]:
        """Return the teams of a user by name; none for one whom the hub does not know, or who is somebody else by now."""
        try:
            person = await self.hub.named(name, await self.hub.teams_of(name))
        except Unauthenticated:
            return {}
        return dict(person.teams) if person.id == user_id else {}
