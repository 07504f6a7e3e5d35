"""Thousands of seeded steps of everything that can go wrong: whatever happens, what is promised of containers holds.

The checker reads the machine's containers after every step, not the database. A seed is a run: it can be repeated.
"""

from __future__ import annotations

import os
import random

import pytest
from mortal_service import Killed, MortalService, simulated
from rows import server_lease

from himalia.states import FINAL_STATES, LIVE_STATES, STARTED_STATES, JobState, LeaseState
from himalia.units import GiB
from himalia_jobs.engines.base import Phase
from himalia_jobs.engines.fake import FakeMachine, Faults, Program
from himalia_jobs.runner import request_cancel
from himalia_jobs.store import jobs, leases

STEPS = 1200
SEEDS = 300 if os.environ.get("HIMALIA_CAMPAIGN") else 3
MOST_WAITING = 12
PROGRAMS = {
    ("ends",): Program(output=b"done\n"),
    ("works",): Program(seconds=5.0, artifacts={"model": b"42"}),
    ("fails",): Program(seconds=2.0, code=3),
    ("lasts",): Program(seconds=None),
    ("ignores",): Program(seconds=None, stubborn=True),
    ("needs too much",): Program(seconds=1.0, code=137, signal=9, oom=True),
    ("cannot start",): Program(start_error="no such device"),
}
WEIGHTS = (4, 6, 3, 3, 2, 1, 1)
#: What may happen next, and how often.
CHANCES = {
    "submit": 10,
    "cancel": 4,
    "turn": 14,
    "step": 40,
    "reconcile": 6,
    "second": 20,
    "deliver": 6,
    "fuse": 4,
    "crash": 2,
    "remove": 1,
    "server": 2,
    "server_ends": 2,
    "silence": 1,
    "voice": 8,
    "fill": 1,
    "empty": 8,
    "cordon": 1,
    "uncordon": 8,
    "image_goes": 0.5,
    "image_comes": 8,
    "interrupt": 2,
    "reboot": 0.3,
    "stop_engine": 0.3,
}


class Chaos:
    """One run: a service, a machine, and a seed."""

    def __init__(self, service: MortalService, add_job, seed: int) -> None:
        self.service = service
        self.machine = service.machine
        self.add_job = add_job
        self.random = random.Random(seed)
        service.faults = Faults(seed=seed, chance=0.1, hints_lost=0.2)

    async def run(self, steps: int) -> None:
        """Do so many things, and check after each."""
        await self.service.start()
        for what in self.random.choices(list(CHANCES), list(CHANCES.values()), k=steps):
            try:
                await getattr(self, what)()
            except Killed:
                await self.service.start()
            self.service.check()

    async def come_to_rest(self) -> None:
        """Let nothing go wrong any more, and wait for the end of all jobs."""
        self.service.faults = Faults()
        self.machine.reachable, self.machine.disk_full, self.machine.mode = True, False, "ready"
        self.machine.interrupt = None
        self.machine.images["himalia/server:dev"] = "sha256:1"
        await self.service.start()
        await self.service.reconcile()
        for _ in range(600):
            if not self.live():
                break
            await self.service.tick()
            self.service.check()
        while self.machine.late:
            await self.deliver()
            self.service.check()

    def live(self, *states: JobState) -> list[str]:
        """Return the jobs that have not ended."""
        found = self.service.db.read_now(lambda db: jobs.in_states(db, states or LIVE_STATES))
        return [job.id for job in found]

    async def submit(self) -> None:
        """Somebody submits a job."""
        if len(self.live(JobState.QUEUED)) < MOST_WAITING:
            self.add_job(
                user=self.random.choice(["ada", "bob", "eve"]),
                spec={"command": list(self.random.choices(list(PROGRAMS), WEIGHTS)[0])},
                gpus=self.random.choice("00012"),
                cpus=self.random.choice([0.5, 1.0, 3.0]),
                memory_bytes=self.random.choice([1, 2, 9]) * GiB,
                retries=self.random.choice([0, 0, 1, 2]),
                timeout_seconds=self.random.choice([3, 10, 20]),
            )

    async def cancel(self) -> None:
        """Somebody cancels a job, whatever state it is in."""
        everything = self.live(*JobState)
        if everything:
            job = self.service.job(self.random.choice(everything[-20:]))
            await request_cancel(self.service.db, job, "ada")

    async def turn(self) -> None:
        """A round of the queue."""
        await self.service.turn()

    async def step(self) -> None:
        """A step of some job: one that is wanted, or one that nobody woke."""
        started = self.live(*STARTED_STATES)
        candidates = [job_id for job_id in started if job_id in self.service.wanted] or started
        if candidates:
            await self.service.step(self.random.choice(candidates))

    async def reconcile(self) -> None:
        """A round of the reconciler."""
        await self.service.reconcile()

    async def second(self) -> None:
        """A second passes."""
        self.service.let_pass(1)

    async def deliver(self) -> None:
        """A message that was under way arrives, in any order."""
        if self.machine.late:
            self.machine.deliver(self.random.randrange(len(self.machine.late)))

    async def fuse(self) -> None:
        """The service will be killed in some steps."""
        self.service.fuse.kill_at = self.service.fuse.passed + self.random.randint(1, 8)

    async def crash(self) -> None:
        """The service is killed now."""
        raise Killed

    async def remove(self) -> None:
        """Somebody removes a container past the engine."""
        attempts = [name for name, found in self.machine.containers.items() if found.seen.kind == "job"]
        if attempts:
            self.machine.remove_by_hand(self.random.choice(attempts))

    async def server(self) -> None:
        """A server asks for its share; one that has it is started."""
        standing = self.service.db.read_now(leases.live)
        for lease in standing:
            held = self.service.db.read_now(leases.slots_by_lease).get(lease.id, [])
            if (
                lease.kind == "server"
                and lease.state is LeaseState.RESERVED
                and lease.id not in self.machine.containers
            ):
                share = {"cpus": lease.cpus, "memory_bytes": lease.memory_bytes}
                uuids = tuple(slot.uuid for slot in held)
                self.machine.run_server(lease.id, lease_id=lease.id, slots=uuids, **share)
                return
        if len([lease for lease in standing if lease.kind == "server"]) < 3:
            self.service.db.write_now(lambda db: leases.add(db, self._lease()))

    async def server_ends(self) -> None:
        """A server ends, and its container is removed."""
        servers = [name for name, found in self.machine.containers.items() if found.seen.kind == "server"]
        if servers:
            self.machine.remove_by_hand(self.random.choice(servers))

    async def silence(self) -> None:
        """The machine cannot be reached."""
        self.machine.reachable = False

    async def voice(self) -> None:
        """It can be reached again."""
        self.machine.reachable = True

    async def fill(self) -> None:
        """The disk is full."""
        self.machine.disk_full = True

    async def empty(self) -> None:
        """There is room again."""
        self.machine.disk_full = False

    async def cordon(self) -> None:
        """Nothing new may start."""
        self.machine.mode = "cordoned"

    async def uncordon(self) -> None:
        """It may again."""
        self.machine.mode = "ready"

    async def image_goes(self) -> None:
        """Somebody removes the image."""
        self.machine.images.clear()

    async def image_comes(self) -> None:
        """Somebody brings it back."""
        self.machine.images["himalia/server:dev"] = "sha256:1"

    async def interrupt(self) -> None:
        """The next launch breaks off."""
        self.machine.interrupt = self.random.choice(["intent", "create", "start"])

    async def reboot(self) -> None:
        """The machine restarts, and the service with it."""
        self.machine.reboot()
        raise Killed

    async def stop_engine(self) -> None:
        """The container engine is stopped and started."""
        self.machine.stop_engine()

    def _lease(self) -> dict[str, object]:
        return server_lease(gpus=self.random.choice("01"))


@pytest.mark.fault(25)
@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_whatever_happens_nothing_runs_twice_and_every_job_ends_in_a_true_state(db, add_job, tmp_path, seed):
    machine = FakeMachine(cpus=6.0, memory_bytes=24 * GiB, slots=simulated(4))
    machine.programs.update(PROGRAMS)
    service = MortalService(db, machine, tmp_path, cpus=6, memory="20G")
    chaos = Chaos(service, add_job, seed)

    await chaos.run(STEPS)
    await chaos.come_to_rest()

    service.check_the_end()
    ended = [service.job(job_id).state for job_id in chaos.live(*JobState)]
    assert set(ended) <= FINAL_STATES
    assert len(machine.starts) > 20, "hardly anything ran: the chaos is too great to show anything"
    assert {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED} <= set(ended)
    assert service.lives > 5
    assert not [found for found in machine.running() if found.seen.phase is not Phase.RUNNING]
