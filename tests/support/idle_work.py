"""Servers and jobs that hold GPUs, a clock that a test moves, and what GPUs and kernels do: giving back, without waiting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from service_at_work import AtWork, at_work

from himalia_jobs.engines.base import Door
from himalia_jobs.engines.gpus import GPUState
from himalia_jobs.giving_back.activity import Kernels
from himalia_jobs.giving_back.keeper import GivingBack
from himalia_jobs.giving_back.words import Use
from himalia_jobs.service import Service
from himalia_jobs.store import leases

LOOK_SECONDS = 60.0  #: the most that one look may add


class IdleWork:
    """A service at work whose time passes when a test says so."""

    def __init__(self, work: AtWork) -> None:
        self.work = work
        self.passed = 0.0
        self.busy: dict[str, int] = {}  #: per cent by UUID; a GPU that is not named does not say
        self.kernels: dict[str, Kernels | None] = {}  #: by lease; one that is not named has none
        self.refuses: set[str] = set()  #: `NAME/SERVER`: the hub cannot stop it now
        self.stopped: set[str] = set()
        work.hub.on_stop = self._stops
        self.wired(work.service)

    @property
    def hub_did(self) -> dict[str, str]:
        """What the hub did last with servers, by `NAME/SERVER`."""
        started = {
            f"{user}/{name}": f"started {json.dumps(how)}" for (user, name), how in self.work.hub.servers.items()
        }
        return dict.fromkeys(self.stopped, "stopped") | started

    async def _stops(self, user: str, server: str) -> int:
        if f"{user}/{server}" in self.refuses:
            return 503
        self.stopped.add(f"{user}/{server}")
        return 204

    @property
    def service(self) -> Service:
        """The service."""
        return self.work.service

    def wired(self, service: Service) -> None:
        """Give a service our clock, our GPUs and our kernels."""
        began = float(int(service.clock.now()))
        service.clock.now = lambda: began + self.passed  # type: ignore[method-assign]

        async def doors(node_id: str = "local") -> list[Door]:
            live = await service.db.read(leases.live)
            return [Door(lease_id=lease.id, url="", token="") for lease in live]

        async def look(doors: list[Door], now: float) -> dict[str, Kernels | None]:
            return {door.lease_id: self.kernels.get(door.lease_id, Kernels(busy=False)) for door in doors}

        service.giving_back.engine.doors = doors  # type: ignore[method-assign]
        service.giving_back._activity.look = look  # type: ignore[method-assign, assignment]

    async def killed(self) -> None:
        """Kill giving back, and start it again: only what is in the database is left."""
        self.service.giving_back.uses = {}
        self.service.giving_back._kept = 0.0

    async def server(self, user: str = "ada", *, server: str = "", profile: str = "gpu") -> str:
        """Return the lease of a server that runs."""
        wish = {"user": user, "server": server, "spawn_id": f"{user}/{server}", "profile": profile, "teams": ["nlp"]}
        made = (await self.work.ask("POST", "leases", "spawner", json=wish)).json()
        await self.service._round()
        bound = await self.work.ask("POST", f"leases/{made['id']}/bind", "spawner", json={"container": f"c-{user}"})
        assert bound.json()["state"] == "held", bound.text
        await self.look(0)
        return str(made["id"])

    async def waits(self, user: str = "bob", **fields: Any) -> str:
        """Return a job that waits for a GPU."""
        job = await self.work.submit(user, gpus="1", **fields)
        await self.service._round()
        return str(job["id"])

    async def look(self, seconds: float = LOOK_SECONDS) -> None:
        """Let some time pass, and let the keeper take one step."""
        self.passed += seconds
        keeper = self.service.reconciler.keeper
        keeper.states = {uuid: GPUState(uuid=uuid, busy_percent=percent) for uuid, percent in self.busy.items()}
        keeper.seen_clock = self.service.clock.now()
        await self.service._give_back()

    async def idle_for(self, seconds: float) -> None:
        """Let time pass in which the keeper looks as often as it does."""
        left = seconds
        while left > 0:
            await self.look(min(LOOK_SECONDS, left))
            left -= LOOK_SECONDS

    def use(self, lease: str) -> Use:
        """Return what is known of a lease's use."""
        return self.giving_back.uses[lease]

    @property
    def giving_back(self) -> GivingBack:
        """What is tested."""
        return self.service.giving_back

    async def told(self, who: str = "ada") -> list[dict[str, Any]]:
        """Return what somebody is told."""
        return list((await self.work.ask("GET", "notices", who)).json()["notices"])

    async def answer(self, answer: str, who: str = "ada") -> int:
        """Answer the only thing that somebody is told, and return the status."""
        (notice,) = await self.told(who)
        answered = await self.work.ask("POST", f"notices/{notice['id']}/answer", who, json={"answer": answer})
        return answered.status_code

    async def goes_back(self, lease: str) -> None:
        """Let the container of a lease be gone."""
        await self.service.db.write(lambda db: leases.release(db, lease))


@asynccontextmanager
async def idle_work(folder: Path, **site: Any) -> AsyncIterator[IdleWork]:
    """Yield it: idle after 20 min, told 5 min before, kept for 10 min, where a test says nothing else."""
    site["idle"] = {"after": "20m", "warning": "5m", "keep_for": "10m"} | site.get("idle", {})
    async with at_work(folder / "data", **site) as work:
        yield IdleWork(work)
