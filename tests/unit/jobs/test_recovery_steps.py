"""A service that is killed at any step boundary of a job's life finds its way, and the job ends as it would have."""

from __future__ import annotations

import os
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from figures_told import tell_figure
from mortal_service import Fuse, Killed, MortalService

from himalia.reasons import Reason
from himalia.states import FINAL_STATES, JobState
from himalia_jobs.engines.fake import FakeMachine, Program
from himalia_jobs.runner import request_cancel
from himalia_jobs.store.records import JobRecord

MOST_TICKS = 80
LONG = bool(os.environ.get("HIMALIA_CAMPAIGN"))
KILLS_OF_EACH = 50 if LONG else 1
SEED = int(os.environ.get("HIMALIA_CAMPAIGN_SEED") or (random.SystemRandom().randrange(10**6) if LONG else 7))

Meddle = Callable[[MortalService, JobRecord], Any]


@dataclass(frozen=True, kw_only=True)
class Life:
    """A job's life: what its command does, what happens to it meanwhile, and how it must end."""

    program: Program = Program(seconds=2.0)
    job: dict[str, Any] = field(default_factory=dict)
    meddle: Meddle | None = None  #: happens when the job is in the state `when`
    when: JobState = JobState.RUNNING
    ends: tuple[JobState, Reason]
    starts: int = 1
    warned: int = 0


def cancel(service: MortalService, job: JobRecord) -> Any:
    """Ask for the job's end."""
    return request_cancel(service.db, job, "ada")


def vanish(service: MortalService, job: JobRecord) -> None:
    """Remove its container past the engine."""
    attempt = f"{job.id}.{job.attempt_count}"
    if attempt in service.machine.containers:
        service.machine.remove_by_hand(attempt)


def fill_the_disk(service: MortalService, job: JobRecord) -> None:
    """Fill the machine's disk; there is room again some seconds later."""
    service.machine.disk_full = True


def cordon(service: MortalService, job: JobRecord) -> None:
    """Cordon the machine; it is ready again some seconds later."""
    service.machine.mode = "cordoned"


LASTS = Program(seconds=None)
LIVES = {
    "it succeeds": Life(ends=(JobState.SUCCEEDED, Reason.EXITED)),
    "it ends at once": Life(program=Program(), ends=(JobState.SUCCEEDED, Reason.EXITED)),
    "it fails": Life(program=Program(code=3, seconds=1.0), ends=(JobState.FAILED, Reason.EXITED)),
    "it fails and is tried again": Life(
        program=Program(code=3), job={"retries": 1}, ends=(JobState.FAILED, Reason.EXITED), starts=2
    ),
    "it is lost and tried again": Life(
        program=LASTS,
        job={"retries": 2, "retry_on": "oom,lost", "timeout_seconds": 6},
        meddle=vanish,
        ends=(JobState.FAILED, Reason.TIMED_OUT),
        starts=2,
    ),
    "it fails for another cause than it is tried again for": Life(
        program=Program(code=3), job={"retries": 3, "retry_on": "oom,exit:75"}, ends=(JobState.FAILED, Reason.EXITED)
    ),
    "it runs out of memory": Life(
        program=Program(code=137, signal=9, oom=True), ends=(JobState.FAILED, Reason.OUT_OF_MEMORY)
    ),
    "it reaches its time limit": Life(
        program=LASTS, job={"timeout_seconds": 4}, ends=(JobState.FAILED, Reason.TIMED_OUT)
    ),
    "it is warned before its time limit": Life(
        program=LASTS,
        job={"timeout_seconds": 6, "warn_seconds": 3},
        ends=(JobState.FAILED, Reason.TIMED_OUT),
        warned=1,
    ),
    "it ignores its time limit": Life(
        program=Program(seconds=None, stubborn=True),
        job={"timeout_seconds": 4},
        ends=(JobState.FAILED, Reason.TIMED_OUT),
    ),
    "it is cancelled in line": Life(
        meddle=cancel, when=JobState.QUEUED, ends=(JobState.CANCELLED, Reason.CANCELLED), starts=0
    ),
    "it is cancelled at its start": Life(
        program=LASTS, meddle=cancel, when=JobState.STARTING, ends=(JobState.CANCELLED, Reason.CANCELLED), starts=0
    ),
    "it is cancelled while it runs": Life(program=LASTS, meddle=cancel, ends=(JobState.CANCELLED, Reason.CANCELLED)),
    "it ignores that it is cancelled": Life(
        program=Program(seconds=None, stubborn=True), meddle=cancel, ends=(JobState.CANCELLED, Reason.CANCELLED)
    ),
    "it is cancelled after its end": Life(
        program=Program(), meddle=cancel, when=JobState.COLLECTING, ends=(JobState.SUCCEEDED, Reason.EXITED)
    ),
    "its retry is cancelled": Life(
        program=Program(code=3),
        job={"retries": 2},
        meddle=cancel,
        when=JobState.COLLECTING,
        ends=(JobState.FAILED, Reason.EXITED),
    ),
    "its image is missing": Life(
        job={"image_id": "sha256:gone"}, ends=(JobState.FAILED, Reason.IMAGE_MISSING), starts=0
    ),
    "its files are broken": Life(
        job={"snapshot_owner_id": "o", "snapshot_digest": "broken"},
        ends=(JobState.FAILED, Reason.WORKSPACE_BROKEN),
        starts=0,
    ),
    "it cannot be started": Life(
        program=Program(start_error="no such device"),
        job={"retries": 1},
        ends=(JobState.FAILED, Reason.START_FAILED),
        starts=0,
    ),
    "the disk is full for a while": Life(
        meddle=fill_the_disk, when=JobState.STARTING, ends=(JobState.SUCCEEDED, Reason.EXITED)
    ),
    "the machine is cordoned for a while": Life(
        meddle=cordon, when=JobState.STARTING, ends=(JobState.SUCCEEDED, Reason.EXITED)
    ),
    "somebody removes its container": Life(program=LASTS, meddle=vanish, ends=(JobState.FAILED, Reason.VANISHED)),
    "the machine restarts under it": Life(
        program=LASTS,
        meddle=lambda service, job: service.machine.reboot(),
        ends=(JobState.FAILED, Reason.NODE_REBOOTED),
    ),
    "the engine is stopped under it": Life(
        program=LASTS,
        meddle=lambda service, job: service.machine.stop_engine(),
        ends=(JobState.FAILED, Reason.ENGINE_STOPPED),
    ),
}


@pytest.fixture
def machine() -> FakeMachine:
    """A machine without GPUs, with a snapshot that cannot be laid out."""
    machine = FakeMachine()
    machine.broken_snapshots.add("broken")
    return machine


async def live(service: MortalService, add_job, life: Life, fuse: Fuse) -> JobRecord:
    """Let a job live to its end, in as many lives of the service as it takes."""
    argv = ("run", str(service.lives))
    service.machine.programs[argv] = life.program
    job = add_job(spec={"command": list(argv)}, **life.job)
    await service.start(fuse)
    meddler = Meddler(service, job, life)
    for tick in range(MOST_TICKS):
        try:
            await meddler.maybe()
            await service.turn()
            await meddler.maybe()
            await service.runner.step(job.id)
        except Killed:
            await service.start()
            await service.reconcile()
        service.check()
        service.let_pass(1)
        if tick % 3 == 2:
            service.machine.disk_full, service.machine.mode = False, "ready"
        if service.job(job.id).state in FINAL_STATES:
            return service.job(job.id)
    raise AssertionError(f"it never ended: {service.job(job.id)}")


class Meddler:
    """Lets happen what happens in a job's life, once."""

    def __init__(self, service: MortalService, job: JobRecord, life: Life) -> None:
        self.service, self.job, self.life = service, job, life
        self.done = life.meddle is None

    async def maybe(self) -> None:
        """Let it happen, if the job is where it must be."""
        job = self.service.job(self.job.id)
        if not self.done and job.state is self.life.when:
            self.done = True
            asked = self.life.meddle(self.service, job)
            if asked is not None:
                await asked


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.fault(5)
@pytest.mark.fault(8)
@pytest.mark.fault(23)
@pytest.mark.fault(56)
@pytest.mark.asyncio
@pytest.mark.parametrize("life", LIVES.values(), ids=LIVES)
async def test_a_job_ends_the_same_wherever_the_service_is_killed(service, add_job, life):
    whole = Fuse()
    await ended_as_it_must(service, add_job, life, whole)

    for boundary in range(1, whole.passed + 1):
        await ended_as_it_must(service, add_job, life, Fuse(boundary))

    service.check_the_end()


@pytest.mark.fault(3)
@pytest.mark.fault(4)
@pytest.mark.fault(8)
@pytest.mark.timeout(120 + 30 * KILLS_OF_EACH)
@pytest.mark.asyncio
async def test_a_service_killed_so_often_after_each_kind_of_step_loses_nothing(service, add_job):
    draw = random.Random(SEED)
    places: defaultdict[str, list[tuple[Life, int]]] = defaultdict(list)
    for life in LIVES.values():
        whole = Fuse()
        await ended_as_it_must(service, add_job, life, whole)
        for boundary, step in enumerate(whole.steps, start=1):
            places[step].append((life, boundary))

    for step, found in sorted(places.items()):
        for life, boundary in draw.choices(found, k=KILLS_OF_EACH):
            fuse = Fuse(boundary)
            await ended_as_it_must(service, add_job, life, fuse)
            assert fuse.steps[-1] == step and fuse.passed == boundary, "it was not killed there"
        tell_figure(f"killed after {step}, seed {SEED}", f"{KILLS_OF_EACH}: 0 lost, 0 twice, 0 left over")

    service.check_the_end()


async def ended_as_it_must(service, add_job, life, fuse) -> None:
    """Let a job live, and check its end and how often its command began."""
    begun, warned = len(service.machine.starts), len(service.machine.warned)

    job = await live(service, add_job, life, fuse)

    assert (job.state, job.reason) == life.ends, f"killed at boundary {fuse.kill_at}"
    assert len(service.machine.starts) - begun == life.starts, f"killed at boundary {fuse.kill_at}"
    assert len(service.machine.warned) - warned == life.warned, f"killed at boundary {fuse.kill_at}"
