"""The hub's side of waiting, for unit tests of the service: starts and stops of servers, as a spawner does them."""

from __future__ import annotations

from typing import Any

from service_at_work import AtWork

from himalia.ids import new_id
from himalia_jobs.store import leases
from himalia_jobs.store.records import LeaseRecord

CHOICE = {"profile": "gpu", "clean": "1"}


class HubSide:
    """What a hub's spawner does with the service: ask, stay in line, bind, give back."""

    def __init__(self, work: AtWork) -> None:
        self.work = work
        work.hub.on_start = self.start
        work.hub.on_stop = self.stop
        self.held: dict[tuple[str, str], str] = {}
        self.fails = ""  #: what goes wrong once the share is there

    async def start(self, user: str, server: str, options: dict[str, Any] | None = None) -> tuple[int, str]:
        """Start a server, as the hub has it done; answer as the hub does."""
        wish = {"user": user, "server": server, "spawn_id": new_id(), "profile": "gpu", "teams": []}
        wish["wait"] = (options or {}).get("wait", "")
        answer = await self.work.ask("POST", "leases", "spawner", json=wish)
        lease = answer.json()
        if answer.is_error:
            return answer.status_code, lease["error"]["message"]
        if lease["state"] == "waiting":
            await self.work.service._round()
            lease = (await self.work.ask("GET", f"leases/{lease['id']}", "spawner")).json()
        if lease["state"] == "waiting":
            await self.work.ask("POST", f"leases/{lease['id']}/stay", "spawner", json={"options": CHOICE})
            return 202, lease["id"]
        if self.fails:
            await self.work.service.db.write(lambda db: leases.release(db, lease["id"], outcome="not_started"))
            return 500, self.fails
        await self.work.ask("POST", f"leases/{lease['id']}/bind", "spawner", json={"container": f"{user}-{server}"})
        self.held[user, server] = lease["id"]
        return 201, ""

    async def stop(self, user: str, server: str) -> int:
        """Stop a server; its container is gone with it."""
        lease_id = self.held.pop((user, server), "")
        await self.work.service.db.write(lambda db: leases.release(db, lease_id) if lease_id else False)
        return 204


async def waits(hub_side: HubSide, user: str = "ada", server: str = "") -> str:
    """Put a server in line, and return its wait's id."""
    _, wait_id = await hub_side.start(user, server)
    return wait_id


async def both_taken(work: AtWork) -> list[str]:
    """Take both GPUs, and return the leases."""
    taken = []
    for number in range(2):
        wish = {"user": "bob", "server": f"b{number}", "spawn_id": new_id(), "profile": "gpu", "teams": []}
        lease = (await work.ask("POST", "leases", "spawner", json=wish)).json()["id"]
        await work.service._round()
        await work.ask("POST", f"leases/{lease}/bind", "spawner", json={"container": f"b{number}"})
        taken.append(lease)
    return taken


async def freed(work: AtWork, lease_id: str) -> None:
    """Give a GPU back, and let the queue have a round."""
    await work.service.db.write(lambda db: leases.release(db, lease_id))
    await work.service._round()


async def lease_of(work: AtWork, lease_id: str) -> LeaseRecord:
    """Return a lease as it is."""
    return await work.service.db.read(lambda db: leases.get(db, lease_id))


async def shown(work: AtWork, wait_id: str, who: str = "ada") -> dict[str, Any]:
    """Return what somebody sees of a wait."""
    return dict((await work.ask("GET", f"waiting/{wait_id}", who)).json())
