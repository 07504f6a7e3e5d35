"""The memory of shared GPUs: who uses more than their share, who is told, and who is ended for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mortal_service import MortalService
from slots_at_work import LASTS, machine_with_gpus

from himalia.gpu_modes import GPUModeSetting
from himalia.gpus import GPUMode
from himalia.models import EventKind
from himalia.reasons import Reason
from himalia.site import Gpus
from himalia.states import JobState
from himalia.units import GiB
from himalia_jobs.engines.gpus import GPUUser
from himalia_jobs.shares import Shares
from himalia_jobs.store import Database, events, jobs, notices

pytestmark = pytest.mark.asyncio

SEATS = (GPUModeSetting(gpu="0", mode=GPUMode.SHARED, seats=2),)


class Neighbours:
    """Two jobs on one shared GPU."""

    def __init__(self, service: MortalService, add_job: Any, settings: Gpus) -> None:
        self.service = service
        self.settings = settings
        self.jobs = [
            add_job(spec={"command": list(LASTS)}, gpus="shared:40GB", user=user, user_id=user)
            for user in ("ada", "bob")
        ]
        self.memory = [0, 0]

    async def start(self) -> Neighbours:
        await self.service.start()
        self.watch()
        await self.service.tick()
        await self.service.tick()
        assert [self.service.job(job.id).state for job in self.jobs] == [JobState.RUNNING] * 2
        return self

    def watch(self) -> None:
        """Watch as a service does that was just started."""
        self.shares = Shares(self.service.reconciler.db, self.settings, self.service.clock, self.service.wanted.add)
        self.service.reconciler.shares = self.shares

    async def use(self, first: int | None, second: int | None = 0) -> None:
        """Let both use so many GiB, and let the service look."""
        names = {found.seen.attempt.partition(".")[0]: found.name for found in self.service.machine.running()}
        self.service.machine.gpus.users["GPU-0"] = [
            GPUUser(pid=n, container=names[job.id], ours=True, memory_bytes=None if size is None else size * GiB)
            for n, (job, size) in enumerate(zip(self.jobs, (first, second), strict=True))
            if job.id in names
        ]
        await self.service.tick()

    def sentences(self) -> list[str]:
        """Return what each of the two reads."""
        last = self.service.db.read_now(lambda db: [jobs.last_attempt(db, job.id) for job in self.jobs])
        return [self.shares.sentence(attempt.lease_id) for attempt in last if attempt]

    def told(self) -> list[tuple[str, str]]:
        """Return the notices, as (whose, the beginning of the sentence)."""
        now = self.service.clock.wall()
        found = self.service.db.read_now(
            lambda db: [one for job in self.jobs for one in notices.open_of(db, job.user_id, now)]
        )
        return [(one.user_id, one.sentence.split(",")[0]) for one in found]


@pytest.fixture
def service(db: Database, tmp_path: Path) -> MortalService:
    """A service whose first GPU has two seats."""
    return MortalService(db, machine_with_gpus(), tmp_path, modes=SEATS)


@pytest.fixture
def settings() -> Gpus:
    """The operator's file says nothing."""
    return Gpus()


@pytest_asyncio.fixture
async def beside(service: MortalService, add_job: Any, settings: Gpus) -> Neighbours:
    """Two jobs with 40 GB each on a GPU of 141 GB."""
    return await Neighbours(service, add_job, settings).start()


async def test_within_their_shares_nobody_is_told_anything(beside: Neighbours) -> None:
    await beside.use(40, 39)

    assert beside.sentences() == ["", ""]
    assert beside.told() == []


async def test_who_uses_too_much_is_told_and_so_is_the_neighbour(beside: Neighbours) -> None:
    before = beside.service.db.read_now(events.last_seq)

    await beside.use(60, 10)

    assert beside.sentences() == [
        f"The job {beside.jobs[0].id[:4]}… uses 60.0 GB of the memory of GPU 0, more than its share of 40.0 GB. Nothing "
        "fences the memory of a shared GPU: its neighbours may run out of it. Use less, or ask for more. Nobody is ended for it.",
        "A neighbour on GPU 0 uses 60.0 GB of its memory, more than its share of 40.0 GB. Nothing fences the memory of a "
        "shared GPU: there may be less left than you asked for.",
    ]
    assert beside.told() == [
        ("ada", f"The job {beside.jobs[0].id[:4]}… uses 60.0 GB of the memory of GPU 0"),
        ("bob", "A neighbour on GPU 0 uses 60.0 GB of its memory"),
    ]
    fresh = beside.service.db.read_now(lambda db: events.after(db, before, None))
    assert {row["job_id"] for row in fresh if row["kind"] == EventKind.JOB} >= {job.id for job in beside.jobs}


async def test_it_is_told_once_and_over_when_it_is_over(beside: Neighbours) -> None:
    for _ in range(3):
        await beside.use(60)
    await beside.use(20)
    await beside.use(60)

    assert len(beside.told()) == 2
    await beside.use(20)
    assert beside.sentences() == ["", ""]


async def test_a_driver_that_does_not_tell_memory_accuses_nobody(beside: Neighbours) -> None:
    await beside.use(None, None)

    assert beside.sentences() == ["", ""]


async def test_nobody_is_ended_for_it_unless_the_file_says_so(beside: Neighbours) -> None:
    for _ in range(5):
        await beside.use(100)
        beside.service.let_pass(100)

    assert [beside.service.job(job.id).state for job in beside.jobs] == [JobState.RUNNING] * 2


class TestEnding:
    """Where the operator's file says that it is ended."""

    @pytest.fixture
    def settings(self) -> Gpus:
        """End after a minute."""
        return Gpus(over_share="end", over_share_grace="1m")  # type: ignore[arg-type]  # as the file has it

    async def test_a_job_that_stays_over_its_share_is_ended_and_its_neighbour_is_not(self, beside: Neighbours) -> None:
        await beside.use(60)
        first = beside.service.job(beside.jobs[0].id).state
        beside.service.let_pass(61)
        for _ in range(4):
            await beside.use(60)
            beside.service.let_pass(5)

        ended, other = (beside.service.job(job.id) for job in beside.jobs)
        assert first is JobState.RUNNING
        assert (ended.state, ended.reason) == (JobState.FAILED, Reason.OVER_SHARE)
        assert other.state is JobState.RUNNING

    async def test_one_that_uses_less_in_time_goes_on(self, beside: Neighbours) -> None:
        for size in (60, 20, 60, 20):
            await beside.use(size)
            beside.service.let_pass(40)
        await beside.use(60)

        assert beside.service.job(beside.jobs[0].id).state is JobState.RUNNING

    async def test_a_service_that_was_killed_begins_the_grace_anew(self, beside: Neighbours) -> None:
        await beside.use(60)
        beside.service.let_pass(61)
        await beside.service.start()
        beside.watch()

        await beside.use(60)

        assert beside.service.job(beside.jobs[0].id).state is JobState.RUNNING
        assert len(beside.told()) == 2
