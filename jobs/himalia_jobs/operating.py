"""What an administrator does to whoever holds a GPU: ending the hold by force, written down with who and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from himalia.errors import Busy
from himalia.models import Intervention, Outcome
from himalia.states import STARTED_STATES, LeaseState

from .hub import Hub
from .hub_servers import HubServers
from .slotkeeper import find_slot
from .store import Database, events, jobs, leases, notices, wishes
from .store.clock import from_text
from .store.moves import change
from .store.records import JobRecord, LeaseRecord

RELEASED = "released"  #: the kind of notice that the holder gets
SHOWN = 50  #: interventions


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What is being ended, in words, and what is still to be done outside the database."""

    lease: LeaseRecord
    what: str
    job_id: str = ""
    waited: bool = False  #: it was kept for a server that waited for it: nothing runs on it


class Operating:
    """Ends what holds a GPU. What is done is written first: a service that is killed in between has said so."""

    def __init__(self, db: Database, hub: Hub, look_at: Callable[[str], None]) -> None:
        self.db = db
        self.hub = hub
        self.look_at = look_at  #: called with the id of a job that needs a step

    async def release(self, uuid: str, why: str, by: str) -> str:
        """End what holds a GPU: a job is cancelled, a notebook server stopped; say what was done."""
        ended = await self.db.write(lambda db: _end(db, uuid, why, by))
        if ended.job_id:
            self.look_at(ended.job_id)
        elif not ended.waited:
            await self._stop(ended, by)
        return ended.what

    async def interventions(self) -> list[Intervention]:
        """Return what administrators did, the last first."""
        rows = await self.db.read(lambda db: events.interventions(db, SHOWN))
        return [Intervention(at=from_text(row["at"]), by=row["state"] or "", sentence=row["detail"]) for row in rows]

    async def _stop(self, ended: Ended, by: str) -> None:
        servers = HubServers(self.hub.api, self.hub.token)
        try:
            answer = await servers.stop(ended.lease.user, ended.lease.holder)
        finally:
            servers.close()
        if not answer.done:
            said = answer.message or f"it answered {answer.status}"
            await self.db.write(
                lambda db: events.note_intervention(db, by, f"could not end {ended.what}; the hub says: {said}")
            )
            raise Busy(f"The hub does not stop {ended.what}: {said}. Look at the hub's admin page.")


def _end(db: Connection, uuid: str, why: str, by: str) -> Ended:
    """Write that a hold ends, by whom and why, and tell its holder."""
    slot = find_slot(db, uuid)
    lease_id = leases.lease_of_slot(db).get((slot.node_id, slot.uuid))
    if lease_id is None:
        raise Busy(f"Nobody holds GPU {slot.index}.")
    lease = leases.get(db, lease_id)
    if not lease.user_id:
        raise Busy(
            f"The container {lease.container} on GPU {slot.index} is not in the database: it was started by hand, or the "
            "database was lost. Stop it with `docker stop`; its GPU follows by itself."
        )
    job = jobs.find(db, lease.holder.partition(".")[0]) if lease.kind == "job" else None
    what = f"job {job.id} of {lease.user}" if job else f"{lease.user}'s notebook"
    because = f" {why}" if why else ""
    waited = lease.lasting and lease.state is LeaseState.RESERVED
    events.note_intervention(db, by, f"ended {what} to free GPU {slot.index} ({slot.uuid}).{because}")
    notices.tell(
        db,
        user_id=lease.user_id,
        kind=RELEASED,
        key=f"{RELEASED}/{lease.id}",
        sentence=f"{by}, an administrator, ended your {'job ' + job.id if job else 'notebook'} to free its GPU.{because}",
        lease_id=lease.id,
        job_id=job.id if job else None,
    )
    if job is not None:
        _cancel(db, job, by)
    if waited:
        wishes.end(db, lease.id, Outcome.CANCELLED, f"{by}, an administrator, ended the wait.{because}")
    return Ended(lease=lease, what=what, job_id=job.id if job else "", waited=waited)


def _cancel(db: Connection, job: JobRecord, by: str) -> None:
    if job.state in STARTED_STATES and not job.cancel_requested:
        change(db, job.id, cancel_requested=True, cancelled_by=by)
